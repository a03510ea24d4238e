// §3.2.1, item 2: k-means for weights by Lloyd's iteration, from four starts.
//
// Starts: linear, density and random (Forgy) as compared by Han et al., "Deep Compression", 2016, §3.2; k-means++ by
// Arthur and Vassilvitskii, 2007. Iteration: Lloyd, "Least squares quantization in PCM", 1982.
import { type Random, seeded } from "../util/random.ts";
import { lowerBound, type SortedWeights, squaresTo, sumTo } from "./sorted.ts";

/** Where the centroids begin: see `startCentroids`. */
export type ClusterStart = "linear" | "density" | "random" | "kmeans++";

/**
 * The first centroids, in ascending order (Deep Compression §3.2.2):
 * - `linear`: equal steps from the smallest to the largest weight, so that the few large weights get centroids too;
 * - `density`: equal steps of the distribution function, so that most centroids lie where most weights do;
 * - `random`: weights drawn at random;
 * - `kmeans++`: weights drawn one by one, with probability proportional to the squared distance from those drawn.
 */
export function startCentroids(
  sorted: SortedWeights,
  clusters: number,
  start: ClusterStart,
  seed: number,
): Float64Array {
  const { values } = sorted;
  const last = values.length - 1;
  const centroids = new Float64Array(clusters);
  const random = seeded(seed);
  if (start === "kmeans++") return plusPlus(sorted, clusters, random);
  for (let k = 0; k < clusters; k++) {
    if (start === "linear") {
      const share = clusters === 1 ? 0.5 : k / (clusters - 1);
      centroids[k] = values[0] * (1 - share) + values[last] * share;
    } else if (start === "density") {
      centroids[k] = values[Math.min(last, Math.floor(((k + 0.5) / clusters) * values.length))];
    } else {
      centroids[k] = values[Math.floor(random() * values.length)];
    }
  }
  return centroids.sort();
}

/** k-means++ on a line: between two neighbouring centroids the squared distances have a closed form in running sums. */
function plusPlus(sorted: SortedWeights, clusters: number, random: Random): Float64Array {
  const { values, center } = sorted;
  const drawn = [values[Math.floor(random() * values.length)]];
  // Σ (w − c)² over [from, to), as Σd² − 2(c − center)·Σd + n·(c − center)² with d = w − center.
  const mass = (from: number, to: number, c: number): number => {
    const shift = c - center;
    const squares = squaresTo(sorted, to) - squaresTo(sorted, from);
    return Math.max(
      0,
      squares - 2 * shift * (sumTo(sorted, to) - sumTo(sorted, from)) + (to - from) * shift * shift,
    );
  };
  while (drawn.length < clusters) {
    // Each drawn weight owns the piece from the midpoint with the one before it to the midpoint with the next.
    const starts = boundaries(values, drawn);
    const masses = drawn.map((c, k) => mass(starts[k], starts[k + 1], c));
    let draw = random() * masses.reduce((a, b) => a + b, 0);
    let piece = 0;
    while (piece < drawn.length - 1 && draw >= masses[piece]) draw -= masses[piece++];
    // The weight at which the piece's mass passes the draw.
    let low = starts[piece];
    let high = starts[piece + 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (mass(starts[piece], middle + 1, drawn[piece]) <= draw) low = middle + 1;
      else high = middle;
    }
    drawn.push(values[Math.min(low, values.length - 1)]);
    drawn.sort((a, b) => a - b);
  }
  return Float64Array.from(drawn);
}

/** Where each centroid's piece of the sorted weights begins, with the array's length at the end. */
function boundaries(values: Float32Array, centroids: ArrayLike<number>): Float64Array {
  const starts = new Float64Array(centroids.length + 1);
  for (let k = 1; k < centroids.length; k++) {
    starts[k] = lowerBound(values, (centroids[k - 1] + centroids[k]) / 2, starts[k - 1]);
  }
  starts[centroids.length] = values.length;
  return starts;
}

/**
 * Lloyd's iteration on sorted weights: split at the midpoints between centroids, move every centroid to the mean of its
 * piece, until no split moves. A centroid that owns nothing stays where it is.
 *
 * Time: O(K·(log n + block)) an iteration, independent of how many weights a cluster holds.
 *
 * @param centroids ascending; not changed
 * @returns the centroids and the number of iterations done
 */
export function lloyd(
  sorted: SortedWeights,
  centroids: Float64Array,
  maxIterations: number,
): { centroids: Float64Array; iterations: number } {
  const current = centroids.slice();
  let before: Float64Array | undefined;
  for (let iteration = 0; iteration < maxIterations; iteration++) {
    const starts = boundaries(sorted.values, current);
    if (before?.every((start, k) => start === starts[k]))
      return { centroids: current, iterations: iteration };
    before = starts;
    let below = 0;
    for (let k = 0; k < current.length; k++) {
      const count = starts[k + 1] - starts[k];
      if (count === 0) continue;
      const sum = sumTo(sorted, starts[k + 1]);
      current[k] = sorted.center + (sum - below) / count;
      below = sum;
    }
  }
  return { centroids: current, iterations: maxIterations };
}
