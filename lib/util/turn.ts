import { turn } from "#platform";

/** The global function by which the kernel ends what an interrupted cell has begun. */
export const goName = "__slimlab_go";

/**
 * Lets timers, messages and other cells have their turn, for loops that compute for long.
 * @throws KeyboardInterrupt in a notebook whose cell has been interrupted meanwhile
 */
export async function nextTurn(): Promise<void> {
  await turn();
  (globalThis as { [goName]?: () => void })[goName]?.();
}
