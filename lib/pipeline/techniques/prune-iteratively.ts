// §3.1.4 in a recipe: weights pruned and trained, in turns.

import {
  type Compression,
  copyWeights,
  restoreWeights,
  shapesOf,
  type WeightScore,
  weightScores,
} from "../../nn/index.ts";
import {
  combineMasks,
  endlessPlan,
  iterativePrune,
  type PerLayer,
  prunePlan,
  type Schedule,
  type SparsityStrategy,
  type Strategy,
  schedules,
  select,
} from "../../pruning/index.ts";
import { elements } from "../../util/shape.ts";
import { layerNames, number, objectOf, oneOf, perLayer, share, whole } from "../fields.ts";
import {
  amountFor,
  type Common,
  copied,
  fineTuneHeld,
  fullMasks,
  judge,
  keepPruned,
  layersOf,
  namedIn,
  scoresFor,
  strategyOfSparsity,
  type Technique,
  type Training,
  trainingFields,
} from "../technique.ts";

/** §3.1.4: prunes weights and trains, in turns, to a sparsity, down to a floor, or to whichever comes first. */
export interface PruneIteratively extends Common {
  technique: "pruneIteratively";
  /** The sparsity to reach: of all weights together, or of each layer by name. */
  sparsity?: PerLayer;
  /** By default `globalSparsity`, and `layerSparsity` where `sparsity` is given by layer. */
  strategy?: SparsityStrategy;
  /** The accuracy to keep. */
  accuracyFloor?: number;
  /** Default 5. */
  steps?: number;
  /** Default `cubic`. */
  schedule?: Schedule;
  /** Without a sparsity to reach: the share of what is left to prune in each step; default 0.2. */
  rate?: number;
  /** How often to halve the way between what met the floor and what did not; default 0. */
  refine?: number;
  score?: WeightScore;
  layers?: readonly string[];
  /** How many training images scores are computed from; default 500. */
  images?: number;
  /** How to train after each step; default one epoch. */
  fineTune?: Training;
}

export const pruneIteratively: Technique<PruneIteratively> = {
  name: "pruneIteratively",
  some: ["sparsity", "accuracyFloor"],
  fields: {
    sparsity: perLayer(share),
    strategy: strategyOfSparsity,
    accuracyFloor: share,
    steps: whole(1),
    schedule: oneOf(...schedules),
    rate: number(Number.MIN_VALUE, 1 - Number.EPSILON),
    refine: whole(0),
    score: oneOf(...weightScores),
    layers: layerNames,
    images: whole(1),
    fineTune: objectOf({ needed: ["epochs"], fields: trainingFields }),
  },
  async run(state, step, context) {
    const { accuracyFloor, steps = 5, schedule, rate, refine, fineTune = { epochs: 1 } } = step;
    const { data, signal } = context;
    const layers = layersOf(state.model, step.layers ?? namedIn(step.sparsity));
    const { overall, strategyAt } = strategyOf(step, layers, shapesOf(state.model));
    const before = { ...state.compression.masks };
    let done = 0;
    const result = await iterativePrune<{ weights: Float32Array[]; compression: Compression }>(
      {
        score: () => scoresFor(state.model, step, layers, context),
        async fineTune(masks, at) {
          state.compression.masks = { ...before };
          keepPruned(state, masks);
          const progress = (part: number) =>
            context.progress(accuracyFloor === undefined ? (done + part) / steps : 0);
          await fineTuneHeld(state, fineTune, { ...context, seed: context.seed + at, progress });
          done++;
        },
        evaluate: async () => (await judge(state, data, signal)).accuracy,
        // Masks and codes are replaced and never written into, so the records are all that needs a copy.
        save: () => ({ weights: copyWeights(state.model), compression: copied(state.compression) }),
        restore({ weights, compression }) {
          restoreWeights(state.model, weights);
          state.compression = copied(compression);
        },
      },
      {
        plan: overall === undefined ? endlessPlan(rate) : prunePlan({ schedule, sparsity: overall, steps }),
        select: (scores, sparsity, previous) =>
          select(scores, strategyAt(sparsity), {
            previous: combineMasks(previous, fullMasks(scores, before)),
          }),
        accuracyFloor,
        refine,
        signal,
      },
    );
    // Ended by the signal, it is not the step that was asked for.
    signal?.throwIfAborted();
    return {
      note: `${result.ended} after ${result.history.length - 1} steps, the best was step ${result.best.step}`,
      details: result.history,
    };
  },
};

/**
 * The sparsity to reach of all layers together (undefined without one), and the strategy on the way there: sparsities by
 * layer are one for all of them, shared out by layer at each step.
 */
function strategyOf(
  { sparsity, strategy = "globalSparsity" }: PruneIteratively,
  layers: string[],
  shapes: Record<string, number[]>,
): { overall: number | undefined; strategyAt: (sparsity: number) => Strategy } {
  if (typeof sparsity !== "object")
    return { overall: sparsity, strategyAt: (now) => ({ strategy, sparsity: now }) };
  const sizes = Object.fromEntries(layers.map((name) => [name, elements(shapes[name])]));
  const total = Object.values(sizes).reduce((sum, n) => sum + n, 0);
  const overall =
    layers.reduce((sum, name) => sum + amountFor("sparsity", sparsity, name) * sizes[name], 0) / total;
  const share = (name: string, now: number) =>
    overall === 0 ? 0 : Math.min(1, (sparsity[name] * now) / overall);
  return {
    overall,
    strategyAt: (now) => ({
      strategy: "layerSparsity",
      sparsity: Object.fromEntries(layers.map((name) => [name, share(name, now)])),
    }),
  };
}
