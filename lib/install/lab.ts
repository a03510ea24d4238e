// JupyterLab with our kernel in a virtual environment of its own: prepared, or brought up to date.
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { keepCodeOnce } from "../kernel/node/keep.ts";
import { packageRoot, writeFileAtomic } from "../util/files.ts";
import { jupyterhubConfig } from "./jupyterhub.ts";
import { installKernel } from "./kernelspec.ts";
import { nbgraderConfig } from "./nbgrader.ts";
import { makeVenv } from "./venv.ts";

/** The requirements file of what the Lab's environment holds. */
export const labRequirements: string = join(packageRoot, "lib", "install", "jupyter", "requirements.txt");

/** The folder of the Lab's environment: in the repository, or in the user's cache for an installed package. */
export function labVenv(): string {
  if (process.env.SLIMLAB_VENV) return process.env.SLIMLAB_VENV;
  if (existsSync(join(packageRoot, ".git"))) return join(packageRoot, ".venv");
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "slimlab", "venv");
}

/** Brings the Python packages of the Lab's environment up to date; returns its folder. */
export async function prepareVenv(): Promise<string> {
  const venv = labVenv();
  await makeVenv(venv, [labRequirements]);
  return venv;
}

/** Brings the Lab's environment up to date, our kernel and chart viewer included; returns its folder. */
export async function prepareLab(): Promise<string> {
  const venv = await prepareVenv();
  await installKernel(join(venv, "share", "jupyter"));
  await keepCodeOnce();
  // The Lab would otherwise ask every new reader about news, and look for updates on the internet.
  await writeFileAtomic(
    join(venv, "share", "jupyter", "lab", "settings", "overrides.json"),
    JSON.stringify({
      "@jupyterlab/apputils-extension:notification": { checkForUpdates: false, fetchNews: "false" },
    }),
  );
  // For who adds nbgrader to the environment (pip install nbgrader).
  await writeFileAtomic(join(venv, "etc", "jupyter", "nbgrader_config.py"), nbgraderConfig());
  // And for who adds jupyterhub.
  await writeFileAtomic(join(venv, "etc", "jupyterhub", "jupyterhub_config.py"), jupyterhubConfig(venv));
  return venv;
}
