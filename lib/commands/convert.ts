// `slimlab convert`: a model file in another format.
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { type GgufType, ggufWritable, onnxTargets, onnxWeights, tfliteWeights } from "../formats/index.ts";
import { checkInteger, checkOneOf } from "../util/check.ts";
import { convertInPlace } from "./convert/in-place.ts";
import { languageModelIntoOnnx, quantizeLanguageModel } from "./convert/language-model.ts";
import { writeNetwork } from "./convert/network.ts";
import { type ConvertOptions, dataRoundings } from "./convert/options.ts";
import { sourceOf, tensorsIntoGguf, tensorsIntoSafetensors } from "./convert/tensors.ts";
import { bytesOnDisk, inputShapesOf, openModelFile, readable } from "./files.ts";

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
