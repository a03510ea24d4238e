// The ground of a language service on a machine: its files, and TypeScript's native server as a process.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { packageRoot } from "../../util/files.ts";
import { sweep } from "../../util/temporary.ts";
import { projectOptions } from "../cell/tsconfig.ts";
import { machineGlobals } from "./globals.ts";
import type { Ground } from "./ground.ts";
import { Home, homePrefix } from "./home.ts";
import { LanguageService, type LanguageServiceOptions } from "./language.ts";
import { findServer, LspClient } from "./lsp.ts";
import { configName, documentsOf, ownOptions, type ProjectSettings } from "./project.ts";
import { slashes } from "./text.ts";
import { ProjectFiles } from "./watch.ts";

/** The language service for a folder of this machine. */
export function machineService({
  folder,
  ...options
}: Omit<LanguageServiceOptions, "ground"> & { folder: string }): LanguageService {
  return new LanguageService({ ground: machine(resolve(folder)), ...options });
}

function machine(folder: string): Ground {
  return {
    folder: slashes(folder),
    globals: machineGlobals,
    starts: { within: 15_000, again: false },
    connect: () => new LspClient(findServer(), folder),
    uriOf: (path) => pathToFileURL(path).href,
    pathOf: (uri) => slashes(fileURLToPath(uri)),
    read: (path) => readFileSync(path, "utf8"),
    compilerOptions: () => projectOptions(folder).compilerOptions,
    project: (settings) => projectConfig(folder, settings),
    watch: (changed) => new ProjectFiles(folder, changed),
    ownFolder: () => new Home(),
    sweep: () => void sweep(homePrefix),
  };
}

/**
 * The project that cells belong to, as a tsconfig.json that exists only in the server's memory. The folder's own
 * settings count: what code means (decorators, paths, JSX) and how strict to be, but for what makes no sense between
 * cells. Without any, and without a word of a cell's (`heed`), it is strict.
 */
function projectConfig(folder: string, settings: ProjectSettings): object {
  const require = createRequire(join(folder, "noop.js"));
  // (An open document that belongs to no project would get one of its own: so would this text.)
  const files = [configName, ...documentsOf(settings)];
  const { file: own, compilerOptions: theirs } = projectOptions(folder);
  const listed = (name: string) => {
    const value = theirs[name];
    return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
  };
  const compilerOptions: Record<string, unknown> = {
    ...ownOptions,
    strict: settings.isStrict ?? theirs.strict ?? true,
    lib: [...listed("lib"), "esnext"],
    customConditions: ["node"],
    types: [...new Set([...listed("types"), "node"])],
  };
  // The user's own @types/node goes first; slimlab brings one for folders that have none.
  if (!resolved(require, "@types/node/package.json")) {
    compilerOptions.types = listed("types");
    const bundled = createRequire(import.meta.url).resolve("@types/node/package.json");
    files.push(join(dirname(bundled), "index.d.ts"));
  }
  // A notebook outside any project can still import slimlab's modules; inside, the same line lists them to complete.
  const slimlab = resolved(require, "slimlab/package.json");
  // Cells import .tsx files whether or not the folder says how JSX is to be compiled. (Cells say it for themselves.)
  if (theirs.jsx === undefined) compilerOptions.jsx = "react-jsx";
  const hasPaths = theirs.paths !== undefined;
  if (!hasPaths && (!slimlab || dirname(slimlab) === packageRoot)) {
    compilerOptions.paths = { "slimlab/*": [join(packageRoot, "dist/lib/*/index.d.ts")] };
  }
  // The folder's own declarations count for all its notebooks.
  return { ...(own ? { extends: own } : {}), compilerOptions, files, include: ["./*.d.ts"] };
}

function resolved(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}
