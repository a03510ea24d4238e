import assert from "node:assert/strict";
import {
  assignCodes,
  bucketPoints,
  centroidGradients,
  clusteredBytes,
  clusterWeights,
  distinctPoints,
  meanBetween,
  optimalSplits,
  optimalSplitsByLayers,
  restoreClusters,
  startCentroids,
  trainCentroids,
} from "../../lib/quantization/index.ts";
import { seeded } from "../../lib/util/random.ts";
import { fixture, normals } from "./fixture.ts";

const sklearn = fixture("clusters");
const weights = new Float32Array(sklearn.weights);
const starts = ["linear", "density", "random", "kmeans++"] as const;

/** Squared error of the pieces between splits, directly. */
function errorOf(sorted: Float32Array, splits: ArrayLike<number>): number {
  let sum = 0;
  for (let k = 0; k + 1 < splits.length; k++) {
    const piece = sorted.subarray(splits[k], splits[k + 1]);
    const mean = piece.reduce((a, b) => a + b, 0) / piece.length;
    for (const w of piece) sum += (w - mean) ** 2;
  }
  return sum;
}

/** Splits as places among the sorted weights. */
function splitsOf(weights: Float32Array, clusters: number, method: typeof optimalSplits): number[] {
  const points = distinctPoints(weights);
  return Array.from(method(points, clusters), (split) => points.count[split]);
}

/** The least error over every way to split, one by one. */
function bruteForce(sorted: Float32Array, clusters: number, from = 0): number {
  if (clusters === 1) return errorOf(sorted, [from, sorted.length]);
  let best = Number.POSITIVE_INFINITY;
  for (let end = from + 1; end <= sorted.length - clusters + 1; end++) {
    best = Math.min(best, errorOf(sorted, [from, end]) + bruteForce(sorted, clusters - 1, end));
  }
  return best;
}

describe("§3.2.1 k-means on weights: starts and Lloyd's iteration", () => {
  it("starts where it says (worked by hand)", () => {
    const sorted = distinctPoints(new Float32Array([10, 0, 1, 2, 3, 4, 5, 6]));
    assert.deepEqual([...startCentroids(sorted, 3, "linear", 0)], [0, 5, 10]);
    assert.deepEqual([...startCentroids(sorted, 1, "linear", 0)], [5]);
    assert.deepEqual([...startCentroids(sorted, 4, "density", 0)], [1, 3, 5, 10]);
    for (const start of ["random", "kmeans++"] as const) {
      const a = startCentroids(sorted, 4, start, 3);
      assert.deepEqual(startCentroids(sorted, 4, start, 3), a);
      for (const c of a) assert.ok(sorted.values.includes(c));
      assert.deepEqual(
        [...a],
        [...a].sort((x, y) => x - y),
      );
    }
  });

  it("draws k-means++ by squared distance", () => {
    // Three weights: from 0 the others are drawn 1 : 100; from 1, 1 : 81; from 10, 100 : 81 for 0 and 1.
    const sorted = distinctPoints(new Float32Array([0, 1, 10]));
    let with10 = 0;
    for (let seed = 0; seed < 3000; seed++)
      if (startCentroids(sorted, 2, "kmeans++", seed * 7919).includes(10)) with10++;
    const expected = (100 / 101 + 81 / 82 + 1) / 3;
    assert.ok(Math.abs(with10 / 3000 - expected) < 0.006, `${with10 / 3000} ${expected}`);
  });

  it("ends where scikit-learn's Lloyd ends from the same start", () => {
    assert.ok(sklearn.lloyd.length > 0);
    for (const { clusters, centroids, inertia } of sklearn.lloyd) {
      const ours = clusterWeights(weights, { clusters, method: "lloyd", start: "linear" });
      for (let k = 0; k < clusters; k++) assert.ok(Math.abs(ours.codebook[k] - centroids[k]) < 1e-6);
      assert.ok(Math.abs(ours.inertia / inertia - 1) < 1e-5);
    }
  });

  it("never does better than the optimum, and more iterations never do worse", () => {
    for (const start of starts) {
      let before = Number.POSITIVE_INFINITY;
      for (const maxIterations of [1, 2, 5, 20, 300]) {
        const { inertia } = clusterWeights(weights, {
          clusters: 12,
          method: "lloyd",
          start,
          seed: 2,
          maxIterations,
        });
        assert.ok(inertia <= before * (1 + 1e-6));
        before = inertia;
      }
      assert.ok(before >= clusterWeights(weights, { clusters: 12 }).inertia * (1 - 1e-6));
    }
  });

  it("has every centroid at the mean of its weights when it ends", () => {
    const many = normals(5000, 3, 0.1).map((w) => w + 3);
    const ours = clusterWeights(many, { clusters: 8, method: "lloyd", start: "density" });
    for (let k = 0; k < 8; k++) {
      const own = [...many].filter((_, i) => ours.codes[i] === k);
      assert.ok(Math.abs(own.reduce((a, b) => a + b) / own.length - ours.codebook[k]) < 1e-5);
    }
  });
});

describe("§3.2.1 k-means on weights: the exact optimum", () => {
  it("is the best of all splits tried one by one", () => {
    for (let seed = 0; seed < 40; seed++) {
      const random = seeded(seed);
      // Every other case has repeated values.
      const values = Float32Array.from({ length: 10 }, () =>
        seed % 2 ? random() : Math.floor(random() * 6),
      );
      const sorted = values.slice().sort();
      const distinct = new Set(values).size;
      for (let clusters = 1; clusters <= Math.min(5, distinct); clusters++) {
        const best = bruteForce(sorted, clusters);
        assert.ok(errorOf(sorted, splitsOf(sorted, clusters, optimalSplits)) <= best + 1e-12);
        assert.ok(Math.abs(clusterWeights(values, { clusters }).inertia - best) < 1e-5);
      }
    }
  });

  it("finds by penalty what the layers find, on smooth, clustered, repeated and regular values", () => {
    const random = seeded(11);
    const cases = [
      normals(3000, 1).sort(),
      normals(2000, 2)
        .map((w, i) => w + 100 * (i % 3))
        .sort(),
      normals(4000, 3)
        .map((w) => Math.round(w * 200) / 200)
        .sort(),
      Float32Array.from({ length: 1000 }, (_, i) => i),
      Float32Array.from({ length: 2000 }, () => random() ** 8).sort(),
      normals(1500, 4, 1e-3)
        .map((w) => w + 1)
        .sort(),
    ];
    for (const [index, sorted] of cases.entries()) {
      for (const clusters of [2, 3, 7, 16, 33, 200]) {
        const fast = errorOf(sorted, splitsOf(sorted, clusters, optimalSplits));
        const sure = errorOf(sorted, splitsOf(sorted, clusters, optimalSplitsByLayers));
        assert.ok(
          Math.abs(fast - sure) <= 1e-9 * sure + 1e-15,
          `case ${index}, K ${clusters}: ${fast} ${sure}`,
        );
      }
    }
  });

  it("has exactly the clusters asked for", () => {
    const sorted = normals(3000, 5).sort();
    for (const clusters of [1, 2, 64, 255, 1000, 2500]) {
      const splits = splitsOf(sorted, clusters, optimalSplits);
      assert.equal(splits.length, clusters + 1);
      for (let k = 0; k < clusters; k++) assert.ok(splits[k] < splits[k + 1]);
    }
  });

  it("is never worse than scikit-learn's best of 30 runs", () => {
    for (const { clusters, inertia } of sklearn.best) {
      const ours = clusterWeights(weights, { clusters });
      assert.ok(ours.inertia <= inertia * (1 + 1e-6), `K ${clusters}: ${ours.inertia} ${inertia}`);
    }
  });

  it("keeps its digits far from zero and beside an outlier", () => {
    const far = normals(2000, 6, 0.5).map((w) => w + 1e4);
    const near = far.map((w) => w - 1e4);
    const a = clusterWeights(far, { clusters: 20 });
    const b = clusterWeights(near, { clusters: 20 });
    assert.deepEqual(splitsOf(far, 20, optimalSplits), splitsOf(near, 20, optimalSplits));
    assert.ok(Math.abs(a.inertia / b.inertia - 1) < 0.02);
    const outlier = normals(2000, 7, 1e-3);
    outlier[5] = 1e6;
    const rest = outlier.filter((w) => w < 1e5);
    assert.ok(
      Math.abs(
        clusterWeights(outlier, { clusters: 9 }).inertia / clusterWeights(rest, { clusters: 8 }).inertia - 1,
      ) < 1e-6,
    );
  });
});

describe("§3.2.1 weights in buckets, for more weights than memory can sort", () => {
  it("keep counts and sums, and lose next to nothing", () => {
    for (const shift of [0, 50]) {
      const many = normals(30000, 8).map((w) => w ** 3 + shift);
      const points = bucketPoints(many);
      const exact = distinctPoints(many);
      const size = points.values.length;
      assert.ok(size < exact.values.length);
      assert.equal(points.count[size], 30000);
      for (let i = 1; i < size; i++) assert.ok(points.values[i] > points.values[i - 1]);
      for (const clusters of [4, 16, 64]) {
        const inertiaOf = (from: typeof points) => {
          const splits = optimalSplits(from, clusters);
          return assignCodes(
            many,
            Float32Array.from(splits.subarray(1), (end, k) => meanBetween(from, splits[k], end)),
          ).inertia;
        };
        assert.ok(inertiaOf(points) < inertiaOf(exact) * 1.001, `${inertiaOf(points)} ${inertiaOf(exact)}`);
      }
    }
    assert.equal(bucketPoints(new Float32Array(7)).values.length, 1);
  });
});

describe("§3.2.1 codebooks", () => {
  it("give every weight its nearest centroid", () => {
    const { codes, codebook } = clusterWeights(weights, { clusters: 16 });
    for (let i = 0; i < weights.length; i++) {
      const distances = [...codebook].map((c) => Math.abs(c - weights[i]));
      assert.ok(distances[codes[i]] <= Math.min(...distances) + 1e-9);
    }
  });

  it("leave pruned weights at 0 and out of the clusters", () => {
    const mask = Uint8Array.from(weights, (w) => (Math.abs(w) > 0.05 ? 1 : 0));
    const clustered = clusterWeights(weights, { clusters: 4, mask });
    const restored = restoreClusters(clustered);
    const kept = weights.filter((_, i) => mask[i]);
    assert.deepEqual(clustered.codebook, clusterWeights(kept, { clusters: 4 }).codebook);
    for (let i = 0; i < weights.length; i++) assert.equal(restored[i] === 0, mask[i] === 0);
    assert.equal(clusteredBytes(clustered), Math.ceil((kept.length * 2) / 8) + 16);
    assert.equal(
      clusterWeights(weights, { clusters: 4, mask: new Uint8Array(weights.length) }).codebook.length,
      0,
    );
  });

  it("train: the centroid's gradient is the sum over its weights", () => {
    const clustered = clusterWeights(new Float32Array([0, 0.1, 5, 5.2, 9]), { clusters: 3 });
    assert.deepEqual([...clustered.codes], [0, 0, 1, 1, 2]);
    assert.deepEqual([...centroidGradients(clustered, [1, 2, 3, 4, 5])], [3, 7, 5]);
    const moved = trainCentroids(clustered, [1, 2, 3, 4, 5], 0.1);
    assert.deepEqual([...moved.codebook], [...Float32Array.of(0.05 - 0.3, 5.1 - 0.7, 9 - 0.5)]);
    // Against a numerical derivative of L = Σ aᵢ·wᵢ² by one centroid.
    const a = [0.3, -1, 2, 0.7, 1];
    const loss = (codebook: Float32Array) =>
      restoreClusters({ ...clustered, codebook }).reduce((s, w, i) => s + a[i] * w * w, 0);
    const gradient = centroidGradients(
      clustered,
      restoreClusters(clustered).map((w, i) => 2 * a[i] * w),
    );
    for (let k = 0; k < 3; k++) {
      const shifted = (by: number) => loss(clustered.codebook.map((c, j) => (j === k ? c + by : c)));
      assert.ok(Math.abs((shifted(0.125) - shifted(-0.125)) / 0.25 - gradient[k]) < 1e-4);
    }
  });

  it("take nothing, one value, equal values, zeros, and K beyond the distinct values", () => {
    for (const method of ["optimal", "lloyd"] as const) {
      for (const start of starts) {
        const cluster = (values: number[], clusters: number) =>
          clusterWeights(new Float32Array(values), { clusters, method, start });
        assert.deepEqual(cluster([], 4).codebook.length, 0);
        assert.deepEqual([...restoreClusters(cluster([0.5], 4))], [0.5]);
        assert.deepEqual([...restoreClusters(cluster([2, 2, 2], 1))], [2, 2, 2]);
        assert.deepEqual([...restoreClusters(cluster([-2, -2, -2], 7))], [-2, -2, -2]);
        assert.deepEqual([...restoreClusters(cluster([0, 0], 3))], [0, 0]);
        // A codebook holds no more than there is to hold, whatever lies between.
        for (const clusters of [3, 8])
          assert.deepEqual(
            [...cluster([1, 1, 90, 2, 90], clusters).codebook],
            [1, 2, 90],
            `${method} ${start}`,
          );
      }
    }
    const many = clusterWeights(new Float32Array([3, 1, 1, 2, 3]), { clusters: 100 });
    assert.deepEqual([...many.codebook], [1, 2, 3]);
    assert.equal(many.inertia, 0);
    const wide = clusterWeights(normals(1000, 9), { clusters: 300 });
    assert.ok(wide.codes instanceof Uint16Array && wide.codebook.length === 300);
    assert.deepEqual([...assignCodes(new Float32Array([1, 2]), new Float32Array([5])).codes], [0, 0]);
  });

  it("refuse what they cannot do, by name", () => {
    const refuse = (options: object, message: RegExp, values = weights) =>
      assert.throws(() => clusterWeights(values, options as { clusters: number }), message);
    refuse({ clusters: 0 }, /clusters must be a whole number from 1 to 65536, got 0/);
    refuse({ clusters: 4, method: "guess" }, /method must be one of "optimal", "lloyd", got "guess"/);
    refuse({ clusters: 4, start: "left" }, /start must be one of/);
    refuse({ clusters: 4, mask: new Uint8Array(3) }, /mask must have 1200 elements, got 3/);
    refuse({ clusters: 4 }, /weights must be finite, got NaN at index 0/, new Float32Array([Number.NaN]));
    refuse({ clusters: 4 }, /got -Infinity at index 1/, new Float32Array([0, Number.NEGATIVE_INFINITY]));
    for (const method of ["optimal", "lloyd"]) {
      const doubles = Float64Array.of(1, 2, 3) as unknown as Float32Array;
      refuse(
        { clusters: 2, method },
        /weights must be a Float32Array, got Float64Array\(3\)/,
        doubles as Float32Array<ArrayBuffer>,
      );
    }
    assert.throws(
      () => centroidGradients(clusterWeights(weights, { clusters: 2 }), [1]),
      /gradients must have 1200 elements/,
    );
  });
});
