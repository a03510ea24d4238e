import { loadDataset, toFloat, viewOf } from "../../lib/datasets/index.ts";
import {
  type Compression,
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
import type { Row } from "./index.ts";
import { storedRows } from "./stored.ts";

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

export async function bench(report: (row: Row) => void): Promise<void> {
  await useBackend("wasm");
  const { test } = await loadDataset("mnist-10k");
  const image = toFloat(viewOf(test, 0, 1));
  for (const name of ["lenet-300-100", "lenet-5"] as const satisfies readonly PretrainedName[])
    for (const form of forms) {
      const model = await loadPretrained(name);
      const compression = await compressed(model, form);
      await storedRows(report, `${name}, ${form}`, model, compression, image);
      model.dispose();
    }
}
