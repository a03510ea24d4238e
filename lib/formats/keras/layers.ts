// Keras's layers by their classes, each as the layer that it is here.
import { elements } from "../../util/shape.ts";
import type { Constant } from "../import/builder.ts";
import * as to from "../import/operators.ts";
import type { LayerReading } from "./reading.ts";
import { bidirectional, recurrent } from "./recurrent.ts";
import { said } from "./settings.ts";

export type LayerReader = (r: LayerReading) => string;

const plainWindows = { data_format: "channels_last", groups: 1 };

function windowOf(r: LayerReading): {
  strides: [number, number];
  dilation: [number, number];
  padding: "same" | "valid";
} {
  r.settings.only(plainWindows);
  return {
    strides: r.settings.sizes("strides", 2, 1) as [number, number],
    dilation: r.settings.sizes("dilation_rate", 2, 1) as [number, number],
    padding: paddingOf(r),
  };
}

function paddingOf(r: LayerReading): "same" | "valid" {
  const padding = r.settings.text("padding", "valid");
  if (padding !== "same" && padding !== "valid")
    throw new RangeError(`padding ${said(padding)} is not supported`);
  return padding;
}

/** The sizes of an input, of which there must be so many. */
function axes(r: LayerReading, count: number): number[] {
  if (r.shape.length !== count) throw new RangeError(`an input of shape [${r.shape}] is not supported`);
  return r.shape;
}

const convolution =
  (kind: "conv2d" | "depthwiseConv2d"): LayerReader =>
  (r) => {
    const settings = windowOf(r);
    const channels = axes(r, 3)[2];
    const size = r.settings.sizes("kernel_size", 2);
    const depthwise = kind === "depthwiseConv2d";
    const last = depthwise ? r.settings.whole("depth_multiplier", 1) : r.settings.whole("filters");
    const kernel = r.weight(depthwise ? "depthwise_kernel" : "kernel", [...size, channels, last]);
    const bias = r.bias(depthwise ? channels * last : last);
    const { inside, behind } = r.activation;
    return behind(to.convolution(r.b, kind, r.name, r.x, kernel, bias, { ...settings, activation: inside }));
  };

const convolution1d: LayerReader = (r) => {
  r.settings.only(plainWindows);
  const [, channels] = axes(r, 2);
  const [size] = r.settings.sizes("kernel_size", 1);
  const [stride] = r.settings.sizes("strides", 1, 1);
  const [dilation] = r.settings.sizes("dilation_rate", 1, 1);
  const filters = r.settings.whole("filters");
  const causal = r.settings.text("padding", "valid") === "causal";
  const padding = causal ? "valid" : paddingOf(r);
  const kernel = r.weight("kernel", [size, channels, filters]);
  const bias = r.bias(filters);
  const { inside, behind } = r.activation;
  const before: [number, number] = [dilation * (size - 1), 0];
  const x = causal ? to.pad(r.b, `${r.name}/pad`, r.x, [before, [0, 0]]) : r.x;
  const attributes = {
    filters,
    kernelSize: [size],
    strides: [stride],
    dilationRate: [dilation],
    padding,
    dataFormat: "channelsLast",
    activation: inside,
    useBias: bias !== undefined,
  };
  return behind(r.b.add("conv1d", r.name, [x], attributes, { kernel, bias }));
};

const separable: LayerReader = (r) => {
  const { strides, dilation, padding } = windowOf(r);
  const channels = axes(r, 3)[2];
  const size = r.settings.sizes("kernel_size", 2);
  const multiplier = r.settings.whole("depth_multiplier", 1);
  const filters = r.settings.whole("filters");
  const weights = {
    depthwiseKernel: r.weight("depthwise_kernel", [...size, channels, multiplier]),
    pointwiseKernel: r.weight("pointwise_kernel", [1, 1, channels * multiplier, filters]),
    bias: r.bias(filters),
  };
  const { inside, behind } = r.activation;
  const attributes = {
    filters,
    kernelSize: size,
    strides,
    dilationRate: dilation,
    padding,
    dataFormat: "channelsLast",
    depthMultiplier: multiplier,
    activation: inside,
    useBias: weights.bias !== undefined,
  };
  return behind(r.add("separableConv2d", attributes, weights));
};

const transposed: LayerReader = (r) => {
  const { strides, padding } = windowOf(r);
  r.settings.only({ output_padding: null, dilation_rate: r.settings.raw("dilation_rate") });
  if (r.settings.sizes("dilation_rate", 2, 1).some((n) => n !== 1))
    throw new RangeError("dilation is not supported");
  const channels = axes(r, 3)[2];
  const size = r.settings.sizes("kernel_size", 2);
  const filters = r.settings.whole("filters");
  const kernel = r.weight("kernel", [...size, filters, channels]);
  const bias = r.bias(filters);
  const { inside, behind } = r.activation;
  const attributes = {
    filters,
    kernelSize: size,
    strides,
    padding,
    dataFormat: "channelsLast",
    activation: inside,
    useBias: bias !== undefined,
  };
  return behind(r.add("conv2dTranspose", attributes, { kernel, bias }));
};

const dense: LayerReader = (r) => {
  const rows = r.shape.at(-1)!;
  const units = r.settings.whole("units");
  const kernel = r.weight("kernel", [rows, units]);
  const bias = r.bias(units);
  const { inside, behind } = r.activation;
  return behind(to.dense(r.b, r.name, r.x, kernel, bias, inside));
};

const pooling =
  (kind: "maxPooling2d" | "averagePooling2d"): LayerReader =>
  (r) => {
    const window = r.settings.sizes("pool_size", 2, 2) as [number, number];
    const { padding } = windowOf(r);
    const strides = (r.settings.has("strides") ? r.settings.sizes("strides", 2) : window) as [number, number];
    return to.pooling(r.b, kind, r.name, r.x, window, { strides, padding });
  };

const pooling1d =
  (kind: "maxPooling1d" | "averagePooling1d"): LayerReader =>
  (r) => {
    r.settings.only(plainWindows);
    const [window] = r.settings.sizes("pool_size", 1, 2);
    const [stride] = r.settings.has("strides") ? r.settings.sizes("strides", 1) : [window];
    return r.add(kind, { poolSize: [window], strides: [stride], padding: paddingOf(r) });
  };

const global =
  (kind: string, rank: 2 | 3): LayerReader =>
  (r) => {
    r.settings.only(plainWindows);
    const channels = axes(r, rank).at(-1)!;
    const pooled = r.add(kind, rank === 3 ? { dataFormat: "channelsLast" } : {});
    if (!r.settings.flag("keepdims", false)) return pooled;
    return to.reshape(r.b, `${r.name}/keep`, pooled, [...new Array(rank - 1).fill(1), channels]);
  };

const merging =
  (kind: "add" | "multiply" | "average" | "maximum" | "minimum"): LayerReader =>
  (r) =>
    r.b.add(kind, r.name, r.inputs);

/** A layer that two values meet in, or an operator, which may have numbers. */
const ofTwo =
  (kind: "add" | "multiply" | "subtract" | "divide" | "maximum" | "minimum"): LayerReader =>
  (r) => {
    const { operands } = r;
    if (operands.length !== 2) throw new RangeError(`a call with ${operands.length} values is not supported`);
    return to.ofTwo(r.b, kind, r.name, operands[0], operands[1]);
  };

/** A layer, or where it is called with a number the operator of that name. */
const asLayerOrOperator =
  (layer: LayerReader, operator: LayerReader): LayerReader =>
  (r) =>
    r.call.numbers.some((number) => number !== undefined) ? operator(r) : layer(r);

/** What normalisations along the last axis have in common; their scale and offset are the first weights. */
function normalized(r: LayerReading) {
  const channels = r.shape.at(-1)!;
  r.settings.lastAxis("axis", r.shape.length);
  const [scale, center] = [r.settings.flag("scale", true), r.settings.flag("center", true)];
  return {
    weights: {
      gamma: scale ? r.weight("gamma", [channels]) : undefined,
      beta: center ? r.weight("beta", [channels]) : undefined,
    },
    attributes: { axis: -1, epsilon: r.settings.number("epsilon", 1e-3), center, scale },
    channels,
  };
}

const normalization: LayerReader = (r) => {
  r.settings.only({ renorm: false });
  const { weights, attributes, channels } = normalized(r);
  const seen = {
    movingMean: r.weight("moving_mean", [channels]),
    movingVariance: r.weight("moving_variance", [channels]),
  };
  const momentum = r.settings.number("momentum", 0.99);
  return r.add("batchNormalization", { ...attributes, momentum }, { ...weights, ...seen });
};

const layerNormalization: LayerReader = (r) => {
  r.settings.only({ rms_scaling: false });
  const { weights, attributes } = normalized(r);
  return r.add("layerNormalization", attributes, weights);
};

const reLU: LayerReader = (r) => {
  r.settings.only({ threshold: 0 });
  const slope = r.settings.has("negative_slope") ? r.settings.number("negative_slope") : 0;
  const max = r.settings.has("max_value") ? r.settings.number("max_value") : Number.POSITIVE_INFINITY;
  if (slope === 0) return to.clip(r.b, r.name, r.x, 0, Math.min(max, 3.4028234663852886e38));
  if (max !== Number.POSITIVE_INFINITY)
    throw new RangeError("max_value and negative_slope at once are not supported");
  return r.add("leakyReLU", { alpha: slope });
};

const leakyReLU: LayerReader = (r) =>
  r.add("leakyReLU", { alpha: r.settings.number("negative_slope", r.settings.number("alpha", 0.3)) });

const prelu: LayerReader = (r) => {
  const shared = r.settings.raw("shared_axes");
  const sharedAxes = Array.isArray(shared) ? shared : [];
  const alpha = r.weight(
    "alpha",
    r.shape.map((size, axis) => (sharedAxes.includes(axis + 1) ? 1 : size)),
  );
  return r.add("prelu", { sharedAxes }, { alpha });
};

const constant = (values: unknown, size: number): Constant => {
  const list = [values].flat(4) as number[];
  if (!list.every((n) => Number.isFinite(n)) || (list.length !== 1 && list.length !== size))
    throw new RangeError(`${said(values)} for an axis of ${size} is not supported`);
  return { shape: [list.length], values: Float32Array.from(list) };
};

const rescaling: LayerReader = (r) => {
  const channels = r.shape.at(-1)!;
  const [scale, offset] = [r.settings.raw("scale") ?? 1, r.settings.raw("offset") ?? 0];
  if (typeof scale === "number" && typeof offset === "number") return r.add("rescaling", { scale, offset });
  return to.affine(r.b, r.name, r.x, constant(scale, channels), constant(offset, channels));
};

/** (x − mean) / max(deviation, 1e-7), with what the layer has learned of its data, or was given. */
const standardizing: LayerReader = (r) => {
  const size = r.shape.at(-1)!;
  const axis = r.settings.has("axis") ? r.settings.raw("axis") : undefined;
  const each = axis === undefined || (Array.isArray(axis) && axis.length === 0) ? 1 : size;
  if (each > 1) r.settings.lastAxis("axis", r.shape.length);
  const given = r.settings.has("mean");
  const own = each > 1 ? [each] : [];
  const mean = given ? constant(r.settings.raw("mean"), size) : r.weight("mean", own);
  const variance = given ? constant(r.settings.raw("variance"), size) : r.weight("variance", own);
  if (!given) r.weight("count", []);
  const inverted = r.settings.flag("invert", false);
  const deviation = variance.values.map((value) => Math.max(Math.sqrt(value), 1e-7));
  const values = Float32Array.from(deviation, (d) => (inverted ? d : 1 / d));
  const offset = values.map((factor, i) => {
    const middle = mean.values[i % mean.values.length];
    return inverted ? middle : -middle * factor;
  });
  const shape = [values.length];
  return to.affine(r.b, r.name, r.x, { shape, values }, { shape, values: offset });
};

const padding2d: LayerReader = (r) => {
  r.settings.only(plainWindows);
  axes(r, 3);
  return to.pad(r.b, r.name, r.x, [...r.settings.sides("padding", 2), [0, 0]]);
};

const padding1d: LayerReader = (r) => {
  r.settings.only(plainWindows);
  axes(r, 2);
  return to.pad(r.b, r.name, r.x, [...r.settings.sides("padding", 1), [0, 0]]);
};

const cropping =
  (rank: 1 | 2): LayerReader =>
  (r) => {
    r.settings.only(plainWindows);
    const shape = axes(r, rank + 1);
    const cut = [...r.settings.sides("cropping", rank), [0, 0]];
    const ends = cut.map(([, after], axis) => shape[axis] - after);
    return to.slice(
      r.b,
      r.name,
      r.x,
      cut.map(([before]) => before),
      ends,
      shape.map(() => 1),
    );
  };

const upSampling: LayerReader = (r) => {
  r.settings.only(plainWindows);
  const [high, wide] = axes(r, 3);
  const [rows, columns] = r.settings.sizes("size", 2, 2);
  const interpolation = r.settings.text("interpolation", "nearest");
  if (interpolation !== "nearest" && interpolation !== "bilinear")
    throw new RangeError(`interpolation ${said(interpolation)} is not supported`);
  // Keras counts pixels by their middles, which TensorFlow.js's own layer does not.
  const settings = { interpolation, alignCorners: false, halfPixelCenters: true } as const;
  return to.resize(r.b, r.name, r.x, [high * rows, wide * columns], settings);
};

const reshape: LayerReader = (r) => {
  const target = r.settings.raw("target_shape");
  if (!Array.isArray(target) || !target.every((n) => Number.isSafeInteger(n) && (n === -1 || n > 0)))
    throw new RangeError(`target_shape ${said(target)} is not supported`);
  const open = target.indexOf(-1);
  const all = elements(r.shape);
  const shape = open < 0 ? target : target.with(open, all / elements(target.toSpliced(open, 1)));
  return to.reshape(r.b, r.name, r.x, shape);
};

const permute: LayerReader = (r) => {
  const dims = r.settings.raw("dims");
  if (!Array.isArray(dims)) throw new RangeError(`dims must be a list, got ${said(dims)}`);
  return to.permute(
    r.b,
    r.name,
    r.x,
    dims.map((axis) => Number(axis) - 1),
  );
};

const embedding: LayerReader = (r) => {
  r.settings.only({ mask_zero: false, lora_enabled: false });
  const [inputDim, outputDim] = [r.settings.whole("input_dim"), r.settings.whole("output_dim")];
  const embeddings = r.weight("embeddings", [inputDim, outputDim]);
  return r.add("embedding", { inputDim, outputDim }, { embeddings });
};

const concatenate: LayerReader = (r) => {
  const axis = r.settings.has("axis") ? r.settings.number("axis") : -1;
  const rank = r.b.shape(r.inputs[0]).length;
  return to.concatenate(r.b, r.name, r.inputs, axis < 0 ? axis + rank : axis - 1);
};

const through: LayerReader = (r) => r.x;

/** What changes examples while a network learns, and nothing afterwards. */
const augmentation: LayerReader = (r) => {
  r.b.notes.add(`${r.call.op} is left out: it works in training alone`);
  return r.x;
};

export const layerReaders: Record<string, LayerReader> = {
  Dense: dense,
  Conv1D: convolution1d,
  Conv2D: convolution("conv2d"),
  DepthwiseConv2D: convolution("depthwiseConv2d"),
  SeparableConv2D: separable,
  Conv2DTranspose: transposed,
  MaxPooling1D: pooling1d("maxPooling1d"),
  AveragePooling1D: pooling1d("averagePooling1d"),
  MaxPooling2D: pooling("maxPooling2d"),
  AveragePooling2D: pooling("averagePooling2d"),
  GlobalMaxPooling1D: global("globalMaxPooling1d", 2),
  GlobalAveragePooling1D: global("globalAveragePooling1d", 2),
  GlobalMaxPooling2D: global("globalMaxPooling2d", 3),
  GlobalAveragePooling2D: global("globalAveragePooling2d", 3),
  BatchNormalization: normalization,
  LayerNormalization: layerNormalization,
  Normalization: standardizing,
  Rescaling: rescaling,
  Activation: (r) => {
    const { inside, behind } = r.activation;
    return behind(to.activation(r.b, r.name, r.x, inside));
  },
  ReLU: reLU,
  LeakyReLU: leakyReLU,
  PReLU: prelu,
  ELU: (r) => r.add("elu", { alpha: r.settings.number("alpha", 1) }),
  Softmax: (r) => {
    r.settings.lastAxis("axis", r.shape.length);
    return r.add("softmax", { axis: -1 });
  },
  Add: asLayerOrOperator(merging("add"), ofTwo("add")),
  Multiply: asLayerOrOperator(merging("multiply"), ofTwo("multiply")),
  Subtract: ofTwo("subtract"),
  Divide: ofTwo("divide"),
  TrueDivide: ofTwo("divide"),
  Average: merging("average"),
  Maximum: asLayerOrOperator(merging("maximum"), ofTwo("maximum")),
  Minimum: asLayerOrOperator(merging("minimum"), ofTwo("minimum")),
  Concatenate: concatenate,
  Flatten: (r) => {
    r.settings.only(plainWindows);
    return to.reshape(r.b, r.name, r.x, [elements(r.shape)]);
  },
  Reshape: reshape,
  Permute: permute,
  RepeatVector: (r) => r.add("repeatVector", { n: r.settings.whole("n") }),
  ZeroPadding1D: padding1d,
  ZeroPadding2D: padding2d,
  Cropping1D: cropping(1),
  Cropping2D: cropping(2),
  UpSampling2D: upSampling,
  Dropout: (r) => r.add("dropout", { rate: r.settings.number("rate") }),
  SpatialDropout1D: (r) => r.add("spatialDropout1d", { rate: r.settings.number("rate") }),
  SpatialDropout2D: augmentation,
  AlphaDropout: (r) => r.add("alphaDropout", { rate: r.settings.number("rate") }),
  GaussianDropout: (r) => r.add("gaussianDropout", { rate: r.settings.number("rate") }),
  GaussianNoise: (r) => r.add("gaussianNoise", { stddev: r.settings.number("stddev") }),
  ActivityRegularization: through,
  Identity: through,
  RandomFlip: augmentation,
  RandomRotation: augmentation,
  RandomZoom: augmentation,
  RandomTranslation: augmentation,
  RandomContrast: augmentation,
  RandomBrightness: augmentation,
  Embedding: embedding,
  LSTM: recurrent,
  GRU: recurrent,
  SimpleRNN: recurrent,
  Bidirectional: bidirectional,
};
