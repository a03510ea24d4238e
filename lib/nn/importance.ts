// §3.1 on models: scores of weights, filters and neurons from a network and real images. What is computed here are
// only the scores' inputs: weights, gradients, curvature, activations.

import type { Samples } from "../datasets/index.ts";
import { findKind } from "../graph/index.ts";
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
import { checkFinite, checkLength, checkOneOf } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { type Group, groupsOf } from "./dependency.ts";
import { type Activations, activationsOf, gradientsOf } from "./gradients.ts";
import { kindOf, layersOf } from "./graph.ts";
import { hessianDiagonalOf } from "./hessian.ts";
import type { tf } from "./tf.ts";
import { finiteWeightsOf, type Kernel, kernelsOf, shapesOf } from "./weights.ts";

/** Scores of weights: |w|, |g·w|, ½·h·w². */
export const weightScores = ["magnitude", "gradient", "obd"] as const;
export type WeightScore = (typeof weightScores)[number];

/** What a score of weights may look at. */
export interface WeightData {
  /** The kernel's name in the model, "conv1". */
  kernel: string;
  /** As TensorFlow.js lays it out, row-major. */
  shape: readonly number[];
  weights: Float32Array;
  /** Of the mean cross-entropy, with regard to each weight; empty unless asked for. */
  gradients: Float32Array;
  /** The Hessian's diagonal; empty unless asked for. */
  curvature: Float32Array;
}

/** A score of weights of one's own: one number a weight, larger where it matters more. */
export type WeightScorer =
  | ((data: WeightData) => ArrayLike<number>)
  | { needs: readonly ("gradients" | "curvature")[]; of(data: WeightData): ArrayLike<number> };

/**
 * Importance of every weight in every kernel.
 *
 * @param split the images that gradients and curvature are taken from; `magnitude` needs none
 * @param score the name of one, or a function of one's own
 * @throws RangeError for an unknown score, one that needs images when there are none, or one that does not give a number
 *   for each weight
 * @see §3.1.1
 */
export async function scoresOf(
  model: tf.LayersModel,
  split: Samples | undefined,
  score: WeightScore | WeightScorer = "magnitude",
  options: { signal?: AbortSignal } = {},
): Promise<Scores> {
  const { needs, of } = scorerOf(score, byWeight, weightScores);
  const nothing: Record<string, Float32Array> = {};
  const name = nameOf(score);
  const gradients = needs.includes("gradients")
    ? await gradientsOf(model, needed(split, name), options)
    : nothing;
  const curvature = needs.includes("curvature")
    ? await hessianDiagonalOf(model, needed(split, name), options)
    : nothing;
  const [weights, shapes] = [finiteWeightsOf(model), shapesOf(model)];
  const none = new Float32Array();
  return Object.fromEntries(
    Object.keys(weights).map((kernel) => [
      kernel,
      scored(`score of ${kernel}`, weights[kernel].length, () =>
        of({
          kernel,
          shape: shapes[kernel],
          weights: weights[kernel],
          gradients: gradients[kernel] ?? none,
          curvature: curvature[kernel] ?? none,
        }),
      ),
    ]),
  );
}

/** A named score's entry, or what a score of one's own says. */
function scorerOf<Name extends string, Data, Need extends string>(
  score:
    | Name
    | ((data: Data) => ArrayLike<number>)
    | { needs: readonly Need[]; of(data: Data): ArrayLike<number> },
  table: Record<Name, { needs: readonly Need[]; of(data: Data): ArrayLike<number> }>,
  names: readonly Name[],
): { needs: readonly Need[]; of(data: Data): ArrayLike<number> } {
  if (typeof score === "function") return { needs: [], of: score };
  if (typeof score === "object" && typeof score?.of === "function") return score;
  return table[checkOneOf("score", score as Name, names)];
}

const nameOf = (score: unknown): string => (typeof score === "string" ? score : "of your own");

/** Scores, checked: one finite number for each of `count`. */
function scored(name: string, count: number, score: () => ArrayLike<number>): Float32Array {
  const scores = score();
  checkLength(name, scores, count);
  checkFinite(name, scores);
  return scores instanceof Float32Array ? scores : Float32Array.from(scores);
}

/** Each score of weights with what has to be computed for it. */
const byWeight: Record<WeightScore, Exclude<WeightScorer, (data: WeightData) => unknown>> = {
  magnitude: { needs: [], of: ({ weights }) => magnitude(weights) },
  gradient: { needs: ["gradients"], of: ({ weights, gradients }) => gradientTimesWeight(weights, gradients) },
  obd: { needs: ["curvature"], of: ({ weights, curvature }) => obdSaliency(weights, curvature) },
};

/** What a score of a layer's filters or neurons may look at; they are the last axis of each. */
export interface UnitData {
  /** The layer's name in the model. */
  layer: string;
  /** How many units the layer has. */
  count: number;
  /** The layer's kernel, [inputs, count]; of several, one below the other. */
  weights: Float32Array;
  /** Of the mean cross-entropy, with regard to `weights`; empty unless asked for. */
  gradients: Float32Array;
  /** [images x places, count]; empty unless asked for. */
  outputs: Float32Array;
  /** Of each image's own cross-entropy, with regard to `outputs`; empty unless asked for. */
  outputGradients: Float32Array;
  /** How many images. */
  examples: number;
}
type UnitNeed = "gradients" | "outputs" | "outputGradients";

/** A score of units of one's own: one number a unit of the layer, larger where it matters more. */
export type UnitScorer =
  | ((data: UnitData) => ArrayLike<number>)
  | { needs: readonly UnitNeed[]; of(data: UnitData): ArrayLike<number> };

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
const byUnit: Record<UnitScore, { needs: readonly UnitNeed[]; of: (unit: UnitData) => Float32Array }> = {
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
  split: Samples | undefined,
  score: UnitScore | UnitScorer = "l1",
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
  split: Samples | undefined,
  score: UnitScore | UnitScorer = "meanActivation",
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
  const all = layersOf(model);
  const isDense = (layer: string) => findKind(kindOf(all.get(layer)!))?.product === "matrix";
  return groupsOf(model).filter(
    ({ layers }) => units === "both" || layers.every(isDense) === (units === "neurons"),
  );
}

/**
 * Scores of some groups' units, by group.
 *
 * @param score the name of one, or a function of one's own
 */
export async function unitScoresOf(
  model: tf.LayersModel,
  groups: Group[],
  split: Samples | undefined,
  score: UnitScore | UnitScorer,
  options: { signal?: AbortSignal } = {},
): Promise<Scores> {
  const { needs, of } = scorerOf(score, byUnit, unitScores);
  if (groups.length === 0) return {};
  const name = nameOf(score);
  const layers = [...new Set(groups.flatMap((group) => group.layers))];
  const weights = finiteWeightsOf(model);
  let gradients: Record<string, Float32Array> = {};
  let activations: Record<string, Activations> = {};
  if (needs.includes("gradients")) gradients = await gradientsOf(model, needed(split, name), options);
  if (needs.includes("outputs") || needs.includes("outputGradients")) {
    activations = await activationsOf(model, needed(split, name), layers, {
      ...options,
      gradients: needs.includes("outputGradients"),
    });
  }
  const none = new Float32Array();
  const kernels = kernelsOf(model);
  const byChannel = new Map(
    layers.map((layer) => {
      const own = kernels.filter(
        ({ layerName, weight }) => layerName === layer && weight.axes.includes("out"),
      );
      const count = own[0].shape[own[0].axis];
      const data: UnitData = {
        layer,
        count,
        weights: unitsLast(own, weights),
        gradients: needs.includes("gradients") ? unitsLast(own, gradients) : none,
        outputs: activations[layer]?.values ?? none,
        outputGradients: activations[layer]?.gradients ?? none,
        examples: activations[layer]?.shape[0] ?? 0,
      };
      return [layer, scored(`score of ${layer}`, count, () => of(data))] as const;
    }),
  );
  return Object.fromEntries(
    groups.map(({ name, makers }) => [
      name,
      Float32Array.from(makers, (made) =>
        made.reduce((sum, { layer, channel }) => sum + byChannel.get(layer)![channel], 0),
      ),
    ]),
  );
}

/** A layer's kernels as rows with one number for each of its units, which are not the last axis of every kernel. */
function unitsLast(kernels: Kernel[], values: Record<string, Float32Array>): Float32Array {
  const parts = kernels.map(({ name, shape, axis }) => {
    const all = values[name];
    const inner = elements(shape.slice(axis + 1));
    if (inner === 1) return all;
    const units = shape[axis];
    const turned = new Float32Array(all.length);
    for (let i = 0; i < all.length; i++) {
      const unit = Math.floor(i / inner) % units;
      const row = Math.floor(i / (inner * units)) * inner + (i % inner);
      turned[row * units + unit] = all[i];
    }
    return turned;
  });
  return parts.length === 1 ? parts[0] : Float32Array.from(parts.flatMap((part) => [...part]));
}

function needed(split: Samples | undefined, score: string): Samples {
  if (split === undefined) throw new RangeError(`score "${score}" needs images, got none: give a split`);
  return split;
}
