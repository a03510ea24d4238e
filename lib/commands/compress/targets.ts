// The files that `slimlab compress` writes: one network in the formats of several programs.
import { join } from "node:path";
import type { Samples } from "../../datasets/index.ts";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  fuseActivations,
  layersWithGrids,
  type OnnxOptions,
  writeSafetensors,
} from "../../formats/index.ts";
import {
  type ActivationQuantizers,
  type Compression,
  calibrateActivations,
  graphOf,
  modelOf,
  saveModel,
  type tf,
} from "../../nn/index.ts";
import { writeFileAtomic } from "../../platform/node.ts";
import { tensorsOf } from "../convert.ts";
import { bytesOnDisk } from "../files.ts";

/** What can be written. */
export const targetNames = ["slim", "onnx", "tensorrt", "tflite", "tfjs", "safetensors"] as const;
export type TargetName = (typeof targetNames)[number];

const fileNames: Record<TargetName, string> = {
  slim: "model.slim",
  onnx: "model.onnx",
  tensorrt: "model.tensorrt.onnx",
  tflite: "model.tflite",
  tfjs: "model",
  safetensors: "model.safetensors",
};

/** Formats whose kernels have 8 bits, whatever the recipe says. */
export const isForEngine = (target: TargetName) =>
  target === "onnx" || target === "tensorrt" || target === "tflite";

/** A compressed network, ready to be written. */
export interface Compressed {
  model: tf.LayersModel;
  compression: Compression;
  activations?: ActivationQuantizers;
}

/** A file that was written. */
export interface WrittenFile {
  target: TargetName;
  path: string;
  bytes: number;
  notes: string[];
  /** What an engine's file holds, as a network of ours that gives the same outputs; its activations, if quantized. */
  engine?: { bytes: Uint8Array; activations?: ActivationQuantizers };
}

/** The length of the file that a target would be: without activations, and of plain floats without its header. */
export function sizeOfTarget(target: TargetName, compressed: Compressed): number {
  if (isForEngine(target)) return encodeForEngine(target, compressed).length;
  return 4 * compressed.model.countParams();
}

function encodeForEngine(
  target: TargetName,
  { model, compression }: Compressed,
  activations?: ActivationQuantizers,
): Uint8Array {
  const small = Object.entries(compression.quantized).filter(([, { bits }]) => bits <= 8);
  const options = {
    weights: "int8" as const,
    quantized: Object.fromEntries(small),
    ...(activations ? { activations: activations as OnnxOptions["activations"] } : {}),
  };
  const graph = fuseActivations(graphOf(model));
  if (target === "tflite") return encodeGraphAsTflite(graph, options);
  return encodeGraphAsOnnx(graph, { ...options, target: target === "tensorrt" ? "tensorrt" : "ort" });
}

/** Grids of activations where an engine has them. */
async function gridsFor(
  target: TargetName,
  model: tf.LayersModel,
  images: Samples,
): Promise<ActivationQuantizers> {
  const graph = fuseActivations(graphOf(model));
  const fused = modelOf(graph);
  try {
    return await calibrateActivations(fused, images, {
      ...(target === "tensorrt" ? ({ scheme: "symmetric", signed: true } as const) : {}),
      layers: layersWithGrids(graph),
    });
  } finally {
    fused.dispose();
  }
}

/**
 * Writes a compressed network as a target's file.
 *
 * @param slim the bytes of its .slim file
 * @param integers whether activations have 8 bits, too, where the format can have them: calibrated on `images`
 */
export async function writeTarget(
  target: TargetName,
  compressed: Compressed,
  slim: Uint8Array,
  folder: string,
  { integers, images }: { integers: boolean; images: Samples },
): Promise<WrittenFile> {
  const path = join(folder, fileNames[target]);
  const notes: string[] = [];
  const { model, compression } = compressed;
  if (isForEngine(target)) {
    const activations = integers || target === "tensorrt" ? await gridsFor(target, model, images) : undefined;
    const bytes = encodeForEngine(target, compressed, activations);
    await writeFileAtomic(path, bytes);
    const rounded = Object.keys(compression.clustered);
    if (rounded.length > 0) notes.push(`clustered kernels are rounded to 8 bits: ${rounded.join(", ")}`);
    return {
      target,
      path,
      bytes: bytes.length,
      notes,
      engine: { bytes, ...(activations ? { activations } : {}) },
    };
  }
  if (target === "slim") await writeFileAtomic(path, slim);
  else if (target === "tfjs") await saveModel(model, path);
  else
    await writeSafetensors(path, tensorsOf(graphOf(model), "float32"), { metadata: { format: "slimlab" } });
  return { target, path, bytes: await bytesOnDisk(path), notes };
}
