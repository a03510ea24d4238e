// §1.1 A network's layers as what their cost depends on, and what it costs.
import { costOf as analyse, type LayerShape, type ModelCost } from "../analysis/index.ts";
import { elements } from "../util/shape.ts";
import { type Graph, producersOf } from "./graph.ts";
import type { Kind } from "./kind.ts";
import { findKind, viewOf } from "./kinds.ts";

/**
 * The layers of a network in an order in which it can be computed, for `costOf` of slimlab/analysis. An input counts as a
 * layer, since its memory does. A layer that is called again costs its work again, and its parameters once. A layer of
 * no known kind, or of a size that is not known, has `macs: null`.
 */
export function layerShapesOf(graph: Graph): LayerShape[] {
  const producers = producersOf(graph);
  return graph.nodes.map((node) => {
    const view = viewOf(graph, node);
    const kind = findKind(node.kind);
    const kernels = Object.entries(view.weights).filter(([role]) => kind?.weight(view, role)?.kernel);
    const sized = [...node.inputs, ...node.outputs].every(
      (tensor) => !graph.tensors[tensor].shape.includes(null),
    );
    const own = node.shares === undefined;
    const total = own ? Object.values(view.weights).reduce((sum, shape) => sum + elements(shape), 0) : 0;
    const kernelShape = own && kernels.length === 1 ? kernels[0][1] : undefined;
    return {
      name: node.name,
      kind: shapeKindOf(node.kind, kind),
      outputShape: view.output,
      ...(kernelShape ? { kernelShape } : {}),
      otherParameters: total - (kernelShape ? elements(kernelShape) : 0),
      inputs: node.inputs.map((tensor) => producers.get(tensor)!.name),
      // What the network gives out must not be written over.
      inPlace: (kind?.inPlace ?? false) && !node.inputs.some((tensor) => graph.outputs.includes(tensor)),
      macs: sized ? (kind?.macs(view) ?? null) : null,
    };
  });
}

/** The word that a hand-written shape uses. */
function shapeKindOf(name: string, kind: Kind | undefined): LayerShape["kind"] {
  if (name === "input") return "input";
  if (name === "dense" || name === "conv2d" || name === "depthwiseConv2d") return name;
  return /pool/i.test(kind?.tfjs ?? "") ? "pool" : "other";
}

/** What a network costs for one example (§1.1); `uncounted` names the layers whose work is not known. */
export function costOf(graph: Graph, options: Parameters<typeof analyse>[1] = {}): ModelCost {
  return analyse(layerShapesOf(graph), options);
}
