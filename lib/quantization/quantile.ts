// Quantiles without sorting: of many numbers, a sample brackets the wanted one, and few lie within the bracket.
// (Floyd and Rivest, "Expected time bounds for selection", 1975.)
import { checkInteger, checkNumber } from "../util/check.ts";
import { seeded } from "../util/random.ts";
import { finiteExtent } from "./codes.ts";

/** Of fewer numbers no sample is drawn. */
const worthSampling = 2 ** 15;
const sampleSize = 2 ** 12;

/**
 * The value below which the share `q` of `values` lies, interpolated between neighbours as NumPy does.
 *
 * @param values finite numbers, at least one
 * @param q from 0 to 1
 * @param options `absolute`: of their absolute values
 */
export function quantile(values: Float32Array, q: number, { absolute = false } = {}): number {
  finiteExtent(values);
  return finiteQuantile(values, q, { absolute });
}

/** The same of values that are known to be finite. */
export function finiteQuantile(values: Float32Array, q: number, { absolute = false } = {}): number {
  checkInteger("number of values", values.length, 1);
  checkNumber("q", q, 0, 1);
  const position = q * (values.length - 1);
  const lower = Math.floor(position);
  const [value, next] =
    (values.length < worthSampling ? undefined : bracketed(values, lower, absolute)) ??
    neighbours(absolute ? values.map(Math.abs) : values.slice(), lower);
  return lower === position ? value : value + (next - value) * (position - lower);
}

/** The k-th smallest number and the one after it; Infinity where there is none. Reorders the numbers. */
function neighbours(values: Float32Array, k: number): [value: number, next: number] {
  select(values, k);
  let next = Number.POSITIVE_INFINITY;
  for (let i = k + 1; i < values.length; i++) if (values[i] < next) next = values[i];
  return [values[k], next];
}

/** The same of the few numbers within a bracket; undefined where a sample has misled, which hardly ever is. */
function bracketed(
  values: Float32Array,
  k: number,
  absolute: boolean,
): [value: number, next: number] | undefined {
  const random = seeded(values.length);
  const sample = new Float32Array(sampleSize);
  for (let i = 0; i < sampleSize; i++) {
    const value = values[Math.floor(random() * values.length)];
    sample[i] = absolute ? Math.abs(value) : value;
  }
  sample.sort();
  // Five standard deviations of the sample's rank to either side.
  const share = k / values.length;
  const margin = 2 + 5 * Math.sqrt(sampleSize * share * (1 - share));
  const least = sample[Math.floor(sampleSize * share - margin)] ?? Number.NEGATIVE_INFINITY;
  const most = sample[Math.ceil(sampleSize * share + margin)] ?? Number.POSITIVE_INFINITY;
  const within = new Float32Array(values.length);
  let below = 0;
  let found = 0;
  for (let i = 0; i < values.length; i++) {
    const value = absolute ? Math.abs(values[i]) : values[i];
    if (value < least) below++;
    else if (value <= most) within[found++] = value;
  }
  // The one after it must be within, too, unless there is none.
  if (k < below || (k + 1 >= below + found && below + found < values.length)) return undefined;
  return neighbours(within.subarray(0, found), k - below);
}

/** Puts the k-th smallest element in place k, smaller ones before it (Hoare's quickselect, median of three). */
function select(values: Float32Array, k: number): void {
  let left = 0;
  let right = values.length - 1;
  while (left < right) {
    const a = values[left];
    const b = values[(left + right) >> 1];
    const c = values[right];
    const pivot = Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
    let i = left;
    let j = right;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i <= j) {
        const swap = values[i];
        values[i++] = values[j];
        values[j--] = swap;
      }
    }
    if (k <= j) right = j;
    else if (k >= i) left = i;
    else return;
  }
}
