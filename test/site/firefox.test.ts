// The kernel and the site's library in Firefox: the table of cells, an interrupt, chapters, a training to Node's numbers.
import assert from "node:assert/strict";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { findChapters } from "../../lib/notebook/notebook.ts";
import type { KernelBundle } from "../../lib/site/bundle.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { cases, runCase } from "../kernel/cases.ts";
import { firefoxPath } from "../kernel/firefox.ts";
import { WebSession } from "../kernel/web.ts";
import { resultOf, runChapter, siteKernel, startAnew, trainedOnNode, training } from "./running.ts";

/** Starts Firefox with a kernel before the tests and ends it after them; without a Firefox they are left out. */
function firefoxKernel(kernel: () => Promise<KernelBundle | "typed">): () => WebSession {
  let session: WebSession;
  before(async function () {
    if (!firefoxPath()) {
      console.log("      (no Firefox here: skipped)");
      this.skip();
    }
    session = await WebSession.start(false, await kernel(), "firefox");
  });
  after(() => session?.stop());
  return () => session;
}

describe("kernel: cells, in Firefox", function () {
  this.timeout(300_000);
  const session = firefoxKernel(async () => "typed");
  for (const each of cases.filter(({ notIn }) => !notIn?.firefox))
    it(each.name, () => runCase(each, (code) => session().execute(code)));

  it("an error shows its place and the calls that led there, also from a wait, by eval and in print", async () => {
    await session().execute("function deep(x: any) {\n  return x.y.z;\n}");
    const { content } = await session().execute(
      "const late = async () => {\n  await 0;\n  deep({});\n};\nawait late();",
    );
    assert.equal(content.ename, "TypeError");
    const text = stripVTControlCharacters(content.traceback.join("\n"));
    assert.match(
      text,
      /Cell \[\d+\], line 2, [\s\S]*> 2 \| {3}return x\.y\.z[\s\S]*at deep \(Cell[\s\S]*at late \(Cell \[\d+\]:3:/,
    );
    const { outputs } = await session().execute("console.log(new RangeError('printed'))");
    assert.match(JSON.stringify(outputs), /RangeError: printed\\n {4}at Cell \[\d+\]:1:13/);
    const evaluated = await session().execute("\neval('1 +')");
    assert.match(stripVTControlCharacters(evaluated.content.traceback.join("\n")), /line 2, column 1/);
  });

  it("each message is as the protocol's reference says", async () => {
    assert.deepEqual(await session().faults(), []);
  });
});

describe("site: the library in Firefox", function () {
  this.timeout(300_000);
  const session = firefoxKernel(siteKernel);

  it("a loop that never ends is interrupted", async () => {
    await startAnew(session());
    assert.equal(await resultOf(session(), "6 * 7"), "42");
  });

  // Others run there in JupyterLite (test/lab/firefox.test.ts).
  it("a chapter that trains runs to its end", async () => {
    const chapters = await findChapters(join(packageRoot, "notebooks"));
    const chapter = chapters.find(({ language, number }) => language === "en" && number === "1.2")!;
    await runChapter(session(), chapter);
  });

  it("a network learns to the same numbers as on Node, to the last digit", async () => {
    assert.equal(await resultOf(session(), training), await trainedOnNode());
  });
});
