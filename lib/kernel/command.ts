// `slimlab kernel install` and `slimlab kernel uninstall`: tell Jupyter of the kernel. Jupyter need not be there.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, rm, rmdir } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { installLabextension, uninstallLabextension } from "../labextension/index.ts";
import { writeFileAtomic } from "../util/files.ts";
import { jupyterDataFolder } from "./folders.ts";
import { iconPng, iconSvg } from "./icon.ts";

const help = `Usage: slimlab kernel install [--user | --sys-prefix | --prefix DIR] [OPTION]...
       slimlab kernel uninstall [--user | --sys-prefix | --prefix DIR] [--name NAME]

Writes, or removes, the kernelspecs that Jupyter reads, "TypeScript (slimlab)" and "JavaScript (slimlab)", and the
viewer that draws Plotly charts in JupyterLab 4 and Notebook 7 without the internet.

  --user            for this user, in Jupyter's data folder (default)
  --sys-prefix      in the Python environment that is active
  --prefix DIR      in DIR/share/jupyter
  --name NAME       the kernelspec's name (default slimlab; JavaScript's is NAME-javascript)
  --check MODE      what a type error does: error stops the cell (default), warning shows it, off ignores it
  --no-javascript   TypeScript only`;

interface Kernelspec {
  argv: string[];
  display_name: string;
  language: string;
  interrupt_mode: "message" | "signal";
  metadata: Record<string, unknown>;
}

/** Whether the kernel answers `debug_request`: Jupyter shows its debugger for kernels that say so. */
export const hasDebugger = true;

/** What Jupyter reads in kernel.json. */
export function kernelspec(options: { javascript?: boolean; check?: string } = {}): Kernelspec {
  const args = ["--connection-file", "{connection_file}"];
  if (options.javascript) args.push("--javascript");
  else if (options.check && options.check !== "error") args.push(`--check=${options.check}`);
  return {
    argv: [process.execPath, fileURLToPath(new URL("./main.cjs", import.meta.url)), ...args],
    display_name: options.javascript ? "JavaScript (slimlab)" : "TypeScript (slimlab)",
    language: options.javascript ? "javascript" : "typescript",
    interrupt_mode: "message",
    metadata: { debugger: hasDebugger },
  };
}

/**
 * Writes the kernelspecs, and the viewer that draws our charts in JupyterLab, into a Jupyter data folder; returns the
 * kernelspecs' folders.
 *
 * @param folder Jupyter's data folder: `~/.local/share/jupyter`, `PREFIX/share/jupyter`
 */
export async function installKernel(
  folder: string,
  options: { name?: string; check?: string; javascript?: boolean } = {},
): Promise<string[]> {
  const name = options.name ?? "slimlab";
  const specs: [string, Kernelspec][] = [[name, kernelspec({ check: options.check })]];
  if (options.javascript !== false) specs.push([`${name}-javascript`, kernelspec({ javascript: true })]);
  const written: string[] = [];
  for (const [id, spec] of specs) {
    const target = join(folder, "kernels", id);
    await writeFileAtomic(join(target, "logo-svg.svg"), iconSvg());
    for (const size of [32, 64])
      await writeFileAtomic(join(target, `logo-${size}x${size}.png`), iconPng(size));
    // Last, for with it Jupyter begins to offer the kernel.
    await writeFileAtomic(join(target, "kernel.json"), `${JSON.stringify(spec, null, 2)}\n`);
    written.push(target);
  }
  await installLabextension(folder);
  return written;
}

/** Removes what `installKernel` wrote; returns the folders that are gone. Another kernel's folder is left alone. */
export async function uninstallKernel(folder: string, options: { name?: string } = {}): Promise<string[]> {
  const name = options.name ?? "slimlab";
  const removed: string[] = [];
  for (const id of [name, `${name}-javascript`]) {
    const target = join(folder, "kernels", id);
    const file = join(target, "kernel.json");
    if (!existsSync(file)) continue;
    const spec = JSON.parse(await readFile(file, "utf8")) as Partial<Kernelspec>;
    if (!spec.argv?.some(isOurs)) {
      throw new Error(`${target} is not a slimlab kernel: it is left as it is`);
    }
    await rm(target, { recursive: true });
    removed.push(target);
  }
  // Kernelspecs of other names show the same charts: the last one takes the viewer along.
  if (!(await hasKernels(folder))) await uninstallLabextension(folder);
  await rmdir(join(folder, "kernels")).catch(() => {}); // Other kernels are in it, or it was not there.
  return removed;
}

/** Whether a Jupyter data folder has kernelspecs that `installKernel` wrote. */
async function hasKernels(folder: string): Promise<boolean> {
  for (const id of await readdir(join(folder, "kernels")).catch(() => [])) {
    // Another's kernelspec may be anything, and need not be ours to understand.
    const text = await readFile(join(folder, "kernels", id, "kernel.json"), "utf8").catch(() => "");
    if (/[\\/]kernel[\\/]main\.c?js"/.test(text)) return true;
  }
  return false;
}

function isOurs(argument: string): boolean {
  return /[\\/]kernel[\\/]main\.c?js$/.test(argument);
}

/** The active Python environment's folder, as Python's `sys.prefix` would say. */
function systemPrefix(): string {
  const active = process.env.VIRTUAL_ENV || process.env.CONDA_PREFIX;
  if (active) return active;
  for (const python of ["python3", "python"]) {
    const { stdout, status } = spawnSync(python, ["-c", "import sys; print(sys.prefix)"], {
      encoding: "utf8",
    });
    if (status === 0 && stdout.trim()) return stdout.trim();
  }
  throw new Error("--sys-prefix needs a Python environment: none is active, and there is no python3 to ask");
}

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      user: { type: "boolean" },
      "sys-prefix": { type: "boolean" },
      prefix: { type: "string" },
      name: { type: "string" },
      check: { type: "string" },
      "no-javascript": { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  const [action, ...rest] = positionals;
  if (values.help) {
    console.log(help);
    return 0;
  }
  if ((action !== "install" && action !== "uninstall") || rest.length > 0) {
    console.error(help);
    return 2;
  }
  const { user, prefix, name, check } = values;
  if ([user, values["sys-prefix"], prefix !== undefined].filter(Boolean).length > 1) {
    throw new Error("--user, --sys-prefix and --prefix exclude each other");
  }
  if (name !== undefined && !/^[a-z0-9._-]+$/i.test(name)) {
    throw new Error(`--name must be letters, digits, ".", "_" and "-", got ${JSON.stringify(name)}`);
  }
  if (check !== undefined && !["error", "warning", "off"].includes(check)) {
    throw new Error(`--check must be error, warning or off, got ${JSON.stringify(check)}`);
  }
  const root = values["sys-prefix"] ? systemPrefix() : prefix;
  const folder = root === undefined ? jupyterDataFolder() : join(root, "share", "jupyter");
  const shown = (path: string) => path.replace(homedir(), "~");
  if (action === "install") {
    const written = await installKernel(folder, { name, check, javascript: !values["no-javascript"] });
    for (const target of written) console.log(`installed ${shown(target)}`);
  } else {
    const removed = await uninstallKernel(folder, { name });
    for (const target of removed) console.log(`removed ${shown(target)}`);
    if (removed.length === 0) console.log(`nothing to remove in ${shown(join(folder, "kernels"))}`);
  }
  return 0;
}
