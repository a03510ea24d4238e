import assert from "node:assert/strict";
import {
  encodeGraphAsOnnx,
  encodeGraphAsTflite,
  openInEngine,
  runWithEngine,
} from "../../lib/formats/index.ts";
import {
  graphOf,
  groupsOf,
  loadPretrained,
  maskGroups,
  pruneGroups,
  type tf,
  useBackend,
} from "../../lib/nn/index.ts";
import { answers, branching, inputsFor, relative } from "./networks.ts";

describe("formats: engines in Node", function () {
  this.timeout(300_000);
  let lenet: tf.LayersModel;
  before(async () => {
    await useBackend("wasm");
    lenet = await loadPretrained("lenet-5");
  });

  for (const [engine, encode] of [
    ["onnxruntime-node", encodeGraphAsOnnx],
    ["@litertjs/core", encodeGraphAsTflite],
  ] as const)
    it(`${engine} answers what our networks answer, for one image and for many`, async () => {
      for (const [model, count] of [
        [lenet, 1],
        [lenet, 3],
        [branching("tanh"), 2],
      ] as const) {
        const { values, shape } = inputsFor(model, count);
        const run = await runWithEngine(encode(graphOf(model)), [{ shape, values }], { repeat: 2 });
        assert.equal(run.engine, engine);
        assert.equal(run.milliseconds.length, 2);
        const expected = answers(model, values, shape);
        assert.deepEqual(run.outputs[0].shape, [count, expected.length / count]);
        const difference = relative(run.outputs[0].values, expected);
        assert.ok(difference < 1e-5, `${model.name}, ${count} images: ${difference} of the largest output`);
      }
    });

  for (const encode of [encodeGraphAsOnnx, encodeGraphAsTflite])
    it(`${encode.name}: networks whose units were taken out go out with their smaller shapes`, async () => {
      for (const model of [lenet, branching("tanh")]) {
        const keep = Object.fromEntries(
          groupsOf(model).map(({ name, size }) => [name, Uint8Array.from({ length: size }, (_, i) => i & 1)]),
        );
        assert.ok(Object.keys(keep).length > 1, "nothing to take out");
        const [pruned, masked] = [pruneGroups(model, keep), maskGroups(model, keep)];
        const [whole, file] = [model, pruned].map((each) => encode(graphOf(each)));
        const share = pruned.countParams() / model.countParams();
        assert.ok(
          share < 0.7 && file.length < (share + 0.2) * whole.length,
          `${file.length} of ${whole.length}`,
        );
        const { values, shape } = inputsFor(model, 2);
        const { outputs } = await runWithEngine(file, [{ shape, values }]);
        // The network at its full size, those units set to 0, knows nothing of the smaller shapes.
        const difference = relative(outputs[0].values, answers(masked, values, shape));
        assert.ok(difference < 1e-5, `${model.name}: ${difference} of the largest output`);
      }
    });

  it("inputs that are not the model's, and files that are none, are refused with their names", async () => {
    for (const file of [encodeGraphAsOnnx(graphOf(lenet)), encodeGraphAsTflite(graphOf(lenet))]) {
      const model = await openInEngine(file);
      try {
        await assert.rejects(model.run([]), /inputs must be 1 \(.*\), got 0/);
        await assert.rejects(
          model.run([{ shape: [1, 28, 28, 3], values: new Float32Array(3 * 784) }]),
          /must have shape \[.*28, 28, 1\], got \[1, 28, 28, 3\]/,
        );
        await assert.rejects(
          model.run([{ shape: [1, 28, 28, 1], values: new Float32Array(7) }]),
          /must have 784 values, got 7/,
        );
      } finally {
        await model.close();
      }
      const damaged = file.slice(0, file.length / 2);
      await assert.rejects(openInEngine(damaged), Error);
    }
  });
});
