// The kernel's own log, which the Jupyter server shows: never a notebook.
import { writeSync } from "node:fs";

export function log(text: string): void {
  // Not through process.stderr: a worker's goes through the main thread, which may be busy.
  try {
    writeSync(2, `[slimlab] ${text}\n`);
  } catch {
    // Nobody listens.
  }
}
