// Whose output it is: a cell while it runs and after, and how it ends. The same on Node's thread and in a browser's worker;
// what differs, how one knows whose turn it is, stands in scope.ts here and in web/.
import { noOrigin, type Origin } from "../protocol/messages.ts";
import { describeError, KernelError } from "./errors.ts";

export type Outcome =
  | { value: unknown }
  | { error: unknown; thrownAt?: { file: string; line: number; column: number } };

/** A cell that runs, or has run: whose output it is. */
export interface Scope {
  origin: Origin;
  title: string;
  /** Ends the cell; undefined for what is no cell (a comm's callback), and once it has ended. */
  end?: (outcome: Outcome) => void;
  /** What the cell's end waits for. */
  held: Set<Promise<unknown>>;
  /** When it was interrupted: what of it still waits for something must not go on. */
  interrupted?: number;
  /** A timer that it has left behind is being called: see timers.ts. */
  isLastCall?: boolean;
}

/** Says whose turn it is, and calls code as part of a scope. */
export interface Turns {
  readonly current: Scope;
  run<T>(scope: Scope, body: () => T): T;
}

export function newScope(origin: Origin, title: string): Scope {
  return { origin, title, held: new Set() };
}

/** Whose turn it is before the first cell. */
export function nobody(): Scope {
  return newScope(noOrigin, "");
}

export function interruption(): KernelError {
  return new KernelError("KeyboardInterrupt", "the cell was interrupted");
}

/**
 * Errors that nobody caught, as their cell's.
 *
 * @param late shows what comes when the cell has ended
 */
export function uncaughtBy(turns: Turns, late: (scope: Scope, text: string) => void) {
  return (error: unknown): void => {
    const own = turns.current;
    if (own.end) {
      own.end({ error });
      return;
    }
    if (own.interrupted && error instanceof KernelError) return;
    const { traceback } = describeError(error);
    late(own, `An error after ${own.title || "the last cell"} had ended:\n${traceback.join("\n")}\n`);
  };
}

/** Keeps the cell whose turn it is open until `promise` has settled. */
export function holdOpen(turns: Turns, promise: Promise<unknown>, uncaught: (error: unknown) => void): void {
  const own = turns.current;
  if (!own.end) {
    promise.catch(uncaught);
    return;
  }
  own.held.add(promise);
  promise.catch(() => {}); // The cell's end looks at it.
}

/** Calls `over` when nothing holds the cell open any more; what fails on the way ends it. */
export function whenSettled(own: Scope, over: () => void): void {
  if (own.held.size === 0) {
    over();
    return;
  }
  Promise.all(own.held).then(
    () => {
      own.held.clear();
      whenSettled(own, over);
    },
    (error) => own.end?.({ error }),
  );
}

/** What `process.exit` is in cells: it ends the cell. */
export function exitCell(turns: Turns, code: unknown): never {
  const error = new KernelError("SystemExit", String(code));
  error.note = `process.exit(${code}) ends the cell; the kernel goes on`;
  // Even where the cell's own code catches the error, the cell is over.
  turns.current.end?.({ error });
  throw error;
}
