// ONNX operators that compute: products, sums, activations, reductions, normalisation.

import type { Constant } from "../import/builder.ts";
import * as to from "../import/operators.ts";
import { permuted } from "../network.ts";
import { axesOf } from "./constants.ts";
import type { OnnxNode } from "./model.ts";
import {
  each,
  type Flow,
  held,
  heldAxes,
  meeting,
  nameOf,
  type Reader,
  type Reading,
  together,
  type Value,
} from "./reading.ts";

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

export function product(
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

export const gemm: Reader = (node, file) => {
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

export const binary =
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

export const extreme =
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

export const activation = (name: string): Reader =>
  each((node, { builder }, x) => to.activation(builder, nameOf(node), x, name));

export const layer = (
  kind: string,
  attributes: (node: OnnxNode) => Record<string, unknown> = () => ({}),
): Reader => each((node, { builder }, x) => builder.add(kind, nameOf(node), [x], attributes(node)));

export const elementwise = (what: Parameters<typeof to.elementwise>[3]): Reader =>
  each((node, { builder }, x) => to.elementwise(builder, nameOf(node), x, what));

export const clip: Reader = each((node, file, x) => {
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

export function reduction(what: Parameters<typeof to.reduce>[3]): Reader {
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

export const globalPool =
  (what: "mean" | "max"): Reader =>
  (node, file) => {
    const tensor = file.image(node.inputs[0]);
    return reduced(node, file, { tensor, image: true }, what, [0, 1], true);
  };

export const softmax: Reader = (node, file) => {
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

export const batchNormalization: Reader = (node, file) => {
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

export const prelu: Reader = (node, file) => {
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

export const power: Reader = each((node, file, x) => {
  const by = file.known(node.inputs[1]).values;
  if (by.length !== 1 || ![0.5, 1, 2].includes(by[0]))
    throw new RangeError(`powers of ${by[0]} are not supported`);
  return by[0] === 1 ? x : to.elementwise(file.builder, nameOf(node), x, by[0] === 2 ? "square" : "sqrt");
});
