import assert from "node:assert/strict";
import { loadDataset, type Split } from "slimlab/datasets";
import {
  calibrateActivations,
  clusterModel,
  evaluate,
  evaluateInteger,
  firstOf,
  integerNetworkOf,
  lenet300,
  loadPretrained,
  predict,
  quantizedForward,
  quantizeWeights,
  setWeights,
  tf,
  trainQuantized,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { dequantize, runInteger, simulateInteger } from "slimlab/quantization";

/** Pixels in [0, 1]. */
const floats = (split: Split) => Float32Array.from(split.images, (p) => p / 255);

describe("nn/quantize: §3.2 applied to models", () => {
  let train: Split;
  let test: Split;
  before(async () => {
    await useBackend("wasm");
    const data = await loadDataset("mnist-10k");
    train = firstOf(data.train, 1500);
    test = firstOf(data.test, 1000);
  });

  it("quantizes weights in place: 8 bits cost next to nothing, fewer bits more, and bytes are exact", async () => {
    const model = await loadPretrained("lenet-300-100");
    const original = weightsOf(model);
    const { accuracy } = await evaluate(model, test);
    const losses: number[] = [];
    for (const bits of [8, 4, 2]) {
      setWeights(model, original);
      const { quantized, errors, bytes } = quantizeWeights(model, {
        bits,
        range: "mse",
        keepFloat: { below: 0 },
      });
      assert.deepEqual(weightsOf(model).fc2, dequantize(quantized.fc2));
      assert.equal(bytes, (235200 * bits + 30000 * bits + 1000 * bits) / 8 + 4 * 410);
      assert.ok(errors.fc1.sqnr > 3 * bits);
      losses.push(accuracy - (await evaluate(model, test)).accuracy);
    }
    assert.ok(
      Math.abs(losses[0]) <= 0.003 && losses[0] <= losses[1] + 0.003 && losses[1] < losses[2] + 0.003,
      `${losses}`,
    );
    setWeights(model, original);
    const mixed = quantizeWeights(model, { bits: 8, perChannel: false, layers: { fc1: { bits: 3 } } });
    assert.equal(mixed.quantized.fc1.bits, 3);
    assert.equal(mixed.quantized.fc1.scale.length, 1);
    assert.equal(mixed.quantized.fc2.bits, 8);
    assert.throws(
      () => quantizeWeights(model, { bits: 8, layers: { fc9: {} } }),
      /layer must be one of "fc1", "fc2", "fc3", got "fc9"/,
    );
    // One bit has no 0: what was pruned would come back.
    setWeights(model, { fc2: original.fc2.map((w, i) => (i % 10 === 0 ? w : 0)) });
    assert.throws(
      () => quantizeWeights(model, { bits: 8, layers: { fc2: { bits: 1 } } }),
      /bits of fc2 must be at least 2, got 1: 90 % of its weights are 0/,
    );
    model.dispose();
  });

  it("keeps kernels of fewer than 1,024 weights as floats at 8 bits, as TFLite does, unless they are named", async () => {
    const model = await loadPretrained("lenet-300-100");
    const original = weightsOf(model);
    const given = (options: Parameters<typeof quantizeWeights>[1]) => {
      setWeights(model, original);
      const { quantized, kept, bytes } = quantizeWeights(model, options);
      return { codes: Object.keys(quantized), kept, bytes };
    };
    const scales = 4 * 400;
    assert.deepEqual(given({ bits: 8 }), {
      codes: ["fc1", "fc2"],
      kept: ["fc3"],
      bytes: 265200 + scales + 4000,
    });
    assert.deepEqual(weightsOf(model).fc3, original.fc3);
    const all = ["fc1", "fc2", "fc3"];
    assert.deepEqual(given({ bits: 8, layers: { fc3: {} } }).codes, all);
    assert.deepEqual(given({ bits: 8, keepFloat: { below: 1000 } }).codes, all);
    assert.deepEqual(given({ bits: 8, keepFloat: { layers: ["fc1"] } }).codes, ["fc2"]);
    for (const bits of [4, 7, 16]) assert.deepEqual(given({ bits }).codes, all, `${bits} bits`);
    // What is simulated, and what training through it leaves, is the same choice.
    setWeights(model, original);
    const forward = quantizedForward(model, { weights: { bits: 8 } });
    const simulated = await predict(model, firstOf(test, 50), { forward });
    quantizeWeights(model, { bits: 8 });
    assert.deepEqual(simulated.logits, (await predict(model, firstOf(test, 50))).logits);
    const tuned = await trainQuantized(model, firstOf(train, 64), { weights: { bits: 8 } }, { epochs: 1 });
    assert.deepEqual(tuned.kept, ["fc3"]);
    model.dispose();
  });

  it("gives each output of a depthwise convolution its scale, and each of a transposed one", async () => {
    const { layers } = tf;
    const model = tf.sequential({
      layers: [
        layers.depthwiseConv2d({ name: "dw", inputShape: [6, 6, 3], kernelSize: 3, depthMultiplier: 2 }),
        layers.conv2dTranspose({ name: "up", filters: 4, kernelSize: 2 }),
      ],
    });
    // Kernels [3, 3, 3, 2] and [2, 2, 4, 6]: 6 outputs on two axes, and 4 on the last but one.
    const scaled = (name: string, inner: number, channels: number) =>
      weightsOf(model)[name].map((w, i) => w * 10 ** (Math.floor(i / inner) % channels));
    setWeights(model, { dw: scaled("dw", 1, 6), up: scaled("up", 6, 4) });
    const before = weightsOf(model);
    const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
    const after = weightsOf(model);
    for (const [name, inner, channels] of [
      ["dw", 1, 6],
      ["up", 6, 4],
    ] as const) {
      assert.equal(quantized[name].scale.length, channels);
      // Half a step of each channel's own grid, whose reach is its largest weight.
      const largest = new Float64Array(channels);
      before[name].forEach((w, i) => {
        const c = Math.floor(i / inner) % channels;
        largest[c] = Math.max(largest[c], Math.abs(w));
      });
      before[name].forEach((w, i) => {
        const half = largest[Math.floor(i / inner) % channels] / 254;
        assert.ok(Math.abs(w - after[name][i]) <= half * (1 + 1e-5));
      });
    }
    // In training the gradient passes for every weight: none lies outside its channel's range.
    const head = tf.sequential({
      layers: [
        layers.depthwiseConv2d({ name: "dw", inputShape: [6, 6, 3], kernelSize: 6, depthMultiplier: 2 }),
        layers.flatten(),
      ],
    });
    setWeights(head, { dw: weightsOf(head).dw.map((w, i) => w * 10 ** (i % 6)) });
    const forward = quantizedForward(head, { weights: { bits: 8, keepFloat: { below: 0 } } });
    const kernel = head.trainableWeights[0].read() as tf.Variable;
    const gradient = tf.variableGrads(() => forward(tf.ones([1, 6, 6, 3])).sum(), [kernel]).grads[
      kernel.name
    ];
    assert.ok(gradient.dataSync().every((g) => g === 1));
    model.dispose();
    head.dispose();
  });

  it("clusters weights in place", async () => {
    const model = await loadPretrained("lenet-300-100");
    const { accuracy } = await evaluate(model, test);
    const { clustered, bytes } = clusterModel(model, { clusters: 16, layers: { fc3: { clusters: 4 } } });
    assert.equal(new Set(weightsOf(model).fc1).size, 16);
    assert.equal(new Set(weightsOf(model).fc3).size, 4);
    assert.equal(clustered.fc2.codebook.length, 16);
    assert.equal(bytes, (235200 + 30000) / 2 + 1000 / 4 + 4 * 36);
    assert.ok((await evaluate(model, test)).accuracy > accuracy - 0.02);
    model.dispose();
  });

  it("simulates what quantized weights do, to the bit", async () => {
    const model = await loadPretrained("lenet-300-100");
    const forward = quantizedForward(model, { weights: { bits: 3 } });
    const simulated = await predict(model, firstOf(test, 50), { forward });
    const before = weightsOf(model);
    quantizeWeights(model, { bits: 3 });
    const real = await predict(model, firstOf(test, 50));
    assert.deepEqual(simulated.logits, real.logits);
    assert.notDeepEqual(before.fc1, weightsOf(model).fc1);
    model.dispose();
  });

  it("rounds averages to the grid of what they average, whichever branch runs first", async () => {
    const { layers } = tf;
    const grid = (scale: number) => ({ kind: "fixed", scale, zeroPoint: 0, low: -127, high: 127 }) as const;
    const activations = { input: grid(1 / 100), layers: { conv: grid(1 / 7) } };
    const x = tf.tensor(floats(firstOf(test, 3)), [3, 28, 28, 1]);
    const means = tf.avgPool(tf.round(x.mul(100)) as tf.Tensor4D, 4, 4, "valid").dataSync();
    for (const poolingFirst of [true, false]) {
      const input = tf.input({ shape: [28, 28, 1] });
      const conv = layers.conv2d({ name: "conv", filters: 1, kernelSize: 4, strides: 4 }).apply(input);
      const pooled = layers
        .averagePooling2d({ poolSize: 4 })
        .apply(layers.dropout({ rate: 0.5 }).apply(input));
      const branches = (poolingFirst ? [pooled, conv] : [conv, pooled]).map(
        (part) => layers.flatten().apply(part) as tf.SymbolicTensor,
      );
      const model = tf.model({
        inputs: input,
        outputs: layers.concatenate().apply(branches) as tf.SymbolicTensor,
      });
      const logits = quantizedForward(model, { activations })(x);
      const part = (first: boolean) => logits.slice([0, first ? 0 : 49], [-1, 49]).dataSync();
      for (const value of part(!poolingFirst)) assert.ok(Math.abs(7 * value - Math.round(7 * value)) < 1e-3);
      part(poolingFirst).forEach((value, i) => {
        assert.ok(Math.abs(100 * value - Math.round(100 * value)) < 1e-3, `${value} at ${i}`);
        // Ties may go either way here: half a step.
        assert.ok(Math.abs(100 * value - means[i]) <= 0.5 + 1e-3);
      });
      model.dispose();
    }
  });

  it("passes gradients straight through", async () => {
    const model = lenet300(3);
    const forward = quantizedForward(model, { weights: { bits: 2 } });
    const x = tf.ones([1, 784]);
    const kernels = ["fc1", "fc2", "fc3"].map(
      (name) => model.getLayer(name).trainableWeights[0].read() as tf.Variable,
    );
    const gradient = () =>
      tf.variableGrads(() => tf.sum(forward(x)) as tf.Scalar, kernels).grads[kernels[2].name];
    const through = Array.from(gradient().dataSync());
    // The last kernel's gradient is its input, and with weights in place it is the same.
    quantizeWeights(model, { bits: 2 });
    const plain = tf.variableGrads(() => tf.sum(quantizedForward(model, {})(x)) as tf.Scalar, kernels);
    const expected = Array.from(plain.grads[kernels[2].name].dataSync());
    through.forEach((g, i) => {
      assert.ok(Math.abs(g - expected[i]) < 1e-5);
    });
    assert.ok(through.some((g) => g !== 0));
    model.dispose();
  });

  it("trains through quantization: 2 bits learn back what rounding lost", async () => {
    const model = await loadPretrained("lenet-300-100");
    const original = weightsOf(model);
    const weights = { bits: 2, range: "mse", perChannel: false } as const;
    quantizeWeights(model, weights);
    const rounded = await evaluate(model, test);
    setWeights(model, original);
    const { history, quantized } = await trainQuantized(
      model,
      firstOf(train, 640),
      { weights },
      { epochs: 2, learningRate: 0.0005 },
    );
    const trained = await evaluate(model, test);
    assert.ok(new Set(weightsOf(model).fc2).size <= 3);
    assert.ok(trained.loss < rounded.loss, `${trained.loss} ${rounded.loss}`);
    assert.ok(trained.accuracy > rounded.accuracy, `${trained.accuracy} ${rounded.accuracy}`);
    assert.equal(history.epochs.length, 2);
    assert.deepEqual(weightsOf(model).fc1, dequantize(quantized.fc1));
    model.dispose();
  });

  it("calibrates activations: fixed point, ternary, binary", async () => {
    const model = await loadPretrained("lenet-300-100");
    const { accuracy } = await evaluate(model, test);
    const calibration = firstOf(train, 300);
    const results: Record<string, number> = {};
    for (const options of [
      { bits: 8 },
      { bits: 4, method: "mse" },
      { kind: "ternary" },
      { kind: "binary" },
    ] as const) {
      const activations = await calibrateActivations(model, calibration, options);
      assert.deepEqual(Object.keys(activations.layers), ["fc1", "fc2"]);
      const { accuracy: found } = await evaluate(model, test, {
        forward: quantizedForward(model, { activations }),
      });
      results[String("kind" in options ? options.kind : options.bits)] = found;
    }
    assert.ok(results["8"] > accuracy - 0.005, JSON.stringify(results));
    assert.ok(results["4"] > accuracy - 0.02, JSON.stringify(results));
    assert.ok(results.binary > 0.5 && results.ternary > 0.5, JSON.stringify(results));
    const binary = await calibrateActivations(model, calibration, { kind: "binary", input: false });
    // Binary activations learn too, by the straight-through estimator.
    const forward = quantizedForward(model, { activations: binary });
    const before = await evaluate(model, train, { forward });
    await trainQuantized(
      model,
      train,
      { weights: { bits: 8 }, activations: binary },
      { epochs: 2, learningRate: 0.0005 },
    );
    const after = await evaluate(model, train, { forward });
    assert.ok(after.loss < before.loss * 0.7, `${after.loss} ${before.loss}`);
    await assert.rejects(
      calibrateActivations(model, calibration, { bits: 0 }),
      /bits must be a whole number from 1 to 16, got 0/,
    );
    await assert.rejects(
      calibrateActivations(model, calibration, { layers: ["fc7"] }),
      /layer must be one of/,
    );
    model.dispose();
  });

  for (const name of ["lenet-300-100", "lenet-5"] as const) {
    it(`runs ${name} in integers, equal to its simulation bit for bit`, async () => {
      const model = await loadPretrained(name);
      const part = firstOf(test, name === "lenet-5" ? 300 : 1000);
      const { accuracy } = await evaluate(model, part);
      const activations = await calibrateActivations(model, firstOf(train, 200), { bits: 8 });
      const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
      const network = integerNetworkOf(model, quantized, activations);
      const few = firstOf(part, name === "lenet-5" ? 12 : 100);
      const ran = runInteger(network, floats(few), few.count);
      assert.deepEqual(ran, simulateInteger(network, floats(few), few.count));
      // TensorFlow.js simulating in float32 adds in another order and rounds biases less: close, not equal.
      const { logits } = await predict(model, few, { forward: quantizedForward(model, { activations }) });
      const range = Math.max(...logits) - Math.min(...logits);
      let far = 0;
      logits.forEach((z, i) => {
        if (Math.abs(z - ran.values[i]) > 0.005 * range) far++;
      });
      assert.ok(far < 0.02 * logits.length, `${far} of ${logits.length} logits differ`);
      const found = evaluateInteger(network, part, { threads: 2 });
      assert.ok(Math.abs(found.accuracy - accuracy) <= 0.005, `${found.accuracy} ${accuracy}`);
      model.dispose();
    });
  }

  it("runs average pooling, padding, strides and dropout in integers, close to the float simulation", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({
          name: "a",
          inputShape: [28, 28, 1],
          filters: 6,
          kernelSize: 3,
          strides: 2,
          padding: "same",
          activation: "relu",
        }),
        tf.layers.averagePooling2d({ poolSize: 3, strides: 2, padding: "same" }),
        tf.layers.conv2d({ name: "b", filters: 5, kernelSize: [2, 3], useBias: false }),
        tf.layers.averagePooling2d({ poolSize: 2 }),
        tf.layers.dropout({ rate: 0.5 }),
        tf.layers.flatten(),
        tf.layers.dense({ name: "c", units: 10, activation: "softmax" }),
      ],
    });
    const few = firstOf(test, 20);
    for (const options of [
      { bits: 8 },
      { bits: 8, scheme: "symmetric" },
      { bits: 5, method: "mse" },
    ] as const) {
      const activations = await calibrateActivations(model, firstOf(train, 50), options);
      const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
      const network = integerNetworkOf(model, quantized, activations);
      const ran = runInteger(network, floats(few), few.count);
      assert.deepEqual(ran, simulateInteger(network, floats(few), few.count));
      const { logits } = await predict(model, few, { forward: quantizedForward(model, { activations }) });
      const range = Math.max(...logits) - Math.min(...logits);
      let far = 0;
      logits.forEach((z, i) => {
        if (Math.abs(z - ran.values[i]) > 0.01 * range) far++;
      });
      assert.ok(far < 0.03 * logits.length, `${JSON.stringify(options)}: ${far} of ${logits.length}`);
    }
    model.dispose();
  });

  it("runs binary and ternary activations in integers, with one-bit weights as bit counts", async () => {
    for (const kind of ["binary", "ternary"] as const) {
      for (const bits of [8, 1]) {
        const model = await loadPretrained("lenet-300-100");
        const activations = await calibrateActivations(model, firstOf(train, 200), { kind });
        const { quantized } = quantizeWeights(model, { bits, range: "mse", keepFloat: { below: 0 } });
        const network = integerNetworkOf(model, quantized, activations);
        const [, second] = network.steps;
        assert.equal(second.kind === "dense" && second.signs !== undefined, kind === "binary" && bits === 1);
        const few = firstOf(test, 200);
        const ran = runInteger(network, floats(few), few.count);
        assert.deepEqual(ran, simulateInteger(network, floats(few), few.count));
        const { classes } = await predict(model, few, { forward: quantizedForward(model, { activations }) });
        let same = 0;
        classes.forEach((c, i) => {
          const row = ran.values.subarray(i * 10, i * 10 + 10);
          if (row[c] === Math.max(...row)) same++;
        });
        assert.ok(same >= 0.97 * few.count, `${kind} ${bits}: ${same} of ${few.count}`);
        model.dispose();
      }
    }
  });

  it("says which layer cannot run in integers, and why", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ name: "a", inputShape: [784], units: 4, activation: "tanh" }),
        tf.layers.dense({ name: "b", units: 10 }),
      ],
    });
    const activations = await calibrateActivations(model, firstOf(train, 20));
    const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
    assert.throws(
      () => integerNetworkOf(model, quantized, activations),
      /a must have activation linear or relu to run in integers, got tanh/,
    );
    const fine = await calibrateActivations(model, firstOf(train, 20), { bits: 12 });
    assert.throws(
      () => integerNetworkOf(model, quantized, fine),
      /the input must have quantized activations of at most 8 bits/,
    );
    model.dispose();
  });
});
