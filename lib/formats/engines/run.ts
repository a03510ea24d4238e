// Runs model files in the engines that they are made for, so that what a file answers can be compared with what slimlab's
// own simulation says. The engines are optional peers: whoever lacks one is told its name.
import { readBytes } from "#platform";
import { elements } from "../../util/shape.ts";
import type { Engine, EngineTensor, LoadedInEngine } from "./engine.ts";

/** What {@link runWithEngine} found. */
export interface EngineRun {
  engine: Engine;
  /** What came out, in the model's order. */
  outputs: EngineTensor[];
  /** How long each run took, in milliseconds; loading and what goes before the first run are not counted. */
  milliseconds: number[];
}

/**
 * Loads a model file into the engine for it, told by its first bytes.
 *
 * @param file a path, or the bytes of an .onnx or .tflite file
 * @throws MissingEngineError where the engine is not installed; Error for a file that the engine refuses
 */
export async function openInEngine(file: string | Uint8Array): Promise<LoadedInEngine> {
  const bytes = typeof file === "string" ? await readBytes(file) : file;
  const isTflite = String.fromCharCode(...bytes.subarray(4, 8)) === "TFL3";
  if (isTflite) return (await import("./litert.ts")).openInLiteRt(bytes);
  return (await import("./onnxruntime.ts")).openInOnnxRuntime(bytes);
}

/**
 * Runs a model file in the engine for it: .onnx in onnxruntime-node, .tflite in LiteRT.js. Engines have been seen to answer
 * rubbish without an error: compare with what the network answers here.
 *
 * Where a TFLite file takes one example and several are given, it is run once for each.
 *
 * @param file a path, or the bytes of the file
 * @param inputs in the model's order, float32, the batch first: one for most networks
 * @param options.repeat how often the run is timed (default 1)
 * @throws MissingEngineError where the engine is not installed; RangeError for inputs that are not the model's; Error for
 *   what the engine refuses
 * @example
 * const { outputs } = await runWithEngine("lenet.onnx", [{ shape: [2, 28, 28, 1], values }]);
 */
export async function runWithEngine(
  file: string | Uint8Array,
  inputs: readonly EngineTensor[],
  { repeat = 1 }: { repeat?: number } = {},
): Promise<EngineRun> {
  const model = await openInEngine(file);
  try {
    const milliseconds: number[] = [];
    let outputs: EngineTensor[] = [];
    for (let time = 0; time < repeat; time++) {
      const start = performance.now();
      outputs = await inParts(model, inputs);
      milliseconds.push(performance.now() - start);
    }
    return { engine: model.engine, outputs, milliseconds };
  } finally {
    await model.close();
  }
}

/** Many examples for a model whose batch is 1: one after the other. */
async function inParts(model: LoadedInEngine, inputs: readonly EngineTensor[]): Promise<EngineTensor[]> {
  const count = inputs[0]?.shape[0] ?? 1;
  const single = count > 1 && model.inputs.every(({ shape }) => shape[0] === 1);
  if (!single || inputs.some(({ shape }) => shape[0] !== count)) return model.run(inputs);
  const rows: EngineTensor[][] = [];
  for (let row = 0; row < count; row++)
    rows.push(
      await model.run(
        inputs.map(({ shape, values }) => {
          const size = elements(shape.slice(1));
          return { shape: [1, ...shape.slice(1)], values: values.subarray(row * size, (row + 1) * size) };
        }),
      ),
    );
  return rows[0].map(({ shape, values }, output) => {
    const all = new Float32Array(count * values.length);
    for (const [row, result] of rows.entries()) all.set(result[output].values, row * values.length);
    return { shape: [count, ...shape.slice(1)], values: all };
  });
}
