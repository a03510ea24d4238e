// What a cell does, whichever kernel runs it: one table for the kernel on Node and the kernel in a browser.
import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import type { ExecuteResult } from "../../lib/kernel/client.ts";

/** What a cell must come to: its result as text, no result (null), or one of these. */
export type Expected =
  | string
  | RegExp
  | null
  | { stdout: string }
  | { error: string; says?: RegExp; traceback?: RegExp }
  | { data: Record<string, unknown>[] };

export interface Case {
  name: string;
  cells: [code: string, expected?: Expected][];
  /** Why a kernel is left out. */
  notIn?: { node?: string; firefox?: string };
}

/** Ways to declare one name. */
const declarations: Record<string, string> = {
  let: "let X = 'let'",
  const: "const X: string = 'const'",
  var: "var X = 'var'",
  "nested var": "if (true) { var X = 'nested var' }",
  function: "function X(a?: number) { return a }",
  class: "class X<T> { declare t: T }",
  "abstract class": "export abstract class X { abstract m(): void }",
  import: "import X from 'tslab'",
  destructured: "const { X, ...others } = { X: 'destructured' }",
};

const kindOf: Record<string, string> = { function: "'function'", class: "'function'", import: "'object'" };

function redeclarations(): Case[] {
  return Object.keys(declarations).map((before) => ({
    name: `a ${before} is redeclared as anything`,
    cells: Object.keys(declarations).flatMap((after): Case["cells"] => {
      const name = `n_${before}_${after}`.replaceAll(" ", "");
      const named = (code: string) => code.replaceAll(/\bX\b/g, name);
      return [
        [`// @ts-nocheck\n${named(declarations[before])}`],
        [`// @ts-nocheck\n${named(declarations[after])}`],
        [`typeof ${name}`, kindOf[after.replace("abstract ", "")] ?? "'string'"],
      ];
    }),
  }));
}

export const cases: Case[] = [
  // ---- Results -------------------------------------------------------------------------------------------------------
  {
    name: "the last expression is the result",
    cells: [
      ["1 + 1", "2"],
      ["const ra: number = 3;\nra * 2", "6"],
      ["ra;", "3"],
      ['"hello"', "'hello'"],
      ["'use strict'", "'use strict'"],
      ["await Promise.resolve(7)", "7"],
      ["ra as unknown satisfies unknown", "3"],
      ["ra!", "3"],
      ["export default ra + 1", "4"],
      ["export default { a: ra }", "{ a: 3 }"],
      ["if (ra > 2) { 'large' } else { 'small' }", "'large'"],
      ["await (await Promise.resolve(ra))", "3"],
      ["ra, ra + 1", "4"],
      ["// first\nra // last", "3"],
      ["let rz = 2\n;[1, 2, 3][rz]", "3"],
    ],
  },
  {
    name: "other cells show nothing",
    cells: [
      "const rb = 1",
      "1; const rc = 2",
      "function rf() {}",
      "for (const i of [1]) i",
      "",
      "  \n",
      "// a comment",
      "type T = 1",
      "undefined",
      "{}",
    ].map((code) => [code, null]),
  },
  {
    name: "an object literal alone is a value",
    cells: [
      ["({ a: 1 })", "{ a: 1 }"],
      ["// @ts-nocheck\n{ a: 1, b: [2] }", "{ a: 1, b: [ 2 ] }"],
      ["// @ts-nocheck\n{\n  a: 1,\n}", "{ a: 1 }"],
      ["{ a: 1, b: 2 };", "{ a: 1, b: 2 }"],
      ["{ 'a': 1 }; // and no more;", "{ a: 1 }"],
      ["{ let q = 3; q };", "3"],
    ],
  },
  {
    name: "a result that is a promise is shown when it comes",
    cells: [
      ["Promise.resolve([1, 2])", "[ 1, 2 ]"],
      ["new Promise((r) => setTimeout(r, 5, 'late'))", "'late'"],
      ["Promise.reject(new RangeError('no'))", { error: "RangeError" }],
      ["({ then: 1, a: 2 })", "{ then: 1, a: 2 }"],
      ["let called = 0; ({ then() { called++ } }); 1", "1"],
      ["({ then() { called++ } })", /then/],
      ["called", "0"],
    ],
  },
  {
    name: "values as text",
    cells: [
      ["[1, , 3]", "[ 1, <1 empty item>, 3 ]"],
      ["new Map([['a', new Set([1])]])", "Map(1) { 'a' => Set(1) { 1 } }"],
      ["10n ** 20n", "100000000000000000000n"],
      ["[NaN, -0, Infinity]", "[ NaN, -0, Infinity ]"],
      ["Symbol('s')", "Symbol(s)"],
      ["null", "null"],
      ["new Float32Array([1, 2])", "Float32Array(2) [ 1, 2 ]"],
      ["class Shape { sides = 3 }; new Shape()", "Shape { sides: 3 }"],
      ["'剪枝 🙂'", "'剪枝 🙂'"],
      ["() => 1", "[Function (anonymous)]"],
    ],
  },
  // ---- Names across cells --------------------------------------------------------------------------------------------
  {
    name: "names stay, and may be declared again as something else",
    cells: [
      ["let kept = 1; const fixed = 'a'; class Shape2 { sides = 3 }; function f() { return 1 }"],
      ["kept += 1"],
      ["kept", "2"],
      ["const kept = 'now text'; let fixed = [1]; class Shape2 { sides = 4 }; const f = () => 2;"],
      ["[kept, fixed, new Shape2().sides, f()]", "[ 'now text', [ 1 ], 4, 2 ]"],
    ],
  },
  ...redeclarations(),
  {
    name: "closures see later assignments and redefinitions",
    cells: [
      ["let ca = 1; const readA = () => ca"],
      ["ca = 5"],
      ["readA()", "5"],
      ["function twice(n: number) { return n * 2 } function four(n: number) { return twice(twice(n)) }"],
      ["function twice(n: number) { return n * 3 }"],
      ["four(1)", "9"],
      [
        "function fib(n: number): number { calls++; return n < 2 ? n : fib(n - 1) + fib(n - 2) }\nlet calls = 0",
      ],
      [
        "// @ts-nocheck\nconst memo = new Map(); const slow = fib;\nfib = (n) => { if (!memo.has(n)) memo.set(n, slow(n)); return memo.get(n) }",
      ],
      ["fib(30); calls", "31"],
    ],
  },
  {
    name: "mutual recursion over cells",
    cells: [
      ["// @ts-nocheck\nfunction even(n) { return n === 0 || odd(n - 1) }"],
      ["// @ts-nocheck\nfunction odd(n) { return n > 0 && even(n - 1) }"],
      ["// @ts-nocheck\n[even(10), odd(7)]", "[ true, true ]"],
    ],
  },
  {
    name: "what was declared before a failure is there",
    cells: [
      ["let before = 1; throw new Error('x'); let after = 2;", { error: "Error" }],
      ["before", "1"],
    ],
  },
  {
    name: "a declaration without a value begins anew",
    cells: [["let again = 5"], ["let again: number | undefined;\nagain === undefined", "true"]],
  },
  {
    name: "globals of the place are not taken from packages",
    cells: [
      ["const performance = 'good'; class Event<T> { static made = 0; constructor(of: T) { Event.made++ } }"],
      ["performance", "'good'"],
      ["new Event(1); Event.made", "1"],
      ["typeof globalThis.performance.now", "'function'"],
      ["const URL = 5; (URL => URL * 2)(4) + [1].map((URL) => ({ URL }).URL)[0] + ({ URL }).URL", "14"],
      ["URL", "5"],
      ["typeof globalThis.URL", "'function'"],
      ["let name = 'mine'; const self2 = { name }; self2.name", "'mine'"],
    ],
  },
  // ---- Functions and classes -----------------------------------------------------------------------------------------
  {
    name: "functions can be called above their declaration",
    cells: [["const ha = above(2);\nfunction above<T>(a: T): T { return a }\nha", "2"]],
  },
  {
    name: "functions keep their names, overloads, generators and async",
    cells: [
      [
        "function ov(a: string): string;\nfunction ov(a: number): number;\nfunction ov(a: any) { return a }\nov(3)",
        "3",
      ],
      ["export async function* gen() { yield 4 }\ngen.name + (await gen().next()).value", "'gen4'"],
      ["export default function dflt() { return 1 }\ndflt()", "1"],
    ],
  },
  {
    name: "classes have private members, statics, accessors and heirs",
    cells: [
      [
        "class Base { #secret = 41; static count = 0; get value() { return this.#secret + 1 } static { Base.count = 7 } }",
      ],
      ["class Heir extends Base { override get value() { return super.value * 2 } }"],
      ["[new Heir().value, Base.count, Heir.name, new Heir() instanceof Base]", "[ 84, 7, 'Heir', true ]"],
    ],
  },
  {
    name: "vars and functions are properties of the global object, as a script's are",
    cells: [
      ["var viaVar = 5; function viaName() { return viaVar }", null],
      ["const g = globalThis as any; [g.viaVar, g.viaName()]", "[ 5, 5 ]"],
      ["g.viaVar = 9; viaVar++; [viaVar, g.viaVar, viaName()]", "[ 10, 10, 10 ]"],
    ],
  },
  // ---- Statements ----------------------------------------------------------------------------------------------------
  {
    name: "var in loops and blocks, repeated var, patterns",
    cells: [
      [
        "for (var vi = 0, vj = 10; vi < 3; vi++) { var vk: number = vi }\nfor /* a comment */ (var vo of [4, 5]) ;\nfor (var vp in { q: 1 }) ;\n[vi, vj, vk!, vo!, vp!]",
        "[ 3, 10, 2, 5, 'q' ]",
      ],
      ["var { a: vs, b: [vt = 9] } = { a: 1, b: [] as number[] };\n[vs, vt]", "[ 1, 9 ]"],
    ],
  },
  {
    name: "let in a loop is one for each turn",
    cells: [
      [
        "const fs: (() => number)[] = []; for (let i = 0; i < 3; i++) fs.push(() => i); fs.map((f) => f())",
        "[ 0, 1, 2 ]",
      ],
    ],
  },
  {
    name: "destructuring with defaults, rest and nesting",
    cells: [
      [
        "const { da, de: { df = 4 } = {} as { df?: number }, ...dr } = { da: 1, dg: 2, dh: 3 }; [da, df, dr]",
        "[ 1, 4, { dg: 2, dh: 3 } ]",
      ],
      ["const [di, , ...dj] = [1, 2, 3, 4]; [di, dj]", "[ 1, [ 3, 4 ] ]"],
    ],
  },
  {
    name: "labels, switch, try and for await",
    cells: [
      [
        "let steps = 0; outer: for (;;) { for (;;) { if (++steps === 3) break outer; continue outer } }\nsteps",
        "3",
      ],
      [
        "async function* ticks() { for (let i = 0; i < 3; i++) { await null; yield i } }\nlet sum = 0; for await (const i of ticks()) sum += i; sum",
        "3",
      ],
      ["let tried = ''; try { throw 1 } catch { tried += 'c' } finally { tried += 'f' }\ntried", "'cf'"],
    ],
  },
  {
    name: "cells are strict",
    cells: [
      ["(function (this: unknown) { return this === undefined })()", "true"],
      ["// @ts-nocheck\nundeclared = 1", { error: "ReferenceError" }],
    ],
  },
  {
    name: "line ends that end statements",
    cells: [
      ["let x1 = [1] as any\n;[2].map((n) => n)", "[ 2 ]"],
      ["let x2 = 1\nlet x3 = x2 + 1\nx3", "2"],
      ["if (x2 > 0) x3 as number\n;[x3]", "[ 2 ]"],
      ["if (x2 > 0) { x3 as number\n} else { 0 }", "2"],
      ["try { x3 as number } finally {}", "2"],
      ["switch (x3) { case 2: 'two'; break; default: 'other' }", "'two'"],
    ],
  },
  // ---- Waiting -------------------------------------------------------------------------------------------------------
  {
    name: "awaits at the top level",
    cells: [
      ["const late = await new Promise<number>((r) => setTimeout(r, 10, 7)); late", "7"],
      ["let seen = 0; for (const p of [1, 2].map((n) => Promise.resolve(n))) seen += await p; seen", "3"],
      [
        "const parts = { a: await Promise.resolve(1), b: [await Promise.resolve(2)] }; parts",
        "{ a: 1, b: [ 2 ] }",
      ],
      ["(await Promise.all([1, Promise.resolve(2)])).length", "2"],
    ],
  },
  {
    name: "a cell may start what later cells wait for",
    cells: [
      ["let done = false; const work = new Promise<void>((r) => setTimeout(() => { done = true; r() }, 20))"],
      ["await work; done", "true"],
    ],
  },
  // ---- Types ---------------------------------------------------------------------------------------------------------
  {
    name: "types go away",
    cells: [
      ["interface Point { x: number; y: number }\ntype Pair<T> = [T, T]"],
      ["const p: Point = { x: 1, y: 2 }; const pair: Pair<string> = ['a', 'b']; p.x + pair[1]", "'1b'"],
      ["const id = <T,>(x: T): T => x; id<number>(4)", "4"],
      ["const frozen = { a: 1 } as const satisfies { a: number }; frozen.a!", "1"],
      ["function isText(x: unknown): x is string { return typeof x === 'string' }\nisText('a')", "true"],
      ["declare const nothing: number; abstract class Ab { abstract a: number }; typeof Ab", "'function'"],
    ],
  },
  {
    name: "enums, namespaces with values, parameter properties",
    cells: [
      ["enum Ea { A, B = 'b' }\n[Ea.A, Ea.B, Ea[0]]", "[ 0, 'b', 'A' ]"],
      ["Ea.A", "0"],
      ["class Cn { static a = 1 }\nnamespace Cn { export const b = 2 }\nCn.a + Cn.b", "3"],
      [
        "class Ca { accessor v = 1; static a = 1 }\nnamespace Ca { export const b = Ca.a + 1 }\nnew Ca().v + Ca.b",
        "3",
      ],
      [
        "class Pp { constructor(private readonly x: number, public y = x) {} sum() { return this.x + this.y } }\nnew Pp(2).sum()",
        "4",
      ],
    ],
  },
  {
    name: "decorators, accessors and using",
    cells: [
      [
        "function add(n: number) { return (_: undefined, __: ClassFieldDecoratorContext) => (v: number) => v + n }",
      ],
      [
        "function tag(text: string) { return (made: any, _: unknown) => { made.tag = text } }\n@tag('a') export class Ta { }\n(Ta as any).tag",
        "'a'",
      ],
      ["export default @tag('b') class Tb { }\n(Tb as any).tag + Tb.name", "'bTb'"],
      ["export @tag('c') class Tc { }\n(Tc as any).tag", "'c'"],
      ["class D1 { @add(1) v = 1 }\nclass D2 { @add(100) v = 1; accessor w = 7 }"],
      ["[new D1().v, new D2().v, new D2().w]", "[ 2, 101, 7 ]"],
      [
        "{ using r = { [Symbol.dispose]() { console.log('gone') } }; console.log('in') }",
        { stdout: "in\ngone\n" },
      ],
    ],
  },
  {
    name: "what a compiler makes of a cell: later cells go on with it, errors stay in place, nothing of its own is left",
    cells: [
      ["enum Color { Red, Green = 5 }\nColor.Green", "5"],
      ["enum Color { Blue = 9 }\n[Color.Red, Color.Blue]", "[ 0, 9 ]"],
      ["const enum Bits { A = 1 << 3 }\nBits.A", "8"],
      ["namespace Geo { export const pi = 3 }\nnamespace Geo { export const tau = 2 * pi }\nGeo.tau", "6"],
      ["const waited = await Promise.resolve(2); enum Aw { X = 4 }\nwaited + Aw.X", "6"],
      ["let outer = 1; enum Q { A }\n(() => { enum Inner { B = 3 } return Inner.B + Q.A + outer })()", "4"],
      ["const asserted = <number>(<unknown>5); asserted + 1", "6"],
      [
        "function same<T extends new (...a: any[]) => any>(v: T, _: ClassDecoratorContext) { return v }\n@same class Es { static made = new Es() }\n[Es.name, Es.made instanceof Es]",
        "[ 'Es', true ]",
      ],
      ["enum Bad { A = }", { error: "SyntaxError", traceback: /line 1, column 16/ }],
      [
        "\n\nenum Err { A }\nfunction fails(a: any) {\n  return a.b();\n}\nfails({})",
        { error: "TypeError", traceback: /line 5, column \d+[\s\S]*at fails \(Cell \[\d+\]:5/ },
      ],
      ["Object.keys(globalThis).filter((name) => /^__|^env_|^_/.test(name) && name !== '_')", "[]"],
    ],
  },
  {
    name: "interfaces of the language take what cells add to them",
    cells: [
      [
        "interface Array<T> { final(): T }\nArray.prototype.final = function () { return this[this.length - 1] }\nnull",
        "null",
      ],
      ["[1, 2, 3].final().toFixed(1)", "'3.0'"],
      [
        "interface String { shout(): string }; String.prototype.shout = function () { return this.toUpperCase() }; 'x'.shout()",
        "'X'",
      ],
      ["interface Date { day: number }\nconst when: Date = { day: 3 }; when.day", "3"],
      ["interface Map { rows: number }\nconst land: Map = { rows: 4 }; land.rows", "4"],
      ["new Date(0).getTime() + new Map([[1, 2]]).size", "1"],
    ],
  },
  // ---- Imports -------------------------------------------------------------------------------------------------------
  {
    name: "imports of every form",
    cells: [
      ["import * as tslab from 'tslab';\ntypeof tslab.display.html", "'function'"],
      [
        "import def, { newDisplay as made } from 'tslab';\ntypeof made + typeof def.newDisplay",
        "'functionfunction'",
      ],
      ["typeof (await import('tslab')).display", "'object'"],
      ["import required = require('tslab'); typeof required.newDisplay", "'function'"],
      ["// @ts-nocheck\nimport type { X7 } from './nowhere.ts'; 7", "7"],
      ["// @ts-nocheck\nimport { value } from 'data:text/javascript,export const value = 3';\nvalue", "3"],
      ["export { newDisplay } from 'tslab'; export * as all from 'tslab'; 9", "9"],
      ["typeof import.meta.url", "'string'"],
    ],
  },
  {
    name: "imports of one's own modules are what the module has now",
    cells: [
      [
        `// @ts-nocheck
import { n, more, say, default as first } from 'data:text/javascript,export let n = 0; export const more = () => ++n; export let say = () => "early"; export const hear = (f) => { say = f }; export { n as default }'
import * as all from 'data:text/javascript,export let n = 0; export const more = () => ++n; export let say = () => "early"; export const hear = (f) => { say = f }; export { n as default }'
more(), [n, first, { n }]`,
        "[ 1, 1, { n: 1 } ]",
      ],
      ["// @ts-nocheck\nconst readN = () => String(n); more(); [n, all.n, readN()]", "[ 2, 2, '2' ]"],
      ["// @ts-nocheck\nall.hear(() => 'late'); say()", "'late'"],
      ["// @ts-nocheck\nn = 5", { error: "TypeError", says: /constant/ }],
      ["// @ts-nocheck\nn()", { error: "TypeError", says: /^n is not a function$/ }],
      ["// @ts-nocheck\nlet n = 'mine'; more(); [n, first, readN()]", "[ 'mine', 3, 'mine' ]"],
    ],
  },
  {
    name: "functions that were declared before an import see what its module has now, too",
    cells: [
      [
        "// @ts-nocheck\nfunction before() { return counted } const arrow = () => counted; class Before { at = counted }",
        null,
      ],
      [
        "// @ts-nocheck\nimport { counted, count } from 'data:text/javascript,export let counted = 0; export const count = () => ++counted'; count()",
        "1",
      ],
      ["// @ts-nocheck\ncount(); [before(), arrow(), new Before().at]", "[ 2, 2, 2 ]"],
      [
        "// @ts-nocheck\nimport { counted, count } from 'data:text/javascript,export let counted = 10; export const count = () => ++counted'; count(); enum Compiled { A } before()",
        "11",
      ],
      ["// @ts-nocheck\nvar counted; [counted, before()]", "[ undefined, undefined ]"],
      ["// @ts-nocheck\nlet counted = 'mine'; [counted, before(), arrow()]", "[ 'mine', 'mine', 'mine' ]"],
      [
        "// @ts-nocheck\nimport { counted } from 'data:text/javascript,export let counted = 20'; [counted, before()]",
        "[ 20, 20 ]",
      ],
      ["// @ts-nocheck\nvar counted = 30; [before(), globalThis.counted]", "[ 30, 30 ]"],
      ["// @ts-nocheck\nfunction counted() {} typeof before()", "'function'"],
    ],
  },
  {
    name: "imports of what is not there say so",
    cells: [
      ["// @ts-nocheck\nimport nothing from 'no-such-package'", { error: "/./", says: /no-such-package/ }],
      ["// @ts-nocheck\nimport nowhere from './nowhere.mjs'", { error: "/./", says: /nowhere\.mjs/ }],
    ],
  },
  // ---- Errors --------------------------------------------------------------------------------------------------------
  {
    name: "an error names cell, line and column in TypeScript's own terms",
    notIn: { firefox: "says the column of the statement for what fails inside it" },
    cells: [
      [
        "interface Long {\n  a: string;\n}\nfunction inner(x: any): Long {\n  return x.b.c;\n}\ninner({});",
        {
          error: "TypeError",
          traceback:
            /Cell \[\d+\], line 5, column 14[\s\S]*> 5 \| {3}return x\.b\.c;[\s\S]*at inner \(Cell \[\d+\]:5:14\)\n\s+at Cell \[\d+\]:7:1$/,
        },
      ],
      ["await null;\nthrow new RangeError('late')", { error: "RangeError", traceback: /line 2, column \d+/ }],
    ],
  },
  {
    name: "an error in an earlier cell's function names both cells",
    cells: [
      ["function breaks(): never {\n  throw new EvalError('here');\n}"],
      [
        "const unused = 1;\nbreaks();",
        { error: "EvalError", traceback: /at breaks \(Cell \[\d+\]:2:\d+\)\n\s+at Cell \[\d+\]:2:1$/ },
      ],
    ],
  },
  {
    name: "syntax errors point at the place",
    cells: [
      ["let a = 1;\nlet b = = 2;", { error: "SyntaxError", traceback: /line 2, column 9/ }],
      ["function f() { await 1 }", { error: "SyntaxError", says: /await works in an async function/ }],
      ["return 1", { error: "SyntaxError", says: /return works inside a function only/ }],
      ["let s = 'open", { error: "SyntaxError", says: /no closing quote/ }],
    ],
  },
  {
    name: "causes and aggregates are told",
    cells: [
      [
        "throw new Error('outer', { cause: new TypeError('inner') })",
        {
          error: "Error",
          traceback: /outer[\s\S]*caused by:\n {2}TypeError: inner|caused by:\n\s*TypeError: inner/,
        },
      ],
      [
        "throw new AggregateError([new Error('one'), new Error('two')], 'all')",
        { error: "AggregateError", traceback: /one[\s\S]*two/ },
      ],
    ],
  },
  {
    name: "calls without end are written once",
    cells: [
      [
        "function again(n: number): number { return again(n + 1) + 1 }\nagain(0)",
        {
          error: "/./",
          says: /call stack|recursion/,
          traceback:
            /\[[\d.]+\]:1:\d+\)\n\s+at again \(Cell \[[\d.]+\]:1:\d+\)\n\s+… and so on$|at again [^\n]+\n\s+… and so on$/,
        },
      ],
      [
        "const even = (n: number): boolean => odd(n + 1)\nconst odd = (n: number): boolean => even(n + 1)\neven(1)",
        {
          error: "/./",
          says: /call stack|recursion/,
          traceback: /at (even|odd) [^\n]+\n\s+at (even|odd) [^\n]+\n\s+… and so on$/,
        },
      ],
    ],
  },
  {
    name: "results are there again",
    cells: [
      ["1 + 1", "2"],
      ["'two'", "'two'"],
      ["[_, __, ___]", /^\[ 'two', 2, /],
      ["Out[Number(Object.keys(Out).at(-3))]", "2"],
      ["const _ = 5, __ = 6; _ + __", "11"],
      ["[_, __]", "[ 5, 6 ]"],
    ],
  },
  {
    name: "thrown values that are no errors",
    cells: [
      ["throw 42", { error: "Uncaught", says: /^42$/, traceback: /Cell \[\d+\], line 1, column \d+/ }],
      [
        "function refuse(): never {\n  throw 'no'\n}\n\nrefuse()",
        { error: "Uncaught", traceback: /line 2, column \d+[\s\S]*at refuse \([^\n]*\n\s+at Cell \[\d+\]:5/ },
      ],
      ["throw 'text'", { error: "Uncaught", says: /^'text'$/ }],
      ["throw null", { error: "Uncaught", says: /^null$/ }],
      ["throw { a: 1 }", { error: "Uncaught", says: /^\{ a: 1 \}$/ }],
      ["class Mine extends Error {}; throw new Mine('x')", { error: "Mine" }],
      [
        "throw new Proxy({}, { get() { throw new Error('no'); }, getPrototypeOf() { throw new Error('no'); } })",
        { error: "/./" },
      ],
      ["throw { get stack() { throw 1 }, get message() { throw 2 } }", { error: "/./" }],
      ["1 + 1", "2"],
    ],
  },
  {
    name: "what nobody catches ends the cell, not the kernel",
    cells: [
      ["Promise.reject(new TypeError('nobody')); 1", { error: "TypeError" }],
      [
        "setTimeout(() => { throw new RangeError('timer') }, 5); await new Promise(() => {})",
        { error: "RangeError" },
      ],
      ["process.exit(3)", { error: "SystemExit" }],
      ["try { process.exit(3) } catch {}; 'caught'", { error: "SystemExit" }],
      [
        "queueMicrotask(() => { throw new EvalError('soon') }); await new Promise((r) => setTimeout(r, 20))",
        { error: "EvalError" },
      ],
      ["'alive'", "'alive'"],
    ],
  },
  // ---- Output --------------------------------------------------------------------------------------------------------
  {
    name: "the console prints, in order",
    cells: [
      [
        "console.log('a', 1, { b: [2] }); console.info('%s is %d', 'x', 3)",
        { stdout: "a 1 { b: [ 2 ] }\nx is 3\n" },
      ],
      [
        "for (let i = 0; i < 1000; i++) console.log(i)",
        { stdout: Array.from({ length: 1000 }, (_, i) => `${i}\n`).join("") },
      ],
      [
        "console.group('g'); console.log('in'); console.groupEnd(); console.log('out')",
        { stdout: "g\n  in\nout\n" },
      ],
      ["process.stdout.write('no line end'); undefined", { stdout: "no line end" }],
    ],
  },
  {
    name: "display shows what an object says of itself, and updates it",
    cells: [
      [
        "display({ [Symbol.for('Jupyter.display')]: () => ({ 'text/html': '<b>bold</b>', 'text/plain': 'bold' }) }); ({ async [Symbol.for('Jupyter.display')]() { return { 'text/markdown': '*late*' } } })",
        { data: [{ "text/html": "<b>bold</b>", "text/plain": "bold" }, { "text/markdown": "*late*" }] },
      ],
      [
        "display.html('<i>x</i>'); display.markdown('*m*'); display.text('t'); undefined",
        { data: [{ "text/html": "<i>x</i>" }, { "text/markdown": "*m*" }, { "text/plain": "t" }] },
      ],
      ["const shown = display('one'); shown.update('two'); undefined", { data: [{ "text/plain": "'two'" }] }],
      ["console.log('gone'); display.clear({ wait: true }); console.log('stays')", { stdout: "stays\n" }],
      ["display(Promise.resolve(5)); undefined", { data: [{ "text/plain": "5" }] }],
    ],
  },
  {
    name: "what no message holds is refused where it is made",
    cells: [
      [
        "display({ 'application/json': 1n }, { raw: true })",
        { error: "/./", says: /application\/json|BigInt/ },
      ],
      ["comms.open('x', { f: () => 1 })", { error: "/./" }],
      ["'alive'", "'alive'"],
    ],
  },
  {
    name: "tslab's notebooks find their API",
    cells: [
      [
        "import * as lab from 'tslab';\nlab.display.html('<i>html</i>');\nconst entry = lab.newDisplay(); entry.text('old'); entry.text('new');",
        { data: [{ "text/html": "<i>html</i>" }, { "text/plain": "new" }] },
      ],
    ],
  },
];

/** Runs a case's cells and holds each against what it must come to. */
export async function runCase(
  { cells }: Case,
  execute: (code: string) => Promise<ExecuteResult>,
): Promise<void> {
  for (const [code, expected] of cells) {
    const result = await execute(code);
    const told = `${code}\n→ ${JSON.stringify(result.outputs)}`;
    if (expected !== null && typeof expected === "object" && "error" in expected) {
      holdError(result, expected, told);
      continue;
    }
    assert.equal(result.status, "ok", told);
    if (expected !== undefined) holdOutputs(result, expected, told);
  }
}

function holdOutputs(
  { outputs }: ExecuteResult,
  expected: Exclude<Expected, { error: string }>,
  told: string,
) {
  const shown = outputs.find((one) => one.output_type === "execute_result")?.data["text/plain"];
  if (typeof expected === "string") assert.equal(shown, expected, told);
  else if (expected instanceof RegExp) assert.match(String(shown), expected, told);
  else if (expected === null) assert.deepEqual(outputs, [], told);
  else if ("stdout" in expected) {
    const printed = outputs.map((one) => (one.output_type === "stream" ? one.text : "")).join("");
    assert.equal(printed, expected.stdout, told);
  } else {
    const data = outputs.map((one) => ("data" in one ? one.data : one));
    assert.deepEqual(data, expected.data, told);
  }
}

function holdError(
  { status, outputs }: ExecuteResult,
  { error, says, traceback }: Extract<Expected, { error: string }>,
  told: string,
) {
  const found = outputs.find((one) => one.output_type === "error");
  assert.ok(status === "error" && found?.output_type === "error", `an error was expected: ${told}`);
  if (error !== "/./") assert.equal(found.ename, error, told);
  if (says) assert.match(found.evalue, says, told);
  if (traceback) {
    const text = stripVTControlCharacters(found.traceback.join("\n"));
    assert.match(text, traceback, text);
    assert.doesNotMatch(text, /node:|kernel\/|worker\.js|cells\.js/, "the kernel's own frames are no help");
  }
}
