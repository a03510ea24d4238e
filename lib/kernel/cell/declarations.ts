// What a cell declares at its top level, so that later cells have it and it can be declared anew: constants as `let`,
// repeated and early names by the first line, functions in the cell's head.
import type { DeclaredKind } from "./code.ts";
import type { Draft } from "./draft.ts";
import { rewriteExport, rewriteImport, rewriteImportEquals } from "./imports.ts";
import { addsToLanguage } from "./language-types.ts";
import { ownName } from "./names.ts";
import { hasValues, type Identifier, isUsing, type Node, namesOf, type Of } from "./tree.ts";

/** Declares the names of a top-level statement and rewrites it. `scoped`: the cell runs inside a block. */
export function rewriteStatement(cell: Draft, node: Node, scoped: boolean): void {
  const { names } = cell;
  switch (node.type) {
    case "ImportDeclaration":
      rewriteImport(cell, node, scoped);
      return;
    case "TSImportEqualsDeclaration":
      rewriteImportEquals(cell, node, scoped);
      return;
    case "ExportNamedDeclaration":
    case "ExportDefaultDeclaration":
    case "ExportAllDeclaration":
    case "TSExportAssignment":
    case "TSNamespaceExportDeclaration": {
      const inner = rewriteExport(cell, node);
      if (inner) rewriteStatement(cell, inner, scoped);
      return;
    }
    case "VariableDeclaration":
      variables(cell, node, scoped);
      return;
    case "FunctionDeclaration":
      functionDeclaration(cell, node);
      return;
    case "TSDeclareFunction":
      // An overload's signature: the implementation moves away from below it, so it goes as a whole.
      if (node.id) names.declare(node.id, "function", { value: !node.declare });
      if (!node.declare) cell.blank(node);
      return;
    case "ClassDeclaration":
      if (!node.id) return;
      names.declare(node.id, "class", { value: !node.declare, type: true });
      if (node.declare) return;
      // (An experimental decorator wants a declaration: there the class has the other name itself.)
      if (cell.options.experimentalDecorators && node.decorators?.length) return;
      cell.placedNames.add(node.id);
      if (scoped || cell.mergedNames.has(node.id.name) || names.isRenamed(node.id.name))
        classAsAssignment(cell, node, node.id);
      return;
    case "TSEnumDeclaration":
      names.declare(node.id, "enum", { value: !node.declare, type: true });
      if (!node.declare) merged(cell, node, node.id.name, scoped);
      return;
    case "TSModuleDeclaration":
      if (node.id.type !== "Identifier" || node.kind === "global") {
        cell.isAmbient = true;
        if (node.id.type === "StringLiteral") cell.ambientModules.push([node.start, node.end]);
        return;
      }
      names.declare(node.id, "namespace", { value: !node.declare && hasValues(node), type: true });
      if (!node.declare && hasValues(node)) merged(cell, node, node.id.name, scoped);
      return;
    case "TSInterfaceDeclaration":
      if (addsToTypes(cell, node)) {
        cell.isAmbient = true;
        cell.globalInterfaces.push([node.start, node.end]);
      } else names.declare(node.id, "interface", { type: true });
      return;
    case "TSTypeAliasDeclaration":
      names.declare(node.id, "type", { type: true });
      return;
  }
}

/** Whether an interface adds to one of the language's own, as it would in a script. */
function addsToTypes({ names, options, tree, source }: Draft, node: Of<"TSInterfaceDeclaration">): boolean {
  const { name } = node.id;
  const isOwn = names.classes.has(name) || options.names?.kind(name) !== undefined;
  return !isOwn && tree.body.includes(node) && addsToLanguage(node, source);
}

// ---- enums and namespaces ----

/** A name whose `var` from the compiler is taken away: `let` in the head unless a class or function has it already. */
function merged(
  cell: Draft,
  node: Of<"TSEnumDeclaration" | "TSModuleDeclaration">,
  name: string,
  scoped: boolean,
): void {
  const { names } = cell;
  cell.mergedNames.add(names.inV8(name));
  // (What adds to a class of this cell stays behind it.)
  if (scoped && (cell.block || !names.classes.has(name))) {
    cell.head.push({ start: node.start, end: node.end, prefix: "" });
    cell.blank(node, true);
  }
  const adds = addsToEarlier(node, cell.options.names?.kind(name) ?? "");
  if (adds) names.get(name)!.adds = true;
  if (!names.classes.has(name)) names.hoist(name, adds);
}

/** Whether an enum or a namespace adds to one of an earlier cell, as it would to one further up in a file. */
function addsToEarlier(node: Of<"TSEnumDeclaration" | "TSModuleDeclaration">, before: string): boolean {
  if (node.type === "TSModuleDeclaration") return /namespace|enum|class|function/.test(before);
  // Of an enum's declarations only one may leave its first member without a value: a cell that is run anew is that one.
  return /namespace|enum/.test(before) && node.members[0]?.initializer != null;
}

// ---- variables ----

function variables(cell: Draft, node: Of<"VariableDeclaration">, scoped: boolean): void {
  const { names } = cell;
  const kind: DeclaredKind = node.kind === "var" ? "var" : node.kind === "let" ? "let" : "const";
  const ids = namesOf(node);
  if (isUsing(node)) {
    for (const id of ids) names.declareUntilEnd(id, kind);
    return;
  }
  for (const id of ids) names.declare(id, kind, { value: !node.declare });
  if (node.declare) return;
  // `var` may be repeated and may be used above its declaration, which the head's `let` allows as well.
  if (scoped || node.kind === "var" || ids.some(({ name }) => names.isRenamed(name))) {
    for (const { name } of ids) names.hoist(name, node.kind === "var");
    variablesAsAssignment(cell, node, true);
  } else if (node.kind === "const") {
    cell.replace(node.start, node.start + node.kind.length, "let  ");
  }
}

/** `var a: T = 1, {b} = c` as assignments to names that the head declares; `statement`: it is not a loop's head. */
export function variablesAsAssignment(
  cell: Draft,
  node: Of<"VariableDeclaration">,
  statement: boolean,
): void {
  const first = node.declarations[0];
  if (statement && node.kind === "var" && node.declarations.every((each) => !each.init)) {
    cell.blank(node);
    return;
  }
  // `void` starts the statement, so that no line before it can take `(`, `[` or `{` for its own.
  cell.replace(node.start, first.start, statement ? "void (" : "");
  for (const each of node.declarations) {
    const { id, init } = each;
    const annotation = "typeAnnotation" in id ? id.typeAnnotation : undefined;
    if (annotation) cell.replace(annotation.start, annotation.end, "");
    if (id.type === "Identifier") {
      if (each.definite) cell.replace(id.start + id.name.length, annotation?.start ?? id.end, "");
      if (init && cell.names.isRenamed(id.name) && isNameless(init)) {
        // It takes its name from where it stands, and that should not be the other one.
        cell.insert(init.start, `{ ${id.name}: `);
        cell.insert(init.end, ` }.${id.name}`);
      }
    }
    // (`var x;` leaves x as it is, `let x;` does not.)
    if (!init && statement) cell.insert(each.end, node.kind === "var" ? "" : " = undefined");
  }
  if (statement) cell.close(node);
}

/** A function or class that takes its name from where it stands. */
function isNameless(node: Node): boolean {
  if (node.type === "ArrowFunctionExpression") return true;
  return (node.type === "FunctionExpression" || node.type === "ClassExpression") && !node.id;
}

// ---- functions and classes ----

function functionDeclaration(cell: Draft, node: Of<"FunctionDeclaration">): void {
  if (!node.id) return;
  const { names } = cell;
  const { name } = node.id;
  names.declare(node.id, "function", { value: true });
  names.hoist(name);
  cell.functions.push(name);
  cell.placedNames.add(node.id);
  // A function can be called above its declaration, so it moves to the head as `f = function (…) {…};`. It has no
  // name of its own there (it takes the variable's), so that `f = memoize(f)` still changes what f calls.
  const isRenamed = names.isRenamed(name);
  cell.head.push({
    start: node.start,
    end: node.end,
    prefix: isRenamed ? `${ownName(name)} = { ${name}: ` : `${name} = `,
    suffix: isRenamed ? ` }.${name}` : "",
    skip: [node.id.start, node.id.end],
  });
  cell.blank(node, true);
}

function classAsAssignment(cell: Draft, node: Of<"ClassDeclaration">, id: Identifier): void {
  cell.names.hoist(id.name);
  cell.insert(node.start, `${cell.names.inV8(id.name)} = `);
  cell.insert(node.end, ";");
  if (node.abstract) {
    const from = node.decorators?.at(-1)?.end ?? node.start;
    const at = from + cell.source.slice(from, id.start).lastIndexOf("abstract");
    cell.replace(at, at + "abstract".length, "");
  }
}
