// §3.2.2 Inference in integers: from 32-bit accumulators back to 8-bit codes.
//
// Jacob et al. 2018, §2.2: the real factor M = s_in·s_w / s_out becomes a whole multiplier and a shift,
// M = multiplier · 2^(−shift), so that code = round(accumulator · multiplier / 2^shift) + zero point.
//
// Jacob et al. take 31 bits for the multiplier; here it has 22. The scales are float32 and so known to 24 bits, and 22
// bits change a code's place by less than 2^(−14) of a step. In return an accumulator of 31 bits times a multiplier of
// 22 fits the 53 bits that a double holds exactly, and the shift only moves its point: what is computed here are whole
// numbers, to the last bit, though the processor's fast unit for them is the one for doubles.
import { checkInteger, checkNumber } from "../util/check.ts";
import type { Codes8 } from "./packing.ts";
import { roundingShift } from "./rounding.ts";

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

/** The real number that a multiplier stands for: its 22 bits times an accumulator's 31 are exact in 53. */
export function factorOf({ multiplier, shift }: Multiplier): number {
  return multiplier * 2 ** -shift;
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
  const factors = Float64Array.from({ length: columns }, (_, j) =>
    factorOf(multipliers[j % multipliers.length]),
  );
  for (let i = 0; i < accumulators.length; ) {
    const end = Math.min(columns, accumulators.length - i);
    for (let j = 0; j < end; j++, i++) {
      // The product is exact. Adding and taking away rounds to even: see rounding.ts.
      const code = accumulators[i] * factors[j] + roundingShift - roundingShift + zeroPoint;
      codes[i] = Math.min(high, Math.max(low, code));
    }
  }
  return codes;
}
