// JupyterHub, as PyPI has it, by the configuration that `npm run lab` writes: two students of one machine, each with a folder,
// a kernel and a grade of his own.
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { readAssignment } from "../../lib/classroom/assignment.ts";
import { bubblewrapState } from "../../lib/classroom/bubblewrap.ts";
import { gradeClass } from "../../lib/classroom/class.ts";
import { studentEdition } from "../../lib/classroom/release.ts";
import { findSubmissions } from "../../lib/classroom/submissions.ts";
import { venvProgram } from "../../lib/install/venv.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { code, notebook, save } from "../chapters/notebooks.ts";
import { freePort, LabNotebook, menu, needBrowser, needLab, openPage, screenshot } from "./tools.ts";

const source = notebook(
  code('import { check, expectEqual } from "slimlab/classroom";'),
  code(`// BEGIN SOLUTION
// STUB: const double = (x: number): number => 0;
const double = (x: number): number => 2 * x;
// END SOLUTION
check("a", { "three": () => expectEqual(double(3), 6) })`),
);

/** Accounts that every Linux has: with root's rights, each student is a user of the system, as in a real class. */
const accounts = ["daemon", "games"] as const;

const idOf = (account: string) =>
  Number(spawnSync("id", ["-u", account], { encoding: "utf8" }).stdout.trim());

/**
 * Whether students can be users of their own: root may start their servers, and they can read what is installed. It is asked
 * for by SLIMLAB_HUB_ACCOUNTS=1, for whoever runs tests may not want them to act as other users.
 */
function areApart(venv: string): boolean {
  if (process.env.SLIMLAB_HUB_ACCOUNTS !== "1" || process.getuid?.() !== 0) return false;
  const [id] = accounts.map(idOf);
  const asStudent = { uid: id, gid: id, stdio: "ignore" } as const;
  const read = `require("fs").readFileSync(${JSON.stringify(join(packageRoot, "package.json"))})`;
  return [
    [process.execPath, "-e", read],
    [venvProgram(venv, "python"), "-c", "import jupyterhub"],
  ].every(([program, ...args]) => spawnSync(program, args, asStudent).status === 0);
}

const token = "a-token-of-the-tests-own";

class Hub {
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #log: string[] = [];

  private constructor(url: string, process: ChildProcess) {
    this.url = url;
    this.#process = process;
    for (const stream of [process.stdout!, process.stderr!])
      stream.on("data", (data) => this.#log.push(String(data)));
  }

  get log(): string {
    return this.#log.join("");
  }

  static async start(venv: string, folder: string, own: string): Promise<Hub> {
    const [port, hub, proxy] = [await freePort(), await freePort(), await freePort()];
    const config = join(folder, "jupyterhub_config.py");
    const ports = `c.JupyterHub.bind_url = "http://127.0.0.1:${port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:${hub}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:${proxy}"
`;
    await save(
      config,
      `load_subconfig(${JSON.stringify(join(venv, "etc/jupyterhub/jupyterhub_config.py"))})\n${ports}${own}`,
    );
    const child = spawn(venvProgram(venv, "jupyterhub"), ["-f", config], {
      cwd: folder,
      env: { ...process.env, SLIMLAB_COURSE: join(folder, "course") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const started = new Hub(`http://127.0.0.1:${port}`, child);
    for (let i = 0; i < 600; i++) {
      if (child.exitCode !== null) throw new Error(`jupyterhub ended:\n${started.log}`);
      const answer = await fetch(`${started.url}/hub/health`).catch(() => undefined);
      if (answer?.ok) return started;
      await new Promise((done) => setTimeout(done, 100));
    }
    await started.stop();
    throw new Error(`jupyterhub did not answer in 60 s:\n${started.log}`);
  }

  /** Ends a student's server and starts it anew. */
  async restart(student: string): Promise<void> {
    const path = `/users/${student}/server`;
    await this.#api("DELETE", path);
    await this.#until(student, false);
    await this.#api("POST", path);
    await this.#until(student, true);
  }

  async #api(method: string, path: string): Promise<{ servers?: Record<string, { ready: boolean }> }> {
    const answer = await fetch(`${this.url}/hub/api${path}`, {
      method,
      headers: { Authorization: `token ${token}` },
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : {};
  }

  async #until(student: string, running: boolean): Promise<void> {
    for (let i = 0; i < 600; i++) {
      const { servers = {} } = await this.#api("GET", `/users/${student}`);
      if (running ? servers[""]?.ready : !servers[""]) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`${student}'s server did not ${running ? "start" : "end"}:\n${this.log.slice(-4000)}`);
  }

  /** Ends the hub, its proxy and its students' servers. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = new Promise((done) => this.#process.once("exit", done));
    this.#process.kill("SIGTERM");
    const hard = setTimeout(() => this.#process.kill("SIGKILL"), 20_000);
    await ended;
    clearTimeout(hard);
  }
}

describe("a class on JupyterHub", function () {
  this.timeout(300_000);
  let folder: string;
  let hub: Hub;
  let browser: Browser;
  let apart: boolean;

  before(async function () {
    const venv = await needLab(this, "jupyterhub");
    browser = await needBrowser(this);
    apart = areApart(venv);
    folder = await mkdtemp(join(tmpdir(), "slimlab-hub-"));
    // Others must find the way to their own folders.
    spawnSync("chmod", ["755", folder]);
    await mkdir(join(folder, "course"));
    await save(join(folder, "ps1.ipynb"), source);
    await save(join(folder, "course/handed-out/ps1.ipynb"), await studentEdition(source, "ps1.ipynb"));
    // Accounts of the system have no home to write to; and no window keeps cells out of the page.
    const folders = ["CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR", "LAB_SETTINGS_DIR", "LAB_WORKSPACES_DIR"];
    hub = await Hub.start(
      venv,
      folder,
      `c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "secret"
c.Authenticator.allowed_users = ${JSON.stringify(accounts.slice(0, 2))}
c.JupyterHub.services = [{"name": "test", "api_token": "${token}", "admin": True}]
c.JupyterHub.load_roles = [{"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers"]}]
c.JupyterHub.spawner_class = "${apart ? "jupyterhub.spawner.LocalProcessSpawner" : "simple"}"
c.Spawner.args += ${JSON.stringify(process.getuid?.() === 0 && !apart ? ["--allow-root"] : [])}
c.Spawner.environment.update({
    "JUPYTER" + ("_" + name).replace("_LAB_", "LAB_"): (lambda name: lambda spawner: c.Spawner.environment["SLIMLAB_STUDENT"](spawner) + "/.jupyter/" + name)(name)
    for name in ${JSON.stringify(folders)}
})
`,
    );
  });
  after(async () => {
    await browser?.close();
    await hub?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  async function open(student: string): Promise<LabNotebook> {
    const { page } = await openPage(browser);
    await page.goto(`${hub.url}/hub/login`);
    await page.getByLabel("Username").fill(student);
    await page.getByLabel("Password").fill("secret");
    await page.getByRole("button", { name: /sign in/i }).click();
    try {
      await page.waitForURL(/\/user\/.*\/lab/, { waitUntil: "domcontentloaded" });
    } catch (error) {
      await screenshot(page, "hub-failure");
      throw new Error(`no server for ${student}:\n${hub.log.slice(-4000)}`, { cause: error });
    }
    return LabNotebook.open(
      page,
      { url: `${hub.url}/user/${student}`, token: "", log: hub.log },
      "ps1.ipynb",
    );
  }

  it("gives each student his own copy and kernel, and a grade for what he leaves there", async () => {
    const [first, second] = accounts;
    const students = join(folder, "course/students");
    const ann = await open(first);
    await write(ann, 1, "const double = (x: number): number => x + x;");
    await runAll(ann);
    assert.match(await ann.output(2), /✓ a: solved/);
    await saveNotebook(ann);
    await screenshot(ann.page, "hub");

    const bob = await open(second);
    assert.doesNotMatch(await bob.cell(1).innerText(), /x \+ x/, "each has what was handed out, and no more");
    const theirs = join(students, first, "ps1.ipynb");
    await write(
      bob,
      1,
      `const double = (x: number): number => 0;
let read: string;
try { read = fs.readFileSync(${JSON.stringify(theirs)}, "utf8").slice(0, 9); } catch (error) { read = String((error as { code: string }).code); }
\`apart \${process.getuid!()} \${typeof (globalThis as any).seen} \${read}\``,
    );
    await runAll(bob);
    assert.match(await bob.output(2), /✗ a: not yet/);
    const said = await bob.output(1);
    if (apart)
      assert.equal(
        /apart (\d+) undefined EACCES/.exec(said)?.[1],
        String(idOf(second)),
        "another user of the system",
      );
    else assert.match(said, /apart \d+ undefined/);
    await saveNotebook(bob);

    const runtime = join(students, second, ".jupyter/RUNTIME_DIR");
    const [connection] = (await readdir(runtime)).filter((name) => /^kernel-.*\.json$/.test(name));
    const secrets = JSON.parse(await readFile(join(runtime, connection), "utf8"));
    assert.ok(
      Object.keys(secrets).some((key) => key.startsWith("curve")),
      `what kernels say is encrypted: ${Object.keys(secrets)}`,
    );

    const results = await gradeClass(
      await findSubmissions([students], { original: "ps1.ipynb" }),
      await readAssignment(join(folder, "ps1.ipynb")),
      { isolation: bubblewrapState().works ? "bubblewrap" : "none", jobs: 1 },
    );
    const points = Object.fromEntries(results.map(({ student, points }) => [student, points]));
    assert.deepEqual(points, { [first]: 1, [second]: 0 });
  });

  it("keeps a student's work when his server starts again", async () => {
    const [first] = accounts;
    const work = join(folder, "course/students", first, "ps1.ipynb");
    const before = await readFile(work, "utf8");
    await rm(join(folder, "course/handed-out/ps1.ipynb"));
    await save(join(folder, "course/handed-out/ps1.ipynb"), notebook(code("// another edition")));
    await save(join(folder, "course/handed-out/ps2.ipynb"), notebook(code("// the next week's")));
    await hub.restart(first);
    assert.equal(await readFile(work, "utf8"), before);
    await stat(join(folder, "course/students", first, "ps2.ipynb"));
    if (!apart) return;
    const { uid, mode } = await stat(join(folder, "course/students", first));
    assert.deepEqual([uid, mode & 0o777], [idOf(first), 0o700]);
  });
});

async function write(lab: LabNotebook, index: number, text: string): Promise<void> {
  await lab.focus(index);
  await lab.page.keyboard.press("Control+a");
  await lab.page.keyboard.insertText(text);
}

/** The last cell is a folded one, where no cursor can be put. */
async function runAll(lab: LabNotebook): Promise<void> {
  await menu(lab.page, "Run", "Run All Cells");
  await lab.cell(2).locator(".jp-OutputArea-output").first().waitFor();
}

async function saveNotebook({ page }: LabNotebook): Promise<void> {
  const saved = page.waitForResponse(
    (answer) => answer.request().method() === "PUT" && answer.url().includes("/contents/"),
  );
  await page.keyboard.press("Control+s");
  assert.ok((await saved).ok());
}
