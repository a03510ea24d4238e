// What operators of all formats become: layers with channels last. Values flow without their batch; a format's own reader
// has put axes and kernels into our order before.
import type { elementwiseFunctions, reductions } from "../../graph/index.ts";
import { elements } from "../../util/shape.ts";
import { samePads } from "../../util/window.ts";
import type { Constant, NetworkBuilder } from "./builder.ts";

type Pair = readonly [number, number];

/** How the edges of an image are treated: as TensorFlow's "same" and "valid", or by numbers of zeros. */
export type Padding = "same" | "valid" | { high: Pair; wide: Pair };

export interface WindowSettings {
  strides: Pair;
  dilation?: Pair;
  padding: Padding;
}

/** A padding by numbers as the layer's own where it is one, with the numbers that are left to a layer before it. */
function resolved(
  shape: readonly number[],
  window: Pair,
  { strides, dilation = [1, 1], padding }: WindowSettings,
): { padding: "same" | "valid"; pads?: [Pair, Pair] } {
  if (typeof padding === "string") return { padding };
  const pads: [Pair, Pair] = [padding.high, padding.wide];
  if (pads.flat().some((n) => !Number.isInteger(n) || n < 0))
    throw new RangeError(`pads must be whole numbers of at least 0, got ${pads.flat().join(", ")}`);
  if (pads.flat().every((n) => n === 0)) return { padding: "valid" };
  const isSame = pads.every(([before, after], i) => {
    const [b, a] = samePads(shape[i], window[i], strides[i], dilation[i]);
    return before === b && after === a;
  });
  return isSame ? { padding: "same" } : { padding: "valid", pads };
}

function checkWindow(shape: readonly number[], { strides, dilation = [1, 1] }: WindowSettings): void {
  if (shape.length !== 3) throw new RangeError(`its input must be an image, got shape [${shape}]`);
  for (const [name, pair] of Object.entries({ strides, dilation }))
    if (pair.some((n) => !Number.isInteger(n) || n < 1))
      throw new RangeError(`${name} must be whole numbers of at least 1, got ${pair.join(", ")}`);
}

const zeros = (b: NetworkBuilder, name: string, x: string, pads: [Pair, Pair]) =>
  b.add("zeroPadding2d", `${name}/pad`, [x], { padding: pads, dataFormat: "channelsLast" });

/** A convolution; kernel [high, wide, in, out], or for a depthwise one [high, wide, channels, multiplier]. */
export function convolution(
  b: NetworkBuilder,
  kind: "conv2d" | "depthwiseConv2d",
  name: string,
  x: string,
  kernel: Constant,
  bias: Constant | undefined,
  settings: WindowSettings & { activation?: string },
): string {
  checkWindow(b.shape(x), settings);
  const { strides, dilation = [1, 1], activation = "linear" } = settings;
  const [high, wide, channels, out] = kernel.shape;
  if (b.shape(x)[2] !== channels)
    throw new RangeError(
      kind === "conv2d" && channels > 0 && b.shape(x)[2] % channels === 0
        ? `convolutions in ${b.shape(x)[2] / channels} groups are not supported`
        : `kernel of ${channels} channels for an input of ${b.shape(x)[2]}`,
    );
  if (strides.some((n) => n > 1) && dilation.some((n) => n > 1))
    throw new RangeError("strides and dilation at once are not supported");
  const { padding, pads } = resolved(b.shape(x), [high, wide], settings);
  const input = pads ? zeros(b, name, x, pads) : x;
  const depthwise = kind === "depthwiseConv2d";
  const shared = {
    kernelSize: [high, wide],
    strides: [...strides],
    padding,
    dataFormat: "channelsLast",
    dilationRate: [...dilation],
    activation,
    useBias: bias !== undefined,
  };
  return depthwise
    ? b.add(kind, name, [input], { ...shared, depthMultiplier: out }, { depthwiseKernel: kernel, bias })
    : b.add(kind, name, [input], { ...shared, filters: out }, { kernel, bias });
}

/**
 * A transposed convolution; kernel [high, wide, out, in].
 *
 * @param size the height and width that come out
 */
export function transposedConvolution(
  b: NetworkBuilder,
  name: string,
  x: string,
  kernel: Constant,
  bias: Constant | undefined,
  { strides, size, before }: { strides: Pair; size: Pair; before?: Pair },
): string {
  const shape = b.shape(x);
  checkWindow(shape, { strides, padding: "valid" });
  const [high, wide, out, channels] = kernel.shape;
  if (channels !== shape[2])
    throw new RangeError(`kernel of ${channels} channels for an input of ${shape[2]}`);
  const window = [high, wide];
  const cut = window.map((n, i) => Math.max(0, n - strides[i]));
  const same =
    [0, 1].every((i) => size[i] === shape[i] * strides[i]) &&
    (!before || [0, 1].every((i) => before[i] === Math.floor(cut[i] / 2)));
  const valid =
    [0, 1].every((i) => size[i] === shape[i] * strides[i] + cut[i]) &&
    (!before || before.every((n) => n === 0));
  const settings = (padding: string) => ({
    filters: out,
    kernelSize: window,
    strides: [...strides],
    padding,
    dataFormat: "channelsLast",
    activation: "linear",
    useBias: bias !== undefined,
  });
  if (same || valid)
    return b.add("conv2dTranspose", name, [x], settings(same ? "same" : "valid"), { kernel, bias });
  // All of it, and then the part that is wanted.
  const whole = b.add("conv2dTranspose", name, [x], settings("valid"), { kernel, bias });
  const [all, from] = [b.shape(whole), before ?? [0, 0]];
  const end = [from[0] + size[0], from[1] + size[1]];
  if (end.some((n, i) => n > all[i]))
    throw new RangeError(
      `an output of ${size.join(" x ")} where there are ${all.slice(0, 2).join(" x ")} places`,
    );
  return slice(b, `${name}/crop`, whole, [...from, 0], [...end, out], [1, 1, 1]);
}

/** Rows times a kernel [in, out]. */
export function dense(
  b: NetworkBuilder,
  name: string,
  x: string,
  kernel: Constant,
  bias: Constant | undefined,
  activation = "linear",
): string {
  const [rows, units] = kernel.shape;
  if (b.shape(x).at(-1) !== rows)
    throw new RangeError(`kernel of ${rows} rows for an input of shape [${b.shape(x)}]`);
  return b.add("dense", name, [x], { units, activation, useBias: bias !== undefined }, { kernel, bias });
}

export const activation = (b: NetworkBuilder, name: string, x: string, activation: string): string =>
  activation === "linear" ? x : b.add("activation", name, [x], { activation });

/** Numbers held between two bounds, by the layer that has them. */
export function clip(b: NetworkBuilder, name: string, x: string, min: number, max: number): string {
  const layer = clipping(min, max);
  return layer ? b.add(layer.kind, name, [x], layer.attributes) : x;
}

/** The layer that holds numbers between two bounds; undefined where these hold nothing back. */
export function clipping(
  min: number,
  max: number,
): { kind: string; attributes: Record<string, unknown> } | undefined {
  const above = max >= 3.4e38;
  if (min === 0 && (above || max === 6))
    return { kind: "activation", attributes: { activation: above ? "relu" : "relu6" } };
  if (min === 0 && max > 0) return { kind: "reLU", attributes: { maxValue: max } };
  if (min <= -3.4e38 && above) return undefined;
  if (!(min <= max)) throw new RangeError(`bounds must be in order, got ${min} and ${max}`);
  return { kind: "clip", attributes: { min: Math.max(min, -3.4e38), max: Math.min(max, 3.4e38) } };
}

/** Numbers held above or below a constant of one number. */
export function bound(
  b: NetworkBuilder,
  kind: "maximum" | "minimum",
  name: string,
  x: string,
  { values }: Constant,
): string {
  if (values.length !== 1) throw new RangeError(`a bound of ${values.length} numbers is not supported`);
  return kind === "maximum" ? clip(b, name, x, values[0], 3.4e38) : clip(b, name, x, -3.4e38, values[0]);
}

export function pooling(
  b: NetworkBuilder,
  kind: "maxPooling2d" | "averagePooling2d",
  name: string,
  x: string,
  window: Pair,
  settings: WindowSettings & { countPads?: boolean },
): string {
  checkWindow(b.shape(x), settings);
  if (window.some((n) => !Number.isInteger(n) || n < 1))
    throw new RangeError(`windows must be whole numbers of at least 1, got ${window.join(", ")}`);
  const { strides, dilation = [1, 1] } = settings;
  if (dilation.some((n) => n !== 1)) throw new RangeError("pooling with dilation is not supported");
  const shape = b.shape(x);
  let { padding, pads } = resolved(shape, window, settings);
  const average = kind === "averagePooling2d";
  if (padding === "same" && average && settings.countPads) {
    padding = "valid";
    pads = [0, 1].map((i) => samePads(shape[i], window[i], strides[i], 1)) as unknown as [Pair, Pair];
  }
  let input = x;
  if (pads)
    input = average
      ? zeros(b, name, x, pads)
      : pad(b, `${name}/pad`, x, [...pads, [0, 0]], "constant", -3.4028234663852886e38);
  const shared = { poolSize: [...window], strides: [...strides], padding, dataFormat: "channelsLast" };
  const result = b.add(kind, name, [input], shared);
  if (!pads || !average || settings.countPads) return result;
  // The zeros count as places here and not there: each place's mean gets its own factor.
  const [rows, columns] = b.shape(result);
  if (rows * columns > 2 ** 22) throw new RangeError(`${rows} x ${columns} places are too many`);
  const inside = (axis: 0 | 1, at: number) => {
    const start = at * strides[axis] - pads[axis][0];
    return Math.min(shape[axis], start + window[axis]) - Math.max(0, start);
  };
  const values = new Float32Array(rows * columns);
  for (let i = 0; i < values.length; i++)
    values[i] = (window[0] * window[1]) / (inside(0, Math.floor(i / columns)) * inside(1, i % columns));
  return affine(b, `${name}/counts`, result, { shape: [rows, columns, 1], values }, undefined);
}

/** Numbers added around a value: [before, behind] for each axis but the batch. */
export function pad(
  b: NetworkBuilder,
  name: string,
  x: string,
  paddings: readonly Pair[],
  mode: "constant" | "reflect" | "symmetric" = "constant",
  value = 0,
): string {
  const shape = b.shape(x);
  if (paddings.length !== shape.length)
    throw new RangeError(`pads for ${paddings.length} axes of ${shape.length}`);
  if (paddings.flat().every((n) => n === 0)) return x;
  if (paddings.flat().some((n) => !Number.isInteger(n) || n < 0))
    throw new RangeError(`pads must be whole numbers of at least 0, got ${paddings.flat().join(", ")}`);
  if (
    mode !== "constant" &&
    paddings.some(([p, q], i) => Math.max(p, q) > shape[i] - (mode === "reflect" ? 1 : 0))
  )
    throw new RangeError("pads by reflection must be smaller than what they reflect");
  const plain = mode === "constant" && value === 0 && shape.length === 3 && paddings[2].every((n) => n === 0);
  if (plain)
    return b.add("zeroPadding2d", name, [x], { padding: paddings.slice(0, 2), dataFormat: "channelsLast" });
  return b.add("pad", name, [x], { paddings, mode, value });
}

/** Numbers or means along axes, which do not count the batch. */
export function reduce(
  b: NetworkBuilder,
  name: string,
  x: string,
  what: (typeof reductions)[number],
  axes: readonly number[],
  keepDims: boolean,
): string {
  const shape = b.shape(x);
  const own = [...new Set(axes)].sort((p, q) => p - q);
  if (own.some((axis) => axis < 0 || axis >= shape.length))
    throw new RangeError(`axes ${axes.join(", ")} of a value of shape [${shape}]`);
  if (own.length === 0) return x;
  const places = shape.length === 3 && own.join() === "0,1";
  if (places && (what === "mean" || what === "max")) {
    const kind = what === "mean" ? "averagePooling2d" : "maxPooling2d";
    if (!keepDims) return b.add(what === "mean" ? "globalAveragePooling2d" : "globalMaxPooling2d", name, [x]);
    const window: Pair = [shape[0], shape[1]];
    return pooling(b, kind, name, x, window, { strides: window, padding: "valid" });
  }
  return b.add("reduce", name, [x], { function: what, axes: own, keepDims });
}

/** Numbers that two values make, one of each: sizes of 1 are stretched. */
export function merge(
  b: NetworkBuilder,
  kind: "add" | "multiply" | "subtract" | "divide" | "maximum" | "minimum",
  name: string,
  inputs: readonly string[],
): string {
  const ranks = new Set(inputs.map((tensor) => b.shape(tensor).length));
  if (ranks.size > 1)
    throw new RangeError(
      `values of shapes ${inputs.map((tensor) => `[${b.shape(tensor)}]`).join(" and ")} are not merged`,
    );
  return b.add(kind, name, inputs);
}

/**
 * A value times a factor plus an offset, both constants that are stretched along axes of size 1.
 *
 * @param factor with as many axes as the value or fewer, the batch's left out
 */
export function affine(
  b: NetworkBuilder,
  name: string,
  x: string,
  factor: Constant | undefined,
  offset: Constant | undefined,
): string {
  const shape = b.shape(x);
  const ones = (values: number): Constant => ({ shape: shape.map(() => 1), values: Float32Array.of(values) });
  const [f, o] = [factor ?? ones(1), offset ?? ones(0)].map((constant) => aligned(constant, shape));
  const common = shape.map((_, axis) => Math.max(f.shape[axis], o.shape[axis]));
  return b.add(
    "affine",
    name,
    [x],
    { sharedAxes: common.flatMap((size, axis) => (size === 1 && shape[axis] !== 1 ? [axis + 1] : [])) },
    { factor: stretched(f, common), offset: stretched(o, common) },
  );
}

const invert = ({ shape, values }: Constant, of: (value: number) => number): Constant => ({
  shape,
  values: values.map(of),
});

/** A sum, difference, product or quotient of a value and a constant. */
export function withConstant(
  b: NetworkBuilder,
  name: string,
  kind: "add" | "multiply" | "subtract" | "divide",
  x: string,
  constant: Constant,
  isFirst: boolean,
): string {
  const one = { shape: [1], values: Float32Array.of(-1) };
  switch (kind) {
    case "add":
      return affine(b, name, x, undefined, constant);
    case "multiply":
      return affine(b, name, x, constant, undefined);
    case "subtract":
      return isFirst
        ? affine(b, name, x, one, constant)
        : affine(
            b,
            name,
            x,
            undefined,
            invert(constant, (value) => -value),
          );
    default:
      return isFirst
        ? affine(b, name, elementwise(b, `${name}/reciprocal`, x, "reciprocal"), constant, undefined)
        : affine(
            b,
            name,
            x,
            invert(constant, (value) => 1 / value),
            undefined,
          );
  }
}

/** A value that flows, or a constant. */
export type Operand = { tensor: string } | { known: Constant };

/** What two values make, one of which may be a constant. */
export function ofTwo(
  b: NetworkBuilder,
  kind: "add" | "multiply" | "subtract" | "divide" | "maximum" | "minimum",
  name: string,
  first: Operand | undefined,
  second: Operand | undefined,
): string {
  if (!first || !second) throw new RangeError("must read two values");
  if ("tensor" in first && "tensor" in second) return merge(b, kind, name, [first.tensor, second.tensor]);
  if ("known" in first && "known" in second) throw new RangeError("two constants are not supported");
  const [flow, constant] = ("tensor" in first ? [first, second] : [second, first]) as [
    { tensor: string },
    { known: Constant },
  ];
  return kind === "maximum" || kind === "minimum"
    ? bound(b, kind, name, flow.tensor, constant.known)
    : withConstant(b, name, kind, flow.tensor, constant.known, "known" in first);
}

/** A constant with the axes of a value, each of its size or of 1; a leading axis of 1 for the batch is taken off. */
export function aligned({ shape, values }: Constant, target: readonly number[]): Constant {
  let own = [...shape];
  while (own.length > target.length && own[0] === 1) own = own.slice(1);
  own = [...new Array(Math.max(0, target.length - own.length)).fill(1), ...own];
  if (own.length > target.length || own.some((size, axis) => size !== 1 && size !== target[axis]))
    throw new RangeError(`a constant of shape [${shape}] for a value of shape [${target}]`);
  return { shape: own, values };
}

/** A constant of a larger shape: along axes of 1 its numbers are repeated. */
export function stretched({ shape, values }: Constant, target: readonly number[]): Constant {
  if (shape.every((size, axis) => size === target[axis])) return { shape: target, values };
  const all = new Float32Array(elements(target));
  const strides = shape.map((size, axis) => (size === 1 ? 0 : elements(shape.slice(axis + 1))));
  const place = new Array(target.length).fill(0);
  let from = 0;
  for (let at = 0; at < all.length; at++) {
    all[at] = values[from];
    for (let axis = target.length - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++place[axis] < target[axis]) break;
      from -= place[axis] * strides[axis];
      place[axis] = 0;
    }
  }
  return { shape: target, values: all };
}

export function concatenate(
  b: NetworkBuilder,
  name: string,
  inputs: readonly string[],
  axis: number,
): string {
  if (inputs.length === 1) return inputs[0];
  const rank = b.shape(inputs[0]).length;
  if (axis < 0 || axis >= rank)
    throw new RangeError(`values of ${rank} axes cannot be put together along ${axis + 1}`);
  return b.add("concatenate", name, inputs, { axis: axis === rank - 1 ? -1 : axis + 1 });
}

/** A value in another shape; both are without the batch. */
export function reshape(b: NetworkBuilder, name: string, x: string, shape: readonly number[]): string {
  const own = b.shape(x);
  if (own.length === shape.length && own.every((size, axis) => size === shape[axis])) return x;
  if (elements(own) !== elements(shape))
    throw new RangeError(`shape [${shape}] for a value of shape [${own}]`);
  if (shape.length === 1) return b.add("flatten", name, [x], { dataFormat: "channelsLast" });
  return b.add("reshape", name, [x], { targetShape: [...shape] });
}

/** A value with its axes in another order, from 0, the batch not counted. */
export function permute(b: NetworkBuilder, name: string, x: string, order: readonly number[]): string {
  const rank = b.shape(x).length;
  if (
    order.length !== rank ||
    new Set(order).size !== rank ||
    order.some((axis) => !(axis >= 0 && axis < rank))
  )
    throw new RangeError(`order ${order.join(", ")} of ${rank} axes`);
  if (order.every((axis, i) => axis === i)) return x;
  return b.add("permute", name, [x], { dims: order.map((axis) => axis + 1) });
}

/** A part of a value: from `begin` up to `end`, the batch not counted. */
export function slice(
  b: NetworkBuilder,
  name: string,
  x: string,
  begin: readonly number[],
  end: readonly number[],
  strides: readonly number[],
): string {
  const shape = b.shape(x);
  for (const [axis, size] of shape.entries())
    if (!(begin[axis] >= 0 && end[axis] <= size && begin[axis] < end[axis] && strides[axis] >= 1))
      throw new RangeError(
        `a part from ${begin[axis]} to ${end[axis]} by ${strides[axis]} of an axis of ${size}`,
      );
  if (shape.every((size, axis) => begin[axis] === 0 && end[axis] === size && strides[axis] === 1)) return x;
  return b.add("slice", name, [x], { begin: [...begin], end: [...end], strides: [...strides] });
}

export function resize(
  b: NetworkBuilder,
  name: string,
  x: string,
  size: Pair,
  settings: { interpolation: "nearest" | "bilinear"; alignCorners: boolean; halfPixelCenters: boolean },
): string {
  const shape = b.shape(x);
  if (shape.length !== 3) throw new RangeError(`its input must be an image, got shape [${shape}]`);
  if (size.some((n) => !Number.isInteger(n) || n < 1))
    throw new RangeError(`size must be above 0, got ${size.join(" x ")}`);
  if (size[0] === shape[0] && size[1] === shape[1]) return x;
  const factors = size.map((n, i) => n / shape[i]);
  // By whole factors each pixel is repeated, whichever way pixels are counted.
  if (settings.interpolation === "nearest" && !settings.alignCorners && factors.every(Number.isInteger))
    return b.add("upSampling2d", name, [x], {
      size: factors,
      interpolation: "nearest",
      dataFormat: "channelsLast",
    });
  return b.add("resize", name, [x], { size: [...size], ...settings });
}

export function elementwise(
  b: NetworkBuilder,
  name: string,
  x: string,
  what: (typeof elementwiseFunctions)[number],
): string {
  return b.add("elementwise", name, [x], { function: what });
}
