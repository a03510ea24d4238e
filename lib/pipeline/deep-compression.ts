// §2.3 and §4: prune → cluster → code, as one recipe. Han, Mao, Dally, "Deep Compression", 2016, on the two networks of its
// tables 2 and 3: what each layer keeps, and in how many bits. The third stage, Huffman coding, is the .slim file's.

import type { PretrainedName } from "../nn/index.ts";
import { checkOneOf } from "../util/check.ts";
import type { Recipe } from "./recipe.ts";
import type { Training } from "./technique.ts";

/** The networks of the paper's tables 2 and 3. */
const networks = ["lenet-300-100", "lenet-5"] as const satisfies readonly PretrainedName[];
type Network = (typeof networks)[number];

/** Share of the weights that each layer keeps and bits per weight (tables 2 and 3 of the paper). */
const published: Record<Network, Record<string, { kept: number; bits: number }>> = {
  "lenet-300-100": {
    fc1: { kept: 0.08, bits: 6 },
    fc2: { kept: 0.09, bits: 6 },
    fc3: { kept: 0.26, bits: 6 },
  },
  "lenet-5": {
    conv1: { kept: 0.66, bits: 8 },
    conv2: { kept: 0.12, bits: 8 },
    fc1: { kept: 0.08, bits: 5 },
    fc2: { kept: 0.19, bits: 5 },
  },
};

/** What the paper reports for LeNet trained and tested on all of MNIST: bytes of the file, and test error. */
export const deepCompressionPublished: Record<
  Network,
  { bytes: number; ratio: number; errorBefore: number; errorAfter: number }
> = {
  "lenet-300-100": { bytes: 27_000, ratio: 40, errorBefore: 0.0164, errorAfter: 0.0158 },
  "lenet-5": { bytes: 44_000, ratio: 39, errorBefore: 0.008, errorAfter: 0.0074 },
};

/** How long to train; the defaults suit the 8,000 images of `mnist-10k`. */
export interface DeepCompressionOptions {
  /** Other shares and bits than the paper's, by layer. */
  layers?: Record<string, { kept?: number; bits?: number }>;
  /** Rounds of pruning and training; default 5. */
  rounds?: number;
  /** In each round; default 4 epochs. */
  fineTune?: Training;
  /** After the last round; default 10 epochs. */
  repair?: Training;
  /** Of the shared centroids; default 4 epochs. */
  centroids?: Training;
}

/**
 * Deep Compression of a network that ships with slimlab, as a recipe: prune to the paper's shares round by round, train
 * what is left, share weights within k-means clusters, train the centroids.
 *
 * @throws RangeError for a name that the paper's tables do not have
 */
export function deepCompression(
  name: Network,
  {
    layers: changes = {},
    rounds = 5,
    fineTune = { epochs: 4, shift: 2 },
    repair = { epochs: 10, shift: 2, decay: "cosine" },
    centroids = { epochs: 4, learningRate: 0.0003, decay: "cosine" },
  }: DeepCompressionOptions = {},
): Recipe {
  checkOneOf("name", name, networks);
  for (const layer of Object.keys(changes)) checkOneOf("layer", layer, Object.keys(published[name]));
  const layers = Object.entries(published[name]).map(
    ([layer, settings]) => [layer, { ...settings, ...changes[layer] }] as const,
  );
  return [
    {
      technique: "pruneIteratively",
      sparsity: Object.fromEntries(layers.map(([layer, { kept }]) => [layer, Number((1 - kept).toFixed(4))])),
      steps: rounds,
      fineTune,
    },
    { technique: "fineTune", ...repair },
    {
      technique: "cluster",
      clusters: Object.fromEntries(layers.map(([layer, { bits }]) => [layer, 2 ** bits])),
      method: "lloyd",
      start: "linear",
    },
    { technique: "fineTune", ...centroids },
  ];
}
