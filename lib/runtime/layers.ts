// What each kind of layer computes for one example, its kernel as it is stored, in a network's own memory.
import type { GraphNode } from "../graph/index.ts";
import { elements } from "../util/shape.ts";
import { activationFor, type Clamp, clamp, clampAt, map, softmax } from "./activations.ts";
import { convolve, convolveDepthwise } from "./convolution.ts";
import { unitSum } from "./kept-kernel.ts";
import type { Value } from "./memory.ts";
import { pointwise, type Step, type StepSource } from "./step.ts";
import { globalPooling, pooling, wantChannelsLast, windowOf } from "./windows.ts";

type MakeStep = (source: StepSource) => Step;

const sameShape = (a: readonly number[], b: readonly number[]) =>
  a.length === b.length && a.every((length, axis) => length === b[axis]);

/** The same numbers in another shape. */
const reshaped: MakeStep = ({ inputs, output, memory }) => {
  const order = new Float32Array(elements(output.shape));
  return () => memory.write(output, memory.read(inputs[0], order));
};

const same: MakeStep = ({ inputs, output, memory }) => {
  return () => memory.floats(output).set(memory.floats(inputs[0]));
};

const clamped =
  (how: (attributes: Record<string, number | null | undefined>) => Clamp): MakeStep =>
  ({ node, inputs, output, memory }) => {
    const settings = how(node.attributes as Record<string, number | null | undefined>);
    return () => clamp(memory, inputs[0], output, settings);
  };

const mapped =
  (of: (attributes: Record<string, number | null | undefined>) => (x: number) => number): MakeStep =>
  ({ node, inputs, output, memory }) => {
    const each = of(node.attributes as Record<string, number | null | undefined>);
    return () => map(memory, inputs[0], output, each);
  };

/** Inputs that meet one to one, or one for each channel or place. */
const meeting =
  (join: (a: number, b: number) => number, last?: (sum: number, count: number) => number): MakeStep =>
  ({ node, inputs, output, memory }) => {
    const { planes, places, plane, shape } = output;
    const fits = (value: Value) =>
      sameShape(value.shape, shape) ||
      (shape.length === 3 &&
        value.shape.length === 3 &&
        [1, planes].includes(value.planes) &&
        [1, places].includes(value.places));
    if (!inputs.every(fits))
      throw new RangeError(`${node.name} must join inputs of one shape to run from storage`);
    const isPlain = inputs.every((value) => sameShape(value.shape, shape));
    const isSum = node.kind === "add" && inputs.length === 2 && isPlain;
    if (isSum) return () => memory.kernels.add(inputs[0].at, inputs[1].at, output.at, output.length >> 2);
    return () => {
      const out = memory.floats(output);
      for (const [k, value] of inputs.entries()) {
        const given = memory.floats(value);
        const onePlane = value.planes === 1;
        const onePlace = value.places === 1 && places > 1;
        for (let p = 0; p < planes; p++) {
          const from = onePlane ? 0 : p * value.plane;
          const to = p * plane;
          for (let i = 0; i < places; i++) {
            const other = given[onePlace ? from : from + i];
            out[to + i] = k === 0 ? other : join(out[to + i], other);
          }
        }
      }
      if (last) for (let i = 0; i < out.length; i++) out[i] = last(out[i], inputs.length);
    };
  };

/** A factor and an offset for each channel. */
function perChannel(
  { node, inputs, output, memory }: StepSource,
  factor: ArrayLike<number>,
  offset: ArrayLike<number>,
): Step {
  const [input] = inputs;
  const channels = output.shape.at(-1)!;
  if (factor.length !== channels || offset.length !== channels)
    throw new RangeError(`${node.name} must have one factor for each channel to run from storage`);
  if (output.shape.length === 3)
    return () => {
      for (let c = 0; c < channels; c++) {
        const move = 4 * c * input.plane;
        clampAt(memory, input.at + move, output.at + move, input.plane >> 2, {
          scale: factor[c],
          shift: offset[c],
        });
      }
    };
  return () => {
    const [given, out] = [memory.floats(input), memory.floats(output)];
    for (let at = 0; at < output.places; )
      for (let c = 0; c < channels; c++, at++) out[at] = given[at] * factor[c] + offset[c];
  };
}

/** How each kind is run; other kinds are refused by name. */
export const steps: Record<string, MakeStep> = {
  dense: (source) => {
    const { node, inputs, output, weights, memory } = source;
    const kernel = source.kernel!;
    const [input] = inputs;
    const { rows, units } = kernel;
    const activate = activationFor(node, memory);
    const { bias } = weights;
    if (input.shape.length === 3) {
      const run = convolve({ inputs, output, kernel, window: pointwise, bias, memory });
      return () => {
        run();
        activate(output);
      };
    }
    const count = input.places / rows;
    return () => {
      const sums = memory.floats(output);
      for (let k = 0, next = 0; k < count; k++)
        for (let unit = 0; unit < units; unit++)
          sums[next++] = unitSum(memory, kernel, unit, input.at + 4 * k * rows) + (bias ? bias[unit] : 0);
      activate(output);
    };
  },
  conv2d: (source) => convolution(source, false),
  depthwiseConv2d: (source) => convolution(source, true),
  batchNormalization: (source) => {
    const { node, output, weights } = source;
    const { epsilon = 1e-3 } = node.attributes as { epsilon?: number };
    wantLastAxis(node, output, "normalise");
    const { gamma, beta, movingMean, movingVariance } = weights;
    const factor = Float64Array.from(
      { length: output.shape.at(-1)! },
      (_, c) => (gamma ? gamma[c] : 1) / Math.sqrt(movingVariance![c] + epsilon),
    );
    const offset = factor.map((each, c) => (beta ? beta[c] : 0) - movingMean![c] * each);
    return perChannel(source, factor, offset);
  },
  affine: (source) => perChannel(source, source.weights.factor!, source.weights.offset!),
  rescaling: clamped(({ scale, offset }) => ({ scale: scale ?? 1, shift: offset ?? 0 })),
  clip: clamped(({ min, max }) => ({ low: min ?? undefined, high: max ?? undefined })),
  hardSigmoid: clamped(({ alpha, beta }) => ({ scale: alpha!, shift: beta!, low: 0, high: 1 })),
  hardSwish: mapped(() => (x) => (x * Math.min(6, Math.max(0, x + 3))) / 6),
  elu: mapped(
    ({ alpha }) =>
      (x) =>
        x > 0 ? x : (alpha ?? 1) * Math.expm1(x),
  ),
  activation: (source) => {
    const { node, inputs, output, memory } = source;
    const activate = activationFor(node, memory);
    return () => {
      memory.floats(output).set(memory.floats(inputs[0]));
      activate(output);
    };
  },
  softmax: ({ node, inputs, output, memory }) => {
    wantLastAxis(node, output, "go along");
    return () => softmax(memory, inputs[0], output);
  },
  reLU: (source) => {
    const attributes = source.node.attributes as Record<string, number | null | undefined>;
    const most = attributes.maxValue ?? Number.POSITIVE_INFINITY;
    const [slope, from] = [attributes.negativeSlope ?? 0, attributes.threshold ?? 0];
    if (slope === 0 && from === 0) return clamped(() => ({ low: 0, high: most }))(source);
    return mapped(() => (x) => (x >= from ? Math.min(most, x) : slope * (x - from)))(source);
  },
  leakyReLU: mapped(
    ({ alpha }) =>
      (x) =>
        x > 0 ? x : (alpha ?? 0.3) * x,
  ),
  maxPooling2d: (source) => pooling(source, false),
  averagePooling2d: (source) => pooling(source, true),
  globalAveragePooling2d: (source) => globalPooling(source, true),
  globalMaxPooling2d: (source) => globalPooling(source, false),
  zeroPadding2d: ({ node, inputs, output, memory }) => {
    wantChannelsLast(node);
    const [input] = inputs;
    const [[height, width], [, wide]] = [input.shape, output.shape];
    const [[top], [left]] = node.attributes.padding as [[number, number], [number, number]];
    return () => {
      memory.floats(output).fill(0);
      for (let c = 0; c < input.planes; c++)
        memory.kernels.spread(
          input.at + 4 * c * input.plane,
          4 * width,
          1,
          output.at + 4 * (c * output.plane + top * wide + left),
          4 * wide,
          height,
          width,
        );
    };
  },
  upSampling2d: ({ node, inputs, output, memory }) => {
    wantChannelsLast(node);
    if ((node.attributes.interpolation ?? "nearest") !== "nearest")
      throw new RangeError(`${node.name} must repeat pixels to run from storage, not interpolate`);
    const [input] = inputs;
    const [[, width], [high, wide]] = [input.shape, output.shape];
    const [down, right] = [high / input.shape[0], wide / width];
    return () => {
      const [given, out] = [memory.floats(input), memory.floats(output)];
      for (let c = 0; c < output.planes; c++)
        for (let y = 0, at = c * output.plane; y < high; y++) {
          const line = c * input.plane + Math.floor(y / down) * width;
          for (let x = 0; x < wide; x++) out[at++] = given[line + Math.floor(x / right)];
        }
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
  concatenate: ({ node, inputs, output, memory }) => {
    wantLastAxis(node, output, "join");
    if (output.shape.length === 3)
      return () => {
        const out = memory.floats(output);
        for (let k = 0, from = 0; k < inputs.length; from += inputs[k++].length)
          out.set(memory.floats(inputs[k]), from);
      };
    const wide = output.shape.at(-1)!;
    return () => {
      const out = memory.floats(output);
      let from = 0;
      for (const value of inputs) {
        const width = value.shape.at(-1)!;
        const given = memory.floats(value);
        for (let row = 0; row * wide < output.places; row++)
          out.set(given.subarray(row * width, (row + 1) * width), row * wide + from);
        from += width;
      }
    };
  },
  flatten: reshaped,
  reshape: reshaped,
  dropout: same,
  spatialDropout1d: same,
  alphaDropout: same,
  gaussianDropout: same,
  gaussianNoise: same,
};

/** Axes count the batch. */
function wantLastAxis({ name, attributes }: GraphNode, { shape }: Value, what: string): void {
  if (![-1, shape.length].includes(Number(attributes.axis ?? -1)))
    throw new RangeError(`${name} must ${what} the last axis to run from storage`);
}

function convolution(source: StepSource, isDepthwise: boolean): Step {
  const { node, inputs, output, weights, memory } = source;
  const kernel = source.kernel!;
  const [tall, broad, depth] = kernel.shape;
  const { planes } = inputs[0];
  if (depth !== planes)
    throw new RangeError(`${node.name} must read ${depth} channels, not groups of ${planes}`);
  const window = windowOf(source, [tall, broad]);
  const bias = weights.bias ?? weights.depthwiseBias;
  const activate = activationFor(node, memory);
  const run = (isDepthwise ? convolveDepthwise : convolve)({ inputs, output, kernel, window, bias, memory });
  return () => {
    run();
    activate(output);
  };
}
