// §3.1 on models: scores from a network and real images, and the loop of §3.1.4 with training in it. What is
// computed here are only inputs; scores and strategies are lib/pruning's.

import type { Split } from "../datasets/index.ts";
import {
  activeShare,
  endlessPlan,
  filterGradientNorm,
  filterNorm,
  geometricMedian,
  gradientTimesWeight,
  type IterativeResult,
  iterativePrune,
  type Masks,
  magnitude,
  meanAbsoluteGradient,
  meanActivation,
  obdSaliency,
  outputNorm,
  type PruneStep,
  prunePlan,
  type Schedule,
  type Scores,
  select,
  taylorActivation,
  taylorWeight,
} from "../pruning/index.ts";
import { checkInteger, checkNumber, checkOneOf } from "../util/check.ts";
import { firstOf } from "./batches.ts";
import { evaluate } from "./evaluate.ts";
import { type Activations, activationsOf, gradientsOf } from "./gradients.ts";
import { hessianDiagonalOf } from "./hessian.ts";
import { tf } from "./tf.ts";
import { type TrainOptions, train } from "./train.ts";
import { kernelLayers, kernelOf, weightsOf } from "./weights.ts";

/** Scores of weights: |w|, |g·w|, ½·h·w². */
export const weightScores = ["magnitude", "gradient", "obd"] as const;
export type WeightScore = (typeof weightScores)[number];

/**
 * Importance of every weight in every kernel.
 *
 * @param split the images that gradients and curvature are taken from; `magnitude` needs none
 * @throws RangeError for an unknown score, or one that needs images when there are none
 * @see §3.1.1
 */
export async function scoresOf(
  model: tf.LayersModel,
  split: Split | undefined,
  score: WeightScore = "magnitude",
  options: { signal?: AbortSignal } = {},
): Promise<Scores> {
  checkOneOf("score", score, weightScores);
  const weights = weightsOf(model);
  if (score === "magnitude") return byLayer(weights, (w) => magnitude(w));
  const images = needed(split, score);
  if (score === "gradient") {
    const gradients = await gradientsOf(model, images, options);
    return byLayer(weights, (w, layer) => gradientTimesWeight(w, gradients[layer]));
  }
  const diagonal = await hessianDiagonalOf(model, images, options);
  return byLayer(weights, (w, layer) => obdSaliency(w, diagonal[layer]));
}

/** What a score of filters or neurons may look at; their number is the last dimension of each. */
interface Unit {
  count: number;
  weights: Float32Array;
  gradients: Float32Array;
  outputs: Float32Array;
  outputGradients: Float32Array;
  examples: number;
}

/** Each score with what has to be computed for it. */
const units = {
  l1: { needs: [], of: ({ weights, count }) => filterNorm(weights, count, 1) },
  l2: { needs: [], of: ({ weights, count }) => filterNorm(weights, count, 2) },
  geometricMedian: { needs: [], of: ({ weights, count }) => geometricMedian(weights, count) },
  gradientNorm: { needs: ["gradients"], of: ({ gradients, count }) => filterGradientNorm(gradients, count) },
  taylorWeight: {
    needs: ["gradients"],
    of: ({ weights, gradients, count }) => taylorWeight(weights, gradients, count),
  },
  meanActivation: { needs: ["outputs"], of: ({ outputs, count }) => meanActivation(outputs, count) },
  outputNorm: { needs: ["outputs"], of: ({ outputs, count }) => outputNorm(outputs, count) },
  activeShare: { needs: ["outputs"], of: ({ outputs, count }) => activeShare(outputs, count) },
  meanAbsoluteGradient: {
    needs: ["outputs", "outputGradients"],
    of: ({ outputGradients, count }) => meanAbsoluteGradient(outputGradients, count),
  },
  taylorActivation: {
    needs: ["outputs", "outputGradients"],
    of: ({ outputs, outputGradients, count, examples }) =>
      taylorActivation(outputs, outputGradients, count, examples),
  },
} satisfies Record<string, { needs: (keyof Unit)[]; of: (unit: Unit) => Float32Array }>;

/** Scores of filters and of neurons, named as lib/pruning's functions (`l1` and `l2` are filterNorm's). */
export type UnitScore = keyof typeof units;
/** Their names. */
export const unitScores = Object.keys(units) as UnitScore[];

/**
 * Importance of every filter of every convolution (but one that gives the model's output).
 *
 * @param split the images that gradients and activations are taken from; scores of weights need none
 * @throws RangeError for an unknown score, or one that needs images when there are none
 * @see §3.1.2
 */
export function filterScoresOf(
  model: tf.LayersModel,
  split: Split | undefined,
  score: UnitScore = "l1",
  options: { signal?: AbortSignal } = {},
): Promise<Scores> {
  return unitScoresOf(model, hiddenLayers(model, "Conv2D"), split, score, options);
}

/**
 * Importance of every neuron of every dense layer (but the last, whose neurons are the classes).
 *
 * @param split the images that gradients and activations are taken from; scores of weights need none
 * @throws RangeError for an unknown score, or one that needs images when there are none
 * @see §3.1.3
 */
export function neuronScoresOf(
  model: tf.LayersModel,
  split: Split | undefined,
  score: UnitScore = "meanActivation",
  options: { signal?: AbortSignal } = {},
): Promise<Scores> {
  return unitScoresOf(model, hiddenLayers(model, "Dense"), split, score, options);
}

async function unitScoresOf(
  model: tf.LayersModel,
  layers: string[],
  split: Split | undefined,
  score: UnitScore,
  options: { signal?: AbortSignal },
): Promise<Scores> {
  checkOneOf("score", score, unitScores);
  const { needs, of }: { needs: (keyof Unit)[]; of: (unit: Unit) => Float32Array } = units[score];
  const weights = weightsOf(model);
  const nothing = new Float32Array();
  let gradients: Record<string, Float32Array> = {};
  let activations: Record<string, Activations> = {};
  if (needs.includes("gradients")) gradients = await gradientsOf(model, needed(split, score), options);
  if (needs.includes("outputs")) {
    const withGradients = needs.includes("outputGradients");
    activations = await activationsOf(model, needed(split, score), layers, {
      ...options,
      gradients: withGradients,
    });
  }
  return Object.fromEntries(
    layers.map((layer) => [
      layer,
      of({
        count: (model.getLayer(layer).outputShape as number[]).at(-1)!,
        weights: weights[layer],
        gradients: gradients[layer] ?? nothing,
        outputs: activations[layer]?.values ?? nothing,
        outputGradients: activations[layer]?.gradients ?? nothing,
        examples: activations[layer]?.shape[0] ?? 0,
      }),
    ]),
  );
}

/** A copy of all of a model's weights, biases included, for {@link restoreWeights}. */
export function copyWeights(model: tf.LayersModel): Float32Array[] {
  return model.getWeights().map((tensor) => Float32Array.from(tensor.dataSync()));
}

/** Puts back what {@link copyWeights} copied. */
export function restoreWeights(model: tf.LayersModel, weights: Float32Array[]): void {
  tf.tidy(() => {
    model.setWeights(model.getWeights().map(({ shape }, i) => tf.tensor(weights[i], shape, "float32")));
  });
}

export interface PruneIterativelyOptions {
  /** Weights are scored by `magnitude` (default), `gradient` or `obd`. */
  score?: WeightScore;
  /** Whether all layers' weights compete (`globalSparsity`, default) or each layer loses the same share (`layerRate`). */
  strategy?: "globalSparsity" | "layerRate";
  /** The layers to prune; all with a kernel by default. */
  layers?: string[];
  /** The sparsity to reach. */
  target?: number;
  /** In how many steps (default 5) … */
  steps?: number;
  /** … and how they are spaced (default cubic). */
  schedule?: Schedule;
  /** The accuracy to keep. Without a target, each step prunes `rate` (default 0.2) of what is left until it is missed. */
  accuracyFloor?: number;
  rate?: number;
  /** How many times to halve the way between what met the floor and what did not (default 0). */
  refine?: number;
  /** How to train after each step; `epochs` is 1 by default, and 0 means not at all. */
  fineTune?: Omit<TrainOptions, "masks" | "signal">;
  /** How many training images `gradient` and `obd` are computed from (default 500). */
  scoreImages?: number;
  /** From {@link copyWeights}: before each fine-tuning, the weights go back to these (the lottery ticket). */
  rewindTo?: Float32Array[];
  onStep?: (step: PruneStep) => void;
  signal?: AbortSignal;
}

/**
 * Prunes a model's weights step by step, fine-tuning in between, to a target sparsity, down to an accuracy floor, or
 * to whichever comes first. The model ends as the sparsest that met the floor, its pruned weights 0.
 *
 * @param data trained on `train`, judged on `test`
 * @throws RangeError if neither a target nor a floor is given, or an option is out of range
 * @see §3.1.4
 */
export async function pruneIteratively(
  model: tf.LayersModel,
  data: { train: Split; test: Split },
  options: PruneIterativelyOptions,
): Promise<IterativeResult<Float32Array[]>> {
  const {
    score = "magnitude",
    strategy = "globalSparsity",
    target,
    accuracyFloor,
    fineTune,
    signal,
  } = options;
  checkOneOf("strategy", strategy, ["globalSparsity", "layerRate"]);
  checkOneOf("score", score, weightScores);
  if (target === undefined && accuracyFloor === undefined) {
    throw new RangeError("give a target sparsity, an accuracyFloor, or both");
  }
  if (accuracyFloor !== undefined) checkNumber("accuracyFloor", accuracyFloor, 0, 1);
  const known = kernelLayers(model).map(({ name }) => name);
  const layers = options.layers ?? known;
  for (const layer of layers) checkOneOf("layer", layer, known);
  const scoreImages = checkInteger("scoreImages", options.scoreImages ?? 500, 1);
  const images = firstOf(data.train, Math.min(scoreImages, data.train.count));
  return iterativePrune<Float32Array[]>(
    {
      async score() {
        const scores = await scoresOf(model, images, score);
        return Object.fromEntries(layers.map((layer) => [layer, scores[layer]]));
      },
      async fineTune(masks: Masks, step: number) {
        // Another order of the images in each step, and the same in each run.
        const seed = (fineTune?.seed ?? 1) + step;
        await train(model, data.train, { epochs: 1, ...fineTune, seed, masks, signal });
      },
      evaluate: async () => (await evaluate(model, data.test)).accuracy,
      save: () => copyWeights(model),
      restore: (state) => restoreWeights(model, state),
    },
    {
      plan:
        target === undefined
          ? endlessPlan(options.rate)
          : prunePlan({ schedule: options.schedule, target, steps: options.steps ?? 5 }),
      select: (scores, sparsity, previous) => select(scores, { strategy, amount: sparsity }, { previous }),
      accuracyFloor,
      refine: options.refine,
      rewindTo: options.rewindTo,
      onStep: options.onStep,
      signal,
    },
  );
}

/** Layers of a kind whose units stay inside the model. */
function hiddenLayers(model: tf.LayersModel, kind: "Conv2D" | "Dense"): string[] {
  const outputs = outputLayers(model);
  return model.layers
    .filter((layer) => layer.getClassName() === kind && !outputs.has(layer))
    .map(({ name }) => name);
}

/** The layers with a kernel whose units are the model's outputs, maybe through activations, pooling and additions. */
function outputLayers(model: tf.LayersModel): Set<tf.layers.Layer> {
  const found = new Set<tf.layers.Layer>();
  const back = (layer: tf.layers.Layer) => {
    if (found.has(layer)) return;
    found.add(layer);
    if (kernelOf(layer) !== undefined) return;
    for (const { inboundLayers } of layer.inboundNodes) inboundLayers.forEach(back);
  };
  for (const { sourceLayer } of model.outputs) back(sourceLayer);
  return found;
}

const byLayer = (
  weights: Record<string, Float32Array>,
  score: (weights: Float32Array, layer: string) => Float32Array,
): Scores => Object.fromEntries(Object.entries(weights).map(([layer, w]) => [layer, score(w, layer)]));

function needed(split: Split | undefined, score: string): Split {
  if (split === undefined) throw new RangeError(`score "${score}" needs images, got none: give a split`);
  return split;
}
