// The workbook's chapters on a page, in a real browser: with the kernel, library and data that `slimlab site` ships.
// SLIMLAB_SITE=all runs every chapter; without it those that take a few seconds.
import assert from "node:assert/strict";
import { join } from "node:path";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import { lenet300, train, useBackend } from "../../lib/nn/index.ts";
import { findChapters, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { bundleKernel, type KernelBundle } from "../../lib/site/bundle.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { browserPath } from "../book/browser.ts";
import { WebSession } from "../kernel/web.ts";

const quick = ["1.1", "1.2", "3.3.1"];

describe("site: the library on a page", function () {
  this.timeout(1_800_000);
  let bundle: KernelBundle;
  let session: WebSession;
  before(async function () {
    if (!browserPath()) {
      console.log("      (no Chromium here: skipped)");
      this.skip();
    }
    bundle = await bundleKernel();
  });
  beforeEach(async () => {
    session = await WebSession.start(false, bundle);
  });
  afterEach(() => session?.stop());

  const value = async (code: string): Promise<string> => {
    const { status, content, outputs } = await session.execute(code);
    assert.equal(status, "ok", `${content.ename}: ${content.evalue}`);
    const result = outputs.find((output) => output.output_type === "execute_result");
    return result && "data" in result ? String(result.data["text/plain"]) : "";
  };

  it("chapters run to their ends without an error", async () => {
    const chapters = await findChapters(join(packageRoot, "notebooks"));
    const wanted = (number: string) => process.env.SLIMLAB_SITE === "all" || quick.includes(number);
    for (const { path, number, language } of chapters) {
      if (language !== "en" || !wanted(number)) continue; // Both editions have the same code.
      await session.stop();
      session = await WebSession.start(false, bundle);
      const begun = performance.now();
      for (const [i, cell] of (await readNotebook(path)).cells.entries()) {
        if (cell.cell_type !== "code") continue;
        const { status, content } = await session.execute(textOf(cell.source));
        const expected = cell.metadata.tags?.includes("raises-exception") ? "error" : "ok";
        assert.equal(status, expected, `${number}, cell ${i + 1}: ${content.ename}: ${content.evalue}`);
      }
      console.log(`      ${number}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
    }
  });

  it("a network learns to the same numbers as on Node, to the last digit", async () => {
    await useBackend("wasm");
    const { train: all } = await loadDataset("mnist-10k");
    const { epochs } = await train(lenet300(1), subset(all, 512, 1), { epochs: 2, seed: 1 });
    const there = await value(`
      import { loadDataset, subset } from "slimlab/datasets";
      import { lenet300, train, useBackend } from "slimlab/nn";
      await useBackend("wasm");
      const { train: all } = await loadDataset("mnist-10k");
      const { epochs } = await train(lenet300(1), subset(all, 512, 1), { epochs: 2, seed: 1 });
      epochs.map(({ loss, accuracy }) => [loss, accuracy].join(" ")).join("; ")`);
    assert.equal(there, `'${epochs.map(({ loss, accuracy }) => [loss, accuracy].join(" ")).join("; ")}'`);
  });

  it("files are written, read, listed and removed; what ships is there; what a page lacks says so", async () => {
    assert.equal(
      await value(`
        import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
        import { existsSync, readFileSync } from "node:fs";
        import { tmpdir } from "node:os";
        import { join } from "node:path";
        import { gunzipSync, gzipSync } from "node:zlib";
        const folder = await mkdtemp(join(tmpdir(), "mine-"));
        await writeFile(join(folder, "a.txt"), "hello");
        const packed = gzipSync(readFileSync(join(folder, "a.txt")));
        const text = gunzipSync(packed).toString();
        const names = await readdir(folder);
        await rm(folder, { recursive: true });
        [text, names.join(), existsSync(folder), existsSync("/slimlab/datasets/mnist-10k")].join(" ")`),
      "'hello a.txt false true'",
    );
    for (const [code, reason] of [
      [
        `import { readFile as read } from "node:fs/promises"; await read("/nowhere/x")`,
        /ENOENT: no such file/,
      ],
      [`import "node:child_process"`, /a browser has none/],
      [`import { saveModel } from "slimlab/nn"; import "danfojs-node"`, /no module "danfojs-node"/],
    ] as const) {
      const { status, content } = await session.execute(code);
      assert.equal(status, "error");
      assert.match(String(content.evalue), reason);
    }
  });

  it("a server that breaks off in the middle of a file is asked again", async () => {
    const broken = [...bundle.files.keys()].find((path) =>
      path.startsWith("datasets/mnist-10k/train-images"),
    )!;
    session.troubles.set(`/kernel/${broken}`, ["short", "broken"]);
    const count = await value(
      `import { loadDataset } from "slimlab/datasets"; (await loadDataset("mnist-10k")).train.count`,
    );
    assert.equal(count, "8000");
    assert.deepEqual(session.troubles.get(`/kernel/${broken}`), []);
  });
});
