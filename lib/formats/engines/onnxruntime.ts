// onnxruntime in Node, by its package onnxruntime-node, an optional peer.
import { mapFloats } from "../../util/floats.ts";
import { elements } from "../../util/shape.ts";
import { checkInputs, type LoadedInEngine, MissingEngineError } from "./engine.ts";

type Runtime = typeof import("onnxruntime-node");

/** Loads an .onnx file. */
export async function openInOnnxRuntime(bytes: Uint8Array): Promise<LoadedInEngine> {
  const { InferenceSession, Tensor } = await runtime();
  const session = await InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const sides = (all: typeof session.inputMetadata) =>
    all.map((value) => ({
      name: value.name,
      type: value.isTensor ? value.type : "float32",
      shape: value.isTensor ? value.shape.map((size) => (typeof size === "number" ? size : -1)) : [],
    }));
  const inputs = sides(session.inputMetadata);
  const outputs = sides(session.outputMetadata);
  return {
    engine: "onnxruntime-node",
    inputs,
    outputs,
    async run(given) {
      checkInputs(inputs, given);
      const feeds = Object.fromEntries(
        given.map(({ shape, values }, i) => {
          const { name, type } = inputs[i];
          // Token numbers and the like are whole, and small enough for floats.
          if (type === "int64")
            return [
              name,
              new Tensor(
                "int64",
                BigInt64Array.from(values, (v) => BigInt(v)),
                [...shape],
              ),
            ];
          if (type === "int32") return [name, new Tensor("int32", Int32Array.from(values), [...shape])];
          return [name, new Tensor("float32", values, [...shape])];
        }),
      );
      const found = await session.run(feeds);
      return outputs.map(({ name }) => {
        const { dims, data } = found[name];
        const values = data instanceof Float32Array ? data : mapFloats(data as ArrayLike<number>, Number);
        return { shape: [...dims], values: values.subarray(0, elements(dims)) };
      });
    },
    close: () => session.release(),
  };
}

/** A name that no bundler follows. */
const name = "onnxruntime-node";

async function runtime(): Promise<Runtime> {
  try {
    const loaded = await import(name);
    return (loaded.InferenceSession ? loaded : loaded.default) as Runtime;
  } catch (error) {
    throw new MissingEngineError(name, error);
  }
}
