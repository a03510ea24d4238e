// A real Redis for tests, on a free port of this machine and with nothing on the disk.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

/** Skips tests where there is no Redis; on CI that is an error. */
export function needsRedis(this: Mocha.Context): void {
  if (spawnSync("redis-server", ["--version"]).status === 0) return;
  const missing = "redis-server is not installed (Debian and Ubuntu: apt install redis-server)";
  if (process.env.CI) throw new Error(missing);
  console.log(`      skipped: ${missing}`);
  this.skip();
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

/** A Redis server that can be stopped and started again on its port, then empty. */
export class Redis {
  readonly port: number;
  readonly #password: string | undefined;
  #server: ChildProcess | undefined;

  private constructor(port: number, password: string | undefined) {
    this.port = port;
    this.#password = password;
  }

  static async start(password?: string): Promise<Redis> {
    const redis = new Redis(await freePort(), password);
    await redis.start();
    return redis;
  }

  get url(): string {
    return `redis://${this.#password ? `:${this.#password}@` : ""}127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const args = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    if (this.#password) args.push("--requirepass", this.#password);
    const server = spawn("redis-server", args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#server = server;
    for await (const line of createInterface({ input: server.stdout! })) {
      if (/ready to accept connections/i.test(line)) break;
    }
    server.stdout!.resume();
    if (server.exitCode !== null) throw new Error(`redis-server ended with ${server.exitCode}`);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (!server || server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, "exit");
    server.kill("SIGKILL");
    await ended;
  }
}
