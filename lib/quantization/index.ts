// §3.2 Quantization: numbers with fewer bits.

export * from "./allocate.ts";
export * from "./as-written.ts";
export * from "./binary.ts";
export * from "./clusters.ts";
export * from "./equalize.ts";
export * from "./error.ts";
export * from "./fixed-point.ts";
export * from "./gptq.ts";
export * from "./histogram.ts";
export * from "./integer-matmul.ts";
export * from "./integer-network.ts";
export * from "./lloyd.ts";
export * from "./observers.ts";
export * from "./optimal-clusters.ts";
export * from "./packing.ts";
export * from "./points.ts";
export * from "./range.ts";
export * from "./requantize.ts";
export * from "./rounding.ts";
export * from "./straight-through.ts";
