// §2.3 Training on the labels, with everything that earlier steps did held.

import { heldBy } from "../hold.ts";
import { type Common, fineTuneHeld, type Technique, type Training, trainingFields } from "../technique.ts";

/** Trains on the labels. */
export interface FineTune extends Common, Training {
  technique: "fineTune";
}

export const fineTune: Technique<FineTune> = {
  name: "fineTune",
  needed: ["epochs"],
  fields: trainingFields,
  async run(state, step, context) {
    await fineTuneHeld(state, step, context);
    return { note: heldBy(state) };
  },
};
