// Visits of the workbook's site beyond the first good one: without a network, with forbidden or full storage, in two tabs,
// with another kernel's notebook, with a kernel that is restarted again and again.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { labVenv } from "../../lib/install/lab.ts";
import { venvProgram } from "../../lib/install/venv.ts";
import { writeKernelExtension } from "../../lib/site/extension.ts";
import type { Site } from "../../lib/site/index.ts";
import { browserFlags } from "../book/browser.ts";
import { until } from "../kernel/waiting.ts";
import { cellAt, liteSite, openNotebook, outputOf, runCell, serveSite } from "./lite.ts";
import { findChromium, kernelIdle, menu, needBrowser, needLab, screenshot } from "./tools.ts";

describe("the workbook's site, visit by visit", function () {
  this.timeout(300_000);
  let root: string;
  let browser: Browser | undefined;
  let context: BrowserContext;
  let page: Page;
  let site: Site;
  let server: Server | undefined;
  let base: string;

  async function serve(port = 0): Promise<void> {
    ({ server, base } = await serveSite(site, port));
  }
  async function cutOff(): Promise<void> {
    server?.closeAllConnections();
    await new Promise((done) => (server ? server.close(done) : done(undefined)));
    server = undefined;
  }

  before(async function () {
    await needLab(this, "jupyterlite_core");
    browser = await needBrowser(this);
    root = await mkdtemp(join(tmpdir(), "slimlab-visits-"));
    site = await liteSite();
    await serve();
  });
  after(async () => {
    await browser?.close();
    await cutOff();
    if (root) await rm(root, { recursive: true, force: true });
  });
  beforeEach(async () => {
    context = await browser!.newContext({ viewport: { width: 1280, height: 1000 } });
    page = await context.newPage();
    page.setDefaultTimeout(60_000);
  });
  afterEach(async function () {
    if (this.currentTest?.state === "failed") await screenshot(page, "visit-failure").catch(() => {});
    await context?.close();
  });

  const change = async (text: string) => {
    await cellAt(page, 2).locator(".cm-content").click();
    await page.keyboard.press("Control+End");
    await page.keyboard.type(text);
  };
  const save = async () => {
    await page.keyboard.press("Control+s");
  };

  it("what a first visit used is there without a network, changed as it was left, and asks by input()", async () => {
    await openNotebook(page, base, "visit.ipynb");
    await runCell(page, 0);
    await outputOf(page, 0).filter({ hasText: "0.5" }).waitFor();
    await runCell(page, 1);
    await outputOf(page, 1).filter({ hasText: "Load this page anew" }).waitFor();
    const checks = async () => {
      await runCell(page, 4);
      await outputOf(page, 4).filter({ hasText: "Type 'string' is not assignable" }).waitFor();
    };
    await checks();
    await change(" + 100");
    await save();
    await page.waitForFunction(async () => {
      if (!navigator.serviceWorker.controller) return false;
      const used = performance.getEntriesByType("resource") as PerformanceResourceTiming[];
      const own = used.filter(
        ({ name, responseStatus }) => name.includes("/site/") && responseStatus === 200,
      );
      const kept = await Promise.all(own.map(({ name }) => caches.match(name, { ignoreSearch: true })));
      return kept.every((one) => one !== undefined);
    });
    await page.close();
    await cutOff();
    page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await openNotebook(page, base, "visit.ipynb");
    await runCell(page, 0);
    await outputOf(page, 0).filter({ hasText: "0.5" }).waitFor();
    await runCell(page, 2);
    await outputOf(page, 2).filter({ hasText: "142" }).waitFor();
    await checks();
    await runCell(page, 1);
    await page.locator(".jp-Stdin-input").fill("Ada");
    await page.keyboard.press("Enter");
    await outputOf(page, 1).filter({ hasText: "'Ada'" }).waitFor();
    await serve(Number(new URL(base).port));
  });

  it("where storage is forbidden, notebooks run, and the reader is told that nothing is kept", async () => {
    const profile = await mkdtemp(join(root, "profile-"));
    await mkdir(join(profile, "Default"));
    // As "block all cookies" of Chromium's settings.
    await writeFile(
      join(profile, "Default", "Preferences"),
      JSON.stringify({ profile: { default_content_setting_values: { cookies: 2 } } }),
    );
    const forbidding = await chromium.launchPersistentContext(profile, {
      executablePath: findChromium(),
      args: browserFlags,
    });
    try {
      page = await forbidding.newPage();
      await openNotebook(page, base, "visit.ipynb");
      await page.locator(".jp-Dialog", { hasText: "lets the page keep nothing" }).waitFor();
      await page.locator(".jp-Dialog button.jp-mod-accept").click();
      await runCell(page, 2);
      await outputOf(page, 2).filter({ hasText: "42" }).waitFor();
      await change(" + 1");
      await save();
      await runCell(page, 2);
      await outputOf(page, 2).filter({ hasText: "43" }).waitFor();
      assert.equal(await page.locator(".jp-Dialog").count(), 0);
    } finally {
      await forbidding.close();
    }
  });

  it("where storage is full, notebooks open and run, saving says why it fails, and they can be downloaded", async () => {
    const driver = await context.newCDPSession(page);
    await driver.send("Storage.overrideQuotaForOrigin", { origin: new URL(base).origin, quotaSize: 1 });
    await page.goto(`${base}notebooks/index.html?path=visit.ipynb`);
    await page.locator(".jp-Dialog", { hasText: "keep nothing (its storage is full)" }).waitFor();
    await page.locator(".jp-Dialog button").last().click();
    await kernelIdle(page);
    await change(" + 1");
    await save();
    await page.locator(".jp-Dialog", { hasText: "has no room left for visit.ipynb" }).waitFor();
    await page.locator(".jp-Dialog button").last().click();
    await runCell(page, 2);
    await outputOf(page, 2).filter({ hasText: "43" }).waitFor();
    const download = page.waitForEvent("download");
    await menu(page, "File", "Download");
    const { cells } = JSON.parse(await readFile(await (await download).path(), "utf8"));
    assert.match([cells[2].source].flat().join(""), /6 \* 7 \+ 1/);
  });

  it("storage that gets full in the middle of a fetch costs only what did not fit", async () => {
    await openNotebook(page, base, "visit.ipynb");
    await page.waitForFunction(() => navigator.serviceWorker.controller !== null);
    await openNotebook(page, base, "visit.ipynb");
    await runCell(page, 0);
    await outputOf(page, 0).filter({ hasText: "0.5" }).waitFor();
    const driver = await context.newCDPSession(page);
    const quota = (quotaSize?: number) =>
      driver.send("Storage.overrideQuotaForOrigin", { origin: new URL(base).origin, quotaSize });
    const { usage = 0 } = await page.evaluate(() => navigator.storage.estimate());
    // The images for training take 1.3 MB.
    await quota(usage + 600_000);
    await runCell(page, 3);
    await outputOf(page, 3).filter({ hasText: "8000" }).waitFor();
    const kept = await page.evaluate(async () => {
      const caching = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
      const requests = (await Promise.all(caching.map((each) => each.keys()))).flat();
      return requests.map(({ url }) => url);
    });
    assert.ok(kept.some((url) => url.endsWith("rooms/pruning.js")));
    assert.ok(!kept.some((url) => url.includes("train-images")), "no part of it is taken for the whole");
    // Without a network what was kept is there, and what was not says so.
    await quota();
    await cutOff();
    await openNotebook(page, base, "visit.ipynb");
    await runCell(page, 2);
    await outputOf(page, 2).filter({ hasText: "42" }).waitFor();
    await runCell(page, 3);
    await outputOf(page, 3)
      .filter({ hasText: /train-images.*Failed to fetch/ })
      .waitFor();
    await serve(Number(new URL(base).port));
    await runCell(page, 3);
    await outputOf(page, 3).filter({ hasText: "8000" }).waitFor();
  });

  it("what is run before the kernel stands waits for it, and nobody is asked for a kernel", async () => {
    await context.close();
    context = await browser!.newContext({ serviceWorkers: "block" }); // (They would fetch in the page's place.)
    page = await context.newPage();
    page.setDefaultTimeout(60_000);
    let open: () => void = () => {};
    const gate = new Promise<void>((done) => {
      open = done;
    });
    // JupyterLab shows a notebook, makes a checkpoint of it, for which the file is fetched again, and starts its kernel.
    let fetched = 0;
    await page.route(/\/files\/visit\.ipynb/, async (route) => {
      if (++fetched > 1) await gate;
      await route.continue();
    });
    await page.goto(`${base}notebooks/index.html?path=visit.ipynb`);
    await cellAt(page, 2).waitFor();
    await runCell(page, 2);
    await until("the checkpoint is being made", () => fetched === 2);
    assert.equal(await page.locator(".jp-Dialog").count(), 0);
    open();
    await outputOf(page, 2).filter({ hasText: "42" }).waitFor();
    assert.equal(await page.locator(".jp-Dialog").count(), 0);
  });

  it("two tabs on one notebook have kernels of their own, and the second is asked before it overwrites the first", async () => {
    await openNotebook(page, base, "visit.ipynb");
    const first = page;
    const second = await context.newPage();
    await openNotebook(second, base, "visit.ipynb");
    await change(" + 1");
    await save();
    await runCell(first, 2);
    await outputOf(first, 2).filter({ hasText: "43" }).waitFor();
    page = second;
    await change(" + 2");
    await save();
    await page.locator(".jp-Dialog", { hasText: /changed/i }).waitFor();
  });

  it("a notebook of another kernel asks which one it shall have, and runs with ours", async () => {
    await page.goto(`${base}notebooks/index.html?path=other.ipynb`);
    await page.locator(".jp-Dialog select").selectOption({ label: "TypeScript (slimlab)" });
    await page.locator(".jp-Dialog button.jp-mod-accept").click();
    await runCell(page, 0);
    await outputOf(page, 0).filter({ hasText: "2" }).waitFor();
  });

  it("any site of JupyterLite takes the kernel, as environment.md says", async () => {
    const extensions = join(root, "extensions");
    await writeKernelExtension(extensions);
    const empty = await mkdtemp(join(root, "own-"));
    await promisify(execFile)(
      venvProgram(labVenv(), "jupyter"),
      [
        "lite",
        "build",
        "--ignore-sys-prefix", // Our viewer of charts lies there.
        `--FederatedExtensionAddon.extra_labextensions_path=${extensions}`,
        "--output-dir",
        join(site.folder, "..", "..", "own"),
      ],
      { cwd: empty },
    );
    const cells = [
      "6*7",
      'import { bars } from "slimlab/plots"; bars({ pruned: 1, whole: 2 }, { title: "Two sizes" })',
      "const text: number = 'six'",
    ].map((code) => `&code=${encodeURIComponent(code)}`);
    await page.goto(
      `${base.replace(/deep\/site\/$/, "own/")}repl/index.html?kernel=slimlab${cells.join("")}`,
    );
    const shows = (hasText: string) => page.locator(".jp-OutputArea-output", { hasText }).waitFor();
    await shows("42");
    // Without a viewer of charts a figure is a picture.
    await page.locator(".jp-RenderedSVG").waitFor();
    await shows("TypeScriptError: Type 'string' is not assignable to type 'number'.");
  });

  it("a kernel restarted ten times leaves no worker and no name behind, and does not load TypeScript again", async () => {
    const types: string[] = [];
    page.on("worker", (worker) => {
      if (/\/types\.js/.test(worker.url())) types.push(worker.url());
    });
    await openNotebook(page, base, "visit.ipynb");
    await runCell(page, 0);
    await outputOf(page, 0).filter({ hasText: "0.5" }).waitFor();
    const before = page.workers().length;
    for (let i = 0; i < 10; i++) {
      await menu(page, "Kernel", "Restart Kernel…");
      await page.locator(".jp-Dialog button").last().click();
      await page.locator(".jp-Dialog").waitFor({ state: "detached" });
      await kernelIdle(page);
    }
    await change(" + 1");
    await runCell(page, 2);
    await outputOf(page, 2).filter({ hasText: "43" }).waitFor();
    await until("the old workers are gone", () => page.workers().length === before);
    await change(" + sparsityOf([0])");
    await runCell(page, 2);
    await outputOf(page, 2).filter({ hasText: "Cannot find name 'sparsityOf'" }).waitFor();
    assert.equal(types.length, 1);
  });
});
