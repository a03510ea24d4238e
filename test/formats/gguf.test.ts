import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  decodeGguf,
  FormatError,
  type GgufTensor,
  type GgufType,
  type GgufValue,
  ggufWritable,
  openGguf,
  packGguf,
  unpackGguf,
  writeGguf,
} from "../../lib/formats/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import { Judge, packed, unpacked } from "./judge.ts";
import { fuzz } from "./mutate.ts";

const random = seeded(11);
const weights = Float32Array.from({ length: 4 * 512 }, () => 0.05 * normal(random));
weights.fill(0, 0, 32); // a group of zeros

const metadata = new Map<string, GgufValue>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["llama.block_count", { type: "uint32", value: 2 }],
  ["rope.base", { type: "float32", value: 10_000 }],
  ["big", { type: "uint64", value: 2n ** 60n + 1n }],
  ["yes", { type: "bool", value: true }],
  ["tokens", { type: "array", of: "string", values: ["<s>", "猫", ""] }],
  ["scores", { type: "array", of: "float32", values: [0, -1.5] }],
]);
const tensorsOf = (types: readonly GgufType[]) =>
  new Map<string, GgufTensor>(
    types.map((type) => [`blk.${type}`, { type, shape: [4, 512], values: () => weights }]),
  );

describe("formats: GGUF", () => {
  let folder: string;
  let judge: Judge | undefined;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-gguf-"));
    judge = Judge.start("gguf");
  });
  after(async () => {
    judge?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("metadata and tensors come back as they were written, and a copy has the same bytes", async () => {
    const path = join(folder, "a.gguf");
    const length = await writeGguf(path, metadata, tensorsOf(ggufWritable));
    const file = await openGguf(path);
    assert.deepEqual(file.metadata, metadata);
    assert.deepEqual(
      [...file.tensors.keys()],
      ggufWritable.map((type) => `blk.${type}`),
    );
    assert.deepEqual(await file.floats("blk.F32"), weights);
    for (const type of ggufWritable)
      assert.deepEqual(await file.floats(`blk.${type}`), unpackGguf(type, packGguf(type, weights)));
    await assert.rejects(file.floats("none"), /has no tensor "none"/);
    const copied = new Map(
      [...file.tensors].map(([name, entry]) => [name, { ...entry, values: () => file.bytes(name) }]),
    );
    const copy = join(folder, "b.gguf");
    assert.equal(await writeGguf(copy, file.metadata, copied), length);
    await file.close();
    assert.ok((await readFile(path)).equals(await readFile(copy)));
  });

  it("more bits lose less, and no number is further off than half a step", () => {
    const errors = (["Q4_0", "Q4_1", "Q8_0"] as const).map((type) => {
      const restored = unpackGguf(type, packGguf(type, weights));
      return weights.reduce((sum, value, i) => sum + (value - restored[i]) ** 2, 0);
    });
    assert.ok(errors[0] > errors[1] && errors[1] > 50 * errors[2], errors.join(", "));
    const restored = unpackGguf("Q8_0", packGguf("Q8_0", weights));
    for (let g = 0; g < weights.length; g += 32) {
      const largest = Math.max(...weights.subarray(g, g + 32).map(Math.abs));
      for (let i = g; i < g + 32; i++)
        assert.ok(
          Math.abs(restored[i] - weights[i]) <= (largest / 127) * 0.56,
          `${weights[i]} became ${restored[i]}`,
        );
    }
  });

  it("the gguf package quantizes to the same bytes, and reads our files to the same numbers", async function () {
    this.timeout(300_000);
    if (!judge) this.skip();
    for (const type of ["Q8_0", "Q4_0", "Q4_1", "BF16", "F16"] as const) {
      const theirs = unpacked(await judge.call("gguf_quantize", packed(weights, [4, 512]), type));
      const bytes = new Uint8Array(theirs.buffer, theirs.byteOffset, theirs.byteLength);
      assert.deepEqual(packGguf(type, weights), bytes, type);
    }
    const path = join(folder, "c.gguf");
    await writeGguf(path, metadata, tensorsOf(ggufWritable));
    const read = (await judge.call("gguf_read", path)) as {
      fields: string[];
      tensors: Record<string, { type: string; values: never }>;
    };
    assert.deepEqual(read.fields, [...metadata.keys()].sort());
    for (const type of ggufWritable) {
      const tensor = read.tensors[`blk.${type}`];
      assert.equal(tensor.type, type);
      assert.deepEqual(unpacked(tensor.values), unpackGguf(type, packGguf(type, weights)), type);
    }
  });

  it("what does not fit, and what is damaged, is refused by name", async () => {
    const one = (tensor: GgufTensor) => writeGguf(join(folder, "d.gguf"), metadata, new Map([["x", tensor]]));
    await assert.rejects(
      one({ type: "Q4_K", shape: [8, 32], values: () => weights }),
      /rows of a multiple of 256/,
    );
    await assert.rejects(
      one({ type: "Q8_0", shape: [2, 32], values: () => weights }),
      /must have 64 elements/,
    );
    await assert.rejects(
      one({ type: "Q9" as never, shape: [], values: () => weights }),
      /type of "x" must be one of/,
    );
    for (const odd of [
      { type: "STRING", value: "llama" },
      { type: "array", of: "texts", values: [] },
    ])
      await assert.rejects(
        writeGguf(join(folder, "d.gguf"), new Map([["k", odd as never]]), new Map()),
        /type of (the values of )?metadata "k" must be one of "uint8", .*, got "(STRING|texts)"/,
      );
    assert.throws(() => packGguf("Q6_K", weights), /type must be one of F32, F16/);
    assert.throws(() => unpackGguf("Q6_K", new Uint8Array(210)), /not read as floats/);
    const path = join(folder, "e.gguf");
    await writeGguf(path, metadata, tensorsOf(["Q8_0"]));
    const bytes = await readFile(path);
    for (const [damaged, message] of [
      [bytes.subarray(0, -40), /does not lie in the file: truncated or damaged/],
      [bytes.subarray(0, 90), /header ends too early/],
      [Buffer.concat([Buffer.from("GGML"), bytes.subarray(4)]), /is no GGUF file/],
      [Buffer.concat([bytes.subarray(0, 4), Buffer.of(1), bytes.subarray(5)]), /has version 1 of GGUF/],
    ] as const)
      await assert.rejects(
        decodeGguf(damaged, "x"),
        (error: Error) => error instanceof FormatError && message.test(error.message),
      );
  });

  it("thousands of damaged files are refused or read, and nothing else", async function () {
    this.timeout(600_000);
    const path = join(folder, "f.gguf");
    await writeGguf(
      path,
      metadata,
      new Map([["x", { type: "Q8_0", shape: [2, 32], values: () => weights.subarray(0, 64) }]]),
    );
    const { accepted, refused } = await fuzz(new Uint8Array(await readFile(path)), async (bytes) => {
      const file = await decodeGguf(bytes);
      let size = 0;
      for (const name of file.tensors.keys()) size += (await file.bytes(name)).length;
      return size;
    });
    assert.ok(refused > 0 && accepted > 0, `${refused} refused, ${accepted} read`);
  });
});
