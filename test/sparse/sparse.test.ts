import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  bytesOf,
  checkSparse,
  convert,
  denseBytes,
  matrixTimes,
  prepare,
  type SparseMatrix,
  timesMatrix,
  timesVector,
  toCsc,
  toCsr,
  toDense,
  vectorTimes,
} from "../../lib/sparse/index.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { normal, seeded } from "../../lib/util/random.ts";

interface Stored {
  values: number[];
  indices: number[];
  pointers: number[];
}
const cases = JSON.parse(readFileSync(join(packageRoot, "test/sparse/fixtures/scipy.json"), "utf8")) as {
  name: string;
  rows: number;
  cols: number;
  dense: number[];
  csr: Stored;
  csc: Stored;
  width: number;
  left: number[];
  right: number[];
  timesMatrix: number[];
  matrixTimes: number[];
}[];

const f32 = (...numbers: number[]) => Float32Array.from(numbers);
const forms = { csr: toCsr, csc: toCsc };

function assertClose(
  actual: Float32Array,
  expected: ArrayLike<number>,
  message: string,
  within = 1e-6,
): void {
  assert.equal(actual.length, expected.length, message);
  for (let i = 0; i < actual.length; i++) {
    assert.ok(
      Math.abs(actual[i] - expected[i]) < within,
      `${message}: ${actual[i]} for ${expected[i]} at ${i}`,
    );
  }
}

describe("§3.1.1 sparse matrices", () => {
  for (const [format, from] of Object.entries(forms) as ["csr" | "csc", typeof toCsr][]) {
    for (const c of cases) {
      it(`${format}: stores and multiplies the ${c.name} matrix as SciPy does`, () => {
        const dense = Float32Array.from(c.dense);
        const matrix = from(dense, c.rows, c.cols);
        assert.deepEqual(Array.from(matrix.values), c[format].values);
        assert.deepEqual(Array.from(matrix.indices), c[format].indices);
        assert.deepEqual(Array.from(matrix.pointers), c[format].pointers);
        assert.deepEqual(toDense(checkSparse(matrix)), dense);

        const other = format === "csr" ? "csc" : "csr";
        assert.deepEqual(convert(matrix, other), forms[other](dense, c.rows, c.cols));
        assert.deepEqual(convert(matrix, format), matrix);

        const right = Float32Array.from(c.right);
        const left = Float32Array.from(c.left);
        assertClose(timesMatrix(matrix, right, c.width), c.timesMatrix, "matrix · dense");
        assertClose(matrixTimes(left, c.width, matrix), c.matrixTimes, "dense · matrix");
        for (let j = 0; j < c.width; j++) {
          assertClose(
            timesVector(
              matrix,
              right.filter((_, i) => i % c.width === j),
            ),
            c.timesMatrix.filter((_, i) => i % c.width === j),
            "matrix · vector",
          );
          assertClose(
            vectorTimes(left.subarray(j * c.rows, (j + 1) * c.rows), matrix),
            c.matrixTimes.slice(j * c.cols, (j + 1) * c.cols),
            "vector · matrix",
          );
        }
      });
    }

    it(`${format}: keeps every number through storage, whatever the shape`, () => {
      const random = seeded(5);
      for (let round = 0; round < 60; round++) {
        const [rows, cols] = [Math.floor(random() * 9), Math.floor(random() * 9)];
        const density = random();
        const dense = Float32Array.from({ length: rows * cols }, () =>
          random() < density ? normal(random) : 0,
        );
        const matrix = checkSparse(from(dense, rows, cols));
        assert.deepEqual(toDense(matrix), dense);
        assert.equal(matrix.values.length, dense.filter((v) => v !== 0).length);
      }
    });

    it(`${format}: multiplies the same when prepared, by lines of every length, again and again`, () => {
      const random = seeded(12);
      const [rows, cols] = [67, 90];
      // Line k holds about k entries, so that whole eights, rests and empty lines all occur.
      const dense = Float32Array.from({ length: rows * cols }, (_, i) =>
        random() < Math.floor(i / cols) / rows && random() < (i % cols) / cols ? normal(random) : 0,
      );
      const matrix = from(dense, rows, cols);
      const [timesX, xTimes] = [prepare(matrix), prepare(matrix, "vectorTimes")];
      for (let round = 0; round < 3; round++) {
        const right = Float32Array.from({ length: cols }, () => normal(random));
        const left = Float32Array.from({ length: rows }, () => normal(random));
        assertClose(timesX(right), timesVector(matrix, right), "prepared matrix · vector", 1e-5);
        assertClose(xTimes(left), vectorTimes(left, matrix), "prepared vector · matrix", 1e-5);
      }
      assert.throws(() => timesX(f32(1)), /vector must have 90 elements, got 1/);
      assert.throws(() => xTimes(f32(1)), /vector must have 67 elements, got 1/);
      assert.throws(
        () => prepare(matrix, "dot" as "timesVector"),
        /product must be one of "timesVector", "vectorTimes"/,
      );
    });

    it(`${format}: takes no rows, no columns, one element, all zero, all equal`, () => {
      assert.deepEqual(timesVector(from(f32(), 0, 3), f32(1, 2, 3)), f32());
      assert.deepEqual(vectorTimes(f32(), from(f32(), 0, 3)), f32(0, 0, 0));
      assert.deepEqual(timesVector(from(f32(), 2, 0), f32()), f32(0, 0));
      assert.deepEqual(timesMatrix(from(f32(), 2, 0), f32(), 2), f32(0, 0, 0, 0));
      assert.deepEqual(timesVector(from(f32(3), 1, 1), f32(2)), f32(6));
      assert.deepEqual(prepare(from(f32(), 0, 3))(f32(1, 2, 3)), f32());
      assert.deepEqual(prepare(from(f32(), 2, 0))(f32()), f32(0, 0));
      assert.deepEqual(prepare(from(f32(3), 1, 1))(f32(2)), f32(6));
      assert.deepEqual(prepare(from(f32(0, 0, 0, 0), 2, 2))(f32(1, 1)), f32(0, 0));
      assert.deepEqual(timesVector(from(f32(0, -0, 0, 0), 2, 2), f32(1, 1)), f32(0, 0));
      assert.deepEqual(vectorTimes(f32(1, 2), from(f32(5, 5, 5, 5), 2, 2)), f32(15, 15));
    });

    it(`${format}: refuses what does not fit, NaN and Infinity`, () => {
      assert.throws(
        () => from(f32(1, 2, 3), 2, 2),
        /dense must have rows × cols = 2 × 2 = 4 elements, got 3/,
      );
      assert.throws(() => from(f32(1), 1.5, 1), /rows must be a whole number of at least 0, got 1.5/);
      assert.throws(() => from(f32(1, Number.NaN), 1, 2), /dense must be finite, got NaN at index 1/);
      assert.throws(() => from(f32(-Infinity, 0), 1, 2), /dense must be finite, got -Infinity at index 0/);
      const matrix = from(f32(1, 2, 3, 4, 5, 6), 2, 3);
      assert.throws(() => timesVector(matrix, f32(1, 2)), /vector must have 3 elements, got 2/);
      assert.throws(() => vectorTimes(f32(1, 2, 3), matrix), /vector must have 2 elements, got 3/);
      assert.throws(() => timesMatrix(matrix, f32(1, 2), 2), /dense must have 6 elements, got 2/);
      assert.throws(() => matrixTimes(f32(1, 2), 2, matrix), /dense must have 4 elements, got 2/);
    });
  }

  it("take exactly the bytes of their arrays: two an index up to 65,536 in a line, four beyond", () => {
    const dense = f32(0, 1, 0, 0, 2, 3);
    assert.equal(bytesOf(toCsr(dense, 2, 3)), 3 * 4 + 3 * 2 + 3 * 4);
    assert.equal(bytesOf(toCsc(dense, 2, 3)), 3 * 4 + 3 * 2 + 4 * 4);
    assert.equal(denseBytes(2, 3), 24);

    const long = new Float32Array(65_537);
    long[65_536] = 1;
    assert.equal(bytesOf(toCsr(long, 1, 65_537)), 4 + 4 + 2 * 4);
    assert.equal(bytesOf(toCsr(long.subarray(1), 1, 65_536)), 4 + 2 + 2 * 4);
    assert.equal(bytesOf(toCsc(long, 1, 65_537)), 4 + 2 + 65_538 * 4);
    assert.deepEqual(toDense(toCsr(long, 1, 65_537)), long);
    assert.deepEqual(toDense(toCsr(long.subarray(1), 1, 65_536)), long.subarray(1));
  });

  it("say what is wrong with a matrix that came from elsewhere", () => {
    const good = toCsr(f32(0, 1, 0, 0, 2, 3), 2, 3);
    const wrong: [Partial<SparseMatrix>, RegExp][] = [
      [{ format: "coo" as "csr" }, /format must be one of "csr", "csc", got "coo"/],
      [{ rows: -1 }, /rows must be a whole number of at least 0, got -1/],
      [{ pointers: Uint32Array.of(0, 3) }, /pointers must have 3 elements, got 2/],
      [{ pointers: Uint32Array.of(1, 1, 3) }, /pointers must begin with 0, got 1/],
      [{ pointers: Uint32Array.of(0, 1, 2) }, /pointers must end with the number of values, 3, got 2/],
      [{ pointers: Uint32Array.of(0, 4, 3) }, /pointers must not fall, got 4 before 3/],
      [{ indices: Uint16Array.of(1, 1) }, /indices must have 3 elements, got 2/],
      [{ indices: Uint16Array.of(1, 2, 1) }, /indices must rise within a line and be below 3, got 1 after 2/],
      [
        { indices: Uint16Array.of(3, 1, 2) },
        /indices must rise within a line and be below 3, got 3 after -1/,
      ],
      [{ values: f32(1, Number.NaN, 3) }, /values must be finite, got NaN at index 1/],
    ];
    for (const [change, message] of wrong) assert.throws(() => checkSparse({ ...good, ...change }), message);
  });
});
