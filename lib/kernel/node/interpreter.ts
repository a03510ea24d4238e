// Runs cells for the kernel's core: turns them into JavaScript, checks their types, hands them to the main thread; and
// knows what may be written next.

import { unlessAborted } from "../../util/abort.ts";
import type { CellCode } from "../cell/code.ts";
import { placeInCell } from "../cell/frame.ts";
import { CellNames, ownName } from "../cell/names.ts";
import { Debugger } from "../debug/debugger.ts";
import type { Cell, CellEnd, Completions, Inspection, Interpreter, Outputs } from "../protocol/host.ts";
import type { Content, Message, Origin } from "../protocol/messages.ts";
import type { Completeness, ErrorContent } from "../protocol/reference.ts";
import { errorContent } from "../protocol/request.ts";
import { refusalOf } from "../types/check.ts";
import { objectBefore, RuntimeMembers } from "../types/members.ts";
import { interruptChildren } from "./children.ts";
import { watchHeldText } from "./held.ts";
import { Language } from "./language.ts";
import type { ServerData } from "./link.ts";
import { log } from "./log.ts";
import type { MainThread } from "./main-thread.ts";

/** A client's subscription comes with its first question, and loading would keep it waiting (in ms). */
const warmAfter = 25;
/** What is left of an interrupted cell may keep the next one waiting for this time (in ms). */
const patience = 500;

const transforming = () => import("../cell/transform.ts");

/** A cell that does not run, with the error that says why. */
class Refused extends Error {
  readonly content: ErrorContent;
  constructor(content: ErrorContent) {
    super(content.evalue);
    this.content = content;
  }
}

export class NodeInterpreter implements Interpreter {
  readonly #data: ServerData;
  readonly #main: MainThread;
  readonly #language: Language;
  readonly #members = new RuntimeMembers();
  readonly debugger: Debugger;
  readonly #names = new CellNames();
  #outputs!: Outputs;
  #runs = 0;
  #warmed = false;
  #mayBeHeldUp = false;

  /** @param debug where the debugger's events go, and its wish to end what runs */
  constructor(
    data: ServerData,
    main: MainThread,
    debug: { event(content: Content): void; interrupt(): Promise<unknown> },
  ) {
    this.#data = data;
    this.#main = main;
    this.#language = new Language(data);
    this.debugger = new Debugger({
      ...debug,
      transform: (source) => this.#transform(source, "debugger"),
    });
  }

  connect(outputs: Outputs): void {
    this.#outputs = outputs;
    this.#main.connect(outputs);
  }

  /** Loads what the first cell will need, once the client has its first answer. */
  warm(): void {
    if (this.#warmed) return;
    this.#warmed = true;
    setTimeout(() => {
      if (this.#data.check === "off") this.#language.startLater();
      else void this.#language.start();
      transforming()
        .then(({ warmTransform }) => warmTransform())
        .catch((error) => log(`loading failed: ${error.stack}`));
    }, warmAfter);
  }

  async close(): Promise<void> {
    this.debugger.close();
    this.#members.close();
    await this.#language.close();
  }

  // ---- Cells ---------------------------------------------------------------------------------------------------------

  async execute(cell: Cell): Promise<CellEnd> {
    try {
      return await this.#run(cell);
    } catch (error) {
      if (error instanceof Refused) return { error: error.content };
      throw error;
    }
  }

  async #run(cell: Cell): Promise<CellEnd> {
    const { source, name, title, count, origin, signal } = cell;
    const code = await this.#compile(cell);
    const expressions = await this.#expressions(cell);
    // Transforming and checking take a moment, in which the person may have thought better of it.
    await unlessAborted(
      this.#check(cell, code),
      signal,
      () => new Refused(errorContent("KeyboardInterrupt", "the cell was interrupted before it ran")),
    );
    await this.debugger.prepare(name, title, source, code.map.mappings);
    await this.#clear();
    const end = this.#main.run({
      type: "run",
      run: ++this.#runs,
      origin,
      name,
      title,
      count,
      code: code.code,
      map: code.map,
      source,
      showsResult: code.showsResult && !origin.silent,
      expressions,
      debug: this.debugger.on,
    });
    const leave = watchHeldText(this.#data.shared);
    try {
      await this.#accept(source, code);
      const ended = await end;
      if (!("error" in ended) || !ended.error) this.#names.finish(code);
      else this.#mayBeHeldUp = ended.error.ename === "KeyboardInterrupt";
      return ended;
    } finally {
      leave();
      this.debugger.ended();
    }
  }

  async #transform(source: string, name: string): Promise<CellCode> {
    const { transformCell } = await transforming();
    const { javascript, folder } = this.#data;
    return transformCell(source, { name, javascript, folder, names: this.#names });
  }

  async #compile({ source, name, title }: Cell): Promise<CellCode> {
    try {
      return await this.#transform(source, name);
    } catch (error) {
      const { CellSyntaxError } = await transforming();
      if (!(error instanceof CellSyntaxError)) throw error;
      const { message, line, column } = error;
      throw new Refused(errorContent("SyntaxError", message, placeInCell(title, source, line, column)));
    }
  }

  async #expressions({ name, expressions }: Cell): Promise<Record<string, string>> {
    const codes: Record<string, string> = {};
    for (const [key, expression] of Object.entries(expressions)) {
      try {
        codes[key] = (await this.#transform(`(${expression}\n)`, `${name}.${key}`)).code;
      } catch {
        codes[key] = String(expression); // V8 says what is wrong with it.
      }
    }
    return codes;
  }

  /** Refuses a cell with type errors, or warns of them. */
  async #check(cell: Cell, code: CellCode): Promise<void> {
    const refusal = await refusalOf(cell, code, {
      mode: this.#data.check,
      language: () => this.#language.get(),
      warn: (text) => this.#outputs.stream(cell.origin, "stderr", text),
      log,
    });
    if (refusal) throw new Refused(refusal);
  }

  /** The cell's names are known from here on, even if it fails half-way: what it declared before that is there. */
  async #accept(source: string, code: CellCode): Promise<void> {
    this.#names.begin(code);
    if (this.#data.check === "off") {
      this.#language.acceptLater(source, code);
      return;
    }
    try {
      (await this.#language.get()).accept(source, code);
    } catch (error) {
      log(`types will not know this cell: ${(error as Error).message}`);
    }
  }

  comm(origin: Origin, message: Message): Promise<void> {
    return this.#main.comm(origin, message);
  }

  answer(value: string): void {
    this.#main.answer({ value });
  }

  async interrupt(): Promise<boolean> {
    const { held, resume } = this.debugger.interrupting();
    const stop = interruptChildren();
    const isFree = await this.#main.interrupt(held);
    stop();
    resume();
    return isFree;
  }

  /** A callback that an interrupted cell has left behind may never end, and the next cell never begin. */
  async #clear(): Promise<void> {
    if (!this.#mayBeHeldUp) return;
    if (!(await this.#main.isFree(patience)) && !this.debugger.isHeld) await this.interrupt();
    this.#mayBeHeldUp = false;
  }

  // ---- What may be written -------------------------------------------------------------------------------------------

  async isComplete(source: string): Promise<Completeness> {
    const { classOptions, completeness } = await transforming();
    const { javascript, folder } = this.#data;
    return completeness(source, { ...classOptions(folder), javascript }) as Completeness;
  }

  async complete(source: string, offset: number): Promise<Completions> {
    const found = await (await this.#language.upToDate()).complete(source, offset);
    return found.matches.length > 0 ? found : this.#completeAtRunTime(source, found);
  }

  /** What types do not know may be there all the same: `any`, records, names that code has set. */
  async #completeAtRunTime(source: string, nothing: Completions): Promise<Completions> {
    const { cursorStart: start, cursorEnd: end } = nothing;
    const word = source.slice(start, end);
    const before = source.slice(0, start);
    const isMember = /\.\s*$/.test(before);
    if (!isMember && word === "") return nothing;
    const own = (name: string) => (this.#names.isRenamed(name) ? ownName(name) : name);
    const expression = isMember ? objectBefore(before)?.replace(/^[^\s.?[]+/, own) : "globalThis";
    if (expression === undefined) return nothing;
    const members = (await this.#members.of(expression)).filter(({ name }) => name.startsWith(word));
    return {
      ...nothing,
      matches: members.map(({ name }) => name),
      metadata: {
        _jupyter_types_experimental: members.map(({ name, type }) => ({ start, end, text: name, type })),
      },
    };
  }

  async inspect(source: string, offset: number, detail: 0 | 1): Promise<Inspection | undefined> {
    const found = await (await this.#language.upToDate()).inspect(source, offset, detail);
    // So TypeScript speaks of a name that it does not know.
    return found?.plain === "any" ? undefined : found;
  }
}
