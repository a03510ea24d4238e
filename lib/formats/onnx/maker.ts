// What an ONNX model is made with: values of the network by their names in the file, operators, constants, kernels and
// biases in the form that was asked for.
import { type Graph, type GraphNode, shapeOf, weightValues } from "../../graph/index.ts";
import { type Quantized, quantize } from "../../quantization/index.ts";
import { toHalves } from "../../util/half.ts";
import { elements } from "../../util/shape.ts";
import {
  type ActivationGrid,
  type ActivationGrids,
  gridAfter,
  permuted,
  type SmallKernels,
  staysFloat,
  storedAs,
} from "../network.ts";
import { dequantizeBlocks, dequantizeChannels } from "./blocks.ts";
import type { OnnxAttribute, OnnxModel, OnnxNode, OnnxTensor, OnnxType } from "./model.ts";

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
    this.#integers = storedAs(options) === "int8";
  }

  /** Writes one node, with the grid of what it gives out. */
  node(node: GraphNode, emit: Emit): void {
    const [tensor] = node.outputs;
    let value = emit(node, this);
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
