import assert from "node:assert/strict";
import type { Split } from "slimlab/datasets";
import { biasesOf, predict, setWeights, tf, useBackend, weightsOf } from "slimlab/nn";
import { Replay } from "../../lib/nn/replay.ts";
import { seeded } from "../../lib/util/random.ts";

const { layers } = tf;

function images(count: number): Split {
  const random = seeded(3);
  const bytes = Uint8Array.from({ length: count * 64 }, () => random() * 256);
  return { images: bytes, labels: new Uint8Array(count), count, height: 8, width: 8, channels: 1 };
}

/** A branch, a layer that is used twice, one that only hands on, and a softmax. */
function branched(): tf.LayersModel {
  const input = tf.input({ shape: [8, 8, 1] });
  const apply = (layer: tf.layers.Layer, ...from: tf.SymbolicTensor[]) =>
    layer.apply(from.length === 1 ? from[0] : from) as tf.SymbolicTensor;
  const first = apply(layers.conv2d({ name: "first", filters: 3, kernelSize: 3, padding: "same" }), input);
  const normal = apply(layers.reLU(), apply(layers.batchNormalization(), first));
  const twice = layers.conv2d({ name: "twice", filters: 3, kernelSize: 1, activation: "relu" });
  const sum = apply(
    layers.add(),
    apply(twice, apply(layers.dropout({ rate: 0.5 }), normal)),
    apply(twice, first),
  );
  const flat = apply(layers.flatten(), sum);
  return tf.model({
    inputs: input,
    outputs: apply(layers.dense({ name: "last", units: 4, activation: "softmax" }), flat),
  });
}

/** Two numbers a picture, of which zeros are left out. */
function masked(): tf.LayersModel {
  return tf.sequential({
    layers: [
      layers.reshape({ targetShape: [8, 8], inputShape: [8, 8, 1] }),
      layers.masking({ maskValue: 0 }),
      layers.lstm({ name: "lstm", units: 3 }),
      layers.dense({ name: "last", units: 4 }),
    ],
  });
}

describe("nn/replay: a network in pieces", () => {
  before(() => useBackend("wasm"));

  for (const [name, make, order] of [
    ["branched", branched, ["first", "twice", "last"]],
    ["masked", masked, ["lstm", "last"]],
  ] as const)
    for (const room of [undefined, 0, 2000])
      it(`${name}: gives what the whole gives, with weights as they are, keeping ${room ?? "all"} bytes`, async () => {
        const model = make();
        const split = images(7);
        split.images.fill(0, 64 * 3 + 32, 64 * 4);
        const same = async (replay: Replay) => {
          const [found] = await replay.outputs();
          const { logits } = await predict(model, split, { batchSize: 3 });
          for (const [i, value] of logits.entries())
            assert.ok(Math.abs(value - found[i]) < 1e-5, `${value} ${found[i]}`);
        };
        const held = tf.memory().numTensors;
        const replay = new Replay(model, split, { batchSize: 3, room });
        await same(replay);
        for (const layer of order) {
          await replay.advance(layer);
          // From here on what stands before has run: the layer itself may change.
          for (const [kernel, weights] of Object.entries(weightsOf(model)))
            if (kernel.startsWith(layer)) setWeights(model, { [kernel]: weights.map((w) => 1.5 * w) });
          await same(replay);
        }
        const count: number[] = [];
        for await (const { shape } of replay.inputs()) count.push(shape[0]);
        assert.deepEqual(count, [3, 3, 1]);
        assert.equal((await replay.layerOutputs(1e9)).length, 7 * 4);
        assert.equal((await replay.layerOutputs(1)).length, 3 * 4);
        await assert.rejects(replay.advance(order[0]), /must not come before/);
        replay.dispose();
        assert.equal(tf.memory().numTensors, held);
        assert.ok(biasesOf(model).last);
        model.dispose();
      });
});
