// Each kind of layer as TFLite's operators.
import { activationOf, type GraphNode, normalisationOf, pairOf, weightValues } from "../../graph/index.ts";
import { permuted } from "../network.ts";
import { type Emit, type Maker, type Value, versions } from "./maker.ts";
import type { TfliteField, TfliteOp } from "./model.ts";
import { ownEmitters } from "./own-layers.ts";

/** Fused activations by their number in the file. */
const fused: Record<string, number> = { linear: 0, relu: 1, relu6: 3 };

type Activation = (node: GraphNode, make: Maker, value: Value) => Value;

const simple =
  (op: TfliteOp): Activation =>
  (node, make, { tensor }) =>
    make.op(op, node, [tensor]);

/** Activations that are operators of their own, on floats. */
export const activations: Record<string, Activation> = {
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

export const emitters: Record<string, Emit> = {
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
