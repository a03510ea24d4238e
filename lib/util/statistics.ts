// What a few numbers come to.

export const mean = (xs: readonly number[]): number => xs.reduce((sum, x) => sum + x, 0) / xs.length;

/** Sample variance; of one number 0. */
export function variance(xs: readonly number[]): number {
  const middle = mean(xs);
  return xs.reduce((sum, x) => sum + (x - middle) ** 2, 0) / Math.max(1, xs.length - 1);
}

/** Sample standard deviation; of one number 0. */
export const deviation = (xs: readonly number[]): number => Math.sqrt(variance(xs));

/** The value below which a share of all lies, in between two where it falls there. */
export function quantileOf(xs: readonly number[], share: number): number {
  const sorted = [...xs].sort((a, b) => a - b);
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)];
  return below + (at - Math.floor(at)) * (sorted[Math.ceil(at)] - below);
}
