import assert from "node:assert/strict";
import { loadDataset, type Split } from "slimlab/datasets";
import {
  activationsOf,
  autoQuantize,
  cloneModel,
  equalizeModel,
  evaluate,
  firstOf,
  inputStatisticsOf,
  loadPretrained,
  predict,
  quantizedForward,
  quantizeWeights,
  setWeights,
  tf,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { dequantize, outputError } from "slimlab/quantization";
import { normal, seeded } from "../../lib/util/random.ts";

describe("nn/auto-quantize: §3.2.1 item 3", () => {
  let calibration: Split;
  let test: Split;
  before(async () => {
    await useBackend("wasm");
    const data = await loadDataset("mnist-10k");
    calibration = firstOf(data.train, 100);
    test = firstOf(data.test, 400);
  });

  it("knows the inputs of dense layers and convolutions: the output error they give is the real one", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({
          name: "conv",
          inputShape: [28, 28, 1],
          filters: 3,
          kernelSize: [4, 5],
          strides: [2, 3],
          padding: "same",
        }),
        tf.layers.flatten(),
        tf.layers.dense({ name: "fc", units: 10 }),
      ],
    });
    const data = firstOf(calibration, 30);
    const statistics = await inputStatisticsOf(model, data, { rows: 1e9, batchSize: 7 });
    assert.equal(statistics.conv.samples, 30 * 14 * 10);
    assert.equal(statistics.fc.samples, 30);
    for (const name of ["conv", "fc"]) {
      const before = weightsOf(model)[name];
      const outputs = await activationsOf(model, data, [name]);
      const random = seeded(4);
      const after = before.map((w) => w + 0.1 * normal(random));
      setWeights(model, { [name]: after });
      const changed = await activationsOf(model, data, [name]);
      setWeights(model, { [name]: before });
      const real =
        outputs[name].values.reduce((sum, y, i) => sum + (y - changed[name].values[i]) ** 2, 0) /
        statistics[name].samples;
      assert.ok(Math.abs(outputError(before, after, statistics[name]) / real - 1) < 1e-3, name);
    }
    const few = await inputStatisticsOf(model, data, { rows: 100 });
    assert.ok(few.conv.samples <= 101);
    model.dispose();
  });

  it("equalizes across layers, convolutions, pooling and flattening without changing the model", async () => {
    for (const [name, pairs] of [
      ["lenet-300-100", 2],
      ["lenet-5", 3],
    ] as const) {
      const model = await loadPretrained(name);
      const few = firstOf(test, 40);
      const before = await predict(model, few);
      const original = weightsOf(model);
      const done = equalizeModel(model);
      assert.equal(done.length, pairs);
      const after = await predict(model, few);
      const size = Math.max(...before.logits.map(Math.abs));
      before.logits.forEach((z, i) => {
        assert.ok(Math.abs(z - after.logits[i]) < 1e-4 * size);
      });
      for (const [layer, weights] of Object.entries(weightsOf(model)))
        assert.notDeepEqual(weights, original[layer]);
      assert.ok(done.every(({ scales: [min, max] }) => min > 0 && max > min));
      model.dispose();
    }
  });

  it("equalizes only along the way that the data take: branches stay, ReLU layers and padding let factors through", async () => {
    const { layers } = tf;
    const input = tf.input({ shape: [28, 28, 1] });
    const conv = (name: string, activation?: "relu") =>
      layers.conv2d({ name, filters: 3, kernelSize: 5, strides: 4, activation });
    // `a` and `b` follow each other in the list of layers, and not in the graph; `c` feeds two; `e` is clipped at 6.
    const [a, b] = [conv("a", "relu").apply(input), conv("b", "relu").apply(input)];
    let x = layers.concatenate().apply([a, b] as tf.SymbolicTensor[]);
    const c = layers.conv2d({ name: "c", filters: 4, kernelSize: 1 }).apply(x);
    const d = layers.conv2d({ name: "d", filters: 4, kernelSize: 1 }).apply(c);
    x = layers.add().apply([c, d] as tf.SymbolicTensor[]);
    x = layers.conv2d({ name: "e", filters: 4, kernelSize: 1 }).apply(x);
    x = layers.reLU({ maxValue: 6 }).apply(x);
    x = layers.conv2d({ name: "f", filters: 5, kernelSize: 2, useBias: false }).apply(x);
    x = layers.reLU().apply(layers.zeroPadding2d({ padding: 1 }).apply(x));
    x = layers.conv2d({ name: "g", filters: 6, kernelSize: 3, strides: 2, activation: "relu" }).apply(x);
    x = layers.globalAveragePooling2d({}).apply(x);
    const outputs = layers.dense({ name: "h", units: 10, activation: "softmax" }).apply(x);
    const model = tf.model({ inputs: input, outputs: outputs as tf.SymbolicTensor });
    const few = firstOf(test, 20);
    const before = await predict(model, few);
    assert.deepEqual(
      equalizeModel(model).map(({ first, second }) => [first, second]),
      [
        ["f", "g"],
        ["g", "h"],
      ],
    );
    const after = await predict(model, few);
    const size = Math.max(...before.logits.map(Math.abs));
    before.logits.forEach((z, i) => {
      assert.ok(Math.abs(z - after.logits[i]) < 1e-5 * size, `${z} ${after.logits[i]}`);
    });
    model.dispose();
  });

  it("equalizes through depthwise convolutions and leaky ReLUs, and through ReLU6 where that may become ReLU", async () => {
    const { layers } = tf;
    const make = (clip: boolean) =>
      tf.sequential({
        layers: [
          layers.conv2d({ name: "c", inputShape: [28, 28, 1], filters: 4, kernelSize: 5, strides: 4 }),
          clip ? layers.reLU({ name: "six", maxValue: 6 }) : layers.leakyReLU({ name: "leaky" }),
          layers.depthwiseConv2d({
            name: "dw",
            kernelSize: 3,
            depthMultiplier: 2,
            activation: clip ? "relu6" : "relu",
            biasInitializer: "randomUniform",
          }),
          layers.conv2d({ name: "p", filters: 3, kernelSize: 1 }),
          layers.prelu({ sharedAxes: [1, 2], alphaInitializer: "randomUniform" }),
          layers.flatten(),
          layers.dense({ name: "out", units: 10, activation: "softmax" }),
        ],
      });
    const few = firstOf(test, 20);
    const ways = [
      ["c", "dw"],
      ["dw", "p"],
      ["p", "out"],
    ];
    for (const clip of [false, true]) {
      const model = make(clip);
      const before = await predict(model, few);
      if (clip) {
        // Nothing lets a factor through a ReLU6 but replacing it, which is to be asked for.
        assert.deepEqual(
          equalizeModel(model).map(({ first }) => first),
          ["p"],
        );
      }
      const done = equalizeModel(model, { relu6: clip ? "replace" : "keep" });
      assert.deepEqual(
        done.map(({ first, second }) => [first, second]),
        ways,
      );
      assert.deepEqual(
        done.map(({ replaced }) => replaced),
        clip ? [["six"], ["dw"], []] : [[], [], []],
      );
      const ranges = (name: string, channel: (i: number) => number) => {
        const found: number[] = [];
        for (const [i, w] of weightsOf(model)[name].entries())
          found[channel(i)] = Math.max(found[channel(i)] ?? 0, Math.abs(w));
        return found;
      };
      // Both sides of a pair use the same range for each channel, up to what the other pair has left to do.
      const [left, right] = [ranges("dw", (i) => i % 8), ranges("p", (i) => Math.floor(i / 3))];
      for (const [c, range] of left.entries())
        assert.ok(Math.abs(range / right[c] - 1) < 0.05, `${range} ${right[c]}`);
      // No activation here comes near to 6, so that a ReLU6 does what a ReLU does.
      const after = await predict(model, few);
      const size = Math.max(...before.logits.map(Math.abs));
      before.logits.forEach((z, i) => {
        assert.ok(Math.abs(z - after.logits[i]) < 1e-5 * size, `${z} ${after.logits[i]}`);
      });
      const copy = cloneModel(model);
      assert.ok(!JSON.stringify(copy.getConfig()).match(/relu6|"maxValue":6/), "the copy has ReLUs");
      copy.dispose();
      model.dispose();
    }
    assert.throws(
      () => equalizeModel(make(true), { relu6: "drop" as "keep" }),
      /relu6 must be one of "keep", "replace", got "drop"/,
    );
  });

  it("takes a depthwise convolution along, by its weights alone", async () => {
    const { layers } = tf;
    const model = tf.sequential({
      layers: [
        layers.conv2d({
          name: "c",
          inputShape: [28, 28, 1],
          filters: 4,
          kernelSize: 5,
          strides: 4,
          activation: "relu",
        }),
        layers.depthwiseConv2d({ name: "dw", kernelSize: 3, depthMultiplier: 2, activation: "relu" }),
        layers.flatten(),
        layers.dense({ name: "out", units: 10, activation: "softmax" }),
      ],
    });
    // Channels of very different size: only one scale a channel does justice to them.
    setWeights(model, { dw: weightsOf(model).dw.map((w, i) => w * 10 ** (Math.floor(i / 2) % 4)) });
    const original = weightsOf(model).dw;
    const { rows, quantized } = await autoQuantize(
      model,
      firstOf(calibration, 60),
      { bytes: 2000 },
      // Its channels are told apart by their scales here, not by sharing out their ranges.
      { bits: [4], equalization: "never" },
    );
    const row = rows.find(({ layer }) => layer === "dw")!;
    assert.equal(row.granularity, "per channel");
    assert.deepEqual([row.rounding, row.biasCorrected], ["nearest", false]);
    assert.equal(quantized.dw.scale.length, 8);
    const restored = weightsOf(model).dw;
    const square = (values: Float32Array) => values.reduce((sum, w) => sum + w * w, 0);
    const error = square(original.map((w, i) => w - restored[i])) / square(original);
    assert.ok(Math.abs(row.outputError - error) < 1e-6);
    await assert.rejects(
      inputStatisticsOf(model, calibration),
      /dw must be a dense layer or a 2-D convolution/,
    );
    model.dispose();
  });

  it("spends a budget of bytes better than the same width for all, and says why", async () => {
    const model = await loadPretrained("lenet-300-100");
    const original = weightsOf(model);
    const { bytes: three } = quantizeWeights(model, { bits: 3, range: "mse" });
    const uniform = await evaluate(model, test);
    setWeights(model, original);
    const result = await autoQuantize(model, calibration, { bytes: three }, { validation: test });
    assert.ok(result.bytes <= three);
    assert.ok(result.after.loss < uniform.loss, `${result.after.loss} ${uniform.loss}`);
    assert.deepEqual(await evaluate(model, test), result.after);
    assert.deepEqual(
      result.rows.map((row) => row.layer),
      ["fc1", "fc2", "fc3"],
    );
    assert.equal(
      result.rows.reduce((sum, row) => sum + row.bytes, 0),
      result.bytes,
    );
    for (const row of result.rows) {
      assert.ok(row.outputError > 0 && row.outputError < 1 && row.divergence >= 0);
      assert.match(row.why, /bits would (save|cost) \d+ bytes/);
      assert.deepEqual(weightsOf(model)[row.layer], dequantize(result.quantized[row.layer]));
      assert.equal(result.quantized[row.layer].bits, row.bits);
    }
    assert.ok(result.log.some((line) => line.includes("allocations")));
    model.dispose();
  });

  it("finds the bytes that an accuracy needs, activations quantized too", async () => {
    const model = await loadPretrained("lenet-300-100");
    const floor = (await evaluate(model, test)).accuracy - 0.01;
    const result = await autoQuantize(
      model,
      calibration,
      { accuracyFloor: floor },
      { validation: test, bits: [2, 3, 4, 8], activations: { bits: 8 } },
    );
    // The floor holds for the weights; activations of 8 bits may move an image or two.
    assert.ok((await evaluate(model, test)).accuracy >= floor);
    assert.ok(result.after.accuracy >= floor - 0.003);
    assert.ok(result.bytes < 266200 / 2, `${result.bytes}`);
    const forward = quantizedForward(model, { activations: result.activations });
    assert.deepEqual(await evaluate(model, test, { forward }), result.after);
    model.dispose();
  });

  it("trains at the end when asked", async () => {
    const options = {
      validation: test,
      bits: [2],
      gptq: "never",
      biasCorrection: "never",
      equalization: "never",
    } as const;
    const plain = await loadPretrained("lenet-300-100");
    const rounded = await autoQuantize(plain, calibration, { bytes: 1e6 }, options);
    plain.dispose();
    const model = await loadPretrained("lenet-300-100");
    const data = firstOf((await loadDataset("mnist-10k")).train, 512);
    const trained = await autoQuantize(
      model,
      calibration,
      { bytes: 1e6 },
      { ...options, fineTune: { data, options: { epochs: 1, learningRate: 0.0003 } } },
    );
    assert.ok(trained.after.loss < rounded.after.loss, `${trained.after.loss} ${rounded.after.loss}`);
    assert.equal(trained.bytes, rounded.bytes);
    assert.deepEqual(weightsOf(model).fc2, dequantize(trained.quantized.fc2));
    model.dispose();
  });

  it("asks for one budget", async () => {
    const model = await loadPretrained("lenet-300-100");
    for (const budget of [undefined, {}, { bytes: 1000, accuracyFloor: 0.9 }])
      await assert.rejects(
        autoQuantize(model, calibration, budget as { bytes: number }),
        /budget must be \{ bytes \} or \{ accuracyFloor \}, got/,
      );
    model.dispose();
  });

  it("tells how far it is, and ends when told to, with the model as it was", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.averagePooling2d({ poolSize: 4, inputShape: [28, 28, 1] }),
        tf.layers.flatten(),
        tf.layers.dense({ name: "a", units: 6, activation: "relu" }),
        tf.layers.dense({ name: "b", units: 10 }),
      ],
    });
    const few = firstOf(calibration, 30);
    const before = weightsOf(model);
    const shares: number[] = [];
    const stop = new AbortController();
    const stopped = autoQuantize(
      model,
      few,
      { bytes: 400 },
      {
        signal: stop.signal,
        onProgress: (share) => {
          shares.push(share);
          if (share > 0.6) stop.abort();
        },
      },
    );
    await assert.rejects(stopped, { name: "AbortError" });
    assert.ok(shares.at(-1)! > 0.6 && shares.at(-1)! < 1, String(shares));
    assert.deepEqual(weightsOf(model), before);
    shares.length = 0;
    await autoQuantize(model, few, { bytes: 400 }, { onProgress: (share) => shares.push(share) });
    assert.deepEqual(
      shares,
      shares.toSorted((a, b) => a - b),
    );
    assert.ok(shares[0] < 0.3 && shares.at(-1)! > 0.9 && shares.at(-1)! <= 1, String(shares));
    model.dispose();
  });

  it("leaves the model alone when the budget cannot be met", async () => {
    const model = await loadPretrained("lenet-300-100");
    const original = weightsOf(model);
    const few = firstOf(calibration, 30);
    await assert.rejects(
      autoQuantize(model, few, { bytes: 100 }, { bits: [8] }),
      /budget.bytes must be at least \d+ for these widths, got 100/,
    );
    await assert.rejects(
      autoQuantize(model, few, { accuracyFloor: 1 }, { bits: [1], validation: test, equalization: "never" }),
      /budget.accuracyFloor must be at most 0\.\d+ for these widths on these images, got 1/,
    );
    await assert.rejects(
      autoQuantize(model, few, { bytes: 1 }, { bits: [] }),
      /bits must have at least one width/,
    );
    await assert.rejects(
      autoQuantize(model, few, { accuracyFloor: 2 }),
      /budget.accuracyFloor must be a number from 0 to 1, got 2/,
    );
    assert.deepEqual(weightsOf(model), original);
    model.dispose();
  });
});
