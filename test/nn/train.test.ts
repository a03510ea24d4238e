import assert from "node:assert/strict";
import { loadDataset, type Split, subset } from "slimlab/datasets";
import {
  activationsOf,
  availableBackends,
  evaluate,
  gradientsOf,
  hessianDiagonalOf,
  type LossInputs,
  lenet5,
  lenet300,
  logitsOf,
  predict,
  setWeights,
  type TrainOptions,
  tf,
  train,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { shiftImages } from "../../lib/nn/batches.ts";
import { seeded } from "../../lib/util/random.ts";

describe("nn/train and nn/evaluate", () => {
  let data: Split;
  let test: Split;

  before(async () => {
    await useBackend("wasm");
    const mnist = await loadDataset("mnist-10k");
    data = subset(mnist.train, 512, 1);
    test = subset(mnist.test, 256, 1);
  });

  it("learns: LeNet-5 and LeNet-300-100 from 512 digits", async () => {
    for (const build of [lenet5, lenet300]) {
      const model = build(1);
      const { epochs } = await train(model, data, { epochs: 4, batchSize: 32, validation: test });
      assert.equal(epochs.length, 4);
      assert.ok(epochs[3].loss < epochs[0].loss / 2);
      assert.ok(epochs[3].validation!.accuracy > 0.75, `${model.name}: ${epochs[3].validation!.accuracy}`);
      assert.deepEqual(await evaluate(model, test), epochs[3].validation);
    }
  });

  it("the same seed gives the same numbers, another seed others", async () => {
    const run = async (seed: number) => {
      const model = lenet300(seed);
      await train(model, data, { epochs: 1, seed, shift: 1 });
      return weightsOf(model);
    };
    const first = await run(7);
    assert.deepEqual(await run(7), first);
    assert.notDeepEqual(await run(8), first);
  });

  it("the same seed drops the same, other steps drop other units, and a layer keeps its own seed", async () => {
    const run = async (seed: number, rate = 0.001) => {
      const model = tf.sequential({
        layers: [
          tf.layers.dense({
            units: 50,
            activation: "relu",
            inputShape: [784],
            kernelInitializer: tf.initializers.glorotUniform({ seed: 3 }),
          }),
          tf.layers.dropout({ name: "drop", rate: 0.5, seed: 77 }),
          tf.layers.dense({ units: 10, kernelInitializer: tf.initializers.glorotUniform({ seed: 4 }) }),
        ],
      });
      const losses: number[] = [];
      await train(model, data, {
        epochs: 2,
        batchSize: data.count,
        seed,
        learningRate: rate,
        onBatch: ({ loss }) => losses.push(loss),
      });
      assert.equal(model.getLayer("drop").getConfig().seed, 77);
      return losses;
    };
    const first = await run(7);
    assert.deepEqual(await run(7), first);
    assert.notDeepEqual(await run(8), first);
    // Nothing is learnt, all images are in one batch: only what is dropped can make the second loss another one.
    const [one, two] = await run(7, 0);
    assert.ok(Math.abs(one - two) > 1e-4, `${one} ${two}`);
  });

  it("the same seed gives the same losses within 1e-3 on every backend here", async () => {
    const runs: number[][] = [];
    for (const backend of await availableBackends()) {
      await useBackend(backend);
      const { epochs } = await train(lenet300(1), data, { epochs: 2, seed: 3, validation: test });
      runs.push(epochs.flatMap(({ loss, validation }) => [loss, validation!.loss]));
    }
    for (const run of runs)
      for (const [i, loss] of run.entries())
        assert.ok(Math.abs(loss - runs[0][i]) < 1e-3, `${loss}, ${runs[0][i]}`);
    await useBackend("wasm");
  });

  for (const optimizer of ["adam", "momentum", "sgd"] as const) {
    it(`masked weights are exactly 0 after every step of ${optimizer}`, async () => {
      const model = lenet300(1);
      // Momentum and moments from a first training must not leak in, so each training starts its own.
      await train(model, data, { epochs: 1, optimizer });
      const masks = Object.fromEntries(
        Object.entries(weightsOf(model)).map(([name, weights]) => {
          const random = seeded(weights.length);
          return [name, Uint8Array.from(weights, () => (random() < 0.1 ? 1 : 0))];
        }),
      );
      let steps = 0;
      const before = weightsOf(model);
      await train(model, data, {
        epochs: 2,
        optimizer,
        masks,
        onBatch: () => {
          steps++;
          const weights = weightsOf(model);
          for (const [name, mask] of Object.entries(masks))
            assert.ok(
              weights[name].every((weight, i) => mask[i] === 1 || weight === 0),
              `${name}, step ${steps}`,
            );
        },
      });
      assert.equal(steps, 16);
      const after = weightsOf(model);
      const moved = after.fc1.filter((weight, i) => masks.fc1[i] === 1 && weight !== before.fc1[i]).length;
      assert.ok(moved > 1000, "kept weights learn");
    });
  }

  it("a NaN under a mask is pruned like any other weight", async () => {
    const model = lenet300(1);
    const { fc3 } = weightsOf(model);
    const mask = new Uint8Array(fc3.length).fill(1);
    fc3[5] = Number.NaN;
    mask[5] = 0;
    setWeights(model, { fc3 });
    await train(model, data, { epochs: 1, masks: { fc3: mask } });
    assert.equal(weightsOf(model).fc3[5], 0);
  });

  it("masks of the wrong shape, name or values are errors", async () => {
    const model = lenet300(1);
    const wrong = (masks: TrainOptions["masks"]) => train(model, data, { epochs: 1, masks });
    await assert.rejects(
      wrong({ fc1: new Uint8Array(10) }),
      /mask of fc1 \(784 x 300\) must have 235200 elements, got 10/,
    );
    await assert.rejects(
      wrong({ fc9: new Uint8Array(10) }),
      /masks name "fc9", but lenet-300-100 has fc1, fc2, fc3/,
    );
    const twos = new Uint8Array(1000).fill(1);
    twos[7] = 2;
    await assert.rejects(wrong({ fc3: twos }), /mask of fc3 must hold 0 and 1, got 2 at index 7/);
  });

  it("divergence is an error that says where and what to do", async () => {
    await assert.rejects(
      train(lenet300(1), data, { optimizer: "sgd", learningRate: 1e22, epochs: 3 }),
      /training diverged in epoch 1: the loss is (NaN|Infinity) in batch \d+. Lower learningRate \(1e\+22\)/,
    );
    const model = lenet300(1);
    const { fc1 } = weightsOf(model);
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
      fc1[5] = wrong;
      setWeights(model, { fc1 });
      const message = new RegExp(`weights of fc1/kernel must be finite, got ${wrong} at index 5`);
      await assert.rejects(train(model, data), message);
      await assert.rejects(evaluate(model, test), message);
    }
  });

  it("early stopping ends after `patience` epochs without improvement, with the best weights", async () => {
    const model = lenet300(1);
    // Two good epochs, then ever worse ones.
    const rate = (done: number) => (done < 0.2 ? 0.001 : 0.3);
    const history = await train(model, data, {
      epochs: 10,
      learningRate: rate,
      validation: test,
      earlyStopping: { patience: 2 },
    });
    assert.equal(history.stoppedEarly, true);
    assert.equal(history.bestEpoch, 2);
    assert.equal(history.epochs.length, 4);
    const { loss } = await evaluate(model, test);
    assert.equal(loss, history.epochs[1].validation!.loss);
    await assert.rejects(
      train(model, data, { earlyStopping: { patience: 2 } }),
      /earlyStopping needs a validation split/,
    );
  });

  it("a signal ends training between two batches", async () => {
    const controller = new AbortController();
    let batches = 0;
    const onBatch = () => {
      if (++batches === 3) controller.abort();
    };
    await assert.rejects(train(lenet300(1), data, { onBatch, signal: controller.signal }), {
      name: "AbortError",
    });
    assert.equal(batches, 3);
  });

  it("own forward, loss and gradients: a frozen layer and a loss with weight decay", async () => {
    const model = lenet300(1);
    const before = weightsOf(model);
    const loss = ({ logits, labels, x, indices }: LossInputs) => {
      assert.equal(logits.shape[0], indices.length);
      assert.equal(x.shape[0], labels.shape[0]);
      return tf.sum(tf.square(logits)) as tf.Scalar;
    };
    const onGradients = (gradients: tf.NamedTensorMap) =>
      Object.fromEntries(
        Object.entries(gradients).map(([name, g]) => [name, name.includes("fc1") ? tf.zerosLike(g) : g]),
      );
    let calls = 0;
    const forward = (x: tf.Tensor) => {
      calls++;
      return logitsOf(model, x);
    };
    const { epochs } = await train(model, data, { epochs: 3, loss, onGradients, forward });
    assert.ok(epochs[2].loss < epochs[0].loss / 2, "the logits shrink");
    assert.equal(calls, 24);
    assert.deepEqual(weightsOf(model).fc1, before.fc1);
  });

  it("leaves no tensor behind, also after an error", async () => {
    const model = lenet5(1);
    const masks = { conv1: new Uint8Array(500).fill(1) };
    const options = {
      epochs: 1,
      validation: test,
      earlyStopping: { patience: 1 },
      masks,
      optimizer: "momentum" as const,
    };
    await train(model, data, options);
    const { numTensors } = tf.memory();
    await train(model, data, options);
    assert.equal(tf.memory().numTensors, numTensors);
    await assert.rejects(train(model, data, { ...options, signal: AbortSignal.abort() }));
    await predict(model, test);
    assert.equal(tf.memory().numTensors, numTensors);
  });

  it("predict agrees with evaluate; probabilities add up to 1", async () => {
    const model = lenet300(2);
    const { correct, loss } = await evaluate(model, test, { batchSize: 100 });
    const { classes, probabilities, logits } = await predict(model, test, { batchSize: 37 });
    assert.equal(classes.filter((c, i) => c === test.labels[i]).length, correct);
    let sum = 0;
    for (let i = 0; i < test.count; i++) {
      const row = probabilities.subarray(i * 10, i * 10 + 10);
      assert.ok(Math.abs(row.reduce((a, b) => a + b, 0) - 1) < 1e-6);
      sum -= Math.log(row[test.labels[i]]);
    }
    assert.ok(Math.abs(sum / test.count - loss) < 1e-5);
    assert.equal(logits.length, 2560);
  });

  it("logits are the same whether a model ends in Dense with softmax, in a softmax layer, or in neither", async () => {
    const endings = [
      [tf.layers.dense({ units: 3, inputShape: [4], activation: "softmax" })],
      [tf.layers.dense({ units: 3, inputShape: [4] }), tf.layers.softmax()],
      [tf.layers.dense({ units: 3, inputShape: [4] }), tf.layers.activation({ activation: "softmax" })],
      [tf.layers.dense({ units: 3, inputShape: [4] })],
    ];
    const kernel = tf.randomNormal([4, 3], 0, 1, "float32", 1);
    const x = tf.randomNormal([5, 4], 0, 1, "float32", 2);
    const expected = tf.matMul(x, kernel).dataSync();
    for (const layers of endings) {
      const model = tf.sequential({ layers });
      layers[0].setWeights([kernel, tf.zeros([3])]);
      assert.deepEqual(logitsOf(model, x).dataSync(), expected);
      const sums = (model.predict(x) as tf.Tensor).sum(-1).dataSync();
      if (layers.length > 1)
        assert.ok(
          sums.every((sum) => Math.abs(sum - 1) < 1e-6),
          "softmax is back",
        );
    }
  });

  it("moving images keeps what stays inside", () => {
    const split: Split = {
      images: Uint8Array.from({ length: 18 }, (_, i) => i + 1),
      labels: Uint8Array.of(3, 4),
      count: 2,
      height: 3,
      width: 3,
      channels: 1,
    };
    // The generator's numbers choose 1 down and 1 left for the second image.
    const numbers = [0.99, 0.0];
    const { images, labels, count } = shiftImages(split, [1], 1, () => numbers.shift()!);
    assert.deepEqual([...images], [0, 0, 0, 11, 12, 0, 14, 15, 0]);
    assert.deepEqual([...labels, count], [4, 1]);
  });

  it("a label that is no class is an error wherever labels count", async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ name: "out", units: 5, inputShape: [784] })] });
    const wrong = { ...subset(data, 4, 1), labels: Uint8Array.of(0, 4, 5, 1) };
    const message = /has 5 classes, got label 5 at image 2/;
    await assert.rejects(train(model, wrong), message);
    await assert.rejects(evaluate(model, wrong), message);
    await assert.rejects(gradientsOf(model, wrong), message);
    await assert.rejects(hessianDiagonalOf(model, wrong), message);
    await assert.rejects(activationsOf(model, wrong, ["out"], { gradients: true }), message);
    assert.equal((await predict(model, wrong)).classes.length, 4);
    assert.equal((await activationsOf(model, wrong, ["out"])).out.values.length, 20);
    model.dispose();
  });

  it("options and data out of range are errors in plain words", async () => {
    const model = lenet300(1);
    const fails = (options: TrainOptions, message: RegExp) =>
      assert.rejects(train(model, data, options), message);
    await fails({ epochs: -1 }, /epochs must be a whole number of at least 0, got -1/);
    await fails({ batchSize: 0 }, /batchSize must be a whole number of at least 1, got 0/);
    await fails({ learningRate: Number.NaN }, /learningRate must be a number of at least 0, got NaN/);
    await fails(
      { optimizer: "magic" as never },
      /optimizer must be one of "adam", "momentum", "sgd", got "magic"/,
    );
    await assert.rejects(train(model, { ...data, height: 14 }), /takes images of 784, got 14 x 28 x 1/);
    await assert.rejects(
      evaluate(model, { ...data, count: 0, images: new Uint8Array(0), labels: new Uint8Array(0) }),
      /at least 1, got 0/,
    );
    await assert.rejects(evaluate(model, { ...data, count: 511 }), /must hold 400624 pixels and 511 labels/);
    const labels = data.labels.slice();
    labels[9] = 10;
    await assert.rejects(train(model, { ...data, labels }), /has 10 classes, got label 10 at image 9/);
  });
});
