// What a network's outputs are for, and what follows from it: the loss, how good it is, and how far another network is from
// it. One table for class scores, probabilities of labels and plain values.
import { type Arrays, type Measure, type Target, type Task, tasks } from "../datasets/index.ts";
import { finalActivation, type Graph } from "../graph/index.ts";
import { checkLength, checkOneOf } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { tf } from "./tf.ts";

/** One output of a network: what it is for, and the shape of what it gives for one sample. */
export interface Output {
  name: string;
  task: Task;
  shape: readonly number[];
  /** Numbers that belong together: class scores of a row. */
  width: number;
}

/** What an output should give, as its task keeps it. */
export type TargetValues = ArrayLike<number>;

/** What is found out about one output. */
export interface OutputEvaluation {
  name: string;
  task: Task;
  loss: number;
  /** `classes` and `labels`: the share that is right. `values`: the coefficient of determination, R². */
  accuracy: number;
}

/** How good a network is. */
export interface Evaluation {
  /** Of class scores the mean cross-entropy in nats; of several outputs, the sum of their losses. */
  loss: number;
  /**
   * Share of samples whose largest class score is the label's, 0 to 1. Of values the coefficient of determination R², of
   * several outputs the mean of each one's; or what a measure of the samples' own says.
   */
  accuracy: number;
  /** Classified right, of `count`; NaN where outputs are values. */
  correct: number;
  count: number;
  /** What `accuracy` is, where it is not the plain share of right classes. */
  measure?: string;
  /** Each output by itself, where there are several, or one that is no row of class scores. */
  outputs?: OutputEvaluation[];
}

/** Sums over samples. */
interface Sums {
  loss: number;
  correct: number;
  count: number;
  /** Of values, for each number of a sample: sum and sum of squares of what should be, and of the error. */
  moments?: { sum: Float64Array; squares: Float64Array; error: number; samples: number };
}

/** Everything that depends on a task. */
interface TaskWork {
  measure: string;
  /** How many numbers a target has for each sample. */
  targetSize(output: Output): number;
  /** Adds samples to the sums. */
  add(sums: Sums, found: Float32Array, target: TargetValues, output: Output): void;
  accuracy(sums: Sums): number;
  /** The mean loss as a tensor, to be differentiated. */
  loss(found: tf.Tensor, target: TargetValues, output: Output): tf.Scalar;
  /** What the network shows the world, of what is computed with. */
  shown(values: Float32Array, output: Output): Float32Array;
  /** Each sample's or number's decision, and the target that a reference's outputs make. */
  asTarget(values: Float32Array, output: Output): TargetValues;
  /** How far outputs are from a reference's, in nats: of rows of class scores the mean, of labels the sum for a sample. */
  divergence(expected: Float32Array, found: Float32Array, output: Output): number;
}

const rowsOf = (output: Output) => elements(output.shape) / output.width;
const size = (output: Output) => elements(output.shape);

const work: Record<Task, TaskWork> = {
  classes: {
    measure: "accuracy",
    targetSize: rowsOf,
    add(sums, found, target, { width }) {
      for (let i = 0; i * width < found.length; i++) {
        const row = found.subarray(i * width, (i + 1) * width);
        const best = argMax(row);
        if (best === target[i]) sums.correct++;
        let sum = 0;
        for (const z of row) sum += Math.exp(z - row[best]);
        sums.loss += Math.log(sum) + row[best] - row[target[i]];
      }
      sums.count += found.length / width;
    },
    accuracy: ({ correct, count }) => correct / count,
    loss: (found, target, { width }) =>
      crossEntropy(
        (found.rank === 2 ? found : found.reshape([-1, width])) as tf.Tensor2D,
        tf.tensor1d(Int32Array.from(target), "int32"),
      ),
    shown: (values, { width }) => softmaxRows(values, values.length / width),
    asTarget: (values, { width }) =>
      Int32Array.from({ length: values.length / width }, (_, i) =>
        argMax(values.subarray(i * width, (i + 1) * width)),
      ),
    divergence(expected, found, { width }) {
      let sum = 0;
      for (let i = 0; i < expected.length; i += width) {
        const [p, q] = [expected, found].map((all) => logSoftmax(all.subarray(i, i + width)));
        for (let c = 0; c < width; c++) sum += Math.exp(p[c]) * (p[c] - q[c]);
      }
      return Math.max(0, sum / (expected.length / width));
    },
  },
  labels: {
    measure: "accuracy",
    targetSize: size,
    add(sums, found, target) {
      for (const [i, probability] of found.entries()) {
        const yes = target[i] >= 0.5;
        if (probability >= 0.5 === yes) sums.correct++;
        const p = clipped(probability);
        sums.loss -= Math.log(yes ? p : 1 - p);
      }
      sums.count += found.length;
    },
    accuracy: ({ correct, count }) => correct / count,
    loss: (found, target) =>
      tf.tidy(() => {
        const y = tf.tensor(Float32Array.from(target), found.shape);
        const p = tf.clipByValue(found, smallest, 1 - smallest);
        const no = tf.sub(1, p);
        return tf.neg(tf.mean(tf.add(tf.mul(y, tf.log(p)), tf.mul(tf.sub(1, y), tf.log(no))))) as tf.Scalar;
      }),
    shown: (values) => values,
    asTarget: (values) => Uint8Array.from(values, (p) => Number(p >= 0.5)),
    divergence(expected, found, output) {
      let sum = 0;
      for (let i = 0; i < expected.length; i++) {
        const [p, q] = [clipped(expected[i]), clipped(found[i])];
        sum += p * Math.log(p / q) + (1 - p) * Math.log((1 - p) / (1 - q));
      }
      return Math.max(0, sum / (expected.length / size(output)));
    },
  },
  values: {
    measure: "R²",
    targetSize: size,
    add(sums, found, target, output) {
      const length = size(output);
      sums.moments ??= {
        sum: new Float64Array(length),
        squares: new Float64Array(length),
        error: 0,
        samples: 0,
      };
      const { moments } = sums;
      for (let i = 0; i < found.length; i++) {
        const [unit, error] = [i % length, (found[i] - target[i]) ** 2];
        moments.sum[unit] += target[i];
        moments.squares[unit] += target[i] ** 2;
        moments.error += error;
        sums.loss += error;
      }
      moments.samples += found.length / length;
      sums.count += found.length;
    },
    accuracy({ moments }) {
      const { sum, squares, error, samples } = moments!;
      const spread = sum.reduce((all, s, i) => all + Math.max(0, squares[i] - s ** 2 / samples), 0);
      // As scikit-learn has it: what does not vary is met or not.
      return spread > 0 ? 1 - error / spread : Number(error === 0);
    },
    loss: (found, target) =>
      tf.tidy(
        () =>
          tf.mean(tf.square(tf.sub(found, tf.tensor(Float32Array.from(target), found.shape)))) as tf.Scalar,
      ),
    shown: (values) => values,
    asTarget: (values) => values,
    // Of normal distributions around them, as wide as the reference's outputs are over the samples.
    divergence(expected, found, output) {
      const sums = emptySums();
      work.values.add(sums, found, expected, output);
      const unexplained = 1 - work.values.accuracy(sums);
      return unexplained / 2;
    },
  },
};

/** As Keras has it: a probability of 0 would cost infinitely much. */
const smallest = 1e-7;
const clipped = (p: number) => Math.min(1 - smallest, Math.max(smallest, p));

function emptySums(): Sums {
  return { loss: 0, correct: 0, count: 0 };
}

/**
 * What each output of a network is for.
 *
 * @param shapes of what each gives for one sample
 * @throws RangeError for targets that do not fit the outputs, by name
 */
export function outputsFor(
  graph: Graph,
  shapes: readonly (readonly number[])[],
  targets: readonly Target[] | undefined,
  count: number,
): Output[] {
  if (targets && targets.length !== shapes.length)
    throw new RangeError(
      `${graph.name} has ${shapes.length} output${shapes.length === 1 ? "" : "s"}, got targets for ${targets.length}: ` +
        "give samples as { inputs, targets, count }, with an entry for each",
    );
  return shapes.map((shape, o) => {
    const tensor = graph.outputs[o];
    const { node, activation } = finalActivation(graph, tensor);
    const { task: asked, values } = targets?.[o] ?? {};
    if (asked !== undefined) checkOneOf("task", asked, tasks);
    const task = asked ?? defaultTask(shape, activation, values, count);
    const output: Output = { name: node, task, shape, width: shape.at(-1) ?? 1 };
    if (task === "classes" && activation === "sigmoid")
      throw new RangeError(
        `${graph.name} must end in softmax or in plain class scores, got ${node}, whose sigmoid gives each class a probability of its own`,
      );
    if (task === "values" && activation === "softmax")
      throw new RangeError(`${node} ends in a softmax: its targets must be class numbers, got values`);
    if (task === "labels" && activation !== "sigmoid")
      throw new RangeError(`${node} must end in a sigmoid where its targets are labels, got ${activation}`);
    if (values) {
      const each = work[task].targetSize(output);
      checkLength(`targets of ${node}`, values, count * each);
    }
    return output;
  });
}

function defaultTask(
  shape: readonly number[],
  activation: string,
  values: Target["values"],
  count: number,
): Task {
  const all = elements(shape);
  const each = values && values.length / count;
  if (values instanceof Float32Array) return "values";
  if (activation === "softmax") return "classes";
  // One number for several units can only be a class.
  if (activation === "sigmoid") return each === 1 && all > 1 ? "classes" : "labels";
  if (each !== undefined) return each === all ? "values" : "classes";
  return shape.length === 1 && all > 1 ? "classes" : "values";
}

/**
 * Throws unless every output has targets of its range.
 *
 * @param what the samples are called in errors
 */
export function checkTargets(
  name: string,
  outputs: readonly Output[],
  targets: readonly Target[] = [],
): void {
  for (const [o, { name: output, task, width }] of outputs.entries()) {
    const values = targets[o]?.values;
    if (!values) throw new RangeError(`targets of ${output} must be given: ${name} is to be judged by them`);
    const wrong =
      task === "values"
        ? (values as Float32Array).findIndex((value) => !Number.isFinite(value))
        : (values as Int32Array).findIndex(
            (label) => !(label >= 0 && label < (task === "labels" ? 2 : width)),
          );
    if (wrong < 0) continue;
    throw new RangeError(
      task === "classes"
        ? `${name} has ${width} classes, got label ${values[wrong]} at image ${wrong}`
        : task === "labels"
          ? `targets of ${output} must be 0 or 1, got ${values[wrong]} at ${wrong}`
          : `targets of ${output} must be finite, got ${values[wrong]} at ${wrong}`,
    );
  }
}

/** Adds up how good outputs are, batch by batch. */
export class Tally {
  readonly #outputs: readonly Output[];
  readonly #sums: Sums[];

  constructor(outputs: readonly Output[]) {
    this.#outputs = outputs;
    this.#sums = outputs.map(emptySums);
  }

  add(found: readonly Float32Array[], targets: readonly TargetValues[]): void {
    for (const [o, output] of this.#outputs.entries())
      work[output.task].add(this.#sums[o], found[o], targets[o], output);
  }

  result(count: number): Evaluation {
    const each = this.#outputs.map(({ name, task }, o) => ({
      name,
      task,
      loss: this.#sums[o].loss / this.#sums[o].count,
      accuracy: work[task].accuracy(this.#sums[o]),
    }));
    const plain = each.length === 1 && each[0].task === "classes" && this.#sums[0].count === count;
    const correct = each.some(({ task }) => task === "values")
      ? Number.NaN
      : this.#sums.reduce((sum, one) => sum + one.correct, 0);
    return {
      loss: each.reduce((sum, { loss }) => sum + loss, 0),
      accuracy: each.reduce((sum, { accuracy }) => sum + accuracy, 0) / each.length,
      correct,
      count,
      ...(plain ? {} : { measure: measureOf(this.#outputs), outputs: each }),
    };
  }
}

/** What `accuracy` is called. */
function measureOf(outputs: readonly Output[]): string {
  const names = [...new Set(outputs.map(({ task }) => work[task].measure))];
  return names.length === 1 ? names[0] : `mean of ${names.join(" and ")}`;
}

/** What a measure of one's own says, checked. */
export function measured(
  { name, of }: Measure,
  outputs: readonly Output[],
  found: readonly Float32Array[],
  { targets, count }: Arrays,
): number {
  const value = of({
    outputs: outputs.map((output, o) => work[output.task].shown(found[o], output)),
    targets: outputs.map((_, o) => targets?.[o]?.values),
    count,
  });
  if (!Number.isFinite(value))
    throw new RangeError(`measure ${name} must give a finite number, got ${value}`);
  return value;
}

/** The mean loss of a batch; of several outputs, the sum of their losses. */
export function lossOf(
  outputs: readonly Output[],
  found: readonly tf.Tensor[],
  targets: readonly TargetValues[],
): tf.Scalar {
  const losses = outputs.map((output, o) => work[output.task].loss(found[o], targets[o], output));
  return losses.reduce((sum, one) => tf.add(sum, one) as tf.Scalar);
}

/** How far what one network gives is from what another does, in nats; of several outputs, the sum. */
export function divergenceOf(
  outputs: readonly Output[],
  expected: readonly Float32Array[],
  found: readonly Float32Array[],
): number {
  return outputs.reduce(
    (sum, output, o) => sum + work[output.task].divergence(expected[o], found[o], output),
    0,
  );
}

/** What the network shows the world of one output: probabilities, or values as they are. */
export const shownBy = (output: Output, values: Float32Array): Float32Array =>
  work[output.task].shown(values, output);

/** Decisions of one output: classes, labels, or the values. */
export const decidedBy = (output: Output, values: Float32Array): TargetValues =>
  work[output.task].asTarget(values, output);

/** Mean cross-entropy of logits against class numbers, in nats. */
export function crossEntropy(logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Scalar {
  return tf.tidy(() => {
    const oneHot = tf.oneHot(labels, logits.shape[1]);
    return tf.losses.softmaxCrossEntropy(oneHot, logits) as tf.Scalar;
  });
}

/** The softmax of each of `count` rows. */
export function softmaxRows(logits: Float32Array, count: number): Float32Array {
  const classes = logits.length / count;
  const probabilities = new Float32Array(logits.length);
  for (let i = 0; i < logits.length; i += classes) {
    const row = logits.subarray(i, i + classes);
    const most = row[argMax(row)];
    let sum = 0;
    for (const z of row) sum += Math.exp(z - most);
    for (let c = 0; c < classes; c++) probabilities[i + c] = Math.exp(row[c] - most) / sum;
  }
  return probabilities;
}

/** Logarithms of the probabilities that class scores stand for. */
export function logSoftmax(row: ArrayLike<number>): Float64Array {
  const most = row[argMax(row)];
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i] - most);
  return Float64Array.from(row, (z) => z - most - Math.log(sum));
}

/** The index of the largest number, the first one of equals. */
export function argMax(row: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return best;
}
