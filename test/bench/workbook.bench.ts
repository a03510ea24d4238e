import { spawn } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { serveFolder } from "../../lib/book/serve.ts";
import type { RunReport } from "../../lib/notebook/report.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { browserPath, startBrowser } from "../book/browser.ts";
import type { Row } from "./index.ts";
import { median } from "./median.ts";

export const title = "Workbook: from notebooks to the book (2, 5)";

/** What `npm start` does after its build, in `folder`; resolves to seconds. */
function start(folder: string, notebooks: string): Promise<number> {
  const begin = performance.now();
  const arguments_ = [join(packageRoot, "dist/lib/cli.js"), "start", "--notebooks", notebooks];
  const child = spawn(process.execPath, arguments_, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let errors = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (text) => {
      errors = (errors + text).slice(-2000);
    });
  return new Promise((resolve, reject) => {
    child.on("close", (code) =>
      code === 0
        ? resolve((performance.now() - begin) / 1000)
        : reject(new Error(`slimlab start failed:\n${errors}`)),
    );
  });
}

/** How large the book's pages are, and how soon the heaviest show something on a slow line. */
async function pages(report: (row: Row) => void, book: string): Promise<void> {
  const size = async (file: string) => (await stat(join(book, file))).size;
  // What a browser asks for before the first chart: the page, style, script, mathematics' style and its usual fonts.
  const shared = ["assets/book.css", "assets/book.js"];
  const front = await Promise.all(["index.html", ...shared].map(size));
  const sum = (sizes: number[]) => sizes.reduce((a, b) => a + b, 0);
  report({
    work: "front page, before charts",
    ours: sum(front) / 1e6,
    peers: {},
    unit: "MB",
    goal: "at most 0.3 MB",
  });
  const fonts = ["Main-Regular", "Math-Italic", "Size2-Regular"].map(
    (font) => `assets/katex/fonts/KaTeX_${font}.woff2`,
  );
  const mathematics = await Promise.all([...shared, "assets/katex/katex.min.css", ...fonts].map(size));
  const names = (await readdir(book, { recursive: true })).filter((file) => file.endsWith(".html"));
  const sizes = new Map(await Promise.all(names.map(async (name) => [name, await size(name)] as const)));
  const heaviest = names.sort((a, b) => sizes.get(b)! - sizes.get(a)!).slice(0, 3);
  report({
    work: `largest page with all that comes before its charts: ${heaviest[0]}`,
    ours: (sizes.get(heaviest[0])! + sum(mathematics)) / 1e6,
    peers: {},
    unit: "MB",
    goal: "at most 0.5 MB",
  });
  if (!browserPath()) return;
  const server = await serveFolder(book, 0);
  const browser = await startBrowser();
  try {
    const { port } = server.address() as AddressInfo;
    for (const name of heaviest)
      report({
        work: `first paint of ${name} at 1.6 Mbit/s and 150 ms, uncompressed`,
        ours: await firstPaint(browser, `http://127.0.0.1:${port}/${name}`),
        peers: {},
        unit: "s",
        goal: "at most 2.5 s",
      });
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}

/** Seconds until a page of the book shows its first text on a slow line, with nothing kept from before. */
async function firstPaint(browser: Browser, address: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const line = await context.newCDPSession(page);
    await line.send("Network.enable");
    await line.send("Network.emulateNetworkConditions", {
      ...{ offline: false, latency: 150, downloadThroughput: 200_000, uploadThroughput: 100_000 },
    });
    await page.goto(address, { waitUntil: "load", timeout: 120_000 });
    times.push(
      await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime / 1000),
    );
    await context.close();
  }
  return median(times);
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "slimlab-bench-"));
  try {
    const name = "3.1.1-weight-pruning.ipynb";
    await cp(join(packageRoot, "notebooks", name), join(folder, "one", name));
    report({
      work: "start: chapter 3.1.1 runs, book is built",
      ours: await start(folder, join(folder, "one")),
      peers: {},
      unit: "s",
      goal: "at most 60 s on 2 cores, on WASM",
    });
    report({
      work: "start: all chapters run, book is built",
      ours: await start(folder, join(packageRoot, "notebooks")),
      peers: {},
      unit: "s",
      goal: "at most 240 s on 2 cores, on WASM",
    });
    const run: RunReport = JSON.parse(await readFile(join(folder, "book/run.json"), "utf8"));
    for (const [sections, goal] of [
      ["1235", 30],
      ["4", 120],
    ] as const) {
      const chapters = run.chapters.filter(({ notebook }) =>
        sections.includes(notebook.replace(/^zh\//, "")[0]),
      );
      if (chapters.length === 0) continue;
      const { notebook, seconds } = chapters.reduce((worst, one) =>
        one.seconds > worst.seconds ? one : worst,
      );
      report({
        work: `slowest chapter of sections ${[...sections].join(", ")}, another beside it: ${notebook}`,
        ours: seconds,
        peers: {},
        unit: "s",
        goal: `at most ${goal} s alone`,
      });
    }
    await pages(report, join(folder, "book"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
