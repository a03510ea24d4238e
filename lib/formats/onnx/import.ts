// An ONNX file as a network of layers. ONNX has channels first; here a value remembers whether it is held with channels
// last, so that turns at the borders vanish, and what only computes shapes is folded away.
import { shown } from "../../util/check.ts";
import { elements } from "../../util/shape.ts";
import { reading as readingFrom, refuse } from "../error.ts";
import {
  type Constant,
  type ImportedNetwork,
  NetworkBuilder,
  type Operation,
  readAll,
} from "../import/builder.ts";
import * as to from "../import/operators.ts";
import { simplified } from "../import/simplify.ts";
import { permuted } from "../network.ts";
import { axesOf, folds, type Known, list, numbersOf } from "./constants.ts";
import { decodeOnnx, type OnnxModel, type OnnxNode, type OnnxTensor, type OnnxValue } from "./model.ts";

/** A value that flows: `image` where the file has [batch, channels, high, wide] and the network channels last. */
interface Flow {
  tensor: string;
  image: boolean;
  /** Rows of an image laid out in our order, where the file's is channels first: the next kernel's rows are turned. */
  rows?: { from: string };
}

type Value = Flow | { known: Known };
type Reader = (node: OnnxNode, file: Reading) => Value | Value[];

interface Call extends Operation {
  node: OnnxNode;
}

export interface OnnxImportOptions {
  /** What error messages call the file. */
  file?: string;
  /** Sizes of inputs that the file leaves open, by name, as the file has them, the batch left out: [3, 224, 224]. */
  inputShapes?: Record<string, readonly number[]>;
}

/** The versions of ONNX's operators that are read. */
const opsets = { from: 7, to: 22 };

/**
 * Makes a network of an .onnx file: convolutional networks, whose images it takes with channels last.
 *
 * @throws FormatError that names all operators which no layer is known for, sizes that are open, or what is damaged
 */
export function importOnnx(bytes: Uint8Array, options: OnnxImportOptions = {}): ImportedNetwork {
  const { file = "the file" } = options;
  return onnxNetworkOf(decodeOnnx(bytes, file), options);
}

/** {@link importOnnx} of a file that is decoded. */
export function onnxNetworkOf(model: OnnxModel, options: OnnxImportOptions = {}): ImportedNetwork {
  const { file = "the file" } = options;
  return readingFrom(file, () => networkOf(model, file, options.inputShapes ?? {}));
}

function networkOf(
  model: OnnxModel,
  file: string,
  inputShapes: Record<string, readonly number[]>,
): ImportedNetwork {
  const opset = model.opsets[""] ?? 0;
  if (!(opset >= opsets.from && opset <= opsets.to))
    refuse(file, `is of opset ${opset}; what can be read: ${opsets.from} to ${opsets.to}`);
  const reading = new Reading(file, model, opset);
  for (const input of model.inputs) reading.input(input, inputShapes[input.name]);
  const calls = model.nodes.map((node): Call => {
    const op = node.domain ? `${node.domain}.${node.op}` : node.op;
    const inputs = node.inputs.filter((name) => name !== "");
    return { node, op, name: node.name || node.outputs[0] || "", inputs, outputs: node.outputs };
  });
  readAll(
    file,
    calls,
    ({ op, node }) => Object.hasOwn(readers, op) || (Object.hasOwn(folds, op) && reading.allKnown(node)),
    ({ node }) => reading.read(node),
  );
  const outputs = model.outputs.map(({ name }) => reading.plain(reading.flow(name)));
  const { graph, notes } = reading.builder.finish(model.name, outputs);
  return { graph: simplified(graph), notes };
}

class Reading {
  readonly builder: NetworkBuilder;
  readonly opset: number;
  readonly #file: string;
  readonly #model: OnnxModel;
  readonly #values = new Map<string, Value>();

  constructor(file: string, model: OnnxModel, opset: number) {
    this.#file = file;
    this.#model = model;
    this.opset = opset;
    this.builder = new NetworkBuilder(file);
    for (const tensor of model.initializers) this.#values.set(tensor.name, { known: numbersOf(tensor) });
  }

  input({ name, type, shape }: OnnxValue, given: readonly number[] | undefined): void {
    if (type !== "FLOAT" && type !== "FLOAT16")
      refuse(this.#file, `input ${shown(name)} is of ${type}: numbers in floats are expected`);
    if (shape.length < 2)
      refuse(this.#file, `input ${shown(name)} has shape [${shape}]: the batch first is expected`);
    const open = shape.slice(1).map((size, i) => (typeof size === "number" && size > 0 ? size : given?.[i]));
    if (open.some((size) => !(Number.isInteger(size) && size! > 0)))
      refuse(
        this.#file,
        `input ${shown(name)} has sizes that are not fixed, [${shape.map((size) => size ?? "?").join(", ")}]: they must be given`,
      );
    if (given && given.length !== open.length)
      throw new RangeError(`sizes of ${name} must be ${open.length}, got ${given.length}`);
    const own = open as number[];
    const image = own.length === 3 && !this.#turned(name);
    const tensor = this.builder.input(name, image ? [own[1], own[2], own[0]] : own);
    if (image)
      this.builder.notes.add(
        `input ${name} has channels last in the network: [${own[1]}, ${own[2]}, ${own[0]}]`,
      );
    this.#values.set(name, { tensor, image });
  }

  /** Whether an input has channels last in the file: it is turned before anything looks at its places. */
  #turned(name: string): boolean {
    const simple = ["Mul", "Add", "Sub", "Div", "Cast", "Identity", "QuantizeLinear", "DequantizeLinear"];
    const open = [name];
    const seen = new Set(open);
    for (let at = open.pop(); at !== undefined; at = open.pop())
      for (const { op, inputs, outputs, attributes } of this.#model.nodes) {
        if (inputs[0] !== at && inputs[1] !== at) continue;
        if (op === "Transpose" && String(attributes.perm) === "0,3,1,2") return true;
        if (!simple.includes(op)) continue;
        for (const output of outputs) {
          if (!seen.has(output)) open.push(output);
          seen.add(output);
        }
      }
    return false;
  }

  allKnown(node: OnnxNode): boolean {
    return node.inputs.every((name) => name === "" || "known" in (this.#values.get(name) ?? {}));
  }

  read(node: OnnxNode): void {
    const fold = node.domain === "" && Object.hasOwn(folds, node.op) ? folds[node.op] : undefined;
    const given = () =>
      node.inputs.map((name) =>
        name === "" ? undefined : (this.#values.get(name) as { known: Known }).known,
      );
    const known = fold && node.inputs.length > 0 && this.allKnown(node);
    const result = guarded((): Value | Value[] =>
      known
        ? [fold(given() as Known[], node)].flat().map((value) => ({ known: value }))
        : readers[node.op](node, this),
    );
    const values = [result].flat();
    for (const [i, name] of node.outputs.entries()) {
      if (name === "") continue;
      if (this.#values.has(name)) throw new RangeError(`${shown(name)} is written twice`);
      if (values[i]) this.#values.set(name, values[i]);
    }
  }

  value(name: string | undefined): Value {
    const value = name === undefined || name === "" ? undefined : this.#values.get(name);
    if (!value)
      throw new RangeError(name ? `${shown(name)} is read before it is written` : "an input is missing");
    return value;
  }

  flow(name: string): Flow {
    const value = this.value(name);
    if ("known" in value) throw new RangeError(`${shown(name)} is a constant where a value is expected`);
    return value;
  }

  known(name: string): Known {
    const value = this.value(name);
    if (!("known" in value)) throw new RangeError(`${shown(name)} is computed where a constant is expected`);
    return value.known;
  }

  optional(name: string | undefined): Known | undefined {
    return name ? this.known(name) : undefined;
  }

  floats(name: string): Constant {
    const { shape, values } = this.known(name);
    return { shape, values: values instanceof Float32Array ? values : Float32Array.from(values) };
  }

  isKnown(name: string): boolean {
    return "known" in this.value(name);
  }

  /** A value with its axes as the file has them. */
  plain(flow: Flow): string {
    const b = this.builder;
    if (flow.rows) {
      const turned = to.permute(b, `${flow.tensor}/turned`, flow.rows.from, [2, 0, 1]);
      return to.reshape(b, `${flow.tensor}/rows`, turned, [elements(b.shape(turned))]);
    }
    return flow.image ? to.permute(b, `${flow.tensor}/turned`, flow.tensor, [2, 0, 1]) : flow.tensor;
  }

  /** A value's shape as the file has it, the batch counted as 1. */
  shape(flow: Flow): number[] {
    const own = this.builder.shape(flow.tensor);
    return flow.image ? [1, own[2], own[0], own[1]] : [1, ...own];
  }

  /** A value that must be an image. */
  image(name: string): string {
    const flow = this.flow(name);
    if (flow.image) return flow.tensor;
    if (this.builder.shape(flow.tensor).length !== 3)
      throw new RangeError(`an image is expected, got shape [${this.shape(flow)}]`);
    return to.permute(this.builder, `${flow.tensor}/image`, flow.tensor, [1, 2, 0]);
  }
}

/** Operators read the inputs and settings that they have; in a damaged file these may be missing, or of another kind. */
function guarded<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError)
      throw new RangeError("an input or a setting is missing, or of another kind", { cause: error });
    throw error;
  }
}

const ints = (value: unknown, fallback: readonly number[]): number[] => [
  ...((value as readonly number[] | undefined) ?? fallback),
];
const pairOf = (value: unknown, fallback: readonly [number, number]): [number, number] => {
  const [a, b] = ints(value, fallback);
  if (a === undefined || b === undefined || ints(value, fallback).length !== 2)
    throw new RangeError(`two numbers are expected, for rows and columns, got ${ints(value, fallback)}`);
  return [a, b];
};

const nameOf = ({ name, outputs }: OnnxNode) => outputs[0] || name;

/** The padding of a convolution or pooling. */
function paddingOf(node: OnnxNode, shape: readonly number[], window: [number, number]): to.Padding {
  const { attributes } = node;
  const auto = String(attributes.auto_pad ?? "NOTSET");
  const strides = pairOf(attributes.strides, [1, 1]);
  const dilation = pairOf(attributes.dilations, [1, 1]);
  if (auto === "VALID") return "valid";
  if (auto === "SAME_UPPER") return "same";
  const same = [0, 1].map((i) => to.samePads(shape[i], window[i], strides[i], dilation[i]));
  if (auto === "SAME_LOWER") {
    const [high, wide] = same.map(([before, after]) => [after, before] as const);
    return { high, wide };
  }
  const [top, left, bottom, right] = ints(attributes.pads, [0, 0, 0, 0]);
  if (right === undefined) throw new RangeError("pads for images are expected: four numbers");
  const high: [number, number] = [top, bottom];
  const wide: [number, number] = [left, right];
  // Rounded up, as far as the last window begins inside.
  if (attributes.ceil_mode)
    for (const [i, pads] of [high, wide].entries()) {
      const rest = (shape[i] + pads[0] + pads[1] - window[i]) % strides[i];
      if (rest !== 0) pads[1] += strides[i] - rest;
    }
  return { high, wide };
}

const conv: Reader = (node, file) => {
  const [x, kernel, bias] = node.inputs;
  const { shape, values } = file.floats(kernel);
  if (shape.length !== 4) throw new RangeError(`kernels of images are expected, got shape [${shape}]`);
  const input = file.image(x);
  const own = file.builder.shape(input);
  const group = Number(node.attributes.group ?? 1);
  const window: [number, number] = [shape[2], shape[3]];
  const settings = {
    strides: pairOf(node.attributes.strides, [1, 1]),
    dilation: pairOf(node.attributes.dilations, [1, 1]),
    padding: paddingOf(node, own, window),
  };
  const offset = bias ? file.floats(bias) : undefined;
  if (group === 1) {
    const turned = { shape: [...window, shape[1], shape[0]], values: permuted(values, shape, [2, 3, 1, 0]) };
    const tensor = to.convolution(file.builder, "conv2d", nameOf(node), input, turned, offset, settings);
    return { tensor, image: true };
  }
  if (group !== own[2] || shape[1] !== 1)
    throw new RangeError(`convolutions in ${group} groups are not supported`);
  const split = [group, shape[0] / group, ...window];
  const turned = {
    shape: [2, 3, 0, 1].map((axis) => split[axis]),
    values: permuted(values, split, [2, 3, 0, 1]),
  };
  const tensor = to.convolution(
    file.builder,
    "depthwiseConv2d",
    nameOf(node),
    input,
    turned,
    offset,
    settings,
  );
  return { tensor, image: true };
};

const convTranspose: Reader = (node, file) => {
  const [x, kernel, bias] = node.inputs;
  const { attributes } = node;
  const { shape, values } = file.floats(kernel);
  const input = file.image(x);
  const own = file.builder.shape(input);
  if (shape.length !== 4) throw new RangeError(`kernels of images are expected, got shape [${shape}]`);
  if (Number(attributes.group ?? 1) !== 1)
    throw new RangeError("transposed convolutions in groups are not supported");
  if (ints(attributes.dilations, [1, 1]).some((n) => n !== 1))
    throw new RangeError("dilation is not supported");
  if (String(attributes.auto_pad ?? "NOTSET") !== "NOTSET" || attributes.output_shape)
    throw new RangeError("an output's shape that is given, or padded by itself, is not supported");
  const strides = pairOf(attributes.strides, [1, 1]);
  const [top, left, bottom, right] = ints(attributes.pads, [0, 0, 0, 0]);
  const extra = pairOf(attributes.output_padding, [0, 0]);
  const size = [top + bottom, left + right].map(
    (pads, i) => (own[i] - 1) * strides[i] + shape[2 + i] + extra[i] - pads,
  ) as [number, number];
  const turned = {
    shape: [2, 3, 1, 0].map((axis) => shape[axis]),
    values: permuted(values, shape, [2, 3, 1, 0]),
  };
  const settings = { strides, size, before: [top, left] as [number, number] };
  const offset = bias ? file.floats(bias) : undefined;
  return {
    tensor: to.transposedConvolution(file.builder, nameOf(node), input, turned, offset, settings),
    image: true,
  };
};

/** Rows of a kernel [in, out] in the order in which an image's numbers lie here. */
function rowsOf(flow: Flow, kernel: Constant, file: Reading): Constant {
  if (!flow.rows) return kernel;
  const [high, wide, channels] = file.builder.shape(flow.rows.from);
  const [rows, out] = kernel.shape;
  if (rows !== high * wide * channels)
    throw new RangeError(`kernel of ${rows} rows for ${high * wide * channels} numbers`);
  const split = [channels, high, wide, out];
  return { shape: kernel.shape, values: permuted(kernel.values, split, [1, 2, 0, 3]) };
}

function product(
  node: OnnxNode,
  file: Reading,
  x: Flow,
  kernel: Constant,
  bias: Constant | undefined,
): Value {
  if (kernel.shape.length !== 2)
    throw new RangeError(`a kernel of two axes is expected, got shape [${kernel.shape}]`);
  const input = x.rows ? x.tensor : file.plain(x);
  return { tensor: to.dense(file.builder, nameOf(node), input, rowsOf(x, kernel, file), bias), image: false };
}

const gemm: Reader = (node, file) => {
  const { alpha = 1, beta = 1, transA = 0, transB = 0 } = node.attributes as Record<string, number>;
  const [x, kernel, bias] = node.inputs;
  if (transA) throw new RangeError("transA is not supported");
  let { shape, values } = file.floats(kernel);
  if (transB) [values, shape] = [permuted(values, shape, [1, 0]), [shape[1], shape[0]]];
  if (alpha !== 1) values = values.map((value) => alpha * value);
  const offset = bias ? file.floats(bias) : undefined;
  const units = shape[1];
  const own = offset && {
    shape: [units],
    values: Float32Array.from(
      { length: units },
      (_, i) => beta * offset.values[offset.values.length === 1 ? 0 : i],
    ),
  };
  return product(node, file, file.flow(x), { shape, values }, own);
};

/** A constant as it meets a value: its axes in the order in which the value is held, the batch's left out. */
function meeting(flow: Flow, constant: Constant, file: Reading): Constant {
  const logical = file.shape(flow).slice(1);
  const own = to.aligned(constant, logical);
  if (!flow.image) return own;
  return {
    shape: [own.shape[1], own.shape[2], own.shape[0]],
    values: permuted(own.values, own.shape, [1, 2, 0]),
  };
}

/** Values brought to one way of being held. */
function together(flows: Flow[], file: Reading): { tensors: string[]; image: boolean } {
  const image = flows.some((flow) => flow.image);
  const tensors = flows.map((flow) => {
    if (!image) return flow.rows ? file.plain(flow) : flow.tensor;
    if (flow.image) return flow.tensor;
    const shape = file.builder.shape(flow.tensor);
    if (shape.length !== 3) throw new RangeError(`values of ${shape.length + 1} and 4 axes do not meet`);
    return to.permute(file.builder, `${flow.tensor}/image`, flow.tensor, [1, 2, 0]);
  });
  return { tensors, image };
}

const binary =
  (kind: "add" | "subtract" | "multiply" | "divide"): Reader =>
  (node, file) => {
    const [first, second] = node.inputs;
    const b = file.builder;
    if (!file.isKnown(first) && !file.isKnown(second)) {
      const { tensors, image } = together([file.flow(first), file.flow(second)], file);
      return { tensor: to.merge(b, kind, nameOf(node), tensors), image };
    }
    const isFirst = file.isKnown(first);
    const given = file.flow(isFirst ? second : first);
    const flow = given.rows ? { tensor: file.plain(given), image: false } : given;
    const constant = meeting(flow, file.floats(isFirst ? first : second), file);
    return { ...flow, tensor: to.withConstant(b, nameOf(node), kind, flow.tensor, constant, isFirst) };
  };

const extreme =
  (kind: "maximum" | "minimum"): Reader =>
  (node, file) => {
    const constants = node.inputs.filter((name) => file.isKnown(name));
    const flows = node.inputs.filter((name) => !file.isKnown(name)).map((name) => file.flow(name));
    const { tensors, image } = together(flows, file);
    let tensor = tensors.length === 1 ? tensors[0] : to.merge(file.builder, kind, nameOf(node), tensors);
    for (const name of constants)
      tensor = to.bound(file.builder, kind, nameOf(node), tensor, file.floats(name));
    return { tensor, image };
  };

/** What computes each number of a value by itself. */
const each =
  (apply: (node: OnnxNode, file: Reading, x: string) => string): Reader =>
  (node, file) => {
    const flow = file.flow(node.inputs[0]);
    const tensor = apply(node, file, flow.tensor);
    // Turned rows would have to be those of the new value.
    if (!flow.rows) return { tensor, image: flow.image };
    return { tensor: apply(node, file, file.plain(flow)), image: false };
  };

const activation = (name: string): Reader =>
  each((node, { builder }, x) => to.activation(builder, nameOf(node), x, name));
const layer = (kind: string, attributes: (node: OnnxNode) => Record<string, unknown> = () => ({})): Reader =>
  each((node, { builder }, x) => builder.add(kind, nameOf(node), [x], attributes(node)));
const elementwise = (what: Parameters<typeof to.elementwise>[3]): Reader =>
  each((node, { builder }, x) => to.elementwise(builder, nameOf(node), x, what));

const clip: Reader = each((node, file, x) => {
  const { min, max } = node.attributes as Record<string, number>;
  const bound = (name: string | undefined, given: number | undefined, otherwise: number) =>
    name ? file.known(name).values[0] : (given ?? otherwise);
  return to.clip(
    file.builder,
    nameOf(node),
    x,
    bound(node.inputs[1], min, -3.4e38),
    bound(node.inputs[2], max, 3.4e38),
  );
});

const pool =
  (kind: "maxPooling2d" | "averagePooling2d"): Reader =>
  (node, file) => {
    if (node.outputs.length > 1 && node.outputs[1])
      throw new RangeError("the places of maxima are not supported");
    const x = file.image(node.inputs[0]);
    const window = pairOf(node.attributes.kernel_shape, [0, 0]);
    const settings = {
      strides: pairOf(node.attributes.strides, [1, 1]),
      dilation: pairOf(node.attributes.dilations, [1, 1]),
      padding: paddingOf(node, file.builder.shape(x), window),
      countPads: Number(node.attributes.count_include_pad ?? 0) === 1,
    };
    if (node.attributes.ceil_mode && settings.countPads)
      throw new RangeError("means over padding and sizes that are rounded up are not supported");
    return { tensor: to.pooling(file.builder, kind, nameOf(node), x, window, settings), image: true };
  };

/** Axes of the file, the batch's left out, as a value is held. */
function heldAxes(flow: Flow, axes: readonly number[], file: Reading): number[] {
  const rank = file.shape(flow).length;
  return axes.map((axis) => {
    const own = axis < 0 ? axis + rank : axis;
    if (!(own >= 1 && own < rank))
      throw new RangeError(`axis ${axis} of ${rank}, the batch the first, is not supported`);
    return flow.image ? [2, 0, 1][own - 1] : own - 1;
  });
}

/** A value that is held as the file has it, but for images. */
const held = (flow: Flow, file: Reading): Flow =>
  flow.rows ? { tensor: file.plain(flow), image: false } : flow;

function reduction(what: Parameters<typeof to.reduce>[3]): Reader {
  return (node, file) => {
    const flow = held(file.flow(node.inputs[0]), file);
    const rank = file.shape(flow).length;
    const axes =
      axesOf(node, file.optional(node.inputs[1])) ?? Array.from({ length: rank - 1 }, (_, i) => i + 1);
    return reduced(
      node,
      file,
      flow,
      what,
      heldAxes(flow, axes, file),
      Number(node.attributes.keepdims ?? 1) === 1,
    );
  };
}

function reduced(
  node: OnnxNode,
  file: Reading,
  flow: Flow,
  what: Parameters<typeof to.reduce>[3],
  axes: number[],
  keep: boolean,
): Value {
  const tensor = to.reduce(file.builder, nameOf(node), flow.tensor, what, axes, keep);
  if (keep || !flow.image) return { tensor, image: flow.image };
  // Without some of its axes an image is none; what is left must stand in the file's order.
  const left = [2, 0, 1].filter((axis) => !axes.includes(axis));
  const order = left.map((axis) => left.toSorted((p, q) => p - q).indexOf(axis));
  return { tensor: to.permute(file.builder, `${nameOf(node)}/turned`, tensor, order), image: false };
}

const globalPool =
  (what: "mean" | "max"): Reader =>
  (node, file) => {
    const tensor = file.image(node.inputs[0]);
    return reduced(node, file, { tensor, image: true }, what, [0, 1], true);
  };

/** A value in another shape, as the file counts: without the batch. */
function reshaped(node: OnnxNode, file: Reading, flow: Flow, target: readonly number[]): Value {
  const b = file.builder;
  const shape = file.shape(flow).slice(1);
  const name = nameOf(node);
  if (shape.length === target.length && shape.every((size, i) => size === target[i])) return flow;
  if (elements(shape) !== elements(target))
    throw new RangeError(`shape [${target}] for a value of shape [${shape}]`);
  if (flow.image) {
    const [channels, high, wide] = shape;
    const single = high * wide === 1;
    if (target.length === 1) {
      const tensor = to.reshape(b, name, flow.tensor, [...target]);
      return single ? { tensor, image: false } : { tensor, image: false, rows: { from: flow.tensor } };
    }
    if (single && target.length === 3 && target[0] === channels) return flow;
  }
  const input = file.plain(flow);
  // A row of channels becomes an image of one place.
  if (target.length === 3 && target[1] * target[2] === 1)
    return { tensor: to.reshape(b, name, input, [1, 1, target[0]]), image: true };
  return { tensor: to.reshape(b, name, input, [...target]), image: false };
}

/** The sizes behind the batch, which must stay what it is. */
function withoutBatch(shape: readonly number[]): number[] {
  if (shape[0] !== 1 && shape[0] !== -1)
    throw new RangeError(`a batch that becomes ${shape[0]} is not supported`);
  return shape.slice(1);
}

const reshape: Reader = (node, file) => {
  const flow = file.flow(node.inputs[0]);
  const own = file.shape(flow);
  const target = (file.optional(node.inputs[1]) ?? list(ints(node.attributes.shape, []))).values;
  const shape = [...target].map((size, i) => (size === 0 && !node.attributes.allowzero ? own[i] : size));
  if (shape.length === 0) throw new RangeError("a shape without axes is not supported");
  const open = shape.indexOf(-1, shape[0] === -1 ? 1 : 0);
  if (open > 0) {
    const rest = shape.reduce((all, size, i) => (i === open || i === 0 ? all : all * size), 1);
    shape[open] = elements(own) / rest;
  } else if (shape[0] === -1 && elements(shape.slice(1)) !== elements(own))
    throw new RangeError("a batch that grows is not supported");
  return reshaped(node, file, flow, withoutBatch(shape));
};

const flatten: Reader = (node, file) => {
  const flow = file.flow(node.inputs[0]);
  if (Number(node.attributes.axis ?? 1) !== 1) throw new RangeError("only axis 1 is supported");
  return reshaped(node, file, flow, [elements(file.shape(flow))]);
};

const squeeze: Reader = (node, file) => {
  const flow = file.flow(node.inputs[0]);
  const shape = file.shape(flow);
  const given = axesOf(node, file.optional(node.inputs[1]))?.map((axis) =>
    axis < 0 ? axis + shape.length : axis,
  );
  const axes = given ?? shape.flatMap((size, axis) => (axis > 0 && size === 1 ? [axis] : []));
  if (axes.includes(0) || axes.some((axis) => shape[axis] !== 1))
    throw new RangeError(`axes ${axes} of [${shape}]`);
  return reshaped(
    node,
    file,
    flow,
    shape.filter((_, axis) => axis > 0 && !axes.includes(axis)),
  );
};

const unsqueeze: Reader = (node, file) => {
  const flow = file.flow(node.inputs[0]);
  const shape = file.shape(flow);
  const given = axesOf(node, file.optional(node.inputs[1])) ?? [];
  const rank = shape.length + given.length;
  const axes = given.map((axis) => (axis < 0 ? axis + rank : axis));
  if (axes.includes(0)) throw new RangeError("a new axis before the batch is not supported");
  const rest = shape.slice(1);
  const target = Array.from({ length: rank - 1 }, (_, i) => (axes.includes(i + 1) ? 1 : rest.shift()!));
  return reshaped(node, file, flow, target);
};

const transpose: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const rank = file.shape(flow).length;
  const order = ints(
    node.attributes.perm,
    Array.from({ length: rank }, (_, i) => rank - 1 - i),
  );
  if (order[0] !== 0) throw new RangeError(`order ${order} moves the batch, which is not supported`);
  if (flow.image && order.join() === "0,2,3,1") return { tensor: flow.tensor, image: false };
  if (!flow.image && order.join() === "0,3,1,2") return { tensor: flow.tensor, image: true };
  return {
    tensor: to.permute(file.builder, nameOf(node), flow.tensor, heldAxes(flow, order.slice(1), file)),
    image: false,
  };
};

const pad: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const rank = file.shape(flow).length;
  const pads = node.inputs[1] ? [...file.known(node.inputs[1]).values] : ints(node.attributes.pads, []);
  if (node.inputs[3]) throw new RangeError("axes of padding are not supported");
  const value = node.inputs[2] ? file.known(node.inputs[2]).values[0] : Number(node.attributes.value ?? 0);
  const mode = String(node.attributes.mode ?? "constant");
  if (mode !== "constant" && mode !== "reflect") throw new RangeError(`mode ${mode} is not supported`);
  if (pads.length !== 2 * rank || pads[0] || pads[rank]) throw new RangeError(`pads ${pads} of ${rank} axes`);
  const own = Array.from({ length: rank - 1 }, (_, i) => [pads[i + 1], pads[i + 1 + rank]] as const);
  const paddings = flow.image ? [own[1], own[2], own[0]] : own;
  return { ...flow, tensor: to.pad(file.builder, nameOf(node), flow.tensor, paddings, mode, value) };
};

const resize: Reader = (node, file) => {
  const x = file.image(node.inputs[0]);
  const { attributes, inputs } = node;
  const shape = file.builder.shape(x);
  const old = node.op === "Upsample" || (node.op === "Resize" && file.opset < 11);
  const scales = old
    ? inputs[1]
      ? file.known(inputs[1])
      : list(ints(attributes.scales, []))
    : file.optional(inputs[2]);
  const sizes = old ? undefined : file.optional(inputs[3]);
  const factors = scales && scales.values.length > 0 ? [...scales.values] : undefined;
  if (attributes.axes || (factors ?? sizes?.values)?.length !== 4)
    throw new RangeError("sizes of four axes are expected");
  if (factors ? factors[0] !== 1 || factors[1] !== 1 : sizes!.values[1] !== shape[2])
    throw new RangeError("only images' places can be resized");
  const size = [0, 1].map((i) =>
    factors ? Math.floor(shape[i] * factors[i + 2]) : sizes!.values[i + 2],
  ) as [number, number];
  const mode = String(attributes.mode ?? "nearest");
  const transform = old ? "asymmetric" : String(attributes.coordinate_transformation_mode ?? "half_pixel");
  const nearest = String(attributes.nearest_mode ?? (old ? "floor" : "round_prefer_floor"));
  const whole = size.every((n, i) => n % shape[i] === 0);
  // Scales that do not lead to whole sizes are not the ratio of the sizes.
  if (
    factors &&
    transform !== "align_corners" &&
    size.some((n, i) => Math.abs(n - shape[i] * factors[i + 2]) > 1e-4)
  )
    throw new RangeError(`scales ${factors} of [${shape}] do not give whole sizes`);
  const settings = (
    interpolation: "nearest" | "bilinear",
    alignCorners: boolean,
    halfPixelCenters: boolean,
  ): Flow => ({
    tensor: to.resize(file.builder, nameOf(node), x, size, { interpolation, alignCorners, halfPixelCenters }),
    image: true,
  });
  if (mode === "nearest") {
    // Pixels that are repeated a whole number of times are so by several ways of counting.
    const repeats =
      (transform === "asymmetric" && nearest === "floor") ||
      (whole &&
        transform !== "align_corners" &&
        (transform === "half_pixel" ||
          transform === "tf_half_pixel_for_nn" ||
          transform === "pytorch_half_pixel"));
    if (repeats) return settings("nearest", false, false);
    throw new RangeError(`nearest pixels by ${transform} and ${nearest} are not supported`);
  }
  const known: Record<string, [boolean, boolean]> = {
    align_corners: [true, false],
    half_pixel: [false, true],
    pytorch_half_pixel: [false, true],
    asymmetric: [false, false],
  };
  if (mode !== "linear" || !known[transform])
    throw new RangeError(`resizing by ${mode} and ${transform} is not supported`);
  return settings("bilinear", ...known[transform]);
};

const slice: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const shape = file.shape(flow);
  const numbers = (i: number, name: string) =>
    node.inputs[i] ? [...file.known(node.inputs[i]).values] : (node.attributes[name] as number[] | undefined);
  const starts = numbers(1, "starts") ?? [];
  const ends = numbers(2, "ends") ?? [];
  const axes = numbers(3, "axes") ?? starts.map((_, i) => i);
  const steps = numbers(4, "steps") ?? starts.map(() => 1);
  const own = file.builder.shape(flow.tensor);
  const [begin, end, strides] = [own.map(() => 0), [...own], own.map(() => 1)];
  for (const [i, axis] of axes.entries()) {
    const [at] = heldAxes(flow, [axis], file);
    const size = shape[axis < 0 ? axis + shape.length : axis];
    const place = (value: number) => Math.max(0, Math.min(size, value < 0 ? value + size : value));
    [begin[at], end[at], strides[at]] = [place(starts[i]), place(ends[i]), steps[i]];
  }
  return { ...flow, tensor: to.slice(file.builder, nameOf(node), flow.tensor, begin, end, strides) };
};

const split: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const [axis] = heldAxes(flow, [Number(node.attributes.axis ?? 0)], file);
  const own = file.builder.shape(flow.tensor);
  const count = node.outputs.length;
  const sizes = node.inputs[1]
    ? [...file.known(node.inputs[1]).values]
    : ints(
        node.attributes.split,
        Array.from({ length: count }, () => own[axis] / count),
      );
  let at = 0;
  return sizes.map((size, i) => {
    const from = at;
    at += size;
    const place = (value: number, other: (n: number) => number) =>
      own.map((n, a) => (a === axis ? value : other(n)));
    const ones = own.map(() => 1);
    const name = `${nameOf(node)}/${i}`;
    const tensor = to.slice(
      file.builder,
      name,
      flow.tensor,
      place(from, () => 0),
      place(at, (n) => n),
      ones,
    );
    return { ...flow, tensor };
  });
};

const softmax: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const rank = file.shape(flow).length;
  const [axis] = heldAxes(flow, [Number(node.attributes.axis ?? (file.opset < 13 ? 1 : -1))], file);
  const last = file.builder.shape(flow.tensor).length - 1;
  // Before opset 13 all axes from this one on were one.
  if (
    axis !== last ||
    (file.opset < 13 && flow.image) ||
    (file.opset < 13 && rank !== 2 && !isLastAxis(node, rank))
  )
    throw new RangeError(
      `softmax over axis ${node.attributes.axis ?? "by default"} of ${rank} is not supported`,
    );
  return { ...flow, tensor: to.activation(file.builder, nameOf(node), flow.tensor, "softmax") };
};

const isLastAxis = ({ attributes }: OnnxNode, rank: number): boolean => {
  const axis = Number(attributes.axis ?? 1);
  return axis === -1 || axis === rank - 1;
};

const batchNormalization: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  const [gamma, beta, movingMean, movingVariance] = node.inputs.slice(1, 5).map((name) => file.floats(name));
  if (Number(node.attributes.training_mode ?? 0) !== 0) throw new RangeError("training is not supported");
  const own = file.builder.shape(flow.tensor);
  if (!flow.image && own.length !== 1) throw new RangeError(`a value of shape [${own}] is not supported`);
  if (movingMean.values.length !== own.at(-1))
    throw new RangeError(`${movingMean.values.length} channels of ${own.at(-1)}`);
  const attributes = {
    axis: -1,
    epsilon: Number(node.attributes.epsilon ?? 1e-5),
    momentum: 0.99,
    center: true,
    scale: true,
  };
  const weights = { gamma, beta, movingMean, movingVariance };
  return {
    ...flow,
    tensor: file.builder.add("batchNormalization", nameOf(node), [flow.tensor], attributes, weights),
  };
};

const prelu: Reader = (node, file) => {
  const flow = held(file.flow(node.inputs[0]), file);
  // Older exporters wrote one number a channel without axes behind it.
  const given = file.floats(node.inputs[1]);
  const channels = file.shape(flow)[1];
  const perChannel =
    given.shape.length === 1 && given.values.length === channels && flow.image && channels > 1;
  const alpha = meeting(flow, perChannel ? { shape: [channels, 1, 1], values: given.values } : given, file);
  const sharedAxes = alpha.shape.flatMap((size, axis) => (size === 1 ? [axis + 1] : []));
  return {
    ...flow,
    tensor: file.builder.add("prelu", nameOf(node), [flow.tensor], { sharedAxes }, { alpha }),
  };
};

const concat: Reader = (node, file) => {
  const flows = node.inputs.map((name) => file.flow(name));
  const { tensors, image } = together(flows, file);
  const [axis] = heldAxes({ tensor: tensors[0], image }, [Number(node.attributes.axis ?? 1)], file);
  return { tensor: to.concatenate(file.builder, nameOf(node), tensors, axis), image };
};

/** Codes and back: what lies between two grids is rounded in the file and not here. */
const through: Reader = (node, file) => {
  if (node.op.endsWith("Linear"))
    file.builder.notes.add(
      "activations are integers in the file and floats in the network, so outputs differ by their rounding",
    );
  return file.value(node.inputs[0]);
};

const power: Reader = each((node, file, x) => {
  const by = file.known(node.inputs[1]).values;
  if (by.length !== 1 || ![0.5, 1, 2].includes(by[0]))
    throw new RangeError(`powers of ${by[0]} are not supported`);
  return by[0] === 1 ? x : to.elementwise(file.builder, nameOf(node), x, by[0] === 2 ? "square" : "sqrt");
});

const readers: Record<string, Reader> = {
  Constant: (node) => {
    const { value, value_float, value_int, value_floats, value_ints } = node.attributes;
    const numbers = value_float ?? value_int;
    if (typeof numbers === "number")
      return {
        known: {
          shape: [],
          values: value_float === undefined ? Float64Array.of(numbers) : Float32Array.of(numbers),
        },
      };
    if (value_floats)
      return {
        known: {
          shape: [(value_floats as number[]).length],
          values: Float32Array.from(value_floats as number[]),
        },
      };
    if (value_ints) return { known: list(value_ints as number[]) };
    if (!value) throw new RangeError("a constant without numbers");
    return { known: numbersOf(value as OnnxTensor) };
  },
  Shape: (node, file) => {
    const value = file.value(node.inputs[0]);
    const shape = "known" in value ? [...value.known.shape] : file.shape(value);
    const { start = 0, end = shape.length } = node.attributes as Record<string, number>;
    return { known: list(shape.slice(start, end)) };
  },
  Conv: conv,
  ConvTranspose: convTranspose,
  Gemm: gemm,
  MatMul: (node, file) =>
    product(node, file, file.flow(node.inputs[0]), file.floats(node.inputs[1]), undefined),
  BatchNormalization: batchNormalization,
  Relu: activation("relu"),
  Sigmoid: activation("sigmoid"),
  Tanh: activation("tanh"),
  Softplus: activation("softplus"),
  Softsign: activation("softsign"),
  Selu: activation("selu"),
  HardSwish: layer("hardSwish"),
  HardSigmoid: layer("hardSigmoid", ({ attributes }) => ({
    alpha: Number(attributes.alpha ?? 0.2),
    beta: Number(attributes.beta ?? 0.5),
  })),
  Elu: layer("elu", ({ attributes }) => ({ alpha: Number(attributes.alpha ?? 1) })),
  LeakyRelu: layer("leakyReLU", ({ attributes }) => ({ alpha: Number(attributes.alpha ?? 0.01) })),
  PRelu: prelu,
  Clip: clip,
  Softmax: softmax,
  MaxPool: pool("maxPooling2d"),
  AveragePool: pool("averagePooling2d"),
  GlobalAveragePool: globalPool("mean"),
  GlobalMaxPool: globalPool("max"),
  ReduceMean: reduction("mean"),
  ReduceMax: reduction("max"),
  ReduceMin: reduction("min"),
  ReduceSum: reduction("sum"),
  Add: binary("add"),
  Sub: binary("subtract"),
  Mul: binary("multiply"),
  Div: binary("divide"),
  Max: extreme("maximum"),
  Min: extreme("minimum"),
  Sum: (node, file) => {
    const { tensors, image } = together(
      node.inputs.map((name) => file.flow(name)),
      file,
    );
    return {
      tensor: tensors.length === 1 ? tensors[0] : to.merge(file.builder, "add", nameOf(node), tensors),
      image,
    };
  },
  Mean: (node, file) => {
    const { tensors, image } = together(
      node.inputs.map((name) => file.flow(name)),
      file,
    );
    return { tensor: file.builder.add("average", nameOf(node), tensors), image };
  },
  Concat: concat,
  Reshape: reshape,
  Flatten: flatten,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Transpose: transpose,
  Pad: pad,
  Resize: resize,
  Upsample: resize,
  Slice: slice,
  Split: split,
  DepthToSpace: (node, file) => {
    const x = file.image(node.inputs[0]);
    if (String(node.attributes.mode ?? "DCR") !== "DCR") throw new RangeError("mode CRD is not supported");
    return {
      tensor: file.builder.add("depthToSpace", nameOf(node), [x], { blockSize: node.attributes.blocksize }),
      image: true,
    };
  },
  SpaceToDepth: (node, file) => {
    const x = file.image(node.inputs[0]);
    return {
      tensor: file.builder.add("spaceToDepth", nameOf(node), [x], { blockSize: node.attributes.blocksize }),
      image: true,
    };
  },
  Identity: through,
  Dropout: through,
  Cast: through,
  QuantizeLinear: through,
  DequantizeLinear: through,
  Abs: elementwise("abs"),
  Ceil: elementwise("ceil"),
  Cos: elementwise("cos"),
  Erf: elementwise("erf"),
  Exp: elementwise("exp"),
  Floor: elementwise("floor"),
  Log: elementwise("log"),
  Neg: elementwise("neg"),
  Reciprocal: elementwise("reciprocal"),
  Round: elementwise("round"),
  Sign: elementwise("sign"),
  Sin: elementwise("sin"),
  Sqrt: elementwise("sqrt"),
  Pow: power,
};

/** The operators that become layers. */
export const onnxReadable: readonly string[] = Object.keys(readers);
