// The parts of the strong recipe on models: masks that change in training, tabulated teachers, learnt steps, dead units.
import assert from "node:assert/strict";
import { loadDataset, subset } from "slimlab/datasets";
import { distill, tabulateTeachers } from "slimlab/distillation";
import {
  biasesOf,
  cloneModel,
  foldDeadUnits,
  gradientsOf,
  LearnedSteps,
  lenet5,
  lenet300,
  loadPretrained,
  predict,
  type TrainingLook,
  tf,
  train,
  useBackend,
  weightsOf,
} from "slimlab/nn";
import { applyMasks, globalSparsity, magnitude } from "slimlab/pruning";
import { dequantize } from "slimlab/quantization";
import { setBiases, setWeights } from "../../lib/nn/index.ts";

describe("the strong recipe's parts", function () {
  this.timeout(240_000);
  before(() => useBackend("wasm"));
  const images = async (count: number) => subset((await loadDataset("mnist-10k")).train, count);

  it("training looks every so many steps, sees Adam's second moments, and keeps new masks at 0", async () => {
    const data = await images(200);
    const model = await loadPretrained("lenet-300-100");
    const looks: TrainingLook[] = [];
    let masks: Record<string, Uint8Array> = {};
    await train(model, data, {
      epochs: 2,
      batchSize: 20,
      remask: {
        every: 5,
        masksAt: (look) => {
          looks.push(look);
          const { weights } = look;
          masks = globalSparsity(
            { fc1: magnitude(weights.fc1), fc2: magnitude(weights.fc2) },
            0.2 * looks.length,
          );
          return masks;
        },
      },
    });
    assert.deepEqual(
      looks.map(({ done }) => done),
      [0.25, 0.5, 0.75, 1],
    );
    const after = weightsOf(model);
    for (const [name, mask] of Object.entries(masks)) {
      const revived = after[name].findIndex((w, i) => mask[i] === 0 && w !== 0);
      assert.equal(revived, -1, `${name} has ${after[name][revived]} at ${revived}`);
    }
    const { weights, secondMoments } = looks[0];
    assert.deepEqual(Object.keys(secondMoments!), ["fc1", "fc2", "fc3"]);
    assert.equal(secondMoments!.fc1.length, weights.fc1.length);
    // Pixels at the edge are 0 in every digit: no gradient ever came to their weights.
    assert.ok(secondMoments!.fc1.subarray(0, 300).every((v) => v === 0));
    assert.ok(secondMoments!.fc3.some((v) => v > 0) && secondMoments!.fc3.every((v) => v >= 0));
    model.dispose();
  });

  it("the second moments are the same from TensorFlow.js's own Adam", async () => {
    const data = await images(40);
    const seen: Record<string, TrainingLook> = {};
    for (const backend of ["wasm", "cpu"] as const) {
      await useBackend(backend);
      const model = tf.sequential({
        layers: [
          tf.layers.flatten({ inputShape: [28, 28, 1] }),
          tf.layers.dense({ name: "out", units: 10, activation: "softmax", kernelInitializer: "zeros" }),
        ],
      });
      await train(model, data, {
        epochs: 1,
        batchSize: 10,
        remask: {
          every: 4,
          masksAt: (look) => {
            seen[backend] = look;
            return undefined;
          },
        },
      });
      model.dispose();
    }
    await useBackend("wasm");
    const [wasm, cpu] = [seen.wasm, seen.cpu].map((look) => look.secondMoments!.out);
    const largest = Math.max(...cpu);
    assert.ok(largest > 0);
    for (let i = 0; i < cpu.length; i++)
      assert.ok(Math.abs(wasm[i] - cpu[i]) < 1e-3 * largest, `${wasm[i]} and ${cpu[i]} at ${i}`);
  });

  it("plain SGD has no second moments, and a look every 0 steps is none", async () => {
    const data = await images(20);
    const model = lenet300(1);
    let look: TrainingLook | undefined;
    const masksAt = (now: TrainingLook) => {
      look = now;
      return undefined;
    };
    await train(model, data, { epochs: 1, optimizer: "sgd", remask: { every: 1, masksAt } });
    assert.equal(look!.secondMoments, undefined);
    await assert.rejects(
      train(model, data, { remask: { every: 0, masksAt } }),
      /remask.every must be .* got 0/,
    );
    model.dispose();
  });

  it("a teacher's table says what the teacher says of each moved image: the same training", async () => {
    const data = await images(60);
    const teacher = await loadPretrained("lenet-5");
    const results = [];
    for (const tabulate of [true, false]) {
      const student = lenet300(7);
      await distill(student, teacher, data, { epochs: 2, shift: 1, batchSize: 16, seed: 3, tabulate });
      results.push(weightsOf(student).fc2);
      student.dispose();
    }
    let most = 0;
    for (let i = 0; i < results[0].length; i++)
      most = Math.max(most, Math.abs(results[0][i] - results[1][i]));
    // Batches of another size add in another order.
    assert.ok(most < 2e-4, `weights differ by up to ${most}`);
    teacher.dispose();
  });

  it("a table that was made before does as well, and one for other moves is refused", async () => {
    const data = await images(40);
    const teacher = await loadPretrained("lenet-300-100");
    const table = await tabulateTeachers([teacher], data, { shift: 1 });
    assert.equal(table.places.length, 9);
    const options = { epochs: 1, shift: 1, batchSize: 8, seed: 3 };
    const results = [];
    for (const extra of [{ table }, { tabulate: true }]) {
      const student = lenet300(7);
      await distill(student, teacher, data, { ...options, ...extra });
      results.push(weightsOf(student).fc2);
      student.dispose();
    }
    assert.deepEqual(results[0], results[1]);
    const student = lenet300(7);
    await assert.rejects(
      distill(student, teacher, data, { ...options, shift: 2, table }),
      /table.shift must be/,
    );
    await assert.rejects(
      distill(student, teacher, await images(41), { ...options, table }),
      /a place of the table must have 410 elements, got 400/,
    );
    for (const one of [teacher, student]) one.dispose();
  });

  it("dense layers computed by what their masks keep train as dense ones do, and are given back", async () => {
    const data = await images(120);
    const results = [];
    for (const sparse of [false, true]) {
      const model = await loadPretrained("lenet-300-100");
      const weights = weightsOf(model);
      // fc3 keeps too much for it, so both kinds are there.
      const masks = globalSparsity({ fc1: weights.fc1, fc2: weights.fc2 }, 0.95, { absolute: true });
      masks.fc3 = globalSparsity({ fc3: weights.fc3 }, 0.5, { absolute: true }).fc3;
      setWeights(model, applyMasks(weights, masks));
      let later = masks;
      await train(model, data, {
        ...{ epochs: 3, batchSize: 20, shift: 1, masks, sparse },
        remask: {
          every: 7,
          masksAt: (look) => {
            later = globalSparsity(look.weights, 0.9 + look.done / 20, { absolute: true, previous: later });
            return later;
          },
        },
      });
      assert.ok(model.layers.every((layer) => !Object.hasOwn(layer, "call")));
      results.push({ ...weightsOf(model), logits: (await predict(model, data)).logits });
      model.dispose();
    }
    for (const [name, values] of Object.entries(results[0])) {
      const other = results[1][name as keyof (typeof results)[1]];
      const most = values.reduce((max, value, i) => Math.max(max, Math.abs(value - other[i])), 0);
      assert.ok(most < 1e-4, `${name} differs by ${most}`);
    }
  });

  it("learnt steps: forwards the levels, backwards straight through, and the steps learn", async () => {
    const data = await images(120);
    const model = await loadPretrained("lenet-300-100");
    const masks = globalSparsity(weightsOf(model), 0.9, { absolute: true });
    setWeights(model, applyMasks(weightsOf(model), masks));
    const steps = new LearnedSteps(model, 4, { masks });
    const before = steps.variables.map((step) => step.dataSync()[0]);
    const float = (await predict(model, data)).logits;
    const seen = await steps.during(async () => (await predict(model, data)).logits);
    const codes = steps.quantized();
    // What is seen is what the codes say.
    const stepped = cloneModel(model);
    setWeights(stepped, Object.fromEntries(Object.entries(codes).map(([name, q]) => [name, dequantize(q)])));
    assert.deepEqual(seen, (await predict(stepped, data)).logits);
    assert.notDeepEqual(seen, float);
    // Straight through: the gradient at the levels, where a weight is kept and within them.
    const through = await steps.during(() => gradientsOf(model, data));
    const direct = await gradientsOf(stepped, data);
    const { fc2 } = weightsOf(model);
    const inside = fc2.findIndex((w, i) => masks.fc2[i] === 1 && Math.abs(w) < 4 * before[1]);
    assert.ok(
      Math.abs(through.fc2[inside] - direct.fc2[inside]) < 1e-6,
      `${through.fc2[inside]} and ${direct.fc2[inside]}`,
    );
    assert.equal(through.fc2[masks.fc2.indexOf(0)], 0);
    const histories = await steps.during(() =>
      train(model, data, { epochs: 6, masks, variables: steps.variables, learningRate: 0.002 }),
    );
    assert.ok(
      histories.epochs[5].loss < histories.epochs[0].loss,
      `${histories.epochs[5].loss} after ${histories.epochs[0].loss}`,
    );
    for (const [i, step] of steps.variables.entries())
      assert.notEqual(step.dataSync()[0], before[i], `step ${i}`);
    for (const [name, { codes: levels }] of Object.entries(steps.quantized()))
      for (const [i, level] of levels.entries()) assert.equal(level === 0, masks[name][i] === 0);
    steps.dispose();
    for (const one of [model, stepped]) one.dispose();
  });

  for (const [name, make, layers] of [
    ["LeNet-300-100", () => lenet300(3), ["fc1", "fc2"]],
    ["LeNet-5", () => lenet5(3), ["conv1", "conv2", "fc1"]],
  ] as const) {
    it(`dead units fold into the next biases without changing what ${name} computes`, async () => {
      const data = await images(30);
      const model = make();
      const weights = weightsOf(model);
      const masks = Object.fromEntries(
        Object.entries(weights).map(([layer, w]) => [layer, new Uint8Array(w.length).fill(1)]),
      );
      // Unit 1 of each layer gets nothing; unit 2 is read by nobody; biases say something.
      const biases = biasesOf(model);
      layers.forEach((layer, at) => {
        const size = biases[layer].length;
        biases[layer] = biases[layer].map((_, c) => 0.1 + c / size);
        for (let i = 1; i < weights[layer].length; i += size) masks[layer][i] = 0;
        const next = layers[at + 1] ?? Object.keys(weights).at(-1)!;
        const outputs = biases[next].length;
        for (let i = 0; i < weights[next].length; i++)
          if (Math.floor(i / outputs) % size === 2) masks[next][i] = 0;
      });
      setWeights(model, applyMasks(weights, masks));
      setBiases(model, biases);
      const before = (await predict(model, data)).logits;
      const folded = foldDeadUnits(model, masks);
      for (const layer of layers) assert.deepEqual(folded.dead[layer].toSorted(), [1, 2], layer);
      assert.deepEqual(folded.skipped, {});
      const after = (await predict(model, data)).logits;
      const most = before.reduce((max, value, i) => Math.max(max, Math.abs(value - after[i])), 0);
      const scale = before.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      assert.ok(most < 1e-5 * scale, `logits differ by ${most} of ${scale}`);
      for (const [layer, w] of Object.entries(weightsOf(model)))
        for (const [i, value] of w.entries())
          assert.ok(folded.masks[layer][i] === 1 || value === 0, `${layer} ${i}`);
      for (const layer of layers)
        assert.deepEqual([biasesOf(model)[layer][1], biasesOf(model)[layer][2]], [0, 0]);
      model.dispose();
    });
  }

  it("a unit that dies with the one behind it is found, and what cannot be folded is named", async () => {
    const model = lenet300(5);
    const weights = weightsOf(model);
    const masks = Object.fromEntries(
      Object.entries(weights).map(([layer, w]) => [layer, new Uint8Array(w.length).fill(1)]),
    );
    // Unit 4 of fc2 is read by nobody, and the only reader of unit 9 of fc1.
    masks.fc3.fill(0, 40, 50);
    for (let c = 0; c < 100; c++) if (c !== 4) masks.fc2[900 + c] = 0;
    setWeights(model, applyMasks(weights, masks));
    assert.deepEqual(foldDeadUnits(model, masks).dead, { fc1: [9], fc2: [4] });
    const input = tf.input({ shape: [6] });
    const a = tf.layers.dense({ name: "a", units: 4 }).apply(input);
    const one = tf.layers.dense({ name: "one", units: 3 }).apply(a);
    const two = tf.layers.dense({ name: "two", units: 3 }).apply(a);
    const sum = tf.layers.add().apply([one, two] as tf.SymbolicTensor[]) as tf.SymbolicTensor;
    const split = tf.model({
      inputs: input,
      outputs: tf.layers.dense({ name: "out", units: 2 }).apply(sum) as tf.SymbolicTensor,
    });
    const { dead, skipped } = foldDeadUnits(split, {});
    assert.deepEqual(dead, {});
    assert.match(skipped.a, /2 layers read it/);
    assert.ok(
      Object.values(skipped).some((why) => /one and two share their units/.test(why)),
      JSON.stringify(skipped),
    );
  });
});
