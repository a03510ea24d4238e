// What a run was: the contents of run.json.
import type { Language } from "./notebook.ts";

/** How a notebook ended: `failed` by an error in a cell, `timeout` in a cell, `died` with its process, `invalid` before any cell ran. */
export type Status = "ok" | "failed" | "timeout" | "died" | "invalid";

/** Where and how a notebook failed. */
export interface Failure {
  /** Number of the cell in the notebook, from 1, prose included; 0 where no cell is at fault. */
  cell: number;
  /** Line in the cell, from 1, where it is known. */
  line?: number;
  name: string;
  message: string;
  traceback: string[];
}

/** How the cells of one notebook went. */
export interface CellsReport {
  status: Status;
  seconds: number;
  /** Code cells in the notebook that are not empty, and how many of them ran to their end. */
  cells: number;
  executed: number;
  /** The first failure. */
  failure?: Failure;
  /** Every failure, where the run went on after the first. */
  failures?: Failure[];
}

/** One notebook of a run. */
export interface ChapterReport extends CellsReport {
  /** Relative to the folder of notebooks, with slashes. */
  notebook: string;
  language: Language;
  title: string;
  /** The edition in the other language that ran: the code is the same, so the results, the time and the failure are its. */
  resultsOf?: string;
}

/** A whole run. */
export interface RunReport {
  slimlab: string;
  node: string;
  /** Which backend trains the networks, in a line. */
  backend?: string;
  started: string;
  seconds: number;
  chapters: ChapterReport[];
}

/** A notebook's result for the terminal: one line, and for a failure where and why. */
export function describe(report: ChapterReport): string {
  const { status, notebook, seconds, executed, cells, failure, resultsOf } = report;
  if (resultsOf) return `${status.padEnd(7)} ${notebook}  has the code and the results of ${resultsOf}`;
  if (status === "ok") return `ok      ${notebook}  ${seconds.toFixed(1)} s, ${cells} cells`;
  const place = failure?.cell ? `, cell ${failure.cell}${failure.line ? `, line ${failure.line}` : ""}` : "";
  const what = [failure?.name, failure?.message].filter(Boolean).join(": ");
  const lines = [`${status.padEnd(7)} ${notebook}${place}: ${what}`];
  if (status !== "invalid") lines[0] += ` (${executed} of ${cells} cells ran, ${seconds.toFixed(1)} s)`;
  for (const line of failure?.traceback.join("\n").split("\n") ?? []) if (line) lines.push(`        ${line}`);
  return lines.join("\n");
}
