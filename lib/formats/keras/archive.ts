// Keras's files, taken apart: a network's settings, and where its weights lie. A .keras file is a zip archive of config.json
// and model.weights.h5; a .h5 file has the settings in an attribute.
import { unzipSync } from "fflate";
import { refuse } from "../error.ts";
import type { H5Group } from "./hdf5-messages.ts";

export interface KerasFile {
  /** The network as Keras's `get_config` has it, with its class. */
  config: unknown;
  /** The version that wrote it: "2.15.0", "3.8.0". */
  version: string;
  weights: H5Group;
  /** Whether the weights lie as `.h5` files have them, by the names of layers, or as a .keras file's, by their order. */
  byName: boolean;
}

const parts = ["config.json", "metadata.json", "model.weights.h5"];

/** Whether the bytes are an HDF5 file's. */
export function isHdf5(bytes: Uint8Array): boolean {
  return [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a].every((byte, i) => bytes[i] === byte);
}

/**
 * Takes a file apart.
 *
 * @throws FormatError for what is neither, damaged, or holds weights without a network
 */
export async function openKeras(bytes: Uint8Array, file: string): Promise<KerasFile> {
  return isHdf5(bytes) ? openH5(bytes, file) : openArchive(bytes, file);
}

/** By a module that only Node has what it needs for. */
async function readHdf5(bytes: Uint8Array, file: string): Promise<H5Group> {
  return (await import("./hdf5.ts")).readHdf5(bytes, file);
}

async function openArchive(bytes: Uint8Array, file: string): Promise<KerasFile> {
  let left = 10 * bytes.length + 4096;
  let found: Record<string, Uint8Array>;
  try {
    found = unzipSync(bytes, {
      filter: ({ name, originalSize }) => {
        if (!parts.includes(name)) return false;
        left -= originalSize;
        if (!(left >= 0)) throw new RangeError("it says that it holds more than ten times its own size");
        return true;
      },
    });
  } catch (error) {
    refuse(file, `is no .keras archive, or damaged: ${(error as Error).message}`, error);
  }
  for (const part of ["config.json", "model.weights.h5"])
    if (!Object.hasOwn(found, part)) refuse(file, `has no ${part}: a model that Keras has saved has one`);
  const { keras_version: version } = Object.hasOwn(found, "metadata.json")
    ? (json(found["metadata.json"], file, "metadata.json") as { keras_version?: unknown })
    : {};
  return {
    config: json(found["config.json"], file, "config.json"),
    version: typeof version === "string" ? version : "3",
    weights: await readHdf5(found["model.weights.h5"], `model.weights.h5 in ${file}`),
    byName: false,
  };
}

async function openH5(bytes: Uint8Array, file: string): Promise<KerasFile> {
  const root = await readHdf5(bytes, file);
  const config = root.attributes.get("model_config");
  if (typeof config !== "string")
    refuse(file, "holds weights and no network: save the whole model, model.save('model.keras')");
  const weights = root.groups.get("model_weights");
  if (!weights) refuse(file, "has no group model_weights");
  const version = root.attributes.get("keras_version") ?? weights.attributes.get("keras_version");
  return {
    config: json(new TextEncoder().encode(config), file, "model_config"),
    version: typeof version === "string" ? version : "2",
    weights,
    byName: true,
  };
}

function json(bytes: Uint8Array, file: string, part: string): object {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    refuse(file, `has a ${part} that is no JSON: ${(error as Error).message.slice(0, 200)}`, error);
  }
  if (typeof value !== "object" || value === null) refuse(file, `has a ${part} that is no object`);
  return value;
}
