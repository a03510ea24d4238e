// §3.1.4: how sparse after each step. Pruning a little at a time lets the network heal in between.

import { checkInteger, checkNumber, checkOneOf } from "../util/check.ts";

/** `oneShot` is there to compare with: all in the first step, and the others only fine-tune. */
export const schedules = ["linear", "cubic", "logCubic", "geometric", "oneShot"] as const;
export type Schedule = (typeof schedules)[number];

export interface PlanOptions {
  schedule?: Schedule;
  /** The sparsity after the last step, from 0 to 1. */
  sparsity: number;
  /** How many steps, at least 1. */
  steps: number;
  /** The sparsity before the first step, from 0 to `sparsity`. */
  initial?: number;
}

/**
 * The sparsity after each of the steps, rising from `initial` to exactly `sparsity`:
 *
 * - linear: the same share of all weights in each step
 * - cubic (default): s = sparsity + (initial − sparsity)·(1 − t)³, much at first, while there is much to spare
 * - logCubic: the logarithm of what is left falls like cubic: for pruning to a few hundredths, where the last steps count most
 * - geometric: the same share of what is left in each step, as in the lottery ticket's rounds
 * - oneShot: all at once
 *
 * @returns one sparsity a step
 * @throws RangeError if the schedule is unknown, a sparsity is outside its range, or steps is not a whole number
 * @see §3.1.4; Zhu, Gupta, "To prune, or not to prune", 2017 (cubic); Frankle, Carbin, 2019 (geometric)
 */
export function prunePlan({ schedule = "cubic", sparsity, steps, initial = 0 }: PlanOptions): number[] {
  checkOneOf("schedule", schedule, schedules);
  checkNumber("sparsity", sparsity, 0, 1);
  checkNumber("initial", initial, 0, sparsity);
  checkInteger("steps", steps, 1);
  const leftShare = initial === 1 ? 0 : (1 - sparsity) / (1 - initial);
  const after: Record<Schedule, (t: number) => number> = {
    linear: (t) => initial + (sparsity - initial) * t,
    cubic: (t) => sparsity + (initial - sparsity) * (1 - t) ** 3,
    logCubic: (t) => 1 - (1 - initial) * leftShare ** (1 - (1 - t) ** 3),
    geometric: (t) => 1 - (1 - initial) * leftShare ** t,
    oneShot: () => sparsity,
  };
  return Array.from({ length: steps }, (_, i) =>
    i === steps - 1 ? sparsity : after[schedule]((i + 1) / steps),
  );
}

/**
 * A plan that ends with nothing left, for pruning down to an accuracy floor: each step prunes the share `rate` of what is left.
 *
 * @param rate from above 0 to below 1
 * @throws RangeError if the rate is outside that
 * @see §3.1.4; Frankle, Carbin, "The lottery ticket hypothesis", 2019
 */
export function endlessPlan(rate = 0.2): Iterable<number> {
  checkNumber("rate", rate, Number.MIN_VALUE, 1 - Number.EPSILON);
  return {
    *[Symbol.iterator]() {
      // With less than a billionth left, nothing of a real model is.
      for (let left = 1 - rate; left > 1e-9; left *= 1 - rate) yield 1 - left;
      yield 1;
    },
  };
}
