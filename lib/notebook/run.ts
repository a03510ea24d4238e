// Runs a notebook in memory: a Jupyter client like any other, over the kernel's real sockets. What passes here passes in
// JupyterLab. No file is read or written; what was put in stays as it is.
import {
  type ExecuteResult,
  type KernelClient,
  KernelDiedError,
  type StartOptions,
  startKernel,
} from "../kernel/client.ts";
import { checkNumber } from "../util/check.ts";
import { type Cell, checkKernel, type Notebook, type Output, textOf } from "./notebook.ts";
import type { CellsReport, Failure, Status } from "./report.ts";

/** Options of {@link run}. */
export interface RunOptions {
  /** What messages call the notebook. Default "the notebook". */
  name?: string;
  /** Seconds that a cell may take; 0 sets no limit. Default 600. */
  timeout?: number;
  /** Seconds that all cells may take together; 0, the default, sets no limit. */
  totalTimeout?: number;
  /** When that time is over, as performance.now() counts, where it began before this run. */
  deadline?: number;
  /** Characters that cells may put out, together; 0, the default, sets no limit. The kernel is ended beyond it. */
  outputLimit?: number;
  /** Goes on after a cell that fails or takes too long. */
  allowErrors?: boolean;
  /** How the kernel is started; or one that runs, which is left running. */
  kernel?: StartOptions | KernelClient;
  /** Whether a cell runs (by its place in `cells`). Default: each that has code and is not tagged skip-execution. */
  only?: (cell: Cell, index: number) => boolean;
  /** Ends the run: a kernel that was started here is stopped. */
  signal?: AbortSignal;
  /** Called, and waited for, after each cell that ran, with its place in `cells`. */
  afterCell?: (index: number) => Promise<void>;
  /** Called, and waited for, when all cells have run without trouble, while the kernel is still there. */
  whileOpen?: (kernel: KernelClient) => Promise<void>;
  /** Called as cells end, with the report so far and how many cells there are to run. */
  onCell?: (report: CellsReport, cells: number) => void;
}

/** What {@link run} gives back. */
export interface RunResult {
  /** A copy of the notebook with the outputs of this run and no others. */
  notebook: Notebook;
  report: CellsReport;
}

/** The report of a notebook that could not be run at all. */
export function invalidReport(message: string): CellsReport {
  const failure: Failure = { cell: 0, name: "", message, traceback: [] };
  return { status: "invalid", seconds: 0, cells: 0, executed: 0, failure, failures: [failure] };
}

/**
 * Runs a notebook's code cells in their order, in a kernel of its own unless one is given.
 *
 * What goes wrong in the notebook stands in the report; nothing of it is thrown.
 */
export async function run(source: Notebook, options: RunOptions = {}): Promise<RunResult> {
  checkNumber("timeout", options.timeout ?? 600, 0);
  checkNumber("totalTimeout", options.totalTimeout ?? 0, 0);
  const started = performance.now();
  const notebook = withoutOutputs(source);
  const cells = codeCells(notebook).filter(({ cell, number }) => options.only?.(cell, number - 1) ?? true);
  const report: CellsReport = { status: "ok", seconds: 0, cells: cells.length, executed: 0 };
  const invalid = (message: string) => ({
    notebook,
    report: { ...invalidReport(message), cells: cells.length },
  });
  try {
    checkKernel(options.name ?? "the notebook", source);
  } catch (error) {
    return invalid((error as Error).message);
  }
  let kernel: KernelClient;
  const given = options.kernel && "execute" in options.kernel ? options.kernel : undefined;
  try {
    kernel = given ?? (await startKernel(options.kernel as StartOptions | undefined));
  } catch (error) {
    return invalid(`the kernel did not start: ${(error as Error).message}`);
  }
  const stop = () => void kernel.shutdown();
  if (!given) options.signal?.addEventListener("abort", stop, { once: true });
  try {
    await runCells(kernel, cells, report, options);
    if (report.status === "ok" && !options.signal?.aborted) await options.whileOpen?.(kernel);
  } finally {
    options.signal?.removeEventListener("abort", stop);
    if (!given) await kernel.shutdown();
  }
  const language = (kernel.info as { language_info?: object }).language_info;
  if (language) notebook.metadata.language_info = language;
  report.seconds = rounded((performance.now() - started) / 1000);
  return { notebook, report };
}

/** A copy of a notebook in which no cell, of whatever kind, holds an output. */
export function withoutOutputs(source: Notebook): Notebook {
  const cells = source.cells.map(({ outputs: _, execution_count: __, ...cell }) => ({
    ...structuredClone(cell),
    ...(cell.cell_type === "code" && { outputs: [], execution_count: null }),
  }));
  return { ...source, metadata: structuredClone(source.metadata), cells };
}

/** A code cell that has something to run, and its number in the notebook, from 1. */
export interface NumberedCell {
  cell: Cell;
  number: number;
}

/** The code cells that have something to run, each with its number in the notebook. */
export function codeCells(notebook: Notebook): NumberedCell[] {
  return notebook.cells
    .map((cell, index) => ({ cell, number: index + 1 }))
    .filter(
      ({ cell }) =>
        cell.cell_type === "code" &&
        textOf(cell.source).trim() !== "" &&
        !cell.metadata.tags?.includes("skip-execution"),
    );
}

async function runCells(
  kernel: KernelClient,
  cells: NumberedCell[],
  report: CellsReport,
  options: RunOptions,
): Promise<void> {
  const end =
    options.deadline ?? (options.totalTimeout ? performance.now() + options.totalTimeout * 1000 : Infinity);
  const budget = { left: options.outputLimit || Infinity };
  for (const { cell, number } of cells) {
    if (options.signal?.aborted) return;
    const attempt = await runCell(kernel, cell, number, end, budget, options);
    options.onCell?.(report, cells.length);
    const { status, failure } = attempt;
    if (failure && status) {
      report.status = worse(report.status, status);
      report.failure ??= failure;
      report.failures = [...(report.failures ?? []), failure];
      const goesOn = options.allowErrors && !attempt.kernelLost;
      if (!goesOn) return;
    }
    if (status !== "timeout") report.executed++;
    await options.afterCell?.(number - 1);
  }
}

/** The first thing that went wrong names the run, but a lost kernel is more than a failed cell. */
function worse(before: Status, now: Status): Status {
  return before === "ok" || now === "died" ? now : before;
}

interface Attempt {
  status?: Status;
  failure?: Failure;
  /** Nothing more can run. */
  kernelLost?: boolean;
}

async function runCell(
  kernel: KernelClient,
  cell: Cell,
  number: number,
  end: number,
  budget: { left: number },
  options: RunOptions,
): Promise<Attempt> {
  const timeout = options.timeout ?? 600;
  const limit = new AbortController();
  const rest = end - performance.now();
  const milliseconds = Math.min(timeout > 0 ? timeout * 1000 : Infinity, rest);
  // Longer than a timer can count means: no limit.
  const timer = milliseconds < 2e9 ? setTimeout(() => limit.abort(), Math.max(0, milliseconds)) : undefined;
  let result: ExecuteResult | undefined;
  let trouble: Error | undefined;
  // Of a cell whose kernel dies there is no result, but what it put out until then is worth reading.
  const soFar: Output[] = [];
  try {
    result = await kernel.execute(textOf(cell.source), {
      signal: limit.signal,
      onMessage: ({ header: { msg_type }, content }) => {
        budget.left -= sizeOf(content);
        if (budget.left < 0) {
          if (kernel.pid !== undefined) kill(kernel.pid);
          return;
        }
        if (msg_type === "stream")
          soFar.push({ output_type: "stream", name: content.name, text: content.text });
        if (msg_type === "display_data") {
          soFar.push({ output_type: "display_data", data: content.data, metadata: content.metadata });
        }
      },
    });
  } catch (error) {
    trouble = error as Error;
  } finally {
    clearTimeout(timer);
  }
  const fail = (status: Status, name: string, message: string): Attempt => {
    const [headline, ...more] = message.split("\n");
    cell.outputs!.push({
      output_type: "error",
      ename: name,
      evalue: headline,
      traceback: [`${name}: ${headline}`, ...more],
    });
    const failure = { cell: number, name, message: headline, traceback: more };
    return { status, failure, kernelLost: trouble !== undefined };
  };
  cell.outputs = budget.left < 0 ? [] : ((result?.outputs as Output[] | undefined) ?? soFar);
  cell.execution_count = result?.executionCount ?? null;
  if (budget.left < 0) {
    trouble ??= new Error("ended");
    return fail("died", "OutputLimit", `the cells put out more than ${options.outputLimit} characters`);
  }
  if (limit.signal.aborted) {
    const what =
      milliseconds < timeout * 1000
        ? `the notebook took more than ${options.totalTimeout} s`
        : `the cell took more than ${timeout} s`;
    return fail("timeout", "Timeout", `${what}${trouble ? " and had to be ended by force" : ""}`);
  }
  if (trouble) {
    return fail("died", trouble instanceof KernelDiedError ? "KernelDied" : trouble.name, trouble.message);
  }
  if (result!.status === "ok" || cell.metadata.tags?.includes("raises-exception")) return {};
  return { status: "failed", failure: failureOf(result!, number) };
}

function failureOf(result: ExecuteResult, number: number): Failure {
  const error = result.outputs.find((output) => output.output_type === "error");
  const traceback = plainLines(error?.traceback ?? []);
  return {
    cell: number,
    line: lineOf(traceback, result.executionCount),
    name: error?.ename ?? "Error",
    message: error?.evalue ?? "the kernel gave no reason",
    traceback,
  };
}

/** The length of the texts in a message, near enough. */
function sizeOf(content: unknown): number {
  if (typeof content === "string") return content.length;
  if (typeof content !== "object" || content === null) return 8;
  let sum = 0;
  for (const value of Object.values(content)) sum += sizeOf(value);
  return sum;
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended already.
  }
}

/** The line in the cell that a traceback points at: the first place of its own cell, else its first place at all. */
function lineOf(traceback: string[], count: number | null): number | undefined {
  const text = traceback.join("\n");
  const own = new RegExp(`\\bcell \\[${count}\\], line (\\d+)`, "i").exec(text);
  const place = own ?? /\bcell \[\d+\], line (\d+)/i.exec(text);
  return place ? Number(place[1]) : undefined;
}

function plainLines(traceback: string[]): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: tracebacks come with colours
  return traceback.map((line) => line.replace(/\x1b\[[0-9;]*m/g, ""));
}

/** Seconds to two decimals. */
export function rounded(seconds: number): number {
  return Math.round(seconds * 100) / 100;
}
