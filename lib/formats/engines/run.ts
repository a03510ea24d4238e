// Runs model files in the engines that they are made for, so that what a file answers can be compared with what slimlab's
// own simulation says. The engines are optional peers: whoever lacks one is told its name.
import { readBytes } from "#platform";
import { shown } from "../../util/check.ts";
import { elements } from "../../util/shape.ts";

/** The engines, by their packages: onnxruntime for .onnx files, LiteRT for .tflite files. */
export const engines = ["onnxruntime-node", "@litertjs/core"] as const;
export type Engine = (typeof engines)[number];

/** Numbers that go into an engine or come out of it; the batch is the first axis. */
export interface EngineTensor {
  shape: readonly number[];
  values: Float32Array;
}

/** A model file that an engine has loaded. */
export interface LoadedInEngine {
  engine: Engine;
  /** Names and shapes of what goes in and comes out, in their order; −1 where a size is not fixed. */
  inputs: { name: string; shape: number[] }[];
  outputs: { name: string; shape: number[] }[];
  /**
   * Runs the model once.
   *
   * @param inputs in the model's order, as floats; a model whose input is of whole numbers gets these
   * @returns what comes out, in the model's order
   * @throws RangeError for inputs that are not the model's; Error for what the engine refuses
   */
  run(inputs: readonly EngineTensor[]): Promise<EngineTensor[]>;
  /** Gives its memory back; nothing can be run then. */
  close(): Promise<void>;
}

/** What {@link runWithEngine} found. */
export interface EngineRun {
  engine: Engine;
  /** What came out, in the model's order. */
  outputs: EngineTensor[];
  /** How long each run took, in milliseconds; loading and what goes before the first run are not counted. */
  milliseconds: number[];
}

/** The engine that a file needs is not installed; the message says how to get it. */
export class MissingEngineError extends Error {
  override readonly name = "MissingEngineError";
  readonly code = "ERR_SLIMLAB_ENGINE";
  readonly engine: Engine;

  constructor(engine: Engine, cause?: unknown) {
    super(
      `${engine} is not installed, which runs ${engine === "onnxruntime-node" ? ".onnx" : ".tflite"} files: npm install --ignore-scripts ${engine}`,
      { cause },
    );
    this.engine = engine;
  }
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

/**
 * Throws a RangeError unless inputs are those of a model.
 *
 * @param given in the model's order
 */
export function checkInputs(
  model: readonly { name: string; shape: readonly number[] }[],
  given: readonly EngineTensor[],
): void {
  if (given.length !== model.length)
    throw new RangeError(
      `inputs must be ${model.length} (${model.map(({ name }) => name).join(", ")}), got ${given.length}`,
    );
  for (const [i, { name, shape }] of model.entries()) {
    const { shape: own, values } = given[i];
    const fits = own.length === shape.length && shape.every((size, axis) => size < 0 || size === own[axis]);
    if (!fits)
      throw new RangeError(
        `input ${shown(name)} must have shape [${shape.map((size) => (size < 0 ? "any" : size)).join(", ")}], got [${own.join(", ")}]`,
      );
    if (values.length !== elements(own))
      throw new RangeError(
        `input ${shown(name)} of shape [${own.join(", ")}] must have ${elements(own)} values, got ${values.length}`,
      );
  }
}
