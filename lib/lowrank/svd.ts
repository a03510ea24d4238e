// §3.3.1 Singular value decomposition: W = U Σ Vᵀ, and its truncation to the first k singular values.
// Golub and Reinsch, "Singular value decomposition and least squares solutions", Numer. Math. 14 (1970):
// Householder reduction to a bidiagonal matrix, then implicit QR steps on it. A tall matrix is first reduced
// to its triangular factor (Chan, 1982), so that the iteration only sees n x n.
import { checkFinite, checkInteger, checkLength } from "../util/check.ts";
import {
  addAndDot,
  addAndSum,
  addScaled,
  type Reflectors,
  reflectRows,
  rowsOf,
  sweep,
  transpose,
  transposeInto,
} from "./wasm-rows.ts";

/** A singular value decomposition of a rows x cols matrix, thin: r = min(rows, cols). */
export interface Svd {
  /** Left singular vectors, row-major rows x r; columns are orthonormal. */
  u: Float64Array;
  /** Singular values, r of them, largest first. */
  s: Float64Array;
  /** Right singular vectors, transposed: row-major r x cols; rows are orthonormal. */
  vt: Float64Array;
  rows: number;
  cols: number;
  /** The number of singular triplets kept. */
  rank: number;
}

/**
 * Full (thin) singular value decomposition in double precision (§3.3.1).
 *
 * @param w row-major rows x cols matrix
 * @throws RangeError when a dimension is not positive, the length is wrong, or an element is not finite
 */
export function svd(w: ArrayLike<number>, rows: number, cols: number): Svd {
  checkInteger("rows", rows, 1);
  checkInteger("cols", cols, 1);
  checkLength("w", w, rows * cols);
  checkFinite("w", w);
  // Everything below wants at least as many rows as columns; a wide matrix is the transpose of a tall one.
  if (rows < cols) {
    const t = svd(transpose(w, rows, cols), cols, rows);
    return { u: transpose(t.vt, rows, rows), s: t.s, vt: transpose(t.u, cols, rows), rows, cols, rank: rows };
  }
  const tall = rows > cols;
  const [at, square, carried, tau, ...work] = rowsOf(
    cols * rows,
    tall ? cols * cols : 0,
    tall ? cols * rows : 0,
    cols,
    ...workOf(cols),
  );
  // Columns become rows, so that every inner loop below walks through contiguous memory.
  transposeInto(at, w, rows, cols);
  // Scaling by a power of two is exact, and keeps squares of tiny or huge weights in range.
  const exponent = largestExponent(at);
  scale(at, 2 ** -exponent);
  if (tall) qr(at, cols, rows, square, tau);
  const { ut, s, vt } = svdSquare(tall ? square : at, cols, work);
  if (tall) {
    // Q [ut; 0]ᵀ: the left vectors of R carried back to their length.
    for (let i = 0; i < cols; i++) carried.set(ut.subarray(i * cols, (i + 1) * cols), i * rows);
    reflectRows({ rows: at, tau, length: rows, shift: 0 }, cols - 1, -1, carried, 0, cols);
  }
  const u = transpose(tall ? carried : ut, cols, rows);
  scale(s, 2 ** exponent);
  return { u, s, vt, rows, cols, rank: cols };
}

/**
 * Keeps the first `rank` singular triplets: the best rank-k approximation in the Frobenius and the spectral
 * norm (Eckart and Young, 1936). The squared error is the sum of the squares of the values left out.
 */
export function truncate(decomposition: Svd, rank: number): Svd {
  const { rows, cols, rank: full } = decomposition;
  checkInteger("rank", rank, 1, full);
  const u = new Float64Array(rows * rank);
  for (let i = 0; i < rows; i++) u.set(decomposition.u.subarray(i * full, i * full + rank), i * rank);
  return {
    u,
    s: decomposition.s.slice(0, rank),
    vt: decomposition.vt.slice(0, rank * cols),
    rows,
    cols,
    rank,
  };
}

/** Multiplies the three factors: U Σ Vᵀ, row-major rows x cols. */
export function reconstruct({ u, s, vt, rows, cols, rank }: Svd): Float64Array {
  const w = new Float64Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    const row = w.subarray(i * cols, (i + 1) * cols);
    for (let k = 0; k < rank; k++) {
      const factor = u[i * rank + k] * s[k];
      for (let j = 0; j < cols; j++) row[j] += factor * vt[k * cols + j];
    }
  }
  return w;
}

/**
 * Householder QR in place on columns stored as rows (n of length m); the reflectors' factors come into `tau`.
 *
 * @param r gets R, as columns stored in rows: element (k, j) stands at r[j * n + k], k <= j
 */
function qr(at: Float64Array, n: number, m: number, r: Float64Array, tau: Float64Array): void {
  const reflectors: Reflectors = { rows: at, tau, length: m, shift: 0 };
  // Four columns meet all earlier reflectors at once, and then each other's.
  for (let from = 0; from < n; from += 4) {
    const end = Math.min(n, from + 4);
    reflectRows(reflectors, 0, from, at, from, end - from);
    for (let k = from; k < end; k++) {
      const column = at.subarray(k * m + k, (k + 1) * m);
      tau[k] = reflector(column);
      r.set(at.subarray(k * m, k * m + k + 1), k * n);
      if (tau[k] === 0) continue;
      column[0] = 1;
      reflectRows(reflectors, k, k + 1, at, k + 1, end - k - 1);
    }
  }
}

/**
 * Turns x into a Householder reflector H = I - tau v vᵀ with H x = beta e1: v replaces x, but for x[0], which becomes
 * beta and stands for v[0] = 1. Returns tau; 0 when x is already a multiple of e1.
 */
function reflector(x: Float64Array): number {
  let tail = 0;
  for (let i = 1; i < x.length; i++) tail += x[i] * x[i];
  if (tail === 0) return 0;
  const alpha = x[0];
  const beta = alpha > 0 ? -Math.sqrt(alpha * alpha + tail) : Math.sqrt(alpha * alpha + tail);
  const inverse = 1 / (alpha - beta);
  for (let i = 1; i < x.length; i++) x[i] *= inverse;
  x[0] = beta;
  return (beta - alpha) / beta;
}

/** The vectors that turn while a decomposition goes on, and the rotations of a step. */
interface Turning {
  /** Rows in panels of 8 columns, see `sweep`. */
  ut: Float64Array;
  vt: Float64Array;
  /** c and s of each rotation, of the left vectors and of the right ones. */
  left: Float64Array;
  right: Float64Array;
}

/** The lengths of what `svdSquare` works in. */
function workOf(n: number): number[] {
  const panels = 8 * n * Math.ceil(n / 8);
  return [panels, panels, n * n, n * n, 2 * n, 2 * n, n * n, n, n, n, n, n, n];
}

/** The decomposition of an n x n matrix given by columns stored as rows; singular vectors come back as rows. */
function svdSquare(
  at: Float64Array,
  n: number,
  [ut, vt, us, vs, left, right, rowVectors, tauLeft, tauRight, x, factors, dots, row]: Float64Array[],
): { ut: Float64Array; s: Float64Array; vt: Float64Array } {
  const d = new Float64Array(n);
  const e = new Float64Array(n);
  // Column by column from both sides. What a right reflector does to the columns, `factors` times x, waits until the next
  // left one is known: then both go over the matrix in one pass.
  for (let k = 0; k < n; k++) {
    const column = at.subarray(k * n + k, (k + 1) * n);
    const waiting = x.subarray(k, n);
    if (k > 0) addScaled(column, factors[k], waiting);
    tauLeft[k] = reflector(column);
    d[k] = column[0];
    column[0] = 1;
    if (k + 1 >= n) break;
    const rest = at.subarray((k + 1) * n + k);
    const later = factors.subarray(k + 1, n);
    const seen = dots.subarray(k + 1, n);
    addAndDot(rest, n, later, waiting, column, seen);
    for (let j = k + 1; j < n; j++) {
      factors[j] = -tauLeft[k] * dots[j];
      row[j] = at[j * n + k] + factors[j];
    }
    const vector = rowVectors.subarray(k * n + k + 1, (k + 1) * n);
    vector.set(row.subarray(k + 1, n));
    tauRight[k] = reflector(vector);
    e[k] = vector[0];
    vector[0] = 1;
    const sum = x.subarray(k + 1, n).fill(0);
    addAndSum(at.subarray((k + 1) * n + k + 1), n, later, column.subarray(1), vector, sum);
    for (let j = k + 1; j < n; j++) factors[j] = -tauRight[k] * vector[j - k - 1];
  }
  for (let i = 0; i < n; i++) us[i * n + i] = vs[i * n + i] = 1;
  const lefts: Reflectors = { rows: at, tau: tauLeft, length: n, shift: 0 };
  const rights: Reflectors = { rows: rowVectors, tau: tauRight, length: n, shift: 1 };
  // Reflectors beyond the place of a row's only 1 leave it alone.
  for (let i = 0; i < n; i += 4) {
    const count = Math.min(4, n - i);
    reflectRows(lefts, i + count - 1, -1, us, i, count);
    reflectRows(rights, i + count - 1, -1, vs, i, count);
  }
  // The rows of `us` now are H1..Hn e_i: columns of U stored as rows, which is what the rotations want.
  toPanels(us, ut, n);
  toPanels(vs, vt, n);
  // The values alone cost next to nothing, and with each of them as its own shift half as many steps turn the vectors.
  const values = Float64Array.from(d);
  diagonalize(values, Float64Array.from(e));
  diagonalize(d, e, { turning: { ut, vt, left, right }, shifts: new Shifts(values) });
  return sorted(d, ut, vt);
}

/** Squared singular values that are known already: the best shifts there are. */
class Shifts {
  readonly #left: Float64Array;
  #count: number;

  constructor(values: Float64Array) {
    this.#left = values.map((value) => value * value);
    this.#count = values.length;
  }

  /** The one nearest to an estimate. */
  near(estimate: number): number {
    return this.#left[this.#nearest(estimate)];
  }

  /** Takes out the one nearest to what has been found. */
  found(square: number): void {
    const at = this.#nearest(square);
    this.#left[at] = this.#left[--this.#count];
  }

  #nearest(square: number): number {
    let best = 0;
    for (let i = 1; i < this.#count; i++)
      if (Math.abs(this.#left[i] - square) < Math.abs(this.#left[best] - square)) best = i;
    return best;
  }
}

/** Implicit-shift QR on the bidiagonal (d, e); turns the vectors along, if there are any. */
function diagonalize(
  d: Float64Array,
  e: Float64Array,
  { turning, shifts }: { turning?: Turning; shifts?: Shifts } = {},
): void {
  const n = d.length;
  let norm = 0;
  for (let i = 0; i < n; i++) norm = Math.max(norm, Math.abs(d[i]) + Math.abs(e[i]));
  const tiny = Number.EPSILON * norm;
  let high = n - 1;
  let steps = 0;
  while (high > 0) {
    if (Math.abs(e[high - 1]) <= tiny) {
      e[high - 1] = 0;
      shifts?.found(d[high] * d[high]);
      high--;
      steps = 0;
      continue;
    }
    if (++steps > 75) throw new Error("svd did not converge in 75 steps for one singular value");
    let low = high - 1;
    while (low > 0 && Math.abs(e[low - 1]) > tiny) low--;
    const zero = lastZero(d, low, high, tiny);
    if (zero >= 0) chase(d, e, turning, low, zero, high);
    // A shift that has not worked twice is another block's.
    else step(d, e, turning, low, high, steps <= 2 ? shifts : undefined);
  }
}

function lastZero(d: Float64Array, low: number, high: number, tiny: number): number {
  for (let i = high; i >= low; i--) if (Math.abs(d[i]) <= tiny) return i;
  return -1;
}

/** A zero on the diagonal: rotations empty its row (or, at the end, its column), so that the block splits. */
function chase(
  d: Float64Array,
  e: Float64Array,
  turning: Turning | undefined,
  low: number,
  zero: number,
  high: number,
): void {
  d[zero] = 0;
  if (zero === high) {
    let f = e[high - 1];
    e[high - 1] = 0;
    for (let i = high - 1; i >= low; i--) {
      const r = Math.hypot(d[i], f);
      const c = d[i] / r;
      const s = f / r;
      d[i] = r;
      if (turning) rotate(turning.vt, d.length, i, high, c, s);
      if (i > low) {
        f = -s * e[i - 1];
        e[i - 1] *= c;
      }
      if (f === 0) break;
    }
    return;
  }
  let f = e[zero];
  e[zero] = 0;
  for (let i = zero + 1; i <= high; i++) {
    const r = Math.hypot(d[i], f);
    const c = d[i] / r;
    const s = f / r;
    d[i] = r;
    if (turning) rotate(turning.ut, d.length, i, zero, c, s);
    if (i === high) break;
    f = -s * e[i];
    e[i] *= c;
    if (f === 0) break;
  }
}

/** One implicit QR step with Wilkinson's shift, or the known value nearest to it, on the unreduced block low..high. */
function step(
  d: Float64Array,
  e: Float64Array,
  turning: Turning | undefined,
  low: number,
  high: number,
  shifts: Shifts | undefined,
): void {
  const ePrevious = high - 1 > low ? e[high - 2] : 0;
  const a = d[high - 1] * d[high - 1] + ePrevious * ePrevious;
  const b = d[high - 1] * e[high - 1];
  const c2 = d[high] * d[high] + e[high - 1] * e[high - 1];
  const half = (a - c2) / 2;
  const estimate = c2 - (b * b) / (half + (half >= 0 ? 1 : -1) * lengthOf(half, b));
  const shift = shifts ? shifts.near(estimate) : estimate;
  let f = (d[low] * d[low] - shift) / d[low];
  let g = e[low];
  for (let i = low; i < high; i++) {
    let r = lengthOf(f, g);
    let c = r === 0 ? 1 : f / r;
    let s = r === 0 ? 0 : g / r;
    if (i > low) e[i - 1] = r;
    f = c * d[i] + s * e[i];
    e[i] = c * e[i] - s * d[i];
    g = s * d[i + 1];
    d[i + 1] *= c;
    if (turning) {
      turning.right[2 * (i - low)] = c;
      turning.right[2 * (i - low) + 1] = s;
    }
    r = lengthOf(f, g);
    c = r === 0 ? 1 : f / r;
    s = r === 0 ? 0 : g / r;
    d[i] = r;
    f = c * e[i] + s * d[i + 1];
    d[i + 1] = c * d[i + 1] - s * e[i];
    if (i + 1 < high) {
      g = s * e[i + 1];
      e[i + 1] *= c;
    }
    if (turning) {
      turning.left[2 * (i - low)] = c;
      turning.left[2 * (i - low) + 1] = s;
    }
  }
  e[high - 1] = f;
  if (!turning) return;
  // The vectors turn once the step is known: all rotations in one pass.
  sweep(turning.vt, d.length, low, turning.right, high - low);
  sweep(turning.ut, d.length, low, turning.left, high - low);
}

/** Of numbers that are scaled to about 1: `Math.hypot`, which guards against all others, takes longer than the rotations. */
const lengthOf = (a: number, b: number) => Math.sqrt(a * a + b * b);

/** Rows i and j of an n x n matrix in panels: (x, y) := (c x + s y, c y - s x). */
function rotate(a: Float64Array, n: number, i: number, j: number, c: number, s: number): void {
  for (let panel = 0; panel < a.length; panel += 8 * n) {
    for (let k = 0; k < 8; k++) {
      const [p, q] = [panel + 8 * i + k, panel + 8 * j + k];
      const x = a[p];
      const y = a[q];
      a[p] = c * x + s * y;
      a[q] = c * y - s * x;
    }
  }
}

/** A row-major n x n matrix in panels of 8 columns. */
function toPanels(a: Float64Array, panels: Float64Array, n: number): void {
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++) panels[(j >> 3) * 8 * n + 8 * i + (j & 7)] = a[i * n + j];
}

/** Positive singular values, largest first, with their vectors. */
function sorted(d: Float64Array, ut: Float64Array, vt: Float64Array) {
  const n = d.length;
  const order = Array.from(d.keys()).sort((i, j) => Math.abs(d[j]) - Math.abs(d[i]));
  const result = { ut: new Float64Array(n * n), s: new Float64Array(n), vt: new Float64Array(n * n) };
  order.forEach((from, to) => {
    result.s[to] = Math.abs(d[from]);
    const sign = d[from] < 0 ? -1 : 1;
    for (let j = 0; j < n; j++) {
      const at = (j >> 3) * 8 * n + 8 * from + (j & 7);
      result.ut[to * n + j] = ut[at];
      result.vt[to * n + j] = sign * vt[at];
    }
  });
  return result;
}

/** Multiplies in place. */
export function scale(a: Float64Array, factor: number): void {
  for (let i = 0; i < a.length; i++) a[i] *= factor;
}

/** The power of two below the largest magnitude. */
export function largestExponent(a: Float64Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) largest = Math.max(largest, Math.abs(a[i]));
  return largest === 0 ? 0 : Math.max(-1000, Math.floor(Math.log2(largest)));
}
