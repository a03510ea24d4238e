// What the kernel and the worker that runs the cells say to each other.
import type { CellRequest, FromCells, Published, ToCells } from "../run/exchange.ts";

/** A cell, ready to run. */
export interface RunRequest extends CellRequest {
  /** Names that must be there before it runs: see `CellCode`. */
  reset: string[];
  mappings: string;
  /** Expressions to evaluate after it, as the bodies of functions; a text where one could not be read. */
  expressions: Record<string, { code: string } | string>;
}

/** The first message to a worker. */
export interface Start {
  type: "start";
  /** What modules are called in cells, and where they lie. */
  modules: Record<string, string>;
  /** Where relative imports start. */
  base: string;
  /** Some numbers and the room for an answer, where the page is isolated: see `shared`. */
  shared?: SharedArrayBuffer;
}

export type ToWorker =
  | ToCells
  | RunRequest
  | Start
  /** Modules that cells will ask for. */
  | { type: "ahead"; modules: string[] }
  | { type: "members"; ask: number; expression: string };

export type ToKernel =
  | FromCells
  | Published
  /** The worker is there; these are its globals, its own and its prototypes'. */
  | { type: "up"; globals: string[] }
  | { type: "members"; ask: number; names: { name: string; type: string }[] };

/** Numbers at the start of the memory that both sides see at once; the answer's bytes follow. */
export const shared = {
  /** Bytes of the answer to `input()`; `noAnswer` while there is none. */
  answer: 0,
  /** Not 0 when the cell that runs is to end. */
  interrupt: 1,
  /** When the cell that runs last went on after a wait (see `beatNow`); 0 when it has not waited. */
  beat: 2,
  bytes: 12,
  noAnswer: -1,
  /** The question was interrupted. */
  cutOff: -2,
  size: 1 << 16,
} as const;

/** The numbers in it. */
export function numbersIn(memory: SharedArrayBuffer): Int32Array {
  return new Int32Array(memory, 0, shared.bytes / Int32Array.BYTES_PER_ELEMENT);
}

/** Milliseconds that page and worker count alike, in 32 bits. */
export function beatNow(): number {
  return Math.floor(performance.timeOrigin + performance.now()) | 0;
}
