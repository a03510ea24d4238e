// §2.3 What earlier steps did must outlive later training: pruned weights stay 0, quantized ones stay on their grid,
// clustered ones stay equal within their cluster.
//
// - Masks: gradients are multiplied by them (`train`).
// - Fixed point: straight-through. The forward pass sees weights rounded to the grid of the quantization step; the
//   gradient goes to the weights behind, which are rounded for good when training ends. The grid does not move.
// - Clusters: the gradient of a weight is the sum over its cluster (Deep Compression §3.3), so a cluster moves as one:
//   the codes stay, the centroids are trained.

import {
  type ActivationQuantizers,
  type Compression,
  kernelLayers,
  kernelOf,
  quantizedForward,
  setWeights,
  type TrainOptions,
  tf,
  weightsOf,
} from "../nn/index.ts";
import { codeRange, dequantize, isSignGrid, type Quantized, quantizeOn } from "../quantization/index.ts";

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
export function heldBy({ compression: { masks, quantized, clustered }, activations }: State): string {
  const layers = (entries: object, what: string) => {
    const count = Object.keys(entries).length;
    return count === 0 ? [] : [`${count} ${count === 1 ? "layer" : "layers"} ${what}`];
  };
  const held = [
    ...layers(masks, "by masks"),
    ...layers(quantized, "straight through their grid"),
    ...layers(clustered, "by cluster"),
    ...(activations ? ["activations quantized"] : []),
  ];
  return held.length === 0 ? "" : `held: ${held.join(", ")}`;
}

/**
 * Makes weights and codes say the same again after weights have changed: sets pruned weights to 0, rounds to the grids,
 * and moves each centroid to the mean of its weights.
 */
export function project(state: State): void {
  const { masks, quantized, clustered } = state.compression;
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
    }
  }
  setWeights(state.model, changed);
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
  return kernelLayers(model).flatMap((layer) => {
    const grid = quantized[layer.name];
    if (!grid) return [];
    const kernel = kernelOf(layer)!;
    const owner = layer as unknown as Record<string, unknown>;
    const field = owner.kernel === kernel ? "kernel" : "depthwiseKernel";
    const rounded = Object.create(kernel, { read: { value: () => straightThrough(kernel.read(), grid) } });
    const { call } = layer;
    layer.call = (inputs, options) => {
      owner[field] = rounded;
      try {
        return call.call(layer, inputs, options);
      } finally {
        owner[field] = kernel;
      }
    };
    return [() => delete (layer as Partial<tf.layers.Layer>).call];
  });
}

/** Forwards the nearest level; backwards the gradient as it is, but nothing where the grid ends. */
function straightThrough(kernel: tf.Tensor, grid: Quantized): tf.Tensor {
  return tf.customGrad((input, save) => {
    const tensor = input as tf.Tensor;
    const values = Float32Array.from(tensor.dataSync());
    const restored = dequantize(quantizeOn(grid, values));
    const { low, high } = codeRange(grid);
    const sign = isSignGrid(grid);
    const { axis, shape, scale, zeroPoint } = grid;
    const inner = axis === undefined ? values.length : shape.slice(axis + 1).reduce((n, size) => n * size, 1);
    const passes = values.map((value, i) => {
      const c = Math.floor(i / inner) % scale.length;
      const code = value / scale[c] + zeroPoint[c];
      // Half a step beyond the last level still rounds to it.
      return sign || (code >= low - 0.5 && code <= high + 0.5) ? 1 : 0;
    });
    (save as tf.GradSaveFunc)([tf.tensor(passes, tensor.shape)]);
    return {
      value: tf.tensor(restored, tensor.shape),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, saved[0]),
    };
  })(kernel);
}

function gradientsByCluster({ model, compression }: State): TrainOptions["onGradients"] {
  const { clustered, masks } = compression;
  const shared = kernelLayers(model).filter(({ name }) => clustered[name]);
  if (shared.length === 0) return undefined;
  return (gradients) => {
    const result = { ...gradients };
    for (const layer of shared) {
      const { name } = kernelOf(layer)!.read() as tf.Variable;
      const gradient = gradients[name];
      if (!gradient) continue;
      const { codes, codebook } = clustered[layer.name];
      const mask = masks[layer.name];
      const values = gradient.dataSync();
      const sums = new Float64Array(codebook.length);
      for (let i = 0; i < values.length; i++) if (mask?.[i] !== 0) sums[codes[i]] += values[i];
      result[name] = tf.tensor(
        Float32Array.from(codes, (code) => sums[code]),
        gradient.shape,
      );
    }
    return result;
  };
}
