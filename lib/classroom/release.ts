// The edition of a notebook that students get: stubs in the place of solutions, no hidden tests, no outputs, and a proof that
// nothing of a solution is left. Also the edition that nbgrader releases and grades by itself.
import { type Cell, chapterOf, type Notebook, textOf } from "../notebook/notebook.ts";
import { withoutOutputs } from "../notebook/run.ts";
import { assignmentOf } from "./assignment.ts";
import { isImport, ownNames, regions, statementsOf, withComment } from "./code.ts";
import {
  bareCall,
  bareCheck,
  type CheckCell,
  hiddenTests,
  pointsOption,
  solutionMarks,
} from "./exercises.ts";
import { solutionOf, solutionsIn, solvedSource } from "./solutions.ts";

/** What stands in the place of a solution that brings no stub of its own. */
export const stubCode = '// YOUR CODE HERE\nthrow new Error("not done yet");';

/** The line of a text where a place lies, from its first character. */
function lineStart(text: string, at: number): number {
  return text.lastIndexOf("\n", at - 1) + 1;
}

/** Text with its marked regions, whole lines, replaced. */
function replaced(
  source: string,
  marks: readonly [RegExp, RegExp],
  by: (region: string, indent: string) => string,
): string {
  let text = source;
  for (const [start, end] of regions(source, ...marks).reverse()) {
    const from = lineStart(source, start);
    const to = source.indexOf("\n", end) < 0 ? source.length : source.indexOf("\n", end);
    const indent = /^[ \t]*/.exec(source.slice(from))![0];
    const stub = by(source.slice(from, to), indent);
    const rest = text.slice(to);
    text = text.slice(0, from) + stub + (stub === "" ? rest.replace(/^\n/, "") : rest);
  }
  return text;
}

const stubLine = /^[ \t]*\/\/ STUB: ?(.*?)\r?$/;

/** What stands in lines `// STUB: code`. */
const stubsIn = (lines: string[]): string[] => lines.flatMap((line) => stubLine.exec(line)?.[1] ?? []);

/** The stub of a region: its lines `// STUB: code`, else one that fails. */
function stubFor(region: string, indent: string): string {
  const own = stubsIn(region.split("\n"));
  const lines = own.length > 0 ? own : stubCode.split("\n");
  return lines.map((line) => indent + line).join("\n");
}

/**
 * The students' edition.
 *
 * @throws Error where something of a solution or of a hidden test is left
 */
export function releaseNotebook(notebook: Notebook): Notebook {
  const cells: Cell[] = [];
  for (const cell of withoutOutputs(notebook).cells) {
    if (cell.metadata.tags?.includes("solution")) continue;
    const source = replaced(replaced(textOf(cell.source), solutionMarks, stubFor), hiddenTests, () => "");
    cells.push({ ...cell, source: linesOf(source) });
  }
  const released = { ...notebook, cells };
  const leak = leakIn(released, secretsOf(notebook));
  if (leak) throw new Error(`a solution or a hidden test is left ${leak}`);
  return released;
}

/** A cell's text as nbformat keeps it. */
function linesOf(text: string): string[] {
  return text.split(/(?<=\n)/);
}

/** The texts that no student may see: solutions and hidden tests, piece by piece. */
export function secretsOf(notebook: Notebook): string[] {
  const secrets: string[] = [];
  for (const cell of notebook.cells) {
    const source = textOf(cell.source);
    if (cell.metadata.tags?.includes("solution")) {
      secrets.push(source, solutionOf(cell) ?? "");
      continue;
    }
    for (const marks of [solutionMarks, hiddenTests]) {
      for (const [start, end] of regions(source, ...marks)) {
        const inside = source.slice(start, end).split("\n").slice(1, -1);
        const code = inside.filter((line) => !stubLine.test(line)).join("\n");
        const stub = stubsIn(inside).join("\n");
        // What is its own stub nobody has solved.
        if (bare(code) !== bare(stub)) secrets.push(code);
      }
    }
  }
  return secrets;
}

const bare = (text: string) => text.replace(/\s+/g, "");

/** Where a secret is left, in words; undefined where none is. */
export function leakIn(released: Notebook, secrets: string[]): string | undefined {
  const wholes = secrets.map(bare).filter((secret) => secret.length >= 16);
  // A line of a solution may stand in other code too; in what nobody looks at it has no business.
  const lines = secrets
    .flatMap((secret) => secret.split("\n"))
    .map(bare)
    .filter((line) => line.length >= 16);
  const has = (text: string, pieces: string[]) => pieces.some((piece) => bare(text).includes(piece));
  const { cells, ...rest } = released;
  if (has(stringsOf(rest), lines)) return "in the notebook's metadata";
  for (const [index, { source, ...hidden }] of cells.entries()) {
    if (has(textOf(source), wholes)) return `in the source of cell ${index + 1}`;
    if (has(stringsOf(hidden), lines)) return `in the metadata, attachments or outputs of cell ${index + 1}`;
  }
  return undefined;
}

/** Every string inside a value, and what base64 hides in it. */
function stringsOf(value: unknown): string {
  if (typeof value === "string") {
    const decoded =
      value.length >= 16 && /^[A-Za-z0-9+/\s]+=*\s*$/.test(value)
        ? Buffer.from(value, "base64").toString("utf8")
        : "";
    return `${value}\n${decoded}`;
  }
  if (typeof value !== "object" || value === null) return "";
  const all =
    Array.isArray(value) && value.every((one) => typeof one === "string")
      ? [value.join(""), ...value]
      : Object.entries(value).flat();
  return all.map(stringsOf).join("\n");
}

/** nbgrader's metadata of a cell (schema 3). */
export interface NbgraderMetadata {
  schema_version: 3;
  grade: boolean;
  grade_id: string;
  locked: boolean;
  solution: boolean;
  task: boolean;
  cell_type?: string;
  points?: number;
  checksum?: string;
}

/**
 * What students get: exercises in two cells, theirs and the folded tests, with nbgrader's metadata, and without secrets.
 *
 * @throws Error where the notebook has no exercises, or something of a solution or of a hidden test is left
 */
export async function studentEdition(notebook: Notebook, path: string): Promise<Notebook> {
  const released = releaseNotebook(await nbgraderSource(notebook, path));
  const leak = leakIn(released, secretsOf(notebook));
  if (leak) throw new Error(`${path}: a solution or a hidden test is left ${leak}`);
  return released;
}

/**
 * The edition that nbgrader takes as an assignment's source: an exercise is a cell with the solution between nbgrader's marks
 * and a cell of tests that cannot be edited, which comes to a number of points when nbgrader runs it.
 */
export async function nbgraderSource(notebook: Notebook, path: string): Promise<Notebook> {
  const assignment = await assignmentOf(withoutOutputs(notebook), path);
  const solutions = solutionsIn(notebook);
  const cells: Cell[] = [];
  for (const [index, cell] of assignment.notebook.cells.entries()) {
    if (cell.metadata.tags?.includes("solution")) continue;
    const check = assignment.cells.find((one) => one.index === index);
    if (check) cells.push(...(await splitCell(cell, check, solutions.get(index))));
    else cells.push(withManual(cell));
  }
  // A copy lies in no edition's folder: it says itself which language it speaks.
  const { language } = chapterOf(path);
  const slimlab = { ...(notebook.metadata.slimlab as object | undefined), language };
  const metadata = language === "en" ? notebook.metadata : { ...notebook.metadata, slimlab };
  return { ...notebook, nbformat_minor: Math.max(5, notebook.nbformat_minor), metadata, cells };
}

function gradeId(text: string): string {
  return text.replace(/[^\w-]+/g, "-");
}

/** An open exercise is nbgrader's task, which a person marks. */
function withManual(cell: Cell): Cell {
  const manual = (cell.metadata.slimlab as { manual?: { name: string; points: number } } | undefined)?.manual;
  if (!manual || cell.cell_type !== "markdown") return cell;
  const nbgrader: NbgraderMetadata = {
    schema_version: 3,
    grade: false,
    grade_id: gradeId(manual.name),
    locked: true,
    solution: false,
    task: true,
    points: manual.points,
  };
  return { ...cell, metadata: { ...cell.metadata, nbgrader } };
}

/** An exercise cell as nbgrader wants it: what the student writes, then what tests it. */
async function splitCell(cell: Cell, check: CheckCell, solution: string | undefined): Promise<Cell[]> {
  const source = textOf(cell.source);
  const statements = statementsOf(source) ?? [];
  const first = statements.find(
    ({ node }) => bareCheck(node) !== undefined || /\bcheck\(/.test(source.slice(node.start, node.end)),
  );
  const at = first ? lineStart(source, first.start) : 0;
  const [work, tests] = [source.slice(0, at).trimEnd(), source.slice(at)];
  const id = gradeId(check.names[0] ?? `cell-${check.index + 1}`);
  const common = { schema_version: 3 as const, task: false };
  const made: Cell[] = [];
  if (work !== "") {
    const marked =
      solution === undefined ? await markedStub(work, check.given) : await markedSolution(work, solution);
    made.push({
      ...cell,
      id: `${id}-work`.slice(0, 64),
      source: linesOf(marked),
      metadata: {
        ...cell.metadata,
        nbgrader: {
          ...common,
          grade: false,
          grade_id: `${id}-work`,
          locked: false,
          solution: true,
        } satisfies NbgraderMetadata,
      },
    });
  }
  for (const part of testParts(tests, check)) made.push(testCell(cell, check, part));
  return made;
}

/** nbgrader reads one number from a cell: each check has a cell of its own where that can be. */
function testParts(tests: string, check: CheckCell): { source: string; names: string[] }[] {
  const ends = (statementsOf(tests) ?? []).filter(({ node }) => bareCheck(node) !== undefined);
  if (ends.length !== check.names.length || check.dynamic || ends.length < 2) {
    return [{ source: tests, names: check.names }];
  }
  return ends.map(({ end, node }, i) => ({
    source: tests.slice(i === 0 ? 0 : ends[i - 1].end, i === ends.length - 1 ? tests.length : end).trim(),
    names: [bareCheck(node)!],
  }));
}

function testCell(
  cell: Cell,
  check: CheckCell,
  { source, names }: { source: string; names: string[] },
): Cell {
  const id = gradeId(names[0] ?? `cell-${check.index + 1}`);
  const nbgrader: NbgraderMetadata = {
    schema_version: 3,
    grade: true,
    grade_id: `${id}-tests`,
    locked: true,
    solution: false,
    task: false,
    points: names.reduce((sum, name) => sum + check.points[name], 0),
  };
  return {
    ...cell,
    id: `${id}-tests`.slice(0, 64),
    source: linesOf(withPoints(source, check)),
    metadata: {
      ...cell.metadata,
      // Out of sight, and not to be changed: how an exercise is tested is not what it asks.
      jupyter: { ...(cell.metadata.jupyter as object | undefined), source_hidden: true },
      editable: false,
      deletable: false,
      tags: [...(cell.metadata.tags ?? []), "hide-input"],
      nbgrader,
    },
  };
}

/**
 * Where nobody has solved an exercise, what its student gives stands between the marks: of a cell without any, nbgrader takes
 * everything away, imports and helpers too.
 */
async function markedStub(work: string, given: string[]): Promise<string> {
  if (regions(work, ...solutionMarks).length > 0) return work;
  const own: { start: number; end: number }[] = [];
  for (const { start, end, node } of statementsOf(work) ?? []) {
    if (isImport(node)) continue;
    const names = await ownNames(work.slice(start, end));
    if (given.some((name) => names.has(name))) own.push({ start, end: withComment(work, end) });
  }
  const stub = own.length === 0 ? "" : work.slice(own[0].start, own.at(-1)!.end);
  return stub === "" || stub === work.trim() ? work : markedSolution(work, stub);
}

/** The solution between nbgrader's marks, with the stub that it has here as a comment that our own release reads. */
async function markedSolution(work: string, solution: string): Promise<string> {
  const solved = await solvedSource(work, solution);
  const start = solved.indexOf(solution.trim());
  const stub = stubText(work, solved, solution);
  const stubs = stub.split("\n").map((line) => `// STUB: ${line}`);
  return `${solved.slice(0, start)}// BEGIN SOLUTION\n${stubs.join("\n")}\n${solution.trim()}\n// END SOLUTION${solved.slice(start + solution.trim().length)}`;
}

/** The part of a stub that a solution has replaced. */
function stubText(work: string, solved: string, solution: string): string {
  const before = solved.indexOf(solution.trim());
  const after = solved.length - before - solution.trim().length;
  return `${work.slice(0, before)}` === solved.slice(0, before)
    ? work.slice(before, work.length - after)
    : work;
}

/** The check says what it is worth, so that it comes to points. */
function withPoints(source: string, check: CheckCell): string {
  let text = source;
  for (const { node } of (statementsOf(source) ?? []).reverse()) {
    const name = bareCheck(node);
    if (name === undefined) continue;
    const call = bareCall(node)!;
    const points = `points: ${check.points[name]}`;
    const put = (start: number, end: number, what: string) => {
      text = text.slice(0, start) + what + text.slice(end);
    };
    const said = pointsOption(call);
    const [, tests, options] = call.arguments;
    if (said) put(said.start, said.end, points);
    else if (check.points[name] === 1) continue;
    else if (options === undefined) put(tests.end, tests.end, `, { ${points} }`);
    else if (options.type === "ObjectExpression") put(options.start + 1, options.start + 1, ` ${points},`);
    else throw new Error(`the options of check(${JSON.stringify(name)}, …) must stand in the call`);
  }
  return text;
}
