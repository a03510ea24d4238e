// The whole workbook, as readers get it: every chapter runs on the real kernel, its book opens in a real browser.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Book, buildBook } from "../../lib/book/site.ts";
import { solutionsIn } from "../../lib/classroom/solutions.ts";
import {
  type Chapter,
  findChapters,
  type Notebook,
  readNotebook,
  textOf,
} from "../../lib/notebook/notebook.ts";
import type { RunReport } from "../../lib/notebook/report.ts";
import { describe as inWords } from "../../lib/notebook/report.ts";
import { copyName, runNotebooks } from "../../lib/notebook/runner.ts";
import { textsOf, translateOutputs } from "../../lib/texts/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { seriousTroubles, type View, views } from "../book/axe.ts";
import { browserPath, startBrowser } from "../book/browser.ts";
import { otherAnswers } from "./answers.ts";
import { checksIn, type Outcome, solveIn, troubleIn } from "./exercises.ts";

const notebooks = join(packageRoot, "notebooks");

interface PlotJson {
  data: unknown[];
  layout: { title?: { text?: string }; meta?: { alt?: string }; sliders?: unknown[] };
}

describe("the workbook", function () {
  this.timeout(3_600_000);
  let folder: string;
  let chapters: Chapter[];
  let report: RunReport;
  let book: Book;
  const solved = new Map<string, Outcome[]>();
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-workbook-"));
    chapters = await findChapters(notebooks);
    report = await runNotebooks(chapters, {
      output: join(folder, "run"),
      timeout: 300,
      // A solution is tried where the chapter has just run, for running it once more would take as long again.
      whileOpen: async ({ path, slug }, kernel) => {
        const begun = performance.now();
        solved.set(slug, await solveIn(kernel, await readNotebook(path)));
        // A run that says nothing for long counts as broken off.
        console.log(`      ${slug}: its exercises took ${((performance.now() - begun) / 1000).toFixed(1)} s`);
      },
    });
    book = await buildBook({
      notebooks,
      executed: join(folder, "run"),
      output: join(folder, "book"),
      report,
    });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const executed = (chapter: Chapter) => readNotebook(join(folder, "run", copyName(chapter)));
  const plotsIn = (notebook: Notebook): PlotJson[] =>
    notebook.cells
      .flatMap((cell) => cell.outputs ?? [])
      .map(
        (output) =>
          ("data" in output ? output.data["application/vnd.plotly.v1+json"] : undefined) as PlotJson,
      )
      .filter(Boolean);

  it("runs from top to bottom without an error", async () => {
    assert.ok(chapters.length > 0);
    const failed = report.chapters.filter(({ status }) => status !== "ok");
    assert.equal(failed.length, 0, failed.map(inWords).join("\n"));
    for (const chapter of chapters) {
      for (const [i, cell] of (await executed(chapter)).cells.entries()) {
        const error = cell.outputs?.find((output) => output.output_type === "error");
        const expected = cell.metadata.tags?.includes("raises-exception");
        assert.ok(!error || expected, `${chapter.path}, cell ${i + 1}: ${JSON.stringify(error)}`);
      }
    }
  });

  it("has exercises that are not solved as they are handed out", async () => {
    for (const chapter of chapters) {
      const notebook = await executed(chapter);
      const stubs = [...solutionsIn(notebook).keys()].map((index) => notebook.cells[index]);
      assert.ok(stubs.length > 0, `${chapter.path} has no exercise with a solution`);
      for (const { id, outputs = [] } of stubs) {
        const checks = [...checksIn(outputs)];
        assert.ok(checks.length > 0, `${chapter.path}: ${id} shows no check`);
        for (const [name, cases] of checks) {
          assert.ok(
            cases.some(({ passed }) => !passed),
            `${name} is solved by what is handed out`,
          );
        }
      }
    }
  });

  it("has solutions that solve them, types and all, and checks that tell right answers from wrong ones", () => {
    const english = chapters.filter(({ language }) => language === "en").map(({ slug }) => slug);
    assert.deepEqual([...solved.keys()].sort(), english.sort());
    const outcomes = [...solved.values()].flat();
    assert.deepEqual(outcomes.map(troubleIn).filter(Boolean), []);
    const exercises = new Set(outcomes.map(({ exercise }) => exercise));
    for (const name of Object.keys(otherAnswers))
      assert.ok(exercises.has(name), `there is no exercise ${name}`);
  });

  it("has figures in every chapter, each with a title, a text for those who do not see it, and a picture", async () => {
    for (const chapter of chapters) {
      const plots = plotsIn(await executed(chapter));
      assert.ok(plots.length > 0, `${chapter.path} has no figure`);
      for (const { layout } of plots) {
        assert.ok(layout.title?.text, `${chapter.path}: a figure without a title`);
        assert.ok(layout.meta?.alt, `${chapter.path}: ${layout.title?.text} has no alternative text`);
      }
      const html = await readFile(
        join(folder, "book", copyName(chapter).replace(/\.ipynb$/, ".html")),
        "utf8",
      );
      assert.equal(html.match(/<figure class="plot"/g)?.length, plots.length);
      assert.equal(
        html.match(/<div class="chart"><svg /g)?.length,
        plots.length,
        `${chapter.path}: no picture`,
      );
    }
  });

  it("has a control to move and an exercise that checks itself in each chapter of section 3", async () => {
    for (const chapter of chapters.filter(({ number }) => number.startsWith("3."))) {
      const notebook = await executed(chapter);
      assert.ok(
        plotsIn(notebook).some(({ layout }) => layout.sliders),
        `${chapter.path} has no slider`,
      );
      const checks = notebook.cells.filter((cell) =>
        /\bcheck\(/.test(cell.cell_type === "code" ? textOf(cell.source) : ""),
      );
      assert.ok(checks.length > 0, `${chapter.path} has no exercise that checks itself`);
    }
  });

  it("has a module and a test, named by its number, for each chapter of section 3", async () => {
    const texts = async (root: string, head?: number) => {
      const names = (await readdir(join(packageRoot, root), { recursive: true })).filter((name) =>
        name.endsWith(".ts"),
      );
      return Promise.all(
        names.map(async (name) => {
          const text = await readFile(join(packageRoot, root, name), "utf8");
          return head ? text.split("\n").slice(0, head).join("\n") : text;
        }),
      );
    };
    const modules = (await texts("lib", 4)).join("\n");
    const titles = (await texts("test"))
      .flatMap((text) => text.match(/\b(describe|it)\(\s*["'`].*/g) ?? [])
      .join("\n");
    for (const { number } of chapters.filter((chapter) => chapter.number.startsWith("3."))) {
      const named = new RegExp(`(?<![\\d.])${number.replaceAll(".", "\\.")}(?![\\d.]*\\d)`);
      assert.match(modules, named, `no module's first comment names ${number}`);
      assert.match(titles, named, `no test's title names ${number}`);
    }
  });

  it("says the same in both languages: the code is identical, cell by cell", async () => {
    for (const chapter of chapters.filter(({ language }) => language === "zh")) {
      const twin = chapters.find(({ language, slug }) => language === "en" && slug === chapter.slug);
      assert.ok(twin, `${chapter.path} has no English twin`);
      const code = (notebook: Notebook) =>
        notebook.cells.filter((cell) => cell.cell_type === "code").map((cell) => textOf(cell.source));
      assert.deepEqual(
        code(await readNotebook(chapter.path)),
        code(await readNotebook(twin.path)),
        chapter.path,
      );
    }
  });

  it("shows nothing in English on Chinese pages but names and code", async () => {
    for (const chapter of chapters.filter(({ language }) => language === "en")) {
      const texts = textsOf({ language: "zh", folder: join(notebooks, "zh") })!;
      for (const cell of (await executed(chapter)).cells) translateOutputs(cell.outputs ?? [], texts);
      const missing = [...texts.missing].map((text) => text.slice(0, 200));
      assert.deepEqual(
        missing,
        [],
        `notebooks/zh/texts/${chapter.number}.json lacks what ${chapter.slug} shows`,
      );
    }
  });

  it("leads nowhere that is not there", () => assert.deepEqual(book.brokenLinks, []));

  it("draws every chart in Chromium without an error, a request that leaves the book, or a barrier", async function () {
    if (!browserPath()) {
      console.log("      (no Chromium here: skipped)");
      this.skip();
    }
    const browser = await startBrowser();
    let looks = 0;
    try {
      const base = `${pathToFileURL(join(folder, "book"))}/`;
      // One page for all of them: a browser that has compiled Plotly once does not do so again.
      // axe-core is put into the page, which the book's own policy for scripts forbids.
      const page = await browser.newPage({ bypassCSP: true });
      const troubles: string[] = [];
      page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
      page.on("pageerror", (error) => troubles.push(error.message));
      page.on("request", (request) => {
        if (!request.url().startsWith(base) && !/^(data|blob):/.test(request.url()))
          troubles.push(request.url());
      });
      for (const chapter of chapters) {
        await page.setViewportSize({ width: 390, height: 844 });
        await page.emulateMedia({ colorScheme: "light" });
        await page.goto(base + copyName(chapter).replace(/\.ipynb$/, ".html"));
        const figures = page.locator("figure.plot");
        const count = await figures.count();
        const all = Array.from({ length: count }, (_, i) => i);
        // The other edition's charts are the same but for their texts: its first and last show that they are drawn there.
        for (const i of chapter.language === "en" ? all : new Set([0, count - 1])) {
          await figures.nth(i).scrollIntoViewIfNeeded();
          await figures.nth(i).and(page.locator(".drawn")).waitFor({ timeout: 60_000 });
        }
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(overflow <= 0, `${chapter.path} scrolls sideways on a phone`);
        // The other edition has the same markup: one of its chapters stands for all. Each look takes seconds, and the pages
        // share one style, which the book's own tests see in all views: here two take turns.
        if (chapter.language === "en" || chapter.number === "3.1.1") {
          troubles.push(...(await seriousTroubles(page, looks++ % 2 ? "dark desktop" : "phone")));
        }
        assert.deepEqual(troubles, [], chapter.path);
      }
      const texts = (await readdir(notebooks)).filter((name) => name.endsWith(".md"));
      for (const name of texts) {
        await page.goto(base + name.replace(/\.md$/, ".html"));
        for (const view of Object.keys(views) as View[])
          troubles.push(...(await seriousTroubles(page, view)));
        assert.deepEqual(troubles, [], name);
      }
    } finally {
      await browser.close();
    }
  });
});
