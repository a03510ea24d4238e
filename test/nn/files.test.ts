import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  cloneModel,
  graphOf,
  lenet5,
  loadModel,
  modelOf,
  modelOfSlim,
  saveModel,
  slimOf,
  tf,
  useBackend,
  weightsOf,
} from "slimlab/nn";

describe("nn/models and nn/files", () => {
  let folder: string;

  before(async () => {
    await useBackend("wasm");
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-"));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  it("LeNet-5 has Caffe's 431,080 parameters and the seed fixes them", () => {
    const model = lenet5(1);
    assert.equal(model.countParams(), 431080);
    const sizes = Object.entries(weightsOf(model)).map(([name, weights]) => [name, weights.length]);
    assert.deepEqual(sizes, [
      ["conv1", 500],
      ["conv2", 25000],
      ["fc1", 400000],
      ["fc2", 5000],
    ]);
    assert.deepEqual(weightsOf(lenet5(1)), weightsOf(model));
    assert.notDeepEqual(weightsOf(lenet5(2)).conv1, weightsOf(model).conv1);
    assert.throws(() => lenet5(-1), /seed must be a whole number from 0/);
  });

  it("a saved model comes back bit for bit, by folder or by file, and nothing else is left in the folder", async () => {
    const model = lenet5(5);
    await saveModel(model, join(folder, "new"));
    assert.deepEqual((await readdir(join(folder, "new"))).sort(), ["model.json", "weights.bin"]);
    for (const path of [join(folder, "new"), join(folder, "new", "model.json")]) {
      const loaded = await loadModel(path);
      assert.deepEqual(weightsOf(loaded), weightsOf(model));
      assert.deepEqual(
        loaded.layers.map((layer) => layer.name),
        model.layers.map((layer) => layer.name),
      );
    }
    // What TensorFlow.js itself makes of it.
    const json = JSON.parse(await readFile(join(folder, "new", "model.json"), "utf8"));
    const bytes = new Uint8Array(await readFile(join(folder, "new", "weights.bin")));
    const { weightsManifest, ...rest } = json;
    const theirs = await tf.loadLayersModel(
      tf.io.fromMemory({ ...rest, weightSpecs: weightsManifest[0].weights, weightData: bytes.buffer }),
    );
    assert.deepEqual(weightsOf(theirs), weightsOf(model));
  });

  it("a separable convolution keeps its multiplier, which TensorFlow.js forgets", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.separableConv2d({ inputShape: [5, 5, 2], filters: 3, kernelSize: 3, depthMultiplier: 4 }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 2 }),
      ],
    });
    await saveModel(model, join(folder, "separable"));
    for (const copy of [
      await loadModel(join(folder, "separable")),
      (await modelOfSlim(await slimOf(model))).model,
      cloneModel(model),
    ]) {
      assert.deepEqual(copy.getWeights()[0].shape, [3, 3, 2, 4]);
      const x = tf.randomNormal([2, 5, 5, 2], 0, 1, "float32", 3);
      assert.deepEqual((copy.predict(x) as tf.Tensor).dataSync(), (model.predict(x) as tf.Tensor).dataSync());
    }
  });

  it("a model of one's own in several weight files, as TensorFlow's converter writes them, loads", async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ name: "fc", units: 2, inputShape: [3] })] });
    await saveModel(model, folder);
    const path = join(folder, "model.json");
    const json = JSON.parse(await readFile(path, "utf8"));
    const bytes = await readFile(join(folder, "weights.bin"));
    delete json.userDefinedMetadata;
    json.weightsManifest[0].paths = ["group1-shard1of2.bin", "group1-shard2of2.bin"];
    await writeFile(join(folder, "group1-shard1of2.bin"), bytes.subarray(0, 10));
    await writeFile(join(folder, "group1-shard2of2.bin"), bytes.subarray(10));
    await writeFile(path, JSON.stringify(json));
    assert.deepEqual(weightsOf(await loadModel(folder)), weightsOf(model));
  });

  it("what is no model, or not whole, is an error that names the file", async () => {
    await assert.rejects(loadModel(folder), /there is no model at .*model\.json: ENOENT/);
    const path = join(folder, "model.json");
    await writeFile(path, "{");
    await assert.rejects(loadModel(folder), /model\.json is not JSON/);
    await writeFile(path, "{}");
    await assert.rejects(loadModel(folder), /model\.json is not a TensorFlow\.js layers model/);
    const graphModel = { format: "graph-model", modelTopology: {}, weightsManifest: [] };
    await writeFile(path, JSON.stringify(graphModel));
    await assert.rejects(loadModel(folder), /model\.json: has no list of operators/);

    await saveModel(lenet5(1), folder);
    const bin = join(folder, "weights.bin");
    const bytes = await readFile(bin);
    bytes[99] ^= 1;
    await writeFile(bin, bytes);
    await assert.rejects(
      loadModel(folder),
      /weights beside .*model\.json are not the ones that were saved with it/,
    );
    await truncate(bin, 1000);
    await assert.rejects(loadModel(folder), /must be 1724320 bytes, but there are 1000/);
    await rm(bin);
    await assert.rejects(loadModel(folder), /needs "weights\.bin" beside it: ENOENT/);

    const json = JSON.parse(await readFile(path, "utf8"));
    json.weightsManifest[0].paths = ["../secret.bin"];
    await writeFile(path, JSON.stringify(json));
    await assert.rejects(loadModel(folder), /names "\.\.\/secret\.bin", which is not beside it/);
  });

  it("a weightsManifest or a topology of another form is refused in words, and weights that are no numbers", async () => {
    const path = join(folder, "model.json");
    await saveModel(
      tf.sequential({ layers: [tf.layers.dense({ name: "fc", units: 2, inputShape: [3] })] }),
      folder,
    );
    const good = await readFile(path, "utf8");
    type Json = { modelTopology: unknown; weightsManifest: Record<string, unknown>[] } & Record<
      string,
      unknown
    >;
    const kernel = ({ weightsManifest: [group] }: Json) => (group.weights as Record<string, unknown>[])[0];
    const cases: [change: (json: Json) => void, message: RegExp][] = [
      [(json) => json.weightsManifest.splice(0, 1, 7 as never), /weights must be a list, got undefined$/],
      [(json) => (json.weightsManifest[0].paths = "weights.bin"), /paths must be a list, got "weights.bin"$/],
      [(json) => (json.weightsManifest[0].paths = [3]), /paths must be names of files, got 3$/],
      [(json) => ((json.weightsManifest[0].weights as unknown[])[0] = null), /weights must have names/],
      [(json) => (kernel(json).name = {}), /weights must have names, got a Object$/],
      [(json) => (kernel(json).shape = 6), /"fc\/kernel" must have a shape of whole numbers, got 6$/],
      [(json) => (kernel(json).shape = [3, -2]), /"fc\/kernel" must have a shape of whole numbers/],
      [(json) => (kernel(json).dtype = undefined), /"fc\/kernel" must have a dtype, got undefined$/],
      [
        (json) => (kernel(json).dtype = "x".repeat(4000)),
        /weights of type "x{57}\.\.\.", which are not supported/,
      ],
      [(json) => (json.modelTopology = "a dense layer"), /modelTopology or weightsManifest is missing$/],
      [
        (json) => (json.modelTopology = { class_name: 5, config: 6 }),
        /is no model that TensorFlow.js can build/,
      ],
    ];
    for (const [change, message] of cases) {
      const json = JSON.parse(good);
      change(json);
      await writeFile(path, JSON.stringify(json));
      await assert.rejects(loadModel(folder), (error: Error) => {
        assert.match(error.message, message);
        assert.match(error.message, /model\.json/);
        assert.ok(error.name !== "TypeError" && error.message.length < 600, error.message);
        return true;
      });
    }
    const json = JSON.parse(good);
    delete json.userDefinedMetadata;
    await writeFile(path, JSON.stringify(json));
    const bytes = await readFile(join(folder, "weights.bin"));
    bytes.writeFloatLE(Number.NaN, 4);
    await writeFile(join(folder, "weights.bin"), bytes);
    const { numTensors } = tf.memory();
    await assert.rejects(
      loadModel(folder),
      /cannot be used: weights of "fc\/kernel" must be finite, got NaN at index 1/,
    );
    assert.equal(tf.memory().numTensors, numTensors);
  });

  it("a refused model takes nothing from one that is loaded beside it", async () => {
    const [left, right] = [join(folder, "left"), join(folder, "right")];
    for (const place of [left, right]) await saveModel(lenet5(1), place);
    const file = join(left, "model.json");
    const text = await readFile(file, "utf8");
    await writeFile(file, text.replace(/"kernel_size":\[5,5\]/, '"kernel_size":[3,3]'));
    const results = await Promise.allSettled([left, right, left, right].map(loadModel));
    assert.deepEqual(
      results.map(({ status }) => status),
      ["rejected", "fulfilled", "rejected", "fulfilled"],
    );
    for (const result of results)
      if (result.status === "fulfilled") assert.deepEqual(weightsOf(result.value), weightsOf(lenet5(1)));
  });

  it("a graph whose weights do not fit leaves nothing behind", () => {
    const graph = graphOf(lenet5(1));
    const nodes = graph.nodes.map((node) => {
      const { bias } = node.weights;
      if (node.name !== "fc2") return node;
      return { ...node, weights: { ...node.weights, bias: { ...bias, values: new Float32Array(3) } } };
    });
    const { numTensors } = tf.memory();
    assert.throws(() => modelOf({ ...graph, nodes }), /bias of fc2 must have 10 elements, got 3/);
    assert.equal(tf.memory().numTensors, numTensors);
  });

  it("a model that is refused leaves nothing behind, however large it says it is", async () => {
    const path = join(folder, "huge");
    await saveModel(lenet5(1), path);
    const file = join(path, "model.json");
    const good = await readFile(file, "utf8");
    const broken: [from: RegExp, to: string, error: RegExp][] = [
      [
        /"filters":20/,
        '"filters":4194304',
        /model.json has weights "conv1\/kernel" of 5 x 5 x 1 x 20, but conv1 has 4194304 outputs/,
      ],
      [/"units":500/, '"units":499', /weights "fc1\/kernel" of 800 x 500, but fc1 has 499 outputs/],
      // Nothing but the shapes tells: TensorFlow.js refuses after it has built the model.
      [/"kernel_size":\[5,5\]/, '"kernel_size":[3,3]', /Shape mismatch|not compatible/],
      [/"name":"fc1"/, '"name":"other"', /model.json has no weights for other/],
    ];
    const { numTensors } = tf.memory();
    for (let again = 0; again < 3; again++)
      for (const [from, to, error] of broken) {
        const changed = good.replace(from, to);
        assert.notEqual(changed, good);
        await writeFile(file, changed);
        await assert.rejects(loadModel(path), error);
        assert.equal(
          tf.memory().numTensors,
          numTensors,
          `${tf.memory().numTensors} and ${numTensors} tensors after ${to}`,
        );
      }
    await writeFile(file, good);
    (await loadModel(path)).dispose();
    assert.equal(tf.memory().numTensors, numTensors);
  });
});
