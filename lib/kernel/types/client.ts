// A client of a language server: requests that are answered, or not in time, whatever carries the messages.

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

/** A request that got no answer in time, or whose server died: there is no result, and nothing is wrong with the code. */
export class NoAnswer extends Error {
  override name = "NoAnswer";
}

/** The server ended while a request was under way. */
export class ServerDied extends NoAnswer {}

/** A message of JSON-RPC. */
export interface RpcMessage {
  id?: number | string;
  method?: string;
  params?: unknown;
  result?: unknown;
  error?: { message: string };
}

export abstract class Client {
  /** Called once when the server has ended without being told to. */
  onExit: (reason: string) => void = () => {};
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;
  #ended = false;

  get alive(): boolean {
    return !this.#ended;
  }

  /** Whether no request is under way. */
  get isIdle(): boolean {
    return this.#pending.size === 0;
  }

  /** The server's process, where it is one. */
  get pid(): number | undefined {
    return undefined;
  }

  request<T>(method: string, params: unknown, timeout: number): Promise<T> {
    if (this.#ended) return Promise.reject(new NoAnswer("the language server is not running"));
    const id = this.#nextId++;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        this.notify("$/cancelRequest", { id });
        reject(new NoAnswer(`the language server did not answer ${method} within ${timeout / 1000} s`));
      }, timeout);
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject, timer });
      this.#post({ id, method, params });
    });
  }

  notify(method: string, params: unknown): void {
    this.#post({ method, params });
  }

  /** Ends the server; what is under way is rejected. */
  kill(): void {
    this.onExit = () => {};
    this.stop();
    this.end("stopped");
  }

  /** Sends a message to the server. */
  protected abstract send(message: object): void;
  /** Ends the server. */
  protected abstract stop(): void;

  #post(message: RpcMessage): void {
    if (!this.#ended) this.send({ jsonrpc: "2.0", ...message });
  }

  /** Takes a message of the server's. */
  protected handle(message: RpcMessage): void {
    if (message.method !== undefined) {
      // The server asks its client too (settings, file watchers): a plain answer keeps it from waiting.
      if (message.id === undefined) return;
      const { items = [] } = (message.params ?? {}) as { items?: unknown[] };
      this.#post({
        id: message.id,
        result: message.method === "workspace/configuration" ? items.map(() => null) : null,
      });
      return;
    }
    const waiting = this.#pending.get(message.id as number);
    if (!waiting) return;
    this.#pending.delete(message.id as number);
    clearTimeout(waiting.timer);
    if (message.error) waiting.reject(new Error(message.error.message));
    else waiting.resolve(message.result);
  }

  /** The server has ended. */
  protected end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const { reject, timer } of this.#pending.values()) {
      clearTimeout(timer);
      reject(new ServerDied(`the language server ${reason}`));
    }
    this.#pending.clear();
    this.onExit(reason);
  }
}
