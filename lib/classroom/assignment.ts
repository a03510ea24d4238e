// The teacher's notebook, run in a kernel of its own that judges what students' notebooks give. The student's process sees
// neither the checks nor what they compare with.
import { createHash, randomBytes } from "node:crypto";
import { dirname, join, resolve } from "node:path";
import { type KernelClient, startKernel } from "../kernel/client.ts";
import { type Notebook, readNotebook, textOf } from "../notebook/notebook.ts";
import { run } from "../notebook/run.ts";
import { givenName, withGiven } from "./border/given.ts";
import { withInPlaceCalls } from "./border/in-place.ts";
import { type Verdict, verdictMime } from "./border/judge.ts";
import { type CheckCell, checkCells } from "./exercises.ts";
import type { Part } from "./parts.ts";
import { type CellFacts, factsOf, sliceFor } from "./slice.ts";
import { isSolution } from "./solutions.ts";

/** A teacher's notebook that has exercises. */
export interface Assignment {
  path: string;
  notebook: Notebook;
  cells: CheckCell[];
  facts: Map<number, CellFacts>;
}

/**
 * Reads the teacher's notebook.
 *
 * @throws Error that names the file, where it is no notebook or has no exercise
 */
export async function readAssignment(path: string): Promise<Assignment> {
  return assignmentOf(await readNotebook(path), path);
}

/** As {@link readAssignment}, of a notebook in memory. */
export async function assignmentOf(notebook: Notebook, path: string): Promise<Assignment> {
  const cells = await checkCells(notebook);
  const facts = await factsOf(notebook);
  for (const [index, { cell_type, source }] of notebook.cells.entries()) {
    if (
      cell_type === "code" &&
      textOf(source).includes("check(") &&
      !facts.has(index) &&
      !isSolution(notebook.cells[index])
    ) {
      throw new Error(`${path}, cell ${index + 1} calls check and cannot be read as TypeScript`);
    }
  }
  if (cells.length === 0) {
    throw new Error(`${path} has no exercises: no cell calls check("name", …) of slimlab/classroom`);
  }
  const seen = new Set<string>();
  for (const { names } of cells) {
    for (const name of names) {
      if (seen.has(name)) throw new Error(`${path} has two exercises of the name ${JSON.stringify(name)}`);
      seen.add(name);
    }
  }
  return { path, notebook, cells, facts };
}

const moduleUrl = (name: string) => new URL(`./border/${name}.js`, import.meta.url).href;
const desk = (name: string) => `globalThis[Symbol.for(${JSON.stringify(name)})]`;

/** The code by which a student's kernel gets ready to be asked. */
export const prepareStudent = `await import(${JSON.stringify(moduleUrl("student"))}); undefined`;

const thunks = (names: Iterable<string>) =>
  `{ ${[...names].map((name) => `${JSON.stringify(name)}: () => ${name}`).join(", ")} }`;

/** The code by which a student's kernel answers for a cell's names. */
export function serveCode(socket: string, names: string[]): string {
  return `await ${desk("slimlab.border")}(${JSON.stringify(socket)}, ${thunks(names)})`;
}

/** The code by which a kernel tells the fingerprints of values. */
export function fingerprintsCode(names: Iterable<string>): string {
  return `(await import(${JSON.stringify(moduleUrl("fingerprints"))})).fingerprints(${thunks(names)})`;
}

/** The kernel that judges. */
export class Judge {
  readonly assignment: Assignment;
  readonly #timeout: number;
  #kernel: KernelClient | undefined;
  #whole = false;
  /** Where the kernel listens. */
  #socket = "";

  private constructor(assignment: Assignment, timeout: number) {
    this.assignment = assignment;
    this.#timeout = timeout;
  }

  /** Starts the kernel and runs what of the teacher's notebook the checks need. */
  static async start(assignment: Assignment, options: { timeout?: number } = {}): Promise<Judge> {
    const judge = new Judge(assignment, options.timeout ?? 600);
    await judge.#ready();
    return judge;
  }

  async #ready(): Promise<KernelClient> {
    if (this.#kernel) return this.#kernel;
    const { notebook, path, facts, cells } = this.assignment;
    const needed = new Set<string>();
    for (const cell of cells) for (const name of await checkNeeds(cell, facts)) needed.add(name);
    const slice = sliceFor(withoutSolutions(facts, notebook), needed);
    for (const whole of this.#whole ? [true] : [false, true]) {
      const kernel = await startKernel({
        cwd: dirname(resolve(path)),
        args: ["--check=off"],
        // What an earlier class has computed would make the original seem faster than a student's work can be.
        env: { SLIMLAB_COMPLETION: "off", SLIMLAB_STEPS: "off" },
      });
      try {
        await kernel.execute(`await import(${JSON.stringify(moduleUrl("judge"))}); undefined`, {
          silent: true,
        });
        const { report } = await run(notebook, {
          name: path,
          kernel,
          timeout: this.#timeout,
          allowErrors: whole,
          only: (cell, index) => !isSolution(cell) && (whole || slice.has(index)),
        });
        if (report.status === "invalid") throw new Error(report.failure!.message);
        if (report.status === "ok" || whole) {
          this.#whole = whole;
          this.#kernel = kernel;
          this.#socket = "";
          void kernel.exited.then(() => {
            if (this.#kernel === kernel) this.#kernel = undefined;
          });
          return kernel;
        }
        await kernel.shutdown();
      } catch (error) {
        await kernel.shutdown();
        throw error;
      }
    }
    throw new Error(`${path} does not run`);
  }

  /** Waits for the student's kernel in a folder of its sandbox, and gives the socket's path. Waits there until it is elsewhere. */
  async listen(folder: string): Promise<string> {
    const kernel = await this.#ready();
    if (dirname(this.#socket) === folder) return this.#socket;
    // A name that nobody knows before: no file can lie in its place.
    const socket = join(folder, `b${randomBytes(4).toString("hex")}`);
    const result = await kernel.execute(`${desk("slimlab.judge")}.listen(${JSON.stringify(socket)})`);
    if (result.status !== "ok") throw new Error(String(result.content.evalue));
    this.#socket = socket;
    return socket;
  }

  /**
   * Judges a part of an exercise cell with the values that the student's kernel serves at the socket where the judge listens.
   */
  async judge(part: Part, seconds: number): Promise<Verdict> {
    const kernel = await this.#ready();
    const limit = new AbortController();
    // The judge's own work, such as training, counts too; then it may be that something must end it from outside.
    const timer = setTimeout(() => limit.abort(), Math.min(seconds * 1000 + 5000, 2e9));
    try {
      const result = await kernel.execute(judgeCode(part, seconds), {
        signal: limit.signal,
      });
      for (const output of result.outputs) {
        if (output.output_type === "execute_result" && output.data[verdictMime]) {
          return output.data[verdictMime] as Verdict;
        }
      }
      const error = limit.signal.aborted
        ? `it took more than ${seconds} s`
        : String(result.content.evalue ?? "no answer");
      return { checks: [], error, missing: [], ...(limit.signal.aborted && { late: true }) };
    } catch (error) {
      // What the student gave was too much for the judge: the next one gets a new judge.
      await this.end();
      const why = limit.signal.aborted
        ? `it took more than ${seconds} s`
        : (error as Error).message.split("\n")[0];
      return { checks: [], error: why, missing: [], late: true };
    } finally {
      clearTimeout(timer);
    }
  }

  async end(): Promise<void> {
    const kernel = this.#kernel;
    this.#kernel = undefined;
    await kernel?.shutdown();
  }
}

/** An exercise's code, with the student's values in the place of its own. */
function judgeCode({ given, imports, code }: Part, seconds: number): string {
  const judge = desk("slimlab.judge");
  const body = withGiven(withInPlaceCalls(code, given, `${judge}.inPlace`), given);
  const key = createHash("sha256").update(`${imports}\n${code}`).digest("hex");
  const question = JSON.stringify({ key, names: given, seconds });
  return `${imports}await ${judge}.run(${question}, async (${givenName}) => {\n${body}})`;
}

/** The names of other cells that an exercise's checks use. */
async function checkNeeds(cell: CheckCell, facts: Map<number, CellFacts>): Promise<string[]> {
  const names = facts.get(cell.index);
  if (!names) return [];
  const given = new Set(cell.given);
  return [...names.references].filter((name) => !given.has(name));
}

function withoutSolutions(facts: Map<number, CellFacts>, notebook: Notebook): Map<number, CellFacts> {
  return new Map([...facts].filter(([index]) => !isSolution(notebook.cells[index])));
}
