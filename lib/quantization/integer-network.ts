// §3.2.2 A sequential network in integers: 8-bit weights and activations, 32-bit accumulators, whole numbers from the
// first step to the last; beside it the same network simulated in floating point, equal bit for bit.
//
// Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018.

import { checkInteger, checkLength, shown } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";
import { elements } from "../util/shape.ts";
import type { Quantized } from "./fixed-point.ts";
import {
  type BitMatrix,
  binaryMatmul,
  integerLayer,
  integerMatmul,
  type PackedRight,
  packBits,
  packRight,
} from "./integer-matmul.ts";
import type { Codes8 } from "./packing.ts";
import { codeRange } from "./range.ts";
import { fixedMultiplier, type Requantization, requantize } from "./requantize.ts";
import { roundEven } from "./rounding.ts";

/** What 8-bit codes of activations stand for: scale·(code − zeroPoint), codes from low to high. */
export interface ActivationGrid {
  scale: number;
  zeroPoint: number;
  low: number;
  high: number;
  /**
   * The distance between values that change the code, where it is not the scale: code = round(value / step). Binary and
   * ternary codes with threshold t have step 2·t, since half a step is where 0 ends.
   */
  step?: number;
}

/** Height and width of a window, and how it moves. */
export interface Window {
  size: readonly [height: number, width: number];
  strides: readonly [vertical: number, horizontal: number];
  /** As in TensorFlow: `valid` keeps the window inside; `same` pads, the odd row and column at the end. */
  padding: "valid" | "same";
}

interface Weighted {
  name: string;
  /** Codes of the kernel, symmetric: [inputs, units], a convolution's [height·width·inputs, units]. */
  kernel: Int8Array;
  packed: PackedRight;
  /** The kernel's signs, transposed, where weights are ±1 and inputs {0, 1}: products then are bit counts. */
  signs: BitMatrix | undefined;
  /** Accumulators are the sums of products times 2^fraction, one a unit: room for the bias below the sums' own step. */
  fraction: Int32Array;
  /** In accumulator steps. */
  bias: Int32Array;
  /** Real value of one accumulator step, one a unit. */
  accumulatorScale: Float64Array;
  zeroIn: number;
  /** Grid of the outputs and how to get there; undefined for a last layer, whose accumulators are the result. */
  output: ActivationGrid | undefined;
  requantization: Requantization | undefined;
}

/** One step of an integer network. */
export type IntegerStep =
  | (Weighted & { kind: "dense" })
  | (Weighted & Window & { kind: "conv2d" })
  | (Window & { kind: "maxPool2d" })
  | (Window & { kind: "averagePool2d" })
  | { kind: "flatten" };

/** A sequential network in integers. */
export interface IntegerNetwork {
  /** Shape of one input, without the batch. */
  inputShape: readonly number[];
  /** How inputs become codes. */
  input: ActivationGrid;
  steps: readonly IntegerStep[];
}

/** What a dense or convolutional step is made of. */
export interface WeightedOptions {
  name: string;
  /** Symmetric, at most 8 bits, one scale or one for each index of the last axis. */
  kernel: Quantized;
  /** One number a unit; none for no bias. */
  bias?: Float32Array;
  input: ActivationGrid;
  /** Grid of the outputs; without it the step is the last, and gives its accumulators. */
  output?: ActivationGrid;
  relu?: boolean;
}

/** Makes a dense step from a quantized kernel [inputs, units]. */
export function denseStep(options: WeightedOptions): IntegerStep {
  return { kind: "dense", ...weighted(options) };
}

/** Makes a convolutional step from a quantized kernel [height, width, inputs, units]. */
export function conv2dStep(options: WeightedOptions & Omit<Window, "size">): IntegerStep {
  const [height, width] = options.kernel.shape;
  const { strides, padding } = options;
  return { kind: "conv2d", size: [height, width], strides, padding, ...weighted(options) };
}

function weighted({ name, kernel, bias, input, output, relu = false }: WeightedOptions): Weighted {
  const units = kernel.shape[kernel.shape.length - 1];
  if (kernel.bits > 8 || kernel.scheme !== "symmetric" || !(kernel.codes instanceof Int8Array)) {
    throw new RangeError(`kernel of ${name} must be symmetric, signed and of at most 8 bits`);
  }
  if (kernel.axis !== undefined && kernel.axis !== kernel.shape.length - 1) {
    throw new RangeError(
      `kernel of ${name} must have its scales along its last axis, got axis ${kernel.axis}`,
    );
  }
  if (bias) checkLength(`bias of ${name}`, bias, units);
  const rows = units === 0 ? 0 : kernel.codes.length / units;
  // Codes of few bits give small sums, and a bias rounded to their step would be coarse. Half the range of 32 bits is for
  // the sums, as many binary places as fit there; the other half is for the bias.
  const limit = 2 ** 30 - 1;
  const largestInput = Math.max(input.high - input.zeroPoint, input.zeroPoint - input.low);
  const bound = Math.max(1, rows * largestInput * codeRange(kernel).high);
  const most = Math.max(0, Math.min(16, Math.floor(Math.log2(limit / bound))));
  // A unit that is mostly bias has less room: its own fraction is smaller, and below 0 its weights get a wider scale.
  // (onnxruntime clipped such biases once: issue 21000.)
  const shift = Int32Array.from({ length: units }, (_, j) => {
    const step = kernel.scale[j % kernel.scale.length] * input.scale;
    const size = Math.abs(bias?.[j] ?? 0) / step;
    return size === 0 ? most : Math.min(most, Math.floor(Math.log2(limit / size)));
  });
  const fraction = shift.map((bits) => Math.max(0, bits));
  const wider = shift.some((bits) => bits < 0);
  const codes = wider
    ? kernel.codes.map((code, i) => roundEven(code * 2 ** Math.min(0, shift[i % units])))
    : kernel.codes;
  const accumulatorScale = Float64Array.from(
    { length: units },
    (_, j) => (kernel.scale[j % kernel.scale.length] * input.scale) / 2 ** shift[j],
  );
  return {
    name,
    kernel: codes,
    packed: packRight(codes, rows, units),
    signs:
      kernel.bits === 1 && !wider && input.low === 0 && input.high === 1 && input.zeroPoint === 0
        ? packBits(transposed(kernel.codes, rows, units), units, rows)
        : undefined,
    fraction,
    bias: Int32Array.from({ length: units }, (_, j) => roundEven((bias?.[j] ?? 0) / accumulatorScale[j])),
    accumulatorScale,
    zeroIn: input.zeroPoint,
    output,
    requantization: output && {
      multipliers: Array.from(accumulatorScale, (scale) =>
        fixedMultiplier(scale / (output.step ?? output.scale)),
      ),
      zeroPoint: output.zeroPoint,
      low: relu ? Math.max(output.low, output.zeroPoint) : output.low,
      high: output.high,
    },
  };
}

function transposed(codes: Int8Array, rows: number, cols: number): Int8Array {
  return codes.map((_, i) => codes[(i % rows) * cols + Math.floor(i / rows)]);
}

/** Values to codes of an activation grid. */
export function toCodes(values: Float32Array, grid: ActivationGrid): Codes8 {
  const { scale, zeroPoint, low, high, step = scale } = grid;
  const codes = low >= 0 ? new Uint8Array(values.length) : new Int8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    codes[i] = Math.min(high, Math.max(low, roundEven(values[i] / step) + zeroPoint));
  }
  return codes;
}

/** What a run gives. */
export interface IntegerResult {
  /** Accumulators of the last step where it is a layer with weights; its codes otherwise. */
  steps: Int32Array;
  /** The same in real units: logits. */
  values: Float32Array;
  /** Shape of one result, without the batch. */
  shape: number[];
}

/** Output length and leading padding of a window along one axis, as TensorFlow computes them. */
function extent(
  input: number,
  size: number,
  stride: number,
  padding: "valid" | "same",
): [output: number, before: number] {
  if (padding === "valid") return [Math.max(0, Math.floor((input - size) / stride) + 1), 0];
  const output = Math.ceil(input / stride);
  return [output, Math.floor(Math.max(0, (output - 1) * stride + size - input) / 2)];
}

function windows(shape: readonly number[], { size, strides, padding }: Window) {
  if (shape.length !== 3) throw new RangeError(`a window needs an input of 3 axes, got ${shown(shape)}`);
  const [outHeight, top] = extent(shape[0], size[0], strides[0], padding);
  const [outWidth, left] = extent(shape[1], size[1], strides[1], padding);
  return { outHeight, outWidth, top, left };
}

/**
 * Runs the network in integers (§3.2.2).
 *
 * @param inputs real numbers, `batch` inputs one after the other
 * @param threads that share each product, default 1
 */
export function runInteger(
  network: IntegerNetwork,
  inputs: Float32Array,
  batch: number,
  threads = 1,
): IntegerResult {
  checkInteger("batch", batch, 0);
  checkLength("inputs", inputs, batch * elements(network.inputShape));
  let shape = [...network.inputShape];
  let codes: Codes8 = toCodes(inputs, network.input);
  let grid: { scale: number; zeroPoint: number } = network.input;
  for (const [index, step] of network.steps.entries()) {
    if (step.kind === "flatten") {
      shape = [elements(shape)];
      continue;
    }
    if (step.kind === "maxPool2d" || step.kind === "averagePool2d") {
      [codes, shape] = pool(codes, batch, shape, step, grid.zeroPoint);
      continue;
    }
    let left = codes;
    let rows = batch;
    const units = step.packed.cols;
    if (step.kind === "conv2d") {
      const { outHeight, outWidth } = windows(shape, step);
      left = patches(codes, batch, shape, step, step.zeroIn);
      rows = batch * outHeight * outWidth;
      shape = [outHeight, outWidth, units];
    } else {
      shape = [units];
    }
    const inputs = step.packed.rows;
    const { requantization, bias, fraction } = step;
    if (requantization && !step.signs) {
      codes = integerLayer(
        left,
        step.packed,
        rows,
        { ...requantization, bias, fraction },
        { zeroA: step.zeroIn, threads },
      );
      grid = step.output!;
      continue;
    }
    const accumulators = step.signs
      ? binaryMatmul(packBits(left, rows, inputs), step.signs)
      : integerMatmul(left, step.packed, rows, inputs, units, { zeroA: step.zeroIn, threads });
    for (let i = 0; i < accumulators.length; i += units) {
      for (let j = 0; j < units; j++) accumulators[i + j] = (accumulators[i + j] << fraction[j]) + bias[j];
    }
    if (requantization === undefined) return lastAccumulators(network, index, accumulators, shape, step);
    codes = requantize(accumulators, units, requantization);
    grid = step.output!;
  }
  const steps = Int32Array.from(codes);
  return { steps, values: mapFloats(steps, (q) => grid.scale * (q - grid.zeroPoint)), shape };
}

/**
 * The same network simulated in floating point, with loops of its own and no 8-bit or 32-bit number anywhere: the
 * independent answer that `runInteger` must equal bit for bit. Values are held in units of their grid's scale; every
 * sum of products is a whole number below 2^53, so nothing is lost on the way to the rounding.
 */
export function simulateInteger(network: IntegerNetwork, inputs: Float32Array, batch: number): IntegerResult {
  checkLength("inputs", inputs, batch * elements(network.inputShape));
  let shape = [...network.inputShape];
  let grid: ActivationGrid = network.input;
  let values = Float64Array.from(inputs, (v) => {
    const level = roundEven(v / (grid.step ?? grid.scale));
    return Math.min(grid.high - grid.zeroPoint, Math.max(grid.low - grid.zeroPoint, level));
  });
  for (const [index, step] of network.steps.entries()) {
    if (step.kind === "flatten") {
      shape = [elements(shape)];
      continue;
    }
    if (step.kind === "dense") {
      [values, shape] = simulateConv(values, batch, [1, 1, elements(shape)], {
        ...step,
        kind: "conv2d",
        size: [1, 1],
        strides: [1, 1],
        padding: "valid",
      });
      shape = [shape[2]];
    } else if (step.kind === "conv2d") {
      [values, shape] = simulateConv(values, batch, shape, step);
    } else {
      [values, shape] = simulatePool(values, batch, shape, step);
      continue;
    }
    if (step.requantization === undefined) {
      return lastAccumulators(network, index, Int32Array.from(values), shape, step);
    }
    grid = step.output!;
  }
  const steps = Int32Array.from(values, (level) => level + grid.zeroPoint);
  return { steps, values: mapFloats(steps, (q) => grid.scale * (q - grid.zeroPoint)), shape };
}

function lastAccumulators(
  network: IntegerNetwork,
  index: number,
  steps: Int32Array,
  shape: number[],
  { accumulatorScale }: Weighted,
): IntegerResult {
  if (index !== network.steps.length - 1)
    throw new RangeError("only the last step may leave out its output grid");
  const units = accumulatorScale.length;
  return { steps, values: mapFloats(steps, (q, i) => q * accumulatorScale[i % units]), shape };
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

/** Pooling in codes: the largest code, or the mean code rounded to even; padding takes no part. */
function pool(
  codes: Codes8,
  batch: number,
  shape: readonly number[],
  step: Window & { kind: "maxPool2d" | "averagePool2d" },
  zero: number,
): [Codes8, number[]] {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, step);
  const length = batch * outHeight * outWidth * channels;
  const out = codes instanceof Uint8Array ? new Uint8Array(length) : new Int8Array(length);
  const sums = new Int32Array(channels);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < outHeight; oy++) {
      const y0 = Math.max(0, oy * step.strides[0] - top);
      const y1 = Math.min(height, oy * step.strides[0] - top + step.size[0]);
      for (let ox = 0; ox < outWidth; ox++, at += channels) {
        const x0 = Math.max(0, ox * step.strides[1] - left);
        const x1 = Math.min(width, ox * step.strides[1] - left + step.size[1]);
        sums.fill(step.kind === "maxPool2d" ? -128 : 0);
        for (let y = y0; y < y1; y++) {
          for (let x = x0; x < x1; x++) {
            // Channels lie side by side: the inner loop runs along memory.
            const from = ((b * height + y) * width + x) * channels;
            if (step.kind === "maxPool2d") {
              for (let c = 0; c < channels; c++) if (codes[from + c] > sums[c]) sums[c] = codes[from + c];
            } else {
              for (let c = 0; c < channels; c++) sums[c] += codes[from + c] - zero;
            }
          }
        }
        const count = (y1 - y0) * (x1 - x0);
        for (let c = 0; c < channels; c++) {
          out[at + c] = step.kind === "maxPool2d" ? sums[c] : roundEven(sums[c] / count) + zero;
        }
      }
    }
  }
  return [out, [outHeight, outWidth, channels]];
}

function simulateConv(
  values: Float64Array,
  batch: number,
  shape: readonly number[],
  step: Weighted & Window & { kind: "conv2d" },
): [Float64Array<ArrayBuffer>, number[]] {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, step);
  const units = step.bias.length;
  const out = new Float64Array(batch * outHeight * outWidth * units);
  const sums = new Float64Array(units);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        sums.fill(0);
        for (let ky = 0; ky < step.size[0]; ky++) {
          const y = oy * step.strides[0] + ky - top;
          if (y < 0 || y >= height) continue;
          for (let kx = 0; kx < step.size[1]; kx++) {
            const x = ox * step.strides[1] + kx - left;
            if (x < 0 || x >= width) continue;
            for (let c = 0; c < channels; c++) {
              const value = values[((b * height + y) * width + x) * channels + c];
              const row = ((ky * step.size[1] + kx) * channels + c) * units;
              for (let u = 0; u < units; u++) sums[u] += value * step.kernel[row + u];
            }
          }
        }
        for (let u = 0; u < units; u++) {
          const accumulator = sums[u] * 2 ** step.fraction[u] + step.bias[u];
          out[at++] = simulateRequantization(accumulator, u, step.requantization);
        }
      }
    }
  }
  return [out, [outHeight, outWidth, units]];
}

/** The rounding of `requantize` on real numbers: sum times multiplier, a real number; nearest level; clipped. */
function simulateRequantization(
  sum: number,
  unit: number,
  requantization: Requantization | undefined,
): number {
  if (requantization === undefined) return sum;
  const { multipliers, zeroPoint, low, high } = requantization;
  const { multiplier, shift } = multipliers[unit % multipliers.length];
  return Math.min(high - zeroPoint, Math.max(low - zeroPoint, roundEven(sum * (multiplier * 2 ** -shift))));
}

function simulatePool(
  values: Float64Array,
  batch: number,
  shape: readonly number[],
  step: Window & { kind: "maxPool2d" | "averagePool2d" },
): [Float64Array<ArrayBuffer>, number[]] {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, step);
  const out = new Float64Array(batch * outHeight * outWidth * channels);
  const largest = step.kind === "maxPool2d";
  for (let i = 0; i < out.length; i++) {
    const c = i % channels;
    const ox = Math.floor(i / channels) % outWidth;
    const oy = Math.floor(i / (channels * outWidth)) % outHeight;
    const b = Math.floor(i / (channels * outWidth * outHeight));
    const found: number[] = [];
    for (let ky = 0; ky < step.size[0]; ky++) {
      for (let kx = 0; kx < step.size[1]; kx++) {
        const y = oy * step.strides[0] + ky - top;
        const x = ox * step.strides[1] + kx - left;
        if (y >= 0 && y < height && x >= 0 && x < width)
          found.push(values[((b * height + y) * width + x) * channels + c]);
      }
    }
    out[i] = largest ? Math.max(...found) : roundEven(found.reduce((a, v) => a + v, 0) / found.length);
  }
  return [out, [outHeight, outWidth, channels]];
}
