// §4 The .slim file, version 2: everything but the model's description is one stream of arithmetic-coded bits, each with
// the chance that its contexts have learnt. Byte by byte in slim.md, beside this file.

import { deflateRaw, inflateRaw, sha256 } from "#platform";
import type { Grid, Quantized } from "../quantization/fixed-point.ts";
import { emptyCodes } from "../quantization/packing.ts";
import { codeRange, isSignGrid, type Scheme, schemes } from "../quantization/range.ts";
import { toCsc, toCsr, toDense } from "../sparse/matrix.ts";
import { checkInteger, shown } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { architectures } from "./architectures.ts";
import { BitDecoder, BitEncoder } from "./binary-coder.ts";
import { CellCoder, type Matrix, type RowMap } from "./cells.ts";
import { fromRelative, toRelative } from "./relative-index.ts";
import { checkDepth, type SlimModel, type SlimTensor, shapeOf, tensorKinds } from "./tensors.ts";

export const magic2 = Uint8Array.from([0x53, 0x4c, 0x1a, 0x02]);

/** What a part of a file takes. */
export interface Part2 {
  tensor: string;
  stream: string;
  bytes: number;
}

/** Bytes of the checksum, the first of SHA-256: a small file has little to damage. */
export function checksumBytes(fileLength: number): number {
  return fileLength <= 2 ** 14 ? 4 : fileLength <= 2 ** 20 ? 8 : 32;
}

/** What cannot be said in version 2, which is then left to version 1. */
export class NotInVersion2 extends Error {}

/** What is wrong with the file as a whole. */
export class WrongFile extends Error {}

/** What the JSON of a header holds. */
interface Description {
  topology?: unknown;
  meta?: Record<string, unknown>;
  /** Names of the tensors, where no architecture gives them. */
  names?: string[];
}

/**
 * A model as the bytes of a version 2 file.
 *
 * @throws NotInVersion2 for what it cannot hold: sparse matrices with explicit zeros, gaps that nobody would write
 */
export function encodeVersion2(model: SlimModel): Uint8Array {
  const { topology, tensors } = model;
  const names = Object.keys(tensors);
  const shapes = names.map((name) => shapeOf(tensors[name]));
  const known = architectures.findIndex(
    (architecture) =>
      same(architecture.topology, topology) &&
      same(
        architecture.tensors,
        names.map((name, i) => [name, shapes[i]]),
      ),
  );
  const { masked, meta } = splitMeta(model.meta, names);
  const description: Description = {
    ...(known >= 0 || topology === undefined ? {} : { topology }),
    ...(meta === undefined ? {} : { meta }),
    ...(known >= 0 ? {} : { names }),
  };
  const text = Object.keys(description).length === 0 ? "" : JSON.stringify(description);
  const raw = new TextEncoder().encode(text);
  const packed = raw.length === 0 ? raw : deflateRaw(raw);
  const head = [
    ...magic2,
    known + 1,
    ...varint(packed.length),
    ...(packed.length === 0 ? [] : varint(raw.length)),
  ];
  const coder = new BitEncoder();
  const walk = new TensorCoder(coder);
  names.forEach((name, i) => {
    walk.flag(masked.includes(name));
    walk.tensor(tensors[name], known >= 0 ? shapes[i] : undefined, () => {});
  });
  const body = coder.finish();
  const content = head.length + packed.length + body.length;
  const sum = [4, 8, 32].find((n) => checksumBytes(content + n) === n)!;
  const bytes = new Uint8Array(content + sum);
  bytes.set(head);
  bytes.set(packed, head.length);
  bytes.set(body, head.length + packed.length);
  bytes.set(sha256(bytes.subarray(0, content)).subarray(0, sum), content);
  return bytes;
}

/**
 * Reads a version 2 file.
 *
 * @param maxElements how many numbers all tensors together may have
 * @throws RangeError when any byte is not as it must be
 */
export function decodeVersion2(bytes: Uint8Array, maxElements: number): { model: SlimModel; parts: Part2[] } {
  const sum = checksumBytes(bytes.length);
  const end = bytes.length - sum;
  if (end < 6) throw new WrongFile(`is truncated: it has ${bytes.length} bytes`);
  const expected = sha256(bytes.subarray(0, end)).subarray(0, sum);
  if (expected.some((byte, i) => byte !== bytes[end + i]))
    throw new WrongFile("is damaged or truncated: its checksum does not fit its content");
  const reader = new Head(bytes.subarray(0, end), magic2.length);
  const number = reader.byte();
  const architecture = number === 0 ? undefined : architectures[number - 1];
  if (number > 0 && architecture === undefined)
    throw new WrongFile(`has architecture ${number}, this slimlab knows ${architectures.length}`);
  const description = reader.description();
  const topology = architecture ? structuredClone(architecture.topology) : description.topology;
  const names = architecture ? architecture.tensors.map(([name]) => name) : description.names;
  checkNames(names);
  const parts: Part2[] = [{ tensor: "", stream: "header and checksum", bytes: reader.at + sum }];
  const coder = new BitDecoder(bytes.subarray(reader.at, end));
  const walk = new TensorCoder(coder, maxElements);
  const tensors: Record<string, SlimTensor> = {};
  const masked: string[] = [];
  let at = 0;
  for (const [i, name] of names.entries()) {
    const note = (stream: string) => {
      parts.push({ tensor: name, stream, bytes: coder.position - at });
      at = coder.position;
    };
    if (walk.flag(false)) masked.push(name);
    let value: SlimTensor;
    try {
      value = walk.tensor(undefined, architecture?.tensors[i][1] as number[] | undefined, note);
    } catch (error) {
      throw new RangeError(`tensor ${shown(name)}: ${(error as Error).message}`);
    }
    // defineProperty: a tensor may be called __proto__, and must not become one.
    Object.defineProperty(tensors, name, { value, enumerable: true, writable: true, configurable: true });
  }
  coder.finish();
  // The last bits wait in the decoder's window, and are the last tensor's.
  parts[parts.length - 1].bytes += end - reader.at - at;
  const meta = joinMeta(description.meta, masked);
  return {
    model: { ...(topology === undefined ? {} : { topology }), ...(meta ? { meta } : {}), tensors },
    parts,
  };
}

/** The fields before the bits. */
class Head {
  at: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  byte(): number {
    if (this.at >= this.#bytes.length) throw new RangeError("the header is longer than the file");
    return this.#bytes[this.at++];
  }

  /** Seven bits a byte, the lowest first. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new RangeError("a number in the header has more than 35 bits");
  }

  description(): Description {
    const length = this.varint();
    if (length === 0) return {};
    const unpacked = checkInteger("header bytes", this.varint(), 1, 2 ** 20 + 16 * this.#bytes.length);
    if (this.at + length > this.#bytes.length) throw new RangeError("the header is longer than the file");
    const raw = inflateRaw(this.#bytes.subarray(this.at, this.at + length), unpacked);
    if (raw.length !== unpacked) throw new RangeError("the header's length is not as stated");
    this.at += length;
    const description = JSON.parse(new TextDecoder().decode(raw));
    if (typeof description !== "object" || description === null || Array.isArray(description))
      throw new RangeError(`the header must be an object, got ${shown(description)}`);
    const { meta } = description;
    if (meta !== undefined && (typeof meta !== "object" || meta === null || Array.isArray(meta)))
      throw new RangeError(`meta must be an object, got ${shown(meta)}`);
    return description;
  }
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) + 128, ...varint(Math.floor(value / 128))];
}

function checkNames(names: unknown): asserts names is string[] {
  if (!Array.isArray(names)) throw new RangeError(`names must be a list, got ${shown(names)}`);
  const seen = new Set<unknown>();
  for (const name of names) {
    if (typeof name !== "string" || seen.has(name))
      throw new RangeError(`tensor names must be strings and differ, got ${shown(name)}`);
    seen.add(name);
  }
}

/** Which kernels have masks is a bit each, where `meta.masked` names them as `saveSlim` does. */
function splitMeta(meta: Record<string, unknown> | undefined, names: string[]) {
  const { masked, ...rest } = (meta ?? {}) as { masked?: unknown };
  const nothing = { masked: [] as string[], meta };
  if (!Array.isArray(masked) || masked.length === 0) return nothing;
  const tensors = masked.map((layer) => names.filter((name) => layerOf(name) === layer)[0]);
  const inOrder = names.filter((name) => tensors.includes(name));
  if (tensors.includes(undefined as never) || !same(inOrder, tensors)) return nothing;
  return { masked: inOrder, meta: Object.keys(rest).length === 0 ? undefined : rest };
}

function joinMeta(meta: Record<string, unknown> | undefined, tensors: string[]) {
  if (tensors.length === 0) return meta;
  return { ...meta, masked: tensors.map(layerOf) };
}

/** `fc1/kernel` is of layer `fc1`. */
const layerOf = (tensor: string) => tensor.slice(0, Math.max(0, tensor.lastIndexOf("/")));

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** Codes tensors one after the other; with a {@link BitDecoder} it makes them. */
class TensorCoder {
  readonly #cells: CellCoder;
  readonly #reads: boolean;
  #left: number;
  /** The columns of the last matrix: the channels of the next one's rows, where those are maps. */
  #channels = 0;

  constructor(coder: BitEncoder | BitDecoder, maxElements = Number.POSITIVE_INFINITY) {
    this.#cells = new CellCoder(coder);
    this.#reads = coder instanceof BitDecoder;
    this.#left = maxElements;
  }

  flag(bit: boolean): boolean {
    return this.#cells.flag(bit);
  }

  /**
   * @param given the tensor; a decoder is not given one
   * @param known its shape, where an architecture says it
   * @param note told where each stream ends
   * @param depth in how many products it is a factor
   */
  tensor(
    given: SlimTensor | undefined,
    known: number[] | undefined,
    note: (stream: string) => void,
    depth = 0,
  ): SlimTensor {
    checkDepth(depth);
    const cells = this.#cells;
    const number = cells.number(given ? tensorKinds.indexOf(given.kind) : 0);
    const kind = tensorKinds[checkInteger("kind", number, 0, tensorKinds.length - 1)];
    const shape = known ?? this.#shape(given && shapeOf(given));
    const size = elements(shape);
    if (!(size <= this.#left))
      throw new RangeError(
        `there are ${size} numbers, ${Math.max(0, this.#left)} are left of what maxElements allows`,
      );
    this.#left -= size;
    const of = <Kind extends SlimTensor["kind"]>() =>
      given as Extract<SlimTensor, { kind: Kind }> | undefined;
    switch (kind) {
      case "dense":
        if (of<"dense">()?.format !== undefined) throw new NotInVersion2("floats of 16 bits");
        return { kind, shape, values: this.#floats(shape, of<"dense">()?.values, note) };
      case "relative": {
        const entries = of<"relative">()?.entries;
        const bits = checkInteger("bits", cells.number(entries?.bits ?? 0), 1, 8);
        const values = this.#floats(shape, entries && fromRelative(entries), note);
        const again = toRelative(values, bits);
        if (entries && !sameNumbers(again.gaps, entries.gaps)) throw new NotInVersion2("gaps");
        return { kind, shape, entries: again };
      }
      case "sparse":
        return this.#sparse(shape, of<"sparse">(), note);
      case "quantized":
        return { kind, quantized: this.#quantized(shape, of<"quantized">()?.quantized, note) };
      case "codebook":
        return this.#codebook(shape, of<"codebook">(), note);
      case "lowrank": {
        const product = of<"lowrank">();
        const a = this.tensor(product?.a, undefined, (stream) => note(`a.${stream}`), depth + 1);
        const b = this.tensor(product?.b, undefined, (stream) => note(`b.${stream}`), depth + 1);
        const [left, right] = [shapeOf(a), shapeOf(b)];
        const fits =
          left.length === 2 && right.length === 2 && left[1] === right[0] && size === left[0] * right[1];
        if (!fits) throw new RangeError(`shape must be the product's, got ${shape.join(" × ")}`);
        return { kind, shape, a, b };
      }
    }
  }

  #shape(given: number[] | undefined): number[] {
    const rank = checkInteger("rank", this.#cells.number(given?.length ?? 0), 0, 16);
    return Array.from({ length: rank }, (_, i) => this.#cells.number(given?.[i] ?? 0));
  }

  /** A matrix whose columns are the last axis, and how its rows lie; the encoder says which of the likely ways it is. */
  #matrix(shape: number[]): Matrix {
    const cols = shape.at(-1) ?? 1;
    const rows = cols === 0 ? 0 : elements(shape) / cols;
    const ways = mapsOf(shape, rows, this.#channels);
    this.#channels = cols;
    return { rows, cols, map: ways };
  }

  /** Floats of which many are 0: positions, and then the others' bits. */
  #floats(shape: number[], given: Float32Array | undefined, note: (stream: string) => void): Float32Array {
    const values = given ? given.slice() : new Float32Array(elements(shape));
    if (values.length !== elements(shape))
      throw new RangeError(`values must have ${elements(shape)} elements, got ${values.length}`);
    if (values.length === 0) return values;
    const bits = new Uint32Array(values.buffer);
    const matrix = this.#matrix(shape);
    const kept = new Uint8Array(values.length);
    // By their bits: −0 is a number of its own, and NaN is one like any other.
    for (let i = 0; i < kept.length; i++) kept[i] = bits[i] === 0 ? 0 : 1;
    this.#cells.positions(matrix, kept);
    note("positions");
    for (let i = 0; i < kept.length; i++) if (kept[i] === 1) bits[i] = this.#cells.float(bits[i]);
    note("values");
    return values;
  }

  #sparse(
    shape: number[],
    given: Extract<SlimTensor, { kind: "sparse" }> | undefined,
    note: (stream: string) => void,
  ): SlimTensor {
    const matrix = given?.matrix;
    const format = this.flag(matrix?.format === "csc") ? "csc" : "csr";
    const rows = this.#cells.number(matrix?.rows ?? 0);
    const cols = this.#cells.number(matrix?.cols ?? 0);
    checkInteger("rows × cols", rows * cols, elements(shape), elements(shape));
    const values = this.#floats(shape, matrix && toDense(matrix), note);
    const again = format === "csr" ? toCsr(values, rows, cols) : toCsc(values, rows, cols);
    if (
      matrix &&
      !(
        sameNumbers(again.pointers, matrix.pointers) &&
        again.indices.BYTES_PER_ELEMENT === matrix.indices.BYTES_PER_ELEMENT
      )
    )
      throw new NotInVersion2("explicit zeros, or wider indices than needed");
    return { kind: "sparse", shape, matrix: again };
  }

  #quantized(shape: number[], given: Quantized | undefined, note: (stream: string) => void): Quantized {
    const cells = this.#cells;
    if (given && (given.span !== undefined || given.group !== undefined || given.scaleType !== undefined))
      throw new NotInVersion2("scales by groups, over several axes, or in float16");
    const bits = checkInteger("bits", cells.number(given?.bits ?? 0), 1, 16);
    const scheme: Scheme =
      schemes[checkInteger("scheme", cells.number(given ? schemes.indexOf(given.scheme) : 0), 0, 1)];
    const signed = this.flag(given?.signed ?? false);
    const place = checkInteger(
      "axis",
      cells.number(given?.axis === undefined ? 0 : given.axis + 1),
      0,
      shape.length,
    );
    const axis = place === 0 ? undefined : place - 1;
    const channels = axis === undefined ? 1 : shape[axis];
    const scale = given ? given.scale.slice() : new Float32Array(channels);
    const zeroPoint = given ? given.zeroPoint.slice() : new Int32Array(channels);
    if (scale.length !== channels || zeroPoint.length !== channels)
      throw new RangeError(`scale must have ${channels} elements, got ${scale.length}`);
    cells.floats(new Uint32Array(scale.buffer));
    if (scheme === "affine") for (let c = 0; c < channels; c++) zeroPoint[c] = cells.signed(zeroPoint[c]);
    else if (zeroPoint.some((zero) => zero !== 0))
      throw new NotInVersion2("a symmetric grid with zero points");
    note("grid");
    const grid: Grid = { bits, scheme, signed, axis, shape, scale, zeroPoint };
    const size = elements(shape);
    const codes = given ? given.codes : emptyCodes(size, bits, signed);
    if (codes.length !== size) throw new RangeError(`codes must have ${size} elements, got ${codes.length}`);
    const { low, high } = codeRange(grid);
    const inner = axis === undefined ? size : elements(shape.slice(axis + 1));
    const levels = new Int32Array(size);
    // Counting on instead of dividing: a division for each weight is most of a sparse kernel's time.
    const next = (at: number) => (at + 1 === channels ? 0 : at + 1);
    const isSign = isSignGrid(grid);
    const isCentred = !isSign && zeroPoint.every((zero) => zero === 0);
    if (given && isCentred) levels.set(codes);
    else if (given)
      for (let i = 0, left = inner, at = 0; i < size; i++) {
        levels[i] = codes[i] - zeroPoint[at];
        if (--left === 0) [left, at] = [inner, next(at)];
      }
    const { cells: nonZero } = this.#levels(shape, levels, undefined, note);
    const put = (i: number, zero: number) => {
      const code = levels[i] + zero;
      if (code < low || code > high || (isSign && code === 0))
        throw new RangeError(`codes must be from ${low} to ${high}, got ${code} at index ${i}`);
      codes[i] = code;
    };
    // Around 0 a level is its code, and of the zeros, which are most of a sparse kernel, there is nothing to check.
    if (isCentred && nonZero) for (let k = 0; k < nonZero.length; k++) put(nonZero[k], 0);
    else
      for (let i = 0, left = inner, at = 0; i < size; i++) {
        put(i, zeroPoint[at]);
        if (--left === 0) [left, at] = [inner, next(at)];
      }
    return { ...grid, codes };
  }

  #codebook(
    shape: number[],
    given: Extract<SlimTensor, { kind: "codebook" }> | undefined,
    note: (stream: string) => void,
  ): SlimTensor {
    const size = elements(shape);
    const codebook = this.#book(given?.codebook);
    note("codebook");
    // Numbered by their side of 0, so that neighbours in value are neighbours in number.
    const below = isAscending(codebook) ? codebook.filter((value) => value < 0).length : 0;
    const hasMask = this.flag(given?.mask !== undefined);
    const levels = new Int32Array(size);
    if (given) {
      if (given.codes.length !== size || (given.mask && given.mask.length !== size))
        throw new RangeError(`codes must have ${size} elements, got ${given.codes.length}`);
      for (let i = 0; i < size; i++) {
        if (given.mask?.[i] === 0) continue;
        const code = given.codes[i];
        if (!(code < codebook.length))
          throw new RangeError(`codes must be below ${codebook.length}, got ${code} at index ${i}`);
        levels[i] = code < below ? code - below : code - below + 1;
      }
    }
    const { kept } = this.#levels(shape, levels, hasMask ? undefined : new Uint8Array(size).fill(1), note);
    const codes = codebook.length <= 256 ? new Uint8Array(size) : new Uint16Array(size);
    for (let i = 0; i < size; i++) {
      if (kept[i] === 0) continue;
      const code = levels[i] < 0 ? levels[i] + below : levels[i] + below - 1;
      if (code < 0 || code >= codebook.length)
        throw new RangeError(`codes must be below ${codebook.length}, got ${code} at index ${i}`);
      codes[i] = code;
    }
    return { kind: "codebook", shape, codes, codebook, ...(hasMask ? { mask: kept } : {}) };
  }

  /** A codebook: one step where all values are whole multiples of it, floats otherwise. */
  #book(given: Float32Array | undefined): Float32Array {
    const cells = this.#cells;
    const length = checkInteger("codebook length", cells.number(given?.length ?? 0), 1, 65535);
    const even = given && evenOf(given);
    const book = given ? given.slice() : new Float32Array(length);
    if (this.flag(even !== undefined)) {
      const step = floatOf(cells.float(even ? bitsOfFloat(even.step) : 0));
      let multiple = 0;
      for (let i = 0; i < length; i++) {
        const next = even ? even.multiples[i] : 0;
        multiple = i === 0 ? cells.signed(next) : multiple + 1 + cells.number(next - multiple - 1);
        book[i] = Math.fround(multiple * step);
      }
    } else cells.floats(new Uint32Array(book.buffer));
    return book;
  }

  /**
   * Signed whole numbers of which some are 0.
   *
   * @param all given where none is 0: nothing has to be said of positions then
   * @returns which are not 0, and their places; no places where that is all
   */
  #levels(
    shape: number[],
    levels: Int32Array,
    all: Uint8Array | undefined,
    note: (stream: string) => void,
  ): { kept: Uint8Array; cells?: Int32Array } {
    if (levels.length === 0) return { kept: new Uint8Array(0) };
    const matrix = this.#matrix(shape);
    let most = 1;
    const kept = all ?? new Uint8Array(levels.length);
    // A reader's levels are still to come.
    const given = this.#reads ? 0 : levels.length;
    for (let i = 0; i < given; i++) {
      const level = levels[i];
      if (level === 0) continue;
      if (!all) kept[i] = 1;
      if (level > most || -level > most) most = Math.abs(level);
    }
    most = checkInteger("greatest level", this.#cells.number(most), 1, 2 ** 17);
    const cells = all ? undefined : this.#cells.positions(matrix, kept);
    note("positions");
    this.#cells.levels(matrix, cells, levels, most);
    note("values");
    return { kept, cells };
  }
}

/** How a matrix's rows lie: a convolution's kernel is a map; so are a square's pixels, and maps that were flattened. */
function mapsOf(shape: number[], rows: number, channels: number): RowMap {
  if (shape.length === 4) return [shape[0], shape[1], shape[2]];
  if (channels > 0 && rows % channels === 0 && rows > channels) {
    const side = Math.sqrt(rows / channels);
    if (Number.isInteger(side)) return [side, side, channels];
  }
  const side = Math.sqrt(rows);
  return Number.isInteger(side) && side > 4 && channels !== rows ? [side, side, 1] : [rows, 1, 1];
}

/** Step and whole multiples of an even codebook, if it is one: exactly, as 32-bit floats. */
function evenOf(book: Float32Array): { step: number; multiples: number[] } | undefined {
  if (!isAscending(book)) return undefined;
  const least = book.reduce(
    (min, value) => (value !== 0 ? Math.min(min, Math.abs(value)) : min),
    Number.POSITIVE_INFINITY,
  );
  if (!Number.isFinite(least)) return undefined;
  for (const parts of [1, 2, 3]) {
    const step = Math.fround(least / parts);
    const multiples = Array.from(book, (value) => Math.round(value / step));
    const fits = multiples.every(
      (multiple, i) =>
        Math.abs(multiple) < 65536 &&
        Object.is(Math.fround(multiple * step), book[i]) &&
        (i === 0 || multiple > multiples[i - 1]),
    );
    if (fits) return { step, multiples };
  }
  return undefined;
}

const isAscending = (book: Float32Array) => book.every((value, i) => i === 0 || value > book[i - 1]);

const bitsOfFloat = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0];
const floatOf = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer)[0];

function sameNumbers(a: ArrayLike<number>, b: ArrayLike<number>): boolean {
  return a.length === b.length && Array.prototype.every.call(a, (value, i) => value === b[i]);
}
