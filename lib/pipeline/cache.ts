// §2.3 What finished steps leave behind, so that a run goes on where it was, and shares its beginning with others: a .slim
// file and what was measured of it, under a key that says everything the step depended on.

import { createHash } from "node:crypto";
import { readdir, readFile, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolder } from "../datasets/index.ts";
import { writeFileAtomic } from "../util/files.ts";

/**
 * Where steps are kept.
 *
 * @param cache what the caller says; by default the user's cache folder, and nothing where `SLIMLAB_STEPS` is "off": who
 *   measures how long code takes must not meet what it has computed before
 */
export function stepsFolder(cache: string | false | undefined): string | false {
  return cache ?? (process.env.SLIMLAB_STEPS === "off" ? false : join(cacheFolder(), "pipeline"));
}

/** SHA-256 of parts, each with its length, so that parts cannot run into each other. */
export function hash(...parts: (string | Uint8Array)[]): string {
  const sum = createHash("sha256");
  for (const part of parts) sum.update(`${part.length}:`).update(part);
  return sum.digest("hex");
}

/** What vouches for a step: that this entry and this model were kept under this key. */
const sealOf = (key: string, entry: unknown, bytes: Uint8Array): string =>
  hash(key, JSON.stringify(entry), bytes);

/**
 * A step in the cache; undefined if it is not there whole, as it was kept: whatever cannot be read is computed anew.
 *
 * @param isEntry whether a value has what an entry must have
 */
export async function lookUp<Entry>(
  folder: string,
  key: string,
  isEntry: (value: unknown) => value is Entry,
): Promise<{ entry: Entry; bytes: Uint8Array } | undefined> {
  const files = ["json", "slim"].map((kind) => join(folder, `${key}.${kind}`));
  let found: { entry: Entry; bytes: Uint8Array };
  try {
    const { entry, seal } = JSON.parse(await readFile(files[0], "utf8"));
    const bytes = new Uint8Array(await readFile(files[1]));
    if (seal !== sealOf(key, entry, bytes) || !isEntry(entry)) return undefined;
    found = { entry, bytes };
  } catch {
    return undefined;
  }
  const now = new Date();
  // In a folder that may only be read, such as a class shares, what is used last is someone else's to know.
  for (const file of files) await utimes(file, now, now).catch(() => {});
  return found;
}

/**
 * Keeps a step. The model first: an entry without its model is not there.
 *
 * @returns why it could not be kept, in a folder that may not be written; the run goes on without
 */
export async function keep(
  folder: string,
  key: string,
  entry: unknown,
  bytes: Uint8Array,
): Promise<Error | undefined> {
  // As it will be read: JSON leaves out what is undefined, and has no Infinity.
  const seal = sealOf(key, JSON.parse(JSON.stringify(entry)), bytes);
  try {
    await writeFileAtomic(join(folder, `${key}.slim`), bytes);
    await writeFileAtomic(join(folder, `${key}.json`), JSON.stringify({ entry, seal }));
    return undefined;
  } catch (error) {
    return error as Error;
  }
}

/** Removes the steps that have not been used for longest until the others take at most `limit` bytes. */
export async function trimCache(folder: string, limit: number): Promise<void> {
  const files: { path: string; size: number; used: number }[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    if (!/^[0-9a-f]{64}\.(json|slim)$/.test(name)) continue;
    const path = join(folder, name);
    // Another process may have removed it by now.
    const found = await stat(path).catch(() => undefined);
    if (found) files.push({ path, size: found.size, used: found.mtimeMs });
  }
  files.sort((a, b) => b.used - a.used);
  let sum = 0;
  for (const { path, size } of files) {
    sum += size;
    if (sum > limit) await rm(path, { force: true, recursive: true }).catch(() => {});
  }
}
