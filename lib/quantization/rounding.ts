// §3.2.1 Rounding: the one step of quantization that loses information.
import type { Random } from "../util/random.ts";

/** How a value between two levels chooses one: the nearer (ties to the even one), or at random so that the mean is kept. */
export const roundings = ["nearest", "stochastic"] as const;
export type Rounding = (typeof roundings)[number];

// Above 2^52 a double has no room for a fraction, so adding 1.5·2^52 makes the adder itself round (ties to even, as
// IEEE 754 asks), and taking it away again leaves the whole number. Several times faster than Math.round, which also
// rounds ties up and so shifts the mean.
export const roundingShift = 6755399441055744;

/** The whole number nearest to `x`, ties to the even one, for |x| < 2^51. */
export function roundEven(x: number): number {
  return x + roundingShift - roundingShift;
}

/**
 * Rounds `x` up with probability equal to its fraction, so that the expected result is `x` itself (Gupta et al.,
 * "Deep learning with limited numerical precision", 2015). A value that float32 cannot tell from a whole number stays
 * on it, so quantizing what was already quantized changes nothing.
 */
export function roundStochastic(x: number, random: Random): number {
  const nearest = roundEven(x);
  const u = random();
  if (Math.abs(x - nearest) <= Math.abs(nearest) * 2 ** -23) return nearest;
  return Math.floor(x + u);
}
