// §3.4 The loss of knowledge distillation: G. Hinton, O. Vinyals and J. Dean, "Distilling the knowledge in a neural
// network" (2015). A student learns from labels, and from all of the teacher's class scores, softened.
import { checkFinite, checkInteger, checkLength, checkNumber, shown } from "../util/check.ts";

/**
 * Softmax at a temperature: p_i = e^(z_i / T) / Σ e^(z_j / T), row by row (§3.4). T = 1 is the usual one; a larger T
 * evens the probabilities out and shows which wrong classes the model finds plausible.
 *
 * @param logits row-major examples x classes
 * @param temperature above 0
 */
export function softmaxAt(logits: ArrayLike<number>, classes: number, temperature = 1): Float32Array {
  checkLogits("logits", logits, classes);
  checkTemperature(temperature);
  return Float32Array.from(logSoftmaxAt(logits, classes, temperature), Math.exp);
}

function logSoftmaxAt(logits: ArrayLike<number>, classes: number, temperature: number): Float64Array {
  const result = new Float64Array(logits.length);
  for (let row = 0; row < logits.length; row += classes) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let k = row; k < row + classes; k++) largest = Math.max(largest, logits[k]);
    let sum = 0;
    for (let k = row; k < row + classes; k++) sum += Math.exp((logits[k] - largest) / temperature);
    const shift = Math.log(sum);
    for (let k = row; k < row + classes; k++) result[k] = (logits[k] - largest) / temperature - shift;
  }
  return result;
}

/** The two parts of the loss, their sum, and its gradient. */
export interface DistillationLoss {
  /** (1 - mixing) · hard + mixing · T² · soft, the mean over examples. */
  total: number;
  /** Cross-entropy with the labels, in nats. */
  hard: number;
  /** Kullback-Leibler divergence from the teacher's softened probabilities to the student's, in nats. */
  soft: number;
  /** ∂total / ∂student logits, row-major examples x classes. */
  gradient: Float32Array;
}

/**
 * The distillation loss and its gradient (§3.4):
 * L = (1 - mixing) · CE(labels, softmax(z)) + mixing · T² · KL(softmax(teacher / T) ‖ softmax(z / T)).
 * The factor T² keeps the soft part's gradient as large as the hard one's, whatever the temperature.
 *
 * @param student logits z, row-major examples x classes
 * @param teacher logits of the same shape
 * @param labels class numbers, one an example
 * @param options temperature above 0, 4 by default; mixing from 0 (labels only) to 1 (teacher only), 0.9 by default
 */
export function distillationLoss(
  student: ArrayLike<number>,
  teacher: ArrayLike<number>,
  labels: ArrayLike<number>,
  classes: number,
  { temperature = 4, mixing = 0.9 }: { temperature?: number; mixing?: number } = {},
): DistillationLoss {
  const examples = checkLogits("student", student, classes);
  checkLength("teacher", teacher, student.length);
  checkLogits("teacher", teacher, classes);
  checkLength("labels", labels, examples);
  checkTemperature(temperature);
  checkNumber("mixing", mixing, 0, 1);
  // Through logarithms: a probability of e^-2000 is 0, its logarithm is not.
  const logP = logSoftmaxAt(student, classes, 1);
  const logPs = logSoftmaxAt(student, classes, temperature);
  const logPt = logSoftmaxAt(teacher, classes, temperature);
  const [p, ps, pt] = [logP, logPs, logPt].map((log) => log.map(Math.exp));
  const gradient = new Float32Array(student.length);
  let hard = 0;
  let soft = 0;
  for (let i = 0; i < examples; i++) {
    const label = checkInteger(`labels[${i}]`, labels[i], 0, classes - 1);
    hard -= logP[i * classes + label] / examples;
    for (let k = i * classes; k < (i + 1) * classes; k++) {
      if (pt[k] > 0) soft += (pt[k] * (logPt[k] - logPs[k])) / examples;
      const target = k - i * classes === label ? 1 : 0;
      // d KL / dz = (ps - pt) / T, times T².
      gradient[k] = ((1 - mixing) * (p[k] - target) + mixing * temperature * (ps[k] - pt[k])) / examples;
    }
  }
  return { total: (1 - mixing) * hard + mixing * temperature ** 2 * soft, hard, soft, gradient };
}

/**
 * One teacher of several: the weighted mean of their softened probabilities, given back as logits at temperature T, so
 * that a single-teacher loss can use them (§3.4).
 *
 * @param teachers logits of each, all of one shape
 * @param weights how much each counts; equal by default
 */
export function combineTeachers(
  teachers: readonly ArrayLike<number>[],
  classes: number,
  { temperature = 4, weights }: { temperature?: number; weights?: readonly number[] } = {},
): Float32Array {
  checkInteger("number of teachers", teachers.length, 1);
  if (weights) checkLength("weights", weights, teachers.length);
  const shares = weights ?? teachers.map(() => 1);
  const total = shares.reduce((sum, share) => sum + checkNumber("each weight", share, 0), 0);
  if (total === 0) throw new RangeError("weights must not all be 0");
  const mean = new Float64Array(teachers[0].length);
  teachers.forEach((teacher, t) => {
    checkLength(`teachers[${t}]`, teacher, mean.length);
    const p = softmaxAt(teacher, classes, temperature);
    for (let k = 0; k < p.length; k++) mean[k] += (shares[t] / total) * p[k];
  });
  // A class that no teacher gives any chance gets the smallest that a float can show, not -Infinity.
  return Float32Array.from(mean, (p) => temperature * Math.log(Math.max(p, 1e-30)));
}

function checkLogits(name: string, logits: ArrayLike<number>, classes: number): number {
  checkInteger("classes", classes, 2);
  checkFinite(name, logits);
  return checkInteger(`examples in ${name}`, logits.length / classes, 1);
}

/** Throws unless a temperature is a number above 0; returns it. */
export function checkTemperature(temperature: number): number {
  if (temperature > 0 && temperature < Number.POSITIVE_INFINITY) return temperature;
  throw new RangeError(`temperature must be a number above 0, got ${shown(temperature)}`);
}
