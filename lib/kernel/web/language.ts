// The language service of a kernel on a page: loaded when it is started, unless checks are switched off, and then gone.
import type { CellCode } from "../cell/code.ts";
import type { CheckMode } from "../types/check.ts";
import { LanguageService } from "../types/language.ts";
import type { Transpiled, TranspileOptions } from "../types/transpile.ts";
import { type Page, page } from "./types.ts";

/** A new service is told of so many cells at most. */
const mostCells = 500;

/** How long the service of a kernel that was closed waits for another kernel, in ms. */
const spareTime = 5000;

interface Running {
  page: Page;
  service: LanguageService;
}

/** The service of a kernel that was closed: a restart need not load TypeScript again. */
let spare: (Running & { timer: ReturnType<typeof setTimeout> }) | undefined;

/** Keeps a service without its names. One that has something to do may hang, and is ended. */
function keep({ page, service }: Running): void {
  if (!service.isIdle || spare) return void service.close();
  service.forget();
  const timer = setTimeout(() => {
    spare = undefined;
    void service.close();
  }, spareTime);
  spare = { page, service, timer };
}

function takeSpare(): Running | undefined {
  const taken = spare;
  clearTimeout(taken?.timer);
  spare = undefined;
  return taken;
}

export class Language {
  readonly #worker: () => Worker;
  #running: Running | undefined;
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
    else this.#give((running) => void running.service.close());
  }

  /** The service, with the names of all cells so far. */
  get service(): LanguageService {
    if (!this.#running) {
      this.#running = takeSpare() ?? this.#begun();
      if (this.#ahead.length > 0) this.#running.service.readAhead(this.#ahead);
    }
    const { service } = this.#running;
    for (const [source, cell] of this.#ran.slice(this.#told)) service.accept(source, cell);
    this.#told = this.#ran.length;
    return service;
  }

  #begun(): Running {
    const ground = page(this.#worker);
    return { page: ground, service: new LanguageService({ ground }) };
  }

  /** Makes types of modules ready that cells will import. */
  readAhead(modules: readonly string[]): void {
    this.#ahead = modules;
    this.#running?.service.readAhead(modules);
  }

  /** Compiles a text. Where checks are switched off, the worker is started for that all the same. */
  async transpile(text: string, options: TranspileOptions): Promise<Transpiled> {
    await this.service.started();
    return this.#running!.page.transpile(text, options);
  }

  /** The service where it answers at once. */
  ready(): LanguageService | undefined {
    return this.#running?.service.isLive ? this.service : undefined;
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
    this.#running?.service.forget();
  }

  /** Its kernel has ended. */
  close(): void {
    this.#give(keep);
  }

  #give(to: (running: Running) => void): void {
    if (this.#running) to(this.#running);
    this.#running = undefined;
    this.#told = 0;
  }
}
