// Cells as people write them that once went wrong: what they show, what they leave behind, and what they may redeclare.
// Where Node's own REPL answers, its answer is the right one.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are cells, with templates of their own.
import assert from "node:assert/strict";
import { inspect } from "node:util";
import { transformCell } from "../../lib/kernel/cell/transform.ts";
import { Repl } from "./repl.ts";

/** Cells in order, and what the last one shows, or the error that it ends with. */
type Case = [cells: string[], right: unknown];

const log = "const out = []; const resource = (name) => ({ name, [Symbol.dispose]() { out.push(name) } })";
const R = "class R { [Symbol.dispose]() {} }";

const typescript: Record<string, Case[]> = {
  "an error in a cell with `using` stays in that cell": [
    [[R, "using r = new R(); throw new Error('first')", "using r = new R(); 'ok now'"], "ok now"],
    [[R, "using r = new R(); throw new Error('first')", "{ using q = new R(); 'in block' }"], "in block"],
    [
      [
        R,
        "using r = new R(); throw new Error('x')",
        "let n = 0; for (const i of [1, 2]) { using z = new R(); n += i }\nn",
      ],
      3,
    ],
    [[R, "try { using e = new R(); throw 1 } catch {}", "using r = new R(); 'after'"], "after"],
    [
      [
        R,
        "using r = new R(); throw new Error('first')",
        "await using aq = { async [Symbol.asyncDispose]() {} }; 'async'",
      ],
      "async",
    ],
    [
      [
        R,
        "let caught = 0; for (const i of [1, 2, 3]) { try { using r = new R(); if (i < 3) throw i } catch { caught++ } }\ncaught",
      ],
      2,
    ],
    [
      [
        R,
        "function many() { let caught = 0; for (const i of [1, 2, 3]) { try { using r = new R(); if (i < 3) throw i } catch { caught++ } } return caught }\nmany()",
      ],
      2,
    ],
    [
      [R, "using a = new R(); 1", "typeof _stack + typeof _error + typeof __callDispose"],
      "undefinedundefinedundefined",
    ],
    [[R, "using a = new R(); 1", "let _stack = 5; _stack"], 5],
    [["let _stack = 'mine', _error = 'own'", R, "using a = new R(); _stack + _error"], "mineown"],
    [
      [log, "for (using x = resource('loop'), y = resource('too'); out.length < 0; ) {}\nout.join()"],
      "too,loop",
    ],
    [[log, "outer: for (using x = resource('l'); ; ) { for (;;) break outer }\nout.join()"], "l"],
    [
      [log, "for (using x of [resource('a'), resource('b')]) out.push('in ' + x.name)\nout.join()"],
      "in a,a,in b,b",
    ],
  ],
  "what a compiler renames keeps its name": [
    [["class AC { accessor v = 1; static me = AC.name }\n[AC.name, AC.me, new AC().v].join()"], "AC,AC,1"],
    [
      [
        "class ST { static { using z = { [Symbol.dispose]() {} } } who() { return ST.name } }\nST.name + new ST().who()",
      ],
      "STST",
    ],
    [["enum En { A }\nconst fe = function fe() { return fe.name }\nfe() + fe.name"], "fefe"],
    [
      [
        "enum Eo { A }\nclass Fo {}\nfunction outer() { class Fo {}; const outer = () => 1; return Fo.name + outer.name }\nouter()",
      ],
      "Foouter",
    ],
    [
      [
        "enum Ep { A }\nclass Fp {}\nfunction two() { class Fp { v = 1 }; class Fp2 { w = 2 }; return new Fp().v + new Fp2().w }\ntwo()",
      ],
      3,
    ],
    [
      [
        "enum Eq { A = 1 }\nclass Fq { fe = 1 }\nfunction pick({ Fq }: { Fq: number }) { return { Fq, x: Fq } }\nJSON.stringify(pick({ Fq: 2 }))",
      ],
      '{"Fq":2,"x":2}',
    ],
    [["export default class Df { accessor q = 1 }\nDf.name"], "Df"],
    [
      [
        "const seen: string[] = []\nconst d = (v: any, c: any) => { seen.push(c.name); return v }\n@d class De { static n = De.name; static made = new De(); who() { return De.name } }\n[De.name, De.n, De.made.who(), seen].join()",
      ],
      "De,De,De,De",
    ],
    [
      [
        "const other = (v: any): any => class Other extends v {}\n@other class Dg { static first = Dg; again() { return Dg } }\n[Dg.name, Dg.first === Dg, new Dg().again() === Dg].join()",
      ],
      "Other,false,true",
    ],
  ],
  "a result that the compiler could work out itself is shown": [
    ...[
      ["Dir.Up === 'UP'", true],
      ["-5", -5],
      ["+'3'", 3],
      ["1 === Dir.A", true],
      ["Dir.A === 1 && true", true],
      ["!0", true],
      ["'a' + 'b'", "ab"],
      ["Dir.Up + '!'", "UP!"],
      ["Dir.A == 1", true],
      ["typeof Dir.A", "number"],
      ["NaN", NaN],
      ["Infinity", Infinity],
      ["Dir.A !== 1", false],
      ["'text'", "text"],
      ["undefined", undefined],
      ["(1, 2)", 2],
      ["({ a: 1 })", { a: 1 }],
      ["if (true) 5", 5],
      ["{ let x = 1; x + 1 }", 2],
      ["export default 7", 7],
    ].map(([last, right]): Case => [[`enum Dir { Up = 'UP', A = 1 }\n${last}`], right]),
    [[`${R}\nusing r = new R()\n1 === 1`], true],
    [["namespace N { export const a = 1 }\n'x' + 1"], "x1"],
    [["class P { constructor(public a = 1) {} }\ntypeof 1"], "number"],
    [["const d = (_: unknown, __: unknown) => {}; @d class D {}\n2 > 1"], true],
  ],
  "text in a cell stays as it is": [
    [["enum Color { Red }\nconst text = `\nvar Color = 1;\n`;\ntext"], "\nvar Color = 1;\n"],
    [
      ["const dec = (_: unknown, __: unknown) => {};\n@dec class A {}\n`\nvar _init = 3\nvar _a`"],
      "\nvar _init = 3\nvar _a",
    ],
    [["namespace N { export const a = `\nvar N = 2` }\nN.a"], "\nvar N = 2"],
    [["enum E { A }\n'__slimlab_result((1))'"], "__slimlab_result((1))"],
  ],
  "modifiers go and the lines they kept apart stay apart": [
    [
      [
        "class List {\n  private items = [1, 2]\n  public *[Symbol.iterator]() { yield* this.items }\n}\n[...new List()].join()",
      ],
      "1,2",
    ],
    [["class L {\n  size = 2\n  public [Symbol.toPrimitive]() { return 5 }\n}\n+new L()"], 5],
    [
      [
        "class L {\n  xs: number[] = [1]\n  private *gen() { yield 1 }\n  all() { return [...this.gen()].length }\n}\nnew L().all()",
      ],
      1,
    ],
    [["class L {\n  a = [7, 8]\n  readonly [1] = 3\n}\nnew L()[1] + new L().a.length"], 5],
    [
      [
        "class L {\n  a = 1\n  protected in = 2\n  public instanceof = 3\n}\nconst l = new L(); l.a + l['in'] + l.instanceof",
      ],
      6,
    ],
    [
      [
        "class L {\n  a = 1\n  public static *gen() { yield 4 }\n  static readonly [2] = 5\n}\n[...L.gen()][0] + L[2]",
      ],
      9,
    ],
    [
      [
        "class B { *m() { yield 1 } }\nclass L extends B {\n  a = 1\n  override *m() { yield 2 }\n}\n[...new L().m()][0]",
      ],
      2,
    ],
    [
      [
        "class L {\n  a = 1\n  public async *gen() { yield 4 }\n  private get = 2\n  public set = 3\n}\nObject.keys(new L()).join()",
      ],
      "a,get,set",
    ],
    [["var v = [1, 2] as number[]\n[0].map(String)\nv.length"], 2],
    [["var w = [1, 2] satisfies number[]\n(() => {})()\nw.length"], 2],
    [["if (true) var u = [3] as number[]\nelse var u = [4]\nu[0]"], 3],
    [["export default [5] as number[]\n;[0].map(String)\n6"], 6],
  ],
  "an exported value is the result, parentheses or not": [
    [["export default (1 + 2);"], 3],
    [["export default (await Promise.resolve(5))"], 5],
    [["export default ({ a: 1 })"], { a: 1 }],
    [["(export_ => 1); export default (function () { return 4 })", "9"], 9],
    [["const C0 = 1; export default (class { static v = 6 })"], "class"],
    [["export = ({ a: 1 })"], { a: 1 }],
    [["export default /* (why) */ ((2))"], 2],
    [["export default [1][0] as number"], 1],
  ],
  "strings that look like directives are results": [
    [["'use strict'\n'hello'"], "hello"],
    [["'a'\n'b'"], "b"],
    [["'a';\n'b';\n"], "b"],
    [["'use strict'; 1"], 1],
  ],
  "what stands last is shown as in Node": [
    [["5;;"], 5],
    [["if (1) 5"], 5],
    [["if (0) 5; else { 6 }"], 6],
    [["{ let x = 1; x + 1 }"], 2],
    [["try { 7 } finally {}"], 7],
    [["try { throw 1 } catch (e) { e }"], 1],
    [["switch (2) { case 1: 'one'; break; case 2: 'two'; break }"], "two"],
    [["a: { 8 }"], 8],
    [["for (const i of [1]) i"], undefined],
    [["if (1) { const x = 5 }"], undefined],
    [["5; type T = 1"], undefined],
    [["if (1) var shown = 1"], undefined],
  ],
  "a name that packages look for is the cells' own": [
    [["const window = 5", "globalThis.window === undefined && window"], 5],
    [["const window = 3\nawait probe('typeof window')"], "undefined"],
    [
      [
        "let document = 1, self = 2, define = 3, module = 4, Deno = 5",
        "await probe('[typeof document, typeof self, typeof define, typeof module, typeof Deno].join()')",
      ],
      "undefined,undefined,undefined,undefined,undefined",
    ],
    [
      ["function importScripts() { return 1 }", "importScripts() + (await probe('typeof importScripts'))"],
      "1undefined",
    ],
    [
      [
        "class Node { next?: Node; static made = 0; constructor() { Node.made++ } }",
        "new Node(); Node.made + Node.name",
      ],
      "1Node",
    ],
    [["class Event { x = 1 }\nEvent.name === 'Event' && new Event().constructor.name"], "Event"],
    [["function structuredClone() { return structuredClone.name }\nstructuredClone()"], "structuredClone"],
    [
      [
        "const performance = () => 1, fetch = async function () {}, Blob = class {};\n[performance.name, fetch.name, Blob.name].join()",
      ],
      "performance,fetch,Blob",
    ],
    [
      [
        "enum Event { Start, Stop, Both = Event.Start | Event.Stop }",
        "Event.Stop + Event.Both + (await probe('typeof Event'))",
      ],
      "2function",
    ],
    [["enum Buffer { A = 3 }", "Buffer.A + (await probe('Buffer.from([1]).length'))"], 4],
    [
      [
        "namespace Response { export const ok = 1; export const again = Response.ok }",
        "Response.again + (await probe('typeof Response'))",
      ],
      "1function",
    ],
    [
      [
        "let self = 1; const o = { self, inner: (self: number) => ({ self }), self2: self }\nJSON.stringify([o, o.inner(2)])",
      ],
      '[{"self":1,"self2":1},{"self":2}]',
    ],
    [["let window = 1; ({ window } = { window: 4 }); [window = 9] = []; window"], 9],
    [["let location = 1; const f = () => { location++; return location }", "f(); f()"], 3],
    [["declare const navigator: any\ntypeof navigator === typeof globalThis.navigator"], true],
    [["interface Window { a: number }\nlet w: Window = { a: 1 }; w.a"], 1],
    [
      [
        "import { join as define } from 'node:path'; import window from 'node:os'\ndefine('a', 'b') + typeof window.cpus",
      ],
      "a/bfunction",
    ],
    [["for (const document of [1, 2]) document\ntry { throw 3 } catch (self) { self }"], 3],
    [["const { window, rest: [self = 4] } = { window: 3, rest: [] }; window + self"], 7],
  ],
  "what modules of CommonJS have, cells have too": [
    [["__dirname + __filename"], "/folder/folder/cell.ts"],
    [["module.exports = { a: 1 }; exports.a"], 1],
    [["const o = { __dirname }; o.__dirname"], "/folder"],
    [["const exports = 5", "exports"], 5],
  ],
  "`var` without a value leaves the value that the name has": [
    [["var NS = NS || {}; NS.a = 1", "var NS = NS || {}; NS.b = 2; NS"], { a: 1, b: 2 }],
    [["var x = 5", "var x; x"], 5],
    [["let i = 9", "if (false) { var i = 1 } i"], 9],
    [["let k = 3", "for (var k; false; ) {}\nk"], 3],
    [["var p = 1, q = 2", "var p, q = p + 1, r; [p, q, r].join()"], "1,2,"],
    [["try { throw 0 } catch { var a = 1 }", "var a; a"], 1],
    [["let late = (() => { throw new Error('no') })()", "var late; late"], undefined],
  ],
  "a constant is constant, until a cell declares its name anew": [
    [["const c = 1; c = 2; c"], "TypeError: Assignment to constant variable."],
    [["const c = 1", "c = 2"], "TypeError: Assignment to constant variable."],
    [["const c = 1", "try { c++ } catch {} c"], 1],
    [["const c = 1", "try { [c] = [5] } catch {} c"], 1],
    [["const c = 1", "try { ({ c } = { c: 5 }) } catch {} c"], 1],
    [["const c = 1", "try { for (c of [5]); } catch {} c"], 1],
    [["const c = 1", "c ||= 2"], 1],
    [["const c = 1", "c &&= 2"], "TypeError: Assignment to constant variable."],
    [["const c = 1", "let c = 2; c = 3; c"], 3],
    [["const c = 1", "const c = 2; c"], 2],
    [["const c = 1", "{ let c = 2; c = 3; c }"], 3],
    [["const c = 1", "((c: number) => { c = 4; return c })(2) + c"], 5],
    [["const c = 1; const f = () => { c = 2 }", "f()"], "TypeError: Assignment to constant variable."],
    [["import os from 'node:os'", "os = 1"], "TypeError: Assignment to constant variable."],
    [["function f() { return 1 }", "f = () => 2; f()"], 2],
  ],
  "a function's source has its name": [
    [
      [
        "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }",
        "new Function(`${fib.toString()}\nreturn fib(10)`)()",
      ],
      55,
    ],
    [
      ["function inner() { return 3 }\nfunction outer() { return inner() }", "outer.toString()"],
      "function outer() { return inner() }",
    ],
    [["async function* gen(a) { yield a }", "String(gen)"], "async function* gen(a) { yield a }"],
    [["function structuredClone() {}", "`${structuredClone}`"], "function structuredClone() {}"],
    [
      ["const arrow = () => 1; String(arrow) + String(class X {}) + String(Math.max)"],
      "() => 1class X {}function max() { [native code] }",
    ],
    [["Function.prototype.toString.toString()"], "function toString() { [native code] }"],
  ],
  "enums and namespaces add up as in one file": [
    [["namespace N { export const a = 1 }", "namespace N { export const b = 2 }", "N.a + N.b"], 3],
    [["enum E { A }", "enum E { B = 1 }", "E.A + E.B + E[1]"], "1B"],
    [["enum E { A, Old }", "enum E { A, New }", "'Old' in E"], false],
    [["function N() { return 1 }", "namespace N { export const k = 2 }", "N() + N.k"], 3],
    [["class N { z = 1 }", "namespace N { export const k = 2 }", "new N().z + N.k"], 3],
    [["const N = 5", "namespace N { export const b = 2 }", "N.b"], 2],
  ],
};

const javascript: Record<string, Case[]> = {
  "as in Node's own REPL": [
    [["const c = 1; c = 2"], "TypeError: Assignment to constant variable."],
    [["var NS = NS || {}; NS.a = 1", "var NS = NS || {}; NS.b = 2; NS"], { a: 1, b: 2 }],
    [["function g() {}\nvar g = 1; g"], 1],
    [["var g = 1\nfunction g() {}\ntypeof g"], "number"],
    [["function f() { return 1 } function f() { return 2 }\nf()"], 2],
    [["with (Math) { cos(0) }"], 1],
    [["x = 010; x"], 8],
    [["'use strict'; notDeclared = 5"], "ReferenceError: notDeclared is not defined"],
    [["{ a: 1, b: 2 }"], { a: 1, b: 2 }],
    [["{ a: 1, b: 2 }.b"], 2],
    [["{ 'a': [1, 2] }['a'].map((x) => x + 1)"], [2, 3]],
  ],
  "a function in a block is the cell's, and its name can be declared anew": [
    [["if (true) { function g() { return 1 } }", "g()"], 1],
    [["if (true) { function g() { return 1 } }", "const g = 3", "g"], 3],
    [["{ function h() { return 2 } }", "let h = 4; h"], 4],
    [["typeof k; { k = 1; function k() {} }\ntypeof k"], "number"],
    [["if (false) { function n() {} }", "typeof n"], "undefined"],
    [["if (true) function one() { return 5 }\none()"], 5],
    [["switch (1) { case 1: function sw() { return 6 } }\nsw()"], 6],
    [["let m = 1; { function m() {} }\nm"], 1],
    [["{ let z = 1; { function z() {} } }\ntypeof z"], "undefined"],
    [["{ function rep() { return 1 } function rep() { return 2 } }\nrep()"], 2],
    [["'use strict'; { function st() {} }\ntypeof st"], "undefined"],
    [["(function () { { function deep() { return 7 } } return deep() })()"], 7],
  ],
};

function describeCases(all: Record<string, Case[]>, options: { javascript?: boolean }): void {
  for (const [title, cases] of Object.entries(all)) {
    describe(title, () => {
      for (const [cells, right] of cases) {
        it(cells.map((cell) => JSON.stringify(cell)).join(" --- "), async () => {
          const repl = new Repl(options);
          // Names stay in V8 from one test to the next, as far as this session's cells do not declare them anew.
          let shown: unknown;
          try {
            for (const [index, cell] of cells.entries()) {
              try {
                shown = await repl.run(cell);
              } catch (error) {
                shown = String((error as Error).message).split("\n")[0];
                if (index === cells.length - 1 && typeof right !== "string") throw error;
              }
            }
          } finally {
            repl.close();
          }
          if (right === "class") assert.equal(typeof shown, "function");
          else assert.deepEqual(shown, right, `${inspect(shown)} instead of ${inspect(right)}`);
        });
      }
    });
  }
}

describe("kernel: cells that went wrong once", () => {
  before(() => {
    // What a module of the process sees, which looks names up where cells' names are, too.
    let count = 0;
    Object.assign(globalThis, {
      probe: async (code: string) =>
        (await import(`data:text/javascript,export default ${encodeURIComponent(code)} // ${count++}`))
          .default,
    });
    // Node 20 has no Symbol.dispose on some versions: esbuild's helpers make one, and so does the kernel.
    for (const name of ["dispose", "asyncDispose"]) {
      if (!(name in Symbol)) Object.defineProperty(Symbol, name, { value: Symbol(`Symbol.${name}`) });
    }
  });
  after(() => {
    delete (globalThis as { probe?: unknown }).probe;
  });
  describe("TypeScript", () => describeCases(typescript, {}));
  describe("JavaScript", () => describeCases(javascript, { javascript: true }));

  it("a cell of a megabyte takes time in proportion", async () => {
    const cell = (count: number) =>
      `const big = [${Array.from({ length: count }, (_, i) => `{ a: ${i}, b: 'x${i}' }`).join(",")}]; big.length`;
    const time = async (count: number) => {
      const before = performance.now();
      await transformCell(cell(count), { name: "big" });
      return performance.now() - before;
    };
    await time(500);
    const small = await time(2500);
    const large = await time(25_000);
    // Ten times as much, and not a hundred times as long, on a machine that is busy with other things.
    assert.ok(large < 50 * Math.max(small, 10), `2,500 objects took ${small} ms, 25,000 took ${large} ms`);
  });
});
