// Streams of symbols in the .slim file: packed, Huffman or range coded, whichever is smallest.
import { pack, packedBytes, unpack } from "../quantization/packing.ts";
import { codedBits, codeLengths, countSymbols, huffmanDecode, huffmanEncode } from "./huffman.ts";
import { rangeDecode, rangeEncode } from "./range-coder.ts";

/** How symbols become bytes: bits end to end, Huffman's code with its lengths in front, or the range coder. */
export type Coding = "packed" | "huffman" | "range";

export const codings: readonly Coding[] = ["packed", "huffman", "range"];

/** A Huffman code length is at most 24: five bits. */
const lengthBits = 5;

/** Above so many symbols, a coder that is ten times as fast is taken where it comes within so much of the entropy. */
const manySymbols = 2 ** 20;
const nearEntropy = 1.01;

/** Bytes that symbols of these counts take at least, each by itself. */
function entropyBytes(counts: ArrayLike<number>, total: number): number {
  let bits = 0;
  for (let s = 0; s < counts.length; s++) if (counts[s] > 0) bits += counts[s] * Math.log2(total / counts[s]);
  return bits / 8;
}

/** Bits that a symbol of this alphabet takes in packed form. */
export function symbolBits(alphabet: number): number {
  return Math.max(1, Math.ceil(Math.log2(alphabet)));
}

/**
 * Codes symbols from 0 to `alphabet` - 1.
 *
 * @param coding one of the three, or `auto` for the smallest
 */
export function encodeSymbols(
  symbols: ArrayLike<number>,
  alphabet: number,
  coding: Coding | "auto" = "auto",
): { coding: Coding; bytes: Uint8Array } {
  const counts = countSymbols(symbols, alphabet);
  if (coding === "auto") {
    const huffman = packedBytes(alphabet, lengthBits) + Math.ceil(codedBits(counts, codeLengths(counts)) / 8);
    const packed = packedBytes(symbols.length, symbolBits(alphabet));
    // No coder that learns counts is shorter than the entropy of these: where Huffman is as near to it as that, the range
    // coder, which takes ten times as long, would bring nothing.
    const near = Math.min(packed, huffman) <= entropyBytes(counts, symbols.length) * nearEntropy;
    if (symbols.length > manySymbols && near) {
      if (packed <= huffman) return { coding: "packed", bytes: pack(symbols, symbolBits(alphabet)) };
      return encodeSymbols(symbols, alphabet, "huffman");
    }
    const range = rangeEncode(symbols, alphabet);
    // At equal size the one that is read fastest.
    if (packed <= Math.min(huffman, range.length)) coding = "packed";
    else if (huffman <= range.length) coding = "huffman";
    else return { coding: "range", bytes: range };
  }
  if (coding === "packed") return { coding, bytes: pack(symbols, symbolBits(alphabet)) };
  if (coding === "range") return { coding, bytes: rangeEncode(symbols, alphabet) };
  const lengths = codeLengths(counts);
  const head = pack(lengths, lengthBits);
  const body = huffmanEncode(symbols, lengths);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return { coding, bytes };
}

/**
 * Reads back what {@link encodeSymbols} wrote.
 *
 * @throws RangeError when the bytes are not exactly the code of `count` symbols below `alphabet`
 */
export function decodeSymbols(
  bytes: Uint8Array,
  coding: Coding,
  alphabet: number,
  count: number,
): Uint8Array | Uint16Array {
  if (coding === "range") return rangeDecode(bytes, alphabet, count);
  if (coding === "packed") {
    const symbols = unpack(bytes, symbolBits(alphabet), count, false) as Uint8Array | Uint16Array;
    const stray = symbols.findIndex((symbol) => symbol >= alphabet);
    if (stray >= 0)
      throw new RangeError(`symbols must be below ${alphabet}, got ${symbols[stray]} at index ${stray}`);
    return symbols;
  }
  const head = packedBytes(alphabet, lengthBits);
  if (bytes.length < head) throw new RangeError(`code lengths take ${head} bytes, there are ${bytes.length}`);
  const lengths = unpack(bytes.subarray(0, head), lengthBits, alphabet, false) as Uint8Array;
  return huffmanDecode(bytes.subarray(head), lengths, count);
}
