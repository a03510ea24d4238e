// Where submissions are graded: judges and warm sandboxes on this machine, or, by a queue, those of other machines.
import { basename } from "node:path";
import { textOf } from "../notebook/notebook.ts";
import { type Desk, QueueLostError, Sender } from "../queue/index.ts";
import { unlessAborted } from "../util/abort.ts";
import { type Assignment, assignmentOf, Judge } from "./assignment.ts";
import { type Baseline, baselineOf } from "./baseline.ts";
import { gradeNotebook, ungraded } from "./grade.ts";
import type { Grade, GradingOptions } from "./grades.ts";
import type { Isolation, Limits } from "./isolation.ts";
import { sweepGraders } from "./left-over.ts";
import { SandboxPool } from "./pool.ts";
import type { Submission } from "./submissions.ts";

/** Where submissions are graded. */
export interface Bench {
  /** How many at a time. */
  readonly places: number;
  /** A grade, whatever happens to the student's code; only the end of the bench itself is thrown. */
  grade(submission: Submission): Promise<Grade>;
  end(): Promise<void>;
}

/** What a bench is told. */
export interface BenchOptions extends GradingOptions {
  limits?: Limits;
  /** What containers are made of. */
  image?: string;
  /** What is known of the assignment, if an earlier run has found it; else it is found, and told. */
  baseline?: Baseline;
  onBaseline?: (baseline: Baseline) => Promise<void>;
}

/** Options of {@link LocalBench}. */
export interface LocalOptions extends BenchOptions {
  isolation: Isolation;
  places: number;
}

/** This machine's bench. */
export class LocalBench implements Bench {
  readonly places: number;
  readonly #assignment: Assignment;
  readonly #options: LocalOptions;
  readonly #pool: SandboxPool;
  readonly #judges = new Set<Judge>();
  readonly #idle: Judge[] = [];
  #baseline: Promise<Baseline> | undefined;

  constructor(assignment: Assignment, options: LocalOptions) {
    const { places, isolation, limits, image } = options;
    this.places = places;
    this.#assignment = assignment;
    this.#options = options;
    void sweepGraders();
    this.#pool = new SandboxPool({ isolation, limits, image, size: places, modules: modulesOf(assignment) });
    if (options.baseline) this.#baseline = Promise.resolve(options.baseline);
  }

  /** What is known of the assignment; found once. */
  baseline(): Promise<Baseline> {
    this.#baseline ??= this.#withJudge(async (judge) => {
      const baseline = await baselineOf(judge, this.#pool, this.#options);
      await this.#options.onBaseline?.(baseline);
      return baseline;
    });
    return this.#baseline;
  }

  grade(submission: Submission, known?: Baseline): Promise<Grade> {
    if (known) this.#baseline ??= Promise.resolve(known);
    return this.#withJudge(async (judge) => {
      // Asked for while this judge is taken: the baseline has one of its own.
      const { free, limits, same } = known ?? (await this.baseline());
      const { timeout = limits.cell, totalTimeout = limits.notebook } = this.#options;
      try {
        const { notebook, files } = submission;
        const options = { ...this.#options, timeout, totalTimeout, files, free, same: same && new Set(same) };
        return await gradeNotebook(notebook!, judge, this.#pool, options);
      } catch (error) {
        return troubled(this.#assignment, error);
      }
    });
  }

  async end(): Promise<void> {
    await Promise.all([...this.#judges].map((judge) => judge.end()));
    await this.#pool.end();
  }

  async #withJudge<T>(work: (judge: Judge) => Promise<T>): Promise<T> {
    let judge = this.#idle.pop();
    if (!judge) {
      judge = await Judge.start(this.#assignment, this.#options);
      this.#judges.add(judge);
    }
    try {
      return await work(judge);
    } finally {
      this.#idle.push(judge);
    }
  }
}

/** The grader's own trouble with one student is that student's reason, and nobody else's. */
function troubled(assignment: Assignment, error: unknown): Grade {
  const message = error instanceof Error ? error.message : String(error);
  const words = message
    .trim()
    .replace(/\s*\n\s*/g, " ")
    .slice(0, 500);
  return ungraded(assignment, `it could not be graded: ${words}`);
}

/** The packages that the teacher's cells import: loaded before a student's cells ask for them. */
function modulesOf(assignment: Assignment): string[] {
  const names = new Set<string>();
  for (const { cell_type, source } of assignment.notebook.cells) {
    if (cell_type !== "code") continue;
    for (const [, name] of textOf(source).matchAll(/^import\s[^"']*["'](slimlab\/[\w-]+)["']/gm))
      names.add(name);
  }
  return [...names];
}

/** What the tasks of a run have in common. */
interface GradeStart {
  path: string;
  notebook: Assignment["notebook"];
  options: Pick<BenchOptions, "timeout" | "totalTimeout" | "outputLimit" | "all" | "limits">;
}

/** What a worker is asked. */
type GradeQuestion = { ask: "baseline" } | { ask: "grade"; submission: Submission; baseline: Baseline };

/** The kind of a queue's tasks that are submissions. */
export const gradeKind = "grade";

/** Other machines' bench. */
export class QueueBench implements Bench {
  /** Tasks that lie on the queue at a time: enough for many workers, and not the whole class in the server's memory. */
  readonly places = 128;
  readonly #assignment: Assignment;
  readonly #options: BenchOptions;
  readonly #sender: Sender;
  #baseline: Promise<Baseline> | undefined;

  private constructor(assignment: Assignment, options: BenchOptions, sender: Sender) {
    this.#assignment = assignment;
    this.#options = options;
    this.#sender = sender;
    if (options.baseline) this.#baseline = Promise.resolve(options.baseline);
  }

  static async open(
    url: string,
    assignment: Assignment,
    options: BenchOptions,
    onNotice?: (notice: string) => void,
  ): Promise<QueueBench> {
    const { timeout, totalTimeout, outputLimit, all, limits } = options;
    const start: GradeStart = {
      path: basename(assignment.path),
      notebook: assignment.notebook,
      options: { timeout, totalTimeout, outputLimit, all, limits },
    };
    return new QueueBench(assignment, options, await Sender.open(url, gradeKind, start, { onNotice }));
  }

  async grade(submission: Submission): Promise<Grade> {
    this.#baseline ??= this.#ask<Baseline>({ ask: "baseline" }).then(async (baseline) => {
      await this.#options.onBaseline?.(baseline);
      return baseline;
    });
    try {
      return await this.#ask<Grade>({ ask: "grade", submission, baseline: await this.#baseline });
    } catch (error) {
      if (error instanceof QueueLostError || this.#options.signal?.aborted) throw error;
      return troubled(this.#assignment, error);
    }
  }

  #ask<Answer>(question: GradeQuestion): Promise<Answer> {
    const { signal } = this.#options;
    return unlessAborted(this.#sender.ask<Answer>(question), signal, () => new Error("interrupted"));
  }

  end(): Promise<void> {
    return this.#sender.close();
  }
}

/** What a worker does with submissions. */
export function gradeDesk({ isolation, image }: Pick<LocalOptions, "isolation" | "image">) {
  return async ({ path, notebook, options }: GradeStart, places: number): Promise<Desk> => {
    const bench = new LocalBench(await assignmentOf(notebook, path), {
      ...options,
      isolation,
      image,
      places,
    });
    return {
      answer: (question: GradeQuestion) =>
        question.ask === "baseline" ? bench.baseline() : bench.grade(question.submission, question.baseline),
      end: () => bench.end(),
    } as Desk;
  };
}
