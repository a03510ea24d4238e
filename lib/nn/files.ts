// Models on disk, in TensorFlow.js's own layout: model.json (topology and a list of weights) beside weights.bin.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { importGraphModel } from "../formats/index.ts";
import { checkFinite, shown } from "../util/check.ts";
import { writeFileAtomic } from "../util/files.ts";
import { elements } from "../util/shape.ts";
import { ensureBackend } from "./backend.ts";
import { buildModel } from "./build.ts";
import { checkInputsRead, modelOf } from "./graph.ts";
import { tf } from "./tf.ts";

/**
 * Saves a model into a folder as model.json and weights.bin, which every TensorFlow.js loads. Each file is written
 * whole or not at all, the weights first, and model.json knows their SHA-256: a pair from two savings does not load.
 */
export async function saveModel(model: tf.LayersModel, folder: string): Promise<void> {
  checkInputsRead(model);
  let artifacts: tf.io.ModelArtifacts | undefined;
  await model.save(
    tf.io.withSaveHandler(async (all) => {
      artifacts = all;
      return {
        modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" as const },
      };
    }),
  );
  const { modelTopology, weightSpecs, weightData } = artifacts!;
  const weights = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData!));
  const json = {
    format: "layers-model",
    generatedBy: `TensorFlow.js tfjs-layers v${tf.version["tfjs-layers"]}`,
    convertedBy: null,
    modelTopology,
    weightsManifest: [{ paths: ["weights.bin"], weights: weightSpecs }],
    userDefinedMetadata: { weightsSha256: sha256(weights) },
  };
  await writeFileAtomic(join(folder, "weights.bin"), weights);
  await writeFileAtomic(join(folder, "model.json"), `${JSON.stringify(json)}\n`);
}

/**
 * Loads a layers model that {@link saveModel}, `model.save` or TensorFlow's converter wrote; or a graph model, whose
 * operators become layers again.
 *
 * @param path the folder of a model.json, or the path of the JSON file itself
 * @throws Error that names the file and what is wrong with it: missing, no model, truncated, changed
 */
export async function loadModel(path: string): Promise<tf.LayersModel> {
  await ensureBackend();
  const file = existsSync(path) && (await stat(path)).isDirectory() ? join(path, "model.json") : path;
  const json = await readJson(file);
  if (typeof json?.modelTopology !== "object" || !json.modelTopology || !Array.isArray(json.weightsManifest))
    throw new Error(
      `${file} is not a TensorFlow.js layers model: modelTopology or weightsManifest is missing`,
    );
  const { weightSpecs, paths } = checkManifest(json.weightsManifest, file);
  const parts = await Promise.all(paths.map((name) => readPart(file, name)));
  const weights = Buffer.concat(parts);
  const bytes = weightSpecs.reduce((sum, spec) => sum + byteLength(spec, file), 0);
  if (weights.length !== bytes)
    throw new Error(
      `the weights of ${file} must be ${bytes} bytes, but there are ${weights.length}: truncated or changed`,
    );
  const expected = json.userDefinedMetadata?.weightsSha256;
  if (expected !== undefined && sha256(weights) !== expected)
    throw new Error(`the weights beside ${file} are not the ones that were saved with it (SHA-256 differs)`);
  const weightData = new Uint8Array(weights).buffer;
  if (json.format === "graph-model") return fromGraphModel(json.modelTopology, weightSpecs, weightData, file);
  const model = await buildModel({ modelTopology: json.modelTopology, weightSpecs, weightData }, file);
  try {
    for (const weight of model.weights)
      checkFinite(`weights of ${shown(weight.originalName)}`, weight.read().dataSync() as Float32Array);
  } catch (error) {
    model.dispose();
    throw new Error(`${file} cannot be used: ${(error as Error).message}`, { cause: error });
  }
  return model;
}

/** A graph model as a layers model. */
function fromGraphModel(
  topology: object,
  specs: tf.io.WeightsManifestEntry[],
  data: ArrayBuffer,
  file: string,
): tf.LayersModel {
  const tensors = tf.io.decodeWeights(data, specs);
  try {
    const weights = new Map(
      Object.entries(tensors).map(([name, tensor]) => [
        name,
        {
          shape: tensor.shape as number[],
          values: Float32Array.from(tensor.dataSync() as ArrayLike<number>),
        },
      ]),
    );
    return modelOf(importGraphModel(topology, weights, file).graph);
  } finally {
    tf.dispose(tensors);
  }
}

/** What a manifest lists: weights and the files that hold them, one behind the other. */
function checkManifest(
  groups: readonly unknown[],
  file: string,
): { weightSpecs: tf.io.WeightsManifestEntry[]; paths: string[] } {
  const weightSpecs: tf.io.WeightsManifestEntry[] = [];
  const paths: string[] = [];
  const wrong = (what: string, value: unknown): never => {
    throw new Error(`${file} has a weightsManifest whose ${what}, got ${shown(value)}`);
  };
  for (const group of groups) {
    const { weights, paths: names } = Object(group) as Record<string, unknown>;
    if (!Array.isArray(weights)) return wrong("weights must be a list", weights);
    if (!Array.isArray(names)) return wrong("paths must be a list", names);
    for (const path of names)
      if (typeof path !== "string") return wrong("paths must be names of files", path);
    for (const spec of weights) {
      const { name, shape, dtype } = Object(spec) as Record<string, unknown>;
      if (typeof name !== "string") return wrong("weights must have names", name);
      if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0))
        return wrong(`${shown(name)} must have a shape of whole numbers`, shape);
      if (typeof dtype !== "string") return wrong(`${shown(name)} must have a dtype`, dtype);
    }
    weightSpecs.push(...weights);
    paths.push(...names);
  }
  return { weightSpecs, paths };
}

interface ModelJson {
  format?: string;
  modelTopology?: object;
  weightsManifest?: { paths: string[]; weights: tf.io.WeightsManifestEntry[] }[];
  userDefinedMetadata?: { weightsSha256?: string };
}

async function readJson(file: string): Promise<ModelJson & Required<Pick<ModelJson, "weightsManifest">>> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new Error(`there is no model at ${file}: ${(error as NodeJS.ErrnoException).code}`, {
      cause: error,
    });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${file} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

async function readPart(file: string, name: string): Promise<Buffer> {
  // A model from elsewhere must not be able to name files outside its folder.
  if (basename(name) !== name) throw new Error(`${file} names ${shown(name)}, which is not beside it`);
  const path = join(dirname(file), name);
  try {
    return await readFile(path);
  } catch (error) {
    throw new Error(`${file} needs ${shown(name)} beside it: ${(error as NodeJS.ErrnoException).code}`, {
      cause: error,
    });
  }
}

function byteLength(spec: tf.io.WeightsManifestEntry, file: string): number {
  const sizes: Record<string, number> = { float32: 4, int32: 4, bool: 1, uint8: 1, uint16: 2, float16: 2 };
  const size = sizes[spec.quantization?.dtype ?? spec.dtype];
  if (size === undefined)
    throw new Error(
      `${file} has weights of type ${shown(spec.quantization?.dtype ?? spec.dtype)}, which are not supported (${shown(spec.name)})`,
    );
  return size * elements(spec.shape);
}

/** The SHA-256 of bytes, in hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
