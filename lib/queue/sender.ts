// The side of a queue that asks: tasks go out, answers come back, each once, whatever happens to workers and connections.
import { randomUUID } from "node:crypto";
import type { Queue, QueueEvents } from "bullmq";
import type { Redis } from "ioredis";
import { type Connection, connect, prefix, queueName, type Task } from "./connect.ts";
import { aliveKey, aliveSeconds, answerKey, answerSeconds, runEnded, startKey } from "./keys.ts";
import { pack, unpack } from "./pack.ts";

/** The queue was away for too long: nothing more is to be had of it. */
export class QueueLostError extends Error {
  override name = "QueueLostError";
}

/** Options of {@link Sender.open}. */
export interface SenderOptions {
  /** Seconds that the queue may be away before the run is given up. Default 60. */
  patience?: number;
  /** Called when there is something that a person should do, such as starting a worker. */
  onNotice?: (notice: string) => void;
}

interface Pending {
  name: string;
  task: Task;
  priority: number;
  resolve(answer: unknown): void;
  reject(reason: Error): void;
}

const milliseconds = { look: 2000, notice: 30_000 };

/** One run: what its tasks have in common, and the tasks that are out. */
export class Sender {
  readonly #connection: Connection;
  readonly #redis: Redis;
  readonly #queue: Queue;
  readonly #events: QueueEvents;
  readonly #kind: string;
  readonly #run = randomUUID();
  readonly #start: string;
  readonly #options: SenderOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #taking = new Set<string>();
  readonly #timers: NodeJS.Timeout[] = [];
  #sent = 0;
  #looking = false;
  #ended: Error | undefined;

  private constructor(connection: Connection, kind: string, start: unknown, options: SenderOptions) {
    this.#connection = connection;
    this.#kind = kind;
    this.#start = pack(start);
    this.#options = options;
    const { Queue, QueueEvents } = connection.bullmq;
    this.#redis = connection.redis();
    this.#queue = new Queue(queueName, { connection: this.#redis as never, prefix });
    this.#events = new QueueEvents(queueName, { connection: connection.redis() as never, prefix });
    // What happens to the connection is seen by looking; an event is only the quicker way to hear of an answer.
    this.#queue.on("error", () => {});
    this.#events.on("error", () => {});
    this.#events.on("completed", ({ jobId }) => void this.#settle(jobId));
    this.#events.on("failed", ({ jobId }) => void this.#settle(jobId));
  }

  /**
   * Opens a run.
   *
   * @param kind what workers do with its tasks
   * @param start what all tasks have in common
   * @throws Error where there is no queue at the address, or its packages are not installed
   */
  static async open(url: string, kind: string, start: unknown, options: SenderOptions = {}): Promise<Sender> {
    const connection = await connect(url);
    const sender = new Sender(connection, kind, start, options);
    try {
      await sender.#announce();
      await sender.#events.waitUntilReady();
    } catch (error) {
      await sender.close();
      throw error;
    }
    sender.#every(milliseconds.look, () => sender.#look());
    sender.#every(milliseconds.notice, () => sender.#notice());
    void sender.#notice();
    return sender;
  }

  /** Puts a task on the queue; resolves to its answer. Of several runs, each has its first tasks done first. */
  ask<Answer>(question: unknown): Promise<Answer> {
    const name = `${this.#run}-${++this.#sent}`;
    return new Promise<Answer>((resolve, reject) => {
      if (this.#ended) throw this.#ended;
      const task: Task = { run: this.#run, kind: this.#kind, content: pack(question) };
      const pending = { name, task, priority: Math.min(this.#sent, 2_000_000), resolve, reject };
      this.#pending.set(name, pending as Pending);
      this.#add(pending as Pending).catch(reject);
    });
  }

  /** Takes back what nobody has begun, and hangs up. */
  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#end(new Error("the run has ended"));
    if (this.#connection.lostSince() === undefined) {
      const limit = new Promise((done) => setTimeout(done, 5000).unref());
      await Promise.race([this.#clean().catch(() => {}), limit]);
    }
    await Promise.race([
      Promise.allSettled([this.#events.close(), this.#queue.close()]),
      new Promise((done) => setTimeout(done, 1000).unref()),
    ]);
    this.#connection.close();
  }

  #every(time: number, act: () => Promise<void>): void {
    this.#timers.push(setInterval(() => void act().catch(() => {}), time));
  }

  /** What the run's tasks have in common, and that somebody waits for them. */
  async #announce(): Promise<void> {
    await this.#redis.set(startKey(this.#run), this.#start, "EX", 10 * aliveSeconds);
    await this.#redis.set(aliveKey(this.#run), "1", "EX", aliveSeconds);
  }

  async #add({ name, task, priority }: Pending): Promise<void> {
    await this.#queue.add(task.kind, task, {
      jobId: name,
      priority,
      removeOnComplete: { age: answerSeconds },
      removeOnFail: { age: answerSeconds },
    });
  }

  /** Events may be missed while a connection is lost, and a server that restarts may have forgotten tasks. */
  async #look(): Promise<void> {
    const lost = this.#connection.lostSince();
    const { patience = 60 } = this.#options;
    if (lost !== undefined && Date.now() - lost > patience * 1000) {
      this.#end(
        new QueueLostError(`the queue at ${this.#connection.address.shown} has been away for ${patience} s`),
      );
    }
    if (this.#looking || lost !== undefined || this.#ended) return;
    this.#looking = true;
    try {
      const known = await this.#redis.expire(startKey(this.#run), 10 * aliveSeconds);
      if (known) await this.#redis.set(aliveKey(this.#run), "1", "EX", aliveSeconds);
      else await this.#announce();
      for (const name of [...this.#pending.keys()]) await this.#settle(name);
    } finally {
      this.#looking = false;
    }
  }

  async #notice(): Promise<void> {
    const { onNotice } = this.#options;
    if (!onNotice) return;
    const { shown } = this.#connection.address;
    if (this.#connection.lostSince() !== undefined) onNotice(`the queue at ${shown} is away; waiting for it`);
    else if ((await this.#queue.getWorkersCount()) === 0) {
      onNotice(`no worker of this version is at the queue; on any machine: slimlab grade-worker ${shown}`);
    }
  }

  /** Gives a task's answer to whoever waits for it, if there is one. */
  async #settle(name: string): Promise<void> {
    const pending = this.#pending.get(name);
    if (!pending || this.#taking.has(name)) return;
    this.#taking.add(name);
    try {
      const state = await this.#queue.getJobState(name);
      if (state === "completed") {
        const answer = await this.#redis.get(answerKey(name));
        await this.#queue.remove(name);
        if (answer === null) return await this.#add(pending);
        await this.#redis.del(answerKey(name));
        if (this.#pending.delete(name)) pending.resolve(unpack(answer));
      } else if (state === "failed") {
        const job = await this.#queue.getJob(name);
        const reason = job?.failedReason ?? "";
        await this.#queue.remove(name);
        if (reason === runEnded) return await this.#add(pending);
        if (this.#pending.delete(name)) pending.reject(new Error(inWords(reason)));
      } else if (state === "unknown") {
        await this.#add(pending);
      }
    } catch {
      // Looked at again in a moment.
    } finally {
      this.#taking.delete(name);
    }
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    for (const { reject } of this.#pending.values()) reject(this.#ended);
  }

  async #clean(): Promise<void> {
    await this.#redis.del(aliveKey(this.#run), startKey(this.#run));
    for (const name of this.#pending.keys()) {
      // What a worker has begun is its own; it will find that the run has ended.
      await this.#queue.remove(name).catch(() => {});
      await this.#redis.del(answerKey(name));
    }
    this.#pending.clear();
  }
}

function inWords(reason: string): string {
  return /stalled more than/.test(reason)
    ? "every worker that began it died"
    : reason || "its worker gave no reason";
}
