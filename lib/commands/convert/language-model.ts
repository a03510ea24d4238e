// `slimlab convert` of language models: into .onnx, or rounded with a look at what goes into each matrix.

import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { encodeOnnx, type GgufFile } from "../../formats/index.ts";
import { writeFileAtomic } from "../../platform/node.ts";
import { checkOneOf } from "../../util/check.ts";
import { untilInterrupted } from "../../util/interrupt.ts";
import { progress } from "../../util/progress.ts";
import type { ConvertOptions } from "./options.ts";

/** Bits and grids of a language model's matrices, by the type that is asked for. */
const languageModelWeights = {
  int4: { bits: 4, scheme: "affine" },
  int8: { bits: 8, scheme: "affine" },
  Q4_0: { bits: 4, scheme: "symmetric" },
  Q4_1: { bits: 4, scheme: "affine" },
  Q8_0: { bits: 8, scheme: "symmetric" },
} as const;

/** A language model as a graph for onnxruntime, which gives out logits. */
export async function languageModelIntoOnnx(
  gguf: GgufFile,
  from: string,
  to: string,
  weights: string,
): Promise<string> {
  checkOneOf("--weights of a language model", weights, ["float32", "int4", "int8"]);
  const { llamaOf, llamaOnnx, quantizeLlama } = await import("../../lm/index.ts");
  const model = llamaOf(gguf, from);
  const grid = languageModelWeights[weights as "int4" | "int8"];
  const small = grid && (await quantizeLlama(model, { ...grid, group: 32 }));
  const onnx = await llamaOnnx(small?.model ?? model, small ? { quantized: small.quantized } : {});
  await writeFileAtomic(to, encodeOnnx(onnx));
  return "logits of whole texts, without memory from call to call: for measuring, not for chatting";
}

/** A language model whose matrices are rounded with a look at what goes into them. */
export async function quantizeLanguageModel(
  from: string,
  to: string,
  weights: string,
  { rounding = "nearest", text }: ConvertOptions,
): Promise<string> {
  const lm = await import("../../lm/index.ts");
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
