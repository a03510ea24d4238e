import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convert } from "../../lib/commands/convert.ts";
import { inspect } from "../../lib/commands/inspect.ts";
import {
  decodeOnnx,
  encodeOnnx,
  fromHalves,
  openSafetensors,
  packGguf,
  tensorrtProblems,
  toHalves,
  unpackGguf,
  writeSafetensors,
} from "../../lib/formats/index.ts";
import {
  loadModel,
  loadPretrained,
  loadSlim,
  quantizeWeights,
  saveModel,
  saveSlim,
  tf,
  useBackend,
  weightsOf,
} from "../../lib/nn/index.ts";
import { readBytes } from "../../lib/platform/node.ts";
import { packageRoot } from "../../lib/util/files.ts";

const lenet5 = join(packageRoot, "datasets", "weights", "lenet-5");

describe("slimlab inspect and convert", function () {
  this.timeout(300_000);
  let folder: string;
  const at = (name: string) => join(folder, name);
  before(async () => {
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-convert-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("inspect tells what LeNet-5 costs and what can be done with it", async () => {
    const report = await inspect(lenet5);
    // LeCun's numbers: 20 + 500 + 50 + 25,000 + 500 + 400,000 + 10 + 5,000 weights.
    assert.equal(report.parameters, 431_080);
    // 24·24·20·25 + 8·8·50·500 + 800·500 + 500·10.
    assert.equal(report.macs, 2_293_000);
    const techniques = Object.fromEntries(report.rows.map(({ layer, techniques }) => [layer, techniques]));
    assert.match(String(techniques.fc1), /take out units, factorize/);
    assert.doesNotMatch(String(techniques.fc2), /take out units/, "classes stay");
    assert.equal(techniques.pool1, "");
  });

  it("a network becomes ONNX, safetensors, .slim and TensorFlow.js files that hold the same", async () => {
    const model = await loadPretrained("lenet-5");
    const { kernel } = { kernel: weightsOf(model).fc2 };
    await convert(lenet5, at("a.slim"), {});
    await convert(at("a.slim"), at("folder"), {});
    assert.deepEqual((await readdir(at("folder"))).sort(), ["model.json", "weights.bin"]);
    assert.deepEqual(weightsOf(await loadModel(at("folder"))).fc2, kernel);
    await convert(at("folder"), at("a.safetensors"), { weights: "float16" });
    const tensors = await openSafetensors(at("a.safetensors"));
    assert.deepEqual(await tensors.floats("fc2/kernel"), fromHalves(toHalves(kernel)));
    await tensors.close();
    await convert(at("folder"), at("a.onnx"), {});
    const onnx = decodeOnnx(await readBytes(at("a.onnx")));
    assert.deepEqual(
      [onnx.inputs[0].shape, onnx.outputs[0].shape],
      [
        ["N", 28, 28, 1],
        ["N", 10],
      ],
    );
    await convert(at("a.slim"), at("a.tflite"), { data: "mnist-10k", images: 32 });
    assert.equal(Buffer.from(await readBytes(at("a.tflite"))).toString("latin1", 4, 8), "TFL3");
    const back = await inspect(at("a.tflite"));
    assert.deepEqual([back.parameters, back.macs], [431_080, 2_293_000]);
    assert.match(back.notes.join(), /integers in the file and floats in the network/);
    assert.match(await convert(at("a.tflite"), at("back.slim"), {}), /integers in the file/);
    const report = await inspect(at("a.onnx"));
    assert.match(report.notes.join("\n"), /2 Conv/);
    assert.deepEqual([report.parameters, report.macs], [431_080, 2_293_000]);
    // Weights in nodes, and sizes that the file leaves open: what it holds is counted all the same.
    const open = {
      ...onnx,
      inputs: [{ ...onnx.inputs[0], shape: ["N", null, 28, 1] }],
      initializers: [],
      nodes: [
        ...onnx.initializers.map((value) => ({
          ...{ op: "Constant", domain: "", name: value.name, inputs: [], outputs: [value.name] },
          attributes: { value },
        })),
        ...onnx.nodes,
      ],
    };
    await writeFile(at("open.onnx"), encodeOnnx(open));
    const whole = await inspect(at("open.onnx"));
    assert.equal(whole.parameters, 431_080);
    assert.match(whole.notes.join("\n"), /sizes that are not fixed/);
    await convert(at("a.onnx"), at("onnx.slim"), {});
    const fc2 = Object.entries(weightsOf((await loadSlim(at("onnx.slim"))).model)).at(-1)![1];
    assert.deepEqual(fc2, kernel);
    assert.equal((await inspect(at("a.safetensors"))).parameters, 431_080);
  });

  it("a .slim file's own codes go into ONNX, and --data adds grids by the target's rules", async () => {
    const model = await loadPretrained("lenet-5");
    const { quantized } = quantizeWeights(model, { bits: 4 });
    await saveSlim(at("four.slim"), model, { quantized });
    await convert(at("four.slim"), at("four.onnx"), {});
    const { initializers } = decodeOnnx(await readBytes(at("four.onnx")));
    const codes = new Int8Array(initializers.find(({ name }) => name === "fc1/kernel/codes")!.bytes);
    assert.ok(codes.every((code) => code >= -7 && code <= 7));
    const notes = await convert(lenet5, at("trt.onnx"), {
      data: "mnist-10k",
      images: 64,
      target: "tensorrt",
    });
    assert.match(
      notes,
      /tensorrt; 4 kernels rounded on 64 examples: \d by GPTQ, \d with their bias corrected/,
    );
    assert.deepEqual(tensorrtProblems(decodeOnnx(await readBytes(at("trt.onnx")))), []);
    const plain = { data: "mnist-10k", images: 64, rounding: "nearest" };
    assert.equal(await convert(lenet5, at("plain.tflite"), plain), "8-bit activations for LiteRT");
    // What has codes keeps them.
    assert.equal(
      await convert(at("four.slim"), at("kept.onnx"), { data: "mnist-10k", images: 64 }),
      "8-bit activations for ort",
    );
    assert.match(
      await convert(lenet5, at("few.onnx"), { data: "mnist-10k", images: 2 }),
      /to the nearest: to do better takes 3 examples/,
    );
  });

  it("tensors change their type one by one", async () => {
    await convert(lenet5, at("full.safetensors"), {});
    await convert(at("full.safetensors"), at("half.safetensors"), { weights: "bfloat16" });
    const [full, half] = await Promise.all(
      ["full", "half"].map(async (n) => (await stat(at(`${n}.safetensors`))).size),
    );
    assert.ok(half < 0.51 * full, `${half} of ${full} bytes`);
  });

  it("tensors go into 4 bits and back, those that cannot are named", async () => {
    await convert(lenet5, at("w.safetensors"), {});
    const notes = await convert(at("w.safetensors"), at("w.gguf"), { weights: "Q4_0" });
    assert.match(
      notes,
      /rows of conv1\/kernel, conv2\/kernel, fc1\/kernel, fc2\/kernel are no multiple of 32: F32/,
    );
    const values = Float32Array.from({ length: 64 * 96 }, (_, i) => Math.sin(i));
    await writeSafetensors(at("m.safetensors"), {
      m: { dtype: "F16", shape: [64, 96], values: () => values },
      v: { dtype: "F32", shape: [96], values: () => values.subarray(0, 96) },
    });
    assert.match(
      await convert(at("m.safetensors"), at("m.gguf"), { weights: "Q4_0" }),
      /no architecture is known/,
    );
    const report = await inspect(at("m.gguf"));
    assert.deepEqual(report.rows.map(({ tensor, type }) => [tensor, type]).sort(), [
      ["m", "Q4_0"],
      ["v", "F32"],
    ]);
    // Again to the same type: copied, byte for byte.
    await convert(at("m.gguf"), at("n.gguf"), { weights: "Q4_0" });
    assert.deepEqual(await readBytes(at("n.gguf")), await readBytes(at("m.gguf")));
    await convert(at("m.gguf"), at("back.safetensors"), {});
    const back = await openSafetensors(at("back.safetensors"));
    assert.deepEqual(
      await back.floats("m"),
      unpackGguf("Q4_0", packGguf("Q4_0", fromHalves(toHalves(values)))),
    );
    await back.close();
    await assert.rejects(convert(lenet5, at("x.gguf"), {}), /IN must end in \.safetensors or \.gguf/);
  });

  it("a network's 4 bits, matrices in place, and a language model go into ONNX", async () => {
    await convert(lenet5, at("float.onnx"), {});
    assert.equal(
      await convert(lenet5, at("int4.onnx"), { weights: "int4" }),
      "kept as floats, with fewer than 1,024 weights each: conv1",
    );
    assert.equal(await convert(lenet5, at("all.tflite"), { weights: "int8", keepFloatBelow: 0 }), "");
    await assert.rejects(
      convert(lenet5, at("x.onnx"), { weights: "int8", keepFloatBelow: 9, data: "mnist-10k" }),
      /--keep-float goes without --data/,
    );
    await assert.rejects(convert(lenet5, at("x.slim"), { keepFloatBelow: 9 }), /--keep-float goes with an/);
    await assert.rejects(
      convert(lenet5, at("x.onnx"), { weights: "int8", keepFloatBelow: Number.NaN }),
      /--keep-float must be a whole number/,
    );
    const [full, four] = [
      (await readBytes(at("float.onnx"))).length,
      (await readBytes(at("int4.onnx"))).length,
    ];
    assert.ok(four < 0.17 * full, `${four} of ${full} bytes`);
    assert.match(
      await convert(at("float.onnx"), at("placed.onnx"), { weights: "int8", inPlace: true, group: 64 }),
      /^3 matrices in 8 bits, the largest relative error 0\.00\d+ \(/,
    );
    await assert.rejects(
      convert(lenet5, at("x.onnx"), { weights: "int4", group: 32 }),
      /from an \.onnx file/,
    );
    await assert.rejects(
      convert(at("float.onnx"), at("x.onnx"), { weights: "float16", inPlace: true }),
      /--weights in place must be one of "int4", "int8", got "float16"/,
    );
    const gguf = join(packageRoot, "datasets", "prose", "small.gguf");
    await convert(gguf, at("lm.onnx"), {});
    await convert(gguf, at("lm4.onnx"), { weights: "int4" });
    const [floats, codes] = [
      (await readBytes(at("lm.onnx"))).length,
      (await readBytes(at("lm4.onnx"))).length,
    ];
    assert.ok(codes < 0.35 * floats, `${codes} of ${floats} bytes`);
    assert.match(
      await convert(gguf, at("q.gguf"), { weights: "Q4_1", rounding: "nearest" }),
      /^14 matrices in 4\.63 bits per weight$/,
    );
    const types = new Set((await inspect(at("q.gguf"))).rows.map(({ type }) => type));
    assert.deepEqual([...types].sort(), ["F16", "F32", "Q4_1"]);
    await assert.rejects(
      convert(gguf, at("x.gguf"), { weights: "Q4_1", rounding: "gptq" }),
      /--rounding gptq needs --text FILE/,
    );
    // The small model reads letters: it has no tokenizer to read a file with.
    await writeFile(at("text.txt"), "some words");
    await assert.rejects(
      convert(gguf, at("x.gguf"), { weights: "Q4_0", rounding: "awq", text: at("text.txt") }),
      /tokenizer\.ggml\.model must be gpt2/,
    );
  });

  it("what does not go together is an error that says what does", async () => {
    await writeFile(at("text.txt"), "hello");
    await assert.rejects(inspect(at("text.txt")), /of no known format; what can be read: TensorFlow\.js/);
    await assert.rejects(inspect(at("none.onnx")), /there is no file .*none\.onnx: ENOENT/);
    await assert.rejects(convert(lenet5, at("x.h5"), {}), /OUT's ending must be one of ".onnx"/);
    await assert.rejects(
      convert(lenet5, at("x.slim"), { weights: "float16" }),
      /--weights must be one of "float32"/,
    );
    await assert.rejects(convert(lenet5, at("x.onnx"), { target: "tensorrt" }), /--target needs --data/);
    await assert.rejects(
      convert(lenet5, at("x.slim"), { data: "mnist-10k" }),
      /--data goes with an \.onnx or \.tflite file/,
    );
    await assert.rejects(
      convert(lenet5, at("x.onnx"), { data: "mnist-10k", rounding: "gptq" }),
      /--rounding with --data must be one of "calibrated", "nearest", got "gptq"/,
    );
    await assert.rejects(
      convert(lenet5, at("x.onnx"), { data: "mnist-10k", text: at("text.txt") }),
      /--text goes with a language model/,
    );
    // What the format lacks is said before the examples are looked at.
    const sequence = tf.layers.conv1d({ filters: 2, kernelSize: 3, inputShape: [8, 2], name: "steps" });
    await saveModel(tf.sequential({ layers: [sequence] }), at("sequence"));
    await assert.rejects(
      convert(at("sequence"), at("x.onnx"), { data: at("none.npz") }),
      /cannot be written as ONNX: steps \(conv1d\)/,
    );
    await convert(lenet5, at("y.safetensors"), {});
    await assert.rejects(convert(at("y.safetensors"), at("x.onnx"), {}), /tensors without a network/);
  });
});
