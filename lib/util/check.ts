// Argument checks with errors written for a person in a classroom: the argument, what is allowed, what was given.

/** A value as an error message shows it: short, and never the whole of a large array. */
export function shown(value: unknown): string {
  if (typeof value === "string")
    return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (ArrayBuffer.isView(value) || Array.isArray(value)) {
    return `${value.constructor.name}(${(value as unknown as ArrayLike<unknown>).length})`;
  }
  if (typeof value === "object" && value !== null)
    return `a ${value.constructor?.name ?? "null-prototype object"}`;
  return String(value);
}

/** Throws a RangeError unless `value` is a whole number in [min, max]; returns it. */
export function checkInteger(
  name: string,
  value: number,
  min: number,
  max = Number.POSITIVE_INFINITY,
): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.POSITIVE_INFINITY ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new RangeError(`${name} must be a whole number ${range}, got ${shown(value)}`);
}

/** Throws a RangeError unless `value` is a number in [min, max]; returns it. NaN is never allowed. */
export function checkNumber(
  name: string,
  value: number,
  min = Number.NEGATIVE_INFINITY,
  max = Number.POSITIVE_INFINITY,
): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  const range =
    min === Number.NEGATIVE_INFINITY && max === Number.POSITIVE_INFINITY
      ? ""
      : max === Number.POSITIVE_INFINITY
        ? ` of at least ${min}`
        : min === Number.NEGATIVE_INFINITY
          ? ` of at most ${max}`
          : ` from ${min} to ${max}`;
  throw new RangeError(`${name} must be a number${range}, got ${shown(value)}`);
}

/** Throws a RangeError unless `value` is one of `allowed`; returns it. */
export function checkOneOf<T extends string | number>(name: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new RangeError(`${name} must be one of ${allowed.map(shown).join(", ")}, got ${shown(value)}`);
}

/** Throws a RangeError unless `array` has `length` elements. */
export function checkLength(name: string, array: ArrayLike<unknown>, length: number): void {
  if (array?.length === length) return;
  throw new RangeError(`${name} must have ${length} elements, got ${array?.length ?? shown(array)}`);
}

/** Throws a RangeError unless `array` is a Float32Array: loops that read its bits or its parts would misread any other. */
export function checkFloats(name: string, array: unknown): void {
  // By its tag: an array from another realm (a test runner's, say) is no instance of this one's class.
  if (Object.prototype.toString.call(array) === "[object Float32Array]") return;
  throw new RangeError(`${name} must be a Float32Array, got ${shown(array)}`);
}

/** Throws a RangeError that names the first NaN or Infinity in `array`, if there is one. */
export function checkFinite(name: string, array: ArrayLike<number>): void {
  // x - x is 0 for every finite x and NaN otherwise, so one running sum finds out at memory speed.
  let sum = 0;
  for (let i = 0; i < array.length; i++) sum += array[i] - array[i];
  if (sum === 0) return;
  for (let i = 0; i < array.length; i++) {
    if (!Number.isFinite(array[i]))
      throw new RangeError(`${name} must be finite, got ${array[i]} at index ${i}`);
  }
}
