import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adaptive, candidates, type Situation } from "../../lib/commands/compress/candidates.ts";
import { choose, distance } from "../../lib/commands/compress/work.ts";
import { run } from "../../lib/commands/compress.ts";
import { loadDataset, type Split, subset } from "../../lib/datasets/index.ts";
import { writeSafetensors } from "../../lib/formats/index.ts";
import { evaluate, loadSlim, saveModel, tf, useBackend } from "../../lib/nn/index.ts";
import type { Recipe } from "../../lib/pipeline/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { encodePng } from "../../lib/util/png.ts";

const lenet = join(packageRoot, "datasets", "weights", "lenet-300-100");

/** A small network of random weights: what it says of digits is what compression has to keep. */
function tiny(): tf.LayersModel {
  const glorot = (seed: number) => tf.initializers.glorotUniform({ seed });
  return tf.sequential({
    layers: [
      tf.layers.dense({
        name: "fc1",
        inputShape: [784],
        units: 24,
        activation: "relu",
        kernelInitializer: glorot(1),
      }),
      tf.layers.dense({ name: "fc2", units: 10, activation: "softmax", kernelInitializer: glorot(2) }),
    ],
  });
}

describe("slimlab compress", function () {
  this.timeout(300_000);
  let folder: string;
  let few: Split<Uint8Array>;
  const at = (...names: string[]) => join(folder, ...names);
  before(async () => {
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-compress-"));
    few = subset((await loadDataset("mnist-10k")).test, 90, 3);
    for (let i = 0; i < few.count; i++) {
      const grey = few.images.subarray(784 * i, 784 * (i + 1));
      const rgba = Uint8Array.from({ length: 4 * 784 }, (_, at) => (at % 4 === 3 ? 255 : grey[at >> 2]));
      await mkdir(at("digits", String(few.labels[i])), { recursive: true });
      await writeFile(at("digits", String(few.labels[i]), `${i}.png`), encodePng(28, 28, rgba));
    }
    await saveModel(tiny(), at("tiny"));
    await writeSafetensors(at("digits.safetensors"), {
      images: { dtype: "U8", shape: [90, 28, 28], values: () => few.images },
    });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Runs the command with a cache of its own, and what it prints on standard output. */
  async function compress(...args: string[]): Promise<{ code: number; printed: string[] }> {
    const { log } = console;
    const { XDG_CACHE_HOME } = process.env;
    const printed: string[] = [];
    console.log = (line: string) => printed.push(line);
    process.env.XDG_CACHE_HOME = at("cache");
    try {
      return { code: await run(args), printed };
    } finally {
      console.log = log;
      if (XDG_CACHE_HOME === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = XDG_CACHE_HOME;
    }
  }
  const json = async (...names: string[]) => JSON.parse(await readFile(at(...names), "utf8"));

  it("arrays for several inputs and outputs, with targets and without", async () => {
    const { layers } = tf;
    const glorot = (seed: number) => ({ kernelInitializer: tf.initializers.glorotUniform({ seed }) });
    const tokens = tf.input({ shape: [4], name: "tokens" });
    const amounts = tf.input({ shape: [3], name: "amounts" });
    const words = layers.embedding({ name: "words", inputDim: 9, outputDim: 6 }).apply(tokens);
    const both = layers
      .concatenate()
      .apply([layers.flatten().apply(words), amounts] as tf.SymbolicTensor[]) as tf.SymbolicTensor;
    const hidden = layers.dense({ name: "hidden", units: 24, activation: "relu", ...glorot(1) }).apply(both);
    const outputs = [
      layers.dense({ name: "kind", units: 3, activation: "softmax", ...glorot(2) }),
      layers.dense({ name: "price", units: 1, ...glorot(3) }),
    ].map((layer) => layer.apply(hidden) as tf.SymbolicTensor);
    await saveModel(tf.model({ name: "shop", inputs: [tokens, amounts], outputs }), at("shop"));
    const count = 60;
    const numbers = (size: number, of: (i: number) => number) =>
      Float32Array.from({ length: size * count }, (_, i) => of(i));
    const arrays = {
      tokens: { dtype: "F32", shape: [count, 4], values: () => numbers(4, (i) => (i * 7) % 9) },
      amounts: { dtype: "F32", shape: [count, 3], values: () => numbers(3, (i) => Math.sin(i)) },
    } as const;
    const targets = {
      kind: { dtype: "F32", shape: [count], values: () => numbers(1, (i) => i % 3) },
      price: { dtype: "F32", shape: [count, 1], values: () => numbers(1, (i) => Math.cos(i)) },
    } as const;
    await writeSafetensors(at("shop.safetensors"), { ...arrays, ...targets });
    await writeSafetensors(at("bare.safetensors"), arrays);
    await writeFile(at("steps.json"), JSON.stringify([{ technique: "quantize", bits: 6 }]));
    const steps = ["--recipe", at("steps.json")];
    const given = await compress(
      at("shop"),
      "--data",
      at("shop.safetensors"),
      ...steps,
      "--out",
      at("shop-out"),
    );
    assert.equal(given.code, 0);
    const report = await json("shop-out", "report.json");
    assert.equal(report.labelled, true);
    assert.equal(report.original.measure, "mean of accuracy and R²");
    assert.deepEqual(
      report.comparison.outputs.map(({ name }: { name: string }) => name),
      ["kind", "price"],
    );
    const page = await readFile(at("shop-out", "report.html"), "utf8");
    const html = page.replace(/<style>.*?<\/style>|<[^>]*>/gs, "");
    assert.match(html, /On 20 samples that the choice was made by mean of accuracy and R² is/);
    assert.doesNotMatch(html, /image|NaN|undefined/);
    // Without targets the network's own outputs are what is to be kept.
    await compress(
      ...[
        at("shop"),
        "--data",
        at("bare.safetensors"),
        "--budget",
        "2KB",
        "--epochs",
        "0",
        "--out",
        at("bare-out"),
      ],
      ...["--language", "zh"],
    );
    const bare = await json("bare-out", "report.json");
    assert.deepEqual([bare.labelled, bare.original.accuracy, bare.met], [false, 1, true]);
    assert.match(await readFile(at("bare-out", "report.html"), "utf8"), /个样本/);
    await assert.rejects(
      compress(at("shop"), "--data", at("digits.safetensors"), ...steps, "--out", at("no")),
      /--data must hold an array tokens of examples x 4, for the network's input; .* has images \[90, 28, 28\]/,
    );
    await assert.rejects(
      compress(at("shop"), "--images", at("digits"), ...steps, "--out", at("no")),
      /--images is for a network with one input and one row of class scores, this one has tokens, amounts and kind, price/,
    );
  });

  it("pictures in folders, a budget, every format, a report in two languages, and again from its recipe", async () => {
    const { code, printed } = await compress(
      ...[at("tiny"), "--images", at("digits"), "--budget", "9KB", "--out", at("out")],
      ...["--target", "slim,onnx,tensorrt,tflite,tfjs,safetensors", "--epochs", "0"],
    );
    assert.equal(code, 0);
    assert.equal(printed.length, 7);
    const report = await json("out", "report.json");
    assert.equal(report.labelled, true);
    assert.ok(report.bytes <= 9000, `${report.bytes} bytes`);
    const { size } = await stat(at("out", "model.slim"));
    assert.equal(size, report.bytes);
    // What the report says of the original is what the library says of it, on a third of the pictures.
    assert.equal(report.original.count, 30);
    const original = await evaluate(tiny(), few);
    assert.ok(Math.abs(report.original.accuracy - original.accuracy) < 0.25);
    const { model } = await loadSlim(at("out", "model.slim"));
    const small = await evaluate(model, few);
    assert.ok(small.accuracy > original.accuracy - 0.15, `${small.accuracy} instead of ${original.accuracy}`);
    for (const { path, bytes } of report.files)
      if (!path.endsWith("model")) assert.equal((await stat(path)).size, bytes);
    const html = await readFile(at("out", "report.html"), "utf8");
    const text = html.replace(/<[^>]*>/g, "");
    assert.equal(html.match(/<svg/g)?.length, 3);
    for (const part of ["Size against error", "Layer by layer", "Where the bytes are", "fc1", "--budget 9KB"])
      assert.ok(text.includes(part), `the report lacks ${part}`);
    assert.doesNotMatch(html, /<script|NaN|undefined/);
    // Before and after at a glance; all layers have their error, the last one too; sentences stand to the left and wrap.
    assert.match(html, /<td[^>]*>bytes<\/td>\s*<td[^>]*>76.4 KB<\/td>/);
    for (const layer of ["fc1", "fc2"])
      assert.match(
        html,
        new RegExp(
          `<tr><td>${layer}</td>(<td class="number">[^<]+</td>){2}<td>[^<]*</td><td class="number">[^<]+</td><td class="number">-?[\\d.]+</td>`,
        ),
      );
    for (const [, cell] of html.matchAll(/<td class="number">([^<]*)</g))
      assert.ok(cell.length < 14, `a number that is a sentence: ${cell}`);

    const again = await compress(
      ...[at("tiny"), "--images", at("digits"), "--recipe", at("out", "report.json"), "--out", at("again")],
      ...["--language", "zh"],
    );
    assert.equal(again.code, 0);
    assert.deepEqual(await readFile(at("again", "model.slim")), await readFile(at("out", "model.slim")));
    assert.deepEqual(await json("again", "recipe.json"), report.recipe);
    const chinese = await readFile(at("again", "report.html"), "utf8");
    assert.match(chinese, /lang="zh-Hans"/);
    assert.match(chinese, /逐层情况/);
    assert.doesNotMatch(chinese, /<script|NaN|undefined|Layer by layer/);
  });

  it("without labels it keeps to the original's classes, by examples from a file and with a scaling", async () => {
    const { code } = await compress(
      ...[at("tiny"), "--data", at("digits.safetensors"), "--max-drop", "5%", "--out", at("plain")],
      ...["--epochs", "0", "--range", "0,1"],
    );
    const report = await json("plain", "report.json");
    assert.equal(code, 0);
    assert.equal(report.labelled, false);
    assert.equal(report.original.accuracy, 1, "the original agrees with itself");
    assert.ok(report.comparison.agreement >= 0.95, `${report.comparison.agreement}`);
    assert.match(await readFile(at("plain", "report.html"), "utf8"), /There are no labels/);

    // Inputs at half their size: the scaling undoes it, so the original still reads its digits.
    const halves = Float32Array.from(few.images, (byte) => byte / 510);
    await writeSafetensors(at("half.safetensors"), {
      x: { dtype: "F32", shape: [90, 784], values: () => halves },
      y: { dtype: "I32", shape: [90], values: () => new Uint8Array(Int32Array.from(few.labels).buffer) },
    });
    await writeFile(at("bits.json"), '[{ "technique": "quantize", "bits": 4 }]');
    await compress(
      ...[lenet, "--data", at("half.safetensors"), "--recipe", at("bits.json"), "--out", at("half")],
      ...["--mean", "0", "--deviation", "0.5"],
    );
    assert.ok((await json("half", "report.json")).original.accuracy > 0.9);
    assert.deepEqual((await loadSlim(at("half", "model.slim"))).meta, {
      scaling: { mean: 0, deviation: 0.5 },
    });
  });

  it("for an engine, tries 8-bit kernels rounded to the nearest and automatically", async () => {
    const { code } = await compress(
      ...[at("tiny"), "--data", at("digits.safetensors"), "--budget", "60KB", "--out", at("integers")],
      ...["--epochs", "0", "--target", "tflite,slim", "--integers"],
    );
    assert.equal(code, 0);
    const { attempts, files } = await json("integers", "report.json");
    assert.deepEqual(
      attempts.map(({ recipe: [step] }: { recipe: Recipe }) => step.technique),
      ["quantize", "quantizeAutomatically"],
    );
    for (const { divergence, error } of attempts) assert.ok(divergence < 0.01, error ?? `${divergence} nats`);
    assert.ok(files[0].path.endsWith("model.tflite") && files[0].bytes < 30_000, JSON.stringify(files[0]));
  });

  it("an interrupted and a killed run leave what is done, and go on from there to the same bytes", async () => {
    await writeFile(
      at("steps.json"),
      JSON.stringify([
        { technique: "pruneWeights", sparsity: 0.8 },
        { technique: "distill", epochs: 2 },
        { technique: "quantize", bits: 4 },
      ]),
    );
    const start = (cache: string, out: string) => {
      const args = [
        "compress",
        lenet,
        "--images",
        at("digits"),
        "--recipe",
        at("steps.json"),
        "--out",
        at(out),
      ];
      return spawn(process.execPath, [join(packageRoot, "dist/lib/cli.js"), ...args], {
        env: { ...process.env, XDG_CACHE_HOME: at(cache), SLIMLAB_BACKEND: "wasm" },
        stdio: ["ignore", "ignore", "pipe"],
      });
    };
    /** Sends a signal once the first step is done; resolves to how the process ended, and what it said. */
    const stopped = async (child: ChildProcess, signal: NodeJS.Signals) => {
      let said = "";
      child.stderr!.on("data", (text) => {
        said += text;
        if (/compressing 0\.[3-9]/.test(said) && !child.killed) child.kill(signal);
      });
      return { ended: await once(child, "exit"), said };
    };
    const steps = async (cache: string) =>
      (await readdir(at(cache, "slimlab", "pipeline"))).filter((name) => name.endsWith(".slim")).length;
    const first = await stopped(start("kept", "resumed"), "SIGINT");
    assert.deepEqual(first.ended, [130, null], first.said);
    assert.match(first.said, /interrupted; what is done is kept/);
    const kept = await steps("kept");
    assert.ok(kept >= 2 && kept < 4, `${kept} steps were kept`);
    const second = await stopped(start("kept", "resumed"), "SIGKILL");
    assert.deepEqual(second.ended, [null, "SIGKILL"]);
    assert.ok((await steps("kept")) >= kept);
    assert.ok(!existsSync(at("resumed", "model.slim")), "nothing half-done is in the folder");
    for (const [cache, out] of [
      ["kept", "resumed"],
      ["fresh", "whole"],
    ]) {
      const child = start(cache, out);
      child.stderr.resume();
      assert.deepEqual(await once(child, "exit"), [0, null]);
    }
    assert.deepEqual(await readFile(at("resumed", "model.slim")), await readFile(at("whole", "model.slim")));
  });

  it("names argument, value and what is allowed before any work is done", async () => {
    const good = [lenet, "--images", at("digits"), "--out", at("bad")];
    const goal = ["--budget", "100KB"];
    await writeFile(at("bad.json"), '[{ "technique": "squeeze" }]');
    for (const [args, message] of [
      [good, /exactly one of --budget SIZE, --max-drop SHARE and --recipe FILE/],
      [[...good, "--budget", "many"], /--budget must be a size such as 100KB, .* got "many"/],
      [[...good, "--max-drop", "200%"], /--max-drop must be a share/],
      [[...good, "--recipe", at("none.json")], /--recipe must be a JSON file, .*ENOENT/],
      [[...good, "--recipe", at("bad.json")], /step 1: technique must be one of .*, got "squeeze"/],
      [
        [...good, ...goal, "--target", "slim,tensorflow"],
        /--target must be one of "slim", .* got "tensorflow"/,
      ],
      [[...good, ...goal, "--language", "de"], /--language must be one of "en", "zh", got "de"/],
      [[...good, ...goal, "--epochs", "x"], /--epochs must be a whole number .*got NaN/],
      [[lenet, "--images", at("digits"), ...goal], /--out DIR is missing/],
      [[...good, ...goal, "--out", at("bad.json")], /--out must be a folder/],
      [
        [at("none"), "--images", at("digits"), ...goal, "--out", at("bad")],
        /there is no file .*none: ENOENT/,
      ],
      [
        [at("digits.safetensors"), ...good.slice(1), ...goal],
        /holds no network that can be compressed as a whole/,
      ],
    ] as const)
      await assert.rejects(compress(...args), message);
    assert.ok(!existsSync(at("bad")));
  });

  it("leaves small kernels floats where that costs little, and never in a network of integers", () => {
    const situation = { images: 20, macs: 1e6, forEngine: false, kernels: [500, 90_000] };
    const below = (recipe: Recipe) => (recipe.at(-1) as { keepFloatBelow?: number }).keepFloatBelow;
    const byBits = (given: Partial<Situation>) =>
      candidates({ ...situation, ...given }).map((recipe) => [
        (recipe.at(-1) as { bits: number | number[] }).bits,
        below(recipe),
      ]);
    // 500 weights in 32 bits instead of 8 are 12,000 bits more, of 720,000 for the others: 1.7 %. In 6 bits: 2.4 %.
    assert.deepEqual(byBits({}).slice(0, 2), [
      [8, 1024],
      [6, 0],
    ]);
    assert.ok(byBits({ kernels: [500, 4e6] }).every(([, limit]) => limit === 1024));
    assert.ok(byBits({ kernels: [500] }).every(([, limit]) => limit === 0));
    assert.ok(byBits({ kernels: [2000, 4e6] }).every(([, limit]) => limit === 0));
    // To the nearest, and automatically.
    assert.deepEqual(byBits({ forEngine: true }), [
      [8, 1024],
      [[8], 1024],
    ]);
    assert.deepEqual(byBits({ forEngine: true, integers: true }), [
      [8, 0],
      [[8], 0],
    ]);
    assert.equal(below(adaptive(situation, { bytes: 90_000 })), 1024);
    assert.equal(below(adaptive(situation, { bytes: 30_000 })), 0);
    assert.equal(below(adaptive({ ...situation, kernels: [500, 4e5] }, { accuracyFloor: 0.9 })), 1024);
  });

  it("chooses by what is asked: bytes, then accuracy beyond chance, then divergence", () => {
    const attempts = [
      { name: "large", bytes: 100, accuracy: 0.99, divergence: 0.001, doubt: 0 },
      { name: "near", bytes: 60, accuracy: 0.97, divergence: 0.01, doubt: 0.01 },
      { name: "lucky", bytes: 50, accuracy: 0.98, divergence: 0.2, doubt: 0.1 },
      { name: "small", bytes: 10, accuracy: 0.8, divergence: 1, doubt: 0.3 },
    ];
    const before = { accuracy: 0.98, count: 100 };
    const name = (...given: Parameters<typeof choose<(typeof attempts)[number]>>) => {
      const { chosen, met } = choose(...given);
      return `${chosen.name} ${met}`;
    };
    assert.equal(name(attempts, { kind: "budget", bytes: 70 }, before), "near true");
    assert.equal(name(attempts, { kind: "budget", bytes: 10 }, before), "small true");
    assert.equal(name(attempts, { kind: "budget", bytes: 5 }, before), "small false");
    assert.equal(name(attempts, { kind: "drop", share: 0.02 }, before), "near true");
    assert.equal(name(attempts, { kind: "drop", share: 0.2 }, before), "lucky true");
    assert.equal(name(attempts.slice(2), { kind: "drop", share: 0 }, before), "lucky false");
    // By hand: one of two images changes class; log(2) nats and half the probability for the first.
    const sure = Math.log(1e9);
    const output = { name: "out", task: "classes", shape: [2], width: 2 } as const;
    const reference = Float32Array.of(sure, 0, 0, sure);
    const found = Float32Array.of(0, 1e-7, 0, sure);
    const { agreement, divergence, doubt } = distance([output], [reference], [found], [[0, 1]]);
    assert.equal(agreement, 0.5);
    assert.ok(Math.abs(doubt - 0.25) < 1e-6, `${doubt}`);
    assert.ok(Math.abs(divergence - Math.LN2 / 2) < 1e-6, `${divergence}`);
  });
});
