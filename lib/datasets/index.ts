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
  type Dataset,
  decidingImages,
  divide,
  type JudgedData,
  type Labels,
  labelsLike,
  type Pixels,
  type Scaling,
  type Split,
  subset,
  take,
  toFloat,
  viewOf,
} from "./split.ts";
