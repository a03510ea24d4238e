import assert from "node:assert/strict";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import { latencyOf, lenet300, tf, useBackend, weightsOf } from "../../lib/nn/index.ts";

describe("§3.1.2, §3.1.3 latency of models", () => {
  before(() => useBackend());

  it("times every model in both passes, changes no weight and leaves no tensor behind", async () => {
    const batch = subset((await loadDataset("mnist-10k")).test, 8);
    const models = { one: lenet300(1), two: lenet300(2) };
    const before = weightsOf(models.one);
    for (const pass of ["forward", "backward"] as const) {
      const tensors = tf.memory().numTensors;
      const times = await latencyOf(models, batch, { runs: 3, pass });
      assert.equal(tf.memory().numTensors, tensors);
      assert.deepEqual(Object.keys(times), ["one", "two"]);
      for (const { fastest, median } of Object.values(times)) assert.ok(fastest > 0 && median >= fastest);
    }
    assert.deepEqual(weightsOf(models.one), before);
  });

  it("stops between two runs, with its reason and without leaving tensors behind", async () => {
    const batch = subset((await loadDataset("mnist-10k")).test, 8);
    const model = lenet300();
    const tensors = tf.memory().numTensors;
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(latencyOf({ model }, batch, { signal }), /enough/);
    assert.equal(tf.memory().numTensors, tensors);
  });

  it("refuses options out of range and images that do not fit", async () => {
    const model = lenet300();
    const batch = subset((await loadDataset("mnist-10k")).test, 2);
    await assert.rejects(
      latencyOf({ model }, batch, { runs: 0 }),
      /runs must be a whole number of at least 1, got 0/,
    );
    await assert.rejects(
      latencyOf({ model }, batch, { pass: "sideways" as never }),
      /pass must be .*forward.*backward/,
    );
    await assert.rejects(latencyOf({ model }, { ...batch, height: 27 }), /takes images of 784, got 27/);
  });
});
