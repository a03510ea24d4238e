// Evaluates code in V8's REPL mode, by its inspector: names stay from cell to cell and can be declared again.
import { Session } from "node:inspector";
import { promiseHooks } from "node:v8";
import { KernelError } from "./errors.ts";
import { interruption, type Outcome } from "./owner.ts";

/** A value as the inspector tells of it. */
interface Remote {
  type: string;
  objectId?: string;
  value?: unknown;
  unserializableValue?: string;
}

interface Evaluated {
  result: Remote;
  exceptionDetails?: {
    exception?: Remote;
    text: string;
    url?: string;
    lineNumber: number;
    columnNumber: number;
    stackTrace?: { callFrames: { url: string; lineNumber: number; columnNumber: number }[] };
  };
}

export class Evaluator {
  readonly #session = new Session();
  #taken: unknown;
  // A cell that waits for something that nothing else refers to would be collected with it, and V8's inspector would
  // report that from within the collector, where Node 24 and later end the process: so what has not ended is kept.
  readonly #unended = new Set<Promise<unknown>>();

  readonly #ended: () => void;

  /** @param ended called before anything else when code has ended, whatever it has done to the language's own objects */
  constructor(ended: () => void) {
    this.#ended = ended;
    this.#session.connect();
    Object.defineProperty(globalThis, Symbol.for("slimlab.take"), {
      value: (value: unknown) => {
        this.#taken = value;
      },
      enumerable: false,
    });
  }

  /** Evaluates `code`; `end` is called once, at once or when what it awaits has settled. */
  evaluate(code: string, end: (outcome: Outcome) => void, debug = false): void {
    let whole: Promise<unknown> | undefined;
    let hasEnded = false;
    // The first promise that is made is that of the cell as a whole; there is no other way to it.
    const stop = promiseHooks.onInit((promise) => {
      if (whole) return;
      whole = promise as Promise<unknown>;
      stop();
    }) as () => void;
    try {
      this.#send(code, debug, (outcome) => {
        hasEnded = true;
        if (whole) this.#unended.delete(whole);
        end(outcome);
      });
    } finally {
      if (!whole) stop();
      else if (!hasEnded) this.#unended.add(whole);
    }
  }

  /** Lets the inspector forget the values of cells that have ended. */
  release(): void {
    this.#session.post("Runtime.releaseObjectGroup", { objectGroup: "cell" });
  }

  #send(code: string, debug: boolean, end: (outcome: Outcome) => void): void {
    this.#session.post(
      "Runtime.evaluate",
      // V8 never stops at an error in code that it evaluates silently.
      { expression: code, replMode: true, awaitPromise: true, objectGroup: "cell", silent: !debug },
      (error, reply) => {
        this.#ended();
        if (!error) end(this.#outcome(reply as unknown as Evaluated));
        // Cut off in its first part, a cell has no other end.
        else if (/terminated/.test(error.message)) end({ error: interruption() });
        else end({ error: new KernelError("Error", error.message) });
      },
    );
  }

  #outcome({ exceptionDetails, result }: Evaluated): Outcome {
    if (!exceptionDetails) return { value: this.#take(result) };
    const at = exceptionDetails.stackTrace?.callFrames[0] ?? exceptionDetails;
    return {
      error: exceptionDetails.exception
        ? this.#take(exceptionDetails.exception)
        : new KernelError("Error", exceptionDetails.text),
      thrownAt: at.url ? { file: at.url, line: at.lineNumber + 1, column: at.columnNumber + 1 } : undefined,
    };
  }

  /** The value itself, where the inspector has only a handle on it. */
  #take(remote: Remote): unknown {
    if (remote.objectId === undefined) {
      if (remote.unserializableValue === undefined) return remote.value;
      const text = remote.unserializableValue;
      return text.endsWith("n") ? BigInt(text.slice(0, -1)) : Number(text);
    }
    this.#taken = undefined;
    this.#session.post("Runtime.callFunctionOn", {
      objectId: remote.objectId,
      arguments: [{ objectId: remote.objectId }],
      functionDeclaration: `function (value) { globalThis[Symbol.for("slimlab.take")](value); }`,
      silent: true,
    });
    const value = this.#taken;
    this.#taken = undefined;
    return value;
  }
}
