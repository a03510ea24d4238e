// The trained networks that ship in datasets/weights; make.ts there trained them and wrote their manifest.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { checkOneOf } from "../util/check.ts";
import { packageRoot } from "../util/files.ts";
import { loadModel, sha256 } from "./files.ts";
import type { tf } from "./tf.ts";

/** The networks that ship. */
export const pretrainedNames = ["lenet-300-100", "lenet-5"] as const;
export type PretrainedName = (typeof pretrainedNames)[number];

/** How a network was trained, and how good it is. */
export interface Manifest {
  /** The data set it learnt from, by name; the fixed split's training part, all of it. */
  data: string;
  trainImages: number;
  testImages: number;
  seed: number;
  epochs: number;
  batchSize: number;
  optimizer: string;
  learningRate: string;
  augmentation: string;
  backend: string;
  parameters: number;
  /** Share and number of test images classified right. */
  testAccuracy: number;
  testCorrect: number;
  testLoss: number;
  /** SHA-256 by file name. */
  files: Record<string, string>;
}

const shipped = join(packageRoot, "datasets", "weights");

/** The manifest of a network that ships. */
export function pretrainedManifest(name: PretrainedName): Promise<Manifest> {
  return manifestIn(shipped, name);
}

/**
 * Loads a trained network that ships with slimlab: `lenet-300-100` or `lenet-5`, both trained on the 8,000 training
 * images of `mnist-10k`.
 *
 * @throws Error when a file is missing, or is not the one that the manifest lists
 */
export function loadPretrained(name: PretrainedName): Promise<tf.LayersModel> {
  return loadPretrainedFrom(shipped, name);
}

/** {@link loadPretrained} from another folder of such networks. */
export async function loadPretrainedFrom(folder: string, name: PretrainedName): Promise<tf.LayersModel> {
  const manifest = await manifestIn(folder, name);
  for (const [file, expected] of Object.entries(manifest.files)) {
    const path = join(folder, name, file);
    const found = sha256(await read(path));
    if (found !== expected)
      throw new Error(
        `${path} was changed or damaged: SHA-256 ${found}, expected ${expected}. Restore the file`,
      );
  }
  return loadModel(join(folder, name));
}

async function manifestIn(folder: string, name: PretrainedName): Promise<Manifest> {
  checkOneOf("name", name, pretrainedNames);
  return JSON.parse((await read(join(folder, name, "manifest.json"))).toString("utf8"));
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Error(`${path} is missing: npm run pretrain makes it anew`, { cause: error });
  }
}
