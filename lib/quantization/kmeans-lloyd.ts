// §3.2.1, item 2: k-means for weights by Lloyd's iteration, from four starts.
//
// Starts: linear, density and random (Forgy) as compared by Han et al., "Deep Compression", 2016, §3.2; k-means++ by
// Arthur and Vassilvitskii, 2007. Iteration: Lloyd, "Least squares quantization in PCM", 1982.
import { type Random, seeded } from "../util/random.ts";
import { lowerBound, meanBetween, type Points } from "./sorted-points.ts";

/** Where the centroids begin: see `startCentroids`. */
export const clusterStarts = ["linear", "density", "random", "kmeans++"] as const;
export type ClusterStart = (typeof clusterStarts)[number];

/**
 * The first centroids, in ascending order (Deep Compression §3.2.2):
 * - `linear`: equal steps from the smallest to the largest weight, so that the few large weights get centroids too;
 * - `density`: equal steps of the distribution function, so that most centroids lie where most weights do;
 * - `random`: weights drawn at random;
 * - `kmeans++`: weights drawn one by one, with probability proportional to the squared distance from those drawn.
 */
export function startCentroids(
  points: Points,
  clusters: number,
  start: ClusterStart,
  seed: number,
): Float64Array {
  return startBy[start](points, clusters, seeded(seed));
}

const startBy: Record<ClusterStart, (points: Points, clusters: number, random: Random) => Float64Array> = {
  linear({ values }, clusters) {
    const [least, most] = [values[0], values[values.length - 1]];
    return Float64Array.from({ length: clusters }, (_, k) => {
      const share = clusters === 1 ? 0.5 : k / (clusters - 1);
      return least * (1 - share) + most * share;
    }).sort();
  },
  density: (points, clusters) =>
    byRank(points, clusters, (k, weights) => Math.floor(((k + 0.5) / clusters) * weights)),
  random: (points, clusters, random) =>
    byRank(points, clusters, (_, weights) => Math.floor(random() * weights)),
  "kmeans++": plusPlus,
};

/** Weights of given ranks, in ascending order. */
function byRank(
  { values, count }: Points,
  clusters: number,
  rankOf: (k: number, weights: number) => number,
): Float64Array {
  const ranked = (rank: number) => values[lowerBound(count, rank + 1) - 1];
  return Float64Array.from({ length: clusters }, (_, k) => ranked(rankOf(k, count[values.length]))).sort();
}

/** k-means++ on a line: between neighbouring centroids the squared distances have a closed form in running sums. */
function plusPlus(points: Points, clusters: number, random: Random): Float64Array {
  const { values, count, sum, square, center } = points;
  const drawn = [values[lowerBound(count, Math.floor(random() * count[values.length]) + 1) - 1]];
  // Σ (w − c)² over the points from … to−1, as Σd² − 2(c − center)·Σd + n·(c − center)² with d = w − center.
  const mass = (from: number, to: number, c: number): number => {
    const shift = c - center;
    const squares = square[to] - square[from] - 2 * shift * (sum[to] - sum[from]);
    return Math.max(0, squares + (count[to] - count[from]) * shift * shift);
  };
  while (drawn.length < clusters) {
    // Each drawn weight owns the piece from the midpoint with the one before it to the midpoint with the next.
    const starts = boundaries(values, drawn);
    const masses = drawn.map((c, k) => mass(starts[k], starts[k + 1], c));
    let draw = random() * masses.reduce((a, b) => a + b, 0);
    let piece = 0;
    while (piece < drawn.length - 1 && draw >= masses[piece]) draw -= masses[piece++];
    // The point at which the piece's mass passes the draw.
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

/** Where each centroid's piece of the points begins, with their number at the end. */
function boundaries(values: Float64Array, centroids: ArrayLike<number>): Float64Array {
  const starts = new Float64Array(centroids.length + 1);
  for (let k = 1; k < centroids.length; k++) {
    starts[k] = lowerBound(values, (centroids[k - 1] + centroids[k]) / 2, starts[k - 1]);
  }
  starts[centroids.length] = values.length;
  return starts;
}

/**
 * Lloyd's iteration: split at the midpoints between centroids, move every centroid to the mean of its piece, until no
 * split moves. A centroid that owns nothing stays where it is.
 *
 * Time: O(K·log n) an iteration, independent of how many weights a cluster holds.
 *
 * @param centroids ascending; not changed
 * @returns the centroids and the number of iterations done
 */
export function lloyd(
  points: Points,
  centroids: Float64Array,
  maxIterations: number,
): { centroids: Float64Array; iterations: number } {
  const current = centroids.slice();
  let before: Float64Array | undefined;
  for (let iteration = 0; iteration < maxIterations; iteration++) {
    const starts = boundaries(points.values, current);
    if (before?.every((start, k) => start === starts[k]))
      return { centroids: current, iterations: iteration };
    before = starts;
    for (let k = 0; k < current.length; k++) {
      if (starts[k] < starts[k + 1]) current[k] = meanBetween(points, starts[k], starts[k + 1]);
    }
  }
  return { centroids: current, iterations: maxIterations };
}
