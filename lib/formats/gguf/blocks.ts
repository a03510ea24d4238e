// The block formats of GGUF: weights in groups of 32 (or 256), each group with float16 scales of its own. Codes and roundings
// are those of ggml's reference (ggml-quants.c), byte for byte for Q8_0, Q4_0 and Q4_1; Q4_K is written by range alone,
// without ggml's search for better scales.
import { fromBfloats, fromHalf, fromHalves, toBfloats, toHalf, toHalves } from "../../util/half.ts";

/** Writes one group's numbers, `values[from …]`, to `block`. */
type Pack = (values: Float32Array, from: number, block: DataView) => void;
/** Reads one group's numbers into `values[to …]`. */
type Unpack = (block: DataView, values: Float32Array, to: number) => void;

/** A type of tensors in GGUF: its number in the file, how many weights a group has, and the bytes of one. */
export interface GgufTypeInfo {
  code: number;
  group: number;
  bytes: number;
  pack?: Pack;
  unpack?: Unpack;
}

const round = Math.fround;

/** Half away from zero, as C's roundf. */
const away = (value: number): number => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);

const inverse = (scale: number): number => (scale === 0 ? 0 : round(1 / scale));

const packQ8: Pack = (values, from, block) => {
  let largest = 0;
  for (let i = 0; i < 32; i++) largest = Math.max(largest, Math.abs(values[from + i]));
  const scale = round(largest / 127);
  const factor = inverse(scale);
  block.setUint16(0, toHalf(scale), true);
  for (let i = 0; i < 32; i++) block.setInt8(2 + i, away(round(values[from + i] * factor)));
};

const unpackQ8: Unpack = (block, values, to) => {
  const scale = fromHalf(block.getUint16(0, true));
  for (let i = 0; i < 32; i++) values[to + i] = scale * block.getInt8(2 + i);
};

const packQ40: Pack = (values, from, block) => {
  // The number of the largest size gets code 0, so the scale has its sign.
  let extreme = values[from];
  for (let i = 1; i < 32; i++) if (Math.abs(values[from + i]) > Math.abs(extreme)) extreme = values[from + i];
  const scale = round(extreme / -8);
  const factor = inverse(scale);
  block.setUint16(0, toHalf(scale), true);
  const code = (i: number) => Math.min(15, Math.trunc(round(round(values[from + i] * factor) + 8.5)));
  for (let i = 0; i < 16; i++) block.setUint8(2 + i, code(i) | (code(16 + i) << 4));
};

const unpackQ40: Unpack = (block, values, to) => {
  const scale = fromHalf(block.getUint16(0, true));
  for (let i = 0; i < 16; i++) {
    const byte = block.getUint8(2 + i);
    values[to + i] = scale * ((byte & 15) - 8);
    values[to + 16 + i] = scale * ((byte >> 4) - 8);
  }
};

const packQ41: Pack = (values, from, block) => {
  let [low, high] = [values[from], values[from]];
  for (let i = 1; i < 32; i++) {
    low = Math.min(low, values[from + i]);
    high = Math.max(high, values[from + i]);
  }
  const scale = round(round(high - low) / 15);
  const factor = inverse(scale);
  block.setUint16(0, toHalf(scale), true);
  block.setUint16(2, toHalf(low), true);
  const code = (i: number) =>
    Math.min(15, Math.trunc(round(round(round(values[from + i] - low) * factor) + 0.5)));
  for (let i = 0; i < 16; i++) block.setUint8(4 + i, code(i) | (code(16 + i) << 4));
};

const unpackQ41: Unpack = (block, values, to) => {
  const scale = fromHalf(block.getUint16(0, true));
  const low = fromHalf(block.getUint16(2, true));
  for (let i = 0; i < 16; i++) {
    const byte = block.getUint8(4 + i);
    values[to + i] = round(scale * (byte & 15)) + low;
    values[to + 16 + i] = round(scale * (byte >> 4)) + low;
  }
};

/** Eight groups of 32 under one pair of float16: each has a scale and a minimum of 6 bits. */
const packQ4K: Pack = (values, from, block) => {
  const scales = new Float32Array(8);
  const depths = new Float32Array(8);
  for (let g = 0; g < 8; g++) {
    let [low, high] = [0, 0];
    for (let i = 0; i < 32; i++) {
      low = Math.min(low, values[from + 32 * g + i]);
      high = Math.max(high, values[from + 32 * g + i]);
    }
    scales[g] = (high - low) / 15;
    depths[g] = -low;
  }
  block.setUint16(0, toHalf(Math.max(...scales) / 63), true);
  block.setUint16(2, toHalf(Math.max(...depths) / 63), true);
  const [unit, depthUnit] = [fromHalf(block.getUint16(0, true)), fromHalf(block.getUint16(2, true))];
  const six = (value: number, of: number) => Math.min(63, Math.round(of === 0 ? 0 : value / of));
  const s = Array.from(scales, (value) => six(value, unit));
  const m = Array.from(depths, (value) => six(value, depthUnit));
  for (let g = 0; g < 4; g++) {
    block.setUint8(4 + g, s[g] | ((s[g + 4] >> 4) << 6));
    block.setUint8(8 + g, m[g] | ((m[g + 4] >> 4) << 6));
    block.setUint8(12 + g, (s[g + 4] & 15) | ((m[g + 4] & 15) << 4));
  }
  const code = (g: number, i: number) => {
    const step = unit * s[g];
    const steps = step === 0 ? 0 : Math.round((values[from + 32 * g + i] + depthUnit * m[g]) / step);
    return Math.max(0, Math.min(15, steps));
  };
  for (let pair = 0; pair < 4; pair++)
    for (let i = 0; i < 32; i++)
      block.setUint8(16 + 32 * pair + i, code(2 * pair, i) | (code(2 * pair + 1, i) << 4));
};

const unpackQ4K: Unpack = (block, values, to) => {
  const unit = fromHalf(block.getUint16(0, true));
  const depthUnit = fromHalf(block.getUint16(2, true));
  for (let g = 0; g < 8; g++) {
    const [low, mid, last] = [4, 8, 12].map((at) => block.getUint8(at + (g & 3)));
    const s = g < 4 ? low & 63 : (last & 15) | ((low >> 6) << 4);
    const m = g < 4 ? mid & 63 : (last >> 4) | ((mid >> 6) << 4);
    const step = round(unit * s);
    const depth = round(depthUnit * m);
    for (let i = 0; i < 32; i++) {
      const byte = block.getUint8(16 + 32 * (g >> 1) + i);
      values[to + 32 * g + i] = round(step * (g & 1 ? byte >> 4 : byte & 15)) - depth;
    }
  }
};

/** The types of tensors, by their names in GGUF. Those without functions are known by their size: their bytes can be copied. */
export const ggufTypes = {
  F32: { code: 0, group: 1, bytes: 4 },
  F16: { code: 1, group: 1, bytes: 2 },
  BF16: { code: 30, group: 1, bytes: 2 },
  Q4_0: { code: 2, group: 32, bytes: 18, pack: packQ40, unpack: unpackQ40 },
  Q4_1: { code: 3, group: 32, bytes: 20, pack: packQ41, unpack: unpackQ41 },
  Q5_0: { code: 6, group: 32, bytes: 22 },
  Q5_1: { code: 7, group: 32, bytes: 24 },
  Q8_0: { code: 8, group: 32, bytes: 34, pack: packQ8, unpack: unpackQ8 },
  Q2_K: { code: 10, group: 256, bytes: 84 },
  Q3_K: { code: 11, group: 256, bytes: 110 },
  Q4_K: { code: 12, group: 256, bytes: 144, pack: packQ4K, unpack: unpackQ4K },
  Q5_K: { code: 13, group: 256, bytes: 176 },
  Q6_K: { code: 14, group: 256, bytes: 210 },
  I8: { code: 24, group: 1, bytes: 1 },
  I16: { code: 25, group: 1, bytes: 2 },
  I32: { code: 26, group: 1, bytes: 4 },
  I64: { code: 27, group: 1, bytes: 8 },
  F64: { code: 28, group: 1, bytes: 8 },
} as const satisfies Record<string, GgufTypeInfo>;
export type GgufType = keyof typeof ggufTypes;

/** The types that floats can be written as. */
export const ggufWritable = [
  "F32",
  "F16",
  "BF16",
  "Q8_0",
  "Q4_0",
  "Q4_1",
  "Q4_K",
] as const satisfies GgufType[];

/**
 * Floats as the bytes of a type, group by group.
 * @throws RangeError for a type that is not written, or a number of values that is no multiple of the group's
 */
export function packGguf(type: GgufType, values: Float32Array): Uint8Array<ArrayBuffer> {
  const { group, bytes, pack } = ggufTypes[type] as GgufTypeInfo;
  if (values.length % group !== 0)
    throw new RangeError(`values must be a multiple of ${group} for ${type}, got ${values.length}`);
  if (type === "F16" || type === "BF16")
    return rawBytes(type === "F16" ? toHalves(values) : toBfloats(values));
  if (type === "F32") return rawBytes(values.slice());
  if (!pack) throw new RangeError(`type must be one of ${ggufWritable.join(", ")}, got ${type}`);
  const packed = new Uint8Array((values.length / group) * bytes);
  for (let g = 0; g < values.length / group; g++)
    pack(values, g * group, new DataView(packed.buffer, g * bytes, bytes));
  return packed;
}

/**
 * The floats that the bytes of a type stand for.
 * @throws RangeError for a type that is not read, or bytes that are not whole groups
 */
export function unpackGguf(type: GgufType, packed: Uint8Array): Float32Array<ArrayBuffer> {
  const { group, bytes, unpack } = ggufTypes[type] as GgufTypeInfo;
  if (packed.length % bytes !== 0)
    throw new RangeError(`bytes must be whole groups of ${bytes} for ${type}, got ${packed.length}`);
  const own = packed.slice();
  if (type === "F32") return new Float32Array(own.buffer);
  if (type === "F16") return fromHalves(new Uint16Array(own.buffer));
  if (type === "BF16") return fromBfloats(new Uint16Array(own.buffer));
  if (!unpack) throw new RangeError(`tensors of type ${type} are not read as floats, only as bytes`);
  const count = own.length / bytes;
  const values = new Float32Array(count * group);
  for (let g = 0; g < count; g++) unpack(new DataView(own.buffer, g * bytes, bytes), values, g * group);
  return values;
}

const rawBytes = ({ buffer }: { buffer: ArrayBufferLike }): Uint8Array<ArrayBuffer> =>
  new Uint8Array(buffer as ArrayBuffer);
