import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startKernel } from "../../lib/kernel/client.ts";
import { leftOver, ownPrefix, topForSockets } from "../../lib/util/temporary.ts";

describe("kernel: sockets in a folder", function () {
  this.timeout(300_000);
  before(function () {
    if (process.platform === "win32") this.skip(); // ZeroMQ has none there
  });

  it("a cell runs over ipc, and a folder that is given stays", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-ipc-"));
    try {
      const kernel = await startKernel({ transport: "ipc", folder, args: ["--check=off"] });
      assert.equal(kernel.connection.transport, "ipc");
      const { outputs } = await kernel.execute("6 * 7");
      assert.match(JSON.stringify(outputs), /"42"/);
      assert.ok((await kernel.heartbeat()) >= 0);
      await kernel.shutdown();
      assert.ok((await readdir(folder)).includes("connection.json"));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("a temporary folder of a long name has its sockets elsewhere, and what is left there is found", async () => {
    const { TMPDIR } = process.env;
    const long = await mkdtemp(join(tmpdir(), "slimlab-long-name-".repeat(6)));
    let left = "";
    try {
      process.env.TMPDIR = long;
      const kernel = await startKernel({ transport: "ipc", args: ["--check=off"] });
      assert.ok(!kernel.connection.ip.startsWith(long), kernel.connection.ip);
      assert.match(JSON.stringify((await kernel.execute("6 * 7")).outputs), /"42"/);
      await kernel.shutdown();
      const { pid } = spawnSync(process.execPath, ["--version"]);
      const dead = ownPrefix("slimlab-test-", topForSockets()).replace(`-${process.pid}-`, `-${pid}-`);
      left = await mkdtemp(dead);
      assert.ok((await leftOver("slimlab-test-")).includes(left));
    } finally {
      if (TMPDIR === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = TMPDIR;
      await rm(long, { recursive: true });
      if (left) await rm(left, { recursive: true });
    }
  });

  it("however many kernels run, this process listens for its own end once: Node warns where more than ten do", async () => {
    const before = process.listenerCount("exit");
    const kernels = await Promise.all(
      [1, 2].map(() => startKernel({ transport: "ipc", args: ["--check=off"] })),
    );
    assert.equal(process.listenerCount("exit"), before + 1);
    await Promise.all(kernels.map((kernel) => kernel.shutdown()));
    assert.equal(process.listenerCount("exit"), before);
  });

  it("a folder whose sockets would have too long a name is refused", async () => {
    const folder = join(tmpdir(), "x".repeat(100));
    await assert.rejects(startKernel({ transport: "ipc", folder }), /folder must be at most 90 bytes long/);
  });
});
