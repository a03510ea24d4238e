// What a student's processes keep on this machine's disk: a sandbox can fill it for everybody else.
import { lstatSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";

/** What a file takes at least, its name included. */
const smallest = 4096;
const mostFiles = 50_000;

/** Bytes of the files in a folder, near enough; Infinity where there are more than anybody needs. */
export function diskUse(folder: string): number {
  const waiting = [folder];
  let [bytes, files] = [0, 0];
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    for (const name of attempt(() => readdirSync(place!)) ?? []) {
      if (++files > mostFiles) return Infinity;
      const path = join(place, name);
      const stat = attempt(() => lstatSync(path));
      if (stat?.isDirectory()) waiting.push(path);
      bytes += Math.max(smallest, (stat?.blocks ?? 0) * 512);
    }
  }
  return bytes;
}

/** Bytes of the files that processes keep open and that have no name: removed ones, and those in memory. */
export function unnamedSize(pids: number[]): number {
  const seen = new Map<string, number>();
  for (const pid of pids) {
    for (const fd of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const path = `/proc/${pid}/fd/${fd}`;
      if (!attempt(() => readlinkSync(path))?.endsWith(" (deleted)")) continue;
      const stat = attempt(() => statSync(path));
      if (stat?.isFile()) seen.set(`${stat.dev}:${stat.ino}`, stat.blocks * 512);
    }
  }
  let bytes = 0;
  for (const size of seen.values()) bytes += size;
  return bytes;
}

/** What a process does meanwhile, such as removing a file, is no trouble. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
