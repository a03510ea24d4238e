// The cells that some names of a notebook need: those that declare them, those that may change them, and what these need.
import { eachChild, type Node, type Of, type Statement } from "../kernel/cell/tree.ts";
import { type Notebook, textOf } from "../notebook/notebook.ts";
import { codeCells } from "../notebook/run.ts";
import { type Names, namesOf, statementsOf } from "./code.ts";

/** What a code cell does with names. */
export interface CellFacts extends Names {
  index: number;
  /** Names that the cell may change although it does not declare them. */
  touched: Set<string>;
}

/** The facts of each code cell; cells that cannot be read have none. */
export async function factsOf(notebook: Notebook): Promise<Map<number, CellFacts>> {
  const facts = new Map<number, CellFacts>();
  for (const { cell, number } of codeCells(notebook)) {
    const source = textOf(cell.source);
    const names = await namesOf(source);
    if (names) facts.set(number - 1, { index: number - 1, ...names, touched: await touchedIn(source) });
  }
  return facts;
}

/** The cells (by their place) that names need, however they hang together. */
export function sliceFor(facts: Map<number, CellFacts>, names: Iterable<string>): Set<number> {
  const needed = new Set(names);
  const cells = new Set<number>();
  for (let before = -1; before !== cells.size; ) {
    before = cells.size;
    for (const { index, declared, references, touched } of facts.values()) {
      if (cells.has(index)) continue;
      if (!intersects(declared, needed) && !intersects(touched, needed)) continue;
      cells.add(index);
      for (const name of references) needed.add(name);
      // What a cell changes or calls to change something else is needed in the state in which it is then.
      for (const name of touched) needed.add(name);
    }
  }
  return cells;
}

function intersects(a: Set<string>, b: Set<string>): boolean {
  for (const one of a) if (b.has(one)) return true;
  return false;
}

/** Names that statements mention which may have an effect: assignments, loops, calls that are waited for, bare calls. */
export async function touchedIn(source: string): Promise<Set<string>> {
  const touched = new Set<string>();
  const statements = statementsOf(source) ?? [];
  for (const [i, { start, end, node }] of statements.entries()) {
    const isLast = i === statements.length - 1;
    for (const name of await touchedBy(node, source.slice(start, end), isLast)) touched.add(name);
  }
  return touched;
}

/**
 * Names that a statement mentions and may change.
 *
 * @param isShown its value is only shown, if it is a plain expression: a plot, a table
 */
export async function touchedBy(node: Statement, text: string, isShown: boolean): Promise<Set<string>> {
  // What a cell only shows changes nothing.
  if (
    isShown &&
    node.type === "ExpressionStatement" &&
    !/^(Await|Assignment|Update|Unary)Expression$/.test(node.expression.type) &&
    !changes(node.expression)
  ) {
    return new Set();
  }
  if (/^(Import|Function|Class|TS)/.test(node.type)) return new Set();
  if (node.type === "VariableDeclaration" && !/\bawait\b/.test(text)) return new Set();
  return (await namesOf(text))?.references ?? new Set();
}

const changers =
  /^(?:push|pop|shift|unshift|splice|sort|reverse|fill|copyWithin|add|delete|clear|assign|define\w*|set[A-Z]?\w*)$/;

/** A call by whose name it changes what it is called on. */
function changes(expression: Node): expression is Of<"CallExpression"> & { callee: Of<"MemberExpression"> } {
  if (expression.type !== "CallExpression" || expression.callee.type !== "MemberExpression") return false;
  const { property } = expression.callee;
  return property.type === "Identifier" && changers.test(property.name);
}

/** Names, a statement's own among them, to which it assigns a value or a part of one: `x = 1`, `x[i]++`, `x.y.push(1)`. */
export function assignedBy(statement: Statement): Set<string> {
  const assigned = new Set<string>();
  // What declares something changes nothing else; a function does so where it is called.
  if (/Declaration$|^TS/.test(statement.type)) return assigned;
  const walk = (node: Node): void => {
    if (node.type === "AssignmentExpression") rootsOf(node.left, assigned);
    else if (node.type === "UpdateExpression") rootsOf(node.argument, assigned);
    else if (node.type === "UnaryExpression" && node.operator === "delete") rootsOf(node.argument, assigned);
    else if (changes(node)) {
      rootsOf(node.callee.object, assigned);
      // Object.assign(x, …) and its like.
      if (node.arguments[0]) rootsOf(node.arguments[0], assigned);
    }
    eachChild(node, walk);
  };
  walk(statement);
  return assigned;
}

/** The names that a statement declares as variables. */
export function declaredBy(statement: Statement): Set<string> {
  const declared = new Set<string>();
  if (statement.type === "VariableDeclaration") {
    for (const { id } of statement.declarations) rootsOf(id, declared);
  }
  return declared;
}

/** The names at whose parts an expression or a pattern points. */
function rootsOf(node: Node, found: Set<string>): void {
  if (node.type === "Identifier") found.add(node.name);
  else if (node.type === "MemberExpression") rootsOf(node.object, found);
  else if (/Pattern$|^(?:Object|Rest|TS\w+|ParenthesizedExpression)/.test(node.type)) {
    eachChild(node, (child) => rootsOf(child, found));
  }
}
