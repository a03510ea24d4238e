import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDataset, toFloat, viewOf } from "slimlab/datasets";
import {
  type Compression,
  graphOf,
  loadPretrained,
  loadStored,
  modelOf,
  quantizeWeights,
  saveSlim,
  scoresOf,
  setWeights,
  storedOf,
  tf,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { applyMasks, globalSparsity } from "slimlab/pruning";
import { clusterWeights, dequantize, quantize, restoreClusters } from "slimlab/quantization";
import { kernelValues, type StoredNetwork, storedNetwork, storeKernel } from "slimlab/runtime";

/** A network's outputs by TensorFlow.js. */
function dense(model: tf.LayersModel, inputs: Float32Array, count: number): Float32Array {
  return tf.tidy(() => {
    const x = tf.tensor(inputs, [count, ...(model.inputs[0].shape.slice(1) as number[])]);
    return Float32Array.from((model.predict(x) as tf.Tensor).dataSync());
  });
}

function noise(length: number, seed: number): Float32Array {
  return tf.tidy(() => Float32Array.from(tf.randomUniform([length], -1, 1, "float32", seed).dataSync()));
}

/** Every kernel pruned and clustered, in the model and as compression knows it. */
async function pruneAndCluster(
  model: tf.LayersModel,
  sparsity: number,
  clusters: number,
): Promise<Compression> {
  const masks = globalSparsity(await scoresOf(model, undefined), sparsity);
  setWeights(model, applyMasks(weightsOf(model), masks));
  const clustered: Compression["clustered"] = {};
  const weights = weightsOf(model);
  for (const [name, values] of Object.entries(weights)) {
    const found = clusterWeights(values, { clusters, mask: masks[name] });
    clustered[name] = found;
    weights[name] = restoreClusters(found);
  }
  setWeights(model, weights);
  return { masks, quantized: {}, clustered };
}

const close = (found: Float32Array, wanted: Float32Array, what: string, allowed = 1e-5) => {
  assert.equal(found.length, wanted.length, what);
  const most = wanted.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  const off = found.reduce((a, b, i) => Math.max(a, Math.abs(b - wanted[i])), 0);
  assert.ok(off <= allowed * most, `${what}: off by ${off} of ${most}`);
};

describe("§4 networks that run from storage", function () {
  this.timeout(300_000);
  let folder: string;
  before(async () => {
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-runtime-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const name of ["lenet-300-100", "lenet-5"] as const)
    it(`${name} from a .slim file: equal to the dense network, in a tenth of its memory`, async () => {
      const model = await loadPretrained(name);
      const compression = await pruneAndCluster(model, 0.92, 32);
      const path = join(folder, `${name}.slim`);
      await saveSlim(path, model, compression);
      const stored = await loadStored(path);
      const { test } = await loadDataset("mnist-10k");
      const images = toFloat(viewOf(test, 0, 20));
      close(stored.run(images, 20), dense(model, images, 20), name);
      assert.ok(
        stored.layers.every(({ form }) => form !== "floats"),
        JSON.stringify(stored.layers),
      );
      assert.ok(stored.bytes < 0.1 * stored.denseBytes, `${stored.bytes} of ${stored.denseBytes} bytes`);
      // Every byte is accounted for: an entry has a code and a row, a unit its start, a layer its codebook.
      const fc = stored.layers.find(({ layer }) => layer === "fc1")!;
      const { shape } = graphOf(model).nodes.find((node) => node.name === "fc1")!.weights.kernel;
      assert.equal(fc.bytes, fc.entries * (1 + (shape[0] > 256 ? 2 : 1)) + 4 * (shape[1] + 1) + 4 * 33);
      assert.equal(
        fc.entries,
        compression.masks.fc1.reduce((n, m) => n + m, 0),
      );
      assert.throws(() => stored.run(images, 3), /inputs must have 2352 elements, got 15680/);
    });

  it("a depthwise network with every window, norm and branch: strides, dilation, same and valid, odd sizes", () => {
    const input = tf.input({ shape: [13, 10, 3] });
    const apply = (layer: tf.layers.Layer, x: tf.SymbolicTensor | tf.SymbolicTensor[]) =>
      layer.apply(x) as tf.SymbolicTensor;
    const random = { kernelInitializer: "glorotNormal", biasInitializer: "randomNormal" } as const;
    let x = apply(
      tf.layers.conv2d({ filters: 8, kernelSize: 3, strides: 2, padding: "same", useBias: false }),
      input,
    );
    x = apply(
      tf.layers.batchNormalization({ betaInitializer: "randomNormal", movingVarianceInitializer: "ones" }),
      x,
    );
    x = apply(tf.layers.reLU({ maxValue: 6 }), x);
    x = apply(
      tf.layers.zeroPadding2d({
        padding: [
          [0, 1],
          [1, 0],
        ],
      }),
      x,
    );
    x = apply(
      tf.layers.depthwiseConv2d({
        kernelSize: [3, 2],
        depthMultiplier: 2,
        activation: "relu",
        depthwiseInitializer: "glorotNormal",
        biasInitializer: "randomNormal",
      }),
      x,
    );
    const left = apply(
      tf.layers.conv2d({
        ...random,
        filters: 6,
        kernelSize: 3,
        dilationRate: 2,
        padding: "same",
        activation: "tanh",
      }),
      x,
    );
    const right = apply(tf.layers.conv2d({ ...random, filters: 6, kernelSize: 1, activation: "sigmoid" }), x);
    const sum = apply(tf.layers.add(), [left, right]);
    const pooled = [
      apply(tf.layers.maxPooling2d({ poolSize: 3, strides: 2, padding: "same" }), sum),
      apply(tf.layers.averagePooling2d({ poolSize: 3, strides: 2, padding: "same" }), sum),
    ];
    const joined = apply(tf.layers.concatenate(), pooled);
    const ends = [
      apply(tf.layers.globalAveragePooling2d({}), joined),
      apply(tf.layers.globalMaxPooling2d({}), joined),
    ];
    const features = apply(tf.layers.concatenate(), ends);
    const output = apply(tf.layers.dense({ ...random, units: 5, activation: "softmax" }), features);
    const model = tf.model({ inputs: input, outputs: output });
    const inputs = noise(4 * 390, 3);
    close(storedOf(model).run(inputs, 4), dense(model, inputs, 4), "floats");
    // Codes of 8, 5 and 1 bits, per tensor and per channel, depthwise scales by input channel.
    for (const options of [
      { bits: 8 },
      { bits: 5, perChannel: false },
      { bits: 1 },
      { bits: 4, scheme: "affine" as const, perChannel: false },
      { bits: 9 },
    ]) {
      const copy = modelOf(graphOf(model));
      const { quantized } = quantizeWeights(copy, { ...options, keepFloat: { below: 0 } });
      const stored = storedOf(copy, { quantized });
      close(stored.run(inputs, 4), dense(copy, inputs, 4), JSON.stringify(options), 1e-4);
      assert.ok(stored.layers.every(({ form }) => form.endsWith("codes")));
    }
  });

  it("squeeze and excitation, steps of three, windows without padding, dense layers on images, sums of a value with itself", () => {
    const input = tf.input({ shape: [17, 14, 3] });
    const apply = (layer: tf.layers.Layer, x: tf.SymbolicTensor | tf.SymbolicTensor[]) =>
      layer.apply(x) as tf.SymbolicTensor;
    const random = { kernelInitializer: "glorotNormal", biasInitializer: "randomNormal" } as const;
    const conv = (settings: Partial<Parameters<typeof tf.layers.conv2d>[0]>, x: tf.SymbolicTensor) =>
      apply(tf.layers.conv2d({ ...random, filters: 37, kernelSize: 3, ...settings }), x);
    let x = conv({ activation: "swish" }, input);
    x = apply(tf.layers.depthwiseConv2d({ kernelSize: 3, strides: 3, padding: "same", ...random }), x);
    x = apply(tf.layers.upSampling2d({ size: [2, 3] }), x);
    const squeezed = apply(
      tf.layers.reshape({ targetShape: [1, 1, 37] }),
      apply(tf.layers.globalAveragePooling2d({}), x),
    );
    const excited = conv({ kernelSize: 1, activation: "hardSigmoid" }, squeezed);
    x = apply(tf.layers.multiply(), [x, excited]);
    x = apply(tf.layers.add(), [x, x]);
    x = apply(tf.layers.dense({ ...random, units: 9, activation: "elu" }), x);
    x = conv({ filters: 4, kernelSize: [1, 2], strides: [3, 1], activation: "softplus" }, x);
    x = apply(tf.layers.softmax({ axis: -1 }), x);
    const rows = apply(tf.layers.reshape({ targetShape: [44, 4] }), x);
    const output = apply(tf.layers.dense({ ...random, units: 3 }), rows);
    const model = tf.model({ inputs: input, outputs: output });
    const inputs = noise(2 * 17 * 14 * 3, 5);
    close(storedOf(model).run(inputs, 2), dense(model, inputs, 2), "floats");
    const masks = Object.fromEntries(
      Object.entries(weightsOf(model)).map(([name, values]) => [
        name,
        Uint8Array.from(values, (_, i) => Number(i % 5 === 0)),
      ]),
    );
    setWeights(model, applyMasks(weightsOf(model), masks));
    const stored = storedOf(model);
    assert.ok(stored.layers.every(({ form }) => form === "sparse floats"));
    close(stored.run(inputs, 2), dense(model, inputs, 2), "sparse");
    const { quantized } = quantizeWeights(model, { bits: 8, group: 3, keepFloat: { below: 0 } });
    close(
      storedOf(model, { quantized }).run(inputs, 2),
      dense(model, inputs, 2),
      "sparse codes in groups",
      1e-4,
    );
  });

  it("kernels are sparse where less than half is kept, and give their values back whatever their form", () => {
    const values = Float32Array.of(0, 2, 0, 0, 0, -3, 1, 0, 0, 4, 0, 0);
    const valuesOf = (source: Parameters<typeof storeKernel>[0]) => [...kernelValues(storeKernel(source))];
    const shape = [4, 3];
    const sparse = storeKernel({ shape, values });
    assert.deepEqual([sparse.form, sparse.entries, sparse.bytes], ["sparse floats", 4, 4 * 5 + 4 * 4]);
    assert.deepEqual(valuesOf({ shape, values }), [...values]);
    const full = Float32Array.from(values, (v) => v + 5);
    assert.deepEqual(valuesOf({ shape, values: full }), [...full]);
    for (const options of [{ axis: 1 }, { axis: 0 }, {}, { axis: 1, scheme: "affine" as const }])
      for (const given of [values, full]) {
        const quantized = quantize(given, { bits: 8, shape, ...options });
        const found = valuesOf({ shape, quantized });
        assert.ok(
          found.every((value, i) => Math.abs(value - given[i]) < 0.04),
          `${found} for ${given}`,
        );
      }
    // Groups of a matrix's rows, and of a depthwise window's places: as dequantize has them.
    for (const options of [
      { shape: [4, 3], axis: 1, group: 2 },
      { shape: [2, 1, 2, 3], axis: 2, span: 2 },
      { shape: [2, 1, 2, 3], axis: 2, span: 2, group: 1, scheme: "affine" as const },
      { shape: [2, 1, 2, 3], axis: 2 },
      { shape: [2, 1, 2, 3], axis: 3, group: 2 },
    ]) {
      for (const given of [values, full])
        for (const depthwise of options.shape.length === 4 ? [false, true] : [false]) {
          const quantized = quantize(given, { bits: 4, ...options });
          const found = valuesOf({ shape: options.shape, depthwise, quantized });
          const wanted = dequantize(quantized);
          assert.ok(
            found.every((value, i) => Math.abs(value - wanted[i]) < 1e-5),
            `${found} for ${wanted}, ${JSON.stringify(options)}`,
          );
        }
    }
    assert.throws(
      () => storeKernel({ shape, quantized: quantize(full, { bits: 4, shape, group: 5 }) }),
      /scales must be one for all, for each output/,
    );
    const codes = Uint8Array.from({ length: 12 }, (_, i) => i % 2);
    const mask = Uint8Array.from({ length: 12 }, (_, i) => Number(i < 9));
    const clustered = { codes, codebook: Float32Array.of(-1, 7) };
    const kernel = storeKernel({ shape, clustered, mask });
    assert.equal(kernel.form, "codes");
    assert.deepEqual(
      valuesOf({ shape, clustered, mask }),
      [...codes].map((code, i) => (i < 9 ? [-1, 7][code] : 0)),
    );
    assert.throws(() => storeKernel({ shape }), /must have values or codes/);
    assert.throws(
      () => storeKernel({ shape, values: values.subarray(1) }),
      /kernel must have 12 elements, got 11/,
    );
  });

  it("names all layers that cannot be run so, and what can", () => {
    const model = tf.sequential({
      layers: [
        tf.layers.lstm({ name: "memory", inputShape: [4, 3], units: 2 }),
        tf.layers.repeatVector({ name: "again", n: 2 }),
      ],
    });
    assert.throws(() => storedOf(model), /memory \(lstm\), again \(repeatVector\); what can: dense, conv2d/);
    const input = tf.input({ shape: [4, 11, 4] });
    const fold = tf.layers.reshape({ name: "fold", targetShape: [-1, 4] }).apply(input);
    const open = tf.model({ inputs: input, outputs: fold as tf.SymbolicTensor });
    assert.throws(
      () => storedOf(open),
      /fold must have a shape that is known to run from storage, got \? x 4/,
    );
    const { graph } = {
      graph: graphOf(
        tf.sequential({
          layers: [tf.layers.dense({ name: "d", inputShape: [3], units: 2, activation: "mish" as "relu" })],
        }),
      ),
    };
    assert.throws((): StoredNetwork => storedNetwork(graph), /activation of d must be one of "linear"/);
  });
});
