// §3.1.1: calculating with sparse matrices. Only entries that are stored are multiplied, so a layer with 92 % of
// its weights pruned costs 8 % of the multiplications. Two loops do everything: `gather` sums up a line's entries,
// `scatter` deals a line's entries out. CSR times vector gathers; CSC times vector scatters; from the left it is
// the other way round.

import { checkInteger, checkLength } from "../util/check.ts";
import type { SparseMatrix } from "./matrix.ts";

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
  return Float32Array.from(sums);
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

/** One sum a line: its entries times the vector's elements that they meet. */
function gather({ values, indices, pointers }: SparseMatrix, vector: Float32Array): Float32Array {
  const sums = new Float32Array(pointers.length - 1);
  for (let line = 0; line < sums.length; line++) {
    const end = pointers[line + 1];
    let at = pointers[line];
    // Four sums that do not wait for each other: one addition alone would take longer than the loads.
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    for (; at + 3 < end; at += 4) {
      a += values[at] * vector[indices[at]];
      b += values[at + 1] * vector[indices[at + 1]];
      c += values[at + 2] * vector[indices[at + 2]];
      d += values[at + 3] * vector[indices[at + 3]];
    }
    for (; at < end; at++) a += values[at] * vector[indices[at]];
    sums[line] = a + b + (c + d);
  }
  return sums;
}

/** Each line's entries times the line's element of the vector, added where they stand. */
function scatter(
  { values, indices, pointers }: SparseMatrix,
  vector: Float32Array,
  length: number,
): Float32Array {
  const sums = new Float64Array(length);
  for (let line = 0; line < vector.length; line++) {
    const factor = vector[line];
    if (factor === 0) continue;
    const end = pointers[line + 1];
    for (let at = pointers[line]; at < end; at++) sums[indices[at]] += values[at] * factor;
  }
  return Float32Array.from(sums);
}
