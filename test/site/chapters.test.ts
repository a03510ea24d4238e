// The workbook's chapters on a page, in a real browser: with the kernel, library and data that `slimlab site` ships.
// SLIMLAB_SITE=all runs every chapter and compares each cell with Node's, and with it `npm run test:one -- site` also runs
// the Chinese edition in JupyterLite; SLIMLAB_SITE=4.1,4.4 does so for some.
import assert from "node:assert/strict";
import { join } from "node:path";
import { findChapters } from "../../lib/notebook/notebook.ts";
import type { KernelBundle } from "../../lib/site/bundle.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { browserPath } from "../book/browser.ts";
import { WebSession } from "../kernel/web.ts";
import {
  isWanted,
  resultOf,
  runChapter,
  runOnNode,
  shownBy,
  siteKernel,
  startAnew,
  trainedOnNode,
  training,
} from "./running.ts";

/** Chapters that are compared on each landing, too: running them on Node takes seconds. */
const comparedAlways = ["1.1", "1.2", "3.3.1"];

/** Cells that show times, which differ between any two runs. */
const timed = new Set([
  "1.1 latency",
  "3.1.1 clock-plot",
  "3.1.2 clock",
  "3.1.2 clock-plot",
  "3.1.3 clock-plot",
  "3.1.3 slider",
  "3.2.1 speed-run",
  "3.2.2 speed-plot",
  "3.2.2 bits-plot",
  "3.3.1 exact",
  "3.3.1 latency",
  "3.3.2 time",
  "4.1 speed",
  "4.3 run",
  "5 speed",
]);

/** Cells that show bytes after deflate, which Node and pages do by two programs; some show times or folders as well. */
const deflated = new Set([
  "2.3 recipe",
  "4.1 exercise-c",
  "4.2 recipe",
  "4.2 deploy",
  "4.3 paper",
  "4.3 paper-table",
  "4.3 coder",
  "5 sums",
]);

/** Cells that run files in engines, which pages have not. */
const inEngines = new Set(["3.2.1 engines", "4.2 engines"]);

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
    session = await WebSession.start(false, bundle);
  });
  after(() => session?.stop());
  // One page for all: a worker that is started anew has no names and no modules.
  beforeEach(() => startAnew(session));

  const value = (code: string) => resultOf(session, code);

  it("chapters run to their ends without an error, to Node's numbers", async () => {
    const chapters = await findChapters(join(packageRoot, "notebooks"));
    const different: string[] = [];
    for (const chapter of chapters) {
      if (chapter.language !== "en" || !isWanted(chapter)) continue; // Both editions have the same code.
      const { number } = chapter;
      await startAnew(session);
      const { cells } = await runChapter(session, chapter);
      if (process.env.SLIMLAB_SITE === undefined && !comparedAlways.includes(number)) continue;
      const onNode = await runOnNode(chapter);
      let compared = 0;
      for (const [i, cell] of cells.entries()) {
        const name = `${number} ${cell.id}`;
        if (cell.cell_type !== "code" || [timed, deflated, inEngines].some((set) => set.has(name))) continue;
        const [here, there] = [cell, onNode.cells[i]].map((each) => JSON.stringify(shownBy(each)));
        if (here !== there) different.push(`${name}: ${here}\nis on Node ${there}`);
        compared++;
      }
      console.log(`      ${number}: ${compared} cells are as on Node`);
    }
    assert.deepEqual(different, []);
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
