// Numbers that an ONNX file knows beforehand: its constants, and what operators make of constants alone. Exporters compute
// shapes by chains of a dozen of these.

import { fromBfloats, fromHalves } from "../../util/half.ts";
import { elements } from "../../util/shape.ts";
import { stretched } from "../import/operators.ts";
import { permuted } from "../network.ts";
import type { OnnxNode, OnnxTensor, OnnxType } from "./model.ts";

/** Numbers, row-major, whatever their type. Whole ones are exact up to 2^53. */
export interface Known {
  shape: readonly number[];
  values: Float64Array | Float32Array;
}

/** The most numbers that may come of constants: what is larger is damage. */
const most = 2 ** 24;

/** A constant's numbers. */
export function numbersOf({ name, type, shape, bytes }: OnnxTensor): Known {
  const own = bytes.slice();
  const { buffer } = own;
  const count = elements(shape);
  const read = (): ArrayLike<number> => {
    switch (type) {
      case "FLOAT":
        return new Float32Array(buffer);
      case "FLOAT16":
        return fromHalves(new Uint16Array(buffer));
      case "BFLOAT16":
        return fromBfloats(new Uint16Array(buffer));
      case "DOUBLE":
        return new Float64Array(buffer);
      case "INT64":
        return Float64Array.from(new BigInt64Array(buffer), Number);
      case "UINT64":
        return Float64Array.from(new BigUint64Array(buffer), Number);
      case "INT32":
        return new Int32Array(buffer);
      case "UINT32":
        return new Uint32Array(buffer);
      case "INT16":
        return new Int16Array(buffer);
      case "UINT16":
        return new Uint16Array(buffer);
      case "INT8":
        return new Int8Array(buffer);
      case "UINT8":
      case "BOOL":
        return own;
      case "INT4":
      case "UINT4":
        return nibbles(own, count, type);
    }
  };
  const values = read();
  if (values.length !== count)
    throw new RangeError(`constant ${name} holds ${values.length} numbers, not ${count}`);
  return { shape, values: values instanceof Float32Array ? values : Float64Array.from(values) };
}

/** Numbers of 4 bits, the low half of a byte first. */
function nibbles(bytes: Uint8Array, count: number, type: OnnxType): Int8Array {
  const values = new Int8Array(count);
  for (let i = 0; i < count; i++) {
    const half = (bytes[i >> 1] >> (i % 2 === 0 ? 0 : 4)) & 15;
    values[i] = type === "INT4" && half > 7 ? half - 16 : half;
  }
  return values;
}

export const list = (values: readonly number[]): Known => ({
  shape: [values.length],
  values: Float64Array.from(values),
});

function limited(shape: readonly number[]): readonly number[] {
  if (shape.some((size) => !Number.isInteger(size) || size < 0) || elements(shape) > most)
    throw new RangeError(`a constant of shape [${shape}] is not made`);
  return shape;
}

/** Two constants, number by number. */
function both(a: Known, b: Known, of: (x: number, y: number) => number): Known {
  const rank = Math.max(a.shape.length, b.shape.length);
  const padded = ({ shape, values }: Known) => ({
    shape: [...new Array(rank - shape.length).fill(1), ...shape],
    values: values as Float32Array,
  });
  const [x, y] = [padded(a), padded(b)];
  const shape = limited(
    x.shape.map((size, axis) => {
      const other = y.shape[axis];
      if (size !== other && size !== 1 && other !== 1)
        throw new RangeError(`constants of shapes [${a.shape}] and [${b.shape}]`);
      return size === 1 ? other : size;
    }),
  );
  const wide = (known: typeof x): ArrayLike<number> =>
    known.values instanceof Float32Array
      ? stretched(known, shape).values
      : stretchedDoubles(known as unknown as Known, shape);
  const [left, right] = [wide(x), wide(y)];
  const kind =
    a.values instanceof Float32Array || b.values instanceof Float32Array ? Float32Array : Float64Array;
  const values = new kind(elements(shape));
  for (let i = 0; i < values.length; i++) values[i] = of(left[i], right[i]);
  return { shape, values };
}

function stretchedDoubles({ shape, values }: Known, target: readonly number[]): Float64Array {
  const all = new Float64Array(elements(target));
  for (let at = 0; at < all.length; at++) {
    let [from, rest, inner] = [0, at, 1];
    for (let axis = target.length - 1; axis >= 0; axis--) {
      const place = rest % target[axis];
      rest = Math.floor(rest / target[axis]);
      if (shape[axis] !== 1) from += place * inner;
      inner *= shape[axis];
    }
    all[at] = values[from];
  }
  return all;
}

const each =
  (of: (x: number) => number) =>
  ([x]: Known[]): Known => ({ shape: x.shape, values: x.values.map(of) });

const whole = (known: Known): number[] => [...known.values];

const axisOf = (axis: number, rank: number): number => {
  const own = axis < 0 ? axis + rank : axis;
  if (!(own >= 0 && own < Math.max(1, rank))) throw new RangeError(`axis ${axis} of ${rank}`);
  return own;
};

/** The axes of an operator: an input since opset 13, an attribute before. */
export function axesOf({ attributes }: OnnxNode, given: Known | undefined): number[] | undefined {
  return given ? whole(given) : (attributes.axes as number[] | undefined);
}

type Fold = (inputs: Known[], node: OnnxNode) => Known | Known[];

function gather([data, indices]: Known[], { attributes }: OnnxNode): Known {
  const axis = axisOf(Number(attributes.axis ?? 0), data.shape.length);
  const size = data.shape[axis];
  const inner = elements(data.shape.slice(axis + 1));
  const outer = elements(data.shape.slice(0, axis));
  const shape = limited([...data.shape.slice(0, axis), ...indices.shape, ...data.shape.slice(axis + 1)]);
  const values = data.values.slice(0, 0).constructor as Float64ArrayConstructor;
  const result = new values(elements(shape));
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const index of indices.values) {
      const own = index < 0 ? index + size : index;
      if (!(own >= 0 && own < size)) throw new RangeError(`index ${index} of ${size}`);
      for (let i = 0; i < inner; i++) result[at++] = data.values[(o * size + own) * inner + i];
    }
  return { shape, values: result };
}

function concat(inputs: Known[], { attributes }: OnnxNode): Known {
  const axis = axisOf(Number(attributes.axis ?? 0), inputs[0].shape.length);
  const outer = elements(inputs[0].shape.slice(0, axis));
  const sum = inputs.reduce((total, { shape }) => total + (shape[axis] ?? 1), 0);
  const shape = limited(inputs[0].shape.with(axis, sum));
  const values = new Float64Array(elements(shape));
  let at = 0;
  for (let o = 0; o < outer; o++)
    for (const { shape: own, values: numbers } of inputs) {
      const inner = elements(own.slice(axis));
      for (let i = 0; i < inner; i++) values[at++] = numbers[o * inner + i];
    }
  return { shape, values };
}

function slice([data, ...rest]: Known[], node: OnnxNode): Known {
  const { attributes } = node;
  const [starts, ends] =
    rest.length > 0
      ? rest.slice(0, 2).map(whole)
      : [attributes.starts, attributes.ends].map((v) => [...(v as number[])]);
  const axes = rest[2]
    ? whole(rest[2])
    : ((attributes.axes as number[] | undefined) ?? starts.map((_, i) => i));
  const steps = rest[3] ? whole(rest[3]) : starts.map(() => 1);
  let now = data;
  for (const [i, wish] of axes.entries()) {
    const axis = axisOf(wish, now.shape.length);
    const size = now.shape[axis];
    const place = (value: number) => Math.max(0, Math.min(size, value < 0 ? value + size : value));
    if (!(steps[i] >= 1)) throw new RangeError(`steps of ${steps[i]} are not supported`);
    const indices: number[] = [];
    for (let at = place(starts[i]); at < place(ends[i]); at += steps[i]) indices.push(at);
    now = gather([now, list(indices)], { ...node, attributes: { axis } });
  }
  return now;
}

function reshape([data, target]: Known[]): Known {
  const shape = whole(target).map((size, i) => (size === 0 ? data.shape[i] : size));
  const open = shape.indexOf(-1);
  if (open >= 0) shape[open] = data.values.length / elements(shape.toSpliced(open, 1));
  if (elements(limited(shape)) !== data.values.length)
    throw new RangeError(`shape [${shape}] for [${data.shape}]`);
  return { shape, values: data.values };
}

function unsqueeze([data, axes]: Known[], node: OnnxNode): Known {
  const given = axesOf(node, axes) ?? [];
  const rank = data.shape.length + given.length;
  const own = given.map((axis) => axisOf(axis, rank));
  const rest = [...data.shape];
  return {
    shape: Array.from({ length: rank }, (_, axis) => (own.includes(axis) ? 1 : rest.shift()!)),
    values: data.values,
  };
}

function squeeze([data, axes]: Known[], node: OnnxNode): Known {
  const own = axesOf(node, axes)?.map((axis) => axisOf(axis, data.shape.length));
  return {
    shape: data.shape.filter((size, axis) => (own ? !own.includes(axis) : size !== 1)),
    values: data.values,
  };
}

function dequantize([codes, scale, zero]: Known[], { attributes }: OnnxNode): Known {
  const count = scale.values.length;
  const axis = axisOf(Number(attributes.axis ?? 1), codes.shape.length || 1);
  const block = Number(attributes.block_size ?? 0);
  const size = codes.shape[axis] ?? 1;
  const inner = elements(codes.shape.slice(axis + 1));
  const values = new Float32Array(codes.values.length);
  const perAxis = count === 1 ? 1 : block > 0 ? Math.ceil(size / block) : size;
  if (count !== 1 && block === 0 && count !== size)
    throw new RangeError(`${count} scales for ${size} channels`);
  if (block > 0 && count !== (codes.values.length / size) * perAxis)
    throw new RangeError(`${count} scales in blocks`);
  for (let i = 0; i < values.length; i++) {
    const place = Math.floor(i / inner) % size;
    const at =
      count === 1
        ? 0
        : block > 0
          ? (Math.floor(i / (inner * size)) * perAxis + Math.floor(place / block)) * inner + (i % inner)
          : place;
    values[i] = (codes.values[i] - (zero?.values[zero.values.length === 1 ? 0 : at] ?? 0)) * scale.values[at];
  }
  return { shape: codes.shape, values };
}

/** What operators make of constants. */
export const folds: Record<string, Fold> = {
  Identity: ([x]) => x,
  Cast: ([x], { attributes }) => {
    // To floats, or to whole numbers, which cut.
    const to = Number(attributes.to);
    if (to === 1 || to === 10 || to === 16) return { shape: x.shape, values: Float32Array.from(x.values) };
    return {
      shape: x.shape,
      values: to === 11 ? Float64Array.from(x.values) : Float64Array.from(x.values, Math.trunc),
    };
  },
  Gather: gather,
  Concat: concat,
  Slice: slice,
  Reshape: reshape,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Transpose: ([x], { attributes }) => {
    const order = (attributes.perm as number[] | undefined) ?? x.shape.map((_, i) => x.shape.length - 1 - i);
    return {
      shape: order.map((axis) => x.shape[axis]),
      values: permuted(x.values as Float32Array, x.shape, order),
    };
  },
  ConstantOfShape: ([shape], { attributes }) => {
    const value = attributes.value as OnnxTensor | undefined;
    const own = limited(whole(shape));
    return {
      shape: own,
      values: new Float64Array(elements(own)).fill(value ? numbersOf(value).values[0] : 0),
    };
  },
  Expand: ([x, shape]) =>
    both(x, { shape: limited(whole(shape)), values: new Float64Array(elements(whole(shape))) }, (a) => a),
  Range: ([start, limit, delta]) => {
    const count = Math.max(0, Math.ceil((limit.values[0] - start.values[0]) / delta.values[0]));
    limited([count]);
    return list(Array.from({ length: count }, (_, i) => start.values[0] + i * delta.values[0]));
  },
  Add: ([a, b]) => both(a, b, (x, y) => x + y),
  Sub: ([a, b]) => both(a, b, (x, y) => x - y),
  Mul: ([a, b]) => both(a, b, (x, y) => x * y),
  // Whole numbers are divided as such.
  Div: ([a, b]) =>
    both(
      a,
      b,
      a.values instanceof Float64Array && b.values instanceof Float64Array
        ? (x, y) => Math.trunc(x / y)
        : (x, y) => x / y,
    ),
  Pow: ([a, b]) => both(a, b, (x, y) => x ** y),
  Max: ([a, b]) => both(a, b, Math.max),
  Min: ([a, b]) => both(a, b, Math.min),
  Floor: each(Math.floor),
  Ceil: each(Math.ceil),
  Sqrt: each(Math.sqrt),
  Neg: each((x) => -x),
  Reciprocal: each((x) => 1 / x),
  Abs: each(Math.abs),
  Exp: each(Math.exp),
  DequantizeLinear: dequantize,
};
