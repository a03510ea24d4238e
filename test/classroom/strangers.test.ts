// Strangers to the cases: what reaches for results while they are told, for what all values share, and notebooks that were
// split, moved, renamed, stripped and translated.
import assert from "node:assert/strict";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { strToU8, zipSync } from "fflate";
import { findSubmissions } from "../../lib/classroom/submissions.ts";
import { type Cell, type Notebook, parseNotebook } from "../../lib/notebook/notebook.ts";
import { code, markdown, notebook } from "../chapters/notebooks.ts";
import { a, b, type Cases, describeCases, followed, preceded, untouched } from "./cases.ts";
import { cellA, cellB, checkA, checkB, perfect, start } from "./setting.ts";

/** A notebook as another program has written it. */
const written = (cells: object[], more: object = {}): Notebook =>
  parseNotebook(JSON.stringify({ cells, metadata: {}, nbformat: 4, nbformat_minor: 5, ...more }), "w.ipynb");
const sources = () => perfect().map(({ source }) => String(source));

const honest: Cases["honest"] = [
  [
    "old Mac's line ends in every cell",
    () => sources().map((one) => code(one.replaceAll("\n", "\r"))),
    [1, 1],
  ],
  [
    "Windows' line ends in every cell",
    () => sources().map((one) => code(one.replaceAll("\n", "\r\n"))),
    [1, 1],
  ],
  ["tabs for blanks", () => sources().map((one) => code(one.replaceAll("  ", "\t"))), [1, 1]],
  [
    "separators of lines and paragraphs, blanks of no width",
    () => [code(start), code(`${a}\u2028${checkA}`), code(`\u00a0${b}\u3000\u2029${checkB}`)],
    [1, 1],
  ],
  [
    "no metadata, no ids, no outputs, nbformat 4.0",
    () =>
      written(
        sources().map((source) => ({ cell_type: "code", source })),
        { nbformat_minor: 0 },
      ),
    [1, 1],
  ],
  [
    "lists of lines, one of them empty",
    () =>
      written(
        sources().map((one) => ({
          cell_type: "code",
          source: ["", ...one.split(/(?<=\n)/), ""],
          metadata: {},
          outputs: [],
          execution_count: null,
        })),
      ),
    [1, 1],
  ],
  [
    "a kernelspec of another year, a language that is none",
    () =>
      written(
        sources().map((source) => ({ cell_type: "code", source, metadata: {}, outputs: [] })),
        {
          metadata: {
            kernelspec: { name: "typescript-2019", display_name: "TS", language: "klingon" },
            language_info: { name: "" },
          },
        },
      ),
    [1, 1],
  ],
  ["all cells in one, checks first", () => [code([start, checkA, checkB, a, b].join("\n"))], [1, 1]],
  ["all cells in one, checks last", () => [code([start, a, b, checkA, checkB].join("\n"))], [1, 1]],
  [
    "a line a cell",
    () => [code(start), ...`${a}\n${b}`.split("\n").map((line) => code(line)), code(checkA), code(checkB)],
    [1, 1],
  ],
  [
    "every exercise first as handed out, then solved below",
    () => [...untouched(), code("double = (x) => 2 * x;"), code("answer.push(1, 0.25);")],
    [1, 1],
  ],
  [
    "solved above the cell that is handed out, which is left as it was: the last one counts, as in the notebook",
    () => [code(start), code(a), code(b), ...untouched().slice(1)],
    [0, 0],
  ],
  [
    "the checks renamed and the answers right",
    () => [code(start), code(a), code(b), code('check("my a", () => double(3) === 6)')],
    [1, 1],
  ],
  [
    "comments in Chinese, names in Cyrillic and Greek",
    () => [
      code(start),
      code("// 把数字乘以二\nconst множитель = 2;\nconst double = (χ: number) => множитель * χ;"),
      code("const ответ = [1, 0.25];\nconst answer = ответ;"),
    ],
    [1, 1],
  ],
  [
    "a name that is escaped",
    () => [
      code(start),
      code("const doubl\\u0065 = (x: number) => 2 * x;"),
      code("const \\u{61}nswer = [1, 0.25];"),
    ],
    [1, 1],
  ],
  [
    "a name whose accents stand apart",
    () => [
      code("const größe = 2;".normalize("NFD")),
      code("const double = (x: number) => größe * x;".normalize("NFD")),
      code(b),
    ],
    [1, 1],
  ],
  [
    "a function with properties and a name of its own",
    () => [
      code("const double = Object.assign((x: number) => 2 * x, { note: 'mine', length2: 3 });"),
      code(b),
    ],
    [1, 1],
  ],
  [
    "a bound function",
    () => [code("const double = ((f: number, x: number) => f * x).bind(null, 2);"), code(b)],
    [1, 1],
  ],
  [
    "a proxy of a function that only looks on",
    () => [code("const double = new Proxy((x: number) => 2 * x, {});"), code(b)],
    [1, 1],
  ],
  [
    "a proxy of a list that only looks on",
    () => [code(a), code("const answer = new Proxy([1, 0.25], {});")],
    [1, 1],
  ],
  [
    "memory and recursion",
    () => [
      code(
        "const known: number[] = [0];\nfunction double(x: number): number { return known[x] ??= double(x - 1) + 2; }",
      ),
      code(b),
    ],
    [1, 1],
  ],
  [
    "an answer with getters",
    () => [
      code(a),
      code(
        "const answer: number[] = [];\nObject.defineProperty(answer, 0, { get: () => 1, enumerable: true });\nanswer[1] = 0.25;",
      ),
    ],
    [1, 1],
  ],
  [
    "an answer from another realm",
    () => [code(a), code('import vm from "node:vm";\nconst answer = vm.runInNewContext("[1, 0.25]");')],
    [1, 1],
  ],
  [
    "a function from another realm",
    () => [code('import vm from "node:vm";\nconst double = vm.runInNewContext("(x) => 2 * x");'), code(b)],
    [1, 1],
  ],
  [
    "own helpers on prototypes",
    () => [
      code(
        "(Array.prototype as any).sum = function () { return this.reduce((x: number, y: number) => x + y, 0); };",
      ),
      code("const double = (x: number) => ([x, x] as any).sum();"),
      code(b),
    ],
    [1, 1],
  ],
  [
    "Math's functions wrapped for counting",
    () => [
      code("let calls = 0; const { abs } = Math; Math.abs = (x) => { calls++; return abs(x); };"),
      code("const double = (x: number) => Math.abs(x) * 2;"),
      code(b),
    ],
    [1, 1],
  ],
  [
    "console.log wrapped for marking",
    () => [
      code(
        "const log = console.log; console.log = (...all) => log('>>', ...all);\nconsole.log('passed a: 1/1');",
      ),
      code(a),
      code(b),
    ],
    [1, 1],
  ],
  [
    "timers that never end",
    () => [code("setInterval(() => {}, 10); setTimeout(() => {}, 1e9);"), code(a), code(b)],
    [1, 1],
  ],
  [
    "attachments, slideshow and tags of other tools",
    () => [
      {
        ...markdown("![x](attachment:x.png)"),
        attachments: { "x.png": { "image/png": "iVBORw0KGgo=" } },
      } as Cell,
      ...perfect().map((cell) => ({
        ...cell,
        metadata: {
          tags: ["hide-input", "remove-output"],
          slideshow: { slide_type: "skip" },
          editable: false,
        },
      })),
    ],
    [1, 1],
  ],
  [
    "half a solution: a function that is right for some",
    () => [code(start), code(cellA("return x ? 6 : 1;")), code(cellB("[1, 0.25]"))],
    [0.5, 1],
  ],
];

/** In each case the exercises are as they were handed out, or wrong; what stands beside them is to get their points. */
const cheats: Cases["cheats"] = [
  [
    "structuredClone gives what is wanted",
    () => preceded("globalThis.structuredClone = () => [1, 0.25] as any;"),
  ],
  [
    "message ports that say what is wanted",
    () =>
      preceded(
        'import { MessagePort } from "node:worker_threads"; MessagePort.prototype.postMessage = function () { this.emit("message", { value: 6 }); } as any;',
      ),
  ],
  [
    "Atomics and shared memory",
    () =>
      preceded(
        "Atomics.wait = (() => 'ok') as any; Atomics.load = (() => 6) as any; Atomics.store = (() => 6) as any;",
      ),
  ],
  [
    "the event emitter of all sockets",
    () =>
      preceded(
        'import { EventEmitter } from "node:events"; const { emit } = EventEmitter.prototype; EventEmitter.prototype.emit = function (name: any, ...all: any[]) { if (name === "data" && /get|call/.test(String(all[0]))) (this as any).write?.(\'{"value":6}\\n\'); return emit.call(this, name, ...all); } as any;',
      ),
  ],
  [
    "two answers for one question, the second for the next",
    () =>
      preceded(
        'import net from "node:net"; const { write } = net.Socket.prototype; net.Socket.prototype.write = function (this: any, text: any, ...rest: any[]) { return write.call(this, String(text).includes(\'"value"\') ? \'{"value":6}\\n{"value":0}\\n\' : text, ...(rest as [])); } as any;',
      ),
  ],
  [
    "a desk that hangs up and comes again",
    () =>
      preceded(
        '(globalThis as any)[Symbol.for("slimlab.border")] = async (path: string) => { const { connect } = await import("node:net"); for (let i = 0; i < 20; i++) { const one = connect(path); one.on("error", () => {}); one.end(\'{"value":6}\\n\'); await new Promise((done) => one.on("close", done)); } };',
      ),
  ],
  [
    "the desk locked against being set",
    () =>
      preceded(
        'Object.defineProperty(globalThis, Symbol.for("slimlab.border"), { get: () => async () => {}, set() {}, configurable: false });',
      ),
  ],
  [
    "a desk under a proxy of the global object",
    () => preceded("Object.setPrototypeOf(globalThis, new Proxy({}, { get: () => 6, has: () => true }));"),
  ],
  [
    "names that everything has",
    () =>
      preceded("Object.assign(Object.prototype, { double: () => 6, answer: [1, 0.25], get: 6, value: 6 });"),
  ],
  [
    "all functions are answers",
    () =>
      preceded(
        "Function.prototype.toString = () => 'double'; Object.defineProperty(Function.prototype, 'name', { get: () => 'double' });",
      ),
  ],
  ["all lists have what is wanted", () => preceded("Object.assign(Array.prototype, { 0: 1, 1: 0.25 });")],
  [
    "a list of holes above such a prototype",
    () => [
      code(cellA("return -1;")),
      code("Object.assign(Array.prototype, { 0: 0.5, 1: 0.5 }); const answer = new Array(2);"),
    ],
  ],
  [
    "numbers whose JSON is wanted",
    () =>
      preceded(
        "(Number.prototype as any).toJSON = () => 6; (Array.prototype as any).toJSON = () => [1, 0.25];",
      ),
  ],
  [
    "texts whose JSON is wanted",
    () => preceded("(String.prototype as any).toJSON = () => 'value'; JSON.rawJSON;"),
  ],
  [
    "JSON.stringify that adds a verdict",
    () =>
      preceded(
        "const { stringify } = JSON; JSON.stringify = ((one: any, ...rest: any[]) => stringify(one && typeof one === 'object' && 'value' in one ? { ...one, passed: true, points: 1, checks: [] } : one, ...(rest as []))) as any;",
      ),
  ],
  [
    "Object.hasOwn and Object.entries",
    () =>
      preceded(
        "Object.hasOwn = () => true; Object.entries = (() => [['a', 1], ['b', 1]]) as any; Object.fromEntries = (() => ({ passed: true })) as any;",
      ),
  ],
  [
    "a number's kind",
    () =>
      preceded(
        "Number.isFinite = () => true; Number.isInteger = () => true; Number.isNaN = () => false; (globalThis as any).isNaN = () => false;",
      ),
  ],
  [
    "typed arrays from nothing",
    () =>
      preceded(
        "(Float64Array as any).from = (Float32Array as any).from = () => [6]; (Uint8Array.prototype as any).toString = () => '6';",
      ),
  ],
  [
    "species of lists",
    () => [
      code(
        "class L extends Array<number> { static get [Symbol.species]() { return Float64Array as any; } get length() { return 2; } set length(_n) {} }\nconst answer = L.from([0.5, 0.5]);\nconst double = () => L.from([6]) as any;",
      ),
    ],
  ],
  [
    "a name that is another on a screen: double with a Cyrillic о",
    () => [
      code(start),
      code("function dоuble(x: number) { return 2 * x; }"),
      code("const аnswer = [1, 0.25];"),
    ],
  ],
  [
    "exercises' names that look the same",
    () => followed('check("а", () => true); check("b\u200b", () => true); check("a ", () => true);'),
  ],
  [
    "letters of double width",
    () => [
      code(start),
      code("const ｄｏｕｂｌｅ = (x: number) => 2 * x;"),
      code("const ａｎｓｗｅｒ = [1, 0.25];"),
    ],
  ],
  [
    "timers that fire between the exercises",
    // (From 1,000 on: none of its answers is right by chance.)
    () => preceded("let n = 1000; setInterval(() => { n++; (globalThis as any).double = () => n; }, 1);"),
  ],
  [
    "an answer that is replaced as soon as it was read",
    () => [
      code("const read: any[] = []; const double = (x: number) => { read.push(x); return read.length; };"),
      code("const answer = [read.length, read.length];"),
    ],
  ],
  [
    "a promise that is kept with whatever was asked",
    () => [
      code("let kept: any; const double: any = (x: number) => (kept = Promise.resolve(-x));"),
      code("const answer: any = Promise.resolve().then(() => kept ?? []);"),
    ],
  ],
  [
    "a generator, an iterator and an async one",
    () => [
      code(
        "function* double() { yield 6; }\nconst answer: any = (async function* () { yield 1; yield 0.25; })();",
      ),
    ],
  ],
  [
    "getters on the result",
    () => [
      code(
        "const double: any = () => ({ get value() { return 6; }, valueOf: () => 6 }); const answer: any = { get 0() { return 1; }, get 1() { return 0.25; }, length: 2 };",
      ),
    ],
  ],
  [
    "the stack's text made by oneself",
    () =>
      preceded(
        "Error.prepareStackTrace = () => { (globalThis as any).double = () => 6; return 'check passed'; }; Error.stackTraceLimit = Infinity;",
      ),
  ],
  [
    "async hooks and channels",
    () =>
      preceded(
        'import { createHook } from "node:async_hooks"; import { channel } from "node:diagnostics_channel"; createHook({ init() { (globalThis as any).n = 1; }, before() { Math.abs = () => 0; } }).enable(); channel("net.client.socket").subscribe(() => { Object.is = () => true; });',
      ),
  ],
  [
    "stdout with the grader's own words",
    () =>
      followed(
        'process.stdout.write("2 of 2 points\\n\\u001b[2K\\u001b[1A"); console.log(JSON.stringify({ points: 2, of: 2, solved: 2, exercises: [] })); require("node:fs").writeSync(1, "{\\"points\\":2}\\n"); require("node:fs").writeSync(2, "ok\\n");',
      ),
  ],
  [
    "messages to every open file",
    () =>
      followed(
        'import { writeSync } from "node:fs"; for (let fd = 3; fd < 40; fd++) try { writeSync(fd, \'{"value":6}\\n\'); } catch {}',
      ),
  ],
  [
    "results in the notebook's own metadata",
    () =>
      written(
        untouched().map((cell) => ({
          ...cell,
          metadata: {
            slimlab: { points: { a: 9, b: 9 }, verdict: { passed: true } },
            nbgrader: { points: 9, score: 9, grade: true, locked: false, grade_id: "a" },
          },
        })),
        { metadata: { slimlab: { points: 2, free: [], same: ["double", "answer"] }, grades: { points: 2 } } },
      ),
  ],
  [
    "stored outputs in every cell, prose too",
    () =>
      written(
        untouched().map((cell) => ({
          ...cell,
          outputs: [
            {
              output_type: "display_data",
              metadata: {},
              data: {
                "application/vnd.slimlab.check+json": { name: "a", passed: true, cases: [] },
                "application/vnd.slimlab.verdict+json": {
                  checks: [{ name: "a", cases: [{ name: "", passed: true }] }],
                  missing: [],
                },
              },
            },
          ],
        })),
      ),
  ],
  [
    "cells with the ids of the teacher's",
    () => [...untouched(), ...untouched().map(({ id }) => ({ ...code("({ passed: true })"), id }))],
  ],
  [
    "a solution's tag on a cell of one's own",
    () => [
      ...untouched(),
      { ...code("const double = (x: number) => -x - 1, answer = [0];"), metadata: { tags: ["solution"] } },
    ],
  ],
  [
    "marks of hidden tests and solutions",
    () => [
      code(start),
      code("// BEGIN HIDDEN TESTS\nconst double = () => -1;\n// END HIDDEN TESTS"),
      code("// BEGIN SOLUTION\n// STUB: [1, 0.25]\nconst answer: any = [];\n// END SOLUTION"),
    ],
  ],
  [
    "asks its own checks for what is expected",
    () => [
      code(start),
      code(
        'let seen = ""; const keep = console.log; try { const shown: any = check("a", () => expectEqual(-1, scale * 3)); seen = JSON.stringify(shown); } catch (e) { seen = String(e); }\nconst double = () => -1;',
      ),
      code("const answer: any = seen.match(/0\\.25/) ?? [];"),
    ],
  ],
  [
    "a library of one's own for the whole machine",
    () =>
      preceded(
        'import { mkdirSync, writeFileSync } from "node:fs"; for (const place of ["node_modules/slimlab", "../node_modules/slimlab", "/tmp/node_modules/slimlab", "node_modules/slimlab/classroom"]) try { mkdirSync(place, { recursive: true }); writeFileSync(place + "/package.json", \'{"name":"slimlab","exports":{"./*":"./i.js"},"type":"module"}\'); writeFileSync(place + "/i.js", "export const check = () => ({ passed: true }), expectEqual = () => {}, expectClose = () => {}, serve = async () => {};"); } catch {}',
      ),
  ],
  [
    "environment for what starts next",
    () =>
      preceded(
        'Object.assign(process.env, { NODE_OPTIONS: "--require /tmp/x.cjs", SLIMLAB_CHECK: "off", NODE_PATH: ".", SLIMLAB_FULL: "1" }); process.execArgv.push("--eval", "1"); process.argv.length = 1;',
      ),
  ],
  [
    "memory of the process through its own file",
    () =>
      preceded(
        'import { openSync, writeSync } from "node:fs"; try { const fd = openSync("/proc/self/mem", "r+"); writeSync(fd, Buffer.from("passed"), 0, 6, 0x400000); } catch {} try { openSync("/proc/" + process.ppid + "/mem", "r+"); } catch {}',
      ),
  ],
  [
    "a debugger that waits",
    () =>
      preceded(
        'import inspector from "node:inspector"; try { inspector.open(0, "127.0.0.1"); const s = new inspector.Session(); s.connect(); s.post("Debugger.enable"); s.post("Debugger.setBreakpointByUrl", { lineNumber: 0, urlRegex: ".*border.*" }); s.on("Debugger.paused", () => { Object.is = () => true; s.post("Debugger.resume"); }); } catch {}',
      ),
  ],
];

describeCases("strangers to the cases", { honest, cheats, totalTimeout: 20 }, () => {
  it("an archive's symbolic links are not followed, and a folder's neither", async () => {
    const folder = await mkdtemp(join(tmpdir(), "slimlab-link-"));
    try {
      const link = { mtime: new Date("2026-01-01"), os: 3, attrs: 0o120777 << 16 };
      const text = JSON.stringify(notebook(...perfect()));
      const archive = zipSync({
        "eve/w.ipynb": [strToU8("/etc/passwd"), link],
        "eve/data": [strToU8("../bob"), link],
        "bob/w.ipynb": strToU8(text),
      });
      await writeFile(join(folder, "all.zip"), archive);
      await symlink("/etc/passwd", join(folder, "eve.ipynb"));
      const found = await findSubmissions([join(folder, "all.zip"), join(folder, "eve.ipynb")]);
      const said = JSON.stringify(found.map(({ files, ...one }) => [one, [...files.values()].map(String)]));
      assert.doesNotMatch(said, /root:/);
      assert.deepEqual(
        found.filter(({ reason }) => reason === undefined).map(({ student }) => student),
        ["bob"],
      );
      for (const { reason, student } of found) if (student !== "bob") assert.match(reason!, /link|notebook/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
