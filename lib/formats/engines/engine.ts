// What an engine is to slimlab: a model file that it has loaded, what goes in and out, and the error where it is missing.
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
