// §3.2.1, item 2: the best clusters there are. On a line k-means is not a gamble: dynamic programming finds them.
//
// Wang and Song, "Ckmeans.1d.dp", 2011 (the recurrence); Grønlund et al., "Fast exact k-means, k-medians and Bregman
// divergence clustering in 1D", 2017 (monotone splits, and the search for a penalty a cluster).
//
// Let D_k(j) be the least squared error of the first j distinct values in k clusters, and e(i, j) the error of the
// values i … j−1 around their mean. Then D_k(j) = min_i D_{k−1}(i) + e(i, j), and the best i never moves left as j grows.

import { errorBetween as error, type Points } from "./sorted-points.ts";

/**
 * The optimum by dynamic programming over clusters and values, O(K·m·log m): for each number of clusters the best last
 * split is found for the middle value first, and bounds the search for the values on either side.
 *
 * Simple and sure, but `optimalSplits` is many times faster; it falls back to this one.
 */
export function optimalSplitsByLayers(points: Points, clusters: number): Int32Array {
  const m = points.values.length;
  if (clusters >= m) return Int32Array.from({ length: m + 1 }, (_, i) => i);
  let before = new Float64Array(m + 1);
  let now = new Float64Array(m + 1);
  for (let j = 1; j <= m; j++) before[j] = error(points, 0, j);
  const choices = [new Int32Array(m + 1)];
  for (let k = 2; k <= clusters; k++) {
    const choice = new Int32Array(m + 1);
    const previous = before;
    const fill = (from: number, to: number, low: number, high: number): void => {
      if (from > to) return;
      const j = (from + to) >>> 1;
      let best = Number.POSITIVE_INFINITY;
      let split = low;
      for (let i = low; i <= Math.min(high, j - 1); i++) {
        const cost = previous[i] + error(points, i, j);
        if (cost < best) {
          best = cost;
          split = i;
        }
      }
      now[j] = best;
      choice[j] = split;
      fill(from, j - 1, low, split);
      fill(j + 1, to, split, high);
    };
    fill(k, m, k - 1, m - 1);
    choices.push(choice);
    [before, now] = [now, before];
  }
  const splits = new Int32Array(clusters + 1);
  for (let k = clusters, j = m; k > 0; k--) {
    splits[k] = j;
    j = choices[k - 1][j];
  }
  return splits;
}

/** The running sums at every `stride`-th point and at the end, side by side: count, sum, square and a gap. */
function thinned({ count, sum, square }: Points, stride: number): Float64Array {
  const m = count.length - 1;
  const steps = Math.ceil(m / stride);
  // Every look-up needs all three at a random place: in one cache line they cost one miss, not three.
  const running = new Float64Array(4 * (steps + 1));
  for (let j = 0; j <= steps; j++) {
    const at = Math.min(m, j * stride);
    running[4 * j] = count[at];
    running[4 * j + 1] = sum[at];
    running[4 * j + 2] = square[at];
  }
  return running;
}

/**
 * The best clustering where every cluster costs `penalty`: F(j) = min_i F(i) + e(i, j) + penalty, in O(m·log m) at most.
 *
 * Because the best i never moves left, each candidate i is best for one run of j's. A queue holds the candidates with
 * the place where each one's run begins; a new candidate takes the end of the last run, or all of it.
 *
 * @param running what `thinned` gives
 */
function penalised(running: Float64Array, penalty: number): Int32Array {
  const steps = running.length / 4 - 1;
  const best = new Float64Array(steps + 1);
  const from = new Int32Array(steps + 1);
  /** The cost up to place j where the last cluster begins at place i. */
  const through = (i: number, j: number): number => {
    const a = 4 * i;
    const b = 4 * j;
    const s = running[b + 1] - running[a + 1];
    // Rounding may leave an error of 0 a trifle below it: that changes no choice that matters.
    return best[i] + running[b + 2] - running[a + 2] - (s * s) / (running[b] - running[a]) + penalty;
  };
  const queue = new Int32Array(steps + 1);
  const begins = new Int32Array(steps + 1);
  begins[0] = 1;
  let head = 0;
  let tail = 0;
  let ahead = 1;
  for (let j = 1; j <= steps; j++) {
    while (head < tail && begins[head + 1] <= j) head++;
    from[j] = queue[head];
    best[j] = through(queue[head], j);
    // Runs at the end that candidate j takes whole fall away; of the one before them it takes the end.
    while (tail > head && through(j, begins[tail]) <= through(queue[tail], begins[tail])) tail--;
    const last = queue[tail];
    // It begins about as far ahead as it did for the candidate before.
    const begin = firstWin(
      Math.max(j, begins[tail]),
      steps + 1,
      j + ahead,
      (p) => through(j, p) < through(last, p),
    );
    if (begin > steps) continue;
    ahead = begin - j;
    queue[++tail] = j;
    begins[tail] = begin;
  }
  const splits: number[] = [steps];
  for (let j = steps; j > 0; j = from[j]) splits.push(from[j]);
  return Int32Array.from(splits.reverse());
}

/**
 * The first place between `low` and `high` where `wins` holds, from where on it does; `high` if nowhere. Gallops away
 * from `guess` in growing jumps, then halves what is left.
 */
function firstWin(low: number, high: number, guess: number, wins: (place: number) => boolean): number {
  let probe = Math.min(high - 1, Math.max(low + 1, guess));
  for (let jump = 1; low < probe && probe < high; jump *= 2) {
    if (wins(probe)) {
      high = probe;
      probe -= jump;
    } else {
      low = probe;
      probe += jump;
    }
  }
  while (high - low > 1) {
    const middle = (low + high) >>> 1;
    if (wins(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/**
 * The optimal splits of weights on a line into `clusters` clusters, in O(m·log m) for a handful of penalties.
 *
 * The least error falls ever more slowly as clusters are added, so for some penalty a cluster the unconstrained optimum
 * has exactly the number asked for, and then it is the optimum for that number (Grønlund et al. 2017, §4). The penalty
 * is found on a thinned problem first, where a try costs nothing. Where values are so regular that no penalty gives the
 * number, the layered dynamic programme decides.
 *
 * @param points at least one
 * @param clusters at least 1; where there are fewer points, each becomes a cluster
 * @returns where each cluster begins among the points, with their number at the end
 */
export function optimalSplits(points: Points, clusters: number): Int32Array {
  const m = points.values.length;
  if (clusters >= m) return Int32Array.from({ length: m + 1 }, (_, i) => i);
  if (clusters === 1) return Int32Array.of(0, m);
  // Small problems: the layers cost less than the search.
  if (m <= 256) return optimalSplitsByLayers(points, clusters);
  const stride = Math.max(1, Math.floor(m / Math.max(4096, 16 * clusters)));
  const sample = thinned(points, stride);
  const total = error(points, 0, m);
  // Thinned: the two ends of the penalties that give the number; their middle is the guess for the whole problem.
  const edge = (count: number): number => {
    let low = total * 1e-18;
    let high = total;
    // The error falls about as 1/k², so the ends lie apart by about 3/k of themselves.
    while (high / low > 1 + 0.1 / clusters) {
      const middle = Math.sqrt(low * high);
      if (penalised(sample, middle).length - 1 >= count) low = middle;
      else high = middle;
    }
    return low;
  };
  let penalty = Math.sqrt(edge(clusters) * edge(clusters + 1));
  const whole = stride === 1 ? sample : thinned(points, 1);
  let low = 0;
  let high = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 60; attempt++) {
    const splits = penalised(whole, penalty);
    const found = splits.length - 1;
    if (found === clusters) return splits;
    if (found > clusters) low = penalty;
    else high = penalty;
    // The error falls about as 1/k², so the penalty about as 1/k³: a step by that law inside the bracket, else halves.
    let next = penalty * (found / clusters) ** 3;
    if (!(next > low && next < high) || attempt > 8)
      next = high === Number.POSITIVE_INFINITY ? low * 2 : Math.sqrt(Math.max(low, high * 1e-6) * high);
    if (high / low < 1 + 1e-12) break;
    penalty = next;
  }
  return optimalSplitsByLayers(points, clusters);
}
