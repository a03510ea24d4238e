// §3.2.1 Step sizes that are trained: levels ±1 … ±most times one step a layer, and no level 0, which is for what a mask has
// pruned. Esser et al., "Learned step size quantization", 2020 (LSQ).

import { checkFinite, checkInteger, checkLength, checkNumber } from "../util/check.ts";
import type { Quantized } from "./fixed-point.ts";
import { emptyCodes } from "./packing.ts";

/** Weights on the levels of one step. */
export interface Stepped {
  /** What the levels stand for; pruned weights are 0. */
  values: Float32Array;
  /** 1 where a weight's gradient goes through to it: kept, and not beyond the last level. */
  passes: Float32Array;
  /** ∂value/∂step by weight: the level less w/step between the levels, the last level beyond; 0 where pruned. */
  slopes: Float32Array;
}

/**
 * Rounds weights to the nearest of ±1 … ±most steps.
 *
 * @param step above 0
 * @param most the greatest level, 1 to 127
 * @param mask 1 = kept, 0 = pruned; without it all are kept
 * @see §3.2.1; Esser et al., 2020, section 2
 */
export function roundToSteps(weights: Float32Array, step: number, most: number, mask?: Uint8Array): Stepped {
  checkSteps(weights, step, most, mask);
  const values = new Float32Array(weights.length);
  const passes = new Float32Array(weights.length);
  const slopes = new Float32Array(weights.length);
  for (let i = 0; i < weights.length; i++) {
    if (mask?.[i] === 0) continue;
    const level = levelOf(weights[i], step, most);
    const scaled = weights[i] / step;
    const inside = Math.abs(scaled) <= most + 0.5;
    values[i] = level * step;
    passes[i] = inside ? 1 : 0;
    // Below half a step the level is the nearest one all the same: it is the lowest there is.
    slopes[i] = inside && Math.abs(scaled) >= 0.5 ? level - scaled : level;
  }
  return { values, passes, slopes };
}

/** By what the step's gradient is multiplied, so that it moves as fast as a weight does: 1 / √(kept · most). */
export function stepGradientScale(kept: number, most: number): number {
  return 1 / Math.sqrt(Math.max(1, kept) * most);
}

/** The step with the least squared error, by search: where training begins. */
export function bestStep(weights: Float32Array, most: number, mask?: Uint8Array): number {
  checkSteps(weights, 1, most, mask);
  let largest = 0;
  for (let i = 0; i < weights.length; i++)
    if (mask?.[i] !== 0) largest = Math.max(largest, Math.abs(weights[i]));
  if (largest === 0) return 1;
  const errorAt = (step: number) => {
    let sum = 0;
    for (let i = 0; i < weights.length; i++) {
      if (mask?.[i] === 0) continue;
      sum += (weights[i] - levelOf(weights[i], step, most) * step) ** 2;
    }
    return sum;
  };
  let best = { step: largest / most, error: Number.POSITIVE_INFINITY };
  for (let i = 1; i <= 100; i++) {
    const step = ((i / 100) * largest * 1.2) / most;
    const error = errorAt(step);
    if (error < best.error) best = { step, error };
  }
  return best.step;
}

/**
 * Weights as codes of a symmetric grid whose scale is the step; the code 0 stands for pruned weights alone.
 *
 * @param shape of the weights
 */
export function quantizeToSteps(
  weights: Float32Array,
  step: number,
  most: number,
  shape: number[],
  mask?: Uint8Array,
): Quantized {
  checkSteps(weights, step, most, mask);
  const bits = Math.max(2, Math.ceil(Math.log2(most + 1)) + 1);
  const scale = Float32Array.of(step);
  const codes = emptyCodes(weights.length, bits, true);
  for (let i = 0; i < codes.length; i++) if (mask?.[i] !== 0) codes[i] = levelOf(weights[i], scale[0], most);
  return {
    bits,
    scheme: "symmetric",
    signed: true,
    axis: undefined,
    shape,
    scale,
    zeroPoint: new Int32Array(1),
    codes,
  };
}

/** The nearest of −most … −1 and 1 … most; 0 itself counts as above. */
function levelOf(weight: number, step: number, most: number): number {
  const magnitude = Math.min(most, Math.max(1, Math.round(Math.abs(weight) / step)));
  return weight < 0 ? -magnitude : magnitude;
}

function checkSteps(weights: Float32Array, step: number, most: number, mask: Uint8Array | undefined): void {
  checkFinite("weights", weights);
  checkNumber("step", step, Number.MIN_VALUE);
  checkInteger("most", most, 1, 127);
  if (mask) checkLength("mask", mask, weights.length);
}
