// §3.2.1, item 3, the strong baseline: weights rounded one input at a time, and each rounding error spread over the
// inputs that are still to come, so that the layer's output changes least.
//
// Frantar et al., "GPTQ: Accurate post-training quantization for generative pre-trained transformers", 2022; the rule is
// Optimal Brain Surgeon's (Hassibi and Stork, 1993). With inputs X the output error of weights W + Δ is
// tr(Δᵀ H Δ) with H = XᵀX. Rounding row i by e leaves the later rows free to move by −e·U[i, j] / U[i, i], where
// UᵀU = H⁻¹ with U upper triangular.
import { MatmulWorkspace } from "../lowrank/wasm-matmul.ts";
import { gramOf, product, transpose } from "../lowrank/wasm-rows.ts";
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
export function outputError(before: Float32Array, after: Float32Array, statistics: InputStatistics): number {
  return outputErrors(before, statistics)(after);
}

/** {@link outputError} of weights that change in many ways. */
export function outputErrors(
  before: Float32Array,
  { size, hessian }: InputStatistics,
): (after: Float32Array) => number {
  const outputs = size === 0 ? 0 : before.length / size;
  // H·Δ is by far the most work: in WebAssembly SIMD, in single precision, which an error measure can bear.
  const workspace = new MatmulWorkspace();
  const h = workspace.put(hessian, size, size);
  const delta = workspace.allocate(size, outputs);
  const product = workspace.allocate(size, outputs);
  return (after) => {
    checkLength("after", after, before.length);
    if (outputs === 0) return 0;
    const changes = workspace.view(delta);
    const { stride } = delta;
    for (let i = 0, at = 0; i < size; i++)
      for (let o = 0; o < outputs; o++, at++) changes[i * stride + o] = after[at] - before[at];
    workspace.multiply(h, delta, product);
    const values = workspace.view(product);
    let total = 0;
    for (let i = 0; i < size * stride; i++) total += changes[i] * values[i];
    return Math.max(0, total);
  };
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
  // Rows in the order in which they are rounded.
  const rest = new Float64Array(weights.length);
  for (const [step, i] of sequence.entries())
    rest.set(weights.subarray(i * outputs, (i + 1) * outputs), step * outputs);
  const errors = new Float64Array(blockSize * outputs);
  for (let from = 0; from < size; from += blockSize) {
    const end = Math.min(size, from + blockSize);
    for (let step = from; step < end; step++) {
      const row = sequence[step] * outputs;
      const first = grid.group === undefined ? 0 : Math.floor(sequence[step] / grid.group) * outputs;
      const diagonal = factor[step * size + step];
      const at = step * outputs;
      const lost = errors.subarray((step - from) * outputs, (step - from + 1) * outputs);
      for (let o = 0; o < outputs; o++) {
        const c = grid.axis === undefined ? 0 : first + o;
        const scale = grid.scale[c];
        const zero = grid.zeroPoint[c];
        const value = rest[at + o];
        const code = sign
          ? value < 0
            ? -1
            : 1
          : Math.min(high, Math.max(low, roundEven(value / scale) + zero));
        codes[row + o] = code;
        lost[o] = (value - (code - zero) * scale) / diagonal;
      }
      for (let later = step + 1; later < end; later++) {
        const share = factor[step * size + later];
        if (share === 0) continue;
        for (let o = 0, target = later * outputs; o < outputs; o++) rest[target + o] -= share * lost[o];
      }
    }
    // What a whole block has lost is spread over the rows after it in one product.
    const spread = product(
      part(factor, size, [end, size], [from, end], true),
      errors,
      size - end,
      end - from,
      outputs,
    );
    for (let i = 0, target = end * outputs; i < spread.length; i++) rest[target + i] -= spread[i];
  }
  return { ...grid, codes };
}

/** So many inputs are rounded, or eliminated, one by one; what they do to all others is a matrix product. */
const blockSize = 64;

/** Rows and columns of a row-major matrix with rows of `stride` numbers, or `turned`, of its transpose; as a matrix of its own. */
function part(
  matrix: Float64Array,
  stride: number,
  rows: readonly [from: number, to: number],
  cols: readonly [from: number, to: number],
  turned = false,
): Float64Array {
  const [first, second] = turned ? [cols, rows] : [rows, cols];
  const width = second[1] - second[0];
  const found = new Float64Array((first[1] - first[0]) * width);
  for (let i = first[0], at = 0; i < first[1]; i++, at += width)
    found.set(matrix.subarray(i * stride + second[0], i * stride + second[1]), at);
  return turned ? transpose(found, first[1] - first[0], width) : found;
}

// The factor depends on the inputs alone: a layer tried at several widths needs it once. The last one is kept for each
// statistics object, with what it was made for.
const factors = new WeakMap<InputStatistics, { made: string; factor: Float64Array }>();

function inverseFactor(statistics: InputStatistics, sequence: number[], damping: number): Float64Array {
  // Statistics that went on have another trace.
  let trace = 0;
  for (let i = 0; i < statistics.size; i++) trace += statistics.hessian[i * statistics.size + i];
  const made = `${statistics.samples} ${trace} ${damping} ${sequence.join()}`;
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
  for (let i = 0; i < size; i++)
    for (let j = i; j < size; j++) r[i * size + j] = hessian[sequence[i] * size + sequence[j]];
  const diagonal = Float64Array.from({ length: size }, (_, i) => r[i * size + i]);
  // An input that was never seen (0 everywhere) has no say: any positive number keeps it apart from the others.
  for (let i = 0; i < size; i++) r[i * size + i] = diagonal[i] === 0 ? 1 : diagonal[i] + damp;
  for (let to = size; to > 0; to -= blockSize) {
    const from = Math.max(0, to - blockSize);
    // What the columns after this block take from it.
    const [above, own] = [part(r, size, [0, to], [to, size]), part(r, size, [to, size], [from, to], true)];
    const taken = product(above, own, to, size - to, to - from);
    for (let i = 0; i < to; i++)
      for (let j = Math.max(i, from); j < to; j++) r[i * size + j] -= taken[i * (to - from) + j - from];
    for (let j = to - 1; j >= from; j--) {
      const rowJ = j * size;
      for (let i = 0; i <= j; i++) {
        const rowI = i * size;
        let sum = r[rowI + j];
        for (let k = j + 1; k < to; k++) sum -= r[rowI + k] * r[rowJ + k];
        r[rowI + j] = sum;
      }
      // What is left of it is rounding noise: another input says the same.
      if (!(r[rowJ + j] > 1e-12 * diagonal[j])) {
        throw new RangeError(`damping must be larger for inputs that depend on each other, got ${damping}`);
      }
      const root = Math.sqrt(r[rowJ + j]);
      r[rowJ + j] = root;
      for (let above = 0; above < j; above++) r[above * size + j] /= root;
    }
  }
  return inverseOf(r, size);
}

/** The inverse of an upper triangular matrix. */
function inverseOf(r: Float64Array, size: number): Float64Array {
  const u = new Float64Array(size * size);
  for (let to = size; to > 0; to -= blockSize) {
    const from = Math.max(0, to - blockSize);
    const rest = size - to;
    // R·U = 1: what the rows below this block have found already, seen through this block.
    const seen = product(
      part(r, size, [from, to], [to, size]),
      part(u, size, [to, size], [to, size]),
      to - from,
      rest,
      rest,
    );
    for (let i = to - 1; i >= from; i--) {
      const rowI = i * size;
      u[rowI + i] = 1;
      for (let j = 0, at = (i - from) * rest; j < rest; j++) u[rowI + to + j] = -seen[at + j];
      for (let k = i + 1; k < to; k++) {
        const share = r[rowI + k];
        if (share === 0) continue;
        const rowK = k * size;
        for (let j = k; j < size; j++) u[rowI + j] -= share * u[rowK + j];
      }
      const inverse = 1 / r[rowI + i];
      for (let j = i; j < size; j++) u[rowI + j] *= inverse;
    }
  }
  return u;
}
