// A Jupyter client: starts a kernel (ours, or any other), sends requests, and gathers a cell's outputs as a notebook
// keeps them. The headless runner, the tests and the benchmarks all talk to kernels through it.
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as zmq from "zeromq";
import type { Output as NotebookOutput } from "../util/nbformat.ts";
import { longestSocketFolder, ownPrefix, topForSockets } from "../util/temporary.ts";
import { address, type Connection, clientKeys, isVersion6, parseConnection } from "./node/connection.ts";
import { decode, encode, header } from "./node/wire.ts";
import type { Content, Header, Message } from "./protocol/messages.ts";

export type { MimeBundle } from "../util/display.ts";
export type { Content, Header, Message } from "./protocol/messages.ts";

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

export interface StartOptions {
  /** The notebook's folder. Default: the current folder. */
  cwd?: string;
  /**
   * How client and kernel talk: over ports of 127.0.0.1 (default), or over sockets in a folder, which only who can enter
   * it reaches and which need no network (not on Windows).
   */
  transport?: "tcp" | "ipc";
  /** Whether what client and kernel say is encrypted (CurveZMQ): else any process of this machine can read it. */
  encrypt?: boolean;
  /** The folder of the connection file, and of ipc's sockets. It is left in place. Default: a temporary one. */
  folder?: string;
  /** The kernel's command line, with `{connection_file}` where its file goes. Default: the slimlab kernel. */
  argv?: string[];
  /** More arguments for the slimlab kernel: `--check=off`, for one. */
  args?: string[];
  env?: Record<string, string | undefined>;
  /** Milliseconds until a kernel that has not answered counts as failed. Default 60,000. */
  startTimeout?: number;
  /** How an interrupt is sent: ours, by message; ipykernel, for one, wants a signal. */
  interruptMode?: "message" | "signal";
}

/** What the folders of connection files are called. */
export const kernelPrefix = "slimlab-kernel-";

/** Characters of a kernel's standard error that are kept: V8's report of its end is some thousand long. */
const mostStderr = 1 << 16;

/** The error of every request that waits when the kernel's process ends. */
export class KernelDiedError extends Error {
  override name = "KernelDiedError";
}

/** The command line of the slimlab kernel. */
export function kernelArguments(...more: string[]): string[] {
  return [
    process.execPath,
    fileURLToPath(new URL("./node/main.cjs", import.meta.url)),
    "--connection-file",
    "{connection_file}",
    ...more,
  ];
}

/** Starts a kernel and resolves when it is ready. */
export async function startKernel(options: StartOptions = {}): Promise<KernelClient> {
  const transport = options.transport ?? "tcp";
  if (transport === "ipc" && process.platform === "win32") {
    throw new Error('transport must be "tcp" on Windows, got "ipc": ZeroMQ has no such sockets there');
  }
  const folder =
    options.folder ??
    (await mkdtemp(ownPrefix(kernelPrefix, transport === "ipc" ? topForSockets() : undefined)));
  if (transport === "ipc" && Buffer.byteLength(folder) > longestSocketFolder) {
    throw new Error(
      `folder must be at most ${longestSocketFolder} bytes long for transport "ipc", got ${JSON.stringify(folder)}`,
    );
  }
  const file = join(folder, "connection.json");
  const ports = transport === "ipc" ? [1, 2, 3, 4, 5] : await freePorts(5);
  const connection: Connection = {
    transport,
    ip: transport === "ipc" ? join(folder, "socket") : "127.0.0.1",
    shell_port: ports[0],
    iopub_port: ports[1],
    stdin_port: ports[2],
    control_port: ports[3],
    hb_port: ports[4],
    key: randomBytes(32).toString("hex"),
    signature_scheme: "hmac-sha256",
    ...(options.encrypt ? kernelKeys() : {}),
  };
  await writeFile(file, JSON.stringify(connection), { mode: 0o600 });
  const argv = (options.argv ?? kernelArguments(...(options.args ?? []))).map((argument) =>
    argument.replaceAll("{connection_file}", file),
  );
  const child = spawn(argv[0], argv.slice(1), {
    cwd: options.cwd,
    env: { ...process.env, JPY_PARENT_PID: String(process.pid), ...options.env },
    stdio: ["ignore", "ignore", "pipe"],
    windowsHide: true,
  });
  const client = new Client(connection, child, options.interruptMode ?? "message");
  if (options.folder === undefined) {
    void client.exited.then(() => rm(folder, { recursive: true, force: true }));
  }
  try {
    await client.ready(options.startTimeout ?? 60_000);
  } catch (error) {
    await client.shutdown();
    throw error;
  }
  return client;
}

/** Connects to a kernel that runs already, by its connection file. */
export async function connectKernel(
  connectionFile: string,
  options: { timeout?: number } = {},
): Promise<KernelClient> {
  const client = new Client(parseConnection(await readFile(connectionFile, "utf8")), undefined, "message");
  try {
    await client.ready(options.timeout ?? 10_000);
  } catch (error) {
    client.close();
    throw error;
  }
  return client;
}

function kernelKeys(): Pick<Connection, "curve_publickey" | "curve_secretkey"> {
  const { publicKey, secretKey } = zmq.curveKeyPair();
  return { curve_publickey: publicKey, curve_secretkey: secretKey };
}

async function freePorts(count: number): Promise<number[]> {
  // All are held open at once, so that they differ.
  const servers = await Promise.all(
    Array.from({ length: count }, () => {
      const server = createServer();
      return new Promise<typeof server>((resolve, reject) => {
        server.once("error", reject);
        server.listen(0, "127.0.0.1", () => resolve(server));
      });
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

interface Pending {
  resolve: (reply: Message) => void;
  reject: (error: Error) => void;
  reply?: Message;
  /** Outputs come on another socket than the reply and may be later: a request with outputs waits for both. */
  idle: boolean;
  iopub?: (message: Message) => void;
  input?: (message: Message) => void;
}

class Client implements KernelClient {
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
  readonly #displays = new Map<string, Output[]>();
  #died: Error | undefined;
  #closed = false;
  readonly #killAtExit = () => void this.#child?.kill("SIGKILL");

  constructor(connection: Connection, child: ChildProcess | undefined, interruptMode: "message" | "signal") {
    this.connection = connection;
    this.#child = child;
    this.#interruptMode = interruptMode;
    this.exited = new Promise((resolve) => {
      if (!child) return;
      process.once("exit", this.#killAtExit);
      child.stderr!.setEncoding("utf8").on("data", (text: string) => {
        this.stderr = (this.stderr + text).slice(-mostStderr);
      });
      child.once("error", (error) => this.#die(`the kernel could not be started: ${error.message}`));
      child.once("close", (code, signal) => {
        process.removeListener("exit", this.#killAtExit);
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
    const outputs: Output[] = [];
    let clearNext = false;
    const add = (output: Output) => {
      if (clearNext) {
        outputs.length = 0;
        clearNext = false;
      }
      const last = outputs.at(-1);
      if (output.output_type === "stream" && last?.output_type === "stream" && last.name === output.name) {
        last.text += output.text;
      } else {
        outputs.push(output);
      }
    };
    const iopub = (message: Message) => {
      const { content } = message;
      switch (message.header.msg_type) {
        case "stream":
          add({ output_type: "stream", name: content.name, text: content.text });
          break;
        case "display_data": {
          const output: Output = {
            output_type: "display_data",
            data: content.data,
            metadata: content.metadata,
          };
          const id = content.transient?.display_id;
          if (id) this.#displays.set(id, [...(this.#displays.get(id) ?? []), output]);
          add(output);
          break;
        }
        case "execute_result":
          add({
            output_type: "execute_result",
            data: content.data,
            metadata: content.metadata,
            execution_count: content.execution_count,
          });
          break;
        case "error":
          add({
            output_type: "error",
            ename: content.ename,
            evalue: content.evalue,
            traceback: content.traceback,
          });
          break;
        case "clear_output":
          if (content.wait) clearNext = true;
          else outputs.length = 0;
          break;
      }
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
      if (msg_type === "update_display_data") this.#update(message.content);
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

  #update(content: Content): void {
    for (const output of this.#displays.get(content.transient?.display_id) ?? []) {
      if (output.output_type !== "display_data") continue;
      output.data = content.data;
      output.metadata = content.metadata;
    }
  }

  #die(why: string): void {
    if (this.#died) return;
    this.#died = new KernelDiedError(why);
    for (const { reject } of this.#pending.values()) reject(this.#died);
    this.#pending.clear();
  }
}

/** What a process that has ended says of it, where it says something. */
function lastWords(stderr: string): string {
  if (/heap out of memory/.test(stderr)) {
    // V8 says what its heap had grown to: "Mark-Compact 4038.1 (4128.6) -> …".
    const size = /Mark-Compact[^>]*\(([\d.]+)\) ->/.exec(stderr)?.[1];
    const limit = size ? `at ${Math.round(Number(size))} MB; ` : "";
    return `: the cell ran out of memory (${limit}NODE_OPTIONS=--max-old-space-size=MB raises the limit)`;
  }
  const fatal = /^.*FATAL ERROR.*$/m.exec(stderr)?.[0];
  const last = stderr.trim().split("\n").slice(-20).join("\n");
  if (fatal && !last.includes(fatal)) return `; its last words:\n${fatal}\n${last}`;
  return last ? `; its last words:\n${last}` : "";
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
