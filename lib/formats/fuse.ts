// A network as engines run it: batch normalisations inside the layers before them, ReLUs as part of these.
import {
  activationOf,
  consumersOf,
  findKind,
  foldBatchNorms,
  type Graph,
  type GraphNode,
  hasSoftmax,
  sharedNodes,
  splitActivations,
  viewOf,
} from "../graph/index.ts";

const withActivation = ["dense", "conv2d", "depthwiseConv2d", "separableConv2d", "conv2dTranspose"];

/** The ReLU that a layer is, undefined where it is none that layers have as an activation of their own. */
function reluOf(node: GraphNode): "relu" | "relu6" | undefined {
  if (node.kind === "activation") {
    const activation = activationOf(node);
    return activation === "relu" || activation === "relu6" ? activation : undefined;
  }
  if (node.kind !== "reLU") return undefined;
  const { maxValue = null, negativeSlope = 0, threshold = 0 } = node.attributes;
  if (negativeSlope || threshold) return undefined;
  return maxValue === null ? "relu" : maxValue === 6 ? "relu6" : undefined;
}

/**
 * Makes ReLUs part of the dense and convolutional layers whose outputs only they read. The network computes the same, and
 * what the layer gives out is what the ReLU gave.
 */
export function fuseActivations(graph: Graph): Graph {
  const consumers = consumersOf(graph);
  const shared = sharedNodes(graph);
  const fused = new Map<string, GraphNode>();
  for (const node of graph.nodes) {
    const readers = consumers.get(node.outputs[0]) ?? [];
    const fits =
      withActivation.includes(node.kind) &&
      activationOf(node) === "linear" &&
      readers.length === 1 &&
      reluOf(readers[0]) !== undefined &&
      !graph.outputs.includes(node.outputs[0]) &&
      !shared.has(node.name) &&
      !shared.has(readers[0].name);
    if (fits) fused.set(node.name, readers[0]);
  }
  const gone = new Map([...fused.values()].map((relu) => [relu.outputs[0], relu.inputs[0]]));
  const reads = (tensor: string) => gone.get(tensor) ?? tensor;
  const relus = new Set(fused.values());
  const nodes = graph.nodes
    .filter((node) => !relus.has(node))
    .map((node) => {
      const relu = fused.get(node.name);
      const attributes = relu ? { ...node.attributes, activation: reluOf(relu) } : node.attributes;
      return { ...node, attributes, inputs: node.inputs.map(reads) };
    });
  return { ...graph, nodes, outputs: graph.outputs.map(reads) };
}

/**
 * A network made ready for an engine: batch normalisations folded, ReLUs fused. Names of the layers that stay stay.
 *
 * @param graph with values; it stays as it is
 */
export function readyForEngine(graph: Graph): Graph {
  return fuseActivations(foldBatchNorms(graph).graph);
}

/**
 * A network made ready for an engine that runs it in integers: ReLUs fused, and every other activation of a dense or
 * convolutional layer a layer of its own, so that the layer's sums have a grid, too. It computes the same.
 */
export function readyForIntegers(graph: Graph): Graph {
  return splitActivations(fuseActivations(graph));
}

/**
 * The layers whose outputs need a grid of their own where a network is to run in integers: all that do not hand on the
 * levels of what they read, but for a softmax and for what the network gives out.
 */
export function layersWithGrids(graph: Graph): string[] {
  return graph.nodes
    .filter((node) => {
      const view = viewOf(graph, node);
      return (
        node.kind !== "input" &&
        findKind(node.kind)?.grid(view) === "new" &&
        !hasSoftmax(view) &&
        !node.outputs.some((tensor) => graph.outputs.includes(tensor))
      );
    })
    .map(({ name }) => name);
}
