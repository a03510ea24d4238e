// The tensors of a .slim file: in which forms a compressed model keeps its weights, how each form is taken apart into
// streams of numbers and symbols, and what Float32Array it stands for.
import { multiplyFactors } from "../lowrank/factorize.ts";
import { dequantize, type Grid, layoutOf, type Quantized, scaleTypes } from "../quantization/fixed-point.ts";
import { emptyCodes } from "../quantization/packing.ts";
import { codeRange, isSignGrid } from "../quantization/range.ts";
import { checkSparse, type SparseMatrix, toDense } from "../sparse/matrix.ts";
import { checkInteger, checkLength, checkOneOf } from "../util/check.ts";
import { fromHalves, type HalfFormat, halfFormats, halves, toHalves } from "../util/half.ts";
import { elements } from "../util/shape.ts";
import { bestGapBits, fromRelative, type RelativeIndex, toRelative } from "./relative-index.ts";
import { symbolBits } from "./symbols.ts";

/** Every weight as a float of 32 bits, or of 16. */
export interface DenseTensor {
  kind: "dense";
  shape: number[];
  /** With a format, numbers that it holds exactly. */
  values: Float32Array;
  /** Floats of 16 bits; by default they have 32. */
  format?: HalfFormat;
}

/** The weights that are not 0, in lines (`slimlab/sparse`). */
export interface SparseTensor {
  kind: "sparse";
  shape: number[];
  matrix: SparseMatrix;
}

/** The weights that are not 0, with the gaps between them. */
export interface RelativeTensor {
  kind: "relative";
  shape: number[];
  entries: RelativeIndex<Float32Array>;
}

/** Codes on an affine or symmetric grid, per tensor or per channel (`slimlab/quantization`); the grid has the shape. */
export interface QuantizedTensor {
  kind: "quantized";
  quantized: Quantized;
}

/** Codes into a codebook (`clusterWeights` of `slimlab/quantization`); with a mask, pruned weights take no code. */
export interface CodebookTensor {
  kind: "codebook";
  shape: number[];
  codes: Uint8Array | Uint16Array;
  codebook: Float32Array;
  /** 1 = kept, 0 = pruned. */
  mask?: Uint8Array;
  /**
   * How a mask is kept: 1 to 8 by gaps of so many bits between kept weights, 0 by giving pruned weights a code of
   * their own. By default whichever takes least.
   */
  gapBits?: number;
}

/** The product of two matrices, each in a form of its own (`slimlab/lowrank`). */
export interface LowRankTensor {
  kind: "lowrank";
  /** Its product is rows x cols: any shape with `shape[last]` = cols. */
  shape: number[];
  /** Shape [rows, rank]. */
  a: SlimTensor;
  /** Shape [rank, cols]. */
  b: SlimTensor;
}

export type SlimTensor =
  | DenseTensor
  | SparseTensor
  | RelativeTensor
  | QuantizedTensor
  | CodebookTensor
  | LowRankTensor;

/** A compressed model. */
export interface SlimModel {
  /** How the layers are connected: TensorFlow.js's topology JSON, or whatever the program needs to rebuild the model. */
  topology?: unknown;
  /** Anything worth keeping: accuracy, data, how it was made. JSON. */
  meta?: Record<string, unknown>;
  /** The weights by name, in their order. */
  tensors: Record<string, SlimTensor>;
}

export const tensorKinds = ["dense", "sparse", "relative", "quantized", "codebook", "lowrank"] as const;

/** A tensor's shape. */
export function shapeOf(tensor: SlimTensor): number[] {
  return tensor.kind === "quantized" ? tensor.quantized.shape : tensor.shape;
}

/** The weights that a tensor stands for, row-major. */
export function tensorValues(tensor: SlimTensor): Float32Array {
  switch (tensor.kind) {
    case "dense":
      return tensor.values.slice();
    case "sparse":
      return toDense(tensor.matrix);
    case "relative":
      return fromRelative(tensor.entries);
    case "quantized":
      return dequantize(tensor.quantized);
    case "codebook": {
      const { codes, codebook, mask } = tensor;
      // A plain loop: `from` with a function makes a list of the whole tensor first, and ends the process above 2^27.
      const values = new Float32Array(codes.length);
      for (let i = 0; i < values.length; i++) values[i] = mask?.[i] === 0 ? 0 : codebook[codes[i]];
      return values;
    }
    case "lowrank": {
      const [rows, rank] = shapeOf(tensor.a);
      const [a, b] = [tensorValues(tensor.a), tensorValues(tensor.b)];
      return multiplyFactors({ a, b, rows, rank, cols: shapeOf(tensor.b)[1] });
    }
  }
}

/** A tensor taken apart: what the header says of it, and its streams in order. */
export interface Parts {
  /** Goes into the header as it is. */
  fields: Record<string, unknown> & { kind: SlimTensor["kind"]; shape: number[] };
  streams: Stream[];
  /** For a product: its two factors. */
  factors?: [SlimTensor, SlimTensor];
}

export type Numbers = Float32Array | Int32Array | Uint32Array | Uint16Array;

/** Numbers as they are, or symbols to be coded. */
export type Stream =
  | { name: string; numbers: Numbers }
  | { name: string; symbols: ArrayLike<number>; alphabet: number };

/** Takes a tensor apart; checks that it is whole. */
export function takeApart(tensor: SlimTensor): Parts {
  const kind = checkOneOf("kind", tensor.kind, tensorKinds);
  const shape = shapeOf(tensor);
  const size = sizeOf(shape);
  switch (tensor.kind) {
    case "dense":
      checkLength("values", tensor.values, size);
      if (tensor.format !== undefined) {
        const { format, values } = tensor;
        const { to, from } = halves[checkOneOf("format", format, halfFormats)];
        const codes = to(values);
        const wrong = from(codes).findIndex((value, i) => !Object.is(value, values[i]));
        if (wrong >= 0)
          throw new RangeError(
            `values must be numbers that ${format} holds exactly, got ${values[wrong]} at index ${wrong}`,
          );
        return { fields: { kind, shape, format }, streams: [{ name: "values", numbers: codes }] };
      }
      return { fields: { kind, shape }, streams: [{ name: "values", numbers: tensor.values }] };
    case "sparse": {
      const { format, rows, cols, values, indices, pointers } = checkSparse(tensor.matrix);
      checkInteger("rows × cols", rows * cols, size, size);
      return {
        fields: { kind, shape, format, rows, cols, wide: indices instanceof Uint32Array },
        streams: [
          { name: "values", numbers: values },
          { name: "indices", numbers: indices },
          { name: "pointers", numbers: pointers },
        ],
      };
    }
    case "relative": {
      const { bits, length, gaps, values } = tensor.entries;
      checkInteger("length", length, size, size);
      checkInteger("bits", bits, 1, 8);
      checkLength("gaps", gaps, values.length);
      return {
        fields: { kind, shape, bits },
        streams: [
          { name: "gaps", symbols: gaps, alphabet: 2 ** bits },
          { name: "values", numbers: values },
        ],
      };
    }
    case "quantized": {
      const { codes, bits, scheme, signed, scale, zeroPoint, axis, span, group, scaleType } =
        tensor.quantized;
      const half = scaleType === "float16";
      checkLength("codes", codes, size);
      const { from, step, alphabet } = gridSymbols(tensor.quantized);
      const symbols = new Uint16Array(codes.length);
      for (let i = 0; i < symbols.length; i++) symbols[i] = (codes[i] - from) / step;
      return {
        // What is undefined is left out of the file.
        fields: { kind, shape, bits, scheme, signed, axis, span, group, scaleType },
        streams: [
          { name: "scale", numbers: half ? toHalves(scale) : scale },
          ...(scheme === "affine" ? [{ name: "zeroPoint", numbers: zeroPoint }] : []),
          { name: "codes", symbols, alphabet },
        ],
      };
    }
    case "codebook": {
      const { codes, codebook, mask } = tensor;
      checkLength("codes", codes, size);
      checkInteger("codebook length", codebook.length, 1, 65535);
      const book: Stream = { name: "codebook", numbers: codebook };
      if (!mask) {
        const stream = { name: "codes", symbols: codes, alphabet: codebook.length };
        return { fields: { kind, shape }, streams: [book, stream] };
      }
      checkLength("mask", mask, size);
      const marked = markPruned(codes, mask);
      const gapBits = checkInteger("gapBits", tensor.gapBits ?? bestGaps(marked, codebook), 0, 8);
      if (gapBits === 0) {
        const stream = { name: "codes", symbols: marked, alphabet: codebook.length + 1 };
        return { fields: { kind, shape, gapBits }, streams: [book, stream] };
      }
      const { gaps, values } = toRelative(marked, gapBits);
      return {
        fields: { kind, shape, gapBits },
        streams: [
          book,
          { name: "gaps", symbols: gaps, alphabet: 2 ** gapBits },
          { name: "codes", symbols: values, alphabet: codebook.length + 1 },
        ],
      };
    }
    case "lowrank": {
      checkProduct(shape, shapeOf(tensor.a), shapeOf(tensor.b));
      return { fields: { kind, shape }, streams: [], factors: [tensor.a, tensor.b] };
    }
  }
}

/** Reads streams in the order in which {@link takeApart} gave them. */
export interface StreamReader {
  numbers<T extends Numbers>(name: string, type: new (buffer: ArrayBuffer) => T, count?: number): T;
  /** At most `most` symbols below `alphabet`; exactly `count` of them where that is given. */
  symbols(name: string, alphabet: number, most: number, count?: number): Uint8Array | Uint16Array;
  /** The next factor of a product. */
  factor(): SlimTensor;
}

/** Puts a tensor together from its fields and streams; the inverse of {@link takeApart}, and as strict. */
export function putTogether(fields: Record<string, unknown>, read: StreamReader): SlimTensor {
  const kind = fields.kind as SlimTensor["kind"];
  checkOneOf("kind", kind, tensorKinds);
  const shape = fields.shape as number[];
  if (!Array.isArray(shape)) throw new RangeError("shape must be a list of whole numbers");
  const size = sizeOf(shape);
  switch (kind) {
    case "dense":
      if (fields.format !== undefined) {
        const format = checkOneOf("format", fields.format as HalfFormat, halfFormats);
        return {
          kind,
          shape,
          format,
          values: halves[format].from(read.numbers("values", Uint16Array, size)),
        };
      }
      return { kind, shape, values: read.numbers("values", Float32Array, size) };
    case "sparse": {
      const { format, rows, cols } = fields as { format: "csr" | "csc"; rows: number; cols: number };
      const values = read.numbers("values", Float32Array);
      const indices: Uint16Array | Uint32Array = fields.wide
        ? read.numbers("indices", Uint32Array, values.length)
        : read.numbers("indices", Uint16Array, values.length);
      const pointers = read.numbers("pointers", Uint32Array);
      const matrix = checkSparse({ format, rows, cols, values, indices, pointers });
      checkInteger("rows × cols", rows * cols, size, size);
      return { kind, shape, matrix };
    }
    case "relative": {
      const bits = checkInteger("bits", fields.bits as number, 1, 8);
      const gaps = read.symbols("gaps", 2 ** bits, size) as Uint8Array;
      const values = read.numbers("values", Float32Array, gaps.length);
      const entries = { bits, length: size, gaps, values };
      fromRelative(entries);
      return { kind, shape, entries };
    }
    case "quantized": {
      const { scheme, signed, axis, span, group, scaleType = "float32" } = fields as unknown as Grid;
      const bits = checkInteger("bits", fields.bits as number, 1, 16);
      checkOneOf("scheme", scheme, ["symmetric", "affine"]);
      if (typeof signed !== "boolean") throw new RangeError("signed must be true or false");
      checkOneOf("scaleType", scaleType, scaleTypes);
      const places = {
        shape,
        axis,
        ...(span === undefined ? {} : { span }),
        ...(group === undefined ? {} : { group }),
      };
      const { scales } = layoutOf(places);
      const scale =
        scaleType === "float16"
          ? fromHalves(read.numbers("scale", Uint16Array, scales))
          : read.numbers("scale", Float32Array, scales);
      const zeroPoint =
        scheme === "affine" ? read.numbers("zeroPoint", Int32Array, scales) : new Int32Array(scales);
      const stored = scaleType === "float32" ? {} : { scaleType };
      const grid = { bits, scheme, signed, ...places, ...stored, scale, zeroPoint };
      const { from, step, alphabet } = gridSymbols(grid);
      const symbols = read.symbols("codes", alphabet, size, size);
      const codes = emptyCodes(size, bits, signed);
      for (let i = 0; i < size; i++) codes[i] = symbols[i] * step + from;
      return { kind, quantized: { ...grid, codes } };
    }
    case "codebook": {
      const codebook = read.numbers("codebook", Float32Array);
      checkInteger("codebook length", codebook.length, 1, 65535);
      if (fields.gapBits === undefined)
        return { kind, shape, codes: read.symbols("codes", codebook.length, size, size), codebook };
      const gapBits = checkInteger("gapBits", fields.gapBits as number, 0, 8);
      if (gapBits === 0) {
        const marked = read.symbols("codes", codebook.length + 1, size, size);
        return { kind, shape, ...unmark(marked, codebook), gapBits };
      }
      const gaps = read.symbols("gaps", 2 ** gapBits, size) as Uint8Array;
      const values = read.symbols("codes", codebook.length + 1, size, gaps.length);
      const marked = fromRelative({ bits: gapBits, length: size, gaps, values });
      return { kind, shape, ...unmark(marked, codebook), gapBits };
    }
    case "lowrank": {
      const [a, b] = [read.factor(), read.factor()];
      checkProduct(shape, shapeOf(a), shapeOf(b));
      return { kind, shape, a, b };
    }
  }
}

/** A codebook tensor with each way to keep its mask that may be the smallest; any other tensor as it is. */
export function variants(tensor: SlimTensor): SlimTensor[] {
  if (tensor.kind !== "codebook" || !tensor.mask || tensor.gapBits !== undefined) return [tensor];
  return [tensor, { ...tensor, gapBits: 0 }];
}

/** Codes from 1 up; 0 is for what is pruned, and for the bridges over long gaps. */
function markPruned(codes: ArrayLike<number>, mask: Uint8Array): Uint16Array {
  const marked = new Uint16Array(codes.length);
  for (let i = 0; i < marked.length; i++) marked[i] = mask[i] === 0 ? 0 : codes[i] + 1;
  return marked;
}

function unmark(marked: ArrayLike<number>, codebook: Float32Array) {
  const size = marked.length;
  const codes = codebook.length <= 256 ? new Uint8Array(size) : new Uint16Array(size);
  const mask = new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    if (marked[i] === 0) continue;
    mask[i] = 1;
    codes[i] = marked[i] - 1;
  }
  return { codes, codebook, mask };
}

function bestGaps(marked: Uint16Array, codebook: Float32Array): number {
  return bestGapBits(marked, symbolBits(codebook.length + 1)).bits;
}

/** How the codes of a grid are numbered from 0: code = symbol * step + from. */
function gridSymbols(grid: Grid): { from: number; step: number; alphabet: number } {
  if (isSignGrid(grid)) return { from: -1, step: 2, alphabet: 2 };
  const { low, high } = codeRange(grid);
  return { from: low, step: 1, alphabet: high - low + 1 };
}

/** Products in products, more than anybody writes: each takes a reader one call deeper. */
export function checkDepth(depth: number): void {
  if (depth > 16) throw new RangeError("products lie in products, more than 16 deep");
}

function checkProduct(shape: number[], a: number[], b: number[]): void {
  const fits = a.length === 2 && b.length === 2 && a[1] === b[0] && sizeOf(shape) === a[0] * b[1];
  if (!fits)
    throw new RangeError(
      `shape must be the product's, got ${shape.join(" × ")} for ${a.join(" × ")} times ${b.join(" × ")}`,
    );
}

/** The number of elements; a bound keeps a wrong header from asking for all of the memory. */
function sizeOf(shape: number[]): number {
  for (const n of shape) checkInteger("shape", n, 0);
  return checkInteger("elements", elements(shape), 0, 2 ** 30);
}
