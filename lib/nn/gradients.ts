// First derivatives of the loss, by weight and by activation, for the scores of sections 3.1.1 to 3.1.3.

import type { Split } from "../datasets/index.ts";
import { elements } from "../util/shape.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchOf, batchSizeFor, checkLabels, checkSplit, inputShape } from "./batches.ts";
import { crossEntropy, logitsOf, withoutSoftmax } from "./logits.ts";
import { type Watch, withProbes } from "./probe.ts";
import { tf } from "./tf.ts";
import { kernelLayers, kernelsOf, probedLayers } from "./weights.ts";

export interface GradientOptions {
  /** Images at a time: only memory and speed depend on it. By default what the model's activations leave room for. */
  batchSize?: number;
  signal?: AbortSignal;
}

/**
 * The gradient of the mean cross-entropy over a split, by kernel: layer name to one number per weight.
 * Layers such as dropout and batch normalisation behave as in inference.
 */
export async function gradientsOf(
  model: tf.LayersModel,
  split: Split,
  { signal, ...options }: GradientOptions = {},
): Promise<Record<string, Float32Array>> {
  const batchSize = batchSizeFor(model, options.batchSize, 128, 2);
  checkSplit(model, split);
  checkLabels(model, split);
  await ensureBackend();
  const shape = inputShape(model);
  const kernels = kernelsOf(model);
  const variables = kernels.map(({ variable }) => variable.read() as tf.Variable);
  const sums = variables.map((variable) => new Float64Array(variable.size));
  for (let from = 0; from < split.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(split.count, from + batchSize);
    tf.tidy(() => {
      const { x, labels } = batchOf(split, shape, from, to);
      const { grads } = tf.variableGrads(
        () => crossEntropy(logitsOf(model, x), tf.tensor1d(labels, "int32")),
        variables,
      );
      variables.forEach((variable, i) => {
        addTo(sums[i], grads[variable.name].dataSync(), (to - from) / split.count);
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
  /** When asked for: the gradient of each image's own cross-entropy with regard to `values`. */
  gradients?: Float32Array;
}

/**
 * What layers put out, image by image, after their activation.
 *
 * @param names of layers, "base/conv1" inside a nested model; those with a kernel without it
 * @throws RangeError for a layer that is used more than once: it has no one output
 * @param options `gradients: true` adds the gradients of each image's cross-entropy with regard to the outputs
 */
export async function activationsOf(
  model: tf.LayersModel,
  split: Split,
  names: string[] = [...kernelLayers(model).keys()],
  { gradients = false, signal, ...options }: GradientOptions & { gradients?: boolean } = {},
): Promise<Record<string, Activations>> {
  const batchSize = batchSizeFor(model, options.batchSize, 128, gradients ? 2 : 1);
  checkSplit(model, split);
  if (gradients) checkLabels(model, split);
  const layers = probedLayers(model, names);
  await ensureBackend();
  const shape = inputShape(model);
  const result: Record<string, Activations> = {};
  for (const [name, layer] of layers) {
    const output = (layer.outputShape as (number | null)[]).slice(1).map((size) => size ?? 1);
    const size = split.count * elements(output);
    result[name] = { values: new Float32Array(size), shape: [split.count, ...output] };
    if (gradients) result[name].gradients = new Float32Array(size);
  }
  for (let from = 0; from < split.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(split.count, from + batchSize);
    tf.tidy(() => {
      const { x, labels } = batchOf(split, shape, from, to);
      const put = (name: string, part: "values" | "gradients", tensor: tf.Tensor) => {
        result[name][part]!.set(tensor.dataSync() as Float32Array, (tensor.size / (to - from)) * from);
      };
      const watch: Watch = (name, _input, output) => put(name, "values", output);
      if (!gradients) {
        // With its softmax: the outputs are what the model shows the world.
        withProbes(layers, "output", {}, watch, () => model.apply(x));
        return;
      }
      const oneHot = tf.oneHot(tf.tensor1d(labels, "int32"), model.outputs[0].shape[1]!);
      // Without softmax the last layer's outputs are the logits: that is where its gradient is well conditioned.
      const loss = (...probes: tf.Tensor[]) =>
        withoutSoftmax(model, () =>
          withProbes(layers, "output", byName(names, probes), watch, () => {
            const logits = model.apply(x) as tf.Tensor2D;
            // The sum, not the mean: each image's gradient is then that of its own loss.
            return tf.sum(
              tf.losses.softmaxCrossEntropy(oneHot, logits, undefined, 0, tf.Reduction.NONE),
            ) as tf.Scalar;
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
