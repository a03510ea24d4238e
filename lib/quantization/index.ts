// §3.2 Quantization: numbers with fewer bits.

export { type ActivationGrid, toCodes } from "./activation-grid.ts";
export * from "./awq.ts";
export * from "./binary-ternary.ts";
export * from "./bit-allocation.ts";
export * from "./codebook.ts";
export { codesOf } from "./codes.ts";
export * from "./document-formula.ts";
export * from "./equalization.ts";
export {
  chooseGrid,
  dequantize,
  eachRun,
  fakeQuantize,
  fewWeights,
  floatBelow,
  type Grid,
  type GridLayout,
  type GridOptions,
  layoutOf,
  type PackedQuantized,
  packQuantized,
  type Quantized,
  quantize,
  quantizedBytes,
  quantizeOn,
  type RoundingOptions,
  roundOn,
  type ScaleType,
  scaleTypes,
  unpackQuantized,
} from "./fixed-point.ts";
export * from "./gptq.ts";
export { patches } from "./integer-codes.ts";
export { type Finish, integerConvolution, integerLayer } from "./integer-layer.ts";
export {
  type BitMatrix,
  binaryMatmul,
  integerMatmul,
  type MatmulOptions,
  type PackedRight,
  packBits,
  packRight,
  type Rows,
  xnorMatmul,
} from "./integer-matmul.ts";
export {
  type IntegerNetwork,
  type IntegerOutput,
  type IntegerResult,
  runInteger,
} from "./integer-network.ts";
export { simulateInteger } from "./integer-simulation.ts";
export {
  addStep,
  clipStep,
  concatenateStep,
  conv2dStep,
  denseStep,
  depthwiseConv2dStep,
  type IntegerStep,
  type JoinedOptions,
  lookupStep,
  maximumStep,
  minimumStep,
  multiplyStep,
  padStep,
  repeatStep,
  type WeightedOptions,
  type Window,
} from "./integer-steps.ts";
export * from "./kl-calibration.ts";
export * from "./kmeans-lloyd.ts";
export * from "./kmeans-optimal.ts";
export * from "./learned-steps.ts";
export * from "./number-formats.ts";
export * from "./observers.ts";
export { type Codes, type Codes8, pack, packedBytes, unpack } from "./packing.ts";
export { quantile } from "./quantile.ts";
export {
  chooseRange,
  codeRange,
  gridOf,
  isSignGrid,
  type Levels,
  type RangeMethod,
  rangeMethods,
  type Scheme,
  schemes,
} from "./range.ts";
export * from "./requantize.ts";
export * from "./rounding.ts";
export {
  bucketPoints,
  distinctPoints,
  errorBetween,
  meanBetween,
  type Points,
  pointsOf,
} from "./sorted-points.ts";
export * from "./sqnr.ts";
export * from "./straight-through.ts";
