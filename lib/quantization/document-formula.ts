// §3.2.1, item 1, literally as the document writes it, mistakes and all, so that the reader can measure them.
//
// Two things are wrong. The scale 2^b is twice the range that the clamp leaves, so every |w| > α/2 saturates; and the
// reconstruction ŵ·α forgets to divide by the 2^b that was multiplied in. `fixed-point.ts` has the right formula.

import { checkFinite, checkInteger } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";
import { type Codes, emptyCodes } from "./packing.ts";
import { roundEven } from "./rounding.ts";

/** What the document's formula makes of a weight array. */
export interface AsWritten {
  /** ŵ, whole numbers from −2^(b−1) to 2^(b−1)−1. */
  codes: Codes;
  /** α, the largest absolute weight. */
  alpha: number;
  bits: number;
  /** How many weights the clamp cut off. */
  saturated: number;
}

/**
 * The document's steps (§3.2.1): α = max|w|, then ŵ = clamp(round(w/α × 2^b), −2^(b−1), 2^(b−1)−1).
 *
 * @param weights finite numbers
 * @param bits b, 1 to 16
 * @throws RangeError for bits out of range and for weights that are NaN or infinite
 */
export function quantizeAsWritten(weights: Float32Array, bits: number): AsWritten {
  checkInteger("bits", bits, 1, 16);
  checkFinite("weights", weights);
  let alpha = 0;
  for (let i = 0; i < weights.length; i++) alpha = Math.max(alpha, Math.abs(weights[i]));
  const low = -(2 ** (bits - 1));
  const high = 2 ** (bits - 1) - 1;
  const codes = emptyCodes(weights.length, bits, true);
  let saturated = 0;
  // Where every weight is 0 there is no α to divide by; 0 is then the only code that makes sense.
  for (let i = 0; alpha > 0 && i < weights.length; i++) {
    const rounded = roundEven((weights[i] / alpha) * 2 ** bits);
    if (rounded < low || rounded > high) saturated++;
    codes[i] = Math.min(high, Math.max(low, rounded));
  }
  return { codes, alpha, bits, saturated };
}

/** The document's reconstruction, ŵ·α: it leaves out the division by 2^b, so it is 2^b times too large. */
export function restoreAsWritten({ codes, alpha }: AsWritten): Float32Array {
  return mapFloats(codes, (code) => code * alpha);
}

/** The reconstruction with the division put back, ŵ·α / 2^b: what is left is the mistake of the clamp alone. */
export function restoreDivided({ codes, alpha, bits }: AsWritten): Float32Array {
  return mapFloats(codes, (code) => (code * alpha) / 2 ** bits);
}
