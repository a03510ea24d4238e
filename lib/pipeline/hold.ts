// §2.3 What earlier steps did must outlive later training: pruned weights stay 0, quantized ones stay on their grid,
// floats of 16 bits are rounded when training ends, clustered ones stay equal within their cluster.
//
// - Masks: gradients are multiplied by them (`train`).
// - Fixed point: straight-through. The forward pass sees weights rounded to the grid of the quantization step; the
//   gradient goes to the weights behind, which are rounded for good when training ends. The grid does not move.
// - Clusters: the gradient of a weight is the sum over its cluster (Deep Compression §3.3), so a cluster moves as one:
//   the codes stay, the centroids are trained.

import {
  type ActivationQuantizers,
  biasesOf,
  type Compression,
  kernelsOf,
  quantizedForward,
  replaceKernel,
  roundedTo,
  setBiases,
  setWeights,
  type TrainOptions,
  tf,
  weightsOf,
} from "../nn/index.ts";
import {
  dequantize,
  insideGrid,
  isSignGrid,
  type Quantized,
  quantizeOn,
  roundOn,
} from "../quantization/index.ts";

/** A model on its way through a recipe. */
export interface State {
  model: tf.LayersModel;
  compression: Compression;
  /** Quantizers of activations, if a step asked for them. */
  activations?: ActivationQuantizers;
}

/** The forward pass of the model as it would be deployed; undefined where that is the model's own. */
export function forwardOf({ model, activations }: State): ((x: tf.Tensor) => tf.Tensor2D) | undefined {
  return activations && quantizedForward(model, { activations });
}

/**
 * Runs `work`, which trains, so that everything holds, and brings weights and codes together at the end.
 *
 * @param work gets what to pass on to `train`
 */
export async function holding<T>(
  state: State,
  work: (options: Pick<TrainOptions, "masks" | "onGradients" | "forward">) => Promise<T>,
): Promise<T> {
  const { masks } = state.compression;
  const undo = roundInCalls(state);
  const forward = forwardOf(state);
  try {
    return await work({ masks, onGradients: gradientsByCluster(state), ...(forward ? { forward } : {}) });
  } finally {
    for (const step of undo) step();
    project(state);
  }
}

/** What training holds, in words. */
export function heldBy({
  compression: { masks, quantized, clustered, formats = {} },
  activations,
}: State): string {
  const layers = (entries: object, what: string) => {
    const count = Object.keys(entries).length;
    return count === 0 ? [] : [`${count} ${count === 1 ? "layer" : "layers"} ${what}`];
  };
  const held = [
    ...layers(masks, "by masks"),
    ...layers(quantized, "straight through their grid"),
    ...layers(clustered, "by cluster"),
    ...layers(formats, "rounded to 16 bits at the end"),
    ...(activations ? ["activations quantized"] : []),
  ];
  return held.length === 0 ? "" : `held: ${held.join(", ")}`;
}

/**
 * Makes weights and codes say the same again after weights have changed: sets pruned weights to 0, rounds to the grids,
 * and moves each centroid to the mean of its weights.
 */
export function project(state: State): void {
  const { masks, quantized, clustered, formats = {} } = state.compression;
  const weights = weightsOf(state.model);
  const changed: Record<string, Float32Array> = {};
  for (const [layer, w] of Object.entries(weights)) {
    const mask = masks[layer];
    if (mask) changed[layer] = w.map((value, i) => (mask[i] === 0 ? 0 : value));
    const values = changed[layer] ?? w;
    if (quantized[layer]) {
      quantized[layer] = quantizeOn(quantized[layer], values);
      changed[layer] = dequantize(quantized[layer]);
    } else if (clustered[layer]) {
      const { codes } = clustered[layer];
      const codebook = centroidsOf(values, codes, clustered[layer].codebook, mask);
      clustered[layer] = {
        codes: mask ? codes.map((code, i) => (mask[i] === 0 ? 0 : code)) : codes,
        codebook,
      };
      changed[layer] = values.map((_, i) => (mask?.[i] === 0 ? 0 : codebook[codes[i]]));
    } else if (formats[layer]) changed[layer] = roundedTo(formats[layer], layer, values);
  }
  setWeights(state.model, changed);
  projectBiases(state);
}

/** Rounds biases that have a grid to it. */
export function projectBiases({ model, compression }: State): void {
  if (!compression.biases) return;
  const biases = biasesOf(model);
  const grids = Object.entries(compression.biases).map(
    ([layer, grid]) => [layer, quantizeOn(grid, biases[layer])] as const,
  );
  compression.biases = Object.fromEntries(grids);
  setBiases(model, Object.fromEntries(grids.map(([layer, grid]) => [layer, dequantize(grid)])));
}

/** The mean of each cluster's weights, as a file stores it; clusters that have lost all their weights keep theirs. */
function centroidsOf(
  values: Float32Array,
  codes: ArrayLike<number>,
  before: Float32Array,
  mask: Uint8Array | undefined,
): Float32Array {
  const sums = new Float64Array(before.length);
  const counts = new Uint32Array(before.length);
  for (let i = 0; i < values.length; i++) {
    if (mask?.[i] === 0) continue;
    sums[codes[i]] += values[i];
    counts[codes[i]]++;
  }
  return before.map((centroid, k) => (counts[k] === 0 ? centroid : sums[k] / counts[k]));
}

/** Lets the quantized layers of a model see their kernels rounded, whenever they run; returns how to undo it. */
function roundInCalls({ model, compression: { quantized } }: State): (() => void)[] {
  return kernelsOf(model).flatMap((kernel) => {
    const grid = quantized[kernel.name];
    if (!grid) return [];
    const { layer } = kernel;
    const { call } = layer;
    layer.call = (inputs, options) => {
      const restore = replaceKernel(kernel, (value) => straightThrough(value, grid));
      try {
        return call.call(layer, inputs, options);
      } finally {
        restore();
      }
    };
    return [() => delete (layer as Partial<tf.layers.Layer>).call];
  });
}

/** Forwards the nearest level; backwards the gradient as it is, but nothing where the grid ends. */
function straightThrough(kernel: tf.Tensor, grid: Quantized): tf.Tensor {
  return tf.customGrad((input, save) => {
    const tensor = input as tf.Tensor;
    const values = tensor.dataSync() as Float32Array;
    const restored = roundOn(grid, values);
    // The two levels of one signed bit have no inside that training could leave for good.
    const passes = isSignGrid(grid) ? undefined : insideGrid(grid, values, 0.5);
    (save as tf.GradSaveFunc)(passes ? [tf.tensor(passes, tensor.shape)] : []);
    return {
      value: tf.tensor(restored, tensor.shape),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => (passes ? tf.mul(dy, saved[0]) : dy.clone()),
    };
  })(kernel);
}

function gradientsByCluster({ model, compression }: State): TrainOptions["onGradients"] {
  const { clustered, masks } = compression;
  const kernels = kernelsOf(model).filter(({ name }) => clustered[name]);
  if (kernels.length === 0) return undefined;
  return (gradients) => {
    const result = { ...gradients };
    for (const kernel of kernels) {
      const { name } = kernel.variable.read() as tf.Variable;
      const gradient = gradients[name];
      if (!gradient) continue;
      const { codes, codebook } = clustered[kernel.name];
      const mask = masks[kernel.name];
      const values = gradient.dataSync();
      const sums = new Float64Array(codebook.length);
      for (let i = 0; i < values.length; i++) if (mask?.[i] !== 0) sums[codes[i]] += values[i];
      // A plain loop: once a batch, over every weight, and `Float32Array.from` takes ten times as long.
      const shared = new Float32Array(values.length);
      for (let i = 0; i < shared.length; i++) shared[i] = sums[codes[i]];
      result[name] = tf.tensor(shared, gradient.shape);
    }
    return result;
  };
}
