// A network as plain data: nodes that read and write named tensors, with attributes and weights. No TensorFlow.js, no
// file format: `nn` makes one of a model and a model of one, and what asks about layers asks here.
import { shown } from "../util/check.ts";

/** A weight of a node; its name in the node's `weights` says what it is: "kernel", "bias", "recurrentKernel" … */
export interface GraphWeight {
  shape: readonly number[];
  /** Row-major; absent in a graph of shapes only. */
  values?: Float32Array;
  /** Whether training changes it: not so the moving mean and variance of batch normalisation. */
  trainable: boolean;
}

/** What a node is set to, as the layer's own configuration names it: "strides", "padding", "activation" … */
export type Attributes = Readonly<Record<string, unknown>>;

/** One call of a layer. */
export interface GraphNode {
  /** Its layer's name; a layer of a nested model has the model's name before it, "base/conv1"; a second call has "#2". */
  name: string;
  /** The name of a kind in the table: "conv2d"; or of one that nobody has registered. */
  kind: string;
  /** Names of the tensors it reads and writes. */
  inputs: readonly string[];
  outputs: readonly string[];
  attributes: Attributes;
  /** In the layer's own order. A further call of a layer shows its weights again. */
  weights: Readonly<Record<string, GraphWeight>>;
  /** The node whose weights this one uses, if it is not the first call of its layer. */
  shares?: string;
}

/** A value that flows through the network: its shape without the batch, null where a size is not known. */
export interface GraphTensor {
  shape: readonly (number | null)[];
  /** Default `float32`. */
  dtype?: string;
}

/** A network. Nested models are taken apart: their layers stand in it as nodes of their own. */
export interface Graph {
  name: string;
  /** Each after those whose tensors it reads. Inputs are nodes of kind "input". */
  nodes: readonly GraphNode[];
  tensors: Readonly<Record<string, GraphTensor>>;
  /** Names of tensors. */
  inputs: readonly string[];
  outputs: readonly string[];
  /** Whether it is one layer after the other, and a model of it a Sequential. */
  sequential?: boolean;
}

/**
 * Throws unless a graph is sound: names are unique, every tensor is described and written once, before it is read.
 *
 * @throws RangeError that names the node or tensor
 */
export function checkGraph(graph: Graph): void {
  const names = new Set<string>();
  const written = new Set<string>();
  for (const { name, inputs, outputs, shares } of graph.nodes) {
    if (names.has(name))
      throw new RangeError(`nodes of ${graph.name} must have different names, got two ${shown(name)}`);
    if (shares !== undefined && !names.has(shares))
      throw new RangeError(`shares of ${name} must name an earlier node, got ${shown(shares)}`);
    names.add(name);
    for (const tensor of inputs)
      if (!written.has(tensor))
        throw new RangeError(`inputs of ${name} must come from earlier nodes, got ${shown(tensor)}`);
    for (const tensor of outputs) {
      if (written.has(tensor))
        throw new RangeError(`outputs of ${name} must be its own, got ${shown(tensor)} again`);
      if (!graph.tensors[tensor])
        throw new RangeError(`tensors of ${graph.name} must describe ${shown(tensor)}`);
      written.add(tensor);
    }
  }
  for (const tensor of [...graph.inputs, ...graph.outputs])
    if (!written.has(tensor))
      throw new RangeError(
        `inputs and outputs of ${graph.name} must be tensors of its nodes, got ${shown(tensor)}`,
      );
}

/** The node that writes each tensor. */
export function producersOf(graph: Graph): Map<string, GraphNode> {
  return new Map(graph.nodes.flatMap((node) => node.outputs.map((tensor) => [tensor, node] as const)));
}

/** The nodes that read each tensor, once for each time they do. */
export function consumersOf(graph: Graph): Map<string, GraphNode[]> {
  const consumers = new Map<string, GraphNode[]>();
  for (const node of graph.nodes)
    for (const tensor of node.inputs) {
      const known = consumers.get(tensor);
      if (known) known.push(node);
      else consumers.set(tensor, [node]);
    }
  return consumers;
}

/** The names of nodes whose layer is called more than once. */
export function sharedNodes(graph: Graph): Set<string> {
  return new Set(graph.nodes.flatMap(({ name, shares }) => (shares === undefined ? [] : [shares, name])));
}

/**
 * The numbers of a weight, of the node itself or of the one that it shares with; undefined where it has no such weight.
 *
 * @throws RangeError in a graph of shapes only
 */
export function weightValues(node: GraphNode, role: string): Float32Array | undefined {
  const weight = node.weights[role];
  if (weight && !weight.values)
    throw new RangeError(`${node.name} must have values for its ${role}: this graph holds shapes only`);
  return weight?.values;
}

/** The shape of a tensor, sizes that are not known counted as 1. */
export function shapeOf(graph: Graph, tensor: string): number[] {
  return graph.tensors[tensor].shape.map((size) => size ?? 1);
}
