// §3.1 on models: the loop of §3.1.4 with training in it, for weights (masks), for filters and neurons (surgery), and
// the merging of neurons that say the same. Scores and strategies are lib/pruning's.

import { decidingSamples, type JudgedData, type Samples } from "../datasets/index.ts";
import { findKind, sharedNodes } from "../graph/index.ts";
import {
  duplicateNeurons,
  endlessPlan,
  foldMerges,
  type IterativeResult,
  iterativePrune,
  keepAtLeast,
  type Masks,
  type Merge,
  mergeMask,
  normalizeByLayer,
  type PruneStep,
  prunePlan,
  type Schedule,
  type Scores,
  type SparsityStrategy,
  select,
  sparsityStrategies,
} from "../pruning/index.ts";
import { checkInteger, checkLength, checkNumber, checkOneOf } from "../util/check.ts";
import { firstOf } from "./batches.ts";
import { dependenciesOf } from "./dependency.ts";
import { evaluate } from "./evaluate.ts";
import { activationsOf } from "./gradients.ts";
import { networkOf } from "./graph.ts";
import {
  scoresOf,
  type UnitKind,
  type UnitScore,
  type UnitScorer,
  unitGroups,
  unitScores,
  unitScoresOf,
  type WeightScore,
  type WeightScorer,
  weightScores,
} from "./importance.ts";
import { cloneModel } from "./rebuild.ts";
import { pruneGroups } from "./surgery.ts";
import { tf } from "./tf.ts";
import { type TrainOptions, train } from "./train.ts";
import { biasesOf, finiteWeightsOf, setBiases, setWeights, shapesOf } from "./weights.ts";

/** A copy of all of a model's weights, biases included, for {@link restoreWeights}. */
export function copyWeights(model: tf.LayersModel): Float32Array[] {
  return model.getWeights().map((tensor) => Float32Array.from(tensor.dataSync()));
}

/**
 * Puts back what {@link copyWeights} copied.
 *
 * @throws RangeError for weights of another model
 */
export function restoreWeights(model: tf.LayersModel, weights: Float32Array[]): void {
  checkLength(`weights of ${model.name}`, weights, model.weights.length);
  for (const [i, { originalName, shape }] of model.weights.entries())
    checkLength(`weights of ${originalName}`, weights[i], tf.util.sizeFromShape(shape as number[]));
  tf.tidy(() => {
    model.setWeights(model.getWeights().map(({ shape }, i) => tf.tensor(weights[i], shape, "float32")));
  });
}

/** What the loops over weights and over units have in common. */
export interface PruneLoopOptions {
  /** Whether all layers compete (`globalSparsity`, default) or each loses the same share (`layerSparsity`). */
  strategy?: SparsityStrategy;
  /** The sparsity to reach: the share of weights or units to prune, from 0 to 1. */
  sparsity?: number;
  /** In how many steps (default 5) … */
  steps?: number;
  /** … and how they are spaced (default cubic). */
  schedule?: Schedule;
  /** The accuracy to keep. Without a sparsity to reach, each step prunes `rate` (default 0.2) of what is left until it is missed. */
  accuracyFloor?: number;
  rate?: number;
  /** How many times to halve the way between what met the floor and what did not (default 0). */
  refine?: number;
  /** How to train after each step; `epochs` is 1 by default, and 0 means not at all. */
  fineTune?: Omit<TrainOptions, "masks" | "signal">;
  /** How many training images scores are computed from (default 500). */
  images?: number;
  /** From {@link copyWeights}: before each fine-tuning, the weights go back to these (the lottery ticket). */
  rewindTo?: Float32Array[];
  onStep?: (step: PruneStep) => void;
  signal?: AbortSignal;
}

export interface PruneIterativelyOptions extends PruneLoopOptions {
  /** Weights are scored by `magnitude` (default), `gradient` or `obd`. */
  score?: WeightScore | WeightScorer;
  /** The layers to prune; all with a kernel by default. */
  layers?: string[];
}

/**
 * Prunes a model's weights step by step, fine-tuning in between, to a sparsity, down to an accuracy floor, or
 * to whichever comes first. The model ends as the sparsest that met the floor, its pruned weights 0.
 *
 * @param data trained on `train`, judged on `validation`, or on `test` where there is none
 * @throws RangeError if neither a sparsity nor a floor is given, or an option is out of range
 * @see §3.1.4
 */
export async function pruneIteratively(
  model: tf.LayersModel,
  data: JudgedData,
  options: PruneIterativelyOptions,
): Promise<IterativeResult<Float32Array[]>> {
  const { score = "magnitude", signal } = options;
  const { loop, images, training } = loopOf(data, options);
  if (typeof score === "string") checkOneOf("score", score, weightScores);
  const known = Object.keys(shapesOf(model));
  const layers = options.layers ?? known;
  for (const layer of layers) checkOneOf("layer", layer, known);
  return iterativePrune<Float32Array[]>(
    {
      async score() {
        const scores = await scoresOf(model, images, score, { signal });
        return Object.fromEntries(layers.map((layer) => [layer, scores[layer]]));
      },
      async fineTune(masks, step) {
        await train(model, data.train, { ...training(step), masks });
      },
      evaluate: async () => (await evaluate(model, decidingSamples(data))).accuracy,
      save: () => copyWeights(model),
      restore: (state) => restoreWeights(model, state),
    },
    { ...loop, rewindTo: options.rewindTo },
  );
}

export interface PruneUnitsOptions extends PruneLoopOptions {
  /** What to remove: `filters`, `neurons` or `both` (default). */
  units?: UnitKind;
  /** How to score them (default `l2`). */
  score?: UnitScore | UnitScorer;
  /** Whether each layer's scores are divided by their norm, so that layers compare (default: yes). */
  normalize?: boolean;
}

/** What is left of a model, and how it came about. */
export interface PrunedUnits {
  /** The smallest model that met the floor: it really has fewer filters and neurons. */
  model: tf.LayersModel;
  /** Its step; `masks` say which of the original units it has, by group. */
  best: PruneStep & { masks: Masks };
  history: PruneStep[];
  ended: IterativeResult<unknown>["ended"];
}

/**
 * Removes filters and neurons step by step, fine-tuning in between, to a share of units, down to an accuracy
 * floor, or to whichever comes first. Every group keeps at least one unit.
 *
 * @param model stays as it is
 * @param data trained on `train`, judged on `validation`, or on `test` where there is none
 * @throws RangeError if neither a sparsity nor a floor is given, there is nothing to remove, or an option is out of range
 * @see §3.1.2, §3.1.3, §3.1.4
 */
export async function pruneUnitsIteratively(
  model: tf.LayersModel,
  data: JudgedData,
  options: PruneUnitsOptions,
): Promise<PrunedUnits> {
  const { units = "both", score = "l2", normalize = true, signal } = options;
  const { loop, images, training } = loopOf(data, options);
  if (typeof score === "string") checkOneOf("score", score, unitScores);
  const groups = unitGroups(model, units);
  if (groups.length === 0)
    throw new RangeError(`${model.name} has no ${units === "both" ? "units" : units} to remove`);
  const names = new Set(groups.map(({ name }) => name));

  // Scores and masks count the original's units throughout; `alive` says which of them each smaller model still has.
  type State = { model: tf.LayersModel; alive: Record<string, number[]> };
  let current: State = {
    model: cloneModel(model),
    alive: Object.fromEntries(
      groups.map(({ name, size }) => [name, Array.from({ length: size }, (_, i) => i)]),
    ),
  };
  const made = new Set([current.model]);
  const finish = (kept?: tf.LayersModel) => {
    for (const each of made) if (each !== kept) each.dispose();
  };
  try {
    // Rewound, each smaller model is cut from the early one and not from the one before.
    const early = options.rewindTo && cloneModel(model);
    if (early) {
      made.add(early);
      restoreWeights(early, options.rewindTo!);
    }
    const { best, history, ended } = await iterativePrune<State>(
      {
        async score() {
          const left = unitGroups(current.model, units).filter(({ name }) => names.has(name));
          const scores = await unitScoresOf(current.model, left, images, score, { signal });
          const all: Scores = {};
          for (const { name, size } of groups) {
            all[name] = new Float32Array(size);
            current.alive[name].forEach((unit, i) => {
              all[name][unit] = scores[name][i];
            });
          }
          return normalize ? normalizeByLayer(all) : all;
        },
        async fineTune(masks, step) {
          const { alive } = current;
          const left = Object.fromEntries(
            Object.keys(alive).map((name) => [
              name,
              Uint8Array.from(alive[name], (unit) => masks[name][unit]),
            ]),
          );
          current = {
            model: early ? pruneGroups(early, masks) : pruneGroups(current.model, left),
            alive: Object.fromEntries(
              Object.keys(alive).map((name) => [name, alive[name].filter((unit) => masks[name][unit] === 1)]),
            ),
          };
          made.add(current.model);
          await train(current.model, data.train, training(step));
        },
        evaluate: async () => (await evaluate(current.model, decidingSamples(data))).accuracy,
        // Each step makes a model of its own, so the state needs no copy.
        save: () => current,
        restore: (state) => {
          current = state;
        },
      },
      {
        ...loop,
        select: (scores, sparsity, previous) =>
          keepAtLeast(loop.select(scores, sparsity, previous), scores, 1, { previous }),
      },
    );
    finish(best.state.model);
    const { state, ...step } = best;
    return { model: state.model, best: step, history, ended };
  } catch (error) {
    finish();
    throw error;
  }
}

/** Checks what both loops share, and puts it in the terms of iterativePrune. */
function loopOf(data: { train: Samples }, options: PruneLoopOptions) {
  const { strategy = "globalSparsity", sparsity, accuracyFloor, fineTune, refine, onStep, signal } = options;
  checkOneOf("strategy", strategy, sparsityStrategies);
  if (sparsity === undefined && accuracyFloor === undefined) {
    throw new RangeError("give a sparsity, an accuracyFloor, or both");
  }
  if (accuracyFloor !== undefined) checkNumber("accuracyFloor", accuracyFloor, 0, 1);
  const images = checkInteger("images", options.images ?? 500, 1);
  const plan =
    sparsity === undefined
      ? endlessPlan(options.rate)
      : prunePlan({ schedule: options.schedule, sparsity, steps: options.steps ?? 5 });
  return {
    loop: {
      plan,
      select: (scores: Scores, share: number, previous: Masks) =>
        select(scores, { strategy, sparsity: share }, { previous }),
      accuracyFloor,
      refine,
      onStep,
      signal,
    },
    images: firstOf(data.train, Math.min(images, data.train.count)),
    // Another order of the images in each step, and the same in each run.
    training: (step: number): TrainOptions => ({
      epochs: 1,
      ...fineTune,
      seed: (fineTune?.seed ?? 1) + step,
      signal,
    }),
  };
}

export interface MergeUnitsOptions {
  /** What to merge: `filters`, `neurons` (default) or `both`. */
  units?: UnitKind;
  /** The greatest share of a unit's variance that may be lost, from 0 to 1 (default 0.05). */
  tolerance?: number;
  signal?: AbortSignal;
}

/**
 * Removes units that another one of their layer can stand in for, and those that never change, and makes up for them
 * in the next layer's weights and biases. Nothing is trained.
 *
 * Units are compared where the next layer takes them in, after activation, normalisation and pooling. Groups that
 * feed several layers, a layer without bias, one with other inputs besides, a convolution that pads with zeros (there a
 * constant would not be one), or one that is transposed or separable, and what a layer that is used twice hands on, stay whole.
 *
 * @param model stays as it is
 * @param split the images that units are compared on
 * @returns the smaller model, and what was merged, by group
 * @see §3.1.3
 */
export async function mergeUnits(
  model: tf.LayersModel,
  split: Samples,
  { units = "neurons", tolerance = 0.05, signal }: MergeUnitsOptions = {},
): Promise<{ model: tf.LayersModel; merges: Record<string, Merge[]> }> {
  checkNumber("tolerance", tolerance, 0, 1);
  const { sites, placeOf } = dependenciesOf(model);
  const shared = sharedNodes(networkOf(model).graph);
  const [weights, biases] = [finiteWeightsOf(model), biasesOf(model)];
  const merges: Record<string, Merge[]> = {};
  const keep: Masks = {};
  const [newWeights, newBiases]: Record<string, Float32Array>[] = [{}, {}];
  for (const group of unitGroups(model, units)) {
    const site = sites.find(({ node }) => node.name === group.consumers[0])!;
    const isAlone = site?.incoming.every((unit, i) => {
      const place = placeOf(unit);
      return place?.group === group.name && place.index === i % group.size;
    });
    const pads = site?.node.attributes.padding === "same";
    // Folding takes the next layer's kernel as rows of inputs by outputs: not so a transposed or separable convolution's.
    const rows = ["matrix", "convolution"].includes(findKind(site?.node.kind ?? "")?.product ?? "none");
    if (group.consumers.length !== 1 || !isAlone || pads || !rows || !biases[site.node.name]) continue;
    const source = site.node.inputs[0];
    // What a shared layer puts out, a ReLU that is used twice, is not looked at by place.
    if (shared.has(source)) continue;
    const outputs = (await activationsOf(model, split, [source], { signal }))[source].values;
    let found = duplicateNeurons(outputs, group.size, tolerance);
    // If all of them never change, one has to stay for the layers to connect.
    if (found.length === group.size) found = found.slice(1);
    merges[group.name] = found;
    keep[group.name] = mergeMask(found, group.size);
    const consumer = site.node.name;
    const next = { weights: weights[consumer], bias: biases[consumer] };
    const folded = foldMerges(found, next, group.size);
    newWeights[consumer] = folded.weights;
    newBiases[consumer] = folded.bias;
  }
  const copy = cloneModel(model);
  setWeights(copy, newWeights);
  setBiases(copy, newBiases);
  const smaller = pruneGroups(copy, keep);
  copy.dispose();
  return { model: smaller, merges };
}
