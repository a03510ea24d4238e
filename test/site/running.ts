// What tests of the site do in each browser: run a chapter to its end, beside Node where they are compared, ask for a value.
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import { lenet300, train, useBackend } from "../../lib/nn/index.ts";
import { type Cell, type Chapter, type Notebook, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { run } from "../../lib/notebook/run.ts";
import { bundleKernel, type KernelBundle } from "../../lib/site/bundle.ts";
import type { WebSession } from "../kernel/web.ts";

let bundle: Promise<KernelBundle> | undefined;

/** The kernel and the library as a site ships them, bundled once for all tests. */
export function siteKernel(): Promise<KernelBundle> {
  bundle ??= bundleKernel();
  return bundle;
}

/**
 * The chapters that SLIMLAB_SITE names: `all`, or some by their numbers (`4.1,4.4`). Without it, the fast half, which every
 * landing runs.
 */
export function isWanted({ number }: Chapter): boolean {
  const named = process.env.SLIMLAB_SITE;
  return named === "all" || (named?.split(",") ?? fastHalf).includes(number);
}
const fastHalf = ["1.1", "1.2", "2.1", "2.2", "3.1.1", "3.3.1", "3.3.2", "4.1", "4.4"];

/** Has a page's kernel begin anew: an interrupt of what never waits takes the names along. */
export async function startAnew(session: WebSession): Promise<void> {
  const { result } = await session.interrupt('console.log("runs"); for (;;) {}');
  assert.equal(result.content.ename, "KeyboardInterrupt");
}

/** How a cell has to end. */
export const expectedEnd = ({ metadata }: Cell): "error" | "ok" =>
  metadata.tags?.includes("raises-exception") ? "error" : "ok";

/** Runs a chapter's cells in their order; each must end as its tags say. Returns the notebook with their outputs. */
export async function runChapter(session: WebSession, { path, number }: Chapter): Promise<Notebook> {
  const begun = performance.now();
  const notebook = await readNotebook(path);
  for (const [i, cell] of notebook.cells.entries()) {
    if (cell.cell_type !== "code") continue;
    const { status, content, outputs } = await session.execute(textOf(cell.source));
    assert.equal(status, expectedEnd(cell), `${number}, cell ${i + 1}: ${content.ename}: ${content.evalue}`);
    cell.outputs = outputs;
  }
  console.log(`      ${number}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  return notebook;
}

/** The same chapter on Node, on the backend that a page has. */
export async function runOnNode({ path, number }: Chapter): Promise<Notebook> {
  const env = { SLIMLAB_BACKEND: "wasm" };
  const { notebook, report } = await run(await readNotebook(path), { kernel: { cwd: dirname(path), env } });
  assert.equal(report.status, "ok", `${number} on Node: ${report.failure?.message}`);
  return notebook;
}

/** What a cell shows, each output in its form that has all of the numbers; not what only a slow machine is warned of. */
export const shownBy = ({ outputs = [] }: Cell): unknown[] =>
  outputs.flatMap((output) => {
    if (output.output_type === "stream") return output.name === "stdout" ? output.text : [];
    if (output.output_type === "error") return `${output.ename}: ${output.evalue}`;
    const { data } = output;
    return data["application/vnd.plotly.v1+json"] ?? data["text/plain"] ?? data["text/html"];
  });

/** The text of a cell's result, which must not fail. */
export async function resultOf(session: WebSession, code: string): Promise<string> {
  const { status, content, outputs } = await session.execute(code);
  assert.equal(status, "ok", `${content.ename}: ${content.evalue}`);
  const result = outputs.find((output) => output.output_type === "execute_result");
  return result && "data" in result ? String(result.data["text/plain"]) : "";
}

/** A short training, in the words of a cell. */
export const training = `
  import { loadDataset, subset } from "slimlab/datasets";
  import { lenet300, train, useBackend } from "slimlab/nn";
  await useBackend("wasm");
  const { train: all } = await loadDataset("mnist-10k");
  const { epochs } = await train(lenet300(1), subset(all, 512, 1), { epochs: 2, seed: 1 });
  epochs.map(({ loss, accuracy }) => [loss, accuracy].join(" ")).join("; ")`;

/** What it comes to on Node, as a cell shows it. */
export async function trainedOnNode(): Promise<string> {
  await useBackend("wasm");
  const { train: all } = await loadDataset("mnist-10k");
  const { epochs } = await train(lenet300(1), subset(all, 512, 1), { epochs: 2, seed: 1 });
  return `'${epochs.map(({ loss, accuracy }) => [loss, accuracy].join(" ")).join("; ")}'`;
}
