import { cpus } from "node:os";
import { measureLatency } from "../../lib/analysis/index.ts";
import { factorizeModel, loadPretrained, type PretrainedName, tf, useBackend } from "../../lib/nn/index.ts";

export const title = "Low rank in models, and the pipeline (3.3, 2.3)";

type Row = {
  work: string;
  ours: number;
  peers: Record<string, number>;
  unit: "ms" | "s" | "MB";
  goal?: string;
};

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
}
