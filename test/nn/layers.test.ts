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

  it("refuse a model inside a model", () => {
    const inner = lenet300();
    const outer = tf.sequential({ layers: [inner] });
    assert.throws(() => layerShapesOf(outer), /must hold layers only, got the model lenet-300-100 inside/);
  });
});
