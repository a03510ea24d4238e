// §3.2.1, item 3: cross-layer equalization of a model. Nagel et al., "Data-free quantization", 2019.

import { balancedPairs } from "../graph/index.ts";
import { equalize } from "../quantization/index.ts";
import { checkInteger } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { networkOf } from "./graph.ts";
import type { tf } from "./tf.ts";
import { biasesOf, setBiases, setWeights, shapesOf, weightsOf } from "./weights.ts";

/** One pair of layers that `equalizeModel` balanced. */
export interface EqualizedPair {
  first: string;
  second: string;
  /** Smallest and largest factor among the channels between them. */
  scales: [min: number, max: number];
}

/**
 * Cross-layer equalization, in place (§3.2.1, item 3; Nagel et al. 2019, §4.1): neighbouring layers share out their
 * channels' ranges; what the model computes stays the same. Layers count as neighbours where the first has a ReLU or no
 * activation, only pooling, padding, flattening, dropout and ReLUs lie between, and nothing else reads what comes out of these.
 *
 * @param rounds passes over all pairs, since each pair disturbs the next; default 10
 */
export function equalizeModel(
  model: tf.LayersModel,
  { rounds = 10 }: { rounds?: number } = {},
): EqualizedPair[] {
  checkInteger("rounds", rounds, 1);
  const pairs = balancedPairs(networkOf(model).graph);
  const weights = weightsOf(model);
  const biases = biasesOf(model);
  const shapes = shapesOf(model);
  const factors = pairs.map(([first]) => new Float64Array(shapes[first].at(-1)!).fill(1));
  for (let round = 0; round < rounds; round++) {
    for (const [index, [first, second]] of pairs.entries()) {
      const rows = elements(shapes[second].slice(0, -1));
      const result = equalize(weights[first], biases[first], weights[second], shapes[first].at(-1)!, rows);
      weights[first] = result.first;
      weights[second] = result.second;
      if (result.bias) biases[first] = result.bias;
      result.scales.forEach((scale, c) => {
        factors[index][c] *= scale;
      });
    }
  }
  setWeights(model, weights);
  setBiases(model, biases);
  return pairs.map(([first, second], index) => ({
    first,
    second,
    scales: [Math.min(...factors[index]), Math.max(...factors[index])],
  }));
}
