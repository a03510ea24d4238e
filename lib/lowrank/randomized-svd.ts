// §3.3.1 The leading k singular triplets without the rest: N. Halko, P. G. Martinsson and J. A. Tropp,
// "Finding structure with randomness", SIAM Review 53 (2011), algorithms 4.4 and 5.1.
import { checkFinite, checkInteger, checkLength } from "../util/check.ts";
import { normal, seeded } from "../util/random.ts";
import { largestExponent, type Svd, scale, svd } from "./svd.ts";
import { type Block, MatmulWorkspace } from "./wasm-matmul.ts";
import { reflect, rowsOf, transpose } from "./wasm-rows.ts";

/** Options of {@link randomizedSvd}. */
export interface RandomizedOptions {
  /** Extra random directions beyond the rank; more are safer. Default 10. */
  oversampling?: number;
  /** Passes of A Aᵀ over the sketch; more are sharper where the spectrum decays slowly. Default 2. */
  powerIterations?: number;
  /** Seed of the random directions. Default 1. */
  seed?: number;
}

/**
 * The first `rank` singular triplets of a matrix, approximately (§3.3.1): project on a few random directions,
 * make an orthonormal basis of what comes out, and decompose the small matrix seen in that basis.
 *
 * Products run in single precision (WebAssembly SIMD), orthonormalisation in double; expect singular values
 * right to about 1e-6 of the largest where the spectrum decays, and never better than the exact truncation.
 *
 * @param w row-major rows x cols matrix
 * @param rank how many triplets, 1 to min(rows, cols)
 * @throws RangeError when a dimension, the rank or an option is out of range, or an element is not finite
 */
export function randomizedSvd(
  w: ArrayLike<number>,
  rows: number,
  cols: number,
  rank: number,
  { oversampling = 10, powerIterations = 2, seed = 1 }: RandomizedOptions = {},
): Svd {
  checkInteger("rows", rows, 1);
  checkInteger("cols", cols, 1);
  checkLength("w", w, rows * cols);
  checkFinite("w", w);
  checkInteger("rank", rank, 1, Math.min(rows, cols));
  checkInteger("oversampling", oversampling, 0);
  checkInteger("powerIterations", powerIterations, 0);
  const width = Math.min(rank + oversampling, rows, cols);

  const space = new MatmulWorkspace();
  // Products are in single precision: scaling by a power of two is exact, and keeps tiny and huge weights in its range.
  const scaled = Float64Array.from(w);
  const exponent = largestExponent(scaled);
  scale(scaled, 2 ** -exponent);
  const a = space.put(scaled, rows, cols);
  const at = space.transpose(a);
  const right = space.allocate(cols, width);
  const left = space.allocate(rows, width);
  const random = seeded(seed);
  const directions = space.view(right);
  for (let i = 0; i < cols; i++)
    for (let j = 0; j < width; j++) directions[i * right.stride + j] = normal(random);

  // Y = (A Aᵀ)^q A Ω. The sketch is made orthonormal once a pass, on its short side: without that, round-off
  // would swallow every direction weaker than 1e-4 of the strongest after two passes instead of after one.
  space.multiply(a, right, left);
  for (let pass = 0; pass < powerIterations; pass++) {
    space.multiply(at, left, right);
    orthonormalize(space, right, 1);
    space.multiply(a, right, left);
  }
  orthonormalize(space, left, 2);

  // B = Qᵀ A, formed as its transpose Aᵀ Q: the same shape as the sketch.
  space.multiply(at, left, right);
  const small = svd(dense(space, right), cols, width);
  // Aᵀ Q = U' Σ V'ᵀ gives A ≈ Q V' Σ U'ᵀ.
  const rotation = space.put(transpose(small.vt, width, width), width, width);
  const u = space.allocate(rows, width);
  space.multiply(left, rotation, u);
  const vt = transpose(small.u, cols, width).slice(0, rank * cols);
  const s = small.s.slice(0, rank);
  scale(s, 2 ** exponent);
  return { u: dense(space, u, rank), s, vt, rows, cols, rank };
}

/** The first `cols` columns of a block, without padding. */
function dense(space: MatmulWorkspace, block: Block, cols = block.cols): Float64Array {
  const view = space.view(block);
  const result = new Float64Array(block.rows * cols);
  for (let i = 0; i < block.rows; i++) {
    result.set(view.subarray(i * block.stride, i * block.stride + cols), i * cols);
  }
  return result;
}

/**
 * Makes a block's columns orthonormal: modified Gram-Schmidt in double precision. One pass is enough between
 * products; two give a basis orthogonal to the last bit ("twice is enough", Kahan).
 */
function orthonormalize(space: MatmulWorkspace, block: Block, passes: number): void {
  const { rows, cols, stride } = block;
  const view = space.view(block);
  // Columns become rows: contiguous.
  const [q] = rowsOf(cols * rows);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) q[j * rows + i] = view[i * stride + j];
  for (let j = 0; j < cols; j++) {
    const y = q.subarray(j * rows, (j + 1) * rows);
    const before = lengthOf(y);
    const project = () => {
      for (let i = 0; i < j; i++) reflect(q.subarray(i * rows, (i + 1) * rows), 1, y);
      return lengthOf(y);
    };
    let norm = 0;
    for (let pass = 0; pass < passes; pass++) norm = project();
    if (!(norm > 1e-6 * before)) {
      // The earlier ones span this direction already: any other is as good. What is left of all unit vectors together is
      // rows − j, so that one of them keeps the mean share.
      for (let unit = 0; norm ** 2 < (rows - j) / (2 * rows) || unit === 0; unit++) {
        y.fill(0);
        y[unit] = 1;
        norm = project();
      }
      norm = project();
    }
    for (let k = 0; k < rows; k++) y[k] /= norm;
  }
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) view[i * stride + j] = q[j * rows + i];
}

function lengthOf(x: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i] * x[i];
  return Math.sqrt(sum);
}
