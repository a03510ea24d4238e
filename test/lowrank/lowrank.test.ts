import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  breakEvenRank,
  cp,
  decay,
  factorize,
  factorizeForInputs,
  leastSquares,
  multiplyFactors,
  randomizedSvd,
  rankByAccuracy,
  rankByBudget,
  rankByEnergy,
  reconstruct,
  reconstructCp,
  reconstructTucker2,
  type Svd,
  svd,
  truncate,
  tucker2,
  tucker2Parameters,
  tucker2RanksByEnergy,
} from "../../lib/lowrank/index.ts";
import { gramOf, product } from "../../lib/lowrank/wasm-rows.ts";
import { packageRoot } from "../../lib/util/files.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const fixture = JSON.parse(readFileSync(join(packageRoot, "test/lowrank/fixtures/lowrank.json"), "utf8"));

function gaussian(length: number, seed: number): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({ length }, () => normal(random));
}

function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return Math.sqrt(sum);
}

const norm = (a: ArrayLike<number>) => distance(a, new Float32Array(a.length));

/** The largest entry of |UᵀU - I| and |VVᵀ - I|. */
function orthonormality({ u, vt, rows, cols, rank }: Svd): number {
  let worst = 0;
  for (let p = 0; p < rank; p++) {
    for (let q = 0; q <= p; q++) {
      let left = 0;
      let right = 0;
      for (let i = 0; i < rows; i++) left += u[i * rank + p] * u[i * rank + q];
      for (let j = 0; j < cols; j++) right += vt[p * cols + j] * vt[q * cols + j];
      const expected = p === q ? 1 : 0;
      worst = Math.max(worst, Math.abs(left - expected), Math.abs(right - expected));
    }
  }
  return worst;
}

describe("3.3.1 singular value decomposition", () => {
  it("gives NumPy's singular values and truncations", () => {
    for (const { rows, cols, w, s, rank, truncated } of fixture.matrices) {
      const decomposition = svd(w, rows, cols);
      assert.ok(distance(decomposition.s, s) < 1e-10, `${rows} x ${cols}`);
      assert.ok(distance(reconstruct(truncate(decomposition, rank)), truncated) < 1e-9, `${rows} x ${cols}`);
    }
  });

  it("rebuilds the matrix from orthonormal factors, whatever its shape and rank", () => {
    const lowRank = new Float64Array(50 * 40);
    const a = gaussian(50 * 5, 1);
    const b = gaussian(5 * 40, 2);
    for (let i = 0; i < 50; i++)
      for (let k = 0; k < 5; k++)
        for (let j = 0; j < 40; j++) lowRank[i * 40 + j] += a[i * 5 + k] * b[k * 40 + j];
    const cases: [string, ArrayLike<number>, number, number][] = [
      ["one element", [-3], 1, 1],
      ["all zero", new Float32Array(12), 4, 3],
      ["all equal", new Float32Array(12).fill(2), 3, 4],
      ["rank 5 of 40", lowRank, 50, 40],
      ["zeros on the bidiagonal", [1, 2, 0, 0, 0, 0, 3, 0, 0, 0, 4, 5, 0, 0, 0, 0], 4, 4],
      ["tall", gaussian(200 * 60, 3), 200, 60],
      ["wide", gaussian(30 * 90, 4), 30, 90],
      ["one row", gaussian(7, 5), 1, 7],
    ];
    for (const [name, w, rows, cols] of cases) {
      const decomposition = svd(w, rows, cols);
      assert.ok(distance(reconstruct(decomposition), w) <= 1e-12 * (1 + norm(w)), name);
      assert.ok(orthonormality(decomposition) < 1e-12, name);
      for (let k = 1; k < decomposition.rank; k++)
        assert.ok(decomposition.s[k - 1] >= decomposition.s[k], name);
    }
    assert.ok(svd(lowRank, 50, 40).s[5] < 1e-12);
  });

  it("gives results of its own, which later calls, larger and smaller ones, leave alone", () => {
    const w = gaussian(63, 5);
    const first = svd(w, 9, 7);
    const copy = structuredClone(first);
    // Large enough for its memory to be let go of by the next small one.
    svd(new Float32Array(2_400_000), 2400, 1000);
    randomizedSvd(w, 9, 7, 3);
    assert.deepEqual(svd(w, 9, 7), copy);
    assert.deepEqual(first, copy);
  });

  it("keeps its digits for tiny and huge weights", () => {
    for (const size of [1e-200, 1e200]) {
      const { s } = svd([1 * size, 2 * size, 3 * size, 4 * size], 2, 2);
      // det = -2, Frobenius norm² = 30: the singular values are roots of x² - 30 x + 4 = 0.
      assert.ok(Math.abs(s[0] / size - Math.sqrt(15 + Math.sqrt(221))) < 1e-14 * 6);
      assert.ok(Math.abs(s[1] / size - Math.sqrt(15 - Math.sqrt(221))) < 1e-14 * 6);
    }
  });

  it("loses exactly the tail of the spectrum when truncated", () => {
    const w = gaussian(40 * 25, 6);
    const full = svd(w, 40, 25);
    for (const rank of [1, 7, 24, 25]) {
      const error = distance(reconstruct(truncate(full, rank)), w);
      assert.ok(Math.abs(error - norm(full.s.subarray(rank))) < 1e-11, `rank ${rank}`);
    }
  });

  it("says what is wrong with its input", () => {
    assert.throws(() => svd([], 0, 0), /rows must be a whole number of at least 1, got 0/);
    assert.throws(() => svd([1, 2, 3], 2, 2), /w must have 4 elements, got 3/);
    assert.throws(() => svd([1, Number.NaN], 1, 2), /w must be finite, got NaN at index 1/);
    assert.throws(() => svd([1, Number.POSITIVE_INFINITY], 1, 2), /got Infinity at index 1/);
    assert.throws(() => truncate(svd([1, 2], 1, 2), 2), /rank must be a whole number from 1 to 1, got 2/);
    assert.throws(() => truncate(svd([1, 2], 1, 2), 0), /rank must be a whole number from 1 to 1, got 0/);
  });
});

describe("lowrank: products in double precision", () => {
  it("equal plain loops, whatever the shape", () => {
    for (const [m, k, n] of [
      [1, 1, 1],
      [3, 5, 7],
      [2, 8, 16],
      [9, 1, 3],
      // Longer than one block of the inner dimension, with a rest.
      [5, 600, 19],
      [0, 3, 2],
      [2, 0, 3],
      [2, 3, 0],
    ]) {
      const [a, b] = [gaussian(m * k, m + k), gaussian(k * n, k + n)];
      const c = product(a, b, m, k, n);
      assert.equal(c.length, m * n);
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let p = 0; p < k; p++) sum += a[i * k + p] * b[p * n + j];
          assert.ok(Math.abs(c[i * n + j] - sum) < 1e-12 * Math.max(1, k));
        }
      }
      const gram = gramOf(a, m, k);
      for (let i = 0; i < k; i++) {
        for (let j = 0; j < k; j++) {
          let sum = 0;
          for (let p = 0; p < m; p++) sum += a[p * k + i] * a[p * k + j];
          assert.ok(Math.abs(gram[i * k + j] - sum) < 1e-12);
        }
      }
    }
  });
});

describe("3.3.1 randomized SVD", () => {
  it("finds the leading triplets of a decaying spectrum, and never beats the exact truncation", () => {
    const rows = 120;
    const cols = 80;
    const base = svd(gaussian(rows * cols, 8), rows, cols);
    const decaying = { ...base, s: base.s.map((_, i) => 0.8 ** i) };
    const w = Float32Array.from(reconstruct(decaying));
    const exact = svd(w, rows, cols);
    const found = randomizedSvd(w, rows, cols, 10);
    assert.ok(distance(found.s, exact.s.subarray(0, 10)) < 1e-5);
    assert.ok(orthonormality(found) < 1e-5);
    const error = distance(reconstruct(found), w);
    const best = norm(exact.s.subarray(10));
    assert.ok(error >= best * (1 - 1e-6) && error < best * 1.01, `${error} against ${best}`);
  });

  it("is exact to single precision at full rank, for rank-deficient input too", () => {
    const w = gaussian(9 * 6, 9);
    w.copyWithin(6, 0, 6);
    assert.ok(distance(reconstruct(randomizedSvd(w, 9, 6, 6)), w) < 1e-5 * norm(w));
    const zero = randomizedSvd(new Float32Array(20), 4, 5, 2);
    assert.deepEqual([...zero.s], [0, 0]);
  });

  it("keeps its digits for tiny and huge weights, and its vectors orthonormal beyond the true rank", () => {
    const w = gaussian(20 * 12, 4);
    const exact = svd(w, 20, 12).s;
    for (const size of [1e-200, 1e20, 1e150]) {
      const { s } = randomizedSvd(
        Float64Array.from(w, (x) => x * size),
        20,
        12,
        12,
      );
      for (let i = 0; i < 12; i++) assert.ok(Math.abs(s[i] / size - exact[i]) < 1e-5 * exact[0], `${size}`);
    }
    for (const given of [new Float32Array(20), new Float32Array(20).fill(3), gaussian(4, 1)]) {
      // Of rank 0, 1, and 2 at most: two rows, three times each.
      const two = given.length === 4;
      const all = two
        ? Float32Array.from({ length: 12 }, (_, i) => given[(i & 1) + 2 * ((i >> 1) & 1)])
        : given;
      const [rows, cols] = two ? [6, 2] : [5, 4];
      const rank = Math.min(rows, cols);
      const { u, vt, s } = randomizedSvd(all, rows, cols, rank);
      for (let i = 0; i < rank; i++)
        for (let j = 0; j <= i; j++) {
          const left = Array.from({ length: rows }, (_, k) => u[k * rank + i] * u[k * rank + j]);
          const right = Array.from({ length: cols }, (_, k) => vt[i * cols + k] * vt[j * cols + k]);
          for (const products of [left, right]) {
            const dot = products.reduce((a, b) => a + b);
            assert.ok(
              Math.abs(dot - Number(i === j)) < 1e-5,
              `${rows} x ${cols}, ${i} and ${j}: ${dot} ${s}`,
            );
          }
        }
    }
  });

  it("gives the same for the same seed, and names a bad option", () => {
    const w = gaussian(300, 10);
    assert.deepEqual(randomizedSvd(w, 20, 15, 4, { seed: 3 }), randomizedSvd(w, 20, 15, 4, { seed: 3 }));
    assert.throws(() => randomizedSvd(w, 20, 15, 16), /rank must be a whole number from 1 to 15, got 16/);
    assert.throws(() => randomizedSvd(w, 20, 15, 2, { powerIterations: -1 }), /powerIterations must be/);
  });
});

describe("3.3.1 choosing a rank", () => {
  it("reads energy and error off the spectrum", () => {
    const steps = decay([2, 1, 1]);
    assert.deepEqual(
      steps.map(({ energy }) => +energy.toFixed(12)),
      [4 / 6, 5 / 6, 1].map((x) => +x.toFixed(12)),
    );
    assert.ok(Math.abs(steps[0].error - Math.sqrt(2 / 6)) < 1e-15);
    assert.equal(rankByEnergy([2, 1, 1], 0.66), 1);
    assert.equal(rankByEnergy([2, 1, 1], 0.67), 2);
    assert.equal(rankByEnergy([2, 1, 1], 1), 3);
    assert.equal(rankByEnergy([2, 1, 0], 1), 2);
    assert.equal(rankByEnergy([0, 0], 0.9), 1);
    // Squares of these are beyond a double's range.
    for (const size of [1e-180, 1e180]) {
      assert.equal(rankByEnergy([2 * size, size, size], 0.67), 2);
      assert.ok(Math.abs(decay([2 * size, size, size])[0].energy - 4 / 6) < 1e-12);
    }
    assert.throws(() => rankByEnergy([1], 1.5), /energy must be a number from 0 to 1, got 1.5/);
  });

  it("fits a budget", () => {
    assert.equal(rankByBudget(784, 300, 54_200), 50);
    assert.equal(rankByBudget(784, 300, 54_199), 49);
    assert.equal(rankByBudget(4, 3, 1e9), 3);
    assert.ok(Math.abs(breakEvenRank(784, 300) - 216.974) < 1e-3);
    assert.throws(
      () => rankByBudget(784, 300, 1000),
      /parameters must be a number of at least 1084, got 1000/,
    );
  });

  it("finds the smallest rank that holds an accuracy, and says when none does", async () => {
    const asked: number[] = [];
    const accuracy = (rank: number) => {
      asked.push(rank);
      return rank / 100;
    };
    assert.deepEqual(await rankByAccuracy(100, 0.37, accuracy), { rank: 37, accuracy: 0.37 });
    assert.ok(asked.length <= 9);
    assert.equal(await rankByAccuracy(10, 0.5, accuracy), undefined);
  });
});

describe("3.3.1 factors of a dense layer", () => {
  it("multiply to the truncated matrix, with the scale shared evenly", () => {
    const { rows, cols, w, rank, truncated } = fixture.matrices[0];
    const factors = factorize(w, rows, cols, rank);
    assert.equal(factors.a.length, rows * rank);
    assert.equal(factors.b.length, rank * cols);
    assert.ok(distance(multiplyFactors(factors), truncated) < 1e-5);
    assert.ok(Math.abs(norm(factors.a) - norm(factors.b)) < 1e-5);
  });

  it("weighted by inputs, reach the least possible output error (reduced-rank regression, by NumPy)", () => {
    const { x, w, rows, cols, rank, error } = fixture.weighted;
    const samples = x.length / rows;
    const outputError = (approximation: ArrayLike<number>) => {
      const difference = new Float64Array(samples * cols);
      for (let i = 0; i < samples; i++)
        for (let k = 0; k < rows; k++)
          for (let j = 0; j < cols; j++)
            difference[i * cols + j] += x[i * rows + k] * (w[k * cols + j] - approximation[k * cols + j]);
      return norm(difference);
    };
    const weighted = outputError(multiplyFactors(factorizeForInputs(w, rows, cols, rank, x)));
    const plain = outputError(multiplyFactors(factorize(w, rows, cols, rank)));
    assert.ok(Math.abs(weighted - error) < 1e-4 * error, `${weighted} against ${error}`);
    assert.ok(weighted < plain * 0.95);
  });

  it("bear inputs that never vary", () => {
    const factors = factorizeForInputs(gaussian(12, 11), 4, 3, 2, new Float32Array(8));
    assert.ok(factors.a.every(Number.isFinite) && factors.b.every(Number.isFinite));
    assert.throws(() => factorizeForInputs(gaussian(12, 11), 4, 3, 2, new Float32Array(7)), /samples in x/);
  });
});

describe("3.3.2 tensor decomposition", () => {
  it("Tucker-2 reaches the error of tensorly's partial Tucker", () => {
    const { shape, kernel, rankIn, rankOut, error } = fixture.tucker;
    const result = tucker2(kernel, shape, rankIn, rankOut, { iterations: 200 });
    assert.ok(Math.abs(result.error - error) < 1e-5, `${result.error} against ${error}`);
    const rebuilt = reconstructTucker2(result);
    assert.ok(Math.abs(distance(rebuilt, kernel) / norm(kernel) - result.error) < 1e-6);
  });

  it("Tucker-2 at full rank is exact, and its iterations never lose to the HOSVD they start from", () => {
    const { shape, kernel } = fixture.tucker;
    assert.ok(distance(reconstructTucker2(tucker2(kernel, shape, 6, 8)), kernel) < 1e-5);
    const started = tucker2(kernel, shape, 2, 2, { iterations: 0 });
    assert.ok(tucker2(kernel, shape, 2, 2).error <= started.error + 1e-12);
    assert.equal(tucker2([0, 0, 0, 0], [1, 1, 2, 2], 1, 1).error, 0);
    assert.equal(tucker2Parameters([5, 5, 20, 50], 10, 20), 200 + 5000 + 1000);
  });

  it("Tucker-2 ranks by energy find the structure under the noise", () => {
    const { shape, kernel } = fixture.tucker;
    assert.deepEqual(tucker2RanksByEnergy(kernel, shape, 0.99), { rankIn: 3, rankOut: 4 });
  });

  it("Tucker-2 ranks by energy keep at least the energy that they were chosen for", () => {
    for (const [seed, shape] of [
      [1, [3, 3, 6, 9]],
      [2, [1, 1, 8, 8]],
      [3, [5, 5, 4, 12]],
    ] as const) {
      const kernel = gaussian(
        shape.reduce((a: number, b) => a * b, 1),
        seed,
      );
      let before = 0;
      for (const energy of [0.3, 0.5, 0.7, 0.8, 0.9, 0.99, 1]) {
        const { rankIn, rankOut } = tucker2RanksByEnergy(kernel, [...shape], energy);
        const kept = 1 - tucker2(kernel, [...shape], rankIn, rankOut).error ** 2;
        assert.ok(kept >= energy - 1e-9, `kept ${kept} of ${energy} with ${rankIn} and ${rankOut}`);
        const parameters = tucker2Parameters([...shape], rankIn, rankOut);
        assert.ok(parameters >= before, `${parameters} parameters after ${before}`);
        before = parameters;
      }
      assert.deepEqual(tucker2RanksByEnergy(kernel, [...shape], 0), { rankIn: 1, rankOut: 1 });
    }
    assert.deepEqual(tucker2RanksByEnergy(new Float32Array(16), [1, 1, 4, 4], 0.5), {
      rankIn: 1,
      rankOut: 1,
    });
  });

  it("CP recovers an exact sum of rank-one terms, and matches tensorly's best rank-2 error", () => {
    const { shape, kernel, best } = fixture.cp;
    const starts = [1, 2, 3, 4, 5].map((seed) =>
      cp(kernel, shape, 3, { seed, iterations: 3000, tolerance: 1e-12 }),
    );
    const exact = starts.reduce((a, b) => (a.error < b.error ? a : b));
    assert.ok(distance(reconstructCp(exact), kernel) < 1e-4 * norm(kernel), String(exact.error));
    const fits = [1, 2, 3, 4, 5].map((seed) =>
      cp(kernel, shape, 2, { seed, iterations: 2000, tolerance: 1e-12 }),
    );
    for (const fit of fits) {
      const measured = distance(reconstructCp(fit), kernel) / norm(kernel);
      assert.ok(Math.abs(measured - fit.error) < 1e-5);
    }
    assert.ok(Math.min(...fits.map(({ error }) => error)) < best + 1e-4);
  });

  it("bears a zero kernel and names bad input", () => {
    assert.equal(cp(new Float32Array(16), [2, 2, 2, 2], 2).error, 0);
    assert.throws(() => tucker2([1, 2], [1, 1, 1, 3], 1, 1), /kernel must have 3 elements, got 2/);
    assert.throws(
      () => tucker2([1, 2], [1, 1, 1, 2], 2, 1),
      /rankIn must be a whole number from 1 to 1, got 2/,
    );
    assert.throws(() => cp([1, Number.NaN], [1, 1, 1, 2], 1), /kernel must be finite, got NaN at index 1/);
    assert.throws(() => cp([1, 2], [1, 1, 1, 2], 0), /rank must be a whole number of at least 1, got 0/);
  });
});

describe("2.1 least squares", () => {
  const random = seeded(5);
  const noise = (n: number) => Float32Array.from({ length: n }, () => normal(random));

  it("find the linear map that made what they see", () => {
    const [x, w, bias] = [noise(200 * 6), noise(6 * 3), noise(3)];
    const y = new Float32Array(200 * 3);
    for (let s = 0; s < 200; s++)
      for (let j = 0; j < 3; j++) {
        let sum = bias[j];
        for (let i = 0; i < 6; i++) sum += x[s * 6 + i] * w[i * 3 + j];
        y[s * 3 + j] = sum;
      }
    const fit = leastSquares(x, y, 6, 3, { damping: 1e-12 });
    assert.ok(fit.weights.every((value, i) => Math.abs(value - w[i]) < 1e-5));
    assert.ok(fit.bias.every((value, j) => Math.abs(value - bias[j]) < 1e-5));
    assert.ok(fit.error < 1e-10);
  });

  it("are the regression line by hand, and say what it leaves over", () => {
    // Through (0, 1), (1, 2), (2, 2), (3, 5): slope 1.2, intercept 0.7, 1.8 of 9 left.
    const fit = leastSquares(Float32Array.of(0, 1, 2, 3), Float32Array.of(1, 2, 2, 5), 1, 1, {
      damping: 1e-12,
    });
    assert.ok(Math.abs(fit.weights[0] - 1.2) < 1e-6 && Math.abs(fit.bias[0] - 0.7) < 1e-6);
    assert.ok(Math.abs(fit.error - 1.8 / 9) < 1e-6);
  });

  it("bear inputs that never vary or say the same, and name what is wrong", () => {
    const x = Float32Array.of(1, 0, 0, 1, 2, 2, 1, 4, 4); // a constant, and two that are equal
    const fit = leastSquares(x, Float32Array.of(1, 3, 5), 3, 1);
    assert.ok(fit.weights.every(Number.isFinite) && fit.error < 1e-3);
    assert.throws(() => leastSquares(x, Float32Array.of(1), 3, 1), /y must/);
    assert.throws(() => leastSquares(x, Float32Array.of(1, Number.NaN, 2), 3, 1), /y must be finite/);
    assert.throws(() => leastSquares(x, x, 2, 1), /samples in x/);
  });
});
