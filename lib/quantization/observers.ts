// §3.2.2 Calibration: activations pass by batch after batch; an observer keeps what it needs to choose their range.
//
// The observers are those of torch.ao.quantization and of TensorRT (Migacz 2017): min-max, moving average, percentile,
// least squared error, KL divergence. The last three keep a histogram, not the values.
import { checkFinite, checkNumber, checkOneOf } from "../util/check.ts";
import { levelsOf } from "./fixed-point.ts";
import { klThreshold } from "./kl-calibration.ts";
import {
  codeRange,
  gridOf,
  isSignGrid,
  type Levels,
  levelsOnASide,
  type Scheme,
  searchRange,
} from "./range.ts";
import { roundingShift } from "./rounding.ts";

/** How an observer chooses the range: as for weights, or by a moving average of each batch's smallest and largest value. */
export const observerMethods = ["max", "movingAverage", "percentile", "mse", "kl"] as const;
export type ObserverMethod = (typeof observerMethods)[number];

/** What an observer watches for. */
export interface ObserverOptions {
  /** 1 to 16. */
  bits: number;
  /** Default `affine`: activations are seldom centred on 0. */
  scheme?: Scheme;
  /** Default: unsigned codes for affine grids, signed for symmetric ones. */
  signed?: boolean;
  /** Default `max`. */
  method?: ObserverMethod;
  /** For `movingAverage`: the weight of each new batch, default 0.01. */
  averaging?: number;
  /** For `percentile`: 50 to 100, default 99.99. */
  percentile?: number;
}

/** Watches batches of activations and says which range their levels should cover. */
export interface Observer {
  /** Takes one batch in; throws a RangeError for NaN and infinite values. */
  observe(values: Float32Array): void;
  /** The range chosen so far, widened to hold 0; [0, 0] before any value. */
  range(): [min: number, max: number];
  /** Scale and zero point for that range, and the options as a grid takes them. */
  grid(): Levels & { range: [number, number]; scale: number; zeroPoint: number };
}

// Bins on each side of 0. When values grow beyond the last bin, the bins double their width by merging in pairs: at
// least half of them, TensorRT's 2,048, always lie below the largest value.
const side = 4096;

/**
 * Makes an observer (§3.2.2).
 *
 * @throws RangeError for options out of range
 */
export function createObserver(options: ObserverOptions): Observer {
  const { scheme = "affine", method = "max", averaging = 0.01, percentile = 99.99 } = options;
  const levels = levelsOf({ ...options, scheme, signed: options.signed });
  checkOneOf("method", method, observerMethods);
  checkNumber("averaging", averaging, 0, 1);
  checkNumber("percentile", percentile, 50, 100);
  const counts = fromCounts[method] && new Float64Array(2 * side);
  let reach = 0;
  let zeros = 0;
  let min = 0;
  let max = 0;
  let seen = false;

  function observe(values: Float32Array): void {
    checkFinite("values", values);
    if (values.length === 0) return;
    let low = Number.POSITIVE_INFINITY;
    let high = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < values.length; i++) {
      if (values[i] < low) low = values[i];
      if (values[i] > high) high = values[i];
    }
    if (method === "movingAverage" && seen) {
      min += averaging * (low - min);
      max += averaging * (high - max);
    } else {
      min = seen ? Math.min(min, low) : low;
      max = seen ? Math.max(max, high) : high;
    }
    seen = true;
    if (counts) count(counts, values, Math.max(-low, high));
  }

  function count(bins: Float64Array, values: Float32Array, largest: number): void {
    if (reach === 0) reach = largest;
    while (reach < largest) {
      reach *= 2;
      for (let i = 0; i < side / 2; i++) {
        bins[side + i] = bins[side + 2 * i] + bins[side + 2 * i + 1];
        bins[side - 1 - i] = bins[side - 1 - 2 * i] + bins[side - 2 - 2 * i];
      }
      bins.fill(0, 0, side / 2);
      bins.fill(0, side + side / 2);
    }
    for (let i = 0; i < values.length; i++) {
      // 0 is exact on every grid but in the middle of no bin: counted by itself, it does not blur the error.
      if (values[i] === 0) zeros++;
      else bins[Math.min(2 * side - 1, Math.max(0, side + Math.floor((values[i] / reach) * side)))]++;
    }
  }

  function range(): [number, number] {
    const bottom = Math.min(0, min);
    const top = Math.max(0, max);
    if (!counts || reach === 0) return [bottom, top];
    const seen = { counts, zeros, width: reach / side, bottom, top, levels, percentile };
    return fromCounts[method]!(seen);
  }

  return {
    observe,
    range,
    grid() {
      const [from, to] = range();
      return { ...levels, range: [from, to], ...gridOf(from, to, levels) };
    },
  };
}

/** What an observer has counted. */
interface Seen {
  counts: Float64Array;
  zeros: number;
  /** Of a bin. */
  width: number;
  /** The smallest value, or 0. */
  bottom: number;
  /** The largest value, or 0. */
  top: number;
  levels: Levels;
  percentile: number;
}

/** The methods that read a histogram; the others need smallest and largest values only. */
const fromCounts: Record<ObserverMethod, ((seen: Seen) => [number, number]) | undefined> = {
  max: undefined,
  movingAverage: undefined,
  percentile({ counts, zeros, width, bottom, top, levels, percentile }) {
    if (levels.scheme === "affine") {
      const low = histogramQuantile(counts, zeros, 1 - percentile / 100, width);
      return [
        Math.max(bottom, Math.min(0, low)),
        Math.min(top, Math.max(0, histogramQuantile(counts, zeros, percentile / 100, width))),
      ];
    }
    const folded = fold(counts, Math.max(-bottom, top), width);
    const both = new Float64Array(2 * side);
    both.set(folded, side);
    const alpha = Math.min(Math.max(-bottom, top), histogramQuantile(both, zeros, percentile / 100, width));
    return [-alpha, alpha];
  },
  mse({ counts, zeros, width, bottom, top, levels }) {
    if (isSignGrid(levels)) {
      let sum = 0;
      let total = zeros;
      for (let i = 0; i < 2 * side; i++) {
        sum += counts[i] * Math.abs(i - side + 0.5) * width;
        total += counts[i];
      }
      return [-sum / total, sum / total];
    }
    const errors = (ranges: readonly (readonly [number, number])[]) =>
      ranges.map(([from, to]) => histogramError(counts, width, from, to, levels));
    return searchRange(errors, bottom, top, levels.scheme);
  },
  kl({ counts, width, bottom, top, levels }) {
    const largest = Math.max(-bottom, top);
    // Zeros stay out: 0 is exact on every grid, and half of all values after a ReLU in one bin would decide alone.
    const histogram = { counts: fold(counts, largest, width), width };
    const threshold = Math.min(largest, klThreshold(histogram, levelsOnASide(levels, bottom, top)));
    return levels.scheme === "symmetric"
      ? [-threshold, threshold]
      : [Math.max(bottom, -threshold), Math.min(top, threshold)];
  },
};

/** Counts of absolute values, up to the bin of the largest. */
function fold(counts: Float64Array, largest: number, width: number): Float64Array {
  const bins = Math.min(side, Math.ceil(largest / width));
  return Float64Array.from({ length: bins }, (_, i) => counts[side + i] + counts[side - 1 - i]);
}

/** The value below which the share `q` of the counted values lies; within a bin they count as evenly spread. */
function histogramQuantile(counts: Float64Array, zeros: number, q: number, width: number): number {
  let total = zeros;
  for (let i = 0; i < 2 * side; i++) total += counts[i];
  let left = q * total;
  for (let i = 0; i < 2 * side; i++) {
    if (i === side) {
      if (left <= zeros && zeros > 0) return 0;
      left -= zeros;
    }
    if (left <= counts[i] && counts[i] > 0) return (i - side + left / counts[i]) * width;
    left -= counts[i];
  }
  return side * width;
}

/** Squared error of the counted values on a grid, each taken at the middle of its bin. */
function histogramError(
  counts: Float64Array,
  width: number,
  min: number,
  max: number,
  levels: Levels,
): number {
  const { scale, zeroPoint } = gridOf(min, max, levels);
  const { low, high } = codeRange(levels);
  let sum = 0;
  for (let i = 0; i < 2 * side; i++) {
    if (counts[i] === 0) continue;
    const value = (i - side + 0.5) * width;
    const steps = value / scale + roundingShift - roundingShift;
    const difference = value - Math.min(high - zeroPoint, Math.max(low - zeroPoint, steps)) * scale;
    sum += counts[i] * difference * difference;
  }
  return sum;
}
