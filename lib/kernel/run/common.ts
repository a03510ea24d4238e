// A package that is CommonJS, as the module that Node makes of it. Node reads the whole of its source, and of all that it
// passes on, in search of the names of its exports: for TensorFlow.js 0.4 s, three times of what it takes to run. A cell
// has the package run first, so its names can be seen, and all of them.
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import { types } from "node:util";
import { findUp } from "./resolve.ts";

const packageName = /^(?:@[^/?#]+\/)?[^@/?#][^/?#]*/;

/**
 * Whether a file that `require` finds for a specifier is what `import` means by it, and is CommonJS: not where a package
 * says what it exports to whom, and not where Node would have to read the file to know what it is.
 */
export function isCommon(specifier: string, file: string): boolean {
  const name = packageName.exec(specifier)?.[0];
  // An import says which file it means; only `require` looks for one.
  if (name === undefined || !/\.c?js$/.test(file) || (specifier !== name && !/\.c?js$/.test(specifier)))
    return false;
  const config = findUp(dirname(file), "package.json");
  if (config === undefined) return false;
  const found = JSON.parse(readFileSync(config, "utf8")) as Record<string, unknown>;
  if (found.name !== name || found.exports !== undefined || found.type === "module") return false;
  return file.endsWith(".cjs") || found.type === "commonjs" || !statement.test(readFileSync(file, "utf8"));
}

/** What a line of an ES module begins with. */
const statement = /^[ \t]*(?:import|export)\b/m;

/**
 * The source of a module with the exports of a CommonJS module that has run; undefined where reading one of them would do
 * more than that: packages load their parts that way.
 */
export function moduleOf(exports: unknown, file: string): string | undefined {
  if (types.isModuleNamespaceObject(exports)) return undefined;
  const isObject = (typeof exports === "object" && exports !== null) || typeof exports === "function";
  const names = isObject ? Object.keys(exports).filter((name) => name !== "default") : [];
  for (const name of names) {
    const getter = Object.getOwnPropertyDescriptor(exports, name)!.get;
    if (getter && /\(.*\(/s.test(Function.prototype.toString.call(getter))) return undefined;
  }
  // Newer Nodes export the whole by this name, too.
  const whole =
    Number.parseInt(process.versions.node, 10) >= 23 ? ["default", "module.exports"] : ["default"];
  const list = (line: (quoted: string, i: number) => string) =>
    names.map((name, i) => line(JSON.stringify(name), i)).join(", ");
  return `import { createRequire } from "node:module";
const whole = createRequire(${JSON.stringify(file)})(${JSON.stringify(file)});
const { ${list((name, i) => `${name}: _${i}`)} } = Object(whole);
export { ${whole.map((name) => `whole as ${JSON.stringify(name)}, `).join("")}${list((name, i) => `_${i} as ${name}`)} };
`;
}
