// TensorFlow.js counts how deep in its own calls it is, and counts back when they end. A call that a debugger or a signal
// cuts off never ends: TensorFlow.js would then find no gradient any more, keep what its open scopes hold, and refuse to
// train a model again. So an interrupt is an error that its operations throw, and a cut is the last resort.
import { shared } from "../node/link.ts";
import type { Scopes } from "./scope.ts";

interface Engine {
  state: {
    kernelDepth: number;
    gradientDepth: number;
    activeTape: unknown[] | null;
    activeScope: { track: unknown[] } | null;
    scopeStack: { track: unknown[] }[];
  };
  endScope(): void;
  /** Every operation comes by here. */
  runKernel(...args: unknown[]): unknown;
  /** Every step of a training comes by here. */
  gradients(...args: unknown[]): unknown;
}

/** TensorFlow.js's engine is one for all copies of it, and says so here. */
const engineName = "_tfengine";

const engine = (): Engine | undefined => (globalThis as { [engineName]?: Engine })[engineName];

export class Tensors {
  readonly #scopes: Scopes;
  readonly #numbers: Int32Array;
  /** Scopes that were open when the last cell began: a reader's own, by `engine().startScope()`. */
  #open = 0;

  constructor(scopes: Scopes, numbers: Int32Array) {
    this.#scopes = scopes;
    this.#numbers = numbers;
    Object.defineProperty(globalThis, engineName, {
      get: () => undefined,
      set: (value: Engine) => {
        Object.defineProperty(globalThis, engineName, {
          value,
          writable: true,
          enumerable: true,
          configurable: true,
        });
        this.#watch(value);
      },
      enumerable: false,
      configurable: true,
    });
  }

  /**
   * While an interrupt is under way no operation of what it is to end is begun, so that all that waits for one unwinds; and
   * no step of a training is later, for a training of a package's goes on by itself.
   */
  #watch(engine: Engine): void {
    const { runKernel, gradients } = engine;
    const scopes = this.#scopes;
    const numbers = this.#numbers;
    engine.runKernel = function (...args) {
      scopes.goNow();
      if (numbers[shared.operations] % 2 !== 0) return runKernel.apply(this, args);
      Atomics.add(numbers, shared.operations, 1);
      try {
        return runKernel.apply(this, args);
      } finally {
        Atomics.add(numbers, shared.operations, 1);
      }
    };
    engine.gradients = function (...args) {
      scopes.go(undefined);
      return gradients.apply(this, args);
    };
  }

  /** A cell begins. */
  begin(): void {
    Atomics.store(this.#numbers, shared.operations, 0);
    this.#open = engine()?.state?.scopeStack?.length ?? 0;
  }

  /** To be called where no code of the user's is on the stack, after what was there may have been cut off. */
  repair(): void {
    Atomics.store(this.#numbers, shared.operations, 0);
    const found = engine();
    if (!found?.state?.scopeStack) return;
    const { state } = found;
    if (state.gradientDepth !== 0) state.activeTape = null;
    state.kernelDepth = 0;
    state.gradientDepth = 0;
    while (state.scopeStack.length > this.#open) {
      const { length } = state.scopeStack;
      try {
        found.endScope();
      } catch {
        // A tensor that was cut off half made cannot be given back: the scope goes without it.
      }
      if (state.scopeStack.length < length) continue;
      state.scopeStack.pop();
      state.activeScope = state.scopeStack.at(-1) ?? null;
    }
  }
}
