import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { serveFolder } from "../../lib/book/serve.ts";
import { type Book, buildBook } from "../../lib/book/site.ts";
import { run as siteCommand } from "../../lib/commands/site.ts";
import type { Notebook } from "../../lib/notebook/notebook.ts";
import type { RunReport } from "../../lib/notebook/report.ts";
import { bars, heatmap, histogram, lines, scatter, slider, spectrum } from "../../lib/plots/index.ts";
import { normal, seeded } from "../../lib/util/random.ts";
import { code, markdown, notebook, save, shown } from "../chapters/notebooks.ts";
import { seriousTroubles } from "./axe.ts";
import { browserPath, startBrowser } from "./browser.ts";

const random = seeded(3);
const weights = Float32Array.from({ length: 20_000 }, () => 0.05 * normal(random));
const pruned = (threshold: number) => weights.map((w) => (Math.abs(w) < threshold ? 0 : w));

/** A chapter with every kind of figure and output. */
function chapter(title: string): Notebook {
  return notebook(
    markdown(
      `# ${title}\n\nProse with $\\sum_i w_i^2$ and a wide formula:\n\n$$\\hat{w} = \\operatorname{clamp}(\\operatorname{round}(w/\\alpha \\times 2^b), -2^{b-1}, 2^{b-1}-1), \\qquad \\hat{y} = \\sum_i \\hat{w}_i x_i \\times \\alpha$$\n\n[On](3.1.2-filter-pruning.ipynb#the-idea) and [out](https://example.org/), [sparsity](glossary.md#sparsity).`,
    ),
    markdown("## The idea · 想法\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<b>raw</b>"),
    code(`const wide = "${"x".repeat(300)}";`, [
      { output_type: "stream", name: "stdout", text: `${"y".repeat(300)}\n` },
    ]),
    code("histogram", [
      shown(
        histogram(
          { before: weights, after: pruned(0.05) },
          {
            title: "Pruning empties the middle of the histogram, and a title as long as this one has to wrap",
            zeros: "skip",
          },
        ),
      ),
    ]),
    code("heatmap", [
      shown(
        heatmap(
          Uint8Array.from(pruned(0.05), (w) => Number(w !== 0)),
          { rows: 200, cols: 100 },
        ),
      ),
    ]),
    code("bars", [
      shown(
        bars(
          { dense: { fc1: 3, fc2: 2 }, CSR: { fc1: 1, fc2: 2 } },
          { title: "Bars", errors: { CSR: { fc1: 0.2 } } },
        ),
      ),
    ]),
    code("lines", [
      shown(
        lines(
          {
            a: [1, 2, 3],
            b: { y: [3, 2, 1], error: [1, 1, 1], band: { lower: [2, 1, 0], upper: [4, 3, 2] } },
          },
          { title: "Lines", references: [{ y: 2, label: "two" }] },
        ),
      ),
    ]),
    code("scatter", [
      shown(
        scatter(
          [
            { x: 1, y: 2, label: "p" },
            { x: 2, y: 3 },
          ],
          { title: "Front", front: { x: "min", y: "max" } },
        ),
      ),
    ]),
    code("spectrum", [shown(spectrum([4, 2, 1, 0.5], { title: "Spectrum" }))]),
    markdown("## A control"),
    code(
      "slider",
      [
        shown(
          slider(
            [0.02, 0.05, 0.1].map((t) =>
              histogram({ before: weights, after: pruned(t) }, { title: `Pruned at ${t}`, zeros: "skip" }),
            ),
            { label: "threshold", values: [0.02, 0.05, 0.1] },
          ),
        ),
      ],
      ["hide-input"],
    ),
    code("html", [
      {
        output_type: "display_data",
        metadata: {},
        data: { "text/html": `<table><tr>${"<td>cell</td>".repeat(60)}</tr></table>` },
      },
    ]),
    markdown(
      "<details><summary>Solution</summary>\n\nThe answer.\n\n```typescript\nconst answer = 42;\n```\n\n</details>",
      ["solution"],
    ),
  );
}

const reportOf = (chapters: Partial<RunReport["chapters"][0]>[]): RunReport => ({
  slimlab: "0.1.0",
  node: "20.0.0",
  started: "2026-01-01T00:00:00Z",
  seconds: 1,
  chapters: chapters.map((chapter) => ({
    notebook: "",
    language: "en",
    title: "",
    status: "ok",
    seconds: 1.5,
    cells: 9,
    executed: 9,
    ...chapter,
  })),
});

/** An exercise: what the reader writes at, and what checks it. */
const exercise = `import { check } from "slimlab/classroom";

const half = 0; // your turn

const wanted = 0.5;
await check("4.1-a", () => half === wanted);`;

describe("the book", function () {
  this.timeout(300_000);
  let folder: string;
  let book: string;
  let built: Book;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-book-"));
    book = join(folder, "book");
    for (const place of ["", "zh/"]) {
      for (const [slug, title] of [
        ["3.1.1-weight-pruning", "3.1.1 Weight pruning · 权重剪枝"],
        ["3.1.2-filter-pruning", "3.1.2 Filter pruning · 滤波器剪枝"],
      ]) {
        await save(join(folder, "notebooks", place, `${slug}.ipynb`), chapter(title));
        await save(join(folder, "run", place, `${slug}.ipynb`), chapter(title));
      }
    }
    await save(
      join(folder, "notebooks", "4.1-not-run.ipynb"),
      notebook(markdown("# 4.1 Not run"), code("1"), code(exercise)),
    );
    await save(
      join(folder, "notebooks", "glossary.md"),
      "# Glossary · 词汇表\n\n## sparsity · 稀疏度\n\nThe share of zeros.\n",
    );
    const report = reportOf([
      { notebook: "3.1.1-weight-pruning.ipynb" },
      {
        notebook: "3.1.2-filter-pruning.ipynb",
        status: "failed",
        failure: { cell: 3, line: 1, name: "Error", message: "no <way>", traceback: [] },
      },
    ]);
    built = await buildBook({
      notebooks: join(folder, "notebooks"),
      executed: join(folder, "run"),
      output: book,
      report,
    });
  });
  after(() => rm(folder, { recursive: true }));

  const page = (name: string) => readFile(join(book, name), "utf8");

  it("is written whole: pages in both languages, assets, notebooks to take away, the report", async () => {
    for (const name of [
      "index.html",
      "3.1.1-weight-pruning.html",
      "3.1.1-weight-pruning.ipynb",
      "3.1.1-weight-pruning.plots.js",
      "glossary.html",
      "zh/index.html",
      "zh/3.1.2-filter-pruning.html",
      "assets/plotly.js",
      "assets/book.js",
      "assets/search-zh.js",
      "run.json",
    ]) {
      assert.ok(existsSync(join(book, name)), name);
    }
    assert.deepEqual(
      (await readdir(folder)).sort(),
      ["book", "notebooks", "run"],
      "no half-built book is left",
    );
    const fonts = await readdir(join(book, "assets/katex/fonts"));
    assert.ok(fonts.length > 10 && fonts.every((name) => name.endsWith(".woff2")));
  });

  it("says what failed and what was not run", async () => {
    const failed = await page("3.1.2-filter-pruning.html");
    assert.match(
      failed,
      /role="alert">This chapter stopped at an error: <a href="#cell-3">cell 3<\/a>, line 1\. Error: no &lt;way&gt;/,
    );
    assert.match(await page("4.1-not-run.html"), /has not been run/);
    assert.match(await page("index.html"), /stopped at an error/);
  });

  it("keeps what checks an exercise out of sight until it is asked for", async () => {
    const html = await readFile(join(book, "4.1-not-run.html"), "utf8");
    const plain = (text: string) => text.replace(/<[^>]*>/g, "");
    const [before, checks, ...more] = html.split('<details class="checks">');
    assert.equal(more.length, 0);
    assert.match(plain(before), /const half = 0; \/\/ your turn$/);
    assert.match(plain(checks), /^What checks itconst wanted = 0\.5;\nawait check\(/);
  });

  it("leads on: previous and next, the other language, links between notebooks", async () => {
    const html = await page("3.1.1-weight-pruning.html");
    assert.match(html, /<a rel="next" href="3\.1\.2-filter-pruning\.html">/);
    assert.match(html, /<a rel="prev" href="index\.html">/);
    assert.match(html, /href="zh\/3\.1\.1-weight-pruning\.html" hreflang="zh-Hans"/);
    assert.match(html, /<a href="3\.1\.2-filter-pruning\.html#the-idea">/);
    assert.match(
      await page("zh/3.1.1-weight-pruning.html"),
      /href="\.\.\/3\.1\.1-weight-pruning\.html" hreflang="en"/,
    );
    assert.match(
      await page("4.1-not-run.html"),
      /href="zh\/index\.html"/,
      "where the twin is missing, its front page",
    );
  });

  it("explains terms at their links, and knows which links lead nowhere", async () => {
    const html = await page("3.1.1-weight-pruning.html");
    assert.match(
      html,
      /<a href="glossary\.html#[^"]*" class="term" title="The share of zeros\.">sparsity<\/a>/,
    );
    // The Chinese edition of this test has no glossary, and its chapters link to it.
    assert.deepEqual(
      built.brokenLinks.map((link) => link.split("#")[0]),
      ["zh/3.1.1-weight-pruning.html: glossary.html", "zh/3.1.2-filter-pruning.html: glossary.html"],
    );
  });

  it("keeps a page small before its charts load", async () => {
    // What a browser asks for first: the page, the style, the script, mathematics' style and its two usual fonts.
    const names = ["index.html", "assets/book.css", "assets/book.js", "assets/katex/katex.min.css"];
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(book, name))).size));
    assert.ok(sizes.reduce((a, b) => a + b) < 300_000, String(sizes));
  });

  it("is not put in place of a folder that is no book", async () => {
    const options = {
      notebooks: join(folder, "notebooks"),
      executed: join(folder, "run"),
      output: join(folder, "run"),
    };
    await assert.rejects(buildBook(options), /run holds files that are no book/);
    assert.ok(existsSync(join(folder, "run", "3.1.1-weight-pruning.ipynb")));
  });

  it("shows a notebook that cannot be read as a page that says so", async () => {
    const place = join(folder, "bad");
    await save(join(place, "notebooks", "1.1-bad.ipynb"), "{");
    await buildBook({
      notebooks: join(place, "notebooks"),
      executed: join(place, "run"),
      output: join(place, "book"),
    });
    assert.match(
      await readFile(join(place, "book", "1.1-bad.html"), "utf8"),
      /is not JSON, so not a notebook/,
    );
    await rm(place, { recursive: true });
  });

  it("is served without a way out of its folder", async () => {
    await writeFile(join(folder, "secret.txt"), "secret");
    const server = await serveFolder(book, 0);
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      assert.match(await (await fetch(`${base}/zh/`)).text(), /lang="zh-Hans"/);
      assert.equal((await fetch(`${base}/none.html`)).status, 404);
      assert.equal((await fetch(`${base}/%2e%2e%2fsecret.txt`)).status, 404);
      assert.equal((await fetch(`${base}/%E0%A4%A`)).status, 400);
      assert.equal((await fetch(base, { method: "POST" })).status, 405);
      await assert.rejects(
        serveFolder(book, (server.address() as AddressInfo).port),
        /is taken: choose another/,
      );
    } finally {
      server.closeAllConnections();
      server.close();
      await rm(join(folder, "secret.txt"));
    }
  });

  it("is served under the path that it will have", async () => {
    const server = await serveFolder(book, 0, {}, "/class/book/");
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      assert.match(await (await fetch(`${base}/class/book/zh/`)).text(), /lang="zh-Hans"/);
      assert.equal((await fetch(`${base}/zh/`)).status, 404);
      assert.equal((await fetch(`${base}/class/book/..%2fbook/index.html`)).status, 200);
      assert.equal((await fetch(`${base}/class/book/..%2frun/run.json`)).status, 404);
    } finally {
      server.closeAllConnections();
      server.close();
    }
    await assert.rejects(
      siteCommand(["--base", "class/slimlab", join(folder, "nowhere")]),
      /--base must be a path from \/ to \/, such as \/class\/slimlab\/, not class\/slimlab/,
    );
  });

  describe("in Chromium", () => {
    let browser: Browser;
    let server: Server;
    let troubles: string[];
    before(async function () {
      if (!browserPath()) {
        console.log("      (no Chromium here: skipped; apt-get install chromium, or set SLIMLAB_CHROMIUM)");
        this.skip();
      }
      browser = await startBrowser();
      server = await serveFolder(book, 0);
    });
    after(async () => {
      await browser?.close();
      server?.closeAllConnections();
      server?.close();
    });
    beforeEach(() => {
      troubles = [];
    });
    afterEach(() => assert.deepEqual(troubles, [], "errors, or requests that leave the book"));

    const bases = {
      "file:": () => `${pathToFileURL(book)}/`,
      "http:": () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    };
    async function open(base: string, name: string, options: BrowserContextOptions = {}): Promise<Page> {
      const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
      const page = await context.newPage();
      page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
      page.on("pageerror", (error) => troubles.push(error.message));
      page.on("request", (request) => {
        if (!request.url().startsWith(base) && !/^(data|blob):/.test(request.url()))
          troubles.push(request.url());
      });
      await page.goto(base + name);
      return page;
    }
    /** Scrolls from top to bottom and waits until all charts are drawn. */
    async function drawAll(page: Page): Promise<void> {
      const count = await page.locator("figure.plot").count();
      for (let i = 0; i < count; i++) await page.locator("figure.plot").nth(i).scrollIntoViewIfNeeded();
      await page.waitForFunction((n) => document.querySelectorAll("figure.plot.drawn").length === n, count, {
        timeout: 60_000,
      });
    }
    const overflow = (page: Page) =>
      page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);

    for (const [name, base] of Object.entries(bases)) {
      it(`draws every chart, over ${name}`, async () => {
        const page = await open(base(), "3.1.1-weight-pruning.html");
        await drawAll(page);
        assert.equal((await page.locator("figure.plot .main-svg").count()) >= 7, true);
        assert.equal(await page.locator("figure.plot svg[role=img]").count(), 0);
        assert.ok((await overflow(page)) <= 0);
        await page.context().close();
      });
    }

    it("the control moves the chart, by keyboard too", async () => {
      const page = await open(bases["file:"](), "3.1.1-weight-pruning.html");
      await drawAll(page);
      const figure = page.locator("figure.plot", { has: page.locator("input[type=range]") });
      const input = figure.locator("input");
      assert.equal(await figure.locator("output").textContent(), "0.02");
      const legend = () => figure.locator(".legendtext").last().textContent();
      const before = await legend();
      await input.focus();
      await page.keyboard.press("ArrowRight");
      await page.keyboard.press("ArrowRight");
      await page.waitForFunction(
        (old) =>
          [...document.querySelectorAll("figure.plot:has(input) .legendtext")].at(-1)?.textContent !== old,
        before,
      );
      assert.equal(await figure.locator("output").textContent(), "0.1");
      await page.waitForFunction(
        () => document.querySelector("figure.plot:has(input) figcaption")?.textContent === "Pruned at 0.1",
      );
      assert.equal(await input.getAttribute("aria-valuetext"), "0.1");
      await page.context().close();
    });

    it("fits a phone, with its chapters behind a button", async () => {
      for (const name of [
        "index.html",
        "zh/index.html",
        "3.1.1-weight-pruning.html",
        "zh/3.1.2-filter-pruning.html",
        "glossary.html",
      ]) {
        const page = await open(bases["file:"](), name, { viewport: { width: 360, height: 740 } });
        await drawAll(page);
        assert.ok((await overflow(page)) <= 0, `${name} scrolls sideways`);
        assert.equal(await page.locator("nav.chapters").isVisible(), false);
        await page.locator("a.menu").click();
        assert.equal(await page.locator("nav.chapters").isVisible(), true);
        const covered = await page.locator("nav.chapters").boundingBox();
        assert.ok(covered!.x === 0 && covered!.width === 360 && covered!.height > 650, "it covers the page");
        await page.keyboard.press("Escape");
        assert.equal(await page.locator("nav.chapters").isVisible(), false);
        await page.locator(".search input").fill("a");
        await page.locator(".results a").first().waitFor();
        const results = await page.locator(".results").boundingBox();
        assert.ok(results!.x >= 0 && results!.x + results!.width <= 360, "results fit the page");
        await page.context().close();
      }
    });

    it("shows formulas whole: what does not fit scrolls sideways, nothing is cut above or below", async () => {
      const page = await open(bases["file:"](), "3.1.1-weight-pruning.html");
      const cut = await page
        .locator(".katex-display")
        .evaluateAll((all) => all.map((one) => one.scrollHeight - one.clientHeight));
      assert.ok(cut.length > 0);
      assert.deepEqual(
        cut.filter((pixels) => pixels > 0),
        [],
      );
      await page.context().close();
    });

    it("is dark and light: by the system's wish, by the button, and remembered", async () => {
      const background = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      const dark = await open(bases["http:"](), "3.1.1-weight-pruning.html", { colorScheme: "dark" });
      assert.equal(await background(dark), "rgb(19, 23, 28)");
      await drawAll(dark);
      const ink = () =>
        dark
          .locator("figure.drawn .xtick text")
          .first()
          .evaluate((text) => getComputedStyle(text).fill);
      assert.equal(await ink(), "rgb(227, 231, 235)", "charts follow");
      await dark.locator("button.theme").click();
      assert.equal(await background(dark), "rgb(255, 255, 255)");
      await dark.waitForFunction(
        () =>
          getComputedStyle(document.querySelector("figure.drawn .xtick text")!).fill === "rgb(28, 33, 39)",
      );
      await dark.goto(`${bases["http:"]()}zh/index.html`);
      assert.equal(await background(dark), "rgb(255, 255, 255)");
      await dark.context().close();
    });

    it("reads without scripts", async () => {
      const page = await open(bases["file:"](), "3.1.1-weight-pruning.html", {
        javaScriptEnabled: false,
        viewport: { width: 360, height: 740 },
      });
      assert.equal(await page.locator("figure.plot svg[role=img]").count(), 7);
      assert.equal(await page.locator("nav.chapters").isVisible(), true);
      assert.equal(await page.locator("form.search").isVisible(), false);
      await page.context().close();
    });

    it("finds words in both languages, and copies code", async () => {
      const page = await open(bases["file:"](), "zh/3.1.1-weight-pruning.html");
      await page.keyboard.press("/");
      await page.keyboard.type("滤波器");
      await page.locator(".results a").first().waitFor();
      assert.match(
        (await page.locator(".results a").first().getAttribute("href"))!,
        /^3\.1\.2-filter-pruning\.html/,
      );
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.waitForURL(/3\.1\.2-filter-pruning/);
      // The word stands for a second and a half: who looks afterwards may come too late.
      const said = page.evaluate(
        () =>
          new Promise((done) => {
            const button = document.querySelector("button.copy")!;
            new MutationObserver(() => done(button.textContent)).observe(button, { childList: true });
          }),
      );
      await page.locator("button.copy").first().click();
      assert.equal(await said, "已复制");
      await page.context().close();
    });

    it("finds a word however it is spelt", async () => {
      const page = await open(bases["file:"](), "index.html");
      for (const spelling of ["sparsity", "Sparsitty", "spar-sity"]) {
        await page.locator(".search input").fill(spelling);
        await page.locator(".results a", { hasText: "sparsity" }).first().waitFor();
      }
      await page.context().close();
    });

    it("keeps the place when the language is changed", async () => {
      const page = await open(bases["file:"](), "3.1.1-weight-pruning.html", {
        viewport: { width: 1280, height: 500 },
      });
      await page
        .locator("h2", { hasText: "A control" })
        .evaluate((heading) => heading.scrollIntoView({ behavior: "instant" }));
      await page.locator("a.language").click();
      await page.waitForURL(/zh\/3\.1\.1-weight-pruning\.html#the-idea$/);
      const top = await page
        .locator("h2", { hasText: "The idea" })
        .evaluate((heading) => heading.getBoundingClientRect().top);
      assert.ok(Math.abs(top) < 200, `the heading is ${top} pixels from the top`);
      await page.context().close();
    });

    it("has nothing serious for axe-core, on any kind of page", async () => {
      for (const name of ["index.html", "glossary.html", "zh/3.1.2-filter-pruning.html"]) {
        const page = await open(bases["file:"](), name, { bypassCSP: true });
        for (const view of ["desktop", "dark desktop", "phone"] as const)
          assert.deepEqual(await seriousTroubles(page, view), [], name);
        await page.context().close();
      }
    });

    it("is accessible: landmarks, names, levels, contrast", async () => {
      for (const colorScheme of ["light", "dark"] as const) {
        const page = await open(bases["file:"](), "3.1.1-weight-pruning.html", { colorScheme });
        await drawAll(page);
        const problems = await page.evaluate(checkAccessibility);
        assert.deepEqual(problems, []);
        await page.keyboard.press("Tab");
        assert.equal(await page.evaluate(() => document.activeElement?.className), "skip");
        await page.context().close();
      }
    });
  });
});

/** Runs in the page: what can be told without a person. */
function checkAccessibility(): string[] {
  const problems: string[] = [];
  for (const landmark of ["main", "header", "nav", "footer"]) {
    if (!document.querySelector(landmark)) problems.push(`no ${landmark}`);
  }
  if (document.querySelectorAll("h1").length !== 1) problems.push("not one h1");
  for (const element of document.querySelectorAll("img, figure")) {
    if (!element.getAttribute("alt") && !element.getAttribute("aria-label"))
      problems.push(`${element.tagName} without text`);
  }
  for (const element of document.querySelectorAll("a[href], button, input")) {
    const label = (element as HTMLInputElement).labels?.[0];
    const name =
      element.getAttribute("aria-label") ||
      element.textContent?.trim() ||
      label?.textContent ||
      element.getAttribute("data-title");
    if (!name && !element.closest(".modebar"))
      problems.push(`${element.outerHTML.slice(0, 80)} without a name`);
  }
  const ids = [...document.querySelectorAll("article [id]")]
    .filter((element) => !element.closest("svg"))
    .map((element) => element.id);
  if (new Set(ids).size !== ids.length) problems.push("an id twice");

  const luminance = (color: string): number => {
    const [r, g, b] = (color.match(/[\d.]+/g) ?? []).slice(0, 3).map((channel) => {
      const c = Number(channel) / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set<string>();
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement!;
    if (
      !node.textContent?.trim() ||
      element.closest("svg, script, style, .katex-mathml") ||
      element.getClientRects().length === 0
    )
      continue;
    let back = element;
    while (
      back.parentElement &&
      /rgba?\(0, 0, 0, 0\)|transparent/.test(getComputedStyle(back).backgroundColor)
    )
      back = back.parentElement;
    const colors = [getComputedStyle(element).color, getComputedStyle(back).backgroundColor];
    if (seen.has(colors.join())) continue;
    seen.add(colors.join());
    const [a, b] = colors.map(luminance).sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5)
      problems.push(
        `contrast ${contrast.toFixed(2)} of ${colors.join(" on ")}: ${node.textContent.trim().slice(0, 40)}`,
      );
  }
  return problems;
}
