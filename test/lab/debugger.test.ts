// JupyterLab's debugger panel with our kernel, as a person uses it.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { packageRoot } from "../../lib/util/files.ts";
import { JupyterServer, LabNotebook, needBrowser, needLab, notebook, openPage, screenshot } from "./tools.ts";

const cells = [
  `interface Layer { name: string; weights: number[] }
function sparsity(layer: Layer): number {
  const zeros = layer.weights.filter((weight) => weight === 0).length;
  const share = zeros / layer.weights.length;
  return share;
}`,
  'const dense: Layer = { name: "dense", weights: [0, 1, 0, 3] };\nsparsity(dense)',
];

describe("the debugger in JupyterLab", function () {
  this.timeout(300_000);
  let root: string | undefined;
  let server: JupyterServer | undefined;
  let browser: Browser | undefined;
  let page: Page;
  let lab: LabNotebook;

  before(async function () {
    const venv = await needLab(this);
    browser = await needBrowser(this);
    await mkdir(join(packageRoot, ".slimlab"), { recursive: true });
    root = await mkdtemp(join(packageRoot, ".slimlab", "lab-"));
    await writeFile(join(root, "debug.ipynb"), notebook(cells));
    server = await JupyterServer.start(venv, "lab", root);
    ({ page } = await openPage(browser, { width: 1500, height: 1000 }));
    lab = await LabNotebook.open(page, server, "debug.ipynb");
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    if (root) await rm(root, { recursive: true, force: true });
  });
  afterEach(async function () {
    if (this.currentTest?.state === "failed") await screenshot(page, "lab-debugger-failure");
  });

  const panel = (name: string) => page.locator(`.jp-Debugger${name}`);

  it("turns on, and lists the variables of cells that have run", async () => {
    await lab.run(0);
    const bug = page.locator(".jp-DebuggerBugButton");
    await bug.first().waitFor();
    await bug.first().click();
    await panel("Variables").getByText("sparsity").first().waitFor();
  });

  it("stops where the gutter was clicked, in a function that a later cell calls", async () => {
    // The gutter's first element is a spacer.
    await lab.cell(0).locator(".cm-breakpoint-gutter .cm-gutterElement").nth(4).click();
    await lab.cell(0).locator(".cm-breakpoint-icon").last().waitFor();
    await lab.start(1);
    await panel("Callstack").getByText("sparsity").first().waitFor();
    const marked = lab.cell(0).locator(".jp-DebuggerEditor-highlight");
    await marked.waitFor();
    assert.match(String(await marked.textContent()), /const share/);
    await panel("Variables").getByText("zeros").first().waitFor();
    await screenshot(page, "lab-debugger");
  });

  it("steps over a line", async () => {
    await page.locator('[data-command="debugger:next"]').first().click();
    await lab.cell(0).locator(".jp-DebuggerEditor-highlight", { hasText: "return share" }).waitFor();
    await panel("Variables").getByText("0.5").first().waitFor();
  });

  it("goes on to the cell's result", async () => {
    await page.locator('[data-command="debugger:continue"]').first().click();
    await lab.idle();
    assert.match(await lab.output(1), /0\.5/);
    assert.equal(await lab.cell(0).locator(".jp-DebuggerEditor-highlight").count(), 0);
  });
});
