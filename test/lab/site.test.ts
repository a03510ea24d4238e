// The workbook's site in a real browser, served as any web server serves files, from a folder deep down: JupyterLite, our
// kernel in it, chapters in both languages, and the book's way there.
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Browser } from "playwright-core";
import { buildSite, type Site } from "../../lib/site/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { shownBy } from "../site/running.ts";
import { cellAt, liteSite, openNotebook, outputOf, runCell, runWhole, serveSite } from "./lite.ts";
import { kernelIdle, menu, needBrowser, needLab, openPage, screenshot, type WatchedPage } from "./tools.ts";

describe("the workbook's site", function () {
  this.timeout(1_800_000);
  let site: Site;
  let server: Server | undefined;
  let browser: Browser | undefined;
  let watched: WatchedPage;
  let base: string;
  /** What pages preloaded and did not run. */
  const wasted: string[] = [];

  before(async function () {
    await needLab(this, "jupyterlite_core");
    browser = await needBrowser(this);
    site = await liteSite();
    ({ server, base } = await serveSite(site));
    watched = await openPage(browser, { width: 1280, height: 2200 });
    watched.page.setDefaultTimeout(180_000); // Chapters train, and a busy machine has many minutes of them.
    watched.page.on("console", (message) => {
      if (message.text().includes("preload")) wasted.push(message.text());
    });
  });
  after(async () => {
    await browser?.close();
    server?.closeAllConnections();
    server?.close();
  });
  afterEach(async function () {
    if (this.currentTest?.state === "failed") await screenshot(watched.page, "site-failure");
  });

  it("is a folder that leaves room for the whole book within 45 MB", () => {
    console.log(`      ${site.files} files, ${(site.bytes / 1e6).toFixed(1)} MB`);
    // (With all chapters of both editions there is more in it, and less to come.)
    assert.ok(site.bytes < (process.env.SLIMLAB_SITE ? 41e6 : 38e6), `${site.bytes} bytes`);
    assert.ok(site.hasBook);
  });

  it("the book's page opens its chapter, which runs", async () => {
    const { page } = watched;
    await page.goto(`${base}index.html`);
    await page.waitForURL(/book\/index\.html$/);
    await page.goto(`${base}book/1.1-why-compress.html`);
    await page.locator("p.facts a", { hasText: "Open and run this chapter here" }).click();
    await page.waitForURL(/notebooks\/index\.html\?path=1\.1-why-compress\.ipynb/);
    await page.locator(".jp-CodeCell").first().waitFor();
    await kernelIdle(page);
    await menu(page, "Run", "Run All Cells");
    await page.locator(".js-plotly-plot .main-svg").first().waitFor({ timeout: 120_000 });
    await screenshot(page, "site-chapter");
  });

  it("Chinese chapters run to their ends, and speak Chinese in their figures", async () => {
    const { page } = watched;
    const chinese = (await readdir(join(site.folder, "files", "zh"))).filter((name) =>
      name.endsWith(".ipynb"),
    );
    for (const name of chinese.sort()) {
      await openNotebook(page, base, `zh/${name}`);
      const begun = performance.now();
      const { cells } = await runWhole(page);
      console.log(`      zh/${name}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
      const titles = cells
        .flatMap((cell) => shownBy(cell))
        .flatMap((shown) => (shown as { layout?: { title?: { text?: string } } })?.layout?.title?.text ?? []);
      assert.ok(titles.length > 0, `${name} has no figure`);
      // (Some are numbers, between Chinese signs.)
      for (const title of titles) assert.match(title, /[\p{Script=Han}：（，、]/u, name);
      await screenshot(page, `site-zh-${name.replace(/-.*/, "")}`);
    }
  });

  it("cells of TypeScript run, show charts, wait, and an endless loop is interrupted", async () => {
    const { page } = watched;
    await openNotebook(page, base, "cells.ipynb");
    await runCell(page, 0);
    await outputOf(page, 0).filter({ hasText: "400" }).waitFor();
    await runCell(page, 1);
    await cellAt(page, 1).locator(".js-plotly-plot .main-svg").first().waitFor({ timeout: 60_000 });
    await runCell(page, 2);
    await cellAt(page, 2).locator(".jp-InputPrompt", { hasText: "[*]" }).waitFor();
    await menu(page, "Kernel", "Interrupt Kernel");
    await outputOf(page, 2).filter({ hasText: "KeyboardInterrupt" }).waitFor();
    await runCell(page, 3);
    // A loop that never waits takes the names along, and its message has said so: the checker has heard of it.
    await outputOf(page, 3).filter({ hasText: "TypeScriptError: Cannot find name" }).waitFor();
    await menu(page, "Kernel", "Check Types of TypeScript Cells");
    await runCell(page, 3);
    await outputOf(page, 3).filter({ hasText: "after undefined" }).waitFor();
    await menu(page, "Kernel", "Check Types of TypeScript Cells");
    await runCell(page, 4);
    await outputOf(page, 4).filter({ hasText: "42" }).waitFor();
  });

  it("completes what is there", async () => {
    const { page } = watched;
    await cellAt(page, 4).locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type("\nMath.hyp");
    await page.keyboard.press("Tab");
    await page.locator(".jp-Completer-item, .cm-line", { hasText: "hypot" }).first().waitFor();
  });

  it("a slider's output follows it, while no cell runs", async () => {
    const { page } = watched;
    await runCell(page, 5);
    const handle = cellAt(page, 5).locator(".noUi-handle");
    await outputOf(page, 5).filter({ hasText: "8 levels" }).waitFor();
    await handle.press("ArrowRight");
    await outputOf(page, 5).filter({ hasText: "16 levels" }).waitFor();
  });

  it("an exercise checks itself, and again when it is changed", async () => {
    const { page } = watched;
    await runCell(page, 6);
    await outputOf(page, 6).filter({ hasText: "four bits have more" }).waitFor();
    await cellAt(page, 6).locator(".cm-line", { hasText: "const levels" }).click();
    await page.keyboard.press("End");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.type(" * 2");
    await runCell(page, 6);
    await outputOf(page, 6).filter({ hasText: "✓" }).waitFor();
    await screenshot(page, "site-exercise");
  });

  it("asked no other server and for nothing that is not there, and no script of ours failed", async () => {
    assert.deepEqual(watched.missing, []);
    assert.deepEqual(watched.outside, []);
    assert.deepEqual(watched.errors, []);
    assert.ok((await watched.page.locator("link[rel=preload]").count()) > 1);
    assert.deepEqual(wasted, []);
  });

  it("an older site is replaced, and a folder with anything else is left alone", async () => {
    const foreign = await mkdtemp(join(tmpdir(), "slimlab-mine-"));
    await writeFile(join(foreign, "thesis.txt"), "text");
    const options = { notebooks: join(packageRoot, "notebooks"), executed: foreign };
    await assert.rejects(buildSite(foreign, options), /holds something that slimlab site has not made/);
    assert.equal(await readFile(join(foreign, "thesis.txt"), "utf8"), "text");
    await rm(foreign, { recursive: true });
    const stop = AbortSignal.abort(new Error("stopped"));
    await assert.rejects(buildSite(site.folder, { ...options, signal: stop }), /stopped/);
    assert.ok((await readdir(site.folder)).includes("slimlab-site.json"), "the old site is still there");
    assert.deepEqual(await readdir(dirname(site.folder)), ["site"], "nothing is left beside it");
  });
});
