// What tests of the site do in each browser: run a chapter to its end, ask for a value.
import assert from "node:assert/strict";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import { lenet300, train, useBackend } from "../../lib/nn/index.ts";
import { type Chapter, readNotebook, textOf } from "../../lib/notebook/notebook.ts";
import { bundleKernel, type KernelBundle } from "../../lib/site/bundle.ts";
import type { WebSession } from "../kernel/web.ts";

let bundle: Promise<KernelBundle> | undefined;

/** The kernel and the library as a site ships them, bundled once for all tests. */
export function siteKernel(): Promise<KernelBundle> {
  bundle ??= bundleKernel();
  return bundle;
}

/** Runs a chapter's cells in their order; each must end as its tags say. */
export async function runChapter(session: WebSession, { path, number }: Chapter): Promise<void> {
  const begun = performance.now();
  for (const [i, cell] of (await readNotebook(path)).cells.entries()) {
    if (cell.cell_type !== "code") continue;
    const { status, content } = await session.execute(textOf(cell.source));
    const expected = cell.metadata.tags?.includes("raises-exception") ? "error" : "ok";
    assert.equal(status, expected, `${number}, cell ${i + 1}: ${content.ename}: ${content.evalue}`);
  }
  console.log(`      ${number}: ${((performance.now() - begun) / 1000).toFixed(1)} s`);
}

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
