// slimlab/formats: files of other programs, read and written.

export { fromBfloats, fromHalves, toBfloats, toHalves } from "../util/half.ts";
export {
  type Engine,
  type EngineTensor,
  engines,
  type LoadedInEngine,
  MissingEngineError,
} from "./engines/engine.ts";
export { type EngineRun, openInEngine, runWithEngine } from "./engines/run.ts";
export { FormatError } from "./error.ts";
export { fuseActivations, layersWithGrids, readyForEngine, readyForIntegers } from "./fuse.ts";
export { type GgufType, ggufTypes, ggufWritable, packGguf, unpackGguf } from "./gguf/blocks.ts";
export { ggufBlocksOf, ggufTypeOf } from "./gguf/codes.ts";
export {
  decodeGguf,
  type GgufEntry,
  type GgufFile,
  type GgufTensor,
  type GgufValue,
  type GgufValueType,
  ggufValueTypes,
  openGguf,
  writeGguf,
} from "./gguf/file.ts";
export { graphModelReadable, importGraphModel } from "./graph-model.ts";
export type { ImportedNetwork } from "./import/builder.ts";
export { importKeras, type KerasImportOptions, kerasReadable } from "./keras/import.ts";
export {
  type ActivationGrid,
  type ActivationGrids,
  type SmallKernels,
  smallKernels,
} from "./network.ts";
export { decodeNpy, decodeNpz, type NpyArray } from "./npy.ts";
export { dequantizeBlocks, matMulNBits } from "./onnx/blocks.ts";
export { importOnnx, type OnnxImportOptions, onnxNetworkOf, onnxReadable } from "./onnx/import.ts";
export {
  compressOnnx,
  type OnnxCompressed,
  type OnnxCompressOptions,
  type OnnxLayout,
  onnxLayouts,
} from "./onnx/in-place.ts";
export {
  type OnnxOptions,
  type OnnxTarget,
  type OnnxWeights,
  onnxTargets,
  onnxWeights,
} from "./onnx/maker.ts";
export {
  decodeOnnx,
  encodeOnnx,
  type OnnxAttribute,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxType,
  type OnnxValue,
  onnxTypes,
} from "./onnx/model.ts";
export { tensorrtProblems } from "./onnx/tensorrt.ts";
export { encodeGraphAsOnnx, onnxKinds, onnxModelOf } from "./onnx/write.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  openSafetensors,
  type SafetensorsEntry,
  type SafetensorsFile,
  type SafetensorsTensor,
  type SafetensorsType,
  safetensorsTypes,
  writeSafetensors,
} from "./safetensors.ts";
export { importTflite, tfliteReadable } from "./tflite/import.ts";
export {
  type TfliteOptions,
  type TfliteWeights,
  tfliteWeights,
} from "./tflite/maker.ts";
export {
  encodeTflite,
  type TfliteModel,
  type TfliteOperator,
  type TfliteTensor,
  type TfliteType,
} from "./tflite/model.ts";
export { encodeGraphAsTflite, tfliteKinds, tfliteModelOf } from "./tflite/write.ts";
