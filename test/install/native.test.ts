import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { checkNative, findTfjsNode, installNative, moveIn, removeNative } from "../../lib/install/native.ts";

const linux = process.platform === "linux" && process.arch === "x64";
const python = ["python3", "python"].find((name) => {
  try {
    execFileSync(name, ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
});

describe("slimlab native", function () {
  this.timeout(300_000);
  let root: string;
  let tfjsNode: string;
  let lines: string[];
  const log = (line: string) => lines.push(line);

  // The real tfjs-node as npm leaves it, in a node_modules of its own that borrows every other package.
  beforeEach(async () => {
    lines = [];
    root = await mkdtemp(join(tmpdir(), "slimlab-native-"));
    const real = findTfjsNode();
    const modules = dirname(dirname(real));
    tfjsNode = join(root, "node_modules/@tensorflow/tfjs-node");
    await mkdir(dirname(tfjsNode), { recursive: true });
    for (const [from, to] of [
      [modules, join(root, "node_modules")],
      [dirname(real), dirname(tfjsNode)],
    ]) {
      for (const name of await readdir(from))
        if (name !== "@tensorflow" && name !== "tfjs-node") await symlink(join(from, name), join(to, name));
    }
    const built = [join(real, "deps"), join(real, "lib")];
    await cp(real, tfjsNode, { recursive: true, filter: (path) => !built.includes(path) });
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  /** Every file of the package with its checksum, and whatever lies in the two folders around it. */
  async function snapshot(): Promise<string[]> {
    const files = await readdir(tfjsNode, { recursive: true, withFileTypes: true });
    return [
      ...files
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((path) => `${path} ${createHash("sha1").update(readFileSync(path)).digest("hex")}`),
      ...(await readdir(join(root, "node_modules"))),
      ...(await readdir(dirname(tfjsNode))),
    ].sort();
  }

  /** A file that may pass for a wheel, and its checksum. */
  async function garbage(text = "no wheel"): Promise<{ wheel: string; wheelSha256: string }> {
    const wheel = join(root, "some.whl");
    await writeFile(wheel, text);
    return { wheel, wheelSha256: createHash("sha256").update(text).digest("hex") };
  }

  async function failsAndLeavesAll(
    options: Parameters<typeof installNative>[0],
    ...messages: RegExp[]
  ): Promise<void> {
    const before = await snapshot();
    await assert.rejects(installNative({ tfjsNode, log, ...options }), (error: Error) => {
      for (const message of [/the installation is as it was/, ...messages])
        assert.match(error.message, message);
      return true;
    });
    assert.deepEqual(await snapshot(), before);
  }

  it("says that an installation without the addon does not work, and why", async () => {
    const { works, reason } = await checkNative(tfjsNode);
    assert.equal(works, false);
    assert.match(reason!, /native addon module \(tfjs_binding\.node\) can not be found/);
  });

  it("tries the official host first and names its answer", async () => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url!);
      response.writeHead(403).end();
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const host = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      const { wheel } = await garbage();
      await failsAndLeavesAll(
        { official: true, wheel, env: { TFJS_NODE_CDN_STORAGE: host } },
        /The official binary: .*(403|install)/,
        linux ? /The build against PyPI's wheel: step "verify"/ : /works only on Linux/,
      );
      assert.ok(asked.length > 0);
    } finally {
      server.close();
    }
  });

  it("refuses an official archive with a wrong checksum", async function () {
    if (process.arch !== "x64" || process.platform === "win32") this.skip();
    const server = createServer((_, response) => response.end("something else"));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const host = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      const { wheel } = await garbage();
      await failsAndLeavesAll(
        { official: true, wheel, env: { TFJS_NODE_CDN_STORAGE: host } },
        /step "download": libtensorflow-cpu-.*2\.9\.1\.tar\.gz has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64}/,
      );
    } finally {
      server.close();
    }
  });

  it("works on Linux x64 only where the wheel is concerned, and says so elsewhere", async function () {
    if (linux) this.skip();
    await failsAndLeavesAll({ ...(await garbage()) }, /works only on Linux x64 with glibc, this is /);
  });

  for (const [what, env, message] of [
    [
      "compiler",
      { CXX: "/no/such/c++" },
      /step "compile": \/no\/such\/c\+\+ cannot be run: install a C\+\+17 compiler/,
    ],
    [
      "Python",
      { PYTHON: "/no/such/python" },
      /step "download": \/no\/such\/python cannot be run: install Python 3/,
    ],
  ] as [string, Record<string, string>, RegExp][]) {
    it(`names a missing ${what} and what to do`, async function () {
      if (!linux || !python) this.skip();
      await failsAndLeavesAll({ ...(await garbage()), env }, message);
    });
  }

  it("refuses a wheel with a wrong checksum, and one that is not there", async function () {
    if (!linux || !python) this.skip();
    const { wheel } = await garbage();
    await failsAndLeavesAll(
      { wheel },
      /step "verify": .*some\.whl has SHA-256 [0-9a-f]{64}, expected [0-9a-f]{64} \(tensorflow-cpu==/,
    );
    await failsAndLeavesAll(
      { wheel: join(root, "none.whl") },
      /step "verify": .*none\.whl cannot be read \(ENOENT\)/,
    );
  });

  it("names the step when the wheel is no archive", async function () {
    if (!linux || !python) this.skip();
    await failsAndLeavesAll(await garbage(), /step "unpack": .*BadZipFile/s);
  });

  it("names the step when the wheel lacks what the addon needs", async function () {
    if (!linux || !python) this.skip();
    const wheel = join(root, "empty.whl");
    const script =
      "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w')\n" +
      "for n in ('cc', 'framework'): z.writestr('tensorflow/libtensorflow_%s.so.2' % n, b'no library')\nz.close()";
    execFileSync(python!, ["-c", script, wheel]);
    const wheelSha256 = createHash("sha256").update(readFileSync(wheel)).digest("hex");
    await failsAndLeavesAll({ wheel, wheelSha256 }, /step "compile": .*tensorflow\/c\/.*\.h/s);
  });

  it("puts back what was there when moving in fails half-way", async () => {
    const staging = await mkdtemp(join(root, "staging-"));
    await mkdir(join(tfjsNode, "deps"));
    await writeFile(join(tfjsNode, "deps/old"), "old");
    await mkdir(join(staging, "tfjs-node/deps"), { recursive: true }); // and no lib beside it
    const before = await snapshot();
    await assert.rejects(moveIn(join(staging, "tfjs-node"), tfjsNode, staging), { code: "ENOENT" });
    assert.deepEqual(await snapshot(), before);
  });

  it("is taken out whole", async () => {
    await mkdir(join(tfjsNode, "deps/lib"), { recursive: true });
    await mkdir(join(tfjsNode, "lib/napi-v8"), { recursive: true });
    assert.equal(await removeNative(tfjsNode), true);
    assert.equal(existsSync(join(tfjsNode, "deps")) || existsSync(join(tfjsNode, "lib")), false);
    assert.equal(await removeNative(tfjsNode), false);
  });

  it("brings a backend that trains (only with SLIMLAB_TEST_NATIVE=1: downloads 207 MB)", async function () {
    if (process.env.SLIMLAB_TEST_NATIVE !== "1") this.skip();
    this.timeout(1_200_000);
    // Headers from npm's package, as for a Node that came without: the rest of the way is the same.
    const status = await installNative({ tfjsNode, log, env: { SLIMLAB_NODE_HEADERS: "npm" } });
    assert.equal(status.works, true);
    assert.deepEqual(await checkNative(tfjsNode), status);
    assert.deepEqual(
      (await readdir(join(root, "node_modules"))).filter((name) => name.startsWith(".slimlab")),
      [],
    );
    const script = `
      const util = require("node:util");
      util.isNullOrUndefined ??= (value) => value == null;
      util.isArray ??= Array.isArray;
      (async () => {
        const tf = require(${JSON.stringify(tfjsNode)});
        const { loadDataset, subset, toFloat } = await import(${JSON.stringify(import.meta.resolve("../../lib/datasets/index.js"))});
        const { train, test } = await loadDataset("mnist-10k");
        const some = subset(train, 2000);
        const model = tf.sequential({ layers: [
          tf.layers.dense({ inputShape: [784], units: 64, activation: "relu" }),
          tf.layers.dense({ units: 10, activation: "softmax" }) ] });
        model.compile({ optimizer: tf.train.adam(0.003), loss: "categoricalCrossentropy", metrics: ["acc"] });
        const pair = (split) => [tf.tensor2d(toFloat(split), [split.count, 784]),
          tf.oneHot(tf.tensor1d(split.labels, "int32"), 10)];
        await model.fit(...pair(some), { epochs: 3, batchSize: 50, verbose: 0 });
        console.log("accuracy:" + model.evaluate(...pair(test))[1].dataSync()[0]);
      })();`;
    const output = execFileSync(process.execPath, ["-e", script], {
      encoding: "utf8",
      env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "2" },
    });
    const accuracy = Number(/accuracy:([\d.]+)/.exec(output)?.[1]);
    assert.ok(accuracy > 0.85, `test accuracy ${accuracy}`);
  });
});
