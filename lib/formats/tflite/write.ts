// A network as a TFLite model, for LiteRT on phones, in browsers and on microcontrollers.
//
// TFLite has our layout, channels last, and its own order of a kernel's axes. Where activations have grids a layer runs in
// integers: 8-bit codes in and out, 32-bit biases on the grid of the products. Where they have none it runs in floats, with
// its codes turned back before it, so that a file always holds the whole network. What goes in and comes out are floats.
import { activationOf, checkGraph, type Graph, type GraphNode } from "../../graph/index.ts";
import { checkOneOf } from "../../util/check.ts";
import { byteGrids, checkFourBits, checkNodes, checkSmallKernels, storedAs } from "../network.ts";
import { activations, emitters } from "./layers.ts";
import { Maker, type TfliteOptions, tfliteWeights } from "./maker.ts";
import { encodeTflite, type TfliteModel } from "./model.ts";

/**
 * A network as a TFLite model: the data of the file. Its batch is one example.
 *
 * @param graph with values, channels last; batch normalisations that are folded first make a faster file
 * @throws RangeError that names all the layers which TFLite cannot be written of here, or a grid that does not fit
 */
export function tfliteModelOf(graph: Graph, options: TfliteOptions = {}): TfliteModel {
  checkGraph(graph);
  if (options.weights) checkOneOf("weights", options.weights, tfliteWeights);
  checkSmallKernels(options);
  checkOptions(graph, options);
  checkFourBits(options);
  const weights = storedAs(options);
  if (options.sparse && !weights.startsWith("float"))
    throw new RangeError(
      `sparse kernels must have weights float32 or float16, got ${weights}: LiteRT refuses others behind DENSIFY`,
    );
  const missing = graph.nodes.flatMap((node) => {
    const why = refusal(graph, node);
    return why ? [`${node.name} (${why})`] : [];
  });
  if (missing.length > 0)
    throw new RangeError(`${graph.name} cannot be written as TFLite: ${missing.join(", ")}`);
  const make = new Maker(graph, options);
  for (const node of graph.nodes) make.node(node, emitters[node.kind]);
  return make.model();
}

/** {@link tfliteModelOf} as the bytes of a .tflite file. */
export function encodeGraphAsTflite(graph: Graph, options: TfliteOptions = {}): Uint8Array<ArrayBuffer> {
  return encodeTflite(tfliteModelOf(graph, options));
}

function checkOptions(graph: Graph, { quantized = {}, activations }: TfliteOptions): void {
  checkNodes(graph, quantized, activations);
  for (const [name, { bits, scheme, signed }] of Object.entries(quantized))
    if (bits > 8 || scheme !== "symmetric" || !signed)
      throw new RangeError(
        `kernel of ${name} must be symmetric, signed and of at most 8 bits, got ${bits} bits, ${scheme}`,
      );
  byteGrids(activations);
}

function refusal(graph: Graph, node: GraphNode): string | undefined {
  if (!emitters[node.kind]) return node.kind;
  if (node.attributes.dataFormat === "channelsFirst") return `${node.kind} with channels first`;
  if (node.outputs.some((tensor) => graph.tensors[tensor].shape.includes(null)))
    return `${node.kind} of no fixed size`;
  const activation = activationOf(node);
  if (!Object.hasOwn(activations, activation)) return `activation ${activation}`;
  return undefined;
}

/** The kinds of layers that can be written. */
export const tfliteKinds: readonly string[] = Object.keys(emitters);
