// §2.3 Runs a recipe: step after step, each from the .slim file that the one before has left, so that what is measured
// is what is stored, and a run that was interrupted goes on with the same numbers.

import { costOf } from "../analysis/index.ts";
import type { SlimOptions } from "../coding/index.ts";
import { decidingSamples, isSplit, type Numbers, type Samples } from "../datasets/index.ts";
import {
  type ActivationQuantizers,
  type Compression,
  type Evaluation,
  ensureBackend,
  evaluate,
  type Forward,
  layerShapesOf,
  loadDanfo,
  loadPretrained,
  modelOfSlim,
  type PretrainedName,
  slimOf,
  type tf,
  weightsOf,
} from "../nn/index.ts";
import { checkInteger } from "../util/check.ts";
import { display } from "../util/display.ts";
import { writeFileAtomic } from "../util/files.ts";
import { progress } from "../util/progress.ts";
import { type TableBundle, tableOf } from "../util/table.ts";
import { slimlabVersion } from "../util/version.ts";
import { hash, keep, lookUp, stepsFolder, trimCache } from "./cache.ts";
import { forwardOf, type State } from "./hold.ts";
import { canonical, checkRecipe, type Recipe, stepName } from "./recipe.ts";
import type { Outcome, PipelineData } from "./technique.ts";
import { applyStep, type Step, type TechniqueName } from "./techniques.ts";

/** One line of a result: a step, and the model after it. */
export interface Row {
  /** 0 is the model as it was given. */
  step: number;
  technique: TechniqueName | "original";
  /** On `validation`, or on `test` where there is none. */
  accuracy: number;
  loss: number;
  /** Exact length of the model as a .slim file. */
  bytes: number;
  /** Bytes of the original's parameters as 32-bit floats, over `bytes`. */
  ratio: number;
  parameters: number;
  /** Multiply-accumulates for one example, zeros included. */
  macs: number;
  /** Share of the kernels' weights that are 0. */
  sparsity: number;
  /** What the step took, when it was computed. */
  seconds: number;
  /** Whether it was computed earlier, and found in the cache. */
  cached: boolean;
  note: string;
}

/** Options of {@link runRecipe}. */
export interface RunOptions {
  /** Fixes everything random; default 1. */
  seed?: number;
  /**
   * Where finished steps are kept; by default in the user's cache folder for slimlab. `false` keeps nothing. Beyond a
   * gigabyte, those that have not been used for longest go.
   */
  cache?: string | false;
  /** Shows a progress bar on standard error. */
  progress?: boolean;
  /** Called as each row is known. */
  onRow?: (row: Row) => void;
  /** Told how far the whole run is, 0 to 1. */
  onProgress?: (share: number) => void;
  /**
   * The version of the .slim files that steps leave, `auto` (default) for the smaller one; 1 takes a fraction of the time
   * where recipes are many, and the last file can be coded anew.
   */
  version?: SlimOptions["version"];
  signal?: AbortSignal;
}

/** What a recipe made: a table, and the model after the last step. */
export class RecipeResult {
  readonly recipe: Recipe;
  readonly rows: Row[];
  /** What each row's step has to say beside its note: factorized layers, the history of pruning; undefined if nothing. */
  readonly details: unknown[];
  /** The bytes of the last step's .slim file. */
  readonly slim: Uint8Array;

  constructor(recipe: Recipe, rows: Row[], details: unknown[], slim: Uint8Array) {
    this.recipe = recipe;
    this.rows = rows;
    this.details = details;
    this.slim = slim;
  }

  /** The compressed model, ready to run; each call makes a new one, which the caller disposes of. */
  async load(): Promise<{
    model: tf.LayersModel;
    compression: Compression;
    activations?: ActivationQuantizers;
    /** From images to logits, where activations are quantized: for `evaluate` and `train`. */
    forward?: Forward;
  }> {
    const state = await stateOf(this.slim);
    const forward = forwardOf(state);
    return { ...state, ...(forward ? { forward } : {}) };
  }

  /**
   * Evaluates the model of the last step on images that no decision has seen: once, when the recipe is settled.
   *
   * @returns share of them classified right, their mean cross-entropy, and how many are right
   */
  async evaluate(samples: Samples): Promise<Evaluation> {
    const state = await stateOf(this.slim);
    try {
      return await evaluate(state.model, samples, { forward: forwardOf(state) });
    } finally {
      state.model.dispose();
    }
  }

  /** Writes the compressed model to a .slim file; resolves to its length. */
  async save(path: string): Promise<number> {
    await writeFileAtomic(path, this.slim);
    return this.slim.length;
  }

  /** The rows as a danfojs DataFrame, where danfojs-node is installed. */
  toDataFrame(): Promise<DataFrame> {
    return toDataFrame(this.rows);
  }

  /** What a page has room for; the rows have all of it. */
  [display](): TableBundle {
    const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
    return tableOf(
      ["step", "technique", "accuracy", "loss", "bytes", "times smaller", "zeros", "seconds", "note"],
      this.rows.map((row) => [
        String(row.step),
        row.technique,
        percent(row.accuracy),
        row.loss.toFixed(3),
        row.bytes.toLocaleString("en"),
        row.ratio.toFixed(1),
        percent(row.sparsity),
        // A step that was kept from an earlier run took its time then, perhaps elsewhere.
        row.cached ? "cached" : row.seconds.toFixed(1),
        row.note,
      ]),
    );
  }
}

type DataFrame = InstanceType<Awaited<ReturnType<typeof loadDanfo>>["DataFrame"]>;

/**
 * Rows as a danfojs DataFrame.
 * @throws Error where the optional package danfojs-node is not installed
 */
export async function toDataFrame(rows: readonly object[]): Promise<DataFrame> {
  const { DataFrame } = await loadDanfo();
  return new DataFrame(rows.map((row) => ({ ...row })));
}

/**
 * Applies a recipe to a model (§2.3).
 *
 * Later steps keep what earlier ones did: masks hold in every training; fixed-point weights are trained straight
 * through their grid and rounded again; clustered weights move as one. Only factorizing ends the masks of the layers
 * that it replaces, since factors of a sparse matrix are dense; bits and clusters pass on to the factors.
 *
 * Each step is kept in the cache under a hash of the model, the data, the backend, the seeds and all steps up to it, so
 * a run that was interrupted, or shares its beginning with another, takes up what there is.
 *
 * @param model stays as it is
 * @param data `train` for training and scores, `validation` for the rows and for decisions (default `test`)
 * @throws RangeError for a recipe that cannot be read, and Error from the step that fails: both name the step, counted
 *   from 1, and the field
 */
export async function runRecipe(
  model: tf.LayersModel,
  data: PipelineData,
  recipe: Recipe,
  options: RunOptions = {},
): Promise<RecipeResult> {
  checkRecipe(recipe);
  await ensureBackend();
  return runFrom(await slimOf(model), data, recipe, options);
}

/** {@link runRecipe} from the bytes of a .slim file. */
export async function runFrom(
  original: Uint8Array,
  data: PipelineData,
  recipe: Recipe,
  options: RunOptions = {},
): Promise<RecipeResult> {
  const { seed = 1, signal, onRow, onProgress, version = "auto" } = options;
  checkRecipe(recipe);
  checkInteger("seed", seed, 0, 2 ** 32 - 1);
  const backend = await ensureBackend();
  const store = stepsFolder(options.cache) || undefined;
  const bar = options.progress ? progress("recipe", recipe.length) : undefined;

  const rows: Row[] = [];
  const details: unknown[] = [];
  // Another version of slimlab may do a step differently: its results are its own.
  const images = hashOf(data);
  const coded = version === "auto" ? [] : [`version ${version}`];
  let key = hash(`slimlab ${slimlabVersion} recipe`, backend, hash(original), images, ...coded);
  let slim = original;
  let parameterBytes = 0;
  let told = false;
  const add = async (step: Step | undefined, compute: () => Promise<Computed>): Promise<void> => {
    const place = rows.length;
    const known = store === undefined ? undefined : await lookUp(store, key, isEntry);
    const { entry, bytes } = known ?? (await compute());
    const failed = store === undefined || known ? undefined : await keep(store, key, entry, bytes);
    if (failed && !told) {
      told = true;
      console.warn(`steps of this recipe are not kept for the next time: ${failed.message}`);
    }
    slim = bytes;
    if (place === 0) parameterBytes = 4 * entry.parameters;
    const { details: more, note, ...numbers } = entry;
    rows.push({
      step: place,
      technique: step?.technique ?? "original",
      ...numbers,
      ratio: parameterBytes / numbers.bytes,
      cached: known !== undefined,
      note,
    });
    details.push(more);
    onRow?.(rows[place]);
  };
  try {
    await add(undefined, async () => {
      const start = performance.now();
      const state = await stateOf(original);
      const entry = await measure(state, original, decidingSamples(data), signal);
      state.model.dispose();
      return { entry: { ...entry, seconds: secondsSince(start), note: "" }, bytes: original };
    });
    for (const [i, step] of recipe.entries()) {
      signal?.throwIfAborted();
      // The same step in the same place has the same seed in every recipe: what recipes share is computed once.
      const stepSeed = step.seed ?? (Math.imul(seed, 0x9e3779b1) + 1000 * (i + 1)) >>> 1;
      key = hash(key, canonical(step), String(stepSeed));
      const share = (done: number, of = i) => {
        bar?.update(Math.floor((of + done) * 100) / 100, step.technique);
        onProgress?.((of + done) / recipe.length);
      };
      share(0);
      await add(step, async () => {
        try {
          return await compute(step, slim, stepSeed, share);
        } catch (error) {
          if (signal?.aborted) throw error;
          const message = `${stepName(step, i + 1)}: ${(error as Error).message}`;
          throw error instanceof RangeError
            ? new RangeError(message, { cause: error })
            : new Error(message, { cause: error });
        }
      });
      share(1);
    }
    if (store !== undefined) await trimCache(store, 1e9);
    bar?.end(`done: ${recipe.length} steps, ${rows.at(-1)!.ratio.toFixed(1)} times smaller`);
  } catch (error) {
    bar?.end();
    throw error;
  }
  return new RecipeResult(recipe, rows, details, slim);

  async function compute(
    step: Step,
    from: Uint8Array,
    stepSeed: number,
    share: (done: number) => void,
  ): Promise<Computed> {
    const start = performance.now();
    const state = await stateOf(from);
    try {
      const { note, details: more }: Outcome = await applyStep(state, step, {
        data,
        seed: stepSeed,
        teacher: async (name) =>
          name === "original" ? (await stateOf(original)).model : loadPretrained(name as PretrainedName),
        teacherKey: (name) => hash(name === "original" ? hash(original) : name, images),
        progress: share,
        signal,
      });
      const seconds = secondsSince(start);
      const bytes = await slimOf(state.model, {
        ...state.compression,
        version,
        ...(state.activations ? { meta: { activations: state.activations } } : {}),
      });
      const entry = await measure(state, bytes, decidingSamples(data), signal);
      return { entry: { ...entry, seconds, note, ...(more === undefined ? {} : { details: more }) }, bytes };
    } finally {
      state.model.dispose();
    }
  }
}

/** What the cache keeps of a step beside the model. */
interface Entry extends Pick<Row, "accuracy" | "loss" | "bytes" | "parameters" | "macs" | "sparsity"> {
  seconds: number;
  note: string;
  details?: unknown;
}

const counted = ["accuracy", "loss", "bytes", "parameters", "macs", "sparsity", "seconds"] as const;

function isEntry(value: unknown): value is Entry {
  const entry = Object(value) as Record<string, unknown>;
  return counted.every((field) => typeof entry[field] === "number") && typeof entry.note === "string";
}

interface Computed {
  entry: Entry;
  bytes: Uint8Array;
}

async function stateOf(slim: Uint8Array): Promise<State> {
  const { model, compression, meta } = await modelOfSlim(slim, "the model");
  const { activations } = meta as { activations?: ActivationQuantizers };
  return { model, compression, ...(activations ? { activations } : {}) };
}

async function measure(
  state: State,
  slim: Uint8Array,
  images: Samples,
  signal: AbortSignal | undefined,
): Promise<Omit<Entry, "seconds" | "note">> {
  const { accuracy, loss } = await evaluate(state.model, images, { signal, forward: forwardOf(state) });
  const { parameters, macs } = costOf(layerShapesOf(state.model));
  let zeros = 0;
  let count = 0;
  for (const kernel of Object.values(weightsOf(state.model))) {
    count += kernel.length;
    for (const value of kernel) if (value === 0) zeros++;
  }
  return { accuracy, loss, bytes: slim.length, parameters, macs, sparsity: zeros / count };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Numbers): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** SHA-256 of what samples hold, and of what they are judged by. */
export function hashOfSamples(samples: Samples): string {
  if (isSplit(samples)) {
    const { count, height, width, channels, scaling } = samples;
    return hash(
      `${count} ${height} ${width} ${channels}${scaling ? canonical(scaling) : ""}`,
      bytesOf(samples.images),
      bytesOf(samples.labels),
    );
  }
  const { inputs, targets = [], count, measure } = samples;
  return hash(
    String(count),
    ...inputs.flatMap(({ values, shape, scaling }) => [
      `input ${kindOfArray(values)} ${shape.join(" ")} ${scaling ? canonical(scaling) : ""}`,
      bytesOf(values),
    ]),
    ...targets.flatMap(({ task, values }) => [
      `target ${task ?? ""} ${values ? kindOfArray(values) : ""}`,
      values ? bytesOf(values) : "",
    ]),
    // A function is known by its text: what it reaches beside it is not seen.
    measure ? `measure ${measure.name} ${measure.of}` : "",
  );
}

const kindOfArray = (values: Numbers): string => Object.prototype.toString.call(values);

function hashOf({ train, test, validation }: PipelineData): string {
  // Test images have no part in what a recipe makes, unless they serve for its decisions.
  const deciding = validation ?? test;
  return hash(hashOfSamples(train), deciding ? hashOfSamples(deciding) : "");
}

const secondsSince = (start: number): number => (performance.now() - start) / 1000;
