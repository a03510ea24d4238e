// §3.2.1, item 3: automatic quantization. Given a model, calibration images and a budget, it measures what each layer
// can bear, spends the bytes where they help most, repairs what it can, and says why.
//
// Equalization and bias correction: Nagel et al., "Data-free quantization", 2019. Rounding: GPTQ, Frantar et al., 2022.
// Bits a layer by measured sensitivity: Dong et al., "HAWQ", 2019, with the divergence of the outputs in place of
// curvature.

import { type Split, viewOf } from "../datasets/index.ts";
import { balancedPairs, channelsLast, findKind } from "../graph/index.ts";
import {
  addSamples,
  type Choice,
  chooseGrid,
  dequantize,
  emptyStatistics,
  equalize,
  type Grid,
  gptq,
  type InputStatistics,
  outputError,
  outputShift,
  paretoAllocations,
  patches,
  type Quantized,
  quantizationError,
  quantizedBytes,
  quantizeOn,
} from "../quantization/index.ts";
import { checkInteger, checkNumber, checkOneOf } from "../util/check.ts";
import { progress } from "../util/progress.ts";
import { elements } from "../util/shape.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchOf, batchSizeFor, checkSplit, inputShape } from "./batches.ts";
import { type Evaluation, evaluate, predict } from "./evaluate.ts";
import { kindOf, networkOf } from "./graph.ts";
import { windowOf } from "./integer-network.ts";
import { logitsOf } from "./logits.ts";
import { withProbes } from "./probe.ts";
import {
  type ActivationQuantizers,
  type CalibrateOptions,
  calibrateActivations,
  compressedKernels,
  floatsLeft,
  type KeepFloat,
  quantizedForward,
  trainQuantized,
} from "./quantize.ts";
import { tf } from "./tf.ts";
import type { TrainOptions } from "./train.ts";
import { biasesOf, type Kernel, kernelsOf, setBiases, setWeights, shapesOf, weightsOf } from "./weights.ts";

/**
 * What goes into each layer with a kernel: second moments and means of its inputs, for GPTQ and bias correction. A
 * convolution's inputs are its patches.
 *
 * @param options `rows`: at most about so many samples a layer, evenly from all images, default 4,096; `layers` by name,
 *   default all
 */
export async function inputStatisticsOf(
  model: tf.LayersModel,
  data: Split,
  {
    rows = 4096,
    layers: names,
    signal,
    ...options
  }: { rows?: number; batchSize?: number; layers?: string[]; signal?: AbortSignal } = {},
): Promise<Record<string, InputStatistics>> {
  checkInteger("rows", rows, 1);
  const batchSize = batchSizeFor(model, options.batchSize, 128);
  checkSplit(model, data);
  await ensureBackend();
  const all = kernelsOf(model);
  for (const name of names ?? []) {
    checkOneOf(
      "layer",
      name,
      all.map((kernel) => kernel.name),
    );
  }
  const kernels = names ? all.filter(({ name }) => names.includes(name)) : all;
  const layers = new Map(kernels.map(({ name, layer }) => [name, layer]));
  const statistics: Record<string, InputStatistics> = {};
  for (const kernel of kernels) {
    const { name, layer, shape } = kernel;
    if (!hasStatistics(kernel)) {
      throw new RangeError(
        `${name} must be a dense layer or a 2-D convolution with its channels last and without dilation, got a ${layer.getClassName()}`,
      );
    }
    statistics[name] = emptyStatistics(elements(shape.slice(0, -1)));
  }
  const shape = inputShape(model);
  for (let from = 0; from < data.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(data.count, from + batchSize);
    tf.tidy(() => {
      const { x } = batchOf(data, shape, from, to);
      const watch = (name: string, input: tf.Tensor): void => {
        const values = input.dataSync() as Float32Array;
        const layer = layers.get(name)!;
        const { size } = statistics[name];
        const all =
          findKind(kindOf(layer))!.product === "matrix"
            ? values
            : patches(values, to - from, input.shape.slice(1), windowOf(layer.getConfig(), "kernelSize"), 0);
        addSamples(statistics[name], evenRows(all, size, Math.ceil((rows * (to - from)) / data.count)));
      };
      withProbes(layers, "output", {}, watch, () => logitsOf(model, x));
    });
    await nextTurn();
  }
  return statistics;
}

/** The mean of each input of some layers, by kernel: much less to hold than their second moments. */
async function inputMeansOf(
  model: tf.LayersModel,
  data: Split,
  kernels: Kernel[],
  options: { batchSize?: number; signal?: AbortSignal },
): Promise<Record<string, Float64Array>> {
  const means: Record<string, Float64Array> = {};
  for (const group of groupsByMoments(kernels)) {
    const layers = group.map(({ name }) => name);
    const statistics = await inputStatisticsOf(model, data, { ...options, layers });
    for (const name of layers) means[name] = Float64Array.from(statistics[name].mean);
  }
  return means;
}

// Second moments held at once: 64 MiB of doubles, or those of one layer.
const momentsAtOnce = 2 ** 23;

/** Kernels in their order, in groups whose moments may be held together. */
function groupsByMoments(kernels: Kernel[]): Kernel[][] {
  const groups: Kernel[][] = [];
  let room = 0;
  for (const kernel of kernels) {
    const size = hasStatistics(kernel) ? elements(kernel.shape.slice(0, -1)) ** 2 : 0;
    if (groups.length === 0 || size > room) {
      groups.push([]);
      room = momentsAtOnce;
    }
    groups[groups.length - 1].push(kernel);
    room -= size;
  }
  return groups;
}

/** Whether what goes into a layer can be seen as rows that its kernel multiplies. */
function hasStatistics({ layer, shape }: Kernel): boolean {
  const attributes = layer.getConfig() as Record<string, unknown>;
  const { product } = findKind(kindOf(layer))!;
  if (product === "matrix") return true;
  return (
    product === "convolution" &&
    shape.length === 4 &&
    channelsLast({ attributes }) &&
    [attributes.dilationRate].flat().every((d) => typeof d !== "number" || d === 1)
  );
}

/** At most `limit` rows of `size` numbers, at even distances. */
function evenRows(all: Float32Array, size: number, limit: number): Float32Array {
  const count = size === 0 ? 0 : all.length / size;
  if (count <= limit) return all;
  const picked = new Float32Array(limit * size);
  for (let r = 0; r < limit; r++) {
    const from = Math.floor((r * count) / limit) * size;
    picked.set(all.subarray(from, from + size), r * size);
  }
  return picked;
}

/** One pair of layers that `equalizeModel` balanced. */
export interface EqualizedPair {
  first: string;
  second: string;
  /** Smallest and largest factor among the channels between them. */
  scales: [min: number, max: number];
}

/**
 * Cross-layer equalization, in place (§3.2.1, item 3; Nagel et al. 2019, §4.1): neighbouring layers share out their
 * channels' ranges; what the model computes stays the same. Layers count as neighbours where the first has a ReLU or no
 * activation, only pooling, padding, flattening, dropout and ReLUs lie between, and nothing else reads what comes out of these.
 *
 * @param rounds passes over all pairs, since each pair disturbs the next; default 10
 */
export function equalizeModel(
  model: tf.LayersModel,
  { rounds = 10 }: { rounds?: number } = {},
): EqualizedPair[] {
  checkInteger("rounds", rounds, 1);
  const pairs = balancedPairs(networkOf(model).graph);
  const weights = weightsOf(model);
  const biases = biasesOf(model);
  const shapes = shapesOf(model);
  const factors = pairs.map(([first]) => new Float64Array(shapes[first].at(-1)!).fill(1));
  for (let round = 0; round < rounds; round++) {
    for (const [index, [first, second]] of pairs.entries()) {
      const rows = elements(shapes[second].slice(0, -1));
      const result = equalize(weights[first], biases[first], weights[second], shapes[first].at(-1)!, rows);
      weights[first] = result.first;
      weights[second] = result.second;
      if (result.bias) biases[first] = result.bias;
      result.scales.forEach((scale, c) => {
        factors[index][c] *= scale;
      });
    }
  }
  setWeights(model, weights);
  setBiases(model, biases);
  return pairs.map(([first, second], index) => ({
    first,
    second,
    scales: [Math.min(...factors[index]), Math.max(...factors[index])],
  }));
}

/** What automatic quantization may spend: so many bytes for all kernels, or the bytes that an accuracy floor needs. */
export type QuantizationBudget =
  | { bytes: number; accuracyFloor?: undefined }
  | { accuracyFloor: number; bytes?: undefined };

/** Whether a repair is tried, and kept where it helps. */
export const attempts = ["try", "never"] as const;
export type Attempt = (typeof attempts)[number];

/** How automatic quantization goes about it. */
export interface AutoQuantizeOptions {
  /** Widths to choose from, default 2, 3, 4, 5, 6 and 8. */
  bits?: readonly number[];
  /** GPTQ, layer by layer: `try` (the default) keeps it where it disturbs the predictions less than rounding to nearest. */
  gptq?: Attempt;
  /** Cross-layer equalization: `try` (the default) keeps it where per-tensor rounding then disturbs them less. */
  equalization?: Attempt;
  /** Bias correction, layer by layer: `try` (the default) keeps it where it helps. */
  biasCorrection?: Attempt;
  /** Quantizes activations too, calibrated with these options; default not at all. */
  activations?: CalibrateOptions;
  /** Measures accuracy on these images; default: the calibration images. */
  validation?: Split;
  /** Kernels that stay floats; none by default. Their bytes count towards the budget. */
  keepFloat?: KeepFloat;
  /** Images at a time; by default what the model's activations leave room for. */
  batchSize?: number;
  /** Shows a progress bar on standard error. */
  progress?: boolean;
  /** Ends the work; the model is then as before. */
  signal?: AbortSignal;
  /** Trains through quantization at the end, on these images, with these options of `train`. */
  fineTune?: { data: Split; options?: Omit<TrainOptions, "forward"> };
}

/** What was decided for one layer. */
export interface AutoQuantizeRow {
  layer: string;
  weights: number;
  bits: number;
  granularity: "per tensor" | "per channel";
  range: "max" | "mse";
  rounding: "nearest" | "gptq";
  biasCorrected: boolean;
  bytes: number;
  /**
   * Squared error of the layer's outputs over their squares, on held-out images; of its weights over theirs where it is
   * neither a dense layer nor a plain 2-D convolution.
   */
  outputError: number;
  /** Divergence of the model's predictions with only this layer quantized, in nats an image. */
  divergence: number;
  /** The reason, in words. */
  why: string;
}

/** The outcome of automatic quantization. The model itself holds the quantized weights. */
export interface AutoQuantized {
  rows: AutoQuantizeRow[];
  quantized: Record<string, Quantized>;
  activations: ActivationQuantizers | undefined;
  /** Bytes of all kernels; what stays float, or is skipped, has 4 bytes a number. */
  bytes: number;
  /** Kernels that stayed floats. */
  kept: string[];
  /** Layers with weights that no kind in the table covers: their weights stayed as they were. */
  skipped: string[];
  before: Evaluation;
  after: Evaluation;
  /** The steps that were taken, in words. */
  log: string[];
}

/** A layer at one width: its grid, and what rounding on it does. */
interface Candidate extends Choice {
  grid: Grid;
  range: "max" | "mse";
  outputError: number;
}

/** A layer as it was put into the model. */
interface Placed {
  quantized: Quantized;
  rounding: "nearest" | "gptq";
  biasCorrected: boolean;
}

/**
 * Quantizes a model automatically, in place (§3.2.1, item 3):
 * 1. equalizes neighbouring layers, if that helps;
 * 2. chooses for each layer and width the granularity and the range with the least output error;
 * 3. measures how much each layer at each width disturbs the predictions;
 * 4. finds the widths that disturb them least within the budget, exactly;
 * 5. rounds the layers one after the other, each for the inputs that the layers before it now give, by GPTQ or to
 *    nearest, with or without bias correction, whichever disturbs the predictions least;
 * 6. trains through quantization, if asked.
 *
 * A third of the calibration images is held out: GPTQ never sees it, and whatever is measured is measured there.
 *
 * @param calibration some hundred images; labels are only looked at where the images serve as validation too
 * @param budget `{ bytes }` for all kernels, or `{ accuracyFloor }`: the fewest bytes that keep it, as measured
 * @throws RangeError for a budget that no choice of widths meets; the model is then as before
 */
export async function autoQuantize(
  model: tf.LayersModel,
  calibration: Split,
  budget: QuantizationBudget,
  options: AutoQuantizeOptions = {},
): Promise<AutoQuantized> {
  const {
    bits = [2, 3, 4, 5, 6, 8],
    gptq: second = "try",
    equalization = "try",
    biasCorrection = "try",
  } = options;
  const { validation = calibration, fineTune } = options;
  if (bits.length === 0) throw new RangeError("bits must have at least one width, got none");
  for (const width of bits) checkInteger("bits", width, 1, 16);
  checkOneOf("gptq", second, attempts);
  checkOneOf("equalization", equalization, attempts);
  checkOneOf("biasCorrection", biasCorrection, attempts);
  if (Number(budget?.bytes === undefined) + Number(budget?.accuracyFloor === undefined) !== 1)
    throw new RangeError(`budget must be { bytes } or { accuracyFloor }, got ${JSON.stringify(budget)}`);
  if (budget.bytes !== undefined) checkNumber("budget.bytes", budget.bytes, 0);
  else checkNumber("budget.accuracyFloor", budget.accuracyFloor, 0, 1);
  checkSplit(model, calibration);
  checkInteger("the number of calibration images", calibration.count, 3);
  const widths = [...bits].sort((a, b) => a - b);
  const third = Math.floor(calibration.count / 3);
  const fit = viewOf(calibration, third, calibration.count);
  const held = viewOf(calibration, 0, third);
  const log: string[] = [];
  const { batchSize, signal, keepFloat } = options;
  const looking = { batchSize, signal };
  const kernels = compressedKernels(model, keepFloat);
  const bar = options.progress
    ? progress(`quantizing ${model.name}`, kernels.length * (widths.length + 1))
    : undefined;
  let done = 0;
  const step = (what: string) => {
    signal?.throwIfAborted();
    bar?.update(Math.min(++done, kernels.length * (widths.length + 1)), what);
  };
  const before = await evaluate(model, validation, looking);
  const originalWeights = weightsOf(model);
  const originalBiases = biasesOf(model);
  try {
    const reference = await predict(model, held, looking);
    /** How far the model's predictions have moved. */
    const divergenceNow = async (forward?: (x: tf.Tensor) => tf.Tensor2D): Promise<number> =>
      divergence(
        reference.probabilities,
        (await predict(model, held, { ...looking, forward })).probabilities,
        held.count,
      );
    if (equalization === "try") await tryEqualization(model, divergenceNow, widths[0], log);
    const weights = weightsOf(model);
    const biases = biasesOf(model);
    const shapes = shapesOf(model);
    const names = kernels.map(({ name }) => name);
    const axes = Object.fromEntries(kernels.map(({ name, axis }) => [name, axis]));
    const seen = kernels.filter(hasStatistics).map(({ name }) => name);
    const floats = floatsLeft(model, Object.fromEntries(names.map((name) => [name, true])));
    const means =
      biasCorrection === "try"
        ? await inputMeansOf(
            model,
            fit,
            kernels.filter(({ name }) => seen.includes(name) && biases[name]),
            looking,
          )
        : {};

    const choices: Candidate[][] = [];
    for await (const [name, statistics] of momentsInTurn(model, held, kernels, looking)) {
      const layer: Candidate[] = [];
      for (const width of widths) {
        step(`${name} in ${width} bits`);
        const candidate = bestGrid(weights[name], shapes[name], axes[name], statistics, width);
        setWeights(model, { [name]: dequantize(quantizeOn(candidate.grid, weights[name])) });
        layer.push({ ...candidate, cost: await divergenceNow() });
      }
      setWeights(model, { [name]: weights[name] });
      choices.push(layer);
    }

    /** Rounds all layers in order and leaves the best of what was tried in the model. */
    const place = async (picks: number[]): Promise<Record<string, Placed>> => {
      setWeights(model, weights);
      setBiases(model, biases);
      const placed: Record<string, Placed> = {};
      for (const [i, name] of names.entries()) {
        step(`${name} rounded`);
        const { grid } = choices[i][picks[i]];
        const needed = seen.includes(name) && (second === "try" || biasCorrection === "try");
        const statistics =
          needed && (await inputStatisticsOf(model, fit, { ...looking, layers: [name] }))[name];
        const roundings: [Placed["rounding"], Quantized][] = [["nearest", quantizeOn(grid, weights[name])]];
        if (statistics && second === "try") roundings.push(["gptq", gptq(weights[name], grid, statistics)]);
        let least = Number.POSITIVE_INFINITY;
        let keep = () => {};
        for (const [rounding, quantized] of roundings) {
          const restored = dequantize(quantized);
          const correctable = statistics && biasCorrection === "try" && biases[name];
          for (const biasCorrected of correctable ? [false, true] : [false]) {
            const bias =
              biasCorrected && statistics
                ? corrected(biases[name], outputShift(weights[name], restored, means[name], statistics.mean))
                : biases[name];
            const put = () => {
              setWeights(model, { [name]: restored });
              if (bias) setBiases(model, { [name]: bias });
              placed[name] = { quantized, rounding, biasCorrected };
            };
            put();
            const found = roundings.length > 1 || correctable ? await divergenceNow() : 0;
            if (found < least) {
              least = found;
              keep = put;
            }
          }
        }
        keep();
      }
      return placed;
    };

    const front = paretoAllocations(choices);
    let picks: number[];
    let placed: Record<string, Placed>;
    if (budget.bytes !== undefined) {
      const fitting = front.filter((allocation) => allocation.bytes + floats.bytes <= budget.bytes);
      if (fitting.length === 0) {
        throw new RangeError(
          `budget.bytes must be at least ${front[0].bytes + floats.bytes} for these widths, got ${budget.bytes}`,
        );
      }
      picks = fitting[fitting.length - 1].picks;
      placed = await place(picks);
      log.push(
        `${front.length} allocations are on the front of bytes against divergence; the best within ${budget.bytes} bytes was taken`,
      );
    } else {
      // Accuracy grows along the front but for noise: halve, and believe only what was measured.
      const measured = async (index: number) => {
        const result = await place(front[index].picks);
        return { index, placed: result, accuracy: (await evaluate(model, validation, looking)).accuracy };
      };
      let best = await measured(front.length - 1);
      let tried = 1;
      if (best.accuracy < budget.accuracyFloor) {
        throw new RangeError(
          `budget.accuracyFloor must be at most ${best.accuracy} for these widths on these images, got ${budget.accuracyFloor}`,
        );
      }
      let low = -1;
      while (best.index - low > 1) {
        const next = await measured((low + best.index) >> 1);
        tried++;
        if (next.accuracy >= budget.accuracyFloor) best = next;
        else low = next.index;
      }
      picks = front[best.index].picks;
      placed = await place(picks);
      log.push(
        `${tried} of ${front.length} allocations on the front were measured; the smallest with accuracy ${budget.accuracyFloor} was taken`,
      );
    }

    // What rounding does to a layer's outputs is told of the inputs that the network had before.
    const [placedWeights, placedBiases] = [weightsOf(model), biasesOf(model)];
    setWeights(model, weights);
    setBiases(model, biases);
    const rows: AutoQuantizeRow[] = [];
    for await (const [name, statistics] of momentsInTurn(model, held, kernels, looking)) {
      const i = rows.length;
      rows.push(describe(name, choices[i], picks[i], weights[name], placed[name], statistics, widths));
    }
    setWeights(model, placedWeights);
    setBiases(model, placedBiases);
    let quantized = Object.fromEntries(names.map((name) => [name, placed[name].quantized]));
    let activations: ActivationQuantizers | undefined;
    if (options.activations) {
      activations = await calibrateActivations(model, calibration, { batchSize, ...options.activations });
      log.push(`activations calibrated on ${calibration.count} images`);
    }
    if (fineTune) {
      const layers = Object.fromEntries(
        names.map((name, i) => {
          const { grid, range } = choices[i][picks[i]];
          return [name, { bits: grid.bits, perChannel: grid.axis !== undefined, range }];
        }),
      );
      // Training starts from the weights before rounding: what they know beyond their code decides where they go.
      setWeights(model, weights);
      ({ quantized } = await trainQuantized(
        model,
        fineTune.data,
        { weights: { bits: 8, layers }, activations },
        fineTune.options,
      ));
      log.push(`trained through quantization on ${fineTune.data.count} images`);
    }
    const forward = activations && quantizedForward(model, { activations });
    const after = await evaluate(model, validation, { ...looking, forward });
    const bytes = Object.values(quantized).reduce((sum, q) => sum + quantizedBytes(q), floats.bytes);
    const { kept, skipped } = floats;
    return { rows, quantized, activations, bytes, kept, skipped, before, after, log };
  } catch (error) {
    // A model that could not be quantized as asked stays as it was.
    setWeights(model, originalWeights);
    setBiases(model, originalBiases);
    throw error;
  } finally {
    bar?.end();
  }
}

/** Each kernel with the moments of its inputs, where it has any, in order; no more of them are held than there is room for. */
async function* momentsInTurn(
  model: tf.LayersModel,
  data: Split,
  kernels: Kernel[],
  options: { batchSize?: number; signal?: AbortSignal },
): AsyncGenerator<[name: string, statistics: InputStatistics | undefined]> {
  for (const group of groupsByMoments(kernels)) {
    const layers = group.filter(hasStatistics).map(({ name }) => name);
    const found: Record<string, InputStatistics> =
      layers.length > 0 ? await inputStatisticsOf(model, data, { ...options, layers }) : {};
    for (const { name } of group) yield [name, found[name]];
  }
}

function corrected(bias: Float32Array, shift: Float64Array): Float32Array {
  return bias.map((b, j) => b - shift[j]);
}

/** Equalizes, and takes it back where per-tensor rounding does not disturb the predictions less with it. */
async function tryEqualization(
  model: tf.LayersModel,
  divergenceNow: (forward: (x: tf.Tensor) => tf.Tensor2D) => Promise<number>,
  width: number,
  log: string[],
): Promise<void> {
  const [weights, biases] = [weightsOf(model), biasesOf(model)];
  const bits = Math.max(2, width);
  const forward = quantizedForward(model, { weights: { bits, perChannel: false, range: "mse" } });
  const plain = await divergenceNow(forward);
  const pairs = equalizeModel(model);
  if (pairs.length === 0) {
    log.push("no neighbouring layers to equalize");
    return;
  }
  const equalized = await divergenceNow(forward);
  const numbers = `divergence ${equalized.toPrecision(3)} with it, ${plain.toPrecision(3)} without, at ${bits} bits per tensor`;
  if (equalized < plain) {
    log.push(
      `equalized ${pairs.map(({ first, second }) => `${first} with ${second}`).join(", ")}: ${numbers}`,
    );
    return;
  }
  setWeights(model, weights);
  setBiases(model, biases);
  log.push(`equalization taken back: ${numbers}`);
}

/** Of per tensor and per channel, by max and by MSE: the grid with the least error, rounding to nearest. */
function bestGrid(
  weights: Float32Array,
  shape: number[],
  outputs: number,
  statistics: InputStatistics | undefined,
  bits: number,
): Omit<Candidate, "cost"> {
  const tried = [undefined, outputs].map((axis) => {
    const [byMax, byMse] = (["max", "mse"] as const).map((range) => {
      const grid = chooseGrid(weights, { bits, range, shape, axis });
      const restored = dequantize(quantizeOn(grid, weights));
      return { range, grid, outputError: errorOf(weights, restored, statistics) };
    });
    return byMax.outputError <= byMse.outputError ? byMax : byMse;
  });
  // One scale a channel costs a few bytes: it must earn them with a tenth less error.
  const best = tried[1].outputError < 0.9 * tried[0].outputError ? tried[1] : tried[0];
  return { ...best, bytes: quantizedBytes(best.grid) };
}

/** Squared error of a layer's outputs, or of its weights where its inputs are not known. */
function errorOf(before: Float32Array, after: Float32Array, statistics: InputStatistics | undefined): number {
  return statistics
    ? outputError(before, after, statistics)
    : quantizationError(before, after).mse * before.length;
}

/** Mean Kullback-Leibler divergence between rows of probabilities, in nats. */
function divergence(expected: Float32Array, found: Float32Array, count: number): number {
  let sum = 0;
  for (let i = 0; i < expected.length; i++) {
    // Probabilities are float32: what has gone under in one is taken as the smallest that has not.
    if (expected[i] > 0) sum += expected[i] * Math.log(expected[i] / Math.max(found[i], 1e-30));
  }
  return Math.max(0, sum / count);
}

/** The row of the table for one layer, with the two neighbouring widths as the reason. */
function describe(
  name: string,
  choices: Candidate[],
  pick: number,
  weights: Float32Array,
  { quantized, rounding, biasCorrected }: Placed,
  statistics: InputStatistics | undefined,
  widths: number[],
): AutoQuantizeRow {
  const { bytes, cost, range } = choices[pick];
  const reasons: string[] = [];
  if (pick > 0) {
    const { bytes: less, cost: worse } = choices[pick - 1];
    reasons.push(
      `${widths[pick - 1]} bits would save ${bytes - less} bytes and diverge by ${worse.toPrecision(2)} instead of ${cost.toPrecision(2)}`,
    );
  } else reasons.push(`the fewest bits on offer diverge by only ${cost.toPrecision(2)}`);
  if (pick + 1 < choices.length) {
    const { bytes: more, cost: better } = choices[pick + 1];
    reasons.push(
      `${widths[pick + 1]} bits would cost ${more - bytes} bytes to diverge by ${better.toPrecision(2)}`,
    );
  }
  const whole = errorOf(weights, new Float32Array(weights.length), statistics);
  return {
    layer: name,
    weights: weights.length,
    bits: quantized.bits,
    granularity: quantized.axis === undefined ? "per tensor" : "per channel",
    range,
    rounding,
    biasCorrected,
    bytes,
    outputError: whole === 0 ? 0 : errorOf(weights, dequantize(quantized), statistics) / whole,
    divergence: cost,
    why: reasons.join("; "),
  };
}
