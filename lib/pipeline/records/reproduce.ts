// §4.3 Runs a record: every seed's file and the networks that it is held against, each looked at once on the test images.
// What is finished stays, so that a run that was stopped goes on.

import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { slimParts } from "../../coding/index.ts";
import { type Dataset, loadDataset, MissingDataError } from "../../datasets/index.ts";
import {
  describeBackend,
  type Evaluation,
  ensureBackend,
  evaluate,
  lenet5,
  lenet300,
  loadPretrained,
  modelOfSlim,
  pretrainedSeeds,
  slimOf,
  type tf,
} from "../../nn/index.ts";
import { checkInteger, checkOneOf } from "../../util/check.ts";
import { writeFileAtomic } from "../../util/files.ts";
import { slimlabVersion } from "../../util/version.ts";
import { hash } from "../cache.ts";
import type { Recipe } from "../recipe.ts";
import { hashOfSamples, runFrom } from "../run.ts";
import {
  type Experiment,
  type ExperimentName,
  experimentNames,
  experiments,
  type RecordNetwork,
} from "./experiments.ts";
import type { Judged, Mistakes, Results, Run } from "./results.ts";
import { layerTable } from "./table.ts";

/** Options of {@link reproduce}. */
export interface ReproduceOptions {
  /** Which seeds; default 1, 2, 3. */
  seeds?: readonly number[];
  /** Where results.json and each seed's file go; with what lies there a stopped run goes on. */
  out: string;
  /** Another data set than the experiment's, by name. */
  data?: string;
  /** Whether the references are trained too (default), which takes as long as the files. */
  reference?: boolean;
  /** Where finished steps are kept; default the user's cache folder. `false` keeps none. */
  cache?: string | false;
  /** Another experiment under the name: for tests and trials. */
  experiment?: Experiment;
  /** Told what is going on and how much of the whole is done, 0 to 1. */
  onProgress?: (share: number, note: string) => void;
  signal?: AbortSignal;
}

const builders: Record<RecordNetwork, (seed: number) => tf.LayersModel> = {
  "lenet-300-100": lenet300,
  "lenet-5": lenet5,
};

/**
 * Runs a record and writes `results.json` and `seed-N.slim` to a folder.
 *
 * @throws RangeError for a name or a seed that is none, Error where no data set is on this machine
 */
export async function reproduce(name: ExperimentName, options: ReproduceOptions): Promise<Results> {
  checkOneOf("name", name, experimentNames);
  const { seeds = [1, 2, 3], out, signal, onProgress, cache } = options;
  for (const seed of seeds) checkInteger("seed", seed, 1, 2 ** 31 - 1);
  const experiment = options.experiment ?? experiments[name];
  const data = await firstHere(options.data ? [options.data] : experiment.data);
  await ensureBackend();
  await mkdir(out, { recursive: true });
  const identity = {
    name,
    title: experiment.title,
    slimlab: slimlabVersion,
    node: process.versions.node,
    backend: describeBackend(),
    data: describe(data),
    recipe: experiment.recipe,
    reference: experiment.reference,
  };
  const runs: Run[] = [];
  const keep = () =>
    writeFileAtomic(join(out, "results.json"), `${JSON.stringify({ ...identity, runs }, null, 1)}\n`);
  const total = seeds.length * (options.reference === false ? 1 : 2);
  let done = 0;
  const work = (seed: number): Work => ({
    experiment,
    data,
    seed,
    cache,
    signal,
    onProgress: (share, note) => onProgress?.((done + share) / total, `seed ${seed}: ${note}`),
  });
  /** What lies in the folder of the same work, or the work done. */
  const once = async <T>(what: string, seed: number, make: () => Promise<T>): Promise<T> => {
    const file = join(out, `seed-${seed}-${what}.json`);
    const key = hash(JSON.stringify([identity, seed, experiment.start]));
    const known = await readJson<{ key: string; value: T }>(file);
    const value = known?.key === key ? known.value : await make();
    if (known?.key !== key) await writeFileAtomic(file, JSON.stringify({ key, value }));
    done++;
    return value;
  };
  // All files first: they are what a run that is stopped early should have.
  for (const seed of seeds) {
    runs.push(
      await once("file", seed, async () => {
        const { run, slim } = await compress(work(seed));
        await writeFileAtomic(join(out, `seed-${seed}.slim`), slim);
        return run;
      }),
    );
    await keep();
  }
  for (const [i, seed] of seeds.entries()) {
    if (options.reference === false) break;
    runs[i] = { ...runs[i], reference: await once("reference", seed, () => trainReference(work(seed))) };
    await keep();
  }
  return { ...identity, runs };
}

/** Results as a folder has them; undefined where there are none. */
export function readResults(folder: string): Promise<Results | undefined> {
  return readJson(join(folder, "results.json"));
}

/** What a seed's work needs. */
interface Work extends Pick<ReproduceOptions, "cache" | "signal"> {
  experiment: Experiment;
  data: Dataset;
  seed: number;
  onProgress: (share: number, note: string) => void;
}

/** One recipe of a seed. */
function go(
  { data: { train, validation }, seed, cache, signal, onProgress }: Work,
  from: Uint8Array,
  recipe: Recipe,
  [begin, end]: readonly [number, number],
  note: string,
) {
  // No step sees the test images.
  return runFrom(from, { train, validation }, recipe, {
    seed,
    cache,
    signal,
    onProgress: (share) => onProgress(begin + share * (end - begin), note),
  });
}

/** The network that compression and reference begin with: as it ships, or trained on labels. */
async function plainOf(work: Work): Promise<{ plain: Uint8Array; from: string }> {
  const { start } = work.experiment;
  const { bytes, from } = await startOf(work.experiment, work.seed);
  if (!("train" in start)) return { plain: bytes, from };
  return { plain: (await go(work, bytes, start.train, [0, 0.2], "labels")).slim, from };
}

async function trainReference(work: Work): Promise<Judged> {
  const { plain } = await plainOf(work);
  const { slim } = await go(work, plain, work.experiment.reference, [0.2, 1], "the reference");
  return judged(slim, work.data);
}

async function compress(work: Work): Promise<{ run: Run; slim: Uint8Array }> {
  const { data, experiment, seed } = work;
  const { plain, from } = await plainOf(work);
  const result = await go(work, plain, experiment.recipe, [0.2, 1], "the file");
  const { model, compression } = await result.load();
  const isPaper = Object.keys(compression.clustered).length > 0;
  const table = isPaper ? await layerTable(model, compression) : undefined;
  model.dispose();
  const { slim } = result;
  const run: Run = {
    seed,
    start: from,
    bytes: slim.length,
    sha256: createHash("sha256").update(slim).digest("hex"),
    ratio: result.rows.at(-1)!.ratio,
    compressed: await judged(slim, data),
    plain: await judged(plain, data),
    rows: result.rows.map(({ technique, accuracy, bytes, sparsity, seconds, note }) => ({
      technique,
      accuracy,
      bytes,
      sparsity,
      seconds,
      note,
    })),
    parts: slimParts(slim).map(({ tensor, stream, bytes }) => ({ tensor, stream, bytes })),
    ...(table ? { table } : {}),
  };
  return { run, slim };
}

/** The network to begin with, as bytes, and in words. */
async function startOf({ start, network }: Experiment, seed: number) {
  if ("train" in start) return bytesOf(builders[network](seed), `fresh, seed ${seed}`);
  const seeds: readonly number[] = pretrainedSeeds[start.shipped];
  const own = seeds.includes(seed) ? seed : 1;
  return bytesOf(
    await loadPretrained(start.shipped, { seed: own }),
    `${start.shipped}, seed ${own}, which ships`,
  );
}

async function bytesOf(model: tf.LayersModel, from: string): Promise<{ bytes: Uint8Array; from: string }> {
  try {
    return { bytes: await slimOf(model), from };
  } finally {
    model.dispose();
  }
}

/** What the decoded file says of the images. */
async function judged(slim: Uint8Array, { validation, test }: Dataset): Promise<Judged> {
  const { model } = await modelOfSlim(slim);
  try {
    return {
      validation: mistakes(await evaluate(model, validation)),
      test: mistakes(await evaluate(model, test)),
    };
  } finally {
    model.dispose();
  }
}

const mistakes = ({ correct, count, loss }: Evaluation): Mistakes => ({
  errors: count - correct,
  count,
  loss: Number(loss.toFixed(6)),
});

/** The first data set that is on this machine; the last one may be downloaded. */
async function firstHere(names: readonly string[]): Promise<Dataset> {
  for (const name of names.slice(0, -1)) {
    try {
      return await loadDataset(name, { download: false });
    } catch (error) {
      // What is here but damaged is an error, and no reason to take another.
      if (!(error instanceof MissingDataError)) throw error;
    }
  }
  return loadDataset(names.at(-1)!);
}

function describe({ name, train, validation, test }: Dataset): Results["data"] {
  return {
    name,
    sha256: hash(...[train, validation, test].map(hashOfSamples)),
    train: train.count,
    validation: validation.count,
    test: test.count,
  };
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
