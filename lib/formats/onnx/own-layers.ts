// Layers that TensorFlow.js lacks, as ONNX has them: what a network that came in from elsewhere goes out by again.
import { shapeOf, weightValues } from "../../graph/index.ts";
import type { Emit, Maker, Value } from "./maker.ts";
import type { OnnxAttribute } from "./model.ts";

type Node = Parameters<Emit>[0];

const scalar = (make: Maker, value: number): string =>
  make.constant(`number_${value}`, "FLOAT", [], Float32Array.of(value));

/** An axis, the batch not counted, as it lies in a value. */
const axisIn = (value: Value, axis: number): number => (value.image ? [2, 3, 1][axis] : axis + 1);

/** Numbers for each axis but the batch in the order of a value's axes. */
const inOrder = <T>(value: Value, numbers: readonly T[]): T[] =>
  value.image ? [numbers[2], numbers[0], numbers[1]] : [...numbers];

/** A weight of a number for each place or channel, with its axes where a value has them. */
function weight(node: Node, make: Maker, value: Value, role: string): string {
  const { shape } = node.weights[role];
  const values = weightValues(node, role)!;
  if (!value.image) return make.floats(`${node.name}/${role}`, values, shape);
  const [high, wide, channels] = shape;
  const turned = new Float32Array(values.length);
  for (let i = 0; i < turned.length; i++) {
    const [place, channel] = [i % (high * wide), Math.floor(i / (high * wide))];
    turned[i] = values[place * channels + channel];
  }
  return make.floats(`${node.name}/${role}`, turned, [channels, high, wide]);
}

const functions: Record<string, string> = {
  abs: "Abs",
  ceil: "Ceil",
  cos: "Cos",
  erf: "Erf",
  exp: "Exp",
  floor: "Floor",
  log: "Log",
  neg: "Neg",
  reciprocal: "Reciprocal",
  round: "Round",
  sign: "Sign",
  sin: "Sin",
  sqrt: "Sqrt",
};

const pair =
  (op: string): Emit =>
  (node, make) => {
    const [a, b] = [make.input(node, 0), make.input(node, 1)];
    return { ...a, name: make.op(op, [a.name, b.name]) };
  };

const line = (make: Maker, x: string, alpha: number, beta: number): string =>
  make.op("HardSigmoid", [x], { alpha, beta });

/** A permutation or a block's turn, on channels last. */
const plainly = (node: Node, make: Maker, op: (x: string) => string): Value =>
  make.placed(op(make.plain(make.input(node))), shapeOf(make.graph, node.outputs[0]));

/** What writes each kind. */
export const ownEmitters: Record<string, Emit> = {
  hardSwish: (node, make) => {
    const x = make.input(node);
    return { ...x, name: make.op("Mul", [x.name, line(make, x.name, 1 / 6, 0.5)]) };
  },
  hardSigmoid: (node, make) => {
    const x = make.input(node);
    const { alpha, beta } = node.attributes as Record<string, number>;
    return { ...x, name: line(make, x.name, alpha, beta) };
  },
  clip: (node, make) => {
    const x = make.input(node);
    const { min, max } = node.attributes as Record<string, number>;
    return { ...x, name: make.op("Clip", [x.name, scalar(make, min), scalar(make, max)]) };
  },
  elementwise: (node, make) => {
    const x = make.input(node);
    const what = String(node.attributes.function);
    if (what === "square") return { ...x, name: make.op("Mul", [x.name, x.name]) };
    if (what === "rsqrt") return { ...x, name: make.op("Reciprocal", [make.op("Sqrt", [x.name])]) };
    return { ...x, name: make.op(functions[what], [x.name]) };
  },
  affine: (node, make) => {
    const x = make.input(node);
    const scaled = make.op("Mul", [x.name, weight(node, make, x, "factor")]);
    return { ...x, name: make.op("Add", [scaled, weight(node, make, x, "offset")]) };
  },
  subtract: pair("Sub"),
  divide: pair("Div"),
  prelu: (node, make) => {
    const x = make.input(node);
    return { ...x, name: make.op("PRelu", [x.name, weight(node, make, x, "alpha")]) };
  },
  permute: (node, make) =>
    plainly(node, make, (x) =>
      make.op("Transpose", [x], { perm: [0, ...(node.attributes.dims as number[])] }),
    ),
  reduce: (node, make) => {
    const x = make.input(node);
    const { axes, keepDims } = node.attributes as { axes: number[]; keepDims: boolean };
    const what = String(node.attributes.function);
    const op = `Reduce${what[0].toUpperCase()}${what.slice(1)}`;
    const input = keepDims ? x.name : make.plain(x);
    const own = axes.map((axis) => (keepDims ? axisIn(x, axis) : axis + 1));
    const attributes = { keepdims: keepDims ? 1 : 0 };
    // Of these ReduceSum alone has its axes as an input in opset 13.
    const name =
      op === "ReduceSum"
        ? make.op(op, [input, make.integers(`${node.name}/axes`, own)], attributes)
        : make.op(op, [input], { ...attributes, axes: own });
    return { name, image: keepDims && x.image };
  },
  pad: (node, make) => {
    const x = make.input(node);
    const { paddings, value = 0 } = node.attributes as Record<string, never>;
    const mode = String(node.attributes.mode ?? "constant");
    if (mode === "symmetric")
      throw new RangeError(`${node.name}: symmetric padding cannot be written as ONNX`);
    const pads = inOrder(x, paddings as [number, number][]);
    const all = [0, ...pads.map(([before]) => before), 0, ...pads.map(([, after]) => after)];
    const inputs = [x.name, make.integers(`${node.name}/pads`, all)];
    if (value !== 0) inputs.push(scalar(make, value));
    return { ...x, name: make.op("Pad", inputs, { mode }) };
  },
  slice: (node, make) => {
    const x = make.input(node);
    const { begin, end, strides } = node.attributes as Record<string, number[]>;
    const list = (name: string, values: readonly number[]) =>
      make.integers(`${node.name}/${name}`, inOrder(x, values));
    const axes = begin.map((_, axis) => axis + 1);
    const inputs = [
      x.name,
      list("begin", begin),
      list("end", end),
      make.integers(`${node.name}/axes`, axes),
      list("strides", strides),
    ];
    return { ...x, name: make.op("Slice", inputs) };
  },
  resize: (node, make) => {
    const x = make.input(node);
    const { size, interpolation, alignCorners, halfPixelCenters } = node.attributes as Record<string, never>;
    const nearest = interpolation === "nearest";
    const channels = make.shape(node)[2];
    const attributes: Record<string, OnnxAttribute> = {
      mode: nearest ? "nearest" : "linear",
      coordinate_transformation_mode: alignCorners
        ? "align_corners"
        : halfPixelCenters
          ? nearest
            ? "tf_half_pixel_for_nn"
            : "half_pixel"
          : "asymmetric",
    };
    if (nearest) {
      // Dropped behind opset 12.
      if (halfPixelCenters && !alignCorners)
        throw new RangeError(`${node.name}: nearest pixels by their centres cannot be written as ONNX`);
      attributes.nearest_mode = alignCorners ? "round_prefer_ceil" : "floor";
    }
    const sizes = make.dynamicBatch(x.name, [channels, ...(size as number[])], node.name);
    return { ...x, name: make.op("Resize", [x.name, "", "", sizes], attributes) };
  },
  depthToSpace: (node, make) => {
    const x = make.input(node);
    // TensorFlow's order: depth, column, row.
    return {
      ...x,
      name: make.op("DepthToSpace", [x.name], { blocksize: Number(node.attributes.blockSize), mode: "DCR" }),
    };
  },
  spaceToDepth: (node, make) => {
    const x = make.input(node);
    return {
      ...x,
      name: make.op("SpaceToDepth", [x.name], { blocksize: Number(node.attributes.blockSize) }),
    };
  },
};
