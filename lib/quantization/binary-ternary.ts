// §3.2.2, items 2 and 3: activations of one bit, {0, 1}, and of three values, {−1, 0, 1}, times a scale.
//
// Ternary: Li, Zhang, Liu, "Ternary weight networks", 2016. Both are the same question: which values are large enough
// to be worth a 1? With the m largest magnitudes coded as 1 the best scale is their mean, and the squared error falls
// by (their sum)² / m: sorted, one pass finds the best m.

import { checkFinite, checkNumber, checkOneOf } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";

/** Values above the threshold get the code 1 (and, ternary, those below its negative −1); a 1 stands for `scale`. */
export interface Threshold {
  threshold: number;
  scale: number;
}

/** One-bit or ternary codes and what they stand for. */
export interface Thresholded extends Threshold {
  codes: Int8Array;
}

/**
 * The threshold and scale with the least squared error for codes {0, 1} (§3.2.2, item 2). Negative values are 0.
 *
 * @param values finite numbers
 */
export function binaryThreshold(values: Float32Array): Threshold {
  checkFinite("values", values);
  return bestThreshold(values.filter((v) => v > 0));
}

/** The least squared error, or Ternary Weight Networks' closed form. */
export const ternaryMethods = ["exact", "twn"] as const;
export type TernaryMethod = (typeof ternaryMethods)[number];

/**
 * Threshold and scale for codes {−1, 0, 1} (§3.2.2, item 3).
 *
 * @param values finite numbers
 * @param method `exact`: the least squared error there is. `twn`: the closed form of Ternary Weight Networks, threshold
 *   0.7·mean|x|, close to it for bell-shaped values
 */
export function ternaryThreshold(values: Float32Array, method: TernaryMethod = "exact"): Threshold {
  checkOneOf("method", method, ternaryMethods);
  checkFinite("values", values);
  const magnitudes = values.map(Math.abs);
  if (method === "exact") return bestThreshold(magnitudes.filter((v) => v > 0));
  if (values.length === 0) return { threshold: 0, scale: 0 };
  let total = 0;
  for (let i = 0; i < magnitudes.length; i++) total += magnitudes[i];
  const threshold = (0.7 * total) / magnitudes.length;
  let sum = 0;
  let count = 0;
  for (let i = 0; i < magnitudes.length; i++) {
    if (magnitudes[i] > threshold) {
      sum += magnitudes[i];
      count++;
    }
  }
  return { threshold, scale: count === 0 ? 0 : sum / count };
}

/** The best number m of largest values, by the gain (Σ of the m largest)² / m. */
function bestThreshold(positive: Float32Array): Threshold {
  const sorted = positive.slice().sort();
  let sum = 0;
  let best = 0;
  let result = { threshold: 0, scale: 0 };
  for (let i = sorted.length - 1; i >= 0; i--) {
    sum += sorted[i];
    const count = sorted.length - i;
    // Equal values go together: a threshold cannot part them.
    if (i > 0 && sorted[i - 1] === sorted[i]) continue;
    const gain = (sum * sum) / count;
    if (gain > best) {
      best = gain;
      // Halfway to the next value below: as good as any there, and the safest for values not seen.
      result = { threshold: ((i > 0 ? sorted[i - 1] : 0) + sorted[i]) / 2, scale: sum / count };
    }
  }
  return result;
}

/** Codes {0, 1}: 1 above the threshold; calibrated on the values themselves unless given (§3.2.2, item 2). */
export function binarize(values: Float32Array, calibrated?: Threshold): Thresholded {
  const { threshold, scale } = checked(calibrated ?? binaryThreshold(values));
  checkFinite("values", values);
  const codes = new Int8Array(values.length);
  for (let i = 0; i < values.length; i++) codes[i] = values[i] > threshold ? 1 : 0;
  return { codes, threshold, scale };
}

/** Codes {−1, 0, 1} by the threshold on |x|; calibrated on the values themselves unless given (§3.2.2, item 3). */
export function ternarize(values: Float32Array, calibrated?: Threshold): Thresholded {
  const { threshold, scale } = checked(calibrated ?? ternaryThreshold(values));
  checkFinite("values", values);
  const codes = new Int8Array(values.length);
  for (let i = 0; i < values.length; i++)
    codes[i] = values[i] > threshold ? 1 : values[i] < -threshold ? -1 : 0;
  return { codes, threshold, scale };
}

function checked({ threshold, scale }: Threshold): Threshold {
  return { threshold: checkNumber("threshold", threshold, 0), scale: checkNumber("scale", scale, 0) };
}

/** The values that one-bit or ternary codes stand for. */
export function restoreThresholded({ codes, scale }: Thresholded): Float32Array {
  return mapFloats(codes, (code) => code * scale);
}
