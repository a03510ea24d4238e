// §3.1.1: calculating with sparse matrices. Only entries that are stored are multiplied, so a layer with 92 % of
// its weights pruned costs 8 % of the multiplications. Two loops do everything: `gather` sums up a line's entries,
// `scatter` deals a line's entries out. CSR times vector gathers; CSC times vector scatters; from the left it is
// the other way round.

import { checkInteger, checkLength } from "../util/check.ts";
import { instantiateWasm, reserve } from "../util/wasm.ts";
import type { SparseMatrix } from "./matrix.ts";
import productCode from "./product.wasm.js";

/**
 * Matrix · vector.
 *
 * @param matrix rows × cols
 * @param vector cols elements
 * @returns rows elements. What is 0 in the matrix is skipped, so it adds 0 even where the vector is infinite.
 * @throws RangeError if the vector's length is not cols
 * @see §3.1.1
 */
export function timesVector(matrix: SparseMatrix, vector: Float32Array): Float32Array {
  checkLength("vector", vector, matrix.cols);
  return matrix.format === "csr" ? gather(matrix, vector) : scatter(matrix, vector, matrix.rows);
}

/**
 * Vector · matrix: what a dense layer does to one input, with its kernel as [in, out].
 *
 * @param vector rows elements
 * @param matrix rows × cols
 * @returns cols elements
 * @throws RangeError if the vector's length is not rows
 * @see §3.1.1
 */
export function vectorTimes(vector: Float32Array, matrix: SparseMatrix): Float32Array {
  checkLength("vector", vector, matrix.rows);
  return matrix.format === "csc" ? gather(matrix, vector) : scatter(matrix, vector, matrix.cols);
}

/**
 * Sparse matrix · dense matrix.
 *
 * @param matrix rows × cols
 * @param dense cols × width, row-major
 * @param width the columns of `dense`
 * @returns rows × width, row-major
 * @throws RangeError if `dense` has another shape
 * @see §3.1.1
 */
export function timesMatrix(matrix: SparseMatrix, dense: Float32Array, width: number): Float32Array {
  checkInteger("width", width, 0);
  checkLength("dense", dense, matrix.cols * width);
  const { format, rows, values, indices, pointers } = matrix;
  const byRow = format === "csr";
  // Sums in 64 bits, as for vectors; rounded to 32 once, at the end.
  const sums = new Float64Array(rows * width);
  for (let line = 0; line + 1 < pointers.length; line++) {
    for (let at = pointers[line]; at < pointers[line + 1]; at++) {
      const value = values[at];
      const to = (byRow ? line : indices[at]) * width;
      const from = (byRow ? indices[at] : line) * width;
      // Innermost along a row of both, so that memory is read and written in order.
      for (let j = 0; j < width; j++) sums[to + j] += value * dense[from + j];
    }
  }
  return new Float32Array(sums);
}

/**
 * Dense matrix · sparse matrix: what a dense layer does to a batch, with its kernel as [in, out].
 *
 * @param dense height × rows, row-major
 * @param height the rows of `dense`
 * @param matrix rows × cols
 * @returns height × cols, row-major
 * @throws RangeError if `dense` has another shape
 * @see §3.1.1
 */
export function matrixTimes(dense: Float32Array, height: number, matrix: SparseMatrix): Float32Array {
  checkInteger("height", height, 0);
  checkLength("dense", dense, height * matrix.rows);
  const { rows, cols } = matrix;
  const product = new Float32Array(height * cols);
  for (let h = 0; h < height; h++) {
    product.set(vectorTimes(dense.subarray(h * rows, (h + 1) * rows), matrix), h * cols);
  }
  return product;
}

interface Kernel {
  memory: WebAssembly.Memory;
  lines(
    deal: number,
    values: number,
    indices: number,
    wide: number,
    from: number,
    end: number,
    line: number,
    pointers: number,
    own: number,
  ): number;
}

let kernel: Kernel | undefined;

/** Entries pass through WebAssembly's memory in pieces that a first-level cache holds, whatever the matrix. */
const piece = 2 ** 12;
const atIndices = 4 * piece;
/** What indices name; the kernel knows this address. */
const atNamed = 8 * piece;

/** The kernel, with so many bytes of memory. */
function kernelFor(bytes: number): Kernel {
  // After a large vector a small one should not hold on to all of its memory.
  if (kernel && kernel.memory.buffer.byteLength > 2 ** 24 && bytes < 2 ** 22) kernel = undefined;
  kernel ??= instantiateWasm(productCode).exports as unknown as Kernel;
  reserve(kernel.memory, bytes);
  return kernel;
}

/** One sum a line: its entries times the vector's elements that they meet. */
function gather(matrix: SparseMatrix, vector: Float32Array): Float32Array {
  return throughLines(matrix, vector, 0, matrix.pointers.length - 1);
}

/** Each line's entries times the line's element of the vector, added where they stand. */
function scatter(matrix: SparseMatrix, vector: Float32Array, length: number): Float32Array {
  return throughLines(matrix, vector, 1, length);
}

/**
 * The sums that a pass over all entries makes.
 *
 * @param vector goes with the entries' places where they are gathered, with their lines where they are dealt out
 */
function throughLines(
  { values, indices, pointers }: SparseMatrix,
  vector: Float32Array,
  deal: 0 | 1,
  length: number,
): Float32Array {
  const atOwn = atNamed + 8 * (deal ? length : vector.length);
  const atPointers = atOwn + 8 * (deal ? vector.length : length);
  const { memory, lines } = kernelFor(atPointers + 4 * pointers.length);
  const { buffer } = memory;
  new Float64Array(buffer, deal ? atOwn : atNamed, vector.length).set(vector);
  const sums = new Float64Array(buffer, deal ? atNamed : atOwn, length).fill(0);
  new Uint32Array(buffer, atPointers, pointers.length).set(pointers);
  const roomForValues = new Float32Array(buffer, 0, piece);
  const wide = Number(indices.BYTES_PER_ELEMENT === 4);
  const roomForIndices = new (wide ? Uint32Array : Uint16Array)(buffer, atIndices, piece);
  for (let from = 0, line = 0; from < values.length; from += piece) {
    const end = Math.min(values.length, from + piece);
    roomForValues.set(values.subarray(from, end));
    roomForIndices.set(indices.subarray(from, end));
    line = lines(deal, 0, atIndices, wide, from, end, line, atPointers, atOwn);
  }
  return new Float32Array(sums);
}
