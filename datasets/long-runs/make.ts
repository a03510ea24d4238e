// Runs the chapters' long experiments and keeps what they measured, each with the hash of the cell that measures it:
// npm run build && node dist/datasets/long-runs/make.js 3.4 4.1 …
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { longRunFolder } from "../../lib/datasets/index.ts";
import { findChapters, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { describe } from "../../lib/notebook/report.ts";
import { runNotebooks } from "../../lib/notebook/runner.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { cellHash } from "./cell.ts";

const wanted = process.argv.slice(2);
const chapters = (await findChapters(join(packageRoot, "notebooks"))).filter(
  ({ language, number }) => language === "en" && (wanted.length === 0 || wanted.includes(number)),
);
if (chapters.length === 0) throw new Error(`there is no chapter ${wanted.join(", ")}`);
process.env.SLIMLAB_FULL = "1";
process.env.SLIMLAB_LONG_RUNS = longRunFolder;
const output = await mkdtemp(join(tmpdir(), "slimlab-long-runs-"));
try {
  const report = await runNotebooks(chapters, {
    output,
    timeout: 0,
    jobs: 1,
    onProgress: (_done, _total, note) => console.log(note),
  });
  for (const chapter of report.chapters) {
    if (chapter.status !== "ok") console.error(describe(chapter));
  }
  for (const { path } of chapters) {
    for (const cell of (await readNotebook(path)).cells) {
      const source = textOf(cell.source);
      for (const [, name] of source.matchAll(/\blongRun\("([^"]+)"/g)) {
        const file = join(longRunFolder, `${name}.json`);
        if (!existsSync(file)) continue;
        const { result, ...record } = JSON.parse(await readFile(file, "utf8"));
        const cell = await cellHash(source);
        await writeFile(file, `${JSON.stringify({ ...record, cell, result }, null, 1)}\n`);
      }
    }
  }
} finally {
  await rm(output, { recursive: true, force: true });
}
