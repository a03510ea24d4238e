import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import {
  codings,
  decodeSlim,
  encodeSlim,
  readSlim,
  type SlimModel,
  type SlimTensor,
  shapeOf,
  slimParts,
  slimVersions,
  slimWeights,
  tensorValues,
  toRelative,
  writeSlim,
} from "../../lib/coding/index.ts";
import { factorize, multiplyFactors } from "../../lib/lowrank/index.ts";
import { clusterWeights, dequantize, quantize, restoreClusters } from "../../lib/quantization/index.ts";
import { toCsc, toCsr } from "../../lib/sparse/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const random = seeded(17);
const gaussian = (n: number) => Float32Array.from({ length: n }, () => 0.1 * normal(random));
const prunedBy = (weights: Float32Array, mask: Uint8Array) => weights.map((w, i) => (mask[i] ? w : 0));

/** One tensor of every kind, with the weights it must stand for. */
function everyKind(): Record<string, { tensor: SlimTensor; weights: Float32Array }> {
  const shape = [30, 20];
  const w = gaussian(600);
  const mask = Uint8Array.from(w, (x) => (Math.abs(x) > 0.13 ? 1 : 0));
  const pruned = prunedBy(w, mask);
  const clusters = clusterWeights(w, { clusters: 16 });
  const kept = clusterWeights(w, { clusters: 8, mask });
  const factors = factorize(w, 30, 20, 4);
  const [a, b] = [
    quantize(factors.a, { bits: 8, shape: [30, 4] }),
    quantize(factors.b, { bits: 8, shape: [4, 20] }),
  ];
  const all: Record<string, { tensor: SlimTensor; weights: Float32Array }> = {
    dense: { tensor: { kind: "dense", shape, values: w }, weights: w },
    scalar: {
      tensor: { kind: "dense", shape: [], values: Float32Array.of(-0.5) },
      weights: Float32Array.of(-0.5),
    },
    empty: {
      tensor: { kind: "dense", shape: [0, 3], values: new Float32Array(0) },
      weights: new Float32Array(0),
    },
    csr: { tensor: { kind: "sparse", shape, matrix: toCsr(pruned, 30, 20) }, weights: pruned },
    csc: { tensor: { kind: "sparse", shape, matrix: toCsc(pruned, 30, 20) }, weights: pruned },
    relative: { tensor: { kind: "relative", shape, entries: toRelative(pruned, 3) }, weights: pruned },
    "all pruned": {
      tensor: { kind: "relative", shape, entries: toRelative(new Float32Array(600), 5) },
      weights: new Float32Array(600),
    },
    codebook: { tensor: { kind: "codebook", shape, ...clusters }, weights: restoreClusters(clusters) },
    "pruned codebook": { tensor: { kind: "codebook", shape, ...kept }, weights: restoreClusters(kept) },
    "pruned codebook by gaps": {
      tensor: { kind: "codebook", shape, ...kept, gapBits: 3 },
      weights: restoreClusters(kept),
    },
    lowrank: {
      tensor: {
        kind: "lowrank",
        shape,
        a: { kind: "quantized", quantized: a },
        b: { kind: "quantized", quantized: b },
      },
      weights: multiplyFactors({ ...factors, a: dequantize(a), b: dequantize(b) }),
    },
  };
  for (const bits of [1, 2, 5, 8, 11, 16]) {
    for (const scheme of ["symmetric", "affine"] as const) {
      for (const signed of [true, false]) {
        for (const axis of [undefined, 1]) {
          // Codes around 0 without signs have none for negative values.
          const own = scheme === "symmetric" && !signed ? w.map(Math.abs) : w;
          const quantized = quantize(own, { bits, scheme, signed, shape, axis });
          all[`${bits} bits ${scheme} ${signed ? "signed" : "unsigned"} ${axis ?? "whole"}`] = {
            tensor: { kind: "quantized", quantized },
            weights: dequantize(quantized),
          };
        }
      }
    }
  }
  return all;
}

/** A small model whose every byte can be tried. */
const small = (): SlimModel => ({
  topology: { class_name: "Sequential", config: { name: "m" } },
  meta: { accuracy: 0.98 },
  tensors: {
    "a/kernel": { kind: "codebook", shape: [4, 4], ...clusterWeights(gaussian(16), { clusters: 4 }) },
    "a/bias": { kind: "dense", shape: [4], values: Float32Array.of(1, 0, -2, Number.NaN) },
  },
});

/** The header as a liar may write it. */
interface Header {
  tensors: { name: unknown; kind: unknown; shape: unknown; streams: unknown[][] }[];
}

/** The file again with its header changed and its checksum made right: what only a strict reader notices. */
function withHeader(bytes: Uint8Array, change: (header: Header) => void, tail: number[] = []): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const start = 20 + view.getUint32(12, true);
  const header = JSON.parse(inflateRawSync(bytes.subarray(20, start)).toString());
  change(header);
  const text = Buffer.from(JSON.stringify(header));
  const packed = deflateRawSync(text);
  const head = bytes.slice(0, 20);
  new DataView(head.buffer).setUint32(12, packed.length, true);
  new DataView(head.buffer).setUint32(16, text.length, true);
  return sealed(Buffer.concat([head, packed, bytes.subarray(start, -32), Uint8Array.from(tail)]));
}

function sealed(content: Uint8Array): Uint8Array {
  return Buffer.concat([content, createHash("sha256").update(content).digest()]);
}

describe("4 The .slim file", () => {
  it("keeps every kind of tensor, in every coding, exactly", () => {
    const all = everyKind();
    const tensors = Object.fromEntries(Object.entries(all).map(([name, { tensor }]) => [name, tensor]));
    for (const coding of ["auto", ...codings] as const) {
      const bytes = encodeSlim({ tensors }, { coding });
      const model = decodeSlim(bytes);
      assert.deepEqual(Object.keys(model.tensors), Object.keys(all));
      const weights = slimWeights(model);
      for (const [name, { tensor, weights: expected }] of Object.entries(all)) {
        assert.deepEqual(weights[name], expected, `${name}, ${coding}`);
        assert.deepEqual(shapeOf(model.tensors[name]), shapeOf(tensor), name);
      }
      // What was read can be written again, byte for byte.
      assert.deepEqual(encodeSlim(model, { coding }), bytes);
    }
    for (const version of slimVersions) {
      const bytes = encodeSlim({ tensors }, { version });
      const weights = slimWeights(decodeSlim(bytes));
      for (const [name, { weights: expected }] of Object.entries(all))
        assert.deepEqual(weights[name], expected, `${name}, version ${version}`);
      assert.deepEqual(encodeSlim(decodeSlim(bytes), { version }), bytes);
    }
  });

  it("gives back what integer inference and fine-tuning need: codes, grids, codebooks, masks", () => {
    const all = everyKind();
    const tensors = Object.fromEntries(Object.entries(all).map(([name, { tensor }]) => [name, tensor]));
    const model = decodeSlim(encodeSlim({ tensors }));
    for (const [name, tensor] of Object.entries(tensors)) {
      const read = model.tensors[name];
      if (tensor.kind === "quantized" && read.kind === "quantized") {
        assert.deepEqual(read.quantized.codes, tensor.quantized.codes, name);
        assert.deepEqual(read.quantized.scale, tensor.quantized.scale, name);
        assert.deepEqual(read.quantized.zeroPoint, tensor.quantized.zeroPoint, name);
      } else if (tensor.kind === "codebook" && read.kind === "codebook") {
        assert.deepEqual(read.codebook, tensor.codebook);
        assert.deepEqual(read.mask, tensor.mask);
        assert.deepEqual(read.codes, tensor.codes);
      } else assert.equal(read.kind, tensor.kind);
    }
  });

  it("keeps topology and meta, and floats bit for bit, NaN included", () => {
    const model = small();
    const read = decodeSlim(encodeSlim(model));
    assert.deepEqual(read.topology, model.topology);
    assert.deepEqual(read.meta, model.meta);
    assert.deepEqual(tensorValues(read.tensors["a/bias"]), Float32Array.of(1, 0, -2, Number.NaN));
    assert.deepEqual(decodeSlim(encodeSlim({ tensors: {} })), { tensors: {} });
  });

  it("is little-endian, byte for byte as its format says", () => {
    const bytes = encodeSlim(
      {
        tensors: { x: { kind: "dense", shape: [2], values: Float32Array.of(1, -2) } },
      },
      { version: 1 },
    );
    assert.deepEqual([...bytes.subarray(0, 12)], [0x53, 0x4c, 0x49, 0x4d, 13, 10, 26, 10, 1, 0, 0, 0]);
    assert.deepEqual([...bytes.subarray(-40, -32)], [0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0]);
    const content = bytes.subarray(0, -32);
    assert.deepEqual(Buffer.from(bytes.subarray(-32)), createHash("sha256").update(content).digest());
  });

  it("accounts for every byte", () => {
    const all = everyKind();
    const tensors = Object.fromEntries(Object.entries(all).map(([name, { tensor }]) => [name, tensor]));
    const bytes = encodeSlim({ tensors }, { version: 1 });
    const parts = slimParts(bytes);
    assert.equal(
      parts.reduce((sum, part) => sum + part.bytes, 0),
      bytes.length,
    );
    const streams = parts.filter(({ tensor }) => tensor === "lowrank").map(({ stream }) => stream);
    assert.deepEqual(streams, ["a.scale", "a.codes", "b.scale", "b.codes"]);
    const [dense] = parts.filter(({ tensor }) => tensor === "dense");
    assert.deepEqual(dense, { tensor: "dense", stream: "values", coding: undefined, bytes: 2400 });
    const packed = slimParts(encodeSlim({ tensors }, { coding: "packed" }));
    assert.equal(
      packed.find(({ tensor, stream }) => tensor === "5 bits symmetric signed whole" && stream === "codes")!
        .bytes,
      375,
    );
  });

  it("makes a pruned and clustered layer small: 92 % of 235,200 weights pruned, 32 clusters", () => {
    const w = gaussian(235_200);
    const threshold = w.map(Math.abs).sort()[Math.floor(0.92 * w.length)];
    const mask = Uint8Array.from(w, (x) => (Math.abs(x) > threshold ? 1 : 0));
    const clustered = clusterWeights(w, { clusters: 32, mask });
    const bytes = encodeSlim({ tensors: { k: { kind: "codebook", shape: [784, 300], ...clustered } } });
    assert.deepEqual(slimWeights(decodeSlim(bytes)).k, restoreClusters(clustered));
    // The entropy of mask and codes is a bound that no coder of independent symbols beats.
    const kept = mask.reduce((sum, m) => sum + m, 0);
    const h = (p: number) => -p * Math.log2(p) - (1 - p) * Math.log2(1 - p);
    const codes = new Array(32).fill(0);
    clustered.codes.forEach((code, i) => {
      if (mask[i]) codes[code]++;
    });
    const codeBits = codes.reduce((sum, c) => sum - (c ? c * Math.log2(c / kept) : 0), 0);
    const bound = (w.length * h(kept / w.length) + codeBits) / 8;
    assert.ok(
      bytes.length > bound && bytes.length < 1.01 * bound + 500,
      `${bytes.length} bytes, bound ${bound}`,
    );
    assert.ok(bytes.length < (w.length * 4) / 35);
  });

  it("notices any one byte that changed, and any end that is missing", () => {
    for (const version of slimVersions) {
      const bytes = encodeSlim(small(), { version });
      for (let i = 0; i < bytes.length; i++) {
        const changed = bytes.slice();
        changed[i] ^= 1 << (i % 8);
        assert.throws(() => decodeSlim(changed), /the \.slim file (is|has)/, `byte ${i}`);
        assert.throws(() => decodeSlim(bytes.subarray(0, i)), /the \.slim file is/, `first ${i} bytes`);
      }
      assert.throws(() => decodeSlim(Uint8Array.from([...bytes, 0])), /damaged or truncated/);
    }
  });

  it("says what is wrong with a file that lies", () => {
    const bytes = encodeSlim(small(), { version: 1 });
    const wrong = (change: (header: Header) => void, message: RegExp, tail?: number[]) =>
      assert.throws(
        () => decodeSlim(withHeader(bytes, change, tail), "m.slim"),
        (error: Error) => {
          assert.match(error.message, /^m\.slim cannot be read: /);
          assert.match(error.message, message);
          return true;
        },
      );
    assert.deepEqual(decodeSlim(withHeader(bytes, () => {})), decodeSlim(bytes));
    wrong(() => {}, /2 bytes are left over/, [1, 2]);
    wrong((h) => {
      h.tensors[1].name = "a/kernel";
    }, /tensor names must be strings and differ, got "a\/kernel"/);
    wrong((h) => {
      h.tensors[0].name = 5;
    }, /tensor names must be strings/);
    wrong((h) => {
      h.tensors[0].kind = "zip";
    }, /tensor "a\/kernel": kind must be one of .*got "zip"/);
    wrong((h) => {
      h.tensors[1].shape = [5];
    }, /tensor "a\/bias": length of values must be .* 5, got 4/);
    wrong((h) => {
      h.tensors[1].shape = "4";
    }, /shape must be a list of whole numbers/);
    wrong((h) => {
      h.tensors[1].shape = [-4];
    }, /shape must be a whole number of at least 0, got -4/);
    wrong((h) => {
      h.tensors[1].shape = [2 ** 20, 2 ** 20];
    }, /more than maxElements = \d+ numbers/);
    wrong((h) => {
      h.tensors[1].streams[0][1] = 1e9;
    }, /bytes of values must be/);
    wrong((h) => {
      h.tensors[1].streams[0][1] = 15;
    }, /values does not hold whole numbers of 4 bytes/);
    wrong((h) => {
      h.tensors[1].streams[0][0] = "weights";
    }, /stream values is missing/);
    wrong((h) => {
      h.tensors[1].streams.push(["more", 0]);
    }, /there are streams too many/);
    wrong((h) => {
      h.tensors[0].streams[1][3] = 9;
    }, /coding must be a whole number from 0 to 2, got 9/);
    wrong((h) => {
      h.tensors[0].streams[1][2] = 17;
    }, /length of codes must be/);
    wrong((h) => {
      h.tensors = undefined as unknown as Header["tensors"];
    }, /tensors must be a list, got undefined/);
    wrong((h) => {
      h.tensors = [null] as unknown as Header["tensors"];
    }, /a tensor must be an object, got null/);
    wrong((h) => {
      h.tensors[0].streams = { length: 1 } as unknown as unknown[][];
    }, /streams must be a list/);
    wrong((h) => {
      h.tensors[0].streams = [null] as unknown as unknown[][];
    }, /a stream must be a list, got null/);
    wrong((h) => {
      h.tensors[0].name = "x".repeat(1e6);
      h.tensors[0].kind = "zip";
    }, /^.{0,300}$/);
    const other = bytes.slice(0, -32);
    other[8] = 9;
    assert.throws(
      () => decodeSlim(sealed(other)),
      /has version 9 of the format, this slimlab reads versions 1 and 2/,
    );
    assert.throws(() => decodeSlim(Buffer.from("PK\u0003\u0004 a zip file")), /is not a \.slim file/);
    assert.throws(() => decodeSlim(Buffer.from("SLIM\n\u001a\n")), /is not a \.slim file/);
  });

  it("does not let a tensor's name reach into the prototype", () => {
    const tensors = {};
    Object.defineProperty(tensors, "__proto__", {
      value: { kind: "dense", shape: [1], values: Float32Array.of(3) },
      enumerable: true,
    });
    const read = decodeSlim(encodeSlim({ tensors }));
    assert.deepEqual(Object.keys(read.tensors), ["__proto__"]);
    assert.equal(Object.getPrototypeOf(read.tensors), Object.prototype);
  });

  it("refuses to write what does not fit together", () => {
    const wrong = (tensor: SlimTensor, message: RegExp) =>
      assert.throws(() => encodeSlim({ tensors: { t: tensor } }), message);
    const w = gaussian(6);
    wrong({ kind: "dense", shape: [7], values: w }, /tensor "t": values must have 7 elements, got 6/);
    wrong({ kind: "sparse", shape: [7], matrix: toCsr(w, 2, 3) }, /tensor "t": rows × cols must be/);
    wrong(
      { kind: "codebook", shape: [2], codes: Uint8Array.of(0, 2), codebook: Float32Array.of(1, 2) },
      /symbols must be from 0 to 1, got 2/,
    );
    wrong({ kind: "relative", shape: [7], entries: toRelative(w, 2) }, /length must be/);
    const factor = (shape: number[]): SlimTensor => ({ kind: "dense", shape, values: gaussian(6) });
    wrong(
      { kind: "lowrank", shape: [2, 2], a: factor([2, 3]), b: factor([2, 3]) },
      /got 2 × 2 for 2 × 3 times 2 × 3/,
    );
    wrong({ kind: "tar" } as unknown as SlimTensor, /kind must be one of/);
    assert.throws(() => encodeSlim({ tensors: {} }, { coding: "lzma" as "auto" }), /coding must be one of/);
  });

  describe("on disk", () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), "slimlab-slim-"));
    });
    afterEach(() => rm(folder, { recursive: true }));

    it("is written whole and read back", async () => {
      const path = join(folder, "models", "m.slim");
      const model = small();
      assert.equal(await writeSlim(path, model), encodeSlim(model).length);
      assert.deepEqual(await readSlim(path), decodeSlim(encodeSlim(model)));
      assert.deepEqual(await readdir(join(folder, "models")), ["m.slim"]);
    });

    it("is named in errors", async () => {
      const path = join(folder, "m.slim");
      await assert.rejects(readSlim(path), /ENOENT.*m\.slim/);
      await writeFile(path, encodeSlim(small()).subarray(0, -1));
      await assert.rejects(readSlim(path), /m\.slim is damaged or truncated/);
    });
  });
});
