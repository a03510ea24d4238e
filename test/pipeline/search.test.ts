import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadPretrained, type tf, useBackend } from "slimlab/nn";
import { labelOf, type PipelineData, runRecipe, type Space, search, type Trial } from "slimlab/pipeline";
import { smallData } from "./fixture.ts";

const space: Space = {
  steps: [
    { technique: "pruneWeights", sparsity: { from: 0.3, to: 0.95 }, optional: true },
    { technique: "quantize", bits: { oneOf: [1, 2, 3, 4, 8] }, optional: true },
    { technique: "pruneNeurons", sparsity: { from: 0.1, to: 0.5, step: 0.1 }, optional: true },
  ],
  order: "any",
  last: [{ technique: "fineTune", epochs: 1, learningRate: { from: 1e-4, to: 1e-2, log: true } }],
};

const childList = `/proc/${process.pid}/task/${process.pid}/children`;

const outcome = ({ trial, label, error, rows }: Trial) => ({
  trial,
  label,
  error,
  bytes: rows.at(-1)?.bytes,
  accuracy: rows.at(-1)?.accuracy,
});

describe("2.3 pipeline/search: orders and parameters", () => {
  let data: PipelineData;
  let model: tf.LayersModel;
  let folder: string;
  before(async () => {
    await useBackend("wasm");
    data = await smallData(200, 200);
    model = await loadPretrained("lenet-300-100");
    folder = await mkdtemp(join(tmpdir(), "slimlab-"));
  });
  after(async () => {
    model.dispose();
    await rm(folder, { recursive: true });
  });

  it("finds the same recipes and numbers with one worker as with two; the front beats all others", async () => {
    const seen: number[] = [];
    const two = await search(model, data, space, {
      trials: 8,
      explore: 5,
      seed: 3,
      workers: 2,
      cache: join(folder, "two"),
      onTrial: ({ trial }) => seen.push(trial),
    });
    const one = await search(model, data, space, {
      trials: 8,
      explore: 5,
      seed: 3,
      workers: 1,
      cache: join(folder, "one"),
    });
    assert.deepEqual(two.trials.map(outcome), one.trials.map(outcome));
    assert.deepEqual(
      seen.sort((a, b) => a - b),
      Array.from({ length: 8 }, (_, i) => i + 1),
    );
    assert.equal(new Set(two.trials.map(({ label }) => label)).size, 8, "no recipe twice");
    const good = two.rows.filter(({ error }) => error === "");
    const front = two.rows.filter((row) => row.front);
    assert.ok(front.length >= 2);
    for (const row of good) {
      const beaten = front.some(({ bytes, accuracy }) => bytes <= row.bytes && accuracy >= row.accuracy);
      assert.ok(beaten, `trial ${row.trial} is neither on the front nor beaten by it`);
    }
    // Orders differ, and steps are left out.
    assert.ok(new Set(two.trials.map(({ recipe }) => recipe.map((step) => step.technique).join())).size > 3);
    assert.deepEqual((await two.toDataFrame()).shape, [8, Object.keys(two.rows[0]).length]);
    // What a trial says is what its recipe gives here.
    const best = two.front.at(-1)!;
    const again = await runRecipe(model, data, best.recipe, { cache: false, seed: 3 });
    assert.equal(again.rows.at(-1)!.bytes, best.rows.at(-1)!.bytes);
    assert.equal(again.rows.at(-1)!.accuracy, best.rows.at(-1)!.accuracy);
  });

  it("a recipe that cannot be carried out is a trial with an error", async () => {
    const steps = [
      { technique: "pruneWeights", sparsity: 0.5 },
      { technique: "quantize", bits: { oneOf: [1, 4] } },
    ] as const;
    const { trials, rows } = await search(model, data, { steps }, { trials: 5, cache: false, workers: 1 });
    assert.equal(trials.length, 2, "the space has two recipes");
    assert.deepEqual(
      rows.map(({ error }) => error.slice(0, 59)).sort(),
      ["", "step 2 (quantize): bits must be at least 2 for fc1, which is"]
        .map((text) => text.slice(0, 59))
        .sort(),
    );
    assert.equal(rows.find(({ error }) => error)!.front, false);
  });

  it("ends in time, and at a signal", async () => {
    const none = await search(model, data, space, { trials: 50, seconds: 0, cache: false });
    assert.deepEqual(none.trials, []);
    const controller = new AbortController();
    await assert.rejects(
      search(model, data, space, {
        trials: 50,
        workers: 1,
        cache: false,
        signal: controller.signal,
        onTrial: () => controller.abort(new Error("that will do")),
      }),
      /that will do/,
    );
  });

  it("a worker that dies fails its trial only", async function () {
    // The list of a process's children is read where Linux keeps it.
    if (!existsSync(childList)) this.skip();
    const steps = [{ technique: "fineTune", epochs: { oneOf: [1, 2] } }] as const;
    const before = new Set(await children());
    const running = search(model, data, { steps }, { trials: 2, workers: 1, cache: false });
    let killed: number | undefined;
    while (killed === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      killed = (await children()).find((pid) => !before.has(pid));
    }
    process.kill(killed, "SIGKILL");
    const { trials } = await running;
    assert.deepEqual(
      trials.map(({ error }) => error ?? ""),
      ["the worker process ended with SIGKILL", ""],
    );
  });

  it("says what is wrong with a space", async () => {
    const rejects = (what: object, message: RegExp) =>
      assert.rejects(search(model, data, what as Space), message);
    await rejects({}, /a space must be an object with steps/);
    await rejects({ steps: [] }, /at least one step/);
    await rejects(
      { steps: [{ technique: "quantize", bits: { oneOf: [] } }] },
      /step 1 \(quantize\) of the space: oneOf/,
    );
    await rejects(
      { steps: [{ technique: "quantize", bits: { from: 4, to: 2 } }] },
      /to must be a number of at least 4/,
    );
    await rejects(
      { steps: [{ technique: "quantize", bits: { from: 2, to: 99 } }] },
      /step 1 \(quantize\): bits must/,
    );
    await rejects({ steps: [{ technique: "quantize", bits: 2 }], order: "none" }, /order must be one of/);
  });

  it("labels say what a recipe does", () => {
    assert.equal(
      labelOf([
        { technique: "pruneWeights", sparsity: { fc1: 0.9 } },
        { technique: "quantizeAutomatically", bits: [4, 8], bytes: 900 },
      ]),
      "pruneWeights (sparsity {fc1 0.9}) → quantizeAutomatically (bits [4, 8], bytes 900)",
    );
  });
});

/** Processes that this one has started. */
async function children(): Promise<number[]> {
  const text = await readFile(childList, "utf8");
  return text.split(" ").filter(Boolean).map(Number);
}
