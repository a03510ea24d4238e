// Timers and microtasks that remember which cell set them: their output is its, however late.
import type { Scopes } from "./scope.ts";

type Callback = (...values: unknown[]) => unknown;

export function followTimers(scopes: Scopes): void {
  const target = globalThis as unknown as Record<string, (callback: Callback, ...rest: unknown[]) => unknown>;
  for (const name of ["setTimeout", "setInterval", "queueMicrotask", "requestAnimationFrame"]) {
    const plain = target[name];
    if (typeof plain !== "function") continue;
    target[name] = (callback, ...rest) => {
      if (typeof callback !== "function") return plain(callback, ...rest);
      const { current } = scopes;
      return plain(
        (...values) => {
          // What an interrupted cell has left behind does not go on.
          if (current.interrupted) return undefined;
          return scopes.run(current, () => callback(...values));
        },
        ...rest,
      );
    };
  }
}
