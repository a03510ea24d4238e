// §3.2 applied to models: quantized weights, simulated quantized activations, quantization-aware training, and a
// network that runs in integers. The algorithms are slimlab/quantization's; this file puts them where a model's weights
// and activations are.

import type { Samples } from "../datasets/index.ts";
import { activationPlaces, consumersOf, findKind, type GridUse } from "../graph/index.ts";
import {
  type ActivationGrid,
  binarize,
  binaryThreshold,
  type Clustered,
  type ClusterOptions,
  chooseGrid,
  clusteredBytes,
  clusterWeights,
  codeRange,
  codesOf,
  createObserver,
  dequantize,
  floatBelow,
  type GridOptions,
  insideGrid,
  isSignGrid,
  type ObserverOptions,
  type QuantizationError,
  type Quantized,
  quantizationError,
  quantize,
  quantizedBytes,
  type RoundingOptions,
  restoreClusters,
  restoreThresholded,
  roundEven,
  roundOn,
  straightThrough,
  type Threshold,
  ternarize,
  ternaryThreshold,
} from "../quantization/index.ts";
import { checkNumber, checkOneOf } from "../util/check.ts";
import { type HalfFormat, halfFormats, halves } from "../util/half.ts";
import { joinFloats } from "../util/join.ts";
import { elements } from "../util/shape.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, feedOf, inputNames } from "./batches.ts";
import { kindOf, layersOf, networkOf } from "./graph.ts";
import { type Inputs, logitsOf, outputsOf } from "./logits.ts";
import { changeOutput, withProbes } from "./probe.ts";
import { tf } from "./tf.ts";
import { type History, type TrainOptions, train } from "./train.ts";
import {
  finiteWeightsOf,
  type Kernel,
  kernelsOf,
  replaceKernel,
  setWeights,
  shapesOf,
  skippedLayers,
  weightsOf,
} from "./weights.ts";

type Layer = tf.layers.Layer;

/** How a layer's weights are quantized: options of `quantize` without shape and axis, which the layer gives. */
export interface WeightOptions extends Omit<GridOptions, "shape" | "axis" | "span">, RoundingOptions {
  /** One scale for each output of a layer, and with `group` for each so many of its weights; default true. */
  perChannel?: boolean;
}

/** Which kernels stay floats. */
export interface KeepFloat {
  /** These, by name. */
  layers?: readonly string[];
  /**
   * Those of fewer weights: they cost little, and often much accuracy. Where `quantizeWeights` and what simulates it give a
   * kernel 8 bits, those below 1,024 by default, as TFLite does, but for layers that are named; else none. 0 for none.
   */
  below?: number;
}

/** Weight options, and exceptions by layer name. */
export interface ModelWeightOptions extends WeightOptions {
  layers?: Record<string, Partial<WeightOptions>>;
  /** Kernels that stay floats; by default those of 8 bits that have fewer than 1,024 weights and no entry in `layers`. */
  keepFloat?: KeepFloat;
}

/** What became of a model's weights. */
export interface QuantizedWeights {
  /** Codes and grids, by layer name. */
  quantized: Record<string, Quantized>;
  /** What each layer lost. */
  errors: Record<string, QuantizationError>;
  /** Bytes of all kernels in storage, packed; what stays float, or is skipped, has 4 bytes a number. */
  bytes: number;
  /** Kernels that stayed floats. */
  kept: string[];
  /** Layers with weights that no kind in the table covers: their weights stayed as they were. */
  skipped: string[];
}

function gridOptions(
  { perChannel = true, ...options }: WeightOptions,
  { shape, axis, span }: Kernel,
): GridOptions & RoundingOptions {
  return { ...options, shape, ...(perChannel ? { axis, span } : {}) };
}

function optionsFor({ layers, keepFloat: _, ...options }: ModelWeightOptions, name: string): WeightOptions {
  return { ...options, ...layers?.[name] };
}

/** The kernels of a model that are compressed: all but those that stay floats. */
export function compressedKernels(
  model: tf.LayersModel,
  { layers = [], below = 0 }: KeepFloat = {},
): Kernel[] {
  const all = kernelsOf(model);
  for (const name of layers)
    checkOneOf(
      "layer in keepFloat",
      name,
      all.map((kernel) => kernel.name),
    );
  checkNumber("keepFloat.below", below, 0);
  return all.filter(({ name, shape }) => !layers.includes(name) && elements(shape) >= below);
}

/** The kernels that weight options quantize. */
function quantizedKernels(model: tf.LayersModel, options: ModelWeightOptions): Kernel[] {
  const { layers = {}, keepFloat } = options;
  for (const name of Object.keys(layers)) checkOneOf("layer", name, Object.keys(shapesOf(model)));
  const kernels = compressedKernels(model, keepFloat);
  if (keepFloat?.below !== undefined) return kernels;
  return kernels.filter(
    ({ name, shape }) => Object.hasOwn(layers, name) || elements(shape) >= floatBelow(options.bits),
  );
}

/** What is left of a model's kernels as floats: their names, the layers of no known kind, and the bytes of both. */
export function floatsLeft(model: tf.LayersModel, compressed: Record<string, unknown>) {
  const kept = kernelsOf(model).filter(({ name }) => !Object.hasOwn(compressed, name));
  const skipped = skippedLayers(model);
  const layers = layersOf(model);
  const numbers =
    kept.reduce((sum, { shape }) => sum + elements(shape), 0) +
    skipped.reduce((sum, name) => sum + layers.get(name)!.countParams(), 0);
  return { kept: kept.map(({ name }) => name), skipped, bytes: 4 * numbers };
}

/**
 * Quantizes a model's kernels to fixed point and puts what the codes stand for back into the model (§3.2.1). Biases
 * stay as they are.
 *
 * @throws RangeError for layers that the model does not have and for options out of range
 */
export function quantizeWeights(model: tf.LayersModel, options: ModelWeightOptions): QuantizedWeights {
  const weights = finiteWeightsOf(model);
  const quantized: Record<string, Quantized> = {};
  for (const kernel of quantizedKernels(model, options)) {
    const { name } = kernel;
    const own = gridOptions(optionsFor(options, name), kernel);
    checkRoomForZeros(name, weights[name], own);
    quantized[name] = quantize(weights[name], own);
  }
  return setQuantized(model, quantized);
}

/** Throws where a kernel is pruned, and one bit would bring back all of it: more zeros than chance leaves are pruned ones. */
function checkRoomForZeros(
  name: string,
  weights: Float32Array,
  { bits, scheme = "symmetric", signed = true }: GridOptions,
): void {
  if (!isSignGrid({ bits, scheme, signed })) return;
  let zeros = 0;
  for (let i = 0; i < weights.length; i++) if (weights[i] === 0) zeros++;
  if (zeros > 0.01 * weights.length)
    throw new RangeError(
      `bits of ${name} must be at least 2, got 1: ${((100 * zeros) / weights.length).toFixed(0)} % of its weights are 0, and one bit holds −1 and +1 only`,
    );
}

/** What became of a model's weights in floats of 16 bits. */
export interface RoundedWeights {
  /** By kernel; for `formats` of `saveSlim`. */
  formats: Record<string, HalfFormat>;
  errors: Record<string, QuantizationError>;
  /** Bytes of all kernels; what stays float, or is skipped, has 4 bytes a number. */
  bytes: number;
  kept: string[];
  skipped: string[];
}

/**
 * Rounds a model's kernels to floats of 16 bits, to the nearest, in place: half the bytes, next to no loss, and no scale or
 * calibration.
 *
 * @throws RangeError for a weight that is too large for float16: bfloat16 holds it
 */
export function roundWeights(
  model: tf.LayersModel,
  format: HalfFormat,
  keepFloat?: KeepFloat,
): RoundedWeights {
  checkOneOf("format", format, halfFormats);
  const before = weightsOf(model);
  const names = compressedKernels(model, keepFloat).map(({ name }) => name);
  const rounded = Object.fromEntries(names.map((name) => [name, roundedTo(format, name, before[name])]));
  setWeights(model, rounded);
  const { kept, skipped, bytes } = floatsLeft(model, rounded);
  return {
    formats: Object.fromEntries(names.map((name) => [name, format])),
    errors: Object.fromEntries(names.map((name) => [name, quantizationError(before[name], rounded[name])])),
    bytes: names.reduce((sum, name) => sum + 2 * before[name].length, bytes),
    kept,
    skipped,
  };
}

/** A kernel's weights in floats of 16 bits. */
export function roundedTo(format: HalfFormat, name: string, weights: Float32Array): Float32Array {
  const { to, from } = halves[format];
  const rounded = from(to(weights));
  const wrong = rounded.findIndex((value) => !Number.isFinite(value));
  if (wrong >= 0)
    throw new RangeError(
      `weights of ${name} must fit into ${format}, got ${weights[wrong]} at index ${wrong}`,
    );
  return rounded;
}

/** Puts quantized kernels into a model, as the values that their codes stand for. */
export function setQuantized(model: tf.LayersModel, quantized: Record<string, Quantized>): QuantizedWeights {
  const before = weightsOf(model);
  const restored = Object.fromEntries(Object.entries(quantized).map(([name, q]) => [name, dequantize(q)]));
  setWeights(model, restored);
  const { kept, skipped, bytes } = floatsLeft(model, quantized);
  return {
    quantized,
    errors: Object.fromEntries(
      Object.keys(quantized).map((name) => [name, quantizationError(before[name], restored[name])]),
    ),
    kept,
    skipped,
    bytes: Object.values(quantized).reduce((sum, q) => sum + quantizedBytes(q), bytes),
  };
}

/** What clustering made of a model's weights. */
export interface ClusteredWeights {
  clustered: Record<string, Clustered>;
  errors: Record<string, QuantizationError>;
  /** Bytes of all kernels; what stays float, or is skipped, has 4 bytes a number. */
  bytes: number;
  /** Kernels that stayed floats. */
  kept: string[];
  /** Layers with weights that no kind in the table covers: their weights stayed as they were. */
  skipped: string[];
}

/**
 * Clusters each kernel of a model and puts the centroids in place of the weights (§3.2.1, item 2).
 *
 * @param options of `clusterWeights`, with exceptions and masks by layer name
 */
export function clusterModel(
  model: tf.LayersModel,
  options: Omit<ClusterOptions, "mask"> & {
    layers?: Record<string, Partial<ClusterOptions>>;
    masks?: Record<string, Uint8Array>;
    keepFloat?: KeepFloat;
  },
): ClusteredWeights {
  const { layers = {}, masks = {}, keepFloat, ...shared } = options;
  const weights = finiteWeightsOf(model);
  for (const name of [...Object.keys(layers), ...Object.keys(masks)]) {
    checkOneOf("layer", name, Object.keys(weights));
  }
  const clustered: Record<string, Clustered> = {};
  const restored: Record<string, Float32Array> = {};
  for (const { name } of compressedKernels(model, keepFloat)) {
    clustered[name] = clusterWeights(weights[name], { ...shared, mask: masks[name], ...layers[name] });
    restored[name] = restoreClusters(clustered[name]);
  }
  setWeights(model, restored);
  const { kept, skipped, bytes } = floatsLeft(model, clustered);
  return {
    clustered,
    errors: Object.fromEntries(
      Object.keys(clustered).map((name) => [name, quantizationError(weights[name], restored[name])]),
    ),
    kept,
    skipped,
    bytes: Object.values(clustered).reduce((sum, c) => sum + clusteredBytes(c), bytes),
  };
}

/** How the values at one place are quantized: fixed point, {0, 1} or {−1, 0, 1} times a scale. */
export type ActivationQuantizer =
  | ({ kind: "fixed" } & ActivationGrid)
  | ({ kind: "binary" } & Threshold)
  | ({ kind: "ternary" } & Threshold);

/** The kinds of quantizers. */
export const activationKinds = [
  "fixed",
  "binary",
  "ternary",
] as const satisfies ActivationQuantizer["kind"][];

/** Quantizers for a model's inputs and for the outputs of its layers, by name; a layer without one keeps its floats. */
export interface ActivationQuantizers {
  input?: ActivationQuantizer;
  /** Those of a network with several inputs, by the input's name. */
  inputs?: Record<string, ActivationQuantizer>;
  layers: Record<string, ActivationQuantizer>;
}

/** How activations are calibrated. */
export interface CalibrateOptions extends Partial<ObserverOptions> {
  /** Default `fixed`, with 8 bits. For `binary` and `ternary` the thresholds of least squared error. */
  kind?: ActivationQuantizer["kind"];
  /**
   * The layers whose outputs are quantized; default: those whose outputs an engine stores. A batch normalisation and a ReLU
   * that alone follow a layer are one with it, so the grid is behind them; sums and concatenations have one of their own;
   * the logits have none.
   */
  layers?: string[];
  /** Whether inputs get a quantizer too (always fixed point), but for tokens, which are no amounts; default true. */
  input?: boolean;
  /** Images at a time; by default what the model's activations leave room for, up to 128. */
  batchSize?: number;
}

/**
 * Chooses quantizers for activations by showing the model calibration data (§3.2.2).
 *
 * @param data a few hundred samples are usually enough
 */
export async function calibrateActivations(
  model: tf.LayersModel,
  data: Samples,
  options: CalibrateOptions = {},
): Promise<ActivationQuantizers> {
  const { kind = "fixed", bits = 8, batchSize: given, input = true, layers, ...observing } = options;
  checkOneOf("kind", kind, activationKinds);
  const batchSize = batchSizeFor(model, given, 128);
  const feed = feedOf(model, data);
  const names = layers ?? activationPlaces(networkOf(model).graph);
  const all = layersOf(model);
  for (const name of names) checkOneOf("layer", name, [...all.keys()]);
  const watched = new Map(names.map((name) => [name, all.get(name)!]));
  await ensureBackend();
  const observers = new Map(names.map((name) => [name, createObserver({ ...observing, bits })]));
  const seenInputs = (input ? amountsOf(model) : []).map((one) => ({
    ...one,
    observer: createObserver({ ...observing, bits: kind === "fixed" ? bits : 8 }),
  }));
  // Thresholds need the values themselves: an even sample of them, the same share of every batch.
  const samples = new Map(names.map((name) => [name, [] as Float32Array[]]));
  for (let from = 0; from < data.count; from += batchSize) {
    tf.tidy(() => {
      const { x } = feed.batch(from, Math.min(data.count, from + batchSize));
      const tensors = [x].flat();
      for (const { place, observer } of seenInputs)
        observer.observe(tensors[place].dataSync() as Float32Array);
      const watch = (name: string, _input: tf.Tensor, output: tf.Tensor): void => {
        const values = output.dataSync() as Float32Array;
        const step = Math.max(1, Math.ceil(((values.length / batchSize) * data.count) / 1e6));
        if (kind === "fixed") observers.get(name)!.observe(values);
        else samples.get(name)!.push(values.filter((_, i) => i % step === 0));
      };
      withProbes(watched, "output", {}, watch, () => outputsOf(model, x));
    });
    await nextTurn();
  }
  const fixed = (observer: ReturnType<typeof createObserver>): ActivationQuantizer => {
    const grid = observer.grid();
    return { kind: "fixed", scale: grid.scale, zeroPoint: grid.zeroPoint, ...codeRange(grid) };
  };
  const result: ActivationQuantizers = { layers: {} };
  if (model.inputs.length === 1) {
    if (seenInputs.length > 0) result.input = fixed(seenInputs[0].observer);
  } else if (seenInputs.length > 0)
    result.inputs = Object.fromEntries(seenInputs.map(({ name, observer }) => [name, fixed(observer)]));
  for (const name of names) {
    if (kind === "fixed") {
      result.layers[name] = fixed(observers.get(name)!);
      continue;
    }
    const all = joinFloats(samples.get(name)!);
    result.layers[name] = { kind, ...(kind === "binary" ? binaryThreshold(all) : ternaryThreshold(all)) };
  }
  return result;
}

/** The inputs of a model that are amounts, and no tokens, which an embedding looks up. */
function amountsOf(model: tf.LayersModel): { name: string; place: number }[] {
  const { graph } = networkOf(model);
  const consumers = consumersOf(graph);
  return inputNames(model).flatMap((name, place) => {
    const readers = consumers.get(graph.inputs[place]);
    return readers?.some(({ kind }) => findKind(kind)?.product === "lookup") ? [] : [{ name, place }];
  });
}

/** What the values, or means of levels, become, and the lowest and the highest level there are. */
function applyQuantizer(
  values: Float32Array,
  quantizer: ActivationQuantizer,
  mean: boolean,
): { values: Float32Array; lowest: number; highest: number } {
  if (quantizer.kind === "fixed") {
    const { scale, zeroPoint, low, high } = quantizer;
    const bottom = low - zeroPoint;
    const top = high - zeroPoint;
    const restored = new Float32Array(values.length);
    if (mean)
      for (let i = 0; i < values.length; i++) {
        // A mean of four levels often lies halfway between two. In float32 it lies there but for noise, so 16 binary places
        // are kept and the tie is a tie, as it is in integers.
        const steps = Math.round((values[i] / scale) * 65536) / 65536;
        restored[i] = Math.min(top, Math.max(bottom, roundEven(steps))) * scale;
      }
    else codesOf(values, [scale], [zeroPoint], { low, high }, restored);
    return { values: restored, lowest: bottom * scale, highest: top * scale };
  }
  const codes = quantizer.kind === "binary" ? binarize(values, quantizer) : ternarize(values, quantizer);
  const lowest = quantizer.kind === "binary" ? 0 : -quantizer.scale;
  return { values: restoreThresholded(codes), lowest, highest: quantizer.scale };
}

/**
 * A tensor through a quantizer with the straight-through gradient: forwards what the codes stand for, backwards the
 * gradient unchanged where `passes` is 1 and nothing where it is 0.
 */
function throughQuantizer(
  x: tf.Tensor,
  quantizer: (values: Float32Array) => { values: Float32Array; passes: Float32Array },
): tf.Tensor {
  return tf.customGrad((input, save) => {
    const tensor = input as tf.Tensor;
    const { values, passes } = quantizer(tensor.dataSync() as Float32Array);
    (save as tf.GradSaveFunc)([tf.tensor(passes, tensor.shape)]);
    return {
      value: tf.tensor(values, tensor.shape),
      gradFunc: (dy: tf.Tensor, saved: tf.Tensor[]) => tf.mul(dy, saved[0]),
    };
  })(x);
}

const ones = (length: number): Float32Array => new Float32Array(length).fill(1);

/** A weight tensor through fixed point; the gradient stops where the range clips. */
function fakeQuantizeWeights(x: tf.Tensor, options: GridOptions & RoundingOptions): tf.Tensor {
  return throughQuantizer(x, (values) => {
    const grid = chooseGrid(values, options);
    const rounded =
      options.rounding === "stochastic" ? dequantize(quantize(values, options)) : roundOn(grid, values);
    // A hair wider: the largest weight is on the last level but for the rounding of the scale.
    return { values: rounded, passes: insideGrid(grid, values, 1e-4) ?? ones(values.length) };
  });
}

/** What is simulated in a forward pass. */
export interface SimulationOptions {
  /** Quantizes kernels on the way, as they are at that moment; without it they are used as they are. */
  weights?: ModelWeightOptions;
  /** Quantizes the input and the outputs of layers; average pooling rounds to the grid of what it reads. */
  activations?: ActivationQuantizers;
}

/**
 * A forward pass that simulates quantization in floating point, for `train` (quantization-aware training with
 * straight-through estimators) and for `evaluate` (§3.2).
 *
 * @returns from images to logits, to be passed as `forward`
 */
export function quantizedForward(
  model: tf.LayersModel,
  { weights, activations }: SimulationOptions,
): (x: Inputs) => tf.Tensor2D {
  const layers = layersOf(model);
  const kernels = weights ? quantizedKernels(model, weights) : [];
  for (const name of Object.keys(activations?.layers ?? {})) checkOneOf("layer", name, [...layers.keys()]);
  const inputs = inputNames(model);
  for (const name of Object.keys(activations?.inputs ?? {})) checkOneOf("input", name, inputs);
  const uses = new Map([...layers].map(([name, layer]) => [name, gridUseOf(layer)]));
  const quantizeActivations = (x: tf.Tensor, quantizer: ActivationQuantizer, mean = false): tf.Tensor =>
    throughQuantizer(x, (values) => {
      const { values: restored, lowest, highest } = applyQuantizer(values, quantizer, mean);
      return { values: restored, passes: straightThrough(ones(values.length), values, lowest, highest) };
    });
  return (x) => {
    // The grid that tensors lie on, by their id: what averages values must round to the grid of what it read.
    const grids = new Map<number, ActivationQuantizer>();
    const undo: (() => void)[] = [];
    try {
      for (const kernel of kernels) {
        const options = gridOptions(optionsFor(weights!, kernel.name), kernel);
        undo.push(replaceKernel(kernel, (value) => fakeQuantizeWeights(value, options)));
      }
      for (const [name, layer] of activations ? layers : []) {
        const use = uses.get(name)!;
        const averages = use === "means";
        undo.push(
          changeOutput(layer, (output, sources) => {
            const given = activations!.layers[name];
            const grid = given ?? (use !== "new" ? grids.get(sources[0].id) : undefined);
            if (!grid) return output;
            // A layer's output that is its input would be copied later, and its grid lost.
            const placed =
              given || averages
                ? quantizeActivations(output, grid, averages)
                : sources.includes(output)
                  ? output.clone()
                  : output;
            grids.set(placed.id, grid);
            return placed;
          }),
        );
      }
      const placed = [x].flat().map((tensor, i) => {
        const grid = activations?.inputs?.[inputs[i]] ?? activations?.input;
        if (!grid) return tensor;
        const input = quantizeActivations(tensor, grid);
        grids.set(input.id, grid);
        return input;
      });
      return logitsOf(model, placed.length === 1 ? placed[0] : placed);
    } finally {
      for (const step of undo.reverse()) step();
    }
  };
}

/** Where a layer's outputs lie when its inputs are on a grid; on a new one where no kind says. */
function gridUseOf(layer: Layer): GridUse {
  const view = {
    name: layer.name,
    kind: kindOf(layer),
    attributes: layer.getConfig(),
    inputs: [],
    output: [],
    weights: {},
  };
  return findKind(view.kind)?.grid(view) ?? "new";
}

/**
 * Quantization-aware training (§3.2; Jacob et al. 2018): trains floating-point weights through simulated quantization,
 * then quantizes them.
 *
 * @param simulation what to simulate; activations calibrated before
 * @param options of `train`
 */
export async function trainQuantized(
  model: tf.LayersModel,
  data: Samples,
  simulation: SimulationOptions & { weights: ModelWeightOptions },
  options: Omit<TrainOptions, "forward"> = {},
): Promise<QuantizedWeights & { history: History }> {
  const history = await train(model, data, { ...options, forward: quantizedForward(model, simulation) });
  return { ...quantizeWeights(model, simulation.weights), history };
}
