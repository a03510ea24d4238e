// §4 From a model or a .slim file to a network that runs from storage: slimlab/runtime's, which knows no TensorFlow.js.
import { readBytes } from "#platform";
import { type KernelSource, type StoredNetwork, storedNetwork } from "../runtime/index.ts";
import { graphOf } from "./graph.ts";
import { type Compression, modelOfSlim } from "./slim.ts";
import type { tf } from "./tf.ts";
import { kernelsOf } from "./weights.ts";

/**
 * A network that runs from storage: what compression knows of the model's kernels is how they lie in memory, sparse or in
 * codes, and no kernel is expanded while it runs.
 *
 * @param model stays as it is, and is not needed afterwards
 * @param compression as `loadSlim` or a recipe gives it; kernels without an entry are floats, sparse where most are 0
 * @throws RangeError that names every layer which cannot be run so
 * @see §4
 */
export function storedOf(model: tf.LayersModel, compression: Partial<Compression> = {}): StoredNetwork {
  const { masks = {}, quantized = {}, clustered = {} } = compression;
  const kernels: Record<string, Omit<KernelSource, "shape">> = {};
  for (const { name } of kernelsOf(model)) {
    if (quantized[name]) kernels[name] = { quantized: quantized[name] };
    else if (clustered[name])
      kernels[name] = { clustered: clustered[name], ...(masks[name] ? { mask: masks[name] } : {}) };
  }
  return storedNetwork(graphOf(model), kernels);
}

/**
 * Reads a .slim file as a network that runs from storage. TensorFlow.js builds the network once, to learn how its layers
 * hang together, and lets it go; what stays in memory is what `bytes` says.
 *
 * @throws Error for a file that cannot be read, and for one with quantized activations, which `integerNetworkOf` is for
 */
export async function loadStored(path: string): Promise<StoredNetwork> {
  const { model, compression, meta } = await modelOfSlim(await readBytes(path), path);
  try {
    if (meta.activations !== undefined)
      throw new Error(`${path} has quantized activations: loadSlim and integerNetworkOf run it in integers`);
    return storedOf(model, compression);
  } finally {
    model.dispose();
  }
}
