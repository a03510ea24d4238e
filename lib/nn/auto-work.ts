// §3.2.1, item 3: what automatic quantization works with, and what it looks at of each layer.

import type { Samples } from "../datasets/index.ts";
import { sharedNodes } from "../graph/index.ts";
import {
  addSamples,
  emptyStatistics,
  type InputStatistics,
  outputErrors,
  quantizationError,
} from "../quantization/index.ts";
import { elements } from "../util/shape.ts";
import { networkOf } from "./graph.ts";
import { evenRows, hasStatistics, inputStatisticsOf, rowsOf } from "./input-statistics.ts";
import type { Replay, ReplayOptions } from "./replay.ts";
import type { Output } from "./tasks.ts";
import type { tf } from "./tf.ts";
import type { Kernel } from "./weights.ts";

/** Whether a repair is tried, and kept where it helps. */
export const attempts = ["try", "never"] as const;
export type Attempt = (typeof attempts)[number];

/** What automatic quantization works with. */
export interface Work {
  model: tf.LayersModel;
  /** What GPTQ and bias correction learn from, and what everything is measured on. */
  fit: Samples;
  held: Samples;
  /** What the network's outputs are for. */
  outputs: readonly Output[];
  /** In the order in which they run. */
  kernels: Kernel[];
  /** Names of layers that are used more than once. */
  shared: ReadonlySet<string>;
  /** Of the network before quantization, by kernel and by layer. */
  weights: Record<string, Float32Array>;
  biases: Record<string, Float32Array>;
  /** Growing. */
  widths: readonly number[];
  gptq: Attempt;
  biasCorrection: Attempt;
  options: ReplayOptions;
}

export type Told = (share: number, what: string) => void;

/** Kernels as their layers run, which is not always the order in which a model lists them; and which layers run twice. */
export function inRunningOrder(model: tf.LayersModel, kernels: Kernel[]): Pick<Work, "kernels" | "shared"> {
  const { graph } = networkOf(model);
  const places = new Map(graph.nodes.map(({ name }, i) => [name, i]));
  return {
    kernels: kernels.toSorted((a, b) => places.get(a.layerName)! - places.get(b.layerName)!),
    shared: sharedNodes(graph),
  };
}

const rowsAtMost = 4096;

/** The moments of what goes into a layer that has been gone on to; undefined for one that GPTQ cannot treat. */
export async function momentsOf(
  { model, shared, options }: Work,
  replay: Replay,
  kernel: Kernel,
  split: Samples,
): Promise<InputStatistics | undefined> {
  if (!hasStatistics(kernel)) return undefined;
  const { name, layerName } = kernel;
  // The inputs of all its uses together.
  if (shared.has(layerName))
    return (await inputStatisticsOf(model, split, { ...options, rows: rowsAtMost, layers: [name] }))[name];
  const statistics = emptyStatistics(elements(kernel.shape.slice(0, -1)));
  for await (const rows of rowsInto(replay, kernel, split)) addSamples(statistics, rows);
  return statistics;
}

/** What a layer's kernel multiplies, batch by batch; of a split, about {@link rowsAtMost} rows, evenly. */
export async function* rowsInto(
  replay: Replay,
  { layer, shape }: Kernel,
  split?: Samples,
): AsyncGenerator<Float32Array> {
  const size = elements(shape.slice(0, -1));
  for await (const { values, shape: input } of replay.inputs()) {
    const rows = rowsOf(layer, values, input);
    yield split ? evenRows(rows, size, Math.ceil((rowsAtMost * input[0]) / split.count)) : rows;
  }
}

/** Squared error of a layer's outputs, or of its weights where its inputs are not known, by what becomes of these. */
export function errorsOf(
  before: Float32Array,
  statistics: InputStatistics | undefined,
): (after: Float32Array) => number {
  return statistics
    ? outputErrors(before, statistics)
    : (after) => quantizationError(before, after).mse * before.length;
}
