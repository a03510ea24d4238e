import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { QueueLostError, queueAddress, Sender } from "../../lib/queue/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { freePort, needsRedis, Redis } from "./redis.ts";

interface Answer {
  answer: string;
  bytes: Uint8Array;
  pid: number;
}

/** A worker in a process of its own, and what it tells. */
class TestWorker {
  readonly process: ChildProcess;
  readonly lines: string[] = [];
  #heard: (() => void)[] = [];

  constructor(url: string, lease = 2) {
    const program = join(packageRoot, "dist/test/queue/worker.js");
    this.process = spawn(process.execPath, [program, url, String(lease)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    createInterface({ input: this.process.stdout! }).on("line", (line) => {
      this.lines.push(line);
      for (const heard of this.#heard.splice(0)) heard();
    });
  }

  async says(line: RegExp): Promise<void> {
    while (!this.lines.some((one) => line.test(one))) {
      await new Promise<void>((done) => this.#heard.push(done));
    }
  }

  async end(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await ended;
  }
}

describe("a queue's address", () => {
  const password = "s3cret";
  it("is one of Redis, and is shown without its password", () => {
    const { url, shown } = queueAddress(`redis://ann:${password}@10.0.0.7:6380/2`);
    assert.equal(url, `redis://ann:${password}@10.0.0.7:6380/2`);
    assert.equal(shown, "redis://10.0.0.7:6380/2");
    assert.equal(
      queueAddress("redis://host", { SLIMLAB_QUEUE_PASSWORD: "a/b@c" }).url,
      "redis://:a%2Fb%40c@host",
    );
  });

  const bad: [address: string, message: RegExp][] = [
    ["", /cannot be read/],
    ["localhost:6379", /must begin with redis:/],
    [`http://:${password}@host`, /must begin with redis:.*"http:"/],
    [`redis://:${password}@`, /cannot be read|must name a host/],
    [`redis://:${password}@host:99999`, /cannot be read/],
    [`redis://:${password}@host/first`, /number of a database, got "\/first"/],
  ];
  for (const [address, message] of bad) {
    it(`is not ${JSON.stringify(address)}`, () => {
      assert.throws(
        () => queueAddress(address),
        (error: Error) => message.test(error.message) && !error.message.includes(password),
      );
    });
  }
});

describe("a queue", function () {
  this.timeout(300_000);
  let redis: Redis;
  let workers: TestWorker[] = [];
  let senders: Sender[] = [];
  before(needsRedis);
  beforeEach(async () => {
    redis = await Redis.start();
  });
  afterEach(async () => {
    await Promise.all(senders.map((sender) => sender.close()));
    await Promise.all(workers.map((worker) => worker.end()));
    await redis.stop();
    [workers, senders] = [[], []];
  });
  const work = (lease?: number): TestWorker => {
    const worker = new TestWorker(redis.url, lease);
    workers.push(worker);
    return worker;
  };
  const run = async (name: string, options = {}): Promise<Sender> => {
    const sender = await Sender.open(redis.url, "echo", { name }, options);
    senders.push(sender);
    return sender;
  };

  it("two runs share the workers and do not mix; what fails says why, and values come as they were", async () => {
    const notices: string[] = [];
    const [a, b] = [await run("a", { onNotice: (notice: string) => notices.push(notice) }), await run("b")];
    const asked = [1, 2, 3, 4].flatMap((task) => [
      a.ask<Answer>({ task, wait: 20 }),
      b.ask<Answer>({ task, wait: 20 }),
    ]);
    work();
    work();
    const answers = await Promise.all(asked);
    assert.deepEqual(
      answers.map(({ answer }) => answer),
      ["a 1", "b 1", "a 2", "b 2", "a 3", "b 3", "a 4", "b 4"],
    );
    assert.deepEqual(answers[6].bytes, Uint8Array.of(4));
    await assert.rejects(a.ask({ task: -1 }), /less than none/);
    assert.match(notices[0], /no worker .*slimlab grade-worker redis:\/\/127\.0\.0\.1:/);
  });

  it("what a killed worker had begun, another does; nothing is lost", async () => {
    const sender = await run("a");
    const first = work(1);
    const asked = [0, 1, 2, 3, 4, 5].map((task) => sender.ask<Answer>({ task, wait: task < 2 ? 1500 : 10 }));
    await first.says(/begin a [01]/);
    await first.end();
    work(1);
    const answers = await Promise.all(asked);
    assert.deepEqual(
      answers.map(({ answer }) => answer),
      [0, 1, 2, 3, 4, 5].map((task) => `a ${task}`),
    );
    assert.ok(answers.every(({ pid }) => pid !== first.process.pid));
  });

  it("a worker that was only away comes too late with its answer, and nothing is done twice over", async () => {
    const sender = await run("a");
    const first = work(1);
    const asked = sender.ask<Answer>({ task: 1, wait: 500 });
    await first.says(/begin a 1/);
    first.process.kill("SIGSTOP");
    const second = work(1);
    const { pid } = await asked;
    assert.equal(pid, second.process.pid);
    first.process.kill("SIGCONT");
    await first.says(/end a 1/);
    // It is back at work, and the queue holds nothing of the task any more.
    await second.end();
    assert.equal((await sender.ask<Answer>({ task: 2 })).answer, "a 2");
    assert.equal([...first.lines, ...second.lines].filter((line) => line === "begin a 2").length, 1);
  });

  it("a server that comes back empty gets the tasks anew", async () => {
    const sender = await run("a");
    const worker = work(1);
    assert.equal((await sender.ask<Answer>({ task: 1 })).answer, "a 1");
    await redis.stop();
    await worker.says(/away/);
    const asked = [2, 3].map((task) => sender.ask<Answer>({ task }));
    await redis.start();
    assert.deepEqual(
      (await Promise.all(asked)).map(({ answer }) => answer),
      ["a 2", "a 3"],
    );
  });

  it("a server that stays away ends the run with a reason", async () => {
    const sender = await run("a", { patience: 1 });
    const asked = sender.ask({ task: 1 });
    await redis.stop();
    await assert.rejects(
      asked,
      (error) => error instanceof QueueLostError && /away for 1 s/.test(error.message),
    );
  });

  it("a run that is closed takes back what nobody has begun", async () => {
    const gone = await run("gone");
    const lost = assert.rejects(gone.ask({ task: 1 }), /the run has ended/);
    await gone.close();
    await lost;
    const worker = work();
    assert.equal((await (await run("b")).ask<Answer>({ task: 2 })).answer, "b 2");
    assert.ok(!worker.lines.some((line) => line.includes("gone")), worker.lines.join());
  });

  it("where there is none, the reason is said at once, and no password", async () => {
    const strange = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n")).listen(0);
    await once(strange, "listening");
    const locked = await Redis.start("right");
    const port = (strange.address() as { port: number }).port;
    try {
      const cases: [url: string, message: RegExp][] = [
        [`redis://:s3cret@127.0.0.1:${await freePort()}`, /no queue at redis:\/\/127.*nothing listens there/],
        ["redis://:s3cret@no.such.host.invalid", /the host is not known/],
        [`redis://:s3cret@127.0.0.1:${port}`, /no queue at/],
        [`redis://:s3cret@127.0.0.1:${locked.port}`, /the password is wrong/],
        [`redis://127.0.0.1:${locked.port}`, /it asks for a password/],
      ];
      for (const [url, message] of cases) {
        await assert.rejects(Sender.open(url, "echo", {}), (error: Error) => {
          assert.match(error.message, message);
          assert.ok(!error.message.includes("s3cret"));
          return true;
        });
      }
    } finally {
      strange.close();
      await locked.stop();
    }
  });
});
