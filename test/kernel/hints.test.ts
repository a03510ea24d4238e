// What to write instead of what people bring from other notebooks, shells and Python: and nothing for TypeScript.
import assert from "node:assert/strict";
import { hintForLine, insteadOfPythons } from "../../lib/kernel/cell/hints.ts";
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
});
