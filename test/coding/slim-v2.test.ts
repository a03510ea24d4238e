// §4 Version 2 of the .slim file: the binary coder, the contexts, the layout, and files that lie.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { BitDecoder, BitEncoder } from "../../lib/coding/binary-coder.ts";
import { Mixed, Numbers, Single } from "../../lib/coding/context-mixing.ts";
import {
  decodeSlim,
  encodeSlim,
  type SlimModel,
  type SlimTensor,
  slimParts,
  slimWeights,
} from "../../lib/coding/index.ts";
import { lenet5, lenet300, slimOf } from "../../lib/nn/index.ts";
import { clusterWeights, quantize } from "../../lib/quantization/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** A fixed model: no random number, so that its bytes are known. */
function fixedModel(): SlimModel {
  const codes = Uint8Array.from({ length: 64 }, (_, i) => (i * i) % 3);
  const mask = Uint8Array.from({ length: 64 }, (_, i) => Number((i * 7) % 5 === 0));
  const shape = [16, 4];
  const values = Float32Array.from({ length: 4 }, (_, i) => [0, 1.5, 0, -0.25][i]);
  const grid = quantize(
    Float32Array.from({ length: 12 }, (_, i) => (i - 6) / 8),
    { bits: 5, shape: [4, 3], axis: 1 },
  );
  return {
    tensors: {
      "a/kernel": {
        kind: "codebook",
        shape,
        codes: codes.map((c, i) => c * mask[i]),
        codebook: Float32Array.of(-0.5, 0.25, 0.75),
        mask,
      },
      "a/bias": { kind: "dense", shape: [4], values },
      "b/kernel": { kind: "quantized", quantized: grid },
    },
    meta: { masked: ["a"] },
  };
}

/** A pruned and clustered kernel whose columns and rows are in part empty. */
function deadKernel(rows: number, cols: number, isDead: (row: number, col: number) => boolean): SlimTensor {
  const random = seeded(rows * cols);
  const w = Float32Array.from({ length: rows * cols }, () => normal(random));
  const mask = w.map((x, i) => Number(Math.abs(x) > 1.7 && !isDead(Math.floor(i / cols), i % cols)));
  const clustered = clusterWeights(w, { clusters: 6, mask: Uint8Array.from(mask) });
  return { kind: "codebook", shape: [rows, cols], ...clustered };
}

/** The file with a byte changed and its checksum made right. */
function resealed(bytes: Uint8Array, change: (content: Uint8Array) => void): Uint8Array {
  const sum = bytes.length <= 2 ** 14 ? 4 : 8;
  const content = bytes.slice(0, -sum);
  change(content);
  return Buffer.concat([content, createHash("sha256").update(content).digest().subarray(0, sum)]);
}

describe("4 Binary arithmetic coding", () => {
  it("gives back any bits, at any chances, in no more bytes than they are worth", () => {
    const random = seeded(3);
    for (const [count, chanceOfOne] of [
      [0, 0.5],
      [1, 0.5],
      [7, 0.1],
      [20_000, 0.01],
      [20_000, 0.5],
      [5_000, 0.9999],
    ] as const) {
      const bits = Uint8Array.from({ length: count }, () => Number(random() < chanceOfOne));
      const chance = Math.min(65535, Math.max(1, Math.round(65536 * chanceOfOne)));
      const encoder = new BitEncoder();
      for (const bit of bits) encoder.bit(chance, bit);
      const bytes = encoder.finish();
      const cost = bits.reduce((sum, bit) => sum - Math.log2((bit ? chance : 65536 - chance) / 65536), 0) / 8;
      assert.ok(
        bytes.length <= Math.ceil(cost * 1.001) + 1,
        `${bytes.length} bytes for ${cost} bytes' worth`,
      );
      const decoder = new BitDecoder(bytes);
      for (const [i, bit] of bits.entries()) assert.equal(decoder.bit(chance), bit, `bit ${i} of ${count}`);
      decoder.finish();
    }
  });

  it("notices bytes that are too many, and reads no endless zeros", () => {
    const encoder = new BitEncoder();
    for (let i = 0; i < 100; i++) encoder.plain(8, i);
    const bytes = encoder.finish();
    const longer = new BitDecoder(Uint8Array.from([...bytes, 1, 2, 3, 4, 5]));
    for (let i = 0; i < 100; i++) assert.equal(longer.plain(8), i);
    assert.throws(() => longer.finish(), /bytes are left over/);
    const shorter = new BitDecoder(bytes.subarray(0, 50));
    assert.throws(() => {
      for (let i = 0; i < 1000; i++) shorter.plain(8);
    }, /the bytes end too early/);
  });

  it("numbers of any size come back", () => {
    const values = [0, 1, 2, 3, 7, 8, 255, 256, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2];
    const encoder = new BitEncoder();
    const numbers = new Numbers();
    for (const value of values) numbers.code(encoder, value);
    const decoder = new BitDecoder(encoder.finish());
    const again = new Numbers();
    assert.deepEqual(
      values.map(() => again.code(decoder, 0)),
      values,
    );
  });

  it("learns: what follows from its context costs next to nothing, noise costs a bit", () => {
    const random = seeded(5);
    const bits = Uint8Array.from({ length: 16_000 }, () => Number(random() < 0.5));
    const bytesWith = (context: (i: number) => number) => {
      const encoder = new BitEncoder();
      const mixed = new Mixed([4, 2]);
      for (let i = 0; i < bits.length; i++) {
        mixed.contexts[0] = context(i);
        mixed.contexts[1] = i % 2;
        mixed.code(encoder, bits[i]);
      }
      return encoder.finish().length;
    };
    const knows = bytesWith((i) => bits[i]);
    const blind = bytesWith(() => 0);
    assert.ok(knows < 60, `${knows} bytes where the context tells the bit`);
    assert.ok(blind > 1990 && blind < 2060, `${blind} bytes for 2,000 bytes of noise`);
    const encoder = new BitEncoder();
    const single = new Single(1);
    for (let i = 0; i < 16_000; i++) single.code(encoder, 0, Number(i % 16 === 0));
    const { length } = encoder.finish();
    assert.ok(length < (1.05 * 16_000 * 0.3373) / 8, `${length} bytes, entropy ${(16_000 * 0.3373) / 8}`);
  });
});

describe("4 The .slim file, version 2", () => {
  it("known answers: the same bytes on every engine", () => {
    const encoder = new BitEncoder();
    const mixed = new Mixed([16, 4, 2], { sets: 2 });
    for (let i = 0; i < 400; i++) {
      mixed.contexts.set([i % 16, (i >> 2) % 4, i % 2]);
      mixed.code(encoder, Number((i * i) % 7 < 2), i % 2);
    }
    assert.equal(
      hex(encoder.finish()),
      "47f01bd28cfb8a366445525d1dc63c2fad83ec85c2d26f0fcd941411344708cfbdfef3c68c94d5d0d540fd1d20fdedc0f5162988",
    );
    const bytes = encodeSlim(fixedModel(), { version: 2 });
    // The header's JSON is deflated by whatever zlib there is; the bits after it are our own.
    const [head] = slimParts(bytes);
    assert.equal(
      hex(bytes.subarray(head.bytes - 4, -4)),
      "1a44bb5b4ccc18b19f32ff075eeddf9a35499c7764aa8358c818732ea36fc3d56f84fee54bf04c708d92d9f44350c79d1da1acf865",
    );
  });

  it("names the networks that ship with slimlab by a number, and has 10 bytes beside the weights", async () => {
    for (const [number, model] of [
      [1, lenet300()],
      [2, lenet5()],
    ] as const) {
      const first = decodeSlim(await slimOf(model, { version: 1 }));
      const bytes = await slimOf(model, { version: 2 });
      assert.deepEqual([...bytes.subarray(0, 6)], [0x53, 0x4c, 0x1a, 2, number, 0]);
      assert.deepEqual(decodeSlim(bytes), first);
      assert.equal(slimParts(bytes)[0].bytes, 6 + (bytes.length > 2 ** 20 ? 32 : 8));
      model.dispose();
    }
  });

  it("takes the smaller version, and reads version 1 for good", () => {
    const model = fixedModel();
    const [one, two] = ([1, 2] as const).map((version) => encodeSlim(model, { version }));
    assert.ok(two.length < one.length / 2, `${two.length} bytes, version 1 takes ${one.length}`);
    assert.deepEqual(encodeSlim(model), two);
    assert.deepEqual(slimWeights(decodeSlim(one)), slimWeights(decodeSlim(two)));
    assert.deepEqual(decodeSlim(one).meta, decodeSlim(two).meta);
    const plain: SlimModel = {
      tensors: { a: { kind: "dense", shape: [9], values: new Float32Array(9).fill(0.1) } },
    };
    assert.deepEqual(encodeSlim(plain), encodeSlim(plain, { version: 1 }), "plain floats");
    // A coding is version 1's: who asks for one gets it.
    assert.deepEqual(
      encodeSlim(model, { coding: "huffman" }).subarray(0, 4),
      Uint8Array.from([0x53, 0x4c, 0x49, 0x4d]),
    );
  });

  it("accounts for every byte", () => {
    const bytes = encodeSlim(fixedModel(), { version: 2 });
    const parts = slimParts(bytes);
    assert.equal(
      parts.reduce((sum, part) => sum + part.bytes, 0),
      bytes.length,
    );
    assert.deepEqual(
      parts.filter(({ tensor }) => tensor === "a/kernel").map(({ stream }) => stream),
      ["codebook", "positions", "values"],
    );
  });

  it("dead units and dead inputs cost next to nothing, their biases and the next layer's rows included", () => {
    const isDead = (col: number) => col % 3 !== 0;
    const model = (dead: boolean): SlimModel => ({
      tensors: {
        "a/kernel": deadKernel(144, 90, (row, col) => dead && (isDead(col) || row < 72)),
        "a/bias": {
          kind: "dense",
          shape: [90],
          values: Float32Array.from({ length: 90 }, (_, c) => (dead && isDead(c) ? 0 : 1 + c / 7)),
        },
        "b/kernel": deadKernel(90, 10, (row) => dead && isDead(row)),
      },
    });
    const bytesOf = (file: Uint8Array, stream: string) =>
      slimParts(file)
        .filter((part) => part.tensor === stream)
        .reduce((sum, part) => sum + part.bytes, 0);
    const alive = encodeSlim(model(false), { version: 2 });
    const dead = encodeSlim(model(true), { version: 2 });
    // A sixth of the first kernel's cells and a third of the others are left.
    for (const [tensor, share] of [
      ["a/kernel", 1 / 6],
      ["a/bias", 1 / 3],
      ["b/kernel", 1 / 3],
    ] as const) {
      const [before, after] = [bytesOf(alive, tensor), bytesOf(dead, tensor)];
      assert.ok(after < share * before + 60, `${tensor}: ${after} bytes, ${before} with all alive`);
    }
    assert.deepEqual(slimWeights(decodeSlim(dead)), slimWeights(model(true)));
  });

  it("an even codebook is one step, any other keeps its floats bit for bit", () => {
    const codes = Uint8Array.from({ length: 600 }, (_, i) => (i * i) % 8);
    const file = (codebook: Float32Array) =>
      encodeSlim({ tensors: { k: { kind: "codebook", shape: [30, 20], codes, codebook } } }, { version: 2 });
    const step = Math.fround(0.0137);
    const even = Float32Array.from([-4, -3, -2, -1, 1, 2, 3, 4], (k) => Math.fround(k * step));
    const uneven = even.map((value, i) => value * (1 + i / 1000));
    const [small, large] = [file(even), file(uneven)];
    assert.ok(large.length - small.length > 15, `${small.length} and ${large.length} bytes`);
    for (const [bytes, book] of [
      [small, even],
      [large, uneven],
    ] as const) {
      const read = decodeSlim(bytes).tensors.k;
      assert.ok(read.kind === "codebook");
      assert.deepEqual(read.codebook, book);
      assert.deepEqual(read.codes, codes);
    }
  });

  it("what stands beside a cell is used: maps that hang together take less than scattered ones", () => {
    const mask = new Uint8Array(784 * 20);
    for (let unit = 0; unit < 20; unit++)
      for (let y = 0; y < 5; y++)
        for (let x = 0; x < 5; x++)
          mask[((8 + ((unit * 3) % 12) + y) * 28 + 4 + ((unit * 5) % 15) + x) * 20 + unit] = 1;
    const random = seeded(9);
    const order = Uint32Array.from({ length: mask.length }, (_, i) => i).sort(() => random() - 0.5);
    const scattered = mask.map((_, i) => mask[order[i]]);
    const bytesOf = (kept: Uint8Array) =>
      encodeSlim(
        {
          tensors: {
            k: {
              kind: "codebook",
              shape: [784, 20],
              codes: new Uint8Array(kept.length),
              codebook: Float32Array.of(1),
              mask: kept,
            },
          },
        },
        { version: 2 },
      ).length;
    assert.ok(bytesOf(mask) < 0.6 * bytesOf(scattered), `${bytesOf(mask)} and ${bytesOf(scattered)} bytes`);
  });

  it("20,000 damaged files with right checksums: read, or refused by name, never anything else", function () {
    this.timeout(300_000);
    const bytes = encodeSlim(fixedModel(), { version: 2 });
    const random = seeded(11);
    let read = 0;
    for (let n = 0; n < 20_000; n++) {
      const changed = resealed(bytes, (content) => {
        for (let k = 0; k <= n % 3; k++)
          content[4 + Math.floor(random() * (content.length - 4))] = Math.floor(random() * 256);
      });
      try {
        decodeSlim(changed, "m.slim");
        read++;
      } catch (error) {
        assert.ok(error instanceof Error);
        assert.match(error.message, /^m\.slim (cannot be read|has|is)/);
        assert.ok(error.message.length < 400, error.message);
      }
    }
    assert.ok(read > 0 && read < 20_000, `${read} of 20,000 could be read`);
  });

  it("sizes are believed only within maxElements", () => {
    const zeros = (shape: number[]): SlimTensor => ({
      kind: "relative",
      shape,
      entries: { bits: 8, length: shape[0] * shape[1], gaps: new Uint8Array(), values: new Float32Array() },
    });
    for (const version of [1, 2] as const) {
      const honest = encodeSlim({ tensors: { a: zeros([300, 200]), b: zeros([300, 200]) } }, { version });
      assert.equal(slimWeights(decodeSlim(honest)).b.length, 60_000);
      assert.throws(
        () => decodeSlim(honest, "f", { maxElements: 119_999 }),
        /maxElements/,
        `version ${version}`,
      );
      assert.equal(slimWeights(decodeSlim(honest, "f", { maxElements: 120_000 })).b.length, 60_000);
      // What a product stands for counts as well: 181 bytes took 3.5 GB.
      const thin: SlimTensor = { kind: "lowrank", shape: [300, 200], a: zeros([300, 1]), b: zeros([1, 200]) };
      const product = encodeSlim({ tensors: { thin } }, { version });
      assert.throws(() => decodeSlim(product, "f", { maxElements: 60_499 }), /maxElements/);
      assert.equal(slimWeights(decodeSlim(product, "f", { maxElements: 60_500 })).thin.length, 60_000);
      let deep = zeros([1, 1]);
      for (let i = 0; i < 16; i++) deep = { kind: "lowrank", shape: [1, 1], a: deep, b: zeros([1, 1]) };
      assert.deepEqual(decodeSlim(encodeSlim({ tensors: { deep } }, { version })).tensors.deep, deep);
    }
  });

  it("a few bytes that stand for millions of numbers are refused by default, whatever they are", () => {
    const none = { gaps: new Uint8Array(), values: new Float32Array() };
    const zeros = (shape: number[]): SlimTensor => ({
      kind: "relative",
      shape,
      entries: { bits: 8, length: shape[0] * shape[1], ...none },
    });
    const many: SlimTensor[] = [
      zeros([5000, 1000]),
      { kind: "codebook", shape: [5000, 1000], codes: new Uint8Array(5e6), codebook: Float32Array.of(1) },
      { kind: "lowrank", shape: [30_000, 30_000], a: zeros([30_000, 1]), b: zeros([1, 30_000]) },
    ];
    for (const version of [1, 2] as const)
      for (const tensor of many) {
        const bytes = encodeSlim({ tensors: { tensor } }, { version });
        assert.throws(() => decodeSlim(bytes), /maxElements/, `version ${version}, ${tensor.kind}`);
      }
    let deep = zeros([1, 1]);
    for (let i = 0; i < 17; i++) deep = { kind: "lowrank", shape: [1, 1], a: deep, b: zeros([1, 1]) };
    for (const version of [1, 2] as const)
      assert.throws(() => encodeSlim({ tensors: { deep } }, { version }), /16 deep/);
  });
});
