// §2.3 and §3.4: training on labels or on what teachers say, for techniques that train on the way.

import { distill } from "../distillation/index.ts";
import { type PretrainedName, pretrainedNames, type TrainOptions, type tf, train } from "../nn/index.ts";
import { type Check, number, oneOf, share } from "./fields.ts";
import type { State } from "./hold.ts";
import { type Context, type Training, trainingFields, trainOptions } from "./technique.ts";

/** Who may teach: the model before the first step, or a network that ships with slimlab. */
export const teacherNames = ["original", ...pretrainedNames] as const;
export type Teacher = "original" | PretrainedName;

/** How to train, and after whom. */
export interface Lesson extends Training {
  /** `original`, the model before the first step, a network that ships with slimlab, or several of them. */
  teacher?: Teacher | readonly Teacher[];
  /** Of the soft targets; default 4. */
  temperature?: number;
  /** Share of the soft targets in the loss, default 0.9. */
  mixing?: number;
}

/** A teacher or several. */
export const teacherField: Check = (name, value, step) => {
  const given = value as unknown;
  const list = Array.isArray(given) ? given : [given];
  if (list.length === 0) throw new RangeError(`${name} must name at least one`);
  for (const one of list) oneOf(...teacherNames)(name, one as never, step);
};

/** The checks of {@link Lesson}. */
export const lessonFields = {
  ...trainingFields,
  teacher: teacherField,
  temperature: number(Number.MIN_VALUE),
  mixing: share,
} satisfies Record<keyof Lesson, Check>;

/** Trains a state's model, taught where the lesson has a teacher; returns by whom, in words. */
export async function teach(
  { model }: State,
  lesson: Lesson,
  context: Context,
  held: Partial<TrainOptions>,
): Promise<string> {
  const options = { ...trainOptions(lesson, context), ...held };
  if (lesson.teacher === undefined) {
    await train(model, context.data.train, options);
    return "";
  }
  const names = [lesson.teacher].flat() as Teacher[];
  const teachers: tf.LayersModel[] = [];
  try {
    for (const name of names) teachers.push(await context.teacher(name));
    await distill(model, teachers, context.data.train, {
      ...options,
      temperature: lesson.temperature,
      mixing: lesson.mixing,
    });
  } finally {
    for (const one of teachers) one.dispose();
  }
  return `taught by ${names.join(" and ")}`;
}
