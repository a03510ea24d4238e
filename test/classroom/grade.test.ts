import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gradeNotebooks } from "../../lib/classroom/grade.ts";
import { code, notebook, save } from "../chapters/notebooks.ts";

const start = 'import { check, expectEqual } from "slimlab/classroom";';
const checkA = 'check("a", { "doubles": () => expectEqual(double(3), 6) })';
const checkB = 'await check("b", async () => expectEqual(await Promise.resolve(answer), 42, "the answer"))';

describe("grading", function () {
  this.timeout(120_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-grade-test-"));
  });
  after(() => rm(folder, { recursive: true }));

  it("says which exercises are solved, in notebooks of one name, and takes no forged check", async () => {
    const handedOut = notebook(
      code(start),
      code(`function double(x: number): number { return 0; }\n${checkA}`),
      code("const answer: number = 0;"),
      code(checkB),
    );
    const original = await save(join(folder, "original.ipynb"), handedOut);
    const good = await save(
      join(folder, "ann", "work.ipynb"),
      notebook(
        code(start),
        code(`function double(x: number): number { return 2 * x; }\n${checkA}`),
        code("throw new Error('one of my own')"),
        code("const answer: number = 41;"),
        code(checkB),
      ),
    );
    // One check made to pass, the other thrown away.
    const forged = await save(
      join(folder, "bob", "work.ipynb"),
      notebook(
        code(start),
        code("function double(x: number): number { return x; }"),
        code('check("a", () => true)'),
      ),
    );
    const [ann, bob] = await gradeNotebooks([good, forged], { original });
    assert.deepEqual(
      ann.exercises.map(({ name, passed }) => [name, passed]),
      [
        ["a", true],
        ["b", false],
      ],
    );
    assert.equal(ann.exercises[1].cases[0].message, "the answer should be 42, got 41");
    assert.deepEqual([ann.solved, ann.missing], [1, []]);
    assert.deepEqual(
      bob.exercises.map(({ name, passed }) => [name, passed]),
      [["a", false]],
    );
    assert.deepEqual([bob.solved, bob.missing], [0, ["b"]]);
    const [believed] = await gradeNotebooks([forged]);
    assert.equal(believed.solved, 1, "without the original, the reader's own check counts");
  });
});
