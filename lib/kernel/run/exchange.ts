// What the side that runs the cells and the side that talks to clients say to each other: two threads on Node, a worker and
// its page in a browser. What only one of the two places needs stands in node/link.ts and web/link.ts.
import type { Content, Origin } from "../protocol/messages.ts";
import type { ErrorContent, ExpressionResult, PublishedType } from "../protocol/reference.ts";

/** A cell, ready to run. */
export interface CellRequest {
  type: "run";
  run: number;
  origin: Origin;
  /** The cell's name in stack traces: `Cell[3]`. */
  name: string;
  /** What to call it before a person: `Cell [3]`. */
  title: string;
  count: number;
  code: string;
  source: string;
  showsResult: boolean;
}

/** A client's message to a comm. */
export interface CommRequest {
  type: "comm";
  origin: Origin;
  msgType: string;
  content: Content;
  metadata: Content;
  buffers: Uint8Array[];
}

/** To the side that runs the cells. */
export type ToCells = CommRequest | { type: "interrupt"; ping: number };

/** What is to be published. */
export interface Published {
  type: "publish";
  origin: Origin;
  msgType: PublishedType;
  content: Content;
  metadata?: Content;
  buffers?: Uint8Array[];
}

/** From the side that runs the cells, beside {@link Published}. */
export type FromCells =
  | { type: "stream"; origin: Origin; name: "stdout" | "stderr"; text: string }
  | { type: "done"; run: number; error?: ErrorContent; expressions?: Record<string, ExpressionResult> }
  | { type: "handled"; origin: Origin }
  | { type: "pong"; ping: number }
  | { type: "input"; origin: Origin; prompt: string; password: boolean };
