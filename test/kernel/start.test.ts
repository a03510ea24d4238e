import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { startKernel } from "../../lib/kernel/client.ts";
import { keepVariable, ofThisNode } from "../../lib/kernel/node/kept.ts";
import { packageRoot } from "../../lib/util/files.ts";

describe("kernel: its start from kept code", function () {
  this.timeout(120_000);
  let root: string;
  let folder: string;
  before(() => {
    root = mkdtempSync(join(tmpdir(), "slimlab-start-"));
    const built = join("dist", "lib", "kernel", "node");
    folder = join(root, built);
    mkdirSync(dirname(folder), { recursive: true });
    const isWanted = (path: string) => !/\.(js|ts|map|kept)$/.test(path);
    cpSync(join(packageRoot, built), folder, { recursive: true, filter: isWanted });
    cpSync(join(packageRoot, "package.json"), join(root, "package.json"));
    symlinkSync(join(packageRoot, "node_modules"), join(root, "node_modules"), "junction");
  });
  after(() => rmSync(root, { recursive: true }));

  /** Starts the copy, runs a cell, and returns what the two threads say of their code. */
  async function started(env: Record<string, string> = {}, ...flags: string[]): Promise<string[]> {
    const kernel = await startKernel({
      argv: [process.execPath, ...flags, join(folder, "main.cjs"), "--connection-file", "{connection_file}"],
      env: { SLIMLAB_HISTORY: "off", SLIMLAB_DEBUG: "1", ...env },
    });
    const { outputs } = await kernel.execute("const text: string = String(6 * 7); text + Math.sqrt(4)");
    assert.match(JSON.stringify(outputs), /'422'/);
    await kernel.shutdown();
    return [...kernel.stderr.matchAll(/(\S+)\.bundle\.cjs: (.*)/g)].map(([, name, how]) => `${name} ${how}`);
  }

  const kept = () => readdirSync(folder).filter((name) => name.endsWith(ofThisNode));

  it("compiles where nothing is kept, and takes what it has kept the next time", async () => {
    assert.deepEqual(await started(), ["main compiled", "server-thread compiled"]);
    assert.deepEqual(kept(), []);
    assert.deepEqual(await started({ [keepVariable]: "1" }), ["main compiled", "server-thread compiled"]);
    assert.equal(kept().length, 2);
    const all = ["main as it was kept", "server-thread as it was kept"];
    assert.deepEqual(await started(), all);
    // It is of other settings of V8 then.
    assert.deepEqual(await started({}, "--no-opt"), ["main compiled", "server-thread compiled"]);
    assert.deepEqual(await started(), all);
  });

  it("compiles where what is kept comes from another place: V8 would name scripts by it", async () => {
    const moved = join(root, "dist", "lib", "kernel", "moved");
    cpSync(folder, moved, { recursive: true });
    const before = folder;
    folder = moved;
    try {
      assert.deepEqual(await started(), ["main compiled", "server-thread compiled"]);
    } finally {
      folder = before;
    }
  });

  it("compiles where what is kept is damaged", async () => {
    for (const name of kept()) truncateSync(join(folder, name), 5000);
    assert.deepEqual(await started(), ["main compiled", "server-thread compiled"]);
    for (const name of kept()) await writeFile(join(folder, name), "nothing of V8's");
    assert.deepEqual(await started(), ["main compiled", "server-thread compiled"]);
  });
});
