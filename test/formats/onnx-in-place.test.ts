// ONNX files whose matrices are compressed where they stand.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  compressOnnx,
  decodeOnnx,
  encodeOnnx,
  FormatError,
  type OnnxCompressOptions,
  type OnnxModel,
  type OnnxNode,
  type OnnxTensor,
} from "../../lib/formats/index.ts";
import { nodeMessage } from "../../lib/formats/onnx/model.ts";
import { bytesOfTensor, scanOpened } from "../../lib/formats/onnx/scan.ts";
import { ProtoWriter } from "../../lib/formats/protobuf.ts";
import { fileOf } from "../../lib/platform/memory.ts";
import { readBytes } from "../../lib/platform/node.ts";
import { fakeQuantize } from "../../lib/quantization/index.ts";
import { toHalves } from "../../lib/util/half.ts";
import { seeded } from "../../lib/util/random.ts";
import { Judge, packed, unpacked } from "./judge.ts";
import { fuzz } from "./mutate.ts";

const random = seeded(7);
const noise = (count: number) => Float32Array.from({ length: count }, () => random() - 0.5);
const floats = (
  name: string,
  shape: number[],
  values: Float32Array = noise(shape.reduce((a, b) => a * b, 1)),
): OnnxTensor => ({
  name,
  type: "FLOAT",
  shape,
  bytes: new Uint8Array(values.buffer as ArrayBuffer),
});
const node = (
  op: string,
  inputs: string[],
  outputs: string[],
  attributes: OnnxNode["attributes"] = {},
): OnnxNode => ({
  op,
  domain: "",
  name: outputs[0],
  inputs,
  outputs,
  attributes,
});

/** Every way in which a constant matrix is read: looked up, from the right, transposed, by Gemm with its bias, by Conv. */
function everyWay(opset: number): OnnxModel {
  return {
    irVersion: opset >= 21 ? 10 : 8,
    producer: "test",
    opsets: { "": opset },
    name: "ways",
    nodes: [
      node("Gather", ["table", "tokens"], ["rows"]),
      node("MatMul", ["rows", "right"], ["a"]),
      node("Transpose", ["left"], ["turned"], { perm: [1, 0] }),
      node("MatMul", ["a", "turned"], ["b"]),
      node("Squeeze", ["b", "zero"], ["c"]),
      node("Gemm", ["c", "gemm", "bias"], ["d"], { transB: 1 }),
      node("Gemm", ["d", "plain"], ["e"]),
      node("Add", ["e", "kept"], ["f"]),
      node("Reshape", ["f", "sizes"], ["g"]),
      node("Conv", ["g", "conv"], ["h"], { kernel_shape: [3, 3] }),
      node("Flatten", ["h"], ["out"], { axis: 1 }),
    ],
    initializers: [
      floats("table", [50, 40]),
      floats("right", [40, 48]),
      floats("left", [48, 48]),
      { name: "zero", type: "INT64", shape: [1], bytes: new Uint8Array(8) },
      floats("gemm", [36, 48]),
      floats("bias", [36]),
      floats("plain", [36, 64]),
      floats("kept", [5, 64]),
      {
        name: "sizes",
        type: "INT64",
        shape: [4],
        bytes: new Uint8Array(BigInt64Array.of(5n, 4n, 4n, 4n).buffer),
      },
      floats("conv", [30, 4, 3, 3]),
    ],
    inputs: [{ name: "tokens", type: "INT64", shape: [1, 5] }],
    outputs: [{ name: "out", type: "FLOAT", shape: [5, 120] }],
  };
}

const valuesOf = ({ bytes }: OnnxTensor) => new Float32Array(bytes.slice().buffer);

/** The same model with each named constant as its codes say, in groups along the inputs. */
function simulated(
  model: OnnxModel,
  names: readonly string[],
  { bits, group = 32, scheme = "affine" }: OnnxCompressOptions,
): OnnxModel {
  const initializers = model.initializers.map((tensor) => {
    if (!names.includes(tensor.name)) return tensor;
    const values = valuesOf(tensor);
    if (tensor.name === "conv") {
      const shape = [tensor.shape[0], 36];
      return floats(
        tensor.name,
        [...tensor.shape],
        fakeQuantize(values, { bits, shape, axis: 0, scaleType: "float16" }),
      );
    }
    const [rows, columns] = tensor.shape;
    const across = tensor.name === "right" || tensor.name === "plain";
    // Columns are outputs, and groups run down the rows.
    const options = {
      bits,
      scheme,
      shape: [rows, columns],
      axis: across ? 1 : 0,
      group,
      scaleType: "float16",
    } as const;
    return floats(tensor.name, [rows, columns], fakeQuantize(values, options));
  });
  return { ...model, initializers };
}

describe("formats: ONNX in place", function () {
  this.timeout(300_000);
  let folder: string;
  let judge: Judge | undefined;
  const at = (name: string) => join(folder, name);
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-in-place-"));
    judge = Judge.start("onnx", "onnxruntime");
  });
  after(async () => {
    judge?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function run(path: string, level = "none"): Promise<Float32Array<ArrayBuffer>> {
    const [output] = (await judge!.call(
      "onnx_run",
      path,
      [packed(BigInt64Array.of(3n, 49n, 0n, 7n, 21n), [1, 5])],
      level,
    )) as never[];
    return unpacked(output) as Float32Array<ArrayBuffer>;
  }

  for (const [opset, options, names] of [
    [17, { bits: 4 }, ["table", "right", "left", "gemm", "plain"]],
    [17, { bits: 4, group: 16, scheme: "symmetric" }, ["table", "right", "left", "gemm", "plain"]],
    [17, { bits: 8 }, ["right", "left", "gemm", "plain", "conv"]],
    [21, { bits: 4, layout: "dequantize" }, ["table", "right", "left", "gemm", "plain", "conv"]],
    [
      21,
      { bits: 8, layout: "dequantize", scheme: "symmetric" },
      ["table", "right", "left", "gemm", "plain", "conv"],
    ],
  ] as [number, OnnxCompressOptions, string[]][])
    it(`onnxruntime computes what the codes say: opset ${opset}, ${JSON.stringify(options)}`, async function () {
      if (!judge) this.skip();
      const model = everyWay(opset);
      await writeFile(at("float.onnx"), encodeOnnx(model));
      const result = await compressOnnx(at("float.onnx"), at("small.onnx"), options);
      assert.deepEqual(result.changed.map(({ name }) => name).sort(), [...names].sort());
      assert.equal(result.bytes, (await readBytes(at("small.onnx"))).length);
      const found = decodeOnnx(await readBytes(at("small.onnx")));
      const left = found.initializers.filter(({ name }) => names.includes(name));
      assert.deepEqual(left, [], "what was compressed is gone");
      await writeFile(at("simulated.onnx"), encodeOnnx(simulated(model, names, options)));
      const [float, expected, small] = [
        await run(at("float.onnx")),
        await run(at("simulated.onnx")),
        await run(at("small.onnx")),
      ];
      const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const off = (a: Float32Array<ArrayBuffer>) =>
        a.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i])), 0) / largest;
      assert.ok(off(small) < 1e-5, `${off(small)} from the simulation`);
      // Left to itself it rounds what goes into fused products to 8 bits, too.
      const fast = off(await run(at("small.onnx"), "all"));
      assert.ok(fast < (options.layout ? 0.05 : 1e-5), `${fast} from the simulation, optimized`);
      assert.ok(off(float) > 1e-3, `only ${off(float)} from the float network: nothing was compressed`);
      // Bits and scales are what the bytes are: 4.6 of 32 at 4 bits; rows of 40 and 48 are filled up to 64.
      const [before, after] = result.changed.reduce(
        ([b, a], { before: x, after: y }) => [b + x, a + y],
        [0, 0],
      );
      assert.ok(after < (options.bits === 4 ? 0.22 : 0.41) * before, `${after} of ${before} bytes`);
    });

  it("constants that nodes give, as Paddle writes them all, are compressed as those of the graph", async function () {
    if (!judge) this.skip();
    const model = everyWay(17);
    const given: OnnxModel = {
      ...model,
      initializers: [],
      nodes: [
        ...model.initializers.map((value) => node("Constant", [], [value.name], { value })),
        ...model.nodes,
      ],
    };
    await writeFile(at("float.onnx"), encodeOnnx(model));
    await writeFile(at("given.onnx"), encodeOnnx(given));
    const options = { bits: 4 } as const;
    const expected = await compressOnnx(at("float.onnx"), at("small.onnx"), options);
    const result = await compressOnnx(at("given.onnx"), at("given-small.onnx"), options);
    assert.deepEqual([result.changed, result.left], [expected.changed, expected.left]);
    const { nodes } = decodeOnnx(await readBytes(at("given-small.onnx")));
    assert.deepEqual(
      nodes.filter(({ op }) => op === "Constant").map(({ outputs }) => outputs[0]),
      ["zero", "bias", "kept", "sizes", "conv"],
    );
    assert.deepEqual(await run(at("given-small.onnx")), await run(at("small.onnx")));
  });

  it("what stays is named, with the reason", async () => {
    await writeFile(at("float.onnx"), encodeOnnx(everyWay(17)));
    const { left } = await compressOnnx(at("float.onnx"), at("small.onnx"), { bits: 4, smallest: 100 });
    assert.deepEqual(
      left.map(({ name, why }) => `${name}: ${why}`),
      [
        "bias: fewer than 100 numbers",
        "kept: read by Add",
        "conv: read by Conv, which has 4 bits from opset 21 on, and the file 17",
      ],
    );
  });

  it("constants of float16, and those that lie in files beside the model, are compressed as others", async function () {
    if (!judge) this.skip();
    const half = toHalves(noise(40 * 48));
    const outside = (location: string, offset = 0, length = 7680) => {
      const entry = (key: string, value: string) => new ProtoWriter().text(1, key).text(2, value);
      const tensor = new ProtoWriter().integer(1, 40).integer(1, 48).integer(2, 1).text(8, "right");
      for (const [key, value] of [
        ["location", location],
        ["offset", String(offset)],
        ["length", String(length)],
      ])
        tensor.message(13, entry(key, value));
      tensor.integer(14, 1);
      const value = (name: string, type: number, sizes: number[]) => {
        const dims = new ProtoWriter();
        for (const size of sizes) dims.message(1, new ProtoWriter().integer(1, size));
        const kind = new ProtoWriter().integer(1, type).message(2, dims);
        return new ProtoWriter().text(1, name).message(2, new ProtoWriter().message(1, kind));
      };
      const graph = new ProtoWriter()
        .message(1, nodeMessage(node("MatMul", ["x", "right"], ["out"])))
        .text(2, "outside")
        .message(5, tensor)
        .message(11, value("x", 1, [1, 40]))
        .message(12, value("out", 1, [1, 48]));
      return new ProtoWriter()
        .integer(1, 8)
        .message(7, graph)
        .message(8, new ProtoWriter().text(1, "").integer(2, 17))
        .finish();
    };
    const values = noise(40 * 48);
    await mkdir(at("data"), { recursive: true });
    await writeFile(at("data/weights.bin"), Buffer.concat([Buffer.alloc(64), Buffer.from(values.buffer)]));
    await writeFile(at("outside.onnx"), outside("data/weights.bin", 64));
    await compressOnnx(at("outside.onnx"), at("inside.onnx"), { bits: 8 });
    const x = noise(40);
    const call = async (path: string) =>
      unpacked(
        (await judge!.call("onnx_run", path, [packed(x, [1, 40])]))[0] as never,
      ) as Float32Array<ArrayBuffer>;
    const [before, after] = [await call(at("outside.onnx")), await call(at("inside.onnx"))];
    assert.ok(Math.max(...before.map((value, i) => Math.abs(value - after[i]))) < 0.01);
    // A constant that stays is taken into the file.
    await assert.rejects(
      compressOnnx(at("outside.onnx"), at("none.onnx"), { bits: 8, smallest: 10_000 }),
      /no constant matrix to compress: right \(fewer than 10000 numbers\)/,
    );
    for (const [location, message] of [
      ["../weights.bin", /is not in the model's folder/],
      ["/etc/hostname", /is not in the model's folder/],
      ["data/missing.bin", /which cannot be read/],
    ] as const) {
      await writeFile(at("bad.onnx"), outside(location));
      await assert.rejects(compressOnnx(at("bad.onnx"), at("none.onnx"), { bits: 8 }), message);
    }
    await writeFile(at("bad.onnx"), outside("data/weights.bin", 4000));
    await assert.rejects(
      compressOnnx(at("bad.onnx"), at("none.onnx"), { bits: 8 }),
      /takes 7680 bytes, .* has 3744 there/,
    );
    const model = everyWay(17);
    const halves: OnnxTensor = {
      name: "right",
      type: "FLOAT16",
      shape: [40, 48],
      bytes: new Uint8Array(half.buffer),
    };
    const float16: OnnxModel = {
      ...model,
      nodes: [node("MatMul", ["x", "right"], ["out"])],
      initializers: [halves],
      inputs: [{ name: "x", type: "FLOAT16", shape: [1, 40] }],
      outputs: [{ name: "out", type: "FLOAT16", shape: [1, 48] }],
    };
    await writeFile(at("half.onnx"), encodeOnnx(float16));
    await compressOnnx(at("half.onnx"), at("half-small.onnx"), { bits: 4 });
    const types = decodeOnnx(await readBytes(at("half-small.onnx"))).initializers.map(({ type }) => type);
    assert.deepEqual(types, ["UINT8", "FLOAT16", "UINT8"]);
    assert.equal((await readdir(folder)).filter((name) => name.includes("tmp")).length, 0);
  });

  it("what cannot be done is refused, and leaves no file", async () => {
    await writeFile(at("float.onnx"), encodeOnnx(everyWay(17)));
    const to = at("refused.onnx");
    const refused = (options: object, message: RegExp) =>
      assert.rejects(compressOnnx(at("float.onnx"), to, options as OnnxCompressOptions), message);
    await refused({ bits: 3 }, /bits must be 4 or 8, got 3/);
    await refused({ bits: 4, group: 48 }, /group must be a power of two, got 48/);
    await refused({ bits: 4, layout: "dequantize" }, /must have opset 21 or more .* got 17/);
    const aborted = AbortSignal.abort(new Error("enough"));
    await refused({ bits: 4, signal: aborted }, /enough/);
    await writeFile(at("no.onnx"), "this is no model");
    await assert.rejects(compressOnnx(at("no.onnx"), to, { bits: 4 }), /no\.onnx.*is no ONNX model/);
    // A constant whose numbers stand in no field that is known.
    const empty = Buffer.from(encodeOnnx(everyWay(17)));
    const key = empty.indexOf(Buffer.from("\x42\x05plain\x4a", "latin1")) + 7;
    assert.ok(key > 7);
    empty[key] = 0x7a;
    await writeFile(at("empty.onnx"), empty);
    await assert.rejects(
      compressOnnx(at("empty.onnx"), to, { bits: 4 }),
      (error: Error) =>
        error instanceof FormatError &&
        /^[^:]*empty\.onnx: tensor "plain" takes 9216 bytes, got 0$/.test(error.message),
    );
    assert.deepEqual(
      (await readdir(folder)).filter((name) => /refused|tmp/.test(name)),
      [],
    );
  });

  it("thousands of damaged files are refused or gone through, and nothing else", async function () {
    this.timeout(600_000);
    const model = everyWay(17);
    const [value, ...initializers] = model.initializers;
    const nodes = [node("Constant", [], [value.name], { value }), ...model.nodes];
    const { accepted, refused } = await fuzz(encodeOnnx({ ...model, nodes, initializers }), async (bytes) => {
      const scan = await scanOpened(fileOf(bytes), "damaged.onnx");
      let sum = 0;
      for (const tensor of scan.tensors)
        if (!tensor.bytes?.file) sum += (await bytesOfTensor(scan, tensor)).length;
      return sum;
    });
    assert.ok(refused > 0 && accepted > 0, `${refused} refused, ${accepted} read`);
  });
});
