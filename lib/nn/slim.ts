// §4 A compressed model in one .slim file and back: every kernel in the form that its compression gave it, everything
// else as 32-bit floats. What is evaluated after loading is exactly what was stored.

import { readFile } from "node:fs/promises";
import {
  bestGapBits,
  decodeSlim,
  encodeSlim,
  type SlimModel,
  type SlimOptions,
  type SlimTensor,
  shapeOf,
  tensorValues,
  toRelative,
} from "../coding/index.ts";
import {
  type Clustered,
  dequantize,
  type Quantized,
  quantizationError,
  restoreClusters,
} from "../quantization/index.ts";
import { checkFinite, checkLength, checkOneOf, shown } from "../util/check.ts";
import { writeFileAtomic } from "../util/files.ts";
import type { HalfFormat } from "../util/half.ts";
import { joinFloats } from "../util/join.ts";
import { ensureBackend } from "./backend.ts";
import { buildModel } from "./build.ts";
import { checkInputsRead } from "./graph.ts";
import { tf } from "./tf.ts";
import { biasVariables, checkMasks, checkWeightsFinite, kernelsOf } from "./weights.ts";

/**
 * What compression knows of a model's kernels beside their values, by layer name. A layer is quantized or clustered,
 * not both; layers without an entry are plain floats. (Low rank needs no entry: the factors are layers.)
 */
export interface Compression {
  /** 1 = kept, 0 = pruned. */
  masks: Record<string, Uint8Array>;
  quantized: Record<string, Quantized>;
  clustered: Record<string, Pick<Clustered, "codes" | "codebook">>;
  /** Kernels in floats of 16 bits, by layer name; what is quantized or clustered as well is that. */
  formats?: Record<string, HalfFormat>;
  /** Biases on a grid, by layer name; others are plain floats. */
  biases?: Record<string, Quantized>;
}

/** Options of {@link saveSlim}. */
export interface SaveSlimOptions extends SlimOptions, Partial<Compression> {
  /** Anything worth keeping; JSON. */
  meta?: Record<string, unknown>;
}

/** What a .slim file holds. */
export interface LoadedSlim {
  model: tf.LayersModel;
  compression: Compression;
  meta: Record<string, unknown>;
}

/**
 * Writes a model with its compression to a .slim file, whole or not at all; resolves to the exact number of bytes.
 *
 * @throws RangeError when a kernel is not what its mask or its codes say
 */
export async function saveSlim(
  path: string,
  model: tf.LayersModel,
  options: SaveSlimOptions = {},
): Promise<number> {
  const bytes = await slimOf(model, options);
  await writeFileAtomic(path, bytes);
  return bytes.length;
}

/** Reads a .slim file that {@link saveSlim} wrote as a model that runs. */
export async function loadSlim(path: string): Promise<LoadedSlim> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new Error(`there is no model at ${path}: ${(error as NodeJS.ErrnoException).code}`, {
      cause: error,
    });
  }
  return modelOfSlim(bytes, path);
}

/** The bytes of the .slim file that {@link saveSlim} would write. */
export async function slimOf(model: tf.LayersModel, options: SaveSlimOptions = {}): Promise<Uint8Array> {
  const { masks = {}, quantized = {}, clustered = {}, biases = {}, formats = {} } = options;
  const { meta, coding, version } = options;
  checkWeightsFinite(model);
  checkInputsRead(model);
  checkMasks(model, masks);
  const kernels = kernelsOf(model);
  const names = new Set(kernels.map(({ name }) => name));
  for (const [what, layers] of Object.entries({ quantized, clustered, formats })) {
    for (const name of Object.keys(layers))
      if (!names.has(name)) {
        throw new RangeError(
          `${what} names ${JSON.stringify(name)}, but ${model.name} has ${[...names].join(", ")}`,
        );
      }
  }
  const layerOfBias = new Map([...biasVariables(model)].map(([name, variable]) => [variable, name]));
  for (const name of Object.keys(biases)) checkOneOf("layer with a bias", name, [...layerOfBias.values()]);
  const tensors: Record<string, SlimTensor> = {};
  for (const weight of model.weights) {
    const shape = weight.shape as number[];
    const values = Float32Array.from(weight.read().dataSync());
    const name = kernels.find(({ variable }) => variable === weight)?.name;
    if (tensors[weight.originalName])
      throw new RangeError(
        `weights of ${model.name} must have different names to be saved, got two ${weight.originalName}: give the layers of its nested models names of their own`,
      );
    const bias = name === undefined ? biases[layerOfBias.get(weight) ?? ""] : undefined;
    if (bias) checkStands(`bias of ${layerOfBias.get(weight)}`, values, dequantize(bias));
    tensors[weight.originalName] =
      name === undefined
        ? bias
          ? { kind: "quantized", quantized: { ...bias, shape } }
          : { kind: "dense", shape, values }
        : kernelTensor(name, values, shape, {
            mask: masks[name],
            quantized: quantized[name],
            clustered: clustered[name],
            format: formats[name],
          });
  }
  const masked = Object.keys(masks);
  const file: SlimModel = {
    topology: await topologyOf(model),
    ...(meta || masked.length > 0 ? { meta: { ...meta, ...(masked.length > 0 ? { masked } : {}) } } : {}),
    tensors,
  };
  return encodeSlim(file, { coding, version });
}

/**
 * A model that runs, from the bytes of a .slim file. In a layer with a mask and without a codebook, a kept weight that
 * is 0 cannot be told from a pruned one and comes back as pruned.
 *
 * @param name what error messages call the file
 */
export async function modelOfSlim(bytes: Uint8Array, name = "the .slim file"): Promise<LoadedSlim> {
  await ensureBackend();
  const { topology, meta = {}, tensors } = decodeSlim(bytes, name);
  if (topology === undefined || topology === null)
    throw new Error(`${name} holds weights only: its topology, which saveSlim writes, is missing`);
  // Looked at before its weights are, which a few bytes can make many.
  if (!isTopology(topology))
    throw new Error(`${name} has no topology that TensorFlow.js wrote, but ${shown(topology)}`);
  const values = Object.entries(tensors).map(([tensor, content]) => {
    const weights = tensorValues(content);
    try {
      checkFinite(`weights of ${shown(tensor)}`, weights);
    } catch (error) {
      throw new Error(`${name} cannot be used: ${(error as Error).message}`, { cause: error });
    }
    return weights;
  });
  const all = joinFloats(values);
  const weightSpecs = Object.entries(tensors).map(([tensor, content]) => ({
    name: tensor,
    shape: shapeOf(content),
    dtype: "float32" as const,
  }));
  const model = await buildModel({ modelTopology: topology, weightSpecs, weightData: all.buffer }, name);
  const { masked = [], ...rest } = meta as { masked?: string[] };
  const compression: Compression = { masks: {}, quantized: {}, clustered: {} };
  for (const { name: kernel, variable } of kernelsOf(model)) {
    const tensor = tensors[variable.originalName];
    if (tensor.kind === "quantized") compression.quantized[kernel] = tensor.quantized;
    if (tensor.kind === "dense" && tensor.format)
      compression.formats = { ...compression.formats, [kernel]: tensor.format };
    if (tensor.kind === "codebook") {
      const { codes, codebook, mask } = tensor;
      compression.clustered[kernel] = { codes, codebook };
      if (mask) compression.masks[kernel] = mask;
    }
    if (masked.includes(kernel)) compression.masks[kernel] ??= maskOf(tensorValues(tensor));
  }
  for (const [name, variable] of biasVariables(model)) {
    const tensor = tensors[variable.originalName];
    if (tensor.kind !== "quantized") continue;
    compression.biases = { ...compression.biases, [name]: tensor.quantized };
  }
  return { model, compression, meta: rest };
}

/** Whether a value looks like what `model.save` gives: a class and its configuration. */
function isTopology(topology: unknown): boolean {
  const { model_config, class_name, config } = Object(topology) as Record<string, unknown>;
  if (typeof model_config === "object" && model_config !== null) return isTopology(model_config);
  return typeof class_name === "string" && typeof config === "object" && config !== null;
}

function maskOf(values: Float32Array): Uint8Array {
  const mask = new Uint8Array(values.length);
  for (let i = 0; i < mask.length; i++) mask[i] = values[i] === 0 ? 0 : 1;
  return mask;
}

function kernelTensor(
  layer: string,
  values: Float32Array,
  shape: number[],
  {
    mask,
    quantized,
    clustered,
    format,
  }: {
    mask?: Uint8Array;
    quantized?: Quantized;
    clustered?: Pick<Clustered, "codes" | "codebook">;
    format?: HalfFormat;
  },
): SlimTensor {
  if (quantized && clustered)
    throw new RangeError(`${layer} must be quantized or clustered, not both: the later one counts`);
  if (mask) {
    const revived = values.findIndex((value, i) => mask[i] === 0 && value !== 0);
    if (revived >= 0)
      throw new RangeError(
        `${layer} must be 0 where its mask is, got ${values[revived]} at index ${revived}: set its weights first`,
      );
  }
  if (quantized) {
    checkStands(layer, values, dequantize(quantized));
    return { kind: "quantized", quantized: { ...quantized, shape } };
  }
  if (clustered) {
    const { codes, codebook } = clustered;
    checkLength(`codes of ${layer}`, codes, values.length);
    checkStands(layer, values, restoreClusters({ codes, codebook, mask, inertia: 0, iterations: 0 }));
    // A layer that is pruned away whole has no centroid left, and no code stands for anything.
    if (codebook.length > 0) return { kind: "codebook", shape, codes, codebook, ...(mask ? { mask } : {}) };
  }
  const dense: SlimTensor = { kind: "dense", shape, values, ...(format ? { format } : {}) };
  if (!mask || format) return dense;
  const { bits } = bestGapBits(values, 32);
  const relative: SlimTensor = { kind: "relative", shape, entries: toRelative(values, bits) };
  return bytesOf(relative) < bytesOf(dense) ? relative : dense;
}

/** Throws unless the weights in the model are what the codes stand for. */
function checkStands(layer: string, values: Float32Array, codes: Float32Array): void {
  checkLength(`codes of ${layer}`, codes, values.length);
  if (values.every((value, i) => value === codes[i])) return;
  const { maxError } = quantizationError(values, codes);
  throw new RangeError(
    `${layer} must hold what its codes stand for, but differs by up to ${maxError}: quantize it again before saving`,
  );
}

function bytesOf(tensor: SlimTensor): number {
  return encodeSlim({ tensors: { tensor } }).length;
}

/** The topology without what a trained model no longer needs: where its weights started from, and settings left empty. */
async function topologyOf(model: tf.LayersModel): Promise<unknown> {
  let topology: unknown;
  await model.save(
    tf.io.withSaveHandler(async ({ modelTopology }) => {
      topology = modelTopology;
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" as const } };
    }),
  );
  return JSON.parse(
    JSON.stringify(topology, (key, value) =>
      (value === null && /(regularizer|constraint)$/.test(key)) || key.endsWith("_initializer")
        ? undefined
        : value,
    ),
  );
}
