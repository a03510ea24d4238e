// Of the teacher's own cells only what exercises need: found once to make no difference, and then the same verdicts.
import assert from "node:assert/strict";
import { type Assignment, assignmentOf } from "../../lib/classroom/assignment.ts";
import { baselineOf } from "../../lib/classroom/baseline.ts";
import type { Grade } from "../../lib/classroom/grades.ts";
import { givenIn } from "../../lib/classroom/plan.ts";
import { ThinSlicer } from "../../lib/classroom/thin.ts";
import type { Cell, Notebook } from "../../lib/notebook/notebook.ts";
import { code, notebook } from "../chapters/notebooks.ts";
import { Bench, needsSandbox } from "./setting.ts";

const imports = code(
  'import { check, expectEqual } from "slimlab/classroom";\nimport { sep } from "node:path";',
);
const data = code("const weights = [1, 2, 3];\nconst log: number[] = [];\nconsole.log(weights);");
const training = code(`const model = { weights, rate: 2 };
async function evaluate(one: typeof model) { log.push(one.rate); return log.length; }
const accuracy = await evaluate(model);
console.log(sep, accuracy);`);
const shown = code("await evaluate(model);\nmodel.weights.length;");
const exercise = (value: string) =>
  code(`const total: any = ${value};
check("total", { "is six": () => expectEqual(total, 6), "is a number": () => typeof total === "number" })`);
const solution =
  "(() => {\n// BEGIN SOLUTION\n// STUB: return 0;\nreturn model.weights[0] + 5;\n// END SOLUTION\n})()";
const lesson = notebook(imports, data, training, shown, exercise(solution));

const handedIn = (value: string, ...more: Cell[]) =>
  notebook(imports, data, training, shown, ...more, exercise(value));

const slicer = async (work: Notebook, assignment?: Assignment) =>
  ThinSlicer.of(work, assignment ?? (await assignmentOf(lesson, "w.ipynb")));

/** The lines of code that are left of each cell. */
async function linesOf(work: Notebook, withOwn = false): Promise<Record<number, string[]>> {
  const assignment = await assignmentOf(lesson, "w.ipynb");
  const { cells } = (await slicer(work, assignment)).slice(givenIn(assignment), withOwn);
  const lines = (text: string) => text.split("\n").filter((line) => line.trim() !== "");
  return Object.fromEntries([...cells].map(([index, text]) => [index, lines(text)]));
}

describe("thin slices", function () {
  this.timeout(300_000);

  it("of the teacher's cells what is needed runs, in its lines; of the student's all", async () => {
    const mine = exercise("model.rate * 3");
    assert.deepEqual(await linesOf(handedIn("model.rate * 3")), {
      1: ["const weights = [1, 2, 3];"],
      2: ["const model = { weights, rate: 2 };"],
      4: String(mine.source).split("\n"),
    });
    const { cells } = (await slicer(handedIn("accuracy"))).slice(["total"]);
    assert.equal(cells.get(2)!.split("\n").length, 4);
    assert.deepEqual(await linesOf(handedIn("7")), { 4: String(exercise("7").source).split("\n") });
  });

  it("a cell that the student has changed, moved or added is his, and counts with what it may change", async () => {
    const changed = code(`${data.source}\nweights[0] = 6;`);
    const lines = await linesOf(notebook(imports, changed, training, shown, exercise("weights[0]")));
    assert.equal(lines[1].at(-1), "weights[0] = 6;");
    const added = await linesOf(handedIn("weights[0]", code("weights.push(7);"), code("const other = 1;")));
    assert.deepEqual([added[4], added[5]], [["weights.push(7);"], undefined]);
    assert.deepEqual((await linesOf(handedIn("1", code("const other = log;")), true))[1], [
      "const log: number[] = [];",
    ]);
    const moved = await linesOf(notebook(imports, training, data, shown, exercise("weights[0]")));
    assert.equal(moved[2].length, 3);
  });

  it("what assigns to it is needed, a parameter of the same name is not", async () => {
    const filled = code(`const scores: Record<string, number[]> = {};
for (const name of ["a", "b"]) {
  scores[name] = [];
  scores[name].push(1);
}
const log: string[] = [];
for (const name of ["a"]) { const scores = [name]; scores.push("x"); log.push(name); }
function show(log: string[], scores: number[]) { scores.push(log.length); }
[scores.a[0], scores.a[1]] = [2, 3];
delete scores.b;
Object.assign(scores, { c: [4] });
show(log, scores.a);`);
    const work = notebook(imports, filled, exercise("scores.a"));
    const assignment = await assignmentOf(notebook(imports, filled, exercise("[] // your turn")), "w.ipynb");
    const { cells, taught } = (await slicer(work, assignment)).slice(["total"]);
    const lines = cells.get(1)!.split("\n");
    assert.deepEqual(
      lines.map((line) => line.trim() !== ""),
      [true, true, true, true, true, false, false, false, true, true, true, false],
    );
    assert.deepEqual([...taught], ["scores"]);
  });

  it("other line ends are no change", async () => {
    const crlf = handedIn("weights[0] + 5");
    for (const cell of crlf.cells) cell.source = String(cell.source).replaceAll("\n", "\r\n");
    assert.deepEqual(Object.keys(await linesOf(crlf)), ["1", "4"]);
  });

  it("what sets a module up goes with it", async () => {
    const setUp = code(
      'import { setFlagsFromString } from "node:v8";\nimport { inspect } from "node:util";\nsetFlagsFromString("--stack-size=900");\nconst x = 1;\nconsole.log(x);',
    );
    const original = notebook(
      imports,
      setUp,
      code(`const total = 0; // your turn\ncheck("total", () => expectEqual(total, 6))`),
    );
    const given = (value: string) => notebook(imports, setUp, exercise(value));
    const assignment = await assignmentOf(original, "w.ipynb");
    const first = async (value: string) =>
      (await slicer(given(value), assignment)).slice(["total"]).cells.get(1);
    assert.equal(await first("1"), undefined);
    assert.equal((await first("setFlagsFromString.length"))!.includes("--stack-size"), true);
    assert.equal((await first("inspect(1)"))!.includes("--stack-size"), false);
  });

  describe("in a class", () => {
    before(needsSandbox);

    it("are used where names are as they should be with them, and then give what the whole notebook gives", async () => {
      const bench = await Bench.open(lesson, 1);
      try {
        const { same, trouble } = await baselineOf(bench.judge, bench.pool);
        assert.deepEqual([same, trouble], [["weights", "model"], undefined]);
        const cases: [what: string, work: Notebook, points: number, thin: boolean][] = [
          ["right", handedIn("model.weights[0] + 5"), 1, true],
          ["wrong", handedIn("model.weights[0] + 6"), 0, true],
          ["half", handedIn('"6"'), 0, true],
          ["fails", handedIn("(() => { throw new Error('x'); })()"), 0, true],
          ["right by what nothing is known of", handedIn("accuracy + 5"), 1, false],
          ["wrong by what nothing is known of", handedIn("log.length + 5"), 0, false],
          ["right by what was left out", handedIn("log.length * 3"), 1, false],
          ["right by code that is made", handedIn('eval("log.length * 3")'), 1, false],
          [
            "right by a cell of his own that nothing names",
            handedIn("(globalThis as any).mine", code("Object.assign(globalThis, { mine: 6 });")),
            1,
            true,
          ],
          [
            "wrong by a cell of his own that nothing names",
            handedIn("6", code("const also = weights; also.length = 0;")),
            1,
            true,
          ],
          ["spoilt by a cell of his own", handedIn("weights[0] + 5", code("weights[0] = 9;")), 0, true],
          [
            "spoilt by a change",
            notebook(
              imports,
              code(`${data.source}\nweights[0] = 9;`),
              training,
              shown,
              exercise("weights[0] + 5"),
            ),
            0,
            true,
          ],
          ["nothing", notebook(), 0, true],
          [
            "a teacher's cell is gone",
            notebook(imports, training, exercise("model.weights[0] + 5")),
            0,
            true,
          ],
        ];
        for (const [what, work, points, thin] of cases) {
          const asVerdict = ({ points: got, exercises }: Grade) => [
            got,
            exercises.map(({ cases: tried, reason }) => [tried, reason]),
          ];
          const options = { free: new Map([["total", new Set(["is a number"])]]) };
          const short = await bench.grade(work, { ...options, same: new Set(same) });
          const whole = await bench.grade(work, { ...options, all: true });
          assert.deepEqual(asVerdict(short), asVerdict(whole), what);
          assert.equal(short.points, points, what);
          const ran = short.notebook!.cells.some(
            ({ source, outputs }) => source === shown.source && outputs?.length,
          );
          assert.ok(!thin || !ran, `${what}: the teacher's own cell ran`);
        }
      } finally {
        await bench.close();
      }
    });

    it("names that only a stub needs are known too, where they are as they should be", async () => {
      const stubbed = notebook(
        imports,
        code(`const guess = (): number => 0;
const state = { value: 0 };
async function train(one: typeof state) { one.value = 1; }`),
        code("await train(state);"),
        exercise(
          "(() => {\n// BEGIN SOLUTION\n// STUB: return guess() + state.value;\nreturn 6;\n// END SOLUTION\n})()",
        ),
      );
      const bench = await Bench.open(stubbed, 1);
      try {
        const { same, trouble } = await baselineOf(bench.judge, bench.pool);
        assert.deepEqual([same, trouble], [["guess"], undefined]);
      } finally {
        await bench.close();
      }
    });

    it("are not used where what they leave out makes a difference", async () => {
      const trained = notebook(
        imports,
        code(
          "const model = { weights: [1] };\nasync function train(one: typeof model) { one.weights[0] = 6; }",
        ),
        code("await train(model);"),
        exercise(
          "(() => {\n// BEGIN SOLUTION\n// STUB: return 0;\nreturn model.weights[0];\n// END SOLUTION\n})()",
        ),
      );
      const bench = await Bench.open(trained, 1);
      try {
        const { same, trouble } = await baselineOf(bench.judge, bench.pool);
        assert.deepEqual([same, trouble], [undefined, undefined]);
      } finally {
        await bench.close();
      }
    });

    it("a value that has changed without a verdict's changing, or that nobody can see into, is not known", async () => {
      const hidden = notebook(
        imports,
        code(`const model = { weights: [1] };
async function train(one: typeof model) { one.weights[0] = 6; }
class Counter { #n = 0; next() { return this.#n++; } }
const counter = new Counter();`),
        code("await train(model);"),
        exercise(
          "(() => {\n// BEGIN SOLUTION\n// STUB: return 0;\nreturn 6 * model.weights.length + 0 * counter.next();\n// END SOLUTION\n})()",
        ),
      );
      const bench = await Bench.open(hidden, 1);
      try {
        assert.deepEqual((await baselineOf(bench.judge, bench.pool)).same, ["Counter"]);
      } finally {
        await bench.close();
      }
    });
  });
});
