// Values that cross the border between a student's process and the one that judges: as JSON that holds data and nothing
// else. Whatever the other side sends, reading it here runs none of its code.

/** A value as JSON: primitives as they are, everything else a list that begins with its kind. */
export type Wire = null | boolean | number | string | WireList;
export type WireList = [kind: string, ...content: unknown[]];

/** A value that cannot cross. */
export class BorderError extends Error {
  override name = "BorderError";
}

/** What the side that writes does with values that are more than data. */
export interface Writer {
  functionOf(value: (...args: never[]) => unknown): WireList;
  instanceOf?(value: object): WireList | undefined;
}

/** What the side that reads makes of them. */
export interface Reader {
  /** Kinds beyond plain data, by name. */
  make: Record<string, (node: WireList) => unknown>;
}

const typedArrays = {
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const;

const deepest = 64;

/** Elements of a list, bytes of an array of numbers, letters of a text: what is larger takes minutes, and is no exercise's answer. */
const [longestList, largestArray, longestText] = [5_000_000, 128 * 1024 * 1024, 100_000_000];

// Taken when this loads, before any cell: a cell that alters them alters only its own answers, but not by accident.
const { isArray } = Array;
const { keys, getPrototypeOf } = Object;
const { isFinite: isFiniteNumber, isInteger } = Number;
const is = Object.is;

/** Writes a value; throws BorderError that says where something cannot cross. */
export function writeValue(value: unknown, writer: Writer, depth = 0, where = "the value"): Wire {
  if (depth > deepest) throw new BorderError(`${where} is nested more than ${deepest} deep, or holds itself`);
  switch (typeof value) {
    case "string":
      checkSize(value.length, longestText, "characters", where);
      return value;
    case "boolean":
      return value;
    case "number":
      return isFiniteNumber(value) && !is(value, -0)
        ? value
        : ["number", is(value, -0) ? "-0" : String(value)];
    case "undefined":
      return ["undefined"];
    case "bigint":
      return ["bigint", String(value)];
    case "symbol":
      throw new BorderError(`${where} is a symbol`);
    case "function":
      return writer.functionOf(value as (...args: never[]) => unknown);
    default:
      return value === null ? null : writeObject(value as object, writer, depth + 1, where);
  }
}

function checkSize(size: number, largest: number, unit: string, where: string): void {
  if (size > largest) throw new BorderError(`${where} has ${size} ${unit}, of at most ${largest}`);
}

function writeObject(value: object, writer: Writer, depth: number, where: string): Wire {
  if (isArray(value)) {
    checkSize(value.length, longestList, "elements", where);
    const items: Wire[] = [];
    for (let i = 0; i < value.length; i++) {
      items[i] = writeValue(value[i], writer, depth, depth === 1 ? `${where}[${i}]` : where);
    }
    return ["array", items];
  }
  if (ArrayBuffer.isView(value)) {
    const name = (value as { constructor?: { name?: string } }).constructor?.name ?? "";
    const kind = name === "Buffer" ? "Uint8Array" : name;
    checkSize(value.byteLength, largestArray, "bytes", where);
    if (!Object.hasOwn(typedArrays, kind)) throw new BorderError(`${where} is a ${name}`);
    return ["typed", kind, Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64")];
  }
  const entriesOf = (entries: Iterable<[unknown, unknown]>) =>
    [...entries].map(([key, one]) => [
      writeValue(key, writer, depth, where),
      writeValue(one, writer, depth, where),
    ]);
  if (value instanceof Map) return ["map", entriesOf(value)];
  if (value instanceof Set) return ["set", [...value].map((one) => writeValue(one, writer, depth, where))];
  if (value instanceof Date) return ["date", value.getTime()];
  if (value instanceof Error) return ["error", String(value.name), String(value.message)];
  const prototype = getPrototypeOf(value);
  const isPlain = prototype === null || prototype === Object.prototype;
  if (!isPlain) {
    const instance = writer.instanceOf?.(value);
    if (instance) return instance;
  }
  return ["object", fieldsOf(value, writer, depth, where)];
}

/** An object's own fields, written. */
export function fieldsOf(
  value: object,
  writer: Writer,
  depth: number,
  where = "the value",
): [string, Wire][] {
  return keys(value).map((key) => [
    key,
    writeValue(
      (value as Record<string, unknown>)[key],
      writer,
      depth,
      depth === 1 ? `${where}.${key}` : where,
    ),
  ]);
}

/** Reads what the other side wrote; throws BorderError where it is no value. */
export function readValue(wire: unknown, reader: Reader = { make: {} }): unknown {
  if (wire === null || typeof wire === "boolean" || typeof wire === "string") return wire;
  if (typeof wire === "number") return wire;
  if (!isArray(wire) || typeof wire[0] !== "string") throw malformed("no kind");
  const [kind, first, second] = wire as [string, unknown, unknown];
  const list = (value: unknown): unknown[] => {
    if (!isArray(value)) throw malformed(kind);
    return value;
  };
  switch (kind) {
    case "undefined":
      return undefined;
    case "number":
      return Number(first);
    case "bigint":
      // Reading one of millions of digits takes minutes, and nothing can interrupt that.
      if (String(first).length > 10_000) throw malformed(kind);
      return BigInt(String(first));
    case "array":
      return list(first).map((one) => readValue(one, reader));
    case "typed":
      return readTyped(first, second);
    case "map":
      return new Map(list(first).map((entry) => readPair(list(entry), reader)));
    case "set":
      return new Set(list(first).map((one) => readValue(one, reader)));
    case "date":
      // JSON has no NaN, which is the time of a date that is none.
      return new Date(typeof first === "number" ? first : Number.NaN);
    case "error":
      return Object.assign(new Error(String(second)), { name: String(first) });
    case "object":
      return readFields(first, reader);
  }
  const make = Object.hasOwn(reader.make, kind) ? reader.make[kind] : undefined;
  if (!make) throw malformed(kind);
  return make(wire as WireList);
}

function readPair(entry: unknown[], reader: Reader): [unknown, unknown] {
  return [readValue(entry[0], reader), readValue(entry[1], reader)];
}

/** An object of fields, written by the other side; no name of a field reaches a prototype. */
export function readFields(
  fields: unknown,
  reader: Reader,
  into: Record<string, unknown> = {},
): Record<string, unknown> {
  if (!isArray(fields)) throw malformed("object");
  for (const entry of fields) {
    if (!isArray(entry) || typeof entry[0] !== "string") throw malformed("object");
    Object.defineProperty(into, entry[0], {
      value: readValue(entry[1], reader),
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  return into;
}

/** Bytes as the typed array that `kind` names. */
export function readTyped(kind: unknown, base64: unknown): ArrayBufferView {
  if (typeof kind !== "string" || typeof base64 !== "string" || !Object.hasOwn(typedArrays, kind)) {
    throw malformed("typed");
  }
  const make = typedArrays[kind as keyof typeof typedArrays];
  const bytes = Buffer.from(base64, "base64");
  if (!isInteger(bytes.length / make.BYTES_PER_ELEMENT)) throw malformed("typed");
  return new make(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer);
}

function malformed(kind: string): BorderError {
  return new BorderError(`what came is no value (${kind.slice(0, 40)})`);
}
