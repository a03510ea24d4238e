// What any network learns from and is judged by: arrays for its inputs and outputs. Images with labels, a `Split`, are the
// form that the chapters use; every function that takes samples takes both.
import { checkInteger, shown } from "../util/check.ts";
import { elements } from "../util/shape.ts";

/** Class numbers, one an image. */
export type Labels = Uint8Array | Uint16Array | Int32Array;

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

/** Numbers as they are kept: bytes, 255 of which stand for 1, whole numbers such as tokens, or floats. */
export type Numbers = Uint8Array | Uint16Array | Int32Array | Float32Array;

/** What goes into one input of a network. */
export interface Field {
  /** `count` x `shape`, row-major. Bytes are numbers from 0 to 1, as those of images are; all others as they are. */
  values: Numbers;
  /** Of one sample. */
  shape: readonly number[];
  /** What the network wants done to them; by the last axis where it is given for each channel. */
  scaling?: Scaling;
}

/**
 * What an output is for. `classes`: rows of scores, of which the largest names the class. `labels`: probabilities, each of
 * which says yes or no. `values`: numbers that are to be met.
 */
export const tasks = ["classes", "labels", "values"] as const;
export type Task = (typeof tasks)[number];

/** What one output should give. */
export interface Target {
  /** By default what the values and the network's last activation say: floats are `values`, behind a sigmoid 0 and 1 are `labels`. */
  task?: Task;
  /**
   * `classes`: a class number for each row of scores. `labels`: 0 or 1 for each number of the output. `values`: floats, as many
   * as the output has. Undefined where there are none, for what needs none: calibration, comparison.
   */
  values?: Labels | Float32Array;
}

/** A measure of one's own, larger where a network is better: what floors, rows and searches then go by. */
export interface Measure {
  name: string;
  /**
   * @param seen `outputs`: all that the network gives, one array an output, probabilities where these are classes; `targets`
   *   beside them; `count` samples
   */
  of(seen: {
    outputs: Float32Array[];
    targets: (Labels | Float32Array | undefined)[];
    count: number;
  }): number;
}

/** Samples for any network: an entry for each of its inputs and outputs, in the network's order. */
export interface Arrays {
  inputs: readonly Field[];
  /** By default without values, and each output's task what its last activation says. */
  targets?: readonly Target[];
  count: number;
  /** Replaces accuracy. */
  measure?: Measure;
}

/** What networks look at: images with labels, or arrays for any inputs and outputs. */
export type Samples = Split | Arrays;

export const isSplit = (samples: Samples): samples is Split => "images" in samples;

/** Samples of either form as arrays; nothing is copied. */
export function arraysOf(samples: Samples): Arrays {
  if (!isSplit(samples)) return samples;
  const { images, labels, count, height, width, channels, scaling } = samples;
  return {
    inputs: [{ values: images, shape: [height, width, channels], ...(scaling ? { scaling } : {}) }],
    targets: [{ values: labels }],
    count,
  };
}

/** Numbers a sample. */
export const sizeOf = (values: ArrayLike<number>, count: number): number => values.length / count;

/** Part of an array that belongs to samples, as another array of its kind. */
export type Selection = <Values extends Numbers>(values: Values, size: number) => Values;

/** The same samples with each of their arrays replaced by a part of it. */
export function selected<S extends Samples>(samples: S, count: number, part: Selection): S {
  const of = <Values extends Numbers>(values: Values) => part(values, sizeOf(values, samples.count));
  if (isSplit(samples)) return { ...samples, images: of(samples.images), labels: of(samples.labels), count };
  const { inputs, targets } = samples as Arrays;
  return {
    ...samples,
    inputs: inputs.map((field) => ({ ...field, values: of(field.values) })),
    ...(targets
      ? { targets: targets.map((one) => (one.values ? { ...one, values: of(one.values) } : one)) }
      : {}),
    count,
  };
}

/** The samples at `indices`, in that order. */
export function take<S extends Samples>(samples: S, indices: ArrayLike<number>): S {
  for (let i = 0; i < indices.length; i++) checkInteger("index", indices[i], 0, samples.count - 1);
  return selected(samples, indices.length, (values, size) => pick(values, size, indices));
}

/** What belongs to the samples at `indices`, `size` numbers each. */
export function pick<Values extends Numbers>(
  values: Values,
  size: number,
  indices: ArrayLike<number>,
): Values {
  const picked = like(values, indices.length * size);
  for (let i = 0; i < indices.length; i++)
    picked.set(values.subarray(indices[i] * size, (indices[i] + 1) * size), i * size);
  return picked;
}

/** Samples `from` to `to`, as views. */
export function viewOf<S extends Samples>(samples: S, from: number, to: number): S {
  return selected(
    samples,
    to - from,
    (values, size) => values.subarray(from * size, to * size) as typeof values,
  );
}

/** Room for as many numbers of the same kind. */
export function like<Values extends Numbers>(values: Values, length: number): Values {
  return new (values.constructor as new (length: number) => Values)(length);
}

/**
 * A field as a network takes it: bytes as numbers from 0 to 1, others as they are, and then what its `scaling` says.
 *
 * @param indices the samples that are wanted, in that order; all of them by default
 * @throws RangeError for a scaling that does not fit the channels
 */
export function floatsOf(
  { values, shape, scaling }: Field,
  count: number,
  indices?: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  const size = elements(shape);
  const wanted = indices?.length ?? count;
  const floats = new Float32Array(wanted * size);
  for (let i = 0, at = 0; i < wanted; i++) {
    const start = (indices ? indices[i] : i) * size;
    if (values instanceof Uint8Array)
      for (let p = start; p < start + size; p++) floats[at++] = byteValues[values[p]];
    else {
      floats.set(values.subarray(start, start + size), at);
      at += size;
    }
  }
  if (scaling) {
    const channels = shape.at(-1) ?? 1;
    const { mean, deviation } = perChannel(scaling, channels);
    for (let at = 0, c = 0; at < floats.length; at++) {
      floats[at] = (floats[at] - mean[c]) / deviation[c];
      if (++c === channels) c = 0;
    }
  }
  return floats;
}

/** A table of the 256 values: one load a pixel instead of a conversion and a division. */
const byteValues = Float32Array.from({ length: 256 }, (_, i) => i / 255);

/**
 * A scaling's numbers, one for each channel.
 *
 * @throws RangeError for one that does not fit the channels
 */
export function perChannel(scaling: Scaling, channels: number): { mean: number[]; deviation: number[] } {
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
