// Temporary folders that say whose they are, so that what a killed process has left can go with the next one of its kind.
import { createHash } from "node:crypto";
import { readlinkSync, realpathSync } from "node:fs";
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

/** A socket's path fits into 107 bytes, on macOS into 103: so much of it may be the folder. */
export const longestSocketFolder = 90;
/** What {@link ownPrefix}, `mkdtemp` and a folder in it add to the path. */
const added = 40;

/**
 * The temporary folder for what has sockets: where its path is too long (macOS's own is, and a job's on a cluster), `/tmp`.
 */
export function topForSockets(): string {
  const top = realpathSync(tmpdir());
  const fits = Buffer.byteLength(top) + added <= longestSocketFolder;
  return fits || process.platform === "win32" ? top : realpathSync("/tmp");
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
  let tops: string[] = [];
  try {
    tops = [...new Set([realpathSync(tmpdir()), topForSockets()])];
  } catch {} // Where there is no temporary folder, nothing was left in it.
  return (await Promise.all(tops.map((top) => leftOverIn(top, kind)))).flat();
}

async function leftOverIn(top: string, kind: string): Promise<string[]> {
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
