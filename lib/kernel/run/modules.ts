// Imports in cells: ES modules, CommonJS modules, JSON, and the project's own TypeScript, seen from the notebook's folder.
import { readFileSync } from "node:fs";
import Module, { createRequire, isBuiltin } from "node:module";
import { dirname, isAbsolute, join, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import vm from "node:vm";
import { packageRoot } from "../../util/files.ts";
import { importFunction, metaName } from "../cell/words.ts";
import { isCommon, moduleOf } from "./common.ts";
import { defaults, generationName, registerHook, reloading } from "./hooks.ts";
import { fileToRun, findUp } from "./resolve.ts";

type ModuleNamespace = Record<string, unknown>;

/** Modules that the kernel itself provides, by specifier. */
export const ownModules = new Map<string, () => ModuleNamespace>();

/** Who must know when code asks for one of Node's modules; a cell's import waits for the answer. */
export const watchedModules = new Map<string, (found: never) => unknown>();

/** Whether a file is the project's own, and not a package's or the kernel's. */
function isProjects(file: string): boolean {
  return !/[\\/]node_modules[\\/]/.test(file) && !file.startsWith(ownFolder);
}

const ownFolder = dirname(fileURLToPath(import.meta.url)) + sep;

const typescript = /\.[cm]?tsx?$|\.jsx$/;

/** Gives cells `__slimlab_import`, `__slimlab_meta` and `require`. */
export function provideModules(folder: string): void {
  const base = join(folder, "notebook.js");
  const importFrom = importer(base);
  const importFromPackage = importer(join(packageRoot, "notebook.js"));
  const require = createRequire(base);
  let tsx: Promise<unknown> | undefined;

  async function load(specifier: string, attributes?: ImportCallOptions): Promise<unknown> {
    specifier = String(specifier);
    const own = ownModules.get(specifier);
    if (own) return own();
    if (isBuiltin(specifier)) {
      const found = await importFrom(specifier);
      await watchedModules.get(specifier)?.(found as never);
      return found;
    }
    const path = pathOf(specifier, folder);
    const mapped = path === undefined ? await mappedFile(specifier, folder) : undefined;
    if (path === undefined && mapped === undefined) return loadPackage(specifier, attributes);
    const file = mapped ?? fileToRun(path!);
    if (file === undefined) throw notFound(specifier, folder);
    if (file.endsWith(".json")) return jsonModule(file);
    if (typescript.test(file)) {
      tsx ??= useTsx(importFromPackage);
      await tsx;
    }
    const url = new URL(pathToFileURL(file).href + queryOf(specifier));
    if (generation > 0 && isProjects(file)) url.searchParams.set(generationName, String(generation));
    const found = await importFrom(url.href, attributes);
    return withNames(found as ModuleNamespace, file);
  }

  let generation = 0;

  /** The next import of each of the project's own modules reads its file anew. */
  function reload(): void {
    if (generation++ === 0) registerHook(reloading);
    for (const file of Object.keys(createdRequire.cache))
      if (isProjects(file)) delete createdRequire.cache[file];
  }

  function resolved(specifier: string): string | undefined {
    try {
      return require.resolve(specifier);
    } catch {
      return undefined; // An ES module whose package has no entry for require.
    }
  }

  async function loadPackage(specifier: string, attributes?: ImportCallOptions): Promise<unknown> {
    try {
      if (specifier.endsWith(".json")) return jsonModule(require.resolve(specifier));
      const file = attributes ? undefined : resolved(specifier);
      if (file !== undefined && !isProjects(file) && isCommon(specifier, file)) {
        const source = moduleOf(require(file), file);
        if (source !== undefined) return importFrom(`data:text/javascript,${encodeURIComponent(source)}`);
      }
      const found = (await importFrom(specifier, attributes)) as ModuleNamespace;
      // Only a CommonJS module has a default export that require knows.
      return "default" in found ? withNames(found, resolved(specifier)) : found;
    } catch (error) {
      const { code } = error as { code?: string };
      // Notebooks outside of slimlab's folder find its library too.
      if (
        /^slimlab(\/|$)/.test(specifier) &&
        (code === "ERR_MODULE_NOT_FOUND" || code === "ERR_PACKAGE_PATH_NOT_EXPORTED")
      ) {
        return importFromPackage(specifier, attributes);
      }
      const name = /^(@[^/]+\/)?[^/]+/.exec(specifier)?.[0];
      if (code === "ERR_MODULE_NOT_FOUND" && name && (error as Error).message.includes(`'${name}'`)) {
        const { jsxHint } = await import("../cell/jsx.ts");
        const install = `is it installed? "npm install ${name}" in that folder does it`;
        throw notFound(specifier, folder, specifier === `${name}/jsx-runtime` ? jsxHint : install);
      }
      throw error;
    }
  }

  const meta = {
    /** What `module` means in a cell, where Node's own modules have theirs. */
    module: {
      exports: {},
      id: ".",
      filename: join(folder, "notebook.ts"),
      loaded: false,
      children: [],
      paths: [],
    },
    url: pathToFileURL(join(folder, "notebook.ts")).href,
    dirname: folder,
    filename: join(folder, "notebook.ts"),
    resolve(specifier: string): string {
      if (isBuiltin(specifier)) return specifier.startsWith("node:") ? specifier : `node:${specifier}`;
      const path = pathOf(specifier, folder);
      return pathToFileURL(path === undefined ? require.resolve(specifier) : path).href;
    },
  };
  Object.defineProperty(meta, "module", { enumerable: false }); // (It is no part of `import.meta`.)
  const define = (name: string, value: unknown) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
  define(importFunction, load);
  define(metaName, meta);
  define("require", require);
  define("reload", reload);
  for (const name of freeModules) provideModule(name, require);
  watchRequire();
}

/** Node's modules that cells have without an import, as Node's REPL has them: those whose name means nothing else. */
const freeModules = [
  "assert async_hooks buffer child_process cluster dgram diagnostics_channel dns events fs http http2 https net os path",
  "perf_hooks querystring readline stream string_decoder timers tls tty url util v8 vm worker_threads zlib",
].flatMap((line) => line.split(" "));

/** Loads a module when its name is first used; a cell that declares or sets the name has it for itself. */
function provideModule(name: string, require: NodeJS.Require): void {
  if (name in globalThis) return;
  const settle = (value: unknown) => {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });
    return value;
  };
  Object.defineProperty(globalThis, name, {
    get: () => settle(require(name)),
    set: settle,
    configurable: true,
    enumerable: false,
  });
}

/**
 * A module with a name for each property of its `module.exports`. Node finds those names by reading the source, which
 * misses many; a cell imports a module that has been loaded, so what is there can be seen.
 */
function withNames(found: ModuleNamespace, file: string | undefined): ModuleNamespace {
  const exports = found.default;
  if (
    file === undefined ||
    (typeof exports !== "object" && typeof exports !== "function") ||
    exports === null
  ) {
    return found;
  }
  // One's own ES module that was compiled to CommonJS, because its folder does not say that it is one: its `default` is
  // its default export, as between two such files, as for TypeScript, and as if the folder had said so.
  if (isProjects(file) && (exports as ModuleNamespace).__esModule === true)
    return namespaceOf(exports as ModuleNamespace);
  if (createdRequire.cache[file]?.exports !== exports) return found;
  const missing = Object.keys(exports).filter((name) => !(name in found));
  if (missing.length === 0) return found;
  const all: ModuleNamespace = Object.create(null);
  for (const name of Object.keys(found)) all[name] = found[name];
  for (const name of missing) {
    Object.defineProperty(all, name, { get: () => (exports as ModuleNamespace)[name], enumerable: true });
  }
  return all;
}

/** The names of a compiled ES module, each with its newest value. */
function namespaceOf(exports: ModuleNamespace): ModuleNamespace {
  const all: ModuleNamespace = Object.create(null, { [Symbol.toStringTag]: { value: "Module" } });
  for (const name of Object.keys(exports).filter((each) => each !== "__esModule")) {
    Object.defineProperty(all, name, { get: () => exports[name], enumerable: true });
  }
  return all;
}

const createdRequire = createRequire(import.meta.url);

/** Node's own `import()` as a file at `base` would call it. */
function importer(base: string): (specifier: string, attributes?: ImportCallOptions) => Promise<unknown> {
  // Node says once, below the first cell that imports, that this loader is experimental: every other warning passes.
  const warn = process.emitWarning as (...args: unknown[]) => void;
  process.emitWarning = (warning: string | Error, ...more: unknown[]) => {
    if (!String(warning).includes("vm.USE_MAIN_CONTEXT_DEFAULT_LOADER")) warn.call(process, warning, ...more);
  };
  return vm.compileFunction(
    "return attributes ? import(specifier, attributes) : import(specifier)",
    ["specifier", "attributes"],
    {
      filename: base,
      importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    },
  ) as (specifier: string, attributes?: ImportCallOptions) => Promise<unknown>;
}

function pathOf(specifier: string, folder: string): string | undefined {
  const bare = specifier.replace(/[?#].*$/s, "");
  if (bare.startsWith("file:")) return fileURLToPath(bare);
  if (isAbsolute(bare)) return bare;
  if (bare === "." || bare === ".." || /^\.\.?\//.test(bare)) return join(folder, bare);
  return undefined;
}

let mayMap: boolean | undefined;

/** The file that tsconfig's `paths` lead to. */
async function mappedFile(specifier: string, folder: string): Promise<string | undefined> {
  const config = findUp(folder, "tsconfig.json");
  mayMap ??= config !== undefined && /"(paths|extends)"/.test(readFileSync(config, "utf8"));
  if (!mayMap) return undefined;
  // What reads tsconfig.json takes its time to load.
  const { pathsOf } = await import("../cell/tsconfig.ts");
  return pathsOf(specifier, folder)
    .map(fileToRun)
    .find((file) => file !== undefined);
}

function queryOf(specifier: string): string {
  return /[?#].*$/s.exec(specifier)?.[0] ?? "";
}

function jsonModule(file: string): ModuleNamespace {
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new SyntaxError(`${file} is not JSON: ${(error as Error).message}`);
  }
  const names = typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
  return Object.assign(Object.create(null), names, { default: value });
}

function notFound(specifier: string, folder: string, hint?: string): Error {
  const error = new Error(`cannot find "${specifier}" from ${folder}${hint ? `: ${hint}` : ""}`);
  return Object.assign(error, { code: "ERR_MODULE_NOT_FOUND" });
}

/** @param importModule imports as a module: tsx's CommonJS half does not find its other half */
async function useTsx(importModule: (name: string) => Promise<unknown>): Promise<void> {
  process.setSourceMapsEnabled(true); // So that errors name the lines of the TypeScript.
  for (const name of ["tsx/esm/api", "tsx/cjs/api"]) {
    const { register } = (await importModule(name)) as { register(): void };
    register();
  }
  registerHook(defaults);
}

/**
 * Whoever asks for the tslab package gets its API in this kernel, and not the one that waits for tslab's own; and who
 * watches one of Node's modules is told.
 */
function watchRequire(): void {
  const internal = Module as unknown as { _load(request: string, ...rest: unknown[]): unknown };
  const load = internal._load;
  internal._load = function (this: unknown, request: string, ...rest: unknown[]) {
    const own = ownModules.get("tslab");
    if (own && (request === "tslab" || /[\\/]tslab[\\/]dist[\\/]public\.js$/.test(request))) return own();
    const found = load.call(this, request, ...rest);
    watchedModules.get(request)?.(found as never);
    return found;
  };
}
