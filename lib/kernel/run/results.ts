// What cells have shown, by the names that IPython and Node's REPL have for it: `_` is the last result, `Out[n]` cell n's.

/** Results that `Out` keeps at most: a notebook that runs for days must not hold all that it has shown. */
export const mostResults = 100;

const results = new Map<number, unknown>();

/** Gives cells `_` and `Out`. A cell that declares these names has them for itself. */
export function provideResults(define: (name: string, value: unknown) => void): void {
  define("_", undefined);
  define("Out", Object.create(null));
}

/** Keeps a result that is shown. */
export function keepResult(count: number, value: unknown): void {
  results.set(count, value);
  if (results.size > mostResults) results.delete(results.keys().next().value!);
  const globals = globalThis as Record<string, unknown>;
  globals._ = value;
  globals.Out = Object.assign(Object.create(null), Object.fromEntries(results));
}
