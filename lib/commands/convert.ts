// `slimlab convert`: a model file in another format.
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { datasetNames, loadDataset, subset } from "../datasets/index.ts";
import {
  compressOnnx,
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  encodeOnnx,
  fuseActivations,
  type GgufFile,
  type GgufTensor,
  type GgufType,
  type GgufValue,
  ggufTypes,
  ggufWritable,
  layersWithGrids,
  type OnnxLayout,
  type OnnxOptions,
  onnxLayouts,
  onnxModelOf,
  onnxTargets,
  onnxWeights,
  readyForEngine,
  readyForIntegers,
  type SafetensorsTensor,
  type SafetensorsType,
  safetensorsTypes,
  smallKernels,
  type TfliteOptions,
  tfliteModelOf,
  tfliteWeights,
  writeGguf,
  writeSafetensors,
} from "../formats/index.ts";
import type { Graph } from "../graph/index.ts";
import type { Compression, tf } from "../nn/index.ts";
import { writeFileAtomic } from "../platform/node.ts";
import { fewWeights } from "../quantization/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { untilInterrupted } from "../util/interrupt.ts";
import { progress } from "../util/progress.ts";
import { bytesOnDisk, inputShapesOf, type ModelFile, openModelFile, readable } from "./files.ts";

const help = `Usage: slimlab convert [OPTION]... IN OUT

Writes a model in another format, which the name of OUT says: .onnx, .tflite, .slim, .safetensors, .gguf, or a folder for
TensorFlow.js. It reads ${readable}.
Networks are made of all but .safetensors and .gguf files, whose tensors go one by one into these two formats, whatever
the file's size. A .gguf file of the llama family goes into .onnx, too.

  --weights TYPE   float32 (default), float16, bfloat16 (.safetensors), int8, int4 (.onnx, .tflite);
                   .gguf: F16 (default), F32, BF16, Q8_0, Q4_0, Q4_1, Q4_K, for tensors of two axes and more
  --keep-float N   kernels of fewer weights stay floats with int8 and int4, as TFLite's converter leaves them (default: 1024;
                   0: none); not with --data, where the whole network runs in integers
  --sparse         .tflite with float32 or float16: kernels of which most is 0 take only what is not, made dense by the engine
  --data DATA      .onnx, .tflite: quantize activations, too, calibrated on a data set (mnist-10k, fashion-10k, mnist, fashion-mnist), or
                   on an .npy, .npz or .safetensors file with an array for each input
  --images N       how many images of it (default: 256)
  --target ENGINE  .onnx with --data: ort (default) for onnxruntime, tensorrt for TensorRT's rules
  --input NAME=3x224x224   sizes that an .onnx file leaves open, the batch left out
  --rounding KIND  with --data: calibrated (default), which tries for each layer what disturbs the network least, or nearest,
                   which takes no time; of a language model in 4 or 8 bits (.gguf: Q4_0, Q4_1, Q8_0; .onnx: int4, int8):
                   nearest (default), or calibrated on --text: gptq, awq
  --text FILE      what is read to see what goes into each matrix; 2,048 tokens of it are used
  --in-place       .onnx to .onnx with --weights int4 or int8: every operator stays, the matrices of MatMul, Gemm and Gather
                   get scales for groups of inputs; for transformers, and done by itself where layers cannot hold a network
  --group N        weights that share a scale, in place (default: 32)
  --layout KIND    how they are written in place: matmulnbits (default) for onnxruntime, dequantize for ONNX's own operator,
                   from opset 21 on`;

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
      sparse: { type: "boolean", default: false },
      "keep-float": { type: "string" },
      input: { type: "string", multiple: true },
      "in-place": { type: "boolean", default: false },
      rounding: { type: "string" },
      text: { type: "string" },
      group: { type: "string" },
      layout: { type: "string" },
    },
  });
  if (values.help || positionals.length !== 2) {
    console.log(help);
    return values.help ? 0 : 2;
  }
  const [from, to] = positionals;
  const notes = await convert(from, to, {
    ...values,
    images: Number(values.images),
    inPlace: values["in-place"],
    ...(values["keep-float"] === undefined ? {} : { keepFloatBelow: Number(values["keep-float"]) }),
    group: values.group === undefined ? undefined : Number(values.group),
    inputShapes: inputShapesOf(values.input),
  });
  console.log(`${to}: ${(await bytesOnDisk(to)).toLocaleString("en")} bytes${notes ? `, ${notes}` : ""}`);
  return 0;
}

export interface ConvertOptions {
  weights?: string;
  data?: string;
  images?: number;
  target?: string;
  /** Kernels of floats in a .tflite file without what is 0, where that takes less. */
  sparse?: boolean;
  /** Kernels of fewer weights stay floats where the others get 8 or 4 bits and activations stay floats, too. */
  keepFloatBelow?: number;
  /** How weights are rounded: a language model's, or those of a network that is to run in integers. */
  rounding?: string;
  /** A file with a text to calibrate on. */
  text?: string;
  /** Compress the matrices of an .onnx file where they stand. */
  inPlace?: boolean;
  /** Weights that share a scale, in place. */
  group?: number;
  /** How they are written in place. */
  layout?: string;
  /** Sizes that an .onnx file leaves open, by the input's name. */
  inputShapes?: Record<string, readonly number[]>;
}

/**
 * Writes a model file in another format.
 * @returns what is worth knowing of the result; "" where nothing is
 * @throws Error for formats that do not go together, options that the format does not have, layers that it cannot hold
 */
export async function convert(from: string, to: string, options: ConvertOptions): Promise<string> {
  const extension = extname(to).toLowerCase();
  checkOneOf("OUT's ending", extension, [".onnx", ".tflite", ".slim", ".safetensors", ".gguf", ""]);
  const { weights = extension === ".gguf" ? "F16" : "float32", data, target } = options;
  const types = {
    ".onnx": onnxWeights,
    ".tflite": tfliteWeights,
    ".gguf": ggufWritable,
    ".safetensors": ["float32", "float16", "bfloat16"],
    ".slim": ["float32"],
    "": ["float32"],
  };
  checkOneOf("--weights", weights, types[extension as keyof typeof types] as readonly string[]);
  if (data !== undefined && extension !== ".onnx" && extension !== ".tflite")
    throw new Error("--data goes with an .onnx or .tflite file");
  if (options.sparse && extension !== ".tflite") throw new Error("--sparse goes with a .tflite file");
  if (target !== undefined && extension !== ".onnx") throw new Error("--target goes with an .onnx file");
  if (target !== undefined) {
    checkOneOf("--target", target, onnxTargets as readonly string[]);
    if (data === undefined)
      throw new Error("--target needs --data: only quantized activations differ between engines");
  }
  if (data === undefined && (options.rounding !== undefined || options.text !== undefined))
    return quantizeLanguageModel(from, to, weights, options);
  if (data !== undefined) {
    if (options.text !== undefined)
      throw new Error("--text goes with a language model, which takes no --data");
    checkOneOf("--rounding with --data", options.rounding ?? "calibrated", dataRoundings);
  }
  if (options.keepFloatBelow !== undefined) {
    checkInteger("--keep-float", options.keepFloatBelow, 0);
    if (data !== undefined)
      throw new Error("--keep-float goes without --data: in integers there are no floats to keep");
    if (extension !== ".onnx" && extension !== ".tflite")
      throw new Error("--keep-float goes with an .onnx or .tflite file");
  }
  const inPlace = options.inPlace || options.group !== undefined || options.layout !== undefined;
  if (inPlace) return convertInPlace(from, to, weights, options);
  const file = await openModelFile(from, { inputShapes: options.inputShapes });
  if (file.format === "safetensors" || file.format === "gguf") {
    const source = sourceOf(file);
    try {
      if (extension === ".safetensors") return await tensorsIntoSafetensors(source, to, weights);
      if (extension === ".gguf") return await tensorsIntoGguf(source, to, weights as GgufType);
      if (extension === ".onnx" && file.format === "gguf")
        return await languageModelIntoOnnx(file.gguf, from, to, weights);
      throw new Error(`${from} holds tensors without a network: OUT must end in .safetensors or .gguf`);
    } finally {
      await source.close();
    }
  }
  if (extension === ".gguf")
    throw new Error(
      "a .gguf file holds the tensors of a language model: IN must end in .safetensors or .gguf",
    );
  if (!("model" in file)) {
    if (extension !== ".onnx" || !(weights === "int4" || weights === "int8")) throw new Error(file.why);
    return convertInPlace(from, to, weights, options);
  }
  const said = await writeNetwork(file, to, extension, options);
  return [said, ...(file.notes ?? [])].filter(Boolean).join("; ");
}

/** How kernels of a network in integers are rounded. */
const dataRoundings = ["calibrated", "nearest"] as const;

/** An .onnx file whose matrices are compressed where they stand. */
async function convertInPlace(
  from: string,
  to: string,
  weights: string,
  { group, layout, data, keepFloatBelow }: ConvertOptions,
): Promise<string> {
  if (!from.toLowerCase().endsWith(".onnx") || !to.toLowerCase().endsWith(".onnx"))
    throw new Error("--in-place, --group and --layout go from an .onnx file to an .onnx file");
  if (data !== undefined)
    throw new Error("--data needs a network of layers: --in-place changes weights alone");
  checkOneOf("--weights in place", weights, ["int4", "int8"]);
  if (layout !== undefined) checkOneOf("--layout", layout, onnxLayouts as readonly string[]);
  let bar: ReturnType<typeof progress> | undefined;
  try {
    const { changed, left } = await untilInterrupted((signal) =>
      compressOnnx(from, to, {
        bits: weights === "int4" ? 4 : 8,
        ...(group === undefined ? {} : { group }),
        ...(keepFloatBelow === undefined ? {} : { smallest: keepFloatBelow }),
        ...(layout === undefined ? {} : { layout: layout as OnnxLayout }),
        onTensor: (name, done, total) => {
          bar ??= progress("matrices", total);
          bar.update(done, name);
        },
        signal,
      }),
    );
    const worst = changed.reduce((most, entry) => (entry.error > most.error ? entry : most));
    // Many stay for one reason.
    const large = new Map<string, string[]>();
    for (const { name, bytes, why } of left)
      if (bytes >= 65_536) large.set(why, [...(large.get(why) ?? []), name]);
    const reasons = [...large].map(([why, names]) => `${names.join(", ")} (${why})`);
    return [
      `${changed.length} matrices in ${weights === "int4" ? 4 : 8} bits, the largest relative error ${worst.error.toFixed(4)} (${worst.name})`,
      ...(reasons.length > 0 ? [`as they were: ${reasons.join("; ")}`] : []),
    ].join("; ");
  } finally {
    bar?.end();
  }
}

/** Bits and grids of a language model's matrices, by the type that is asked for. */
const languageModelWeights = {
  int4: { bits: 4, scheme: "affine" },
  int8: { bits: 8, scheme: "affine" },
  Q4_0: { bits: 4, scheme: "symmetric" },
  Q4_1: { bits: 4, scheme: "affine" },
  Q8_0: { bits: 8, scheme: "symmetric" },
} as const;

/** A language model as a graph for onnxruntime, which gives out logits. */
async function languageModelIntoOnnx(
  gguf: GgufFile,
  from: string,
  to: string,
  weights: string,
): Promise<string> {
  checkOneOf("--weights of a language model", weights, ["float32", "int4", "int8"]);
  const { llamaOf, llamaOnnx, quantizeLlama } = await import("../lm/index.ts");
  const model = llamaOf(gguf, from);
  const grid = languageModelWeights[weights as "int4" | "int8"];
  const small = grid && (await quantizeLlama(model, { ...grid, group: 32 }));
  const onnx = await llamaOnnx(small?.model ?? model, small ? { quantized: small.quantized } : {});
  await writeFileAtomic(to, encodeOnnx(onnx));
  return "logits of whole texts, without memory from call to call: for measuring, not for chatting";
}

/** A language model whose matrices are rounded with a look at what goes into them. */
async function quantizeLanguageModel(
  from: string,
  to: string,
  weights: string,
  { rounding = "nearest", text }: ConvertOptions,
): Promise<string> {
  const lm = await import("../lm/index.ts");
  const extension = extname(to).toLowerCase();
  checkOneOf("--rounding", rounding, lm.llamaRoundings as readonly string[]);
  checkOneOf("OUT's ending with --rounding or --text", extension, [".gguf", ".onnx"]);
  const types = extension === ".gguf" ? ["Q4_0", "Q4_1", "Q8_0"] : ["int4", "int8"];
  checkOneOf("--weights with --rounding or --text", weights, types);
  if (rounding !== "nearest" && text === undefined)
    throw new Error(`--rounding ${rounding} needs --text FILE: what to look at the inputs on`);
  const source = await lm.openLlama(from);
  let bar: ReturnType<typeof progress> | undefined;
  try {
    const tokens =
      rounding === "nearest"
        ? undefined
        : (await lm.tokenizerOf(source.file)).encode(await readFile(text!, "utf8"));
    const small = await untilInterrupted((signal) =>
      lm.quantizeLlama(source, {
        ...languageModelWeights[weights as keyof typeof languageModelWeights],
        group: 32,
        rounding: rounding as "nearest",
        ...(tokens ? { calibration: lm.textsOf(tokens, 128).slice(0, 16) } : {}),
        onLayer: (done, total) => {
          bar ??= progress("blocks", total);
          bar.update(done);
        },
        signal,
      }),
    );
    if (extension === ".gguf") await lm.saveQuantizedLlama(to, source, small);
    else
      await writeFileAtomic(to, encodeOnnx(await lm.llamaOnnx(small.model, { quantized: small.quantized })));
    const [error, nearest] = ["error", "nearest"].map((of) =>
      small.errors.reduce((sum, entry) => sum + Math.log(Math.max(1e-30, entry[of as "error"])), 0),
    );
    const share = Math.exp((error - nearest) / Math.max(1, small.errors.length));
    return [
      `${small.quantized.size} matrices in ${small.bitsPerWeight.toFixed(2)} bits per weight`,
      ...(tokens
        ? [
            `their outputs' errors ${(100 * share).toFixed(0)} % of rounding to the nearest's, in the geometric mean`,
          ]
        : []),
    ].join("; ");
  } finally {
    bar?.end();
    await source.close();
  }
}

async function writeNetwork(
  {
    model,
    compression,
    meta,
  }: { model: tf.LayersModel; compression?: Compression; meta?: Record<string, unknown> },
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

/** A network as an engine runs it, in integers where examples are given to calibrate on. */
async function writeForEngine(
  graph: Graph,
  codes: Compression["quantized"],
  to: string,
  extension: ".onnx" | ".tflite",
  options: ConvertOptions,
): Promise<string> {
  const small = Object.entries(codes).filter(([, { bits }]) => bits <= 8);
  // Codes that a file brings are those of its own kernels, which folding would change.
  const keep = small.length > 0 && options.weights === undefined && !options.sparse;
  const fused = keep ? fuseActivations(graph) : readyForEngine(graph);
  const ready = options.data === undefined ? fused : readyForIntegers(fused);
  const [modelled, encode] =
    extension === ".onnx" ? [onnxModelOf, encodeGraphAsOnnx] : [tfliteModelOf, encodeGraphAsTflite];
  // What the format cannot hold is said before the long work.
  if (options.data !== undefined) modelled(ready, {});
  const integers =
    options.data === undefined ? undefined : await inIntegers(ready, options.data, keep, options);
  const written = {
    ...(options.weights ? { weights: options.weights } : {}),
    ...(options.sparse ? { sparse: true } : {}),
    ...(options.keepFloatBelow === undefined ? {} : { keepFloatBelow: options.keepFloatBelow }),
    ...(keep ? { quantized: Object.fromEntries(small) } : {}),
    ...integers?.written,
  } as OnnxOptions & TfliteOptions;
  await writeFileAtomic(to, encode(integers?.graph ?? ready, written));
  if (options.sparse && options.weights === "float16")
    return "not for LiteRT.js (2.5): it answers NaN for sparse kernels of 16 bits, which LiteRT elsewhere runs";
  if (!integers) {
    const small = keep || options.weights?.startsWith("int") ? smallKernels(ready, written) : [];
    return small.length > 0
      ? `kept as floats, with fewer than ${(written.keepFloatBelow ?? fewWeights).toLocaleString("en")} weights each: ${small.join(", ")}`
      : "";
  }
  const engine = extension === ".onnx" ? (options.target ?? "ort") : "LiteRT";
  return [`8-bit activations for ${engine}`, integers.note].filter(Boolean).join("; ");
}

/**
 * What a network needs to run in integers: kernels that are rounded on examples, and grids of activations: of the input,
 * and of every layer that does not hand on the levels of what it reads.
 *
 * @param keep whether its kernels have codes already
 */
async function inIntegers(
  graph: Graph,
  data: string,
  keep: boolean,
  { images = 256, target = "ort", weights = "int8", rounding = "calibrated" }: ConvertOptions,
): Promise<{ graph: Graph; written: OnnxOptions; note: string }> {
  checkInteger("--images", images, 1);
  const { calibrateActivations, graphOf, modelOf } = await import("../nn/index.ts");
  const { answeredBy, portsOf, samplesFrom } = await import("./compress/arrays.ts");
  const { fewestExamples, roundForIntegers } = await import("./eight-bits.ts");
  const scheme = target === "tensorrt" ? ({ scheme: "symmetric", signed: true } as const) : {};
  const model = modelOf(graph);
  try {
    const examples = (datasetNames as readonly string[]).includes(data)
      ? { samples: (await loadDataset(data)).train, labelled: true }
      : await samplesFrom(data, portsOf(model), {});
    const some = subset(examples.samples, Math.min(images, examples.samples.count));
    const rounds = !keep && weights === "int8" && rounding === "calibrated";
    const enough = some.count >= fewestExamples;
    const rounded =
      rounds && enough
        ? await untilInterrupted(async (signal) =>
            roundForIntegers(model, examples.labelled ? some : await answeredBy(model, some, signal), {
              signal,
            }),
          )
        : undefined;
    const ready = rounded ? graphOf(model) : graph;
    const activations = await calibrateActivations(model, some, {
      ...scheme,
      layers: layersWithGrids(ready),
    });
    return {
      graph: ready,
      written: {
        activations: activations as OnnxOptions["activations"],
        target: target as OnnxOptions["target"],
        ...(rounded ? { quantized: rounded.quantized } : {}),
      },
      note:
        rounded?.note ??
        (rounds ? `kernels rounded to the nearest: to do better takes ${fewestExamples} examples` : ""),
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

/** A network's weights as tensors of a .safetensors file, named by layer and role. */
export function tensorsOf(graph: Graph, weights: string): Record<string, SafetensorsTensor> {
  const own = graph.nodes.filter(({ shares }) => shares === undefined);
  const entries = own.flatMap(({ name, weights: all }) =>
    Object.entries(all).map(([role, { shape, values }]): [string, SafetensorsTensor] => [
      `${name}/${role}`,
      { dtype: dtypes[weights], shape, values: () => values! },
    ]),
  );
  return Object.fromEntries(entries);
}

/** Tensors of either format. `float` says whether a tensor's numbers can be had as floats without loss of meaning. */
interface Source {
  tensors: Map<string, { shape: readonly number[]; type: string; float: boolean }>;
  metadata: ReadonlyMap<string, GgufValue>;
  bytes(name: string): Promise<Uint8Array>;
  floats(name: string): Promise<Float32Array>;
  close(): Promise<void>;
}

function sourceOf(file: Extract<ModelFile, { format: "safetensors" | "gguf" }>): Source {
  if (file.format === "safetensors") {
    const { tensors, metadata } = file.tensors;
    const float = new Set<string>(["F64", "F32", "F16", "BF16"]);
    return {
      tensors: new Map(
        [...tensors].map(([name, { dtype, shape }]) => [
          name,
          { shape, type: dtype, float: float.has(dtype) },
        ]),
      ),
      metadata: new Map(Object.entries(metadata).map(([key, value]) => [key, { type: "string", value }])),
      bytes: (name) => file.tensors.bytes(name),
      floats: (name) => file.tensors.floats(name),
      close: () => file.tensors.close(),
    };
  }
  const { tensors, metadata } = file.gguf;
  const float = new Set<string>(ggufWritable);
  return {
    tensors: new Map(
      [...tensors].map(([name, { type, shape }]) => [name, { shape, type, float: float.has(type) }]),
    ),
    metadata,
    bytes: (name) => file.gguf.bytes(name),
    floats: (name) => file.gguf.floats(name),
    close: () => file.gguf.close(),
  };
}

async function tensorsIntoSafetensors(source: Source, to: string, weights: string): Promise<string> {
  const kept: string[] = [];
  const entries = [...source.tensors].map(([name, { type, shape, float }]): [string, SafetensorsTensor] => {
    if (float) return [name, { dtype: dtypes[weights], shape, values: () => source.floats(name) }];
    if (!Object.hasOwn(safetensorsTypes, type))
      throw new Error(`tensor ${name} of type ${type} cannot be read as floats`);
    kept.push(name);
    return [name, { dtype: type as SafetensorsType, shape, values: () => source.bytes(name) }];
  });
  const texts = [...source.metadata].flatMap(([key, entry]) =>
    entry.type === "string" ? [[key, String(entry.value)]] : [],
  );
  const bar = progress("tensors", entries.length || 1);
  try {
    await writeSafetensors(to, Object.fromEntries(entries), {
      metadata: Object.fromEntries(texts),
      onTensor: (name, done) => bar.update(done, name),
    });
  } finally {
    bar.end();
  }
  return kept.length > 0 ? `${kept.length} tensors of whole numbers as they were` : "";
}

async function tensorsIntoGguf(source: Source, to: string, weights: GgufType): Promise<string> {
  const { group } = ggufTypes[weights];
  const floats: string[] = [];
  const kept: string[] = [];
  const tensors = new Map<string, GgufTensor>();
  for (const [name, { type, shape, float }] of source.tensors) {
    if (!float) {
      if (!Object.hasOwn(ggufTypes, type))
        throw new Error(`tensor ${name} of type ${type} has no place in a .gguf file`);
      kept.push(name);
      tensors.set(name, { type: type as GgufType, shape, values: () => source.bytes(name) });
      continue;
    }
    // Vectors are small and matter much; rows that are no whole groups cannot be packed.
    const fits = shape.length >= 2 && shape.at(-1)! % group === 0;
    if (!fits && shape.length >= 2) floats.push(name);
    const own = fits ? weights : "F32";
    // What is of this type already is copied: packing it anew could round once more.
    const values = own === type ? () => source.bytes(name) : () => source.floats(name);
    tensors.set(name, { type: own, shape, values });
  }
  const metadata = new Map(source.metadata);
  if (!metadata.has("general.architecture"))
    metadata.set("general.architecture", { type: "string", value: "unknown" });
  const bar = progress("tensors", tensors.size || 1);
  try {
    await writeGguf(to, metadata, tensors, { onTensor: (name, done) => bar.update(done, name) });
  } finally {
    bar.end();
  }
  return [
    ...(floats.length > 0 ? [`rows of ${floats.join(", ")} are no multiple of ${group}: F32`] : []),
    ...(kept.length > 0 ? [`as they were: ${kept.join(", ")}`] : []),
    ...(source.metadata.has("general.architecture")
      ? []
      : ["no architecture is known, so llama.cpp cannot run it"]),
  ].join("; ");
}
