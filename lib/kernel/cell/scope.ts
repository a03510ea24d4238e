// Which identifiers of a cell mean the cell's own top level or what lies beyond it, and not a name of a scope inside.
import {
  boundNames,
  declarationOf,
  eachChild,
  type FunctionNode,
  type Identifier,
  isDeclare,
  isFunction,
  type Node,
  type Of,
  type Statement,
} from "./tree.ts";

/** A place where a cell names something from its top level or from outside. */
export interface Use {
  node: Identifier | Of<"JSXIdentifier">;
  /** `{ name }` in an object or a pattern: its text is the property's name as well. */
  shorthand: boolean;
  /** The name is assigned to here. */
  writes?: boolean;
  /** The `||=` or its like that may assign to it. */
  logical?: Of<"AssignmentExpression">;
  /** The name is declared here. */
  declares: boolean;
}

interface Scope {
  names: Set<string>;
  outer?: Scope;
}

/** Every use of the wanted names that no scope inside the cell binds, in no particular order. */
export function outerUses(body: Statement[], wanted: (name: string) => boolean): Use[] {
  const walker = new Walker(wanted);
  for (const statement of body) walker.visit(statement, undefined);
  return walker.uses;
}

class Walker {
  readonly uses: Use[] = [];
  readonly #wanted: (name: string) => boolean;

  constructor(wanted: (name: string) => boolean) {
    this.#wanted = wanted;
  }

  visit(node: Node, scope: Scope | undefined): void {
    if (isDeclare(node)) return;
    switch (node.type) {
      case "TSTypeAnnotation":
      case "TSTypeParameterDeclaration":
      case "TSTypeParameterInstantiation":
      case "TSInterfaceDeclaration":
      case "TSTypeAliasDeclaration":
      case "TSDeclareFunction":
      case "TSDeclareMethod":
      case "TSIndexSignature":
      case "TSExpressionWithTypeArguments":
      case "ImportDeclaration":
      case "ExportAllDeclaration":
      case "BreakStatement":
      case "ContinueStatement":
      case "MetaProperty":
      case "TSImportEqualsDeclaration":
        return;
      case "TSAsExpression":
      case "TSSatisfiesExpression":
      case "TSNonNullExpression":
      case "TSTypeAssertion":
      case "TSInstantiationExpression":
        this.visit(node.expression, scope);
        return;
      case "Identifier":
        this.#use(node, scope);
        return;
      case "MemberExpression":
      case "OptionalMemberExpression":
        this.visit(node.object, scope);
        if (node.computed) this.visit(node.property, scope);
        return;
      case "ObjectProperty":
        if (node.computed) this.visit(node.key, scope);
        if (node.shorthand && node.value.type === "Identifier") this.#use(node.value, scope, true);
        else this.visit(node.value, scope);
        return;
      case "ClassProperty":
      case "ClassPrivateProperty":
      case "ClassAccessorProperty":
        for (const each of node.decorators ?? []) this.visit(each, scope);
        if ("computed" in node && node.computed) this.visit(node.key, scope);
        if (node.value) this.visit(node.value, scope);
        return;
      case "ClassDeclaration":
      case "ClassExpression":
        this.#class(node, scope);
        return;
      case "VariableDeclaration":
        for (const each of node.declarations) {
          this.#target(each.id, scope, { declares: true });
          if (each.init) this.visit(each.init, scope);
        }
        return;
      case "AssignmentExpression": {
        const logical = /^(\|\||&&|\?\?)=$/.test(node.operator);
        this.#target(node.left, scope, { writes: true, logical: logical ? node : undefined });
        this.visit(node.right, scope);
        return;
      }
      case "UpdateExpression":
        this.#target(node.argument, scope, { writes: true });
        return;
      case "LabeledStatement":
        this.visit(node.body, scope);
        return;
      case "ExportNamedDeclaration":
      case "ExportDefaultDeclaration":
        if (node.declaration) this.visit(node.declaration, scope);
        return;
      case "JSXOpeningElement":
        this.#element(node.name, scope);
        for (const each of node.attributes) this.visit(each, scope);
        return;
      case "JSXClosingElement":
        this.#element(node.name, scope);
        return;
      case "JSXAttribute":
        if (node.value) this.visit(node.value, scope);
        return;
    }
    if (isFunction(node)) this.#function(node, scope);
    else this.#scoped(node, scope);
  }

  /** Statements that may open a scope, and everything else, which has nothing of its own. */
  #scoped(node: Node, scope: Scope | undefined): void {
    switch (node.type) {
      case "BlockStatement":
        scope = { names: lexicalNames(node.body), outer: scope };
        break;
      case "StaticBlock":
      case "TSModuleBlock":
        scope = { names: union(lexicalNames(node.body), varNames(node.body)), outer: scope };
        break;
      case "SwitchStatement":
        this.visit(node.discriminant, scope);
        scope = { names: lexicalNames(node.cases.flatMap((each) => each.consequent)), outer: scope };
        for (const each of node.cases) this.visit(each, scope);
        return;
      case "ForStatement":
        scope = { names: headNames(node.init), outer: scope };
        break;
      case "ForInStatement":
      case "ForOfStatement":
        scope = { names: headNames(node.left), outer: scope };
        if (node.left.type !== "VariableDeclaration") {
          this.#target(node.left, scope, { writes: true });
          this.visit(node.right, scope);
          this.visit(node.body, scope);
          return;
        }
        break;
      case "CatchClause":
        scope = { names: new Set(boundNames(node.param).map(({ name }) => name)), outer: scope };
        if (node.param) this.#target(node.param, scope, {});
        this.visit(node.body, scope);
        return;
      case "TSEnumDeclaration":
        this.#use(node.id, scope, false, { declares: true });
        scope = {
          names: new Set(node.members.map(({ id }) => ("name" in id ? id.name : id.value))),
          outer: scope,
        };
        for (const each of node.members) if (each.initializer) this.visit(each.initializer, scope);
        return;
      case "TSModuleDeclaration":
        if (node.id.type === "Identifier") this.#use(node.id, scope, false, { declares: true });
        this.visit(node.body, scope);
        return;
    }
    eachChild(node, (child) => this.visit(child, scope));
  }

  #function(node: FunctionNode, scope: Scope | undefined): void {
    if ("decorators" in node) for (const each of node.decorators ?? []) this.visit(each, scope);
    if ("computed" in node && node.computed && "key" in node) this.visit(node.key, scope);
    if (node.type === "FunctionDeclaration" && node.id) this.#use(node.id, scope, false, { declares: true });
    const names = new Set(node.params.flatMap((each) => boundNames(each)).map(({ name }) => name));
    if (node.type === "FunctionExpression" && node.id) names.add(node.id.name);
    const body = node.body.type === "BlockStatement" ? node.body.body : [];
    const inside = { names: union(names, union(lexicalNames(body), varNames(body))), outer: scope };
    for (const each of node.params) this.#target(each, inside, {});
    if (node.body.type === "BlockStatement") for (const each of body) this.visit(each, inside);
    else this.visit(node.body, inside);
  }

  #class(node: Of<"ClassDeclaration" | "ClassExpression">, scope: Scope | undefined): void {
    for (const each of node.decorators ?? []) this.visit(each, scope);
    if (node.type === "ClassDeclaration" && node.id) this.#use(node.id, scope, false, { declares: true });
    const inside = { names: new Set(node.id ? [node.id.name] : []), outer: scope };
    if (node.superClass) this.visit(node.superClass, inside);
    this.visit(node.body, inside);
  }

  /** What is assigned to or bound: names are targets; defaults and computed keys are read. */
  #target(node: Node, scope: Scope | undefined, how: Partial<Use>, shorthand = false): void {
    switch (node.type) {
      case "Identifier":
        this.#use(node, scope, shorthand, how);
        return;
      case "ObjectPattern":
        for (const each of node.properties) {
          if (each.type === "RestElement") this.#target(each.argument, scope, how);
          else {
            if (each.computed) this.visit(each.key, scope);
            this.#target(each.value, scope, how, each.shorthand);
          }
        }
        return;
      case "ArrayPattern":
        for (const each of node.elements) if (each) this.#target(each, scope, how);
        return;
      case "AssignmentPattern":
        this.#target(node.left, scope, how, shorthand);
        this.visit(node.right, scope);
        return;
      case "RestElement":
        this.#target(node.argument, scope, how);
        return;
      case "TSParameterProperty":
        this.#target(node.parameter, scope, how);
        return;
      case "TSAsExpression":
      case "TSSatisfiesExpression":
      case "TSNonNullExpression":
      case "TSTypeAssertion":
      case "ParenthesizedExpression":
        this.#target(node.expression, scope, how);
        return;
      default:
        this.visit(node, scope);
    }
  }

  #element(name: Node, scope: Scope | undefined): void {
    while (name.type === "JSXMemberExpression") name = name.object;
    // A small letter is an element of HTML's.
    if (name.type === "JSXIdentifier" && !/^[a-z]/.test(name.name)) this.#use(name, scope);
  }

  #use(node: Use["node"], scope: Scope | undefined, shorthand = false, how: Partial<Use> = {}): void {
    if (!this.#wanted(node.name)) return;
    for (let at = scope; at; at = at.outer) if (at.names.has(node.name)) return;
    this.uses.push({ node, shorthand, declares: false, ...how });
  }
}

function union(a: Set<string>, b: Set<string>): Set<string> {
  for (const each of b) a.add(each);
  return a;
}

/** The names that a loop's head declares for the loop only. */
function headNames(head: Node | null | undefined): Set<string> {
  return head ? lexicalNames([head]) : new Set();
}

/** The names that statements declare for the block they stand in. */
export function lexicalNames(statements: Node[]): Set<string> {
  const names = new Set<string>();
  for (const statement of statements) {
    const node = declarationOf(statement);
    if (node.type === "VariableDeclaration") {
      if (node.kind === "var") continue;
      for (const each of node.declarations) for (const { name } of boundNames(each.id)) names.add(name);
    } else if (node.type === "ClassDeclaration" || node.type === "FunctionDeclaration") {
      if (node.id) names.add(node.id.name);
    } else if (node.type === "TSEnumDeclaration" || node.type === "TSImportEqualsDeclaration")
      names.add(node.id.name);
    else if (node.type === "TSModuleDeclaration" && node.id.type === "Identifier") names.add(node.id.name);
  }
  return names;
}

/** The names that `var`s declare anywhere in statements, outside of functions inside them. */
export function varNames(statements: Node[]): Set<string> {
  const names = new Set<string>();
  const look = (node: Node): void => {
    if (isFunction(node) || /^Class|^TSModule|Expression$/.test(node.type)) return;
    if (node.type === "VariableDeclaration" && node.kind === "var")
      for (const each of node.declarations) for (const { name } of boundNames(each.id)) names.add(name);
    eachChild(node, look);
  };
  for (const each of statements) look(each);
  return names;
}
