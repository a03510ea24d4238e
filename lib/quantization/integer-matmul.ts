// §3.2.2 Inference in integers: 8-bit codes multiplied, 32-bit accumulators.
//
// Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018:
// Σ (a − zₐ)(b − z_b) is a sum of whole numbers; the scales wait outside until `requantize`.
import { startHelper } from "#platform";
import { checkInteger, checkLength } from "../util/check.ts";
import { instantiateWasm, reserve } from "../util/wasm.ts";
import integerCode from "./integer.wasm.js";
import type { Codes8 } from "./packing.ts";

/** A right factor, unpacked once and used for many products: see `packRight`. */
export interface PackedRight {
  rows: number;
  cols: number;
  /** Codes less zero point, in panels of 8 columns: for each pair of rows, the pair of each column. */
  panels: Int16Array;
}

interface Kernel {
  patches(
    codes: number,
    flip: number,
    zero: number,
    out: number,
    pairs: number,
    first: number,
    count: number,
    total: number,
    outHeight: number,
    outWidth: number,
    height: number,
    width: number,
    channels: number,
    rows: number,
    cols: number,
    down: number,
    right: number,
    top: number,
    left: number,
  ): void;
  matmul(
    a: number,
    b: number,
    c: number,
    panelsA: number,
    panelsB: number,
    pairs: number,
    block: number,
    stride: number,
  ): void;
  requantize(
    c: number,
    bias: number,
    factor: number,
    out: number,
    m: number,
    n: number,
    stride: number,
    power: number,
    zero: number,
    low: number,
    high: number,
  ): void;
  bits(a: number, b: number, c: number, m: number, n: number, words: number, both: number): void;
}

// The pool's memory begins with its counters; matrices follow.
const counters = { next: 0, job: 1, running: 2, idle: 3 } as const;
const start = 64;
// 512 pairs of a B panel are 16 KB: half of a usual first-level cache.
const block = 512;

export const memory = new WebAssembly.Memory({ initial: 16, maximum: 65536, shared: true });
let kernel: Kernel | undefined;

/** The compiled kernel on the shared memory, with at least `bytes` of room. */
function kernelWith(bytes: number): Kernel {
  reserve(memory, bytes);
  kernel ??= instantiateWasm(integerCode, { env: { memory } }).exports as unknown as Kernel;
  return kernel;
}

/**
 * Unpacks a right factor once, for many products.
 *
 * @param b codes, row-major [rows, cols]
 * @param zero the zero point: one, or one a column
 */
export function packRight(b: Codes8, rows: number, cols: number, zero: number | Int32Array = 0): PackedRight {
  checkInteger("rows", rows, 0);
  checkInteger("cols", cols, 0);
  checkLength("b", b, rows * cols);
  if (typeof zero === "number") checkZero("zero", zero, b);
  else {
    checkLength("zero", zero, cols);
    for (const z of zero) checkZero("zero", z, b);
  }
  const pairs = Math.ceil(rows / 2);
  const panels = new Int16Array(Math.ceil(cols / 8) * pairs * 16);
  for (let j = 0; j < cols; j++) {
    const z = typeof zero === "number" ? zero : zero[j];
    // A column at a time reads with a stride, but eight neighbours share the cache lines, and writing is the dearer part.
    let at = (j >> 3) * pairs * 16 + (j & 7) * 2;
    let from = j;
    for (let k = 0; k + 1 < rows; k += 2) {
      panels[at] = b[from] - z;
      panels[at + 1] = b[from + cols] - z;
      at += 16;
      from += 2 * cols;
    }
    if (rows & 1) panels[at] = b[from] - z;
  }
  return { rows, cols, panels };
}

/** A zero point is a code itself: beyond, the sums could overflow. */
export function checkZero(name: string, zero: number, codes: Codes8): void {
  if (codes instanceof Int8Array) checkInteger(name, zero, -128, 127);
  else checkInteger(name, zero, 0, 255);
}

/** Options of `integerMatmul`. */
export interface MatmulOptions {
  /** Zero point of the left factor, default 0. */
  zeroA?: number;
  /** Zero point of the right factor: one, or one a column; default 0. With a packed factor it is packed already. */
  zeroB?: number | Int32Array;
  /** Threads that share the work, default 1. The others start at the first use and help once they run. */
  threads?: number;
}

/**
 * The product of 8-bit matrices with 32-bit accumulators, Σ_k (a[i,k] − zₐ)·(b[k,j] − z_b): exact, in WebAssembly SIMD.
 *
 * @param a codes, row-major [m, k]
 * @param b codes, row-major [k, n], or what `packRight` made of them
 * @returns row-major [m, n]
 * @throws RangeError for lengths that do not fit, and for k above 33,025, where an accumulator could overflow
 */
export function integerMatmul(
  a: Codes8,
  b: Codes8 | PackedRight,
  m: number,
  k: number,
  n: number,
  options: MatmulOptions = {},
): Int32Array {
  const { zeroA = 0, zeroB = 0, threads = 1 } = options;
  checkInteger("m", m, 0);
  // 33,025 products of at most 255² stay below 2^31.
  checkInteger("k", k, 0, 33025);
  checkInteger("n", n, 0);
  checkLength("a", a, m * k);
  checkZero("zeroA", zeroA, a);
  checkInteger("threads", threads, 1, 64);
  const right = "panels" in b ? b : packRight(b, k, n, zeroB);
  if (right.rows !== k || right.cols !== n) {
    throw new RangeError(`b must be ${k} x ${n}, got ${right.rows} x ${right.cols}`);
  }
  const result = new Int32Array(m * n);
  if (m === 0 || n === 0 || k === 0) return result;
  const { chunk, sums, stride, run } = productOf(a, plainRows(k), right, m, zeroA, threads, 0);
  for (let first = 0; first < m; first += chunk) {
    run(first);
    const count = Math.min(chunk, m - first);
    const padded = new Int32Array(memory.buffer, sums, count * (stride / 4));
    for (let i = 0; i < count; i++)
      result.set(padded.subarray((i * stride) / 4, (i * stride) / 4 + n), (first + i) * n);
  }
  return result;
}

/** How the rows of a left factor lie in codes [batch, height, width, channels]: what a window sees at each of its places. */
export interface Rows {
  height: number;
  width: number;
  channels: number;
  outHeight: number;
  outWidth: number;
  /** Of the window. */
  size: readonly [height: number, width: number];
  strides: readonly [vertical: number, horizontal: number];
  /** What stands before the first row and column. */
  top: number;
  left: number;
}

/** The rows of a plain matrix with k columns. */
export const plainRows = (k: number): Rows => ({
  height: 1,
  width: 1,
  channels: k,
  outHeight: 1,
  outWidth: 1,
  size: [1, 1],
  strides: [1, 1],
  top: 0,
  left: 0,
});

/** A product with a right factor, some rows at a time, in the kernel's memory. */
export interface Product {
  /** Rows of the left factor that are multiplied at once; a multiple of 4. */
  chunk: number;
  /** Where the sums of a chunk come to lie, and bytes from one row of them to the next. */
  sums: number;
  stride: number;
  /** Multiplies `chunk` rows, or as many as are left, from one on. */
  run(first: number): void;
  /** Where the room that was asked for begins. */
  room: number;
  kernel: Kernel;
}

// A chunk of the left factor and its sums stay in a usual second-level cache; with helpers a chunk is worth waking them.
const chunkBytes = { alone: 2 ** 17, helped: 2 ** 22 } as const;

/**
 * Lays a product out in the kernel's memory, which the next one uses again.
 *
 * @param a codes in which the left factor's `m` rows lie as `rows` says
 * @param room bytes for what follows
 */
export function productOf(
  a: Codes8,
  rows: Rows,
  right: PackedRight,
  m: number,
  zeroA: number,
  threads: number,
  room: number,
): Product {
  const pairs = Math.ceil(right.rows / 2);
  const panelsB = Math.ceil(right.cols / 8);
  const stride = panelsB * 32;
  const most = threads > 1 ? chunkBytes.helped : chunkBytes.alone;
  const chunk = 4 * Math.max(1, Math.min(Math.ceil(m / 4), Math.floor(most / (16 * pairs + 4 * stride))));
  const whole = (bytes: number) => Math.ceil(bytes / 16) * 16;
  const atA = start + whole(a.length);
  const atB = atA + chunk * pairs * 4;
  const sums = atB + panelsB * pairs * 32;
  const end = sums + chunk * stride;
  const wasm = kernelWith(end + room);
  new Uint8Array(memory.buffer, start, a.length).set(
    new Uint8Array(a.buffer as ArrayBuffer, a.byteOffset, a.length),
  );
  new Int16Array(memory.buffer, atB, right.panels.length).set(right.panels);
  const state = new Int32Array(memory.buffer, 0, 16);
  const { height, width, channels, outHeight, outWidth, size, strides, top, left } = rows;
  const flip = a instanceof Int8Array ? 128 : 0;
  const run = (first: number) => {
    if (pairs === 0) {
      new Uint8Array(memory.buffer, sums, chunk * stride).fill(0);
      return;
    }
    const count = Math.min(chunk, 4 * Math.ceil((m - first) / 4));
    wasm.patches(
      ...([start, flip, zeroA, atA, pairs, first, count, m, outHeight, outWidth] as const),
      ...([height, width, channels, ...size, ...strides, top, left] as const),
    );
    Atomics.store(state, counters.next, 0);
    const job = [atA, atB, sums, count / 4, panelsB, pairs, block, stride] as const;
    const helpers = threads > 1 ? callHelpers(state, threads - 1, job) : 0;
    wasm.matmul(...job);
    // All columns are dealt out; wait for those that helpers still hold.
    if (helpers > 0) dismissHelpers(state);
  };
  return { chunk, sums, stride, run, room: end, kernel: wasm };
}

// Helper threads sleep on `job` until its number changes, take columns until none are left, and sign off in `running`.
// A helper that has not started yet is not waited for: the caller then does all the work.
let helpers = 0;

function callHelpers(state: Int32Array, count: number, job: readonly number[]): number {
  while (helpers < count) {
    if (!startHelper(() => new URL("./integer-worker.js", import.meta.url), { memory })) return 0;
    helpers++;
  }
  state.set(job, 8);
  // Bit 0 of `job` opens it; helpers that come after it is closed leave it alone.
  Atomics.add(state, counters.job, 1);
  Atomics.notify(state, counters.job);
  return count;
}

function dismissHelpers(state: Int32Array): void {
  Atomics.add(state, counters.job, 1);
  for (
    let busy = Atomics.load(state, counters.running);
    busy > 0;
    busy = Atomics.load(state, counters.running)
  ) {
    Atomics.wait(state, counters.running, busy, 1);
  }
}

/** The loop of a helper thread: see integer-worker.ts. */
export function help(shared: WebAssembly.Memory): never {
  const wasm = instantiateWasm(integerCode, { env: { memory: shared } }).exports as unknown as Kernel;
  const state = new Int32Array(shared.buffer, 0, 16);
  for (let seen = Atomics.load(state, counters.job); ; seen = Atomics.load(state, counters.job)) {
    if (seen & 1) {
      // Sign on first and look again: a caller that closed the job in between must see it or not be disturbed.
      Atomics.add(state, counters.running, 1);
      if (Atomics.load(state, counters.job) === seen) {
        const [a, b, c, panelsA, panelsB, pairs, size, stride] = state.slice(8, 16);
        wasm.matmul(a, b, c, panelsA, panelsB, pairs, size, stride);
      }
      Atomics.sub(state, counters.running, 1);
      Atomics.notify(state, counters.running);
    }
    Atomics.wait(state, counters.job, seen);
  }
}

/** Matrices of single bits, rows padded to whole 64-bit words with zeros. */
export interface BitMatrix {
  rows: number;
  cols: number;
  /** Row after row, the first column in the lowest bit of the first word. */
  words: Uint32Array;
}

/**
 * Packs a matrix to single bits: 1 where the value is above 0, so that {−1, +1} and {0, 1} codes both pack.
 *
 * @param values row-major [rows, cols]
 */
export function packBits(values: ArrayLike<number>, rows: number, cols: number): BitMatrix {
  checkInteger("rows", rows, 0);
  checkInteger("cols", cols, 0);
  checkLength("values", values, rows * cols);
  const stride = Math.ceil(cols / 64) * 2;
  const words = new Uint32Array(rows * stride);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      if (values[i * cols + j] > 0) words[i * stride + (j >> 5)] |= 1 << (j & 31);
    }
  }
  return { rows, cols, words };
}

/**
 * The product of binary matrices without multiplication (Rastegari et al., "XNOR-Net", 2016): of k pairs of ±1, those
 * that agree give +1 and the others −1, so Σ a·b = k − 2·popcount(a xor b).
 *
 * @param a signs [m, k]
 * @param b signs of the right factor, transposed: [n, k]
 * @returns row-major [m, n]
 */
export function xnorMatmul(a: BitMatrix, b: BitMatrix): Int32Array {
  return bitProduct(a, b, false).map((different) => a.cols - 2 * different);
}

/**
 * The product of {0, 1} activations with ±1 weights: Σ a·b = 2·popcount(a and b) − popcount(a) (§3.2.2, item 2).
 *
 * @param a bits [m, k]
 * @param b signs of the right factor, transposed: [n, k]
 * @returns row-major [m, n]
 */
export function binaryMatmul(a: BitMatrix, b: BitMatrix): Int32Array {
  const ones = new Int32Array(a.rows);
  const stride = a.rows === 0 ? 0 : a.words.length / a.rows;
  for (let i = 0; i < a.words.length; i++) {
    for (let word = a.words[i]; word !== 0; word &= word - 1) ones[Math.floor(i / stride)]++;
  }
  return bitProduct(a, b, true).map((both, i) => 2 * both - ones[Math.floor(i / b.rows)]);
}

function bitProduct(a: BitMatrix, b: BitMatrix, both: boolean): Int32Array {
  if (a.cols !== b.cols) throw new RangeError(`b must have ${a.cols} columns as a has, got ${b.cols}`);
  const [m, n, words] = [a.rows, b.rows, Math.ceil(a.cols / 64)];
  if (m === 0 || n === 0 || words === 0) return new Int32Array(m * n);
  const padded = Math.ceil(n / 4) * 4;
  const atB = start + m * words * 8;
  const atC = atB + padded * words * 8;
  const wasm = kernelWith(atC + m * padded * 4);
  new Uint32Array(memory.buffer, start, a.words.length).set(a.words);
  new Uint32Array(memory.buffer, atB, padded * words * 2).fill(0).set(b.words);
  wasm.bits(start, atB, atC, m, padded, words, both ? 1 : 0);
  const all = new Int32Array(memory.buffer, atC, m * padded);
  const result = new Int32Array(m * n);
  for (let i = 0; i < m; i++) result.set(all.subarray(i * padded, i * padded + n), i * n);
  return result;
}
