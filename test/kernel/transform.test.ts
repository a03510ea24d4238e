import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { transform } from "esbuild";
import { codeFrame } from "../../lib/kernel/cell/frame.ts";
import { KeptMap } from "../../lib/kernel/cell/kept.ts";
import { CellSyntaxError, completeness, transformCell } from "../../lib/kernel/cell/transform.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { Repl } from "./repl.ts";
import { tricky } from "./tricky.ts";

describe("kernel: cells to JavaScript, run in V8's REPL mode", () => {
  let repl: Repl;
  beforeEach(() => {
    repl = new Repl();
  });
  afterEach(() => repl.close());

  /** Runs cells in order; answers the last one's result. */
  async function run(...cells: string[]): Promise<unknown> {
    let result: unknown;
    for (const cell of cells) result = await repl.run(cell);
    return result;
  }

  describe("results", () => {
    it("are the last statement's value when that is an expression", async () => {
      assert.equal(await run("1 + 1"), 2);
      assert.equal(await run("const ra: number = 3;\nra * 2"), 6);
      assert.equal(await run("ra;"), 3);
      assert.equal(await run('"hello"'), "hello");
      assert.equal(await run("'use strict'"), "use strict");
      assert.equal(await run("await Promise.resolve(7)"), 7);
      assert.equal(await run("ra as unknown satisfies unknown"), 3);
      assert.equal(await run("ra!"), 3);
      assert.equal(await run("export default ra + 1"), 4);
    });
    it("are absent otherwise", async () => {
      for (const cell of [
        "const rb = 1",
        "1; const rc = 2",
        "function rf() {}",
        "for (const i of [1]) i",
        "",
        "type T = 1",
      ])
        assert.equal(await run(cell), undefined, cell);
    });
    it("may be an object literal on its own", async () => {
      assert.deepEqual(await run("{ a: 1, b: [2] }"), { a: 1, b: [2] });
      assert.deepEqual(await run("// a comment\n{\n  a: 1,\n}"), { a: 1 });
      assert.deepEqual(await run("{}"), undefined);
    });
  });

  describe("names across cells", () => {
    const declarations: Record<string, string> = {
      let: "let X = 'let'",
      const: "const X: string = 'const'",
      var: "var X = 'var'",
      "nested var": "if (true) { var X = 'nested var' }",
      function: "function X(a?: number) { return a }",
      class: "class X<T> { declare t: T }",
      "abstract class": "export abstract class X { abstract m(): void }",
      "decorated class": "@((c: unknown) => {}) class X {}",
      enum: "enum X { A = 1, B }",
      "const enum": "const enum X { A = 1, B }",
      namespace: "namespace X { export const a = 1 }",
      import: "import X from 'node:path'",
      destructured: "const { X, ...others } = { X: 'destructured' }",
    };
    for (const before in declarations) {
      it(`a ${before} is redeclared as anything`, async () => {
        for (const after in declarations) {
          const name = `n_${before}_${after}`.replaceAll(" ", "");
          await run(declarations[before].replaceAll("X", name));
          await run(declarations[after].replaceAll(/\bX\b/g, name).replace("{ X:", `{ ${name}:`));
          const kind = await run(`typeof ${name}`);
          // A namespace adds to a class or a function, as in one file.
          const adds = after === "namespace" && /function|class/.test(before);
          const expected =
            adds || /function|class/.test(after)
              ? "function"
              : /enum|namespace|import/.test(after)
                ? "object"
                : "string";
          assert.equal(kind, expected, `${before} then ${after}`);
        }
      });
    }
    it("closures see later assignments and redefinitions", async () => {
      assert.equal(await run("let ca = 1; const readA = () => ca", "ca = 5", "readA()"), 5);
      assert.equal(
        await run(
          "function twice(n: number) { return n * 2 } function four(n: number) { return twice(twice(n)) }",
          "function twice(n: number) { return n * 3 }",
          "four(1)",
        ),
        9,
      );
      assert.equal(
        await run(
          "function fib(n: number): number { calls++; return n < 2 ? n : fib(n - 1) + fib(n - 2) }\nlet calls = 0",
          "const memo = new Map<number, number>(); const slow = fib;\nfib = (n) => { if (!memo.has(n)) memo.set(n, slow(n)); return memo.get(n)! }",
          "fib(30); calls",
        ),
        31,
      );
    });
    it("may be those of Node's globals, which modules keep", async () => {
      await run("let URL = 5, { crypto, os = crypto } = { crypto: await import('node:os') }");
      assert.equal(await run("URL"), 5);
      assert.equal(await run("typeof os.cpus === typeof crypto.cpus && crypto === os"), true);
      // A module of the process looks names up where cells' names are, too.
      const module = (code: string) =>
        import(`data:text/javascript,export default ${encodeURIComponent(code)}`);
      assert.equal((await module("typeof URL + typeof crypto.subtle")).default, "functionobject");
      await run("function performance(n: number) { return n ? n * performance(n - 1) : 1 }");
      assert.equal(await run("performance(4)"), 24);
      assert.equal(await run("performance.name.length + typeof globalThis.performance.now"), "11function");
      await run("class Event<T> { static made = 0; constructor(public of: T) { Event.made++ } }");
      await run(
        "import { Buffer, type Blob } from 'node:buffer'; let buffer: Blob | Buffer = Buffer.from('a')",
      );
      assert.equal(await run("new Event(buffer).of.length + Event.made"), 2);
      assert.equal(await run("(URL => URL * 2)(4) + [1].map((URL) => ({ URL }).URL)[0] + ({ URL }).URL"), 14);
      assert.equal(await run("URL = 7; var Map = URL; for (var Set of [1, 2]); [Map, Set].join()"), "7,2");
      await run("enum Request { a = 3 }");
      assert.equal(await run("Request.a"), 3);
      assert.equal(
        (await module("new Map([[1, new Set().size]]).get(1) + typeof Buffer.from")).default,
        "0function",
      );
      // V8 keeps an enum's name in that scope: the other tests need it.
      await run("var Request = globalThis.Request");
    });
  });

  describe("functions", () => {
    it("can be called above their declaration", async () => {
      assert.equal(await run("const ha = above(2);\nfunction above<T>(a: T): T { return a }\nha"), 2);
    });
    it("keep their names, overloads, generators and async", async () => {
      assert.equal(
        await run(
          "function ov(a: string): string;\nfunction ov(a: number): number;\nfunction ov(a: any) { return a }\nov(3)",
        ),
        3,
      );
      assert.equal(
        await run("export async function* gen() { yield 4 }\ngen.name + (await gen().next()).value"),
        "gen4",
      );
      assert.equal(await run("export default function dflt() { return 1 }\ndflt()"), 1);
    });
    it("hold imports, vars and exports of their own", async () => {
      assert.equal(
        await run(
          "async function uses() { var inner = await import('node:path'); return inner.basename('/a/b') }\nawait uses()",
        ),
        "b",
      );
    });
  });

  describe("imports and exports", () => {
    it("of every form", async () => {
      assert.equal(
        await run("import { basename, dirname as parent } from 'node:path'\nbasename(parent('/a/b/c'))"),
        "b",
      );
      assert.equal(
        await run("import path2, { sep, type ParsedPath } from 'node:path'\npath2.join('a', sep)"),
        "a/",
      );
      assert.equal(await run("import os3, * as os4 from 'node:os'\nos4.default === os3"), true);
      assert.equal(
        await run(
          "import {\n  basename as base5,\n  // why\n  extname\n} from 'node:path'\nimport 'node:fs'\nbase5('/q.x') + extname('q.x')",
        ),
        "q.x.x",
      );
      assert.equal(await run("import { 'basename' as based } from 'node:path'; based('/a/z')"), "z");
      assert.equal(await run("import fs6 = require('node:fs'); typeof fs6.readFileSync"), "function");
      assert.equal(await run("(await import('node:path')).basename('/x/y')"), "y");
      assert.equal(await run("import.meta.url"), "file:///cell");
      assert.equal(
        await run("import type { X7 } from './nowhere.ts'; import { type Y7 } from './nowhere.ts'; 7"),
        7,
      );
      assert.equal(
        await run("export const e8 = 1, e9 = 2; export { e8 as e10 }; export type { Z } from 'z'; e8 + e9"),
        3,
      );
      assert.equal(
        await run(
          "export { join } from 'node:path'; export * as all from 'node:path'; export * from 'node:path'; 9",
        ),
        9,
      );
    });
    it("pass their attributes on", async () => {
      const { code } = await transformCell("import data from './a.json' with { type: 'json' }", {
        name: "c",
      });
      assert.ok(code.includes("__slimlab_import('./a.json', { with: { type: 'json' } })"), code);
    });
    it("leave types alone", async () => {
      assert.equal(
        await run("const t1 = (a: import('node:fs').Stats | typeof import('node:path')) => 1; t1(null!)"),
        1,
      );
    });
  });

  describe("TypeScript and new JavaScript", () => {
    it("enums, const enums, merged namespaces, parameter properties", async () => {
      assert.deepEqual(await run("enum Ea { A, B = 'b' }\n[Ea.A, Ea.B, Ea[0]]"), [0, "b", "A"]);
      assert.equal(await run("Ea.A"), 0);
      assert.equal(await run("enum Em { A }\nenum Em { B = 7 }\nEm.A + Em.B"), 7);
      assert.equal(
        await run("class Cn { static a = 1 }\nnamespace Cn { export const b = 2 }\nCn.a + Cn.b"),
        3,
      );
      assert.equal(
        await run("function Fn() { return 1 }\nnamespace Fn { export const b = 2 }\nFn() + Fn.b"),
        3,
      );
      assert.equal(
        await run(
          "class Pp { constructor(private readonly x: number, public y = x) {} sum() { return this.x + this.y } }\nnew Pp(2).sum()",
        ),
        4,
      );
      assert.equal(
        await run(
          "namespace Types { export type A = 1 }\ndeclare const nothing: number; declare function none(): void; abstract class Ab { abstract a: number }; typeof Ab",
        ),
        "function",
      );
    });
    it("standard decorators, and two decorated cells keep their own initialisers", async () => {
      await run(
        "function add(n: number) { return (_: undefined, __: ClassFieldDecoratorContext) => (v: number) => v + n }",
      );
      await run("class D1 { @add(1) v = 1 }");
      await run("class D2 { @add(100) v = 1; accessor w = 7 }");
      assert.deepEqual(await run("[new D1().v, new D2().v, new D2().w]"), [2, 101, 7]);
      assert.equal(
        await run(
          "function logged<T extends new (...a: any[]) => object>(c: T, ctx: ClassDecoratorContext) { return class extends c { name2 = ctx.name } }\n@logged class D3 {}\n(new D3() as any).name2",
        ),
        "D3",
      );
    });
    it("experimental decorators where the folder asks for them", async () => {
      repl.close();
      repl = new Repl({ experimentalDecorators: true });
      assert.equal(
        await run(
          "const seen: string[] = [];\nfunction mark(t: object, key: string) { seen.push(key) }\nfunction param(t: object, k: string, i: number) { seen.push(k + i) }\nclass X1 { @mark a = 1; @mark m(@param p: number) {} }\nseen.join()",
        ),
        "a,m0,m",
      );
    });
    it("experimental decorators where the folder's tsconfig.json, or one that it extends, asks for them", async () => {
      const folder = await mkdtemp(join(tmpdir(), "slimlab-transform-"));
      try {
        await writeFile(
          join(folder, "base.json"),
          '{ "compilerOptions": { "experimentalDecorators": true } }',
        );
        await writeFile(
          join(folder, "tsconfig.json"),
          '// comment\n{ "extends": ["./base"], "compilerOptions": { "strict": true, }, }',
        );
        await mkdir(join(folder, "notebooks"));
        repl.close();
        repl = new Repl({ folder: join(folder, "notebooks") });
        assert.equal(
          await run(
            "let marked = ''; function mark3(t: object, key: string) { marked = key }\nclass X3 { @mark3 field = 1 }\nmarked",
          ),
          "field",
        );
      } finally {
        await rm(folder, { recursive: true });
      }
    });
    it("aliases of namespaces' members, also of types", async () => {
      await run(
        "namespace Al { export namespace In { export const v = 3; export type T = 1 } export type U = 2 }\nnamespace OnlyTypes { export type T = 1 }",
      );
      assert.deepEqual(
        await run(
          "import In2 = Al.In; import U2 = Al.U; import T2 = OnlyTypes.T; [In2.v, typeof U2, typeof T2]",
        ),
        [3, "undefined", "undefined"],
      );
    });
    it("using disposes at the cell's end, and the cell's other names stay", async () => {
      await run(
        "const log: string[] = [];\nconst resource = (name: string) => ({ name, [Symbol.dispose ?? Symbol.for('Symbol.dispose')]() { log.push(name) } })",
      );
      assert.equal(
        await run(
          "using r1 = resource('one');\nconst kept = r1.name, { length } = kept;\nfunction useKept() { return kept }\nclass Kept {}\nenum KeptE { A = 4 }\nlog.length",
        ),
        0,
      );
      assert.deepEqual(
        await run("[log.join(), kept, length, useKept(), new Kept().constructor.name, KeptE.A]"),
        ["one", "one", 3, "one", "Kept", 4],
      );
      assert.equal(
        await run(
          "await using r2 = { async [Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')]() { log.push('two') } };\nr2 !== undefined",
        ),
        true,
      );
      assert.equal(await run("log.join()"), "one,two");
    });
    it("var in loops and blocks, repeated var, patterns", async () => {
      assert.deepEqual(
        await run(
          "for (var vi = 0, vj = 10; vi < 3; vi++) { var vk: number = vi }\nfor /* a comment */ (var vo of [4, 5]) ;\nfor (var vp in { q: 1 }) ;\n[vi, vj, vk, vo, vp]",
        ),
        [3, 10, 2, 5, "q"],
      );
      assert.deepEqual(
        await run(
          "var vr = 1; var vr = 2; var { a: vs, b: [vt = 9] } = { a: 1, b: [] as number[] }; var vu: number;\n[vr, vs, vt, vu]",
        ),
        [2, 1, 9, undefined],
      );
      assert.equal(await run("try { var vw = 1; throw 0 } catch { var vw = 2 }\nvw"), 2);
      assert.equal(await run("let vx = 1\nvar vx2\n;[vx2] = [3]\nvx2"), 3);
    });
    it("satisfies, generics, tuples, template types, optional chaining, private names, top-level for await", async () => {
      assert.equal(
        await run(
          "const g1 = { a: 1 } satisfies Record<string, number>; const id = <T,>(a: T) => a; id<number>(g1?.a ?? 0)",
        ),
        1,
      );
      assert.equal(
        await run(
          "class Pr { #a = 1; static s: number; static { Pr.s = 2 } has(o: object) { return #a in o } }\nnew Pr().has(new Pr()) && Pr.s",
        ),
        2,
      );
      assert.equal(
        await run(
          "let total = 0; for await (const n of (async function* () { yield 1; yield 2 })()) total += n\ntotal",
        ),
        3,
      );
      assert.equal(await run("label: for (;;) { for (;;) break label }\n5"), 5);
    });
  });

  describe("taking types away agrees with esbuild, which compiles", () => {
    /** One way to write a program, whatever its spaces and empty statements. */
    async function normal(code: string): Promise<string> {
      const options = { loader: "js", treeShaking: false, charset: "utf8", minifyWhitespace: true } as const;
      // esbuild writes \p{L} for Node as new RegExp("\\p{L}"), which is the same.
      const supported = { "top-level-await": true, "regexp-unicode-property-escapes": false };
      const { code: printed } = await transform(code, { ...options, supported });
      return printed
        .replace(/^"use strict";/, "")
        .replaceAll(/[;\n]+/g, ";")
        .replaceAll(/([{}]);/g, "$1")
        .replaceAll(";}", "}")
        .replace(/^;|;$/g, "");
    }
    async function compare(source: string): Promise<void> {
      const [ours, theirs] = await Promise.all(
        [false, true].map((compile) => transformCell(source, { name: "c", folder: packageRoot, compile })),
      );
      assert.equal(await normal(ours.code), await normal(theirs.code), source);
    }
    it("where it is tricky", async () => {
      for (const source of tricky) await compare(source);
    });
    it("in slimlab's own modules", async () => {
      for (const room of ["kernel", "util", "pruning"]) {
        const folder = join(packageRoot, "lib", room);
        for (const file of await readdir(folder)) {
          if (file.endsWith(".ts")) await compare(await readFile(join(folder, file), "utf8"));
        }
      }
    });
  });

  describe("what a cell tells of itself", () => {
    it("declared names with kind and meaning", async () => {
      const { declared } = await transformCell(
        "import d, { type T } from 'x'; let a = 1; const { b, c: [e] } = q; function f() {} class C {} enum E {} namespace N { export const x = 1 } type Y = 1; interface I {} if (a) { var v = 1; let no = 2 }",
        { name: "c" },
      );
      assert.deepEqual(
        declared.map(
          ({ name, kind, value, type }) => `${kind} ${name}${value ? " v" : ""}${type ? " t" : ""}`,
        ),
        [
          "import d v t",
          "import T t",
          "let a v",
          "const b v",
          "const e v",
          "function f v",
          "class C v t",
          "enum E v t",
          "namespace N v t",
          "type Y t",
          "interface I t",
          "var v v",
        ],
      );
    });
    it("names that it takes from elsewhere", async () => {
      const { references } = await transformCell(
        "const a: Foo = bar.baz(q => q + a, { key: val, short }); class C extends Base<Arg> { m() { return other } } type X = typeof tt; ns.T.u; x = y.z[w]",
        { name: "c" },
      );
      for (const name of ["Foo", "bar", "val", "short", "Base", "Arg", "other", "tt", "ns", "x", "y", "w"])
        assert.ok(references.has(name), name);
      for (const name of ["baz", "key", "a", "C", "m", "T", "u", "z"]) assert.ok(!references.has(name), name);
    });
    it("a source map that is the same once it is packed", async () => {
      for (const lines of [3, 300]) {
        const source = Array.from({ length: lines }, (_, i) => `const a${i}: number = f(${i}, "é");`).join(
          "\n",
        );
        const { mappings } = (await transformCell(source, { name: "cell" })).map;
        const kept = new KeptMap(mappings);
        const segments = kept.segments();
        kept.pack();
        kept.pack();
        assert.equal(kept.mappings, mappings);
        assert.deepEqual(kept.segments(), segments);
      }
    });
    it("a source map that leads each statement to its line and column", async () => {
      const source = [
        "import { basename,",
        "  dirname } from 'node:path';",
        "function moved(a: number): never {",
        "  throw new Error('in moved');",
        "}",
        "const x: number = 1;",
        "enum E { A }",
        "  throw new Error('last');",
      ].join("\n");
      const { code, map } = await transformCell(source, { name: "cell" });
      const { SourceMap } = await import("node:module");
      const lookup = new SourceMap({ ...map, file: "cell", sourceRoot: "" });
      for (const [text, line, column] of [
        ['throw new Error("in moved")', 3, 2],
        ["x = 1", 5, 6],
        ['throw new Error("last")', 7, 2],
      ] as const) {
        const offset = code.indexOf(text);
        assert.ok(offset >= 0, code);
        const before = code.slice(0, offset).split("\n");
        const entry = lookup.findEntry(before.length - 1, before.at(-1)!.length) as {
          originalLine: number;
          originalColumn: number;
        };
        assert.deepEqual([entry.originalLine, entry.originalColumn], [line, column], text);
      }
    });
    it("a source map of plain JavaScript, exact behind an edit on the same line", async () => {
      const source = "import { a } from 'x'; const b = a(); throw new Error('end');";
      const { code, map } = await transformCell(source, { name: "cell" });
      const { SourceMap } = await import("node:module");
      const before = code.slice(0, code.indexOf("throw")).split("\n");
      const { originalLine, originalColumn } = new SourceMap({
        ...map,
        file: "cell",
        sourceRoot: "",
      }).findEntry(before.length - 1, before.at(-1)!.length) as {
        originalLine: number;
        originalColumn: number;
      };
      assert.deepEqual([originalLine, originalColumn], [0, source.indexOf("throw")]);
    });
    it("a source map for decorated cells too", async () => {
      const { code, map } = await transformCell("@dec class A {}\n\nthrow new Error('here')", {
        name: "cell",
      });
      const { SourceMap } = await import("node:module");
      const before = code.slice(0, code.indexOf('throw new Error("here")')).split("\n");
      const { originalLine, originalColumn } = new SourceMap({
        ...map,
        file: "cell",
        sourceRoot: "",
      }).findEntry(before.length - 1, before.at(-1)!.length) as {
        originalLine: number;
        originalColumn: number;
      };
      assert.deepEqual([originalLine, originalColumn], [2, 0]);
    });
  });

  describe("JavaScript cells", () => {
    it("run in sloppy mode, as in Node's REPL, with the same names and imports", async () => {
      repl.close();
      repl = new Repl({ javascript: true });
      assert.equal(await run("jsGlobal = 5", "jsGlobal + 1"), 6);
      assert.equal(
        await run("import { basename as jsBase } from 'node:path'; const jq = jsBase('/a/b')", "jq"),
        "b",
      );
      await assert.rejects(run("const a: number = 1"), CellSyntaxError);
    });
  });

  describe("syntax errors", () => {
    async function failure(source: string): Promise<CellSyntaxError> {
      const error = await transformCell(source, { name: "c" }).then(
        () => assert.fail("no error"),
        (error) => error,
      );
      assert.ok(error instanceof CellSyntaxError, String(error?.stack));
      return error;
    }
    it("tell line, column and show the place", async () => {
      const error = await failure("const a = 1;\nconst b = ;\nconst c = 3;");
      assert.equal(error.name, "SyntaxError");
      assert.deepEqual([error.line, error.column], [2, 11]);
      assert.equal(
        stripVTControlCharacters(
          codeFrame("const a = 1;\nconst b = ;\nconst c = 3;", error.line, error.column).join("\n"),
        ),
        "  1 | const a = 1;\n> 2 | const b = ;\n    |           ^\n  3 | const c = 3;",
      );
    });
    it("are worded for people", async () => {
      assert.match((await failure("function f() { await 1 }")).message, /make this function async/);
      assert.match((await failure("const a = 'x")).message, /no closing quote/);
      assert.match((await failure("if (a) {")).message, /ends too early/);
      assert.match((await failure("return 1")).message, /last expression is its result/);
      assert.match((await failure("let a = 1; let a = 2")).message, /a.*already been declared/);
    });
    it("count columns in UTF-16 units", async () => {
      const error = await failure("const 名字 = '😀' + ;");
      assert.deepEqual([error.line, error.column], [1, 19]);
    });
  });
});

describe("kernel: is_complete", () => {
  const cases: [string, string, string?][] = [
    ["1 + 1", "complete"],
    ["{ a: 1, b: 2 }", "complete"],
    ["const a = 1;\n", "complete"],
    ["await f()", "complete"],
    ["", "complete"],
    ["function f() {", "incomplete", "  "],
    ["if (a) {\n  while (b) {", "incomplete", "    "],
    ["if (a) {\n  b();", "incomplete", "  "],
    ["const a =", "incomplete", ""],
    ["const a = [\n  1,", "incomplete", "  "],
    ["foo(", "incomplete", "  "],
    ["`abc", "incomplete", ""],
    ["'abc", "incomplete", ""],
    ["/* abc", "incomplete", ""],
    ["a.b.", "incomplete", ""],
    ["x => ", "incomplete", "  "],
    ["class A {\n  m() {}\n  // more", "incomplete", "  "],
    ["const a = ;", "invalid"],
    ["}", "invalid"],
    ["a b", "invalid"],
    ["'abc\n1", "invalid"],
  ];
  for (const [source, status, indent] of cases) {
    it(`${JSON.stringify(source)} is ${status}`, () => {
      const answer = completeness(source);
      assert.equal(answer.status, status);
      if (indent !== undefined) assert.equal(answer.indent, indent);
    });
  }
});
