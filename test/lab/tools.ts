// What the tests in this folder stand on: a real Chromium, a real Jupyter, and a server of its own for each suite.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, chromium, type Locator, type Page } from "playwright-core";
import { labRequirements, labVenv, prepareLab } from "../../lib/install/lab.ts";
import { venvIsReady, venvProgram } from "../../lib/install/venv.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { browserFlags } from "../book/browser.ts";
import { lackingIn } from "../python.ts";

/** Under CI a missing tool is a failure; elsewhere the tests that need it are skipped, and say so. */
export function missing(suite: Mocha.Context, what: string): never {
  if (process.env.CI) throw new Error(`missing under CI: ${what}`);
  console.log(`      skipped, missing: ${what}`);
  return suite.skip();
}

/** The browser's path, or undefined. */
export function findChromium(): string | undefined {
  return [
    process.env.SLIMLAB_CHROMIUM,
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
  ].find((path) => path && existsSync(path));
}

let lab: Promise<string> | undefined;

/** The Lab's environment with today's kernel and chart viewer; skips the suite where it was never made. */
export async function needLab(suite: Mocha.Context, ...modules: string[]): Promise<string> {
  if (!(await venvIsReady(labVenv(), [labRequirements]))) {
    missing(suite, `JupyterLab's environment (make it with: npm run lab -- --setup)`);
  }
  lab ??= prepareLab();
  const venv = await lab;
  const lacking = lackingIn(venvProgram(venv, "python"), modules);
  if (lacking.length > 0) {
    missing(
      suite,
      `Python's ${lacking.join(", ")} (install with: ${venvProgram(venv, "pip")} install -r test/lab/requirements.txt)`,
    );
  }
  return venv;
}

/** Starts headless Chromium; skips the suite where there is none. */
export async function needBrowser(suite: Mocha.Context): Promise<Browser> {
  const executablePath = findChromium() ?? missing(suite, "Chromium (name its path in SLIMLAB_CHROMIUM)");
  return await chromium.launch({
    executablePath,
    args: browserFlags,
  });
}

/** Jupyter's folders in a place of the test's own, so that it neither reads nor writes the user's. */
export function jupyterEnvironment(home: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    JUPYTER_CONFIG_DIR: join(home, "config"),
    JUPYTER_DATA_DIR: join(home, "data"),
    JUPYTER_RUNTIME_DIR: join(home, "runtime"),
    JUPYTERLAB_WORKSPACES_DIR: join(home, "workspaces"),
    JUPYTERLAB_SETTINGS_DIR: join(home, "settings"),
    IPYTHONDIR: join(home, "ipython"),
    PYDEVD_DISABLE_FILE_VALIDATION: "1",
  };
}

/** A Jupyter server on 127.0.0.1 that shows one folder. */
export class JupyterServer {
  readonly url: string;
  readonly token: string;
  readonly #process: ChildProcess;
  readonly #home: string;
  readonly #log: string[];

  private constructor(url: string, token: string, process: ChildProcess, home: string, log: string[]) {
    this.url = url;
    this.token = token;
    this.#process = process;
    this.#home = home;
    this.#log = log;
  }

  /** What the server has printed. */
  get log(): string {
    return this.#log.join("");
  }

  /**
   * Starts `jupyter PROGRAM` and waits until it answers.
   *
   * @param program `lab` or `notebook`
   * @param root the folder that it shows
   */
  static async start(venv: string, program: "lab" | "notebook", root: string): Promise<JupyterServer> {
    const home = await mkdtemp(join(tmpdir(), "slimlab-jupyter-"));
    // All cells in the page, also those out of sight: the tests count them.
    const settings = join(home, "settings", "@jupyterlab", "notebook-extension");
    await mkdir(settings, { recursive: true });
    await writeFile(join(settings, "tracker.jupyterlab-settings"), '{ "windowingMode": "none" }');
    const port = await freePort();
    const token = "slimlab-test";
    const server = spawn(
      venvProgram(venv, `jupyter-${program}`),
      [
        "--no-browser",
        "--allow-root",
        `--ServerApp.root_dir=${root}`,
        "--ServerApp.ip=127.0.0.1",
        `--ServerApp.port=${port}`,
        "--ServerApp.port_retries=0",
        // A base URL that is not /, as behind a hub: nothing may assume the root.
        "--ServerApp.base_url=/class/",
        `--IdentityProvider.token=${token}`,
      ],
      // nbgrader takes the folder where the server started for its course.
      { cwd: root, env: jupyterEnvironment(home), stdio: ["ignore", "pipe", "pipe"] },
    );
    const log: string[] = [];
    server.stdout.on("data", (data) => log.push(String(data)));
    server.stderr.on("data", (data) => log.push(String(data)));
    const url = `http://127.0.0.1:${port}/class`;
    const started = new JupyterServer(url, token, server, home, log);
    for (let i = 0; i < 900; i++) {
      if (server.exitCode !== null) throw new Error(`jupyter ${program} ended:\n${started.log}`);
      const answer = await fetch(`${url}/api/status?token=${token}`).catch(() => undefined);
      if (answer?.ok) return started;
      await new Promise((done) => setTimeout(done, 100));
    }
    await started.stop();
    throw new Error(`jupyter ${program} did not answer in 90 s:\n${started.log}`);
  }

  /** Ends the server and its kernels. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = new Promise((done) => this.#process.once("exit", done));
      this.#process.kill("SIGTERM");
      const hard = setTimeout(() => this.#process.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(hard);
    }
    await rm(this.#home, { recursive: true, force: true });
  }
}

/** A port of 127.0.0.1 that nobody listens at. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as { port: number };
  await new Promise((done) => server.close(done));
  return port;
}

/** Scripts whose errors count: ours, and that of the widgets, which stumbles over what we send. */
const countedScripts = /\/slimlab\/|@jupyter-widgets/;

/** A page that records every request to another place than the server, and every error of our own script or the widgets'. */
export interface WatchedPage {
  page: Page;
  outside: string[];
  /** What was asked of a server here that has it not. */
  missing: string[];
  errors: string[];
}

export async function openPage(browser: Browser, size = { width: 1280, height: 1000 }): Promise<WatchedPage> {
  const page = await browser.newPage({ viewport: size });
  const watched: WatchedPage = { page, outside: [], missing: [], errors: [] };
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (/^(http|ws)s?:$/.test(protocol) && hostname !== "127.0.0.1") watched.outside.push(request.url());
  });
  page.on("response", (response) => {
    if (response.status() === 404) watched.missing.push(response.url());
  });
  // (Notebook 7 throws a few of its own.)
  page.on("pageerror", (error) => {
    if (error.stack && countedScripts.test(error.stack)) watched.errors.push(error.stack);
  });
  page.setDefaultTimeout(30_000);
  return watched;
}

/** One notebook in JupyterLab, as a person uses it. */
export class LabNotebook {
  readonly page: Page;

  private constructor(page: Page) {
    this.page = page;
  }

  /** Opens `path`, below the server's root, and waits for its kernel. */
  static async open(
    page: Page,
    server: Pick<JupyterServer, "url" | "token" | "log">,
    path: string,
  ): Promise<LabNotebook> {
    await page.goto(`${server.url}/lab/tree/${path}?reset&token=${server.token}`);
    const opened = new LabNotebook(page);
    try {
      await page.locator(".jp-NotebookPanel .jp-Notebook .jp-Cell").first().waitFor();
      await opened.idle();
    } catch (error) {
      await screenshot(page, "lab-failure");
      throw new Error(`${path} did not open:\n${server.log}`, { cause: error });
    }
    return opened;
  }

  /** Waits until the kernel is there and has nothing to do. */
  async idle(timeout = 60_000): Promise<void> {
    await kernelIdle(this.page, timeout);
    await this.page
      .locator("#jp-main-statusbar")
      .getByText(/\| Idle/)
      .waitFor({ timeout });
  }

  /** The code cell number `index`, from 0. */
  cell(index: number): Locator {
    return this.page.locator(".jp-Notebook .jp-CodeCell").nth(index);
  }

  /** Its output, as text. */
  async output(index: number): Promise<string> {
    return (await this.cell(index).locator(".jp-OutputArea-output").allInnerTexts()).join("\n");
  }

  /** Puts the cursor at the end of a cell's code. */
  async focus(index: number): Promise<void> {
    await this.cell(index).locator(".cm-content").click();
    await this.page.keyboard.press("Control+End");
  }

  /** Starts a cell and does not wait for its end. */
  async start(index: number): Promise<void> {
    await this.focus(index);
    await this.page.keyboard.press("Control+Enter");
  }

  /** Runs a cell to its end. */
  async run(index: number): Promise<void> {
    const prompt = this.cell(index).locator(".jp-InputPrompt");
    const before = await prompt.textContent();
    await this.start(index);
    await this.page.waitForFunction(
      ([at, old]) => {
        const text = document.querySelectorAll<HTMLElement>(".jp-Notebook .jp-CodeCell")[Number(at)];
        const now = text.querySelector<HTMLElement>(".jp-InputPrompt")!.textContent;
        return now !== old && /\d/.test(now);
      },
      [String(index), before],
      { polling: 50 },
    );
  }

  /** The outputs that tell of an error, as text. */
  async errors(): Promise<string[]> {
    return this.page
      .locator(
        '.jp-OutputArea-output[data-mime-type$="stderr"], .jp-OutputArea-output[data-mime-type$="jupyter.error"]',
      )
      .allInnerTexts();
  }
}

/** Chooses from the menu bar, submenus included: `menu(page, "Settings", "Theme", "JupyterLab Dark")`. */
export async function menu(page: Page, bar: string, ...items: string[]): Promise<void> {
  await page.locator(".lm-MenuBar-itemLabel", { hasText: new RegExp(`^${bar}$`) }).click();
  for (const item of items) {
    await page
      .locator(".lm-Menu-itemLabel", { hasText: new RegExp(`^${item}`) })
      .last()
      .click();
  }
}

/** Keeps a screenshot under .slimlab/screenshots. */
export async function screenshot(page: Page | Locator, name: string): Promise<void> {
  const folder = join(packageRoot, ".slimlab", "screenshots");
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}

/** Waits until a notebook's kernel stands and has nothing to do: keys that are pressed before are lost. */
export const kernelIdle = (page: Page, timeout = 60_000): Promise<void> =>
  page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").waitFor({ timeout });

/** A cell of a test's notebook: its source, or its source with outputs already there. */
export type Cell = string | { source: string; outputs: object[] };

/** A notebook of code cells, as its file's text. */
export function notebook(cells: Cell[], kernel = "slimlab"): string {
  const language = kernel === "slimlab" ? "typescript" : kernel;
  return JSON.stringify({
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {
      kernelspec: { name: kernel, display_name: kernel, language },
      language_info: { name: language },
    },
    cells: cells.map((cell, i) => ({
      cell_type: "code",
      id: `cell-${i}`,
      metadata: {},
      execution_count: null,
      outputs: typeof cell === "string" ? [] : cell.outputs,
      source: typeof cell === "string" ? cell : cell.source,
    })),
  });
}
