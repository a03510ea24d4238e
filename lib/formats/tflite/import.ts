// A TFLite file as a network of layers: TFLite has our layout, so one operator is mostly one layer.
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
import { codesOf, decodeTflite, floatsOf, type ReadOperator, type ReadTensor } from "./read.ts";

/** A value of the file: a layer's output, or numbers. */
type Value = { tensor: string } | { constant: number };

interface Call extends Operation {
  operator: ReadOperator;
}

type Reader = (call: Call, file: Reading) => Value | Value[];

/**
 * Makes a network of a .tflite file: convolutional networks with one example as their batch. Weights of 4, 8 and 16 bits, and
 * sparse ones, become floats. Where the file computes in integers the network computes in floats, and a note says so.
 *
 * @param file what error messages call it
 * @throws FormatError that names all operators which no layer is known for, or what is damaged
 */
export function importTflite(bytes: Uint8Array, file = "the file"): ImportedNetwork {
  return readingFrom(file, () => networkOf(bytes, file));
}

function networkOf(bytes: Uint8Array, file: string): ImportedNetwork {
  const model = decodeTflite(bytes, file);
  const reading = new Reading(file, model.tensors);
  for (const index of model.inputs) reading.input(index);
  const calls = model.operators.map(
    (operator): Call => ({
      operator,
      op: operator.op,
      name: model.tensors[operator.outputs[0]]?.name ?? "",
      inputs: operator.inputs.filter((index) => index >= 0).map(String),
      outputs: operator.outputs.map(String),
    }),
  );
  readAll(
    file,
    calls,
    ({ op }) => Object.hasOwn(readers, op),
    (call) => reading.put(call, readers[call.op](call, reading)),
  );
  const outputs = model.outputs.map((index) => reading.flowing(index));
  const { graph, notes } = reading.builder.finish(file.replace(/^.*[/\\]|\.tflite$/g, ""), outputs);
  return { graph: simplified(graph), notes };
}

class Reading {
  readonly builder: NetworkBuilder;
  readonly tensors: ReadTensor[];
  readonly #file: string;
  readonly #values = new Map<number, Value>();

  constructor(file: string, tensors: ReadTensor[]) {
    this.#file = file;
    this.builder = new NetworkBuilder(file);
    this.tensors = tensors;
  }

  input(index: number): void {
    const { name, shape, type } = this.tensors[index];
    if (shape.length < 2 || shape.some((size, axis) => axis > 0 && size < 1))
      refuse(this.#file, `input ${shown(name)} has shape [${shape}]: the batch and fixed sizes are expected`);
    if (type === "INT8" || type === "UINT8" || type === "INT16") this.#integers();
    else if (type !== "FLOAT32")
      refuse(this.#file, `input ${shown(name)} is of ${type}: numbers in floats are expected`);
    this.#values.set(index, { tensor: this.builder.input(name, shape.slice(1)) });
  }

  #integers(): void {
    this.builder.notes.add(
      "activations are integers in the file and floats in the network, so outputs differ by their rounding",
    );
  }

  value(index: number): Value {
    const known = this.#values.get(index);
    if (known) return known;
    if (!this.tensors[index]) throw new RangeError("an input is missing");
    if (!this.tensors[index].bytes)
      throw new RangeError(`tensor ${shown(this.tensors[index].name)} is read before it is written`);
    return { constant: index };
  }

  /** The name of a value that flows. */
  flowing(index: number): string {
    const value = this.value(index);
    if ("constant" in value)
      refuse(this.#file, `tensor ${shown(this.tensors[index].name)} is a constant where a value is expected`);
    return value.tensor;
  }

  /** Keeps what an operator gives out. */
  put({ operator }: Call, result: Value | Value[]): void {
    const values = [result].flat();
    for (const [i, index] of operator.outputs.entries()) {
      const tensor = this.tensors[index];
      if (this.#values.has(index) || tensor.bytes)
        throw new RangeError(`tensor ${shown(tensor.name)} is written twice`);
      const value = values[i];
      if (!value) throw new RangeError(`gives ${values.length} values, got ${operator.outputs.length} names`);
      // What is said of shapes in the file and what follows from the layers must be one.
      if ("tensor" in value) this.#checkShape(tensor, value.tensor);
      if ("tensor" in value && /^U?INT(8|16)$/.test(tensor.type)) this.#integers();
      this.#values.set(index, value);
    }
  }

  #checkShape({ name, shape }: ReadTensor, tensor: string): void {
    const own = this.builder.shape(tensor);
    if (shape.length === 0) return;
    if (
      shape.length !== own.length + 1 ||
      own.some((size, axis) => shape[axis + 1] >= 0 && shape[axis + 1] !== size)
    )
      throw new RangeError(
        `gives ${shown(name)} the shape [${own}], where the file says [${shape.slice(1)}]`,
      );
  }

  /** A constant's numbers as floats. */
  constant(index: number): Constant {
    const value = this.value(index);
    if (!("constant" in value)) throw new RangeError("an input that is no constant where one is expected");
    const tensor = this.tensors[value.constant];
    return { shape: tensor.shape, values: floatsOf(tensor) };
  }

  optional(index: number | undefined): Constant | undefined {
    return index === undefined || index < 0 ? undefined : this.constant(index);
  }

  /** A constant's whole numbers. */
  integers(index: number): number[] {
    const value = this.value(index);
    if (!("constant" in value)) throw new RangeError("sizes that are computed are not supported");
    return [...codesOf(this.tensors[value.constant])];
  }

  isConstant(index: number): boolean {
    return "constant" in this.value(index);
  }
}

const fused = ["linear", "relu", "reluN1To1", "relu6", "tanh"] as const;

/** An activation that is part of an operator: the layer's own where it can be. */
function fusedOf({ operator }: Call, slot: number): (typeof fused)[number] {
  const activation = fused[operator.options?.byte(slot) ?? 0];
  if (!activation) throw new RangeError(`fused activation ${operator.options?.byte(slot)} is not supported`);
  return activation;
}

/** A fused activation as a layer of its own. */
function activated(file: Reading, name: string, x: string, activation: (typeof fused)[number]): Value {
  if (activation === "reluN1To1") return { tensor: to.clip(file.builder, `${name}/clip`, x, -1, 1) };
  return { tensor: to.activation(file.builder, `${name}/activation`, x, activation) };
}

const paddingOf = ({ operator }: Call): "same" | "valid" =>
  operator.options?.byte(0) === 1 ? "valid" : "same";

/** Strides, and behind them dilation, by slots: TFLite has the width first. */
function settingsOf(call: Call, dilationSlot: number) {
  const { options } = call.operator;
  return {
    padding: paddingOf(call),
    strides: [options?.int(2) ?? 0, options?.int(1) ?? 0] as const,
    dilation: [options?.int(dilationSlot + 1, 1) ?? 1, options?.int(dilationSlot, 1) ?? 1] as const,
  };
}

const turned = ({ shape, values }: Constant, order: number[]): Constant => ({
  shape: order.map((axis) => shape[axis]),
  values: permuted(values, shape, order),
});

function rankOf({ shape }: Constant, rank: number): void {
  if (shape.length !== rank) throw new RangeError(`kernel must have ${rank} axes, got [${shape}]`);
}

/** A layer with a kernel, which has its activation itself, but for the one that no layer has. */
function withActivation(
  call: Call,
  file: Reading,
  slot: number,
  layer: (activation: string) => string,
): Value {
  const activation = fusedOf(call, slot);
  if (activation === "reluN1To1") return activated(file, call.name, layer("linear"), activation);
  return { tensor: layer(activation) };
}

const conv2d: Reader = (call, file) => {
  const [x, kernel, bias] = call.operator.inputs;
  const weights = file.constant(kernel);
  rankOf(weights, 4);
  return withActivation(call, file, 3, (activation) =>
    to.convolution(
      file.builder,
      "conv2d",
      call.name,
      file.flowing(x),
      turned(weights, [1, 2, 3, 0]),
      file.optional(bias),
      { ...settingsOf(call, 4), activation },
    ),
  );
};

const depthwise: Reader = (call, file) => {
  const [x, kernel, bias] = call.operator.inputs;
  const { shape, values } = file.constant(kernel);
  rankOf({ shape, values }, 4);
  const channels = file.builder.shape(file.flowing(x)).at(-1)!;
  const multiplier = shape[3] / channels;
  if (!Number.isInteger(multiplier)) throw new RangeError(`${shape[3]} filters for ${channels} channels`);
  return withActivation(call, file, 4, (activation) =>
    to.convolution(
      file.builder,
      "depthwiseConv2d",
      call.name,
      file.flowing(x),
      { shape: [shape[1], shape[2], channels, multiplier], values },
      file.optional(bias),
      { ...settingsOf(call, 5), activation },
    ),
  );
};

const fullyConnected: Reader = (call, file) => {
  const [x, kernel, bias] = call.operator.inputs;
  const weights = file.constant(kernel);
  rankOf(weights, 2);
  const b = file.builder;
  let input = file.flowing(x);
  // Rows that are not laid out as such are, where the file does not say to keep their axes.
  if (b.shape(input).at(-1) !== weights.shape[1] || call.operator.options?.byte(2) !== 1)
    input = to.reshape(b, `${call.name}/flatten`, input, [elements(b.shape(input))]);
  return withActivation(call, file, 0, (activation) =>
    to.dense(b, call.name, input, turned(weights, [1, 0]), file.optional(bias), activation),
  );
};

const pool =
  (kind: "maxPooling2d" | "averagePooling2d"): Reader =>
  (call, file) => {
    const { options, inputs } = call.operator;
    const window = [options?.int(4) ?? 0, options?.int(3) ?? 0] as const;
    const { padding, strides } = settingsOf(call, 6);
    const x = to.pooling(file.builder, kind, call.name, file.flowing(inputs[0]), window, {
      padding,
      strides,
    });
    return activated(file, call.name, x, fusedOf(call, 5));
  };

/** An operator of two values, either of which may be a constant. */
const ofTwo =
  (kind: Parameters<typeof to.ofTwo>[1]): Reader =>
  (call, file) => {
    const [first, second] = call.operator.inputs.map((index) =>
      file.isConstant(index) ? { known: file.constant(index) } : { tensor: file.flowing(index) },
    );
    const x = to.ofTwo(file.builder, kind, call.name, first, second);
    // (What gives the larger or the smaller has no activation of its own.)
    return kind === "maximum" || kind === "minimum"
      ? { tensor: x }
      : activated(file, call.name, x, fusedOf(call, 0));
  };

const activation =
  (name: string): Reader =>
  (call, file) => ({
    tensor: to.activation(file.builder, call.name, file.flowing(call.operator.inputs[0]), name),
  });

const elementwise =
  (name: Parameters<typeof to.elementwise>[3]): Reader =>
  (call, file) => ({
    tensor: to.elementwise(file.builder, call.name, file.flowing(call.operator.inputs[0]), name),
  });

const layer =
  (kind: string, attributes: (call: Call) => Record<string, unknown> = () => ({})): Reader =>
  (call, file) => ({
    tensor: file.builder.add(kind, call.name, [file.flowing(call.operator.inputs[0])], attributes(call)),
  });

/** What goes through: its numbers are the same, or the same but for integers' rounding. */
const through: Reader = (call, file) => file.value(call.operator.inputs[0]);

/** Axes as the file counts them, the batch among them, as we do. */
function ownAxes(axes: readonly number[], rank: number): number[] {
  return axes.map((axis) => {
    const own = (axis < 0 ? axis + rank + 1 : axis) - 1;
    if (own < 0) throw new RangeError("the batch's axis is not supported");
    return own;
  });
}

const reduction =
  (what: Parameters<typeof to.reduce>[3]): Reader =>
  (call, file) => {
    const { inputs, options } = call.operator;
    const x = file.flowing(inputs[0]);
    const axes = ownAxes(file.integers(inputs[1]), file.builder.shape(x).length);
    return { tensor: to.reduce(file.builder, call.name, x, what, axes, options?.byte(0) === 1) };
  };

/** By the shape that the file gives the output. */
const reshaped: Reader = (call, file) => {
  const x = file.flowing(call.operator.inputs[0]);
  const { shape } = file.tensors[call.operator.outputs[0]];
  const own = shape.slice(1);
  if (shape[0] !== 1 && shape[0] !== -1)
    throw new RangeError(`a batch that becomes ${shape[0]} is not supported`);
  if (own.some((size) => size < 0)) throw new RangeError("sizes that are not fixed are not supported");
  return { tensor: to.reshape(file.builder, call.name, x, own) };
};

const padding =
  (mode: (call: Call, file: Reading) => { mode?: "reflect" | "symmetric"; value?: number }): Reader =>
  (call, file) => {
    const [x, pads] = call.operator.inputs;
    const numbers = file.integers(pads);
    const pairs = Array.from(
      { length: numbers.length / 2 },
      (_, i) => [numbers[2 * i], numbers[2 * i + 1]] as const,
    );
    if (pairs[0]?.some((n) => n !== 0)) throw new RangeError("a padded batch is not supported");
    const settings = mode(call, file);
    return {
      tensor: to.pad(file.builder, call.name, file.flowing(x), pairs.slice(1), settings.mode, settings.value),
    };
  };

const resized =
  (interpolation: "nearest" | "bilinear", alignSlot: number): Reader =>
  (call, file) => {
    const { inputs, options } = call.operator;
    const [high, wide] = file.integers(inputs[1]);
    const settings = {
      interpolation,
      alignCorners: options?.byte(alignSlot) === 1,
      halfPixelCenters: options?.byte(alignSlot + 1) === 1,
    };
    return { tensor: to.resize(file.builder, call.name, file.flowing(inputs[0]), [high, wide], settings) };
  };

const prelu: Reader = (call, file) => {
  const [x, alpha] = call.operator.inputs;
  const input = file.flowing(x);
  const weight = to.aligned(file.constant(alpha), file.builder.shape(input));
  const sharedAxes = weight.shape.flatMap((size, axis) => (size === 1 ? [axis + 1] : []));
  return { tensor: file.builder.add("prelu", call.name, [input], { sharedAxes }, { alpha: weight }) };
};

const stridedSlice: Reader = (call, file) => {
  const { inputs, options } = call.operator;
  const x = file.flowing(inputs[0]);
  const shape = [1, ...file.builder.shape(x)];
  const [begins, ends, strides] = [1, 2, 3].map((at) => file.integers(inputs[at]));
  const [beginMask, endMask, ellipsis, newAxis, shrink] = [0, 1, 2, 3, 4].map(
    (slot) => options?.int(slot) ?? 0,
  );
  if (ellipsis || newAxis) throw new RangeError("slices with new axes or an ellipsis are not supported");
  const place = (value: number, size: number) =>
    Math.max(0, Math.min(size, value < 0 ? value + size : value));
  const begin = shape.map((size, i) =>
    beginMask & (1 << i) || i >= begins.length ? 0 : place(begins[i], size),
  );
  const end = shape.map((size, i) => {
    if (shrink & (1 << i)) return begin[i] + 1;
    return endMask & (1 << i) || i >= ends.length ? size : place(ends[i], size);
  });
  if (begin[0] !== 0 || end[0] < 1 || shrink & 1) throw new RangeError("a sliced batch is not supported");
  const by = shape.map((_, i) => strides[i] ?? 1);
  const part = to.slice(file.builder, call.name, x, begin.slice(1), end.slice(1), by.slice(1));
  const kept = file.builder.shape(part).filter((_, axis) => !(shrink & (1 << (axis + 1))));
  return { tensor: to.reshape(file.builder, `${call.name}/squeeze`, part, kept) };
};

const split: Reader = (call, file) => {
  const { inputs, outputs } = call.operator;
  const x = file.flowing(inputs[1]);
  const shape = file.builder.shape(x);
  const [axis] = ownAxes(file.integers(inputs[0]), shape.length);
  const size = shape[axis] / outputs.length;
  if (!Number.isInteger(size)) throw new RangeError(`${shape[axis]} channels in ${outputs.length} parts`);
  return outputs.map((_, i) => ({
    tensor: to.slice(
      file.builder,
      `${call.name}/${i}`,
      x,
      shape.map((_, a) => (a === axis ? i * size : 0)),
      shape.map((all, a) => (a === axis ? (i + 1) * size : all)),
      shape.map(() => 1),
    ),
  }));
};

const transposeConv: Reader = (call, file) => {
  const [size, kernel, x, bias] = call.operator.inputs;
  const [, high, wide] = file.integers(size);
  const weights = file.constant(kernel);
  rankOf(weights, 4);
  const tensor = to.transposedConvolution(
    file.builder,
    call.name,
    file.flowing(x),
    turned(weights, [1, 2, 0, 3]),
    file.optional(bias),
    { ...transposedSettings(call, weights, file.builder.shape(file.flowing(x))), size: [high, wide] },
  );
  return activated(file, call.name, tensor, fusedOf(call, 3));
};

function transposedSettings(call: Call, { shape }: Constant, input: readonly number[]) {
  const { strides, padding } = settingsOf(call, 4);
  const cut = [0, 1].map((i) => (padding === "same" ? Math.max(0, shape[i + 1] - strides[i]) : 0));
  return { strides, before: cut.map((n) => Math.floor(n / 2)) as [number, number], input };
}

/** MediaPipe's own: TRANSPOSE_CONV with a bias; its options are TfLiteTransposeConvParams as it lies in memory. */
const mediapipeTransposeConv: Reader = (call, file) => {
  const [x, kernel, bias] = call.operator.inputs;
  const bytes = call.operator.customOptions ?? new Uint8Array(0);
  if (bytes.length < 12) throw new RangeError(`options of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const [padding, wide, high] = [0, 4, 8].map((at) => view.getInt32(at, true));
  const weights = file.constant(kernel);
  rankOf(weights, 4);
  const input = file.builder.shape(file.flowing(x));
  const size = [0, 1].map((i) => {
    const stride = [high, wide][i];
    return input[i] * stride + (padding === 1 ? 0 : Math.max(0, weights.shape[i + 1] - stride));
  }) as [number, number];
  const tensor = to.transposedConvolution(
    file.builder,
    call.name,
    file.flowing(x),
    turned(weights, [1, 2, 0, 3]),
    file.optional(bias),
    { strides: [high, wide], size },
  );
  return { tensor };
};

const readers: Record<string, Reader> = {
  CONV_2D: conv2d,
  DEPTHWISE_CONV_2D: depthwise,
  FULLY_CONNECTED: fullyConnected,
  TRANSPOSE_CONV: transposeConv,
  "CUSTOM:Convolution2DTransposeBias": mediapipeTransposeConv,
  MAX_POOL_2D: pool("maxPooling2d"),
  AVERAGE_POOL_2D: pool("averagePooling2d"),
  ADD: ofTwo("add"),
  MUL: ofTwo("multiply"),
  SUB: ofTwo("subtract"),
  DIV: ofTwo("divide"),
  MAXIMUM: ofTwo("maximum"),
  MINIMUM: ofTwo("minimum"),
  CONCATENATION: (call, file) => {
    const { inputs, options } = call.operator;
    const names = inputs.map((index) => file.flowing(index));
    const [axis] = ownAxes([options?.int(0) ?? 0], file.builder.shape(names[0]).length);
    return activated(file, call.name, to.concatenate(file.builder, call.name, names, axis), fusedOf(call, 1));
  },
  RELU: activation("relu"),
  RELU6: activation("relu6"),
  RELU_N1_TO_1: (call, file) => ({
    tensor: to.clip(file.builder, call.name, file.flowing(call.operator.inputs[0]), -1, 1),
  }),
  RELU_0_TO_1: (call, file) => ({
    tensor: to.clip(file.builder, call.name, file.flowing(call.operator.inputs[0]), 0, 1),
  }),
  LOGISTIC: activation("sigmoid"),
  TANH: activation("tanh"),
  ELU: activation("elu"),
  SOFTMAX: (call, file) => {
    const beta = call.operator.options?.float(0, 1) ?? 1;
    if (beta !== 1) throw new RangeError(`softmax with beta ${beta} is not supported`);
    return {
      tensor: to.activation(file.builder, call.name, file.flowing(call.operator.inputs[0]), "softmax"),
    };
  },
  HARD_SWISH: layer("hardSwish"),
  LEAKY_RELU: layer("leakyReLU", ({ operator }) => ({ alpha: operator.options?.float(0) ?? 0 })),
  PRELU: prelu,
  ABS: elementwise("abs"),
  CEIL: elementwise("ceil"),
  COS: elementwise("cos"),
  EXP: elementwise("exp"),
  FLOOR: elementwise("floor"),
  LOG: elementwise("log"),
  NEG: elementwise("neg"),
  ROUND: elementwise("round"),
  RSQRT: elementwise("rsqrt"),
  SIGN: elementwise("sign"),
  SIN: elementwise("sin"),
  SQRT: elementwise("sqrt"),
  SQUARE: elementwise("square"),
  MEAN: reduction("mean"),
  SUM: reduction("sum"),
  REDUCE_MAX: reduction("max"),
  REDUCE_MIN: reduction("min"),
  RESHAPE: reshaped,
  SQUEEZE: reshaped,
  EXPAND_DIMS: reshaped,
  TRANSPOSE: (call, file) => {
    const [x, order] = call.operator.inputs;
    const axes = file.integers(order);
    if (axes[0] !== 0) throw new RangeError(`order ${axes} moves the batch, which is not supported`);
    return {
      tensor: to.permute(
        file.builder,
        call.name,
        file.flowing(x),
        axes.slice(1).map((axis) => axis - 1),
      ),
    };
  },
  PAD: padding(() => ({})),
  PADV2: padding((call, file) => ({ value: file.constant(call.operator.inputs[2]).values[0] })),
  MIRROR_PAD: padding(({ operator }) => ({
    mode: operator.options?.byte(0) === 1 ? "symmetric" : "reflect",
  })),
  RESIZE_BILINEAR: resized("bilinear", 2),
  RESIZE_NEAREST_NEIGHBOR: resized("nearest", 0),
  DEPTH_TO_SPACE: layer("depthToSpace", ({ operator }) => ({ blockSize: operator.options?.int(0) ?? 0 })),
  SPACE_TO_DEPTH: layer("spaceToDepth", ({ operator }) => ({ blockSize: operator.options?.int(0) ?? 0 })),
  STRIDED_SLICE: stridedSlice,
  SLICE: (call, file) => {
    const [x, begins, sizes] = call.operator.inputs;
    const input = file.flowing(x);
    const begin = file.integers(begins);
    const size = file.integers(sizes);
    if (begin[0] !== 0) throw new RangeError("a sliced batch is not supported");
    const shape = file.builder.shape(input);
    const end = shape.map((all, axis) => (size[axis + 1] === -1 ? all : begin[axis + 1] + size[axis + 1]));
    return {
      tensor: to.slice(
        file.builder,
        call.name,
        input,
        begin.slice(1),
        end,
        shape.map(() => 1),
      ),
    };
  },
  SPLIT: split,
  QUANTIZE: through,
  DEQUANTIZE: through,
  DENSIFY: through,
  CAST: through,
};

/** The operators that become layers. */
export const tfliteReadable: readonly string[] = Object.keys(readers);
