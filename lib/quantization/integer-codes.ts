// §3.2.2 What the steps of an integer network do to 8-bit codes beside products of matrices: windows laid out, pooling,
// depthwise sums, tables, padding and its kin, sizes of 1 that are stretched.

import { shown } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { instantiateWasm, reserve } from "../util/wasm.ts";
import { samePads, windowPlaces } from "../util/window.ts";
import type { Step, Window } from "./integer-steps.ts";
import type { Codes8 } from "./packing.ts";
import poolCode from "./pool.wasm.js";
import { roundEven } from "./rounding.ts";

/** How many windows there are, and what "same" puts above them and to their left. */
export function windows(shape: readonly number[], { size, strides, padding }: Window) {
  if (shape.length !== 3) throw new RangeError(`a window needs an input of 3 axes, got ${shown(shape)}`);
  const [outHeight, outWidth] = [0, 1].map((i) =>
    Math.max(0, windowPlaces(shape[i], size[i], strides[i], padding)),
  );
  const [top, left] = [0, 1].map((i) =>
    padding === "same" ? samePads(shape[i], size[i], strides[i])[0] : 0,
  );
  return { outHeight, outWidth, top, left };
}

/**
 * Each window's values as one row, so that a convolution is a matrix product (im2col).
 *
 * @param values [batch, height, width, channels], row-major
 * @param shape [height, width, channels]
 * @param outside what stands outside the image: 0, or the code of 0
 * @returns [batch · output height · output width, window height · window width · channels], row-major
 */
export function patches<T extends Codes8 | Float32Array>(
  values: T,
  batch: number,
  shape: readonly number[],
  window: Window,
  outside: number,
): T {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, window);
  const [rows, cols] = window.size;
  const length = batch * outHeight * outWidth * rows * cols * channels;
  const out = new (values.constructor as new (length: number) => T)(length);
  const run = cols * channels;
  if (outside !== 0) out.fill(outside);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        // A row of the window lies in one piece in the image: copied at once, less what stands outside.
        const x = ox * window.strides[1] - left;
        const first = Math.max(0, -x) * channels;
        const last = Math.min(cols, width - x) * channels;
        for (let ky = 0; ky < rows; ky++, at += run) {
          const y = oy * window.strides[0] + ky - top;
          if (y < 0 || y >= height) continue;
          const from = ((b * height + y) * width + x) * channels;
          for (let i = first; i < last; i++) out[at + i] = values[from + i];
        }
      }
    }
  }
  return out;
}

interface Kernel {
  memory: WebAssembly.Memory;
  largest(
    at: number,
    rows: number,
    row: number,
    cols: number,
    channels: number,
    to: number,
    flip: number,
  ): void;
}

let kernel: Kernel | undefined;

/** Pooling in codes: the largest code, or the mean code rounded to even; padding takes no part. */
export function pool(
  codes: Codes8,
  batch: number,
  shape: readonly number[],
  step: Window & { kind: "maxPool2d" | "averagePool2d" },
  zero: number,
): [Codes8, number[]] {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, step);
  const [size, outSize] = [height * width * channels, outHeight * outWidth * channels];
  const Kind: new (buffer: ArrayBufferLike | number, at?: number, length?: number) => Codes8 =
    codes instanceof Uint8Array ? Uint8Array : Int8Array;
  const flip = Kind === Uint8Array ? 0 : 128;
  kernel ??= instantiateWasm(poolCode).exports as unknown as Kernel;
  const { memory, largest } = kernel;
  reserve(memory, size + outSize + 16);
  const image = new Kind(memory.buffer, 0, size);
  const made = new Kind(memory.buffer, size, outSize);
  const out = new Kind(batch * outSize);
  const sums = new Int32Array(channels);
  for (let b = 0; b < batch; b++) {
    image.set(codes.subarray(b * size, (b + 1) * size));
    let at = 0;
    for (let oy = 0; oy < outHeight; oy++) {
      const y0 = Math.max(0, oy * step.strides[0] - top);
      const y1 = Math.min(height, oy * step.strides[0] - top + step.size[0]);
      for (let ox = 0; ox < outWidth; ox++, at += channels) {
        const x0 = Math.max(0, ox * step.strides[1] - left);
        const x1 = Math.min(width, ox * step.strides[1] - left + step.size[1]);
        if (step.kind === "maxPool2d") {
          const first = (y0 * width + x0) * channels;
          largest(first, y1 - y0, width * channels, x1 - x0, channels, size + at, flip);
          continue;
        }
        sums.fill(0);
        for (let y = y0; y < y1; y++) {
          for (let x = x0; x < x1; x++) {
            // Channels lie side by side: the inner loop runs along memory.
            const from = (y * width + x) * channels;
            for (let c = 0; c < channels; c++) sums[c] += image[from + c] - zero;
          }
        }
        const count = (y1 - y0) * (x1 - x0);
        for (let c = 0; c < channels; c++) made[at + c] = roundEven(sums[c] / count) + zero;
      }
    }
    out.set(made, b * outSize);
  }
  return [out, [outHeight, outWidth, channels]];
}

/** Sums of products of each channel's patches and its own filters. */
export function depthwiseSums(
  codes: Codes8,
  batch: number,
  shape: readonly number[],
  step: Step<"depthwiseConv2d">,
): [Int32Array, number[]] {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, step);
  const { kernel, zeroIn, size, strides } = step;
  const units = step.bias.length;
  const multiplier = units / channels;
  const sums = new Int32Array(batch * outHeight * outWidth * units);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++, at += units)
        for (let ky = 0; ky < size[0]; ky++) {
          const y = oy * strides[0] + ky - top;
          if (y < 0 || y >= height) continue;
          for (let kx = 0; kx < size[1]; kx++) {
            const x = ox * strides[1] + kx - left;
            if (x < 0 || x >= width) continue;
            const from = ((b * height + y) * width + x) * channels;
            const row = (ky * size[1] + kx) * units;
            if (multiplier === 1)
              for (let u = 0; u < units; u++) sums[at + u] += (codes[from + u] - zeroIn) * kernel[row + u];
            else
              for (let u = 0; u < units; u++)
                sums[at + u] += (codes[from + Math.trunc(u / multiplier)] - zeroIn) * kernel[row + u];
          }
        }
  return [sums, [outHeight, outWidth, units]];
}

/** Rows and columns of pictures picked; the code of 0 where none is. */
export function pickCodes(
  codes: Codes8,
  batch: number,
  [height, width, channels]: readonly number[],
  { rows, columns }: Step<"pick2d">,
  zero: number,
): [Codes8, number[]] {
  const out = like(codes, batch * rows.length * columns.length * channels);
  if (zero !== 0) out.fill(zero);
  let at = 0;
  for (let b = 0; b < batch; b++)
    for (const y of rows)
      for (const x of columns) {
        const from = ((b * height + y) * width + x) * channels;
        if (y >= 0 && x >= 0) for (let c = 0; c < channels; c++) out[at + c] = codes[from + c];
        at += channels;
      }
  return [out, [rows.length, columns.length, channels]];
}

/** Each code's entry in a table; with several rows, in that of its channel. */
export function lookUp(codes: Codes8, { table, rows, lowIn }: Step<"lookup">): Codes8 {
  const out = like(table, codes.length);
  const entries = table.length / rows;
  if (rows === 1) for (let i = 0; i < codes.length; i++) out[i] = table[codes[i] - lowIn];
  else
    for (let i = 0; i < codes.length; )
      for (let row = 0; row < table.length; row += entries, i++) out[i] = table[row + codes[i] - lowIn];
  return out;
}

/** The shape in which shapes meet: sizes of 1 are stretched, axes that one lacks at its front have size 1. */
export function meetingShape(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map(({ length }) => length));
  return Array.from({ length: rank }, (_, axis) => {
    const sizes = shapes.map((shape) => shape[axis - rank + shape.length] ?? 1);
    const size = sizes.find((each) => each !== 1) ?? 1;
    if (sizes.some((each) => each !== size && each !== 1))
      throw new RangeError(`shapes of what meets must agree, got ${shown(shapes)}`);
    return size;
  });
}

/** Codes stretched along the axes where their own shape has size 1; the codes themselves where nothing is to be done. */
export function stretch(
  codes: Codes8,
  batch: number,
  own: readonly number[],
  shape: readonly number[],
): Codes8 {
  const size = elements(shape);
  const ownSize = elements(own);
  if (ownSize === size) return codes;
  const places = new Int32Array(size);
  // Row-major, from the last axis on: a place is the sum of what its indices come to.
  let [inner, ownInner] = [1, 1];
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const count = own[axis - shape.length + own.length] ?? 1;
    for (let i = 0; i < size; i++)
      if (count > 1) places[i] += (Math.floor(i / inner) % shape[axis]) * ownInner;
    inner *= shape[axis];
    ownInner *= count;
  }
  const out = like(codes, batch * size);
  for (let b = 0; b < batch; b++)
    for (let i = 0; i < size; i++) out[b * size + i] = codes[b * ownSize + places[i]];
  return out;
}

const like = (codes: Codes8, length: number): Codes8 =>
  codes instanceof Uint8Array ? new Uint8Array(length) : new Int8Array(length);
