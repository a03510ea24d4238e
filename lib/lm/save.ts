// §4.4: a quantized language model as a GGUF file, for llama.cpp: the codes as they are, everything else as it was.
import { type GgufTensor, ggufBlocksOf, ggufTypeOf, writeGguf } from "../formats/index.ts";
import type { OpenLlama } from "./llama.ts";
import type { QuantizedLlama } from "./quantize.ts";

/**
 * Writes a GGUF file, whole or not at all: matrices with their codes, norms as they are now, the embedding and the metadata
 * (tokenizer included) as the file has them that the model came from.
 *
 * @param source the open model that was quantized
 * @returns the file's length in bytes
 * @throws RangeError for codes that GGUF cannot hold: 4 bits, or 8 symmetric ones, in groups of 32, are what it can
 */
export async function saveQuantizedLlama(
  path: string,
  source: OpenLlama,
  { model, quantized }: Pick<QuantizedLlama, "model" | "quantized">,
  options: Parameters<typeof writeGguf>[3] = {},
): Promise<number> {
  const { file } = source;
  const tensors = new Map<string, GgufTensor>();
  for (const [name, { type, shape }] of file.tensors) {
    const q = quantized.get(name);
    if (q) tensors.set(name, { type: ggufTypeOf(q), shape, values: () => ggufBlocksOf(q).bytes });
    else if (shape.length === 1) tensors.set(name, { type: "F32", shape, values: () => model.tensor(name) });
    else tensors.set(name, { type, shape, values: () => file.bytes(name) });
  }
  return writeGguf(path, file.metadata, tensors, options);
}
