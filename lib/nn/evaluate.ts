// How good a model is, and what it says of each image.

import type { Split } from "../datasets/index.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import {
  batchOf,
  batchSizeFor,
  checkLabels,
  checkSplit,
  classCount,
  inputShape,
  withAdvice,
} from "./batches.ts";
import { logitsOf } from "./logits.ts";
import { tf } from "./tf.ts";
import { checkWeightsFinite } from "./weights.ts";

/** What {@link evaluate} found. */
export interface Evaluation {
  /** Mean cross-entropy, in nats. */
  loss: number;
  /** Share of images whose largest class score is the label's, 0 to 1. */
  accuracy: number;
  /** Images classified right, of `count`. */
  correct: number;
  count: number;
}

export interface EvaluateOptions {
  /** Images at a time: only memory and speed depend on it. By default what the model's activations leave room for, up to 250. */
  batchSize?: number;
  /** Replaces the model's own way from images [batch, ...] to logits [batch, classes], for a simulated deployment. */
  forward?: (x: tf.Tensor) => tf.Tensor2D;
  signal?: AbortSignal;
}

/**
 * Loss and accuracy of a model on a split.
 *
 * @throws RangeError when a weight is NaN or infinite, or a label is no class of the model's, Error when an output is: accuracy would then say nothing
 */
export async function evaluate(
  model: tf.LayersModel,
  split: Split,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  let loss = 0;
  let correct = 0;
  checkSplit(model, split);
  checkLabels(model, split);
  for await (const { from, logits, classes } of logitBatches(model, split, options)) {
    for (let i = 0; i * classes < logits.length; i++) {
      const row = logits.subarray(i * classes, (i + 1) * classes);
      const label = split.labels[from + i];
      const best = argMax(row);
      if (best === label) correct++;
      let sum = 0;
      for (const z of row) sum += Math.exp(z - row[best]);
      loss += Math.log(sum) + row[best] - row[label];
    }
  }
  return { loss: loss / split.count, accuracy: correct / split.count, correct, count: split.count };
}

/** What {@link predict} says, image by image. */
export interface Prediction {
  /** The class with the largest score; bytes, as labels are, up to 256 classes. */
  classes: Uint8Array | Int32Array;
  /** count x classes, row-major: probabilities, each row adds up to 1. */
  probabilities: Float32Array;
  /** count x classes, row-major: the scores before softmax. */
  logits: Float32Array;
}

/** Classifies the images of a split; throws as {@link evaluate} does. */
export async function predict(
  model: tf.LayersModel,
  split: Split,
  options: EvaluateOptions = {},
): Promise<Prediction> {
  const width = classCount(model);
  const result: Prediction = {
    classes: width > 256 ? new Int32Array(split.count) : new Uint8Array(split.count),
    probabilities: new Float32Array(0),
    logits: new Float32Array(split.count * width),
  };
  for await (const { from, logits, classes } of logitBatches(model, split, options)) {
    result.logits.set(logits, from * classes);
    for (let i = 0; i * classes < logits.length; i++) {
      const row = logits.subarray(i * classes, (i + 1) * classes);
      result.classes[from + i] = argMax(row);
    }
  }
  result.probabilities = softmaxRows(result.logits, split.count);
  return result;
}

/** The softmax of each of `count` rows. */
export function softmaxRows(logits: Float32Array, count: number): Float32Array {
  const classes = logits.length / count;
  const probabilities = new Float32Array(logits.length);
  for (let i = 0; i < logits.length; i += classes) {
    const row = logits.subarray(i, i + classes);
    const most = row[argMax(row)];
    let sum = 0;
    for (const z of row) sum += Math.exp(z - most);
    for (let c = 0; c < classes; c++) probabilities[i + c] = Math.exp(row[c] - most) / sum;
  }
  return probabilities;
}

async function* logitBatches(
  model: tf.LayersModel,
  split: Split,
  { forward, signal, ...options }: EvaluateOptions,
): AsyncGenerator<{ from: number; logits: Float32Array; classes: number }> {
  const batchSize = batchSizeFor(model, options.batchSize, 250);
  checkSplit(model, split);
  await ensureBackend();
  checkWeightsFinite(model);
  const shape = inputShape(model);
  for (let from = 0; from < split.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(split.count, from + batchSize);
    const output = withAdvice(model, batchSize, () =>
      tf.tidy(() => {
        const { x } = batchOf(split, shape, from, to);
        return forward ? forward(x) : logitsOf(model, x);
      }),
    );
    const logits = (await output.data()) as Float32Array;
    const classes = output.shape[1];
    output.dispose();
    checkOutputs(model, logits);
    yield { from, logits, classes };
    // Let interrupts and other timers have their turn.
    await nextTurn();
  }
}

function checkOutputs(model: tf.LayersModel, logits: Float32Array): void {
  for (const value of logits) {
    if (!Number.isFinite(value))
      throw new Error(`${model.name} gives ${value} for a class score: its weights are far too large`);
  }
}

/** The index of the largest number, the first one of equals. */
export function argMax(row: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return best;
}
