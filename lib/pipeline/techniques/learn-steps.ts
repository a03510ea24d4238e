// §3.2.1 in a recipe: weights on levels ±1 … ±most times one step a layer, the steps trained with the weights (LSQ).

import { LearnedSteps, setQuantized } from "../../nn/index.ts";
import { layerNames, whole } from "../fields.ts";
import { heldBy, holding } from "../hold.ts";
import { type Lesson, lessonFields, teach } from "../lesson.ts";
import { type Common, layersOf, type Technique } from "../technique.ts";

/** §3.2.1: trains weights and step sizes together; what masks keep takes no level 0. */
export interface LearnSteps extends Common, Lesson {
  technique: "learnSteps";
  /** The greatest level; default 4, so that a kept weight has eight. */
  most?: number;
  layers?: readonly string[];
}

export const learnSteps: Technique<LearnSteps> = {
  name: "learnSteps",
  needed: ["epochs"],
  fields: { ...lessonFields, most: whole(1, 127), layers: layerNames },
  async run(state, step, context) {
    const { most = 4 } = step;
    const names = layersOf(state.model, step.layers);
    const { masks, quantized, clustered } = state.compression;
    // Theirs begin anew; what other kernels are on holds.
    for (const name of names) {
      delete quantized[name];
      delete clustered[name];
    }
    const others = heldBy(state);
    const steps = new LearnedSteps(state.model, most, { names, masks });
    try {
      const taught = await holding(state, (held) =>
        steps.during(() => teach(state, step, context, { ...held, variables: steps.variables })),
      );
      const learned = steps.quantized();
      setQuantized(state.model, learned);
      Object.assign(quantized, learned);
      const sizes = names.map((name) => `${name} ${learned[name].scale[0].toPrecision(3)}`);
      return { note: [`steps: ${sizes.join(", ")}`, taught, others].filter(Boolean).join("; ") };
    } finally {
      steps.dispose();
    }
  },
};
