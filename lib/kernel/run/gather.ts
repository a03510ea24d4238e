// What cells print, on its way out: each write is known by its cell, single ones leave at once, many are gathered, and a
// cell that writes without end has to wait.
import type { Origin } from "../protocol/messages.ts";

/** Writes that may go one by one in each tenth of a second; more than that is gathered first. */
const single = 500;
/** Characters that a cell may write at once, and in each second after that. */
const burst = 32 << 20;
const rate = 8 << 20;
/** Gathered text leaves when there is this much of it, or after this time (in ms). */
const gatherSize = 1 << 15;
const gatherTime = 20;
/** A longer text leaves in pieces. */
const pieceSize = 1 << 20;

export type StreamName = "stdout" | "stderr";

/** The ways of the place where cells run. */
export interface GatherOptions {
  send(origin: Origin, name: StreamName, text: string): void;
  /** Whose output it is that is written now. */
  origin(): Origin;
  /** Stands still for some milliseconds. */
  wait(time: number): void;
  /** Told when text begins to be held back, and when none is any more. */
  holds?(isHeld: boolean): void;
}

export interface Gatherer {
  write(name: StreamName, text: string): void;
  /** Sends what has been held back. */
  flush(): void;
  /** The same, called from outside in the middle of whatever runs: not of Node's timers, nor of a write. */
  flushAmid(): void;
}

export function gatherWrites({ send, origin, wait, holds }: GatherOptions): Gatherer {
  // A timer of the kernel's own: cells may have others by these names, which belong to a cell.
  const { setTimeout, clearTimeout } = globalThis;
  let held: { origin: Origin; name: StreamName; texts: string[]; size: number } | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let windowStart = 0;
  let windowOf: Origin | undefined;
  let writes = 0;
  let isWriting = false;
  let heldSince = 0;
  let credit = burst;
  let creditAt = performance.now();

  /** Makes a cell that writes without end wait, so that neither the network nor the browser drowns. */
  function leave(to: Origin, name: StreamName, text: string): void {
    const now = performance.now();
    credit = Math.min(burst, credit + ((now - creditAt) / 1000) * rate) - text.length;
    creditAt = now;
    if (credit < 0) wait(Math.min(1000, (-credit / rate) * 1000));
    send(to, name, text);
  }

  function sendHeld(): void {
    if (!held) return;
    const { origin: to, name, texts } = held;
    held = undefined;
    holds?.(false);
    leave(to, name, texts.join(""));
  }

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    sendHeld();
  }

  function flushAmid(): void {
    if (!isWriting) sendHeld();
  }

  function write(name: StreamName, text: string): void {
    if (text === "") return;
    isWriting = true;
    try {
      take(name, text, origin());
    } finally {
      isWriting = false;
    }
  }

  function take(name: StreamName, text: string, to: Origin): void {
    if (held && (held.name !== name || held.origin !== to)) flush();
    const now = performance.now();
    // (What a cell before has written is not counted against this one.)
    if (now - windowStart > 100 || windowOf !== to) {
      windowStart = now;
      windowOf = to;
      writes = 0;
    }
    if (!held && ++writes <= single) {
      for (let at = 0; at < text.length; at += pieceSize) leave(to, name, text.slice(at, at + pieceSize));
      return;
    }
    if (!held) {
      held = { origin: to, name, texts: [], size: 0 };
      heldSince = now;
      holds?.(true);
      timer = setTimeout(flush, gatherTime);
      // On Node it must not keep the process.
      (timer as { unref?(): void }).unref?.();
    }
    held.texts.push(text);
    held.size += text.length;
    if (held.size > gatherSize || now - heldSince > gatherTime) flush();
  }

  return { write, flush, flushAmid };
}
