// What the kernel uses of the machine: `usage_request`, which JupyterLab's panels of memory and processor ask.
import { readdirSync, readFileSync } from "node:fs";
import { cpus, freemem, hostname, totalmem } from "node:os";
import type { ReplyContent } from "../protocol/reference.ts";

/** Processor time in ms, and when it was read. */
interface Reading {
  at: number;
  kernel: number;
  busy: number;
  whole: number;
}

export class Usage {
  #last = read();

  /** Percentages are since the last question; of the kernel's, 100 is one processor. */
  report(): ReplyContent<"usage_reply"> {
    const before = this.#last;
    const now = (this.#last = read());
    const time = Math.max(1, now.at - before.at);
    const total = totalmem();
    const available = availableMemory();
    return {
      hostname: hostname(),
      pid: process.pid,
      kernel_cpu: rounded((100 * (now.kernel - before.kernel)) / time),
      kernel_memory: memory(process.pid),
      cpu_count: cpus().length,
      host_cpu_percent: rounded((100 * (now.busy - before.busy)) / Math.max(1, now.whole - before.whole)),
      host_virtual_memory: {
        total,
        available,
        used: total - available,
        free: freemem(),
        percent: rounded((100 * (total - available)) / total),
      },
    };
  }
}

function rounded(percent: number): number {
  return Math.max(0, Math.round(10 * percent) / 10);
}

function read(): Reading {
  let busy = 0;
  let whole = 0;
  for (const { times } of cpus()) {
    const all = times.user + times.nice + times.sys + times.idle + times.irq;
    whole += all;
    busy += all - times.idle;
  }
  const { user, system } = process.cpuUsage();
  return { at: performance.now(), kernel: (user + system) / 1000, busy, whole };
}

/** Resident bytes of a process and of all that it has started (TypeScript's server); of the process alone off Linux. */
function memory(pid: number): number {
  try {
    const pages = Number(readFileSync(`/proc/${pid}/statm`, "utf8").split(" ")[1]);
    let bytes = pages * 4096;
    for (const child of childrenOf(pid)) bytes += memory(child);
    return bytes;
  } catch {
    return pid === process.pid ? process.memoryUsage.rss() : 0; // It has ended, or there is no /proc.
  }
}

/** The processes that any thread of a process has started, where /proc tells. */
export function childrenOf(pid: number, threads = readdirSync(`/proc/${pid}/task`)): number[] {
  return threads.flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}

function availableMemory(): number {
  try {
    const found = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"));
    if (found) return Number(found[1]) * 1024;
  } catch {
    // Not Linux.
  }
  return freemem();
}
