// Finds a cell's names, imports, exports and types in its syntax tree, and edits the cell's text for V8's REPL mode.
import { goName } from "../../util/turn.ts";
import type { Declared, DeclaredKind } from "./code.ts";
import type { Edit, Moved } from "./edits.ts";
import { TypeEraser } from "./erase.ts";
import { type JsxOptions, type JsxSettings, jsxNames, jsxSettings, pragmaPlaces } from "./jsx.ts";
import { addsToLanguage } from "./language-types.ts";
import { type CellNames, isTaken, ownName } from "./names.ts";
import { lexicalNames, outerUses, type Use } from "./scope.ts";
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
import {
  constantName,
  functionsName,
  identifier,
  importFunction,
  liveName,
  metaName,
  resultMark,
  resultName,
  thrownMarks,
  variablesName,
} from "./words.ts";

/** Specifiers of one's own modules: paths, addresses, and what no package can be called. */
const ownModule = /^(\.{0,2}\/|\.{1,2}$|file:|data:|[@~]\/|#)/;

/** What modules of Node's CommonJS have as names of their own, and cells have elsewhere. */
const moduleNames = new Map([
  ["__dirname", `${metaName}.dirname`],
  ["__filename", `${metaName}.filename`],
  ["module", `${metaName}.module`],
  ["exports", `${metaName}.module.exports`],
]);

export interface RewriteOptions extends SyntaxOptions, JsxOptions {
  /** What earlier cells have declared. */
  names?: CellNames;
  /** Have the compiler take the types out even where taking their text away is enough. */
  compile?: boolean;
  /** Class fields by definition, as the standard has them, or by assignment, which takes a compiler. */
  useDefineForClassFields?: boolean;
  /** The cell becomes the body of an async function, whose names are properties of the global object. */
  inFunction?: boolean;
}

export class CellRewriter {
  readonly edits: Edit[] = [];
  readonly declared: Declared[] = [];
  readonly references = new Set<string>();
  /** See `CellCode`. */
  readonly deferred: [start: number, end: number][] = [];
  isAmbient = false;
  readonly ambientModules: [start: number, end: number][] = [];
  readonly globalInterfaces: [start: number, end: number][] = [];
  /** How the cell's JSX is compiled, where it has any, and where it stands. */
  readonly jsx: JsxSettings | undefined;
  readonly jsxPlaces: [start: number, end: number][] = [];
  showsResult = false;
  /** What the cell needs declared before its own lines. */
  firstLine = "";
  /** Pieces of the cell that move above its lines: hoisted functions. */
  readonly head: Moved[] = [];
  /** What follows them. */
  headEnd = "";
  /** The cell's statements stand in a block. */
  block = false;
  /** Enums and namespaces, by the names that they have in V8: the compiler declares them with `var`. */
  readonly mergedNames = new Set<string>();
  readonly types: TypeEraser;
  /** esbuild has something to lower and will make helpers and temporaries. */
  lowered = false;
  /** The edited text is TypeScript for esbuild, and not yet what runs. */
  compiles = false;

  readonly #source: string;
  readonly #tree: CellTree;
  readonly #options: RewriteOptions;
  readonly #strict: boolean;
  /** Top-level statements, and what stands behind `export`. */
  readonly #statements: Set<Node>;
  /** Names of the cell's functions and classes where the rewriting takes care of them. */
  readonly #placedNames = new Set<Node>();
  readonly #classes: Set<string>;
  /** Declarations in the heads of loops, which have no semicolon of their own. */
  readonly #loopHeads = new Set<Node>();
  /** Where braces close that open before a loop's only statement; what ends at the same place closes first. */
  readonly #loopEnds: number[] = [];
  /** What closes around all else that ends at the same place. */
  readonly #closings: { at: number; text: string }[] = [];
  readonly #exportedNames = new Set<string>();
  /** Names that the first line declares, or where false, that an earlier cell has and that keep their value. */
  readonly #hoisted = new Map<string, boolean>();
  readonly #functions: string[] = [];
  /** Names that blocks around declare, where JavaScript lets a function out of its block. */
  readonly #blocks: Set<string>[] = [];
  /** Functions in blocks whose name is the whole cell's, as in scripts that are not strict. */
  readonly #blockFunctions = new Set<string>();
  readonly #names = new Map<string, Declared>();
  /** Names that something is assigned to, in whatever scope. */
  readonly #assigned = new Set<string>();

  constructor(source: string, tree: CellTree, options: RewriteOptions) {
    this.#source = source;
    this.types = new TypeEraser(source);
    this.#tree = tree;
    this.#options = options;
    this.#strict = !options.javascript || tree.directives.some(({ value }) => value.value === "use strict");
    this.#statements = new Set(tree.body.flatMap((each) => [each, declarationOf(each)]));
    this.#classes = new Set();
    for (const each of this.#statements)
      if (each.type === "ClassDeclaration" && each.id) this.#classes.add(each.id.name);
    if (!tree.jsx) return;
    const own = lexicalNames(tree.body);
    for (const each of tree.body)
      if (each.type === "ImportDeclaration") for (const { local } of each.specifiers) own.add(local.name);
    const isKnown = (name: string) => own.has(name) || options.names?.kind(name) !== undefined;
    this.jsx = jsxSettings(source, options, isKnown);
  }

  /** The settings as the compiler has them, which makes calls of the names that V8 knows. */
  get compiledJsx(): JsxSettings | undefined {
    if (!this.jsx) return undefined;
    const inV8 = (path: string) => path.replace(/^[^.]+/, (name) => this.#nameOf(name));
    return { ...this.jsx, factory: inV8(this.jsx.factory), fragment: inV8(this.jsx.fragment) };
  }

  rewrite(): void {
    const { body, interpreter } = this.#tree;
    if (interpreter) this.#replace(interpreter.start, interpreter.end, "");
    if (this.jsx) {
      for (const name of jsxNames(this.jsx)) this.references.add(name);
      for (const at of pragmaPlaces(this.#source)) this.#replace(at, at + 1, "");
    }
    this.lowered =
      this.jsx !== undefined ||
      (/@|\b(using|accessor)\b/.test(this.#source) &&
        body.some((statement) => contains(statement, (node) => this.#isLowered(node))));
    // A resource lives until its cell's end, so what follows it stands in a block.
    this.block = body.some(isUsing);
    const scoped = this.lowered || this.#inFunction;
    for (const statement of body) this.#statement(statement, scoped);
    for (const statement of body) this.#walk(statement, true);
    for (const at of this.#loopEnds) this.#insert(at, "}");
    this.compiles =
      this.#options.compile ||
      this.lowered ||
      this.types.needsCompiler ||
      (this.types.found && this.#options.useDefineForClassFields === false);
    this.#result();
    this.#useNames();
    this.firstLine = (this.#strict ? '"use strict";' : "") + this.#declarations();
    if (this.#functions.length > 0)
      this.headEnd = `globalThis.${functionsName}?.(${this.#functions.map((name) => this.#nameOf(name)).join(", ")});`;
    for (const name of this.#names.keys()) this.references.delete(name);
    for (const each of this.declared) each.exported = this.#exportedNames.has(each.name);
    for (const { at, text } of this.#closings) this.#insert(at, text);
  }

  /** For a function's body: the names that must be there, undefined, before it runs. */
  get reset(): string[] {
    return [...this.#hoisted].flatMap(([name, isNew]) => (isNew ? [this.#nameOf(name)] : []));
  }

  get #inFunction(): boolean {
    return this.#options.inFunction === true;
  }

  /** The cell is one object literal. */
  get isObject(): boolean {
    return this.#tree.bareObject;
  }

  /** Names that have a value when the first statement begins. */
  get initialized(): string[] {
    return [...this.#hoisted.keys()];
  }

  /** Experimental decorators take class declarations only, and need no temporaries that cells could share. */
  #isLowered(node: Node): boolean {
    return isLowered(node) && !(this.#options.experimentalDecorators && node.type === "Decorator");
  }

  /** The `let`s of the first line. */
  #declarations(): string {
    const names = this.#inFunction ? [] : this.reset;
    let text = names.length > 0 ? `let ${names.join(", ")};` : "";
    if (this.#inFunction) text += `let ${resultName};`;
    else text += this.#accessors();
    for (const name of this.#blockFunctions) {
      text += `let ${setterOf(name)} = (value) => { ${this.#nameOf(name)} = value; };`;
    }
    for (const { name, value, live } of this.#names.values()) {
      const before = value && live === undefined ? this.#options.names?.exportOf(name) : undefined;
      if (before === undefined) continue;
      // Earlier cells' functions that name an import find what is declared now.
      const now = this.#nameOf(name);
      text += `${liveName}.${now} = { get ${JSON.stringify(before)}() { return ${now}; } };`;
    }
    return text;
  }

  /** Makes properties of the global object of what a script would: V8's `let`s are none. */
  #accessors(): string {
    const isOne = (kind: string | undefined) => kind === "var" || kind === "function";
    const accessors: string[] = [];
    for (const { name, kind, value } of this.#names.values()) {
      if (!value || !isOne(kind) || this.#isRenamed(name) || isOne(this.#options.names?.kind(name))) continue;
      accessors.push(accessorOf(name, name));
    }
    return provided(accessors);
  }

  // ---- the result ----

  #result(): void {
    const { body, directives, bareObject } = this.#tree;
    const last = body.at(-1);
    if (bareObject && last) {
      this.#insert(last.start, "(");
      this.#insert(last.end, ")");
    }
    // A cell that is nothing but strings has directives to the parser and a result to its writer.
    const directive = body.length === 0 ? directives.at(-1) : undefined;
    if (directive) {
      if (!this.#inFunction) {
        this.#insert(directive.value.start, ";(");
        this.#insert(directive.value.end, ")");
      }
      this.#mark(directive.value);
    }
    this.showsResult = directive !== undefined || this.#showsLast(body);
  }

  /** Whether a list of statements ends in a value, which a statement may hold as far down as V8 looks for it. */
  #showsLast(statements: Statement[]): boolean {
    const last = statements.findLast((each) => each.type !== "EmptyStatement");
    return last !== undefined && this.#shows(last);
  }

  #shows(node: Statement): boolean {
    switch (node.type) {
      case "ExpressionStatement":
      case "TSExportAssignment":
        this.#mark(node.expression);
        return true;
      case "ExportDefaultDeclaration": {
        const { declaration } = node;
        const isValue = !isDeclaration(declaration) || !("id" in declaration && declaration.id);
        if (isValue) this.#mark(declaration);
        return isValue;
      }
      case "BlockStatement":
        return this.#showsLast(node.body);
      case "IfStatement": {
        const first = this.#shows(node.consequent);
        return (node.alternate ? this.#shows(node.alternate) : false) || first;
      }
      case "TryStatement": {
        const first = this.#shows(node.block);
        return (node.handler ? this.#shows(node.handler.body) : false) || first;
      }
      case "SwitchStatement": {
        const shown = node.cases.map((each) => {
          const end = each.consequent.findIndex(({ type }) => type === "BreakStatement");
          return this.#showsLast(end < 0 ? each.consequent : each.consequent.slice(0, end));
        });
        return shown.includes(true);
      }
      case "LabeledStatement":
      case "WithStatement":
        return this.#shows(node.body);
      default:
        return false;
    }
  }

  /** Hides from the compiler that a value could be worked out, or left out. */
  #mark({ start, end }: { start: number; end: number }): void {
    if (this.#inFunction) {
      // In an array, so that a promise that is the cell's value is not awaited on the way.
      this.edits.unshift({ start, end: start, text: `${resultName} = [(` });
      // Behind a type, what the next line begins with may be a statement: see TypeEraser.
      const starts = /^\s*\n\s*[([`]/.test(this.#source.slice(end, end + 200));
      this.#closings.unshift({ at: end, text: starts ? ")];" : ")]" });
      this.types.closed.add(end);
      return;
    }
    if (!this.compiles) return;
    // First of all edits, so that what closes at the same place closes around it.
    this.edits.unshift({ start, end: start, text: `${resultMark}((` }, { start: end, end, text: "))" });
  }

  // ---- names that are not what they seem ----

  /** The name in V8. */
  #nameOf(name: string): string {
    return this.#isRenamed(name) ? ownName(name) : name;
  }

  #isRenamed(name: string): boolean {
    const own = this.#names.get(name);
    return own?.value
      ? isTaken(own, this.#options.names?.globals)
      : (this.#options.names?.isRenamed(name) ?? false);
  }

  #isConstant(name: string): boolean {
    const own = this.#names.get(name);
    const kind = own?.value ? own.kind : this.#options.names?.kind(name);
    return kind === "const" || kind === "import";
  }

  /** The export of one's own module that a name is. */
  #exportOf(name: string): string | undefined {
    const own = this.#names.get(name);
    return own?.value ? own.live : this.#options.names?.exportOf(name);
  }

  #useNames(): void {
    const isKnown = (name: string) => this.#names.has(name) || this.#options.names?.kind(name) !== undefined;
    const wanted = new Set<string>();
    for (const name of this.references) {
      const isWanted =
        this.#isRenamed(name) ||
        this.#exportOf(name) !== undefined ||
        (moduleNames.has(name) && !isKnown(name)) ||
        (this.#assigned.has(name) && this.#isConstant(name));
      if (isWanted) wanted.add(name);
    }
    if (wanted.size === 0) return;
    for (const use of outerUses(this.#tree.body, (name) => wanted.has(name))) {
      if (!this.#placedNames.has(use.node)) this.#rewriteUse(use);
    }
  }

  #rewriteUse({ node, shorthand, writes, declares, logical }: Use): void {
    const { name, start } = node;
    const own = this.#nameOf(name);
    const moduleName = own === name ? moduleNames.get(name) : undefined;
    const exported = writes || declares ? undefined : this.#exportOf(name);
    let text = exported === undefined ? (moduleName ?? own) : newestOf(own, exported);
    if (writes && !declares && this.#isConstant(name)) {
      if (logical) {
        // What is not assigned throws nothing: `c ||= 1` of a constant that is true.
        const operator = this.#source.indexOf(logical.operator, node.start + name.length);
        this.#insert(logical.start, "(");
        const sign = logical.operator.slice(0, 2);
        this.edits.push({ start: operator, end: operator + 3, text: `${sign} (${constantName}.${own} =` });
        this.#insert(logical.end, "))");
      } else text = `${constantName}.${own}`;
    }
    if (text === name) return;
    // (A parameter's or a variable's node ends behind its type.)
    this.edits.push({ start, end: start + name.length, text: shorthand ? `${name}: ${text}` : text });
  }

  /** The first line declares a name; `keeps`: unless an earlier cell has it, whose value stays. */
  #hoist(name: string, keeps = false): void {
    const { names } = this.#options;
    const isImport = names?.exportOf(name) !== undefined;
    const isKept = keeps && !this.#hoisted.get(name) && !isImport && (names?.isInitialized(name) ?? false);
    this.#hoisted.set(name, !isKept);
  }

  // ---- statements ----

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
        if (node.id) this.#declare(node.id, "function", { value: !node.declare });
        if (!node.declare) this.#blank(node.start, node.end);
        return;
      case "ClassDeclaration":
        if (!node.id) return;
        this.#declare(node.id, "class", { value: !node.declare, type: true });
        if (node.declare) return;
        // (An experimental decorator wants a declaration: there the class has the other name itself.)
        if (this.#options.experimentalDecorators && node.decorators?.length) return;
        this.#placedNames.add(node.id);
        if (scoped || this.mergedNames.has(node.id.name) || this.#isRenamed(node.id.name)) {
          this.#classAsAssignment(node, node.id);
        }
        return;
      case "TSEnumDeclaration":
        this.#declare(node.id, "enum", { value: !node.declare, type: true });
        if (!node.declare) this.#merged(node, node.id.name, scoped);
        return;
      case "TSModuleDeclaration":
        if (node.id.type !== "Identifier" || node.kind === "global") {
          this.isAmbient = true;
          if (node.id.type === "StringLiteral") this.ambientModules.push([node.start, node.end]);
          return;
        }
        this.#declare(node.id, "namespace", { value: !node.declare && hasValues(node), type: true });
        if (!node.declare && hasValues(node)) this.#merged(node, node.id.name, scoped);
        return;
      case "TSInterfaceDeclaration":
        if (this.#addsToLanguage(node)) {
          this.isAmbient = true;
          this.globalInterfaces.push([node.start, node.end]);
        } else this.#declare(node.id, "interface", { type: true });
        return;
      case "TSTypeAliasDeclaration":
        this.#declare(node.id, "type", { type: true });
        return;
    }
  }

  #addsToLanguage(node: Of<"TSInterfaceDeclaration">): boolean {
    const { name } = node.id;
    const isOwn = this.#classes.has(name) || this.#options.names?.kind(name) !== undefined;
    return !isOwn && this.#tree.body.includes(node) && addsToLanguage(node, this.#source);
  }

  /** A name whose `var` from the compiler is taken away: `let` in the head unless a class or function has it already. */
  #merged(node: Of<"TSEnumDeclaration" | "TSModuleDeclaration">, name: string, scoped: boolean): void {
    this.mergedNames.add(this.#nameOf(name));
    // (What adds to a class of this cell stays behind it.)
    if (scoped && (this.block || !this.#classes.has(name))) {
      this.head.push({ start: node.start, end: node.end, prefix: "" });
      this.#blank(node.start, node.end, true);
    }
    const adds = this.#addsTo(node, name);
    if (adds) this.#names.get(name)!.adds = true;
    if (!this.#classes.has(name)) this.#hoist(name, adds);
  }

  /** Whether an enum or a namespace adds to one of an earlier cell, as it would to one further up in a file. */
  #addsTo(node: Of<"TSEnumDeclaration" | "TSModuleDeclaration">, name: string): boolean {
    const before = this.#options.names?.kind(name) ?? "";
    if (node.type === "TSModuleDeclaration") return /namespace|enum|class|function/.test(before);
    // Of an enum's declarations only one may leave its first member without a value: a cell that is run anew is that one.
    return /namespace|enum/.test(before) && node.members[0]?.initializer != null;
  }

  #importDeclaration(node: Of<"ImportDeclaration">, scoped: boolean): void {
    if (node.importKind === "type") {
      for (const each of node.specifiers) this.#declare(each.local, "import", { type: true });
      this.#blank(node.start, node.end);
      return;
    }
    let call = `${goName}(await ${importFunction}(${this.#specifier(node.source, node.attributes)}))`;
    let namespace = "";
    const picked: string[] = [];
    const properties: string[] = [];
    const isOwn = ownModule.test(node.source.value);
    for (const each of node.specifiers) {
      this.#declare(each.local, "import", { value: !isTypeOnly(each), type: true });
      if (isOwn && !isTypeOnly(each)) this.#makeLive(each.local.name, exportNameOf(each));
    }
    scoped ||= node.specifiers.some((each) => this.#isRenamed(each.local.name));
    for (const each of node.specifiers) {
      if (isTypeOnly(each)) continue;
      const local = this.#nameOf(each.local.name);
      const exported = exportNameOf(each);
      if (isOwn && exported !== undefined) call = `${liveName}.${local} = ${call}`;
      if (this.#names.get(each.local.name)!.isProperty) {
        properties.push(accessorOf(local, newestOf(local, exported!), constantName));
        continue;
      }
      if (scoped) this.#hoist(each.local.name);
      if (exported === undefined) namespace = local;
      else picked.push(exported === local ? local : `${JSON.stringify(exported)}: ${local}`);
    }
    const count = picked.length + properties.length;
    // Only types were named: the module itself is not wanted, as TypeScript has it without verbatimModuleSyntax.
    if (node.specifiers.length > 0 && !namespace && count === 0) {
      this.#blank(node.start, node.end);
      return;
    }
    const pattern = `{ ${picked.join(", ")} }`;
    let text = call;
    if (namespace && picked.length > 0) text = `${namespace} = ${call}, ${pattern} = ${namespace}`;
    else if (namespace) text = `${namespace} = ${call}`;
    else if (picked.length > 0) text = `${pattern} = ${call}`;
    if (count > 0 || namespace) text = scoped || text === call ? `void (${text})` : `let ${text}`;
    this.#replace(node.start, node.end, `${text};${provided(properties)}`);
  }

  /**
   * The name is what its module's export is now. Functions of earlier cells that name it see that as a property of the
   * global object, which a `let` of an earlier cell would hide.
   */
  #makeLive(name: string, exported: string | undefined): void {
    const declared = this.#names.get(name)!;
    declared.live = exported;
    if (exported === undefined || this.#isRenamed(name)) return;
    declared.isProperty = this.#inFunction || !this.#options.names?.isVariable(name);
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
        ? this.#required(this.#text(moduleReference.expression))
        : aliasOf(this.#text(moduleReference), (name) => this.#nameOf(name));
    const { name } = node.id;
    scoped ||= this.#isRenamed(name);
    if (scoped) this.#hoist(name);
    this.#replace(node.start, node.end, `${scoped ? "" : "let "}${this.#nameOf(name)} = ${value};`);
  }

  /** Where cells are functions, on a page, there is no `require`: modules come while the cell waits. */
  #required(specifier: string): string {
    if (!this.#inFunction) return `require(${specifier})`;
    return `${goName}(await ${importFunction}(${specifier}, { required: true }))`;
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
    const keywords =
      /^export(\s+default\b)?(\s*=)?/.exec(this.#source.slice(from, inner.end))?.[0].length ?? 0;
    if (isDeclaration(inner)) {
      const names = namesOf(inner);
      if (node.type === "ExportNamedDeclaration") for (const { name } of names) this.#exportedNames.add(name);
      if (names.length > 0 || inner.type === "VariableDeclaration") {
        this.#replace(from, from + keywords, "");
        this.#statement(inner, scoped);
        return;
      }
      if (inner.type === "TSDeclareFunction") {
        this.#blank(node.start, node.end);
        return;
      }
    }
    // `export default <value>`: the value is the cell's result, in parentheses because it may start with `{` or `function`.
    this.#replace(from, from + keywords, ";(");
    this.#close(node);
  }

  /** Closes a parenthesis at a statement's end, before its semicolon or with one: the next line must not go on with it. */
  #close(node: Node): void {
    const isEnded = this.#source.charAt(node.end - 1) === ";";
    const end = node.end - (isEnded ? 1 : 0);
    this.types.closed.add(end);
    this.#closings.push({ at: end, text: isEnded ? ")" : ");" });
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
          places: [],
          adds: false,
        });
      return;
    }
    for (const id of names) this.#declare(id, kind, { value: !node.declare });
    if (node.declare) return;
    // `var` may be repeated and may be used above its declaration, which the head's `let` allows as well.
    if (scoped || node.kind === "var" || names.some(({ name }) => this.#isRenamed(name))) {
      for (const { name } of names) this.#hoist(name, node.kind === "var");
      this.#asAssignment(node, true);
    } else if (node.kind === "const") {
      this.#replace(node.start, node.start + node.kind.length, "let  ");
    }
  }

  /** `var a: T = 1, {b} = c` as assignments to names that the head declares; `statement`: it is not a loop's head. */
  #asAssignment(node: Of<"VariableDeclaration">, statement: boolean): void {
    const first = node.declarations[0];
    if (statement && node.kind === "var" && node.declarations.every((each) => !each.init)) {
      this.#blank(node.start, node.end);
      return;
    }
    // `void` starts the statement, so that no line before it can take `(`, `[` or `{` for its own.
    this.#replace(node.start, first.start, statement ? "void (" : "");
    for (const each of node.declarations) {
      const { id, init } = each;
      const annotation = "typeAnnotation" in id ? id.typeAnnotation : undefined;
      if (annotation) this.#replace(annotation.start, annotation.end, "");
      if (id.type === "Identifier") {
        if (each.definite) this.#replace(id.start + id.name.length, annotation?.start ?? id.end, "");
        if (init && this.#isRenamed(id.name) && isNameless(init)) {
          // It takes its name from where it stands, and that should not be the other one.
          this.#insert(init.start, `{ ${id.name}: `);
          this.#insert(init.end, ` }.${id.name}`);
        }
      }
      // (`var x;` leaves x as it is, `let x;` does not.)
      if (!init && statement) this.#insert(each.end, node.kind === "var" ? "" : " = undefined");
    }
    if (statement) this.#close(node);
  }

  #functionDeclaration(node: Of<"FunctionDeclaration">): void {
    if (!node.id) return;
    const { name } = node.id;
    this.#declare(node.id, "function", { value: true });
    this.#hoist(name);
    this.#hoisted.set(name, true);
    this.#functions.push(name);
    this.#placedNames.add(node.id);
    // A function can be called above its declaration, so it moves to the head as `f = function (…) {…};`. It has no
    // name of its own there (it takes the variable's), so that `f = memoize(f)` still changes what f calls.
    const isRenamed = this.#isRenamed(name);
    this.head.push({
      start: node.start,
      end: node.end,
      prefix: isRenamed ? `${ownName(name)} = { ${name}: ` : `${name} = `,
      suffix: isRenamed ? ` }.${name}` : "",
      skip: [node.id.start, node.id.end],
    });
    this.#blank(node.start, node.end, true);
  }

  #classAsAssignment(node: Of<"ClassDeclaration">, id: Identifier): void {
    this.#hoist(id.name);
    this.#insert(node.start, `${this.#nameOf(id.name)} = `);
    this.#insert(node.end, ";");
    if (node.abstract) {
      const from = node.decorators?.at(-1)?.end ?? node.start;
      const at = from + this.#source.slice(from, id.start).lastIndexOf("abstract");
      this.#replace(at, at + "abstract".length, "");
    }
  }

  /**
   * Outside of strict mode a function in a block is the whole cell's too, from when the block comes to it, unless that
   * would be in the way of another name. V8 would declare it as a `var`, which no later cell could declare anew.
   */
  #blockFunction(node: Of<"FunctionDeclaration">): void {
    const { id } = node;
    if (!id || node.async || node.generator) return;
    const known = this.#names.get(id.name);
    if (known && known.kind !== "var" && known.kind !== "function") return;
    if (this.#blocks.slice(0, -1).some((names) => names.has(id.name))) return;
    if (!known) this.#declare(id, "function", { value: true });
    this.#hoist(id.name, true);
    this.#blockFunctions.add(id.name);
    this.#insert(node.end, ` ${setterOf(id.name)}(${id.name});`);
  }

  #specifier(source: Of<"StringLiteral">, attributes?: Of<"ImportAttribute">[] | null): string {
    const text = this.#text(source);
    if (!attributes?.length) return text;
    const pairs = attributes.map((each) => `${this.#text(each.key)}: ${this.#text(each.value)}`);
    return `${text}, { with: { ${pairs.join(", ")} } }`;
  }

  /** Where the top-level declaration of a name stands, of a kind that more can be added to. */
  #placeOf({ start, end }: Identifier, kind: DeclaredKind): [number, number][] {
    if (!/^(class|interface|enum|namespace|function)$/.test(kind)) return [];
    for (const each of this.#statements)
      if (each.start <= start && end <= each.end && !/^Export/.test(each.type))
        return [[each.start, each.end]];
    return [];
  }

  #declare(id: Identifier, kind: DeclaredKind, meaning: { value?: boolean; type?: boolean }): void {
    const known = this.#names.get(id.name);
    const place = this.#placeOf(id, kind);
    if (known) {
      known.places.push(...place);
      // Merged declarations (an interface and a class, overloads): one name with both meanings.
      known.value ||= meaning.value ?? false;
      known.type ||= meaning.type ?? false;
      if (known.kind === "interface" || known.kind === "type" || known.kind === "namespace")
        known.kind = kind;
      return;
    }
    const declared: Declared = {
      name: id.name,
      kind,
      value: meaning.value ?? false,
      type: meaning.type ?? false,
      exported: false,
      start: id.start,
      places: place,
      adds: kind === "interface" && this.#options.names?.kind(id.name) === "class",
    };
    this.#names.set(id.name, declared);
    this.declared.push(declared);
  }

  /** Collects identifiers, and rewrites what can stand anywhere: `import()`, `import.meta`, nested `var`s. */
  #walk(node: Node, top: boolean): void {
    const erased = this.types.enter(node);
    this.#visit(node, top);
    this.types.leave(erased);
  }

  #visit(node: Node, top: boolean): void {
    switch (node.type) {
      case "JSXElement":
      case "JSXFragment":
        if (!(node.start < (this.jsxPlaces.at(-1)?.[1] ?? 0))) this.jsxPlaces.push([node.start, node.end]);
        break;
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
        if (isFunction(node)) this.#defer(node);
        if (node.type === "ClassProperty" && !node.static && node.value) this.#defer(node.value);
        eachChild(node, (child, key) => {
          if (key !== "key" || ("computed" in node && node.computed))
            this.#walk(child, top && node.type === "ObjectProperty");
        });
        return;
      case "TSQualifiedName":
        this.#walk(node.left, top);
        return;
      case "TSInterfaceDeclaration":
      case "TSTypeAliasDeclaration":
        // Types are looked at when they are used.
        this.#defer(node);
        break;
      case "TSEnumMember":
        if (node.initializer) this.#walk(node.initializer, top);
        return;
      case "LabeledStatement":
        if (node.body.type === "ForStatement") this.#resourceLoop(node.body, node);
        this.#walk(node.body, top);
        return;
      case "ForStatement":
        if (node.init) this.#loopHeads.add(node.init);
        this.#resourceLoop(node);
        this.#loop(node);
        break;
      case "ForInStatement":
      case "ForOfStatement":
        this.#loopHeads.add(node.left);
        this.#assigns(node.left);
        this.#loop(node);
        break;
      case "AssignmentExpression":
        this.#assigns(node.left);
        break;
      case "UpdateExpression":
        this.#assigns(node.argument);
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
      case "ThrowStatement":
        if (node.argument.type !== "NewExpression") {
          this.#insert(node.argument.start, thrownMarks[0]);
          this.#insert(node.argument.end, thrownMarks[1]);
        }
        break;
      case "VariableDeclaration":
        if (top && node.kind === "var" && !this.#statements.has(node)) this.#nestedVar(node);
        break;
      case "IfStatement":
        if (top && !this.#strict) for (const each of [node.consequent, node.alternate]) this.#braced(each);
        break;
      case "FunctionDeclaration":
        if (top && !this.#strict && !this.#statements.has(node)) this.#blockFunction(node);
        break;
    }
    if (isFunction(node)) this.#defer(node);
    const isBlock = !this.#strict && top && /^(BlockStatement|SwitchStatement|For\w*)$/.test(node.type);
    if (isBlock) this.#blocks.push(blockNames(node));
    const inside = top && !/Function|Class|^TSModule|Method/.test(node.type);
    eachChild(node, (child) => this.#walk(child, inside));
    if (isBlock) this.#blocks.pop();
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

  /** Code that runs when it is called, and not when the cell comes to it. */
  #defer({ start, end }: Node): void {
    if (!(start < (this.deferred.at(-1)?.[1] ?? 0))) this.deferred.push([start, end]);
  }

  /** Notes what is assigned to. */
  #assigns(target: Node): void {
    if (target.type === "VariableDeclaration") return;
    while ("expression" in target && isNode(target.expression)) target = target.expression;
    for (const { name } of boundNames(target)) this.#assigned.add(name);
  }

  /** `if (x) function f() {}`, which scripts that are not strict may say, is as if the function stood in a block. */
  #braced(node: Node | null | undefined): void {
    if (node?.type !== "FunctionDeclaration") return;
    this.#insert(node.start, "{ ");
    this.#loopEnds.push(node.end);
  }

  /** `for (using x = …; …; …)`: the resource belongs to a block around the loop. */
  #resourceLoop(node: Of<"ForStatement">, label?: Of<"LabeledStatement">): void {
    const { init } = node;
    if (!init || !isUsing(init) || this.#loopHeads.has(init) !== (label === undefined)) return;
    if (label) {
      this.#loopHeads.add(init);
      this.#insert(label.start, `{ ${this.#text(init)}; `);
      this.#replace(init.start, init.end, "");
    } else if (!this.#resourceLoops.has(node)) {
      this.#replace(node.start, init.start, "{ ");
      this.#insert(init.end, "; for (");
    } else return;
    this.#resourceLoops.add(node);
    this.#loopEnds.push(node.end);
  }
  readonly #resourceLoops = new Set<Node>();

  /** A `var` inside a block or a loop's head belongs to the cell. */
  #nestedVar(node: Of<"VariableDeclaration">): void {
    const names = namesOf(node);
    for (const id of names) {
      this.#declare(id, "var", { value: true });
      this.#hoist(id.name, true);
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

/** What sets a name of the whole cell from a block that has the same name. */
function setterOf(name: string): string {
  return `__slimlab_set_${name}`;
}

function blockNames(node: Node): Set<string> {
  if (node.type === "BlockStatement") return lexicalNames(node.body);
  if (node.type === "SwitchStatement") return lexicalNames(node.cases.flatMap((each) => each.consequent));
  const head = "init" in node ? node.init : "left" in node ? node.left : undefined;
  return isNode(head) ? lexicalNames([head]) : new Set();
}

/** What an import takes of its module; undefined for all of it. */
function exportNameOf(node: Of<"ImportDeclaration">["specifiers"][number]): string | undefined {
  if (node.type === "ImportNamespaceSpecifier") return undefined;
  if (node.type === "ImportDefaultSpecifier") return "default";
  return node.imported.type === "StringLiteral" ? node.imported.value : node.imported.name;
}

/** The newest value of an import. (A name that is none is written as a property all the same.) */
function newestOf(name: string, exported: string): string {
  return `${liveName}.${name}${identifier.test(exported) ? `.${exported}` : `[${JSON.stringify(exported)}]`}`;
}

/** A property that is what `value` is, and sets it, or what `target` has under its name. */
function accessorOf(name: string, value: string, target?: string): string {
  const set = target === undefined ? value : `${target}.${name}`;
  return `get ${name}() { return ${value}; }, set ${name}(${resultName}) { ${set} = ${resultName}; }`;
}

/** Makes properties of the global object of accessors. */
function provided(accessors: string[]): string {
  return accessors.length > 0 ? `globalThis.${variablesName}?.({ ${accessors.join(", ")} });` : "";
}

/** A function or class that takes its name from where it stands. */
function isNameless(node: Node): boolean {
  if (node.type === "ArrowFunctionExpression") return true;
  return (node.type === "FunctionExpression" || node.type === "ClassExpression") && !node.id;
}

/** The value of `A.B.C`, which may be a type only and then has none. */
function aliasOf(path: string, nameOf: (name: string) => string): string {
  const [first, ...rest] = path.split(".").map((name) => name.trim());
  return `typeof ${nameOf(first)} === "undefined" ? undefined : ${[nameOf(first), ...rest].join("?.")}`;
}

function lineBreaks(source: string, start: number, end: number): string {
  let breaks = "";
  for (let i = start; i < end; i++) if (source.charCodeAt(i) === 10) breaks += "\n";
  return breaks;
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
