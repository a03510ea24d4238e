// Students' pages, made in a thread of their own: what a stranger has written may take the renderers of prose and formulas
// minutes, or all memory. Such a page shows his text as it is.
import { Worker } from "node:worker_threads";
import { answerOf } from "../util/worker.ts";
import { feedbackPage } from "./feedback.ts";

/** Makes pages, one after the other. */
export class Pages {
  readonly #milliseconds: number;
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** @param seconds what a page may take */
  constructor(seconds = 20) {
    this.#milliseconds = seconds * 1000;
  }

  /** As {@link feedbackPage}. */
  make(...asked: Parameters<typeof feedbackPage>): Promise<string> {
    const page = this.#last.then(() => this.#make(asked));
    this.#last = page.catch(() => {});
    return page;
  }

  async end(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  async #make(asked: Parameters<typeof feedbackPage>): Promise<string> {
    const [submission, grade, folder] = asked;
    try {
      return await this.#ask(asked);
    } catch {
      await this.end();
      return feedbackPage(submission, grade, folder, { plain: true });
    }
  }

  #start(): Worker {
    const worker = new Worker(new URL("./page-worker.js", import.meta.url), {
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 1024 },
    });
    worker.unref();
    // Also where nobody waits for it any more.
    worker.on("error", () => {});
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    return worker;
  }

  #ask(asked: Parameters<typeof feedbackPage>): Promise<string> {
    this.#worker ??= this.#start();
    const page = answerOf<string>(this.#worker, this.#milliseconds);
    this.#worker.postMessage(asked);
    return page;
  }
}
