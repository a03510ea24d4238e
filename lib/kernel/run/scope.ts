// Whose turn it is: every output, question and error belongs to the cell whose code caused it, however late.
import { AsyncLocalStorage } from "node:async_hooks";
import { interrupting, shared } from "../node/link.ts";
import { interruption, nobody, type Outcome, type Scope, type Turns } from "./owner.ts";

export class Scopes implements Turns {
  readonly #storage = new AsyncLocalStorage<Scope>();
  readonly #numbers: Int32Array;
  /** Cells that have not ended. */
  readonly running = new Set<Scope>();
  /** Whose turn it is, for code that has lost its context. */
  #last = nobody();
  #anyInterrupted = false;

  constructor(numbers: Int32Array) {
    this.#numbers = numbers;
  }

  get current(): Scope {
    return this.#storage.getStore() ?? this.#last;
  }

  /** The cell whose code calls this, where that is known. */
  get own(): Scope | undefined {
    return this.#storage.getStore();
  }

  /** A cell begins. */
  begin(scope: Scope): void {
    this.#last = scope;
    this.running.add(scope);
    this.#numbers[shared.comesBy] = 0;
  }

  run<T>(scope: Scope, body: () => T): T {
    return this.#storage.run(scope, body);
  }

  /** The end of a cell that is cut off: nothing of it goes on. */
  interrupt(scope: Scope): Outcome {
    scope.interrupted = performance.now();
    this.#anyInterrupted = true;
    return { error: interruption() };
  }

  interruptAll(): void {
    for (const one of [...this.running]) one.end?.(this.interrupt(one));
  }

  /**
   * A promise cannot be taken back: the code that waited for it goes on when it comes, long after the cell was said to
   * have ended. So cells (transform.ts) and slimlab's own loops (util/turn.ts) ask here.
   */
  go(value: unknown): unknown {
    this.#numbers[shared.comesBy] = 1;
    if (this.#anyInterrupted || this.#numbers[shared.interrupting] !== interrupting.no) {
      const scope = this.#storage.getStore();
      if (scope && (scope.interrupted || this.mustEnd(scope))) throw interruption();
    }
    return value;
  }

  /** As `go`, for what may be called again once the interrupt is over, by a `finally` block. */
  goNow(): void {
    if (this.#numbers[shared.interrupting] === interrupting.no) return;
    const scope = this.#storage.getStore();
    if (scope && this.mustEnd(scope)) throw interruption();
  }

  /**
   * Whether a callback that waits in Node's queue must not be called: one that puts itself there again and again lets
   * nothing else run, and no cut from outside takes it out. Once its interrupt is over, what Node itself does for an
   * interrupted cell's servers and streams goes on.
   */
  isCut(scope: Scope): boolean {
    this.#numbers[shared.comesBy] = 1;
    if (this.mustEnd(scope)) return true;
    return scope.interrupted !== undefined && performance.now() - scope.interrupted < 1000;
  }

  /** Whether the person waits for this code to end. */
  mustEnd(scope: Scope): boolean {
    const state = this.#numbers[shared.interrupting];
    return state === interrupting.all || (state === interrupting.running && this.running.has(scope));
  }
}
