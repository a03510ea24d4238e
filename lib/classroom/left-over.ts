// What a grader that was killed has left: students' processes, where no sandbox took them along, and temporary folders.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { kernelPrefix } from "../kernel/client.ts";
import { leftOver, sweep } from "../util/temporary.ts";
import { sandboxPrefix } from "./sandbox.ts";

/** Ends such processes and removes such folders; containers go when an engine is asked whether it works. */
export async function sweepGraders(): Promise<void> {
  for (const folder of await leftOver(sandboxPrefix)) endProcessesOf(folder);
  await sweep(sandboxPrefix);
  await sweep(kernelPrefix);
}

/** Ends the processes that run in a folder, or that have it as their home; where there is no /proc, none are found. */
function endProcessesOf(folder: string): void {
  let names: string[] = [];
  try {
    names = readdirSync("/proc");
  } catch {
    return;
  }
  for (const name of names) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const isIn = (path: string) => path === folder || path.startsWith(`${folder}/`);
      const home = /(?:^|\0)HOME=([^\0]*)/.exec(readFileSync(`/proc/${pid}/environ`, "utf8"))?.[1] ?? "";
      if (isIn(home) || isIn(readlinkSync(`/proc/${pid}/cwd`))) process.kill(pid, "SIGKILL");
    } catch {
      // It has ended, or is another user's.
    }
  }
}
