// §3.2.2 A layer in integers: products of 8-bit codes, then bias and codes again, some rows at a time so that the sums never
// leave the cache. A convolution's rows are what its window sees, laid out as they are needed.

import { checkInteger, checkLength } from "../util/check.ts";
import {
  checkZero,
  type MatmulOptions,
  memory,
  type PackedRight,
  plainRows,
  productOf,
  type Rows,
} from "./integer-matmul.ts";
import type { Codes8 } from "./packing.ts";
import { factorOf, type Requantization } from "./requantize.ts";

/** What follows the sums of products in a layer. */
export interface Finish extends Requantization {
  /** The sums are multiplied by 2^fraction before the bias is added: one for all columns, or one for each. */
  fraction: number | ArrayLike<number>;
  /** One number a column. */
  bias: Int32Array;
}

/**
 * `integerMatmul` and what a layer does next, in one go: bias, then codes as `requantize` makes them.
 *
 * @param a codes, row-major [m, k]
 * @param b what `packRight` made of the weights
 * @returns codes, row-major [m, n]: Uint8Array where `low` is 0 or more, otherwise Int8Array
 */
export function integerLayer(
  a: Codes8,
  b: PackedRight,
  m: number,
  finish: Finish,
  options: Omit<MatmulOptions, "zeroB"> = {},
): Codes8 {
  checkInteger("m", m, 0);
  checkLength("a", a, m * b.rows);
  return layerOf(a, plainRows(b.rows), b, m, finish, options);
}

/**
 * The same of a convolution.
 *
 * @param a codes, row-major [batch, height, width, channels] as `rows` says
 * @param b what `packRight` made of the weights [window height · window width · channels, filters]
 * @returns codes, row-major [batch, outHeight, outWidth, filters]
 */
export function integerConvolution(
  a: Codes8,
  rows: Rows,
  batch: number,
  b: PackedRight,
  finish: Finish,
  options: Omit<MatmulOptions, "zeroB"> = {},
): Codes8 {
  const { height, width, channels, outHeight, outWidth, size } = rows;
  checkLength("a", a, batch * height * width * channels);
  checkInteger("rows of b", b.rows, size[0] * size[1] * channels, size[0] * size[1] * channels);
  return layerOf(a, rows, b, batch * outHeight * outWidth, finish, options);
}

function layerOf(
  a: Codes8,
  rows: Rows,
  b: PackedRight,
  m: number,
  finish: Finish,
  { zeroA = 0, threads = 1 }: Omit<MatmulOptions, "zeroB">,
): Codes8 {
  const { rows: k, cols: n } = b;
  const { bias, fraction, multipliers, zeroPoint, low, high } = finish;
  checkInteger("k", k, 0, 33025);
  checkZero("zeroA", zeroA, a);
  checkLength("bias", bias, n);
  const unsigned = low >= 0;
  if (m === 0 || n === 0) return unsigned ? new Uint8Array(m * n) : new Int8Array(m * n);
  const columns = Math.ceil(n / 8) * 8;
  const { chunk, sums, stride, run, room, kernel } = productOf(
    a,
    rows,
    b,
    m,
    zeroA,
    threads,
    columns * 16 + m * n + 8,
  );
  const [atBias, atPower, atOut] = [room + columns * 8, room + columns * 12, room + columns * 16];
  const factors = new Float64Array(memory.buffer, room, columns);
  for (let j = 0; j < n; j++) factors[j] = factorOf(multipliers[j % multipliers.length]);
  new Int32Array(memory.buffer, atBias, columns).set(bias);
  const powers = new Int32Array(memory.buffer, atPower, columns);
  for (let j = 0; j < n; j++) powers[j] = 2 ** (typeof fraction === "number" ? fraction : fraction[j]);
  for (let first = 0; first < m; first += chunk) {
    run(first);
    kernel.requantize(
      ...([sums, atBias, room, atOut + first * n, Math.min(chunk, m - first), n, stride, atPower] as const),
      ...([zeroPoint, low - zeroPoint, high - zeroPoint] as const),
    );
  }
  const out = new Uint8Array(memory.buffer, atOut, m * n);
  // A copy in memory of its own: the shared one is used again by the next product.
  return unsigned ? new Uint8Array(out) : new Int8Array(new Uint8Array(out).buffer);
}
