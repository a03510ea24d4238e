// Between TensorFlow.js models and slimlab/graph, both ways; and the one walk of a model's own graph: other models made on
// the same layers do not count. Nested models are taken apart, their layers named by the way to them: "base/conv1".
import {
  checkGraph,
  findKind,
  type Graph,
  type GraphNode,
  type GraphTensor,
  type GraphWeight,
  kindNameOf,
} from "../graph/index.ts";
import { checkLength } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import "./own-layers.ts";
import { tf } from "./tf.ts";

type Layer = tf.layers.Layer;
type Call = { inputTensors: tf.SymbolicTensor[]; outputTensors: tf.SymbolicTensor[] };

/** A model's graph, and the layer behind each node of it. */
export interface Network {
  /** Shapes only: {@link graphOf} adds the values. */
  graph: Graph;
  layers: Map<string, Layer>;
}

/** What follows from a model's structure, found once for each model. */
export function keptFor<T>(find: (model: tf.LayersModel) => T): (model: tf.LayersModel) => T {
  const kept = new WeakMap<tf.LayersModel, { layers: number; found: T }>();
  return (model) => {
    let known = kept.get(model);
    // Layers may be added to a Sequential.
    if (known?.layers !== model.layers.length) {
      known = { layers: model.layers.length, found: find(model) };
      kept.set(model, known);
    }
    return known.found;
  };
}

/** The layers of a model by name, in its order; those of nested models in their place, and not the models themselves. */
export function layersOf(model: tf.LayersModel): Map<string, Layer> {
  const found = new Map<string, Layer>();
  const seen = new Set<Layer>();
  const visit = (container: tf.LayersModel, path: string): void => {
    for (const layer of container.layers) {
      const name = path + layer.name;
      if (layer instanceof tf.LayersModel) visit(layer, `${name}/`);
      else if (!seen.has(layer)) found.set(name, layer);
      seen.add(layer);
    }
  };
  visit(model, "");
  return found;
}

/** A layer by its name, also inside a nested model. */
export function layerNamed(model: tf.LayersModel, name: string): Layer {
  const layers = layersOf(model);
  const layer = layers.get(name);
  if (!layer)
    throw new RangeError(
      `${model.name} has no layer ${JSON.stringify(name)}; it has ${[...layers.keys()].join(", ")}`,
    );
  return layer;
}

/** The kind of a layer in the table; its class where no kind covers it. */
export function kindOf(layer: Layer): string {
  return kindNameOf(layer.getClassName()) ?? layer.getClassName();
}

/** A name of TensorFlow.js's weights and settings as the table of kinds has it: "recurrent_kernel" is "recurrentKernel". */
export function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** What each of a layer's weights is: "kernel", "recurrentKernel", in the order of `layer.weights`. */
export function weightRoles(layer: Layer): string[] {
  return layer.weights.map(({ originalName }) => {
    const start = originalName.lastIndexOf(`${layer.name}/`);
    const own =
      start < 0
        ? originalName.slice(originalName.lastIndexOf("/") + 1)
        : originalName.slice(start + layer.name.length + 1);
    return (
      camelCase(own)
        // The cells of a bidirectional layer, and stacked ones, have names of their own.
        .replace(/^(forward|backward)[^/]*\//, "$1/")
        .replace(/^RNNCell_?(\d+)\//, "cell$1/")
    );
  });
}

/**
 * A model as plain data, with copies of its weights.
 *
 * @returns a graph with a node for each call of a layer
 */
export function graphOf(model: tf.LayersModel): Graph {
  const { graph, layers } = networkOf(model);
  const nodes = graph.nodes.map((node): GraphNode => {
    const layer = layers.get(node.name)!;
    const entries = Object.entries(node.weights).map(([role, weight], i): [string, GraphWeight] => [
      role,
      { ...weight, values: Float32Array.from(layer.weights[i].read().dataSync()) },
    ]);
    return { ...node, weights: Object.fromEntries(entries) };
  });
  return { ...graph, nodes };
}

/** Throws for an input that nothing reads: TensorFlow.js leaves it out of what it saves, and what comes back takes fewer. */
export function checkInputsRead(model: tf.LayersModel): void {
  const { graph } = networkOf(model);
  const read = new Set([...graph.outputs, ...graph.nodes.flatMap(({ inputs }) => inputs)]);
  const unread = graph.inputs.find((tensor) => !read.has(tensor));
  if (unread !== undefined)
    throw new RangeError(`inputs of ${model.name} must all be read to be saved: nothing reads ${unread}`);
}

/** Walks a model from its outputs to its inputs. */
export function networkOf(model: tf.LayersModel): Network {
  const walk = new Walk(model);
  const outputs = model.outputs.map((tensor) => walk.visit(tensor));
  // An input that nothing reads is an input all the same.
  const inputs = model.inputs.map((tensor) => walk.visit(tensor));
  const { nodes, tensors, layers } = walk;
  return {
    graph: {
      name: model.name,
      nodes,
      tensors,
      inputs,
      outputs,
      ...(model instanceof tf.Sequential ? { sequential: true } : {}),
    },
    layers,
  };
}

/** One use of a model: what its inputs are there, and what has been visited of it. */
interface Frame {
  done: Map<tf.SymbolicTensor, string>;
  /** The calls of nested models inside it. */
  inner: Map<Call, Frame>;
}

class Walk {
  readonly nodes: GraphNode[] = [];
  readonly tensors: Record<string, GraphTensor> = {};
  readonly layers = new Map<string, Layer>();
  readonly #model: tf.LayersModel;
  readonly #names: Map<Layer, string>;
  readonly #calls = new Map<Layer, string[]>();
  readonly #top: Frame = { done: new Map(), inner: new Map() };

  constructor(model: tf.LayersModel) {
    this.#model = model;
    this.#names = new Map([...layersOf(model)].map(([name, layer]) => [layer, name]));
  }

  /** The name that a tensor of the model has in the graph. */
  visit(tensor: tf.SymbolicTensor, frame: Frame = this.#top): string {
    const known = frame.done.get(tensor);
    if (known !== undefined) return known;
    if (frame === this.#top && this.#model.inputs.includes(tensor)) return this.#input(tensor);
    const layer = tensor.sourceLayer;
    const call = (layer as unknown as { inboundNodes: Call[] }).inboundNodes[tensor.nodeIndex];
    if (layer instanceof tf.LayersModel) {
      const name = this.visit(layer.outputs[tensor.outputTensorIndex ?? 0], this.#enter(layer, call, frame));
      frame.done.set(tensor, name);
      return name;
    }
    this.#add(layer, call, frame);
    return frame.done.get(tensor)!;
  }

  #input(tensor: tf.SymbolicTensor): string {
    const layer = tensor.sourceLayer;
    // A Sequential makes its own input, whose name says nothing.
    const implied = this.#model instanceof tf.Sequential && !this.#names.has(layer);
    const name = implied && !this.layers.has("input") ? "input" : (this.#names.get(layer) ?? layer.name);
    this.#put(name, layer, [], [tensor], this.#top);
    return name;
  }

  /** The use of a nested model that a call of it is; its inputs are what the call gives it. */
  #enter(model: tf.LayersModel, call: Call, frame: Frame): Frame {
    let inner = frame.inner.get(call);
    if (!inner) {
      const given = call.inputTensors.map((tensor) => this.visit(tensor, frame));
      inner = { done: new Map(model.inputs.map((tensor, i) => [tensor, given[i]])), inner: new Map() };
      frame.inner.set(call, inner);
    }
    return inner;
  }

  #add(layer: Layer, call: Call, frame: Frame): void {
    const inputs = call.inputTensors.map((tensor) => this.visit(tensor, frame));
    const earlier = this.#calls.get(layer) ?? [];
    this.#calls.set(layer, earlier);
    const own = this.#names.get(layer) ?? layer.name;
    const name = earlier.length === 0 ? own : `${own}#${earlier.length + 1}`;
    earlier.push(name);
    this.#put(name, layer, inputs, call.outputTensors, frame, earlier.length > 1 ? earlier[0] : undefined);
  }

  #put(
    name: string,
    layer: Layer,
    inputs: string[],
    outputs: tf.SymbolicTensor[],
    frame: Frame,
    shares?: string,
  ): void {
    const written = outputs.map((tensor, i) => {
      const key = i === 0 ? name : `${name}:${i}`;
      this.tensors[key] = { shape: tensor.shape.slice(1), dtype: tensor.dtype };
      frame.done.set(tensor, key);
      return key;
    });
    const kind = kindOf(layer);
    const { name: _, batchInputShape: __, ...attributes } = layer.getConfig();
    const roles = weightRoles(layer);
    const weights = layer.weights.map((weight, i): [string, GraphWeight] => [
      roles[i],
      { shape: weight.shape as number[], trainable: weight.trainable },
    ]);
    this.layers.set(name, layer);
    this.nodes.push({
      name,
      kind,
      inputs,
      outputs: written,
      attributes,
      weights: Object.fromEntries(weights),
      ...(shares === undefined ? {} : { shares }),
    });
  }
}

/**
 * A model that runs, from a graph with values.
 *
 * @throws RangeError for a graph that is not sound, a kind that TensorFlow.js has no class for, or weights without values
 */
export function modelOf(graph: Graph): tf.LayersModel {
  checkGraph(graph);
  const giveBack = variablesFromNow();
  try {
    return builtOf(graph);
  } catch (error) {
    giveBack();
    throw error;
  }
}

/** What gives back the variables that are made from now on: a model that is refused half-way keeps its own for ever. */
export function variablesFromNow(): () => void {
  const before = new Set(Object.keys(tf.engine().registeredVariables));
  return () => {
    for (const [name, variable] of Object.entries(tf.engine().registeredVariables))
      if (!before.has(name)) variable.dispose();
  };
}

function builtOf(graph: Graph): tf.LayersModel {
  const layers = new Map<string, Layer>();
  for (const node of graph.nodes)
    if (node.kind !== "input") layers.set(node.name, layers.get(node.shares ?? "") ?? layerOf(node));
  const model = connect(graph, layers);
  for (const node of graph.nodes)
    if (node.shares === undefined && node.kind !== "input") fill(layers.get(node.name)!, node);
  return model;
}

/** Runs a graph's layers on symbolic tensors. */
export function connect(graph: Graph, layers: Map<string, Layer>): tf.LayersModel {
  if (graph.sequential) {
    const [input, ...rest] = graph.nodes;
    const chain = rest.map(({ name }) => layers.get(name)!);
    if (chain[0])
      (chain[0] as Layer & { batchInputShape?: tf.Shape }).batchInputShape ??= batched(
        graph,
        input.outputs[0],
      );
    return tf.sequential({ name: graph.name, layers: chain });
  }
  const made = new Map<string, tf.SymbolicTensor>();
  for (const { name, kind, inputs, outputs } of graph.nodes) {
    const given = inputs.map((tensor) => made.get(tensor)!);
    const dtype = graph.tensors[outputs[0]].dtype as tf.DataType | undefined;
    const result =
      kind === "input"
        ? tf.input({ batchShape: batched(graph, outputs[0]), name, dtype })
        : (layers.get(name)!.apply(given.length === 1 ? given[0] : given) as
            | tf.SymbolicTensor
            | tf.SymbolicTensor[]);
    for (const [i, tensor] of [result].flat().entries()) made.set(outputs[i], tensor);
  }
  const at = (tensors: readonly string[]) => tensors.map((tensor) => made.get(tensor)!);
  return tf.model({ name: graph.name, inputs: at(graph.inputs), outputs: at(graph.outputs) });
}

const batched = (graph: Graph, tensor: string): tf.Shape => [null, ...graph.tensors[tensor].shape];

function layerOf({ name, kind, attributes }: GraphNode): Layer {
  const className = findKind(kind)?.tfjs ?? kind;
  const classes = tf.serialization.SerializationMap.getMap().classNameMap;
  if (!Object.hasOwn(classes, className))
    throw new RangeError(
      `kind of ${name} must be one that TensorFlow.js has a class for, got ${JSON.stringify(kind)}`,
    );
  const [type, fromConfig] = classes[className];
  return fromConfig(type, { ...attributes, name } as tf.serialization.ConfigDict) as Layer;
}

function fill(layer: Layer, node: GraphNode): void {
  const given = Object.entries(node.weights);
  checkLength(`weights of ${node.name}`, given, layer.weights.length);
  if (given.length === 0) return;
  const roles = weightRoles(layer);
  tf.tidy(() => {
    layer.setWeights(
      layer.weights.map(({ shape }, i) => {
        const values = node.weights[roles[i]]?.values;
        if (!values)
          throw new RangeError(
            `${node.name} must have values for its ${roles[i]}: this graph holds shapes only`,
          );
        checkLength(`${roles[i]} of ${node.name}`, values, elements(shape as number[]));
        return tf.tensor(values, shape as number[], "float32");
      }),
    );
  });
}
