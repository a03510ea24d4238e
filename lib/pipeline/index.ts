// §2.3: techniques in sequence, as data: run, cached, measured, and searched for the best.

export {
  type DeepCompressionOptions,
  deepCompression,
  deepCompressionPublished,
} from "./deep-compression.ts";
export {
  type Cluster,
  checkRecipe,
  type Distill,
  type Factorize,
  type FineTune,
  type PruneIteratively,
  type PruneUnits,
  type PruneWeights,
  type Quantize,
  type QuantizeAutomatically,
  type Recipe,
  type Step,
  type Technique,
  type Training,
  techniqueNames,
} from "./recipe.ts";
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
export type { PipelineData } from "./steps.ts";
