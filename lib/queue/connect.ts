// The connection to a queue: BullMQ on Redis. Both packages are optional, so they are looked for when a queue is asked for.
import type { Queue, QueueEvents, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { slimlabVersion } from "../util/version.ts";
import { type QueueAddress, queueAddress } from "./address.ts";

/** Its name has slimlab's version: who works must be of the same mind as who asks. */
export const queueName = `work-${slimlabVersion}`;
export const prefix = "slimlab";

/** What a task carries: whose it is, and what is to be done, packed. */
export interface Task {
  run: string;
  kind: string;
  content: string;
}

/** The packages that a queue stands on, and connections to its server. */
export interface Connection {
  readonly address: QueueAddress;
  readonly bullmq: { Queue: typeof Queue; QueueEvents: typeof QueueEvents; Worker: typeof Worker };
  /** A connection of its own that comes back by itself when it was lost. */
  redis(): Redis;
  /** Of connections that are lost at this moment, since when; undefined while all is well. */
  lostSince(): number | undefined;
  close(): void;
}

/** Connects, and says at once where that is not possible. */
export async function connect(url: string): Promise<Connection> {
  const address = queueAddress(url, process.env);
  const [bullmq, ioredis] = await load();
  await probe(ioredis.Redis, address);
  const open = new Map<Redis, number | undefined>();
  return {
    address,
    bullmq,
    redis() {
      const redis = new ioredis.Redis(address.url, {
        maxRetriesPerRequest: null,
        retryStrategy: (times) => Math.min(200 * times, 2000),
        enableReadyCheck: true,
      });
      open.set(redis, undefined);
      redis.on("error", () => {}); // It tries again; lostSince tells.
      redis.on("close", () => open.set(redis, open.get(redis) ?? Date.now()));
      redis.on("ready", () => open.set(redis, undefined));
      return redis;
    },
    lostSince() {
      const since = [...open.values()].filter((one) => one !== undefined);
      return since.length > 0 ? Math.min(...since) : undefined;
    },
    close() {
      for (const redis of open.keys()) redis.disconnect();
    },
  };
}

async function load() {
  try {
    return await Promise.all([import("bullmq"), import("ioredis")]);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Error("a queue needs two packages that are not installed: npm install bullmq ioredis");
  }
}

/** Tries once, with an answer for people. */
async function probe(client: typeof Redis, { url, shown }: QueueAddress): Promise<void> {
  const redis = new client(url, {
    lazyConnect: true,
    connectTimeout: 5000,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
  });
  let trouble: Error | undefined;
  redis.on("error", (error) => {
    trouble ??= error;
  });
  const limit = setTimeout(() => {
    trouble ??= new Error("it does not answer");
    redis.disconnect();
  }, 8000);
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    throw new Error(`there is no queue at ${shown}: ${reasonOf(trouble ?? (error as Error))}`);
  } finally {
    clearTimeout(limit);
    redis.disconnect();
  }
}

function reasonOf(error: Error): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ECONNREFUSED") return "nothing listens there. Is redis-server running?";
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return "the host is not known";
  if (/WRONGPASS|invalid password/i.test(error.message)) return "the password is wrong";
  if (/NOAUTH/i.test(error.message)) return "it asks for a password: redis://:PASSWORD@HOST";
  if (code) return code;
  return /^[\w\s.,:'-]{1,100}$/.test(error.message) ? error.message : "it does not speak as Redis does";
}
