// The service worker of a site: JupyterLite's own, which joins pages and workers, behind ours, which keeps what was loaded.
import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { build } from "esbuild";
import { packageRoot } from "../util/files.ts";
import { pageBuild } from "./bundle.ts";

/** Puts ours in front of JupyterLite's, when all other files of the site are there. */
export async function addServiceWorker(site: string): Promise<void> {
  const path = join(site, "service-worker.js");
  const theirs = await readFile(path, "utf8");
  const { outputFiles } = await build({
    entryPoints: [join(packageRoot, "dist", "lib", "site", "client", "offline.js")],
    ...pageBuild,
    format: "iife",
    define: { edition: JSON.stringify(await editionOf(site)) },
  });
  await writeFile(path, `${outputFiles[0].text}\n${theirs}`);
}

/** Changes with any file of the site. */
async function editionOf(site: string): Promise<string> {
  const hash = createHash("sha256");
  const entries = await readdir(site, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
  for (const path of paths.sort()) hash.update(path.slice(site.length)).update(await readFile(path));
  return hash.digest("hex").slice(0, 16);
}
