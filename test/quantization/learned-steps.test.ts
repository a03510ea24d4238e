// §3.2.1 Learned step sizes: levels without 0, gradients by hand and by finite differences.
import assert from "node:assert/strict";
import {
  bestStep,
  dequantize,
  quantizeToSteps,
  roundToSteps,
  stepGradientScale,
} from "../../lib/quantization/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";

describe("3.2.1 learned step sizes", () => {
  it("rounds to ±1 … ±most steps: never to 0, pruned weights aside (worked by hand)", () => {
    const weights = Float32Array.of(0.01, -0.2, 0.74, 0.76, 5, -5, 0.3);
    const { values, passes, slopes } = roundToSteps(weights, 0.5, 3, Uint8Array.of(1, 1, 1, 1, 1, 1, 0));
    assert.deepEqual([...values], [0.5, -0.5, 0.5, 1, 1.5, -1.5, 0]);
    assert.deepEqual([...passes], [1, 1, 1, 1, 0, 0, 0]);
    // Between levels the level less w/step; below half a step and beyond the last level the level itself.
    const expected = [1, -1, 1 - 1.48, 2 - 1.52, 3, -3, 0];
    for (const [i, slope] of slopes.entries())
      assert.ok(Math.abs(slope - expected[i]) < 1e-6, `slope ${i} is ${slope}, not ${expected[i]}`);
  });

  it("slopes beyond the levels are the derivative itself: finite differences", () => {
    const weights = Float32Array.of(9, -7, 0.01);
    const h = 1e-3;
    const [low, high] = [0.5 - h, 0.5 + h].map((step) => roundToSteps(weights, step, 3).values);
    const { slopes } = roundToSteps(weights, 0.5, 3);
    for (const [i, slope] of slopes.entries()) {
      const difference = (high[i] - low[i]) / (2 * h);
      assert.ok(Math.abs(difference - slope) < 1e-3, `${difference} and ${slope} at ${i}`);
    }
    assert.equal(stepGradientScale(25, 4), 0.1);
  });

  it("begins at the step of least squared error, found by trying more steps than it does", () => {
    const random = seeded(4);
    const weights = Float32Array.from({ length: 2000 }, () => normal(random));
    const mask = Uint8Array.from(weights, (w) => Number(Math.abs(w) > 0.5));
    const errorAt = (step: number) => {
      const { values } = roundToSteps(weights, step, 4, mask);
      return weights.reduce((sum, w, i) => sum + (mask[i] ? (w - values[i]) ** 2 : 0), 0);
    };
    const least = Math.min(...Array.from({ length: 2000 }, (_, i) => errorAt((i + 1) / 1000)));
    const found = errorAt(bestStep(weights, 4, mask));
    assert.ok(found < 1.02 * least, `${found}, the least is ${least}`);
    assert.equal(bestStep(new Float32Array(3), 4), 1, "nothing but zeros: any step will do");
  });

  it("codes say what the levels are, 0 for pruned weights alone", () => {
    const random = seeded(5);
    const weights = Float32Array.from({ length: 60 }, () => normal(random));
    const mask = Uint8Array.from(weights, (_, i) => i % 3 && 1);
    for (const most of [1, 3, 4, 7, 127]) {
      const step = bestStep(weights, most, mask);
      const quantized = quantizeToSteps(weights, step, most, [6, 10], mask);
      const { values } = roundToSteps(weights, quantized.scale[0], most, mask);
      assert.deepEqual(dequantize(quantized), values, `most ${most}`);
      quantized.codes.forEach((code, i) => {
        assert.equal(code === 0, mask[i] === 0, `code ${code} at ${i}`);
      });
    }
  });

  it("refuses what makes no sense", () => {
    const w = Float32Array.of(1);
    assert.throws(() => roundToSteps(w, 0, 4), /step must be a number of at least/);
    assert.throws(() => roundToSteps(w, 1, 128), /most must be a whole number from 1 to 127, got 128/);
    assert.throws(() => roundToSteps(w, 1, 4, new Uint8Array(2)), /mask must have 1 elements, got 2/);
    assert.throws(() => bestStep(Float32Array.of(Number.NaN), 4), /weights must be finite/);
  });
});
