// Batch normalisation folded into the layer before it: at inference it is one factor and one offset a channel, which the
// layer's own weights and bias can take over (Jacob et al. 2018, §3.2). Engines run networks so.
import { elements } from "../util/shape.ts";
import {
  consumersOf,
  type Graph,
  type GraphNode,
  type GraphWeight,
  producersOf,
  sharedNodes,
  weightValues,
} from "./graph.ts";
import { channelsLast, findKind, outputAxesOf, viewOf } from "./kinds.ts";
import { canTakeNorm, isSumOfProducts } from "./questions.ts";

/** What {@link foldBatchNorms} made. */
export interface Folded {
  graph: Graph;
  /** Each batch normalisation that is gone, with the layer that has taken it over. */
  folded: { norm: string; into: string }[];
  /** Those that stay, and why. */
  kept: { norm: string; why: string }[];
}

/**
 * Folds each batch normalisation into the dense or convolutional layer before it, where that has no activation, nothing
 * else reads its outputs, and it is used once. The network computes the same but for rounding.
 *
 * @param graph with values; it stays as it is
 */
export function foldBatchNorms(graph: Graph): Folded {
  const producers = producersOf(graph);
  const consumers = consumersOf(graph);
  const shared = sharedNodes(graph);
  const kept: Folded["kept"] = [];
  const into = new Map<string, GraphNode>();
  for (const norm of graph.nodes.filter(({ kind }) => kind === "batchNormalization")) {
    const [tensor] = norm.inputs;
    const layer = producers.get(tensor)!;
    const why = (): string | undefined => {
      if (!isSumOfProducts(layer)) return `${layer.name} before it is no dense or convolutional layer`;
      if (!canTakeNorm(layer)) return `${layer.name} before it has an activation`;
      if (shared.has(layer.name) || shared.has(norm.name)) return "it, or the layer before it, is used twice";
      if (consumers.get(tensor)!.length > 1 || graph.outputs.includes(tensor))
        return `${layer.name} is read by others too`;
      if (!channelsLast(layer) || findKind(norm.kind)!.flow(viewOf(graph, norm)) !== "pass")
        return "its axis is not the last";
      return undefined;
    };
    const reason = why();
    if (reason) kept.push({ norm: norm.name, why: reason });
    else into.set(layer.name, norm);
  }
  const gone = new Set([...into.values()].map(({ name }) => name));
  const nodes = graph.nodes
    .filter(({ name }) => !gone.has(name))
    .map((node) => (into.has(node.name) ? merged(graph, node, into.get(node.name)!) : node));
  return {
    graph: { ...graph, nodes },
    folded: [...into].map(([layer, { name }]) => ({ norm: name, into: layer })),
    kept,
  };
}

/**
 * What a batch normalisation does at inference: (x − mean) · factor + beta for each channel.
 *
 * @throws RangeError in a graph of shapes only
 */
export function normalisationOf(
  norm: GraphNode,
  channels: number,
): { factors: Float64Array; mean: ArrayLike<number>; beta: ArrayLike<number> } {
  const values = (role: string, otherwise: number): ArrayLike<number> =>
    weightValues(norm, role) ?? new Float64Array(channels).fill(otherwise);
  const gamma = values("gamma", 1);
  const variance = values("movingVariance", 1);
  const epsilon = Number(norm.attributes.epsilon ?? 1e-3);
  const factors = Float64Array.from(
    { length: channels },
    (_, c) => gamma[c] / Math.sqrt(variance[c] + epsilon),
  );
  return { factors, mean: values("movingMean", 0), beta: values("beta", 0) };
}

/** A layer that does what a batch normalisation after it did. */
function merged(graph: Graph, layer: GraphNode, norm: GraphNode): GraphNode {
  const view = viewOf(graph, layer);
  const channels = view.output[view.output.length - 1];
  const { factors, mean, beta } = normalisationOf(norm, channels);
  const before = weightValues(layer, "bias") ?? new Float64Array(channels);
  const bias = Float32Array.from(
    { length: channels },
    (_, c) => (before[c] - mean[c]) * factors[c] + beta[c],
  );
  const kind = findKind(layer.kind)!;
  const weights: Record<string, GraphWeight> = {};
  for (const [role, weight] of Object.entries(layer.weights)) {
    const meaning = kind.weight(view, role);
    // Of a separable convolution only the second kernel makes outgoing channels.
    const scales = meaning?.kernel && (meaning.axes.includes("out") || kind.product === "depthwise");
    weights[role] = scales
      ? scaled(weight, outputAxesOf(meaning), factors, weightValues(layer, role)!)
      : weight;
  }
  weights.bias = { shape: [channels], values: bias, trainable: true };
  return { ...layer, outputs: norm.outputs, attributes: { ...layer.attributes, useBias: true }, weights };
}

/** A kernel times one factor for each outgoing channel, whose axes are next to one another. */
function scaled(
  weight: GraphWeight,
  axes: number[],
  factors: Float64Array,
  values: ArrayLike<number>,
): GraphWeight {
  const inner = elements(weight.shape.slice(axes[axes.length - 1] + 1));
  return {
    ...weight,
    values: Float32Array.from(values, (value, i) => value * factors[Math.floor(i / inner) % factors.length]),
  };
}
