// The k-th smallest of many numbers, exactly, without sorting or copying them: a radix selection.
// An IEEE float's bits, read as an integer, sort as the number does (after one flip for negative ones), so two
// counting passes of 16 bits each find the answer: the first picks the bin of 65,536 by its upper half, the
// second the value within the bin.

import { checkFinite } from "../util/check.ts";

/** Numbers to be ranked together: `name` for errors, `values`, and which of them take part (absent: all). */
export interface Ranked {
  name: string;
  values: Float32Array;
  /** 0 = does not take part. */
  taking?: Uint8Array;
}

/** Where a ranking is cut: all keys below `key` fall, and the first `ties` equal to it, in order. */
export interface Cut {
  key: number;
  ties: number;
}

/** Every key is above this one. */
const LOWEST: Cut = { key: -0x80000000, ties: 0 };

/** The bits that count: without the sign bit, numbers rank by magnitude. */
export const bitsThatCount = (absolute: boolean) => (absolute ? 0x7fffffff : -1);

/** The signed integer that sorts as the float with bits `b` does; −0 and +0 get the same key, 0. */
export function keyOf(b: number): number {
  const key = b ^ ((b >> 31) & 0x7fffffff);
  return key === -1 ? 0 : key;
}

export const bitsOf = (values: Float32Array) =>
  new Int32Array(values.buffer, values.byteOffset, values.length);

/** The number whose key is `key`. */
export function scoreOf(key: number): number {
  return new Float32Array(Int32Array.of(key ^ ((key >> 31) & 0x7fffffff)).buffer)[0];
}

/**
 * Finds where to cut so that exactly `count` of the numbers fall, the smallest first and the earlier of equals
 * first.
 *
 * @param lists ranked together, as if joined in this order
 * @param count how many fall, from 0 to the number of values that take part
 * @param absolute ranks by |value|
 * @throws RangeError if a value that takes part is NaN or infinite
 */
export function cutAt(lists: Ranked[], count: number, absolute: boolean): Cut {
  const and = bitsThatCount(absolute);
  const upper = new Uint32Array(0x10000);
  for (const { values, taking } of lists) countUpper(bitsOf(values), taking, and, upper);
  // The exponent of NaN and Infinity is all ones: they sit in the outermost bins, so the check costs nothing.
  const isOutside = (bin: number) => bin < 0x80 || bin >= 0xff80;
  if (upper.some((n, bin) => n > 0 && isOutside(bin))) {
    for (const { name, values, taking } of lists) {
      checkFinite(name, taking ? values.map((v, i) => (taking[i] === 0 ? 0 : v)) : values);
    }
  }
  if (count === 0) return LOWEST;

  let left = count;
  let bin = 0;
  while (left > upper[bin]) left -= upper[bin++];
  const prefix = bin - 0x8000;

  const lower = new Uint32Array(0x10000);
  for (const { values, taking } of lists) countLower(bitsOf(values), taking, and, prefix, lower);
  let low = 0;
  while (left > lower[low]) left -= lower[low++];
  return { key: (prefix << 16) | low, ties: left };
}

function countUpper(
  bits: Int32Array,
  taking: Uint8Array | undefined,
  and: number,
  counts: Uint32Array,
): void {
  if (taking) {
    for (let i = 0; i < bits.length; i++) counts[(keyOf(bits[i] & and) >> 16) + 0x8000] += taking[i];
  } else {
    for (let i = 0; i < bits.length; i++) counts[(keyOf(bits[i] & and) >> 16) + 0x8000]++;
  }
}

function countLower(
  bits: Int32Array,
  taking: Uint8Array | undefined,
  and: number,
  prefix: number,
  counts: Uint32Array,
): void {
  for (let i = 0; i < bits.length; i++) {
    const key = keyOf(bits[i] & and);
    if (key >> 16 === prefix) counts[key & 0xffff] += taking ? taking[i] : 1;
  }
}

/** Writes the mask of what stands above the cut, list by list: 1 stands, 0 has fallen or took no part. */
export function masksAt(lists: Ranked[], cut: Cut, absolute: boolean): Uint8Array[] {
  const and = bitsThatCount(absolute);
  let { ties } = cut;
  return lists.map(({ values, taking }) => {
    const bits = bitsOf(values);
    const mask = new Uint8Array(values.length);
    for (let i = 0; i < mask.length; i++) {
      const key = keyOf(bits[i] & and);
      // A comparison stored as a number has no branch to mispredict; ties are rare enough to branch on.
      mask[i] = Number(key > cut.key);
      if (key === cut.key && (taking === undefined || taking[i] !== 0) && ties-- <= 0) mask[i] = 1;
    }
    if (taking) for (let i = 0; i < mask.length; i++) mask[i] &= taking[i];
    return mask;
  });
}
