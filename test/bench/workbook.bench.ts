import { spawn } from "node:child_process";
import { cp, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunReport } from "../../lib/notebook/report.ts";
import { packageRoot } from "../../lib/util/files.ts";
import type { Row } from "./index.ts";

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
      goal: "at most 360 s on 2 cores, on WASM",
    });
    const run: RunReport = JSON.parse(await readFile(join(folder, "book/run.json"), "utf8"));
    const slowest = (chapters: RunReport["chapters"]) =>
      chapters.reduce((worst, chapter) => (chapter.seconds > worst.seconds ? chapter : worst));
    for (const [section, goal] of [
      ["3", 30],
      ["4", 120],
    ] as const) {
      const chapters = run.chapters.filter(({ notebook }) =>
        notebook.replace(/^zh\//, "").startsWith(section),
      );
      if (chapters.length === 0) continue;
      const { notebook, seconds } = slowest(chapters);
      report({
        work: `slowest chapter of section ${section}, others beside it: ${notebook}`,
        ours: seconds,
        peers: {},
        unit: "s",
        goal: `at most ${goal} s`,
      });
    }

    // What a browser asks for before the first chart: the page, style, script, mathematics' style and three fonts.
    const size = async (file: string) => (await stat(join(folder, "book", file))).size / 1e6;
    const shared = ["assets/book.css", "assets/book.js"];
    const front = await Promise.all(["index.html", ...shared].map(size));
    const sum = (sizes: number[]) => sizes.reduce((a, b) => a + b, 0);
    report({
      work: "front page, before charts",
      ours: sum(front),
      peers: {},
      unit: "MB",
      goal: "at most 0.3 MB",
    });
    const pages = (await readdir(join(folder, "book"))).filter((file) => file.endsWith(".html"));
    const largest = Math.max(...(await Promise.all(pages.map(size))));
    const fonts = ["Main-Regular", "Math-Italic", "Size2-Regular"].map(
      (font) => `assets/katex/fonts/KaTeX_${font}.woff2`,
    );
    const mathematics = await Promise.all([...shared, "assets/katex/katex.min.css", ...fonts].map(size));
    report({
      work: "largest chapter with its pictures, before charts",
      ours: largest + sum(mathematics),
      peers: {},
      unit: "MB",
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
