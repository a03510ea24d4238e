// The training loop, small enough to read: seeded order, one gradient step a batch, masks that hold, a clear end.

import type { Samples } from "../datasets/index.ts";
import { findKind } from "../graph/index.ts";
import { checkInteger, checkNumber, checkOneOf } from "../util/check.ts";
import { progress } from "../util/progress.ts";
import { seeded, shuffle } from "../util/random.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { feedOf, imagesOf, shiftImages } from "./batches.ts";
import { evaluate } from "./evaluate.ts";
import { kindOf, layersOf } from "./graph.ts";
import { adamStepName, FastAdam } from "./kernels/adam.ts";
import { type Forward, type Inputs, outputsOf } from "./logits.ts";
import { SparseDense } from "./sparse-dense.ts";
import { type Evaluation, lossOf as meanLoss, Tally, type TargetValues } from "./tasks.ts";
import { tf } from "./tf.ts";
import { checkMasks, checkWeightsFinite, kernelsOf, weightsOf } from "./weights.ts";

/** What takes the steps: Adam, SGD with momentum 0.9, or SGD. */
export const optimizerNames = ["adam", "momentum", "sgd"] as const;
export type OptimizerName = (typeof optimizerNames)[number];

const optimizers: Record<OptimizerName, (rate: number) => tf.Optimizer> = {
  adam: (rate) => (tf.getKernel(adamStepName, tf.getBackend()) ? new FastAdam(rate) : tf.train.adam(rate)),
  momentum: (rate) => tf.train.momentum(rate, 0.9),
  sgd: (rate) => tf.train.sgd(rate),
};

/** What a loss function may look at. All tensors belong to the training loop, which disposes of them. */
export interface LossInputs {
  /** [batch, classes]: what the model gave, before softmax; of several outputs, the first. */
  logits: tf.Tensor2D;
  /** [batch]: class numbers; empty where the first output has none. */
  labels: tf.Tensor1D;
  /** All outputs, class scores before softmax, and what they should be. */
  outputs: readonly tf.Tensor[];
  targets: readonly TargetValues[];
  /** [batch, ...]: the images the model saw; of several inputs, the first. */
  x: tf.Tensor;
  /** All inputs. */
  inputs: readonly tf.Tensor[];
  /** The samples' places in the data. */
  indices: Uint32Array;
  /** With `shift`: how far each image was moved down and to the right, in pairs. */
  shifts?: Int8Array;
}

/** Masks that change while training goes on. */
export interface Remasking {
  /** After how many steps they are asked for. */
  every: number;
  /**
   * The masks from now on, by kernel name; undefined leaves them as they are.
   *
   * @param look what training knows by then
   */
  masksAt: (look: TrainingLook) => Record<string, Uint8Array> | undefined;
}

/** A look into training, between two steps. */
export interface TrainingLook {
  /** The share of training that is done, above 0 to 1. */
  done: number;
  /** Kernels by name, copied. */
  weights: Record<string, Float32Array>;
  /**
   * Adam's running mean of each weight's squared gradient, by kernel name: an estimate of the Fisher information that costs
   * nothing. Undefined for other optimizers.
   */
  secondMoments?: Record<string, Float32Array>;
}

export interface TrainOptions {
  /** Passes over the data; 5 by default. */
  epochs?: number;
  /** Images a step; 64 by default. The last batch of an epoch may be smaller. */
  batchSize?: number;
  /** A rate, or a function of the share of training that is done, from 0 to below 1. By default 0.001 for Adam. */
  learningRate?: number | ((done: number) => number);
  /** `adam` (the default), `momentum` (0.9) or `sgd`. */
  optimizer?: OptimizerName;
  /** Fixes the order of the images and their shifts. */
  seed?: number;
  /** Evaluated after each epoch. */
  validation?: Samples;
  earlyStopping?: EarlyStopping;
  /** By layer name, 1 = kept, 0 = pruned: pruned weights are 0 after every step. */
  masks?: Record<string, Uint8Array>;
  /** Changes the masks every so many steps: pruning while training goes on. */
  remask?: Remasking;
  /**
   * Computes dense layers whose masks keep less than a fifth by what is kept alone: several times faster, and equal but for
   * the order in which numbers are added. Default no.
   */
  sparse?: boolean;
  /** Augmentation: each image is moved by up to this many pixels in each direction, anew in each epoch. */
  shift?: number;
  /**
   * From images to logits, for training through a quantizer and the like; by default the model. Validation uses it too,
   * without `training`.
   */
  forward?: Forward;
  /** What to make small; by default the mean cross-entropy with class numbers, the mean squared error with values. */
  loss?: (inputs: LossInputs) => tf.Scalar;
  /** Trained along with the model: what belongs to the loss or the forward pass, not to the model. */
  variables?: tf.Variable[];
  /** Changes the gradients before each step: by variable name, in a tidy. */
  onGradients?: (gradients: tf.NamedTensorMap) => tf.NamedTensorMap;
  onBatch?: (batch: { epoch: number; batch: number; batches: number; loss: number }) => void;
  onEpoch?: (epoch: EpochResult) => void | Promise<void>;
  /** Shows a progress bar on standard error. */
  progress?: boolean;
  /** Ends training between two batches, with the signal's reason as the error. */
  signal?: AbortSignal;
}

/** What early stopping watches. */
export const stoppingMetrics = ["loss", "accuracy"] as const;
export type StoppingMetric = (typeof stoppingMetrics)[number];

export interface EarlyStopping {
  /** Stop after this many epochs without improvement. */
  patience: number;
  /** What must improve on the validation split: `loss` (the default) or `accuracy`. */
  metric?: StoppingMetric;
  /** The least change that counts as one; 0 by default. */
  minDelta?: number;
  /** Whether to end with the weights of the best epoch; yes by default. */
  restoreBest?: boolean;
}

export interface EpochResult {
  /** Counted from 1. */
  epoch: number;
  /** Mean over the epoch's batches, while the weights were changing. */
  loss: number;
  accuracy: number;
  validation?: Evaluation;
  seconds: number;
}

export interface History {
  epochs: EpochResult[];
  /** The epoch, counted from 1, with the best validation result; the last one without validation. */
  bestEpoch: number;
  /** Whether early stopping ended it. */
  stoppedEarly: boolean;
}

/**
 * Trains a model in place on the cross-entropy of its class scores; on the mean squared error of values, the cross-entropy of
 * labels, and the sum of these where it has several outputs.
 *
 * The same seed gives the same numbers: bit for bit on one backend, and within about 1e-3 of the loss after an epoch
 * on another, since backends add in other orders.
 *
 * @throws RangeError for options out of range; Error when the loss becomes NaN or infinite, before that step is taken
 */
export async function train(
  model: tf.LayersModel,
  data: Samples,
  options: TrainOptions = {},
): Promise<History> {
  const {
    epochs = 5,
    batchSize = 64,
    optimizer: name = "adam",
    seed = 1,
    validation,
    earlyStopping,
  } = options;
  const { masks = {}, shift = 0, onGradients, signal } = options;
  const rate = options.learningRate ?? (name === "adam" ? 0.001 : 0.01);
  const forward = options.forward ?? ((x: Inputs, training?: boolean) => outputsOf(model, x, { training }));
  checkInteger("epochs", epochs, 0);
  checkInteger("batchSize", batchSize, 1);
  checkOneOf("optimizer", name, optimizerNames);
  if (typeof rate === "number") checkNumber("learningRate", rate, 0);
  const feed = feedOf(model, data, { judged: true });
  const images = shift === 0 ? undefined : imagesOf(data, "shift");
  checkInteger("shift", shift, 0, images ? Math.min(images.height, images.width) - 1 : 0);
  const lossOf = options.loss ?? (({ outputs, targets }) => meanLoss(feed.outputs, outputs, targets));
  checkMasks(model, masks);
  if (validation) feedOf(model, validation, { judged: true });
  if (earlyStopping) checkEarlyStopping(earlyStopping, validation);
  await ensureBackend();

  if (options.remask) checkInteger("remask.every", options.remask.every, 1);
  let maskTensors = applyMasks(model, masks);
  const optimizer = optimizers[name](typeof rate === "number" ? rate : rate(0));
  const variables = model.trainableWeights
    .map((weight) => weight.read() as tf.Variable)
    .concat(options.variables ?? []);
  if (variables.length === 0) throw new RangeError(`${model.name} has no weights that can be trained`);
  const random = seeded(seed);
  const order = Uint32Array.from({ length: data.count }, (_, i) => i);
  const batches = Math.ceil(data.count / batchSize);
  const dropouts = dropoutsOf(model);
  const bar = options.progress ? progress(`training ${model.name}`, epochs * batches) : undefined;
  const best = new Best(model, earlyStopping);
  const sparse = options.sparse ? new SparseDense(model) : undefined;
  let masked: Set<string> | undefined;
  const history: History = { epochs: [], bestEpoch: 0, stoppedEarly: false };

  /** One step on the images `order[from..to)`. */
  const step = (from: number, to: number, tally: Tally): number =>
    tf.tidy(() => {
      const indices = order.slice(from, to);
      const shifts = shift > 0 ? new Int8Array(2 * indices.length) : undefined;
      const { x, labels, targets } = images
        ? feed.like(shiftImages(images, indices, shift, random, shifts)).batch(0, to - from)
        : feed.batch(from, to, order);
      const inputs = [x].flat();
      const known = { labels: tf.tensor1d(labels, "int32"), targets: targets as TargetValues[] };
      const { value, grads } = tf.variableGrads(() => {
        const outputs = [forward(x, true)].flat();
        tally.add(
          outputs.map((output) => output.dataSync() as Float32Array),
          known.targets,
        );
        const logits = outputs[0] as tf.Tensor2D;
        return lossOf({
          ...known,
          logits,
          outputs,
          x: inputs[0],
          inputs,
          indices,
          ...(shifts ? { shifts } : {}),
        });
      }, variables);
      const loss = value.dataSync()[0];
      if (!Number.isFinite(loss)) return loss;
      // A masked weight starts at 0 and its gradient is 0, so momentum and Adam's moments stay 0 with it.
      const gradients = onGradients ? onGradients(grads) : grads;
      for (const [variable, mask] of maskTensors)
        if (gradients[variable] && !masked?.has(variable))
          gradients[variable] = tf.mul(gradients[variable], mask);
      optimizer.applyGradients(gradients);
      // What was pruned on the way has moments that are not 0, and would drift; FastAdam has forgotten them.
      if (options.remask && !isFastAdam(optimizer)) holdAtZero(maskTensors);
      return loss;
    });

  try {
    checkWeightsFinite(model);
    sparse?.use(masks);
    masked = sparse?.variables;
    for (let epoch = 1; epoch <= epochs; epoch++) {
      const start = performance.now();
      shuffle(order, random);
      let lossSum = 0;
      const tally = new Tally(feed.outputs);
      for (let batch = 0; batch < batches; batch++) {
        signal?.throwIfAborted();
        const steps = (epoch - 1) * batches + batch;
        if (typeof rate === "function") setRate(optimizer, rate(steps / (epochs * batches)));
        // From 1: TensorFlow.js takes seed 0 for "no seed".
        for (const { layer } of dropouts) layer.seed = 1 + Math.floor(random() * 2 ** 31);
        const from = batch * batchSize;
        const to = Math.min(data.count, from + batchSize);
        const loss = step(from, to, tally);
        if (!Number.isFinite(loss)) {
          throw diverged(`the loss is ${loss} in batch ${batch + 1}`, epoch, optimizer);
        }
        if (options.remask && (steps + 1) % options.remask.every === 0) {
          const look = lookInto(model, optimizer, (steps + 1) / (epochs * batches));
          const next = options.remask.masksAt(look);
          if (next) {
            checkMasks(model, next);
            tf.dispose([...maskTensors.values()]);
            maskTensors = applyMasks(model, next);
            sparse?.use(next);
            masked = sparse?.variables;
            if (isFastAdam(optimizer)) optimizer.forget(byVariable(model, next));
          }
        }
        lossSum += loss * (to - from);
        options.onBatch?.({ epoch, batch: batch + 1, batches, loss });
        bar?.update(steps + 1, `epoch ${epoch}/${epochs} loss ${loss.toFixed(4)}`);
        // Let interrupts and other timers have their turn.
        await nextTurn();
      }
      const result: EpochResult = {
        epoch,
        loss: lossSum / data.count,
        accuracy: tally.result(data.count).accuracy,
        seconds: (performance.now() - start) / 1000,
      };
      if (validation)
        result.validation = await evaluate(model, validation, { signal, forward: options.forward });
      history.epochs.push(result);
      await options.onEpoch?.(result);
      if (best.isOver(result)) {
        history.stoppedEarly = true;
        break;
      }
    }
    history.bestEpoch = best.epoch;
    if (earlyStopping && earlyStopping.restoreBest !== false) best.restore();
    const last = history.epochs.at(-1);
    bar?.end(last && `done: ${history.epochs.length} epochs, loss ${last.loss.toFixed(4)}`);
    return history;
  } finally {
    for (const { layer, seed } of dropouts) layer.seed = seed;
    sparse?.dispose();
    best.dispose();
    optimizer.dispose();
    // SGD and momentum keep their rate as a tensor, which their dispose forgets.
    (optimizer as unknown as { c?: tf.Tensor }).c?.dispose();
    tf.dispose([...maskTensors.values()]);
  }
}

/**
 * The layers that drop out, with their own seeds. Without a seed a layer drops what chance will, and with one the same in
 * every step, so each step of training gives each of them a new seed from its own.
 */
function dropoutsOf(model: tf.LayersModel) {
  return [...layersOf(model).values()]
    .filter((layer) => findKind(kindOf(layer))?.random)
    .map((layer) => {
      const dropout = layer as tf.layers.Layer & { seed?: number };
      return { layer: dropout, seed: dropout.seed };
    });
}

/** Sets pruned weights to 0 and returns the masks as tensors, by variable name. */
function applyMasks(model: tf.LayersModel, masks: Record<string, Uint8Array>): Map<string, tf.Tensor> {
  const tensors = new Map<string, tf.Tensor>();
  for (const kernel of kernelsOf(model)) {
    const mask = masks[kernel.name];
    if (!mask) continue;
    const variable = kernel.variable.read() as tf.Variable;
    const tensor = tf.tensor(Float32Array.from(mask), variable.shape);
    // where, not times: NaN times 0 would stay NaN.
    tf.tidy(() => variable.assign(tf.where(tf.cast(tensor, "bool"), variable, tf.zerosLike(variable))));
    tensors.set(variable.name, tensor);
  }
  return tensors;
}

function holdAtZero(masks: Map<string, tf.Tensor>): void {
  for (const [name, mask] of masks) {
    const variable = tf.engine().registeredVariables[name];
    variable.assign(tf.mul(variable, mask));
  }
}

/** Not by instanceof: TensorFlow.js takes any optimizer for an instance of each. */
const isFastAdam = (optimizer: tf.Optimizer): optimizer is FastAdam => optimizer.constructor === FastAdam;

/** Masks by the names of the variables that they are of. */
function byVariable(model: tf.LayersModel, masks: Record<string, Uint8Array>): Map<string, Uint8Array> {
  const masked = kernelsOf(model).filter(({ name }) => masks[name]);
  return new Map(masked.map(({ name, variable }) => [(variable.read() as tf.Variable).name, masks[name]]));
}

function lookInto(model: tf.LayersModel, optimizer: tf.Optimizer, done: number): TrainingLook {
  const moments = secondMomentsOf(optimizer);
  const kernels = kernelsOf(model);
  const seen = kernels.flatMap(({ name, variable }) => {
    const moment = moments?.get((variable.read() as tf.Variable).name);
    return moment ? [[name, Float32Array.from(moment.dataSync())] as const] : [];
  });
  return {
    done,
    weights: weightsOf(model),
    ...(moments ? { secondMoments: Object.fromEntries(seen) } : {}),
  };
}

/** Adam's second moments by variable name; undefined for an optimizer that has none. */
function secondMomentsOf(optimizer: tf.Optimizer): Map<string, tf.Tensor> | undefined {
  if (isFastAdam(optimizer)) return optimizer.secondMoments;
  const { accumulatedSecondMoment: list } = optimizer as unknown as {
    accumulatedSecondMoment?: { originalName: string; variable: tf.Variable }[];
  };
  return (
    list && new Map(list.map(({ originalName, variable }) => [originalName.replace(/\/v$/, ""), variable]))
  );
}

function setRate(optimizer: tf.Optimizer, rate: number): void {
  checkNumber("learningRate", rate, 0);
  if ("setLearningRate" in optimizer) (optimizer as tf.SGDOptimizer).setLearningRate(rate);
  else (optimizer as unknown as { learningRate: number }).learningRate = rate;
}

function diverged(what: string, epoch: number, optimizer: tf.Optimizer): Error {
  const { learningRate } = optimizer as unknown as { learningRate: number };
  return new Error(`training diverged in epoch ${epoch}: ${what}. Lower learningRate (${learningRate})`);
}

function checkEarlyStopping(options: EarlyStopping, validation: Samples | undefined): void {
  if (!validation) throw new RangeError("earlyStopping needs a validation split: pass { validation }");
  checkInteger("patience", options.patience, 1);
  checkOneOf("metric", options.metric ?? "loss", stoppingMetrics);
  checkNumber("minDelta", options.minDelta ?? 0, 0);
}

/** Remembers the best epoch, and its weights when early stopping will want them back. */
class Best {
  epoch = 0;
  private score = Number.NEGATIVE_INFINITY;
  private weights: tf.Tensor[] = [];
  private readonly model: tf.LayersModel;
  private readonly options: EarlyStopping | undefined;

  constructor(model: tf.LayersModel, options: EarlyStopping | undefined) {
    this.model = model;
    this.options = options;
  }

  /** Takes note of an epoch; true when patience has run out. */
  isOver({ epoch, validation }: EpochResult): boolean {
    if (!validation) {
      this.epoch = epoch;
      return false;
    }
    const { metric = "loss", minDelta = 0, patience = Number.POSITIVE_INFINITY } = this.options ?? {};
    const score = metric === "loss" ? -validation.loss : validation.accuracy;
    if (score > this.score + (this.epoch > 0 ? minDelta : 0)) {
      this.score = score;
      this.epoch = epoch;
      if (this.options && this.options.restoreBest !== false) {
        tf.dispose(this.weights);
        this.weights = this.model.getWeights().map((weight) => weight.clone());
      }
    }
    return epoch - this.epoch >= patience;
  }

  restore(): void {
    if (this.weights.length > 0) this.model.setWeights(this.weights);
  }

  dispose(): void {
    tf.dispose(this.weights);
    this.weights = [];
  }
}
