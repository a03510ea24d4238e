// TensorFlow.js graph models as networks of layers: TensorFlow's operators by name, with weights beside them. Channels stand
// last, as here.
import { shown } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { reading, refuse } from "./error.ts";
import {
  type Constant,
  type ImportedNetwork,
  inOrder,
  NetworkBuilder,
  type Operation,
  readAll,
} from "./import/builder.ts";
import * as to from "./import/operators.ts";
import { simplified } from "./import/simplify.ts";
import { permuted } from "./network.ts";

/** A node as model.json has it: a NodeDef in JSON. */
interface NodeDef {
  name: string;
  op: string;
  input?: string[];
  attr?: Record<string, Attribute>;
}
interface Attribute {
  s?: string;
  i?: string | number;
  f?: number;
  b?: boolean;
  list?: { i?: (string | number)[]; s?: string[] };
  shape?: { dim?: { size: string | number }[]; unknownRank?: boolean };
}

type Value = { tensor: string } | { known: Constant };
type Reader = (call: Call, file: Reading) => Value;

/** An operator with its settings. */
class Call implements Operation {
  readonly name: string;
  readonly op: string;
  readonly inputs: string[];
  readonly outputs: string[];
  readonly #attr: Record<string, Attribute>;

  constructor({ name, op, input = [], attr = {} }: NodeDef) {
    [this.name, this.op, this.#attr] = [name, op, attr];
    // What only orders computations is no input; a first output has its node's name.
    this.inputs = input.filter((each) => !each.startsWith("^")).map((each) => each.replace(/:0$/, ""));
    this.outputs = [name];
  }

  text(name: string, fallback = ""): string {
    const value = this.#attr[name]?.s;
    return value === undefined ? fallback : fromBase64(value);
  }
  texts(name: string): string[] {
    return (this.#attr[name]?.list?.s ?? []).map(fromBase64);
  }
  flag(name: string): boolean {
    return this.#attr[name]?.b === true;
  }
  float(name: string, fallback: number): number {
    return Number(this.#attr[name]?.f ?? fallback);
  }
  int(name: string, fallback: number): number {
    return Number(this.#attr[name]?.i ?? fallback);
  }
  ints(name: string): number[] {
    return (this.#attr[name]?.list?.i ?? []).map(Number);
  }
  /** Rows and columns of a list for [batch, high, wide, channels]. */
  pair(name: string): [number, number] {
    const all = this.ints(name);
    if (all.length === 0) return [1, 1];
    if (all.length !== 4 || all[0] !== 1 || all[3] !== 1)
      throw new RangeError(`${name} ${all} are not supported`);
    return [all[1], all[2]];
  }
  sizes(): number[] | undefined {
    return this.#attr.shape?.shape?.dim?.map(({ size }) => Number(size));
  }
}

/** Whether a value of a file has the shape of a node; what its texts and numbers are, its reader looks at. */
function isNode(value: unknown): value is NodeDef {
  const { name, op, input = [], attr = {} } = Object(value) as Record<string, unknown>;
  const isList = (all: unknown): all is unknown[] => Array.isArray(all);
  const isObject = (one: unknown) => typeof one === "object" && one !== null;
  const isAttribute = (one: unknown) => {
    if (!isObject(one)) return false;
    const { list = {}, shape = {} } = one as Record<string, unknown>;
    if (!isObject(list) || !isObject(shape)) return false;
    const { i = [], s = [] } = list as Record<string, unknown>;
    const { dim = [] } = shape as Record<string, unknown>;
    return isList(i) && isList(s) && isList(dim) && dim.every(isObject);
  };
  return (
    typeof name === "string" &&
    typeof op === "string" &&
    isList(input) &&
    input.every((each) => typeof each === "string") &&
    isObject(attr) &&
    Object.values(attr as object).every(isAttribute)
  );
}

function fromBase64(value: string): string {
  try {
    return atob(value);
  } catch (error) {
    throw new RangeError(`a setting must be a text in base64, got ${shown(value)}`, { cause: error });
  }
}

/**
 * Makes a network of a TensorFlow.js graph model.
 *
 * @param topology `modelTopology` of model.json
 * @param weights the numbers of its constants, by node
 * @param file what error messages call it
 * @throws FormatError that names all operators which no layer is known for, or what is damaged
 */
export function importGraphModel(
  topology: unknown,
  weights: ReadonlyMap<string, Constant>,
  file = "the model",
): ImportedNetwork {
  return reading(file, () => {
    const nodes = (topology as { node?: unknown } | null)?.node;
    if (!Array.isArray(nodes) || nodes.length === 0 || !nodes.every(isNode))
      refuse(file, "has no list of operators");
    const calls = inOrder(nodes.map((node) => new Call(node)));
    const read = calls.filter(({ inputs }) => inputs.length > 0);
    const used = new Set(calls.flatMap(({ inputs }) => inputs));
    const state = new Reading(file, weights);
    readAll(
      file,
      calls,
      ({ op }) => Object.hasOwn(readers, op),
      (call) => state.put(call.name, readers[call.op](call, state)),
    );
    const outputs = read.filter(({ name }) => !used.has(name)).map(({ name }) => state.flow(name));
    const { graph, notes } = state.builder.finish(file.replace(/^.*[/\\]|\.json$/g, ""), outputs);
    return { graph: simplified(graph), notes };
  });
}

class Reading {
  readonly builder: NetworkBuilder;
  readonly weights: ReadonlyMap<string, Constant>;
  readonly #values = new Map<string, Value>();

  constructor(file: string, weights: ReadonlyMap<string, Constant>) {
    this.builder = new NetworkBuilder(file);
    this.weights = weights;
  }

  put(name: string, value: Value): void {
    this.#values.set(name, value);
  }
  value(name: string | undefined): Value {
    const value = this.#values.get(name ?? "");
    if (!value) throw new RangeError(name ? `${shown(name)} is not there` : "an input is missing");
    return value;
  }
  flow(name: string): string {
    const value = this.value(name);
    if ("known" in value) throw new RangeError(`${shown(name)} is a constant where a value is expected`);
    return value.tensor;
  }
  known(name: string): Constant {
    const value = this.value(name);
    if (!("known" in value)) throw new RangeError(`${shown(name)} is computed where a constant is expected`);
    return value.known;
  }
}

const fusions: Record<string, string> = { Relu: "relu", Relu6: "relu6", Elu: "elu", Sigmoid: "sigmoid" };

/** What is fused into a convolution or product: a bias, and an activation. */
function fusedOf(call: Call, file: Reading): { bias?: Constant; activate: (x: string) => string } {
  const ops = call.texts("fused_ops");
  const bias = ops[0] === "BiasAdd" ? file.known(call.inputs[2]) : undefined;
  const rest = ops.slice(bias ? 1 : 0);
  return {
    bias,
    activate: (x) =>
      rest.reduce((tensor, op) => {
        if (op === "LeakyRelu")
          return file.builder.add(`leakyReLU`, `${call.name}/leaky`, [tensor], {
            alpha: call.float("leakyrelu_alpha", 0.2),
          });
        if (!fusions[op]) throw new RangeError(`fused ${op} is not supported`);
        return to.activation(file.builder, `${call.name}/${fusions[op]}`, tensor, fusions[op]);
      }, x),
  };
}

function settingsOf(call: Call) {
  if (call.text("data_format", "NHWC") !== "NHWC") throw new RangeError("channels first are not supported");
  const padding = call.text("padding");
  if (padding === "EXPLICIT") {
    const pads = call.ints("explicit_paddings");
    return {
      strides: call.pair("strides"),
      dilation: call.pair("dilations"),
      padding: { high: [pads[2], pads[3]], wide: [pads[4], pads[5]] } as const,
    };
  }
  if (padding !== "SAME" && padding !== "VALID")
    throw new RangeError(`padding ${shown(padding)} is not supported`);
  return {
    strides: call.pair("strides"),
    dilation: call.pair("dilations"),
    padding: padding === "SAME" ? ("same" as const) : ("valid" as const),
  };
}

const convolution =
  (kind: "conv2d" | "depthwiseConv2d"): Reader =>
  (call, file) => {
    const kernel = file.known(call.inputs[1]);
    if (kernel.shape.length !== 4) throw new RangeError(`kernel must have 4 axes, got [${kernel.shape}]`);
    const { bias, activate } = fusedOf(call, file);
    const x = file.flow(call.inputs[0]);
    return {
      tensor: activate(to.convolution(file.builder, kind, call.name, x, kernel, bias, settingsOf(call))),
    };
  };

const product: Reader = (call, file) => {
  let { shape, values } = file.known(call.inputs[1]);
  if (shape.length !== 2) throw new RangeError(`kernel must have 2 axes, got [${shape}]`);
  if (call.flag("transpose_a")) throw new RangeError("transpose_a is not supported");
  if (call.flag("transpose_b")) [values, shape] = [permuted(values, shape, [1, 0]), [shape[1], shape[0]]];
  const { bias, activate } = fusedOf(call, file);
  return {
    tensor: activate(to.dense(file.builder, call.name, file.flow(call.inputs[0]), { shape, values }, bias)),
  };
};

const ofTwo =
  (kind: Parameters<typeof to.ofTwo>[1]): Reader =>
  (call, file) => {
    const [first, second] = call.inputs;
    return { tensor: to.ofTwo(file.builder, kind, call.name, file.value(first), file.value(second)) };
  };

const pool =
  (kind: "maxPooling2d" | "averagePooling2d"): Reader =>
  (call, file) => {
    const x = file.flow(call.inputs[0]);
    return { tensor: to.pooling(file.builder, kind, call.name, x, call.pair("ksize"), settingsOf(call)) };
  };

const activation =
  (name: string): Reader =>
  (call, file) => ({ tensor: to.activation(file.builder, call.name, file.flow(call.inputs[0]), name) });

const elementwise =
  (name: Parameters<typeof to.elementwise>[3]): Reader =>
  (call, file) => ({ tensor: to.elementwise(file.builder, call.name, file.flow(call.inputs[0]), name) });

/** Axes with the batch counted, without. */
const ownAxes = (axes: Iterable<number>, rank: number): number[] =>
  [...axes].map((axis) => {
    const own = (axis < 0 ? axis + rank + 1 : axis) - 1;
    if (!(own >= 0 && own < rank)) throw new RangeError(`axis ${axis} is not supported`);
    return own;
  });

const reduction =
  (what: Parameters<typeof to.reduce>[3]): Reader =>
  (call, file) => {
    const x = file.flow(call.inputs[0]);
    const axes = ownAxes(file.known(call.inputs[1]).values, file.builder.shape(x).length);
    return { tensor: to.reduce(file.builder, call.name, x, what, axes, call.flag("keep_dims")) };
  };

const through: Reader = (call, file) => file.value(call.inputs[0]);

const batchNormalization: Reader = (call, file) => {
  const x = file.flow(call.inputs[0]);
  const [gamma, beta, movingMean, movingVariance] = call.inputs.slice(1, 5).map((name) => file.known(name));
  if (call.flag("is_training")) throw new RangeError("training is not supported");
  if (movingMean.values.length !== file.builder.shape(x).at(-1))
    throw new RangeError("other channels than its input");
  const attributes = {
    axis: -1,
    epsilon: call.float("epsilon", 1e-4),
    momentum: 0.99,
    center: true,
    scale: true,
  };
  const weights = { gamma, beta, movingMean, movingVariance };
  return { tensor: file.builder.add("batchNormalization", call.name, [x], attributes, weights) };
};

const padding =
  (valueAt?: number): Reader =>
  (call, file) => {
    const { values } = file.known(call.inputs[1]);
    if (values[0] || values[1]) throw new RangeError("a padded batch is not supported");
    const pairs = Array.from(
      { length: values.length / 2 - 1 },
      (_, i) => [values[2 * i + 2], values[2 * i + 3]] as const,
    );
    const value = valueAt === undefined ? 0 : file.known(call.inputs[valueAt]).values[0];
    return { tensor: to.pad(file.builder, call.name, file.flow(call.inputs[0]), pairs, "constant", value) };
  };

const resized =
  (interpolation: "bilinear" | "nearest"): Reader =>
  (call, file) => {
    const [high, wide] = file.known(call.inputs[1]).values;
    const settings = {
      interpolation,
      alignCorners: call.flag("align_corners"),
      halfPixelCenters: call.flag("half_pixel_centers"),
    };
    return { tensor: to.resize(file.builder, call.name, file.flow(call.inputs[0]), [high, wide], settings) };
  };

const blocks =
  (kind: "depthToSpace" | "spaceToDepth"): Reader =>
  (call, file) => ({
    tensor: file.builder.add(kind, call.name, [file.flow(call.inputs[0])], {
      blockSize: call.int("block_size", 2),
    }),
  });

const readers: Record<string, Reader> = {
  Placeholder: (call, file) => {
    const sizes = call.sizes();
    if (!sizes || sizes.length < 2 || sizes.slice(1).some((size) => !(size > 0)))
      throw new RangeError(`sizes that are not fixed, [${sizes ?? "?"}], are not supported`);
    return { tensor: file.builder.input(call.name, sizes.slice(1)) };
  },
  Const: (call, file) => {
    const known = file.weights.get(call.name);
    if (!known) throw new RangeError("has no numbers beside the model");
    return { known };
  },
  Identity: through,
  Conv2D: convolution("conv2d"),
  _FusedConv2D: convolution("conv2d"),
  DepthwiseConv2dNative: convolution("depthwiseConv2d"),
  FusedDepthwiseConv2dNative: convolution("depthwiseConv2d"),
  MatMul: product,
  _FusedMatMul: product,
  BiasAdd: ofTwo("add"),
  Add: ofTwo("add"),
  AddV2: ofTwo("add"),
  Sub: ofTwo("subtract"),
  Mul: ofTwo("multiply"),
  RealDiv: ofTwo("divide"),
  Maximum: ofTwo("maximum"),
  Minimum: ofTwo("minimum"),
  Relu: activation("relu"),
  Relu6: activation("relu6"),
  Elu: activation("elu"),
  Selu: activation("selu"),
  Sigmoid: activation("sigmoid"),
  Tanh: activation("tanh"),
  Softplus: activation("softplus"),
  Softmax: activation("softmax"),
  LeakyRelu: (call, file) => ({
    tensor: file.builder.add("leakyReLU", call.name, [file.flow(call.inputs[0])], {
      alpha: call.float("alpha", 0.2),
    }),
  }),
  Prelu: (call, file) => {
    const x = file.flow(call.inputs[0]);
    const alpha = to.aligned(file.known(call.inputs[1]), file.builder.shape(x));
    const sharedAxes = alpha.shape.flatMap((size, axis) => (size === 1 ? [axis + 1] : []));
    return { tensor: file.builder.add("prelu", call.name, [x], { sharedAxes }, { alpha }) };
  },
  MaxPool: pool("maxPooling2d"),
  AvgPool: pool("averagePooling2d"),
  Mean: reduction("mean"),
  Max: reduction("max"),
  Min: reduction("min"),
  Sum: reduction("sum"),
  FusedBatchNorm: batchNormalization,
  FusedBatchNormV2: batchNormalization,
  FusedBatchNormV3: batchNormalization,
  ConcatV2: (call, file) => {
    const names = call.inputs.slice(0, -1).map((name) => file.flow(name));
    const { values } = file.known(call.inputs.at(-1)!);
    const [axis] = ownAxes(values, file.builder.shape(names[0]).length);
    return { tensor: to.concatenate(file.builder, call.name, names, axis) };
  },
  Squeeze: (call, file) => {
    const x = file.flow(call.inputs[0]);
    const shape = file.builder.shape(x);
    const given = ownAxes(call.ints("squeeze_dims"), shape.length);
    const gone = (size: number, axis: number) => size === 1 && (given.length === 0 || given.includes(axis));
    return {
      tensor: to.reshape(
        file.builder,
        call.name,
        x,
        shape.filter((size, axis) => !gone(size, axis)),
      ),
    };
  },
  Reshape: (call, file) => {
    const x = file.flow(call.inputs[0]);
    const [batch, ...shape] = file.known(call.inputs[1]).values;
    const all = elements(file.builder.shape(x));
    const open = shape.indexOf(-1);
    if (open >= 0) shape[open] = all / elements(shape.toSpliced(open, 1));
    if (![-1, 1].includes(batch) || elements(shape) !== all)
      throw new RangeError(`shape [${batch},${shape}] is not supported`);
    return { tensor: to.reshape(file.builder, call.name, x, shape) };
  },
  Pad: padding(),
  PadV2: padding(2),
  ResizeBilinear: resized("bilinear"),
  ResizeNearestNeighbor: resized("nearest"),
  DepthToSpace: blocks("depthToSpace"),
  SpaceToDepth: blocks("spaceToDepth"),
  Abs: elementwise("abs"),
  Exp: elementwise("exp"),
  Log: elementwise("log"),
  Neg: elementwise("neg"),
  Rsqrt: elementwise("rsqrt"),
  Sqrt: elementwise("sqrt"),
  Square: elementwise("square"),
};

/** The operators that become layers. */
export const graphModelReadable: readonly string[] = Object.keys(readers);
