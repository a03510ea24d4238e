// A compressed network that runs as it is stored: example by example, its kernels sparse or in codes, never expanded.
import { type Graph, type GraphNode, kernelPlaces, shapeOf, viewOf } from "../graph/index.ts";
import { checkLength } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { type KernelForm, type KernelSource, type StoredKernel, storeKernel } from "./kernels.ts";
import { type Step, steps } from "./layers.ts";

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
  const stored = new Map<
    string,
    { kernel?: StoredKernel; weights: Record<string, Float32Array | undefined> }
  >();
  const layers: StoredLayer[] = [];
  let bytes = 0;
  let denseBytes = 0;
  const parts = graph.nodes
    .filter(({ kind }) => kind !== "input")
    .map((node) => {
      const owner = node.shares ?? node.name;
      if (!stored.has(owner)) {
        const [place] = kernelPlaces(viewOf(graph, node));
        const own = storedWeights(node, place?.role, kernels[owner]);
        stored.set(owner, own);
        for (const values of Object.values(own.weights)) {
          bytes += values?.byteLength ?? 0;
          denseBytes += values?.byteLength ?? 0;
        }
        if (own.kernel) {
          const { form, entries, shape } = own.kernel;
          const weights = elements(shape);
          layers.push({
            layer: owner,
            form,
            bytes: own.kernel.bytes,
            denseBytes: 4 * weights,
            entries,
            weights,
          });
          bytes += own.kernel.bytes;
          denseBytes += 4 * weights;
        }
      }
      const inputs = node.inputs.map((tensor) => shapeOf(graph, tensor));
      const output = shapeOf(graph, node.outputs[0]);
      const step = steps[node.kind]({ node, inputs, output, ...stored.get(owner)! });
      return { step, inputs: node.inputs, output: node.outputs[0], size: elements(output) };
    });
  const inputShape = shapeOf(graph, graph.inputs[0]);
  const outputShape = shapeOf(graph, graph.outputs[0]);
  const [size, width] = [elements(inputShape), elements(outputShape)];
  return {
    inputShape,
    outputShape,
    layers,
    bytes,
    denseBytes,
    run(inputs, count = 1) {
      checkLength("inputs", inputs, count * size);
      const results = new Float32Array(count * width);
      for (let i = 0; i < count; i++)
        results.set(runOne(graph, parts, inputs.subarray(i * size, (i + 1) * size)), i * width);
      return results;
    },
  };
}

interface Part {
  step: Step;
  inputs: readonly string[];
  output: string;
  size: number;
}

function runOne(graph: Graph, parts: readonly Part[], input: Float32Array): Float32Array {
  const values = new Map([[graph.inputs[0], input]]);
  for (const { step, inputs, output, size } of parts) {
    const out = new Float32Array(size);
    step(
      inputs.map((tensor) => values.get(tensor)!),
      out,
    );
    values.set(output, out);
  }
  return values.get(graph.outputs[0])!;
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
    return { kernel: storeKernel({ shape, ...(source ?? { values }) }), weights };
  } catch (error) {
    throw new RangeError(`${node.name}: ${(error as Error).message}`, { cause: error });
  }
}
