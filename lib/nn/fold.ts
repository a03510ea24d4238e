// §3.2 on models: batch normalisation folded into the layer before it, and activations as layers of their own, as engines
// have them. The work is lib/graph's.
import { type Folded, foldBatchNorms as fold, splitActivations as split } from "../graph/index.ts";
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

/**
 * A model whose dense and convolutional layers have no activation but a ReLU, a ReLU6 or a softmax: each other one is a layer
 * of its own behind, so that what goes into it can have a grid (§3.2.2). It computes the same.
 *
 * @param model stays as it is
 */
export function splitActivations(model: tf.LayersModel): tf.LayersModel {
  return modelOf(split(graphOf(model)));
}
