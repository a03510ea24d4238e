// `slimlab convert`: a model file in another format.
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { loadDataset, subset } from "../datasets/index.ts";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  fuseActivations,
  layersWithGrids,
  type OnnxOptions,
  onnxTargets,
  onnxWeights,
  readyForEngine,
  type SafetensorsFile,
  type SafetensorsTensor,
  type TfliteOptions,
  tfliteWeights,
  writeSafetensors,
} from "../formats/index.ts";
import type { Graph } from "../graph/index.ts";
import type { Compression, tf } from "../nn/index.ts";
import { writeFileAtomic } from "../platform/node.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { progress } from "../util/progress.ts";
import { bytesOnDisk, type ModelFile, openModelFile, readable } from "./files.ts";

const help = `Usage: slimlab convert [OPTION]... IN OUT

Writes a model in another format, which the name of OUT says: .onnx, .tflite, .slim, .safetensors, or a folder for TensorFlow.js.
It reads ${readable}; networks are made
of the first two, and tensors in .safetensors become float16, bfloat16 or float32 one by one, whatever the file's size.

  --weights TYPE   float32 (default), float16, bfloat16 (.safetensors), int8 (.onnx, .tflite)
  --data NAME      .onnx, .tflite: quantize activations, too, calibrated on this data set: mnist-10k, mnist, fashion-mnist
  --images N       how many images of it (default: 256)
  --target ENGINE  .onnx with --data: ort (default) for onnxruntime, tensorrt for TensorRT's rules`;

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      weights: { type: "string" },
      data: { type: "string" },
      images: { type: "string", default: "256" },
      target: { type: "string" },
    },
  });
  if (values.help || positionals.length !== 2) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const [from, to] = positionals;
  const notes = await convert(from, to, { ...values, images: Number(values.images) });
  console.log(`${to}: ${(await bytesOnDisk(to)).toLocaleString("en")} bytes${notes ? `, ${notes}` : ""}`);
  return 0;
}

export interface ConvertOptions {
  weights?: string;
  data?: string;
  images?: number;
  target?: string;
}

/**
 * Writes a model file in another format.
 * @returns what is worth knowing of the result; "" where nothing is
 * @throws Error for formats that do not go together, options that the format does not have, layers that it cannot hold
 */
export async function convert(from: string, to: string, options: ConvertOptions): Promise<string> {
  const extension = extname(to).toLowerCase();
  checkOneOf("OUT's ending", extension, [".onnx", ".tflite", ".slim", ".safetensors", ""]);
  const { weights = "float32", data, target } = options;
  const types = {
    ".onnx": onnxWeights,
    ".tflite": tfliteWeights,
    ".safetensors": ["float32", "float16", "bfloat16"],
    ".slim": ["float32"],
    "": ["float32"],
  };
  checkOneOf("--weights", weights, types[extension as keyof typeof types] as readonly string[]);
  if (data !== undefined && extension !== ".onnx" && extension !== ".tflite")
    throw new Error("--data goes with an .onnx or .tflite file");
  if (target !== undefined && extension !== ".onnx") throw new Error("--target goes with an .onnx file");
  if (target !== undefined) {
    checkOneOf("--target", target, onnxTargets as readonly string[]);
    if (data === undefined)
      throw new Error("--target needs --data: only quantized activations differ between engines");
  }
  const file = await openModelFile(from);
  if (file.format === "safetensors") {
    if (extension !== ".safetensors")
      throw new Error(`${from} holds tensors without a network: OUT must end in .safetensors`);
    return convertTensors(file.tensors, to, weights);
  }
  if (file.format === "onnx")
    throw new Error(`${from}: networks are not made of .onnx files yet; slimlab inspect shows what is in it`);
  return writeNetwork(file, to, extension, options);
}

async function writeNetwork(
  { model, compression, meta }: Extract<ModelFile, { model: tf.LayersModel }>,
  to: string,
  extension: string,
  options: ConvertOptions,
): Promise<string> {
  const { graphOf, saveModel, saveSlim } = await import("../nn/index.ts");
  switch (extension) {
    case ".slim":
      await saveSlim(to, model, { ...compression, meta });
      return "";
    case ".safetensors":
      await writeSafetensors(to, tensorsOf(graphOf(model), options.weights ?? "float32"), {
        metadata: { format: "slimlab" },
      });
      return "";
    case ".onnx":
    case ".tflite":
      return writeForEngine(graphOf(model), compression?.quantized ?? {}, to, extension, options);
    default:
      await saveModel(model, to);
      return "";
  }
}

/** A network as an engine runs it, with grids of activations where they are asked for. */
async function writeForEngine(
  graph: Graph,
  codes: Compression["quantized"],
  to: string,
  extension: ".onnx" | ".tflite",
  options: ConvertOptions,
): Promise<string> {
  const small = Object.entries(codes).filter(([, { bits }]) => bits <= 8);
  // Codes that a file brings are those of its own kernels, which folding would change.
  const keep = small.length > 0 && options.weights === undefined;
  const ready = keep ? fuseActivations(graph) : readyForEngine(graph);
  const calibrated = await calibrate(ready, options);
  const written = {
    ...(options.weights ? { weights: options.weights } : {}),
    ...(keep ? { quantized: Object.fromEntries(small) } : {}),
    ...calibrated,
  } as OnnxOptions & TfliteOptions;
  const encode = extension === ".onnx" ? encodeGraphAsOnnx : encodeGraphAsTflite;
  await writeFileAtomic(to, encode(ready, written));
  if (!calibrated.activations) return "";
  return `8-bit activations for ${extension === ".onnx" ? (options.target ?? "ort") : "LiteRT"}`;
}

/** Grids of activations: of the input, and of every layer that does not hand on the levels of what it reads. */
async function calibrate(
  graph: Graph,
  { data, images = 256, target = "ort" }: ConvertOptions,
): Promise<OnnxOptions> {
  if (data === undefined) return {};
  checkInteger("--images", images, 1);
  const { calibrateActivations, modelOf } = await import("../nn/index.ts");
  const { train } = await loadDataset(data);
  const scheme = target === "tensorrt" ? ({ scheme: "symmetric", signed: true } as const) : {};
  const model = modelOf(graph);
  try {
    const activations = await calibrateActivations(model, subset(train, Math.min(images, train.count)), {
      ...scheme,
      layers: layersWithGrids(graph),
    });
    return {
      activations: activations as OnnxOptions["activations"],
      target: target as OnnxOptions["target"],
    };
  } finally {
    model.dispose();
  }
}

const dtypes: Record<string, SafetensorsTensor["dtype"]> = {
  float32: "F32",
  float16: "F16",
  bfloat16: "BF16",
};

function tensorsOf(graph: Graph, weights: string): Record<string, SafetensorsTensor> {
  const own = graph.nodes.filter(({ shares }) => shares === undefined);
  const entries = own.flatMap(({ name, weights: all }) =>
    Object.entries(all).map(([role, { shape, values }]): [string, SafetensorsTensor] => [
      `${name}/${role}`,
      { dtype: dtypes[weights], shape, values: () => values! },
    ]),
  );
  return Object.fromEntries(entries);
}

async function convertTensors(file: SafetensorsFile, to: string, weights: string): Promise<string> {
  const bar = progress("tensors", file.tensors.size || 1);
  try {
    const kept: string[] = [];
    const entries = [...file.tensors].map(([name, { dtype, shape }]): [string, SafetensorsTensor] => {
      const float = ["F64", "F32", "F16", "BF16"].includes(dtype);
      if (!float) kept.push(name);
      return [
        name,
        float
          ? { dtype: dtypes[weights], shape, values: () => file.floats(name) }
          : { dtype, shape, values: () => file.bytes(name) },
      ];
    });
    await writeSafetensors(to, Object.fromEntries(entries), {
      metadata: { ...file.metadata },
      onTensor: (name, done) => bar.update(done, name),
    });
    return kept.length > 0 ? `${kept.length} tensors of whole numbers as they were` : "";
  } finally {
    bar.end();
    await file.close();
  }
}
