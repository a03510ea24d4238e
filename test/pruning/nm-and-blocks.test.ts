import assert from "node:assert/strict";
import {
  type Blocks,
  blockMask,
  blockScores,
  layerSparsity,
  magnitude,
  nmMask,
  sparsityOf,
} from "../../lib/pruning/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import { f32, structured, u8 } from "./structured.ts";

describe("§3.1.1 N:M and block sparsity", () => {
  it("2:4 keeps what PyTorch's WeightNormSparsifier keeps", () => {
    const { weights, mask } = structured.twoFour;
    assert.deepEqual(Array.from(nmMask(magnitude(Float32Array.from(weights)), 5)), mask);
  });

  it("N:M keeps the N highest of every M along the input, as sorting each group does", () => {
    const random = seeded(24);
    for (let round = 0; round < 60; round++) {
      const [inputs, outputs] = [Math.floor(random() * 14), 1 + Math.floor(random() * 4)];
      const of = 1 + Math.floor(random() * 6);
      const keep = Math.floor(random() * (of + 1));
      const scores = Float32Array.from({ length: inputs * outputs }, () => Math.round(normal(random) * 2));
      const mask = nmMask(scores, outputs, keep, of);
      for (let o = 0; o < outputs; o++) {
        for (let start = 0; start < inputs; start += of) {
          const rows = Array.from({ length: Math.min(of, inputs - start) }, (_, i) => start + i);
          const best = rows
            .toSorted((a, b) => scores[b * outputs + o] - scores[a * outputs + o] || b - a)
            .slice(0, keep);
          for (const r of rows) assert.equal(mask[r * outputs + o], Number(best.includes(r)));
        }
      }
    }
  });

  it("N:M takes no weights, all equal, and N of 0 or M", () => {
    assert.deepEqual(nmMask(f32(), 3), u8());
    assert.deepEqual(nmMask(f32(5), 1), u8(1));
    assert.deepEqual(nmMask(f32(1, 1, 1, 1), 1), u8(0, 0, 1, 1));
    assert.deepEqual(nmMask(f32(1, 2, 3, 4), 2, 0, 2), u8(0, 0, 0, 0));
    assert.deepEqual(nmMask(f32(1, 2, 3, 4), 2, 2, 2), u8(1, 1, 1, 1));
  });

  it("N:M refuses what is not allowed", () => {
    assert.throws(() => nmMask(f32(1, 2), 1, 3, 2), /keep must be a whole number from 0 to 2, got 3/);
    assert.throws(() => nmMask(f32(1, 2), 1, 0, 0), /of must be a whole number of at least 1, got 0/);
    assert.throws(
      () => nmMask(f32(1, 2, 3), 2),
      /scores must have a multiple of channels = 2 elements, got 3/,
    );
    assert.throws(() => nmMask(f32(1, Number.NaN), 2), /scores must be finite, got NaN at index 1/);
    assert.throws(() => nmMask(f32(Infinity), 1), /scores must be finite, got Infinity at index 0/);
  });

  it("blocks score by their mean and go as one, smaller ones at the edge included", () => {
    const blocks: Blocks = { rows: 3, cols: 5, blockRows: 2, blockCols: 2 };
    // biome-ignore format: a matrix
    const scores = f32(
      1, 2,  3, 0,  7,
      3, 2,  0, 1,  9,

      5, 7,  2, 2,  4,
    );
    assert.deepEqual(blockScores(scores, blocks), f32(2, 1, 8, 6, 2, 4));
    // biome-ignore format: a matrix
    const expected = u8(
      0, 0,  0, 0,  1,
      0, 0,  0, 0,  1,

      1, 1,  0, 0,  1,
    );
    const { all } = layerSparsity({ all: blockScores(scores, blocks) }, 0.5);
    assert.deepEqual(blockMask(all, blocks), expected);
  });

  it("blocks of one weight are unstructured pruning, one block of all is all or nothing", () => {
    const random = seeded(8);
    const scores = Float32Array.from({ length: 24 }, () => normal(random) ** 2);
    const one: Blocks = { rows: 4, cols: 6, blockRows: 1, blockCols: 1 };
    assert.deepEqual(blockScores(scores, one), scores);
    assert.deepEqual(
      blockMask(layerSparsity({ w: scores }, 0.3).w, one),
      layerSparsity({ w: scores }, 0.3).w,
    );
    const whole: Blocks = { rows: 4, cols: 6, blockRows: 9, blockCols: 9 };
    assert.equal(sparsityOf(blockMask(u8(0), whole)), 1);
    assert.equal(blockScores(scores, whole).length, 1);
  });

  it("blocks take no weights and refuse what does not fit", () => {
    const blocks: Blocks = { rows: 2, cols: 2, blockRows: 1, blockCols: 2 };
    assert.deepEqual(blockScores(f32(), { ...blocks, rows: 0 }), f32());
    assert.deepEqual(blockScores(f32(), { ...blocks, cols: 0 }), f32());
    assert.deepEqual(blockMask(u8(), { ...blocks, rows: 0 }), u8());
    assert.throws(() => blockScores(f32(1, 2, 3), blocks), /scores must have 4 elements, got 3/);
    assert.throws(() => blockScores(f32(1, 2, 3, Number.NaN), blocks), /scores must be finite, got NaN/);
    assert.throws(() => blockMask(u8(1), blocks), /mask must have 2 elements, got 1/);
    assert.throws(
      () => blockMask(u8(1), { ...blocks, blockRows: 0 }),
      /blockRows must be a whole number of at least 1/,
    );
  });
});
