// §3.2.1, item 3: how automatic quantization rounds the layers, one after the other.

import { dequantize, gptq, outputShift, type Quantized, quantizeOn } from "../quantization/index.ts";
import { mapFloats } from "../util/floats.ts";
import { elements } from "../util/shape.ts";
import type { Candidate } from "./auto-candidates.ts";
import { errorsOf, momentsOf, rowsInto, type Told, type Work } from "./auto-work.ts";
import { hasStatistics } from "./input-statistics.ts";
import { Replay } from "./replay.ts";
import { divergenceOf } from "./tasks.ts";
import type { tf } from "./tf.ts";
import { type Kernel, setBiases, setWeights } from "./weights.ts";

/** A layer as it was put into the model. */
export interface Placed {
  quantized: Quantized;
  rounding: "nearest" | "gptq";
  biasCorrected: boolean;
  /** Undefined where the layer has none. */
  bias: Float32Array | undefined;
}

/** Puts rounded layers into a model. */
export function putPlaced(model: tf.LayersModel, placed: Record<string, Placed>): void {
  setWeights(
    model,
    Object.fromEntries(Object.entries(placed).map(([name, { quantized }]) => [name, dequantize(quantized)])),
  );
  for (const [name, { bias }] of Object.entries(placed)) if (bias) setBiases(model, { [name]: bias });
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
