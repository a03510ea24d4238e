// How long models take, side by side.

import { type Latency, type MeasureOptions, measureLatencies } from "../analysis/index.ts";
import type { Samples } from "../datasets/index.ts";
import { checkOneOf } from "../util/check.ts";
import { ensureBackend } from "./backend.ts";
import { type Batch, type Feed, feedOf } from "./batches.ts";
import { outputsOf } from "./logits.ts";
import { lossOf, type TargetValues } from "./tasks.ts";
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
 * Times models on one batch, all `samples` at once, in turns. Nothing is trained.
 *
 * @param models by name
 * @throws RangeError if an image does not fit a model, or runs is not a whole number from 1
 * @see §3.1.2, §3.1.3
 */
export async function latencyOf(
  models: Record<string, tf.LayersModel>,
  samples: Samples,
  { pass = "forward", ...options }: LatencyOptions = {},
): Promise<Record<string, Latency>> {
  checkOneOf("pass", pass, passes);
  const feeds = Object.entries(models).map(
    ([name, model]) => [name, model, feedOf(model, samples, { judged: pass === "backward" })] as const,
  );
  await ensureBackend();
  const batches = feeds.map(([name, model, feed]) => ({
    name,
    model,
    feed,
    batch: feed.batch(0, feed.count),
  }));
  try {
    const works = batches.map(({ name, model, feed, batch }) => [
      name,
      () => (pass === "forward" ? forward(model, batch) : backward(model, feed, batch)),
    ]);
    return await measureLatencies(Object.fromEntries(works), options);
  } finally {
    for (const { batch } of batches) tf.dispose(batch.x);
  }
}

function forward(model: tf.LayersModel, { x }: Batch): void {
  // Reading the result waits for it. A tidy that returned it would search it for tensors, number by number.
  tf.tidy(() => {
    for (const tensor of [model.apply(x) as tf.Tensor | tf.Tensor[]].flat()) tensor.dataSync();
  });
}

function backward(model: tf.LayersModel, { outputs }: Feed, { x, targets }: Batch): void {
  const variables = model.trainableWeights.map((weight) => weight.read() as tf.Variable);
  tf.tidy(() => {
    const loss = () => lossOf(outputs, outputsOf(model, x), targets as TargetValues[]);
    for (const gradient of Object.values(tf.variableGrads(loss, variables).grads)) gradient.dataSync();
  });
}
