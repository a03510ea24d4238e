// What to write instead of what people bring from other notebooks, shells and Python: and nothing for TypeScript.
import assert from "node:assert/strict";
import { hintForLine, insteadOfPythons } from "../../lib/kernel/cell/hints.ts";
import { newerThan } from "../../lib/kernel/cell/newer.ts";
import { CellSyntaxError, transformCell } from "../../lib/kernel/cell/transform.ts";
import { cleaned } from "../../lib/kernel/types/diagnostics.ts";

describe("kernel: hints", () => {
  const habits: [line: string, hint: RegExp][] = [
    ["%timeit 1 + 1", /console\.time/],
    ["!pip install numpy", /execSync\("pip install numpy"/],
    ['echo "hi"', /shell command/],
    ["rm -rf out", /shell command/],
    ["display?", /Shift\+Tab/],
    ["cd ..", /process\.chdir\("\.\."\)/],
    ["for i in range(10):", /for \(const x of xs\)/],
    ["while True: pass", /while \(condition\)/],
    ["if x > 1: y = 2", /if \(condition\)/],
    ["x = [i for i in y]", /xs\.map/],
    ["d = (k for k, v in pairs)", /xs\.map/],
    ['print "hi"', /console\.log/],
    ['t = f"a{1}"', /\$\{value\}/],
    ["def f(x): return x", /function name/],
    ["import numpy as np", /import \* as name/],
    ["from numpy import array", /import \* as name/],
    ["[1, 2].map(x -> x + 1)", /=>: \(x\) => …/],
    ["let 5x = 3", /and 5x does not/],
    ["cosnt y = 3", /Did you mean const\?/],
    ["fucntion g() {}", /Did you mean function\?/],
    ["clas A {}", /Did you mean class\?/],
    ["awaitt load()", /Did you mean await\?/],
    ["thrwo 5", /Did you mean throw\?/],
    ["whiel (true) { }", /Did you mean while\?/],
    ["let s = 'it's'", /apostrophe/],
    ["let y = 5 if true else 6", /condition \? one : other/],
    ["x == 5 and y", /and is written &&/],
    ["const o = not x", /not is written !/],
  ];
  for (const [line, hint] of habits) {
    it(`for ${JSON.stringify(line)}, which is no TypeScript`, async () => {
      assert.match(hintForLine(line) ?? "", hint);
      await assert.rejects(
        transformCell(line, { name: "cell" }),
        (error) => error instanceof CellSyntaxError && hint.test(error.message),
      );
    });
  }
  it("none for lines of TypeScript that lack something", () => {
    for (const line of [
      "for (const x of xs",
      "const s = 'a or b",
      "if (a) { b: 1 } else {",
      "const o = { for: 1, in: [2 }",
      "while (true) x +",
      "class A { b: number",
      "export function f(a: string, b",
      "a-->b c",
      "type Point { x: number",
      "while x",
    ])
      assert.equal(hintForLine(line), undefined, line);
  });
  it("for functions of Python's, and for arithmetic that is a shell's command", () => {
    assert.match(insteadOfPythons("sorted") ?? "", /toSorted/);
    assert.equal(insteadOfPythons("toString"), undefined);
    const at = (source: string, code: number, message: string) =>
      cleaned(
        { line: 1, column: 1, endLine: 1, endColumn: 2, code, message, severity: "error" },
        source,
        () => false,
      ).message;
    assert.match(
      at("zip(a, b)", 2304, "Cannot find name 'zip'."),
      /been run\? Python's zip is here: xs\.map/,
    );
    assert.match(at("!ls -la", 2362, "The left-hand side is no number."), /execSync\("ls -la"/);
    assert.equal(at("!a * 2", 2362, "The left-hand side is no number."), "The left-hand side is no number.");
  });
  it("for a value of what a name was before it was declared anew", () => {
    const said = (code: number, message: string, earlier = true) =>
      cleaned(
        { line: 1, column: 1, endLine: 1, endColumn: 2, code, message, severity: "error" },
        "f(x)",
        () => earlier,
      ).message;
    const anew = / Net has been declared anew, .* run again the cells that use it\.$/;
    for (const [code, message] of [
      [2741, "Property 'b' is missing in type 'Net' but required in type 'Net'."],
      [2739, "Type 'Net' is missing the following properties from type 'Net': a, b"],
      [2345, "Argument of type 'Net.Red' is not assignable to parameter of type 'Net'."],
      [2322, "Type 'Net[]' is not assignable to type 'Net[]'.\n  Type 'Net' is missing 'b'."],
      [2345, "Argument of type 'Net<number>' is not assignable to parameter of type 'Net<number>'."],
      [
        2322,
        "Type 'number' is not assignable to type 'string'.\n  Type 'Net' is not assignable to type 'Net'.",
      ],
    ] as const) {
      assert.match(said(code, message), anew, message);
      assert.equal(said(code, message, false), message);
    }
    for (const message of [
      "Type 'Net' is not assignable to type 'Nets'.",
      "Type 'Net' is not assignable to type 'A'.\n  Type 'Net' is not assignable to type 'B'.",
      "Property 'Net' is missing in type 'A' but required in type 'B'.",
    ])
      assert.equal(said(2322, message), message);
  });
  it("for what a newer Node has, and only there", () => {
    const old = (message: string) => newerThan("20.20.2", message);
    assert.equal(old("Temporal is not defined"), "Temporal is there from Node 26 on; this is Node 20.20.2");
    assert.match(old("Object.groupBy is not a function") ?? "", /^Object\.groupBy .* 22 on/);
    assert.match(old("(intermediate value).union is not a function") ?? "", /^a Set's \.union\(\) .* 22 on/);
    assert.match(
      old("fib(...).take is not a function or its return value is not iterable") ?? "",
      /an iterator's/,
    );
    assert.match(newerThan("24.1.0", "left.m.getOrInsert is not a function") ?? "", /^a Map's .* 26 on/);
    for (const message of [
      "x is not defined",
      "xs.map is not a function",
      "net.groupBy is not a function",
      "union",
    ])
      assert.equal(old(message), undefined, message);
    assert.equal(newerThan("26.10.0", "Temporal is not defined"), undefined);
    assert.equal(newerThan("22.1.0", "Object.groupBy is not a function"), undefined);
    // Each of them is as said on the Node that runs this.
    const [major] = process.versions.node.split(".");
    for (const [name, release] of [
      ["Temporal", 26],
      ["Float16Array", 24],
      ["Iterator", 22],
    ] as const)
      assert.equal(name in globalThis, Number(major) >= release, `${name} in Node ${major}`);
    for (const [of, name, release] of [
      [Set, "union", 22],
      [Map, "getOrInsert", 26],
      [Uint8Array, "toHex", 26],
      [DataView, "getFloat16", 24],
    ] as const)
      assert.equal(name in of.prototype, Number(major) >= release, `${name} in Node ${major}`);
    for (const [of, name, release] of [
      [Object, "groupBy", 22],
      [Promise, "try", 24],
      [RegExp, "escape", 24],
    ] as const)
      assert.equal(name in of, Number(major) >= release, `${name} in Node ${major}`);
  });
});
