// The language service of a kernel, loaded when it is first needed, with the names of the cells that have run.
import type { CellCode } from "../cell/code.ts";
import type { LanguageService } from "../types/language.ts";
import { log } from "./log.ts";

/** Cells that wait at most before they are told. */
const mostWaiting = 50;
/** What counts as a pause, in ms. */
const pause = 1000;

export class Language {
  readonly #options: { folder: string; javascript: boolean };
  #service: Promise<LanguageService> | undefined;
  readonly #waiting: [source: string, cell: CellCode][] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(options: { folder: string; javascript: boolean }) {
    this.#options = options;
  }

  /** The service, whatever it knows. */
  get(): Promise<LanguageService> {
    if (!this.#service) {
      const service = import("../types/machine.ts").then(({ machineService }) =>
        machineService(this.#options),
      );
      this.#service = service;
      // What failed (a full disk, for one) may do the next time.
      service.catch(() => {
        this.#service = undefined;
      });
    }
    return this.#service;
  }

  /** The service, with the names of all cells so far. */
  async upToDate(): Promise<LanguageService> {
    const service = await this.get();
    for (const [source, cell] of this.#waiting.splice(0)) service.accept(source, cell);
    return service;
  }

  /**
   * Where types are not checked, a cell's names, and TypeScript's server, matter only to who completes or inspects: that
   * can wait for a pause.
   */
  acceptLater(source: string, cell: CellCode): void {
    this.#waiting.push([source, cell]);
    if (this.#waiting.length >= mostWaiting && process.env.SLIMLAB_COMPLETION !== "off") void this.upToDate();
    this.startLater();
  }

  startLater(): void {
    // Kernels that no person types into, a grader's for one, never complete anything.
    if (process.env.SLIMLAB_COMPLETION === "off") return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.start(), pause);
  }

  /** Starts TypeScript's server. Never rejects. */
  async start(): Promise<void> {
    try {
      await (await this.upToDate()).start();
    } catch (error) {
      log(`TypeScript's server did not start: ${(error as Error).message}`);
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await (await this.#service)?.close();
  }
}
