// Finds a cell's names, imports, exports and types in its syntax tree, and edits the cell's text for V8's REPL mode.
import { goName } from "../../util/turn.ts";
import type { Declared, DeclaredKind } from "./code.ts";
import type { Edit, Moved } from "./edits.ts";
import { TypeEraser } from "./erase.ts";
import type { SyntaxOptions } from "./syntax.ts";
import {
  boundNames,
  type CellTree,
  contains,
  declarationOf,
  eachChild,
  hasValues,
  type Identifier,
  isFunction,
  isLowered,
  isNode,
  isUsing,
  type Node,
  type Of,
  type Statement,
} from "./tree.ts";

/** Names of the functions that cells' rewritten imports call; the kernel defines them as globals. */
export const importFunction = "__slimlab_import";
export const metaName = "__slimlab_meta";

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

export class CellRewriter {
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

  readonly #source: string;
  readonly #tree: CellTree;
  readonly #javascript: boolean;
  readonly #experimental: boolean;
  /** Declarations in the heads of loops, which have no semicolon of their own. */
  readonly #loopHeads = new Set<Node>();
  /** Where braces close that open before a loop's only statement; what ends at the same place closes first. */
  readonly #loopEnds: number[] = [];
  readonly #exportedNames = new Set<string>();
  readonly #hoistedNames = new Set<string>();
  readonly #names = new Map<string, Declared>();

  constructor(source: string, tree: CellTree, options: SyntaxOptions) {
    this.#source = source;
    this.types = new TypeEraser(source);
    this.#tree = tree;
    this.#javascript = options.javascript ?? false;
    // These decorators take class declarations only, and need no temporaries that cells could share.
    this.#experimental = options.experimentalDecorators ?? false;
  }

  rewrite(): void {
    const { body, directives } = this.#tree;
    const last = body.at(-1);
    this.showsResult = isResult(last) || (body.length === 0 && directives.length > 0);
    const { interpreter } = this.#tree;
    if (interpreter) this.#replace(interpreter.start, interpreter.end, "");
    if (this.#tree.bareObject && last) {
      this.#insert(last.start, "(");
      this.#insert(last.end, ")");
    }
    // A cell that is one string is a directive to the parser and a result to its writer.
    const directive = body.length === 0 ? directives.at(-1) : undefined;
    if (directive) {
      this.#insert(directive.value.start, "(");
      this.#insert(directive.value.end, ")");
    }
    this.lowered =
      /@|\b(using|accessor)\b/.test(this.#source) &&
      body.some((statement) =>
        contains(statement, (node) => isLowered(node) && !(this.#experimental && node.type === "Decorator")),
      );
    // A resource lives until its cell's end, so what follows it stands in a block.
    this.block = body.some(isUsing);
    for (const statement of body) this.#statement(statement, this.lowered);
    for (const statement of body) this.#walk(statement, true);
    for (const at of this.#loopEnds) this.#insert(at, "}");
    const strict = this.#javascript ? "" : '"use strict";';
    const names = [...this.#hoistedNames].map((name) => (this.ownGlobals.has(name) ? ownName(name) : name));
    const hoisted = names.length > 0 ? `let ${names.join(", ")};` : "";
    this.firstLine = strict + hoisted;
    for (const name of this.#names.keys()) this.references.delete(name);
    for (const each of this.declared) each.exported = this.#exportedNames.has(each.name);
  }

  /** Declares the names of a top-level statement and rewrites it. `scoped`: the cell runs inside a block. */
  #statement(node: Node, scoped: boolean): void {
    switch (node.type) {
      case "ImportDeclaration":
        this.#importDeclaration(node, scoped);
        return;
      case "TSImportEqualsDeclaration":
        this.#importEquals(node, scoped);
        return;
      case "ExportNamedDeclaration":
      case "ExportDefaultDeclaration":
      case "ExportAllDeclaration":
      case "TSExportAssignment":
      case "TSNamespaceExportDeclaration":
        this.#exportDeclaration(node, scoped);
        return;
      case "VariableDeclaration":
        this.#variables(node, scoped);
        return;
      case "FunctionDeclaration":
        this.#functionDeclaration(node);
        return;
      case "TSDeclareFunction":
        // An overload's signature: the implementation moves away from below it, so it goes as a whole.
        if (node.id) this.#declare(node.id, "function", { value: true });
        if (!node.declare) this.#blank(node.start, node.end);
        return;
      case "ClassDeclaration":
        if (!node.id) return;
        this.#declare(node.id, "class", { value: true, type: true });
        if (node.declare) return;
        if (scoped || this.mergedNames.has(node.id.name) || this.ownGlobals.has(node.id.name)) {
          this.#classAsAssignment(node, node.id);
        }
        return;
      case "TSEnumDeclaration":
        this.#declare(node.id, "enum", { value: true, type: true });
        if (!node.declare) this.#merged(node, node.id.name, scoped);
        return;
      case "TSModuleDeclaration":
        if (node.id.type !== "Identifier" || node.kind === "global") return;
        this.#declare(node.id, "namespace", { value: hasValues(node), type: true });
        if (!node.declare && hasValues(node)) this.#merged(node, node.id.name, scoped);
        return;
      case "TSInterfaceDeclaration":
        this.#declare(node.id, "interface", { type: true });
        return;
      case "TSTypeAliasDeclaration":
        this.#declare(node.id, "type", { type: true });
        return;
    }
  }

  /** A name whose `var` from esbuild is taken away: `let` in the head unless a class or function has it already. */
  #merged(node: Of<"TSEnumDeclaration" | "TSModuleDeclaration">, name: string, scoped: boolean): void {
    this.mergedNames.add(name);
    if (scoped) {
      this.head.push({ start: node.start, end: node.end, prefix: "" });
      this.#blank(node.start, node.end, true);
    }
    const isClass = this.#tree.body.some((each) => {
      const inner = declarationOf(each);
      return inner.type === "ClassDeclaration" && inner.id?.name === name;
    });
    if (!isClass) this.#hoistedNames.add(name);
  }

  #importDeclaration(node: Of<"ImportDeclaration">, scoped: boolean): void {
    if (node.importKind === "type") {
      for (const each of node.specifiers) this.#declare(each.local, "import", { type: true });
      this.#blank(node.start, node.end);
      return;
    }
    const call = `${goName}(await ${importFunction}(${this.#specifier(node.source, node.attributes)}))`;
    let namespace = "";
    const picked: string[] = [];
    for (const each of node.specifiers) {
      this.#declare(each.local, "import", { value: !isTypeOnly(each), type: true });
    }
    scoped ||= node.specifiers.some((each) => this.ownGlobals.has(each.local.name));
    for (const each of node.specifiers) {
      if (isTypeOnly(each)) continue;
      const local = each.local.name;
      if (scoped) this.#hoistedNames.add(local);
      if (each.type === "ImportNamespaceSpecifier") namespace = local;
      else if (each.type === "ImportDefaultSpecifier") picked.push(`default: ${local}`);
      else if (each.imported.type === "StringLiteral")
        picked.push(`${JSON.stringify(each.imported.value)}: ${local}`);
      else picked.push(each.imported.name === local ? local : `${each.imported.name}: ${local}`);
    }
    // Only types were named: the module itself is not wanted, as TypeScript has it without verbatimModuleSyntax.
    if (node.specifiers.length > 0 && !namespace && picked.length === 0) {
      this.#blank(node.start, node.end);
      return;
    }
    const pattern = `{ ${picked.join(", ")} }`;
    let text = call;
    if (namespace && picked.length > 0) text = `${namespace} = ${call}, ${pattern} = ${namespace}`;
    else if (namespace) text = `${namespace} = ${call}`;
    else if (picked.length > 0) text = `${pattern} = ${call}`;
    if (node.specifiers.length > 0) text = scoped ? `void (${text})` : `let ${text}`;
    this.#replace(node.start, node.end, `${text};`);
  }

  #importEquals(node: Of<"TSImportEqualsDeclaration">, scoped: boolean): void {
    const typeOnly = node.importKind === "type";
    this.#declare(node.id, "import", { value: !typeOnly, type: true });
    if (typeOnly) {
      this.#blank(node.start, node.end);
      return;
    }
    const { moduleReference } = node;
    const value =
      moduleReference.type === "TSExternalModuleReference"
        ? `require(${this.#text(moduleReference.expression)})`
        : aliasOf(this.#text(moduleReference));
    scoped ||= this.ownGlobals.has(node.id.name);
    if (scoped) this.#hoistedNames.add(node.id.name);
    this.#replace(node.start, node.end, `${scoped ? "" : "let "}${node.id.name} = ${value};`);
  }

  #exportDeclaration(node: Exports, scoped: boolean): void {
    const isTypeOnly = node.type === "ExportNamedDeclaration" && node.exportKind === "type";
    if (node.type === "TSNamespaceExportDeclaration" || (isTypeOnly && !node.declaration)) {
      this.#blank(node.start, node.end);
      return;
    }
    if ("source" in node && node.source) {
      const call = `${goName}(await ${importFunction}(${this.#specifier(node.source, node.attributes)}))`;
      this.#replace(node.start, node.end, `${call};`);
      return;
    }
    const inner: Node | null | undefined = exportedBy(node);
    if (!inner) {
      for (const each of (node.type === "ExportNamedDeclaration" && node.specifiers) || []) {
        if (each.type !== "ExportSpecifier" || each.exported.type !== "Identifier") continue;
        if (each.exported.name === each.local.name) this.#exportedNames.add(each.local.name);
      }
      this.#blank(node.start, node.end);
      return;
    }
    // Decorators may stand before `export`, so look for the keywords just before what they export.
    const from = node.start + this.#source.slice(node.start, inner.end).search(/\bexport\b/);
    const keywords = /^export(\s+default\b)?(\s*=)?/.exec(this.#source.slice(from));
    if (keywords) this.#replace(from, from + keywords[0].length, "");
    if (isDeclaration(inner)) {
      const names = namesOf(inner);
      if (node.type === "ExportNamedDeclaration") for (const { name } of names) this.#exportedNames.add(name);
      if (names.length > 0 || inner.type === "VariableDeclaration") {
        this.#statement(inner, scoped);
        return;
      }
      if (inner.type === "TSDeclareFunction") {
        this.#blank(inner.start, inner.end);
        return;
      }
    }
    // `export default <value>`: the value is the cell's result, in parentheses because it may start with `{` or `function`.
    this.#insert(inner.start, ";(");
    this.#insert(inner.end, ")");
  }

  #variables(node: Of<"VariableDeclaration">, scoped: boolean): void {
    const kind: DeclaredKind = node.kind === "var" ? "var" : node.kind === "let" ? "let" : "const";
    const names = namesOf(node);
    if (isUsing(node)) {
      // It is gone when the cell ends: no later cell can name it, but this one declares it.
      for (const id of names)
        this.#names.set(id.name, {
          name: id.name,
          kind,
          value: true,
          type: false,
          exported: false,
          start: id.start,
        });
      return;
    }
    for (const id of names) this.#declare(id, kind, { value: true });
    if (node.declare) return;
    // `var` may be repeated and may be used above its declaration, which the head's `let` allows as well.
    if (scoped || node.kind === "var" || names.some((id) => this.ownGlobals.has(id.name))) {
      for (const id of names) this.#hoistedNames.add(id.name);
      this.#asAssignment(node, true);
    } else if (node.kind === "const") {
      this.#replace(node.start, node.start + node.kind.length, "let  ");
    }
  }

  /** `var a: T = 1, {b} = c` as assignments to names that the head declares; `statement`: it is not a loop's head. */
  #asAssignment(node: Of<"VariableDeclaration">, statement: boolean): void {
    const first = node.declarations[0];
    if (statement && node.declarations.every((each) => !each.init)) {
      this.#blank(node.start, node.end);
      return;
    }
    // `void` starts the statement, so that no line before it can take `(`, `[` or `{` for its own.
    this.#replace(node.start, first.start, statement ? "void (" : "");
    for (const each of node.declarations) {
      const { id } = each;
      const annotation = "typeAnnotation" in id ? id.typeAnnotation : undefined;
      if (annotation) this.#replace(annotation.start, annotation.end, "");
      if (each.definite && id.type === "Identifier")
        this.#replace(id.start + id.name.length, annotation?.start ?? id.end, "");
      if (!each.init && statement) this.#insert(each.end, " = undefined");
    }
    if (statement) this.#insert(node.declarations.at(-1)!.end, ")");
  }

  #functionDeclaration(node: Of<"FunctionDeclaration">): void {
    if (!node.id) return;
    this.#declare(node.id, "function", { value: true });
    this.#hoistedNames.add(node.id.name);
    // A function can be called above its declaration, so it moves to the head as `f = function (…) {…};`. It has no
    // name of its own there (it takes the variable's), so that `f = memoize(f)` still changes what f calls.
    this.head.push({
      start: node.start,
      end: node.end,
      prefix: `${node.id.name} = `,
      skip: [node.id.start, node.id.end],
    });
    this.#blank(node.start, node.end, true);
  }

  #classAsAssignment(node: Of<"ClassDeclaration">, id: Identifier): void {
    this.#hoistedNames.add(id.name);
    this.#insert(node.start, `${id.name} = `);
    this.#insert(node.end, ";");
    // esbuild would call it `URL2` inside itself; without a name it takes the variable's.
    if (this.ownGlobals.has(id.name)) this.#replace(id.start, id.end, "");
    if (node.abstract) {
      const from = node.decorators?.at(-1)?.end ?? node.start;
      const at = from + this.#source.slice(from, id.start).lastIndexOf("abstract");
      this.#replace(at, at + "abstract".length, "");
    }
  }

  #specifier(source: Of<"StringLiteral">, attributes?: Of<"ImportAttribute">[] | null): string {
    const text = this.#text(source);
    if (!attributes?.length) return text;
    const pairs = attributes.map((each) => `${this.#text(each.key)}: ${this.#text(each.value)}`);
    return `${text}, { with: { ${pairs.join(", ")} } }`;
  }

  #declare(id: Identifier, kind: DeclaredKind, meaning: { value?: boolean; type?: boolean }): void {
    const known = this.#names.get(id.name);
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
    this.#names.set(id.name, declared);
    this.declared.push(declared);
    if (isNodes(declared)) this.ownGlobals.add(id.name);
  }

  /** Collects identifiers, and rewrites what can stand anywhere: `import()`, `import.meta`, nested `var`s. */
  #walk(node: Node, top: boolean): void {
    const erased = this.types.enter(node);
    this.#visit(node, top);
    this.types.leave(erased);
  }

  #visit(node: Node, top: boolean): void {
    switch (node.type) {
      case "Identifier":
      case "JSXIdentifier":
        this.references.add(node.name);
        break;
      case "MemberExpression":
      case "OptionalMemberExpression":
        this.#walk(node.object, top);
        if (node.computed) this.#walk(node.property, top);
        return;
      case "ObjectProperty":
      case "ClassProperty":
      case "ClassAccessorProperty":
      case "ObjectMethod":
      case "ClassMethod":
      case "TSDeclareMethod":
      case "TSPropertySignature":
      case "TSMethodSignature":
        eachChild(node, (child, key) => {
          if (key !== "key" || ("computed" in node && node.computed))
            this.#walk(child, top && node.type === "ObjectProperty");
        });
        return;
      case "TSQualifiedName":
        this.#walk(node.left, top);
        return;
      case "TSEnumMember":
        if (node.initializer) this.#walk(node.initializer, top);
        return;
      case "LabeledStatement":
        this.#walk(node.body, top);
        return;
      case "ForStatement":
        if (node.init) this.#loopHeads.add(node.init);
        this.#loop(node);
        break;
      case "ForInStatement":
      case "ForOfStatement":
        this.#loopHeads.add(node.left);
        this.#loop(node);
        break;
      case "WhileStatement":
      case "DoWhileStatement":
        this.#loop(node);
        break;
      case "AwaitExpression":
        if (top) {
          this.#insert(node.start, `${goName}(`);
          this.#insert(node.end, ")");
        }
        break;
      case "BreakStatement":
      case "ContinueStatement":
      case "ImportDeclaration":
        return;
      case "TSImportEqualsDeclaration":
        if (node.moduleReference.type !== "TSExternalModuleReference") this.#walk(node.moduleReference, top);
        return;
      case "ExportNamedDeclaration":
        if (node.source) return;
        break;
      case "ImportExpression":
        this.#replace(node.start, node.start + "import".length, importFunction);
        break;
      case "CallExpression":
        if (node.callee.type === "Import") {
          this.#replace(node.callee.start, node.callee.end, importFunction);
          for (const each of node.arguments) this.#walk(each, top);
          return;
        }
        break;
      case "MetaProperty":
        if (node.meta.name === "import") this.#replace(node.start, node.end, metaName);
        return;
      case "VariableDeclaration":
        if (top && node.kind === "var" && !this.#isStatement(node)) this.#nestedVar(node);
        break;
    }
    const inside = top && !/Function|Class|^TSModule|Method/.test(node.type);
    eachChild(node, (child) => this.#walk(child, inside));
  }

  /**
   * A loop that waits ends when its cell is interrupted, also where it catches errors, and inside functions, by a name
   * that may be missing: a function's writer may send it elsewhere as text.
   */
  #loop(node: Loop): void {
    const isForAwait = node.type === "ForOfStatement" && node.await;
    if (!isForAwait && !contains(node, (each) => each.type === "AwaitExpression", isFunction)) return;
    const { body } = node;
    const check = `globalThis.${goName}?.();`;
    if (body.type === "BlockStatement") this.#insert(body.start + 1, check);
    else {
      this.#insert(body.start, `{${check}`);
      this.#loopEnds.push(body.end);
    }
  }

  #isStatement(node: Node): boolean {
    return this.#tree.body.some((each) => each === node || declarationOf(each) === node);
  }

  /** A `var` inside a block or a loop's head belongs to the cell. */
  #nestedVar(node: Of<"VariableDeclaration">): void {
    const names = namesOf(node);
    for (const id of names) {
      this.#declare(id, "var", { value: true });
      this.#hoistedNames.add(id.name);
    }
    this.#asAssignment(node, !this.#loopHeads.has(node));
  }

  #text(node: Node): string {
    return this.#source.slice(node.start, node.end);
  }
  #insert(at: number, text: string): void {
    this.edits.push({ start: at, end: at, text });
  }
  /** Puts `text` in place of a range and keeps the range's line breaks after it, so that later lines stay where they are. */
  #replace(start: number, end: number, text: string): void {
    this.edits.push({ start, end, text: text + lineBreaks(this.#source, start, end) });
  }
  /** Takes a statement away. Its semicolon stays, because the statement before may rely on it. */
  #blank(start: number, end: number, moved = false): void {
    this.edits.push({ start, end, text: `;${lineBreaks(this.#source, start, end)}`, moved });
  }
}

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

function isResult(node: Statement | undefined): boolean {
  if (!node) return false;
  if (node.type === "ExpressionStatement" || node.type === "TSExportAssignment") return true;
  if (node.type !== "ExportDefaultDeclaration") return false;
  const { declaration } = node;
  return !isDeclaration(declaration) || !("id" in declaration && declaration.id);
}

type Exports = Of<
  | "ExportNamedDeclaration"
  | "ExportDefaultDeclaration"
  | "ExportAllDeclaration"
  | "TSExportAssignment"
  | "TSNamespaceExportDeclaration"
>;
type Loop = Of<"ForStatement" | "ForInStatement" | "ForOfStatement" | "WhileStatement" | "DoWhileStatement">;

function exportedBy(node: Exports): Node | null | undefined {
  if (node.type === "TSExportAssignment") return node.expression;
  return "declaration" in node ? node.declaration : undefined;
}

/** A declaration, and not an expression. */
function isDeclaration(node: Node): boolean {
  return /Declaration$/.test(node.type) || node.type === "TSDeclareFunction";
}

/** The names that a declaration declares. */
function namesOf(node: Node): Identifier[] {
  if (node.type === "VariableDeclaration") return node.declarations.flatMap((each) => boundNames(each.id));
  const id = "id" in node ? node.id : undefined;
  return isNode(id) && id.type === "Identifier" ? [id] : [];
}

function isTypeOnly(node: Of<"ImportDeclaration">["specifiers"][number]): boolean {
  return node.type === "ImportSpecifier" && (node.importKind === "type" || node.importKind === "typeof");
}
