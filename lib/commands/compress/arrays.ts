// Arrays from files as samples for a network: one for each of its inputs, and where there are any, for each of its outputs.
import { extname } from "node:path";
import {
  datasetNames,
  isSplit,
  type Labels,
  type Numbers,
  type Samples,
  type Scaling,
  type Target,
  take,
} from "../../datasets/index.ts";
import { decodeNpy, decodeNpz, openSafetensors } from "../../formats/index.ts";
import { consumersOf, finalActivation, findKind, producersOf } from "../../graph/index.ts";
import { decidedBy, feedOf, graphOf, rawOutputs, type tf } from "../../nn/index.ts";
import { readBytes } from "../../platform/node.ts";
import { checkInteger, shown } from "../../util/check.ts";
import { elements } from "../../util/shape.ts";

/** What a network reads and gives, for one sample. */
export interface Ports {
  inputs: {
    name: string;
    shape: number[] /** Whether they are whole numbers that an embedding looks up. */;
    tokens: boolean;
  }[];
  outputs: { name: string; shape: number[]; activation: string }[];
}

/** The ports of a network; sizes that it leaves open are 0. */
export function portsOf(model: tf.LayersModel): Ports {
  const graph = graphOf(model);
  const [producers, consumers] = [producersOf(graph), consumersOf(graph)];
  const shape = (tensor: string) => graph.tensors[tensor].shape.map((size) => size ?? 0);
  return {
    inputs: graph.inputs.map((tensor) => ({
      name: producers.get(tensor)!.name,
      shape: shape(tensor),
      tokens: !!consumers.get(tensor)?.some(({ kind }) => findKind(kind)?.product === "lookup"),
    })),
    outputs: graph.outputs.map((tensor) => {
      const { node, activation } = finalActivation(graph, tensor);
      return { name: node, shape: shape(tensor), activation };
    }),
  };
}

/** Whether it is what pictures with labels are for: one input, and one row of class scores. */
export function isClassifier({ inputs, outputs }: Ports): boolean {
  const [{ shape, activation }] = outputs;
  return (
    inputs.length === 1 &&
    !inputs[0].tokens &&
    outputs.length === 1 &&
    shape.length === 1 &&
    shape[0] > 1 &&
    activation !== "sigmoid"
  );
}

interface NamedArray {
  shape: readonly number[];
  values: Uint8Array | Int32Array | Float32Array;
}

const inputNames = ["images", "x", "x_train", "X", "data", "arr_0"];
const targetNames = ["labels", "y", "y_train", "Y", "targets", "arr_1"];

/**
 * The arrays of a file as samples: by the names of the network's inputs and outputs; where there is one, also by those that
 * people usually give.
 *
 * @throws Error that names the arrays that are there
 */
export async function samplesFrom(
  file: string,
  ports: Ports,
  { limit, scaling }: { limit?: number; scaling?: Scaling },
): Promise<{ samples: Samples; labelled: boolean; notes: string[] }> {
  const arrays = await arraysOf(file);
  const there = [...arrays].map(([one, array]) => `${one} [${array.shape.join(", ")}]`).join(", ");
  const fields = ports.inputs.map((port) => inputFrom(arrays, port, ports, file, there));
  const count = fields[0].count;
  for (const { name, count: other } of fields)
    if (other !== count)
      throw new Error(`${name} in ${file} must have ${count} samples as ${fields[0].name} has, got ${other}`);
  const targets = ports.outputs.map((port) => targetFrom(arrays, port, ports, count));
  const labelled = targets.every(({ values }) => values);
  const given = targets.filter(({ values }) => values).length;
  const notes: string[] = [];
  if (given > 0 && !labelled)
    notes.push(
      `targets for ${given} of ${targets.length} outputs are not used: give an array for each, called ${ports.outputs.map(({ name }) => name).join(", ")}`,
    );
  const whole: Samples = {
    inputs: fields.map(({ values, shape }, i) => ({
      values,
      shape,
      ...(scaling && !ports.inputs[i].tokens ? { scaling } : {}),
    })),
    ...(labelled ? { targets } : {}),
    count,
  };
  const samples = limit !== undefined && count > limit ? take(whole, evenPlaces(count, limit)) : whole;
  if (samples.count < count) notes.push(`${samples.count} of ${count} examples, evenly chosen`);
  return { samples: isClassifier(ports) ? asSplit(samples) : samples, labelled, notes };
}

/** Rows for a classifier as images, so that recipes may move them; other targets than class numbers stay arrays. */
function asSplit(samples: Samples): Samples {
  if (!("inputs" in samples)) return samples;
  const { inputs, targets, count } = samples;
  const [{ values, shape, scaling }] = inputs;
  const labels = targets?.[0].values ?? new Uint8Array(count);
  if (labels instanceof Float32Array || !(values instanceof Uint8Array || values instanceof Float32Array))
    return samples;
  return { images: values, labels, count, ...sizeOf(shape), ...(scaling ? { scaling } : {}) };
}

/** Height, width and channels: of pictures as they are, of anything else as one row. */
export function sizeOf(shape: readonly number[]): { height: number; width: number; channels: number } {
  if (shape.length === 3) return { height: shape[0], width: shape[1], channels: shape[2] };
  if (shape.length === 2) return { height: shape[0], width: shape[1], channels: 1 };
  return { height: 1, width: elements(shape), channels: 1 };
}

const fits = (own: readonly number[], wanted: readonly number[]): boolean =>
  wanted.includes(0)
    ? own.length === wanted.length && wanted.every((size, i) => size === 0 || size === own[i])
    : elements(own) === elements(wanted);

function inputFrom(
  arrays: Map<string, NamedArray>,
  { name, shape, tokens }: Ports["inputs"][number],
  { inputs }: Ports,
  file: string,
  there: string,
): { name: string; count: number; values: Numbers; shape: number[] } {
  const fitting = [...arrays].filter(
    ([, array]) => array.shape.length > 1 && fits(array.shape.slice(1), shape),
  );
  const usual = inputs.length === 1 ? fitting.find(([one]) => inputNames.includes(one)) : undefined;
  const only = inputs.length === 1 && fitting.length === 1 ? fitting[0] : undefined;
  const [found, array] = fitting.find(([one]) => one === name) ?? usual ?? only ?? [];
  const wanted = shape.map((size) => size || "any").join(" x ");
  if (!found || !array)
    throw new Error(
      inputs.length === 1
        ? `--data must hold one array of examples x ${wanted}, or one called ${inputNames.join(", ")}; ${file} has ${there}`
        : `--data must hold an array ${name} of examples x ${wanted}, for the network's input; ${file} has ${there}`,
    );
  const { values } = array;
  if (!tokens && values instanceof Int32Array)
    throw new Error(
      `${found} in ${file} must be bytes (0 to 255) or floats, got whole numbers of more than a byte`,
    );
  return {
    name: found,
    count: array.shape[0],
    // Bytes stand for numbers from 0 to 1, which tokens are not.
    values: tokens && values instanceof Uint8Array ? Int32Array.from(values) : values,
    shape: shape.includes(0) ? [...array.shape.slice(1)] : shape,
  };
}

function targetFrom(
  arrays: Map<string, NamedArray>,
  { name, shape, activation }: Ports["outputs"][number],
  { outputs }: Ports,
  count: number,
): Target {
  const candidates = [...arrays].filter(([, array]) => array.shape[0] === count);
  const usual = outputs.length === 1 ? candidates.find(([one]) => targetNames.includes(one)) : undefined;
  const [label, array] = candidates.find(([one]) => one === name) ?? usual ?? [];
  if (!label || !array) return {};
  const { values } = array;
  const each = values.length / count;
  const [width, all] = [shape.at(-1) ?? 1, elements(shape)];
  if (activation === "sigmoid") return { task: "labels", values: whole(label, values, 2) };
  if (activation === "softmax" || (width > 1 && each * width === all))
    return { values: whole(label, values, width) };
  return { task: "values", values: Float32Array.from(values) };
}

function whole(name: string, numbers: ArrayLike<number>, classes: number): Labels {
  for (let i = 0; i < numbers.length; i++)
    checkInteger(`${targetNames.includes(name) ? "label" : name} ${i}`, numbers[i], 0, classes - 1);
  return classes <= 256 ? Uint8Array.from(numbers) : Int32Array.from(numbers);
}

async function arraysOf(file: string): Promise<Map<string, NamedArray>> {
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
      const arrays = new Map<string, NamedArray>();
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

/** Samples without targets with what a network says of them: what is then called accuracy is agreement with it. */
export async function answeredBy(
  model: tf.LayersModel,
  samples: Samples,
  signal?: AbortSignal,
): Promise<Samples> {
  const feed = feedOf(model, samples);
  const raw = await rawOutputs(model, feed, { signal });
  const targets = feed.outputs.map((output, o) => {
    const decided = decidedBy(output, raw[o]);
    if (output.task === "values") return { task: output.task, values: Float32Array.from(decided) };
    return { task: output.task, values: Int32Array.from(decided) };
  });
  return isSplit(samples) ? { ...samples, labels: targets[0].values as Int32Array } : { ...samples, targets };
}

/** At most so many places of a list, from all of it evenly. */
export function evenPlaces(count: number, limit: number | undefined): number[] {
  const wanted = limit === undefined ? count : Math.min(count, limit);
  return Array.from({ length: wanted }, (_, i) => Math.floor((i * count) / wanted));
}
