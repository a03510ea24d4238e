// Scaling as part of a network: given once, it is stored with the model, whatever the format.
import { perChannel, type Scaling } from "../datasets/index.ts";
import type { Graph, GraphNode, GraphWeight } from "../graph/index.ts";
import { checkOneOf } from "../util/check.ts";
import { graphOf, modelOf } from "./graph.ts";
import type { tf } from "./tf.ts";

/**
 * A model that does itself what its inputs need, (value − mean) / deviation: a layer in front, which every file format takes
 * along. Samples for it come without `scaling`.
 *
 * @param model stays as it is
 * @param options `input`: the name of the input, of a model with several
 * @throws RangeError for an input that the model does not have, and a scaling that does not fit its channels
 */
export function withScaling(
  model: tf.LayersModel,
  scaling: Scaling,
  { input }: { input?: string } = {},
): tf.LayersModel {
  const graph = graphOf(model);
  const inputs = graph.nodes.filter(({ kind }) => kind === "input");
  const names = inputs.map(({ name }) => name);
  const wanted = input ?? (names.length === 1 ? names[0] : "");
  checkOneOf("input", wanted, names);
  const [from] = inputs[names.indexOf(wanted)].outputs;
  return modelOf(scaled(graph, from, scaling));
}

function scaled(graph: Graph, from: string, scaling: Scaling): Graph {
  const { shape } = graph.tensors[from];
  const channels = shape.at(-1) ?? 1;
  const { mean, deviation } = perChannel(scaling, channels);
  const weight = (values: number[]): GraphWeight => ({
    shape: shape.map((_, axis) => (axis === shape.length - 1 ? channels : 1)),
    values: Float32Array.from(values),
    trainable: false,
  });
  const names = new Set(graph.nodes.map(({ name }) => name));
  let name = "scaling";
  while (names.has(name)) name += "_";
  const to = `${name}:out`;
  const layer: GraphNode = {
    name,
    kind: "affine",
    inputs: [from],
    outputs: [to],
    attributes: { sharedAxes: shape.slice(1).map((_, axis) => axis + 1), trainable: false },
    weights: {
      factor: weight(deviation.map((d) => 1 / d)),
      offset: weight(deviation.map((d, c) => -mean[c] / d)),
    },
  };
  const nodes = graph.nodes.flatMap((node) => {
    const reads = { ...node, inputs: node.inputs.map((tensor) => (tensor === from ? to : tensor)) };
    return node.outputs.includes(from) ? [node, layer] : [reads];
  });
  return { ...graph, nodes, tensors: { ...graph.tensors, [to]: graph.tensors[from] } };
}
