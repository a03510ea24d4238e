// What lib/analysis needs to know of a model: its layers as plain data.
import type { LayerShape } from "../analysis/index.ts";
import { layerShapesOf as shapesOfGraph } from "../graph/index.ts";
import { networkOf } from "./graph.ts";
import type { tf } from "./tf.ts";

/**
 * The layers of a model in an order in which it can be computed, for `costOf` of slimlab/analysis. A model's input counts
 * as a layer, since its memory does. Nested models count as the layers inside; a layer that is called again costs its work
 * again, and its parameters once. A layer of a kind that the table does not have is listed as `uncounted`.
 */
export function layerShapesOf(model: tf.LayersModel): LayerShape[] {
  return shapesOfGraph(networkOf(model).graph);
}
