// Imports as calls of the kernel's own, and exports as what they export: V8's REPL mode has neither.
import { goName } from "../../util/turn.ts";
import type { Draft } from "./draft.ts";
import { accessorOf, newestOf, provided } from "./live.ts";
import { isDeclaration, type Node, namesOf, type Of } from "./tree.ts";
import { constantName, importFunction, liveName } from "./words.ts";

type Specifier = Of<"ImportDeclaration">["specifiers"][number];
type Exports = Of<
  | "ExportNamedDeclaration"
  | "ExportDefaultDeclaration"
  | "ExportAllDeclaration"
  | "TSExportAssignment"
  | "TSNamespaceExportDeclaration"
>;

/** Specifiers of one's own modules: paths, addresses, and what no package can be called. */
const ownModule = /^(\.{0,2}\/|\.{1,2}$|file:|data:|[@~]\/|#)/;

/** `scoped`: the cell runs inside a block, so its names are declared before it. */
export function rewriteImport(cell: Draft, node: Of<"ImportDeclaration">, scoped: boolean): void {
  const { names } = cell;
  if (node.importKind === "type") {
    for (const each of node.specifiers) names.declare(each.local, "import", { type: true });
    cell.blank(node);
    return;
  }
  let call = importOf(cell, node.source, node.attributes);
  let namespace = "";
  const picked: string[] = [];
  const properties: string[] = [];
  const isOwn = ownModule.test(node.source.value);
  for (const each of node.specifiers) {
    names.declare(each.local, "import", { value: !isTypeOnly(each), type: true });
    if (isOwn && !isTypeOnly(each)) makeLive(cell, each.local.name, exportNameOf(each));
  }
  scoped ||= node.specifiers.some((each) => names.isRenamed(each.local.name));
  for (const each of node.specifiers) {
    if (isTypeOnly(each)) continue;
    const local = names.inV8(each.local.name);
    const exported = exportNameOf(each);
    if (isOwn && exported !== undefined) call = `${liveName}.${local} = ${call}`;
    if (names.get(each.local.name)!.isProperty) {
      properties.push(accessorOf(local, newestOf(local, exported!), constantName));
      continue;
    }
    if (scoped) names.hoist(each.local.name);
    if (exported === undefined) namespace = local;
    else picked.push(exported === local ? local : `${JSON.stringify(exported)}: ${local}`);
  }
  const count = picked.length + properties.length;
  // Only types were named: the module itself is not wanted, as TypeScript has it without verbatimModuleSyntax.
  if (node.specifiers.length > 0 && !namespace && count === 0) {
    cell.blank(node);
    return;
  }
  const pattern = `{ ${picked.join(", ")} }`;
  let text = call;
  if (namespace && picked.length > 0) text = `${namespace} = ${call}, ${pattern} = ${namespace}`;
  else if (namespace) text = `${namespace} = ${call}`;
  else if (picked.length > 0) text = `${pattern} = ${call}`;
  if (count > 0 || namespace) text = scoped || text === call ? `void (${text})` : `let ${text}`;
  cell.replace(node.start, node.end, `${text};${provided(properties)}`);
}

/**
 * The name is what its module's export is now. Functions of earlier cells that name it see that as a property of the
 * global object, which a `let` of an earlier cell would hide.
 */
function makeLive({ names, inFunction, options }: Draft, name: string, exported: string | undefined): void {
  const declared = names.get(name)!;
  declared.live = exported;
  if (exported === undefined || names.isRenamed(name)) return;
  declared.isProperty = inFunction || !options.names?.isVariable(name);
}

/** `import a = require("b")`, `import a = B.c`. */
export function rewriteImportEquals(
  cell: Draft,
  node: Of<"TSImportEqualsDeclaration">,
  scoped: boolean,
): void {
  const { names } = cell;
  const typeOnly = node.importKind === "type";
  names.declare(node.id, "import", { value: !typeOnly, type: true });
  if (typeOnly) {
    cell.blank(node);
    return;
  }
  const { moduleReference } = node;
  const value =
    moduleReference.type === "TSExternalModuleReference"
      ? required(cell, cell.text(moduleReference.expression))
      : aliasOf(cell.text(moduleReference), (name) => names.inV8(name));
  const { name } = node.id;
  scoped ||= names.isRenamed(name);
  if (scoped) names.hoist(name);
  cell.replace(node.start, node.end, `${scoped ? "" : "let "}${names.inV8(name)} = ${value};`);
}

/** Where cells are functions, on a page, there is no `require`: modules come while the cell waits. */
function required(cell: Draft, specifier: string): string {
  if (!cell.inFunction) return `require(${specifier})`;
  return `${goName}(await ${importFunction}(${specifier}, { required: true }))`;
}

/** The declaration that an export leaves to be rewritten, where it has one. */
export function rewriteExport(cell: Draft, node: Exports): Node | undefined {
  const isTypeOnly = node.type === "ExportNamedDeclaration" && node.exportKind === "type";
  if (node.type === "TSNamespaceExportDeclaration" || (isTypeOnly && !node.declaration)) {
    cell.blank(node);
    return undefined;
  }
  if ("source" in node && node.source) {
    cell.replace(node.start, node.end, `${importOf(cell, node.source, node.attributes)};`);
    return undefined;
  }
  const inner = exportedBy(node);
  if (!inner) {
    for (const each of (node.type === "ExportNamedDeclaration" && node.specifiers) || []) {
      if (each.type !== "ExportSpecifier" || each.exported.type !== "Identifier") continue;
      if (each.exported.name === each.local.name) cell.names.exported.add(each.local.name);
    }
    cell.blank(node);
    return undefined;
  }
  // Decorators may stand before `export`, so look for the keywords just before what they export.
  const from = node.start + cell.source.slice(node.start, inner.end).search(/\bexport\b/);
  const keywords = /^export(\s+default\b)?(\s*=)?/.exec(cell.source.slice(from, inner.end))?.[0].length ?? 0;
  if (isDeclaration(inner)) {
    const names = namesOf(inner);
    if (node.type === "ExportNamedDeclaration") for (const { name } of names) cell.names.exported.add(name);
    if (names.length > 0 || inner.type === "VariableDeclaration") {
      cell.replace(from, from + keywords, "");
      return inner;
    }
    if (inner.type === "TSDeclareFunction") {
      cell.blank(node);
      return undefined;
    }
  }
  // `export default <value>`: the value is the cell's result, in parentheses because it may start with `{` or `function`.
  cell.replace(from, from + keywords, ";(");
  cell.close(node);
  return undefined;
}

function exportedBy(node: Exports): Node | null | undefined {
  if (node.type === "TSExportAssignment") return node.expression;
  return "declaration" in node ? node.declaration : undefined;
}

function importOf(
  cell: Draft,
  source: Of<"StringLiteral">,
  attributes?: Of<"ImportAttribute">[] | null,
): string {
  const pairs = (attributes ?? []).map((each) => `${cell.text(each.key)}: ${cell.text(each.value)}`);
  const settings = pairs.length > 0 ? `, { with: { ${pairs.join(", ")} } }` : "";
  return `${goName}(await ${importFunction}(${cell.text(source)}${settings}))`;
}

/** What an import takes of its module; undefined for all of it. */
function exportNameOf(node: Specifier): string | undefined {
  if (node.type === "ImportNamespaceSpecifier") return undefined;
  if (node.type === "ImportDefaultSpecifier") return "default";
  return node.imported.type === "StringLiteral" ? node.imported.value : node.imported.name;
}

function isTypeOnly(node: Specifier): boolean {
  return node.type === "ImportSpecifier" && (node.importKind === "type" || node.importKind === "typeof");
}

/** The value of `A.B.C`, which may be a type only and then has none. */
function aliasOf(path: string, nameOf: (name: string) => string): string {
  const [first, ...rest] = path.split(".").map((name) => name.trim());
  return `typeof ${nameOf(first)} === "undefined" ? undefined : ${[nameOf(first), ...rest].join("?.")}`;
}
