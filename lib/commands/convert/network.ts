// `slimlab convert` of networks: as layers for other programs, or as engines run them.

import { datasetNames, loadDataset, subset } from "../../datasets/index.ts";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  fuseActivations,
  layersWithGrids,
  type OnnxOptions,
  onnxModelOf,
  readyForEngine,
  readyForIntegers,
  smallKernels,
  type TfliteOptions,
  tfliteModelOf,
  writeSafetensors,
} from "../../formats/index.ts";
import type { Graph } from "../../graph/index.ts";
import type { Compression, tf } from "../../nn/index.ts";
import { writeFileAtomic } from "../../platform/node.ts";
import { fewWeights } from "../../quantization/index.ts";
import { checkInteger } from "../../util/check.ts";
import { untilInterrupted } from "../../util/interrupt.ts";
import type { ConvertOptions } from "./options.ts";
import { tensorsOf } from "./tensors.ts";

/** Writes a network in the format that a file name's ending says; returns what is worth knowing of it. */
export async function writeNetwork(
  {
    model,
    compression,
    meta,
  }: { model: tf.LayersModel; compression?: Compression; meta?: Record<string, unknown> },
  to: string,
  extension: string,
  options: ConvertOptions,
): Promise<string> {
  const { graphOf, saveModel, saveSlim } = await import("../../nn/index.ts");
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
  const { calibrateActivations, graphOf, modelOf } = await import("../../nn/index.ts");
  const { answeredBy, portsOf, samplesFrom } = await import("../compress/arrays.ts");
  const { fewestExamples, roundForIntegers } = await import("../eight-bits.ts");
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
