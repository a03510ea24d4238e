// The worker processes of a search, on this machine: each has a backend of its own and does one recipe at a time.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Recipe } from "./recipe.ts";
import type { Row } from "./run.ts";
import type { PipelineData } from "./technique.ts";

/** What every worker is told at its start. */
export interface WorkerStart {
  slim: Uint8Array;
  data: PipelineData;
  seed: number;
  cache: string | false;
}

/** What a worker answers to a recipe. */
export interface WorkerAnswer {
  /** Rows of the run, the original first; empty if it failed. */
  rows: Row[];
  /** Why the recipe could not be carried out. */
  error?: string;
  seconds: number;
}

/** Where recipes are carried out. */
export interface Workers {
  /** Runs a recipe when a worker is free, unless `still` says by then that it is too late. */
  run(recipe: Recipe, still: () => boolean): Promise<WorkerAnswer | undefined>;
  /** Ends all workers; with a reason, what is running fails with it. */
  end(reason?: unknown): void | Promise<void>;
}

/** What whoever waits for a search's workers is told when these are ended. */
export const endedBy = (reason: unknown): Error =>
  reason instanceof Error ? reason : new Error(String(reason ?? "the search has ended"));

interface Worker {
  process: ChildProcess;
  answer?: (answer: WorkerAnswer) => void;
}

/** Worker processes, started as work comes, each doing one recipe at a time. */
export class Pool implements Workers {
  readonly #size: number;
  readonly #backend: string;
  readonly #start: WorkerStart;
  readonly #all = new Set<Worker>();
  readonly #idle: Worker[] = [];
  readonly #waiting: ((worker: Worker) => void)[] = [];
  readonly #failures = new Set<(reason: Error) => void>();
  #ended: Error | undefined;

  constructor(size: number, backend: string, start: WorkerStart) {
    this.#size = size;
    this.#backend = backend;
    this.#start = start;
  }

  async run(recipe: Recipe, still: () => boolean): Promise<WorkerAnswer | undefined> {
    let fail: (reason: Error) => void = () => {};
    const ended = new Promise<never>((_, reject) => {
      fail = reject;
      if (this.#ended) reject(this.#ended);
      this.#failures.add(reject);
    });
    try {
      const worker = await Promise.race([this.#worker(), ended]);
      if (!still()) {
        this.#free(worker);
        return undefined;
      }
      const answer = new Promise<WorkerAnswer>((resolve) => {
        worker.answer = resolve;
      });
      worker.process.send({ recipe });
      const result = await Promise.race([answer, ended]);
      worker.answer = undefined;
      if (this.#all.has(worker)) this.#free(worker);
      else if (this.#waiting.length > 0) this.#waiting.shift()!(this.#spawn());
      return result;
    } finally {
      this.#failures.delete(fail);
    }
  }

  end(reason?: unknown): void {
    this.#ended = endedBy(reason);
    for (const { process } of this.#all) process.kill("SIGKILL");
    this.#all.clear();
    for (const fail of this.#failures) fail(this.#ended);
  }

  #free(worker: Worker): void {
    const next = this.#waiting.shift();
    if (next) next(worker);
    else this.#idle.push(worker);
  }

  #worker(): Promise<Worker> {
    const idle = this.#idle.pop();
    if (idle) return Promise.resolve(idle);
    if (this.#all.size < this.#size) return Promise.resolve(this.#spawn());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #spawn(): Worker {
    const process = fork(fileURLToPath(new URL("./worker.js", import.meta.url)), [], {
      serialization: "advanced",
      // What a worker prints would break the progress bar; its errors come as answers.
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      execArgv: [],
      env: {
        ...globalThis.process.env,
        SLIMLAB_BACKEND: this.#backend,
        // The processes are the threads: native TensorFlow would otherwise use every core in each of them.
        TF_NUM_INTRAOP_THREADS: "1",
        TF_NUM_INTEROP_THREADS: "1",
      },
    });
    const worker: Worker = { process };
    let stderr = "";
    process.stderr!.on("data", (text) => {
      stderr = (stderr + text).slice(-2000);
    });
    process.on("message", (answer: WorkerAnswer) => worker.answer?.(answer));
    const gone = (why: string) => {
      if (!this.#all.delete(worker)) return;
      const idle = this.#idle.indexOf(worker);
      if (idle >= 0) this.#idle.splice(idle, 1);
      const last = stderr.trim().split("\n").at(-1);
      worker.answer?.({ rows: [], error: `the worker process ${why}${last ? `: ${last}` : ""}`, seconds: 0 });
    };
    process.on("error", (error) => gone(`failed: ${error.message}`));
    process.on("exit", (code, signal) => gone(`ended with ${signal ?? `code ${code}`}`));
    this.#all.add(worker);
    process.send(this.#start);
    return worker;
  }
}
