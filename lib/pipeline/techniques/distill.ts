// §3.4 in a recipe: training on what a teacher says, with everything that earlier steps did held.

import { distill as distillModel, type Hint } from "../../distillation/index.ts";
import { type PretrainedName, pretrainedNames, type tf } from "../../nn/index.ts";
import { shown } from "../../util/check.ts";
import { type Check, layerName, number, objectOf, oneOf, share, whole } from "../fields.ts";
import { heldBy, holding } from "../hold.ts";
import { type Common, type Technique, type Training, trainingFields, trainOptions } from "../technique.ts";

/** Who may teach: the model before the first step, or a network that ships with slimlab. */
export const teacherNames = ["original", ...pretrainedNames] as const;
export type Teacher = "original" | PretrainedName;

/** §3.4: trains on what a teacher says; repairs what other techniques broke. */
export interface Distill extends Common, Training {
  technique: "distill";
  /** `original`, the model before the first step (the default), a network that ships with slimlab, or several of them. */
  teacher?: Teacher | readonly Teacher[];
  /** What a student's layer should carry of a teacher's; not where activations are quantized. */
  hints?: readonly Hint[];
  /** Default 4. */
  temperature?: number;
  /** Share of the soft targets, default 0.9. */
  mixing?: number;
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
    ...trainingFields,
    teacher: (name, value, step) => {
      const given = value as unknown;
      const list = Array.isArray(given) ? given : [given];
      if (list.length === 0) throw new RangeError(`${name} must name at least one`);
      for (const one of list) oneOf(...teacherNames)(name, one as never, step);
    },
    hints: (name, value, step) => {
      const list = value as unknown;
      if (!Array.isArray(list)) throw new RangeError(`${name} must be a list of hints, got ${shown(value)}`);
      list.forEach((one, i) => {
        hint(`${name}[${i}]`, one as never, step);
      });
    },
    temperature: number(Number.MIN_VALUE),
    mixing: share,
  },
  async run(state, step, context) {
    const { teacher = "original", temperature, mixing, hints } = step;
    if (hints && state.activations)
      throw new RangeError(
        "hints must be left out where activations are quantized: give them before that step",
      );
    const names: readonly string[] = typeof teacher === "string" ? [teacher] : teacher;
    const teachers: tf.LayersModel[] = [];
    try {
      for (const name of names) teachers.push(await context.teacher(name));
      await holding(state, (held) =>
        distillModel(state.model, teachers, context.data.train, {
          ...trainOptions(step, context),
          // `distill` leaves a given forward pass as it is.
          ...held,
          temperature,
          mixing,
          hints,
        }),
      );
    } finally {
      for (const one of teachers) one.dispose();
    }
    return { note: [`taught by ${names.join(" and ")}`, heldBy(state)].filter(Boolean).join("; ") };
  },
};
