// §2.3 What a technique is to a recipe: a name, fields that can be checked, and what it does to a model that earlier steps
// have already worked on. And what several techniques share: training that holds, layers by name, images to look at.

import { decidingSamples, type JudgedData, type Samples } from "../datasets/index.ts";
import {
  type Compression,
  evaluate,
  firstOf,
  kernelsOf,
  type OptimizerName,
  optimizerNames,
  scoresOf,
  type TrainOptions,
  type tf,
  train,
  type WeightScore,
} from "../nn/index.ts";
import {
  combineMasks,
  type Masks,
  type PerLayer,
  type Scores,
  sparsityStrategies,
} from "../pruning/index.ts";
import { checkOneOf } from "../util/check.ts";
import { type Check, flag, number, oneOf, whole } from "./fields.ts";
import { forwardOf, holding, project, type State } from "./hold.ts";

/**
 * The images that a recipe works with: `validation` is what rows report, what steps decide by (floors, budgets) and what
 * a search chooses by. Test images are for `RecipeResult.evaluate`, once the recipe is settled.
 */
export type PipelineData = JudgedData;

/** What a step may use. */
export interface Context {
  data: PipelineData;
  seed: number;
  /** Loads the teacher of that name; the step disposes of it. */
  teacher: (name: string) => Promise<tf.LayersModel>;
  /** What tells a teacher of that name, with the training images, from all others: two that agree say the same. */
  teacherKey: (name: string) => string;
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

/** What every step may have beside its technique's fields. */
export interface Common {
  /** Fixes everything random in this step; by default it follows from the run's seed and the step's place. */
  seed?: number;
}

/** A technique whose steps are of type `Step`: each of its fields has a check, or it does not compile. */
export interface Technique<Step extends Common & { technique: string }> {
  readonly name: Step["technique"];
  /** Fields without which a step says nothing. */
  readonly needed?: readonly FieldOf<Step>[];
  /** Exactly one of these. */
  readonly one?: readonly FieldOf<Step>[];
  /** At least one of these. */
  readonly some?: readonly FieldOf<Step>[];
  readonly fields: { readonly [Field in FieldOf<Step>]: Check };
  /** Applies a step to a state, in place. */
  readonly run: (state: State, step: Step, context: Context) => Promise<Outcome>;
}

type FieldOf<Step> = Exclude<keyof Step, keyof Common | "technique"> & string;

/** How to train, as data. */
export interface Training {
  /** Passes over the training images; 0 trains not at all. */
  epochs: number;
  batchSize?: number;
  learningRate?: number;
  /** `cosine` lets the rate fall to 0 along half a cosine; default `none`. */
  decay?: Decay;
  optimizer?: OptimizerName;
  /** Moves each image by up to so many pixels, anew in each epoch. */
  shift?: number;
  /** Computes dense layers whose masks keep less than a fifth by what is kept alone: faster, equal but for rounding. */
  sparse?: boolean;
}

/** How a learning rate falls over a step: a factor for each share of it that is done. */
export const decays = ["none", "cosine"] as const;
export type Decay = (typeof decays)[number];
const decayAt: Record<Decay, (done: number) => number> = {
  none: () => 1,
  cosine: (done) => (1 + Math.cos(Math.PI * done)) / 2,
};

/** The checks of {@link Training}. */
export const trainingFields = {
  epochs: whole(0),
  batchSize: whole(1),
  learningRate: number(0),
  decay: oneOf(...decays),
  optimizer: oneOf(...optimizerNames),
  shift: whole(0),
  sparse: flag,
} satisfies Record<keyof Training, Check>;

/** The check of a strategy beside a sparsity: one that is given by layer leaves no choice. */
export const strategyOfSparsity: Check = (name, value, step) =>
  oneOf(...(typeof step.sparsity === "object" ? ["layerSparsity"] : sparsityStrategies))(name, value, step);

/** Accuracy and loss of a state on the images that decide. */
export function judge(state: State, data: PipelineData, signal?: AbortSignal) {
  return evaluate(state.model, decidingSamples(data), { signal, forward: forwardOf(state) });
}

/** Trains on the labels; what earlier steps did holds. */
export async function fineTuneHeld(state: State, training: Training, context: Context): Promise<void> {
  await holding(state, (held) =>
    train(state.model, context.data.train, { ...trainOptions(training, context), ...held }),
  );
}

/** {@link Training} in the words of `train`. */
export function trainOptions(
  { epochs, batchSize, learningRate, decay = "none", optimizer = "adam", shift, sparse }: Training,
  { seed, signal, progress }: Context,
): TrainOptions {
  const rate = learningRate ?? (optimizer === "adam" ? 0.001 : 0.01);
  return {
    epochs,
    ...(batchSize === undefined ? {} : { batchSize }),
    optimizer,
    learningRate: decay === "none" ? rate : (done) => rate * decayAt[decay](done),
    ...(shift === undefined ? {} : { shift }),
    ...(sparse === undefined ? {} : { sparse }),
    seed,
    signal,
    onBatch: ({ epoch, batch, batches }) => progress((epoch - 1 + batch / batches) / epochs),
  };
}

/** Adds masks to those there are, and lets weights and codes follow. */
export function keepPruned(state: State, masks: Masks): void {
  state.compression.masks = combineMasks(state.compression.masks, masks);
  for (const [name, grid] of Object.entries(state.compression.quantized)) {
    if (grid.bits === 1 && grid.scheme === "symmetric" && masks[name]?.includes(0))
      throw new RangeError(
        `${name} has one bit, with the levels -1 and +1 and no 0, so it cannot be pruned: prune before quantizing`,
      );
  }
  project(state);
}

/** Scores of the weights of some layers. */
export async function scoresFor(
  model: tf.LayersModel,
  { score, images }: { score?: WeightScore; images?: number },
  layers: string[],
  { data, signal }: Context,
): Promise<Scores> {
  const all = await scoresOf(model, someOf(data.train, images), score, { signal });
  return Object.fromEntries(layers.map((name) => [name, all[name]]));
}

/** The layers asked for, in the order of the model; throws for one that it does not have. */
export function layersOf(model: tf.LayersModel, asked: readonly string[] | undefined): string[] {
  const known = kernelsOf(model).map(({ name }) => name);
  for (const name of asked ?? []) checkOneOf("layer", name, known);
  return asked ? known.filter((name) => asked.includes(name)) : known;
}

/** The axes of each kernel that have one scale for each output. */
export function axesOf(model: tf.LayersModel): Record<string, { axis: number; span?: number }> {
  return Object.fromEntries(kernelsOf(model).map(({ name, axis, span }) => [name, { axis, span }]));
}

/** The layers that an amount by layer names. */
export function namedIn(amount: PerLayer | undefined): string[] | undefined {
  return typeof amount === "object" ? Object.keys(amount) : undefined;
}

/** One layer's amount. */
export function amountFor(field: string, amount: PerLayer, layer: string): number {
  if (typeof amount === "number") return amount;
  if (amount[layer] === undefined) throw new RangeError(`${field} must name ${layer}, which layers does`);
  return amount[layer];
}

/** The first samples, for scores and calibration. */
export function someOf(samples: Samples, images = 500): Samples {
  return firstOf(samples, Math.min(images, samples.count));
}

/** A mask for each of the scores' layers, all kept where there is none yet. */
export function fullMasks(scores: Record<string, ArrayLike<number>>, masks: Masks): Masks {
  return mapFields(scores, ({ length }, name) => masks[name] ?? new Uint8Array(length).fill(1));
}

/** A copy of the records: masks and codes are replaced and never written into. */
export function copied({ masks, quantized, clustered, formats, biases }: Compression): Compression {
  return {
    masks: { ...masks },
    quantized: { ...quantized },
    clustered: { ...clustered },
    ...(formats ? { formats: { ...formats } } : {}),
    ...(biases ? { biases: { ...biases } } : {}),
  };
}

/** A record with each value replaced. */
export function mapFields<A, B>(
  record: Record<string, A>,
  of: (value: A, name: string) => B,
): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, of(value, name)]));
}
