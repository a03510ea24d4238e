// The worker that runs the cells. It is started anew where nothing else ends an endless loop.
import "./secure.ts";
import { isPromise } from "#platform";
import { cellSignalName } from "../../util/abort.ts";
import { goName } from "../../util/turn.ts";
import { globalNames } from "../cell/names.ts";
import { importFunction, metaName } from "../cell/words.ts";
import { Comms } from "../protocol/comms.ts";
import { jsonSize } from "../protocol/json.ts";
import type { Content } from "../protocol/messages.ts";
import type { PublishedType } from "../protocol/reference.ts";
import { nameCellsInStacks } from "../run/errors.ts";
import type { CommRequest } from "../run/exchange.ts";
import { provideNamed } from "../run/named.ts";
import { exitCell, holdOpen, newScope, type Scope, uncaughtBy } from "../run/owner.ts";
import { provideResults, resultNames } from "../run/results.ts";
import { display, setDisplaySink, tslabModule } from "../show/display.ts";
import { CellRun } from "./cell.ts";
import { importer, ownModules, refuseRequire } from "./imports.ts";
import { ask } from "./input.ts";
import { beatNow, numbersIn, type Start, shared, type ToKernel, type ToWorker } from "./link.ts";
import { pageProcess } from "./process.ts";
import { Scopes } from "./scope.ts";
import { captureConsole } from "./streams.ts";
import { followTimers } from "./timers.ts";

const post = globalThis.postMessage.bind(globalThis) as (message: ToKernel) => void;
const globals = [...globalNames(), ...resultNames];
let numbers: Int32Array | undefined;
let load: ReturnType<typeof importer>;

const scopes = new Scopes(() => {
  if (!numbers) return false;
  // A cell that waits again and again will hear of an interrupt by itself: the page is to know.
  Atomics.store(numbers, shared.beat, beatNow());
  return Atomics.load(numbers, shared.interrupt) !== 0;
});
const streams = captureConsole(
  (origin, name, text) => post({ type: "stream", origin, name, text }),
  () => scopes.current.origin,
);

function postAfterText(message: ToKernel): void {
  streams.flush();
  post(message);
}

function publish(msgType: PublishedType, content: Content, metadata?: Content, buffers?: Uint8Array[]): void {
  const { origin } = scopes.current;
  // What no message holds is refused where it is made.
  jsonSize(content, msgType);
  if (metadata) jsonSize(metadata, `${msgType}.metadata`);
  postAfterText({ type: "publish", origin, msgType, content, metadata, buffers });
}

const uncaught = uncaughtBy(scopes, ({ origin }, text) =>
  postAfterText({ type: "stream", origin, name: "stderr", text }),
);

const comms = new Comms(publish);

function takeComm({ origin, msgType, content, metadata, buffers }: CommRequest): void {
  const own: Scope = newScope(origin, "");
  const over = () => postAfterText({ type: "handled", origin });
  try {
    const result = scopes.run(own, () => comms.handle(msgType, content, metadata, buffers));
    if (isPromise(result)) result.catch(uncaught).then(over, over);
    else over();
  } catch (error) {
    scopes.run(own, () => uncaught(error));
    over();
  }
}

function define(name: string | symbol, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
}

function start({ modules, base, shared: memory }: Start): void {
  if (memory) numbers = numbersIn(memory);
  const question = ask(memory, scopes, postAfterText);
  define(goName, (value: unknown) => scopes.go(undefined, value));
  define(cellSignalName, () => scopes.signal);
  load = importer(modules, base);
  define(importFunction, load);
  define("require", refuseRequire);
  define(metaName, { url: base });
  provideNamed(define);
  provideResults(define);
  define("display", display);
  define("comms", comms);
  define("prompt", question.prompt);
  define("input", question.input);
  define(
    "process",
    pageProcess(
      (code) => exitCell(scopes, code),
      (name, text) => streams.write(name, text),
    ),
  );
  ownModules.set("tslab", () => tslabModule("1.0.22", ""));
  post({ type: "up", globals });
}

/** Names that a value has, for completion while no cell runs: nothing of the user's is called. */
function members(expression: string): { name: string; type: string }[] {
  let value: unknown = globalThis;
  for (const part of expression === "globalThis" ? [] : expression.split(/\??\./)) {
    const found: PropertyDescriptor | undefined =
      value === null || value === undefined ? undefined : findProperty(Object(value), part);
    if (!found || !("value" in found)) return [];
    value = found.value;
  }
  const names = new Map<string, string>();
  for (
    let at = value === undefined || value === null ? null : Object(value);
    at;
    at = Object.getPrototypeOf(at)
  ) {
    if (at === Object.prototype) break;
    for (const [name, each] of Object.entries(Object.getOwnPropertyDescriptors(at)) as [
      string,
      PropertyDescriptor,
    ][])
      if (!names.has(name) && /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(name) && name !== "constructor")
        names.set(name, typeof each.value === "function" ? "function" : "property");
  }
  return [...names].map(([name, type]) => ({ name, type }));
}

function findProperty(from: object, name: string): PropertyDescriptor | undefined {
  for (let at: object | null = from; at; at = Object.getPrototypeOf(at)) {
    const found = Object.getOwnPropertyDescriptor(at, name);
    if (found) return found;
  }
  return undefined;
}

function take(message: ToWorker): void {
  switch (message.type) {
    case "start":
      start(message);
      break;
    case "run":
      if (numbers) for (const each of [shared.interrupt, shared.beat]) Atomics.store(numbers, each, 0);
      new CellRun(message, {
        scopes,
        publish,
        done: (run, end) => postAfterText({ type: "done", run, ...end }),
      }).start();
      break;
    case "ahead":
      // What cannot be had is told to the cell that asks.
      for (const each of message.modules) load(each).catch(() => {});
      break;
    case "interrupt":
      scopes.interruptAll();
      postAfterText({ type: "pong", ping: message.ping });
      break;
    case "comm":
      takeComm(message);
      break;
    case "members":
      post({ type: "members", ask: message.ask, names: members(message.expression) });
      break;
  }
}

followTimers(scopes);
setDisplaySink({ publish, hold: (promise) => holdOpen(scopes, promise, uncaught) });
nameCellsInStacks();
globalThis.addEventListener("unhandledrejection", (event) => {
  event.preventDefault();
  uncaught((event as PromiseRejectionEvent).reason);
});
globalThis.addEventListener("error", (event) => {
  event.preventDefault();
  uncaught((event as ErrorEvent).error ?? new Error((event as ErrorEvent).message));
});
globalThis.addEventListener("message", (event) => take((event as MessageEvent<ToWorker>).data));
