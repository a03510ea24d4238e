// The workbook's chapters on a page, in a real browser: with the kernel, library and data that `slimlab site` ships.
// SLIMLAB_SITE=all runs every chapter; without it those that take a few seconds.
import assert from "node:assert/strict";
import { join } from "node:path";
import { findChapters } from "../../lib/notebook/notebook.ts";
import type { KernelBundle } from "../../lib/site/bundle.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { browserPath } from "../book/browser.ts";
import { WebSession } from "../kernel/web.ts";
import { resultOf, runChapter, siteKernel, trainedOnNode, training } from "./running.ts";

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
    bundle = await siteKernel();
  });
  beforeEach(async () => {
    session = await WebSession.start(false, bundle);
  });
  afterEach(() => session?.stop());

  const value = (code: string) => resultOf(session, code);

  it("chapters run to their ends without an error", async () => {
    const chapters = await findChapters(join(packageRoot, "notebooks"));
    const wanted = (number: string) => process.env.SLIMLAB_SITE === "all" || quick.includes(number);
    for (const chapter of chapters) {
      if (chapter.language !== "en" || !wanted(chapter.number)) continue; // Both editions have the same code.
      await session.stop();
      session = await WebSession.start(false, bundle);
      await runChapter(session, chapter);
    }
  });

  it("a network learns to the same numbers as on Node, to the last digit", async () => {
    assert.equal(await value(training), await trainedOnNode());
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
    assert.equal(
      await value(
        `import is = require("node:assert"); import whole = require("node:fs"); is(true); typeof whole.existsSync`,
      ),
      "'function'",
    );
    for (const [code, reason] of [
      [
        `import { readFile as read } from "node:fs/promises"; await read("/nowhere/x")`,
        /ENOENT: no such file/,
      ],
      [`import "node:child_process"`, /a browser has none/],
      [`import child = require("node:child_process"); child`, /a browser has none/],
      [
        `require("node:fs").existsSync("x")`,
        /a page has to wait for its modules: import x = require\("node:fs"\)/,
      ],
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
