// A class: every submission gets a grade or a reason, several at a time, and what is done is kept if the grader is ended.
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, rm } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { textOf } from "../notebook/notebook.ts";
import { checkInteger, checkNumber } from "../util/check.ts";
import { writeFileAtomic } from "../util/files.ts";
import { slimlabVersion } from "../util/version.ts";
import { type Assignment, Judge } from "./assignment.ts";
import { classReport } from "./class-report.ts";
import { feedbackPage } from "./feedback.ts";
import { freeCases, type Grade, type GradeOptions, gradeNotebook, ungraded } from "./grade.ts";
import { fingerprints } from "./likeness.ts";
import { SandboxPool } from "./pool.ts";
import { gradesCsv, gradescopeOf, type Mark, marksCsv, type Result, readMarks } from "./results.ts";
import type { Isolation, Limits } from "./sandbox.ts";
import type { Submission } from "./submissions.ts";

/** Options of {@link gradeClass}. */
export interface ClassOptions extends Omit<GradeOptions, "files"> {
  /** The folder of all that is written; without it nothing is. */
  out?: string;
  /** A file that gets the grades as well, as JSON. */
  json?: string;
  /** Submissions at a time. Default: the cores there are. */
  jobs?: number;
  isolation: Isolation;
  limits?: Limits;
  /** After this, a submission is late. */
  due?: Date;
  /** Percent of the points that each day of lateness takes. Default 0. */
  latePenalty?: number;
  /** Grades again what an earlier run has graded. */
  fresh?: boolean;
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
    const results = await gradeAll(submissions, assignment, options, jobs, store);
    if (options.out !== undefined) await writeAll(options.out, results, assignment);
    if (options.json !== undefined) await writeFileAtomic(options.json, gradesJson(results));
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
  const waiting: number[] = [];
  for (const [index, submission] of submissions.entries()) {
    const known = store?.find(submission);
    if (known) settle(index, known.grade, known.prints);
    else if (submission.notebook === undefined) {
      settle(index, ungraded(assignment, options.isolation, submission.reason ?? "there is no notebook"));
    } else waiting.push(index);
  }
  if (waiting.length > 0) {
    const workers = Math.min(jobs, waiting.length);
    const pool = new SandboxPool({ ...options, size: workers, modules: modulesOf(assignment) });
    let free: Promise<Map<string, Set<string>>> | undefined;
    const one = async () => {
      let judge: Judge | undefined;
      try {
        for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
          if (options.signal?.aborted) return;
          const submission = submissions[index];
          judge ??= await Judge.start(assignment, options);
          free ??= baseline(judge, pool, options, store);
          const grade = await gradeOne(submission, judge, pool, { ...options, free: await free });
          if (options.signal?.aborted) return;
          const { notebook, ...rest } = grade;
          const prints = fingerprints(submission.notebook!, assignment);
          if (options.out !== undefined) {
            await writeFileAtomic(
              join(options.out, "feedback", `${submission.id}.html`),
              feedbackPage(submission, grade),
            );
          }
          await store?.add(submission, rest, prints);
          settle(index, rest, prints);
        }
      } finally {
        await judge?.end();
      }
    };
    try {
      await Promise.all(Array.from({ length: workers }, one));
    } finally {
      await pool.end();
    }
  }
  return results.filter((result) => result !== undefined);
}

/** What passes in the notebook as it was handed out; found once. */
async function baseline(
  judge: Judge,
  pool: SandboxPool,
  options: ClassOptions,
  store: Store | undefined,
): Promise<Map<string, Set<string>>> {
  if (store?.free) return store.free;
  const free = await freeCases(judge, pool, options);
  await store?.setFree(free);
  return free;
}

/** A grade, whatever happens: the grader's own trouble with one student is that student's reason, and nobody else's. */
async function gradeOne(
  submission: Submission,
  judge: Judge,
  pool: SandboxPool,
  options: ClassOptions,
): Promise<Grade> {
  try {
    return await gradeNotebook(submission.notebook!, judge, pool, { ...options, files: submission.files });
  } catch (error) {
    return ungraded(
      judge.assignment,
      options.isolation,
      `it could not be graded: ${(error as Error).message.split("\n")[0]}`,
    );
  }
}

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
      marks.get(`${id}\n${name}`) ?? { exercise: name, points: 0, of: points, comment: "" },
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
  for (const result of results) {
    const text = `${JSON.stringify(gradescopeOf(result), null, 2)}\n`;
    await writeFileAtomic(join(out, "gradescope", `${result.id}.json`), text);
  }
  await writeFileAtomic(join(out, "class.html"), classReport(results, assignment));
}

/** The packages that the teacher's cells import: loaded before a student's cells ask for them. */
export function modulesOf(assignment: Assignment): string[] {
  const names = new Set<string>();
  for (const { cell_type, source } of assignment.notebook.cells) {
    if (cell_type !== "code") continue;
    for (const [, name] of textOf(source).matchAll(/^import\s[^"']*["'](slimlab\/[\w-]+)["']/gm))
      names.add(name);
  }
  return [...names];
}

/** A grade of an earlier run. */
interface Known {
  grade: Omit<Grade, "notebook">;
  prints?: number[];
}

/** What has been graded, a line each, so that a grader that was ended goes on where it was. */
class Store {
  readonly #file: FileHandle;
  readonly #key: string;
  readonly #known: Map<string, Known>;

  private constructor(file: FileHandle, key: string, known: Map<string, Known>) {
    this.#file = file;
    this.#key = key;
    this.#known = known;
  }

  /** Tries at once whether the folder can be written to. */
  static async open(out: string, assignment: Assignment, fresh = false): Promise<Store> {
    const path = join(out, "results.jsonl");
    const key = createHash("sha256")
      .update(slimlabVersion)
      .update(
        JSON.stringify(assignment.notebook.cells.map(({ source, metadata }) => [textOf(source), metadata])),
      )
      .digest("hex");
    try {
      await mkdir(out, { recursive: true });
      if (fresh) await rm(path, { force: true });
      const known = new Map<string, Known>();
      const text = await readFile(path, "utf8").catch(() => "");
      for (const line of text.split("\n")) {
        try {
          const entry = JSON.parse(line);
          known.set(entry.key, entry);
        } catch {
          // A line that was cut off when the grader was ended.
        }
      }
      const file = await open(path, "a");
      if (text !== "" && !text.endsWith("\n")) await file.appendFile("\n");
      return new Store(file, key, known);
    } catch (error) {
      throw new Error(`results cannot be written to ${out}: ${(error as Error).message}`);
    }
  }

  #keyOf({ id, hash }: Submission): string {
    return createHash("sha256").update(`${this.#key}\n${id}\n${hash}`).digest("hex");
  }

  find(submission: Submission): Known | undefined {
    return this.#known.get(this.#keyOf(submission));
  }

  /** The cases that pass in the notebook as it was handed out, if they are known. */
  get free(): Map<string, Set<string>> | undefined {
    const known = this.#known.get(`free ${this.#key}`) as { free?: [string, string[]][] } | undefined;
    return known?.free && new Map(known.free.map(([name, cases]) => [name, new Set(cases)]));
  }

  async setFree(free: Map<string, Set<string>>): Promise<void> {
    const entry = { key: `free ${this.#key}`, free: [...free].map(([name, cases]) => [name, [...cases]]) };
    await this.#file.appendFile(`${JSON.stringify(entry)}\n`);
  }

  async add(submission: Submission, grade: Omit<Grade, "notebook">, prints: number[]): Promise<void> {
    const line = JSON.stringify({ key: this.#keyOf(submission), id: submission.id, grade, prints });
    await this.#file.appendFile(`${line}\n`);
    await this.#file.datasync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
