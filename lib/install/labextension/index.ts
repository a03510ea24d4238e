// The prebuilt JupyterLab extension that draws Plotly charts offline: installed with the kernelspec.
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { type BuildOptions, build } from "esbuild";
import { packageRoot } from "../../util/files.ts";

// This file runs from lib/ (source) or dist/lib/ (build), and its neighbours have the same ending.
const remoteSource = fileURLToPath(
  new URL(`remote${extname(new URL(import.meta.url).pathname)}`, import.meta.url),
);
const place = join("labextensions", "slimlab");
const compressed = promisify(gzip);

/** The extension's folder in a Jupyter data folder such as `PREFIX/share/jupyter`. */
export function labextensionFolder(dataDir: string): string {
  return join(dataDir, place);
}

/**
 * Builds the extension and puts it where JupyterLab 4 and Notebook 7 look; an older copy is replaced.
 *
 * @param dataDir a Jupyter data folder, such as `PREFIX/share/jupyter`
 * @param packed Plotly lies compressed, as `plotly.HASH.js.gz`, and is unpacked in the page: 1.4 MB instead of 4.8
 * @returns the folder it lies in
 */
export async function installLabextension(dataDir: string, { packed = false } = {}): Promise<string> {
  const folder = labextensionFolder(dataDir);
  await mkdir(dirname(folder), { recursive: true });
  // Built aside and renamed, so that a Lab that starts meanwhile finds the old one or the new one whole.
  const aside = await mkdtemp(`${folder}-`);
  try {
    const plotly = createRequire(import.meta.url).resolve("plotly.js-dist");
    const { version } = JSON.parse(await readFile(join(packageRoot, "package.json"), "utf8"));
    // JupyterLab's server lets browsers keep these files for long: the names change whenever the contents do.
    const chart = await bundle({ stdin: { contents: asModule(await readFile(plotly, "utf8")) } }, "esm");
    const chartFile = `plotly.${hash(chart)}.js${packed ? ".gz" : ""}`;
    const define = { plotlyFile: JSON.stringify(chartFile) };
    const remote = await bundle({ entryPoints: [remoteSource] }, "iife", define);
    const remoteFile = `remoteEntry.${hash(remote)}.js`;
    await mkdir(join(aside, "static"));
    const content = packed ? await compressed(chart, { level: 9 }) : chart;
    await writeFile(join(aside, "static", chartFile), content);
    await writeFile(join(aside, "static", remoteFile), remote);
    await writeFile(
      join(aside, "package.json"),
      JSON.stringify(
        {
          name: "slimlab",
          version,
          description: "Draws Plotly charts in JupyterLab and Notebook 7, offline",
          license: "MIT",
          jupyterlab: {
            mimeExtension: true,
            _build: { load: `static/${remoteFile}`, mimeExtension: "./mimeExtension" },
          },
        },
        null,
        2,
      ),
    );
    await writeFile(
      join(aside, "install.json"),
      JSON.stringify({
        packageManager: "npm",
        packageName: "slimlab",
        uninstallInstructions: "Run `slimlab kernel uninstall`",
      }),
    );
    await rm(folder, { recursive: true, force: true });
    await rename(aside, folder);
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
  return folder;
}

/** Removes the extension; says whether there was one. */
export async function uninstallLabextension(dataDir: string): Promise<boolean> {
  try {
    await rm(labextensionFolder(dataDir), { recursive: true });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

/**
 * Plotly's file as a module. In the functions that it comes wrapped in, an engine would read all of it again on the page's
 * own thread: to run each of them, and to say where in each an error was thrown (it throws some as it starts). As a module's
 * own code it is made ready beside the page, in less than half of the time. (Its errors need no places: all are caught.)
 */
export function asModule(script: string): string {
  const start = script.indexOf('"use strict";\nvar Plotly = ');
  const end = script.search(/return Plotly;\s*\}\)\);\s*$/);
  if (start < 0 || end < 0) return script;
  const [licence = ""] = /^\/\*[\s\S]*?\*\//.exec(script) ?? [];
  const quiet = "const limit = Error.stackTraceLimit; Error.stackTraceLimit = 0;";
  const own = script.slice(start, end);
  return `${licence.replace("/**", "/*!")}\n${quiet}\n${own}\nError.stackTraceLimit = limit; export default Plotly;`;
}

/** One minified script of a source and all that it imports. */
async function bundle(
  source: Pick<BuildOptions, "entryPoints" | "stdin">,
  format: "iife" | "esm",
  define: Record<string, string> = {},
): Promise<string> {
  const { outputFiles } = await build({
    ...source,
    bundle: true,
    write: false,
    format,
    define,
    minify: format === "esm",
    target: "es2022",
    legalComments: "inline",
    logLevel: "error",
    logOverride: { "unsupported-dynamic-import": "silent" },
  });
  return outputFiles[0].text;
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}
