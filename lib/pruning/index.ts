// §3.1: pruning. Scores (importance), masks from scores (selection), weights from masks (mask).

export { gradientTimesWeight, magnitude, obdSaliency } from "./importance.ts";
export { applyMask, applyMasks, combineMasks, layerSparsity, type Masks, sparsityOf } from "./mask.ts";
export {
  globalSparsity,
  globalThreshold,
  keepAtLeast,
  layerRate,
  layerThreshold,
  type PerLayer,
  qualityThresholds,
  type Scores,
  type SelectOptions,
  type Strategy,
  select,
  thresholdAt,
} from "./selection.ts";
