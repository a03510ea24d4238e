// The work of `slimlab compress`: tries recipes, each step kept as it is done, measures what came of each, and chooses.
import { costOf, paretoFront } from "../../analysis/index.ts";
import { decodeSlim, encodeSlim, slimParts } from "../../coding/index.ts";
import { arraysOf, divide, type Samples } from "../../datasets/index.ts";
import {
  type Comparison,
  type Compression,
  compareModels,
  compareOutputs,
  type Evaluation,
  evaluate,
  feedOf,
  foldBatchNorms,
  layerShapesOf,
  type Output,
  rawOutputs,
  shapesOf,
  shownBy,
  slimOf,
  type tf,
} from "../../nn/index.ts";
import { labelOf, type Recipe, type Row } from "../../pipeline/index.ts";
import { type RecipeResult, runFrom } from "../../pipeline/run.ts";
import { progress } from "../../util/progress.ts";
import { elements } from "../../util/shape.ts";
import { nextTurn } from "../../util/turn.ts";
import { answeredBy } from "./arrays.ts";
import { adaptive, candidates, type Situation } from "./candidates.ts";
import type { Examples } from "./examples.ts";
import type { Goal } from "./goal.ts";
import { isForEngine, sizeOfTarget, type TargetName } from "./targets.ts";

/** What to do, and how. */
export interface WorkOptions {
  goal: Goal;
  /** What the budget counts, and what is as small as possible: the first format asked for. */
  target: TargetName;
  /** Whether activations have 8 bits, too, so that no kernel may stay floats. */
  integers?: boolean;
  /** Passes over the images after pruning; by default what a few minutes allow. */
  epochs?: number;
  seed?: number;
  /** Where finished steps are kept; by default the user's cache. */
  cache?: string | false;
  /** What the .slim file says beside the network. */
  meta?: Record<string, unknown>;
  signal?: AbortSignal;
  onAttempt?: (attempt: Attempt) => void;
}

/** A recipe that was tried. */
export interface Attempt {
  recipe: Recipe;
  label: string;
  /** Of the first format asked for. */
  bytes: number;
  /** Whether a .slim file of these bytes was coded at leisure; others were coded quickly, and can only become smaller. */
  settled: boolean;
  /** Share of the deciding images classified right; without labels, as the original does. */
  accuracy: number;
  /** Share of them that get the original's class, and how far probabilities are from its own, in nats an image. */
  agreement: number;
  divergence: number;
  /** How much probability the right class has lost, on the mean: sees what accuracy on few images does not. */
  doubt: number;
  rows: Row[];
  seconds: number;
  /** Why it could not be carried out; the numbers are then NaN. */
  error?: string;
}

/** What an attempt leaves to work with. */
interface Tried extends Attempt {
  result?: RecipeResult;
  /** The .slim file, coded at leisure. */
  slim?: Uint8Array;
}

/** The parts of the examples, and what each is for. */
export interface Parts {
  train: Samples;
  /** What attempts are measured on and chosen by. */
  decide: Samples;
  /** What no decision has seen; undefined where there are too few images. */
  judge: Samples | undefined;
}

/** All that came of it. */
export interface Work {
  original: { model: tf.LayersModel; bytes: number; slimBytes: number; accuracy: Evaluation };
  /** Batch normalisations that were folded. */
  folded: string[];
  parts: Parts;
  labelled: boolean;
  goal: Goal;
  target: TargetName;
  attempts: Attempt[];
  /** The attempts that no other beats in both bytes and divergence. */
  front: Attempt[];
  chosen: Attempt;
  /** Whether the goal is met. */
  met: boolean;
  result: RecipeResult;
  /** The compressed network against the original, layer by layer, on the deciding images. */
  comparison: Comparison;
  /** The same on images that no decision has seen, with the accuracy of both. */
  judged?: { before: Evaluation; after: Evaluation; agreement: number; divergence: number };
  /** The .slim file. */
  slim: Uint8Array;
  slimParts: ReturnType<typeof slimParts>;
}

/** Fewer images than that leave none to judge by in the end. */
const enoughToJudge = 300;

/**
 * Divides examples into what to learn from, what to decide by and what to be judged by.
 *
 * @throws RangeError for fewer than 6
 */
export function partsOf({ samples, parts }: Pick<Examples, "samples" | "parts">, seed: number): Parts {
  if (parts) return { train: parts.train, decide: parts.validation, judge: parts.test };
  if (samples.count < 6) throw new RangeError(`there must be at least 6 examples, got ${samples.count}`);
  if (samples.count < enoughToJudge) {
    const [decide, train] = divide(samples, Math.floor(samples.count / 3), seed);
    return { train, decide, judge: undefined };
  }
  const fifth = Math.floor(samples.count / 5);
  const [judge, rest] = divide(samples, fifth, seed);
  const [decide, train] = divide(rest, fifth, seed + 1);
  return { train, decide, judge };
}

/** Compresses a network: tries recipes and chooses. */
export async function compress(
  given: { model: tf.LayersModel; compression?: Compression },
  examples: Examples,
  options: WorkOptions,
): Promise<Work> {
  const { goal, target, seed = 1, signal, onAttempt, meta } = options;
  // A network that was compressed before keeps its codes, which folding would change.
  const fresh =
    !given.compression ||
    Object.values(given.compression).every((all) => Object.keys(all ?? {}).length === 0);
  const { model, folded } = fresh
    ? foldBatchNorms(given.model)
    : { model: given.model, folded: [] as { norm: string }[] };
  const slim = await slimOf(model, given.compression);
  const labelled = examples.labelled
    ? examples
    : { ...examples, samples: await answeredBy(given.model, examples.samples, signal) };
  const parts = partsOf(labelled, seed);
  const data = { train: parts.train, validation: parts.decide };
  const before = await evaluate(given.model, parts.decide, { signal });
  const feed = feedOf(given.model, parts.decide);
  const reference = await rawOutputs(given.model, feed, { signal });
  const { macs } = costOf(layerShapesOf(model));
  const situation: Situation = {
    images: parts.train.count,
    macs,
    kernels: Object.values(shapesOf(model)).map(elements),
    epochs: options.epochs,
    forEngine: isForEngine(target),
    integers: isForEngine(target) && (options.integers || target === "tensorrt"),
    tells:
      feed.outputs.length === 1 && feed.outputs[0].task === "classes" && feed.outputs[0].shape.length === 1,
  };
  const tried: Tried[] = [];
  const fixed = goal.kind === "recipe" ? [goal.recipe] : candidates(situation);
  const total = fixed.length + (goal.kind === "recipe" || situation.forEngine ? 0 : adaptiveRounds);
  const bar = progress("compressing", total);

  const attempt = async (recipe: Recipe): Promise<Tried> => {
    const label = labelOf(recipe);
    bar.update(tried.length, label);
    const start = performance.now();
    const done = (numbers: Omit<Tried, "recipe" | "label" | "seconds">) => {
      const one = { recipe, label, ...numbers, seconds: (performance.now() - start) / 1000 };
      tried.push(one);
      onAttempt?.(plainly(one));
      bar.update(tried.length, label);
      return one;
    };
    let result: RecipeResult;
    try {
      result = await runFrom(slim, data, recipe, {
        seed,
        signal,
        cache: options.cache,
        // The smaller version takes ten times as long, and most of what is tried is not chosen.
        version: 1,
        onProgress: (share) => bar.update(Math.floor((tried.length + share) * 100) / 100, label),
      });
    } catch (error) {
      // A recipe of the reader's own has to work; of ours, some do not fit some networks.
      if (signal?.aborted || goal.kind === "recipe") throw error;
      const { NaN: none } = Number;
      return done({
        settled: false,
        bytes: none,
        accuracy: none,
        agreement: none,
        divergence: none,
        doubt: none,
        rows: [],
        error: (error as Error).message,
      });
    }
    const state = await result.load();
    try {
      const looking = { forward: state.forward, signal };
      const found = await rawOutputs(state.model, feedOf(state.model, parts.decide), looking);
      const bytes = target === "slim" ? result.slim.length : sizeOfTarget(target, state);
      const { accuracy } = result.rows.at(-1)!;
      return done({
        settled: target !== "slim",
        bytes,
        accuracy,
        ...distance(feed.outputs, reference, found, targetsOf(parts.decide)),
        rows: result.rows,
        result,
      });
    } finally {
      state.model.dispose();
    }
  };

  try {
    for (const recipe of fixed) await attempt(recipe);
    if (goal.kind === "budget" && !situation.forEngine)
      await spendBudget(goal.bytes, async (bytes) =>
        settled(await attempt(adaptive(situation, { bytes })), meta),
      );
    if (goal.kind === "drop" && !situation.forEngine)
      await attempt(adaptive(situation, { accuracyFloor: Math.max(0, before.accuracy - goal.share) }));
  } finally {
    bar.end();
  }
  const { chosen, met } = await settleChoice(tried, goal, before, (one) => {
    signal?.throwIfAborted();
    return settled(one, meta);
  });
  const result = chosen.result!;
  chosen.slim ??= atLeisure(result.slim, meta);
  const file = chosen.slim;
  const state = await result.load();
  try {
    const looking = { forward: state.forward, signal };
    // With the folded original: its layers have the same names.
    const comparison = await compareModels(model, state.model, parts.decide, {
      ...looking,
      scales: scalesIn(result.details),
    });
    const judge = parts.judge;
    const judged = judge && {
      before: await evaluate(given.model, judge, { signal }),
      after: await evaluate(state.model, judge, looking),
      ...(await compareModels(given.model, state.model, judge, { ...looking, layers: [] })),
    };
    return {
      original: {
        model: given.model,
        bytes: 4 * model.countParams(),
        slimBytes: slim.length,
        accuracy: before,
      },
      folded: folded.map(({ norm }) => norm),
      parts,
      labelled: examples.labelled,
      goal,
      target,
      attempts: tried.map(plainly),
      front: paretoFront(
        tried.filter(({ error }) => error === undefined),
        ({ bytes }) => bytes,
        ({ divergence }) => -divergence,
      ).map(plainly),
      chosen,
      met,
      result,
      comparison,
      ...(judged ? { judged } : {}),
      slim: file,
      slimParts: slimParts(file),
    };
  } finally {
    state.model.dispose();
    if (model !== given.model) model.dispose();
  }
}

/** How often bits by layer are chosen anew for what the coder has left of a budget. */
const adaptiveRounds = 2;

/** Bits by layer for a budget: what kernels may take is packed bits, and coded they take less, which buys more bits. */
async function spendBudget(bytes: number, attempt: (kernels: number) => Promise<Tried>): Promise<void> {
  let kernels = bytes;
  for (let round = 0; round < adaptiveRounds; round++) {
    const tried = await attempt(Math.round(kernels));
    if (tried.error !== undefined) return;
    const share = bytes / tried.bytes;
    // Close enough below, or the most bits on offer.
    if (share >= 1 && share < 1.03) return;
    kernels *= share * 0.99;
  }
}

/** What equalization has divided channels by, in the steps of a recipe: of a layer that met several, the product. */
function scalesIn(details: readonly unknown[]): Record<string, number[]> {
  const all: Record<string, number[]> = {};
  for (const step of details) {
    const { scales = {} } = Object(step) as { scales?: Record<string, number[]> };
    for (const [layer, factors] of Object.entries(scales))
      all[layer] = all[layer] ? factors.map((factor, c) => factor * all[layer][c]) : factors;
  }
  return all;
}

const plainly = ({ result: _, slim: __, ...plain }: Tried): Attempt => plain;

/** A .slim file that was coded quickly, as small as it can be. */
function atLeisure(quick: Uint8Array, meta: Record<string, unknown> = {}): Uint8Array {
  const model = decodeSlim(quick);
  const all = { ...meta, ...model.meta };
  return encodeSlim({ ...model, ...(Object.keys(all).length > 0 ? { meta: all } : {}) });
}

/** An attempt with the bytes that it will have. */
function settled(one: Tried, meta: Record<string, unknown> | undefined): Tried {
  if (one.settled || !one.result) return one;
  one.slim = atLeisure(one.result.slim, meta);
  one.bytes = one.slim.length;
  one.settled = true;
  return one;
}

/**
 * Chooses among attempts of which most are coded quickly: those that could be chosen once they are coded at leisure are,
 * the likeliest first, until the best is known.
 */
async function settleChoice(
  tried: readonly Tried[],
  goal: Goal,
  before: Evaluation,
  settle: (one: Tried) => Tried,
): Promise<{ chosen: Tried; met: boolean }> {
  const quick = new Map(tried.map((one) => [one, one.result?.slim.length ?? one.bytes]));
  settle(choose(tried, goal, before).chosen);
  for (;;) {
    // How much less it was for those that are known, and some more.
    const known = tried.filter((one) => one.settled && one.slim).map((one) => one.bytes / quick.get(one)!);
    const least = 0.95 * known.reduce((a, b) => Math.min(a, b), 1);
    const hopeful = tried.map((one) => ({ ...one, one, bytes: one.bytes * (one.settled ? 1 : least) }));
    const { one } = choose(hopeful, goal, before).chosen;
    if (one.settled) return choose(tried, goal, before);
    settle(one);
    await nextTurn();
  }
}

const targetsOf = (samples: Samples) => arraysOf(samples).targets!.map(({ values }) => values!);

/** How far outputs are from the original's for the same samples. */
export function distance(
  outputs: readonly Output[],
  reference: readonly Float32Array[],
  found: readonly Float32Array[],
  targets: readonly ArrayLike<number>[],
): Pick<Attempt, "agreement" | "divergence" | "doubt"> {
  const { agreement, divergence } = compareOutputs(outputs, reference, found);
  const doubts = outputs.map((output, o) => {
    const [p, q] = [reference[o], found[o]].map((values) => shownBy(output, values));
    const { length } = targets[o];
    let lost = 0;
    for (let i = 0; i < length; i++) {
      if (output.task === "classes") {
        const place = i * output.width + targets[o][i];
        lost += p[place] - q[place];
      } else if (output.task === "labels") lost += targets[o][i] ? p[i] - q[i] : q[i] - p[i];
    }
    return lost / length;
  });
  return { agreement, divergence, doubt: doubts.reduce((sum, one) => sum + one, 0) / doubts.length };
}

/** The attempt that meets the goal best, or comes nearest to it. */
export function choose<A extends Pick<Attempt, "bytes" | "accuracy" | "divergence" | "doubt" | "error">>(
  tried: readonly A[],
  goal: Goal,
  before: Pick<Evaluation, "accuracy" | "count">,
): { chosen: A; met: boolean } {
  const whole = tried.filter(({ error }) => error === undefined);
  if (whole.length === 0)
    throw new Error(`no recipe could be carried out: ${tried[0]?.error ?? "none was tried"}`);
  const least = (list: readonly A[], of: (one: A) => number) =>
    list.reduce((best, one) => (of(one) < of(best) ? one : best));
  if (goal.kind === "recipe") return { chosen: whole[0], met: true };
  if (goal.kind === "budget") {
    const fitting = whole.filter(({ bytes }) => bytes <= goal.bytes);
    if (fitting.length === 0) return { chosen: least(whole, ({ bytes }) => bytes), met: false };
    // Accuracies closer than chance are equal: then the one nearest to the original.
    const best = Math.max(...fitting.map(({ accuracy }) => accuracy));
    const noise = Math.sqrt(Math.max(0, best * (1 - best)) / before.count);
    const equals = fitting.filter(({ accuracy }) => accuracy >= best - noise);
    return { chosen: least(equals, ({ divergence }) => divergence), met: true };
  }
  // Among many attempts one loses nothing on a few images by chance: the right class's probability must stand, too.
  const fitting = whole.filter(
    ({ accuracy, doubt }) => Math.max(before.accuracy - accuracy, doubt) <= goal.share + 1e-12,
  );
  if (fitting.length === 0) return { chosen: least(whole, ({ accuracy }) => -accuracy), met: false };
  return { chosen: least(fitting, ({ bytes }) => bytes), met: true };
}
