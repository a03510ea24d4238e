// A search's worker on a page: one recipe after the other, with a backend and files of its own.
import "./ground.ts";
import { pageProcess } from "../../kernel/web/process.ts";
import type { WorkerStart } from "../../pipeline/work.ts";

const refuse = () => {
  throw new Error("a search's worker has nothing to leave");
};
// What it prints would stand among other trials' words; its errors come as answers.
Object.assign(globalThis, { process: pageProcess(refuse, () => {}) });

async function start(): Promise<(message: WorkerStart) => Promise<void>> {
  const [{ useBackend }, { worker }] = await Promise.all([
    import("../../nn/backend.ts"),
    import("../../pipeline/work.ts"),
  ]);
  // It is named for the backend that the search runs on.
  await useBackend((globalThis as { name?: string }).name);
  return worker((answer) => globalThis.postMessage(answer));
}

const ready = start();
globalThis.addEventListener("message", async ({ data }: MessageEvent) => (await ready)(data));
// Whoever started it hears why it cannot work.
globalThis.addEventListener("unhandledrejection", ({ reason }: PromiseRejectionEvent) => {
  setTimeout(() => {
    throw reason;
  });
});
