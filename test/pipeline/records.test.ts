// §4.3 The records: what a run writes, how it goes on and is compared, and the paper's table counted in real files.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { slimParts } from "../../lib/coding/index.ts";
import { loadDataset } from "../../lib/datasets/index.ts";
import {
  evaluate,
  loadPretrained,
  loadSlim,
  modelOfSlim,
  slimOf,
  useBackend,
  weightsOf,
} from "../../lib/nn/index.ts";
import {
  checkRecipe,
  compareResults,
  type Experiment,
  epochsOf,
  experimentNames,
  experiments,
  experimentWith,
  layerTable,
  loadRecord,
  meanAndSpread,
  publishedTables,
  type Recipe,
  type Results,
  readResults,
  recordFolder,
  reproduce,
  runRecipe,
  summaryOf,
} from "../../lib/pipeline/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { smallData } from "./fixture.ts";

/** A record without training, over in seconds. */
const quick: Experiment = {
  title: "a quick one",
  network: "lenet-300-100",
  data: ["mnist-10k"],
  start: { shipped: "lenet-300-100" },
  recipe: [
    { technique: "pruneWeights", sparsity: 0.8 },
    { technique: "cluster", clusters: 8 },
  ],
  reference: [{ technique: "fineTune", epochs: 0 }],
};

describe("4.3 the records", function () {
  this.timeout(300_000);
  let out: string;
  before(async () => {
    await useBackend("wasm");
    out = await mkdtemp(join(tmpdir(), "slimlab-records-"));
  });
  after(() => rm(out, { recursive: true }));

  it("every record can be read, and trains its reference for as many epochs as its file", () => {
    for (const name of experimentNames) {
      const { recipe, reference, start } = experiments[name];
      for (const one of [recipe, reference, "train" in start ? start.train : []]) checkRecipe(one);
      assert.ok(epochsOf(recipe) > 0, name);
      assert.equal(epochsOf(reference), epochsOf(recipe), name);
    }
    const rounds: Recipe = [
      { technique: "pruneIteratively", sparsity: 0.5, steps: 3, fineTune: { epochs: 2 } },
      { technique: "fineTune", epochs: 4 },
    ];
    assert.equal(epochsOf(rounds), 10);
  });

  it("keeps other shares and trains longer, file and reference alike, and refuses what cannot be set", () => {
    const name = "compact-lenet-300-100";
    assert.equal(experimentWith(name, {}), experiments[name]);
    const { title, recipe, reference } = experimentWith(name, { kept: 0.05, longer: 2 });
    assert.equal(title, `${experiments[name].title}, 5 % of the weights kept, 2 times the epochs`);
    const sparsities = (one: Recipe) => one.flatMap((step) => ("sparsity" in step ? [step.sparsity] : []));
    assert.deepEqual(sparsities(recipe), [0.9, 0.95]);
    assert.deepEqual(sparsities(experimentWith(name, { kept: 0.2 }).recipe), [0.8, 0.8]);
    assert.deepEqual(sparsities(experiments[name].recipe), [0.9, 0.9813], "the record stays as it is");
    assert.equal(epochsOf(recipe), 2 * epochsOf(experiments[name].recipe));
    assert.equal(epochsOf(reference), epochsOf(recipe));
    // Steps by their order have at least an epoch: 16, 80, 50, 100 and 4 at a tenth.
    assert.equal(epochsOf(experimentWith(name, { longer: 0.1 }).recipe), 2 + 8 + 5 + 10 + 1);
    for (const one of experimentNames.filter((other) => !other.startsWith("deep"))) {
      const set = experimentWith(one, { kept: 0.05, longer: 0.01 });
      checkRecipe(set.recipe);
      checkRecipe(set.reference);
    }
    assert.throws(() => experimentWith(name, { kept: 0 }), /kept must be above 0 and below 1, got 0/);
    assert.throws(() => experimentWith(name, { kept: Number.NaN }), /kept must be .* got NaN/);
    assert.throws(() => experimentWith(name, { longer: 0 }), /longer must be from 0.01 to 100, got 0/);
    assert.throws(
      () => experimentWith("deep-compression-lenet-5", { kept: 0.05 }),
      /settings of compact-lenet-300-100, .* not of deep-compression-lenet-5/,
    );
  });

  it("measures the file that it writes, goes on where it was stopped, and agrees with itself", async () => {
    const folder = join(out, "quick");
    const stop = new AbortController();
    const options = { seeds: [1, 2], out: folder, cache: false, experiment: quick } as const;
    const notes: string[] = [];
    await assert.rejects(
      reproduce("compact-lenet-300-100", {
        ...options,
        signal: stop.signal,
        onProgress: (_share, note) => {
          notes.push(note);
          if (note.startsWith("seed 2")) stop.abort();
        },
      }),
      /abort/i,
    );
    assert.ok(notes.includes("seed 1: the file"), notes.join(", "));
    assert.equal((await readResults(folder))!.runs.length, 1);
    const again: string[] = [];
    const shares: number[] = [];
    const results = await reproduce("compact-lenet-300-100", {
      ...options,
      onProgress: (share, note) => {
        again.push(note);
        shares.push(share);
      },
    });
    assert.ok(!again.includes("seed 1: the file"), "the first seed's file was there");
    assert.deepEqual(
      shares,
      shares.toSorted((a, b) => a - b),
    );
    assert.deepEqual(await readResults(folder), JSON.parse(JSON.stringify(results)));
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith(".slim")),
      ["seed-1.slim", "seed-2.slim"],
    );
    const { data, backend, runs } = results;
    assert.match(backend, /WASM/);
    assert.deepEqual([data.train, data.validation, data.test], [8000, 1000, 1000]);
    assert.match(data.sha256, /^[0-9a-f]{64}$/);
    // Independently: the file from the disk, on the same images.
    const { test } = await loadDataset("mnist-10k");
    for (const { seed, bytes, compressed, plain, reference, parts, ratio } of runs) {
      const path = join(folder, `seed-${seed}.slim`);
      assert.equal((await readFile(path)).length, bytes);
      assert.equal(
        parts.reduce((sum, part) => sum + part.bytes, 0),
        bytes,
      );
      const { model } = await loadSlim(path);
      assert.equal(1000 - (await evaluate(model, test)).correct, compressed.test.errors);
      assert.equal(ratio, (4 * model.countParams()) / bytes);
      model.dispose();
      assert.equal(plain.test.errors, seed === 1 ? 18 : 19, "what the manifests of the networks say");
      assert.deepEqual(reference, plain, "no epoch changes nothing");
    }
    assert.ok(compareResults(results, results).every(({ agrees }) => agrees));
    assert.deepEqual(
      summaryOf(results).map(({ network }) => network),
      ["compressed", "reference", "plain"],
    );
    // Another recipe is another work: nothing of the folder is taken for it.
    const other = { ...quick, recipe: quick.recipe.slice(0, 1) };
    const fresh = await reproduce("compact-lenet-300-100", {
      ...options,
      seeds: [1],
      experiment: other,
      reference: false,
    });
    assert.notEqual(fresh.runs[0].sha256, runs[0].sha256);
    assert.equal(fresh.runs[0].reference, undefined);
  });

  it("the paper's table is counted in the bytes of real files", async () => {
    const model = await loadPretrained("lenet-300-100");
    const data = await smallData(50, 50);
    const result = await runRecipe(model, data, quick.recipe, { cache: false });
    const { model: small, compression } = await result.load();
    const rows = await layerTable(small, compression);
    assert.deepEqual(
      rows.map(({ layer }) => layer),
      ["fc1", "fc2", "fc3", "total"],
    );
    const total = rows.at(-1)!;
    for (const [coding, bytes] of [
      ["packed", total.bytes],
      ["huffman", total.bytesCoded],
    ] as const) {
      const file = await slimOf(small, { ...compression, coding, version: 1 });
      assert.equal(file.length, bytes, "the whole file, biases and header too");
      const gaps = slimParts(file).find(
        ({ tensor, stream }) => tensor === "fc1/kernel" && stream === "gaps",
      )!;
      const bits = coding === "packed" ? rows[0].indexBits : rows[0].indexBitsCoded;
      const kept = weightsOf(small).fc1.filter((w) => w !== 0).length;
      assert.ok(Math.abs(bits - (8 * gaps.bytes) / kept) < 1e-9);
    }
    assert.ok(Math.abs(total.kept - 0.2) < 1e-3, `${total.kept} kept`);
    // Eight values and the pruned one's own: four bits each, and as many for bridges over long gaps.
    assert.ok(rows[0].codeBits >= 4 && rows[0].codeBits < 4.5, `${rows[0].codeBits} bits`);
    assert.ok(rows[0].codeBitsCoded < rows[0].codeBits && rows[0].indexBitsCoded < rows[0].indexBits);
    // What the paper says of its total is what its layers add up to.
    for (const layers of Object.values(publishedTables)) {
      const own = Object.entries(layers).filter(([layer]) => layer !== "total");
      const sum = own.reduce((all, [, { weights }]) => all + weights, 0);
      const share = own.reduce((all, [, row]) => all + row.weights * row.share, 0) / sum;
      // The paper rounds.
      assert.ok(Math.abs(share - layers.total.share) < 0.002, `${share} and ${layers.total.share}`);
    }
    small.dispose();
    model.dispose();
  });

  it("what ships is of today's recipes, and its files are what their results say", async () => {
    const shipped = (await readdir(recordFolder, { withFileTypes: true })).filter((entry) =>
      entry.isDirectory(),
    );
    assert.ok(shipped.length > 0);
    for (const { name } of shipped) {
      const record = name as (typeof experimentNames)[number];
      assert.ok(experimentNames.includes(record), name);
      const { results, best, slim } = await loadRecord(record);
      const { recipe, reference, title } = experiments[record];
      assert.deepEqual([results.name, results.title], [name, title]);
      assert.deepEqual(
        results.recipe,
        JSON.parse(JSON.stringify(recipe)),
        `${name}: changed since it was run`,
      );
      assert.deepEqual(results.reference, JSON.parse(JSON.stringify(reference)));
      for (const run of results.runs) {
        const bytes = await readFile(join(recordFolder, name, `seed-${run.seed}.slim`));
        assert.equal(
          createHash("sha256").update(bytes).digest("hex"),
          run.sha256,
          `${name}, seed ${run.seed}`,
        );
        assert.equal(bytes.length, run.bytes);
        assert.ok(run.compressed.validation.errors >= best.compressed.validation.errors);
      }
      const { model } = await modelOfSlim(slim);
      const { correct, count } = await evaluate(model, (await loadDataset(results.data.name)).validation);
      model.dispose();
      // Another backend adds in another order.
      const differ = Math.abs(count - correct - best.compressed.validation.errors);
      assert.ok(
        differ <= 2,
        `${name}: ${count - correct} mistakes, not ${best.compressed.validation.errors}`,
      );
    }
    await assert.rejects(loadRecord("vgg" as "compact-lenet-5"), /name must be one of/);
  });

  it("says which figures differ", () => {
    const judged = (errors: number) => {
      const one = { errors, count: 1000, loss: 0.1 };
      return { validation: one, test: one };
    };
    const results = (bytes: number, errors: number): Results => ({
      ...{
        name: "compact-lenet-5",
        title: "",
        slimlab: "1",
        node: "1",
        backend: "b",
        recipe: [],
        reference: [],
      },
      data: { name: "mnist-10k", sha256: "ab", train: 1, validation: 1, test: 1 },
      runs: [
        {
          ...{ seed: 1, start: "", bytes, sha256: "", ratio: 2, rows: [], parts: [] },
          compressed: judged(errors),
          plain: judged(20),
        },
      ],
    });
    const differing = (a: Results, b: Results) =>
      compareResults(a, b).flatMap(({ figure, agrees }) => (agrees ? [] : [figure]));
    assert.deepEqual(differing(results(1000, 20), results(1029, 35)), []);
    assert.deepEqual(differing(results(1000, 20), results(1031, 20)), ["seed 1: bytes"]);
    assert.deepEqual(differing(results(1000, 20), results(1000, 50)), ["seed 1: test errors, compressed"]);
    const other = results(1000, 20);
    other.data = { ...other.data, sha256: "cd" };
    assert.deepEqual(differing(results(1000, 20), other), ["data"]);
    // By hand: 2, 4, 9 have mean 5 and squares 9 + 1 + 16 over 2.
    assert.deepEqual(meanAndSpread([2, 4, 9]), { mean: 5, spread: Math.sqrt(13) });
    assert.deepEqual(meanAndSpread([7]), { mean: 7, spread: 0 });
  });

  it("refuses what it cannot do", async () => {
    await assert.rejects(
      reproduce("vgg" as "compact-lenet-5", { out }),
      /name must be one of "deep-compression-300-100"/,
    );
    await assert.rejects(reproduce("compact-lenet-5", { out, seeds: [0] }), /seed must be .* got 0/);
    await assert.rejects(reproduce("compact-lenet-5", { out, data: "cifar" }), /name must be one of/);
    const folder = join(out, "damaged");
    await reproduce("compact-lenet-5", {
      out: folder,
      seeds: [1],
      experiment: { ...quick, recipe: [] },
      reference: false,
      cache: false,
    });
    await writeFile(join(folder, "results.json"), "{");
    assert.equal(await readResults(folder), undefined);
  });

  it("the command lists the records, and refuses what it does not know", async () => {
    const run = promisify(execFile);
    const cli = join(packageRoot, "dist", "lib", "cli.js");
    const { stdout } = await run(process.execPath, [cli, "reproduce"]);
    for (const name of experimentNames) assert.match(stdout, new RegExp(`^${name} `, "m"));
    await assert.rejects(run(process.execPath, [cli, "reproduce", "vgg"]), /NAME must be one of/);
    await assert.rejects(
      run(process.execPath, [cli, "reproduce", experimentNames[0], "--seeds", "0"]),
      /--seeds must be/,
    );
    await assert.rejects(
      run(process.execPath, [cli, "reproduce", "compact-lenet-5", "--kept", "5"]),
      /kept must be above 0 and below 1, got 5/,
    );
  });
});
