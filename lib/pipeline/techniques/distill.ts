// §3.4 in a recipe: training on what a teacher says, with everything that earlier steps did held.

import type { Hint } from "../../distillation/index.ts";
import { shown } from "../../util/check.ts";
import { type Check, layerName, number, objectOf, whole } from "../fields.ts";
import { heldBy, holding } from "../hold.ts";
import { distillAfter, type Lesson, lessonFields, namesOf } from "../lesson.ts";
import type { Common, Technique } from "../technique.ts";

/** §3.4: trains on what a teacher says (by default `original`); repairs what other techniques broke. */
export interface Distill extends Common, Lesson {
  technique: "distill";
  /** What a student's layer should carry of a teacher's; not where activations are quantized. */
  hints?: readonly Hint[];
}

const hint = objectOf({
  needed: ["teacherLayer", "studentLayer"],
  fields: {
    teacherLayer: layerName,
    studentLayer: layerName,
    teacher: whole(0),
    weight: number(0),
  } satisfies Record<keyof Hint, Check>,
});

export const distill: Technique<Distill> = {
  name: "distill",
  needed: ["epochs"],
  fields: {
    ...lessonFields,
    hints: (name, value, step) => {
      const list = value as unknown;
      if (!Array.isArray(list)) throw new RangeError(`${name} must be a list of hints, got ${shown(value)}`);
      list.forEach((one, i) => {
        hint(`${name}[${i}]`, one as never, step);
      });
    },
  },
  async run(state, step, context) {
    const { hints } = step;
    if (hints && state.activations)
      throw new RangeError(
        "hints must be left out where activations are quantized: give them before that step",
      );
    // `distill` leaves a given forward pass as it is.
    await holding(state, (held) => distillAfter(state.model, step, context, { ...held, hints }));
    return { note: [`taught by ${namesOf(step).join(" and ")}`, heldBy(state)].filter(Boolean).join("; ") };
  },
};
