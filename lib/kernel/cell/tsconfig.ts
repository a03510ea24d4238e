// What the nearest tsconfig.json says, with what it extends: of how classes compile, of types, of paths.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, resolve } from "node:path";
import { parseExpression } from "@babel/parser";
import { findUp } from "../run/resolve.ts";
import { type JsxOptions, jsxOptions } from "./jsx.ts";
import type { Expression } from "./tree.ts";

export interface ClassOptions extends JsxOptions {
  /** Decorators as TypeScript had them before the standard's. Default: what the folder's tsconfig.json says. */
  experimentalDecorators?: boolean;
  /** Class fields by definition, as the standard has them, or by assignment. Default: what tsconfig.json says. */
  useDefineForClassFields?: boolean;
}

export interface ProjectOptions {
  /** The nearest tsconfig.json. */
  file?: string;
  /** Its compilerOptions over those of what it extends. */
  compilerOptions: Record<string, unknown>;
  /** Where its `paths` lead from. */
  pathsFrom?: string;
}

const known = new Map<string, ProjectOptions>();

/** What the nearest tsconfig.json says; it is read once. */
export function projectOptions(folder: string): ProjectOptions {
  let found = known.get(folder);
  if (!found) {
    const file = findUp(folder, "tsconfig.json");
    found = file ? { file, ...read(file, 0) } : { compilerOptions: {} };
    known.set(folder, found);
  }
  return found;
}

export function classOptions(folder: string): ClassOptions {
  const { compilerOptions } = projectOptions(folder);
  const { experimentalDecorators, useDefineForClassFields } = compilerOptions;
  const options: ClassOptions = jsxOptions(compilerOptions);
  if (typeof experimentalDecorators === "boolean") options.experimentalDecorators = experimentalDecorators;
  if (typeof useDefineForClassFields === "boolean") options.useDefineForClassFields = useDefineForClassFields;
  return options;
}

function read(config: string, depth: number): ProjectOptions {
  const merged: ProjectOptions = { compilerOptions: {} };
  let parsed: { extends?: string | string[]; compilerOptions?: Record<string, unknown> };
  try {
    // tsconfig.json has comments and trailing commas: an object literal, which the parser at hand reads.
    parsed = literalOf(parseExpression(readFileSync(config, "utf8")) as Expression) as typeof parsed;
  } catch {
    return merged;
  }
  for (const base of [parsed?.extends ?? []].flat()) {
    if (depth > 10 || typeof base !== "string") break;
    try {
      const path = /^\.{0,2}[\\/]/.test(base)
        ? resolve(dirname(config), base)
        : createRequire(config).resolve(base);
      const below = read(existsSync(path) ? path : `${path}.json`, depth + 1);
      Object.assign(merged.compilerOptions, below.compilerOptions);
      merged.pathsFrom = below.pathsFrom ?? merged.pathsFrom;
    } catch {}
  }
  const own = parsed?.compilerOptions ?? {};
  Object.assign(merged.compilerOptions, own);
  if (own.paths || own.baseUrl) {
    merged.pathsFrom = resolve(dirname(config), typeof own.baseUrl === "string" ? own.baseUrl : ".");
  }
  return merged;
}

/** The files that a bare specifier may mean by tsconfig's `paths`, without their endings; the longest pattern first. */
export function pathsOf(specifier: string, folder: string): string[] {
  const { compilerOptions, pathsFrom } = projectOptions(folder);
  const { paths } = compilerOptions;
  if (typeof paths !== "object" || paths === null || pathsFrom === undefined) return [];
  const patterns = Object.entries(paths).sort(([a], [b]) => b.indexOf("*") - a.indexOf("*"));
  for (const [pattern, targets] of patterns) {
    const [before, after] = pattern.split("*");
    const matches =
      after === undefined
        ? specifier === pattern
        : specifier.length >= before.length + after.length &&
          specifier.startsWith(before) &&
          specifier.endsWith(after);
    if (!matches || !Array.isArray(targets)) continue;
    const star = after === undefined ? "" : specifier.slice(before.length, specifier.length - after.length);
    return targets
      .filter((each) => typeof each === "string")
      .map((each) => resolve(pathsFrom, each.replace("*", star)));
  }
  return [];
}

/** The value of a JSON-like expression. */
function literalOf(node: Expression): unknown {
  switch (node.type) {
    case "ArrayExpression":
      return node.elements.map((each) => each && each.type !== "SpreadElement" && literalOf(each));
    case "ObjectExpression":
      return Object.fromEntries(
        node.properties.flatMap((each) => {
          if (each.type !== "ObjectProperty") return [];
          const key =
            each.key.type === "StringLiteral"
              ? each.key.value
              : each.key.type === "Identifier" && each.key.name;
          return typeof key === "string" ? [[key, literalOf(each.value as Expression)]] : [];
        }),
      );
    case "StringLiteral":
    case "NumericLiteral":
    case "BooleanLiteral":
      return node.value;
    default:
      return undefined;
  }
}
