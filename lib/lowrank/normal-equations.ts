// Least squares by its normal equations: XᵀX damped, its Cholesky factor, and triangular systems.
import { gramOf } from "./wasm-rows.ts";

/** XᵀX / samples with a damped diagonal, n x n. */
export function damped(x: ArrayLike<number>, n: number, damping: number): Float64Array {
  const samples = x.length / n;
  const g = gramOf(x, samples, n).map((sum) => sum / samples);
  let trace = 0;
  for (let i = 0; i < n; i++) trace += g[i * n + i];
  const ridge = (trace === 0 ? 1 : trace / n) * damping;
  for (let i = 0; i < n; i++) g[i * n + i] += ridge;
  return g;
}

/** The upper triangular R with RᵀR = G, for a positive definite n x n matrix; overwrites it. */
export function cholesky(g: Float64Array, n: number): Float64Array {
  for (let k = 0; k < n; k++) {
    const pivot = Math.sqrt(g[k * n + k]);
    if (!(pivot > 0))
      throw new RangeError(`damping is too small for these inputs: pivot ${k} is not positive`);
    for (let j = k; j < n; j++) g[k * n + j] /= pivot;
    for (let i = k + 1; i < n; i++) {
      const factor = g[k * n + i];
      if (factor !== 0) for (let j = i; j < n; j++) g[i * n + j] -= factor * g[k * n + j];
    }
    for (let j = 0; j < k; j++) g[k * n + j] = 0;
  }
  return g;
}

/** R⁻¹ U in the place of U, for an upper triangular R of n x n and U of n x cols. */
export function solveUpper(r: Float64Array, u: Float64Array, n: number, cols: number): void {
  for (let i = n - 1; i >= 0; i--) {
    const row = u.subarray(i * cols, (i + 1) * cols);
    for (let k = i + 1; k < n; k++) {
      const factor = r[i * n + k];
      if (factor !== 0) for (let j = 0; j < cols; j++) row[j] -= factor * u[k * cols + j];
    }
    for (let j = 0; j < cols; j++) row[j] /= r[i * n + i];
  }
}

/** R⁻ᵀ U in the place of U, for an upper triangular R of n x n and U of n x cols. */
export function solveLower(r: Float64Array, u: Float64Array, n: number, cols: number): void {
  for (let i = 0; i < n; i++) {
    const row = u.subarray(i * cols, (i + 1) * cols);
    for (let k = 0; k < i; k++) {
      const factor = r[k * n + i];
      if (factor !== 0) for (let j = 0; j < cols; j++) row[j] -= factor * u[k * cols + j];
    }
    for (let j = 0; j < cols; j++) row[j] /= r[i * n + i];
  }
}
