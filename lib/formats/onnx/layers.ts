// Each kind of layer as ONNX's operators.
import { activationOf, type GraphNode, pairOf, shapeOf, weightValues } from "../../graph/index.ts";
import { samePads } from "../../util/window.ts";
import { permuted } from "../network.ts";
import type { Emit, Maker, Value } from "./maker.ts";
import type { OnnxAttribute } from "./model.ts";
import { ownEmitters } from "./own-layers.ts";

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
export const activations: Record<string, Activation> = {
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
  const [[top, bottom], [left, right]] = [0, 1].map((i) =>
    samePads(shape[i], window[i], strides[i], dilation[i]),
  );
  return [top, left, bottom, right];
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

export const emitters: Record<string, Emit> = {
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
