// safetensors: named tensors in one file, without a network (https://github.com/huggingface/safetensors, format of 0.4).
//
//   u64       length of the header, little-endian, at most 100 MB
//   …         the header, JSON: { NAME: { dtype, shape, data_offsets: [begin, end] }, …, __metadata__?: { KEY: TEXT } }
//   …         the tensors' bytes, little-endian, row-major; every byte belongs to exactly one tensor
//
// A file is opened by its header, and tensors are read one by one, so that memory holds one tensor whatever the file's size.
import { type OpenFile, writePartsAtomic } from "#platform";
import { fileOf } from "../platform/memory.ts";
import { shown } from "../util/check.ts";
import { fromBfloats, fromHalves, toBfloats, toHalves } from "../util/half.ts";
import { joinBytes } from "../util/join.ts";
import { elements } from "../util/shape.ts";
import { refuse } from "./error.ts";
import { openWith } from "./open.ts";

/** The types of numbers that a tensor may hold, and the bytes of one. */
export const safetensorsTypes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
} as const;
export type SafetensorsType = keyof typeof safetensorsTypes;

/** What the header says of a tensor. */
export interface SafetensorsEntry {
  dtype: SafetensorsType;
  shape: readonly number[];
}

/** A tensor to be written; its values are asked for when it is its turn. */
export interface SafetensorsTensor extends SafetensorsEntry {
  /** Floats for F32, F16 and BF16, which are rounded to the type; for every type its bytes, little-endian. */
  values: () => Float32Array | Uint8Array | Promise<Float32Array | Uint8Array>;
}

/** A file that is open: its header is known, its tensors are read when they are asked for. */
export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * The bytes of a tensor, as they stand in the file.
   * @throws RangeError for a name that is not there
   */
  bytes(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * The numbers of a tensor as floats: of F32, F16, BF16 exactly, of F64 rounded, of integers of up to 32 bits rounded.
   * @throws RangeError for a name that is not there, or a type that is none of these
   */
  floats(name: string): Promise<Float32Array<ArrayBuffer>>;
  close(): Promise<void>;
}

const headerLimit = 100_000_000;
const littleEndian = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

interface Place extends SafetensorsEntry {
  begin: number;
  length: number;
}

/**
 * Opens a safetensors file.
 *
 * @throws FormatError that names the file and what is wrong with its header
 */
export function openSafetensors(path: string): Promise<SafetensorsFile> {
  return openWith(path, open);
}

/** {@link openSafetensors} for a file that is in memory already. */
export function decodeSafetensors(
  bytes: Uint8Array,
  name = "the safetensors file",
): Promise<SafetensorsFile> {
  return open(fileOf(bytes), name);
}

async function open(file: OpenFile, path: string): Promise<SafetensorsFile> {
  if (file.size < 8) refuse(path, `is no safetensors file: it has ${file.size} bytes`);
  const start = await file.read(0, 8);
  const length = Number(new DataView(start.buffer, start.byteOffset).getBigUint64(0, true));
  if (length > headerLimit || length > file.size - 8)
    refuse(path, `is no safetensors file, or truncated: its header is said to have ${length} bytes`);
  const { places, metadata } = header(await file.read(8, length), file.size - 8 - length, path);
  const at = (name: string): Place => {
    const place = places.get(name);
    if (!place) throw new RangeError(`${path} has no tensor ${shown(name)}`);
    return place;
  };
  const bytes = async (name: string) => {
    const place = at(name);
    return file.read(8 + length + place.begin, place.length);
  };
  return {
    tensors: places,
    metadata,
    bytes,
    floats: async (name) => floatsOf(await bytes(name), at(name).dtype, `${path}: ${name}`),
    close: () => file.close(),
  };
}

function header(
  bytes: Uint8Array,
  data: number,
  path: string,
): { places: Map<string, Place>; metadata: Record<string, string> } {
  let json: unknown;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    if (!text.startsWith("{")) refuse(path, "is no safetensors file: its header does not begin with {");
    json = JSON.parse(text);
  } catch (error) {
    refuse(path, `its header is not JSON: ${(error as Error).message.slice(0, 200)}`, error);
  }
  const places = new Map<string, Place>();
  let metadata: Record<string, string> = {};
  for (const [name, entry] of Object.entries(json as object)) {
    if (name === "__metadata__") metadata = checkMetadata(entry, path);
    else places.set(name, placeOf(name, entry, path));
  }
  let end = 0;
  for (const [name, { begin, length }] of [...places].sort(
    ([, a], [, b]) => a.begin - b.begin || a.length - b.length,
  )) {
    if (begin !== end) refuse(path, `tensor ${shown(name)} begins at byte ${begin}, expected ${end}`);
    end += length;
  }
  if (end !== data)
    refuse(path, `its tensors have ${end} bytes, but ${data} are there: truncated or damaged`);
  return { places, metadata };
}

function checkMetadata(entry: unknown, path: string): Record<string, string> {
  const valid =
    typeof entry === "object" && entry !== null && Object.values(entry).every((v) => typeof v === "string");
  if (!valid) refuse(path, "its __metadata__ must hold texts");
  return entry as Record<string, string>;
}

function placeOf(name: string, entry: unknown, path: string): Place {
  const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
  const where = `tensor ${shown(name)}`;
  if (typeof dtype !== "string" || !Object.hasOwn(safetensorsTypes, dtype))
    refuse(path, `${where} has type ${shown(dtype)}, known are ${Object.keys(safetensorsTypes).join(", ")}`);
  if (!isSizes(shape)) refuse(path, `the shape of ${where} must be a list of whole numbers`);
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[1] < offsets[0])
    refuse(path, `the data_offsets of ${where} must be two places in the file`);
  const length = elements(shape) * safetensorsTypes[dtype as SafetensorsType];
  if (length !== offsets[1] - offsets[0])
    refuse(
      path,
      `${where} of shape [${shape}] in ${dtype} takes ${length} bytes, got ${offsets[1] - offsets[0]}`,
    );
  return { dtype: dtype as SafetensorsType, shape, begin: offsets[0], length };
}

function isSizes(value: unknown): value is number[] {
  return (
    Array.isArray(value) &&
    value.length <= 64 &&
    value.every((size) => Number.isSafeInteger(size) && size >= 0)
  );
}

function floatsOf(
  bytes: Uint8Array<ArrayBuffer>,
  dtype: SafetensorsType,
  what: string,
): Float32Array<ArrayBuffer> {
  const own = littleEndian ? aligned(bytes) : swapped(bytes, safetensorsTypes[dtype]);
  switch (dtype) {
    case "F32":
      return new Float32Array(own.buffer, own.byteOffset, own.length / 4);
    case "F16":
      return fromHalves(new Uint16Array(own.buffer, own.byteOffset, own.length / 2));
    case "BF16":
      return fromBfloats(new Uint16Array(own.buffer, own.byteOffset, own.length / 2));
    case "F64":
      return new Float32Array(new Float64Array(own.buffer, own.byteOffset, own.length / 8));
    case "I32":
      return new Float32Array(new Int32Array(own.buffer, own.byteOffset, own.length / 4));
    case "U32":
      return new Float32Array(new Uint32Array(own.buffer, own.byteOffset, own.length / 4));
    case "I16":
      return new Float32Array(new Int16Array(own.buffer, own.byteOffset, own.length / 2));
    case "U16":
      return new Float32Array(new Uint16Array(own.buffer, own.byteOffset, own.length / 2));
    case "I8":
      return new Float32Array(new Int8Array(own.buffer, own.byteOffset, own.length));
    case "U8":
    case "BOOL":
      return new Float32Array(own);
    default:
      throw new RangeError(`${what} is of type ${dtype}, which has no exact floats here: read its bytes`);
  }
}

/** Typed arrays must begin at a multiple of their numbers' size. */
function aligned(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
}

function swapped(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  const copy = bytes.slice();
  for (let at = 0; at < copy.length; at += size) copy.subarray(at, at + size).reverse();
  return copy;
}

/**
 * Writes a safetensors file, whole or not at all, one tensor at a time: memory holds one, whatever the file's size.
 *
 * @param tensors by name; the largest number types go first, so that every tensor is aligned
 * @param options `metadata`: texts to keep in the header; `onTensor` is told after each tensor; `signal` ends it early
 * @returns the file's length in bytes
 * @throws RangeError for a tensor whose values do not fit its shape
 */
export async function writeSafetensors(
  path: string,
  tensors: Record<string, SafetensorsTensor>,
  options: {
    metadata?: Record<string, string>;
    onTensor?: (name: string, done: number, total: number) => void;
    signal?: AbortSignal;
  } = {},
): Promise<number> {
  let length = 0;
  const parts = async function* () {
    for await (const part of safetensorsParts(tensors, options)) {
      length += part.length;
      yield part;
    }
  };
  await writePartsAtomic(path, parts());
  return length;
}

/** A safetensors file in memory. */
export async function encodeSafetensors(
  tensors: Record<string, SafetensorsTensor>,
  options: { metadata?: Record<string, string> } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  for await (const part of safetensorsParts(tensors, options)) parts.push(part);
  return joinBytes(parts);
}

async function* safetensorsParts(
  tensors: Record<string, SafetensorsTensor>,
  options: Parameters<typeof writeSafetensors>[2] = {},
): AsyncGenerator<Uint8Array> {
  const { metadata, onTensor, signal } = options;
  if (Object.hasOwn(tensors, "__metadata__")) throw new RangeError("a tensor cannot be named __metadata__");
  const size = (name: string) => safetensorsTypes[tensors[name].dtype];
  const names = Object.keys(tensors).sort((a, b) => size(b) - size(a) || (a < b ? -1 : 1));
  const entries: [string, unknown][] = metadata ? [["__metadata__", metadata]] : [];
  let at = 0;
  for (const name of names) {
    const { dtype, shape } = tensors[name];
    if (!Object.hasOwn(safetensorsTypes, dtype))
      throw new RangeError(
        `dtype of ${name} must be one of ${Object.keys(safetensorsTypes).join(", ")}, got ${shown(dtype)}`,
      );
    const end = at + elements(shape) * size(name);
    entries.push([name, { dtype, shape, data_offsets: [at, end] }]);
    at = end;
  }
  let text = JSON.stringify(Object.fromEntries(entries));
  const encoder = new TextEncoder();
  // Blanks fill the header up, so that the tensors begin at a multiple of 8 bytes.
  text += " ".repeat((8 - (encoder.encode(text).length % 8)) % 8);
  const json = encoder.encode(text);
  const start = new Uint8Array(8);
  new DataView(start.buffer).setBigUint64(0, BigInt(json.length), true);
  yield start;
  yield json;
  for (const [i, name] of names.entries()) {
    signal?.throwIfAborted();
    yield await bytesOf(name, tensors[name]);
    onTensor?.(name, i + 1, names.length);
  }
}

async function bytesOf(name: string, { dtype, shape, values }: SafetensorsTensor): Promise<Uint8Array> {
  const given = await values();
  const count = elements(shape);
  const expected = given instanceof Uint8Array ? count * safetensorsTypes[dtype] : count;
  if (given.length !== expected)
    throw new RangeError(
      `values of ${name} must have ${expected} elements for shape [${shape}], got ${given.length}`,
    );
  if (given instanceof Uint8Array) return given;
  const typed =
    dtype === "F32"
      ? given
      : dtype === "F16"
        ? toHalves(given)
        : dtype === "BF16"
          ? toBfloats(given)
          : undefined;
  if (!typed) throw new RangeError(`values of ${name} must be bytes, since its type is ${dtype}`);
  const bytes = new Uint8Array(typed.buffer as ArrayBuffer, typed.byteOffset, typed.byteLength);
  return littleEndian ? bytes : swapped(bytes, safetensorsTypes[dtype]);
}
