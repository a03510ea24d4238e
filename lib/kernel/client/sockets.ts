// A client on a kernel's sockets: requests and their replies, what is published, the heartbeat, the end.
import type { ChildProcess } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import * as zmq from "zeromq";
import { address, type Connection, clientKeys, isVersion6 } from "../node/connection.ts";
import { decode, encode, header } from "../node/wire.ts";
import type { Content, Header, Message } from "../protocol/messages.ts";
import type { ExecuteOptions, ExecuteResult, KernelClient, SendOptions } from "./client.ts";
import { KernelDiedError, lastWords } from "./last-words.ts";
import { type Displays, gathered, updateDisplays } from "./outputs.ts";

/** Characters of a kernel's standard error that are kept: V8's report of its end is some thousand long. */
const mostStderr = 1 << 16;

interface Pending {
  resolve: (reply: Message) => void;
  reject: (error: Error) => void;
  reply?: Message;
  /** Outputs come on another socket than the reply and may be later: a request with outputs waits for both. */
  idle: boolean;
  iopub?: (message: Message) => void;
  input?: (message: Message) => void;
}

/** Kernels that were started here and run. */
const running = new Set<ChildProcess>();
const endAll = () => {
  for (const child of running) child.kill("SIGKILL");
};

/** Ends a kernel with this process. One listener does for all: Node warns of a leak where there are more than ten. */
function endWithUs(child: ChildProcess): void {
  if (running.size === 0) process.on("exit", endAll);
  running.add(child);
  child.once("close", () => {
    running.delete(child);
    if (running.size === 0) process.removeListener("exit", endAll);
  });
}

export class SocketClient implements KernelClient {
  info: Content = {};
  stderr = "";
  readonly connection: Connection;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #session = randomUUID();
  readonly #child: ChildProcess | undefined;
  readonly #interruptMode: "message" | "signal";
  readonly #sockets: {
    shell: zmq.Dealer;
    control: zmq.Dealer;
    stdin: zmq.Dealer;
    iopub: zmq.Subscriber;
  };
  readonly #queues = new Map<zmq.Dealer, Promise<void>>();
  readonly #pending = new Map<string, Pending>();
  readonly #listeners = new Set<(message: Message) => void>();
  readonly #displays: Displays = new Map();
  #died: Error | undefined;
  #closed = false;

  constructor(connection: Connection, child: ChildProcess | undefined, interruptMode: "message" | "signal") {
    this.connection = connection;
    this.#child = child;
    this.#interruptMode = interruptMode;
    this.exited = new Promise((resolve) => {
      if (!child) return;
      endWithUs(child);
      child.stderr!.setEncoding("utf8").on("data", (text: string) => {
        this.stderr = (this.stderr + text).slice(-mostStderr);
      });
      child.once("error", (error) => this.#die(`the kernel could not be started: ${error.message}`));
      child.once("close", (code, signal) => {
        const how = signal ? `was ended by ${signal}` : `ended with exit code ${code}`;
        this.#die(`the kernel's process ${how}${lastWords(this.stderr)}`);
        resolve({ code, signal });
      });
    });
    // A start is measured in tens of milliseconds; ZeroMQ's own pause before it tries to connect again is 100.
    const link = { ...clientKeys(connection), ipv6: isVersion6(connection.ip) };
    const options = {
      ...link,
      linger: 500,
      reconnectInterval: 2,
      receiveHighWaterMark: 0,
      sendHighWaterMark: 0,
    };
    // Jupyter's servers give shell and stdin one identity, by which the kernel addresses its input requests.
    const routingId = randomUUID();
    this.#sockets = {
      shell: new zmq.Dealer({ ...options, routingId }),
      control: new zmq.Dealer({ ...options, routingId }),
      stdin: new zmq.Dealer({ ...options, routingId }),
      iopub: new zmq.Subscriber({ ...link, linger: 0, reconnectInterval: 2, receiveHighWaterMark: 0 }),
    };
    this.#sockets.iopub.subscribe();
    for (const channel of ["shell", "control", "stdin", "iopub"] as const) {
      this.#sockets[channel].connect(address(connection, channel));
      void this.#receive(channel);
    }
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async ready(timeout: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    let again: NodeJS.Timeout | undefined;
    let stop = () => {};
    try {
      await Promise.race([
        new Promise<never>((_, reject) => {
          timer = setTimeout(() => {
            reject(new Error(`the kernel did not answer within ${timeout / 1000} s`));
          }, timeout);
        }),
        (async () => {
          // Ready means that both work: the shell answers, and what the kernel publishes arrives here.
          const published = new Promise<void>((resolve) => {
            stop = this.onMessage(() => resolve());
          });
          const reply = await this.request("shell", "kernel_info_request");
          this.info = reply.content;
          again = setInterval(() => this.send("shell", "kernel_info_request"), 100);
          await published;
        })(),
      ]);
    } finally {
      stop();
      clearTimeout(timer);
      clearInterval(again);
    }
  }

  async execute(code: string, options: ExecuteOptions = {}): Promise<ExecuteResult> {
    const { outputs, take } = gathered(this.#displays);
    const iopub = (message: Message) => {
      take(message);
      options.onMessage?.(message);
    };
    const input = async (message: Message) => {
      let value = "";
      try {
        value = (await options.onInput?.(message.content.prompt, message.content.password)) ?? "";
      } finally {
        this.#send("stdin", "input_reply", { value, status: "ok" }, {}, message.header);
      }
    };
    let lost: NodeJS.Timeout | undefined;
    let giveUp: (error: Error) => void = () => {};
    const stuck = new Promise<never>((_, reject) => {
      giveUp = reject;
    });
    stuck.catch(() => {});
    const abort = () => {
      lost = setTimeout(() => giveUp(new Error("the kernel does not answer to an interrupt")), 10_000);
      void this.interrupt().catch(() => {});
    };
    try {
      const request = this.#request(
        "shell",
        "execute_request",
        {
          code,
          silent: options.silent ?? false,
          store_history: options.storeHistory ?? !options.silent,
          user_expressions: options.userExpressions ?? {},
          allow_stdin: options.allowStdin ?? options.onInput !== undefined,
          stop_on_error: options.stopOnError ?? true,
        },
        { metadata: options.metadata },
        { iopub, input },
      );
      if (options.signal?.aborted) abort();
      else options.signal?.addEventListener("abort", abort, { once: true });
      const reply = await Promise.race([request, stuck]);
      return {
        status: reply.content.status,
        executionCount: reply.content.execution_count ?? null,
        outputs,
        content: reply.content,
      };
    } finally {
      clearTimeout(lost);
      options.signal?.removeEventListener("abort", abort);
    }
  }

  request(
    channel: "shell" | "control",
    type: string,
    content: Content = {},
    options: SendOptions = {},
  ): Promise<Message> {
    return this.#request(channel, type, content, options, {});
  }

  send(
    channel: "shell" | "control" | "stdin",
    type: string,
    content: Content = {},
    options: SendOptions = {},
  ): string {
    return this.#send(channel, type, content, options, {});
  }

  onMessage(listener: (message: Message) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async *messages(): AsyncGenerator<Message> {
    const waiting: Message[] = [];
    let wake = () => {};
    const stop = this.onMessage((message) => {
      waiting.push(message);
      wake();
    });
    try {
      for (;;) {
        while (waiting.length > 0) yield waiting.shift()!;
        if (this.#died || this.#closed) return;
        await Promise.race([
          new Promise<void>((resolve) => {
            wake = resolve;
          }),
          this.exited,
        ]);
      }
    } finally {
      stop();
    }
  }

  async heartbeat(timeout = 5000): Promise<number> {
    const socket = new zmq.Request({
      ...clientKeys(this.connection),
      ipv6: isVersion6(this.connection.ip),
      linger: 0,
      receiveTimeout: timeout,
      sendTimeout: timeout,
    });
    try {
      socket.connect(address(this.connection, "hb"));
      const started = performance.now();
      const sent = randomBytes(8);
      await socket.send(sent);
      const [echo] = await socket.receive();
      if (!sent.equals(echo)) throw new Error("the heartbeat answered with something else");
      return performance.now() - started;
    } finally {
      socket.close();
    }
  }

  async interrupt(): Promise<void> {
    if (this.#interruptMode === "signal") this.#child?.kill("SIGINT");
    else await this.request("control", "interrupt_request");
  }

  async shutdown(options: { restart?: boolean } = {}): Promise<void> {
    if (this.#closed) return;
    try {
      if (!this.#died) {
        await within(
          5000,
          this.request("control", "shutdown_request", { restart: options.restart ?? false }),
        );
      }
    } catch {
      // A kernel that does not answer is ended below.
    }
    if (this.#child && !this.#died) {
      try {
        await within(5000, this.exited);
      } catch {
        this.#child.kill("SIGKILL");
        await this.exited;
      }
    }
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const socket of Object.values(this.#sockets)) socket.close();
    this.#die("the client was closed");
  }

  #request(
    channel: "shell" | "control",
    type: string,
    content: Content,
    options: SendOptions,
    more: Pick<Pending, "iopub" | "input">,
  ): Promise<Message> {
    return new Promise((resolve, reject) => {
      if (this.#died) {
        reject(this.#died);
        return;
      }
      const id: string = this.#send(channel, type, content, options, {});
      this.#pending.set(id, { resolve, reject, idle: more.iopub === undefined, ...more });
    });
  }

  #send(
    channel: "shell" | "control" | "stdin",
    type: string,
    content: Content,
    options: SendOptions,
    parent: Partial<Header>,
  ): string {
    const head = header(type, this.#session);
    if (options.subshell) head.subshell_id = options.subshell;
    const frames = encode(
      {
        identities: [],
        header: head,
        parent_header: parent,
        metadata: options.metadata ?? {},
        content,
        buffers: options.buffers ?? [],
      },
      this.connection,
    );
    const socket = this.#sockets[channel];
    const sent = (this.#queues.get(socket) ?? Promise.resolve()).then(async () => {
      if (!this.#closed) await socket.send(frames);
    });
    this.#queues.set(
      socket,
      sent.catch(() => {}),
    );
    return head.msg_id;
  }

  async #receive(channel: "shell" | "control" | "stdin" | "iopub"): Promise<void> {
    try {
      for await (const frames of this.#sockets[channel]) {
        let message: Message;
        try {
          message = decode(frames, this.connection);
        } catch {
          continue; // A message that this kernel did not sign is not from this kernel.
        }
        this.#dispatch(channel, message);
      }
    } catch (error) {
      if (!this.#closed) this.#die(`the ${channel} socket failed: ${(error as Error).message}`);
    }
  }

  #dispatch(channel: "shell" | "control" | "stdin" | "iopub", message: Message): void {
    const id = message.parent_header.msg_id ?? "";
    const pending = this.#pending.get(id);
    if (channel === "iopub") {
      const { msg_type } = message.header;
      if (msg_type === "update_display_data") updateDisplays(this.#displays, message.content);
      pending?.iopub?.(message);
      for (const listener of this.#listeners) listener(message);
      if (pending && msg_type === "status" && message.content.execution_state === "idle") {
        pending.idle = true;
        this.#settle(id, pending);
      }
    } else if (channel === "stdin") {
      pending?.input?.(message);
    } else if (pending) {
      pending.reply = message;
      this.#settle(id, pending);
    }
  }

  #settle(id: string, pending: Pending): void {
    if (!pending.idle || !pending.reply) return;
    this.#pending.delete(id);
    pending.resolve(pending.reply);
  }

  #die(why: string): void {
    if (this.#died) return;
    this.#died = new KernelDiedError(why);
    for (const { reject } of this.#pending.values()) reject(this.#died);
    this.#pending.clear();
  }
}

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
