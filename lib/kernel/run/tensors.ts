// TensorFlow.js counts how deep in its own calls it is, and counts back when they end. A call that an interrupt cuts off
// never ends: TensorFlow.js would then find no gradient any more, and keep what its open scopes hold.

interface Engine {
  state: {
    kernelDepth: number;
    gradientDepth: number;
    activeTape: unknown[] | null;
    activeScope: { track: unknown[] } | null;
    scopeStack: { track: unknown[] }[];
  };
  endScope(): void;
}

/** TensorFlow.js's engine is one for all copies of it, and says so here. */
const engine = (): Engine | undefined => (globalThis as { _tfengine?: Engine })._tfengine;

export class Tensors {
  /** Scopes that were open when the last cell began: a reader's own, by `engine().startScope()`. */
  #open = 0;

  /** A cell begins. */
  begin(): void {
    this.#open = engine()?.state?.scopeStack?.length ?? 0;
  }

  /** To be called where no code of the user's is on the stack, after what was there may have been cut off. */
  repair(): void {
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
