// The thread in which LiteRT.js runs: it has what a browser's worker has and Node has not.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runInThisContext } from "node:vm";
import { parentPort } from "node:worker_threads";
import type { EngineTensor } from "./engine.ts";

/** What the thread is asked. */
export type LiteRtRequest = { load: Uint8Array } | { run: readonly EngineTensor[] };

/** What it answers. */
export interface LiteRtAnswer {
  error?: string;
  inputs?: { name: string; shape: number[] }[];
  outputs?: { name: string; shape: number[] }[];
  tensors?: EngineTensor[];
}

/** What is used of @litertjs/core: its own types change TypeScript's for typed arrays. */
interface LiteRt {
  loadLiteRt(path: string): Promise<unknown>;
  loadAndCompile(model: Uint8Array, options: { accelerator: "wasm" }): Promise<Model>;
  Tensor: { fromTypedArray(values: Float32Array, shape: number[]): Tensor };
}
interface Details {
  name: string;
  shape: ArrayLike<number>;
}
interface Tensor {
  type: { layout: { dimensions: ArrayLike<number> } };
  toTypedArray(): ArrayLike<number>;
  delete(): void;
}
interface Model {
  getInputDetails(): readonly Details[];
  getOutputDetails(): readonly Details[];
  run(inputs: Tensor[]): Promise<Tensor[]>;
}

let litert: LiteRt | undefined;
let model: Model | undefined;

async function engine(): Promise<LiteRt> {
  if (litert) return litert;
  const entry = fileURLToPath(import.meta.resolve("@litertjs/core"));
  const folder = join(dirname(entry), "..", "wasm");
  Object.assign(globalThis, {
    self: globalThis,
    require: createRequire(import.meta.url),
    __dirname: folder,
    __filename: entry,
    importScripts: (file: string) => runInThisContext(readFileSync(file, "utf8"), { filename: file }),
    Module: { wasmBinary: readFileSync(join(folder, "litert_wasm_compat_internal.wasm")) },
  });
  const name = "@litertjs/core";
  const loaded = (await import(name)) as LiteRt;
  await loaded.loadLiteRt(join(folder, "litert_wasm_compat_internal.js"));
  litert = loaded;
  return loaded;
}

async function answer(request: LiteRtRequest): Promise<LiteRtAnswer> {
  const { loadAndCompile, Tensor } = await engine();
  if ("load" in request) {
    model = await loadAndCompile(request.load, { accelerator: "wasm" });
    const sides = (all: readonly Details[]) =>
      all.map(({ name, shape }) => ({ name, shape: Array.from(shape) }));
    return { inputs: sides(model.getInputDetails()), outputs: sides(model.getOutputDetails()) };
  }
  const inputs = request.run.map(({ shape, values }) => Tensor.fromTypedArray(values.slice(), [...shape]));
  const outputs = await model!.run(inputs);
  const tensors = outputs.map((tensor) => ({
    shape: Array.from(tensor.type.layout.dimensions),
    values: Float32Array.from(tensor.toTypedArray()),
  }));
  for (const tensor of [...inputs, ...outputs]) tensor.delete();
  return { tensors };
}

parentPort!.on("message", async (request: LiteRtRequest) => {
  try {
    parentPort!.postMessage(await answer(request));
  } catch (error) {
    parentPort!.postMessage({ error: error instanceof Error ? error.message : String(error) });
  }
});
