// A Python virtual environment of our own: made, brought up to date, or mended, with what it takes said plainly.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { writeFileAtomic } from "../util/files.ts";
import { progress } from "../util/progress.ts";

const windows = process.platform === "win32";
/** Written first: says that the folder is ours to remove. */
const ours = "slimlab-venv";
/** Written last: the fingerprint of what is installed. */
const complete = "slimlab-complete";

/** The path of a program inside a virtual environment. */
export function venvProgram(venv: string, name: string): string {
  return windows ? join(venv, "Scripts", `${name}.exe`) : join(venv, "bin", name);
}

/** Whether `venv` has all that the requirements files ask for, and its Python runs. */
export async function venvIsReady(venv: string, requirements: readonly string[]): Promise<boolean> {
  const stamp = await readFile(join(venv, complete), "utf8").catch(() => "");
  // A stamp may outlive its Python: an upgrade of the system's Python leaves links to nothing.
  return stamp.trim() === (await fingerprint(requirements)) && runs(venvProgram(venv, "python"));
}

/**
 * Makes the virtual environment `venv` with what the requirements files ask for. One that is complete is left alone, one
 * that is out of date is brought up to date, and one that was left half-made is made anew.
 *
 * @param venv its folder; a folder that was not made here is never touched
 * @param requirements pip requirements files
 * @throws Error when Python, its venv module or pip is missing or fails: the message says what to do
 */
export async function makeVenv(venv: string, requirements: readonly string[]): Promise<void> {
  if (await venvIsReady(venv, requirements)) return;
  if (existsSync(venv) && !existsSync(join(venv, ours))) {
    throw new Error(
      `${venv} was made by something else, so it stays as it is: move it away, or name another folder in SLIMLAB_VENV`,
    );
  }
  const usable = existsSync(join(venv, complete)) && runs(venvProgram(venv, "python"));
  if (!usable) {
    const python = findPython();
    await rm(venv, { recursive: true, force: true });
    await mkdir(venv, { recursive: true });
    await writeFile(join(venv, ours), "Made by slimlab; safe to delete.\n");
    // JupyterLab runs CommonJS scripts of its own with Node, and this package would have them read as ES modules.
    await writeFile(join(venv, "package.json"), '{ "private": true, "type": "commonjs" }\n');
    console.error(`Making a Python environment in ${venv} …`);
    await must(python, ["-m", "venv", venv]);
  }
  await rm(join(venv, complete), { force: true });
  await pipInstall(venv, requirements);
  await writeFileAtomic(join(venv, complete), await fingerprint(requirements));
}

/** The Python to make environments with: SLIMLAB_PYTHON, or the first that will do. */
export function findPython(): string {
  const chosen = process.env.SLIMLAB_PYTHON;
  const candidates = chosen ? [chosen] : windows ? ["python", "python3"] : ["python3", "python"];
  const complaints: string[] = [];
  for (const python of candidates) {
    const { error, status, stdout } = spawnSync(
      python,
      [
        "-c",
        'import sys; print("%d.%d" % sys.version_info[:2], int(sys.version_info >= (3, 10)))\n' +
          "try:\n import venv, ensurepip; print(1)\nexcept ImportError: print(0)",
      ],
      { encoding: "utf8" },
    );
    const [version, recent, venv] = (stdout ?? "").split(/\s+/);
    if (error) complaints.push(`${python} is not there`);
    else if (status !== 0 || !version) complaints.push(`${python} does not run`);
    else if (recent !== "1")
      complaints.push(`${python} is Python ${version}, and JupyterLab needs 3.10 or newer`);
    else if (venv !== "1") {
      complaints.push(`${python} lacks the venv module (on Debian or Ubuntu: apt install python3-venv)`);
    } else return python;
  }
  throw new Error(
    `JupyterLab needs Python 3.10 or newer: ${complaints.join("; ")}. Install it from your system's packages or ` +
      "python.org, or name one in SLIMLAB_PYTHON.",
  );
}

async function pipInstall(venv: string, requirements: readonly string[]): Promise<void> {
  const python = venvProgram(venv, "python");
  const wanted = requirements.flatMap((file) => ["-r", resolve(file)]);
  const pip = spawn(
    python,
    ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", ...wanted],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  // About 100 packages come with JupyterLab; pip names each as it meets it.
  const bar = progress("Installing JupyterLab", 100);
  let done = 0;
  const said: string[] = [];
  const listen = (line: string) => {
    said.push(line);
    const name = /^(?:Collecting|Requirement already satisfied:) ([\w.-]+)/.exec(line)?.[1];
    if (name) bar.update(Math.min(99, ++done), name);
    else if (line.startsWith("Installing collected")) bar.update(99, "unpacking");
  };
  createInterface(pip.stdout).on("line", listen);
  createInterface(pip.stderr).on("line", listen);
  const code = await exit(pip);
  bar.end(code === 0 ? "done" : "failed");
  if (code === 0) return;
  throw new Error(
    `pip could not install JupyterLab into ${venv}:\n${said.slice(-12).join("\n")}\n` +
      "Is the network there? PIP_INDEX_URL names another package index. Running this again takes up where it stopped.",
  );
}

async function must(program: string, args: string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  child.stderr.on("data", (data) => (said += data));
  const code = await exit(child);
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} failed:\n${said.trim().slice(-2000)}`);
}

function exit(child: ReturnType<typeof spawn>): Promise<number | null> {
  return new Promise((done, fail) => {
    child.on("error", fail);
    child.on("close", done);
  });
}

function runs(python: string): boolean {
  return spawnSync(python, ["-c", "import pip"], { stdio: "ignore" }).status === 0;
}

async function fingerprint(requirements: readonly string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const file of requirements) {
    const text = await readFile(file, "utf8");
    hash.update(text);
    for (const [, other] of text.matchAll(/^-[cr] (.+)$/gm)) {
      hash.update(await readFile(resolve(dirname(file), other.trim()), "utf8"));
    }
  }
  return hash.digest("hex");
}
