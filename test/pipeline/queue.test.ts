// A search whose trials run at a queue.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadPretrained, useBackend } from "slimlab/nn";
import { type Space, search, type Trial } from "slimlab/pipeline";
import { packageRoot } from "../../lib/util/files.ts";
import { freePort, needsRedis, Redis } from "../queue/redis.ts";
import { smallData } from "./fixture.ts";

describe("2.3 pipeline/queue: a search on other machines", function () {
  this.timeout(300_000);
  before(needsRedis);

  it("finds the recipes and the numbers that it finds here", async () => {
    await useBackend("wasm");
    const redis = await Redis.start();
    const folder = await mkdtemp(join(tmpdir(), "slimlab-"));
    let worker: ChildProcess | undefined;
    const model = await loadPretrained("lenet-300-100");
    try {
      worker = spawn(
        process.execPath,
        [join(packageRoot, "dist/lib/cli.js"), "grade-worker", "--unsafe", "--jobs", "1", redis.url],
        { stdio: "ignore", env: { ...process.env, SLIMLAB_BACKEND: "wasm" } },
      );
      const data = await smallData(100, 100);
      const space: Space = {
        steps: [
          { technique: "pruneWeights", sparsity: { from: 0.3, to: 0.9 } },
          { technique: "quantize", bits: { oneOf: [2, 4, 8] }, optional: true },
        ],
      };
      const options = { trials: 4, explore: 2, seed: 5, cache: false as const };
      const outcome = ({ label, rows, error }: Trial) => [
        label,
        error,
        rows.at(-1)?.bytes,
        rows.at(-1)?.accuracy,
      ];
      const there = await search(model, data, space, { ...options, queue: redis.url });
      const here = await search(model, data, space, { ...options, workers: 1 });
      assert.deepEqual(there.trials.map(outcome), here.trials.map(outcome));
      assert.equal(there.trials.length, 4);
      const gone = `redis://:s3cret@127.0.0.1:${await freePort()}`;
      await assert.rejects(
        search(model, data, space, { ...options, queue: gone }),
        (error: Error) => /no queue at/.test(error.message) && !error.message.includes("s3cret"),
      );
    } finally {
      model.dispose();
      if (worker?.exitCode === null) {
        worker.kill("SIGKILL");
        await once(worker, "exit");
      }
      await redis.stop();
      await rm(folder, { recursive: true });
    }
  });
});
