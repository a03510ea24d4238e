// Several exercises in one cell, several cases in one exercise: what is wrong with one costs no other.
import assert from "node:assert/strict";
import { assignmentOf } from "../../lib/classroom/assignment.ts";
import { withGiven } from "../../lib/classroom/border/given.ts";
import { studentEdition } from "../../lib/classroom/release.ts";
import type { Notebook } from "../../lib/notebook/notebook.ts";
import { code, notebook } from "../chapters/notebooks.ts";
import { Bench, needsSandbox } from "./setting.ts";

const imports = code('import { check, expectEqual } from "slimlab/classroom";');
const three = notebook(
  imports,
  code(`const one = 0; // your turn
const double: any = 0; // your turn
const names: string[] = []; // your turn

const made = double(one);
console.log(one, made, names);
check("one", () => expectEqual(one, 1))
check("double", { "of one": () => expectEqual(made, 2), "of three": () => expectEqual(double(3), 6) })
check("names", { "first": () => expectEqual(names[0], "a"), "with one": () => expectEqual([names.length, one], [2, 1]) })`),
);

const given: Record<string, string> = {
  one: "const one = 1;",
  double: "const double = (x: number) => 2 * x;",
  names: 'const names = ["a", "b"];',
};

/** What is wrong, beside what is right; and the points of the three exercises then. */
const damages: [what: string, replaced: Record<string, string>, points: [number, number, number]][] = [
  ["nothing", {}, [1, 1, 1]],
  ["one is gone", { one: "" }, [0, 0, 0.5]],
  ["double is gone", { double: "" }, [1, 0, 1]],
  ["names is gone", { names: "" }, [1, 1, 0]],
  ["names has another name", { names: 'const name = ["a", "b"];' }, [1, 1, 0]],
  ["double never ends", { double: "const double = () => { while (true) {} };" }, [1, 0, 1]],
  ["double ends the process", { double: "const double = () => { process.abort(); };" }, [1, 0, 1]],
  ["double fails", { double: 'const double = () => { throw new Error("x"); };' }, [1, 0, 1]],
  ["double answers some", { double: "const double = (x: number) => (x === 1 ? 2 : 7);" }, [1, 0.5, 1]],
  ["names cannot cross", { names: 'const names = [Symbol("a")];' }, [1, 1, 0]],
  ["names is a promise that never settles", { names: "const names = new Promise(() => {});" }, [1, 1, 0]],
  ["names fails when it is looked at", { names: "const names = { get a() { throw 1; } };" }, [1, 1, 0]],
];

describe("exercises of one cell", function () {
  this.timeout(300_000);
  before(needsSandbox);

  it("each has the names and the statements that it needs", async () => {
    const { cells } = await assignmentOf(three, "w.ipynb");
    assert.deepEqual(
      cells[0].parts.map(({ names, given: asked }) => [names, asked]),
      [
        [["one"], ["one"]],
        [["double"], ["one", "double"]],
        [["names"], ["one", "names"]],
      ],
    );
    assert.ok(cells[0].parts[1].code.includes("const made"));
    assert.ok(!cells[0].parts[2].code.includes("const made"));
  });

  it("checks that are kept, or called in a loop, stay together", async () => {
    const { cells } = await assignmentOf(
      notebook(
        code(
          'const x = 0; // your turn\nconst r: any = check("a", () => x);\ncheck("b", () => r.passed);\nfor (const i of [1, 2]) check("c" + i, () => x);',
        ),
      ),
      "w.ipynb",
    );
    assert.deepEqual(
      cells[0].parts.map(({ names, dynamic }) => [names, dynamic]),
      [[["a", "b"], true]],
    );
  });

  describe("what is wrong with one costs no other", () => {
    let bench: Bench;
    before(async () => {
      bench = await Bench.open(three);
    });
    after(() => bench?.close());
    for (const [what, replaced, points] of damages) {
      for (const apart of /gone|ends/.test(what) ? [false, true] : [false]) {
        it(`${what}${apart ? ", each in a cell of its own" : ""}`, async () => {
          const work = Object.values({ ...given, ...replaced }).filter(Boolean);
          const cells = apart ? work.map((one) => code(one)) : [code(work.join("\n"))];
          const { exercises } = await bench.grade([imports, ...cells], {
            timeout: /never/.test(what) ? 5 : 60,
          });
          assert.deepEqual(
            exercises.map((one) => one.points),
            points,
            JSON.stringify(exercises),
          );
        });
      }
    }
  });

  it("a case that does not use what is missing counts", async () => {
    const bench = await Bench.open(
      notebook(
        imports,
        code(`const left = 0; // your turn
const bytes = 0; // your turn
check("x", { "left": () => expectEqual(left, 28), "bytes": () => expectEqual(bytes, 14), "differ": () => bytes !== left })`),
      ),
      1,
    );
    try {
      const [exercise] = (await bench.grade([code("const left = 28;")])).exercises;
      assert.deepEqual(
        exercise.cases.map(({ passed, message }) => [passed, message]),
        [
          [true, ""],
          [false, "there is no bytes"],
          [false, "there is no bytes"],
        ],
      );
      assert.match(exercise.reason ?? "there is no bytes", /there is no bytes/);
    } finally {
      await bench.close();
    }
  });

  it("what is computed of the same data is computed once, and of functions each time", async () => {
    const bench = await Bench.open(
      notebook(
        imports,
        code("const seen: unknown[] = [];"),
        code('const recipe: any = []; // your turn\ncheck("x", () => expectEqual(seen.push(recipe), 1))'),
        code('const f: any = 0; // your turn\ncheck("y", () => expectEqual(seen.push(f()), 2))'),
      ),
      1,
    );
    try {
      const points = async (recipe: string) =>
        (await bench.grade([code(`const recipe = ${recipe};`), code("const f = () => 1;")])).exercises.map(
          (one) => one.points,
        );
      assert.deepEqual(await points("[{ sparsity: 0.9 }]"), [1, 1]);
      assert.deepEqual(
        await points("[{ sparsity: 0.9 }]"),
        [1, 0],
        "the second is kept, the function is not",
      );
      assert.deepEqual(await points("[{ sparsity: 0.8 }]"), [0, 0], "other data, another verdict");
    } finally {
      await bench.close();
    }
  });

  it("what only a check uses is computed by the judge alone, in the book's notebook and in the students' edition", async () => {
    const original = notebook(
      imports,
      code(
        "const calls: number[] = [];\nfunction costly(x: number): number { calls.push(x); return 2 * x; }",
      ),
      code(
        'const x: number = 0; // your turn\nconst made = costly(x);\ncheck("x", () => expectEqual(made, 28))',
      ),
      code('const seen: any = 0; // your turn\ncheck("y", () => expectEqual(seen(), 0))'),
    );
    const solved = (edition: Notebook): Notebook => {
      const text = JSON.stringify(edition.cells)
        .replace("const x: number = 0;", "const x: number = 14;")
        .replace("const seen: any = 0;", "const seen: any = () => calls.length;");
      return { ...edition, cells: JSON.parse(text) };
    };
    const bench = await Bench.open(original, 1);
    try {
      for (const edition of [original, await studentEdition(original, "w.ipynb")]) {
        const { exercises } = await bench.grade(solved(edition));
        assert.deepEqual(
          exercises.map((one) => one.points),
          [1, 1],
          JSON.stringify(exercises),
        );
      }
    } finally {
      await bench.close();
    }
  });

  it("a name is read where it means the student's, and nowhere else", () => {
    assert.equal(
      withGiven(
        "const a = { f, g: f, h: x.f }; ((f: number) => f)(1); for (const f of []) f; const { f: k } = f; f`t`; type F = typeof f; f!(2);",
        ["f"],
      ),
      "const a = { f: slimlabGiven.f, g: slimlabGiven.f, h: x.f }; ((f: number) => f)(1); for (const f of []) f; const { f: k } = slimlabGiven.f; slimlabGiven.f`t`; type F = typeof f; slimlabGiven.f!(2);",
    );
  });
});
