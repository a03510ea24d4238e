// §2.2 Compression against accuracy: which of many results are worth keeping.
import { checkNumber } from "../util/check.ts";

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
