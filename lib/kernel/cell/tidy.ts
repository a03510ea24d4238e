// What a compiler prints of a cell, put right on its syntax tree for V8's REPL mode, or as the body of a function. Its helpers
// and temporaries are `var`s, which would outlive the cell and be seen by the next.
import { parse } from "@babel/parser";
import { goName } from "../../util/turn.ts";
import type { SourceMap } from "./code.ts";
import { withoutData } from "./data.ts";
import {
  type Edit,
  editedText,
  lineStarts,
  type PlaceInSource,
  readMappings,
  type Segment,
  segmentAt,
  wordMap,
} from "./edits.ts";
import type { JsxSettings } from "./jsx.ts";
import { contains, eachChild, isFunction, isNode, type Node, type Of, type Statement } from "./tree.ts";
import type { ClassOptions } from "./tsconfig.ts";
import { importFunction, resultMark } from "./words.ts";

export interface CompileOptions extends ClassOptions {
  javascript?: boolean;
  /** Enums and namespaces, which the cell's first line declares. */
  mergedNames: ReadonlySet<string>;
  /** Everything is put in a block, which keeps helpers and temporaries from the next cell. */
  block: boolean;
  /** How JSX is compiled, where the cell has any. */
  jsxSettings?: JsxSettings;
}

/**
 * Puts a compiler's output right.
 *
 * @param compiled its map leads to `text`, which it was given
 * @returns the code with a map that leads to the cell by way of `place`
 */
export function tidy(
  compiled: string,
  { mappings, names }: Pick<SourceMap, "mappings" | "names">,
  text: string,
  place: PlaceInSource,
  options: CompileOptions,
): { code: string; map: SourceMap } {
  const segments = readMappings(mappings);
  const renamed = renamedIn(compiled, segments, names, text);
  const tidy = editedText(compiled, tidied(compiled, renamed, options), { block: options.block });
  const map = wordMap(tidy.text, (line, column) => {
    const { sourceLine, sourceColumn } = segmentAt(segments, ...tidy.place(line, column)) ?? {
      sourceLine: 0,
      sourceColumn: 0,
    };
    return place(sourceLine, sourceColumn);
  });
  return { code: tidy.text, map };
}

/**
 * esbuild lets no inner name hide an outer one: `C = class C {}` becomes `C = class C2 {}`, and `C2` is what its objects
 * would say of themselves. The names that are such, with what stands in the source.
 */
function renamedIn(code: string, segments: Segment[], names: string[], source: string): Map<string, string> {
  const renamed = new Map<string, string>();
  const lines = lineStarts(code);
  const sourceLines = lineStarts(source);
  const word = /[\p{ID_Continue}$]+/uy;
  for (const { line, column, sourceLine, sourceColumn, name } of segments) {
    if (name === undefined) continue;
    word.lastIndex = lines[line] + column;
    const found = word.exec(code)?.[0];
    const own = names[name];
    // (Temporaries come from places where something else stands.)
    const isOwn = source.startsWith(own, sourceLines[sourceLine] + sourceColumn);
    if (!isOwn || !found?.startsWith(own) || !/^\d+$/.test(found.slice(own.length))) continue;
    // A name that the source has as well could be either: all stay as they are.
    if (source.includes(found)) return new Map();
    renamed.set(found, own);
  }
  return renamed;
}

/** What is to be changed of a compiler's JavaScript. */
function tidied(code: string, renamed: ReadonlyMap<string, string>, options: CompileOptions): Edit[] {
  const { program } = parse(withoutData(code).text, {
    sourceType: "module",
    strictMode: options.javascript ? false : undefined,
    plugins: ["explicitResourceManagement", "importAttributes", "decoratorAutoAccessors"],
  }) as unknown as { program: { body: Statement[] } };
  const edits: Edit[] = [];
  for (const statement of program.body) {
    if (statement.type === "VariableDeclaration" && statement.kind === "var")
      topLevelVar(statement, options, edits);
    if (statement.type === "ImportDeclaration") runtimeImport(statement, edits);
  }
  list(program.body, edits);
  for (const statement of program.body) walk(statement, false, edits);
  if (renamed.size > 0) for (const statement of program.body) giveBack(statement, renamed, edits);
  return edits;
}

/** Puts the source's names back. (What has a name as a property keeps it in any case.) */
function giveBack(node: Node, renamed: ReadonlyMap<string, string>, edits: Edit[]): void {
  if (node.type === "Identifier") {
    const text = renamed.get(node.name);
    if (text !== undefined) edits.push({ start: node.start, end: node.start + node.name.length, text });
    return;
  }
  const isPlain = !("computed" in node && node.computed);
  eachChild(node, (child, key) => {
    if (!(isPlain && (key === "property" || key === "key"))) giveBack(child, renamed, edits);
  });
}

/** `import { jsx } from "react/jsx-runtime"`, esbuild's own: a cell's imports are calls by now. */
function runtimeImport({ start, end, source, specifiers }: Of<"ImportDeclaration">, edits: Edit[]): void {
  const names = specifiers.flatMap((each) => {
    if (each.type !== "ImportSpecifier") return [];
    const { imported, local } = each;
    return "name" in imported ? [`${imported.name}: ${local.name}`] : [];
  });
  const call = `${goName}(await ${importFunction}(${JSON.stringify(source.value)}))`;
  edits.push({ start, end, text: `const { ${names.join(", ")} } = ${call};` });
}

function topLevelVar(node: Of<"VariableDeclaration">, options: CompileOptions, edits: Edit[]): void {
  const [{ id, init, start }] = node.declarations;
  if (id.type === "Identifier" && options.mergedNames.has(id.name)) {
    edits.push({ start: node.start, end: init ? start : node.end, text: init ? "" : ";" });
  } else if (options.block) edits.push({ start: node.start, end: node.start + 3, text: "let" });
}

/** `inside`: inside of a function, whose `var`s are its own. */
function walk(node: Node, inside: boolean, edits: Edit[]): void {
  if (
    node.type === "CallExpression" &&
    node.callee.type === "Identifier" &&
    node.callee.name === resultMark
  ) {
    edits.push({ start: node.callee.start, end: node.callee.end, text: "" });
  }
  const statements = "body" in node ? node.body : "consequent" in node ? node.consequent : undefined;
  if (Array.isArray(statements)) {
    list(statements as Node[], edits);
    if (!inside) for (const each of statements as Node[]) blockVar(each, edits);
  }
  if (!inside && /^For/.test(node.type)) {
    const head = "init" in node ? node.init : "left" in node ? node.left : undefined;
    if (isNode(head)) blockVar(head, edits);
  }
  if (node.type === "SequenceExpression") selfReference(node, edits);
  inside ||= isFunction(node) || node.type === "StaticBlock";
  eachChild(node, (child) => walk(child, inside, edits));
}

/**
 * `_a = class { static made = new _a() }, …, _a = __decorateElement(init, 0, "C", decorators, _a)`: what is static finds
 * the class and its name before it has been decorated.
 */
function selfReference({ expressions }: Of<"SequenceExpression">, edits: Edit[]): void {
  for (const each of expressions) {
    if (each.type !== "AssignmentExpression" || each.left.type !== "Identifier") continue;
    const { right, left } = each;
    if (right.type !== "ClassExpression" || right.id) continue;
    const isOwn = (node: Node) => node.type === "Identifier" && node.name === left.name;
    if (!contains(right.body, isOwn)) continue;
    const named = expressions.flatMap((call) =>
      call.type === "AssignmentExpression" && isOwn(call.left) && call.right.type === "CallExpression"
        ? call.right.arguments.filter(({ type }) => type === "StringLiteral")
        : [],
    )[0];
    if (named?.type !== "StringLiteral") continue;
    const name = `Object.defineProperty(this, "name", { value: ${JSON.stringify(named.value)}, configurable: true });`;
    const at = right.body.start + 1;
    edits.push({ start: at, end: at, text: ` static { ${left.name} = this; ${name} }` });
  }
}

/** A temporary in a block: the cell's own `var`s are assignments by now. */
function blockVar(node: Node, edits: Edit[]): void {
  if (node.type === "VariableDeclaration" && node.kind === "var")
    edits.push({ start: node.start, end: node.start + 3, text: "let" });
}

/**
 * `var _stack = []; try { … } catch (_) { var _error = _, _hasError = true; } finally { __callDispose(_stack, _error,
 * _hasError) }`: the two are declared with the stack, so that each turn of a loop, and each cell, begins without an error.
 */
function list(statements: Node[], edits: Edit[]): void {
  for (const [index, node] of statements.entries()) {
    if (node.type !== "TryStatement") continue;
    const first = node.handler?.body.body[0];
    const stack = statements[index - 1];
    const isOurs =
      first?.type === "VariableDeclaration" &&
      first.kind === "var" &&
      stack?.type === "VariableDeclaration" &&
      node.finalizer != null &&
      contains(node.finalizer, (each) => each.type === "Identifier" && each.name === "__callDispose");
    if (!isOurs) continue;
    const names = first.declarations.flatMap(({ id }) => (id.type === "Identifier" ? [id.name] : []));
    edits.push({
      start: stack.declarations.at(-1)!.end,
      end: stack.declarations.at(-1)!.end,
      text: `, ${names.join(", ")}`,
    });
    edits.push({ start: first.start, end: first.declarations[0].start, text: "" });
    blockVar(stack, edits);
    first.kind = stack.kind = "let"; // Done: what comes here next leaves them alone.
  }
}
