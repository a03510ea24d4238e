import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import {
  decodeOnnx,
  encodeGraphAsOnnx,
  encodeOnnx,
  type OnnxNode,
  type OnnxOptions,
  type OnnxTensor,
  type OnnxType,
  onnxModelOf,
  tensorrtProblems,
} from "../../lib/formats/index.ts";
import { permuted } from "../../lib/formats/network.ts";
import {
  calibrateActivations,
  graphOf,
  loadPretrained,
  modelOf,
  quantizedForward,
  quantizeWeights,
  tf,
  useBackend,
} from "../../lib/nn/index.ts";
import { fakeQuantize } from "../../lib/quantization/index.ts";
import { Judge, packed, unpacked } from "./judge.ts";
import { fuzz } from "./mutate.ts";
import { agreement, answers, branching, foreign, inputsFor, randomize, relative } from "./networks.ts";

describe("formats: ONNX out", function () {
  this.timeout(300_000);
  let folder: string;
  let judge: Judge | undefined;
  let lenet: tf.LayersModel;
  before(async () => {
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-onnx-"));
    judge = Judge.start("onnx", "onnxruntime");
    lenet = await loadPretrained("lenet-5");
  });
  after(async () => {
    judge?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** What onnxruntime answers, after ONNX's own checker has seen the file. */
  async function run(
    bytes: Uint8Array,
    values: Float32Array,
    shape: number[],
  ): Promise<{ outputs: Float32Array; ops: string[] }> {
    const path = join(folder, `${Math.random()}.onnx`);
    await writeFile(path, bytes);
    const { nodes } = (await judge!.call("onnx_check", path)) as { nodes: string[] };
    const [output] = (await judge!.call("onnx_run", path, [packed(values, shape)])) as never[];
    return { outputs: unpacked(output) as Float32Array, ops: nodes };
  }

  it("LeNet-5 and a network with every kind of layer give in onnxruntime what they give here", async function () {
    if (!judge) this.skip();
    for (const model of [lenet, branching(), foreign()]) {
      const { values, shape } = inputsFor(model, 3);
      const { outputs } = await run(encodeGraphAsOnnx(graphOf(model)), values, shape);
      const difference = relative(outputs, answers(model, values, shape));
      assert.ok(difference < 1e-5, `${model.name}: ${difference} of the largest output`);
    }
  });

  it("float16 and 8-bit kernels are as small as that, and as close", async function () {
    if (!judge) this.skip();
    const { test } = await loadDataset("mnist-10k");
    const values = Float32Array.from(test.images.subarray(0, 200 * 784), (pixel) => pixel / 255);
    const shape = [200, 28, 28, 1];
    const expected = answers(lenet, values, shape);
    const size = encodeGraphAsOnnx(graphOf(lenet)).length;
    for (const [weights, share, most] of [
      ["float16", 0.51, 2e-3],
      ["int8", 0.27, 0.05],
      ["int4", 0.17, 0.15],
    ] as const) {
      const bytes = encodeGraphAsOnnx(graphOf(lenet), { weights });
      assert.ok(bytes.length < share * size, `${weights}: ${bytes.length} of ${size} bytes`);
      const { outputs } = await run(bytes, values, shape);
      const difference = relative(outputs, expected);
      assert.ok(difference < most, `${weights}: ${difference}`);
      const same = agreement(outputs, expected, 10);
      assert.ok(same >= (weights === "int4" ? 0.99 : 1), `${weights}: agreement ${same}`);
    }
    assert.throws(
      () => onnxModelOf(graphOf(lenet), { weights: "int4", quantized: {} }),
      /give neither grids nor codes/,
    );
  });

  it("small kernels stay floats, but for networks in integers", () => {
    const graph = graphOf(lenet);
    const names = (options: OnnxOptions) =>
      onnxModelOf(graph, options)
        .initializers.map(({ name }) => name)
        .filter((name) => name.startsWith("conv1/kernel"));
    const codes = ["conv1/kernel/codes", "conv1/kernel/scale", "conv1/kernel/zero"];
    assert.deepEqual(names({ weights: "int8" }), ["conv1/kernel"]);
    assert.deepEqual(names({ weights: "int4" }), ["conv1/kernel"]);
    assert.deepEqual(names({ weights: "int8", keepFloatBelow: 0 }), codes);
    assert.deepEqual(names({ weights: "int8", activations: { layers: {} } }), codes);
    assert.throws(() => names({ weights: "int8", keepFloatBelow: 0.5 }), /keepFloatBelow must be/);
  });

  it("4-bit kernels are the numbers that their codes say", async function () {
    if (!judge) this.skip();
    const { values, shape } = inputsFor(lenet, 5);
    const { outputs } = await run(
      encodeGraphAsOnnx(graphOf(lenet), { weights: "int4", keepFloatBelow: 0 }),
      values,
      shape,
    );
    const graph = graphOf(lenet);
    const nodes = graph.nodes.map((node) => {
      const kernel = node.weights.kernel;
      if (!kernel) return node;
      const own = [...kernel.shape];
      const axis = own.length - 1;
      const grid = own.length === 2 ? ({ scheme: "affine", group: 32 } as const) : {};
      const rounded = fakeQuantize(kernel.values as Float32Array, { bits: 4, shape: own, axis, ...grid });
      return { ...node, weights: { ...node.weights, kernel: { ...kernel, values: rounded } } };
    });
    const simulation = modelOf({ ...graph, nodes });
    const difference = relative(outputs, answers(simulation, values, shape));
    assert.ok(difference < 1e-5, `${difference} of the largest output`);
    simulation.dispose();
  });

  it("8-bit weights and activations run in onnxruntime as our simulation says, in integers", async function () {
    if (!judge) this.skip();
    const { train, test } = await loadDataset("mnist-10k");
    const model = await loadPretrained("lenet-5");
    const activations = await calibrateActivations(model, subset(train, 200));
    const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
    const values = Float32Array.from(test.images.subarray(0, 1000 * 784), (pixel) => pixel / 255);
    const shape = [1000, 28, 28, 1];
    const simulation = quantizedForward(model, { activations });
    const expected = tf.tidy(() => simulation(tf.tensor(values, [1000, 28, 28, 1])).dataSync());
    const { outputs, ops } = await run(
      encodeGraphAsOnnx(graphOf(model), { quantized, activations } as OnnxOptions),
      values,
      shape,
    );
    const same = agreement(outputs, expected, 10);
    assert.ok(same >= 0.998, `agreement ${same}`);
    assert.ok(ops.filter((op) => op === "QuantizeLinear").length >= 5, ops.join());
    model.dispose();
  });

  it("for TensorRT everything is symmetric; what TensorRT would refuse is named", async function () {
    const { train, test } = await loadDataset("mnist-10k");
    const data = subset(train, 200);
    const affine = await calibrateActivations(lenet, data);
    assert.throws(
      () => onnxModelOf(graphOf(lenet), { activations: affine as never, target: "tensorrt" }),
      /must be symmetric and signed for TensorRT, got codes from 0 to 255/,
    );
    assert.match(
      tensorrtProblems(onnxModelOf(graphOf(lenet), { activations: affine as never })).join("\n"),
      /codes must be INT8, or INT4 for kernels, not UINT8/,
    );
    const activations = (await calibrateActivations(lenet, data, {
      scheme: "symmetric",
      signed: true,
    })) as never;
    const model = onnxModelOf(graphOf(lenet), { activations, target: "tensorrt" });
    assert.deepEqual(tensorrtProblems(model), []);
    assert.match(
      tensorrtProblems(onnxModelOf(graphOf(lenet), { activations })).join("\n"),
      /bias must be float/,
    );
    if (!judge) this.skip();
    const values = Float32Array.from(test.images.subarray(0, 500 * 784), (pixel) => pixel / 255);
    const { outputs } = await run(encodeOnnx(model), values, [500, 28, 28, 1]);
    const same = agreement(outputs, answers(lenet, values, [500, 28, 28, 1]), 10);
    assert.ok(same >= 0.99, `agreement ${same}`);
  });

  it("each of TensorRT's rules is looked at: what breaks it is named, and what keeps to it is not", () => {
    const tensor = (name: string, type: OnnxType, shape: number[], bytes = [1]): OnnxTensor => ({
      name,
      type,
      shape,
      bytes: Uint8Array.from(bytes),
    });
    const node = (op: string, inputs: string[], output: string, attributes: OnnxNode["attributes"] = {}) => ({
      ...{ op, domain: "", name: output, inputs, outputs: [output], attributes },
    });
    const grid = (value: string, output: string, zero = "zero") => [
      node("QuantizeLinear", [value, "step", zero], `${output}/q`),
      node("DequantizeLinear", [`${output}/q`, "step", zero], output),
    ];
    const kernel = (codes: string, output: string, attributes: OnnxNode["attributes"] = { axis: 0 }) =>
      node("DequantizeLinear", [codes, "steps"], output, attributes);
    const problems = (...nodes: (OnnxNode | OnnxNode[])[]) =>
      tensorrtProblems({
        ...{ irVersion: 10, producer: "", opsets: { "": 21 }, name: "", inputs: [], outputs: [] },
        nodes: nodes.flat(),
        initializers: [
          tensor("step", "FLOAT", []),
          tensor("steps", "FLOAT", [2]),
          tensor("zero", "INT8", [], [0]),
          tensor("three", "INT8", [], [3]),
          tensor("unsigned", "UINT8", [], [0]),
          tensor("codes", "INT8", [2, 2]),
          tensor("widest", "INT8", [2, 2], [128]),
          tensor("nibbles", "INT4", [2, 2]),
          tensor("unsigned nibbles", "UINT4", [2, 2]),
          tensor("bias", "FLOAT", [2]),
          tensor("whole", "INT32", [2]),
        ],
      });
    const named = (pattern: RegExp, ...nodes: (OnnxNode | OnnxNode[])[]) => {
      const found = problems(...nodes);
      assert.equal(found.length, 1, found.join("; "));
      assert.match(found[0], pattern);
    };
    const blocks = { axis: 1, block_size: 32 };
    const turned = node("Transpose", ["k"], "t", { perm: [1, 0] });
    assert.deepEqual(
      problems(
        grid("x", "a"),
        kernel("codes", "k"),
        node("Conv", ["a", "k", "bias"], "c"),
        kernel("codes", "up", { axis: 1 }),
        node("ConvTranspose", ["a", "up"], "d"),
        turned,
        node("MatMul", ["a", "t"], "m"),
        node("Add", ["m", "bias"], "n"),
        grid("c", "e"),
        node("Add", ["a", "e"], "sum"),
        node("Add", ["sum", "a"], "more"),
        kernel("nibbles", "n4", blocks),
        node("MatMul", ["more", "n4"], "y"),
        node("Conv", ["x", "floats"], "z"),
      ),
      [],
    );
    named(/^q: QLinearConv is not supported/, node("QLinearConv", [], "q"));
    named(/^q: MatMulInteger is not supported/, node("MatMulInteger", [], "q"));
    named(/^q: DynamicQuantizeLinear is not/, node("DynamicQuantizeLinear", [], "q"));
    named(/^a: zero points must be 0/, node("DequantizeLinear", ["x", "step", "three"], "a"));
    named(/^a: codes must be INT8, .* not UINT8/, node("DequantizeLinear", ["x", "step", "unsigned"], "a"));
    named(/^k: codes must be INT8, .* not UINT4/, kernel("unsigned nibbles", "k", blocks));
    named(/^k: kernels in INT4 must have their scales for blocks/, kernel("nibbles", "k"));
    named(/^k: kernels must keep to −127 to 127/, kernel("widest", "k"));
    named(/^a: activations must have one scale/, node("DequantizeLinear", ["x", "steps", "zero"], "a"));
    named(/^k: kernels must have their scales along axis 0/, kernel("codes", "k", { axis: 1 }));
    named(
      /^k: .* along axis 1/,
      grid("x", "a"),
      kernel("codes", "k"),
      node("ConvTranspose", ["a", "k"], "c"),
    );
    for (const op of ["Conv", "Gemm", "MatMul"])
      named(/^c: its input has no pair/, kernel("codes", "k"), node(op, ["x", "k"], "c"));
    named(/^c: its input has no pair/, kernel("codes", "k"), turned, node("MatMul", ["x", "t"], "c"));
    named(/^c: its bias must be float/, node("Conv", ["x", "floats", "whole"], "c"));
    named(
      /^s: only one of its inputs/,
      grid("x", "a"),
      node("Relu", ["a"], "b"),
      node("Add", ["a", "b"], "s"),
    );
  });

  it("what cannot be written is named, all of it at once", () => {
    const { layers } = tf;
    const model = tf.sequential({
      name: "odd",
      layers: [
        layers.conv2d({
          inputShape: [3, 8, 8],
          filters: 2,
          kernelSize: 3,
          dataFormat: "channelsFirst",
          name: "first",
        }),
        layers.permute({ dims: [2, 3, 1], name: "turn" }),
        layers.flatten({ name: "flat" }),
        layers.dense({ units: 2, activation: "gelu" as never, name: "last" }),
      ],
    });
    assert.throws(
      () => onnxModelOf(graphOf(randomize(model))),
      /odd cannot be written as ONNX: first \(conv2d with channels first\), last \(activation gelu\)/,
    );
    const graph = graphOf(lenet);
    assert.throws(() => onnxModelOf(graph, { weights: "int3" as never }), /weights must be one of/);
    const grid = { kind: "fixed", scale: 1, zeroPoint: 0, low: 0, high: 15 };
    assert.throws(
      () => onnxModelOf(graph, { activations: { layers: { conv1: grid } } }),
      /has no layer "conv1"|must be fixed point of 8 bits/,
    );
  });

  it("a file is read as it was written", () => {
    const model = onnxModelOf(graphOf(lenet), { weights: "int8" });
    assert.deepEqual(decodeOnnx(encodeOnnx(model)), JSON.parse(JSON.stringify(model), revive(model)));
  });

  it("axes are put in order as NumPy's transpose does", () => {
    // np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1).ravel()
    const expected = [0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23];
    assert.deepEqual(
      [
        ...permuted(
          Float32Array.from({ length: 24 }, (_, i) => i),
          [2, 3, 4],
          [2, 0, 1],
        ),
      ],
      expected,
    );
  });

  it("thousands of damaged files are refused or read, and nothing else", async function () {
    this.timeout(600_000);
    const model = tf.sequential({
      layers: [tf.layers.dense({ inputShape: [4], units: 3 }), tf.layers.reLU()],
    });
    const bytes = encodeGraphAsOnnx(graphOf(randomize(model)), { weights: "int8", keepFloatBelow: 0 });
    const { accepted, refused } = await fuzz(bytes, (file) =>
      decodeOnnx(file).initializers.reduce((sum, tensor) => sum + tensor.bytes.length, 0),
    );
    assert.ok(refused > 0 && accepted > 0, `${refused} refused, ${accepted} read`);
  });
});

/** JSON knows no bytes: those of the original stand in for them. */
function revive(
  model: ReturnType<typeof onnxModelOf>,
): (this: unknown, key: string, value: unknown) => unknown {
  let index = 0;
  return (key, value) => (key === "bytes" ? Uint8Array.from(model.initializers[index++].bytes) : value);
}
