// Other people's implementations run in the Python environment that `.ci/run` makes and fills.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { packageRoot } from "../lib/util/files.ts";

/** The interpreter of the environment: SLIMLAB_VENV, or `.venv` in the repository. */
export function venvPython(): string {
  const folder = process.env.SLIMLAB_VENV ?? join(packageRoot, ".venv");
  return join(folder, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");
}

/**
 * Which of these modules an interpreter does not find. They are not imported, which takes seconds for some: one that is
 * broken fails where it is used, and says how.
 */
export function lackingIn(python: string, modules: readonly string[]): string[] {
  const script = `import sys
from importlib.util import find_spec
print(*[name for name in sys.argv[1:] if find_spec(name) is None])`;
  const { status, stdout } = spawnSync(python, ["-c", script, ...modules], { encoding: "utf8" });
  return status === 0 ? stdout.split(/\s+/).filter(Boolean) : [...modules];
}

/**
 * That interpreter, if it has these modules; where one is missing undefined, with a line that says how to get it, and
 * under CI an error.
 *
 * @param requirements the file that names them, below the repository
 */
export function pythonWith(requirements: string, ...modules: string[]): string | undefined {
  const python = venvPython();
  const missing = lackingIn(python, modules);
  if (missing.length === 0) return python;
  const problem = `Python's ${missing.join(", ")}: ${python} -m pip install -r ${requirements}`;
  if (process.env.CI) throw new Error(`CI must have ${problem}`);
  console.log(`      missing: ${problem}`);
  return undefined;
}
