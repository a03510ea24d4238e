// What would end the process ends its cell instead: errors that nobody caught, process.exit and its like.
import { exitCell, type Scope } from "./owner.ts";
import type { Scopes } from "./scope.ts";
import { endTimers } from "./timers.ts";

/** From here on the process survives what the user's code does to it. */
export function survive(scopes: Scopes, uncaught: (error: unknown) => void): void {
  process.on("SIGINT", () => scopes.interruptAll());
  cutTicks(scopes);
  endTimers(scopes);
  process.on("uncaughtException", uncaught);
  process.on("unhandledRejection", uncaught);
  const exit = (code: unknown = process.exitCode ?? 0) => exitCell(scopes, code);
  process.exit = exit as typeof process.exit;
  (process as unknown as { reallyExit: unknown }).reallyExit = exit;
  process.abort = () => exit(134);
}

/** Callbacks that wait for the next tick or turn are not called when their cell is interrupted. */
function cutTicks(scopes: Scopes): void {
  const { nextTick } = process;
  const call = (scope: Scope, callback: (...args: unknown[]) => void, args: unknown[]) => {
    if (!scopes.isCut(scope)) callback(...args);
  };
  process.nextTick = (callback: (...args: unknown[]) => void, ...args: unknown[]) => {
    const scope = scopes.own;
    // What Node does for itself belongs to nobody; what is no function, Node refuses in its own words.
    if (!scope || typeof callback !== "function") nextTick.call(process, callback, ...args);
    else nextTick.call(process, call, scope, callback, args);
  };
  const { queueMicrotask } = globalThis;
  globalThis.queueMicrotask = (callback) => {
    const scope = scopes.own;
    if (!scope || typeof callback !== "function") queueMicrotask(callback);
    else queueMicrotask(() => call(scope, callback, []));
  };
}
