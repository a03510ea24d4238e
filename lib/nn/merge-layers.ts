// §2.1 Structural redundancy: a whole layer removed. The layer that read it learns to do without, by least squares over what
// both have seen; no gradient is computed.

import type { Samples } from "../datasets/index.ts";
import { consumersOf } from "../graph/index.ts";
import { leastSquares } from "../lowrank/index.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, feedOf } from "./batches.ts";
import { kindOf, layerNamed, networkOf } from "./graph.ts";
import { outputsOf } from "./logits.ts";
import { withProbes } from "./probe.ts";
import { layerLike, rebuild } from "./rebuild.ts";
import { tf } from "./tf.ts";

/** What {@link removeDense} made. */
export interface WithoutLayer {
  /** A new model; the caller disposes of it. */
  model: tf.LayersModel;
  /** The layer that now stands for both. */
  merged: string;
  /** The share of the variance, before its activation, that the merged layer misses. */
  error: number;
}

/**
 * Removes a dense layer: the dense layer that reads it gets a kernel that reads the removed one's inputs instead, the one
 * that comes nearest to what it computed before its activation (§2.1).
 *
 * @param name of the layer to remove; a dense layer with one reader, which is dense too
 * @param data samples to fit by
 * @param options `damping` of the least squares, see `leastSquares`
 * @throws RangeError for a layer that is not such a one
 */
export async function removeDense(
  model: tf.LayersModel,
  name: string,
  data: Samples,
  { damping, signal, ...options }: { damping?: number; batchSize?: number; signal?: AbortSignal } = {},
): Promise<WithoutLayer> {
  const layer = layerNamed(model, name);
  const { graph, layers } = networkOf(model);
  const node = graph.nodes.find((one) => one.name === name)!;
  const readers = consumersOf(graph).get(node.outputs[0]) ?? [];
  const reader = layers.get(readers[0]?.name)!;
  if (kindOf(layer) !== "dense")
    throw new RangeError(`layer must be dense, got ${name}, a ${layer.getClassName()}`);
  if (readers.length !== 1 || readers[0].kind !== "dense")
    throw new RangeError(
      `${name} must be read by one dense layer, got ${readers.map((one) => one.name).join(", ") || "none"}`,
    );
  const feed = feedOf(model, data);
  await ensureBackend();
  const inputs = (layer.inboundNodes[0].inputShapes[0] as number[]).at(-1)!;
  const outputs = (reader.outputShape as number[]).at(-1)!;
  const x = new Float32Array(data.count * inputs);
  const y = new Float32Array(data.count * outputs);
  const watched = new Map([layer, reader].map((one) => [one.name, one]));
  const batchSize = batchSizeFor(model, options.batchSize, 128);
  for (let from = 0; from < data.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(data.count, from + batchSize);
    tf.tidy(() => {
      const watch = (at: string, input: tf.Tensor) => {
        if (at === name) x.set(input.dataSync() as Float32Array, from * inputs);
        else y.set(linearOf(reader, input).dataSync() as Float32Array, from * outputs);
      };
      withProbes(watched, "output", {}, watch, () => outputsOf(model, feed.batch(from, to).x));
    });
  }
  const fit = leastSquares(x, y, inputs, outputs, { damping });
  const merged = rebuild(model, (_, at) => {
    if (at === name) return [];
    if (at !== reader.name) return undefined;
    return [{ layer: layerLike(reader, { useBias: true }), weights: [fit.weights, fit.bias] }];
  });
  return { model: merged, merged: reader.name, error: fit.error };
}

/** What a dense layer computes before its activation. */
function linearOf(layer: tf.layers.Layer, input: tf.Tensor): tf.Tensor {
  const [kernel, bias] = layer.weights.map((weight) => weight.read());
  const product = tf.matMul(input as tf.Tensor2D, kernel as tf.Tensor2D);
  return bias ? product.add(bias) : product;
}
