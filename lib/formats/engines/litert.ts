// LiteRT in Node, by its package for browsers, @litertjs/core, an optional peer. It expects a browser's worker, so it gets
// a thread of its own, in which litert-worker.ts puts what it looks for: nothing of it is seen elsewhere.
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { answerOf } from "../../util/worker.ts";
import { checkInputs, type LoadedInEngine, MissingEngineError } from "./engine.ts";
import type { LiteRtAnswer, LiteRtRequest } from "./litert-worker.ts";

/** Loads a .tflite file. */
export async function openInLiteRt(bytes: Uint8Array): Promise<LoadedInEngine> {
  try {
    createRequire(import.meta.url).resolve("@litertjs/core/package.json");
  } catch (error) {
    // A package may hide its package.json; then it is there.
    if ((error as NodeJS.ErrnoException).code !== "ERR_PACKAGE_PATH_NOT_EXPORTED")
      throw new MissingEngineError("@litertjs/core", error);
  }
  // It prints what browsers' consoles want to know; a thread's output is its own here.
  const worker = new Worker(new URL("./litert-worker.js", import.meta.url), { stdout: true, stderr: true });
  worker.unref();
  let running: Promise<unknown> = Promise.resolve();
  const ask = (request: LiteRtRequest): Promise<LiteRtAnswer> => {
    const answer = running.then(() => asked(worker, request));
    running = answer.catch(() => undefined);
    return answer;
  };
  try {
    const { inputs = [], outputs = [] } = await ask({ load: bytes });
    return {
      engine: "@litertjs/core",
      inputs,
      outputs,
      async run(given) {
        checkInputs(inputs, given);
        return (await ask({ run: given })).tensors!;
      },
      async close() {
        await worker.terminate();
      },
    };
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}

async function asked(worker: Worker, request: LiteRtRequest): Promise<LiteRtAnswer> {
  worker.ref();
  const answer = answerOf<LiteRtAnswer>(worker);
  worker.postMessage(request);
  try {
    const found = await answer;
    if (found.error === undefined) return found;
    throw new Error(found.error);
  } catch (error) {
    throw new Error(`LiteRT: ${(error as Error).message}`, { cause: error });
  } finally {
    worker.unref();
  }
}
