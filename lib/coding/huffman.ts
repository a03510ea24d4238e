// §4 Huffman coding: frequent codes get few bits, rare ones many. Huffman, "A method for the construction of
// minimum-redundancy codes", 1952; it is the third stage of Deep Compression (Han, Mao, Dally, 2016, §4).
// Canonical: the lengths alone fix the code (Schwartz and Kallick, 1964), so only they are stored.
import { checkInteger, checkLength, shown } from "../util/check.ts";
import { packageMerge } from "./package-merge.ts";

/** The longest code word: with the seven bits that may wait from the byte before, it fits a 32-bit window. */
export const maxCodeLength = 24;

/** How often each symbol of an alphabet occurs. */
export function countSymbols(symbols: ArrayLike<number>, alphabet: number): Uint32Array {
  checkInteger("alphabet", alphabet, 1, 65536);
  const counts = new Uint32Array(alphabet);
  for (let i = 0; i < symbols.length; i++) {
    if (counts[symbols[i]] === undefined)
      throw new RangeError(`symbols must be from 0 to ${alphabet - 1}, got ${symbols[i]} at index ${i}`);
    counts[symbols[i]]++;
  }
  return counts;
}

/**
 * Lengths in bits of an optimal prefix code, by merging the two rarest until one tree is left.
 *
 * @param counts how often each symbol occurs; a symbol that never does gets length 0, no code
 * @param limit the longest code word allowed, default 24; where Huffman's tree is deeper, the optimal code under the
 *   limit is found by package-merge
 */
export function codeLengths(counts: ArrayLike<number>, limit: number = maxCodeLength): Uint8Array {
  checkInteger("limit", limit, 1, maxCodeLength);
  const symbols: number[] = [];
  for (let s = 0; s < counts.length; s++) {
    if (!(counts[s] >= 0 && Number.isFinite(counts[s])))
      throw new RangeError(`counts must be numbers of at least 0, got ${shown(counts[s])} at index ${s}`);
    if (counts[s] > 0) symbols.push(s);
  }
  const lengths = new Uint8Array(counts.length);
  const n = symbols.length;
  if (n > 2 ** limit)
    throw new RangeError(`limit must be at least ${Math.ceil(Math.log2(n))} for ${n} symbols, got ${limit}`);
  if (n === 1) lengths[symbols[0]] = 1; // one bit, since no bits could not be counted
  if (n < 2) return lengths;

  // Leaves in rising order, then inner nodes in the order they are made, which is rising too: the two rarest are
  // always at the front of one of the two queues, and no heap is needed (van Leeuwen, 1976).
  symbols.sort((a, b) => counts[a] - counts[b] || a - b);
  const weight = new Float64Array(2 * n - 1);
  const parent = new Uint32Array(2 * n - 1);
  for (let i = 0; i < n; i++) weight[i] = counts[symbols[i]];
  let leaf = 0;
  let inner = n;
  for (let made = n; made < 2 * n - 1; made++) {
    for (let side = 0; side < 2; side++) {
      const rarest = leaf < n && (inner === made || weight[leaf] <= weight[inner]) ? leaf++ : inner++;
      weight[made] += weight[rarest];
      parent[rarest] = made;
    }
  }
  // A parent stands after its children, so from the root down each depth is known when it is needed.
  const depth = new Uint32Array(2 * n - 1);
  for (let i = 2 * n - 3; i >= 0; i--) depth[i] = depth[parent[i]] + 1;
  if (depth[0] > limit) {
    packageMerge(weight.subarray(0, n), limit).forEach((length, i) => {
      lengths[symbols[i]] = length;
    });
  } else {
    for (let i = 0; i < n; i++) lengths[symbols[i]] = depth[i];
  }
  return lengths;
}

/** Bits that a code takes for all the symbols counted. */
export function codedBits(counts: ArrayLike<number>, lengths: ArrayLike<number>): number {
  checkLength("lengths", lengths, counts.length);
  let bits = 0;
  for (let s = 0; s < counts.length; s++) bits += counts[s] * lengths[s];
  return bits;
}

/**
 * The canonical code words of the given lengths: short ones first, symbols of one length in rising order, each word
 * the one before plus 1.
 *
 * @throws RangeError when no prefix code has these lengths
 */
export function canonicalCodes(lengths: Uint8Array): Uint32Array {
  const first = firstCodes(lengths);
  return Uint32Array.from(lengths, (length) => (length === 0 ? 0 : first[length]++));
}

/** The first code word of each length; checks that the lengths are those of a prefix code (Kraft's inequality). */
function firstCodes(lengths: Uint8Array): Float64Array {
  const counts = new Uint32Array(maxCodeLength + 1);
  for (const length of lengths) counts[checkInteger("code length", length, 0, maxCodeLength)]++;
  counts[0] = 0;
  const first = new Float64Array(maxCodeLength + 2);
  for (let length = 1; length <= maxCodeLength; length++) {
    first[length + 1] = 2 * (first[length] + counts[length]);
    if (first[length] + counts[length] > 2 ** length)
      throw new RangeError(
        `code lengths must be those of a prefix code: there are too many of ${length} bits`,
      );
  }
  return first;
}

/**
 * Writes symbols as code words, the first bit of each first, the highest bit of each byte first; the last byte is
 * filled up with zeros.
 *
 * @param lengths from {@link codeLengths}; every symbol that occurs must have one
 */
export function huffmanEncode(symbols: ArrayLike<number>, lengths: Uint8Array): Uint8Array {
  const codes = canonicalCodes(lengths);
  let bits = 0;
  for (let i = 0; i < symbols.length; i++) {
    const length = lengths[symbols[i]];
    if (!length) throw new RangeError(`symbol ${symbols[i]} at index ${i} has no code`);
    bits += length;
  }
  const bytes = new Uint8Array(Math.ceil(bits / 8));
  let window = 0;
  let have = 0;
  let at = 0;
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i];
    window = (window << lengths[symbol]) | codes[symbol];
    have += lengths[symbol];
    while (have >= 8) {
      have -= 8;
      bytes[at++] = window >>> have;
    }
  }
  if (have > 0) bytes[at] = window << (8 - have);
  return bytes;
}

/** Bits that are looked up at once: 4,096 entries stay in the processor's first cache. */
const tableBits = 11;

/**
 * Reads back what {@link huffmanEncode} wrote.
 *
 * @param bytes exactly as many as the code words take
 * @param count number of symbols
 * @throws RangeError when a word is no code word, or the bytes are too few or too many
 */
export function huffmanDecode(
  bytes: Uint8Array,
  lengths: Uint8Array,
  count: number,
): Uint8Array | Uint16Array {
  checkInteger("count", count, 0);
  const symbols = lengths.length <= 256 ? new Uint8Array(count) : new Uint16Array(count);
  const first = firstCodes(lengths);
  // Symbols in the order of their code words, and where each length's begin.
  const start = new Uint32Array(maxCodeLength + 2);
  for (const length of lengths) if (length > 0) start[length + 1]++;
  for (let length = 1; length <= maxCodeLength; length++) start[length + 1] += start[length];
  const order = new Uint16Array(start[maxCodeLength + 1]);
  const next = start.slice();
  for (let s = 0; s < lengths.length; s++) if (lengths[s] > 0) order[next[lengths[s]]++] = s;

  // Words of up to 11 bits by table: symbol and length for every possible window; 0 where the word is longer.
  const table = new Uint32Array(1 << tableBits);
  for (let length = 1; length <= tableBits; length++) {
    for (let k = start[length]; k < start[length + 1]; k++) {
      const from = (first[length] + k - start[length]) << (tableBits - length);
      table.fill((order[k] << 5) | length, from, from + (1 << (tableBits - length)));
    }
  }
  let window = 0;
  let have = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    // Beyond the end come zeros; whether they were used is checked at the end.
    while (have <= 24) {
      window = (window << 8) | bytes[at++];
      have += 8;
    }
    const entry = table[(window >>> (have - tableBits)) & ((1 << tableBits) - 1)];
    if (entry !== 0) {
      symbols[i] = entry >>> 5;
      have -= entry & 31;
      continue;
    }
    // Longer words are rare: the length is the first at which the window's word lies among the words of that length.
    let length = tableBits + 1;
    for (; length <= maxCodeLength; length++) {
      const word = (window >>> (have - length)) & (2 ** length - 1);
      const rank = word - first[length];
      if (rank >= 0 && rank < start[length + 1] - start[length]) {
        symbols[i] = order[start[length] + rank];
        have -= length;
        break;
      }
    }
    if (length > maxCodeLength) throw new RangeError(`the bits of symbol ${i} are no code word`);
  }
  const used = Math.ceil((at * 8 - have) / 8);
  if (used !== bytes.length)
    throw new RangeError(`${count} symbols take ${used} bytes, there are ${bytes.length}`);
  return symbols;
}
