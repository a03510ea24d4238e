// A search's worker on this machine: a process of its own. On a page, site/client/trials.ts stands in for this file.
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import type { Recipe } from "./recipe.ts";
import type { WorkerAnswer, WorkerStart } from "./work.ts";

/** A worker as its pool sees it. */
export interface Hand {
  tell(message: WorkerStart | { recipe: Recipe }): void;
  /** Ends it at once, whatever it does. */
  end(): void;
}

/** What a pool hears of a worker. */
export interface Ears {
  answer(answer: WorkerAnswer): void;
  /** It has ended by itself; why. */
  gone(why: string): void;
}

/** How many workers a search starts, unless it is told. */
export const usualWorkers = (): number => availableParallelism();

/** Starts a worker with a backend of its own. */
export function startWorker(backend: string, { answer, gone }: Ears): Hand {
  const process = fork(fileURLToPath(new URL("./worker.js", import.meta.url)), [], {
    serialization: "advanced",
    // What a worker prints would break the progress bar; its errors come as answers.
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    execArgv: [],
    env: {
      ...globalThis.process.env,
      SLIMLAB_BACKEND: backend,
      // The processes are the threads: native TensorFlow would otherwise use every core in each of them.
      TF_NUM_INTRAOP_THREADS: "1",
      TF_NUM_INTEROP_THREADS: "1",
    },
  });
  let stderr = "";
  process.stderr!.on("data", (text) => {
    stderr = (stderr + text).slice(-2000);
  });
  process.on("message", (message: WorkerAnswer) => answer(message));
  const ended = (why: string) => {
    const last = stderr.trim().split("\n").at(-1);
    gone(`the worker process ${why}${last ? `: ${last}` : ""}`);
  };
  process.on("error", (error) => ended(`failed: ${error.message}`));
  process.on("exit", (code, signal) => ended(`ended with ${signal ?? `code ${code}`}`));
  return { tell: (message) => void process.send(message), end: () => void process.kill("SIGKILL") };
}
