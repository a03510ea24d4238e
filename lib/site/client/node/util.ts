// `node:util`, as far as cells and the library use it.

import { format, inspect, isPromise, isProxy, stripVTControlCharacters } from "#platform";
import { isDeepStrictEqual } from "./deep-equal.ts";

export { format, inspect, isDeepStrictEqual, stripVTControlCharacters };

// biome-ignore lint/suspicious/noExplicitAny: any function whose last argument is called when it is done.
export function promisify(call: (...args: any[]) => void) {
  return (...args: unknown[]) =>
    new Promise((resolve, reject) =>
      call(...args, (error: unknown, value: unknown) => (error ? reject(error) : resolve(value))),
    );
}

export const types = { isPromise, isProxy };
export default { format, inspect, isDeepStrictEqual, promisify, stripVTControlCharacters, types };
