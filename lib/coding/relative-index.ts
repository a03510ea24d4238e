// §3.1.1 and §4: where the kept weights stand, by the distance from one to the next. Distances are small where much is
// kept, so a few bits do; a distance that does not fit is bridged by a zero that is stored as if it were kept.
// Han, Mao, Dally, "Deep Compression", 2016, §2 and figure 2.
import { checkInteger, checkLength } from "../util/check.ts";

/** What can be stored sparsely: weights, or their codes where 0 means pruned. */
export type Sparsable = Float32Array | Uint8Array | Uint16Array;

/** The entries that are not 0, each with the number of zeros that are skipped before it. */
export interface RelativeIndex<T extends Sparsable = Float32Array> {
  /** Bits a gap, 1 to 8. */
  bits: number;
  /** Length of the array they come from. */
  length: number;
  /** Zeros skipped before each entry, 0 to 2^bits - 1. */
  gaps: Uint8Array;
  /** The entries; those that only bridge a long gap are 0. */
  values: T;
}

/**
 * Stores the entries of `values` that are not 0 by their gaps (Deep Compression §2).
 *
 * @param values any shape, flattened
 * @param bits 1 to 8: the paper takes 8 for convolutions and 5 for dense layers
 */
export function toRelative<T extends Sparsable>(values: T, bits: number): RelativeIndex<T> {
  checkInteger("bits", bits, 1, 8);
  const reach = 2 ** bits;
  let count = 0;
  for (let i = 0, last = -1; i < values.length; i++) {
    if (values[i] === 0) continue;
    count += Math.ceil((i - last) / reach);
    last = i;
  }
  const gaps = new Uint8Array(count);
  const stored = new (values.constructor as new (length: number) => T)(count);
  for (let i = 0, last = -1, at = 0; i < values.length; i++) {
    if (values[i] === 0) continue;
    // A step of the full reach lands on a zero: the bridge.
    for (; i - last > reach; last += reach) gaps[at++] = reach - 1;
    gaps[at] = i - last - 1;
    stored[at++] = values[i];
    last = i;
  }
  return { bits, length: values.length, gaps, values: stored };
}

/**
 * The array again that {@link toRelative} stored.
 *
 * @throws RangeError when the gaps lead beyond the array's end
 */
export function fromRelative<T extends Sparsable>({ bits, length, gaps, values }: RelativeIndex<T>): T {
  checkInteger("bits", bits, 1, 8);
  checkInteger("length", length, 0);
  checkLength("gaps", gaps, values.length);
  const dense = new (values.constructor as new (length: number) => T)(length);
  let at = -1;
  for (let i = 0; i < gaps.length; i++) {
    at += gaps[i] + 1;
    dense[at] = values[i];
  }
  // A typed array drops what is written beyond its end, so one check does for all.
  if (at >= length) throw new RangeError(`gaps must stay within ${length} elements, they lead to ${at}`);
  return dense;
}

/** Entries that {@link toRelative} stores for each width of gap, bridges included: `entries[bits]`, 1 to 8. */
export function relativeEntries(values: ArrayLike<number>): number[] {
  // One pass for all widths: a gap costs ceil((gap + 1) / 2^bits) entries.
  const entries = new Array(9).fill(0);
  for (let i = 0, last = -1; i < values.length; i++) {
    if (values[i] === 0) continue;
    const step = i - last;
    for (let bits = 1; bits <= 8; bits++) entries[bits] += (step + (1 << bits) - 1) >>> bits;
    last = i;
  }
  return entries;
}

/**
 * The width of gap that stores `values` in the fewest bits, and how many bits those are.
 *
 * @param valueBits bits that each stored entry takes beside its gap: 32 for floats, ⌈log2 K⌉ for codes
 */
export function bestGapBits(values: ArrayLike<number>, valueBits: number): { bits: number; total: number } {
  checkInteger("valueBits", valueBits, 0, 64);
  const entries = relativeEntries(values);
  let best = { bits: 8, total: Number.POSITIVE_INFINITY };
  for (let bits = 1; bits <= 8; bits++) {
    const total = entries[bits] * (bits + valueBits);
    if (total < best.total) best = { bits, total };
  }
  return best;
}
