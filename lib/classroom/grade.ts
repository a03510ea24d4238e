// Grading: runs readers' notebooks and says which exercises they have solved.
import { dirname, resolve } from "node:path";
import { parse } from "@babel/parser";
import { type Cell, type Notebook, readNotebook, textOf } from "../notebook/notebook.ts";
import { run } from "../notebook/run.ts";
import { type CheckResult, checkMime } from "./check.ts";

type Statement = ReturnType<typeof parse>["program"]["body"][number];

/** What a notebook got. */
export interface Grade {
  notebook: string;
  solved: number;
  exercises: { name: string; passed: boolean; cases: CheckResult["cases"] }[];
  /** Exercises of the original that left no result: their cell failed, or is gone. */
  missing: string[];
}

/** Runs notebooks and gathers the results of their checks. */
export async function gradeNotebooks(
  paths: string[],
  options: { original?: string; timeout?: number } = {},
): Promise<Grade[]> {
  const original = options.original ? await readNotebook(options.original) : undefined;
  const grades: Grade[] = [];
  for (const path of paths) {
    const notebook = await readNotebook(path);
    const wanted = exercisesOf(original ?? notebook);
    if (original) restoreChecks(notebook, original);
    const { notebook: ran } = await run(notebook, {
      name: path,
      allowErrors: true,
      timeout: options.timeout,
      kernel: { cwd: dirname(resolve(path)) },
    });
    const exercises = resultsIn(ran);
    const missing = wanted.filter((name) => !exercises.some((exercise) => exercise.name === name));
    grades.push({
      notebook: path,
      solved: exercises.filter(({ passed }) => passed).length,
      exercises,
      missing,
    });
  }
  return grades;
}

/** The names of the exercises that cells check. */
function exercisesOf(notebook: Notebook): string[] {
  return [...new Set(notebook.cells.flatMap(checksIn).map(({ name }) => name))];
}

/** A statement of a cell that calls check: `check("name", …)`, awaited or not. */
interface CheckCall {
  name: string;
  start: number;
  end: number;
  text: string;
}

function checksIn(cell: Cell): CheckCall[] {
  const source = textOf(cell.source);
  if (cell.cell_type !== "code" || !source.includes("check(")) return [];
  let body: Statement[];
  try {
    body = parse(source, { sourceType: "module", plugins: ["typescript"], allowAwaitOutsideFunction: true })
      .program.body;
  } catch {
    return []; // What does not parse does not run: its exercises are missing.
  }
  const calls: CheckCall[] = [];
  for (const statement of body) {
    if (statement.type !== "ExpressionStatement") continue;
    const { expression } = statement;
    const call = expression.type === "AwaitExpression" ? expression.argument : expression;
    if (call.type !== "CallExpression") continue;
    const { callee } = call;
    const called = callee.type === "MemberExpression" ? callee.property : callee;
    const [first] = call.arguments;
    if (called.type !== "Identifier" || called.name !== "check" || first?.type !== "StringLiteral") continue;
    const { start, end } = statement as { start: number; end: number };
    calls.push({ name: first.value, start, end, text: source.slice(start, end) });
  }
  return calls;
}

/** Puts the handed-out checks in place of the reader's, and nothing else; where one is gone, at the end. */
function restoreChecks(notebook: Notebook, original: Notebook): void {
  for (const { name, text } of original.cells.flatMap(checksIn)) {
    let found = false;
    for (const cell of notebook.cells) {
      const own = checksIn(cell).find((call) => call.name === name);
      if (!own) continue;
      const source = textOf(cell.source);
      cell.source = source.slice(0, own.start) + text + source.slice(own.end);
      found = true;
    }
    if (!found) notebook.cells.push({ cell_type: "code", metadata: {}, source: text });
  }
}

/** The last result of each exercise among a notebook's outputs. */
function resultsIn(notebook: Notebook): Grade["exercises"] {
  const found = new Map<string, Grade["exercises"][0]>();
  for (const cell of notebook.cells) {
    for (const output of cell.outputs ?? []) {
      if (output.output_type !== "display_data" && output.output_type !== "execute_result") continue;
      const result = output.data[checkMime] as Grade["exercises"][0] | undefined;
      if (typeof result?.name === "string") found.set(result.name, result);
    }
  }
  return [...found.values()];
}
