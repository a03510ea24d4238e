import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDataset, subset } from "../../lib/datasets/index.ts";
import {
  encodeGraphAsTflite,
  importTflite,
  smallKernels,
  type TfliteOptions,
  tfliteModelOf,
} from "../../lib/formats/index.ts";
import {
  calibrateActivations,
  graphOf,
  loadPretrained,
  modelOf,
  quantizedForward,
  quantizeWeights,
  setWeights,
  tf,
  useBackend,
  weightsOf,
} from "../../lib/nn/index.ts";
import { applyMasks, globalSparsity } from "../../lib/pruning/index.ts";
import { fakeQuantize } from "../../lib/quantization/index.ts";
import { Judge, packed, unpacked } from "./judge.ts";
import { agreement, answers, branching, inputsFor, randomize, relative } from "./networks.ts";

describe("formats: TFLite out", function () {
  this.timeout(300_000);
  let folder: string;
  let judge: Judge | undefined;
  let lenet: tf.LayersModel;
  let digits: Float32Array;
  const count = 300;
  before(async () => {
    await useBackend("wasm");
    folder = await mkdtemp(join(tmpdir(), "slimlab-tflite-"));
    judge = Judge.start("ai_edge_litert");
    lenet = await loadPretrained("lenet-5");
    const { test } = await loadDataset("mnist-10k");
    digits = Float32Array.from(test.images.subarray(0, count * 784), (pixel) => pixel / 255);
  });
  after(async () => {
    judge?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** What LiteRT answers, with its default delegate (XNNPACK) or without. */
  async function run(
    bytes: Uint8Array,
    values: Float32Array,
    shape: number[],
    delegates = true,
  ): Promise<Float32Array> {
    const path = join(folder, `${Math.random()}.tflite`);
    await writeFile(path, bytes);
    const [output] = (await judge!.call("tflite_run", path, [packed(values, shape)], delegates)) as never[];
    return unpacked(output) as Float32Array;
  }
  const images = [count, 28, 28, 1];

  it("LeNet-5 and a network with every kind of layer give in LiteRT what they give here", async function () {
    if (!judge) this.skip();
    for (const model of [lenet, branching("tanh")]) {
      const { values, shape } = inputsFor(model, 1);
      const bytes = encodeGraphAsTflite(graphOf(model));
      for (const delegates of [true, false]) {
        const difference = relative(
          await run(bytes, values, shape, delegates),
          answers(model, values, shape),
        );
        assert.ok(
          difference < 1e-5,
          `${model.name}, delegates ${delegates}: ${difference} of the largest output`,
        );
      }
    }
  });

  it("float16 and 8-bit kernels are as small as that, and as close", async function () {
    if (!judge) this.skip();
    const size = encodeGraphAsTflite(graphOf(lenet)).length;
    const expected = answers(lenet, digits, images);
    for (const [weights, share, most] of [
      ["float16", 0.51, 2e-3],
      ["int8", 0.27, 0.1],
      ["int4", 0.15, 0.3],
    ] as const) {
      const bytes = encodeGraphAsTflite(graphOf(lenet), { weights });
      assert.ok(bytes.length < share * size, `${weights}: ${bytes.length} of ${size} bytes`);
      const outputs = await run(bytes, digits, images);
      const difference = relative(outputs, expected);
      assert.ok(difference < most, `${weights}: ${difference}`);
      assert.ok(agreement(outputs, expected, 10) > 0.99, weights);
    }
    const { values, shape } = inputsFor(branching("tanh"), 1);
    const outputs = await run(
      encodeGraphAsTflite(graphOf(branching("tanh")), { weights: "int8", keepFloatBelow: 0 }),
      values,
      shape,
    );
    const difference = relative(outputs, answers(branching("tanh"), values, shape));
    assert.ok(difference < 0.05, `branching in int8 kernels: ${difference}`);
  });

  it("small kernels stay floats, as TFLite's converter leaves them, but for networks in integers", () => {
    const graph = graphOf(lenet);
    const kernels = (bytes: Uint8Array) =>
      new Map(
        importTflite(bytes).graph.nodes.flatMap(({ name, weights }) =>
          weights.kernel ? [[name, weights.kernel.values!] as const] : [],
        ),
      );
    const exact = (bytes: Uint8Array) => {
      const own = kernels(encodeGraphAsTflite(graph));
      return [...kernels(bytes)].map(([name, values]) => values.every((w, i) => w === own.get(name)![i]));
    };
    // conv1 has 150 or 500 weights, all others more than 1,024.
    for (const weights of ["int8", "int4"] as const) {
      assert.deepEqual(exact(encodeGraphAsTflite(graph, { weights })), [true, false, false, false]);
      const none = encodeGraphAsTflite(graph, { weights, keepFloatBelow: 0 });
      assert.deepEqual(exact(none), [false, false, false, false]);
      const most = encodeGraphAsTflite(graph, { weights, keepFloatBelow: 1e9 });
      assert.deepEqual(exact(most), [true, true, true, true]);
    }
    assert.deepEqual(smallKernels(graph, {}), ["conv1"]);
    const { quantized } = quantizeWeights(modelOf(graph), { bits: 8, keepFloat: { below: 0 } });
    const given = encodeGraphAsTflite(graph, { quantized: { conv1: quantized.conv1 } });
    assert.deepEqual(exact(given), [false, false, false, false]);
    const { tensors } = tfliteModelOf(graph, { activations: { layers: {} } });
    assert.equal(tensors.find(({ name }) => name === "conv1/kernel")!.type, "INT8");
    assert.throws(() => tfliteModelOf(graph, { keepFloatBelow: -1 }), /keepFloatBelow must be/);
  });

  it("sparse kernels of floats take what is kept, run in LiteRT with and without its delegate, and are read again", async function () {
    if (!judge) this.skip();
    const pruned = modelOf(graphOf(lenet));
    setWeights(pruned, applyMasks(weightsOf(pruned), globalSparsity(weightsOf(pruned), 0.9)));
    // A depthwise kernel, a transposed one and rows without any weight.
    const mixed = branching("tanh");
    const kept = ({ length }: Float32Array, every: number) =>
      Uint8Array.from({ length }, (_, i) => Number(i % every === 0 && i > length / 8));
    setWeights(
      mixed,
      applyMasks(
        weightsOf(mixed),
        Object.fromEntries(Object.entries(weightsOf(mixed)).map(([name, values]) => [name, kept(values, 7)])),
      ),
    );
    for (const model of [pruned, mixed]) {
      const graph = graphOf(model);
      const { values, shape } = inputsFor(model, 1);
      const expected = answers(model, values, shape);
      for (const weights of ["float32", "float16"] as const) {
        const dense = encodeGraphAsTflite(graph, { weights });
        const sparse = encodeGraphAsTflite(graph, { weights, sparse: true });
        if (model === pruned)
          assert.ok(
            sparse.length < 0.25 * dense.length,
            `${weights}: ${sparse.length} of ${dense.length} bytes`,
          );
        for (const delegates of [true, false]) {
          const difference = relative(await run(sparse, values, shape, delegates), expected);
          assert.ok(
            difference < (weights === "float32" ? 1e-5 : 4e-3),
            `${model.name}, ${weights}: ${difference}`,
          );
        }
        const again = answers(modelOf(importTflite(sparse).graph), values, shape);
        assert.ok(
          relative(again, expected) < (weights === "float32" ? 1e-5 : 4e-3),
          `${model.name} read again`,
        );
      }
    }
    assert.throws(
      () => encodeGraphAsTflite(graphOf(lenet), { weights: "int8", sparse: true }),
      /sparse kernels must have weights float32 or float16, got int8: LiteRT refuses others behind DENSIFY/,
    );
  });

  it("4-bit kernels are the numbers that their codes say, with and without the default delegate", async function () {
    if (!judge) this.skip();
    const model = branching("tanh");
    const graph = graphOf(model);
    const rounded = graph.nodes.map((node) => {
      const weights = Object.entries(node.weights).map(([role, { shape, values }]) => {
        // Transposed convolutions have their kernels in floats.
        if (!role.toLowerCase().endsWith("kernel") || node.kind === "conv2dTranspose")
          return [role, { shape, values }];
        // A depthwise kernel [height, width, channels, filters] has a scale for each of its filters.
        const depthwise = role === "depthwiseKernel";
        const place = {
          shape: [...shape],
          axis: depthwise ? 2 : shape.length - 1,
          ...(depthwise ? { span: 2 } : {}),
        };
        return [
          role,
          { shape, values: fakeQuantize(values as Float32Array, { bits: depthwise ? 8 : 4, ...place }) },
        ];
      });
      return { ...node, weights: Object.fromEntries(weights) };
    });
    const simulation = modelOf({ ...graph, nodes: rounded });
    const { values, shape } = inputsFor(model, 1);
    const expected = answers(simulation, values, shape);
    const bytes = encodeGraphAsTflite(graph, { weights: "int4", keepFloatBelow: 0 });
    for (const delegates of [true, false]) {
      const outputs = await run(bytes, values, shape, delegates);
      const off = relative(outputs, expected);
      // What goes into a kernel's products is rounded to 8 bits on the way.
      assert.ok(off < 0.03, `delegates ${delegates}: ${off} from the simulation`);
      assert.ok(
        relative(outputs, answers(model, values, shape)) > 2 * off,
        "four bits change more than that",
      );
    }
    const back = modelOf(importTflite(bytes).graph);
    assert.ok(relative(answers(back, values, shape), expected) < 1e-5, "read as it was written");
    assert.throws(
      () => tfliteModelOf(graph, { weights: "int4", quantized: {} }),
      /give neither grids nor codes/,
    );
  });

  it("in integers LiteRT answers as our simulation does, with the last layers in floats", async function () {
    if (!judge) this.skip();
    const { train } = await loadDataset("mnist-10k");
    for (const layers of [undefined, ["conv1", "conv2"]]) {
      const model = await loadPretrained("lenet-5");
      const activations = await calibrateActivations(model, subset(train, 200), layers ? { layers } : {});
      const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
      const options = { quantized, activations } as TfliteOptions;
      const { operators } = tfliteModelOf(graphOf(model), options);
      assert.equal(operators.filter(({ op, version }) => op === "CONV_2D" && version === 3).length, 2);
      const simulation = quantizedForward(model, { activations });
      const expected = tf.tidy(() => simulation(tf.tensor(digits, [count, 28, 28, 1])).dataSync());
      const bytes = encodeGraphAsTflite(graphOf(model), options);
      for (const delegates of [true, false]) {
        const same = agreement(await run(bytes, digits, images, delegates), expected, 10);
        assert.ok(same >= 0.99, `delegates ${delegates}: agreement ${same}`);
      }
      model.dispose();
    }
  });

  it("branches run in integers where all that they read has a grid", async function () {
    if (!judge) this.skip();
    const model = branching("tanh");
    const { values, shape } = inputsFor(model, 1);
    const split = {
      images: Uint8Array.from(inputsFor(model, 20, 9).values, (v) => Math.round(255 * v)),
      labels: new Uint8Array(20),
      count: 20,
      height: 17,
      width: 15,
      channels: 3,
    };
    const layers = ["c1", "n1", "r1", "d1", "c2", "add", "excite", "both", "c3"];
    const activations = await calibrateActivations(model, split as never, { layers });
    const options = { activations } as TfliteOptions;
    const ops = tfliteModelOf(graphOf(model), options).operators.map(({ op, version }) => `${op} ${version}`);
    for (const expected of [
      "ADD 2",
      "CONCATENATION 2",
      "CONV_2D 3",
      "DEPTHWISE_CONV_2D 3",
      "MAX_POOL_2D 2",
      "PAD 2",
    ])
      assert.ok(ops.includes(expected), `${expected} is not among ${ops}`);
    const bytes = encodeGraphAsTflite(graphOf(model), options);
    const expected = answers(model, values, shape);
    for (const delegates of [true, false]) {
      const difference = relative(await run(bytes, values, shape, delegates), expected);
      assert.ok(difference < 0.1, `delegates ${delegates}: ${difference} of the largest output`);
    }
  });

  it("what cannot be written is named, all of it at once", () => {
    const { layers } = tf;
    const model = tf.sequential({
      name: "odd",
      layers: [
        layers.conv2d({
          inputShape: [8, 8, 3],
          filters: 2,
          kernelSize: 3,
          activation: "selu",
          name: "first",
        }),
        layers.permute({ dims: [2, 3, 1], name: "turn" }),
        layers.flatten({ name: "flat" }),
        layers.dense({ units: 2, name: "last" }),
      ],
    });
    assert.throws(
      () => tfliteModelOf(graphOf(randomize(model))),
      /odd cannot be written as TFLite: first \(activation selu\)/,
    );
    const any = tf.sequential({
      layers: [layers.conv2d({ inputShape: [null, null, 1], filters: 1, kernelSize: 1, name: "c" })],
    });
    assert.throws(
      () => tfliteModelOf(graphOf(any)),
      /\(input of no fixed size\), c \(conv2d of no fixed size\)/,
    );
    const affine = quantizeWeights(any, {
      bits: 8,
      scheme: "affine",
      keepFloat: { below: 0 },
    }).quantized;
    assert.throws(() => tfliteModelOf(graphOf(any), { quantized: affine }), /kernel of c must be symmetric/);
  });
});
