// One submission's grade: the student's cells run in a sandbox, and each exercise is judged outside of it by what the
// notebook gives. No stored output is read; what goes wrong in one cell costs the exercises that need it and no others.
import { checkKernel, type Notebook, textOf } from "../notebook/notebook.ts";
import type { Failure } from "../notebook/report.ts";
import { codeCells, rounded, withoutOutputs } from "../notebook/run.ts";
import type { Assignment, Judge } from "./assignment.ts";
import { isSettled, type Pending, type SandboxSource, Student, withoutChecks } from "./attempt.ts";
import type { Verdict } from "./border/judge.ts";
import { isImport, statementsOf } from "./code.ts";
import type { CheckCell } from "./exercises.ts";
import type { ExerciseGrade, Free, Grade, GradeOptions } from "./grades.ts";
import type { Part } from "./parts.ts";
import { factsOf, sliceFor } from "./slice.ts";
import { languageOf } from "./speech.ts";

/** The grade of a submission that cannot be run. */
export function ungraded(assignment: Assignment, reason: string): Grade {
  const exercises = assignment.cells.flatMap((cell) =>
    cell.parts.flatMap((part) => gradesOf(cell, part, { checks: [], missing: [], error: reason })),
  );
  return total(exercises, { reason, failures: [], ran: "nothing", seconds: 0, slowest: 0 });
}

/**
 * Grades a notebook. Whatever it does, there is a grade with its reasons; only the grader's own trouble is thrown.
 *
 * @param submission as it was handed in
 * @param judge runs the teacher's notebook
 * @param sandboxes where the student's cells run; each sandbox that is taken is ended
 */
export async function gradeNotebook(
  submission: Notebook,
  judge: Judge,
  sandboxes: SandboxSource,
  options: GradeOptions = {},
): Promise<Grade> {
  const started = performance.now();
  const { assignment } = judge;
  const source = withoutGiants(withoutOutputs(submission));
  // A foreign or missing kernelspec is an accident of some editor: the code decides.
  const kernelspec = { name: "slimlab", language: "typescript" };
  source.metadata = { ...source.metadata, kernelspec };
  const facts = await factsOf(source);
  const pending: Pending[] = assignment.cells.flatMap((cell) =>
    cell.parts.map((part) => ({ cell, part, open: true })),
  );
  const student = new Student(source, facts, judge, sandboxes, options);
  const slice = new Set<number>();
  for (const { part } of pending) for (const index of sliceFor(facts, part.given)) slice.add(index);
  const all = new Set(facts.keys());
  for (const { cell, number } of codeCells(source)) if (!facts.has(number - 1) && cell) all.add(number - 1);
  let ran: Grade["ran"] = options.all ? "all" : "needed";
  await student.attempt(pending, options.all ? all : slice);
  const unsure = pending.filter(
    (one) => one.open || (!isSettled(one.verdict) && isForeign(assignment, source, slice)),
  );
  if (
    !options.all &&
    unsure.length > 0 &&
    all.size > slice.size &&
    student.left > 0 &&
    !options.signal?.aborted
  ) {
    // What the slice could not settle, the whole notebook does.
    ran = "all";
    for (const one of unsure) one.open = true;
    await student.attempt(unsure, all);
  }
  const exercises = pending.flatMap((one) =>
    gradesOf(
      one.cell,
      one.part,
      one.verdict ?? { checks: [], missing: [], error: "it was not reached" },
      student.reasonFor(one),
      options.free,
    ),
  );
  const foreign = wrongKernel(submission);
  return total(exercises, {
    failures: [...(foreign ? [foreign] : []), ...student.failures],
    isolation: sandboxes.isolation,
    ran,
    seconds: rounded((performance.now() - started) / 1000),
    slowest: rounded(student.slowest),
    language: languageOf(submission),
    notebook: student.notebook,
  });
}

/** Characters of a cell, and of all code together, that are still read as code. */
const [longestCell, longestCode] = [1_000_000, 4_000_000];

/** No person writes cells of megabytes: reading one would take minutes, so it costs what it should have given. */
function withoutGiants(notebook: Notebook): Notebook {
  let left = longestCode;
  const cells = notebook.cells.map((cell) => {
    const { length } = textOf(cell.source);
    const isCode = cell.cell_type === "code";
    if (length <= longestCell && (!isCode || length <= left)) {
      if (isCode) left -= length;
      return cell;
    }
    return { ...cell, source: isCode ? `throw new Error("this cell had ${length} characters")` : "" };
  });
  return { ...notebook, cells };
}

/** A notebook of another kernel runs all the same; its report says so. */
function wrongKernel(notebook: Notebook): Failure | undefined {
  try {
    checkKernel("the notebook", notebook);
    return undefined;
  } catch (error) {
    return { cell: 0, name: "", message: (error as Error).message, traceback: [] };
  }
}

/** The student has cells of his own, or changed ones, that the slice left out. */
function isForeign(assignment: Assignment, notebook: Notebook, slice: Set<number>): boolean {
  const own = new Set(assignment.notebook.cells.map(({ source }) => textOf(source).trim()));
  const checked = new Set(assignment.cells.map(({ id }) => id));
  return codeCells(notebook).some(
    ({ cell, number }) =>
      !slice.has(number - 1) &&
      !own.has(textOf(cell.source).trim()) &&
      !isTests(textOf(cell.source)) &&
      !(cell.id !== undefined && checked.has(cell.id)),
  );
}

/** Nothing but checks and what they import: the students' edition has such cells, and they change nothing. */
function isTests(source: string): boolean {
  const rest = withoutChecks(source);
  return rest !== source && (statementsOf(rest) ?? []).every(({ node }) => isImport(node));
}

/** Exercises of a cell that are judged together, with points by the share of cases that pass. */
function gradesOf(cell: CheckCell, part: Part, verdict: Verdict, why?: string, free?: Free): ExerciseGrade[] {
  const others = part.dynamic ? verdict.checks.map(({ name }) => name) : [];
  const names = [...new Set([...part.names, ...others])];
  return names.map((name) => {
    const of = Object.hasOwn(cell.points, name) ? cell.points[name] : cell.points[""];
    const found = verdict.checks.filter((one) => one.name === name);
    const cases = found
      .flatMap((one) => one.cases)
      .map((one) => ({
        ...one,
        ...((cell.hidden.has(one.name) || cell.hidden.has(name)) && { hidden: true }),
      }));
    const given = free?.get(name) ?? new Set();
    // What passes without any work earns nothing, but breaking it costs.
    const counted = cases.filter((one) => !given.has(one.name) || !one.passed);
    const share =
      counted.length === 0
        ? Number(cases.length > 0)
        : counted.filter((one) => one.passed).length / counted.length;
    const passed = cases.length > 0 && share === 1;
    const trouble = verdict.error ?? (cases.length === 0 ? "its check was not reached" : undefined);
    const reason = passed
      ? undefined
      : why && (cases.length === 0 || verdict.missing.length > 0)
        ? `${trouble ?? ""}${trouble ? "; " : ""}${why}`
        : trouble;
    const read = passed ? undefined : found.find((one) => one.read)?.read;
    return {
      name,
      passed,
      points: Math.round(of * share * 100) / 100,
      of,
      cases,
      ...(reason && { reason }),
      ...(read && { read }),
    };
  });
}

function total(
  exercises: ExerciseGrade[],
  rest: Omit<Grade, "points" | "of" | "solved" | "exercises">,
): Grade {
  const sum = (of: (one: ExerciseGrade) => number) =>
    Math.round(exercises.reduce((all, one) => all + of(one), 0) * 100) / 100;
  return {
    points: sum(({ points }) => points),
    of: sum(({ of }) => of),
    solved: exercises.filter(({ passed }) => passed).length,
    exercises,
    ...rest,
  };
}
