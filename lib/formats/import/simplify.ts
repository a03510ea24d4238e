// A network that was read operator by operator, in the layers that people build networks of: what is x · ReLU6(x + 3) / 6
// in a file is one hard swish, factors and offsets are batch normalisations or biases, and what nobody reads is gone. Then
// pruning finds its groups, and engines their patterns.
import {
  activationOf,
  consumersOf,
  type Graph,
  type GraphNode,
  type GraphWeight,
  producersOf,
} from "../../graph/index.ts";
import { clipping, stretched } from "./operators.ts";

/** A network that computes the same, in fewer and better known layers. */
export function simplified(graph: Graph): Graph {
  let now = withoutDead(graph);
  for (const pass of [joinClips, joinAffine, hardSigmoids, gates, joinAffine, biases, normalisations])
    now = pass(now);
  return now;
}

/** What a graph says of one node at a time, with changes that are put into it at the end. */
class Changes {
  readonly graph: Graph;
  readonly #producers: Map<string, GraphNode>;
  readonly #consumers: Map<string, GraphNode[]>;
  readonly #changed = new Map<string, GraphNode>();
  /** Tensors that another one takes the place of. */
  readonly #instead = new Map<string, string>();

  constructor(graph: Graph) {
    this.graph = graph;
    this.#producers = producersOf(graph);
    this.#consumers = consumersOf(graph);
  }

  shape(tensor: string): number[] {
    return this.graph.tensors[tensor].shape as number[];
  }

  /** A node as it is now. */
  now(node: GraphNode): GraphNode {
    return this.#changed.get(node.name) ?? node;
  }

  /** The tensor that a name stands for now. */
  at(tensor: string): string {
    let name = tensor;
    for (let next = this.#instead.get(name); next !== undefined; next = this.#instead.get(name)) name = next;
    return name;
  }

  producer(tensor: string): GraphNode | undefined {
    const node = this.#producers.get(this.at(tensor));
    return node && this.now(node);
  }

  /** Whether only one node reads a tensor, and the network does not give it out. */
  single(tensor: string): boolean {
    return this.#consumers.get(tensor)?.length === 1 && !this.graph.outputs.includes(tensor);
  }

  change(node: GraphNode): void {
    this.#changed.set(node.name, node);
  }

  /** From now on who reads `tensor` reads `other`. */
  replace(tensor: string, other: string): void {
    this.#instead.set(tensor, other);
  }

  finish(): Graph {
    const nodes = this.graph.nodes.map((node) => {
      const own = this.now(node);
      return { ...own, inputs: own.inputs.map((tensor) => this.at(tensor)) };
    });
    return withoutDead({
      ...this.graph,
      nodes,
      outputs: this.graph.outputs.map((tensor) => this.at(tensor)),
    });
  }
}

function withoutDead(graph: Graph): Graph {
  const live = new Set(graph.outputs);
  const nodes = graph.nodes.toReversed().filter((node) => {
    const needed = node.kind === "input" || node.outputs.some((tensor) => live.has(tensor));
    if (needed) for (const tensor of node.inputs) live.add(tensor);
    return needed;
  });
  const written = nodes.flatMap(({ outputs }) => outputs);
  return {
    ...graph,
    nodes: nodes.reverse(),
    tensors: Object.fromEntries(written.map((tensor) => [tensor, graph.tensors[tensor]])),
  };
}

const weightOf = ({ weights }: GraphNode, role: string) =>
  weights[role] as GraphWeight & { values: Float32Array };

/** The one factor and offset of an affine layer that has but one of each. */
function scalars(node: GraphNode | undefined): { factor: number; offset: number } | undefined {
  if (node?.kind !== "affine") return undefined;
  const [factor, offset] = ["factor", "offset"].map((role) => weightOf(node, role).values);
  return factor.length === 1 ? { factor: factor[0], offset: offset[0] } : undefined;
}

/** Two factors and offsets in a row become one. */
function joinAffine(graph: Graph): Graph {
  const changes = new Changes(graph);
  for (const original of graph.nodes) {
    const node = changes.now(original);
    if (node.kind !== "affine") continue;
    const before = changes.producer(node.inputs[0]);
    if (before?.kind !== "affine" || !changes.single(before.outputs[0])) continue;
    const [f, o] = ["factor", "offset"].map((role) => weightOf(node, role));
    const [f0, o0] = ["factor", "offset"].map((role) => weightOf(before, role));
    const shape = f.shape.map((size, axis) => Math.max(size, f0.shape[axis]));
    const large = (weight: typeof f) => stretched(weight, shape).values;
    const [a, c, a0, c0] = [f, o, f0, o0].map(large);
    const whole = changes.shape(node.outputs[0]);
    changes.change({
      ...node,
      inputs: before.inputs,
      attributes: {
        sharedAxes: shape.flatMap((size, axis) => (size === 1 && whole[axis] !== 1 ? [axis + 1] : [])),
      },
      weights: {
        factor: { shape, values: a.map((value, i) => value * a0[i]), trainable: true },
        offset: { shape, values: c.map((value, i) => value + a[i] * c0[i]), trainable: true },
      },
    });
  }
  return changes.finish();
}

/** The bounds between which a layer holds its numbers. */
function boundsOf(node: GraphNode | undefined): [min: number, max: number] | undefined {
  if (node?.kind === "clip") return [Number(node.attributes.min), Number(node.attributes.max)];
  if (node?.kind === "activation" && activationOf(node) === "relu") return [0, 3.4e38];
  if (isRelu6(node)) return [0, 6];
  return node?.kind === "reLU" ? [0, Number(node.attributes.maxValue ?? 3.4e38)] : undefined;
}

/** A bound below and one above become one layer. */
function joinClips(graph: Graph): Graph {
  const changes = new Changes(graph);
  for (const node of graph.nodes) {
    const outer = boundsOf(node);
    const before = outer && changes.producer(node.inputs[0]);
    const inner = boundsOf(before);
    if (!before || !outer || !inner || !changes.single(before.outputs[0])) continue;
    const min = Math.min(Math.max(inner[0], outer[0]), outer[1]);
    const max = Math.max(Math.min(inner[1], outer[1]), outer[0]);
    const layer = clipping(min, max);
    if (layer && min < max) changes.change({ ...node, ...layer, inputs: before.inputs });
  }
  return changes.finish();
}

const isNear = (a: number, b: number) => Math.abs(a - b) <= 1e-6 * Math.abs(b);

const isRelu6 = (node: GraphNode | undefined) =>
  (node?.kind === "activation" && activationOf(node) === "relu6") ||
  (node?.kind === "reLU" && node.attributes.maxValue === 6);

/** ReLU6(x + 3) / 6 is a hard sigmoid. */
function hardSigmoids(graph: Graph): Graph {
  const changes = new Changes(graph);
  for (const node of graph.nodes) {
    const last = scalars(node);
    if (!last || !isNear(last.factor, 1 / 6) || last.offset !== 0) continue;
    const relu = changes.producer(node.inputs[0]);
    const first = isRelu6(relu) ? changes.producer(relu!.inputs[0]) : undefined;
    const shift = scalars(first);
    if (!relu || !first || !shift || shift.factor !== 1 || shift.offset !== 3) continue;
    if (!changes.single(relu.outputs[0]) || !changes.single(first.outputs[0])) continue;
    changes.change({
      ...node,
      kind: "hardSigmoid",
      inputs: first.inputs,
      attributes: { alpha: 1 / 6, beta: 0.5 },
      weights: {},
    });
  }
  return changes.finish();
}

/** x · sigmoid(x) is swish; x times a hard sigmoid of x, or x · ReLU6(x + 3) before a division by 6, a hard swish. */
function gates(graph: Graph): Graph {
  const changes = new Changes(graph);
  const products = new Map<string, GraphNode>();
  for (const node of graph.nodes) {
    if (node.kind === "multiply" && node.inputs.length === 2) {
      for (const [x, gated] of [node.inputs, node.inputs.toReversed()]) {
        const gate = changes.producer(gated);
        if (!gate || !changes.single(gate.outputs[0])) continue;
        const common = { ...node, inputs: [x], weights: {} };
        if (gate.inputs[0] === x && gate.kind === "activation" && activationOf(gate) === "sigmoid")
          changes.change({ ...common, kind: "activation", attributes: { activation: "swish" } });
        else if (gate.inputs[0] === x && gate.kind === "hardSigmoid") {
          const { alpha, beta } = gate.attributes as Record<string, number>;
          if (isNear(alpha, 1 / 6) && beta === 0.5)
            changes.change({ ...common, kind: "hardSwish", attributes: {} });
        } else if (isRelu6(gate)) {
          const shift = changes.producer(gate.inputs[0]);
          const { factor, offset } = scalars(shift) ?? {};
          if (factor === 1 && offset === 3 && shift?.inputs[0] === x && changes.single(shift.outputs[0]))
            products.set(node.outputs[0], { ...common, kind: "hardSwish", attributes: {} });
        }
      }
    }
    const divided = scalars(node) && products.get(node.inputs[0]);
    const { factor = 0, offset = 1 } = scalars(node) ?? {};
    if (divided && isNear(factor, 1 / 6) && offset === 0 && changes.single(node.inputs[0]))
      changes.change({ ...node, kind: "hardSwish", inputs: divided.inputs, attributes: {}, weights: {} });
  }
  return changes.finish();
}

const withBias = ["conv2d", "depthwiseConv2d", "conv2dTranspose", "dense", "separableConv2d"];

/** Offsets behind a convolution or a dense layer become its bias. */
function biases(graph: Graph): Graph {
  const changes = new Changes(graph);
  for (const node of graph.nodes) {
    if (node.kind !== "affine" || weightOf(node, "factor").values.some((value) => value !== 1)) continue;
    const layer = changes.producer(node.inputs[0]);
    const offset = weightOf(node, "offset");
    const channels = changes.shape(node.outputs[0]).at(-1)!;
    const perChannel = offset.values.length === channels || offset.values.length === 1;
    if (!layer || !withBias.includes(layer.kind) || activationOf(layer) !== "linear") continue;
    if (!perChannel || offset.shape.slice(0, -1).some((size) => size !== 1)) continue;
    if (!changes.single(layer.outputs[0])) continue;
    const own = layer.weights.bias?.values;
    const values = Float32Array.from(
      { length: channels },
      (_, i) => (own?.[i] ?? 0) + offset.values[offset.values.length === 1 ? 0 : i],
    );
    changes.change({
      ...layer,
      attributes: { ...layer.attributes, useBias: true },
      weights: { ...layer.weights, bias: { shape: [channels], values, trainable: true } },
    });
    changes.replace(node.outputs[0], layer.outputs[0]);
  }
  return changes.finish();
}

/** A factor and an offset a channel are a batch normalisation; one of each before all layers are a rescaling. */
function normalisations(graph: Graph): Graph {
  const changes = new Changes(graph);
  for (const node of graph.nodes) {
    if (node.kind !== "affine") continue;
    const one = scalars(node);
    const before = changes.producer(node.inputs[0]);
    const shape = changes.shape(node.outputs[0]);
    const channels = shape.at(-1) ?? 1;
    if (one && (before?.kind === "input" || channels > 2 ** 16 || shape.length === 0)) {
      changes.change({
        ...node,
        kind: "rescaling",
        attributes: { scale: one.factor, offset: one.offset },
        weights: {},
      });
      continue;
    }
    const [factor, offset] = ["factor", "offset"].map((role) => weightOf(node, role));
    if (factor.shape.slice(0, -1).some((size) => size !== 1)) continue;
    const weight = (values: Float32Array, trainable: boolean): GraphWeight => ({
      shape: [channels],
      values: values.length === channels ? values : new Float32Array(channels).fill(values[0]),
      trainable,
    });
    changes.change({
      ...node,
      kind: "batchNormalization",
      attributes: { axis: -1, epsilon: 0, momentum: 0.99, center: true, scale: true },
      weights: {
        gamma: weight(factor.values, true),
        beta: weight(offset.values, true),
        movingMean: weight(new Float32Array(1), false),
        movingVariance: weight(Float32Array.of(1), false),
      },
    });
  }
  return changes.finish();
}
