// What is found of an assignment before the class is graded.
import assert from "node:assert/strict";
import { type Baseline, baselineOf, limitsFrom } from "../../lib/classroom/baseline.ts";
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
check("a", {
  "is six": () => expectEqual(answer, 6),
  "is a number": () => typeof answer === "number",
  "no steps of recipes from another day": () => process.env.SLIMLAB_STEPS === "off",
})`),
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

  it("what passes untouched is free, and a solution gives limits", async () => {
    const { free, limits, trouble } = await baseline(marked("return 6;"));
    const given = new Set(["is a number", "no steps of recipes from another day"]);
    assert.deepEqual([free, trouble], [new Map([["a", given]]), undefined]);
    // How long it took is the machine's.
    assert.ok(limits.cell >= 20 && limits.notebook >= 60, JSON.stringify(limits));
  });

  it("a solution that takes long gives others ten times as long", async () => {
    const { limits, trouble } = await baseline(
      marked("const end = performance.now() + 2500; while (performance.now() < end) {}\n  return 6;"),
    );
    assert.ok(limits.cell >= 25, `${limits.cell}`);
    assert.equal(trouble, undefined);
  });

  it("the limits are ten times what the slowest of all grades took, and never too little", () => {
    const took = (slowest: number, seconds: number, passed = true) => ({
      slowest,
      seconds,
      exercises: [{ name: "a", passed, points: Number(passed), of: 1, cases: [] }],
    });
    assert.deepEqual(limitsFrom([took(0.2, 0.5, false), took(0.3, 0.4)]), { cell: 20, notebook: 60 });
    assert.deepEqual(limitsFrom([took(3.01, 7, false), took(2, 8.02)]), { cell: 31, notebook: 81 });
    assert.deepEqual(limitsFrom([took(3, 7), took(2, 8, false)]), { cell: 600, notebook: 1800 });
  });

  it("a solution that is none is said", async () => {
    assert.equal(
      (await baseline(marked("return 7;"))).trouble,
      "the original's own solutions do not solve a (is six: the value should be 6, got 7)",
    );
  });
});
