// §4 Arithmetic coding of single bits: the range is cut in two in proportion to how likely 0 and 1 are, so that a bit may
// cost next to nothing. All symbols are bits here, since a bit's chance can be learnt in many contexts at once (see
// context-mixing.ts). Langdon and Rissanen, "Compression of black-white images with arithmetic coding", 1981; the
// carryless coder is that of Mahoney's lpaq, 2007.
//
// Probabilities are whole numbers of 65,536ths, and every step is exact in 32-bit arithmetic or in a double's 53 bits: the
// same bytes on every engine.

/** What codes a bit: an encoder takes the bit and returns it, a decoder is asked for it. One walk serves both ways. */
export interface BitCoder {
  /**
   * @param chance that the bit is 1, in 65,536ths, from 1 to 65,535
   * @param bit 0 or 1; a decoder does not look at it
   */
  bit(chance: number, bit: number): number;
  /** `count` bits (1 to 16) of which nothing is known, highest first. */
  plain(count: number, bits: number): number;
  /** Bytes written or read so far. */
  readonly position: number;
}

/** Bytes that a decoder may read beyond the end of what an encoder left: they are zeros. */
const tail = 4;

export class BitEncoder implements BitCoder {
  // Both ends of the range, in an array: fields would hold each number of 32 bits in a box of its own, bit after bit.
  readonly #ends = Uint32Array.of(0, 0xffffffff);
  #bytes = new Uint8Array(256);
  #at = 0;

  get position(): number {
    return this.#at;
  }

  bit(chance: number, bit: number): number {
    const ends = this.#ends;
    const middle = splitAt(ends[0], ends[1], chance);
    if (bit !== 0) ends[1] = middle;
    else ends[0] = middle + 1;
    // Leading bytes that both ends share are settled.
    while (((ends[0] ^ ends[1]) & 0xff000000) === 0) {
      this.#write(ends[1] >>> 24);
      ends[0] <<= 8;
      ends[1] = (ends[1] << 8) | 255;
    }
    return bit;
  }

  plain(count: number, bits: number): number {
    for (let i = count - 1; i >= 0; i--) this.bit(32768, (bits >>> i) & 1);
    return bits;
  }

  /** The bytes, as few as tell the decoder all bits; beyond them it reads zeros. */
  finish(): Uint8Array {
    const [low, high] = this.#ends;
    for (let kept = 0; kept <= 4; kept++) {
      const unit = 2 ** (32 - 8 * kept);
      const number = Math.ceil(low / unit) * unit;
      if (number > high) continue;
      for (let i = 0; i < kept; i++) this.#write(Math.floor(number / 2 ** (24 - 8 * i)) & 255);
      break;
    }
    return this.#bytes.slice(0, this.#at);
  }

  #write(byte: number): void {
    if (this.#at === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#at);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    this.#bytes[this.#at++] = byte;
  }
}

export class BitDecoder implements BitCoder {
  readonly #bytes: Uint8Array;
  /** Both ends of the range, and where in it the number lies. */
  readonly #ends = Uint32Array.of(0, 0xffffffff, 0);
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let i = 0; i < 4; i++) this.#read();
  }

  get position(): number {
    return Math.min(this.#at - 4, this.#bytes.length);
  }

  bit(chance: number, _bit = 0): number {
    const ends = this.#ends;
    const middle = splitAt(ends[0], ends[1], chance);
    const bit = ends[2] <= middle ? 1 : 0;
    if (bit !== 0) ends[1] = middle;
    else ends[0] = middle + 1;
    while (((ends[0] ^ ends[1]) & 0xff000000) === 0) {
      ends[0] <<= 8;
      ends[1] = (ends[1] << 8) | 255;
      this.#read();
    }
    return bit;
  }

  plain(count: number, _bits = 0): number {
    let bits = 0;
    for (let i = 0; i < count; i++) bits = (bits << 1) | this.bit(32768);
    return bits;
  }

  /**
   * Ends reading.
   *
   * @throws RangeError when bytes are left over
   */
  finish(): void {
    if (this.#at < this.#bytes.length)
      throw new RangeError(`${this.#bytes.length - this.#at} bytes are left over`);
  }

  #read(): void {
    if (this.#at >= this.#bytes.length + tail) throw new RangeError("the bytes end too early");
    const byte = this.#at < this.#bytes.length ? this.#bytes[this.#at] : 0;
    this.#at++;
    this.#ends[2] = (this.#ends[2] << 8) | byte;
  }
}

/** The last number of the share of 1, never the whole range. */
function splitAt(low: number, high: number, chance: number): number {
  // floor((high − low) · chance / 65536) in two halves, each of which fits 32 bits.
  const range = (high - low) >>> 0;
  return (low + Math.imul(range >>> 16, chance) + (Math.imul(range & 65535, chance) >>> 16)) >>> 0;
}
