// What cells print. Each write is known by its cell, even when it comes after the cell has ended, and reaches the
// server while the cell is still busy.
import { Console } from "node:console";
import type { Origin } from "../protocol/messages.ts";
import { type Gatherer, gatherWrites } from "./gather.ts";
import type { Outlet } from "./outlet.ts";

/**
 * Takes over process.stdout and process.stderr.
 *
 * @param origin whose output it is that is written now
 */
export function captureStreams(outlet: Outlet, origin: () => Origin): Gatherer {
  const gatherer = gatherWrites({
    send: (to, name, text) => outlet.text(to, name, text),
    origin,
    wait: (time) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, time),
    holds: (isHeld) => outlet.holds(isHeld),
  });

  for (const name of ["stdout", "stderr"] as const) {
    const stream = process[name];
    const decoder = new TextDecoder();
    stream.write = ((chunk: unknown, encoding?: unknown, callback?: unknown): boolean => {
      let text: string;
      if (typeof chunk === "string") {
        text =
          typeof encoding === "string" && !/^utf-?8$/i.test(encoding)
            ? Buffer.from(chunk, encoding as BufferEncoding).toString()
            : chunk;
      } else if (chunk instanceof Uint8Array) {
        text = decoder.decode(chunk, { stream: true });
      } else {
        throw new TypeError(`process.${name}.write takes a string or bytes, got ${typeof chunk}`);
      }
      gatherer.write(name, text);
      const done = typeof encoding === "function" ? encoding : callback;
      if (typeof done === "function") process.nextTick(done as () => void);
      return true;
    }) as typeof stream.write;
  }
  for (const stream of [process.stdout, process.stderr]) {
    // What ends here is not the kernel's output, only what was to be written.
    stream.end = ((...args: unknown[]) => {
      if (typeof args[0] === "string" || args[0] instanceof Uint8Array) stream.write(...(args as [string]));
      return stream;
    }) as typeof stream.end;
  }
  // Node's own console keeps a thousand messages for a debugger and adds two listeners around each write.
  const quick = new Console({
    stdout: process.stdout,
    stderr: process.stderr,
    ignoreErrors: false,
    colorMode: false,
  });
  for (const key of Object.keys(quick) as (keyof Console)[]) {
    if (typeof quick[key] === "function") (console as unknown as Record<string, unknown>)[key] = quick[key];
  }
  return gatherer;
}
