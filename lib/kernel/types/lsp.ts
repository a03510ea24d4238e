// A client of TypeScript's native language server: JSON-RPC over the pipes of a child process.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/** The native `tsc` of the TypeScript that slimlab depends on: started directly, it saves a Node process. */
export function findServer(): string {
  const require = createRequire(import.meta.url);
  const platform = `@typescript/typescript-${process.platform}-${process.arch}`;
  try {
    // The platform's package is a dependency of `typescript`, and may be out of sight from here.
    const fromTypeScript = createRequire(require.resolve("typescript/package.json"));
    const folder = dirname(fromTypeScript.resolve(`${platform}/package.json`));
    const server = join(folder, "lib", process.platform === "win32" ? "tsc.exe" : "tsc");
    if (existsSync(server)) return server;
  } catch {}
  throw new Error(
    `TypeScript's language server for ${process.platform} ${process.arch} is not installed, so types are not checked: ` +
      `run npm install again with optional dependencies (package ${platform})`,
  );
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
  timer: NodeJS.Timeout;
}

/** A request that got no answer in time, or whose server died: there is no result, and nothing is wrong with the code. */
export class NoAnswer extends Error {
  override name = "NoAnswer";
}

/** The server ended while a request was under way. */
export class ServerDied extends NoAnswer {}

export class LspClient {
  /** Called once when the process has ended without being told to. */
  onExit: (reason: string) => void = () => {};
  private readonly child: ChildProcess;
  private readonly pending = new Map<number, Pending>();
  private nextId = 1;
  private chunks: Buffer[] = [];
  private size = 0;
  private wanted = -1;
  private ended = false;
  private errors = "";

  constructor(server: string, folder: string) {
    this.child = spawn(server, ["--lsp", "--stdio"], {
      cwd: folder,
      stdio: ["pipe", "pipe", "pipe"],
      // Go collects when its heap has grown by half, not when it has doubled: a fifth less memory for a few % of the time.
      env: { GOGC: "50", ...process.env },
    });
    this.child.stdout!.on("data", (chunk: Buffer) => this.receive(chunk));
    this.child.stderr!.on("data", (chunk: Buffer) => {
      // A panic's first line says what it was; the rest is the server's own stack.
      if (!this.errors) this.errors = /panic: .*/.exec(chunk.toString())?.[0].slice(0, 300) ?? "";
    });
    // Writing to a process that has just died is reported by its exit.
    this.child.stdin!.on("error", () => {});
    this.child.on("error", (error) => this.end(error.message));
    this.child.on("exit", (code, signal) =>
      this.end(`ended with ${signal ?? `status ${code}`} ${this.errors}`.trim()),
    );
  }

  get alive(): boolean {
    return !this.ended;
  }
  get pid(): number | undefined {
    return this.child.pid;
  }

  request<T>(method: string, params: unknown, timeout: number): Promise<T> {
    if (this.ended) return Promise.reject(new NoAnswer("the language server is not running"));
    const id = this.nextId++;
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(id);
        this.notify("$/cancelRequest", { id });
        reject(new NoAnswer(`the language server did not answer ${method} within ${timeout / 1000} s`));
      }, timeout);
      this.pending.set(id, { resolve: resolve as (value: unknown) => void, reject, timer });
      this.send({ jsonrpc: "2.0", id, method, params });
    });
  }

  notify(method: string, params: unknown): void {
    this.send({ jsonrpc: "2.0", method, params });
  }

  /** Ends the process; what is under way is rejected. */
  kill(): void {
    this.onExit = () => {};
    this.child.kill("SIGKILL");
    this.end("stopped");
  }

  private send(message: object): void {
    if (this.ended) return;
    const body = JSON.stringify(message);
    // One write, so that small messages take one system call.
    this.child.stdin!.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  private receive(chunk: Buffer): void {
    this.chunks.push(chunk);
    this.size += chunk.length;
    for (;;) {
      if (this.wanted < 0) {
        const buffer = this.joined();
        const end = buffer.indexOf("\r\n\r\n");
        if (end < 0) return;
        this.wanted = Number(/Content-Length: *(\d+)/i.exec(buffer.toString("latin1", 0, end))?.[1] ?? 0);
        this.drop(end + 4);
      }
      if (this.size < this.wanted) return;
      const body = this.joined().toString("utf8", 0, this.wanted);
      this.drop(this.wanted);
      this.wanted = -1;
      this.handle(JSON.parse(body));
    }
  }

  private joined(): Buffer {
    if (this.chunks.length !== 1) this.chunks = [Buffer.concat(this.chunks)];
    return this.chunks[0];
  }

  private drop(count: number): void {
    const rest = this.joined().subarray(count);
    this.chunks = [rest];
    this.size = rest.length;
  }

  private handle(message: {
    id?: number | string;
    method?: string;
    params?: { items?: unknown[] };
    result?: unknown;
    error?: { message: string };
  }): void {
    if (message.method !== undefined) {
      // The server asks its client too (settings, file watchers): a plain answer keeps it from waiting.
      if (message.id === undefined) return;
      const result =
        message.method === "workspace/configuration" ? (message.params?.items ?? []).map(() => null) : null;
      this.send({ jsonrpc: "2.0", id: message.id, result });
      return;
    }
    const waiting = this.pending.get(message.id as number);
    if (!waiting) return;
    this.pending.delete(message.id as number);
    clearTimeout(waiting.timer);
    if (message.error) waiting.reject(new Error(message.error.message));
    else waiting.resolve(message.result);
  }

  private end(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    for (const { reject, timer } of this.pending.values()) {
      clearTimeout(timer);
      reject(new ServerDied(`the language server ${reason}`));
    }
    this.pending.clear();
    this.onExit(reason);
  }
}
