// §3.3: the parts that a layer becomes. A dense layer becomes two, a convolution three (Tucker-2) or four (CP); the last
// of them keeps the layer's name, bias and activation, so whatever refers to its output still does.

import { pairOf } from "../graph/index.ts";
import {
  breakEvenRank,
  type Cp,
  cp,
  cpParameters,
  type Factors,
  factorizeForInputs,
  factorsOf,
  type KernelShape,
  multiplyFactors,
  randomizedSvd,
  rankByEnergy,
  reconstructCp,
  reconstructTucker2,
  type Svd,
  svd,
  type Tucker2,
  transpose,
  truncate,
  tucker2,
  tucker2Parameters,
  tucker2RanksByEnergy,
  tucker2Spectra,
} from "../lowrank/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { samePads } from "../util/window.ts";
import type { Part } from "./rebuild.ts";
import { tf } from "./tf.ts";
import { biasOf, type Kernel } from "./weights.ts";

type Layer = tf.layers.Layer;

/** Ways to factorize a dense layer: exact SVD, randomized SVD, and the SVD that loses least of the layer's output. */
export const denseMethods = ["svd", "randomizedSvd", "forInputs"] as const;
export type DenseMethod = (typeof denseMethods)[number];
/** Ways to factorize a convolution. */
export const convMethods = ["tucker2", "cp"] as const;
export type ConvMethod = (typeof convMethods)[number];

/** What becomes of one layer. */
export type LayerFactors =
  | { method: DenseMethod; rank: number }
  | { method: "tucker2"; rankIn: number; rankOut: number }
  | { method: "cp"; rank: number };

/** New names for parts, by a suffix. */
type Names = (suffix: string) => string;

/** The parts that stand for a layer, and the kernel that they come to. */
interface Made {
  parts: Part[];
  kernel: Float32Array;
}

/** A layer that can be factorized. */
export interface Candidate {
  name: string;
  layer: Layer;
  /** Of the kernel. */
  parameters: number;
  /** The factors that keep an energy, undefined where they would not be smaller. */
  at(energy: number): LayerFactors | undefined;
  /** Parameters of the kernels of given factors. */
  size(factors: LayerFactors): number;
  /** Throws for factors that the layer cannot have. */
  check(factors: LayerFactors): void;
  /** Computes factors ahead of `make`, which takes seconds for a large layer. */
  prepare(factors: LayerFactors): void;
  /** What keeping an energy would take, for layers that stay. */
  whyKept: string;
  make(factors: LayerFactors, names: Names): Made;
}

export function denseCandidate(
  { name, layer }: Kernel,
  kernel: Float32Array,
  [rows, cols]: number[],
  method: DenseMethod,
  seed: number,
  inputs: Float32Array | undefined,
): Candidate {
  // One decomposition serves every rank that is tried.
  const exact = memo((): Svd => svd(kernel, rows, cols));
  const most = Math.max(1, Math.ceil(breakEvenRank(rows, cols)) - 1);
  const spectrum = memo((): Float64Array => {
    if (method === "svd") return exact().s;
    if (method === "forInputs") {
      // The singular values of the layer's outputs X W: their energy is what is kept of them.
      const outputs = multiply(inputs!, kernel, inputs!.length / rows, rows, cols);
      return svd(outputs, outputs.length / cols, cols).s;
    }
    const { s } = randomizedSvd(kernel, rows, cols, Math.min(most, rows, cols), { seed });
    // What the sketch leaves out counts as one more value, so that shares are shares of the whole.
    const rest = squares(kernel) - squares(s);
    return Float64Array.from([...s, Math.sqrt(Math.max(0, rest))]);
  });
  const size = (factors: LayerFactors) => (rows + cols) * (factors as { rank: number }).rank;
  const factorsAt = memoBy((rank: number, way: string): Factors => {
    if (way === "forInputs") return factorizeForInputs(kernel, rows, cols, rank, inputs!);
    const kept = way === "svd" ? truncate(exact(), rank) : randomizedSvd(kernel, rows, cols, rank, { seed });
    return factorsOf(kept);
  });
  return {
    name,
    layer,
    parameters: rows * cols,
    at(energy) {
      const rank = rankByEnergy(spectrum(), energy);
      return size({ method, rank }) < rows * cols ? { method, rank } : undefined;
    },
    size,
    check(factors) {
      checkOneOf(`method of ${name}`, factors.method, denseMethods);
      checkInteger(`rank of ${name}`, (factors as { rank: number }).rank, 1, Math.min(rows, cols));
      if (factors.method === "forInputs" && !inputs)
        throw new RangeError(`${name} by forInputs needs images: give data`);
    },
    prepare: (factors) => {
      factorsAt((factors as { rank: number }).rank, factors.method);
    },
    whyKept: `kept: two factors are smaller only below rank ${most + 1}, which would keep too little`,
    make(factors, names) {
      const { rank, method: way } = factors as { rank: number; method: DenseMethod };
      const { a, b } = factorsAt(rank, way);
      const config = configOf(layer);
      const first = tf.layers.dense({ name: names("in"), units: rank, useBias: false });
      const last = tf.layers.dense({
        name,
        units: cols,
        useBias: config.useBias,
        activation: config.activation,
      });
      return {
        parts: [
          { layer: first, weights: [a] },
          { layer: last, weights: [b, ...biasValues(layer)] },
        ],
        kernel: multiplyFactors({ a, b, rows, cols, rank }),
      };
    },
  };
}

export function convCandidate(
  { name, layer }: Kernel,
  kernel: Float32Array,
  shape: KernelShape,
  method: ConvMethod,
  seed: number,
): Candidate {
  const [, , inChannels, outChannels] = shape;
  const parameters = kernel.length;
  const config = configOf(layer);
  if ((config.dataFormat as string | undefined) === "channelsFirst")
    throw new RangeError(`${name} must have its channels last to be factorized`);
  const size = (factors: LayerFactors) =>
    factors.method === "tucker2"
      ? tucker2Parameters(shape, factors.rankIn, factors.rankOut)
      : cpParameters(shape, (factors as { rank: number }).rank);
  const decomposed = memoBy((factors: LayerFactors): Tucker2 | Cp =>
    factors.method === "tucker2"
      ? tucker2(kernel, shape, factors.rankIn, factors.rankOut)
      : cp(kernel, shape, (factors as { rank: number }).rank, { seed }),
  );
  // TensorFlow.js's depthwise layer takes a dilation and then leaves it out.
  const dilated = pairOf(config.dilationRate).some((d) => d > 1);
  const spectra = memo(() => tucker2Spectra(kernel, shape));
  const atTucker = (energy: number): LayerFactors => ({
    method: "tucker2",
    ...tucker2RanksByEnergy(kernel, shape, energy, spectra()),
  });
  // CP has no spectrum to read ranks from: ranks are tried in ever larger steps, each once and without the last polish.
  const energyOf = memoBy((rank: number) => {
    const { error } = cp(kernel, shape, rank, { seed, iterations: 50, tolerance: 1e-4 });
    return 1 - error ** 2;
  });
  const atCp = (energy: number): LayerFactors | undefined => {
    for (let rank = 1; cpParameters(shape, rank) < parameters; rank = Math.ceil(rank * 1.3)) {
      if (energyOf(rank) >= energy) return { method: "cp", rank };
    }
    return undefined;
  };
  return {
    name,
    layer,
    parameters,
    at: memoBy((energy: number) => {
      if (method === "cp" && dilated) return undefined;
      const factors = method === "tucker2" ? atTucker(energy) : atCp(energy);
      return factors && size(factors) < parameters ? factors : undefined;
    }),
    size,
    check(factors) {
      checkOneOf(`method of ${name}`, factors.method, convMethods);
      if (factors.method === "tucker2") {
        checkInteger(`rankIn of ${name}`, factors.rankIn, 1, inChannels);
        checkInteger(`rankOut of ${name}`, factors.rankOut, 1, outChannels);
        return;
      }
      checkInteger(`rank of ${name}`, (factors as { rank: number }).rank, 1);
      if (dilated) throw new RangeError(`${name} is dilated, which CP cannot keep here: use tucker2`);
    },
    prepare: decomposed,
    whyKept:
      method === "cp" && dilated
        ? "kept: it is dilated, which CP cannot keep here"
        : "kept: its factors would be no smaller",
    make(factors, names) {
      const kept = decomposed(factors);
      return "core" in kept ? tuckerParts(layer, shape, kept, names) : cpParts(layer, shape, kept, names);
    },
  };
}

const configOf = (layer: Layer) => layer.getConfig() as Record<string, never>;

const pointwise = (name: string, filters: number) =>
  tf.layers.conv2d({ name, filters, kernelSize: 1, useBias: false });

/** The last part of a convolution: it keeps its name, bias and activation. */
function lastConv(layer: Layer, filters: number, strides: number[] | number = 1): Layer {
  const { useBias, activation } = configOf(layer);
  return tf.layers.conv2d({
    name: layer.name,
    filters,
    kernelSize: 1,
    strides: strides as [number, number],
    useBias,
    activation,
  });
}

function tuckerParts(layer: Layer, [h, w, , outChannels]: KernelShape, kept: Tucker2, names: Names): Made {
  const { strides, padding = "valid", dilationRate = 1 } = configOf(layer);
  const { core, input, output, rankIn, rankOut } = kept;
  const middle = tf.layers.conv2d({
    name: names("core"),
    filters: rankOut,
    kernelSize: [h, w],
    useBias: false,
    strides,
    padding,
    dilationRate,
  });
  return {
    parts: [
      { layer: pointwise(names("in"), rankIn), weights: [input] },
      { layer: middle, weights: [core] },
      {
        layer: lastConv(layer, outChannels),
        weights: [transpose(output, outChannels, rankOut), ...biasValues(layer)],
      },
    ],
    kernel: reconstructTucker2(kept),
  };
}

/** With strides, "same" pads by the size of the image, which the two halves of CP would not see alike: what to pad first. */
function sidesFor(layer: Layer, sizes: number[], strides: number[]): [[number, number], [number, number]] {
  const places = (layer.input as tf.SymbolicTensor).shape;
  return sizes.map((k, axis) => {
    const n = places[axis + 1];
    if (n === null) throw new RangeError(`${layer.name} must have inputs of a fixed size to be strided CP`);
    return samePads(n, k, strides[axis]);
  }) as [[number, number], [number, number]];
}

function cpParts(layer: Layer, [h, w, , outChannels]: KernelShape, kept: Cp, names: Names): Made {
  const { vertical, horizontal, input, output, weights, rank } = kept;
  const config = configOf(layer);
  const strides = pairOf(config.strides);
  const padFirst = config.padding === "same" && strides.some((stride) => stride > 1);
  const padding = padFirst ? "valid" : (config.padding ?? "valid");
  // Depthwise strides must be equal in both directions; unequal ones are left to the last layer.
  const equal = strides[0] === strides[1];
  const depthwise = (suffix: string, kernelSize: [number, number], stride: number) =>
    tf.layers.depthwiseConv2d({ name: names(suffix), kernelSize, strides: stride, padding, useBias: false });
  // The lengths of the terms are spread over all four factors, so that none is much larger than the others.
  const root = weights.map((length) => Math.abs(length) ** 0.25);
  const scaled = (factor: Float64Array) => factor.map((value, i) => value * root[i % rank]);
  const parts: Part[] = [{ layer: pointwise(names("in"), rank), weights: [scaled(input)] }];
  if (padFirst) {
    const sides = sidesFor(layer, [h, w], strides);
    parts.push({ layer: tf.layers.zeroPadding2d({ name: names("pad"), padding: sides }), weights: [] });
  }
  parts.push(
    { layer: depthwise("vertical", [h, 1], 1), weights: [scaled(vertical)] },
    { layer: depthwise("horizontal", [1, w], equal ? strides[0] : 1), weights: [scaled(horizontal)] },
    {
      layer: lastConv(layer, outChannels, equal ? 1 : strides),
      weights: [transpose(scaled(output), outChannels, rank), ...biasValues(layer)],
    },
  );
  return { parts, kernel: reconstructCp(kept) };
}

/** The layer's bias as the last part's further weights: one array, or none. */
function biasValues(layer: Layer): ArrayLike<number>[] {
  const bias = biasOf(layer);
  return bias ? [bias.read().dataSync()] : [];
}

function multiply(
  x: Float32Array,
  w: Float32Array,
  samples: number,
  rows: number,
  cols: number,
): Float32Array {
  return multiplyFactors({ a: x, b: w, rows: samples, rank: rows, cols });
}

/** The sum of squares. */
export function squares(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return sum;
}

function memo<T>(make: () => T): () => T {
  let value: { made: T } | undefined;
  return () => {
    value ??= { made: make() };
    return value.made;
  };
}

function memoBy<A extends unknown[], T>(make: (...args: A) => T): (...args: A) => T {
  const made = new Map<string, T>();
  return (...args) => {
    const key = JSON.stringify(args);
    if (!made.has(key)) made.set(key, make(...args));
    return made.get(key)!;
  };
}
