// The temporary folder of a language service, where the modules of cells are files, and what killed kernels have left of
// theirs.
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const homePrefix = "slimlab-types-";

/** A folder that goes when it is told to, or with the process. */
export class Home {
  readonly path: string;
  readonly #remove = (): void => rmSync(this.path, { recursive: true, force: true });

  constructor() {
    this.path = realpathSync(mkdtempSync(join(tmpdir(), `${homePrefix}${process.pid}-`)));
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
  for (const name of await readdir(top).catch(() => [])) {
    const pid = name.startsWith(homePrefix) ? Number.parseInt(name.slice(homePrefix.length), 10) : 0;
    if (!pid || runs(pid)) continue;
    const path = join(top, name);
    try {
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
