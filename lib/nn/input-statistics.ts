// §3.2.1, item 3: what goes into the layers of a model, as GPTQ and bias correction want to know it.

import type { Samples } from "../datasets/index.ts";
import { channelsLast, findKind } from "../graph/index.ts";
import { addSamples, emptyStatistics, type InputStatistics, patches } from "../quantization/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, feedOf } from "./batches.ts";
import { kindOf } from "./graph.ts";
import { windowOf } from "./integer-network.ts";
import { outputsOf } from "./logits.ts";
import { withProbes } from "./probe.ts";
import { tf } from "./tf.ts";
import { type Kernel, kernelsOf } from "./weights.ts";

/**
 * What goes into each layer with a kernel: second moments and means of its inputs, for GPTQ and bias correction. A
 * convolution's inputs are its patches.
 *
 * @param options `rows`: at most about so many samples a layer, evenly from all images, default 4,096; `layers` by name,
 *   default all
 */
export async function inputStatisticsOf(
  model: tf.LayersModel,
  data: Samples,
  {
    rows = 4096,
    layers: names,
    signal,
    ...options
  }: { rows?: number; batchSize?: number; layers?: string[]; signal?: AbortSignal } = {},
): Promise<Record<string, InputStatistics>> {
  checkInteger("rows", rows, 1);
  const batchSize = batchSizeFor(model, options.batchSize, 128);
  const feed = feedOf(model, data);
  await ensureBackend();
  const all = kernelsOf(model);
  for (const name of names ?? []) {
    checkOneOf(
      "layer",
      name,
      all.map((kernel) => kernel.name),
    );
  }
  const kernels = names ? all.filter(({ name }) => names.includes(name)) : all;
  const layers = new Map(kernels.map(({ name, layer }) => [name, layer]));
  const statistics: Record<string, InputStatistics> = {};
  for (const kernel of kernels) {
    const { name, layer, shape } = kernel;
    if (!hasStatistics(kernel)) {
      throw new RangeError(
        `${name} must be a dense layer or a 2-D convolution with its channels last and without dilation, got a ${layer.getClassName()}`,
      );
    }
    statistics[name] = emptyStatistics(elements(shape.slice(0, -1)));
  }
  for (let from = 0; from < data.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(data.count, from + batchSize);
    tf.tidy(() => {
      const { x } = feed.batch(from, to);
      const watch = (name: string, input: tf.Tensor): void => {
        const values = input.dataSync() as Float32Array;
        const layer = layers.get(name)!;
        const { size } = statistics[name];
        const all = rowsOf(layer, values, input.shape);
        addSamples(statistics[name], evenRows(all, size, Math.ceil((rows * (to - from)) / data.count)));
      };
      withProbes(layers, "output", {}, watch, () => outputsOf(model, x));
    });
    await nextTurn();
  }
  return statistics;
}

/** Whether what goes into a layer can be seen as rows that its kernel multiplies. */
export function hasStatistics({ layer, shape }: Kernel): boolean {
  const attributes = layer.getConfig() as Record<string, unknown>;
  const { product } = findKind(kindOf(layer))!;
  if (product === "matrix") return true;
  return (
    product === "convolution" &&
    shape.length === 4 &&
    channelsLast({ attributes }) &&
    [attributes.dilationRate].flat().every((d) => typeof d !== "number" || d === 1)
  );
}

/** What goes into a layer, as the rows that its kernel multiplies: of a convolution, its patches. */
export function rowsOf(
  layer: tf.layers.Layer,
  values: Float32Array,
  [count, ...shape]: number[],
): Float32Array {
  if (findKind(kindOf(layer))!.product === "matrix") return values;
  return patches(values, count, shape, windowOf(layer.getConfig(), "kernelSize"), 0);
}

/** At most `limit` rows of `size` numbers, at even distances. */
export function evenRows(all: Float32Array, size: number, limit: number): Float32Array {
  const count = size === 0 ? 0 : all.length / size;
  if (count <= limit) return all;
  const picked = new Float32Array(limit * size);
  for (let r = 0; r < limit; r++) {
    const from = Math.floor((r * count) / limit) * size;
    picked.set(all.subarray(from, from + size), r * size);
  }
  return picked;
}
