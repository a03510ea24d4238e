// What has been graded, a line each, so that a grader that was ended goes on where it was.
import { createHash } from "node:crypto";
import { type FileHandle, mkdir, open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { textOf } from "../notebook/notebook.ts";
import { slimlabVersion } from "../util/version.ts";
import type { Assignment } from "./assignment.ts";
import type { Baseline } from "./baseline.ts";
import type { Grade } from "./grades.ts";
import type { Submission } from "./submissions.ts";

/** A grade of an earlier run. */
interface Known {
  grade: Omit<Grade, "notebook">;
  prints?: number[];
}

/** What an earlier run has found of the assignment, as JSON holds it. */
interface KnownBaseline {
  free: [string, string[]][];
  baseline: Omit<Baseline, "free">;
}

/** The grades of a folder. */
export class Store {
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

  /** What an earlier run has found of the assignment. */
  get baseline(): Baseline | undefined {
    const known = this.#known.get(`baseline ${this.#key}`) as unknown as KnownBaseline | undefined;
    if (!known) return undefined;
    return { ...known.baseline, free: new Map(known.free.map(([name, cases]) => [name, new Set(cases)])) };
  }

  async setBaseline({ free, ...baseline }: Baseline): Promise<void> {
    const cases = [...free].map(([name, passing]) => [name, [...passing]]);
    const entry = { key: `baseline ${this.#key}`, free: cases, baseline };
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
