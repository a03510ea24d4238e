// §4.3 The records' results that ship in datasets/records: what `slimlab reproduce` wrote there, and compares with.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkOneOf } from "../../util/check.ts";
import { packageRoot } from "../../util/files.ts";
import { type ExperimentName, experimentNames } from "./experiments.ts";
import { readResults, reproduce } from "./reproduce.ts";
import type { Results, Run } from "./results.ts";

/** Where results lie that ship: a folder by name, with results.json and seed-N.slim. */
export const recordFolder: string = join(packageRoot, "datasets", "records");

/** A record's results, and its best file: of the seeds, the one with the fewest mistakes on validation images. */
export interface LoadedRecord {
  results: Results;
  best: Run;
  slim: Uint8Array;
}

/** Whether results of a record ship. */
export async function hasRecord(name: ExperimentName): Promise<boolean> {
  return (await readResults(join(recordFolder, name))) !== undefined;
}

/**
 * The results of a record that ship, or with `SLIMLAB_FULL=1` those of running it here, in `.slimlab/records`.
 *
 * @throws Error where none ship, which says how to run it
 */
export async function loadRecord(name: ExperimentName): Promise<LoadedRecord> {
  checkOneOf("name", name, experimentNames);
  const full = process.env.SLIMLAB_FULL === "1";
  const folder = full ? join(".slimlab", "records", name) : join(recordFolder, name);
  const results = full ? await reproduce(name, { out: folder }) : await readResults(folder);
  if (!results) throw new Error(`no results of ${name} ship: npx slimlab reproduce ${name} makes them`);
  const [best] = results.runs.toSorted(
    (a, b) => a.compressed.validation.errors - b.compressed.validation.errors || a.bytes - b.bytes,
  );
  return { results, best, slim: new Uint8Array(await readFile(join(folder, `seed-${best.seed}.slim`))) };
}
