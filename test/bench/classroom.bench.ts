import { execFileSync, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { assignmentOf, Judge } from "../../lib/classroom/assignment.ts";
import { gradeClass } from "../../lib/classroom/class.ts";
import { gradeNotebook } from "../../lib/classroom/grade.ts";
import { SandboxPool } from "../../lib/classroom/pool.ts";
import { nbgraderSource, studentEdition } from "../../lib/classroom/release.ts";
import { findSubmissions } from "../../lib/classroom/submissions.ts";
import { labVenv } from "../../lib/install/lab.ts";
import { nbgraderConfig } from "../../lib/install/nbgrader.ts";
import { venvProgram } from "../../lib/install/venv.ts";
import { type Notebook, readNotebook } from "../../lib/notebook/notebook.ts";
import { run } from "../../lib/notebook/run.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { notebook, save } from "../chapters/notebooks.ts";
import { handedOut, perfect } from "../classroom/setting.ts";
import { Redis } from "../queue/redis.ts";
import type { Row } from "./index.ts";
import { median } from "./median.ts";

export const title = "Classroom: a class's submissions graded (11)";

const slug = "3.1.1-weight-pruning";
const classSize = 300;

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return (performance.now() - begin) / 1000;
}

/** The chapter as students hand it in who have solved it. */
async function solvedChapter(): Promise<Notebook> {
  const path = join(packageRoot, "notebooks", `${slug}.ipynb`);
  return nbgraderSource(await readNotebook(path), path);
}

async function chapterRow(folder: string, report: (row: Row) => void): Promise<void> {
  const path = join(packageRoot, "notebooks", `${slug}.ipynb`);
  const original = await readNotebook(path);
  const [work, unsolved] = [await solvedChapter(), await studentEdition(original, path)];
  const [ours, theirs] = [12, 2];
  for (let i = 0; i < ours; i++) {
    await save(join(folder, "in", `s${i}`, `${slug}.ipynb`), i % 2 === 0 ? work : unsolved);
  }
  const submissions = await findSubmissions([join(folder, "in")]);
  const begin = performance.now();
  let known = begin;
  const results = await gradeClass(submissions, await assignmentOf(original, path), {
    isolation: "bubblewrap",
    out: join(folder, "out"),
    onBaseline: () => {
      known = performance.now();
    },
  });
  if (results.filter(({ points, of }) => points === of).length !== ours / 2) {
    throw new Error("a solved chapter has not all points, or one that is not solved has them");
  }
  // What is found once, before the first, counts with its share of a class.
  const once = (known - begin) / 1000 / classSize;
  report({
    work: `chapter 3.1.1, a submission of ${classSize}, every other one solved, sandboxed`,
    ours: once + (performance.now() - known) / 1000 / ours,
    peers: { nbgrader: (await nbgraderSeconds(join(folder, "course"), work, theirs)) / theirs },
    unit: "s",
    goal: `at most 3 s on 2 cores (${classSize} in 15 minutes), and a tenth of nbgrader's`,
  });
}

/** What nbgrader's autograde takes for so many; NaN where there is no nbgrader. */
async function nbgraderSeconds(course: string, work: Notebook, count: number): Promise<number> {
  const python = venvProgram(labVenv(), "python");
  if (!existsSync(python)) return Number.NaN;
  const nbgrader = (...args: string[]) =>
    execFileSync(python, ["-m", "nbgrader", ...args], {
      cwd: course,
      env: { ...process.env, PATH: [dirname(python), process.env.PATH].join(delimiter) },
      stdio: "ignore",
    });
  try {
    await save(join(course, "nbgrader_config.py"), nbgraderConfig("course"));
    await save(join(course, "source", "ps1", `${slug}.ipynb`), work);
    nbgrader("generate_assignment", "ps1", "--create");
    for (let i = 0; i < count; i++)
      await save(join(course, "submitted", `s${i}`, "ps1", `${slug}.ipynb`), work);
    return await seconds(async () => nbgrader("autograde", "ps1"));
  } catch {
    return Number.NaN;
  }
}

async function warmRow(report: (row: Row) => void): Promise<void> {
  const judge = await Judge.start(await assignmentOf(handedOut, "original.ipynb"));
  const pool = new SandboxPool({ isolation: "bubblewrap", size: 2, modules: ["slimlab/classroom"] });
  const [warm, fresh]: number[][] = [[], []];
  try {
    for (let i = 0; i < 7; i++) {
      fresh.push(await seconds(() => run(notebook(...perfect()))));
      // A sandbox that is ready when it is asked for, as between two students.
      await new Promise((done) => setTimeout(done, 3000));
      warm.push(await seconds(() => gradeNotebook(notebook(...perfect()), judge, pool)));
    }
  } finally {
    await judge.end();
    await pool.end();
  }
  report({
    work: "small assignment: graded in a warm sandbox; run in a fresh kernel",
    ours: 1000 * median(warm),
    peers: { "a fresh kernel": 1000 * median(fresh) },
    unit: "ms",
    goal: "at most a tenth of a fresh kernel's",
  });
}

async function queueRow(folder: string, report: (row: Row) => void): Promise<void> {
  // Enough that what workers hold ready at the end counts little.
  const count = 64;
  for (let i = 0; i < count; i++)
    await save(join(folder, "queued", `s${i}`, "w.ipynb"), notebook(...perfect()));
  const submissions = await findSubmissions([join(folder, "queued")]);
  const assignment = await assignmentOf(handedOut, "original.ipynb");
  const redis = await Redis.start();
  const withWorkers = async (workers: number): Promise<number> => {
    const program = [join(packageRoot, "dist/lib/cli.js"), "grade-worker", "--jobs", "1", redis.url];
    const children = Array.from({ length: workers }, () =>
      spawn(process.execPath, program, { stdio: "ignore" }),
    );
    try {
      const times: number[] = [];
      await gradeClass(submissions, assignment, {
        isolation: "none",
        queue: redis.url,
        onResult: () => times.push(performance.now()),
      });
      // Without what workers take to begin: from the first answers, one of each, to the last.
      return (times.at(-1)! - times[2 * workers]) / 1000 / (count - 1 - 2 * workers);
    } finally {
      await Promise.all(
        children.map((child) => {
          const ended = new Promise((done) => child.once("exit", done));
          child.kill("SIGKILL");
          return ended;
        }),
      );
    }
  };
  try {
    const one = await withWorkers(1);
    const cores = Math.min(4, availableParallelism());
    report({
      work: `a submission at a queue: 4 workers; 1 worker's time over ${cores} cores`,
      ours: 1000 * (await withWorkers(4)),
      peers: { "all that the cores allow": (1000 * one) / cores },
      unit: "ms",
      goal: "at least 90 % of it, so at most 1.11 of the peer",
    });
  } finally {
    await redis.stop();
  }
}

export async function bench(report: (row: Row) => void): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "slimlab-bench-"));
  try {
    await warmRow(report);
    await queueRow(folder, report);
    await chapterRow(folder, report);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
