// §3.3.1 A dense layer y = x W as two smaller ones y = (x A) B: by truncated SVD, and by SVD weighted with the
// inputs that the layer really sees.

import { checkFinite, checkInteger, checkLength, checkNumber } from "../util/check.ts";
import { mapFloats } from "../util/floats.ts";
import { cholesky, damped, solveUpper } from "./normal-equations.ts";
import { type Svd, svd, truncate } from "./svd.ts";
import { product } from "./wasm-rows.ts";

/** W ≈ A B with A of shape rows x rank and B of shape rank x cols, both row-major, ready to be layer kernels. */
export interface Factors {
  a: Float32Array;
  b: Float32Array;
  rows: number;
  cols: number;
  rank: number;
}

/**
 * The best rank-k factors of a matrix in the Frobenius norm: A = U √Σ, B = √Σ Vᵀ (§3.3.1). Sharing Σ out evenly
 * gives both factors the same scale, which suits fine-tuning and quantization.
 *
 * @param w row-major rows x cols
 * @param rank 1 to min(rows, cols)
 */
export function factorize(w: ArrayLike<number>, rows: number, cols: number, rank: number): Factors {
  checkInteger("rank", rank, 1, Math.min(rows, cols));
  return factorsOf(truncate(svd(w, rows, cols), rank));
}

/**
 * The rank-k factors that lose least of the layer's *output* over given inputs: minimises ‖X W - X A B‖. With
 * X ᵀX = RᵀR the error is ‖R (W - A B)‖, so the SVD of R W is truncated and R is divided out again
 * (X. Wang et al., "SVD-LLM", 2024; reduced-rank regression, Izenman 1975).
 *
 * @param w row-major rows x cols kernel [in, out]
 * @param x inputs, row-major samples x rows
 * @param damping added to the diagonal of XᵀX relative to its mean, so that inputs that never vary do no harm
 */
export function factorizeForInputs(
  w: ArrayLike<number>,
  rows: number,
  cols: number,
  rank: number,
  x: ArrayLike<number>,
  { damping = 1e-6 }: { damping?: number } = {},
): Factors {
  checkInteger("rows", rows, 1);
  checkInteger("cols", cols, 1);
  checkInteger("rank", rank, 1, Math.min(rows, cols));
  checkLength("w", w, rows * cols);
  checkInteger("samples in x", x.length / rows, 1);
  checkFinite("x", x);
  checkNumber("damping", damping, Number.MIN_VALUE);
  const r = cholesky(damped(x, rows, damping), rows);
  const kept = truncate(svd(product(r, w, rows, rows, cols), rows, cols), rank);
  solveUpper(r, kept.u, rows, rank);
  return factorsOf(kept);
}

/** A B, row-major rows x cols. */
export function multiplyFactors({ a, b, rows, cols, rank }: Factors): Float32Array {
  const w = new Float32Array(rows * cols);
  for (let i = 0; i < rows; i++) {
    const row = w.subarray(i * cols, (i + 1) * cols);
    for (let k = 0; k < rank; k++) {
      const factor = a[i * rank + k];
      for (let j = 0; j < cols; j++) row[j] += factor * b[k * cols + j];
    }
  }
  return w;
}

/** A = U √Σ and B = √Σ Vᵀ of a decomposition that is there already: truncate it first. */
export function factorsOf({ u, s, vt, rows, cols, rank }: Svd): Factors {
  const root = s.map(Math.sqrt);
  const a = mapFloats(u, (value, i) => value * root[i % rank]);
  const b = mapFloats(vt, (value, i) => value * root[Math.floor(i / cols)]);
  return { a, b, rows, cols, rank };
}
