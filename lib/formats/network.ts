// What the writers of networks share, whatever the format: kernels and activations that are quantized already, and axes in
// another order.
import { findKind, type Graph, type GraphNode, kernelPlaces, viewOf } from "../graph/index.ts";
import { fewWeights, type Quantized } from "../quantization/index.ts";
import { checkInteger, shown } from "../util/check.ts";
import { elements } from "../util/shape.ts";

/** What writers of 8-bit and 4-bit kernels may be told of small ones. */
export interface SmallKernels {
  /**
   * Kernels of fewer weights stay floats, but for those whose codes are given, and but for networks whose activations are
   * quantized, too, and which run in integers throughout; default 1,024, as in TFLite's converter. 0 for none.
   */
  keepFloatBelow?: number;
}

/** Throws a RangeError unless the limit is a whole number. */
export const checkSmallKernels = ({ keepFloatBelow = fewWeights }: SmallKernels) =>
  checkInteger("keepFloatBelow", keepFloatBelow, 0);

/** What a writer of kernels is told. */
interface StoredKernels<Weights> {
  weights?: Weights;
  quantized?: Record<string, Quantized>;
  activations?: ActivationGrids;
}

/** How kernels are stored where nobody says: in integers where codes or grids are given. */
export function storedAs<Weights>({
  weights,
  quantized,
  activations,
}: StoredKernels<Weights>): Weights | "int8" | "float32" {
  return weights ?? (activations || quantized ? "int8" : "float32");
}

/** Throws a RangeError where codes or grids are given beside kernels of 4 bits. */
export function checkFourBits({ weights, quantized, activations }: StoredKernels<string>): void {
  if (weights === "int4" && (activations || quantized))
    throw new RangeError(
      "weights int4 are chosen here, for activations in floats: give neither grids nor codes",
    );
}

/** Whether a kernel without codes of its own stays floats. */
export function staysFloat(
  weights: ArrayLike<number>,
  { keepFloatBelow = fewWeights, activations }: SmallKernels & { activations?: ActivationGrids },
): boolean {
  return !activations && weights.length < keepFloatBelow;
}

/** The kernels of a network that stay floats in a file with 8-bit or 4-bit kernels, by name. */
export function smallKernels(
  graph: Graph,
  options: SmallKernels & { quantized?: Record<string, Quantized>; activations?: ActivationGrids },
): string[] {
  return graph.nodes
    .filter(({ name, shares }) => shares === undefined && !options.quantized?.[name])
    .flatMap((node) =>
      kernelPlaces(viewOf(graph, node))
        .filter(({ role }) => staysFloat({ length: elements(node.weights[role].shape) }, options))
        .map(({ name }) => name),
    );
}

/** A fixed-point grid of activations: code q stands for scale · (q − zeroPoint). */
export interface ActivationGrid {
  kind: string;
  scale: number;
  zeroPoint: number;
  low: number;
  high: number;
}

/**
 * Grids of 8 bits for the input and for what layers give out, by node, as `calibrateActivations` of slimlab/nn makes them. A
 * layer that hands on the levels of its input (pooling, flattening) keeps its grid.
 */
export interface ActivationGrids {
  input?: ActivationGrid;
  inputs?: Record<string, ActivationGrid>;
  layers: Record<string, ActivationGrid>;
}

/** Throws a RangeError unless kernels and grids are given for nodes that are there. */
export function checkNodes(
  graph: Graph,
  quantized: Record<string, Quantized>,
  activations: ActivationGrids | undefined,
): void {
  const names = new Set(graph.nodes.map(({ name }) => name));
  for (const name of [...Object.keys(quantized), ...Object.keys(activations?.layers ?? {})])
    if (!names.has(name)) throw new RangeError(`${graph.name} has no layer ${shown(name)}`);
}

/** All grids by name, that of the input last; throws a RangeError for one that is not of 8 bits. */
export function byteGrids(activations: ActivationGrids | undefined): [name: string, grid: ActivationGrid][] {
  const grids = Object.entries(activations?.layers ?? {});
  grids.push(...Object.entries(activations?.inputs ?? {}));
  if (activations?.input) grids.push(["input", activations.input]);
  for (const [name, { kind, low, high }] of grids)
    if (kind !== "fixed" || high - low > 255 || high - low < 254 || low < -128 || high > 255)
      throw new RangeError(
        `activations of ${name} must be fixed point of 8 bits, got ${kind} from ${low} to ${high}`,
      );
  return grids;
}

/** The grid of what a node gives out: its own, or that of what it reads where it hands on its levels. */
export function gridAfter(
  graph: Graph,
  node: GraphNode,
  activations: ActivationGrids | undefined,
  known: ReadonlyMap<string, ActivationGrid>,
): ActivationGrid | undefined {
  const own =
    node.kind === "input"
      ? (activations?.inputs?.[node.name] ?? activations?.input)
      : activations?.layers[node.name];
  if (own) return own;
  return findKind(node.kind)!.grid(viewOf(graph, node)) === "new" ? undefined : known.get(node.inputs[0]);
}

/** Values whose axes are put into another order. */
export function permuted<T extends Float32Array | Int8Array | Uint8Array | Int16Array | Uint16Array>(
  values: T,
  shape: readonly number[],
  order: readonly number[],
): T {
  const strides = shape.map((_, axis) => elements(shape.slice(axis + 1)));
  const turned = values.slice() as T;
  const place = new Array(order.length).fill(0);
  let from = 0;
  for (let at = 0; at < turned.length; at++) {
    turned[at] = values[from];
    for (let axis = order.length - 1; axis >= 0; axis--) {
      from += strides[order[axis]];
      if (++place[axis] < shape[order[axis]]) break;
      from -= place[axis] * strides[order[axis]];
      place[axis] = 0;
    }
  }
  return turned;
}
