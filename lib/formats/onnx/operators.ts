// Every ONNX operator that becomes layers, by name.

import * as to from "../import/operators.ts";
import {
  activation,
  batchNormalization,
  binary,
  clip,
  elementwise,
  extreme,
  gemm,
  globalPool,
  layer,
  power,
  prelu,
  product,
  reduction,
  softmax,
} from "./arithmetic.ts";
import { list, numbersOf } from "./constants.ts";
import type { OnnxTensor } from "./model.ts";
import { nameOf, type Reader, together } from "./reading.ts";
import {
  concat,
  flatten,
  pad,
  reshape,
  slice,
  split,
  squeeze,
  through,
  transpose,
  unsqueeze,
} from "./shapes.ts";
import { conv, convTranspose, pool, resize } from "./windows.ts";

/** What reads each operator. */
export const readers: Record<string, Reader> = {
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
