import assert from "node:assert/strict";
import { loadDataset, type Split, subset, toFloat } from "slimlab/datasets";
import {
  activationsOf,
  biasesOf,
  evaluate,
  gradientsOf,
  hessianDiagonalOf,
  lenet300,
  predict,
  setWeights,
  tf,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { normal, seeded } from "../../lib/util/random.ts";

/** A small network with every kind of layer that has a kernel; its input is small enough for finite differences. */
function smallNet(): tf.LayersModel {
  const seed = (n: number) => tf.initializers.glorotNormal({ seed: n });
  return tf.sequential({
    name: "small",
    layers: [
      tf.layers.conv2d({
        name: "conv",
        inputShape: [8, 8, 1],
        filters: 3,
        kernelSize: 3,
        padding: "same",
        activation: "relu",
        kernelInitializer: seed(1),
      }),
      tf.layers.depthwiseConv2d({
        name: "depthwise",
        kernelSize: 3,
        depthMultiplier: 2,
        activation: "relu",
        depthwiseInitializer: seed(2),
      }),
      tf.layers.maxPooling2d({ poolSize: 2, strides: 2 }),
      tf.layers.conv2d({
        name: "conv2",
        filters: 4,
        kernelSize: 2,
        strides: 2,
        padding: "same",
        activation: "relu",
        kernelInitializer: seed(3),
      }),
      tf.layers.flatten(),
      tf.layers.dense({ name: "fc1", units: 7, activation: "relu", kernelInitializer: seed(4) }),
      tf.layers.dense({ name: "fc2", units: 3, activation: "softmax", kernelInitializer: seed(5) }),
    ],
  });
}

/** The same pictures as sequences of rows. */
function rowsNet(): tf.LayersModel {
  const seed = (n: number) => tf.initializers.glorotNormal({ seed: n });
  return tf.sequential({
    name: "rows",
    layers: [
      tf.layers.reshape({ inputShape: [8, 8, 1], targetShape: [8, 8] }),
      tf.layers.dense({ name: "each", units: 4, activation: "relu", kernelInitializer: seed(1) }),
      tf.layers.dense({ name: "again", units: 3, kernelInitializer: seed(2) }),
      tf.layers.flatten(),
      tf.layers.dense({ name: "fc", units: 3, activation: "softmax", kernelInitializer: seed(3) }),
    ],
  });
}

function noise(count: number): Split {
  const random = seeded(11);
  return {
    images: Uint8Array.from({ length: count * 64 }, () =>
      Math.max(0, Math.min(255, 128 + 80 * normal(random))),
    ),
    labels: Uint8Array.from({ length: count }, (_, i) => i % 3),
    count,
    height: 8,
    width: 8,
    channels: 1,
  };
}

describe("nn/gradients and nn/hessian", () => {
  let digits: Split;

  before(async () => {
    await useBackend("wasm");
    digits = subset((await loadDataset("mnist-10k")).train, 40, 1);
  });

  it("gradients are the slopes of the loss, by finite differences, whatever the batch", async () => {
    const model = smallNet();
    const split = noise(9);
    const gradients = await gradientsOf(model, split);
    const inParts = await gradientsOf(model, split, { batchSize: 4 });
    const weights = weightsOf(model);
    for (const [name, gradient] of Object.entries(gradients)) {
      for (let i = 0; i < gradient.length; i += Math.ceil(gradient.length / 6)) {
        const at = async (step: number) => {
          const changed = weights[name].slice();
          changed[i] += step;
          setWeights(model, { [name]: changed });
          return (await evaluate(model, split)).loss;
        };
        const slope = ((await at(1e-3)) - (await at(-1e-3))) / 2e-3;
        assert.ok(Math.abs(slope - gradient[i]) < 2e-3, `${name}[${i}]: ${gradient[i]}, slope ${slope}`);
        assert.ok(Math.abs(inParts[name][i] - gradient[i]) < 1e-6);
      }
      setWeights(model, { [name]: weights[name] });
    }
  });

  const nets: [string, () => tf.LayersModel, string[]][] = [
    ["pictures", smallNet, ["conv", "depthwise", "conv2", "fc1", "fc2"]],
    ["sequences", rowsNet, ["each", "again", "fc"]],
  ];
  for (const [what, make, layers] of nets)
    it(`Gauss-Newton is the Hessian's diagonal, by finite differences of the gradient: ${what}`, async () => {
      const model = make();
      const split = noise(9);
      const diagonal = await hessianDiagonalOf(model, split, { batchSize: 4 });
      const weights = weightsOf(model);
      assert.deepEqual(Object.keys(diagonal), layers);
      for (const [name, h] of Object.entries(diagonal)) {
        const largest = Math.max(...h);
        assert.ok(largest > 0, name);
        let checked = 0;
        for (let i = 0; i < h.length; i += Math.ceil(h.length / 8)) {
          const at = async (step: number) => {
            const changed = weights[name].slice();
            changed[i] += step;
            setWeights(model, { [name]: changed });
            return (await gradientsOf(model, split))[name][i];
          };
          // Two step lengths that agree tell a smooth stretch from one with a ReLU's kink in it.
          const wide = ((await at(2e-3)) - (await at(-2e-3))) / 4e-3;
          const narrow = ((await at(1e-3)) - (await at(-1e-3))) / 2e-3;
          if (Math.abs(wide - narrow) > 0.01 * largest) continue;
          checked++;
          assert.ok(
            Math.abs(narrow - h[i]) < 0.01 * largest + 2e-4,
            `${name}[${i}]: ${h[i]}, slope ${narrow}`,
          );
        }
        assert.ok(checked >= 4, `${name}: ${checked} smooth places`);
        setWeights(model, { [name]: weights[name] });
      }
    });

  it("of a single softmax layer: mean of x^2 p (1 - p), and for Fisher of x^2 (y - p)^2", async () => {
    const model = tf.sequential({
      layers: [tf.layers.dense({ name: "fc", inputShape: [784], units: 10, activation: "softmax" })],
    });
    const x = toFloat(digits);
    const { probabilities } = await predict(model, digits);
    const expected = (factor: (p: number, y: number) => number) => {
      const sums = new Float64Array(7840);
      for (let n = 0; n < digits.count; n++)
        for (let i = 0; i < 784; i++)
          for (let c = 0; c < 10; c++)
            sums[i * 10 + c] +=
              (x[n * 784 + i] ** 2 * factor(probabilities[n * 10 + c], digits.labels[n] === c ? 1 : 0)) /
              digits.count;
      return sums;
    };
    for (const [method, factor] of [
      ["gauss-newton", (p: number) => p * (1 - p)],
      ["fisher", (p: number, y: number) => (y - p) ** 2],
    ] as const) {
      const { fc } = await hessianDiagonalOf(model, digits, { method, batchSize: 16 });
      expected(factor).forEach((value, i) => {
        assert.ok(Math.abs(fc[i] - value) < 1e-6, `${method} at ${i}`);
      });
    }
  });

  it("layers whose diagonal is unknown are an error", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.reshape({ inputShape: [8, 8, 1], targetShape: [8, 8] }),
        tf.layers.conv1d({ name: "rows", filters: 2, kernelSize: 3 }),
        tf.layers.flatten(),
        tf.layers.dense({ name: "fc", units: 3 }),
      ],
    });
    await assert.rejects(
      hessianDiagonalOf(model, noise(2)),
      /diagonal of rows is not known how to compute: layers of type Conv1D/,
    );
  });

  it("activations are the layers' outputs; their gradients follow the chain rule", async () => {
    const model = lenet300(3);
    const { fc1, fc2, fc3 } = await activationsOf(model, digits, ["fc1", "fc2", "fc3"], {
      gradients: true,
      batchSize: 16,
    });
    assert.deepEqual(
      [fc1.shape, fc2.shape],
      [
        [40, 300],
        [40, 100],
      ],
    );
    const weights = weightsOf(model);
    const biases = biasesOf(model);
    const { probabilities } = await predict(model, digits);
    for (let n = 0; n < digits.count; n++) {
      for (let j = 0; j < 100; j++) {
        let sum = biases.fc2[j];
        for (let i = 0; i < 300; i++) sum += fc1.values[n * 300 + i] * weights.fc2[i * 100 + j];
        assert.ok(Math.abs(fc2.values[n * 100 + j] - Math.max(0, sum)) < 1e-5);
      }
      // At the logits the gradient is p - y; one layer below it is W (p - y).
      for (let c = 0; c < 10; c++) {
        const delta = probabilities[n * 10 + c] - (digits.labels[n] === c ? 1 : 0);
        assert.ok(Math.abs(fc3.gradients![n * 10 + c] - delta) < 1e-6);
      }
      for (let j = 0; j < 100; j++) {
        let sum = 0;
        for (let c = 0; c < 10; c++) sum += weights.fc3[j * 10 + c] * fc3.gradients![n * 10 + c];
        assert.ok(Math.abs(fc2.gradients![n * 100 + j] - sum) < 1e-6);
      }
    }
    const plain = await activationsOf(model, digits, ["fc1"]);
    assert.deepEqual(plain.fc1.values, fc1.values);
    assert.equal(plain.fc1.gradients, undefined);
    await assert.rejects(
      activationsOf(model, digits, ["fc7"]),
      /layer must be one of "fc1", "fc2", "fc3", got "fc7"/,
    );
  });

  it("leave the model and the memory as they were", async () => {
    const model = smallNet();
    const split = noise(5);
    const x = tf.randomNormal([2, 8, 8, 1], 0, 1, "float32", 1);
    const before = [...(model.predict(x) as tf.Tensor).dataSync()];
    const all = async () => {
      await gradientsOf(model, split);
      await hessianDiagonalOf(model, split);
      await activationsOf(model, split, undefined, { gradients: true });
      await activationsOf(model, split, ["conv", "fc2"]);
    };
    await all();
    const { numTensors } = tf.memory();
    await all();
    assert.equal(tf.memory().numTensors, numTensors);
    assert.deepEqual([...(model.predict(x) as tf.Tensor).dataSync()], before);
  });
});
