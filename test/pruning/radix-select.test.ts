import assert from "node:assert/strict";
import { masksByBracket } from "../../lib/pruning/bracket-select.ts";
import { globalSparsity, sparsityOf } from "../../lib/pruning/index.ts";
import { cutAt, masksAt, type Ranked, scoreOf } from "../../lib/pruning/radix-select.ts";
import { normal, seeded } from "../../lib/util/random.ts";

/** Three lists of uneven lengths, the third's not a multiple of four. */
function listsOf(draw: () => number, total = 70_001): Ranked[] {
  const lengths = [Math.floor(total / 3), 5, 0, total - Math.floor(total / 3) - 5];
  return lengths.map((length, i) => ({ name: `list${i}`, values: Float32Array.from({ length }, draw) }));
}

describe("ranking without sorting", () => {
  const random = seeded(13);
  const kinds: Record<string, () => number> = {
    normal: () => normal(random),
    "a little of everything": () =>
      [0, -0, normal(random), 2 ** normal(random), -1, 1e-42][(random() * 6) | 0],
    "all over the exponents": () => (random() - 0.5) * 2 ** Math.floor(random() * 250 - 140),
    "one octave": () => -1 - random(),
  };
  for (const [kind, draw] of Object.entries(kinds)) {
    it(`finds the k-th smallest as sorting does, and the same in one bracketed pass: ${kind}`, () => {
      const lists = listsOf(draw);
      const total = 70_001;
      for (const absolute of [false, true]) {
        const sorted = Float32Array.from(lists.flatMap(({ values }) => Array.from(values)));
        if (absolute) for (let i = 0; i < sorted.length; i++) sorted[i] = Math.abs(sorted[i]);
        sorted.sort();
        let brackets = 0;
        for (const count of [1, 2, 700, 35_000, 63_001, 69_999, total]) {
          const cut = cutAt(lists, count, absolute);
          const expected = sorted[count - 1];
          // For ===, −0 is 0.
          assert.ok(scoreOf(cut.key) === expected, `${scoreOf(cut.key)} for ${expected}`);
          const masks = masksAt(lists, cut, absolute);
          assert.equal(Math.round(sparsityOf(Object.fromEntries(masks.entries())) * total), count);
          const bracketed = masksByBracket(lists, count, absolute);
          if (bracketed) {
            brackets++;
            for (const [i, mask] of bracketed.entries()) assert.deepEqual(mask, masks[i]);
          }
        }
        // Where a sixth is 0 and another −1, a bracket may hold more than it pays to collect.
        assert.ok(brackets >= (kind === "a little of everything" ? 3 : 7), `${brackets} of 7`);
      }
    });
  }

  it("leaves to counting what a bracket does not pay for: few, equal, or some that take no part", () => {
    const many = listsOf(() => 0.5);
    assert.equal(masksByBracket(many, 30_000, false), undefined);
    assert.equal(masksByBracket(many, 0, false), undefined);
    assert.equal(masksByBracket(listsOf(random, 1000), 500, false), undefined);
    const taking = listsOf(random).map((list) => ({
      ...list,
      taking: new Uint8Array(list.values.length).fill(1),
    }));
    assert.equal(masksByBracket(taking, 30_000, false), undefined);
    const scores = Object.fromEntries(many.map(({ name, values }) => [name, values]));
    assert.equal(sparsityOf(globalSparsity(scores, 0.3)), Math.round(0.3 * 70_001) / 70_001);
  });

  it("finds NaN and Infinity wherever they are", () => {
    for (const bad of [Number.NaN, Infinity, -Infinity]) {
      for (const place of [0, 16_383, 40_000, 46_661]) {
        const lists = listsOf(random);
        const last = lists[3];
        last.values[place] = bad;
        assert.ok(place < last.values.length);
        const message = new RegExp(`list3 must be finite, got ${bad} at index ${place}`);
        assert.throws(() => masksByBracket(lists, 7000, true), message);
        assert.throws(() => cutAt(lists, 7000, true), message);
      }
    }
  });
});
