import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assignmentOf } from "../../lib/classroom/assignment.ts";
import { check } from "../../lib/classroom/index.ts";
import {
  leakIn,
  nbgraderSource,
  releaseNotebook,
  secretsOf,
  studentEdition,
} from "../../lib/classroom/release.ts";
import { solvedSource, withSolutions } from "../../lib/classroom/solutions.ts";
import { run as release } from "../../lib/commands/release.ts";
import { type Cell, type Notebook, textOf } from "../../lib/notebook/notebook.ts";
import { code, markdown, notebook, save } from "../chapters/notebooks.ts";
import { handedOut } from "./setting.ts";

const secret = "const veryPrivateAnswer = 6 * 7 + 1000;";
const source = (): Notebook =>
  notebook(
    markdown("# Work"),
    code('import { check, expectEqual } from "slimlab/classroom";', [
      { output_type: "stream", name: "stdout", text: "old" },
    ]),
    code(
      `function answer(): number {\n  // BEGIN SOLUTION\n  ${secret}\n  return veryPrivateAnswer;\n  // END SOLUTION\n}\ncheck("a", {\n  "seen": () => expectEqual(answer(), 1042),\n  // BEGIN HIDDEN TESTS\n  "unseen by anyone": () => expectEqual(typeof answer(), "number"),\n  // END HIDDEN TESTS\n})`,
    ),
    code(
      'const list: number[] = []; // your turn\n\ncheck("b", () => expectEqual(list, [1, 2, 3, 4, 5, 6, 7]))',
    ),
    code("const list: number[] = [1, 2, 3, 4, 5, 6, 7];", [], ["solution", "skip-execution"]),
    markdown("It is seven.", ["solution"]),
  );

describe("the students' edition", () => {
  it("has stubs in the place of solutions, no hidden tests and no outputs", () => {
    const released = releaseNotebook(source());
    assert.deepEqual(
      released.cells.map(({ source }) => textOf(source)),
      [
        "# Work",
        'import { check, expectEqual } from "slimlab/classroom";',
        'function answer(): number {\n  // YOUR CODE HERE\n  throw new Error("not done yet");\n}\ncheck("a", {\n  "seen": () => expectEqual(answer(), 1042),\n})',
        'const list: number[] = []; // your turn\n\ncheck("b", () => expectEqual(list, [1, 2, 3, 4, 5, 6, 7]))',
      ],
    );
    assert.deepEqual(released.cells[1].outputs, []);
  });

  it("a region may bring its own stub, whatever its indentation and line ends", () => {
    const cell = code(
      "  // BEGIN SOLUTION\r\n  // STUB: return 0;\r\n  return 1;\r\n  // END SOLUTION\r\nrest()",
    );
    assert.equal(
      textOf(releaseNotebook(notebook(cell)).cells[0].source).replaceAll("\r", ""),
      "  return 0;\nrest()",
    );
    const open = code("let x = 1;\n// BEGIN SOLUTION\nx = 2;");
    assert.equal(
      textOf(releaseNotebook(notebook(open)).cells[0].source),
      'let x = 1;\n// YOUR CODE HERE\nthrow new Error("not done yet");',
    );
  });

  it("is not made where a solution would be left anywhere", () => {
    const hide: [where: string, change: (book: Notebook) => void, message: RegExp][] = [
      [
        "a cell",
        ({ cells }) => cells.push(code(`${secret}\nreturn veryPrivateAnswer;`)),
        /left in the source of cell 5/,
      ],
      [
        "other spaces",
        ({ cells }) => cells.push(markdown(`> const list:number[] = [ 1,2,3,4,5,6,7 ];`)),
        /source of cell 5/,
      ],
      ["metadata", ({ metadata }) => (metadata.note = { deep: [secret] }), /notebook's metadata/],
      [
        "a cell's metadata",
        ({ cells }) => (cells[0].metadata.note = secret),
        /metadata, attachments or outputs of cell 1/,
      ],
      [
        "an attachment",
        ({ cells }) =>
          (cells[0].attachments = {
            "a.txt": { "text/plain": Buffer.from(`x ${secret}`).toString("base64") },
          }),
        /attachments or outputs of cell 1/,
      ],
    ];
    for (const [where, change, message] of hide) {
      const book = source();
      change(book);
      assert.throws(() => releaseNotebook(book), message, where);
    }
    const outputs = releaseNotebook(source());
    outputs.cells[1].outputs = [{ output_type: "stream", name: "stdout", text: secret }];
    assert.match(leakIn(outputs, secretsOf(source()))!, /outputs of cell 2/);
  });

  it("has each exercise in two cells, the tests folded, locked and with nbgrader's metadata", async () => {
    const { cells } = await studentEdition(source(), "work.ipynb");
    const graded = cells
      .map(({ source, metadata }) => [textOf(source).split("\n")[0], metadata.nbgrader])
      .filter(([, meta]) => meta);
    const common = { schema_version: 3, task: false };
    assert.deepEqual(graded, [
      [
        "function answer(): number {",
        { ...common, grade: false, grade_id: "a-work", locked: false, solution: true },
      ],
      [
        'check("a", {',
        { ...common, grade: true, grade_id: "a-tests", locked: true, solution: false, points: 1 },
      ],
      [
        "const list: number[] = []; // your turn",
        { ...common, grade: false, grade_id: "b-work", locked: false, solution: true },
      ],
      [
        'check("b", () => expectEqual(list, [1, 2, 3, 4, 5, 6, 7]))',
        { ...common, grade: true, grade_id: "b-tests", locked: true, solution: false, points: 1 },
      ],
    ]);
    const tests = cells.find(({ id }) => id === "a-tests")!;
    assert.deepEqual(
      [tests.metadata.editable, tests.metadata.deletable, tests.metadata.jupyter],
      [false, false, { source_hidden: true }],
    );
    await assert.rejects(studentEdition(notebook(code("1")), "none.ipynb"), /none\.ipynb has no exercises/);
  });

  it("points stand in the metadata, in nbgrader's and in the check", async () => {
    const cell: Cell = code(
      'const a = 0, b = 0; // your turn\ncheck("x", () => a)\nawait check("y", async () => b)',
    );
    cell.metadata.slimlab = { points: { x: 3 } };
    const open: Cell = markdown("**C.** Why?");
    open.metadata.slimlab = { manual: { name: "c", points: 4 } };
    const { cells } = await nbgraderSource(notebook(cell, open), "work.ipynb");
    assert.deepEqual(
      cells.map(({ source }) => textOf(source)),
      [
        "const a = 0, b = 0; // your turn",
        'check("x", () => a, { points: 3 })',
        'await check("y", async () => b)',
        "**C.** Why?",
      ],
    );
    assert.deepEqual(
      cells.map(({ metadata }) => (metadata.nbgrader as { points?: number; task: boolean }).points),
      [undefined, 3, 1, 4],
    );
    assert.equal((cells[3].metadata.nbgrader as { task: boolean }).task, true);
  });

  it("points that stand in the check count, metadata counts more, and nbgrader has the same", async () => {
    const check = (name: string, options: string) => `check("${name}", () => a${options && `, ${options}`})`;
    const cell = code(
      [
        "const a = 0; // your turn",
        check("said", '{ points: 2, read: "The idea" }'),
        check("both", '{ "points": 2 }'),
        check("read", '{ read: "The idea" }'),
        check("plain", ""),
        check("constructor", '{ read: "The idea" }'),
      ].join("\n"),
    );
    cell.metadata.slimlab = { points: { both: 5, read: 3, constructor: 2.5 } };
    const { cells } = await assignmentOf(notebook(cell), "work.ipynb");
    assert.deepEqual(
      { ...cells[0].points },
      { "": 1, said: 2, both: 5, read: 3, plain: 1, constructor: 2.5 },
    );
    const released = await studentEdition(notebook(cell), "work.ipynb");
    const tests = released.cells.filter(({ metadata }) => (metadata.nbgrader as { grade?: boolean }).grade);
    assert.deepEqual(
      tests.map(({ source, metadata }) => [textOf(source), (metadata.nbgrader as { points: number }).points]),
      [
        ['check("said", () => a, { points: 2, read: "The idea" })', 2],
        ['check("both", () => a, { points: 5 })', 5],
        ['check("read", () => a, { points: 3, read: "The idea" })', 3],
        ['check("plain", () => a)', 1],
        ['check("constructor", () => a, { points: 2.5, read: "The idea" })', 2.5],
      ],
    );
    await assert.rejects(
      assignmentOf(
        notebook(code('const a = 0; // your turn\ncheck("x", () => a, { points: two })')),
        "w.ipynb",
      ),
      /cell 1: the points of "x" must be a number in its check, or stand in the cell's metadata/,
    );
  });

  it("what nbgrader takes away of an exercise that nobody has solved is what its student gives", async () => {
    const cell = `import { check, expectEqual } from "slimlab/classroom";

const mask = [1, 1, 1, 1]; // your turn: keep all but the third
const kept = mask.filter(Boolean).length;

check("a", () => expectEqual([mask, kept], [[1, 1, 0, 1], 3]))`;
    const { cells } = await nbgraderSource(notebook(code(cell)), "work.ipynb");
    // As its ClearSolutions does.
    const cleared = textOf(cells[0].source).replace(
      /\/\/ BEGIN SOLUTION[\s\S]*?\/\/ END SOLUTION/,
      "// HERE",
    );
    assert.equal(
      cleared,
      'import { check, expectEqual } from "slimlab/classroom";\n\n// HERE\nconst kept = mask.filter(Boolean).length;',
    );
    const released = await studentEdition(notebook(code(cell)), "work.ipynb");
    assert.equal(released.cells.map(({ source }) => textOf(source)).join("\n\n"), cell);
  });

  it("the teacher's source solved has the solutions in the places of the stubs", async () => {
    const solved = await withSolutions(source());
    assert.equal(
      textOf(solved.cells[3].source),
      'const list: number[] = [1, 2, 3, 4, 5, 6, 7];\n\ncheck("b", () => expectEqual(list, [1, 2, 3, 4, 5, 6, 7]))',
    );
    assert.equal(solved.cells.length, 5);
    assert.equal(
      await solvedSource(
        "const a = 1;\nlet b = 0; // your turn\nf(b);\nlet c = 0; /* your turn */\ng()",
        "let c = 2, b = 3;",
      ),
      "const a = 1;\nlet c = 2, b = 3;\ng()",
    );
    await assert.rejects(solvedSource("const a = 1;", "const b = 2;"), /none of its exercise's names: b/);
  });

  it("the command writes all or nothing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-release-"));
    const log = console.log;
    try {
      console.log = () => {};
      const good = await save(join(folder, "good.ipynb"), source());
      const zh = await save(join(folder, "zh", "good.ipynb"), handedOut);
      const leaking = source();
      leaking.metadata.note = secret;
      const bad = await save(join(folder, "bad.ipynb"), leaking);
      await assert.rejects(
        release(["--out", join(folder, "out"), good, bad]),
        /left in the notebook's metadata/,
      );
      await assert.rejects(readFile(join(folder, "out", "good.ipynb")), /ENOENT/);
      assert.equal(await release(["--out", join(folder, "out"), good, zh]), 0);
      assert.ok(!(await readFile(join(folder, "out", "good.ipynb"), "utf8")).includes("veryPrivateAnswer"));
      await readFile(join(folder, "out", "zh", "good.ipynb"));
      await assert.rejects(release(["--out", folder, good]), /would overwrite/);
      assert.equal(await release(["--nbgrader", join(folder, "course"), good]), 0);
      assert.match(
        await readFile(join(folder, "course/source/good/good.ipynb"), "utf8"),
        /veryPrivateAnswer/,
      );
      assert.match(
        await readFile(join(folder, "course/nbgrader_config.py"), "utf8"),
        /ClearSolutions\.code_stub/,
      );
    } finally {
      console.log = log;
      await rm(folder, { recursive: true });
    }
  });
});

describe("a check says more where it is asked to", () => {
  const plain = (result: unknown) =>
    (result as Record<symbol, () => Record<string, string>>)[Symbol.for("Jupyter.display")]()["text/plain"];

  it("what to read again, where a case fails", () => {
    assert.match(plain(check("a", () => false, { read: "The idea" })), /Read again: The idea/);
    assert.ok(!plain(check("a", () => true, { read: "The idea" })).includes("The idea"));
  });

  it("2.03 comes to points where nbgrader runs it", () => {
    const half = () => check("a", { right: () => true, wrong: () => false }, { points: 3 });
    assert.match(plain(half()), /not yet/);
    process.env.NBGRADER_EXECUTION = "autograde";
    try {
      assert.equal(plain(half()), "1.5");
      assert.equal(plain(check("a", () => false)), "0");
    } finally {
      delete process.env.NBGRADER_EXECUTION;
    }
  });
});
