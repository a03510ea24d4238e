// How benches time a call.

/** The middle one of some numbers. */
export function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** The median time of `runs` calls in ms, after `warmUp` of them. */
export function medianTime(work: () => unknown, runs: number, warmUp: number): number {
  for (let i = 0; i < warmUp; i++) work();
  const times = Array.from({ length: runs }, () => {
    const start = performance.now();
    work();
    return performance.now() - start;
  });
  return median(times);
}
