import assert from "node:assert/strict";
import { slimParts } from "slimlab/coding";
import { loadPretrained, useBackend, weightsOf } from "slimlab/nn";
import { deepCompression, runRecipe } from "slimlab/pipeline";
import { smallData } from "./fixture.ts";

describe("2.3 pipeline/deep-compression: prune, cluster, code", () => {
  before(() => useBackend("wasm"));

  it("LeNet-300-100 in the paper's proportions: over 30 times smaller, with little training even", async () => {
    const data = await smallData(2000, 1000);
    const model = await loadPretrained("lenet-300-100");
    const recipe = deepCompression("lenet-300-100", {
      rounds: 3,
      fineTune: { epochs: 1 },
      repair: { epochs: 2, decay: "cosine" },
      centroids: { epochs: 1, learningRate: 0.0003 },
    });
    const result = await runRecipe(model, data, recipe, { cache: false });
    const [before] = result.rows;
    const after = result.rows.at(-1)!;
    assert.ok(after.ratio > 30, `${after.ratio} times smaller`);
    assert.ok(after.accuracy > before.accuracy - 0.04, `${after.accuracy} after ${before.accuracy}`);
    // 8 %, 9 % and 26 % of the weights, in 64 values or fewer.
    const { model: small } = await result.load();
    const weights = weightsOf(small);
    for (const [layer, kept] of Object.entries({ fc1: 18_816, fc2: 2_700, fc3: 260 })) {
      const values = weights[layer].filter((value) => value !== 0);
      assert.equal(values.length, kept);
      assert.ok(new Set(values).size <= 64);
    }
    // The codes are coded, not just packed: less than 6 bits per kept weight and 1 bit a pruned one.
    const codes = slimParts(result.slim).filter(
      ({ tensor, stream }) => tensor.endsWith("kernel") && (stream === "positions" || stream === "values"),
    );
    const bytes = codes.reduce((sum, part) => sum + part.bytes, 0);
    assert.ok(bytes > 5000, `${bytes} bytes of positions and values`);
    assert.ok(8 * bytes < 21_776 * 6 + (266_200 - 21_776), `${bytes} bytes of codes`);
    small.dispose();
    model.dispose();
  });

  it("knows the paper's networks only, and takes other shares and bits", () => {
    assert.throws(() => deepCompression("vgg" as never), /name must be one of "lenet-300-100", "lenet-5"/);
    const [prune, , cluster] = deepCompression("lenet-5", { layers: { fc1: { kept: 0.05, bits: 4 } } });
    assert.deepEqual((prune as { sparsity: object }).sparsity, {
      conv1: 0.34,
      conv2: 0.88,
      fc1: 0.95,
      fc2: 0.81,
    });
    assert.deepEqual((cluster as { clusters: object }).clusters, {
      conv1: 256,
      conv2: 256,
      fc1: 16,
      fc2: 32,
    });
    assert.throws(() => deepCompression("lenet-5", { layers: { fc9: {} } }), /layer must be one of "conv1"/);
  });
});
