// §4 How likely the next bit is: several contexts each have learnt a chance, and a mixer weighs them by how well they have
// done. Chances are mixed as logarithms of odds, where evidence adds up, and the weights follow the coding cost's gradient.
// Mahoney, "Adaptive weighing of context models for lossless data compression", 2005 (PAQ); the tables are lpaq's.
//
// Whole numbers throughout: what is learnt is the same on every engine, and a decoder never goes astray.

import type { BitCoder } from "./binary-coder.ts";

/** e^(x / 256) / (1 + e^(x / 256)) in 4,096ths at x = −2,048 + 128 i: between them lines do. */
const squashed = Int32Array.of(
  1,
  2,
  3,
  6,
  10,
  16,
  27,
  45,
  73,
  120,
  194,
  310,
  488,
  747,
  1101,
  1546,
  2047,
  2549,
  2994,
  3348,
  3607,
  3785,
  3901,
  3975,
  4022,
  4050,
  4068,
  4079,
  4085,
  4089,
  4092,
  4093,
  4094,
);

/** From the logarithm of odds, in 256ths, to a chance in 4,096ths. */
function squash(x: number): number {
  if (x > 2047) return 4095;
  if (x < -2047) return 1;
  const between = x & 127;
  const at = (x >> 7) + 16;
  return (squashed[at] * (128 - between) + squashed[at + 1] * between + 64) >> 7;
}

/** The inverse of {@link squash}, by chance. */
const stretched = new Int16Array(4096);
for (let x = -2047, from = 0; x <= 2047; x++) {
  const chance = squash(x);
  for (; from <= chance; from++) stretched[from] = x;
  if (x === 2047) stretched.fill(2047, from);
}

/** How far a chance moves towards what came, in 16,384ths, after so many bits: far at first, then as their mean. */
const rates = Int32Array.from({ length: 256 }, (_, n) => Math.floor(16384 / (n + 2)));

/** Chances by context, each with the number of bits it has seen. */
class Chances {
  readonly chance: Uint16Array;
  readonly seen: Uint8Array;
  readonly limit: number;

  constructor(contexts: number, limit: number) {
    this.chance = new Uint16Array(contexts).fill(32768);
    this.seen = new Uint8Array(contexts);
    this.limit = limit;
  }

  learn(context: number, bit: number): void {
    const { chance, seen } = this;
    chance[context] +=
      ((bit === 0 ? -chance[context] : 65535 - chance[context]) * rates[seen[context]]) >> 14;
    if (seen[context] < this.limit) seen[context]++;
  }
}

/** Mixed contexts for one kind of bit. `contexts[i]` has to be set before each bit. */
export class Mixed {
  /** Which context each model is in. */
  readonly contexts: Int32Array;
  // All that a bit touches lies in few flat arrays: this is where reading and writing a file spends its time. A state is
  // a chance times 256, and below that the number of bits it has seen; each model's states begin at its base.
  readonly #states: Int32Array;
  readonly #bases: Int32Array;
  readonly #places: Int32Array;
  readonly #weights: Int32Array;
  readonly #inputs: Int32Array;
  readonly #rate: number;
  readonly #limit: number;

  /**
   * @param sizes how many contexts each model has
   * @param sets how many sets of weights there are to choose from
   * @param limit the number of bits that a chance is the mean of, at most 255
   */
  constructor(sizes: readonly number[], { sets = 1, limit = 255, rate = 6 } = {}) {
    const count = sizes.length;
    this.contexts = new Int32Array(count);
    this.#bases = new Int32Array(count);
    for (let i = 1; i < count; i++) this.#bases[i] = this.#bases[i - 1] + sizes[i - 1];
    this.#states = new Int32Array(sizes.reduce((a, b) => a + b, 0)).fill(32768 << 8);
    this.#places = new Int32Array(count);
    this.#inputs = new Int32Array(count);
    // One input more that is always the same: the bias.
    this.#weights = new Int32Array(sets * (count + 1)).fill(Math.floor(65536 * Math.min(1, 0.9 / count)));
    for (let set = 0; set < sets; set++) this.#weights[(set + 1) * (count + 1) - 1] = 0;
    this.#rate = rate;
    this.#limit = limit;
  }

  /** Codes a bit in the contexts that are set, and learns it. */
  code(coder: BitCoder, bit: number, set = 0): number {
    const contexts = this.contexts;
    const states = this.#states;
    const bases = this.#bases;
    const places = this.#places;
    const weights = this.#weights;
    const inputs = this.#inputs;
    const limit = this.#limit;
    const count = inputs.length;
    const from = set * (count + 1);
    let sum = 0;
    for (let i = 0; i < count; i++) {
      const place = contexts[i] + bases[i];
      places[i] = place;
      const input = stretched[states[place] >>> 12];
      inputs[i] = input;
      // Weights are 65,536ths: a product keeps 8 bits below the point, so that small ones count.
      sum += Math.imul(input, weights[from + i] >> 4) >> 4;
    }
    sum += Math.imul(256, weights[from + count] >> 4) >> 4;
    const chance = squash(sum >> 8);
    const coded = coder.bit(Math.max(1, chance * 16 - 8), bit);
    const error = Math.imul((coded << 12) - chance, this.#rate);
    const target = coded === 0 ? 0 : 65535;
    for (let i = 0; i < count; i++) {
      weights[from + i] += (Math.imul(inputs[i], error) + 0x8000) >> 16;
      const place = places[i];
      const state = states[place];
      const seen = state & 255;
      const known = state >>> 8;
      const moved = known + (Math.imul(target - known, rates[seen]) >> 14);
      states[place] = (moved << 8) | (seen < limit ? seen + 1 : seen);
    }
    weights[from + count] += (Math.imul(256, error) + 0x8000) >> 16;
    return coded;
  }
}

/** A single adaptive chance by context, for what is coded too seldom for a mixer to learn. */
export class Single {
  readonly #chances: Chances;

  constructor(contexts: number, limit = 255) {
    this.#chances = new Chances(contexts, limit);
  }

  code(coder: BitCoder, context: number, bit: number): number {
    const chance = this.#chances.chance[context];
    const coded = coder.bit(Math.min(65535, Math.max(1, chance)), bit);
    this.#chances.learn(context, coded);
    return coded;
  }
}

/** Whole numbers from 0 up: the number of bits in unary, then the bits, each with a chance of its own (Elias, 1975). */
export class Numbers {
  readonly #length = new Single(64);
  readonly #top = new Single(64 * 8);

  /** @param value up to 2^32 − 2 */
  code(coder: BitCoder, value: number): number {
    const bits = 31 - Math.clz32(value + 1);
    let length = 0;
    while (this.#length.code(coder, length, length < bits ? 1 : 0) !== 0) {
      if (++length > 31) throw new RangeError("a number has more than 32 bits");
    }
    let result = 1;
    for (let i = length - 1; i >= 0; i--) {
      const bit = Math.floor((value + 1) / 2 ** i) & 1;
      // The first bits after the highest tell sizes apart; the others are noise.
      const known = length - 1 - i < 2;
      const coded = known
        ? this.#top.code(coder, length * 8 + (length - 1 - i === 0 ? 0 : 2 + (result & 1)), bit)
        : coder.plain(1, bit);
      result = result * 2 + coded;
    }
    return result - 1;
  }
}
