// Questions about a network that more than one algorithm asks, answered from its graph and the table of kinds.
import { shown } from "../util/check.ts";
import { consumersOf, type Graph, type GraphNode, producersOf, sharedNodes } from "./graph.ts";
import type { NodeView, Product, Scaling, WeightRole } from "./kind.ts";
import { activationOf, findKind, hasSoftmax, viewOf } from "./kinds.ts";
import { fail, type Shape, type ShapedLayer, text } from "./shapes.ts";

/**
 * The shape of what a layer gives out.
 *
 * @param layer of a kind that readers of networks make: convolutional, dense, pooling, merging and element-wise ones
 * @param inputs without the batch, as is the result
 * @throws RangeError for shapes that the layer cannot have, or a kind whose shape is not known here
 */
export function outputShapeOf(layer: ShapedLayer, inputs: readonly Shape[]): (number | null)[] {
  const rule = findKind(layer.kind)?.shape;
  if (!rule)
    throw new RangeError(`kind of ${layer.name} must be one whose shape is known, got ${shown(layer.kind)}`);
  const shape = rule(layer, inputs);
  if (shape.some((size) => size !== null && !(Number.isSafeInteger(size) && size > 0)))
    fail(layer, `an output of shape ${text(shape)}: its input is ${inputs.map(text).join(", ")}`);
  return shape;
}

/** A weight that pruning, quantization and clustering work on. */
export interface KernelPlace {
  /** The node's name; with the role behind it, "lstm/recurrentKernel", where the node has several kernels. */
  name: string;
  node: string;
  role: string;
  weight: WeightRole;
}

/** The kernels of a layer, in its own order; none for a layer of no known kind. */
export function kernelPlaces(view: NodeView): KernelPlace[] {
  const kind = findKind(view.kind);
  const found = Object.keys(view.weights).flatMap((role) => {
    const weight = kind?.weight(view, role);
    return weight?.kernel ? [{ role, weight }] : [];
  });
  return found.map(({ role, weight }) => ({
    name: found.length === 1 ? view.name : `${view.name}/${role}`,
    node: view.name,
    role,
    weight,
  }));
}

/** The nodes with weights of no known kind: what nothing compresses, prunes or counts. */
export function uncovered(graph: Graph): string[] {
  return graph.nodes
    .filter(({ kind, weights, shares }) => !findKind(kind) && Object.keys(weights).length > 0 && !shares)
    .map(({ name }) => name);
}

/** Two layers that can share out the ranges of the channels between them, by their nodes' names. */
export interface BalancedPair {
  first: string;
  second: string;
  /** The first and the nodes between it and the second: their outputs have the channels. */
  way: string[];
  /** Those of them whose ReLU clips: a ReLU6. */
  clips: string[];
}

/** Whether a layer is, or ends in, a ReLU that clips at a fixed height. */
export function clips({ kind, attributes }: Pick<GraphNode, "kind" | "attributes">): boolean {
  return kind === "reLU" ? (attributes.maxValue ?? null) !== null : activationOf({ attributes }) === "relu6";
}

/**
 * Neighbouring layers that can share out the ranges of the channels between them: the first has a ReLU or no activation,
 * only layers that let a positive factor through lie between, and nothing else reads what comes out of these.
 *
 * @param unclipped finds those, too, that could if a ReLU6 between them were a ReLU
 */
export function balancedPairs(graph: Graph, { unclipped = false } = {}): BalancedPair[] {
  const producers = producersOf(graph);
  const consumers = consumersOf(graph);
  const shared = sharedNodes(graph);
  const scaling = (node: GraphNode): Scaling => {
    if (shared.has(node.name)) return "stops";
    if (unclipped && clips(node) && ["reLU", "activation"].includes(node.kind)) return "through";
    return findKind(node.kind)?.scaling(viewOf(graph, node)) ?? "stops";
  };
  /** The node whose output is the only thing that this one reads, if nothing else reads it. */
  const before = ({ inputs }: GraphNode): GraphNode | undefined => {
    const [tensor] = inputs;
    const alone =
      inputs.length === 1 && consumers.get(tensor)!.length === 1 && !graph.outputs.includes(tensor);
    return alone ? producers.get(tensor) : undefined;
  };
  return graph.nodes.flatMap((second): BalancedPair[] => {
    if (scaling(second) !== "weighted") return [];
    const way: GraphNode[] = [];
    let first = before(second);
    for (; first && scaling(first) === "through"; first = before(first)) way.unshift(first);
    if (!first || scaling(first) !== "weighted") return [];
    if (!["relu", "linear", ...(unclipped ? ["relu6"] : [])].includes(activationOf(first))) return [];
    way.unshift(first);
    const names = (nodes: readonly GraphNode[]) => nodes.map(({ name }) => name);
    return [{ first: first.name, second: second.name, way: names(way), clips: names(way.filter(clips)) }];
  });
}

/**
 * The nodes whose outputs an engine stores, and so quantizes: behind each layer that gives new values, with the batch
 * normalisation and the ReLU that follow it alone taken into it; sums and concatenations among them. What only hands on,
 * picks or averages stays on the grid of what it reads, and outputs of the network that nothing else reads stay as they are.
 *
 * @returns names of layers, each once
 */
export function activationPlaces(graph: Graph): string[] {
  const producers = producersOf(graph);
  const consumers = consumersOf(graph);
  const places = new Set<string>();
  const isTakenIn = (norm: GraphNode): boolean => {
    const source = producers.get(norm.inputs[0])!;
    return canTakeNorm(source) && onlyReader(graph, consumers, source) === norm;
  };
  for (const node of graph.nodes) {
    if (node.kind === "input" || gridOf(graph, node) !== "new") continue;
    if (node.kind === "batchNormalization" && isTakenIn(node)) continue;
    const last = fusedWith(graph, consumers, node).at(-1)!;
    if (!endsIn(graph, consumers, last)) places.add(last.shares ?? last.name);
  }
  return [...places];
}

const gridOf = (graph: Graph, node: GraphNode) => findKind(node.kind)?.grid(viewOf(graph, node)) ?? "new";

/** Layers whose outputs are sums of products, so that a factor a channel can go into the weights. */
const sumsProducts: Record<Product, boolean> = {
  none: false,
  matrix: true,
  convolution: true,
  depthwise: true,
  transposed: true,
  separable: true,
  lookup: false,
  recurrent: false,
  other: false,
};

/** Whether a layer's outputs are sums of products: a dense or convolutional one. */
export const isSumOfProducts = ({ kind }: Pick<GraphNode, "kind">): boolean =>
  sumsProducts[findKind(kind)?.product ?? "none"];

/** Whether a layer can take over a batch normalisation that follows it. */
export const canTakeNorm = (node: GraphNode): boolean =>
  isSumOfProducts(node) && activationOf(node) === "linear";

/** Whether engines make a layer part of the one before it: a ReLU and its clipped kin, a batch normalisation of sums of products. */
function fuses({ kind, attributes }: GraphNode, before: GraphNode): boolean {
  return (
    kind === "reLU" ||
    (kind === "activation" && /^relu6?$/.test(String(attributes.activation))) ||
    (kind === "batchNormalization" && canTakeNorm(before))
  );
}

/** A node and what engines make part of it: the batch normalisation and the ReLU that follow it alone. */
export function fusedWith(
  graph: Graph,
  consumers: Map<string, GraphNode[]>,
  node: GraphNode,
): [GraphNode, ...GraphNode[]] {
  const fused: [GraphNode, ...GraphNode[]] = [node];
  for (
    let next = onlyReader(graph, consumers, node);
    next && fuses(next, fused[fused.length - 1]);
    next = onlyReader(graph, consumers, next)
  )
    fused.push(next);
  return fused;
}

function onlyReader(
  graph: Graph,
  consumers: Map<string, GraphNode[]>,
  { outputs }: GraphNode,
): GraphNode | undefined {
  const readers = consumers.get(outputs[0]) ?? [];
  return readers.length === 1 && !graph.outputs.includes(outputs[0]) ? readers[0] : undefined;
}

/** Whether a node's outputs are the network's and nobody else's, but for a softmax or what only hands on. */
export function endsIn(graph: Graph, consumers: Map<string, GraphNode[]>, node: GraphNode): boolean {
  if (graph.outputs.includes(node.outputs[0])) return !consumers.has(node.outputs[0]);
  const next = onlyReader(graph, consumers, node);
  const kind = next && findKind(next.kind);
  if (!next || kind?.product !== "none") return false;
  return (hasSoftmax(next) || kind.identity(viewOf(graph, next))) && endsIn(graph, consumers, next);
}

/**
 * The activation that is the last to shape an output, and its node; layers that only hand on are seen through.
 *
 * @returns `alone`: whether nothing but these layers reads it
 */
export function finalActivation(
  graph: Graph,
  output = graph.outputs[0],
): { node: string; activation: string; alone: boolean } {
  const producers = producersOf(graph);
  const consumers = consumersOf(graph);
  let node = producers.get(output)!;
  let alone = !consumers.has(output);
  // A network may be nothing but its input.
  while (node.inputs.length === 1 && findKind(node.kind)?.identity(viewOf(graph, node))) {
    alone &&= consumers.get(node.inputs[0])!.length === 1;
    node = producers.get(node.inputs[0])!;
  }
  return { node: node.name, activation: hasSoftmax(node) ? "softmax" : activationOf(node), alone };
}
