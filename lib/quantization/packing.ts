// §3.2.1 Packed storage: codes of b bits take b bits each, not a byte or two.
import { checkInteger, checkLength } from "../util/check.ts";

/** Whole-number codes in the smallest typed array that holds them. */
export type Codes = Int8Array | Uint8Array | Int16Array | Uint16Array;

/** 8-bit codes. */
export type Codes8 = Int8Array | Uint8Array;

/** An array for `length` codes of `bits` bits: 8-bit elements up to 8 bits, 16-bit elements above. */
export function emptyCodes(length: number, bits: number, signed: boolean): Codes {
  if (bits <= 8) return signed ? new Int8Array(length) : new Uint8Array(length);
  return signed ? new Int16Array(length) : new Uint16Array(length);
}

/** Bytes that `count` codes of `bits` bits take once packed: ⌈count·bits / 8⌉. */
export function packedBytes(count: number, bits: number): number {
  return Math.ceil((checkInteger("count", count, 0) * checkInteger("bits", bits, 1, 16)) / 8);
}

/**
 * Packs codes end to end: code i takes the bits from i·bits on, the lowest bit of each first, the lowest bit of each
 * byte first; the last byte is filled up with zeros.
 *
 * @param codes whole numbers that fit `bits` bits, signed (two's complement) or unsigned
 * @param bits 1 to 16
 * @returns exactly ⌈codes.length·bits / 8⌉ bytes
 * @throws RangeError for a code that does not fit
 */
export function pack(codes: ArrayLike<number>, bits: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(packedBytes(codes.length, bits));
  checkWhole(codes);
  const mask = 2 ** bits - 1;
  const low = -(2 ** (bits - 1));
  let waiting = 0;
  let count = 0;
  let at = 0;
  // Negative where some code left the range: checked once after the loop, so that the loop does not branch.
  let fits = 0;
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    fits |= (code - low) | (mask - code);
    waiting |= (code & mask) << count;
    count += bits;
    // At most 7 bits wait from before, so 23 bits at most: an int32 always has room.
    while (count >= 8) {
      bytes[at++] = waiting;
      waiting >>>= 8;
      count -= 8;
    }
  }
  if (count > 0) bytes[at] = waiting;
  if (fits < 0) {
    const index = Array.prototype.findIndex.call(codes, (code: number) => code < low || code > mask);
    throw new RangeError(
      `codes must fit ${bits} bits (${low} to ${mask}), got ${codes[index]} at index ${index}`,
    );
  }
  return bytes;
}

/** Throws for codes that are no whole numbers; an array of integers can hold no others. */
function checkWhole(codes: ArrayLike<number>): void {
  if (ArrayBuffer.isView(codes) && !(codes instanceof Float32Array || codes instanceof Float64Array)) return;
  for (let i = 0; i < codes.length; i++)
    if (!Number.isInteger(codes[i]))
      throw new RangeError(`codes must be whole numbers, got ${codes[i]} at index ${i}`);
}

/**
 * Reads back what `pack` wrote.
 *
 * @param bytes exactly ⌈count·bits / 8⌉ bytes
 * @param bits 1 to 16, as packed
 * @param count number of codes
 * @param signed whether the codes are two's complement
 * @throws RangeError where the number of bytes does not fit
 */
export function unpack(bytes: Uint8Array, bits: number, count: number, signed: boolean): Codes {
  checkLength("bytes", bytes, packedBytes(count, bits));
  const codes = emptyCodes(count, bits, signed);
  const mask = 2 ** bits - 1;
  const shift = signed ? 32 - bits : 0;
  let waiting = 0;
  let have = 0;
  let at = 0;
  for (let i = 0; i < count; i++) {
    while (have < bits) {
      waiting |= bytes[at++] << have;
      have += 8;
    }
    // Left and back again copies the sign bit into the bits above it.
    codes[i] = ((waiting & mask) << shift) >> shift;
    waiting >>>= bits;
    have -= bits;
  }
  return codes;
}
