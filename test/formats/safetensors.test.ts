import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  decodeSafetensors,
  encodeSafetensors,
  FormatError,
  fromBfloats,
  openSafetensors,
  type SafetensorsTensor,
  toBfloats,
  toHalves,
  writeSafetensors,
} from "../../lib/formats/index.ts";
import { fromHalf, toHalf } from "../../lib/util/half.ts";
import { seeded } from "../../lib/util/random.ts";
import { Judge, packed, unpacked } from "./judge.ts";
import { fuzz } from "./mutate.ts";

const random = seeded(3);
const values = Float32Array.from({ length: 24 }, () => 4 * random() - 2);
const tensors: Record<string, SafetensorsTensor> = {
  "b/kernel": { dtype: "F32", shape: [2, 3, 4], values: () => values },
  half: { dtype: "F16", shape: [24], values: async () => values },
  brain: { dtype: "BF16", shape: [4, 6], values: () => values },
  codes: { dtype: "U8", shape: [5], values: () => Uint8Array.of(1, 2, 3, 4, 255) },
  空: { dtype: "I64", shape: [0, 7], values: () => new Uint8Array(0) },
  scalar: { dtype: "F32", shape: [], values: () => Float32Array.of(7) },
};

describe("formats: float16 and bfloat16", () => {
  it("every float16 has the value that IEEE 754 gives it, and comes back", () => {
    for (let half = 0; half < 65536; half++) {
      const value = fromHalf(half);
      const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
      if (exponent === 31) {
        assert.equal(Number.isNaN(value), fraction > 0);
        continue;
      }
      const size = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
      assert.ok(Object.is(value, half & 0x8000 ? -size : size), `${half}: ${value}, expected ${size}`);
      assert.equal(toHalf(value), half);
    }
  });

  it("rounds to the nearest float16, ties to even", () => {
    for (let half = 0; half < 0x7bff; half++) {
      const [low, high] = [fromHalf(half), fromHalf(half + 1)];
      const middle = (low + high) / 2;
      const expected = half % 2 === 0 ? half : half + 1;
      assert.equal(toHalf(middle), expected, `between ${low} and ${high}`);
      // The float32 next to the middle on either side.
      const next = new Uint32Array(Float32Array.of(middle).buffer)[0];
      const float = (bits: number) => new Float32Array(Uint32Array.of(bits).buffer)[0];
      assert.equal(toHalf(float(next - 1)), half);
      assert.equal(toHalf(float(next + 1)), half + 1);
    }
    assert.deepEqual([toHalf(65519), toHalf(65520), toHalf(-1e9)], [0x7bff, 0x7c00, 0xfc00]);
  });

  it("bfloat16 is the upper half of a float32, rounded to even", () => {
    const hex = (...numbers: number[]) =>
      [...toBfloats(Float32Array.from(numbers))].map((n) => n.toString(16));
    // 1 + 2^-8 lies between 1 and 1 + 2^-7, 1 + 3·2^-8 between 1 + 2^-7 and 1 + 2^-6.
    assert.deepEqual(hex(1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -2.5, 3.4e38), [
      "3f80",
      "3f80",
      "3f82",
      "c020",
      "7f80",
    ]);
    assert.ok(Number.isNaN(fromBfloats(toBfloats(Float32Array.of(Number.NaN)))[0]));
  });
});

describe("formats: safetensors", () => {
  let folder: string;
  let judge: Judge | undefined;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-safetensors-"));
  });
  after(async () => {
    judge?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("comes back as it was written, tensor by tensor", async () => {
    const path = join(folder, "a.safetensors");
    const order: string[] = [];
    const length = await writeSafetensors(path, tensors, {
      metadata: { by: "测试" },
      onTensor: (name) => order.push(name),
    });
    assert.equal((await stat(path)).size, length);
    assert.equal(order.length, 6);
    const file = await openSafetensors(path);
    assert.deepEqual(file.metadata, { by: "测试" });
    assert.deepEqual([...file.tensors.keys()].sort(), Object.keys(tensors).sort());
    assert.deepEqual(await file.floats("b/kernel"), values);
    assert.deepEqual(await file.floats("half"), Float32Array.from(toHalves(values), fromHalf));
    assert.deepEqual(await file.floats("brain"), fromBfloats(toBfloats(values)));
    assert.deepEqual([...(await file.bytes("codes"))], [1, 2, 3, 4, 255]);
    assert.deepEqual([...(await file.floats("scalar"))], [7]);
    await assert.rejects(file.floats("空"), /I64/);
    await assert.rejects(file.bytes("none"), /has no tensor "none"/);
    await file.close();
  });

  it("the safetensors package reads ours, and we read its", async function () {
    this.timeout(300_000);
    judge = Judge.start("safetensors");
    if (!judge) this.skip();
    const path = join(folder, "b.safetensors");
    const { brain: _, ...known } = tensors; // NumPy has no bfloat16.
    await writeSafetensors(path, known, { metadata: { by: "slimlab" } });
    const read = (await judge.call("safetensors_read", path)) as {
      metadata: object;
      tensors: Record<string, { dtype: string; shape: number[]; data: string }>;
    };
    assert.deepEqual(read.metadata, { by: "slimlab" });
    assert.deepEqual(unpacked(read.tensors["b/kernel"]), values);
    assert.deepEqual(read.tensors["b/kernel"].shape, [2, 3, 4]);
    assert.deepEqual(unpacked(read.tensors.half), toHalves(values));
    assert.deepEqual([read.tensors.scalar.shape, read.tensors.空.shape], [[], [0, 7]]);
    const theirs = join(folder, "c.safetensors");
    await judge.call("safetensors_write", theirs, {
      x: packed(values, [4, 6]),
      n: packed(Int32Array.of(-1, 5)),
    });
    const file = await openSafetensors(theirs);
    assert.deepEqual(await file.floats("x"), values);
    assert.deepEqual([...(await file.floats("n"))], [-1, 5]);
    await file.close();
    // float16 as NumPy rounds it, over all magnitudes.
    const spread = Float32Array.from({ length: 5000 }, () => (random() - 0.5) * 2 ** (40 * random() - 30));
    assert.deepEqual(toHalves(spread), unpacked(await judge.call("halves", packed(spread))));
  });

  it("values that do not fit, unknown types and reserved names are refused, and nothing is left", async () => {
    const path = join(folder, "d.safetensors");
    const one = (tensor: object) => writeSafetensors(path, { x: tensor as SafetensorsTensor });
    await assert.rejects(
      one({ dtype: "F32", shape: [3], values: () => values }),
      /x must have 3 elements .* got 24/,
    );
    await assert.rejects(
      one({ dtype: "F33", shape: [3], values: () => values }),
      /dtype of x must be one of F64/,
    );
    await assert.rejects(one({ dtype: "I8", shape: [24], values: () => values }), /must be bytes/);
    await assert.rejects(writeSafetensors(path, { __metadata__: tensors.half }), /cannot be named/);
    const stop = AbortSignal.abort(new Error("enough"));
    await assert.rejects(writeSafetensors(path, tensors, { signal: stop }), /enough/);
    await assert.rejects(stat(path), { code: "ENOENT" });
  });

  it("what is damaged is refused by name", async () => {
    const header = (text: string, data = 0) => {
      const bytes = new Uint8Array(8 + Buffer.byteLength(text) + data);
      new DataView(bytes.buffer).setBigUint64(0, BigInt(Buffer.byteLength(text)), true);
      bytes.set(Buffer.from(text), 8);
      return bytes;
    };
    const cases: [Uint8Array, RegExp][] = [
      [new Uint8Array(3), /is no safetensors file: it has 3 bytes/],
      [header("[]"), /does not begin with \{/],
      [header("{"), /not JSON/],
      [header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 4), /have 8 bytes, but 4/],
      [header('{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}', 8), /takes 12 bytes, got 8/],
      [header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}', 8), /begins at byte 4, expected 0/],
      [header('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', 4), /list of whole numbers/],
      [header('{"a":{"dtype":"C64","shape":[1],"data_offsets":[0,8]}}', 8), /has type "C64"/],
      [header('{"a":null}'), /has type undefined/],
      [header('{"__metadata__":{"a":1}}'), /must hold texts/],
    ];
    for (const [bytes, message] of cases) {
      await assert.rejects(decodeSafetensors(bytes, "x"), (error: Error) => {
        assert.ok(error instanceof FormatError);
        assert.match(error.message, message);
        return true;
      });
    }
    const path = join(folder, "none.safetensors");
    await writeFile(path, new Uint8Array(3));
    await assert.rejects(openSafetensors(path), /none\.safetensors: is no safetensors file/);
  });

  it("thousands of damaged files are refused or read, and nothing else", async function () {
    this.timeout(600_000);
    const bytes = await encodeSafetensors(tensors, { metadata: { by: "slimlab" } });
    const { refused, accepted } = await fuzz(bytes, async (file) => {
      const read = await decodeSafetensors(file);
      let size = 0;
      for (const name of read.tensors.keys()) size += (await read.bytes(name)).length;
      return size;
    });
    assert.ok(refused > accepted && accepted > 0, `${refused} refused, ${accepted} read`);
  });
});
