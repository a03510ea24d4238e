// How long models take, side by side: what the counts of lib/analysis promise, a clock has to confirm.

import type { Split } from "../datasets/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchOf, checkSplit, inputShape } from "./batches.ts";
import { crossEntropy, logitsOf } from "./logits.ts";
import { tf } from "./tf.ts";

/** Milliseconds for one batch. */
export interface Latency {
  /** The quickest run. Whatever else the machine does can only slow a run down, so this is the model's own time. */
  fastest: number;
  median: number;
}

export interface LatencyOptions {
  /** How often each model runs (default 20). */
  runs?: number;
  /** What is timed: `forward` (default), or `backward`, which is a forward pass and all weights' gradients. */
  pass?: "forward" | "backward";
  signal?: AbortSignal;
}

/**
 * Times models on one batch, all images of `split` at once. They take turns, so that a machine that gets slower for
 * a while gets slower for all of them. Nothing is trained.
 *
 * @param models by name
 * @throws RangeError if an image does not fit a model, or runs is not a whole number from 1
 * @see §3.1.2, §3.1.3
 */
export async function latencyOf(
  models: Record<string, tf.LayersModel>,
  split: Split,
  { runs = 20, pass = "forward", signal }: LatencyOptions = {},
): Promise<Record<string, Latency>> {
  checkInteger("runs", runs, 1);
  checkOneOf("pass", pass, ["forward", "backward"]);
  for (const model of Object.values(models)) checkSplit(model, split);
  await ensureBackend();
  const timed = Object.entries(models).map(([name, model]) => ({
    name,
    model,
    batch: batchOf(split, inputShape(model), 0, split.count),
    times: [] as number[],
  }));
  try {
    // The first two turns do not count: they compile kernels and fill caches.
    for (let run = -2; run < runs; run++) {
      for (const { model, batch, times } of timed) {
        signal?.throwIfAborted();
        const start = performance.now();
        if (pass === "forward") forward(model, batch.x);
        else backward(model, batch.x, batch.labels);
        if (run >= 0) times.push(performance.now() - start);
      }
      await nextTurn();
    }
  } finally {
    for (const { batch } of timed) batch.x.dispose();
  }
  return Object.fromEntries(
    timed.map(({ name, times }) => {
      times.sort((a, b) => a - b);
      return [name, { fastest: times[0], median: times[Math.floor(times.length / 2)] }];
    }),
  );
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
