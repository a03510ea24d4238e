// Node's own test runner in cells: what a cell's tests come to stands below it, it waits for them, and fails with them.
//
// Node joins what all tests tell to its reporter when the first one is declared, and has no door to that but the function
// by which it does so, `stream.compose`. What tests tell comes in the context of the cell that has declared them.
import stream, { type Readable, Transform } from "node:stream";
import { describeError, KernelError } from "./errors.ts";
import type { Scope, Turns } from "./owner.ts";

interface TestEvent {
  name: string;
  /** 0 for a test at a cell's top. */
  nesting: number;
  skip?: string | boolean;
  todo?: string | boolean;
  details: { duration_ms: number; error?: Error & { failureType?: string } };
}

/** Tests of a cell that have not ended, and what has failed. */
interface Open {
  count: number;
  failed: string[];
  settle(error?: Error): void;
}

export class Tests {
  readonly #turns: Turns;
  readonly #hold: (promise: Promise<unknown>) => void;
  #taken: Promise<void>;
  #begun = false;
  readonly #open = new Map<Scope, Open>();
  /** The tests around what is told now, outermost first. */
  #around: { name: string; isSaid: boolean }[] = [];

  /** @param hold keeps the cell whose turn it is open until a promise has settled */
  constructor(turns: Turns, hold: (promise: Promise<unknown>) => void) {
    this.#turns = turns;
    this.#hold = hold;
    this.#taken = new Promise((taken) => {
      const node = stream as unknown as { compose: (...streams: unknown[]) => unknown };
      const { compose } = node;
      node.compose = (...streams) => {
        const [first] = streams;
        if ((first as object | null)?.constructor?.name !== "TestsStream") return compose(...streams);
        node.compose = compose;
        this.#listen(first as Readable);
        // What was declared meanwhile is told in the next turn.
        setImmediate(taken);
        const nothing = new Transform({ writableObjectMode: true, transform: (_event, _, taken) => taken() });
        return compose(first, nothing);
      };
    });
  }

  /** To be called when a cell asks for `node:test`: Node makes its reporter now, so that no test goes by untold. */
  begin(test: { before(hook: () => void): void }): Promise<void> {
    if (!this.#begun) {
      this.#begun = true;
      test.before(() => {});
      this.#hold(this.#taken);
    }
    return this.#taken;
  }

  #listen(events: Readable): void {
    events.on("test:enqueue", (event: TestEvent) => event.nesting === 0 && this.#enqueued());
    events.on("test:start", ({ nesting, name }: TestEvent) => {
      this.#around.splice(nesting, Infinity, { name, isSaid: false });
    });
    events.on("test:pass", (event: TestEvent) => this.#ended(event, false));
    events.on("test:fail", (event: TestEvent) => this.#ended(event, !event.todo));
    events.on("test:diagnostic", ({ message, nesting }: { message: string; nesting: number }) => {
      if (this.areRunning) this.#say(nesting, `ℹ ${message}`);
    });
  }

  /** Whether an error that nobody caught comes while a cell's tests run: Node fails the test that it comes from. */
  get areRunning(): boolean {
    return this.#open.has(this.#turns.current);
  }

  #enqueued(): void {
    const scope = this.#turns.current;
    const stuck = [...this.#open.keys()].find((one) => one !== scope && one.interrupted);
    if (stuck) {
      const why = `a test of ${stuck.title}, which was interrupted, has not ended, and Node runs one at a time`;
      scope.end?.({ error: new KernelError("TestFailure", `${why}: restart the kernel`) });
    }
    const open = this.#open.get(scope);
    if (open) {
      open.count++;
      return;
    }
    this.#hold(
      new Promise<void>((resolve, reject) => {
        const settle = (error?: Error) => (error ? reject(error) : resolve());
        this.#open.set(scope, { count: 1, failed: [], settle });
      }),
    );
  }

  #ended({ name, nesting, skip, todo, details }: TestEvent, failed: boolean): void {
    const around = this.#around.slice(0, nesting);
    for (const [depth, one] of around.entries()) {
      if (!one.isSaid) this.#say(depth, `▶ ${one.name}`);
      one.isSaid = true;
    }
    const { duration_ms, error } = details;
    const mark = failed ? "✖" : skip !== undefined || todo !== undefined ? "﹣" : "✔";
    const why = [
      [skip, "skipped"],
      [todo, "to do"],
    ].flatMap(([given, word]) => {
      if (given === undefined || given === false) return [];
      return typeof given === "string" && given !== "" ? [`${word}: ${given}`] : [word];
    });
    this.#say(nesting, `${mark} ${[name, ...why].join(", ")} (${duration_ms.toFixed(1)} ms)`);
    const open = this.#open.get(this.#turns.current);
    const own = failed && error?.failureType !== "subtestsFailed";
    if (own) {
      const text = error?.cause instanceof Error ? describeError(error.cause).traceback : [error?.message];
      this.#say(nesting + 1, text.join("\n"));
      open?.failed.push([...around.map((one) => one.name), name].join(" > "));
    }
    if (nesting > 0) return;
    // Node's runner has noted that its process failed: a cell's tests are no program.
    if (failed) process.exitCode = undefined;
    if (!open) return;
    open.count--;
    // What the test has to note comes below its end.
    const scope = this.#turns.current;
    queueMicrotask(() => open.count === 0 && this.#settle(scope, open));
  }

  #settle(scope: Scope, { failed, settle }: Open): void {
    this.#open.delete(scope);
    const what = failed.length === 1 ? "a test failed" : `${failed.length} tests failed`;
    settle(failed.length > 0 ? new KernelError("TestFailure", `${what}: ${failed.join(", ")}`) : undefined);
  }

  #say(nesting: number, text: string): void {
    const indent = "  ".repeat(nesting);
    process.stdout.write(`${indent}${text.replaceAll("\n", `\n${indent}`)}\n`);
  }
}
