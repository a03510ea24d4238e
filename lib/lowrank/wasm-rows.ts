// Rows of doubles in WebAssembly memory, and the loops that decompositions spend their time in.
import { instantiateWasm, reserve } from "../util/wasm.ts";
import rowsCode from "./wasm-rows.wasm.js";

interface Kernel {
  memory: WebAssembly.Memory;
  reflect(v: number, y: number, n: number, tau: number): void;
  add(y: number, factor: number, x: number, n: number): void;
  reflect4(
    a: number,
    tau: number,
    k: number,
    step: number,
    count: number,
    m: number,
    shift: number,
    y: number,
    stride: number,
  ): void;
  addAndDot(
    a: number,
    stride: number,
    count: number,
    n: number,
    c: number,
    x: number,
    v: number,
    y: number,
  ): void;
  addAndSum(
    a: number,
    stride: number,
    count: number,
    n: number,
    c: number,
    v: number,
    u: number,
    x: number,
  ): void;
  multiply(m: number, n: number, k: number, a: number, b: number, c: number): void;
  sweep(a: number, panel: number, panels: number, pairs: number, count: number): void;
}

let kernel: Kernel | undefined;

/** How much of the inner dimension a product takes at once: a panel of 8 columns is 16 KB, half of a usual first cache. */
const BLOCK = 256;

/**
 * Arrays of zeros in the loops' memory: what the loops below work on must lie there. All earlier ones become invalid, so
 * they are asked for at once, and results are copied out.
 *
 * @param lengths multiples of 8 begin at whole cache lines
 */
export function rowsOf(...lengths: number[]): Float64Array<ArrayBuffer>[] {
  const total = 8 * lengths.reduce((sum, length) => sum + length, 0);
  // After a large problem a small one should not hold on to all of its memory.
  if (kernel && kernel.memory.buffer.byteLength > 2 ** 26 && total < 2 ** 25) kernel = undefined;
  kernel ??= instantiateWasm(rowsCode).exports as unknown as Kernel;
  reserve(kernel.memory, total);
  new Uint8Array(kernel.memory.buffer, 0, total).fill(0);
  let at = 0;
  return lengths.map((length) => {
    const array = new Float64Array(kernel!.memory.buffer as ArrayBuffer, at, length);
    at += 8 * length;
    return array;
  });
}

/** y := y - tau (v·y) v, for y as long as v. */
export function reflect(v: Float64Array, tau: number, y: Float64Array): void {
  kernel!.reflect(v.byteOffset, y.byteOffset, v.length, tau);
}

/** Reflectors H = I - tau v vᵀ: v is row k of a matrix with rows of `length`, from place k + `shift` on. */
export interface Reflectors {
  rows: Float64Array;
  tau: Float64Array;
  length: number;
  shift: 0 | 1;
}

/**
 * Takes rows of `ys`, as long as the reflectors' own, through reflectors one after the other.
 *
 * @param first the first row, of `count`
 * @param from the first reflector, and the one before which it ends; downwards where `to` is less
 */
export function reflectRows(
  { rows, tau, length, shift }: Reflectors,
  from: number,
  to: number,
  ys: Float64Array,
  first: number,
  count: number,
): void {
  const step = to < from ? -1 : 1;
  const bytes = 8 * length;
  const at = (row: number) => ys.byteOffset + bytes * row;
  let row = first;
  for (; row + 4 <= first + count; row += 4)
    kernel!.reflect4(
      ...([rows.byteOffset, tau.byteOffset, from, step, step * (to - from)] as const),
      ...([length, shift, at(row), bytes] as const),
    );
  for (; row < first + count; row++)
    for (let k = from; k !== to; k += step) {
      const place = 8 * (k + shift);
      if (tau[k] !== 0 && length > k + shift)
        kernel!.reflect(
          ...([rows.byteOffset + bytes * k + place, at(row) + place, length - k - shift, tau[k]] as const),
        );
    }
}

/** For rows a_j with `stride` numbers from one to the next: a_j := a_j + c_j x, as long as x, and y_j := v·a_j then. */
export function addAndDot(
  a: Float64Array,
  stride: number,
  c: Float64Array,
  x: Float64Array,
  v: Float64Array,
  y: Float64Array,
): void {
  kernel!.addAndDot(
    ...([a.byteOffset, 8 * stride, c.length, x.length, c.byteOffset] as const),
    ...([x.byteOffset, v.byteOffset, y.byteOffset] as const),
  );
}

/** For the same rows: a_j := a_j + c_j v, and x := x + u_j a_j then. */
export function addAndSum(
  a: Float64Array,
  stride: number,
  c: Float64Array,
  v: Float64Array,
  u: Float64Array,
  x: Float64Array,
): void {
  kernel!.addAndSum(
    ...([a.byteOffset, 8 * stride, c.length, x.length, c.byteOffset] as const),
    ...([v.byteOffset, u.byteOffset, x.byteOffset] as const),
  );
}

/** y := y + factor x, for y as long as x. */
export function addScaled(y: Float64Array, factor: number, x: Float64Array): void {
  kernel!.add(y.byteOffset, factor, x.byteOffset, x.length);
}

/**
 * Rotates rows `low` and `low` + 1, then the next two, and so on: (x, y) := (c x + s y, c y - s x).
 *
 * @param a a matrix in panels of 8 columns: row i of panel p begins at (p * rows + i) * 8
 * @param pairs c and s of each rotation, one after the other
 */
export function sweep(a: Float64Array, rows: number, low: number, pairs: Float64Array, count: number): void {
  kernel!.sweep(a.byteOffset + 64 * low, 64 * rows, a.length / (8 * rows), pairs.byteOffset, count);
}

/**
 * The product of two matrices in double precision, row-major m x n.
 *
 * @param a row-major m x k
 * @param b row-major k x n
 */
export function product(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  m: number,
  k: number,
  n: number,
): Float64Array<ArrayBuffer> {
  const result = new Float64Array(m * n);
  if (result.length === 0 || k === 0) return result;
  const stride = Math.ceil(n / 8) * 8;
  const even = m + (m & 1);
  const block = Math.min(BLOCK, k);
  const [left, right, out] = rowsOf(even * block, block * stride, even * stride);
  for (let from = 0; from < k; from += block) {
    const depth = Math.min(block, k - from);
    for (let i = 0; i < m; i++) for (let p = 0; p < depth; p++) left[i * depth + p] = a[i * k + from + p];
    for (let p = 0; p < depth; p++) {
      const row = (from + p) * n;
      for (let j = 0; j < n; j++) right[((j >> 3) * depth + p) * 8 + (j & 7)] = b[row + j];
    }
    kernel!.multiply(even, stride, depth, left.byteOffset, right.byteOffset, out.byteOffset);
  }
  for (let i = 0; i < m; i++) result.set(out.subarray(i * stride, i * stride + n), i * n);
  return result;
}

/**
 * XᵀX, n x n and symmetric, in double precision.
 *
 * @param x row-major samples x n
 */
export function gramOf(x: ArrayLike<number>, samples: number, n: number): Float64Array<ArrayBuffer> {
  return product(transpose(x, samples, n), x, n, samples, n);
}

/** The transpose of a row-major rows x cols matrix, as doubles. */
export function transpose(a: ArrayLike<number>, rows: number, cols: number): Float64Array {
  return transposeInto(new Float64Array(rows * cols), a, rows, cols);
}

/** {@link transpose} into an array that is there. */
export function transposeInto(
  t: Float64Array,
  a: ArrayLike<number>,
  rows: number,
  cols: number,
): Float64Array {
  // Blocks of 32 x 32 keep both sides in the first-level cache.
  for (let i0 = 0; i0 < rows; i0 += 32) {
    const i1 = Math.min(i0 + 32, rows);
    for (let j0 = 0; j0 < cols; j0 += 32) {
      const j1 = Math.min(j0 + 32, cols);
      for (let i = i0; i < i1; i++) for (let j = j0; j < j1; j++) t[j * rows + i] = a[i * cols + j];
    }
  }
  return t;
}
