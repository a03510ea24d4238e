// Timers of a cell that was interrupted. They are called once more at most, for a `finally` block may wait for one, and set
// none in that call: chains of them, and intervals, would go on for ever unseen. What the cell's servers set later, for
// those who ask them, comes.
import type { Scopes } from "./scope.ts";

type Callback = (this: unknown, ...values: unknown[]) => void;
type Timer = (callback: Callback, ...rest: unknown[]) => unknown;

const clearing = { setTimeout: "clearTimeout", setInterval: "clearInterval", setImmediate: "clearImmediate" };

export function endTimers(scopes: Scopes): void {
  const target = globalThis as unknown as Record<string, Timer>;
  for (const [name, clearName] of Object.entries(clearing)) {
    const set = target[name];
    const clear = target[clearName] as unknown as (timer: unknown) => void;
    const own: Timer = (callback, ...rest) => {
      scopes.goNow(); // A loop that sets them is hardly ever in a line of its own, where it could be stopped from outside.
      const scope = scopes.own;
      if (!scope || typeof callback !== "function") return set(callback, ...rest);
      if (scope.interrupted !== undefined) {
        const timer = set(callback, ...rest);
        if (scope.isLastCall) clear(timer);
        return timer;
      }
      const call: Callback = function (...values) {
        if (scope.interrupted === undefined) callback.apply(this, values);
        else if (name === "setInterval") clear(this);
        else {
          scope.isLastCall = true;
          try {
            callback.apply(this, values);
          } finally {
            scope.isLastCall = false;
          }
        }
      };
      return set(call, ...rest);
    };
    // With its name, and what makes a promise of it.
    Object.defineProperties(own, Object.getOwnPropertyDescriptors(set));
    target[name] = own;
  }
}
