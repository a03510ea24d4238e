// Limits of memory and processes by the system's control groups, through systemd-run where systemd runs the machine.
import { spawnSync } from "node:child_process";
import type { Limits, State } from "./isolation.ts";

/** Beyond this the watch, which says what was too much, has had its chance. */
const reserve = 1.25;
/** Threads that a process of Node may have: what the system counts is threads. */
const threadsEach = 16;

let state: State | undefined;

/** Whether systemd limits processes here. Asked once. */
export function scopeState(): State {
  if (state) return state;
  if (process.platform !== "linux") {
    state = { works: false, reason: "systemd is for Linux" };
    return state;
  }
  const [program, ...args] = scopeArguments({ memory: 256, processes: 4 });
  const tried = spawnSync(program, [...args, "true"], { encoding: "utf8", timeout: 20_000 });
  const said = tried.stderr || tried.error?.message || "";
  state =
    tried.status === 0
      ? { works: true, reason: "" }
      : { works: false, reason: said.trim().split("\n")[0] || "systemd-run does not work here" };
  return state;
}

/** What stands before a command line to put it into a control group of its own; its process stays the same. */
export function scopeArguments({ memory = 4096, processes = 64 }: Limits): string[] {
  const user = process.getuid?.() === 0 ? [] : ["--user"];
  return [
    "systemd-run",
    ...user,
    "--scope",
    "--quiet",
    "--collect",
    ...["-p", `MemoryMax=${Math.ceil(memory * reserve)}M`, "-p", "MemorySwapMax=0"],
    ...["-p", `TasksMax=${processes * threadsEach}`],
    "--",
  ];
}
