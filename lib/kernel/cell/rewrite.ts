// Finds a cell's names, imports, exports and types in its syntax tree, and edits the cell's text for V8's REPL mode.
import type { Declared } from "./code.ts";
import { rewriteStatement } from "./declarations.ts";
import { Draft, type RewriteOptions } from "./draft.ts";
import type { Edit, Moved } from "./edits.ts";
import { type JsxSettings, jsxNames, jsxSettings, pragmaPlaces } from "./jsx.ts";
import { accessorOf, provided } from "./live.ts";
import { keepResult } from "./result.ts";
import { lexicalNames } from "./scope.ts";
import { type CellTree, contains, isLowered, type Node } from "./tree.ts";
import { rewriteUses } from "./uses.ts";
import { Walker } from "./walk.ts";
import { functionsName, liveName, resultName, setterOf } from "./words.ts";

/** A cell's edits, and what it tells of itself on the way: see `CellCode`. */
export interface Rewritten {
  edits: Edit[];
  /** The edited text is TypeScript for a compiler, and not yet what runs. */
  compiles: boolean;
  /** The compiler has something to lower and will make helpers and temporaries. */
  lowered: boolean;
  mergedNames: ReadonlySet<string>;
  /** What the cell needs declared before its own lines. */
  firstLine: string;
  /** Pieces of the cell that move above its lines, and what follows them. */
  head: Moved[];
  headEnd: string;
  /** The cell's statements stand in a block. */
  block: boolean;
  declared: Declared[];
  references: Set<string>;
  showsResult: boolean;
  isObject: boolean;
  initialized: string[];
  reset: string[];
  deferred: [start: number, end: number][];
  isAmbient: boolean;
  ambientModules: [start: number, end: number][];
  globalInterfaces: [start: number, end: number][];
  /** How the cell's JSX is compiled, where it has any, and where it stands. */
  jsx?: { settings: JsxSettings; compiled: JsxSettings; places: [start: number, end: number][] };
}

export function rewriteCell(source: string, tree: CellTree, options: RewriteOptions): Rewritten {
  const cell = new Draft(source, tree, options);
  const { body, interpreter } = tree;
  const { names, references, types } = cell;
  if (interpreter) cell.replace(interpreter.start, interpreter.end, "");
  const jsx = jsxOf(cell);
  if (jsx) {
    for (const name of jsxNames(jsx)) references.add(name);
    for (const at of pragmaPlaces(source)) cell.replace(at, at + 1, "");
  }
  const lowered = jsx !== undefined || hasLowered(cell);
  const scoped = lowered || cell.inFunction;
  for (const statement of body) rewriteStatement(cell, statement, scoped);
  const walker = new Walker(cell);
  walker.walkAll();
  const compiles =
    options.compile ||
    lowered ||
    types.needsCompiler ||
    (types.found && options.useDefineForClassFields === false);
  const showsResult = keepResult(cell, compiles);
  rewriteUses(cell);
  for (const { name } of names.all()) references.delete(name);
  for (const each of names.declared) each.exported = names.exported.has(each.name);
  for (const { at, text } of cell.closings) cell.insert(at, text);
  return {
    edits: compiles ? cell.edits : cell.edits.concat(types.edits),
    compiles,
    lowered,
    mergedNames: cell.mergedNames,
    firstLine: (cell.isStrict ? '"use strict";' : "") + firstDeclarations(cell),
    head: cell.head,
    headEnd: cell.functions.length > 0 ? functionsNamed(cell) : "",
    block: cell.block,
    declared: names.declared,
    references,
    showsResult,
    isObject: tree.bareObject,
    initialized: names.initialized,
    reset: cell.inFunction ? names.reset : [],
    deferred: walker.deferred,
    isAmbient: cell.isAmbient,
    ambientModules: cell.ambientModules,
    globalInterfaces: cell.globalInterfaces,
    jsx: jsx && { settings: jsx, compiled: compiledJsx(cell, jsx), places: walker.jsxPlaces },
  };
}

function jsxOf({ source, tree, options }: Draft): JsxSettings | undefined {
  if (!tree.jsx) return undefined;
  const own = lexicalNames(tree.body);
  for (const each of tree.body)
    if (each.type === "ImportDeclaration") for (const { local } of each.specifiers) own.add(local.name);
  return jsxSettings(source, options, (name) => own.has(name) || options.names?.kind(name) !== undefined);
}

/** The settings as the compiler has them, which makes calls of the names that V8 knows. */
function compiledJsx({ names }: Draft, jsx: JsxSettings): JsxSettings {
  const inV8 = (path: string) => path.replace(/^[^.]+/, (name) => names.inV8(name));
  return { ...jsx, factory: inV8(jsx.factory), fragment: inV8(jsx.fragment) };
}

function hasLowered({ source, tree, options }: Draft): boolean {
  if (!/@|\b(using|accessor)\b/.test(source)) return false;
  // Experimental decorators take class declarations only, and need no temporaries that cells could share.
  const test = (node: Node) =>
    isLowered(node) && !(options.experimentalDecorators && node.type === "Decorator");
  return tree.body.some((statement) => contains(statement, test));
}

function functionsNamed({ functions, names }: Draft): string {
  return `globalThis.${functionsName}?.(${functions.map((name) => names.inV8(name)).join(", ")});`;
}

/** The `let`s of the first line. */
function firstDeclarations({ names, options, inFunction, blockFunctions }: Draft): string {
  const reset = inFunction ? [] : names.reset;
  let text = reset.length > 0 ? `let ${reset.join(", ")};` : "";
  text += inFunction ? `let ${resultName};` : globalProperties({ names, options });
  for (const name of blockFunctions)
    text += `let ${setterOf(name)} = (value) => { ${names.inV8(name)} = value; };`;
  for (const { name, value, live } of names.all()) {
    const before = value && live === undefined ? options.names?.exportOf(name) : undefined;
    if (before === undefined) continue;
    // Earlier cells' functions that name an import find what is declared now.
    const now = names.inV8(name);
    text += `${liveName}.${now} = { get ${JSON.stringify(before)}() { return ${now}; } };`;
  }
  return text;
}

/** Makes properties of the global object of what a script would: V8's `let`s are none. */
function globalProperties({ names, options }: Pick<Draft, "names" | "options">): string {
  const isOne = (kind: string | undefined) => kind === "var" || kind === "function";
  const accessors: string[] = [];
  for (const { name, kind, value } of names.all()) {
    if (!value || !isOne(kind) || names.isRenamed(name) || isOne(options.names?.kind(name))) continue;
    accessors.push(accessorOf(name, name));
  }
  return provided(accessors);
}
