// 3.1.2, 3.1.3 on models: which units of a model can be pruned, and which only together. The tracing is lib/graph's.
import { type Dependencies, type Group, dependenciesOf as trace } from "../graph/index.ts";
import { networkOf } from "./graph.ts";
import type { tf } from "./tf.ts";

export type { Dependencies, Group };

/** Which units of a model can be pruned, and which only together; in the order in which they run. */
export function groupsOf(model: tf.LayersModel): Group[] {
  return dependenciesOf(model).groups;
}

/**
 * Traces every channel of a model to the units that make it, as the table of layer kinds says; nested models count as the
 * layers inside. `skipped` names the layers of no known kind; layers with weights that are used more than once stay whole.
 */
export function dependenciesOf(model: tf.LayersModel): Dependencies {
  return trace(networkOf(model).graph);
}
