// First derivatives of the loss, by weight and by activation, for the scores of sections 3.1.1 to 3.1.3.

import type { Samples } from "../datasets/index.ts";
import { elements } from "../util/shape.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, feedOf } from "./batches.ts";
import { asScores, outputsOf, withoutSoftmax } from "./logits.ts";
import { type Watch, withProbes } from "./probe.ts";
import { lossOf, type TargetValues } from "./tasks.ts";
import { tf } from "./tf.ts";
import { kernelLayers, kernelsOf, probedLayers } from "./weights.ts";

export interface GradientOptions {
  /** Images at a time: only memory and speed depend on it. By default what the model's activations leave room for. */
  batchSize?: number;
  signal?: AbortSignal;
}

/**
 * The gradient of the mean loss over samples, by kernel: layer name to one number per weight.
 * Layers such as dropout and batch normalisation behave as in inference.
 */
export async function gradientsOf(
  model: tf.LayersModel,
  samples: Samples,
  { signal, ...options }: GradientOptions = {},
): Promise<Record<string, Float32Array>> {
  const batchSize = batchSizeFor(model, options.batchSize, 128, 2);
  const feed = feedOf(model, samples, { judged: true });
  await ensureBackend();
  const kernels = kernelsOf(model);
  if (kernels.length === 0) return {};
  const variables = kernels.map(({ variable }) => variable.read() as tf.Variable);
  const sums = variables.map((variable) => new Float64Array(variable.size));
  for (let from = 0; from < feed.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(feed.count, from + batchSize);
    tf.tidy(() => {
      const { x, targets } = feed.batch(from, to);
      const { grads } = tf.variableGrads(
        () => lossOf(feed.outputs, outputsOf(model, x), targets as TargetValues[]),
        variables,
      );
      variables.forEach((variable, i) => {
        addTo(sums[i], grads[variable.name].dataSync(), (to - from) / feed.count);
      });
    });
    await nextTurn();
  }
  return Object.fromEntries(kernels.map(({ name }, i) => [name, Float32Array.from(sums[i])]));
}

function addTo(sum: Float64Array, values: ArrayLike<number>, factor: number): void {
  for (let i = 0; i < sum.length; i++) sum[i] += factor * values[i];
}

/** The outputs of one layer for every image of a split. */
export interface Activations {
  /** count x the layer's output shape, row-major. */
  values: Float32Array;
  /** [count, ...output shape]. */
  shape: number[];
  /** When asked for: the gradient of each sample's own loss with regard to `values`. */
  gradients?: Float32Array;
}

/**
 * What layers put out, image by image, after their activation.
 *
 * @param names of layers, "base/conv1" inside a nested model; those with a kernel without it
 * @throws RangeError for a layer that is used more than once: it has no one output
 * @param options `gradients: true` adds the gradients of each sample's loss with regard to the outputs
 */
export async function activationsOf(
  model: tf.LayersModel,
  samples: Samples,
  names: string[] = [...kernelLayers(model).keys()],
  { gradients = false, signal, ...options }: GradientOptions & { gradients?: boolean } = {},
): Promise<Record<string, Activations>> {
  const batchSize = batchSizeFor(model, options.batchSize, 128, gradients ? 2 : 1);
  const feed = feedOf(model, samples, { judged: gradients });
  const layers = probedLayers(model, names);
  await ensureBackend();
  const result: Record<string, Activations> = {};
  for (const [name, layer] of layers) {
    const output = (layer.outputShape as (number | null)[]).slice(1).map((size) => size ?? 1);
    const size = feed.count * elements(output);
    result[name] = { values: new Float32Array(size), shape: [feed.count, ...output] };
    if (gradients) result[name].gradients = new Float32Array(size);
  }
  for (let from = 0; from < feed.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(feed.count, from + batchSize);
    tf.tidy(() => {
      const { x, targets } = feed.batch(from, to);
      const put = (name: string, part: "values" | "gradients", tensor: tf.Tensor) => {
        result[name][part]!.set(tensor.dataSync() as Float32Array, (tensor.size / (to - from)) * from);
      };
      const watch: Watch = (name, _input, output) => put(name, "values", output);
      if (!gradients) {
        // With its softmax: the outputs are what the model shows the world.
        withProbes(layers, "output", {}, watch, () => model.apply(x));
        return;
      }
      // Without softmax the last layer's outputs are the logits: that is where its gradient is well conditioned.
      const loss = (...probes: tf.Tensor[]) =>
        withoutSoftmax(model, () =>
          withProbes(layers, "output", byName(names, probes), watch, () => {
            const found = asScores(model, [model.apply(x) as tf.Tensor | tf.Tensor[]].flat());
            // The sum, not the mean: each sample's gradient is then that of its own loss.
            return tf.mul(lossOf(feed.outputs, found, targets as TargetValues[]), to - from) as tf.Scalar;
          }),
        );
      const zeros = names.map((name) => tf.zeros([to - from, ...result[name].shape.slice(1)]));
      const grads = tf.grads(loss)(zeros);
      names.forEach((name, i) => {
        put(name, "gradients", grads[i]);
      });
    });
    await nextTurn();
  }
  return result;
}

function byName(names: string[], tensors: tf.Tensor[]): Record<string, tf.Tensor> {
  return Object.fromEntries(names.map((name, i) => [name, tensors[i]]));
}
