// One submission's grade: the student's cells run in a sandbox, and each exercise is judged outside of it by what the
// notebook gives. No stored output is read; what goes wrong in one cell costs the exercises that need it and no others.
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { checkKernel, type Notebook, textOf } from "../notebook/notebook.ts";
import type { Failure } from "../notebook/report.ts";
import { codeCells, run, withoutOutputs } from "../notebook/run.ts";
import type { Language } from "../texts/index.ts";
import { literally } from "../util/pattern.ts";
import { type Assignment, type Judge, serveCode } from "./assignment.ts";
import type { Verdict } from "./border/judge.ts";
import type { CheckCase } from "./check.ts";
import { statementsOf } from "./code.ts";
import { bareCheck, type CheckCell } from "./exercises.ts";
import type { Isolation } from "./isolation.ts";
import { releaseNotebook } from "./release.ts";
import type { Sandbox } from "./sandbox.ts";
import { type CellFacts, factsOf, sliceFor } from "./slice.ts";
import { languageOf } from "./speech.ts";

/** What an exercise got. */
export interface ExerciseGrade {
  name: string;
  passed: boolean;
  /** Points of the cases that passed, and of all. */
  points: number;
  of: number;
  cases: (CheckCase & { hidden?: boolean })[];
  /** Why there is no result, or not a whole one. */
  reason?: string;
  /** What to read again, where a case fails. */
  read?: string;
}

/** What a notebook got. */
export interface Grade {
  points: number;
  of: number;
  solved: number;
  exercises: ExerciseGrade[];
  /** Why nothing could be graded. */
  reason?: string;
  /** What went wrong in its cells. */
  failures: Failure[];
  /** How the student's code was kept apart; none where nothing was run. */
  isolation?: Isolation;
  /** How much was run: the cells that the exercises need, or all. */
  ran: "needed" | "all" | "nothing";
  seconds: number;
  /** The language of the notebook, and so of what its student is told. */
  language?: Language;
  /** The notebook with what its cells put out. */
  notebook?: Notebook;
}

/** Options of {@link gradeNotebook}. */
export interface GradeOptions {
  /** Seconds that a cell, or judging an exercise, may take. Default 600. */
  timeout?: number;
  /** Seconds that a notebook's cells, and judging them, may take together, however often they run. Default 1800. */
  totalTimeout?: number;
  /** Characters that a notebook may put out. Default 50 million. */
  outputLimit?: number;
  /** By exercise, the cases that pass before any work is done: see {@link freeCases}. */
  free?: Map<string, Set<string>>;
  /** Runs every cell, also those that no exercise needs. */
  all?: boolean;
  /** Files that lie beside the notebook, by their path from there. */
  files?: Map<string, Uint8Array>;
  signal?: AbortSignal;
}

/** Where sandboxes come from. */
export interface SandboxSource {
  readonly isolation: Isolation;
  take(): Promise<Sandbox>;
}

/** A check cell that waits for its verdict. */
interface Pending {
  cell: CheckCell;
  verdict?: Verdict;
  /** Something stood in its way that running more may mend. */
  open: boolean;
}

/** The grade of a submission that cannot be run. */
export function ungraded(assignment: Assignment, reason: string): Grade {
  const exercises = assignment.cells.flatMap((cell) =>
    gradesOf(cell, { checks: [], missing: [], error: reason }),
  );
  return total(exercises, { reason, failures: [], ran: "nothing", seconds: 0 });
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
  const pending: Pending[] = assignment.cells.map((cell) => ({ cell, open: true }));
  const student = new Student(source, facts, judge, sandboxes, options);
  const slice = new Set<number>();
  for (const { cell } of pending) for (const index of sliceFor(facts, cell.given)) slice.add(index);
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
  const exercises = pending.flatMap(({ cell, verdict }) =>
    gradesOf(
      cell,
      verdict ?? { checks: [], missing: [], error: "it was not reached" },
      student.reasonFor(cell),
      options.free,
    ),
  );
  const foreign = wrongKernel(submission);
  return total(exercises, {
    failures: [...(foreign ? [foreign] : []), ...student.failures],
    isolation: sandboxes.isolation,
    ran,
    seconds: Math.round((performance.now() - started) / 10) / 100,
    language: languageOf(submission),
    notebook: student.notebook,
  });
}

/**
 * The cases that pass in the notebook as it was handed out: a result that is still empty may well be in order. They earn no
 * points. Where everything passes, the notebook is a solved one, and nothing is free.
 */
export async function freeCases(
  judge: Judge,
  sandboxes: SandboxSource,
  options: GradeOptions = {},
): Promise<Map<string, Set<string>>> {
  const handedOut = releaseNotebook(judge.assignment.notebook);
  const { exercises } = await gradeNotebook(handedOut, judge, sandboxes, { ...options, free: undefined });
  const free = new Map<string, Set<string>>();
  for (const { name, cases } of exercises) {
    const passing = cases.filter(({ passed }) => passed);
    if (passing.length < cases.length) free.set(name, new Set(passing.map((one) => one.name)));
  }
  return free;
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

/** A function of the student's ended the kernel while it was asked. */
class KernelGone extends Error {}

/** One student's notebook on its way through kernels. */
class Student {
  readonly failures: Failure[] = [];
  readonly notebook: Notebook;
  readonly #facts: Map<number, CellFacts>;
  readonly #judge: Judge;
  readonly #sandboxes: SandboxSource;
  readonly #options: GradeOptions;
  /** Cells that have ended a kernel: they are not run again. */
  readonly #deadly = new Set<number>();
  /** When the time of all its attempts together is over. */
  readonly #deadline: number;

  constructor(
    notebook: Notebook,
    facts: Map<number, CellFacts>,
    judge: Judge,
    sandboxes: SandboxSource,
    options: GradeOptions,
  ) {
    this.notebook = notebook;
    this.#facts = facts;
    this.#judge = judge;
    this.#sandboxes = sandboxes;
    this.#options = options;
    this.#deadline = performance.now() + 1000 * ((options.totalTimeout ?? 1800) || Infinity);
  }

  /** Seconds that are left of what it may take. */
  get left(): number {
    return (this.#deadline - performance.now()) / 1000;
  }

  /** Runs the cells and judges each exercise after the last cell that gives its names. */
  async attempt(pending: Pending[], cells: Set<number>): Promise<void> {
    for (let round = 0; round < 4; round++) {
      this.failures.length = 0;
      const sandbox = await this.#sandboxes.take();
      let lost: number | undefined;
      try {
        await copyFiles(this.#options.files, sandbox.work);
        lost = await this.#runAndJudge(sandbox, pending, cells);
      } finally {
        await sandbox.end();
      }
      if (lost === undefined || this.#options.signal?.aborted) return;
      this.#deadly.add(lost);
      if (pending.every(({ open }) => !open) || this.left <= 0) return;
    }
  }

  /** Gives the place of the cell that ended the kernel, -1 where something else did. */
  async #runAndJudge(sandbox: Sandbox, pending: Pending[], cells: Set<number>): Promise<number | undefined> {
    const { timeout, totalTimeout = 1800, outputLimit = 50_000_000, signal } = this.#options;
    const after = new Map<number, Pending[]>();
    for (const one of pending.filter(({ open }) => open)) {
      const last = this.#lastOf(one.cell, cells);
      if (last !== undefined) after.set(last, [...(after.get(last) ?? []), one]);
    }
    const runnable = codeCells(this.notebook).map(({ number }) => number - 1);
    const deadly = [...this.#deadly].map((index) => this.#deadlyFailure.get(index)!).filter(Boolean);
    this.failures.push(...deadly);
    const stripped = withoutChecks(this.notebook);
    const ran = await run(stripped, {
      kernel: sandbox.kernel,
      timeout,
      totalTimeout,
      deadline: this.#deadline,
      outputLimit,
      signal,
      allowErrors: true,
      only: (_cell, index) => cells.has(index) && runnable.includes(index) && !this.#deadly.has(index),
      afterCell: async (index) => {
        for (const one of after.get(index) ?? []) {
          if (!(await this.#judgeOne(sandbox, one))) throw new KernelGone();
        }
      },
    }).catch((error) => {
      if (error instanceof KernelGone) return undefined;
      throw error;
    });
    if (!ran) return -1;
    const { report, notebook } = ran;
    for (const [index, cell] of notebook.cells.entries()) {
      if (cell.cell_type !== "code" || !cells.has(index) || this.#deadly.has(index)) continue;
      this.notebook.cells[index].outputs = cell.outputs;
      this.notebook.cells[index].execution_count = cell.execution_count;
    }
    this.failures.push(...(report.failures ?? []));
    const last = report.failures?.at(-1);
    if (report.status === "died" || /by force$/.test(last?.message ?? "")) {
      if (sandbox.exceeded) last!.message = `it used ${sandbox.exceeded}`;
      this.#deadlyFailure.set(last!.cell - 1, last!);
      return last!.cell - 1;
    }
    // Exercises whose names came from nowhere, or were not there yet in their place, at the end.
    for (const one of pending) {
      const again = one.open || (!isSettled(one.verdict) && this.#changesLater(one.cell, cells));
      if (again && !(await this.#judgeOne(sandbox, one))) return -1;
    }
    return undefined;
  }

  readonly #deadlyFailure = new Map<number, Failure>();

  #lastOf(cell: CheckCell, cells: Set<number>): number | undefined {
    let last: number | undefined;
    for (const index of [...cells].sort((a, b) => a - b)) {
      const declared = this.#facts.get(index)?.declared;
      if (!cell.given.some((name) => declared?.has(name))) continue;
      // The cell that has this exercise's check, if there is one, is its place; else the last one.
      if (this.#checks(index, cell)) return index;
      last = index;
    }
    return last;
  }

  /** A cell after an exercise's place gives its names other values, or what they need. */
  #changesLater(cell: CheckCell, cells: Set<number>): boolean {
    const place = this.#lastOf(cell, cells) ?? -1;
    const needed = sliceFor(this.#facts, cell.given);
    return [...cells].some((index) => index > place && needed.has(index));
  }

  #checks(index: number, cell: CheckCell): boolean {
    const { id, source } = this.notebook.cells[index];
    if (cell.id !== undefined && id === cell.id) return true;
    return cell.names.some((name) =>
      new RegExp(`check\\(\\s*["'\`]${literally(name)}["'\`]`).test(textOf(source)),
    );
  }

  /** False where the student's kernel is gone. */
  async #judgeOne(sandbox: Sandbox, one: Pending): Promise<boolean> {
    // Never so little that nobody could answer.
    const seconds = Math.min((this.#options.timeout ?? 600) || Infinity, Math.max(2, this.left));
    // A name that nobody knows before: a student's file cannot lie in its place.
    const socket = `${sandbox.sockets}/b${randomBytes(4).toString("hex")}`;
    await this.#judge.listen(socket);
    const limit = new AbortController();
    const serving = sandbox.kernel.execute(serveCode(socket, one.cell.given), { signal: limit.signal }).then(
      () => true,
      () => false,
    );
    const verdict = await this.#judge.judge(one.cell, seconds);
    // The judge has hung up; a function that is still busy is interrupted.
    const ended = await Promise.race([serving, pause(1000)]);
    if (ended === undefined) limit.abort();
    const alive = ended ?? (await serving);
    const nothing =
      verdict.missing.length > 0 || (verdict.error !== undefined && verdict.checks.length === 0);
    const open = nothing && !verdict.late;
    if (!one.verdict || better(verdict, one.verdict)) one.verdict = verdict;
    one.open = open && one.verdict === verdict && alive;
    return alive;
  }

  /** Why an exercise has no result, in the words of the cell that should have given it. */
  reasonFor(cell: CheckCell): string | undefined {
    for (const { number } of codeCells(this.notebook)) {
      const facts = this.#facts.get(number - 1);
      const source = textOf(this.notebook.cells[number - 1].source);
      const isIts = facts
        ? cell.given.some((name) => facts.declared.has(name))
        : this.#checks(number - 1, cell) ||
          cell.given.some((name) => new RegExp(`\\b${literally(name)}\\b`).test(source));
      if (!isIts) continue;
      const failure = this.failures.find((one) => one.cell === number);
      if (failure)
        return `cell ${number} failed: ${[failure.name, failure.message].filter(Boolean).join(": ")}`;
      if (!facts) return `cell ${number} cannot be read as TypeScript`;
    }
    return undefined;
  }
}

async function copyFiles(files: Map<string, Uint8Array> | undefined, folder: string): Promise<void> {
  for (const [path, bytes] of files ?? []) {
    const target = resolve(folder, path);
    if (!target.startsWith(folder + sep)) continue;
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, bytes);
  }
}

/** The student's own checks need not run: what they say is not asked for, and the rest of a cell runs without them. */
function withoutChecks(notebook: Notebook): Notebook {
  const cells = notebook.cells.map((cell) => {
    const source = textOf(cell.source);
    if (cell.cell_type !== "code" || !source.includes("check(")) return cell;
    let text = source;
    // From the end, so that places before it stay true; lines stay where they are.
    for (const { start, end, node } of (statementsOf(source) ?? []).reverse()) {
      if (bareCheck(node) === undefined) continue;
      text = text.slice(0, start) + text.slice(start, end).replace(/[^\n]/g, " ") + text.slice(end);
    }
    return { ...cell, source: text };
  });
  return { ...notebook, cells };
}

/** The student has cells of his own, or changed ones, that the slice left out. */
function isForeign(assignment: Assignment, notebook: Notebook, slice: Set<number>): boolean {
  const own = new Set(assignment.notebook.cells.map(({ source }) => textOf(source).trim()));
  const checked = new Set(assignment.cells.map(({ id }) => id));
  return codeCells(notebook).some(
    ({ cell, number }) =>
      !slice.has(number - 1) &&
      !own.has(textOf(cell.source).trim()) &&
      !(cell.id !== undefined && checked.has(cell.id)),
  );
}

/** Running more cells cannot make it better. */
function isSettled(verdict: Verdict | undefined): boolean {
  return verdict?.late === true || isFull(verdict);
}

function isFull(verdict: Verdict | undefined): boolean {
  return (
    verdict !== undefined &&
    verdict.error === undefined &&
    verdict.checks.every(({ cases }) => cases.every(({ passed }) => passed))
  );
}

function better(a: Verdict, b: Verdict): boolean {
  const passed = ({ checks }: Verdict) =>
    checks.flatMap(({ cases }) => cases).filter((one) => one.passed).length;
  return passed(a) > passed(b) || (passed(a) === passed(b) && a.checks.length >= b.checks.length);
}

/** A check cell's exercises, with points by the share of cases that pass. */
function gradesOf(
  cell: CheckCell,
  verdict: Verdict,
  why?: string,
  free?: GradeOptions["free"],
): ExerciseGrade[] {
  const names = [...new Set([...cell.names, ...verdict.checks.map(({ name }) => name)])];
  return names.map((name) => {
    const of = cell.points[name] ?? cell.points[""];
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

function pause(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, undefined));
}
