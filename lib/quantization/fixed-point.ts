// §3.2.1, item 1: fixed-point quantization, the right formula.
//
// A grid is a scale s and a zero point z: code q stands for the value s·(q − z). Symmetric grids have z = 0 and
// s = α / (2^(b−1) − 1); affine ones cover [min, max] with s = (max − min) / (2^b − 1) and z the code of 0.
// Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018.
import { checkFinite, checkInteger, checkLength, checkNumber, checkOneOf } from "../util/check.ts";
import { fromHalf, toHalf } from "../util/half.ts";
import { seeded } from "../util/random.ts";
import { elements } from "../util/shape.ts";
import { codesOf, finiteExtent } from "./codes.ts";
import { type Codes, emptyCodes, pack, packedBytes, unpack } from "./packing.ts";
import {
  chooseRange,
  codeRange,
  gridOf,
  isSignGrid,
  type Levels,
  type RangeMethod,
  rangeMethods,
  type Scheme,
  schemes,
} from "./range.ts";
import { type Rounding, roundingShift, roundings, roundStochastic } from "./rounding.ts";

/**
 * Kernels of fewer weights stay floats beside kernels of 8 bits by default, as TFLite's converter leaves them: they are
 * the first convolution and depthwise filters, which cost next to nothing and whose rounding costs the most.
 */
export const fewWeights = 1024;

/** Kernels of fewer weights stay floats unless it is said otherwise: those of 8 bits; other widths are for all kernels. */
export const floatBelow = (bits: number | undefined): number => (bits === 8 ? fewWeights : 0);

/** How scales are stored: float16 takes half the room, which counts where each scale serves a small group. */
export const scaleTypes = ["float32", "float16"] as const;
export type ScaleType = (typeof scaleTypes)[number];

/** Where the levels lie: one scale and zero point for all values, for each index of `axis`, or for each group of values. */
export interface Grid extends Levels {
  /** One positive number, or one a channel and group: group by group, each with one for every channel. */
  scale: Float32Array;
  /** The code that stands for 0, one for each scale; all 0 for symmetric grids. */
  zeroPoint: Int32Array;
  /** Shape of the values, row-major. */
  shape: number[];
  /** The axis of `shape` whose every index, its channel, has its own scale; undefined for one channel in all. */
  axis: number | undefined;
  /** How many axes, from `axis` on, make a channel together: 2 for the outputs of a depthwise convolution. Default 1. */
  span?: number;
  /** Each so many values of a channel, in their order, have a scale of their own; default all of them. */
  group?: number;
  /** Default `float32`. With `float16`, scales are numbers that it has. */
  scaleType?: ScaleType;
}

/** Quantized values: their codes and the grid that gives them meaning. */
export interface Quantized extends Grid {
  codes: Codes;
}

/** How to choose a grid. */
export interface GridOptions {
  /** Bits a code, 1 to 16. */
  bits: number;
  /** Default `symmetric`: usual for weights. `affine` suits values of one sign, such as activations after ReLU. */
  scheme?: Scheme;
  /** Default: signed codes for symmetric grids, unsigned for affine ones. */
  signed?: boolean;
  /** Shape of the values, row-major; needed with `axis`. */
  shape?: readonly number[];
  /** One scale for each index of this axis (per channel: the last axis of a kernel); without it one scale (per tensor). */
  axis?: number;
  /** How many axes, from `axis` on, make a channel together; default 1. */
  span?: number;
  /**
   * Group-wise scales: one for each so many values of a channel (or of all, without `axis`), in their order; the last group
   * may be shorter. Usual are 32, 64 and 128.
   */
  group?: number;
  /** How scales are stored; default `float32`. */
  scaleType?: ScaleType;
  /** Default `max`: see `chooseRange`. A pair [min, max] sets the range by hand. */
  range?: RangeMethod | readonly [min: number, max: number];
  /** For range `percentile`, 50 to 100, default 99.9. */
  percentile?: number;
}

/** How values become codes. */
export interface RoundingOptions {
  /** Default `nearest`, ties to even. */
  rounding?: Rounding;
  /** For stochastic rounding, default 0. */
  seed?: number;
}

/** Resolves and checks what `GridOptions` leave open. */
export function levelsOf({
  bits,
  scheme = "symmetric",
  signed = scheme === "symmetric",
}: GridOptions): Levels {
  checkInteger("bits", bits, 1, 16);
  checkOneOf("scheme", scheme, schemes);
  return { bits, scheme, signed };
}

/** How values lie: element (o, c, i) at (o·channels + c)·inner + i, and its scale at ⌊(o·inner + i) / group⌋·channels + c. */
export interface GridLayout {
  outer: number;
  channels: number;
  inner: number;
  /** Values of a channel that share a scale. */
  group: number;
  /** Scales in all. */
  scales: number;
}

/** The layout of a grid's values; throws for an axis, a span or a group that its shape does not have. */
export function layoutOf({
  shape,
  axis,
  span = 1,
  group,
}: Pick<Grid, "shape" | "axis" | "span" | "group">): GridLayout {
  let [outer, channels, inner] = [1, 1, elements(shape)];
  if (axis === undefined) checkInteger("span without axis", span, 1, 1);
  else {
    checkInteger("axis", axis, 0, shape.length - 1);
    const end = axis + checkInteger("span", span, 1, shape.length - axis);
    [outer, channels, inner] = [[0, axis], [axis, end], [end]].map(([from, to]) =>
      elements(shape.slice(from, to)),
    );
  }
  const size = outer * inner;
  const length = group === undefined ? Math.max(1, size) : checkInteger("group", group, 1);
  return { outer, channels, inner, group: length, scales: channels * Math.max(1, Math.ceil(size / length)) };
}

/**
 * Chooses scale and zero point for values (§3.2.1).
 *
 * @param values finite numbers, row-major in `options.shape`
 * @throws RangeError for bits out of range, an axis that the shape does not have, NaN or infinite values
 */
export function chooseGrid(values: Float32Array, options: GridOptions): Grid {
  const levels = levelsOf(options);
  const { shape = [values.length], axis, range = "max", percentile = 99.9, scaleType = "float32" } = options;
  const extent = finiteExtent(values);
  if (levels.scheme === "symmetric" && !levels.signed && extent[0] < 0)
    throw new RangeError(
      `values of a symmetric grid without signs must be at least 0, got ${extent[0]}: take signed codes or an affine grid`,
    );
  checkNumber("percentile", percentile, 50, 100);
  checkOneOf("scaleType", scaleType, scaleTypes);
  if (typeof range === "string") checkOneOf("range", range, rangeMethods);
  else checkFinite("range", range);
  if (axis !== undefined && options.shape === undefined)
    throw new RangeError("axis needs shape: give both, or neither");
  const { span, group: length } = options;
  const places = { shape: [...shape], axis, ...(span === undefined || span === 1 ? {} : { span }) };
  const layout = layoutOf({ ...places, group: length });
  const { outer, channels, inner, group, scales } = layout;
  checkLength("values", values, outer * channels * inner);
  const scale = new Float32Array(scales);
  const zeroPoint = new Int32Array(scales);
  const put = (at: number, min: number, max: number) => {
    const grid = gridOf(min, max, levels, scaleType === "float16" ? halfScale : undefined);
    scale[at] = grid.scale;
    zeroPoint[at] = grid.zeroPoint;
  };
  const grid: Grid = {
    ...levels,
    scale,
    zeroPoint,
    ...places,
    ...(length === undefined ? {} : { group: length }),
    ...(scaleType === "float32" ? {} : { scaleType }),
  };
  if (range === "max") {
    const { min, max } = scales === 1 ? { min: [extent[0]], max: [extent[1]] } : extentsOf(values, grid);
    for (let at = 0; at < scales; at++) put(at, min[at], max[at]);
    return grid;
  }
  // One channel's values in one piece; with a single channel that is the array itself, not a copy.
  const channel = channels === 1 ? values : new Float32Array(outer * inner);
  for (let c = 0; c < channels; c++) {
    if (channels > 1) {
      for (let o = 0, at = 0; o < outer; o++) {
        const start = (o * channels + c) * inner;
        for (let i = 0; i < inner; i++) channel[at++] = values[start + i];
      }
    }
    for (let at = c, from = 0; at < scales; at += channels, from += group) {
      const part = group >= channel.length ? channel : channel.subarray(from, from + group);
      const [min, max] = typeof range === "string" ? chooseRange(part, levels, range, percentile) : range;
      put(at, min, max);
    }
  }
  return grid;
}

/** The extent of the values that share each scale, 0 included, in the order in which they lie. */
function extentsOf(values: Float32Array, grid: Grid): { min: Float32Array; max: Float32Array } {
  const { outer, channels, inner, group, scales } = layoutOf(grid);
  const [min, max] = [new Float32Array(scales), new Float32Array(scales)];
  const see = (place: number, value: number) => {
    if (value < min[place]) min[place] = value;
    else if (value > max[place]) max[place] = value;
  };
  if (inner === 1)
    for (let o = 0, at = 0; o < outer; o++) {
      const first = Math.floor(o / group) * channels;
      for (let c = 0; c < channels; c++, at++) see(first + c, values[at]);
    }
  else
    eachRun(grid, (place, from, end) => {
      for (let at = from; at < end; at++) see(place, values[at]);
    });
  return { min, max };
}

/** The nearest scale that float16 has. */
function halfScale(scale: number): number {
  return Math.min(65504, Math.max(2 ** -24, fromHalf(toHalf(scale))));
}

/**
 * Gives every value the code of its level: q = clamp(round(w / s) + z) (§3.2.1).
 *
 * @param values finite numbers, as many as `grid.shape` holds
 * @throws RangeError for another number of values and for NaN or infinite ones
 */
export function quantizeOn(grid: Grid, values: Float32Array, options: RoundingOptions = {}): Quantized {
  finiteExtent(values);
  return finiteOn(grid, values, options);
}

/** {@link quantizeOn} of values that are known to be finite. */
function finiteOn(grid: Grid, values: Float32Array, options: RoundingOptions): Quantized {
  const { rounding = "nearest", seed = 0 } = options;
  checkOneOf("rounding", rounding, roundings);
  const { outer, channels, inner } = layoutOf(grid);
  checkLength("values", values, outer * channels * inner);
  const codes = emptyCodes(values.length, grid.bits, grid.signed);
  const { low, high } = codeRange(grid);
  const sign = isSignGrid(grid);
  const random = rounding === "stochastic" ? seeded(seed) : undefined;
  if (!random && !sign) {
    nearestOn(grid, values, codes);
    return { ...grid, codes };
  }
  eachRun(grid, (place, from, end) => {
    const scale = grid.scale[place];
    const zero = grid.zeroPoint[place];
    let at = from;
    if (random) {
      for (; at < end; at++) {
        // Between the two levels of a sign grid lie two steps, so it rounds half a value and doubles it.
        const q = sign
          ? 2 * roundStochastic((values[at] / scale + 1) / 2, random) - 1
          : roundStochastic(values[at] / scale, random) + zero;
        codes[at] = Math.min(high, Math.max(low, q));
      }
    } else for (; at < end; at++) codes[at] = values[at] < 0 ? -1 : 1;
  });
  return { ...grid, codes };
}

/** The nearest levels of a grid that is no sign grid: their codes, or in floats what these stand for. */
function nearestOn(grid: Grid, values: Float32Array, out: Codes | Float32Array): void {
  const { outer, channels, inner, group } = layoutOf(grid);
  const range = codeRange(grid);
  const { scale, zeroPoint } = grid;
  const part = (from: number, end: number, first: number, count: number) =>
    codesOf(
      values.subarray(from, end),
      scale.subarray(first, first + count),
      zeroPoint.subarray(first, first + count),
      range,
      out.subarray(from, end),
    );
  // The usual kernel, whose last axis has the channels: neighbours have different scales.
  if (inner === 1)
    for (let o = 0, first = 0; o < outer; o += group, first += channels)
      part(o * channels, Math.min(outer, o + group) * channels, first, channels);
  else if (inner >= 64 && group >= 64) eachRun(grid, (place, from, end) => part(from, end, place, 1));
  else {
    const floats = out instanceof Float32Array;
    eachRun(grid, (place, from, end) => {
      const s = scale[place];
      const z = zeroPoint[place];
      for (let at = from; at < end; at++) {
        // The inlined `roundEven`.
        const q = values[at] / s + roundingShift - roundingShift + z;
        const code = Math.min(range.high, Math.max(range.low, q));
        out[at] = floats ? (code - z) * s : code;
      }
    });
  }
}

/** What values become on a grid: `dequantize(quantizeOn(grid, values))`, in one go. */
export function roundOn(grid: Grid, values: Float32Array): Float32Array {
  if (isSignGrid(grid)) return dequantize(quantizeOn(grid, values));
  finiteExtent(values);
  const { outer, channels, inner } = layoutOf(grid);
  checkLength("values", values, outer * channels * inner);
  const rounded = new Float32Array(values.length);
  nearestOn(grid, values, rounded);
  return rounded;
}

/**
 * Quantizes values to fixed point (§3.2.1): chooses a grid, then gives every value its code.
 *
 * @param values finite numbers, row-major in `options.shape`
 * @throws RangeError for options out of range, NaN or infinite values
 */
export function quantize(values: Float32Array, options: GridOptions & RoundingOptions): Quantized {
  // The grid has been chosen of finite values only.
  return finiteOn(chooseGrid(values, options), values, options);
}

/** The values that codes stand for: s·(q − z) (§3.2.1). */
export function dequantize(quantized: Quantized): Float32Array {
  const { codes, scale, zeroPoint } = quantized;
  const { outer, channels, inner, group } = layoutOf(quantized);
  checkLength("codes", codes, outer * channels * inner);
  const values = new Float32Array(codes.length);
  if (inner === 1) {
    for (let o = 0, at = 0; o < outer; o++) {
      const first = Math.floor(o / group) * channels;
      for (let c = 0; c < channels; c++, at++)
        values[at] = (codes[at] - zeroPoint[first + c]) * scale[first + c];
    }
    return values;
  }
  eachRun(quantized, (place, from, end) => {
    const s = scale[place];
    const z = zeroPoint[place];
    for (let at = from; at < end; at++) values[at] = (codes[at] - z) * s;
  });
  return values;
}

/** Goes over the runs of neighbours that share a scale: where it is, and where they begin and end. */
export function eachRun(grid: Grid, run: (place: number, from: number, end: number) => void): void {
  const { outer, channels, inner, group } = layoutOf(grid);
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (let c = 0; c < channels; c++)
      for (let i = 0; i < inner; ) {
        const g = Math.floor((o * inner + i) / group);
        const next = Math.min(inner, (g + 1) * group - o * inner);
        run(g * channels + c, at, at + next - i);
        at += next - i;
        i = next;
      }
}

/** Quantizes and dequantizes at once: what the values become, as float32. */
export function fakeQuantize(values: Float32Array, options: GridOptions & RoundingOptions): Float32Array {
  const { rounding = "nearest" } = options;
  return rounding === "nearest"
    ? roundOn(chooseGrid(values, options), values)
    : dequantize(quantize(values, options));
}

/** A quantized array as it is stored: packed codes beside the grid. */
export interface PackedQuantized extends Grid {
  bytes: Uint8Array;
}

/** Packs the codes to `bits` bits each. */
export function packQuantized({ codes, ...grid }: Quantized): PackedQuantized {
  // −1 and +1 share their lowest bit, so a sign grid stores 0 and 1.
  return { ...grid, bytes: pack(isSignGrid(grid) ? codes.map((code) => (code + 1) / 2) : codes, grid.bits) };
}

/** Reads back what `packQuantized` wrote. */
export function unpackQuantized({ bytes, ...grid }: PackedQuantized): Quantized {
  const count = elements(grid.shape);
  const sign = isSignGrid(grid);
  const codes = unpack(bytes, grid.bits, count, grid.signed && !sign);
  if (!sign) return { ...grid, codes };
  const signs = new Int8Array(codes.length);
  for (let i = 0; i < signs.length; i++) signs[i] = 2 * codes[i] - 1;
  return { ...grid, codes: signs };
}

/** Bytes of a quantized array in storage: packed codes, and for each scale itself and, if affine, an int32 zero point. */
export function quantizedBytes({ bits, scheme, scale, shape, scaleType }: Grid): number {
  const each = (scaleType === "float16" ? 2 : 4) + (scheme === "affine" ? 4 : 0);
  return packedBytes(elements(shape), bits) + scale.length * each;
}
