// What cells print: the worker's console, as Node's writes it.
import { format, inspect } from "#platform";
import type { Origin } from "../protocol/messages.ts";
import { type Gatherer, type GatherOptions, gatherWrites, type StreamName } from "../run/gather.ts";

/** Takes over the console. */
export function captureConsole(send: GatherOptions["send"], origin: () => Origin): Gatherer {
  const gatherer = gatherWrites({
    send,
    origin,
    // A worker can wait by being busy only.
    wait(time) {
      const end = performance.now() + time;
      while (performance.now() < end);
    },
  });
  let indent = "";
  const line =
    (name: StreamName) =>
    (...values: unknown[]) =>
      gatherer.write(name, `${format(...values)}\n`.replace(/^(?=.)/gm, indent));
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
  return gatherer;
}
