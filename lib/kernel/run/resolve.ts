// Which file a relative import means: asked when a module is loaded, when its types are watched, and nowhere else.
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";

/** The endings that an import may leave out, in TypeScript's order; declarations stand for JavaScript without types. */
const endings = [".ts", ".tsx", ".d.ts", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".json"];

/**
 * Every file that an import of a path may mean, the first that exists being the one, as TypeScript has it: `./a`, `./a.js`
 * and `./a.ts` may all mean `a.ts`, and a folder means its `index`.
 */
function* candidates(path: string): Generator<string> {
  const script = /^(.*)\.([cm]?)js(x?)$/.exec(path);
  if (script) {
    const [, stem, kind, x] = script;
    for (const ending of x || kind ? [`${kind}ts${x}`] : ["ts", "tsx"]) yield `${stem}.${ending}`;
    yield `${stem}.d.${kind}ts`;
  }
  yield path;
  for (const ending of endings) yield path + ending;
  const main = mainOf(path);
  if (main !== undefined && main !== path) yield* candidates(main);
  for (const ending of endings) yield join(path, `index${ending}`);
}

/** What a folder's package.json calls its entry. */
function mainOf(folder: string): string | undefined {
  try {
    const { main } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { main?: unknown };
    return typeof main === "string" ? join(folder, main) : undefined;
  } catch {
    return undefined;
  }
}

const isDeclaration = (file: string) => /\.d\.[cm]?ts$/.test(file);

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** The file that runs when a path without a specifier's query is imported. */
export function fileToRun(path: string): string | undefined {
  for (const each of candidates(path)) if (!isDeclaration(each) && isFile(each)) return each;
  return undefined;
}

/**
 * The files that decide what types an import of a path has: those that would be looked for first, and the one that is
 * there, last. Where none is, `found` is undefined and the list is every place where it may appear.
 */
export function filesOfTypes(path: string): { found: string | undefined; watched: string[] } {
  const watched: string[] = [];
  for (const each of candidates(path)) {
    watched.push(each);
    if (isFile(each)) return { found: each, watched };
  }
  return { found: undefined, watched };
}

/** The nearest file of a name, from a folder upwards. */
export function findUp(folder: string, name: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, name))) return join(at, name);
    if (dirname(at) === at) return undefined;
  }
}
