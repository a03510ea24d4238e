import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assignmentOf } from "../../lib/classroom/assignment.ts";
import { classReport, separation } from "../../lib/classroom/class-report.ts";
import { feedbackPage } from "../../lib/classroom/feedback.ts";
import { ungraded } from "../../lib/classroom/grade.ts";
import type { Grade } from "../../lib/classroom/grades.ts";
import { fingerprints, likenesses } from "../../lib/classroom/likeness.ts";
import { parseCsv, type Result } from "../../lib/classroom/results.ts";
import type { Notebook } from "../../lib/notebook/notebook.ts";
import { code, markdown, notebook, save } from "../chapters/notebooks.ts";
import { cellA, cellB, gradeArguments, handedOut, needsSandbox, perfect, slimlab, start } from "./setting.ts";

const withOpen = (source: Notebook): Notebook => {
  const open = { ...markdown("**Exercise c.** Why?", ["exercise"]) };
  open.metadata.slimlab = { manual: { name: "c", points: 2 } };
  return { ...source, cells: [...source.cells, open] };
};

describe("a class", function () {
  this.timeout(240_000);
  let folder: string;
  before(needsSandbox);
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-class-"));
    await save(join(folder, "original.ipynb"), withOpen(handedOut));
  });
  afterEach(() => rm(folder, { recursive: true }));
  const json = async (path: string) => JSON.parse(await readFile(join(folder, path), "utf8"));
  const grade = (...more: string[]) => gradeArguments(2, ...more);

  it("every submission gets a grade or a reason; tables, pages and reports are written", async () => {
    await save(join(folder, "in", "ann", "w.ipynb"), notebook(...perfect()));
    await save(
      join(folder, "in", "bob", "w.ipynb"),
      notebook(code(start), code(cellA("return 0;")), code(cellB("[1]"))),
    );
    await save(join(folder, "in", "cem", "w.ipynb"), "");
    await save(
      join(folder, "in", "=1+1", "w.ipynb"),
      notebook(code('throw new Error("\\u001b[2J<script>alert(1)</script>")'), ...handedOut.cells),
    );
    await save(join(folder, "in", "dan", "w.pdf"), "%PDF");
    const {
      code: status,
      stdout,
      stderr,
    } = await slimlab(folder, grade("--due", "2000-01-01", "--late-penalty", "0", "in"));
    assert.equal(status, 1, stderr);
    assert.match(stderr, /isolation: bubblewrap/);
    assert.ok(!stdout.includes("\u001b[2J"));
    const results: Result[] = await json("out/grades.json");
    assert.deepEqual(
      results
        .map(({ student, points, of, grade }) => [student, points, of, grade.reason !== undefined])
        .sort(),
      [
        ["=1+1", 0, 4, false],
        ["ann", 2, 4, false],
        ["bob", 0.5, 4, false],
        ["cem", 0, 4, true],
        ["dan", 0, 4, true],
      ],
    );
    const table = parseCsv(await readFile(join(folder, "out/grades.csv"), "utf8"));
    assert.deepEqual(table[0].slice(0, 6), ["student", "a", "b", "c", "points", "of"]);
    assert.ok(
      table.some(([student]) => student === "'=1+1"),
      "no name is a formula",
    );
    const page = await readFile(join(folder, "out/feedback/bob.html"), "utf8");
    assert.match(page, /✗ a: 0\.5 \/ 1.*✓ zero/s);
    const evil = await readFile(join(folder, "out/feedback/_1_1.html"), "utf8");
    assert.ok(!/<script/i.test(evil) && evil.includes("&lt;script&gt;"));
    assert.match(await readFile(join(folder, "out/class.html"), "utf8"), /5 submissions/);
    assert.equal((await json("out/gradescope/bob.json")).tests[0].score, 0.5);

    // Marks that a person gives stay, and nothing is graded twice.
    const marks = (await readFile(join(folder, "out/marks.csv"), "utf8")).replace(
      "bob,c,,2,",
      "bob,c,1.5,2,well argued",
    );
    await writeFile(join(folder, "out/marks.csv"), marks);
    const lines = (await readFile(join(folder, "out/results.jsonl"), "utf8")).split("\n").length;
    await slimlab(folder, grade("--due", "2000-01-01", "in"));
    assert.equal((await readFile(join(folder, "out/results.jsonl"), "utf8")).split("\n").length, lines);
    const bob = ((await json("out/grades.json")) as Result[]).find(({ id }) => id === "bob")!;
    assert.deepEqual(
      [bob.points, bob.marks],
      [2, [{ exercise: "c", points: 1.5, of: 2, comment: "well argued" }]],
    );
    assert.match(await readFile(join(folder, "out/marks.csv"), "utf8"), /bob,c,1\.5,2,well argued/);
    const marked = await readFile(join(folder, "out/feedback/bob.html"), "utf8");
    assert.match(marked, /<h1>bob: .*2 \/ 4.*c: 1\.5 \/ 2.*well argued.*✗ a: 0\.5 \/ 1/s);
    assert.match(
      await readFile(join(folder, "out/feedback/ann.html"), "utf8"),
      /c: \? \/ 2 \(not marked yet/,
    );
    assert.match(await readFile(join(folder, "out/feedback/cem.html"), "utf8"), /is empty: was it uploaded/);
  });

  it("1.25 Ctrl-C keeps what is done, and the same command goes on; a kill changes no grade", async () => {
    for (let i = 0; i < 6; i++) await save(join(folder, "in", `s${i}`, "w.ipynb"), notebook(...perfect()));
    // Until its student hands in again, the class is never done by itself, however late the interrupt comes.
    const last = join(folder, "in", "s5", "w.ipynb");
    await save(last, notebook(code(start), code(`await new Promise(() => {});\n${cellA("return 2 * x;")}`)));
    let asked = false; // A second one ends it at once, as everywhere.
    const first = await slimlab(folder, grade("in"), (line, child) => {
      if (!/^s\d/.test(line) || asked) return;
      asked = true;
      child.kill("SIGINT");
    });
    assert.equal(first.code, 130, first.stderr);
    assert.match(first.stderr, /interrupted after \d of 6; the same command goes on/);
    const kept = await readFile(join(folder, "out/results.jsonl"), "utf8");
    assert.ok(kept.length > 0);
    await save(last, notebook(...perfect()));
    const second = await slimlab(folder, grade("in"), (line, child) => {
      if (/^s[^0]/.test(line)) child.kill("SIGKILL");
    });
    assert.ok(second.signal === "SIGKILL" || second.code === 0);
    // A line that was cut off in the middle is no grade.
    await writeFile(
      join(folder, "out/results.jsonl"),
      `${await readFile(join(folder, "out/results.jsonl"), "utf8")}{"key":"abc","gra`,
    );
    const third = await slimlab(folder, grade("in"));
    assert.equal(third.code, 0, third.stderr);
    const results: Result[] = await json("out/grades.json");
    assert.deepEqual(
      results.map(({ id, points }) => [id, points]),
      [0, 1, 2, 3, 4, 5].map((i) => [`s${i}`, 2]),
    );
    assert.ok(
      (await readFile(join(folder, "out/results.jsonl"), "utf8")).startsWith(kept),
      "what was graded stays",
    );
  });

  it("places that cannot be written to, options and originals that make no sense are refused before anything runs", async () => {
    await save(join(folder, "in", "ann", "w.ipynb"), notebook(...perfect()));
    await save(join(folder, "none.ipynb"), notebook(code("1")));
    const refused: [args: string[], message: RegExp][] = [
      [["grade", "in"], /--original is missing/],
      [["grade", "--original", "none.ipynb", "in"], /none\.ipynb has no exercises/],
      [["grade", "--original", "gone.ipynb", "in"], /gone\.ipynb does not exist/],
      [grade("--timeout", "abc", "in"), /--timeout must be a number/],
      [grade("--due", "soon", "in"), /--due must be a time such as/],
      [grade("--json", "/proc/x.json", "in"), /ENOENT|EACCES|EPERM/],
      [
        ["grade", "--original", "original.ipynb", "--out", "original.ipynb", "in"],
        /results cannot be written to original\.ipynb/,
      ],
      [grade("nowhere"), /nowhere does not exist/],
    ];
    const ended = await Promise.all(refused.map(([args]) => slimlab(folder, args)));
    for (const [i, { code: status, stderr, stdout }] of ended.entries()) {
      assert.equal(status, 1, refused[i][0].join(" "));
      assert.match(stderr, refused[i][1]);
      assert.equal(stdout, "", "nothing was graded");
    }
  });
});

describe("a student's own check", function () {
  this.timeout(300_000);

  it("says what was expected, what came and what to read again, and why there is no result", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-own-"));
    try {
      const cells = [
        code(start),
        code(cellA("return x;").replace(/\)$/, ', { read: "Doubling" })')),
        code(`throw new Error("mine");\n${cellB("[]")}`),
      ];
      await save(join(folder, "w.ipynb"), notebook(...cells));
      const { code: status, stdout } = await slimlab(folder, ["check", "w.ipynb"]);
      assert.equal(status, 1);
      assert.match(
        stdout,
        /^w\.ipynb: 0 of 2 solved\n {2}✗ a\n {6}doubles: the value should be 6 .*got 3\n {6}read again: Doubling\n/,
      );
      assert.match(stdout, /✗ b\n {6}its cell failed: Error: mine/);
      await save(join(folder, "w.ipynb"), notebook(...perfect()));
      assert.equal((await slimlab(folder, ["check", "w.ipynb"])).code, 0);
      const chinese = notebook(...cells);
      chinese.metadata.slimlab = { language: "zh" };
      await save(join(folder, "w.ipynb"), chinese);
      await save(join(folder, "texts", "w.json"), JSON.stringify({ Doubling: "加倍", doubles: "翻倍" }));
      const own = await slimlab(folder, ["check", "w.ipynb"]);
      assert.match(
        own.stdout,
        /^w\.ipynb: 完成 0 \/ 2\n {2}✗ a\n {6}翻倍: 该值应为 6.*得到的是 3\n {6}重读：加倍\n/,
      );
      assert.match(own.stdout, /✗ b\n {6}所在单元出错：Error: mine/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

describe("a class in numbers", () => {
  const result = (id: string, points: number[]): Result => ({
    id,
    student: id,
    path: id,
    grade: {
      points: points.reduce((sum, one) => sum + one, 0),
      of: points.length,
      solved: 0,
      exercises: points.map((one, i) => ({
        name: `e${i}`,
        passed: one === 1,
        points: one,
        of: 1,
        cases: [{ name: "", passed: one === 1, message: one === 1 ? "" : "should be 2, got 3" }],
      })),
      failures: [],
      ran: "needed",
      seconds: 1,
      slowest: 0,
    },
    marks: [],
    points: points.reduce((sum, one) => sum + one, 0),
    of: points.length,
    notes: [],
  });
  const results = [
    result("a", [1, 1, 1]),
    result("b", [1, 1, 0]),
    result("c", [0, 0, 1]),
    result("d", [0, 0, 0]),
  ];

  it("an exercise that the strong solve separates, one by chance does not", () => {
    // By hand: e0 = (1, 1, 0, 0) and the rest (2, 1, 1, 0) have covariance 0.25 · 2 and deviations 0.5 and √0.5.
    assert.ok(
      Math.abs(separation(results, "e0") - 0.5 / (0.5 * Math.SQRT1_2 * 2)) < 1e-12,
      String(separation(results, "e0")),
    );
    assert.ok(Number.isNaN(separation([result("a", [1, 1])], "e0")));
  });

  it("the report names the hardest case and the common wrong answer", async () => {
    const html = classReport(results, await assignmentOf(handedOut, "original.ipynb"));
    assert.match(html, /4 submissions: 1.5 of 3 points on average, a median of 1.5/);
    assert.match(html, /Hardest cases.*50 % \(2 of 4\)/s);
    assert.match(html, /should be 2, got 3/);
    const solved = classReport([result("a", [1, 1])], await assignmentOf(handedOut, "original.ipynb"));
    assert.match(solved, /1 submission: 2 of 2 points.*Hardest cases<\/h2><p>None fails/s);
    const axis = [...solved.matchAll(/text-anchor="end"[^>]*>([\d.]+)</g)].map(([, tick]) => tick);
    assert.deepEqual(axis, ["0", "1"], "there are no half students");
  });

  it("1.12 a copy with other names is alike, the same idea in other words is not", async () => {
    const assignment = await assignmentOf(handedOut, "original.ipynb");
    const long = (x: string, y: string) =>
      `function double(${x}: number): number {\n  let ${y} = 0;\n  for (let i = 0; i < 2; i++) { ${y} += ${x}; if (${y} > 1e9) throw new Error("too large"); }\n  const back = ${y} / 2; return back === ${x} ? ${y} : back * 2;\n}`;
    const prints = (source: string) => fingerprints(notebook(code(start), code(source)), assignment);
    const students = [
      { id: "ann", prints: prints(long("x", "sum")) },
      { id: "bob", prints: prints(long("value", "total").replaceAll("  ", "\t")) },
      {
        id: "cem",
        prints: prints(
          "const double = (x: number) => [x, x].reduce((a, b) => a + b, 0) as number; double(2); double(3);",
        ),
      },
    ];
    assert.deepEqual(
      likenesses(students).map(({ a, b }) => [a, b]),
      [["ann", "bob"]],
    );
    assert.ok(likenesses(students)[0].share > 0.9);
    assert.deepEqual(prints(cellA("return -1; // your turn")), [], "what was handed out is nobody's");
  });

  it("a student's page says what to read again, and all else, in the language of his notebook", async () => {
    const assignment = await assignmentOf(handedOut, "original.ipynb");
    const grade: Grade = { ...result("a", [0]).grade, language: "zh" };
    grade.exercises[0].read = "Step 1: score";
    grade.exercises[0].reason = "there is no double; cell 3 failed: Error: mine";
    grade.exercises[0].cases = [{ name: "conv1", passed: false, message: "the value should be 2, got 3" }];
    const html = feedbackPage({ student: "a", notes: [] }, grade);
    assert.match(html, /<html lang="zh-Hans">/);
    assert.match(html, /该值应为 2，得到的是 3[\s\S]*重读：第一步：评分/);
    assert.match(html, /没有 double；第 3 个单元出错：Error: mine/);
    const notes = [
      "2 notebooks: w.ipynb was graded",
      "cell 3: metadata is nested more than 200 deep: left out",
    ];
    assert.match(
      feedbackPage({ student: "a", notes }, grade),
      /有 2 个笔记本：评分的是 w\.ipynb[\s\S]*第 3 个单元：metadata 的嵌套超过 200 层：已略去/,
    );
    const unread = ungraded(
      { ...assignment, notebook: { ...handedOut, metadata: { slimlab: { language: "zh" } } } } as never,
      "w.ipynb is not JSON, so not a notebook: it is a zip archive",
    );
    assert.match(
      feedbackPage({ student: "a", notes: [] }, unread),
      /w\.ipynb 不是 JSON，因此不是笔记本：它是 zip 压缩包/,
    );
    const english = feedbackPage({ student: "a", notes: [] }, { ...grade, language: "en" });
    assert.match(english, /Read again: Step 1: score/);
    // A line that is made to fit every form of text costs no time.
    const long = `${"the value should be ".repeat(5000)}2, got 3`;
    grade.exercises[0].cases = [{ name: long, passed: false, message: long }];
    assert.ok(feedbackPage({ student: "a", notes: [] }, grade).includes("the value should be the value"));
  });

  it("a student's page begins with all verdicts, each a link to its place", () => {
    const grade: Grade = { ...result("a", [1, 0, 0]).grade, solved: 1 };
    grade.exercises[1].cases = [
      { name: "five", passed: false, message: `should be <5>\n${"x".repeat(300)}` },
    ];
    grade.exercises[2].cases = [{ name: "secret", passed: false, message: "is 42", hidden: true }];
    grade.notebook = notebook(markdown("# verdict-1"), code('check("e0", f)'), code('check("e2", f)'));
    for (const [language, title] of [
      ["en", "1 of 3 solved"],
      ["zh", "完成 1 / 3"],
    ] as const) {
      const html = feedbackPage({ student: "a", notes: [] }, { ...grade, language });
      const [, head, list] = /<h1>[\s\S]*?<\/h1>([\s\S]*?)<ul class="summary">([\s\S]*?)<\/ul>/.exec(html)!;
      assert.ok(head.includes(title), head);
      const rows = [...list.matchAll(/<a href="#(.*?)">(.*?)<\/a><span>(.*?)<\/span>(?:<p.*?>(.*?)<\/p>)?/g)];
      assert.deepEqual(
        rows.map(([, , ...row]) => row),
        [
          ["✓ e0", "1 / 1", undefined],
          ["✗ e1", "0 / 1", "five: should be &lt;5&gt; …"],
          ["✗ e2", "0 / 1", "a hidden test · 隐藏测试"],
        ],
      );
      // Nothing that the student writes is where a link leads.
      for (const [, id, name] of rows)
        assert.match(html, new RegExp(`<section [^>]*id="${id}"><strong>${name}`));
      assert.equal(html.match(/ id="verdict-1"/g)!.length, 1);
    }
  });

  it("a student's page shows hidden tests by their verdict alone", () => {
    const grade: Grade = { ...result("a", [0]).grade };
    grade.exercises[0].cases = [{ name: "secret", passed: false, message: "should be 42", hidden: true }];
    const html = feedbackPage({ student: "a", notes: [] }, grade);
    assert.match(html, /✗ a hidden test/);
    assert.ok(!html.includes("secret") && !html.includes("42"));
  });
});
