// §3.1.1 step 2: from scores to masks. A strategy knows nothing of what a score means or of what it scores,
// so the same four serve weights, filters and neurons.

import {
  checkFinite,
  checkFloats,
  checkInteger,
  checkLength,
  checkNumber,
  checkOneOf,
  shown,
} from "../util/check.ts";
import { masksByBracket } from "./bracket-select.ts";
import type { Masks } from "./mask.ts";
import { cutAt, masksAt, type Ranked, scoreOf } from "./radix-select.ts";

/** Importance scores by layer: one a weight, a filter or a neuron. */
export type Scores = Record<string, Float32Array>;

/** One number for all layers, or one for each by name. */
export type PerLayer = number | Record<string, number>;

/** What is pruned: the lowest of all layers' scores or of each layer's, so many of them or those below a threshold. */
export const strategies = ["globalSparsity", "globalThreshold", "layerSparsity", "layerThreshold"] as const;
export type StrategyName = (typeof strategies)[number];

/** The strategies that are told how sparse it shall be. */
export const sparsityStrategies = ["globalSparsity", "layerSparsity"] as const satisfies StrategyName[];
export type SparsityStrategy = (typeof sparsityStrategies)[number];

/** A strategy as data: its name is that of the function in this file that carries it out. */
export type Strategy =
  | { strategy: "globalSparsity"; sparsity: number }
  | { strategy: "globalThreshold"; threshold: number }
  | { strategy: "layerSparsity"; sparsity: PerLayer }
  | { strategy: "layerThreshold"; threshold: PerLayer };

export interface SelectOptions {
  /** Masks from before: what they prune stays pruned, and counts towards the sparsity asked for. */
  previous?: Masks;
  /** Ranks by |score|. With weights for scores this is magnitude pruning without a copy of the weights. */
  absolute?: boolean;
}

/**
 * Prunes exactly round(sparsity · n) of all n scores, the lowest wherever they are; equal scores go in order
 * of layer, then index.
 *
 * @param scores by layer
 * @param sparsity the share to prune, from 0 to 1
 * @returns masks by layer, 1 = kept
 * @throws RangeError if the sparsity is outside [0, 1], a score is NaN or infinite, or a previous mask has
 * another length than its scores
 * @see §3.1.1 (global threshold)
 */
export function globalSparsity(scores: Scores, sparsity: number, options: SelectOptions = {}): Masks {
  checkNumber("sparsity", sparsity, 0, 1);
  const lists = rankedOf(scores, options);
  return recordOf(scores, pruneLowest(lists, sparsity, options));
}

/**
 * Prunes every score below one threshold for all layers; a score equal to it is kept.
 *
 * @throws RangeError as {@link globalSparsity}, or if the threshold is NaN
 * @see §3.1.1 (global threshold)
 */
export function globalThreshold(scores: Scores, threshold: number, options: SelectOptions = {}): Masks {
  checkNumber("threshold", threshold);
  return layerThreshold(scores, threshold, options);
}

/**
 * Prunes in each layer every score below that layer's threshold. {@link qualityThresholds} gives those of
 * Han et al.
 *
 * @param threshold one for all, or one for each layer by name
 * @throws RangeError as {@link globalSparsity}, or if a threshold is missing or NaN
 * @see §3.1.1 (per-layer threshold)
 */
export function layerThreshold(scores: Scores, threshold: PerLayer, options: SelectOptions = {}): Masks {
  const thresholds = perLayer("threshold", threshold, scores, (name, t) => checkNumber(name, t));
  const lists = rankedOf(scores, options);
  // Cutting where nothing falls still tells whether all scores are finite.
  cutAt(lists, 0, options.absolute === true);
  const masks = lists.map(({ values, taking }, at) => {
    const limit = thresholds[at];
    const mask = new Uint8Array(values.length);
    if (options.absolute)
      for (let i = 0; i < mask.length; i++) mask[i] = Number(Math.abs(values[i]) >= limit);
    else for (let i = 0; i < mask.length; i++) mask[i] = Number(values[i] >= limit);
    if (taking) for (let i = 0; i < mask.length; i++) mask[i] &= taking[i];
    return mask;
  });
  return recordOf(scores, masks);
}

/**
 * Prunes exactly round(sparsity · n) of each layer's n scores, the lowest first, equal ones in order of index.
 *
 * @param sparsity the share to prune, from 0 to 1: one for all, or one for each layer by name
 * @throws RangeError as {@link globalSparsity}, or if a sparsity is missing or outside [0, 1]
 * @see §3.1.1 (per-layer rate)
 */
export function layerSparsity(scores: Scores, sparsity: PerLayer, options: SelectOptions = {}): Masks {
  const sparsities = perLayer("sparsity", sparsity, scores, (name, s) => checkNumber(name, s, 0, 1));
  const lists = rankedOf(scores, options);
  return recordOf(
    scores,
    lists.flatMap((list, at) => pruneLowest([list], sparsities[at], options)),
  );
}

/** What carries out each strategy: a name in {@link strategies} without an entry here does not compile. */
const carryOut: {
  [Name in StrategyName]: (
    scores: Scores,
    strategy: Extract<Strategy, { strategy: Name }>,
    options: SelectOptions,
  ) => Masks;
} = {
  globalSparsity: (scores, { sparsity }, options) => globalSparsity(scores, sparsity, options),
  globalThreshold: (scores, { threshold }, options) => globalThreshold(scores, threshold, options),
  layerSparsity: (scores, { sparsity }, options) => layerSparsity(scores, sparsity, options),
  layerThreshold: (scores, { threshold }, options) => layerThreshold(scores, threshold, options),
};

/** Carries out a strategy given as data. */
export function select(scores: Scores, strategy: Strategy, options: SelectOptions = {}): Masks {
  const name = checkOneOf("strategy", strategy.strategy, strategies);
  return carryOut[name](scores, strategy as never, options);
}

/**
 * The threshold that {@link globalSparsity} cuts at: the highest score that it prunes (−Infinity if none).
 *
 * @param scores by layer
 * @param sparsity the share to prune, from 0 to 1
 */
export function thresholdAt(scores: Scores, sparsity: number, options: SelectOptions = {}): number {
  checkNumber("sparsity", sparsity, 0, 1);
  const lists = rankedOf(scores, options);
  const count = fallingOf(lists, sparsity);
  return count === 0 ? Number.NEGATIVE_INFINITY : scoreOf(cutAt(lists, count, options.absolute === true).key);
}

/**
 * Thresholds for magnitude scores in proportion to each layer's spread: quality × standard deviation of its
 * weights.
 *
 * @param weights by layer
 * @param quality the factor, at least 0: one for all, or one for each layer by name
 * @returns thresholds for {@link layerThreshold}
 * @throws RangeError if a quality is missing, NaN or below 0, or a weight is NaN or infinite
 * @see §3.1.1; Han, Pool, Tran, Dally, "Learning both weights and connections", 2015, section 3
 */
export function qualityThresholds(
  weights: Record<string, Float32Array>,
  quality: PerLayer,
): Record<string, number> {
  const qualities = perLayer("quality", quality, weights, (name, q) => checkNumber(name, q, 0));
  return Object.fromEntries(
    Object.entries(weights).map(([layer, w], at) => {
      checkFinite(`weights.${layer}`, w);
      return [layer, qualities[at] * standardDeviation(w)];
    }),
  );
}

function standardDeviation(values: Float32Array): number {
  if (values.length === 0) return 0;
  let sum = 0;
  for (const v of values) sum += v;
  const mean = sum / values.length;
  let squares = 0;
  for (const v of values) squares += (v - mean) ** 2;
  return Math.sqrt(squares / values.length);
}

/**
 * Gives each layer back its best scores until at least `count` are kept: a layer without a single filter or
 * neuron would cut the network in two.
 *
 * @param masks from any strategy; not changed
 * @param scores that the masks were selected from
 * @param count how many each layer keeps at least (all, where it has fewer)
 * @param options.previous masks from before: what they prune stays pruned all the same
 * @throws RangeError if scores or previous masks do not fit, or count is not a whole number
 */
export function keepAtLeast(
  masks: Masks,
  scores: Scores,
  count = 1,
  { previous }: Pick<SelectOptions, "previous"> = {},
): Masks {
  checkInteger("count", count, 0);
  return Object.fromEntries(
    Object.entries(masks).map(([layer, mask]) => {
      checkLength(`scores.${layer}`, scores[layer], mask.length);
      const kept = Uint8Array.from(mask);
      const missing = Math.min(count, mask.length) - kept.reduce((n, m) => n + m, 0);
      if (missing > 0) {
        const before = previous?.[layer];
        if (before) checkMask(`previous.${layer}`, before, mask.length);
        const pruned = Array.from(kept.keys()).filter((i) => kept[i] === 0 && before?.[i] !== 0);
        pruned.sort((a, b) => scores[layer][b] - scores[layer][a]);
        for (const i of pruned.slice(0, missing)) kept[i] = 1;
      }
      return [layer, kept];
    }),
  );
}

/** Throws unless a mask has `length` numbers, each 0 or 1: what counts them would count others wrong. */
function checkMask(name: string, mask: Uint8Array, length: number): void {
  checkLength(name, mask, length);
  let all = 0;
  for (let i = 0; i < length; i++) all |= mask[i];
  if (all <= 1) return;
  const wrong = mask.findIndex((value) => value > 1);
  throw new RangeError(`${name} must hold 0 and 1, got ${mask[wrong]} at index ${wrong}`);
}

/** How many of `lists` still have to fall so that the share `sparsity` of all is pruned. */
function fallingOf(lists: Ranked[], sparsity: number): number {
  let total = 0;
  let pruned = 0;
  for (const { values, taking } of lists) {
    total += values.length;
    if (taking) for (let i = 0; i < taking.length; i++) pruned += 1 - taking[i];
  }
  return Math.max(0, Math.round(sparsity * total) - pruned);
}

function pruneLowest(lists: Ranked[], sparsity: number, { absolute = false }: SelectOptions): Uint8Array[] {
  const count = fallingOf(lists, sparsity);
  return masksByBracket(lists, count, absolute) ?? masksAt(lists, cutAt(lists, count, absolute), absolute);
}

function rankedOf(scores: Scores, { previous }: SelectOptions): Ranked[] {
  return Object.entries(scores).map(([layer, values]) => {
    const taking = previous?.[layer];
    checkFloats(`scores.${layer}`, values);
    if (previous) checkMask(`previous.${layer}`, taking as Uint8Array, values.length);
    return { name: `scores.${layer}`, values, taking };
  });
}

const recordOf = (scores: Scores, masks: Uint8Array[]): Masks =>
  Object.fromEntries(Object.keys(scores).map((layer, i) => [layer, masks[i]]));

/** One checked number for each layer, in the layers' order. */
function perLayer(
  name: string,
  given: PerLayer,
  layers: Record<string, unknown>,
  check: (name: string, value: number) => number,
): number[] {
  if (typeof given === "number") {
    check(name, given);
    return Object.keys(layers).map(() => given);
  }
  for (const layer of Object.keys(given)) {
    if (!Object.hasOwn(layers, layer)) {
      throw new RangeError(
        `${name} names a layer ${shown(layer)} that is not there; there are ${Object.keys(layers).join(", ")}`,
      );
    }
  }
  return Object.keys(layers).map((layer) => check(`${name}.${layer}`, given[layer]));
}
