import assert from "node:assert/strict";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { packageRoot } from "../../lib/util/files.ts";
import {
  JupyterServer,
  LabNotebook,
  menu,
  needBrowser,
  needLab,
  notebook,
  openPage,
  screenshot,
  type WatchedPage,
} from "./tools.ts";

const cells = {
  plot: `import { lines } from "slimlab/plots";
const weights = new Float32Array([3, 1, 2]);
lines([...weights], { title: "Three weights" })`,
  moving: `import { bars, slider as sliderOf } from "slimlab/plots";
sliderOf([1, 2, 3].map((top) => bars({ one: top, two: 1 }, { title: "One is " + top, height: 240 })), { label: "one", values: [1, 2, 3] })`,
  complete: "weights.fi",
  inspect: "Math.hypot",
  wrong: 'const text: number = "one";',
  forever: "while (true) {}",
  waiting: "await new Promise(() => {})",
  ask: 'const who = prompt("Who are you?");\n"Hello, " + who',
  secret: 'const word = input("Password?", { password: true });\nword.length',
  after: "weights.length",
  log: 'for (let i = 0; i < 1000; i++) console.log("line", i);',
  html: '({ [Symbol.for("Jupyter.display")]: () => ({ "text/html": "<b id=bold>bold</b>" }) })',
  slider: `import { bars } from "slimlab/plots";
import { FloatSlider, interact } from "slimlab/widgets";
const sparsity = new FloatSlider({ value: 0.5, step: 0.1, description: "sparsity" });
await interact({ sparsity }, ({ sparsity }) =>
  bars({ kept: 1 - sparsity, pruned: sparsity }, { title: \`Pruned \${sparsity.toFixed(1)}\` }));`,
  sliderValue: "sparsity.value",
  controls: `import { Button, Checkbox, Dropdown, HTML, HBox, IntSlider, Output, Progress, Text, VBox } from "slimlab/widgets";
const menu = new Dropdown({ options: ["global", "layer"], description: "strategy" });
const tick = new Checkbox({ description: "fine-tune" });
const line = new Text({ placeholder: "name", description: "name" });
const press = new Button({ description: "Prune", buttonStyle: "primary" });
const bits = new IntSlider({ value: 8, min: 1, max: 16, description: "bits" });
const bar = new Progress({ value: 0.2 });
const note = new HTML("<em id=note>nothing yet</em>");
const said = new Output();
press.onClick(async () => {
  bar.value += 0.4;
  note.value = "<em id=note>" + [menu.value, tick.value, line.value, bits.value].join() + "</em>";
  await said.show("pressed once");
});
new VBox([new HBox([menu, tick]), line, bits, press, bar, note, said])`,
  math: 'display.latex("$e = mc^2$"); display.markdown("**strong**");',
} as const;
const order = Object.keys(cells) as (keyof typeof cells)[];
const at = (name: keyof typeof cells) => order.indexOf(name);

describe("the kernel in JupyterLab", function () {
  this.timeout(300_000);
  let root: string | undefined;
  let server: JupyterServer | undefined;
  let browser: Browser | undefined;
  let watched: WatchedPage;
  let lab: LabNotebook;

  before(async function () {
    const venv = await needLab(this);
    browser = await needBrowser(this);
    // Inside the package, so that cells import slimlab as a chapter does.
    await mkdir(join(packageRoot, ".slimlab"), { recursive: true });
    root = await mkdtemp(join(packageRoot, ".slimlab", "lab-"));
    await writeFile(join(root, "cells.ipynb"), notebook(Object.values(cells)));
    for (const name of await readdir(join(packageRoot, "notebooks"))) {
      if (name.endsWith(".ipynb")) await copyFile(join(packageRoot, "notebooks", name), join(root, name));
    }
    server = await JupyterServer.start(venv, "lab", root);
    watched = await openPage(browser);
    lab = await LabNotebook.open(watched.page, server, "cells.ipynb");
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    if (root) await rm(root, { recursive: true, force: true });
  });
  afterEach(async function () {
    if (this.currentTest?.state === "failed") await screenshot(watched.page, "lab-failure");
  });

  it("draws a figure of the library's", async () => {
    await lab.run(at("plot"));
    const chart = lab.cell(at("plot")).locator(".slimlab-plotly");
    await chart.locator("svg.main-svg").first().waitFor();
    assert.equal(await chart.locator(".gtitle").textContent(), "Three weights");
  });

  it("keeps a chart's height when its slider moves and when the window shrinks", async () => {
    const { page } = watched;
    await lab.run(at("moving"));
    const chart = lab.cell(at("moving")).locator(".slimlab-plotly");
    await chart.locator("svg.main-svg").first().waitFor();
    const height = () => chart.evaluate((node) => node.clientHeight);
    const drawn = await height();
    assert.ok(drawn >= 240, `${drawn} pixels`);
    const rail = (await chart.locator(".slider-rail-touch-rect").boundingBox())!;
    await page.mouse.click(rail.x + rail.width - 3, rail.y + rail.height / 2);
    await chart.locator(".gtitle", { hasText: "One is 3" }).waitFor();
    const size = page.viewportSize()!;
    for (const width of [size.width - 200, size.width]) {
      await page.setViewportSize({ ...size, width });
      await page.waitForTimeout(500); // the redraw comes a frame or two later
      assert.equal(await height(), drawn);
    }
  });

  it("completes names of another cell, with their types", async () => {
    await lab.focus(at("complete"));
    await watched.page.keyboard.press("Tab");
    const popup = watched.page.locator(".jp-Completer");
    await popup.waitFor();
    const names = await popup.locator(".jp-Completer-match").allTextContents();
    for (const name of ["fill", "filter", "find", "findIndex"]) {
      assert.ok(
        names.some((text) => text.startsWith(name)),
        names.join(),
      );
    }
    const kinds = await popup.locator(".jp-Completer-typeExtended").allTextContents();
    assert.ok(kinds.length > 0 && kinds.every((kind) => kind === "method"), kinds.join());
    await screenshot(watched.page, "lab-completion");
    await watched.page.keyboard.press("Escape");
  });

  it("tells what is under the cursor", async () => {
    await lab.focus(at("inspect"));
    await watched.page.keyboard.press("Shift+Tab");
    // It stands there before its text does.
    const tooltip = watched.page.locator(".jp-Tooltip").filter({ hasText: "hypot" });
    await tooltip.waitFor();
    const text = String(await tooltip.textContent());
    assert.match(text, /hypot\(\.\.\.values: number\[\]\): number/);
    assert.match(text, /square root/);
    await screenshot(watched.page, "lab-tooltip");
    await watched.page.keyboard.press("Escape");
  });

  it("stops a cell whose types are wrong, and points at the place", async () => {
    await lab.run(at("wrong"));
    const text = await lab.output(at("wrong"));
    assert.match(text, /Type 'string' is not assignable to type 'number'/);
    assert.match(text, /const text: number = "one"/);
    await screenshot(watched.page, "lab-type-error");
  });

  it("is interrupted by the button, in a busy loop and in an endless wait, and keeps its state", async () => {
    for (const name of ["forever", "waiting"] as const) {
      await lab.start(at(name));
      await watched.page.locator('.jp-Notebook-ExecutionIndicator[data-status="busy"]').waitFor();
      await watched.page.waitForTimeout(500);
      await watched.page
        .locator('.jp-NotebookPanel-toolbar [data-command="notebook:interrupt-kernel"]')
        .click();
      await lab.idle(10_000);
      assert.match(await lab.output(at(name)), /interrupt/i, name);
    }
    await lab.run(at("after"));
    assert.equal((await lab.output(at("after"))).trim(), "3");
  });

  it("asks for a line, and for a password that is not shown", async () => {
    for (const [name, answer, shown] of [
      ["ask", "Ada", /Hello, Ada/],
      ["secret", "s3cret", /6/],
    ] as const) {
      await lab.start(at(name));
      const box = lab.cell(at(name)).locator(".jp-Stdin-input");
      await box.waitFor();
      assert.equal((await box.getAttribute("type")) === "password", name === "secret");
      await box.fill(answer);
      await box.press("Enter");
      await lab.idle();
      assert.match(await lab.output(at(name)), shown);
      assert.doesNotMatch(await lab.output(at(name)), /s3cret/);
    }
  });

  it("shows HTML, mathematics, Markdown and all lines of a long output", async () => {
    await lab.run(at("html"));
    await lab.cell(at("html")).locator("#bold").waitFor();
    await lab.run(at("math"));
    await lab.cell(at("math")).locator("mjx-container").waitFor();
    await lab.cell(at("math")).locator("strong").waitFor();
    await lab.run(at("log"));
    await lab.idle();
    const lines = (await lab.output(at("log"))).trim().split("\n");
    assert.equal(lines.length, 1000);
    assert.equal(lines.at(-1), "line 999");
  });

  it("redraws a chart when a slider moves, without a cell being run", async () => {
    const { page } = watched;
    await lab.run(at("slider"));
    const cell = lab.cell(at("slider"));
    const title = cell.locator(".slimlab-plotly .gtitle");
    await title.waitFor();
    assert.equal(await title.textContent(), "Pruned 0.5");
    const count = await cell.locator(".jp-InputPrompt").textContent();
    await cell.locator(".noUi-handle").focus();
    for (const [key, expected] of [
      ["ArrowRight", "Pruned 0.6"],
      ["ArrowRight", "Pruned 0.7"],
      ["ArrowLeft", "Pruned 0.6"],
      ["End", "Pruned 1.0"],
    ]) {
      await page.keyboard.press(key);
      await cell.locator(".slimlab-plotly .gtitle", { hasText: expected }).waitFor();
    }
    assert.equal(await cell.locator(".slimlab-plotly").count(), 1, "the chart was replaced, not added");
    assert.equal(await cell.locator(".jp-InputPrompt").textContent(), count);
    assert.equal(await cell.locator(".widget-readout").textContent(), "1.00");
    await screenshot(page, "lab-slider");
    await lab.run(at("sliderValue"));
    assert.equal((await lab.output(at("sliderValue"))).trim(), "1");
  });

  it("has every control: what is set in the browser is what TypeScript sees, and back", async () => {
    const { page } = watched;
    await lab.run(at("controls"));
    const cell = lab.cell(at("controls"));
    await cell.locator("select").selectOption("layer");
    await cell.locator("input[type=checkbox]").check();
    await cell.locator("input[type=text]").fill("Ada");
    await cell.locator(".noUi-handle").focus();
    await page.keyboard.press("ArrowLeft");
    await cell.getByRole("button", { name: "Prune" }).click();
    await cell.locator("#note", { hasText: "layer,true,Ada,7" }).waitFor();
    await cell.locator(".jp-OutputArea pre", { hasText: "pressed once" }).first().waitFor();
    assert.match((await cell.locator(".progress-bar").getAttribute("style")) ?? "", /60/);
    await screenshot(page, "lab-controls");
    assert.deepEqual(watched.errors, []);
  });

  it("restarts from the toolbar with nothing left over", async () => {
    await watched.page.locator('.jp-NotebookPanel-toolbar [data-command="notebook:restart-kernel"]').click();
    await watched.page.locator(".jp-Dialog button.jp-mod-accept").click();
    await lab.idle();
    await lab.run(at("after"));
    assert.match(await lab.output(at("after")), /Cannot find name 'weights'|weights is not defined/);
  });

  it("runs chapter 3.1.1 from top to bottom: every chart drawn, no error, nothing from outside", async function () {
    this.timeout(240_000);
    const name = "3.1.1-weight-pruning.ipynb";
    const chapter = JSON.parse(await readFile(join(packageRoot, "notebooks", name), "utf8"));
    const code = chapter.cells.filter((cell: { cell_type: string }) => cell.cell_type === "code").length;
    watched = await openPage(browser!);
    lab = await LabNotebook.open(watched.page, server!, name);
    assert.equal(await watched.page.locator(".jp-mod-dirty").count(), 0, "opening it changes nothing");
    await menu(watched.page, "Run", "Run All Cells");
    await watched.page.waitForFunction(
      (count) =>
        [...document.querySelectorAll<HTMLElement>(".jp-Notebook .jp-CodeCell .jp-InputPrompt")].filter(
          (prompt) => /\d/.test(prompt.textContent),
        ).length >= count,
      code,
      { timeout: 200_000, polling: 500 },
    );
    await lab.idle();
    const folded = watched.page.locator(".jp-RenderedMarkdown details:not([open])");
    assert.ok((await folded.count()) > 0, "solutions wait until they are asked for");
    assert.deepEqual(await lab.errors(), []);
    const charts = watched.page.locator(".jp-OutputArea-output.slimlab-plotly");
    const count = await charts.count();
    assert.ok(count >= 5, `${count} charts`);
    for (let i = 0; i < count; i++) {
      const chart = charts.nth(i);
      await chart.scrollIntoViewIfNeeded();
      await chart.locator("svg.main-svg").first().waitFor();
      assert.ok(
        await chart.locator(".gtitle, .gtitle-subtitle").first().textContent(),
        `chart ${i} has a title`,
      );
    }
    await charts.first().scrollIntoViewIfNeeded();
    await screenshot(watched.page, "jupyterlab-3.1.1");
    assert.deepEqual(watched.outside, []);
    assert.deepEqual(watched.errors, []);
  });
});
