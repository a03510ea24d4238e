// From a TypeScript cell to JavaScript for V8's REPL mode.
//
// V8 lets a later script redeclare a `let` or a class as a `let` or a class again, and nothing else: `const` over
// `let`, or a function over either, is a SyntaxError. So every name that a cell declares at its top level becomes
// a `let` (or stays a class), and a redefinition always works whatever the name was before. TypeScript still sees
// the cell as written, so assigning to a `const` is still reported.
//
// One parse finds names, imports, exports and types, and all edits are made on the cell's text. Where that is not
// enough (enums, decorators, what the running Node lacks), esbuild compiles the edited TypeScript.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { type ParserOptions, type ParserPlugin, parse, parseExpression } from "@babel/parser";
import type { Message, TransformOptions } from "esbuild";
import { goName } from "../../util/turn.ts";
import { type Edit, editedText, type Moved, type PlaceInSource, shiftMap, wordMap } from "./edits.ts";
import { hasValues, TypeEraser } from "./erase.ts";

export type DeclaredKind =
  | "let"
  | "const"
  | "var"
  | "function"
  | "class"
  | "enum"
  | "namespace"
  | "type"
  | "interface"
  | "import";

/** A name that a cell declares at its top level. */
export interface Declared {
  name: string;
  kind: DeclaredKind;
  /** The name has a value at run time. An import may turn out to be a type only; it counts as a value. */
  value: boolean;
  /** The name can stand where a type is expected. */
  type: boolean;
  /** The cell itself exports the name, under this name. */
  exported: boolean;
  /** Where the name stands in the cell, as a UTF-16 offset. */
  start: number;
}

/** A cell ready to run: what `Runtime.evaluate` with `replMode` takes. */
export interface CellCode {
  /** JavaScript for V8's REPL mode. */
  code: string;
  /** Source map (version 3) from `code` to the cell's TypeScript. */
  map: SourceMap;
  /** Names declared at the top level. */
  declared: Declared[];
  /** Identifiers that the cell mentions and does not declare at its top level. */
  references: Set<string>;
  /** The last statement is an expression, so its value is the cell's result. */
  showsResult: boolean;
}

export interface SourceMap {
  version: 3;
  sources: string[];
  sourcesContent: string[];
  names: string[];
  mappings: string;
}

export interface TransformCellOptions {
  /** The cell's name in stack traces and in the source map. */
  name: string;
  /** The cell is JavaScript: no types, and sloppy mode as in Node's own REPL. */
  javascript?: boolean;
  /** The notebook's folder, whose tsconfig.json may ask for experimental decorators. Default: the working directory. */
  folder?: string;
  /** Decorators as TypeScript had them before the standard's. Default: what the folder's tsconfig.json says. */
  experimentalDecorators?: boolean;
  /** Class fields by definition, as the standard has them, or by assignment. Default: what tsconfig.json says. */
  useDefineForClassFields?: boolean;
  /** Names that earlier cells have declared although Node has them as globals: see `isNodes`. */
  ownGlobals?: ReadonlySet<string>;
  /** Have esbuild take the types out even where taking their text away is enough: the two must agree. */
  compile?: boolean;
}

const nodeGlobals = new Set(Object.getOwnPropertyNames(globalThis));
for (const name of ["undefined", "NaN", "Infinity"]) nodeGlobals.delete(name);

/**
 * Whether a declaration takes a name that Node has as a global. V8 keeps cells' names in one scope with every module of
 * the process, so `const performance = 1` would take `performance.now()` from all packages: such a name gets another.
 * (esbuild declares enums and namespaces itself, under their own names.)
 */
export function isNodes({ name, kind, value }: Declared): boolean {
  return value && kind !== "enum" && kind !== "namespace" && nodeGlobals.has(name);
}

/** The other name: to the eye the same, by a joiner of no width. */
export function ownName(name: string): string {
  return `${name}\u200d`;
}

/** The cell is not TypeScript (or JavaScript) that can be read. */
export class CellSyntaxError extends SyntaxError {
  override name = "SyntaxError";
  /** 1-based line in the cell. */
  line: number;
  /** 1-based column in the line, in UTF-16 units. */
  column: number;
  constructor(message: string, line: number, column: number) {
    super(message);
    this.line = line;
    this.column = column;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: Babel's node types are a union of hundreds; one loose shape reads better here.
type Node = any;

const nodeTarget = `node${process.versions.node.split(".").slice(0, 2).join(".")}`;

/** Names of the functions that cells' rewritten imports call; the kernel defines them as globals. */
export const importFunction = "__slimlab_import";
export const metaName = "__slimlab_meta";

/** Warms what every cell goes through, so that the first cell does not wait for it. */
export async function warmTransform(): Promise<void> {
  await transformCell("const warm: number = await Promise.resolve(1)", { name: "warm" });
}

/**
 * Turns a cell into JavaScript for V8's REPL mode, with a source map back to the cell.
 * Imports become calls of `__slimlab_import(specifier, attributes?)`, `import.meta` becomes `__slimlab_meta`, and what
 * has waited asks `__slimlab_go` whether it may go on.
 * @throws CellSyntaxError with line, column and code frame.
 */
export async function transformCell(source: string, options: TransformCellOptions): Promise<CellCode> {
  options = { ...classOptions(options.folder ?? process.cwd()), ...options };
  const tree = parseCell(source, options);
  const cell = new CellRewriter(source, tree, options);
  cell.rewrite();
  const renamed: Record<string, string> = {};
  for (const name of cell.ownGlobals) renamed[name] = ownName(name);
  for (const name of options.ownGlobals ?? []) {
    if (cell.references.has(name)) renamed[name] = ownName(name);
  }
  const compiles =
    options.compile ||
    Object.keys(renamed).length > 0 ||
    cell.lowered ||
    cell.types.needsCompiler ||
    (cell.types.found && options.useDefineForClassFields === false);
  const edits = compiles ? cell.edits : cell.edits.concat(cell.types.edits);
  const { text, place } = editedText(source, edits, cell.head, cell.block);
  let code = text;
  let map: SourceMap;
  let lead = ";";
  if (!compiles) map = wordMap(text, place);
  else {
    let result: { code: string; map: string };
    try {
      // Most cells need no compiler, so it starts with the first that does.
      const { transform } = await import("esbuild");
      result = await transform(text, { ...esbuildOptions(options), define: renamed });
    } catch (error) {
      throw fromEsbuild(error, place);
    }
    code = result.code;
    map = shiftMap(JSON.parse(result.map) as SourceMap, place);
    // esbuild declares enums and namespaces with `var`, which clashes with an earlier `let`: the first line declares them.
    for (const name of cell.mergedNames) {
      code = code.replaceAll(new RegExp(`^var (${escaped(name)})\\b`, "gm"), "    $1");
    }
    if (cell.lowered) {
      // esbuild's helpers and temporaries (`_init`) belong to this cell: a block keeps them from the next cell's.
      code = `{\n${code.replaceAll(/^var (_[\w$]*)/gm, "let $1")}\n}`;
      lead = ";;";
    }
  }
  map.mappings = lead + map.mappings;
  map.sources = [options.name];
  map.sourcesContent = [source];
  return {
    code: `${cell.firstLine}\n${code}`,
    map,
    declared: cell.declared,
    references: cell.references,
    showsResult: cell.showsResult,
  };
}

type ClassOptions = Pick<TransformCellOptions, "experimentalDecorators" | "useDefineForClassFields">;
const knownOptions = new Map<string, ClassOptions>();

/** What the nearest tsconfig.json says of classes; it is read once. */
function classOptions(folder: string): ClassOptions {
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
    parsed = literalOf(parseExpression(readFileSync(config, "utf8"))) as typeof parsed;
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
function literalOf(node: Node): unknown {
  if (node.type === "ArrayExpression") return node.elements.map((each: Node) => literalOf(each));
  if (node.type !== "ObjectExpression") return node.value ?? undefined;
  const entries = node.properties.map((each: Node) => [
    each.key.value ?? each.key.name,
    literalOf(each.value),
  ]);
  return Object.fromEntries(entries);
}

/** The nearest file of a name, from a folder upwards. */
export function findUp(folder: string, name: string): string | undefined {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, name))) return join(at, name);
    if (dirname(at) === at) return undefined;
  }
}

function esbuildOptions(options: TransformCellOptions): TransformOptions & { sourcemap: "external" } {
  return {
    loader: options.javascript ? "js" : "ts",
    target: nodeTarget,
    sourcemap: "external",
    sourcesContent: false,
    treeShaking: false,
    charset: "utf8",
    logLevel: "silent",
    supported: { "top-level-await": true },
    tsconfigRaw: {
      compilerOptions: {
        verbatimModuleSyntax: true,
        experimentalDecorators: options.experimentalDecorators ?? false,
        useDefineForClassFields: options.useDefineForClassFields ?? true,
      },
    },
  };
}

function parserOptions(options: { javascript?: boolean; experimentalDecorators?: boolean }): ParserOptions {
  const plugins: ParserPlugin[] = [
    options.experimentalDecorators ? "decorators-legacy" : ["decorators", { decoratorsBeforeExport: true }],
    "decoratorAutoAccessors",
    "explicitResourceManagement",
    "importAttributes",
  ];
  if (!options.javascript) plugins.push("typescript");
  return {
    sourceType: "module",
    strictMode: options.javascript ? false : undefined,
    allowUndeclaredExports: true,
    plugins,
  };
}

/** Parses a cell; a cell that is nothing but an object literal is read as one, as in every REPL. */
function parseCell(source: string, options: TransformCellOptions): Node {
  const settings = parserOptions(options);
  let failure: unknown;
  let body: Node | undefined;
  try {
    body = parse(source, settings).program;
    const only = body.body.length === 1 ? body.body[0] : undefined;
    if (only?.type !== "BlockStatement" || only.body.length === 0) return body;
  } catch (error) {
    failure = error;
  }
  if (startsWithBrace(source)) {
    try {
      const expression: Node = parseExpression(source, settings);
      if (expression.type === "ObjectExpression") {
        const statement = {
          type: "ExpressionStatement",
          expression,
          start: expression.start,
          end: expression.end,
        };
        return { type: "Program", body: [statement], directives: [], bareObject: true };
      }
    } catch {}
  }
  if (body) return body;
  throw fromBabel(failure, source);
}

function startsWithBrace(source: string): boolean {
  return /^(?:\s|\/\/[^\n]*\n|\/\*[\s\S]*?\*\/)*\{/.test(source);
}

class CellRewriter {
  readonly edits: Edit[] = [];
  readonly declared: Declared[] = [];
  readonly references = new Set<string>();
  showsResult = false;
  /** What the cell needs declared before its own lines. */
  firstLine = "";
  /** Pieces of the cell that move above its lines: hoisted functions. */
  readonly head: Moved[] = [];
  /** The cell's statements stand in a block. */
  block = false;
  /** Enums and namespaces: esbuild declares them with `var`. */
  readonly mergedNames = new Set<string>();
  readonly types: TypeEraser;
  /** Names that the cell declares at its top level and that Node has as globals. */
  readonly ownGlobals = new Set<string>();
  /** esbuild has something to lower and will make helpers and temporaries. */
  lowered = false;

  private readonly source: string;
  private readonly tree: Node;
  private readonly javascript: boolean;
  private readonly experimental: boolean;
  /** Declarations in the heads of loops, which have no semicolon of their own. */
  private readonly loopHeads = new Set<Node>();
  /** Where braces close that open before a loop's only statement; what ends at the same place closes first. */
  private readonly loopEnds: number[] = [];
  private readonly exportedNames = new Set<string>();
  private readonly hoistedNames = new Set<string>();
  private readonly names = new Map<string, Declared>();

  constructor(source: string, tree: Node, options: TransformCellOptions) {
    this.source = source;
    this.types = new TypeEraser(source);
    this.tree = tree;
    this.javascript = options.javascript ?? false;
    // These decorators take class declarations only, and need no temporaries that cells could share.
    this.experimental = options.experimentalDecorators ?? false;
  }

  rewrite(): void {
    const { body, directives } = this.tree;
    const last = body.at(-1);
    this.showsResult = isResult(last) || (body.length === 0 && directives.length > 0);
    const { interpreter } = this.tree;
    if (interpreter) this.replace(interpreter.start, interpreter.end, "");
    if (this.tree.bareObject) {
      this.insert(last.start, "(");
      this.insert(last.end, ")");
    }
    // A cell that is one string is a directive to the parser and a result to its writer.
    if (body.length === 0 && directives.length > 0) {
      const directive = directives.at(-1);
      this.insert(directive.value.start, "(");
      this.insert(directive.value.end, ")");
    }
    this.lowered =
      /@|\b(using|accessor)\b/.test(this.source) &&
      contains(this.tree, (node) => isLowered(node) && !(this.experimental && node.type === "Decorator"));
    // A resource lives until its cell's end, so what follows it stands in a block.
    this.block = body.some((node: Node) => isUsing(node));
    for (const statement of body) this.statement(statement, this.lowered);
    this.walk(this.tree, true);
    for (const at of this.loopEnds) this.insert(at, "}");
    const strict = this.javascript ? "" : '"use strict";';
    const names = [...this.hoistedNames].map((name) => (this.ownGlobals.has(name) ? ownName(name) : name));
    const hoisted = names.length > 0 ? `let ${names.join(", ")};` : "";
    this.firstLine = strict + hoisted;
    for (const name of this.names.keys()) this.references.delete(name);
    for (const each of this.declared) each.exported = this.exportedNames.has(each.name);
  }

  /** Declares the names of a top-level statement and rewrites it. `scoped`: the cell runs inside a block. */
  private statement(node: Node, scoped: boolean): void {
    switch (node.type) {
      case "ImportDeclaration":
        this.importDeclaration(node, scoped);
        return;
      case "TSImportEqualsDeclaration":
        this.importEquals(node, scoped);
        return;
      case "ExportNamedDeclaration":
      case "ExportDefaultDeclaration":
      case "ExportAllDeclaration":
      case "TSExportAssignment":
      case "TSNamespaceExportDeclaration":
        this.exportDeclaration(node, scoped);
        return;
      case "VariableDeclaration":
        this.variables(node, scoped);
        return;
      case "FunctionDeclaration":
        this.functionDeclaration(node);
        return;
      case "TSDeclareFunction":
        // An overload's signature: the implementation moves away from below it, so it goes as a whole.
        this.declare(node.id, "function", { value: true });
        if (!node.declare) this.blank(node.start, node.end);
        return;
      case "ClassDeclaration":
        this.declare(node.id, "class", { value: true, type: true });
        if (node.declare) return;
        if (scoped || this.mergedNames.has(node.id.name) || this.ownGlobals.has(node.id.name)) {
          this.classAsAssignment(node);
        }
        return;
      case "TSEnumDeclaration":
        this.declare(node.id, "enum", { value: true, type: true });
        if (!node.declare) this.merged(node, scoped);
        return;
      case "TSModuleDeclaration":
        if (node.id.type !== "Identifier" || node.kind === "global") return;
        this.declare(node.id, "namespace", { value: hasValues(node), type: true });
        if (!node.declare && hasValues(node)) this.merged(node, scoped);
        return;
      case "TSInterfaceDeclaration":
        this.declare(node.id, "interface", { type: true });
        return;
      case "TSTypeAliasDeclaration":
        this.declare(node.id, "type", { type: true });
        return;
    }
  }

  /** A name whose `var` from esbuild is taken away: `let` in the head unless a class or function has it already. */
  private merged(node: Node, scoped: boolean): void {
    const { name } = node.id;
    this.mergedNames.add(name);
    if (scoped) {
      this.head.push({ start: node.start, end: node.end, prefix: "" });
      this.blank(node.start, node.end, true);
    }
    const isClass = this.tree.body.some(
      (each: Node) =>
        (each.declaration ?? each).type === "ClassDeclaration" &&
        (each.declaration ?? each).id?.name === name,
    );
    if (!isClass) this.hoistedNames.add(name);
  }

  private importDeclaration(node: Node, scoped: boolean): void {
    if (node.importKind === "type") {
      for (const each of node.specifiers) this.declare(each.local, "import", { type: true });
      this.blank(node.start, node.end);
      return;
    }
    const call = `${goName}(await ${importFunction}(${this.specifier(node)}))`;
    let namespace = "";
    const picked: string[] = [];
    for (const each of node.specifiers) {
      const typeOnly = each.importKind === "type" || each.importKind === "typeof";
      this.declare(each.local, "import", { value: !typeOnly, type: true });
    }
    scoped ||= node.specifiers.some((each: Node) => this.ownGlobals.has(each.local.name));
    for (const each of node.specifiers) {
      if (each.importKind === "type" || each.importKind === "typeof") continue;
      const local = each.local.name;
      if (scoped) this.hoistedNames.add(local);
      if (each.type === "ImportNamespaceSpecifier") namespace = local;
      else if (each.type === "ImportDefaultSpecifier") picked.push(`default: ${local}`);
      else if (each.imported.type === "StringLiteral")
        picked.push(`${JSON.stringify(each.imported.value)}: ${local}`);
      else picked.push(each.imported.name === local ? local : `${each.imported.name}: ${local}`);
    }
    // Only types were named: the module itself is not wanted, as TypeScript has it without verbatimModuleSyntax.
    if (node.specifiers.length > 0 && !namespace && picked.length === 0) {
      this.blank(node.start, node.end);
      return;
    }
    const pattern = `{ ${picked.join(", ")} }`;
    let text = call;
    if (namespace && picked.length > 0) text = `${namespace} = ${call}, ${pattern} = ${namespace}`;
    else if (namespace) text = `${namespace} = ${call}`;
    else if (picked.length > 0) text = `${pattern} = ${call}`;
    if (node.specifiers.length > 0) text = scoped ? `void (${text})` : `let ${text}`;
    this.replace(node.start, node.end, `${text};`);
  }

  private importEquals(node: Node, scoped: boolean): void {
    const typeOnly = node.importKind === "type";
    this.declare(node.id, "import", { value: !typeOnly, type: true });
    if (typeOnly) {
      this.blank(node.start, node.end);
      return;
    }
    const { moduleReference } = node;
    const value =
      moduleReference.type === "TSExternalModuleReference"
        ? `require(${this.text(moduleReference.expression)})`
        : aliasOf(this.text(moduleReference));
    scoped ||= this.ownGlobals.has(node.id.name);
    if (scoped) this.hoistedNames.add(node.id.name);
    this.replace(node.start, node.end, `${scoped ? "" : "let "}${node.id.name} = ${value};`);
  }

  private exportDeclaration(node: Node, scoped: boolean): void {
    if (node.type === "TSNamespaceExportDeclaration" || node.exportKind === "type") {
      if (!node.declaration) {
        this.blank(node.start, node.end);
        return;
      }
    }
    if (node.source) {
      const call = `${goName}(await ${importFunction}(${this.specifier(node)}))`;
      this.replace(node.start, node.end, `${call};`);
      return;
    }
    const inner = node.declaration ?? node.expression;
    if (!inner) {
      for (const { local, exported } of node.specifiers ?? []) {
        if (exported.name === local.name) this.exportedNames.add(local.name);
      }
      this.blank(node.start, node.end);
      return;
    }
    // Decorators may stand before `export`, so look for the keywords just before what they export.
    const from = node.start + this.source.slice(node.start, inner.end).search(/\bexport\b/);
    const keywords = /^export(\s+default\b)?(\s*=)?/.exec(this.source.slice(from));
    if (keywords) this.replace(from, from + keywords[0].length, "");
    if (/Declaration$/.test(inner.type) || inner.type === "TSDeclareFunction") {
      if (node.type === "ExportNamedDeclaration") {
        const names: Node[] = [];
        if (inner.id) names.push(inner.id);
        for (const each of inner.declarations ?? []) boundNames(each.id, names);
        for (const id of names) this.exportedNames.add(id.name);
      }
      if (inner.id || inner.type === "VariableDeclaration") {
        this.statement(inner, scoped);
        return;
      }
      if (inner.type === "TSDeclareFunction") {
        this.blank(inner.start, inner.end);
        return;
      }
    }
    // `export default <value>`: the value is the cell's result, in parentheses because it may start with `{` or `function`.
    this.insert(inner.start, ";(");
    this.insert(inner.end, ")");
  }

  private variables(node: Node, scoped: boolean): void {
    const kind: DeclaredKind = node.kind === "var" ? "var" : node.kind === "let" ? "let" : "const";
    const names: Node[] = [];
    for (const each of node.declarations) boundNames(each.id, names);
    if (isUsing(node)) {
      // It is gone when the cell ends: no later cell can name it, but this one declares it.
      for (const id of names)
        this.names.set(id.name, {
          name: id.name,
          kind,
          value: true,
          type: false,
          exported: false,
          start: id.start,
        });
      return;
    }
    for (const id of names) this.declare(id, kind, { value: true });
    if (node.declare) return;
    // `var` may be repeated and may be used above its declaration, which the head's `let` allows as well.
    if (scoped || node.kind === "var" || names.some((id) => this.ownGlobals.has(id.name))) {
      for (const id of names) this.hoistedNames.add(id.name);
      this.asAssignment(node, true);
    } else if (node.kind === "const") {
      this.replace(node.start, node.start + node.kind.length, "let  ");
    }
  }

  /** `var a: T = 1, {b} = c` as assignments to names that the head declares; `statement`: it is not a loop's head. */
  private asAssignment(node: Node, statement: boolean): void {
    const first = node.declarations[0];
    if (statement && node.declarations.every((each: Node) => !each.init)) {
      this.blank(node.start, node.end);
      return;
    }
    // `void` starts the statement, so that no line before it can take `(`, `[` or `{` for its own.
    this.replace(node.start, first.start, statement ? "void (" : "");
    for (const each of node.declarations) {
      const { id } = each;
      if (id.typeAnnotation) this.replace(id.typeAnnotation.start, id.typeAnnotation.end, "");
      if (each.definite) this.replace(id.start + id.name.length, id.typeAnnotation?.start ?? id.end, "");
      if (!each.init && statement) this.insert(each.end, " = undefined");
    }
    if (statement) this.insert(node.declarations.at(-1).end, ")");
  }

  private functionDeclaration(node: Node): void {
    this.declare(node.id, "function", { value: true });
    this.hoistedNames.add(node.id.name);
    // A function can be called above its declaration, so it moves to the head as `f = function (…) {…};`. It has no
    // name of its own there (it takes the variable's), so that `f = memoize(f)` still changes what f calls.
    this.head.push({
      start: node.start,
      end: node.end,
      prefix: `${node.id.name} = `,
      skip: [node.id.start, node.id.end],
    });
    this.blank(node.start, node.end, true);
  }

  private classAsAssignment(node: Node): void {
    this.hoistedNames.add(node.id.name);
    this.insert(node.start, `${node.id.name} = `);
    this.insert(node.end, ";");
    // esbuild would call it `URL2` inside itself; without a name it takes the variable's.
    if (this.ownGlobals.has(node.id.name)) this.replace(node.id.start, node.id.end, "");
    if (node.abstract) {
      const from = node.decorators?.at(-1)?.end ?? node.start;
      const at = from + this.source.slice(from, node.id.start).lastIndexOf("abstract");
      this.replace(at, at + "abstract".length, "");
    }
  }

  private specifier(node: Node): string {
    const text = this.text(node.source);
    if (!node.attributes?.length) return text;
    const pairs = node.attributes.map((each: Node) => `${this.text(each.key)}: ${this.text(each.value)}`);
    return `${text}, { with: { ${pairs.join(", ")} } }`;
  }

  private declare(id: Node, kind: DeclaredKind, meaning: { value?: boolean; type?: boolean }): void {
    const known = this.names.get(id.name);
    if (known) {
      // Merged declarations (an interface and a class, overloads): one name with both meanings.
      known.value ||= meaning.value ?? false;
      known.type ||= meaning.type ?? false;
      if (known.kind === "interface" || known.kind === "type" || known.kind === "namespace")
        known.kind = kind;
      if (isNodes(known)) this.ownGlobals.add(id.name);
      return;
    }
    const declared = {
      name: id.name,
      kind,
      value: meaning.value ?? false,
      type: meaning.type ?? false,
      exported: false,
      start: id.start,
    };
    this.names.set(id.name, declared);
    this.declared.push(declared);
    if (isNodes(declared)) this.ownGlobals.add(id.name);
  }

  /** Collects identifiers, and rewrites what can stand anywhere: `import()`, `import.meta`, nested `var`s. */
  private walk(node: Node, top: boolean): void {
    const erased = this.types.enter(node);
    this.visit(node, top);
    this.types.leave(erased);
  }

  private visit(node: Node, top: boolean): void {
    switch (node.type) {
      case "Identifier":
      case "JSXIdentifier":
        this.references.add(node.name);
        break;
      case "MemberExpression":
      case "OptionalMemberExpression":
        this.walk(node.object, top);
        if (node.computed) this.walk(node.property, top);
        return;
      case "ObjectProperty":
      case "ClassProperty":
      case "ClassAccessorProperty":
      case "ObjectMethod":
      case "ClassMethod":
      case "TSDeclareMethod":
      case "TSPropertySignature":
      case "TSMethodSignature":
        for (const key in node) {
          if (key === "key" && !node.computed) continue;
          this.child(node[key], key, top && node.type === "ObjectProperty");
        }
        return;
      case "TSQualifiedName":
        this.walk(node.left, top);
        return;
      case "TSEnumMember":
        if (node.initializer) this.walk(node.initializer, top);
        return;
      case "LabeledStatement":
        this.walk(node.body, top);
        return;
      case "ForStatement":
      case "ForInStatement":
      case "ForOfStatement":
        this.loopHeads.add(node.init ?? node.left);
        this.loop(node);
        break;
      case "WhileStatement":
      case "DoWhileStatement":
        this.loop(node);
        break;
      case "AwaitExpression":
        if (top) {
          this.insert(node.start, `${goName}(`);
          this.insert(node.end, ")");
        }
        break;
      case "BreakStatement":
      case "ContinueStatement":
      case "ImportDeclaration":
        return;
      case "TSImportEqualsDeclaration":
        if (node.moduleReference.type !== "TSExternalModuleReference") this.walk(node.moduleReference, top);
        return;
      case "ExportNamedDeclaration":
        if (node.source) return;
        break;
      case "ImportExpression":
        this.replace(node.start, node.start + "import".length, importFunction);
        break;
      case "CallExpression":
        if (node.callee.type === "Import") {
          this.replace(node.callee.start, node.callee.end, importFunction);
          for (const each of node.arguments) this.walk(each, top);
          return;
        }
        break;
      case "MetaProperty":
        if (node.meta.name === "import") this.replace(node.start, node.end, metaName);
        return;
      case "VariableDeclaration":
        if (top && node.kind === "var" && !this.isStatement(node)) this.nestedVar(node);
        break;
    }
    const inside = top && !/Function|Class|^TSModule|Method/.test(node.type);
    for (const key in node) this.child(node[key], key, inside);
  }

  /**
   * A loop that waits ends when its cell is interrupted, also where it catches errors, and inside functions, by a name
   * that may be missing: a function's writer may send it elsewhere as text.
   */
  private loop(node: Node): void {
    if (!node.await && !contains(node, (each) => each.type === "AwaitExpression", isFunction)) return;
    const { body } = node;
    const check = `globalThis.${goName}?.();`;
    if (body.type === "BlockStatement") this.insert(body.start + 1, check);
    else {
      this.insert(body.start, `{${check}`);
      this.loopEnds.push(body.end);
    }
  }

  private child(value: Node, key: string, top: boolean): void {
    if (value === null || typeof value !== "object" || skippedKeys.has(key)) return;
    if (Array.isArray(value)) {
      for (const each of value) if (each && typeof each.type === "string") this.walk(each, top);
    } else if (typeof value.type === "string") this.walk(value, top);
  }

  private isStatement(node: Node): boolean {
    return this.tree.body.some((each: Node) => each === node || each.declaration === node);
  }

  /** A `var` inside a block or a loop's head belongs to the cell. */
  private nestedVar(node: Node): void {
    const names: Node[] = [];
    for (const each of node.declarations) boundNames(each.id, names);
    for (const id of names) {
      this.declare(id, "var", { value: true });
      this.hoistedNames.add(id.name);
    }
    this.asAssignment(node, !this.loopHeads.has(node));
  }

  private text(node: Node): string {
    return this.source.slice(node.start, node.end);
  }
  private insert(at: number, text: string): void {
    this.edits.push({ start: at, end: at, text });
  }
  /** Puts `text` in place of a range and keeps the range's line breaks after it, so that later lines stay where they are. */
  private replace(start: number, end: number, text: string): void {
    this.edits.push({ start, end, text: text + lineBreaks(this.source, start, end) });
  }
  /** Takes a statement away. Its semicolon stays, because the statement before may rely on it. */
  private blank(start: number, end: number, moved = false): void {
    this.edits.push({ start, end, text: `;${lineBreaks(this.source, start, end)}`, moved });
  }
}

const skippedKeys = new Set([
  "loc",
  "extra",
  "leadingComments",
  "trailingComments",
  "innerComments",
  "comments",
  "errors",
  "tokens",
  "label",
  "parameterName",
]);

/** The value of `A.B.C`, which may be a type only and then has none. */
function aliasOf(path: string): string {
  const [first, ...rest] = path.split(".").map((name) => name.trim());
  return `typeof ${first} === "undefined" ? undefined : ${[first, ...rest].join("?.")}`;
}

function lineBreaks(source: string, start: number, end: number): string {
  let breaks = "";
  for (let i = start; i < end; i++) if (source.charCodeAt(i) === 10) breaks += "\n";
  return breaks;
}

function isResult(node: Node): boolean {
  if (!node) return false;
  if (node.type === "ExpressionStatement" || node.type === "TSExportAssignment") return true;
  if (node.type !== "ExportDefaultDeclaration") return false;
  return !/Declaration$|^TSDeclare/.test(node.declaration.type) || !node.declaration.id;
}

function isUsing(node: Node): boolean {
  return node.type === "VariableDeclaration" && (node.kind === "using" || node.kind === "await using");
}

/** Syntax that needs helpers in the Node versions that slimlab runs on. */
function isLowered(node: Node): boolean {
  return node.type === "Decorator" || node.type === "ClassAccessorProperty" || isUsing(node);
}

function isFunction(node: Node): boolean {
  return /Function|Method/.test(node.type);
}

function contains(
  node: Node,
  test: (node: Node) => boolean,
  skip: (node: Node) => boolean = () => false,
): boolean {
  if (test(node)) return true;
  if (skip(node)) return false;
  for (const key in node) {
    const value = node[key];
    if (value === null || typeof value !== "object" || skippedKeys.has(key)) continue;
    if (Array.isArray(value)) {
      if (value.some((each) => each && typeof each.type === "string" && contains(each, test, skip)))
        return true;
    } else if (typeof value.type === "string" && contains(value, test, skip)) return true;
  }
  return false;
}

/** The identifiers that a pattern binds. */
function boundNames(pattern: Node, into: Node[]): void {
  switch (pattern?.type) {
    case "Identifier":
      into.push(pattern);
      break;
    case "ObjectPattern":
      for (const each of pattern.properties)
        boundNames(each.type === "RestElement" ? each.argument : each.value, into);
      break;
    case "ArrayPattern":
      for (const each of pattern.elements) boundNames(each, into);
      break;
    case "AssignmentPattern":
      boundNames(pattern.left, into);
      break;
    case "RestElement":
      boundNames(pattern.argument, into);
      break;
  }
}

function escaped(name: string): string {
  return name.replaceAll("$", "\\$");
}

interface BabelError {
  message: string;
  loc?: { line: number; column: number };
  reasonCode?: string;
  pos?: number;
}

function fromBabel(error: unknown, source: string): unknown {
  const { message, loc, reasonCode } = error as BabelError;
  if (!loc) return error;
  let text = message.replace(/ \(\d+:\d+\)$/, "");
  const friendly: Record<string, string> = {
    AwaitNotInAsyncContext:
      "await works in an async function or at the cell's top level: make this function async",
    UnterminatedString: "This string has no closing quote",
    UnterminatedTemplate: "This template string has no closing `",
    UnterminatedComment: "This comment has no closing */",
    UnterminatedRegExp: "This regular expression has no closing /",
    IllegalReturn: "return works inside a function only; a cell's last expression is its result",
  };
  if (reasonCode === "UnexpectedReservedWord" && /'await'/.test(text)) text = friendly.AwaitNotInAsyncContext;
  else if (reasonCode && friendly[reasonCode]) text = friendly[reasonCode];
  else if (/^Unexpected token/.test(text) && (error as BabelError).pos! >= source.trimEnd().length) {
    text = text.replace("Unexpected token", "The cell ends too early");
  }
  return new CellSyntaxError(text, loc.line, loc.column + 1);
}

function fromEsbuild(error: unknown, place: PlaceInSource): unknown {
  const message = (error as { errors?: Message[] }).errors?.[0];
  if (!message?.location) return error;
  // esbuild counts columns in UTF-8 bytes.
  const { line, column, lineText } = message.location;
  const units = Buffer.from(lineText).subarray(0, column).toString().length;
  const [cellLine, cellColumn] = place(line - 1, units);
  return new CellSyntaxError(message.text, cellLine + 1, cellColumn + 1);
}

/**
 * Whether a console may run what has been typed so far: Jupyter's `is_complete_request`.
 * `indent` is what the next line should start with when it goes on.
 */
export function completeness(source: string): {
  status: "complete" | "incomplete" | "invalid";
  indent?: string;
} {
  try {
    parse(source, parserOptions({}));
    return { status: "complete" };
  } catch (error) {
    const { reasonCode, loc, pos } = error as BabelError;
    const end = source.trimEnd().length;
    const openEnded = reasonCode === "UnterminatedTemplate" || reasonCode === "UnterminatedComment";
    const lastLine = source.split("\n").length;
    const openString = reasonCode === "UnterminatedString" && loc?.line === lastLine;
    if (openEnded || openString || (pos ?? 0) >= end || restIsComment(source.slice(pos))) {
      return { status: "incomplete", indent: nextIndent(source) };
    }
    if (startsWithBrace(source)) {
      try {
        parseExpression(source, parserOptions({}));
        return { status: "complete" };
      } catch {}
    }
    return { status: "invalid" };
  }
}

/** The parser stopped at the end of the code, with only comments after it. */
function restIsComment(rest: string): boolean {
  return /^(\s|\/\/[^\n]*(\n|$)|\/\*[\s\S]*?\*\/)*$/.test(rest);
}

function nextIndent(source: string): string {
  const line = source.trimEnd().split("\n").at(-1) ?? "";
  const indent = /^\s*/.exec(line)![0];
  return /[{([]\s*(\/\/.*)?$/.test(line) || /=>\s*$/.test(line) ? `${indent}  ` : indent;
}
