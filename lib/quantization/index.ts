// §3.2 Quantization: numbers with fewer bits.
export * from "./allocate.ts";
export * from "./as-written.ts";
export * from "./binary.ts";
export * from "./clusters.ts";
export * from "./equalize.ts";
export * from "./error.ts";
export {
  chooseGrid,
  dequantize,
  fakeQuantize,
  type Grid,
  type GridOptions,
  type PackedQuantized,
  packQuantized,
  type Quantized,
  quantize,
  quantizedBytes,
  quantizeOn,
  type RoundingOptions,
  unpackQuantized,
} from "./fixed-point.ts";
export * from "./gptq.ts";
export * from "./histogram.ts";
export {
  type BitMatrix,
  binaryMatmul,
  type Finish,
  integerLayer,
  integerMatmul,
  type MatmulOptions,
  type PackedRight,
  packBits,
  packRight,
  xnorMatmul,
} from "./integer-matmul.ts";
export * from "./integer-network.ts";
export * from "./lloyd.ts";
export * from "./observers.ts";
export * from "./optimal-clusters.ts";
export { type Codes, type Codes8, pack, packedBytes, unpack } from "./packing.ts";
export { bucketPoints, distinctPoints, errorBetween, meanBetween, type Points, pointsOf } from "./points.ts";
export {
  chooseRange,
  codeRange,
  gridOf,
  isSignGrid,
  type Levels,
  quantile,
  type RangeMethod,
} from "./range.ts";
export * from "./requantize.ts";
export * from "./rounding.ts";
export * from "./straight-through.ts";
