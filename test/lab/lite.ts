// JupyterLite's pages as a person uses them, and one site for all suites of a run, because building it takes its time.
import { rmSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { serveFolder } from "../../lib/book/serve.ts";
import { findChapters, type Notebook, textOf } from "../../lib/notebook/notebook.ts";
import { buildSite, type Site } from "../../lib/site/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { expectedEnd, isWanted } from "../site/running.ts";
import { kernelIdle, menu, notebook } from "./tools.ts";

/** The chapters of the site. */
export const chapters = ["1.1-why-compress", "zh/1.1-why-compress", "3.3.1-svd"];

/** What SLIMLAB_SITE names of the Chinese edition, too. */
async function namedChapters(): Promise<string[]> {
  if (process.env.SLIMLAB_SITE === undefined) return [];
  const named = (await findChapters(join(packageRoot, "notebooks"))).filter(isWanted);
  return named.map(({ slug }) => `zh/${slug}`);
}

const notebooks = {
  cells: notebook([
    `interface Layer { units: number }
const layers: Layer[] = [{ units: 300 }, { units: 100 }];
layers.reduce((sum, { units }) => sum + units, 0)`,
    `import { lines } from "slimlab/plots"; lines([3, 1, 2], { title: "Three weights" })`,
    "while (true) {}",
    `"after " + typeof layers`,
    "const answer: number = await new Promise((resolve) => setTimeout(() => resolve(42), 10)); answer",
    `import { IntSlider, interact } from "slimlab/widgets";
await interact({ bits: new IntSlider({ value: 3, min: 1, max: 16, description: "bits" }) }, ({ bits }) => 2 ** bits + " levels")`,
    `import { check } from "slimlab/classroom";
import assert from "node:assert/strict";
const levels = 8;
check("levels", () => assert.equal(levels, 16, "four bits have more"))`,
  ]),
  visit: notebook([
    `import { sparsityOf } from "slimlab/pruning"; sparsityOf([0, 1, 0, 1])`,
    `input("your name? ")`,
    "6 * 7",
    `import { loadDataset } from "slimlab/datasets"; (await loadDataset("mnist-10k")).train.count`,
    `const six: number = "6"`,
  ]),
  other: notebook(["1 + 1"], "python3"),
};

let built: Promise<Site> | undefined;

/** A site with some chapters, notebooks of cells and a book without chapters, in the folder `site` of one of its own. */
export function liteSite(): Promise<Site> {
  built ??= (async () => {
    const root = await mkdtemp(join(tmpdir(), "slimlab-site-"));
    process.once("exit", () => rmSync(root, { recursive: true, force: true }));
    const from = join(root, "notebooks");
    await mkdir(join(from, "zh"), { recursive: true });
    for (const name of new Set([...chapters, ...(await namedChapters())]))
      await copyFile(join(packageRoot, "notebooks", `${name}.ipynb`), join(from, `${name}.ipynb`));
    for (const [name, text] of Object.entries(notebooks)) await writeFile(join(from, `${name}.ipynb`), text);
    await mkdir(join(root, "run"));
    await writeFile(join(root, "run", "run.json"), JSON.stringify({ chapters: [] }));
    await mkdir(join(root, "www", "deep"), { recursive: true });
    return buildSite(join(root, "www", "deep", "site"), { notebooks: from, executed: join(root, "run") });
  })();
  return built;
}

/** Serves the site's folder, and what lies beside it, under a path of its own. */
export async function serveSite({ folder }: Site, port = 0): Promise<{ server: Server; base: string }> {
  const server = await serveFolder(join(folder, "..", ".."), port, {});
  return { server, base: `http://127.0.0.1:${(server.address() as AddressInfo).port}/deep/site/` };
}

/** The cell number `index`, from 0. */
export const cellAt = (page: Page, index: number): Locator =>
  page.locator(`.jp-Notebook .jp-Cell[data-windowed-list-index="${index}"]`);

export const outputOf = (page: Page, index: number): Locator =>
  cellAt(page, index).locator(".jp-OutputArea-output");

/** Starts a cell and does not wait for its end. */
export async function runCell(page: Page, index: number): Promise<void> {
  await cellAt(page, index).locator(".cm-content").click();
  await page.keyboard.press("Control+Enter");
}

/** Opens a notebook of a site and waits for its first cell and its kernel. */
export async function openNotebook(page: Page, base: string, path: string): Promise<void> {
  await page.goto(`${base}notebooks/index.html?path=${path}`);
  await cellAt(page, 0).waitFor();
  await kernelIdle(page);
}

/** Runs all cells of an open notebook; see {@link whenRun}. */
export async function runWhole(page: Page): Promise<Notebook> {
  await menu(page, "Run", "Run All Cells");
  return whenRun(page);
}

/**
 * The notebook as a download has it once the last of its cells has run.
 *
 * @throws Error that names the first cell that ended otherwise than its tags say
 */
export async function whenRun(page: Page): Promise<Notebook> {
  for (;;) {
    const download = page.waitForEvent("download");
    await menu(page, "File", "Download");
    const whole: Notebook = JSON.parse(await readFile(await (await download).path(), "utf8"));
    const cells = whole.cells.filter(
      ({ cell_type, source }) => cell_type === "code" && textOf(source).trim(),
    );
    for (const cell of cells) {
      const error = cell.outputs?.find(({ output_type }) => output_type === "error");
      if (error && expectedEnd(cell) === "ok") throw new Error(`${cell.id}: ${JSON.stringify(error)}`);
    }
    if (cells.every(({ execution_count }) => execution_count !== null)) return whole;
    // (While it runs, what is shown changes, and nothing of it says how far the last cell is.)
    await page.waitForTimeout(2000);
  }
}
