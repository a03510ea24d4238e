// `slimlab lab`: JupyterLab with our kernel, opened on the notebooks.
import { spawn } from "node:child_process";
import { parseArgs } from "node:util";
import { prepareLab } from "../install/lab.ts";
import { venvProgram } from "../install/venv.ts";
import { checkInteger } from "../util/check.ts";
import { packageRoot } from "../util/files.ts";

const help = `Usage: slimlab lab [OPTION]... [-- JUPYTER_ARGUMENT...]

Makes a Python environment with JupyterLab and Notebook (the first time only: about a minute, 260 MB), installs the
slimlab kernel and its chart viewer there, and opens the notebooks in JupyterLab.

  --no-open      print the address and open no browser
  --port NUMBER  listen there; without it, on the first free port from 8888
  --setup        prepare everything and start nothing

SLIMLAB_PYTHON names the Python to use (3.10 or newer), SLIMLAB_VENV the environment's folder.`;

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
