// §4 Range coding: all symbols together become one number, each narrowing its range in proportion to how likely it
// was, so that a symbol may cost a fraction of a bit (Huffman's cost at least one: bad for pruned weights, where most
// are 0). Martin, "Range encoding", 1979; carries as in Schindler's coder, 1998.
//
// The model learns as it goes, on both sides alike, so no table is stored: each symbol starts with count 1, and each
// occurrence adds 2 (in proportion 1/2 and 1: Krichevsky and Trofimov's estimator, 1981).
import { checkInteger } from "../util/check.ts";

// A 48-bit range in a double: whole numbers are exact up to 2^53, and a wide range keeps rounding losses below
// 2^-16 bits a symbol for every total that the model may reach.
const top = 2 ** 48;
const bottom = 2 ** 40;
const totalLimit = 2 ** 24;

/** How often each symbol came so far, with sums from 0 up in logarithmic time (Fenwick, 1994). */
class Model {
  readonly counts: Uint32Array;
  /** tree[i] is the sum of the counts of the symbols from i - (i & -i) up to i - 1. */
  readonly tree: Uint32Array;
  readonly alphabet: number;
  readonly size: number;
  total: number;
  start = 0;

  constructor(alphabet: number) {
    this.alphabet = alphabet;
    this.size = 2 ** Math.floor(Math.log2(alphabet));
    this.counts = new Uint32Array(alphabet).fill(1);
    this.tree = new Uint32Array(alphabet + 1);
    this.total = alphabet;
    this.#rebuild();
  }

  /** Sum of the counts of all symbols below this one. */
  below(symbol: number): number {
    const { tree } = this;
    let sum = 0;
    for (let i = symbol; i > 0; i &= i - 1) sum += tree[i];
    return sum;
  }

  /** The symbol into whose share `target`, from 0 to total - 1, falls; `start` is then where its share begins. */
  find(target: number): number {
    const { tree, alphabet } = this;
    let at = 0;
    let left = target | 0; // totals stay below 2^24: compare as integers
    for (let step = this.size; step > 0; step >>>= 1) {
      const next = at + step;
      if (next <= alphabet && tree[next] <= left) {
        at = next;
        left -= tree[next];
      }
    }
    this.start = target - left;
    return at;
  }

  learn(symbol: number): void {
    const { tree, alphabet } = this;
    this.counts[symbol] += 2;
    this.total += 2;
    for (let i = symbol + 1; i <= alphabet; i += i & -i) tree[i] += 2;
    if (this.total < totalLimit) return;
    for (let s = 0; s < alphabet; s++) this.counts[s] = (this.counts[s] + 1) >>> 1;
    this.#rebuild();
  }

  #rebuild(): void {
    const { tree, counts, alphabet } = this;
    tree.fill(0);
    this.total = 0;
    for (let i = 1; i <= alphabet; i++) {
      this.total += counts[i - 1];
      tree[i] += counts[i - 1];
      const parent = i + (i & -i);
      if (parent <= alphabet) tree[parent] += tree[i];
    }
  }
}

/**
 * Codes symbols with an adaptive model.
 *
 * @param symbols each from 0 to `alphabet` - 1
 * @param alphabet number of symbols, 1 to 65,536
 */
export function rangeEncode(symbols: ArrayLike<number>, alphabet: number): Uint8Array {
  checkInteger("alphabet", alphabet, 1, 65536);
  const model = new Model(alphabet);
  let bytes = new Uint8Array(1024);
  let at = 0;
  let low = 0;
  let range = top;
  // The last byte waits, and the 255s after it: a carry would still change them.
  let waiting = -1;
  let full = 0;
  const emit = () => {
    const byte = Math.floor(low / bottom);
    if (byte === 255) full++;
    else {
      const carry = byte >>> 8;
      if (at + full + 2 > bytes.length) {
        const larger = new Uint8Array(2 * (at + full + 2));
        larger.set(bytes);
        bytes = larger;
      }
      if (waiting >= 0) bytes[at++] = waiting + carry;
      for (; full > 0; full--) bytes[at++] = 255 + carry;
      waiting = byte & 255;
    }
    low = (low - byte * bottom) * 256;
  };
  for (let i = 0; i < symbols.length; i++) {
    const symbol = symbols[i];
    if (model.counts[symbol] === undefined)
      throw new RangeError(`symbols must be from 0 to ${alphabet - 1}, got ${symbol} at index ${i}`);
    const unit = Math.floor(range / model.total);
    low += model.below(symbol) * unit;
    range = model.counts[symbol] * unit;
    for (; range < bottom; range *= 256) emit();
    model.learn(symbol);
  }
  // The range holds a number that ends in 40 zero bits: its one byte is all that is left to write.
  low = Math.ceil(low / bottom) * bottom;
  emit();
  emit();
  // Zeros at the end need not be written, the decoder reads zeros there anyway.
  while (at > 0 && bytes[at - 1] === 0) at--;
  return bytes.slice(0, at);
}

/**
 * Reads back what {@link rangeEncode} wrote.
 *
 * @param count number of symbols
 * @throws RangeError when the bytes cannot be the code of so many symbols, where that shows
 */
export function rangeDecode(bytes: Uint8Array, alphabet: number, count: number): Uint8Array | Uint16Array {
  checkInteger("alphabet", alphabet, 1, 65536);
  checkInteger("count", count, 0);
  const model = new Model(alphabet);
  const symbols = alphabet <= 256 ? new Uint8Array(count) : new Uint16Array(count);
  let range = top;
  // `code` is the coded number less the low end of the range: where in the range it lies.
  let code = 0;
  let at = 0;
  for (; at < 6; at++) code = code * 256 + (at < bytes.length ? bytes[at] : 0);
  for (let i = 0; i < count; i++) {
    const unit = Math.floor(range / model.total);
    const target = Math.floor(code / unit);
    // What the shares leave of the range at its upper end is never used by the encoder.
    if (target >= model.total)
      throw new RangeError(`the bytes are no code of ${count} symbols: symbol ${i} is beyond its range`);
    const symbol = model.find(target);
    symbols[i] = symbol;
    code -= model.start * unit;
    range = model.counts[symbol] * unit;
    for (; range < bottom; range *= 256) code = code * 256 + (at < bytes.length ? bytes[at++] : 0);
    model.learn(symbol);
  }
  if (at < bytes.length)
    throw new RangeError(`${count} symbols take ${at} bytes at most, there are ${bytes.length}`);
  return symbols;
}
