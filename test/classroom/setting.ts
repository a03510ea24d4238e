// A small assignment, and what the classroom's tests need to grade it.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { type Assignment, assignmentOf, Judge } from "../../lib/classroom/assignment.ts";
import { bubblewrapState } from "../../lib/classroom/bubblewrap.ts";
import { gradeNotebook } from "../../lib/classroom/grade.ts";
import type { Grade, GradeOptions } from "../../lib/classroom/grades.ts";
import { SandboxPool } from "../../lib/classroom/pool.ts";
import type { Cell, Notebook } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { code, notebook } from "../chapters/notebooks.ts";

export const start = 'import { check, expectClose, expectEqual } from "slimlab/classroom";\nconst scale = 2;';
export const checkA =
  'check("a", {\n  "doubles": () => expectClose(double(3), 3 * scale),\n  "zero": () => expectEqual(double(0), 0),\n})';
export const checkB =
  'await check("b", async () => expectEqual(await Promise.resolve(answer), [1, 0.25], "the answer"))';
export const cellA = (body: string) => `function double(x: number): number {\n  ${body}\n}\n${checkA}`;
export const cellB = (value: string) => `const answer: number[] = ${value};\n${checkB}`;

/** The small assignment as it is handed out. */
export const handedOut: Notebook = notebook(
  code(start),
  code(cellA("return -1; // your turn")),
  code(cellB("[]; // your turn")),
);

/** A solution of both exercises. */
export const perfect = (): Cell[] => [code(start), code(cellA("return 2 * x;")), code(cellB("[1, 0.25]"))];

/** What `slimlab grade` is called with for a class's folder. */
export const gradeArguments = (jobs: number, ...more: string[]): string[] => [
  "grade",
  "--original",
  "original.ipynb",
  "--out",
  "out",
  "--jobs",
  String(jobs),
  ...more,
];

/** Skips tests where students' code cannot be kept apart; on CI that is an error. */
export function needsSandbox(this: Mocha.Context): void {
  const { works, reason } = bubblewrapState();
  if (works) return;
  if (process.env.CI) throw new Error(reason);
  console.log(`      skipped: ${reason}`);
  this.skip();
}

/** A judge and sandboxes that tests share. */
export class Bench {
  readonly judge: Judge;
  readonly pool: SandboxPool;
  /** Of the small assignment, what a class's baseline would find. */
  readonly #same: Set<string> | undefined;
  private constructor(judge: Judge, pool: SandboxPool, same?: Set<string>) {
    this.judge = judge;
    this.pool = pool;
    this.#same = same;
  }

  static async open(original: Notebook = handedOut, size = 2): Promise<Bench> {
    const assignment: Assignment = await assignmentOf(original, "original.ipynb");
    const pool = new SandboxPool({ isolation: "bubblewrap", size, modules: ["slimlab/classroom"] });
    const same = original === handedOut ? new Set(["scale"]) : undefined;
    try {
      return new Bench(await Judge.start(assignment), pool, same);
    } catch (error) {
      await pool.end(); // A sandbox that nobody ends keeps mocha from ending.
      throw error;
    }
  }

  grade(cells: Cell[] | Notebook, options: GradeOptions = {}): Promise<Grade> {
    return gradeNotebook(Array.isArray(cells) ? notebook(...cells) : cells, this.judge, this.pool, {
      // A busy machine takes its time: only who hangs is cut off.
      timeout: 60,
      same: this.#same,
      ...options,
    });
  }

  async close(): Promise<void> {
    await this.judge.end();
    await this.pool.end();
  }
}

/** Opens a bench before a suite's tests and closes it after them; where nothing keeps students apart they are left out. */
export function withBench(use: (bench: Bench) => void): void {
  let bench: Bench | undefined;
  before(async function () {
    needsSandbox.call(this);
    bench = await Bench.open();
    use(bench);
  });
  after(() => bench?.close());
}

/** Runs `slimlab`; `onLine` sees each line of its output as it comes. */
export function slimlab(
  folder: string,
  args: string[],
  onLine: (line: string, child: ChildProcess) => void = () => {},
): Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(packageRoot, "dist/lib/cli.js"), ...args], { cwd: folder });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data) => {
    stdout += data;
    for (const line of String(data).split("\n")) if (line) onLine(line, child);
  });
  child.stderr.on("data", (data) => (stderr += data));
  return new Promise((done) =>
    child.on("close", (status, signal) => done({ code: status, signal, stdout, stderr })),
  );
}
