// What cells print. Each write is known by its cell, even when it comes after the cell has ended, and reaches the
// server while the cell is still busy.
import { Console } from "node:console";
import type { Origin } from "../protocol/messages.ts";
import type { Outlet } from "./outlet.ts";

interface Streams {
  /** Sends what has been held back. */
  flush(): void;
}

/** Writes that may go one by one in each tenth of a second; more than that is gathered first. */
const single = 500;
/** Characters that a cell may write at once, and in each second after that. */
const burst = 32 << 20;
const rate = 8 << 20;
const gatherSize = 1 << 15;
const gatherTime = 20;

/**
 * Takes over process.stdout and process.stderr.
 *
 * @param origin whose output it is that is written now
 */
export function captureStreams(outlet: Outlet, origin: () => Origin): Streams {
  let held: { origin: Origin; name: "stdout" | "stderr"; texts: string[]; size: number } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let windowStart = 0;
  let writes = 0;
  let heldSince = 0;

  let credit = burst;
  let creditAt = performance.now();

  /** Makes a cell that writes without end wait, so that neither the network nor the browser drowns. */
  function throttle(size: number): void {
    const now = performance.now();
    credit = Math.min(burst, credit + ((now - creditAt) / 1000) * rate) - size;
    creditAt = now;
    if (credit < 0)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Math.min(1000, (-credit / rate) * 1000));
  }

  function send(to: Origin, name: "stdout" | "stderr", text: string): void {
    throttle(text.length);
    outlet.text(to, name, text);
  }

  function flush(): void {
    if (timer) clearTimeout(timer);
    timer = undefined;
    if (!held) return;
    const { origin, name, texts } = held;
    held = undefined;
    send(origin, name, texts.join(""));
  }

  function write(name: "stdout" | "stderr", text: string): void {
    if (text === "") return;
    const to = origin();
    if (held && (held.name !== name || held.origin !== to)) flush();
    const now = performance.now();
    if (now - windowStart > 100) {
      windowStart = now;
      writes = 0;
    }
    if (!held && ++writes <= single) {
      for (let at = 0; at < text.length; at += 1 << 20) send(to, name, text.slice(at, at + (1 << 20)));
      return;
    }
    if (!held) {
      held = { origin: to, name, texts: [], size: 0 };
      heldSince = now;
      timer = setTimeout(flush, gatherTime).unref();
    }
    held.texts.push(text);
    held.size += text.length;
    if (held.size > gatherSize || now - heldSince > gatherTime) flush();
  }

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
      write(name, text);
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
  return { flush };
}
