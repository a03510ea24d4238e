// What the two threads of the kernel say to each other: the server (sockets) and the main thread (the user's code).
import type { CellRequest, FromCells, Published, ToCells } from "../run/exchange.ts";
import type { CheckMode } from "../types/check.ts";

/** A cell, ready to run. */
export interface RunRequest extends CellRequest {
  map: { mappings: string };
  /** Expressions (JavaScript by now) to evaluate after it. */
  expressions: Record<string, string>;
  /** The debugger is on, and may want to stop where an error is thrown. */
  debug: boolean;
}

export type ToMain = ToCells | RunRequest | { type: "ping"; ping: number } | { type: "exit" };

/** What is to be published, and its size in bytes, roughly: counted in the backlog. */
export type SizedPublished = Published & { size: number };

export type ToServer =
  | FromCells
  | SizedPublished
  | { type: "up" }
  /** The main thread is ready for the process to end. */
  | { type: "bye" };

/** The numbers that both threads see at once. */
export const shared = {
  /** Bytes of output on the way to the sockets: past a limit the cell waits, so that none is lost. */
  backlog: 0,
  /** Raised by one for each answer to `prompt()`. */
  input: 1,
  /** Where the user's code is, for an interrupt: see `guard` below. */
  guard: 2,
  /** Not 0 while the person waits for what runs to end: see `interrupting` below. */
  interrupting: 3,
  /** Not 0 while text is held back on the main thread: then another number each time. */
  held: 4,
  /**
   * How many operations of TensorFlow.js the last cell has begun and ended: odd amid one. The next one throws when the
   * person waits for the end.
   */
  operations: 5,
  /** Not 0 once the last cell has come by a place where code of cells ends itself: waits, ticks, microtasks. */
  comesBy: 6,
  length: 7,
} as const;

/** Values of `shared.guard`. */
export const guard = {
  /** The user's code does not run inside the part that SIGINT stops. */
  outside: 0,
  /** It does: SIGINT would stop it and nothing else. */
  inside: 1,
  /** The server has sent SIGINT: the main thread must not leave that part before it arrives. */
  struck: 2,
} as const;

/** Values of `shared.interrupting`: code of cells that comes by ends itself, which no cut from outside does as well. */
export const interrupting = {
  no: 0,
  /** Cells that run. */
  running: 1,
  /** Also what goes on of cells that have ended: it holds up the rest. */
  all: 2,
} as const;

/** Output on the way at which a cell begins to wait. */
export const backlogLimit = 8 << 20;

export interface ServerData {
  connectionFile: string;
  javascript: boolean;
  check: CheckMode;
  folder: string;
  shared: Int32Array;
  inputPort: import("node:worker_threads").MessagePort;
}
