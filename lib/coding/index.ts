// §4 Coding: weights as few bits: Huffman and range coders, gaps between what is kept, and the .slim file.
export {
  canonicalCodes,
  codedBits,
  codeLengths,
  countSymbols,
  huffmanDecode,
  huffmanEncode,
  maxCodeLength,
} from "./huffman.ts";
export { packageMerge } from "./package-merge.ts";
export { rangeDecode, rangeEncode } from "./range-coder.ts";
export {
  bestGapBits,
  fromRelative,
  type RelativeIndex,
  relativeEntries,
  type Sparsable,
  toRelative,
} from "./relative-index.ts";
export {
  decodeSlim,
  encodeSlim,
  type ReadSlimOptions,
  readSlim,
  type SlimOptions,
  type SlimPart,
  type SlimVersion,
  slimParts,
  slimVersions,
  slimWeights,
  writeSlim,
} from "./slim.ts";
export { type Coding, codings, decodeSymbols, encodeSymbols, symbolBits } from "./symbols.ts";
export {
  type CodebookTensor,
  type DenseTensor,
  type LowRankTensor,
  type QuantizedTensor,
  type RelativeTensor,
  type SlimModel,
  type SlimTensor,
  type SparseTensor,
  shapeOf,
  tensorValues,
} from "./tensors.ts";
