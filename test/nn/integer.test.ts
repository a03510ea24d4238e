import assert from "node:assert/strict";
import { splitActivations as split } from "slimlab/graph";
import {
  calibrateActivations,
  foldBatchNorms,
  graphOf,
  integerNetworkOf,
  quantizedForward,
  quantizeWeights,
  splitActivations,
  tf,
  useBackend,
} from "slimlab/nn";
import {
  type ActivationGrid,
  addStep,
  type IntegerStep,
  lookupStep,
  maximumStep,
  minimumStep,
  multiplyStep,
  runInteger,
  simulateInteger,
  toCodes,
} from "slimlab/quantization";
import { seeded } from "../../lib/util/random.ts";
import { apart, apply, randomise } from "./small-networks.ts";

const { layers } = tf;
const count = 12;

/** A network in integers, and what TensorFlow.js makes of the same grids. */
async function bothOf(model: tf.LayersModel, options: { layers?: string[] } = {}) {
  const shape = model.inputs[0].shape.slice(1) as number[];
  const random = seeded(5);
  const values = Float32Array.from({ length: count * tf.util.sizeFromShape(shape) }, () => random());
  const data = { inputs: [{ shape, values }], count };
  const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
  const activations = await calibrateActivations(model, data, options);
  const network = integerNetworkOf(model, quantized, activations);
  const forward = quantizedForward(model, { activations });
  const floats = tf.tidy(() =>
    [forward(tf.tensor(values, [count, ...shape]))].flat().map((tensor) => tensor.dataSync()),
  );
  return { network, values, floats, activations };
}

/** Runs a network in integers, which must be its simulation bit for bit, and near what TensorFlow.js makes of its grids. */
async function check(name: string, model: tf.LayersModel, near = 0.03): Promise<IntegerStep["kind"][]> {
  const { network, values, floats } = await bothOf(model);
  const whole = runInteger(network, values, count, 2);
  assert.deepEqual(whole, simulateInteger(network, values, count), name);
  for (const [i, output] of whole.outputs.entries()) {
    assert.deepEqual(output.shape, model.outputs[i].shape.slice(1), name);
    const [far, range] = [apart(output.values, floats[i]), Math.max(...floats[i].map(Math.abs))];
    assert.ok(far < near * range, `${name}, output ${i}: ${far} of ${range}`);
    assert.ok(new Set(output.steps).size > 5, `${name}: ${[...new Set(output.steps)]}`);
  }
  return network.steps.map(({ kind }) => kind);
}

const input = (shape = [8, 8, 2]) => tf.input({ shape });
const conv = (filters: number, more: object = {}) =>
  layers.conv2d({ filters, kernelSize: 3, padding: "same", ...more });
const activation = (name: string) => layers.activation({ activation: name as "relu" });
/** A layer that is made by its class: slimlab's own have no function. */
const own = (className: string, config: object = {}) => {
  const [type, fromConfig] = tf.serialization.SerializationMap.getMap().classNameMap[className];
  return fromConfig(type, config as tf.serialization.ConfigDict) as tf.layers.Layer;
};
const modelOf = (
  make: (x: tf.SymbolicTensor) => tf.SymbolicTensor | tf.SymbolicTensor[],
  shape?: number[],
) => {
  const x = input(shape);
  return randomise(tf.model({ inputs: x, outputs: make(x) }));
};

describe("nn: all kinds of layers in integers", () => {
  before(async () => {
    await useBackend("wasm");
  });

  it("MobileNetV3's kind: hard swish, squeeze and excite, a gate of hard sigmoids", async () => {
    const model = modelOf((x) => {
      let y = apply(own("HardSwish"), apply(layers.batchNormalization(), apply(conv(6, { strides: 2 }), x)));
      const expanded = apply(activation("swish"), apply(layers.conv2d({ filters: 8, kernelSize: 1 }), y));
      const deep = apply(
        own("HardSwish"),
        apply(
          layers.batchNormalization(),
          apply(layers.depthwiseConv2d({ kernelSize: 3, padding: "same" }), expanded),
        ),
      );
      let gate = apply(layers.globalAveragePooling2d({}), deep);
      gate = apply(layers.reshape({ targetShape: [1, 1, 8] }), gate);
      gate = apply(layers.conv2d({ filters: 4, kernelSize: 1, activation: "relu" }), gate);
      gate = apply(
        own("HardSigmoid", { alpha: 1 / 6, beta: 0.5 }),
        apply(layers.conv2d({ filters: 8, kernelSize: 1 }), gate),
      );
      const excited = apply(layers.multiply(), deep, gate);
      y = apply(layers.add(), y, apply(layers.conv2d({ filters: 6, kernelSize: 1 }), excited));
      const row = apply(layers.globalAveragePooling2d({}), y);
      return apply(layers.dense({ units: 4, activation: "softmax" }), row);
    });
    const kinds = await check("MobileNetV3", foldBatchNorms(model).model, 0.05);
    assert.equal(kinds.filter((kind) => kind === "lookup").length, 4);
    assert.ok(kinds.includes("multiply"));
  });

  it("a U-Net's kind: upsampling, cropping, concatenation, a map of sigmoids or tanhs at its end", async () => {
    for (const end of ["sigmoid", "tanh"]) {
      const model = splitActivations(
        modelOf(
          (x) => {
            const left = apply(conv(4, { activation: "elu" }), x);
            const low = apply(conv(6, { activation: "swish" }), apply(layers.maxPooling2d({}), left));
            const lower = apply(
              conv(6, { activation: "relu" }),
              apply(layers.averagePooling2d({ poolSize: [2, 1] }), low),
            );
            const up = apply(layers.upSampling2d({ size: [4, 2] }), lower);
            const cut = apply(
              layers.cropping2D({
                cropping: [
                  [0, 0],
                  [1, 0],
                ],
              }),
              left,
            );
            const both = apply(
              layers.concatenate(),
              cut,
              apply(
                layers.cropping2D({
                  cropping: [
                    [0, 0],
                    [0, 1],
                  ],
                }),
                up,
              ),
            );
            return apply(layers.conv2d({ filters: 2, kernelSize: 1, activation: end as "tanh" }), both);
          },
          [8, 10, 2],
        ),
      );
      const kinds = await check(end, model, 0.05);
      assert.equal(kinds.filter((kind) => kind === "pick2d").length, 3);
      assert.equal(kinds.filter((kind) => kind === "lookup").length, 3);
    }
  });

  it("a function of one number is a table: what TensorFlow.js gives on the grids, for each of 256 codes", async () => {
    const functions: Record<string, tf.layers.Layer> = Object.fromEntries(
      [
        "sigmoid",
        "tanh",
        "swish",
        "hardSigmoid",
        "softplus",
        "softsign",
        "selu",
        "elu",
        "gelu",
        "gelu_new",
        "mish",
      ].map((name) => [name, activation(name)]),
    );
    Object.assign(functions, {
      HardSwish: own("HardSwish"),
      HardSigmoid: own("HardSigmoid", { alpha: 0.2, beta: 0.5 }),
      Clip: own("Clip", { min: -1.5, max: 2 }),
      abs: own("Elementwise", { function: "abs" }),
      sin: own("Elementwise", { function: "sin" }),
      leaky: layers.leakyReLU({ alpha: 0.1 }),
      thresholded: layers.thresholdedReLU({ theta: 0.7 }),
      // Of each channel its own.
      prelu: layers.prelu({ sharedAxes: [1, 2] }),
      shared: layers.prelu({ sharedAxes: [1, 2, 3] }),
      affine: own("Affine", { sharedAxes: [1, 2] }),
      rescaling: layers.rescaling({ scale: -3, offset: 1 }),
      norm: layers.batchNormalization(),
    });
    for (const [name, layer] of Object.entries(functions)) {
      // A pool before it, so that no layer can take a normalisation over; one behind it, so that nothing is an output.
      const pool = () => layers.maxPooling2d({ poolSize: 2, strides: 1 });
      const model = modelOf((x) => apply(pool(), apply(layer, apply(pool(), apply(conv(3), x)))));
      const { network, values, floats, activations } = await bothOf(model);
      assert.deepEqual(
        network.steps.map(({ kind }) => kind),
        ["conv2d", "maxPool2d", "lookup", "maxPool2d"],
        name,
      );
      const whole = runInteger(network, values, count);
      assert.deepEqual(whole, simulateInteger(network, values, count), name);
      // Both read the same codes: only a value halfway between two levels may go either way.
      const grid = activations.layers[layer.name] as ActivationGrid & { kind: string };
      const off = whole.values.filter((value, i) => Math.abs(value - floats[0][i]) > 1e-3 * grid.scale);
      assert.ok(
        off.length < 0.02 * whole.values.length,
        `${name}: ${off.length} of ${whole.values.length} differ`,
      );
      assert.ok(apart(whole.values, floats[0]) < 1.01 * grid.scale, name);
      const table = network.steps[2] as Extract<IntegerStep, { kind: "lookup" }>;
      assert.equal(table.table.length, 256 * table.rows, name);
      assert.equal(table.rows, layer.weights.length > 0 ? 3 : 1, name);
      assert.ok(new Set(table.table).size > 20, name);
    }
  });

  it("sums, differences, products, maxima and minima meet one to one, stretched where a size is 1", async () => {
    const merges: Record<string, () => tf.layers.Layer> = {
      add: () => layers.add(),
      multiply: () => layers.multiply(),
      maximum: () => layers.maximum(),
      minimum: () => layers.minimum(),
      average: () => layers.average(),
      subtract: () => own("Subtract"),
    };
    for (const [name, merge] of Object.entries(merges)) {
      const kinds = await check(
        name,
        modelOf((x) => {
          const [a, b] = [apply(conv(4), x), apply(layers.reLU({ maxValue: 1 }), apply(conv(4), x))];
          const row = apply(
            layers.reshape({ targetShape: [1, 1, 4] }),
            apply(layers.globalMaxPooling2d({}), b),
          );
          // Every way round: maps that are alike, a map with a row, a row with a map, a map with one channel.
          const one = apply(conv(1), x);
          const all = [
            apply(merge(), a, b),
            apply(merge(), a, row),
            apply(merge(), row, b),
            apply(merge(), a, one),
          ];
          return apply(
            layers.dense({ units: 3 }),
            apply(layers.flatten(), apply(layers.concatenate(), ...all)),
          );
        }),
        0.05,
      );
      const step = { average: "add", subtract: "add" }[name] ?? name;
      assert.equal(kinds.filter((kind) => kind === step).length, 4, name);
    }
    const kinds = await check(
      "three factors",
      modelOf((x) =>
        apply(
          layers.flatten(),
          apply(layers.reLU(), apply(layers.multiply(), ...[1, 2, 3].map(() => apply(conv(2), x)))),
        ),
      ),
    );
    assert.deepEqual(kinds.slice(-2), ["multiply", "reshape"]);
  });

  it("steps that meet are those of exact arithmetic, at the ends of their grids, too", () => {
    const a: ActivationGrid = { scale: 0.7, zeroPoint: 255, low: 0, high: 255 };
    const b: ActivationGrid = { scale: 0.3, zeroPoint: -128, low: -128, high: 127 };
    const output: ActivationGrid = { scale: 40, zeroPoint: 3, low: 0, high: 255 };
    const joined = { inputs: [-1, -2], from: [a, b], output };
    const ways: [IntegerStep, (x: number, y: number) => number][] = [
      [multiplyStep(joined), (x, y) => x * y],
      [addStep({ ...joined, factor: [1, -2] }), (x, y) => x - 2 * y],
      [maximumStep(joined), Math.max],
      [minimumStep(joined), Math.min],
    ];
    // Every third code of one with every third of the other.
    const reals = ({ scale, zeroPoint, low }: ActivationGrid) =>
      Float32Array.from({ length: 86 }, (_, i) => scale * (low + 3 * i - zeroPoint));
    const [x, y] = [reals(a), reals(b)];
    const pairs = 86 ** 2;
    const left = Float32Array.from({ length: pairs }, (_, i) => x[Math.floor(i / 86)]);
    const right = Float32Array.from({ length: pairs }, (_, i) => y[i % 86]);
    for (const [step, of] of ways) {
      const network = { inputShape: [1], input: a, others: [{ shape: [1], grid: b }], steps: [step] };
      const { steps } = runInteger(network, [left, right], pairs);
      assert.deepEqual(steps, simulateInteger(network, [left, right], pairs).steps);
      for (let i = 0; i < pairs; i++) {
        const exact = of(0.7 * (3 * Math.floor(i / 86) - 255), 0.3 * 3 * (i % 86)) / 40 + 3;
        const apart = Math.abs(steps[i] - Math.min(255, Math.max(0, exact)));
        // 22 bits of a multiplier, and halves that go either way.
        assert.ok(apart < 0.5001, `${step.kind}, ${i}: ${steps[i]} for ${exact}`);
      }
    }
  });

  it("activations inside layers become layers of their own, and the network computes the same", async () => {
    const model = modelOf((x) => {
      const twice = conv(2, { activation: "tanh", name: "twice" });
      const y = apply(twice, apply(twice, x));
      const sep = apply(
        layers.separableConv2d({ filters: 3, kernelSize: 3, activation: "softplus", name: "sep" }),
        y,
      );
      const flat = apply(layers.flatten(), apply(conv(3, { activation: "relu6" }), sep));
      return [
        apply(layers.dense({ units: 3, activation: "softmax", name: "classes" }), flat),
        apply(layers.dense({ units: 2, activation: "sigmoid", name: "marks" }), flat),
      ];
    });
    const own = splitActivations(model);
    const inputs = tf.randomUniform([5, 8, 8, 2]);
    const [before, after] = [model, own].map((each) =>
      (each.predict(inputs) as tf.Tensor[]).map((out) => out.dataSync()),
    );
    for (const [i, values] of before.entries()) assert.ok(apart(values, after[i]) < 1e-6);
    const { nodes } = graphOf(own);
    assert.deepEqual(
      nodes
        .filter(({ kind }) => kind === "activation")
        .map(({ name, attributes }) => [name, attributes.activation]),
      [
        ["twice_tanh", "tanh"],
        ["twice_2_tanh", "tanh"],
        ["sep_softplus", "softplus"],
        ["marks_sigmoid", "sigmoid"],
      ],
    );
    assert.equal(nodes.find(({ name }) => name === "classes")!.attributes.activation, "softmax");
    assert.deepEqual(split(graphOf(own)), graphOf(own), "nothing is left to be split");
  });

  it("what no integers can be is refused by name", async () => {
    const refused = async (make: Parameters<typeof modelOf>[0], message: RegExp) =>
      assert.rejects(bothOf(modelOf(make)), message);
    const end = (x: tf.SymbolicTensor) => apply(layers.dense({ units: 2 }), apply(layers.flatten(), x));
    await refused(
      (x) => end(apply(conv(2, { activation: "swish", name: "c" }), x)),
      /c must have activation linear or relu .* got swish: splitActivations makes it a layer of its own/,
    );
    await refused(
      (x) => end(apply(layers.upSampling2d({ interpolation: "bilinear", name: "up" }), apply(conv(2), x))),
      /up must repeat the nearest places .* got interpolation bilinear/,
    );
    await refused(
      (x) => end(apply(layers.multiply({ name: "m" }), ...[1, 2, 3, 4].map(() => apply(conv(2), x)))),
      /m must multiply at most three inputs .* got 4/,
    );
    await refused(
      (x) => end(apply(layers.prelu({ name: "p" }), apply(conv(2), x))),
      /p must have the same weights at all places/,
    );
    await refused(
      (x) => end(apply(layers.softmax({ name: "s", axis: 3 }), apply(conv(2), x))),
      /s is a Softmax, which does not run in integers/,
    );
    await refused(
      (x) => end(apply(layers.activation({ activation: "softmax", name: "s" }), apply(conv(2), x))),
      /s is a softmax before the end/,
    );
    await refused(
      (x) =>
        end(
          apply(
            layers.cropping2D({
              name: "crop",
              dataFormat: "channelsFirst",
              cropping: [
                [1, 0],
                [0, 1],
              ],
            }),
            x,
          ),
        ),
      /crop must have its channels last/,
    );
    await refused(
      (x) => apply(activation("swish"), end(x)),
      /must have quantized activations of at most 8 bits/,
    );
    await refused(
      (x) => end(apply(layers.batchNormalization({ name: "n" }), apply(conv(2), x))),
      /n is a batch normalisation: fold it/,
    );
    const model = modelOf((x) => end(apply(activation("sigmoid"), apply(conv(2), x))));
    const { quantized } = quantizeWeights(model, { bits: 8, keepFloat: { below: 0 } });
    const values = new Float32Array(count * 128).map((_, i) => (i % 7) / 7);
    const wide = await calibrateActivations(
      model,
      { inputs: [{ shape: [8, 8, 2], values }], count },
      { bits: 16 },
    );
    assert.throws(
      () => integerNetworkOf(model, quantized, wide),
      /the input must have quantized activations of at most 8 bits/,
    );
    const grid: ActivationGrid = { scale: 1, zeroPoint: 128, low: 0, high: 255 };
    assert.throws(
      () => lookupStep({ input: grid, output: grid, of: (reals) => reals.map(Math.log) }),
      /got NaN for -128/,
    );
    assert.deepEqual(
      [
        ...(
          lookupStep({ input: grid, output: grid, of: (reals) => reals.map(Math.abs) }) as Extract<
            IntegerStep,
            { kind: "lookup" }
          >
        ).table.slice(0, 3),
      ],
      [...toCodes(Float32Array.of(128, 127, 126), grid)],
    );
  });
});
