// What a cell finds besides Node's own globals: `display`, `prompt`, `input`, `comms`, earlier results, and tslab's API.
import { types } from "node:util";
import { versionOf } from "../../util/packages.ts";
import { goName } from "../../util/turn.ts";
import { debugName } from "../node/interrupt.ts";
import type { Comms } from "../protocol/comms.ts";
import { display, tslabModule } from "../show/display.ts";
import { bundleOf, plainText } from "../show/show.ts";
import type { Gatherer } from "./gather.ts";
import type { Input } from "./input.ts";
import { ownModules } from "./modules.ts";
import { provideNamed } from "./named.ts";
import { provideResults } from "./results.ts";
import type { Scopes } from "./scope.ts";

function define(name: string | symbol, value: unknown): void {
  Object.defineProperty(globalThis, name, {
    value,
    writable: true,
    configurable: true,
    enumerable: false,
  });
}

export function defineGlobals(scopes: Scopes, input: Input, comms: Comms): void {
  define(goName, (value: unknown) => scopes.go(value));
  define("display", display);
  define("prompt", (message?: string, fallback?: string) => input.prompt(message, fallback));
  define("input", (message?: string, options?: { password?: boolean }) => input.input(message, options));
  define("comms", comms);
  provideNamed(define);
  provideResults(define);
  let tslab: Record<string, unknown> | undefined;
  ownModules.set("tslab", () => {
    tslab ??= tslabModule(versionOf("tslab") || "1.0.22", versionOf("typescript"));
    return tslab;
  });
}

/** By which the server's thread reaches this thread's streams and displays. */
export function defineDebugSide({ flush, flushAmid }: Gatherer): void {
  define(Symbol.for(debugName), {
    flush,
    flushAmid,
    /** A value as a MIME bundle, in JSON; what shows itself later is not waited for. */
    bundle(value: unknown): string {
      const bundle = bundleOf(value);
      return JSON.stringify(types.isPromise(bundle) ? { "text/plain": plainText(value) } : bundle);
    },
  });
}
