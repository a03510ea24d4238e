// Work that a signal may cut short.

/** Names the global function by which a notebook's kernel gives the signal of the cell whose turn it is. */
export const cellSignalName = Symbol.for("Jupyter.cellSignal");

/** Ends with the cell that runs, when that is interrupted: for work that goes on elsewhere. A page's kernel gives one. */
export function cellSignal(): AbortSignal | undefined {
  return (globalThis as { [cellSignalName]?: () => AbortSignal })[cellSignalName]?.();
}

/**
 * What work gives, unless the signal comes first: whoever waits then waits no longer, and the work goes on by itself.
 *
 * @param reason what is thrown then
 */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
  reason: () => Error,
): Promise<T> {
  // Who has been told no more wants to hear of it.
  work.catch(() => {});
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(reason());
    if (signal?.aborted) stop();
    signal?.addEventListener("abort", stop);
  });
  try {
    const result = await Promise.race([aborted, work]);
    if (signal?.aborted) throw reason();
    return result;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
