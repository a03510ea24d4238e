// §3.3.1 How many singular values to keep: by energy, by budget, or by what the model's accuracy allows.
import { checkFinite, checkInteger, checkNumber } from "../util/check.ts";

/** One step down a spectrum. */
export interface DecayStep {
  /** Rank k, from 1. */
  rank: number;
  /** The k-th singular value. */
  value: number;
  /** Share of the squared Frobenius norm that the first k values hold, 0 to 1. */
  energy: number;
  /** Relative Frobenius error of the best rank-k approximation: sqrt(1 - energy). */
  error: number;
}

/**
 * Singular-value decay: what each rank keeps and what it leaves (§3.3.1). A zero matrix has energy 1 at rank 1.
 *
 * @param s singular values, largest first
 */
export function decay(s: ArrayLike<number>): DecayStep[] {
  const tails = tailEnergies(s);
  const total = tails[0];
  return Array.from({ length: s.length }, (_, i) => {
    const lost = total === 0 ? 0 : tails[i + 1] / total;
    return { rank: i + 1, value: s[i], energy: 1 - lost, error: Math.sqrt(lost) };
  });
}

/** The smallest rank that keeps the share `energy` (0 to 1) of the squared Frobenius norm; at least 1. */
export function rankByEnergy(s: ArrayLike<number>, energy: number): number {
  checkNumber("energy", energy, 0, 1);
  const tails = tailEnergies(s);
  let rank = 1;
  while (rank < s.length && tails[rank] > (1 - energy) * tails[0]) rank++;
  return rank;
}

/**
 * The largest rank whose two factors (rows x k and k x cols) hold at most `parameters` numbers.
 *
 * @throws RangeError when even rank 1 does not fit
 */
export function rankByBudget(rows: number, cols: number, parameters: number): number {
  checkInteger("rows", rows, 1);
  checkInteger("cols", cols, 1);
  checkNumber("parameters", parameters, rows + cols);
  return Math.min(Math.floor(parameters / (rows + cols)), rows, cols);
}

/** The rank from which two factors hold as many numbers as the matrix itself: rows·cols / (rows + cols). */
export function breakEvenRank(rows: number, cols: number): number {
  checkInteger("rows", rows, 1);
  checkInteger("cols", cols, 1);
  return (rows * cols) / (rows + cols);
}

/**
 * The smallest rank in 1..max whose accuracy reaches `floor`, by bisection: about log2(max) evaluations.
 * Accuracy is taken to grow with rank; where it wavers, the result still reaches the floor, but a smaller rank
 * might too.
 *
 * @param evaluate accuracy (0 to 1) of the model at a rank
 * @returns the rank and its accuracy, or undefined when even `max` stays below the floor
 */
export async function rankByAccuracy(
  max: number,
  floor: number,
  evaluate: (rank: number) => number | Promise<number>,
): Promise<{ rank: number; accuracy: number } | undefined> {
  checkInteger("max", max, 1);
  checkNumber("floor", floor, 0, 1);
  let best = { rank: max, accuracy: await evaluate(max) };
  if (best.accuracy < floor) return undefined;
  let low = 1;
  while (low < best.rank) {
    const rank = (low + best.rank) >> 1;
    const accuracy = await evaluate(rank);
    if (accuracy >= floor) best = { rank, accuracy };
    else low = rank + 1;
  }
  return best;
}

/**
 * tails[k] is the sum of squares of all values after the first k, summed from the smallest up; in units of the largest
 * value's square, which itself may be out of a double's range.
 */
function tailEnergies(s: ArrayLike<number>): Float64Array {
  checkFinite("s", s);
  checkInteger("number of singular values", s.length, 1);
  const largest = s[0] || 1;
  const tails = new Float64Array(s.length + 1);
  for (let i = s.length - 1; i >= 0; i--) tails[i] = tails[i + 1] + (s[i] / largest) ** 2;
  return tails;
}
