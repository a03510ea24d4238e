// Data sets that ship or are fetched, samples of any kind, and how they are divided.
export type { DownloadProgress } from "../util/download.ts";
export { catalogue, type Part, type Source, type SourceFile } from "./catalogue.ts";
export { encodeIdx, type Idx, parseIdx } from "./idx.ts";
export {
  cacheFolder,
  datasetNames,
  type LoadOptions,
  loadDataset,
  loadSource,
  MissingDataError,
} from "./load.ts";
export { type LongRun, longRun, longRunFolder } from "./long-run.ts";
export { loadProse, type Prose } from "./prose.ts";
export {
  type Arrays,
  arraysOf,
  type Field,
  floatsOf,
  isSplit,
  type Labels,
  like,
  type Measure,
  type Numbers,
  type Pixels,
  perChannel,
  pick,
  type Samples,
  type Scaling,
  type Split,
  type Target,
  type Task,
  take,
  tasks,
  viewOf,
} from "./samples.ts";
export { type Dataset, decidingSamples, divide, type JudgedData, subset, toFloat } from "./split.ts";
