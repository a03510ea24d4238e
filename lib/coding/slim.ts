// §4 The .slim file: a whole compressed model in one file, as small as its parts allow, read strictly.
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
import { checkInteger, checkOneOf } from "../util/check.ts";
import { type Coding, codings, decodeSymbols, encodeSymbols } from "./symbols.ts";
import {
  type Numbers,
  putTogether,
  type SlimTensor,
  type StreamReader,
  takeApart,
  tensorValues,
  variants,
} from "./tensors.ts";

const magic = Uint8Array.from([0x53, 0x4c, 0x49, 0x4d, 0x0d, 0x0a, 0x1a, 0x0a]);
const version = 1;
const fixed = 20;
const digest = 32;
const headerLimit = 2 ** 26;

/** A compressed model. */
export interface SlimModel {
  /** How the layers are connected: TensorFlow.js's topology JSON, or whatever the program needs to rebuild the model. */
  topology?: unknown;
  /** Anything worth keeping: accuracy, data, how it was made. JSON. */
  meta?: Record<string, unknown>;
  /** The weights by name, in their order. */
  tensors: Record<string, SlimTensor>;
}

export interface SlimOptions {
  /** How symbols are coded; by default, stream by stream, what comes out smallest. */
  coding?: Coding | "auto";
}

/** What a part of a .slim file takes. */
export interface SlimPart {
  tensor: string;
  /** Of which the tensor consists; `a.` and `b.` before the name are a product's factors. */
  stream: string;
  /** How its symbols are coded; undefined for plain numbers. */
  coding: Coding | undefined;
  bytes: number;
}

/** A stream in the header: its name, its bytes, and for symbols their number and coding. */
type Entry = [name: string, bytes: number] | [name: string, bytes: number, count: number, coding: number];

/** A model as the bytes of a .slim file. */
export function encodeSlim(model: SlimModel, { coding = "auto" }: SlimOptions = {}): Uint8Array {
  checkOneOf("coding", coding, [...codings, "auto"]);
  const chunks: Uint8Array[] = [];
  const tensors = Object.entries(model.tensors).map(([name, tensor]) => {
    try {
      const encoded = encodeTensor(tensor, coding);
      chunks.push(...encoded.chunks);
      return { name, ...encoded.header };
    } catch (error) {
      throw new RangeError(`tensor ${JSON.stringify(name)}: ${(error as Error).message}`);
    }
  });
  const header = new TextEncoder().encode(
    JSON.stringify({ topology: model.topology, meta: model.meta, tensors }),
  );
  checkInteger("header bytes", header.length, 0, headerLimit);
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
function encodeTensor(tensor: SlimTensor, coding: Coding | "auto"): { header: object; chunks: Uint8Array[] } {
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
      const parts = factors.map((factor) => encodeTensor(factor, coding));
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
 * @throws Error when any byte is not as it must be
 */
export function decodeSlim(bytes: Uint8Array, name = "the .slim file"): SlimModel {
  return parse(bytes, name).model;
}

/** What each part of a .slim file takes, in the file's order; with the header first, the sum is the file's length. */
export function slimParts(bytes: Uint8Array, name = "the .slim file"): SlimPart[] {
  return parse(bytes, name).parts;
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
export async function readSlim(path: string): Promise<SlimModel> {
  return decodeSlim(await readBytes(path), path);
}

function parse(bytes: Uint8Array, file: string): { model: SlimModel; parts: SlimPart[] } {
  if (magic.some((byte, i) => bytes[i] !== byte)) throw new Error(`${file} is not a .slim file`);
  if (bytes.length < fixed + digest) throw new Error(`${file} is truncated: it has ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = view.getUint32(8, true);
  if (found !== version)
    throw new Error(`${file} has version ${found} of the format, this slimlab reads version ${version}`);
  const end = bytes.length - digest;
  const sum = sha256(bytes.subarray(0, end));
  if (sum.some((byte, i) => byte !== bytes[end + i]))
    throw new Error(`${file} is damaged or truncated: its SHA-256 does not fit its content`);

  try {
    const [packedLength, headerLength] = [view.getUint32(12, true), view.getUint32(16, true)];
    const start = fixed + packedLength;
    if (start > end) throw new RangeError("the header is longer than the file");
    checkInteger("header bytes", headerLength, 0, headerLimit);
    const raw = inflateRaw(bytes.subarray(fixed, start), headerLength);
    if (raw.length !== headerLength) throw new RangeError("the header's length is not as stated");
    const header = JSON.parse(new TextDecoder().decode(raw));
    const parts: SlimPart[] = [
      { tensor: "", stream: "header and checksum", coding: undefined, bytes: start + digest },
    ];
    let at = start;

    const tensor = (fields: Record<string, unknown>, name: string, prefix: string): SlimTensor => {
      const entries = [...((fields.streams ?? []) as Entry[])];
      const factors = [...((fields.factors ?? []) as Record<string, unknown>[])];
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
        const value = putTogether(fields, read);
        if (entries.length || factors.length) throw new RangeError("there are streams too many");
        return value;
      } catch (error) {
        if (prefix) throw error;
        throw new RangeError(`tensor ${JSON.stringify(name)}: ${(error as Error).message}`);
      }
    };

    const tensors: Record<string, SlimTensor> = {};
    for (const fields of header.tensors) {
      if (typeof fields.name !== "string" || Object.hasOwn(tensors, fields.name))
        throw new RangeError(`tensor names must be strings and differ, got ${JSON.stringify(fields.name)}`);
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
    const { topology, meta } = header;
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
