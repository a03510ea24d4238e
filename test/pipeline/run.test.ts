import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "slimlab/datasets";
import { evaluate, lenet5, loadPretrained, loadSlim, tf, train, useBackend, weightsOf } from "slimlab/nn";
import { checkRecipe, type PipelineData, type Recipe, type Row, runRecipe } from "slimlab/pipeline";
import { dequantize } from "slimlab/quantization";
import { stepsFolder, trimCache } from "../../lib/pipeline/cache.ts";
import { recipe, smallData } from "./fixture.ts";

const measured = (rows: Row[]) => rows.map(({ seconds: _, cached: __, ...row }) => row);
const zeros = (values: ArrayLike<number>) => Array.from(values).filter((value) => value === 0).length;

describe("2.3 pipeline: recipes", () => {
  let data: PipelineData;
  let model: tf.LayersModel;
  let folder: string;
  before(async () => {
    await useBackend("wasm");
    data = await smallData();
    model = await loadPretrained("lenet-300-100");
    folder = await mkdtemp(join(tmpdir(), "slimlab-"));
  });
  after(async () => {
    model.dispose();
    await rm(folder, { recursive: true });
  });

  it("rows say what each step cost, and the bytes are those of the file", async () => {
    const before = weightsOf(model);
    const seen: number[] = [];
    const shares: number[] = [];
    const result = await runRecipe(model, data, recipe, {
      cache: join(folder, "rows"),
      onRow: ({ step }) => seen.push(step),
      onProgress: (share) => shares.push(share),
    });
    assert.deepEqual(weightsOf(model), before, "the given model stays as it is");
    assert.deepEqual(seen, [0, 1, 2, 3, 4]);
    assert.ok(shares.every((share, i) => i === 0 || share >= shares[i - 1]) && shares.at(-1) === 1);
    const [original, pruned, , quantized, last] = result.rows;
    assert.equal(original.technique, "original");
    assert.equal(original.parameters, 266_610);
    assert.equal(original.macs, 266_200);
    assert.equal(original.accuracy, (await evaluate(model, data.test!)).accuracy);
    assert.equal(pruned.sparsity, 0.8);
    assert.ok(pruned.bytes < original.bytes / 3 && quantized.bytes < pruned.bytes / 3);
    assert.equal(last.ratio, (4 * 266_610) / last.bytes);
    const path = join(folder, "result.slim");
    assert.equal(await result.save(path), last.bytes);
    assert.equal((await stat(path)).size, last.bytes);
    const file = await loadSlim(path);
    assert.equal((await evaluate(file.model, data.test!)).accuracy, last.accuracy);
    file.model.dispose();
    const frame = await result.toDataFrame();
    assert.deepEqual(frame.shape, [5, Object.keys(last).length]);
    assert.deepEqual(
      frame.column("bytes").values,
      result.rows.map(({ bytes }) => bytes),
    );
  });

  it("masks hold and quantized weights stay on their grid through training", async () => {
    const run = (steps: number) =>
      runRecipe(model, data, recipe.slice(0, steps), { cache: join(folder, "rows") });
    const [pruned, quantized, tuned] = await Promise.all([1, 3, 4].map(async (n) => (await run(n)).load()));
    const weights = weightsOf(tuned.model);
    let moved = 0;
    for (const [name, w] of Object.entries(weights)) {
      const mask = pruned.compression.masks[name];
      w.forEach((value, i) => {
        assert.ok(mask[i] === 1 || value === 0, `${name} came back at ${i}`);
      });
      const grid = tuned.compression.quantized[name];
      assert.equal(grid.bits, 4);
      assert.deepEqual(dequantize(grid), w);
      assert.deepEqual(grid.scale, quantized.compression.quantized[name].scale, "the grid does not move");
      grid.codes.forEach((code, i) => {
        if (code !== quantized.compression.quantized[name].codes[i]) moved++;
      });
    }
    assert.ok(moved > 50, `training moved ${moved} codes only`);
    for (const one of [pruned, quantized, tuned]) one.model.dispose();
  });

  it("kernels of few weights stay floats at 8 bits, and where that is asked", async () => {
    const codes = async (step: Omit<Recipe[number] & { technique: "quantize" }, "technique">) => {
      const result = await runRecipe(model, data, [{ technique: "quantize", ...step }]);
      const loaded = await result.load();
      loaded.model.dispose();
      return Object.keys(loaded.compression.quantized);
    };
    const all = ["fc1", "fc2", "fc3"];
    assert.deepEqual(await codes({ bits: 8, keepFloatBelow: 0 }), all);
    assert.deepEqual(await codes({ bits: 8, activations: 8 }), all);
    assert.deepEqual(await codes({ bits: 8, layers: ["fc3"] }), ["fc3"]);
    assert.deepEqual(await codes({ bits: { fc3: 8 } }), ["fc3"]);
    assert.deepEqual(await codes({ bits: 4 }), all);
    assert.deepEqual(await codes({ bits: 4, keepFloatBelow: 1024 }), ["fc1", "fc2"]);
    const result = await runRecipe(model, data, [{ technique: "quantize", bits: 8 }]);
    const loaded = await result.load();
    // The third has 1,000.
    assert.deepEqual(Object.keys(loaded.compression.quantized), ["fc1", "fc2"]);
    assert.match(result.rows[1].note, /^2 layers, 1 stayed floats/);
    assert.deepEqual(weightsOf(loaded.model).fc3, weightsOf(model).fc3);
    loaded.model.dispose();
  });

  it("clusters move as one: codes stay, centroids learn", async () => {
    const steps: Recipe = [
      { technique: "pruneWeights", sparsity: 0.8 },
      { technique: "cluster", clusters: { fc1: 8, fc2: 8, fc3: 16 } },
      { technique: "fineTune", epochs: 2 },
    ];
    const cache = join(folder, "clusters");
    const clustered = await (await runRecipe(model, data, steps.slice(0, 2), { cache })).load();
    const result = await runRecipe(model, data, steps, { cache });
    const tuned = await result.load();
    for (const [name, { codes, codebook }] of Object.entries(tuned.compression.clustered)) {
      const before = clustered.compression.clustered[name];
      assert.deepEqual(codes, before.codes);
      assert.deepEqual(tuned.compression.masks[name], clustered.compression.masks[name]);
      assert.notDeepEqual(codebook, before.codebook);
      const values = new Set(weightsOf(tuned.model)[name]);
      assert.ok(values.size <= (name === "fc3" ? 17 : 9), `${name} has ${values.size} values`);
    }
    const [, , before, after] = result.rows;
    assert.ok(after.loss < before.loss, "trained centroids do better on images like those they saw");
    clustered.model.dispose();
    tuned.model.dispose();
  });

  it("surgery takes masks, codes and scales along", async () => {
    const result = await runRecipe(
      model,
      data,
      [
        { technique: "pruneWeights", sparsity: 0.5 },
        { technique: "quantize", bits: { fc1: 4, fc2: 5 } },
        { technique: "cluster", clusters: 8, layers: ["fc3"] },
        { technique: "pruneNeurons", sparsity: { fc1: 0.4 } },
        { technique: "fineTune", epochs: 1 },
        { technique: "pruneWeights", sparsity: 0.9 },
      ],
      { cache: false },
    );
    const { model: small, compression } = await result.load();
    assert.deepEqual(small.getLayer("fc1").getWeights()[0].shape, [784, 180]);
    assert.equal(compression.quantized.fc1.scale.length, 180);
    assert.deepEqual(compression.quantized.fc2.shape, [180, 100]);
    assert.equal(compression.clustered.fc3.codebook.length, 8);
    assert.equal(result.rows[4].parameters, 784 * 180 + 180 + 180 * 100 + 100 + 1010);
    assert.equal(result.rows[4].macs, 784 * 180 + 180 * 100 + 1000);
    // What is 0 beyond the masks has been rounded to 0.
    assert.ok(result.rows[6].sparsity >= 0.9);
    const all = Object.values(compression.masks).reduce((sum, mask) => sum + mask.length, 0);
    assert.equal(all, 784 * 180 + 180 * 100 + 1000);
    small.dispose();
  });

  it("iterative pruning goes on from earlier masks, by layer, down to a floor", async () => {
    const result = await runRecipe(
      model,
      data,
      [
        { technique: "pruneWeights", sparsity: { fc1: 0.6 } },
        {
          technique: "pruneIteratively",
          sparsity: { fc1: 0.9, fc2: 0.8 },
          steps: 2,
          fineTune: { epochs: 1 },
        },
        { technique: "cluster", clusters: 8 },
        { technique: "pruneIteratively", accuracyFloor: 0.9, rate: 0.5, refine: 1, fineTune: { epochs: 1 } },
      ],
      { cache: false },
    );
    const [, , twice, , floor] = result.rows;
    assert.ok(Math.abs(twice.sparsity - (0.9 * 235_200 + 0.8 * 30_000) / 266_200) < 1e-4);
    assert.ok(floor.sparsity > twice.sparsity && floor.accuracy >= 0.9);
    assert.match(floor.note, /floor missed after \d+ steps, the best was step \d+/);
    const { model: small, compression } = await result.load();
    const weights = weightsOf(small);
    for (const [name, mask] of Object.entries(compression.masks))
      assert.equal(zeros(mask), zeros(weights[name]));
    assert.ok(new Set(weights.fc1).size <= 9);
    small.dispose();
  });

  it("factorizing ends masks, says so, and hands bits on to the factors; distilling repairs", async () => {
    const result = await runRecipe(
      model,
      data,
      [
        { technique: "pruneWeights", sparsity: 0.5 },
        { technique: "quantize", bits: 6, activations: 8 },
        { technique: "factorize", budget: 0.3 },
        { technique: "distill", epochs: 1 },
      ],
      { cache: false },
    );
    const [, , , factorized, distilled] = result.rows;
    assert.match(factorized.note, /factors are dense, so the masks of fc1, fc2, fc3 end here/);
    assert.ok(factorized.parameters <= 0.3 * 266_610);
    assert.ok(distilled.loss < factorized.loss);
    const { model: small, compression, activations, forward } = await result.load();
    assert.deepEqual(Object.keys(compression.masks), []);
    assert.deepEqual(
      Object.values(compression.quantized).map(({ bits }) => bits),
      small.layers.map(() => 6),
    );
    assert.deepEqual(Object.keys(activations!.layers), ["fc1", "fc2"]);
    assert.equal((await evaluate(small, data.test!, { forward })).accuracy, distilled.accuracy);
    small.dispose();
  });

  it("hands bits and clusters on to the factors of a strided convolution, one of which only pads", async () => {
    const strided = tf.sequential({
      layers: [
        tf.layers.conv2d({
          name: "conv",
          inputShape: [28, 28, 1],
          filters: 12,
          kernelSize: 5,
          strides: 3,
          padding: "same",
          activation: "relu",
        }),
        tf.layers.flatten(),
        tf.layers.dense({ name: "out", units: 10, activation: "softmax" }),
      ],
    });
    for (const [before, kind] of [
      [{ technique: "quantize", bits: 6 }, "quantized"],
      [{ technique: "cluster", clusters: 9 }, "clustered"],
    ] as const) {
      const factorize = { technique: "factorize", plan: { conv: { method: "cp", rank: 4 } } } as const;
      const result = await runRecipe(strided, data, [before, factorize], { cache: false });
      const { model: small, compression } = await result.load();
      assert.ok(small.getLayer("conv_pad"));
      const parts = ["conv_in", "conv_vertical", "conv_horizontal", "conv", "out"];
      assert.deepEqual(Object.keys(compression[kind]).sort(), parts.sort());
      // A scale for each of the depthwise parts' four channels.
      if (kind === "quantized") assert.equal(compression.quantized.conv_vertical.scale.length, 4);
      small.dispose();
    }
    strided.dispose();
  });

  it("several teachers and hints teach a network that was cut down", async () => {
    const result = await runRecipe(
      model,
      data,
      [
        { technique: "pruneNeurons", sparsity: 0.5, score: "l2" },
        {
          technique: "distill",
          epochs: 1,
          teacher: ["original", "lenet-5"],
          hints: [{ teacherLayer: "fc1", studentLayer: "fc1" }],
        },
      ],
      { cache: false },
    );
    const [, pruned, taught] = result.rows;
    assert.equal(taught.note, "taught by original and lenet-5");
    assert.ok(taught.loss < pruned.loss);
  });

  it("automatic quantization chooses bits by layer, within bytes, and pruned weights stay 0", async () => {
    const result = await runRecipe(
      model,
      data,
      [
        { technique: "pruneWeights", sparsity: 0.5 },
        { technique: "quantizeAutomatically", bytes: 130_000, bits: [3, 4, 5], images: 100 },
        { technique: "fineTune", epochs: 1 },
      ],
      { cache: false },
    );
    const { model: small, compression } = await result.load();
    assert.match(result.rows[2].note, /fc1 \d bits, fc2 \d bits, fc3 \d bits; pruned weights are 0 again/);
    assert.ok(result.rows[2].bytes < 135_000 && result.rows[3].sparsity >= 0.5);
    const bits = Object.values(compression.quantized).map((grid) => grid.bits);
    assert.ok(bits.every((width) => [3, 4, 5].includes(width)));
    const { rows } = result.details[2] as { rows: { layer: string; why: string }[] };
    assert.deepEqual(
      rows.map(({ layer }) => layer),
      ["fc1", "fc2", "fc3"],
    );
    small.dispose();
  });

  it("filters are removed from a convolutional network, and it trains on", async () => {
    const small = await smallData(200, 100);
    const start = lenet5(1);
    await train(start, small.train, { epochs: 1 });
    const result = await runRecipe(
      start,
      small,
      [
        { technique: "pruneFilters", sparsity: 0.5 },
        { technique: "quantize", bits: 8 },
        {
          technique: "pruneFilters",
          sparsity: 0.2,
          strategy: "globalSparsity",
          score: "taylorActivation",
          images: 50,
        },
        { technique: "fineTune", epochs: 1 },
      ],
      { cache: false },
    );
    assert.match(result.rows[1].note, /left: conv1 10 of 20, conv2 25 of 50/);
    assert.ok(result.rows[1].macs < 0.4 * result.rows[0].macs);
    assert.ok(result.rows[4].loss < result.rows[3].loss);
    start.dispose();
  });

  it("steps are kept in the user's cache folder where nobody says another, and nowhere where SLIMLAB_STEPS is off", () => {
    const { SLIMLAB_STEPS: before } = process.env;
    try {
      delete process.env.SLIMLAB_STEPS;
      assert.equal(stepsFolder(undefined), join(cacheFolder(), "pipeline"));
      process.env.SLIMLAB_STEPS = "off";
      assert.deepEqual(
        [stepsFolder(undefined), stepsFolder("here"), stepsFolder(false)],
        [false, "here", false],
      );
    } finally {
      if (before === undefined) delete process.env.SLIMLAB_STEPS;
      else process.env.SLIMLAB_STEPS = before;
    }
  });

  it("finished steps are found again, whatever comes after; other seeds, data and models are not", async () => {
    const cache = join(folder, "cache");
    const cachedOf = async (what: Recipe, options = {}, images = data) =>
      (await runRecipe(model, images, what, { cache, ...options })).rows.map(({ cached }) => cached);
    const first = await runRecipe(model, data, recipe, { cache });
    const second = await runRecipe(model, data, recipe, { cache });
    assert.deepEqual(
      second.rows.map(({ cached }) => cached),
      [true, true, true, true, true],
    );
    assert.deepEqual(measured(second.rows), measured(first.rows));
    assert.deepEqual(second.slim, first.slim);
    const other: Recipe = [...recipe.slice(0, 2), { technique: "quantize", bits: 3 }];
    assert.deepEqual(await cachedOf(other), [true, true, true, false]);
    assert.deepEqual(await cachedOf(recipe.slice(0, 1), { seed: 2 }), [true, false]);
    assert.deepEqual(await cachedOf([], {}, await smallData(600, 200)), [false]);
    // The order of fields says nothing.
    const same = [{ sparsity: 0.8, technique: "pruneWeights" }] as Recipe;
    assert.deepEqual(await cachedOf(same), [true, true]);
    // A damaged file is not believed.
    for (const file of await readdir(cache)) {
      if (!file.endsWith(".slim")) continue;
      const bytes = await readFile(join(cache, file));
      bytes[bytes.length >> 1] ^= 1;
      await writeFile(join(cache, file), bytes);
    }
    const third = await runRecipe(model, data, recipe, { cache });
    assert.ok(third.rows.every(({ cached }) => !cached));
    assert.deepEqual(third.slim, first.slim);
  });

  it("the cache vouches for all that it gives back, and what cannot be read or kept stops no run", async () => {
    const cache = join(folder, "sealed");
    const step: Recipe = [{ technique: "quantize", bits: 4 }];
    const run = async (what = step) => runRecipe(model, data, what, { cache });
    const first = await run();
    const entries = async () => (await readdir(cache)).filter((file) => file.endsWith(".json"));
    const [one, two] = (await entries()).map((file) => join(cache, file));
    const kept = await readFile(one, "utf8");
    const slimOfOne = one.replace(/json$/, "slim");
    const changes: Record<string, () => Promise<unknown>> = {
      "another accuracy": () => writeFile(one, kept.replace(/"accuracy":[\d.]+/, '"accuracy":0.9999')),
      "an empty entry": () => writeFile(one, kept.replace(/"entry":\{.*\},"seal"/, '"entry":{},"seal"')),
      "no entry": () => writeFile(one, kept.replace(/"entry":\{.*\},"seal"/, '"entry":null,"seal"')),
      nothing: () => writeFile(one, "null"),
      "another step's files": async () => {
        await writeFile(one, await readFile(two));
        await writeFile(slimOfOne, await readFile(two.replace(/json$/, "slim")));
      },
      "a folder": async () => {
        await rm(one);
        await mkdir(join(one, "within"), { recursive: true });
      },
    };
    const { warn } = console;
    const warnings: string[] = [];
    console.warn = (text: string) => warnings.push(text);
    try {
      for (const [what, change] of Object.entries(changes)) {
        await change();
        const again = await run();
        assert.equal(again.rows.filter(({ cached }) => cached).length, 1, what);
        assert.deepEqual(measured(again.rows), measured(first.rows), what);
        assert.deepEqual(again.slim, first.slim, what);
        // It was kept anew, but where a folder is in the way: that is said, once a run.
        assert.equal(warnings.length, what === "a folder" ? 1 : 0, what);
      }
      assert.match(warnings[0], /not kept for the next time: E/);
    } finally {
      console.warn = warn;
    }
  });

  it("the cache lets go of what was not used for longest, and of nothing else", async () => {
    const cache = join(folder, "trimmed");
    await runRecipe(model, data, recipe.slice(0, 1), { cache });
    await writeFile(join(cache, "mine.json"), "{}");
    const entries = (await readdir(cache)).filter((name) => /^[0-9a-f]{64}/.test(name));
    assert.equal(entries.length, 4);
    // The original, though older, is used again; the pruned model is not.
    for (const name of entries) await utimes(join(cache, name), 1000, 1000);
    await runRecipe(model, data, [], { cache });
    const used: string[] = [];
    for (const name of entries) if ((await stat(join(cache, name))).mtimeMs > 1e6) used.push(name);
    assert.equal(used.length, 2);
    const size = async (names: string[]) => {
      const sizes = await Promise.all(names.map(async (name) => (await stat(join(cache, name))).size));
      return sizes.reduce((sum, bytes) => sum + bytes, 0);
    };
    await trimCache(cache, await size(entries));
    assert.equal((await readdir(cache)).length, 5, "within the limit everything stays");
    await trimCache(cache, await size(used));
    assert.deepEqual((await readdir(cache)).sort(), [...used, "mine.json"].sort());
    assert.deepEqual(
      (await runRecipe(model, data, recipe.slice(0, 1), { cache })).rows.map(({ cached }) => cached),
      [true, false],
    );
    await trimCache(join(folder, "nowhere"), 0);
  });

  it("a run that was killed goes on where it was, to the same numbers", async () => {
    const cache = join(folder, "killed");
    const child = spawn(process.execPath, [fileURLToPath(new URL("./killed.js", import.meta.url)), cache], {
      env: { ...process.env, SLIMLAB_BACKEND: "wasm" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise<void>((resolve, reject) => {
      child.stdout.on("data", (text) => {
        // Right in the middle of the training that follows.
        if (String(text).includes("step 1")) child.kill("SIGKILL");
      });
      child.on("exit", (_, signal) =>
        signal === "SIGKILL" ? resolve() : reject(new Error("it ended by itself")),
      );
    });
    const resumed = await runRecipe(model, data, recipe, { cache });
    assert.deepEqual(
      resumed.rows.slice(0, 2).map(({ cached }) => cached),
      [true, true],
    );
    assert.equal(resumed.rows[4].cached, false);
    const whole = await runRecipe(model, data, recipe, { cache: false });
    assert.deepEqual(measured(resumed.rows), measured(whole.rows));
    assert.deepEqual(resumed.slim, whole.slim);
    assert.ok((await readdir(cache)).every((file) => /^[0-9a-f]{64}\.(slim|json)$/.test(file)));
  });

  it("a signal ends it between batches", async () => {
    const controller = new AbortController();
    const run = runRecipe(model, data, [{ technique: "fineTune", epochs: 50 }], {
      cache: false,
      signal: controller.signal,
      onProgress: (share) => {
        if (share > 0.02) controller.abort(new Error("enough"));
      },
    });
    await assert.rejects(run, /enough/);
  });

  const bad: [what: unknown, message: RegExp][] = [
    [{}, /a recipe must be a list of steps, got a Object/],
    [[1], /step 1 must be an object with a technique, got 1/],
    [[{ technique: "prune" }], /step 1: technique must be one of "pruneWeights", .* got "prune"/],
    [
      [
        { technique: "fineTune", epochs: 1 },
        { technique: "quantize", bits: 0 },
      ],
      /step 2 \(quantize\): bits must be a whole number from 1 to 16, got 0/,
    ],
    [[{ technique: "quantize" }], /step 1 \(quantize\): give exactly one of bits, format, got none/],
    [[{ technique: "quantize", bits: { fc1: 99 } }], /step 1 \(quantize\): bits\.fc1 must be .* got 99/],
    [
      [{ technique: "quantize", bit: 4 }],
      /step 1 \(quantize\): there is no field "bit"; there are bits, format, scheme/,
    ],
    [
      [{ technique: "quantizeAutomatically", accuracyFloor: 0.9, bits: [2, 17] }],
      /bits\[1\] must be .* got 17/,
    ],
    [[{ technique: "pruneWeights" }], /give exactly one of sparsity, threshold, got none/],
    [
      [{ technique: "pruneWeights", sparsity: 0.5, layers: "fc1" }],
      /layers must be a list of layer names, got "fc1"/,
    ],
    [[{ technique: "pruneIteratively", steps: 2 }], /give sparsity, accuracyFloor or both, got none/],
    [
      [{ technique: "pruneIteratively", sparsity: 0.5, fineTune: { epoch: 1 } }],
      /there is no field "fineTune\.epoch"; there are epochs/,
    ],
    [
      [{ technique: "distill", epochs: 1, teacher: "vgg" }],
      /teacher must be one of "original", .* got "vgg"/,
    ],
    [
      [{ technique: "fineTune", epochs: 1.5 }],
      /step 1 \(fineTune\): epochs must be a whole number .* got 1.5/,
    ],
    [[{ technique: "fineTune", epochs: 1e300 }], /epochs must be a whole number .* got 1e\+300/],
    [
      [{ technique: "fineTune", epochs: 2 ** 53 + 2 }],
      /epochs must be a whole number .* got 9007199254740994/,
    ],
    [
      [{ technique: "factorize", plan: [] }],
      /step 1 \(factorize\): plan must be factors for each layer by name, got Array\(0\)/,
    ],
    [[{ technique: "factorize", plan: { fc1: "x" } }], /plan\.fc1 must be an object, got "x"/],
    [[{ technique: "factorize", plan: { fc1: { method: "svd" } } }], /plan\.fc1\.rank is missing/],
    [
      [{ technique: "factorize", plan: { fc1: { method: "tucker2", rankIn: 2, rankOut: 0.5 } } }],
      /plan\.fc1\.rankOut must be a whole number .* got 0\.5/,
    ],
    [[{ technique: "factorize", plan: {} }], /plan must name at least one layer/],
  ];
  for (const [what, message] of bad) {
    it(`says what is wrong: ${JSON.stringify(what)}`, () => {
      assert.throws(() => checkRecipe(what as Recipe), { name: "RangeError", message });
    });
  }

  it("what only a run can see is named by step, too", async () => {
    const rejects = (what: Recipe, message: RegExp) =>
      assert.rejects(runRecipe(model, data, what, { cache: false }), message);
    await rejects(
      [{ technique: "quantize", bits: 4, layers: ["conv1"] }],
      /step 1 \(quantize\): layer must be one of "fc1", "fc2", "fc3", got "conv1"/,
    );
    // As a file may have it: a name that is everywhere, and no layer's.
    await rejects(
      JSON.parse('[{"technique":"quantize","bits":{"__proto__":4}}]'),
      /step 1 \(quantize\): layer must be one of "fc1", "fc2", "fc3", got "__proto__"/,
    );
    await rejects(
      [
        { technique: "pruneWeights", sparsity: 0.5 },
        { technique: "quantize", bits: 1 },
      ],
      /step 2 \(quantize\): bits must be at least 2 for fc1, which is pruned/,
    );
    await rejects(
      [
        { technique: "quantize", bits: 1 },
        { technique: "pruneWeights", sparsity: 0.5 },
      ],
      /step 2 \(pruneWeights\): fc1 has one bit.*prune before quantizing/,
    );
    await rejects(
      [{ technique: "pruneIteratively", sparsity: { fc1: 0.5 }, layers: ["fc1", "fc2"] }],
      /step 1 \(pruneIteratively\): sparsity must name fc2, which layers does/,
    );
    await rejects(
      [{ technique: "pruneFilters", sparsity: 0.5 }],
      /step 1 \(pruneFilters\): .* has no filters to remove/,
    );
    await rejects(
      [{ technique: "factorize", accuracyFloor: 1 }],
      /step 1 \(factorize\): accuracyFloor must be at most/,
    );
  });
});
