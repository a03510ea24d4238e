// The side of a queue that works: takes tasks of any run and answers them. A worker that dies has its tasks taken over.
import { hostname } from "node:os";
import type { Job, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { connect, prefix, queueName, type Task } from "./connect.ts";
import { aliveKey, answerKey, answerSeconds, runEnded, startKey } from "./keys.ts";
import { pack, unpack } from "./pack.ts";

/** What answers the tasks of one run. */
export interface Desk {
  answer(question: never): Promise<unknown>;
  end(): Promise<void>;
}

/** Opens the desk of a run, by its kind, with what its tasks have in common. */
export type Desks = Record<string, (start: never, places: number) => Promise<Desk>>;

/** Options of {@link serve}. */
export interface ServeOptions {
  /** Tasks at a time. */
  places: number;
  /** Seconds without a sign of life after which others take a worker's tasks. Default 30. */
  lease?: number;
  /** Ends the work when what is begun is done. */
  signal?: AbortSignal;
  onTask?: (kind: string, run: string) => void;
  /** Called when the queue goes away, and when it is back. */
  onConnection?: (there: boolean) => void;
}

/** Tasks of a run for which this many workers died end with a reason. */
const mostDeaths = 20;
const idleMilliseconds = 60_000;

interface Open {
  desk: Promise<Desk>;
  active: number;
  used: number;
}

/**
 * Works at a queue until the signal ends it.
 *
 * @throws Error where there is no queue at the address when it begins; later it waits for a queue that has gone
 */
export async function serve(url: string, desks: Desks, options: ServeOptions): Promise<void> {
  const connection = await connect(url);
  const redis = connection.redis();
  const open = new Map<string, Open>();
  const tidy = setInterval(() => void endIdle(open, redis), idleMilliseconds / 4);
  const lease = (options.lease ?? 30) * 1000;
  const worker = new connection.bullmq.Worker<Task>(
    queueName,
    (job) => answer(job, redis, open, desks, options),
    {
      connection: connection.redis() as never,
      prefix,
      name: `${hostname()}-${process.pid}`,
      concurrency: options.places,
      lockDuration: lease,
      stalledInterval: lease,
      maxStalledCount: mostDeaths,
    },
  );
  worker.on("error", () => {}); // Said by onConnection; BullMQ tries again.
  redis.on("close", () => options.onConnection?.(false));
  redis.on("ready", () => options.onConnection?.(true));
  try {
    await ended(worker, options.signal);
  } finally {
    clearInterval(tidy);
    await Promise.allSettled([...open.values()].map(async ({ desk }) => (await desk).end()));
    connection.close();
  }
}

async function ended(worker: Worker<Task>, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((done) => {
    if (signal?.aborted) done();
    signal?.addEventListener("abort", () => done(), { once: true });
  });
  await worker.close();
}

async function answer(
  job: Job<Task>,
  redis: Redis,
  open: Map<string, Open>,
  desks: Desks,
  options: ServeOptions,
): Promise<string> {
  const { run, kind, content } = job.data;
  if (!(await redis.exists(aliveKey(run)))) throw new Error(runEnded);
  const place = open.get(run) ?? openDesk(run, kind, redis, open, desks, options);
  place.active++;
  try {
    options.onTask?.(kind, run);
    const found = await (await place.desk).answer(unpack(content) as never);
    await redis.set(answerKey(job.id!), pack(found), "EX", answerSeconds);
    return "";
  } finally {
    place.active--;
    place.used = Date.now();
  }
}

function openDesk(
  run: string,
  kind: string,
  redis: Redis,
  open: Map<string, Open>,
  desks: Desks,
  { places }: ServeOptions,
): Open {
  if (!Object.hasOwn(desks, kind)) throw new Error(`this worker does not know ${JSON.stringify(kind)}`);
  const text = redis.get(startKey(run)).then((found) => {
    if (found === null) throw new Error(runEnded);
    return unpack(found);
  });
  const desk = text.then((start) => desks[kind](start as never, places));
  const made: Open = { desk, active: 0, used: Date.now() };
  open.set(run, made);
  desk.catch(() => open.delete(run)); // The next task of the run tries again.
  return made;
}

/** Desks of runs that have ended, or of which nothing comes any more, are cleared away. */
async function endIdle(open: Map<string, Open>, redis: Redis): Promise<void> {
  for (const [run, { desk, active, used }] of open) {
    if (active > 0) continue;
    const isOver = Date.now() - used > idleMilliseconds || !(await redis.exists(aliveKey(run)));
    if (!isOver || open.get(run)?.active !== 0) continue;
    open.delete(run);
    await desk.then((one) => one.end()).catch(() => {});
  }
}
