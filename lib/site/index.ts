// The workbook as a folder of static files: JupyterLite with our kernel, both editions of all chapters, and the book.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { makeBook } from "../book/make.ts";
import { prepareVenv } from "../install/lab.ts";
import { installLabextension } from "../install/labextension/index.ts";
import { venvProgram } from "../install/venv.ts";
import { findChapters } from "../notebook/notebook.ts";
import { folderSize, replaceFolder } from "../util/folders.ts";
import { writeKernelExtension } from "./extension.ts";
import { addServiceWorker } from "./offline.ts";

/** A site that was built. */
export interface Site {
  folder: string;
  files: number;
  bytes: number;
  /** Whether the book lies beside the notebooks. */
  hasBook: boolean;
}

export interface SiteOptions {
  /** The committed notebooks. */
  notebooks: string;
  /** Their executed copies and run.json; where there are none, the site has no book. */
  executed: string;
  /** Ends the build; nothing that was there is lost. */
  signal?: AbortSignal;
  onProgress?: (what: string) => void;
}

/** Where JupyterLite keeps what a reader changes, the best first, by localForage's names. */
const storageDrivers = ["asyncStorage", "localStorageWrapper", "memoryStorageDriver"];

/** Of JupyterLite's applications, those that the site has. */
const apps = ["lab", "notebooks", "tree"];

/** Says that a folder was made here and may be replaced. */
const ours = "slimlab-site.json";

/**
 * Builds a site; any web server can serve its folder, under any path.
 *
 * @param folder where it goes: a new or empty folder, or that of an older site, which is replaced when the new one is whole
 * @throws Error when the folder holds something else, or JupyterLite's build fails
 */
export async function buildSite(folder: string, options: SiteOptions): Promise<Site> {
  const { notebooks, executed, signal, onProgress = () => {} } = options;
  const target = resolve(folder);
  await checkReplaceable(target);
  await mkdir(dirname(target), { recursive: true });
  const work = await mkdtemp(join(dirname(target), `.${basename(target)}-`));
  try {
    onProgress("JupyterLite's environment");
    const venv = await prepareVenv();
    signal?.throwIfAborted();
    onProgress("the kernel and the library");
    const extensions = join(work, "labextensions");
    await writeKernelExtension(extensions);
    await installLabextension(work, { packed: true });
    const widgets = join("labextensions", "@jupyter-widgets", "jupyterlab-manager");
    await cp(join(venv, "share", "jupyter", widgets), join(work, widgets), { recursive: true });
    signal?.throwIfAborted();
    onProgress("the notebooks");
    const contents = join(work, "contents");
    await copyNotebooks(notebooks, contents);
    onProgress("JupyterLite");
    const out = join(work, "site");
    const hasBook = existsSync(join(executed, "run.json"));
    await buildLite(venv, work, { contents, extensions, out, hasBook, signal });
    await removeUnused(out);
    await preloadScripts(out);
    if (hasBook) {
      onProgress("the book");
      const charts = await chartsOf(join(out, "extensions", "slimlab", "static"));
      await makeBook(notebooks, executed, join(out, "book"), {
        reference: [],
        site: {
          runAt: "../notebooks/index.html?path=",
          notebooks: "../files/",
          plotly: `../extensions/slimlab/static/${charts}`,
        },
      });
    }
    // GitHub Pages would leave out what its own builder does not know.
    await writeFile(join(out, ".nojekyll"), "");
    await addServiceWorker(out);
    await writeFile(join(out, ours), `${JSON.stringify({ hasBook })}\n`);
    signal?.throwIfAborted();
    await replaceFolder(target, out, join(work, "old"));
    return { folder: target, hasBook, ...(await folderSize(target)) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function checkReplaceable(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  if (!(await stat(folder)).isDirectory()) throw new Error(`${folder} is not a folder`);
  if (existsSync(join(folder, ours)) || (await readdir(folder)).length === 0) return;
  throw new Error(`${folder} holds something that slimlab site has not made: name a new or empty folder`);
}

/** Chapters and the pages beside them, with the pictures that they show; what cells have put out stays behind. */
async function copyNotebooks(from: string, to: string): Promise<void> {
  await cp(from, to, {
    recursive: true,
    filter: (path) => !basename(path).startsWith(".") && basename(path) !== "texts",
  });
  for (const { path } of await findChapters(to)) {
    const notebook = JSON.parse(await readFile(path, "utf8"));
    for (const cell of notebook.cells)
      if (cell.cell_type === "code") Object.assign(cell, { outputs: [], execution_count: null });
    await writeFile(path, `${JSON.stringify(notebook, null, 1)}\n`);
  }
}

/**
 * Of JupyterLite, what no reader loads: icons in forms of another decade, how ELK lays out Mermaid's diagrams, settings'
 * schemas one by one (pages fetch `schemas/all.json`), and how JupyterLite itself was built.
 */
async function removeUnused(site: string): Promise<void> {
  const build = join(site, "build");
  for (const name of await readdir(build)) {
    const path = join(build, name);
    const isElk = async () =>
      /^\d+\.[0-9a-f]+\.js$/.test(name) &&
      (await stat(path)).size > 1e6 &&
      (await readFile(path, "utf8")).includes("org.eclipse.elk");
    if (/^fa-.*\.(svg|eot|ttf|woff)$/.test(name) || (await isElk())) await rm(path);
  }
  const schemas = join(build, "schemas");
  // (Beside it lies what extensions add, in a file of its own.)
  for (const name of await readdir(schemas))
    if (name.startsWith("@")) await rm(join(schemas, name), { recursive: true });
  for (const name of await readdir(site)) if (/^rspack\.config\b/.test(name)) await rm(join(site, name));
  await copyFile(join(site, "tree", "favicon.ico"), join(site, "lab", "favicon.ico"));
  // While a kernel is busy and afterwards, Notebook changes the tab's icon to these, which JupyterLite lacks.
  const icons = join(site, "static", "favicons");
  await mkdir(icons, { recursive: true });
  for (const name of ["favicon-notebook.ico", "favicon-busy-1.ico"])
    await copyFile(join(site, "notebooks", "favicon.ico"), join(icons, name));
}

/**
 * Has browsers fetch with a page what JupyterLite asks for later, one after the other: the first scripts of the extensions,
 * and then JupyterLab's core, the largest of all.
 */
async function preloadScripts(site: string): Promise<void> {
  const core = (await readdir(join(site, "build"))).filter((name) => /^jlab_core\..*\.js$/.test(name));
  const config = JSON.parse(await readFile(join(site, "jupyter-lite.json"), "utf8"))["jupyter-config-data"];
  const extensions: { name: string; load: string }[] = config.federated_extensions;
  const links = [
    ...core.map((name) => `build/${name}`),
    ...extensions.map(({ name, load }) => `extensions/${name}/${load}`),
  ].map((path) => `<link rel="preload" href="../${path}" as="script">\n    `);
  for (const app of apps) {
    const page = join(site, app, "index.html");
    const html = await readFile(page, "utf8");
    await writeFile(page, html.replace('<link id="jupyter-lite-main"', `${links.join("")}$&`));
  }
}

/** The chart viewer's Plotly, which draws the book's charts as well. */
async function chartsOf(folder: string): Promise<string> {
  const name = (await readdir(folder)).find((name) => /^plotly\..*\.js\.gz$/.test(name));
  if (!name) throw new Error(`${folder} has no plotly.*.js.gz`);
  return name;
}

/** JupyterLite's own build, which needs no network. */
async function buildLite(
  venv: string,
  work: string,
  {
    contents,
    extensions,
    out,
    hasBook,
    signal,
  }: { contents: string; extensions: string; out: string; hasBook: boolean; signal?: AbortSignal },
): Promise<void> {
  const lite = join(work, "lite");
  await mkdir(lite);
  const config = {
    "jupyter-lite-schema-version": 0,
    "jupyter-config-data": {
      appName: "slimlab",
      defaultKernelName: "slimlab",
      // Where the site's own index.html leads to. Every other page reads its settings there, so it stays what it is.
      appUrl: hasBook ? "./book" : "./lab",
      // Where a browser allows no storage, what a reader changes lasts as long as its page, and he is told.
      enableMemoryStorage: true,
      contentsStorageDrivers: storageDrivers,
      settingsStorageDrivers: storageDrivers,
      workspacesStorageDrivers: storageDrivers,
    },
  };
  await writeFile(join(lite, "jupyter-lite.json"), JSON.stringify(config));
  await writeFile(
    join(lite, "overrides.json"),
    JSON.stringify({
      "@jupyterlab/apputils-extension:notification": { checkForUpdates: false, fetchNews: "false" },
      // In seconds: a cell that takes all memory ends its page, and tablets end pages in the background.
      "@jupyterlab/docmanager-extension:plugin": { autosaveInterval: 30 },
    }),
  );
  const args = ["lite", "build", "--lite-dir", lite, "--output-dir", out, "--contents", contents];
  for (const app of apps) args.push("--apps", app);
  args.push(
    "--no-sourcemaps",
    "--no-unused-shared-packages",
    "--ignore-sys-prefix",
    `--FederatedExtensionAddon.extra_labextensions_path=${extensions}`,
  );
  await new Promise<void>((done, fail) => {
    const child = spawn(venvProgram(venv, "jupyter"), args, {
      cwd: lite,
      stdio: ["ignore", "pipe", "pipe"],
      signal,
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
    child.on("error", fail);
    child.on("close", (code) =>
      code === 0 ? done() : fail(new Error(`jupyter lite build ended with ${code}:\n${said.slice(-2000)}`)),
    );
  });
}
