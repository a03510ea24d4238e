// Temporary folders that say whose they are, so that what a killed process has left can go with the next one of its kind.
import { createHash } from "node:crypto";
import { readlinkSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive } from "./process.ts";

/** Where process ids mean the same: this machine, and on Linux this container. */
function place(): string {
  let space = "";
  try {
    space = readlinkSync("/proc/self/ns/pid");
  } catch {
    // No Linux: there is one.
  }
  return createHash("sha256").update(`${hostname()} ${space}`).digest("hex").slice(0, 8);
}

/** The beginning of a temporary folder's path that names this process, for `mkdtemp`. */
export function ownPrefix(kind: string, top: string = tmpdir()): string {
  return join(top, `${kind}${process.pid}-${place()}-`);
}

/**
 * What processes that were killed have left in the temporary folder.
 *
 * @param kind what their folders' names begin with
 */
export async function leftOver(kind: string): Promise<string[]> {
  const top = tmpdir();
  const here = place();
  const found: string[] = [];
  for (const name of await readdir(top).catch(() => [])) {
    const pid = name.startsWith(kind) ? Number.parseInt(name.slice(kind.length), 10) : 0;
    if (!pid || isAlive(pid)) continue;
    const path = join(top, name);
    try {
      // Its process may run where this one cannot see it (another container): after a day it does not.
      const isOurs = name.startsWith(`${kind}${pid}-${here}-`);
      if (!isOurs && Date.now() - (await stat(path)).mtimeMs <= 86_400_000) continue;
      found.push(path);
    } catch {} // It has just gone.
  }
  return found;
}

/** Removes what {@link leftOver} finds. */
export async function sweep(kind: string): Promise<void> {
  for (const path of await leftOver(kind)) await rm(path, { recursive: true, force: true }).catch(() => {});
}
