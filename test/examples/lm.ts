import { lettersOf, openSmallModel, perplexityOf } from "slimlab/lm";

const model = await openSmallModel();
const { perplexity } = await perplexityOf(model, [
  lettersOf("Pruning removes what a network can do without."),
]);
console.log(perplexity < 15); // true
await model.close();
