// §2.3 The strong recipe's techniques in recipes: what each says, holds and leaves in the file.
import assert from "node:assert/strict";
import { loadPretrained, type tf, useBackend, weightsOf } from "../../lib/nn/index.ts";
import { checkRecipe, type Recipe, runRecipe } from "../../lib/pipeline/index.ts";
import { smallData } from "./fixture.ts";

describe("2.3 the strong recipe's techniques", function () {
  this.timeout(300_000);
  let model: tf.LayersModel;
  before(async () => {
    await useBackend("wasm");
    model = await loadPretrained("lenet-300-100");
  });
  after(() => model.dispose());

  it("prunes while training, folds, learns steps and rounds biases: each holds, and the file is what is measured", async () => {
    const data = await smallData(600, 300);
    const recipe: Recipe = [
      { technique: "pruneWhileTraining", sparsity: 0.95, epochs: 4, batchSize: 32, every: 5 },
      { technique: "foldDeadUnits" },
      { technique: "learnSteps", epochs: 2, most: 3, learningRate: 0.0005, teacher: "original" },
      { technique: "quantizeBiases", bits: 5 },
      { technique: "fineTune", epochs: 1, learningRate: 0.0001 },
    ];
    const result = await runRecipe(model, data, recipe, { cache: false });
    const [, pruned, folded, stepped, biased, tuned] = result.rows;
    assert.ok(Math.abs(pruned.sparsity - 0.95) < 1e-4, `${pruned.sparsity} pruned`);
    assert.match(pruned.note, /95.00 % pruned by fisherPerBit; held: 3 layers by masks/);
    assert.equal(folded.accuracy, pruned.accuracy, "folding changes nothing");
    assert.ok(folded.bytes <= pruned.bytes, `${folded.bytes} bytes after ${pruned.bytes}`);
    assert.match(folded.note, /dead: fc1 \d+, fc2 \d+/);
    assert.ok(stepped.bytes < folded.bytes / 3, `${stepped.bytes} bytes after ${folded.bytes}`);
    assert.match(stepped.note, /steps: fc1 .*; taught by original/);
    assert.ok(biased.bytes < stepped.bytes - 300, `${biased.bytes} bytes after ${stepped.bytes}`);
    const accuracies = result.rows.map(({ accuracy }) => accuracy);
    assert.ok(tuned.accuracy > 0.8, `accuracies ${accuracies.join(", ")}`);
    const { model: small, compression } = await result.load();
    // After fine-tuning: masks, levels and grids as before.
    for (const [name, w] of Object.entries(weightsOf(small))) {
      const { codes, scale } = compression.quantized[name];
      assert.ok(codes.every((code) => Math.abs(code) <= 7));
      w.forEach((value, i) => {
        assert.equal(value, Math.fround(codes[i] * scale[0]), `${name} ${i}`);
        if (compression.masks[name][i] === 0) assert.equal(value, 0);
      });
    }
    assert.deepEqual(Object.keys(compression.biases!), ["fc1", "fc2", "fc3"]);
    for (const { bits } of Object.values(compression.biases!)) assert.equal(bits, 5);
    small.dispose();
  });

  it("sorted units: the same network in a smaller file, whatever form its weights have", async () => {
    const data = await smallData(50, 300);
    const prune = {
      technique: "pruneWhileTraining",
      sparsity: 0.95,
      epochs: 2,
      batchSize: 10,
      every: 2,
    } as const;
    const forms: Recipe[] = [
      [],
      [
        { technique: "quantize", bits: 4, perChannel: false },
        { technique: "quantizeBiases", bits: 5 },
      ],
      [{ technique: "cluster", clusters: 8 }],
    ];
    for (const form of forms) {
      const result = await runRecipe(model, data, [prune, ...form, { technique: "sortUnits" }], {
        cache: false,
      });
      const [before, after] = result.rows.slice(-2);
      const name = form[0]?.technique ?? "floats";
      assert.equal(after.note, "sorted: fc1, fc2");
      assert.equal(after.accuracy, before.accuracy, name);
      assert.ok(Math.abs(after.loss - before.loss) < 1e-5, `${name}: loss ${before.loss} and ${after.loss}`);
      assert.ok(after.bytes < before.bytes, `${name}: ${after.bytes} bytes after ${before.bytes}`);
      const { model: sorted } = await result.load();
      const { fc1 } = weightsOf(sorted);
      const inputs = new Uint32Array(300);
      fc1.forEach((w, i) => {
        if (w !== 0) inputs[i % 300]++;
      });
      assert.deepEqual(
        [...inputs],
        [...inputs].sort((a, b) => b - a),
        name,
      );
      sorted.dispose();
    }
    await assert.rejects(
      runRecipe(model, data, [{ technique: "quantize", bits: 4 }, { technique: "sortUnits" }], {
        cache: false,
      }),
      /fc1 must have one scale for all units to be sorted/,
    );
  });

  it("units of convolutions are sorted too, and what reads them follows", async () => {
    const lenet = await loadPretrained("lenet-5");
    const data = await smallData(50, 100);
    const result = await runRecipe(
      lenet,
      data,
      [{ technique: "pruneWeights", sparsity: 0.9 }, { technique: "sortUnits" }],
      { cache: false },
    );
    const [, pruned, sorted] = result.rows;
    assert.equal(sorted.note, "sorted: conv1, conv2, fc1");
    assert.ok(Math.abs(sorted.loss - pruned.loss) < 1e-5, `loss ${pruned.loss} and ${sorted.loss}`);
    lenet.dispose();
  });

  it("magnitude and fisher prune to the same sparsity; by the bit more units die", async () => {
    const data = await smallData(400, 100);
    const live: Record<string, number> = {};
    for (const score of ["magnitude", "fisher", "fisherPerBit"] as const) {
      const result = await runRecipe(
        model,
        data,
        [{ technique: "pruneWhileTraining", sparsity: 0.98, epochs: 3, batchSize: 20, every: 4, score }],
        { cache: false },
      );
      assert.ok(Math.abs(result.rows[1].sparsity - 0.98) < 1e-4, `${score}: ${result.rows[1].sparsity}`);
      const { model: small } = await result.load();
      const { fc1 } = weightsOf(small);
      const fed = new Set(
        Array.from(fc1.keys())
          .filter((i) => fc1[i] !== 0)
          .map((i) => i % 300),
      );
      live[score] = fed.size;
      small.dispose();
    }
    assert.ok(live.fisherPerBit < live.fisher, `units with inputs: ${JSON.stringify(live)}`);
  });

  it("surgery takes grids of biases along", async () => {
    const data = await smallData(100, 100);
    const recipe: Recipe = [
      { technique: "quantizeBiases", bits: 4 },
      { technique: "pruneNeurons", sparsity: 0.5, images: 50 },
    ];
    const result = await runRecipe(model, data, recipe, { cache: false });
    const { model: small, compression } = await result.load();
    assert.deepEqual(compression.biases!.fc1.shape, [150]);
    assert.equal(compression.biases!.fc1.bits, 4);
    small.dispose();
  });

  it("says what is wrong", async () => {
    const data = await smallData(100, 100);
    const bad: [unknown, RegExp][] = [
      [{ technique: "pruneWhileTraining", epochs: 1 }, /sparsity is missing/],
      [
        { technique: "pruneWhileTraining", epochs: 1, sparsity: 0.5, score: "obd" },
        /score must be one of "magnitude", "fisher", "fisherPerBit"/,
      ],
      [{ technique: "learnSteps", epochs: 1, most: 0 }, /most must be a whole number from 1 to 127, got 0/],
      [{ technique: "learnSteps", epochs: 1, teacher: "vgg" }, /teacher must be one of "original"/],
      [{ technique: "quantizeBiases", bits: 1 }, /bits must be a whole number from 2 to 16, got 1/],
      [{ technique: "foldDeadUnits", layers: ["fc1"] }, /there is no field "layers"/],
    ];
    for (const [step, message] of bad) assert.throws(() => checkRecipe([step] as Recipe), message);
    const rejects = (recipe: Recipe, message: RegExp) =>
      assert.rejects(runRecipe(model, data, recipe, { cache: false }), message);
    await rejects(
      [
        { technique: "quantize", bits: 4 },
        { technique: "pruneWhileTraining", sparsity: 0.5, epochs: 1 },
      ],
      /step 2 \(pruneWhileTraining\): fc1 must be floats while it is pruned/,
    );
    await rejects(
      [{ technique: "pruneWhileTraining", sparsity: 0.5, epochs: 1, every: 1, optimizer: "sgd" }],
      /score must be magnitude without Adam/,
    );
    await rejects(
      [{ technique: "pruneWhileTraining", sparsity: 0.5, epochs: 1, every: 1000 }],
      /every must be at most the steps of training, got 1000/,
    );
    await rejects(
      [{ technique: "quantizeBiases", layers: ["fc9"] }],
      /layer with a bias must be one of "fc1"/,
    );
  });
});
