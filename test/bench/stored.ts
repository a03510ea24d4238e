// One network that runs as it is stored, beside its floats in TensorFlow.js and the same weights in other engines' files:
// latency of one image, and what the weights take in memory (Deep Compression's section 6.3).
import { measureLatencies } from "../../lib/analysis/index.ts";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  type LoadedInEngine,
  MissingEngineError,
  openInEngine,
} from "../../lib/formats/index.ts";
import { type Compression, graphOf, quantizeWeights, storedOf, tf } from "../../lib/nn/index.ts";
import type { Row } from "./index.ts";

async function engine(bytes: Uint8Array): Promise<LoadedInEngine | undefined> {
  try {
    return await openInEngine(bytes);
  } catch (error) {
    if (error instanceof MissingEngineError) return undefined;
    throw error;
  }
}

/**
 * Reports both rows of a network.
 *
 * @param work what it is called
 * @param image one example, as floats
 * @param weights of the files that the other engines run
 */
export async function storedRows(
  report: (row: Row) => void,
  work: string,
  model: tf.LayersModel,
  compression: Partial<Compression>,
  image: Float32Array,
  { weights = "int8", runs = 101 }: { weights?: "float32" | "int8"; runs?: number } = {},
): Promise<void> {
  const stored = storedOf(model, compression);
  const shape = [1, ...(model.inputs[0].shape.slice(1) as number[])];
  const input = [{ shape, values: image }];
  const options =
    weights === "int8" ? { weights, quantized: quantizeWeights(model, { bits: 8 }).quantized } : {};
  const onnx = await engine(encodeGraphAsOnnx(graphOf(model), options));
  const tflite = await engine(encodeGraphAsTflite(graphOf(model), options));
  const peers = {
    "tfjs WASM, dense floats": () =>
      tf.tidy(() => {
        (model.apply(tf.tensor(image, shape)) as tf.Tensor).dataSync();
      }),
    ...(onnx ? { [`onnxruntime-node, ${weights}`]: () => onnx.run(input) } : {}),
    ...(tflite ? { [`LiteRT.js, ${weights}`]: () => tflite.run(input) } : {}),
  };
  const times = await measureLatencies(
    { ours: () => stored.run(image), ...peers },
    { runs, warmup: Math.ceil(0.3 * runs) },
  );
  report({
    work: `${work}: latency`,
    ours: times.ours.median,
    peers: Object.fromEntries(Object.keys(peers).map((peer) => [peer, times[peer].median])),
    unit: "ms",
  });
  report({
    work: `${work}: weights in memory`,
    ours: stored.bytes / 1e6,
    peers: { "dense floats": stored.denseBytes / 1e6 },
    unit: "MB",
  });
  await onnx?.close();
  await tflite?.close();
}
