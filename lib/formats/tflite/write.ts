// A network as a TFLite model, for LiteRT on phones, in browsers and on microcontrollers.
//
// TFLite has our layout, channels last, and its own order of a kernel's axes. Where activations have grids a layer runs in
// integers: 8-bit codes in and out, 32-bit biases on the grid of the products. Where they have none it runs in floats, with
// its codes turned back before it, so that a file always holds the whole network. What goes in and comes out are floats.
import {
  activationOf,
  checkGraph,
  type Graph,
  type GraphNode,
  normalisationOf,
  pairOf,
  shapeOf,
  weightValues,
} from "../../graph/index.ts";
import { pack, type Quantized, quantize } from "../../quantization/index.ts";
import { checkOneOf } from "../../util/check.ts";
import { toHalves } from "../../util/half.ts";
import {
  type ActivationGrid,
  type ActivationGrids,
  byteGrids,
  checkNodes,
  checkSmallKernels,
  gridAfter,
  permuted,
  type SmallKernels,
  staysFloat,
} from "../network.ts";
import {
  encodeTflite,
  type Sparsity,
  type TfliteField,
  type TfliteModel,
  type TfliteOp,
  type TfliteOperator,
  type TfliteTensor,
  type TfliteType,
  widthOf,
} from "./model.ts";
import { ownEmitters } from "./own-layers.ts";

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
  if (options.weights === "int4" && (options.activations || options.quantized))
    throw new RangeError(
      "weights int4 are chosen here, for activations in floats: give neither grids nor codes",
    );
  const weights = options.weights ?? (options.activations || options.quantized ? "int8" : "float32");
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
  for (const node of graph.nodes) make.node(node);
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

/** Versions of operators in floats, with 8-bit kernels alone, and in integers; 1 where it is not said. */
const versions: Partial<Record<TfliteOp, readonly [float: number, hybrid: number, integers: number]>> = {
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

/** Fused activations by their number in the file. */
const fused: Record<string, number> = { linear: 0, relu: 1, relu6: 3 };

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
    this.#weights = options.weights ?? (options.activations || options.quantized ? "int8" : "float32");
  }

  node(node: GraphNode): void {
    const [tensor] = node.outputs;
    const grid = gridAfter(this.graph, node, this.#options.activations, this.#grids);
    if (grid) this.#grids.set(tensor, grid);
    let value = emitters[node.kind](node, this);
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

type Activation = (node: GraphNode, make: Maker, value: Value) => Value;

const simple =
  (op: TfliteOp): Activation =>
  (node, make, { tensor }) =>
    make.op(op, node, [tensor]);

/** Activations that are operators of their own, on floats. */
const activations: Record<string, Activation> = {
  linear: (_, __, value) => value,
  relu: simple("RELU"),
  relu6: simple("RELU6"),
  sigmoid: simple("LOGISTIC"),
  tanh: simple("TANH"),
  elu: simple("ELU"),
  swish: (node, make, value) =>
    make.op("MUL", node, [value.tensor, make.op("LOGISTIC", node, [value.tensor]).tensor], {
      0: { byte: 0 },
    }),
  softmax: (node, make, { tensor }) => make.op("SOFTMAX", node, [tensor], { 0: { float: 1 } }),
};

const paddingOf = (node: GraphNode): TfliteField => ({ byte: node.attributes.padding === "same" ? 0 : 1 });

/** A layer with a kernel: in integers, with an 8-bit kernel on floats, or in floats. */
function weighted(
  op: "CONV_2D" | "DEPTHWISE_CONV_2D" | "FULLY_CONNECTED",
  role: string,
  order: readonly number[],
  axis: number,
  optionsOf: (node: GraphNode, make: Maker, activation: number) => Record<number, TfliteField>,
  reshape?: (shape: number[]) => number[],
): Emit {
  return (node, make) => {
    const activation = activationOf(node);
    const isFused = Object.hasOwn(fused, activation);
    const grid = isFused ? make.integerGrid(node) : undefined;
    const kernel = make.kernel(node, role, order, axis, reshape);
    const integers = grid && kernel.scale ? grid : undefined;
    const count = make.output(node).at(-1)!;
    const bias = make.bias(node, count, integers, kernel.scale);
    const input = integers ? make.input(node) : make.floats(node);
    const options = optionsOf(node, make, isFused ? fused[activation] : 0);
    const value = make.op(op, node, [input.tensor, kernel.tensor, bias], options, integers, kernel.hybrid);
    return isFused ? value : activations[activation](node, make, value);
  };
}

const conv2d = weighted("CONV_2D", "kernel", [3, 0, 1, 2], 0, (node, _, activation) => {
  const [high, wide] = pairOf(node.attributes.strides);
  const [down, across] = pairOf(node.attributes.dilationRate);
  return {
    0: paddingOf(node),
    1: { int: wide },
    2: { int: high },
    3: { byte: activation },
    4: { int: across },
    5: { int: down },
  };
});

const depthwiseConv2d = weighted(
  "DEPTHWISE_CONV_2D",
  "depthwiseKernel",
  [0, 1, 2, 3],
  3,
  (node, make, activation) => {
    const [high, wide] = pairOf(node.attributes.strides);
    const [down, across] = pairOf(node.attributes.dilationRate);
    const multiplier = make.output(node).at(-1)! / make.shape(node).at(-1)!;
    return {
      0: paddingOf(node),
      1: { int: wide },
      2: { int: high },
      3: { int: multiplier },
      4: { byte: activation },
      5: { int: across },
      6: { int: down },
    };
  },
  ([h, w, c, m]) => [1, h, w, c * m],
);

// Inputs with more axes keep them.
const dense = weighted("FULLY_CONNECTED", "kernel", [1, 0], 0, (node, make, activation) => ({
  0: { byte: activation },
  2: { byte: make.shape(node).length > 1 ? 1 : 0 },
}));

const separableConv2d: Emit = (node, make) => {
  const [high, wide] = pairOf(node.attributes.strides);
  const depthwise = make.kernel(node, "depthwiseKernel", [0, 1, 2, 3], 3, ([h, w, c, m]) => [1, h, w, c * m]);
  const pointwise = make.kernel(node, "pointwiseKernel", [3, 0, 1, 2], 0);
  const inner = node.weights.pointwiseKernel.shape[2];
  const [rows, columns] = make.output(node);
  const middle = make.value(`${node.name}/depthwise`, [rows, columns, inner]);
  const none = make.constant(`${node.name}/none`, "FLOAT32", [inner], new Float32Array(inner));
  const options = {
    0: paddingOf(node),
    1: { int: wide },
    2: { int: high },
    3: { int: inner / make.shape(node).at(-1)! },
    5: { int: 1 },
    6: { int: 1 },
  };
  const version = (op: "CONV_2D" | "DEPTHWISE_CONV_2D", hybrid: boolean) => versions[op]![hybrid ? 1 : 0];
  make.operator(
    "DEPTHWISE_CONV_2D",
    [make.floats(node).tensor, depthwise.tensor, none],
    [middle.tensor],
    options,
    version("DEPTHWISE_CONV_2D", depthwise.hybrid),
  );
  const bias = make.bias(node, make.output(node).at(-1)!, undefined, undefined);
  const ones = { 0: { byte: 1 }, 1: { int: 1 }, 2: { int: 1 }, 4: { int: 1 }, 5: { int: 1 } };
  const value = make.op(
    "CONV_2D",
    node,
    [middle.tensor, pointwise.tensor, bias],
    ones,
    undefined,
    pointwise.hybrid,
  );
  return activations[activationOf(node)](node, make, value);
};

const conv2dTranspose: Emit = (node, make) => {
  const [high, wide] = pairOf(node.attributes.strides);
  const shape = [...node.weights.kernel.shape];
  // Its kernel is written in floats: engines have no 8-bit kernels on floats for it.
  const turned = permuted(weightValues(node, "kernel")!, shape, [2, 0, 1, 3]);
  const kernel = make.constant(
    `${node.name}/kernel`,
    "FLOAT32",
    [2, 0, 1, 3].map((axis) => shape[axis]),
    turned,
  );
  const size = make.integers(`${node.name}/size`, [1, ...make.output(node)]);
  const bias = make.bias(node, make.output(node).at(-1)!, undefined, undefined);
  const value = make.op("TRANSPOSE_CONV", node, [size, kernel, make.floats(node).tensor, bias], {
    0: paddingOf(node),
    1: { int: wide },
    2: { int: high },
  });
  return activations[activationOf(node)](node, make, value);
};

const pool =
  (op: "MAX_POOL_2D" | "AVERAGE_POOL_2D"): Emit =>
  (node, make) => {
    const window = pairOf(node.attributes.poolSize, 2);
    const [high, wide] = pairOf(node.attributes.strides ?? window);
    const options = {
      0: paddingOf(node),
      1: { int: wide },
      2: { int: high },
      3: { int: window[1] },
      4: { int: window[0] },
    };
    const value = make.input(node);
    return make.op(op, node, [value.tensor], options, value.grid);
  };

const globalPool =
  (op: "MEAN" | "REDUCE_MAX"): Emit =>
  (node, make) => {
    const value = op === "MEAN" ? make.input(node) : make.floats(node);
    return make.op(op, node, [value.tensor, make.integers("axes of images", [1, 2])], {}, value.grid);
  };

/** Element-wise operators of two inputs, one after the other. */
const merge =
  (op: TfliteOp, integers: boolean): Emit =>
  (node, make) => {
    const grid = integers && node.inputs.length === 2 ? make.integerGrid(node) : undefined;
    const inputs = node.inputs.map((_, i) => (grid ? make.input(node, i) : make.floats(node, i)));
    return inputs.reduce((sum, next) =>
      make.op(
        op,
        node,
        [sum.tensor, next.tensor],
        op === "ADD" || op === "MUL" ? { 0: { byte: 0 } } : {},
        grid,
      ),
    );
  };

const same: Emit = (node, make) => make.input(node);

const reshape: Emit = (node, make) => {
  const value = make.input(node);
  const shape = [-1, ...make.output(node)];
  return make.op(
    "RESHAPE",
    node,
    [value.tensor, make.integers(`${node.name}/shape`, shape)],
    { 0: { ints: shape } },
    value.grid,
  );
};

/** A factor and an offset a channel, as two operators. */
function affine(node: GraphNode, make: Maker, factor: Float32Array, offset: Float32Array): Value {
  const scaled = make.op(
    "MUL",
    node,
    [make.floats(node).tensor, make.constant(`${node.name}/factor`, "FLOAT32", [factor.length], factor)],
    { 0: { byte: 0 } },
  );
  return make.op(
    "ADD",
    node,
    [scaled.tensor, make.constant(`${node.name}/offset`, "FLOAT32", [offset.length], offset)],
    { 0: { byte: 0 } },
  );
}

const emitters: Record<string, Emit> = {
  input: (node, make) => make.value(node.outputs[0], make.output(node)),
  dense,
  conv2d,
  conv2dTranspose,
  depthwiseConv2d,
  separableConv2d,
  batchNormalization: (node, make) => {
    const size = node.weights.movingMean.shape[0];
    if (size !== make.output(node).at(-1))
      throw new RangeError(
        `${node.name}: batch normalisation along another axis than the last cannot be written as TFLite`,
      );
    const { factors, mean, beta } = normalisationOf(node, size);
    const factor = Float32Array.from(factors);
    return affine(
      node,
      make,
      factor,
      factor.map((f, i) => beta[i] - mean[i] * f),
    );
  },
  activation: (node, make) => {
    const activation = activationOf(node);
    const value = make.input(node);
    // ReLU on codes keeps their grid.
    if (value.grid && activation === "relu" && make.integerGrid(node))
      return make.op("RELU", node, [value.tensor], {}, value.grid);
    return activations[activation](node, make, make.floats(node));
  },
  reLU: (node, make) => {
    const top = (node.attributes.maxValue as number | null | undefined) ?? null;
    if (top !== null && top !== 6)
      return ownEmitters.clip({ ...node, attributes: { min: 0, max: top } }, make);
    return make.op(top === null ? "RELU" : "RELU6", node, [make.floats(node).tensor]);
  },
  leakyReLU: (node, make) =>
    make.op("LEAKY_RELU", node, [make.floats(node).tensor], {
      0: { float: Number(node.attributes.alpha ?? 0.3) },
    }),
  softmax: (node, make) => make.op("SOFTMAX", node, [make.floats(node).tensor], { 0: { float: 1 } }),
  maxPooling2d: pool("MAX_POOL_2D"),
  averagePooling2d: pool("AVERAGE_POOL_2D"),
  globalMaxPooling2d: globalPool("REDUCE_MAX"),
  globalAveragePooling2d: globalPool("MEAN"),
  add: merge("ADD", true),
  multiply: merge("MUL", true),
  maximum: merge("MAXIMUM", false),
  minimum: merge("MINIMUM", false),
  average: (node, make) => {
    const sum = merge("ADD", false)(node, make);
    const share = make.constant(
      `${node.name}/share`,
      "FLOAT32",
      [1],
      Float32Array.of(1 / node.inputs.length),
    );
    return make.op("MUL", node, [sum.tensor, share], { 0: { byte: 0 } });
  },
  concatenate: (node, make) => {
    const grid = make.integerGrid(node);
    const rank = make.output(node).length;
    const axis = Number(node.attributes.axis ?? -1);
    const inputs = node.inputs.map(
      (_, i) => (grid ? make.onGrid(make.input(node, i), grid) : make.floats(node, i)).tensor,
    );
    return make.op("CONCATENATION", node, inputs, { 0: { int: axis < 0 ? axis + rank + 1 : axis } }, grid);
  },
  dropout: same,
  spatialDropout1d: same,
  alphaDropout: same,
  gaussianDropout: same,
  gaussianNoise: same,
  flatten: reshape,
  reshape,
  ...ownEmitters,
  zeroPadding2d: (node, make) => {
    const [[top, bottom], [left, right]] = (node.attributes.padding ?? [
      [1, 1],
      [1, 1],
    ]) as [[number, number], [number, number]];
    const value = make.input(node);
    const pads = make.integers(`${node.name}/pads`, [0, 0, top, bottom, left, right, 0, 0], [4, 2]);
    return make.op("PAD", node, [value.tensor, pads], {}, value.grid);
  },
  upSampling2d: (node, make) => {
    const nearest = (node.attributes.interpolation ?? "nearest") === "nearest";
    const size = make.integers(`${node.name}/size`, make.output(node).slice(0, 2));
    return make.op(nearest ? "RESIZE_NEAREST_NEIGHBOR" : "RESIZE_BILINEAR", node, [
      make.floats(node).tensor,
      size,
    ]);
  },
  rescaling: (node, make) =>
    affine(
      node,
      make,
      Float32Array.of(Number(node.attributes.scale ?? 1)),
      Float32Array.of(Number(node.attributes.offset ?? 0)),
    ),
};

/** The kinds of layers that can be written. */
export const tfliteKinds: readonly string[] = Object.keys(emitters);
