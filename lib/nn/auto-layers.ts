// §3.2.1, item 3, layer by layer: what automatic quantization measures of each layer at each width, and how it rounds the
// layers one after the other.

import type { Samples } from "../datasets/index.ts";
import { sharedNodes } from "../graph/index.ts";
import {
  addSamples,
  type Choice,
  chooseGrid,
  dequantize,
  emptyStatistics,
  type Grid,
  gptq,
  type InputStatistics,
  outputErrors,
  outputShift,
  type Quantized,
  quantizationError,
  quantizedBytes,
  quantizeOn,
  roundOn,
} from "../quantization/index.ts";
import { mapFloats } from "../util/floats.ts";
import { elements } from "../util/shape.ts";
import type { Attempt } from "./auto-quantize.ts";
import { networkOf } from "./graph.ts";
import { evenRows, hasStatistics, inputStatisticsOf, rowsOf } from "./input-statistics.ts";
import { Replay, type ReplayOptions } from "./replay.ts";
import { divergenceOf, type Output } from "./tasks.ts";
import type { tf } from "./tf.ts";
import { type Kernel, setBiases, setWeights } from "./weights.ts";

/** What automatic quantization works with. */
export interface Work {
  model: tf.LayersModel;
  /** What GPTQ and bias correction learn from, and what everything is measured on. */
  fit: Samples;
  held: Samples;
  /** What the network's outputs are for. */
  outputs: readonly Output[];
  /** In the order in which they run. */
  kernels: Kernel[];
  /** Names of layers that are used more than once. */
  shared: ReadonlySet<string>;
  /** Of the network before quantization, by kernel and by layer. */
  weights: Record<string, Float32Array>;
  biases: Record<string, Float32Array>;
  /** Growing. */
  widths: readonly number[];
  gptq: Attempt;
  biasCorrection: Attempt;
  options: ReplayOptions;
}

type Told = (share: number, what: string) => void;

/** A layer at one width: its grid, and what rounding on it does. */
export interface Candidate extends Choice {
  grid: Grid;
  range: "max" | "mse";
  outputError: number;
}

/** A layer as it was put into the model. */
export interface Placed {
  quantized: Quantized;
  rounding: "nearest" | "gptq";
  biasCorrected: boolean;
  /** Undefined where the layer has none. */
  bias: Float32Array | undefined;
}

/** Kernels as their layers run, which is not always the order in which a model lists them; and which layers run twice. */
export function inRunningOrder(model: tf.LayersModel, kernels: Kernel[]): Pick<Work, "kernels" | "shared"> {
  const { graph } = networkOf(model);
  const places = new Map(graph.nodes.map(({ name }, i) => [name, i]));
  return {
    kernels: kernels.toSorted((a, b) => places.get(a.layerName)! - places.get(b.layerName)!),
    shared: sharedNodes(graph),
  };
}

/** Puts rounded layers into a model. */
export function putPlaced(model: tf.LayersModel, placed: Record<string, Placed>): void {
  setWeights(
    model,
    Object.fromEntries(Object.entries(placed).map(([name, { quantized }]) => [name, dequantize(quantized)])),
  );
  for (const [name, { bias }] of Object.entries(placed)) if (bias) setBiases(model, { [name]: bias });
}

// Small disturbances grow with the squared error of the layer's outputs, and large ones are too many to matter: between
// these bounds, in nats an image, the divergence is measured; beyond them it is taken to grow with that error, from the
// nearest measure.
const small = 0.05;
const large = 0.5;

/**
 * Each layer at each width: the best grid, and how much it disturbs the predictions with all other layers as they were.
 *
 * @returns by kernel, the widths in their order
 */
export async function candidatesOf(work: Work, told: Told): Promise<Record<string, Candidate[]>> {
  const { model, held, kernels, weights, widths } = work;
  const found: Record<string, Candidate[]> = {};
  const replay = new Replay(model, held, work.options);
  try {
    const reference = await replay.outputs();
    for (const [k, kernel] of kernels.entries()) {
      const { name } = kernel;
      await replay.advance(kernel.layerName);
      const statistics = await momentsOf(work, replay, kernel, held);
      const errorOf = errorsOf(weights[name], statistics, outputsCompared);
      const candidates: Candidate[] = widths.map((bits) => ({
        ...bestGrid(weights[name], kernel, errorOf, bits),
        cost: Number.NaN,
      }));
      const measure = async (i: number): Promise<number> => {
        const candidate = candidates[i];
        setWeights(model, { [name]: dequantize(quantizeOn(candidate.grid, weights[name])) });
        candidate.cost = divergenceOf(work.outputs, reference, await replay.outputs());
        told((k + 0.5) / kernels.length, `${name} in ${widths[i]} bits`);
        return candidate.cost;
      };
      // From the middle outwards, as far as it is worth it.
      const middle = (widths.length - 1) >> 1;
      for (let i = middle; i < widths.length; i++) if ((await measure(i)) <= small) break;
      for (let i = middle - 1, known = middle; i >= 0; i--) {
        if (costAfter(candidates[known], candidates[i]) <= small) continue;
        if ((await measure(i)) >= large) break;
        known = i;
      }
      extrapolate(candidates);
      setWeights(model, { [name]: weights[name] });
      found[name] = candidates;
      told((k + 1) / kernels.length, name);
    }
  } finally {
    replay.dispose();
  }
  return found;
}

/** Fills in what was not measured: from the next width above that was, or the last one. */
function extrapolate(candidates: Candidate[]): void {
  const measured = candidates.filter(({ cost }) => !Number.isNaN(cost));
  for (const candidate of candidates) {
    if (!Number.isNaN(candidate.cost)) continue;
    const above = measured.find(({ grid }) => grid.bits > candidate.grid.bits);
    candidate.cost = costAfter(above ?? measured.at(-1)!, candidate);
  }
}

/** What a width costs that was not measured, in proportion to the squared error of the layer's outputs. */
function costAfter(known: Candidate, candidate: Candidate): number {
  return known.outputError === 0 ? known.cost : (known.cost * candidate.outputError) / known.outputError;
}

// As many numbers of a layer's outputs are compared.
const outputsAtOnce = 2 ** 23;
// How a layer is rounded is not tried on the whole network where it disturbs it by less than this share of the layers' mean.
const unheard = 0.5;

/**
 * Rounds the layers in the order in which they run and leaves them so in the model: each for the inputs that the layers
 * before it now give, by GPTQ or to nearest, with or without bias correction: of the two ways that keep its outputs closest
 * to what they were, the one that disturbs the predictions least, both on held-out images.
 */
export async function placeLayers(
  work: Work,
  chosen: Record<string, Candidate>,
  told: Told,
): Promise<Record<string, Placed>> {
  const { model, fit, held, kernels, shared, weights, biases, options } = work;
  setWeights(model, weights);
  setBiases(model, biases);
  const placed: Record<string, Placed> = {};
  // A layer that is used again later may come between any two.
  const changed = (k: number): string[] => {
    const near = [kernels[k], kernels[k - 1] ?? kernels[k]].map(({ layerName }) => layerName);
    return kernels
      .slice(0, k)
      .filter(({ layerName }) => shared.size > 0 || near.includes(layerName))
      .map(({ name }) => name);
  };
  const all = Object.values(chosen);
  const little = (unheard * all.reduce((sum, { cost }) => sum + cost, 0)) / all.length;
  const learns = work.gptq === "try" || work.biasCorrection === "try";
  const before = new Replay(model, held, options);
  const now = new Replay(model, held, options);
  const learning = new Replay(model, fit, options);
  const floats = new Replay(model, fit, options);
  try {
    const reference = await before.outputs();
    for (const [k, kernel] of kernels.entries()) {
      const { name, layerName } = kernel;
      const seen = learns && hasStatistics(kernel);
      const correctable = seen && work.biasCorrection === "try" && biases[name] !== undefined;
      const { grid, cost } = chosen[name];
      const nearest = quantizeOn(grid, weights[name]);
      const choices: Placed[] = [
        { quantized: nearest, rounding: "nearest", biasCorrected: false, bias: biases[name] },
      ];
      // The network as it was, for a moment: the layer before and what lies between it and this one have not run there yet.
      const rounded = changed(k);
      setWeights(model, pick(weights, rounded));
      setBiases(model, pick(biases, rounded));
      await before.advance(layerName);
      const expected = seen ? await before.layerOutputs(outputsAtOnce) : undefined;
      let mean: Float64Array | undefined;
      if (correctable) {
        await floats.advance(layerName);
        mean = await meanOf(floats, kernel);
      }
      putPlaced(model, pick(placed, rounded));
      await now.advance(layerName);
      if (seen) {
        await learning.advance(layerName);
        const statistics = (await momentsOf(work, learning, kernel, fit))!;
        if (work.gptq === "try")
          choices.push({
            ...choices[0],
            quantized: gptq(weights[name], grid, statistics),
            rounding: "gptq",
          });
        if (mean)
          for (const choice of [...choices]) {
            const shift = outputShift(weights[name], dequantize(choice.quantized), mean, statistics.mean);
            choices.push({
              ...choice,
              biasCorrected: true,
              bias: mapFloats(biases[name], (b, j) => b - shift[j]),
            });
          }
      }
      // A run of one layer costs little, a run of all that follow much more: it is for the two that lead, where it matters.
      const leading = expected
        ? await best(choices, cost < little ? 1 : 2, (choice) =>
            errorWith(now, model, name, choice, expected),
          )
        : choices;
      [placed[name]] = await best(leading, 1, async (choice) => {
        putPlaced(model, { [name]: choice });
        return divergenceOf(work.outputs, reference, await now.outputs());
      });
      putPlaced(model, { [name]: placed[name] });
      told((k + 1) / kernels.length, `${name} rounded`);
    }
  } finally {
    for (const replay of [before, now, learning, floats]) replay.dispose();
  }
  return placed;
}

function pick<T>(record: Record<string, T>, names: string[]): Record<string, T> {
  return Object.fromEntries(
    names.filter((name) => record[name] !== undefined).map((name) => [name, record[name]]),
  );
}

/** The `count` of some choices that cost least, the first of equals first; as few choices cost nothing to find. */
async function best<T>(choices: T[], count: number, costOf: (choice: T) => Promise<number>): Promise<T[]> {
  if (choices.length <= count) return choices;
  const costs = new Map<T, number>();
  for (const choice of choices) costs.set(choice, await costOf(choice));
  return choices.toSorted((a, b) => costs.get(a)! - costs.get(b)!).slice(0, count);
}

/** Squared error of a layer's outputs as it would be placed. */
async function errorWith(
  replay: Replay,
  model: tf.LayersModel,
  name: string,
  choice: Placed,
  expected: Float32Array,
): Promise<number> {
  putPlaced(model, { [name]: choice });
  const found = await replay.layerOutputs(outputsAtOnce);
  let sum = 0;
  for (let i = 0; i < found.length; i++) sum += (found[i] - expected[i]) ** 2;
  return sum;
}

/**
 * What rounding does to each layer's outputs, as a share of their squares, on held-out images and for the inputs that the
 * network had before: it must be in the model as it was.
 */
export async function relativeErrors(
  work: Work,
  placed: Record<string, Placed>,
  told: (share: number) => void,
): Promise<Record<string, number>> {
  const { model, held, kernels, weights } = work;
  const replay = new Replay(model, held, work.options);
  const errors: Record<string, number> = {};
  try {
    for (const [k, kernel] of kernels.entries()) {
      const { name } = kernel;
      await replay.advance(kernel.layerName);
      const statistics = await momentsOf(work, replay, kernel, held);
      const errorOf = errorsOf(weights[name], statistics);
      const whole = errorOf(new Float32Array(weights[name].length));
      const error = errorOf(dequantize(placed[name].quantized));
      errors[name] = whole === 0 ? 0 : error / whole;
      told((k + 1) / kernels.length);
    }
  } finally {
    replay.dispose();
  }
  return errors;
}

const rowsAtMost = 4096;

/** The moments of what goes into a layer that has been gone on to; undefined for one that GPTQ cannot treat. */
async function momentsOf(
  { model, shared, options }: Work,
  replay: Replay,
  kernel: Kernel,
  split: Samples,
): Promise<InputStatistics | undefined> {
  if (!hasStatistics(kernel)) return undefined;
  const { name, layerName } = kernel;
  // The inputs of all its uses together.
  if (shared.has(layerName))
    return (await inputStatisticsOf(model, split, { ...options, rows: rowsAtMost, layers: [name] }))[name];
  const statistics = emptyStatistics(elements(kernel.shape.slice(0, -1)));
  for await (const rows of rowsInto(replay, kernel, split)) addSamples(statistics, rows);
  return statistics;
}

async function meanOf(replay: Replay, kernel: Kernel): Promise<Float64Array> {
  const size = elements(kernel.shape.slice(0, -1));
  const mean = new Float64Array(size);
  let count = 0;
  for await (const rows of rowsInto(replay, kernel)) {
    for (let i = 0; i < rows.length; i += size) for (let j = 0; j < size; j++) mean[j] += rows[i + j];
    count += rows.length / Math.max(1, size);
  }
  return count === 0 ? mean : mean.map((sum) => sum / count);
}

/** What a layer's kernel multiplies, batch by batch; of a split, about {@link rowsAtMost} rows, evenly. */
async function* rowsInto(
  replay: Replay,
  { layer, shape }: Kernel,
  split?: Samples,
): AsyncGenerator<Float32Array> {
  const size = elements(shape.slice(0, -1));
  for await (const { values, shape: input } of replay.inputs()) {
    const rows = rowsOf(layer, values, input);
    yield split ? evenRows(rows, size, Math.ceil((rowsAtMost * input[0]) / split.count)) : rows;
  }
}

// So many of a layer's outputs tell grids apart.
const outputsCompared = 64;

/** Of per tensor and per channel, by max and by MSE: the grid with the least error, rounding to nearest. */
function bestGrid(
  weights: Float32Array,
  { shape, axis, span }: Kernel,
  errorOf: (after: Float32Array) => number,
  bits: number,
): Omit<Candidate, "cost"> {
  const tried = [{}, { axis, span }].map((channels) => {
    const [byMax, byMse] = (["max", "mse"] as const).map((range) => {
      const grid = chooseGrid(weights, { bits, range, shape, ...channels });
      return { range, grid, outputError: errorOf(roundOn(grid, weights)) };
    });
    return byMax.outputError <= byMse.outputError ? byMax : byMse;
  });
  // One scale a channel costs a few bytes: it must earn them with a tenth less error.
  const best = tried[1].outputError < 0.9 * tried[0].outputError ? tried[1] : tried[0];
  return { ...best, bytes: quantizedBytes(best.grid) };
}

/** Squared error of a layer's outputs, or of its weights where its inputs are not known, by what becomes of these. */
function errorsOf(
  before: Float32Array,
  statistics: InputStatistics | undefined,
  columns?: number,
): (after: Float32Array) => number {
  return statistics
    ? outputErrors(before, statistics, columns)
    : (after) => quantizationError(before, after).mse * before.length;
}
