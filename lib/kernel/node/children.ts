// The processes that cells have started: an interrupt is theirs too, as it is in a terminal. A cell that waits for one in
// execSync cannot end before it has.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { childrenOf } from "./usage.ts";

/** What the kernel itself runs: esbuild (for tsx, on the main thread), and TypeScript's server. */
const own = /esbuild.*--service=|--lsp/s;

/** Sends SIGINT to the children of the main thread, and to those that come until the returned function is called. */
export function interruptChildren(): () => void {
  // Once each: the second signal means something else to many programs.
  const told = new Set<number>();
  const tell = () => {
    for (const pid of children()) {
      if (told.has(pid)) continue;
      told.add(pid);
      try {
        process.kill(pid, "SIGINT");
      } catch {
        // It has ended.
      }
    }
  };
  tell();
  const timer = setInterval(tell, 200);
  return () => clearInterval(timer);
}

function children(): number[] {
  const { pid, platform } = process;
  try {
    // The server's thread has children, too, and they are the kernel's.
    if (platform === "linux") {
      return childrenOf(pid, [String(pid)])
        .filter((child) => !own.test(readFileSync(`/proc/${child}/cmdline`, "latin1")))
        .flatMap(withDescendants);
    }
    if (platform === "win32") return []; // There is no such signal.
    const lines = execFileSync("ps", ["-axo", "pid=,ppid=,command="], { encoding: "utf8" }).split("\n");
    return lines
      .map((line) => line.trim().split(/\s+/))
      .filter(([id, parent, ...command]) => {
        const line = command.join(" ");
        return Number(parent) === pid && id && !own.test(line) && !/^ps -axo/.test(line);
      })
      .map(([id]) => Number(id));
  } catch {
    return []; // There is no way to know.
  }
}

/** A shell waits for what it has started, and a terminal signals both. */
function withDescendants(pid: number): number[] {
  try {
    return [pid, ...childrenOf(pid).flatMap(withDescendants)];
  } catch {
    return []; // It has ended.
  }
}
