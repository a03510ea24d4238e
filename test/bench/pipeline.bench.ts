import { cpus } from "node:os";
import { measureLatency } from "../../lib/analysis/index.ts";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import { factorizeModel, loadPretrained, type PretrainedName, tf, useBackend } from "../../lib/nn/index.ts";
import {
  deepCompression,
  deepCompressionPublished,
  type Recipe,
  runRecipe,
  type Space,
  search,
} from "../../lib/pipeline/index.ts";
import type { Row } from "./index.ts";

export const title = "Low rank in models, and the pipeline (3.3, 2.3)";

/** Median time of one batch through a model. */
async function inference(model: tf.LayersModel, batch: number): Promise<number> {
  const x = tf.randomUniform([batch, ...(model.inputs[0].shape.slice(1) as number[])], 0, 1, "float32", 1);
  const { median } = await measureLatency(async () => {
    const y = model.predict(x) as tf.Tensor;
    await y.data();
    y.dispose();
  });
  x.dispose();
  return median;
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const backend = await useBackend();
  const work: [PretrainedName, number][] = [
    ["lenet-300-100", 1],
    ["lenet-300-100", 250],
    ["lenet-5", 1],
    ["lenet-5", 250],
  ];
  for (const [name, batch] of work) {
    const model = await loadPretrained(name);
    const small = await factorizeModel(model, { budget: 0.25 });
    report({
      work: `${name} at 25 % of its parameters, batch of ${batch}, ${backend}, ${cpus().length} cores`,
      ours: await inference(small.model, batch),
      peers: { "before factorizing": await inference(model, batch) },
      unit: "ms",
    });
    small.model.dispose();
    model.dispose();
  }

  const all = await loadDataset("mnist-10k");
  const data = { train: subset(all.train, 2000, 1), test: subset(all.test, 1000, 1) };
  const model = await loadPretrained("lenet-300-100");
  const training = async (before: Recipe) => {
    const recipe: Recipe = [...before, { technique: "fineTune", epochs: 2 }];
    return (await runRecipe(model, data, recipe, { cache: false })).rows.at(-1)!.seconds;
  };
  const plain = await training([]);
  for (const held of [
    { technique: "pruneWeights", sparsity: 0.9 },
    { technique: "quantize", bits: 4 },
    { technique: "cluster", clusters: 16 },
  ] as const) {
    report({
      work: `two epochs of 2,000 images with ${held.technique} held`,
      ours: await training([held]),
      peers: { "nothing held": plain },
      unit: "s",
      ...(held.technique === "quantize" ? { goal: "at most 1.5 of nothing held" } : {}),
    });
  }

  const space: Space = {
    steps: [
      { technique: "pruneWeights", sparsity: { from: 0.5, to: 0.95 } },
      { technique: "quantize", bits: { oneOf: [2, 3, 4, 8] } },
    ],
    order: "any",
    after: [{ technique: "fineTune", epochs: 1 }],
  };
  const searching = async (workers: number) => {
    const start = performance.now();
    await search(model, data, space, { trials: 12, workers, cache: false });
    return (performance.now() - start) / 1000;
  };
  const cores = cpus().length;
  report({
    work: `search of 12 recipes by ${cores} workers`,
    ours: await searching(cores),
    peers: { "one worker": await searching(1) },
    unit: "s",
  });

  const recipe = deepCompression("lenet-300-100");
  const { rows } = await runRecipe(model, all, recipe, { cache: false });
  const [before, after] = [rows[0], rows.at(-1)!];
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  report({
    work: `Deep Compression of lenet-300-100, ${percent(after.accuracy)} right (${percent(before.accuracy)} before)`,
    ours: after.bytes / 1e6,
    peers: {
      "32-bit floats": (4 * before.parameters) / 1e6,
      "the paper's, on all of MNIST": deepCompressionPublished["lenet-300-100"].bytes / 1e6,
    },
    unit: "MB",
  });
  model.dispose();
}
