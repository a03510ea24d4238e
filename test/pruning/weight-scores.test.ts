import assert from "node:assert/strict";
import {
  expectedBits,
  gradientTimesWeight,
  magnitude,
  obdSaliency,
  randomScores,
  scorePerBit,
} from "../../lib/pruning/index.ts";

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

  it("bits by row and column density: worked by hand, and near the entropy where densities differ by both", () => {
    // Row 0 keeps 2 of 2, row 1 keeps 1, row 2 none; column 0 keeps 2, column 1 keeps 1; 3 in all.
    const bits = expectedBits(Uint8Array.of(1, 1, 1, 0, 0, 0), 2, 3);
    const by = (row: number, col: number) => 3 - Math.log2(Math.min(0.98, ((row + 0.5) * (col + 0.5)) / 3.5));
    const expected = [by(2, 2), by(2, 1), by(1, 2), by(1, 1), by(0, 2), by(0, 1)];
    for (const [i, found] of bits.entries())
      assert.ok(Math.abs(found - expected[i]) < 1e-6, `${found} bits at ${i}, not ${expected[i]}`);
    assert.ok(
      bits[4] > bits[2] && bits[5] > bits[4] && bits[2] >= bits[0],
      "the emptier the row, the dearer",
    );
    assert.deepEqual(scorePerBit(f32(6, 1), f32(3, 4)), f32(2, 0.25));
    assert.throws(() => expectedBits(new Uint8Array(5), 2), /mask must have a multiple of channels = 2/);
    assert.throws(() => scorePerBit(f32(1), f32(0)), /bits must be above 0, got 0 at index 0/);
    assert.throws(() => scorePerBit(f32(1), f32(1, 2)), /bits must have 1 elements, got 2/);
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
