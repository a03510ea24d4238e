import { applyMasks, globalSparsity, magnitude } from "slimlab/pruning";

const weights = { fc1: Float32Array.of(0.9, -0.1, 0.4), fc2: Float32Array.of(-0.8, 0.05) };
const scores = { fc1: magnitude(weights.fc1), fc2: magnitude(weights.fc2) };
const masks = globalSparsity(scores, 0.4);
console.log([...masks.fc1].join(""), [...masks.fc2].join("")); // 101 10
console.log(applyMasks(weights, masks).fc1[1]); // 0
