import { measureLatencies } from "../../lib/analysis/index.ts";
import { loadDataset, toFloat, viewOf } from "../../lib/datasets/index.ts";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  type LoadedInEngine,
  MissingEngineError,
  openInEngine,
} from "../../lib/formats/index.ts";
import {
  type Compression,
  graphOf,
  loadPretrained,
  type PretrainedName,
  quantizeWeights,
  scoresOf,
  setWeights,
  storedOf,
  tf,
  useBackend,
  weightsOf,
} from "../../lib/nn/index.ts";
import { applyMasks, globalSparsity } from "../../lib/pruning/index.ts";
import { clusterWeights, restoreClusters } from "../../lib/quantization/index.ts";
import type { Row } from "./index.ts";

export const title = "Running from storage, one image (4)";

const forms = ["8 bits", "92 % pruned, 32 clusters"] as const;

/** The network in a form, its weights changed with it. */
async function compressed(
  model: tf.LayersModel,
  form: (typeof forms)[number],
): Promise<Partial<Compression>> {
  if (form === "8 bits") return { quantized: quantizeWeights(model, { bits: 8 }).quantized };
  const masks = globalSparsity(await scoresOf(model, undefined), 0.92);
  setWeights(model, applyMasks(weightsOf(model), masks));
  const clustered = Object.fromEntries(
    Object.entries(weightsOf(model)).map(([name, values]) => [
      name,
      clusterWeights(values, { clusters: 32, mask: masks[name] }),
    ]),
  );
  setWeights(
    model,
    Object.fromEntries(Object.entries(clustered).map(([name, all]) => [name, restoreClusters(all)])),
  );
  return { masks, clustered };
}

async function engine(bytes: Uint8Array): Promise<LoadedInEngine | undefined> {
  try {
    return await openInEngine(bytes);
  } catch (error) {
    if (error instanceof MissingEngineError) return undefined;
    throw error;
  }
}

export async function bench(report: (row: Row) => void): Promise<void> {
  await useBackend("wasm");
  const { test } = await loadDataset("mnist-10k");
  const image = toFloat(viewOf(test, 0, 1));
  for (const name of ["lenet-300-100", "lenet-5"] as const satisfies readonly PretrainedName[])
    for (const form of forms) {
      const model = await loadPretrained(name);
      const compression = await compressed(model, form);
      const stored = storedOf(model, compression);
      const shape = [1, ...(model.inputs[0].shape.slice(1) as number[])];
      const input = [{ shape, values: image }];
      const options = { weights: "int8", quantized: compression.quantized ?? {} } as const;
      const onnx = await engine(encodeGraphAsOnnx(graphOf(model), options));
      const tflite = await engine(encodeGraphAsTflite(graphOf(model), options));
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
        work: `${name}, ${form}: latency`,
        ours: times.ours.median,
        peers: Object.fromEntries(Object.keys(peers).map((peer) => [peer, times[peer].median])),
        unit: "ms",
      });
      report({
        work: `${name}, ${form}: weights in memory`,
        ours: stored.bytes / 1e6,
        peers: { "dense floats": stored.denseBytes / 1e6 },
        unit: "MB",
      });
      await onnx?.close();
      await tflite?.close();
      model.dispose();
    }
}
