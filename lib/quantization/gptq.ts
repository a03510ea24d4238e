// §3.2.1, item 3, the strong baseline: weights rounded one input at a time, and each rounding error spread over the
// inputs that are still to come, so that the layer's output changes least.
//
// Frantar et al., "GPTQ: Accurate post-training quantization for generative pre-trained transformers", 2022; the rule is
// Optimal Brain Surgeon's (Hassibi and Stork, 1993). With inputs X the output error of weights W + Δ is
// tr(Δᵀ H Δ) with H = XᵀX. Rounding row i by e leaves the later rows free to move by −e·U[i, j] / U[i, i], where
// UᵀU = H⁻¹ with U upper triangular.
import { MatmulWorkspace } from "../lowrank/wasm-matmul.ts";
import { gramOf } from "../lowrank/wasm-rows.ts";
import {
  checkFinite,
  checkFloats,
  checkInteger,
  checkLength,
  checkNumber,
  checkOneOf,
} from "../util/check.ts";
import type { Grid, Quantized } from "./fixed-point.ts";
import { emptyCodes } from "./packing.ts";
import { codeRange, isSignGrid } from "./range.ts";
import { roundEven } from "./rounding.ts";

/** What a layer's inputs look like on calibration data. */
export interface InputStatistics {
  /** Number of inputs n. */
  size: number;
  /** H = XᵀX / samples: n x n, symmetric, row-major. */
  hessian: Float64Array;
  /** Mean of each input. */
  mean: Float64Array;
  samples: number;
}

/** Statistics without samples yet, for `size` inputs. */
export function emptyStatistics(size: number): InputStatistics {
  checkInteger("size", size, 0);
  return { size, hessian: new Float64Array(size * size), mean: new Float64Array(size), samples: 0 };
}

/**
 * Adds samples to statistics, in place.
 *
 * @param inputs row-major, rows of `statistics.size` numbers: what goes into a dense layer, or the patches of a
 *   convolution
 */
export function addSamples(statistics: InputStatistics, inputs: Float32Array): void {
  const { size, hessian, mean } = statistics;
  if (size === 0) return;
  const rows = inputs.length / size;
  if (!Number.isInteger(rows))
    throw new RangeError(`inputs must be rows of ${size} numbers, got ${inputs.length}`);
  checkFloats("inputs", inputs);
  checkFinite("inputs", inputs);
  if (rows === 0) return;
  const keep = statistics.samples / (statistics.samples + rows);
  const share = 1 / (statistics.samples + rows);
  const gram = gramOf(inputs, rows, size);
  for (let i = 0; i < hessian.length; i++) hessian[i] = keep * hessian[i] + share * gram[i];
  const sums = new Float64Array(size);
  for (let i = 0; i < inputs.length; i += size) for (let j = 0; j < size; j++) sums[j] += inputs[i + j];
  for (let j = 0; j < size; j++) mean[j] = keep * mean[j] + share * sums[j];
  statistics.samples += rows;
}

/**
 * The mean squared error of a layer's outputs when its weights change: tr(Δᵀ H Δ), per sample.
 *
 * @param before weights [n, outputs], row-major
 * @param after the same after quantization
 */
export function outputError(
  before: Float32Array,
  after: Float32Array,
  { size, hessian }: InputStatistics,
): number {
  checkLength("after", after, before.length);
  const outputs = size === 0 ? 0 : before.length / size;
  if (outputs === 0) return 0;
  const delta = new Float32Array(before.length);
  for (let i = 0; i < delta.length; i++) delta[i] = after[i] - before[i];
  // H·Δ is by far the most work: in WebAssembly SIMD, in single precision, which an error measure can bear.
  const workspace = new MatmulWorkspace();
  const h = workspace.put(hessian, size, size);
  const d = workspace.put(delta, size, outputs);
  const product = workspace.allocate(size, outputs);
  workspace.multiply(h, d, product);
  const values = workspace.view(product);
  let total = 0;
  for (let i = 0; i < size; i++) {
    for (let o = 0; o < outputs; o++) total += delta[i * outputs + o] * values[i * product.stride + o];
  }
  return Math.max(0, total);
}

/** In which order inputs are rounded: as they come, or those with the largest squares first. */
export const gptqOrders = ["natural", "activation"] as const;
export type GptqOrder = (typeof gptqOrders)[number];

/** Options of `gptq`. */
export interface GptqOptions {
  /** Added to the diagonal of H, as a share of its mean; default 0.01. Larger is closer to plain rounding. */
  damping?: number;
  /** In which order inputs are rounded: `natural`, or `activation`, those with the largest squares first. Default `activation`. */
  order?: GptqOrder;
}

/**
 * Quantizes a layer's weights by GPTQ (§3.2.1, item 3).
 *
 * @param weights [inputs, outputs], row-major (a convolution's kernel [height, width, channels, filters] is one too)
 * @param grid with one scale, or one a column: chosen beforehand by `chooseGrid`
 * @param statistics of the layer's inputs on calibration data
 * @throws RangeError for sizes that do not fit, weights that are NaN or infinite, grids along another axis than the last
 */
export function gptq(
  weights: Float32Array,
  grid: Grid,
  statistics: InputStatistics,
  options: GptqOptions = {},
): Quantized {
  const { damping = 0.01, order = "activation" } = options;
  const { size, hessian } = statistics;
  checkNumber("damping", damping, 0);
  checkOneOf("order", order, gptqOrders);
  checkFinite("weights", weights);
  if (grid.axis !== undefined && grid.axis !== grid.shape.length - 1) {
    throw new RangeError(`grid must have its scales along the last axis, got axis ${grid.axis}`);
  }
  if (grid.axis === undefined && grid.group !== undefined)
    throw new RangeError(
      `grid must have an axis where it has groups, got groups of ${grid.group} of all values`,
    );
  const outputs = grid.shape[grid.shape.length - 1] ?? 0;
  checkLength("weights", weights, size * outputs);
  const codes = emptyCodes(weights.length, grid.bits, grid.signed);
  const sequence = Array.from({ length: size }, (_, i) => i);
  if (order === "activation") sequence.sort((a, b) => hessian[b * size + b] - hessian[a * size + a]);

  const factor = inverseFactor(statistics, sequence, damping);
  const { low, high } = codeRange(grid);
  const sign = isSignGrid(grid);
  const rest = Float64Array.from(weights);
  const errors = new Float64Array(outputs);
  for (let step = 0; step < size; step++) {
    const row = sequence[step] * outputs;
    const first = grid.group === undefined ? 0 : Math.floor(sequence[step] / grid.group) * outputs;
    const diagonal = factor[step * size + step];
    for (let o = 0; o < outputs; o++) {
      const c = grid.axis === undefined ? 0 : first + o;
      const scale = grid.scale[c];
      const zero = grid.zeroPoint[c];
      const value = rest[row + o];
      const code = sign
        ? value < 0
          ? -1
          : 1
        : Math.min(high, Math.max(low, roundEven(value / scale) + zero));
      codes[row + o] = code;
      errors[o] = (value - (code - zero) * scale) / diagonal;
    }
    for (let later = step + 1; later < size; later++) {
      const share = factor[step * size + later];
      if (share === 0) continue;
      const target = sequence[later] * outputs;
      for (let o = 0; o < outputs; o++) rest[target + o] -= share * errors[o];
    }
  }
  return { ...grid, codes };
}

// The factor depends on the inputs alone: a layer tried at several widths needs it once. The last one is kept for each
// statistics object, with what it was made for.
const factors = new WeakMap<InputStatistics, { made: string; factor: Float64Array }>();

function inverseFactor(statistics: InputStatistics, sequence: number[], damping: number): Float64Array {
  const made = `${statistics.samples} ${damping} ${sequence.join()}`;
  const kept = factors.get(statistics);
  if (kept?.made === made && statistics.samples > 0) return kept.factor;
  const factor = factorOfInverse(statistics.hessian, statistics.size, sequence, damping);
  factors.set(statistics, { made, factor });
  return factor;
}

/**
 * The upper triangular U with UᵀU = H⁻¹, for H with its rows and columns in the order of `sequence` and damped.
 *
 * Without inverting H: if H = R·Rᵀ with R upper triangular, then U = R⁻¹, which is upper triangular too.
 */
function factorOfInverse(
  hessian: Float64Array,
  size: number,
  sequence: number[],
  damping: number,
): Float64Array {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += hessian[i * size + i];
  const damp = (damping * trace) / size;
  const r = new Float64Array(size * size);
  for (let j = size - 1; j >= 0; j--) {
    const rowJ = j * size;
    for (let i = 0; i <= j; i++) {
      const rowI = i * size;
      let sum = hessian[sequence[i] * size + sequence[j]];
      const own = sum;
      if (i === j) {
        // An input that was never seen (0 everywhere) has no say: any positive number keeps it apart from the others.
        sum = sum === 0 ? 1 : sum + damp;
      }
      for (let k = j + 1; k < size; k++) sum -= r[rowI + k] * r[rowJ + k];
      if (i < j) r[rowI + j] = sum;
      else {
        // What is left of it is rounding noise: another input says the same.
        if (!(sum > 1e-12 * own)) {
          throw new RangeError(`damping must be larger for inputs that depend on each other, got ${damping}`);
        }
        const root = Math.sqrt(sum);
        r[rowJ + j] = root;
        for (let above = 0; above < j; above++) r[above * size + j] /= root;
      }
    }
  }
  const u = new Float64Array(size * size);
  for (let i = size - 1; i >= 0; i--) {
    const rowI = i * size;
    u[rowI + i] = 1;
    for (let k = i + 1; k < size; k++) {
      const share = r[rowI + k];
      if (share === 0) continue;
      const rowK = k * size;
      for (let j = k; j < size; j++) u[rowI + j] -= share * u[rowK + j];
    }
    const inverse = 1 / r[rowI + i];
    for (let j = i; j < size; j++) u[rowI + j] *= inverse;
  }
  return u;
}
