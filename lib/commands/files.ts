// Model files that the commands take, told apart by their name and their first bytes.
import { open } from "node:fs/promises";
import { extname, join } from "node:path";
import { isFolder } from "#platform";
import {
  decodeOnnx,
  FormatError,
  type GgufFile,
  type ImportedNetwork,
  importKeras,
  importTflite,
  type OnnxModel,
  onnxNetworkOf,
  openGguf,
  openSafetensors,
  type SafetensorsFile,
} from "../formats/index.ts";
import type { Compression, tf } from "../nn/index.ts";
import { readBytes } from "../platform/node.ts";

/** What a command can be given. */
export type ModelFile =
  | {
      format: "tfjs" | "slim" | "tflite" | "keras";
      model: tf.LayersModel;
      compression?: Compression;
      meta?: Record<string, unknown>;
      /** What is otherwise in the model than in the file. */
      notes?: string[];
    }
  /** `model` where the file is a network that layers can hold; else `why` not. */
  | { format: "onnx"; onnx: OnnxModel; model: tf.LayersModel; compression?: undefined; notes: string[] }
  | { format: "onnx"; onnx: OnnxModel; why: string }
  | { format: "safetensors"; tensors: SafetensorsFile }
  | { format: "gguf"; gguf: GgufFile };

/** The formats, as help texts and errors list them. */
export const readable =
  "TensorFlow.js models (a folder, or its model.json), .slim, .tflite, .onnx, .keras, .h5, .safetensors and .gguf files";

export interface OpenOptions {
  /** Sizes of inputs that an .onnx, .keras or .h5 file leaves open, by name, the batch left out: [3, 224, 224]. */
  inputShapes?: Record<string, readonly number[]>;
}

/** What `--input NAME=3x224x224` says, as often as it is given. */
export function inputShapesOf(texts: readonly string[] = []): Record<string, number[]> {
  return Object.fromEntries(
    texts.map((text) => {
      const [, name, sizes] = /^(.+)=(\d+(?:x\d+)*)$/.exec(text) ?? [];
      if (!sizes) throw new Error(`--input must be a name and sizes, like x=3x224x224, got ${text}`);
      return [name, sizes.split("x").map(Number)];
    }),
  );
}

/**
 * Opens a model file.
 * @throws Error for a file of no known format
 */
export async function openModelFile(path: string, options: OpenOptions = {}): Promise<ModelFile> {
  const format = await formatOf(path);
  switch (format) {
    case "onnx":
      return openOnnx(path, options);
    case "tflite":
      return { format, ...(await modelFrom(importTflite(await readBytes(path), path))) };
    case "keras":
      return {
        format,
        ...(await modelFrom(await importKeras(await readBytes(path), { ...options, file: path }))),
      };
    case "safetensors":
      return { format, tensors: await openSafetensors(path) };
    case "gguf":
      return { format, gguf: await openGguf(path) };
    case "slim": {
      const { loadSlim, useBackend } = await import("../nn/index.ts");
      await useBackend();
      return { format, ...(await loadSlim(path)) };
    }
    case "tfjs": {
      const { loadModel, useBackend } = await import("../nn/index.ts");
      await useBackend();
      return { format, model: await loadModel(path) };
    }
  }
}

async function openOnnx(path: string, options: OpenOptions): Promise<ModelFile> {
  const onnx = decodeOnnx(await readBytes(path), path);
  let network: ImportedNetwork;
  try {
    network = onnxNetworkOf(onnx, { ...options, file: path });
  } catch (error) {
    // What no layers can hold is still a list of tensors and operators.
    if (error instanceof FormatError) return { format: "onnx", onnx, why: error.message };
    throw error;
  }
  return { format: "onnx", onnx, ...(await modelFrom(network)) };
}

/** A model that runs, of a network that was read. */
async function modelFrom({
  graph,
  notes,
}: ImportedNetwork): Promise<{ model: tf.LayersModel; notes: string[] }> {
  const { modelOf, useBackend } = await import("../nn/index.ts");
  await useBackend();
  return { model: modelOf(graph), notes };
}

async function formatOf(path: string): Promise<ModelFile["format"]> {
  if (await isFolder(path)) return "tfjs";
  const file = await open(path, "r").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`there is no file ${path}: ${error.code}`, { cause: error });
  });
  let start: Buffer;
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
    start = buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
  const extension = extname(path).toLowerCase();
  if (extension === ".slim" || start.subarray(0, 4).toString("latin1") === "SLIM") return "slim";
  if (start.subarray(0, 4).toString("latin1") === "GGUF") return "gguf";
  if (extension === ".tflite" || start.subarray(4, 8).toString("latin1") === "TFL3") return "tflite";
  if ([".keras", ".h5", ".hdf5"].includes(extension)) return "keras";
  if (start.subarray(1, 4).toString("latin1") === "HDF") return "keras";
  if (extension === ".onnx") return "onnx";
  if (extension === ".safetensors") return "safetensors";
  if (extension === ".json" || start[0] === 0x7b) return "tfjs";
  throw new Error(`${path} is of no known format; what can be read: ${readable}`);
}

/** The bytes of a file, or of the files of a model in a folder. */
export async function bytesOnDisk(path: string): Promise<number> {
  const { readdir, stat } = await import("node:fs/promises");
  const found = await stat(path);
  if (!found.isDirectory()) return found.size;
  let sum = 0;
  for (const name of await readdir(path)) {
    const inner = await stat(join(path, name));
    if (inner.isFile()) sum += inner.size;
  }
  return sum;
}
