// The project that cells belong to, and the names of the documents in it that exist only in the server's memory.
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { packageRoot } from "../../util/files.ts";
import { projectOptions } from "../cell/tsconfig.ts";

export const prefix = "__slimlab";
export const configName = "tsconfig.__slimlab.json";
export const globalsName = `${prefix}_globals.d.ts`;
export const ambientName = `${prefix}_ambient.d.ts`;

/** The document of a kind. */
export function documentOf(kind: string): string {
  return `${prefix}_${kind}.ts`;
}

/** The documents of cells with JSX, for there `<T>x` is no cast; each way of compiling it has its own. */
export function jsxDocumentOf(kind: string, way: number): string {
  return `${prefix}_${kind}_jsx${way}.tsx`;
}

export interface ProjectSettings {
  /** What a cell has said of strictness. */
  isStrict?: boolean;
  /** Ways of compiling JSX that cells have had: their documents belong to the project. */
  jsx: number;
}

/**
 * The project that cells belong to, as a tsconfig.json that exists only in the server's memory. The folder's own
 * settings count: what code means (decorators, paths, JSX) and how strict to be, but for what makes no sense between
 * cells. Without any, and without a word of a cell's (`heed`), it is strict.
 */
export function projectConfig(folder: string, { isStrict, jsx }: ProjectSettings): object {
  const require = createRequire(join(folder, "noop.js"));
  const files = [documentOf("cell"), documentOf("edit"), globalsName, ambientName];
  for (let way = 0; way < jsx; way++) files.push(jsxDocumentOf("cell", way), jsxDocumentOf("edit", way));
  const { file: own, compilerOptions: theirs } = projectOptions(folder);
  const listed = (name: string) => {
    const value = theirs[name];
    return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
  };
  const compilerOptions: Record<string, unknown> = {
    strict: isStrict ?? theirs.strict ?? true,
    target: "esnext",
    lib: [...listed("lib"), "esnext"],
    module: "preserve",
    moduleResolution: "bundler",
    moduleDetection: "force",
    customConditions: ["node"],
    allowImportingTsExtensions: true,
    resolveJsonModule: true,
    allowJs: true,
    checkJs: false,
    noEmit: true,
    skipLibCheck: true,
    isolatedModules: false,
    verbatimModuleSyntax: false,
    erasableSyntaxOnly: false,
    isolatedDeclarations: false,
    composite: false,
    incremental: false,
    declaration: false,
    declarationMap: false,
    // A project's own package name then means its built types, which belong to the code that runs.
    rootDir: null,
    outDir: null,
    declarationDir: null,
    noUnusedLocals: false,
    noUnusedParameters: false,
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

// ---- names ----

function resolved(require: NodeJS.Require, name: string): string | undefined {
  try {
    return require.resolve(name);
  } catch {
    return undefined;
  }
}
