// The syntax tree of a cell: Babel's types, with the places that a parsed node always has, and questions about nodes.
import type * as babel from "@babel/types";

/** Babel's node and all below it, with places: Babel's own types allow for nodes that were made by hand. */
type Placed<T> = T extends babel.Node
  ? { [K in keyof T]: Placed<T[K]> } & { start: number; end: number }
  : T extends readonly (infer Item)[]
    ? Placed<Item>[]
    : T;

export type Node = Placed<babel.Node>;
/** A node of one type. */
export type Of<Type extends babel.Node["type"]> = Placed<Extract<babel.Node, { type: Type }>>;
export type Statement = Placed<babel.Statement>;
export type Expression = Placed<babel.Expression>;
export type Identifier = Of<"Identifier">;
export type FunctionNode = Placed<babel.Function>;

/** What the rewriting needs of a cell as a whole. */
export interface CellTree {
  body: Statement[];
  directives: Of<"Directive">[];
  interpreter?: Of<"InterpreterDirective"> | null;
  /** The cell is nothing but an object literal. */
  bareObject: boolean;
  /** The cell has JSX. */
  jsx: boolean;
}

export function isNode(value: unknown): value is Node {
  return (
    typeof value === "object" && value !== null && typeof (value as { type?: unknown }).type === "string"
  );
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

/** Calls `visit` for each node right below a node, with the name of the property that holds it. */
export function eachChild(node: Node, visit: (child: Node, key: string) => void): void {
  for (const key in node) {
    const value: unknown = node[key as keyof Node];
    if (value === null || typeof value !== "object" || skippedKeys.has(key)) continue;
    if (Array.isArray(value)) {
      for (const each of value) if (isNode(each)) visit(each, key);
    } else if (isNode(value)) visit(value, key);
  }
}

/** Whether a node or one below it passes a test; what is below nodes that `skip` names is not looked at. */
export function contains(
  node: Node,
  test: (node: Node) => boolean,
  skip: (node: Node) => boolean = () => false,
): boolean {
  if (test(node)) return true;
  if (skip(node)) return false;
  let found = false;
  eachChild(node, (child) => {
    found ||= contains(child, test, skip);
  });
  return found;
}

export function isFunction(node: Node): node is FunctionNode {
  return /Function|Method/.test(node.type);
}

export function isUsing(node: Node): boolean {
  return node.type === "VariableDeclaration" && (node.kind === "using" || node.kind === "await using");
}

/** Syntax that needs helpers in the Node versions that slimlab runs on. */
export function isLowered(node: Node): boolean {
  return node.type === "Decorator" || node.type === "ClassAccessorProperty" || isUsing(node);
}

/** `declare` before a statement or a class member. */
export function isDeclare(node: Node): boolean {
  return "declare" in node && node.declare === true;
}

/** The identifiers that a pattern binds. */
export function boundNames(pattern: Node | null | undefined, into: Identifier[] = []): Identifier[] {
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
    case "TSParameterProperty":
      boundNames(pattern.parameter, into);
      break;
  }
  return into;
}

/** A namespace that holds only types has no value. */
export function hasValues(node: Of<"TSModuleDeclaration">): boolean {
  const { body } = node;
  const statements: Node[] = !body ? [] : body.type === "TSModuleBlock" ? body.body : [body];
  return statements.some((each) => {
    const inner: Node = ("declaration" in each && isNode(each.declaration) && each.declaration) || each;
    if (inner.type === "TSModuleDeclaration") return hasValues(inner);
    return !/^TS(Interface|TypeAlias)/.test(inner.type) && !isDeclare(inner);
  });
}

/** What `export` in front of a declaration exports; any other statement itself. */
export function declarationOf(statement: Node): Node {
  if (statement.type === "ExportNamedDeclaration" || statement.type === "ExportDefaultDeclaration")
    return statement.declaration ?? statement;
  return statement;
}

/** A declaration, and not an expression. */
export function isDeclaration(node: Node): boolean {
  return /Declaration$/.test(node.type) || node.type === "TSDeclareFunction";
}

/** The names that a declaration declares. */
export function namesOf(node: Node): Identifier[] {
  if (node.type === "VariableDeclaration") return node.declarations.flatMap((each) => boundNames(each.id));
  const id = "id" in node ? node.id : undefined;
  return isNode(id) && id.type === "Identifier" ? [id] : [];
}

/** The comments that start a cell. */
export function leadingComments(source: string): string {
  return /^(?:\s|\/\/[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)*/.exec(source)![0];
}
