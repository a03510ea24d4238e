// What is known of an assignment before the first submission: which cases pass before any work is done, how long a solution
// takes, whether it is one, and what need not run. Found once, by grading the notebook as it is handed out, and as its
// teacher has solved it.
import type { KernelClient } from "../kernel/client.ts";
import { type Notebook, textOf } from "../notebook/notebook.ts";
import { fingerprintsCode, type Judge } from "./assignment.ts";
import type { SandboxSource } from "./attempt.ts";
import { fingerprintsMime } from "./border/fingerprints.ts";
import { gradeNotebook } from "./grade.ts";
import type { Free, Grade, GradeOptions } from "./grades.ts";
import { givenIn } from "./plan.ts";
import { releaseNotebook } from "./release.ts";
import { withSolutions } from "./solutions.ts";
import { ThinSlicer } from "./thin.ts";

/** What a submission may take, in seconds. */
export interface TimeLimits {
  /** A cell, or judging an exercise. */
  cell: number;
  /** All of a submission. */
  notebook: number;
}

/** What is known of an assignment. */
export interface Baseline {
  /** The cases that pass in the notebook as it was handed out. */
  free: Free;
  /** What a submission may take where nobody says: ten times what the original took with all its solutions. */
  limits: TimeLimits;
  /** Names that are as they should be however little of the notebook runs; undefined where nobody knows (see thin.ts). */
  same?: string[];
  /** Why the original's own solutions do not get all points. */
  trouble?: string;
}

/** Where an exercise has no solution, nobody knows how long one takes. */
const unknown: TimeLimits = { cell: 600, notebook: 1800 };
/** However fast the original is, students' code may take so long: nothing honest is lost, and little time to loops without end. */
const floor: TimeLimits = { cell: 20, notebook: 60 };
const factor = 10;

/**
 * Finds it out.
 *
 * @param judge runs the teacher's notebook
 */
export async function baselineOf(
  judge: Judge,
  sandboxes: SandboxSource,
  options: GradeOptions = {},
): Promise<Baseline> {
  const { notebook } = judge.assignment;
  // The teacher's own code has all the time that it needs.
  const own = { ...options, timeout: 3600, totalTimeout: 0, free: undefined };
  const handedOut = releaseNotebook(notebook);
  let solved: Solved | undefined;
  let trouble: string | undefined;
  try {
    const source = await withSolutions(notebook);
    if (codeOf(source) !== codeOf(handedOut)) solved = await gradeSolved(source, judge, sandboxes, own);
  } catch (error) {
    trouble = (error as Error).message;
  }
  const { grade: untouched, same } = await gradeUntouched(handedOut, judge, sandboxes, own, solved);
  if (solved) trouble = lostIn(solved.grade, untouched);
  return {
    free: freeIn(untouched),
    limits: limitsFrom(solved ? [untouched, solved.grade] : [untouched]),
    ...(same && { same: [...same] }),
    ...(trouble && { trouble }),
  };
}

interface Solved {
  grade: Grade;
  /** Names of which it is known that a thin slice leaves them as they are; undefined where none may be used. */
  same?: Set<string>;
  /** What the whole notebook gives those names, and those that stubs mention. */
  values: Record<string, string>;
}

/** Names of the teacher's that the exercises of a notebook need. */
async function taughtFor(notebook: Notebook, { assignment }: Judge): Promise<Set<string>> {
  return (await ThinSlicer.of(notebook, assignment)).slice(givenIn(assignment)).taught;
}

/** Grades a notebook, and finds the fingerprints of names when its cells have run. */
async function gradeAndLook(
  notebook: Notebook,
  judge: Judge,
  sandboxes: SandboxSource,
  options: GradeOptions,
  names: ReadonlySet<string>,
): Promise<{ grade: Grade; values?: Record<string, string> }> {
  let values: Record<string, string> | undefined;
  const whileOpen = async (kernel: KernelClient) => {
    values = await fingerprintsIn(kernel, names).catch(() => undefined);
  };
  const grade = await gradeNotebook(notebook, judge, sandboxes, { ...options, whileOpen });
  return { grade, ...(values && { values }) };
}

/** The names that have one value in two runs, as far as that can be told. */
const sameIn = (names: Iterable<string>, a: Record<string, string>, b: Record<string, string>) =>
  [...names].filter((name) => a[name] !== undefined && a[name] === b[name]);

/**
 * Grades the notebook as it is handed out. Stubs may need names that solutions do not: where these too are as they should
 * be, one who has not begun goes the short way.
 */
async function gradeUntouched(
  handedOut: Notebook,
  judge: Judge,
  sandboxes: SandboxSource,
  options: GradeOptions,
  solved: Solved | undefined,
): Promise<{ grade: Grade; same?: Set<string> }> {
  if (!solved?.same) return { grade: await gradeNotebook(handedOut, judge, sandboxes, options) };
  const { same, values } = solved;
  const grade = await gradeNotebook(handedOut, judge, sandboxes, { ...options, same });
  const more = [...(await taughtFor(handedOut, judge))].filter((name) => !same.has(name));
  if (more.length === 0) return { grade, same };
  const all = new Set([...same, ...more]);
  const thin = await gradeAndLook(handedOut, judge, sandboxes, { ...options, same: all }, all);
  const isSame = thin.values && verdictsOf(grade) === verdictsOf(thin.grade);
  return { grade, same: isSame ? new Set([...same, ...sameIn(more, values, thin.values!)]) : same };
}

/** Grades the notebook as its teacher has solved it, and finds out what of it need not run. */
async function gradeSolved(
  notebook: Notebook,
  judge: Judge,
  sandboxes: SandboxSource,
  options: GradeOptions,
): Promise<Solved> {
  const names = await taughtFor(notebook, judge);
  const stubs = await taughtFor(releaseNotebook(judge.assignment.notebook), judge);
  const lookedAt = new Set([...names, ...stubs]);
  const full = await gradeAndLook(notebook, judge, sandboxes, { ...options, all: true }, lookedAt);
  const { grade, values = {} } = full;
  if (options.all) return { grade, values };
  const thin = await gradeAndLook(notebook, judge, sandboxes, { ...options, same: names }, names);
  const isSame = full.values && thin.values && verdictsOf(grade) === verdictsOf(thin.grade);
  return { grade, values, ...(isSame && { same: new Set(sameIn(names, values, thin.values!)) }) };
}

const verdictsOf = ({ exercises }: Grade) =>
  JSON.stringify(
    exercises.map(({ name, points, cases }) => [name, points, cases.map((one) => [one.name, one.passed])]),
  );

async function fingerprintsIn(
  kernel: KernelClient,
  names: Iterable<string>,
): Promise<Record<string, string> | undefined> {
  const { outputs } = await kernel.execute(fingerprintsCode(names));
  for (const output of outputs) {
    if (output.output_type === "execute_result" && output.data[fingerprintsMime]) {
      return output.data[fingerprintsMime] as Record<string, string>;
    }
  }
  return undefined;
}

/**
 * What submissions may take.
 *
 * @param grades of the notebook as it was handed out and, last, as its teacher has solved it
 */
export function limitsFrom(grades: Pick<Grade, "exercises" | "slowest" | "seconds">[]): TimeLimits {
  if (!grades.at(-1)!.exercises.every(({ passed }) => passed)) return unknown;
  const longest = (least: number, seconds: number[]) =>
    Math.max(least, Math.ceil(factor * Math.max(...seconds)));
  return {
    cell: longest(
      floor.cell,
      grades.map(({ slowest }) => slowest),
    ),
    notebook: longest(
      floor.notebook,
      grades.map(({ seconds }) => seconds),
    ),
  };
}

const codeOf = ({ cells }: Notebook) => JSON.stringify(cells.map(({ source }) => textOf(source)));

function freeIn({ exercises }: Grade): Free {
  const free: Free = new Map();
  for (const { name, cases } of exercises) {
    const passing = cases.filter(({ passed }) => passed);
    // Where everything passes, the notebook is a solved one, and nothing is free.
    if (passing.length < cases.length) free.set(name, new Set(passing.map((one) => one.name)));
  }
  return free;
}

/** What the teacher's solutions miss; an exercise on which they change nothing has none. */
function lostIn({ exercises }: Grade, untouched: Grade): string | undefined {
  const lost: string[] = [];
  for (const [i, { name, passed, cases, reason }] of exercises.entries()) {
    const before = untouched.exercises[i];
    if (passed || JSON.stringify([cases, reason]) === JSON.stringify([before?.cases, before?.reason]))
      continue;
    const failed = cases.find((one) => !one.passed);
    lost.push(`${name} (${reason ?? [failed?.name, failed?.message].filter(Boolean).join(": ")})`);
  }
  return lost.length > 0 ? `the original's own solutions do not solve ${lost.join(", ")}` : undefined;
}
