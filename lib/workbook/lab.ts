// `slimlab lab`: JupyterLab with our kernel in a virtual environment of its own, opened on the notebooks.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { installKernel } from "../kernel/command.ts";
import { checkInteger } from "../util/check.ts";
import { packageRoot, writeFileAtomic } from "../util/files.ts";
import { makeVenv, venvProgram } from "./venv.ts";

const help = `Usage: slimlab lab [OPTION]... [-- JUPYTER_ARGUMENT...]

Makes a Python environment with JupyterLab and Notebook (the first time only: about a minute, 260 MB), installs the
slimlab kernel and its chart viewer there, and opens the notebooks in JupyterLab.

  --no-open      print the address and open no browser
  --port NUMBER  listen there; without it, on the first free port from 8888
  --setup        prepare everything and start nothing

SLIMLAB_PYTHON names the Python to use (3.10 or newer), SLIMLAB_VENV the environment's folder.`;

/** The requirements file of what the Lab's environment holds. */
export const labRequirements: string = join(packageRoot, "lib", "workbook", "jupyter", "requirements.txt");

/** The folder of the Lab's environment: in the repository, or in the user's cache for an installed package. */
export function labVenv(): string {
  if (process.env.SLIMLAB_VENV) return process.env.SLIMLAB_VENV;
  if (existsSync(join(packageRoot, ".git"))) return join(packageRoot, ".venv");
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "slimlab", "venv");
}

/** Brings the Lab's environment up to date, our kernel and chart viewer included; returns its folder. */
export async function prepareLab(): Promise<string> {
  const venv = labVenv();
  await makeVenv(venv, [labRequirements]);
  await installKernel(join(venv, "share", "jupyter"));
  // The Lab would otherwise ask every new reader about news, and look for updates on the internet.
  await writeFileAtomic(
    join(venv, "share", "jupyter", "lab", "settings", "overrides.json"),
    JSON.stringify({
      "@jupyterlab/apputils-extension:notification": { checkForUpdates: false, fetchNews: "false" },
    }),
  );
  return venv;
}

export async function run(args: string[]): Promise<number> {
  const split = args.indexOf("--");
  const passed = split < 0 ? [] : args.slice(split + 1);
  const { values } = parseArgs({
    args: split < 0 ? args : args.slice(0, split),
    options: {
      help: { type: "boolean", short: "h" },
      "no-open": { type: "boolean" },
      port: { type: "string" },
      setup: { type: "boolean" },
    },
  });
  if (values.help) {
    console.log(help);
    return 0;
  }
  const port = values.port === undefined ? undefined : checkInteger("port", Number(values.port), 1, 65535);
  const venv = await prepareLab();
  if (values.setup) {
    console.log(`JupyterLab is ready in ${venv}`);
    return 0;
  }
  return await startLab(venv, [
    `--ServerApp.root_dir=${packageRoot}`,
    "--LabApp.default_url=/lab/tree/notebooks",
    ...(port === undefined ? [] : [`--ServerApp.port=${port}`, "--ServerApp.port_retries=0"]),
    ...(values["no-open"] ? ["--no-browser"] : []),
    ...(process.getuid?.() === 0 ? ["--allow-root"] : []),
    ...passed,
  ]);
}

/** Runs JupyterLab until it ends; its exit code is ours. */
function startLab(venv: string, args: string[]): Promise<number> {
  const lab = spawn(venvProgram(venv, "jupyter-lab"), args, { stdio: "inherit" });
  // The terminal sends Ctrl-C to both; Jupyter asks whether it is meant, so only Jupyter decides.
  process.on("SIGINT", () => {});
  process.on("SIGTERM", () => lab.kill("SIGTERM"));
  return new Promise((done, fail) => {
    lab.on("error", fail);
    lab.on("exit", (code) => done(code ?? 1));
  });
}
