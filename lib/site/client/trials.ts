// What stands in for pipeline/process.ts: a search's worker on a page is a web worker.
import type { Ears, Hand } from "../../pipeline/process.ts";
import { availableParallelism } from "./node/os.ts";

/** Each has TensorFlow.js and the data of its own: more would take a tablet's memory. */
export const usualWorkers = (): number => Math.min(4, availableParallelism());

export function startWorker(backend: string, { answer, gone }: Ears): Hand {
  // The script that asks is the worker of the cells, or another of these.
  const worker = new Worker(new URL("trials.js", globalThis.location.href), {
    type: "module",
    name: backend,
  });
  worker.addEventListener("message", ({ data }) => answer(data));
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    worker.terminate();
    gone(`the worker failed: ${event.message ?? "its script could not be loaded"}`);
  });
  return { tell: (message) => worker.postMessage(message), end: () => worker.terminate() };
}
