// §3.1.2 step 1: how much each filter of a convolution matters, from its weights, its gradients or what it
// gives out. A filter is a channel of the kernel's last dimension; a dense layer's neurons are that too, so all
// of these score neurons as well. Step 2 is any strategy of strategies.ts on these scores.

import { checkFinite, checkFloats, checkLength, checkOneOf } from "../util/check.ts";
import { checkRows, meanByChannel, normByChannel, sumByChannel } from "./channels.ts";
import type { Scores } from "./strategies.ts";

/**
 * The norm of each filter's weights: L1, Σ|w|, or L2, √Σw².
 *
 * @param weights [h, w, in, filters] or [in, neurons], flat
 * @param filters the last dimension
 * @param norm 1 or 2
 * @returns one score a filter
 * @throws RangeError if the shape does not fit, or a weight is NaN or infinite
 * @see §3.1.2; Li et al., "Pruning filters for efficient ConvNets", 2017 (L1)
 */
export function filterNorm(weights: Float32Array, filters: number, norm: 1 | 2 = 1): Float32Array {
  checkOneOf("norm", norm, [1, 2]);
  return normByChannel("weights", weights, filters, norm);
}

/**
 * The L2 norm of the loss's gradient with respect to each filter's weights: how strongly the loss pulls at it.
 *
 * @param gradients ∂loss/∂w, [h, w, in, filters] or [in, neurons], flat
 * @throws RangeError if the shape does not fit, or a gradient is NaN or infinite
 * @see §3.1.2
 */
export function filterGradientNorm(gradients: Float32Array, filters: number): Float32Array {
  return normByChannel("gradients", gradients, filters, 2);
}

/**
 * The mean of |activation| of each filter, over examples and positions; after a ReLU, the mean activation.
 *
 * @param activations [examples, h, w, filters] or [examples, neurons], flat
 * @returns one score a filter; 0 for no examples
 * @throws RangeError if the shape does not fit, or an activation is NaN or infinite
 * @see §3.1.2, §3.1.3; Molchanov et al., 2017, section 2.2
 */
export function meanActivation(activations: Float32Array, filters: number): Float32Array {
  return meanByChannel("activations", activations, filters);
}

/**
 * First-order Taylor expansion in the activations: the mean over examples of |mean over positions of g·a|, how
 * much the loss changes when the filter gives out 0.
 *
 * @param activations [examples, positions, filters], flat (h and w together are the positions)
 * @param gradients ∂loss/∂activation, the same shape
 * @param examples the first dimension
 * @returns one score a filter; 0 for no examples
 * @throws RangeError if the shapes do not fit, or a value is NaN or infinite
 * @see §3.1.2; Molchanov, Tyree, Karras, Aila, Kautz, "Pruning CNNs for resource efficient inference", 2017
 */
export function taylorActivation(
  activations: Float32Array,
  gradients: Float32Array,
  filters: number,
  examples: number,
): Float32Array {
  checkFloats("activations", activations);
  checkFloats("gradients", gradients);
  const rows = checkRows("activations", activations, filters);
  checkLength("gradients", gradients, activations.length);
  checkFinite("gradients", gradients);
  if (examples === 0 && rows === 0) return new Float32Array(filters);
  const positions = checkRows("activations", activations, filters * examples);
  const size = positions * filters;
  const total = new Float64Array(filters);
  for (let e = 0; e < examples; e++) {
    const g = gradients.subarray(e * size, (e + 1) * size);
    const sums = sumByChannel(activations.subarray(e * size, (e + 1) * size), filters, (a, i) => g[i] * a);
    for (let c = 0; c < filters; c++) total[c] += Math.abs(sums[c]) / positions;
  }
  return Float32Array.from(total, (sum) => sum / examples);
}

/**
 * First-order Taylor expansion in the weights: (Σ g·w)² over each filter, the squared change of the loss when
 * the filter goes.
 *
 * @param weights [h, w, in, filters] or [in, neurons], flat
 * @param gradients ∂loss/∂w, the same shape
 * @throws RangeError if the shapes do not fit, or a value is NaN or infinite
 * @see §3.1.2; Molchanov, Mallya, Tyree, Frosio, Kautz, "Importance estimation for neural network pruning", 2019
 */
export function taylorWeight(weights: Float32Array, gradients: Float32Array, filters: number): Float32Array {
  checkRows("weights", weights, filters);
  checkLength("gradients", gradients, weights.length);
  checkFinite("gradients", gradients);
  return Float32Array.from(
    sumByChannel(weights, filters, (w, i) => gradients[i] * w),
    (sum) => sum * sum,
  );
}

/**
 * The sum of each filter's Euclidean distances to all others of its layer. The lowest is nearest the geometric
 * median: what it does, the others do together.
 *
 * @param weights [h, w, in, filters] or [in, neurons], flat
 * @throws RangeError if the shape does not fit, or a weight is NaN or infinite
 * @see §3.1.2; He et al., "Filter pruning via geometric median", 2019
 */
export function geometricMedian(weights: Float32Array, filters: number): Float32Array {
  const rows = checkRows("weights", weights, filters);
  // Filter by filter, so that each pair is one run over contiguous memory.
  const own = new Float32Array(weights.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < filters; c++) own[c * rows + r] = weights[r * filters + c];
  const scores = new Float64Array(filters);
  for (let a = 0; a < filters; a++) {
    for (let b = a + 1; b < filters; b++) {
      let squares = 0;
      for (let i = a * rows, j = b * rows, end = i + rows; i < end; i++, j++)
        squares += (own[i] - own[j]) ** 2;
      const distance = Math.sqrt(squares);
      scores[a] += distance;
      scores[b] += distance;
    }
  }
  return Float32Array.from(scores);
}

/**
 * Divides each layer's scores by their L2 norm (a layer of zeros stays), so that one global strategy compares
 * layers whose scores have different sizes by nature.
 *
 * @throws RangeError if a score is NaN or infinite
 * @see §3.1.2; Molchanov et al., 2017, section 2.3
 */
export function normalizeByLayer(scores: Scores): Scores {
  return Object.fromEntries(
    Object.entries(scores).map(([layer, list]) => {
      checkFinite(`scores.${layer}`, list);
      const norm = Math.sqrt(list.reduce((sum, s) => sum + s * s, 0));
      return [layer, list.map((s) => (norm === 0 ? s : s / norm))];
    }),
  );
}

/**
 * Spreads a mask of filters over their weights (and, with `rows` = 1, over their biases), for masking a filter
 * instead of cutting it out.
 *
 * @param mask one number a filter, 1 = kept
 * @param rows the weights of one filter: h · w · in
 * @returns rows × filters, the kernel's shape
 */
export function filterMask(mask: Uint8Array, rows: number): Uint8Array {
  const weights = new Uint8Array(rows * mask.length);
  for (let r = 0; r < rows; r++) weights.set(mask, r * mask.length);
  return weights;
}
