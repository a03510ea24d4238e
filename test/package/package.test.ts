import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { typeFiles } from "../../lib/kernel/types/library.ts";
import { readNotebook } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { slimlabVersion } from "../../lib/util/version.ts";

const run = promisify(execFile);

const typescript = `
import { costOf, type ModelCost } from "slimlab/analysis";
import { type Coding, encodeSymbols } from "slimlab/coding";
import { type Dataset, loadDataset, subset } from "slimlab/datasets";
import { distillationLoss } from "slimlab/distillation";
import { type Svd, svd } from "slimlab/lowrank";
import { layerShapesOf, loadPretrained, type tf, useBackend } from "slimlab/nn";
import { type Recipe, type Row, runRecipe, toDataFrame } from "slimlab/pipeline";
import { Figure, histogram } from "slimlab/plots";
import { globalSparsity, type Masks } from "slimlab/pruning";
import { type Quantized, quantize } from "slimlab/quantization";
import { prepare } from "slimlab/sparse";

await useBackend();
const data: Dataset = await loadDataset("mnist-10k");
const model: tf.LayersModel = await loadPretrained("lenet-300-100");
const cost: ModelCost = costOf(layerShapesOf(model));
const recipe: Recipe = [
  { technique: "pruneWeights", sparsity: 0.5 },
  { technique: "fineTune", epochs: 1 },
];
const images = { train: subset(data.train, 100), test: subset(data.test, 100) };
const result = await runRecipe(model, images, recipe, { cache: false });
const { rows } = result;
const row: Row = rows[2];
const masks: Masks = globalSparsity({ w: Float32Array.of(1, 2, 3, 4) }, 0.5);
const eight: Quantized = quantize(Float32Array.of(1, -2), { bits: 8 });
const { s }: Svd = svd([3, 0, 0, 4], 2, 2);
const coding: Coding = encodeSymbols([0, 1, 0, 0], 2).coding;
// @ts-expect-error a sparsity is a number
const unused = () => globalSparsity({ w: Float32Array.of(1) }, "0.5");
// @ts-expect-error there is no such technique
const wrong: Recipe = [{ technique: "shrink" }];
console.log(
  JSON.stringify({
    parameters: cost.parameters,
    sparsity: row.sparsity,
    kept: [...masks.w],
    codes: [...eight.codes],
    s: [...s],
    coding: typeof coding,
    functions: [distillationLoss, histogram, prepare, Figure].map((f) => typeof f),
    wrong: wrong.length + unused.length,
    table: Object.keys((result as unknown as Record<symbol, () => object>)[Symbol.for("Jupyter.display")]()),
    frame: await toDataFrame(rows).catch(({ message }) => message),
  }),
);
`;

const javascript = `
const { globalSparsity } = await import("slimlab/pruning");
console.log([...globalSparsity({ w: Float32Array.of(1, 2, 3, 4) }, 0.5).w].join());
for (const hidden of ["slimlab", "slimlab/util", "slimlab/install", "slimlab/nothing", "slimlab/dist/lib/cli.js"]) {
  await import(hidden).then(
    () => console.log(hidden, "can be imported"),
    ({ code }) => console.log(code),
  );
}
`;

describe("slimlab as a package", () => {
  let folder: string;
  let project: string;
  let files: { path: string; size: number }[];
  let bytes: number;

  before(async function () {
    this.timeout(300_000);
    folder = await mkdtemp(join(tmpdir(), "slimlab-package-"));
    project = join(folder, "project");
    // What `prepack` does after the build.
    await run(process.execPath, [join(packageRoot, "dist", "lib", "site", "pack.js")]);
    const pack = ["pack", "--json", "--ignore-scripts", "--pack-destination", folder];
    const [packed] = JSON.parse((await run("npm", pack, { cwd: packageRoot })).stdout);
    // No build makes these: the next one would take them away.
    await rm(join(packageRoot, "dist", "lib", "site", dirname(typeFiles.declarations)), { recursive: true });
    files = packed.files;
    bytes = packed.size;
    await mkdir(project);
    await writeFile(
      join(project, "package.json"),
      JSON.stringify({ name: "project", private: true, type: "module" }),
    );
    const install = ["install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"];
    try {
      await run("npm", [...install, join(folder, packed.filename)], { cwd: project });
    } catch (error) {
      const { stderr } = error as { stderr: string };
      // Without a network, and with a cache that lacks something, nothing can be said.
      if (!/ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT/.test(stderr)) throw error;
      console.log("      the registry does not answer, and npm's cache does not have all dependencies");
      this.skip();
    }
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const inProject = (command: string, args: string[]) =>
    run(command, args, { cwd: project, env: { ...process.env, SLIMLAB_BACKEND: "wasm" } });

  it("holds what is needed, and nothing else", async () => {
    const paths = files.map(({ path }) => path);
    for (const needed of [
      "README.md",
      "LICENSE",
      "dist/lib/cli.js",
      "dist/lib/nn/index.d.ts",
      "dist/lib/sparse/product.js",
      "datasets/mnist-10k/train-images-idx3-ubyte.gz",
      "datasets/mnist-10k/README.md",
      "datasets/weights/lenet-5/weights.bin",
      "datasets/weights/lenet-300-100/manifest.json",
      "lib/book/assets/book.css",
      ...Object.values(typeFiles).map((path) => `dist/lib/site/${path}`),
    ])
      assert.ok(paths.includes(needed), `${needed} is missing`);
    assert.ok(paths.some((path) => path.endsWith(".wasm.js")));
    assert.ok(paths.some((path) => path.startsWith("notebooks/")));
    const odd = paths.filter((path) =>
      /(^|\/)(test|\.slimlab|book-out|\.cache)\/|\.map$|tsbuildinfo|\.tgz$/.test(path),
    );
    assert.deepEqual(odd, []);
    // Data sets and trained networks are 13 MB of it, what checks types on a page 1.7.
    assert.ok(bytes < 17e6, `${bytes} bytes`);
  });

  it("works from TypeScript, with types", async function () {
    this.timeout(300_000);
    await writeFile(join(project, "index.ts"), typescript);
    const options = { module: "nodenext", target: "es2023", lib: ["es2023", "dom"], types: ["node"] };
    // TensorFlow.js's own declarations do not hold together without skipLibCheck.
    await writeFile(
      join(project, "tsconfig.json"),
      JSON.stringify({
        compilerOptions: { ...options, strict: true, skipLibCheck: true },
        include: ["*.ts"],
      }),
    );
    const compiler = join(packageRoot, "node_modules", "typescript", "bin", "tsc");
    const { stdout: errors } = await inProject(process.execPath, [compiler, "-p", "."]).catch(
      (error) => error,
    );
    assert.equal(errors, "");
    const { stdout } = await inProject(process.execPath, ["index.js"]);
    assert.deepEqual(JSON.parse(stdout.trim().split("\n").at(-1)!), {
      parameters: 266_610,
      sparsity: 0.5,
      kept: [0, 0, 1, 1],
      codes: [64, -127],
      s: [4, 3],
      coding: "string",
      functions: ["function", "function", "function", "function"],
      wrong: 1,
      table: ["text/plain", "text/html"],
      frame:
        "a DataFrame needs the optional package danfojs-node, which is not installed: npm install --ignore-scripts danfojs-node",
    });
  });

  it("works from plain JavaScript, CommonJS too, and only its rooms can be imported", async () => {
    await writeFile(join(project, "plain.js"), javascript);
    const { stdout } = await inProject(process.execPath, ["plain.js"]);
    assert.deepEqual(stdout.trim().split("\n"), [
      "0,0,1,1",
      ...new Array(5).fill("ERR_PACKAGE_PATH_NOT_EXPORTED"),
    ]);
    await writeFile(
      join(project, "old.cjs"),
      `import("slimlab/quantization").then(({ codeBits }) => console.log(codeBits(64)));`,
    );
    assert.equal((await inProject(process.execPath, ["old.cjs"])).stdout.trim(), "6");
    const manifest = JSON.parse(await readFile(join(project, "node_modules/slimlab/package.json"), "utf8"));
    // Every room that has an index can be imported, but for those that only serve slimlab itself.
    const rooms = (await readdir(join(project, "node_modules/slimlab/dist/lib"), { withFileTypes: true }))
      .filter(
        (entry) =>
          entry.isDirectory() &&
          !["util", "install", "commands", "notebook", "book", "platform", "queue", "site", "texts"].includes(
            entry.name,
          ),
      )
      .map(({ name }) => `./${name}`);
    assert.deepEqual(Object.keys(manifest.exports).sort(), ["./package.json", ...rooms].sort());
    for (const target of Object.values(manifest.exports))
      await readFile(join(project, "node_modules/slimlab", target as string));
    // Declarations that no public one reaches stay at home; one that it does reach would be missed without a word.
    const open = Object.values<string>(manifest.exports).filter((target) => target.endsWith(".js"));
    const seen = new Set(
      open.map((target) => join(project, "node_modules/slimlab", target.replace(/js$/, "d.ts"))),
    );
    for (const file of seen)
      for (const [, path] of (await readFile(file, "utf8")).matchAll(/(?:\bfrom |\bimport\()"(\.[^"]+)"/g))
        seen.add(join(dirname(file), path.replace(/(\.d)?\.[jt]s$/, ".d.ts")));
  });

  it("has its command", async () => {
    const { stdout } = await inProject("npx", ["--no-install", "slimlab", "--help"]);
    assert.match(stdout, /^Usage: slimlab COMMAND/);
    assert.match(stdout, /\n {2}start +\S/);
    const version = await inProject("npx", ["--no-install", "slimlab", "--version"]);
    assert.equal(version.stdout.trim(), slimlabVersion);
  });

  it("runs a chapter, with its kernel, where danfojs is not installed", async function () {
    this.timeout(240_000);
    const chapter = join("node_modules", "slimlab", "notebooks", "1.1-why-compress.ipynb");
    const { stdout } = await inProject("npx", ["--no-install", "slimlab", "run", chapter]);
    const { cells } = await readNotebook(join(packageRoot, "notebooks", "1.1-why-compress.ipynb"));
    const count = cells.filter(({ cell_type }) => cell_type === "code").length;
    assert.match(stdout, new RegExp(`^ok +1\\.1-why-compress\\.ipynb .* ${count} cells$`, "m"));
  });

  it("writes the kernel for JupyterLite, with its types, where no second TypeScript is installed", async () => {
    await inProject("npx", ["--no-install", "slimlab", "site", "extensions", "--kernel-only"]);
    const extension = join(project, "extensions", "slimlab-kernel");
    const { jupyterlab } = JSON.parse(await readFile(join(extension, "package.json"), "utf8"));
    await stat(join(extension, jupyterlab._build.load));
    const written = (await readdir(extension, { recursive: true })).map((path) => path.replaceAll("\\", "/"));
    const declarations = written.find((path) => path.endsWith(typeFiles.declarations))!;
    const { files: known } = JSON.parse(gunzipSync(await readFile(join(extension, declarations))).toString());
    assert.ok(known["/slimlab/dist/lib/nn/index.d.ts"]);
    assert.ok(written.some((path) => path.endsWith("rooms/nn.js")));
  });

  it("takes at most 260 MB, and brings neither the umbrella of TensorFlow.js nor what has known advisories", async () => {
    const installed = join(project, "node_modules");
    const names = await readdir(installed, { recursive: true, withFileTypes: true });
    let blocks = 0;
    for (const entry of names)
      if (entry.isFile()) blocks += Math.ceil((await stat(join(entry.parentPath, entry.name))).size / 4096);
    const megabytes = (blocks * 4096) / 2 ** 20;
    assert.ok(megabytes <= 260, `${megabytes.toFixed(0)} MB`);
    const packages = new Set(await readdir(installed));
    for (const name of await readdir(join(installed, "@tensorflow"))) packages.add(`@tensorflow/${name}`);
    const unwanted = [
      "@tensorflow/tfjs",
      "@tensorflow/tfjs-node",
      "danfojs-node",
      "xlsx",
      "request",
      "tough-cookie",
      "tar",
    ];
    assert.deepEqual(
      unwanted.filter((name) => packages.has(name)),
      [],
    );
  });
});

describe("packing an unbuilt clone", () => {
  it("is refused, and publishing it as well", async function () {
    this.timeout(300_000);
    const clone = await mkdtemp(join(tmpdir(), "slimlab-clone-"));
    try {
      for (const file of ["package.json", ".npmrc", "README.md"])
        await copyFile(join(packageRoot, file), join(clone, file));
      await assert.rejects(run("npm", ["pack"], { cwd: clone }), /ENOENT.*dist/);
      // prepack runs although .npmrc ignores the scripts of an installation, and finds no compiler.
      await assert.rejects(run("npm", ["publish", "--dry-run"], { cwd: clone }), /prepack|build/);
      assert.deepEqual((await readdir(clone)).sort(), [".npmrc", "README.md", "package.json"]);
    } finally {
      await rm(clone, { recursive: true, force: true });
    }
  });
});

describe("the build", () => {
  it("writes nothing where nothing has changed: kernels that start meanwhile find their files whole", async function () {
    this.timeout(300_000);
    const dist = join(packageRoot, "dist");
    const state = async () => {
      const paths = await readdir(dist, { recursive: true });
      const times = await Promise.all(
        paths.map(async (path) => `${path} ${(await stat(join(dist, path))).mtimeMs}`),
      );
      return times.sort();
    };
    const before = await state();
    await run("npm", ["run", "-s", "build"], { cwd: packageRoot });
    assert.deepEqual(await state(), before);
  });
});
