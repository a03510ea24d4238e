// §2.3 What each technique does to a model that earlier steps have already worked on.

import type { Split } from "../datasets/index.ts";
import { distill } from "../distillation/index.ts";
import {
  autoQuantize,
  type Compression,
  calibrateActivations,
  cloneModel,
  copyWeights,
  evaluate,
  factorizeModel,
  filterScoresOf,
  firstOf,
  kernelsOf,
  neuronScoresOf,
  pruneGroups,
  restoreWeights,
  scoresOf,
  setWeights,
  shapesOf,
  type TrainOptions,
  type tf,
  train,
  weightsOf,
} from "../nn/index.ts";
import {
  combineMasks,
  endlessPlan,
  iterativePrune,
  keepAtLeast,
  type Masks,
  type PerLayer,
  prunePlan,
  type Scores,
  type Strategy,
  select,
} from "../pruning/index.ts";
import { clusterWeights, type Quantized, quantize, restoreClusters } from "../quantization/index.ts";
import { checkOneOf } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { forwardOf, heldBy, holding, project, type State } from "./hold.ts";
import type {
  Cluster,
  Distill,
  Factorize,
  FineTune,
  PruneIteratively,
  PruneUnits,
  PruneWeights,
  Quantize,
  QuantizeAutomatically,
  Step,
  Technique,
  Training,
} from "./recipe.ts";

/** The images that a recipe works with. */
export interface PipelineData {
  train: Split;
  /** What rows report. */
  test: Split;
  /** What steps decide by (floors, budgets); by default `test`, which then flatters the result a little. */
  validation?: Split;
}

/** What a step may use. */
export interface Context {
  data: PipelineData;
  seed: number;
  /** Loads the teacher of that name; the step disposes of it. */
  teacher: (name: string) => Promise<tf.LayersModel>;
  /** Told the share of the step that is done. */
  progress: (share: number) => void;
  signal?: AbortSignal;
}

/** What a step has to say of itself. */
export interface Outcome {
  note: string;
  /** Tables and histories; JSON. */
  details?: unknown;
}

type Run<T extends Step> = (state: State, step: T, context: Context) => Promise<Outcome>;

/** Applies one step to a state, in place. */
export function applyStep(state: State, step: Step, context: Context): Promise<Outcome> {
  return (techniques[step.technique] as Run<Step>)(state, step, context);
}

const pruneWeights: Run<PruneWeights> = async (state, step, context) => {
  const { sparsity, threshold, strategy = "global" } = step;
  const amount = (sparsity ?? threshold)!;
  const named = typeof amount === "object" ? Object.keys(amount) : undefined;
  const layers = layersOf(state.model, step.layers ?? named);
  for (const layer of layers) amountFor(sparsity === undefined ? "threshold" : "sparsity", amount, layer);
  const scores = await scoresFor(state.model, step, layers, context);
  const name =
    threshold !== undefined
      ? "layerThreshold"
      : strategy === "layer" || typeof amount === "object"
        ? "layerRate"
        : "globalSparsity";
  const before = state.compression.masks;
  const masks = select(scores, { strategy: name, amount } as Strategy, {
    previous: fullMasks(scores, before),
  });
  keepPruned(state, masks);
  return { note: `${layers.length} layers by ${step.score ?? "magnitude"}` };
};

const pruneUnits: Run<PruneUnits> = async (state, step, context) => {
  const { technique, rate, strategy = "layer", images } = step;
  const split = someOf(context.data.train, images);
  const { signal } = context;
  const all =
    technique === "pruneFilters"
      ? await filterScoresOf(state.model, split, step.score, { signal })
      : await neuronScoresOf(state.model, split, step.score, { signal });
  const groups = Object.keys(all);
  if (groups.length === 0) {
    const units = technique === "pruneFilters" ? "filters" : "neurons";
    throw new RangeError(`${state.model.name} has no ${units} to remove`);
  }
  if (typeof rate === "object")
    for (const name of Object.keys(rate)) checkOneOf("rate's layer", name, groups);
  const scores =
    typeof rate === "object" ? Object.fromEntries(Object.keys(rate).map((name) => [name, all[name]])) : all;
  const chosen: Strategy =
    strategy === "global" && typeof rate === "number"
      ? { strategy: "globalSparsity", amount: rate }
      : { strategy: "layerRate", amount: rate };
  // A layer without a single unit would cut the network in two.
  const keep = keepAtLeast(select(scores, chosen), scores, 1);
  const removed = Object.entries(keep).map(
    ([name, mask]) => `${name} ${mask.reduce((n, m) => n + m, 0)} of ${mask.length}`,
  );
  operate(state, keep);
  return { note: `left: ${removed.join(", ")}` };
};

const pruneIteratively: Run<PruneIteratively> = async (state, step, context) => {
  const { target, accuracyFloor, steps = 5, schedule, rate, refine, training = { epochs: 1 } } = step;
  const { data, signal } = context;
  const named = typeof target === "object" ? Object.keys(target) : undefined;
  const layers = layersOf(state.model, step.layers ?? named);
  const sizes = Object.fromEntries(layers.map((name) => [name, elements(shapesOf(state.model)[name])]));
  const total = Object.values(sizes).reduce((sum, n) => sum + n, 0);
  // Targets by layer are one target for all of them together, shared out by layer at each step.
  const overall =
    typeof target === "object"
      ? layers.reduce((sum, name) => sum + amountFor("target", target, name) * sizes[name], 0) / total
      : target;
  const strategyAt = (sparsity: number): Strategy =>
    typeof target === "object"
      ? {
          strategy: "layerRate",
          amount: Object.fromEntries(
            layers.map((name) => [
              name,
              overall === 0 ? 0 : Math.min(1, (target[name] * sparsity) / overall!),
            ]),
          ),
        }
      : { strategy: "globalSparsity", amount: sparsity };
  const before = { ...state.compression.masks };
  let done = 0;
  const result = await iterativePrune<{ weights: Float32Array[]; compression: Compression }>(
    {
      score: () => scoresFor(state.model, step, layers, context),
      async fineTune(masks, at) {
        state.compression.masks = { ...before };
        keepPruned(state, masks);
        const share = (part: number) =>
          context.progress(accuracyFloor === undefined ? (done + part) / steps : 0);
        await fineTuneHeld(state, training, { ...context, seed: context.seed + at, progress: share });
        done++;
      },
      evaluate: async () => (await judge(state, data, signal)).accuracy,
      // Masks and codes are replaced and never written into, so the records are all that needs a copy.
      save: () => ({ weights: copyWeights(state.model), compression: copied(state.compression) }),
      restore({ weights, compression }) {
        restoreWeights(state.model, weights);
        state.compression = copied(compression);
      },
    },
    {
      plan: overall === undefined ? endlessPlan(rate) : prunePlan({ schedule, target: overall, steps }),
      select: (scores, sparsity, previous) =>
        select(scores, strategyAt(sparsity), { previous: combineMasks(previous, fullMasks(scores, before)) }),
      accuracyFloor,
      refine,
      signal,
    },
  );
  // Ended by the signal, it is not the step that was asked for.
  signal?.throwIfAborted();
  return {
    note: `${result.ended} after ${result.history.length - 1} steps, the best was step ${result.best.step}`,
    details: result.history,
  };
};

const quantizeFixed: Run<Quantize> = async (state, step, context) => {
  const { bits, scheme, perChannel = true, range, rounding, activations } = step;
  const named = typeof bits === "object" ? Object.keys(bits) : undefined;
  const layers = layersOf(state.model, step.layers ?? named);
  const { masks, quantized, clustered } = state.compression;
  const shapes = shapesOf(state.model);
  const axes = axesOf(state.model);
  const weights = weightsOf(state.model);
  for (const name of layers) {
    const width = amountFor("bits", bits, name);
    if (width === 1 && (scheme ?? "symmetric") === "symmetric" && masks[name]?.includes(0))
      throw new RangeError(
        `bits must be at least 2 for ${name}, which is pruned: one bit has the levels -1 and +1, and no 0`,
      );
    const shape = shapes[name];
    quantized[name] = quantize(weights[name], {
      bits: width,
      scheme,
      range,
      rounding,
      seed: context.seed,
      shape,
      axis: perChannel ? axes[name] : undefined,
    });
    delete clustered[name];
  }
  project(state);
  if (activations !== undefined) {
    state.activations = await calibrateActivations(state.model, someOf(context.data.train, 500), {
      bits: activations,
    });
  }
  return { note: `${layers.length} layers${activations ? `, activations in ${activations} bits` : ""}` };
};

const quantizeAutomatically: Run<QuantizeAutomatically> = async (state, step, context) => {
  const { bytes, accuracy, bits, gptq, equalization, biasCorrection, activations, images } = step;
  const { data } = context;
  const { masks } = state.compression;
  const calibration = someOf(data.train, images);
  const { rows, quantized, log, ...result } = await autoQuantize(
    state.model,
    calibration,
    bytes === undefined ? { accuracy: accuracy! } : { bytes },
    {
      bits,
      gptq,
      equalization,
      biasCorrection,
      validation: data.validation ?? data.test,
      ...(activations === undefined ? {} : { activations: { bits: activations } }),
    },
  );
  state.compression.quantized = quantized;
  state.compression.clustered = {};
  if (result.activations) state.activations = result.activations;
  // Rounding by GPTQ spreads errors over a column, pruned weights included: those go back to 0.
  project(state);
  const pruned = Object.keys(masks).length > 0 ? "; pruned weights are 0 again" : "";
  return {
    note: `${rows.map((row) => `${row.layer} ${row.bits} bits`).join(", ")}${pruned}`,
    details: { rows, log },
  };
};

const cluster: Run<Cluster> = async (state, step, context) => {
  const { clusters, method, start } = step;
  const named = typeof clusters === "object" ? Object.keys(clusters) : undefined;
  const layers = layersOf(state.model, step.layers ?? named);
  const { masks, quantized, clustered } = state.compression;
  const weights = weightsOf(state.model);
  for (const name of layers) {
    const { codes, codebook } = clusterWeights(weights[name], {
      clusters: amountFor("clusters", clusters, name),
      method,
      start,
      seed: context.seed,
      mask: masks[name],
    });
    clustered[name] = { codes, codebook };
    delete quantized[name];
    // The exact centroids, and not the means of what is stored of them.
    weights[name] = restoreClusters({ codes, codebook, mask: masks[name], inertia: 0, iterations: 0 });
  }
  setWeights(state.model, Object.fromEntries(layers.map((name) => [name, weights[name]])));
  return { note: `${layers.length} layers` };
};

const factorizeStep: Run<Factorize> = async (state, step, context) => {
  const { data, seed, signal } = context;
  const { technique: _, images, layers, seed: _seed, ...options } = step;
  const { model, compression } = state;
  const { model: smaller, rows } = await factorizeModel(model, {
    ...options,
    ...(layers ? { layers: layersOf(model, layers) } : {}),
    data: data.train,
    calibrationImages: images,
    test: data.validation ?? data.test,
    seed,
    signal,
  });
  const { masks, quantized, clustered } = compression;
  const replaced = rows.filter(({ method }) => method !== "kept");
  const lost = replaced.filter(({ layer }) => masks[layer]).map(({ layer }) => layer);
  const held = copied(compression);
  for (const { layer } of replaced) {
    delete masks[layer];
    delete quantized[layer];
    delete clustered[layer];
  }
  // What was quantized stays quantized: the factors take over its bits, or its number of clusters.
  const weights = weightsOf(smaller);
  const shapes = shapesOf(smaller);
  const axes = axesOf(smaller);
  for (const { layer, parts } of replaced) {
    // A part that only pads has no weights.
    for (const part of parts.filter((name) => weights[name])) {
      if (held.quantized[layer]) {
        quantized[part] = quantizeLike(held.quantized[layer], weights[part], shapes[part], axes[part]);
      }
      if (held.clustered[layer]) {
        const clusters = held.clustered[layer].codebook.length;
        clustered[part] = clusterWeights(weights[part], { clusters });
      }
    }
  }
  model.dispose();
  state.model = smaller;
  project(state);
  const note = replaced.map(
    ({ layer, method, ranks }) => `${layer} by ${method}, rank ${ranks.join(" and ")}`,
  );
  return {
    note: `${note.join("; ") || "no layer would get smaller"}${lost.length > 0 ? `; factors are dense, so the masks of ${lost.join(", ")} end here` : ""}`,
    details: rows,
  };
};

const distillStep: Run<Distill> = async (state, step, context) => {
  const { teacher = "original", temperature, mixing, hints } = step;
  if (hints && state.activations)
    throw new RangeError(
      "hints must be left out where activations are quantized: give them before that step",
    );
  const names: readonly string[] = typeof teacher === "string" ? [teacher] : teacher;
  const teachers: tf.LayersModel[] = [];
  try {
    for (const name of names) teachers.push(await context.teacher(name));
    await holding(state, (held) =>
      distill(state.model, teachers, context.data.train, {
        ...trainOptions(step, context),
        // `distill` leaves a given forward pass as it is.
        ...held,
        temperature,
        mixing,
        hints,
      }),
    );
  } finally {
    for (const one of teachers) one.dispose();
  }
  return { note: [`taught by ${names.join(" and ")}`, heldBy(state)].filter(Boolean).join("; ") };
};

const fineTune: Run<FineTune> = async (state, step, context) => {
  await fineTuneHeld(state, step, context);
  return { note: heldBy(state) };
};

const techniques: Record<Technique, unknown> = {
  pruneWeights,
  pruneFilters: pruneUnits,
  pruneNeurons: pruneUnits,
  pruneIteratively,
  quantize: quantizeFixed,
  quantizeAutomatically,
  cluster,
  factorize: factorizeStep,
  distill: distillStep,
  fineTune,
};

/** Accuracy and loss of a state on the images that decide. */
export function judge(state: State, data: PipelineData, signal?: AbortSignal) {
  return evaluate(state.model, data.validation ?? data.test, { signal, forward: forwardOf(state) });
}

async function fineTuneHeld(state: State, training: Training, context: Context): Promise<void> {
  await holding(state, (held) =>
    train(state.model, context.data.train, { ...trainOptions(training, context), ...held }),
  );
}

function trainOptions(
  { epochs, batchSize, learningRate, decay = "none", optimizer = "adam", shift }: Training,
  { seed, signal, progress }: Context,
): TrainOptions {
  const rate = learningRate ?? (optimizer === "adam" ? 0.001 : 0.01);
  return {
    epochs,
    ...(batchSize === undefined ? {} : { batchSize }),
    optimizer,
    learningRate: decay === "cosine" ? (done) => (rate / 2) * (1 + Math.cos(Math.PI * done)) : rate,
    ...(shift === undefined ? {} : { shift }),
    seed,
    signal,
    onBatch: ({ epoch, batch, batches }) => progress((epoch - 1 + batch / batches) / epochs),
  };
}

/** Adds masks to those there are, and lets weights and codes follow. */
function keepPruned(state: State, masks: Masks): void {
  state.compression.masks = combineMasks(state.compression.masks, masks);
  for (const [name, grid] of Object.entries(state.compression.quantized)) {
    if (grid.bits === 1 && grid.scheme === "symmetric" && masks[name]?.includes(0))
      throw new RangeError(
        `${name} has one bit, with the levels -1 and +1 and no 0, so it cannot be pruned: prune before quantizing`,
      );
  }
  project(state);
}

/** Removes units, and what belongs to them in masks, codes and scales. */
function operate(state: State, keep: Masks): void {
  const { model, compression } = state;
  // Surgery knows weights only, so whatever else there is one of for each weight goes through it in their place.
  const through = (arrays: Record<string, ArrayLike<number>>): Record<string, Float32Array> => {
    const copy = cloneModel(model);
    setWeights(copy, arrays);
    const smaller = pruneGroups(copy, keep);
    const result = weightsOf(smaller);
    copy.dispose();
    smaller.dispose();
    return Object.fromEntries(Object.keys(arrays).map((name) => [name, result[name]]));
  };
  const smaller = pruneGroups(model, keep);
  const shapes = shapesOf(smaller);
  const { masks, quantized, clustered } = compression;
  const newMasks = through(masks);
  const codes = through(fields(quantized, ({ codes }) => codes));
  const scales = through(fields(quantized, (grid) => byWeight(grid, grid.scale)));
  const zeros = through(fields(quantized, (grid) => byWeight(grid, grid.zeroPoint)));
  const clusterCodes = through(fields(clustered, ({ codes }) => codes));
  compression.masks = fields(newMasks, (mask) => Uint8Array.from(mask));
  compression.quantized = Object.fromEntries(
    Object.entries(quantized).map(([name, grid]) => {
      const shape = shapes[name];
      const [scale, zeroPoint] = [scales[name], zeros[name]].map((values) =>
        byChannel(values, shape, grid.axis),
      );
      const typed = new (grid.codes.constructor as Int8ArrayConstructor)(codes[name]) as Quantized["codes"];
      return [name, { ...grid, shape, codes: typed, scale, zeroPoint: Int32Array.from(zeroPoint) }];
    }),
  );
  compression.clustered = Object.fromEntries(
    Object.entries(clustered).map(([name, { codes, codebook }]) => [
      name,
      { codes: new (codes.constructor as Uint16ArrayConstructor)(clusterCodes[name]), codebook },
    ]),
  );
  model.dispose();
  state.model = smaller;
}

function byWeight({ axis, shape, codes }: Quantized, values: ArrayLike<number>): Float32Array {
  const inner = axis === undefined ? codes.length : elements(shape.slice(axis + 1));
  return Float32Array.from(codes, (_, i) => values[Math.floor(i / inner) % values.length]);
}

function byChannel(values: Float32Array, shape: number[], axis: number | undefined): Float32Array {
  if (axis === undefined) return values.slice(0, 1);
  const inner = elements(shape.slice(axis + 1));
  return Float32Array.from({ length: shape[axis] }, (_, c) => values[c * inner]);
}

function quantizeLike(
  { bits, scheme, signed, axis: before }: Quantized,
  values: Float32Array,
  shape: number[],
  axis: number,
): Quantized {
  return quantize(values, {
    bits,
    scheme,
    signed,
    shape,
    axis: before === undefined ? undefined : axis,
  });
}

async function scoresFor(
  model: tf.LayersModel,
  { score, images }: Pick<PruneWeights, "score" | "images">,
  layers: string[],
  { data, signal }: Context,
): Promise<Scores> {
  const all = await scoresOf(model, someOf(data.train, images), score, { signal });
  return Object.fromEntries(layers.map((name) => [name, all[name]]));
}

/** The axis of each kernel that has one scale for each output. */
function axesOf(model: tf.LayersModel): Record<string, number> {
  return Object.fromEntries(kernelsOf(model).map(({ name, axis }) => [name, axis]));
}

/** The layers asked for, in the order of the model; throws for one that it does not have. */
function layersOf(model: tf.LayersModel, asked: readonly string[] | undefined): string[] {
  const known = kernelsOf(model).map(({ name }) => name);
  for (const name of asked ?? []) checkOneOf("layer", name, known);
  return asked ? known.filter((name) => asked.includes(name)) : known;
}

function amountFor(field: string, amount: PerLayer, layer: string): number {
  if (typeof amount === "number") return amount;
  if (amount[layer] === undefined) throw new RangeError(`${field} must name ${layer}, which layers does`);
  return amount[layer];
}

function someOf(split: Split, images = 500): Split {
  return firstOf(split, Math.min(images, split.count));
}

/** A mask for each of the scores' layers, all kept where there is none yet. */
function fullMasks(scores: Record<string, ArrayLike<number>>, masks: Masks): Masks {
  return fields(scores, ({ length }, name) => masks[name] ?? new Uint8Array(length).fill(1));
}

function copied({ masks, quantized, clustered }: Compression): Compression {
  return { masks: { ...masks }, quantized: { ...quantized }, clustered: { ...clustered } };
}

function fields<A, B>(record: Record<string, A>, of: (value: A, name: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value, name)]));
}
