// nbgrader itself takes our source: it releases, grades by cases, and writes feedback.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { parseCsv } from "../../lib/classroom/results.ts";
import { findSubmissions } from "../../lib/classroom/submissions.ts";
import { run as release } from "../../lib/commands/release.ts";
import { venvProgram } from "../../lib/install/venv.ts";
import { type Notebook, textOf } from "../../lib/notebook/notebook.ts";
import { code, notebook, save } from "../chapters/notebooks.ts";
import { fetchAndSubmit, lookAt } from "./nbgrader-pages.ts";
import { jupyterEnvironment, needBrowser, needLab } from "./tools.ts";

const source = notebook(
  code('import { check, expectEqual } from "slimlab/classroom";'),
  code(
    'const double = (x: number): number => 0; // your turn\n\ncheck("a", {\n  "three": () => expectEqual(double(3), 6),\n  "five": () => expectEqual(double(5), 10),\n  // BEGIN HIDDEN TESTS\n  "seven": () => expectEqual(double(7), 14),\n  "nine": () => expectEqual(double(9), 18),\n  // END HIDDEN TESTS\n})',
  ),
  code("const double = (x: number): number => 2 * x;", [], ["solution", "skip-execution"]),
  code(
    'const half = (x: number): number => 0; // your turn\n\ncheck("b", { "six": () => expectEqual(half(6), 3) })',
  ),
  code("const half = (x: number): number => x / 2;", [], ["solution", "skip-execution"]),
);
source.cells[1].metadata.slimlab = { points: 4 };
source.cells[3].metadata.slimlab = { points: 3 };

describe("nbgrader, as PyPI has it", function () {
  this.timeout(300_000);
  let folder: string;
  let nbgrader: (...args: string[]) => string;
  before(async function () {
    const venv = await needLab(this, "nbgrader");
    folder = await mkdtemp(join(tmpdir(), "slimlab-nbgrader-"));
    // Its messages belong to a failure only.
    nbgrader = (...args) =>
      execFileSync(venvProgram(venv, "python"), ["-m", "nbgrader", ...args], {
        cwd: join(folder, "course"),
        // It calls alembic by its name.
        env: {
          ...jupyterEnvironment(join(folder, "home")),
          PATH: [dirname(venvProgram(venv, "python")), process.env.PATH].join(delimiter),
        },
        encoding: "utf8",
        stdio: ["ignore", "pipe", "pipe"],
      });
  });
  after(() => folder && rm(folder, { recursive: true }));

  it("releases our source, grades by cases, hidden ones too, and writes feedback", async () => {
    const path = await save(join(folder, "ps1.ipynb"), source);
    const log = console.log;
    console.log = () => {};
    try {
      assert.equal(await release(["--nbgrader", join(folder, "course"), path]), 0);
    } finally {
      console.log = log;
    }
    nbgrader("generate_assignment", "ps1", "--create");
    const handedOut: Notebook = JSON.parse(
      await readFile(join(folder, "course/release/ps1/ps1.ipynb"), "utf8"),
    );
    const text = handedOut.cells.map(({ source }) => textOf(source)).join("\n");
    assert.ok(!text.includes("2 * x") && !text.includes("seven") && text.includes("YOUR CODE HERE"), text);

    const [double, half] = [2, 4].map((index) => textOf(source.cells[index].source));
    const answers: Record<string, [a?: string, b?: string]> = {
      ann: [double, half],
      // 2.11 JavaScript without types is an error of types, as in JupyterLab.
      bob: [
        "const double = (x: number): number => (x > 6 ? 0 : 2 * x);",
        "function half(x) { return x / 2; }",
      ],
      cem: [],
      // 2.10 What is written to the error stream counts as a failure.
      dan: [
        "const double = (x: number): number => 7;",
        "const half = (x: number): number => { console.warn(x); return x / 2; };",
      ],
      // 2.07 A call that never comes back (it waits, for the sake of other tests) costs its own exercise.
      eve: [
        "const pause = new Int32Array(new SharedArrayBuffer(4));\nconst double = (x: number): number => { for (;;) Atomics.wait(pause, 0, 0, 50); };",
        half,
      ],
      // 2.08 A kernel that is gone costs its student's grade, and nobody else's.
      fay: [`process.kill(process.pid, "SIGKILL");\n${double}`, half],
    };
    for (const [student, given] of Object.entries(answers)) {
      const work = structuredClone(handedOut);
      const cells = work.cells.filter(({ source }) => textOf(source).includes("YOUR CODE HERE"));
      for (const [i, answer] of given.entries()) if (answer) cells[i].source = answer;
      await save(join(folder, "course/submitted", student, "ps1/ps1.ipynb"), work);
    }
    assert.throws(
      () => nbgrader("autograde", "ps1"),
      ({ stderr }: { stderr: string }) => {
        const failed = [...stderr.matchAll(/error processing assignment 'ps1' for student '(\w+)'/g)];
        assert.deepEqual(
          failed.map(([, student]) => student),
          ["fay"],
          stderr,
        );
        assert.match(stderr, /Kernel died/);
        return true;
      },
    );
    nbgrader("export", "--to", "grades.csv");
    const [head, ...rows] = parseCsv(await readFile(join(folder, "course/grades.csv"), "utf8"));
    const at = (name: string) => head.indexOf(name);
    const scores = Object.fromEntries(rows.map((row) => [row[at("student_id")], Number(row[at("score")])]));
    assert.deepEqual(scores, { ann: 7, bob: 2, cem: 0, dan: 0, eve: 3, fay: 0 });
    nbgrader("generate_feedback", "ps1");
    await cp(join(folder, "course/feedback/ann/ps1/ps1.html"), join(folder, "ann.html"));
    assert.match(await readFile(join(folder, "ann.html"), "utf8"), /7\.0 \/ 7\.0/);
  });

  it("2.04 its validation fails a wrong notebook", async () => {
    const wrong = join(folder, "course/submitted/dan/ps1/ps1.ipynb");
    assert.match(nbgrader("validate", wrong), /VALIDATION FAILED/i);
    assert.match(nbgrader("validate", join(folder, "course/submitted/ann/ps1/ps1.ipynb")), /Success/);
  });

  it("its exchange hands out and collects, by JupyterLab's Assignment List, and slimlab grades what came", async function () {
    const browser = await needBrowser(this);
    const [exchange, student] = [join(folder, "exchange"), join(folder, "student")];
    await mkdir(exchange);
    await chmod(exchange, 0o777);
    await save(
      join(student, "nbgrader_config.py"),
      `c = get_config()\nc.Exchange.root = ${JSON.stringify(exchange)}\n`,
    );
    try {
      nbgrader("release_assignment", "ps1", `--Exchange.root=${exchange}`);
      await fetchAndSubmit(browser, await needLab(this), student);
    } finally {
      await browser.close();
    }
    const [one, ...others] = await findSubmissions([join(exchange, "course/inbound")]);
    assert.deepEqual([one.student, others.length], [userInfo().username, 0]);
    assert.match(JSON.stringify(one.notebook), /YOUR CODE HERE/);
  });

  it("its pages show our notebooks with their points; in JupyterLab its panel and its button work", async function () {
    const browser = await needBrowser(this);
    try {
      await lookAt(browser, await needLab(this), join(folder, "course"));
    } finally {
      await browser.close();
    }
  });
});
