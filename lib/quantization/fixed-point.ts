// §3.2.1, item 1: fixed-point quantization, the right formula.
//
// A grid is a scale s and a zero point z: code q stands for the value s·(q − z). Symmetric grids have z = 0 and
// s = α / (2^(b−1) − 1); affine ones cover [min, max] with s = (max − min) / (2^b − 1) and z the code of 0.
// Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018.
import { checkFinite, checkInteger, checkLength, checkNumber, checkOneOf } from "../util/check.ts";
import { seeded } from "../util/random.ts";
import { elements } from "../util/shape.ts";
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

/** Where the levels lie: one scale and zero point for all values, or one for each index of `axis`. */
export interface Grid extends Levels {
  /** One positive number, or one a channel; float32, as a file stores them. */
  scale: Float32Array;
  /** The code that stands for 0: one, or one a channel; all 0 for symmetric grids. */
  zeroPoint: Int32Array;
  /** Shape of the values, row-major. */
  shape: number[];
  /** The axis of `shape` whose every index has its own scale; undefined for one scale in all. */
  axis: number | undefined;
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

/** Outer, channel and inner lengths of `shape` around `axis`: element (o, c, i) lies at (o·channels + c)·inner + i. */
function layoutOf(
  shape: readonly number[],
  axis: number | undefined,
): [outer: number, channels: number, inner: number] {
  if (axis === undefined) return [1, 1, elements(shape)];
  return [elements(shape.slice(0, axis)), shape[axis], elements(shape.slice(axis + 1))];
}

/**
 * Chooses scale and zero point for values (§3.2.1).
 *
 * @param values finite numbers, row-major in `options.shape`
 * @throws RangeError for bits out of range, an axis that the shape does not have, NaN or infinite values
 */
export function chooseGrid(values: Float32Array, options: GridOptions): Grid {
  const levels = levelsOf(options);
  const { shape = [values.length], axis, range = "max", percentile = 99.9 } = options;
  checkFinite("values", values);
  checkNumber("percentile", percentile, 50, 100);
  if (typeof range === "string") checkOneOf("range", range, rangeMethods);
  else checkFinite("range", range);
  if (axis !== undefined) {
    if (options.shape === undefined) throw new RangeError("axis needs shape: give both, or neither");
    checkInteger("axis", axis, 0, shape.length - 1);
  }
  const [outer, channels, inner] = layoutOf(shape, axis);
  checkLength("values", values, outer * channels * inner);
  const scale = new Float32Array(channels);
  const zeroPoint = new Int32Array(channels);
  // One channel's values in one piece; with a single channel that is the array itself, not a copy.
  const channel = channels === 1 ? values : new Float32Array(outer * inner);
  for (let c = 0; c < channels; c++) {
    if (channels > 1) {
      for (let o = 0, at = 0; o < outer; o++) {
        const start = (o * channels + c) * inner;
        for (let i = 0; i < inner; i++) channel[at++] = values[start + i];
      }
    }
    const [min, max] = typeof range === "string" ? chooseRange(channel, levels, range, percentile) : range;
    const grid = gridOf(min, max, levels);
    scale[c] = grid.scale;
    zeroPoint[c] = grid.zeroPoint;
  }
  return { ...levels, scale, zeroPoint, shape: [...shape], axis };
}

/**
 * Gives every value the code of its level: q = clamp(round(w / s) + z) (§3.2.1).
 *
 * @param values finite numbers, as many as `grid.shape` holds
 * @throws RangeError for another number of values and for NaN or infinite ones
 */
export function quantizeOn(grid: Grid, values: Float32Array, options: RoundingOptions = {}): Quantized {
  const { rounding = "nearest", seed = 0 } = options;
  checkOneOf("rounding", rounding, roundings);
  checkFinite("values", values);
  const [outer, channels, inner] = layoutOf(grid.shape, grid.axis);
  checkLength("values", values, outer * channels * inner);
  const codes = emptyCodes(values.length, grid.bits, grid.signed);
  const { low, high } = codeRange(grid);
  const sign = isSignGrid(grid);
  const random = rounding === "stochastic" ? seeded(seed) : undefined;
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      const scale = grid.scale[c];
      const zero = grid.zeroPoint[c];
      const end = at + inner;
      if (random) {
        for (; at < end; at++) {
          // Between the two levels of a sign grid lie two steps, so it rounds half a value and doubles it.
          const q = sign
            ? 2 * roundStochastic((values[at] / scale + 1) / 2, random) - 1
            : roundStochastic(values[at] / scale, random) + zero;
          codes[at] = Math.min(high, Math.max(low, q));
        }
      } else if (sign) {
        for (; at < end; at++) codes[at] = values[at] < 0 ? -1 : 1;
      } else {
        for (; at < end; at++) {
          // The inlined `roundEven`.
          const q = values[at] / scale + roundingShift - roundingShift + zero;
          codes[at] = Math.min(high, Math.max(low, q));
        }
      }
    }
  }
  return { ...grid, codes };
}

/**
 * Quantizes values to fixed point (§3.2.1): chooses a grid, then gives every value its code.
 *
 * @param values finite numbers, row-major in `options.shape`
 * @throws RangeError for options out of range, NaN or infinite values
 */
export function quantize(values: Float32Array, options: GridOptions & RoundingOptions): Quantized {
  return quantizeOn(chooseGrid(values, options), values, options);
}

/** The values that codes stand for: s·(q − z) (§3.2.1). */
export function dequantize(quantized: Quantized): Float32Array {
  const { codes, scale, zeroPoint, shape, axis } = quantized;
  const [outer, channels, inner] = layoutOf(shape, axis);
  checkLength("codes", codes, outer * channels * inner);
  const values = new Float32Array(codes.length);
  let at = 0;
  for (let o = 0; o < outer; o++) {
    for (let c = 0; c < channels; c++) {
      const s = scale[c];
      const z = zeroPoint[c];
      for (const end = at + inner; at < end; at++) values[at] = (codes[at] - z) * s;
    }
  }
  return values;
}

/** Quantizes and dequantizes at once: what the values become, as float32. */
export function fakeQuantize(values: Float32Array, options: GridOptions & RoundingOptions): Float32Array {
  return dequantize(quantize(values, options));
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

/** Bytes of a quantized array in storage: packed codes, a float32 scale and, if affine, an int32 zero point a channel. */
export function quantizedBytes({ bits, scheme, scale, shape }: Grid): number {
  const count = elements(shape);
  return packedBytes(count, bits) + scale.length * (scheme === "affine" ? 8 : 4);
}
