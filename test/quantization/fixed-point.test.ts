import assert from "node:assert/strict";
import { eachRun } from "../../lib/quantization/fixed-point.ts";
import {
  absoluteHistogram,
  chooseGrid,
  chooseRange,
  dequantize,
  fakeQuantize,
  type GridOptions,
  insideGrid,
  klThreshold,
  packQuantized,
  quantile,
  quantizationError,
  quantize,
  quantizeAsWritten,
  quantizedBytes,
  quantizeOn,
  restoreAsWritten,
  restoreDivided,
  roundEven,
  roundStochastic,
  unpackQuantized,
} from "../../lib/quantization/index.ts";
import { codeRange } from "../../lib/quantization/range.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import { fixture, normals } from "./fixture.ts";

const torch = fixture("fixed-point");
const weights = new Float32Array(torch.weights);
const relu = new Float32Array(torch.relu);
const ranges = ["max", "percentile", "mse", "kl"] as const;
const schemes = ["symmetric", "affine"] as const;

describe("§3.2.1 rounding", () => {
  it("takes ties to the even number, whatever the sign", () => {
    assert.deepEqual(
      [0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 2.4999, 1e9 + 0.5].map((x) => roundEven(x) + 0),
      [0, 2, 2, 0, -2, -2, 2, 1e9],
    );
  });

  it("keeps the mean when stochastic, and leaves whole numbers alone", () => {
    const random = seeded(1);
    let sum = 0;
    for (let i = 0; i < 40000; i++) sum += roundStochastic(2.3, random);
    // Standard error of the mean: sqrt(0.3·0.7 / 40000) = 0.0023.
    assert.ok(Math.abs(sum / 40000 - 2.3) < 0.01);
    for (let i = 0; i < 1000; i++) assert.equal(roundStochastic(Math.fround(57 * 0.1) / 0.1, random), 57);
  });
});

describe("§3.2.1 the document's formula as written", () => {
  it("is followed literally (worked by hand: α = 2, b = 3, so ŵ = clamp(round(4w), −4, 3))", () => {
    const written = quantizeAsWritten(new Float32Array([2, 1, 0.7, 0.1, -0.3, -1, -2]), 3);
    assert.deepEqual([...written.codes], [3, 3, 3, 0, -1, -4, -4]);
    assert.equal(written.alpha, 2);
    assert.equal(written.saturated, 3);
    assert.deepEqual([...restoreAsWritten(written)], [6, 6, 6, 0, -2, -8, -8]);
    assert.deepEqual([...restoreDivided(written)], [0.75, 0.75, 0.75, 0, -0.25, -1, -1]);
  });

  it("saturates every |w| > α/2, so more bits do not help it", () => {
    const values = normals(5000, 2);
    for (const bits of [4, 8, 12]) {
      const written = quantizeAsWritten(values, bits);
      const above = values.filter((w) => Math.abs(w) > written.alpha / 2).length;
      // Up to one step of rounding at either end of the clamp.
      assert.ok(
        written.saturated >= above - 2 &&
          written.saturated <= values.filter((w) => Math.abs(w) > written.alpha * (0.5 - 2 ** -bits)).length,
      );
      const wrong = quantizationError(values, restoreDivided(written));
      const right = quantizationError(values, fakeQuantize(values, { bits }));
      assert.ok(wrong.maxError > written.alpha * 0.49);
      if (bits >= 8) assert.ok(right.mse < wrong.mse / 10);
      assert.ok(quantizationError(values, restoreAsWritten(written)).sqnr < 0);
    }
  });

  it("takes one bit, zeros and nothing, and refuses NaN", () => {
    assert.deepEqual([...quantizeAsWritten(new Float32Array([1, -1, 0.2]), 1).codes], [0, -1, 0]);
    assert.deepEqual([...quantizeAsWritten(new Float32Array(3), 8).codes], [0, 0, 0]);
    assert.equal(quantizeAsWritten(new Float32Array(0), 8).codes.length, 0);
    assert.throws(() => quantizeAsWritten(new Float32Array([Number.NaN]), 8), /weights must be finite/);
    assert.throws(() => quantizeAsWritten(weights, 0), /bits must be a whole number from 1 to 16, got 0/);
  });
});

describe("§3.2.1 fixed point, the right formula", () => {
  it("agrees with PyTorch per tensor, code for code", () => {
    for (const { scheme, scale, zeroPoint, codes, values } of torch.perTensor) {
      const ours = quantize(weights, { bits: 8, scheme });
      assert.ok(Math.abs(ours.scale[0] / scale - 1) < 2e-7, `${ours.scale[0]} ${scale}`);
      assert.equal(ours.zeroPoint[0], zeroPoint);
      assert.deepEqual([...ours.codes], codes);
      const restored = dequantize(ours);
      for (let i = 0; i < values.length; i++) assert.ok(Math.abs(restored[i] - values[i]) < 1e-6);
    }
  });

  it("agrees with PyTorch per channel, on both axes, code for code", () => {
    for (const { scheme, axis, scale, zeroPoint, codes } of torch.perChannel) {
      const ours = quantize(weights, { bits: 8, scheme, shape: torch.shape, axis });
      assert.equal(ours.scale.length, scale.length);
      for (let c = 0; c < scale.length; c++) assert.ok(Math.abs(ours.scale[c] / scale[c] - 1) < 2e-7);
      assert.deepEqual([...ours.zeroPoint], zeroPoint);
      assert.deepEqual([...ours.codes], codes);
    }
  });

  it("agrees with PyTorch's fake quantization at 2 to 16 bits", () => {
    for (const { bits, symmetric, affine, symmetricMse, affineMse } of torch.bits) {
      for (const [scheme, values, mse] of [
        ["symmetric", symmetric, symmetricMse],
        ["affine", affine, affineMse],
      ]) {
        const ours = fakeQuantize(weights, { bits, scheme });
        for (let i = 0; i < values.length; i++) {
          assert.ok(Math.abs(ours[i] - values[i]) < 1e-7, `${bits} bits ${scheme}: ${ours[i]} ${values[i]}`);
        }
        assert.ok(Math.abs(quantizationError(weights, ours).mse / mse - 1) < 2e-3);
      }
    }
  });

  it("puts 16 channels of a 4-axis kernel where they belong", () => {
    const shape = [3, 3, 2, 16];
    const values = normals(288, 5).map((w, i) => w * 2 ** (i % 16));
    const all = quantize(values, { bits: 8, shape, axis: 3 });
    for (let c = 0; c < 16; c++) {
      const one = quantize(
        values.filter((_, i) => i % 16 === c),
        { bits: 8 },
      );
      assert.equal(all.scale[c], one.scale[0]);
      assert.deepEqual(
        [...all.codes].filter((_, i) => i % 16 === c),
        [...one.codes],
      );
    }
  });

  it("stays within half a step, and is a fixed point, for all bits, schemes and ranges", () => {
    for (let bits = 1; bits <= 16; bits++) {
      for (const scheme of schemes) {
        for (const range of ranges) {
          for (const axis of [undefined, 0, 1]) {
            // KL needs many values to say anything: not for channels of 20.
            if (range === "kl" && axis !== undefined) continue;
            const options: GridOptions = { bits, scheme, range, shape: torch.shape, axis };
            const q = quantize(weights, options);
            const restored = dequantize(q);
            const again = quantizeOn(q, restored);
            assert.deepEqual(again.codes, q.codes, JSON.stringify(options));
            assert.deepEqual(quantizeOn(q, restored, { rounding: "stochastic", seed: 9 }).codes, q.codes);
            for (let i = 0; i < weights.length; i++) {
              const c = axis === undefined ? 0 : axis === 0 ? Math.floor(i / 30) : i % 30;
              const scale = q.scale[c];
              const z = q.zeroPoint[c];
              const [low, high] =
                scheme === "affine"
                  ? [0, 2 ** bits - 1]
                  : bits === 1
                    ? [-1, 1]
                    : [1 - 2 ** (bits - 1), 2 ** (bits - 1) - 1];
              if (weights[i] < (low - z) * scale || weights[i] > (high - z) * scale) continue;
              const step = scheme === "symmetric" && bits === 1 ? 2 * scale : scale;
              assert.ok(Math.abs(weights[i] - restored[i]) <= step * 0.5 + 1e-7, JSON.stringify(options));
            }
            if (range === "max" && scheme === "symmetric") {
              assert.ok(
                quantizationError(weights, restored).maxError <=
                  q.scale.reduce((a, b) => Math.max(a, b)) * (bits === 1 ? 1 : 0.5) + 1e-7,
              );
            }
          }
        }
      }
    }
  });

  it("gains about 6.02 dB a bit on uniform values", () => {
    const random = seeded(8);
    const values = Float32Array.from({ length: 50000 }, () => random() * 2 - 1);
    for (let bits = 4; bits < 14; bits++) {
      const gain =
        quantizationError(values, fakeQuantize(values, { bits: bits + 1, scheme: "affine" })).sqnr -
        quantizationError(values, fakeQuantize(values, { bits, scheme: "affine" })).sqnr;
      assert.ok(Math.abs(gain - 6.02) < 0.4, `${bits}: ${gain}`);
    }
  });

  it("rounds stochastically without bias and the same for the same seed", () => {
    const values = new Float32Array(20000).fill(0.3);
    const grid = { bits: 4, range: [-7, 7] as const };
    const q = quantize(values, { ...grid, rounding: "stochastic", seed: 4 });
    const mean = dequantize(q).reduce((a, b) => a + b) / values.length;
    assert.ok(Math.abs(mean - 0.3) < 0.015);
    assert.deepEqual(quantize(values, { ...grid, rounding: "stochastic", seed: 4 }).codes, q.codes);
    assert.notDeepEqual(quantize(values, { ...grid, rounding: "stochastic", seed: 5 }).codes, q.codes);
    const signs = quantize(values, { bits: 1, range: [-1, 1], rounding: "stochastic" });
    assert.ok(Math.abs(dequantize(signs).reduce((a, b) => a + b) / values.length - 0.3) < 0.03);
  });

  it("has the levels −α and +α at one symmetric bit, and the mean of |w| as best α", () => {
    const q = quantize(new Float32Array([-3, 1, 2, 0]), { bits: 1, range: "mse" });
    assert.deepEqual([...q.codes], [-1, 1, 1, 1]);
    assert.equal(q.scale[0], 1.5);
  });

  it("stores exact bytes and gives everything back", () => {
    for (let bits = 1; bits <= 16; bits++) {
      for (const scheme of schemes) {
        const q = quantize(weights, { bits, scheme, shape: torch.shape, axis: 1 });
        const packed = packQuantized(q);
        assert.equal(packed.bytes.length, Math.ceil((600 * bits) / 8));
        assert.equal(quantizedBytes(q), packed.bytes.length + 30 * (scheme === "affine" ? 8 : 4));
        assert.deepEqual(unpackQuantized(packed), q);
      }
    }
  });

  it("takes nothing, one value, equal values, zeros and the ends of float32", () => {
    for (let bits = 1; bits <= 16; bits++) {
      for (const scheme of schemes) {
        for (const range of ranges) {
          const options = { bits, scheme, range };
          const what = JSON.stringify(options);
          assert.equal(quantize(new Float32Array(0), options).codes.length, 0);
          assert.equal(quantize(new Float32Array(0), { ...options, shape: [0, 3], axis: 1 }).scale.length, 3);
          assert.deepEqual(
            [...fakeQuantize(new Float32Array([0.7]), options)].map((v) => Math.abs(v - 0.7) < 1e-6),
            [true],
            what,
          );
          const equal = fakeQuantize(new Float32Array(50).fill(-2.5), options);
          for (const v of equal) assert.ok(Math.abs(v + 2.5) < 1e-5, `${what} ${v}`);
          const zeros = quantize(new Float32Array(5), options);
          if (scheme === "affine" || bits > 1)
            assert.deepEqual([...dequantize(zeros)].map(Math.abs), [0, 0, 0, 0, 0]);
          assert.ok(zeros.scale[0] > 0);
        }
        const huge = quantize(new Float32Array([1e38, -1e38, 0]), { bits, scheme });
        assert.ok(Number.isFinite(huge.scale[0]) && dequantize(huge).every(Number.isFinite));
        assert.ok(quantize(new Float32Array([1e-44, -1e-45]), { bits, scheme }).scale[0] > 0);
        for (const ends of [
          [3.4e38, -3.4e38],
          [3.4028234663852886e38, -1e38],
          [1e30, -3.4028234663852886e38],
        ])
          assert.ok(dequantize(quantize(new Float32Array(ends), { bits, scheme })).every(Number.isFinite));
      }
    }
  });

  it("keeps 0 exact on every grid that has it", () => {
    for (let bits = 2; bits <= 16; bits++) {
      for (const scheme of schemes) {
        const q = quantize(new Float32Array([0, 0.3, 1.7, -0.2]), { bits, scheme });
        assert.equal(Math.abs(dequantize(q)[0]), 0);
      }
    }
    // A range wholly above 0 is widened down to 0.
    assert.equal(dequantize(quantize(new Float32Array([5, 6, 7]), { bits: 8, scheme: "affine" }))[2], 7);
  });

  it("refuses what it cannot do, by name", () => {
    const refuse = (options: object, message: RegExp, values = weights) =>
      assert.throws(() => quantize(values, options as GridOptions), message);
    refuse({ bits: 0 }, /bits must be a whole number from 1 to 16, got 0/);
    refuse({ bits: 17 }, /got 17/);
    refuse({ bits: 2.5 }, /got 2.5/);
    refuse({ bits: 8, scheme: "log" }, /scheme must be one of "symmetric", "affine", got "log"/);
    refuse({ bits: 8, range: "all" }, /range must be one of/);
    refuse({ bits: 8, axis: 1 }, /axis needs shape/);
    refuse({ bits: 8, shape: [20, 30], axis: 2 }, /axis must be a whole number from 0 to 1, got 2/);
    refuse({ bits: 8, shape: [20, 31] }, /values must have 620 elements, got 600/);
    refuse({ bits: 8, range: "percentile", percentile: 101 }, /percentile must be a number from 50 to 100/);
    refuse({ bits: 8, rounding: "up" }, /rounding must be one of/);
    refuse({ bits: 8, range: [0, Number.NaN] }, /range must be finite/);
    refuse(
      { bits: 8, signed: false },
      /values of a symmetric grid without signs must be at least 0, got -1: take signed codes or an affine grid/,
      new Float32Array([0.5, -1]),
    );
    assert.equal(dequantize(quantize(new Float32Array([2, 0.5]), { bits: 8, signed: false }))[0], 2);
    refuse({ bits: 8 }, /values must be finite, got NaN at index 1/, new Float32Array([1, Number.NaN]));
    refuse({ bits: 8 }, /values must be finite, got Infinity/, new Float32Array([Number.POSITIVE_INFINITY]));
  });
});

describe("§3.2.1 the choice of range", () => {
  it("takes NumPy's percentiles", () => {
    for (const { p, absolute, upper, lower } of torch.percentiles) {
      const close = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-6, `${p}: ${a} ${b}`);
      close(quantile(weights.map(Math.abs), p / 100), absolute);
      close(quantile(weights, p / 100), upper);
      close(quantile(weights, 1 - p / 100), lower);
      const [min, max] = chooseRange(
        weights,
        { bits: 8, scheme: "symmetric", signed: true },
        "percentile",
        p,
      );
      close(max, absolute);
      close(-min, absolute);
    }
    assert.equal(quantile(new Float32Array([3, 1, 2, 1, 1, 3]), 0.5), 1.5);
    // Of many numbers a sample brackets the wanted one: as sorting says, with ties, both zeros and the ends.
    const random = seeded(5);
    const many = Float32Array.from({ length: 40_001 }, (_, i) =>
      i % 5 === 0 ? Math.round(3 * normal(random)) : i % 7 === 0 ? -0 : normal(random) * 2 ** ((i % 9) - 4),
    );
    for (const absolute of [false, true]) {
      const sorted = (absolute ? many.map(Math.abs) : many).toSorted();
      for (const q of [0, 1e-6, 0.001, 0.25, 0.5, 0.5 + 1 / 80_000, 0.75, 0.999, 1 - 1e-6, 1]) {
        const [place, at] = [q * 40_000, Math.floor(q * 40_000)];
        const expected = sorted[at] + ((sorted[at + 1] ?? sorted[at]) - sorted[at]) * (place - at);
        assert.equal(quantile(many, q, { absolute }) + 0, expected + 0, `${q} ${absolute}`);
      }
    }
    assert.equal(quantile(new Float32Array(40_000).fill(-2), 0.4), -2);
    // No sample sees the few that are large, and the wanted one lies between the two kinds.
    const two = new Float32Array(100_000).fill(1).fill(9, 99_990);
    assert.equal(quantile(two, 99_989 / 99_999), 1);
    assert.equal(quantile(two, 99_989.5 / 99_999), 5);
    assert.throws(() => quantile(new Float32Array(), 0.5), /number of values must be .* at least 1, got 0/);
    assert.throws(() => quantile(new Float32Array([1]), 1.5), /q must be a number from 0 to 1, got 1.5/);
    for (const wrong of [quantile, (v: Float32Array) => absoluteHistogram(v)])
      assert.throws(() => wrong(new Float32Array([1, Number.NaN]), 0.5), /values must be finite, got NaN/);
  });

  it("finds the threshold of an independent KL calibration", () => {
    for (const { data, bits, threshold } of torch.kl) {
      const values = data === "relu" ? relu : weights;
      const levels = data === "relu" ? 2 ** bits : 2 ** (bits - 1);
      assert.ok(Math.abs(klThreshold(absoluteHistogram(values), levels) - threshold) < 1e-5);
      const scheme = data === "relu" ? "affine" : "symmetric";
      const [, max] = chooseRange(values, { bits, scheme, signed: scheme === "symmetric" }, "kl");
      assert.ok(Math.abs(max - threshold) < 1e-5);
    }
  });

  it("loses no more than PyTorch's HistogramObserver, nor than any of 2,000 thresholds tried one by one", () => {
    for (const { data, mse } of torch.histogramObserver) {
      const values = data === "relu" ? relu : weights;
      const ours = quantizationError(
        values,
        fakeQuantize(values, { bits: 8, scheme: "affine", range: "mse" }),
      );
      assert.ok(ours.mse <= mse, `${data}: ${ours.mse} ${mse}`);
    }
    for (const bits of [2, 3, 4, 6]) {
      const ours = quantizationError(weights, fakeQuantize(weights, { bits, range: "mse" })).mse;
      let best = Number.POSITIVE_INFINITY;
      for (let i = 1; i <= 2000; i++) {
        const alpha = (i / 2000) * 0.61;
        best = Math.min(
          best,
          quantizationError(weights, fakeQuantize(weights, { bits, range: [-alpha, alpha] })).mse,
        );
      }
      assert.ok(ours <= best * 1.01, `${bits}: ${ours} ${best}`);
    }
  });

  it("pays at few bits: MSE and percentile beat max on weights with a long tail", () => {
    const values = normals(4000, 6);
    values[17] = 40;
    const loss = (range: (typeof ranges)[number]) =>
      quantizationError(values, fakeQuantize(values, { bits: 4, range })).mse;
    assert.ok(loss("mse") < loss("max") / 2);
    assert.ok(loss("mse") <= loss("percentile"));
    assert.ok(loss("mse") <= loss("kl"));
  });
});

describe("§3.2.1 error measures", () => {
  it("match the definitions (worked by hand)", () => {
    const { mse, maxError, sqnr } = quantizationError([3, 4], [3, 3.5]);
    assert.equal(mse, 0.125);
    assert.equal(maxError, 0.5);
    assert.ok(Math.abs(sqnr - 20) < 1e-12);
    assert.deepEqual(quantizationError([], []), { mse: 0, maxError: 0, sqnr: Number.POSITIVE_INFINITY });
    assert.ok(Number.isNaN(quantizationError([1, Number.NaN], [1, 1]).maxError));
    assert.throws(() => quantizationError([1], [1, 2]), /restored must have 1 elements, got 2/);
  });
});

describe("§3.2.1 the loops on WebAssembly", () => {
  const layouts: Pick<GridOptions, "shape" | "axis" | "span" | "group">[] = [
    { shape: [70001] },
    { shape: [13, 9, 3], axis: 2 },
    { shape: [30011, 3], axis: 1 },
    { shape: [45, 1001], axis: 1, group: 7 },
    { shape: [5, 7, 80], axis: 1 },
    { shape: [5, 7, 3], axis: 1 },
    { shape: [3, 3, 11, 2], axis: 2, span: 2 },
    { shape: [1000], group: 64 },
    { shape: [2], axis: 0 },
    { shape: [0] },
  ];

  it("give the codes of the formula, and what these stand for, in every layout and width", () => {
    for (const layout of layouts)
      for (const bits of [2, 7, 8, 11, 16])
        for (const scheme of schemes)
          for (const signed of [true, false]) {
            const shape = layout.shape!;
            const count = shape.reduce((product, size) => product * size, 1);
            const random = seeded(bits);
            // Many values on the halves between two codes, which go to the even one.
            const drawn = Float32Array.from({ length: count }, (_, i) =>
              i % 3 === 0 ? Math.round(8 * normal(random)) / 2 : normal(random),
            );
            // A symmetric grid without signs takes nothing below 0.
            const values = scheme === "symmetric" && !signed ? drawn.map(Math.abs) : drawn;
            const options = { bits, scheme, signed, ...layout };
            const q = quantize(values, options);
            const restored = fakeQuantize(values, options);
            assert.deepEqual(restored, dequantize(q));
            const [axis = 0, span = 1] = [layout.axis, layout.span];
            const channels =
              layout.axis === undefined
                ? 1
                : shape.slice(axis, axis + span).reduce((product, size) => product * size, 1);
            const inner =
              layout.axis === undefined
                ? count
                : shape.slice(axis + span).reduce((product, size) => product * size, 1);
            const low = signed ? -(2 ** (bits - 1)) + (scheme === "symmetric" ? 1 : 0) : 0;
            const high = 2 ** (bits - (signed ? 1 : 0)) - 1;
            const group = layout.group ?? Math.max(1, count / channels);
            const extents = q.scale.reduce((all) => [...all, [0, 0]], [] as number[][]);
            const placeOf = (i: number) => {
              const [o, c] = [Math.floor(i / inner / channels), Math.floor(i / inner) % channels];
              return Math.floor((o * inner + (i % inner)) / group) * channels + c;
            };
            for (let i = 0; i < count; i++) {
              const place = placeOf(i);
              const extent = extents[place];
              extents[place] = [Math.min(extent[0], values[i]), Math.max(extent[1], values[i])];
              const code = roundEven(values[i] / q.scale[place]) + q.zeroPoint[place];
              const expected = Math.min(high, Math.max(low, code)) + 0;
              if (q.codes[i] !== expected)
                assert.fail(`${JSON.stringify(options)}: ${q.codes[i]} for ${expected} at ${i}`);
            }
            if (scheme === "affine")
              for (const [place, [min, max]] of extents.entries())
                assert.equal(q.scale[place], Math.fround((max - min) / (2 ** bits - 1)) || 1);
          }
  });

  it("go to the right side of the middle between two levels, by the smallest difference and at the ends of float32", () => {
    const bits = new Float32Array(1);
    const integer = new Int32Array(bits.buffer);
    const next = (value: number, by: number) => {
      bits[0] = value;
      integer[0] += by;
      return bits[0];
    };
    for (const scale of [0.1, 1 / 3, 0.0376, 2 ** -149, 3e-45, 1.7e-38, 2.1e36, 2.6e36].map(Math.fround)) {
      const values: number[] = [];
      for (let code = -130; code <= 130; code++)
        for (const by of [-2, -1, 0, 1, 2]) values.push(next(Math.fround((code + 0.5) * scale), by));
      const many = Float32Array.from(values.filter(Number.isFinite));
      for (const [grid, low, high, zero] of [
        [{ bits: 8, scheme: "symmetric", signed: true }, -127, 127, 0],
        [{ bits: 8, scheme: "affine", signed: false }, 0, 255, 101],
      ] as const) {
        const places = { scale: Float32Array.of(scale), zeroPoint: Int32Array.of(zero), axis: undefined };
        const { codes } = quantizeOn({ ...grid, ...places, shape: [many.length] }, many);
        many.forEach((value, i) => {
          const expected = Math.min(high, Math.max(low, roundEven(value / scale) + zero));
          assert.equal(codes[i], expected, `${value} / ${scale}`);
        });
      }
    }
  });

  it("tell where a gradient passes through a grid, in every layout", () => {
    for (const layout of layouts.filter(({ shape }) => shape![0] > 0)) {
      const shape = layout.shape!;
      const random = seeded(3);
      const values = Float32Array.from(
        { length: shape.reduce((product, size) => product * size, 1) },
        () => 6 * (random() - 0.5),
      );
      for (const scheme of schemes) {
        const grid = chooseGrid(values, { bits: 4, scheme, ...layout });
        assert.equal(insideGrid(grid, values, 0.5), undefined);
        const narrow = { ...grid, scale: grid.scale.map((s, i) => s * (0.5 + 0.4 * Math.sin(i))) };
        const { low, high } = codeRange(grid);
        const expected = new Float32Array(values.length);
        eachRun(narrow, (place, from, end) => {
          const [s, z] = [narrow.scale[place], grid.zeroPoint[place]];
          for (let i = from; i < end; i++)
            expected[i] = Number(values[i] / s > low - 0.5 - z && values[i] / s < high + 0.5 - z);
        });
        assert.ok(expected.includes(0));
        assert.deepEqual(insideGrid(narrow, values, 0.5), expected);
      }
    }
  });

  it("find the first value that is not finite", () => {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      for (const at of [0, 4, 40001]) {
        const values = new Float32Array(40002).fill(1);
        values[at] = wrong;
        assert.throws(
          () => quantize(values, { bits: 8 }),
          new RegExp(`values must be finite, got ${wrong} at index ${at}`),
        );
      }
  });
});
