import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { ink } from "../../lib/plots/theme.ts";
import {
  JupyterServer,
  menu,
  needBrowser,
  needLab,
  notebook,
  openPage,
  screenshot,
  type WatchedPage,
} from "./tools.ts";

const figure = {
  data: [
    { type: "scatter", name: "one", x: [1, 2, 3], y: [2, 1, 4] },
    { type: "bar", name: "two", x: [1, 2, 3], y: [1, 2, 2] },
  ],
  // (In the grey that slimlab draws for light and dark alike.)
  layout: {
    title: { text: "Seen by the test" },
    font: { color: ink },
    height: 320,
    meta: { alt: "A line above bars" },
  },
};

/** A display_data output as a notebook's file keeps it, with the SVG for places where no script runs. */
function chart(plotly: object): object {
  return {
    output_type: "display_data",
    metadata: {},
    data: {
      "application/vnd.plotly.v1+json": plotly,
      "image/svg+xml":
        '<svg xmlns="http://www.w3.org/2000/svg" id="fallback"><text y="20">static</text></svg>',
      "text/plain": "Figure",
    },
  };
}

// No kernel takes part: the outputs are in the file, as in a notebook that someone else has run and sent.
for (const program of ["lab", "notebook"] as const) {
  describe(`charts in a saved notebook, in ${program === "lab" ? "JupyterLab" : "Notebook 7"}`, function () {
    this.timeout(300_000);
    let root: string;
    let server: JupyterServer | undefined;
    let browser: Browser | undefined;
    let watched: WatchedPage;

    before(async function () {
      const venv = await needLab(this, "notebook");
      browser = await needBrowser(this);
      root = await mkdtemp(join(tmpdir(), "slimlab-viewer-"));
      const cells = [
        { source: "1", outputs: [chart(figure)] },
        { source: "2", outputs: [chart({ data: [{ type: "nonsense", x: 5 }], layout: { height: 200 } })] },
        { source: "3", outputs: [chart({ ...figure, layout: { width: 400, height: 300 } })] },
      ];
      await writeFile(join(root, "saved.ipynb"), notebook(cells, "no-such-kernel"));
      server = await JupyterServer.start(venv, program, root);
      watched = await openPage(browser);
      const place = program === "lab" ? "lab/tree" : "notebooks";
      await watched.page.goto(`${server.url}/${place}/saved.ipynb?token=${server.token}`);
      await watched.page.locator(".jp-Dialog button.jp-mod-reject").click();
    });
    after(async () => {
      await browser?.close();
      await server?.stop();
      if (root) await rm(root, { recursive: true, force: true });
    });

    it("are drawn, offline, named for a screen reader, in place of the SVG", async () => {
      const { page } = watched;
      const drawn = page.locator(".jp-OutputArea-output.slimlab-plotly");
      await drawn.nth(0).locator("svg.main-svg").first().waitFor();
      const output = drawn.nth(0);
      assert.equal(await output.locator(".gtitle").textContent(), "Seen by the test");
      assert.deepEqual(await output.locator(".legendtext").allTextContents(), ["one", "two"]);
      assert.equal(await output.locator("g.bars .point").count(), 3);
      assert.equal(await output.locator(".scatterlayer path.js-line").count(), 1);
      assert.equal(await output.getAttribute("aria-label"), "A line above bars");
      assert.equal(await page.locator("#fallback").count(), 0);
      assert.equal(await drawn.count(), 3);
      assert.deepEqual(watched.outside, []);
      assert.deepEqual(watched.errors, []);
      await screenshot(page, `viewer-${program}`);
    });

    it("follow the width they have, unless the figure names its own", async () => {
      const { page } = watched;
      const widths = () =>
        page
          .locator(".slimlab-plotly")
          .evaluateAll((nodes) =>
            nodes.map((node) => [
              node.clientWidth,
              Math.round(node.querySelector("svg.main-svg")!.getBoundingClientRect().width),
            ]),
          );
      const before = await widths();
      assert.ok(Math.abs(before[0][0] - before[0][1]) <= 1, `drawn ${before[0][1]} wide in ${before[0][0]}`);
      await page.setViewportSize({ width: 900, height: 1000 });
      await page.waitForFunction(
        (old) => {
          const node = document.querySelector(".slimlab-plotly")!;
          const svg = node.querySelector("svg.main-svg")!.getBoundingClientRect();
          return svg.width < old - 100 && Math.abs(svg.width - node.clientWidth) <= 1;
        },
        before[0][1],
        { polling: 100 },
      );
      assert.equal((await widths())[2][1], 400);
    });

    it("take the colours of a dark theme", async () => {
      const { page } = watched;
      const title = page.locator(".slimlab-plotly .gtitle").first();
      const fill = () => title.evaluate((node) => getComputedStyle(node).fill);
      const light = await fill();
      await menu(page, "Settings", "Theme", "JupyterLab Dark");
      await page.waitForFunction(
        (old) => getComputedStyle(document.querySelector(".slimlab-plotly .gtitle")!).fill !== old,
        light,
        { polling: 100 },
      );
      const luminance = (color: string) => Number(/\d+/.exec(color)?.[0]);
      assert.ok(luminance(light) < 100 && luminance(await fill()) > 180, `${light} became ${await fill()}`);
      await screenshot(page, `viewer-${program}-dark`);
    });

    it("leave nothing behind when their output goes", async () => {
      const { page } = watched;
      await menu(page, "Edit", "Clear Outputs of All Cells");
      await page.locator(".slimlab-plotly").first().waitFor({ state: "detached" });
      assert.equal(await page.locator("svg.main-svg").count(), 0);
      assert.deepEqual(watched.errors, []);
    });
  });
}
