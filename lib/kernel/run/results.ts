// What cells have shown, by the names that IPython and Node's REPL have for it: `_` is the last result, `__` and `___` are
// those before it, `Out[n]` is cell n's.

/** Results that `Out` keeps at most: a notebook that runs for days must not hold all that it has shown. */
export const mostResults = 100;

const results = new Map<number, unknown>();
let out = asObject();

const lastNames = ["_", "__", "___"];
export const resultNames = [...lastNames, "Out"];

/** Gives cells `_`, `__`, `___` and `Out`. A cell that declares these names has them for itself. */
export function provideResults(define: (name: string, value: unknown) => void): void {
  for (const name of lastNames) define(name, undefined);
  define("Out", out);
}

function asObject(): Record<number, unknown> {
  return Object.assign(Object.create(null), Object.fromEntries(results));
}

/** Keeps a result that is shown. */
export function keepResult(count: number, value: unknown): void {
  results.set(count, value);
  let isKept = Reflect.set(out, count, value);
  if (results.size > mostResults) {
    const [oldest] = results.keys();
    results.delete(oldest);
    isKept &&= Reflect.deleteProperty(out, oldest);
  }
  if (!isKept) out = asObject(); // A cell has frozen it.
  const globals = globalThis as Record<string, unknown>;
  globals.___ = globals.__;
  globals.__ = globals._;
  globals._ = value;
  globals.Out = out;
}
