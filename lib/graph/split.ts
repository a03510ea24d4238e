// Activations that are part of a layer as layers of their own: where a network runs in integers, what goes into a sigmoid
// needs a grid as much as what comes out of it.
import type { Graph, GraphNode, GraphTensor } from "./graph.ts";
import { activationOf, hasSoftmax } from "./kinds.ts";
import { isSumOfProducts } from "./questions.ts";

/** What is clipped while sums become codes, at no cost. */
const clipped = ["linear", "relu", "relu6"];

/**
 * Gives each activation of a dense or convolutional layer a layer of its own, "conv_swish" behind "conv"; ReLU and ReLU6,
 * which are no more than a limit, and softmax stay where they are. The network computes the same.
 *
 * @param graph with or without values; it stays as it is
 */
export function splitActivations(graph: Graph): Graph {
  const names = new Set(graph.nodes.map(({ name }) => name));
  const tensors: Record<string, GraphTensor> = { ...graph.tensors };
  const nodes = graph.nodes.flatMap((node): GraphNode[] => {
    const activation = activationOf(node);
    if (!isSumOfProducts(node) || clipped.includes(activation) || hasSoftmax(node)) return [node];
    const unused = (wanted: string): string => (names.has(wanted) ? unused(`${wanted}_`) : wanted);
    const name = unused(`${node.name}_${activation}`.replaceAll("#", "_"));
    names.add(name);
    const [output] = node.outputs;
    const linear = `${name}:in`;
    tensors[linear] = tensors[output];
    return [
      { ...node, outputs: [linear], attributes: { ...node.attributes, activation: "linear" } },
      {
        name,
        kind: "activation",
        inputs: [linear],
        outputs: [output],
        attributes: { activation },
        weights: {},
      },
    ];
  });
  return { ...graph, nodes, tensors };
}
