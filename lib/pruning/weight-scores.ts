// §3.1.1 step 1: how much each weight matters. A score is one number a weight; the lowest go first.
// Plain loops: V8 makes one of each, and map would call a function for every weight.

import { checkFinite, checkLength, checkNumber } from "../util/check.ts";
import { seeded } from "../util/random.ts";
import { countRows } from "./channels.ts";

/**
 * Importance by magnitude: |w|. Small weights change the output least, all inputs being alike.
 *
 * @param weights any shape, flat
 * @returns one score a weight, at least 0
 * @throws RangeError if a weight is NaN or infinite
 * @see §3.1.1; Han, Pool, Tran, Dally, "Learning both weights and connections", 2015
 */
export function magnitude(weights: Float32Array): Float32Array {
  checkFinite("weights", weights);
  const scores = new Float32Array(weights.length);
  for (let i = 0; i < scores.length; i++) scores[i] = Math.abs(weights[i]);
  return scores;
}

/**
 * Importance by gradient × weight: |g·w|, the first-order Taylor estimate of how much the loss changes
 * when the weight becomes 0.
 *
 * @param weights any shape, flat
 * @param gradients ∂loss/∂w, as many as weights
 * @returns one score a weight, at least 0
 * @throws RangeError if the lengths differ, or a value is NaN or infinite
 * @see §3.1.1; Mozer, Smolensky, "Skeletonization", 1989; Molchanov et al., 2017
 */
export function gradientTimesWeight(weights: Float32Array, gradients: Float32Array): Float32Array {
  checkFinite("weights", weights);
  checkLength("gradients", gradients, weights.length);
  checkFinite("gradients", gradients);
  const scores = new Float32Array(weights.length);
  for (let i = 0; i < scores.length; i++) scores[i] = Math.abs(gradients[i] * weights[i]);
  return scores;
}

/**
 * Importance by second order: the saliency ½·h·w² of Optimal Brain Damage, how much the loss rises when the
 * weight becomes 0, at a minimum where the gradient vanishes and with the Hessian taken as diagonal.
 *
 * @param weights any shape, flat
 * @param hessianDiagonal ∂²loss/∂w², as many as weights (an empirical Fisher or Gauss-Newton diagonal will do)
 * @returns one score a weight; negative only where the curvature is
 * @throws RangeError if the lengths differ, or a value is NaN or infinite
 * @see §3.1.1; Le Cun, Denker, Solla, "Optimal Brain Damage", 1990
 */
export function obdSaliency(weights: Float32Array, hessianDiagonal: Float32Array): Float32Array {
  checkFinite("weights", weights);
  checkLength("hessianDiagonal", hessianDiagonal, weights.length);
  checkFinite("hessianDiagonal", hessianDiagonal);
  const scores = new Float32Array(weights.length);
  for (let i = 0; i < scores.length; i++) scores[i] = 0.5 * hessianDiagonal[i] * weights[i] ** 2;
  return scores;
}

/**
 * Bits that a weight takes in a file where positions are coded by learnt densities: log2(1 / p) for its position, p being
 * its row's density times its column's over the whole's, and `valueBits` for its value. A row or a column that keeps little
 * is expensive to visit, so dividing an importance by these bits lets units and inputs that hardly serve die out.
 *
 * @param mask [rows, cols], flat, 1 = kept: what is kept now
 * @param cols the last dimension: units
 * @param valueBits bits of a kept weight's value, at least 0
 * @returns bits by weight, of pruned ones as if they came back
 * @throws RangeError if the shape does not fit
 */
export function expectedBits(mask: Uint8Array, cols: number, valueBits = 3): Float32Array {
  const rows = countRows("mask", mask, cols);
  checkNumber("valueBits", valueBits, 0);
  const inRow = new Float64Array(rows);
  const inCol = new Float64Array(cols);
  let all = 0;
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++, i++) {
      if (mask[i] === 0) continue;
      inRow[r]++;
      inCol[c]++;
      all++;
    }
  }
  const bits = new Float32Array(mask.length);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++, i++) {
      // Half a weight more everywhere: what has none left is dear, but not beyond all bounds.
      const density = ((inRow[r] + 0.5) * (inCol[c] + 0.5)) / (all + 0.5);
      const chance = Math.min(0.98, Math.max(density, 2 ** -16));
      bits[i] = valueBits - Math.log2(chance);
    }
  }
  return bits;
}

/**
 * Importance by the bit: scores divided by what their weights cost ({@link expectedBits}), so that a budget of bytes buys
 * the most.
 *
 * @throws RangeError if the lengths differ, or there are bits that are not above 0
 */
export function scorePerBit(scores: Float32Array, bits: Float32Array): Float32Array {
  checkLength("bits", bits, scores.length);
  const result = new Float32Array(scores.length);
  for (let i = 0; i < result.length; i++) {
    if (!(bits[i] > 0)) throw new RangeError(`bits must be above 0, got ${bits[i]} at index ${i}`);
    result[i] = scores[i] / bits[i];
  }
  return result;
}

/**
 * The control that every score has to beat: numbers drawn at random, uniform in [0, 1), for weights, filters or
 * neurons alike.
 *
 * @param like scores or weights by layer: only their numbers count
 * @param seed the same seed gives the same scores
 * @see §3.1; Mittal, Bhardwaj, Khapra, Ravindran, "Recovering from random pruning", 2018
 */
export function randomScores(
  like: Record<string, ArrayLike<unknown>>,
  seed: number,
): Record<string, Float32Array> {
  const random = seeded(seed);
  return Object.fromEntries(
    Object.entries(like).map(([layer, { length }]) => [layer, Float32Array.from({ length }, random)]),
  );
}
