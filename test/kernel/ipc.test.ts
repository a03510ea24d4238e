import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startKernel } from "../../lib/kernel/client.ts";

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

  it("a folder whose sockets would have too long a name is refused", async () => {
    const folder = join(tmpdir(), "x".repeat(100));
    await assert.rejects(startKernel({ transport: "ipc", folder }), /folder must be at most 90 bytes long/);
  });
});
