// The shape of what a layer gives out, from its settings and the shapes of what it reads: what a reader of networks asks
// before any layer is made. Shapes are without the batch; null is a size that is not known.
import { windowPlaces } from "../util/window.ts";
import type { Attributes } from "./graph.ts";

export type Shape = readonly (number | null)[];

/** What an `elementwise` layer can compute of each number. */
export const elementwiseFunctions = [
  "abs",
  "ceil",
  "cos",
  "erf",
  "exp",
  "floor",
  "log",
  "neg",
  "reciprocal",
  "round",
  "rsqrt",
  "sign",
  "sin",
  "sqrt",
  "square",
] as const;

/** What a `reduce` layer can make of the numbers along its axes. */
export const reductions = ["mean", "max", "min", "sum"] as const;

/** A layer as far as its output's shape depends on it. */
export interface ShapedLayer {
  name: string;
  kind: string;
  attributes: Attributes;
  /** Shapes of its weights, by role. */
  weights: Readonly<Record<string, readonly number[]>>;
}

/** How a kind says it; in the table of kinds, for each that readers of networks make. */
export type ShapeRule = (layer: ShapedLayer, inputs: readonly Shape[]) => (number | null)[];

/** A size, stride or dilation along two axes, for which one number may stand. */
export const pairOf = (value: unknown, otherwise: number | readonly number[] = 1): [number, number] => {
  const [a, b = a] = [value ?? otherwise].flat() as number[];
  return [a, b];
};

export const same: ShapeRule = (_, [input]) => [...input];

const windowed =
  (
    window: (layer: ShapedLayer) => number[],
    channels: (layer: ShapedLayer, input: Shape) => number | null,
    axes: 1 | 2 = 2,
  ) =>
  (layer: ShapedLayer, [input]: readonly Shape[]): (number | null)[] => {
    rank(layer, input, axes + 1);
    const sizes = window(layer);
    const strides = pairOf(layer.attributes.strides, layer.kind.includes("Pooling") ? sizes : 1);
    const dilation = pairOf(layer.attributes.dilationRate, 1);
    const places = input
      .slice(0, axes)
      .map((size, i) =>
        size === null
          ? null
          : windowPlaces(size, sizes[i], strides[i], layer.attributes.padding, dilation[i]),
      );
    return [...places, channels(layer, input)];
  };

const kernelSize = (role: string) => (layer: ShapedLayer) => [...layer.weights[role]].slice(0, 2);

const depthwiseChannels = ({ weights }: ShapedLayer) =>
  weights.depthwiseKernel[2] * weights.depthwiseKernel[3];

export const pooled = windowed(
  ({ attributes }) => pairOf(attributes.poolSize, 2),
  (_, input) => input[2],
);

export const pooled1d = windowed(
  ({ attributes }) => pairOf(attributes.poolSize, 2),
  (_, input) => input[1],
  1,
);

/** Shapes that meet with sizes of 1 stretched. */
export const broadcast: ShapeRule = (layer, inputs) => {
  const length = Math.max(...inputs.map((shape) => shape.length));
  return Array.from({ length }, (_, axis) => {
    let size: number | null = 1;
    for (const shape of inputs) {
      const own = axis - length + shape.length < 0 ? 1 : shape[axis - length + shape.length];
      if (own === 1) continue;
      if (size !== 1 && own !== size) fail(layer, `inputs of shapes ${inputs.map(text).join(", ")}`);
      size = own;
    }
    return size;
  });
};

const product = (shape: Shape): number | null =>
  shape.reduce<number | null>((all, size) => (all === null || size === null ? null : all * size), 1);

export const text = (shape: Shape) => `[${shape.map((size) => size ?? "?").join(", ")}]`;

export function fail(layer: ShapedLayer, problem: string): never {
  throw new RangeError(`${layer.name} (${layer.kind}) cannot have ${problem}`);
}

function rank(layer: ShapedLayer, input: Shape, expected: number): void {
  if (input.length !== expected) fail(layer, `an input of shape ${text(input)}`);
}

export const reshape: ShapeRule = (layer, [input]) => {
  const target = [...(layer.attributes.targetShape as (number | null)[])];
  const total = product(input);
  const open = target.findIndex((size) => size === null || size === -1);
  if (open < 0) {
    if (total !== null && product(target) !== total)
      fail(layer, `shape ${text(target)} for an input of ${text(input)}`);
    return target;
  }
  const rest = product(target.toSpliced(open, 1));
  const size = total === null || rest === null ? null : total / rest;
  if (size !== null && !Number.isInteger(size))
    fail(layer, `shape ${text(target)} for an input of ${text(input)}`);
  return target.with(open, size);
};

export const flat: ShapeRule = (_, [input]) => [product(input)];
export const channelsOnly: ShapeRule = (layer, [input]) => {
  rank(layer, input, 3);
  return [input[2]];
};

export const channelsOfSteps: ShapeRule = (layer, [input]) => {
  rank(layer, input, 2);
  return [input[1]];
};

export const lookup: ShapeRule = ({ weights }, [input]) => [...input, weights.embeddings[1]];

export const repeatVector: ShapeRule = (layer, [input]) => {
  rank(layer, input, 1);
  return [Number(layer.attributes.n), input[0]];
};

/** A state for each time step, or the last one. */
export const recurrent: ShapeRule = (layer, [input]) => {
  rank(layer, input, 2);
  const units = Number(layer.attributes.units);
  return layer.attributes.returnSequences ? [input[0], units] : [units];
};

/** What two recurrent layers give out, one of which reads backwards. */
export const bidirectional: ShapeRule = (layer, inputs) => {
  const { config } = layer.attributes.layer as { config: Attributes };
  const one = recurrent({ ...layer, attributes: config }, inputs);
  return layer.attributes.mergeMode === "concat" ? one.with(-1, times(one.at(-1)!, 2)) : one;
};

function times(size: number | null, factor: number): number | null {
  return size === null ? null : size * factor;
}

export const dense: ShapeRule = ({ weights }, [input]) => [...input.slice(0, -1), weights.kernel[1]];

export const conv1d: ShapeRule = windowed(kernelSize("kernel"), ({ weights }) => weights.kernel[2], 1);

export const conv2d: ShapeRule = windowed(kernelSize("kernel"), ({ weights }) => weights.kernel[3]);

export const depthwiseConv2d: ShapeRule = windowed(kernelSize("depthwiseKernel"), depthwiseChannels);

export const separableConv2d: ShapeRule = windowed(
  kernelSize("depthwiseKernel"),
  ({ weights }) => weights.pointwiseKernel[3],
);

export const conv2dTranspose: ShapeRule = (layer, [input]) => {
  rank(layer, input, 3);
  const [high, wide, channels] = layer.weights.kernel;
  const strides = pairOf(layer.attributes.strides, 1);
  const places = [high, wide].map((window, i) =>
    input[i] === null
      ? null
      : input[i] * strides[i] + (layer.attributes.padding === "same" ? 0 : Math.max(0, window - strides[i])),
  );
  return [...places, channels];
};

export const concatenate: ShapeRule = (layer, inputs) => {
  const axis = Number(layer.attributes.axis ?? -1);
  const at = axis < 0 ? axis + inputs[0].length : axis - 1;
  for (const shape of inputs)
    if (shape.length !== inputs[0].length || shape.some((n, i) => i !== at && n !== inputs[0][i]))
      fail(layer, `inputs of shapes ${inputs.map(text).join(", ")}`);
  const sum = inputs.reduce<number | null>((all, shape) => {
    const size = shape[at];
    return all === null || size === null ? null : all + size;
  }, 0);
  return [...inputs[0]].with(at, sum);
};

export const permute: ShapeRule = ({ attributes }, [input]) =>
  (attributes.dims as number[]).map((axis) => input[axis - 1]);

export const zeroPadding2d: ShapeRule = ({ attributes }, [input]) => {
  const [[top, bottom], [left, right]] = attributes.padding as number[][];
  const more = (size: number | null, by: number) => (size === null ? null : size + by);
  return [more(input[0], top + bottom), more(input[1], left + right), input[2]];
};

export const upSampling2d: ShapeRule = ({ attributes }, [input]) => {
  const [high, wide] = pairOf(attributes.size, 2);
  return [times(input[0], high), times(input[1], wide), input[2]];
};

export const reduce: ShapeRule = ({ attributes }, [input]) => {
  const axes = attributes.axes as number[];
  const kept = input.map((size, axis) => (axes.includes(axis) ? 1 : size));
  return attributes.keepDims ? kept : kept.filter((_, axis) => !axes.includes(axis));
};

export const pad: ShapeRule = ({ attributes }, [input]) =>
  (attributes.paddings as number[][]).map(([before, after], axis) => {
    const size = input[axis];
    return size === null ? null : size + before + after;
  });

export const slice: ShapeRule = ({ attributes }, [input]) => {
  const { begin, end, strides } = attributes as Record<string, number[]>;
  return input.map((_, axis) => Math.max(0, Math.ceil((end[axis] - begin[axis]) / strides[axis])));
};

export const resize: ShapeRule = ({ attributes }, [input]) => [...(attributes.size as number[]), input[2]];

export const depthToSpace: ShapeRule = (layer, [input]) => {
  const block = Number(layer.attributes.blockSize);
  rank(layer, input, 3);
  const channels = Number(input[2]) / block ** 2;
  if (!Number.isInteger(channels)) fail(layer, `${input[2]} channels and blocks of ${block}`);
  return [times(input[0], block), times(input[1], block), channels];
};

export const spaceToDepth: ShapeRule = (layer, [input]) => {
  const block = Number(layer.attributes.blockSize);
  rank(layer, input, 3);
  const places = input.slice(0, 2).map((size) => (size === null ? null : size / block));
  if (places.some((size) => size !== null && !Number.isInteger(size)))
    fail(layer, `an input of shape ${text(input)} and blocks of ${block}`);
  return [...places, times(input[2], block ** 2)];
};
