// What each kind of layer computes for one example, its kernel as it is stored. Values lie as in TensorFlow: rows, columns,
// channels last.
import { activationOf, channelsLast, type GraphNode } from "../graph/index.ts";
import { checkOneOf } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import type { StoredKernel } from "./kernels.ts";

/** Computes a node's output from its inputs; `out` is all 0. */
export type Step = (inputs: readonly Float32Array[], out: Float32Array) => void;

/** What a step is made of. */
export interface StepSource {
  node: GraphNode;
  /** Shapes without the batch. */
  inputs: readonly (readonly number[])[];
  output: readonly number[];
  kernel?: StoredKernel;
  /** Weights that are no kernels, by role. */
  weights: Readonly<Record<string, Float32Array | undefined>>;
}

/** Activations, in place; a softmax over each row of `width`. */
const activations: Record<string, (values: Float32Array, width: number) => void> = {
  linear: () => {},
  relu: (values) => apply(values, (x) => (x > 0 ? x : 0)),
  relu6: (values) => apply(values, (x) => Math.min(6, Math.max(0, x))),
  sigmoid: (values) => apply(values, (x) => 1 / (1 + Math.exp(-x))),
  tanh: (values) => apply(values, Math.tanh),
  elu: (values) => apply(values, (x) => (x > 0 ? x : Math.expm1(x))),
  swish: (values) => apply(values, (x) => x / (1 + Math.exp(-x))),
  hardSigmoid: (values) => apply(values, (x) => Math.min(1, Math.max(0, 0.2 * x + 0.5))),
  softplus: (values) => apply(values, (x) => Math.log1p(Math.exp(-Math.abs(x))) + Math.max(x, 0)),
  softmax,
};

function apply(values: Float32Array, of: (x: number) => number): void {
  for (let i = 0; i < values.length; i++) values[i] = of(values[i]);
}

function softmax(values: Float32Array, width: number): void {
  for (let from = 0; from < values.length; from += width) {
    const row = values.subarray(from, from + width);
    const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let sum = 0;
    for (let i = 0; i < width; i++) {
      row[i] = Math.exp(row[i] - most);
      sum += row[i];
    }
    for (let i = 0; i < width; i++) row[i] /= sum;
  }
}

/** A node's activation, in place. */
function activationFor(node: GraphNode): (values: Float32Array, width: number) => void {
  return activations[checkOneOf(`activation of ${node.name}`, activationOf(node), Object.keys(activations))];
}

function addBias(values: Float32Array, bias: Float32Array | undefined): void {
  if (!bias) return;
  for (let at = 0; at < values.length; ) for (let c = 0; c < bias.length; c++) values[at++] += bias[c];
}

const copy: Step = ([input], out) => out.set(input);

/** Inputs that meet one to one. */
const meeting =
  (join: (a: number, b: number) => number, last = (sum: number, _count: number) => sum) =>
  ({ node, inputs }: StepSource): Step => {
    if (inputs.some((shape) => elements(shape) !== elements(inputs[0])))
      throw new RangeError(`${node.name} must join inputs of one shape to run from storage`);
    return (values, out) => {
      out.set(values[0]);
      for (const other of values.slice(1))
        for (let i = 0; i < out.length; i++) out[i] = join(out[i], other[i]);
      for (let i = 0; i < out.length; i++) out[i] = last(out[i], values.length);
    };
  };

/** How each kind is run; other kinds are refused by name. */
export const steps: Record<string, (source: StepSource) => Step> = {
  dense: ({ node, inputs, kernel, weights }) => {
    const { rows, cols } = kernel!;
    const count = elements(inputs[0]) / rows;
    const activate = activationFor(node);
    return ([input], out) => {
      for (let k = 0; k < count; k++) {
        const sums = out.subarray(k * cols, (k + 1) * cols);
        // What a ReLU has put to 0 costs nothing.
        for (let row = 0; row < rows; row++) {
          const factor = input[k * rows + row];
          if (factor !== 0) kernel!.addRow(row, factor, sums);
        }
        kernel!.finish(sums);
      }
      addBias(out, weights.bias);
      activate(out, cols);
    };
  },
  conv2d: (source) => convolution(source, false),
  depthwiseConv2d: (source) => convolution(source, true),
  batchNormalization: ({ node, output, weights }) => {
    const channels = output.at(-1)!;
    const { axis = -1, epsilon = 1e-3 } = node.attributes as { axis?: number; epsilon?: number };
    if (axis !== -1 && axis !== output.length)
      throw new RangeError(`${node.name} must have its channels last to run from storage`);
    const { gamma, beta, movingMean, movingVariance } = weights;
    const factor = Float64Array.from(
      { length: channels },
      (_, c) => (gamma ? gamma[c] : 1) / Math.sqrt(movingVariance![c] + epsilon),
    );
    return ([input], out) => {
      for (let at = 0; at < out.length; )
        for (let c = 0; c < channels; c++, at++)
          out[at] = (input[at] - movingMean![c]) * factor[c] + (beta ? beta[c] : 0);
    };
  },
  activation: ({ node, output }) => {
    const activate = activationFor(node);
    return ([input], out) => {
      out.set(input);
      activate(out, output.at(-1)!);
    };
  },
  softmax:
    ({ output }) =>
    ([input], out) => {
      out.set(input);
      softmax(out, output.at(-1)!);
    },
  reLU: ({ node }) => {
    const attributes = node.attributes as Record<string, number | null | undefined>;
    const [most, slope, from] = [
      attributes.maxValue ?? Number.POSITIVE_INFINITY,
      attributes.negativeSlope ?? 0,
      attributes.threshold ?? 0,
    ];
    return ([input], out) => {
      for (let i = 0; i < out.length; i++)
        out[i] = input[i] >= from ? Math.min(most, input[i]) : slope * (input[i] - from);
    };
  },
  leakyReLU: ({ node }) => {
    const { alpha = 0.3 } = node.attributes as { alpha?: number };
    return ([input], out) => {
      for (let i = 0; i < out.length; i++) out[i] = input[i] > 0 ? input[i] : alpha * input[i];
    };
  },
  maxPooling2d: (source) => pooling(source, false),
  averagePooling2d: (source) => pooling(source, true),
  globalAveragePooling2d: (source) => globalPooling(source, true),
  globalMaxPooling2d: (source) => globalPooling(source, false),
  zeroPadding2d: ({ node, inputs, output }) => {
    wantChannelsLast(node);
    const [[, width, channels], [, wide]] = [inputs[0], output];
    const [[top], [left]] = node.attributes.padding as [[number, number], [number, number]];
    return ([input], out) => {
      const line = width * channels;
      for (let y = 0; y < inputs[0][0]; y++)
        out.set(input.subarray(y * line, (y + 1) * line), ((y + top) * wide + left) * channels);
    };
  },
  add: meeting((a, b) => a + b),
  multiply: meeting((a, b) => a * b),
  maximum: meeting(Math.max),
  minimum: meeting(Math.min),
  average: meeting(
    (a, b) => a + b,
    (sum, count) => sum / count,
  ),
  concatenate: ({ node, inputs, output }) => {
    const axis = Number(node.attributes.axis ?? -1);
    if (axis !== -1 && axis !== output.length)
      throw new RangeError(`${node.name} must join the last axis to run from storage`);
    const widths = inputs.map((shape) => shape.at(-1)!);
    const wide = output.at(-1)!;
    return (values, out) => {
      for (let k = 0, from = 0; k < values.length; from += widths[k++])
        for (let row = 0; row * wide < out.length; row++)
          out.set(values[k].subarray(row * widths[k], (row + 1) * widths[k]), row * wide + from);
    };
  },
  flatten: () => copy,
  reshape: () => copy,
  dropout: () => copy,
  spatialDropout1d: () => copy,
  alphaDropout: () => copy,
  gaussianDropout: () => copy,
  gaussianNoise: () => copy,
};

function wantChannelsLast(node: GraphNode): void {
  if (!channelsLast(node))
    throw new RangeError(`${node.name} must have its channels last to run from storage`);
}

/** A window over an input: its steps, and how many rows and columns of 0 stand before it. */
function windowOf({ node, inputs, output }: StepSource, size: readonly number[]) {
  wantChannelsLast(node);
  const pair = (value: unknown, otherwise: readonly number[]): readonly number[] =>
    value === undefined || value === null
      ? otherwise
      : Array.isArray(value)
        ? [value[0], value[1] ?? value[0]]
        : [Number(value), Number(value)];
  const isConvolution = node.attributes.poolSize === undefined;
  const strides = pair(node.attributes.strides, isConvolution ? [1, 1] : size);
  const dilation = pair(node.attributes.dilationRate, [1, 1]);
  const before = [0, 1].map((axis) => {
    if (node.attributes.padding !== "same") return 0;
    const reach = (size[axis] - 1) * dilation[axis] + 1;
    const missing = (output[axis] - 1) * strides[axis] + reach - inputs[0][axis];
    return Math.floor(Math.max(0, missing) / 2);
  });
  return { strides, dilation, before };
}

/**
 * Planes instead of patches: each row of the kernel sees one input channel, moved to its place in the window, and each of
 * the row's weights adds that picture, times itself, to the picture of its output. So a weight is looked up once for all
 * places, and one that is not stored costs nothing.
 */
function convolution(source: StepSource, isDepthwise: boolean): Step {
  const { node, inputs, output, kernel, weights } = source;
  const [height, width, channels] = inputs[0];
  const [high, wide, units] = output;
  const [tall, broad, depth, multiplier] = kernel!.shape;
  if (depth !== channels)
    throw new RangeError(`${node.name} must read ${depth} channels, not groups of ${channels}`);
  const { strides, dilation, before } = windowOf(source, [tall, broad]);
  const places = high * wide;
  const plane = new Float32Array(places);
  const activate = activationFor(node);
  return ([input], out) => {
    const results = new Float32Array(units * places);
    for (let row = 0; row < kernel!.rows; row++) {
      const channel = row % channels;
      const tap = Math.floor(row / channels);
      const down = Math.floor(tap / broad) * dilation[0] - before[0];
      const right = (tap % broad) * dilation[1] - before[1];
      // Places whose pixel lies inside; at the others it stays 0.
      const [top, bottom] = inside(down, strides[0], height, high);
      const [left, end] = inside(right, strides[1], width, wide);
      if (top >= bottom || left >= end) continue;
      plane.fill(0);
      let isEmpty = true;
      for (let y = top; y < bottom; y++) {
        let from = ((y * strides[0] + down) * width + left * strides[1] + right) * channels + channel;
        for (let to = y * wide + left; to < y * wide + end; to++, from += strides[1] * channels) {
          plane[to] = input[from];
          if (plane[to] !== 0) isEmpty = false;
        }
      }
      // What a ReLU has put to 0 costs nothing.
      if (isEmpty) continue;
      const base = isDepthwise ? channel * multiplier : 0;
      kernel!.visit(row, (column, weight) => addTimes(results, (base + column) * places, weight, plane));
    }
    for (let unit = 0; unit < units; unit++)
      for (let i = 0, at = unit * places; i < places; i++) out[i * units + unit] = results[at++];
    addBias(out, weights.bias ?? weights.depthwiseBias);
    activate(out, units);
  };
}

/** The hot loop of a convolution: a picture times a weight, onto an output's picture. */
function addTimes(results: Float32Array, at: number, weight: number, plane: Float32Array): void {
  for (let i = 0; i < plane.length; i++) results[at + i] += weight * plane[i];
}

/** The first place and the one after the last whose pixel, moved by so much, lies inside. */
function inside(moved: number, stride: number, size: number, places: number): [number, number] {
  const first = Math.max(0, Math.ceil(-moved / stride));
  const end = Math.min(places, Math.floor((size - 1 - moved) / stride) + 1);
  return [first, end];
}

function pooling(source: StepSource, isMean: boolean): Step {
  const { node, inputs, output } = source;
  const [height, width, channels] = inputs[0];
  const [high, wide] = output;
  const size = [node.attributes.poolSize].flat() as number[];
  const [tall, broad] = [size[0], size[1] ?? size[0]];
  const { strides, before } = windowOf(source, [tall, broad]);
  return ([input], out) => {
    for (let y = 0; y < high; y++)
      for (let x = 0; x < wide; x++) {
        const [top, left] = [y * strides[0] - before[0], x * strides[1] - before[1]];
        const [firstRow, lastRow] = [Math.max(0, top), Math.min(height, top + tall)];
        const [firstColumn, lastColumn] = [Math.max(0, left), Math.min(width, left + broad)];
        const to = (y * wide + x) * channels;
        const result = out.subarray(to, to + channels);
        result.fill(isMean ? 0 : Number.NEGATIVE_INFINITY);
        for (let r = firstRow; r < lastRow; r++)
          for (let c = firstColumn; c < lastColumn; c++)
            for (let k = 0, at = (r * width + c) * channels; k < channels; k++, at++)
              result[k] = isMean ? result[k] + input[at] : Math.max(result[k], input[at]);
        // As in TensorFlow, what lies outside does not count.
        const count = (lastRow - firstRow) * (lastColumn - firstColumn);
        if (isMean) for (let k = 0; k < channels; k++) result[k] /= count;
      }
  };
}

function globalPooling({ node, inputs }: StepSource, isMean: boolean): Step {
  wantChannelsLast(node);
  const channels = inputs[0].at(-1)!;
  return ([input], out) => {
    out.fill(isMean ? 0 : Number.NEGATIVE_INFINITY);
    for (let at = 0; at < input.length; )
      for (let c = 0; c < channels; c++, at++)
        out[c] = isMean ? out[c] + input[at] : Math.max(out[c], input[at]);
    if (isMean) for (let c = 0; c < channels; c++) out[c] /= input.length / channels;
  };
}
