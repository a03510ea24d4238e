// TFLite files as data: the tables of LiteRT's schema that networks are made of. What operators mean is not known here.
import { shown } from "../../util/check.ts";
import { fromHalves } from "../../util/half.ts";
import { elements } from "../../util/shape.ts";
import { refuse } from "../error.ts";
import { FlatTable } from "../flatbuffer.ts";
import { tfliteCodes } from "./codes.ts";

/** The types of tensors that are read, by their number in the file, and the bytes of one number. */
const types: Record<number, { type: ReadType; size: number }> = {
  0: { type: "FLOAT32", size: 4 },
  1: { type: "FLOAT16", size: 2 },
  2: { type: "INT32", size: 4 },
  3: { type: "UINT8", size: 1 },
  4: { type: "INT64", size: 8 },
  6: { type: "BOOL", size: 1 },
  7: { type: "INT16", size: 2 },
  9: { type: "INT8", size: 1 },
  17: { type: "INT4", size: 0.5 },
};
export type ReadType =
  | "FLOAT32"
  | "FLOAT16"
  | "INT32"
  | "UINT8"
  | "INT64"
  | "BOOL"
  | "INT16"
  | "INT8"
  | "INT4";

/** A tensor of a file that was read. */
export interface ReadTensor {
  name: string;
  type: ReadType | `type ${number}`;
  /** Sizes that are not fixed are −1. */
  shape: number[];
  /** A constant's numbers as they lie in the file; undefined for values that flow. */
  bytes?: Uint8Array;
  scale: number[];
  zeroPoint: number[];
  /** The axis of scales, where there are several. */
  axis: number;
  /** How the numbers of a sparse constant are laid out; see {@link densified}. */
  sparsity?: FlatTable;
}

export interface ReadOperator {
  /** Its name in the schema, "CUSTOM:Name", or "operator 777". */
  op: string;
  inputs: number[];
  outputs: number[];
  options?: FlatTable;
  customOptions?: Uint8Array;
}

export interface ReadModel {
  description: string;
  tensors: ReadTensor[];
  operators: ReadOperator[];
  inputs: number[];
  outputs: number[];
}

/**
 * Reads a .tflite file.
 *
 * @param file what error messages call it
 * @throws FormatError that names the file and the place
 */
export function decodeTflite(bytes: Uint8Array, file = "the file"): ReadModel {
  if (String.fromCharCode(...bytes.subarray(4, 8)) !== "TFL3")
    refuse(file, "is no TFLite file: it does not begin as one");
  try {
    return modelFrom(bytes, file);
  } catch (error) {
    if (error instanceof RangeError) refuse(file, `is damaged: ${error.message}`, error);
    throw error;
  }
}

function modelFrom(bytes: Uint8Array, file: string): ReadModel {
  const root = FlatTable.root(bytes);
  const version = root.int(0);
  if (version !== 3) refuse(file, `is of version ${version}; what can be read: 3`);
  const graphs = root.tables(2);
  if (graphs.length !== 1) refuse(file, `holds ${graphs.length} networks; what can be read: 1`);
  const buffers = root.tables(4);
  const codes = root.tables(1).map((code) => {
    const number = Math.max(code.byte(0), code.int(3));
    if (number === 32) return `CUSTOM:${code.text(1).slice(0, 60)}`;
    return tfliteCodes[number] ?? `operator ${number}`;
  });
  const [graph] = graphs;
  const tensors = graph.tables(0).map((tensor): ReadTensor => {
    const name = tensor.text(3);
    const buffer = buffers[tensor.int(2)];
    if (!buffer) throw new RangeError(`tensor ${shown(name)} has no buffer ${tensor.int(2)}`);
    if (tensor.int(10) !== 0 || buffer.long(1) > 1)
      refuse(file, `tensor ${shown(name)} lies outside of the file's tables, which is not supported`);
    const known = types[tensor.byte(1)];
    const shape = tensor.ints(0);
    const signature = tensor.ints(7);
    if (shape.length > 8 || shape.some((size) => size < 0) || !(elements(shape) <= 2 ** 40))
      refuse(file, `tensor ${shown(name)} has shape [${shape.slice(0, 8)}]`);
    const content = buffer.bytes(0);
    const sparsity = tensor.table(6);
    const own = content && content.length > 0 ? content : undefined;
    if (own && known && !sparsity && own.length !== Math.ceil(elements(shape) * known.size))
      refuse(
        file,
        `tensor ${shown(name)} of shape [${shape}] takes ${Math.ceil(elements(shape) * known.size)} bytes, got ${own.length}`,
      );
    const quantization = tensor.table(4);
    return {
      name,
      type: known?.type ?? `type ${tensor.byte(1)}`,
      shape: own ? shape : shape.map((size, axis) => (axis > 0 && signature[axis] === -1 ? -1 : size)),
      bytes: own,
      scale: quantization?.floats(2) ?? [],
      zeroPoint: quantization?.longs(3) ?? [],
      axis: quantization?.int(6) ?? 0,
      sparsity,
    };
  });
  const operators = graph.tables(3).map((operator): ReadOperator => {
    const op = codes[operator.int(0)];
    if (op === undefined) throw new RangeError(`an operator has code ${operator.int(0)}`);
    const [inputs, outputs] = [operator.ints(1), operator.ints(2)];
    if (outputs.length === 0 || outputs.includes(-1)) throw new RangeError(`${op} gives out nothing`);
    for (const tensor of [...inputs, ...outputs])
      if (tensor >= tensors.length || tensor < -1) throw new RangeError(`${op} names tensor ${tensor}`);
    return { op, inputs, outputs, options: operator.table(4), customOptions: operator.bytes(5) };
  });
  const [inputs, outputs] = [graph.ints(1), graph.ints(2)];
  for (const tensor of [...inputs, ...outputs])
    if (!tensors[tensor]) throw new RangeError(`the network names tensor ${tensor}`);
  return { description: root.text(3), tensors, operators, inputs, outputs };
}

/**
 * A constant's numbers as floats; quantized ones by their scales.
 *
 * @throws RangeError for a type that has none, or scales that do not fit
 */
export function floatsOf(tensor: ReadTensor): Float32Array {
  const codes = codesOf(tensor);
  const { scale, zeroPoint, shape, axis } = tensor;
  if (scale.length === 0 || tensor.type === "FLOAT32" || tensor.type === "FLOAT16")
    return codes instanceof Float32Array ? codes : Float32Array.from(codes);
  const count = scale.length;
  if (count > 1 && shape[axis] !== count)
    throw new RangeError(`tensor ${shown(tensor.name)} has ${count} scales along an axis of ${shape[axis]}`);
  const inner = count === 1 ? codes.length : elements(shape.slice(axis + 1));
  const values = new Float32Array(codes.length);
  for (let i = 0; i < values.length; i++) {
    const channel = Math.floor(i / inner) % count;
    values[i] = scale[channel] * (codes[i] - (zeroPoint[zeroPoint.length > 1 ? channel : 0] ?? 0));
  }
  return values;
}

/** A constant's numbers as they are stored. */
export function codesOf(tensor: ReadTensor): Float32Array | Int32Array | Int16Array | Int8Array | Uint8Array {
  const { bytes, type, shape } = tensor;
  if (!bytes) throw new RangeError(`tensor ${shown(tensor.name)} is no constant`);
  const own = bytes.slice();
  const stored = (): Float32Array | Int32Array | Int16Array | Int8Array | Uint8Array => {
    switch (type) {
      case "FLOAT32":
        return new Float32Array(own.buffer, 0, own.length >> 2);
      case "FLOAT16":
        return fromHalves(new Uint16Array(own.buffer, 0, own.length >> 1));
      case "INT32":
        return new Int32Array(own.buffer, 0, own.length >> 2);
      case "INT64":
        return Int32Array.from(new BigInt64Array(own.buffer, 0, own.length >> 3), Number);
      case "INT16":
        return new Int16Array(own.buffer, 0, own.length >> 1);
      case "INT8":
        return new Int8Array(own.buffer);
      case "UINT8":
      case "BOOL":
        return own;
      case "INT4":
        return nibbles(own, elements(shape));
      default:
        throw new RangeError(`tensor ${shown(tensor.name)} has ${type}, which is not supported`);
    }
  };
  return tensor.sparsity ? densified(stored(), tensor) : stored();
}

/** Signed numbers of 4 bits, the low half of a byte first. */
function nibbles(bytes: Uint8Array, count: number): Int8Array {
  const values = new Int8Array(count);
  for (let i = 0; i < count; i++) values[i] = ((bytes[i >> 1] >> (i % 2 === 0 ? 0 : 4)) << 28) >> 28;
  return values;
}

/**
 * The dense numbers of a sparse constant, laid out axis by axis as the schema's SparsityParameters say: an axis is dense,
 * or lists which indices there are (compressed rows).
 */
function densified<T extends Float32Array | Int32Array | Int16Array | Int8Array | Uint8Array>(
  stored: T,
  { name, shape, sparsity }: ReadTensor,
): T {
  const order = sparsity!.ints(0);
  const blocks = sparsity!.ints(1);
  const all = elements(shape);
  // What is sparse holds at least one number in a hundred; the rest of the way is damage.
  if (all > 100 * stored.length + 4096)
    throw new RangeError(`tensor ${shown(name)} of ${all} numbers holds only ${stored.length}`);
  const levels = sparsity!.tables(2).map((level) => ({
    sparse: level.byte(0) === 1,
    size: level.int(1),
    segments: indices(level, 2, 3),
    indices: indices(level, 4, 5),
  }));
  const rank = shape.length;
  if (order.length !== levels.length || order.length !== rank + blocks.length)
    throw new RangeError(`tensor ${shown(name)} is sparse along ${levels.length} axes of ${rank}`);
  const seen = new Set(order);
  if (seen.size !== order.length || order.some((axis) => !(axis >= 0 && axis < order.length)))
    throw new RangeError(`tensor ${shown(name)} has its axes in the order ${order}`);
  // Along an axis in blocks the outer index counts these.
  const blockSize = new Array<number>(rank).fill(1);
  for (const [i, axis] of blocks.entries()) {
    const at = order.indexOf(rank + i);
    if (axis < 0 || axis >= rank || levels[at].sparse)
      throw new RangeError(`tensor ${shown(name)} has blocks along axis ${axis}`);
    blockSize[axis] = levels[at].size;
  }
  const strides = shape.map((_, axis) => elements(shape.slice(axis + 1)));
  const dense = new (stored.constructor as new (length: number) => T)(all);
  let next = 0;
  const walk = (level: number, position: number, at: number): void => {
    if (level === levels.length) {
      if (next >= stored.length || at >= all)
        throw new RangeError(`tensor ${shown(name)} is sparse beyond its ${all} numbers`);
      dense[at] = stored[next++];
      return;
    }
    const axis = order[level];
    const step = axis < rank ? strides[axis] * blockSize[axis] : strides[blocks[axis - rank]];
    const { sparse, size, segments, indices } = levels[level];
    if (!sparse) {
      const most = axis < rank ? Math.ceil(shape[axis] / blockSize[axis]) : size;
      if (size > most || size < 0)
        throw new RangeError(`tensor ${shown(name)} has ${size} places on an axis`);
      for (let i = 0; i < size; i++) walk(level + 1, position * size + i, at + i * step);
      return;
    }
    const [from, to] = [segments[position], segments[position + 1]];
    if (!(from >= 0 && to <= indices.length && from <= to))
      throw new RangeError(`tensor ${shown(name)} has a row from ${from} to ${to}`);
    for (let i = from; i < to; i++) {
      if (!(indices[i] >= 0 && indices[i] < shape[axis]))
        throw new RangeError(`tensor ${shown(name)} has index ${indices[i]}`);
      walk(level + 1, i, at + indices[i] * step);
    }
  };
  walk(0, 0, 0);
  return dense;
}

/** A union of vectors of 32, 16 and 8 bits: each a table with one vector. */
function indices(level: FlatTable, typeSlot: number, slot: number): ArrayLike<number> {
  const table = level.table(slot);
  if (!table) return [];
  switch (level.byte(typeSlot)) {
    case 1:
      return table.ints(0);
    case 2:
      return table.shorts(0);
    case 3:
      return table.bytes(0) ?? [];
    default:
      throw new RangeError(`a sparse tensor's indices are of kind ${level.byte(typeSlot)}`);
  }
}
