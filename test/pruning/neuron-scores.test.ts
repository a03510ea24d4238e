import assert from "node:assert/strict";
import {
  activeShare,
  duplicateNeurons,
  foldMerges,
  meanAbsoluteGradient,
  mergeMask,
  outputNorm,
} from "../../lib/pruning/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import { assertClose, f32, structured, u8 } from "./structured.ts";

const { neurons } = structured;
const outputs = Float32Array.from(neurons.outputs);

describe("§3.1.3 neuron pruning", () => {
  it("scores by outputs and gradients as NumPy does", () => {
    assertClose(outputNorm(outputs, 8), neurons.outputNorm);
    assertClose(meanAbsoluteGradient(outputs, 8), neurons.meanAbsolute);
    assertClose(
      activeShare(outputs, 8),
      neurons.apoz.map((zeros) => 1 - zeros),
    );
  });

  it("takes no examples, one, and dead neurons", () => {
    for (const score of [outputNorm, meanAbsoluteGradient, activeShare]) {
      assert.deepEqual(score(f32(), 2), f32(0, 0));
      assert.deepEqual(score(f32(1), 1), f32(1));
      assert.deepEqual(score(f32(0, 0, 0, 0), 2), f32(0, 0));
    }
  });

  it("refuses NaN, Infinity and shapes that do not fit", () => {
    for (const score of [outputNorm, meanAbsoluteGradient, activeShare, duplicateNeurons]) {
      assert.throws(() => score(f32(1, Number.NaN), 2), /must be finite, got NaN at index 1/);
      assert.throws(() => score(f32(Infinity), 1), /must be finite, got Infinity at index 0/);
      assert.throws(() => score(f32(1, 2, 3), 2), /must have a multiple of channels = 2 elements, got 3/);
    }
  });
});

describe("§3.1.3 merging of near-duplicate neurons", () => {
  it("finds those that are made of others, with the scale, offset and error of NumPy's least squares", () => {
    const merges = duplicateNeurons(outputs, 8, 0.01);
    const pairs = merges.map(({ neuron, into }) => [neuron, into]);
    assert.deepEqual(pairs, [
      [6, undefined],
      [3, 1],
      [7, 0],
    ]);
    assertClose([merges[0].offset], [0.5]);
    for (const { neuron, into, scale, offset, error } of merges.slice(1)) {
      const fit = neurons.fits[`${neuron} by ${into}`];
      assertClose([scale, offset], [fit.scale, fit.offset], 1e-5);
      assert.ok(Math.abs(error - fit.error) < 1e-9);
    }
    assert.deepEqual(mergeMask(merges, 8), u8(1, 1, 1, 0, 1, 1, 0, 0));
    assert.equal(duplicateNeurons(outputs, 8, neurons.fits["7 by 0"].error / 2).length, 2);
  });

  it("leaves the next layer's input as it was, through dense layers and flattened channels", () => {
    const random = seeded(6);
    for (const positions of [1, 4]) {
      const [examples, count, width] = [9, 8, 3];
      // Each position of each example is one row of channel outputs: 60 rows hold 60/positions such examples.
      const weights = Float32Array.from({ length: positions * count * width }, () => normal(random));
      const bias = Float32Array.from({ length: width }, () => normal(random));
      const exact = duplicateNeurons(outputs, 8, 1e-9);
      assert.equal(exact.length, 2);
      const folded = foldMerges(exact, { weights, bias }, count);
      const forward = (next: { weights: Float32Array; bias: Float32Array }, e: number) =>
        Array.from(next.bias, (b, o) => {
          let sum = b;
          for (let i = 0; i < positions * count; i++) {
            sum += outputs[e * positions * count + i] * next.weights[i * width + o];
          }
          return sum;
        });
      for (let e = 0; e < examples; e++) {
        const [before, after] = [forward({ weights, bias }, e), forward(folded, e)];
        for (let o = 0; o < width; o++) assert.ok(Math.abs(before[o] - after[o]) < 1e-4);
      }
      const mask = mergeMask(exact, count);
      const isGone = (i: number) => mask[Math.floor(i / width) % count] === 0;
      assert.ok(folded.weights.every((w, i) => !isGone(i) || w === 0));
    }
  });

  it("never merges the one that stands in, whatever the tolerance", () => {
    const random = seeded(9);
    const count = 12;
    const shared = Float32Array.from({ length: 30 }, () => normal(random));
    const near = Float32Array.from(
      { length: 30 * count },
      (_, i) => shared[Math.floor(i / count)] * ((i % count) + 1) + 0.3 * normal(random),
    );
    const merges = duplicateNeurons(near, count, 1);
    const gone = new Set(merges.map(({ neuron }) => neuron));
    assert.equal(gone.size, merges.length);
    assert.ok(merges.length > 0);
    for (const { into } of merges) assert.ok(!gone.has(into as number));
  });

  it("takes no examples, one neuron, and all equal", () => {
    assert.deepEqual(duplicateNeurons(f32(), 3), []);
    assert.deepEqual(duplicateNeurons(f32(1, 2, 4), 1), []);
    assert.deepEqual(duplicateNeurons(f32(0, 0, 0, 0), 2), [
      { neuron: 0, into: undefined, scale: 0, offset: 0, error: 0 },
      { neuron: 1, into: undefined, scale: 0, offset: 0, error: 0 },
    ]);
    const next = { weights: f32(1, 2), bias: f32(0) };
    assert.deepEqual(foldMerges([], next, 2), next);
    assert.deepEqual(foldMerges([], { weights: f32(), bias: f32() }, 2), { weights: f32(), bias: f32() });
  });

  it("refuses tolerances outside [0, 1] and next layers that do not fit", () => {
    assert.throws(() => duplicateNeurons(f32(1), 1, 1.5), /tolerance must be a number from 0 to 1, got 1.5/);
    assert.throws(
      () => foldMerges([], { weights: f32(1, 2, 3), bias: f32(0) }, 2),
      /weights must have a multiple of channels = 2 elements, got 3/,
    );
    assert.throws(
      () => foldMerges([], { weights: f32(1, Number.NaN), bias: f32(0) }, 2),
      /weights must be finite, got NaN/,
    );
    assert.throws(
      () => foldMerges([], { weights: f32(1, 2), bias: f32(Infinity) }, 2),
      /bias must be finite, got Infinity/,
    );
  });
});
