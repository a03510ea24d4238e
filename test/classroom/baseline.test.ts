// What is found of an assignment before the class is graded.
import assert from "node:assert/strict";
import { type Baseline, baselineOf } from "../../lib/classroom/baseline.ts";
import type { Notebook } from "../../lib/notebook/notebook.ts";
import { code, notebook } from "../chapters/notebooks.ts";
import { Bench, handedOut, needsSandbox } from "./setting.ts";

async function baseline(original: Notebook): Promise<Baseline> {
  const bench = await Bench.open(original, 1);
  try {
    return await baselineOf(bench.judge, bench.pool);
  } finally {
    await bench.close();
  }
}

const marked = (solution: string): Notebook =>
  notebook(
    code('import { check, expectEqual } from "slimlab/classroom";'),
    code(`const answer = (() => {
  // BEGIN SOLUTION
  // STUB: return 0;
  ${solution}
  // END SOLUTION
})();
check("a", { "is six": () => expectEqual(answer, 6), "is a number": () => typeof answer === "number" })`),
  );

describe("what is known of an assignment", function () {
  this.timeout(300_000);
  before(needsSandbox);

  it("without solutions nobody knows how long one takes, and there is nothing to say", async () => {
    assert.deepEqual(await baseline(handedOut), {
      free: new Map([
        ["a", new Set()],
        ["b", new Set()],
      ]),
      limits: { cell: 600, notebook: 1800 },
    });
  });

  it("a quick solution has the least limits; what passes untouched is free", async () => {
    assert.deepEqual(await baseline(marked("return 6;")), {
      free: new Map([["a", new Set(["is a number"])]]),
      limits: { cell: 20, notebook: 60 },
    });
  });

  it("a solution that takes long gives others ten times as long", async () => {
    const slow = await baseline(
      marked("const end = Date.now() + 2500; while (Date.now() < end) {}\n  return 6;"),
    );
    assert.ok(slow.limits.cell >= 25, `${slow.limits.cell}`);
    assert.ok(slow.limits.notebook >= slow.limits.cell);
    assert.equal(slow.trouble, undefined);
  });

  it("a solution that is none is said", async () => {
    assert.equal(
      (await baseline(marked("return 7;"))).trouble,
      "the original's own solutions do not solve a (is six: the value should be 6, got 7)",
    );
  });
});
