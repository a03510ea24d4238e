// What the kernel's core needs of the place where it runs. It knows no socket and no thread: node/ joins it to those, a
// browser's worker may join it to a port, and the tests to a mock.
import type { Content, Message, Origin } from "./messages.ts";
import type {
  Completeness,
  ErrorContent,
  ExpressionResult,
  KernelInfo,
  Ports,
  PublishedType,
  ReplyContent,
  TypedMatch,
} from "./reference.ts";

/** A message's way out. */
export interface Transport {
  /** Sends in order. Never throws: a message that cannot be sent is told to `failed`. */
  send(
    channel: "shell" | "control" | "stdin" | "iopub",
    message: Message,
    fate?: { sent?(): void; failed?(error: Error): void },
  ): void;
  /** Resolves when what clients have sent so far has been handed to the kernel, as far as that can be known. */
  received(): Promise<void>;
  /** Resolves when nothing waits to be sent. */
  drained(): Promise<void>;
}

/** A cell that is to run. */
export interface Cell {
  source: string;
  /** Its name in stack traces: `Cell[3]`. */
  name: string;
  /** What to call it before a person: `Cell [3]`. */
  title: string;
  count: number;
  origin: Origin;
  /** Expressions to evaluate after it, by name. */
  expressions: Record<string, unknown>;
  /** Fires when the kernel is interrupted. */
  signal: AbortSignal;
}

/** How a cell ended. */
export interface CellEnd {
  error?: ErrorContent;
  expressions?: Record<string, ExpressionResult>;
}

/** What completes the word at a place, with offsets in UTF-16 units. */
export interface Completions {
  matches: string[];
  cursorStart: number;
  cursorEnd: number;
  metadata: { _jupyter_types_experimental?: TypedMatch[] };
}

export interface Inspection {
  markdown: string;
  plain: string;
}

/** What the interpreter tells the kernel, at any time. */
export interface Outputs {
  /** Text that was written; `sent` is called with its length when it has left. */
  stream(origin: Origin, name: "stdout" | "stderr", text: string, sent?: (characters: number) => void): void;
  publish(
    origin: Origin,
    type: PublishedType,
    content: Content,
    more?: { metadata?: Content; buffers?: Uint8Array[]; sent?: () => void },
  ): void;
  /** Asks the person; the answer goes to `Interpreter.answer`. */
  ask(origin: Origin, prompt: string, password: boolean): void;
}

/** Runs code, and knows what may be written. All offsets are UTF-16 units. */
export interface Interpreter {
  connect(outputs: Outputs): void;
  /** A client has come: what its first cell needs can be loaded. */
  warm(): void;
  execute(cell: Cell): Promise<CellEnd>;
  isComplete(source: string): Promise<Completeness>;
  complete(source: string, offset: number): Promise<Completions>;
  inspect(source: string, offset: number, detail: 0 | 1): Promise<Inspection | undefined>;
  /** Hands a comm's message to the code that listens; resolves when that has ended. */
  comm(origin: Origin, message: Message): Promise<void>;
  /** The person's answer to what was asked. */
  answer(value: string): void;
  /** Ends what runs. Resolves to true when it has ended, to false when it does not within some seconds. */
  interrupt(): Promise<boolean>;
}

/** What was run, in all sessions. */
export interface HistoryStore {
  add(line: number, source: string): unknown;
  /** Answers a `history_request`. */
  find(request: Content): Promise<[session: number, line: number, source: string | [string, null]][]>;
}

/** A debugger that speaks the Debug Adapter Protocol. */
export interface DebugAdapter {
  /** Answers a request. Never rejects. */
  request(content: Content): Promise<Content>;
}

/** All that the kernel's core is joined to. */
export interface Host {
  transport: Transport;
  interpreter: Interpreter;
  history: HistoryStore;
  debugger: DebugAdapter;
  info: KernelInfo;
  /** Where clients reach the kernel, for `connect_request`; a kernel without ports has none. */
  ports?: Ports;
  /** What the kernel uses of its machine, where that can be told. */
  usage?(): ReplyContent<"usage_reply">;
  session: string;
  username: string;
  /** Puts what is published into the reader's language. Never throws. */
  translate?(type: PublishedType, content: Content): Content;
  /** Writes to the kernel's own log: never to a notebook. */
  log(text: string): void;
  /** Ends the kernel, whatever its code is doing. */
  leave(): Promise<void>;
}
