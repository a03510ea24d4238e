// How good a model is, and what it says of each sample.

import type { Samples, Task } from "../datasets/index.ts";
import { elements } from "../util/shape.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, type Feed, feedOf, withAdvice } from "./batches.ts";
import { type Forward, outputsOf } from "./logits.ts";
import {
  decidedBy,
  type Evaluation,
  measured,
  type Output,
  shownBy,
  Tally,
  type TargetValues,
} from "./tasks.ts";
import { tf } from "./tf.ts";
import { checkWeightsFinite } from "./weights.ts";

export interface EvaluateOptions {
  /** Samples at a time: only memory and speed depend on it. By default what the model's activations leave room for, up to 250. */
  batchSize?: number;
  /** Replaces the model's own way from images [batch, ...] to logits [batch, classes], for a simulated deployment. */
  forward?: Forward;
  signal?: AbortSignal;
}

/**
 * Loss and accuracy of a model on samples: images with labels, or arrays for any inputs and outputs.
 *
 * @throws RangeError when a weight is NaN or infinite, or a label is no class of the model's, Error when an output is: accuracy would then say nothing
 */
export async function evaluate(
  model: tf.LayersModel,
  samples: Samples,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const feed = feedOf(model, samples, { judged: true });
  const tally = new Tally(feed.outputs);
  const { measure } = feed.arrays;
  const all = measure && wholeOf(feed);
  for await (const { from, found, targets } of outputBatches(model, feed, options)) {
    tally.add(found, targets as TargetValues[]);
    if (all) put(all, found, feed.outputs, from);
  }
  const result = tally.result(feed.count);
  if (!all) return result;
  return { ...result, accuracy: measured(measure, feed.outputs, all, feed.arrays), measure: measure.name };
}

/** What a model says in one of its outputs, sample by sample. */
export interface PredictedOutput {
  name: string;
  task: Task;
  /** Of what it gives for one sample. */
  shape: readonly number[];
  /** count x shape: probabilities where these are classes or labels, else the values. */
  values: Float32Array;
  /** `classes`: one a row of scores. `labels`: 0 or 1 for each number. Empty where outputs are values. */
  classes: Uint8Array | Int32Array;
}

/** What {@link predict} says, sample by sample; of a model with several outputs, of the first, and of all in `outputs`. */
export interface Prediction {
  /** The class with the largest score; bytes, as labels are, up to 256 classes. Empty where outputs are values. */
  classes: Uint8Array | Int32Array;
  /** count x classes, row-major: probabilities, each row adds up to 1. What the output gives where it is no row of class scores. */
  probabilities: Float32Array;
  /** count x classes, row-major: the scores before softmax. */
  logits: Float32Array;
  outputs: PredictedOutput[];
}

/** What a model says of samples; throws as {@link evaluate} does. */
export async function predict(
  model: tf.LayersModel,
  samples: Samples,
  options: EvaluateOptions = {},
): Promise<Prediction> {
  const feed = feedOf(model, samples);
  const all = await rawOutputs(model, feed, options);
  const outputs = feed.outputs.map((output, o) => predicted(output, all[o]));
  const [{ classes, values }] = outputs;
  return { classes, probabilities: values, logits: all[0], outputs };
}

function predicted(output: Output, found: Float32Array): PredictedOutput {
  const { name, task, shape, width } = output;
  const bytes = task === "labels" || width <= 256;
  const decided = task === "values" ? [] : decidedBy(output, found);
  const classes = bytes ? Uint8Array.from(decided) : Int32Array.from(decided);
  return { name, task, shape, values: shownBy(output, found), classes };
}

/** All that a model gives, one array an output, class scores before softmax. */
export async function rawOutputs(
  model: tf.LayersModel,
  feed: Feed,
  options: EvaluateOptions = {},
): Promise<Float32Array[]> {
  const all = wholeOf(feed);
  for await (const { from, found } of outputBatches(model, feed, options))
    put(all, found, feed.outputs, from);
  return all;
}

/** Room for all that a model gives, one array an output. */
export const wholeOf = ({ outputs, count }: Feed): Float32Array[] =>
  outputs.map(({ shape }) => new Float32Array(elements(shape) * count));

function put(
  all: readonly Float32Array[],
  found: readonly Float32Array[],
  outputs: readonly Output[],
  from: number,
): void {
  for (const [o, output] of outputs.entries()) all[o].set(found[o], from * elements(output.shape));
}

async function* outputBatches(
  model: tf.LayersModel,
  feed: Feed,
  { forward, signal, ...options }: EvaluateOptions,
): AsyncGenerator<{ from: number; found: Float32Array[]; targets: (TargetValues | undefined)[] }> {
  const batchSize = batchSizeFor(model, options.batchSize, 250);
  await ensureBackend();
  checkWeightsFinite(model);
  for (let from = 0; from < feed.count; from += batchSize) {
    signal?.throwIfAborted();
    const { tensors, targets } = withAdvice(model, batchSize, () => {
      let targets: (TargetValues | undefined)[] = [];
      const tensors = tf.tidy(() => {
        const batch = feed.batch(from, Math.min(feed.count, from + batchSize));
        ({ targets } = batch);
        return forward ? [forward(batch.x)].flat() : outputsOf(model, batch.x);
      });
      return { tensors, targets };
    });
    const found = (await Promise.all(tensors.map((tensor) => tensor.data()))) as Float32Array[];
    tf.dispose(tensors);
    for (const values of found) checkOutputs(model, values);
    yield { from, found, targets };
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
