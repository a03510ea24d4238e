import { loadDataset, subset } from "slimlab/datasets";
import type { PipelineData, Recipe } from "slimlab/pipeline";

/** A few images, so that a step takes a fraction of a second. */
export async function smallData(train = 600, test = 300): Promise<PipelineData> {
  const data = await loadDataset("mnist-10k");
  return { train: subset(data.train, train, 1), test: subset(data.test, test, 1) };
}

/** Prune, train, quantize, train. */
export const recipe: Recipe = [
  { technique: "pruneWeights", sparsity: 0.8 },
  { technique: "fineTune", epochs: 1 },
  { technique: "quantize", bits: 4 },
  { technique: "fineTune", epochs: 1, learningRate: 0.002 },
];
