// §3.2.1 Which range of values the levels cover: all of them, most of them, or the range that loses least.
//
// The trade: a wide range clips nothing but its steps are coarse; a narrow one clips the few large values and gives
// the many small ones finer steps.
import { checkOneOf } from "../util/check.ts";
import { instantiateWasm, reserve } from "../util/wasm.ts";
import { finiteExtent } from "./codes.ts";
import gridErrorCode from "./grid-error.wasm.js";
import { absoluteHistogram, klThreshold } from "./kl-calibration.ts";
import { finiteQuantile } from "./quantile.ts";
import { roundEven } from "./rounding.ts";

/** How the range is chosen: see `chooseRange`. */
export const rangeMethods = ["max", "percentile", "mse", "kl"] as const;
export type RangeMethod = (typeof rangeMethods)[number];

/** Symmetric: zero point 0 and as many levels above 0 as below. Affine: any range that holds 0. */
export const schemes = ["symmetric", "affine"] as const;
export type Scheme = (typeof schemes)[number];

/** The levels that a grid has, before its scale is known. */
export interface Levels {
  /** 1 to 16. */
  bits: number;
  scheme: Scheme;
  /** Whether codes are two's complement or count from 0. */
  signed: boolean;
}

/** Smallest and largest code of a grid. Signed symmetric grids leave out −2^(b−1), so that −w is coded as −code(w). */
export function codeRange({ bits, scheme, signed }: Levels): { low: number; high: number } {
  if (!signed) return { low: 0, high: 2 ** bits - 1 };
  // One signed symmetric bit has no room for 0: its two levels are −1 and +1.
  if (scheme === "symmetric")
    return bits === 1 ? { low: -1, high: 1 } : { low: 1 - 2 ** (bits - 1), high: 2 ** (bits - 1) - 1 };
  return { low: -(2 ** (bits - 1)), high: 2 ** (bits - 1) - 1 };
}

/** Whether the grid has the levels −1 and +1 only. */
export function isSignGrid({ bits, scheme, signed }: Levels): boolean {
  return bits === 1 && scheme === "symmetric" && signed;
}

/**
 * Scale and zero point of the grid that covers [min, max]; the range is widened to hold 0, which must stay exact.
 *
 * @param stored what becomes of a scale where it is stored in fewer bits
 */
export function gridOf(
  min: number,
  max: number,
  levels: Levels,
  stored: (scale: number) => number = (scale) => scale,
): { scale: number; zeroPoint: number } {
  const { low, high } = codeRange(levels);
  const bottom = Math.min(min, 0);
  const top = Math.max(max, 0);
  if (levels.scheme === "symmetric") {
    const alpha = levels.signed ? Math.max(-bottom, top) : top;
    return { scale: within(stored(float32Scale(alpha / high)), high), zeroPoint: 0 };
  }
  const scale = stored(float32Scale((top - bottom) / (high - low)));
  const zeroPoint = Math.min(high, Math.max(low, roundEven(low - bottom / scale)));
  // The zero point is rounded, so that an end may lie half a step further out.
  return { scale: within(scale, Math.max(high - zeroPoint, zeroPoint - low)), zeroPoint };
}

const largestFloat = 3.4028234663852886e38;

/** A scale with which so many steps, its float32 rounding included, do not leave float32. */
const within = (scale: number, steps: number) => Math.min(scale, (largestFloat / steps) * (1 - 2 ** -22));

// Scales are stored as float32. A range of nothing but 0 gets scale 1, as any would do; ranges at the ends of float32
// keep a scale that is neither 0 nor infinite.
function float32Scale(scale: number): number {
  if (scale === 0) return 1;
  const rounded = Math.fround(scale);
  if (rounded === 0) return 2 ** -149;
  return rounded === Number.POSITIVE_INFINITY ? largestFloat : rounded;
}

interface Kernel {
  memory: WebAssembly.Memory;
  error(at: number, count: number, inverse: number, bottom: number, top: number, scale: number): number;
}

let kernel: Kernel | undefined;
// Values are looked at in pieces of 4 MB: that is all the memory the search takes, however many there are.
const piece = 2 ** 20;

type Range = readonly [min: number, max: number];

/**
 * The squared errors of values on the grids that cover some ranges, as a function of these; in units of `half`², in
 * single precision: good enough to compare ranges. A search tries a hundred, hence WebAssembly SIMD.
 */
function gridErrors(
  values: Float32Array,
  half: number,
  levels: Levels,
): (ranges: readonly Range[]) => number[] {
  kernel ??= instantiateWasm(gridErrorCode).exports as unknown as Kernel;
  const wasm = kernel;
  reserve(wasm.memory, Math.min(piece, values.length + 3) * 4);
  const { low, high } = codeRange(levels);
  let loaded = -1;
  /** Brings a piece into the kernel's memory, in units of `half`, and fills its last four lanes up with zeros. */
  const load = (from: number): number => {
    const count = Math.min(piece, values.length - from);
    const rounded = Math.ceil(count / 4) * 4;
    if (loaded !== from) {
      const memory = new Float32Array(wasm.memory.buffer, 0, rounded);
      for (let i = 0; i < count; i++) memory[i] = values[from + i] / half;
      memory.fill(0, count);
      loaded = from;
    }
    return rounded;
  };
  return (ranges) => {
    const sums: number[] = new Array(ranges.length).fill(0);
    for (let from = 0; from < values.length; from += piece) {
      const count = load(from);
      ranges.forEach(([min, max], i) => {
        const { scale, zeroPoint } = gridOf(min, max, levels);
        sums[i] += wasm.error(0, count, half / scale, low - zeroPoint, high - zeroPoint, scale / half);
      });
    }
    return sums;
  };
}

/** What a range method looks at. */
interface Extent {
  /** At least one, finite. */
  values: Float32Array;
  /** The smallest value, or 0. */
  min: number;
  /** The largest value, or 0. */
  max: number;
  levels: Levels;
  percentile: number;
}

/** The algorithm of each range method: a name in {@link rangeMethods} without one does not compile. */
const rangeBy: Record<RangeMethod, (extent: Extent) => [min: number, max: number]> = {
  max: ({ min, max }) => [min, max],
  percentile({ values, levels, percentile }) {
    if (levels.scheme === "affine") {
      return [
        Math.min(0, finiteQuantile(values, 1 - percentile / 100)),
        Math.max(0, finiteQuantile(values, percentile / 100)),
      ];
    }
    const alpha = finiteQuantile(values, percentile / 100, { absolute: true });
    return [-alpha, alpha];
  },
  mse({ values, min, max, levels }) {
    if (isSignGrid(levels)) {
      // Two levels ±α: Σ(|w|−α)² is smallest at the mean of |w| (Rastegari et al., "XNOR-Net", 2016).
      let sum = 0;
      for (let i = 0; i < values.length; i++) sum += Math.abs(values[i]);
      return [-sum / values.length, sum / values.length];
    }
    const half = Math.max(-min, max);
    return half === 0 ? [0, 0] : searchRange(gridErrors(values, half, levels), min, max, levels.scheme);
  },
  kl({ values, min, max, levels }) {
    const threshold = klThreshold(absoluteHistogram(values), levelsOnASide(levels, min, max));
    return levels.scheme === "symmetric"
      ? [-threshold, threshold]
      : [Math.max(min, -threshold), Math.min(max, threshold)];
  },
};

/** Levels for magnitudes: a range on one side of 0 has all of them there; otherwise each side has half of them. */
export function levelsOnASide({ bits, scheme, signed }: Levels, min: number, max: number): number {
  const oneSided = (scheme === "affine" || !signed) && (min === 0 || max === 0);
  return oneSided ? 2 ** bits : Math.max(1, 2 ** (bits - 1));
}

/**
 * The range [min, max] that a grid should cover (§3.2.1):
 * - `max`: all values, the document's α;
 * - `percentile`: all but the outermost (100 − percentile) % of |values| (symmetric) or of each end (affine);
 * - `mse`: the range with the smallest squared error, by search over shrunken ranges, coarse and then fine;
 * - `kl`: the threshold whose clipped and rounded histogram diverges least (2,048 bins, as TensorRT calibrates).
 *
 * @param values finite numbers
 * @param percentile 50 to 100, for method `percentile`
 * @throws RangeError for a method that there is not
 */
export function chooseRange(
  values: Float32Array,
  levels: Levels,
  method: RangeMethod,
  percentile = 99.9,
): [min: number, max: number] {
  checkOneOf("range", method, rangeMethods);
  const [min, max] = finiteExtent(values);
  return values.length === 0 ? [min, max] : rangeBy[method]({ values, min, max, levels, percentile });
}

/**
 * The range within [min, max] with the least error, by search over shrunken ranges.
 *
 * @param errors of ranges; min is at most 0 and max at least 0
 */
export function searchRange(
  errors: (ranges: readonly Range[]) => number[],
  min: number,
  max: number,
  scheme: Scheme,
): [number, number] {
  const half = Math.max(-min, max);
  if (half === 0) return [0, 0];
  /** The best share for ranges that are made of a share. */
  const search = (rangeOf: (share: number) => Range, start?: number) =>
    searchShare((shares) => errors(shares.map(rangeOf)), start);
  if (scheme === "symmetric") {
    const best = search((share) => [-half * share, half * share]);
    return [-half * best, half * best];
  }
  // Both ends shrink together first, then each in turn: the error is close to separable in the two ends.
  let low = search((share) => [min * share, max * share]);
  let high = low;
  for (let round = 0; round < 2; round++) {
    if (min < 0) low = search((share) => [min * share, max * high], low);
    if (max > 0) high = search((share) => [min * low, max * share], high);
  }
  return [min * low, max * high];
}

/** The share in (0, 1] of the full range with the smallest error: 64 equal steps, then 32 finer ones around the best. */
function searchShare(errors: (shares: number[]) => number[], start = 1): number {
  const best = (shares: number[]): number => {
    const found = errors(shares);
    return shares[found.indexOf(Math.min(...found))];
  };
  const around = best([start, ...Array.from({ length: 64 }, (_, i) => (i + 1) / 64)]);
  const finer = Array.from({ length: 33 }, (_, i) => around + (i - 16) / (64 * 17));
  return best([around, ...finer.filter((share) => share > 0 && share <= 1)]);
}
