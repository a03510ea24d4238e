import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chapterOf, type Notebook } from "../../lib/notebook/notebook.ts";
import type { RunReport } from "../../lib/notebook/report.ts";
import { runNotebooks } from "../../lib/notebook/runner.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { code, markdown, notebook, save } from "../chapters/notebooks.ts";

/** Runs `slimlab` in `folder` as a person at the shell would. */
function slimlab(
  folder: string,
  ...args: string[]
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(packageRoot, "dist/lib/cli.js"), ...args], { cwd: folder });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (data) => (stdout += data));
  child.stderr.on("data", (data) => (stderr += data));
  return new Promise((resolve) => child.on("close", (status) => resolve({ code: status, stdout, stderr })));
}

describe("the runner, over the real kernel", function () {
  this.timeout(300_000);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-run-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const run = (names: string[], options: Partial<Parameters<typeof runNotebooks>[1]> = {}) =>
    runNotebooks(
      names.map((name) => chapterOf(join(folder, name))),
      { output: join(folder, "out"), ...options },
    );
  const copyOf = async (name: string): Promise<Notebook> =>
    JSON.parse(await readFile(join(folder, "out", name), "utf8"));

  it("puts results into a copy, in order, and leaves the source as it was", async () => {
    const source = notebook(
      markdown("# 1 Title · 标题"),
      code("const a: number = 20;"),
      code("  \n"),
      code('console.log("hello");\na + 22'),
      code("throw 1", [], ["skip-execution"]),
    );
    const path = await save(join(folder, "zh", "1-good.ipynb"), source);
    const before = await readFile(path, "utf8");
    const report = await run(["zh/1-good.ipynb"]);

    assert.deepEqual(
      report.chapters.map(({ status, cells, executed, title, language }) => ({
        status,
        cells,
        executed,
        title,
        language,
      })),
      [{ status: "ok", cells: 2, executed: 2, title: "Title · 标题", language: "zh" }],
    );
    assert.equal(await readFile(path, "utf8"), before);
    const { cells } = await copyOf("zh/1-good.ipynb");
    assert.deepEqual(
      cells[3].outputs!.map((output) => output.output_type),
      ["stream", "execute_result"],
    );
    assert.equal((cells[3].outputs![1] as { data: Record<string, string> }).data["text/plain"], "42");
    assert.deepEqual(
      [cells[1].execution_count, cells[2].execution_count, cells[3].execution_count],
      [1, null, 2],
    );
    assert.deepEqual(
      (await readdir(join(folder, "out"))).sort(),
      ["run.json", "zh"],
      "no half-written file is left",
    );
  });

  it("reports a failing cell with notebook, cell, line and traceback; the shell gets a 1", async () => {
    await save(
      join(folder, "bad.ipynb"),
      notebook(
        markdown("# Bad"),
        code("1"),
        code('const x = 1;\n\nthrow new RangeError("too much");'),
        code("2"),
      ),
    );
    const { code: status, stdout } = await slimlab(folder, "run", "bad.ipynb");
    assert.equal(status, 1);
    assert.match(stdout, /failed\s+bad\.ipynb, cell 3, line 3: RangeError: too much \(1 of 3 cells ran/);
    const { chapters } = JSON.parse(
      await readFile(join(folder, ".slimlab/run/run.json"), "utf8"),
    ) as RunReport;
    assert.equal(chapters[0].status, "failed");
    assert.deepEqual(
      [chapters[0].failure!.cell, chapters[0].failure!.line, chapters[0].failure!.name],
      [3, 3, "RangeError"],
    );
    assert.ok(chapters[0].failure!.traceback.length > 0);
    const copy: Notebook = JSON.parse(await readFile(join(folder, ".slimlab/run/bad.ipynb"), "utf8"));
    assert.equal(copy.cells[2].outputs!.at(-1)!.output_type, "error");
    assert.equal(copy.cells[3].execution_count, null, "what follows the failure does not run");
  });

  it("goes on after errors where that is asked for, or where a cell may fail", async () => {
    await save(join(folder, "a.ipynb"), notebook(code("throw new Error('one')"), code("1")));
    await save(
      join(folder, "b.ipynb"),
      notebook(code("throw new Error('one')", [], ["raises-exception"]), code("1")),
    );
    const report = await run(["a.ipynb", "b.ipynb"], { allowErrors: true });
    assert.deepEqual(
      report.chapters.map(({ status, executed }) => [status, executed]),
      [
        ["failed", 2],
        ["ok", 2],
      ],
    );
  });

  it("a cell that never ends is interrupted, a cell that kills the process is reported, and the next notebook runs", async () => {
    await save(
      join(folder, "1-loop.ipynb"),
      notebook(code("console.log('in');\nwhile (true) {}"), code("1")),
    );
    await save(join(folder, "2-wait.ipynb"), notebook(code("await new Promise(() => {})")));
    await save(
      join(folder, "3-exit.ipynb"),
      notebook(
        code("1"),
        code('console.log("last");\nprocess.kill(process.pid, "SIGKILL"); await new Promise(() => {})'),
        code("1"),
      ),
    );
    await save(join(folder, "4-good.ipynb"), notebook(code("1 + 1")));
    const report = await run(["1-loop.ipynb", "2-wait.ipynb", "3-exit.ipynb", "4-good.ipynb"], {
      timeout: 5,
      jobs: 1,
    });
    assert.deepEqual(
      report.chapters.map(({ status, failure }) => [status, failure?.cell]),
      [
        ["timeout", 1],
        ["timeout", 1],
        ["died", 2],
        ["ok", undefined],
      ],
    );
    assert.match(report.chapters[0].failure!.message, /the cell took more than 5 s/);
    assert.match(report.chapters[2].failure!.message, /was ended by SIGKILL/);
    const [first] = (await copyOf("1-loop.ipynb")).cells;
    assert.deepEqual(
      first.outputs![0],
      { output_type: "stream", name: "stdout", text: "in\n" },
      "what it put out is kept",
    );
    assert.equal((first.outputs!.at(-1) as { ename: string }).ename, "Timeout");
  });

  it("what is no notebook, and a notebook of another kernel, are told apart and the rest runs", async () => {
    await save(join(folder, "junk.ipynb"), "not json");
    await save(join(folder, "old.ipynb"), '{"nbformat": 3}');
    await save(
      join(folder, "nokernel.ipynb"),
      '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}',
    );
    await save(join(folder, "good.ipynb"), notebook(code("1")));
    const report = await run(["junk.ipynb", "old.ipynb", "nokernel.ipynb", "good.ipynb", "missing.ipynb"]);
    assert.deepEqual(
      report.chapters.map(({ status }) => status),
      ["invalid", "invalid", "invalid", "ok", "invalid"],
    );
    const messages = report.chapters.map(({ failure }) => failure?.message ?? "");
    assert.match(messages[0], /junk\.ipynb is not JSON/);
    assert.match(messages[1], /must be of notebook format 4, got 3/);
    assert.match(messages[2], /nokernel\.ipynb has no kernelspec/);
    assert.match(messages[4], /missing\.ipynb does not exist/);
  });

  it("a second run of one notebook keeps what run.json says of the others", async () => {
    await save(join(folder, "a.ipynb"), notebook(code("1")));
    await save(join(folder, "b.ipynb"), notebook(code("1")));
    await run(["a.ipynb", "b.ipynb"]);
    await run(["b.ipynb"]);
    const { chapters } = JSON.parse(await readFile(join(folder, "out", "run.json"), "utf8")) as RunReport;
    assert.deepEqual(chapters.map(({ notebook }) => notebook).sort(), ["a.ipynb", "b.ipynb"]);
  });

  it("an edition with the same code takes over the results of the one that ran; one with other code runs itself", async () => {
    const numbered = (id: string, source: string) => ({ ...code(source), id });
    // What a cell says changes from run to run: equal outputs can only be the same ones.
    const cells = () => [numbered("a", "const now = process.hrtime.bigint();"), numbered("b", "String(now)")];
    await save(join(folder, "1-same.ipynb"), notebook(markdown("# 1 Same"), ...cells()));
    await save(join(folder, "zh", "1-same.ipynb"), notebook(markdown("# 1 相同"), ...cells()));
    await save(join(folder, "2-other.ipynb"), notebook(markdown("# 2 Other"), numbered("a", "1 + 1")));
    await save(join(folder, "zh", "2-other.ipynb"), notebook(markdown("# 2 不同"), numbered("a", "1 + 2")));
    await save(
      join(folder, "3-bad.ipynb"),
      notebook(markdown("# 3 Bad"), numbered("a", 'throw new Error("no")')),
    );
    await save(
      join(folder, "zh", "3-bad.ipynb"),
      notebook(markdown("# 3 错"), numbered("a", 'throw new Error("no")')),
    );
    const names = ["1-same", "2-other", "3-bad"].map((name) => `${name}.ipynb`);
    const report = await run([...names, ...names.map((name) => `zh/${name}`)]);
    const of = (name: string) => report.chapters.find((chapter) => chapter.notebook === name)!;

    assert.deepEqual(
      report.chapters.map(({ notebook, resultsOf }) => [notebook, resultsOf]),
      [
        ["1-same.ipynb", undefined],
        ["2-other.ipynb", undefined],
        ["3-bad.ipynb", undefined],
        ["zh/1-same.ipynb", "1-same.ipynb"],
        ["zh/2-other.ipynb", undefined],
        ["zh/3-bad.ipynb", "3-bad.ipynb"],
      ],
    );
    const [english, chinese] = [await copyOf("1-same.ipynb"), await copyOf("zh/1-same.ipynb")];
    assert.deepEqual(chinese.cells.slice(1), english.cells.slice(1));
    assert.match(JSON.stringify(english.cells[2].outputs), /\d{6}/);
    assert.equal(chinese.cells[0].source, "# 1 相同");
    assert.equal(of("zh/1-same.ipynb").title, "相同");
    assert.equal(of("zh/1-same.ipynb").seconds, of("1-same.ipynb").seconds);
    assert.match(JSON.stringify((await copyOf("zh/2-other.ipynb")).cells[1].outputs), /"3"/);
    assert.equal(of("zh/3-bad.ipynb").status, "failed");
    assert.equal(of("zh/3-bad.ipynb").failure?.cell, 2);
    assert.match(JSON.stringify((await copyOf("zh/3-bad.ipynb")).cells[1].outputs), /"no"/);
  });

  it("never writes over a notebook, and refuses two of one name", async () => {
    await save(join(folder, "a.ipynb"), notebook(code("1")));
    await save(join(folder, "x", "a.ipynb"), notebook(code("1")));
    await assert.rejects(run(["a.ipynb"], { output: folder }), /the copy of .*a\.ipynb would overwrite it/);
    await assert.rejects(run(["a.ipynb", "x/a.ipynb"]), /have one name: run them apart/);
    await assert.rejects(run(["a.ipynb"], { timeout: -1 }), /timeout must be a number of at least 0, got -1/);
    await assert.rejects(run(["a.ipynb"], { jobs: 0 }), /jobs must be a whole number from 1 to 64, got 0/);
  });
});
