/** A source of numbers in [0, 1), uniform, that a seed fixes for good. */
export type Random = () => number;

/**
 * A seeded generator: the same seed gives the same numbers on every machine and backend.
 * Mulberry32 (Tommy Ettinger, 2017): 32 bits of state, passes gjrand's small tests, fast enough for initial weights.
 *
 * @param seed any number; its integer part modulo 2^32 counts
 */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** One draw from the standard normal distribution (Box and Muller, 1958). */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Shuffles `array` in place (Fisher and Yates) and returns it. */
export function shuffle<T extends { length: number; [index: number]: unknown }>(array: T, random: Random): T {
  for (let i = array.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [array[i], array[j]] = [array[j], array[i]];
  }
  return array;
}
