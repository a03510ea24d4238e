// Values between a student's process and the judge's: what an exercise gives is judged as if both were one.
import assert from "node:assert/strict";
import type { ExerciseGrade } from "../../lib/classroom/grades.ts";
import type { Cell, Notebook } from "../../lib/notebook/notebook.ts";
import { code, notebook } from "../chapters/notebooks.ts";
import { Bench, needsSandbox } from "./setting.ts";

/** The exercises of an original, judged with a student's cells. */
async function judged(original: Notebook, cells: Cell[], timeout = 60): Promise<ExerciseGrade[]> {
  const bench = await Bench.open(original, 1);
  try {
    return (await bench.grade(cells, { timeout })).exercises;
  } finally {
    await bench.close();
  }
}

/** What failed, with its reasons. */
const failed = ([{ cases, reason }]: ExerciseGrade[]) => [
  ...(reason ? [reason] : []),
  ...cases.filter(({ passed }) => !passed).map(({ name, message }) => `${name}: ${message}`),
];

describe("values across the border", function () {
  this.timeout(300_000);
  before(needsSandbox);

  it("functions are called where they live, with functions as arguments; objects, classes and models cross", async () => {
    const tests = `check("x", {
  "callbacks": () => expectEqual(apply((n: number) => n * 10, [1, 2, 3]), [10, 20, 30]),
  "typed": () => expectEqual(halves(Float32Array.of(2, 4)), [1, 2]),
  "special": () => expectEqual(special, [NaN, Infinity, -0, undefined, 5n, "text"]),
  "object": () => expectEqual(made.deep.list.get("k"), 3),
  "class": () => expectEqual(new Counter(4).next(), 5),
  "instance": () => expectEqual([counter.count, counter.next(), counter.next()], [7, 8, 9]),
  "errors": () => { let name = ""; try { fails(); } catch (error) { name = (error as Error).message; } expectEqual(name, "as it should"); },
  "promise": async () => expectEqual(await later(2), 4),
})`;
    const stub = `const apply: any = 0, halves: any = 0, special: any = 0, made: any = 0, Counter: any = 0, counter: any = 0, fails: any = 0, later: any = 0; // your turn`;
    const work = `const apply = (f: (n: number) => number, list: number[]) => list.map(f);
const halves = (list: Float32Array) => list.map((x) => x / 2);
const special = [NaN, Infinity, -0, undefined, 5n, "text"];
const made = { deep: { list: new Map([["k", 3]]) } };
class Counter { count: number; constructor(count: number) { this.count = count; } next() { return ++this.count; } }
const counter = new Counter(7);
const fails = () => { throw new RangeError("as it should"); };
const later = async (x: number) => x * 2;`;
    const bench = await Bench.open(
      notebook(
        code(`import { check, expectEqual } from "slimlab/classroom";`),
        code(`${stub}\nawait ${tests}`),
      ),
      1,
    );
    try {
      const grade = await bench.grade([code(work)]);
      assert.deepEqual(
        grade.exercises[0].cases.map(({ name, passed, message }) => [name, passed, message]),
        grade.exercises[0].cases.map(({ name }) => [name, true, ""]),
      );
      assert.equal(grade.exercises[0].cases.length, 8);
    } finally {
      await bench.close();
    }
  });

  it("a network crosses with its weights", async () => {
    const original = notebook(
      code('import { check, expectClose } from "slimlab/classroom";\nimport { tf } from "slimlab/nn";'),
      code(
        'const model = tf.sequential(); // your turn\ncheck("model", () => expectClose([...(model.predict(tf.ones([1, 2])) as any).dataSync()], [5], 1e-6))',
      ),
    );
    const bench = await Bench.open(original, 1);
    try {
      const work =
        'import { tf } from "slimlab/nn";\nconst model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2], useBias: false })] });\nmodel.setWeights([tf.tensor2d([[2], [3]])]);';
      const grade = await bench.grade([code(work)], { timeout: 60 });
      assert.deepEqual(grade.exercises[0].cases, [{ name: "", passed: true, message: "" }]);
    } finally {
      await bench.close();
    }
  });

  it("a function that is called for its effect changes what it is given, and nothing of the next student's", async () => {
    const original = notebook(
      code('import { check, expectEqual } from "slimlab/classroom";\nconst shared = [5, 1];'),
      code(`const prune: any = () => {}, both: any = () => {}; // your turn
check("x", {
  "typed": () => { const w = Float32Array.of(3, -1, 2); prune(w); expectEqual(w, [3, 0, 2]); },
  "nested": () => {
    const inner = Float32Array.of(1, 4), layer = { weights: [inner], name: "a" };
    both(layer, new Map([["k", 1]]));
    expectEqual(inner, [0, 4]);
    expectEqual(layer.name, "pruned");
  },
  "shared": () => { expectEqual(shared, [5, 1]); prune(shared); expectEqual(shared, [5, 0]); },
  "a copy": () => { const w = [3, 1]; expectEqual(prune(w) ?? w, [3, 1], "what the function was given"); },
})`),
    );
    const work = `const prune = (w: any) => { for (let i = 0; i < w.length; i++) if (Math.abs(w[i]) < 2) w[i] = 0; };
const both = (layer: any) => { for (const w of layer.weights) prune(w); layer.name = "pruned"; };`;
    const bench = await Bench.open(original, 1);
    try {
      for (let i = 0; i < 2; i++) assert.deepEqual(failed((await bench.grade([code(work)])).exercises), []);
      // Who spoils his arguments where the result counts spoils copies.
      const spoils = await bench.grade([code("const prune = (w: any) => { w.fill(0); }, both = prune;")]);
      assert.equal(spoils.exercises[0].cases.at(-1)!.passed, true);
      assert.equal(spoils.exercises[0].passed, false);
    } finally {
      await bench.close();
    }
  });

  it("accessors and fields of an object are those of now", async () => {
    const original = notebook(
      code('import { check, expectEqual } from "slimlab/classroom";'),
      code(`class Mask {} // your turn
check("x", {
  "accessor": () => expectEqual(new (Mask as any)([1, 0, 0, 1]).sparsity, 0.5),
  "field": () => {
    const mask = new (Mask as any)([1, 1]);
    mask.drop(0);
    expectEqual(mask.kept, 1);
    expectEqual(mask.sparsity, 0.5);
    expectEqual(mask.bits, [0, 1]);
  },
})`),
    );
    const work = `class Mask {
  bits: number[]; kept: number;
  constructor(bits: number[]) { this.bits = [...bits]; this.kept = bits.filter(Boolean).length; }
  get sparsity() { return 1 - this.kept / this.bits.length; }
  drop(i: number) { this.bits[i] = 0; this.kept--; }
}`;
    assert.deepEqual(failed(await judged(original, [code(work)])), []);
  });

  it("tensors and models cross both ways", async () => {
    const original = notebook(
      code('import { check, expectClose } from "slimlab/classroom";\nimport { tf } from "slimlab/nn";'),
      code(`const twice: any = 0, sum: any = 0, constant: any = 0, outputOf: any = 0; // your turn
check("x", {
  "a tensor for a tensor": () => expectClose(tf.mul(twice(tf.tensor([1, 2])), 10).dataSync(), [20, 40]),
  "a tensor for a number": () => expectClose(sum(tf.ones([2, 3])), 6),
  "a value": () => expectClose(tf.add(constant, 1).dataSync(), [4]),
  "a model": () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [2], useBias: false })] });
    model.setWeights([tf.tensor2d([[2], [3]])]);
    expectClose(outputOf(model, tf.ones([1, 2])), 5);
  },
})`),
    );
    const work = `import { tf } from "slimlab/nn";
const twice = (x: any) => tf.mul(x, 2), sum = (x: any) => x.sum().dataSync()[0], constant = tf.tensor([3]);
const outputOf = (model: any, x: any) => model.predict(x).dataSync()[0];`;
    assert.deepEqual(failed(await judged(original, [code(work)])), []);
  });
});
