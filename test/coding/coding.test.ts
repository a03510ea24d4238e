import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  bestGapBits,
  type Coding,
  canonicalCodes,
  codedBits,
  codeLengths,
  codings,
  countSymbols,
  decodeSymbols,
  encodeSymbols,
  fromRelative,
  huffmanDecode,
  huffmanEncode,
  packageMerge,
  rangeDecode,
  rangeEncode,
  relativeEntries,
  toRelative,
} from "../../lib/coding/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const fixtures = JSON.parse(readFileSync(join(packageRoot, "test/coding/fixtures/coding.json"), "utf8")) as {
  huffman: { name: string; counts: number[]; bits: number; entropy: number }[];
  relative: { bits: number; length: number; positions: number[]; gaps: number[]; fillers: number }[];
};

/** Symbols of many kinds of source: flat, skewed, constant, with runs; and of many alphabets. */
function* sources(): Generator<{ symbols: Uint16Array; alphabet: number }> {
  const random = seeded(11);
  for (const alphabet of [1, 2, 3, 7, 16, 33, 256, 257, 5000, 65536]) {
    for (const length of [0, 1, 2, 100, 3001]) {
      const skew = 1 + 8 * random();
      yield {
        alphabet,
        symbols: Uint16Array.from({ length }, () => Math.floor(alphabet * random() ** skew)),
      };
      yield { alphabet, symbols: Uint16Array.from({ length }, () => Math.floor(alphabet * random())) };
      yield { alphabet, symbols: new Uint16Array(length).fill(alphabet - 1) };
      yield { alphabet, symbols: Uint16Array.from({ length }, (_, i) => (i >> 5) % alphabet) };
    }
  }
}

function entropyBits(counts: ArrayLike<number>): number {
  const total = Array.from(counts).reduce((a, b) => a + b, 0);
  return Array.from(counts).reduce((sum, c) => sum - (c > 0 ? c * Math.log2(c / total) : 0), 0);
}

describe("4 Huffman coding", () => {
  it("gives the textbook's code (Cormen et al., figure 16.3)", () => {
    const lengths = codeLengths([45, 13, 12, 16, 9, 5]);
    assert.deepEqual([...lengths], [1, 3, 3, 3, 4, 4]);
    assert.equal(codedBits([45, 13, 12, 16, 9, 5], lengths), 224);
    assert.deepEqual([...canonicalCodes(lengths)], [0b0, 0b100, 0b101, 0b110, 0b1110, 0b1111]);
    // 0 100 101 1110 is 01001011 110, filled up with zeros.
    const bytes = huffmanEncode([0, 1, 2, 4], lengths);
    assert.deepEqual([...bytes], [0b01001011, 0b11000000]);
    assert.deepEqual([...huffmanDecode(bytes, lengths, 4)], [0, 1, 2, 4]);
  });

  for (const { name, counts, bits, entropy } of fixtures.huffman) {
    it(`takes as many bits as a code made with Python's heapq: ${name}`, () => {
      const coded = codedBits(counts, codeLengths(counts));
      assert.equal(coded, bits);
      const total = counts.reduce((a, b) => a + b, 0);
      assert.ok(coded >= entropy - 1e-6 && coded <= entropy + total, "Shannon's bounds: H ≤ L ≤ H + 1");
    });
  }

  it("fills its tree: Kraft's sum is 1", () => {
    for (const { counts, name } of fixtures.huffman) {
      const sum = codeLengths(counts).reduce((s, length) => s + (length > 0 ? 2 ** -length : 0), 0);
      assert.equal(sum, name === "one" ? 0.5 : 1, name);
    }
  });

  it("gives symbols that never occur no code, and one symbol alone one bit", () => {
    assert.deepEqual([...codeLengths([0, 0, 0])], [0, 0, 0]);
    assert.deepEqual([...codeLengths([])], []);
    assert.deepEqual([...codeLengths([0, 5, 0])], [0, 1, 0]);
    assert.deepEqual(
      [...huffmanDecode(huffmanEncode([1, 1, 1], codeLengths([0, 3])), codeLengths([0, 3]), 3)],
      [1, 1, 1],
    );
  });

  it("keeps to a limit with the optimal lengths (brute force over all of them)", () => {
    const random = seeded(5);
    for (let trial = 0; trial < 60; trial++) {
      const n = 2 + Math.floor(random() * 5);
      const counts = Array.from({ length: n }, () => 1 + Math.floor(random() ** 6 * 10000));
      for (const limit of [3, 4]) {
        const lengths = codeLengths(counts, limit);
        assert.ok(Math.max(...lengths) <= limit);
        let best = Number.POSITIVE_INFINITY;
        for (let code = 0; code < limit ** n; code++) {
          const tried = counts.map((_, i) => 1 + (Math.floor(code / limit ** i) % limit));
          if (tried.reduce((sum, length) => sum + 2 ** -length, 0) <= 1)
            best = Math.min(best, codedBits(counts, tried));
        }
        assert.equal(codedBits(counts, lengths), best, `${counts} within ${limit}`);
      }
    }
  });

  it("keeps to 24 bits where Huffman's tree is deeper", () => {
    const counts = [1, 1];
    while (counts.length < 40) counts.push(counts.at(-1)! + counts.at(-2)!);
    const lengths = codeLengths(counts);
    assert.equal(Math.max(...lengths), 24);
    assert.equal(
      lengths.reduce((sum, length) => sum + 2 ** -length, 0),
      1,
    );
    const symbols = Uint8Array.from({ length: 400 }, (_, i) => i % 40);
    assert.deepEqual(huffmanDecode(huffmanEncode(symbols, lengths), lengths, 400), symbols);
  });

  it("is what package-merge gives without a binding limit", () => {
    assert.deepEqual([...packageMerge([5, 9, 12, 13, 16, 45], 10)].sort(), [1, 3, 3, 3, 4, 4]);
  });

  it("reads back what it wrote", () => {
    for (const { symbols, alphabet } of sources()) {
      const counts = countSymbols(symbols, alphabet);
      const lengths = codeLengths(counts);
      const bytes = huffmanEncode(symbols, lengths);
      assert.equal(bytes.length, Math.ceil(codedBits(counts, lengths) / 8));
      assert.deepEqual(Uint16Array.from(huffmanDecode(bytes, lengths, symbols.length)), symbols);
    }
  });

  it("refuses what is no code", () => {
    const lengths = codeLengths([45, 13, 12, 16, 9, 5]);
    const bytes = huffmanEncode([5, 4, 3, 2, 1, 0], lengths);
    assert.throws(
      () => huffmanDecode(bytes.subarray(0, 2), lengths, 6),
      /6 symbols take 3 bytes, there are 2/,
    );
    assert.throws(
      () => huffmanDecode(Uint8Array.from([...bytes, 0]), lengths, 6),
      /6 symbols take 3 bytes, there are 4/,
    );
    assert.throws(
      () => huffmanDecode(Uint8Array.of(0x80), codeLengths([1]), 1),
      /the bits of symbol 0 are no code word/,
    );
    assert.throws(
      () => huffmanDecode(Uint8Array.of(0), Uint8Array.of(1, 1, 1), 1),
      /there are too many of 1 bits/,
    );
    assert.throws(
      () => huffmanDecode(Uint8Array.of(0), Uint8Array.of(25), 1),
      /code length must be .* from 0 to 24, got 25/,
    );
    assert.throws(() => huffmanEncode([0, 1], Uint8Array.of(1, 0)), /symbol 1 at index 1 has no code/);
    assert.throws(() => codeLengths([1, -1]), /counts must be numbers of at least 0, got -1 at index 1/);
    assert.throws(() => codeLengths([1, Number.NaN]), /got NaN at index 1/);
    assert.throws(() => codeLengths([1, 1, 1], 1), /limit must be at least 2 for 3 symbols, got 1/);
    assert.throws(() => countSymbols([0, 3], 3), /symbols must be from 0 to 2, got 3 at index 1/);
    assert.throws(() => countSymbols([0, 0.5], 3), /symbols must be/);
  });
});

describe("4 Range coding", () => {
  it("reads back what it wrote", () => {
    for (const { symbols, alphabet } of sources()) {
      const bytes = rangeEncode(symbols, alphabet);
      assert.deepEqual(Uint16Array.from(rangeDecode(bytes, alphabet, symbols.length)), symbols);
    }
  });

  it("reads back sequences that carry through waiting bytes", () => {
    // The upper end of the range again and again, then a step that lifts it over: many seeds, short and long.
    for (let seed = 0; seed < 300; seed++) {
      const random = seeded(seed);
      const alphabet = 2 + Math.floor(random() * 6);
      const symbols = Uint8Array.from({ length: 200 }, () =>
        random() < 0.9 ? alphabet - 1 : Math.floor(random() * alphabet),
      );
      assert.deepEqual(rangeDecode(rangeEncode(symbols, alphabet), alphabet, 200), symbols);
    }
  });

  for (const [what, alphabet, draw] of [
    [
      "weights on an 8-bit grid",
      256,
      (random: () => number) => Math.min(255, Math.max(0, Math.round(128 + 20 * normal(random)))),
    ],
    [
      "cluster codes, 92 % pruned",
      16,
      (random: () => number) => (random() < 0.92 ? 0 : 1 + Math.floor(15 * random())),
    ],
    ["a mask, 99 % zeros", 2, (random: () => number) => (random() < 0.99 ? 0 : 1)],
    ["flat bytes", 256, (random: () => number) => Math.floor(256 * random())],
  ] as [string, number, (random: () => number) => number][]) {
    it(`stays within 1 % of the entropy: ${what}`, () => {
      const random = seeded(3);
      const symbols = Uint8Array.from({ length: 235_200 }, () => draw(random));
      const entropy = entropyBits(countSymbols(symbols, alphabet)) / 8;
      const { length } = rangeEncode(symbols, alphabet);
      assert.ok(length < entropy * 1.01 && length > entropy * 0.99, `${length} bytes, entropy ${entropy}`);
    });
  }

  it("takes next to nothing for what is certain", () => {
    assert.equal(rangeEncode(new Uint8Array(1_000_000), 1).length, 0);
    assert.ok(rangeEncode(new Uint8Array(1_000_000), 256).length < 300);
  });

  it("goes on where its counts are halved", function () {
    this.timeout(300_000);
    const random = seeded(8);
    const symbols = Uint8Array.from({ length: 8_500_000 }, () => (random() < 0.9 ? 0 : 1));
    const bytes = rangeEncode(symbols, 2);
    const entropy = entropyBits(countSymbols(symbols, 2)) / 8;
    assert.ok(bytes.length < entropy * 1.001, `${bytes.length} bytes, entropy ${entropy}`);
    assert.equal(Buffer.compare(rangeDecode(bytes, 2, symbols.length) as Uint8Array, symbols), 0);
  });

  it("refuses what cannot be", () => {
    assert.throws(() => rangeEncode([2], 2), /symbols must be from 0 to 1, got 2 at index 0/);
    assert.throws(() => rangeEncode([Number.NaN], 2), /got NaN/);
    assert.throws(() => rangeEncode([0, 0.5], 2), /got 0.5 at index 1/);
    assert.throws(() => rangeEncode([], 0), /alphabet must be a whole number from 1 to 65536, got 0/);
    const bytes = rangeEncode([1, 0, 1, 1, 0, 1, 0, 0, 1], 2);
    assert.throws(
      () => rangeDecode(Uint8Array.from([...bytes, ...new Uint8Array(8).fill(7)]), 2, 9),
      /bytes at most/,
    );
    assert.throws(
      () => rangeDecode(new Uint8Array(20).fill(255), 3, 50),
      /the bytes are no code of 50 symbols/,
    );
  });
});

describe("3.1.1 Relative index", () => {
  it("gives Deep Compression's figure 2: three weights, 3 bits a gap, one bridge", () => {
    const weights = new Float32Array(16);
    weights[1] = 3.4;
    weights[4] = 0.9;
    weights[15] = 1.7;
    const { gaps, values } = toRelative(weights, 3);
    assert.deepEqual([...gaps], [1, 2, 7, 2]);
    assert.deepEqual([...values], [3.4, 0.9, 0, 1.7].map(Math.fround));
    assert.deepEqual(fromRelative({ bits: 3, length: 16, gaps, values }), weights);
  });

  for (const { bits, length, positions, gaps, fillers } of fixtures.relative) {
    it(`gives what plain Python gives, ${bits} bits`, () => {
      const values = new Uint8Array(length);
      for (const position of positions) values[position] = 1 + (position % 200);
      const stored = toRelative(values, bits);
      assert.deepEqual([...stored.gaps], gaps);
      assert.equal(stored.values.filter((value) => value === 0).length, fillers);
      assert.deepEqual(fromRelative(stored), values);
      assert.equal(relativeEntries(values)[bits], gaps.length);
    });
  }

  it("stores and restores at every density and width", () => {
    const random = seeded(2);
    for (let bits = 1; bits <= 8; bits++) {
      for (const density of [0, 0.001, 0.1, 0.9, 1]) {
        const values = Float32Array.from({ length: 3000 }, () => (random() < density ? normal(random) : 0));
        const stored = toRelative(values, bits);
        assert.deepEqual(fromRelative(stored), values);
        assert.equal(stored.gaps.length, relativeEntries(values)[bits]);
        assert.ok(stored.gaps.every((gap) => gap < 2 ** bits));
      }
    }
    assert.deepEqual(fromRelative(toRelative(new Float32Array(0), 4)), new Float32Array(0));
  });

  it("finds the width that takes least, by trying all", () => {
    const random = seeded(4);
    for (const density of [0.5, 0.08, 0.01, 0.0005]) {
      const values = Uint8Array.from({ length: 20_000 }, () => (random() < density ? 1 : 0));
      const totals = [1, 2, 3, 4, 5, 6, 7, 8].map(
        (bits) => toRelative(values, bits).gaps.length * (bits + 5),
      );
      const { bits, total } = bestGapBits(values, 5);
      assert.equal(total, Math.min(...totals));
      assert.equal(totals[bits - 1], total);
    }
  });

  it("refuses what cannot be", () => {
    assert.throws(() => toRelative(new Float32Array(1), 0), /bits must be a whole number from 1 to 8, got 0/);
    assert.throws(() => toRelative(new Float32Array(1), 9), /got 9/);
    const beyond = { bits: 2, length: 4, gaps: Uint8Array.of(3, 0), values: Float32Array.of(1, 2) };
    assert.throws(() => fromRelative(beyond), /gaps must stay within 4 elements, they lead to 4/);
    assert.throws(
      () => fromRelative({ ...beyond, values: Float32Array.of(1) }),
      /gaps must have 1 elements, got 2/,
    );
  });
});

describe("Streams of symbols", () => {
  it("are read back in each coding, and `auto` takes the smallest", () => {
    for (const { symbols, alphabet } of sources()) {
      const sizes = new Map<Coding, number>();
      for (const coding of codings) {
        const coded = encodeSymbols(symbols, alphabet, coding);
        assert.equal(coded.coding, coding);
        assert.deepEqual(
          Uint16Array.from(decodeSymbols(coded.bytes, coding, alphabet, symbols.length)),
          symbols,
        );
        sizes.set(coding, coded.bytes.length);
      }
      const auto = encodeSymbols(symbols, alphabet);
      assert.equal(auto.bytes.length, Math.min(...sizes.values()));
      assert.equal(auto.bytes.length, sizes.get(auto.coding));
    }
  });

  it("are refused when they are not whole", () => {
    assert.throws(
      () => decodeSymbols(Uint8Array.of(0b11), "packed", 3, 1),
      /symbols must be below 3, got 3 at index 0/,
    );
    assert.throws(
      () => decodeSymbols(Uint8Array.of(1), "huffman", 8, 1),
      /code lengths take 5 bytes, there are 1/,
    );
  });
});
