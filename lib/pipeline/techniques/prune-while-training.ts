// §3.1.4 in a recipe: weights pruned while training goes on, every few steps, by an importance that may read the
// optimizer's second moments. Nothing is scored anew: the gradients that training has seen say what matters.

import { shapesOf, type TrainingLook, weightsOf } from "../../nn/index.ts";
import {
  combineMasks,
  expectedBits,
  globalSparsity,
  type Masks,
  magnitude,
  obdSaliency,
  prunePlan,
  type Schedule,
  type Scores,
  schedules,
  scorePerBit,
  sparsityOf,
} from "../../pruning/index.ts";
import { layerNames, oneOf, share, whole } from "../fields.ts";
import { heldBy, holding } from "../hold.ts";
import { type Lesson, lessonFields, teach } from "../lesson.ts";
import { type Common, fullMasks, keepPruned, layersOf, mapFields, type Technique } from "../technique.ts";

/**
 * What is pruned first: small weights; those with the least w² times Adam's second moment (the Fisher information); or
 * those with the least of that for the bits that they take in a file.
 */
export const trainingScores = ["magnitude", "fisher", "fisherPerBit"] as const;
export type TrainingScore = (typeof trainingScores)[number];

/** §3.1.4: prunes while it trains, all layers together. */
export interface PruneWhileTraining extends Common, Lesson {
  technique: "pruneWhileTraining";
  /** The sparsity to reach, of all weights together. */
  sparsity: number;
  /** Default `fisherPerBit`. */
  score?: TrainingScore;
  /** Default `logCubic`. */
  schedule?: Schedule;
  /** Steps of training from one pruning to the next; default 20. */
  every?: number;
  /** The share of training after which nothing more is pruned; default 0.7. */
  until?: number;
  layers?: readonly string[];
}

/** The algorithm of each score: numbers by weight from what training knows, and the masks of now. */
const scoreBy: Record<
  TrainingScore,
  (look: TrainingLook, masks: Masks, cols: Record<string, number>) => Scores
> = {
  magnitude: ({ weights }, masks) => mapFields(masks, (_, name) => magnitude(weights[name])),
  fisher: ({ weights, secondMoments }, masks) =>
    mapFields(masks, (_, name) => obdSaliency(weights[name], momentsOf(secondMoments, name))),
  fisherPerBit: (look, masks, cols) =>
    mapFields(scoreBy.fisher(look, masks, cols), (scores, name) =>
      scorePerBit(scores, expectedBits(masks[name], cols[name])),
    ),
};

function momentsOf(moments: TrainingLook["secondMoments"], name: string): Float32Array {
  if (!moments?.[name])
    throw new RangeError(`score must be magnitude without Adam: ${name} has no second moments`);
  return moments[name];
}

export const pruneWhileTraining: Technique<PruneWhileTraining> = {
  name: "pruneWhileTraining",
  needed: ["sparsity", "epochs"],
  fields: {
    ...lessonFields,
    sparsity: share,
    score: oneOf(...trainingScores),
    schedule: oneOf(...schedules),
    every: whole(1),
    until: share,
    layers: layerNames,
  },
  async run(state, step, context) {
    const { sparsity, score = "fisherPerBit", schedule = "logCubic", every = 20, until = 0.7 } = step;
    const { quantized, clustered } = state.compression;
    const layers = layersOf(state.model, step.layers);
    for (const name of layers)
      if (quantized[name] || clustered[name])
        throw new RangeError(
          `${name} must be floats while it is pruned in training: prune before quantizing`,
        );
    const shapes = shapesOf(state.model);
    const cols = Object.fromEntries(layers.map((name) => [name, shapes[name].at(-1)!]));
    const weights = weightsOf(state.model);
    const start = fullMasks(
      Object.fromEntries(layers.map((name) => [name, weights[name]])),
      state.compression.masks,
    );
    let masks = start;
    // 1,000 points of the schedule: finer than any training's steps between two prunings.
    const plan = prunePlan({
      schedule,
      sparsity,
      steps: 1000,
      initial: Math.min(sparsity, sparsityOf(start)),
    });
    let last: TrainingLook | undefined;
    const masksAt = (look: TrainingLook): Masks | undefined => {
      last = look;
      const at = until === 0 ? 999 : Math.min(999, Math.floor((look.done / until) * 1000) - 1);
      const asked = at < 0 ? 0 : plan[at];
      if (asked <= sparsityOf(masks)) return undefined;
      masks = globalSparsity(scoreBy[score](look, masks, cols), asked, { previous: masks });
      return combineMasks(state.compression.masks, masks);
    };
    const taught = await holding(state, (held) =>
      teach(state, step, context, { ...held, remask: { every, masksAt } }),
    );
    // Where training is short, the last cut falls to its end.
    if (!last) throw new RangeError(`every must be at most the steps of training, got ${every}`);
    masks = globalSparsity(scoreBy[score](last, masks, cols), sparsity, { previous: masks });
    keepPruned(state, masks);
    return {
      note: [`${(100 * sparsityOf(masks)).toFixed(2)} % pruned by ${score}`, taught, heldBy(state)]
        .filter(Boolean)
        .join("; "),
    };
  },
};
