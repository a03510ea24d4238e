import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { decodeSlim, encodeSlim, slimParts, writeSlim } from "slimlab/coding";
import { loadDataset } from "slimlab/datasets";
import {
  type Compression,
  factorizeModel,
  firstOf,
  lenet300,
  loadModel,
  loadPretrained,
  loadSlim,
  modelOfSlim,
  predict,
  roundWeights,
  saveModel,
  saveSlim,
  scoresOf,
  setWeights,
  slimOf,
  tf,
  useBackend,
  weightsOf,
  withScaling,
} from "slimlab/nn";
import { runRecipe } from "slimlab/pipeline";
import { applyMasks, globalSparsity } from "slimlab/pruning";
import { clusterWeights, dequantize, type Quantized, quantize, restoreClusters } from "slimlab/quantization";

type Model = tf.LayersModel;

function outputs(model: Model): Float32Array {
  return tf.tidy(() => {
    const shape = [4, ...(model.inputs[0].shape.slice(1) as number[])];
    const x = tf.randomUniform(shape, 0, 1, "float32", 7);
    return Float32Array.from((model.predict(x) as tf.Tensor).dataSync());
  });
}

async function prune(model: Model, sparsity: number): Promise<Record<string, Uint8Array>> {
  const masks = globalSparsity(await scoresOf(model, undefined), sparsity);
  setWeights(model, applyMasks(weightsOf(model), masks));
  return masks;
}

function cluster(
  model: Model,
  clusters: number,
  masks: Record<string, Uint8Array>,
): Compression["clustered"] {
  const clustered = Object.fromEntries(
    Object.entries(weightsOf(model)).map(([name, w]) => [
      name,
      clusterWeights(w, { clusters, mask: masks[name] }),
    ]),
  );
  setWeights(
    model,
    Object.fromEntries(Object.entries(clustered).map(([name, c]) => [name, restoreClusters(c)])),
  );
  return clustered;
}

function fixedPoint(model: Model, bits: number): Record<string, Quantized> {
  const shapes = Object.fromEntries(
    model.layers.filter(({ weights }) => weights.length > 0).map((l) => [l.name, l.weights[0].shape]),
  );
  const quantized = Object.fromEntries(
    Object.entries(weightsOf(model)).map(([name, w]) => {
      const shape = shapes[name] as number[];
      return [name, quantize(w, { bits, shape, axis: shape.length - 1 })];
    }),
  );
  setWeights(model, Object.fromEntries(Object.entries(quantized).map(([name, q]) => [name, dequantize(q)])));
  return quantized;
}

describe("4 nn/slim: a compressed model in one file", () => {
  let folder: string;
  before(async () => {
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-"));
  });
  after(() => rm(folder, { recursive: true }));

  /** Saves and loads, and checks that not a bit of the model changed; the bytes and what came back. */
  async function roundTrip(model: Model, compression: Partial<Compression>) {
    const path = join(folder, "model.slim");
    const bytes = await saveSlim(path, model, { ...compression, meta: { made: "here" } });
    assert.equal((await stat(path)).size, bytes);
    const parts = slimParts(await readFile(path));
    assert.equal(
      parts.reduce((sum, part) => sum + part.bytes, 0),
      bytes,
    );
    const loaded = await loadSlim(path);
    assert.deepEqual(weightsOf(loaded.model), weightsOf(model));
    assert.deepEqual(outputs(loaded.model), outputs(model));
    assert.deepEqual(loaded.meta, { made: "here" });
    assert.equal(loaded.model.name, model.name);
    // Saved again, it takes the same (TensorFlow.js spells out a few settings when it loads a layer).
    const again = await slimOf(loaded.model, { ...loaded.compression, meta: { made: "here" } });
    assert.ok(Math.abs(again.length - bytes) < 50);
    loaded.model.dispose();
    return { bytes, parts, compression: loaded.compression };
  }

  it("a plain model takes 4 bytes a parameter and a header", async () => {
    for (const name of ["lenet-300-100", "lenet-5"] as const) {
      const model = await loadPretrained(name);
      const { bytes, compression } = await roundTrip(model, {});
      const header = bytes - 4 * model.countParams();
      assert.ok(header > 0 && header < 1500, `${header} bytes beside the parameters`);
      assert.deepEqual(compression, { masks: {}, quantized: {}, clustered: {} });
      model.dispose();
    }
  });

  it("pruned: masks come back, and what is pruned takes next to nothing", async () => {
    const model = await loadPretrained("lenet-300-100");
    const masks = await prune(model, 0.92);
    const { bytes, compression } = await roundTrip(model, { masks });
    assert.deepEqual(compression.masks, masks);
    const kept = 0.08 * 266_200;
    assert.ok(bytes > kept * 3 && bytes < kept * 5.2 + 3500, `${bytes} bytes`);
    model.dispose();
  });

  it("clustered after pruning: codebooks, codes and masks come back", async () => {
    const model = await loadPretrained("lenet-300-100");
    const masks = await prune(model, 0.92);
    const clustered = cluster(model, 64, masks);
    const { bytes, compression } = await roundTrip(model, { masks, clustered });
    assert.deepEqual(compression.masks, masks);
    for (const [name, { codes, codebook }] of Object.entries(clustered))
      assert.deepEqual(compression.clustered[name], { codes, codebook });
    assert.ok(1_066_440 / bytes > 30, `only ${(1_066_440 / bytes).toFixed(1)} times smaller`);
    model.dispose();
  });

  it("fixed point: codes and scales come back; with masks too", async () => {
    const model = await loadPretrained("lenet-5");
    const quantized = fixedPoint(model, 4);
    const plain = await roundTrip(model, { quantized });
    assert.deepEqual(plain.compression.quantized, quantized);
    assert.ok(plain.bytes < 431_080 / 2 + 8000);
    const masks = await prune(model, 0.9);
    const again = fixedPoint(model, 4);
    const both = await roundTrip(model, { quantized: again, masks });
    assert.ok(both.bytes < plain.bytes / 2);
    for (const [name, mask] of Object.entries(masks)) {
      // A kept weight whose code is 0 counts as pruned; a pruned one never comes back.
      both.compression.masks[name].forEach((value, i) => {
        assert.ok(value <= mask[i]);
      });
    }
    model.dispose();
  });

  it("floats of 16 bits take two bytes, come back as such, and hold through training", async () => {
    const model = await loadPretrained("lenet-300-100");
    const plain = await slimOf(model);
    const before = weightsOf(model);
    for (const [format, places] of [
      ["bfloat16", 8],
      ["float16", 11],
    ] as const) {
      setWeights(model, before);
      const { formats, bytes, errors } = roundWeights(model, format);
      assert.equal(bytes, 2 * 266_200);
      // Half a unit in the last place of what the fraction keeps.
      for (const [name, weights] of Object.entries(before)) {
        const after = weightsOf(model)[name];
        for (let i = 0; i < weights.length; i++)
          assert.ok(Math.abs(after[i] - weights[i]) <= Math.abs(weights[i]) * 2 ** -places + 2 ** -25);
      }
      assert.ok(errors.fc1.sqnr > 6 * (places - 1));
      const file = await slimOf(model, { formats });
      assert.ok(Math.abs(plain.length - file.length - 2 * 266_200) < 0.15 * plain.length, `${file.length}`);
      const loaded = await modelOfSlim(file);
      assert.deepEqual(loaded.compression.formats, formats);
      assert.deepEqual(outputs(loaded.model), outputs(model));
      loaded.model.dispose();
    }
    await assert.rejects(
      slimOf(model, { formats: { fc1: "bfloat16" } }),
      /values must be numbers that bfloat16 holds exactly/,
    );
    const small = lenet300();
    setWeights(small, { fc3: weightsOf(small).fc3.map((_, i) => (i === 3 ? 70_000 : 0.1)) });
    assert.throws(
      () => roundWeights(small, "float16"),
      /weights of fc3 must fit into float16, got 70000 at index 3/,
    );
    roundWeights(small, "bfloat16");
    const { train } = await loadDataset("mnist-10k");
    const few = firstOf(train, 64);
    const result = await runRecipe(
      model,
      { train: few, validation: few },
      [
        { technique: "quantize", format: "bfloat16" },
        { technique: "fineTune", epochs: 1, batchSize: 64 },
      ],
      { cache: false },
    );
    const { model: tuned, compression } = await result.load();
    assert.deepEqual(Object.values(compression.formats!), ["bfloat16", "bfloat16", "bfloat16"]);
    assert.notDeepEqual(weightsOf(tuned).fc2, weightsOf(model).fc2);
    assert.match(result.rows[2].note, /3 layers rounded to 16 bits at the end/);
    await assert.rejects(
      runRecipe(
        model,
        { train: few, validation: few },
        [{ technique: "quantize", format: "float16", range: "mse" }],
        {
          cache: false,
        },
      ),
      /range must be left out with format/,
    );
  });

  it("low rank: the factors are layers, each in its own form", async () => {
    const model = await loadPretrained("lenet-300-100");
    const { model: small } = await factorizeModel(model, { budget: 0.3 });
    const { bytes } = await roundTrip(small, {});
    assert.ok(bytes < 0.31 * 1_066_440);
    const quantized = fixedPoint(small, 8);
    assert.ok((await roundTrip(small, { quantized })).bytes < bytes / 3.5);
    model.dispose();
    small.dispose();
  });

  it("graphs with branches, batch normalisation and a layer pruned away whole", async () => {
    const input = tf.input({ shape: [8, 8, 2] });
    const a = tf.layers.conv2d({ name: "a", filters: 3, kernelSize: 3, padding: "same" }).apply(input);
    const b = tf.layers.depthwiseConv2d({ name: "b", kernelSize: 3, padding: "same" }).apply(a);
    const normal = tf.layers.batchNormalization({ name: "norm" }).apply(b);
    const sum = tf.layers.add({ name: "sum" }).apply([a, normal] as tf.SymbolicTensor[]);
    const flat = tf.layers.flatten({ name: "flat" }).apply(sum);
    const out = tf.layers.dense({ name: "out", units: 4, activation: "softmax" }).apply(flat);
    const model = tf.model({ inputs: input, outputs: out as tf.SymbolicTensor, name: "graph" });
    const weights = weightsOf(model);
    const masks = { b: new Uint8Array(weights.b.length) };
    setWeights(model, { b: new Float32Array(weights.b.length) });
    const clustered = { b: { codes: new Uint8Array(weights.b.length), codebook: new Float32Array() } };
    const { compression } = await roundTrip(model, { masks, clustered });
    assert.deepEqual(compression.masks, masks);
    model.dispose();
  });

  it("a scaling that was given once goes with the model", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-scaling-"));
    try {
      const a = tf.input({ name: "a", shape: [4, 4, 3] });
      const b = tf.input({ name: "b", shape: [5] });
      const flat = tf.layers.flatten({}).apply(a) as tf.SymbolicTensor;
      const both = tf.layers.concatenate().apply([flat, b]) as tf.SymbolicTensor;
      const outputs = tf.layers.dense({ units: 3, activation: "softmax" }).apply(both) as tf.SymbolicTensor;
      const model = tf.model({ inputs: [a, b], outputs });
      const scaling = { mean: [0.5, 0.4, 0.3], deviation: [0.2, 0.5, 2] };
      const images = Uint8Array.from({ length: 6 * 48 }, (_, i) => (37 * i) % 256);
      const row = Float32Array.from({ length: 30 }, (_, i) => Math.sin(i));
      const samples = (given?: typeof scaling) => ({
        inputs: [
          { shape: [4, 4, 3], values: images, scaling: given },
          { shape: [5], values: row },
        ],
        count: 6,
      });
      const expected = (await predict(model, samples(scaling))).probabilities;
      assert.notDeepEqual(expected, (await predict(model, samples())).probabilities);
      const own = withScaling(model, scaling, { input: "a" });
      await saveSlim(join(folder, "own.slim"), own);
      await saveModel(own, join(folder, "own"));
      const back = [
        own,
        (await loadSlim(join(folder, "own.slim"))).model,
        await loadModel(join(folder, "own")),
      ];
      for (const each of back) {
        const { probabilities } = await predict(each, samples());
        for (const [i, p] of probabilities.entries()) assert.ok(Math.abs(p - expected[i]) < 1e-6, `${i}`);
      }
      // Nothing that trains moves it, and a Sequential stays one.
      assert.equal(own.trainableWeights.length, model.trainableWeights.length);
      const lenet = withScaling(lenet300(1), { mean: 0.5, deviation: 0.5 });
      assert.ok(lenet instanceof tf.Sequential);
      assert.throws(() => withScaling(model, scaling), /input must be one of "a", "b", got ""/);
      assert.throws(
        () => withScaling(model, { mean: [1, 2], deviation: 1 }, { input: "a" }),
        /scaling.mean must be one finite number, or one for each of 3 channels/,
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("refuses a model that is not what its masks and codes say, and files that are not whole", async () => {
    const model = lenet300(1);
    const masks = { fc3: new Uint8Array(1000) };
    await assert.rejects(slimOf(model, { masks }), /fc3 must be 0 where its mask is, got/);
    const quantized = { fc3: quantize(weightsOf(model).fc3, { bits: 8 }) };
    await assert.rejects(
      slimOf(model, { quantized }),
      /fc3 must hold what its codes stand for, but differs by/,
    );
    await assert.rejects(
      slimOf(model, { clustered: { fc9: { codes: new Uint8Array(1), codebook: new Float32Array(1) } } }),
      /clustered names "fc9", but lenet-300-100 has fc1, fc2, fc3/,
    );
    await assert.rejects(loadSlim(join(folder, "none.slim")), /there is no model at .*none\.slim: ENOENT/);
    const bytes = await slimOf(model);
    bytes[bytes.length >> 1] ^= 1;
    await assert.rejects(modelOfSlim(bytes, "x.slim"), /x\.slim is damaged/);
    const path = join(folder, "bare.slim");
    await writeSlim(path, { tensors: { w: { kind: "dense", shape: [1], values: new Float32Array(1) } } });
    await assert.rejects(loadSlim(path), /holds weights only/);
    await writeFile(path, "no model");
    await assert.rejects(loadSlim(path), /is not a \.slim file/);
    model.dispose();
  });

  it("files that lie about sizes, and weights that are NaN, are refused before they cost anything", async () => {
    const empty = { bits: 8, gaps: new Uint8Array(), values: new Float32Array() };
    const zeros = (count: number) => ({
      tensors: { a: { kind: "relative" as const, shape: [count], entries: { ...empty, length: count } } },
    });
    for (const version of [1, 2] as const) {
      // 2^30 weights in a hundred bytes: refused from their number, not for want of memory.
      assert.throws(
        () => decodeSlim(resized(encodeSlim({ ...zeros(1), topology: {} }, { version: 1 }), 2 ** 30)),
        /maxElements/,
      );
      const many = encodeSlim({ ...zeros(20_000_000), topology: {} }, { version });
      assert.ok(many.length < 300, `${many.length} bytes`);
      await assert.rejects(modelOfSlim(many, "many.slim"), /many\.slim cannot be read: .*maxElements/);
      const odd = encodeSlim({ ...zeros(9), topology: {} }, { version });
      await assert.rejects(modelOfSlim(odd, "odd.slim"), /odd\.slim has no topology/);
    }
    const topology = decodeSlim(await slimOf(lenet300(1))).topology;
    const nan = encodeSlim({
      topology,
      tensors: { "fc1/kernel": { kind: "dense", shape: [2], values: Float32Array.of(1, Number.NaN) } },
    });
    await assert.rejects(
      modelOfSlim(nan, "nan.slim"),
      /nan\.slim cannot be used: .*fc1\/kernel.*NaN at index 1/,
    );
  });
});

/** A version 1 file with its one tensor made larger, and its checksum right. */
function resized(bytes: Uint8Array, count: number): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const start = 20 + view.getUint32(12, true);
  const header = JSON.parse(inflateRawSync(bytes.subarray(20, start)).toString());
  header.tensors[0].shape = [count];
  const text = Buffer.from(JSON.stringify(header));
  const packed = deflateRawSync(text);
  const head = Buffer.from(bytes.slice(0, 20));
  head.writeUInt32LE(packed.length, 12);
  head.writeUInt32LE(text.length, 16);
  const content = Buffer.concat([head, packed, bytes.subarray(start, -32)]);
  return Buffer.concat([content, createHash("sha256").update(content).digest()]);
}
