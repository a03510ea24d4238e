// Equality as `assert.deepStrictEqual` has it: of one class, with equal contents all the way down; NaN equals itself, and
// 0 is not -0. Circles are equal where they close alike.

type Pairs = Map<object, object>;

/** Whether two values are equal, down to what they hold. */
export function isDeepStrictEqual(a: unknown, b: unknown, seen: Pairs = new Map()): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (seen.get(a) === b) return true;
  seen.set(a, b);
  return sameContent(a, b, seen) && sameProperties(a, b, seen);
}

function sameContent(a: object, b: object, seen: Pairs): boolean {
  if (a instanceof Date) return Object.is(a.getTime(), (b as Date).getTime());
  if (a instanceof RegExp) return String(a) === String(b) && a.lastIndex === (b as RegExp).lastIndex;
  if (a instanceof Error) return a.message === (b as Error).message && a.name === (b as Error).name;
  if (a instanceof Number || a instanceof String || a instanceof Boolean)
    return Object.is(a.valueOf(), b.valueOf());
  if (a instanceof ArrayBuffer) return sameBytes(new Uint8Array(a), new Uint8Array(b as ArrayBuffer));
  if (ArrayBuffer.isView(a) && !(a instanceof DataView)) return true; // Its elements are its properties.
  if (Array.isArray(a)) return a.length === (b as unknown[]).length;
  if (a instanceof Set) return sameMembers([...a], [...(b as Set<unknown>)], seen);
  if (a instanceof Map) return sameMembers([...a], [...(b as Map<unknown, unknown>)], seen);
  return true;
}

const sameBytes = (a: Uint8Array, b: Uint8Array) =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

/** Members in any order: each of one side has another of the other side's. */
function sameMembers(a: unknown[], b: unknown[], seen: Pairs): boolean {
  if (a.length !== b.length) return false;
  const left = [...b];
  return a.every((one) => {
    const at = left.findIndex((other) => isDeepStrictEqual(one, other, new Map(seen)));
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  });
}

const own = (value: object): PropertyKey[] =>
  Reflect.ownKeys(value).filter((key) => Object.prototype.propertyIsEnumerable.call(value, key));

function sameProperties(a: object, b: object, seen: Pairs): boolean {
  const keys = own(a);
  if (keys.length !== own(b).length) return false;
  return keys.every(
    (key) =>
      Object.prototype.propertyIsEnumerable.call(b, key) &&
      isDeepStrictEqual(a[key as keyof typeof a], b[key as keyof typeof b], seen),
  );
}
