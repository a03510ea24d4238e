// A network as an ONNX model, for onnxruntime, TensorRT and the other engines that read it.
//
// ONNX has channels first: an image is turned once at the input, kernels when they are written, and what a dense layer
// reads is turned back, so that a file takes the same input as the network it was made of. Quantized networks are written
// with pairs of QuantizeLinear and DequantizeLinear around what is to run in integers, which engines fuse.
import { activationOf, checkGraph, type Graph, type GraphNode } from "../../graph/index.ts";
import { checkOneOf } from "../../util/check.ts";
import { byteGrids, checkFourBits, checkNodes, checkSmallKernels } from "../network.ts";
import { activations, emitters } from "./layers.ts";
import { Maker, type OnnxOptions, onnxTargets, onnxWeights } from "./maker.ts";
import { encodeOnnx, type OnnxModel } from "./model.ts";

/**
 * A network as an ONNX model: the data of the file.
 *
 * @param graph with values, channels last; batch normalisations that are folded first make a faster file
 * @throws RangeError that names all the layers which ONNX cannot be written of here, or a grid that the target does not take
 */
export function onnxModelOf(graph: Graph, options: OnnxOptions = {}): OnnxModel {
  checkGraph(graph);
  checkOneOf("target", options.target ?? "ort", onnxTargets);
  if (options.weights) checkOneOf("weights", options.weights, onnxWeights);
  checkSmallKernels(options);
  checkOptions(graph, options);
  const missing = graph.nodes.filter((node) => !emitters[node.kind] || refusal(node) !== undefined);
  if (missing.length > 0)
    throw new RangeError(
      `${graph.name} cannot be written as ONNX: ${missing.map((node) => `${node.name} (${refusal(node) ?? node.kind})`).join(", ")}`,
    );
  const make = new Maker(graph, options);
  for (const node of graph.nodes) make.node(node, emitters[node.kind]);
  return make.model();
}

/** {@link onnxModelOf} as the bytes of an .onnx file. */
export function encodeGraphAsOnnx(graph: Graph, options: OnnxOptions = {}): Uint8Array<ArrayBuffer> {
  return encodeOnnx(onnxModelOf(graph, options));
}

function checkOptions(graph: Graph, options: OnnxOptions): void {
  const { quantized = {}, activations, target = "ort" } = options;
  checkFourBits(options);
  checkNodes(graph, quantized, activations);
  for (const [name, { bits, signed }] of Object.entries(quantized))
    if (bits > 8 || (target === "tensorrt" && !signed))
      throw new RangeError(
        `kernel of ${name} has ${bits} bits, ${signed ? "" : "un"}signed: ONNX takes at most 8, TensorRT signed`,
      );
  for (const [name, { zeroPoint, low, high }] of byteGrids(activations))
    if (target === "tensorrt" && (zeroPoint !== 0 || low >= 0))
      throw new RangeError(
        `activations of ${name} must be symmetric and signed for TensorRT, got codes from ${low} to ${high} with zero point ${zeroPoint}: calibrate with { scheme: "symmetric", signed: true }`,
      );
}

/** Why a node of a known kind cannot be written. */
function refusal({ kind, attributes, outputs }: GraphNode): string | undefined {
  if (attributes.dataFormat === "channelsFirst") return `${kind} with channels first`;
  if (outputs.length > 1) return `${kind} with ${outputs.length} outputs`;
  const activation = activationOf({ attributes });
  if (!activations[activation]) return `activation ${activation}`;
  return undefined;
}

/** The kinds of layers that can be written. */
export const onnxKinds: readonly string[] = Object.keys(emitters);
