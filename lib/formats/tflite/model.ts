// TFLite files as data, and their bytes: a flatbuffer by the schema of LiteRT (tflite/converter/schema/schema.fbs), whose
// fields are named here by the numbers of their slots. What operators mean is not known here.
import { Builder } from "flatbuffers";

/** The types of numbers, by their number in the file. */
export const tfliteTypes = {
  FLOAT32: 0,
  FLOAT16: 1,
  INT32: 2,
  UINT8: 3,
  INT64: 4,
  INT8: 9,
  INT4: 17,
} as const;
export type TfliteType = keyof typeof tfliteTypes;

/** A tensor: of the network's values, or with bytes a constant. */
export interface TfliteTensor {
  name: string;
  type: TfliteType;
  shape: readonly number[];
  bytes?: Uint8Array;
  /** One scale and zero point, or one for each index of `axis`. */
  scale?: ArrayLike<number>;
  zeroPoint?: ArrayLike<number>;
  axis?: number;
  /** Of a constant whose bytes are only what is not 0. */
  sparsity?: Sparsity;
}

/** Compressed rows along the last axis: the index of each number that is kept, and where each row begins and the last ends. */
export interface Sparsity {
  starts: Uint32Array;
  indices: Uint32Array;
}

/** A field of an operator's options: a byte, a whole number, a float, or a list of whole numbers. */
export type TfliteField =
  | { byte: number }
  | { int: number }
  | { float: number }
  | { ints: readonly number[] };

/** Operators by their number in the file, the number of their options' table (0 where they have none). */
export const tfliteOps = {
  ADD: [0, 11],
  AVERAGE_POOL_2D: [1, 5],
  CONCATENATION: [2, 10],
  CONV_2D: [3, 1],
  DEPTHWISE_CONV_2D: [4, 2],
  DEQUANTIZE: [6, 0],
  FULLY_CONNECTED: [9, 8],
  LOGISTIC: [14, 0],
  MAX_POOL_2D: [17, 5],
  MUL: [18, 21],
  RELU: [19, 0],
  RELU6: [21, 0],
  RESHAPE: [22, 17],
  RESIZE_BILINEAR: [23, 15],
  SOFTMAX: [25, 9],
  TANH: [28, 0],
  PAD: [34, 0],
  MEAN: [40, 27],
  MAXIMUM: [55, 39],
  MINIMUM: [57, 39],
  REDUCE_MAX: [82, 27],
  TRANSPOSE_CONV: [67, 49],
  RESIZE_NEAREST_NEIGHBOR: [97, 74],
  LEAKY_RELU: [98, 75],
  ELU: [111, 0],
  DENSIFY: [124, 0],
  QUANTIZE: [114, 0],
  DEPTH_TO_SPACE: [5, 94],
  SPACE_TO_DEPTH: [26, 19],
  TRANSPOSE: [39, 26],
  SUB: [41, 28],
  DIV: [42, 29],
  STRIDED_SLICE: [45, 32],
  PRELU: [54, 0],
  PADV2: [60, 43],
  SUM: [74, 27],
  REDUCE_MIN: [89, 27],
  MIRROR_PAD: [100, 77],
  HARD_SWISH: [117, 0],
  ABS: [101, 78],
  CEIL: [104, 0],
  COS: [108, 79],
  EXP: [47, 33],
  FLOOR: [8, 0],
  LOG: [73, 0],
  NEG: [59, 42],
  ROUND: [116, 0],
  RSQRT: [76, 0],
  SIGN: [158, 0],
  SIN: [66, 0],
  SQRT: [75, 0],
  SQUARE: [92, 66],
} as const;
export type TfliteOp = keyof typeof tfliteOps;

export interface TfliteOperator {
  op: TfliteOp;
  /** Of the operator's definition: what its kernel must at least know. */
  version: number;
  /** Places in the list of tensors; −1 where an optional one is left out. */
  inputs: readonly number[];
  outputs: readonly number[];
  /** Fields of its options by slot. */
  options: Readonly<Record<number, TfliteField>>;
}

export interface TfliteModel {
  description: string;
  name: string;
  tensors: readonly TfliteTensor[];
  operators: readonly TfliteOperator[];
  inputs: readonly number[];
  outputs: readonly number[];
}

/** A model as the bytes of a .tflite file. */
export function encodeTflite(model: TfliteModel): Uint8Array<ArrayBuffer> {
  const builder = new Builder(1 << 16);
  // Buffer 0 is empty, as the schema wants; values that flow have none.
  const buffers = [table(builder, {})];
  const places = model.tensors.map(({ bytes }) => {
    if (!bytes) return 0;
    buffers.push(table(builder, { 0: { offset: alignedBytes(builder, bytes) } }));
    return buffers.length - 1;
  });
  const codes = [...new Set(model.operators.map(({ op, version }) => `${op} ${version}`))];
  const operatorCodes = codes.map((key) => {
    const [op, version] = key.split(" ");
    const [code] = tfliteOps[op as TfliteOp];
    // Old readers look at a byte, new ones at a whole number.
    return table(builder, {
      0: { byte: Math.min(code, 127) },
      2: { int: Number(version) },
      3: { int: code },
    });
  });
  const tensors = model.tensors.map((tensor, i) => tensorTable(builder, tensor, places[i]));
  const operators = model.operators.map((operator) => {
    const [, optionsType] = tfliteOps[operator.op];
    const options = optionsType === 0 ? undefined : table(builder, operator.options);
    return table(builder, {
      0: { int: codes.indexOf(`${operator.op} ${operator.version}`) },
      1: { ints: operator.inputs },
      2: { ints: operator.outputs },
      ...(options === undefined ? {} : { 3: { byte: optionsType }, 4: { offset: options } }),
    });
  });
  const subgraph = table(builder, {
    0: { offsets: tensors },
    1: { ints: model.inputs },
    2: { ints: model.outputs },
    3: { offsets: operators },
    4: { text: model.name },
  });
  const root = table(builder, {
    0: { int: 3 },
    1: { offsets: operatorCodes },
    2: { offsets: [subgraph] },
    3: { text: model.description },
    4: { offsets: buffers },
  });
  builder.finish(root, "TFL3");
  return builder.asUint8Array().slice() as Uint8Array<ArrayBuffer>;
}

function tensorTable(builder: Builder, tensor: TfliteTensor, buffer: number): number {
  const { name, type, shape, scale, zeroPoint, axis, sparsity } = tensor;
  const quantization =
    scale &&
    table(builder, {
      2: { floats: scale },
      3: { longs: zeroPoint ?? Array.from(scale, () => 0) },
      6: { int: axis ?? 0 },
    });
  const layout = sparsity && sparsityTable(builder, shape, sparsity);
  return table(builder, {
    0: { ints: shape },
    1: { byte: tfliteTypes[type] },
    2: { int: buffer },
    3: { text: name },
    ...(quantization === undefined ? {} : { 4: { offset: quantization } }),
    ...(layout === undefined ? {} : { 6: { offset: layout } }),
    8: { byte: 1 },
  });
}

/** The schema's SparsityParameters: every axis as it is but the last, which lists what there is. */
function sparsityTable(builder: Builder, shape: readonly number[], { starts, indices }: Sparsity): number {
  const axes = shape.map((size, axis) => {
    if (axis < shape.length - 1) return table(builder, { 1: { int: size } });
    const [segments, places] = [smallest(starts), smallest(indices)];
    return table(builder, {
      0: { byte: 1 },
      2: { byte: segments.kind },
      3: { offset: table(builder, { 0: segments.field }) },
      4: { byte: places.kind },
      5: { offset: table(builder, { 0: places.field }) },
    });
  });
  return table(builder, { 0: { ints: shape.map((_, axis) => axis) }, 2: { offsets: axes } });
}

/** Bytes of a number in the narrowest of the schema's vectors that holds whole numbers up to `most`. */
export const widthOf = (most: number): 1 | 2 | 4 => (most < 2 ** 8 ? 1 : most < 2 ** 16 ? 2 : 4);

/** Whole numbers in the narrowest of the schema's vectors, with the vector's number in its union. */
function smallest(values: Uint32Array): { kind: number; field: Field } {
  const width = widthOf(values.reduce((a, b) => Math.max(a, b), 0));
  if (width === 1) return { kind: 3, field: { bytes: Uint8Array.from(values) } };
  if (width === 2) return { kind: 2, field: { shorts: values } };
  return { kind: 1, field: { ints: Array.from(values) } };
}

type Field =
  | TfliteField
  | { offset: number }
  | { text: string }
  | { offsets: readonly number[] }
  | { floats: ArrayLike<number> }
  | { longs: ArrayLike<number> }
  | { shorts: ArrayLike<number> }
  | { bytes: Uint8Array };

/** Writes a table with the given slots. */
function table(builder: Builder, fields: Readonly<Record<number, Field | undefined>>): number {
  const entries = Object.entries(fields).flatMap(([slot, field]) =>
    field ? [[Number(slot), written(builder, field)] as const] : [],
  );
  builder.startObject(entries.reduce((most, [slot]) => Math.max(most, slot + 1), 0));
  for (const [slot, field] of entries) {
    // Zeros are left out: they are what a field is without being there.
    if ("byte" in field) builder.addFieldInt8(slot, field.byte, 0);
    else if ("int" in field) builder.addFieldInt32(slot, field.int, 0);
    else if ("float" in field) builder.addFieldFloat32(slot, field.float, 0);
    else builder.addFieldOffset(slot, field.offset, 0);
  }
  return builder.endObject();
}

/** What lies outside of a table is written before it. */
function written(
  builder: Builder,
  field: Field,
): { byte: number } | { int: number } | { float: number } | { offset: number } {
  if ("text" in field) return { offset: builder.createString(field.text) };
  if ("ints" in field) return { offset: vector(builder, 4, field.ints, (value) => builder.addInt32(value)) };
  if ("offsets" in field)
    return { offset: vector(builder, 4, field.offsets, (value) => builder.addOffset(value)) };
  if ("bytes" in field) return { offset: builder.createByteVector(field.bytes) };
  if ("shorts" in field)
    return { offset: vector(builder, 2, field.shorts, (value) => builder.addInt16(value)) };
  if ("floats" in field)
    return { offset: vector(builder, 4, field.floats, (value) => builder.addFloat32(value)) };
  if ("longs" in field)
    return { offset: vector(builder, 8, field.longs, (value) => builder.addInt64(BigInt(value))) };
  return field;
}

/** Flatbuffers are written from their end. */
function vector(
  builder: Builder,
  size: number,
  values: ArrayLike<number>,
  add: (value: number) => void,
): number {
  builder.startVector(size, values.length, size);
  for (let i = values.length - 1; i >= 0; i--) add(values[i]);
  return builder.endVector();
}

/** Constants begin at multiples of 16 bytes, so that kernels can use them where they lie. */
function alignedBytes(builder: Builder, bytes: Uint8Array): number {
  builder.prep(16, bytes.length);
  return builder.createByteVector(bytes);
}
