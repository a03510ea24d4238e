// From packed images to the tensors a model takes.

import { labelsLike, type Pixels, type Split, toFloat, viewOf } from "../datasets/index.ts";
import { pixelsLike } from "../datasets/split.ts";
import { checkInteger } from "../util/check.ts";
import type { Random } from "../util/random.ts";
import { elements } from "../util/shape.ts";
import { networkOf } from "./graph.ts";
import { tf } from "./tf.ts";

/** A part of a data set in the shape its first layer wants: pixels in [0, 1], labels as they are. */
export interface Batch {
  x: tf.Tensor;
  labels: Int32Array;
}

/** Throws unless `split` fits `model`: the pixels of an image, and at least one image. */
export function checkSplit(model: tf.LayersModel, split: Split): void {
  const shape = inputShape(model);
  const pixels = split.height * split.width * split.channels;
  const wanted = elements(shape);
  if (pixels !== wanted) {
    throw new RangeError(
      `${model.name} takes images of ${shape.join(" x ")}, got ${split.height} x ${split.width} x ${split.channels}`,
    );
  }
  if (split.images.length !== split.count * pixels || split.labels.length !== split.count) {
    throw new RangeError(
      `a split of ${split.count} images of ${pixels} pixels must hold ${split.count * pixels} pixels and ` +
        `${split.count} labels, got ${split.images.length} and ${split.labels.length}`,
    );
  }
  checkInteger("the number of images", split.count, 1);
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

/** The number of classes: the size of a model's one output. */
export function classCount(model: tf.LayersModel): number {
  const shape = model.outputs.length === 1 ? model.outputs[0].shape : [];
  if (shape.length !== 2 || shape[1] === null)
    throw new RangeError(`${model.name} must have one output, a row of class scores per image`);
  return shape[1];
}

/** Throws unless every label is one of the model's classes. */
export function checkLabels(model: tf.LayersModel, split: Split): void {
  const classes = classCount(model);
  const wrong = split.labels.findIndex((label) => label >= classes);
  if (wrong >= 0)
    throw new RangeError(
      `${model.name} has ${classes} classes, got label ${split.labels[wrong]} at image ${wrong}`,
    );
}

// A batch's activations all stay until it is through, and the WASM backend's memory never shrinks.
const bytesAtOnce = 256 * 2 ** 20;
const sizes = new WeakMap<tf.LayersModel, { layers: number; bytes: number }>();

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
  let size = sizes.get(model);
  if (size?.layers !== model.layers.length) {
    const { nodes, tensors } = networkOf(model).graph;
    const floats = nodes.reduce(
      (sum, { outputs }) =>
        sum + outputs.reduce((n, tensor) => n + elements(tensors[tensor].shape.map((d) => d ?? 1)), 0),
      0,
    );
    size = { layers: model.layers.length, bytes: 4 * floats };
    sizes.set(model, size);
  }
  return Math.max(1, Math.min(most, Math.floor(bytesAtOnce / (size.bytes * copies))));
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

/** Gathers the images `indices[from..to)` of a split (all of them in order without `indices`). */
export function batchOf(
  split: Split,
  shape: number[],
  from: number,
  to: number,
  indices?: ArrayLike<number>,
): Batch {
  const chosen = indices ? Array.prototype.slice.call(indices, from, to) : undefined;
  const part = chosen ? split : viewOf(split, from, to);
  const labels = Int32Array.from(chosen ?? part.labels, chosen && ((index) => split.labels[index]));
  return { x: tf.tensor(toFloat(part, chosen), [to - from, ...shape]), labels };
}

/** The first `count` images of a split, as views of it. */
export function firstOf<Images extends Pixels>(split: Split<Images>, count: number): Split<Images> {
  return viewOf(split, 0, checkInteger("count", count, 1, split.count));
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
  const images = pixelsLike(split.images, indices.length * pixels);
  const labels = labelsLike(split.labels, indices.length);
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
