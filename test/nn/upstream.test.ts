// Layers that TensorFlow.js runs and cannot train, or gets wrong: gradients against differences of the loss, on two backends.
import assert from "node:assert/strict";
import type { Arrays } from "slimlab/datasets";
import {
  autoQuantize,
  calibrateActivations,
  cloneModel,
  clusterModel,
  equalizeModel,
  evaluate,
  factorizeModel,
  gradientsOf,
  mergeUnits,
  modelOfSlim,
  quantizedForward,
  quantizeWeights,
  scoresOf,
  setWeights,
  slimOf,
  tf,
  train,
  unitOrders,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { normal, seeded } from "../../lib/util/random.ts";

const { layers } = tf;
type Tensor = tf.SymbolicTensor;
const apply = (layer: tf.layers.Layer, ...inputs: Tensor[]) =>
  layer.apply(inputs.length === 1 ? inputs[0] : inputs) as Tensor;
const head = (x: Tensor) => apply(layers.dense({ units: 3, activation: "softmax" }), x);

/** A network with all its weights drawn from one seed. */
function build(shape: number[], make: (x: Tensor) => Tensor): tf.LayersModel {
  const input = tf.input({ shape });
  const model = tf.model({ inputs: input, outputs: make(input) });
  const random = seeded(3);
  tf.tidy(() => {
    for (const weight of model.weights) {
      const values = Float32Array.from({ length: tf.util.sizeFromShape(weight.shape as number[]) }, () =>
        /variance/.test(weight.originalName) ? 0.5 + random() : 0.5 * normal(random),
      );
      weight.write(tf.tensor(values, weight.shape as number[]));
    }
  });
  return model;
}

function samples(model: tf.LayersModel, count = 6): Arrays {
  const random = seeded(4);
  const inputs = model.inputs.map((tensor) => {
    const shape = tensor.shape.slice(1) as number[];
    const values = Float32Array.from({ length: count * tf.util.sizeFromShape(shape) }, () => normal(random));
    return { values, shape };
  });
  return { inputs, targets: [{ values: Uint8Array.from({ length: count }, (_, i) => i % 3) }], count };
}

// Smooth activations: a difference across a ReLU's bend says nothing of the gradient.
const activation = "tanh" as const;
const networks: Record<string, () => tf.LayersModel> = {
  "a dilated convolution": () =>
    build([7, 7, 2], (x) => {
      x = apply(layers.conv2d({ filters: 3, kernelSize: 2, dilationRate: [2, 1], padding: "same" }), x);
      x = apply(layers.conv2d({ filters: 3, kernelSize: 3, dilationRate: 2, activation }), x);
      return head(apply(layers.flatten(), x));
    }),
  "dilated depthwise and separable convolutions": () =>
    build([7, 7, 2], (x) => {
      x = apply(
        layers.depthwiseConv2d({ kernelSize: 2, dilationRate: 2, depthMultiplier: 2, activation }),
        x,
      );
      x = apply(layers.separableConv2d({ filters: 3, kernelSize: 2, dilationRate: 3, activation }), x);
      return head(apply(layers.flatten(), x));
    }),
  "a dilated convolution of one dimension": () =>
    build([9, 2], (x) =>
      head(
        apply(
          layers.flatten(),
          apply(layers.conv1d({ filters: 3, kernelSize: 3, dilationRate: 2, activation }), x),
        ),
      ),
    ),
  "a transposed convolution of volumes": () =>
    build([2, 3, 2, 2], (x) =>
      head(
        apply(
          layers.flatten(),
          apply(layers.conv3dTranspose({ filters: 3, kernelSize: 2, strides: 2, activation }), x),
        ),
      ),
    ),
  "batch normalisation without scale and offset": () =>
    build([6], (x) => {
      x = apply(layers.batchNormalization({ scale: false }), apply(layers.dense({ units: 5 }), x));
      x = apply(layers.batchNormalization({ scale: false, center: false }), x);
      return head(apply(layers.batchNormalization({ center: false }), x));
    }),
  "batch normalisation of channels that stand first": () =>
    build([2, 5, 4], (x) => {
      x = apply(layers.conv2d({ filters: 3, kernelSize: 2, dataFormat: "channelsFirst" }), x);
      return head(apply(layers.flatten(), apply(layers.batchNormalization({ axis: 1 }), x)));
    }),
  "batch normalisation of volumes": () =>
    build([3, 3, 3, 2], (x) => {
      x = apply(layers.batchNormalization(), apply(layers.conv3d({ filters: 3, kernelSize: 2 }), x));
      return head(apply(layers.flatten(), x));
    }),
  "a ReLU with a threshold": () =>
    build([6], (x) =>
      head(apply(layers.thresholdedReLU({ theta: 0.01 }), apply(layers.dense({ units: 5 }), x))),
    ),
};

describe("nn: what TensorFlow.js cannot train", () => {
  after(async () => {
    await useBackend("wasm");
  });

  for (const [what, make] of Object.entries(networks))
    it(`${what}: gradients are differences of the loss, and it learns`, async () => {
      for (const backend of ["wasm", "cpu"] as const) {
        await useBackend(backend);
        const model = make();
        const data = samples(model);
        const gradients = await gradientsOf(model, data);
        const weights = weightsOf(model);
        const random = seeded(5);
        for (const [name, values] of Object.entries(weights))
          for (let n = 0; n < 4; n++) {
            const at = Math.floor(random() * values.length);
            const loss = async (by: number) => {
              setWeights(model, { [name]: values.with(at, values[at] + by) });
              return (await evaluate(model, data)).loss;
            };
            const slope = ((await loss(0.004)) - (await loss(-0.004))) / 0.008;
            setWeights(model, { [name]: values });
            const found = gradients[name][at];
            assert.ok(
              Math.abs(found - slope) < 1e-3 + 5e-3 * Math.abs(slope),
              `${backend}, ${name} at ${at}: ${found} for ${slope}`,
            );
          }
        const before = await evaluate(model, data);
        await train(model, data, { epochs: 8, learningRate: 0.01 });
        const { loss } = await evaluate(model, data);
        assert.ok(loss < before.loss, `${backend}: ${loss} after ${before.loss}`);
        model.dispose();
      }
    });

  it("batch normalisation along the first axis is its formula", async () => {
    await useBackend("wasm");
    const norm = layers.batchNormalization({ axis: 1, epsilon: 0.01 });
    const model = build([3, 2, 2], (x) => apply(norm, x));
    const { inputs, count } = samples(model);
    const x = inputs[0].values;
    const [gamma, beta, mean, variance] = norm.getWeights().map((weight) => weight.dataSync());
    const found = tf.tidy(() => (model.predict(tf.tensor(x, [count, 3, 2, 2])) as tf.Tensor).dataSync());
    for (const [i, value] of found.entries()) {
      const c = Math.floor(i / 4) % 3;
      const expected = ((x[i] - mean[c]) / Math.sqrt(variance[c] + 0.01)) * gamma[c] + beta[c];
      assert.ok(Math.abs(value - expected) < 1e-5, `${value} for ${expected} at ${i}`);
    }
  });

  it("layers that are used twice are copied, factorized and saved as such", async () => {
    await useBackend("wasm");
    const shared = layers.dense({ name: "shared", units: 24, activation: "tanh" });
    const relu = layers.reLU({ name: "relu" });
    const model = build([24], (x) => head(apply(relu, apply(shared, apply(relu, apply(shared, x))))));
    const data = samples(model);
    const outputs = (one: tf.LayersModel) =>
      tf.tidy(() =>
        (one.predict(tf.tensor(data.inputs[0].values, [data.count, 24])) as tf.Tensor).dataSync(),
      );
    const expected = outputs(model);
    const copy = cloneModel(model);
    assert.deepEqual(outputs(copy), expected);
    assert.equal(copy.countParams(), model.countParams());
    // Weights of its own.
    setWeights(copy, { shared: new Float32Array(576) });
    assert.deepEqual(outputs(model), expected);
    assert.deepEqual(outputs((await modelOfSlim(await slimOf(model))).model), expected);
    const { model: factorized, rows } = await factorizeModel(model, {
      plan: { shared: { method: "svd", rank: 11 } },
    });
    assert.equal(rows.find(({ layer }) => layer === "shared")!.method, "svd");
    // 24 x 11 twice, once for both uses.
    assert.equal(factorized.countParams(), 2 * 24 * 11 + 24 + 25 * 3);
    const whole = await factorizeModel(model, { plan: { shared: { method: "svd", rank: 24 } } });
    for (const [i, value] of outputs(whole.model).entries())
      assert.ok(Math.abs(value - expected[i]) < 1e-5, `${value} for ${expected[i]}`);
  });

  it("a network gives back its memory, however often it calls its layers and the networks in it", () => {
    const inner = () =>
      tf.sequential({ layers: [layers.dense({ units: 4, inputShape: [4] }), layers.dense({ units: 4 })] });
    const networks: Record<string, () => tf.LayersModel> = {
      "a layer called three times": () => {
        const [x, dense] = [tf.input({ shape: [4] }), layers.dense({ units: 4 })];
        return tf.model({ inputs: x, outputs: apply(dense, apply(dense, apply(dense, x))) });
      },
      "a network called on two inputs": () => {
        const [x, y, tower] = [tf.input({ shape: [4] }), tf.input({ shape: [4] }), inner()];
        const both = [x, y].map((input) => tower.apply(input) as Tensor);
        return tf.model({ inputs: [x, y], outputs: apply(layers.add(), ...both) });
      },
      "a network in a network in a network": () =>
        tf.sequential({ layers: [tf.sequential({ layers: [inner()] }), layers.dense({ units: 2 })] }),
    };
    for (const [what, make] of Object.entries(networks)) {
      const { numTensors } = tf.memory();
      const model = make();
      const copy = cloneModel(model);
      model.dispose();
      tf.tidy(() => {
        copy.predict(copy.inputs.map(() => tf.zeros([1, 4])));
      });
      assert.ok(tf.memory().numTensors > numTensors);
      copy.dispose();
      assert.equal(tf.memory().numTensors, numTensors, what);
    }
  });

  it("a recurrent layer's states go on through quantized activations", async () => {
    await useBackend("wasm");
    const model = build([5, 3], (x) => {
      const memory = layers.lstm({ units: 4, returnState: true, returnSequences: true, name: "memory" });
      const [sequence, ...states] = memory.apply(x) as Tensor[];
      return head(layers.lstm({ units: 4 }).apply(sequence, { initialState: states } as never) as Tensor);
    });
    const data = samples(model);
    const float = await evaluate(model, data);
    const activations = await calibrateActivations(model, data, { bits: 8, method: "max" });
    const { loss } = await evaluate(model, data, { forward: quantizedForward(model, { activations }) });
    assert.ok(Math.abs(loss - float.loss) < 0.01 && loss !== float.loss, `${loss} for ${float.loss}`);
  });

  it("activations of 16 bits are next to floats, and 256 times finer than 8", async () => {
    await useBackend("wasm");
    for (const make of Object.values(networks)) {
      const model = make();
      const data = samples(model);
      const x = tf.tensor(data.inputs[0].values, [data.count, ...data.inputs[0].shape]);
      const run = (forward: (x: tf.Tensor) => tf.Tensor) =>
        tf.tidy(() => forward(x).dataSync() as Float32Array);
      const float = run(quantizedForward(model, {}));
      const distance = async (bits: number) => {
        const activations = await calibrateActivations(model, data, { bits, method: "max" });
        const found = run(quantizedForward(model, { activations }));
        return Math.sqrt(found.reduce((sum, value, i) => sum + (value - float[i]) ** 2, 0) / found.length);
      };
      const size = Math.sqrt(float.reduce((sum, value) => sum + value ** 2, 0) / float.length);
      const [coarse, fine] = [await distance(8), await distance(16)];
      assert.ok(fine < 1e-4 * size && fine > 0, `${model.name}: ${fine} of ${size} with 16 bits`);
      assert.ok(coarse / fine > 50 && coarse / fine < 1000, `${model.name}: ${coarse} and ${fine}`);
    }
  });

  it("units of a layer with two kernels are not sorted, and it is said why", () => {
    const model = build([6, 6, 2], (x) => {
      x = apply(layers.separableConv2d({ name: "two", filters: 4, kernelSize: 3 }), x);
      return head(apply(layers.flatten(), x));
    });
    assert.deepEqual(unitOrders(model).skipped, { two: "two has more than one kernel" });
  });

  it("a weight that is NaN is named by all that computes with weights", async () => {
    const model = build([4], (x) => head(apply(layers.dense({ name: "first", units: 5 }), x)));
    const broken = weightsOf(model).first;
    broken[7] = Number.NaN;
    setWeights(model, { first: broken });
    const data = samples(model);
    const works: Record<string, () => unknown> = {
      scores: () => scoresOf(model, undefined),
      quantize: () => quantizeWeights(model, { bits: 4 }),
      cluster: () => clusterModel(model, { clusters: 3 }),
      factorize: () => factorizeModel(model, { energy: 0.9 }),
      equalize: () => equalizeModel(model),
      merge: () => mergeUnits(model, data),
      automatic: () => autoQuantize(model, data, { bytes: 1e4 }),
      save: () => slimOf(model),
    };
    for (const [name, work] of Object.entries(works))
      await assert.rejects(
        async () => work(),
        /weights of first\/kernel must be finite, got NaN at index 7/,
        name,
      );
  });

  it("an input that nothing reads is refused at save: it would be lost", async () => {
    const [a, b] = ["a", "b"].map((name) => tf.input({ shape: [3], name }));
    const model = tf.model({ name: "net", inputs: [a, b], outputs: head(a) });
    await assert.rejects(slimOf(model), /inputs of net must all be read to be saved: nothing reads b/);
  });
});
