// What is left of Node's `process` in a browser: a place for settings, text, and the end of a cell.
import type { StreamName } from "../run/gather.ts";

export function pageProcess(
  exit: (code: unknown) => never,
  write: (name: StreamName, text: string) => void,
): object {
  const output = (name: StreamName) => ({ write: (text: string) => write(name, text) });
  // Events of a process never come; that nobody listens is all there is to say.
  const deaf = () => undefined;
  return {
    env: {},
    argv: [],
    platform: "browser",
    versions: {},
    exit: (code: unknown = 0) => exit(code),
    cwd: () => "/home",
    stdout: output("stdout"),
    stderr: output("stderr"),
    on: deaf,
    once: deaf,
    off: deaf,
    listeners: () => [],
  };
}
