import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDataset, subset } from "slimlab/datasets";
import {
  cloneModel,
  evaluate,
  groupsOf,
  type Keep,
  layerLike,
  lenet5,
  lenet300,
  loadModel,
  loadPretrained,
  maskGroups,
  predict,
  pruneGroups,
  rebuild,
  removeDense,
  saveModel,
  tf,
  train,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { normal, seeded } from "../../lib/util/random.ts";

const { layers } = tf;

/** Fills every weight of a model with noise, so that no bias and no statistic of batch normalisation is at its start. */
function randomise(model: tf.LayersModel, seed: number): tf.LayersModel {
  const random = seeded(seed);
  tf.tidy(() => {
    for (const weight of model.weights) {
      const positive = weight.originalName.endsWith("moving_variance");
      const fanIn = (weight.shape as number[]).slice(0, -1).reduce((product, n) => product * n, 1);
      const values = Float32Array.from({ length: tf.util.sizeFromShape(weight.shape as number[]) }, () =>
        positive ? 0.5 + random() : normal(random) / Math.sqrt(fanIn),
      );
      weight.write(tf.tensor(values, weight.shape as number[]));
    }
  });
  return model;
}

function randomKeep(model: tf.LayersModel, share: number, seed: number): Keep {
  const random = seeded(seed);
  return Object.fromEntries(
    groupsOf(model).map(({ name, size }) => {
      const mask = Uint8Array.from({ length: size }, () => (random() < share ? 1 : 0));
      mask[Math.floor(random() * size)] = 1;
      return [name, mask];
    }),
  );
}

const kept = (mask: Uint8Array) => mask.reduce((sum, value) => sum + value, 0);

function outputs(model: tf.LayersModel): Float32Array[] {
  return tf.tidy(() => {
    const shape = [4, ...(model.inputs[0].shape.slice(1) as number[])];
    const result = model.predict(tf.randomNormal(shape, 0, 1, "float32", 7)) as tf.Tensor | tf.Tensor[];
    return [result].flat().map((tensor) => tensor.dataSync() as Float32Array);
  });
}

function assertClose(a: Float32Array[], b: Float32Array[]): void {
  assert.equal(a.length, b.length);
  a.forEach((values, k) => {
    assert.equal(values.length, b[k].length);
    const scale = Math.max(...values.map(Math.abs));
    assert.ok(scale > 0);
    for (let i = 0; i < values.length; i++)
      assert.ok(Math.abs(values[i] - b[k][i]) <= 1e-5 * scale, `${values[i]}, ${b[k][i]}`);
  });
}

/** Surgery must equal masking, and both must differ from the whole model. */
function assertSurgeryIsMasking(model: tf.LayersModel): void {
  for (const [share, seed] of [
    [0.7, 1],
    [0.4, 2],
    [0, 3],
  ]) {
    const keep = randomKeep(model, share, seed);
    const before = outputs(model);
    const small = pruneGroups(model, keep);
    const masked = maskGroups(model, keep);
    assertClose(outputs(masked), outputs(small));
    assert.notDeepEqual(outputs(masked), before);
    assert.deepEqual(outputs(model), before);
    assert.ok(small.countParams() < model.countParams());
    assert.equal(masked.countParams(), model.countParams());
    small.dispose();
    masked.dispose();
  }
}

const conv = (name: string, filters: number, more = {}) =>
  layers.conv2d({ name, filters, kernelSize: 3, padding: "same", ...more });
const build = (
  size: number[],
  make: (input: tf.SymbolicTensor) => tf.SymbolicTensor,
  seed = 1,
): tf.LayersModel => {
  const input = tf.input({ shape: size });
  return randomise(tf.model({ inputs: input, outputs: make(input), name: "net" }), seed);
};
const apply = (layer: tf.layers.Layer, ...inputs: tf.SymbolicTensor[]) =>
  layer.apply(inputs.length === 1 ? inputs[0] : inputs) as tf.SymbolicTensor;
const shape = (model: tf.LayersModel, name: string) => model.getLayer(name).weights[0].shape;

describe("nn/surgery: smaller models that compute what masked ones do (3.1.2, 3.1.3)", () => {
  before(async () => {
    await useBackend("wasm");
  });

  it("LeNet-300-100: neurons go with the next layer's rows; classes stay", () => {
    const model = randomise(lenet300(1), 1);
    assert.deepEqual(
      groupsOf(model).map(({ name, layers, size, consumers }) => ({ name, layers, size, consumers })),
      [
        { name: "fc1", layers: ["fc1"], size: 300, consumers: ["fc2"] },
        { name: "fc2", layers: ["fc2"], size: 100, consumers: ["fc3"] },
      ],
    );
    assertSurgeryIsMasking(model);
    const keep = { fc1: new Uint8Array(300), fc2: new Uint8Array(100) };
    keep.fc1.fill(1, 0, 50);
    keep.fc2.fill(1, 90);
    const small = pruneGroups(model, keep);
    assert.equal(small.countParams(), 785 * 50 + 51 * 10 + 11 * 10);
    assert.ok(small instanceof tf.Sequential);
    assert.deepEqual(
      small.layers.map((layer) => layer.name),
      ["fc1", "fc2", "fc3"],
    );
    // The first kept row of fc3's kernel is row 90 of the old one.
    assert.deepEqual(weightsOf(small).fc3.slice(0, 10), weightsOf(model).fc3.slice(900, 910));
  });

  it("LeNet-5: filters go through pooling and flatten into the dense layer", () => {
    const model = randomise(lenet5(1), 1);
    assert.deepEqual(
      groupsOf(model).map(({ name, size }) => [name, size]),
      [
        ["conv1", 20],
        ["conv2", 50],
        ["fc1", 500],
      ],
    );
    assertSurgeryIsMasking(model);
    const keep = randomKeep(model, 0.5, 9);
    const [a, b, c] = ["conv1", "conv2", "fc1"].map((name) => kept(keep[name]));
    const small = pruneGroups(model, keep);
    assert.equal(small.countParams(), 26 * a + (25 * a + 1) * b + (16 * b + 1) * c + (c + 1) * 10);
    assert.deepEqual(shape(small, "fc1"), [16 * b, c]);
  });

  it("a residual network: what is added goes together, batch normalisation follows", () => {
    const model = build([8, 8, 3], (input) => {
      let x = apply(conv("stem", 8), input);
      x = apply(layers.batchNormalization({ name: "bn0" }), x);
      x = apply(layers.reLU(), x);
      for (const block of ["a", "b"]) {
        let y = apply(conv(`${block}1`, 6, { useBias: false }), x);
        y = apply(layers.batchNormalization({ name: `${block}bn1`, scale: block === "a" }), y);
        y = apply(layers.activation({ activation: "relu" }), y);
        y = apply(conv(`${block}2`, 8), y);
        y = apply(layers.batchNormalization({ name: `${block}bn2` }), y);
        x = apply(layers.reLU(), apply(layers.add(), y, x));
      }
      x = apply(layers.globalAveragePooling2d({}), x);
      return apply(layers.dense({ name: "head", units: 5, activation: "softmax" }), x);
    });
    const groups = groupsOf(model);
    assert.deepEqual(
      groups.map(({ name, size, followers, consumers }) => ({ name, size, followers, consumers })),
      [
        { name: "stem+a2+b2", size: 8, followers: ["bn0", "abn2", "bbn2"], consumers: ["a1", "b1", "head"] },
        { name: "a1", size: 6, followers: ["abn1"], consumers: ["a2"] },
        { name: "b1", size: 6, followers: ["bbn1"], consumers: ["b2"] },
      ],
    );
    assert.deepEqual(groups[0].channels.b2, Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
    assertSurgeryIsMasking(model);
  });

  it("depthwise and separable convolutions, with channel multipliers", () => {
    const model = build([8, 8, 2], (input) => {
      let x = apply(conv("point1", 5, { kernelSize: 1, activation: "relu" }), input);
      x = apply(
        layers.depthwiseConv2d({ name: "depth", kernelSize: 3, depthMultiplier: 3, activation: "relu" }),
        x,
      );
      x = apply(conv("point2", 7, { kernelSize: 1 }), x);
      x = apply(layers.prelu({ name: "prelu", sharedAxes: [1, 2] }), x);
      x = apply(
        layers.separableConv2d({ name: "separable", filters: 4, kernelSize: 3, depthMultiplier: 2 }),
        x,
      );
      x = apply(layers.maxPooling2d({ poolSize: 2 }), x);
      return apply(layers.dense({ name: "head", units: 3 }), apply(layers.flatten(), x));
    });
    assert.deepEqual(
      groupsOf(model).map(({ name, size, followers, consumers }) => ({ name, size, followers, consumers })),
      [
        { name: "point1", size: 5, followers: ["depth"], consumers: ["point2"] },
        { name: "point2", size: 7, followers: ["prelu"], consumers: ["separable"] },
        { name: "separable", size: 4, followers: [], consumers: ["head"] },
      ],
    );
    assertSurgeryIsMasking(model);
    const small = pruneGroups(model, {
      point1: Uint8Array.of(0, 1, 0, 1, 0),
      point2: Uint8Array.of(1, 0, 0, 1, 1, 0, 0),
    });
    assert.deepEqual(shape(small, "depth"), [3, 3, 2, 3]);
    assert.deepEqual(shape(small, "point2"), [1, 1, 6, 3]);
    assert.deepEqual(small.getLayer("separable").weights[1].shape, [1, 1, 6, 4]);
  });

  it("concatenation keeps its offsets, also where a sum spans two branches", () => {
    const model = build([6, 6, 2], (input) => {
      const a = apply(conv("a", 3, { activation: "relu" }), input);
      const b = apply(conv("b", 4, { activation: "tanh" }), input);
      const both = apply(layers.concatenate(), a, b);
      const c = apply(conv("c", 7), both);
      const sum = apply(layers.multiply(), both, c);
      const up = apply(
        layers.conv2dTranspose({ name: "up", filters: 5, kernelSize: 2, strides: 2, activation: "relu" }),
        sum,
      );
      return apply(layers.dense({ name: "head", units: 2 }), apply(layers.globalMaxPooling2d({}), up));
    });
    const groups = groupsOf(model);
    assert.deepEqual(
      groups.map(({ name, size, consumers }) => ({ name, size, consumers })),
      [
        { name: "a+c", size: 3, consumers: ["c", "up"] },
        { name: "b+c", size: 4, consumers: ["c", "up"] },
        { name: "up", size: 5, consumers: ["head"] },
      ],
    );
    assert.deepEqual(groups[1].channels, { b: Int32Array.of(0, 1, 2, 3), c: Int32Array.of(3, 4, 5, 6) });
    assertSurgeryIsMasking(model);
  });

  it("units that go into a layer it does not understand, or that compete by softmax, stay", () => {
    const model = build([6, 4], (input) => {
      let x = apply(layers.conv1d({ name: "free", filters: 4, kernelSize: 2 }), input);
      x = apply(layers.conv1d({ name: "rivals", filters: 3, kernelSize: 1, activation: "softmax" }), x);
      x = apply(layers.conv1d({ name: "normalised", filters: 3, kernelSize: 1 }), x);
      x = apply(layers.layerNormalization(), x);
      x = apply(layers.permute({ dims: [2, 1] }), x);
      x = apply(layers.dense({ name: "middle", units: 6 }), x);
      return apply(layers.dense({ name: "head", units: 2 }), apply(layers.flatten(), x));
    });
    assert.deepEqual(
      groupsOf(model).map(({ name }) => name),
      ["free", "middle"],
    );
    assertSurgeryIsMasking(model);
  });

  it("a layer that is used twice keeps its units and those that it reads; one without weights is passed through", () => {
    const shared = layers.dense({ name: "shared", units: 4 });
    const relu = layers.reLU({ name: "relu" });
    const model = build([3], (input) => {
      const before = apply(relu, apply(layers.dense({ name: "before", units: 4 }), input));
      const after = apply(layers.dense({ name: "after", units: 12 }), apply(shared, apply(shared, before)));
      return apply(layers.dense({ name: "head", units: 2 }), apply(relu, after));
    });
    assert.deepEqual(
      groupsOf(model).map(({ name }) => name),
      ["after"],
    );
    assertSurgeryIsMasking(model);
  });

  it("wrong plans are errors in plain words", () => {
    const model = lenet300(1);
    assert.throws(
      () => pruneGroups(model, { fc3: new Uint8Array(10) }),
      /has no group "fc3" to prune; it has: fc1, fc2/,
    );
    assert.throws(
      () => pruneGroups(model, { fc1: new Uint8Array(3) }),
      /keep of fc1 must have 300 elements, got 3/,
    );
    assert.throws(
      () => pruneGroups(model, { fc2: new Uint8Array(100) }),
      /keep of fc2 must keep at least 1 of 100 units/,
    );
    assert.throws(
      () => pruneGroups(model, { fc2: new Uint8Array(100).fill(7) }),
      /must hold 0 and 1, got 7 at index 0/,
    );
  });

  it("the smaller model trains, saves and loads", async () => {
    const { train: digits } = await loadDataset("mnist-10k");
    const data = subset(digits, 256, 1);
    const small = pruneGroups(lenet5(1), randomKeep(lenet5(1), 0.3, 4));
    const { epochs } = await train(small, data, { epochs: 3, batchSize: 32 });
    assert.ok(epochs[2].loss < epochs[0].loss);
    const folder = await mkdtemp(join(tmpdir(), "slimlab-"));
    try {
      await saveModel(small, folder);
      assert.deepEqual(await evaluate(await loadModel(folder), data), await evaluate(small, data));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("a copy computes the same and has weights of its own", async () => {
    const model = randomise(lenet5(1), 3);
    const copy = cloneModel(model);
    assert.deepEqual(outputs(copy), outputs(model));
    randomise(copy, 4);
    assert.notDeepEqual(outputs(copy), outputs(model));
    const { numTensors } = tf.memory();
    cloneModel(model).dispose();
    assert.equal(tf.memory().numTensors, numTensors);
  });

  it("a layer can give way to two: W = A B", () => {
    const model = build([4], (input) =>
      apply(
        layers.dense({ name: "fc", units: 3, activation: "tanh" }),
        apply(layers.dense({ name: "in", units: 6 }), input),
      ),
    );
    const [, bias] = model.getLayer("fc").getWeights();
    // W = W I, with the unit matrix in front.
    const unit = Float32Array.from({ length: 36 }, (_, i) => (i % 7 === 0 ? 1 : 0));
    const split = rebuild(model, (layer) =>
      layer.name === "fc"
        ? [
            { layer: layers.dense({ name: "fc_a", units: 6, useBias: false }), weights: [unit] },
            { layer: layerLike(layer, { name: "fc_b" }), weights: [weightsOf(model).fc, bias.dataSync()] },
          ]
        : undefined,
    );
    assertClose(outputs(split), outputs(model));
    assert.deepEqual(
      split.layers.slice(1).map((layer) => layer.name),
      ["in", "fc_a", "fc_b"],
    );
  });
});

describe("2.1 removing a layer", () => {
  it("changes nothing where the layer is linear: two products are one", async () => {
    const model = randomise(
      tf.sequential({
        layers: [
          layers.flatten({ inputShape: [28, 28, 1] }),
          layers.dense({ name: "a", units: 12, activation: "relu" }),
          layers.dense({ name: "b", units: 8 }),
          layers.dense({ name: "c", units: 10, activation: "softmax" }),
        ],
      }),
      3,
    );
    const { train: images } = await loadDataset("mnist-10k");
    const {
      model: smaller,
      merged,
      error,
    } = await removeDense(model, "b", subset(images, 400, 1), { damping: 1e-9 });
    assert.equal(merged, "c");
    assert.ok(error < 1e-6);
    assert.deepEqual(smaller.layers.map(({ name }) => name).slice(1), ["a", "c"]);
    const few = subset(images, 50, 2);
    const [before, after] = [await predict(model, few), await predict(smaller, few)];
    assert.ok(
      before.logits.every((value, i) => Math.abs(value - after.logits[i]) < 1e-2 * (1 + Math.abs(value))),
    );
    model.dispose();
    smaller.dispose();
  });

  it("leaves LeNet-300-100 its digits without its second layer", async () => {
    const { train: images, validation } = await loadDataset("mnist-10k");
    const model = await loadPretrained("lenet-300-100");
    const { model: smaller } = await removeDense(model, "fc2", subset(images, 2000, 1));
    assert.equal(smaller.countParams(), 785 * 300 + 301 * 10);
    const [whole, without] = [await evaluate(model, validation), await evaluate(smaller, validation)];
    assert.ok(without.accuracy > 0.9 && without.accuracy < whole.accuracy + 0.01, `${without.accuracy}`);
    model.dispose();
    smaller.dispose();
  });

  it("refuses what is not a dense layer before a dense layer", async () => {
    const { train: images } = await loadDataset("mnist-10k");
    const few = subset(images, 8, 1);
    const model = lenet5(1);
    await assert.rejects(removeDense(model, "conv1", few), /layer must be dense, got conv1/);
    await assert.rejects(removeDense(model, "fc2", few), /fc2 must be read by one dense layer, got none/);
    await assert.rejects(removeDense(model, "fc9", few), /has no layer "fc9"/);
    model.dispose();
  });
});
