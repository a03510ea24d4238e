// slimlab/formats: files of other programs, read and written.
export { FormatError } from "./error.ts";
export { fromBfloats, fromHalves, toBfloats, toHalves } from "./half.ts";
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
