import assert from "node:assert/strict";
import { costOf as costOfShapes } from "slimlab/analysis";
import { costOf, dependenciesOf, findKind, type Graph, layerKinds, registerKind } from "slimlab/graph";
import {
  graphOf,
  groupsOf,
  kernelsOf,
  layerShapesOf,
  modelOf,
  skippedLayers,
  tf,
  useBackend,
  weightsOf,
} from "slimlab/nn";

const { layers } = tf;

/** A model of one layer between its input and nothing. */
const single = (layer: tf.layers.Layer, ...shapes: number[][]): tf.LayersModel => {
  const inputs = shapes.map((shape) => tf.input({ shape }));
  const outputs = layer.apply(inputs.length === 1 ? inputs[0] : inputs) as tf.SymbolicTensor;
  return tf.model({ inputs, outputs });
};

describe("graph: the table of layer kinds", () => {
  before(async () => {
    await useBackend("wasm");
  });

  it("counts each kind's multiply-accumulates as a count by hand does", () => {
    const counts: [name: string, layer: tf.layers.Layer, shapes: number[][], macs: number][] = [
      ["dense on rows", layers.dense({ units: 3 }), [[5]], 5 * 3],
      ["dense on a sequence", layers.dense({ units: 3 }), [[7, 5]], 7 * 5 * 3],
      // 8 places in, windows of 3: 6 places out, each with 3 x 4 products a filter.
      ["conv1d", layers.conv1d({ filters: 5, kernelSize: 3 }), [[8, 4]], 6 * 3 * 4 * 5],
      ["conv2d", layers.conv2d({ filters: 5, kernelSize: [3, 2] }), [[8, 8, 4]], 6 * 7 * 3 * 2 * 4 * 5],
      [
        "conv2d strided",
        layers.conv2d({ filters: 5, kernelSize: 3, strides: 2, padding: "same" }),
        [[9, 9, 2]],
        25 * 9 * 2 * 5,
      ],
      ["conv3d", layers.conv3d({ filters: 2, kernelSize: 2 }), [[4, 4, 4, 3]], 27 * 8 * 3 * 2],
      // Every place in meets the whole kernel.
      [
        "conv2dTranspose",
        layers.conv2dTranspose({ filters: 3, kernelSize: 2, strides: 2 }),
        [[4, 5, 6]],
        20 * 4 * 6 * 3,
      ],
      [
        "conv3dTranspose",
        layers.conv3dTranspose({ filters: 3, kernelSize: 2, strides: 2 }),
        [[2, 3, 4, 5]],
        24 * 8 * 5 * 3,
      ],
      [
        "depthwiseConv2d",
        layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }),
        [[6, 6, 4]],
        16 * 9 * 4 * 2,
      ],
      // Depthwise to 8 channels, then 1 x 1 to 5.
      [
        "separableConv2d",
        layers.separableConv2d({ filters: 5, kernelSize: 3, depthMultiplier: 2 }),
        [[6, 6, 4]],
        16 * (9 * 8 + 8 * 5),
      ],
      ["embedding", layers.embedding({ inputDim: 10, outputDim: 4 }), [[6]], 0],
      // Each of 7 steps: four gates of the input and of the state.
      ["lstm", layers.lstm({ units: 3 }), [[7, 5]], 7 * 4 * (5 * 3 + 3 * 3)],
      ["gru", layers.gru({ units: 3, returnSequences: true }), [[7, 5]], 7 * 3 * (5 * 3 + 3 * 3)],
      ["simpleRNN", layers.simpleRNN({ units: 3 }), [[7, 5]], 7 * (5 * 3 + 3 * 3)],
      [
        "bidirectional",
        layers.bidirectional({ layer: layers.lstm({ units: 3 }) as tf.RNN }),
        [[7, 5]],
        2 * 7 * 4 * (15 + 9),
      ],
      [
        "rnn",
        layers.rnn({ cell: [layers.lstmCell({ units: 3 }), layers.gruCell({ units: 2 })] }),
        [[7, 5]],
        7 * (4 * (15 + 9) + 3 * (6 + 4)),
      ],
      [
        "convLstm2d",
        layers.convLstm2d({ filters: 2, kernelSize: 3, padding: "same" }) as tf.layers.Layer,
        [[5, 6, 6, 3]],
        5 * 36 * 9 * 8 * (3 + 2),
      ],
      ["timeDistributed", layers.timeDistributed({ layer: layers.dense({ units: 3 }) }), [[7, 5]], 7 * 5 * 3],
      [
        "timeDistributed conv2d",
        layers.timeDistributed({ layer: layers.conv2d({ filters: 2, kernelSize: 3 }) }),
        [[4, 6, 6, 3]],
        4 * 16 * 9 * 3 * 2,
      ],
      // [4, 6] and [4, 6] over the features: 4 x 4 sums of 6.
      [
        "dot",
        layers.dot({ axes: 2 }),
        [
          [4, 6],
          [4, 6],
        ],
        16 * 6,
      ],
      ["dot of vectors", layers.dot({ axes: -1 }), [[6], [6]], 6],
      ["batchNormalization", layers.batchNormalization(), [[4, 4, 3]], 0],
      ["add", layers.add(), [[4], [4]], 0],
      ["maxPooling2d", layers.maxPooling2d({}), [[4, 4, 2]], 0],
    ];
    for (const [name, layer, shapes, macs] of counts) {
      const model = single(layer, ...shapes);
      const cost = costOfShapes(layerShapesOf(model));
      assert.equal(cost.macs, macs, `${name}: ${cost.macs} and ${macs} MACs`);
      assert.equal(
        cost.parameters,
        model.countParams(),
        `${name}: ${cost.parameters} and ${model.countParams()} parameters`,
      );
      assert.deepEqual(cost.uncounted, [], name);
    }
  });

  it("has a kind for every layer function of TensorFlow.js", () => {
    const other = new Set([
      "Layer",
      "RNNCell",
      "RNN",
      "gruCell",
      "lstmCell",
      "simpleRNNCell",
      "stackedRNNCells",
      "convLstm2dCell",
    ]);
    // Other names of the same functions.
    const aliases = /^(avgPool|avgPooling|maxPool|globalMaxPool)[123]d$/;
    const missing = Object.keys(layers)
      .filter((name) => !other.has(name) && !aliases.test(name))
      .map((name) => (name === "inputLayer" ? "input" : name))
      .filter((name) => !(layerKinds as readonly string[]).includes(name));
    assert.deepEqual(missing, []);
    for (const name of layerKinds) assert.ok(findKind(name), name);
  });

  it("says what every weight's axes mean", () => {
    const axes = (layer: tf.layers.Layer, ...shapes: number[][]) =>
      Object.fromEntries(
        kernelsOf(single(layer, ...shapes)).map(({ role, weight }) => [role, weight.axes.join(" ")]),
      );
    assert.deepEqual(axes(layers.dense({ units: 2 }), [3]), { kernel: "in out" });
    assert.deepEqual(axes(layers.conv3d({ filters: 2, kernelSize: 2 }), [4, 4, 4, 3]), {
      kernel: "place place place in out",
    });
    assert.deepEqual(axes(layers.conv2dTranspose({ filters: 2, kernelSize: 2 }), [4, 4, 3]), {
      kernel: "place place out in",
    });
    assert.deepEqual(axes(layers.separableConv2d({ filters: 2, kernelSize: 2 }), [4, 4, 3]), {
      depthwiseKernel: "place place in multiplier",
      pointwiseKernel: "place place in out",
    });
    assert.deepEqual(axes(layers.lstm({ units: 2 }), [4, 3]), {
      kernel: "in gate",
      recurrentKernel: "in gate",
    });
    assert.deepEqual(axes(layers.embedding({ inputDim: 5, outputDim: 2 }), [4]), { embeddings: "entry out" });
    assert.deepEqual(
      Object.keys(axes(layers.bidirectional({ layer: layers.gru({ units: 2 }) as tf.RNN }), [4, 3])),
      ["forward/kernel", "forward/recurrentKernel", "backward/kernel", "backward/recurrentKernel"],
    );
  });

  it("counts a shared layer's parameters once and its work twice, and sees into nested models", () => {
    const shared = layers.dense({ units: 4, name: "shared" });
    const input = tf.input({ shape: [4] });
    const twice = tf.model({
      inputs: input,
      outputs: shared.apply(shared.apply(input)) as tf.SymbolicTensor,
    });
    const cost = costOf(graphOf(twice));
    assert.deepEqual([cost.parameters, cost.macs], [20, 32]);
    assert.deepEqual(cost.layers.map(({ name }) => name).slice(1), ["shared", "shared#2"]);

    const tower = tf.sequential({
      name: "tower",
      layers: [layers.dense({ units: 3, inputShape: [4], name: "a" })],
    });
    const head = tf.sequential({ layers: [tower, layers.dense({ units: 2, name: "b" })] });
    assert.deepEqual(
      costOf(graphOf(head)).layers.map(({ name, macs }) => [name, macs]),
      [
        ["input", 0],
        ["tower/a", 12],
        ["b", 6],
      ],
    );
    assert.deepEqual(Object.keys(weightsOf(head)), ["tower/a", "b"]);
    const [left, right] = [tf.input({ shape: [4] }), tf.input({ shape: [4] })];
    const siamese = tf.model({
      inputs: [left, right],
      outputs: layers
        .concatenate()
        .apply([tower.apply(left), tower.apply(right)] as tf.SymbolicTensor[]) as tf.SymbolicTensor,
    });
    assert.deepEqual(
      graphOf(siamese)
        .nodes.filter(({ kind }) => kind === "dense")
        .map(({ name, shares }) => [name, shares]),
      [
        ["tower/a", undefined],
        ["tower/a#2", "tower/a"],
      ],
    );
    assert.deepEqual(groupsOf(siamese), []);
  });

  it("answers from the model's own graph, whatever other models use its layers", () => {
    const input = tf.input({ shape: [6] });
    const hidden = layers.dense({ units: 5, name: "hidden" }).apply(input) as tf.SymbolicTensor;
    const output = layers.dense({ units: 2, name: "out" }).apply(hidden) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: output });
    const before = [layerShapesOf(model), groupsOf(model)];
    tf.model({ inputs: input, outputs: hidden });
    tf.model({ inputs: input, outputs: layers.dense({ units: 9 }).apply(hidden) as tf.SymbolicTensor });
    model.layers[1].apply(tf.input({ shape: [6] }));
    assert.deepEqual([layerShapesOf(model), groupsOf(model)], before);
  });

  it("goes to plain data and back: the same outputs, also nested, shared and with several outputs", () => {
    const outputs = (model: tf.LayersModel) => {
      const xs = model.inputs.map(({ shape }, i) =>
        tf.randomUniform([3, ...(shape.slice(1) as number[])], 0, 1, "float32", i + 1),
      );
      return [model.predict(xs.length === 1 ? xs[0] : xs)]
        .flat()
        .map((t) => [...(t as tf.Tensor).dataSync()]);
    };
    const tower = tf.sequential({
      name: "tower",
      layers: [layers.lstm({ units: 3, inputShape: [4, 2] }), layers.dropout({ rate: 0.5 })],
    });
    const [left, right] = [tf.input({ shape: [4, 2] }), tf.input({ shape: [4, 2] })];
    const [a, b] = [tower.apply(left), tower.apply(right)] as tf.SymbolicTensor[];
    const both = layers.concatenate().apply([a, b]) as tf.SymbolicTensor;
    const siamese = tf.model({
      inputs: [left, right],
      outputs: [layers.dense({ units: 2 }).apply(both) as tf.SymbolicTensor, a],
    });
    const data: Graph = JSON.parse(
      JSON.stringify(graphOf(siamese), (_, value) =>
        value instanceof Float32Array ? { floats: [...value] } : value,
      ),
      (_, value) => (value?.floats ? Float32Array.from(value.floats) : value),
    );
    const back = modelOf(data);
    assert.deepEqual(outputs(back), outputs(siamese));
    assert.equal(back.countParams(), siamese.countParams());
    const chain = tf.sequential({
      layers: [
        layers.conv2d({ filters: 2, kernelSize: 3, inputShape: [6, 6, 1] }),
        layers.flatten(),
        layers.dense({ units: 2 }),
      ],
    });
    const again = modelOf(graphOf(chain));
    assert.ok(again instanceof tf.Sequential);
    assert.deepEqual(outputs(again), outputs(chain));
    assert.throws(
      () => modelOf({ ...data, outputs: ["nothing"] }),
      /must be tensors of its nodes, got "nothing"/,
    );
  });

  it("leaves out what no kind covers, by name, until a kind is registered", () => {
    class Scale extends layers.Layer {
      scale!: tf.layers.Layer["weights"][number];
      override build(shape: tf.Shape) {
        this.scale = this.addWeight("scale", [shape.at(-1)!], "float32", tf.initializers.ones());
        super.build(shape);
      }
      override call(x: tf.Tensor | tf.Tensor[]) {
        return tf.mul([x].flat()[0], this.scale.read());
      }
      static className = "TestScale";
    }
    tf.serialization.registerClass(Scale);
    const model = tf.sequential({
      layers: [
        layers.dense({ units: 5, inputShape: [4], name: "fc" }),
        new Scale({ name: "scale" }),
        layers.dense({ units: 2, name: "out" }),
      ],
    });
    assert.deepEqual(skippedLayers(model), ["scale"]);
    assert.deepEqual(costOf(graphOf(model)).uncounted, ["scale"]);
    assert.deepEqual(dependenciesOf(graphOf(model)).skipped, ["scale"]);
    assert.deepEqual(groupsOf(model), []);
    const forget = registerKind("testScale", {
      tfjs: "TestScale",
      flow: "pass",
      weights: { scale: { axes: ["out"], kernel: false } },
      macs: ({ output }) => output[0],
    });
    try {
      assert.deepEqual(skippedLayers(model), []);
      const cost = costOf(graphOf(model));
      assert.deepEqual([cost.macs, cost.uncounted], [4 * 5 + 5 + 5 * 2, []]);
      const [group] = groupsOf(model);
      assert.deepEqual([group.name, group.followers, group.consumers], ["fc", ["scale"], ["out"]]);
      assert.throws(() => registerKind("testScale", {}), /name must be a new kind, got "testScale"/);
      assert.throws(
        () => registerKind("mine", { tfjs: "Dense" }),
        /tfjs must be a new class, got "Dense", which is kind dense/,
      );
      assert.throws(() => registerKind("mine", { flow: "sideways" as "pass" }), /flow must be one of/);
    } finally {
      forget();
    }
    assert.deepEqual(skippedLayers(model), ["scale"]);
  });
});
