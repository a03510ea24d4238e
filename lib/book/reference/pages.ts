// The API reference as the book shows it: one Markdown page for each public room. TypeDoc makes it of the TSDoc comments
// in the declarations, in a process of its own, since it needs the compiler in JavaScript; what it made is kept in dist/
// until a declaration or an example changes, and goes into the package, where TypeDoc is not.
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Language } from "../../notebook/notebook.ts";
import { packageRoot, writeFileAtomic } from "../../util/files.ts";

/** A page of the reference. */
export interface ReferencePage {
  slug: string;
  /** Comments are English; the list of rooms is in both languages. */
  language: Language;
  title: string;
  markdown: string;
}

const kept = join(packageRoot, "dist", "reference.json");

/** TypeDoc looks at declarations alone: they say all that it asks, and take a tenth of the time. */
const declarationsOnly = {
  compilerOptions: {
    ...{ target: "es2023", lib: ["es2023", "dom"], module: "nodenext", types: ["node"] },
    ...{ strict: true, skipLibCheck: true, noEmit: true },
  },
  include: ["lib/**/index.d.ts"],
};

/** The public rooms, as package.json names them. */
export function publicRooms(): string[] {
  const { exports } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8"));
  return Object.keys(exports)
    .filter((name) => !name.endsWith(".json"))
    .map((name) => name.slice(2));
}

/** What the pages are made of, as one number. */
function fingerprint(): string {
  const hash = createHash("sha256");
  for (const [folder, ending] of [
    ["dist/lib", ".d.ts"],
    ["test/examples", ".ts"],
    ["dist/lib/book/reference", ".js"],
  ]) {
    const place = join(packageRoot, folder);
    const names = existsSync(place) ? readdirSync(place, { recursive: true, encoding: "utf8" }) : [];
    for (const name of names.filter((name) => name.endsWith(ending)).sort())
      hash.update(`${name}\n`).update(readFileSync(join(place, name)));
  }
  return hash.digest("hex");
}

function isThere(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(`${name}/package.json`);
    return true;
  } catch {
    return false;
  }
}

/**
 * The pages: those that are kept, made anew where TypeDoc is there and something has changed; none without both.
 *
 * @throws Error with TypeDoc's own words where it fails
 */
export async function referencePages(): Promise<ReferencePage[]> {
  const found = existsSync(kept) ? JSON.parse(readFileSync(kept, "utf8")) : undefined;
  if (!isThere("typedoc")) return found?.pages ?? [];
  const key = fingerprint();
  if (found?.key === key) return found.pages;
  // TypeScript 7 has no compiler in JavaScript: TypeDoc gets the last one that has.
  const hook = `export const resolve = (name, context, next) => next(name === "typescript" ? "typescript-js" : name, context);`;
  const register = `import { register } from "node:module"; register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});`;
  const settings = join(packageRoot, "dist", "reference.tsconfig.json");
  await writeFileAtomic(settings, JSON.stringify(declarationsOnly));
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      "--import",
      `data:text/javascript,${encodeURIComponent(register)}`,
      join(packageRoot, "dist", "lib", "book", "reference", "extract.js"),
      settings,
      ...publicRooms(),
    ],
    { cwd: packageRoot, maxBuffer: 2 ** 26 },
  );
  const pages: ReferencePage[] = JSON.parse(stdout);
  await writeFileAtomic(kept, JSON.stringify({ key, pages }));
  return pages;
}
