import { loadDataset, subset, toFloat } from "slimlab/datasets";

const { train, validation, test } = await loadDataset("mnist-10k");
console.log(train.count, validation.count, test.count); // 8000 1000 1000
const few = subset(test, 3, 1);
console.log(toFloat(few).length, few.labels.length); // 2352 3
