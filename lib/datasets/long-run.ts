// Experiments that take longer than a chapter may: they were run once by datasets/long-runs/make.ts, and what they measured
// ships as data. SLIMLAB_FULL=1 runs them anew.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { packageRoot, writeFileAtomic } from "../util/files.ts";
import { slimlabVersion } from "../util/version.ts";

/** A result as it lies in datasets/long-runs. */
export interface LongRun<T = unknown> {
  name: string;
  slimlab: string;
  node: string;
  /** What the run took on the machine that made it. */
  seconds: number;
  /** SHA-256 of what the cell does that measured it: a test holds it against the chapter's cell. */
  cell?: string;
  result: T;
}

/** Where the results lie that ship. */
export const longRunFolder: string = join(packageRoot, "datasets", "long-runs");

/**
 * What a long experiment measured: the result that ships, or with `SLIMLAB_FULL=1` that of running it here.
 *
 * @param name the result's name: small letters, digits, dots and hyphens
 * @param run the experiment; what it resolves to must be plain JSON
 * @throws Error that names the file where there is none, and says how to run the experiment
 */
export async function longRun<T>(name: string, run: () => Promise<T>): Promise<T> {
  if (!/^[a-z0-9][a-z0-9.-]*$/.test(name))
    throw new RangeError(`name must be small letters, digits, dots and hyphens, got ${JSON.stringify(name)}`);
  if (process.env.SLIMLAB_FULL !== "1") return (await shippedRun<T>(name)).result;
  const started = performance.now();
  const result = JSON.parse(JSON.stringify(await run())) as T;
  const seconds = Math.round((performance.now() - started) / 1000);
  const folder = process.env.SLIMLAB_LONG_RUNS; // where make.ts gathers what it has run
  if (folder) {
    const record: LongRun<T> = {
      name,
      slimlab: slimlabVersion,
      node: process.versions.node,
      seconds,
      result,
    };
    await writeFileAtomic(join(folder, `${name}.json`), `${JSON.stringify(record, null, 1)}\n`);
  }
  return result;
}

async function shippedRun<T>(name: string): Promise<LongRun<T>> {
  const path = join(longRunFolder, `${name}.json`);
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (error) {
    throw new Error(`${path} is missing or damaged: with SLIMLAB_FULL=1 the experiment runs here`, {
      cause: error,
    });
  }
}
