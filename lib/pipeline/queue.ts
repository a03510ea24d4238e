// A search whose trials other machines run, by a queue.
import { ensureBackend } from "../nn/index.ts";
import { type Desk, Sender } from "../queue/index.ts";
import { stepsFolder } from "./cache.ts";
import { endedBy, Pool, type Workers } from "./pool.ts";
import type { Recipe } from "./recipe.ts";
import type { WorkerAnswer, WorkerStart } from "./work.ts";

/** The kind of a queue's tasks that are trials. */
export const searchKind = "search";

/** The workers at a queue, as a search sees them. */
export class QueueWorkers implements Workers {
  readonly #sender: Sender;
  #stop: (reason: Error) => void = () => {};
  readonly #ended = new Promise<never>((_, reject) => {
    this.#stop = reject;
  });

  private constructor(sender: Sender) {
    this.#sender = sender;
    this.#ended.catch(() => {}); // Who waits hears of it.
  }

  static async open(
    url: string,
    start: WorkerStart,
    onNotice?: (notice: string) => void,
  ): Promise<QueueWorkers> {
    return new QueueWorkers(await Sender.open(url, searchKind, start, { ...(onNotice && { onNotice }) }));
  }

  async run(recipe: Recipe, still: () => boolean): Promise<WorkerAnswer | undefined> {
    if (!still()) return undefined;
    return Promise.race([this.#sender.ask<WorkerAnswer>(recipe), this.#ended]);
  }

  end(reason?: unknown): Promise<void> {
    this.#stop(endedBy(reason));
    return this.#sender.close();
  }
}

/** What a worker does with trials; common beginnings are computed once on each machine. */
export async function searchDesk(start: WorkerStart, places: number): Promise<Desk> {
  const cache = start.cache === false ? false : stepsFolder(undefined);
  const pool = new Pool(places, await ensureBackend(), { ...start, cache });
  return {
    answer: (recipe: Recipe) => pool.run(recipe, () => true),
    end: async () => pool.end(),
  } as Desk;
}
