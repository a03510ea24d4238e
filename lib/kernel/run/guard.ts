// Calls the user's code where an interrupt can reach it: inside a script that V8 ends at SIGINT.
import vm from "node:vm";
import { repairName } from "../node/interrupt.ts";
import { guard, shared } from "../node/link.ts";
import { KernelError } from "./errors.ts";

const entrance = Symbol.for("slimlab.enter");
/** A cell may take the global's name. */
const process = globalThis.process;

export class Guard {
  readonly #numbers: Int32Array;
  readonly #uncaught: (error: unknown) => void;
  readonly #script = new vm.Script(`globalThis[Symbol.for("slimlab.enter")]()`, { filename: "node:slimlab" });
  #entered = false;
  #enter = () => {};

  /** @param uncaught takes errors that nobody caught in what runs before the guarded part's end */
  constructor(numbers: Int32Array, uncaught: (error: unknown) => void) {
    this.#numbers = numbers;
    this.#uncaught = uncaught;
    Object.defineProperty(globalThis, entrance, { value: () => this.#enter(), enumerable: false });
    Object.defineProperty(globalThis, Symbol.for(repairName), { value: repairRecords, enumerable: false });
  }

  /**
   * Calls `body` where SIGINT stops it. Returns whether it was stopped. `then` is the kernel's own work that need not wait
   * until Node has taken down its watch for signals, a thread.
   */
  call(body: () => void, then?: () => void): boolean {
    if (this.#entered) {
      body();
      return false;
    }
    this.#enter = () => {
      this.#inside(body);
      then?.();
    };
    this.#entered = true;
    try {
      this.#script.runInThisContext({ breakOnSigint: true });
      return false;
    } catch (error) {
      if (error !== null && (error as { code?: string }).code !== "ERR_SCRIPT_EXECUTION_INTERRUPTED")
        throw error;
      repairRecords();
      return true;
    } finally {
      this.left();
    }
  }

  /** Where there is no signal, a cell's first part is cut off with what was to say so. */
  left(): void {
    this.#entered = false;
    Atomics.store(this.#numbers, shared.guard, guard.outside);
  }

  #inside(body: () => void): void {
    Atomics.store(this.#numbers, shared.guard, guard.inside);
    try {
      body();
      this.#runMicrotasks();
    } finally {
      if (
        Atomics.compareExchange(this.#numbers, shared.guard, guard.inside, guard.outside) === guard.struck
      ) {
        for (;;); // SIGINT is on its way, and must find us here.
      }
    }
  }

  /** What a cell does before its first real wait belongs to the part that SIGINT stops. */
  #runMicrotasks(): void {
    for (;;) {
      try {
        (process as unknown as { _tickCallback?: () => void })._tickCallback?.();
        return;
      } catch (error) {
        repairRecords();
        this.#uncaught(error);
      }
    }
  }
}

/**
 * Empties Node's records of which callback runs: code that is cut off leaves them out of order, for which Node would end
 * the process. Node itself does this after an error that nobody caught, and has no other door to it.
 */
export function repairRecords(): void {
  const node = process as unknown as { _fatalException?: (error: unknown, fromPromise: boolean) => boolean };
  const own = !process.hasUncaughtExceptionCaptureCallback();
  try {
    if (own) process.setUncaughtExceptionCaptureCallback(() => {});
    node._fatalException?.(new KernelError("KeyboardInterrupt", "cut off"), false);
  } finally {
    if (own) process.setUncaughtExceptionCaptureCallback(null);
  }
}
