// §3.1.3: neurons that say the same. Where one neuron's output is (nearly) a multiple of another's plus a constant,
// it can go: the next layer gets the same input when its weight moves to the one that stays.

import { checkFinite, checkInteger, checkLength, checkNumber } from "../util/check.ts";
import { checkRows, countRows, sumByChannel } from "./channels.ts";

/** `neuron` goes; its output is about scale · (output of `into`) + offset. A constant one goes into none. */
export interface Merge {
  neuron: number;
  into: number | undefined;
  scale: number;
  offset: number;
  /** The share of the neuron's variance that the merge loses, from 0. */
  error: number;
}

/**
 * Finds neurons that others can stand in for, by least squares over some examples; the closest pairs first. One
 * that stands in is never merged itself.
 *
 * @param outputs [examples, neurons], flat
 * @param neurons the last dimension
 * @param tolerance the greatest share of a neuron's variance that may be lost, from 0 to 1: 1 − r² for a
 * correlation of r
 * @throws RangeError if the shape does not fit, the tolerance is outside [0, 1], or an output is NaN or infinite
 * @see §3.1.3; Srinivas, Babu, "Data-free parameter pruning for deep neural networks", 2015
 */
export function duplicateNeurons(outputs: Float32Array, neurons: number, tolerance = 0.01): Merge[] {
  checkNumber("tolerance", tolerance, 0, 1);
  const examples = checkRows("outputs", outputs, neurons);
  if (examples === 0) return [];
  const means = sumByChannel(outputs, neurons, (a) => a).map((sum) => sum / examples);

  // Neuron by neuron and centred, so that each pair's covariance is one run over contiguous memory.
  const centred = new Float64Array(outputs.length);
  for (let i = 0, e = 0; e < examples; e++) {
    for (let c = 0; c < neurons; c++, i++) centred[c * examples + e] = outputs[i] - means[c];
  }
  const covariance = (a: number, b: number) => {
    let sum = 0;
    for (let e = 0, i = a * examples, j = b * examples; e < examples; e++)
      sum += centred[i + e] * centred[j + e];
    return sum;
  };
  const variances = Float64Array.from({ length: neurons }, (_, c) => covariance(c, c));
  // What is left of a constant after its mean is taken away is the rounding of a 32-bit number.
  const isConstant = (c: number) => variances[c] <= examples * (means[c] * 2 ** -23) ** 2;

  const merges: Merge[] = [];
  const candidates: Merge[] = [];
  for (let a = 0; a < neurons; a++) {
    if (isConstant(a)) {
      merges.push({ neuron: a, into: undefined, scale: 0, offset: means[a], error: 0 });
      continue;
    }
    for (let b = a + 1; b < neurons; b++) {
      if (isConstant(b)) continue;
      const shared = covariance(a, b);
      const error = Math.max(0, 1 - (shared * shared) / (variances[a] * variances[b]));
      if (error > tolerance) continue;
      const scale = shared / variances[a];
      candidates.push({ neuron: b, into: a, scale, offset: means[b] - scale * means[a], error });
    }
  }
  const gone = new Set<number>();
  const standsIn = new Set<number>();
  for (const merge of candidates.sort((a, b) => a.error - b.error)) {
    if (gone.has(merge.neuron) || gone.has(merge.into!) || standsIn.has(merge.neuron)) continue;
    gone.add(merge.neuron);
    standsIn.add(merge.into!);
    merges.push(merge);
  }
  return merges;
}

/** The mask that merges leave: 0 for each neuron that goes. */
export function mergeMask(merges: Merge[], neurons: number): Uint8Array {
  checkInteger("neurons", neurons, 1);
  const mask = new Uint8Array(neurons).fill(1);
  for (const { neuron } of merges) mask[neuron] = 0;
  return mask;
}

/**
 * The next layer's weights and biases, so that it gives the same without the merged neurons: their weights,
 * scaled, are added to those of the neurons that stand in, their constants to the biases.
 *
 * @param merges from {@link duplicateNeurons}
 * @param next.weights [positions, neurons, outputs], flat: positions is 1 between dense layers, h·w where
 * channels are flattened into a dense layer or feed a convolution's [h, w, in, out]
 * @param next.bias one number an output
 * @param neurons how many feed the next layer
 * @returns copies; the rows of merged neurons are 0. A constant is right only where no zero padding hides it.
 * @throws RangeError if the shapes do not fit, or a value is NaN or infinite
 * @see §3.1.3; Srinivas, Babu, 2015
 */
export function foldMerges(
  merges: Merge[],
  next: { weights: Float32Array; bias: Float32Array },
  neurons: number,
): { weights: Float32Array; bias: Float32Array } {
  const outputs = next.bias.length;
  checkFinite("bias", next.bias);
  const positions = outputs === 0 ? 0 : countRows("weights", next.weights, neurons * outputs);
  checkLength("weights", next.weights, positions * neurons * outputs);
  checkFinite("weights", next.weights);
  const weights = Float64Array.from(next.weights);
  const bias = Float64Array.from(next.bias);
  for (const { neuron, into, scale, offset } of merges) {
    for (let p = 0; p < positions; p++) {
      const from = (p * neurons + neuron) * outputs;
      const to = (p * neurons + (into ?? neuron)) * outputs;
      for (let o = 0; o < outputs; o++) {
        if (into !== undefined) weights[to + o] += scale * weights[from + o];
        bias[o] += offset * weights[from + o];
        weights[from + o] = 0;
      }
    }
  }
  return { weights: Float32Array.from(weights), bias: Float32Array.from(bias) };
}
