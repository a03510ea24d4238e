// §2.1 Redundancy: of parameters (weights near zero, little information in each), of neurons (dead, or copies of
// each other), and of structure (matrices of low rank, layers that hardly matter).
import { checkFinite, checkInteger, checkLength, checkNumber } from "../util/check.ts";

/**
 * Share of weights with |w| < tolerance × the largest |w| (§2.1, parameter redundancy). All zero: 1.
 *
 * @param tolerance relative to the largest magnitude, 0 to 1
 */
export function nearZeroShare(weights: ArrayLike<number>, tolerance = 0.05): number {
  checkNumber("tolerance", tolerance, 0, 1);
  checkInteger("number of weights", weights.length, 1);
  checkFinite("weights", weights);
  let largest = 0;
  for (let i = 0; i < weights.length; i++) largest = Math.max(largest, Math.abs(weights[i]));
  if (largest === 0) return 1;
  let count = 0;
  for (let i = 0; i < weights.length; i++) if (Math.abs(weights[i]) < tolerance * largest) count++;
  return count / weights.length;
}

/**
 * Shannon entropy of the weights, in bits per weight, after rounding to 2^bits equal steps between the smallest and
 * the largest (§2.1). What is missing to `bits` is what an entropy coder saves over fixed-length codes.
 */
export function weightEntropy(weights: ArrayLike<number>, bits = 8): number {
  checkInteger("bits", bits, 1, 16);
  checkInteger("number of weights", weights.length, 1);
  checkFinite("weights", weights);
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < weights.length; i++) {
    low = Math.min(low, weights[i]);
    high = Math.max(high, weights[i]);
  }
  const top = 2 ** bits - 1;
  const step = (high - low) / top || 1;
  const counts = new Uint32Array(top + 1);
  for (let i = 0; i < weights.length; i++) counts[Math.round((weights[i] - low) / step)]++;
  return entropy(counts);
}

/** Shannon entropy in bits of a distribution given by counts or weights that need not sum to one. */
export function entropy(counts: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < counts.length; i++) total += checkNumber("each count", counts[i], 0);
  let bits = 0;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] > 0) bits -= (counts[i] / total) * Math.log2(counts[i] / total);
  }
  return bits;
}

/** What a layer's neurons do over a sample. */
export interface NeuronActivity {
  /** Share of examples for which each neuron's |output| exceeds the threshold. */
  activeShare: Float64Array;
  mean: Float64Array;
  deviation: Float64Array;
  /** Neurons that are never active. */
  dead: number[];
  /** Neurons active for less than `rare` of the examples, the dead ones included. */
  nearDead: number[];
}

/**
 * How active each neuron is (§2.1, neuron redundancy).
 *
 * @param activations row-major examples x neurons; for a convolution, every place counts as an example
 * @param options |output| above `threshold` is active; below the share `rare` a neuron is nearly dead
 */
export function neuronActivity(
  activations: ArrayLike<number>,
  neurons: number,
  { threshold = 1e-6, rare = 0.01 }: { threshold?: number; rare?: number } = {},
): NeuronActivity {
  const examples = checkActivations(activations, neurons);
  checkNumber("threshold", threshold, 0);
  checkNumber("rare", rare, 0, 1);
  // Counted in whole numbers: sums of 1 / examples would miss a share like 5 of 6 by their rounding.
  const active = new Uint32Array(neurons);
  const mean = new Float64Array(neurons);
  const deviation = new Float64Array(neurons);
  for (let i = 0; i < activations.length; i += neurons) {
    for (let j = 0; j < neurons; j++) {
      mean[j] += activations[i + j] / examples;
      if (Math.abs(activations[i + j]) > threshold) active[j]++;
    }
  }
  for (let i = 0; i < activations.length; i += neurons) {
    for (let j = 0; j < neurons; j++) deviation[j] += (activations[i + j] - mean[j]) ** 2 / examples;
  }
  const activeShare = Float64Array.from(active, (count) => count / examples);
  const all = Array.from(activeShare.keys());
  return {
    activeShare,
    mean,
    deviation: deviation.map(Math.sqrt),
    dead: all.filter((j) => activeShare[j] === 0),
    nearDead: all.filter((j) => activeShare[j] < rare),
  };
}

/** Two neurons and the correlation of their outputs. */
export interface CorrelatedPair {
  first: number;
  second: number;
  /** Pearson's r, -1 to 1. */
  correlation: number;
}

/**
 * Pairs of neurons whose outputs go together, strongest first (§2.1, neuron redundancy). Neurons that never vary
 * correlate with nothing.
 *
 * @param activations row-major examples x neurons
 * @param atLeast |r| from which a pair counts, 0 to 1
 */
export function correlatedPairs(
  activations: ArrayLike<number>,
  neurons: number,
  atLeast = 0.9,
): CorrelatedPair[] {
  checkNumber("atLeast", atLeast, 0, 1);
  const examples = checkActivations(activations, neurons);
  // Columns become unit vectors, contiguous: a correlation is then one dot product.
  const units: (Float64Array | undefined)[] = [];
  for (let j = 0; j < neurons; j++) {
    const column = new Float64Array(examples);
    let mean = 0;
    for (let i = 0; i < examples; i++) mean += (column[i] = activations[i * neurons + j]) / examples;
    let square = 0;
    for (let i = 0; i < examples; i++) square += (column[i] -= mean) ** 2;
    // A column constant but for round-off is constant.
    const constant = Math.sqrt(square) <= 1e-12 * Math.abs(mean) * Math.sqrt(examples);
    units.push(constant ? undefined : column.map((x) => x / Math.sqrt(square)));
  }
  const pairs: CorrelatedPair[] = [];
  for (let first = 0; first < neurons; first++) {
    const a = units[first];
    if (!a) continue;
    for (let second = first + 1; second < neurons; second++) {
      const b = units[second];
      if (!b) continue;
      let correlation = 0;
      for (let i = 0; i < examples; i++) correlation += a[i] * b[i];
      if (Math.abs(correlation) >= atLeast) pairs.push({ first, second, correlation });
    }
  }
  return pairs.sort((p, q) => Math.abs(q.correlation) - Math.abs(p.correlation));
}

/**
 * Effective rank: e to the entropy of the normalised singular values (O. Roy and M. Vetterli, 2007). From 1 (one
 * direction holds everything) to the number of values (all alike); 0 for a zero matrix. §2.1, structural redundancy.
 */
export function effectiveRank(singularValues: ArrayLike<number>): number {
  checkFinite("singularValues", singularValues);
  let total = 0;
  for (let i = 0; i < singularValues.length; i++) total += singularValues[i];
  return total === 0 ? 0 : 2 ** entropy(singularValues);
}

/** Stable rank: ‖W‖²_F / ‖W‖²₂, at most the rank, and steady under small changes; 0 for a zero matrix. §2.1. */
export function stableRank(singularValues: ArrayLike<number>): number {
  checkFinite("singularValues", singularValues);
  let largest = 0;
  for (let i = 0; i < singularValues.length; i++) largest = Math.max(largest, singularValues[i]);
  // Squares of shares: those of the values may be out of a double's range.
  let rank = 0;
  for (let i = 0; i < singularValues.length && largest > 0; i++) rank += (singularValues[i] / largest) ** 2;
  return rank;
}

/** The accuracy that is left when one layer alone is compressed to one level. */
export interface Sensitivity {
  layer: string;
  level: number;
  accuracy: number;
  /** Accuracy lost against the untouched model. */
  drop: number;
}

/**
 * Layer sensitivity (§2.1, structural redundancy): compress one layer at a time, at each level, and measure.
 *
 * @param evaluate accuracy with only `layer` compressed to `level`; called without arguments for the whole model
 */
export async function layerSensitivity(
  layers: readonly string[],
  levels: readonly number[],
  evaluate: (layer?: string, level?: number) => number | Promise<number>,
): Promise<Sensitivity[]> {
  const baseline = await evaluate();
  const rows: Sensitivity[] = [];
  for (const layer of layers) {
    for (const level of levels) {
      const accuracy = await evaluate(layer, level);
      rows.push({ layer, level, accuracy, drop: baseline - accuracy });
    }
  }
  return rows;
}

function checkActivations(activations: ArrayLike<number>, neurons: number): number {
  checkInteger("neurons", neurons, 1);
  const examples = checkInteger("examples in activations", activations.length / neurons, 1);
  checkLength("activations", activations, examples * neurons);
  checkFinite("activations", activations);
  return examples;
}
