// What cells print: the worker's console, as Node's writes it.
import { format, inspect } from "#platform";
import type { Origin } from "../protocol/messages.ts";

/** Characters that a cell may write at once, and in each second after that. */
const burst = 32 << 20;
const rate = 8 << 20;
/** Writes that go one by one in each tenth of a second; more than that is gathered first. */
const single = 500;
/** Gathered text is sent when there is this much of it, or after this time (in ms). */
const gatherSize = 1 << 15;
const gatherTime = 20;

/** Takes over the console. */
export function captureConsole(
  send: (origin: Origin, name: "stdout" | "stderr", text: string) => void,
  origin: () => Origin,
): { flush(): void; write(name: "stdout" | "stderr", text: string): void } {
  let held: { origin: Origin; name: "stdout" | "stderr"; texts: string[]; size: number } | undefined;
  let heldSince = 0;
  let windowStart = 0;
  let writes = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let credit = burst;
  let creditAt = performance.now();

  /** Makes a cell that writes without end wait, so that the page does not drown. A worker can wait by being busy only. */
  function throttle(size: number): void {
    const now = performance.now();
    credit = Math.min(burst, credit + ((now - creditAt) / 1000) * rate) - size;
    creditAt = now;
    if (credit >= 0) return;
    const end = now + Math.min(1000, (-credit / rate) * 1000);
    while (performance.now() < end);
  }

  const plainTimeout = setTimeout;
  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (!held) return;
    const { origin: to, name, texts, size } = held;
    held = undefined;
    throttle(size);
    send(to, name, texts.join(""));
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
      throttle(text.length);
      send(to, name, text);
      return;
    }
    if (!held) {
      held = { origin: to, name, texts: [], size: 0 };
      heldSince = now;
      timer = plainTimeout(flush, gatherTime);
    }
    held.texts.push(text);
    held.size += text.length;
    if (held.size > gatherSize || now - heldSince > gatherTime) flush();
  }

  let indent = "";
  const line =
    (name: "stdout" | "stderr") =>
    (...values: unknown[]) =>
      write(name, `${format(...values)}\n`.replace(/^(?=.)/gm, indent));
  const timers = new Map<string, number>();
  const counts = new Map<string, number>();
  const out = line("stdout");
  const err = line("stderr");
  Object.assign(console, {
    log: out,
    info: out,
    debug: out,
    error: err,
    warn: err,
    trace: (...values: unknown[]) => err(`Trace: ${format(...values)}`),
    dir: (value: unknown, options?: object) => out(inspect(value, options)),
    dirxml: out,
    assert: (holds: unknown, ...values: unknown[]) => {
      if (!holds) err(`Assertion failed${values.length > 0 ? `: ${format(...values)}` : ""}`);
    },
    group: (...values: unknown[]) => {
      if (values.length > 0) out(...values);
      indent += "  ";
    },
    groupCollapsed: (...values: unknown[]) => {
      if (values.length > 0) out(...values);
      indent += "  ";
    },
    groupEnd: () => {
      indent = indent.slice(2);
    },
    time: (label = "default") => void timers.set(label, performance.now()),
    timeLog: (label = "default", ...values: unknown[]) =>
      out(`${label}: ${(performance.now() - (timers.get(label) ?? 0)).toFixed(3)}ms`, ...values),
    timeEnd: (label = "default") => {
      out(`${label}: ${(performance.now() - (timers.get(label) ?? 0)).toFixed(3)}ms`);
      timers.delete(label);
    },
    count: (label = "default") => {
      counts.set(label, (counts.get(label) ?? 0) + 1);
      out(`${label}: ${counts.get(label)}`);
    },
    countReset: (label = "default") => void counts.delete(label),
    table: out,
    clear: () => {},
  });
  return { flush, write };
}
