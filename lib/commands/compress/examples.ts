// What `slimlab compress` works with: pictures in folders, arrays from a file, or a data set that slimlab knows, each
// brought into what the network takes.
import { readFile } from "node:fs/promises";
import {
  datasetNames,
  isSplit,
  type Labels,
  loadDataset,
  type Samples,
  type Scaling,
  type Split,
} from "../../datasets/index.ts";
import { checkInteger, shown } from "../../util/check.ts";
import { progress } from "../../util/progress.ts";
import { elements } from "../../util/shape.ts";
import { evenPlaces, isClassifier, type Ports, samplesFrom, sizeOf } from "./arrays.ts";
import { type Fit, findPictures, readPictures } from "./pictures.ts";

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
  samples: Samples;
  labelled: boolean;
  /** What a reader should know: labels that could not be used, arrays left out. */
  notes: string[];
  /** Where a data set has parts of its own: what to learn from, to decide by and to be judged by. */
  parts?: { train: Samples; validation: Samples; test: Samples };
}

/**
 * Loads examples for a network.
 *
 * @param ports what the network reads and gives
 * @throws Error that names the argument, what it is and what is allowed
 */
export async function loadExamples(
  ports: Ports,
  options: ExampleOptions,
  signal?: AbortSignal,
): Promise<Examples> {
  const { images, data, scaling } = options;
  if ((images === undefined) === (data === undefined))
    throw new Error("give exactly one of --images FOLDER and --data FILE");
  const named = data !== undefined && (datasetNames as readonly string[]).includes(data);
  if (!named && data !== undefined) return samplesFrom(data, ports, options);
  const { inputs, outputs } = ports;
  if (!isClassifier(ports))
    throw new Error(
      `${named ? `the data set ${data}` : "--images"} is for a network with one input and one row of class scores, this one has ` +
        `${inputs.map(({ name }) => name).join(", ")} and ${outputs.map(({ name }) => name).join(", ")}: give --data FILE.npz with an array for each`,
    );
  const [{ shape }] = inputs;
  const found = named
    ? await fromDataset(data)
    : await fromPictures(images!, shape, outputs[0].shape[0], options, signal);
  const withScaling = (samples: Samples): Samples => ({ ...samples, ...(scaling ? { scaling } : {}) });
  const { samples, parts } = found;
  if (isSplit(samples) && elements([samples.height, samples.width, samples.channels]) !== elements(shape))
    throw new Error(
      `${data ?? images} holds examples of ${samples.height} x ${samples.width} x ${samples.channels}, the network takes ${shape.join(" x ")}`,
    );
  return {
    ...found,
    samples: withScaling(samples),
    ...(parts && {
      parts: {
        train: withScaling(parts.train),
        validation: withScaling(parts.validation),
        test: withScaling(parts.test),
      },
    }),
  };
}

async function fromDataset(name: string): Promise<Examples> {
  const { train, validation, test } = await loadDataset(name);
  return { samples: train, labelled: true, notes: [], parts: { train, validation, test } };
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
  const pictures = evenPlaces(all.length, limit).map((i) => all[i]);
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
    samples: { images, labels, count: pictures.length, ...size } satisfies Split,
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
