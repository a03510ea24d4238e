import assert from "node:assert/strict";
import { loadDataset } from "slimlab/datasets";
import {
  activationsOf,
  biasesOf,
  cloneModel,
  copyWeights,
  evaluate,
  filterScoresOf,
  firstOf,
  gradientsOf,
  groupsOf,
  hessianDiagonalOf,
  lenet5,
  lenet300,
  loadPretrained,
  mergeUnits,
  neuronScoresOf,
  predict,
  pruneGroups,
  pruneIteratively,
  pruneUnitsIteratively,
  restoreWeights,
  scoresOf,
  setBiases,
  setWeights,
  shapesOf,
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
  meanActivation,
  type PruneStep,
  sparsityByLayer,
  sparsityOf,
} from "slimlab/pruning";

type Data = Awaited<ReturnType<typeof loadDataset>>;

/** Two convolutions whose outputs are added, one between them, and a dense layer. */
function residual(): tf.LayersModel {
  const seed = { kernelInitializer: tf.initializers.glorotUniform({ seed: 5 }) };
  const conv = (name: string, filters: number) =>
    tf.layers.conv2d({ name, filters, kernelSize: 3, padding: "same", activation: "relu", ...seed });
  const input = tf.input({ shape: [28, 28, 1] });
  const a = conv("a", 6).apply(input) as tf.SymbolicTensor;
  const b = conv("b", 4).apply(a) as tf.SymbolicTensor;
  const c = conv("c", 6).apply(b) as tf.SymbolicTensor;
  const sum = tf.layers.add().apply([a, c]) as tf.SymbolicTensor;
  const pooled = tf.layers.globalAveragePooling2d({}).apply(sum);
  const output = tf.layers.dense({ name: "out", units: 10, activation: "softmax", ...seed }).apply(pooled);
  return tf.model({ inputs: input, outputs: output as tf.SymbolicTensor });
}

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
    for (const score of unitScores)
      assert.deepEqual(await neuronScoresOf(model, firstOf(data.train, 5), score), {});
  });

  it("scores units by weights whichever axis of the kernel they are", async () => {
    for (const layer of [
      tf.layers.separableConv2d({ name: "other", inputShape: [28, 28, 1], filters: 4, kernelSize: 3 }),
      tf.layers.conv2dTranspose({ name: "other", inputShape: [28, 28, 1], filters: 4, kernelSize: 3 }),
    ]) {
      const model = tf.sequential({
        layers: [layer, tf.layers.flatten(), tf.layers.dense({ name: "out", units: 10 })],
      });
      // [1, 1, 1, 4] for the separable one's second kernel, [3, 3, 4, 1] for the transposed: unit u at every 4th place.
      const kernel = layer.weights
        .find(({ shape }) => shape.includes(4))!
        .read()
        .dataSync() as Float32Array;
      const expected = [0, 1, 2, 3].map((unit) =>
        kernel.reduce((sum, w, i) => (i % 4 === unit ? sum + Math.abs(w) : sum), 0),
      );
      const { other } = await filterScoresOf(model, firstOf(data.train, 5), "l1");
      for (const [unit, score] of other.entries())
        assert.ok(Math.abs(score - expected[unit]) < 1e-5, `${score} and ${expected[unit]}`);
      for (const score of ["geometricMedian", "gradientNorm", "taylorWeight"] as const)
        assert.equal((await filterScoresOf(model, firstOf(data.train, 5), score)).other.length, 4);
    }
  });

  it("takes a score of one's own, for weights and for units", async () => {
    const model = lenet300(1);
    const images = firstOf(data.train, 20);
    const squares = await scoresOf(model, undefined, ({ weights }) => weights.map((w) => w * w));
    const magnitudes = await scoresOf(model, undefined, "magnitude");
    for (const [i, square] of squares.fc3.entries())
      assert.ok(Math.abs(square - magnitudes.fc3[i] ** 2) < 1e-7, `${square} and ${magnitudes.fc3[i] ** 2}`);
    const own = await scoresOf(model, images, {
      needs: ["gradients"],
      of: ({ weights, gradients }) => weights.map((w, i) => Math.abs(w * gradients[i])),
    });
    assert.deepEqual(own.fc2, (await scoresOf(model, images, "gradient")).fc2);
    const mean = await neuronScoresOf(model, images, {
      needs: ["outputs"],
      of: ({ outputs, count, examples }) =>
        Array.from({ length: count }, (_, unit) => {
          let sum = 0;
          for (let i = unit; i < outputs.length; i += count) sum += outputs[i];
          return sum / examples;
        }),
    });
    const theirs = await neuronScoresOf(model, images, "meanActivation");
    for (const [i, score] of mean.fc1.entries())
      assert.ok(Math.abs(score - theirs.fc1[i]) < 1e-5, `${score} and ${theirs.fc1[i]}`);
    await assert.rejects(
      neuronScoresOf(model, undefined, () => [1]),
      /score of fc1 must have 300 elements, got 1/,
    );
    const { best } = await pruneUnitsIteratively(model, data, {
      sparsity: 0.5,
      steps: 1,
      fineTune: { epochs: 0 },
      normalize: false,
      score: ({ count }) => Array.from({ length: count }, (_, unit) => unit),
    });
    // Numbered scores: the first units of each layer go.
    assert.equal(best.masks.fc1[0], 0);
    assert.equal(best.masks.fc1[299], 1);
  });

  it("scores all channels that a unit is made of: a sum with the same channels concatenated twice", async () => {
    const input = tf.input({ shape: [28, 28, 1] });
    const conv = (name: string, filters: number) =>
      tf.layers.conv2d({ name, filters, kernelSize: 3 }).apply(input) as tf.SymbolicTensor;
    const [a, d] = [conv("a", 3), conv("d", 6)];
    const both = tf.layers.concatenate().apply([a, a]) as tf.SymbolicTensor;
    const sum = tf.layers.add().apply([both, d]) as tf.SymbolicTensor;
    const flat = tf.layers.flatten().apply(sum);
    const model = tf.model({
      inputs: input,
      outputs: tf.layers.dense({ units: 10 }).apply(flat) as tf.SymbolicTensor,
    });
    const norms = (name: string, unit: number, of: number) =>
      weightsOf(model)[name].reduce((total, w, i) => (i % of === unit ? total + Math.abs(w) : total), 0);
    const scores = (await filterScoresOf(model, undefined, "l1"))["a+d"];
    for (let unit = 0; unit < 3; unit++) {
      const expected = norms("a", unit, 3) + norms("d", unit, 6) + norms("d", unit + 3, 6);
      assert.ok(Math.abs(scores[unit] - expected) < 1e-5, `${scores[unit]} and ${expected}`);
    }
  });

  it("prunes step by step to a target, and better than at once without fine-tuning", async () => {
    const trained = copyWeights(lenet);
    const steps: PruneStep[] = [];
    const fineTuned = await pruneIteratively(lenet, data, {
      sparsity: 0.95,
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
      sparsity: 0.95,
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
      strategy: "layerSparsity",
      layers: ["fc1", "fc2"],
      fineTune: { epochs: 0 },
      refine: 2,
    });
    assert.equal(ended, "floor missed");
    assert.ok(best.accuracy >= 0.9);
    assert.equal((await evaluate(lenet, data.test)).accuracy, best.accuracy);
    assert.equal(history.filter(({ met }) => !met).length > 0, true);
    const sparsity = sparsityByLayer(best.masks);
    assert.deepEqual(Object.keys(sparsity), ["fc1", "fc2"]);
    assert.ok(Math.abs(sparsity.fc1 - sparsity.fc2) < 1e-4);
    restoreWeights(lenet, trained);
  });

  it("rewinds to early weights under the masks of the trained ones: the lottery ticket", async () => {
    const trained = copyWeights(lenet);
    const early = lenet300(9);
    const { best } = await pruneIteratively(lenet, data, {
      sparsity: 0.8,
      steps: 2,
      fineTune: { epochs: 0 },
      rewindTo: copyWeights(early),
    });
    const [now, then] = [weightsOf(lenet), weightsOf(early)];
    for (const [layer, mask] of Object.entries(best.masks)) {
      assert.ok(now[layer].every((w, i) => w === (mask[i] === 1 ? then[layer][i] : 0)));
    }
    restoreWeights(lenet, trained);
  });

  it("removes a third of LeNet-5's filters and neurons at hardly any loss, untrained", async () => {
    const lenet5 = await loadPretrained("lenet-5");
    const { model, best, history } = await pruneUnitsIteratively(lenet5, data, {
      sparsity: 0.3,
      steps: 1,
      score: "geometricMedian",
      fineTune: { epochs: 0 },
    });
    assert.ok(best.accuracy > history[0].accuracy - 0.02);
    assert.ok(model.countParams() < 0.75 * lenet5.countParams());
    // Neurons that never fire go into the next layer's bias.
    const merged = await mergeUnits(lenet5, firstOf(data.train, 500), { tolerance: 0.01 });
    assert.ok(merged.merges.fc1.length > 50);
    assert.ok((await evaluate(merged.model, data.test)).accuracy > history[0].accuracy - 0.005);
  });

  it("adds the scores of filters that go together", async () => {
    const model = residual();
    const [l1, groups] = [await filterScoresOf(model, undefined, "l1"), groupsOf(model)];
    const names = groups.map(({ name }) => name);
    assert.deepEqual(Object.keys(l1), ["a+c", "b"]);
    assert.deepEqual(names, ["a+c", "b"]);
    const weights = weightsOf(model);
    const [a, c] = [filterNorm(weights.a, 6, 1), filterNorm(weights.c, 6, 1)];
    assert.deepEqual(
      l1["a+c"],
      a.map((score, i) => score + c[i]),
    );
  });

  it("removes filters and neurons step by step, and leaves the original alone", async () => {
    const before = copyWeights(lenet);
    const result = await pruneUnitsIteratively(lenet, data, {
      sparsity: 0.5,
      steps: 2,
      score: "taylorWeight",
    });
    assert.equal(result.ended, "plan done");
    assert.equal(Math.round(result.best.sparsity * 400), 200);
    const kept = Object.fromEntries(
      Object.entries(result.best.masks).map(([name, mask]) => [name, mask.reduce((n, m) => n + m, 0)]),
    );
    assert.deepEqual(shapesOf(result.model), {
      fc1: [784, kept.fc1],
      fc2: [kept.fc1, kept.fc2],
      fc3: [kept.fc2, 10],
    });
    assert.equal((await evaluate(result.model, data.test)).accuracy, result.best.accuracy);
    assert.ok(result.best.accuracy > result.history[0].accuracy - 0.03);
    assert.deepEqual(copyWeights(lenet), before);
  });

  it("removes exactly the units that its masks say", async () => {
    const result = await pruneUnitsIteratively(lenet, data, {
      sparsity: 0.3,
      steps: 3,
      schedule: "linear",
      fineTune: { epochs: 0 },
    });
    // Untrained, three steps of surgery give what one gives on the original.
    const { loss } = await evaluate(pruneGroups(lenet, result.best.masks), data.test);
    assert.ok(Math.abs(loss - (await evaluate(result.model, data.test)).loss) < 1e-6);
  });

  it("rewinds units, too: what is left has early weights, chosen by the trained ones", async () => {
    const early = lenet300(9);
    const others = copyWeights(lenet5(1));
    const { numTensors } = tf.memory();
    const result = await pruneUnitsIteratively(lenet, data, {
      sparsity: 0.4,
      steps: 2,
      score: "l2",
      fineTune: { epochs: 0 },
      rewindTo: copyWeights(early),
    });
    const expected = pruneGroups(early, result.best.masks);
    assert.deepEqual(weightsOf(result.model), weightsOf(expected));
    const cut = pruneGroups(lenet, result.best.masks);
    assert.notDeepEqual(weightsOf(result.model), weightsOf(cut));
    // The first step scores the trained network, so its cut is that of pruning without rewinding.
    const once = { sparsity: 0.4, steps: 1, score: "l2", fineTune: { epochs: 0 } } as const;
    const rewound = await pruneUnitsIteratively(lenet, data, { ...once, rewindTo: copyWeights(early) });
    const trained = await pruneUnitsIteratively(lenet, data, once);
    assert.deepEqual(rewound.best.masks, trained.best.masks);
    for (const { model } of [result, rewound, trained]) model.dispose();
    expected.dispose();
    cut.dispose();
    await assert.rejects(
      pruneUnitsIteratively(lenet, data, { ...once, rewindTo: others }),
      /weights of lenet-300-100 must have 6 elements, got 8/,
    );
    await assert.rejects(
      pruneUnitsIteratively(lenet, data, { ...once, rewindTo: copyWeights(early).reverse() }),
      /weights of fc1\/kernel must have 235200 elements, got 10/,
    );
    assert.equal(tf.memory().numTensors, numTensors, "of all copies none stays");
  });

  it("removes units down to a floor, through residual additions, but never a whole layer", async () => {
    const model = residual();
    const { best, ended } = await pruneUnitsIteratively(model, data, {
      accuracyFloor: 0,
      rate: 0.5,
      fineTune: { epochs: 0 },
    });
    assert.equal(ended, "nothing left");
    assert.deepEqual(
      Object.entries(best.masks).map(([name, mask]) => [name, mask.reduce((n, m) => n + m, 0)]),
      [
        ["a+c", 1],
        ["b", 1],
      ],
    );
  });

  it("merges neurons that others can stand in for, without training", async () => {
    const model = cloneModel(lenet);
    // Three copies of neurons, scaled and so that ReLU keeps the relation, and a constant one.
    const [weights, biases] = [weightsOf(model), biasesOf(model)];
    for (const [copy, of, scale] of [
      [7, 3, 2],
      [250, 10, 0.5],
      [299, 3, 1.5],
    ]) {
      for (let i = 0; i < 784; i++) weights.fc1[i * 300 + copy] = scale * weights.fc1[i * 300 + of];
      biases.fc1[copy] = scale * biases.fc1[of];
    }
    for (let i = 0; i < 784; i++) weights.fc1[i * 300 + 100] = 0;
    biases.fc1[100] = 0.7;
    setWeights(model, weights);
    setBiases(model, biases);
    const images = firstOf(data.train, 300);
    const { model: smaller, merges } = await mergeUnits(model, images, { tolerance: 1e-6 });
    const gone = new Set(merges.fc1.map(({ neuron }) => neuron));
    assert.ok([100, 250].some((neuron) => gone.has(neuron)));
    assert.equal([3, 7, 299].filter((neuron) => gone.has(neuron)).length, 2, "of three alike one stays");
    assert.equal(shapesOf(smaller).fc1[1], 300 - merges.fc1.length);
    const [one, other] = [await predict(model, images), await predict(smaller, images)];
    for (let i = 0; i < one.probabilities.length; i++) {
      assert.ok(Math.abs(one.probabilities[i] - other.probabilities[i]) < 1e-3);
    }
  });

  it("merges filters through pooling and flattening", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({
          name: "conv",
          inputShape: [28, 28, 1],
          filters: 6,
          kernelSize: 5,
          activation: "relu",
        }),
        tf.layers.maxPooling2d({ poolSize: 4, strides: 4 }),
        tf.layers.flatten({}),
        tf.layers.dense({ name: "out", units: 10, activation: "softmax" }),
      ],
    });
    const { conv } = weightsOf(model);
    for (let i = 0; i < 25; i++) conv[i * 6 + 4] = 3 * conv[i * 6 + 1];
    setWeights(model, { conv });
    const images = firstOf(data.train, 50);
    const { model: smaller, merges } = await mergeUnits(model, images, { units: "filters", tolerance: 1e-6 });
    assert.deepEqual(
      merges.conv.map(({ neuron, into }) => [neuron, into]),
      [[4, 1]],
    );
    assert.ok(Math.abs(merges.conv[0].scale - 3) < 1e-4);
    const [one, other] = [await predict(model, images), await predict(smaller, images)];
    for (let i = 0; i < one.probabilities.length; i++) {
      assert.ok(Math.abs(one.probabilities[i] - other.probabilities[i]) < 1e-5);
    }
  });

  it("merges nothing where several layers take the units in, or one that pads them", async () => {
    const { merges } = await mergeUnits(residual(), firstOf(data.train, 20), { units: "both", tolerance: 1 });
    assert.deepEqual(merges, {});
  });

  it("refuses what it cannot do", async () => {
    await assert.rejects(scoresOf(lenet, undefined, "obd"), /score "obd" needs images, got none/);
    await assert.rejects(filterScoresOf(lenet5(1), undefined, "taylorWeight"), /needs images, got none/);
    await assert.rejects(
      scoresOf(lenet, undefined, "luck" as "obd"),
      /score must be one of "magnitude", "gradient", "obd", got "luck"/,
    );
    await assert.rejects(pruneIteratively(lenet, data, {}), /give a sparsity, an accuracyFloor, or both/);
    await assert.rejects(
      pruneIteratively(lenet, data, { sparsity: 0.5, layers: ["fc9"] }),
      /layer must be one of "fc1", "fc2", "fc3", got "fc9"/,
    );
    await assert.rejects(
      pruneIteratively(lenet, data, { accuracyFloor: 1 }),
      /accuracyFloor must be at most the accuracy before pruning/,
    );
    await assert.rejects(
      pruneUnitsIteratively(lenet, data, { sparsity: 0.5, units: "filters" }),
      /lenet-300-100 has no filters to remove/,
    );
    await assert.rejects(
      pruneUnitsIteratively(lenet, data, { sparsity: 0.5, score: "magnitude" as "l1" }),
      /score must be one of "l1", "l2", .*, got "magnitude"/,
    );
    await assert.rejects(
      pruneUnitsIteratively(lenet, data, { sparsity: 0.5, units: "cells" as "both" }),
      /units must be one of "filters", "neurons", "both", got "cells"/,
    );
    await assert.rejects(
      mergeUnits(lenet, data.train, { tolerance: 2 }),
      /tolerance must be a number from 0 to 1/,
    );
  });
});
