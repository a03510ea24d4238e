// What `slimlab compress` works with: pictures in folders, arrays from a file, or a data set that slimlab knows, each
// brought into what the network takes.
import { readFile } from "node:fs/promises";
import { extname } from "node:path";
import { datasetNames, type Labels, loadDataset, type Scaling, type Split } from "../../datasets/index.ts";
import { decodeNpy, decodeNpz, openSafetensors } from "../../formats/index.ts";
import { readBytes } from "../../platform/node.ts";
import { checkInteger, shown } from "../../util/check.ts";
import { progress } from "../../util/progress.ts";
import { elements } from "../../util/shape.ts";
import { type Fit, findPictures, readPictures, type Size } from "./pictures.ts";

/** Where examples come from, and how they become numbers. */
export interface ExampleOptions {
  /** A folder of pictures; folders in it are classes. */
  images?: string;
  /** An .npy, .npz or .safetensors file, or the name of a data set. */
  data?: string;
  /** A file with a class name a line, in the network's order. */
  classes?: string;
  fit?: Fit;
  scaling?: Scaling;
  /** At most so many examples. */
  limit?: number;
}

/** Examples; without labels all of these are 0, and nobody looks at them. */
export interface Examples {
  split: Split;
  labelled: boolean;
  /** What a reader should know: labels that could not be used, arrays left out. */
  notes: string[];
  /** Where a data set has parts of its own: what to learn from, to decide by and to be judged by. */
  parts?: { train: Split; validation: Split; test: Split };
}

/**
 * Loads examples for a network.
 *
 * @param shape what the network takes, without the batch
 * @param classes how many it tells apart
 * @throws Error that names the argument, what it is and what is allowed
 */
export async function loadExamples(
  shape: readonly number[],
  classes: number,
  options: ExampleOptions,
  signal?: AbortSignal,
): Promise<Examples> {
  const { images, data, scaling } = options;
  if ((images === undefined) === (data === undefined))
    throw new Error("give exactly one of --images FOLDER and --data FILE");
  const found =
    images !== undefined
      ? await fromPictures(images, shape, classes, options, signal)
      : (datasetNames as readonly string[]).includes(data!)
        ? await fromDataset(data!)
        : await fromArrays(data!, shape, classes, options);
  const withScaling = (split: Split): Split => ({ ...split, ...(scaling ? { scaling } : {}) });
  const { split, parts } = found;
  if (elements([split.height, split.width, split.channels]) !== elements(shape))
    throw new Error(
      `${data ?? images} holds examples of ${split.height} x ${split.width} x ${split.channels}, the network takes ${shape.join(" x ")}`,
    );
  return {
    ...found,
    split: withScaling(split),
    ...(parts && {
      parts: {
        train: withScaling(parts.train),
        validation: withScaling(parts.validation),
        test: withScaling(parts.test),
      },
    }),
  };
}

/** Height, width and channels: of pictures as they are, of anything else as one row. */
function sizeOf(shape: readonly number[]): Size {
  if (shape.length === 3) return { height: shape[0], width: shape[1], channels: shape[2] };
  if (shape.length === 2) return { height: shape[0], width: shape[1], channels: 1 };
  return { height: 1, width: elements(shape), channels: 1 };
}

async function fromDataset(name: string): Promise<Examples> {
  const { train, validation, test } = await loadDataset(name);
  return { split: train, labelled: true, notes: [], parts: { train, validation, test } };
}

async function fromPictures(
  folder: string,
  shape: readonly number[],
  classes: number,
  { fit, limit, classes: file }: ExampleOptions,
  signal?: AbortSignal,
): Promise<Examples> {
  // A dense network of 784 inputs takes grey squares of 28.
  const side = Math.sqrt(elements(shape));
  const size =
    shape.length > 1 || !Number.isInteger(side) ? sizeOf(shape) : { height: side, width: side, channels: 1 };
  const all = await findPictures(folder);
  const pictures = evenly(all, limit);
  const bar = progress("reading pictures", pictures.length);
  let images: Uint8Array;
  try {
    images = await readPictures(
      pictures.map(({ path }) => path),
      size,
      { fit, signal, onPicture: (done) => bar.update(done) },
    );
  } finally {
    bar.end();
  }
  const names = file === undefined ? undefined : await classNames(file, classes);
  const { numbers, note } = classesOf(
    pictures.map((picture) => picture.folder),
    classes,
    names,
  );
  const notes = note === "" ? [] : [note];
  if (pictures.length < all.length) notes.push(`${pictures.length} of ${all.length} pictures, evenly chosen`);
  const labels = numbers ?? new Uint8Array(pictures.length);
  return {
    split: { images, labels, count: pictures.length, ...size },
    labelled: numbers !== undefined,
    notes,
  };
}

async function classNames(file: string, classes: number): Promise<string[]> {
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    throw new Error(`--classes must be a file with a class name a line, got ${file}: ${error.code}`, {
      cause: error,
    });
  });
  const names = text.split(/\r?\n/).map((line) => line.trim());
  while (names.at(-1) === "") names.pop();
  if (names.length !== classes)
    throw new Error(
      `--classes must name the network's ${classes} classes, ${file} has ${names.length} lines`,
    );
  return names;
}

/** Class numbers of folders: by the names given, as numbers, or in their order where there is one for each class. */
export function classesOf(
  folders: readonly string[],
  classes: number,
  names?: readonly string[],
): { numbers?: Labels; note: string } {
  const different = [...new Set(folders)].sort();
  if (different.length === 1 && different[0] === "") return { note: "" };
  if (different.includes(""))
    return {
      note: "some pictures lie in no folder of a class, so the folders' names are not taken as labels",
    };
  const numberOf = (folder: string): number => {
    if (names) return names.indexOf(folder);
    if (different.every((one) => /^\d+$/.test(one))) return Number(folder);
    return different.length === classes ? different.indexOf(folder) : -1;
  };
  const wrong = different.filter((folder) => numberOf(folder) < 0 || numberOf(folder) >= classes);
  if (names && wrong.length > 0)
    throw new Error(`--classes must have a line for each folder, it lacks ${wrong.map(shown).join(", ")}`);
  if (wrong.length > 0)
    return {
      note: `the ${different.length} folders are neither named by class numbers below ${classes} nor one for each class, so they are not taken as labels: --classes FILE says which is which`,
    };
  return { numbers: labelsOf(folders.map(numberOf), classes), note: "" };
}

function labelsOf(numbers: ArrayLike<number>, classes: number): Labels {
  for (let i = 0; i < numbers.length; i++) checkInteger(`label ${i}`, numbers[i], 0, classes - 1);
  return classes <= 256 ? Uint8Array.from(numbers) : Int32Array.from(numbers);
}

const imageNames = ["images", "x", "x_train", "X", "data", "arr_0"];
const labelNames = ["labels", "y", "y_train", "Y", "targets", "arr_1"];

/** Arrays of a file, of which one are the inputs and one may be labels. */
async function fromArrays(
  file: string,
  shape: readonly number[],
  classes: number,
  { limit }: ExampleOptions,
): Promise<Examples> {
  const arrays = await arraysOf(file);
  const size = elements(shape);
  const fitting = [...arrays].filter(
    ([, array]) => array.shape.length > 1 && elements(array.shape.slice(1)) === size,
  );
  const [name, inputs] =
    fitting.find(([one]) => imageNames.includes(one)) ?? (fitting.length === 1 ? fitting[0] : []);
  if (!name || !inputs) {
    const there = [...arrays].map(([one, array]) => `${one} [${array.shape.join(", ")}]`).join(", ");
    throw new Error(
      `--data must hold one array of examples x ${shape.join(" x ")}, or one called ${imageNames.join(", ")}; ${file} has ${there}`,
    );
  }
  const { values } = inputs;
  if (values instanceof Int32Array)
    throw new Error(
      `${name} in ${file} must be bytes (0 to 255) or floats, got whole numbers of more than a byte`,
    );
  const all = inputs.shape[0];
  const chosen = evenly(
    Array.from({ length: all }, (_, i) => i),
    limit,
  );
  const images =
    values instanceof Uint8Array
      ? new Uint8Array(chosen.length * size)
      : new Float32Array(chosen.length * size);
  for (const [i, from] of chosen.entries())
    images.set(values.subarray(from * size, (from + 1) * size), i * size);
  const given = [...arrays].find(
    ([one, array]) => labelNames.includes(one) && elements(array.shape) === all,
  )?.[1];
  const notes = chosen.length < all ? [`${chosen.length} of ${all} examples, evenly chosen`] : [];
  const labels = given
    ? labelsOf(
        chosen.map((i) => given.values[i]),
        classes,
      )
    : new Uint8Array(chosen.length);
  return {
    split: { images, labels, count: chosen.length, ...sizeOf(shape) },
    labelled: given !== undefined,
    notes,
  };
}

interface Numbers {
  shape: readonly number[];
  values: Uint8Array | Int32Array | Float32Array;
}

async function arraysOf(file: string): Promise<Map<string, Numbers>> {
  const ending = extname(file).toLowerCase();
  if (![".npy", ".npz", ".safetensors"].includes(ending))
    throw new Error(
      `--data must be an .npy, .npz or .safetensors file or one of ${datasetNames.join(", ")}, got ${shown(file)}`,
    );
  const missing = (error: NodeJS.ErrnoException): never => {
    if (error.code === undefined) throw error;
    throw new Error(`--data must be a file, got ${file}: ${error.code}`, { cause: error });
  };
  if (ending === ".safetensors") {
    const source = await openSafetensors(file).catch(missing);
    try {
      const arrays = new Map<string, Numbers>();
      for (const [name, { dtype, shape }] of source.tensors)
        arrays.set(name, {
          shape,
          values: dtype === "U8" ? new Uint8Array(await source.bytes(name)) : await source.floats(name),
        });
      return arrays;
    } finally {
      await source.close();
    }
  }
  const bytes = await readBytes(file).catch(missing);
  return ending === ".npz" ? decodeNpz(bytes, file) : new Map([["arr_0", decodeNpy(bytes, file)]]);
}

/** At most so many of a list, from all of it evenly. */
function evenly<T>(list: readonly T[], limit: number | undefined): T[] {
  if (limit === undefined || list.length <= limit) return [...list];
  return Array.from({ length: limit }, (_, i) => list[Math.floor((i * list.length) / limit)]);
}

/**
 * What `--mean`, `--deviation` and `--range` say of inputs; undefined where they say nothing. A range is where the
 * smallest and the largest byte go.
 */
export function scalingOf(given: { mean?: string; deviation?: string; range?: string }): Scaling | undefined {
  const numbers = (name: string, text: string, counts: number[]): number[] => {
    const list = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
    if (!counts.includes(list.length) || !list.every(Number.isFinite))
      throw new Error(
        `${name} must be ${counts.join(" or ")} numbers with commas between, got ${shown(text)}`,
      );
    return list;
  };
  if (given.range !== undefined) {
    if (given.mean !== undefined || given.deviation !== undefined)
      throw new Error("give --range LOW,HIGH, or --mean and --deviation, not both");
    const [low, high] = numbers("--range", given.range, [2]);
    if (low === high) throw new Error(`--range must have two different ends, got ${shown(given.range)}`);
    if (low === 0 && high === 1) return undefined;
    return { mean: -low / (high - low), deviation: 1 / (high - low) };
  }
  if (given.mean === undefined && given.deviation === undefined) return undefined;
  const one = (list: number[]) => (list.length === 1 ? list[0] : list);
  const deviation = numbers("--deviation", given.deviation ?? "1", [1, 3]);
  if (deviation.includes(0)) throw new Error(`--deviation must not be 0, got ${shown(given.deviation)}`);
  return { mean: one(numbers("--mean", given.mean ?? "0", [1, 3])), deviation: one(deviation) };
}
