// §3.2 Gradients through quantization. Rounding is flat almost everywhere: its true gradient is 0 and nothing learns.
//
// The straight-through estimator (Bengio, Léonard, Courville, 2013) pretends that rounding was not there: between the
// lowest and the highest level the gradient passes as it is; beyond, where clipping holds the output, it is 0.
import { checkLength, checkNumber } from "../util/check.ts";
import { withinLimits } from "./codes.ts";
import { eachRun, type Grid, layoutOf } from "./fixed-point.ts";
import { codeRange, type Levels } from "./range.ts";
import { roundingShift } from "./rounding.ts";

/**
 * The straight-through gradient, for every quantizer of §3.2: fixed point, binary (levels 0 to scale) and ternary
 * (−scale to scale).
 *
 * @param upstream gradient of the loss by the quantized values
 * @param values the values before quantization
 * @param lowest the lowest level, in units of the values
 * @param highest the highest level
 * @returns gradient of the loss by the values
 */
export function straightThrough(
  upstream: Float32Array,
  values: Float32Array,
  lowest: number,
  highest: number,
): Float32Array {
  checkLength("upstream", upstream, values.length);
  return upstream.map((g, i) => (values[i] >= lowest && values[i] <= highest ? g : 0));
}

/**
 * The gradient of the loss by the scale of a fixed-point grid, Σ g·(round(x/s) − x/s) inside and Σ g·level beyond
 * (Esser et al., "Learned step size quantization", 2020), without its normalisation.
 *
 * @param upstream gradient of the loss by the quantized values
 * @param values the values before quantization
 */
export function scaleGradient(
  upstream: Float32Array,
  values: Float32Array,
  grid: Levels & { scale: number; zeroPoint: number },
): number {
  checkLength("upstream", upstream, values.length);
  checkNumber("scale", grid.scale, Number.MIN_VALUE);
  const { low, high } = codeRange(grid);
  const bottom = low - grid.zeroPoint;
  const top = high - grid.zeroPoint;
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const steps = values[i] / grid.scale;
    const rounded = steps + roundingShift - roundingShift;
    sum += upstream[i] * (steps <= bottom ? bottom : steps >= top ? top : rounded - steps);
  }
  return sum;
}

/**
 * Where a gradient passes through a grid: 1 for each value between its last levels, 0 for one that is clipped.
 *
 * @param beyond how many steps behind the last levels still count
 * @returns undefined where all values lie inside
 */
export function insideGrid(grid: Grid, values: Float32Array, beyond: number): Float32Array | undefined {
  const { outer, channels, inner, group } = layoutOf(grid);
  checkLength("values", values, outer * channels * inner);
  const { low, high } = codeRange(grid);
  const { scale, zeroPoint } = grid;
  const least = Float32Array.from(scale, (s, place) => (low - beyond - zeroPoint[place]) * s);
  const most = Float32Array.from(scale, (s, place) => (high + beyond - zeroPoint[place]) * s);
  let inside: Float32Array | undefined;
  const part = (from: number, end: number, first: number, count: number) => {
    const [bottom, top] = [least, most].map((limit) => limit.subarray(first, first + count));
    withinLimits(values.subarray(from, end), bottom, top, (at, flags) => {
      inside ??= new Float32Array(values.length).fill(1);
      inside.set(flags, from + at);
    });
  };
  // The usual kernel, whose last axis has the channels.
  if (inner === 1)
    for (let o = 0, first = 0; o < outer; o += group, first += channels)
      part(o * channels, Math.min(outer, o + group) * channels, first, channels);
  else eachRun(grid, (place, from, end) => part(from, end, place, 1));
  return inside;
}
