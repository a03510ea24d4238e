// The code on the start pages is what a reader copies first: it runs as it stands, and does what the page says.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chapterOf, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { describe as inWords } from "../../lib/notebook/report.ts";
import { runNotebooks } from "../../lib/notebook/runner.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { code, notebook, save } from "../chapters/notebooks.ts";

describe("the start pages", function () {
  this.timeout(300_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-pages-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  /** Runs a page's TypeScript, each block a cell; resolves to what each cell put out. */
  async function run(page: string): Promise<string[]> {
    const text = await readFile(join(packageRoot, "notebooks", page), "utf8");
    const blocks = [...text.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, block]) => block);
    assert.ok(blocks.length > 0, `${page} has no code`);
    const name = page.replace(/\.md$/, ".ipynb");
    const path = await save(join(folder, name), notebook(...blocks.map((block) => code(block))));
    const report = await runNotebooks([chapterOf(path)], {
      output: join(folder, "out"),
      // What recipes keep from step to step goes here, not into the reader's own cache.
      kernel: { cwd: folder, env: { ...process.env, XDG_CACHE_HOME: folder, LOCALAPPDATA: folder } },
    });
    assert.equal(report.chapters[0].status, "ok", report.chapters.map(inWords).join("\n"));
    const { cells } = await readNotebook(join(folder, "out", name));
    return cells.map(({ outputs = [] }) =>
      outputs.map((output) => ("text" in output ? textOf(output.text) : JSON.stringify(output))).join(""),
    );
  }

  it("make a smaller model, for engineers", async () => {
    const [recipe, alone, stored] = await run("engineer.md");
    const rows = [...recipe.matchAll(/^(\w+) ([\d.]+) (\d+)$/gm)];
    assert.deepEqual(
      rows.map(([, technique]) => technique),
      ["original", "pruneWeights", "distill", "quantize"],
    );
    const [before, after] = [rows[0], rows[3]];
    assert.equal((await stat(join(folder, "small.slim"))).size, Number(after[3]));
    assert.ok(Number(before[3]) > 25 * Number(after[3]), recipe);
    assert.ok(Number(before[2]) - Number(after[2]) < 0.02, recipe);
    assert.ok(recipe.includes(`from the file: ${after[2]}`), recipe);
    assert.match(alone, /^1000 weights left, \d+ bytes instead of 40,000/m);
    const [, bytes, floats] = /^(\d+) bytes of weights instead of (\d+): a \d$/m.exec(stored) ?? [];
    assert.ok(Number(bytes) < 0.27 * Number(floats), stored);
  });

  it("show an exercise that is not solved yet, for teachers", async () => {
    const [exercise] = await run("teacher.md");
    assert.match(exercise, /my-exercise/);
    assert.match(exercise, /"passed":false/);
  });
});
