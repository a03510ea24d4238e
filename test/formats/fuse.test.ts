import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  layersWithGrids,
  type OnnxOptions,
  readyForEngine,
  readyForIntegers,
  tfliteModelOf,
} from "../../lib/formats/index.ts";
import {
  calibrateActivations,
  graphOf,
  integerNetworkOf,
  modelOf,
  quantizeWeights,
  tf,
  useBackend,
} from "../../lib/nn/index.ts";
import { runInteger } from "../../lib/quantization/index.ts";
import { Judge, packed, unpacked } from "./judge.ts";
import { answers, branching, inputsFor, randomize, relative } from "./networks.ts";

/** Blocks of MobileNetV2: expansion, depthwise, projection, each with its normalisation, and a residual sum. */
function mobile(): tf.LayersModel {
  const { layers } = tf;
  const input = tf.input({ shape: [16, 16, 3], name: "image" });
  const block = (x: tf.SymbolicTensor, name: string, convolution: tf.layers.Layer, relu = true) => {
    const normal = layers.batchNormalization({ name: `${name}_bn` }).apply(convolution.apply(x));
    return (
      relu ? layers.reLU({ maxValue: 6, name: `${name}_relu` }).apply(normal) : normal
    ) as tf.SymbolicTensor;
  };
  const conv = (name: string, filters: number, strides = 1) =>
    layers.conv2d({
      name,
      filters,
      kernelSize: strides === 1 ? 1 : 3,
      strides,
      padding: "same",
      useBias: false,
    });
  let x = block(input, "stem", conv("stem", 8, 2));
  const from = x;
  x = block(x, "expand", conv("expand", 24));
  x = block(
    x,
    "depth",
    layers.depthwiseConv2d({ name: "depth", kernelSize: 3, padding: "same", useBias: false }),
  );
  x = block(x, "project", conv("project", 8), false);
  x = layers.add({ name: "sum" }).apply([from, x]) as tf.SymbolicTensor;
  x = block(x, "last", conv("last", 16));
  const pooled = layers.globalAveragePooling2d({ name: "pool" }).apply(x);
  const output = layers.dense({ units: 6, activation: "softmax", name: "class" }).apply(pooled);
  return randomize(tf.model({ inputs: input, outputs: output as tf.SymbolicTensor, name: "mobile" }), 7);
}

/** A squeeze-and-excite gate, swishes inside and behind layers, a branch that is pooled and brought back up. */
function gated(): tf.LayersModel {
  const { layers } = tf;
  const input = tf.input({ shape: [8, 8, 3] });
  const on = (layer: tf.layers.Layer, ...given: tf.SymbolicTensor[]) =>
    layer.apply(given.length === 1 ? given[0] : given) as tf.SymbolicTensor;
  const wide = on(layers.conv2d({ filters: 6, kernelSize: 3, padding: "same", activation: "swish" }), input);
  const deep = on(layers.depthwiseConv2d({ kernelSize: 3, padding: "same" }), wide);
  const bent = on(layers.activation({ activation: "tanh" }), deep);
  const row = on(layers.reshape({ targetShape: [1, 1, 6] }), on(layers.globalAveragePooling2d({}), bent));
  const gate = on(layers.conv2d({ filters: 6, kernelSize: 1, activation: "sigmoid" }), row);
  const excited = on(layers.multiply(), bent, gate);
  const low = on(
    layers.conv2d({ filters: 4, kernelSize: 3, padding: "same", activation: "elu" }),
    on(layers.maxPooling2d({}), wide),
  );
  const both = on(layers.concatenate(), excited, on(layers.upSampling2d({}), low));
  return randomize(
    tf.model({ inputs: input, outputs: on(layers.conv2d({ filters: 2, kernelSize: 1 }), both) }),
  );
}

describe("formats: networks made ready for engines", function () {
  this.timeout(300_000);
  before(() => useBackend("wasm"));

  it("normalisations and ReLUs become parts of the layers before them, and nothing changes", () => {
    for (const [model, kinds] of [
      [mobile(), ["add", "conv2d", "dense", "depthwiseConv2d", "globalAveragePooling2d", "input"]],
      [branching("tanh"), undefined],
    ] as const) {
      const graph = readyForEngine(graphOf(model));
      if (kinds) assert.deepEqual([...new Set(graph.nodes.map(({ kind }) => kind))].sort(), kinds);
      const { values, shape } = inputsFor(model, 2);
      const difference = relative(answers(modelOf(graph), values, shape), answers(model, values, shape));
      assert.ok(difference < 1e-5, `${model.name}: ${difference} of the largest output`);
    }
  });

  it("a ReLU that is not alone with its layer stays", () => {
    const input = tf.input({ shape: [4] });
    const hidden = tf.layers.dense({ units: 4, name: "hidden" }).apply(input) as tf.SymbolicTensor;
    const relu = tf.layers.reLU({ name: "relu" }).apply(hidden) as tf.SymbolicTensor;
    const clipped = tf.layers
      .reLU({ name: "five", maxValue: 5 })
      .apply(tf.layers.dense({ units: 4, name: "other" }).apply(relu)) as tf.SymbolicTensor;
    const sum = tf.layers.add({ name: "sum" }).apply([hidden, clipped]) as tf.SymbolicTensor;
    const graph = readyForEngine(graphOf(tf.model({ inputs: input, outputs: sum })));
    assert.deepEqual(graph.nodes.map(({ name }) => name).slice(1), [
      "hidden",
      "relu",
      "other",
      "five",
      "sum",
    ]);
  });

  it("blocks of MobileNetV2 run in integers in both engines", async function () {
    const judge = Judge.start("ai_edge_litert", "onnx", "onnxruntime");
    if (!judge) this.skip();
    const folder = await mkdtemp(join(tmpdir(), "slimlab-fuse-"));
    try {
      const model = mobile();
      const graph = readyForEngine(graphOf(model));
      const layers = layersWithGrids(graph);
      assert.deepEqual(layers, ["stem", "expand", "depth", "project", "sum", "last"]);
      const pixels = inputsFor(model, 40, 9).values;
      const data = {
        images: Uint8Array.from(pixels, (v) => Math.round(255 * v)),
        labels: new Uint8Array(40),
        count: 40,
        height: 16,
        width: 16,
        channels: 3,
      };
      const activations = await calibrateActivations(modelOf(graph), data as never, { layers });
      const options = { activations } as Omit<OnnxOptions, "weights">;
      const { values, shape } = inputsFor(model, 1);
      const expected = answers(model, values, shape);
      const onnx = join(folder, "a.onnx");
      await writeFile(onnx, encodeGraphAsOnnx(graph, options));
      const [fromOnnx] = (await judge.call("onnx_run", onnx, [packed(values, shape)])) as never[];
      const inOnnx = relative(unpacked(fromOnnx) as Float32Array, expected);
      assert.ok(inOnnx < 0.1, `onnxruntime: ${inOnnx} of the largest output`);
      const ops = tfliteModelOf(graph, options).operators.map(({ op, version }) => `${op} ${version}`);
      assert.deepEqual(ops.slice(0, 8), [
        "QUANTIZE 1",
        "CONV_2D 3",
        "CONV_2D 3",
        "DEPTHWISE_CONV_2D 3",
        "CONV_2D 3",
        "ADD 2",
        "CONV_2D 3",
        "MEAN 2",
      ]);
      const tflite = join(folder, "a.tflite");
      await writeFile(tflite, encodeGraphAsTflite(graph, options));
      const [fromTflite] = (await judge.call("tflite_run", tflite, [packed(values, shape)])) as never[];
      const inTflite = relative(unpacked(fromTflite) as Float32Array, expected);
      assert.ok(inTflite < 0.1, `LiteRT: ${inTflite} of the largest output`);
    } finally {
      judge.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("gates, swishes and an upsampled branch run in both engines as in our integers, every convolution in theirs, too", async function () {
    const judge = Judge.start("ai_edge_litert", "onnx", "onnxruntime");
    if (!judge) this.skip();
    const folder = await mkdtemp(join(tmpdir(), "slimlab-fuse-"));
    try {
      const model = gated();
      const graph = readyForIntegers(graphOf(model));
      const ready = modelOf(graph);
      const { values, shape } = inputsFor(model, 24, 3);
      const data = { inputs: [{ shape: shape.slice(1), values }], count: 24 };
      const { quantized } = quantizeWeights(ready, { bits: 8, keepFloat: { below: 0 } });
      const activations = await calibrateActivations(ready, data, { layers: layersWithGrids(graph) });
      const ours = runInteger(integerNetworkOf(ready, quantized, activations), values, 24).values;
      const exact = answers(model, values, shape);
      assert.ok(relative(ours, exact) < 0.1, `in our integers: ${relative(ours, exact)}`);
      const options = { quantized, activations } as Omit<OnnxOptions, "weights">;
      // LiteRT's files take one example at a time.
      const first = values.subarray(0, values.length / 24);
      const given = { onnx: [values, shape], tflite: [first, [1, ...shape.slice(1)]] } as const;
      for (const [format, encode] of [
        ["onnx", encodeGraphAsOnnx],
        ["tflite", encodeGraphAsTflite],
      ] as const) {
        const path = join(folder, `a.${format}`);
        await writeFile(path, encode(graphOf(ready), options));
        const [output] = (await judge.call(`${format}_run`, path, [
          packed(given[format][0], [...given[format][1]]),
        ])) as never[];
        const theirs = unpacked(output) as Float32Array;
        const far = relative(theirs, ours.subarray(0, theirs.length));
        assert.ok(far < 0.05, `${format}: ${far} of the largest output`);
      }
      const { operators, tensors } = tfliteModelOf(graphOf(ready), options);
      const kernels = operators.filter(({ op }) => /CONV_2D|FULLY/.test(op)).map(({ inputs }) => inputs);
      // The last layer gives floats.
      const types = kernels.map(([input]) => tensors[input].type);
      assert.deepEqual(types, [...new Array(kernels.length - 1).fill("INT8"), "FLOAT32"]);
    } finally {
      judge.stop();
      await rm(folder, { recursive: true, force: true });
    }
  });
});
