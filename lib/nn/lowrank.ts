// §3.3 applied to models: which layers become factors, and of which rank: by a plan, an energy, a budget or an accuracy.

import { costOf } from "../analysis/index.ts";
import type { Samples } from "../datasets/index.ts";
import { findKind } from "../graph/index.ts";
import { type KernelShape, rankByAccuracy } from "../lowrank/index.ts";
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
import {
  type Candidate,
  type ConvMethod,
  convCandidate,
  convMethods,
  type DenseMethod,
  denseCandidate,
  denseMethods,
  type LayerFactors,
  squares,
} from "./lowrank-layers.ts";
import { withProbes } from "./probe.ts";
import { rebuild } from "./rebuild.ts";
import { tf } from "./tf.ts";
import { finiteWeightsOf, type Kernel, kernelLayers, kernelsOf, weightsOf } from "./weights.ts";

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
  const candidates = candidatesOf(model, options, await inputsOf(model, options));
  const bar = options.progress ? progress(`factorizing ${model.name}`, 100) : undefined;
  try {
    const told: Told = (share, what) => {
      bar?.update(Math.floor(100 * share), what);
      options.onProgress?.(share);
    };
    return await factorizeBy({ model, candidates, options, told });
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

/** What the ways to choose ranks share. */
interface Work {
  model: tf.LayersModel;
  candidates: Candidate[];
  options: FactorizeOptions;
  told: Told;
}

type Plan = Record<string, LayerFactors>;

function factorizeBy(work: Work): Promise<FactorizedModel> {
  const { plan, energy, budget, accuracyFloor } = work.options;
  if (plan) return byPlan(work, plan);
  if (energy !== undefined) return byEnergy(work, checkNumber("energy", energy, 0, 1));
  if (budget !== undefined) return byBudget(work, checkNumber("budget", budget, Number.MIN_VALUE));
  return byAccuracy(work, checkNumber("accuracyFloor", accuracyFloor!, 0, 1));
}

/** Decomposes, layer by layer, what `build` then puts together. */
const decompose = ({ candidates, options }: Work, chosen: Plan, told: Told): Promise<void> =>
  eachInTurn(candidates, options, told, ({ name, prepare }) => {
    if (chosen[name]) prepare(chosen[name]);
  });

/** The factors that keep an energy of each layer, where they are smaller than the layer. */
const planAt = (candidates: Candidate[], energy: number): Plan =>
  Object.fromEntries(
    candidates.flatMap((candidate) => {
      const factors = candidate.at(energy);
      return factors ? [[candidate.name, factors]] : [];
    }),
  );

const firstHalf =
  (told: Told): Told =>
  (share, what) =>
    told(share / 2, what);
const secondHalf =
  (told: Told): Told =>
  (share, what) =>
    told(0.5 + share / 2, what);

async function byPlan(work: Work, plan: Plan): Promise<FactorizedModel> {
  const known = new Map(work.candidates.map((candidate) => [candidate.name, candidate]));
  for (const [name, factors] of Object.entries(plan)) {
    checkOneOf("layer in plan", name, [...known.keys()]);
    known.get(name)!.check(factors);
  }
  await decompose(work, plan, work.told);
  return build(work, plan, () => "named in the plan");
}

async function byEnergy(work: Work, energy: number): Promise<FactorizedModel> {
  const { candidates, options, told } = work;
  await eachInTurn(candidates, options, firstHalf(told), (candidate) => candidate.at(energy));
  const plan = planAt(candidates, energy);
  await decompose(work, plan, secondHalf(told));
  return build(work, plan, () => `keeps ${percent(energy)} of its energy`);
}

async function byBudget(work: Work, budget: number): Promise<FactorizedModel> {
  const { model, candidates, options, told } = work;
  const total = parametersOf(model);
  const limit = budget <= 1 ? budget * total : budget;
  await eachInTurn(candidates, options, firstHalf(told), (candidate) => candidate.at(1));
  const sizeAt = (energy: number) => {
    const plan = planAt(candidates, energy);
    return candidates.reduce(
      (sum, { name, parameters, size }) => sum + (plan[name] ? size(plan[name]) - parameters : 0),
      total,
    );
  };
  // Parameters grow with the energy asked for, so bisection finds the most that fits.
  let fits = levels;
  if (sizeAt(1) > limit) {
    const least = sizeAt(0);
    if (least > limit)
      throw new RangeError(`budget must be at least ${least} parameters (rank 1 everywhere), got ${limit}`);
    let high = levels;
    fits = 0;
    while (high - fits > 1) {
      const middle = (fits + high) >> 1;
      if (sizeAt(energyAt(middle)) <= limit) fits = middle;
      else high = middle;
    }
  }
  const energy = energyAt(fits);
  const plan = planAt(candidates, energy);
  await decompose(work, plan, secondHalf(told));
  return build(
    work,
    plan,
    () => `${percent(energy)} of each layer's energy is what the budget of ${Math.floor(limit)} allows`,
  );
}

async function byAccuracy(work: Work, floor: number): Promise<FactorizedModel> {
  const { model, candidates, options, told } = work;
  const { test, signal } = options;
  if (!test) throw new RangeError("accuracyFloor needs images to judge the accuracy on: give test");
  feedOf(model, test, { judged: true });
  // A tenth of the budget's levels: each costs an evaluation, and accuracy is no finer than its test.
  const energyOf = (rank: number) => energyAt((rank * levels) / floorLevels);
  await eachInTurn(candidates, options, firstHalf(told), (candidate) =>
    candidate.at(energyOf(floorLevels >> 1)),
  );
  let tried = 0;
  const found = await rankByAccuracy(floorLevels, floor, async (rank) => {
    const plan = planAt(candidates, energyOf(rank));
    await decompose(work, plan, (_, what) => told(1 - 0.5 ** (1 + tried), what));
    tried++;
    const { model: trial } = build(work, plan, () => "");
    try {
      return (await evaluate(trial, test, { signal })).accuracy;
    } finally {
      trial.dispose();
    }
  });
  if (!found) {
    const { accuracy } = await evaluate(model, test);
    throw new RangeError(`accuracyFloor must be at most the model's own accuracy, ${accuracy}, got ${floor}`);
  }
  const energy = energyOf(found.rank);
  const result = build(
    work,
    planAt(candidates, energy),
    () => `${percent(energy)} of each layer's energy is the least that keeps the accuracy at ${floor}`,
  );
  return { ...result, accuracy: found.accuracy };
}

// What a level leaves out falls tenfold every `levels / 4`: level 0 keeps nothing, the last but one about 1 - 1e-4, the
// last all, where no layer is replaced.
const levels = 400;
const floorLevels = 40;
const energyAt = (level: number): number => (level >= levels ? 1 : 1 - 10 ** ((-4 * level) / levels));

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

function build({ model, candidates }: Work, plan: Plan, why: (layer: string) => string): FactorizedModel {
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
