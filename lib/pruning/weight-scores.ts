// §3.1.1 step 1: how much each weight matters. A score is one number a weight; the lowest go first.
// Plain loops: V8 makes one of each, and map would call a function for every weight.

import { checkFinite, checkLength } from "../util/check.ts";
import { seeded } from "../util/random.ts";

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
