// Evaluates cells without V8's inspector. A cell is the body of an async function, and its names are properties of the global
// object: functions see later values of them, any cell may declare them anew, and they are as fast as V8's REPL mode. Names
// that the worker has itself are not the cells' to change, for all packages share them: those have another (cell/names.ts).
import { goName } from "../../util/turn.ts";

type Body = (go: (value: unknown) => unknown) => Promise<[unknown] | undefined>;

const scope = globalThis as Record<string, unknown>;

function define(name: string): void {
  // (An import is an accessor.)
  if (Object.getOwnPropertyDescriptor(scope, name)?.writable) scope[name] = undefined;
  else
    Object.defineProperty(scope, name, {
      value: undefined,
      writable: true,
      configurable: true,
      enumerable: true,
    });
}

/**
 * Makes a cell's function and declares its names.
 * @throws SyntaxError for what the parser took and this browser does not
 */
export function prepare(code: string, reset: readonly string[], name: string): Body {
  // Not a direct call of eval: the code sees the global object and nothing of this module.
  // biome-ignore lint/security/noGlobalEval: a kernel runs what it is sent.
  const body = globalThis.eval(`(async function (${goName}) {${code}\n})\n//# sourceURL=${name}`);
  for (const each of reset) define(each);
  return body;
}
