import assert from "node:assert/strict";
import { decodeSlim, encodeSlim } from "slimlab/coding";
import {
  addSamples,
  chooseGrid,
  dequantize,
  emptyStatistics,
  gptq,
  layoutOf,
  outputError,
  quantizationError,
  quantize,
  quantizedBytes,
  quantizeOn,
} from "slimlab/quantization";
import { fromHalf, toHalf } from "../../lib/util/half.ts";
import { normal, seeded } from "../../lib/util/random.ts";

const noise = (count: number, seed = 1) => {
  const random = seeded(seed);
  return Float32Array.from({ length: count }, () => normal(random));
};

/** Each group of values as an array of its own, by the definition alone: which values share a scale, in their order. */
function groupsOf(shape: number[], axes: number[], length: number): number[][] {
  const groups = new Map<string, number[]>();
  const seen = new Map<string, number>();
  const count = shape.reduce((a, b) => a * b, 1);
  for (let at = 0; at < count; at++) {
    let rest = at;
    const index = shape.map(() => 0);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    const channel = axes.map((axis) => index[axis]).join();
    const place = seen.get(channel) ?? 0;
    seen.set(channel, place + 1);
    const key = `${channel} ${Math.floor(place / length)}`;
    groups.set(key, [...(groups.get(key) ?? []), at]);
  }
  return [...groups.values()];
}

describe("quantization: scales for groups of weights (§3.2.1)", () => {
  const cases: [
    what: string,
    shape: number[],
    axis: number | undefined,
    span: number | undefined,
    group: number | undefined,
  ][] = [
    ["a dense kernel, groups of inputs", [70, 5], 1, undefined, 32],
    ["a table, groups of each row", [6, 40], 0, undefined, 16],
    ["a transposed convolution", [2, 3, 4, 6], 2, undefined, 7],
    ["a depthwise convolution with a multiplier", [3, 3, 4, 2], 2, 2, undefined],
    ["the same in groups", [3, 3, 4, 2], 2, 2, 4],
    ["a whole tensor in groups", [10, 10], undefined, undefined, 64],
    ["groups of one", [4, 3], 1, undefined, 1],
    ["no weights", [0, 3], 1, undefined, 32],
  ];
  for (const scheme of ["symmetric", "affine"] as const)
    for (const [what, shape, axis, span, group] of cases)
      it(`${what}, ${scheme}: as each group quantized by itself`, () => {
        const values = noise(shape.reduce((a, b) => a * b, 1));
        const options = { bits: 4, scheme, range: "mse" } as const;
        const q = quantize(values, { ...options, shape, axis, span, group });
        const restored = dequantize(q);
        const axes = axis === undefined ? [] : Array.from({ length: span ?? 1 }, (_, i) => axis + i);
        const groups = groupsOf(shape, axes, group ?? values.length);
        for (const places of groups) {
          const own = Float32Array.from(places, (at) => values[at]);
          assert.deepEqual(
            Float32Array.from(places, (at) => restored[at]),
            dequantize(quantize(own, options)),
          );
        }
        if (values.length > 0) assert.equal(q.scale.length, groups.length);
        assert.equal(q.scale.length, layoutOf(q).scales);
        const [again] = Object.values(
          decodeSlim(encodeSlim({ tensors: { t: { kind: "quantized", quantized: q } } })).tensors,
        );
        assert.ok(again.kind === "quantized");
        assert.deepEqual(again.quantized, { ...q });
      });

  it("counts 4.5 bits per weight for groups of 32 with float16 scales, as GGUF's Q4_0 has", () => {
    const values = noise(64 * 256);
    const options = { bits: 4, shape: [64, 256], axis: 0, group: 32 } as const;
    const half = chooseGrid(values, { ...options, scaleType: "float16" });
    assert.equal((8 * quantizedBytes(half)) / values.length, 4.5);
    assert.equal((8 * quantizedBytes(chooseGrid(values, options))) / values.length, 5);
    for (const scale of half.scale) assert.equal(fromHalf(toHalf(scale)), scale);
    const q = quantizeOn(half, values);
    const bytes = encodeSlim({ tensors: { t: { kind: "quantized", quantized: q } } });
    const { t } = decodeSlim(bytes).tensors;
    assert.ok(t.kind === "quantized");
    assert.deepEqual(t.quantized, q);
    // Scales at both ends of float16 stay what it can hold.
    for (const size of [1e-30, 1e30]) {
      const { scale } = chooseGrid(Float32Array.of(size, -size), { bits: 8, scaleType: "float16" });
      assert.ok(scale[0] > 0 && scale[0] <= 65504, String(scale[0]));
    }
  });

  it("loses less the smaller the groups are, where rows have outliers", () => {
    const values = noise(32 * 512).map((v, i) => (i % 97 === 0 ? 8 * v : v));
    const errors = [undefined, 128, 64, 32].map(
      (group) =>
        quantizationError(values, dequantize(quantize(values, { bits: 4, shape: [32, 512], axis: 0, group })))
          .mse,
    );
    assert.deepEqual(
      errors,
      errors.toSorted((a, b) => b - a),
    );
  });

  it("GPTQ rounds group-wise grids with less output error than to nearest", () => {
    const [inputs, outputs] = [96, 10];
    const weights = noise(inputs * outputs);
    const statistics = emptyStatistics(inputs);
    // Inputs that say much the same.
    const base = noise(400, 5);
    addSamples(
      statistics,
      noise(400 * inputs, 2).map((v, i) => v + 2 * base[Math.floor(i / inputs)]),
    );
    const grid = chooseGrid(weights, { bits: 3, shape: [inputs, outputs], axis: 1, group: 32 });
    const error = (codes: ReturnType<typeof quantizeOn>) =>
      outputError(weights, dequantize(codes), statistics);
    assert.ok(error(gptq(weights, grid, statistics)) < 0.7 * error(quantizeOn(grid, weights)));
    const whole = chooseGrid(weights, { bits: 3, shape: [inputs, outputs], group: 32 });
    assert.throws(() => gptq(weights, whole, statistics), /must have an axis where it has groups/);
  });

  it("says what is wrong with a group, an axis or a span", () => {
    const values = noise(24);
    const at = (options: object) => () => chooseGrid(values, { bits: 4, shape: [4, 6], ...options });
    assert.throws(at({ group: 0 }), /group must be .* got 0/);
    assert.throws(at({ group: 1.5 }), /group must be .* got 1.5/);
    assert.throws(at({ axis: 2 }), /axis must be .* got 2/);
    assert.throws(at({ axis: 1, span: 2 }), /span must be .* got 2/);
    assert.throws(at({ span: 2 }), /span without axis must be/);
    assert.throws(at({ scaleType: "float8" as never }), /scaleType must be one of "float32", "float16"/);
  });
});
