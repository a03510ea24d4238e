// The kernelspecs by which Jupyter finds the kernel: written and removed. Jupyter need not be there.
import { existsSync } from "node:fs";
import { readdir, readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeFileAtomic } from "../util/files.ts";
import { iconPng, iconSvg } from "./icon.ts";
import { installLabextension, uninstallLabextension } from "./labextension/index.ts";

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
    argv: [process.execPath, fileURLToPath(new URL("../kernel/node/main.cjs", import.meta.url)), ...args],
    display_name: options.javascript ? "JavaScript (slimlab)" : "TypeScript (slimlab)",
    language: options.javascript ? "javascript" : "typescript",
    interrupt_mode: "message",
    metadata: { debugger: hasDebugger, supported_encryption: ["curve"] },
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
    if (/[\\/]kernel[\\/](node[\\/])?main\.c?js"/.test(text)) return true;
  }
  return false;
}

function isOurs(argument: string): boolean {
  return /[\\/]kernel[\\/](node[\\/])?main\.c?js$/.test(argument);
}
