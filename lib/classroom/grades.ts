// What grading is told, and what it gives.
import type { KernelClient } from "../kernel/client.ts";
import type { Notebook } from "../notebook/notebook.ts";
import type { Failure } from "../notebook/report.ts";
import type { Language } from "../texts/index.ts";
import type { CheckCase } from "./check.ts";
import type { Isolation } from "./isolation.ts";

/** What an exercise got. */
export interface ExerciseGrade {
  name: string;
  passed: boolean;
  /** Points of the cases that passed, and of all. */
  points: number;
  of: number;
  cases: (CheckCase & { hidden?: boolean })[];
  /** Why there is no result, or not a whole one. */
  reason?: string;
  /** What to read again, where a case fails. */
  read?: string;
}

/** What a notebook got. */
export interface Grade {
  points: number;
  of: number;
  solved: number;
  exercises: ExerciseGrade[];
  /** Why nothing could be graded. */
  reason?: string;
  /** What went wrong in its cells. */
  failures: Failure[];
  /** How the student's code was kept apart; none where nothing was run. */
  isolation?: Isolation;
  /** How much was run: the cells that the exercises need, or all. */
  ran: "needed" | "all" | "nothing";
  seconds: number;
  /** Seconds of its slowest cell, or of judging its slowest exercise. */
  slowest: number;
  /** The language of the notebook, and so of what its student is told. */
  language?: Language;
  /** The notebook with what its cells put out. */
  notebook?: Notebook;
}

/** Cases, by exercise. */
export type Free = Map<string, Set<string>>;

/** Options of grading, the same for all of a class. */
export interface GradingOptions {
  /** Seconds that a cell, or judging an exercise, may take. Default 600. */
  timeout?: number;
  /** Seconds that a notebook's cells, and judging them, may take together, however often they run. Default 1800. */
  totalTimeout?: number;
  /** Characters that a notebook may put out. Default 50 million. */
  outputLimit?: number;
  /** Runs every cell, also those that no exercise needs. */
  all?: boolean;
  signal?: AbortSignal;
}

/** Options of grading a notebook. */
export interface GradeOptions extends GradingOptions {
  /** The cases that pass before any work is done. */
  free?: Free;
  /** Names of the teacher's that are as they should be however little of his notebook runs (see thin.ts). */
  same?: ReadonlySet<string>;
  /** Called, and waited for, when cells have run and exercises are judged, while the student's kernel is still there. */
  whileOpen?: (kernel: KernelClient) => Promise<void>;
  /** Files that lie beside the notebook, by their path from there. */
  files?: Map<string, Uint8Array>;
}
