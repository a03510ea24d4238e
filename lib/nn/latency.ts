// How long models take, side by side.

import { type Latency, type MeasureOptions, measureLatencies } from "../analysis/index.ts";
import type { Split } from "../datasets/index.ts";
import { checkOneOf } from "../util/check.ts";
import { ensureBackend } from "./backend.ts";
import { batchOf, checkSplit, inputShape } from "./batches.ts";
import { crossEntropy, logitsOf } from "./logits.ts";
import { tf } from "./tf.ts";

/** What is timed. */
export const passes = ["forward", "backward"] as const;
export type Pass = (typeof passes)[number];

/** Options of {@link latencyOf}: those of `measureLatencies` of slimlab/analysis, and what to time. */
export interface LatencyOptions extends Pick<MeasureOptions, "runs" | "signal"> {
  /** What is timed: `forward` (default), or `backward`, which is a forward pass and all weights' gradients. */
  pass?: Pass;
}

/**
 * Times models on one batch, all images of `split` at once, in turns. Nothing is trained.
 *
 * @param models by name
 * @throws RangeError if an image does not fit a model, or runs is not a whole number from 1
 * @see §3.1.2, §3.1.3
 */
export async function latencyOf(
  models: Record<string, tf.LayersModel>,
  split: Split,
  { pass = "forward", ...options }: LatencyOptions = {},
): Promise<Record<string, Latency>> {
  checkOneOf("pass", pass, passes);
  for (const model of Object.values(models)) checkSplit(model, split);
  await ensureBackend();
  const batches = Object.entries(models).map(
    ([name, model]) => [name, model, batchOf(split, inputShape(model), 0, split.count)] as const,
  );
  try {
    const works = batches.map(([name, model, { x, labels }]) => [
      name,
      () => (pass === "forward" ? forward(model, x) : backward(model, x, labels)),
    ]);
    return await measureLatencies(Object.fromEntries(works), options);
  } finally {
    for (const [, , { x }] of batches) x.dispose();
  }
}

function forward(model: tf.LayersModel, x: tf.Tensor): void {
  // Reading the result waits for it. A tidy that returned it would search it for tensors, number by number.
  tf.tidy(() => {
    (model.apply(x) as tf.Tensor).dataSync();
  });
}

function backward(model: tf.LayersModel, x: tf.Tensor, labels: Int32Array): void {
  const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  tf.tidy(() => {
    const loss = () => crossEntropy(logitsOf(model, x), tf.tensor1d(labels, "int32"));
    for (const gradient of Object.values(tf.variableGrads(loss, variables).grads)) gradient.dataSync();
  });
}
