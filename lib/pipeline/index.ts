// §2.3: techniques in sequence, as data: run, cached, measured, and searched for the best.

export {
  type DeepCompressionOptions,
  deepCompression,
  deepCompressionPublished,
} from "./deep-compression.ts";
export { type Lesson, type Teacher, teacherNames } from "./lesson.ts";
export { checkRecipe, type Recipe } from "./recipe.ts";
export {
  type Experiment,
  type ExperimentName,
  type ExperimentSettings,
  epochsOf,
  experimentNames,
  experiments,
  experimentWith,
} from "./records/experiments.ts";
export { type ReproduceOptions, readResults, reproduce } from "./records/reproduce.ts";
export {
  type Comparison,
  compareResults,
  type LayerRow,
  meanAndSpread,
  type Results,
  type Run,
  summaryOf,
} from "./records/results.ts";
export { hasRecord, type LoadedRecord, loadRecord, recordFolder } from "./records/shipped.ts";
export { layerTable, publishedTables } from "./records/table.ts";
export { RecipeResult, type Row, type RunOptions, runRecipe, toDataFrame } from "./run.ts";
export {
  type Choice,
  labelOf,
  type SearchOptions,
  SearchResult,
  type Space,
  type StepSpace,
  search,
  type Trial,
  type TrialRow,
} from "./search.ts";
export type { PipelineData, Training } from "./technique.ts";
export type { Cluster } from "./techniques/cluster.ts";
export type { Distill } from "./techniques/distill.ts";
export type { Factorize } from "./techniques/factorize.ts";
export type { FineTune } from "./techniques/fine-tune.ts";
export type { FoldDeadUnits } from "./techniques/fold-dead-units.ts";
export type { LearnSteps } from "./techniques/learn-steps.ts";
export type { PruneIteratively } from "./techniques/prune-iteratively.ts";
export type { PruneUnits } from "./techniques/prune-units.ts";
export type { PruneWeights } from "./techniques/prune-weights.ts";
export {
  type PruneWhileTraining,
  type TrainingScore,
  trainingScores,
} from "./techniques/prune-while-training.ts";
export type { Quantize } from "./techniques/quantize.ts";
export type { QuantizeAutomatically } from "./techniques/quantize-automatically.ts";
export type { QuantizeBiases } from "./techniques/quantize-biases.ts";
export type { SortUnits } from "./techniques/sort-units.ts";
export { type Step, type TechniqueName, techniqueNames } from "./techniques.ts";
