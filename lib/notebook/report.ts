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

/** One notebook of a run. */
export interface ChapterReport {
  /** Relative to the folder of notebooks, with slashes. */
  notebook: string;
  language: Language;
  title: string;
  status: Status;
  seconds: number;
  /** Code cells in the notebook that are not empty, and how many of them ran to their end. */
  cells: number;
  executed: number;
  failure?: Failure;
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
