import assert from "node:assert/strict";
import type { Split } from "slimlab/datasets";
import { subset, take } from "slimlab/datasets";
import { activationPlaces } from "slimlab/graph";
import {
  activationsOf,
  autoQuantize,
  calibrateActivations,
  cloneModel,
  compareModels,
  equalizeModel,
  evaluate,
  evaluateInteger,
  factorizeModel,
  foldBatchNorms,
  graphOf,
  groupsOf,
  hessianDiagonalOf,
  inputStatisticsOf,
  integerNetworkOf,
  lenet300,
  mergeUnits,
  predict,
  pruneGroups,
  quantizedForward,
  quantizeWeights,
  setWeights,
  slimOf,
  tf,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { dequantize, runInteger, simulateInteger } from "slimlab/quantization";
import { seeded } from "../../lib/util/random.ts";
import { apart, apply, noise, randomise } from "./small-networks.ts";

const { layers } = tf;

const outputs = (model: tf.LayersModel, split: Split) =>
  tf.tidy(() => {
    const shape = [split.count, split.height, split.width, split.channels];
    const x = tf.tensor(
      Float32Array.from(split.images, (p) => p / 255),
      shape,
    );
    return Float32Array.from((model.predict(x) as tf.Tensor).dataSync());
  });

/** Small networks of the shapes that people use, each with batch normalisation. */
const architectures: Record<string, () => tf.LayersModel> = {
  vgg: () =>
    build((x) => {
      for (const filters of [4, 6]) {
        x = apply(layers.conv2d({ filters, kernelSize: 3, padding: "same" }), x);
        x = apply(layers.reLU(), apply(layers.batchNormalization(), x));
        x = apply(layers.maxPooling2d({}), x);
      }
      return x;
    }),
  resnet: () =>
    build((x) => {
      x = apply(layers.conv2d({ filters: 6, kernelSize: 3, padding: "same", useBias: false }), x);
      x = apply(layers.activation({ activation: "relu" }), apply(layers.batchNormalization(), x));
      let y = apply(layers.conv2d({ filters: 6, kernelSize: 3, padding: "same", useBias: false }), x);
      y = apply(layers.batchNormalization({ scale: false }), y);
      return apply(layers.reLU(), apply(layers.add(), x, y));
    }),
  mobilenet: () =>
    build((x) => {
      x = apply(layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: "same", useBias: false }), x);
      x = apply(layers.reLU({ maxValue: 6 }), apply(layers.batchNormalization(), x));
      let y = apply(layers.conv2d({ filters: 8, kernelSize: 1, useBias: false }), x);
      y = apply(layers.reLU({ maxValue: 6 }), apply(layers.batchNormalization(), y));
      y = apply(layers.zeroPadding2d({ padding: 1 }), y);
      y = apply(layers.depthwiseConv2d({ kernelSize: 3, useBias: false, depthMultiplier: 2 }), y);
      y = apply(layers.reLU({ maxValue: 6 }), apply(layers.batchNormalization({ center: false }), y));
      y = apply(
        layers.batchNormalization(),
        apply(layers.conv2d({ filters: 4, kernelSize: 1, useBias: false }), y),
      );
      return apply(layers.add(), x, y);
    }),
  separable: () =>
    build((x) =>
      apply(
        layers.batchNormalization(),
        apply(layers.separableConv2d({ filters: 5, kernelSize: 3, depthMultiplier: 2 }), x),
      ),
    ),
  transposed: () =>
    build((x) =>
      apply(
        layers.batchNormalization(),
        apply(layers.conv2dTranspose({ filters: 5, kernelSize: 2, strides: 2 }), x),
      ),
    ),
  densenet: () =>
    build((x) => {
      const y = apply(
        layers.batchNormalization(),
        apply(layers.conv2d({ filters: 3, kernelSize: 3, padding: "same" }), x),
      );
      return apply(layers.batchNormalization({ name: "before" }), apply(layers.concatenate(), x, y));
    }),
  nested: () =>
    build((x) => {
      const inner = tf.sequential({
        name: "inner",
        layers: [
          layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [8, 8, 2] }),
          layers.batchNormalization(),
        ],
      });
      return inner.apply(x) as tf.SymbolicTensor;
    }),
};

function build(make: (input: tf.SymbolicTensor) => tf.SymbolicTensor): tf.LayersModel {
  const input = tf.input({ shape: [8, 8, 2] });
  let x = apply(layers.globalAveragePooling2d({}), make(input));
  x = apply(layers.dense({ units: 6 }), x);
  x = apply(layers.activation({ activation: "relu" }), apply(layers.batchNormalization(), x));
  return randomise(
    tf.model({ inputs: input, outputs: apply(layers.dense({ units: 3, activation: "softmax" }), x) }),
  );
}

describe("nn: networks that people have", () => {
  before(async () => {
    await useBackend("wasm");
  });

  it("a softmax inside a nested model, or before dropout, is applied once", async () => {
    const split = noise(24, [4, 4, 1], 5);
    const flatten = () => layers.flatten({ inputShape: [4, 4, 1] });
    const body = () => layers.dense({ units: 8, activation: "relu" });
    const head = () => layers.dense({ units: 5, activation: "softmax" });
    const flat = randomise(tf.sequential({ layers: [flatten(), body(), head()] }));
    const { loss, accuracy } = await evaluate(flat, split);
    const probabilities = outputs(flat, split);
    const others = {
      nested: tf.sequential({
        layers: [
          tf.sequential({ layers: [flatten(), body()] }),
          tf.sequential({ layers: [layers.dense({ units: 5, activation: "softmax", inputShape: [8] })] }),
        ],
      }),
      "before dropout": tf.sequential({ layers: [flatten(), body(), head(), layers.dropout({ rate: 0.5 })] }),
      "a layer of its own": tf.sequential({
        layers: [
          flatten(),
          body(),
          layers.dense({ units: 5 }),
          layers.softmax(),
          layers.activation({ activation: "linear" }),
        ],
      }),
    };
    for (const [what, model] of Object.entries(others)) {
      model.setWeights(flat.getWeights());
      const found = await evaluate(model, split);
      assert.ok(Math.abs(found.loss - loss) < 1e-5, `${what}: ${found.loss} and ${loss}`);
      assert.equal(found.accuracy, accuracy, what);
      const predicted = await predict(model, split);
      assert.ok(apart(predicted.probabilities, probabilities) < 1e-6, what);
    }
    const sigmoid = tf.sequential({
      layers: [flatten(), layers.dense({ units: 5, activation: "sigmoid", name: "head" })],
    });
    await assert.rejects(
      evaluate(sigmoid, split),
      /must end in softmax or in plain class scores, got head, whose sigmoid/,
    );
  });

  it("more than 256 classes keep their numbers", async () => {
    const split = noise(12, [8, 8, 3], 1000, 3);
    split.labels.set([900, 3, 300, 5]);
    const model = randomise(
      tf.sequential({
        layers: [
          layers.flatten({ inputShape: [8, 8, 3] }),
          layers.dense({ units: 1000, activation: "softmax" }),
        ],
      }),
    );
    const { classes, logits } = await predict(model, split);
    const largest = Array.from({ length: 12 }, (_, i) => {
      const row = [...logits.subarray(i * 1000, (i + 1) * 1000)];
      return row.indexOf(Math.max(...row));
    });
    assert.deepEqual([...classes], largest);
    assert.ok(largest.some((c) => c > 255));
    assert.equal((await evaluate(model, { ...split, labels: Uint16Array.from(largest) })).accuracy, 1);
    assert.deepEqual([...take(split, [0, 1, 2, 3]).labels], [900, 3, 300, 5]);
    assert.deepEqual([...subset(split, 12, 1).labels].sort(), [...split.labels].sort());
  });

  it("factors keep the energy that was asked for", async () => {
    const model = randomise(
      tf.sequential({
        layers: [
          layers.conv2d({ filters: 12, kernelSize: 3, inputShape: [8, 8, 6], name: "a" }),
          layers.conv2d({ filters: 16, kernelSize: 3, name: "b" }),
          layers.flatten(),
          layers.dense({ units: 5 }),
        ],
      }),
    );
    for (const energy of [0.5, 0.7, 0.8, 0.9]) {
      const { rows, model: smaller } = await factorizeModel(model, { energy });
      for (const row of rows)
        assert.ok(row.energy >= energy - 1e-6, `${row.layer}: ${row.energy} of ${energy}`);
      smaller.dispose();
    }
  });

  it("units before a transposed convolution are not merged, and what is computed stays", async () => {
    const input = tf.input({ shape: [5, 5, 2] });
    const apply = (layer: tf.layers.Layer, x: tf.SymbolicTensor) => layer.apply(x) as tf.SymbolicTensor;
    let x = apply(layers.conv2d({ filters: 4, kernelSize: 1, activation: "relu", name: "before" }), input);
    x = apply(layers.conv2dTranspose({ filters: 3, kernelSize: 2, strides: 2, name: "up" }), x);
    x = apply(layers.dense({ units: 2 }), apply(layers.flatten(), x));
    const model = randomise(tf.model({ inputs: input, outputs: x }));
    // The second filter is twice the first.
    const { before } = weightsOf(model);
    for (let i = 0; i < before.length; i += 4) before[i + 1] = 2 * before[i];
    setWeights(model, { before });
    const split = noise(8, [5, 5, 2], 2);
    const { model: merged } = await mergeUnits(model, split, { units: "both", tolerance: 1e-6 });
    const [a, b] = [outputs(model, split), outputs(merged, split)];
    assert.ok(apart(a, b) < 1e-5, `${apart(a, b)}`);
  });

  it("channels first: nothing is equalized through flatten, and statistics are refused by name", async () => {
    const model = tf.sequential({
      layers: [
        layers.conv2d({
          filters: 4,
          kernelSize: 3,
          inputShape: [2, 6, 6],
          dataFormat: "channelsFirst",
          name: "first",
          activation: "relu",
        }),
        layers.flatten({ dataFormat: "channelsFirst" }),
        layers.dense({ units: 3, name: "head" }),
      ],
    });
    assert.deepEqual(equalizeModel(model), []);
    const split = noise(4, [2, 6, 6], 3);
    await assert.rejects(
      inputStatisticsOf(model, split, { layers: ["first"] }),
      /first must be a dense layer or a 2-D convolution with its channels last/,
    );
    await assert.rejects(
      hessianDiagonalOf(model, split),
      /the Hessian's diagonal of first is not known how to compute/,
    );
  });

  it("a layer that is used twice: curvature and activations are refused by name", async () => {
    const input = tf.input({ shape: [4, 4, 1] });
    const shared = layers.dense({ units: 16, activation: "relu", name: "shared" });
    const flat = layers.flatten().apply(input);
    const model = tf.model({
      inputs: input,
      outputs: layers.dense({ units: 3 }).apply(shared.apply(shared.apply(flat))) as tf.SymbolicTensor,
    });
    const split = noise(6, [4, 4, 1], 3);
    await assert.rejects(hessianDiagonalOf(model, split), /shared is used more than once/);
    await assert.rejects(activationsOf(model, split, ["shared"]), /shared is used more than once/);
  });

  it("alpha shared over channels stays whole when filters go", () => {
    const model = randomise(
      tf.sequential({
        layers: [
          layers.conv2d({ filters: 3, kernelSize: 3, inputShape: [6, 6, 1], name: "conv" }),
          layers.prelu({ sharedAxes: [1, 2, 3], name: "prelu" }),
          layers.flatten(),
          layers.dense({ units: 2 }),
        ],
      }),
    );
    assert.deepEqual(
      groupsOf(model).map(({ name, size }) => [name, size]),
      [["conv", 3]],
    );
    const small = pruneGroups(model, { conv: Uint8Array.of(1, 0, 1) });
    assert.deepEqual(small.getLayer("prelu").weights[0].shape, [1, 1, 1]);
    assert.deepEqual(
      small.getLayer("prelu").getWeights()[0].dataSync(),
      model.getLayer("prelu").getWeights()[0].dataSync(),
    );
  });

  it("nested models are seen by every operation, and two of the same inner names are refused at save", async () => {
    const tower = (name: string) =>
      tf.sequential({
        name,
        layers: [layers.dense({ units: 6, inputShape: [16], activation: "relu", name: "fc" })],
      });
    const input = tf.input({ shape: [4, 4, 1] });
    const flat = layers.flatten().apply(input);
    const sum = layers.add().apply([tower("a").apply(flat), tower("b").apply(flat)] as tf.SymbolicTensor[]);
    const model = randomise(
      tf.model({
        inputs: input,
        outputs: layers.dense({ units: 3, name: "head" }).apply(sum) as tf.SymbolicTensor,
      }),
    );
    assert.deepEqual(Object.keys(weightsOf(model)), ["a/fc", "b/fc", "head"]);
    assert.deepEqual(
      groupsOf(model).map(({ name }) => name),
      ["a/fc+b/fc"],
    );
    const split = noise(5, [4, 4, 1], 3);
    const keep = Uint8Array.of(1, 0, 1, 1, 0, 1);
    const small = pruneGroups(model, { "a/fc+b/fc": keep });
    assert.equal(small.countParams(), 2 * 17 * 4 + 5 * 3);
    assert.equal(outputs(small, split).length, 15);
    assert.deepEqual(Object.keys(await hessianDiagonalOf(model, split)), ["a/fc", "b/fc", "head"]);
    await assert.rejects(slimOf(model), /must have different names to be saved, got two fc\/kernel/);
    // A Sequential of Sequentials: copied, cut and scored as the layers inside.
    const chain = tf.sequential({
      layers: [tf.sequential({ layers: [layers.flatten({ inputShape: [28, 28, 1] })] }), lenet300()],
    });
    assert.deepEqual(
      groupsOf(chain).map(({ name }) => name),
      ["lenet-300-100/fc1", "lenet-300-100/fc2"],
    );
    pruneGroups(chain, {}).dispose();
  });

  it("batch normalisation folds away, and the network computes the same to 1e-5", () => {
    const split = noise(6, [8, 8, 2], 3);
    for (const [name, make] of Object.entries(architectures)) {
      const model = make();
      const norms = (of: tf.LayersModel) =>
        graphOf(of).nodes.filter(({ kind }) => kind === "batchNormalization");
      const { model: folded, folded: gone, kept } = foldBatchNorms(model);
      assert.equal(gone.length + kept.length, norms(model).length, name);
      assert.deepEqual(
        norms(folded).map((node) => node.name),
        kept.map(({ norm }) => norm),
      );
      assert.deepEqual(
        kept.map(({ norm }) => norm),
        name === "densenet" ? ["before"] : [],
        name,
      );
      const [before, after] = [outputs(model, split), outputs(folded, split)];
      assert.ok(apart(before, after) < 1e-5, `${name}: ${apart(before, after)}`);
      assert.ok(folded.countParams() < model.countParams(), name);
    }
  });

  it("activations get their grids where engines store them: behind norm and ReLU, at sums and concatenations", async () => {
    const places = (model: tf.LayersModel) => {
      const { nodes } = graphOf(model);
      return activationPlaces(graphOf(model)).map((name) => nodes.find((node) => node.name === name)!.kind);
    };
    const { vgg, resnet, mobilenet, densenet } = architectures;
    assert.deepEqual(places(vgg()), ["reLU", "reLU", "activation"]);
    assert.deepEqual(places(resnet()), ["activation", "batchNormalization", "reLU", "activation"]);
    assert.deepEqual(places(mobilenet()), [
      "reLU",
      "reLU",
      "reLU",
      "batchNormalization",
      "add",
      "activation",
    ]);
    // What joins branches cannot take over a normalisation: the two are tensors of their own.
    assert.deepEqual(places(densenet()), [
      "batchNormalization",
      "concatenate",
      "batchNormalization",
      "activation",
    ]);
    assert.deepEqual(activationPlaces(graphOf(lenet300())), ["fc1", "fc2"]);

    // What a network reads in 2 bits has at most 4 different values, whoever made them.
    const split = noise(6, [8, 8, 2], 3);
    const model = resnet();
    const activations = await calibrateActivations(model, split, { bits: 2 });
    const forward = quantizedForward(model, { activations });
    const seen = new Map<string, number>();
    for (const layer of model.layers) {
      if (!["Conv2D", "Dense"].includes(layer.getClassName())) continue;
      const { call } = layer;
      layer.call = (inputs, options) => {
        const [input] = [inputs].flat();
        seen.set(layer.name, new Set(input.dataSync()).size);
        return call.call(layer, inputs, options);
      };
    }
    tf.tidy(() =>
      forward(
        tf.tensor(
          Float32Array.from(split.images, (p) => p / 255),
          [6, 8, 8, 2],
        ),
      ),
    );
    for (const [name, levels] of seen) assert.ok(levels <= 4, `${name} reads ${levels} levels`);
    assert.equal(seen.size, 4);
  });

  it("batches are as large as the activations allow", async () => {
    const { batchSizeFor } = await import("../../lib/nn/batches.ts");
    assert.equal(batchSizeFor(lenet300(), undefined, 250), 250);
    const wide = tf.sequential({
      layers: [
        layers.conv2d({ filters: 64, kernelSize: 3, padding: "same", inputShape: [256, 256, 3] }),
        layers.reLU(),
        layers.globalAveragePooling2d({}),
        layers.dense({ units: 2 }),
      ],
    });
    // 256 x 256 places of 3 + 64 + 64 numbers of 4 bytes are 32.75 MiB an image.
    assert.equal(batchSizeFor(wide, undefined, 250), 7);
    assert.equal(batchSizeFor(wide, undefined, 250, 2), 3);
    assert.equal(batchSizeFor(wide, 20, 250), 20);
    assert.throws(() => batchSizeFor(wide, 0, 250), /batchSize must be a whole number of at least 1, got 0/);
  });

  it("recurrent kernels, embeddings and both kernels of a separable convolution are quantized, and bytes count all", () => {
    const tokens = tf.sequential({
      layers: [
        layers.embedding({ inputDim: 20, outputDim: 8, inputLength: 6, name: "words" }),
        layers.bidirectional({ layer: layers.lstm({ units: 4 }) as tf.RNN, name: "both" }),
        layers.dense({ units: 3, name: "head" }),
      ],
    });
    const { quantized, bytes, kept, skipped } = quantizeWeights(tokens, { bits: 8, keepFloat: { below: 0 } });
    assert.deepEqual(Object.keys(quantized), [
      "words",
      "both/forward/kernel",
      "both/forward/recurrentKernel",
      "both/backward/kernel",
      "both/backward/recurrentKernel",
      "head",
    ]);
    assert.deepEqual([kept, skipped], [[], []]);
    // One scale a row of the table, a column of the gates, a class.
    const weights = 20 * 8 + 2 * (8 * 16 + 4 * 16) + 8 * 3;
    assert.equal(bytes, weights + 4 * (20 + 4 * 16 + 3));
    assert.deepEqual(weightsOf(tokens)["both/forward/kernel"], dequantize(quantized["both/forward/kernel"]));
    // The simulation sees them rounded too, wherever the layer keeps them.
    const [before, x] = [randomise(tokens), tf.tensor2d([[1, 4, 2, 19, 0, 7]])];
    const rounded = tf.tidy(() => quantizedForward(before, { weights: { bits: 2 } })(x).dataSync());
    quantizeWeights(before, { bits: 2 });
    assert.deepEqual(
      rounded,
      tf.tidy(() => (before.predict(x) as tf.Tensor).dataSync()),
    );

    const separable = randomise(
      tf.sequential({
        layers: [
          layers.separableConv2d({ filters: 5, kernelSize: 3, inputShape: [8, 8, 2], name: "sep" }),
          layers.flatten(),
          layers.dense({ units: 3, name: "head" }),
        ],
      }),
    );
    const result = quantizeWeights(separable, {
      bits: 8,
      keepFloat: { below: 15, layers: ["sep/depthwiseKernel"] },
    });
    assert.deepEqual(Object.keys(result.quantized), ["head"]);
    assert.deepEqual(result.kept, ["sep/depthwiseKernel", "sep/pointwiseKernel"]);
    assert.equal(result.bytes, 4 * (18 + 10) + 36 * 5 * 3 + 4 * 3);
    assert.throws(
      () => quantizeWeights(separable, { bits: 8, keepFloat: { layers: ["sepp"] } }),
      /layer in keepFloat must be one of "sep\/depthwiseKernel"/,
    );
  });

  it("automatic quantization keeps floats where asked, counts them, and can be ended", async () => {
    const split = noise(12, [8, 8, 2], 3);
    const model = architectures.resnet();
    const [first] = Object.keys(weightsOf(model));
    const { rows, kept, skipped, bytes } = await autoQuantize(
      model,
      split,
      { bytes: 1500 },
      { bits: [4, 8], keepFloat: { layers: [first] }, gptq: "never", batchSize: 5 },
    );
    assert.deepEqual([kept, skipped], [[first], []]);
    assert.ok(rows.every(({ layer }) => layer !== first));
    assert.equal(bytes, 4 * 9 * 2 * 6 + rows.reduce((sum, row) => sum + row.bytes, 0));
    assert.ok(bytes <= 1500, `${bytes}`);
    const before = weightsOf(model);
    // Training through the grids leaves them floats, too.
    const tuned = await autoQuantize(
      model,
      split,
      { bytes: 1500 },
      {
        bits: [4, 8],
        keepFloat: { layers: [first] },
        gptq: "never",
        fineTune: { data: split, options: { epochs: 1 } },
      },
    );
    assert.ok(
      !Object.hasOwn(tuned.quantized, first) && tuned.rows.every(({ layer }) => tuned.quantized[layer]),
    );
    setWeights(model, before);
    const abort = new AbortController();
    const work = autoQuantize(model, split, { bytes: 1500 }, { signal: abort.signal });
    abort.abort();
    await assert.rejects(work, { name: "AbortError" });
    assert.deepEqual(weightsOf(model), before);
  });

  it("folded networks run in integers: equal to their simulation bit for bit, and near the one in floats", async () => {
    const split = noise(24, [8, 8, 2], 3);
    const pixels = Float32Array.from(split.images, (p) => p / 255);
    const run: Record<string, () => tf.LayersModel> = {
      vgg: architectures.vgg,
      resnet: architectures.resnet,
      mobilenet: architectures.mobilenet,
      // A normalisation that nothing can take over.
      densenet: architectures.densenet,
      // Concatenation, padding, a ReLU that others pass by, pooling of branches.
      inception: () =>
        build((x) => {
          const a = apply(layers.conv2d({ filters: 3, kernelSize: 1 }), x);
          const b = apply(
            layers.conv2d({ filters: 4, kernelSize: 3, padding: "same", activation: "relu" }),
            x,
          );
          const both = apply(
            layers.concatenate(),
            a,
            b,
            apply(layers.maxPooling2d({ poolSize: 3, strides: 1, padding: "same" }), x),
          );
          const open = apply(
            layers.conv2d({ filters: 5, kernelSize: 3 }),
            apply(layers.zeroPadding2d({ padding: 1 }), both),
          );
          return apply(layers.concatenate(), open, apply(layers.reLU({ maxValue: 2 }), open));
        }),
    };
    for (const [name, make] of Object.entries(run)) {
      const { model } = foldBatchNorms(make());
      const exact = await predict(model, split);
      const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
      const activations = await calibrateActivations(model, split);
      const network = integerNetworkOf(model, quantized, activations);
      const whole = runInteger(network, pixels, 24);
      const simulated = simulateInteger(network, pixels, 24);
      assert.deepEqual(whole.steps, simulated.steps, name);
      assert.deepEqual(whole.values, simulated.values, name);
      const floats = await predict(model, split, { forward: quantizedForward(model, { activations }) });
      const range = Math.max(...exact.logits.map(Math.abs));
      const [toFloats, toExact] = [apart(whole.values, floats.logits), apart(whole.values, exact.logits)];
      // A level here and there is rounded the other way; each of the eight grids is a 255th of its range.
      assert.ok(toFloats < 0.03 * range, `${name}: ${toFloats} from the simulation in floats, of ${range}`);
      assert.ok(toExact < 0.08 * range, `${name}: ${toExact} from the floats, of ${range}`);
      assert.equal(evaluateInteger(network, split).count, 24);
    }
    const model = architectures.resnet();
    const activations = await calibrateActivations(model, split);
    const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
    assert.throws(
      () => integerNetworkOf(model, quantized, activations),
      /is a batch normalisation: fold it .* first \(foldBatchNorms\)/,
    );
  });

  it("layers that are called twice and several outputs run in integers, bit for bit as simulated", async () => {
    const { images, count } = noise(24, [8, 8, 2], 3);
    const pixels = Float32Array.from(images, (p) => p / 255);
    const conv = (filters: number, more: object = {}) =>
      layers.conv2d({ filters, kernelSize: 3, padding: "same", activation: "relu", ...more });
    const input = () => tf.input({ shape: [8, 8, 2] });
    const pooled = (x: tf.SymbolicTensor) => apply(layers.globalAveragePooling2d({}), x);
    const run: Record<string, () => tf.LayersModel> = {
      "a convolution three times in a row": () => {
        const [x, again] = [input(), conv(4, { name: "again" })];
        const first = apply(conv(4, { kernelSize: 1 }), x);
        const deep = apply(again, apply(again, apply(again, first)));
        return tf.model({ inputs: x, outputs: apply(layers.dense({ units: 3 }), pooled(deep)) });
      },
      "a tower that looks at two halves": () => {
        const x = input();
        const tower = tf.sequential({
          layers: [conv(5, { inputShape: [4, 8, 2] }), layers.flatten(), layers.dense({ units: 6 })],
        });
        const halves = [0, 4].map((top) =>
          apply(
            layers.conv2d({ filters: 2, kernelSize: [5, 1], name: `half${top}` }),
            top === 0 ? x : apply(layers.conv2d({ filters: 2, kernelSize: 1 }), x),
          ),
        );
        const seen = halves.map((half) => tower.apply(half) as tf.SymbolicTensor);
        return tf.model({
          inputs: x,
          outputs: apply(layers.dense({ units: 3 }), apply(layers.concatenate(), ...seen)),
        });
      },
      "classes, values and a map, one of them read on": () => {
        const x = input();
        const map = apply(conv(3, { activation: "linear", name: "map" }), x);
        const row = pooled(apply(layers.reLU({}), map));
        const classes = apply(layers.dense({ units: 4, activation: "softmax" }), row);
        return tf.model({ inputs: x, outputs: [classes, map, apply(layers.dense({ units: 2 }), row)] });
      },
      "one layer inside and as the output": () => {
        const [x, again] = [input(), conv(2, { name: "again", activation: "linear" })];
        const once = apply(again, x);
        return tf.model({ inputs: x, outputs: [apply(again, apply(layers.reLU({}), once)), pooled(once)] });
      },
    };
    for (const [name, make] of Object.entries(run)) {
      const model = make();
      const data = { inputs: [{ shape: [8, 8, 2], values: pixels }], count };
      const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
      const activations = await calibrateActivations(model, data);
      const network = integerNetworkOf(model, quantized, activations);
      const whole = runInteger(network, pixels, count, 2);
      assert.deepEqual(whole, simulateInteger(network, pixels, count), name);
      assert.equal(whole.outputs.length, model.outputs.length, name);
      // Against TensorFlow.js simulating the same grids: outputs before a softmax, all of them.
      const forward = quantizedForward(model, { activations });
      const floats = tf.tidy(() =>
        [forward(tf.tensor4d(pixels, [count, 8, 8, 2]))].flat().map((tensor) => tensor.dataSync()),
      );
      for (const [i, { values, shape }] of whole.outputs.entries()) {
        assert.deepEqual(shape, model.outputs[i].shape.slice(1), name);
        const [far, range] = [apart(values, floats[i]), Math.max(...floats[i].map(Math.abs))];
        assert.ok(far < 0.03 * range, `${name}, output ${i}: ${far} of ${range}`);
      }
    }
    const model = run["classes, values and a map, one of them read on"]();
    const activations = await calibrateActivations(model, {
      inputs: [{ shape: [8, 8, 2], values: pixels }],
      count,
    });
    assert.ok(activations.layers.map, "an output that is read on lies on a grid");
    const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
    const network = integerNetworkOf(model, quantized, activations);
    const inputs = [{ shape: [8, 8, 2], values: pixels }];
    const targets = [
      { shape: [], values: new Int32Array(count) },
      { shape: [8, 8, 3], values: new Float32Array(count * 192) },
      { shape: [2], values: new Float32Array(count * 2) },
    ];
    const judged = evaluateInteger(network, { inputs, targets, count });
    assert.deepEqual(
      judged.outputs!.map(({ name, task }) => [name, task]),
      [
        ["output 1", "classes"],
        ["output 2", "values"],
        ["output 3", "values"],
      ],
    );
    const { values } = runInteger(network, pixels, count).outputs[2];
    const mean = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    assert.ok(
      Math.abs(judged.outputs![2].loss - mean) < 1e-6 * mean,
      `${judged.outputs![2].loss} and ${mean}`,
    );
    assert.throws(
      () => evaluateInteger(network, { inputs, targets: targets.slice(0, 1), count }),
      /targets for 3 outputs .* got 1 and 1/,
    );
  });

  it("several inputs, averages, global maxima, reshape and noise run in integers, bit for bit as simulated", async () => {
    const count = 24;
    const random = seeded(7);
    const numbers = (size: number, low: number, high: number) =>
      Float32Array.from({ length: count * size }, () => low + (high - low) * random());
    const [picture, other, row] = [numbers(128, 0, 1), numbers(128, -3, 1), numbers(5, -20, 5)];
    const input = (name: string, shape: number[]) => tf.input({ name, shape });
    const conv = (filters: number) => layers.conv2d({ filters, kernelSize: 3, padding: "same" });
    const run: Record<string, [model: () => tf.LayersModel, inputs: Float32Array[]]> = {
      "two pictures and a row, averaged and joined": [
        () => {
          const [a, b, c] = [input("a", [8, 8, 2]), input("b", [8, 8, 2]), input("c", [5])];
          const mean = apply(layers.average(), apply(conv(3), a), apply(conv(3), b), apply(conv(3), b));
          const noisy = apply(layers.gaussianNoise({ stddev: 1 }), apply(layers.reLU({}), mean));
          const peaks = apply(layers.globalMaxPooling2d({}), noisy);
          const all = apply(layers.concatenate(), peaks, apply(layers.dense({ units: 4 }), c));
          return tf.model({ inputs: [a, b, c], outputs: apply(layers.dense({ units: 3 }), all) });
        },
        [picture, other, row],
      ],
      "one tower for both, and a sum of inputs": [
        () => {
          const [a, b] = [input("a", [8, 8, 2]), input("b", [8, 8, 2])];
          const tower = tf.sequential({
            layers: [
              layers.conv2d({
                filters: 4,
                kernelSize: 3,
                strides: 2,
                activation: "relu",
                inputShape: [8, 8, 2],
              }),
              layers.reshape({ targetShape: [36] }),
              layers.dense({ units: 6 }),
            ],
          });
          const [left, right] = [a, b].map((x) => tower.apply(x) as tf.SymbolicTensor);
          const sum = apply(layers.add(), a, b);
          const pooled = apply(layers.globalAveragePooling2d({}), sum);
          const seen = apply(layers.concatenate(), left, right, pooled);
          return tf.model({ inputs: [a, b], outputs: [apply(layers.dense({ units: 2 }), seen), sum] });
        },
        [picture, other],
      ],
    };
    for (const [name, [make, values]] of Object.entries(run)) {
      const model = randomise(make());
      const shapes = model.inputs.map(({ shape }) => shape.slice(1) as number[]);
      const data = { inputs: values.map((all, i) => ({ shape: shapes[i], values: all })), count };
      const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
      const activations = await calibrateActivations(model, data);
      const network = integerNetworkOf(model, quantized, activations);
      assert.deepEqual(
        [network.input, ...network.others!.map(({ grid }) => grid)].map(({ scale }) => scale),
        model.inputs.map((tensor) => {
          const grid = activations.inputs![tensor.sourceLayer.name];
          return grid.kind === "fixed" && grid.scale;
        }),
      );
      const whole = runInteger(network, values, count, 2);
      assert.deepEqual(whole, simulateInteger(network, values, count), name);
      const forward = quantizedForward(model, { activations });
      const floats = tf.tidy(() =>
        [forward(values.map((all, i) => tf.tensor(all, [count, ...shapes[i]])))]
          .flat()
          .map((tensor) => tensor.dataSync()),
      );
      for (const [i, output] of whole.outputs.entries()) {
        assert.deepEqual(output.shape, model.outputs[i].shape.slice(1), name);
        const [far, range] = [apart(output.values, floats[i]), Math.max(...floats[i].map(Math.abs))];
        assert.ok(far < 0.03 * range, `${name}, output ${i}: ${far} of ${range}`);
      }
      const targets = model.outputs.map((tensor) => {
        const shape = tensor.shape.slice(1) as number[];
        return { shape, values: new Float32Array(count * shape.reduce((a, b) => a * b)) };
      });
      assert.equal(evaluateInteger(network, { ...data, targets }, { batchSize: 7 }).count, count, name);
      assert.throws(() => runInteger(network, values[0], count), /inputs must have [23] elements, got 1/);
      assert.throws(
        () => runInteger(network, [values[0], ...values.slice(1).map((v) => v.subarray(1))], count),
        /inputs\[1\] must have 3072 elements, got 3071/,
      );
      assert.throws(
        () => evaluateInteger(network, { inputs: data.inputs.slice(0, 1), targets, count }),
        /samples must have [23] inputs and targets .* got 1 and/,
      );
      const { c: _, b: __, ...few } = activations.inputs!;
      assert.throws(
        () => integerNetworkOf(model, quantized, { ...activations, inputs: few }),
        /the input b must have quantized activations of at most 8 bits/,
      );
    }
  });

  it("two networks are compared without labels, and layer by layer", async () => {
    const split = noise(10, [8, 8, 2], 3);
    const model = architectures.resnet();
    const same = await compareModels(model, cloneModel(model), split);
    assert.deepEqual([same.agreement, same.divergence, same.largest, same.mse], [1, 0, 0, 0]);
    assert.ok(same.layers.length > 2 && same.layers.every(({ mse, sqnr }) => mse === 0 && sqnr === Infinity));
    const rough = cloneModel(model);
    quantizeWeights(rough, { bits: 3 });
    const found = await compareModels(model, rough, split, { batchSize: 4 });
    const [a, b] = [await predict(model, split), await predict(rough, split)];
    let divergence = 0;
    for (const [i, p] of a.probabilities.entries()) divergence += (p * Math.log(p / b.probabilities[i])) / 10;
    assert.ok(Math.abs(found.divergence - divergence) < 1e-5, `${found.divergence} and ${divergence}`);
    assert.equal(found.agreement, a.classes.filter((c, i) => c === b.classes[i]).length / 10);
    assert.ok(Math.abs(found.largest - apart(a.probabilities, b.probabilities)) < 1e-6);
    // The first place is compared with what both networks put out there.
    const [{ layer, mse }] = found.layers;
    const outputsOf = async (of: tf.LayersModel) => (await activationsOf(of, split, [layer]))[layer].values;
    const [x, y] = [await outputsOf(model), await outputsOf(rough)];
    const exact = x.reduce((sum, v, i) => sum + (v - y[i]) ** 2, 0) / x.length;
    assert.ok(Math.abs(mse - exact) < 1e-5 * exact, `${mse} and ${exact}`);
    // The last is what the networks give out, before softmax.
    const last = found.layers.at(-1)!;
    assert.equal(last.layer, model.layers.at(-1)!.name);
    assert.ok(Math.abs(last.mse - found.mse) < 1e-6 * found.mse, `${last.mse} and ${found.mse}`);
    await assert.rejects(compareModels(model, rough, split, { layers: ["nowhere"] }), /layer must be one of/);
  });

  it("channels that equalization has scaled are compared as they were", async () => {
    const split = noise(6, [8, 8, 2], 3);
    const model = architectures.vgg();
    const folded = foldBatchNorms(model).model;
    const equal = cloneModel(folded);
    const pairs = equalizeModel(equal);
    assert.ok(pairs.some(({ scales: [, most] }) => most > 1.5));
    const scales = Object.fromEntries(
      pairs.flatMap(({ layers, factors }) => layers.map((layer) => [layer, factors])),
    );
    const least = async (options: { scales?: typeof scales }) =>
      Math.min(...(await compareModels(folded, equal, split, options)).layers.map(({ sqnr }) => sqnr));
    assert.ok((await least({})) < 30);
    assert.ok((await least({ scales })) > 100);
  });
});
