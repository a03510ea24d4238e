// §2.1 and §3.3.1 The dense layer that says most nearly what something larger says: linear least squares with a bias.

import { checkFinite, checkInteger, checkLength, checkNumber } from "../util/check.ts";
import { cholesky, damped, solveLower, solveUpper } from "./normal-equations.ts";
import { product, transpose } from "./wasm-rows.ts";

/** y ≈ x W + b, and how much of y that leaves over. */
export interface LinearFit {
  /** Row-major inputs x outputs. */
  weights: Float32Array;
  bias: Float32Array;
  /** The share of y's variance that is left over, 0 to 1. */
  error: number;
}

/**
 * The linear map with bias that is nearest to what was seen: minimises ‖X W + b − Y‖².
 *
 * @param x row-major samples x inputs
 * @param y row-major samples x outputs
 * @param damping added to the diagonal of the inputs' covariance relative to its mean, so that inputs that never vary do no harm
 * @throws RangeError if the shapes do not fit, there are no samples, or a number is not finite
 */
export function leastSquares(
  x: Float32Array,
  y: Float32Array,
  inputs: number,
  outputs: number,
  { damping = 1e-4 }: { damping?: number } = {},
): LinearFit {
  checkInteger("inputs", inputs, 1);
  checkInteger("outputs", outputs, 1);
  const samples = checkInteger("samples in x", x.length / inputs, 1);
  checkLength("y", y, samples * outputs);
  checkFinite("x", x);
  checkFinite("y", y);
  checkNumber("damping", damping, Number.MIN_VALUE);
  const [centredX, meanX] = centred(x, samples, inputs);
  const [centredY, meanY] = centred(y, samples, outputs);
  const r = cholesky(damped(centredX, inputs, damping), inputs);
  const w = Float64Array.from(
    product(transpose(centredX, samples, inputs), centredY, inputs, samples, outputs),
    (sum) => sum / samples,
  );
  solveLower(r, w, inputs, outputs);
  solveUpper(r, w, inputs, outputs);
  const weights = Float32Array.from(w);
  const bias = Float32Array.from(meanY, (mean, j) => {
    let sum = mean;
    for (let i = 0; i < inputs; i++) sum -= meanX[i] * weights[i * outputs + j];
    return sum;
  });
  const said = product(centredX, weights, samples, inputs, outputs);
  let [left, all] = [0, 0];
  for (let i = 0; i < centredY.length; i++) {
    left += (centredY[i] - said[i]) ** 2;
    all += centredY[i] ** 2;
  }
  return { weights, bias, error: all === 0 ? 0 : left / all };
}

/** A matrix less the mean of each column, and the means. */
function centred(x: Float32Array, rows: number, cols: number): [Float64Array, Float64Array] {
  const means = new Float64Array(cols);
  for (let i = 0; i < x.length; i++) means[i % cols] += x[i] / rows;
  const values = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) values[i] = x[i] - means[i % cols];
  return [values, means];
}
