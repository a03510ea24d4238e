import assert from "node:assert/strict";
import { type CheckResult, check, checkMime, expectClose, expectEqual } from "../../lib/classroom/index.ts";

const bundleOf = (result: CheckResult) =>
  (result as never as { [key: symbol]: () => Record<string, string> })[Symbol.for("Jupyter.display")]();

describe("exercises that check themselves", () => {
  it("show what is right and what is not yet, and throw nothing", () => {
    const result = check("3.1.1-a", {
      right: () => expectClose(1, 1),
      wrong: () => expectEqual(1, 2, "the <rank>"),
      crash: () => (undefined as unknown as string).length,
    }) as CheckResult;
    assert.equal(result.passed, false);
    assert.deepEqual(
      result.cases.map(({ passed }) => passed),
      [true, false, false],
    );
    const bundle = bundleOf(result);
    assert.match(
      bundle["text/plain"],
      /^✗ 3\.1\.1-a: not yet\n {2}✓ right\n {2}✗ wrong: the <rank> should be 2, got 1\n {2}✗ crash: TypeError: /,
    );
    assert.match(bundle["text/html"], /the &lt;rank&gt; should be 2/);
    assert.deepEqual((bundle[checkMime] as unknown as CheckResult).passed, false);
  });

  it("show an assertion's hint and what the reader had, not the answer", () => {
    const messageOf = (test: () => unknown) => (check("a", test) as CheckResult).cases[0].message;
    assert.equal(
      messageOf(() => assert.equal(3, 16_781_312, "a bias for each output")),
      "a bias for each output (got 3)",
    );
    assert.equal(
      messageOf(() => assert.equal("?", "pruning", "what gets smaller?")),
      'what gets smaller? (got "?")',
    );
    assert.equal(
      messageOf(() => assert.deepEqual([], ["3.1.2"], "which have fewer MACs?")),
      "which have fewer MACs?",
    );
    assert.equal(
      messageOf(() => assert.ok(false, "96 % so far\nand more to come")),
      "96 % so far\nand more to come",
    );
    assert.match(
      messageOf(() => assert.equal(1, 2)),
      /1 !== 2/,
    );
  });

  it("0 and -0 are one number, NaN is itself", () => {
    const passes = (test: () => unknown) => (check("a", test) as CheckResult).passed;
    assert.ok(passes(() => expectEqual([-0, Math.round(-0.4), 0], [0, 0, -0])));
    assert.ok(passes(() => expectEqual(-0, 0)));
    assert.ok(passes(() => expectEqual([Number.NaN], [Number.NaN])));
    for (const wrong of [null, "", false, undefined, 0n, [0]])
      assert.ok(!passes(() => expectEqual(wrong, 0)));
  });

  it("take one function, false for not yet, and promises", async () => {
    assert.equal((check("a", () => {}) as CheckResult).passed, true);
    assert.equal((check("a", () => false) as CheckResult).passed, false);
    const later = check("b", {
      now: () => true,
      later: async () => Promise.reject(new Error("no, not yet")),
    });
    assert.ok(later instanceof Promise);
    const { passed, cases } = await later;
    assert.equal(passed, false);
    assert.deepEqual(
      cases.map(({ name, message }) => [name, message]),
      [
        ["now", ""],
        ["later", "no, not yet"],
      ],
    );
    assert.throws(() => check("c", {}), /check\("c", tests\) needs a function/);
    assert.throws(() => check("c", 5 as never), /needs a function/);
  });

  it("say by how much and where numbers differ", () => {
    expectClose(new Float32Array([1, 2]), [1, 2 + 1e-7]);
    assert.throws(
      () => expectClose(1 / 3, 0.5, 0.01, "the rate"),
      /the rate should be 0\.5 \(within 0\.01\), got 0\.333333/,
    );
    assert.throws(() => expectClose(Number.NaN, 1), /should be 1 .* got NaN/);
    assert.throws(() => expectClose("1" as never, 1), /should be a number, got "1"/);
    assert.throws(
      () => expectClose([1, Number.NaN], [1, 1]),
      /should be 1 \(within .*\) at index 1, got NaN/,
    );
    assert.throws(() => expectClose([1], [1, 2]), /should have 2 elements, got 1/);
    assert.throws(
      () => expectClose(undefined as never, [1]),
      /should be an array of 1 numbers, got undefined/,
    );
    expectEqual([1, "a"], [1, "a"]);
    assert.throws(
      () => expectEqual(new Uint8Array([1, 0]), [1, 1], "the mask"),
      /the mask should be 1 at index 1, got 0/,
    );
    assert.throws(() => expectEqual(5, [5]), /should be an array, got 5/);
  });
});
