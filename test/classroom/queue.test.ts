// A class that is graded on other machines: here, on workers in processes of their own.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Result } from "../../lib/classroom/results.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { code, notebook, save } from "../chapters/notebooks.ts";
import { freePort, needsRedis, Redis } from "../queue/redis.ts";
import { cellA, cellB, handedOut, needsSandbox, perfect, slimlab, start } from "./setting.ts";

describe("a class by a queue", function () {
  this.timeout(240_000);
  let redis: Redis;
  let folder: string;
  const workers: ChildProcess[] = [];
  before(async function () {
    needsRedis.call(this);
    needsSandbox.call(this);
    redis = await Redis.start("s3cret");
    folder = await mkdtemp(join(tmpdir(), "slimlab-queue-"));
    await save(join(folder, "original.ipynb"), handedOut);
    await save(join(folder, "in", "ann", "w.ipynb"), notebook(...perfect()));
    await save(
      join(folder, "in", "bob", "w.ipynb"),
      notebook(code(start), code(cellA("return 0;")), code(cellB("[1]"))),
    );
    await save(join(folder, "in", "cem", "w.ipynb"), "");
    for (const name of ["dan", "eve"])
      await save(join(folder, "in", name, "w.ipynb"), notebook(...perfect()));
  });
  after(async () => {
    for (const worker of workers) {
      if (worker.exitCode !== null || worker.signalCode !== null) continue;
      worker.kill("SIGKILL");
      await once(worker, "exit");
    }
    await redis?.stop();
    if (folder) await rm(folder, { recursive: true });
  });

  /** A worker; `onTask` hears of each task that it begins. */
  const work = (onTask: (worker: ChildProcess) => void = () => {}): ChildProcess => {
    const worker = spawn(
      process.execPath,
      [join(packageRoot, "dist/lib/cli.js"), "grade-worker", "--jobs", "1", "--lease", "2", redis.url],
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    createInterface({ input: worker.stdout! }).on("line", (line) => {
      if (/^task \d+: grade/.test(line)) onTask(worker);
    });
    workers.push(worker);
    return worker;
  };

  it("is graded as it is here, also if a worker dies on the way; two teachers do not mix", async () => {
    let died = false;
    // Its first task is what passes without work, its second a submission.
    let begun = 0;
    work((worker) => {
      if (++begun < 2 || died) return;
      died = true;
      worker.kill("SIGKILL");
      work();
    });
    const other = notebook(code('const x = 0; // your turn\ncheck("other", () => x === 1)'));
    other.cells.unshift(code('import { check } from "slimlab/classroom";'));
    await save(join(folder, "other.ipynb"), other);
    await save(
      join(folder, "second", "zoe", "w.ipynb"),
      notebook(other.cells[0], code('const x = 1;\ncheck("other", () => x === 1)')),
    );
    const grade = (original: string, out: string, ...rest: string[]) =>
      slimlab(folder, ["grade", "--original", original, "--out", out, ...rest]);
    const [ours, theirs] = await Promise.all([
      grade("original.ipynb", "queued", "--queue", redis.url, "in"),
      grade("other.ipynb", "second-out", "--queue", redis.url, "second"),
    ]);
    assert.equal(ours.code, 1, ours.stderr);
    assert.equal(theirs.code, 0, theirs.stderr);
    assert.ok(died, "a worker was killed");
    for (const { stdout, stderr } of [ours, theirs]) assert.ok(!`${stdout}${stderr}`.includes("s3cret"));
    assert.equal((await grade("original.ipynb", "here", "--jobs", "2", "in")).code, 1);
    const read = async (out: string) => {
      const results: Result[] = JSON.parse(await readFile(join(folder, out, "grades.json"), "utf8"));
      return results.map(({ grade: { seconds: _, slowest: __, ...grade }, ...rest }) => ({ ...rest, grade }));
    };
    const queued = await read("queued");
    assert.deepEqual(queued, await read("here"));
    assert.deepEqual(
      queued.map(({ id, points }) => [id, points]),
      [
        ["ann", 2],
        ["bob", 0.5],
        ["cem", 0],
        ["dan", 2],
        ["eve", 2],
      ],
    );
    const lines = (await readFile(join(folder, "queued/results.jsonl"), "utf8")).trim().split("\n");
    const ids = lines.map((line) => JSON.parse(line).id).filter(Boolean);
    assert.deepEqual(ids.sort(), ["ann", "bob", "dan", "eve"], "each is graded once");
    assert.match(await readFile(join(folder, "queued/feedback/bob.html"), "utf8"), /✗ a: 0\.5 \/ 1/);
  });

  it("addresses that make no sense, and queues that are not there, are refused before anything is read", async () => {
    const free = await freePort();
    const cases: [args: string[], message: RegExp][] = [
      [["--queue", "http://:pa55word@host"], /must begin with redis:/],
      [["--queue", `redis://:pa55word@127.0.0.1:${free}`], /no queue at .*nothing listens there/],
      [["--queue", `redis://:pa55word@127.0.0.1:${redis.port}`], /the password is wrong/],
    ];
    const ended = await Promise.all([
      ...cases.map(([args]) => slimlab(folder, ["grade", "--original", "original.ipynb", ...args, "in"])),
      ...cases.map(([args]) => slimlab(folder, ["grade-worker", args[1]])),
    ]);
    for (const [i, { code: status, stdout, stderr }] of ended.entries()) {
      assert.equal(status, 1, stdout);
      assert.match(stderr, cases[i % cases.length][1]);
      assert.ok(!`${stdout}${stderr}`.includes("pa55word"));
    }
  });
});
