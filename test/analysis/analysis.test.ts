import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  carbonOf,
  correlatedPairs,
  costOf,
  type DecoderShape,
  decoderCost,
  effectiveRank,
  electricityOf,
  energyOf,
  entropy,
  type LayerShape,
  layerSensitivity,
  measureLatencies,
  measureLatency,
  nearZeroShare,
  neuronActivity,
  paretoFront,
  stableRank,
  tokensPerSecond,
  trainingMacs,
  weightEntropy,
} from "../../lib/analysis/index.ts";
import { packageRoot } from "../../lib/util/files.ts";

const fixture = JSON.parse(readFileSync(join(packageRoot, "test/analysis/fixtures/redundancy.json"), "utf8"));
const near = (a: number, b: number, tolerance = 1e-12) =>
  assert.ok(Math.abs(a - b) <= tolerance, `${a} and ${b}`);

/** LeNet-5 as Caffe has it, by hand. */
const lenet5: LayerShape[] = [
  { name: "input", kind: "input", outputShape: [28, 28, 1] },
  {
    name: "conv1",
    kind: "conv2d",
    outputShape: [24, 24, 20],
    kernelShape: [5, 5, 1, 20],
    otherParameters: 20,
  },
  { name: "pool1", kind: "pool", outputShape: [12, 12, 20] },
  {
    name: "conv2",
    kind: "conv2d",
    outputShape: [8, 8, 50],
    kernelShape: [5, 5, 20, 50],
    otherParameters: 50,
  },
  { name: "pool2", kind: "pool", outputShape: [4, 4, 50] },
  { name: "flatten", kind: "other", outputShape: [800], inPlace: true },
  { name: "fc1", kind: "dense", outputShape: [500], kernelShape: [800, 500], otherParameters: 500 },
  { name: "fc2", kind: "dense", outputShape: [10], kernelShape: [500, 10], otherParameters: 10 },
];

describe("1.1 cost of a model", () => {
  it("counts LeNet-5's 431,080 parameters and 2,293,000 multiply-accumulates", () => {
    const cost = costOf(lenet5);
    assert.equal(cost.parameters, 431_080);
    assert.equal(cost.bytes, 431_080 * 4);
    assert.equal(cost.macs, 24 * 24 * 500 + 8 * 8 * 25_000 + 400_000 + 5000);
    assert.equal(cost.layers[1].parameters, 520);
    // conv1's output with pool1's is the peak: 11,520 + 2,880 floats.
    assert.equal(cost.peakActivationBytes, (11_520 + 2_880) * 4);
  });

  it("keeps a skipped connection's memory alive until it is read", () => {
    const residual: LayerShape[] = [
      { name: "a", kind: "input", outputShape: [10] },
      { name: "b", kind: "other", outputShape: [10] },
      { name: "c", kind: "other", outputShape: [30] },
      { name: "sum", kind: "other", outputShape: [10], inputs: ["a", "c"] },
    ];
    assert.equal(costOf(residual, { bytesPerActivation: 1 }).peakActivationBytes, 50);
    assert.equal(costOf(residual.slice(0, 3), { bytesPerActivation: 1 }).peakActivationBytes, 40);
  });

  it("counts depthwise convolutions by channel, and names what does not fit", () => {
    const depthwise: LayerShape = {
      name: "dw",
      kind: "depthwiseConv2d",
      outputShape: [4, 4, 6],
      kernelShape: [3, 3, 3, 2],
    };
    assert.equal(costOf([depthwise]).macs, 16 * 54);
    assert.throws(
      () => costOf([{ ...depthwise, outputShape: [4, 4, 3] }]),
      /outputShape of dw must end in 6, got 3/,
    );
    assert.throws(() => costOf([{ ...depthwise, kernelShape: [3] }]), /kernelShape of dw must have 4 sizes/);
    assert.throws(
      () => costOf([{ ...depthwise, inputs: ["x"] }]),
      /inputs of dw must name earlier layers, got "x"/,
    );
  });
});

describe("1.1 energy", () => {
  it("adds up the published picojoules", () => {
    const energy = energyOf({ macs: 1e6, weightBytes: 4e6, activationBytes: 4e6 });
    near(energy.arithmetic, 4.6);
    near(energy.weights, 640);
    near(energy.activations, 10);
    near(energy.total, 654.6, 1e-9);
    near(
      energyOf({ macs: 1e6, weightBytes: 4e6, activationBytes: 0 }, { format: "int8", weightsIn: "sram" })
        .total,
      5.3,
    );
    assert.throws(
      () => energyOf({ macs: -1, weightBytes: 0, activationBytes: 0 }),
      /macs must be a number of at least 0/,
    );
  });
});

describe("1.1 training", () => {
  // Llama 2, model card and paper (arXiv:2307.09288), table 2: 7B took 184,320 hours of 400 W and 31.22 t, 70B 1,720,320 and 291.42.
  it("has the electricity and carbon that Llama 2's report gives", () => {
    const small = electricityOf({ hours: 184_320, watts: 400 });
    const large = electricityOf({ hours: 1_720_320, watts: 400 });
    near(small, 73_728);
    const grams = (31.22e6 / small + 291.42e6 / large) / 2; // what its authors took for their grid
    near(carbonOf(small, grams) / 1000, 31.22, 0.05);
    near(carbonOf(large, grams) / 1000, 291.42, 0.5);
    near(electricityOf({ hours: 10, watts: 100, overhead: 1.5 }), 1.5);
    assert.throws(
      () => electricityOf({ hours: 1, watts: 1, overhead: 0.9 }),
      /overhead must be a number of at least 1/,
    );
    assert.throws(() => carbonOf(-1, 1), /kilowattHours must be/);
  });

  it("counts a forward pass and two of them backward", () => {
    assert.equal(trainingMacs(266_200, 8000 * 40), 3 * 266_200 * 320_000);
    assert.throws(() => trainingMacs(1, Number.NaN), /examples must be/);
  });
});

describe("1.1 language models", () => {
  const shapes: Record<string, { shape: DecoderShape; parameters: number }> = {
    // What transformers' num_parameters() says of each, and the shapes of their config.json.
    "Llama 2 7B": {
      shape: { layers: 32, width: 4096, hidden: 11008, heads: 32, vocabulary: 32000 },
      parameters: 6_738_415_616,
    },
    "Llama 3.1 8B": {
      shape: { layers: 32, width: 4096, hidden: 14336, heads: 32, keyValueHeads: 8, vocabulary: 128256 },
      parameters: 8_030_261_248,
    },
    "SmolLM2 135M": {
      shape: {
        layers: 30,
        width: 576,
        hidden: 1536,
        heads: 9,
        keyValueHeads: 3,
        vocabulary: 49152,
        tied: true,
      },
      parameters: 134_515_008,
    },
  };
  it("have as many parameters as published, to the last one", () => {
    for (const [name, { shape, parameters }] of Object.entries(shapes))
      assert.equal(decoderCost(shape).parameters, parameters, name);
  });

  it("move their weights and their cache for every token", () => {
    const shape: DecoderShape = {
      layers: 2,
      width: 8,
      hidden: 16,
      heads: 4,
      keyValueHeads: 2,
      vocabulary: 10,
    };
    const cost = decoderCost(shape, { bits: 8, cacheBits: 16, context: 5 });
    // q and o 8 x 8, k and v 8 x 4, three of 8 x 16; norms 8 a layer twice and one at the end; a row of the embedding, the output.
    const matrices = 2 * (2 * 64 + 2 * 32 + 3 * 128);
    assert.equal(cost.parameters, matrices + 5 * 8 + 2 * 80);
    assert.equal(cost.cacheBytesPerToken, 2 * 2 * 4 * 2);
    assert.equal(cost.bytesPerToken, matrices + 40 + 8 + 80 + 5 * 32);
    assert.equal(cost.macsPerToken, matrices + 80 + 2 * 2 * 8 * 5);
    near(tokensPerSecond(cost, 2 * cost.bytesPerToken), 2);
    const tied = decoderCost({ ...shape, tied: true }, { bits: 8 });
    assert.equal(tied.bytes, matrices + 40 + 80);
    assert.equal(tied.bytesPerToken, tied.bytes);
  });

  it("must be decoders", () => {
    const { shape } = shapes["Llama 2 7B"];
    assert.throws(() => decoderCost({ ...shape, keyValueHeads: 33 }), /keyValueHeads must be/);
    assert.throws(() => decoderCost({ ...shape, width: 4097 }), /headWidth must be/);
    assert.throws(() => decoderCost(shape, { bits: 64 }), /bits must be/);
    assert.throws(() => tokensPerSecond(decoderCost(shape), 0), /bandwidth must be/);
  });
});

describe("2.1 redundancy", () => {
  it("of parameters: near-zero share and entropy", () => {
    near(nearZeroShare([0, 0.04, -0.06, 1], 0.05), 0.5);
    assert.equal(nearZeroShare([0, 0]), 1);
    near(weightEntropy(fixture.weights, 4), fixture.entropyOf4Bits, 1e-12);
    assert.equal(weightEntropy([3, 3, 3]), 0);
    near(entropy([1, 1, 1, 1]), 2);
    assert.throws(() => nearZeroShare([]), /number of weights must be a whole number of at least 1, got 0/);
    assert.throws(() => weightEntropy([1, Number.NaN]), /weights must be finite/);
  });

  it("of neurons: dead, nearly dead, correlated as NumPy has it", () => {
    const activity = neuronActivity([0, 1, 2, 0, 3, 0, 0, 5, 0, 0, 7, 0], 3, { rare: 0.3 });
    assert.deepEqual(activity.dead, [0]);
    assert.deepEqual(activity.nearDead, [0, 2]);
    assert.deepEqual([...activity.mean], [0, 4, 0.5]);
    // 5 of 6 are no less than 5 / 6, which five times 1 / 6 added up is.
    const often = neuronActivity([1, 1, 1, 1, 1, 0], 1, { rare: 5 / 6 });
    assert.deepEqual([often.activeShare[0], often.nearDead], [5 / 6, []]);
    near(activity.deviation[1], Math.sqrt(5));
    const pairs = correlatedPairs(fixture.activations, fixture.neurons, 0);
    assert.equal(pairs.length, 6);
    for (const { first, second, correlation } of pairs)
      near(correlation, fixture.correlation[first * 4 + second]);
    assert.deepEqual([pairs[0].first, pairs[0].second], [0, 2]);
    assert.deepEqual(correlatedPairs([1, 2, 1, 2], 2, 0), []);
    assert.throws(() => correlatedPairs([1, 2, 3], 2), /examples in activations must be a whole number/);
  });

  it("of structure: effective and stable rank as NumPy has them, and layer sensitivity", async () => {
    near(effectiveRank(fixture.singularValues), fixture.effectiveRank);
    near(stableRank(fixture.singularValues), fixture.stableRank);
    near(effectiveRank([2, 2, 2]), 3);
    assert.equal(effectiveRank([5, 0]), 1);
    assert.equal(effectiveRank([0, 0]), 0);
    assert.equal(stableRank([0]), 0);
    for (const size of [1e-180, 1e180]) near(stableRank([2 * size, size]), 1.25);
    const rows = await layerSensitivity(["a", "b"], [0.5, 0.9], (layer, level) =>
      layer === "b" ? 1 - level! : 1,
    );
    assert.deepEqual(
      rows.map(({ drop }) => drop),
      [0, 0, 0.5, 0.9],
    );
  });
});

describe("2.2 trade-off", () => {
  it("keeps the Pareto front and nothing else", () => {
    const points: [number, number][] = [
      [5, 0.9],
      [1, 0.5],
      [3, 0.8],
      [3, 0.7],
      [4, 0.8],
      [1, 0.5],
      [9, 0.9],
    ];
    const front = paretoFront(
      points,
      ([size]) => size,
      ([, accuracy]) => accuracy,
    );
    assert.deepEqual(front, [
      [1, 0.5],
      [3, 0.8],
      [5, 0.9],
    ]);
    assert.equal(front[0], points[1]);
    assert.deepEqual(
      paretoFront(
        [],
        () => 0,
        () => 0,
      ),
      [],
    );
    assert.throws(
      () =>
        paretoFront(
          [1],
          () => Number.NaN,
          () => 0,
        ),
      /size must be a number/,
    );
  });

  it("measures every run after the warm-up, and orders what it reports", async () => {
    let calls = 0;
    const latency = await measureLatency(() => calls++, { runs: 10, warmup: 2 });
    assert.equal(calls, 12);
    assert.ok(latency.fastest <= latency.median && latency.median <= latency.p90 && latency.runs === 10);
  });

  it("by a clock as coarse as a browser's, measures work that takes less than a step of it", async () => {
    const { now } = performance;
    let work = 0;
    performance.now = () => {
      work += 0.001;
      return Math.floor(work);
    };
    try {
      const { fastest, p90 } = await measureLatency(() => (work += 0.13), { runs: 5 });
      assert.ok(fastest > 0.12 && p90 < 0.14, `${fastest} to ${p90}`);
    } finally {
      performance.now = now;
    }
  });

  it("lets works take turns, awaits each, and ends at a signal", async () => {
    const order: string[] = [];
    const stop = new AbortController();
    const work = (name: string) => async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (order.push(name) === 6) stop.abort(new Error("enough"));
    };
    const works = { a: work("a"), b: work("b") };
    const both = await measureLatencies(works, { runs: 1, warmup: 1 });
    assert.deepEqual(order, ["a", "b", "a", "b"]);
    assert.deepEqual(Object.keys(both), ["a", "b"]);
    await assert.rejects(measureLatencies(works, { runs: 9, warmup: 0, signal: stop.signal }), /enough/);
    assert.equal(order.length, 6);
    await assert.rejects(
      measureLatency(() => {}, { runs: 0 }),
      /runs must be a whole number of at least 1/,
    );
    await assert.rejects(
      measureLatency(() => {}, { warmup: -1 }),
      /warmup must be a whole number of at least 0/,
    );
  });
});
