// Quantities apart from marks: what many runs come to, for bars and lines to draw. "Medians with quartiles, by group" is a
// call of this and of a figure, not a figure of its own.
import { checkOneOf, shown } from "../util/check.ts";
import { deviation, mean, quantileOf } from "../util/statistics.ts";

/** What stands for many values. */
export const middles = ["mean", "median"] as const;
export type Middle = (typeof middles)[number];

/**
 * How far values lie from their middle: their standard deviation, that of their mean, half the distance between the
 * quartiles, or half that between the least and the greatest.
 */
export const spreads = ["deviation", "standardError", "quartiles", "range"] as const;
export type Spread = (typeof spreads)[number];

/** Runs by category, or by series and category. */
export type Samples = Record<string, readonly number[]> | Record<string, Record<string, readonly number[]>>;

type Reduced<T> = { [Name in keyof T]: T[Name] extends readonly number[] ? number : Reduced<T[Name]> };

/** Middles and spreads in the shape of the samples: `bars(data, { errors })` draws them. */
export interface Summary<T> {
  data: Reduced<T>;
  errors: Reduced<T>;
}

/**
 * Sums up many runs of each thing.
 *
 * @param samples `{ category: [runs] }` or `{ series: { category: [runs] } }`
 * @throws RangeError for a list that is empty or holds what is not finite
 */
export function summarize<T extends Samples>(
  samples: T,
  { middle = "mean", spread = "deviation" }: { middle?: Middle; spread?: Spread } = {},
): Summary<T> {
  checkOneOf("middle", middle, middles);
  checkOneOf("spread", spread, spreads);
  const walk = (value: unknown, name: string, of: (xs: readonly number[]) => number): unknown => {
    if (!Array.isArray(value))
      return Object.fromEntries(
        Object.entries(value as object).map(([key, inner]) => [
          key,
          walk(inner, name ? `${name}.${key}` : key, of),
        ]),
      );
    if (value.length === 0 || !value.every(Number.isFinite))
      throw new RangeError(`${name} must hold at least one value, all of them finite, got ${shown(value)}`);
    return of(value);
  };
  return {
    data: walk(samples, "", middleOf[middle]) as Reduced<T>,
    errors: walk(samples, "", spreadOf[spread]) as Reduced<T>,
  };
}

const middleOf: Record<Middle, (xs: readonly number[]) => number> = {
  mean,
  median: (xs) => quantileOf(xs, 0.5),
};

const spreadOf: Record<Spread, (xs: readonly number[]) => number> = {
  deviation,
  standardError: (xs) => deviation(xs) / Math.sqrt(xs.length),
  quartiles: (xs) => (quantileOf(xs, 0.75) - quantileOf(xs, 0.25)) / 2,
  range: (xs) => (Math.max(...xs) - Math.min(...xs)) / 2,
};
