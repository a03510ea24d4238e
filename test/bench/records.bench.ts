import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { decodeSlim, encodeSlim, type SlimModel, shapeOf, slimWeights } from "../../lib/coding/index.ts";
import { loadDataset, toFloat, viewOf } from "../../lib/datasets/index.ts";
import { modelOfSlim, useBackend } from "../../lib/nn/index.ts";
import { experimentNames, hasRecord, loadRecord } from "../../lib/pipeline/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { venvPython } from "../python.ts";
import type { Row } from "./index.ts";
import { medianTime } from "./median.ts";
import { storedRows } from "./stored.ts";

export const title = "The records' files (4.3)";

export async function bench(report: (row: Row) => void): Promise<void> {
  await useBackend("wasm");
  for (const name of experimentNames) {
    if (!(await hasRecord(name))) continue;
    const { results, slim } = await loadRecord(name);
    const content = decodeSlim(slim);
    const nnc = await codedByNnc(content);
    report({
      work: `${name}: bytes of the file`,
      ours: slim.length,
      peers: { "NNC, tuned": nnc?.bytes ?? Number.NaN, "NNC as it comes": nnc?.defaults ?? Number.NaN },
      unit: "bytes",
      goal: "≤ 0.65 × NNC",
    });
    if (nnc) console.error(`${name}: NNC's settings ${JSON.stringify(nnc.settings)}, of ${nnc.tried}`);
    const isSmall = name === "compact-lenet-300-100";
    report({
      work: `${name}: code`,
      ours: median(() => encodeSlim(content)),
      peers: { NNC: nnc?.encode ?? Number.NaN },
      unit: "ms",
      ...(isSmall ? { goal: "≤ 20 ms" } : {}),
    });
    report({
      work: `${name}: decode to floats`,
      ours: median(() => slimWeights(decodeSlim(slim))),
      peers: { NNC: nnc?.decode ?? Number.NaN },
      unit: "ms",
      ...(isSmall ? { goal: "≤ 5 ms" } : {}),
    });
    const { test } = await loadDataset(results.data.name);
    const { model, compression } = await modelOfSlim(slim);
    await storedRows(report, name, model, compression, toFloat(viewOf(test, 0, 1)));
    model.dispose();
  }
}

const median = (work: () => unknown, runs = 15) => medianTime(work, runs, 5);

interface Nnc {
  bytes: number;
  defaults: number;
  settings: Record<string, unknown>;
  tried: number;
  encode: number;
  decode: number;
}

/** The same levels by Fraunhofer's NNC; undefined where it is not installed, or where a tensor is floats. */
async function codedByNnc({ tensors }: SlimModel): Promise<Nnc | undefined> {
  const levels = Object.values(tensors).map((tensor) => {
    if (tensor.kind === "quantized")
      return { shape: shapeOf(tensor), codes: Array.from(tensor.quantized.codes) };
    if (tensor.kind !== "codebook" || !tensor.mask) return undefined;
    // Shared values by their place in the codebook, and 0 for what is pruned.
    const { mask, codebook } = tensor;
    const below = codebook.filter((value) => value < 0).length;
    const codes = Array.from(tensor.codes, (code, i) => {
      if (mask[i] === 0) return 0;
      return code < below ? code - below : code - below + 1;
    });
    return { shape: shapeOf(tensor), codes };
  });
  const folder = await mkdtemp(join(tmpdir(), "slimlab-nnc-"));
  try {
    if (levels.includes(undefined)) throw new Error("a tensor is floats, which NNC would round");
    const path = join(folder, "levels.json");
    await writeFile(path, JSON.stringify(levels));
    const script = join(packageRoot, "test", "bench", "nnc_peer.py");
    return JSON.parse(execFileSync(venvPython(), [script, path]).toString());
  } catch (error) {
    console.error(`no NNC: ${(error as Error).message.split("\n").slice(0, 3).join(" ")}`);
    return undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
