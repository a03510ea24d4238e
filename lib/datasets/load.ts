// Finds a data set's four files, checks every byte of them, and only then hands out arrays.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { checkOneOf } from "../util/check.ts";
import { type DownloadProgress, download } from "../util/download.ts";
import { packageRoot, writeFileAtomic } from "../util/files.ts";
import { progress } from "../util/progress.ts";
import { catalogue, type Part, type Source, type SourceFile } from "./catalogue.ts";
import { parseIdx } from "./idx.ts";
import type { Split } from "./samples.ts";
import { take } from "./samples.ts";
import { type Dataset, divide } from "./split.ts";

export interface LoadOptions {
  /** Where the four files lie, `.gz` or not, there or in a folder of the data set's name; nowhere else is looked. */
  folder?: string;
  /** Where downloads are kept; by default the user's cache folder for slimlab. */
  cache?: string;
  /** Whether to download what is not on this machine; by default yes. */
  download?: boolean;
  /** Called as bytes arrive; by default a progress bar on standard error. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Ends a download early; nothing of it is kept. */
  signal?: AbortSignal;
}

/** A data set's file is not on this machine, and may not be downloaded; one that is here but damaged is another error. */
export class MissingDataError extends Error {
  override readonly name = "MissingDataError";
  readonly code = "ERR_SLIMLAB_DATA";
  /** The data set. */
  readonly dataset: string;

  constructor(source: Source, file: SourceFile) {
    super(`${file.name}.gz is not on this machine, and download is off. ${advice(source)}`);
    this.dataset = source.name;
  }
}

/** The data sets that {@link loadDataset} knows. */
export const datasetNames: readonly string[] = Object.keys(catalogue);

/**
 * Loads a data set by name: `mnist-10k` and `fashion-10k` (ship with slimlab), `mnist`, `fashion-mnist`.
 *
 * The large ones are looked for in `options.folder`, else in the folder that the environment variable SLIMLAB_DATA
 * names, where Debian's package puts them, in the cache, and at last downloaded into the cache. Every file is
 * recognised by the SHA-256 of its content, wherever it came from.
 *
 * @throws Error that names the file, what was expected of it and what to do, when a file is missing or not as it must be;
 * a {@link MissingDataError} when it is nowhere and `download` is false
 */
export function loadDataset(name: string, options: LoadOptions = {}): Promise<Dataset> {
  return loadSource(catalogue[checkOneOf("name", name, datasetNames)], options);
}

/** Loads a data set that is described by `source`: {@link loadDataset} for data of your own in MNIST's layout. */
export async function loadSource(source: Source, options: LoadOptions = {}): Promise<Dataset> {
  const cache = join(options.cache ?? cacheFolder(), source.name);
  const folder = options.folder === undefined ? findFolder(source) : inFolder(options.folder, source);
  if (options.folder !== undefined && folder === undefined) {
    throw new Error(`${source.name} is not in ${options.folder}: ${wanted(source)} must lie there`);
  }
  const contents = folder
    ? await eachFile(source, (file) => readLocal(source, folder, file))
    : await fromCache(source, cache, options);
  const { trainImages, trainLabels, testImages, testLabels } = contents;
  const files = {
    train: split(source, source.files.trainImages, trainImages, trainLabels),
    test: split(source, source.files.testImages, testImages, testLabels),
  };
  const { from, count } = source.validation ?? {
    from: "train",
    count: Math.max(1, Math.round(files.train.count / 10)),
  };
  const [validation, rest] = count === 0 ? [take(files[from], []), files[from]] : divide(files[from], count);
  return { name: source.name, classes: [...source.classes], ...files, [from]: rest, validation };
}

/** The folder for downloads that the platform's customs ask for. */
export function cacheFolder(): string {
  if (process.platform === "win32" && process.env.LOCALAPPDATA)
    return join(process.env.LOCALAPPDATA, "slimlab");
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "slimlab");
}

type Contents = Record<Part, Uint8Array>;

async function eachFile(source: Source, load: (file: SourceFile) => Promise<Uint8Array>): Promise<Contents> {
  const contents: Partial<Contents> = {};
  for (const [part, file] of Object.entries(source.files)) contents[part as Part] = await load(file);
  return contents as Contents;
}

/** The path of `file` in `folder`, packed or not; undefined if it is not there. */
function localPath(folder: string, file: SourceFile): string | undefined {
  return [`${file.name}.gz`, file.name].map((name) => join(folder, name)).find(existsSync);
}

/**
 * The folder under `folder` that holds `source`, undefined if no file of it is there. A folder with some of the files
 * counts: what is missing is then an error with a name, and not a reason to look elsewhere and mix two sources.
 */
function inFolder(folder: string, source: Source): string | undefined {
  return [join(folder, source.name), folder].find((place) =>
    Object.values(source.files).some((file) => localPath(place, file)),
  );
}

function findFolder(source: Source): string | undefined {
  const named = process.env.SLIMLAB_DATA;
  // By its name only: MNIST and its kin call their files alike, so files straight in the folder could be anyone's.
  const fromEnvironment = named && inFolder(join(named, source.name), source);
  if (fromEnvironment) return fromEnvironment;
  for (const folder of source.folders) {
    if (isAbsolute(folder)) {
      const found = inFolder(folder, source);
      if (found) return found;
    } else return join(packageRoot, folder); // what ships is there, or the installation is broken and says so
  }
  return undefined;
}

async function readLocal(source: Source, folder: string, file: SourceFile): Promise<Uint8Array> {
  const path = localPath(folder, file);
  if (!path) throw new Error(`${file.name}.gz is missing in ${folder}. ${advice(source)}`);
  return checked(await readFile(path), file, path);
}

const unpack = promisify(gunzip);

/** The content of a file as it was read, unpacked if it was packed; throws unless it is exactly what `file` says. */
async function checked(bytes: Uint8Array, file: SourceFile, path: string): Promise<Uint8Array> {
  let content = bytes;
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      content = await unpack(bytes, { maxOutputLength: file.bytes + 1 });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      const how =
        code === "Z_BUF_ERROR"
          ? "is truncated"
          : code === "ERR_BUFFER_TOO_LARGE"
            ? `holds more than the ${file.bytes} bytes it should`
            : "is damaged";
      throw new Error(`${path} ${how}: replace it by a whole copy, or delete it`, { cause: error });
    }
  }
  const mend = "replace it by a whole copy, or delete it";
  if (content.length !== file.bytes) {
    throw new Error(`${path} holds ${content.length} bytes, expected ${file.bytes}: ${mend}`);
  }
  const sha256 = createHash("sha256").update(content).digest("hex");
  if (sha256 !== file.sha256) {
    throw new Error(
      `${path} holds something else than ${file.name}: SHA-256 of its content ${sha256}, expected ${file.sha256}: ${mend}`,
    );
  }
  // A plain array, not a Buffer: it prints, compares and slices as one expects of a Uint8Array.
  return new Uint8Array(content.buffer, content.byteOffset, content.length);
}

/** Reads the files from the cache and downloads the ones that are not there whole. */
async function fromCache(source: Source, cache: string, options: LoadOptions): Promise<Contents> {
  return eachFile(source, async (file) => {
    const path = localPath(cache, file);
    let damage: unknown;
    if (path) {
      try {
        return await checked(await readFile(path), file, path);
      } catch (error) {
        damage = error;
      }
    }
    if (options.download === false) {
      throw damage ?? new MissingDataError(source, file);
    }
    return fetchFile(source, file, join(cache, `${file.name}.gz`), options);
  });
}

async function fetchFile(
  source: Source,
  file: SourceFile,
  path: string,
  options: LoadOptions,
): Promise<Uint8Array> {
  const problems: string[] = [];
  for (const base of source.urls) {
    const bar = options.onProgress ? undefined : progress(`${source.name}: ${file.name}.gz`, 100);
    const onProgress =
      options.onProgress ??
      (({ received, total }: DownloadProgress) => {
        bar?.update(
          Math.floor((100 * received) / (total || file.bytes)),
          `% of ${(total / 1e6).toFixed(1)} MB`,
        );
      });
    const url = `${base}${file.name}.gz`;
    try {
      // gzip adds a few bytes to what it cannot shrink; anything longer is not our file.
      const limit = file.bytes + 4096;
      const packed = await download(url, { limit, onProgress, signal: options.signal });
      const content = await checked(packed, file, url);
      await writeFileAtomic(path, packed);
      return content;
    } catch (error) {
      options.signal?.throwIfAborted();
      problems.push((error as Error).message);
    } finally {
      bar?.end();
    }
  }
  const tried = problems.map((problem) => `\n  ${problem}`).join("");
  throw new Error(
    `${source.name} is not on this machine and could not be downloaded:${tried}\n${advice(source)}`,
  );
}

function wanted(source: Source): string {
  return Object.values(source.files)
    .map((file) => `${file.name}.gz`)
    .join(", ");
}

function advice(source: Source): string {
  const byHand = `Or put ${wanted(source)} into a folder named ${source.name} and set SLIMLAB_DATA to the folder around it (or pass its path as the option folder).`;
  return source.hint ? `${source.hint}. ${byHand}` : byHand.replace("Or put", "Put");
}

function split(
  source: Source,
  images: SourceFile,
  imageBytes: Uint8Array,
  labelBytes: Uint8Array,
): Split<Uint8Array> {
  const { shape, data } = parseIdx(imageBytes, images.name, 3);
  const labels = parseIdx(labelBytes, `labels of ${images.name}`, 1).data;
  const [count, height, width] = shape;
  if (labels.length !== count)
    throw new Error(
      `${source.name}: ${images.name} has ${count} images, its label file ${labels.length} labels`,
    );
  const stray = labels.find((label) => label >= source.classes.length);
  if (stray !== undefined)
    throw new Error(
      `${source.name}: a label of ${images.name} is ${stray}, there are ${source.classes.length} classes`,
    );
  return { images: data, labels, count, height, width, channels: 1 };
}
