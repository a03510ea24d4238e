// What a TFLite model is made with: values of the network by their places in the file, operators, constants, kernels and
// biases in the form that was asked for.
import { type Graph, type GraphNode, shapeOf, weightValues } from "../../graph/index.ts";
import { pack, type Quantized, quantize } from "../../quantization/index.ts";
import { toHalves } from "../../util/half.ts";
import {
  type ActivationGrid,
  type ActivationGrids,
  gridAfter,
  permuted,
  type SmallKernels,
  staysFloat,
  storedAs,
} from "../network.ts";
import {
  type Sparsity,
  type TfliteField,
  type TfliteModel,
  type TfliteOp,
  type TfliteOperator,
  type TfliteTensor,
  type TfliteType,
  widthOf,
} from "./model.ts";

/**
 * How kernels are stored: `int8` without activations is what TFLite calls dynamic-range quantization, and `int4` the same with
 * four bits, but for depthwise kernels, which LiteRT multiplies in 8 bits alone.
 */
export const tfliteWeights = ["float32", "float16", "int8", "int4"] as const;
export type TfliteWeights = (typeof tfliteWeights)[number];

export interface TfliteOptions extends SmallKernels {
  /** Default `float32`; `int8` where activations or quantized kernels are given. */
  weights?: TfliteWeights;
  /** Kernels that are quantized already, symmetric and to at most 8 bits, by node: their codes and scales are kept. */
  quantized?: Record<string, Quantized>;
  /**
   * Kernels of floats, 32 or 16 bits, of which so much is 0 that it takes less: only what is not 0 is stored, and a DENSIFY
   * operator makes a kernel dense again when the file is loaded. Not for 8 and 4 bits, which LiteRT's kernels for processors
   * (XNNPACK) refuse behind DENSIFY.
   */
  sparse?: boolean;
  /** As for ONNX: grids of 8 bits for the input and for what layers give out. */
  activations?: ActivationGrids;
}

/** A value of the network in the file: the place of its tensor, and its grid in int8. */
export interface Value {
  tensor: number;
  shape: readonly number[];
  grid?: { scale: number; zeroPoint: number };
}

export type Emit = (node: GraphNode, make: Maker) => Value;

/** Versions of operators in floats, with 8-bit kernels alone, and in integers; 1 where it is not said. */
export const versions: Partial<Record<TfliteOp, readonly [float: number, hybrid: number, integers: number]>> =
  {
    CONV_2D: [1, 5, 3],
    DEPTHWISE_CONV_2D: [2, 4, 3],
    FULLY_CONNECTED: [1, 3, 4],
    MAX_POOL_2D: [1, 1, 2],
    AVERAGE_POOL_2D: [1, 1, 2],
    ADD: [1, 1, 2],
    MUL: [1, 1, 2],
    CONCATENATION: [1, 1, 2],
    PAD: [1, 1, 2],
    MEAN: [1, 1, 2],
    DEQUANTIZE: [3, 1, 2],
    TRANSPOSE_CONV: [3, 3, 3],
  };

export class Maker {
  readonly graph: Graph;
  readonly #options: TfliteOptions;
  readonly #tensors: TfliteTensor[] = [];
  readonly #operators: TfliteOperator[] = [];
  readonly #values = new Map<string, Value>();
  readonly #constants = new Map<string, number>();
  readonly #floats = new Map<number, Value>();
  readonly #grids = new Map<string, ActivationGrid>();
  readonly #weights: TfliteWeights;

  constructor(graph: Graph, options: TfliteOptions) {
    this.graph = graph;
    this.#options = options;
    this.#weights = storedAs(options);
  }

  node(node: GraphNode, emit: Emit): void {
    const [tensor] = node.outputs;
    const grid = gridAfter(this.graph, node, this.#options.activations, this.#grids);
    if (grid) this.#grids.set(tensor, grid);
    let value = emit(node, this);
    // A layer that could not run in integers gives floats, which then go onto its grid.
    if (grid && !value.grid) value = this.#requantized(value, int8Grid(grid));
    this.#values.set(tensor, value);
  }

  input(node: GraphNode, index = 0): Value {
    return this.#values.get(node.inputs[index])!;
  }

  /** An input as floats. */
  floats(node: GraphNode, index = 0): Value {
    return this.#asFloats(this.input(node, index));
  }

  #asFloats(value: Value): Value {
    if (!value.grid) return value;
    let known = this.#floats.get(value.tensor);
    if (!known) {
      known = this.value(`${this.#tensors[value.tensor].name}/floats`, value.shape);
      this.operator("DEQUANTIZE", [value.tensor], [known.tensor], {}, 2);
      this.#floats.set(value.tensor, known);
    }
    return known;
  }

  #requantized(value: Value, grid: NonNullable<Value["grid"]>): Value {
    const result = this.value(`${this.#tensors[value.tensor].name}/codes`, value.shape, grid);
    this.operator("QUANTIZE", [value.tensor], [result.tensor], {}, value.grid ? 2 : 1);
    return result;
  }

  /** Inputs on the grid of the output, as concatenation wants them. */
  onGrid(value: Value, grid: NonNullable<Value["grid"]>): Value {
    const same = value.grid && value.grid.scale === grid.scale && value.grid.zeroPoint === grid.zeroPoint;
    return same ? value : this.#requantized(value, grid);
  }

  /** The grid of a node's output, where the node can run in integers: all that it reads has a grid, too. */
  integerGrid(node: GraphNode): Value["grid"] {
    const grid = this.#grids.get(node.outputs[0]);
    return grid && node.inputs.every((_, i) => this.input(node, i).grid) ? int8Grid(grid) : undefined;
  }

  shape(node: GraphNode, index = 0): number[] {
    return shapeOf(this.graph, node.inputs[index]);
  }

  output(node: GraphNode): number[] {
    return shapeOf(this.graph, node.outputs[0]);
  }

  /** A tensor that flows; its batch is 1. */
  value(name: string, shape: readonly number[], grid?: Value["grid"]): Value {
    this.#tensors.push({
      name,
      type: grid ? "INT8" : "FLOAT32",
      shape: [1, ...shape],
      ...(grid && { scale: [grid.scale], zeroPoint: [grid.zeroPoint] }),
    });
    return { tensor: this.#tensors.length - 1, shape, grid };
  }

  constant(
    name: string,
    type: TfliteType,
    shape: readonly number[],
    values: ArrayBufferView,
    more: Pick<TfliteTensor, "scale" | "axis" | "sparsity"> = {},
  ): number {
    const known = this.#constants.get(name);
    if (known !== undefined) return known;
    const bytes = new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
    this.#tensors.push({ name, type, shape, bytes, ...more });
    this.#constants.set(name, this.#tensors.length - 1);
    return this.#tensors.length - 1;
  }

  integers(name: string, values: readonly number[], shape: readonly number[] = [values.length]): number {
    return this.constant(name, "INT32", shape, Int32Array.from(values));
  }

  operator(
    op: TfliteOp,
    inputs: number[],
    outputs: number[],
    options: Record<number, TfliteField> = {},
    version = 1,
  ): void {
    this.#operators.push({ op, version, inputs, outputs, options });
  }

  /** An operator with one output of the node's shape, on the grid that is given. */
  op(
    op: TfliteOp,
    node: GraphNode,
    inputs: number[],
    options: Record<number, TfliteField> = {},
    grid?: Value["grid"],
    hybrid = false,
  ): Value {
    const result = this.value(
      `${node.name}/${op.toLowerCase()}_${this.#tensors.length}`,
      this.output(node),
      grid,
    );
    const version = versions[op]?.[grid ? 2 : hybrid ? 1 : 0] ?? 1;
    this.operator(op, inputs, [result.tensor], options, version);
    return result;
  }

  /** A kernel with its axes in TFLite's order; in integers with one scale along `axis`. */
  kernel(
    node: GraphNode,
    role: string,
    order: readonly number[],
    axis: number,
    reshape: (shape: number[]) => number[] = (s) => s,
  ): { tensor: number; scale?: Float32Array; hybrid: boolean } {
    const values = weightValues(node, role)!;
    const own = [...node.weights[role].shape];
    const shape = reshape(order.map((from) => own[from]));
    const name = `${node.shares ?? node.name}/${role}`;
    const given = this.#options.quantized?.[node.shares ?? node.name];
    const isInteger = this.#weights === "int8" || this.#weights === "int4";
    if (this.#weights === "float32" || (isInteger && !given && staysFloat(values, this.#options)))
      return { tensor: this.#floatKernel(name, shape, permuted(values, own, order)), hybrid: false };
    if (this.#weights === "float16") {
      const half = this.#floatKernel(`${name}/half`, shape, toHalves(permuted(values, own, order)));
      this.#tensors.push({ name, type: "FLOAT32", shape });
      const tensor = this.#tensors.length - 1;
      this.operator("DEQUANTIZE", [half], [tensor], {}, 3);
      return { tensor, hybrid: false };
    }
    const bits = this.#weights === "int4" && role !== "depthwiseKernel" ? 4 : 8;
    const q = given
      ? { codes: permuted(given.codes as Int8Array, own, order), scale: scalesFor(given, node, shape[axis]) }
      : quantize(permuted(values, own, order), { bits, shape, axis });
    const [type, codes] =
      bits === 4 ? (["INT4", pack(q.codes, 4)] as const) : (["INT8", Int8Array.from(q.codes)] as const);
    return {
      tensor: this.constant(name, type, shape, codes, { scale: q.scale, axis }),
      scale: q.scale,
      hybrid: true,
    };
  }

  /** A kernel of floats, or of halves as their bits: only what is not 0, where that is wanted and takes less. */
  #floatKernel(name: string, shape: number[], values: Float32Array | Uint16Array): number {
    const type = values instanceof Float32Array ? "FLOAT32" : "FLOAT16";
    const sparse = this.#options.sparse ? compressedRows(values, shape.at(-1)!) : undefined;
    if (!sparse) return this.constant(name, type, shape, values);
    const known = this.#constants.get(name);
    if (known !== undefined) return known;
    const kept = this.constant(`${name}/kept`, type, shape, sparse.values, { sparsity: sparse.sparsity });
    this.#tensors.push({ name, type, shape });
    const tensor = this.#tensors.length - 1;
    this.operator("DENSIFY", [kept], [tensor]);
    this.#constants.set(name, tensor);
    return tensor;
  }

  /** A bias, in integers where the layer is. */
  bias(node: GraphNode, count: number, grid: Value["grid"], scale: Float32Array | undefined): number {
    const values = weightValues(node, "bias") ?? new Float32Array(count);
    const name = `${node.shares ?? node.name}/bias`;
    const from = this.input(node).grid;
    if (!grid || !from || !scale) return this.constant(name, "FLOAT32", [count], Float32Array.from(values));
    const steps = scale.map((s) => s * from.scale);
    // A channel with hardly any weights may have a step so small that its bias does not fit: it is as good as constant.
    const codes = Int32Array.from(values, (value, i) =>
      Math.max(-(2 ** 31), Math.min(2 ** 31 - 1, Math.round(value / steps[i]))),
    );
    return this.constant(`${node.name}/bias/codes`, "INT32", [count], codes, { scale: steps, axis: 0 });
  }

  model(): TfliteModel {
    const outputs = this.graph.outputs.map((tensor) => this.#asFloats(this.#values.get(tensor)!).tensor);
    const inputs = this.graph.inputs.map((tensor) => this.#tensors.findIndex(({ name }) => name === tensor));
    return {
      description: "slimlab",
      name: this.graph.name,
      tensors: this.#tensors,
      operators: this.#operators,
      inputs,
      outputs,
    };
  }
}

/** Rows without what is 0 (a half's 0 has two signs); undefined where that takes more than it saves. */
function compressedRows(
  values: Float32Array | Uint16Array,
  width: number,
): { values: Float32Array | Uint16Array; sparsity: Sparsity } | undefined {
  const isHalf = values instanceof Uint16Array;
  const isKept = (value: number) => (isHalf ? (value & 0x7fff) !== 0 : value !== 0);
  let count = 0;
  for (const value of values) if (isKept(value)) count++;
  const rows = values.length / width;
  const taken = count * (values.BYTES_PER_ELEMENT + widthOf(width - 1)) + (rows + 1) * widthOf(count);
  if (!(taken < values.byteLength)) return undefined;
  const kept = isHalf ? new Uint16Array(count) : new Float32Array(count);
  const indices = new Uint32Array(count);
  const starts = new Uint32Array(rows + 1);
  for (let i = 0, next = 0; i < values.length; i++) {
    if (isKept(values[i])) {
      kept[next] = values[i];
      indices[next++] = i % width;
    }
    starts[Math.floor(i / width) + 1] = next;
  }
  return { values: kept, sparsity: { starts, indices } };
}

/** A grid in codes from −128 to 127, which TFLite has alone. */
function int8Grid({ scale, zeroPoint, low }: ActivationGrid): { scale: number; zeroPoint: number } {
  return { scale, zeroPoint: low < 0 ? zeroPoint : zeroPoint - 128 };
}

/** One scale for each output; a depthwise kernel's filters share that of their channel. */
function scalesFor({ scale, axis }: Quantized, node: GraphNode, count: number): Float32Array {
  if (axis === undefined) return new Float32Array(count).fill(scale[0]);
  const repeat = count / scale.length;
  if (!Number.isInteger(repeat))
    throw new RangeError(
      `kernel of ${node.name} with scales along axis ${axis} cannot be written: TFLite wants them along the outputs`,
    );
  return Float32Array.from({ length: count }, (_, i) => scale[Math.floor(i / repeat)]);
}
