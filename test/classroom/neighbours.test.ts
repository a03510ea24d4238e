// More siblings of the cases of grade.test.ts: what reaches for the machine, for the judge and for time.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { code, notebook } from "../chapters/notebooks.ts";
import { a, b, type Cases, describeCases, preceded, untouched } from "./cases.ts";
import { Bench, cellA, checkA, checkB, start } from "./setting.ts";

const honest: Cases["honest"] = [
  [
    "a function that is replaced in a later cell",
    () => [code("let double = (x: number) => -1;"), code(b), code("double = (x) => 2 * x;")],
    [1, 1],
  ],
  ["an answer of a typed array", () => [code(a), code("const answer = Float64Array.of(1, 0.25);")], [1, 1]],
  [
    "an answer of a list's own kind",
    () => [code(a), code("class L extends Array<number> {}\nconst answer = L.of(1, 0.25);")],
    [1, 1],
  ],
  ["a frozen answer", () => [code(a), code("const answer = Object.freeze([1, 0.25]);")], [1, 1]],
  [
    "a function with a default, overloads and a cache",
    () => [
      code(
        "const cache = new Map<number, number>();\nfunction double(x: number): number;\nfunction double(x: number, y?: number): number { if (!cache.has(x)) cache.set(x, x * (y ?? 2)); return cache.get(x)!; }",
      ),
      code(b),
    ],
    [1, 1],
  ],
  [
    "a method that is taken out of its class",
    () => [
      code("class M { factor = 2; double = (x: number) => this.factor * x; }\nconst { double } = new M();"),
      code(b),
    ],
    [1, 1],
  ],
  [
    "a generator's values and a destructured default",
    () => [code(a), code("function* values() { yield 1; yield 0.25; }\nconst [...answer] = values();")],
    [1, 1],
  ],
  [
    "work in a thread",
    () => [
      code('import { Worker } from "node:worker_threads";'),
      code(a),
      code(
        'const answer = await new Promise((done) => new Worker("require(\'worker_threads\').parentPort.postMessage([1, 0.25])", { eval: true }).once("message", done));',
      ),
    ],
    [1, 1],
  ],
  [
    "a child process",
    () => [
      code('import { execFileSync } from "node:child_process";'),
      code(a),
      code(
        'const answer = JSON.parse(execFileSync(process.execPath, ["-e", "console.log(\'[1, 0.25]\')"], { encoding: "utf8" }));',
      ),
    ],
    [1, 1],
  ],
  [
    "WebAssembly",
    () => [
      code(`const bytes = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 124, 1, 124, 3, 2, 1, 0, 7, 5, 1, 1, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 0, 160, 11);
const { instance } = await WebAssembly.instantiate(bytes);
const double = (instance.exports as any).d;`),
      code(b),
    ],
    [1, 1],
  ],
  [
    "an async function where a number is asked, as in the notebook itself",
    () => [code("const double = async (x: number) => 2 * x;"), code(b)],
    [0, 1],
  ],
  [
    "the same cell twice",
    () => [code(start), code(cellA("return 2 * x;")), code(cellA("return 2 * x;")), code(b), code(b)],
    [1, 1],
  ],
  [
    "a directive before, comments between",
    () => [
      code("'use strict';\n// @ts-nocheck\n/* a */ function /* b */ double(x) { return 2 * x; } // c"),
      code(b),
    ],
    [1, 1],
  ],
  [
    "console gone, process renamed",
    () => [code("const console = undefined, process = { exit() {} };"), code(a), code(b)],
    [1, 1],
  ],
  [
    "names of our own words",
    () => [code("const slimlabGiven = 3, judge = 4, check = 5, expectEqual = 6;"), code(a), code(b)],
    [1, 1],
  ],
];

const cheats: Cases["cheats"] = [
  [
    "the inspector",
    () =>
      preceded(
        'import { open, Session } from "node:inspector"; try { open(0); } catch {} const s = new Session(); s.connect(); s.post("Runtime.evaluate", { expression: "Math.abs = () => 0; Object.is = () => true" });',
      ),
  ],
  [
    "native code",
    () =>
      preceded(
        'try { (process as any).dlopen({ exports: {} }, "/usr/lib/x86_64-linux-gnu/libc.so.6"); } catch {} try { (process as any).binding("fs"); } catch {}',
      ),
  ],
  [
    "WASI",
    () =>
      preceded(
        'import { WASI } from "node:wasi"; try { new WASI({ version: "preview1", preopens: { "/": "/" } }); } catch {}',
      ),
  ],
  [
    "JSON, Math, Array and Promise replaced",
    () =>
      preceded(
        'const all = { parse: () => 6, stringify: () => "{\\"value\\":6}", abs: () => 0, isArray: () => true }; Object.assign(globalThis, { JSON: all, Math: all, Promise: class { then(f: any) { f([1, 0.25]); } } });',
      ),
  ],
  [
    "Buffer, String and Map replaced",
    () =>
      preceded(
        'Object.assign(globalThis, { Buffer: { from: () => "6", concat: () => "6" }, String: () => "6", Map: class { get() { return 6; } }, Error: class { message = "6"; } });',
      ),
  ],
  [
    "sockets that answer by themselves",
    () =>
      preceded(
        'import net from "node:net"; net.Socket.prototype.write = function (this: any) { return this._writev?.call?.(this) ?? true; } as any;',
      ),
  ],
  [
    "readline that says that all is over",
    () =>
      preceded(
        'import readline from "node:readline"; import { syncBuiltinESMExports } from "node:module"; readline.createInterface = (() => ({ async *[Symbol.asyncIterator]() {} })) as any; syncBuiltinESMExports();',
      ),
  ],
  [
    "typed arrays that say another length",
    () => [
      code(
        "class Six extends Float64Array { get length() { return 2; } }\nconst double = () => new Six([6]) as any, answer = new Six([1, 0.25, 3]);\nObject.defineProperty(answer, 0, { get: () => 1 } as any);",
      ),
    ],
  ],
  [
    "a number's own way to be one",
    () => [
      code(
        "const six = { valueOf: () => 6, toString: () => '6', toJSON: () => 6, [Symbol.toPrimitive]: () => 6 };\nconst double = () => six as any, answer = [{ ...six, valueOf: () => 1 }, six];",
      ),
    ],
  ],
  [
    "a thenable instead of a value",
    () => [
      code(
        "const double = () => ({ then: (done: any) => done(-1) }) as any;\nconst answer = { then: (done: any) => done({ length: 2 }) };",
      ),
    ],
  ],
  [
    "who looks at the stack and at how often he is asked",
    () => [
      // The names of the stack, not its folders: those are where slimlab happens to be installed.
      code(
        "let n = 0;\nconst double = (x: number) => { n++; const { stack } = new Error(); return /expect|check|judge/i.test(stack!.replace(/\\S*[/]/g, '')) ? 2 * x : -n; };\nconst answer = new Proxy([], { get: (_, key) => (n++ > 2 ? 1 : 0) });",
      ),
    ],
  ],
  [
    "timers that change the answer while it is checked",
    () => [
      code(
        "let value = -1;\nsetInterval(() => { value = value === 6 ? -1 : 5; }, 0);\nconst double = () => value as any;\nconst answer: any = [];\nsetInterval(() => { answer.length = 0; answer.push(Math.random()); }, 0);",
      ),
    ],
  ],
  [
    "the process stopped",
    () =>
      preceded('process.kill(process.pid, "SIGSTOP"); await new Promise((done) => setTimeout(done, 100));'),
  ],
  ["every process of the sandbox killed", () => preceded('try { process.kill(-1, "SIGKILL"); } catch {}')],
  [
    "output without end from a child",
    () =>
      preceded(
        'import { spawn } from "node:child_process"; spawn("sh", ["-c", "yes x >&2 & yes"], { stdio: "inherit" }); await new Promise((done) => setTimeout(done, 500));',
      ),
  ],
  [
    "the folder gone, the limits raised",
    () =>
      preceded(
        'import { rmSync } from "node:fs"; import { execSync } from "node:child_process"; try { execSync("ulimit -f unlimited; mount -t tmpfs x /mnt; nsenter -t 1 -m true; chroot /"); } catch {} process.chdir("/"); try { rmSync("/", { recursive: true }); } catch {}',
      ),
  ],
  [
    "another notebook in the place of one's own",
    () =>
      preceded(
        'import { writeFileSync } from "node:fs"; for (const name of ["w.ipynb", "original.ipynb", "grades.json", "../results.jsonl", "../../results.jsonl"]) try { writeFileSync(name, "{}"); } catch {}',
      ),
  ],
  [
    "exceptions that nobody catches, one after the other",
    () =>
      preceded(
        'process.on("uncaughtException", () => {}); for (let i = 0; i < 50; i++) setTimeout(() => { throw null; }, i); for (let i = 0; i < 50; i++) Promise.reject(undefined);',
      ),
  ],
  [
    "microtasks without end",
    () => preceded("const again = () => queueMicrotask(again); setTimeout(again, 50);"),
  ],
  [
    "a class for a function, a function for a list",
    () => [
      code(
        "class double { constructor() { return [6] as any; } }\nfunction answer() {} Object.defineProperty(answer, 'length', { value: 2 });",
      ),
    ],
  ],
  [
    "checks under the names of the exercises in cells that say that they are locked",
    () => [
      {
        ...code(`${checkA.replace("3 * scale", "-3")}\nconst passed = true;`),
        metadata: {
          nbgrader: { grade: true, points: 100, locked: true, grade_id: "a-tests" },
          slimlab: { points: { a: 100 } },
        },
      },
      { ...code(checkB), metadata: { tags: ["solution"] } },
      ...untouched(),
    ],
  ],
];

describeCases("neighbours of the cases", { honest, cheats, totalTimeout: 20 }, () => {
  it("everything that can be read holds no test", async () => {
    // Words of this run, and in no one place of the code that looks for them: else it would find itself.
    const [secret, own] = ["test", "own"].map((what) => [what, randomUUID()]);
    const spoken = (halves: string[]) => `${JSON.stringify(halves)}.join("-")`;
    const original = notebook(
      code(start),
      code(
        `const found: unknown = 0; // your turn\ncheck("a", { "${secret.join("-")}": () => found === 1 })`,
      ),
    );
    const spies = await Bench.open(original, 1);
    try {
      const spy = `import { readdirSync, readFileSync, readlinkSync } from "node:fs";
let text = "";
const read = (path: string) => { try { text += readFileSync(path, "latin1"); } catch {} };
for (const pid of readdirSync("/proc").filter((one) => /^(\\d+|self)$/.test(one))) {
  for (const name of ["environ", "cmdline", "mountinfo", "maps", "status"]) read("/proc/" + pid + "/" + name);
  try { for (const fd of readdirSync("/proc/" + pid + "/fd")) { text += readlinkSync("/proc/" + pid + "/fd/" + fd); } } catch {}
}
const walk = (folder: string, depth: number) => {
  let entries: any[] = [];
  try { entries = readdirSync(folder, { withFileTypes: true }); } catch {}
  for (const entry of entries) {
    const path = folder + "/" + entry.name;
    text += path;
    if (entry.isDirectory() && depth > 0) walk(path, depth - 1);
    else if (/ipynb|json|results|txt/.test(entry.name)) read(path);
  }
};
for (const folder of [".", "..", "/tmp", "/var", "/run", "/dev", "/home", "/root", "/mnt", "/srv", "/opt"]) walk(folder, 3);
const found = [${spoken(secret)}, ${spoken(own)}].map((word) => text.includes(word)).join();
found`;
      const files = new Map([["own.txt", Buffer.from(own.join("-"))]]);
      const grade = await spies.grade([code(spy)], { files, all: true });
      assert.match(JSON.stringify(grade.notebook!.cells[0].outputs), /'false,true'/);
    } finally {
      await spies.close();
    }
  });
});
