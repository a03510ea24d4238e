// One student's notebook on its way through kernels: its cells run, and each exercise is judged where its names are there.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { type Notebook, textOf } from "../notebook/notebook.ts";
import type { Failure } from "../notebook/report.ts";
import { codeCells, run } from "../notebook/run.ts";
import { literally } from "../util/pattern.ts";
import { type Judge, serveCode } from "./assignment.ts";
import type { Verdict } from "./border/judge.ts";
import { blanked, isImport, statementsOf } from "./code.ts";
import { bareCheck, type CheckCell } from "./exercises.ts";
import type { GradeOptions } from "./grades.ts";
import type { Isolation } from "./isolation.ts";
import type { Part } from "./parts.ts";
import type { Sandbox } from "./sandbox.ts";
import { assignedBy, type CellFacts, declaredBy, sliceFor } from "./slice.ts";

/** Where sandboxes come from. */
export interface SandboxSource {
  readonly isolation: Isolation;
  take(): Promise<Sandbox>;
  /** Ends a sandbox that was taken: its processes at once, the rest before the source itself has ended. */
  giveBack(sandbox: Sandbox): void;
}

/** Code of a notebook's cells, by their place. */
export type Sources = ReadonlyMap<number, string>;

/** Exercises that wait for their verdict. */
export interface Pending {
  cell: CheckCell;
  part: Part;
  verdict?: Verdict;
  /** Something stood in its way that running more may mend. */
  open: boolean;
}

/** A function of the student's ended the kernel while it was asked. */
class KernelGone extends Error {}

/** One student's notebook on its way through kernels. */
export class Student {
  readonly failures: Failure[] = [];
  readonly notebook: Notebook;
  readonly #facts: Map<number, CellFacts>;
  readonly #judge: Judge;
  readonly #sandboxes: SandboxSource;
  readonly #options: GradeOptions;
  /** Cells that are not the teacher's. */
  readonly #own: Set<number>;
  /** Cells that have ended a kernel: they are not run again. */
  readonly #deadly = new Set<number>();
  /** When the time of all its attempts together is over. */
  readonly #deadline: number;
  /** Seconds of the slowest cell, or of judging the slowest exercise. */
  slowest = 0;

  /** @param own the places of cells that are not the teacher's */
  constructor(
    notebook: Notebook,
    facts: Map<number, CellFacts>,
    own: Set<number>,
    judge: Judge,
    sandboxes: SandboxSource,
    options: GradeOptions,
  ) {
    this.notebook = notebook;
    this.#facts = facts;
    this.#own = own;
    this.#judge = judge;
    this.#sandboxes = sandboxes;
    this.#options = options;
    this.#deadline = performance.now() + 1000 * ((options.totalTimeout ?? 1800) || Infinity);
  }

  /** Seconds that are left of what it may take. */
  get left(): number {
    return (this.#deadline - performance.now()) / 1000;
  }

  /**
   * Runs cells and judges each exercise after the last cell that gives its names.
   *
   * @param cells what runs: by the place of each cell, its code or what of it is needed
   */
  async attempt(pending: Pending[], cells: Sources): Promise<void> {
    for (let round = 0; round < 4; round++) {
      this.failures.length = 0;
      const sandbox = await this.#sandboxes.take();
      let lost: number | undefined;
      try {
        await Promise.all([
          copyFiles(this.#options.files, sandbox.work),
          this.#judge.listen(sandbox.sockets),
        ]);
        lost = await this.#runAndJudge(sandbox, pending, cells);
      } finally {
        // Nobody waits for a verdict until its sandbox is gone.
        this.#sandboxes.giveBack(sandbox);
      }
      if (lost === undefined || this.#options.signal?.aborted) return;
      this.#deadly.add(lost);
      if (pending.every(({ open }) => !open) || this.left <= 0) return;
    }
  }

  /** Gives the place of the cell that ended the kernel, -1 where something else did. */
  async #runAndJudge(sandbox: Sandbox, pending: Pending[], cells: Sources): Promise<number | undefined> {
    const { timeout, totalTimeout = 1800, outputLimit = 50_000_000, signal } = this.#options;
    const after = new Map<number, Pending[]>();
    for (const one of pending.filter(({ open }) => open)) {
      const last = this.#lastOf(one, cells);
      if (last !== undefined) after.set(last, [...(after.get(last) ?? []), one]);
    }
    const runnable = codeCells(this.notebook).map(({ number }) => number - 1);
    const deadly = [...this.#deadly].map((index) => this.#deadlyFailure.get(index)!).filter(Boolean);
    this.failures.push(...deadly);
    let begun = performance.now();
    const ran = await run(this.#stripped(pending, cells), {
      kernel: sandbox.kernel,
      timeout,
      totalTimeout,
      deadline: this.#deadline,
      outputLimit,
      signal,
      allowErrors: true,
      only: (_cell, index) => cells.has(index) && runnable.includes(index) && !this.#deadly.has(index),
      onCell: () => {
        this.slowest = Math.max(this.slowest, (performance.now() - begun) / 1000);
        begun = performance.now();
      },
      afterCell: async (index) => {
        for (const one of after.get(index) ?? []) {
          if (!(await this.#judgeOne(sandbox, one))) throw new KernelGone();
        }
        begun = performance.now();
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
      const again = one.open || (!isSettled(one.verdict) && this.#changesLater(one, cells));
      if (again && !(await this.#judgeOne(sandbox, one))) return -1;
    }
    await this.#options.whileOpen?.(sandbox.kernel);
    return undefined;
  }

  /** The notebook without its checks, and without what only they use: the judge computes that with the student's values. */
  #stripped(pending: Pending[], needed: Sources): Notebook {
    const cells = this.notebook.cells.map((cell, index) => {
      if (cell.cell_type !== "code") return cell;
      const source = needed.get(index) ?? textOf(cell.source);
      const own = pending.filter((one) => this.#lastOf(one, needed) === index);
      const text =
        this.#options.all || own.length === 0 || !this.#isLast(index, own, needed)
          ? source
          : withoutRepeated(source, own[0].cell);
      return { ...cell, source: withoutChecks(text) };
    });
    return { ...this.notebook, cells };
  }

  /** No other exercise, and no cell that runs after it, needs a cell that checks its own. */
  #isLast(index: number, own: Pending[], needed: Sources): boolean {
    const declared = this.#facts.get(index)?.declared ?? new Set();
    const given = new Set(own.flatMap(({ part }) => part.given));
    for (const [other, { references }] of this.#facts) {
      if (other === index || !needed.has(other) || isTests(textOf(this.notebook.cells[other].source)))
        continue;
      for (const name of references) if (declared.has(name) && !given.has(name)) return false;
    }
    return true;
  }

  readonly #deadlyFailure = new Map<number, Failure>();

  #lastOf({ cell, part }: Pending, cells: Sources): number | undefined {
    let last: number | undefined;
    for (const index of [...cells.keys()].sort((a, b) => a - b)) {
      const declared = this.#facts.get(index)?.declared;
      if (!part.given.some((name) => declared?.has(name))) continue;
      // The cell that has this exercise's check, if there is one, is its place; else the last one.
      if (this.#checks(index, cell, part)) return index;
      last = index;
    }
    return last;
  }

  /** A cell after an exercise's place gives its names other values, or what they need; a cell of the student's own may. */
  #changesLater(one: Pending, cells: Sources): boolean {
    const place = this.#lastOf(one, cells) ?? -1;
    const needed = sliceFor(this.#facts, one.part.given);
    return [...cells.keys()].some((index) => index > place && (needed.has(index) || this.#own.has(index)));
  }

  #checks(index: number, cell: CheckCell, { names }: Part): boolean {
    const { id, source } = this.notebook.cells[index];
    if (cell.id !== undefined && id === cell.id) return true;
    return names.some((name) =>
      new RegExp(`check\\(\\s*["'\`]${literally(name)}["'\`]`).test(textOf(source)),
    );
  }

  /** False where the student's kernel is gone. */
  async #judgeOne(sandbox: Sandbox, one: Pending): Promise<boolean> {
    // Never so little that nobody could answer.
    const seconds = Math.min((this.#options.timeout ?? 600) || 2e6, Math.max(2, this.left));
    const socket = await this.#judge.listen(sandbox.sockets);
    const limit = new AbortController();
    const serving = sandbox.kernel.execute(serveCode(socket, one.part.given), { signal: limit.signal }).then(
      () => true,
      () => false,
    );
    const begun = performance.now();
    const verdict = await this.#judge.judge(one.part, seconds);
    this.slowest = Math.max(this.slowest, (performance.now() - begun) / 1000);
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
  reasonFor({ cell, part }: Pending): string | undefined {
    const { given } = part;
    for (const { number } of codeCells(this.notebook)) {
      const facts = this.#facts.get(number - 1);
      const source = textOf(this.notebook.cells[number - 1].source);
      const isIts = facts
        ? given.some((name) => facts.declared.has(name))
        : this.#checks(number - 1, cell, part) ||
          given.some((name) => new RegExp(`\\b${literally(name)}\\b`).test(source));
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

/** A cell without its own checks: what they say is not asked for, and the rest runs without them. Lines stay where they are. */
export function withoutChecks(source: string): string {
  if (!source.includes("check(")) return source;
  let text = source;
  // From the end, so that places before it stay true.
  for (const { start, end, node } of (statementsOf(source) ?? []).reverse()) {
    if (bareCheck(node) !== undefined) text = blanked(text, start, end);
  }
  return text;
}

/** Nothing but checks and what they import: the students' edition has such cells, and they change nothing. */
export function isTests(source: string): boolean {
  const rest = withoutChecks(source);
  return rest !== source && (statementsOf(rest) ?? []).every(({ node }) => isImport(node));
}

/** A cell without the last of its statements that are the original's and not the student's to give. */
function withoutRepeated(source: string, { parts }: CheckCell): string {
  const bare = (text: string) => text.replace(/\s+/g, "");
  const judged = new Set<string>();
  for (const { code } of parts) {
    const statements = statementsOf(code) ?? [];
    const declared = new Set(statements.flatMap(({ node }) => [...declaredBy(node)]));
    for (const { start, end, node } of statements) {
      // What changes something stays, but for a loop that fills what is declared here.
      const fills = () => /^For/.test(node.type) && [...assignedBy(node)].every((name) => declared.has(name));
      if (node.type === "VariableDeclaration" || fills()) judged.add(bare(code.slice(start, end)));
    }
  }
  let [text, shorter] = [source, source];
  for (const { start, end, node } of (statementsOf(source) ?? []).reverse()) {
    const statement = source.slice(start, end);
    const isJudged = judged.has(bare(statement));
    // What is shown at the end may well be what is left out.
    if (!isJudged && bareCheck(node) === undefined && !/^console\s*\./.test(statement)) break;
    shorter = blanked(shorter, start, end);
    if (isJudged) text = shorter;
  }
  return text;
}

/** Running more cells cannot make it better. */
export function isSettled(verdict: Verdict | undefined): boolean {
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

function pause(milliseconds: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds, undefined));
}
