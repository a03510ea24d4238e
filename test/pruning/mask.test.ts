import assert from "node:assert/strict";
import { applyMask, applyMasks, combineMasks, sparsityByLayer, sparsityOf } from "../../lib/pruning/index.ts";
import { seeded } from "../../lib/util/random.ts";

const f32 = (...numbers: number[]) => Float32Array.from(numbers);
const u8 = (...numbers: number[]) => Uint8Array.from(numbers);

describe("§3.1.1 masks", () => {
  it("set pruned weights to 0 and leave the others bit for bit", () => {
    const weights = f32(0.1, -2, 3, -0);
    assert.deepEqual(applyMask(weights, u8(1, 0, 0, 1)), f32(0.1, 0, 0, -0));
    assert.deepEqual(weights, f32(0.1, -2, 3, -0));
    assert.equal(applyMask(weights, u8(0, 0, 1, 1), weights), weights);
    assert.deepEqual(weights, f32(0, 0, 3, -0));
    assert.deepEqual(applyMasks({ a: f32(1, 2), b: f32(3) }, { a: u8(0, 1) }), { a: f32(0, 2), b: f32(3) });
  });

  it("measure sparsity, of a mask, of weights, of all layers", () => {
    assert.equal(sparsityOf(u8(1, 0, 0, 1)), 0.5);
    assert.equal(sparsityOf(f32(1, 0, -0, 0)), 0.75);
    assert.equal(sparsityOf({ a: u8(0), b: u8(1, 1, 1) }), 0.25);
    assert.deepEqual(sparsityByLayer({ a: u8(0), b: u8(1, 1, 1), c: f32() }), { a: 1, b: 0, c: 0 });
    assert.equal(sparsityOf([1, 0, 0, 1]), 0.5);
    assert.equal(sparsityOf({ a: [0, 1], b: Float64Array.of(0, 0) }), 0.75);
    assert.equal(sparsityOf(f32()), 0);
    assert.equal(sparsityOf({}), 0);
  });

  it("combine without ever un-pruning", () => {
    const random = seeded(3);
    for (let round = 0; round < 20; round++) {
      const draw = () => Uint8Array.from({ length: 30 }, () => Number(random() < 0.5));
      const [first, second] = [
        { a: draw(), b: draw() },
        { a: draw(), c: draw() },
      ];
      const both = combineMasks(first, second);
      assert.deepEqual(
        both.a,
        first.a.map((m, i) => Math.min(m, second.a[i])),
      );
      assert.deepEqual([both.b, both.c], [first.b, second.c]);
    }
  });

  it("refuse the wrong shape, unknown layers, NaN and Infinity", () => {
    assert.throws(() => applyMask(f32(1, 2), u8(1)), /mask must have 2 elements, got 1/);
    assert.throws(() => applyMask(f32(1), u8(1), f32()), /out must have 1 elements, got 0/);
    assert.throws(() => applyMasks({ a: f32(1, 2) }, { a: u8(1) }), /masks.a must have 2 elements, got 1/);
    assert.throws(
      () => applyMasks({ a: f32(1) }, { z: u8(1) }),
      /masks name a layer "z" that is not there; there are a/,
    );
    assert.throws(() => combineMasks({ a: u8(1) }, { a: u8(1, 1) }), /mask of a must have 1 elements, got 2/);
    assert.throws(
      () => applyMask(f32(1, Number.NaN), u8(1, 0)),
      /weights must be finite, got NaN at index 1/,
    );
    assert.throws(() => applyMask(f32(Infinity), u8(1)), /weights must be finite, got Infinity at index 0/);
  });
});
