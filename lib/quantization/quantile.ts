// Quantiles without sorting: of many numbers, a count of the upper halves of their bits leaves few to look at.
import { checkFinite, checkInteger, checkNumber } from "../util/check.ts";

/** Fewer numbers are chosen from sooner than their bits are counted. */
const worthCounting = 2 ** 15;

/**
 * The value below which the share `q` of `values` lies, interpolated between neighbours as NumPy does.
 *
 * @param values finite numbers, at least one
 * @param q from 0 to 1
 * @param options `absolute`: of their absolute values
 */
export function quantile(values: Float32Array, q: number, { absolute = false } = {}): number {
  checkInteger("number of values", values.length, 1);
  checkNumber("q", q, 0, 1);
  checkFinite("values", values);
  const position = q * (values.length - 1);
  const lower = Math.floor(position);
  const [value, next] =
    values.length < worthCounting
      ? neighbours(absolute ? values.map(Math.abs) : values.slice(), lower)
      : counted(values, lower, absolute);
  return lower === position ? value : value + (next - value) * (position - lower);
}

/** The k-th smallest number and the one after it; Infinity where there is none. Reorders the numbers. */
function neighbours(values: Float32Array, k: number): [value: number, next: number] {
  select(values, k);
  let next = Number.POSITIVE_INFINITY;
  for (let i = k + 1; i < values.length; i++) if (values[i] < next) next = values[i];
  return [values[k], next];
}

/** The same by the bits: read as an integer, they sort as the number does, but for the order of negative ones. */
function counted(values: Float32Array, k: number, absolute: boolean): [value: number, next: number] {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const and = absolute ? 0x7fffffff : -1;
  const bins = new Uint32Array(0x10000);
  const { length } = bits;
  for (let i = 0; i < length; i++) {
    const b = bits[i] & and;
    bins[((b ^ ((b >> 31) & 0x7fffffff)) >> 16) + 0x8000]++;
  }
  let [bin, below] = [0, 0];
  while (below + bins[bin] <= k) below += bins[bin++];
  /** The numbers of one bin. */
  const numbersIn = (wanted: number): Float32Array => {
    const found = new Int32Array(bins[wanted]);
    const upper = wanted - 0x8000;
    for (let i = 0, at = 0; at < found.length; i++) {
      const b = bits[i] & and;
      if ((b ^ ((b >> 31) & 0x7fffffff)) >> 16 === upper) found[at++] = b;
    }
    return new Float32Array(found.buffer);
  };
  const [value, next] = neighbours(numbersIn(bin), k - below);
  if (next !== Number.POSITIVE_INFINITY || k + 1 >= length) return [value, next];
  let above = bin + 1;
  while (bins[above] === 0) above++;
  return [value, numbersIn(above).reduce((least, one) => Math.min(least, one))];
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
