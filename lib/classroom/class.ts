// A class: every submission gets a grade or a reason, several at a time, and what is done is kept if the grader is ended.
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join, resolve } from "node:path";
import { checkInteger, checkNumber } from "../util/check.ts";
import { writeFileAtomic } from "../util/files.ts";
import type { Assignment } from "./assignment.ts";
import type { Baseline } from "./baseline.ts";
import { type Bench, LocalBench, QueueBench } from "./bench.ts";
import { classReport } from "./class-report.ts";
import { feedbackPage, withMarks } from "./feedback.ts";
import { ungraded } from "./grade.ts";
import type { Grade, GradingOptions } from "./grades.ts";
import type { Isolation, Limits } from "./isolation.ts";
import { fingerprints } from "./likeness.ts";
import { Pages } from "./pages.ts";
import { gradesCsv, gradescopeOf, type Mark, marksCsv, type Result, readMarks } from "./results.ts";
import { gradeIn, textsFor } from "./speech.ts";
import { Store } from "./store.ts";
import type { Submission } from "./submissions.ts";

/** Options of {@link gradeClass}. */
export interface ClassOptions extends GradingOptions {
  /** The folder of all that is written; without it nothing is. */
  out?: string;
  /** A file that gets the grades as well, as JSON. */
  json?: string;
  /** Submissions at a time. Default: the cores there are. */
  jobs?: number;
  /** How students' code is kept apart on this machine. */
  isolation: Isolation;
  limits?: Limits;
  /** What containers are made of. */
  image?: string;
  /** After this, a submission is late. */
  due?: Date;
  /** Percent of the points that each day of lateness takes. Default 0. */
  latePenalty?: number;
  /** Grades again what an earlier run has graded. */
  fresh?: boolean;
  /** The address of a queue: its workers grade, and not this machine. */
  queue?: string;
  /** Called when there is something that a person should do, such as starting a worker. */
  onNotice?: (notice: string) => void;
  /** Called when it is known what a submission may take, and whether the original's own solutions are right. */
  onBaseline?: (baseline: Baseline) => void;
  onResult?: (result: Result, done: number, total: number) => void;
}

/** An exercise that a person marks: a cell with `slimlab.manual` or nbgrader's manual grading in its metadata. */
export function openExercises(assignment: Assignment): { name: string; points: number }[] {
  const found: { name: string; points: number }[] = [];
  for (const { metadata } of assignment.notebook.cells) {
    const manual = (metadata.slimlab as { manual?: { name?: unknown; points?: unknown } } | undefined)
      ?.manual;
    const nbgrader = metadata.nbgrader as
      | { grade?: boolean; solution?: boolean; task?: boolean; grade_id?: string; points?: number }
      | undefined;
    if (typeof manual?.name === "string")
      found.push({ name: manual.name, points: Number(manual.points) || 1 });
    else if (nbgrader?.grade_id && (nbgrader.task || (nbgrader.grade && nbgrader.solution))) {
      found.push({ name: nbgrader.grade_id, points: nbgrader.points ?? 1 });
    }
  }
  return found;
}

/** Grades a class. What is written lies in `out` when this resolves, also if it was aborted: then of those that are done. */
export async function gradeClass(
  submissions: Submission[],
  assignment: Assignment,
  options: ClassOptions,
): Promise<Result[]> {
  const jobs = checkInteger("jobs", options.jobs ?? availableParallelism(), 1, 256);
  checkNumber("latePenalty", options.latePenalty ?? 0, 0, 100);
  const store =
    options.out === undefined ? undefined : await Store.open(options.out, assignment, options.fresh);
  try {
    // A place that cannot be written to is known before the first kernel starts, not after the last.
    if (options.json !== undefined) await writeFileAtomic(options.json, "[]\n");
    let trouble: unknown;
    const results = await gradeAll(submissions, assignment, options, jobs, store).catch((error) => {
      if (!(error instanceof Unfinished)) throw error;
      trouble = error;
      return error.results;
    });
    try {
      if (options.out !== undefined) await writeAll(options.out, results, assignment);
      if (options.json !== undefined) await writeFileAtomic(options.json, gradesJson(results));
    } catch (error) {
      trouble ??= new Unfinished(error, results);
    }
    if (trouble) throw trouble;
    return results;
  } finally {
    await store?.close();
  }
}

async function gradeAll(
  submissions: Submission[],
  assignment: Assignment,
  options: ClassOptions,
  jobs: number,
  store: Store | undefined,
): Promise<Result[]> {
  const marks = options.out === undefined ? new Map<string, Mark>() : await marksIn(options.out);
  const results: (Result | undefined)[] = submissions.map(() => undefined);
  let done = 0;
  const settle = (index: number, grade: Omit<Grade, "notebook">, prints?: number[]) => {
    const result = resultOf(submissions[index], grade, assignment, options, marks, prints);
    results[index] = result;
    options.onResult?.(result, ++done, submissions.length);
  };
  const inOrder = () => results.filter((result) => result !== undefined);
  const waiting: number[] = [];
  for (const [index, submission] of submissions.entries()) {
    const known = store?.find(submission);
    if (known) settle(index, known.grade, known.prints);
    else if (submission.notebook === undefined) {
      settle(index, ungraded(assignment, submission.reason ?? "there is no notebook"));
    } else waiting.push(index);
  }
  if (waiting.length === 0) return inOrder();
  const bench = await openBench(assignment, { ...options, jobs: Math.min(jobs, waiting.length) }, store);
  const pages = new Pages();
  const one = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      if (options.signal?.aborted) return;
      const submission = submissions[index];
      const grade = await bench.grade(submission);
      if (options.signal?.aborted) return;
      const { notebook: _, ...rest } = grade;
      const prints = fingerprints(submission.notebook!, assignment);
      if (options.out !== undefined) {
        const { student, notes } = submission;
        await writeFileAtomic(
          pageOf(options.out, submission),
          await pages.make({ student, notes }, grade, folderOf(assignment)),
        );
      }
      await store?.add(submission, rest, prints);
      settle(index, rest, prints);
    }
  };
  try {
    const ended = await Promise.allSettled(Array.from({ length: bench.places }, one));
    const failed = ended.find((end) => end.status === "rejected");
    if (failed && !options.signal?.aborted) throw new Unfinished(failed.reason, inOrder());
  } finally {
    await bench.end();
    await pages.end();
  }
  return inOrder();
}

/** The bench went before the class was done. */
class Unfinished extends Error {
  readonly results: Result[];
  constructor(reason: unknown, results: Result[]) {
    super(
      `${reason instanceof Error ? reason.message : reason}; what is graded is kept, and the same command goes on`,
    );
    this.results = results;
  }
}

function openBench(
  assignment: Assignment,
  { jobs, queue, onNotice, ...options }: ClassOptions & { jobs: number },
  store: Store | undefined,
): Bench | Promise<Bench> {
  const known = store?.baseline;
  if (known) options.onBaseline?.(known);
  const told = {
    ...options,
    places: jobs,
    ...(known && { baseline: known }),
    onBaseline: async (baseline: Baseline) => {
      options.onBaseline?.(baseline);
      await store?.setBaseline(baseline);
    },
  };
  return queue === undefined
    ? new LocalBench(assignment, told)
    : QueueBench.open(queue, assignment, told, onNotice);
}

const folderOf = ({ path }: Assignment) => dirname(resolve(path));
const pageOf = (out: string, { id }: { id: string }) => join(out, "feedback", `${id}.html`);

function resultOf(
  submission: Submission,
  grade: Omit<Grade, "notebook">,
  assignment: Assignment,
  options: ClassOptions,
  marks: Map<string, Mark>,
  prints: number[] | undefined,
): Result {
  const { id, student, path, time, notes } = submission;
  const own = openExercises(assignment).map(
    ({ name, points }): Mark =>
      marks.get(`${id}\n${name}`) ?? { exercise: name, points: 0, of: points, comment: "", open: true },
  );
  const late = latenessOf(submission, options);
  const raw = grade.points + own.reduce((sum, { points }) => sum + points, 0);
  return {
    id,
    student,
    path,
    grade,
    marks: own,
    ...(time && { time: time.toISOString() }),
    ...(late && { late }),
    points: Math.round(raw * (late?.factor ?? 1) * 100) / 100,
    of: grade.of + own.reduce((sum, { of }) => sum + of, 0),
    notes,
    ...(prints && { prints }),
  };
}

function latenessOf({ time, late }: Submission, { due, latePenalty = 0 }: ClassOptions): Result["late"] {
  const after = due && time ? time.getTime() - due.getTime() : 0;
  const days = after > 0 ? Math.ceil(after / 86_400_000) : late ? 1 : 0;
  return days > 0 ? { days, factor: Math.max(0, 1 - (days * latePenalty) / 100) } : undefined;
}

async function marksIn(out: string): Promise<Map<string, Mark>> {
  const text = await readFile(join(out, "marks.csv"), "utf8").catch(() => undefined);
  return text === undefined ? new Map() : readMarks(text);
}

/** Marks and lateness on a student's page, which may have been written before they were known. */
async function markPage(out: string, result: Result, folder: string): Promise<void> {
  const path = pageOf(out, result);
  const page = await readFile(path, "utf8").catch(() => undefined);
  const marked = withMarks(page ?? feedbackPage(result, result.grade, folder), result);
  if (marked !== page) await writeFileAtomic(path, marked);
}

function gradesJson(results: Result[]): string {
  return `${JSON.stringify(
    results.map(({ prints: _, ...result }) => result),
    null,
    2,
  )}\n`;
}

async function writeAll(out: string, results: Result[], assignment: Assignment): Promise<void> {
  await writeFileAtomic(join(out, "grades.json"), gradesJson(results));
  await writeFileAtomic(join(out, "grades.csv"), gradesCsv(results));
  const manual = openExercises(assignment);
  if (manual.length > 0) {
    await writeFileAtomic(join(out, "marks.csv"), marksCsv(results, manual, await marksIn(out)));
  }
  const folder = folderOf(assignment);
  for (const result of results) {
    const texts = textsFor(result.grade.language ?? "en", folder);
    const own = { ...result, grade: gradeIn(result.grade, texts) };
    const text = `${JSON.stringify(gradescopeOf(own, texts), null, 2)}\n`;
    await writeFileAtomic(join(out, "gradescope", `${result.id}.json`), text);
    await markPage(out, result, folder);
  }
  await writeFileAtomic(join(out, "class.html"), classReport(results, assignment));
}
