// §2.3 and §3.4: training on labels or on what teachers say, for techniques that train on the way.

import { type DistillOptions, distill, type TeacherTable, tabulateTeachers } from "../distillation/index.ts";
import { type PretrainedName, pretrainedNames, type TrainOptions, tf, train } from "../nn/index.ts";
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
  if (lesson.teacher === undefined) {
    await train(model, context.data.train, { ...trainOptions(lesson, context), ...held });
    return "";
  }
  await distillAfter(model, lesson, context, held);
  return `taught by ${namesOf(lesson).join(" and ")}`;
}

/** By whom a lesson is taught. */
export const namesOf = ({ teacher = "original" }: Lesson): readonly Teacher[] =>
  [teacher].flat() as Teacher[];

/** What teachers have said in this process, the latest last: steps and seeds of a run share it. */
const tables = new Map<string, TeacherTable>();
const mostTables = 2;

/** Distils after a lesson's teachers, which are asked only what they have not yet said. */
export async function distillAfter(
  model: tf.LayersModel,
  lesson: Lesson,
  context: Context,
  options: Omit<DistillOptions, "table">,
): Promise<void> {
  const names = namesOf(lesson);
  const { shift = 0, temperature, mixing } = lesson;
  const keys = names.map(context.teacherKey);
  const key = [...keys, shift, ...(names.length > 1 ? [temperature] : []), tf.getBackend()].join(" ");
  const data = context.data.train;
  const teachers: tf.LayersModel[] = [];
  try {
    for (const name of names) teachers.push(await context.teacher(name));
    let table = tables.get(key);
    // Sooner than for one distillation alone: what follows in a recipe mostly has the same teachers.
    if (!table && 4 * lesson.epochs > (2 * shift + 1) ** 2)
      table = await tabulateTeachers(teachers, data, { shift, temperature, signal: context.signal });
    if (table) {
      tables.delete(key);
      tables.set(key, table);
      for (const [oldest] of [...tables].slice(0, -mostTables)) tables.delete(oldest);
    }
    await distill(model, teachers, data, {
      ...trainOptions(lesson, context),
      ...options,
      temperature,
      mixing,
      ...(table ? { table } : {}),
    });
  } finally {
    for (const one of teachers) one.dispose();
  }
}
