// A network as an ONNX model, for onnxruntime, TensorRT and the other engines that read it.
//
// ONNX has channels first: an image is turned once at the input, kernels when they are written, and what a dense layer
// reads is turned back, so that a file takes the same input as the network it was made of. Quantized networks are written
// with pairs of QuantizeLinear and DequantizeLinear around what is to run in integers, which engines fuse.
import {
  activationOf,
  checkGraph,
  type Graph,
  type GraphNode,
  pairOf,
  samePadding,
  shapeOf,
  weightValues,
} from "../../graph/index.ts";
import { type Quantized, quantize } from "../../quantization/index.ts";
import { checkOneOf } from "../../util/check.ts";
import { toHalves } from "../../util/half.ts";
import { elements } from "../../util/shape.ts";
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
import { dequantizeBlocks, dequantizeChannels } from "./blocks.ts";
import {
  encodeOnnx,
  type OnnxAttribute,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
  type OnnxType,
} from "./model.ts";
import { ownEmitters } from "./own-layers.ts";

/** How kernels are stored; `int4`: those of dense layers in groups of 32 inputs, of convolutions with one scale a channel. */
export const onnxWeights = ["float32", "float16", "int8", "int4"] as const;
export type OnnxWeights = (typeof onnxWeights)[number];

/**
 * The engine that is to run a file whose activations are quantized. `ort` (onnxruntime) runs convolutions in integers
 * where activations are 8-bit affine codes and biases 32-bit ones; `tensorrt` asks for signed codes around 0 and float biases.
 */
export const onnxTargets = ["ort", "tensorrt"] as const;
export type OnnxTarget = (typeof onnxTargets)[number];

export interface OnnxOptions extends SmallKernels {
  /** Default `float32`; `int8` where activations or quantized kernels are given. */
  weights?: OnnxWeights;
  /** Kernels that are quantized already, to at most 8 bits, by node: their codes and scales are kept. */
  quantized?: Record<string, Quantized>;
  /** Grids of 8 bits for the input and for what layers give out. */
  activations?: ActivationGrids;
  /** Default `ort`. */
  target?: OnnxTarget;
}

/** The value of a graph's tensor in the file: images are there with channels first. */
export interface Value {
  name: string;
  image: boolean;
}

export type Emit = (node: GraphNode, make: Maker) => Value;

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
  for (const node of graph.nodes) make.node(node);
  return make.model();
}

/** {@link onnxModelOf} as the bytes of an .onnx file. */
export function encodeGraphAsOnnx(graph: Graph, options: OnnxOptions = {}): Uint8Array<ArrayBuffer> {
  return encodeOnnx(onnxModelOf(graph, options));
}

function checkOptions(graph: Graph, options: OnnxOptions): void {
  const { quantized = {}, activations, target = "ort", weights } = options;
  if (weights === "int4" && (activations || options.quantized))
    throw new RangeError(
      "weights int4 are chosen here, for activations in floats: give neither grids nor codes",
    );
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

export class Maker {
  readonly graph: Graph;
  readonly #options: OnnxOptions;
  readonly #nodes: OnnxNode[] = [];
  readonly #initializers = new Map<string, OnnxTensor>();
  readonly #values = new Map<string, Value>();
  readonly #grids = new Map<string, ActivationGrid>();
  readonly #target: OnnxTarget;
  readonly #integers: boolean;
  #counter = 0;

  constructor(graph: Graph, options: OnnxOptions) {
    this.graph = graph;
    this.#options = options;
    this.#target = options.target ?? "ort";
    this.#integers =
      options.weights === "int8" ||
      (options.weights === undefined &&
        (options.activations !== undefined || options.quantized !== undefined));
  }

  /** Writes one node, with the grid of what it gives out. */
  node(node: GraphNode): void {
    const [tensor] = node.outputs;
    let value = emitters[node.kind](node, this);
    const grid = gridAfter(this.graph, node, this.#options.activations, this.#grids);
    if (grid) {
      value = { ...value, name: this.#throughGrid(value.name, grid) };
      this.#grids.set(tensor, grid);
    }
    this.#values.set(tensor, value);
  }

  /** A node's input, images with channels first. */
  input(node: GraphNode, index = 0): Value {
    return this.#values.get(node.inputs[index])!;
  }

  shape(node: GraphNode, index = 0): number[] {
    return shapeOf(this.graph, node.inputs[index]);
  }

  /** A value with channels last, as the network has it. */
  plain(value: Value): string {
    return value.image ? this.op("Transpose", [value.name], { perm: [0, 2, 3, 1] }) : value.name;
  }

  /** A value with channels last as other nodes expect it. */
  placed(name: string, shape: readonly number[]): Value {
    if (shape.length !== 3) return { name, image: false };
    return { name: this.op("Transpose", [name], { perm: [0, 3, 1, 2] }), image: true };
  }

  /** Adds an operator; returns the name of its output. */
  op(op: string, inputs: string[], attributes: Record<string, OnnxAttribute> = {}): string {
    const output = `${op}_${this.#counter++}`;
    this.#nodes.push({ op, domain: "", name: output, inputs, outputs: [output], attributes });
    return output;
  }

  /** A constant. */
  constant(
    name: string,
    type: OnnxType,
    shape: readonly number[],
    values: { buffer: ArrayBufferLike; byteOffset: number; byteLength: number },
  ): string {
    const bytes = new Uint8Array(values.buffer as ArrayBuffer, values.byteOffset, values.byteLength);
    this.#initializers.set(name, { name, type, shape, bytes });
    return name;
  }

  floats(
    name: string,
    values: readonly number[] | Float32Array,
    shape: readonly number[] = [values.length],
  ): string {
    return this.constant(name, "FLOAT", shape, Float32Array.from(values));
  }

  integers(name: string, values: readonly number[]): string {
    return this.constant(name, "INT64", [values.length], BigInt64Array.from(values.map(BigInt)));
  }

  /** A list of sizes behind the batch that a value has. */
  dynamicBatch(value: string, sizes: readonly number[], name: string): string {
    const batch = this.op("Slice", [
      this.op("Shape", [value]),
      this.integers("zero", [0]),
      this.integers("one", [1]),
    ]);
    return this.op("Concat", [batch, this.integers(`${name}/sizes`, sizes)], { axis: 0 });
  }

  /**
   * A kernel, with its axes in the order that ONNX wants; the first of them is that of the outputs. In integers it has one
   * scale for each of these.
   */
  kernel(
    node: GraphNode,
    role: string,
    order: readonly number[],
    reshape: (shape: number[]) => number[] = (s) => s,
  ): { name: string; scales?: Float32Array } {
    const values = weightValues(node, role)!;
    const own = [...node.weights[role].shape];
    const shape = reshape(order.map((axis) => own[axis]));
    const name = `${node.shares ?? node.name}/${role}`;
    const given = this.#options.quantized?.[node.shares ?? node.name];
    const small = !given && staysFloat(values, this.#options);
    if (this.#options.weights === "int4" && !small)
      return { name: this.#nibbles(name, permuted(values, own, order), shape) };
    if (!this.#integers || small) {
      const turned = permuted(values, own, order);
      if (this.#options.weights !== "float16") return { name: this.floats(name, turned, shape) };
      if (!this.#initializers.has(`${name}/half`))
        this.constant(`${name}/half`, "FLOAT16", shape, toHalves(turned));
      return { name: this.op("Cast", [`${name}/half`], { to: 1 }) };
    }
    const q = given
      ? turnedCodes(given, own, order, shape)
      : quantize(permuted(values, own, order), { bits: 8, shape, axis: 0 });
    const type = q.signed ? "INT8" : "UINT8";
    const codes = q.signed ? Int8Array.from(q.codes) : Uint8Array.from(q.codes);
    const scales = q.scale.length === shape[0] ? q.scale : new Float32Array(shape[0]).fill(q.scale[0]);
    const zeros = Array.from({ length: shape[0] }, (_, i) => q.zeroPoint[q.zeroPoint.length === 1 ? 0 : i]);
    const parts = [
      this.constant(`${name}/codes`, type, shape, codes),
      this.floats(`${name}/scale`, scales),
      this.constant(
        `${name}/zero`,
        type,
        [shape[0]],
        q.signed ? Int8Array.from(zeros) : Uint8Array.from(zeros),
      ),
    ];
    return { name: this.op("DequantizeLinear", parts, { axis: 0 }), scales };
  }

  /** A kernel in 4 bits, outputs first. */
  #nibbles(name: string, values: Float32Array, shape: readonly number[]): string {
    const rows = [shape[0], elements(shape.slice(1))];
    const own = { bits: 4, shape: rows, axis: 0 } as const;
    const output = `DequantizeLinear_${this.#counter++}`;
    const made =
      shape.length === 2
        ? dequantizeBlocks(name, quantize(values, { ...own, scheme: "affine", group: 32 }), {
            turned: false,
            output,
          })
        : dequantizeChannels(name, quantize(values, own), shape, { output });
    for (const tensor of made.tensors) this.#initializers.set(tensor.name, tensor);
    this.#nodes.push(made.node);
    return output;
  }

  /** A bias. onnxruntime adds it in 32-bit integers, on the grid of the products, where input and kernel have grids. */
  bias(node: GraphNode, scales: Float32Array | undefined): string[] {
    const values = weightValues(node, "bias");
    if (!values) return [];
    const name = `${node.shares ?? node.name}/bias`;
    const grid = this.#grids.get(node.inputs[0]);
    if (this.#target !== "ort" || !scales || !grid) return [this.floats(name, values)];
    const steps = scales.map((scale) => scale * grid.scale);
    const codes = Array.from(values, (value, i) => Math.round(value / steps[i]));
    // A channel with hardly any weights may have a step so small that its bias does not fit.
    if (codes.some((code) => !(Math.abs(code) < 2 ** 31))) return [this.floats(name, values)];
    // By the call: another call of the layer may read from another grid.
    const own = `${node.name}/bias`;
    const parts = [
      this.constant(`${own}/codes`, "INT32", [codes.length], Int32Array.from(codes)),
      this.floats(`${own}/scale`, steps),
      this.constant(`${own}/zero`, "INT32", [codes.length], new Int32Array(codes.length)),
    ];
    return [this.op("DequantizeLinear", parts, { axis: 0 })];
  }

  #throughGrid(value: string, { scale, zeroPoint, low }: ActivationGrid): string {
    const type = low < 0 ? "INT8" : "UINT8";
    const zero = low < 0 ? Int8Array.of(zeroPoint) : Uint8Array.of(zeroPoint);
    const id = this.#counter++;
    const grid = [
      this.constant(`scale_${id}`, "FLOAT", [], Float32Array.of(scale)),
      this.constant(`zero_${id}`, type, [], zero),
    ];
    return this.op("DequantizeLinear", [this.op("QuantizeLinear", [value, ...grid]), ...grid]);
  }

  /** The whole file. What goes in and comes out has the network's own shapes and names. */
  model(): OnnxModel {
    const sized = (tensor: string) => [
      "N",
      ...this.graph.tensors[tensor].shape.map((size, i) => size ?? `${tensor}_${i}`),
    ];
    const outputs = this.graph.outputs.map((tensor, i) => {
      const value = this.#values.get(tensor)!;
      const name = outputName(this.graph, i);
      this.#nodes.push({
        op: "Identity",
        domain: "",
        name,
        inputs: [this.plain(value)],
        outputs: [name],
        attributes: {},
      });
      return { name, type: "FLOAT" as const, shape: sized(tensor) };
    });
    return {
      // Numbers of 4 bits and scales for blocks came with opset 21.
      irVersion: this.#options.weights === "int4" ? 10 : 7,
      producer: "slimlab",
      opsets: { "": this.#options.weights === "int4" ? 21 : 13 },
      name: this.graph.name || "network",
      nodes: this.#nodes,
      initializers: [...this.#initializers.values()],
      inputs: this.graph.inputs.map((tensor) => ({
        name: tensor,
        type: "FLOAT" as const,
        shape: sized(tensor),
      })),
      outputs,
    };
  }
}

/** An output must not have the name of an input. */
function outputName(graph: Graph, index: number): string {
  const tensor = graph.outputs[index];
  const taken = graph.inputs.includes(tensor) || graph.outputs.indexOf(tensor) !== index;
  return taken ? `output_${index}` : tensor;
}

/** Codes in ONNX's order, with a scale for each output. */
function turnedCodes(
  q: Quantized,
  own: number[],
  order: readonly number[],
  shape: number[],
): Pick<Quantized, "codes" | "scale" | "zeroPoint" | "signed"> {
  const codes = permuted(q.codes as Int8Array, own, order);
  if (q.axis === undefined) return { codes, scale: q.scale, zeroPoint: q.zeroPoint, signed: q.signed };
  // A depthwise kernel has a scale a channel, and each of its filters becomes an output of its own.
  const repeat = shape[0] / q.scale.length;
  if (q.axis !== order[0] || !Number.isInteger(repeat))
    throw new RangeError(
      `kernel with scales along axis ${q.axis} cannot be written: ONNX wants them along the outputs`,
    );
  const pick = (i: number) => Math.floor(i / repeat);
  return {
    codes,
    scale: Float32Array.from({ length: shape[0] }, (_, i) => q.scale[pick(i)]),
    zeroPoint: Int32Array.from({ length: shape[0] }, (_, i) => q.zeroPoint[pick(i)]),
    signed: q.signed,
  };
}

type Activation = (make: Maker, value: Value, rank: number) => string;

const simple =
  (op: string, attributes: Record<string, OnnxAttribute> = {}): Activation =>
  (make, { name }) =>
    make.op(op, [name], attributes);

/** Constants of one number are shared by all that need them. */
const scalar = (make: Maker, value: number): string =>
  make.constant(`number_${value}`, "FLOAT", [], Float32Array.of(value));

/** The axis of the network, batch counted, as it lies in a value. */
function axisIn(value: Value, axis: number, rank: number): number {
  const own = axis < 0 ? axis + rank + 1 : axis;
  return value.image ? [0, 2, 3, 1][own] : own;
}

/** Activations by the names that TensorFlow.js has for them. */
const activations: Record<string, Activation> = {
  linear: (_, { name }) => name,
  relu: simple("Relu"),
  relu6: (make, { name }) => make.op("Clip", [name, scalar(make, 0), scalar(make, 6)]),
  sigmoid: simple("Sigmoid"),
  tanh: simple("Tanh"),
  elu: simple("Elu", { alpha: 1 }),
  selu: simple("Selu"),
  softplus: simple("Softplus"),
  softsign: simple("Softsign"),
  hardSigmoid: simple("HardSigmoid", { alpha: 0.2, beta: 0.5 }),
  hard_sigmoid: simple("HardSigmoid", { alpha: 0.2, beta: 0.5 }),
  swish: (make, { name }) => make.op("Mul", [name, make.op("Sigmoid", [name])]),
  softmax: (make, value, rank) => make.op("Softmax", [value.name], { axis: axisIn(value, -1, rank) }),
};

function activated(node: GraphNode, make: Maker, value: Value, rank: number): Value {
  return { ...value, name: activations[activationOf(node)](make, value, rank) };
}

/** What is padded before and behind, [top, left, bottom, right], as TensorFlow does for "same": less before than behind. */
function padsOf(
  node: GraphNode,
  shape: readonly number[],
  window: [number, number],
  strides: [number, number],
  dilation: [number, number] = [1, 1],
): number[] {
  if (node.attributes.padding !== "same") return [0, 0, 0, 0];
  const totals = [0, 1].map((i) => samePadding(shape[i], window[i], strides[i], dilation[i]));
  const before = totals.map((total) => Math.floor(total / 2));
  return [...before, ...totals.map((total, i) => total - before[i])];
}

function windowed(
  node: GraphNode,
  make: Maker,
  sizes: unknown,
): { value: Value; attributes: Record<string, OnnxAttribute>; shape: number[] } {
  const value = make.input(node);
  const shape = make.shape(node);
  const window = pairOf(sizes);
  const strides = pairOf(node.attributes.strides ?? (node.kind.includes("ooling") ? window : 1));
  const dilation = pairOf(node.attributes.dilationRate);
  const pads = padsOf(node, shape, window, strides, dilation);
  const attributes: Record<string, OnnxAttribute> = { kernel_shape: window, strides: strides, pads };
  if (dilation.some((d) => d !== 1)) attributes.dilations = dilation;
  return { value, attributes, shape };
}

const conv2d: Emit = (node, make) => {
  const { value, attributes } = windowed(node, make, node.weights.kernel.shape.slice(0, 2));
  const kernel = make.kernel(node, "kernel", [3, 2, 0, 1]);
  const name = make.op("Conv", [value.name, kernel.name, ...make.bias(node, kernel.scales)], attributes);
  return activated(node, make, { name, image: true }, 3);
};

const depthwiseConv2d: Emit = (node, make) => {
  const { value, attributes, shape } = windowed(node, make, node.weights.depthwiseKernel.shape.slice(0, 2));
  const kernel = make.kernel(node, "depthwiseKernel", [2, 3, 0, 1], ([c, m, h, w]) => [c * m, 1, h, w]);
  const name = make.op("Conv", [value.name, kernel.name, ...make.bias(node, kernel.scales)], {
    ...attributes,
    group: shape[2],
  });
  return activated(node, make, { name, image: true }, 3);
};

const separableConv2d: Emit = (node, make) => {
  const { value, attributes, shape } = windowed(node, make, node.weights.depthwiseKernel.shape.slice(0, 2));
  const depthwise = make.kernel(node, "depthwiseKernel", [2, 3, 0, 1], ([c, m, h, w]) => [c * m, 1, h, w]);
  const pointwise = make.kernel(node, "pointwiseKernel", [3, 2, 0, 1]);
  const middle = make.op("Conv", [value.name, depthwise.name], { ...attributes, group: shape[2] });
  // What lies between the two has no grid, so the bias stays in floats.
  const name = make.op("Conv", [middle, pointwise.name, ...make.bias(node, undefined)]);
  return activated(node, make, { name, image: true }, 3);
};

const conv2dTranspose: Emit = (node, make) => {
  const value = make.input(node);
  const window = pairOf(node.weights.kernel.shape.slice(0, 2));
  const strides = pairOf(node.attributes.strides);
  const same = node.attributes.padding === "same";
  const totals = window.map((size, i) => (same ? Math.max(0, size - strides[i]) : 0));
  const before = totals.map((total) => Math.floor(total / 2));
  const extra = window.map((size, i) => Math.max(0, strides[i] - size));
  const kernel = weightValues(node, "kernel")!;
  const shape = [...node.weights.kernel.shape];
  // Its kernel is written in floats: engines have no integers for it.
  const turned = make.floats(
    `${node.name}/kernel`,
    permuted(kernel, shape, [3, 2, 0, 1]),
    [3, 2, 0, 1].map((axis) => shape[axis]),
  );
  const name = make.op("ConvTranspose", [value.name, turned, ...make.bias(node, undefined)], {
    kernel_shape: window,
    strides,
    pads: [...before, ...totals.map((total, i) => total - before[i])],
    output_padding: extra,
  });
  return activated(node, make, { name, image: true }, 3);
};

const dense: Emit = (node, make) => {
  const value = make.input(node);
  const rank = make.shape(node).length;
  if (rank === 1) {
    const kernel = make.kernel(node, "kernel", [1, 0]);
    const name = make.op("Gemm", [value.name, kernel.name, ...make.bias(node, kernel.scales)], { transB: 1 });
    return activated(node, make, { name, image: false }, 1);
  }
  const kernel = make.kernel(node, "kernel", [1, 0]);
  const turned = make.op("Transpose", [kernel.name], { perm: [1, 0] });
  const product = make.op("MatMul", [make.plain(value), turned]);
  const [bias] = make.bias(node, undefined);
  const name = bias ? make.op("Add", [product, bias]) : product;
  const shape = shapeOf(make.graph, node.outputs[0]);
  return activated(node, make, make.placed(name, shape), shape.length);
};

const batchNormalization: Emit = (node, make) => {
  const value = make.input(node);
  const rank = make.shape(node).length;
  const axis = ([node.attributes.axis ?? -1].flat() as number[])[0];
  if (rank !== 1 && !value.image)
    throw new RangeError(`${node.name}: batch normalisation of rank ${rank} cannot be written as ONNX`);
  if (axisIn(value, axis, rank) !== 1)
    throw new RangeError(`${node.name}: batch normalisation along axis ${axis} cannot be written as ONNX`);
  const size = node.weights.movingMean.shape[0];
  const weight = (role: string, fallback: number) =>
    make.floats(
      `${node.shares ?? node.name}/${role}`,
      weightValues(node, role) ?? new Float32Array(size).fill(fallback),
    );
  const inputs = [
    value.name,
    weight("gamma", 1),
    weight("beta", 0),
    weight("movingMean", 0),
    weight("movingVariance", 1),
  ];
  return {
    ...value,
    name: make.op("BatchNormalization", inputs, { epsilon: Number(node.attributes.epsilon ?? 1e-3) }),
  };
};

const pool =
  (op: string, more: Record<string, OnnxAttribute> = {}): Emit =>
  (node, make) => {
    const { value, attributes } = windowed(node, make, node.attributes.poolSize ?? 2);
    return { name: make.op(op, [value.name], { ...attributes, ...more }), image: true };
  };

const globalPool =
  (op: string): Emit =>
  (node, make) => ({
    name: make.op("Flatten", [make.op(op, [make.input(node).name])], { axis: 1 }),
    image: false,
  });

/** Element-wise operators of several inputs, which all have the same number of axes. */
const merge =
  (op: string, variadic: boolean): Emit =>
  (node, make) => {
    const values = node.inputs.map((_, i) => make.input(node, i));
    if (new Set(node.inputs.map((_, i) => make.shape(node, i).length)).size > 1)
      throw new RangeError(`${node.name}: inputs with different numbers of axes cannot be written as ONNX`);
    const names = values.map(({ name }) => name);
    const name =
      variadic || names.length === 1
        ? make.op(op, names)
        : names.reduce((sum, next) => make.op(op, [sum, next]));
    return { ...values[0], name };
  };

const same: Emit = (node, make) => make.input(node);

const emitters: Record<string, Emit> = {
  input: (node, make) => make.placed(node.outputs[0], shapeOf(make.graph, node.outputs[0])),
  dense,
  conv2d,
  depthwiseConv2d,
  separableConv2d,
  conv2dTranspose,
  batchNormalization,
  activation: (node, make) => activated(node, make, make.input(node), make.shape(node).length),
  reLU: (node, make) => {
    const value = make.input(node);
    const top = node.attributes.maxValue as number | null | undefined;
    const name =
      (top ?? null) === null
        ? make.op("Relu", [value.name])
        : make.op("Clip", [value.name, scalar(make, 0), scalar(make, top!)]);
    return { ...value, name };
  },
  leakyReLU: (node, make) => {
    const value = make.input(node);
    return {
      ...value,
      name: make.op("LeakyRelu", [value.name], { alpha: Number(node.attributes.alpha ?? 0.3) }),
    };
  },
  elu: (node, make) => {
    const value = make.input(node);
    return { ...value, name: make.op("Elu", [value.name], { alpha: Number(node.attributes.alpha ?? 1) }) };
  },
  softmax: (node, make) => {
    const value = make.input(node);
    const axis = axisIn(value, Number(node.attributes.axis ?? -1), make.shape(node).length);
    return { ...value, name: make.op("Softmax", [value.name], { axis }) };
  },
  maxPooling2d: pool("MaxPool"),
  averagePooling2d: pool("AveragePool", { count_include_pad: 0 }),
  globalMaxPooling2d: globalPool("GlobalMaxPool"),
  globalAveragePooling2d: globalPool("GlobalAveragePool"),
  add: merge("Add", false),
  multiply: merge("Mul", false),
  average: merge("Mean", true),
  maximum: merge("Max", true),
  minimum: merge("Min", true),
  concatenate: (node, make) => {
    const values = node.inputs.map((_, i) => make.input(node, i));
    const axis = axisIn(values[0], Number(node.attributes.axis ?? -1), make.shape(node).length);
    return {
      ...values[0],
      name: make.op(
        "Concat",
        values.map(({ name }) => name),
        { axis },
      ),
    };
  },
  dropout: same,
  spatialDropout1d: same,
  alphaDropout: same,
  gaussianDropout: same,
  gaussianNoise: same,
  flatten: (node, make) => ({
    name: make.op("Flatten", [make.plain(make.input(node))], { axis: 1 }),
    image: false,
  }),
  reshape: (node, make) => {
    const shape = shapeOf(make.graph, node.outputs[0]);
    const target = make.integers(`${node.name}/shape`, [0, ...shape]);
    return make.placed(make.op("Reshape", [make.plain(make.input(node)), target]), shape);
  },
  ...ownEmitters,
  zeroPadding2d: (node, make) => {
    const value = make.input(node);
    const [[top, bottom], [left, right]] = (node.attributes.padding ?? [
      [1, 1],
      [1, 1],
    ]) as [[number, number], [number, number]];
    const pads = make.integers(`${node.name}/pads`, [0, 0, top, left, 0, 0, bottom, right]);
    return { ...value, name: make.op("Pad", [value.name, pads]) };
  },
  upSampling2d: (node, make) => {
    const value = make.input(node);
    const [high, wide] = pairOf(node.attributes.size, 2);
    const nearest = (node.attributes.interpolation ?? "nearest") === "nearest";
    const scales = make.floats(`${node.name}/scales`, [1, 1, high, wide]);
    const attributes: Record<string, OnnxAttribute> = {
      mode: nearest ? "nearest" : "linear",
      coordinate_transformation_mode: "asymmetric",
    };
    if (nearest) attributes.nearest_mode = "floor";
    return { ...value, name: make.op("Resize", [value.name, "", scales], attributes) };
  },
  rescaling: (node, make) => {
    const value = make.input(node);
    const scaled = make.op("Mul", [value.name, scalar(make, Number(node.attributes.scale ?? 1))]);
    return { ...value, name: make.op("Add", [scaled, scalar(make, Number(node.attributes.offset ?? 0))]) };
  },
};

/** The kinds of layers that can be written. */
export const onnxKinds: readonly string[] = Object.keys(emitters);
