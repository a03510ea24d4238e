// The workbook in a browser: how large, how soon, how fast, beside Node where Node does the same.
import { cp, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import { lenet5, lenet300, train, useBackend } from "../../lib/nn/index.ts";
import { buildSite } from "../../lib/site/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { pageProcesses, startBrowser } from "../book/browser.ts";
import { WebSession } from "../kernel/web.ts";
import { whenRun } from "../lab/lite.ts";
import { resultOf, siteKernel } from "../site/running.ts";
import type { Row } from "./index.ts";
import { median } from "./median.ts";
import { residentMemory } from "./memory.ts";

export const title = "Site: the workbook in a browser";

const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".wasm": "application/wasm",
};

/** A server of files whose text it has compressed before, as web servers do, that adds up what leaves it. */
async function serveCounting(folder: string) {
  const sent = { all: 0, types: 0 };
  const bodies = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = await readFile(path);
    bodies.set(path, types[extname(path)] ? gzipSync(bytes) : bytes);
  }
  const server = createServer((request, response) => {
    const path = join(folder, new URL(request.url!, "http://localhost").pathname);
    const body = bodies.get(path);
    if (!body) return response.writeHead(404).end();
    const type = types[extname(path)];
    sent.all += body.length;
    if (/\/types(\/|\.js$)/.test(path)) sent.types += body.length;
    response.writeHead(200, {
      "content-type": type ?? "application/octet-stream",
      "cache-control": "max-age=3600",
      ...(type && { "content-encoding": "gzip" }),
    });
    return response.end(body);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return { server, sent, base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

/** What the largest of a browser's pages holds in memory, with its workers, in MB; Linux alone tells. */
async function memoryOf(browser: Browser): Promise<number> {
  const ids = await pageProcesses(browser);
  return Math.max(...ids.map((id) => residentMemory(id) || 0)) * 1.024e-3;
}

async function firstFigure(report: (row: Row) => void, folder: string): Promise<void> {
  const notebooks = join(folder, "notebooks");
  await cp(join(packageRoot, "notebooks"), notebooks, { recursive: true });
  const executed = join(packageRoot, ".slimlab", "run");
  const { bytes, hasBook } = await buildSite(join(folder, "site"), { notebooks, executed });
  const without = hasBook ? "" : " (without the book: npm start makes it)";
  report({ work: `on disk${without}`, ours: bytes / 1e6, peers: {}, unit: "MB", goal: "at most 45 MB" });
  const { server, sent, base } = await serveCounting(join(folder, "site"));
  const browser = await startBrowser();
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(120_000);
    const begun = performance.now();
    const seconds = () => (performance.now() - begun) / 1000;
    await page.goto(`${base}notebooks/index.html?path=3.1.1-weight-pruning.ipynb`);
    // (Before it has the notebook, JupyterLab shows an empty cell.)
    await page.locator(".jp-Notebook .jp-CodeCell", { hasText: "slimlab" }).first().waitFor();
    report({ work: "3.1.1 on screen", ours: seconds(), peers: {}, unit: "s", goal: "4 s on 2 quiet cores" });
    await page.locator(".lm-MenuBar-itemLabel", { hasText: /^Run$/ }).click();
    await page
      .locator(".lm-Menu-itemLabel", { hasText: /^Run All Cells$/ })
      .last()
      .click();
    await page.locator(".js-plotly-plot .main-svg").first().waitFor();
    report({ work: "its first figure", ours: seconds(), peers: {}, unit: "s", goal: "7 s on 2 quiet cores" });
    report({
      work: "downloaded by then, without types",
      ours: (sent.all - sent.types) / 1e6,
      peers: {},
      unit: "MB",
      goal: "at most 7.5 MB",
    });
    report({
      work: "downloaded by then",
      ours: sent.all / 1e6,
      peers: {},
      unit: "MB",
      goal: "at most 9 MB",
    });
    if (process.platform === "linux") {
      await whenRun(page);
      const memory = await memoryOf(browser);
      report({
        work: "memory when 3.1.1 has run",
        ours: memory,
        peers: {},
        unit: "MB",
        goal: "at most 1 GB",
      });
    }
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}

/** The median time of requests of a page's session, in ms. */
const timed = (session: WebSession, rounds: number, name: "check" | "complete"): Promise<number> =>
  session.page
    .evaluate(
      async ([rounds, name]) => {
        const { session } = globalThis as unknown as { session: import("../kernel/web-page.ts").Session };
        const times: number[] = [];
        for (let i = 0; i < rounds; i++) {
          const begun = performance.now();
          // Refused by its types: so nothing of it runs.
          if (name === "check")
            await session.execute(`const sum${i}: string = tf.tensor1d([${i}]).add(1).sum();`);
          else {
            const code = `const x${i} = ${i};\ntf.tensor1d([1]).re`;
            await session.ask("shell", "complete_request", { code, cursor_pos: code.length });
          }
          times.push(performance.now() - begun);
        }
        return times;
      },
      [rounds, name] as const,
    )
    .then(median);

async function kernel(report: (row: Row) => void): Promise<void> {
  const session = await WebSession.start(false, await siteKernel());
  try {
    await session.ask("shell", "kernel_info_request");
    const ready = await session.page.evaluate(() => performance.now());
    report({ work: "kernel ready", ours: ready / 1000, peers: {}, unit: "s", goal: "1 s" });
    await resultOf(session, `import { tf } from "slimlab/nn"; tf.tensor1d([1]).add(1).dispose()`);
    await timed(session, 3, "check");
    report({
      work: "a cell with TensorFlow.js in scope is checked",
      ours: await timed(session, 20, "check"),
      peers: {},
      unit: "ms",
      goal: "60 ms",
    });
    report({
      work: "completion of a tensor's methods",
      ours: await timed(session, 20, "complete"),
      peers: {},
      unit: "ms",
      goal: "20 ms",
    });
    await useBackend("wasm");
    const images = subset((await loadDataset("mnist-10k")).train, 2000, 1);
    for (const [name, make] of [
      ["lenet5", lenet5],
      ["lenet300", lenet300],
    ] as const) {
      const begun = performance.now();
      await train(make(1), images, { epochs: 3, seed: 1 });
      const here = performance.now() - begun;
      const there = await resultOf(
        session,
        `import { loadDataset, subset } from "slimlab/datasets";
         import { ${name}, train, useBackend } from "slimlab/nn";
         await useBackend("wasm");
         const images = subset((await loadDataset("mnist-10k")).train, 2000, 1);
         const begun = performance.now();
         await train(${name}(1), images, { epochs: 3, seed: 1 });
         performance.now() - begun`,
      );
      report({
        work: `three epochs of 2,000 images, ${name}`,
        ours: Number(there),
        peers: { "Node's WASM": here },
        unit: "ms",
        goal: "at most 1.2",
      });
    }
  } finally {
    await session.stop();
  }
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "slimlab-bench-"));
  try {
    await kernel(report);
    await firstFigure(report, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
