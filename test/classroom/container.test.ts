// Students' code in containers, by the real podman; docker takes the same command line, and was not run.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { assignmentOf, Judge } from "../../lib/classroom/assignment.ts";
import { chooseIsolation } from "../../lib/classroom/choose-isolation.ts";
import { containerState } from "../../lib/classroom/container.ts";
import { gradeNotebook } from "../../lib/classroom/grade.ts";
import { SandboxPool } from "../../lib/classroom/pool.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { code, notebook } from "../chapters/notebooks.ts";
import { handedOut, perfect } from "./setting.ts";

const image = "localhost/slimlab-test:latest";

/** An image without a network: a shell, and the libraries that Node needs. */
function makeImage(folder: string): void {
  const root = join(folder, "root");
  const node = realpathSync(process.execPath);
  const found = execFileSync("ldd", [node, realpathSync("/bin/sh")], { encoding: "utf8" });
  const libraries = found.match(/\/\S+\.so[.\w]*/g) ?? [];
  for (const path of [...new Set([...libraries, "/bin/sh"])]) {
    mkdirSync(join(root, dirname(path)), { recursive: true });
    copyFileSync(realpathSync(path), join(root, path));
  }
  mkdirSync(join(root, "tmp"));
  execFileSync("tar", ["-C", root, "-cf", join(folder, "image.tar"), "."]);
  execFileSync("podman", ["import", "--quiet", join(folder, "image.tar"), image], { stdio: "ignore" });
}

describe("students' code in a container", function () {
  this.timeout(300_000);
  let folder: string | undefined;
  before(function () {
    const missing = ["podman", "runc"].find((name) => spawnSync(name, ["--version"]).status !== 0);
    if (missing !== undefined) {
      if (process.env.CI) throw new Error(`${missing} is not installed`);
      console.log(`      skipped: ${missing} is not installed`);
      this.skip();
    }
    folder = mkdtempSync(join(tmpdir(), "slimlab-podman-"));
    // The older of the two runtimes knows control groups of either version.
    writeFileSync(join(folder, "containers.conf"), '[engine]\nruntime = "runc"\n');
    process.env.CONTAINERS_CONF = join(folder, "containers.conf");
    try {
      makeImage(folder);
    } catch (error) {
      if (process.env.CI) throw error;
      console.log(`      skipped: podman makes no image here: ${(error as Error).message}`);
      this.skip();
    }
  });
  after(() => {
    delete process.env.CONTAINERS_CONF;
    if (folder) rmSync(folder, { recursive: true });
  });

  it("is graded as anywhere, without a network, others' files and the product's notebooks, and within its memory", async () => {
    const dead = spawnSync(process.execPath, ["--version"]).pid;
    const left = `slimlab-${dead}-left`;
    execFileSync("podman", [
      "create",
      "--name",
      left,
      "--label",
      "slimlab.sandbox",
      "--network",
      "none",
      image,
      "/bin/sh",
    ]);
    const said: string[] = [];
    assert.equal(
      chooseIsolation({ isolation: "podman", image }, (line) => said.push(line)),
      "podman",
    );
    assert.match(said[0], /^isolation: podman \(.*no network.*\); memory and processes: limited by podman/);
    assert.ok(
      spawnSync("podman", ["container", "exists", left]).status !== 0,
      "what a dead grader left is gone",
    );
    const judge = await Judge.start(await assignmentOf(handedOut, "original.ipynb"));
    const pool = new SandboxPool({ isolation: "podman", image, size: 1, limits: { memory: 700 } });
    try {
      const good = await gradeNotebook(notebook(...perfect()), judge, pool, { timeout: 30 });
      assert.deepEqual([good.points, good.isolation], [2, "podman"]);
      const spy = `import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
let refused = "";
try { writeFileSync(${JSON.stringify(join(packageRoot, "dist/lib/evil.js"))}, ""); } catch (error) { refused = (error as { code: string }).code; }
[Object.keys(networkInterfaces()).join("+"), existsSync(${JSON.stringify(join(packageRoot, "notebooks"))}), readdirSync("/proc").filter(Number).length < 6, refused].join()`;
      const bomb =
        "const kept: Buffer[] = []; for (;;) { kept.push(Buffer.alloc(64 * 1024 * 1024, 1)); await new Promise((done) => setTimeout(done, 1)); }";
      const bad = await gradeNotebook(notebook(code(spy), code(bomb), ...perfect()), judge, pool, {
        timeout: 60,
        all: true,
      });
      assert.match(JSON.stringify(bad.notebook!.cells[0].outputs), /"'lo,false,true,EROFS'"/);
      assert.match(JSON.stringify(bad.failures), /"cell":2,"name":"KernelDied"/);
      assert.equal(bad.points, 2, "the exercises are solved all the same");
    } finally {
      await judge.end();
      await pool.end();
    }
    const names = execFileSync("podman", ["ps", "--all", "--format", "{{.Names}}"], { encoding: "utf8" });
    assert.ok(!names.includes(`slimlab-${process.pid}-`), `nothing is left: ${names}`);
  });

  it("says what is in the way", () => {
    assert.match(
      containerState("podman", "localhost/none:1").reason,
      /localhost\/none:1 is not here \(podman pull/,
    );
    assert.throws(
      () => chooseIsolation({ isolation: "podman", image: "localhost/none:1" }, () => {}),
      /not run without a sandbox: podman: the image localhost\/none:1 is not here.*--unsafe/,
    );
    assert.throws(
      () => chooseIsolation({ isolation: "jail" }, () => {}),
      /--isolation must be one of.*"jail"/,
    );
  });
});
