// The kernel's cells: one queue for each subshell, in which a cell waits, runs, and fails those behind it.
import type { Cell, HistoryStore, Interpreter, Transport } from "./host.ts";
import type { Publisher } from "./publisher.ts";
import type { ReplyContent } from "./reference.ts";
import { errorContent, failure, type Request } from "./request.ts";

type ExecuteRequest = Request<"execute_reply">;
type ExecuteReply = ReplyContent<"execute_reply">;

interface Waiting {
  request: ExecuteRequest;
  done: () => void;
}

interface Queue {
  waiting: Waiting[];
  busy: boolean;
}

export interface CellsHost {
  transport: Transport;
  interpreter: Interpreter;
  history: HistoryStore;
  session: string;
  log(text: string): void;
}

export class Cells {
  readonly #host: CellsHost;
  readonly #publisher: Publisher;
  /** By subshell; the main one is "". */
  readonly #queues = new Map<string, Queue>([["", { waiting: [], busy: false }]]);
  /** What runs now: one for each subshell at most. */
  readonly running = new Set<ExecuteRequest>();
  #count = 0;
  #runs = 0;
  #interrupts = new AbortController();

  constructor(host: CellsHost, publisher: Publisher) {
    this.#host = host;
    this.#publisher = publisher;
  }

  // ---- Subshells -----------------------------------------------------------------------------------------------------

  createSubshell(): string {
    const id = crypto.randomUUID();
    this.#queues.set(id, { waiting: [], busy: false });
    return id;
  }

  /** Whether there was one of that name. */
  deleteSubshell(id: string): boolean {
    return id !== "" && this.#queues.delete(id);
  }

  get subshells(): string[] {
    return [...this.#queues.keys()].filter((id) => id !== "");
  }

  // ---- Queues --------------------------------------------------------------------------------------------------------

  /** Runs a cell when its turn comes; resolves when it has been answered. */
  execute(request: ExecuteRequest): Promise<void> | undefined {
    const subshell = request.message.header.subshell_id ?? "";
    const queue = this.#queues.get(subshell);
    if (!queue) {
      request.reply(failure("SubshellError", `there is no subshell ${subshell}`));
      return undefined;
    }
    return new Promise((done) => {
      queue.waiting.push({ request, done });
      if (!queue.busy) void this.#run(queue);
    });
  }

  /** A cell that has not begun to run yet must not, from here on. */
  interrupted(): void {
    this.#interrupts.abort();
    this.#interrupts = new AbortController();
  }

  async #run(queue: Queue): Promise<void> {
    queue.busy = true;
    for (let next = queue.waiting.shift(); next; next = queue.waiting.shift()) {
      const { request, done } = next;
      this.running.add(request);
      // JupyterLab reads a cell's times from here.
      const timing = {
        started: new Date().toISOString(),
        dependencies_met: true,
        engine: this.#host.session,
      };
      const reply = await this.#execute(request);
      let aborted: Waiting[] = [];
      if (reply.status === "error" && (request.message.content.stop_on_error ?? true)) {
        // Aborted is what the client had sent before it could know of the error: all that is here before the reply leaves.
        await this.#host.transport.received();
        aborted = queue.waiting.splice(0);
      }
      request.reply(reply, { metadata: { ...timing, status: reply.status } });
      this.running.delete(request);
      done();
      for (const { request, done } of aborted) {
        request.reply({ status: "aborted" });
        done();
      }
    }
    queue.busy = false;
  }

  // ---- One cell ------------------------------------------------------------------------------------------------------

  async #execute({ message, origin: { header } }: ExecuteRequest): Promise<ExecuteReply> {
    const { content, identities } = message;
    const { signal } = this.#interrupts;
    const source = String(content.code ?? "");
    const silent = content.silent === true;
    const store = !silent && content.store_history !== false;
    if (store) this.#count++;
    const count = this.#count;
    const label = `${store ? count : `${count}.${this.#runs + 1}`}`;
    this.#runs++;
    if (!silent) this.#publisher.publish("execute_input", { code: source, execution_count: count }, header);
    if (store) void this.#host.history.add(count, source);
    const rest = { execution_count: count, user_expressions: {}, payload: [] };
    const expressions: Cell["expressions"] = content.user_expressions ?? {};
    if (source.trim() === "" && Object.keys(expressions).length === 0) return { status: "ok", ...rest };
    const { error, expressions: values = {} } = await this.#interpret({
      source,
      name: `Cell[${label}]`,
      title: `Cell [${label}]`,
      count,
      origin: { header, identities, silent, stdin: content.allow_stdin === true },
      expressions,
      signal,
    });
    if (!error) return { status: "ok", ...rest, user_expressions: values };
    if (!silent) this.#publisher.publish("error", error, header);
    return { status: "error", ...rest, ...error };
  }

  async #interpret(cell: Cell): ReturnType<Interpreter["execute"]> {
    try {
      return await this.#host.interpreter.execute(cell);
    } catch (error) {
      // A failure of the kernel's own is the cell's: a reader must see why nothing happened.
      const { name, message, stack } = error as Error;
      this.#host.log(`execute_request failed: ${stack ?? message}`);
      return { error: errorContent(name, message, ["The kernel itself failed, not the cell."]) };
    }
  }
}
