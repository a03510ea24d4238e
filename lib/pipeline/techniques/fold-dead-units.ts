// §3.1.3 in a recipe: units that pruning has left without inputs or readers go, and the next layer's biases make up for
// them. The network computes the same; the file says nothing of them any more.

import { foldDeadUnits as foldInModel } from "../../nn/index.ts";
import { project } from "../hold.ts";
import { type Common, keepPruned, type Technique } from "../technique.ts";

/** §3.1.3: takes dead units out by masks. */
export interface FoldDeadUnits extends Common {
  technique: "foldDeadUnits";
}

export const foldDeadUnits: Technique<FoldDeadUnits> = {
  name: "foldDeadUnits",
  fields: {},
  async run(state) {
    const { masks, dead, skipped } = foldInModel(state.model, state.compression.masks);
    keepPruned(state, masks);
    project(state);
    const counts = Object.entries(dead).map(([group, units]) => `${group} ${units.length}`);
    const left = Object.entries(skipped).map(([group, why]) => `${group}: ${why}`);
    return {
      note: [`dead: ${counts.join(", ") || "none"}`, ...left].join("; "),
      details: { dead, skipped },
    };
  },
};
