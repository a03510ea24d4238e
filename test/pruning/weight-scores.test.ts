import assert from "node:assert/strict";
import { gradientTimesWeight, magnitude, obdSaliency, randomScores } from "../../lib/pruning/index.ts";

const f32 = (...numbers: number[]) => Float32Array.from(numbers);

describe("§3.1.1 importance of weights", () => {
  it("scores by magnitude, gradient × weight and second order as worked by hand", () => {
    const weights = f32(0.5, -2, 0, 4);
    assert.deepEqual(magnitude(weights), f32(0.5, 2, 0, 4));
    assert.deepEqual(gradientTimesWeight(weights, f32(3, 0.25, 9, -1)), f32(1.5, 0.5, 0, 4));
    assert.deepEqual(obdSaliency(weights, f32(8, 0.5, 7, 0.25)), f32(1, 1, 0, 2));
  });

  it("estimates what a loss really does when a weight goes: exactly, where the loss is what the score assumes", () => {
    // Linear loss L = Σ g·w: removing w_i changes it by g·w. Quadratic about a minimum: by ½·h·w².
    const weights = f32(0.75, -1.25, 3);
    const slopes = f32(2, -0.5, 0.125);
    const curves = f32(0.5, 2, 0.25);
    const linear = (w: Float32Array) => w.reduce((sum, x, i) => sum + slopes[i] * x, 0);
    const quadratic = (w: Float32Array) =>
      w.reduce((s, x, i) => s + 0.5 * curves[i] * (x - weights[i]) ** 2, 0);
    for (let i = 0; i < weights.length; i++) {
      const without = Float32Array.from(weights);
      without[i] = 0;
      assert.equal(gradientTimesWeight(weights, slopes)[i], Math.abs(linear(without) - linear(weights)));
      assert.equal(obdSaliency(weights, curves)[i], quadratic(without) - quadratic(weights));
    }
  });

  it("draws random scores as a control: uniform, by layer, the same for the same seed", () => {
    const like = { a: new Float32Array(20_000), b: new Uint8Array(3), c: [] };
    const scores = randomScores(like, 5);
    assert.deepEqual(
      Object.entries(scores).map(([layer, s]) => [layer, s.length]),
      [
        ["a", 20_000],
        ["b", 3],
        ["c", 0],
      ],
    );
    assert.deepEqual(randomScores(like, 5), scores);
    assert.notDeepEqual(randomScores(like, 6), scores);
    // Mean 1/2 and variance 1/12, within five standard errors.
    const mean = scores.a.reduce((sum, s) => sum + s, 0) / 20_000;
    const variance = scores.a.reduce((sum, s) => sum + (s - mean) ** 2, 0) / 20_000;
    assert.ok(Math.abs(mean - 0.5) < 0.011, `mean ${mean}`);
    assert.ok(Math.abs(variance - 1 / 12) < 0.003, `variance ${variance}`);
    assert.ok(scores.a.every((s) => s >= 0 && s <= 1));
  });

  it("leaves its arguments alone and takes empty layers", () => {
    const weights = f32(-1, 2);
    magnitude(weights);
    assert.deepEqual(weights, f32(-1, 2));
    assert.deepEqual(magnitude(f32()), f32());
    assert.deepEqual(gradientTimesWeight(f32(), f32()), f32());
    assert.deepEqual(obdSaliency(f32(), f32()), f32());
  });

  it("refuses NaN, Infinity and arrays that do not fit", () => {
    assert.throws(() => magnitude(f32(1, Number.NaN)), /weights must be finite, got NaN at index 1/);
    assert.throws(
      () => gradientTimesWeight(f32(1), f32(Infinity)),
      /gradients must be finite, got Infinity at index 0/,
    );
    assert.throws(
      () => obdSaliency(f32(1), f32(-Infinity)),
      /hessianDiagonal must be finite, got -Infinity at index 0/,
    );
    assert.throws(() => gradientTimesWeight(f32(1, 2), f32(1)), /gradients must have 2 elements, got 1/);
    assert.throws(() => obdSaliency(f32(1), f32(1, 2)), /hessianDiagonal must have 1 elements, got 2/);
  });
});
