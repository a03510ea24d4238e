// A grader that was killed: what it has left goes with the next one.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sweepGraders } from "../../lib/classroom/left-over.ts";
import { isAlive } from "../../lib/util/process.ts";
import { ownPrefix, topForSockets } from "../../lib/util/temporary.ts";
import { code, notebook, save } from "../chapters/notebooks.ts";
import { until } from "../kernel/waiting.ts";
import { cellA, handedOut, start } from "./setting.ts";

describe("a grader that was killed", function () {
  this.timeout(300_000);

  it("leaves neither folders nor processes once the next one has begun", async () => {
    if (process.platform !== "linux") return;
    const folder = await mkdtemp(join(tmpdir(), "slimlab-left-"));
    const mark = join(folder, "mark");
    try {
      const stays = `import { spawn } from "node:child_process";
const stay = spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
fs.writeFileSync(${JSON.stringify(mark)}, process.ppid + " " + stay.pid);
function double(x: number): number { return stay ? 2 * x : 0; }
await new Promise(() => {});`;
      await save(join(folder, "original.ipynb"), handedOut);
      await save(
        join(folder, "in/ann/w.ipynb"),
        notebook(code(start), code(stays), code(cellA("return 2 * x;"))),
      );
      // Where bubblewrap is, the command line would use it.
      const module = (name: string) =>
        JSON.stringify(new URL(`../../lib/classroom/${name}.js`, import.meta.url).href);
      const program = `import { readAssignment } from ${module("assignment")};
import { gradeClass } from ${module("class")};
import { findSubmissions } from ${module("submissions")};
await gradeClass(await findSubmissions(["in"]), await readAssignment("original.ipynb"), { isolation: "none", jobs: 1 });`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", program], {
        cwd: folder,
        stdio: "ignore",
      });
      const ended = new Promise((done) => child.once("exit", done));
      const grader = child.pid!;
      await until("the student's process runs", () => existsSync(mark));
      await until("its number is written", async () => (await readFile(mark, "utf8")).includes(" "));
      const [, stay] = (await readFile(mark, "utf8")).split(" ").map(Number);
      const tops = [...new Set([realpathSync(tmpdir()), topForSockets()])];
      const folders = async () =>
        (await Promise.all(tops.map((top) => readdir(top))))
          .flat()
          .filter((name) => /^slimlab-(grade|kernel)-/.test(name) && name.includes(`-${grader}-`));
      assert.ok((await folders()).length >= 2, String(await folders()));
      process.kill(grader, "SIGKILL");
      await ended;
      assert.ok(isAlive(stay), "nobody takes a detached process along");
      await sweepGraders();
      assert.deepEqual(await folders(), []);
      await until("the process has ended", () => !isAlive(stay));
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("of a grader that runs, and of one of another container, nothing is taken", async () => {
    const own = await mkdtemp(ownPrefix("slimlab-grade-"));
    const other = await mkdtemp(join(tmpdir(), "slimlab-grade-999999999-00000000-"));
    try {
      await sweepGraders();
      assert.ok(existsSync(own) && existsSync(other));
    } finally {
      await rm(own, { recursive: true });
      await rm(other, { recursive: true });
    }
  });
});
