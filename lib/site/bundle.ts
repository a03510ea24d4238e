// The kernel and the library for a browser: one worker script that runs cells, and what cells import, in pieces that are
// loaded when they are asked for. All of it is one build, so that a room that two others use is there once.
import { readdir, readFile } from "node:fs/promises";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build, type Plugin } from "esbuild";
import { packageRoot } from "../util/files.ts";
import { slimlabVersion } from "../util/version.ts";
import { typesOf } from "./types.ts";

/** slimlab's rooms that cells on a page can import. */
export const siteRooms = [
  "analysis",
  "classroom",
  "coding",
  "datasets",
  "distillation",
  "formats",
  "graph",
  "lm",
  "lowrank",
  "nn",
  "pipeline",
  "plots",
  "pruning",
  "quantization",
  "runtime",
  "sparse",
  "widgets",
] as const;

const dist = join(packageRoot, "dist", "lib");
const client = join(dist, "site", "client");

/** Node's modules that have something on a page; the others refuse when they are called. */
const standIns: Record<string, string> = {
  assert: "assert.js",
  "assert/strict": "assert.js",
  crypto: "crypto.js",
  fs: "fs.js",
  "fs/promises": "fs-promises.js",
  os: "os.js",
  path: "path.js",
  util: "util.js",
  zlib: "zlib.js",
};

/**
 * The other modules of Node's: what is called of them refuses by its name. A CommonJS module, of which any name can be
 * imported.
 */
const missing = `
const known = {
  fileURLToPath: (url) => new URL(url).pathname,
  pathToFileURL: (path) => new URL(path, "file:///"),
  createRequire: () => refuse("require"),
  parentPort: null,
  workerData: undefined,
};
function refuse(name) {
  return function () {
    throw new Error(name + " needs Node: cells on a page have none");
  };
}
module.exports = new Proxy(known, {
  get: (_, name) => (name in known || typeof name === "symbol" || name === "__esModule" ? known[name] : refuse(name)),
});
`;

/** Optional packages of Node's: a cell that needs one is told so. */
const absent =
  /^(bullmq|ioredis|danfojs-node|onnxruntime-node|h5wasm|@litertjs\/core|@tensorflow\/tfjs-node|esbuild|typescript)$/;

/** Files of the library that another takes the place of. */
const replaced: Record<string, string> = {
  [join(dist, "platform", "node.js")]: join(client, "machine.js"),
  [join(dist, "nn", "tfjs-node.js")]: join(client, "no-native.js"),
  [join(dist, "pipeline", "process.js")]: join(client, "trials.js"),
};

const forPages: Plugin = {
  name: "for a page",
  setup(build) {
    const builtin = new RegExp(
      `^(node:.*|${builtinModules.filter((name) => !name.includes("/")).join("|")})$`,
    );
    build.onResolve({ filter: builtin }, ({ path }) => {
      const name = path.replace(/^node:/, "");
      // A package has the name of this module of Node's, and is what it is here.
      if (name === "buffer") return undefined;
      const standIn = standIns[name];
      return standIn ? { path: join(client, "node", standIn) } : { path: name, namespace: "missing" };
    });
    build.onLoad({ filter: /.*/, namespace: "missing" }, () => ({ contents: missing }));
    build.onResolve({ filter: absent }, ({ path }) => ({ path, external: true }));
    build.onResolve({ filter: /^tensorflow-wasm$/ }, () => ({
      path: fileURLToPath(import.meta.resolve("@tensorflow/tfjs-backend-wasm/dist/index.js")),
    }));
    build.onResolve({ filter: /^@tensorflow\/tfjs-backend-wasm$/ }, () => ({
      path: join(client, "wasm.js"),
    }));
    build.onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir }) => {
      const other = replaced[join(resolveDir, path)];
      return other ? { path: other } : undefined;
    });
    build.onLoad({ filter: /[\\/]util[\\/]version\.js$/ }, () => ({
      contents: `export const slimlabVersion = ${JSON.stringify(slimlabVersion)};`,
    }));
  },
};

/** How scripts for a page are built. */
export const pageBuild: BuildOptions & { write: false } = {
  bundle: true,
  write: false,
  platform: "browser",
  conditions: ["browser"],
  target: "es2022",
  minify: true,
  keepNames: true,
  legalComments: "none",
  logLevel: "error",
};

/** Folders of the package that the library reads from, each file fetched when it is first read. */
const shippedFolders = ["datasets"];

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".ts"))
    .map((entry) => relative(packageRoot, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

/** What {@link bundleKernel} has made. */
export interface KernelBundle {
  /** By paths under the folder in which the worker's script lies. */
  files: Map<string, Uint8Array>;
  /** The script of the worker that runs cells, and of the one that knows their types. */
  worker: string;
  types: string;
  /** Where modules lie that cells import, by what they are called there. */
  modules: Record<string, string>;
}

/** Bundles the kernel's worker, the library, and the files that ship with it. */
export async function bundleKernel(): Promise<KernelBundle> {
  const files = new Map<string, Uint8Array>();
  const shipped: Record<string, { url: string; size: number }> = {};
  for (const path of (
    await Promise.all(shippedFolders.map((name) => filesIn(join(packageRoot, name))))
  ).flat()) {
    const bytes = await readFile(join(packageRoot, path));
    shipped[path] = { url: path, size: bytes.length };
    files.set(path, bytes);
  }
  const entries = Object.fromEntries(
    siteRooms.map((room) => [`rooms/${room}`, join(dist, room, "index.js")]),
  );
  const outdir = join(packageRoot, "out");
  const { outputFiles } = await build({
    absWorkingDir: packageRoot,
    entryPoints: {
      cells: join(client, "cells.js"),
      types: join(dist, "kernel", "web", "types-worker.js"),
      trials: join(client, "trials-worker.js"),
      ...entries,
    },
    outdir,
    chunkNames: "parts/[name]-[hash]",
    ...pageBuild,
    splitting: true,
    format: "esm",
    define: { shippedFiles: JSON.stringify(shipped) },
    plugins: [forPages],
  });
  for (const { path, contents } of outputFiles)
    files.set(relative(outdir, path).replaceAll("\\", "/"), contents);
  const wasm = fileURLToPath(import.meta.resolve("@tensorflow/tfjs-backend-wasm/package.json"));
  // Of TensorFlow.js's three, the one that it computes with beside slimlab's own kernels, which need SIMD.
  const binary = "tfjs-backend-wasm-simd.wasm";
  files.set(`wasm/${binary}`, await readFile(join(dirname(wasm), "dist", binary)));
  for (const [path, bytes] of await typesOf(siteRooms)) files.set(path, bytes);
  return {
    files,
    worker: "cells.js",
    types: "types.js",
    modules: Object.fromEntries(siteRooms.map((room) => [`slimlab/${room}`, `rooms/${room}.js`])),
  };
}
