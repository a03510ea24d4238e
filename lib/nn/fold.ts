// §3.2 on models: batch normalisation folded into the layer before it, as engines do. The folding is lib/graph's.
import { type Folded, foldBatchNorms as fold } from "../graph/index.ts";
import { graphOf, modelOf } from "./graph.ts";
import type { tf } from "./tf.ts";

/**
 * A model without the batch normalisations that the dense or convolutional layer before them can take over: it computes
 * the same but for rounding. Quantization then sees the weights that an engine has.
 *
 * @param model stays as it is
 * @returns the new model; what was folded into what; what stays, and why
 */
export function foldBatchNorms(model: tf.LayersModel): Omit<Folded, "graph"> & { model: tf.LayersModel } {
  const { graph, ...rest } = fold(graphOf(model));
  return { model: modelOf(graph), ...rest };
}
