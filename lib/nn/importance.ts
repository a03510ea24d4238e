// §3.1 on models: scores of weights, filters and neurons from a network and real images. What is computed here are
// only the scores' inputs: weights, gradients, curvature, activations.

import type { Split } from "../datasets/index.ts";
import {
  activeShare,
  filterGradientNorm,
  filterNorm,
  geometricMedian,
  gradientTimesWeight,
  magnitude,
  meanAbsoluteGradient,
  meanActivation,
  obdSaliency,
  outputNorm,
  type Scores,
  taylorActivation,
  taylorWeight,
} from "../pruning/index.ts";
import { checkOneOf } from "../util/check.ts";
import { type Group, groupsOf } from "./dependency.ts";
import { type Activations, activationsOf, gradientsOf } from "./gradients.ts";
import { hessianDiagonalOf } from "./hessian.ts";
import type { tf } from "./tf.ts";
import { kernelOf, outputAxis, weightsOf } from "./weights.ts";

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
  const { needs, of } = byWeight[score];
  const looked = needs ? await needs(model, needed(split, score), options) : {};
  return Object.fromEntries(
    Object.entries(weightsOf(model)).map(([layer, w]) => [layer, of(w, looked[layer])]),
  );
}

/** Each score of weights: what has to be computed from images for it, and the score of a layer's weights. */
const byWeight: Record<
  WeightScore,
  {
    needs?: (
      model: tf.LayersModel,
      images: Split,
      options: { signal?: AbortSignal },
    ) => Promise<Record<string, Float32Array>>;
    of: (weights: Float32Array, looked: Float32Array) => Float32Array;
  }
> = {
  magnitude: { of: magnitude },
  gradient: { needs: gradientsOf, of: gradientTimesWeight },
  obd: { needs: hessianDiagonalOf, of: obdSaliency },
};

/** What a score of filters or neurons may look at; their number is the last dimension of each. */
interface Unit {
  count: number;
  weights: Float32Array;
  gradients: Float32Array;
  outputs: Float32Array;
  outputGradients: Float32Array;
  examples: number;
}

/** Scores of filters and of neurons, named as lib/pruning's functions (`l1` and `l2` are filterNorm's). */
export const unitScores = [
  "l1",
  "l2",
  "geometricMedian",
  "gradientNorm",
  "taylorWeight",
  "meanActivation",
  "outputNorm",
  "activeShare",
  "meanAbsoluteGradient",
  "taylorActivation",
] as const;
export type UnitScore = (typeof unitScores)[number];

/** Each of them with what has to be computed for it. */
const byUnit: Record<UnitScore, { needs: (keyof Unit)[]; of: (unit: Unit) => Float32Array }> = {
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
};

/**
 * Importance of every filter: one score for each unit of each group of convolutions (see {@link groupsOf}; the group
 * of a single layer has that layer's name). Where filters of several layers go together, their scores are added.
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
  return unitScoresOf(model, unitGroups(model, "filters"), split, score, options);
}

/**
 * Importance of every neuron: one score for each unit of each group of dense layers, but not for classes.
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
  return unitScoresOf(model, unitGroups(model, "neurons"), split, score, options);
}

/** Filters are units that a convolution has a part in, neurons all others. */
export const unitKinds = ["filters", "neurons", "both"] as const;
export type UnitKind = (typeof unitKinds)[number];

/** The groups of a model's filters (units that a convolution has a part in), of its neurons (all others), or both. */
export function unitGroups(model: tf.LayersModel, units: UnitKind): Group[] {
  checkOneOf("units", units, unitKinds);
  const isDense = (layer: string) => model.getLayer(layer).getClassName() === "Dense";
  return groupsOf(model).filter(
    ({ layers }) => units === "both" || layers.every(isDense) === (units === "neurons"),
  );
}

/** Scores of some groups' units, by group. */
export async function unitScoresOf(
  model: tf.LayersModel,
  groups: Group[],
  split: Split | undefined,
  score: UnitScore,
  options: { signal?: AbortSignal } = {},
): Promise<Scores> {
  checkOneOf("score", score, unitScores);
  if (groups.length === 0) return {};
  const { needs, of } = byUnit[score];
  const layers = [...new Set(groups.flatMap((group) => group.layers))];
  const weights = weightsOf(model);
  if (!needs.includes("outputs")) for (const layer of layers) checkUnitKernel(model.getLayer(layer), score);
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
  const byChannel = Object.fromEntries(
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
  return Object.fromEntries(
    groups.map(({ name, layers, channels, size }) => [
      name,
      new Float32Array(size).map((_, unit) =>
        layers.reduce((sum, layer) => sum + byChannel[layer][channels[layer][unit]], 0),
      ),
    ]),
  );
}

/** Scores of weights read a kernel whose last axis are the units: others would be scored by the wrong numbers. */
function checkUnitKernel(layer: tf.layers.Layer, score: string): void {
  const kernel = kernelOf(layer);
  if (kernel && outputAxis(layer) === kernel.shape.length - 1) return;
  throw new RangeError(
    `score must be one of activations (${unitScores.filter((name) => byUnit[name].needs.includes("outputs")).join(", ")}) ` +
      `for ${layer.name}, a ${layer.getClassName()}, got "${score}"`,
  );
}

function needed(split: Split | undefined, score: string): Split {
  if (split === undefined) throw new RangeError(`score "${score}" needs images, got none: give a split`);
  return split;
}
