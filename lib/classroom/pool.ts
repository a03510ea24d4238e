// Sandboxes that are ready before they are asked for: the next one starts while a student's cells run in another.
import { prepareStudent } from "./assignment.ts";
import type { SandboxSource } from "./attempt.ts";
import type { Isolation } from "./isolation.ts";
import { type Sandbox, type SandboxOptions, startSandbox } from "./sandbox.ts";

/** Options of {@link SandboxPool}. */
export interface PoolOptions extends SandboxOptions {
  /** How many are kept ready. Default 1. */
  size?: number;
  /** Modules that are loaded beforehand, as cells would name them. */
  modules?: string[];
}

/** A pool of sandboxes. Each is handed out once. */
export class SandboxPool implements SandboxSource {
  readonly isolation: Isolation;
  readonly #options: PoolOptions;
  readonly #ready: Promise<Sandbox>[] = [];
  readonly #ending = new Set<Promise<void>>();
  #closed = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.isolation = options.isolation;
    this.#fill();
  }

  async take(): Promise<Sandbox> {
    // One that did not come up is the grader's own trouble: another is tried before a student pays for it.
    const sandbox = await (this.#ready.shift() ?? this.#start()).catch(() => this.#start());
    // Its start would take the cores from the one that is waited for now, and a small assignment is graded sooner.
    const timer = setTimeout(() => this.#fill(), 250).unref();
    void sandbox.kernel.exited.then(() => {
      clearTimeout(timer);
      this.#fill();
    });
    // It may have died while it waited.
    const alive = await sandbox.kernel.heartbeat(5000).then(
      () => true,
      () => false,
    );
    if (alive) return sandbox;
    this.giveBack(sandbox);
    return this.#start();
  }

  giveBack(sandbox: Sandbox): void {
    const ending = sandbox.end().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
    ending.catch(() => {}); // Whoever ends the pool hears of it.
  }

  #fill(): void {
    while (!this.#closed && this.#ready.length < (this.#options.size ?? 1)) {
      const next = this.#start();
      next.catch(() => {}); // Whoever takes it hears of it.
      this.#ready.push(next);
    }
  }

  async #start(): Promise<Sandbox> {
    const { modules = [] } = this.#options;
    const sandbox = await startSandbox(this.#options);
    const loads = modules.map((name) => `await import(${JSON.stringify(name)}).catch(() => {});`).join("\n");
    await sandbox.kernel.execute(`${prepareStudent}\n${loads}\nundefined`, { silent: true });
    return sandbox;
  }

  async end(): Promise<void> {
    this.#closed = true;
    const rest = this.#ready.splice(0).map(async (sandbox) => (await sandbox).end());
    await Promise.allSettled([...rest, ...this.#ending]);
  }
}
