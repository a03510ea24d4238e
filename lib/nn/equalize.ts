// §3.2.1, item 3: cross-layer equalization of a model. Nagel et al., "Data-free quantization", 2019.

import { balancedPairs } from "../graph/index.ts";
import { equalize } from "../quantization/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { layersOf, networkOf } from "./graph.ts";
import { tf } from "./tf.ts";
import { biasesOf, finiteWeightsOf, setBiases, setWeights, shapesOf } from "./weights.ts";

/** What becomes of a ReLU6 between two layers that could be balanced but for its clipping. */
export const clippings = ["keep", "replace"] as const;
export type Clipping = (typeof clippings)[number];

export interface EqualizeOptions {
  /** Passes over all pairs, since each pair disturbs the next; default 10. */
  rounds?: number;
  /**
   * `keep` (default): a ReLU6 parts its neighbours, for a channel that is scaled would be clipped elsewhere. `replace`: it
   * becomes a ReLU, as Nagel et al. do; the network then computes something else wherever it clipped.
   */
  relu6?: Clipping;
}

/** One pair of layers that `equalizeModel` balanced. */
export interface EqualizedPair {
  first: string;
  second: string;
  /** Smallest and largest factor among the channels between them. */
  scales: [min: number, max: number];
  /** What each channel between them was divided by, in the outputs of these layers. */
  factors: Float64Array;
  layers: string[];
  /** The layers whose ReLU6 became a ReLU for it. */
  replaced: string[];
}

/**
 * Cross-layer equalization, in place (§3.2.1, item 3; Nagel et al. 2019, §4.1): neighbouring layers share out their
 * channels' ranges; what the model computes stays the same. Layers count as neighbours where the first has a ReLU or no
 * activation, only pooling, padding, flattening, dropout and ReLUs lie between, and nothing else reads what comes out of these.
 */
export function equalizeModel(
  model: tf.LayersModel,
  { rounds = 10, relu6 = "keep" }: EqualizeOptions = {},
): EqualizedPair[] {
  checkInteger("rounds", rounds, 1);
  checkOneOf("relu6", relu6, clippings);
  const { graph } = networkOf(model);
  const pairs = balancedPairs(graph, { unclipped: relu6 === "replace" });
  const weights = finiteWeightsOf(model);
  const biases = biasesOf(model);
  const shapes = shapesOf(model);
  const channels = new Map(
    graph.nodes.map(({ name, outputs }) => [name, graph.tensors[outputs[0]].shape.at(-1) as number]),
  );
  const factors = pairs.map(({ first }) => new Float64Array(channels.get(first)!).fill(1));
  for (let round = 0; round < rounds; round++) {
    for (const [index, { first, second }] of pairs.entries()) {
      const rows = elements(shapes[second].slice(0, -1));
      const result = equalize(weights[first], biases[first], weights[second], channels.get(first)!, rows);
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
  for (const { clips } of pairs) for (const name of clips) unclip(layersOf(model).get(name)!);
  return pairs.map(({ first, second, way, clips }, index) => ({
    first,
    second,
    scales: [Math.min(...factors[index]), Math.max(...factors[index])],
    factors: factors[index],
    layers: way,
    replaced: clips,
  }));
}

/** Makes a layer's ReLU6 a ReLU. */
function unclip(layer: tf.layers.Layer): void {
  const clipping = layer as unknown as { maxValue?: number; activation?: unknown };
  if ("maxValue" in clipping) clipping.maxValue = undefined;
  else
    clipping.activation = (
      tf.layers.activation({ activation: "relu" }) as unknown as typeof clipping
    ).activation;
}
