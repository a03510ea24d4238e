// §3.2.1, item 2, in a recipe: weights shared within clusters.

import { setWeights, weightsOf } from "../../nn/index.ts";
import type { PerLayer } from "../../pruning/index.ts";
import {
  type ClusterMethod,
  type ClusterStart,
  clusterMethods,
  clusterStarts,
  clusterWeights,
  restoreClusters,
} from "../../quantization/index.ts";
import { layerNames, oneOf, perLayer, whole } from "../fields.ts";
import { amountFor, type Common, layersOf, namedIn, type Technique } from "../technique.ts";

/** §3.2.1, item 2: weights shared within clusters. */
export interface Cluster extends Common {
  technique: "cluster";
  /** K: one for all, or one for each layer by name. */
  clusters: PerLayer;
  /** Default `optimal`. */
  method?: ClusterMethod;
  /** For `lloyd`; default `linear`. */
  start?: ClusterStart;
  layers?: readonly string[];
}

export const cluster: Technique<Cluster> = {
  name: "cluster",
  needed: ["clusters"],
  fields: {
    clusters: perLayer(whole(1, 65535)),
    method: oneOf(...clusterMethods),
    start: oneOf(...clusterStarts),
    layers: layerNames,
  },
  async run(state, step, context) {
    const { clusters, method, start } = step;
    const layers = layersOf(state.model, step.layers ?? namedIn(clusters));
    const { masks, quantized, clustered } = state.compression;
    const weights = weightsOf(state.model);
    for (const name of layers) {
      const { codes, codebook } = clusterWeights(weights[name], {
        clusters: amountFor("clusters", clusters, name),
        method,
        start,
        seed: context.seed,
        mask: masks[name],
      });
      clustered[name] = { codes, codebook };
      delete quantized[name];
      // The exact centroids, and not the means of what is stored of them.
      weights[name] = restoreClusters({ codes, codebook, mask: masks[name], inertia: 0, iterations: 0 });
    }
    setWeights(state.model, Object.fromEntries(layers.map((name) => [name, weights[name]])));
    return { note: `${layers.length} layers` };
  },
};
