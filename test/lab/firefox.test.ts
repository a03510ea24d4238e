// The workbook's site in Firefox, JupyterLite and all: chapters in both languages, without a driver. The server adds a script
// to the page that runs the notebook by JupyterLab's own commands and posts what has become of it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { serveFolder } from "../../lib/book/serve.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { firefoxPath, startFirefox } from "../kernel/firefox.ts";
import { chapters, liteSite } from "./lite.ts";
import { missing, needLab } from "./tools.ts";

/** What the page posts. */
interface Report {
  cells: { count: number | null; outputs: { output_type: string; ename?: string; evalue?: string }[] }[];
  titles: string[];
}

const script = `<script type="module">
const wait = async (what) => { for (;;) { const found = what(); if (found) return found; await new Promise((done) => setTimeout(done, 50)); } };
const { app, panel } = await wait(() => {
  const app = window.jupyterapp;
  const panel = app?.shell?.currentWidget;
  return panel?.content?.widgets?.length > 0 && { app, panel };
});
await panel.context.ready;
await panel.sessionContext.ready;
await app.commands.execute("notebook:run-all-cells");
const code = panel.content.widgets.filter(({ model }) => model.type === "code");
await wait(() => panel.sessionContext.session?.kernel?.status === "idle");
await wait(() => document.querySelector(".js-plotly-plot .main-svg"));
const cells = code.map(({ model }) => ({ count: model.executionCount, outputs: model.outputs.toJSON() }));
const titles = [...document.querySelectorAll(".js-plotly-plot .gtitle")].map(({ textContent }) => textContent);
await fetch("/report", { method: "POST", body: JSON.stringify({ cells, titles }) });
</script>`;

describe("the workbook's site in Firefox", function () {
  this.timeout(300_000);
  let files: Server;
  let front: Server;
  let base: string;
  let reported: (report: Report) => void = () => {};

  before(async function () {
    await needLab(this, "jupyterlite_core");
    if (!firefoxPath()) missing(this, "Firefox (name its path in SLIMLAB_FIREFOX)");
    files = await serveFolder((await liteSite()).folder, 0, {});
    const inner = (files.address() as AddressInfo).port;
    front = createServer(async (request, response) => {
      if (request.method === "POST") {
        reported(JSON.parse((await request.toArray()).join("")));
        response.end();
        return;
      }
      const answer = await fetch(`http://127.0.0.1:${inner}${request.url}`);
      response.writeHead(answer.status, { "content-type": answer.headers.get("content-type") ?? "" });
      if (request.url?.startsWith("/notebooks/index.html"))
        response.end((await answer.text()).replace("</head>", `${script}</head>`));
      else if (request.url?.startsWith("/jupyter-lite.json")) {
        const settings = JSON.parse(await answer.text());
        settings["jupyter-config-data"].exposeAppInBrowser = true;
        response.end(JSON.stringify(settings));
      } else response.end(new Uint8Array(await answer.arrayBuffer()));
    });
    await new Promise<void>((done) => front.listen(0, "127.0.0.1", done));
    base = `http://127.0.0.1:${(front.address() as AddressInfo).port}/`;
  });
  after(async () => {
    for (const server of [front, files]) {
      server?.closeAllConnections();
      server?.close();
    }
  });

  // The Chinese edition has the same code, and starting a Firefox takes its time: one edition of each chapter.
  for (const chapter of chapters.filter((name) => !chapters.includes(`zh/${name}`)))
    it(`${chapter} runs to its end, and its figures are drawn`, async () => {
      const report = new Promise<Report>((resolve) => {
        reported = resolve;
      });
      const { stop } = await startFirefox(`${base}notebooks/index.html?path=${chapter}.ipynb`);
      try {
        const { cells, titles } = await report;
        const { cells: written } = JSON.parse(
          await readFile(join(packageRoot, "notebooks", `${chapter}.ipynb`), "utf8"),
        );
        const code = written.filter(({ cell_type }: { cell_type: string }) => cell_type === "code");
        assert.deepEqual(
          cells.map(({ count }) => count),
          code.map((_: unknown, i: number) => i + 1),
        );
        const failed = cells.flatMap(({ outputs }, i) =>
          outputs
            .filter(({ output_type }) => output_type === "error")
            .filter(() => !code[i].metadata.tags?.includes("raises-exception")),
        );
        assert.deepEqual(failed, []);
        assert.ok(titles.length > 0);
        if (chapter.startsWith("zh/")) for (const title of titles) assert.match(title, /\p{Script=Han}/u);
      } finally {
        await stop();
      }
    });
});
