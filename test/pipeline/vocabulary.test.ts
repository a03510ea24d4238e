// Closed vocabularies (§2.3, §3.1, §3.2): the compiler guards them, and a new word is one entry in one place plus its
// algorithm. The entries are tried on a copy of the sources, compiled by the project's own compiler, and then run.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { optimizerNames, unitScores, weightScores } from "../../lib/nn/index.ts";
import type { Recipe, Step } from "../../lib/pipeline/index.ts";
import { checkRecipe, techniqueNames } from "../../lib/pipeline/index.ts";
import {
  prunePlan,
  type Schedule,
  type Strategy,
  schedules,
  select,
  strategies,
} from "../../lib/pruning/index.ts";
import {
  clusterMethods,
  clusterStarts,
  clusterWeights,
  createObserver,
  observerMethods,
  quantize,
  rangeMethods,
  roundings,
  schemes,
} from "../../lib/quantization/index.ts";
import { packageRoot } from "../../lib/util/files.ts";

// What must not compile: each line under a comment is an error, or this file does not build.
const wrong: unknown[] = [
  // @ts-expect-error there is no such technique
  { technique: "shrink" } satisfies Step,
  // @ts-expect-error a step has its own technique's fields only
  { technique: "cluster", bits: 4 } satisfies Step,
  // @ts-expect-error the word for how sparse is sparsity
  { technique: "pruneIteratively", target: 0.9 } satisfies Step,
  // @ts-expect-error the strategies have one name each
  { technique: "pruneWeights", sparsity: 0.9, strategy: "global" } satisfies Step,
  // @ts-expect-error there is no fifth range method
  { technique: "quantize", bits: 4, range: "median" } satisfies Step,
  // @ts-expect-error a threshold's strategy takes no sparsity
  { strategy: "layerThreshold", sparsity: 0.5 } satisfies Strategy,
  // @ts-expect-error a table over a vocabulary lacks a word
  { linear: 1, cubic: 2, geometric: 3 } satisfies Record<Schedule, number>,
];

describe("closed vocabularies", () => {
  it("wrong words do not compile, and checkRecipe refuses them in steps that come as data", () => {
    for (const step of wrong as { technique?: string }[])
      if (step.technique) assert.throws(() => checkRecipe([step] as Recipe), RangeError, step.technique);
  });

  it("errors list all words, from the lists themselves", () => {
    const listed = (words: readonly string[]) => words.map((word) => `"${word}"`).join(", ");
    const cases: [readonly string[], () => unknown][] = [
      [techniqueNames, () => checkRecipe([{ technique: "?" }] as unknown as Recipe)],
      [
        strategies,
        () => select({ a: Float32Array.of(1) }, { strategy: "?" as "globalSparsity", sparsity: 0 }),
      ],
      [schedules, () => prunePlan({ schedule: "?" as "cubic", sparsity: 0.5, steps: 1 })],
      [weightScores, () => checkRecipe([{ technique: "pruneWeights", sparsity: 0, score: "?" as "obd" }])],
      [unitScores, () => checkRecipe([{ technique: "pruneNeurons", sparsity: 0, score: "?" as "l1" }])],
      [optimizerNames, () => checkRecipe([{ technique: "fineTune", epochs: 1, optimizer: "?" as "sgd" }])],
      [rangeMethods, () => quantize(Float32Array.of(1), { bits: 4, range: "?" as "max" })],
      [schemes, () => quantize(Float32Array.of(1), { bits: 4, scheme: "?" as "affine" })],
      [roundings, () => quantize(Float32Array.of(1), { bits: 4, rounding: "?" as "nearest" })],
      [observerMethods, () => createObserver({ bits: 4, method: "?" as "max" })],
      [clusterMethods, () => clusterWeights(Float32Array.of(1), { clusters: 1, method: "?" as "lloyd" })],
      [clusterStarts, () => clusterWeights(Float32Array.of(1), { clusters: 1, start: "?" as "linear" })],
    ];
    for (const [words, act] of cases) {
      assert.throws(act, (error: Error) => {
        assert.ok(
          error.message.endsWith(`must be one of ${listed(words)}, got "?"`),
          `${error.message} should list ${listed(words)}`,
        );
        return true;
      });
    }
  });

  it("each word of a vocabulary does something", () => {
    const values = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i) ** 3);
    for (const range of rangeMethods) assert.ok(quantize(values, { bits: 4, range }).scale[0] > 0, range);
    for (const method of observerMethods) {
      const observer = createObserver({ bits: 4, method });
      observer.observe(values);
      assert.ok(observer.range()[1] > 0, method);
    }
    for (const schedule of schedules)
      assert.equal(prunePlan({ schedule, sparsity: 0.9, steps: 3 }).at(-1), 0.9);
    for (const start of clusterStarts)
      assert.equal(clusterWeights(values, { clusters: 4, method: "lloyd", start }).codebook.length, 4, start);
  });
});

describe("closed vocabularies: changed sources", function () {
  this.timeout(300_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-vocabulary-"));
    await symlink(join(packageRoot, "node_modules"), join(folder, "node_modules"), "junction");
    await cp(join(packageRoot, "package.json"), join(folder, "package.json"));
    const { compilerOptions } = JSON.parse(await readFile(join(packageRoot, "tsconfig.json"), "utf8"));
    await writeFile(
      join(folder, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { ...compilerOptions, incremental: false, noEmitOnError: true },
        files: ["lib/pipeline/index.ts", "lib/util/wasm-modules.d.ts"],
      }),
    );
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** A fresh copy of the sources with texts replaced, compiled; what the compiler says. */
  async function compile(
    changes: Record<string, [from: string, to: string][]>,
    added: Record<string, string> = {},
  ): Promise<string[]> {
    await rm(join(folder, "lib"), { recursive: true, force: true });
    await cp(join(packageRoot, "lib"), join(folder, "lib"), { recursive: true });
    for (const [file, replacements] of Object.entries(changes)) {
      let text = await readFile(join(folder, file), "utf8");
      for (const [from, to] of replacements) {
        assert.ok(text.includes(from), `${file} has ${from}`);
        text = text.replace(from, to);
      }
      await writeFile(join(folder, file), text);
    }
    for (const [file, text] of Object.entries(added)) await writeFile(join(folder, file), text);
    const compiler = join(packageRoot, "node_modules/typescript/bin/tsc");
    const { stdout } = spawnSync(process.execPath, [compiler, "-p", folder], {
      encoding: "utf8",
      cwd: folder,
    });
    return stdout.split("\n").filter((line) => line.includes(": error TS"));
  }

  it("words without an algorithm, and algorithms in each other's place, do not compile", async () => {
    const errors = await compile({
      "lib/quantization/range.ts": [[`"kl"] as const`, `"kl", "median"] as const`]],
      "lib/pruning/strategies.ts": [[`"layerThreshold"] as const`, `"layerThreshold", "byLuck"] as const`]],
      "lib/pruning/schedule.ts": [[`"oneShot"] as const`, `"oneShot", "sine"] as const`]],
      "lib/nn/importance.ts": [[`"obd"] as const`, `"obd", "luck"] as const`]],
      "lib/pipeline/techniques.ts": [
        [
          "  cluster,\n  factorize,\n  distill,\n  fineTune,\n}",
          "  cluster: distill,\n  factorize,\n  distill,\n  fineTune,\n}",
        ],
      ],
    });
    for (const file of [
      "lib/quantization/range.ts",
      "lib/pruning/strategies.ts",
      "lib/pruning/schedule.ts",
      "lib/nn/importance.ts",
      "lib/pipeline/techniques.ts",
    ])
      assert.ok(
        errors.some((line) => line.startsWith(file)),
        `no error in ${file}; the compiler says:\n${errors.join("\n")}`,
      );
  });

  it("a new technique, range method, score and schedule: one entry each, and its algorithm", async () => {
    const errors = await compile(
      {
        "lib/quantization/range.ts": [
          [`"kl"] as const`, `"kl", "half"] as const`],
          ["  max: ({", "  half: ({ min, max }) => [min / 2, max / 2],\n  max: ({"],
        ],
        "lib/pruning/schedule.ts": [
          [`"oneShot"] as const`, `"oneShot", "square"] as const`],
          ["    oneShot: (", "    square: (t) => sparsity * t ** 2,\n    oneShot: ("],
        ],
        "lib/nn/importance.ts": [
          [`"obd"] as const`, `"obd", "squared"] as const`],
          [
            "  magnitude: {",
            "  squared: { needs: [], of: ({ weights }) => weights.map((x) => x * x) },\n  magnitude: {",
          ],
        ],
        "lib/pipeline/techniques.ts": [
          ["import { quantize }", `import { negate } from "./techniques/negate.ts";\nimport { quantize }`],
          [`  "fineTune",\n]`, `  "fineTune",\n  "negate",\n]`],
          ["  fineTune,\n} satisfies", "  fineTune,\n  negate,\n} satisfies"],
        ],
      },
      {
        "lib/pipeline/techniques/negate.ts": `
          import { setWeights, weightsOf } from "../../nn/index.ts";
          import { layerNames } from "../fields.ts";
          import { type Common, layersOf, type Technique } from "../technique.ts";
          export interface Negate extends Common { technique: "negate"; layers?: readonly string[] }
          export const negate: Technique<Negate> = {
            name: "negate",
            fields: { layers: layerNames },
            async run({ model }, { layers }) {
              const weights = weightsOf(model);
              const names = layersOf(model, layers);
              setWeights(model, Object.fromEntries(names.map((name) => [name, weights[name].map((w) => -w)])));
              return { note: names.join(" and ") };
            },
          };`,
      },
    );
    assert.deepEqual(errors, []);
    const script = `
      import { tf } from "./dist/lib/nn/index.js";
      import { checkRecipe, runRecipe, techniqueNames } from "./dist/lib/pipeline/index.js";
      import { prunePlan } from "./dist/lib/pruning/index.js";
      import { quantize } from "./dist/lib/quantization/index.js";
      const model = tf.sequential({ layers: [
        tf.layers.flatten({ inputShape: [2, 2, 1] }), tf.layers.dense({ name: "fc", units: 2, activation: "softmax" })] });
      model.getLayer("fc").setWeights([tf.tensor([1, 2, -3, 4, 5, -6, 7, 8], [4, 2]), tf.tensor([0, 0])]);
      const split = { images: new Uint8Array(16).fill(9), labels: new Uint8Array(4), count: 4, height: 2, width: 2, channels: 1 };
      const recipe = [{ technique: "pruneWeights", sparsity: 0.5, score: "squared" }, { technique: "negate", layers: ["fc"] },
        { technique: "quantize", bits: 4, range: "half", perChannel: false }];
      const result = await runRecipe(model, { train: split, test: split }, recipe, { cache: false });
      const { model: after } = await result.load();
      let message;
      try { checkRecipe([{ technique: "negate", layer: 1 }]); } catch (error) { message = error.message; }
      console.log(JSON.stringify({
        last: techniqueNames.at(-1), message, plan: prunePlan({ schedule: "square", sparsity: 0.8, steps: 2 }),
        weights: [...after.getLayer("fc").getWeights()[0].dataSync()],
        scale: quantize(Float32Array.of(-1, 0.5, 1), { bits: 4, range: "half" }).scale[0],
      }));`;
    // What the build makes of .wat files is beside the compiler's output.
    await cp(join(packageRoot, "dist/lib"), join(folder, "dist/lib"), {
      recursive: true,
      filter: (path) => !/\.(js|map|ts)$/.test(path) || path.endsWith(".wasm.js"),
    });
    await writeFile(join(folder, "try.js"), script);
    const { stdout, stderr } = spawnSync(process.execPath, ["try.js"], { encoding: "utf8", cwd: folder });
    assert.ok(stdout, stderr);
    const { last, message, plan, weights, scale } = JSON.parse(stdout.split("\n").findLast(Boolean)!);
    assert.equal(last, "negate");
    assert.match(message, /step 1 \(negate\): there is no field "layer"; there are layers, seed/);
    assert.deepEqual(plan, [0.2, 0.8]);
    assert.equal(scale, Math.fround(0.5 / 7));
    // Pruned to -5, 6, -7, -8; their range of -8 to 6 halved clips all of them to ±4.
    assert.deepEqual(weights, [0, 0, 0, 0, -4, 4, -4, -4]);
  });
});
