// The main thread's side of the kernel: joins the server to the user's code.
import { types } from "node:util";
import type { MessagePort, Worker } from "node:worker_threads";
import type { ServerData, ToMain, ToServer } from "../node/link.ts";
import { Comms } from "../protocol/comms.ts";
import type { CellEnd } from "../protocol/host.ts";
import type { Content } from "../protocol/messages.ts";
import type { PublishedType } from "../protocol/reference.ts";
import { setDisplaySink } from "../show/display.ts";
import { hideMarksOnPromises } from "../show/promises.ts";
import { type Bench, CellRun } from "./cell.ts";
import { nameCellsInStacks } from "./errors.ts";
import { Evaluator } from "./evaluate.ts";
import type { CommRequest } from "./exchange.ts";
import { defineDebugSide, defineGlobals } from "./globals.ts";
import { Guard } from "./guard.ts";
import { Input } from "./input.ts";
import { provideModules, watchedModules } from "./modules.ts";
import { Outlet } from "./outlet.ts";
import { holdOpen, newScope, type Scope, uncaughtBy } from "./owner.ts";
import { captureProcesses } from "./processes.ts";
import { repairRealm } from "./realm.ts";
import { Scopes } from "./scope.ts";
import { provideStdin } from "./stdin.ts";
import { captureStreams } from "./streams.ts";
import { survive } from "./survive.ts";
import { Tensors } from "./tensors.ts";
import { Tests } from "./tests.ts";

export class Runtime {
  readonly #tensors: Tensors;
  readonly #outlet: Outlet;
  readonly #scopes: Scopes;
  readonly #streams: ReturnType<typeof captureStreams>;
  readonly #uncaught: (error: unknown) => void;
  readonly #guard: Guard;
  readonly #comms: Comms;
  readonly #bench: Bench;

  constructor(server: Worker, inputPort: MessagePort, data: ServerData) {
    const scopes = (this.#scopes = new Scopes(data.shared));
    this.#tensors = new Tensors(scopes, data.shared);
    this.#outlet = new Outlet((message) => server.postMessage(message), data.shared);
    this.#streams = captureStreams(this.#outlet, () => scopes.current.origin);
    const uncaught = uncaughtBy(scopes, (scope, text) => this.#afterwards(scope, text));
    const hold = (promise: Promise<unknown>) => holdOpen(scopes, promise, this.#uncaught);
    const tests = new Tests(scopes, hold);
    this.#uncaught = (error) => tests.areRunning || uncaught(error);
    this.#guard = new Guard(data.shared, this.#uncaught);
    this.#comms = new Comms((type, content, metadata, buffers) =>
      this.#publish(type, content, metadata, buffers),
    );
    this.#bench = {
      scopes,
      guard: this.#guard,
      evaluator: new Evaluator(() => this.#repair()),
      publish: (type, content) => this.#publish(type, content),
      done: (run, end) => this.#done(run, end),
    };
    survive(scopes, this.#uncaught);
    const input = new Input(inputPort, data.shared, scopes, (message) => this.#postAfterText(message));
    defineGlobals(scopes, input, this.#comms);
    provideStdin(input);
    captureProcesses();
    defineDebugSide(this.#streams);
    setDisplaySink({ publish: (type, content) => this.#publish(type, content), hold });
    watchedModules.set("node:test", (test) => tests.begin(test));
    provideModules(data.folder);
    nameCellsInStacks();
    hideMarksOnPromises();
    server.on("message", (message: ToMain) => this.#take(message));
    this.#outlet.post({ type: "up" });
  }

  // ---- To the server -------------------------------------------------------------------------------------------------

  #postAfterText(message: ToServer): void {
    this.#streams.flush();
    this.#outlet.post(message);
  }

  #publish(msgType: PublishedType, content: Content, metadata?: Content, buffers?: Uint8Array[]): void {
    this.#streams.flush();
    this.#outlet.publish(this.#scopes.current.origin, msgType, content, metadata, buffers);
  }

  #done(run: number, end: CellEnd): void {
    this.#postAfterText({ type: "done", run, ...end });
  }

  #afterwards({ origin }: Scope, text: string): void {
    this.#postAfterText({ type: "stream", origin, name: "stderr", text });
  }

  /** What a cell has taken away of the language is there again before the kernel needs it. */
  #repair(): void {
    const names = repairRealm();
    if (names === undefined) return;
    const text = `The language needs what was changed here, and so does the kernel; it is as before: ${names}\n`;
    this.#afterwards(this.#scopes.current, text);
  }

  // ---- From the server -----------------------------------------------------------------------------------------------

  #take(message: ToMain): void {
    this.#repair();
    switch (message.type) {
      case "run":
        this.#tensors.begin();
        new CellRun(message, this.#bench).start();
        break;
      case "interrupt":
        this.#guard.left();
        this.#tensors.repair();
        this.#scopes.interruptAll();
        this.#outlet.post({ type: "pong", ping: message.ping });
        break;
      case "ping":
        this.#outlet.post({ type: "pong", ping: message.ping });
        break;
      case "comm":
        this.#takeComm(message);
        break;
      case "exit":
        this.#exit();
        break;
    }
  }

  #takeComm({ origin, msgType, content, metadata, buffers }: CommRequest): void {
    const own = newScope(origin, "");
    const over = () => this.#postAfterText({ type: "handled", origin });
    const handle = () => {
      try {
        const result = this.#comms.handle(msgType, content, metadata, buffers);
        if (types.isPromise(result)) result.catch(this.#uncaught).then(over, over);
        else over();
      } catch (error) {
        this.#uncaught(error);
        over();
      }
    };
    if (this.#guard.call(() => this.#scopes.run(own, handle))) over();
  }

  #exit(): void {
    this.#streams.flush();
    try {
      process.emit("exit", 0);
    } catch {
      // The user's own farewell failed.
    }
    // The server's thread ends first, by itself, and its end ends the process: see main.ts.
    this.#outlet.post({ type: "bye" });
  }
}
