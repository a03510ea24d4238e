import assert from "node:assert/strict";
import { loadDataset } from "slimlab/datasets";
import {
  activationsOf,
  copyWeights,
  evaluate,
  filterScoresOf,
  firstOf,
  gradientsOf,
  hessianDiagonalOf,
  lenet5,
  loadPretrained,
  neuronScoresOf,
  pruneIteratively,
  restoreWeights,
  scoresOf,
  setWeights,
  tf,
  unitScores,
  useBackend,
  weightScores,
  weightsOf,
} from "slimlab/nn";
import {
  applyMask,
  filterNorm,
  globalSparsity,
  layerSparsity,
  meanActivation,
  type PruneStep,
  sparsityOf,
} from "slimlab/pruning";

type Data = Awaited<ReturnType<typeof loadDataset>>;

describe("§3.1 pruning of models", () => {
  let data: { train: Data["train"]; test: Data["test"] };
  let lenet: tf.LayersModel;

  before(async () => {
    await useBackend("wasm");
    const { train, test } = await loadDataset("mnist-10k");
    data = { train: firstOf(train, 2000), test: firstOf(test, 1000) };
    lenet = await loadPretrained("lenet-300-100");
  });

  it("scores weights by what lib/pruning says of them, their gradients and their curvature", async () => {
    const images = firstOf(data.train, 64);
    const weights = weightsOf(lenet);
    const gradients = await gradientsOf(lenet, images);
    const curvature = await hessianDiagonalOf(lenet, images);
    const expected: Record<(typeof weightScores)[number], (layer: string, i: number) => number> = {
      magnitude: (layer, i) => Math.abs(weights[layer][i]),
      gradient: (layer, i) => Math.abs(gradients[layer][i] * weights[layer][i]),
      obd: (layer, i) => 0.5 * curvature[layer][i] * weights[layer][i] ** 2,
    };
    for (const score of weightScores) {
      const scores = await scoresOf(lenet, images, score);
      assert.deepEqual(Object.keys(scores), ["fc1", "fc2", "fc3"]);
      for (const [layer, list] of Object.entries(scores)) {
        for (let i = 0; i < list.length; i += 97) {
          assert.ok(Math.abs(list[i] - expected[score](layer, i)) <= 1e-6 * Math.abs(list[i]) + 1e-12);
        }
      }
    }
  });

  it("predicts by second order what removing weights does to the loss, far better than chance", async () => {
    const images = firstOf(data.train, 500);
    const before = (await evaluate(lenet, images)).loss;
    const weights = weightsOf(lenet);
    const lossWithout = async (sparsest: Record<string, Float32Array>) => {
      const masks = globalSparsity(sparsest, 0.7);
      setWeights(lenet, { fc2: applyMask(weights.fc2, masks.fc2) });
      const { loss } = await evaluate(lenet, images);
      setWeights(lenet, weights);
      return loss - before;
    };
    const random = { fc2: weights.fc2.map((_, i) => ((i + 1) * 7919) % 10007) };
    const { fc2 } = await scoresOf(lenet, images, "obd");
    assert.ok((await lossWithout({ fc2 })) < (await lossWithout(random)) / 5);
  });

  it("scores filters and neurons, by every score, one number each, and never the classes", async () => {
    const model = lenet5(3);
    const images = firstOf(data.train, 20);
    for (const score of unitScores) {
      const filters = await filterScoresOf(model, images, score);
      const neurons = await neuronScoresOf(model, images, score);
      assert.deepEqual(
        Object.entries({ ...filters, ...neurons }).map(([layer, { length }]) => [layer, length]),
        [
          ["conv1", 20],
          ["conv2", 50],
          ["fc1", 500],
        ],
      );
      for (const list of [filters.conv1, filters.conv2, neurons.fc1]) {
        assert.ok(list.every((s) => s >= 0 && Number.isFinite(s)));
        assert.ok(new Set(list).size > 10, `${score} tells units apart`);
      }
    }
    const { conv1 } = await filterScoresOf(model, undefined, "l2");
    assert.deepEqual(conv1, filterNorm(weightsOf(model).conv1, 20, 2));
    const { fc1 } = await neuronScoresOf(model, images, "meanActivation");
    assert.deepEqual(fc1, meanActivation((await activationsOf(model, images, ["fc1"])).fc1.values, 500));
  });

  it("knows the classes behind an activation and a pooling layer", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ name: "a", inputShape: [28, 28, 1], filters: 3, kernelSize: 3 }),
        tf.layers.conv2d({ name: "b", filters: 10, kernelSize: 3 }),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.softmax(),
      ],
    });
    assert.deepEqual(Object.keys(await filterScoresOf(model, undefined, "l1")), ["a"]);
    assert.deepEqual(await neuronScoresOf(model, undefined, "l1"), {});
  });

  it("prunes step by step to a target, and better than at once without fine-tuning", async () => {
    const trained = copyWeights(lenet);
    const steps: PruneStep[] = [];
    const fineTuned = await pruneIteratively(lenet, data, {
      target: 0.95,
      steps: 3,
      onStep: (step) => steps.push(step),
    });
    assert.equal(fineTuned.ended, "plan done");
    const masked = weightsOf(lenet);
    const total = 784 * 300 + 300 * 100 + 100 * 10;
    assert.equal(Math.round(sparsityOf(fineTuned.best.masks) * total), Math.round(0.95 * total));
    for (const [layer, mask] of Object.entries(fineTuned.best.masks)) {
      assert.ok(masked[layer].every((w, i) => mask[i] === 1 || w === 0));
    }
    assert.equal((await evaluate(lenet, data.test)).accuracy, fineTuned.best.accuracy);
    assert.equal(steps.length, 4);

    restoreWeights(lenet, trained);
    assert.deepEqual(copyWeights(lenet), trained);
    const oneShot = await pruneIteratively(lenet, data, {
      target: 0.95,
      steps: 1,
      schedule: "oneShot",
      fineTune: { epochs: 0 },
    });
    assert.ok(oneShot.best.accuracy < fineTuned.best.accuracy - 0.05);
    restoreWeights(lenet, trained);
  });

  it("prunes down to an accuracy floor, layer by layer, and leaves the model there", async () => {
    const trained = copyWeights(lenet);
    const { best, history, ended } = await pruneIteratively(lenet, data, {
      accuracyFloor: 0.9,
      rate: 0.6,
      strategy: "layerRate",
      layers: ["fc1", "fc2"],
      fineTune: { epochs: 0 },
      refine: 2,
    });
    assert.equal(ended, "floor missed");
    assert.ok(best.accuracy >= 0.9);
    assert.equal((await evaluate(lenet, data.test)).accuracy, best.accuracy);
    assert.equal(history.filter(({ met }) => !met).length > 0, true);
    const sparsity = layerSparsity(best.masks);
    assert.deepEqual(Object.keys(sparsity), ["fc1", "fc2"]);
    assert.ok(Math.abs(sparsity.fc1 - sparsity.fc2) < 1e-4);
    restoreWeights(lenet, trained);
  });

  it("refuses what it cannot do", async () => {
    await assert.rejects(scoresOf(lenet, undefined, "obd"), /score "obd" needs images, got none/);
    await assert.rejects(filterScoresOf(lenet5(1), undefined, "taylorWeight"), /needs images, got none/);
    await assert.rejects(
      scoresOf(lenet, undefined, "luck" as "obd"),
      /score must be one of "magnitude", "gradient", "obd", got "luck"/,
    );
    await assert.rejects(
      pruneIteratively(lenet, data, {}),
      /give a target sparsity, an accuracyFloor, or both/,
    );
    await assert.rejects(
      pruneIteratively(lenet, data, { target: 0.5, layers: ["fc9"] }),
      /layer must be one of "fc1", "fc2", "fc3", got "fc9"/,
    );
    await assert.rejects(
      pruneIteratively(lenet, data, { accuracyFloor: 1 }),
      /accuracyFloor must be at most the accuracy before pruning/,
    );
  });
});
