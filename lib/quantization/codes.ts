// §3.2.1 The loops over values that quantization spends its time in, on WebAssembly: as exact as those in JavaScript would be.
import { checkFinite } from "../util/check.ts";
import { instantiateWasm, reserve } from "../util/wasm.ts";
import codesCode from "./codes.wasm.js";
import type { Codes } from "./packing.ts";

interface Kernel {
  memory: WebAssembly.Memory;
  codes(
    at: number,
    count: number,
    to: number,
    scales: number,
    zeros: number,
    period: number,
    phase: number,
    low: number,
    high: number,
    kind: number,
    singles: number,
  ): void;
  extent(at: number, count: number, to: number): void;
  within(
    at: number,
    count: number,
    to: number,
    least: number,
    most: number,
    period: number,
    phase: number,
  ): number;
}

let kernel: Kernel | undefined;

/** Values pass through in pieces that a second-level cache holds, however many there are. */
const piece = 2 ** 15;
const atValues = 64;
const atCodes = atValues + 4 * piece;
const atScales = atCodes + 4 * piece;

function kernelFor(bytes: number): Kernel {
  kernel ??= instantiateWasm(codesCode).exports as unknown as Kernel;
  reserve(kernel.memory, bytes);
  return kernel;
}

/** Calls `visit` for each piece of the values while it lies in the kernel's memory, with zeros behind it up to eight numbers. */
function eachPiece(
  { buffer }: WebAssembly.Memory,
  values: Float32Array,
  visit: (count: number, from: number) => void,
): void {
  const room = new Float32Array(buffer, atValues, piece);
  for (let from = 0; from < values.length; from += piece) {
    const part = values.subarray(from, from + piece);
    room.set(part);
    room.fill(0, part.length, (part.length + 7) & ~7);
    visit(part.length, from);
  }
}

/** The smallest value or 0, and the largest or 0; throws for NaN and infinite values. */
export function finiteExtent(values: Float32Array): [min: number, max: number] {
  const { memory, extent } = kernelFor(atScales);
  const found = new Float32Array(memory.buffer, 0, 12).fill(0);
  eachPiece(memory, values, (count) => extent(atValues, (count + 7) & ~7, 0));
  if (!found.subarray(8).every((sum) => sum === 0)) checkFinite("values", values);
  return [Math.min(...found.subarray(0, 4)), Math.max(...found.subarray(4, 8))];
}

/**
 * The codes of values, or what they stand for: clamp(round(v / scale) + zero), ties to even.
 *
 * @param scales taken by turns, from the first value on, as `zeros` are: one for all values, or one for each column
 * @param out as long as `values`: codes, or floats for what the codes stand for
 */
export function codesOf(
  values: Float32Array,
  scales: ArrayLike<number>,
  zeros: ArrayLike<number>,
  { low, high }: { low: number; high: number },
  out: Codes | Float32Array,
): void {
  const period = scales.length * Math.ceil(4 / scales.length);
  const atZeros = atScales + 8 * (period + 4);
  const atSingles = atZeros + 8 * (period + 4);
  const { memory, codes } = kernelFor(atSingles + 12 * (period + 4));
  const inTurns = new Float64Array(memory.buffer, atScales, 2 * (period + 4));
  const singles = new Float32Array(memory.buffer, atSingles, 3 * (period + 4));
  let exact = high - low < 512;
  for (let i = 0, k = 0; i < period + 4; i++) {
    inTurns[i] = scales[k];
    inTurns[period + 4 + i] = zeros[k];
    singles[i] = 1 / scales[k];
    singles[period + 4 + i] = zeros[k];
    singles[2 * (period + 4) + i] = scales[k];
    exact &&= singles[2 * (period + 4) + i] === scales[k] && Math.abs(zeros[k]) < 512;
    if (++k === scales.length) k = 0;
  }
  const atTables = exact ? atSingles : 0;
  const Kind = out.constructor as Float32ArrayConstructor;
  const made = new Kind(memory.buffer, atCodes, piece);
  const kind = kinds.findIndex((type) => out instanceof type);
  eachPiece(memory, values, (count, from) => {
    codes(atValues, count, atCodes, atScales, atZeros, period, from % period, low, high, kind, atTables);
    out.set(count === piece ? made : made.subarray(0, count), from);
  });
}

/**
 * Calls `tell` with a piece of flags for each piece of the values where some lie beyond their limits: 1 within, 0 beyond.
 *
 * @param least taken by turns, as `most` is; 0 lies between them
 * @param tell gets where the piece begins, and flags that are valid until it returns
 */
export function withinLimits(
  values: Float32Array,
  least: Float32Array,
  most: Float32Array,
  tell: (from: number, inside: Float32Array) => void,
): void {
  const period = least.length * Math.ceil(4 / least.length);
  const atMost = atScales + 4 * (period + 4);
  const { memory, within } = kernelFor(atMost + 4 * (period + 4));
  const limits = new Float32Array(memory.buffer, atScales, 2 * (period + 4));
  for (let i = 0; i < period + 4; i++) {
    limits[i] = least[i % least.length];
    limits[period + 4 + i] = most[i % least.length];
  }
  const made = new Float32Array(memory.buffer, atCodes, piece);
  eachPiece(memory, values, (count, from) => {
    const all = within(atValues, count, atCodes, atScales, atMost, period, from % period);
    if (!all) tell(from, made.subarray(0, count));
  });
}

/** What the kernel stores, in its order. */
const kinds = [Int8Array, Uint8Array, Int16Array, Uint16Array, Float32Array] as const;
