// One submission's grade: the student's cells run in a sandbox, and each exercise is judged outside of it by what the
// notebook gives. No stored output is read; what goes wrong in one cell costs the exercises that need it and no others.
import { checkKernel, type Notebook, textOf } from "../notebook/notebook.ts";
import type { Failure } from "../notebook/report.ts";
import { codeCells, rounded, withoutOutputs } from "../notebook/run.ts";
import type { Assignment, Judge } from "./assignment.ts";
import { isSettled, isTests, type Pending, type SandboxSource, Student } from "./attempt.ts";
import type { Verdict } from "./border/judge.ts";
import type { CheckCell } from "./exercises.ts";
import type { ExerciseGrade, Free, Grade, GradeOptions } from "./grades.ts";
import type { Part } from "./parts.ts";
import { planFor } from "./plan.ts";
import { factsOf } from "./slice.ts";
import { languageOf } from "./speech.ts";

/** The grade of a submission that cannot be run. */
export function ungraded(assignment: Assignment, reason: string): Grade {
  const exercises = assignment.cells.flatMap((cell) =>
    cell.parts.flatMap((part) => gradesOf(cell, part, { checks: [], missing: [], error: reason })),
  );
  // Where there is no notebook to say in which language, the teacher's does.
  const language = languageOf(assignment.notebook);
  return total(exercises, { reason, failures: [], ran: "nothing", seconds: 0, slowest: 0, language });
}

/**
 * Grades a notebook. Whatever it does, there is a grade with its reasons; only the grader's own trouble is thrown.
 *
 * @param submission as it was handed in
 * @param judge runs the teacher's notebook
 * @param sandboxes where the student's cells run; each sandbox that is taken is given back
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
  const own = ownCells(assignment, source);
  const student = new Student(source, facts, own, judge, sandboxes, options);
  const { first, more, isWhole } = await planFor(source, facts, assignment, options);
  await student.attempt(pending, first);
  // All points of a slice stand; where it gives fewer, what it leaves out may be missing.
  const unsure = pending.filter((one) => one.open || !isSettled(one.verdict));
  const isMore = [...more].some(([index, text]) => first.get(index) !== text);
  const goesOn = unsure.length > 0 && isMore && student.left > 0 && !options.signal?.aborted;
  if (goesOn) {
    for (const one of unsure) one.open = true;
    await student.attempt(unsure, more);
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
    ran: options.all || (goesOn && isWhole) ? "all" : "needed",
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

/** The student's own cells, and the teacher's that he has changed, beside those of exercises. */
function ownCells(assignment: Assignment, notebook: Notebook): Set<number> {
  const taught = new Set(assignment.notebook.cells.map(({ source }) => textOf(source).trim()));
  const checked = new Set(assignment.cells.map(({ id }) => id));
  const own = codeCells(notebook).filter(
    ({ cell }) =>
      !taught.has(textOf(cell.source).trim()) &&
      !isTests(textOf(cell.source)) &&
      !(cell.id !== undefined && checked.has(cell.id)),
  );
  return new Set(own.map(({ number }) => number - 1));
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
