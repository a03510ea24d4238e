// §3.2.1, item 3: automatic quantization. Given a model, calibration images and a budget, it measures what each layer
// can bear, spends the bytes where they help most, repairs what it can, and says why.
//
// Equalization and bias correction: Nagel et al., "Data-free quantization", 2019. Rounding: GPTQ, Frantar et al., 2022.
// Bits a layer by measured sensitivity: Dong et al., "HAWQ", 2019, with the divergence of the outputs in place of
// curvature.

import { type Samples, viewOf } from "../datasets/index.ts";
import { paretoAllocations, type Quantized, quantizedBytes } from "../quantization/index.ts";
import { checkInteger, checkNumber, checkOneOf } from "../util/check.ts";
import { progress } from "../util/progress.ts";
import { type Candidate, candidatesOf, confirmPicks } from "./auto-candidates.ts";
import { type Placed, placeLayers, putPlaced, relativeErrors } from "./auto-layers.ts";
import { type Attempt, attempts, inRunningOrder, type Work } from "./auto-work.ts";
import { feedOf } from "./batches.ts";
import { type EqualizedPair, equalizeModel } from "./equalize.ts";
import { evaluate, rawOutputs } from "./evaluate.ts";
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
import { divergenceOf, type Evaluation } from "./tasks.ts";
import type { tf } from "./tf.ts";
import type { TrainOptions } from "./train.ts";
import { biasesOf, setBiases, setWeights, weightsOf } from "./weights.ts";

/** What automatic quantization may spend: so many bytes for all kernels, or the bytes that an accuracy floor needs. */
export type QuantizationBudget =
  | { bytes: number; accuracyFloor?: undefined }
  | { accuracyFloor: number; bytes?: undefined };

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
  validation?: Samples;
  /** Kernels that stay floats; none by default. Their bytes count towards the budget. */
  keepFloat?: KeepFloat;
  /** Images at a time; by default what the model's activations leave room for. */
  batchSize?: number;
  /** Shows a progress bar on standard error. */
  progress?: boolean;
  /** Told how far the whole is, 0 to 1. */
  onProgress?: (share: number) => void;
  /** Ends the work; the model is then as before. */
  signal?: AbortSignal;
  /** Trains through quantization at the end, on these images, with these options of `train`. */
  fineTune?: { data: Samples; options?: Omit<TrainOptions, "forward"> };
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
  /**
   * Divergence of the model's predictions with only this layer quantized, in nats an image; below 0.05 and above 0.5 it is
   * taken to grow with the error of the layer's outputs, from the nearest width at which it was measured.
   */
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
  /** What equalization has divided the channels of layers' outputs by, by layer: `scales` of `compareModels`. */
  scales: Record<string, number[]>;
  /** The steps that were taken, in words. */
  log: string[];
}

/**
 * Quantizes a model automatically, in place (§3.2.1, item 3):
 * 1. equalizes neighbouring layers, if that helps;
 * 2. chooses for each layer and width the granularity and the range with the least output error;
 * 3. measures how much each layer disturbs the predictions, from the middle width outwards as far as it matters;
 * 4. finds the widths that disturb them least within the budget, exactly, and measures what of that was only expected;
 * 5. rounds the layers one after the other, each for the inputs that the layers before it now give, by GPTQ or to
 *    nearest, with or without bias correction: whichever keeps its outputs closest, and for the layers that matter most,
 *    whichever disturbs the predictions least;
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
  calibration: Samples,
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
  const { outputs } = feedOf(model, calibration);
  checkInteger("the number of calibration images", calibration.count, 3);
  const widths = [...bits].sort((a, b) => a - b);
  const third = Math.floor(calibration.count / 3);
  const fit = viewOf(calibration, third, calibration.count);
  const held = viewOf(calibration, 0, third);
  const log: string[] = [];
  const { batchSize, signal, keepFloat } = options;
  const looking = { batchSize, signal };
  const kernels = compressedKernels(model, keepFloat);
  const bar = options.progress ? progress(`quantizing ${model.name}`, 100) : undefined;
  const progressed = (share: number, what: string) => {
    signal?.throwIfAborted();
    bar?.update(Math.floor(100 * share), what);
    options.onProgress?.(share);
  };
  const before = await evaluate(model, validation, looking);
  const originalWeights = weightsOf(model);
  const originalBiases = biasesOf(model);
  try {
    const pairs = equalization === "try" ? await tryEqualization(model, held, looking, widths[0], log) : [];
    const scales = Object.fromEntries(
      pairs.flatMap(({ layers, factors }) => layers.map((layer) => [layer, [...factors]])),
    );
    const work: Work = {
      model,
      fit,
      held,
      outputs,
      ...inRunningOrder(model, kernels),
      weights: weightsOf(model),
      biases: biasesOf(model),
      widths,
      gptq: second,
      biasCorrection,
      options: looking,
    };
    const { weights, biases } = work;
    const names = kernels.map(({ name }) => name);
    const floats = floatsLeft(model, Object.fromEntries(names.map((name) => [name, true])));
    const candidates = await candidatesOf(work, (share, what) => progressed(share / 2, what));
    const choices = names.map((name) => candidates[name]);
    /** Rounds all layers and leaves the best of what was tried in the model. */
    const place = (picks: number[], told: (share: number) => number): Promise<Record<string, Placed>> => {
      const chosen = Object.fromEntries(names.map((name, i) => [name, choices[i][picks[i]]]));
      return placeLayers(work, chosen, (share, what) => progressed(told(share), what));
    };

    let front = paretoAllocations(choices);
    let picks: number[] = [];
    let placed: Record<string, Placed>;
    if (budget.bytes !== undefined) {
      for (let round = 0; round < roundsAtMost; round++) {
        const fitting = front.filter((allocation) => allocation.bytes + floats.bytes <= budget.bytes);
        if (fitting.length === 0) {
          throw new RangeError(
            `budget.bytes must be at least ${front[0].bytes + floats.bytes} for these widths, got ${budget.bytes}`,
          );
        }
        picks = fitting[fitting.length - 1].picks;
        const byName = Object.fromEntries(names.map((name, i) => [name, picks[i]]));
        if (await confirmPicks(work, candidates, byName)) break;
        front = paretoAllocations(choices);
      }
      placed = await place(picks, (share) => 0.5 + 0.45 * share);
      log.push(
        `${front.length} allocations are on the front of bytes against divergence; the best within ${budget.bytes} bytes was taken`,
      );
    } else {
      // Accuracy grows along the front but for noise: halve, and believe only what was measured.
      const most = 2 + Math.ceil(Math.log2(Math.max(1, front.length)));
      let tried = 0;
      const measured = async (index: number) => {
        const result = await place(front[index].picks, (share) => 0.5 + (0.45 * (tried + share)) / most);
        tried++;
        return { index, placed: result, accuracy: (await evaluate(model, validation, looking)).accuracy };
      };
      let best = await measured(front.length - 1);
      if (best.accuracy < budget.accuracyFloor) {
        throw new RangeError(
          `budget.accuracyFloor must be at most ${best.accuracy} for these widths on these images, got ${budget.accuracyFloor}`,
        );
      }
      let low = -1;
      while (best.index - low > 1) {
        const next = await measured((low + best.index) >> 1);
        if (next.accuracy >= budget.accuracyFloor) best = next;
        else low = next.index;
      }
      picks = front[best.index].picks;
      placed = best.placed;
      putPlaced(model, placed);
      log.push(
        `${tried} of ${front.length} allocations on the front were measured; the smallest with accuracy ${budget.accuracyFloor} was taken`,
      );
    }

    // What rounding does to a layer's outputs is told of the inputs that the network had before.
    setWeights(model, weights);
    setBiases(model, biases);
    const errors = await relativeErrors(work, placed, (share) => progressed(0.95 + 0.04 * share, "measured"));
    const rows = names.map((name, i) =>
      describe(name, choices[i], picks[i], placed[name], errors[name], widths),
    );
    putPlaced(model, placed);
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
        { weights: { bits: 8, layers, keepFloat }, activations },
        fineTune.options,
      ));
      log.push(`trained through quantization on ${fineTune.data.count} images`);
    }
    const forward = activations && quantizedForward(model, { activations });
    const after = await evaluate(model, validation, { ...looking, forward });
    const bytes = Object.values(quantized).reduce((sum, q) => sum + quantizedBytes(q), floats.bytes);
    const { kept, skipped } = floats;
    return { rows, quantized, activations, bytes, kept, skipped, before, after, scales, log };
  } catch (error) {
    // A model that could not be quantized as asked stays as it was.
    setWeights(model, originalWeights);
    setBiases(model, originalBiases);
    throw error;
  } finally {
    bar?.end();
  }
}

/** How often widths are chosen anew because what the choice rests on turned out otherwise. */
const roundsAtMost = 6;

/** Equalizes, and takes it back (no pairs then) where per-tensor rounding does not disturb the predictions less with it. */
async function tryEqualization(
  model: tf.LayersModel,
  held: Samples,
  options: { batchSize?: number; signal?: AbortSignal },
  width: number,
  log: string[],
): Promise<EqualizedPair[]> {
  const [weights, biases] = [weightsOf(model), biasesOf(model)];
  const bits = Math.max(2, width);
  const forward = quantizedForward(model, {
    weights: { bits, perChannel: false, range: "mse", keepFloat: { below: 0 } },
  });
  const feed = feedOf(model, held);
  const reference = await rawOutputs(model, feed, options);
  const divergenceNow = async () =>
    divergenceOf(feed.outputs, reference, await rawOutputs(model, feed, { ...options, forward }));
  const plain = await divergenceNow();
  const pairs = equalizeModel(model);
  if (pairs.length === 0) {
    log.push("no neighbouring layers to equalize");
    return [];
  }
  const equalized = await divergenceNow();
  const numbers = `divergence ${equalized.toPrecision(3)} with it, ${plain.toPrecision(3)} without, at ${bits} bits per tensor`;
  if (equalized < plain) {
    log.push(
      `equalized ${pairs.map(({ first, second }) => `${first} with ${second}`).join(", ")}: ${numbers}`,
    );
    return pairs;
  }
  setWeights(model, weights);
  setBiases(model, biases);
  log.push(`equalization taken back: ${numbers}`);
  return [];
}

/** The row of the table for one layer, with the two neighbouring widths as the reason. */
function describe(
  name: string,
  choices: Candidate[],
  pick: number,
  { quantized, rounding, biasCorrected }: Placed,
  outputError: number,
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
  return {
    layer: name,
    weights: quantized.codes.length,
    bits: quantized.bits,
    granularity: quantized.axis === undefined ? "per tensor" : "per channel",
    range,
    rounding,
    biasCorrected,
    bytes,
    outputError,
    divergence: cost,
    why: reasons.join("; "),
  };
}
