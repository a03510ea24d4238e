// §3.2.1, item 2: what makes k-means on weights cheap: they lie on a line.
//
// In ascending order every cluster is one piece, and with running sums its mean and its squared error come from two
// look-ups, however many weights it holds.
import { checkFloats } from "../util/check.ts";

/** Weights in ascending order, equal ones as one point, with running sums: entry i is over the points before i. */
export interface Points {
  /** Ascending. */
  values: Float64Array;
  /** Number of weights. */
  count: Float64Array;
  /** Sum of (w − center), counted from the point at the center: below it the sums are negative. */
  sum: Float64Array;
  /** Sum of (w − center)², likewise. */
  square: Float64Array;
  center: number;
}

// Up to here every distinct value is a point. Beyond, a sorted copy and its running sums would take several times the
// memory of the weights.
const exactly = 2 ** 22;

/**
 * The points of some weights: their distinct values for up to 4 million weights; beyond, weights that agree in 21 bits
 * of their float32 distance from the mean (12 of them significant) share a point at their own mean, in one pass and
 * without sorting.
 *
 * @param weights finite numbers, at least one
 */
export function pointsOf(weights: Float32Array): Points {
  return weights.length <= exactly ? distinctPoints(weights) : bucketPoints(weights);
}

/** One point for each distinct value. */
export function distinctPoints(weights: Float32Array): Points {
  checkFloats("weights", weights);
  const sorted = sortedFloats(weights);
  let size = 0;
  for (let i = 0; i < sorted.length; i++) if (i === 0 || sorted[i] !== sorted[i - 1]) size++;
  const values = new Float64Array(size);
  const counts = new Float64Array(size);
  for (let i = 0, at = -1; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) values[++at] = sorted[i];
    counts[at]++;
  }
  const center = sorted[sorted.length >> 1];
  const sums = values.map((value, i) => counts[i] * (value - center));
  const squares = values.map((value, i) => counts[i] * (value - center) ** 2);
  return accumulate(values, counts, sums, squares, center);
}

/**
 * A sorted copy. As whole numbers the bits of positive floats are in order and those of negative ones in reverse, so
 * three passes over 11 bits each sort them, least significant first (radix sort): no comparisons, several times faster.
 */
function sortedFloats(weights: Float32Array): Float32Array {
  let from = new Uint32Array(weights.slice().buffer);
  let to = new Uint32Array(from.length);
  const starts = new Uint32Array(3 * 2048);
  for (let i = 0; i < from.length; i++) {
    // Negative: all bits turned; positive: the sign bit set. Now the order is that of unsigned numbers.
    const key = from[i] ^ ((from[i] >> 31) | 0x80000000);
    from[i] = key;
    starts[key & 2047]++;
    starts[2048 + ((key >>> 11) & 2047)]++;
    starts[4096 + (key >>> 22)]++;
  }
  for (let pass = 0; pass < 3; pass++) {
    const start = starts.subarray(pass * 2048, (pass + 1) * 2048);
    for (let digit = 0, sum = 0; digit < 2048; digit++) {
      const count = start[digit];
      start[digit] = sum;
      sum += count;
    }
    const shift = pass * 11;
    for (let i = 0; i < from.length; i++) to[start[(from[i] >>> shift) & 2047]++] = from[i];
    [from, to] = [to, from];
  }
  for (let i = 0; i < from.length; i++) {
    const key = from[i];
    from[i] = key ^ ((~key >> 31) | 0x80000000);
  }
  return new Float32Array(from.buffer);
}

/** One point for each of 2^21 buckets that holds weights. Memory: 40 MB, however many weights. */
export function bucketPoints(weights: Float32Array): Points {
  let total = 0;
  for (let i = 0; i < weights.length; i++) total += weights[i];
  const center = total / weights.length;
  const buckets = 2 ** 21;
  const counts = new Uint32Array(buckets);
  const sums = new Float64Array(buckets);
  const squares = new Float64Array(buckets);
  const float = new Float32Array(1);
  const bits = new Int32Array(float.buffer);
  for (let i = 0; i < weights.length; i++) {
    const difference = weights[i] - center;
    float[0] = difference;
    // As whole numbers the bits of positive floats are in order, and those of negative ones in reverse.
    const bucket = ((bits[0] ^ ((bits[0] >> 31) & 0x7fffffff)) >> 11) + buckets / 2;
    counts[bucket]++;
    sums[bucket] += difference;
    squares[bucket] += difference * difference;
  }
  const used = Array.from(counts.keys()).filter((bucket) => counts[bucket] > 0);
  const pick = (source: ArrayLike<number>) => Float64Array.from(used, (bucket) => source[bucket]);
  const values = Float64Array.from(used, (bucket) => center + sums[bucket] / counts[bucket]);
  return accumulate(values, pick(counts), pick(sums), pick(squares), center);
}

/**
 * Running sums. The error of a cluster is a small difference of large sums; to keep its digits they run outwards from
 * the center in both directions: there, where most weights are and clusters are narrow, the sums and their rounding
 * errors are small. Each carries its compensation (Neumaier, 1974).
 */
function accumulate(
  values: Float64Array,
  counts: Float64Array,
  sums: Float64Array,
  squares: Float64Array,
  center: number,
): Points {
  const size = values.length;
  const count = new Float64Array(size + 1);
  for (let i = 0; i < size; i++) count[i + 1] = count[i] + counts[i];
  const middle = lowerBound(values, center);
  const outwards = (terms: Float64Array): Float64Array => {
    const running = new Float64Array(size + 1);
    for (const direction of [1, -1]) {
      let total = 0;
      let lost = 0;
      for (let i = middle; direction > 0 ? i < size : i > 0; i += direction) {
        const term = direction * terms[direction > 0 ? i : i - 1];
        const next = total + term;
        lost += Math.abs(total) >= Math.abs(term) ? total - next + term : term - next + total;
        total = next;
        running[i + direction] = total + lost;
      }
    }
    return running;
  };
  return { values, count, sum: outwards(sums), square: outwards(squares), center };
}

/** Squared error of the points i … j−1 around their mean. */
export function errorBetween({ count, sum, square }: Points, i: number, j: number): number {
  const s = sum[j] - sum[i];
  return Math.max(0, square[j] - square[i] - (s * s) / (count[j] - count[i]));
}

/** Mean of the weights of the points i … j−1. */
export function meanBetween({ count, sum, center }: Points, i: number, j: number): number {
  return center + (sum[j] - sum[i]) / (count[j] - count[i]);
}

/** How many of the ascending `values` are below `limit`; the first `from` are known to be. */
export function lowerBound(values: ArrayLike<number>, limit: number, from = 0): number {
  let low = from;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
