import { kernelValues, storeKernel } from "slimlab/runtime";

// A kernel of 4 inputs and 2 outputs, of which most is 0: only what is not lies in memory.
const kernel = storeKernel({ shape: [4, 2], values: Float32Array.of(0, 5, 0, 0, -1, 0, 0, 0) });
console.log(kernel.form, kernel.entries); // sparse floats 2
console.log([...kernelValues(kernel)].join(" ")); // 0 5 0 0 -1 0 0 0
