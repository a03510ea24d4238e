// The temporary folder of a language service, where the modules of cells are files, and what killed kernels have left of
// theirs.
import { createHash } from "node:crypto";
import { mkdtempSync, readlinkSync, realpathSync, rmSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";

const homePrefix = "slimlab-types-";

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

/** A folder that goes when it is told to, or with the process. */
export class Home {
  readonly path: string;
  readonly #remove = (): void => rmSync(this.path, { recursive: true, force: true });

  constructor() {
    this.path = realpathSync(mkdtempSync(join(tmpdir(), `${homePrefix}${process.pid}-${place()}-`)));
    process.once("exit", this.#remove);
  }

  remove(): void {
    process.removeListener("exit", this.#remove);
    this.#remove();
  }
}

/** Removes what kernels that were killed have left in the temporary folder. */
export async function sweep(): Promise<void> {
  const top = tmpdir();
  const here = place();
  for (const name of await readdir(top).catch(() => [])) {
    const pid = name.startsWith(homePrefix) ? Number.parseInt(name.slice(homePrefix.length), 10) : 0;
    if (!pid || runs(pid)) continue;
    const path = join(top, name);
    try {
      if (name.startsWith(`${homePrefix}${pid}-${here}-`)) {
        await rm(path, { recursive: true, force: true });
        continue;
      }
      // Its kernel may run where this process cannot see it (another container): after a day it does not.
      const { mtimeMs } = await stat(path);
      if (Date.now() - mtimeMs > 86_400_000) await rm(path, { recursive: true, force: true });
    } catch {}
  }
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
