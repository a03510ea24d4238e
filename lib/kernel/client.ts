// A Jupyter client: starts a kernel (ours, or any other), sends requests, and gathers a cell's outputs as a notebook
// keeps them. The headless runner, the tests and the benchmarks all talk to kernels through it.
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as zmq from "zeromq";
import { longestSocketFolder, ownPrefix, topForSockets } from "../util/temporary.ts";
import type { KernelClient } from "./client/client.ts";
import { KernelDiedError } from "./client/last-words.ts";
import { SocketClient } from "./client/sockets.ts";
import { type Connection, parseConnection } from "./node/connection.ts";

export type { MimeBundle } from "../util/display.ts";
export type { ExecuteOptions, ExecuteResult, KernelClient, Output, SendOptions } from "./client/client.ts";
export type { Content, Header, Message } from "./protocol/messages.ts";
export { KernelDiedError };

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
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      // Another program can have taken a port since it was found to be free.
      const isTaken = error instanceof KernelDiedError && /address (already )?in use/i.test(error.message);
      if (!isTaken || attempt === 3) throw error;
    }
  }
}

async function startOnce(options: StartOptions): Promise<KernelClient> {
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
  const client = new SocketClient(connection, child, options.interruptMode ?? "message");
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
  const client = new SocketClient(
    parseConnection(await readFile(connectionFile, "utf8")),
    undefined,
    "message",
  );
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
