// §3.2.1 How much quantization loses: mean squared error, largest error, signal-to-quantization-noise ratio.
import { checkLength } from "../util/check.ts";

/** What is lost between the original values and their reconstruction. */
export interface QuantizationError {
  /** Mean of the squared differences, in squared units of the values. */
  mse: number;
  /** Largest absolute difference, in units of the values. */
  maxError: number;
  /** Signal-to-quantization-noise ratio in decibels, 10·log10(Σx² / Σe²); Infinity where nothing is lost. */
  sqnr: number;
}

/**
 * Compares values with their reconstruction (§3.2.1). Each further bit is worth about 6.02 dB of SQNR.
 *
 * @param original the values before quantization
 * @param restored the values after it, as many
 * @throws RangeError where the lengths differ
 */
export function quantizationError(
  original: ArrayLike<number>,
  restored: ArrayLike<number>,
): QuantizationError {
  checkLength("restored", restored, original.length);
  let noise = 0;
  let signal = 0;
  let maxError = 0;
  for (let i = 0; i < original.length; i++) {
    const error = Math.abs(original[i] - restored[i]);
    noise += error * error;
    signal += original[i] * original[i];
    // `!(error <= maxError)` and not `error > maxError`: a NaN must not pass unseen.
    if (!(error <= maxError)) maxError = error;
  }
  return {
    mse: original.length === 0 ? 0 : noise / original.length,
    maxError,
    sqnr: noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise),
  };
}
