// §1 and §2: what a model costs, where it is redundant, and which compressed models are worth keeping.
export { type Cost, costOf, type LayerShape, type ModelCost } from "./cost.ts";
export {
  carbonOf,
  type Energy,
  electricityOf,
  energyOf,
  picojoules,
  type TrainingRun,
  trainingMacs,
  type Work,
} from "./energy.ts";
export {
  type DecoderCost,
  type DecoderShape,
  type DecoderUse,
  decoderCost,
  tokensPerSecond,
} from "./language-model.ts";
export { type Latency, type MeasureOptions, measureLatencies, measureLatency } from "./latency.ts";
export {
  type CorrelatedPair,
  correlatedPairs,
  effectiveRank,
  entropy,
  layerSensitivity,
  type NeuronActivity,
  nearZeroShare,
  neuronActivity,
  type Sensitivity,
  stableRank,
  weightEntropy,
} from "./redundancy.ts";
export { paretoFront } from "./tradeoff.ts";
