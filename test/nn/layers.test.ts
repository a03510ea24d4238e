import assert from "node:assert/strict";
import { costOf } from "../../lib/analysis/index.ts";
import { layerShapesOf, lenet5, lenet300, tf, useBackend } from "../../lib/nn/index.ts";

describe("a model's layers as plain data", () => {
  before(() => useBackend());

  it("cost what the papers say: LeNet-5's 431,080 parameters and 2,293,000 MACs, LeNet-300-100's 266,610", () => {
    const five = lenet5();
    const cost = costOf(layerShapesOf(five));
    assert.equal(cost.parameters, 431_080);
    assert.equal(cost.parameters, five.countParams());
    assert.equal(cost.macs, 2_293_000);
    assert.equal(cost.peakActivationBytes, (11_520 + 2_880) * 4);
    const dense = costOf(layerShapesOf(lenet300()));
    assert.equal(dense.parameters, 266_610);
    assert.equal(dense.macs, 266_200);
  });

  it("keep a residual connection, depthwise convolutions and batch normalisation", () => {
    const input = tf.input({ shape: [8, 8, 4] });
    const deep = tf.layers
      .depthwiseConv2d({ kernelSize: 3, padding: "same", name: "dw" })
      .apply(input) as tf.SymbolicTensor;
    const normed = tf.layers.batchNormalization({ name: "bn" }).apply(deep) as tf.SymbolicTensor;
    const sum = tf.layers.add({ name: "sum" }).apply([input, normed]) as tf.SymbolicTensor;
    const model = tf.model({ inputs: input, outputs: sum });
    const cost = costOf(layerShapesOf(model));
    assert.equal(cost.parameters, model.countParams());
    assert.equal(cost.macs, 64 * 36);
    // Input, the depthwise output (normalised in place) and the sum are alive at once.
    assert.equal(cost.peakActivationBytes, 3 * 256 * 4);
  });

  it("see into a model inside a model, and keep memory that is still read", () => {
    const cost = costOf(layerShapesOf(tf.sequential({ layers: [lenet300()] })));
    assert.equal(cost.macs, 266_200);
    assert.deepEqual(
      cost.layers.map(({ name }) => name),
      ["input", "lenet-300-100/fc1", "lenet-300-100/fc2", "lenet-300-100/fc3"],
    );
    // x + relu(x): the ReLU must not write over x. Three values of 256 floats are alive at the sum.
    const input = tf.input({ shape: [8, 8, 4] });
    const x = tf.layers.conv2d({ filters: 4, kernelSize: 1 }).apply(input) as tf.SymbolicTensor;
    const sum = tf.layers
      .add()
      .apply([x, tf.layers.reLU().apply(x) as tf.SymbolicTensor]) as tf.SymbolicTensor;
    assert.equal(
      costOf(layerShapesOf(tf.model({ inputs: input, outputs: sum }))).peakActivationBytes,
      3 * 256 * 4,
    );
  });
});
