// .ci/run itself, on suites of a few lines: what it counts, what it gives a second chance, what it says at its end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { packageRoot } from "../../lib/util/files.ts";

/** Code that does something the first time that it runs and never again. */
const once = (what: string) => `
import { existsSync, writeFileSync } from "node:fs";
const mark = import.meta.filename + ".mark";
function once() {
  if (existsSync(mark)) return;
  writeFileSync(mark, "");
  ${what}
}`;

const suites: Record<string, string> = {
  steady: `describe("empty", () => {}); describe("steady", () => { it("holds", () => {}); it("holds", () => {}); it("is to come"); });`,
  flaky: `${once('throw new Error("bad luck");')}
describe("flaky", () => { it("falls over at first", once); it("holds", () => {}); });`,
  broken: `describe("broken", () => { it("never holds", () => { throw new Error("3 is not 4"); }); it("holds", () => {}); });`,
  crashing: `${once("process.kill(process.pid, 'SIGKILL');")}
describe("crashing", () => { it("holds", () => {}); it("takes all down at first", once); });`,
  fatal: `describe("fatal", () => { it("holds", () => {}); it("takes all down", () => process.exit(3)); });`,
  hooked: `${once('throw new Error("no server yet");')}
describe("hooked", () => { before(once); it("holds", () => {}); });`,
  unhooked: `let n = 0; describe("unhooked", () => { beforeEach(() => { if (++n > 1) throw new Error("used up"); }); it("a", () => {}); it("b", () => {}); });`,
  worse: `${once("return;")} import { existsSync as there } from "node:fs"; const second = there(mark);
describe("worse", () => { it("marks", once); it("falls over at first", () => { if (!second) throw new Error("first"); }); it("falls over later", () => { if (second) throw new Error("second"); }); });`,
  hanging: `${once("Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);")}
describe("hanging", () => { it("is stuck at first", once); });`,
  unloadable: `import "./no-such-file.mjs";`,
};

describe(".ci/run", function () {
  this.timeout(300_000);
  let folder: string;
  before(function () {
    if (process.platform === "win32") this.skip(); // It needs bash.
  });
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-ci-"));
    for (const [name, code] of Object.entries(suites))
      await writeFile(join(folder, `${name}.test.mjs`), code);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Runs lines of bash after .ci/run has brought its functions. */
  function bash(script: string): Promise<{ code: number | null; lines: string[]; text: string }> {
    return new Promise((resolve, reject) => {
      const child = spawn("bash", ["-c", `source .ci/run\n${script}`], {
        cwd: packageRoot,
        env: { ...process.env, SLIMLAB_CI_PAUSE: "0" },
      });
      let text = "";
      child.stdout.on("data", (part) => (text += part));
      child.stderr.on("data", (part) => (text += part));
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, text, lines: text.trimEnd().split("\n") }));
    });
  }
  const file = (name: string) => join(folder, `${name}.test.mjs`);
  const mocha = (...names: string[]) => `node node_modules/mocha/bin/mocha.js ${names.map(file).join(" ")}`;
  const shown = (name: string) => relative(packageRoot, file(name));

  it("counts what passes and what is pending", async () => {
    const { code, lines } = await bash(`suite steady ${mocha("steady")}; finish`);
    assert.equal(lines.at(-1), "2 passed, 0 failed, 1 skipped");
    assert.equal(code, 0);
    assert.deepEqual(
      lines.filter((line) => /flaky:|once more/.test(line)),
      [],
    );
  });

  it("runs a failed file once more, alone; what passes then counts, and is listed before the last line", async () => {
    const { code, lines } = await bash(`suite two ${mocha("flaky", "steady")}; finish`);
    assert.deepEqual(lines.slice(-2), [
      `flaky: ${shown("flaky")}: flaky falls over at first`,
      "4 passed, 0 failed, 1 skipped",
    ]);
    assert.equal(code, 0);
    assert.deepEqual(
      lines.filter((line) => line.startsWith("--- once more")),
      [`--- once more, alone: ${shown("flaky")}`],
    );
  });

  it("fails for what fails twice, and says at its end what it was", async () => {
    const { code, lines } = await bash(`suite all ${mocha("broken", "flaky", "steady")}; finish`);
    assert.equal(lines.at(-1), "5 passed, 1 failed, 1 skipped");
    assert.equal(code, 1);
    const end = lines.slice(lines.findIndex((line) => line.startsWith("=== done")));
    assert.equal(end[1], `FAILED: ${shown("broken")}: broken never holds`);
    assert.match(end[2], /Error: 3 is not 4/);
    assert.equal(end.at(-2), `flaky: ${shown("flaky")}: flaky falls over at first`);
  });

  it("takes up a run that a crash has cut off, file by file, with two chances for each", async () => {
    const { code, lines } = await bash(`suite all ${mocha("steady", "crashing", "flaky")}; finish`);
    assert.deepEqual(lines.slice(-3), [
      `flaky: ${shown("crashing")}: signal SIGKILL`,
      `flaky: ${shown("flaky")}: flaky falls over at first`,
      "6 passed, 0 failed, 1 skipped",
    ]);
    assert.equal(code, 0);
    assert.equal(lines.filter((line) => line === `--- once more, alone: ${shown("steady")}`).length, 0);
  });

  it("fails for what takes mocha down twice", async () => {
    const { code, lines } = await bash(`suite all ${mocha("fatal", "steady")}; finish`);
    assert.match(lines.at(-3)!, /^=== done/);
    assert.deepEqual(lines.slice(-2), [
      `FAILED: ${shown("fatal")}: exit code 3`,
      "3 passed, 1 failed, 1 skipped",
    ]);
    assert.equal(code, 1);
  });

  it("gives hooks a second chance, and no third", async () => {
    const { code, lines } = await bash(`suite all ${mocha("hooked", "unhooked")}; finish`);
    assert.equal(lines.at(-2), `flaky: ${shown("hooked")}: hooked "before all" hook: once`);
    assert.equal(lines.at(-1), "2 passed, 1 failed");
    assert.ok(lines.includes(`FAILED: ${shown("unhooked")}: unhooked "before each" hook`));
    assert.equal(code, 1);
  });

  it("takes a test for passed that passed once, also where another one of its file fails the second time", async () => {
    const { lines } = await bash(`suite all ${mocha("worse")}; finish`);
    assert.deepEqual(lines.slice(-3), [
      `flaky: ${shown("worse")}: worse falls over at first`,
      `flaky: ${shown("worse")}: worse falls over later`,
      "3 passed, 0 failed",
    ]);
  });

  it("ends a run that says nothing any more", async () => {
    const { code, lines } = await bash(`suite all --silence 8 ${mocha("hanging", "steady")}; finish`);
    assert.deepEqual(lines.slice(-2), [
      `flaky: ${shown("hanging")}: no output for 8 s`,
      "3 passed, 0 failed, 1 skipped",
    ]);
    assert.equal(code, 0);
  });

  it("runs all of it again where nothing tells what failed, and fails where no test runs", async () => {
    const lint = `bash -c '[[ -e ${folder}/linted ]] || { touch ${folder}/linted; exit 4; }; exec "$@"' _`;
    const first = await bash(`suite all ${lint} ${mocha("steady")}; finish`);
    assert.equal(first.lines.at(-1), "2 passed, 0 failed, 1 skipped");
    assert.match(first.lines.at(-2)!, /^flaky: bash -c .*: exit code 4 before the first test$/);
    const second = await bash(`suite all ${mocha("unloadable")}; finish`);
    assert.equal(second.lines.at(-1), "0 passed, 1 failed");
    assert.match(
      second.lines.at(-2)!,
      /^FAILED: .*unloadable.*: exit code \d+ before the first test, twice$/,
    );
    assert.equal(second.code, 1);
    const none = await bash("suite none true; finish");
    assert.deepEqual(none.lines.slice(-2), [
      "FAILED: true: exit code 0 before the first test, twice",
      "0 passed, 1 failed",
    ]);
  });

  it("names files of tests that are there", async () => {
    const { lines } = await bash(`printf '%s\\n' "\${by_version[@]}"`);
    assert.ok(lines.length > 5);
    for (const line of lines) assert.ok(existsSync(join(packageRoot, line)), line);
  });

  it("tries three times what needs the network", async () => {
    const attempts = (good: number) =>
      `n=0; install() { n=$((n + 1)); [[ $n == ${good} ]]; }; check install again install; echo "n=$n"; finish`;
    const third = await bash(attempts(3));
    assert.ok(third.lines.includes("n=3"), third.text);
    assert.equal(third.lines.at(-1), "1 passed, 0 failed");
    const never = await bash(attempts(4));
    assert.ok(never.lines.includes("n=3"), never.text);
    assert.deepEqual(never.lines.slice(-2), ["FAILED: install", "0 passed, 1 failed"]);
    assert.equal(never.code, 1);
  });

  it("does the jobs of a queue side by side, and says of each what failed", async () => {
    // What each of two jobs waits for, the other one makes: neither would end alone.
    const meet = (own: string, other: string) =>
      `touch "${folder}/${own}"; until [[ -e "${folder}/${other}" ]]; do sleep 0.1; done`;
    const { code, lines, text } = await bash(
      `long() { ${meet("long", "short")}; suite long ${mocha("flaky", "broken")}; check bad false; check good true; }
       short() { ${meet("short", "long")}; suite "$1" ${mocha("steady", "hooked")}; }
       queue 2 long "short named" "check late true" "check later true"; finish`,
    );
    assert.equal(lines.at(-1), "9 passed, 2 failed, 1 skipped", text);
    assert.equal(code, 1);
    const end = lines.slice(lines.findIndex((line) => line.startsWith("=== done")));
    assert.deepEqual(end.filter((line) => /^(FAILED|flaky)/.test(line)).sort(), [
      `FAILED: ${shown("broken")}: broken never holds`,
      "FAILED: bad",
      `flaky: ${shown("flaky")}: flaky falls over at first`,
      `flaky: ${shown("hooked")}: hooked "before all" hook: once`,
    ]);
    for (const name of ["long", "named", "late", "later"])
      assert.equal(lines.filter((line) => line.startsWith(`=== ${name} `)).length, 1, `${name} is done once`);
  });

  it("fails where a lane breaks off, and the others do what is left", async () => {
    const broken = await bash(`bad() { exit 3; }; queue 2 bad "suite short ${mocha("steady")}"; finish`);
    assert.deepEqual(broken.lines.slice(-2), [
      "FAILED: a lane of the queue broke off",
      "2 passed, 1 failed, 1 skipped",
    ]);
    assert.equal(broken.code, 1);
    const none = await bash(`queue 3 "suite long ${mocha("steady")}" "suite none true"; finish`);
    assert.equal(none.lines.at(-1), "2 passed, 1 failed, 1 skipped");
    const all = await bash(`bad() { exit 3; }; queue 1 bad "check never true"; finish`);
    assert.deepEqual(all.lines.slice(-2), ["FAILED: a lane of the queue broke off", "0 passed, 1 failed"]);
  });

  it("a job waits for an earlier one, whether that ends or breaks off", async () => {
    const jobs = (first: string) =>
      `first() { sleep 1; ${first}; }; second() { after first; [[ -e "${folder}/made" ]] && check there true; check second true; }
       queue 2 first second; finish`;
    const whole = await bash(jobs(`touch "${folder}/made"`));
    assert.equal(whole.lines.at(-1), "2 passed, 0 failed");
    await rm(join(folder, "made"));
    const broken = await bash(jobs("exit 3"));
    assert.equal(broken.lines.at(-1), "1 passed, 1 failed", broken.text);
  });

  it("has a job for each room that npm test leaves out", async () => {
    const { lines } = await bash(
      `printf '%s\\n' "\${apart[@]}" "" "\${jobs[@]}" ""; suite() { echo "$@"; }; after() { :; }; all_others`,
    );
    const [apart, jobs, others] = lines.join("\n").split("\n\n");
    const rooms = apart.split("\n");
    for (const room of rooms) assert.ok(existsSync(join(packageRoot, "dist", "test", room)), room);
    const ran = jobs.split("\n").flatMap((job) => /^room\w* (.*)$/.exec(job)?.[1] ?? []);
    assert.deepEqual(ran.sort(), [...rooms].sort());
    assert.ok(others.endsWith(` npm test -- --ignore dist/test/{${rooms.join(",")}}/**`), others);
    for (const job of ["python_environment", "other_nodes", "all_others"])
      assert.equal(jobs.split("\n").filter((one) => one === job).length, 1, job);
  });

  it("adds its parts up", async () => {
    const { lines } = await bash(
      `check good true; suite one ${mocha("steady")}; WITH="env A=1" suite two ${mocha("flaky")}; check bad false || true; finish`,
    );
    assert.deepEqual(lines.slice(-3), [
      "FAILED: bad",
      `flaky: ${shown("flaky")}: flaky falls over at first`,
      "5 passed, 1 failed, 1 skipped",
    ]);
  });
});
