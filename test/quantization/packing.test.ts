import assert from "node:assert/strict";
import { pack, packedBytes, unpack } from "../../lib/quantization/packing.ts";
import { seeded } from "../../lib/util/random.ts";

describe("§3.2.1 packed storage", () => {
  it("lays codes out from the lowest bit on (worked by hand)", () => {
    // 3 bits each: 101, 011, 110 → byte 0 = 10 011 101, byte 1 = 1
    assert.deepEqual([...pack([5, 3, 6], 3)], [0b10011101, 0b1]);
    assert.deepEqual([...pack([-1, 0, -4], 3)], [0b00000111, 0b1]);
    assert.deepEqual([...pack([0x1234, 0xffff], 16)], [0x34, 0x12, 0xff, 0xff]);
    assert.deepEqual([...pack([1, 0, 1, 1, 0, 0, 0, 1, 1], 1)], [0b10001101, 1]);
  });

  it("gives back every code at every width, signed and unsigned", () => {
    const random = seeded(3);
    for (let bits = 1; bits <= 16; bits++) {
      for (const count of [0, 1, 7, 8, 9, 1000]) {
        const unsigned = Array.from({ length: count }, () => Math.floor(random() * 2 ** bits));
        const signed = unsigned.map((code) => code - 2 ** (bits - 1));
        const bytes = pack(unsigned, bits);
        assert.equal(bytes.length, Math.ceil((count * bits) / 8));
        assert.equal(bytes.length, packedBytes(count, bits));
        assert.deepEqual([...unpack(bytes, bits, count, false)], unsigned);
        assert.deepEqual([...unpack(pack(signed, bits), bits, count, true)], signed);
      }
      const edges = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
      assert.deepEqual([...unpack(pack(edges, bits), bits, 2, true)], edges);
    }
  });

  it("refuses codes and byte counts that do not fit", () => {
    assert.throws(() => pack([0, 8], 3), /codes must fit 3 bits \(-4 to 7\), got 8 at index 1/);
    assert.throws(() => pack([-5], 3), /got -5 at index 0/);
    assert.throws(() => pack([0, 1.5], 3), /codes must be whole numbers, got 1.5 at index 1/);
    assert.throws(() => pack(Float32Array.of(Number.NaN), 3), /got NaN at index 0/);
    assert.throws(() => unpack(new Uint8Array(2), 3, 6, false), /bytes must have 3 elements, got 2/);
    assert.throws(() => pack([1], 0), /bits must be a whole number from 1 to 16, got 0/);
    assert.throws(() => pack([1], 17), /got 17/);
  });
});
