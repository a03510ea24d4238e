// The debugger that JupyterLab's panel talks to: the Debug Adapter Protocol over `debug_request` on one side, V8's
// inspector on the other. It lives on the server's thread, so it answers while a breakpoint holds the main thread.
//
// A cell is known to the front end by a path made from its text (a hash that both compute), and to V8 by its name in
// this session (`Cell[3]`): the same text may have run several times, and a breakpoint stands in each of them.
import { existsSync, readFileSync } from "node:fs";
import { Session } from "node:inspector";
import { sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { CellCode } from "../cell/code.ts";
import { readMappings, type Segment } from "../cell/edits.ts";
import { KeptMap } from "../cell/kept.ts";
import { identifier } from "../cell/words.ts";
import { debugName, internalScripts, kernelFolder } from "../node/interrupt.ts";
import type { Content } from "../protocol/messages.ts";
import {
  generatedPlace,
  hashSeed,
  lineWithCode,
  pathOf,
  placeOfStop,
  prefix,
  readMap,
  type Source,
} from "./places.ts";
import { type Remote, valueText } from "./values.ts";
import { type Property, reading, type Shelf, Variables } from "./variables.ts";

const mainSide = `globalThis[Symbol.for("${debugName}")]`;

const thread = 1;
/** Code that no step enters. */
const blackbox = [...internalScripts, "/node_modules/(?!slimlab/)"];
/** Of one text that runs again and again, only the last runs get breakpoints: functions of older ones are rare. */
const mostRuns = 20;

interface Breakpoint {
  line: number;
  condition?: string;
}

interface CallFrame {
  callFrameId: string;
  functionName: string;
  url: string;
  location: { scriptId: string; lineNumber: number; columnNumber?: number };
  scopeChain: { type: string; object: Remote }[];
  this: Remote;
}

interface Frame {
  id: number;
  call: CallFrame;
  source: Source;
  place: { line: number; column: number };
}

interface Request {
  seq: number;
  command: string;
  arguments: Content;
}

/** A request that cannot be done, with the reason for the person at the panel. */
class DebugError extends Error {}

export interface DebuggerHost {
  /** Publishes a `debug_event`. */
  event(content: Content): void;
  transform(source: string): Promise<CellCode>;
  /** Ends the cells that run. */
  interrupt(): Promise<unknown>;
}

export class Debugger {
  readonly #host: DebuggerHost;
  #session: Session | undefined;
  /** The front end has turned the debugger on. */
  #on = false;
  #seq = 0;
  /** Cells that have run since a debugger last asked: most sessions never do. */
  readonly #unlisted: { name: string; title: string; text: string; map: KeptMap }[] = [];
  readonly #cells = new Map<string, Source>();
  readonly #runs = new Map<string, Source[]>();
  /** The text of cells that the front end or a run has told of, by path. */
  readonly #texts = new Map<string, string>();
  readonly #scripts = new Map<string, Source>();
  readonly #breakpoints = new Map<string, Breakpoint[]>();
  /** V8's breakpoints, by path. */
  readonly #placed = new Map<string, string[]>();
  /** The line that each of V8's breakpoints stands for. */
  readonly #lines = new Map<string, number>();
  #frames: Frame[] | undefined;
  #frameIds = 0;
  /** Something was evaluated since it stopped: V8's objects for the scopes are copies from before. */
  #stale = false;
  readonly #variables = new Variables((method, params) => this.#call(method, params));
  #inspecting: Promise<Content> = Promise.resolve({});
  #stepping = false;
  #strayStep = false;
  /** A pause was asked for, and has not come yet. */
  #pausing = false;

  constructor(host: DebuggerHost) {
    this.#host = host;
  }

  get on(): boolean {
    return this.#on;
  }

  // ---- What the kernel tells -----------------------------------------------------------------------------------------

  /** A cell is about to run: its breakpoints must be there before its first statement. */
  async prepare(name: string, title: string, text: string, mappings: string): Promise<void> {
    this.#unlisted.push({ name, title, text, map: new KeptMap(mappings) });
    if (!this.#on) return;
    this.#list();
    const path = pathOf(text);
    if (this.#breakpoints.has(path)) await this.#place(path);
  }

  #list(): void {
    for (const { name, title, text, map } of this.#unlisted.splice(0)) {
      const path = pathOf(text);
      let segments: Segment[] | undefined;
      const cell: Source = {
        url: name,
        path,
        name: title,
        segments: () => (segments ??= map.segments()),
      };
      this.#cells.set(name, cell);
      this.#texts.set(path, text);
      const runs = this.#runs.get(path) ?? [];
      runs.push(cell);
      if (runs.length > mostRuns) runs.shift();
      this.#runs.set(path, runs);
    }
  }

  /** A cell has ended: a step that left it must not stop in the next one. */
  ended(): void {
    if (this.#stepping) this.#strayStep = true;
    this.#stepping = false;
    setImmediate(() => this.#unlisted.at(-1)?.map.pack());
  }

  /** A breakpoint, or a step, holds the main thread. */
  get isHeld(): boolean {
    return this.#frames !== undefined;
  }

  /**
   * The kernel is being interrupted: until `resume` is called, nothing more stops at a breakpoint. `held`: something has.
   */
  interrupting(): { held: boolean; resume: () => void } {
    const session = this.#session;
    if (!this.#on || !session) return { held: false, resume: () => {} };
    session.post("Debugger.setSkipAllPauses", { skip: true });
    return {
      held: this.isHeld,
      resume: () => {
        if (this.#session === session) session.post("Debugger.setSkipAllPauses", { skip: false });
      },
    };
  }

  /** Turns the debugger off; what is stopped goes on. Node waits at its end for sessions that are open. */
  close(): void {
    const session = this.#session;
    this.#session = undefined;
    this.#on = false;
    if (!session) return;
    if (this.#frames) {
      session.post("Debugger.resume");
      this.#resumed();
    }
    session.post("Debugger.disable");
    session.disconnect();
    this.#scripts.clear();
    this.#placed.clear();
    this.#stepping = false;
    this.#strayStep = false;
    this.#pausing = false;
  }

  /** Answers a request of the Debug Adapter Protocol. Never rejects. */
  async request(content: Content): Promise<Content> {
    this.#list();
    const request: Request = {
      seq: Number(content.seq ?? 0),
      command: String(content.command),
      arguments: (content.arguments as Content | undefined) ?? {},
    };
    const answer = (more: Content): Content => ({
      type: "response",
      seq: ++this.#seq,
      request_seq: request.seq,
      command: request.command,
      ...more,
    });
    try {
      if (!Object.hasOwn(handlers, request.command)) {
        throw new DebugError(`the debugger has no request ${request.command.slice(0, 80)}`);
      }
      const { always, handle } = handlers[request.command];
      if (!always && !this.#on) throw new DebugError("the debugger is off: initialize it first");
      return answer({ success: true, body: (await handle.call(this, request.arguments)) ?? {} });
    } catch (error) {
      return answer({ success: false, message: (error as Error).message, body: {} });
    } finally {
      // The events of an attach belong after its reply has left.
      if (request.command === "attach" && this.#on) {
        setImmediate(() => {
          this.#event("initialized", {});
          this.#event("thread", { reason: "started", threadId: thread });
        });
      }
    }
  }

  #event(event: string, body: Content): void {
    this.#host.event({ type: "event", seq: ++this.#seq, event, body });
  }

  // ---- V8's side -----------------------------------------------------------------------------------------------------

  #connect(): Session {
    if (this.#session) return this.#session;
    const session = new Session();
    session.connectToMainThread();
    session.on("Debugger.scriptParsed", ({ params }) => this.#parsed(params));
    session.on("Debugger.paused", ({ params }) => this.#paused(params as never));
    session.on("Debugger.resumed", () => this.#resumed());
    this.#session = session;
    return session;
  }

  // biome-ignore lint/suspicious/noExplicitAny: the inspector's answers, each of its own shape.
  #call(method: string, params: object = {}): Promise<any> {
    const session = this.#connect();
    return new Promise((resolve, reject) => {
      session.post(method, params, (error: unknown, result: unknown) => {
        if (error) reject(new DebugError(String((error as Error).message ?? error)));
        else resolve(result);
      });
    });
  }

  #parsed({ scriptId, url, sourceMapURL }: { scriptId: string; url: string; sourceMapURL?: string }): void {
    const cell = this.#cells.get(url);
    if (cell) this.#scripts.set(scriptId, cell);
    if (!url.startsWith("file:") || url.startsWith(kernelFolder)) return;
    const file = fileURLToPath(url.replace(/[?#].*$/, ""));
    const map = sourceMapURL ? readMap(sourceMapURL, url) : undefined;
    const path = map?.path ?? file;
    if (!existsSync(path)) return; // A name that the kernel gave to code of its own.
    this.#scripts.set(scriptId, {
      url,
      path,
      name: path.split(sep).at(-1)!,
      segments: () => (map ? (map.segments ??= readMappings(map.mappings)) : undefined),
    });
  }

  /** Where a person wrote a frame's code. (Before Node 22, a frame's own `url` is empty for a cell.) */
  #sourceOf({ location }: CallFrame): Source | undefined {
    return this.#scripts.get(location.scriptId);
  }

  /** The files that run here. */
  #files(): Source[] {
    return [...this.#scripts.values()].filter((script) => !this.#cells.has(script.url));
  }

  #paused(event: {
    callFrames: CallFrame[];
    reason: string;
    data?: Remote;
    hitBreakpoints?: string[];
  }): void {
    const { callFrames, reason, hitBreakpoints = [] } = event;
    const isException = /exception|rejection/i.test(reason);
    const stray = this.#strayStep && !isException && hitBreakpoints.length === 0;
    const stepped = this.#stepping;
    const pausing = this.#pausing;
    this.#strayStep = false;
    this.#pausing = false;
    if (pausing) this.#session?.post("Debugger.setBlackboxPatterns", { patterns: blackbox });
    if (stray || !callFrames.some((call) => this.#sourceOf(call))) {
      this.#session?.post("Debugger.resume");
      // No cell was at work just then: V8 keeps this one for the next that is.
      if (pausing) this.#session?.post("Debugger.pause");
      return;
    }
    if (!isException && !this.#sourceOf(callFrames[0])) {
      this.#session?.post("Debugger.stepOut");
      return;
    }
    this.#stepping = false;
    this.#stale = false;
    this.#frames = [];
    for (const call of callFrames) {
      const source = this.#sourceOf(call);
      if (!source) continue;
      const wanted = call === callFrames[0] ? this.#lines.get(hitBreakpoints[0]) : undefined;
      this.#frames.push({
        id: ++this.#frameIds,
        call,
        source,
        place: placeOfStop(source, call.location, wanted),
      });
    }
    const text = isException && event.data ? (event.data.description ?? valueText(event.data)) : undefined;
    this.#flush(() =>
      this.#event("stopped", {
        reason: isException ? "exception" : stepped && hitBreakpoints.length === 0 ? "step" : "breakpoint",
        threadId: thread,
        allThreadsStopped: true,
        ...(text === undefined ? {} : { text, description: text.split("\n")[0] }),
      }),
    );
  }

  #resumed(): void {
    if (!this.#frames) return;
    this.#frames = undefined;
    this.#variables.clear();
    this.#event("continued", { threadId: thread, allThreadsContinued: true });
  }

  /** What the cell has printed so far shows before the person looks. */
  #flush(then: () => void): void {
    this.#session?.post("Runtime.evaluate", { expression: `${mainSide}?.flush()`, silent: true }, then);
  }

  // ---- Breakpoints ---------------------------------------------------------------------------------------------------

  /** Puts the breakpoints of a path where they belong in V8's scripts; the lines where they came to stand. */
  async #place(path: string): Promise<{ verified: boolean; line: number }[]> {
    const wanted = this.#breakpoints.get(path) ?? [];
    const before = this.#placed.get(path) ?? [];
    const placed: string[] = [];
    this.#placed.set(path, placed);
    for (const breakpointId of before) {
      this.#lines.delete(breakpointId);
      await this.#call("Debugger.removeBreakpoint", { breakpointId }).catch(() => {});
    }
    const runs = this.#runs.get(path) ?? this.#files().filter((script) => script.path === path);
    const found = wanted.map(({ line }) => ({ verified: runs.length > 0, line }));
    for (const run of runs) {
      for (const [index, { line, condition }] of wanted.entries()) {
        const at = generatedPlace(run.segments(), line);
        if (!at) {
          found[index].verified = false;
          continue;
        }
        found[index].line = at.sourceLine + 1;
        try {
          const { breakpointId, locations } = await this.#call("Debugger.setBreakpointByUrl", {
            url: run.url,
            lineNumber: at.line,
            columnNumber: at.column,
            condition: condition === undefined ? undefined : await this.#expression(condition),
          });
          // Of a cell that has run, V8 may have thrown the code away and keep its functions only: it then takes the nearest.
          const place = locations[0] && placeOfStop(run, locations[0], at.sourceLine + 1);
          if (place && place.line < at.sourceLine + 1) {
            await this.#call("Debugger.removeBreakpoint", { breakpointId });
            continue;
          }
          placed.push(breakpointId);
          this.#lines.set(breakpointId, at.sourceLine + 1);
        } catch (error) {
          // Two lines that mean one place in V8 share its breakpoint.
          if (!/already exists/.test((error as Error).message)) throw error;
        }
      }
    }
    return found;
  }

  /** An expression of TypeScript as V8 takes it. */
  async #expression(text: string): Promise<string> {
    try {
      return (await this.#host.transform(`(${text}\n)`)).code;
    } catch {
      // It is statements, or V8 will say what is wrong with it.
      return this.#host.transform(text).then(
        ({ code }) => code,
        () => text,
      );
    }
  }

  async setBreakpoints(args: Content): Promise<Content> {
    const path = String(args.source?.path ?? "");
    const wanted: Breakpoint[] = (args.breakpoints ?? []).map((each: Content) => ({
      line: Number(each.line),
      condition: each.condition ? String(each.condition) : undefined,
    }));
    if (wanted.length > 0) this.#breakpoints.set(path, wanted);
    else this.#breakpoints.delete(path);
    let found = await this.#place(path);
    const text = this.#texts.get(path);
    if (text !== undefined && !this.#runs.has(path)) {
      // The cell has not run yet, so only its text tells which lines have code.
      const cell = await this.#host.transform(text).catch(() => undefined);
      const segments = cell && readMappings(cell.map.mappings);
      found = wanted.map(({ line }) => {
        if (!segments) return { verified: true, line };
        const at = lineWithCode(segments, line);
        return at === undefined ? { verified: false, line } : { verified: true, line: at };
      });
    }
    if (this.#breakpoints.has(path)) {
      this.#breakpoints.set(
        path,
        wanted.map((each, index) => ({ ...each, line: found[index].line })),
      );
    }
    return {
      breakpoints: found.map((each, index) => ({ id: index + 1, source: { path }, ...each })),
    };
  }

  // ---- Requests ------------------------------------------------------------------------------------------------------

  async initialize(args: Content): Promise<Content> {
    this.#variables.tellTypes = args.clientID !== "jupyterlab";
    if (!this.#on) {
      await this.#call("Debugger.enable");
      await this.#call("Debugger.setBlackboxPatterns", { patterns: blackbox });
      this.#on = true;
      for (const path of this.#breakpoints.keys()) await this.#place(path);
    }
    return {
      supportsConfigurationDoneRequest: true,
      supportsConditionalBreakpoints: true,
      supportsEvaluateForHovers: true,
      supportsTerminateRequest: true,
      supportsModulesRequest: true,
      // No "uncaught": what a cell throws becomes its promise's rejection, which V8 takes for caught.
      exceptionBreakpointFilters: [{ filter: "all", label: "All exceptions", default: false }],
    };
  }

  disconnect(): void {
    this.close();
    this.#breakpoints.clear();
  }

  async terminate(): Promise<void> {
    if (this.#frames) await this.#host.interrupt();
    this.disconnect();
  }

  debugInfo(): Content {
    return {
      isStarted: this.#on,
      hashMethod: "Murmur2",
      hashSeed,
      tmpFilePrefix: prefix,
      tmpFileSuffix: ".ts",
      breakpoints: [...this.#breakpoints].map(([source, breakpoints]) => ({ source, breakpoints })),
      stoppedThreads: this.#frames ? [thread] : [],
      richRendering: true,
      exceptionPaths: [],
      copyToGlobals: false,
    };
  }

  dumpCell(args: Content): Content {
    const text = String(args.code ?? "");
    const sourcePath = pathOf(text);
    this.#texts.set(sourcePath, text);
    return { sourcePath };
  }

  source(args: Content): Content {
    const path = String(args.source?.path ?? "");
    const text = this.#texts.get(path);
    if (text !== undefined) return { content: text, mimeType: "text/typescript" };
    // Only what runs here can be read: the panel is no file manager.
    if (!this.#files().some((script) => script.path === path)) {
      throw new DebugError("this source is not part of what runs");
    }
    return { content: readFileSync(path, "utf8") };
  }

  modules(args: Content): Content {
    const paths = new Set(this.#files().map((script) => script.path));
    const all = [...paths]
      .filter((path) => !/[\\/]node_modules[\\/]/.test(path))
      .map((path, id) => ({ id, name: path.split(sep).at(-1), path }));
    const start = Number(args.startModule ?? 0);
    return {
      modules: all.slice(start, start + Number(args.moduleCount || all.length)),
      totalModules: all.length,
    };
  }

  stackTrace(args: Content): Content {
    const start = Number(args.startFrame ?? 0);
    const all = (this.#frames ?? []).map(({ id, call, source, place }) => {
      const isCell = this.#cells.has(source.url);
      return {
        id,
        name: call.functionName || (isCell ? source.name : "(anonymous)"),
        source: { name: source.name, path: source.path },
        ...place,
      };
    });
    return {
      stackFrames: all.slice(start, args.levels ? start + Number(args.levels) : undefined),
      totalFrames: all.length,
    };
  }

  async scopes(args: Content): Promise<Content> {
    const frame = this.#frames?.find(({ id }) => id === args.frameId);
    if (!frame) return { scopes: [] };
    const shelves = new Map<string, Shelf>();
    const shelf = (name: string) => {
      let found = shelves.get(name);
      if (!found) shelves.set(name, (found = { objects: [], more: [] }));
      return found;
    };
    const { call } = frame;
    for (const { type, object } of call.scopeChain) {
      // Node's own global object holds hundreds of names that nobody looks for here.
      if (type === "global") continue;
      shelf(
        type === "closure" || type === "module" ? "Closure" : type === "script" ? "Globals" : "Locals",
      ).objects.push(object);
    }
    if (shelves.has("Locals") && call.this?.type === "object" && call.this.className !== "global") {
      shelf("Locals").more.push({ name: "this", value: call.this });
    }
    if (this.#stale) await this.#refresh(frame, shelves.values());
    return {
      scopes: [...shelves].map(([name, each]) => ({
        name,
        presentationHint: name === "Locals" ? "locals" : undefined,
        variablesReference: this.#variables.keep(each),
        expensive: false,
      })),
    };
  }

  /** The scopes' names, read anew. */
  async #refresh({ call }: Frame, shelves: Iterable<Shelf>): Promise<void> {
    const seen = new Set<string>();
    for (const shelf of shelves) {
      const names: string[] = [];
      for (const { objectId } of shelf.objects) {
        const { result } = await this.#call("Runtime.getProperties", { objectId, ownProperties: true });
        for (const { name } of result as Property[]) {
          if (!seen.has(name) && identifier.test(name)) names.push(name);
          seen.add(name);
        }
      }
      const { result } = await this.#call("Debugger.evaluateOnCallFrame", {
        callFrameId: call.callFrameId,
        expression: reading(names),
        silent: true,
      });
      shelf.objects.unshift(result);
    }
  }

  variables(args: Content): Promise<Content> {
    return this.#variables.children(args);
  }

  /** The names that cells have declared, with their values, while nothing is stopped. */
  async inspectVariables(): Promise<Content> {
    // One by one: each lets go of what the one before has kept. A cell that begins takes V8's objects with it, and the
    // panel stays blank for good if it is told of a failure.
    const before = this.#inspecting;
    this.#inspecting = before
      .then(() => this.#inspectVariables())
      .catch(() => this.#inspectVariables())
      .catch(() => ({ variables: [] }));
    return this.#inspecting;
  }

  async #inspectVariables(): Promise<Content> {
    const objectGroup = "slimlab-globals";
    if (!this.#frames) {
      this.#variables.clear();
      await this.#call("Runtime.releaseObjectGroup", { objectGroup });
    }
    const lexical = (await this.#call("Runtime.globalLexicalScopeNames")) as { names: string[] };
    const { result } = await this.#call("Runtime.evaluate", {
      expression: reading(lexical.names),
      objectGroup,
      silent: true,
      disableBreaks: true,
    });
    const found = await this.#variables.children({
      variablesReference: this.#variables.keep({ objects: [result], more: [] }),
    });
    const isFunction = (each: Content) => /^(class|ƒ) /.test(String(each.value));
    const variables = found.variables as Content[];
    return {
      variables: [...variables.filter((each) => !isFunction(each)), ...variables.filter(isFunction)],
    };
  }

  /** Evaluates in a frame, or where cells live when nothing is stopped. */
  async #evaluate(expression: string, frameId: unknown, more: object = {}): Promise<Remote> {
    const frame = this.#frames?.find(({ id }) => id === frameId) ?? this.#frames?.[0];
    const common = { expression, generatePreview: true, silent: true, ...more };
    const { result, exceptionDetails } = frame
      ? await this.#call("Debugger.evaluateOnCallFrame", { ...common, callFrameId: frame.call.callFrameId })
      : await this.#call("Runtime.evaluate", { ...common, replMode: true, disableBreaks: true });
    if (exceptionDetails) {
      const text: string = exceptionDetails.exception?.description ?? exceptionDetails.text;
      throw new DebugError(text.replace(/\n {4}at .*/s, ""));
    }
    return result;
  }

  async evaluate(args: Content): Promise<Content> {
    const result = await this.#evaluate(await this.#expression(String(args.expression ?? "")), args.frameId);
    this.#stale = true;
    this.#flush(() => {});
    const { value, type, variablesReference } = this.#variables.line({ name: "", value: result });
    return { result: value, type, variablesReference };
  }

  async richInspectVariables(args: Content): Promise<Content> {
    const name = String(args.variableName ?? "");
    if (!identifier.test(name)) return { data: {}, metadata: {} };
    const { value } = await this.#evaluate(`${mainSide}.bundle(${name})`, args.frameId);
    return { data: JSON.parse(String(value)), metadata: {} };
  }

  async setExceptionBreakpoints(args: Content): Promise<void> {
    const filters: unknown[] = args.filters ?? [];
    await this.#call("Debugger.setPauseOnExceptions", { state: filters.includes("all") ? "all" : "none" });
  }

  async step(method: string, steps: boolean): Promise<Content> {
    if (!this.#frames) throw new DebugError("nothing is stopped");
    this.#stepping = steps;
    await this.#call(method);
    return { allThreadsContinued: true };
  }

  /** V8 forgets a pause that meets code which no step enters: until it has come, there is no such code. */
  async pause(): Promise<void> {
    if (this.#frames) return;
    this.#pausing = true;
    await this.#call("Debugger.setBlackboxPatterns", { patterns: [] });
    await this.#call("Debugger.pause");
  }
}

/** What each request of the protocol does; `always`: also while the debugger is off. */
const handlers: Record<string, { always?: boolean; handle(this: Debugger, args: Content): unknown }> = {
  initialize: { always: true, handle: Debugger.prototype.initialize },
  attach: { handle() {} },
  launch: { handle() {} },
  configurationDone: { handle() {} },
  disconnect: { always: true, handle: Debugger.prototype.disconnect },
  terminate: { handle: Debugger.prototype.terminate },
  debugInfo: { always: true, handle: Debugger.prototype.debugInfo },
  dumpCell: { always: true, handle: Debugger.prototype.dumpCell },
  setBreakpoints: { handle: Debugger.prototype.setBreakpoints },
  setExceptionBreakpoints: { handle: Debugger.prototype.setExceptionBreakpoints },
  source: { handle: Debugger.prototype.source },
  modules: { always: true, handle: Debugger.prototype.modules },
  threads: {
    handle() {
      return { threads: [{ id: thread, name: "main" }] };
    },
  },
  stackTrace: { handle: Debugger.prototype.stackTrace },
  scopes: { handle: Debugger.prototype.scopes },
  variables: { always: true, handle: Debugger.prototype.variables },
  inspectVariables: { always: true, handle: Debugger.prototype.inspectVariables },
  richInspectVariables: { always: true, handle: Debugger.prototype.richInspectVariables },
  evaluate: { handle: Debugger.prototype.evaluate },
  pause: { handle: Debugger.prototype.pause },
  continue: {
    handle() {
      return this.step("Debugger.resume", false);
    },
  },
  next: {
    handle() {
      return this.step("Debugger.stepOver", true);
    },
  },
  stepIn: {
    handle() {
      return this.step("Debugger.stepInto", true);
    },
  },
  stepOut: {
    handle() {
      return this.step("Debugger.stepOut", true);
    },
  },
};
