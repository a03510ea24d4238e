// §1.1 How long work takes: what counts promise, a clock has to confirm.
import { checkInteger } from "../util/check.ts";
import { nextTurn } from "../util/turn.ts";

/** Latency of repeated runs, in milliseconds. */
export interface Latency {
  /** The quickest run. Whatever else the machine does can only slow a run down, so this is the work's own time. */
  fastest: number;
  median: number;
  /** Nine of ten runs are at least as fast. */
  p90: number;
  runs: number;
}

/** Options of {@link measureLatency} and {@link measureLatencies}. */
export interface MeasureOptions {
  /** How many runs count; default 20. */
  runs?: number;
  /** Runs before them, which do not count: they compile kernels and fill caches; default 3. */
  warmup?: number;
  /** Ends it between two runs, with the signal's reason as the error. */
  signal?: AbortSignal;
}

/** A clock that steps by less, in ms, is fine enough for whatever is measured; browsers' step by 0.1 or 1 where a page is not isolated. */
const fineStep = 0.02;
/** By a coarser clock, what is measured takes at least so many of its steps. */
const leastSteps = 20;

/** The smallest step that the clock was seen to make, in ms. */
function clockStep(): number {
  let smallest = Infinity;
  for (let i = 0; i < 5; i++) {
    const start = performance.now();
    let now = start;
    while (now === start) now = performance.now();
    smallest = Math.min(smallest, now - start);
  }
  return smallest;
}

/**
 * Measures how long each work takes (§1.1). They take turns, so that a machine that gets slower for a while gets slower
 * for all of them. Where the clock is coarse, as in browsers, a run of short work is the mean of several in a row.
 *
 * @param works by name; awaited
 * @throws RangeError for options out of range
 */
export async function measureLatencies(
  works: Record<string, () => unknown>,
  { runs = 20, warmup = 3, signal }: MeasureOptions = {},
): Promise<Record<string, Latency>> {
  checkInteger("runs", runs, 1);
  checkInteger("warmup", warmup, 0);
  const step = clockStep();
  const least = step > fineStep ? leastSteps * step : 0;
  const timed = Object.entries(works).map(([name, work]) => ({ name, work, times: new Float64Array(runs) }));
  for (let run = -warmup; run < runs; run++) {
    for (const { work, times } of timed) {
      signal?.throwIfAborted();
      const start = performance.now();
      let done = 0;
      let time = 0;
      do {
        await work();
        done++;
        time = performance.now() - start;
      } while (time < least);
      if (run >= 0) times[run] = time / done;
    }
    await nextTurn();
  }
  const middle = runs >> 1;
  return Object.fromEntries(
    timed.map(({ name, times }) => {
      times.sort();
      const median = runs % 2 === 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2;
      return [name, { fastest: times[0], median, p90: times[Math.ceil(0.9 * runs) - 1], runs }];
    }),
  );
}

/** {@link measureLatencies} of one work: a forward pass, say. */
export async function measureLatency(work: () => unknown, options: MeasureOptions = {}): Promise<Latency> {
  return (await measureLatencies({ work }, options)).work;
}
