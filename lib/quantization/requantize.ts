// §3.2.2 Inference in integers: from 32-bit accumulators back to 8-bit codes, without floating point.
//
// Jacob et al. 2018, §2.2: the real factor M = s_in·s_w / s_out becomes a whole multiplier and a shift,
// M = multiplier · 2^(−shift), so that code = round(accumulator · multiplier / 2^shift) + zero point.
//
// Jacob et al. take 31 bits for the multiplier; here it has 22. The scales are float32 and so known to 24 bits, and 22
// bits change a code's place by less than 2^(−14) of a step. In return an accumulator of 31 bits times a multiplier of
// 22 fits the 53 bits that JavaScript's numbers hold exactly: the same line computes in whole numbers and simulates
// them in floating point, bit for bit.
import { checkInteger, checkNumber } from "../util/check.ts";
import type { Codes8 } from "./integer-matmul.ts";

/** A positive real number as multiplier · 2^(−shift), with 2^21 ≤ multiplier < 2^22. */
export interface Multiplier {
  multiplier: number;
  shift: number;
}

/** The closest multiplier and shift to a positive real number. */
export function fixedMultiplier(real: number): Multiplier {
  checkNumber("real", real, 2 ** -200, 2 ** 200);
  let shift = 21 - Math.floor(Math.log2(real));
  let multiplier = Math.round(real * 2 ** shift);
  // log2 may round across a power of two, and so may the multiplier.
  if (multiplier >= 2 ** 22) multiplier = Math.round(real * 2 ** --shift);
  if (multiplier < 2 ** 21) multiplier = Math.round(real * 2 ** ++shift);
  return { multiplier, shift };
}

/** How accumulators become codes. */
export interface Requantization {
  /** One multiplier a column, or one for all. */
  multipliers: readonly Multiplier[];
  /** The code of 0. */
  zeroPoint: number;
  /** Smallest and largest code; a ReLU is `low` = zero point, at no cost. */
  low: number;
  high: number;
}

/**
 * Accumulators to 8-bit codes: clamp(round(acc · multiplier / 2^shift) + zero point), ties to even.
 *
 * @param accumulators row-major, rows of `columns`
 * @returns Uint8Array where `low` is 0 or more, otherwise Int8Array
 */
export function requantize(accumulators: Int32Array, columns: number, options: Requantization): Codes8 {
  const { multipliers, zeroPoint, low, high } = options;
  checkInteger("columns", columns, 1);
  checkInteger("low", low, -128, 255);
  checkInteger("high", high, low, low >= 0 ? 255 : 127);
  if (multipliers.length !== 1 && multipliers.length !== columns) {
    throw new RangeError(`multipliers must be 1 or ${columns}, got ${multipliers.length}`);
  }
  const codes = low >= 0 ? new Uint8Array(accumulators.length) : new Int8Array(accumulators.length);
  const whole = Float64Array.from(
    { length: columns },
    (_, j) => multipliers[j % multipliers.length].multiplier,
  );
  const power = Float64Array.from(
    { length: columns },
    (_, j) => 2 ** -multipliers[j % multipliers.length].shift,
  );
  for (let i = 0; i < accumulators.length; i += columns) {
    for (let j = 0; j < columns && i + j < accumulators.length; j++) {
      // The product is a whole number below 2^53, and the power of two moves its point: both exact.
      const steps = accumulators[i + j] * whole[j] * power[j];
      // Rounds to even: see rounding.ts.
      const code = steps + 6755399441055744 - 6755399441055744 + zeroPoint;
      codes[i + j] = Math.min(high, Math.max(low, code));
    }
  }
  return codes;
}
