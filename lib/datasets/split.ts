// What a data set is once it is in memory, and the two things every chapter does with it: take less, make floats.
import { checkInteger, shown } from "../util/check.ts";
import { seeded, shuffle } from "../util/random.ts";

/** Class numbers, one an image. */
export type Labels = Uint8Array | Uint16Array | Int32Array;

/** Room for as many class numbers as `labels` can hold. */
export function labelsLike(labels: Labels, count: number): Labels {
  return new (labels.constructor as new (length: number) => Labels)(count);
}

/** Images as they are kept: bytes, 255 of which stand for 1, or numbers as they are. */
export type Pixels = Uint8Array | Float32Array;

/**
 * How pixels become what a network reads: (value − mean) / deviation, a byte's value being a 255th of it. One number for
 * all channels, or one for each.
 */
export interface Scaling {
  mean: number | readonly number[];
  deviation: number | readonly number[];
}

/** Room for as many pixels of the same kind. */
export function pixelsLike<Images extends Pixels>(images: Images, length: number): Images {
  return new (images.constructor as new (length: number) => Images)(length);
}

/** Images with labels. */
export interface Split<Images extends Pixels = Pixels> {
  /** Bytes 0 to 255, or floats, `count` x `height` x `width` x `channels`, row-major. */
  images: Images;
  /** What the network wants done to them; by default nothing, and bytes are numbers from 0 to 1. */
  scaling?: Scaling;
  /** The class of each image, an index into the data set's `classes`; bytes where these are at most 256. */
  labels: Labels;
  count: number;
  height: number;
  width: number;
  channels: number;
}

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
  train: Split;
  /** What settings are chosen by and floors are held against. */
  validation?: Split;
  /** Serves where there is no `validation`, and is no fair judge of the result afterwards. */
  test?: Split;
}

/**
 * The images to decide by: `validation`, or where there is none, `test`.
 *
 * @throws TypeError where there is neither
 */
export function decidingImages({ validation, test }: JudgedData): Split {
  const images = validation ?? test;
  if (!images) throw new TypeError("data must have validation (or test): images to decide by");
  return images;
}

/**
 * Takes `n` examples, stratified: each class keeps its share (by largest remainder, so within one example), which
 * examples of a class is up to the seed, and the result is shuffled.
 *
 * @param n how many examples, from 1 to `split.count`
 * @param seed the same seed gives the same examples in the same order
 */
export function subset<Images extends Pixels>(split: Split<Images>, n: number, seed = 0): Split<Images> {
  return take(split, chosen(split, n, seed));
}

/**
 * Divides a split for good: the examples that {@link subset} takes, and all the others in their order.
 *
 * @param n how many examples the first part has, from 1 to `split.count` - 1
 */
export function divide<Images extends Pixels>(
  split: Split<Images>,
  n: number,
  seed = 0,
): [Split<Images>, Split<Images>] {
  checkInteger("n", n, 1, split.count - 1);
  const first = chosen(split, n, seed);
  const isFirst = new Uint8Array(split.count);
  for (const i of first) isFirst[i] = 1;
  const rest = Array.from(isFirst.keys()).filter((i) => isFirst[i] === 0);
  return [take(split, first), take(split, rest)];
}

/** The places of a stratified choice, in the order that it is given. */
function chosen(split: Split, n: number, seed: number): number[] {
  checkInteger("n", n, 1, split.count);
  const random = seeded(seed);
  const byClass: number[][] = [];
  for (let i = 0; i < split.count; i++) (byClass[split.labels[i]] ??= []).push(i);
  const classes = byClass.filter((members) => members !== undefined);

  // Every class gets the whole part of its share; what is left over goes to the largest remainders.
  const quotas = classes.map((members) => Math.floor((members.length * n) / split.count));
  let left = n - quotas.reduce((sum, quota) => sum + quota, 0);
  const byRemainder = classes
    .map((members, k) => ({ k, remainder: (members.length * n) % split.count }))
    .sort((a, b) => b.remainder - a.remainder || a.k - b.k);
  for (const { k } of byRemainder) if (left-- > 0) quotas[k]++;

  const places = classes.flatMap((members, k) => shuffle(members, random).slice(0, quotas[k]));
  return shuffle(places, random);
}

/** The examples at `indices`, in that order. */
export function take<Images extends Pixels>(split: Split<Images>, indices: ArrayLike<number>): Split<Images> {
  const size = split.height * split.width * split.channels;
  const images = pixelsLike(split.images, indices.length * size);
  const labels = labelsLike(split.labels, indices.length);
  for (let i = 0; i < indices.length; i++) {
    const from = checkInteger("index", indices[i], 0, split.count - 1) * size;
    images.set(split.images.subarray(from, from + size), i * size);
    labels[i] = split.labels[indices[i]];
  }
  return { ...split, images, labels, count: indices.length };
}

/** Images `from` to `to` of a split, as views of it. */
export function viewOf<Images extends Pixels>(split: Split<Images>, from: number, to: number): Split<Images> {
  const pixels = split.height * split.width * split.channels;
  return {
    ...split,
    images: split.images.subarray(from * pixels, to * pixels) as Images,
    labels: split.labels.subarray(from, to),
    count: to - from,
  };
}

/**
 * The images as a network takes them, in the same order and shape: bytes as numbers from 0 to 1, floats as they are, and
 * then what the split's `scaling` says.
 *
 * @param indices the images that are wanted, in that order; all of them by default
 * @throws RangeError for a scaling that does not fit the channels
 */
export function toFloat(split: Split, indices?: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const { images, channels } = split;
  const pixels = split.height * split.width * channels;
  const count = indices?.length ?? split.count;
  const floats = new Float32Array(count * pixels);
  for (let i = 0, at = 0; i < count; i++) {
    const start = (indices ? indices[i] : i) * pixels;
    if (images instanceof Uint8Array)
      for (let p = start; p < start + pixels; p++) floats[at++] = byteValues[images[p]];
    else {
      floats.set(images.subarray(start, start + pixels), at);
      at += pixels;
    }
  }
  if (split.scaling) {
    const { mean, deviation } = perChannel(split.scaling, channels);
    for (let at = 0, c = 0; at < floats.length; at++) {
      floats[at] = (floats[at] - mean[c]) / deviation[c];
      if (++c === channels) c = 0;
    }
  }
  return floats;
}

/** A table of the 256 values: one load a pixel instead of a conversion and a division. */
const byteValues = Float32Array.from({ length: 256 }, (_, i) => i / 255);

function perChannel(scaling: Scaling, channels: number) {
  const each = (name: string, given: number | readonly number[]): number[] => {
    const list = typeof given === "number" ? new Array<number>(channels).fill(given) : [...given];
    if (list.length !== channels || !list.every(Number.isFinite))
      throw new RangeError(
        `${name} must be one finite number, or one for each of ${channels} channels, got ${shown(given)}`,
      );
    return list;
  };
  const deviation = each("scaling.deviation", scaling.deviation);
  if (deviation.some((one) => one === 0)) throw new RangeError("scaling.deviation must not be 0");
  return { mean: each("scaling.mean", scaling.mean), deviation };
}
