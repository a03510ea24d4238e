// §3.2.2 The steps of a network in integers: what each is made of, and how floats become its whole numbers.

import { checkInteger, checkLength } from "../util/check.ts";
import { type ActivationGrid, toCodes } from "./activation-grid.ts";
import type { Quantized } from "./fixed-point.ts";
import { type BitMatrix, type PackedRight, packBits, packRight } from "./integer-matmul.ts";
import type { Codes8 } from "./packing.ts";
import { codeRange } from "./range.ts";
import { fixedMultiplier, type Multiplier, type Requantization } from "./requantize.ts";
import { roundEven } from "./rounding.ts";

/** Height and width of a window, and how it moves. */
export interface Window {
  size: readonly [height: number, width: number];
  strides: readonly [vertical: number, horizontal: number];
  /** As in TensorFlow: `valid` keeps the window inside; `same` pads, the odd row and column at the end. */
  padding: "valid" | "same";
}

/** What steps with weights have. */
export interface Weighted {
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

/** What brings several inputs to one grid. */
interface Meeting {
  /** Codes of 0, one an input. */
  zerosIn: readonly number[];
  output: ActivationGrid;
  /** Smallest and largest code; a ReLU moves them. */
  low: number;
  high: number;
}

/** How the codes of several inputs become codes of one grid: whole multipliers with one shift for all of them. */
interface Joined extends Meeting {
  /** One an input: its scale over the output's, times 2^shift. */
  multipliers: readonly number[];
  shift: number;
}

/** One step of an integer network. */
export type IntegerStep = {
  /** The steps whose results it reads, by index; -1 is the network's input, -2 its second. Default: the step before. */
  inputs?: readonly number[];
} & (
  | (Weighted & { kind: "dense" })
  | (Weighted & Window & { kind: "conv2d" })
  | (Weighted & Window & { kind: "depthwiseConv2d" })
  | (Window & { kind: "maxPool2d" })
  | (Window & { kind: "averagePool2d" })
  /** Padding, cropping, repeating: which row and column of the input stands in each of the output's; -1 for 0. */
  | { kind: "pick2d"; rows: readonly number[]; columns: readonly number[] }
  /** Of sums, maxima, minima and products, inputs of size 1 along an axis are stretched. */
  | (Joined & { kind: "add" })
  | (Joined & { kind: "maximum" })
  | (Joined & { kind: "minimum" })
  /** The codes' product times one multiplier. */
  | (Meeting & { kind: "multiply"; multiplier: Multiplier })
  | (Joined & { kind: "concatenate" })
  /** A ReLU whose result is not its own layer's alone: codes below and above are cut. */
  | { kind: "clip"; low: number; high: number }
  /** Any other function of one number: the code of its result for each code; a row for all channels, or one for each. */
  | { kind: "lookup"; table: Codes8; rows: number; lowIn: number; output: ActivationGrid }
  | { kind: "reshape"; shape: readonly number[] }
);
/** A step of a kind. */
export type Step<Kind extends IntegerStep["kind"]> = Extract<IntegerStep, { kind: Kind }>;

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
  /** Of a sum: what each branch is multiplied with, or all of them; default 1. */
  factor?: number | readonly number[];
}

/** Makes a sum of branches. */
export function addStep(options: JoinedOptions): IntegerStep {
  return { kind: "add", inputs: options.inputs, ...joined(options) };
}

/** Makes the largest of branches. */
export function maximumStep(options: JoinedOptions): IntegerStep {
  return { kind: "maximum", inputs: options.inputs, ...joined(options) };
}

/** Makes the smallest of branches. */
export function minimumStep(options: JoinedOptions): IntegerStep {
  return { kind: "minimum", inputs: options.inputs, ...joined(options) };
}

/** Makes a product of two or three branches: with more, a double would no longer hold it exactly. */
export function multiplyStep({
  inputs,
  from,
  output,
  relu = false,
  most,
}: Omit<JoinedOptions, "factor">): IntegerStep {
  checkInteger("branches of a product", from.length, 2, 3);
  const product = from.reduce((all, { scale }) => all * scale, 1);
  return {
    kind: "multiply",
    inputs,
    multiplier: fixedMultiplier(product / (output.step ?? output.scale)),
    zerosIn: from.map(({ zeroPoint }) => zeroPoint),
    output,
    ...clipped(output, relu, most),
  };
}

/** Makes a concatenation along the channels. */
export function concatenateStep(options: JoinedOptions): IntegerStep {
  return { kind: "concatenate", inputs: options.inputs, ...joined(options) };
}

function joined({ from, output, relu = false, most, factor = 1 }: JoinedOptions): Joined {
  const ratios = from.map(
    ({ scale }, i) =>
      ((typeof factor === "number" ? factor : factor[i]) * scale) / (output.step ?? output.scale),
  );
  // 22 bits for the largest: times codes of 9 bits, and summed, they stay whole numbers in a double with room to spare.
  const { shift } = fixedMultiplier(Math.max(...ratios.map(Math.abs)));
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

/**
 * Makes a function of one number a table, as engines do: 8-bit codes have at most 256 values.
 *
 * @param of the function's values, given what all codes of the input stand for; for one function a channel, first all of the
 *   first channel's
 * @throws RangeError where it gives NaN for what a code of the input stands for
 */
export function lookupStep({
  input,
  output,
  of,
}: {
  input: ActivationGrid;
  output: ActivationGrid;
  of: (reals: Float32Array) => Float32Array;
}): IntegerStep {
  const { scale, zeroPoint, low, high } = input;
  const reals = Float32Array.from({ length: high - low + 1 }, (_, i) => scale * (low + i - zeroPoint));
  const values = of(reals);
  const rows = values.length / reals.length;
  checkInteger("results of a table over its codes", rows, 1);
  const wrong = values.findIndex(Number.isNaN);
  if (wrong >= 0)
    throw new RangeError(
      `a function that becomes a table must have a value wherever its input has a code, got NaN for ${reals[wrong % reals.length]}`,
    );
  return { kind: "lookup", table: toCodes(values, output), rows, lowIn: low, output };
}

/** Makes zeros around pictures: [top, bottom, left, right]. Negative numbers of rows and columns are cut off. */
export function padStep(
  [height, width]: readonly number[],
  [top, bottom, left, right]: readonly [top: number, bottom: number, left: number, right: number],
): IntegerStep {
  const places = (size: number, before: number, after: number) =>
    Array.from({ length: size + before + after }, (_, i) =>
      i >= before && i < before + size ? i - before : -1,
    );
  return { kind: "pick2d", rows: places(height, top, bottom), columns: places(width, left, right) };
}

/** Makes each row and column of pictures so many. */
export function repeatStep([height, width]: readonly number[], [high, wide]: readonly number[]): IntegerStep {
  const places = (size: number, times: number) =>
    Array.from({ length: size * times }, (_, i) => Math.floor(i / times));
  return { kind: "pick2d", rows: places(height, high), columns: places(width, wide) };
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
