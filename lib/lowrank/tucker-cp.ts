// §3.3.2 Tensor decomposition of a convolution's kernel [h, w, in, out]: Tucker-2 over the two channel modes
// (Y.-D. Kim et al., "Compression of deep convolutional neural networks for fast and low power mobile
// applications", ICLR 2016; HOOI: L. De Lathauwer et al., 2000), and CP (V. Lebedev et al., "Speeding-up
// convolutional neural networks using fine-tuned CP-decomposition", ICLR 2015).
import { checkFinite, checkInteger, checkLength, checkNumber } from "../util/check.ts";
import { normal, seeded } from "../util/random.ts";
import { svd } from "./svd.ts";
import { gramOf, product, transpose } from "./wasm-rows.ts";

/** The shape of a convolution's kernel: height, width, channels in, channels out. */
export type KernelShape = readonly [h: number, w: number, inChannels: number, outChannels: number];

/** K[y, x, i, o] ≈ Σ core[y, x, p, q] input[i, p] output[o, q]. */
export interface Tucker2 {
  /** Row-major [h, w, rankIn, rankOut]. */
  core: Float64Array;
  /** Row-major in x rankIn; columns are orthonormal: a 1 x 1 convolution before the core. */
  input: Float64Array;
  /** Row-major out x rankOut; columns are orthonormal: a 1 x 1 convolution (transposed) after the core. */
  output: Float64Array;
  shape: KernelShape;
  rankIn: number;
  rankOut: number;
  /** Relative Frobenius error of the reconstruction. */
  error: number;
}

/**
 * Tucker-2 decomposition by higher-order orthogonal iteration, started from the truncated HOSVD (§3.3.2).
 *
 * @param kernel row-major [h, w, in, out]
 * @param iterations sweeps over the two modes at most; it stops when the error no longer falls
 */
export function tucker2(
  kernel: ArrayLike<number>,
  shape: KernelShape,
  rankIn: number,
  rankOut: number,
  { iterations = 20 }: { iterations?: number } = {},
): Tucker2 {
  checkKernel(kernel, shape);
  const [h, w, inChannels, outChannels] = shape;
  checkInteger("rankIn", rankIn, 1, inChannels);
  checkInteger("rankOut", rankOut, 1, outChannels);
  checkInteger("iterations", iterations, 0);
  const space = h * w;
  const k = Float64Array.from(kernel);
  const norm = Math.hypot(...chunkNorms(k));
  let output = leading(k, outChannels, rankOut);
  let input = leading(foldIn(k, space, inChannels, outChannels), inChannels, rankIn);
  let error = Number.POSITIVE_INFINITY;
  let core = project(k, space, inChannels, outChannels, input, rankIn, output, rankOut);
  for (let sweep = 0; ; sweep++) {
    // Both factors are orthonormal: what the core does not hold is lost, by Pythagoras.
    const held = Math.hypot(...chunkNorms(core));
    const now = norm === 0 ? 0 : Math.sqrt(Math.max(0, 1 - (held / norm) ** 2));
    if (sweep >= iterations || now > error - 1e-9) {
      return { core, input, output, shape, rankIn, rankOut, error: Math.min(now, error) };
    }
    error = now;
    const narrowOut = product(k, output, space * inChannels, outChannels, rankOut);
    input = leading(foldIn(narrowOut, space, inChannels, rankOut), inChannels, rankIn);
    const narrowIn = timesIn(k, space, inChannels, outChannels, input, rankIn);
    output = leading(narrowIn, outChannels, rankOut);
    core = project(k, space, inChannels, outChannels, input, rankIn, output, rankOut);
  }
}

/** The kernel that a Tucker-2 decomposition stands for, row-major [h, w, in, out]. */
export function reconstructTucker2({ core, input, output, shape, rankIn, rankOut }: Tucker2): Float32Array {
  const [h, w, inChannels, outChannels] = shape;
  const result = new Float32Array(h * w * inChannels * outChannels);
  for (let s = 0; s < h * w; s++) {
    for (let p = 0; p < rankIn; p++) {
      for (let q = 0; q < rankOut; q++) {
        const value = core[(s * rankIn + p) * rankOut + q];
        for (let i = 0; i < inChannels; i++) {
          const factor = value * input[i * rankIn + p];
          const at = (s * inChannels + i) * outChannels;
          for (let o = 0; o < outChannels; o++) result[at + o] += factor * output[o * rankOut + q];
        }
      }
    }
  }
  return result;
}

/** The singular values of a kernel's two channel modes, for {@link tucker2RanksByEnergy}. */
export interface Tucker2Spectra {
  input: Float64Array;
  output: Float64Array;
}

/** The spectra of a kernel: all that choosing its ranks takes, however often. */
export function tucker2Spectra(kernel: ArrayLike<number>, shape: KernelShape): Tucker2Spectra {
  checkKernel(kernel, shape);
  const [h, w, inChannels, outChannels] = shape;
  const k = Float64Array.from(kernel);
  return {
    input: modeSpectrum(foldIn(k, h * w, inChannels, outChannels), inChannels),
    output: modeSpectrum(k, outChannels),
  };
}

/**
 * The two ranks with the fewest parameters that are sure to keep the share `energy` (0 to 1) of a kernel's energy. What
 * the two modes leave out adds up, at most (De Lathauwer et al. 2000, property 10), so both together must stay within
 * 1 - energy. Rank 1 everywhere for an energy of 0.
 *
 * @param spectra of the kernel, where they are known already
 */
export function tucker2RanksByEnergy(
  kernel: ArrayLike<number>,
  shape: KernelShape,
  energy: number,
  spectra: Tucker2Spectra = tucker2Spectra(kernel, shape),
): { rankIn: number; rankOut: number } {
  checkNumber("energy", energy, 0, 1);
  if (energy === 0) return { rankIn: 1, rankOut: 1 };
  const [input, output] = [lossesOf(spectra.input), lossesOf(spectra.output)];
  const rank = (losses: Float64Array, most: number) => losses.findIndex((loss) => loss <= most);
  // The last rank of each loses nothing, whatever rounding says of the share.
  let best = { rankIn: Math.max(1, rank(input, 0)), rankOut: Math.max(1, rank(output, 0)) };
  let fewest = tucker2Parameters(shape, best.rankIn, best.rankOut);
  for (let rankIn = 1; rankIn < input.length; rankIn++) {
    const rankOut = Math.max(1, rank(output, 1 - energy - input[rankIn]));
    if (input[rankIn] + output[rankOut] > 1 - energy) continue;
    const parameters = tucker2Parameters(shape, rankIn, rankOut);
    if (parameters < fewest) [best, fewest] = [{ rankIn, rankOut }, parameters];
  }
  return best;
}

/** The share of the energy that each rank leaves out, from rank 0 to all; 0 everywhere for a kernel of zeros. */
function lossesOf(spectrum: Float64Array): Float64Array {
  const losses = new Float64Array(spectrum.length + 1);
  for (let i = spectrum.length - 1; i >= 0; i--) losses[i] = losses[i + 1] + spectrum[i] ** 2;
  const whole = losses[0];
  return whole === 0 ? losses : losses.map((loss) => loss / whole);
}

/** Parameters of the three convolutions that replace one of shape `shape`. */
export function tucker2Parameters(
  [h, w, inChannels, outChannels]: KernelShape,
  rankIn: number,
  rankOut: number,
): number {
  return inChannels * rankIn + h * w * rankIn * rankOut + rankOut * outChannels;
}

/** K[y, x, i, o] ≈ Σ_r weight_r vertical[y, r] horizontal[x, r] input[i, r] output[o, r]; columns have unit length. */
export interface Cp {
  /** Row-major h x rank. */
  vertical: Float64Array;
  /** Row-major w x rank. */
  horizontal: Float64Array;
  /** Row-major in x rank. */
  input: Float64Array;
  /** Row-major out x rank. */
  output: Float64Array;
  /** Lengths taken out of the columns, largest first. */
  weights: Float64Array;
  shape: KernelShape;
  rank: number;
  /** Relative Frobenius error of the reconstruction. */
  error: number;
  /** Sweeps done. */
  iterations: number;
}

/** Options of {@link cp}. */
export interface CpOptions {
  /** Sweeps over the four modes at most. Default 200. */
  iterations?: number;
  /** Stops when the relative error falls by less than this in a sweep. Default 1e-6. */
  tolerance?: number;
  /** Seed of the starting factors. Default 1. */
  seed?: number;
}

/**
 * CP decomposition by alternating least squares (§3.3.2): with three factors fixed, the fourth is a linear
 * least-squares problem whose normal matrix is an elementwise product of small Gram matrices.
 *
 * @param kernel row-major [h, w, in, out]
 * @param rank number of rank-one terms
 */
export function cp(
  kernel: ArrayLike<number>,
  shape: KernelShape,
  rank: number,
  { iterations = 200, tolerance = 1e-6, seed = 1 }: CpOptions = {},
): Cp {
  checkKernel(kernel, shape);
  checkInteger("rank", rank, 1);
  checkInteger("iterations", iterations, 1);
  checkNumber("tolerance", tolerance, 0);
  const k = Float64Array.from(kernel);
  const random = seeded(seed);
  const factors = shape.map((size) =>
    normalized(
      Float64Array.from({ length: size * rank }, () => normal(random)),
      rank,
    ),
  );
  let weights: Float64Array = new Float64Array(rank);
  const square = chunkNorms(k).reduce((sum, x) => sum + x * x, 0);
  let error = square === 0 ? 0 : 1;
  let sweep = 0;
  const flipped = transpose(k, k.length / shape[3], shape[3]);
  while (sweep < iterations && square > 0) {
    sweep++;
    let mapped = new Float64Array();
    // The out mode is the longest and its factor the last to change: three of the four modes share its product.
    const narrow = product(k, factors[3], k.length / shape[3], shape[3], rank);
    for (let mode = 0; mode < 4; mode++) {
      const normals = new Float64Array(rank * rank).fill(1);
      for (let other = 0; other < 4; other++) {
        if (other === mode) continue;
        const g = columnGram(factors[other], rank);
        for (let i = 0; i < normals.length; i++) normals[i] *= g[i];
      }
      mapped = mttkrp(mode === 3 ? flipped : narrow, shape, factors, rank, mode);
      const solved = solveNormal(normals, rank, mapped);
      weights = columnLengths(solved, rank);
      for (let i = 0; i < solved.length; i++) solved[i] /= weights[i % rank] || 1;
      factors[mode] = solved;
    }
    // ‖K - K̂‖² = ‖K‖² - 2⟨K, K̂⟩ + ‖K̂‖², and the last MTTKRP holds the inner product already.
    let inner = 0;
    for (let i = 0; i < mapped.length; i++) inner += mapped[i] * factors[3][i] * weights[i % rank];
    const grams = factors.map((factor) => columnGram(factor, rank));
    let modelSquare = 0;
    for (let r = 0; r < rank; r++) {
      for (let q = 0; q < rank; q++) {
        modelSquare += weights[r] * weights[q] * grams.reduce((p, g) => p * g[r * rank + q], 1);
      }
    }
    const now = Math.sqrt(Math.max(0, square - 2 * inner + modelSquare) / square);
    const gain = error - now;
    error = now;
    if (gain < tolerance) break;
  }
  const order = Array.from(weights.keys()).sort((p, q) => weights[q] - weights[p]);
  const [vertical, horizontal, input, output] = factors.map((factor) =>
    factor.map((_, i) => factor[i - (i % rank) + order[i % rank]]),
  );
  const sorted = Float64Array.from(order, (r) => weights[r]);
  return { vertical, horizontal, input, output, weights: sorted, shape, rank, error, iterations: sweep };
}

/** The kernel that a CP decomposition stands for, row-major [h, w, in, out]. */
export function reconstructCp({
  vertical,
  horizontal,
  input,
  output,
  weights,
  shape,
  rank,
}: Cp): Float32Array {
  const [h, w, inChannels, outChannels] = shape;
  const result = new Float32Array(h * w * inChannels * outChannels);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      for (let i = 0; i < inChannels; i++) {
        const at = ((y * w + x) * inChannels + i) * outChannels;
        for (let r = 0; r < rank; r++) {
          const factor = weights[r] * vertical[y * rank + r] * horizontal[x * rank + r] * input[i * rank + r];
          for (let o = 0; o < outChannels; o++) result[at + o] += factor * output[o * rank + r];
        }
      }
    }
  }
  return result;
}

/** Parameters of the four convolutions (1 x 1, h x 1 and 1 x w depthwise, 1 x 1) that replace one. */
export function cpParameters([h, w, inChannels, outChannels]: KernelShape, rank: number): number {
  return rank * (h + w + inChannels + outChannels);
}

function checkKernel(kernel: ArrayLike<number>, shape: KernelShape): void {
  if (shape.length !== 4) throw new RangeError(`shape must be [h, w, in, out], got ${shape.length} numbers`);
  for (const size of shape) checkInteger("each size in shape", size, 1);
  checkLength("kernel", kernel, shape[0] * shape[1] * shape[2] * shape[3]);
  checkFinite("kernel", kernel);
}

/** Norms of pieces short enough to spread into Math.hypot. */
function chunkNorms(a: Float64Array): number[] {
  const norms: number[] = [];
  for (let from = 0; from < a.length; from += 4096) norms.push(Math.hypot(...a.subarray(from, from + 4096)));
  return norms;
}

/** [s, i, o] with the in-channels as columns: (s·o) x in. With the out-channels as columns it lies in memory already. */
function foldIn(k: Float64Array, space: number, inChannels: number, outChannels: number): Float64Array {
  const result = new Float64Array(k.length);
  const plane = inChannels * outChannels;
  for (let s = 0; s < space; s++) {
    const slice = transpose(k.subarray(s * plane, (s + 1) * plane), inChannels, outChannels);
    result.set(slice, s * plane);
  }
  return result;
}

function modeSpectrum(unfolded: Float64Array, channels: number): Float64Array {
  return svd(unfolded, unfolded.length / channels, channels).s;
}

/** The leading right singular vectors of an unfolding with `channels` columns, row-major channels x rank. */
function leading(unfolded: Float64Array, channels: number, rank: number): Float64Array {
  const rows = unfolded.length / channels;
  // They are those of the Gram matrix too, which is smaller where there are many rows. It squares the singular values, so
  // directions weaker than 1e-8 of the strongest come out in no order; they hold nothing.
  const { vt } =
    rows > channels
      ? svd(gramOf(unfolded, rows, channels), channels, channels)
      : svd(unfolded, rows, channels);
  const vectors = new Float64Array(channels * rank);
  const available = Math.min(rows, channels);
  for (let r = 0; r < Math.min(rank, available); r++) {
    for (let c = 0; c < channels; c++) vectors[c * rank + r] = vt[r * channels + c];
  }
  return vectors;
}

/** Multiplies the in mode by a factor's transpose: [s, i, o] to [s, p, o]. */
function timesIn(
  k: Float64Array,
  space: number,
  inChannels: number,
  outChannels: number,
  input: Float64Array,
  rank: number,
): Float64Array {
  const across = transpose(input, inChannels, rank);
  const result = new Float64Array(space * rank * outChannels);
  for (let s = 0; s < space; s++) {
    const slice = k.subarray(s * inChannels * outChannels, (s + 1) * inChannels * outChannels);
    result.set(product(across, slice, rank, inChannels, outChannels), s * rank * outChannels);
  }
  return result;
}

function project(
  k: Float64Array,
  space: number,
  inChannels: number,
  outChannels: number,
  input: Float64Array,
  rankIn: number,
  output: Float64Array,
  rankOut: number,
): Float64Array {
  const narrow = timesIn(k, space, inChannels, outChannels, input, rankIn);
  return product(narrow, output, space * rankIn, outChannels, rankOut);
}

/**
 * Matricised tensor times Khatri-Rao product of the other three factors: size(mode) x rank.
 *
 * @param k for mode 3 the kernel transposed, [out, h·w·in]; for the others the kernel with the out factor multiplied in
 *   already: [h, w, in, rank]
 */
function mttkrp(
  k: Float64Array,
  shape: KernelShape,
  factors: Float64Array[],
  rank: number,
  mode: number,
): Float64Array<ArrayBuffer> {
  const [h, w, inChannels, outChannels] = shape;
  const places = h * w * inChannels;
  // The product of the factors that are left, for each place: its row is what the tensor's numbers there are multiplied by.
  const outer = new Float64Array(places * rank).fill(1);
  const result = new Float64Array(shape[mode] * rank);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      for (let i = 0; i < inChannels; i++) {
        const index = [y, x, i];
        const row = ((y * w + x) * inChannels + i) * rank;
        for (let m = 0; m < 3; m++) {
          if (m === mode) continue;
          for (let r = 0; r < rank; r++) outer[row + r] *= factors[m][index[m] * rank + r];
        }
        if (mode === 3) continue;
        const to = index[mode] * rank;
        for (let r = 0; r < rank; r++) result[to + r] += k[row + r] * outer[row + r];
      }
    }
  }
  return mode === 3 ? product(k, outer, outChannels, places, rank) : result;
}

function columnGram(factor: Float64Array, rank: number): Float64Array {
  const g = new Float64Array(rank * rank);
  for (let row = 0; row < factor.length; row += rank) {
    for (let p = 0; p < rank; p++) {
      for (let q = 0; q < rank; q++) g[p * rank + q] += factor[row + p] * factor[row + q];
    }
  }
  return g;
}

function columnLengths(factor: Float64Array, rank: number): Float64Array {
  const lengths = new Float64Array(rank);
  for (let i = 0; i < factor.length; i++) lengths[i % rank] += factor[i] * factor[i];
  return lengths.map(Math.sqrt);
}

function normalized(factor: Float64Array, rank: number): Float64Array {
  const lengths = columnLengths(factor, rank);
  return factor.map((value, i) => value / (lengths[i % rank] || 1));
}

/** Solves X G = P for X with a symmetric positive semidefinite G, by its pseudo-inverse. */
function solveNormal(g: Float64Array, rank: number, product: Float64Array): Float64Array {
  const { u, s, vt } = svd(g, rank, rank);
  const cutoff = s[0] * rank * Number.EPSILON * 16;
  const inverse = new Float64Array(rank * rank);
  for (let k = 0; k < rank && s[k] > cutoff; k++) {
    for (let i = 0; i < rank; i++) {
      const factor = vt[k * rank + i] / s[k];
      for (let j = 0; j < rank; j++) inverse[i * rank + j] += factor * u[j * rank + k];
    }
  }
  const solved = new Float64Array(product.length);
  for (let row = 0; row < product.length; row += rank) {
    for (let p = 0; p < rank; p++) {
      const value = product[row + p];
      for (let q = 0; q < rank; q++) solved[row + q] += value * inverse[p * rank + q];
    }
  }
  return solved;
}
