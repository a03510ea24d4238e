// Siblings of the cases of grade.test.ts: ways of cheating, of honest work and of damage that are unlike those there.
import assert from "node:assert/strict";
import { feedbackPage } from "../../lib/classroom/feedback.ts";
import { gradeNotebook } from "../../lib/classroom/grade.ts";
import { Pages } from "../../lib/classroom/pages.ts";
import type { Sandbox } from "../../lib/classroom/sandbox.ts";
import { type Cell, type Notebook, parseNotebook } from "../../lib/notebook/notebook.ts";
import { code, markdown, notebook } from "../chapters/notebooks.ts";
import { a, b, type Cases, describeCases, followed, preceded, untouched } from "./cases.ts";
import { checkA, checkB, start } from "./setting.ts";

/** A desk of the student's own that answers every question of the judge's with `answer`, an expression. */
const desk = (answer: string): Cell[] =>
  preceded(`import { connect } from "node:net";
(globalThis as any)[Symbol.for("slimlab.border")] = async (path: string) => {
  const socket = connect(path);
  socket.on("error", () => {});
  socket.on("data", (data) => socket.write((${answer}) + "\\n"));
  await new Promise((done) => socket.on("close", done));
};`);

const withKernelspec = (name: string, language: string, more = {}): Notebook => ({
  ...notebook(code(start), code(a), code(b)),
  metadata: { kernelspec: { name, language, display_name: name }, ...more },
});

const honest: Cases["honest"] = [
  [
    "variables",
    () => [code(start), code("var double = (x: number) => 2 * x; let answer = [1, 0.25];")],
    [1, 1],
  ],
  [
    "names of the global object",
    () => [code("Object.assign(globalThis, { double: (x: number) => 2 * x, answer: [1, 0.25] });")],
    [1, 1],
  ],
  [
    "destructured",
    () => [code("const { double, answer } = { double: (x: number) => 2 * x, answer: [1, 0.25] };")],
    [1, 1],
  ],
  ["exported", () => [code(start), code(`export ${a}\nexport ${b}`)], [1, 1]],
  [
    "an answer that is waited for",
    () => [code(a), code("const answer = await new Promise((done) => setTimeout(done, 20, [1, 0.25]));")],
    [1, 1],
  ],
  [
    "cells split, merged and out of order",
    () => [code(checkB), code(checkA), code("const scale = 2;"), code(`${b}\n${a}`)],
    [1, 1],
  ],
  [
    "a helper in a later cell",
    () => [
      code(start),
      code("function double(x: number): number { return twice(x); }"),
      code(b),
      code("function twice(x: number) { return 2 * x; }"),
    ],
    [1, 1],
  ],
  [
    "an earlier attempt that was wrong",
    () => [code(start), code("function double() { return 7; }"), code(`${a}\n${b}`)],
    [1, 1],
  ],
  [
    "a failing last line",
    () => [code(start), code(`${a}\nthrow new Error("x")`), code(`${b}\nnull!.x`)],
    [1, 1],
  ],
  [
    "Python, magic and what fails to be imported between",
    () => [
      code("import numpy as np\nprint('x')"),
      code("%matplotlib inline"),
      code("import x from 'lodash'; x;"),
      code(start),
      code(a),
      code(b),
    ],
    [1, 1],
  ],
  [
    "a line mark of an old Mac, a byte order mark, an emoji",
    () => [code(`\ufeff${start.replaceAll("\n", "\r")}`), code(`// π 😀\r\n${a}`), code(b)],
    [1, 1],
  ],
  [
    "asks for input",
    () => [
      code(
        "const name = await (globalThis as any).input?.('name?'); const also = (globalThis as any).prompt?.('x');",
      ),
      code(a),
      code(b),
    ],
    [1, 1],
  ],
  [
    "promises and timers that fail",
    () => [
      code(`Promise.reject(new Error("x")); setTimeout(() => { throw new Error("late"); }, 1);\n${a}`),
      code(b),
    ],
    [1, 1],
  ],
  ["ends the process in its last line", () => [code(`${a}\n${b}\nprocess.exit(0)`)], [1, 1]],
  [
    "ends the process when it is asked",
    () => [code("function double() { process.abort(); }"), code(b)],
    [0, 1],
  ],
  [
    "a file of the student's own is imported",
    () => [code('import { double } from "./mine.ts";'), code(b)],
    [1, 1],
  ],
  [
    "VS Code",
    () => withKernelspec("slimlab-venv", "typescript", { vscode: { interpreter: { hash: "x" } } }),
    [1, 1],
  ],
  [
    "Colab",
    () => withKernelspec("python3", "python", { colab: { provenance: [] }, accelerator: "GPU" }),
    [1, 1],
  ],
  [
    "nteract",
    () => ({
      ...notebook(code(start), code(a), code(b)),
      metadata: { kernel_info: { name: "x" }, nteract: { version: "0.28" } },
    }),
    [1, 1],
  ],
  ["tslab", () => withKernelspec("tslab", "typescript"), [1, 1]],
  [
    "cells without metadata, ids and outputs",
    () =>
      parseNotebook(
        JSON.stringify({
          cells: [start, a, b].map((source) => ({ cell_type: "code", source })),
          metadata: {},
          nbformat: 4,
          nbformat_minor: 4,
        }),
        "w.ipynb",
      ),
    [1, 1],
  ],
];

const cheats: Cases["cheats"] = [
  [
    "getters and setters on all objects",
    () => preceded('Object.defineProperty(Object.prototype, "value", { get: () => 6, set() {} });'),
  ],
  [
    "lists that look right",
    () => preceded("Array.isArray = (() => true) as any; Array.prototype.map = () => [1, 0.25];"),
  ],
  [
    "numbers that look right",
    () =>
      preceded(
        'Number.prototype.valueOf = () => 6; Number.prototype.toPrecision = () => "6"; Math.max = Math.min = () => 6;',
      ),
  ],
  [
    "console and assert",
    () =>
      preceded(
        'import assert from "node:assert"; for (const one of [console, assert] as any[]) for (const key of Object.keys(one)) try { one[key] = () => {}; } catch {}',
      ),
  ],
  [
    "promises",
    () => preceded("Promise.prototype.then = function (f: any) { f?.([1, 0.25]); return this; } as any;"),
  ],
  [
    "a judge of one's own",
    () =>
      preceded(
        'Object.assign(globalThis, { check: () => true, [Symbol.for("slimlab.check.listener")]: () => {}, [Symbol.for("slimlab.judge")]: { take: () => ({}), run: () => {} } });',
      ),
  ],
  [
    "answers that differ each time",
    () => [
      code(
        "let n = 0; const double = () => n++; const answer: any = [0, 0]; for (const i of [0, 1]) Object.defineProperty(answer, i, { get: () => n++ });",
      ),
    ],
  ],
  [
    "objects that pretend to be numbers and lists",
    () => [
      code(
        "class Six { valueOf() { return 6; } [Symbol.toPrimitive]() { return 6; } }\nclass List { get length() { return 2; } valueOf() { return 1; } }\nconst double = () => new Six(), answer = new List();",
      ),
    ],
  ],
  ["no numbers", () => [code("const double = () => NaN, answer = [NaN, Infinity];")]],
  ["promises that never settle", () => [code("const double = () => -1, answer = [{ then() {} }];")]],
  [
    "proxies that fail or lie",
    () => [
      code(
        "const gone = Proxy.revocable({}, {}); gone.revoke(); const double = () => gone.proxy; const answer = new Proxy([], { get: (_, key) => (key === 'length' ? 2 : 7) });",
      ),
    ],
  ],
  [
    "what throws when it is looked at",
    () => [
      code(
        "const double = () => { throw { get message() { throw 1; } }; }; const answer = { get x() { throw { toString() { throw 1; } }; } };",
      ),
    ],
  ],
  [
    "a desk whose promise never settles",
    () => desk('JSON.stringify({ value: ["object", [["then", ["function", 0, "then"]]]] })'),
  ],
  ["a desk that nests without end", () => desk('"[".repeat(2e6) + "]".repeat(2e6)')],
  [
    "a desk with a number of ten million digits",
    () => desk('JSON.stringify({ value: ["bigint", "9".repeat(1e7)] })'),
  ],
  ["a desk whose error is none", () => desk("JSON.stringify({ error: null })")],
  [
    "a desk that calls back what was not given",
    () =>
      desk(
        'JSON.stringify(String(data).includes("get") ? { value: ["function", 0, "f"] } : { callback: 0, args: null })',
      ),
  ],
  ["a desk whose model is none", () => desk('JSON.stringify({ value: ["model", "{}", []] })')],
  [
    "a desk with all of a prototype's names",
    () =>
      desk(
        'JSON.stringify({ value: ["instance", 0, "x", [["__proto__", 1], ["length", 2]], ["__proto__", "constructor", "valueOf"], ["toString"]] })',
      ),
  ],
  [
    "every open file closed",
    () =>
      followed(
        'import { closeSync } from "node:fs"; for (let fd = 3; fd < 100; fd++) try { closeSync(fd); } catch {}',
      ),
  ],
  [
    "the sockets' folder filled with what may come",
    () =>
      preceded(
        'import { mkdirSync, symlinkSync } from "node:fs"; for (let i = 0; i < 20; i++) { mkdirSync("../k/b" + i + "/x", { recursive: true }); symlinkSync("/etc/passwd", "../k/c" + i); }',
      ),
  ],
  [
    "the sockets removed",
    () =>
      preceded(
        'import { readdirSync, rmSync } from "node:fs"; for (const name of readdirSync("../k")) rmSync("../k/" + name);',
      ),
  ],
  [
    "connects before the kernel does",
    () =>
      preceded(
        'import { connect } from "node:net"; import { readdirSync } from "node:fs"; setInterval(() => { for (const name of readdirSync("../k")) if (/^b/.test(name)) { const socket = connect("../k/" + name); socket.on("error", () => {}); socket.on("data", () => socket.write(\'{"value":6}\\n\')); } }, 1);',
      ),
  ],
];

const files = new Map([["mine.ts", Buffer.from("export const double = (x: number): number => 2 * x;")]]);

describeCases("siblings of the cases", { honest, cheats, files }, (bench) => {
  it("a submission has its time as a whole, however often its cells hang", async () => {
    const hangs = () => code('import { execSync } from "node:child_process"; execSync("sleep 60");');
    let taken = 0;
    const { pool, judge } = bench();
    const { isolation } = pool;
    const sandboxes = {
      isolation,
      take() {
        taken++;
        return pool.take();
      },
      giveBack: (sandbox: Sandbox) => pool.giveBack(sandbox),
    };
    const work = notebook(hangs(), hangs(), hangs(), code(start), code(a), code(b));
    await gradeNotebook(work, judge, sandboxes, { timeout: 1, totalTimeout: 3, all: true });
    // Each round loses a kernel after a second at least: the fourth, without such cells, comes too late.
    assert.ok(taken <= 3, `${taken} rounds`);
  });

  it("a sandbox has a limit of files, with and without a name, and of what its file systems in memory take", async () => {
    const fill = (more: string) => `import { openSync, unlinkSync, writeSync } from "node:fs";
const block = Buffer.alloc(64 * 1024 * 1024);
for (let i = 0; i < 40; i++) {
  const file = openSync("f" + i, "w");
  ${more}
  for (let k = 0; k < 3; k++) writeSync(file, block);
  await new Promise((done) => setTimeout(done, 50));
}`;
    for (const more of ["", 'unlinkSync("f" + i);']) {
      const { failures, points } = await bench().grade([code(fill(more)), code(a), code(b)], {
        all: true,
      });
      assert.match(JSON.stringify(failures), /more than 1024 MiB of files/);
      assert.equal(points, 2, "the exercises are solved all the same");
    }
    const { notebook: ran } = await bench().grade(
      [
        code(`import { writeFileSync } from "node:fs";
const block = Buffer.alloc(64 * 1024 * 1024);
const held = (folder: string) => { let n = 0; try { for (; n < 20; n++) writeFileSync(folder + n, block); } catch {} return n; };
[held("/"), held("/dev/"), held("/dev/shm/"), held("/tmp/") < 10].join()`),
      ],
      { all: true },
    );
    assert.match(JSON.stringify(ran!.cells[0].outputs), /0,0,[01],true/);
  });

  it("a page that takes too long, or too much memory, shows what was written as it is, and the next one is as ever", async () => {
    const grade = await bench().grade([...untouched(), markdown(`# *a*\n\n${"[".repeat(90_000)}`)]);
    const about = { student: "x", notes: [] };
    const hasty = new Pages(0.001);
    const pages = new Pages(600);
    try {
      assert.match(await hasty.make(about, grade), /<code># \*a\*.*<\/html>/s);
      assert.match(await pages.make(about, grade), /<h1 id="a"><em>a<\/em><\/h1>/);
      assert.deepEqual(await Promise.all([pages.make(about, grade), pages.make(about, grade)]), [
        feedbackPage(about, grade),
        feedbackPage(about, grade),
      ]);
    } finally {
      await Promise.all([hasty.end(), pages.end()]);
    }
  });
});
