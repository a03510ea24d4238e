// From samples to the tensors that a model takes, and what its outputs should be.

import {
  type Arrays,
  arraysOf,
  type Field,
  floatsOf,
  isSplit,
  like,
  pick,
  type Samples,
  type Split,
  viewOf,
} from "../datasets/index.ts";
import { type Graph, producersOf } from "../graph/index.ts";
import { checkFinite, checkInteger, checkLength, shown } from "../util/check.ts";
import type { Random } from "../util/random.ts";
import { elements } from "../util/shape.ts";
import { keptFor, networkOf } from "./graph.ts";
import type { Inputs } from "./logits.ts";
import { checkTargets, type Output, outputsFor, type TargetValues } from "./tasks.ts";
import { tf } from "./tf.ts";

/** Samples in the shapes that a model wants: pixels in [0, 1], and what the outputs should be, as it is. */
export interface Batch {
  /** One tensor; of a model with several inputs, one for each. */
  x: Inputs;
  /** For each output; undefined where the samples do not say. */
  targets: (TargetValues | undefined)[];
  /** Those of the first output where they are class numbers, else none. */
  labels: Int32Array;
}

/** Samples that fit a model. */
export interface Feed {
  readonly count: number;
  /** What each output is for. */
  readonly outputs: readonly Output[];
  readonly arrays: Arrays;
  /** The samples `indices[from..to)`; all of them in order without `indices`. */
  batch(from: number, to: number, indices?: ArrayLike<number>): Batch;
  /** The same for other samples of the same shapes and kinds, which are not looked at again. */
  like(samples: Samples): Feed;
}

export interface FeedOptions {
  /** Whether the samples must say what each output should be; default no. */
  judged?: boolean;
}

/**
 * Brings a model and samples together.
 *
 * @throws RangeError unless they fit: an array for each input, of its shape, finite, tokens that are in the vocabulary; at
 *   least one sample; targets of the outputs' shapes and range
 */
export function feedOf(model: tf.LayersModel, samples: Samples, { judged = false }: FeedOptions = {}): Feed {
  const arrays = arraysOf(samples);
  const { count } = arrays;
  checkInteger(`the number of ${isSplit(samples) ? "images" : "samples"}`, count, 1);
  if (!Array.isArray(arrays.inputs))
    throw new RangeError(
      `samples must be a split of images or { inputs, targets, count }, got ${shown(samples)}`,
    );
  const shapes = inputShapes(model, samples);
  const outputs = outputsFor(graphOf(model), outputShapes(model, shapes), arrays.targets, count);
  if (judged) checkTargets(model.name, outputs, arrays.targets);
  const types = model.inputs.map(({ dtype }) => (dtype === "int32" ? "int32" : "float32"));
  const feed = (arrays: Arrays): Feed => ({
    count: arrays.count,
    outputs,
    arrays,
    like: (others) => feed(arraysOf(others)),
    batch(from, to, indices) {
      const chosen = indices ? Array.prototype.slice.call(indices, from, to) : undefined;
      const part = chosen ? arrays : viewOf(arrays, from, to);
      const x = part.inputs.map((field, i) =>
        tf.tensor(floatsOf(field, part.count, chosen), [to - from, ...shapes[i]], types[i]),
      );
      const targets = outputs.map((_, o) => targetsOf(part, o, chosen));
      const labels =
        outputs[0].task === "classes" && targets[0] ? Int32Array.from(targets[0]) : new Int32Array();
      return { x: x.length === 1 ? x[0] : x, targets, labels };
    },
  });
  return feed(arrays);
}

function targetsOf({ targets, count }: Arrays, o: number, chosen?: number[]): TargetValues | undefined {
  const values = targets?.[o]?.values;
  return values && chosen ? pick(values, values.length / count, chosen) : values;
}

/** The shapes in which a model takes samples; sizes that it leaves open are the samples' own. */
function inputShapes(model: tf.LayersModel, samples: Samples): number[][] {
  const { inputs, count, targets } = arraysOf(samples);
  const names = inputNames(model);
  if (inputs.length !== model.inputs.length)
    throw new RangeError(
      `${model.name} has ${model.inputs.length} inputs (${names.join(", ")}), got ` +
        `${isSplit(samples) ? "a split of images" : `arrays for ${inputs.length}`}: give samples as { inputs, targets, count }`,
    );
  return inputs.map((field, i) => {
    const wanted = model.inputs[i].shape.slice(1);
    const size = elements(field.shape);
    const open = wanted.includes(null);
    const fits = open
      ? wanted.length === field.shape.length && wanted.every((d, k) => d === null || d === field.shape[k])
      : elements(wanted as number[]) === size;
    if (!fits)
      throw new RangeError(
        isSplit(samples)
          ? `${model.name} takes images of ${wanted.join(" x ")}, got ${field.shape.join(" x ")}`
          : `${model.name} takes ${names[i]} of ${wanted.map((d) => d ?? "any").join(" x ")}, got ${field.shape.join(" x ")}`,
      );
    if (isSplit(samples)) {
      const labels = targets![0].values!;
      if (field.values.length !== count * size || labels.length !== count)
        throw new RangeError(
          `a split of ${count} images of ${size} pixels must hold ${count * size} pixels and ` +
            `${count} labels, got ${field.values.length} and ${labels.length}`,
        );
    } else checkLength(`values of input ${names[i]}`, field.values, count * size);
    checkNumbers(model, names[i], i, field);
    return open ? [...field.shape] : (wanted as number[]);
  });
}

/** A model's graph, kept: walking it takes longer than a small network does. */
const graphOf = keptFor((model): Graph => networkOf(model).graph);

/** The names of a model's input layers: those of their tensors TensorFlow.js makes unique in the process. */
export function inputNames(model: tf.LayersModel): string[] {
  const graph = graphOf(model);
  const producers = producersOf(graph);
  return graph.inputs.map((tensor) => producers.get(tensor)!.name);
}

/** Throws for numbers that are none, and for tokens that an embedding does not know: TensorFlow.js would read something else. */
function checkNumbers(model: tf.LayersModel, name: string, input: number, { values }: Field): void {
  if (values instanceof Float32Array) checkFinite(`values of input ${name}`, values);
  const graph = graphOf(model);
  const tensor = graph.inputs[input];
  const lookups = graph.nodes.filter(({ kind, inputs }) => kind === "embedding" && inputs[0] === tensor);
  if (lookups.length === 0) return;
  if (values instanceof Uint8Array)
    throw new RangeError(
      `tokens of ${name} must be whole numbers in an Int32Array or Uint16Array, got bytes, which stand for numbers from 0 to 1`,
    );
  const limit = Math.min(...lookups.map(({ attributes }) => Number(attributes.inputDim)));
  const wrong = (values as Int32Array).findIndex(
    (token) => !Number.isInteger(token) || token < 0 || token >= limit,
  );
  if (wrong >= 0)
    throw new RangeError(
      `tokens of ${name} must be whole numbers from 0 to ${limit - 1}, got ${values[wrong]} at index ${wrong}`,
    );
}

/** The shapes of what a model gives for one sample. */
function outputShapes(model: tf.LayersModel, inputs: readonly number[][]): number[][] {
  const known = model.outputs.map(({ shape }) => shape.slice(1));
  if (!known.some((shape) => shape.includes(null))) return known as number[][];
  return tf.tidy(() => {
    const zeros = inputs.map((shape) => tf.zeros([1, ...shape]));
    const found = model.apply(zeros.length === 1 ? zeros[0] : zeros) as tf.Tensor | tf.Tensor[];
    return [found].flat().map(({ shape }) => shape.slice(1));
  });
}

/** The shape of one input of a model with one input, without the batch dimension. */
export function inputShape(model: tf.LayersModel): number[] {
  if (model.inputs.length !== 1)
    throw new RangeError(`${model.name} must have one input, got ${model.inputs.length}`);
  return model.inputs[0].shape.slice(1).map((size) => {
    if (size === null) throw new RangeError(`${model.name} must have inputs of a fixed shape`);
    return size;
  });
}

// A batch's activations all stay until it is through, and the WASM backend's memory never shrinks.
const bytesAtOnce = 256 * 2 ** 20;

/** The bytes of all layers' outputs for one sample. */
const outputBytes = keptFor((model): number => {
  const { nodes, tensors } = graphOf(model);
  return nodes.reduce(
    (sum, { outputs }) =>
      sum + outputs.reduce((n, tensor) => n + 4 * elements(tensors[tensor].shape.map((d) => d ?? 1)), 0),
    0,
  );
});

/**
 * How many images to take at a time: `given`, or as many as keep the outputs of all layers within 256 MiB, at most `most`.
 *
 * @param copies how many times those outputs are held: twice where gradients flow back
 */
export function batchSizeFor(
  model: tf.LayersModel,
  given: number | undefined,
  most: number,
  copies = 1,
): number {
  if (given !== undefined) return checkInteger("batchSize", given, 1);
  return Math.max(1, Math.min(most, Math.floor(bytesAtOnce / (outputBytes(model) * copies))));
}

/** Runs `run`; where the backend's memory ends, the error says what to do. */
export function withAdvice<T>(model: tf.LayersModel, batchSize: number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof WebAssembly.RuntimeError) || !/memory access out of bounds/.test(error.message))
      throw error;
    throw new Error(
      `the WASM backend's memory has no room for ${batchSize} images of ${model.name} at a time: give a smaller batchSize`,
      { cause: error },
    );
  }
}

/** The first `count` samples, as views of them. */
export function firstOf<S extends Samples>(samples: S, count: number): S {
  return viewOf(samples, 0, checkInteger("count", count, 1, samples.count));
}

/**
 * Samples as images.
 *
 * @throws RangeError for arrays: what moves pixels must know where they lie
 */
export function imagesOf(samples: Samples, what: string): Split {
  if (!isSplit(samples)) throw new RangeError(`${what} needs images with labels, got arrays`);
  return samples;
}

/**
 * The images at `indices`, each moved by up to `by` pixels down or up and right or left; what comes in is 0.
 *
 * @param shifts filled in, where given: how far each was moved down and to the right
 */
export function shiftImages(
  split: Split,
  indices: ArrayLike<number>,
  by: number,
  random: Random,
  shifts?: Int8Array,
): Split {
  return movedImages(split, indices, (i) => {
    const moved = [by, by].map((most) => Math.floor(random() * (2 * most + 1)) - most);
    shifts?.set(moved, 2 * i);
    return moved;
  });
}

/** The images at `indices`, each moved down and to the right by so many pixels; what comes in is 0. */
export function movedImages(
  split: Split,
  indices: ArrayLike<number>,
  moveOf: (i: number) => readonly number[],
): Split {
  const { height, width, channels } = split;
  const pixels = height * width * channels;
  const images = like(split.images, indices.length * pixels);
  const labels = like(split.labels, indices.length);
  for (let i = 0; i < indices.length; i++) {
    const [down, right] = moveOf(i);
    const source = indices[i] * pixels;
    const from = Math.max(0, -right) * channels;
    const to = Math.min(width, width - right) * channels;
    for (let y = Math.max(0, -down); y < Math.min(height, height - down); y++) {
      const row = split.images.subarray(source + y * width * channels, source + (y + 1) * width * channels);
      images.set(row.subarray(from, to), i * pixels + ((y + down) * width + Math.max(0, right)) * channels);
    }
    labels[i] = split.labels[indices[i]];
  }
  return { ...split, images, labels, count: indices.length };
}
