// The table of cases on the kernel of Node; web.test.ts runs the same in a browser.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { KernelClient } from "../../lib/kernel/client.ts";
import { cases, runCase } from "./cases.ts";
import { startKernel } from "./held.ts";

describe("kernel: cells, on Node", function () {
  this.timeout(300_000);
  let kernel: KernelClient;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-cases-"));
    kernel = await startKernel({ cwd: folder, env: { SLIMLAB_HISTORY: "off" } });
  });
  after(async () => {
    await kernel?.shutdown();
    await rm(folder, { recursive: true, force: true });
  });

  for (const each of cases) {
    if (each.notIn?.node) continue;
    it(each.name, () => runCase(each, (code) => kernel.execute(code)));
  }
});
