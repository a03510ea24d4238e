// slimlab/nn: backends, models, training and evaluation; the only room that knows TensorFlow.js.
import "./display.ts";
import "./tfjs-node.ts";

export {
  type AutoQuantized,
  type AutoQuantizeOptions,
  type AutoQuantizeRow,
  autoQuantize,
  type QuantizationBudget,
} from "./auto-quantize.ts";
export { type Attempt, attempts } from "./auto-work.ts";
export {
  availableBackends,
  type BackendName,
  backendNames,
  describeBackend,
  ensureBackend,
  useBackend,
} from "./backend.ts";
export {
  type Batch,
  type Feed,
  type FeedOptions,
  feedOf,
  firstOf,
  imagesOf,
  inputShape,
  movedImages,
} from "./batches.ts";
export {
  type CompareOptions,
  type Comparison,
  compareModels,
  compareOutputs,
  type LayerComparison,
  type OutputComparison,
} from "./compare.ts";
export { loadDanfo } from "./danfo.ts";
export { type FoldedUnits, foldDeadUnits } from "./dead-units.ts";
export { type Dependencies, dependenciesOf, type Group, groupsOf } from "./dependency.ts";
export {
  type Clipping,
  clippings,
  type EqualizedPair,
  type EqualizeOptions,
  equalizeModel,
} from "./equalize.ts";
export {
  type EvaluateOptions,
  evaluate,
  type PredictedOutput,
  type Prediction,
  predict,
  rawOutputs,
} from "./evaluate.ts";
export { loadModel, saveModel } from "./files.ts";
export { foldBatchNorms, splitActivations } from "./fold.ts";
export { type Activations, activationsOf, type GradientOptions, gradientsOf } from "./gradients.ts";
export { graphOf, layerNamed, layersOf, modelOf } from "./graph.ts";
export { type HessianOptions, hessianDiagonalOf } from "./hessian.ts";
export {
  filterScoresOf,
  neuronScoresOf,
  scoresOf,
  type UnitData,
  type UnitScore,
  type UnitScorer,
  unitScores,
  type WeightData,
  type WeightScore,
  type WeightScorer,
  weightScores,
} from "./importance.ts";
export { inputStatisticsOf } from "./input-statistics.ts";
export { evaluateInteger, integerNetworkOf } from "./integer-network.ts";
export { type LatencyOptions, latencyOf } from "./latency.ts";
export { layerShapesOf } from "./layers.ts";
export { LearnedSteps } from "./learned-steps.ts";
export { type Forward, type Inputs, logitsOf, outputsOf } from "./logits.ts";
export {
  type FactorizedLayer,
  type FactorizedModel,
  type FactorizeOptions,
  factorizeModel,
} from "./lowrank.ts";
export {
  type ConvMethod,
  convMethods,
  type DenseMethod,
  denseMethods,
  type LayerFactors,
} from "./lowrank-layers.ts";
export { removeDense, type WithoutLayer } from "./merge-layers.ts";
export { lenet5, lenet300 } from "./models.ts";
export {
  loadPretrained,
  type Manifest,
  type PretrainedName,
  type PretrainedOptions,
  pretrainedManifest,
  pretrainedNames,
  pretrainedSeeds,
} from "./pretrained.ts";
export {
  copyWeights,
  type MergeUnitsOptions,
  mergeUnits,
  type PrunedUnits,
  type PruneIterativelyOptions,
  type PruneLoopOptions,
  type PruneUnitsOptions,
  pruneIteratively,
  pruneUnitsIteratively,
  restoreWeights,
} from "./prune.ts";
export {
  type ActivationQuantizer,
  type ActivationQuantizers,
  type CalibrateOptions,
  type ClusteredWeights,
  calibrateActivations,
  clusterModel,
  type KeepFloat,
  type ModelWeightOptions,
  type QuantizedWeights,
  quantizedForward,
  quantizeWeights,
  type RoundedWeights,
  roundedTo,
  roundWeights,
  type SimulationOptions,
  setQuantized,
  trainQuantized,
  type WeightOptions,
} from "./quantize.ts";
export { cloneModel, layerLike, type Part, rebuild } from "./rebuild.ts";
export { withScaling } from "./scaling.ts";
export {
  type Compression,
  type LoadedSlim,
  loadSlim,
  modelOfSlim,
  type SaveSlimOptions,
  saveSlim,
  slimOf,
} from "./slim.ts";
export { type UnitOrders, unitOrders } from "./sort-units.ts";
export { loadStored, storedOf } from "./stored.ts";
export { type Keep, maskGroups, pruneGroups } from "./surgery.ts";
export {
  crossEntropy,
  decidedBy,
  type Evaluation,
  logSoftmax,
  type Output,
  type OutputEvaluation,
  shownBy,
  type TargetValues,
} from "./tasks.ts";
export { tf } from "./tf.ts";
export {
  type EarlyStopping,
  type EpochResult,
  type History,
  type LossInputs,
  type OptimizerName,
  optimizerNames,
  type Remasking,
  type TrainingLook,
  type TrainOptions,
  train,
} from "./train.ts";
export {
  biasesOf,
  biasOf,
  type Kernel,
  kernelLayers,
  kernelOf,
  kernelsOf,
  outputAxis,
  replaceKernel,
  setBiases,
  setWeights,
  shapesOf,
  skippedLayers,
  weightsOf,
} from "./weights.ts";
