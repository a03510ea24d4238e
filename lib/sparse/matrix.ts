// §3.1.1: sparse storage. CSR keeps a matrix row by row, CSC column by column: the numbers that are not 0, where
// in its row (column) each stands, and where each row (column) begins. Both are one structure seen from two
// sides: lines of entries. (Tinney and Walker, 1967.)

import { checkFinite, checkInteger, checkLength, checkOneOf, shown } from "../util/check.ts";

/** A matrix that stores only what is not 0, in lines: its rows in CSR, its columns in CSC. */
export interface SparseMatrix {
  format: "csr" | "csc";
  rows: number;
  cols: number;
  /** The numbers that are not 0, line after line. */
  values: Float32Array;
  /** Where in its line each value stands, no place twice; two bytes each where the line is short enough for that. */
  indices: Uint16Array | Uint32Array;
  /** Line k's entries are those from pointers[k] up to pointers[k + 1]. */
  pointers: Uint32Array;
}

/**
 * Compressed sparse rows.
 *
 * @param dense rows × cols, row-major
 * @throws RangeError if the shape does not fit, or an element is NaN or infinite
 * @see §3.1.1
 */
export function toCsr(dense: Float32Array, rows: number, cols: number): SparseMatrix {
  checkMatrix("dense", dense, rows, cols);
  const pointers = new Uint32Array(rows + 1);
  for (let r = 0, count = 0; r < rows; r++) {
    for (let i = r * cols; i < (r + 1) * cols; i++) if (dense[i] !== 0) count++;
    pointers[r + 1] = count;
  }
  const { values, indices } = entries(pointers[rows], cols);
  for (let r = 0, at = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      const value = dense[r * cols + c];
      if (value === 0) continue;
      values[at] = value;
      indices[at++] = c;
    }
  }
  return { format: "csr", rows, cols, values, indices, pointers };
}

/**
 * Compressed sparse columns.
 *
 * @param dense rows × cols, row-major
 * @throws RangeError if the shape does not fit, or an element is NaN or infinite
 * @see §3.1.1
 */
export function toCsc(dense: Float32Array, rows: number, cols: number): SparseMatrix {
  checkMatrix("dense", dense, rows, cols);
  const pointers = new Uint32Array(cols + 1);
  for (let i = 0, c = 0; i < dense.length; i++) {
    if (dense[i] !== 0) pointers[c + 1]++;
    if (++c === cols) c = 0;
  }
  for (let c = 0; c < cols; c++) pointers[c + 1] += pointers[c];
  const { values, indices } = entries(pointers[cols], rows);
  // Row by row, as the dense matrix lies in memory; each column remembers where its next entry goes.
  const next = pointers.slice();
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) {
      const value = dense[r * cols + c];
      if (value === 0) continue;
      values[next[c]] = value;
      indices[next[c]++] = r;
    }
  }
  return { format: "csc", rows, cols, values, indices, pointers };
}

/** The dense matrix again, rows × cols, row-major. */
export function toDense({ format, rows, cols, values, indices, pointers }: SparseMatrix): Float32Array {
  const dense = new Float32Array(rows * cols);
  const [lineStep, step] = format === "csr" ? [cols, 1] : [1, cols];
  for (let line = 0; line + 1 < pointers.length; line++) {
    for (let at = pointers[line]; at < pointers[line + 1]; at++) {
      dense[line * lineStep + indices[at] * step] = values[at];
    }
  }
  return dense;
}

/**
 * The same matrix in the other format, or a copy of it in its own.
 *
 * @param format `csr` or `csc`
 * @see §3.1.1
 */
export function convert(matrix: SparseMatrix, format: "csr" | "csc"): SparseMatrix {
  checkOneOf("format", format, ["csr", "csc"]);
  const { rows, cols } = matrix;
  if (format === matrix.format) return structuredClone(matrix);
  const [lines, length] = format === "csr" ? [rows, cols] : [cols, rows];
  // What was an index names a line now: count each line's entries, then deal them out in order.
  const pointers = new Uint32Array(lines + 1);
  for (const index of matrix.indices) pointers[index + 1]++;
  for (let line = 0; line < lines; line++) pointers[line + 1] += pointers[line];
  const { values, indices } = entries(matrix.values.length, length);
  const next = pointers.slice();
  for (let line = 0; line < length; line++) {
    for (let at = matrix.pointers[line]; at < matrix.pointers[line + 1]; at++) {
      const to = next[matrix.indices[at]]++;
      values[to] = matrix.values[at];
      indices[to] = line;
    }
  }
  return { format, rows, cols, values, indices, pointers };
}

/** The bytes that a sparse matrix takes: values, indices and pointers, exactly as they lie in memory. */
export function bytesOf({ values, indices, pointers }: SparseMatrix): number {
  return values.byteLength + indices.byteLength + pointers.byteLength;
}

/** The bytes of a dense matrix of 32-bit floats. */
export function denseBytes(rows: number, cols: number): number {
  checkInteger("rows", rows, 0);
  checkInteger("cols", cols, 0);
  return rows * cols * Float32Array.BYTES_PER_ELEMENT;
}

/**
 * Checks a sparse matrix that came from elsewhere: pointers rise from 0 to the number of values, indices rise
 * within each line and stay within the matrix, values are finite.
 *
 * @returns the matrix
 * @throws RangeError that says what is wrong
 */
export function checkSparse(matrix: SparseMatrix): SparseMatrix {
  const { format, rows, cols, values, indices, pointers } = matrix;
  checkOneOf("format", format, ["csr", "csc"]);
  checkInteger("rows", rows, 0);
  checkInteger("cols", cols, 0);
  const [lines, length] = format === "csr" ? [rows, cols] : [cols, rows];
  checkLength("pointers", pointers, lines + 1);
  checkLength("indices", indices, values.length);
  checkFinite("values", values);
  if (pointers[0] !== 0) throw new RangeError(`pointers must begin with 0, got ${pointers[0]}`);
  if (pointers[lines] !== values.length) {
    throw new RangeError(
      `pointers must end with the number of values, ${values.length}, got ${pointers[lines]}`,
    );
  }
  for (let line = 0; line < lines; line++) {
    if (pointers[line] > pointers[line + 1]) {
      throw new RangeError(`pointers must not fall, got ${pointers[line]} before ${pointers[line + 1]}`);
    }
  }
  for (let line = 0; line < lines; line++) {
    for (let at = pointers[line], above = -1; at < pointers[line + 1]; above = indices[at++]) {
      if (indices[at] <= above || indices[at] >= length) {
        throw new RangeError(
          `indices must rise within a line and be below ${length}, got ${indices[at]} after ${above}`,
        );
      }
    }
  }
  return matrix;
}

function checkMatrix(name: string, dense: Float32Array, rows: number, cols: number): void {
  checkInteger("rows", rows, 0);
  checkInteger("cols", cols, 0);
  if (dense?.length !== rows * cols) {
    throw new RangeError(
      `${name} must have rows × cols = ${rows} × ${cols} = ${rows * cols} elements, got ${dense?.length ?? shown(dense)}`,
    );
  }
  checkFinite(name, dense);
}

/** Room for `count` entries in lines of `length`. */
function entries(count: number, length: number) {
  const indices = length <= 0x10000 ? new Uint16Array(count) : new Uint32Array(count);
  return { values: new Float32Array(count), indices };
}
