import { softmaxAt } from "slimlab/distillation";

const logits = [6, 4, 0];
const shown = (probabilities: Float32Array) => [...probabilities].map((p) => p.toFixed(2)).join(" ");
console.log(shown(softmaxAt(logits, 3))); // 0.88 0.12 0.00
console.log(shown(softmaxAt(logits, 3, 4))); // 0.55 0.33 0.12
