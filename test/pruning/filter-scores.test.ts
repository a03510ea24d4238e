import assert from "node:assert/strict";
import {
  applyMask,
  filterGradientNorm,
  filterMask,
  filterNorm,
  geometricMedian,
  layerSparsity,
  meanActivation,
  normalizeByLayer,
  taylorActivation,
  taylorWeight,
} from "../../lib/pruning/index.ts";
import { assertClose, f32, structured, u8 } from "./structured.ts";

const { filters } = structured;
const weights = Float32Array.from(filters.weights);
const gradients = Float32Array.from(filters.gradients);
const activations = Float32Array.from(filters.activations);
const activationGradients = Float32Array.from(filters.activationGradients);
const bad = f32(1, Number.NaN);

describe("§3.1.2 filter pruning", () => {
  it("prunes the filters that torch.nn.utils.prune.ln_structured prunes", () => {
    for (const { norm, amount, mask } of filters.lnStructured) {
      const { conv } = layerSparsity({ conv: filterNorm(weights, 7, norm) }, amount);
      assert.deepEqual(Array.from(filterMask(conv, 2 * 2 * 3)), mask);
    }
  });

  it("scores by weights, gradients and activations as PyTorch's autograd and NumPy do", () => {
    assertClose(filterNorm(weights, 7), filters.l1);
    assertClose(filterNorm(weights, 7, 2), filters.l2);
    assertClose(filterGradientNorm(gradients, 7), filters.gradientNorm);
    assertClose(meanActivation(activations, 7), filters.meanActivation);
    assertClose(taylorActivation(activations, activationGradients, 7, 4), filters.taylorActivation, 1e-4);
    assertClose(taylorWeight(weights, gradients, 7), filters.taylorWeight, 1e-4);
    assertClose(geometricMedian(weights, 7), filters.geometricMedian);
  });

  it("finds the filter that others can replace, not the smallest, by the geometric median", () => {
    // Filters as columns: two far apart, one in the middle of them, and one small but by itself.
    // biome-ignore format: a matrix
    const kernel = f32(
      4, 0, 2, 0.1,
      0, 4, 2, -1,
    );
    assert.deepEqual(layerSparsity({ k: geometricMedian(kernel, 4) }, 0.25).k, u8(1, 1, 0, 1));
    assert.deepEqual(layerSparsity({ k: filterNorm(kernel, 4, 2) }, 0.25).k, u8(1, 1, 1, 0));
  });

  it("makes layers comparable by their norm", () => {
    const scores = normalizeByLayer({ a: f32(3, 4), b: f32(300, 400), zero: f32(0, 0), none: f32() });
    assertClose(scores.a, [0.6, 0.8]);
    assertClose(scores.b, [0.6, 0.8]);
    assert.deepEqual(scores.zero, f32(0, 0));
    assert.deepEqual(scores.none, f32());
    assert.throws(() => normalizeByLayer({ a: bad }), /scores.a must be finite, got NaN at index 1/);
  });

  it("masks a filter's weights and bias", () => {
    assert.deepEqual(applyMask(f32(1, 2, 3, 4), filterMask(u8(0, 1), 2)), f32(0, 2, 0, 4));
    assert.deepEqual(filterMask(u8(0, 1), 1), u8(0, 1));
    assert.deepEqual(filterMask(u8(0, 1), 0), u8());
  });

  it("takes one filter, none of weight, all equal, and no examples", () => {
    for (const norm of [1, 2] as const) {
      assert.deepEqual(filterNorm(f32(-3), 1, norm), f32(3));
      assert.deepEqual(filterNorm(f32(), 3, norm), f32(0, 0, 0));
      assert.deepEqual(filterNorm(f32(0, 0, 0, 0), 2, norm), f32(0, 0));
    }
    assert.deepEqual(geometricMedian(f32(5, 5, 5), 3), f32(0, 0, 0));
    assert.deepEqual(geometricMedian(f32(7), 1), f32(0));
    assert.deepEqual(meanActivation(f32(), 2), f32(0, 0));
    assert.deepEqual(taylorActivation(f32(), f32(), 2, 0), f32(0, 0));
    assert.deepEqual(taylorWeight(f32(), f32(), 2), f32(0, 0));
  });

  it("refuses NaN, Infinity and shapes that do not fit", () => {
    assert.throws(() => filterNorm(bad, 2), /weights must be finite, got NaN at index 1/);
    assert.throws(
      () => filterNorm(f32(1, 2, 3), 2),
      /weights must have a multiple of channels = 2 elements, got 3/,
    );
    assert.throws(() => filterNorm(f32(1), 0), /channels must be a whole number of at least 1, got 0/);
    assert.throws(() => filterNorm(f32(1), 1, 3 as 1), /norm must be one of 1, 2, got 3/);
    assert.throws(
      () => filterGradientNorm(f32(Infinity), 1),
      /gradients must be finite, got Infinity at index 0/,
    );
    assert.throws(() => meanActivation(bad, 1), /activations must be finite, got NaN/);
    assert.throws(() => taylorWeight(f32(1, 2), bad, 2), /gradients must be finite, got NaN/);
    assert.throws(() => taylorWeight(f32(1, 2), f32(1), 2), /gradients must have 2 elements, got 1/);
    assert.throws(() => taylorActivation(f32(1, 2), bad, 2, 1), /gradients must be finite, got NaN/);
    assert.throws(() => taylorActivation(f32(1, 2), f32(1), 2, 1), /gradients must have 2 elements, got 1/);
    assert.throws(
      () => taylorActivation(f32(1, 2), f32(1, 2), 2, 3),
      /activations must have a multiple of channels = 6 elements, got 2/,
    );
    assert.throws(
      () => taylorActivation([1, 2] as unknown as Float32Array, f32(1, 2), 2, 1),
      /activations must be a Float32Array, got Array\(2\)/,
    );
    assert.throws(() => geometricMedian(bad, 2), /weights must be finite, got NaN/);
  });
});
