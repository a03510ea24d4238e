// `slimlab kernel install` and `slimlab kernel uninstall`: tell Jupyter of the kernel.
import { spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installKernel, uninstallKernel } from "../install/kernelspec.ts";
import { keepCodeOnce } from "../kernel/node/keep.ts";
import { jupyterDataFolder } from "../util/folders.ts";

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
    await keepCodeOnce();
  } else {
    const removed = await uninstallKernel(folder, { name });
    for (const target of removed) console.log(`removed ${shown(target)}`);
    if (removed.length === 0) console.log(`nothing to remove in ${shown(join(folder, "kernels"))}`);
  }
  return 0;
}
