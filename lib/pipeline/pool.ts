// The workers of a search, on this machine: each has a backend of its own and does one recipe at a time.
import { type Hand, startWorker } from "./process.ts";
import type { Recipe } from "./recipe.ts";
import type { WorkerAnswer, WorkerStart } from "./work.ts";

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
  hand: Hand;
  answer?: (answer: WorkerAnswer) => void;
}

/** Workers, started as work comes, each doing one recipe at a time. */
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
      worker.hand.tell({ recipe });
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
    for (const { hand } of this.#all) hand.end();
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
    const worker: Worker = {
      hand: startWorker(this.#backend, {
        answer: (answer) => worker.answer?.(answer),
        gone: (error) => {
          if (!this.#all.delete(worker)) return;
          const idle = this.#idle.indexOf(worker);
          if (idle >= 0) this.#idle.splice(idle, 1);
          worker.answer?.({ rows: [], error, seconds: 0 });
        },
      }),
    };
    this.#all.add(worker);
    worker.hand.tell(this.#start);
    return worker;
  }
}
