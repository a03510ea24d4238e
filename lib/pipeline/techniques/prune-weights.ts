// §3.1.1 in a recipe: weights pruned to a sparsity or below a threshold.

import { type WeightScore, weightScores } from "../../nn/index.ts";
import {
  type PerLayer,
  type Strategy,
  type StrategyName,
  select,
  sparsityStrategies,
  strategies,
} from "../../pruning/index.ts";
import { checkOneOf } from "../../util/check.ts";
import { layerNames, number, oneOf, perLayer, share, whole } from "../fields.ts";
import {
  amountFor,
  type Common,
  fullMasks,
  keepPruned,
  layersOf,
  namedIn,
  scoresFor,
  type Technique,
} from "../technique.ts";

/** §3.1.1: prunes weights, to a sparsity or below a threshold. */
export interface PruneWeights extends Common {
  technique: "pruneWeights";
  /** The share to prune: of all weights together, or of each layer by name. Earlier pruning counts. */
  sparsity?: PerLayer;
  /** Prunes scores below: one for all, or one for each layer by name. */
  threshold?: PerLayer;
  /** By default `globalSparsity` for one sparsity, `layerSparsity` for one by layer, `layerThreshold` for thresholds. */
  strategy?: StrategyName;
  /** Default `magnitude`. */
  score?: WeightScore;
  /** The layers to prune; by default all with a kernel (or those that `sparsity` or `threshold` names). */
  layers?: readonly string[];
  /** How many training images scores are computed from; default 500. */
  images?: number;
}

export const pruneWeights: Technique<PruneWeights> = {
  name: "pruneWeights",
  one: ["sparsity", "threshold"],
  fields: {
    sparsity: perLayer(share),
    threshold: perLayer(number(0)),
    strategy: (name, value, step) => {
      const bySparsity = step.sparsity !== undefined;
      const fit = strategies.filter((one) => isBySparsity(one) === bySparsity);
      oneOf(...fit)(name, value, step);
      const amount = bySparsity ? step.sparsity : step.threshold;
      if ((value as StrategyName).startsWith("global") && typeof amount === "object")
        checkOneOf<string>(
          name,
          value,
          fit.filter((one) => one.startsWith("layer")),
        );
    },
    score: oneOf(...weightScores),
    layers: layerNames,
    images: whole(1),
  },
  async run(state, step, context) {
    const strategy = strategyOf(step);
    const [field, amount] =
      "sparsity" in strategy
        ? (["sparsity", strategy.sparsity] as const)
        : (["threshold", strategy.threshold] as const);
    const layers = layersOf(state.model, step.layers ?? namedIn(amount));
    for (const layer of layers) amountFor(field, amount, layer);
    const scores = await scoresFor(state.model, step, layers, context);
    keepPruned(state, select(scores, strategy, { previous: fullMasks(scores, state.compression.masks) }));
    return { note: `${layers.length} layers by ${step.score ?? "magnitude"}` };
  },
};

const isBySparsity = (name: StrategyName) => (sparsityStrategies as readonly StrategyName[]).includes(name);

function strategyOf({ sparsity, threshold, strategy }: PruneWeights): Strategy {
  if (sparsity === undefined) return { strategy: strategy ?? "layerThreshold", threshold } as Strategy;
  const usual = typeof sparsity === "object" ? "layerSparsity" : "globalSparsity";
  return { strategy: strategy ?? usual, sparsity } as Strategy;
}
