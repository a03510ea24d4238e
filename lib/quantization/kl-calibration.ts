// §3.2 Histograms for calibration, and the threshold that loses least information.
//
// KL calibration: Szymon Migacz, "8-bit Inference with TensorRT", GTC 2017.
import { checkFinite, checkInteger } from "../util/check.ts";

/** Counts of absolute values: `counts[i]` values lie in [i·width, (i+1)·width), the largest value in the last bin. */
export interface Histogram {
  counts: Float64Array;
  width: number;
}

/** Counts |values|, finite numbers, in `bins` equal bins from 0 to the largest. */
export function absoluteHistogram(values: Float32Array, bins = 2048): Histogram {
  checkInteger("bins", bins, 1);
  checkFinite("values", values);
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  const counts = new Float64Array(bins);
  const width = largest / bins;
  if (width === 0) {
    counts[0] = values.length;
    return { counts, width };
  }
  for (let i = 0; i < values.length; i++) {
    counts[Math.min(bins - 1, Math.floor(Math.abs(values[i]) / width))]++;
  }
  return { counts, width };
}

/**
 * The threshold at which clipping and rounding to `levels` levels changes the distribution least, measured by the
 * Kullback-Leibler divergence (§3.2.2 calibration; Migacz 2017, as TensorRT calibrates).
 *
 * For every candidate of `levels` bins and more: P is the histogram up to there, with everything beyond counted into
 * its last bin (it would saturate); Q is the same histogram merged into `levels` groups and spread out again over each
 * group's bins that are not empty. The candidate with the smallest KL(P‖Q) wins.
 *
 * @param histogram of absolute values
 * @param levels how many levels the positive half has: 2^(b−1) signed, 2^b unsigned
 * @returns the threshold, in units of the values; the largest value where there are no more bins than levels
 */
export function klThreshold({ counts, width }: Histogram, levels: number): number {
  const bins = counts.length;
  if (bins <= levels) return bins * width;
  // With running sums over the bins, a candidate costs one logarithm a level and not one a bin.
  const sum = new Float64Array(bins + 1);
  const filled = new Float64Array(bins + 1);
  const logSum = new Float64Array(bins + 1);
  for (let i = 0; i < bins; i++) {
    sum[i + 1] = sum[i] + counts[i];
    filled[i + 1] = filled[i] + (counts[i] > 0 ? 1 : 0);
    logSum[i + 1] = logSum[i] + timesLog(counts[i], counts[i]);
  }
  let best = Number.POSITIVE_INFINITY;
  let bestBins = bins;
  for (let size = levels; size <= bins; size++) {
    // Everything clipped: P and Q would agree on a single bin, and say nothing.
    if (sum[size] === 0) continue;
    const beyond = sum[bins] - sum[size];
    const last = counts[size - 1];
    // Where the last bin is empty but takes what lies beyond, Q would be 0 where P is not and the divergence infinite;
    // Q gets this little mass there instead, so such a candidate stays comparable.
    const least = beyond > 0 && last === 0 ? 1e-4 : 0;
    const kept = sum[size] + least;
    // Σ p·log p − Σ p·log q, times the total; log(total) is the same for all candidates and left out.
    let divergence = logSum[size - 1] + timesLog(last + beyond, last + beyond);
    let q = 0;
    for (let level = 0; level < levels; level++) {
      const from = Math.floor((level * size) / levels);
      const to = Math.floor(((level + 1) * size) / levels);
      q = (sum[to] - sum[from]) / (filled[to] - filled[from]) / kept;
      divergence -= timesLog(sum[to] - sum[from], q);
    }
    divergence -= timesLog(beyond, last > 0 ? q : least / kept);
    // At equal divergence the wider threshold clips less: `<=`.
    if (divergence <= best) {
      best = divergence;
      bestBins = size;
    }
  }
  return bestBins * width;
}

function timesLog(p: number, q: number): number {
  return p > 0 ? p * Math.log(q) : 0;
}
