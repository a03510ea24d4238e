import { loadDataset, subset } from "slimlab/datasets";
import { evaluate, loadPretrained, quantizeWeights } from "slimlab/nn";

const model = await loadPretrained("lenet-300-100");
quantizeWeights(model, { bits: 8 });
const { test } = await loadDataset("mnist-10k");
const { accuracy } = await evaluate(model, subset(test, 200, 1));
console.log(accuracy > 0.95); // true
