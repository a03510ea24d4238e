// How flat arrays are read here: the last dimension is the channel, be it a filter, a neuron or an output.
// A dense kernel is [in, out], a convolution's [h, w, in, out], activations are [examples, …, channels].

import { checkFinite, checkInteger, shown } from "../util/check.ts";

/** Checks `array` as [rows, channels] of finite numbers and returns the rows. */
export function checkRows(name: string, array: Float32Array, channels: number): number {
  const rows = countRows(name, array, channels);
  checkFinite(name, array);
  return rows;
}

/** The rows of `array` as [rows, channels]. */
export function countRows(name: string, array: ArrayLike<number>, channels: number): number {
  checkInteger("channels", channels, 1);
  if (array?.length % channels !== 0) {
    throw new RangeError(
      `${name} must have a multiple of channels = ${channels} elements, got ${array?.length ?? shown(array)}`,
    );
  }
  return array.length / channels;
}

/** One sum a channel of `f(value, its index in the array)`, in 64 bits. */
export function sumByChannel(
  array: Float32Array,
  channels: number,
  f: (value: number, index: number) => number,
): Float64Array {
  const sums = new Float64Array(channels);
  // In the order of memory: channels lie side by side.
  for (let i = 0, c = 0; i < array.length; i++) {
    sums[c] += f(array[i], i);
    if (++c === channels) c = 0;
  }
  return sums;
}

/** The L1 norm, Σ|a|, or the L2 norm, √Σa², of each channel. */
export function normByChannel(
  name: string,
  array: Float32Array,
  channels: number,
  norm: 1 | 2,
): Float32Array {
  checkRows(name, array, channels);
  if (norm === 1) return Float32Array.from(sumByChannel(array, channels, Math.abs));
  return Float32Array.from(
    sumByChannel(array, channels, (a) => a * a),
    Math.sqrt,
  );
}

/** The mean of `f` over each channel; 0 where there are no rows. */
export function meanByChannel(
  name: string,
  array: Float32Array,
  channels: number,
  f: (value: number) => number = Math.abs,
): Float32Array {
  const rows = checkRows(name, array, channels);
  return Float32Array.from(sumByChannel(array, channels, f), (sum) => sum / Math.max(rows, 1));
}
