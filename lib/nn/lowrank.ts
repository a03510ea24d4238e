// §3.3 applied to models: a dense layer becomes two (SVD, §3.3.1), a convolution three (Tucker-2) or four (CP, §3.3.2).
// The last of them keeps the layer's name, bias and activation, so whatever refers to its output still does.

import { costOf } from "../analysis/index.ts";
import type { Samples } from "../datasets/index.ts";
import { findKind, pairOf, samePadding } from "../graph/index.ts";
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
  rankByAccuracy,
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
import { checkInteger, checkNumber, checkOneOf } from "../util/check.ts";
import { joinFloats } from "../util/join.ts";
import { progress } from "../util/progress.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, feedOf, firstOf } from "./batches.ts";
import { evaluate } from "./evaluate.ts";
import { kindOf, layersOf } from "./graph.ts";
import { layerShapesOf } from "./layers.ts";
import { outputsOf } from "./logits.ts";
import { withProbes } from "./probe.ts";
import { type Part, rebuild } from "./rebuild.ts";
import { tf } from "./tf.ts";
import { biasOf, finiteWeightsOf, type Kernel, kernelLayers, kernelsOf, weightsOf } from "./weights.ts";

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

/** How {@link factorizeModel} chooses ranks (exactly one of the first four), and how it factorizes. */
export interface FactorizeOptions {
  /** The layers to replace, with their ranks; all others stay. */
  plan?: Record<string, LayerFactors>;
  /** Each layer keeps at least this share (0 to 1) of its energy, the squared Frobenius norm. */
  energy?: number;
  /** The whole model keeps at most so many parameters: a share of them up to 1, a number of them above. */
  budget?: number;
  /** The model keeps at least this accuracy (0 to 1) on `test`. */
  accuracyFloor?: number;
  /** For dense layers; default `svd`. */
  dense?: DenseMethod | "none";
  /** For convolutions; default `tucker2`. */
  conv?: ConvMethod | "none";
  /** The layers that may be replaced; by default every dense layer and 2-D convolution. */
  layers?: readonly string[];
  /** Images that show `forInputs` what the layers really see; labels do not matter. */
  data?: Samples;
  /** How many of `data` are looked at; default 500. */
  images?: number;
  /** Judges the accuracy for `accuracyFloor`. */
  test?: Samples;
  /** Seed of randomized SVD and CP; default 1. */
  seed?: number;
  /** Shows a progress bar on standard error. */
  progress?: boolean;
  /** Told how far the whole is, 0 to 1. */
  onProgress?: (share: number) => void;
  /** Ends the work between two layers. */
  signal?: AbortSignal;
}

/** What became of one layer, and why. */
export interface FactorizedLayer {
  layer: string;
  /** `kept` for a layer that stays as it was. */
  method: DenseMethod | ConvMethod | "kept";
  /** The layers that stand for it now; itself where it was kept. The last one has its name. */
  parts: string[];
  /** Tucker-2 has two, in and out. */
  ranks: number[];
  /** Parameters, biases included. */
  parametersBefore: number;
  parametersAfter: number;
  /** Multiply-accumulates for one example. */
  macsBefore: number;
  macsAfter: number;
  /** Share of the kernel's squared Frobenius norm that is kept. */
  energy: number;
  /** Relative Frobenius error of the kernel. */
  error: number;
  why: string;
}

/** What {@link factorizeModel} made. */
export interface FactorizedModel {
  /** A new model; the given one stays as it is. */
  model: tf.LayersModel;
  /** One row a layer with a kernel. */
  rows: FactorizedLayer[];
  /** The kernels that the factors stand for, by the name of the layer that they replace. */
  kernels: Record<string, Float32Array>;
  /** With `accuracyFloor`: the accuracy on `test`. */
  accuracy?: number;
}

/**
 * Replaces layers by low-rank factors: dense layers by two, convolutions by 1 x 1, k x k, 1 x 1 (Tucker-2) or 1 x 1,
 * h x 1, 1 x w, 1 x 1 (CP); strides, padding, dilation, bias and activation are kept. A layer that its factors would
 * not make smaller stays as it is, unless `plan` names it.
 *
 * `budget` and `accuracyFloor` seek the one energy for all layers that just meets them.
 *
 * @throws RangeError for options out of range, layers that the model does not have or that cannot be factorized, a
 *   budget that rank 1 everywhere does not meet, and a floor above the model's own accuracy
 * @see §3.3
 */
export async function factorizeModel(
  model: tf.LayersModel,
  options: FactorizeOptions,
): Promise<FactorizedModel> {
  const { plan, energy, budget, accuracyFloor, seed = 1 } = options;
  const ways = Object.entries({ plan, energy, budget, accuracyFloor }).filter(
    ([, value]) => value !== undefined,
  );
  if (ways.length !== 1) {
    const given = ways.map(([name]) => name).join(" and ") || "none";
    throw new RangeError(`give exactly one of plan, energy, budget and accuracyFloor, got ${given}`);
  }
  checkInteger("seed", seed, 0);
  await ensureBackend();
  const factorizable = candidatesOf(model, options, await inputsOf(model, options));
  const bar = options.progress ? progress(`factorizing ${model.name}`, 100) : undefined;
  try {
    return await factorizeBy(model, factorizable, options, (share, what) => {
      bar?.update(Math.floor(100 * share), what);
      options.onProgress?.(share);
    });
  } finally {
    bar?.end();
  }
}

/** Goes over candidates one by one, with a turn for others in between: each may take seconds. */
async function eachInTurn(
  candidates: Candidate[],
  { signal }: FactorizeOptions,
  told: Told,
  work: (candidate: Candidate) => void,
): Promise<void> {
  for (const [i, candidate] of candidates.entries()) {
    signal?.throwIfAborted();
    work(candidate);
    told((i + 1) / candidates.length, candidate.name);
    await nextTurn();
  }
  signal?.throwIfAborted();
}

type Told = (share: number, what: string) => void;

async function factorizeBy(
  model: tf.LayersModel,
  factorizable: Candidate[],
  options: FactorizeOptions,
  told: Told,
): Promise<FactorizedModel> {
  const { plan, energy, budget, accuracyFloor } = options;
  /** Decomposes, layer by layer, what `build` then puts together. */
  const decompose = (chosen: Record<string, LayerFactors>, part: Told) =>
    eachInTurn(factorizable, options, part, ({ name, prepare }) => {
      if (chosen[name]) prepare(chosen[name]);
    });
  const first: Told = (share, what) => told(share / 2, what);
  const second: Told = (share, what) => told(0.5 + share / 2, what);
  if (plan) {
    const known = new Map(factorizable.map((candidate) => [candidate.name, candidate]));
    for (const [name, factors] of Object.entries(plan)) {
      checkOneOf("layer in plan", name, [...known.keys()]);
      known.get(name)!.check(factors);
    }
    await decompose(plan, told);
    return build(model, factorizable, plan, () => "named in the plan");
  }
  const at = (share: number): Record<string, LayerFactors> =>
    Object.fromEntries(
      factorizable.flatMap((candidate) => {
        const factors = candidate.at(share);
        return factors ? [[candidate.name, factors]] : [];
      }),
    );
  if (energy !== undefined) {
    checkNumber("energy", energy, 0, 1);
    await eachInTurn(factorizable, options, first, (candidate) => candidate.at(energy));
    await decompose(at(energy), second);
    return build(model, factorizable, at(energy), () => `keeps ${percent(energy)} of its energy`);
  }
  if (budget !== undefined) {
    const total = parametersOf(model);
    checkNumber("budget", budget, Number.MIN_VALUE);
    const limit = budget <= 1 ? budget * total : budget;
    await eachInTurn(factorizable, options, first, (candidate) => candidate.at(1));
    const size = (factors: Record<string, LayerFactors>) =>
      factorizable.reduce(
        (sum, { name, parameters, size }) => sum + (factors[name] ? size(factors[name]) - parameters : 0),
        total,
      );
    // Parameters grow with the energy asked for, so bisection finds the most that fits.
    let fits = levels;
    if (size(at(1)) > limit) {
      if (size(at(0)) > limit) {
        const least = size(at(0));
        throw new RangeError(`budget must be at least ${least} parameters (rank 1 everywhere), got ${limit}`);
      }
      for (let low = 0, high = levels; ; ) {
        const middle = (low + high) >> 1;
        if (middle === low) {
          fits = low;
          break;
        }
        if (size(at(energyAt(middle))) <= limit) low = middle;
        else high = middle;
      }
    }
    const share = energyAt(fits);
    await decompose(at(share), second);
    return build(
      model,
      factorizable,
      at(share),
      () => `${percent(share)} of each layer's energy is what the budget of ${Math.floor(limit)} allows`,
    );
  }
  const { test } = options;
  if (!test) throw new RangeError("accuracyFloor needs images to judge the accuracy on: give test");
  feedOf(model, test, { judged: true });
  // A tenth of the budget's levels: each costs an evaluation, and accuracy is no finer than its test.
  const share = (rank: number) => energyAt((rank * levels) / floorLevels);
  await eachInTurn(factorizable, options, first, (candidate) => candidate.at(share(floorLevels >> 1)));
  let tried = 0;
  const found = await rankByAccuracy(
    floorLevels,
    checkNumber("accuracyFloor", accuracyFloor!, 0, 1),
    async (rank) => {
      await decompose(at(share(rank)), (_, what) => told(1 - 0.5 ** (1 + tried), what));
      tried++;
      const { model: trial } = build(model, factorizable, at(share(rank)), () => "");
      try {
        return (await evaluate(trial, test, { signal: options.signal })).accuracy;
      } finally {
        trial.dispose();
      }
    },
  );
  if (!found) {
    const { accuracy } = await evaluate(model, test);
    throw new RangeError(
      `accuracyFloor must be at most the model's own accuracy, ${accuracy}, got ${accuracyFloor}`,
    );
  }
  const result = build(
    model,
    factorizable,
    at(share(found.rank)),
    () =>
      `${percent(share(found.rank))} of each layer's energy is the least that keeps the accuracy at ${accuracyFloor}`,
  );
  return { ...result, accuracy: found.accuracy };
}

// What a level leaves out falls tenfold every `levels / 4`: level 0 keeps nothing, the last but one about 1 - 1e-4, the
// last all, where no layer is replaced.
const levels = 400;
const floorLevels = 40;
const energyAt = (level: number): number => (level >= levels ? 1 : 1 - 10 ** ((-4 * level) / levels));

/** A layer that can be factorized. */
interface Candidate {
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
  make(factors: LayerFactors, names: (suffix: string) => string): { parts: Part[]; kernel: Float32Array };
}

function candidatesOf(
  model: tf.LayersModel,
  options: FactorizeOptions,
  inputs: Record<string, Float32Array>,
): Candidate[] {
  const { dense = "svd", conv = "tucker2", seed = 1 } = options;
  checkOneOf("dense", dense, [...denseMethods, "none"]);
  checkOneOf("conv", conv, [...convMethods, "none"]);
  const weights = finiteWeightsOf(model);
  const possible = kernelsOf(model).filter(isFactorizable);
  const names = possible.map(({ name }) => name);
  for (const name of options.layers ?? []) checkOneOf("layer", name, names);
  return possible.flatMap((kernel): Candidate[] => {
    const { name, shape } = kernel;
    const method = isMatrix(kernel) ? dense : conv;
    const wanted = options.layers === undefined || options.layers.includes(name) || options.plan?.[name];
    if (!wanted || (method === "none" && !options.plan?.[name])) return [];
    return isMatrix(kernel)
      ? [denseCandidate(kernel, weights[name], shape, method as DenseMethod, seed, inputs[name])]
      : [convCandidate(kernel, weights[name], shape as unknown as KernelShape, method as ConvMethod, seed)];
  });
}

const isMatrix = ({ layer }: Kernel): boolean => findKind(kindOf(layer))!.product === "matrix";

/** A matrix, or the kernel of a 2-D convolution. */
const isFactorizable = (kernel: Kernel): boolean =>
  isMatrix(kernel) ||
  (findKind(kindOf(kernel.layer))!.product === "convolution" && kernel.shape.length === 4);

function denseCandidate(
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
      const config = layer.getConfig() as Record<string, never>;
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

function convCandidate(
  { name, layer }: Kernel,
  kernel: Float32Array,
  shape: KernelShape,
  method: ConvMethod,
  seed: number,
): Candidate {
  const [h, w, inChannels, outChannels] = shape;
  const parameters = kernel.length;
  const config = layer.getConfig() as Record<string, never>;
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
      const common = {
        strides: config.strides as number[] | undefined,
        padding: (config.padding ?? "valid") as "valid" | "same",
        dilationRate: (config.dilationRate ?? 1) as number | [number, number],
      };
      const last = (strides: number[] | number = 1) =>
        tf.layers.conv2d({
          name,
          filters: outChannels,
          kernelSize: 1,
          strides: strides as [number, number],
          useBias: config.useBias,
          activation: config.activation,
        });
      const narrow = (filters: number) =>
        tf.layers.conv2d({ name: names("in"), filters, kernelSize: 1, useBias: false });
      if ("core" in kept) {
        const { core, input, output, rankIn, rankOut } = kept;
        const middle = tf.layers.conv2d({
          name: names("core"),
          filters: rankOut,
          kernelSize: [h, w],
          useBias: false,
          ...(common as object),
        });
        return {
          parts: [
            { layer: narrow(rankIn), weights: [input] },
            { layer: middle, weights: [core] },
            { layer: last(), weights: [transpose(output, outChannels, rankOut), ...biasValues(layer)] },
          ],
          kernel: reconstructTucker2(kept),
        };
      }
      const { vertical, horizontal, input, output, weights, rank } = kept;
      const parts: Part[] = [{ layer: narrow(rank), weights: [input] }];
      const strides = pairOf(common.strides);
      const strided = strides.some((stride) => stride > 1);
      let { padding } = common;
      if (strided && padding === "same") {
        // With strides, "same" pads by the size of the image, which the two halves would not see alike: pad first.
        const places = (layer.input as tf.SymbolicTensor).shape;
        const sides = [h, w].map((k, axis) => {
          const n = places[axis + 1];
          if (n === null) throw new RangeError(`${name} must have inputs of a fixed size to be strided CP`);

          const all = samePadding(n, k, strides[axis]);
          return [Math.floor(all / 2), Math.ceil(all / 2)] as [number, number];
        }) as [[number, number], [number, number]];
        parts.push({ layer: tf.layers.zeroPadding2d({ name: names("pad"), padding: sides }), weights: [] });
        padding = "valid";
      }
      // Depthwise strides must be equal in both directions; unequal ones are left to the last layer.
      const equal = strides[0] === strides[1];
      const depthwise = (suffix: string, kernelSize: [number, number], stride: number) =>
        tf.layers.depthwiseConv2d({
          name: names(suffix),
          kernelSize,
          strides: stride,
          padding,
          useBias: false,
        });
      // The lengths of the terms are spread over all four factors, so that none is much larger than the others.
      const root = weights.map((length) => Math.abs(length) ** 0.25);
      const scaled = (factor: Float64Array) => factor.map((value, i) => value * root[i % rank]);
      parts[0].weights = [scaled(input)];
      parts.push(
        { layer: depthwise("vertical", [h, 1], 1), weights: [scaled(vertical)] },
        { layer: depthwise("horizontal", [1, w], equal ? strides[0] : 1), weights: [scaled(horizontal)] },
        {
          layer: last(equal ? 1 : strides),
          weights: [transpose(scaled(output), outChannels, rank), ...biasValues(layer)],
        },
      );
      return { parts, kernel: reconstructCp(kept) };
    },
  };
}

function build(
  model: tf.LayersModel,
  candidates: Candidate[],
  plan: Record<string, LayerFactors>,
  why: (layer: string) => string,
): FactorizedModel {
  const taken = new Set(layersOf(model).keys());
  const kernels: Record<string, Float32Array> = {};
  const partNames: Record<string, string[]> = {};
  const before = weightsOf(model);
  const byName = new Map(candidates.map((candidate) => [candidate.name, candidate]));
  const result = rebuild(model, (layer, replaced) => {
    const factors = plan[replaced];
    if (!factors) return undefined;
    const { parts, kernel } = byName.get(replaced)!.make(factors, (suffix) => {
      let name = `${replaced}_${suffix}`;
      for (let n = 2; taken.has(name); n++) name = `${replaced}_${suffix}${n}`;
      taken.add(name);
      return name;
    });
    for (const { layer: part } of parts) part.trainable = layer.trainable;
    kernels[replaced] = kernel;
    partNames[replaced] = parts.map(({ layer: part }) => part.name);
    return parts;
  });
  const costs = (of: tf.LayersModel) =>
    new Map(costOf(layerShapesOf(of)).layers.map((cost) => [cost.name, cost]));
  const [old, now] = [costs(model), costs(result)];
  const rows = [...kernelLayers(model).keys()].map((name): FactorizedLayer => {
    const { parameters, macs } = old.get(name)!;
    const factors = plan[name];
    const sum = (key: "parameters" | "macs") =>
      (partNames[name] ?? [name]).reduce((total, part) => total + now.get(part)![key], 0);
    const lost = factors ? relativeSquare(before[name], kernels[name]) : 0;
    return {
      layer: name,
      method: factors?.method ?? "kept",
      parts: partNames[name] ?? [name],
      ranks: !factors ? [] : "rank" in factors ? [factors.rank] : [factors.rankIn, factors.rankOut],
      parametersBefore: parameters,
      parametersAfter: sum("parameters"),
      macsBefore: macs,
      macsAfter: sum("macs"),
      energy: 1 - lost,
      error: Math.sqrt(lost),
      why: factors ? why(name) : (byName.get(name)?.whyKept ?? "kept: not asked for"),
    };
  });
  return { model: result, rows, kernels };
}

/** What the dense layers see of the calibration images, row by row, where some layer is factorized for its inputs. */
async function inputsOf(
  model: tf.LayersModel,
  { dense, plan, data, images: most = 500, layers, signal }: FactorizeOptions,
): Promise<Record<string, Float32Array>> {
  const planned = Object.entries(plan ?? {}).filter(([, { method }]) => method === "forInputs");
  if (dense !== "forInputs" && planned.length === 0) return {};
  if (!data) throw new RangeError("forInputs needs images that show what the layers see: give data");
  checkInteger("images", most, 1);
  feedOf(model, data);
  const wanted = plan ? planned.map(([name]) => name) : layers;
  const watched = new Map(
    kernelsOf(model)
      .filter((kernel) => isMatrix(kernel) && (!wanted || wanted.includes(kernel.name)))
      .map(({ name, layer }) => [name, layer]),
  );
  const images = firstOf(data, Math.min(most, data.count));
  const feed = feedOf(model, images);
  const seen = new Map<string, Float32Array[]>([...watched.keys()].map((name) => [name, []]));
  const batchSize = batchSizeFor(model, undefined, 100);
  for (let from = 0; from < images.count; from += batchSize) {
    signal?.throwIfAborted();
    tf.tidy(() => {
      const { x } = feed.batch(from, Math.min(images.count, from + batchSize));
      withProbes(
        watched,
        "output",
        {},
        (name, input) => seen.get(name)!.push(Float32Array.from(input.dataSync())),
        () => outputsOf(model, x),
      );
    });
  }
  return Object.fromEntries([...seen].map(([name, parts]) => [name, joinFloats(parts)]));
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

function squares(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return sum;
}

/** ‖a - b‖² / ‖a‖². */
function relativeSquare(a: Float32Array, b: Float32Array): number {
  const whole = squares(a);
  let lost = 0;
  for (let i = 0; i < a.length; i++) lost += (a[i] - b[i]) ** 2;
  return whole === 0 ? 0 : lost / whole;
}

function parametersOf(model: tf.LayersModel): number {
  return costOf(layerShapesOf(model)).parameters;
}

const percent = (share: number): string => `${Number((100 * share).toFixed(2))} %`;

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
