// GGUF files: a language model's tensors and what a program must know of it (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md,
// version 3). Like safetensors it is opened by its header, and read and written tensor by tensor.
//
//   "GGUF", u32 version, u64 tensors, u64 entries of metadata
//   metadata: name, u32 type, value; texts have a u64 length before them
//   tensors:  name, u32 axes, u64 sizes (the fastest first), u32 type, u64 offset
//   …         the tensors' bytes, each at a multiple of general.alignment (32)
import { type OpenFile, writePartsAtomic } from "#platform";
import { fileOf } from "../../platform/memory.ts";
import { checkOneOf, shown } from "../../util/check.ts";
import { joinBytes } from "../../util/join.ts";
import { elements } from "../../util/shape.ts";
import { refuse } from "../error.ts";
import { openWith } from "../open.ts";
import { type GgufType, type GgufTypeInfo, ggufTypes, packGguf, unpackGguf } from "./blocks.ts";

/** The types of metadata, by their number in the file. */
export const ggufValueTypes = [
  "uint8",
  "int8",
  "uint16",
  "int16",
  "uint32",
  "int32",
  "float32",
  "bool",
  "string",
  "array",
  "uint64",
  "int64",
  "float64",
] as const;
export type GgufValueType = (typeof ggufValueTypes)[number];

/** An entry of metadata with its type, so that it can be written as it was. */
export type GgufValue =
  | { type: Exclude<GgufValueType, "array">; value: number | bigint | boolean | string }
  | { type: "array"; of: GgufValueType; values: readonly (number | bigint | boolean | string | GgufValue)[] };

/** What the header says of a tensor. */
export interface GgufEntry {
  type: GgufType;
  /** Row-major, the slowest axis first: the reverse of the order in the file. */
  shape: readonly number[];
}

/** A tensor to be written; its values are asked for when it is its turn. */
export interface GgufTensor extends GgufEntry {
  /** Floats, which are rounded to the type, or the type's bytes. */
  values: () => Float32Array | Uint8Array | Promise<Float32Array | Uint8Array>;
}

/** A file that is open. */
export interface GgufFile {
  readonly version: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  readonly tensors: ReadonlyMap<string, GgufEntry>;
  /** The bytes of a tensor, as they stand in the file. */
  bytes(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * The numbers of a tensor as floats.
   * @throws RangeError for a name that is not there, or a type that is known by its size alone
   */
  floats(name: string): Promise<Float32Array<ArrayBuffer>>;
  close(): Promise<void>;
}

interface Place extends GgufEntry {
  offset: number;
  length: number;
}

/**
 * Opens a GGUF file.
 * @throws FormatError that names the file and what is wrong with its header
 */
export function openGguf(path: string): Promise<GgufFile> {
  return openWith(path, read);
}

/** {@link openGguf} for a file that is in memory already. */
export function decodeGguf(bytes: Uint8Array, name = "the GGUF file"): Promise<GgufFile> {
  return read(fileOf(bytes), name);
}

/** Headers grow with their vocabularies: those of language models have some megabytes. */
const firstRead = 1 << 20;
const headerLimit = 1 << 28;

async function read(file: OpenFile, path: string): Promise<GgufFile> {
  for (let length = Math.min(file.size, firstRead); ; length = Math.min(file.size, 8 * length)) {
    try {
      return opened(file, path, new Header(await file.read(0, length)));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      if (length >= file.size || length >= headerLimit)
        refuse(path, `is no GGUF file, or damaged: ${error.message}`, error);
    }
  }
}

function opened(file: OpenFile, path: string, header: Header): GgufFile {
  if (header.text(4) !== "GGUF") refuse(path, "is no GGUF file");
  const version = header.number("uint32") as number;
  if (version !== 3 && version !== 2) refuse(path, `has version ${version} of GGUF, known are 2 and 3`);
  const [count, entries] = [header.size(), header.size()];
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < entries; i++) metadata.set(header.string(), header.value());
  const places = new Map<string, Place>();
  for (let i = 0; i < count; i++) {
    const name = header.string();
    if (places.has(name)) refuse(path, `has two tensors ${shown(name)}`);
    places.set(name, header.place(name, path));
  }
  const alignment = alignmentOf(metadata, path);
  const start = Math.ceil(header.at / alignment) * alignment;
  for (const [name, { offset, length }] of places)
    if (offset % alignment !== 0 || start + offset + length > file.size)
      refuse(
        path,
        `tensor ${shown(name)} of ${length} bytes at ${offset} does not lie in the file: truncated or damaged`,
      );
  const at = (name: string): Place => {
    const place = places.get(name);
    if (!place) throw new RangeError(`${path} has no tensor ${shown(name)}`);
    return place;
  };
  const bytes = async (name: string) => file.read(start + at(name).offset, at(name).length);
  return {
    version,
    metadata,
    tensors: places,
    bytes,
    floats: async (name) => unpackGguf(at(name).type, await bytes(name)),
    close: () => file.close(),
  };
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, path: string): number {
  const entry = metadata.get("general.alignment");
  if (!entry) return 32;
  const value = entry.type === "array" ? 0 : Number(entry.value);
  if (!Number.isInteger(value) || value < 1 || value > 65536)
    refuse(path, `general.alignment is ${shown(value)}`);
  return value;
}

/** The most that one axis of a tensor, or all axes together, may have. */
const largest = 2 ** 48;

/** Reads a header from its beginning; throws a RangeError where it ends too early. */
class Header {
  at = 0;
  readonly #view: DataView;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  #skip(length: number): number {
    if (length > this.#bytes.length - this.at) throw new RangeError("its header ends too early");
    this.at += length;
    return this.at - length;
  }

  text(length: number): string {
    const from = this.#skip(length);
    return new TextDecoder().decode(this.#bytes.subarray(from, from + length));
  }

  string(): string {
    return this.text(this.size());
  }

  /** A length: more than the header has left cannot be. */
  size(): number {
    return Number(this.#view.getBigUint64(this.#skip(8), true));
  }

  number(type: Exclude<GgufValueType, "array" | "string">): number | bigint | boolean {
    const view = this.#view;
    switch (type) {
      case "uint8":
        return view.getUint8(this.#skip(1));
      case "int8":
        return view.getInt8(this.#skip(1));
      case "bool":
        return view.getUint8(this.#skip(1)) !== 0;
      case "uint16":
        return view.getUint16(this.#skip(2), true);
      case "int16":
        return view.getInt16(this.#skip(2), true);
      case "uint32":
        return view.getUint32(this.#skip(4), true);
      case "int32":
        return view.getInt32(this.#skip(4), true);
      case "float32":
        return view.getFloat32(this.#skip(4), true);
      case "uint64":
        return view.getBigUint64(this.#skip(8), true);
      case "int64":
        return view.getBigInt64(this.#skip(8), true);
      case "float64":
        return view.getFloat64(this.#skip(8), true);
    }
  }

  value(type = this.#valueType(), depth = 0): GgufValue {
    if (type === "string") return { type, value: this.string() };
    if (type !== "array") return { type, value: this.number(type) };
    if (depth > 4) throw new RangeError("lists lie in lists, more than four deep");
    const of = this.#valueType();
    const count = this.size();
    if (count > this.#bytes.length - this.at)
      throw new RangeError(`a list of ${count} ends behind its header`);
    const values = Array.from({ length: count }, () => {
      if (of === "array") return this.value(of, depth + 1);
      return of === "string" ? this.string() : this.number(of);
    });
    return { type, of, values };
  }

  #valueType(): GgufValueType {
    const code = this.number("uint32") as number;
    if (code >= ggufValueTypes.length) throw new RangeError(`a value has type number ${code}`);
    return ggufValueTypes[code];
  }

  place(name: string, path: string): Place {
    const axes = this.number("uint32") as number;
    if (axes > 8) refuse(path, `tensor ${shown(name)} has ${axes} axes`);
    const shape = Array.from({ length: axes }, () => this.size()).reverse();
    const code = this.number("uint32") as number;
    const offset = this.size();
    const found = Object.entries(ggufTypes).find(([, info]) => info.code === code);
    if (!found) refuse(path, `tensor ${shown(name)} has type number ${code}, which is not known`);
    const [type, { group, bytes }] = found as [GgufType, GgufTypeInfo];
    const count = elements(shape);
    if (!(count < largest) || shape.some((size) => size >= largest) || offset >= largest)
      refuse(path, `tensor ${shown(name)} is said to have ${count} numbers`);
    if (count % group !== 0 || (shape.at(-1) ?? 1) % group !== 0)
      refuse(
        path,
        `tensor ${shown(name)} of ${type} must have rows of a multiple of ${group}, got [${shape}]`,
      );
    return { type, shape, offset, length: (count / group) * bytes };
  }
}

/**
 * Writes a GGUF file (version 3), whole or not at all, one tensor at a time.
 *
 * @param metadata what the reading program must know; `general.architecture` at least, for llama.cpp
 * @returns the file's length in bytes
 * @throws RangeError for a tensor whose values do not fit its shape and type, and for types that GGUF has not
 */
export async function writeGguf(
  path: string,
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: ReadonlyMap<string, GgufTensor>,
  options: { onTensor?: (name: string, done: number, total: number) => void; signal?: AbortSignal } = {},
): Promise<number> {
  let length = 0;
  const counted = async function* () {
    for await (const part of partsOf(metadata, tensors, options)) {
      length += part.length;
      yield part;
    }
  };
  await writePartsAtomic(path, counted());
  return length;
}

async function* partsOf(
  metadata: ReadonlyMap<string, GgufValue>,
  tensors: ReadonlyMap<string, GgufTensor>,
  { onTensor, signal }: Parameters<typeof writeGguf>[3] = {},
): AsyncGenerator<Uint8Array> {
  const alignment = alignmentOf(metadata, "metadata");
  const out = new Output();
  out.bytes(new TextEncoder().encode("GGUF"));
  out.number("uint32", 3);
  out.number("uint64", BigInt(tensors.size));
  out.number("uint64", BigInt(metadata.size));
  for (const [name, value] of metadata) {
    const what = `metadata ${shown(name)}`;
    checkOneOf(`type of ${what}`, value?.type, ggufValueTypes);
    if (value.type === "array") checkOneOf(`type of the values of ${what}`, value.of, ggufValueTypes);
    out.string(name);
    out.value(value);
  }
  const padded = (length: number) => Math.ceil(length / alignment) * alignment;
  let offset = 0;
  for (const [name, { type, shape }] of tensors) {
    checkOneOf(`type of ${shown(name)}`, type, Object.keys(ggufTypes));
    const { code, group, bytes } = ggufTypes[type] as GgufTypeInfo;
    if ((shape.at(-1) ?? 1) % group !== 0)
      throw new RangeError(`${name} of ${type} must have rows of a multiple of ${group}, got [${shape}]`);
    out.string(name);
    out.number("uint32", shape.length);
    for (const size of [...shape].reverse()) out.number("uint64", BigInt(size));
    out.number("uint32", code);
    out.number("uint64", BigInt(offset));
    offset += padded((elements(shape) / group) * bytes);
  }
  const header = out.finish();
  yield header;
  if (tensors.size > 0) yield new Uint8Array(padded(header.length) - header.length);
  let done = 0;
  for (const [name, tensor] of tensors) {
    signal?.throwIfAborted();
    const bytes = await bytesOf(name, tensor);
    yield bytes;
    yield new Uint8Array(padded(bytes.length) - bytes.length);
    onTensor?.(name, ++done, tensors.size);
  }
}

async function bytesOf(name: string, { type, shape, values }: GgufTensor): Promise<Uint8Array> {
  const given = await values();
  const { group, bytes } = ggufTypes[type] as GgufTypeInfo;
  const expected = given instanceof Uint8Array ? (elements(shape) / group) * bytes : elements(shape);
  if (given.length !== expected)
    throw new RangeError(
      `values of ${name} must have ${expected} elements for [${shape}] in ${type}, got ${given.length}`,
    );
  return given instanceof Uint8Array ? given : packGguf(type, given);
}

/** A header as it is written. */
class Output {
  readonly #parts: Uint8Array[] = [];

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes);
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number("uint64", BigInt(bytes.length));
    this.bytes(bytes);
  }

  number(type: Exclude<GgufValueType, "array" | "string">, value: number | bigint | boolean): void {
    const view = new DataView(new ArrayBuffer(8));
    const set: Record<typeof type, () => void> = {
      uint8: () => view.setUint8(0, Number(value)),
      int8: () => view.setInt8(0, Number(value)),
      bool: () => view.setUint8(0, Number(value)),
      uint16: () => view.setUint16(0, Number(value), true),
      int16: () => view.setInt16(0, Number(value), true),
      uint32: () => view.setUint32(0, Number(value), true),
      int32: () => view.setInt32(0, Number(value), true),
      float32: () => view.setFloat32(0, Number(value), true),
      uint64: () => view.setBigUint64(0, BigInt(value), true),
      int64: () => view.setBigInt64(0, BigInt(value), true),
      float64: () => view.setFloat64(0, Number(value), true),
    };
    set[type]();
    const size = type === "bool" ? 1 : Number(/\d+/.exec(type)![0]) / 8;
    this.bytes(new Uint8Array(view.buffer, 0, size));
  }

  value(entry: GgufValue): void {
    this.number("uint32", ggufValueTypes.indexOf(entry.type));
    this.#content(entry);
  }

  #content(entry: GgufValue): void {
    if (entry.type === "string") this.string(String(entry.value));
    else if (entry.type !== "array") this.number(entry.type, entry.value as number);
    else {
      this.number("uint32", ggufValueTypes.indexOf(entry.of));
      this.number("uint64", BigInt(entry.values.length));
      for (const item of entry.values) {
        if (typeof item === "object") this.#content(item);
        else if (entry.of === "string") this.string(String(item));
        else this.number(entry.of as "uint8", item as number);
      }
    }
  }

  finish(): Uint8Array<ArrayBuffer> {
    return joinBytes(this.#parts);
  }
}
