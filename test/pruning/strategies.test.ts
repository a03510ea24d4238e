import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  globalSparsity,
  globalThreshold,
  keepAtLeast,
  layerSparsity,
  layerThreshold,
  type Masks,
  magnitude,
  qualityThresholds,
  type Scores,
  type Strategy,
  select,
  sparsityByLayer,
  sparsityOf,
  thresholdAt,
} from "../../lib/pruning/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const f32 = (...numbers: number[]) => Float32Array.from(numbers);
const u8 = (...numbers: number[]) => Uint8Array.from(numbers);
const mapValues = <A, B>(record: Record<string, A>, f: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, f(value)]));

type Lists = Record<string, number[]>;
const fixture = JSON.parse(
  readFileSync(join(packageRoot, "test/pruning/fixtures/selection.json"), "utf8"),
) as {
  weights: Lists;
  std: Record<string, number>;
  torchGlobal: { amount: number; masks: Lists }[];
  torchLayer: { amounts: Record<string, number>; masks: Lists };
  torchTwice: { first: number; second: number; masks: Lists };
  numpyGlobal: { sparsity: number; limit: number; masks: Lists };
};
const weights = mapValues(fixture.weights, (w) => Float32Array.from(w));
const scores = mapValues(weights, magnitude);
const plain = (masks: Masks) => mapValues(masks, (mask) => Array.from(mask));

/** The reference: sort all scores, stable, and prune the first round(sparsity · n). */
function bySorting(given: Scores, sparsity: number): Masks {
  const all = Object.entries(given).flatMap(([layer, s]) =>
    Array.from(s, (score, i) => ({ layer, i, score })),
  );
  all.sort((a, b) => a.score - b.score);
  const masks = mapValues(given, (s) => new Uint8Array(s.length).fill(1));
  for (const { layer, i } of all.slice(0, Math.round(sparsity * all.length))) masks[layer][i] = 0;
  return masks;
}

describe("§3.1.1 selection of weights", () => {
  it("prunes over all layers what torch.nn.utils.prune.global_unstructured prunes", () => {
    for (const { amount, masks } of fixture.torchGlobal) {
      assert.deepEqual(plain(globalSparsity(scores, amount)), masks);
      assert.deepEqual(plain(globalSparsity(weights, amount, { absolute: true })), masks);
    }
  });

  it("prunes layer by layer what torch.nn.utils.prune.l1_unstructured prunes", () => {
    const { amounts, masks } = fixture.torchLayer;
    assert.deepEqual(plain(layerSparsity(scores, amounts)), masks);
    assert.deepEqual(plain(layerSparsity(weights, amounts, { absolute: true })), masks);
  });

  it("prunes again what torch prunes again", () => {
    const { first, second, masks } = fixture.torchTwice;
    const previous = globalSparsity(scores, first);
    // torch counts the second amount in what is left, slimlab the sparsity in all.
    const total = Math.round(first * 250) + Math.round(second * (250 - Math.round(first * 250)));
    assert.deepEqual(plain(globalSparsity(scores, total / 250, { previous })), masks);
  });

  it("cuts where NumPy's partition puts the k-th smallest", () => {
    const { sparsity, limit, masks } = fixture.numpyGlobal;
    assert.equal(thresholdAt(scores, sparsity), limit);
    assert.equal(thresholdAt(weights, sparsity, { absolute: true }), limit);
    assert.deepEqual(plain(globalSparsity(scores, sparsity)), masks);
    const above = globalThreshold(scores, limit);
    const pruned = (m: Masks) => Math.round(sparsityOf(m) * 250);
    assert.equal(
      pruned(above),
      pruned(globalSparsity(scores, sparsity)) - 1,
      "equal to the threshold is kept",
    );
  });

  it("takes thresholds as quality × standard deviation, layer by layer", () => {
    const thresholds = qualityThresholds(weights, 1.5);
    for (const [layer, std] of Object.entries(fixture.std)) {
      assert.ok(Math.abs(thresholds[layer] - 1.5 * std) < 1e-12 * std + 1e-12);
    }
    const masks = layerThreshold(scores, thresholds);
    for (const [layer, mask] of Object.entries(masks)) {
      assert.deepEqual(
        mask,
        Uint8Array.from(scores[layer], (s) => Number(s >= thresholds[layer])),
      );
    }
    assert.deepEqual(masks, layerThreshold(weights, thresholds, { absolute: true }));
    assert.throws(
      () => qualityThresholds({ a: f32(1, Infinity) }, 1),
      /weights.a must be finite, got Infinity at index 1/,
    );
    assert.throws(() => qualityThresholds(weights, -1), /quality must be a number of at least 0, got -1/);
  });

  it("equals a selection by sorting, for all kinds of numbers, with an exact count", () => {
    const random = seeded(7);
    const kinds: Record<string, () => number> = {
      "normal, both signs": () => normal(random),
      "few distinct": () => Math.floor(random() * 5) - 2,
      "all over the exponents": () => normal(random) * 2 ** Math.floor(random() * 250 - 140),
      "zeros of both signs": () => [0, -0, 1e-45, -1e-45][Math.floor(random() * 4)],
      "one octave": () => 1 + random(),
    };
    for (const [kind, draw] of Object.entries(kinds)) {
      for (let round = 0; round < 20; round++) {
        const given: Scores = {};
        for (let layer = 0; layer < 3; layer++) {
          given[`layer${layer}`] = Float32Array.from({ length: Math.floor(random() * 60) }, draw);
        }
        const sparsity = [0, 1, random(), random()][round % 4];
        const masks = globalSparsity(given, sparsity);
        assert.deepEqual(masks, bySorting(given, sparsity), `${kind}, ${sparsity}`);
        const absolute = globalSparsity(given, sparsity, { absolute: true });
        assert.deepEqual(absolute, bySorting(mapValues(given, magnitude), sparsity), `${kind}, ${sparsity}`);
        const byLayer = layerSparsity(given, sparsity);
        for (const layer of Object.keys(given)) {
          assert.deepEqual(byLayer[layer], bySorting({ [layer]: given[layer] }, sparsity)[layer]);
        }
      }
    }
  });

  it("never un-prunes what previous masks prune, and counts it", () => {
    const random = seeded(11);
    for (let round = 0; round < 40; round++) {
      const given = {
        a: Float32Array.from({ length: 37 }, () => Math.round(normal(random) * 4)),
        b: Float32Array.from({ length: 13 }, () => normal(random)),
      };
      const previous = mapValues(given, (s) => Uint8Array.from(s, () => Number(random() < 0.6)));
      const before = sparsityOf(previous);
      const sparsity = random();
      for (const strategy of [
        { strategy: "globalSparsity", sparsity: sparsity },
        { strategy: "globalThreshold", threshold: 0.5 },
        { strategy: "layerThreshold", threshold: { a: 1, b: -1 } },
        { strategy: "layerSparsity", sparsity: { a: sparsity, b: 0.5 } },
      ] as Strategy[]) {
        const masks = select(given, strategy, { previous });
        for (const layer of ["a", "b"] as const) {
          assert.ok(masks[layer].every((kept, i) => kept <= previous[layer][i]));
        }
        if (strategy.strategy === "globalSparsity") {
          assert.equal(sparsityOf(masks), Math.max(before, Math.round(sparsity * 50) / 50));
        }
      }
    }
  });

  it("ignores what a pruned weight's score has become", () => {
    const masks = globalSparsity({ a: f32(9, 1, 2, 3) }, 0.5, { previous: { a: u8(0, 1, 1, 1) } });
    assert.deepEqual(masks.a, u8(0, 0, 1, 1));
    const kept = layerThreshold({ a: f32(9, 1) }, 5, { previous: { a: u8(0, 1) } });
    assert.deepEqual(kept.a, u8(0, 0));
  });

  it("breaks ties by layer, then index", () => {
    const same = { a: f32(1, 1, 1), b: f32(1, 1) };
    assert.deepEqual(globalSparsity(same, 0.8), { a: u8(0, 0, 0), b: u8(0, 1) });
    assert.deepEqual(layerSparsity(same, 0.5), { a: u8(0, 0, 1), b: u8(0, 1) });
    assert.deepEqual(globalSparsity({ a: f32(0, -0, 0, -0) }, 0.5).a, u8(0, 0, 1, 1));
  });

  it("takes empty layers, one element, all equal, all zero, and a layer pruned away entirely", () => {
    assert.deepEqual(globalSparsity({}, 0.5), {});
    assert.deepEqual(globalSparsity({ a: f32() }, 1), { a: u8() });
    assert.deepEqual(layerSparsity({ a: f32(), b: f32(3) }, 1), { a: u8(), b: u8(0) });
    assert.deepEqual(layerThreshold({ a: f32(), b: f32(3) }, 3), { a: u8(), b: u8(1) });
    assert.deepEqual(globalSparsity({ a: f32(3) }, 0.49), { a: u8(1) });
    assert.deepEqual(globalSparsity({ a: f32(3) }, 0.5), { a: u8(0) });
    assert.deepEqual(globalSparsity({ a: f32(0, 0, 0, 0) }, 0.5), { a: u8(0, 0, 1, 1) });
    assert.deepEqual(globalThreshold({ a: f32(0, 0) }, 0), { a: u8(1, 1) });
    const masks = globalSparsity({ small: f32(0.1, 0.2), large: f32(5, 6, 7) }, 0.4);
    assert.deepEqual(sparsityByLayer(masks), { small: 1, large: 0 });
    assert.equal(thresholdAt({ a: f32(1, 2) }, 0), Number.NEGATIVE_INFINITY);
    assert.equal(thresholdAt({ a: f32(-3, 2) }, 0.5), -3);
  });

  it("gives a layer back its best scores when none would be left", () => {
    const given = { small: f32(0.1, 0.3, 0.2), large: f32(5, 6, 7), empty: f32() };
    const masks = globalSparsity(given, 0.5);
    assert.deepEqual(keepAtLeast(masks, given), { small: u8(0, 1, 0), large: u8(1, 1, 1), empty: u8() });
    assert.deepEqual(keepAtLeast(masks, given, 2).small, u8(0, 1, 1));
    assert.deepEqual(keepAtLeast(masks, given, 9).small, u8(1, 1, 1));
    const previous = { small: u8(1, 0, 1), large: u8(1, 1, 1), empty: u8() };
    assert.deepEqual(keepAtLeast(masks, given, 2, { previous }).small, u8(1, 0, 1));
    assert.deepEqual(keepAtLeast(masks, given, 3, { previous }).small, u8(1, 0, 1));
    assert.throws(() => keepAtLeast(masks, given, -1), /count must be a whole number of at least 0, got -1/);
    assert.deepEqual(masks.small, u8(0, 0, 0), "its argument stays as it was");
  });

  it("refuses NaN and Infinity among scores, naming layer and index", () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      const given = { a: f32(1, 2), b: f32(1, bad) };
      const message = new RegExp(`scores.b must be finite, got ${bad} at index 1`);
      assert.throws(() => globalSparsity(given, 0.5), message);
      assert.throws(() => globalSparsity(given, 0.5, { absolute: true }), message);
      assert.throws(() => globalThreshold(given, 0.5), message);
      assert.throws(() => layerThreshold(given, 0.5), message);
      assert.throws(() => layerSparsity(given, 0), message);
      assert.throws(() => thresholdAt(given, 0.5), message);
    }
    const largest = 3.4028234663852886e38;
    assert.deepEqual(globalSparsity({ a: f32(largest, -largest) }, 0.5), { a: u8(1, 0) });
  });

  it("refuses sparsities outside [0, 1], NaN thresholds, unknown layers and strategies", () => {
    for (const bad of [-0.01, 1.01, Number.NaN]) {
      assert.throws(
        () => globalSparsity(scores, bad),
        new RegExp(`sparsity must be a number from 0 to 1, got ${bad}`),
      );
      assert.throws(
        () => layerSparsity(scores, bad),
        new RegExp(`sparsity must be a number from 0 to 1, got ${bad}`),
      );
      assert.throws(
        () => layerSparsity(scores, { conv1: bad, dense1: 0, dense2: 0 }),
        /sparsity.conv1 must be a number/,
      );
    }
    assert.throws(() => globalThreshold(scores, Number.NaN), /threshold must be a number, got NaN/);
    assert.throws(() => layerThreshold(scores, { conv1: 1, dense1: 1 }), /threshold.dense2 must be a number/);
    assert.throws(
      () => layerSparsity(scores, { conv1: 0, dense1: 0, dense2: 0, dense3: 0 }),
      /sparsity names a layer "dense3" that is not there; there are conv1, dense1, dense2/,
    );
    assert.throws(
      () => select(scores, { strategy: "best" as "layerSparsity", sparsity: 0 }),
      /strategy must be one of "globalSparsity", "globalThreshold", "layerSparsity", "layerThreshold", got "best"/,
    );
  });

  it("refuses scores that are no Float32Array, whose bits it would misread", () => {
    for (const [given, shown] of [
      [[3, 1, 2], "Array"],
      [Float64Array.of(3, 1, 2), "Float64Array"],
    ] as const) {
      const scores = { a: given as unknown as Float32Array };
      const message = new RegExp(`scores.a must be a Float32Array, got ${shown}\\(3\\)`);
      assert.throws(() => globalSparsity(scores, 0.5), message);
      assert.throws(() => layerSparsity(scores, 0.5), message);
      assert.throws(() => layerThreshold(scores, 1), message);
      assert.throws(() => thresholdAt(scores, 0.5), message);
    }
  });

  it("refuses previous masks of the wrong shape", () => {
    const previous = { conv1: u8(1), dense1: new Uint8Array(120), dense2: new Uint8Array(30) };
    assert.throws(
      () => globalSparsity(scores, 0.5, { previous }),
      /previous.conv1 must have 100 elements, got 1/,
    );
    assert.throws(
      () => layerSparsity(scores, 0.5, { previous: {} }),
      /previous.conv1 must have 100 elements, got undefined/,
    );
    const loud = { ...previous, conv1: new Uint8Array(100).fill(255) };
    assert.throws(
      () => globalSparsity(scores, 0.5, { previous: loud }),
      /previous.conv1 must hold 0 and 1, got 255 at index 0/,
    );
  });
});
