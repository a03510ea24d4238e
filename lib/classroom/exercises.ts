// What is an exercise in a notebook as the teacher has it: which cell checks it, which of its names are the student's to
// give, which tests are hidden, what it is worth. Nothing is run here.
import { parse } from "@babel/parser";
import { transformCell } from "../kernel/cell/transform.ts";
import { eachChild, type Node, type Of, type Statement } from "../kernel/cell/tree.ts";
import { type Cell, type Notebook, textOf } from "../notebook/notebook.ts";

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
  /** The cell's imports, and the rest of its code without the student's part, before and after it. */
  imports: string;
  before: string;
  after: string;
  /** All of its code but the imports. */
  own: string;
  /** Names of hidden cases, and of exercises that are hidden as a whole. */
  hidden: Set<string>;
  /** What each exercise is worth; `""` for those that are not named. */
  points: Record<string, number>;
}

/** A statement of a cell, and where it stands. */
export interface PlacedStatement {
  start: number;
  end: number;
  node: Statement;
}

/** Where solutions, and tests that students do not see, begin and end; in the ways of nbgrader. */
export const solutionMarks = [/(?:###|\/\/)\s*BEGIN SOLUTION\b/, /(?:###|\/\/)\s*END SOLUTION\b/] as const;
export const hiddenTests = [
  /(?:###|\/\/)\s*BEGIN HIDDEN TESTS\b/,
  /(?:###|\/\/)\s*END HIDDEN TESTS\b/,
] as const;
const yourTurn = /your turn|BEGIN SOLUTION|YOUR CODE HERE/;

/** The statements of a cell; undefined where it cannot be read. */
export function statementsOf(source: string): PlacedStatement[] | undefined {
  try {
    const { program } = parse(source, {
      sourceType: "module",
      plugins: ["typescript", "importAttributes" as never],
      allowAwaitOutsideFunction: true,
      errorRecovery: true,
    });
    return (program.body as Statement[]).map((node) => ({ start: node.start, end: node.end, node }));
  } catch {
    return undefined;
  }
}

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

/** What a cell declares and mentions. */
export interface Names {
  /** Declared at the top level, with a value; imports too. */
  declared: Set<string>;
  imported: Set<string>;
  /** Mentioned, and not declared at the cell's top level. */
  references: Set<string>;
}

/** What a cell declares and mentions; undefined where it cannot be read. */
export async function namesOf(source: string): Promise<Names | undefined> {
  try {
    const { declared, references } = await transformCell(source, { name: "cell" });
    const values = declared.filter(({ value }) => value);
    return {
      declared: new Set(values.map(({ name }) => name)),
      imported: new Set(values.filter(({ kind }) => kind === "import").map(({ name }) => name)),
      references,
    };
  } catch {
    return undefined;
  }
}

async function ownNames(source: string): Promise<Set<string>> {
  const names = await namesOf(source);
  return new Set([...(names?.declared ?? [])].filter((name) => !names!.imported.has(name)));
}

/** Whether a cell holds a solution, in whole. */
export function isSolution(cell: Cell): boolean {
  return cell.cell_type === "code" && (cell.metadata.tags?.includes("solution") ?? false);
}

/** The end of the line where a statement ends, if only a comment follows there. */
function withComment(source: string, end: number): number {
  const rest = /^[ \t]*(?:\/\/[^\n]*|\/\*[^\n]*?\*\/[ \t]*(?=\n|$))/.exec(source.slice(end));
  return end + (rest?.[0].length ?? 0);
}

function isImport(node: Statement): boolean {
  return node.type === "ImportDeclaration";
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
  for (const { cell, index } of code) {
    if (!isSolution(cell)) continue;
    const stub = stubOf(notebook, index);
    const solved = await namesOf(textOf(cell.source));
    for (const name of solved?.declared ?? [])
      if (stub === undefined || declaredOf.get(stub)?.has(name)) marked.add(name);
  }
  const found: CheckCell[] = [];
  for (const { cell, index, source } of runs) {
    if (!source.includes("check(")) continue;
    const made = await checkCellOf(cell, index, source, marked, declaredOf);
    if (made) found.push(made);
  }
  return found;
}

/** The exercise cell that a solution cell solves: the one before it. */
export function stubOf(notebook: Notebook, solution: number): number | undefined {
  for (let index = solution - 1; index >= 0; index--) {
    const cell = notebook.cells[index];
    if (cell.cell_type === "code" && !isSolution(cell)) return index;
  }
  return undefined;
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

/** Where marked regions lie, as offsets. */
export function regions(source: string, from: RegExp, to: RegExp): [number, number][] {
  const found: [number, number][] = [];
  let at = 0;
  for (;;) {
    const first = from.exec(source.slice(at));
    if (!first) return found;
    const start = at + first.index;
    const last = to.exec(source.slice(start));
    const end = last ? start + last.index + last[0].length : source.length;
    found.push([start, end]);
    at = end;
  }
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
  const parts = { imports: "", before: "", after: "", own: "" };
  let met = false;
  for (const { start, end, node } of statements) {
    const text = source.slice(start, end);
    if (isImport(node)) {
      parts.imports += `${text}\n`;
      continue;
    }
    parts.own += `${text}\n`;
    const declared = (await namesOf(text))?.declared ?? new Set();
    const isGiven = [...declared].some((name) => given.has(name));
    met ||= isGiven;
    if (!isGiven) parts[met ? "after" : "before"] += `${text}\n`;
  }
  if (!met) [parts.before, parts.after] = ["", parts.before];
  const names = [...new Set(found.names)];
  return {
    index,
    ...(cell.id !== undefined && { id: cell.id }),
    names,
    dynamic: found.others > 0,
    given: [...given],
    ...parts,
    hidden: hiddenNames(source, statements),
    points: pointsOf(cell, names),
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

/** Points stand in the cell's metadata: `slimlab.points`, one number or one for each name, or nbgrader's. */
function pointsOf(cell: Cell, names: string[]): Record<string, number> {
  const own = (cell.metadata.slimlab as { points?: unknown } | undefined)?.points;
  const nbgrader = cell.metadata.nbgrader as { grade?: boolean; points?: unknown } | undefined;
  const all = own ?? (nbgrader?.grade ? nbgrader.points : undefined);
  const points: Record<string, number> = { "": 1 };
  for (const name of names) {
    const one = typeof all === "object" && all !== null ? (all as Record<string, unknown>)[name] : undefined;
    const share = typeof all === "number" ? all / names.length : 1;
    points[name] = typeof one === "number" && one >= 0 ? one : share >= 0 ? share : 1;
  }
  return points;
}

/** A solution cell's code in the place of the stub that it solves. */
export async function solvedSource(stub: string, solution: string): Promise<string> {
  const solved = await ownNames(solution);
  const statements = statementsOf(stub) ?? [];
  const replaced: { start: number; end: number }[] = [];
  for (const { start, end, node } of statements) {
    if (isImport(node)) continue;
    const names = await ownNames(stub.slice(start, end));
    if ([...names].some((name) => solved.has(name))) replaced.push({ start, end: withComment(stub, end) });
  }
  if (replaced.length === 0) {
    throw new Error(
      `a solution declares none of its exercise's names: ${[...solved].join(", ") || "none at all"}`,
    );
  }
  return stub.slice(0, replaced[0].start) + solution.trim() + stub.slice(replaced.at(-1)!.end);
}

/** The notebook as someone hands it in who has taken over every solution. */
export async function withSolutions(notebook: Notebook): Promise<Notebook> {
  const cells = notebook.cells.map((cell) => structuredClone(cell));
  const gone = new Set<number>();
  for (const [index, cell] of cells.entries()) {
    if (!isSolution(cell)) continue;
    const stub = stubOf(notebook, index);
    if (stub === undefined) throw new Error(`the solution in cell ${index + 1} has no exercise before it`);
    cells[stub].source = await solvedSource(textOf(cells[stub].source), textOf(cell.source));
    gone.add(index);
  }
  return { ...notebook, cells: cells.filter((_, index) => !gone.has(index)) };
}
