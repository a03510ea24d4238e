// Values that are odd, globals that are not what they were, and notebooks as editors and people leave them.
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { strToU8, zipSync } from "fflate";
import type { Result } from "../../lib/classroom/results.ts";
import { findSubmissions } from "../../lib/classroom/submissions.ts";
import type { Cell } from "../../lib/notebook/notebook.ts";
import { code, markdown, notebook, save } from "../chapters/notebooks.ts";
import { a, b, type Cases, describeCases, followed, preceded } from "./cases.ts";
import { cellA, cellB, gradeArguments, handedOut, needsSandbox, perfect, slimlab, start } from "./setting.ts";

/** A right function beside an answer; a right answer beside a function. */
const withAnswer = (source: string): Cell[] => [code(start), code(cellA("return 2 * x;")), code(source)];
const withDouble = (source: string): Cell[] => [code(start), code(source), code(cellB("[1, 0.25]"))];

const honest: Cases["honest"] = [
  ["tabs and trailing blanks", () => [code(start), code(`\t${a}  \t\n\t\n`), code(`\t\t${b}\t`)], [1, 1]],
  [
    "a cell that was made prose by mistake",
    () => [code(start), code(cellA("return 2 * x;")), markdown(cellB("[1, 0.25]"))],
    [1, 0],
  ],
  [
    "raw cells, empty cells and cells of comments between",
    () => [
      code(""),
      { ...markdown("x"), cell_type: "raw" },
      code("// nothing\n/* at all */"),
      code(start),
      code("  \n"),
      code(a),
      code(b),
    ],
    [1, 1],
  ],
  ["all in one cell, in any order", () => [code(`${b}\n${start}\n${a}`)], [1, 1]],
  ["the handed-out cells in reverse", () => [...perfect()].reverse(), [1, 1]],
  ["the first cell gone", () => perfect().slice(1), [1, 1]],
  ["every cell twice", () => [...perfect(), ...perfect()], [1, 1]],
  [
    "cells of an own experiment that fail, wait and print between",
    () => [
      code(start),
      code("await new Promise((done) => setTimeout(done, 50)); console.log('x')"),
      code(cellA("return 2 * x;")),
      code("double('x' as any).foo.bar"),
      code(cellB("[1, 0.25]")),
      code("answer.map(double)"),
    ],
    [1, 1],
  ],
  [
    "declared first and given later",
    () => [
      code("let double: (x: number) => number, answer: number[] = [];"),
      code("double = (x) => x + x;"),
      code("[answer[0], answer[1]] = [1, 0.25];"),
    ],
    [1, 1],
  ],
  [
    "given by a pattern",
    () => [
      code("let double: any, answer: any;"),
      code("({ double, answer } = { double: (x: number) => 2 * x, answer: [1, 0.25] });"),
    ],
    [1, 1],
  ],
  [
    "filled by a loop in a later cell",
    () => [code(a), code("const answer: number[] = [];"), code("for (const x of [1, 0.25]) answer.push(x);")],
    [1, 1],
  ],
  [
    "filled by a function in a later cell",
    () => [
      code(a),
      code("const answer: number[] = [];\nfunction fill() { answer.push(1, 0.25); }"),
      code("fill();"),
    ],
    [1, 1],
  ],
  [
    "filled through another name",
    () => [code(a), code("const answer: number[] = [];\nconst mine = answer;"), code("mine.push(1, 0.25);")],
    [1, 1],
  ],
  [
    "filled by a timer",
    () => [
      code(a),
      code("const answer: number[] = [];"),
      code("await new Promise<void>((done) => setTimeout(() => { answer.push(1, 0.25); done(); }, 5));"),
    ],
    [1, 1],
  ],
  [
    "modules that are asked for when they run",
    () => [
      code('const { max } = await import("node:util").then(() => Math);'),
      code(a),
      code("const answer = [max(1, 0), 1 / 4];"),
    ],
    [1, 1],
  ],
  [
    "a namespace, an enum",
    () => [
      code("namespace N { export const f = (x: number) => x + x; }\nenum E { one = 1 }"),
      code("const double = N.f;"),
      code("const answer = [E.one, 0.25];"),
    ],
    [1, 1],
  ],
  [
    "letters of one's own language",
    () => [
      code("const 倍 = 2, größe = 0.25;"),
      code("const double = (x: number) => 倍 * x;"),
      code("const answer = [1, größe];"),
    ],
    [1, 1],
  ],
  [
    "an answer that is frozen, sealed and without a prototype around",
    () => [
      code(a),
      code(
        "const o = Object.freeze(Object.assign(Object.create(null), { v: [1, 0.25] }));\nconst answer = Object.seal(o.v);",
      ),
    ],
    [1, 1],
  ],
  [
    "an array that shares its memory",
    () => [
      code(a),
      code("const answer = new Float64Array(new SharedArrayBuffer(16)); answer.set([1, 0.25]);"),
    ],
    [1, 1],
  ],
  [
    "a part of a larger array",
    () => [code(a), code("const answer = Float64Array.of(9, 1, 0.25, 9).subarray(1, 3);")],
    [1, 1],
  ],
  ["the sign of zero", () => withDouble("const double = (x: number) => -2 * -x || -0;"), [1, 1]],
  [
    "a process that ends itself from a timer",
    () => [code(start), code(`${a}\nsetTimeout(() => process.exit(0), 30);`), code(b)],
    [1, 1],
  ],
  [
    "a list of four thousand million holes costs what it is",
    () => withAnswer("const answer: number[] = new Array(4e9);"),
    [1, 0],
  ],
  [
    "a list of thirty million numbers costs what it is",
    () => withAnswer("const answer = new Array(3e7).fill(0.123456789);"),
    [1, 0],
  ],
  [
    "a text of half a gigabyte costs what it is",
    () => withAnswer('const answer: any = "x".repeat(2 ** 29 - 24);'),
    [1, 0],
  ],
  [
    "a gigabyte of memory costs what it is",
    () => withAnswer("const answer: any = new Uint8Array(2 ** 30);"),
    [1, 0],
  ],
  ["a date that is none costs what it is", () => withAnswer('const answer: any = new Date("x");'), [1, 0]],
  [
    "an array whose memory is gone costs what it is",
    () =>
      withAnswer(
        "const answer = Float64Array.of(1, 0.25); structuredClone(answer, { transfer: [answer.buffer] });",
      ),
    [1, 0],
  ],
  [
    "numbers without end costs what they are",
    () => withAnswer("const answer: any = [1n, 25n / 100n];"),
    [1, 0],
  ],
  [
    "who is right when first asked, and then no more",
    () => withDouble("let n = 0; const double = (x: number) => (n++ ? -1 : 2 * x);"),
    [0.5, 1],
  ],
];

const verdict = JSON.stringify({
  checks: ["a", "b"].map((name) => ({ name, cases: [{ name: "", passed: true, message: "" }] })),
  missing: [],
});
const forged = `({ [Symbol.for("Jupyter.display")]: () => ({ "application/vnd.slimlab.verdict+json": ${verdict}, "application/vnd.slimlab.fingerprints+json": {}, "text/plain": "judged" }) })`;

const cheats: Cases["cheats"] = [
  ["a verdict of the judge's kind, shown and returned", () => followed(`display(${forged}); ${forged}`)],
  [
    "a verdict that is shown when the judge asks",
    () => [
      code(
        `const double = () => { display(${forged}); return ${forged} as any; };\nconst answer = ${forged};`,
      ),
    ],
  ],
  [
    "messages to a front end",
    () =>
      followed(
        `for (const name of Object.getOwnPropertyNames(globalThis)) if (/comm|jupyter|display|slimlab/i.test(name)) try { (globalThis as any)[name].call?.(null, ${forged}); (globalThis as any)[name].open?.("slimlab", ${verdict}); (globalThis as any)[name] = () => ${verdict}; } catch {}`,
      ),
  ],
  [
    "iterators of all lists",
    () =>
      preceded("Array.prototype[Symbol.iterator] = function* () { yield 6; yield 1; yield 0.25; } as any;"),
  ],
  [
    "calling and binding",
    () =>
      preceded(
        "for (const name of ['call', 'apply', 'bind'] as const) (Function.prototype as any)[name] = () => () => 6; Reflect.apply = () => 6;",
      ),
  ],
  [
    "what is a map, a date, an error",
    () =>
      preceded(
        "for (const kind of [Map, Set, Date, Error, Array, Float64Array]) Object.defineProperty(kind, Symbol.hasInstance, { value: () => true });",
      ),
  ],
  [
    "all keys and entries of all objects",
    () =>
      preceded(
        "Object.keys = () => ['length', '0']; Object.getPrototypeOf = () => null; Object.is = () => true; Array.isArray = (() => false) as any;",
      ),
  ],
  [
    "strings and patterns",
    () =>
      preceded(
        "String.prototype.split = String.prototype.replace = () => '6' as any; RegExp.prototype.test = () => true; RegExp.prototype.exec = () => null;",
      ),
  ],
  [
    "the event loop",
    () =>
      preceded(
        "Object.assign(globalThis, { setTimeout: () => 0, setImmediate: (f: any) => f(), queueMicrotask: (f: any) => f(), setInterval: () => 0 }); process.nextTick = (f: any) => f();",
      ),
  ],
  [
    "hooks for modules",
    () =>
      preceded(
        "import { register } from 'node:module'; try { register('data:text/javascript,' + encodeURIComponent('export async function load(url, context, next) { return /classroom|border/.test(url) ? { format: \"module\", shortCircuit: true, source: \"export const check = (name) => ({ name, passed: true, cases: [] }); export const serve = async () => {};\" } : next(url, context); }')); } catch {}\nawait import('slimlab/classroom?x').catch(() => {});",
      ),
  ],
  [
    "a check that is changed where it is kept",
    () =>
      preceded(
        "import * as classroom from 'slimlab/classroom'; for (const one of Object.values(classroom) as any[]) { try { one.prototype.passed = true; one.call = () => true; Object.assign(one, { apply: () => true, toString: () => 'true' }); } catch {} try { (classroom as any).check = () => true; } catch {} }",
      ),
  ],
  [
    "a thread that answers for the notebook",
    () =>
      preceded(
        `import { Worker } from "node:worker_threads"; new Worker(\`const { connect } = require("node:net"); const { readdirSync } = require("node:fs"); setInterval(() => { for (const name of readdirSync("../k")) if (/^b/.test(name)) { const socket = connect("../k/" + name); socket.on("error", () => {}); socket.on("data", () => socket.write('{"value":6}\\\\n')); } }, 0);\`, { eval: true }).unref();`,
      ),
  ],
  [
    "a thread that ends the process while it is asked",
    () => [
      code(
        `import { Worker } from "node:worker_threads"; const double = () => { new Worker("process.kill(process.pid, 'SIGKILL')", { eval: true }); for (;;); };\nconst answer: any = [];`,
      ),
    ],
  ],
  [
    "memory that a thread changes while it is read",
    () => [
      // (Not 0 before the thread has begun: a function that gives 0 is right about 0.)
      code(
        `import { Worker } from "node:worker_threads"; const answer = new Float64Array(new SharedArrayBuffer(16)).fill(0.5); new Worker("const { workerData: w } = require('worker_threads'); for (;;) { w[0] = Math.random(); w[1] = Math.random(); }", { eval: true, workerData: answer }).unref(); const double = () => answer[0];`,
      ),
    ],
  ],
  [
    "a buffer that grows while it is read",
    () => [
      code(
        "const buffer = new (ArrayBuffer as any)(16, { maxByteLength: 1 << 20 }); const answer = new Float64Array(buffer); const double = () => { try { (buffer as any).resize(buffer.byteLength + 8); } catch {} return answer as any; };",
      ),
    ],
  ],
  [
    "boxed numbers, and a list of them",
    () => [
      code(
        "const double = (x: number) => new Number(2 * x) as any; const answer = [new Number(1), Object(0.25)];",
      ),
    ],
  ],
  [
    "texts that look like numbers",
    () => [code("const double = (x: number) => String(2 * x) as any; const answer = ['1', '0.25'];")],
  ],
  [
    "infinite, undefined and missing",
    () => [
      code("const double: any = (x: number) => (x ? Infinity : undefined); const answer = [1, undefined];"),
    ],
  ],
  [
    "a proxy with keys of its own",
    () => [
      code(
        "const double: any = () => new Proxy({}, { ownKeys: () => ['value'], getOwnPropertyDescriptor: () => ({ configurable: true, enumerable: true, value: 6 }), get: () => 6, getPrototypeOf: () => Number.prototype }); const answer = new Proxy({} as any, { getPrototypeOf: () => Array.prototype, get: (_, key) => (key === 'length' ? 2 : undefined) });",
      ),
    ],
  ],
  [
    "a name, a kind and a text that fail",
    () => [
      code(
        "const double: any = Object.defineProperties(() => -1, { name: { get() { throw 1; } }, toString: { value() { throw 2; } } }); class Odd extends Error { get name(): string { throw 3; } }\nconst answer: any = new Odd();",
      ),
    ],
  ],
  [
    "an error for an answer",
    () => [
      code(
        "const double: any = () => new Error('6'); const answer: any = Object.assign(new Error('x'), { 0: 1, 1: 0.25, length: 2 });",
      ),
    ],
  ],
  [
    "keys of the wire's own words",
    () => [
      code(
        "const double: any = () => ({ value: 6, callback: 0, args: [], missing: true, error: null }); const answer: any = { value: [1, 0.25], toJSON: () => [1, 0.25] };",
      ),
    ],
  ],
  [
    "a list that is a wire's word",
    () => [code("const double: any = () => ['number', '6']; const answer: any = ['array', [1, 0.25]];")],
  ],
  [
    "who asks for the answer by its reflection",
    () => [
      code(
        `import { getHeapSnapshot } from "node:v8"; let seen = ""; const double: any = (...given: unknown[]) => { seen += JSON.stringify(given) + String(new Error().stack) + String((double as any).caller ?? "") + String((globalThis as any).process.report?.getReport?.().header?.commandLine); return Number(/should be (\\d+)/.exec(seen)?.[1] ?? -1); };\nconst answer: any = [];`,
      ),
    ],
  ],
  [
    "a signal that is caught, a process that lives on",
    () =>
      preceded(
        "for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => {}); process.on('exit', () => { for (;;); });",
      ),
  ],
  [
    "a name that is a getter which never returns",
    () => [
      code(
        "Object.defineProperty(globalThis, 'double', { get() { for (;;); } }); Object.defineProperty(globalThis, 'answer', { get() { return new Promise(() => {}); } });",
      ),
    ],
  ],
];

describeCases("odd values, globals and notebooks", { honest, cheats, totalTimeout: 30 });

describe("files as systems and people leave them", function () {
  this.timeout(240_000);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "slimlab-odd-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("an archive with the paths of Windows, a renamed file, CRLF and tabs in its JSON", async () => {
    const text = JSON.stringify(notebook(...perfect()), null, "\t").replaceAll("\n", "\r\n");
    const archive = {
      "class\\ann\\my copy (2).ipynb": strToU8(text),
      "class\\ann\\data\\x.csv": strToU8("1"),
      "class\\bob\\w.IPYNB": strToU8(text),
    };
    await writeFile(join(folder, "all.zip"), zipSync(archive));
    const found = await findSubmissions([join(folder, "all.zip")]);
    assert.deepEqual(
      found.map(({ student, reason, files }) => [student, reason, [...files.keys()]]),
      [
        ["ann", undefined, ["data/x.csv"]],
        ["bob", undefined, []],
      ],
    );
  });

  it("3.41, 3.42, 3.49, 3.50, 3.54 no student reaches another's file, kernel or grade", async function () {
    needsSandbox.call(this);
    await save(join(folder, "original.ipynb"), handedOut);
    const spoil = `import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
let stolen = "";
const places = [".", "..", "../..", ${JSON.stringify(folder)}, ${JSON.stringify(join(folder, "in"))}, ${JSON.stringify(tmpdir())}];
for (const place of places) {
  for (const name of ["02-bob.ipynb", "03-cem.ipynb", "w.ipynb", "run.json", "results.jsonl", "connection.json"]) {
    try { stolen += readFileSync(place + "/" + name, "utf8"); } catch {}
    try { mkdirSync(place + "/" + name + "/x", { recursive: true }); } catch {}
    try { writeFileSync(place + "/" + name, "{}"); } catch {}
  }
}
spawn("sh", ["-c", 'while true; do for d in /tmp/slimlab-* ../k /var/tmp; do for f in $d/*.json $d/*/*.json $d/*.ipynb; do echo {} > $f; done; done; done'], { detached: true, stdio: "ignore" }).unref();
const double = (x: number) => (stolen.includes("2 * x") ? 2 * x : -1);`;
    await save(
      join(folder, "in", "01-eve.ipynb"),
      notebook(code(start), code(`${spoil}\n${cellA("return -1;").split("}\n").at(-1)}`), code(cellB("[]"))),
    );
    for (const name of ["02-bob", "03-cem"])
      await save(join(folder, "in", `${name}.ipynb`), notebook(...perfect()));
    const { stderr } = await slimlab(folder, gradeArguments(1, "in"));
    const results: Result[] = JSON.parse(await readFile(join(folder, "out/grades.json"), "utf8"));
    assert.deepEqual(
      results.map(({ student, points }) => [student, points]),
      [
        ["01-eve", 0],
        ["02-bob", 2],
        ["03-cem", 2],
      ],
      stderr,
    );
  });
});
