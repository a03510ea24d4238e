// §3.2.1, item 2: weights shared within clusters. Each weight becomes the code of its cluster, ⌈log2 K⌉ bits; the
// codebook holds the K centroids. Han, Mao, Dally, "Deep Compression", 2016, §3.
import { checkFinite, checkInteger, checkLength, checkNumber, checkOneOf } from "../util/check.ts";
import { type ClusterStart, clusterStarts, lloyd, startCentroids } from "./kmeans-lloyd.ts";
import { optimalSplits } from "./kmeans-optimal.ts";
import { packedBytes } from "./packing.ts";
import { meanBetween, type Points, pointsOf } from "./sorted-points.ts";

/** Weights as codes into a codebook. */
export interface Clustered {
  /** One code a weight: an index into `codebook`; 0 for pruned weights. */
  codes: Uint8Array | Uint16Array;
  /** The centroids, ascending; as many as asked for, or as there are distinct values. */
  codebook: Float32Array;
  /** Which weights took part (1 = kept); without it all did. Pruned ones are restored as 0. */
  mask: Uint8Array | undefined;
  /** Sum of the squared distances from the kept weights to their centroids. */
  inertia: number;
  /** Lloyd's iterations; 0 for the exact optimum. */
  iterations: number;
}

/** The exact optimum, or Lloyd's iteration. */
export const clusterMethods = ["optimal", "lloyd"] as const;
export type ClusterMethod = (typeof clusterMethods)[number];

/** What finds the centroids, and in how many iterations. */
const centroidsBy: Record<
  ClusterMethod,
  (
    points: Points,
    options: Required<Pick<ClusterOptions, "clusters" | "start" | "seed" | "maxIterations">>,
  ) => {
    centroids: Float64Array;
    iterations: number;
  }
> = {
  optimal(points, { clusters }) {
    const splits = optimalSplits(points, clusters);
    const means = Float64Array.from(splits.subarray(1), (end, k) => meanBetween(points, splits[k], end));
    return { centroids: means, iterations: 0 };
  },
  lloyd: (points, { clusters, start, seed, maxIterations }) =>
    // With no more distinct weights than clusters there is nothing to choose.
    clusters >= points.values.length
      ? { centroids: points.values.slice(), iterations: 0 }
      : lloyd(points, startCentroids(points, clusters, start, seed), maxIterations),
};

/** How to cluster. */
export interface ClusterOptions {
  /** K, 1 to 65,536. */
  clusters: number;
  /** Default `optimal`: the exact optimum (see `pointsOf` for more than 4 million weights). `lloyd` iterates from `start`. */
  method?: ClusterMethod;
  /** For `lloyd`, default `linear`, which Deep Compression found best. */
  start?: ClusterStart;
  /** For starts `random` and `kmeans++`, default 0. */
  seed?: number;
  /** For `lloyd`, default 300. */
  maxIterations?: number;
  /** 1 = kept, 0 = pruned: pruned weights stay 0 and take no part. */
  mask?: Uint8Array;
}

/**
 * Quantizes weights to the centroids of K clusters (§3.2.1, item 2; Deep Compression §3).
 *
 * @param weights finite numbers, any shape flattened
 * @throws RangeError for options out of range, a mask of another length, NaN or infinite weights
 */
export function clusterWeights(weights: Float32Array, options: ClusterOptions): Clustered {
  const { clusters, method = "optimal", start = "linear", seed = 0, maxIterations = 300, mask } = options;
  checkInteger("clusters", clusters, 1, 65536);
  checkOneOf("method", method, clusterMethods);
  checkOneOf("start", start, clusterStarts);
  checkInteger("maxIterations", maxIterations, 1);
  checkFinite("weights", weights);
  if (mask) checkLength("mask", mask, weights.length);
  const kept = mask ? weights.filter((_, i) => mask[i] !== 0) : weights;
  const { centroids, iterations } =
    kept.length === 0
      ? { centroids: new Float64Array(0), iterations: 0 }
      : centroidsBy[method](pointsOf(kept), { clusters, start, seed, maxIterations });
  // Two centroids may become one as float32.
  const codebook = Float32Array.from(centroids).filter((c, k, all) => k === 0 || c !== all[k - 1]);
  return { ...assignCodes(weights, codebook, mask), codebook, mask, iterations };
}

/**
 * The code of the nearest centroid for every weight.
 *
 * @param codebook ascending
 */
export function assignCodes(
  weights: Float32Array,
  codebook: Float32Array,
  mask?: Uint8Array,
): { codes: Uint8Array | Uint16Array; inertia: number } {
  const codes = codebook.length <= 256 ? new Uint8Array(weights.length) : new Uint16Array(weights.length);
  const middles = Float64Array.from(codebook.subarray(1), (c, k) => (codebook[k] + c) / 2);
  let inertia = 0;
  for (let i = 0; i < weights.length; i++) {
    if (mask && mask[i] === 0) continue;
    const w = weights[i];
    // Binary search for the number of midpoints below w.
    let low = 0;
    let high = middles.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (middles[middle] < w) low = middle + 1;
      else high = middle;
    }
    codes[i] = low;
    inertia += (w - codebook[low]) ** 2;
  }
  return { codes, inertia };
}

/** The weights that the codes stand for; pruned ones are 0. */
export function restoreClusters({ codes, codebook, mask }: Clustered): Float32Array {
  const weights = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    if (mask?.[i] !== 0) weights[i] = codebook[codes[i]];
  }
  return weights;
}

/** Bits a code: ⌈log2 K⌉, at least 1. */
export function codeBits(clusters: number): number {
  return Math.max(1, Math.ceil(Math.log2(clusters)));
}

/** Bytes of clustered weights in storage: packed codes of the kept weights (where they are is not counted) and the float32 codebook. */
export function clusteredBytes({ codes, codebook, mask }: Clustered): number {
  const kept = mask ? mask.reduce((sum, m) => sum + (m !== 0 ? 1 : 0), 0) : codes.length;
  return packedBytes(kept, codeBits(codebook.length)) + 4 * codebook.length;
}

/**
 * The gradient of the loss by each centroid: the sum of the gradients by the weights that share it (Deep Compression
 * §3.3).
 *
 * @param gradients of the loss by each weight, in the weights' order
 */
export function centroidGradients(
  { codes, codebook, mask }: Clustered,
  gradients: ArrayLike<number>,
): Float64Array {
  checkLength("gradients", gradients, codes.length);
  const sums = new Float64Array(codebook.length);
  for (let i = 0; i < codes.length; i++) if (mask?.[i] !== 0) sums[codes[i]] += gradients[i];
  return sums;
}

/**
 * One step of gradient descent on the centroids; the codes stay as they are (Deep Compression §3.3, trained
 * quantization).
 *
 * @param learningRate step size, at least 0
 * @returns the same codes with moved centroids (in the order of the codes, no longer always ascending)
 */
export function trainCentroids(
  clustered: Clustered,
  gradients: ArrayLike<number>,
  learningRate: number,
): Clustered {
  checkNumber("learningRate", learningRate, 0);
  const steps = centroidGradients(clustered, gradients);
  return { ...clustered, codebook: clustered.codebook.map((c, k) => c - learningRate * steps[k]) };
}
