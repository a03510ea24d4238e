import assert from "node:assert/strict";
import {
  addSamples,
  allocate,
  type Choice,
  chooseGrid,
  dequantize,
  emptyStatistics,
  equalize,
  fakeQuantize,
  gptq,
  outputError,
  outputShift,
  paretoAllocations,
  quantizeOn,
} from "../../lib/quantization/index.ts";
import { seeded } from "../../lib/util/random.ts";
import { fixture, normals } from "./fixture.ts";

/** The inverse of a positive definite matrix, by Gauss and Jordan. */
function inverted(matrix: number[][]): number[][] {
  const n = matrix.length;
  const a = matrix.map((row, i) => [...row, ...row.map((_, j) => Number(i === j))]);
  for (let k = 0; k < n; k++) {
    const own = a[k][k];
    for (let j = 0; j < 2 * n; j++) a[k][j] /= own;
    for (let i = 0; i < n; i++) {
      const share = a[i][k];
      if (i !== k && share !== 0) for (let j = 0; j < 2 * n; j++) a[i][j] -= share * a[k][j];
    }
  }
  return a.map((row) => row.slice(n));
}

/** Statistics of inputs given at once. */
function statisticsOf(inputs: Float32Array, size: number) {
  const statistics = emptyStatistics(size);
  addSamples(statistics, inputs);
  return statistics;
}

describe("§3.2.1 automatic quantization: input statistics", () => {
  it("are XᵀX / samples and the mean, in one batch or in several", () => {
    const inputs = normals(30 * 5, 1);
    const whole = statisticsOf(inputs, 5);
    const parts = emptyStatistics(5);
    for (const [from, to] of [
      [0, 7],
      [7, 7],
      [7, 30],
    ])
      addSamples(parts, inputs.subarray(from * 5, to * 5));
    assert.equal(parts.samples, 30);
    for (let i = 0; i < 5; i++) {
      let mean = 0;
      for (let r = 0; r < 30; r++) mean += inputs[r * 5 + i] / 30;
      assert.ok(Math.abs(whole.mean[i] - mean) < 1e-12 && Math.abs(parts.mean[i] - mean) < 1e-12);
      for (let j = 0; j < 5; j++) {
        let sum = 0;
        for (let r = 0; r < 30; r++) sum += (inputs[r * 5 + i] * inputs[r * 5 + j]) / 30;
        assert.ok(
          Math.abs(whole.hessian[i * 5 + j] - sum) < 1e-12 &&
            Math.abs(parts.hessian[i * 5 + j] - sum) < 1e-12,
        );
      }
    }
    assert.throws(() => addSamples(parts, new Float32Array(7)), /inputs must be rows of 5 numbers, got 7/);
    assert.throws(() => addSamples(parts, new Float32Array(5).fill(Number.NaN)), /inputs must be finite/);
    assert.throws(
      () => addSamples(parts, [1, 2, 3, 4, 5] as unknown as Float32Array),
      /inputs must be a Float32Array, got Array\(5\)/,
    );
  });

  it("give the error of a layer's outputs", () => {
    const inputs = normals(40 * 6, 2);
    const before = normals(6 * 3, 3);
    const after = normals(6 * 3, 4);
    let direct = 0;
    for (let r = 0; r < 40; r++) {
      for (let o = 0; o < 3; o++) {
        let difference = 0;
        for (let i = 0; i < 6; i++) difference += inputs[r * 6 + i] * (after[i * 3 + o] - before[i * 3 + o]);
        direct += difference ** 2 / 40;
      }
    }
    assert.ok(Math.abs(outputError(before, after, statisticsOf(inputs, 6)) / direct - 1) < 1e-5);
  });
});

describe("§3.2.1 GPTQ", () => {
  const numpy = fixture("gptq");
  const inputs = new Float32Array(numpy.inputs);
  const weights = new Float32Array(numpy.weights);
  const shape = [numpy.n, numpy.outputs];

  it("agrees with an independent NumPy implementation, code for code", () => {
    const statistics = statisticsOf(inputs, numpy.n);
    for (const { bits, order, codes, error } of numpy.cases) {
      const grid = chooseGrid(weights, { bits, shape, axis: 1 });
      const q = gptq(weights, grid, statistics, { order });
      assert.deepEqual([...q.codes], codes, `${bits} bits, ${order}`);
      assert.ok(Math.abs(outputError(weights, dequantize(q), statistics) / error - 1) < 1e-4);
    }
  });

  it("is Optimal Brain Surgeon's rule, input by input, for more inputs than one block", () => {
    const [n, outputs] = [150, 5];
    const [wide, w] = [normals(400 * n, 8), normals(n * outputs, 9)];
    const statistics = statisticsOf(wide, n);
    const grid = chooseGrid(w, { bits: 4, shape: [n, outputs], axis: 1 });
    // Hassibi and Stork's own way: H inverted, each rounded input taken out of the inverse.
    const trace = Array.from({ length: n }, (_, i) => statistics.hessian[i * n + i]).reduce((a, b) => a + b);
    const h = Array.from({ length: n }, (_, i) =>
      Array.from({ length: n }, (_, j) => statistics.hessian[i * n + j] + (i === j ? (0.01 * trace) / n : 0)),
    );
    const inverse = inverted(h);
    const rest = Float64Array.from(w);
    const codes = new Int8Array(w.length);
    for (let i = 0; i < n; i++) {
      const own = inverse[i][i];
      for (let o = 0; o < outputs; o++) {
        const at = i * outputs + o;
        codes[at] = Math.max(-7, Math.min(7, Math.round(rest[at] / grid.scale[o])));
        const error = (rest[at] - codes[at] * grid.scale[o]) / own;
        for (let j = i + 1; j < n; j++) rest[j * outputs + o] -= error * inverse[i][j];
      }
      const row = inverse[i].map((value) => value / own);
      for (let j = i + 1; j < n; j++) for (let k = i + 1; k < n; k++) inverse[j][k] -= inverse[j][i] * row[k];
    }
    assert.deepEqual(gptq(w, grid, statistics, { order: "natural" }).codes, codes);
  });

  it("beats rounding to nearest on the layer's output, at every width, scheme and granularity", () => {
    const statistics = statisticsOf(inputs, numpy.n);
    for (const bits of [2, 3, 4, 6, 8]) {
      for (const scheme of ["symmetric", "affine"] as const) {
        for (const axis of [undefined, 1]) {
          const grid = chooseGrid(weights, { bits, scheme, shape, axis, range: "mse" });
          const nearest = outputError(weights, dequantize(quantizeOn(grid, weights)), statistics);
          const ours = outputError(weights, dequantize(gptq(weights, grid, statistics)), statistics);
          assert.ok(ours < 0.8 * nearest, `${bits} ${scheme} ${axis}: ${ours} ${nearest}`);
        }
      }
    }
  });

  it("sees that its statistics went on", () => {
    const statistics = statisticsOf(inputs, numpy.n);
    const grid = chooseGrid(weights, { bits: 3, shape, range: "mse" });
    const before = gptq(weights, grid, statistics).codes;
    statistics.hessian.fill(0);
    for (let i = 0; i < numpy.n; i++) statistics.hessian[i * numpy.n + i] = 1;
    const plain = quantizeOn(grid, weights).codes;
    assert.notDeepEqual(before, plain);
    assert.deepEqual(gptq(weights, grid, statistics).codes, plain);
  });

  it("is plain rounding where inputs are independent, and where damping is huge", () => {
    const statistics = emptyStatistics(numpy.n);
    statistics.hessian.fill(0);
    for (let i = 0; i < numpy.n; i++) statistics.hessian[i * numpy.n + i] = 1 + i;
    const grid = chooseGrid(weights, { bits: 3, shape, axis: 1 });
    const plain = quantizeOn(grid, weights);
    assert.deepEqual(gptq(weights, grid, statistics), plain);
    assert.deepEqual(gptq(weights, grid, statisticsOf(inputs, numpy.n), { damping: 1e9 }), plain);
    // Inputs never seen: nothing is known of them.
    assert.deepEqual(gptq(weights, grid, emptyStatistics(numpy.n)), plain);
  });

  it("takes one input, one bit, zeros and nothing, and refuses what does not fit", () => {
    for (const bits of [1, 4]) {
      const w = new Float32Array([0.5, -1]);
      const grid = chooseGrid(w, { bits, shape: [1, 2] });
      assert.deepEqual(gptq(w, grid, statisticsOf(new Float32Array([1, 2]), 1)), quantizeOn(grid, w));
      const none = chooseGrid(new Float32Array(0), { bits, shape: [0, 2] });
      assert.equal(gptq(new Float32Array(0), none, emptyStatistics(0)).codes.length, 0);
    }
    const zeros = new Float32Array(8);
    const grid = chooseGrid(zeros, { bits: 4, shape: [4, 2] });
    assert.deepEqual([...gptq(zeros, grid, statisticsOf(normals(12, 1), 4)).codes], [...zeros]);
    assert.throws(() => gptq(zeros, grid, emptyStatistics(3)), /weights must have 6 elements, got 8/);
    assert.throws(() => gptq(zeros.fill(Number.NaN), grid, emptyStatistics(4)), /weights must be finite/);
    const wrong = chooseGrid(new Float32Array(8), { bits: 4, shape: [4, 2], axis: 0 });
    assert.throws(
      () => gptq(new Float32Array(8), wrong, emptyStatistics(4)),
      /grid must have its scales along the last axis, got axis 0/,
    );
    // Two equal inputs without damping: H has no inverse.
    const same = statisticsOf(new Float32Array([1, 1, 2, 2, 3, 3]), 2);
    const two = chooseGrid(new Float32Array([0.3, 0.7]), { bits: 4, shape: [2, 1] });
    assert.throws(
      () => gptq(new Float32Array([0.3, 0.7]), two, same, { damping: 0 }),
      /damping must be larger/,
    );
    assert.equal(gptq(new Float32Array([0.3, 0.7]), two, same).codes.length, 2);
  });
});

describe("§3.2.1 cross-layer equalization", () => {
  it("keeps what two layers compute and gives each channel the same range in both", () => {
    const random = seeded(5);
    const [inputs, channels, outputs, places] = [6, 4, 3, 2];
    // Channels of very different ranges.
    const first = normals(inputs * channels, 1).map((w, i) => w * 10 ** ((i % channels) - 1));
    const bias = normals(channels, 2);
    const second = normals(channels * places * outputs, 3);
    const after = equalize(first, bias, second, channels, channels * places);
    const run = (w: Float32Array, b: Float32Array, v: Float32Array, x: number[]) => {
      const hidden = Array.from({ length: channels }, (_, c) =>
        Math.max(0, b[c] + x.reduce((sum, xi, i) => sum + xi * w[i * channels + c], 0)),
      );
      return Array.from({ length: outputs }, (_, o) => {
        let sum = 0;
        for (let r = 0; r < channels * places; r++)
          sum += hidden[r % channels] * (r < channels ? 1 : 0.5) * v[r * outputs + o];
        return sum;
      });
    };
    for (let round = 0; round < 20; round++) {
      const x = Array.from({ length: inputs }, () => random() * 2 - 1);
      const [a, b] = [run(first, bias, second, x), run(after.first, after.bias!, after.second, x)];
      a.forEach((y, o) => {
        assert.ok(Math.abs(y - b[o]) < 1e-4 * (1 + Math.abs(y)));
      });
    }
    for (let c = 0; c < channels; c++) {
      const r1 = Math.max(...[...after.first].filter((_, i) => i % channels === c).map(Math.abs));
      const r2 = Math.max(
        ...[...after.second].filter((_, i) => Math.floor(i / outputs) % channels === c).map(Math.abs),
      );
      assert.ok(Math.abs(r1 / r2 - 1) < 1e-5);
    }
    // What both layers quantized per tensor do to the outputs.
    const quantized = (w: Float32Array) => fakeQuantize(w, { bits: 5 });
    const loss = (w: Float32Array, b: Float32Array, v: Float32Array) => {
      let sum = 0;
      for (let round = 0; round < 50; round++) {
        const x = Array.from({ length: inputs }, () => random() * 2 - 1);
        const exact = run(w, b, v, x);
        run(quantized(w), b, quantized(v), x).forEach((y, o) => {
          sum += (y - exact[o]) ** 2;
        });
      }
      return sum;
    };
    assert.ok(loss(after.first, after.bias!, after.second) < loss(first, bias, second) / 2);
  });

  it("leaves channels of zeros alone and refuses what does not fit", () => {
    const { first, second, scales } = equalize(
      new Float32Array([0, 4]),
      undefined,
      new Float32Array([5, 1]),
      2,
      2,
    );
    assert.deepEqual([...scales], [1, 2]);
    assert.deepEqual([...first], [0, 2]);
    assert.deepEqual([...second], [5, 2]);
    assert.throws(
      () => equalize(new Float32Array(3), undefined, new Float32Array(2), 2, 2),
      /first must be rows of 2 weights, got 3/,
    );
    assert.throws(
      () => equalize(new Float32Array(4), undefined, new Float32Array(3), 2, 3),
      /rows must be a multiple of 2, got 3/,
    );
    assert.throws(
      () => equalize(new Float32Array(4), new Float32Array(1), new Float32Array(2), 2, 2),
      /bias must have 2 elements, got 1/,
    );
    assert.throws(
      () => equalize(new Float32Array([1, Number.NaN]), undefined, new Float32Array(2), 2, 2),
      /first must be finite/,
    );
  });
});

describe("§3.2.1 bias correction", () => {
  it("is the shift of the mean output", () => {
    const inputs = normals(200 * 8, 6).map(Math.abs);
    const before = normals(8 * 3, 7);
    const after = fakeQuantize(before, { bits: 3 });
    const shift = outputShift(before, after, statisticsOf(inputs, 8).mean);
    for (let o = 0; o < 3; o++) {
      let mean = 0;
      for (let r = 0; r < 200; r++)
        for (let i = 0; i < 8; i++)
          mean += (inputs[r * 8 + i] * (after[i * 3 + o] - before[i * 3 + o])) / 200;
      assert.ok(Math.abs(shift[o] - mean) < 1e-6);
    }
    assert.throws(
      () =>
        outputShift(before, new Float32Array(before.length).fill(Number.NaN), statisticsOf(inputs, 8).mean),
      /after must be finite, got NaN at index 0/,
    );
    assert.throws(() => outputShift(before, after, [1, 2, 3, 4, 5]), /must be a whole number/);
    assert.equal(outputShift(new Float32Array(0), new Float32Array(0), []).length, 0);
  });
});

describe("§3.2.1 bits for layers within a budget", () => {
  it("are the best of all allocations, tried one by one", () => {
    const random = seeded(9);
    for (let round = 0; round < 50; round++) {
      const layers: Choice[][] = Array.from({ length: 4 }, () =>
        Array.from({ length: 4 }, () => ({ bytes: Math.floor(random() * 50), cost: random() })),
      );
      const budget = 100;
      let best = Number.POSITIVE_INFINITY;
      for (let code = 0; code < 256; code++) {
        const picks = layers.map((choices, i) => choices[(code >> (2 * i)) & 3]);
        if (picks.reduce((sum, p) => sum + p.bytes, 0) <= budget) {
          best = Math.min(
            best,
            picks.reduce((sum, p) => sum + p.cost, 0),
          );
        }
      }
      if (best === Number.POSITIVE_INFINITY)
        assert.throws(() => allocate(layers, budget), /budget must be at least/);
      else {
        const found = allocate(layers, budget);
        assert.ok(Math.abs(found.cost - best) < 1e-12 && found.bytes <= budget);
        assert.ok(
          Math.abs(found.picks.reduce((sum, pick, i) => sum + layers[i][pick].cost, 0) - best) < 1e-12,
        );
      }
      const front = paretoAllocations(layers);
      for (let i = 1; i < front.length; i++)
        assert.ok(front[i].bytes > front[i - 1].bytes && front[i].cost < front[i - 1].cost);
    }
  });

  it("take no layers, and refuse layers without choices", () => {
    assert.deepEqual(allocate([], 0), { bytes: 0, cost: 0, picks: [] });
    assert.throws(() => allocate([[]], 5), /layer 0 must have at least one choice, got none/);
    assert.throws(
      () => allocate([[{ bytes: 10, cost: 1 }]], 5),
      /budget must be at least 10 bytes for these layers, got 5/,
    );
    assert.throws(() => allocate([[{ bytes: 10, cost: Number.NaN }]], 50), /cost must be a number/);
    const pair = [
      { bytes: 1, cost: 2 },
      { bytes: 2, cost: 1 },
    ];
    assert.throws(() => paretoAllocations([pair], 1), /limit must be a whole number of at least 2, got 1/);
    assert.deepEqual(
      paretoAllocations([pair, pair], 2).map(({ bytes }) => bytes),
      [2, 4],
    );
  });
});
