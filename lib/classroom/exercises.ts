// What is an exercise in a notebook as the teacher has it: which cell checks it, which of its names are the student's to
// give, which tests are hidden, what it is worth. Nothing is run here.
import { eachChild, type Node, type Of, type Statement } from "../kernel/cell/tree.ts";
import { type Cell, type Notebook, textOf } from "../notebook/notebook.ts";
import {
  isImport,
  namesOf,
  ownNames,
  type PlacedStatement,
  regions,
  statementsOf,
  withComment,
} from "./code.ts";
import { type Part, partsOf } from "./parts.ts";
import { isSolution, solutionsIn } from "./solutions.ts";

/** A cell of the teacher's notebook that calls check. */
export interface CheckCell {
  /** Its place in the notebook. */
  index: number;
  id?: string;
  /** The exercises' names, where they stand in the cell as literals. */
  names: string[];
  /** It calls check in other ways too: which exercises it has is known when it has run. */
  dynamic: boolean;
  /** The names whose values the student gives. */
  given: string[];
  /** Its checks, each to be judged by itself. */
  parts: Part[];
  /** Names of hidden cases, and of exercises that are hidden as a whole. */
  hidden: Set<string>;
  /** What each exercise is worth; `""` for those that are not named. */
  points: Record<string, number>;
}

/** Where solutions, and tests that students do not see, begin and end; in the ways of nbgrader. */
export const solutionMarks = [/(?:###|\/\/)\s*BEGIN SOLUTION\b/, /(?:###|\/\/)\s*END SOLUTION\b/] as const;
export const hiddenTests = [
  /(?:###|\/\/)\s*BEGIN HIDDEN TESTS\b/,
  /(?:###|\/\/)\s*END HIDDEN TESTS\b/,
] as const;
const yourTurn = /your turn|BEGIN SOLUTION|YOUR CODE HERE/;

/** The name of the exercise that a call checks; null where it has no literal, undefined for what is no call of check. */
function checkedBy(node: Node): string | null | undefined {
  if (node.type !== "CallExpression") return undefined;
  const called = node.callee.type === "MemberExpression" ? node.callee.property : node.callee;
  if (called.type !== "Identifier" || called.name !== "check") return undefined;
  const [first] = node.arguments;
  return first?.type === "StringLiteral" ? first.value : null;
}

/** The exercises that a node checks by name: `check("name", …)`, wherever it stands. `others` counts calls without a literal. */
function checksIn(node: Node, found: { names: string[]; others: number }): void {
  const name = checkedBy(node);
  if (typeof name === "string") found.names.push(name);
  else if (name === null) found.others++;
  eachChild(node, (child) => checksIn(child, found));
}

/** The points that a call of check names in its options. */
export function pointsOption(call: Of<"CallExpression">): Of<"ObjectProperty"> | undefined {
  const options = call.arguments[2];
  if (options?.type !== "ObjectExpression") return undefined;
  return options.properties.find((one): one is Of<"ObjectProperty"> => {
    if (one.type !== "ObjectProperty") return false;
    return (
      (one.key.type === "Identifier" && !one.computed && one.key.name === "points") ||
      (one.key.type === "StringLiteral" && one.key.value === "points")
    );
  });
}

/** What checks say of themselves that they are worth: a number, or undefined for what is none as it stands. */
function pointsIn(statements: PlacedStatement[]): Map<string, number | undefined> {
  const found = new Map<string, number | undefined>();
  const walk = (node: Node): void => {
    const name = checkedBy(node);
    const option = typeof name === "string" ? pointsOption(node as Of<"CallExpression">) : undefined;
    if (option) found.set(name!, option.value.type === "NumericLiteral" ? option.value.value : undefined);
    eachChild(node, walk);
  };
  for (const { node } of statements) walk(node);
  return found;
}

/** The call that a statement is, awaited or not. */
export function bareCall(node: Statement): Of<"CallExpression"> | undefined {
  if (node.type !== "ExpressionStatement") return undefined;
  const call = node.expression.type === "AwaitExpression" ? node.expression.argument : node.expression;
  return call.type === "CallExpression" ? call : undefined;
}

/** The exercise that a statement checks and does nothing else: `check("name", …)`, awaited or not. */
export function bareCheck(node: Statement): string | undefined {
  const call = bareCall(node);
  return (call && checkedBy(call)) ?? undefined;
}

/** The cells that check exercises, in order. */
export async function checkCells(notebook: Notebook): Promise<CheckCell[]> {
  const code = notebook.cells.map((cell, index) => ({ cell, index, source: textOf(cell.source) }));
  const runs = code.filter(({ cell }) => cell.cell_type === "code" && !isSolution(cell));
  // Names that any cell leaves to the student: those of marked statements, and those that a solution gives.
  const marked = new Set<string>();
  const declaredOf = new Map<number, Set<string>>();
  for (const { cell, index, source } of runs) {
    declaredOf.set(index, await ownNames(source));
    const nbgrader = cell.metadata.nbgrader as { solution?: boolean; grade?: boolean } | undefined;
    const whole = nbgrader?.solution === true && !nbgrader.grade;
    for (const name of whole ? declaredOf.get(index)! : await markedNames(source)) marked.add(name);
  }
  for (const [stub, solution] of solutionsIn(notebook)) {
    const solved = await namesOf(solution);
    for (const name of solved?.declared ?? []) if (declaredOf.get(stub)?.has(name)) marked.add(name);
  }
  const found: CheckCell[] = [];
  for (const { cell, index, source } of runs) {
    if (!source.includes("check(")) continue;
    const made = await checkCellOf(cell, index, source, marked, declaredOf);
    if (made) found.push(made);
  }
  return found;
}

async function markedNames(source: string): Promise<Set<string>> {
  const names = new Set<string>();
  if (!yourTurn.test(source)) return names;
  let previous = 0;
  const inside = regions(source, ...solutionMarks);
  for (const { start, end, node } of statementsOf(source) ?? []) {
    const last = withComment(source, end);
    const isRegion = inside.some(([from, to]) => start < to && end > from);
    if (isRegion || yourTurn.test(source.slice(Math.max(previous, start), last))) {
      if (!isImport(node)) for (const name of await ownNames(source.slice(start, end))) names.add(name);
    }
    previous = last;
  }
  return names;
}

async function checkCellOf(
  cell: Cell,
  index: number,
  source: string,
  marked: Set<string>,
  declaredOf: Map<number, Set<string>>,
): Promise<CheckCell | undefined> {
  const statements = statementsOf(source);
  if (!statements) return undefined;
  const found = { names: [] as string[], others: 0 };
  for (const { node } of statements) checksIn(node, found);
  // A loop may call one literal many times, but it has one name.
  if (found.names.length === 0 && found.others === 0) return undefined;
  const given = await givenNames(index, source, marked, declaredOf);
  const parts = await partsOf(source, statements, given, ({ node }) => {
    const own = { names: [] as string[], others: 0 };
    checksIn(node, own);
    return own;
  });
  const names = [...new Set(found.names)];
  return {
    index,
    ...(cell.id !== undefined && { id: cell.id }),
    names,
    dynamic: found.others > 0,
    given: [...given],
    parts,
    hidden: hiddenNames(source, statements),
    points: pointsOf(cell, index, names, pointsIn(statements)),
  };
}

/** The names that the student gives for a cell's exercises. */
async function givenNames(
  index: number,
  source: string,
  marked: Set<string>,
  declaredOf: Map<number, Set<string>>,
): Promise<Set<string>> {
  const own = declaredOf.get(index)!;
  const references = (await namesOf(source))?.references ?? new Set<string>();
  const ofNotebook = (name: string) => [...declaredOf].some(([at, names]) => at !== index && names.has(name));
  const given = new Set<string>();
  for (const name of marked) {
    if (own.has(name) || (references.has(name) && ofNotebook(name))) given.add(name);
  }
  if (given.size > 0) return given;
  // Nothing is marked: what the cell itself declares is the student's, else what the check asks of other cells.
  for (const name of own) given.add(name);
  if (given.size > 0) return given;
  for (const [at, names] of declaredOf) {
    if (at === index) continue;
    for (const name of names) if (references.has(name)) given.add(name);
  }
  return given;
}

/** The cases, and whole exercises, that stand between BEGIN and END HIDDEN TESTS. */
function hiddenNames(source: string, statements: PlacedStatement[]): Set<string> {
  const inside = regions(source, ...hiddenTests);
  const names = new Set<string>();
  if (inside.length === 0) return names;
  const isHidden = (start: number, end: number) => inside.some(([from, to]) => start >= from && end <= to);
  const walk = (node: Node): void => {
    if ((node.type === "ObjectProperty" || node.type === "ObjectMethod") && isHidden(node.start, node.end)) {
      const key = node.key as { value?: unknown; name?: string };
      names.add(String(key.value ?? key.name));
    }
    eachChild(node, walk);
  };
  for (const { start, end, node } of statements) {
    walk(node);
    const found = { names: [] as string[], others: 0 };
    if (isHidden(start, end)) checksIn(node, found);
    for (const name of found.names) names.add(name);
  }
  return names;
}

/**
 * Points stand in the cell's metadata: `slimlab.points`, one number or one for each name, or nbgrader's; else in the check.
 *
 * @param said what the checks say
 */
function pointsOf(
  cell: Cell,
  index: number,
  names: string[],
  said: Map<string, number | undefined>,
): Record<string, number> {
  const slimlab = cell.metadata.slimlab as { points?: unknown } | undefined;
  const nbgrader = cell.metadata.nbgrader as { grade?: boolean; points?: unknown } | undefined;
  const all = slimlab?.points ?? (nbgrader?.grade ? nbgrader.points : undefined);
  const points: Record<string, number> = { "": 1 };
  for (const name of names) {
    const one = typeof all === "object" && all !== null ? (all as Record<string, unknown>)[name] : undefined;
    const share = typeof all === "number" ? all / names.length : undefined;
    const own = [one, share].find((value) => typeof value === "number" && value >= 0) as number | undefined;
    if (own === undefined && said.has(name) && said.get(name) === undefined) {
      throw new Error(
        `cell ${index + 1}: the points of ${JSON.stringify(name)} must be a number in its check, or stand in the cell's metadata`,
      );
    }
    points[name] = own ?? said.get(name) ?? 1;
  }
  return points;
}
