// §3.4 Knowledge distillation applied to models: soft targets (Hinton 2015), hints from intermediate layers
// (A. Romero et al., "FitNets", ICLR 2015), several teachers, and self-distillation (T. Furlanello et al., "Born again
// neural networks", ICML 2018). Any teacher, any student, as long as they tell the same classes apart.

import type { Samples } from "../datasets/index.ts";
import {
  ensureBackend,
  feedOf,
  firstOf,
  type History,
  type Inputs,
  imagesOf,
  type LossInputs,
  movedImages,
  outputsOf,
  predict,
  type TrainOptions,
  tf,
  train,
} from "../nn/index.ts";
import { checkInteger, checkLength, checkNumber, shown } from "../util/check.ts";
import { normal, seeded } from "../util/random.ts";
import { elements } from "../util/shape.ts";
import { checkTemperature, combineTeachers } from "./loss.ts";

/** Asks a student's layer to carry what a teacher's layer does. */
export interface Hint {
  teacherLayer: string;
  studentLayer: string;
  /** Which of the teachers, counted from 0; the first by default. */
  teacher?: number;
  /** Factor of this hint's mean squared error in the loss. Default 1. */
  weight?: number;
}

/** Options of {@link distill}, beside those of training. */
export interface DistillOptions extends Omit<TrainOptions, "loss" | "forward" | "variables"> {
  /** Above 0; 4 by default. */
  temperature?: number;
  /** Share of the soft targets in the loss, 0 to 1; 0.9 by default. */
  mixing?: number;
  /** How much each of several teachers counts; equal by default. */
  teacherWeights?: readonly number[];
  hints?: readonly Hint[];
  /**
   * With `shift`: asks the teachers once for every image in every place that it may be moved to, and looks their answers
   * up, instead of asking anew in each batch. By default where that is less work: more epochs than places, (2·shift + 1)².
   */
  tabulate?: boolean;
  /** What {@link tabulateTeachers} made of the same teachers, images and `shift`: they are then not asked again. */
  table?: TeacherTable;
}

/** What teachers say of every image in every place that it may be moved to. */
export interface TeacherTable {
  /** How far images may be moved in each direction. */
  shift: number;
  classes: number;
  /**
   * One array a place, [images, classes] logits: of images moved down by place / side − shift and right by place % side −
   * shift, with side = 2·shift + 1.
   */
  places: Float32Array[];
}

/**
 * Trains `student` in place to give the class scores of its teacher or teachers (§3.4).
 *
 * The teachers look at the images once, before training; with augmentation (`shift`) they look at each moved image
 * anew. A hint's features may differ in size: a linear map from the student's to the teacher's is learnt with it, and
 * thrown away.
 *
 * @throws RangeError when teacher and student have different classes, a layer does not exist, or an option is out of range
 */
export async function distill(
  student: tf.LayersModel,
  teacher: tf.LayersModel | readonly tf.LayersModel[],
  data: Samples,
  options: DistillOptions = {},
): Promise<History> {
  const { temperature = 4, mixing = 0.9, teacherWeights, hints = [], tabulate, table, ...training } = options;
  const teachers = Array.isArray(teacher)
    ? (teacher as readonly tf.LayersModel[])
    : [teacher as tf.LayersModel];
  checkTemperature(temperature);
  checkNumber("mixing", mixing, 0, 1);
  checkInteger("number of teachers", teachers.length, 1);
  const classes = student.outputs[0].shape.at(-1) as number;
  for (const model of [student, ...teachers]) checkTells(model, data);
  for (const { name, outputs } of teachers) {
    if (outputs[0].shape.at(-1) === classes) continue;
    throw new RangeError(
      `teacher ${name} must have ${classes} classes as the student has, got ${outputs[0].shape.at(-1)}`,
    );
  }
  await ensureBackend();

  const shift = training.shift ?? 0;
  const asked = { temperature, teacherWeights, shift, signal: training.signal };
  const soft =
    table === undefined && shift > 0 && !(tabulate ?? (training.epochs ?? 5) > (2 * shift + 1) ** 2)
      ? askedAnew(teachers, classes, asked)
      : lookedUp(table ?? (await tabulateTeachers(teachers, data, asked)), data, shift, classes);
  const guides = hints.map((hint, i) => new Guide(hint, student, teachers, data, (training.seed ?? 1) + i));
  // One pass through the student gives its class scores and every layer that a hint looks at.
  const watched = [...new Set(guides.map(({ studentOutput }) => studentOutput))];
  const probe = tf.model({ inputs: student.inputs, outputs: [student.outputs[0], ...watched] });
  let features: tf.Tensor[] = [];
  const forward = (x: Inputs, training?: boolean): tf.Tensor => {
    const [logits, ...others] = outputsOf(probe, x, { training, scores: 1 });
    features = others;
    return logits;
  };
  const loss = (inputs: LossInputs): tf.Scalar => {
    let total = softLoss(inputs, soft(inputs), classes, temperature, mixing);
    for (const guide of guides) {
      total = total.add(
        guide.loss(features[watched.indexOf(guide.studentOutput)], inputs.inputs),
      ) as tf.Scalar;
    }
    return total;
  };
  try {
    return await train(student, data, {
      ...training,
      ...(guides.length > 0 ? { forward, variables: guides.map(({ map }) => map) } : {}),
      loss,
    });
  } finally {
    for (const guide of guides) guide.dispose();
  }
}

/**
 * Self-distillation (§3.4): each generation is a new student of the same kind, taught by the one before.
 *
 * @param teacher the first teacher, trained
 * @param build makes a fresh student; its argument is the generation, from 1, a seed to start from
 * @returns the generations in order, the last one last; the caller disposes of them
 */
export async function selfDistill(
  teacher: tf.LayersModel,
  build: (generation: number) => tf.LayersModel,
  data: Samples,
  { generations = 1, ...options }: DistillOptions & { generations?: number } = {},
): Promise<tf.LayersModel[]> {
  checkInteger("generations", generations, 1);
  const students: tf.LayersModel[] = [];
  for (let generation = 1; generation <= generations; generation++) {
    const student = build(generation);
    await distill(student, students.at(-1) ?? teacher, data, options);
    students.push(student);
  }
  return students;
}

/** The same loss as in loss.ts, as tensors, so that gradients run back into the student. */
function softLoss(
  { logits, labels }: LossInputs,
  targets: tf.Tensor2D,
  classes: number,
  temperature: number,
  mixing: number,
): tf.Scalar {
  const hard = tf.losses.softmaxCrossEntropy(tf.oneHot(labels, classes), logits);
  const student = tf.logSoftmax(logits.div(temperature));
  const teacher = tf.logSoftmax(targets.div(temperature));
  const divergence = teacher.exp().mul(teacher.sub(student)).sum(1).mean();
  return hard.mul(1 - mixing).add(divergence.mul(mixing * temperature ** 2)) as tf.Scalar;
}

/** How teachers are asked. */
export interface TabulateOptions {
  /** How far images will be moved in each direction; default 0. */
  shift?: number;
  /** At which several teachers are averaged; 4 by default. */
  temperature?: number;
  teacherWeights?: readonly number[];
  signal?: AbortSignal;
}

/**
 * Asks teachers once for every image in every place that `shift` may move it to (§3.4): with augmentation, most of what a
 * long distillation costs. Several distillations may share a table.
 *
 * @returns (2·shift + 1)² times [images, classes] floats
 */
export async function tabulateTeachers(
  teachers: readonly tf.LayersModel[],
  data: Samples,
  { shift = 0, temperature = 4, teacherWeights, signal }: TabulateOptions = {},
): Promise<TeacherTable> {
  checkInteger("number of teachers", teachers.length, 1);
  const images = shift === 0 ? undefined : imagesOf(data, "shift");
  checkInteger("shift", shift, 0, images ? Math.min(images.height, images.width) - 1 : 0);
  for (const teacher of teachers) checkTells(teacher, data);
  const classes = teachers[0].outputs[0].shape.at(-1) as number;
  const combine = combiner(classes, { temperature, teacherWeights });
  const side = 2 * shift + 1;
  const places: Float32Array[] = [];
  const all = Uint32Array.from({ length: data.count }, (_, i) => i);
  for (let place = 0; place < side * side; place++) {
    const move = [Math.floor(place / side) - shift, (place % side) - shift];
    const moved = images ? movedImages(images, all, () => move) : data;
    const logits: Float32Array[] = [];
    for (const teacher of teachers) logits.push((await predict(teacher, moved, { signal })).logits);
    places.push(combine(logits));
  }
  return { shift, classes, places };
}

/** One teacher's logits as they are, several teachers' as one. */
function combiner(classes: number, { temperature = 4, teacherWeights }: TabulateOptions) {
  return (logits: Float32Array[]): Float32Array =>
    logits.length === 1
      ? logits[0]
      : combineTeachers(logits, classes, { temperature, weights: teacherWeights });
}

/** Asks the teachers in each batch. */
function askedAnew(teachers: readonly tf.LayersModel[], classes: number, options: TabulateOptions) {
  const combine = combiner(classes, options);
  return ({ x, inputs }: LossInputs): tf.Tensor2D =>
    tf.tidy(() => {
      const logits = teachers.map(
        (teacher) => outputsOf(teacher, fitted(inputs, teacher))[0].dataSync() as Float32Array,
      );
      return tf.tensor2d(combine(logits), [x.shape[0], classes]);
    });
}

/** Looks up what the teachers have said. */
function lookedUp({ places, ...table }: TeacherTable, data: Samples, shift: number, classes: number) {
  checkInteger("table.classes", table.classes, classes, classes);
  checkInteger("table.shift", table.shift, shift, shift);
  const side = 2 * shift + 1;
  checkInteger("table.places", places.length, side * side, side * side);
  for (const place of places) checkLength("a place of the table", place, data.count * classes);
  return ({ indices, shifts }: LossInputs): tf.Tensor2D => {
    const rows = new Float32Array(indices.length * classes);
    for (const [i, index] of indices.entries()) {
      const place = shifts ? (shifts[2 * i] + shift) * side + shifts[2 * i + 1] + shift : 0;
      rows.set(places[place].subarray(index * classes, (index + 1) * classes), i * classes);
    }
    return tf.tensor2d(rows, [indices.length, classes]);
  };
}

/** One hint: the teacher's features, and the linear map that the student's must reach them through. */
class Guide {
  readonly studentOutput: tf.SymbolicTensor;
  /** [student features, teacher features]. */
  readonly map: tf.Variable<tf.Rank.R2>;
  readonly #weight: number;
  readonly #teacher: tf.LayersModel;
  readonly #scale: number;

  constructor(
    hint: Hint,
    student: tf.LayersModel,
    teachers: readonly tf.LayersModel[],
    data: Samples,
    seed: number,
  ) {
    const teacher = teachers[checkInteger("hint.teacher", hint.teacher ?? 0, 0, teachers.length - 1)];
    this.#weight = checkNumber("hint.weight", hint.weight ?? 1, 0);
    this.studentOutput = outputOf(student, "studentLayer", hint.studentLayer);
    const teacherOutput = outputOf(teacher, "teacherLayer", hint.teacherLayer);
    this.#teacher = tf.model({ inputs: teacher.inputs, outputs: teacherOutput });
    const [from, to] = [featuresOf(this.studentOutput), featuresOf(teacherOutput)];
    const random = seeded(seed);
    const start = Float32Array.from({ length: from * to }, () => normal(random) / Math.sqrt(from));
    this.map = tf.tidy(() => tf.variable(tf.tensor2d(start, [from, to])));
    // Features come in any unit: their mean square over a few images makes hints of all layers comparable.
    this.#scale = tf.tidy(() => {
      const few = firstOf(data, Math.min(64, data.count));
      const { x } = feedOf(student, few).batch(0, few.count);
      const meanSquare = this.#features([x].flat()).square().mean().dataSync()[0];
      return meanSquare > 0 ? 1 / meanSquare : 1;
    });
  }

  /** Mean squared difference, relative to the teacher's mean square. */
  loss(studentFeatures: tf.Tensor, inputs: readonly tf.Tensor[]): tf.Tensor {
    const wanted = this.#features(inputs);
    const given = studentFeatures.reshape([inputs[0].shape[0], -1]).matMul(this.map);
    return given
      .sub(wanted)
      .square()
      .mean()
      .mul(this.#scale * this.#weight);
  }

  #features(inputs: readonly tf.Tensor[]): tf.Tensor2D {
    const found = this.#teacher.apply(fitted(inputs, this.#teacher)) as tf.Tensor;
    return found.reshape([inputs[0].shape[0], -1]);
  }

  dispose(): void {
    this.map.dispose();
  }
}

/** The same images in the shape that another model wants: rows of pixels or pictures. */
function fitted(inputs: readonly tf.Tensor[], model: tf.LayersModel): Inputs {
  const shaped = inputs.map((x, i) => {
    const wanted = model.inputs[i].shape.slice(1);
    return wanted.includes(null) ? x : x.reshape([x.shape[0], ...(wanted as number[])]);
  });
  return shaped.length === 1 ? shaped[0] : shaped;
}

/** Throws for a model that does not tell classes apart: soft targets are probabilities of these. */
function checkTells(model: tf.LayersModel, data: Samples): void {
  const { outputs } = feedOf(model, data);
  if (outputs.length > 1 || outputs[0].task !== "classes" || outputs[0].shape.length > 1)
    throw new RangeError(
      `distillation needs networks with one output, a row of class scores: ${model.name} has ` +
        outputs.map(({ name, task, shape }) => `${name}, ${task} of ${shape.join(" x ")}`).join("; "),
    );
}

function outputOf(model: tf.LayersModel, argument: string, name: string): tf.SymbolicTensor {
  const layer = model.layers.find((candidate) => candidate.name === name);
  if (layer) return layer.output as tf.SymbolicTensor;
  const known = model.layers.map((candidate) => candidate.name).join(", ");
  throw new RangeError(`hint.${argument} must be a layer of ${model.name} (${known}), got ${shown(name)}`);
}

function featuresOf(output: tf.SymbolicTensor): number {
  return elements(output.shape.slice(1) as number[]);
}
