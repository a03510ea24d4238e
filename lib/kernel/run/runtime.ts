// Runs cells on the main thread, in V8's REPL mode: names stay from cell to cell and can be declared again.
import { AsyncLocalStorage } from "node:async_hooks";
import { Session } from "node:inspector";
import { createRequire } from "node:module";
import { types } from "node:util";
import { promiseHooks } from "node:v8";
import vm from "node:vm";
import { type MessagePort, receiveMessageOnPort, type Worker } from "node:worker_threads";
import type { MimeBundle } from "../../util/display.ts";
import { goName } from "../../util/turn.ts";
import { debugName, repairName } from "../node/interrupt.ts";
import {
  guard,
  type Origin,
  type RunRequest,
  type ServerData,
  shared,
  type ToMain,
  type ToServer,
} from "../node/link.ts";
import type { Content } from "../node/wire.ts";
import { Comms } from "../protocol/comms.ts";
import { DisplayHandle, display, setDisplaySink, tslabModule } from "../show/display.ts";
import { bundleOf, plainText } from "../show/show.ts";
import { describeError, KernelError, nameCellsInStacks, rememberCell } from "./errors.ts";
import { ownModules, provideModules } from "./modules.ts";
import { captureStreams } from "./streams.ts";

/** A cell that runs, or has run: whose output it is. */
interface Scope {
  origin: Origin;
  title: string;
  /** Ends the cell; undefined for what is no cell (a comm's callback), and once it has ended. */
  end?: (outcome: Outcome) => void;
  /** What the cell's end waits for. */
  held: Set<Promise<unknown>>;
  /** What of it still waits for something must not go on. */
  interrupted?: boolean;
}

type Outcome =
  | { value: unknown }
  | { error: unknown; thrownAt?: { file: string; line: number; column: number } };

/** Connects the main thread to the server and to the user's code. */
export function startRuntime(server: Worker, inputPort: MessagePort, data: ServerData): void {
  const post = (message: ToServer) => server.postMessage(message);
  const numbers = data.shared;
  const scopes = new AsyncLocalStorage<Scope>();
  const nobody: Scope = { origin: { header: {}, silent: false, stdin: false }, title: "", held: new Set() };
  /** Whose turn it is, for code that has lost its context. */
  let last = nobody;
  const scope = () => scopes.getStore() ?? last;
  const streams = captureStreams(post, () => scope().origin, numbers);
  const running = new Set<Scope>();

  const publish = (msgType: string, content: Content, metadata?: Content, buffers?: Uint8Array[]) => {
    streams.flush();
    post({ type: "publish", origin: scope().origin, msgType, content, metadata, buffers });
  };

  // ---- The user's code, where an interrupt can reach it ----

  const script = new vm.Script(`globalThis[Symbol.for("slimlab.enter")]()`, { filename: "node:slimlab" });
  let entered = false;

  /** What a cell does before its first real wait belongs to the part that SIGINT stops. */
  function runMicrotasks(): void {
    for (;;) {
      try {
        (process as unknown as { _tickCallback?: () => void })._tickCallback?.();
        return;
      } catch (error) {
        repairRecords();
        uncaught(error);
      }
    }
  }

  /**
   * Calls `body` where SIGINT stops it. Returns whether it was stopped. `then` is the kernel's own work that need not wait
   * until Node has taken down its watch for signals, a thread.
   */
  function guarded(body: () => void, then?: () => void): boolean {
    if (entered) {
      body();
      return false;
    }
    (globalThis as Record<symbol, unknown>)[Symbol.for("slimlab.enter")] = () => {
      Atomics.store(numbers, shared.guard, guard.inside);
      try {
        body();
        runMicrotasks();
      } finally {
        if (Atomics.compareExchange(numbers, shared.guard, guard.inside, guard.outside) === guard.struck) {
          for (;;); // SIGINT is on its way, and must find us here.
        }
      }
      then?.();
    };
    entered = true;
    try {
      script.runInThisContext({ breakOnSigint: true });
      return false;
    } catch (error) {
      if (error !== null && (error as { code?: string }).code !== "ERR_SCRIPT_EXECUTION_INTERRUPTED")
        throw error;
      repairRecords();
      return true;
    } finally {
      entered = false;
      Atomics.store(numbers, shared.guard, guard.outside);
    }
  }
  Object.defineProperty(globalThis, Symbol.for(repairName), {
    value: repairRecords,
    enumerable: false,
  });

  const interruption = () => new KernelError("KeyboardInterrupt", "the cell was interrupted");

  function interrupt(one: Scope): Outcome {
    one.interrupted = true;
    anyInterrupted = true;
    return { error: interruption() };
  }

  function interruptAll(): void {
    for (const one of [...running]) one.end?.(interrupt(one));
  }
  process.on("SIGINT", interruptAll);

  // A promise cannot be taken back: the code that waited for it goes on when it comes, long after the cell was said to
  // have ended. So cells (transform.ts) and slimlab's own loops (util/turn.ts) ask here.
  let anyInterrupted = false;
  const go = (value: unknown): unknown => {
    if (anyInterrupted && scopes.getStore()?.interrupted) throw interruption();
    return value;
  };

  // ---- Evaluation ----

  const session = new Session();
  session.connect();
  let taken: unknown;
  Object.defineProperty(globalThis, Symbol.for("slimlab.take"), {
    value: (value: unknown) => {
      taken = value;
    },
    enumerable: false,
  });

  interface Remote {
    type: string;
    objectId?: string;
    value?: unknown;
    unserializableValue?: string;
  }

  /** The value itself, where the inspector has only a handle on it. */
  function take(remote: Remote): unknown {
    if (remote.objectId === undefined) {
      if (remote.unserializableValue === undefined) return remote.value;
      const text = remote.unserializableValue;
      return text.endsWith("n") ? BigInt(text.slice(0, -1)) : Number(text);
    }
    taken = undefined;
    session.post("Runtime.callFunctionOn", {
      objectId: remote.objectId,
      arguments: [{ objectId: remote.objectId }],
      functionDeclaration: `function (value) { globalThis[Symbol.for("slimlab.take")](value); }`,
      silent: true,
    });
    const value = taken;
    taken = undefined;
    return value;
  }

  // A cell that waits for something that nothing else refers to would be collected with it, and V8's inspector would
  // report that from within the collector, where Node 24 and later end the process: so what has not ended is kept.
  const unended = new Set<Promise<unknown>>();

  function evaluate(code: string, end: (outcome: Outcome) => void, debug = false): void {
    let whole: Promise<unknown> | undefined;
    let hasEnded = false;
    // The first promise that is made is that of the cell as a whole; there is no other way to it.
    const stop = promiseHooks.onInit((promise) => {
      if (whole) return;
      whole = promise as Promise<unknown>;
      stop();
    }) as () => void;
    try {
      send(code, debug, (outcome) => {
        hasEnded = true;
        if (whole) unended.delete(whole);
        end(outcome);
      });
    } finally {
      if (!whole) stop();
      else if (!hasEnded) unended.add(whole);
    }
  }

  function send(code: string, debug: boolean, end: (outcome: Outcome) => void): void {
    session.post(
      "Runtime.evaluate",
      // V8 never stops at an error in code that it evaluates silently.
      { expression: code, replMode: true, awaitPromise: true, objectGroup: "cell", silent: !debug },
      (error, reply) => {
        if (error) {
          // Cut off in its first part, a cell has no other end.
          end({
            error: /terminated/.test(error.message)
              ? interruption()
              : new KernelError("Error", error.message),
          });
          return;
        }
        const { exceptionDetails, result } = reply as unknown as {
          result: Remote;
          exceptionDetails?: {
            exception?: Remote;
            text: string;
            url?: string;
            lineNumber: number;
            columnNumber: number;
            stackTrace?: { callFrames: { url: string; lineNumber: number; columnNumber: number }[] };
          };
        };
        if (!exceptionDetails) {
          end({ value: take(result) });
          return;
        }
        const at = exceptionDetails.stackTrace?.callFrames[0] ?? exceptionDetails;
        end({
          error: exceptionDetails.exception
            ? take(exceptionDetails.exception)
            : new KernelError("Error", exceptionDetails.text),
          thrownAt: at.url
            ? { file: at.url, line: at.lineNumber + 1, column: at.columnNumber + 1 }
            : undefined,
        });
      },
    );
  }

  // ---- Cells ----

  function runCell(request: RunRequest): void {
    const { origin, title, name } = request;
    rememberCell(name, title, request.source, request.map.mappings);
    const own: Scope = { origin, title, held: new Set() };
    let outcome: Outcome | undefined;
    let starting = true;
    own.end = (first) => {
      if (outcome) {
        if ("value" in outcome && "error" in first) outcome = first;
        return;
      }
      outcome = first;
      // Errors that nobody caught show themselves one turn later: they are the cell's too.
      if (!starting) setImmediate(finish);
    };
    last = own;
    running.add(own);

    const done = (end: Outcome) => {
      own.end = undefined;
      streams.flush();
      if ("error" in end) {
        const error = describeError(end.error, end.thrownAt);
        post({ type: "done", run: request.run, error });
      } else {
        post({ type: "done", run: request.run, expressions: evaluateExpressions(request, own) });
      }
      running.delete(own);
      session.post("Runtime.releaseObjectGroup", { objectGroup: "cell" });
    };

    const finish = () => {
      if (!outcome) return;
      if ("error" in outcome) {
        done(outcome);
        return;
      }
      const { value } = outcome;
      // From here on, a failure or an interrupt ends the wait for what shows the value.
      let isOver = false;
      own.end = (end) => {
        if ("value" in outcome!) outcome = end;
        over();
      };
      const over = () => {
        if (isOver) return;
        isOver = true;
        done(outcome!);
      };
      const settle = () => {
        if (own.held.size === 0) {
          over();
          return;
        }
        Promise.all(own.held).then(
          () => {
            own.held.clear();
            settle();
          },
          (error) => own.end?.({ error }),
        );
      };
      const show = () =>
        scopes.run(own, () => {
          try {
            showResult(value, request.count, own);
          } catch (error) {
            own.end?.({ error });
          }
        });
      // What shows an object may be the user's code, and may never end.
      if (request.showsResult && isObject(value)) {
        if (guarded(show)) own.end?.(interrupt(own));
      } else if (request.showsResult) show();
      settle();
    };

    const stopped = guarded(
      () =>
        scopes.run(own, () =>
          evaluate(`${request.code}\n//# sourceURL=${name}`, enderOf(own), request.debug),
        ),
      () => {
        // Most cells end here, and with nothing of the user's left to call.
        const isPlain = outcome && "value" in outcome && !isObject(outcome.value) && own.held.size === 0;
        if (isPlain && Object.keys(request.expressions).length === 0) finish();
      },
    );
    starting = false;
    if (!running.has(own)) return;
    if (stopped) outcome = interrupt(own);
    // Node has looked for rejections that nobody handles before the guarded part ended.
    if (outcome) finish();
  }

  function showResult(value: unknown, count: number, own: Scope): void {
    if (value === undefined || value instanceof DisplayHandle) return;
    const result = (bundle: MimeBundle) =>
      publish("execute_result", { execution_count: count, data: bundle, metadata: {} });
    if (types.isPromise(value)) {
      own.held.add(value.then((settled) => showResult(settled, count, own)));
      return;
    }
    const bundle = bundleOf(value);
    if (types.isPromise(bundle)) own.held.add(bundle.then((settled) => result(settled as MimeBundle)));
    else result(bundle as MimeBundle);
  }

  function evaluateExpressions(request: RunRequest, own: Scope): Record<string, Content> {
    const out: Record<string, Content> = {};
    for (const [key, code] of Object.entries(request.expressions)) {
      let end: Outcome | undefined;
      const stopped = guarded(() =>
        scopes.run(own, () =>
          evaluate(code, (outcome) => {
            end = outcome;
          }),
        ),
      );
      if (stopped) end = { error: interruption() };
      end ??= {
        error: new KernelError("Error", "the expression waits for something: a cell may, it may not"),
      };
      if ("error" in end) out[key] = { status: "error", ...describeError(end.error, end.thrownAt) };
      else {
        const bundle = bundleOf(end.value);
        out[key] = { status: "ok", data: types.isPromise(bundle) ? {} : bundle, metadata: {} };
      }
    }
    return out;
  }

  // ---- What would end the process ----

  /** An error that nobody caught ends its cell, or is shown below it when the cell has ended. */
  function uncaught(error: unknown): void {
    const own = scope();
    if (own.end) {
      own.end({ error });
      return;
    }
    if (own.interrupted && error instanceof KernelError) return;
    const { traceback } = describeError(error);
    const text = `An error after ${own.title || "the last cell"} had ended:\n${traceback.join("\n")}\n`;
    streams.flush();
    post({ type: "stream", origin: own.origin, name: "stderr", text });
  }
  process.on("uncaughtException", uncaught);
  process.on("unhandledRejection", uncaught);

  const exit = (code: unknown = process.exitCode ?? 0): never => {
    const error = new KernelError("SystemExit", String(code));
    error.note = `process.exit(${code}) ends the cell; the kernel goes on`;
    // Even where the cell's own code catches the error, the cell is over.
    scope().end?.({ error });
    throw error;
  };
  process.exit = exit as typeof process.exit;
  (process as unknown as { reallyExit: unknown }).reallyExit = exit;
  process.abort = () => exit(134);

  // ---- Input ----

  function ask(prompt: string, password: boolean): string | undefined {
    const { origin } = scope();
    if (!origin.stdin) return undefined;
    streams.flush();
    while (receiveMessageOnPort(inputPort)); // Answers to questions that were interrupted.
    const before = Atomics.load(numbers, shared.input);
    post({ type: "input", origin, prompt, password });
    for (let seen = before; ; seen = Atomics.load(numbers, shared.input)) {
      const received = receiveMessageOnPort(inputPort);
      if (received) {
        const { value, interrupted } = received.message as { value?: string; interrupted?: boolean };
        if (interrupted) throw interruption();
        return value ?? "";
      }
      Atomics.wait(numbers, shared.input, seen, 1000);
    }
  }

  // ---- Globals ----

  const define = (name: string, value: unknown) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  define(goName, go);
  define("display", display);
  define("prompt", (message = "", fallback = "") => {
    const answer = ask(`${message}${fallback ? ` [${fallback}]` : ""} `.trimStart(), false);
    return answer === undefined ? null : answer || String(fallback);
  });
  define("input", (message = "", options: { password?: boolean } = {}) => {
    const answer = ask(String(message), options.password === true);
    if (answer === undefined)
      throw new Error("input() needs somebody to ask: this run of the notebook allows no input");
    return answer;
  });
  setDisplaySink({
    publish,
    hold(promise) {
      const own = scope();
      if (!own.end) {
        promise.catch(uncaught);
        return;
      }
      own.held.add(promise);
      promise.catch(() => {}); // The cell's end looks at it.
    },
  });
  const comms = new Comms((msgType, content, metadata, buffers) =>
    publish(msgType, content, metadata, buffers),
  );
  define("comms", comms);
  ownModules.set("tslab", () => tslab());
  let tslabApi: Record<string, unknown> | undefined;
  const tslab = () => {
    tslabApi ??= tslabModule(versionOf("tslab") ?? "1.0.22", versionOf("typescript") ?? "");
    return tslabApi;
  };
  Object.defineProperty(globalThis, Symbol.for(debugName), {
    value: {
      flush: () => streams.flush(),
      /** A value as a MIME bundle, in JSON; what shows itself later is not waited for. */
      bundle(value: unknown): string {
        const bundle = bundleOf(value);
        return JSON.stringify(types.isPromise(bundle) ? { "text/plain": plainText(value) } : bundle);
      },
    },
    enumerable: false,
  });
  provideModules(data.folder);
  nameCellsInStacks();

  // ---- From the server ----

  server.on("message", (message: ToMain) => {
    switch (message.type) {
      case "run":
        runCell(message);
        break;
      case "interrupt":
        entered = false; // Where there is no signal, a cell's first part is cut off with what was to say so.
        interruptAll();
        post({ type: "pong", ping: message.ping });
        break;
      case "comm": {
        const { origin, msgType, content, metadata, buffers } = message;
        const own: Scope = { origin, title: "", held: new Set() };
        const over = () => {
          streams.flush();
          post({ type: "handled", origin });
        };
        const stopped = guarded(() =>
          scopes.run(own, () => {
            try {
              const result = comms.handle(msgType, content, metadata, buffers);
              if (types.isPromise(result)) result.catch(uncaught).then(over, over);
              else over();
            } catch (error) {
              uncaught(error);
              over();
            }
          }),
        );
        if (stopped) over();
        break;
      }
      case "exit":
        streams.flush();
        try {
          process.emit("exit", 0);
        } catch {
          // The user's own farewell failed.
        }
        // The server's thread ends first, by itself, and its end ends the process: see main.ts.
        post({ type: "bye" });
    }
  });
  post({ type: "up" });
}

function isObject(value: unknown): boolean {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** V8 keeps what is to be called at a cell's end, for ever if it was cut off: so that holds nothing but the scope. */
function enderOf(own: Scope): (outcome: Outcome) => void {
  return (outcome) => own.end?.(outcome);
}

function versionOf(name: string): string | undefined {
  try {
    return createRequire(import.meta.url)(`${name}/package.json`).version;
  } catch {
    return undefined;
  }
}

/**
 * Empties Node's records of which callback runs: code that is cut off leaves them out of order, for which Node would end
 * the process. Node itself does this after an error that nobody caught, and has no other door to it.
 */
function repairRecords(): void {
  const node = process as unknown as { _fatalException?: (error: unknown, fromPromise: boolean) => boolean };
  const own = !process.hasUncaughtExceptionCaptureCallback();
  try {
    if (own) process.setUncaughtExceptionCaptureCallback(() => {});
    node._fatalException?.(new KernelError("KeyboardInterrupt", "cut off"), false);
  } finally {
    if (own) process.setUncaughtExceptionCaptureCallback(null);
  }
}
