// §2.3 "The order of techniques and their parameters decide the result, so it takes many experiments": here they are
// made. Random recipes first, then variations of the best ones (the Pareto front so far), on all cores.

import { paretoFront } from "../analysis/index.ts";
import { ensureBackend, slimOf, type tf } from "../nn/index.ts";
import { cellSignal } from "../util/abort.ts";
import { checkInteger, checkNumber, checkOneOf, shown } from "../util/check.ts";
import { display } from "../util/display.ts";
import { progress } from "../util/progress.ts";
import { type Random, seeded } from "../util/random.ts";
import { recordsTable, type TableBundle } from "../util/table.ts";
import { stepsFolder } from "./cache.ts";
import { Pool, type Workers } from "./pool.ts";
import { usualWorkers } from "./process.ts";
import { QueueWorkers } from "./queue.ts";
import { canonical, checkRecipe, type Recipe, stepName } from "./recipe.ts";
import { toDataFrame } from "./run.ts";
import type { PipelineData } from "./technique.ts";
import type { Step } from "./techniques.ts";
import type { WorkerAnswer, WorkerStart } from "./work.ts";

/** A value that the search chooses. */
export type Choice<T = unknown> =
  | { oneOf: readonly T[] }
  /** A number between the two, in steps if given; `log` for rates and other sizes that differ by factors. */
  | { from: number; to: number; step?: number; log?: boolean };

/** A step of a recipe in which any value may be a {@link Choice}; `optional` steps may be left out. */
export type StepSpace = { technique: Step["technique"]; optional?: boolean } & Record<string, unknown>;

/** Whether steps keep their order or are tried in every order. */
export const orders = ["fixed", "any"] as const;
export type Order = (typeof orders)[number];

/** The recipes to search, as data. */
export interface Space {
  steps: readonly StepSpace[];
  /** `any` tries the steps in every order; default `fixed`. */
  order?: Order;
  /** Steps that follow each of `steps`: fine-tuning, say. */
  after?: readonly StepSpace[];
  /** Steps at the end. */
  last?: readonly StepSpace[];
}

export interface SearchOptions {
  /** How many recipes to run; default 20. Fewer if the space has no more. */
  trials?: number;
  /** How many of them are drawn at random before the best are varied; default half. */
  explore?: number;
  /** No trial starts, or goes to a queue, after so many seconds; which ones ran then depends on the machine. */
  seconds?: number;
  /** Fixes the recipes and everything random in them, whatever the number of workers; default 1. */
  seed?: number;
  /**
   * Processes, each with a backend of its own; default one a core. On a page they are workers, by default at most four:
   * each takes memory.
   */
  workers?: number;
  /** The address of a queue: its workers (`slimlab grade-worker`) run the trials, and not this machine. */
  queue?: string;
  /** Called when there is something that a person should do, such as starting a worker at the queue. */
  onNotice?: (notice: string) => void;
  /** As for `runRecipe`; workers share it, so common beginnings are computed once. */
  cache?: string | false;
  /** Shows a progress bar on standard error. */
  progress?: boolean;
  onTrial?: (trial: Trial) => void;
  /** Ends all workers at once. So does an interrupt of the cell that waits for the search, in a browser. */
  signal?: AbortSignal;
}

/** One recipe and what came of it. */
export interface Trial extends WorkerAnswer {
  /** From 1, in the order in which recipes were drawn. */
  trial: number;
  recipe: Recipe;
  /** The recipe in short. */
  label: string;
}

/** A trial as a flat row. */
export interface TrialRow {
  trial: number;
  recipe: string;
  accuracy: number;
  bytes: number;
  ratio: number;
  parameters: number;
  macs: number;
  sparsity: number;
  seconds: number;
  /** Whether no other trial is both smaller and more accurate. */
  front: boolean;
  error: string;
}

/** All trials of a search, and the best of them. */
export class SearchResult {
  readonly trials: Trial[];
  /** The trials that no other beats in both bytes and accuracy, smallest first. */
  readonly front: Trial[];

  constructor(trials: Trial[]) {
    this.trials = trials;
    this.front = frontOf(trials);
  }

  /** The trials as plain rows, in their order. */
  get rows(): TrialRow[] {
    return this.trials.map((trial) => {
      const last = trial.rows.at(-1);
      const number = (key: "accuracy" | "bytes" | "ratio" | "parameters" | "macs" | "sparsity") =>
        last?.[key] ?? Number.NaN;
      return {
        trial: trial.trial,
        recipe: trial.label,
        accuracy: number("accuracy"),
        bytes: number("bytes"),
        ratio: number("ratio"),
        parameters: number("parameters"),
        macs: number("macs"),
        sparsity: number("sparsity"),
        seconds: trial.seconds,
        front: this.front.includes(trial),
        error: trial.error ?? "",
      };
    });
  }

  /** The trials as a danfojs DataFrame, where danfojs-node is installed. */
  toDataFrame() {
    return toDataFrame(this.rows);
  }

  [display](): TableBundle {
    return recordsTable(this.rows);
  }
}

/**
 * Searches recipes for the best trades of bytes against accuracy (§2.3).
 *
 * Half of the trials are drawn at random from the space; then, in rounds of four, recipes of the Pareto front so far are
 * varied. Which recipes run, and what comes of them, depends on the seed alone and not on the number of workers, as long
 * as no time limit ends the search. A recipe that cannot be carried out is a trial with an error.
 *
 * @throws RangeError for a space that cannot be read; Error when no worker process can be started
 */
export async function search(
  model: tf.LayersModel,
  data: PipelineData,
  space: Space,
  options: SearchOptions = {},
): Promise<SearchResult> {
  const { trials: most = 20, seconds = Number.POSITIVE_INFINITY, seed = 1, onTrial } = options;
  const signals = [options.signal, cellSignal()].filter((signal) => signal !== undefined);
  checkInteger("trials", most, 1);
  const explore = checkInteger("explore", options.explore ?? Math.ceil(most / 2), 1);
  const workers = checkInteger("workers", options.workers ?? usualWorkers(), 1);
  checkInteger("seed", seed, 0, 2 ** 32 - 1);
  checkNumber("seconds", seconds, 0);
  const genes = genesOf(space);
  const random = seeded(seed);
  const draw = () => Float64Array.from({ length: genes.count }, random);
  // Whatever can be drawn must be a recipe; a few draws find what is wrong before any work is done.
  for (const point of [new Float64Array(genes.count), ...Array.from({ length: 20 }, draw)])
    checkRecipe(genes.decode(point));

  const backend = await ensureBackend();
  const job: WorkerStart = {
    slim: await slimOf(model),
    data,
    seed,
    cache: stepsFolder(options.cache),
  };
  const start = performance.now();
  const pool: Workers =
    options.queue === undefined
      ? new Pool(Math.min(workers, most), backend, job)
      : await QueueWorkers.open(options.queue, job, options.onNotice);
  const bar = options.progress ? progress("search", most) : undefined;
  const trials: Trial[] = [];
  const points: Float64Array[] = [];
  const seen = new Set<string>();
  const stop = ({ target }: Event) => void pool.end((target as AbortSignal).reason);
  for (const signal of signals) {
    signal.throwIfAborted();
    signal.addEventListener("abort", stop);
  }

  /** A point whose recipe has not been tried; undefined when none turns up any more. */
  const fresh = (make: () => Float64Array): Float64Array | undefined => {
    for (let attempt = 0; attempt < 200; attempt++) {
      const point = make();
      const key = canonical(genes.decode(point));
      if (!seen.has(key)) {
        seen.add(key);
        return point;
      }
    }
    return undefined;
  };
  try {
    while (points.length < most && performance.now() - start < seconds * 1000) {
      const exploring = points.length < explore;
      const parents = frontOf(trials).map(({ trial }) => points[trial - 1]);
      const round: Float64Array[] = [];
      const size = exploring ? Math.min(explore, most) : Math.min(4, most - points.length);
      while (round.length < size) {
        const varied = () => vary(parents[Math.floor(random() * parents.length)], random);
        const point = fresh(exploring || parents.length === 0 ? draw : varied) ?? fresh(draw);
        if (!point) break;
        round.push(point);
      }
      if (round.length === 0) break;
      const first = points.length;
      points.push(...round);
      const done = await Promise.all(
        round.map(async (point, i): Promise<Trial | undefined> => {
          const recipe = genes.decode(point);
          const result = await pool.run(recipe, () => performance.now() - start < seconds * 1000);
          if (!result) return undefined;
          const trial = { trial: first + i + 1, recipe, label: labelOf(recipe), ...result };
          onTrial?.(trial);
          bar?.update(trials.length + i + 1, trial.label);
          return trial;
        }),
      );
      trials.push(...done.filter((trial) => trial !== undefined));
    }
    bar?.end(`done: ${trials.length} trials, ${frontOf(trials).length} on the front`);
    return new SearchResult(trials);
  } catch (error) {
    bar?.end();
    throw error;
  } finally {
    for (const signal of signals) signal.removeEventListener("abort", stop);
    await pool.end();
  }
}

function frontOf(trials: Trial[]): Trial[] {
  return paretoFront(
    trials.filter(({ rows }) => rows.length > 0),
    ({ rows }) => rows.at(-1)!.bytes,
    ({ rows }) => rows.at(-1)!.accuracy,
  );
}

/** A variation of a point: one or a few coordinates anew, half of them near where they were. */
function vary(point: Float64Array, random: Random): Float64Array {
  const child = point.slice();
  const forced = Math.floor(random() * child.length);
  for (let i = 0; i < child.length; i++) {
    if (i !== forced && random() * child.length >= 1) continue;
    const near = child[i] + 0.3 * (random() - 0.5);
    child[i] = random() < 0.5 ? random() : Math.min(1 - Number.EPSILON, Math.max(0, near));
  }
  return child;
}

/** A space as points of a unit cube: one coordinate for each choice, each optional step, and each place in the order. */
function genesOf(space: Space): { count: number; decode: (point: Float64Array) => Recipe } {
  if (typeof space !== "object" || space === null || !Array.isArray(space.steps))
    throw new RangeError(`a space must be an object with steps, got ${shown(space)}`);
  const { steps, order = "fixed", after = [], last = [] } = space;
  checkOneOf("order", order, orders);
  if (steps.length + last.length === 0) throw new RangeError("steps must have at least one step, got none");
  let count = 0;
  const decoders = [...steps, ...after, ...last].map((step, i) => {
    if (typeof step !== "object" || step === null)
      throw new RangeError(
        `step ${i + 1} of the space must be an object with a technique, got ${shown(step)}`,
      );
    const { optional = false, ...fields } = step;
    const gate = optional ? count++ : -1;
    try {
      const value = decoderOf(fields, () => count++);
      return (point: Float64Array) => (optional && point[gate] < 0.5 ? undefined : (value(point) as Step));
    } catch (error) {
      throw new RangeError(
        `${stepName(step as unknown as Step, i + 1)} of the space: ${(error as Error).message}`,
      );
    }
  });
  const places = count;
  if (order === "any") count += steps.length;
  const [main, following, ending] = [
    decoders.slice(0, steps.length),
    decoders.slice(steps.length, steps.length + after.length),
    decoders.slice(steps.length + after.length),
  ];
  return {
    count,
    decode(point) {
      const sequence = main.map((_, i) => i);
      if (order === "any") sequence.sort((a, b) => point[places + a] - point[places + b] || a - b);
      const recipe: Step[] = [];
      const add = (step: Step | undefined) => {
        if (step) recipe.push(step);
        return step !== undefined;
      };
      for (const i of sequence) if (add(main[i](point))) for (const step of following) add(step(point));
      for (const step of ending) add(step(point));
      return recipe;
    },
  };
}

/** How a value, or any choice inside it, comes from a point. */
function decoderOf(value: unknown, next: () => number): (point: Float64Array) => unknown {
  if (typeof value !== "object" || value === null) return () => value;
  if (Array.isArray(value)) {
    const parts = value.map((part) => decoderOf(part, next));
    return (point) => parts.map((part) => part(point));
  }
  if ("oneOf" in value) {
    const { oneOf } = value as { oneOf: unknown };
    if (!Array.isArray(oneOf) || oneOf.length === 0)
      throw new RangeError(`oneOf must be a list of at least one value, got ${shown(oneOf)}`);
    const at = next();
    return (point) => oneOf[Math.floor(point[at] * oneOf.length)];
  }
  if ("from" in value || "to" in value) {
    const { from, to, step, log } = value as { from: number; to: number; step?: number; log?: boolean };
    checkNumber("from", from);
    checkNumber("to", to, from);
    if (step !== undefined) checkNumber("step", step, Number.MIN_VALUE);
    if (log) checkNumber("from", from, Number.MIN_VALUE);
    const at = next();
    return (point) => {
      if (step !== undefined && !log) {
        const count = Math.floor((to - from) / step + 1e-9) + 1;
        return Number((from + step * Math.floor(point[at] * count)).toPrecision(12));
      }
      const between = log ? from * (to / from) ** point[at] : from + (to - from) * point[at];
      // Three digits are as fine as any experiment sees, and readable.
      return Math.min(to, Math.max(from, Number(between.toPrecision(3))));
    };
  }
  const parts = Object.entries(value).map(([name, part]) => [name, decoderOf(part, next)] as const);
  return (point) => Object.fromEntries(parts.map(([name, part]) => [name, part(point)]));
}

/** A recipe in a line. */
export function labelOf(recipe: Recipe): string {
  const short = (value: unknown): string => {
    if (Array.isArray(value)) return `[${value.map(short).join(", ")}]`;
    if (typeof value !== "object" || value === null) return String(value);
    const parts = Object.entries(value).map(([name, part]) => `${name} ${short(part)}`);
    return `{${parts.join(", ")}}`;
  };
  return recipe
    .map(({ technique, ...fields }) => {
      const parts = Object.entries(fields).map(([name, value]) => `${name} ${short(value)}`);
      return parts.length > 0 ? `${technique} (${parts.join(", ")})` : technique;
    })
    .join(" → ");
}
