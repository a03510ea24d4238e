// §2.2 Compression against accuracy: which of many results are worth keeping.
import { checkInteger, checkNumber } from "../util/check.ts";

/**
 * The Pareto front: the items that no other beats in both size and accuracy, smallest first (§2.2). Of items equal
 * in both, the first stays.
 *
 * @param size what should be small (bytes, MACs, milliseconds)
 * @param accuracy what should be large
 */
export function paretoFront<T>(
  items: readonly T[],
  size: (item: T) => number,
  accuracy: (item: T) => number,
): T[] {
  const order = items
    .map((item) => ({
      item,
      size: checkNumber("size", size(item)),
      accuracy: checkNumber("accuracy", accuracy(item)),
    }))
    .sort((a, b) => a.size - b.size || b.accuracy - a.accuracy);
  const front: T[] = [];
  let best = Number.NEGATIVE_INFINITY;
  for (const candidate of order) {
    if (candidate.accuracy <= best) continue;
    best = candidate.accuracy;
    front.push(candidate.item);
  }
  return front;
}

/** Latency of repeated runs, in milliseconds. */
export interface Latency {
  median: number;
  /** Nine of ten runs are at least as fast. */
  p90: number;
  fastest: number;
  runs: number;
}

/**
 * Measures how long `work` takes: warm-up runs first, then the median, which one slow run does not move.
 *
 * @param work one forward pass, say; awaited
 */
export async function measureLatency(
  work: () => unknown,
  { runs = 20, warmup = 3 }: { runs?: number; warmup?: number } = {},
): Promise<Latency> {
  checkInteger("runs", runs, 1);
  checkInteger("warmup", warmup, 0);
  for (let i = 0; i < warmup; i++) await work();
  const times = new Float64Array(runs);
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await work();
    times[i] = performance.now() - start;
  }
  times.sort();
  const middle = runs >> 1;
  const median = runs % 2 === 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
  return { median, p90: times[Math.ceil(0.9 * runs) - 1], fastest: times[0], runs };
}
