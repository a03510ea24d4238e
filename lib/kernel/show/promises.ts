// What Node keeps on a promise for the kernel (whose output it is) is nothing to show: before Node 24, inspect would print
// it with every promise, message ids and all.
import { inspect } from "node:util";

const internal = /^Symbol\((async_id_symbol|trigger_async_id_symbol|kResourceStore|kAsyncContextFrame)\)$/;

/** From here on, a promise is shown without Node's own marks on it, wherever it stands in a value. */
export function hideMarksOnPromises(): void {
  Object.defineProperty(Promise.prototype, inspect.custom, {
    value: function (this: object) {
      for (const symbol of Object.getOwnPropertySymbols(this)) {
        const mark = Object.getOwnPropertyDescriptor(this, symbol)!;
        if (mark.enumerable && mark.configurable && internal.test(String(symbol)))
          Object.defineProperty(this, symbol, { ...mark, enumerable: false });
      }
      return this; // To inspect this means: go on as you would.
    },
    enumerable: false,
    configurable: true,
    writable: true,
  });
}
