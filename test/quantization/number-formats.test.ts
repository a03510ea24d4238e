// §3.2: number formats of 16 bits and less, held against other implementations and against lists of all that they hold.
import assert from "node:assert/strict";
import { formatShapes, roundToFormat, roundToPowersOfTwo } from "../../lib/quantization/index.ts";
import { fromBfloats, fromHalves, toBfloats, toHalves } from "../../lib/util/half.ts";
import { seeded } from "../../lib/util/random.ts";

/** Numbers of all sizes, and the ties between neighbours. */
function numbers(): Float32Array {
  const random = seeded(1);
  const values = [
    0,
    -0,
    1,
    -1,
    65504,
    65519,
    65520,
    1e-8,
    2 ** -24,
    2 ** -25,
    3 * 2 ** -25,
    448,
    464,
    465,
    1e30,
    -1e38,
  ];
  for (let i = 0; i < 20_000; i++) values.push((random() - 0.5) * 2 ** Math.floor(60 * random() - 40));
  for (let i = 0; i < 200; i++) values.push((2048 + i + 0.5) / 2 ** 20, (128 + i + 0.5) / 2 ** 12);
  return Float32Array.from(values);
}

/** All numbers of an 8-bit float, by what its bits mean; those without a finite one are left out. */
function allOf(exponentBits: number, fractionBits: number, isNumber: (code: number) => boolean): number[] {
  const bias = 2 ** (exponentBits - 1) - 1;
  const found: number[] = [];
  for (let code = 0; code < 128; code++) {
    if (!isNumber(code)) continue;
    const [exponent, fraction] = [code >> fractionBits, code % 2 ** fractionBits];
    found.push(
      exponent === 0
        ? (fraction / 2 ** fractionBits) * 2 ** (1 - bias)
        : (1 + fraction / 2 ** fractionBits) * 2 ** (exponent - bias),
    );
  }
  return found;
}

/** The nearest of `held` to each number; of two equally near, the one at an even place. */
function nearest(values: Float32Array, held: number[]): Float32Array {
  return values.map((value) => {
    const size = Math.min(Math.abs(value), held.at(-1)!); // FP8 saturates
    let best = 0;
    for (let i = 1; i < held.length; i++) {
      const [gain, before] = [Math.abs(held[i] - size), Math.abs(held[best] - size)];
      if (gain < before || (gain === before && i % 2 === 0)) best = i;
    }
    return Math.sign(value) * held[best];
  });
}

describe("number formats (§3.2)", () => {
  it("float16 and bfloat16 are those of the file formats, which take the bits apart", () => {
    const values = numbers();
    assert.deepEqual(roundToFormat(values, "float16"), fromHalves(toHalves(values)));
    assert.deepEqual(roundToFormat(values, "bfloat16"), fromBfloats(toBfloats(values)));
    assert.deepEqual(
      [...roundToFormat([Number.NaN, Infinity, -1e9], "float16")],
      [Number.NaN, Infinity, -Infinity],
    );
  });

  it("float8 gives the nearest of all that its bits can say", () => {
    const values = numbers().filter((value) => value !== 0);
    const e4m3 = allOf(4, 3, (code) => code !== 0x7f); // the last code is NaN, and there is no infinity
    const e5m2 = allOf(5, 2, (code) => code < 0x7c); // the last exponent is infinity and NaN
    assert.equal(Math.max(...e4m3), formatShapes.float8e4m3.largest);
    assert.equal(Math.max(...e5m2), formatShapes.float8e5m2.largest);
    assert.deepEqual(roundToFormat(values, "float8e4m3"), nearest(values, e4m3));
    assert.deepEqual(roundToFormat(values, "float8e5m2"), nearest(values, e5m2));
    assert.deepEqual([...roundToFormat([Infinity, -1e9], "float8e4m3")], [448, -448]);
  });

  it("powers of two: as many exponents as codes, the nearest of them", () => {
    const values = Float32Array.of(0.9, -0.74, 0.76, 0.3, -0.13, 0.1, 0.06, 0, -1);
    const held = [0, 0.125, 0.25, 0.5, 1];
    const four = roundToPowersOfTwo(values, 4);
    assert.deepEqual(
      [...roundToPowersOfTwo(values, 3)],
      [1, -0.5, 1, 0.25, -0.25, 0, 0, 0, -1].map((x) => x),
    );
    assert.equal(new Set(roundToPowersOfTwo(numbers().slice(16), 4).map(Math.abs)).size <= 8, true);
    for (const [i, value] of values.entries()) {
      const wanted = held.reduce((best, x) =>
        Math.abs(x - Math.abs(value)) < Math.abs(best - Math.abs(value)) ? x : best,
      );
      if (Math.abs(value) > 0.1) assert.equal(Math.abs(four[i]), wanted, `${value}`);
    }
    assert.deepEqual([...roundToPowersOfTwo([0, 0], 4)], [0, 0]);
  });

  it("refuse what they do not know", () => {
    assert.throws(() => roundToFormat([1], "float4" as never), /format must be .*float16/);
    assert.throws(() => roundToPowersOfTwo([1], 1), /bits must be/);
  });
});
