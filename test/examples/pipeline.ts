import { loadDataset, subset } from "slimlab/datasets";
import { loadPretrained } from "slimlab/nn";
import { runRecipe } from "slimlab/pipeline";

const { train, validation } = await loadDataset("mnist-10k");
const result = await runRecipe(
  await loadPretrained("lenet-300-100"),
  { train: subset(train, 100), validation: subset(validation, 100) },
  [
    { technique: "pruneWeights", sparsity: 0.5 },
    { technique: "quantize", bits: 5 },
  ],
  { cache: false },
);
console.log(result.rows.map(({ technique }) => technique).join(" ")); // original pruneWeights quantize
console.log(result.rows[2].ratio > 8); // true
