// §3.2.2 A network in integers: 8-bit weights and activations, 32-bit accumulators, whole numbers from the
// first step to the last; beside it the same network simulated in floating point, equal bit for bit.
//
// Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", 2018.

import { checkInteger, checkLength, shown } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";
import { elements } from "../util/shape.ts";
import type { Quantized } from "./fixed-point.ts";
import { type Finish, integerConvolution, integerLayer } from "./integer-layer.ts";
import {
  type BitMatrix,
  binaryMatmul,
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

/** How the codes of several inputs become codes of one grid: whole multipliers with one shift for all of them. */
interface Joined {
  /** One an input: its scale over the output's, times 2^shift. */
  multipliers: readonly number[];
  shift: number;
  /** Codes of 0, one an input. */
  zerosIn: readonly number[];
  output: ActivationGrid;
  /** Smallest and largest code; a ReLU moves them. */
  low: number;
  high: number;
}

/** One step of an integer network. */
export type IntegerStep = {
  /** The steps whose results it reads, by index; -1 is the network's input. Default: the step before. */
  inputs?: readonly number[];
} & (
  | (Weighted & { kind: "dense" })
  | (Weighted & Window & { kind: "conv2d" })
  | (Weighted & Window & { kind: "depthwiseConv2d" })
  | (Window & { kind: "maxPool2d" })
  | (Window & { kind: "averagePool2d" })
  | { kind: "pad2d"; padding: readonly [top: number, bottom: number, left: number, right: number] }
  | (Joined & { kind: "add" })
  | (Joined & { kind: "concatenate" })
  /** A ReLU whose result is not its own layer's alone: codes below and above are cut. */
  | { kind: "clip"; low: number; high: number }
  | { kind: "flatten" }
);
type Step<Kind extends IntegerStep["kind"]> = Extract<IntegerStep, { kind: Kind }>;

/** A network in integers: steps that read the network's input, or what earlier steps gave. */
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
  /** What the outputs are clipped to, 6 for a ReLU6. */
  most?: number;
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

/** Makes a depthwise step from a quantized kernel [height, width, channels, multiplier], its scales by channel. */
export function depthwiseConv2dStep(options: WeightedOptions & Omit<Window, "size">): IntegerStep {
  const { kernel, strides, padding } = options;
  const [height, width, channels, multiplier] = kernel.shape;
  if (kernel.axis !== undefined && kernel.axis !== 2)
    throw new RangeError(
      `kernel of ${options.name} must have its scales along axis 2, its channels, got axis ${kernel.axis}`,
    );
  // Every channel's filters side by side are the units: [places, channels x multiplier].
  const units = channels * multiplier;
  const perUnit = multiplier / (kernel.span === 2 ? multiplier : 1);
  const scale = Float32Array.from({ length: units }, (_, unit) =>
    kernel.axis === undefined ? kernel.scale[0] : kernel.scale[Math.floor(unit / perUnit)],
  );
  const flat: Quantized = { ...kernel, shape: [height * width, units], axis: 1, span: undefined, scale };
  return {
    kind: "depthwiseConv2d",
    size: [height, width],
    strides,
    padding,
    ...weighted({ ...options, kernel: flat }),
  };
}

/** What a step that brings several inputs to one grid is made of. */
export interface JoinedOptions {
  inputs: readonly number[];
  /** Grids of what is read. */
  from: readonly ActivationGrid[];
  output: ActivationGrid;
  relu?: boolean;
  most?: number;
}

/** Makes a sum of branches. */
export function addStep(options: JoinedOptions): IntegerStep {
  return { kind: "add", inputs: options.inputs, ...joined(options) };
}

/** Makes a concatenation along the channels. */
export function concatenateStep(options: JoinedOptions): IntegerStep {
  return { kind: "concatenate", inputs: options.inputs, ...joined(options) };
}

function joined({ from, output, relu = false, most }: JoinedOptions): Joined {
  const ratios = from.map(({ scale }) => scale / (output.step ?? output.scale));
  // 22 bits for the largest: times codes of 9 bits, and summed, they stay whole numbers in a double with room to spare.
  const { shift } = fixedMultiplier(Math.max(...ratios));
  return {
    multipliers: ratios.map((ratio) => Math.round(ratio * 2 ** shift)),
    shift,
    zerosIn: from.map(({ zeroPoint }) => zeroPoint),
    output,
    ...clipped(output, relu, most),
  };
}

/** Smallest and largest code behind a ReLU that may be clipped. */
function clipped(grid: ActivationGrid, relu: boolean, most: number | undefined) {
  const { zeroPoint, low, high, scale, step = scale } = grid;
  return {
    low: relu ? Math.max(low, zeroPoint) : low,
    high: most === undefined ? high : Math.min(high, zeroPoint + roundEven(most / step)),
  };
}

/** Makes a ReLU that stays on the grid of what it reads. */
export function clipStep(grid: ActivationGrid, most?: number): IntegerStep {
  return { kind: "clip", ...clipped(grid, true, most) };
}

function weighted({
  name,
  kernel,
  bias,
  input,
  output,
  relu = false,
  most: ceiling,
}: WeightedOptions): Weighted {
  const units = kernel.shape[kernel.shape.length - 1];
  if (kernel.bits > 8 || kernel.scheme !== "symmetric" || !(kernel.codes instanceof Int8Array)) {
    throw new RangeError(`kernel of ${name} must be symmetric, signed and of at most 8 bits`);
  }
  if (kernel.group !== undefined)
    throw new RangeError(
      `kernel of ${name} must have one scale for all inputs of an output, got groups of ${kernel.group}`,
    );
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
      ...clipped(output, relu, ceiling),
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

/** What a step gives: codes on a grid, or the accumulators of a last step that has none. */
interface Value {
  codes: Codes8 | Int32Array;
  shape: number[];
  grid: { scale: number; zeroPoint: number } | undefined;
}

/** How each kind of step runs. */
const runs: {
  [Kind in IntegerStep["kind"]]: (
    step: Step<Kind>,
    inputs: (Value & { codes: Codes8; grid: { scale: number; zeroPoint: number } })[],
    batch: number,
    threads: number,
  ) => Value;
} = {
  flatten: (_, [value]) => ({ ...value, shape: [elements(value.shape)] }),
  maxPool2d: (step, [value], batch) => pooled(step, value, batch),
  averagePool2d: (step, [value], batch) => pooled(step, value, batch),
  dense: (step, [{ codes }], batch, threads) => finish(step, codes, batch, [step.packed.cols], threads),
  conv2d: (step, [{ codes, shape }], batch, threads) => {
    const place = windows(shape, step);
    const { outHeight, outWidth } = place;
    const { packed, signs, zeroIn, requantization, bias, fraction, size, strides } = step;
    if (requantization && !signs) {
      const [height, width, channels] = shape;
      const rows = { height, width, channels, ...place, size, strides };
      const then: Finish = { ...requantization, bias, fraction };
      return {
        codes: integerConvolution(codes, rows, batch, packed, then, { zeroA: zeroIn, threads }),
        shape: [outHeight, outWidth, packed.cols],
        grid: step.output,
      };
    }
    const left = patches(codes, batch, shape, step, step.zeroIn);
    return finish(step, left, batch * outHeight * outWidth, [outHeight, outWidth, step.packed.cols], threads);
  },
  depthwiseConv2d: (step, [{ codes, shape }], batch) => {
    const [sums, outShape] = depthwiseSums(codes, batch, shape, step);
    return finished(step, sums, outShape);
  },
  pad2d: ({ padding }, [{ codes, shape, grid }], batch) => {
    const [padded, outShape] = padCodes(codes, batch, shape, padding, grid.zeroPoint);
    return { codes: padded, shape: outShape, grid };
  },
  clip: ({ low, high }, [value]) => ({
    ...value,
    codes: value.codes.map((code) => Math.min(high, Math.max(low, code))) as Codes8,
  }),
  add: (step, inputs) => {
    const { multipliers, zerosIn, output, shift, low, high } = step;
    const codes = codesFor(output, inputs[0].codes.length);
    for (let i = 0; i < codes.length; i++) {
      let sum = 0;
      for (let k = 0; k < inputs.length; k++) sum += (inputs[k].codes[i] - zerosIn[k]) * multipliers[k];
      codes[i] = Math.min(high, Math.max(low, roundEven(sum * 2 ** -shift) + output.zeroPoint));
    }
    return { codes, shape: inputs[0].shape, grid: output };
  },
  concatenate: (step, inputs) => {
    const { multipliers, zerosIn, output, shift, low, high } = step;
    const widths = inputs.map(({ shape }) => shape[shape.length - 1]);
    const channels = widths.reduce((a, b) => a + b);
    const places = inputs[0].codes.length / widths[0];
    const codes = codesFor(output, places * channels);
    let first = 0;
    for (const [k, { codes: from }] of inputs.entries()) {
      for (let i = 0; i < from.length; i++) {
        const at = Math.floor(i / widths[k]) * channels + first + (i % widths[k]);
        const level = roundEven((from[i] - zerosIn[k]) * multipliers[k] * 2 ** -shift);
        codes[at] = Math.min(high, Math.max(low, level + output.zeroPoint));
      }
      first += widths[k];
    }
    return { codes, shape: [...inputs[0].shape.slice(0, -1), channels], grid: output };
  },
};

const codesFor = ({ low }: ActivationGrid, length: number): Codes8 =>
  low >= 0 ? new Uint8Array(length) : new Int8Array(length);

function pooled(
  step: Step<"maxPool2d" | "averagePool2d">,
  { codes, shape, grid }: Value & { codes: Codes8; grid: { zeroPoint: number; scale: number } },
  batch: number,
): Value {
  const [out, outShape] = pool(codes, batch, shape, step, grid.zeroPoint);
  return { codes: out, shape: outShape, grid };
}

/** A matrix product of codes and what its layer does next. */
function finish(step: Weighted, left: Codes8, rows: number, shape: number[], threads: number): Value {
  const { packed, signs, zeroIn, requantization, bias, fraction } = step;
  if (requantization && !signs) {
    const codes = integerLayer(
      left,
      packed,
      rows,
      { ...requantization, bias, fraction },
      { zeroA: zeroIn, threads },
    );
    return { codes, shape, grid: step.output };
  }
  const sums = signs
    ? binaryMatmul(packBits(left, rows, packed.rows), signs)
    : integerMatmul(left, packed, rows, packed.rows, packed.cols, { zeroA: zeroIn, threads });
  return finished(step, sums, shape);
}

/** Sums of products to codes, or to accumulators where the step has no grid for its outputs. */
function finished(
  { bias, fraction, requantization, output }: Weighted,
  sums: Int32Array,
  shape: number[],
): Value {
  const units = bias.length;
  for (let i = 0; i < sums.length; i += units)
    for (let j = 0; j < units; j++) sums[i + j] = (sums[i + j] << fraction[j]) + bias[j];
  return requantization
    ? { codes: requantize(sums, units, requantization), shape, grid: output }
    : { codes: sums, shape, grid: undefined };
}

/** The positions of what a step reads, and the last step that reads each result: it may be forgotten then. */
function readsOf({ steps }: IntegerNetwork): { reads: number[][]; last: Map<number, number> } {
  const reads = steps.map(({ inputs }, i) => [...(inputs ?? [i - 1])]);
  const last = new Map<number, number>();
  for (const [i, sources] of reads.entries())
    for (const source of sources) {
      checkInteger(`inputs of step ${i}`, source, -1, i - 1);
      last.set(source, i);
    }
  return { reads, last };
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
  const input: Value = {
    codes: toCodes(inputs, network.input),
    shape: [...network.inputShape],
    grid: network.input,
  };
  const { reads, last } = readsOf(network);
  const values = new Map<number, Value>([[-1, input]]);
  let result = input;
  for (const [i, step] of network.steps.entries()) {
    const given = reads[i].map((source) => {
      const value = values.get(source)!;
      if (!value.grid) throw new RangeError("only the last step may leave out its output grid");
      return value;
    });
    result = (runs[step.kind] as (...args: unknown[]) => Value)(step, given, batch, threads);
    values.set(i, result);
    for (const source of reads[i]) if (last.get(source) === i) values.delete(source);
  }
  const { codes, shape, grid } = result;
  return resultOf(network, Int32Array.from(codes), shape, grid);
}

/**
 * The same network simulated in floating point, with loops of its own and no 8-bit or 32-bit number anywhere: the
 * independent answer that `runInteger` must equal bit for bit. Values are held in units of their grid's scale; every
 * sum of products is a whole number below 2^53, so nothing is lost on the way to the rounding.
 */
export function simulateInteger(network: IntegerNetwork, inputs: Float32Array, batch: number): IntegerResult {
  checkLength("inputs", inputs, batch * elements(network.inputShape));
  const { scale, zeroPoint, low, high, step: size = scale } = network.input;
  const levels = Float64Array.from(inputs, (v) =>
    Math.min(high - zeroPoint, Math.max(low - zeroPoint, roundEven(v / size))),
  );
  let result: Levels = { levels, shape: [...network.inputShape], grid: network.input };
  const { reads } = readsOf(network);
  const all = new Map<number, Levels>([[-1, result]]);
  for (const [i, step] of network.steps.entries()) {
    const given = reads[i].map((source) => all.get(source)!);
    if (given.some(({ grid }) => !grid))
      throw new RangeError("only the last step may leave out its output grid");
    result = simulateStep(step, given, batch);
    all.set(i, result);
  }
  const zero = result.grid?.zeroPoint ?? 0;
  const steps = Int32Array.from(result.levels, (level) => level + zero);
  return resultOf(network, steps, result.shape, result.grid);
}

/** Values of the simulation in units of their grid's scale, less its zero point. */
interface Levels {
  levels: Float64Array;
  shape: number[];
  grid: { scale: number; zeroPoint: number } | undefined;
}

function simulateStep(step: IntegerStep, inputs: Levels[], batch: number): Levels {
  const [{ levels, shape, grid }] = inputs;
  switch (step.kind) {
    case "flatten":
      return { levels, shape: [elements(shape)], grid };
    case "dense": {
      const window = { size: [1, 1], strides: [1, 1], padding: "valid" } as const;
      const as = { ...step, ...window, kind: "conv2d" as const };
      const [values, [, , units]] = simulateConv(levels, batch, [1, 1, elements(shape)], as);
      return { levels: values, shape: [units], grid: step.output };
    }
    case "conv2d":
    case "depthwiseConv2d": {
      const [values, outShape] = simulateConv(levels, batch, shape, step);
      return { levels: values, shape: outShape, grid: step.output };
    }
    case "maxPool2d":
    case "averagePool2d": {
      const [values, outShape] = simulatePool(levels, batch, shape, step);
      return { levels: values, shape: outShape, grid };
    }
    case "clip": {
      const zero = grid!.zeroPoint;
      return {
        levels: levels.map((v) => Math.min(step.high - zero, Math.max(step.low - zero, v))),
        shape,
        grid,
      };
    }
    case "pad2d":
      return { ...simulatePad(levels, batch, shape, step.padding), grid };
    case "add":
    case "concatenate":
      return simulateJoined(step, inputs);
  }
}

function resultOf(
  { steps: all }: IntegerNetwork,
  steps: Int32Array,
  shape: number[],
  grid: { scale: number; zeroPoint: number } | undefined,
): IntegerResult {
  if (grid) return { steps, values: mapFloats(steps, (q) => grid.scale * (q - grid.zeroPoint)), shape };
  const { accumulatorScale } = all[all.length - 1] as Weighted;
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

/** Sums of products of each channel's patches and its own filters. */
function depthwiseSums(
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

/** Codes with those of 0 around them. */
function padCodes(
  codes: Codes8,
  batch: number,
  [height, width, channels]: readonly number[],
  [top, bottom, left, right]: Step<"pad2d">["padding"],
  zero: number,
): [Codes8, number[]] {
  const shape = [height + top + bottom, width + left + right, channels];
  const row = width * channels;
  const out =
    codes instanceof Uint8Array
      ? new Uint8Array(batch * elements(shape))
      : new Int8Array(batch * elements(shape));
  out.fill(zero);
  for (let b = 0; b < batch; b++)
    for (let y = 0; y < height; y++) {
      const from = (b * height + y) * row;
      out.set(codes.subarray(from, from + row), ((b * shape[0] + y + top) * shape[1] + left) * channels);
    }
  return [out, shape];
}

function simulateConv(
  values: Float64Array,
  batch: number,
  shape: readonly number[],
  step: Step<"conv2d" | "depthwiseConv2d">,
): [Float64Array<ArrayBuffer>, number[]] {
  const [height, width, channels] = shape;
  const { outHeight, outWidth, top, left } = windows(shape, step);
  const units = step.bias.length;
  const multiplier = units / channels;
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
            const place = ky * step.size[1] + kx;
            const from = ((b * height + y) * width + x) * channels;
            if (step.kind === "depthwiseConv2d") {
              for (let u = 0; u < units; u++)
                sums[u] += values[from + Math.floor(u / multiplier)] * step.kernel[place * units + u];
              continue;
            }
            for (let c = 0; c < channels; c++) {
              const row = (place * channels + c) * units;
              for (let u = 0; u < units; u++) sums[u] += values[from + c] * step.kernel[row + u];
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

function simulateJoined(step: Step<"add" | "concatenate">, inputs: Levels[]): Levels {
  const { multipliers, shift, output } = step;
  const [low, high] = [step.low - output.zeroPoint, step.high - output.zeroPoint];
  const round = (real: number) => Math.min(high, Math.max(low, roundEven(real)));
  const factors = multipliers.map((multiplier) => multiplier / 2 ** shift);
  if (step.kind === "add") {
    const sums = inputs[0].levels.map((_, i) =>
      round(inputs.reduce((sum, { levels }, k) => sum + levels[i] * factors[k], 0)),
    );
    return { levels: sums, shape: inputs[0].shape, grid: output };
  }
  const rows = inputs.map(({ levels, shape }) => ({ levels, width: shape[shape.length - 1] }));
  const channels = rows.reduce((sum, { width }) => sum + width, 0);
  const places = rows[0].levels.length / rows[0].width;
  const all = Array.from({ length: places }, (_, place) =>
    rows.flatMap(({ levels, width }, k) =>
      [...levels.subarray(place * width, (place + 1) * width)].map((level) => round(level * factors[k])),
    ),
  );
  return {
    levels: Float64Array.from(all.flat()),
    shape: [...inputs[0].shape.slice(0, -1), channels],
    grid: output,
  };
}

function simulatePad(
  levels: Float64Array,
  batch: number,
  [height, width, channels]: number[],
  [top, bottom, left, right]: Step<"pad2d">["padding"],
): { levels: Float64Array; shape: number[] } {
  const shape = [height + top + bottom, width + left + right, channels];
  const out = new Float64Array(batch * elements(shape));
  for (let i = 0; i < levels.length; i++) {
    const c = i % channels;
    const x = Math.floor(i / channels) % width;
    const y = Math.floor(i / (channels * width)) % height;
    const b = Math.floor(i / (channels * width * height));
    out[((b * shape[0] + y + top) * shape[1] + x + left) * channels + c] = levels[i];
  }
  return { levels: out, shape };
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
