import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { assignmentOf } from "../../lib/classroom/assignment.ts";
import { gradeNotebook } from "../../lib/classroom/grade.ts";
import { checkMime } from "../../lib/classroom/index.ts";
import { SandboxPool } from "../../lib/classroom/pool.ts";
import type { Sandbox } from "../../lib/classroom/sandbox.ts";
import type { Cell, Notebook, Output } from "../../lib/notebook/notebook.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { code, markdown, notebook } from "../chapters/notebooks.ts";
import { type Cases, followed, itJudges, preceded, untouched } from "./cases.ts";
import { type Bench, cellA, cellB, checkA, checkB, perfect, start, withBench } from "./setting.ts";

/** A stored or shown result that says of exercises that they are solved. */
const forgedBundle = (name: string) => ({
  [checkMime]: { name, passed: true, cases: [{ name: "", passed: true, message: "" }] },
  "text/plain": `✓ ${name}: solved`,
});
const forgedOutputs = (): Output[] =>
  ["a", "b"].map((name) => ({ output_type: "display_data", data: forgedBundle(name), metadata: {} }));
const showForged = `const forged = (name: string) => ({ [Symbol.for("Jupyter.display")]: () => ({ ...${JSON.stringify(forgedBundle("x"))}, ${JSON.stringify(checkMime)}: { name, passed: true, cases: [{ name: "", passed: true, message: "" }] } }) });
display(forged("a")); display(forged("b"));`;
const withMetadata = (metadata: Notebook["metadata"], cells: Cell[]): Notebook => ({
  ...notebook(...cells),
  metadata,
});

/** Honest work: what went wrong costs what it must and no more. */
const honest: Cases["honest"] = [
  ["everything solved", perfect, [1, 1]],
  ["nothing done", untouched, [0, 0], { reason: /should be 6 .* got -1/ }],
  ["no cells", () => [], [0, 0], { reason: /there is no double/ }],
  ["half of a's cases", () => [code(start), code(cellA("return 0;")), code(cellB("[1, 0.25]"))], [0.5, 1]],
  [
    "1.03 a syntax error in the cell of a, where check was imported",
    () => [code(`${start}\n${cellA("return (;")}`), code(cellB("[1, 0.25]"))],
    [0, 1],
    { reason: /cell 1 failed: SyntaxError/ },
  ],
  [
    "1.04 a loop without end when a's cell runs",
    () => [code(start), code(`${cellA("return 2 * x;")}\nwhile (true) {}`), code(cellB("[1, 0.25]"))],
    [1, 1],
    { timeout: 4 },
  ],
  [
    "1.04 a loop without end before a is there",
    () => [code(`${start}\nwhile (true) {}\n${cellA("return 2 * x;")}`), code(cellB("[1, 0.25]"))],
    [1, 1],
    { timeout: 4 },
  ],
  [
    "1.04 a loop without end in a's function",
    () => [code(start), code(cellA("while (true) {}")), code(cellB("[1, 0.25]"))],
    [0, 1],
    { reason: /took more than 4 s/, timeout: 4 },
  ],
  [
    "1.05 the process ended in the cell of a",
    () => [
      code(start),
      code(`process.kill(process.pid, "SIGKILL"); await new Promise(() => {});\n${cellA("return 2 * x;")}`),
      code(cellB("[1, 0.25]")),
    ],
    [0, 1],
    { reason: /cell 2 failed: KernelDied/ },
  ],
  [
    "1.06 the cell of a is gone",
    () => [code(start), code(cellB("[1, 0.25]"))],
    [0, 1],
    { reason: /there is no double/ },
  ],
  ["1.06b the first cell is gone", () => perfect().slice(1), [1, 1]],
  [
    "1.07 b's cell before a's",
    () => [code(cellB("[1, 0.25]")), code(cellA("return 2 * x;")), code(start)],
    [1, 1],
  ],
  [
    "1.09 the function has another name",
    () => [code(start), code("const twice = (x: number) => 2 * x;"), code(cellB("[1, 0.25]"))],
    [0, 1],
    { reason: /there is no double/ },
  ],
  ["1.21 no kernelspec", () => withMetadata({}, perfect()), [1, 1]],
  [
    "1.21 a foreign kernelspec",
    () => withMetadata({ kernelspec: { name: "python3", language: "python" } }, perfect()),
    [1, 1],
  ],
  [
    "CRLF, lists of lines, a check with other quotes",
    () => [
      code(start),
      code(cellA("return 2 * x;").replaceAll("\n", "\r\n").replace('"a"', "'a'")),
      { ...code(""), source: cellB("[1, 0.25]").split(/(?<=\n)/) },
    ],
    [1, 1],
  ],
  [
    "the result of a check kept in a const",
    () => [
      code(start),
      code(cellA("return 2 * x;").replace("check(", "const result = check(")),
      code(cellB("[1, 0.25]")),
    ],
    [1, 1],
  ],
  [
    "an own check earlier in the notebook",
    () => [code(start), code('check("a", () => false)'), ...perfect().slice(1)],
    [1, 1],
  ],
  [
    "what b needs stands in a cell of the student's own",
    () => [
      code(start),
      code("const quarter = 1 / 4;"),
      code(cellA("return 2 * x;")),
      code(cellB("[1, quarter]")),
    ],
    [1, 1],
  ],
  [
    "a name is set in a later cell",
    () => [code(start), code(cellA("return 2 * x;")), code(cellB("[]")), code("answer.push(1, 0.25);")],
    [1, 1],
  ],
  [
    "cells between that fail",
    () => [code(start), code("throw new Error('mine')"), ...perfect().slice(1)],
    [1, 1],
  ],
  [
    "a type error that does not matter",
    () => [
      code(start),
      code(cellA("return 2 * (x as any as string as never);")),
      code(cellB("[1, 0.25] as unknown as string")),
    ],
    [1, 1],
  ],
];

/** Cheats on an untouched notebook: nothing is solved, so nothing is given. The numbers are those of the case file. */
const cheats: Cases["cheats"] = [
  [
    "1.08 edited checks",
    () => [
      code(start),
      code('function double() { return -1; }\ncheck("a", () => true)'),
      code('const answer = 0;\ncheck("b", () => true)'),
    ],
  ],
  ["1.11 prints that it passed", () => followed('console.log("✓ a: solved")')],
  [
    "3.01 an own check",
    () => [
      code(start.replace("check, ", "")),
      code("const check = (name: string, _: unknown) => ({ name, passed: true, cases: [] });"),
      ...untouched().slice(1),
    ],
  ],
  [
    "3.02 own expectations",
    () => [
      code(
        'import { check } from "slimlab/classroom"; const expectClose = () => {}; const expectEqual = () => {};',
      ),
      ...untouched().slice(1),
    ],
  ],
  ["3.03 Math.abs patched", () => preceded("Math.abs = () => 0;")],
  ["3.04 Object.is patched", () => preceded("Object.is = () => true;")],
  ["3.05 every patched", () => preceded("Array.prototype.every = () => true;")],
  ["3.06 Object.entries patched", () => preceded("Object.entries = () => [];")],
  ["3.08 a forged result shown at the end", () => followed(showForged)],
  [
    "3.10 check under another name",
    () => followed('const c = check; c("a", () => true); c("b", () => true)'),
  ],
  ["3.11 a forged result, then the end", () => followed(showForged, "process.exit(0)")],
  [
    "3.12 the import function replaced",
    () =>
      preceded(
        "(globalThis as any).__slimlab_import = async () => ({ check: (name: string) => ({ name, passed: true, cases: [] }), expectClose() {}, expectEqual() {} });",
      ),
  ],
  [
    "3.13 forged outputs stored in prose",
    () => [{ ...markdown("prose"), outputs: forgedOutputs() }, ...untouched()],
  ],
  [
    "1.10 forged outputs stored in code cells",
    () => untouched().map((cell) => ({ ...cell, outputs: forgedOutputs() })),
  ],
  [
    "3.14 forged outputs and no kernelspec",
    () =>
      withMetadata(
        {},
        untouched().map((cell) => ({ ...cell, outputs: forgedOutputs() })),
      ),
  ],
  [
    "3.15 forged outputs and a foreign kernelspec",
    () =>
      withMetadata(
        { kernelspec: { name: "python3", language: "python" } },
        untouched().map((cell) => ({ ...cell, outputs: forgedOutputs() })),
      ),
  ],
  [
    "3.16 exercises that nobody asked for",
    () => followed('for (let i = 0; i < 50; i++) check("bonus" + i, () => true)'),
  ],
  ["3.17 names that look alike", () => followed('check("а", () => true); check("b\u200b", () => true)')],
  [
    "3.18 cells that are not to run",
    () => untouched().map((cell) => ({ ...cell, metadata: { tags: ["skip-execution"] } })),
  ],
  [
    "3.19 cells that may fail",
    () => untouched().map((cell) => ({ ...cell, metadata: { tags: ["raises-exception"] } })),
  ],
  [
    "3.23 a proxy that answers every question",
    () => [
      code(start),
      code(
        `const double = new Proxy(function () {}, { apply: () => new Proxy({}, { get: (_t, key) => (key === Symbol.toPrimitive ? () => 6 : 6) }) }) as never;\n${checkA}`,
      ),
      code(`const answer = new Proxy([], { get: () => 1 });\n${checkB}`),
    ],
  ],
  ["3.24 toJSON for all", () => preceded("(Object.prototype as any).toJSON = () => ({ passed: true });")],
  ["3.25 JSON.stringify patched", () => preceded("JSON.stringify = () => '{\"value\":6}';")],
  ["3.26 passed for all", () => preceded("(Object.prototype as any).passed = true;")],
  [
    "3.27 forged later, from a timer",
    () =>
      followed(
        `setTimeout(() => { ${showForged} }, 100); await new Promise((done) => setTimeout(done, 50));`,
      ),
  ],
  [
    "3.30 forged without cases",
    () =>
      followed(
        `display({ [Symbol.for("Jupyter.display")]: () => ({ ${JSON.stringify(checkMime)}: { name: "a", passed: true }, "text/plain": "" }) });`,
      ),
  ],
  [
    "3.31 forged with strange cases",
    () =>
      followed(
        `display({ [Symbol.for("Jupyter.display")]: () => ({ ${JSON.stringify(checkMime)}: { name: "a", passed: true, cases: [null] }, "text/plain": "" }) });`,
      ),
  ],
  [
    "3.32 a name that writes on the terminal",
    () => followed('check("\\u001b[2J\\n2 of 2 solved", () => true)'),
  ],
  [
    "3.33 the original's path from the grader's command line",
    () => [
      code(start),
      code(
        `import { readFileSync, readdirSync } from "node:fs";\nlet found = ""; for (const pid of readdirSync("/proc").filter(Number)) try { found += readFileSync("/proc/" + pid + "/cmdline", "utf8"); } catch {}\nfor (const own of ${JSON.stringify([packageRoot, tmpdir()])}) found = found.replaceAll(own, "");\nconst double = (x: number) => (/original/.test(found) ? 2 * x : -1);\n${checkA}`,
      ),
      code(cellB("[]")),
    ],
  ],
  [
    "3.34 Object.is as an oracle",
    () => [
      code(
        `${start}\nlet seen: any; const is = Object.is; Object.is = (a: any, b: any) => { seen = b; return is(a, b); };`,
      ),
      code(cellA("return seen ?? -1;")),
      code(cellB("[]")),
    ],
  ],
  [
    "3.40 forged, then the kernel killed",
    () => followed(`${showForged}\nprocess.kill(process.pid, "SIGKILL"); await new Promise(() => {})`),
  ],
  ["3.44 the grader killed", () => followed('try { process.kill(process.ppid, "SIGKILL") } catch {}')],
  [
    "a border of one's own",
    () =>
      preceded(
        'Object.defineProperty(globalThis, Symbol.for("slimlab.border"), { value: async () => {}, writable: false });',
      ),
  ],
  [
    "a desk that says that all is solved",
    () =>
      preceded(
        `import { connect } from "node:net"; (globalThis as any)[Symbol.for("slimlab.border")] = async (path: string) => { const socket = connect(path); socket.on("data", () => socket.write(${JSON.stringify('{"checks":[{"name":"a","cases":[{"name":"","passed":true}]}],"value":["verdict",true]}\n')})); await new Promise((done) => socket.on("close", done)); };`,
      ),
  ],
  [
    "a value that reaches for the judge's prototypes",
    () =>
      preceded(
        `import { connect } from "node:net"; (globalThis as any)[Symbol.for("slimlab.border")] = async (path: string) => { const socket = connect(path); socket.on("data", () => socket.write(${JSON.stringify('{"value":["object",[["__proto__",["object",[["passed",true]]]],["constructor",["array",[]]]]]}\n')})); await new Promise((done) => socket.on("close", done)); };`,
      ),
  ],
  [
    "a line that never ends",
    () =>
      preceded(
        `import { connect } from "node:net"; (globalThis as any)[Symbol.for("slimlab.border")] = async (path: string) => { const socket = connect(path); socket.on("error", () => {}); socket.on("data", () => { const more = () => { while (!socket.destroyed && socket.write("x".repeat(1_000_000))); if (!socket.destroyed) socket.once("drain", more); }; more(); }); await new Promise((done) => socket.on("close", done)); };`,
      ),
  ],
  [
    "an answer nested without end",
    () => [
      code(start),
      code(`const double = () => { const a: any = []; a.push(a); return a; };\n${checkA}`),
      code(`const answer: any = {}; answer.answer = answer;\n${checkB}`),
    ],
  ],
];

describe("grading", function () {
  this.timeout(300_000);
  let bench: Bench;
  withBench((opened) => {
    bench = opened;
  });

  itJudges({ honest, cheats }, () => bench);

  it("a cheat that changes its own process solves what it solves, and nothing else", async () => {
    const grade = await bench.grade([
      code(`${start}\nObject.is = () => false; Math.abs = () => 0;`),
      ...perfect().slice(1),
    ]);
    assert.equal(grade.points, 2);
  });

  describe("the sandbox", () => {
    const shows = async (source: string, options = {}): Promise<string> => {
      const grade = await bench.grade([code(source)], { all: true, ...options });
      return JSON.stringify(grade.notebook!.cells[0].outputs);
    };

    it("3.48 has no network, no home folder of the grader's, none of his variables", async () => {
      assert.match(
        await shows('import { networkInterfaces } from "node:os"; Object.keys(networkInterfaces()).join()'),
        /"'lo'"/,
      );
      assert.match(
        await shows('import { readdirSync } from "node:fs"; readdirSync(process.env.HOME!).join() + "!"'),
        /"'(\.local)?!'"/,
      );
      assert.match(
        await shows("Object.keys(process.env).sort().join()"),
        /"'HOME,LANG,PATH,PWD,SLIMLAB_COMPLETION,TMPDIR,TZ'"/,
      );
      assert.match(await shows('import { existsSync } from "node:fs"; existsSync("/etc/passwd")'), /"false"/);
      // Of people's folders there is nothing but the way to what a kernel needs, where that is installed there.
      const needed = [packageRoot, process.execPath, realpathSync(process.execPath), realpathSync(tmpdir())];
      const places = ["/root", "/home", homedir()].map((place) => JSON.stringify(place)).join();
      const seen = await shows(`import { readdirSync } from "node:fs";
const seen: string[] = [];
const needed = ${JSON.stringify(needed)};
const walk = (place: string) => {
  if (needed.some((path) => place.startsWith(path))) return;
  seen.push(place);
  try { for (const name of readdirSync(place)) walk(place + "/" + name); } catch { seen.pop(); }
};
for (const place of [${places}]) walk(place);
seen.filter((place) => !needed.some((path) => path.startsWith(place + "/"))).length`);
      assert.match(seen, /"text\/plain":"0"/);
    });

    it("3.33 shows neither the notebooks of the product nor other processes", async () => {
      assert.ok(existsSync(join(packageRoot, "notebooks")));
      assert.match(
        await shows(
          `import { existsSync } from "node:fs"; existsSync(${JSON.stringify(join(packageRoot, "notebooks"))})`,
        ),
        /"false"/,
      );
      const count = Number(
        /'(\d+)'/.exec(
          await shows(
            'import { readdirSync } from "node:fs"; String(readdirSync("/proc").filter(Number).length)',
          ),
        )?.[1],
      );
      assert.ok(count <= 6, `${count} processes are seen`);
    });

    it("3.51, 3.52 the product cannot be written, and what is written into the own folder is gone", async () => {
      const target = join(packageRoot, "dist/lib/classroom/check.js");
      assert.match(
        await shows(
          `import { appendFileSync } from "node:fs"; appendFileSync(${JSON.stringify(target)}, " ")`,
        ),
        /EROFS|EACCES|EPERM/,
      );
      await bench.grade(
        [
          code(
            'import { mkdirSync, writeFileSync } from "node:fs"; mkdirSync("node_modules/slimlab", { recursive: true }); writeFileSync("node_modules/slimlab/package.json", "{}"); writeFileSync("/tmp/left", "x")',
          ),
        ],
        { all: true },
      );
      assert.match(
        await shows(
          'import { existsSync, readdirSync } from "node:fs"; [existsSync("/tmp/left"), readdirSync(".").length].join()',
        ),
        /"'false,0'"/,
      );
    });

    it("3.51 a slimlab of the student's own judges nobody", async () => {
      const fake =
        "export const check = (name) => ({ name, passed: true, cases: [] }); export const expectClose = () => {}; export const expectEqual = expectClose;";
      const files = new Map(
        [
          [
            "node_modules/slimlab/package.json",
            '{"name":"slimlab","type":"module","exports":{"./classroom":"./index.js"}}',
          ],
          ["node_modules/slimlab/index.js", fake],
        ].map(([path, text]) => [path, Buffer.from(text)] as const),
      );
      assert.equal((await bench.grade(untouched(), { files })).points, 0);
      assert.equal((await bench.grade(perfect(), { files })).points, 2);
    });

    it("files that were handed in lie beside the notebook, and cannot lie anywhere else", async () => {
      const files = new Map([
        ["data/numbers.txt", Buffer.from("1,0.25")],
        ["../../outside.txt", Buffer.from("x")],
      ]);
      const grade = await bench.grade(
        [
          code(start),
          code(
            `import { readFileSync } from "node:fs";\nconst answer = readFileSync("data/numbers.txt", "utf8").split(",").map(Number);\n${checkB}`,
          ),
        ],
        { files },
      );
      assert.equal(grade.exercises[1].points, 1);
      assert.equal(readdirSync(tmpdir()).includes("outside.txt"), false);
    });

    it("3.47 processes that stay do not stay", async () => {
      const mark = `4${process.pid}.5`;
      await bench.grade(
        [
          code(
            `import { spawn } from "node:child_process"; for (let i = 0; i < 20; i++) spawn("sleep", ["${mark}"], { detached: true, stdio: "ignore" }).unref();`,
          ),
        ],
        { all: true },
      );
      const alive = () =>
        readdirSync("/proc").filter((pid) => {
          try {
            return Number(pid) > 0 && readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(mark);
          } catch {
            return false;
          }
        });
      // The sandbox's first process is dead; the system ends the others on its own time.
      while (alive().length > 0) await setTimeout(20);
    });

    it("a bomb of processes, of memory and of output is the student's own, and the next one is graded", async () => {
      const bombs: [source: string, reason: RegExp][] = [
        [
          'import { spawn } from "node:child_process"; for (let i = 0; i < 200; i++) spawn("sleep", ["60"], { stdio: "ignore" }); await new Promise(() => {})',
          /more than 64 processes/,
        ],
        [
          "const kept: Buffer[] = []; for (;;) { kept.push(Buffer.alloc(256 * 1024 * 1024, 1)); await new Promise((done) => setTimeout(done, 1)); }",
          /more than 4096 MiB of memory/,
        ],
        [
          'for (let i = 0; i < 500; i++) display({ [Symbol.for("Jupyter.display")]: () => ({ "text/plain": "x".repeat(1024 * 1024) }) }); await new Promise(() => {})',
          /put out more than 50000000 characters/,
        ],
      ];
      for (const [bomb, reason] of bombs) {
        const grade = await bench.grade([code(start), code(bomb), ...perfect().slice(1)], {
          all: true,
        });
        assert.match(JSON.stringify(grade.failures), reason);
        assert.equal(grade.points, 2, "the exercises are solved all the same");
      }
      assert.equal((await bench.grade(perfect())).points, 2);
    });

    it("one that does not come up is followed by another, and costs nobody anything", async () => {
      const before = process.env.TMPDIR;
      process.env.TMPDIR = "/nowhere";
      const pool = new SandboxPool({ isolation: "bubblewrap", size: 1 });
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
      try {
        assert.equal((await gradeNotebook(notebook(...perfect()), bench.judge, pool)).points, 2);
      } finally {
        await pool.end();
      }
    });

    it("a verdict does not wait for its sandbox's end, and when the pool has ended nothing of it is left", async () => {
      const pool = new SandboxPool({ isolation: "bubblewrap", size: 1 });
      const taken: Sandbox[] = [];
      const sandboxes = {
        isolation: pool.isolation,
        take: async () => {
          const sandbox = await pool.take();
          taken.push(sandbox);
          return sandbox;
        },
        giveBack: (sandbox: Sandbox) => pool.giveBack(sandbox),
      };
      try {
        const stays = code('import { spawn } from "node:child_process"; spawn("sleep", ["1000"]);');
        const work = notebook(stays, ...perfect());
        assert.equal((await gradeNotebook(work, bench.judge, sandboxes, { all: true })).points, 2);
      } finally {
        await pool.end();
      }
      assert.equal(taken.length, 1);
      assert.throws(() => process.kill(taken[0].kernel.pid!, 0), { code: "ESRCH" });
      assert.equal(existsSync(taken[0].work) || existsSync(taken[0].sockets), false);
    });

    it("3.56 a notebook has a limit of time as a whole", async () => {
      const slow = Array.from({ length: 6 }, () =>
        code("await new Promise((done) => setTimeout(done, 900))"),
      );
      const grade = await bench.grade([code(start), ...slow, ...perfect().slice(1)], {
        all: true,
        totalTimeout: 2,
      });
      assert.match(JSON.stringify(grade.failures), /the notebook took more than 2 s/);
    });

    it("a large file has a limit", async () => {
      assert.match(
        await shows(
          'import { openSync, writeSync } from "node:fs"; const file = openSync("big", "w"); const block = Buffer.alloc(64 * 1024 * 1024); for (let i = 0; i < 8; i++) writeSync(file, block);',
        ),
        /EFBIG/,
      );
    });
  });
});

describe("what is an exercise", () => {
  const of = (...cells: Cell[]) => assignmentOf(notebook(...cells), "original.ipynb");

  it("1.22 a notebook without exercises is refused, and one that cannot be read too", async () => {
    await assert.rejects(of(), /original\.ipynb has no exercises/);
    await assert.rejects(
      of(code('const a = (;\ncheck("a", () => a)')),
      /cell 1 calls check and cannot be read/,
    );
    await assert.rejects(
      of(code('check("a", () => 1)'), code('check("a", () => 2)')),
      /two exercises of the name "a"/,
    );
  });

  it("1.23 a check may stand anywhere in its cell", async () => {
    const { cells } = await of(
      code(
        'const x = 0; // your turn\nconst r = check("kept", () => x);\nfor (let i = 0; i < 2; i++) check("loop" + i, () => x);',
      ),
    );
    assert.deepEqual([cells[0].names, cells[0].dynamic, cells[0].given], [["kept"], true, ["x"]]);
  });

  it("the student gives what is marked; else what the cell declares, or what the check asks of other cells", async () => {
    const given = async (...cells: Cell[]) => (await of(...cells)).cells.at(-1)!.given;
    assert.deepEqual(await given(code('const a = 1;\nconst b = 0; // your turn\ncheck("x", () => a + b)')), [
      "b",
    ]);
    assert.deepEqual(
      await given(
        code(
          'function f() {\n  // BEGIN SOLUTION\n  return 1;\n  // END SOLUTION\n}\nconst g = f();\ncheck("x", () => g)',
        ),
      ),
      ["f"],
    );
    assert.deepEqual(await given(code('const a = 1;\ncheck("x", () => a)')), ["a"]);
    assert.deepEqual(
      await given(
        code("const a = 1, unused = 2;"),
        code('import assert from "node:assert";\ncheck("x", () => assert.equal(a, 1))'),
      ),
      ["a"],
    );
  });
});
