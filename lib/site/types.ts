// What checks types on a page: TypeScript in JavaScript (the project's own has become a program of its own for each system)
// and the declarations of what cells can import. Packed once, where slimlab is built: both take a few seconds to make.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { build } from "esbuild";
import type ts from "typescript-js";
import { type Library, libraryFolders, typeFiles } from "../kernel/types/library.ts";
import { slashes } from "../kernel/types/text.ts";
import { packageRoot, writeFileAtomic } from "../util/files.ts";

const require = createRequire(import.meta.url);
const compressed = promisify(gzip);

/** Node's modules that cells on a page can use, as files of @types/node: with what those mention most. */
const nodeTypes = [
  "assert",
  "assert/strict",
  "buffer",
  "buffer.buffer",
  "crypto",
  "fs",
  "fs/promises",
  "globals",
  "globals.typedarray",
  "os",
  "path",
  "util",
  "zlib",
];

const packedFolder = join(packageRoot, "dist", "lib", "site");

/** The files that the types' worker fetches, by their paths beside it. */
export async function typesOf(rooms: readonly string[]): Promise<Map<string, Uint8Array>> {
  // A clone makes them of its own sources; packages are published with them.
  if (isClone()) {
    packed ??= pack(rooms);
    return packed;
  }
  const files = new Map<string, Uint8Array>();
  for (const path of Object.values(typeFiles)) {
    if (!existsSync(join(packedFolder, path)))
      throw new Error(`slimlab's package lacks dist/lib/site/${path}: install it again`);
    files.set(path, await readFile(join(packedFolder, path)));
  }
  return files;
}

let packed: Promise<Map<string, Uint8Array>> | undefined;

/** Makes the files for a package. */
export async function packTypes(rooms: readonly string[]): Promise<void> {
  for (const [path, bytes] of await pack(rooms)) await writeFileAtomic(join(packedFolder, path), bytes);
}

function isClone(): boolean {
  try {
    require.resolve("typescript-js");
    return true;
  } catch {
    return false;
  }
}

async function pack(rooms: readonly string[]): Promise<Map<string, Uint8Array>> {
  const [script, library] = await Promise.all([typescriptScript(), declarationsOf(rooms)]);
  const small = (content: string | Uint8Array) => compressed(content, { level: 9 });
  return new Map([
    [typeFiles.typescript, await small(script)],
    [typeFiles.declarations, await small(JSON.stringify(library))],
  ]);
}

/** TypeScript as a script that leaves `ts` behind. */
async function typescriptScript(): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [require.resolve("typescript-js")],
    bundle: true,
    write: false,
    minify: true,
    format: "iife",
    globalName: "ts",
    platform: "browser",
    external: ["node:*", "fs", "path", "os", "inspector", "crypto", "perf_hooks", "source-map-support"],
    legalComments: "inline",
    logLevel: "error",
    banner: { js: "/*! TypeScript, Copyright (c) Microsoft Corporation, Apache License 2.0 */" },
  });
  return outputFiles[0].contents;
}

/** What a program that imports all rooms reads, of slimlab, TensorFlow.js and the standard library. */
async function declarationsOf(rooms: readonly string[]): Promise<Library> {
  // An import would have Node read its nine megabytes for names first.
  const typescript = require("typescript-js") as typeof ts;
  const standard = slashes(dirname(require.resolve("typescript-js")));
  const nodeFolder = slashes(dirname(require.resolve("@types/node/package.json")));
  const roots = nodeTypes.map((name) => `${nodeFolder}/${name}.d.ts`);
  const root = slashes(packageRoot);
  const options = {
    target: typescript.ScriptTarget.ESNext,
    lib: ["lib.esnext.d.ts", "lib.webworker.d.ts"],
    module: typescript.ModuleKind.Preserve,
    moduleResolution: typescript.ModuleResolutionKind.Bundler,
    customConditions: ["browser"],
    types: [],
  };
  const program = typescript.createProgram({
    rootNames: [...rooms.map((room) => `${root}/dist/lib/${room}/index.d.ts`), ...roots],
    options,
  });
  const placeOf = (path: string): string | undefined => {
    if (path.startsWith(`${standard}/`)) return `${libraryFolders.standard}${path.slice(standard.length)}`;
    if (path.startsWith(`${nodeFolder}/`))
      return roots.includes(path)
        ? `${libraryFolders.slimlab}/node_modules/@types/node${path.slice(nodeFolder.length)}`
        : undefined;
    const isWanted = path.startsWith(`${root}/dist/`) || /\/node_modules\/(@tensorflow|buffer)\//.test(path);
    if (!isWanted) return undefined;
    const modules = path.lastIndexOf("/node_modules/");
    return `${libraryFolders.slimlab}${modules < 0 ? path.slice(root.length) : path.slice(modules)}`;
  };
  const files: Library["files"] = {};
  for (const { fileName, text } of program.getSourceFiles()) {
    const place = placeOf(fileName);
    if (!place) continue;
    files[place] = text;
    for (let folder = dirname(fileName); folder.length > 1; folder = dirname(folder)) {
      const manifest = `${folder}/package.json`;
      if (!existsSync(manifest)) continue;
      const placed =
        placeOf(manifest) ?? (folder === root ? `${libraryFolders.slimlab}/package.json` : undefined);
      if (placed) files[placed] ??= manifestText(await readFile(manifest, "utf8"));
      break;
    }
  }
  return { files, roots: roots.map((path) => placeOf(path)!) };
}

/** Of a package.json, what modules are found by. */
function manifestText(text: string): string {
  const { name, version, type, types, typings, main, module, exports, imports } = JSON.parse(text);
  return JSON.stringify({ name, version, type, types, typings, main, module, exports, imports });
}
