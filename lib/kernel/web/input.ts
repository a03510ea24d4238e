// `prompt()` and `input()`: the worker stands still until the person has answered. That takes memory which page and worker
// share, and browsers give it to isolated pages only.

import { interruption } from "../run/owner.ts";
import { numbersIn, shared, type ToKernel } from "./link.ts";
import type { Scopes } from "./scope.ts";

export function ask(
  memory: SharedArrayBuffer | undefined,
  scopes: Scopes,
  post: (message: ToKernel) => void,
) {
  const numbers = memory && numbersIn(memory);

  function answer(prompt: string, password: boolean): string | undefined {
    const { origin } = scopes.current;
    if (!origin.stdin || !scopes.running.has(scopes.current)) return undefined;
    if (!memory || !numbers) {
      throw new Error(
        "input() stands still until you answer, which needs an isolated page. Load this page anew: a site of slimlab's " +
          "isolates itself from then on. Where it does not, its server must send the headers " +
          "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp",
      );
    }
    Atomics.store(numbers, shared.answer, shared.noAnswer);
    post({ type: "input", origin, prompt, password });
    Atomics.wait(numbers, shared.answer, shared.noAnswer);
    const length = Atomics.load(numbers, shared.answer);
    if (length === shared.cutOff) throw interruption();
    // A decoder takes no shared memory.
    return new TextDecoder().decode(new Uint8Array(memory, shared.bytes, length).slice());
  }

  return {
    /** The browser's `prompt`: null where nobody may be asked. */
    prompt(message = "", fallback = ""): string | null {
      const given = answer(`${message}${fallback ? ` [${fallback}]` : ""} `.trimStart(), false);
      return given === undefined ? null : given || String(fallback);
    },
    /** The same, with an error where nobody may be asked. */
    input(message = "", options: { password?: boolean } = {}): string {
      const given = answer(String(message), options.password === true);
      if (given !== undefined) return given;
      throw new Error("input() needs somebody to ask: this run of the notebook allows no input");
    },
  };
}
