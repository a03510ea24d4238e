import assert from "node:assert/strict";
import { type Arrays, divide, subset, take } from "../../lib/datasets/index.ts";
import {
  activationsOf,
  autoQuantize,
  calibrateActivations,
  compareModels,
  ensureBackend,
  evaluate,
  factorizeModel,
  gradientsOf,
  hessianDiagonalOf,
  latencyOf,
  mergeUnits,
  predict,
  pruneIteratively,
  quantizedForward,
  quantizeWeights,
  scoresOf,
  tf,
  train,
  trainQuantized,
  weightsOf,
} from "../../lib/nn/index.ts";
import { runRecipe } from "../../lib/pipeline/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const { layers } = tf;
const init = (seed: number) => tf.initializers.varianceScaling({ seed, distribution: "normal" });
const near = (found: number, expected: number, within = 1e-5) =>
  assert.ok(Math.abs(found - expected) <= within, `${found} instead of ${expected}`);

/** A table: y = sin(a) + b c / 2 and a second number, with a little noise. */
function table(count: number, seed: number): Arrays {
  const random = seeded(seed);
  const x = Float32Array.from({ length: 3 * count }, () => normal(random));
  const y = new Float32Array(2 * count);
  for (let i = 0; i < count; i++) {
    const [a, b, c] = x.subarray(3 * i, 3 * i + 3);
    y.set([Math.sin(a) + (b * c) / 2 + 0.01 * normal(random), a - b], 2 * i);
  }
  return { inputs: [{ values: x, shape: [3] }], targets: [{ values: y }], count };
}

const regression = () =>
  tf.sequential({
    name: "table",
    layers: [
      layers.dense({ name: "a", units: 24, inputShape: [3], activation: "relu", kernelInitializer: init(1) }),
      layers.dense({ name: "b", units: 24, activation: "relu", kernelInitializer: init(2) }),
      layers.dense({ name: "y", units: 2, kernelInitializer: init(3) }),
    ],
  });

/** Tokens and features in; a class of four, three yes or no, and a number out. */
function mixed(): tf.LayersModel {
  const tokens = tf.input({ shape: [6], dtype: "int32", name: "tokens" });
  const features = tf.input({ shape: [4], name: "features" });
  const words = layers.embedding({ name: "words", inputDim: 20, outputDim: 8 }).apply(tokens);
  const memory = layers.gru({ name: "memory", units: 8, kernelInitializer: init(4) }).apply(words);
  const dense = layers.dense({ name: "dense", units: 8, activation: "relu", kernelInitializer: init(5) });
  const both = layers
    .concatenate({ name: "both" })
    .apply([memory, dense.apply(features)] as tf.SymbolicTensor[]);
  const outputs = [
    layers.dense({ name: "kind", units: 4, activation: "softmax", kernelInitializer: init(6) }),
    layers.dense({ name: "tags", units: 3, activation: "sigmoid", kernelInitializer: init(7) }),
    layers.dense({ name: "amount", units: 1, kernelInitializer: init(8) }),
  ].map((layer) => layer.apply(both) as tf.SymbolicTensor);
  return tf.model({ name: "mixed", inputs: [tokens, features] as tf.SymbolicTensor[], outputs });
}

function mixedSamples(count: number, seed: number): Arrays {
  const random = seeded(seed);
  const tokens = Int32Array.from({ length: 6 * count }, () => Math.floor(20 * random()));
  const features = Float32Array.from({ length: 4 * count }, () => normal(random));
  const first = (i: number) => tokens[6 * i + 5];
  return {
    inputs: [
      { values: tokens, shape: [6] },
      { values: features, shape: [4] },
    ],
    targets: [
      { values: Uint8Array.from({ length: count }, (_, i) => first(i) % 4) },
      {
        values: Uint8Array.from({ length: 3 * count }, (_, k) =>
          Number(features[4 * Math.floor(k / 3) + (k % 3)] > 0),
        ),
      },
      { values: Float32Array.from({ length: count }, (_, i) => features[4 * i] - features[4 * i + 3]) },
    ],
    count,
  };
}

describe("any task: values, labels, tokens, several inputs and outputs", () => {
  before(() => ensureBackend());

  it("losses and measures are those of their formulas", async () => {
    const model = mixed();
    const samples = mixedSamples(30, 1);
    const [kind, tags, amount] = samples.targets!.map(({ values }) => Float32Array.from(values!));
    const xs = [
      tf.tensor(samples.inputs[0].values as Int32Array, [30, 6], "int32"),
      tf.tensor(samples.inputs[1].values as Float32Array, [30, 4]),
    ];
    const [p, q, z] = (model.predict(xs) as tf.Tensor[]).map((one) => one.dataSync() as Float32Array);
    let [ce, right] = [0, 0];
    for (let i = 0; i < 30; i++) {
      const row = [...p.subarray(4 * i, 4 * i + 4)];
      ce -= Math.log(row[kind[i]]) / 30;
      right += Number(row.indexOf(Math.max(...row)) === kind[i]);
    }
    let [bce, hits] = [0, 0];
    for (let k = 0; k < 90; k++) {
      bce -= Math.log(tags[k] ? q[k] : 1 - q[k]) / 90;
      hits += Number(q[k] >= 0.5 === Boolean(tags[k]));
    }
    const mean = amount.reduce((sum, one) => sum + one, 0) / 30;
    let [sse, sst] = [0, 0];
    for (let i = 0; i < 30; i++) {
      sse += (z[i] - amount[i]) ** 2;
      sst += (amount[i] - mean) ** 2;
    }
    const found = await evaluate(model, samples, { batchSize: 7 });
    const expected = [
      { name: "kind", task: "classes", loss: ce, accuracy: right / 30 },
      { name: "tags", task: "labels", loss: bce, accuracy: hits / 90 },
      { name: "amount", task: "values", loss: sse / 30, accuracy: 1 - sse / sst },
    ];
    for (const [o, { loss, accuracy, ...rest }] of expected.entries()) {
      const { loss: l, accuracy: a, ...other } = found.outputs![o];
      assert.deepEqual(other, rest);
      near(l, loss);
      near(a, accuracy);
    }
    near(found.loss, ce + bce + sse / 30);
    near(found.accuracy, (right / 30 + hits / 90 + 1 - sse / sst) / 3);
    assert.equal(found.measure, "mean of accuracy and R²");
    const said = await predict(model, samples);
    assert.deepEqual(
      said.outputs.map(({ name, task, shape }) => [name, task, shape]),
      [
        ["kind", "classes", [4]],
        ["tags", "labels", [3]],
        ["amount", "values", [1]],
      ],
    );
    for (const [o, values] of [p, q, z].entries())
      for (const [i, value] of values.entries()) near(said.outputs[o].values[i], value);
    // A measure of one's own takes the place of accuracy.
    const own = {
      name: "−mean absolute error",
      of: ({
        outputs: [, , last],
        targets: [, , wanted],
      }: Parameters<NonNullable<Arrays["measure"]>["of"]>[0]) =>
        -last.reduce((sum, one, i) => sum + Math.abs(one - wanted![i]), 0) / last.length,
    };
    const by = await evaluate(model, { ...samples, measure: own });
    assert.equal(by.measure, own.name);
    near(by.accuracy, -z.reduce((sum, one, i) => sum + Math.abs(one - amount[i]), 0) / 30);
    // The gradient, against a difference quotient of the whole loss.
    const gradients = await gradientsOf(model, samples);
    const { dense } = gradients;
    const weights = weightsOf(model).dense;
    const step = 1e-3;
    const at = async (shift: number) => {
      const moved = weights.slice();
      moved[5] += shift;
      const layer = model.getLayer("dense");
      const [, bias] = layer.getWeights();
      layer.setWeights([tf.tensor(moved, [4, 8]), bias]);
      return (await evaluate(model, samples)).loss;
    };
    near(dense[5], ((await at(step)) - (await at(-step))) / (2 * step), 2e-3);
    await at(0);
    await assert.rejects(hessianDiagonalOf(model, samples), /mixed must have one output .* got 3/);
    model.dispose();
    tf.dispose(xs);
  });

  it("a table of values is trained, pruned, quantized, compared and put through a recipe", async () => {
    const model = regression();
    const [train_, test] = divide(table(600, 1), 450, 1);
    assert.deepEqual([train_.count, test.count], [450, 150]);
    const history = await train(model, train_, { epochs: 30, learningRate: 0.01, validation: test });
    const { accuracy, measure, correct } = await evaluate(model, test);
    assert.equal(measure, "R²");
    assert.ok(Number.isNaN(correct));
    assert.ok(accuracy > 0.9, `R² ${accuracy}`);
    near(history.epochs.at(-1)!.validation!.accuracy, accuracy);
    // Of a linear layer's weight the curvature is twice the mean square of its input, over the two numbers that are met.
    const { y } = await hessianDiagonalOf(model, test);
    const seen = (await activationsOf(model, test, ["b"])).b.values;
    let square = 0;
    for (let i = 0; i < test.count; i++) square += seen[24 * i] ** 2 / test.count;
    near(y[0], square, 1e-3 * square);
    assert.equal((await scoresOf(model, train_, "obd")).a.length, 72);
    const compared = await compareModels(model, model, test);
    assert.deepEqual([compared.agreement, compared.divergence], [1, 0]);
    const times = await latencyOf({ model }, take(test, [0, 1]), { runs: 2, pass: "backward" });
    assert.ok(times.model.median > 0);
    const { merges } = await mergeUnits(model, subset(test, 50), { tolerance: 0.01 });
    assert.ok("a" in merges);
    const result = await runRecipe(
      model,
      { train: train_, validation: test },
      [
        { technique: "pruneWeights", sparsity: 0.4, score: "gradient" },
        { technique: "fineTune", epochs: 3 },
        { technique: "quantizeAutomatically", accuracyFloor: 0.85, bits: [3, 4, 6, 8] },
      ],
      { cache: false },
    );
    assert.ok(result.rows.at(-1)!.accuracy >= 0.85, `${result.rows.at(-1)!.accuracy}`);
    assert.ok(result.rows.at(-1)!.bytes < result.rows[0].bytes / 2);
    assert.equal((await result.evaluate(test)).accuracy, result.rows.at(-1)!.accuracy);
    await assert.rejects(
      runRecipe(model, { train: train_, validation: test }, [{ technique: "distill", epochs: 1 }], {
        cache: false,
      }),
      /distillation needs networks with one output, a row of class scores: .* has y, values of 2/,
    );
    await assert.rejects(train(model, train_, { shift: 1 }), /shift needs images with labels, got arrays/);
    model.dispose();
  });

  it("tokens and features to a class, labels and a number: trained, quantized with activations, automatically", async () => {
    const model = mixed();
    const samples = mixedSamples(240, 2);
    const { epochs } = await train(model, samples, { epochs: 20, learningRate: 0.02 });
    assert.ok(epochs.at(-1)!.loss < epochs[0].loss / 2, `${epochs[0].loss} ${epochs.at(-1)!.loss}`);
    const before = await evaluate(model, samples);
    const activations = await calibrateActivations(model, samples);
    // Tokens are no amounts.
    assert.deepEqual(Object.keys(activations.inputs!), ["features"]);
    assert.equal(activations.input, undefined);
    const forward = quantizedForward(model, { weights: { bits: 8, keepFloat: { below: 0 } }, activations });
    const simulated = await compareModels(model, model, samples, { forward });
    assert.equal(simulated.outputs!.length, 3);
    assert.ok(simulated.divergence > 0 && simulated.divergence < 0.05, `${simulated.divergence}`);
    const found = await autoQuantize(model, samples, { bytes: 900 }, { bits: [2, 4, 8] });
    assert.ok(found.bytes <= 900);
    assert.ok(found.rows.some(({ layer }) => layer === "words"));
    assert.ok(found.after.accuracy > before.accuracy - 0.15, `${found.after.accuracy} ${before.accuracy}`);
    const tuned = await trainQuantized(model, samples, { weights: { bits: 4 }, activations }, { epochs: 1 });
    assert.deepEqual(tuned.skipped, []);
    const pruned = await pruneIteratively(
      model,
      { train: samples, test: samples },
      { sparsity: 0.3, steps: 2 },
    );
    assert.ok(pruned.history.length > 0);
    const small = await factorizeModel(model, { energy: 0.9, data: samples, dense: "forInputs" });
    assert.equal((await evaluate(small.model, samples)).outputs!.length, 3);
    assert.ok(quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } }).bytes > 0);
    small.model.dispose();
    model.dispose();
  });

  it("one yes or no, one class for each step, and sequences of any length", async () => {
    const yes = tf.sequential({
      name: "yes",
      layers: [
        layers.dense({ units: 1, inputShape: [2], activation: "sigmoid", kernelInitializer: init(1) }),
      ],
    });
    const values = Float32Array.of(1, 0, -1, 0, 2, 1, -2, 3);
    const line: Arrays = {
      inputs: [{ values, shape: [2] }],
      targets: [{ values: Uint8Array.of(1, 0, 1, 0) }],
      count: 4,
    };
    await train(yes, line, { epochs: 60, learningRate: 0.1 });
    assert.equal((await evaluate(yes, line)).accuracy, 1);
    assert.deepEqual([...(await predict(yes, line)).classes], [1, 0, 1, 0]);

    const steps = tf.sequential({
      name: "steps",
      layers: [
        layers.embedding({ inputDim: 5, outputDim: 6, inputShape: [null as unknown as number] }),
        layers.simpleRNN({
          units: 10,
          returnSequences: true,
          kernelInitializer: init(2),
          recurrentInitializer: init(3),
        }),
        layers.dense({ name: "step", units: 3, activation: "softmax", kernelInitializer: init(4) }),
      ],
    });
    const random = seeded(3);
    const tokens = Int32Array.from({ length: 40 * 7 }, () => Math.floor(5 * random()));
    const tagging: Arrays = {
      inputs: [{ values: tokens, shape: [7] }],
      targets: [{ values: Uint8Array.from(tokens, (token) => token % 3) }],
      count: 40,
    };
    await train(steps, tagging, { epochs: 25, learningRate: 0.02 });
    const tagged = await evaluate(steps, tagging);
    assert.ok(tagged.accuracy > 0.95, `${tagged.accuracy}`);
    assert.equal(tagged.correct, Math.round(tagged.accuracy * 280));
    const shorter = take(tagging, [0, 1, 2]);
    const five = Int32Array.from({ length: 15 }, (_, i) => tokens[Math.floor(i / 5) * 7 + (i % 5)]);
    const part = await predict(steps, {
      ...shorter,
      inputs: [{ values: five, shape: [5] }],
      targets: undefined,
    });
    const whole = await predict(steps, shorter);
    // What came before does not hang on what follows.
    for (let i = 0; i < 3; i++)
      assert.deepEqual(
        [...part.classes.subarray(5 * i, 5 * i + 5)],
        [...whole.classes.subarray(7 * i, 7 * i + 5)],
      );
    const result = await autoQuantize(steps, tagging, { accuracyFloor: 0.9 }, { bits: [4, 8] });
    assert.ok(result.after.accuracy >= 0.9);
    yes.dispose();
    steps.dispose();
  });

  it("a softmax that other layers read keeps its part in the network", async () => {
    const x = tf.input({ shape: [4], name: "x" });
    const coarse = layers
      .dense({ name: "coarse", units: 3, activation: "softmax", kernelInitializer: init(1) })
      .apply(x);
    const fine = layers
      .dense({ name: "fine", units: 2, activation: "softmax", kernelInitializer: init(2) })
      .apply(coarse);
    const model = tf.model({ inputs: x, outputs: [coarse, fine] as tf.SymbolicTensor[] });
    const values = Float32Array.from({ length: 20 }, (_, i) => Math.sin(i));
    const { outputs } = await predict(model, { inputs: [{ values, shape: [4] }], count: 5 });
    const direct = model.predict(tf.tensor(values, [5, 4])) as tf.Tensor[];
    for (const [o, tensor] of direct.entries())
      for (const [i, value] of tensor.dataSync().entries()) near(outputs[o].values[i], value, 1e-6);
    model.dispose();
  });

  it("two towers of the same layers, told apart where they are used once", async () => {
    const tower = layers.dense({ name: "tower", units: 5, activation: "relu", kernelInitializer: init(1) });
    const pair = ["left", "right"].map((name) => tf.input({ shape: [3], name }));
    const both = layers
      .concatenate({ name: "both" })
      .apply(pair.map((x) => tower.apply(x) as tf.SymbolicTensor));
    const same = layers
      .dense({ name: "same", units: 1, activation: "sigmoid", kernelInitializer: init(2) })
      .apply(both);
    const model = tf.model({ name: "siamese", inputs: pair, outputs: same as tf.SymbolicTensor });
    const { inputs, count } = table(60, 4);
    const values = inputs[0].values as Float32Array;
    const samples: Arrays = {
      inputs: [inputs[0], { values: values.toReversed(), shape: [3] }],
      targets: [
        {
          values: Uint8Array.from({ length: count }, (_, i) =>
            Number(values[3 * i] > values[3 * (count - i) - 1]),
          ),
        },
      ],
      count,
    };
    const untrained = await evaluate(model, samples);
    await train(model, samples, { epochs: 60, learningRate: 0.02 });
    assert.ok((await evaluate(model, samples)).loss < untrained.loss / 2);
    const { layers: places, divergence } = await compareModels(model, model, samples, {
      forward: quantizedForward(model, { weights: { bits: 4 } }),
    });
    assert.deepEqual(
      places.map(({ layer }) => layer),
      ["both", "same"],
    );
    assert.ok(divergence > 0);
    await autoQuantize(model, samples, { bytes: 60 }, { bits: [4, 8] });
    model.dispose();
    const empty = tf.sequential({
      name: "empty",
      layers: [layers.activation({ activation: "softmax", inputShape: [3] })],
    });
    const rows: Arrays = { inputs, targets: [{ values: new Uint8Array(count) }], count };
    assert.deepEqual([await gradientsOf(empty, rows), await hessianDiagonalOf(empty, rows)], [{}, {}]);
    await assert.rejects(train(empty, rows), /empty has no weights that can be trained/);
  });

  it("what does not fit is refused by name", async () => {
    const model = mixed();
    const good = mixedSamples(10, 3);
    const [tokens, features] = good.inputs;
    const [kind, tags, amount] = good.targets!;
    const cases: [Partial<Arrays>, RegExp][] = [
      [{ inputs: [tokens] }, /mixed has 2 inputs \(tokens, features\), got arrays for 1/],
      [{ inputs: [tokens, { ...features, shape: [2, 3] }] }, /mixed takes features of 4, got 2 x 3/],
      [
        { inputs: [tokens, { values: new Float32Array(39), shape: [4] }] },
        /values of input features must have 40 elements, got 39/,
      ],
      [
        { inputs: [tokens, { values: new Float32Array(40).fill(Number.NaN), shape: [4] }] },
        /values of input features must be finite, got NaN/,
      ],
      [
        { inputs: [{ ...tokens, values: Int32Array.from(tokens.values, (t) => t + 1) }, features] },
        /tokens of tokens must be whole numbers from 0 to 19, got 20/,
      ],
      [
        { inputs: [{ ...tokens, values: Uint8Array.from(tokens.values) }, features] },
        /tokens of tokens must be .*, got bytes/,
      ],
      [{ targets: [kind] }, /mixed has 3 outputs, got targets for 1/],
      [{ targets: [kind, tags, {}] }, /targets of amount must be given/],
      [
        { targets: [{ values: new Float32Array(40) }, tags, amount] },
        /kind ends in a softmax: its targets must be class numbers/,
      ],
      [
        { targets: [{ values: new Uint8Array(10).fill(4) }, tags, amount] },
        /mixed has 4 classes, got label 4/,
      ],
      [
        { targets: [kind, { values: new Uint8Array(30).fill(2) }, amount] },
        /targets of tags must be 0 or 1, got 2/,
      ],
      [
        { targets: [kind, tags, { values: new Float32Array(9) }] },
        /targets of amount must have 10 elements, got 9/,
      ],
      [
        { targets: [kind, tags, { values: Float32Array.from({ length: 10 }, () => Number.NaN) }] },
        /targets of amount must be finite, got NaN/,
      ],
      [{ count: 0 }, /the number of samples must be .*got 0/],
      [
        { measure: { name: "mine", of: () => Number.NaN } },
        /measure mine must give a finite number, got NaN/,
      ],
    ];
    for (const [change, message] of cases)
      await assert.rejects(evaluate(model, { ...good, ...change }), { name: "RangeError", message });
    const images = {
      images: new Uint8Array(40),
      labels: new Uint8Array(10),
      count: 10,
      height: 2,
      width: 2,
      channels: 1,
    };
    await assert.rejects(
      evaluate(model, images),
      /mixed has 2 inputs .*got a split of images: give samples as/,
    );
    model.dispose();
  });
});
