// Layers that TensorFlow.js lacks, as TFLite has them: what a network that came in from elsewhere goes out by again.
import { weightValues } from "../../graph/index.ts";
import type { Emit, Maker, Value } from "./maker.ts";
import type { TfliteField, TfliteOp } from "./model.ts";

type Node = Parameters<Emit>[0];

const none: Record<number, TfliteField> = { 0: { byte: 0 } };

const simple =
  (op: TfliteOp, options: Record<number, TfliteField> = {}): Emit =>
  (node, make) =>
    make.op(op, node, [make.floats(node).tensor], options);

/** A constant of one number. */
const scalar = (make: Maker, value: number): number =>
  make.constant(`number ${value}`, "FLOAT32", [1], Float32Array.of(value));

function arithmetic(node: Node, make: Maker, op: "ADD" | "MUL" | "SUB" | "DIV", x: Value, by: number): Value {
  return make.op(op, node, [x.tensor, by], none);
}

/** ReLU6 of 6 times the line, by 6: the form that engines know. */
const hardSigmoid: Emit = (node, make) => {
  const { alpha, beta } = node.attributes as Record<string, number>;
  let x = make.floats(node);
  if (Math.fround(6 * alpha) !== 1) x = arithmetic(node, make, "MUL", x, scalar(make, 6 * alpha));
  x = arithmetic(node, make, "ADD", x, scalar(make, 6 * beta));
  x = make.op("RELU6", node, [x.tensor]);
  return arithmetic(node, make, "MUL", x, scalar(make, 1 / 6));
};

const pair = (op: "SUB" | "DIV"): Emit => {
  return (node, make) => make.op(op, node, [make.floats(node, 0).tensor, make.floats(node, 1).tensor], none);
};

const functions: Partial<Record<string, TfliteOp>> = {
  abs: "ABS",
  ceil: "CEIL",
  cos: "COS",
  exp: "EXP",
  floor: "FLOOR",
  log: "LOG",
  neg: "NEG",
  round: "ROUND",
  rsqrt: "RSQRT",
  sign: "SIGN",
  sin: "SIN",
  sqrt: "SQRT",
  square: "SQUARE",
};

const reductions: Record<string, TfliteOp> = {
  mean: "MEAN",
  max: "REDUCE_MAX",
  min: "REDUCE_MIN",
  sum: "SUM",
};

/** What writes each kind. */
export const ownEmitters: Record<string, Emit> = {
  hardSwish: simple("HARD_SWISH"),
  hardSigmoid,
  clip: (node, make) => {
    const { min, max } = node.attributes as Record<string, number>;
    const above = make.op("MAXIMUM", node, [make.floats(node).tensor, scalar(make, min)]);
    return make.op("MINIMUM", node, [above.tensor, scalar(make, max)]);
  },
  elementwise: (node, make) => {
    const what = String(node.attributes.function);
    const op = functions[what];
    if (op) return make.op(op, node, [make.floats(node).tensor]);
    if (what === "reciprocal") return make.op("DIV", node, [scalar(make, 1), make.floats(node).tensor], none);
    throw new RangeError(`${node.name}: ${what} cannot be written as TFLite`);
  },
  affine: (node, make) => {
    const weight = (role: string) =>
      make.constant(
        `${node.name}/${role}`,
        "FLOAT32",
        [1, ...node.weights[role].shape],
        Float32Array.from(weightValues(node, role)!),
      );
    const scaled = arithmetic(node, make, "MUL", make.floats(node), weight("factor"));
    return arithmetic(node, make, "ADD", scaled, weight("offset"));
  },
  subtract: pair("SUB"),
  divide: pair("DIV"),
  prelu: (node, make) => {
    const { shape } = node.weights.alpha;
    const alpha = Float32Array.from(weightValues(node, "alpha")!);
    const constant = make.constant(`${node.name}/alpha`, "FLOAT32", [...shape], alpha);
    return make.op("PRELU", node, [make.floats(node).tensor, constant]);
  },
  permute: (node, make) => {
    const order = [0, ...(node.attributes.dims as number[])];
    return make.op("TRANSPOSE", node, [make.floats(node).tensor, make.integers(`${node.name}/order`, order)]);
  },
  reduce: (node, make) => {
    const axes = (node.attributes.axes as number[]).map((axis) => axis + 1);
    const op = reductions[String(node.attributes.function)];
    return make.op(op, node, [make.floats(node).tensor, make.integers(`${node.name}/axes`, axes)], {
      0: { byte: node.attributes.keepDims ? 1 : 0 },
    });
  },
  pad: (node, make) => {
    const { paddings, mode = "constant", value = 0 } = node.attributes as Record<string, never>;
    const all = [[0, 0], ...(paddings as number[][])];
    const pads = make.integers(`${node.name}/pads`, all.flat(), [all.length, 2]);
    const x = make.floats(node).tensor;
    if (mode !== "constant")
      return make.op("MIRROR_PAD", node, [x, pads], { 0: { byte: mode === "symmetric" ? 1 : 0 } });
    return value === 0
      ? make.op("PAD", node, [x, pads])
      : make.op("PADV2", node, [x, pads, scalar(make, value)]);
  },
  slice: (node, make) => {
    const { begin, end, strides } = node.attributes as Record<string, number[]>;
    const list = (name: string, batch: number, values: number[]) =>
      make.integers(`${node.name}/${name}`, [batch, ...values]);
    return make.op("STRIDED_SLICE", node, [
      make.floats(node).tensor,
      list("begin", 0, begin),
      list("end", 1, end),
      list("strides", 1, strides),
    ]);
  },
  resize: (node, make) => {
    const { size, interpolation, alignCorners, halfPixelCenters } = node.attributes as Record<string, never>;
    const nearest = interpolation === "nearest";
    const flags = [alignCorners, halfPixelCenters].map((flag) => ({ byte: flag ? 1 : 0 }));
    return make.op(
      nearest ? "RESIZE_NEAREST_NEIGHBOR" : "RESIZE_BILINEAR",
      node,
      [make.floats(node).tensor, make.integers(`${node.name}/size`, size)],
      nearest ? { 0: flags[0], 1: flags[1] } : { 2: flags[0], 3: flags[1] },
    );
  },
  depthToSpace: (node, make) =>
    make.op("DEPTH_TO_SPACE", node, [make.floats(node).tensor], {
      0: { int: Number(node.attributes.blockSize) },
    }),
  spaceToDepth: (node, make) =>
    make.op("SPACE_TO_DEPTH", node, [make.floats(node).tensor], {
      0: { int: Number(node.attributes.blockSize) },
    }),
};
