// A step of the build: the kernel's two threads as one CommonJS file each, main.bundle.cjs and server-thread.bundle.cjs. Node
// starts these in two thirds of the time that it takes to find, read and link the modules one by one, twice over. main.cjs
// and server-thread.cjs run them (load.ts).
import { createHash } from "node:crypto";
import { readdir, readFile, rm } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { writeFileAtomic } from "../../util/files.ts";
import { versionOf } from "../../util/packages.ts";
import { keepCode } from "./keep.ts";
import { keptFor } from "./kept.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));

const options = {
  absWorkingDir: folder,
  bundle: true,
  platform: "node",
  format: "cjs",
  target: "node20.19",
  logLevel: "warning",
  write: false,
} satisfies BuildOptions;

/**
 * ZeroMQ's JavaScript is in the bundle (finding and reading its nine files takes as long as all else), and its addon where
 * it was installed. Another version than the build has seen is loaded whole from there.
 */
const zeromq: Plugin = {
  name: "zeromq",
  setup({ onResolve, onLoad }) {
    const packages = JSON.stringify(join(folder, "../../util/packages.js"));
    onResolve({ filter: /^[^.#]/ }, ({ path, kind, importer, namespace }) => {
      if (kind === "entry-point" || isAbsolute(path)) return undefined;
      if (path === "zeromq" && namespace !== "zeromq") return { path, namespace: "zeromq" };
      const isPart = path === "zeromq/lib/index.js" || /[\\/]node_modules[\\/]zeromq[\\/]/.test(importer);
      return isPart ? undefined : { path, external: true };
    });
    onLoad({ filter: /^zeromq$/, namespace: "zeromq" }, () => ({
      contents: `const { versionOf } = require(${packages});
const isKnown = versionOf("zeromq") === ${JSON.stringify(versionOf("zeromq"))};
module.exports = isKnown ? require("zeromq/lib/index.js") : require("zeromq");`,
      resolveDir: folder,
    }));
    onLoad({ filter: /[\\/]zeromq[\\/]lib[\\/]load-addon\.js$/ }, () => ({
      contents: `const { loadAddon } = require("cmake-ts/build/loader");
const { packageFolder } = require(${packages});
exports.default = loadAddon(packageFolder("zeromq") + "/build");
exports.__esModule = true;`,
    }));
  },
};

/** For the bundles: a module of Node's that is loaded when one of its members is first used. */
const lazily = `const lazily = (name) => new Proxy({}, { get: (_, key) => require(name)[key] });`;
/** What a thread need not have to answer: loaded when it is first used. */
const later = {
  main: ["fs/promises", "zlib"],
  "server-thread": ["child_process", "fs/promises", "inspector", "zlib"],
};

function loadLater(text: string, names: string[]): string {
  const loading = new RegExp(`= require\\(("node:(?:${names.join("|")})")\\);`, "g");
  return text.replaceAll(loading, "= lazily($1);");
}

/** A build beside kernels that start, as CI has it, must not change their files under them. */
async function write(name: string, text: string): Promise<void> {
  const path = join(folder, name);
  if ((await readFile(path, "utf8").catch(() => undefined)) !== text) await writeFileAtomic(path, text);
}

/** Returns the bundle's name and hash. */
async function bundle(thread: keyof typeof later): Promise<[name: string, hash: string]> {
  const { outputFiles } = await build({
    ...options,
    entryPoints: [`${thread}.js`],
    plugins: [zeromq],
    define: { "import.meta.url": "importMetaUrl" },
    // Node 20 knows no import() in a script that comes from kept code.
    supported: { "dynamic-import": false },
    banner: {
      js: `"use strict";const importMetaUrl = require("node:url").pathToFileURL(__filename).href;${lazily}`,
    },
  });
  const code = loadLater(outputFiles[0].text, later[thread]);
  const name = `${thread}.bundle.cjs`;
  const hash = createHash("sha256").update(code).digest("hex").slice(0, 16);
  const loader = await build({
    ...options,
    entryPoints: ["load.js"],
    define: { bundleName: JSON.stringify(name), bundleHash: JSON.stringify(hash) },
  });
  await write(name, code);
  await write(`${thread}.cjs`, loader.outputFiles[0].text);
  return [name, hash];
}

const bundles = await Promise.all([bundle("main"), bundle("server-thread")]);
const found = (await readdir(folder)).filter((name) => name.endsWith(".kept"));
for (const name of found) {
  const isOfNow = bundles.some((each) => name.startsWith(each.join(".")));
  if (!isOfNow) await rm(join(folder, name), { force: true });
}
if (!bundles.every((each) => found.includes(keptFor(...each)))) await keepCode();
