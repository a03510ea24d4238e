// The language service of a kernel on a page: loaded when it is started, unless checks are switched off, and then gone.
import type { CellCode } from "../cell/code.ts";
import type { CheckMode } from "../types/check.ts";
import { LanguageService } from "../types/language.ts";
import type { Transpiled, TranspileOptions } from "../types/transpile.ts";
import { type Page, page } from "./types.ts";

/** A new service is told of so many cells at most. */
const mostCells = 500;

export class Language {
  readonly #worker: () => Worker;
  #page: Page | undefined;
  #service: LanguageService | undefined;
  /** What has run, and how much of it the service knows. */
  readonly #ran: [source: string, cell: CellCode][] = [];
  #told = 0;
  #ahead: readonly string[] = [];
  #mode: CheckMode;

  /**
   * @param worker starts a worker on what is built of types-worker.ts
   * @param mode what type errors do at first
   */
  constructor(worker: () => Worker, mode: CheckMode) {
    this.#worker = worker;
    this.#mode = mode;
  }

  get mode(): CheckMode {
    return this.#mode;
  }

  /** Where checks are switched off, the worker's memory is given back too. */
  switch(mode: CheckMode): void {
    this.#mode = mode;
    if (mode !== "off") this.start();
    else this.close();
  }

  /** The service, with the names of all cells so far. */
  get service(): LanguageService {
    if (!this.#service) {
      this.#page = page(this.#worker);
      this.#service = new LanguageService({ ground: this.#page });
      if (this.#ahead.length > 0) this.#service.readAhead(this.#ahead);
    }
    for (const [source, cell] of this.#ran.slice(this.#told)) this.#service.accept(source, cell);
    this.#told = this.#ran.length;
    return this.#service;
  }

  /** Makes types of modules ready that cells will import. */
  readAhead(modules: readonly string[]): void {
    this.#ahead = modules;
    this.#service?.readAhead(modules);
  }

  /** Compiles a text. Where checks are switched off, the worker is started for that all the same. */
  async transpile(text: string, options: TranspileOptions): Promise<Transpiled> {
    await this.service.started();
    return this.#page!.transpile(text, options);
  }

  /** The service where it answers at once. */
  ready(): LanguageService | undefined {
    return this.#service?.isLive ? this.service : undefined;
  }

  start(): void {
    // What fails here is told to the first cell that asks.
    if (this.#mode !== "off") this.service.start().catch(() => {});
  }

  /** Makes a cell's names known to later ones: it has been checked, and runs. */
  accept(source: string, cell: CellCode): void {
    this.#ran.push([source, { ...cell, code: "", map: { ...cell.map, mappings: "", sourcesContent: [] } }]);
    if (this.#mode !== "off") void this.service;
    const older = this.#ran.splice(0, this.#ran.length - mostCells).length;
    this.#told = Math.max(0, this.#told - older);
  }

  /** All names are gone. */
  forget(): void {
    this.#ran.length = this.#told = 0;
    this.#service?.forget();
  }

  close(): void {
    void this.#service?.close();
    this.#service = undefined;
    this.#told = 0;
  }
}
