// The files that `slimlab compress` writes: one network in the formats of several programs.
import { join } from "node:path";
import type { Samples } from "../../datasets/index.ts";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  layersWithGrids,
  type OnnxOptions,
  readyForIntegers,
  writeSafetensors,
} from "../../formats/index.ts";
import {
  type ActivationQuantizers,
  type Compression,
  calibrateActivations,
  graphOf,
  kernelsOf,
  modelOf,
  saveModel,
  type tf,
  weightsOf,
} from "../../nn/index.ts";
import { writeFileAtomic } from "../../platform/node.ts";
import { fewWeights, type Quantized, quantize } from "../../quantization/index.ts";
import { elements } from "../../util/shape.ts";
import { tensorsOf } from "../convert/tensors.ts";
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
  /** What an engine's file holds: its kernels in integers, and its activations, if these are. */
  engine?: {
    bytes: Uint8Array;
    codes: Record<string, Quantized>;
    activations?: ActivationQuantizers;
  };
}

/** The length of the file that a target would be: without activations, and of plain floats without its header. */
export function sizeOfTarget(target: TargetName, compressed: Compressed): number {
  if (isForEngine(target)) return encodeForEngine(target, compressed, codesFor(compressed)).length;
  return 4 * compressed.model.countParams();
}

/**
 * A network's kernels as engines have them: the recipe's own codes where they fit, and 8 bits for what it has done otherwise
 * or not at all. Small kernels stay floats where activations do.
 */
function codesFor({ model, compression }: Compressed, integers = false): Record<string, Quantized> {
  const given = Object.entries(compression.quantized).filter(([, { bits }]) => bits <= 8);
  const names = new Set(given.map(([name]) => name));
  const weights = weightsOf(model);
  const rest = kernelsOf(model)
    // A layer of several kernels takes no codes: what writes it makes them.
    .filter(
      ({ name, layerName, shape }) =>
        name === layerName && !names.has(name) && (integers || elements(shape) >= fewWeights),
    )
    .map(({ name, shape, axis, span }): [string, Quantized] => [
      name,
      quantize(weights[name], { bits: 8, shape, axis, span }),
    ]);
  return Object.fromEntries([...given, ...rest]);
}

function encodeForEngine(
  target: TargetName,
  { model }: Compressed,
  quantized: Record<string, Quantized>,
  activations?: ActivationQuantizers,
): Uint8Array {
  const options = {
    weights: "int8" as const,
    quantized,
    ...(activations ? { activations: activations as OnnxOptions["activations"] } : {}),
  };
  const graph = readyForIntegers(graphOf(model));
  if (target === "tflite") return encodeGraphAsTflite(graph, options);
  return encodeGraphAsOnnx(graph, { ...options, target: target === "tensorrt" ? "tensorrt" : "ort" });
}

/** Grids of activations where an engine has them. */
async function gridsFor(
  target: TargetName,
  model: tf.LayersModel,
  images: Samples,
): Promise<ActivationQuantizers> {
  const graph = readyForIntegers(graphOf(model));
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
    const codes = codesFor(compressed, activations !== undefined);
    const bytes = encodeForEngine(target, compressed, codes, activations);
    await writeFileAtomic(path, bytes);
    const rounded = Object.keys(compression.clustered);
    if (rounded.length > 0) notes.push(`clustered kernels are rounded to 8 bits: ${rounded.join(", ")}`);
    return {
      target,
      path,
      bytes: bytes.length,
      notes,
      engine: { bytes, codes, ...(activations ? { activations } : {}) },
    };
  }
  if (target === "slim") await writeFileAtomic(path, slim);
  else if (target === "tfjs") await saveModel(model, path);
  else
    await writeSafetensors(path, tensorsOf(graphOf(model), "float32"), { metadata: { format: "slimlab" } });
  return { target, path, bytes: await bytesOnDisk(path), notes };
}
