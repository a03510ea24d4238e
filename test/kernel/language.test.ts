import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CellNames, transformCell } from "../../lib/kernel/cell/transform.ts";
import type { Diagnostic } from "../../lib/kernel/types/diagnostics.ts";
import type { LanguageService } from "../../lib/kernel/types/language.ts";
import { machineService } from "../../lib/kernel/types/machine.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { until } from "./waiting.ts";

describe("kernel: types for cells", function () {
  this.timeout(300_000);
  let top: string;
  let folder: string;
  let language: LanguageService;
  let names: CellNames;

  before(async () => {
    top = await mkdtemp(join(tmpdir(), "slimlab-language-"));
    // A name that needs care in URIs, in module specifiers and in UTF-16.
    folder = join(top, `a "quoted" 文件夹 😀 100%`);
    await mkdir(folder);
    await symlink(join(packageRoot, "node_modules"), join(folder, "node_modules"));
  });
  after(() => rm(top, { recursive: true, force: true }));
  beforeEach(() => {
    language = machineService({ folder });
    names = new CellNames();
  });
  afterEach(() => language.close());

  /** Checks a cell, and lets it have run. */
  async function cell(source: string): Promise<Diagnostic[]> {
    const code = await transformCell(source, { name: "cell", names });
    const found = await language.check(source, code);
    language.accept();
    names.begin(code);
    names.finish(code);
    return found;
  }
  async function codes(source: string): Promise<number[]> {
    return (await cell(source)).map((each) => each.code);
  }
  /** Completions where `|` stands. */
  async function complete(source: string) {
    const cursor = source.indexOf("|");
    return language.complete(source.slice(0, cursor) + source.slice(cursor + 1), cursor);
  }
  async function inspect(source: string) {
    const cursor = source.indexOf("|");
    return language.inspect(source.slice(0, cursor) + source.slice(cursor + 1), cursor);
  }

  describe("diagnostics", () => {
    it("tell place, number and message, and nothing about a right cell", async () => {
      assert.deepEqual(await cell("const n: number = 1;\nn.toFixed()"), []);
      assert.deepEqual(await cell("1;\n  const wrong: number = 'x';"), [
        {
          line: 2,
          column: 9,
          endLine: 2,
          endColumn: 14,
          code: 2322,
          message: "Type 'string' is not assignable to type 'number'.",
          severity: "error",
        },
      ]);
    });
    it("say what to do about names and packages that are not there", async () => {
      const [name] = await cell("notThere");
      assert.equal(name.message, "Cannot find name 'notThere'. Has the cell that declares it been run?");
      const messages = (
        await cell("import a from 'left-pad/x'; import b from '@no/where'; import c from './no.ts'")
      ).map((each) => each.message);
      assert.match(messages[0], /Is it installed\? "npm install left-pad" does it\.$/);
      assert.match(messages[1], /"npm install @no\/where"/);
      assert.match(messages[2], /declarations\.$/);
    });
    it("count columns in UTF-16 units", async () => {
      const [first] = await cell("/* 注释😀 */ const 名字: number = '文字'");
      assert.deepEqual([first.line, first.column, first.endColumn], [1, 18, 20]);
    });
    it("know names of every kind from earlier cells", async () => {
      await cell(
        "let v: number | string = 1; const c = { x: 1 }; var w = 2; function f(a: number) { return String(a) }",
      );
      await cell(
        "class C<T> { constructor(public t: T) {} }\ninterface I { c: C<number> }\ntype T = I | null\nenum E { A, B }\nnamespace N { export const q = 1; export type U = string }",
      );
      await cell(
        "import * as path from 'node:path'; import { readFileSync as read } from 'node:fs'; import type { Stats } from 'node:fs'",
      );
      assert.deepEqual(
        await codes(
          "v = 'ok'; w++; c.x = 3; f(1).trim(); const i: I = { c: new C(1) }; i.c.t.toFixed(); E.B; N.q; const u: N.U = path.join('a'); const t: T = null; read('x'); let s: Stats",
        ),
        [],
      );
      assert.deepEqual(await codes("v = true"), [2322]);
      assert.deepEqual(await codes("c = { x: 2 }"), [2588]);
      assert.deepEqual(await codes("f('x')"), [2345]);
      assert.deepEqual(
        await codes("new C(1).t.trim(); E.C; N.nothing; path.nothing; class D extends C<string> {}"),
        [2339, 2339, 2339, 2339],
      );
      assert.deepEqual(await codes("const st: Stats = 1; const tt: T = 1"), [2322, 2322]);
    });
    it("take the newest declaration, and keep earlier cells as they were", async () => {
      await cell("const a = 1");
      await cell("const b = a");
      await cell("const a = 'text'");
      assert.deepEqual(await codes("a.trim(); b.toFixed()"), []);
      await cell("function a() {}");
      assert.deepEqual(await codes("a(); a.trim()"), [2339]);
      await cell("class a { x = 1 }");
      assert.deepEqual(await codes("new a().x.toFixed(); const a2: a = new a()"), []);
      await cell("interface Shape { side: number }");
      await cell("interface Shape { radius: number }");
      assert.deepEqual(await codes("const s: Shape = { radius: 1 }"), []);
    });
    it("carry both meanings of a name that is a value and a type", async () => {
      await cell(
        "const Both = { a: 1 }; type Both = { b: string }\ntype Other = number; const Other = 'x'\nfunction Merged() {} namespace Merged { export type In = 1 }",
      );
      await cell(
        "namespace Outer { export namespace Inner { export type T = 'inner'; export const v = 1 } export type U = 2 }",
      );
      assert.deepEqual(
        await codes(
          "const b: Both = { b: 'x' }; Both.a.toFixed(); const o: Other = 1; Other.trim(); const m: Merged.In = 1; Merged()",
        ),
        [],
      );
      assert.deepEqual(
        await codes(
          "import Alias = Outer.Inner; import U = Outer.U; const t: Alias.T = 'inner'; Alias.v.toFixed(); const u: U = 2",
        ),
        [],
      );
    });
    it("allow a cell to redeclare what it does not use from before", async () => {
      await cell("const same = 1; class Same {}");
      assert.deepEqual(await codes("const same = 'x'; same.trim(); class Same { y = 1 } new Same().y"), []);
    });
    it("leave a cell's names out until it is accepted", async () => {
      const source = "const pending = 1";
      await language.check(source, await transformCell(source, { name: "cell" }));
      assert.deepEqual(await codes("pending"), [2304]);
    });
    it("accept exports, top-level await, decorators, enums, using and import = require", async () => {
      assert.deepEqual(
        await codes(
          "export const e1 = await Promise.resolve(1); export default e1; export { e1 as e2 }; export type Ex = number",
        ),
        [],
      );
      assert.deepEqual(await codes("const e3: Ex = e1; e3.toFixed(); for await (const x of [1]) x"), []);
      assert.deepEqual(
        await codes(
          "function dec(c: unknown, ctx: ClassDecoratorContext) {}\n@dec class Dc { accessor x = 1 }\nabstract class Ab { abstract m(): void }\nconst sat = { a: 1 } satisfies Record<string, number>",
        ),
        [],
      );
      assert.deepEqual(
        await codes(
          "import fs = require('node:fs'); fs.readFileSync('x'); using r = { [Symbol.dispose]() {} }; label: for (;;) break label",
        ),
        [],
      );
      assert.deepEqual(await codes("export = 1"), []);
    });
    it("honour @ts-nocheck, @ts-ignore and @ts-expect-error", async () => {
      assert.deepEqual(await codes("// @ts-nocheck\nconst x: number = 'x'"), []);
      assert.deepEqual(await codes("/* first */ // @ts-nocheck\nconst x: number = 'x'"), []);
      assert.deepEqual(await codes("const x: number = 'x' // @ts-nocheck"), [2322]);
      assert.deepEqual(await codes("// @ts-ignore\nconst x: number = 'x'"), []);
      assert.deepEqual(await codes("// @ts-expect-error\nconst x: number = 1"), [2578]);
      assert.deepEqual(await codes("x.toFixed()"), [], "a cell without checks still declares");
    });
    it("know Node's globals and the kernel's own", async () => {
      assert.deepEqual(
        await codes(
          "process.version; Buffer.from('x'); fetch('x'); new URL('x'); setTimeout(() => {}, 1); structuredClone({}); performance.now(); console.log(1); require('node:fs'); WebAssembly.compile(new Uint8Array())",
        ),
        [],
      );
      assert.deepEqual(
        await codes(
          "display(1).update(2); display.html('x'); const answer: string | null = prompt('name'); const line: string = input('x', { password: true }); import.meta.url",
        ),
        [],
      );
    });
    it("take a JSON file's default export, which TypeScript does not have", async () => {
      await writeFile(join(folder, "some.json"), '{ "a": 1 }');
      assert.deepEqual(await codes("import * as some from './some.json'; some.default.a"), []);
      assert.deepEqual(await codes("some.default"), []);
      assert.deepEqual(await codes("some.other; ({ a: 1 }).default"), [2339, 2339]);
    });
    it("see a folder's own modules, JSON and types, and edits of them", async () => {
      await mkdir(join(folder, "own"), { recursive: true });
      await writeFile(join(folder, "own/deep.ts"), "export const deep = 1;\n");
      await writeFile(
        join(folder, "own/module.ts"),
        "export { deep } from './deep.ts';\nexport const made = 'here';\n",
      );
      await writeFile(join(folder, "own/data.json"), '{ "a": 1 }');
      assert.deepEqual(
        await codes(
          "import { made, deep } from './own/module.ts'; import data from './own/data.json' with { type: 'json' }\nmade.trim(); deep.toFixed(); data.a.toFixed()",
        ),
        [],
      );
      assert.deepEqual(
        await codes("import { nothing } from './own/module.ts'; import './nowhere.ts'"),
        [2305, 2882],
      );
      await writeFile(join(folder, "own/deep.ts"), "export const deep = 'now text';\n");
      await until("the edit is seen", async () => (await codes("deep.trim()")).length === 0);
    });
    it("see edits of files whatever ending an import leaves out, and files that come later", async () => {
      const place = join(folder, "endings");
      await mkdir(join(place, "lib"), { recursive: true });
      const files: Record<string, string> = {
        "view.tsx": "./view",
        "part.jsx": "./part.jsx",
        "lib/index.js": "./lib",
      };
      await language.close();
      language = machineService({ folder: place });
      /** Until the file's new text has reached the server: the check says so. */
      const settles = async (source: string, wanted: number[]) => {
        let last: number[] = [];
        for (let i = 0; i < 200; i++) {
          last = await codes(source);
          if (String(last) === String(wanted)) return;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
        assert.deepEqual(last, wanted, source);
      };
      for (const [file, specifier] of Object.entries(files)) {
        await writeFile(join(place, file), "export const value = 1;\n");
        const source = `import { value } from '${specifier}'; value.toFixed()`;
        assert.deepEqual(await codes(source), [], file);
        await writeFile(join(place, file), "export const value = 'text';\n");
        await settles(source, [2551]);
      }
      const later = "import { value } from './later.js'; value.toFixed()";
      assert.deepEqual(await codes(later), [2307]);
      await writeFile(join(place, "later.ts"), "export const value = 1;\n");
      await settles(later, []);
      // The server meets a file that is still empty before anyone has told it that there is one.
      const early = "import { value } from './early.js'; value.toFixed()";
      const cell = await transformCell(early, { name: "early" });
      assert.deepEqual(await codes(early), [2307]);
      assert.deepEqual(await codes("1"), []);
      const file = openSync(join(place, "early.ts"), "w");
      const met = language.check(early, cell);
      for (let i = 0; i < 50; i++) await undefined; // (The question is sent; nothing is heard yet.)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      writeSync(file, "export const value = 1;\n");
      closeSync(file);
      await met;
      await settles(early, []);
    });
    it("know slimlab's modules in its own notebooks and in a folder that has nothing installed", async () => {
      const alone = join(folder, "alone");
      await mkdir(alone, { recursive: true });
      await writeFile(join(alone, "package.json"), '{ "name": "alone" }');
      for (const place of [join(packageRoot, "notebooks"), alone]) {
        await language.close();
        language = machineService({ folder: place });
        assert.deepEqual(
          await codes(
            "import { checkInteger } from 'slimlab/util/check'; import * as pruning from 'slimlab/pruning'; pruning.nothingLikeThis; process.version; Buffer.from('x')",
          ),
          [2307, 2339],
        );
        // A type that its room re-exports by name is in the declarations only, not in the JavaScript.
        assert.deepEqual(
          await codes(
            "import { type Cost } from 'slimlab/analysis'; const cost: Cost | undefined = undefined",
          ),
          [],
        );
        assert.ok((await complete("import * as p from 'slimlab/pru|'")).matches.includes("pruning"), place);
      }
    });
    it("read a folder's strictness, its decorators and its libraries, and not what makes no sense in cells", async () => {
      const project = join(folder, "project");
      await mkdir(project, { recursive: true });
      await writeFile(
        join(project, "tsconfig.json"),
        '{ "compilerOptions": { "strict": false, "noUnusedLocals": true, "experimentalDecorators": true, "outDir": "out", "composite": true, "types": [] }, "include": ["src"] }',
      );
      await language.close();
      language = machineService({ folder: project });
      assert.deepEqual(
        await codes(
          "function old(target: object, key: string) {}\nclass Old { @old a = 1 }\nconst un: number = null; function f(x) { return x }",
        ),
        [],
      );
      // A notebook's own word goes before its folder's.
      assert.deepEqual(await codes("// @ts-strict\nconst un2: number = null"), [2322]);
      assert.deepEqual(await codes("const un2: number = null"), [2322]);
      assert.deepEqual(await codes("// @ts-strict false\nconst un2: number = null"), []);
    });
    it("leave the files of the folder's own project unread", async function () {
      if (process.platform === "win32") this.skip(); // it has no such files
      const project = join(folder, "large");
      await mkdir(project, { recursive: true });
      await writeFile(join(project, "tsconfig.json"), '{ "files": ["endless.ts"] }');
      // Whoever reads it waits for ever.
      execFileSync("mkfifo", [join(project, "endless.ts")]);
      await language.close();
      language = machineService({ folder: project });
      assert.deepEqual(await codes("const a: number = 'x'"), [2322]);
      assert.deepEqual(await codes("const n = 1"), []);
      assert.deepEqual(await codes("import { join } from 'node:path'; join('a').length + n"), []);
      // (React is not installed there.)
      assert.deepEqual(await codes("const p = <p>text</p>; p"), [2875]);
      assert.deepEqual((await complete("n.toFi|")).matches, ["toFixed"]);
    });
    it("take strictness, libraries and types from where TypeScript has them, and from cells", async () => {
      const [loose] = await cell("function f(x) { return x }");
      assert.match(loose.message, /@ts-strict false/);
      assert.deepEqual(await codes("// @ts-strict false\nfunction f(x) { return x }"), []);
      assert.deepEqual(await codes("f(1); function g(y) { return y }"), []);
      const project = join(folder, "ambient");
      await mkdir(join(project, "sub"), { recursive: true });
      await writeFile(
        join(project, "tsconfig.json"),
        '{ "compilerOptions": { "lib": ["dom"], "paths": { "@/*": ["./sub/*"] } } }',
      );
      await writeFile(
        join(project, "types.d.ts"),
        "declare module 'untyped' { export const a: number }\ndeclare const fromFile: number;\n",
      );
      await writeFile(join(project, "sub/n.ts"), "export const n = 1;\n");
      await writeFile(join(project, "more.txt"), "");
      await language.close();
      language = machineService({ folder: project });
      assert.deepEqual(
        await cell("document.title; fromFile.toFixed(); import { a } from 'untyped'; a.toFixed()"),
        [],
      );
      assert.deepEqual(await codes("import { n } from '@/n'; n.toFixed(); n.trim()"), [2339]);
      await language.close();
      language = machineService({ folder });
      assert.deepEqual(await codes('/// <reference lib="dom" />\ndocument.title'), []);
      assert.deepEqual(await codes("declare module 'nothing' { export const b: number }"), []);
      assert.deepEqual(await codes("import { b } from 'nothing'; b.toFixed()"), []);
    });
    it("pass on what TypeScript says beside an error, and say what to write instead", async () => {
      const first = async (source: string) => (await cell(source))[0]?.message;
      assert.match(await first("fetch('x').json()"), /Did you forget to use 'await'\?/);
      assert.match(
        await first("async function g() { return 'x' }\ng().length"),
        /Did you forget to use 'await'\?/,
      );
      assert.match(await first("print('hi')"), /Cannot find name 'print'\. console\.log/);
      assert.match(await first("total = 5"), /A new variable is declared: let total = …$/);
      assert.match((await cell("!ls -la"))[1].message, /execSync\("ls -la"/);
      await cell("let again = 1");
      assert.match(
        (await cell("let again = again + 1")).at(-1)!.message,
        /An earlier cell's again is out of reach/,
      );
      assert.match(await first("document.title"), /page's, and cells run apart from it/);
      assert.doesNotMatch(await first("document.title"), /lib/);
      assert.match(await first("alert(1)"), /prompt\(…\) asks/);
      assert.match(await first("import 'lodash'"), /npm install lodash/);
      assert.match(await first("const h = { loss: [] }; h.loss.push(1)"), /\[\] as number\[\]/);
      assert.match(await first("const d = {}; d.a = 1"), /Record<string, number>/);
    });
  });

  describe("accept what TypeScript accepts where all cells are one file", () => {
    const accepted: Record<string, string[]> = {
      "a list that is filled later": [
        "const losses = []",
        "losses.push(0.5)",
        "losses.length",
        "losses",
        "losses.at(-1); losses.map((x) => x + 1); for (const l of losses) l",
      ],
      "a list that a function uses": [
        "const seen = []",
        "function note(x: number) { seen.push(x); return seen.length }",
        "note(1); seen",
      ],
      "a variable without a value": ["let u", "u = 5", "u + 1"],
      "a constant of a union, by its value": ["const c: string | number = 5", "c.toFixed(2)"],
      "what has been assigned": ["let v: number | null = null", "v = 3", "v + 1"],
      "a guard": [
        "let s: string | undefined = (globalThis as any).nothing ?? 'abc'",
        "if (s === undefined) throw new Error('x')",
        "s.length",
      ],
      "a property that has been set": ["const el: { a?: number } = {}; el.a = 3", "el.a + 1"],
      "declare global": [
        "declare global { interface Array<T> { last(): T } }\nArray.prototype.last = function () { return this[this.length - 1] };",
        "[1, 2, 3].last()",
        "['a'].last().trim()",
      ],
      "a global variable": [
        "declare global { var gg: number }; globalThis.gg = 5",
        "gg.toFixed()",
        "globalThis.gg.toFixed()",
      ],
      "a class cell that is run again": [
        "class Net { private w = 1; constructor(public name: string) {} run() { return this.w } }",
        "function train(n: Net) { return n.run() }",
        "train(new Net('a'))",
        "class Net { private w = 1; constructor(public name: string) {} run() { return this.w } }",
        "train(new Net('b'))",
      ],
      "a class that has got a field": [
        "class Node1 { #v = 1; next?: Node1 }",
        "function walk(n: Node1) { return n.next }",
        "class Node1 { #v = 1; next?: Node1; extra = 2 }",
        "walk(new Node1())",
      ],
      "an enum that has got a member": [
        "enum Col { Red }",
        "function paint(c: Col) { return c }",
        "enum Col { Red, Green }",
        "paint(Col.Red); paint(Col.Green)",
      ],
      "namespaces that add up": [
        "namespace N { export const a = 1 }",
        "namespace N { export const b = 2 }",
        "N.a + N.b",
      ],
      "enums that add up": ["enum E { A }", "enum E { B = 1 }", "E.A + E.B"],
      "a class and an interface": [
        "class Q { a = 1 }",
        "interface Q { b: number }",
        "const q = new Q(); q.a + q.b",
      ],
      "a class and a namespace": [
        "class C { z = 1 }",
        "namespace C { export const k = 2 }",
        "new C().z + C.k",
      ],
      "a function and a namespace": [
        "function f() { return 1 }",
        "namespace f { export const k = 2 }",
        "f() + f.k",
      ],
      "an object": ["{ a: 1, b: 2 }", "// two\n{ a: 1, b: [2], }", "{ a: 1, b: 2 }.b.toFixed()"],
      "a shell's first line": ["#!/usr/bin/env node\nconst sh: number = 1", "sh + 1"],
      this: ["this", "typeof this"],
      "TypeScript's own test of narrowing by calls": [
        "function isS(x: unknown): x is string { return typeof x === 'string' }\nlet m: string | number = Math.random() > 2 ? 'x' : 1",
        "m = 'text'",
        "m.trim()",
      ],
    };
    for (const [title, cells] of Object.entries(accepted)) {
      it(title, async () => {
        for (const source of cells) assert.deepEqual(await cell(source), [], source);
      });
    }
    it("and refuse what it refuses", async () => {
      await cell("let v: number | null = null");
      assert.deepEqual(await codes("v + 1"), [18047]);
      await cell("const losses = []");
      await cell("losses.push('x')");
      assert.deepEqual(await codes("losses.nothing"), [2339]);
      await cell("class Net { private w = 1 }");
      assert.deepEqual(await codes("const other: Net = { w: 1 }"), [2322]);
      assert.deepEqual(await codes("[1].lastOne()"), [2339]);
      assert.deepEqual(await codes("{ a: 1, b: nothing }"), [2304]);
    });
    it("warn of what only the calling cell can know", async () => {
      const [main] = await cell("function main() { return helper(2) }");
      assert.deepEqual([main.code, main.severity], [2304, "warning"]);
      await cell("function helper(n: number) { return n }");
      assert.deepEqual(await cell("main()"), []);
      assert.equal(
        (await cell("const arrow = () => notYet, object = { m() { return norThis } }"))[1].severity,
        "warning",
      );
      assert.equal(
        (await cell("class K { field = later; m() { return later } static now = missing }")).filter(
          ({ severity }) => severity === "error",
        ).length,
        1,
      );
      assert.equal((await cell("interface Tree { leaves: Leaf[] }"))[0].severity, "warning");
      assert.equal((await cell("const bare: Leaf[] = []"))[0].severity, "error");
      assert.equal((await cell("missing()"))[0].severity, "error");
      assert.equal((await cell("[1].map(() => missing)"))[0].severity, "warning");
    });
  });

  describe("completion", () => {
    it("knows what cells have added to a name", async () => {
      for (const source of [
        "namespace N { export const a = 1 }",
        "namespace N { export const b = 2 }",
        "enum E { A }",
        "enum E { B = 1 }",
        "class Q { a = 1 }",
        "interface Q { b: number }",
      ])
        assert.deepEqual(await cell(source), [], source);
      for (const [source, wanted] of [
        ["N.|", ["a", "b"]],
        ["E.|", ["A", "B"]],
        ["new Q().|", ["a", "b"]],
      ] as const)
        assert.deepEqual((await complete(source)).matches, wanted, source);
      // What is declared anew and not added to is not what it was.
      await cell("class Q { c = 1 }");
      assert.deepEqual((await complete("new Q().|")).matches, ["c"]);
    });
    it("knows types from earlier cells in declarations that use them", async () => {
      await cell("interface Opts { color: 'red' | 'green'; size?: number }\ntype Mode = 'train' | 'eval'");
      await cell("class Animal { name = 'x'; speak() {} }\nconst cfg = { epochs: 1, rate: 2 }");
      const right: Record<string, string[]> = {
        "const o: Opts = { | }": ["color", "size"],
        "const o: Opts = { color: '|' }": ["red", "green"],
        "const o: Opts = {\n  color: 'red',\n  |\n}": ["size"],
        "let o: Opts = { color: 'red' }; o.|": ["color", "size"],
        "const a: Animal = new Animal(); a.|": ["name", "speak"],
        "const s: Mode = '|'": ["train", "eval"],
        "let x = 1, s: Mode = '|'": ["train", "eval"],
        "const xs: Animal[] = []; xs[0].|": ["name", "speak"],
        "let y: typeof cfg = cfg; y.|": ["epochs", "rate"],
        "const { name: n }: Animal = new Animal(), b: Animal = new Animal(); b.|": ["name", "speak"],
        "if (true) { let o: Opts = { color: 'red' }; o.|": ["color", "size"],
        "function f(o: Opts) { o.|": ["color", "size"],
        "const f = (o: Opts = { color: 'red' }) => o.|": ["color", "size"],
        "for (const a of [new Animal()] as Animal[]) a.|": ["name", "speak"],
      };
      for (const [source, names] of Object.entries(right)) {
        const { matches } = await complete(source);
        assert.deepEqual(matches.toSorted(), names.toSorted(), `${source}: ${matches.slice(0, 10)}`);
      }
      assert.match((await inspect("let o: Opt|s = { color: 'red' }"))!.plain, /^interface Opts/);
    });
    it("of members, with types, and of names from all cells", async () => {
      await cell("const first = { alpha: 1, beta: 'b' }; class Gamma {}");
      await cell("let second = [1]; type Delta = 1; enum Eps { One }");
      const members = await complete("first.|");
      assert.deepEqual(members.matches, ["alpha", "beta"]);
      assert.deepEqual([members.cursorStart, members.cursorEnd], [6, 6]);
      assert.deepEqual(members.metadata._jupyter_types_experimental?.[0], {
        start: 6,
        end: 6,
        text: "alpha",
        type: "property",
        signature: "(property) alpha: number",
      });
      assert.deepEqual((await complete("first.al|")).matches, ["alpha"]);
      assert.ok((await complete("second.|")).matches.includes("reduce"));
      assert.ok((await complete("'text'.|")).matches.includes("padStart"));
      for (const [source, name] of [
        ["fir|", "first"],
        ["sec|", "second"],
        ["new Gam|", "Gamma"],
        ["let d: Del|", "Delta"],
        ["Ep|", "Eps"],
        ["const own = 1; ow|", "own"],
        ["f(fir|", "first"],
      ])
        assert.ok((await complete(source)).matches.includes(name), source);
      assert.deepEqual((await complete("Eps.|")).matches, ["One"]);
      assert.ok(!(await complete("_|")).matches.some((name) => /carried|slimlab/.test(name)));
    });
    it("of modules, files and imported names", async () => {
      await writeFile(join(folder, "near.ts"), "export const near = 1;\n");
      assert.ok((await complete("import x from 'node:f|'")).matches.includes("node:fs"));
      assert.ok((await complete("import { readFileS| } from 'node:fs'")).matches.includes("readFileSync"));
      assert.ok((await complete("import x from './ne|'")).matches.some((name) => name.startsWith("near")));
      const inside = await complete("import { tensor } from '@tensorflow/tf|'");
      assert.ok(inside.matches.includes("tfjs"), String(inside.matches));
      assert.equal("import { tensor } from '@tensorflow/".length, inside.cursorStart);
    });
    it("in unfinished code and after other alphabets", async () => {
      await cell("const values = [1, 2]");
      assert.ok((await complete("/* 注释😀 */ if (x) { values.ma|")).matches.includes("map"));
      assert.deepEqual((await complete("values.nothingLikeThis|")).matches, []);
    });
    it("while a check is under way", async () => {
      await cell("import * as tf from '@tensorflow/tfjs'");
      const source = "const big = tf.sequential()";
      const checking = language.check(source, await transformCell(source, { name: "c" }));
      const [, completed] = await Promise.all([checking, complete("tf.tensor1|")]);
      assert.deepEqual(completed.matches, ["tensor1d"]);
    });
  });

  describe("inspection", () => {
    it("shows type and documentation, also of names from earlier cells", async () => {
      await cell(
        "/** How many there are. */\nconst count = 3;\n/**\n * Doubles.\n * @param n what to double\n */\nfunction double(n: number) { return 2 * n }\n/** A thing. */\nclass Thing {\n  /** Its size. */\n  size = 1\n}",
      );
      const count = await inspect("cou|nt");
      assert.match(count!.markdown, /```typescript\nconst count: 3\n```\nHow many there are\./);
      assert.equal(count!.plain, "const count: 3\nHow many there are.");
      assert.match(
        (await inspect("double|"))!.plain,
        /^function double\(n: number\): number\nDoubles\.[\s\S]*what to double/,
      );
      assert.match((await inspect("new Thi|ng().size"))!.plain, /Thing\(?.*\nA thing\./);
      assert.match((await inspect("new Thing().siz|e"))!.plain, /size: number\nIts size\./);
      assert.match((await inspect("/* 😀 */ const count = 'own'; cou|nt"))!.plain, /^const count: "own"$/);
    });
    it("shows a call's signature inside its parentheses", async () => {
      await cell("/** Adds. */\nfunction add(a: number, b: number) { return a + b }");
      assert.match((await inspect("add(1, |"))!.plain, /^add\(a: number, b: number\): number\nAdds\./);
      assert.match((await inspect("'x'.padStart(|)"))!.plain, /^padStart\(targetLength: number/);
    });
    it("shows a declaration's source when asked for more", async () => {
      await cell(
        "/** Adds. */\nfunction add(a: number, b: number) {\n  return a + b;\n}\nconst settings = {\n  depth: 3,\n};",
      );
      const more = await language.inspect("add(1, 2)", 1, 1);
      assert.match(
        more!.plain,
        /^function add\(a: number, b: number\): number\nAdds\.\n+function add\(a: number, b: number\) \{\n {2}return a \+ b;\n\}$/,
      );
      const variable = await language.inspect("settings", 1, 1);
      assert.match(variable!.plain, /settings = \{\n {2}depth: 3,\n\};$/);
      assert.match(
        (await language.inspect("Math.max(1)", 6, 1))!.plain,
        /max\(\.\.\.values: number\[\]\): number;$/,
      );
    });
    it("has nothing to say about blanks and unknown names", async () => {
      assert.equal(await inspect("  |  "), undefined);
      assert.equal(await inspect("1 + |"), undefined);
    });
  });

  describe("keeps going", () => {
    it("in JavaScript: completion and inspection, no type errors", async () => {
      await language.close();
      language = machineService({ folder, javascript: true });
      const source = "/** A list. */\nconst list = [1, 2]; const n = list.nothing";
      const options = { name: "c", javascript: true };
      assert.deepEqual(await language.check(source, await transformCell(source, options)), []);
      language.accept();
      assert.ok((await complete("list.|")).matches.includes("map"));
      assert.match((await inspect("lis|t"))!.plain, /const list: number\[\]\nA list\./);
    });
    it("when the server dies: it comes back with its documents", async () => {
      await cell("const survivor = { kept: 1 }");
      for (let i = 0; i < 2; i++) {
        const { pid } = language.state;
        process.kill(pid!, "SIGKILL");
        await until("the server's death is known", () => language.state.pid !== pid);
        assert.deepEqual(await codes("survivor.kept.toFixed(); survivor.gone"), [2339]);
        assert.deepEqual((await complete("survivor.|")).matches, ["kept"]);
      }
    });
    it("when the server does not answer: the cell is unchecked and says so", async function () {
      this.timeout(300_000);
      await language.close();
      language = machineService({ folder, timeout: 3000 });
      await language.start();
      await cell("const before = 1");
      // On a busy machine the first of them may be too slow, too, and is ended: the one that answers is to be stopped.
      await until("a server answers in time", async () => (await codes("before.gone"))[0] === 2339);
      const { pid } = language.state;
      process.kill(pid!, "SIGSTOP");
      // A process on another core goes on for a moment before it stops.
      await until("the server has stopped", () =>
        execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).startsWith("T"),
      );
      const hung = cell("const x: number = 'x'");
      assert.deepEqual((await complete("before.|")).matches, []);
      const [only] = await hung;
      assert.equal(only.severity, "warning");
      assert.match(only.message, /Types were not checked: .*3 s/);
      // The next cell has a new server, which a busy machine may need more than one timeout to start.
      let next: number[] = [];
      await until(
        "a new server answers in time",
        async () => {
          next = await codes("const y: string = before; x");
          return next[0] !== 0;
        },
        120_000,
      );
      assert.deepEqual(next, [2322]);
    });
    it("when its temporary folder is cleaned away, and leaves none behind", async () => {
      await cell("const early = 1");
      // The server takes a cell in while it runs: an answer about it says that it has.
      assert.deepEqual(await codes("early.trim()"), [2339]);
      const mine = async () =>
        (await readdir(tmpdir())).filter((name) => name.startsWith(`slimlab-types-${process.pid}-`));
      for (const name of await mine()) await rm(join(tmpdir(), name), { recursive: true });
      await cell("const late = early + 1");
      assert.deepEqual(await codes("late.toFixed(); early.trim()"), [2339]);
      await language.close();
      assert.deepEqual(await mine(), []);
    });
    it("and clears up after kernels that were killed, and after no other", async () => {
      const dead = spawn(process.execPath, ["-e", ""]);
      await new Promise((resolve) => dead.once("exit", resolve));
      const mine = (await readdir(tmpdir())).find((name) =>
        name.startsWith(`slimlab-types-${process.pid}-`),
      )!;
      const left = join(tmpdir(), mine.replace(`-${process.pid}-`, `-${dead.pid}-`));
      const elsewhere = join(tmpdir(), `slimlab-types-${dead.pid}-00000000-another`);
      await mkdir(left);
      await mkdir(elsewhere);
      await language.start();
      await until("the dead kernel's folder is gone", () => !existsSync(left));
      assert.ok(existsSync(join(tmpdir(), mine)));
      // Its kernel may run where this process cannot see it.
      assert.ok(existsSync(elsewhere));
      await rm(elsewhere, { recursive: true });
    });
    it("with few documents, however many cells redeclare their names", async () => {
      for (let i = 0; i < 300; i++) {
        const source = `const step = ${i}; function act() { return step }`;
        language.accept(source, await transformCell(source, { name: "c" }));
      }
      assert.deepEqual(await codes("act().toFixed(); step"), []);
      assert.ok(language.state.cells <= 2, `${language.state.cells} cells are open`);
    });
  });
});
