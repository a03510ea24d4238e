import { readFileSync } from "node:fs";

/** Resident memory of a process in KiB; NaN where nobody tells: Linux alone does, of a process that is still there. */
export function residentMemory(pid: number | string | undefined): number {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]);
  } catch {
    return Number.NaN;
  }
}
