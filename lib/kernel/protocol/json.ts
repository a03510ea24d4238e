// Whether a value can travel as JSON, which is what messages are: found where the value is made, so that the code that
// made it is told, and not the log.

/** What one value costs at least, in characters: its place in a message. */
const least = 8;

/**
 * The size of a value in characters of JSON, roughly. Throws a TypeError that names the place of what JSON has no words
 * for: a BigInt, or an object within itself.
 *
 * @param at the value's name in the error
 */
export function jsonSize(value: unknown, at: string): number {
  return sizeOf(value, at, []);
}

function sizeOf(value: unknown, at: string, within: object[]): number {
  switch (typeof value) {
    case "string":
      return value.length + least;
    case "bigint":
      throw new TypeError(
        `${at} is a BigInt (${value}n), which JSON cannot hold: use Number(…) or String(…)`,
      );
    case "object":
      return value === null ? least : sizeOfObject(value, at, within);
    default:
      return least;
  }
}

function sizeOfObject(value: object, at: string, within: object[]): number {
  if (ArrayBuffer.isView(value)) return value.byteLength + least;
  if (typeof (value as { toJSON?: unknown }).toJSON === "function") return 4 * least;
  if (within.includes(value)) throw new TypeError(`${at} is an object within itself, which JSON cannot hold`);
  within.push(value);
  let size = least;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      // Most are long lists of numbers, which hold nothing.
      size += typeof value[i] === "number" ? least : sizeOf(value[i], `${at}[${i}]`, within);
    }
  } else {
    for (const [name, each] of Object.entries(value))
      size += name.length + sizeOf(each, `${at}.${name}`, within);
  }
  within.pop();
  return size;
}
