import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { loadDataset, type Split, subset } from "../../lib/datasets/index.ts";
import {
  combineTeachers,
  distill,
  distillationLoss,
  selfDistill,
  softmaxAt,
} from "../../lib/distillation/index.ts";
import { evaluate, loadPretrained, predict, tf, train, useBackend } from "../../lib/nn/index.ts";
import { packageRoot } from "../../lib/util/files.ts";

const fixture = JSON.parse(readFileSync(join(packageRoot, "test/distillation/fixtures/loss.json"), "utf8"));
const { student, teacher, second, labels, classes, temperature, mixing } = fixture;
const closeTo = (a: number, b: number, tolerance: number) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} and ${b} differ by more than ${tolerance}`);

describe("3.4 the distillation loss", () => {
  it("is SciPy's, and so is its gradient", () => {
    const loss = distillationLoss(student, teacher, labels, classes, { temperature, mixing });
    closeTo(loss.hard, fixture.hard, 1e-6);
    closeTo(loss.soft, fixture.soft, 1e-6);
    closeTo(loss.total, fixture.total, 1e-5);
    loss.gradient.forEach((g, i) => {
      closeTo(g, fixture.gradient[i], 1e-6);
    });
  });

  it("is zero in its soft part for a student that equals its teacher", () => {
    const loss = distillationLoss(teacher, teacher, labels, classes, { mixing: 1 });
    closeTo(loss.total, 0, 1e-6);
    closeTo(Math.max(...loss.gradient.map(Math.abs)), 0, 1e-6);
  });

  it("softens with temperature and survives huge logits", () => {
    assert.deepEqual([...softmaxAt([1e4, -1e4], 2)], [1, 0]);
    closeTo(softmaxAt([2, 0], 2, 2)[0], Math.E / (Math.E + 1), 1e-7);
    closeTo(softmaxAt([2, 0], 2, 1e6)[0], 0.5, 1e-6);
    // Student and teacher as sure as can be, of different things: KL = 2000 nats, though e^-2000 is 0.
    closeTo(distillationLoss([0, 2000], [2000, 0], [0], 2, { temperature: 1, mixing: 1 }).soft, 2000, 1e-9);
  });

  it("means several teachers' probabilities", () => {
    const combined = combineTeachers([teacher, second], classes, { temperature, weights: [3, 1] });
    softmaxAt(combined, classes, temperature).forEach((p, i) => {
      closeTo(p, fixture.combined[i], 1e-6);
    });
  });

  it("names what is wrong", () => {
    assert.throws(() => softmaxAt([1, 2], 2, 0), /temperature must be a number above 0, got 0/);
    assert.throws(() => softmaxAt([1, 2, 3], 2), /examples in logits must be a whole number/);
    assert.throws(
      () => distillationLoss([1, 2], [1, 2], [0], 2, { mixing: 2 }),
      /mixing must be a number from 0 to 1, got 2/,
    );
    assert.throws(
      () => distillationLoss([1, 2], [1, 2], [2], 2),
      /labels\[0\] must be a whole number from 0 to 1, got 2/,
    );
    assert.throws(() => distillationLoss([1, 2], [1], [0], 2), /teacher must have 2 elements, got 1/);
    assert.throws(() => combineTeachers([], 2), /number of teachers/);
    assert.throws(() => combineTeachers([[1, 2]], 2, { weights: [0] }), /weights must not all be 0/);
  });
});

describe("3.4 distillation of models", () => {
  let data: Split;
  let test: Split;
  let big: tf.LayersModel;
  const small = (seed: number, units = 12) =>
    tf.sequential({
      layers: [
        tf.layers.dense({
          name: "h",
          units,
          activation: "relu",
          inputShape: [784],
          kernelInitializer: tf.initializers.glorotUniform({ seed }),
        }),
        tf.layers.dense({
          name: "out",
          units: 10,
          activation: "softmax",
          kernelInitializer: tf.initializers.glorotUniform({ seed: seed + 1 }),
        }),
      ],
    });

  before(async () => {
    await useBackend();
    const digits = await loadDataset("mnist-10k");
    data = subset(digits.train, 600, 1);
    test = subset(digits.test, 500, 1);
    big = await loadPretrained("lenet-300-100");
  });
  after(() => big.dispose());

  it("has the gradient of the closed form: one step of plain SGD moves the last bias as loss.ts says", async () => {
    const model = small(1);
    const few = subset(data, 32, 2);
    const before = await model.getWeights()[3].data();
    const [z, t] = [(await predict(model, few)).logits, (await predict(big, few)).logits];
    const { gradient, total } = distillationLoss(z, t, few.labels, 10, { temperature: 3, mixing: 0.6 });
    const history = await distill(model, big, few, {
      temperature: 3,
      mixing: 0.6,
      epochs: 1,
      batchSize: 32,
      optimizer: "sgd",
      learningRate: 0.5,
    });
    closeTo(history.epochs[0].loss, total, 1e-4 * total);
    const moved = await model.getWeights()[3].data();
    for (let j = 0; j < 10; j++) {
      let sum = 0;
      for (let i = 0; i < 32; i++) sum += gradient[i * 10 + j];
      closeTo(moved[j] - before[j], -0.5 * sum, 1e-4);
    }
    model.dispose();
  });

  it("teaches a student without any label, and leaves no tensor behind", async () => {
    const model = small(3);
    const unlabelled = { ...data, labels: new Uint8Array(data.count) };
    const tensors = tf.memory().numTensors;
    await distill(model, big, unlabelled, { mixing: 1, epochs: 8, learningRate: 0.003, seed: 2 });
    assert.equal(tf.memory().numTensors, tensors);
    const { accuracy } = await evaluate(model, test);
    assert.ok(accuracy > 0.75, `${accuracy}`);
    model.dispose();
  });

  it("follows hints through a linear map of another size, from several teachers", async () => {
    const second = small(5, 40);
    await train(second, data, { epochs: 5, learningRate: 0.003 });
    const hinted = small(7);
    const tensors = tf.memory().numTensors;
    const history = await distill(hinted, [big, second], data, {
      epochs: 6,
      learningRate: 0.003,
      teacherWeights: [2, 1],
      hints: [
        { teacherLayer: "fc1", studentLayer: "h" },
        { teacherLayer: "h", studentLayer: "h", teacher: 1, weight: 0.5 },
      ],
    });
    assert.equal(tf.memory().numTensors, tensors);
    const [first, last] = [history.epochs[0].loss, history.epochs.at(-1)!.loss];
    assert.ok(last < 0.75 * first, `${first} to ${last}`);
    assert.ok((await evaluate(hinted, test)).accuracy > 0.75);
    second.dispose();
    hinted.dispose();
  });

  it("validates with all units even where hints make the forward pass their own", async () => {
    const student = tf.sequential({
      layers: [
        tf.layers.dense({ name: "h", units: 20, activation: "relu", inputShape: [784] }),
        tf.layers.dropout({ rate: 0.5 }),
        tf.layers.dense({ name: "out", units: 10 }),
      ],
    });
    const few = subset(data, 64, 3);
    const { epochs } = await distill(student, big, few, {
      epochs: 1,
      validation: test,
      hints: [{ teacherLayer: "fc1", studentLayer: "h" }],
    });
    assert.deepEqual(epochs[0].validation, await evaluate(student, test));
    student.dispose();
  });

  it("asks the teacher anew where images are moved, and distills into new students of the same kind", async () => {
    const moved = small(9);
    await distill(moved, big, data, { epochs: 10, shift: 1, learningRate: 0.005 });
    const { accuracy } = await evaluate(moved, test);
    assert.ok(accuracy > 0.6, `${accuracy}`);
    const born = await selfDistill(moved, (generation) => small(20 + generation), data, {
      generations: 2,
      epochs: 8,
      learningRate: 0.005,
    });
    assert.equal(born.length, 2);
    assert.ok((await evaluate(born[1], test)).accuracy > 0.6);
    for (const model of [moved, ...born]) model.dispose();
  });

  it("names a layer that is not there and teachers that know other classes", async () => {
    const model = small(11);
    const other = tf.sequential({
      layers: [tf.layers.dense({ units: 3, inputShape: [784], activation: "softmax" })],
    });
    await assert.rejects(
      distill(model, big, data, { hints: [{ teacherLayer: "fc9", studentLayer: "h" }] }),
      /hint.teacherLayer must be a layer of lenet-300-100 \(.*fc1.*\), got "fc9"/,
    );
    await assert.rejects(distill(model, other, data), /must have 10 classes as the student has, got 3/);
    await assert.rejects(distill(model, big, data, { temperature: 0 }), /temperature must be/);
    await assert.rejects(distill(model, [], data), /number of teachers must be/);
    model.dispose();
    other.dispose();
  });
});
