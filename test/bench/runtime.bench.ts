import { loadDataset, toFloat, viewOf } from "../../lib/datasets/index.ts";
import {
  type Compression,
  foldBatchNorms,
  loadModel,
  loadPretrained,
  type PretrainedName,
  quantizeWeights,
  scoresOf,
  setWeights,
  type tf,
  useBackend,
  weightsOf,
} from "../../lib/nn/index.ts";
import { applyMasks, globalSparsity } from "../../lib/pruning/index.ts";
import { clusterWeights, restoreClusters } from "../../lib/quantization/index.ts";
import { mobilenetFolder } from "../nn/mobilenet.ts";
import type { Row } from "./index.ts";
import { storedRows } from "./stored.ts";

export const title = "Running from storage, one image (4)";

const forms = ["floats", "8 bits", "92 % pruned, 32 clusters"] as const;

/** The network in a form, its weights changed with it. */
async function compressed(
  model: tf.LayersModel,
  form: (typeof forms)[number],
): Promise<Partial<Compression>> {
  if (form === "floats") return {};
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

export async function bench(report: (row: Row) => void): Promise<void> {
  await useBackend("wasm");
  const { test } = await loadDataset("mnist-10k");
  const digit = toFloat(viewOf(test, 0, 1));
  for (const name of ["lenet-300-100", "lenet-5"] as const satisfies readonly PretrainedName[])
    await rows(report, name, () => loadPretrained(name), digit, 101);
  const place = await mobilenetFolder();
  if (place === undefined) throw new Error("needs npm for MobileNetV2");
  const folded = async () => foldBatchNorms(await loadModel(place)).model;
  const image = Float32Array.from({ length: 224 * 224 * 3 }, (_, i) => (i % 224) / 224);
  await rows(report, "MobileNetV2", folded, image, 11);
}

async function rows(
  report: (row: Row) => void,
  name: string,
  load: () => Promise<tf.LayersModel>,
  image: Float32Array,
  runs: number,
): Promise<void> {
  for (const form of forms) {
    const model = await load();
    const compression = await compressed(model, form);
    const weights = form === "floats" ? "float32" : "int8";
    await storedRows(report, `${name}, ${form}`, model, compression, image, { weights, runs });
    model.dispose();
  }
}
