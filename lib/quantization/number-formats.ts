// §3.2, §1.2: "other number formats": floats of 16 and 8 bits, and powers of two. They need no scale and no calibration, for
// each number brings its own exponent.
import { checkInteger, checkOneOf } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";

/** The float formats, by the names of IEEE 754, of Google's and of the Open Compute Project (FP8: E4M3, E5M2). */
export const numberFormats = ["float16", "bfloat16", "float8e4m3", "float8e5m2"] as const;
export type NumberFormat = (typeof numberFormats)[number];

interface FloatShape {
  bits: number;
  /** Bits of the fraction. */
  fraction: number;
  /** The exponent below which numbers lie on an even grid (the subnormal ones). */
  lowest: number;
  largest: number;
  /** What becomes of what is larger: infinity, or the largest number. */
  saturates: boolean;
}

/** What a format can hold. FP8 saturates, as its specification has it for weights. */
export const formatShapes: Readonly<Record<NumberFormat, FloatShape>> = {
  float16: { bits: 16, fraction: 10, lowest: -14, largest: 65504, saturates: false },
  bfloat16: { bits: 16, fraction: 7, lowest: -126, largest: (2 - 2 ** -7) * 2 ** 127, saturates: false },
  float8e4m3: { bits: 8, fraction: 3, lowest: -6, largest: 448, saturates: true },
  float8e5m2: { bits: 8, fraction: 2, lowest: -14, largest: 57344, saturates: true },
};

/**
 * Numbers rounded to a float format: to the nearest, ties to the even fraction.
 *
 * @param values of any range; NaN stays NaN
 * @returns 32-bit floats that the format holds exactly; what is too large becomes infinite (16 bits) or the largest (8 bits)
 */
export function roundToFormat(values: ArrayLike<number>, format: NumberFormat): Float32Array<ArrayBuffer> {
  const { fraction, lowest, largest, saturates } = formatShapes[checkOneOf("format", format, numberFormats)];
  return mapFloats(values, (value) => {
    const size = Math.abs(value);
    if (size === 0 || Number.isNaN(size)) return value;
    const beyond = saturates ? largest : Number.POSITIVE_INFINITY;
    if (size === Number.POSITIVE_INFINITY) return Math.sign(value) * beyond;
    const step = 2 ** (Math.max(exponentOf(size), lowest) - fraction);
    const rounded = roundToEven(size / step) * step;
    return Math.sign(value) * (rounded > largest ? beyond : rounded);
  });
}

/**
 * Numbers rounded to 0 or a power of two with its sign, so that multiplying is shifting (INQ, Zhou 2017). The exponents are
 * the 2^(b-1) - 1 below the largest value's.
 *
 * @param bits 2 to 8: a sign, and one code for each exponent and for 0
 */
export function roundToPowersOfTwo(values: ArrayLike<number>, bits: number): Float32Array<ArrayBuffer> {
  checkInteger("bits", bits, 2, 8);
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  if (largest === 0) return mapFloats(values, () => 0);
  // Between 2^n and 2^(n+1) the middle is 1.5 · 2^n.
  const nearest = (size: number) => {
    const exponent = exponentOf(size);
    return size >= 1.5 * 2 ** exponent ? exponent + 1 : exponent;
  };
  const top = nearest(largest);
  const bottom = top - (2 ** (bits - 1) - 2);
  return mapFloats(values, (value) => {
    const size = Math.abs(value);
    if (size < 2 ** (bottom - 1)) return 0;
    return Math.sign(value) * 2 ** Math.max(nearest(size), bottom);
  });
}

/** The exponent of a number above 0: log2, rounded down. */
function exponentOf(size: number): number {
  const guess = Math.floor(Math.log2(size));
  if (2 ** guess > size) return guess - 1; // the logarithm may round up
  return 2 ** (guess + 1) <= size ? guess + 1 : guess;
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}
