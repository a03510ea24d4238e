import assert from "node:assert/strict";
import {
  binarize,
  binaryThreshold,
  chooseRange,
  createObserver,
  fakeQuantize,
  type ObserverOptions,
  observerMethods,
  quantizationError,
  quantize,
  rangeMethods,
  restoreThresholded,
  scaleGradient,
  straightThrough,
  ternarize,
  ternaryThreshold,
} from "../../lib/quantization/index.ts";
import { seeded } from "../../lib/util/random.ts";
import { fixture, normals } from "./fixture.ts";

const torch = fixture("fixed-point");
const relu = new Float32Array(torch.relu);
const weights = new Float32Array(torch.weights);
const methods = observerMethods;

/** Feeds values in batches of growing size. */
function watched(values: Float32Array, options: ObserverOptions) {
  const observer = createObserver(options);
  for (let from = 0, size = 16; from < values.length; from += size, size *= 2) {
    observer.observe(values.subarray(from, Math.min(values.length, from + size)));
  }
  return observer;
}

describe("§3.2.2 calibration observers", () => {
  it("agree with PyTorch's min-max and moving average", () => {
    const minmax = watched(weights, { bits: 8 }).grid();
    assert.equal(minmax.zeroPoint, torch.perTensor[1].zeroPoint);
    assert.ok(Math.abs(minmax.scale / torch.perTensor[1].scale - 1) < 2e-7);
    const moving = createObserver({ bits: 8, method: "movingAverage", averaging: 0.1 });
    for (let from = 0; from < 800; from += 200)
      moving.observe(relu.slice(from, from + 200).map((v) => v - 0.25));
    const grid = moving.grid();
    assert.ok(Math.abs(grid.range[0] - torch.movingAverage.min) < 1e-6);
    assert.ok(Math.abs(grid.range[1] - torch.movingAverage.max) < 1e-6);
    assert.ok(Math.abs(grid.scale / torch.movingAverage.scale - 1) < 1e-6);
    assert.equal(grid.zeroPoint, torch.movingAverage.zeroPoint);
  });

  it("lose no more than PyTorch's HistogramObserver", () => {
    for (const { data, mse } of torch.histogramObserver) {
      const values = data === "relu" ? relu : weights;
      const { range } = watched(values, { bits: 8, method: "mse" }).grid();
      const ours = quantizationError(values, fakeQuantize(values, { bits: 8, scheme: "affine", range })).mse;
      assert.ok(ours <= mse * 1.02, `${data}: ${ours} ${mse}`);
    }
  });

  it("choose from the histogram about what all values at once would give", () => {
    const values = normals(20000, 4).map((v) => v ** 3);
    for (const scheme of ["symmetric", "affine"] as const) {
      for (const bits of [1, 2, 4, 8]) {
        const levels = { bits, scheme, signed: scheme === "symmetric" };
        for (const data of [values, values.map((v) => Math.max(0, v))]) {
          const percentile = watched(data, { bits, scheme, method: "percentile", percentile: 99 }).range();
          const exact = chooseRange(data, levels, "percentile", 99);
          for (const end of [0, 1])
            assert.ok(Math.abs(percentile[end] - exact[end]) < 0.03 * exact[1], `${percentile} ${exact}`);
          const error = (range: readonly [number, number]) =>
            quantizationError(data, fakeQuantize(data, { bits, scheme, range })).mse;
          const mse = watched(data, { bits, scheme, method: "mse" }).range();
          assert.ok(error(mse) < error(chooseRange(data, levels, "mse")) * 1.03, `${scheme} ${bits}`);
        }
      }
      // Bin widths differ by up to 2, so the thresholds only agree roughly.
      const kl = watched(relu, { bits: 4, scheme, method: "kl" }).range()[1];
      assert.ok(kl > 0.5 && kl <= Math.max(...relu));
    }
  });

  it("finds the KL threshold of an independent calibration when the bins are the same", () => {
    // 2,048 bins of width 1/2048 on the values' side: with a largest value of 1, every second of ours.
    const observer = createObserver({ bits: 8, scheme: "symmetric", method: "kl" });
    const values = normals(50000, 12, 0.1);
    values[0] = 1;
    observer.observe(values);
    const alpha = observer.range()[1];
    const direct = chooseRange(values, { bits: 8, scheme: "symmetric", signed: true }, "kl")[1];
    assert.ok(Math.abs(alpha / direct - 1) < 0.25, `${alpha} ${direct}`);
  });

  it("are not moved by how many zeros a ReLU leaves", () => {
    const positive = normals(20000, 3).map(Math.abs);
    const half = new Float32Array(40000);
    half.set(positive);
    for (const bits of [3, 4, 8]) {
      for (const method of ["mse", "kl"] as const) {
        const alone = watched(positive, { bits, method }).range();
        assert.deepEqual(watched(half, { bits, method }).range(), alone, `${method} ${bits}`);
        // At 3 bits the zeros once pulled the threshold down to where nearly everything is clipped.
        assert.ok(alone[1] > 1, `${method} ${bits}: ${alone}`);
      }
    }
  });

  it("do not depend on the order of batches", () => {
    for (const method of rangeMethods) {
      const reversed = relu.slice().reverse();
      const a = watched(relu, { bits: 6, method }).range();
      const b = watched(reversed, { bits: 6, method }).range();
      // The first batch sets the bins, so histograms differ by a bin.
      for (const end of [0, 1])
        assert.ok(Math.abs(a[end] - b[end]) <= 0.1 * a[1] + 1e-9, `${method}: ${a} ${b}`);
    }
  });

  it("take nothing, one value, equal values and zeros, and refuse NaN", () => {
    for (const method of methods) {
      for (const scheme of ["symmetric", "affine"] as const) {
        for (const bits of [1, 2, 8, 16]) {
          const options = { bits, scheme, method };
          assert.deepEqual(createObserver(options).range().map(Math.abs), [0, 0]);
          assert.equal(createObserver(options).grid().scale, 1);
          const observer = createObserver(options);
          observer.observe(new Float32Array(0));
          observer.observe(new Float32Array(9));
          assert.deepEqual(observer.range().map(Math.abs), [0, 0]);
          observer.observe(new Float32Array([3, 3, 3]));
          const [min, max] = observer.range();
          assert.ok(
            min <= 0 && max >= 0 && max <= 3 && Number.isFinite(observer.grid().scale),
            `${JSON.stringify(options)} ${min} ${max}`,
          );
          assert.throws(
            () => observer.observe(new Float32Array([1, Number.NaN])),
            /values must be finite, got NaN at index 1/,
          );
        }
      }
    }
    assert.throws(() => createObserver({ bits: 0 }), /bits must be a whole number from 1 to 16, got 0/);
    assert.throws(() => createObserver({ bits: 8, method: "best" as "kl" }), /method must be one of/);
  });
});

/** The least squared error over every threshold between two values, with the best scale for each. */
function bruteForce(values: Float32Array, ternary: boolean): number {
  const size = (v: number) => (ternary ? Math.abs(v) : v);
  let best = values.reduce((sum, v) => sum + v * v, 0);
  for (const limit of values) {
    const ones = [...values].filter((v) => size(v) >= size(limit) && size(v) > 0);
    if (ones.length === 0) continue;
    const scale = ones.reduce((sum, v) => sum + size(v), 0) / ones.length;
    let error = 0;
    for (const v of values)
      error += (v - (size(v) >= size(limit) ? scale * (ternary ? Math.sign(v) : 1) : 0)) ** 2;
    best = Math.min(best, error);
  }
  return best / values.length;
}

describe("§3.2.2 binary {0, 1} and ternary {−1, 0, 1}", () => {
  it("have the thresholds with the least error of all, tried one by one", () => {
    const random = seeded(2);
    for (let round = 0; round < 30; round++) {
      const values = Float32Array.from({ length: 40 }, () => Math.round((random() ** 2 * 4 - 1) * 20) / 10);
      const binary = quantizationError(values, restoreThresholded(binarize(values))).mse;
      assert.ok(
        Math.abs(binary - bruteForce(values, false)) < 1e-6,
        `${binary} ${bruteForce(values, false)}`,
      );
      const ternary = quantizationError(values, restoreThresholded(ternarize(values))).mse;
      assert.ok(Math.abs(ternary - bruteForce(values, true)) < 1e-6);
    }
  });

  it("give known codes (worked by hand)", () => {
    // Gains (Σ)²/m of the m largest of 4, 2, 0.5: 16, 18, 14.08. So m = 2, scale 3, threshold halfway from 0.5 to 2.
    assert.deepEqual(binaryThreshold(new Float32Array([0.5, 4, -9, 2])), { threshold: 1.25, scale: 3 });
    assert.deepEqual([...binarize(new Float32Array([0.5, 4, -9, 2])).codes], [0, 1, 0, 1]);
    assert.deepEqual([...ternarize(new Float32Array([0.5, 4, -4, 2])).codes], [0, 1, -1, 1]);
    assert.deepEqual(
      [...ternarize(new Float32Array([1, -1, 3]), { threshold: 1, scale: 2 }).codes],
      [0, 0, 1],
    );
  });

  it("follow the closed form of Ternary Weight Networks, which is nearly the best for normal values", () => {
    const values = normals(20000, 5);
    const twn = ternaryThreshold(values, "twn");
    const exact = ternaryThreshold(values);
    const mean = values.reduce((sum, v) => sum + Math.abs(v), 0) / values.length;
    assert.ok(Math.abs(twn.threshold - 0.7 * mean) < 1e-9);
    const error = (t: typeof twn) => quantizationError(values, restoreThresholded(ternarize(values, t))).mse;
    assert.ok(error(exact) <= error(twn) && error(twn) < error(exact) * 1.02);
    // For a normal distribution the best threshold is 0.612 standard deviations, the scale twice that.
    assert.ok(Math.abs(exact.threshold - 0.612) < 0.03 && Math.abs(exact.scale / exact.threshold - 2) < 0.05);
  });

  it("take nothing, zeros, one value and equal values, and refuse NaN", () => {
    for (const apply of [binarize, ternarize]) {
      assert.equal(apply(new Float32Array(0)).codes.length, 0);
      assert.deepEqual([...restoreThresholded(apply(new Float32Array(3)))], [0, 0, 0]);
      assert.deepEqual([...restoreThresholded(apply(new Float32Array([2.5])))], [2.5]);
      assert.deepEqual([...restoreThresholded(apply(new Float32Array([7, 7])))], [7, 7]);
      assert.throws(() => apply(new Float32Array([Number.NaN])), /values must be finite/);
      assert.throws(
        () => apply(new Float32Array([1]), { threshold: -1, scale: 1 }),
        /threshold must be a number of at least 0/,
      );
    }
    assert.deepEqual([...ternarize(new Float32Array([-3, -3])).codes], [-1, -1]);
    assert.deepEqual([...restoreThresholded(binarize(new Float32Array([-3, -3])))], [0, 0]);
    assert.deepEqual(ternaryThreshold(new Float32Array(0), "twn"), { threshold: 0, scale: 0 });
    assert.deepEqual(ternaryThreshold(new Float32Array(4), "twn"), { threshold: 0, scale: 0 });
  });
});

describe("§3.2 straight-through gradients", () => {
  it("pass between the levels and stop beyond", () => {
    const upstream = new Float32Array([1, 2, 3, 4, 5]);
    assert.deepEqual(
      [...straightThrough(upstream, new Float32Array([-2, -1, 0, 1, 1.5]), -1, 1)],
      [0, 2, 3, 4, 0],
    );
    assert.throws(
      () => straightThrough(upstream, new Float32Array(3), 0, 1),
      /upstream must have 3 elements, got 5/,
    );
  });

  it("move a scale against the error: one small step along the gradient lowers it", () => {
    const values = normals(3000, 9);
    for (const range of [
      [-1, 1],
      [-6, 6],
    ] as const) {
      const grid = quantize(values, { bits: 3, range });
      const scale = grid.scale[0];
      const loss = (s: number) => {
        const restored = fakeQuantize(values, { bits: 3, range: [-3 * s, 3 * s] });
        return restored.reduce((sum, v, i) => sum + (v - values[i]) ** 2, 0);
      };
      const restored = fakeQuantize(values, { bits: 3, range });
      const upstream = restored.map((v, i) => 2 * (v - values[i]));
      const gradient = scaleGradient(upstream, values, {
        bits: 3,
        scheme: "symmetric",
        signed: true,
        scale,
        zeroPoint: 0,
      });
      assert.ok(loss(scale - 0.02 * scale * Math.sign(gradient)) < loss(scale), `${range}: ${gradient}`);
    }
    // By hand: scale 1, 3 bits: 0.3 gives −0.3, 9 saturates at 3, −9 at −3.
    const grid = { bits: 3, scheme: "symmetric", signed: true, scale: 1, zeroPoint: 0 } as const;
    const total = scaleGradient(new Float32Array([1, 10, 100]), new Float32Array([0.25, 9, -9]), grid);
    assert.equal(total, -0.25 + 30 - 300);
  });
});
