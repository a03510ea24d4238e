// §4.4: activation-aware scaling (AWQ; Lin et al., "AWQ: Activation-aware weight quantization", 2023). Weights that meet large
// inputs are made larger before they are rounded, and the inputs smaller by as much, which changes nothing but the rounding:
// their share of a group's levels grows. How strongly is searched for, with the error of the layer's outputs as measure.
import { checkInteger, checkLength } from "../util/check.ts";
import { chooseGrid, dequantize, type GridOptions, type Quantized, quantizeOn } from "./fixed-point.ts";
import { type InputStatistics, outputError } from "./gptq.ts";

/**
 * The factor of each input: (its root mean square)^strength, with a geometric mean of the largest and the smallest of 1, as
 * the paper's code has it (which takes the mean of |x| in place of the root of the mean square). Inputs that were never
 * anything but 0 have factor 1.
 *
 * @param strength from 0, all factors 1, to 1
 */
export function activationFactors({ size, hessian }: InputStatistics, strength: number): Float32Array {
  const factors = Float64Array.from({ length: size }, (_, i) => Math.sqrt(hessian[i * size + i]) ** strength);
  const seen = factors.filter((_, i) => hessian[i * size + i] > 0);
  if (seen.length === 0) return new Float32Array(size).fill(1);
  let [low, high] = [seen[0], seen[0]];
  for (const factor of seen) {
    low = Math.min(low, factor);
    high = Math.max(high, factor);
  }
  const middle = Math.sqrt(low * high);
  return Float32Array.from(factors, (factor, i) => (hessian[i * size + i] > 0 ? factor / middle : 1));
}

/** Options of {@link awq}: those of the grid, but for shape and axis, and how finely strengths are tried. */
export interface AwqOptions extends Omit<GridOptions, "shape" | "axis" | "span"> {
  /** Strengths tried, 0 to below 1 in equal steps; default 20. */
  steps?: number;
}

/** What {@link awq} found. */
export interface AwqResult {
  /** The factor of each input: weights are multiplied by it, inputs are to be divided by it. */
  factors: Float32Array;
  strength: number;
  /** The matrices, multiplied and quantized, in the order given. */
  quantized: Quantized[];
  /** Mean squared error of the outputs, of all matrices together, and that of rounding to nearest. */
  error: number;
  nearest: number;
}

/**
 * Scales and quantizes matrices that read the same inputs.
 *
 * @param matrices each [inputs, outputs], row-major; scales lie along the outputs, groups along the inputs
 * @param statistics of the inputs on calibration data
 * @throws RangeError for sizes that do not fit, or options out of range
 */
export function awq(
  matrices: readonly Float32Array[],
  statistics: InputStatistics,
  { steps = 20, ...options }: AwqOptions,
): AwqResult {
  checkInteger("steps", steps, 1);
  const { size } = statistics;
  for (const [i, weights] of matrices.entries())
    if (size === 0 || weights.length % size !== 0)
      checkLength(`matrices[${i}]`, weights, size * Math.ceil(weights.length / size));
  let best: AwqResult | undefined;
  let nearest = 0;
  for (let step = 0; step < steps; step++) {
    const strength = step / steps;
    const factors = activationFactors(statistics, strength);
    const quantized = matrices.map((weights) => quantizeScaled(weights, factors, options));
    let error = 0;
    for (const [i, weights] of matrices.entries())
      error += outputError(weights, divided(dequantize(quantized[i]), factors), statistics);
    if (step === 0) nearest = error;
    if (!best || error < best.error) best = { factors, strength, quantized, error, nearest };
  }
  return { ...best!, nearest };
}

function quantizeScaled(
  weights: Float32Array,
  factors: Float32Array,
  options: Omit<AwqOptions, "steps">,
): Quantized {
  const outputs = weights.length / factors.length;
  const scaled = new Float32Array(weights.length);
  for (let i = 0, at = 0; i < factors.length; i++)
    for (let o = 0; o < outputs; o++, at++) scaled[at] = weights[at] * factors[i];
  return quantizeOn(chooseGrid(scaled, { ...options, shape: [factors.length, outputs], axis: 1 }), scaled);
}

/** Rows divided by the inputs' factors: what weights are to inputs that were not scaled. */
function divided(weights: Float32Array, factors: Float32Array): Float32Array {
  const outputs = weights.length / factors.length;
  for (let i = 0, at = 0; i < factors.length; i++)
    for (let o = 0; o < outputs; o++, at++) weights[at] /= factors[i];
  return weights;
}
