// What the nearest tsconfig.json says of how classes compile.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { parseExpression } from "@babel/parser";
import type { Expression } from "./tree.ts";

export interface ClassOptions {
  /** Decorators as TypeScript had them before the standard's. Default: what the folder's tsconfig.json says. */
  experimentalDecorators?: boolean;
  /** Class fields by definition, as the standard has them, or by assignment. Default: what tsconfig.json says. */
  useDefineForClassFields?: boolean;
}

const knownOptions = new Map<string, ClassOptions>();

/** What the nearest tsconfig.json says of classes; it is read once. */
export function classOptions(folder: string): ClassOptions {
  let known = knownOptions.get(folder);
  if (!known) {
    const config = findUp(folder, "tsconfig.json");
    known = config ? readClassOptions(config, 0) : {};
    knownOptions.set(folder, known);
  }
  return known;
}

function readClassOptions(config: string, depth: number): ClassOptions {
  let parsed: { extends?: string | string[]; compilerOptions?: Record<string, unknown> };
  try {
    // tsconfig.json has comments and trailing commas: an object literal, which the parser at hand reads.
    parsed = literalOf(parseExpression(readFileSync(config, "utf8")) as Expression) as typeof parsed;
  } catch {
    return {};
  }
  const options: ClassOptions = {};
  for (const base of [parsed.extends ?? []].flat()) {
    if (depth > 10 || typeof base !== "string") break;
    try {
      const path = /^\.{0,2}[\\/]/.test(base)
        ? resolve(dirname(config), base)
        : createRequire(config).resolve(base);
      Object.assign(options, readClassOptions(existsSync(path) ? path : `${path}.json`, depth + 1));
    } catch {}
  }
  const { experimentalDecorators, useDefineForClassFields } = parsed.compilerOptions ?? {};
  if (typeof experimentalDecorators === "boolean") options.experimentalDecorators = experimentalDecorators;
  if (typeof useDefineForClassFields === "boolean") options.useDefineForClassFields = useDefineForClassFields;
  return options;
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

/** The nearest file of a name, from a folder upwards. */
export function findUp(folder: string, name: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, name))) return join(at, name);
    if (dirname(at) === at) return undefined;
  }
}
