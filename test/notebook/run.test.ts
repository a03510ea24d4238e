import assert from "node:assert/strict";
import { KernelDiedError, startKernel } from "../../lib/kernel/client.ts";
import { run } from "../../lib/notebook/run.ts";
import { code, markdown, notebook } from "../chapters/notebooks.ts";

const stream = { output_type: "stream", name: "stdout", text: "stored" } as const;

describe("a notebook run in memory", function () {
  this.timeout(300_000);

  it("gives back notebook and report; what is put in stays, and no stored output survives", async () => {
    const source = notebook(
      { ...markdown("# Prose"), outputs: [stream] },
      code("const a = 20;", [stream]),
      code("a + 22"),
      code("a", [stream], ["skip-execution"]),
    );
    const before = JSON.stringify(source);
    const { notebook: ran, report } = await run(source);
    assert.equal(JSON.stringify(source), before);
    assert.deepEqual([report.status, report.cells, report.executed], ["ok", 2, 2]);
    assert.equal("outputs" in ran.cells[0], false, "prose puts nothing out");
    assert.deepEqual(ran.cells[1].outputs, []);
    assert.match(JSON.stringify(ran.cells[2].outputs), /"42"/);
    assert.deepEqual(ran.cells[3].outputs, []);
  });

  it("goes on after a cell without end where errors are allowed, and lists every failure", async () => {
    // A checker on a busy machine may take longer than the two seconds.
    const unchecked = (text: string) => code(`// @ts-nocheck\n${text}`);
    const kernel = await startKernel();
    await kernel.execute("0");
    const { report, notebook: ran } = await run(
      notebook(unchecked("while (true) {}"), unchecked('throw new Error("no")'), unchecked("1 + 1")),
      { timeout: 2, allowErrors: true, kernel },
    ).finally(() => kernel.shutdown());
    assert.deepEqual(
      report.failures?.map(({ cell, name }) => [cell, name]),
      [
        [1, "Timeout"],
        [2, "Error"],
      ],
    );
    assert.match(JSON.stringify(ran.cells[2].outputs), /"2"/);
  });

  it("ends a notebook that takes too long as a whole, and one that puts out too much", async () => {
    const slow = await run(notebook(code("await new Promise(() => {})"), code("1")), { totalTimeout: 2 });
    assert.equal(slow.report.failure?.message, "the notebook took more than 2 s");
    const loud = await run(
      notebook(
        code('for (let i = 0; i < 100; i++) console.log("x".repeat(100_000)); await new Promise(() => {})'),
      ),
      { outputLimit: 1_000_000, allowErrors: true },
    );
    assert.deepEqual([loud.report.status, loud.report.failure?.name], ["died", "OutputLimit"]);
  });

  it("leaves a kernel that it is given running, with what the cells left there", async () => {
    const kernel = await startKernel();
    try {
      const { report } = await run(notebook(code("const kept = 7;"), code("nowhere()")), {
        kernel,
        only: (_cell, index) => index === 0,
      });
      assert.deepEqual([report.status, report.cells], ["ok", 1]);
      assert.match(JSON.stringify((await kernel.execute("kept")).outputs), /"7"/);
    } finally {
      await kernel.shutdown();
    }
    await assert.rejects(kernel.execute("1"), KernelDiedError);
  });

  it("what cannot be run at all is invalid, with the reason", async () => {
    const source = notebook(code("1"));
    source.metadata = {};
    const { report } = await run(source, { name: "ann.ipynb" });
    assert.equal(report.status, "invalid");
    assert.match(report.failure!.message, /ann\.ipynb has no kernelspec/);
    await assert.rejects(run(source, { timeout: -1 }), /timeout must be a number of at least 0, got -1/);
  });
});
