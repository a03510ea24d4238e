// Kernels of 8 bits for engines that run a network in integers: where nothing stays a float, above all depthwise filters,
// rounding to the nearest loses several times what rounding with a look at the inputs does.
import { costOf } from "../analysis/index.ts";
import { type Samples, subset } from "../datasets/index.ts";
import { autoQuantize, kernelsOf, layerShapesOf, type tf } from "../nn/index.ts";
import type { Quantized } from "../quantization/index.ts";

/** Fewer examples than that are not enough: a third of them is held out. */
export const fewestExamples = 3;

// Multiply-accumulates, times kernels, times examples: about 40 s on WebAssembly.
const roundingWork = 4e11;
const mostExamples = 256;

/**
 * How many examples rounding is chosen on: each layer is tried on the network as it is behind it, so that it takes about as
 * many runs of the network as it has kernels, on a third of the examples.
 */
export function examplesToRoundOn(macs: number, kernels: number): number {
  const fitting = Math.floor(roundingWork / Math.max(1, macs * kernels));
  return Math.min(mostExamples, Math.max(12, fitting));
}

/** What {@link roundForIntegers} found. */
export interface Rounded {
  /** Codes of its kernels, by layer. */
  quantized: Record<string, Quantized>;
  /** What was done, in words. */
  note: string;
}

/**
 * Rounds a network's kernels to 8 bits by {@link autoQuantize}: to the nearest or by GPTQ, with bias correction or without,
 * and after equalization, each where it helps on examples that are held out.
 *
 * @param model of a graph as an engine runs it; its kernels and biases are what was chosen afterwards
 * @param examples at least {@link fewestExamples}; as many of them are looked at as {@link examplesToRoundOn} says
 */
export async function roundForIntegers(
  model: tf.LayersModel,
  examples: Samples,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Rounded> {
  const wanted = examplesToRoundOn(costOf(layerShapesOf(model)).macs, kernelsOf(model).length);
  const some = subset(examples, Math.min(wanted, examples.count));
  const { rows, quantized, scales } = await autoQuantize(
    model,
    some,
    // Any choice fits: a kernel's numbers as they were, and a scale for each.
    { bytes: 8 * model.countParams() },
    { bits: [8], progress: true, signal },
  );
  const count = (of: (row: (typeof rows)[number]) => boolean) => rows.filter(of).length;
  return {
    // A layer of several kernels takes no codes: what writes it makes them, of numbers that are on the grid already.
    quantized: Object.fromEntries(
      kernelsOf(model)
        .filter(({ name, layerName }) => name === layerName && quantized[name])
        .map(({ name }) => [name, quantized[name]]),
    ),
    note:
      `${rows.length} kernels rounded on ${some.count} examples: ${count(({ rounding }) => rounding === "gptq")} by GPTQ, ` +
      `${count(({ biasCorrected }) => biasCorrected)} with their bias corrected` +
      (Object.keys(scales).length > 0 ? `, ${Object.keys(scales).length} layers equalized` : ""),
  };
}
