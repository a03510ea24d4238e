// What a kernel's client is asked, and what it gives back.
import type { Output as NotebookOutput } from "../../util/nbformat.ts";
import type { Connection } from "../node/connection.ts";
import type { Content, Message } from "../protocol/messages.ts";

/** A cell's output, its text in one piece. */
export type Output = NotebookOutput<string>;

export interface ExecuteOptions {
  /** Runs without a trace: no count, no history, no outputs of its own. */
  silent?: boolean;
  storeHistory?: boolean;
  /** Whether an error aborts the requests that wait behind this one. Default true. */
  stopOnError?: boolean;
  /** Whether the cell may ask for input. Default: whether `onInput` is given. */
  allowStdin?: boolean;
  /** Expressions to evaluate after the cell; their values come in the reply's `user_expressions`. */
  userExpressions?: Record<string, string>;
  metadata?: Content;
  /** Called with each iopub message of this request, as it comes. */
  onMessage?: (message: Message) => void;
  /** Answers `prompt()` and its like. */
  onInput?: (prompt: string, password: boolean) => string | Promise<string>;
  /** Interrupts the kernel when it fires; the call still ends with what the kernel answers. */
  signal?: AbortSignal;
}

export interface ExecuteResult {
  status: "ok" | "error" | "aborted";
  /** Null where the cell was aborted: it has not run. */
  executionCount: number | null;
  /** Streams merged, `clear_output` and `update_display_data` applied; a later cell's update still reaches in here. */
  outputs: Output[];
  /** The reply's content. */
  content: Content;
}

export interface SendOptions {
  metadata?: Content;
  buffers?: Uint8Array[];
  subshell?: string;
}

export interface KernelClient {
  /** The kernel's answer to `kernel_info_request`. */
  readonly info: Content;
  readonly connection: Connection;
  /** The kernel's process id, if this client started it. */
  readonly pid: number | undefined;
  /** Resolves when the kernel's process has ended (never for a kernel that someone else started). */
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** The last lines that the kernel wrote to its own standard error. */
  readonly stderr: string;
  execute(code: string, options?: ExecuteOptions): Promise<ExecuteResult>;
  /** Sends a request and resolves to its reply. */
  request(
    channel: "shell" | "control",
    type: string,
    content?: Content,
    options?: SendOptions,
  ): Promise<Message>;
  /** Sends a message that has no reply (a comm's, for one); returns its id. */
  send(
    channel: "shell" | "control" | "stdin",
    type: string,
    content?: Content,
    options?: SendOptions,
  ): string;
  /** Calls `listener` with every iopub message; returns the function that ends that. */
  onMessage(listener: (message: Message) => void): () => void;
  /** Every iopub message from now on. */
  messages(): AsyncIterable<Message>;
  /** The time in ms that the heartbeat takes; rejects after `timeout` ms. */
  heartbeat(timeout?: number): Promise<number>;
  interrupt(): Promise<void>;
  /** Ends the kernel (by force, if it does not go in 5 s) and closes the sockets. Never rejects. */
  shutdown(options?: { restart?: boolean }): Promise<void>;
  /** Closes the sockets and leaves the kernel be. */
  close(): void;
}
