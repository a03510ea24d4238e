// float16 (IEEE 754 binary16) and bfloat16, which JavaScript has no typed arrays of: exact one way, rounded to nearest with
// ties to even the other way, as NumPy and every accelerator do.

/** The floats of 16 bits. */
export const halfFormats = ["float16", "bfloat16"] as const;
export type HalfFormat = (typeof halfFormats)[number];

/** Each format's way there and back. */
export const halves: Readonly<
  Record<
    HalfFormat,
    {
      to(values: Float32Array): Uint16Array<ArrayBuffer>;
      from(codes: Uint16Array): Float32Array<ArrayBuffer>;
    }
  >
> = {
  float16: { to: toHalves, from: fromHalves },
  bfloat16: { to: toBfloats, from: fromBfloats },
};

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** 2^-24, the smallest float16 above 0. */
const tiny = 2 ** -24;

/** The value of a float16. */
export function fromHalf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * tiny;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** The nearest float16 of a number; what is too large becomes infinite. */
export function toHalf(value: number): number {
  float[0] = value;
  return halfOf(bits[0]);
}

/** The float16 of a float32's bits. */
function halfOf(all: number): number {
  const sign = (all >>> 16) & 0x8000;
  const rest = all & 0x7fffffff;
  if (rest > 0x7f800000) return sign | 0x7e00; // NaN
  if (rest >= 0x477ff000) return sign | 0x7c00; // from 65,520 on
  if (rest < 0x38800000) {
    // Below 2^-14 halves lie on a grid of 2^-24. Adding 0.5 lets float32 round to that grid.
    bits[0] = rest;
    float[0] += 0.5;
    return sign | (bits[0] - 0x3f000000);
  }
  // The exponent's bias is 127 - 15 = 112 less; 13 bits of the fraction go, to the nearest, ties to even.
  const odd = (rest >>> 13) & 1;
  return sign | ((rest - 0x38000000 + 0xfff + odd) >>> 13);
}

/** Floats as float16. */
export function toHalves(values: Float32Array): Uint16Array<ArrayBuffer> {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < source.length; i++) halves[i] = halfOf(source[i]);
  return halves;
}

let table: Float32Array | undefined;

/** float16 as floats. */
export function fromHalves(halves: Uint16Array): Float32Array<ArrayBuffer> {
  table ??= Float32Array.from({ length: 65536 }, (_, half) => fromHalf(half));
  const values = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = table[halves[i]];
  return values;
}

/** Floats as bfloat16: the upper half of a float32, rounded. */
export function toBfloats(values: Float32Array): Uint16Array<ArrayBuffer> {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const upper = new Uint16Array(values.length);
  for (let i = 0; i < source.length; i++) {
    const all = source[i];
    const nan = (all & 0x7fffffff) > 0x7f800000;
    upper[i] = nan ? (all >>> 16) | 0x40 : (all + 0x7fff + ((all >>> 16) & 1)) >>> 16;
  }
  return upper;
}

/** bfloat16 as floats. */
export function fromBfloats(upper: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(upper.length);
  const target = new Uint32Array(values.buffer);
  for (let i = 0; i < upper.length; i++) target[i] = upper[i] << 16;
  return values;
}
