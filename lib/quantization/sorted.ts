// §3.2.1, item 2: what makes k-means on weights cheap: they lie on a line.
//
// Sorted, every cluster is one piece of the array, and with running sums its mean and its squared error come from two
// look-ups, however many weights it holds.

/** Weights in ascending order, with running sums of (w − center) over blocks. */
export interface SortedWeights {
  values: Float32Array;
  /** The median: sums of differences from it lose fewer digits than sums of the weights themselves. */
  center: number;
  /** `sums[b]` is the sum of (w − center) over the first b blocks; `squares[b]` that of (w − center)². */
  sums: Float64Array;
  squares: Float64Array;
}

// A running sum for every weight would take four times the memory of the weights (float64, two of them). One for every
// block takes next to nothing and costs at most a block's worth of additions where a cluster begins.
const block = 1024;

/** Sorts a copy of the weights; memory beside the input: one copy and 1/64 of it. */
export function sortWeights(weights: Float32Array): SortedWeights {
  const values = weights.slice().sort();
  const center = values[values.length >> 1] ?? 0;
  const blocks = Math.ceil(values.length / block);
  const sums = new Float64Array(blocks + 1);
  const squares = new Float64Array(blocks + 1);
  for (let b = 0; b < blocks; b++) {
    const end = Math.min(values.length, (b + 1) * block);
    let sum = 0;
    let square = 0;
    for (let i = b * block; i < end; i++) {
      const difference = values[i] - center;
      sum += difference;
      square += difference * difference;
    }
    sums[b + 1] = sums[b] + sum;
    squares[b + 1] = squares[b] + square;
  }
  return { values, center, sums, squares };
}

/** Sum of (w − center) over the first `end` weights. */
export function sumTo({ values, center, sums }: SortedWeights, end: number): number {
  const b = Math.floor(end / block);
  let sum = sums[b];
  for (let i = b * block; i < end; i++) sum += values[i] - center;
  return sum;
}

/** Sum of (w − center)² over the first `end` weights. */
export function squaresTo({ values, center, squares }: SortedWeights, end: number): number {
  const b = Math.floor(end / block);
  let sum = squares[b];
  for (let i = b * block; i < end; i++) sum += (values[i] - center) ** 2;
  return sum;
}

/** How many of the ascending `values` in [from, to) are below `limit`, counted from the array's start. */
export function lowerBound(values: ArrayLike<number>, limit: number, from = 0, to = values.length): number {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
