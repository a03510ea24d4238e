import assert from "node:assert/strict";
import { costOf } from "slimlab/analysis";
import { type Dataset, loadDataset, subset } from "slimlab/datasets";
import {
  cloneModel,
  evaluate,
  factorizeModel,
  type LayerFactors,
  layerShapesOf,
  lenet5,
  loadPretrained,
  setWeights,
  tf,
  train,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { normal, seeded } from "../../lib/util/random.ts";

const { layers } = tf;

function outputs(model: tf.LayersModel, seed = 7): Float32Array {
  return tf.tidy(() => {
    const shape = [3, ...(model.inputs[0].shape.slice(1) as number[])];
    return Float32Array.from(
      (model.predict(tf.randomNormal(shape, 0, 1, "float32", seed)) as tf.Tensor).dataSync(),
    );
  });
}

/** The factorized model must do what the original does with the kernels that the factors stand for. */
function assertSame(
  original: tf.LayersModel,
  factorized: tf.LayersModel,
  kernels: Record<string, Float32Array>,
): void {
  const expected = cloneModel(original);
  setWeights(expected, kernels);
  const [a, b] = [outputs(expected), outputs(factorized)];
  assert.equal(a.length, b.length);
  const largest = a.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  assert.ok(largest > 1e-3, "the outputs must not all be 0");
  a.forEach((value, i) => {
    assert.ok(
      Math.abs(value - b[i]) <= 2e-5 * Math.max(1, largest),
      `output ${i}: ${b[i]} instead of ${value}`,
    );
  });
  expected.dispose();
}

function randomise(model: tf.LayersModel): tf.LayersModel {
  const random = seeded(3);
  tf.tidy(() => {
    for (const weight of model.weights) {
      const shape = weight.shape as number[];
      const values = Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () => normal(random) / 3);
      weight.write(tf.tensor(values, shape));
    }
  });
  return model;
}

describe("3.3 nn/lowrank: low-rank factors in models", () => {
  let data: Dataset;
  before(async () => {
    await useBackend("wasm");
    data = await loadDataset("mnist-10k");
  });

  it("LeNet-300-100's dense layers become two, by each method, and the output is that of the product", async () => {
    const model = await loadPretrained("lenet-300-100");
    const errors: Record<string, number> = {};
    for (const method of ["svd", "randomizedSvd", "forInputs"] as const) {
      const plan = { fc1: { method, rank: 40 } };
      const result = await factorizeModel(model, { plan, data: data.train, images: 200 });
      assert.deepEqual(
        result.model.layers.map(({ name }) => name),
        ["fc1_in", "fc1", "fc2", "fc3"],
      );
      assertSame(model, result.model, result.kernels);
      const [row, other] = result.rows;
      assert.equal(row.parametersAfter, 784 * 40 + 40 * 300 + 300);
      assert.equal(row.macsAfter, 784 * 40 + 40 * 300);
      assert.equal(other.method, "kept");
      assert.equal(other.parametersAfter, other.parametersBefore);
      assert.equal(costOf(layerShapesOf(result.model)).parameters, result.model.countParams());
      errors[method] = row.error;
      result.model.dispose();
    }
    // Eckart and Young: nothing of this rank is nearer to the kernel than the truncated SVD.
    assert.ok(errors.svd <= errors.randomizedSvd + 1e-6 && errors.randomizedSvd < 1.02 * errors.svd);
    assert.ok(errors.forInputs > errors.svd);
    model.dispose();
  });

  it("factors made for the inputs lose less accuracy at the same rank", async () => {
    const model = await loadPretrained("lenet-300-100");
    const test = subset(data.test, 1000, 1);
    const lost: Record<string, number> = {};
    for (const method of ["svd", "forInputs"] as const) {
      const { model: small } = await factorizeModel(model, {
        plan: { fc1: { method, rank: 12 } },
        data: data.train,
      });
      lost[method] = (await evaluate(small, test)).loss;
      small.dispose();
    }
    assert.ok(lost.forInputs < lost.svd, `${lost.forInputs} should be below ${lost.svd}`);
    model.dispose();
  });

  it("LeNet-5's convolution becomes three (Tucker-2) or four (CP), and the output is that of the reconstruction", async () => {
    const model = await loadPretrained("lenet-5");
    const plans: Record<string, [LayerFactors, string[], number]> = {
      tucker2: [
        { method: "tucker2", rankIn: 12, rankOut: 20 },
        ["conv2_in", "conv2_core", "conv2"],
        20 * 12 + 25 * 12 * 20 + 20 * 50 + 50,
      ],
      cp: [
        { method: "cp", rank: 24 },
        ["conv2_in", "conv2_vertical", "conv2_horizontal", "conv2"],
        24 * (20 + 5 + 5 + 50) + 50,
      ],
    };
    for (const [factors, names, parameters] of Object.values(plans)) {
      const result = await factorizeModel(model, { plan: { conv2: factors } });
      assert.deepEqual(
        result.model.layers.map(({ name }) => name),
        ["conv1", "pool1", ...names, "pool2", "flatten", "fc1", "fc2"],
      );
      assertSame(model, result.model, result.kernels);
      assert.equal(result.rows[1].parametersAfter, parameters);
      result.model.dispose();
    }
    model.dispose();
  });

  const shapes: Record<string, Parameters<typeof layers.conv2d>[0]> = {
    "same padding": { filters: 6, kernelSize: 3, padding: "same", activation: "relu" },
    "valid, no bias, an oblong kernel": { filters: 6, kernelSize: [2, 5], useBias: false },
    "strides 2, same padding": {
      filters: 6,
      kernelSize: [3, 4],
      strides: 2,
      padding: "same",
      activation: "tanh",
    },
    "strides 2, valid": { filters: 6, kernelSize: 3, strides: 2 },
    "unequal strides, same padding": { filters: 6, kernelSize: 3, strides: [1, 2], padding: "same" },
    dilated: { filters: 6, kernelSize: 3, dilationRate: 2, padding: "same" },
  };
  for (const [what, settings] of Object.entries(shapes)) {
    it(`${what}: kept, in a graph with a branch, by Tucker-2 and by CP`, async () => {
      const input = tf.input({ shape: [9, 10, 4] });
      const wide = layers.conv2d({ name: "conv", biasInitializer: "ones", ...settings }).apply(input);
      const other = layers.conv2d({ name: "branch", filters: 6, kernelSize: 1 }).apply(wide);
      const sum = layers.add({ name: "sum" }).apply([wide, other] as tf.SymbolicTensor[]);
      const model = randomise(tf.model({ inputs: input, outputs: sum as tf.SymbolicTensor }));
      for (const factors of [
        { method: "tucker2", rankIn: 2, rankOut: 3 },
        { method: "cp", rank: 3 },
      ] as const) {
        if (factors.method === "cp" && settings.dilationRate) {
          await assert.rejects(factorizeModel(model, { plan: { conv: factors } }), /conv is dilated/);
          continue;
        }
        const result = await factorizeModel(model, { plan: { conv: factors } });
        assertSame(model, result.model, result.kernels);
        result.model.dispose();
      }
      model.dispose();
    });
  }

  it("keeps an energy in every layer, and leaves a layer whole that would not get smaller", async () => {
    const model = await loadPretrained("lenet-300-100");
    const { model: small, rows } = await factorizeModel(model, { energy: 0.8 });
    for (const row of rows) {
      assert.ok(row.energy >= 0.8 - 1e-6, `${row.layer} keeps ${row.energy}`);
      assert.ok(row.parametersAfter <= row.parametersBefore);
      assert.match(row.why, row.method === "kept" ? /^kept: / : /keeps 80 % of its energy/);
    }
    small.dispose();
    const whole = await factorizeModel(model, { energy: 1 });
    assert.deepEqual(
      whole.rows.map(({ method }) => method),
      ["kept", "kept", "kept"],
    );
    assert.deepEqual(weightsOf(whole.model), weightsOf(model));
    model.dispose();
  });

  it("meets a budget of parameters, as a share or as a number, and uses it", async () => {
    const model = await loadPretrained("lenet-300-100");
    for (const [budget, limit] of [
      [0.3, 0.3 * 266_610],
      [50_000, 50_000],
    ]) {
      const { model: small } = await factorizeModel(model, { budget });
      const count = small.countParams();
      assert.ok(count <= limit && count > 0.95 * limit, `${count} parameters for a budget of ${limit}`);
      small.dispose();
    }
    await assert.rejects(factorizeModel(model, { budget: 100 }), /budget must be at least \d+ parameters/);
    model.dispose();
  });

  it("keeps an accuracy with as few parameters as it finds, convolutions by CP too", async () => {
    const model = await loadPretrained("lenet-5");
    const test = subset(data.test, 200, 1);
    const result = await factorizeModel(model, {
      accuracyFloor: 0.96,
      test,
      layers: ["conv2", "fc1"],
      dense: "randomizedSvd",
    });
    assert.ok(result.accuracy! >= 0.96);
    assert.equal((await evaluate(result.model, test)).accuracy, result.accuracy);
    assert.ok(result.model.countParams() < 0.5 * model.countParams());
    await assert.rejects(
      factorizeModel(model, { accuracyFloor: 1, test }),
      /accuracyFloor must be at most the model's own/,
    );
    const cp = await factorizeModel(model, { energy: 0.2, conv: "cp", layers: ["conv2"] });
    assert.equal(cp.rows[1].method, "cp");
    assert.ok(cp.rows[1].energy >= 0.2);
    for (const made of [result.model, cp.model, model]) made.dispose();
  });

  it("the smaller model can be trained, and factorized again", async () => {
    const model = await loadPretrained("lenet-300-100");
    const once = await factorizeModel(model, { plan: { fc1: { method: "svd", rank: 20 } } });
    const again = await factorizeModel(once.model, {
      plan: { fc1_in: { method: "svd", rank: 10 }, fc1: { method: "svd", rank: 10 } },
    });
    assert.deepEqual(
      again.model.layers.map(({ name }) => name),
      ["fc1_in_in", "fc1_in", "fc1_in2", "fc1", "fc2", "fc3"],
    );
    const part = subset(data.train, 640, 1);
    const before = await evaluate(again.model, part);
    await train(again.model, part, { epochs: 2 });
    assert.ok((await evaluate(again.model, part)).loss < before.loss);
    for (const made of [model, once.model, again.model]) made.dispose();
  });

  it("says what is wrong with what it was asked", async () => {
    const model = await loadPretrained("lenet-300-100");
    const rejects = (options: object, message: RegExp) =>
      assert.rejects(factorizeModel(model, options), message);
    await rejects({}, /give exactly one of plan, energy, budget and accuracyFloor, got none/);
    await rejects({ energy: 0.5, budget: 0.5 }, /got energy and budget/);
    await rejects({ energy: 1.5 }, /energy must be a number from 0 to 1, got 1.5/);
    await rejects({ energy: 0.5, layers: ["fc9"] }, /layer must be one of "fc1", "fc2", "fc3", got "fc9"/);
    await rejects({ energy: 0.5, dense: "qr" }, /dense must be one of/);
    await rejects({ accuracyFloor: 0.5 }, /give test/);
    await rejects({ energy: 0.5, dense: "forInputs" }, /give data/);
    await rejects(
      { plan: { fc1: { method: "svd", rank: 301 } } },
      /rank of fc1 must be .* 1 to 300, got 301/,
    );
    await rejects({ plan: { fc1: { method: "cp", rank: 3 } } }, /method of fc1 must be one of "svd"/);
    model.dispose();
  });

  it("tells how far it is, and ends between two layers when told to", async () => {
    const model = lenet5(2);
    const shares: number[] = [];
    const { rows, model: smaller } = await factorizeModel(model, {
      budget: 0.3,
      onProgress: (share) => shares.push(share),
    });
    smaller.dispose();
    assert.deepEqual(
      shares,
      shares.toSorted((a, b) => a - b),
    );
    assert.equal(shares.length, 2 * rows.length);
    assert.equal(shares.at(-1), 1);
    const stop = new AbortController();
    let seen = 0;
    await assert.rejects(
      factorizeModel(model, {
        energy: 0.5,
        signal: stop.signal,
        onProgress: () => {
          if (++seen === 2) stop.abort();
        },
      }),
      { name: "AbortError" },
    );
    assert.equal(seen, 2);
    model.dispose();
  });
});
