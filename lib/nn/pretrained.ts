// The trained networks that ship in datasets/weights; make.ts there trained them and wrote their manifest.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkOneOf, shown } from "../util/check.ts";
import { packageRoot } from "../util/files.ts";
import { loadModel, sha256 } from "./files.ts";
import type { tf } from "./tf.ts";

/** The networks that ship. */
export const pretrainedNames = [
  "lenet-300-100",
  "lenet-5",
  "fashion-lenet-300-100",
  "fashion-lenet-5",
] as const;
export type PretrainedName = (typeof pretrainedNames)[number];

/**
 * The seeds of which each network ships: the same shape, data and training, another start. What differs between them is
 * what chance makes of one experiment.
 */
export const pretrainedSeeds = {
  "lenet-300-100": [1, 2, 3],
  "lenet-5": [1],
  "fashion-lenet-300-100": [1],
  "fashion-lenet-5": [1],
} as const satisfies Record<PretrainedName, readonly number[]>;

/** Options of {@link loadPretrained}. */
export interface PretrainedOptions {
  /** Which of the equal networks: 1 (the default), 2 or 3. */
  seed?: number;
}

/** How a network was trained, and how good it is. */
export interface Manifest {
  /** The data set it learnt from, by name; the fixed split's training part, all of it. */
  data: string;
  trainImages: number;
  validationImages: number;
  testImages: number;
  seed: number;
  epochs: number;
  batchSize: number;
  optimizer: string;
  learningRate: string;
  augmentation: string;
  backend: string;
  parameters: number;
  /** Share and number of validation images classified right. */
  validationAccuracy: number;
  validationCorrect: number;
  /** Share and number of test images classified right. */
  testAccuracy: number;
  testCorrect: number;
  testLoss: number;
  /** SHA-256 by file name. */
  files: Record<string, string>;
}

const shipped = join(packageRoot, "datasets", "weights");

/** The manifest of a network that ships. */
export function pretrainedManifest(name: PretrainedName, options: PretrainedOptions = {}): Promise<Manifest> {
  return manifestIn(folderOf(shipped, name, options));
}

/**
 * Loads a trained network that ships with slimlab: `lenet-300-100` and `lenet-5`, trained on the 8,000 training images
 * of `mnist-10k`, and `fashion-lenet-300-100` and `fashion-lenet-5`, trained on those of `fashion-10k`.
 *
 * @param options.seed which of the networks that differ in nothing but their seed; {@link pretrainedSeeds} lists them
 * @throws Error when a file is missing, or is not the one that the manifest lists
 */
export function loadPretrained(
  name: PretrainedName,
  options: PretrainedOptions = {},
): Promise<tf.LayersModel> {
  return loadPretrainedFrom(shipped, name, options);
}

/** {@link loadPretrained} from another folder of such networks. */
export async function loadPretrainedFrom(
  root: string,
  name: PretrainedName,
  options: PretrainedOptions = {},
): Promise<tf.LayersModel> {
  const folder = folderOf(root, name, options);
  const manifest = await manifestIn(folder);
  for (const [file, expected] of Object.entries(manifest.files)) {
    const path = join(folder, file);
    const found = sha256(await read(path));
    if (found !== expected)
      throw new Error(
        `${path} was changed or damaged: SHA-256 ${found}, expected ${expected}. Restore the file`,
      );
  }
  return loadModel(folder);
}

/** Seed 1 lies in the folder of the network's name, the others in one with their number behind it. */
function folderOf(root: string, name: PretrainedName, { seed = 1 }: PretrainedOptions): string {
  checkOneOf("name", name, pretrainedNames);
  const seeds: readonly number[] = pretrainedSeeds[name];
  if (!seeds.includes(seed))
    throw new RangeError(`seed of ${name} must be one of ${seeds.join(", ")}, got ${shown(seed)}`);
  return join(root, seed === 1 ? name : `${name}-seed-${seed}`);
}

async function manifestIn(folder: string): Promise<Manifest> {
  return JSON.parse((await read(join(folder, "manifest.json"))).toString("utf8"));
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Error(`${path} is missing: npm run pretrain makes it anew`, { cause: error });
  }
}
