// The kernel as a prebuilt extension of JupyterLite, which any JupyterLite site can add: one folder of files.
import { createHash } from "node:crypto";
import { join } from "node:path";
import { build } from "esbuild";
import { iconPng } from "../install/icon.ts";
import { own, tablesOf } from "../texts/index.ts";
import { tablesIn } from "../texts/load.ts";
import { packageRoot, writeFileAtomic } from "../util/files.ts";
import { slimlabVersion } from "../util/version.ts";
import { bundleKernel, pageBuild } from "./bundle.ts";

/** The extension's name, and its folder's. */
export const extensionName = "slimlab-kernel";

const hash = (bytes: string | Uint8Array) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

/**
 * Writes the extension.
 *
 * @param folder where JupyterLite's build finds extensions, each in a folder of its name: `share/jupyter/labextensions`
 * @returns the extension's own folder
 */
export async function writeKernelExtension(folder: string): Promise<string> {
  const own = join(folder, extensionName);
  const { files, worker, types, modules } = await bundleKernel();
  const texts = JSON.stringify(zhTables());
  // Servers and browsers may keep these files for long: whatever changes has another address.
  const place = `kernel-${hash([...files].map(([path, bytes]) => path + hash(bytes)).join("\n") + texts)}`;
  for (const [path, bytes] of files) await writeFileAtomic(join(own, "static", place, path), bytes);
  await writeFileAtomic(join(own, "static", place, "zh.json"), texts);
  for (const size of [32, 64])
    await writeFileAtomic(join(own, "static", `logo-${size}x${size}.png`), iconPng(size));
  const site = {
    version: slimlabVersion,
    worker: `${place}/${worker}`,
    types: `${place}/${types}`,
    texts: `${place}/zh.json`,
    modules: Object.fromEntries(Object.entries(modules).map(([name, path]) => [name, `${place}/${path}`])),
  };
  const { outputFiles } = await build({
    entryPoints: [join(packageRoot, "dist", "lib", "site", "client", "lite.js")],
    ...pageBuild,
    format: "iife",
    define: { site: JSON.stringify(site) },
  });
  const script = outputFiles[0].contents;
  const remote = `remoteEntry.${hash(script)}.js`;
  await writeFileAtomic(join(own, "static", remote), script);
  const manifest = {
    name: extensionName,
    version: slimlabVersion,
    description: "A TypeScript kernel for JupyterLite, with slimlab's library",
    license: "MIT",
    jupyterlab: { extension: true, _build: { load: `static/${remote}`, extension: "./extension" } },
    jupyterlite: { liteExtension: true },
  };
  await writeFileAtomic(join(own, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  return own;
}

/** What Chinese notebooks' outputs are translated by. */
const zhTables = () => [own.zh, ...tablesIn(tablesOf(join(packageRoot, "notebooks", "zh")))];
