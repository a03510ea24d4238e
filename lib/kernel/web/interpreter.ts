// Runs cells for the kernel's core: turns them into JavaScript and hands them to a worker, which is started anew where nothing
// else ends what runs in it.

import { unlessAborted } from "../../util/abort.ts";
import { codeOf } from "../cell/cell.ts";
import { type CellCode, CellSyntaxError } from "../cell/code.ts";
import { placeInCell } from "../cell/frame.ts";
import { CellNames } from "../cell/names.ts";
import { completeness } from "../cell/syntax.ts";
import { importFunction } from "../cell/words.ts";
import type { Cell, CellEnd, Completions, Inspection, Interpreter, Outputs } from "../protocol/host.ts";
import { type Content, type Message, noOrigin, type Origin } from "../protocol/messages.ts";
import type { Completeness, ErrorContent } from "../protocol/reference.ts";
import { errorContent } from "../protocol/request.ts";
import { type CheckMode, refusalOf } from "../types/check.ts";
import { compiler } from "./compile.ts";
import type { Language } from "./language.ts";
import { beatNow, numbersIn, type RunRequest, shared, type ToKernel, type ToWorker } from "./link.ts";

// The worker is given time in turns of 10 ms of this side's own: on a busy machine both sides get fewer of them.
const turnTime = 10;
/** A worker that says nothing to an interrupt for so many turns is in a loop, and is ended. */
const patience = 7;
/** Completion asks the worker, which may be busy: it waits for so many turns. */
const completionPatience = 15;

const imports = new RegExp(String.raw`\b${importFunction}\((["'])([^"'\\]+)\1`, "g");

export interface InterpreterOptions {
  /** Starts the worker that runs the cells. */
  worker(): Worker;
  /** What modules are called in cells, and where they lie. */
  modules: Record<string, string>;
  /** Where relative imports start. */
  base: string;
  /** Checks cells, and may have been started before the kernel; without it, no cell is checked. */
  language?: Language;
  /** Whether page and workers may share memory. */
  isolated: boolean;
  log(text: string): void;
}

/** A cell was interrupted while it was being checked. */
class Stopped extends Error {}

export class WebInterpreter implements Interpreter {
  readonly #options: InterpreterOptions;
  readonly #memory: SharedArrayBuffer | undefined;
  readonly #runs = new Map<number, (end: CellEnd) => void>();
  readonly #handling = new Map<string, () => void>();
  readonly #waiting = new Map<number, (message: ToKernel) => void>();
  readonly #comms = new Set<string>();
  #outputs!: Outputs;
  #worker!: Worker;
  /** What cells have declared, once the worker is there. */
  #names!: Promise<CellNames>;
  #asking: Origin | undefined;
  #numbers = 0;

  constructor(options: InterpreterOptions) {
    this.#options = options;
    if (options.isolated) this.#memory = new SharedArrayBuffer(shared.bytes + shared.size);
    this.#start();
  }

  get #language(): Language | undefined {
    return this.#options.language;
  }

  connect(outputs: Outputs): void {
    this.#outputs = outputs;
  }

  /** Loads types, once the front end has its first answer. */
  warm(): void {
    this.#language?.start();
  }

  /** Loads modules that cells will import, as the options name them. */
  loadAhead(modules: string[]): void {
    if (modules.length > 0) this.#post({ type: "ahead", modules });
  }

  /** Says what type errors do from here on. */
  check(mode: CheckMode): void {
    this.#language?.switch(mode);
  }

  close(): void {
    this.#language?.close();
    this.#worker.terminate();
  }

  // ---- The worker ----------------------------------------------------------------------------------------------------

  #start(): void {
    const worker = this.#options.worker();
    this.#worker = worker;
    this.#names = new Promise((resolve, reject) => {
      worker.addEventListener("message", ({ data }: MessageEvent<ToKernel>) => {
        if (worker !== this.#worker) return; // Its last words, when it has been replaced.
        if (data.type === "up") resolve(new CellNames(new Set(data.globals)));
        else this.#take(data);
      });
      worker.addEventListener("error", (event) => reject(new Error(`the worker failed: ${event.message}`)));
    });
    const { modules, base } = this.#options;
    this.#post({ type: "start", modules, base, shared: this.#memory });
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #take(message: Exclude<ToKernel, { type: "up" }>): void {
    switch (message.type) {
      case "stream":
        this.#outputs.stream(message.origin, message.name, message.text);
        break;
      case "publish": {
        const { origin, msgType, content, metadata, buffers } = message;
        if (msgType === "comm_open") this.#comms.add(content.comm_id);
        if (msgType === "comm_close") this.#comms.delete(content.comm_id);
        this.#outputs.publish(origin, msgType, content, { metadata, buffers });
        break;
      }
      case "done": {
        const { run, error, expressions } = message;
        this.#runs.get(run)?.(error ? { error } : { expressions });
        this.#runs.delete(run);
        break;
      }
      case "handled":
        this.#handling.get(message.origin.header.msg_id ?? "")?.();
        this.#handling.delete(message.origin.header.msg_id ?? "");
        break;
      case "input":
        this.#asking = message.origin;
        this.#outputs.ask(message.origin, message.prompt, message.password);
        break;
      case "pong":
        this.#waiting.get(message.ping)?.(message);
        break;
      case "members":
        this.#waiting.get(message.ask)?.(message);
        break;
    }
  }

  /** Sends a question with a number and resolves to its answer; undefined when it does not come in time. */
  async #question(ask: (number: number) => ToWorker, turns: () => number): Promise<ToKernel | undefined> {
    const number = ++this.#numbers;
    let answer: ToKernel | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#waiting.set(number, (message) => {
        answer = message;
        resolve();
      });
      const wait = (spent: number) => {
        if (spent >= turns()) resolve();
        else timer = setTimeout(() => wait(spent + 1), turnTime);
      };
      this.#post(ask(number));
      wait(0);
    });
    clearTimeout(timer);
    this.#waiting.delete(number);
    return answer;
  }

  // ---- Cells ---------------------------------------------------------------------------------------------------------

  async execute(cell: Cell): Promise<CellEnd> {
    const names = await this.#names;
    const { source, name, title, count, origin, signal } = cell;
    let code: CellCode;
    try {
      code = await this.#compile(source, name, names);
    } catch (error) {
      if (!(error instanceof CellSyntaxError)) throw error;
      const { message, line, column } = error;
      return {
        error: errorContent("SyntaxError", message, placeInCell(title, source, line, column)),
      };
    }
    const modules = this.#modulesOf(code);
    this.loadAhead(modules);
    const expressions = await this.#expressions(cell, names);
    const refused = await unlessAborted(this.#check(cell, code), signal, () => new Stopped()).catch(
      (error) => {
        if (!(error instanceof Stopped)) throw error;
        return errorContent("KeyboardInterrupt", "the cell was interrupted before it ran");
      },
    );
    if (refused) return { error: refused };
    names.begin(code);
    const run = ++this.#numbers;
    const end = new Promise<CellEnd>((resolve) => this.#runs.set(run, resolve));
    this.#post({
      type: "run",
      run,
      origin,
      name,
      title,
      count,
      code: code.code,
      reset: code.reset,
      mappings: code.map.mappings,
      source,
      showsResult: code.showsResult && !origin.silent,
      expressions,
    });
    this.#language?.accept(source, code);
    const ended = await end;
    if (!ended.error) names.finish(code);
    return ended;
  }

  /** Modules by the names that the site knows which a cell imports. */
  #modulesOf({ code }: CellCode): string[] {
    const names = [...code.matchAll(imports)].map(([, , name]) => name);
    return names.filter((name) => Object.hasOwn(this.#options.modules, name));
  }

  /** What a cell with type errors is refused with. */
  async #check(cell: Cell, code: CellCode): Promise<ErrorContent | undefined> {
    const language = this.#language;
    return (
      language &&
      refusalOf(cell, code, {
        mode: language.mode,
        language: async () => language.service,
        warn: (text) => this.#outputs.stream(cell.origin, "stderr", text),
        log: this.#options.log,
      })
    );
  }

  #compile(source: string, name: string, names: CellNames): Promise<CellCode> {
    return codeOf(source, { name, names, inFunction: true }, compiler(this.#language));
  }

  async #expressions({ name, expressions }: Cell, names: CellNames): Promise<RunRequest["expressions"]> {
    const codes: RunRequest["expressions"] = {};
    for (const [key, expression] of Object.entries(expressions)) {
      try {
        const { code } = await this.#compile(`(${expression}\n)`, `${name}.${key}`, names);
        codes[key] = { code };
      } catch (error) {
        codes[key] = (error as Error).message;
      }
    }
    return codes;
  }

  comm(origin: Origin, message: Message): Promise<void> {
    const { header, content, metadata, buffers } = message;
    if (header.msg_type === "comm_open") this.#comms.add(content.comm_id);
    if (header.msg_type === "comm_close") this.#comms.delete(content.comm_id);
    return new Promise((resolve) => {
      this.#handling.set(header.msg_id, resolve);
      this.#post({ type: "comm", origin, msgType: header.msg_type, content, metadata, buffers });
    });
  }

  answer(value: string): void {
    this.#asking = undefined;
    const bytes = new TextEncoder().encode(value).subarray(0, shared.size);
    new Uint8Array(this.#memory!, shared.bytes, shared.size).set(bytes);
    this.#answered(bytes.length);
  }

  #answered(number: number): void {
    const numbers = numbersIn(this.#memory!);
    Atomics.store(numbers, shared.answer, number);
    Atomics.notify(numbers, shared.answer);
  }

  // ---- Interrupts ----------------------------------------------------------------------------------------------------

  /** What waits is cut off and all names stay. A loop that never waits is ended with the worker, and all names go. */
  async interrupt(): Promise<boolean> {
    if (this.#runs.size === 0) return true;
    if (this.#memory) Atomics.store(numbersIn(this.#memory), shared.interrupt, 1);
    // A cell that asks, or that went on after a wait just now, is in no loop that never waits: however busy the machine is,
    // it will hear.
    let willHear = this.#wentOn();
    const turns = () => {
      if (this.#asking) {
        this.#asking = undefined;
        this.#answered(shared.cutOff);
        willHear = true;
      }
      return willHear ? 60 * patience : patience;
    };
    const pong = await this.#question((ping) => ({ type: "interrupt", ping }), turns);
    if (!pong && this.#runs.size > 0) this.#restart();
    return true;
  }

  /** Whether the cell that runs went on after a wait a moment ago. */
  #wentOn(): boolean {
    const beat = this.#memory && Atomics.load(numbersIn(this.#memory), shared.beat);
    return beat !== undefined && beat !== 0 && beatNow() - beat < 500;
  }

  #restart(): void {
    this.#worker.terminate();
    for (const end of this.#runs.values()) {
      end({
        error: errorContent("KeyboardInterrupt", "the cell was interrupted", [
          "A browser can end a loop that never waits only together with everything that cells have made: their names are gone, run those cells again that you need.",
        ]),
      });
    }
    this.#runs.clear();
    for (const handled of this.#handling.values()) handled();
    this.#handling.clear();
    for (const comm_id of this.#comms)
      this.#outputs.publish(noOrigin, "comm_close", { comm_id, data: {} } satisfies Content);
    this.#comms.clear();
    this.#language?.forget();
    this.#start();
  }

  // ---- What may be written -------------------------------------------------------------------------------------------

  async isComplete(source: string): Promise<Completeness> {
    return completeness(source) as Completeness;
  }

  async complete(source: string, offset: number): Promise<Completions> {
    const typed = await this.#language?.ready()?.complete(source, offset);
    return typed && typed.matches.length > 0 ? typed : this.#completeAtRunTime(source, offset);
  }

  /** What types do not know, or do not know yet, may be there all the same. */
  async #completeAtRunTime(source: string, offset: number): Promise<Completions> {
    const before = source.slice(0, offset);
    const [, path = "", word = ""] =
      /((?:[\p{L}_$][\p{L}\p{N}_$]*\??\.)*)([\p{L}_$][\p{L}\p{N}_$]*)?$/u.exec(before) ?? [];
    const start = offset - word.length;
    const nothing: Completions = { matches: [], cursorStart: start, cursorEnd: offset, metadata: {} };
    if (path === "" && (word === "" || before.slice(0, start).endsWith("."))) return nothing;
    const expression = path === "" ? "globalThis" : path.replace(/\??\.$/, "");
    const answer = await this.#question(
      (ask) => ({ type: "members", ask, expression }),
      () => completionPatience,
    );
    if (answer?.type !== "members") return nothing;
    const found = answer.names.filter(
      ({ name }) => name.startsWith(word) && !/^__slimlab|\u200d$/.test(name),
    );
    return {
      ...nothing,
      matches: found.map(({ name }) => name),
      metadata: {
        _jupyter_types_experimental: found.map(({ name, type }) => ({
          start,
          end: offset,
          text: name,
          type,
        })),
      },
    };
  }

  async inspect(source: string, offset: number, detail: 0 | 1): Promise<Inspection | undefined> {
    const found = await this.#language?.ready()?.inspect(source, offset, detail);
    // So TypeScript speaks of a name that it does not know.
    return found?.plain === "any" ? undefined : found;
  }
}
