import assert from "node:assert/strict";
import {
  type ActivationGrid,
  binaryMatmul,
  conv2dStep,
  denseStep,
  dequantize,
  fixedMultiplier,
  type IntegerNetwork,
  integerConvolution,
  integerLayer,
  integerMatmul,
  packBits,
  packRight,
  quantize,
  requantize,
  runInteger,
  simulateInteger,
  xnorMatmul,
} from "../../lib/quantization/index.ts";
import { pool } from "../../lib/quantization/integer-codes.ts";
import { seeded } from "../../lib/util/random.ts";
import { normals } from "./fixture.ts";

const random = seeded(21);
const codes = (count: number, unsigned: boolean) =>
  unsigned
    ? Uint8Array.from({ length: count }, () => Math.floor(random() * 256))
    : Int8Array.from({ length: count }, () => Math.floor(random() * 256) - 128);

/** Three loops, nothing else. */
function plain(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  m: number,
  k: number,
  n: number,
  za = 0,
  zb = 0,
): number[] {
  const c: number[] = [];
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += (a[i * k + p] - za) * (b[p * n + j] - zb);
      c.push(sum);
    }
  }
  return c;
}

describe("§3.2.2 integer matrix products", () => {
  it("equal three plain loops for all shapes, signs and zero points", () => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [4, 2, 8],
      [5, 3, 9],
      [3, 7, 1],
      [1, 784, 10],
      [17, 33, 23],
      [9, 1025, 8],
      [6, 2100, 17],
    ]) {
      for (const unsigned of [false, true]) {
        const a = codes(m * k, unsigned);
        const b = codes(k * n, false);
        const za = unsigned ? 131 : -7;
        assert.deepEqual([...integerMatmul(a, b, m, k, n)], plain(a, b, m, k, n));
        const expected = plain(a, b, m, k, n, za, 3);
        assert.deepEqual([...integerMatmul(a, b, m, k, n, { zeroA: za, zeroB: 3 })], expected);
        const packed = packRight(b, k, n, new Int32Array(n).fill(3));
        for (const threads of [1, 2, 3]) {
          assert.deepEqual([...integerMatmul(a, packed, m, k, n, { zeroA: za, threads })], expected);
        }
      }
    }
  });

  it("are right again and again while threads share the work", async () => {
    const [m, k, n] = [64, 300, 400];
    const a = codes(m * k, false);
    const b = codes(k * n, false);
    const expected = integerMatmul(a, b, m, k, n);
    for (let round = 0; round < 60; round++) {
      assert.deepEqual(integerMatmul(a, b, m, k, n, { threads: 3 }), expected);
      // Lets the helper threads come up between rounds.
      if (round % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });

  it("do not overflow at the longest sum allowed, and refuse longer ones", () => {
    const k = 33025;
    const a = new Uint8Array(k).fill(255);
    assert.deepEqual([...integerMatmul(a, a, 1, k, 1)], [k * 255 * 255]);
    assert.deepEqual([...integerMatmul(new Uint8Array(k), a, 1, k, 1, { zeroA: 255 })], [-k * 255 * 255]);
    assert.throws(
      () => integerMatmul(new Uint8Array(33026), new Uint8Array(33026), 1, 33026, 1),
      /k must be a whole number from 0 to 33025, got 33026/,
    );
  });

  it("refuse zero points that are no codes", () => {
    const [signed, unsigned] = [Int8Array.of(1), Uint8Array.of(1)];
    assert.throws(
      () => integerMatmul(signed, signed, 1, 1, 1, { zeroA: 128 }),
      /zeroA must be a whole number from -128 to 127, got 128/,
    );
    assert.throws(
      () => integerMatmul(unsigned, unsigned, 1, 1, 1, { zeroB: -1 }),
      /zero must be a whole number from 0 to 255, got -1/,
    );
    assert.throws(
      () => packRight(unsigned, 1, 1, Int32Array.of(256)),
      /zero must be a whole number from 0 to 255, got 256/,
    );
  });

  it("take empty matrices and refuse what does not fit", () => {
    assert.equal(integerMatmul(new Int8Array(0), new Int8Array(6), 0, 2, 3).length, 0);
    assert.deepEqual([...integerMatmul(new Int8Array(0), new Int8Array(0), 2, 0, 1)], [0, 0]);
    assert.throws(
      () => integerMatmul(new Int8Array(5), new Int8Array(6), 2, 2, 3),
      /a must have 4 elements, got 5/,
    );
    assert.throws(
      () => integerMatmul(new Int8Array(4), new Int8Array(5), 2, 2, 3),
      /b must have 6 elements, got 5/,
    );
    assert.throws(
      () => integerMatmul(new Int8Array(4), packRight(new Int8Array(6), 3, 2), 2, 2, 3),
      /b must be 2 x 3, got 3 x 2/,
    );
  });
});

describe("§3.2.2 binary matrix products by XNOR and popcount", () => {
  it("equal three plain loops", () => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [2, 63, 3],
      [3, 64, 4],
      [5, 65, 9],
      [7, 1000, 6],
      [1, 129, 2],
    ]) {
      const signs = (count: number) => Array.from({ length: count }, () => (random() < 0.5 ? -1 : 1));
      const a = signs(m * k);
      const b = signs(k * n);
      const transposed = Array.from({ length: n * k }, (_, i) => b[(i % k) * n + Math.floor(i / k)]);
      assert.deepEqual([...xnorMatmul(packBits(a, m, k), packBits(transposed, n, k))], plain(a, b, m, k, n));
      const bits = a.map((v) => (v + 1) / 2);
      assert.deepEqual(
        [...binaryMatmul(packBits(bits, m, k), packBits(transposed, n, k))],
        plain(bits, b, m, k, n),
      );
    }
  });

  it("take empty matrices and refuse what does not fit", () => {
    assert.equal(xnorMatmul(packBits([], 0, 5), packBits([1, 1, 1, 1, 1], 1, 5)).length, 0);
    assert.deepEqual([...binaryMatmul(packBits([], 1, 0), packBits([], 2, 0))], [0, 0]);
    assert.throws(
      () => xnorMatmul(packBits([1], 1, 1), packBits([1, 1], 1, 2)),
      /b must have 1 columns as a has, got 2/,
    );
    assert.throws(() => packBits([1, 0], 1, 3), /values must have 3 elements, got 2/);
  });
});

describe("§3.2.2 requantization by multiplier and shift", () => {
  it("finds a multiplier of 22 bits within 2^-22 of the factor", () => {
    for (let i = 0; i < 2000; i++) {
      const real = 2 ** (random() * 60 - 40);
      const { multiplier, shift } = fixedMultiplier(real);
      assert.ok(
        Number.isInteger(multiplier) &&
          multiplier >= 2 ** 21 &&
          multiplier < 2 ** 22 &&
          Number.isInteger(shift),
      );
      assert.ok(Math.abs((multiplier * 2 ** -shift) / real - 1) <= 2 ** -22);
    }
    for (const real of [1, 0.5, 2 ** -20, 2 ** 22 - 1, (2 ** 22 - 0.25) * 2 ** -30]) {
      const { multiplier, shift } = fixedMultiplier(real);
      assert.ok(Math.abs((multiplier * 2 ** -shift) / real - 1) <= 2 ** -22 && multiplier < 2 ** 22);
    }
    assert.throws(() => fixedMultiplier(0), /real must be a number/);
    assert.throws(() => fixedMultiplier(Number.NaN), /real must be a number/);
  });

  it("equals whole-number arithmetic of any length, ties to even", () => {
    for (let round = 0; round < 300; round++) {
      const { multiplier, shift } = fixedMultiplier(2 ** (random() * 24 - 26));
      const acc = Int32Array.from({ length: 50 }, (_, i) =>
        // Every other one is a tie where the multiplier allows: acc·multiplier ≡ 2^(shift−1) mod 2^shift.
        i % 2 ? Math.floor((random() - 0.5) * 2 ** 32) : Math.round(((i - 25.5) * 2 ** shift) / multiplier),
      );
      const ours = requantize(acc, 1, {
        multipliers: [{ multiplier, shift }],
        zeroPoint: 3,
        low: -128,
        high: 127,
      });
      for (let i = 0; i < acc.length; i++) {
        const exact = BigInt(acc[i]) * BigInt(multiplier);
        const unit = 1n << BigInt(shift);
        let floor = exact / unit;
        if (exact < floor * unit) floor--;
        const rest = exact - floor * unit;
        if (rest * 2n > unit || (rest * 2n === unit && floor % 2n !== 0n)) floor++;
        const code = Math.min(127, Math.max(-128, Number(floor) + 3));
        assert.equal(ours[i], code, `${acc[i]} · ${multiplier} / 2^${shift}`);
      }
    }
    // Ties, for certain: multiplier 2^21, shift 22 is a half.
    const half = { multipliers: [{ multiplier: 2 ** 21, shift: 22 }], zeroPoint: 0, low: -128, high: 127 };
    assert.deepEqual([...requantize(Int32Array.of(1, 3, 5, -1, -3, 2), 1, half)], [0, 2, 2, 0, -2, 1]);
  });

  it("has a multiplier a column, clips, and gives ReLU for nothing", () => {
    const multipliers = [1, 0.5].map(fixedMultiplier);
    const acc = Int32Array.of(10, 10, -10, -10, 500, 500);
    assert.deepEqual(
      [...requantize(acc, 2, { multipliers, zeroPoint: 0, low: -128, high: 127 })],
      [10, 5, -10, -5, 127, 127],
    );
    assert.deepEqual(
      [...requantize(acc, 2, { multipliers, zeroPoint: 7, low: 7, high: 255 })],
      [17, 12, 7, 7, 255, 255],
    );
    assert.throws(
      () => requantize(acc, 3, { multipliers, zeroPoint: 0, low: 0, high: 255 }),
      /multipliers must be 1 or 3, got 2/,
    );
  });
});

describe("§3.2.2 a layer in integers in one go", () => {
  it("is product, bias and requantization, for all shapes, signs and extremes", () => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [3, 5, 7],
      [4, 16, 8],
      [9, 33, 13],
      [2, 0, 3],
    ]) {
      for (const unsigned of [false, true]) {
        for (const fraction of [0, 3]) {
          const a = codes(m * k, unsigned);
          const right = packRight(codes(k * n, false), k, n);
          const zeroA = unsigned ? 128 : 5;
          const bias = Int32Array.from({ length: n }, (_, j) =>
            j % 3 === 2 ? 2 ** 30 : Math.floor((random() - 0.5) * 1e6),
          );
          // From factors that saturate everything to factors that leave nothing.
          const multipliers = Array.from({ length: n }, (_, j) => fixedMultiplier(2 ** (-(j % 30) + 2)));
          const zeroPoint = unsigned ? 100 : -3;
          const [low, high] = unsigned ? [7, 250] : [-128, 120];
          const ours = integerLayer(
            a,
            right,
            m,
            { multipliers, zeroPoint, low, high, bias, fraction },
            { zeroA },
          );
          const sums = integerMatmul(a, right, m, k, n, { zeroA }).map(
            (sum, i) => (sum << fraction) + bias[i % n],
          );
          assert.deepEqual(ours, requantize(sums, n, { multipliers, zeroPoint, low, high }));
        }
      }
    }
    assert.equal(
      integerLayer(new Int8Array(0), packRight(new Int8Array(4), 2, 2), 0, {
        multipliers: [fixedMultiplier(1)],
        zeroPoint: 0,
        low: 0,
        high: 1,
        bias: new Int32Array(2),
        fraction: 0,
      }).length,
      0,
    );
  });
});

describe("§3.2.2 a convolution in integers in one go", () => {
  it("is what seven loops give: windows across the edge, strides, odd channels, more rows than one piece, threads", () => {
    const cases: [
      batch: number,
      shape: [number, number, number],
      window: [number, number],
      strides: [number, number],
      threads: number,
    ][] = [
      [2, [5, 6, 1], [3, 2], [1, 1], 1],
      [1, [4, 4, 3], [5, 5], [2, 1], 1],
      [3, [9, 7, 5], [3, 3], [2, 3], 1],
      [1, [3, 2, 8], [1, 1], [1, 1], 1],
      [2, [2, 2, 2], [7, 7], [1, 1], 1],
      [3, [20, 20, 7], [5, 5], [1, 1], 1],
      [3, [20, 20, 7], [5, 5], [1, 1], 2],
    ];
    for (const [batch, [height, width, channels], [rows, cols], [down, right], threads] of cases)
      for (const unsigned of [false, true]) {
        const filters = 9;
        const [outHeight, outWidth] = [Math.ceil(height / down), Math.ceil(width / right)];
        const leading = (out: number, stride: number, size: number, all: number) =>
          Math.floor(Math.max(0, (out - 1) * stride + size - all) / 2);
        const [top, left] = [leading(outHeight, down, rows, height), leading(outWidth, right, cols, width)];
        const a = codes(batch * height * width * channels, unsigned);
        const b = codes(rows * cols * channels * filters, false);
        const zeroA = unsigned ? 131 : -7;
        const sums: number[] = [];
        for (let image = 0; image < batch; image++)
          for (let oy = 0; oy < outHeight; oy++)
            for (let ox = 0; ox < outWidth; ox++)
              for (let f = 0; f < filters; f++) {
                let sum = 0;
                for (let ky = 0; ky < rows; ky++)
                  for (let kx = 0; kx < cols; kx++) {
                    const [y, x] = [oy * down + ky - top, ox * right + kx - left];
                    if (y < 0 || y >= height || x < 0 || x >= width) continue;
                    for (let c = 0; c < channels; c++)
                      sum +=
                        (a[((image * height + y) * width + x) * channels + c] - zeroA) *
                        b[((ky * cols + kx) * channels + c) * filters + f];
                  }
                sums.push(sum);
              }
        const finish = { multipliers: [fixedMultiplier(2 ** -9)], zeroPoint: 3, low: -128, high: 127 };
        const ours = integerConvolution(
          a,
          {
            height,
            width,
            channels,
            outHeight,
            outWidth,
            size: [rows, cols],
            strides: [down, right],
            top,
            left,
          },
          batch,
          packRight(b, rows * cols * channels, filters),
          { ...finish, bias: new Int32Array(filters), fraction: 0 },
          { zeroA, threads },
        );
        const told = `${batch} x ${height} x ${width} x ${channels}, ${rows} x ${cols}, ${unsigned}`;
        assert.deepEqual(ours, requantize(Int32Array.from(sums), filters, finish), told);
      }
  });
});

/** A network of every kind of step, with weights drawn by seed. */
function network(seed: number, padding: "valid" | "same", average: boolean, bits: number): IntegerNetwork {
  const draw = seeded(seed);
  const grid = (scale: number, zeroPoint: number): ActivationGrid => ({
    scale,
    zeroPoint,
    low: 0,
    high: 255,
  });
  const input = grid(1 / 255, 0);
  const a = grid(0.02 + draw() * 0.01, 3);
  const b = grid(0.03 + draw() * 0.02, 121);
  const c = { scale: 0.05 + draw() * 0.01, zeroPoint: -5, low: -128, high: 127 };
  const kernel = (shape: number[], by: number) =>
    quantize(
      normals(
        shape.reduce((x, y) => x * y),
        seed * 10 + by,
        0.3,
      ),
      { bits, shape, axis: seed % 2 ? shape.length - 1 : undefined },
    );
  const flat = { same: 3 * 3 * 6, valid: 2 * 6 }[padding];
  return {
    inputShape: [11, 10, 2],
    input,
    steps: [
      conv2dStep({
        name: "a",
        kernel: kernel([3, 3, 2, 5], 1),
        bias: normals(5, seed + 1, 0.1),
        input,
        output: a,
        relu: true,
        strides: [1, 1],
        padding,
      }),
      { kind: average ? "averagePool2d" : "maxPool2d", size: [2, 2], strides: [2, 2], padding },
      conv2dStep({
        name: "b",
        kernel: kernel([3, 2, 5, 6], 2),
        bias: normals(6, seed + 2, 0.1),
        input: a,
        output: b,
        strides: [2, 2],
        padding,
      }),
      { kind: average ? "averagePool2d" : "maxPool2d", size: [3, 3], strides: [1, 1], padding: "same" },
      { kind: "reshape", shape: [flat] },
      denseStep({
        name: "c",
        kernel: kernel([flat, 20], 3),
        bias: normals(20, seed + 3, 0.1),
        input: b,
        output: c,
      }),
      denseStep({ name: "d", kernel: kernel([20, 4], 4), input: c }),
    ],
  };
}

describe("§3.2.2 networks in integers", () => {
  it("equal their simulation in floating point bit for bit", () => {
    for (let seed = 1; seed <= 6; seed++) {
      for (const padding of ["valid", "same"] as const) {
        for (const average of [false, true]) {
          const net = network(seed, padding, average, seed < 4 ? 8 : 3);
          const inputs = normals(7 * 220, seed).map(Math.abs);
          const ran = runInteger(net, inputs, 7, seed % 2 ? 2 : 1);
          const simulated = simulateInteger(net, inputs, 7);
          assert.deepEqual(ran.shape, [4]);
          assert.deepEqual(ran, simulated);
          assert.ok(new Set(ran.steps).size > 10);
          // Without the last two steps too, where the result is codes.
          const front = { ...net, steps: net.steps.slice(0, 4) };
          assert.deepEqual(runInteger(front, inputs, 7), simulateInteger(front, inputs, 7));
        }
      }
    }
  });

  it("count bits where weights are ±1 and activations {0, 1}, convolutions too", () => {
    const input = { scale: 0.7, zeroPoint: 0, low: 0, high: 1, step: 1.2 };
    const ternary = { scale: 2, zeroPoint: 0, low: -1, high: 1, step: 3 };
    const kernel = (shape: number[]) =>
      quantize(
        normals(
          shape.reduce((a, b) => a * b),
          6,
        ),
        { bits: 1, shape, axis: shape.length - 1 },
      );
    const steps = [
      conv2dStep({
        name: "a",
        kernel: kernel([3, 3, 2, 7]),
        bias: normals(7, 2),
        input,
        output: input,
        strides: [1, 1],
        padding: "same",
      }),
      conv2dStep({
        name: "b",
        kernel: kernel([2, 2, 7, 5]),
        bias: normals(5, 3),
        input,
        output: ternary,
        strides: [2, 1],
        padding: "valid",
      }),
      { kind: "reshape", shape: [2 * 4 * 5] } as const,
      denseStep({ name: "c", kernel: kernel([2 * 4 * 5, 3]), input: ternary }),
    ];
    assert.deepEqual(
      steps.map((step) => "signs" in step && step.signs !== undefined),
      [true, true, false, false],
    );
    const net = { inputShape: [4, 5, 2], input, steps };
    const inputs = normals(9 * 40, 8);
    assert.deepEqual(runInteger(net, inputs, 9), simulateInteger(net, inputs, 9));
    // The threshold is half a step: 0.6.
    const front = { inputShape: [2], input, steps: [] };
    assert.deepEqual([...runInteger(front, new Float32Array([0.59, 0.61]), 1).steps], [0, 1]);
  });

  it("are close to real arithmetic, within the steps of their grids", () => {
    const w = normals(30 * 8, 3, 0.2);
    const kernel = quantize(w, { bits: 8, shape: [30, 8], axis: 1 });
    const input = { scale: 1 / 255, zeroPoint: 0, low: 0, high: 255 };
    const x = normals(30, 4, 0.2).map((v) => Math.min(1, Math.abs(v)));
    const bias = normals(8, 5);
    const net = { inputShape: [30], input, steps: [denseStep({ name: "d", kernel, bias, input })] };
    const { values } = runInteger(net, x, 1);
    for (let j = 0; j < 8; j++) {
      let exact = bias[j];
      let bound = 1e-4;
      for (let i = 0; i < 30; i++) {
        exact += x[i] * w[i * 8 + j];
        bound += (Math.abs(w[i * 8 + j]) / 255 + (x[i] + 1 / 255) * kernel.scale[j]) / 2;
      }
      assert.ok(Math.abs(values[j] - exact) < bound, `${values[j]} ${exact} ${bound}`);
    }
  });

  it("clip no bias, however small the weights beside it", () => {
    // Units of ever smaller weights and a bias of about 1/2: what is left of them is mostly bias.
    for (const size of [1e-1, 1e-3, 1e-5, 1e-7, 1e-9]) {
      for (const bits of [1, 4, 8]) {
        const w = normals(12 * 3, 3, 1).map((v, i) => v * (i % 3 === 1 ? size : 0.3));
        const kernel = quantize(w, { bits, shape: [12, 3], axis: 1 });
        const input = { scale: 1 / 255, zeroPoint: 0, low: 0, high: 255 };
        const output = { scale: 1 / 64, zeroPoint: 128, low: 0, high: 255 };
        const bias = Float32Array.of(0.1, 0.503, -0.2);
        const x = normals(12, 4, 0.2).map((v) => Math.min(1, Math.abs(v)));
        const last = { inputShape: [12], input, steps: [denseStep({ name: "d", kernel, bias, input })] };
        const inner = { ...last, steps: [denseStep({ name: "d", kernel, bias, input, output })] };
        const weights = dequantize(kernel);
        for (const [net, step] of [
          [last, 1e-5],
          [inner, 0.501 / 64],
        ] as const) {
          const { values } = runInteger(net, x, 1);
          assert.deepEqual(values, simulateInteger(net, x, 1).values);
          for (let j = 0; j < 3; j++) {
            let exact = bias[j];
            for (let i = 0; i < 12; i++) exact += (Math.round(x[i] * 255) / 255) * weights[i * 3 + j];
            const most = step + 2e-3 * Math.abs(exact);
            assert.ok(
              Math.abs(values[j] - exact) < most,
              `${size}, ${bits} bits, unit ${j}: ${values[j]} and ${exact}`,
            );
          }
        }
      }
    }
  });

  it("refuse kernels and inputs that do not fit", () => {
    const input = { scale: 1, zeroPoint: 0, low: 0, high: 255 };
    const make = (options: Parameters<typeof quantize>[1]) =>
      denseStep({ name: "fc", kernel: quantize(normals(6, 1), { shape: [3, 2], ...options }), input });
    assert.throws(
      () => make({ bits: 8, scheme: "affine" }),
      /kernel of fc must be symmetric, signed and of at most 8 bits/,
    );
    assert.throws(() => make({ bits: 9 }), /at most 8 bits/);
    assert.throws(
      () => make({ bits: 8, axis: 0 }),
      /kernel of fc must have its scales along its last axis, got axis 0/,
    );
    const net = { inputShape: [3], input, steps: [make({ bits: 8 })] };
    assert.throws(() => runInteger(net, new Float32Array(4), 1), /inputs must have 3 elements, got 4/);
    assert.equal(runInteger(net, new Float32Array(0), 0).values.length, 0);
  });
});

describe("§3.2.2 the largest codes of windows", () => {
  it("are those that a count of each window finds, whatever the channels, the sign and the edges", () => {
    const random = seeded(4);
    for (const channels of [1, 3, 16, 20, 33])
      for (const Kind of [Int8Array, Uint8Array])
        for (const padding of ["valid", "same"] as const)
          for (const [size, strides] of [
            [
              [2, 2],
              [2, 2],
            ],
            [
              [3, 2],
              [1, 3],
            ],
            [
              [2, 3],
              [4, 4],
            ],
          ] as const) {
            const [batch, height, width] = [2, 7, 6];
            const codes = new Kind(batch * height * width * channels).map(() => Math.floor(256 * random()));
            const step = { kind: "maxPool2d", size, strides, padding } as const;
            const [found, [outHeight, outWidth, depth]] = pool(
              codes,
              batch,
              [height, width, channels],
              step,
              0,
            );
            assert.deepEqual(
              [outHeight, outWidth, depth],
              [height, width]
                .map((n, i) => Math.ceil((padding === "same" ? n : n - size[i] + 1) / strides[i]))
                .concat(channels),
            );
            const before = [height, width].map((n, i) => {
              const reach = ([outHeight, outWidth][i] - 1) * strides[i] + size[i];
              return padding === "same" ? Math.floor(Math.max(0, reach - n) / 2) : 0;
            });
            for (let i = 0; i < found.length; i++) {
              const c = i % channels;
              const ox = Math.floor(i / channels) % outWidth;
              const oy = Math.floor(i / channels / outWidth) % outHeight;
              const b = Math.floor(i / channels / outWidth / outHeight);
              let most = Number.NEGATIVE_INFINITY;
              for (let y = oy * strides[0] - before[0]; y < oy * strides[0] - before[0] + size[0]; y++)
                for (let x = ox * strides[1] - before[1]; x < ox * strides[1] - before[1] + size[1]; x++)
                  if (y >= 0 && y < height && x >= 0 && x < width)
                    most = Math.max(most, codes[((b * height + y) * width + x) * channels + c]);
              assert.equal(found[i], most);
            }
          }
  });
});
