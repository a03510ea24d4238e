// What a data set is once it is in memory, and what every chapter does with it: take less, make floats.
import { checkInteger } from "../util/check.ts";
import { seeded, shuffle } from "../util/random.ts";
import { arraysOf, floatsOf, type Samples, type Split, sizeOf, take } from "./samples.ts";

/** A data set: what to learn from, what to decide by, and what to be judged by in the end. No image is in two of them. */
export interface Dataset {
  name: string;
  /** The classes' names; a label is an index into them. */
  classes: string[];
  train: Split<Uint8Array>;
  /** For decisions: which setting, how many epochs, how far to prune. Always the same images. */
  validation: Split<Uint8Array>;
  /** For one look at the end, once everything is decided. */
  test: Split<Uint8Array>;
}

/** What an experiment learns from and decides by: a data set as `loadDataset` gives it, or parts of one. */
export interface JudgedData {
  train: Samples;
  /** What settings are chosen by and floors are held against. */
  validation?: Samples;
  /** Serves where there is no `validation`, and is no fair judge of the result afterwards. */
  test?: Samples;
}

/**
 * The samples to decide by: `validation`, or where there is none, `test`.
 *
 * @throws TypeError where there is neither
 */
export function decidingSamples({ validation, test }: JudgedData): Samples {
  const samples = validation ?? test;
  if (!samples) throw new TypeError("data must have validation (or test): samples to decide by");
  return samples;
}

/**
 * Takes `n` examples, stratified: each class keeps its share (by largest remainder, so within one example), which
 * examples of a class is up to the seed, and the result is shuffled. Examples without one class each are one class.
 *
 * @param n how many examples, from 1 to `samples.count`
 * @param seed the same seed gives the same examples in the same order
 */
export function subset<S extends Samples>(samples: S, n: number, seed = 0): S {
  return take(samples, chosen(samples, n, seed));
}

/**
 * Divides samples for good: the examples that {@link subset} takes, and all the others in their order.
 *
 * @param n how many examples the first part has, from 1 to `samples.count` - 1
 */
export function divide<S extends Samples>(samples: S, n: number, seed = 0): [S, S] {
  checkInteger("n", n, 1, samples.count - 1);
  const first = chosen(samples, n, seed);
  const isFirst = new Uint8Array(samples.count);
  for (const i of first) isFirst[i] = 1;
  const rest = Array.from(isFirst.keys()).filter((i) => isFirst[i] === 0);
  return [take(samples, first), take(samples, rest)];
}

/** The places of a stratified choice, in the order that it is given. */
function chosen(samples: Samples, n: number, seed: number): number[] {
  const { count } = samples;
  checkInteger("n", n, 1, count);
  const random = seeded(seed);
  const labels = arraysOf(samples).targets?.[0]?.values;
  const hasClass = labels && !(labels instanceof Float32Array) && sizeOf(labels, count) === 1;
  const byClass: number[][] = [];
  for (let i = 0; i < count; i++) (byClass[hasClass ? labels[i] : 0] ??= []).push(i);
  const classes = byClass.filter((members) => members !== undefined);

  // Every class gets the whole part of its share; what is left over goes to the largest remainders.
  const quotas = classes.map((members) => Math.floor((members.length * n) / count));
  let left = n - quotas.reduce((sum, quota) => sum + quota, 0);
  const byRemainder = classes
    .map((members, k) => ({ k, remainder: (members.length * n) % count }))
    .sort((a, b) => b.remainder - a.remainder || a.k - b.k);
  for (const { k } of byRemainder) if (left-- > 0) quotas[k]++;

  const places = classes.flatMap((members, k) => shuffle(members, random).slice(0, quotas[k]));
  return shuffle(places, random);
}

/**
 * The images as a network takes them, in the same order and shape: bytes as numbers from 0 to 1, floats as they are, and
 * then what the split's `scaling` says.
 *
 * @param indices the images that are wanted, in that order; all of them by default
 * @throws RangeError for a scaling that does not fit the channels
 */
export function toFloat(split: Split, indices?: ArrayLike<number>): Float32Array<ArrayBuffer> {
  return floatsOf(arraysOf(split).inputs[0], split.count, indices);
}
