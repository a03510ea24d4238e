import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { build } from "esbuild";
import { availableBackends, describeBackend, ensureBackend, loadDanfo, tf, useBackend } from "slimlab/nn";
import { packageRoot } from "../../lib/util/files.ts";

const exec = promisify(execFile);

/** Runs a script in a fresh process, where no backend has been chosen yet. */
async function node(
  script: string,
  env: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string }> {
  return exec(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: packageRoot,
    env: { ...process.env, SLIMLAB_BACKEND: "", ...env },
  });
}

describe("nn/backend", () => {
  after(async () => {
    await useBackend("wasm");
  });

  it("WASM and plain JavaScript work everywhere, and one line says which runs", async () => {
    const works = await availableBackends();
    assert.ok(works.includes("wasm") && works.includes("cpu"));
    for (const name of works) {
      assert.equal(await useBackend(name), name);
      assert.match(describeBackend(), /^backend: (native|WASM with SIMD|plain JavaScript)[^\n]*$/);
      assert.equal(tf.tensor([1, 2]).square().sum().dataSync()[0], 5);
    }
  });

  it("asking what works does not change what runs", async () => {
    await useBackend("cpu");
    await availableBackends();
    assert.equal(tf.getBackend(), "cpu");
    assert.equal(await ensureBackend(), "cpu");
  });

  it("an unknown backend is an error that lists those that work", async () => {
    await assert.rejects(useBackend("gpu"), (error: Error) => {
      assert.ok(error instanceof RangeError);
      assert.match(
        error.message,
        /^backend must be one of "native", "wasm", "cpu", got "gpu"; these work here: .*wasm, cpu$/,
      );
      return true;
    });
  });

  it("two copies of slimlab that share one TensorFlow.js work side by side, whichever comes first", async () => {
    const copy = await mkdtemp(join(tmpdir(), "slimlab-copy-"));
    try {
      await cp(join(packageRoot, "dist/lib"), join(copy, "dist/lib"), { recursive: true });
      await cp(join(packageRoot, "package.json"), join(copy, "package.json"));
      await symlink(join(packageRoot, "node_modules"), join(copy, "node_modules"), "junction");
      const script = `
        const copies = [];
        for (const file of ${JSON.stringify([packageRoot, copy].map((folder) => pathToFileURL(join(folder, "dist/lib/nn/index.js")).href))})
          copies.push(await import(file));
        const names = [];
        for (const { tf, useBackend } of [...copies, copies[0]]) {
          names.push(await useBackend());
          if (tf.tensor([1, 2]).square().sum().dataSync()[0] !== 5) throw new Error("wrong");
        }
        console.log(copies[0] !== copies[1], new Set(names).size, names[0] === (await copies[1].availableBackends())[0]);`;
      const { stdout, stderr } = await node(script);
      assert.deepEqual([stdout, stderr], ["true 1 true\n", ""]);
    } finally {
      await rm(copy, { recursive: true });
    }
  });

  it("another copy of TensorFlow.js works beside slimlab's; where models of it cannot be taken, the reason is said", async () => {
    const script = `
      import { createRequire } from "node:module";
      import { cloneModel, tf, useBackend, weightsOf } from "slimlab/nn";
      await useBackend();
      const require = createRequire(import.meta.url);
      for (const file of Object.keys(require.cache)) delete require.cache[file];
      console.warn = () => {}; // It says of each of its kernels that it is there already.
      const other = require("@tensorflow/tfjs");
      const model = other.sequential({ layers: [other.layers.dense({ name: "d", units: 2, inputShape: [3] })] });
      console.log(other !== tf && other.Tensor !== tf.Tensor, model.predict(tf.ones([1, 3])).shape.join(), weightsOf(model).d.length);
      try { cloneModel(model); } catch (error) { console.log(String(error)); }`;
    assert.match(
      (await node(script)).stdout,
      /^true 1,2 6\nTypeError: model must be one of slimlab's .* another copy\n$/,
    );
  });

  it("the fastest one that loads is chosen, without a banner", async () => {
    const script = `
      import { availableBackends, describeBackend, tf, useBackend } from "slimlab/nn";
      const name = await useBackend();
      tf.tensor([1]).square().dataSync();
      console.log(name === (await availableBackends())[0], describeBackend());`;
    const { stdout, stderr } = await node(script);
    assert.match(stdout, /^true backend: [^\n]*\n$/);
    assert.equal(stderr, "");
  });

  it("SLIMLAB_BACKEND forces one, and training functions heed it without useBackend", async () => {
    const script = `
      import { ensureBackend, tf } from "slimlab/nn";
      tf.tensor([1]).square().dataSync();
      console.log(await ensureBackend(), tf.getBackend());`;
    for (const name of ["cpu", "wasm"]) {
      const { stdout, stderr } = await node(script, { SLIMLAB_BACKEND: name });
      assert.equal(stdout, `${name} ${name}\n`);
      assert.equal(stderr, "");
    }
    const asked = script.replace(
      "tf.tensor",
      "await (await import('slimlab/nn')).availableBackends(); tf.tensor",
    );
    assert.equal((await node(asked, { SLIMLAB_BACKEND: "cpu" })).stdout, "cpu cpu\n");
    await assert.rejects(
      node(`import { useBackend } from "slimlab/nn"; await useBackend();`, { SLIMLAB_BACKEND: "webgl" }),
      /SLIMLAB_BACKEND must be one of "native", "wasm", "cpu", got "webgl"; these work here/,
    );
  });

  it("a backend that cannot load is an error that says why and lists those that work", async function () {
    if ((await availableBackends()).includes("native")) this.skip();
    await assert.rejects(
      useBackend("native"),
      /backend "native" does not work here: .+; these work here: wasm, cpu/,
    );
  });

  it("WASM leaves uncaught errors and rejections to whoever handles them", async () => {
    const script = `
      import { useBackend } from "slimlab/nn";
      await useBackend("wasm");
      process.on("uncaughtException", (error) => console.log("caught", error.message));
      process.on("unhandledRejection", (error) => console.log("rejected", error.message));
      Promise.reject(new Error("one"));
      setTimeout(() => { throw new Error("two"); });
      setTimeout(() => console.log("alive"), 20);`;
    const { stdout } = await node(script);
    assert.equal(stdout, "rejected one\ncaught two\nalive\n");
  });

  it("modules, require and a bundler for Node get all of TensorFlow.js", async () => {
    const required = createRequire(import.meta.url)("#tfjs") as Record<string, unknown>;
    const imported = (await import("#tfjs")) as Record<string, unknown>;
    for (const name of new Set([...Object.keys(required), ...Object.keys(imported)]))
      assert.equal(imported[name], required[name], name);
    const contents = 'import { tensor, version } from "#tfjs"; console.log(typeof tensor, version.tfjs);';
    const { outputFiles } = await build({
      stdin: { contents, resolveDir: packageRoot },
      bundle: true,
      write: false,
      platform: "node",
      format: "cjs",
      logLevel: "error",
    });
    // Without a package beside it: all that it needs is in it.
    const program = { cwd: tmpdir(), input: outputFiles[0].text, encoding: "utf8" } as const;
    assert.equal(execFileSync(process.execPath, ["-"], program), `function ${tf.version.tfjs}\n`);
  });

  it("a cell's own import of @tensorflow/tfjs is the same instance", async () => {
    const own = await import("@tensorflow/tfjs");
    assert.equal(own.engine(), tf.engine());
    assert.equal(own.LayersModel, tf.LayersModel);
  });

  it("danfojs computes on every backend", async () => {
    const danfo = await loadDanfo();
    for (const name of await availableBackends()) {
      await useBackend(name);
      const frame = new danfo.DataFrame({ bits: [2, 4, 8], error: [0.5, 0.25, 0.125] });
      assert.deepEqual(frame.mul(2).values, [
        [4, 1],
        [8, 0.5],
        [16, 0.25],
      ]);
      assert.ok(Math.abs(frame.column("bits").mean() - 14 / 3) < 1e-6);
    }
  });

  it("a plain import of danfojs-node works once slimlab/nn is loaded, and is not loaded before", async () => {
    const script = `
      import { createRequire } from "node:module";
      import { tf, useBackend } from "slimlab/nn";
      await useBackend("wasm");
      const loaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes("danfojs"));
      console.log(loaded());
      const dfd = await import("danfojs-node");
      const frame = new dfd.DataFrame({ a: [1, 2, 3], b: [4, 5, 6] });
      console.log(loaded(), JSON.stringify(frame.add([1, 2]).values), tf.getBackend());`;
    const { stdout } = await node(script);
    assert.equal(stdout, "false\ntrue [[2,6],[3,7],[4,8]] wasm\n");
  });
});
