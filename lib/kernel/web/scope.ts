// Whose turn it is. A browser does not follow a cell through its waits, so cells and timers say it themselves: a cell each
// time that it goes on after a wait at its top level, a timer when it fires. What remains belongs to the last cell.
import { interruption, nobody, type Scope, type Turns } from "../run/owner.ts";

export class Scopes implements Turns {
  /** Cells that have not ended. */
  readonly running = new Set<Scope>();
  /** Whether the page wants the running cell to end, where it can say so without a message. */
  readonly #wanted: () => boolean;
  readonly #signals = new WeakMap<Scope, AbortController>();
  #current = nobody();
  #last = this.#current;

  constructor(wanted: () => boolean) {
    this.#wanted = wanted;
  }

  get current(): Scope {
    return this.#current;
  }

  /** Ends when the cell whose turn it is is interrupted. */
  get signal(): AbortSignal {
    const known = this.#signals.get(this.#current) ?? new AbortController();
    this.#signals.set(this.#current, known);
    return known.signal;
  }

  /** A cell begins. */
  begin(scope: Scope): void {
    this.#last = scope;
    this.#current = scope;
    this.running.add(scope);
  }

  /** Calls `body` as part of a scope. */
  run<T>(scope: Scope, body: () => T): T {
    const before = this.#current;
    this.#current = scope;
    try {
      return body();
    } finally {
      this.#current = before === scope ? scope : this.#last;
    }
  }

  /** What cells and loops call after each wait: see `goName`. */
  go(scope: Scope | undefined, value: unknown): unknown {
    if (scope) this.#current = scope;
    const own = this.#current;
    if (this.#wanted()) this.interruptAll();
    if (own.interrupted) throw interruption();
    return value;
  }

  interruptAll(): void {
    for (const one of [...this.running]) {
      one.interrupted = performance.now();
      this.#signals.get(one)?.abort(interruption());
      one.end?.({ error: interruption() });
    }
  }
}
