import { dequantize, quantize } from "slimlab/quantization";

const quantized = quantize(Float32Array.of(-1, -0.6, 0, 0.6, 1), { bits: 3 });
console.log([...quantized.codes].join(" ")); // -3 -2 0 2 3
console.log(dequantize(quantized)[1].toFixed(3)); // -0.667
