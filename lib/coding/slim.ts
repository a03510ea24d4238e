// §4 The .slim file: a whole compressed model in one file, as small as its parts allow, read strictly. Version 2 is in
// slim-v2.ts; this is version 1, which is read for good, and written where it is smaller or asked for.
//
//   8 bytes   "SLIM\r\n\x1a\n": a transfer that alters line ends is seen at once
//   u32       version, 1
//   u32 u32   length of the header, packed (raw deflate) and unpacked
//   …         the header, JSON: { topology, meta, tensors: [{ name, kind, shape, …, streams: [[bytes, coding?], …] }] }
//   …         the streams of all tensors, one after the other, nothing between
//   32 bytes  SHA-256 of everything before
//
// Numbers are little-endian. Every byte is accounted for: what is left over, missing or out of range is an error.
import { deflateRaw, inflateRaw, readBytes, sha256, writeFileAtomic } from "#platform";
import { checkInteger, checkOneOf, shown } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { decodeVersion2, encodeVersion2, magic2, NotInVersion2, WrongFile } from "./slim-v2.ts";
import { type Coding, codings, decodeSymbols, encodeSymbols } from "./symbols.ts";
import {
  checkDepth,
  type Numbers,
  putTogether,
  type SlimModel,
  type SlimTensor,
  type StreamReader,
  shapeOf,
  takeApart,
  tensorValues,
  variants,
} from "./tensors.ts";

const magic = Uint8Array.from([0x53, 0x4c, 0x49, 0x4d, 0x0d, 0x0a, 0x1a, 0x0a]);
const version = 1;
const fixed = 20;
const digest = 32;

/** Versions of the format. */
export const slimVersions = [1, 2] as const;
export type SlimVersion = (typeof slimVersions)[number];

export interface SlimOptions {
  /**
   * `auto` (the default) writes the smaller of both; but version 1, which takes a tenth of the time, where all tensors are
   * plain floats, above 16 million numbers, and above a million of which no tensor's are mostly 0: contexts would save 2 %.
   */
  version?: SlimVersion | "auto";
  /** Version 1: how symbols are coded; by default, stream by stream, what comes out smallest. */
  coding?: Coding | "auto";
}

/** How a file is read. */
export interface ReadSlimOptions {
  /**
   * How many numbers all tensors together may have, a product's beside those of its factors. By default 2^22 + 1,024 for
   * each byte of the file: more than any network has that was compressed, and so few that a file that lies costs a second.
   */
  maxElements?: number;
}

/** What a part of a .slim file takes. */
export interface SlimPart {
  tensor: string;
  /** Of which the tensor consists; `a.` and `b.` before the name are a product's factors. */
  stream: string;
  /** How its symbols are coded; undefined for plain numbers; `contexts` in version 2. */
  coding: Coding | "contexts" | undefined;
  bytes: number;
}

/** A stream in the header: its name, its bytes, and for symbols their number and coding. */
type Entry = [name: string, bytes: number] | [name: string, bytes: number, count: number, coding: number];

/** Above so many numbers, version 2 is not tried unasked; of dense ones, above so many fewer. */
const manyElements = 2 ** 24;
const manyDense = 2 ** 20;

/** Whether most of a tensor's numbers are 0, as far as its kind shows it. */
function isMostlyZero(tensor: SlimTensor): boolean {
  switch (tensor.kind) {
    case "relative":
    case "sparse":
      return true;
    case "codebook":
      return tensor.mask !== undefined && mostly(tensor.mask);
    case "quantized":
      return mostly(tensor.quantized.codes);
    case "lowrank":
      return isMostlyZero(tensor.a) || isMostlyZero(tensor.b);
    default:
      return false;
  }
}

function mostly(values: ArrayLike<number>): boolean {
  let zeros = 0;
  for (let i = 0; i < values.length; i++) if (values[i] === 0) zeros++;
  return 2 * zeros > values.length;
}

/**
 * A model as the bytes of a .slim file.
 *
 * @throws RangeError for tensors that are not whole, and for what the version asked for cannot hold
 */
export function encodeSlim(model: SlimModel, options: SlimOptions = {}): Uint8Array {
  const { coding = "auto", version = coding === "auto" ? "auto" : 1 } = options;
  checkOneOf("coding", coding, [...codings, "auto"]);
  checkOneOf("version", version, [...slimVersions, "auto"]);
  if (version === 2) return encodeVersion2(model);
  const first = encodeVersion1(model, coding);
  const size = Object.values(model.tensors).reduce((sum, tensor) => sum + elements(shapeOf(tensor)), 0);
  const isPlain = Object.values(model.tensors).every(({ kind }) => kind === "dense");
  const isSlow =
    size > manyElements || (size > manyDense && !Object.values(model.tensors).some(isMostlyZero));
  if (version === 1 || (version === "auto" && (isPlain || isSlow))) return first;
  try {
    const second = encodeVersion2(model);
    return second.length < first.length ? second : first;
  } catch (error) {
    if (error instanceof NotInVersion2) return first;
    throw error;
  }
}

function encodeVersion1(model: SlimModel, coding: Coding | "auto"): Uint8Array {
  const chunks: Uint8Array[] = [];
  const tensors = Object.entries(model.tensors).map(([name, tensor]) => {
    try {
      const encoded = encodeTensor(tensor, coding);
      chunks.push(...encoded.chunks);
      return { name, ...encoded.header };
    } catch (error) {
      throw new RangeError(`tensor ${shown(name)}: ${(error as Error).message}`);
    }
  });
  const header = new TextEncoder().encode(
    JSON.stringify({ topology: model.topology, meta: model.meta, tensors }),
  );
  const packed = deflateRaw(header);
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, fixed + packed.length + digest);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set(magic);
  view.setUint32(8, version, true);
  view.setUint32(12, packed.length, true);
  view.setUint32(16, header.length, true);
  bytes.set(packed, fixed);
  let at = fixed + packed.length;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  bytes.set(sha256(bytes.subarray(0, at)), at);
  return bytes;
}

/** A tensor's entry in the header and its streams, in the smallest of the forms it may take. */
function encodeTensor(
  tensor: SlimTensor,
  coding: Coding | "auto",
  depth = 0,
): { header: object; chunks: Uint8Array[] } {
  checkDepth(depth);
  const encoded = variants(tensor).map((variant) => {
    const { fields, streams, factors } = takeApart(variant);
    const chunks: Uint8Array[] = [];
    const entries = streams.map((stream): Entry => {
      if ("numbers" in stream) {
        const bytes = littleEndian(stream.numbers);
        chunks.push(bytes);
        return [stream.name, bytes.length];
      }
      const coded = encodeSymbols(stream.symbols, stream.alphabet, coding);
      chunks.push(coded.bytes);
      return [stream.name, coded.bytes.length, stream.symbols.length, codings.indexOf(coded.coding)];
    });
    const header: Record<string, unknown> = { ...fields, streams: entries };
    if (factors) {
      const parts = factors.map((factor) => encodeTensor(factor, coding, depth + 1));
      header.factors = parts.map((part) => part.header);
      for (const part of parts) chunks.push(...part.chunks);
    }
    return { header, chunks, bytes: chunks.reduce((sum, chunk) => sum + chunk.length, 0) };
  });
  return encoded.reduce((best, other) => (other.bytes < best.bytes ? other : best));
}

/**
 * Reads the bytes of a .slim file.
 *
 * @param name what error messages call the file
 * @throws Error when any byte is not as it must be, or there are more numbers than `maxElements`
 */
export function decodeSlim(
  bytes: Uint8Array,
  name = "the .slim file",
  options: ReadSlimOptions = {},
): SlimModel {
  return parse(bytes, name, options).model;
}

/** What each part of a .slim file takes, in the file's order; with the header first, the sum is the file's length. */
export function slimParts(
  bytes: Uint8Array,
  name = "the .slim file",
  options: ReadSlimOptions = {},
): SlimPart[] {
  return parse(bytes, name, options).parts;
}

/** The weights of a model that was read, by name, ready for `setWeights`. */
export function slimWeights(model: SlimModel): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(model.tensors).map(([name, tensor]) => [name, tensorValues(tensor)]),
  );
}

/** Writes a .slim file, whole or not at all; resolves to its length in bytes. */
export async function writeSlim(path: string, model: SlimModel, options?: SlimOptions): Promise<number> {
  const bytes = encodeSlim(model, options);
  await writeFileAtomic(path, bytes);
  return bytes.length;
}

/** Reads a .slim file. */
export async function readSlim(path: string, options: ReadSlimOptions = {}): Promise<SlimModel> {
  return decodeSlim(await readBytes(path), path, options);
}

function parse(
  bytes: Uint8Array,
  file: string,
  { maxElements = 2 ** 22 + 1024 * bytes.length }: ReadSlimOptions,
): { model: SlimModel; parts: SlimPart[] } {
  checkInteger("maxElements", maxElements, 0);
  if (magic2.every((byte, i) => bytes[i] === byte)) {
    try {
      const { model, parts } = decodeVersion2(bytes, maxElements);
      return {
        model,
        parts: parts.map((part) => ({ ...part, coding: part.tensor === "" ? undefined : "contexts" })),
      };
    } catch (error) {
      const { message } = error as Error;
      const what = error instanceof WrongFile ? message : `cannot be read: ${message}`;
      throw new Error(`${file} ${what}`, { cause: error });
    }
  }
  return parseVersion1(bytes, file, maxElements);
}

function parseVersion1(
  bytes: Uint8Array,
  file: string,
  maxElements: number,
): { model: SlimModel; parts: SlimPart[] } {
  if (magic.some((byte, i) => bytes[i] !== byte)) throw new Error(`${file} is not a .slim file`);
  if (bytes.length < fixed + digest) throw new Error(`${file} is truncated: it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = view.getUint32(8, true);
  if (found !== version)
    throw new Error(`${file} has version ${found} of the format, this slimlab reads versions 1 and 2`);
  const end = bytes.length - digest;
  const sum = sha256(bytes.subarray(0, end));
  if (sum.some((byte, i) => byte !== bytes[end + i]))
    throw new Error(`${file} is damaged or truncated: its SHA-256 does not fit its content`);

  try {
    const [packedLength, headerLength] = [view.getUint32(12, true), view.getUint32(16, true)];
    const start = fixed + packedLength;
    if (start > end) throw new RangeError("the header is longer than the file");
    checkInteger("header bytes", headerLength, 0, 2 ** 20 + 16 * bytes.length);
    const raw = inflateRaw(bytes.subarray(fixed, start), headerLength);
    if (raw.length !== headerLength) throw new RangeError("the header's length is not as stated");
    const header: unknown = JSON.parse(new TextDecoder().decode(raw));
    checkObject("the header", header);
    const list = checkList<Record<string, unknown>>("tensors", header.tensors);
    if (header.meta !== undefined) checkObject("meta", header.meta);
    let left = maxElements;
    const parts: SlimPart[] = [
      { tensor: "", stream: "header and checksum", coding: undefined, bytes: start + digest },
    ];
    let at = start;

    const tensor = (fields: Record<string, unknown>, name: string, prefix: string): SlimTensor => {
      checkDepth(prefix.length / "a.".length);
      const entries = [...checkList<Entry>("streams", fields.streams ?? [])];
      const factors = [...checkList<Record<string, unknown>>("factors", fields.factors ?? [])];
      for (const entry of entries) checkList("a stream", entry);
      for (const factor of factors) checkObject("a factor", factor);
      let factorName = "a";
      const next = (stream: string): { entry: Entry; chunk: Uint8Array } => {
        const entry = entries.shift();
        if (entry?.[0] !== stream) throw new RangeError(`stream ${stream} is missing`);
        const length = checkInteger(`bytes of ${stream}`, entry[1], 0, end - at);
        const coding = entry.length > 2 ? codings[entry[3] as number] : undefined;
        parts.push({ tensor: name, stream: prefix + stream, coding, bytes: length });
        at += length;
        return { entry, chunk: bytes.subarray(at - length, at) };
      };
      const read: StreamReader = {
        numbers(stream, type, count) {
          const { chunk } = next(stream);
          const numbers = fromLittleEndian(chunk, type, stream);
          if (count !== undefined) checkInteger(`length of ${stream}`, numbers.length, count, count);
          return numbers;
        },
        symbols(stream, alphabet, most, count) {
          const { entry, chunk } = next(stream);
          const stored = checkInteger(`length of ${stream}`, entry[2] as number, 0, most);
          if (count !== undefined) checkInteger(`length of ${stream}`, stored, count, count);
          const coding = codings[checkInteger("coding", entry[3] as number, 0, codings.length - 1)];
          return decodeSymbols(chunk, coding, alphabet, stored);
        },
        factor() {
          const fields = factors.shift();
          if (!fields) throw new RangeError("a factor is missing");
          const factor = tensor(fields, name, `${prefix}${factorName}.`);
          factorName = "b";
          return factor;
        },
      };
      try {
        if (Array.isArray(fields.shape)) {
          left -= fields.shape.reduce((product: number, n) => product * n, 1);
          if (left < 0)
            throw new RangeError(`there are more than maxElements = ${maxElements} numbers up to here`);
        }
        const value = putTogether(fields, read);
        if (entries.length || factors.length) throw new RangeError("there are streams too many");
        return value;
      } catch (error) {
        if (prefix) throw error;
        throw new RangeError(`tensor ${shown(name)}: ${(error as Error).message}`);
      }
    };

    const tensors: Record<string, SlimTensor> = {};
    for (const fields of list) {
      checkObject("a tensor", fields);
      if (typeof fields.name !== "string" || Object.hasOwn(tensors, fields.name))
        throw new RangeError(`tensor names must be strings and differ, got ${shown(fields.name)}`);
      // defineProperty: a tensor may be called __proto__, and must not become one.
      const value = tensor(fields, fields.name, "");
      Object.defineProperty(tensors, fields.name, {
        value,
        enumerable: true,
        writable: true,
        configurable: true,
      });
    }
    if (at !== end) throw new RangeError(`${end - at} bytes are left over`);
    const { topology, meta } = header as Pick<SlimModel, "topology" | "meta">;
    return {
      model: {
        ...(topology === undefined ? {} : { topology }),
        ...(meta === undefined ? {} : { meta }),
        tensors,
      },
      parts,
    };
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function checkObject(name: string, value: unknown): asserts value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new RangeError(`${name} must be an object, got ${shown(value)}`);
}

function checkList<T>(name: string, value: unknown): readonly T[] {
  if (!Array.isArray(value)) throw new RangeError(`${name} must be a list, got ${shown(value)}`);
  return value;
}

const bigEndianMachine = new Uint8Array(Uint16Array.of(1).buffer)[0] === 0;

function littleEndian(numbers: Numbers): Uint8Array {
  const bytes = new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength).slice();
  return bigEndianMachine ? swapped(bytes, numbers.BYTES_PER_ELEMENT) : bytes;
}

function fromLittleEndian<T extends Numbers>(
  chunk: Uint8Array,
  type: new (buffer: ArrayBuffer) => T,
  name: string,
): T {
  const size = (type as unknown as { BYTES_PER_ELEMENT: number }).BYTES_PER_ELEMENT;
  if (chunk.length % size !== 0) throw new RangeError(`${name} does not hold whole numbers of ${size} bytes`);
  // A copy: typed arrays must be aligned, and what is read should not keep the whole file in memory.
  const bytes = new Uint8Array(chunk);
  return new type((bigEndianMachine ? swapped(bytes, size) : bytes).buffer as ArrayBuffer);
}

function swapped(bytes: Uint8Array, size: number): Uint8Array {
  for (let i = 0; i < bytes.length; i += size) bytes.subarray(i, i + size).reverse();
  return bytes;
}
