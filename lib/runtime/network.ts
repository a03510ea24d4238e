// A compressed network that runs as it is stored: example by example, its kernels sparse or in codes, never expanded.
import { consumersOf, type Graph, type GraphNode, kernelPlaces, viewOf } from "../graph/index.ts";
import { checkLength } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { type KeptKernel, keepKernel } from "./kept-kernel.ts";
import { type KernelForm, type KernelSource, type StoredKernel, storeKernel } from "./kernels.ts";
import { steps } from "./layers.ts";
import { layoutOf, NetworkMemory, type Value } from "./memory.ts";

/** How one layer's kernel is stored. */
export interface StoredLayer {
  layer: string;
  form: KernelForm;
  /** What it takes in memory, and what floats would. */
  bytes: number;
  denseBytes: number;
  /** Entries that are multiplied, of all. */
  entries: number;
  weights: number;
}

/** A network that runs from storage. */
export interface StoredNetwork {
  /** Shapes of an example and of what comes out, without the batch. */
  inputShape: readonly number[];
  outputShape: readonly number[];
  layers: readonly StoredLayer[];
  /** What all weights take in memory: kernels as they are stored, biases and statistics as floats. */
  bytes: number;
  /** What they would take as floats. */
  denseBytes: number;
  /**
   * Runs examples, one after the other.
   *
   * @param inputs `count` examples, each of {@link inputShape}, row-major
   * @returns `count` outputs, each of {@link outputShape}
   * @throws RangeError for another number of values
   */
  run(inputs: Float32Array, count?: number): Float32Array;
}

/**
 * Makes a network that runs from storage.
 *
 * @param graph with one input and one output; its kernels' values may be absent where `kernels` has them
 * @param kernels by layer, as compression left them; others are taken from the graph as floats
 * @throws RangeError that names every layer which cannot be run so, all of them at once
 * @see §4
 */
export function storedNetwork(
  graph: Graph,
  kernels: Readonly<Record<string, Omit<KernelSource, "shape">>> = {},
): StoredNetwork {
  if (graph.inputs.length !== 1 || graph.outputs.length !== 1)
    throw new RangeError(
      `${graph.name} must have one input and one output to run from storage, got ${graph.inputs.length} and ${graph.outputs.length}`,
    );
  const strange = graph.nodes.filter(({ kind }) => kind !== "input" && !Object.hasOwn(steps, kind));
  if (strange.length > 0)
    throw new RangeError(
      `${graph.name} cannot run from storage: ${strange.map(({ name, kind }) => `${name} (${kind})`).join(", ")}; what can: ${Object.keys(steps).join(", ")}`,
    );
  const memory = new NetworkMemory();
  const values = placeValues(graph, memory);
  const stored = new Map<string, Kept>();
  const layers: StoredLayer[] = [];
  let bytes = 0;
  let denseBytes = 0;
  const run = graph.nodes
    .filter(({ kind }) => kind !== "input")
    .map((node) => {
      const owner = node.shares ?? node.name;
      if (!stored.has(owner)) {
        const [place] = kernelPlaces(viewOf(graph, node));
        const { kernel, weights } = storedWeights(node, place?.role, kernels[owner]);
        stored.set(owner, { weights, ...(kernel ? { kernel: keepKernel(memory, kernel) } : {}) });
        for (const values of Object.values(weights)) {
          bytes += values?.byteLength ?? 0;
          denseBytes += values?.byteLength ?? 0;
        }
        if (kernel) {
          const { form, entries, shape } = kernel;
          const weights = elements(shape);
          layers.push({
            layer: owner,
            form,
            bytes: kernel.bytes,
            denseBytes: 4 * weights,
            entries,
            weights,
          });
          bytes += kernel.bytes;
          denseBytes += 4 * weights;
        }
      }
      const inputs = node.inputs.map((tensor) => values.get(tensor)!);
      const output = values.get(node.outputs[0])!;
      return steps[node.kind]({ node, inputs, output, memory, ...stored.get(owner)! });
    });
  memory.settle();
  const [input, output] = [values.get(graph.inputs[0])!, values.get(graph.outputs[0])!];
  const [size, width] = [elements(input.shape), elements(output.shape)];
  return {
    inputShape: input.shape,
    outputShape: output.shape,
    layers,
    bytes,
    denseBytes,
    run(inputs, count = 1) {
      checkLength("inputs", inputs, count * size);
      const results = new Float32Array(count * width);
      for (let i = 0; i < count; i++) {
        memory.write(input, inputs.subarray(i * size, (i + 1) * size));
        for (const step of run) step();
        memory.read(output, results.subarray(i * width, (i + 1) * width));
      }
      return results;
    },
  };
}

/** A layer's kernel, and its weights that are none. */
interface Kept {
  kernel?: KeptKernel;
  weights: Record<string, Float32Array | undefined>;
}

/** Gives every tensor a place in memory, from its making until its last use; what is put out stays. */
function placeValues(graph: Graph, memory: NetworkMemory): Map<string, Value> {
  const values = new Map<string, Value>();
  const waiting = new Map([...consumersOf(graph)].map(([tensor, nodes]) => [tensor, new Set(nodes).size]));
  const place = (tensor: string, node: string) => {
    const { shape } = graph.tensors[tensor];
    if (shape.includes(null))
      throw new RangeError(
        `${node} must have a shape that is known to run from storage, got ${shape.map((size) => size ?? "?").join(" x ")}`,
      );
    values.set(tensor, memory.take(layoutOf(shape as number[])));
  };
  place(graph.inputs[0], "the input");
  for (const { name, kind, inputs, outputs } of graph.nodes) {
    if (kind === "input") continue;
    for (const tensor of outputs) place(tensor, name);
    for (const tensor of new Set(inputs)) {
      const left = (waiting.get(tensor) ?? 0) - 1;
      waiting.set(tensor, left);
      if (left <= 0 && tensor !== graph.outputs[0]) memory.letGo(values.get(tensor)!);
    }
  }
  return values;
}

/** A layer's kernel in its own form, and its other weights. */
function storedWeights(
  node: GraphNode,
  role: string | undefined,
  source: Omit<KernelSource, "shape"> | undefined,
): { kernel?: StoredKernel; weights: Record<string, Float32Array | undefined> } {
  const weights = Object.fromEntries(
    Object.entries(node.weights)
      .filter(([name]) => name !== role)
      .map(([name, { values }]) => [name, values]),
  );
  if (role === undefined) return { weights };
  const { shape, values } = node.weights[role];
  try {
    const depthwise = node.kind === "depthwiseConv2d";
    return { kernel: storeKernel({ shape, depthwise, ...(source ?? { values }) }), weights };
  } catch (error) {
    throw new RangeError(`${node.name}: ${(error as Error).message}`, { cause: error });
  }
}
