// One network that runs as it is stored, beside its floats in TensorFlow.js and its weights in 8 bits in other engines:
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
 */
export async function storedRows(
  report: (row: Row) => void,
  work: string,
  model: tf.LayersModel,
  compression: Partial<Compression>,
  image: Float32Array,
): Promise<void> {
  const stored = storedOf(model, compression);
  const shape = [1, ...(model.inputs[0].shape.slice(1) as number[])];
  const input = [{ shape, values: image }];
  const { quantized } = quantizeWeights(model, { bits: 8 });
  const onnx = await engine(encodeGraphAsOnnx(graphOf(model), { weights: "int8", quantized }));
  const tflite = await engine(encodeGraphAsTflite(graphOf(model), { weights: "int8", quantized }));
  const peers = {
    "tfjs WASM, dense floats": () =>
      tf.tidy(() => {
        (model.apply(tf.tensor(image, shape)) as tf.Tensor).dataSync();
      }),
    ...(onnx ? { "onnxruntime-node, int8 weights": () => onnx.run(input) } : {}),
    ...(tflite ? { "LiteRT.js, int8 weights": () => tflite.run(input) } : {}),
  };
  const times = await measureLatencies(
    { ours: () => stored.run(image), ...peers },
    { runs: 101, warmup: 30 },
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
