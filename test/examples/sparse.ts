import { timesVector, toCsr } from "slimlab/sparse";

const matrix = toCsr(Float32Array.of(0, 2, 0, 0, 0, 3), 2, 3);
console.log([...matrix.values].join(" "), [...matrix.indices].join(" ")); // 2 3 1 2
console.log([...timesVector(matrix, Float32Array.of(1, 10, 100))].join(" ")); // 20 300
