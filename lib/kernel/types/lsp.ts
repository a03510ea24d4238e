// A client of TypeScript's native language server: JSON-RPC over the pipes of a child process.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client } from "./client.ts";

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

export class LspClient extends Client {
  private readonly child: ChildProcess;
  private chunks: Buffer[] = [];
  private size = 0;
  private wanted = -1;
  private errors = "";

  constructor(server: string, folder: string) {
    super();
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

  override get pid(): number | undefined {
    return this.child.pid;
  }

  protected stop(): void {
    this.child.kill("SIGKILL");
  }

  protected send(message: object): void {
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
}
