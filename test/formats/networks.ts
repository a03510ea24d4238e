// Networks for the tests of formats: small ones that use every kind of layer that a format writes, with random weights.
import { tf } from "../../lib/nn/index.ts";
import { seeded } from "../../lib/util/random.ts";

/** Random weights, and batch statistics that are not those of a fresh layer. */
export function randomize(model: tf.LayersModel, seed = 1): tf.LayersModel {
  const random = seeded(seed);
  model.setWeights(
    model.weights.map((weight) => {
      const spread = /variance|gamma/.test(weight.name) ? [0.5, 1.5] : [-0.5, 0.5];
      const size = weight.shape.reduce((product: number, n) => product * n!, 1);
      const values = Float32Array.from(
        { length: size },
        () => spread[0] + (spread[1] - spread[0]) * random(),
      );
      return tf.tensor(values, weight.shape as number[]);
    }),
  );
  return model;
}

/** Branches, odd sizes, strides, depthwise filters with a multiplier, squeeze and excitation, every merging layer. */
export function branching(activation: "hardSigmoid" | "tanh" = "hardSigmoid"): tf.LayersModel {
  const { layers } = tf;
  const input = tf.input({ shape: [17, 15, 3], name: "image" });
  const conv = layers.conv2d({
    filters: 8,
    kernelSize: 3,
    strides: 2,
    padding: "same",
    useBias: false,
    name: "c1",
  });
  let x = layers.batchNormalization({ name: "n1" }).apply(conv.apply(input)) as tf.SymbolicTensor;
  x = layers.reLU({ maxValue: 6, name: "r1" }).apply(x) as tf.SymbolicTensor;
  const depth = layers
    .depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: "same", activation: "relu", name: "d1" })
    .apply(x);
  const back = layers.conv2d({ filters: 8, kernelSize: 1, name: "c2" }).apply(depth) as tf.SymbolicTensor;
  const sum = layers.add({ name: "add" }).apply([x, back]) as tf.SymbolicTensor;
  const squeezed = layers.globalAveragePooling2d({ name: "squeeze" }).apply(sum);
  const gate = layers.dense({ units: 8, activation: "sigmoid", name: "gate" }).apply(squeezed);
  const wide = layers.reshape({ targetShape: [1, 1, 8], name: "wide" }).apply(gate) as tf.SymbolicTensor;
  const excited = layers.multiply({ name: "excite" }).apply([sum, wide]) as tf.SymbolicTensor;
  const max = layers.maxPooling2d({ poolSize: 2, strides: 2, padding: "same", name: "max" }).apply(excited);
  const mean = layers
    .averagePooling2d({ poolSize: 2, strides: 2, padding: "same", name: "mean" })
    .apply(excited);
  const both = layers
    .concatenate({ name: "both" })
    .apply([max, mean] as tf.SymbolicTensor[]) as tf.SymbolicTensor;
  const separable = layers
    .separableConv2d({ filters: 6, kernelSize: 3, depthMultiplier: 2, activation: "swish", name: "s1" })
    .apply(
      layers
        .zeroPadding2d({
          padding: [
            [1, 0],
            [2, 1],
          ],
          name: "pad",
        })
        .apply(both),
    ) as tf.SymbolicTensor;
  const up = layers
    .conv2dTranspose({
      filters: 4,
      kernelSize: 3,
      strides: 2,
      padding: "same",
      activation: "elu",
      name: "up",
    })
    .apply(separable);
  const larger = layers.upSampling2d({ size: [2, 2], name: "larger" }).apply(separable);
  const few = layers.conv2d({ filters: 4, kernelSize: 1, activation: "tanh", name: "c3" }).apply(larger);
  const best = layers.maximum({ name: "best" }).apply([up, few] as tf.SymbolicTensor[]);
  const least = layers.minimum({ name: "least" }).apply([up, few] as tf.SymbolicTensor[]);
  const middle = layers.average({ name: "middle" }).apply([best, least] as tf.SymbolicTensor[]);
  const flat = layers
    .flatten({ name: "flat" })
    .apply(layers.leakyReLU({ alpha: 0.1, name: "leaky" }).apply(middle));
  const hidden = layers.dense({ units: 12, activation, name: "hidden" }).apply(flat);
  const normal = layers
    .batchNormalization({ name: "n2" })
    .apply(layers.dropout({ rate: 0.5, name: "drop" }).apply(hidden));
  const output = layers.dense({ units: 5, activation: "softmax", name: "class" }).apply(normal);
  return randomize(tf.model({ inputs: input, outputs: output as tf.SymbolicTensor, name: "branching" }), 5);
}

/** The largest difference, as a share of the largest number. */
export function relative(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let [difference, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference = Math.max(difference, Math.abs(actual[i] - expected[i]));
    largest = Math.max(largest, Math.abs(expected[i]));
    if (Number.isNaN(actual[i])) return Number.NaN;
  }
  return difference / largest;
}

/** Numbers for a network's input, in [0, 1). */
export function inputsFor(
  model: tf.LayersModel,
  count: number,
  seed = 2,
): { values: Float32Array; shape: number[] } {
  const shape = [count, ...(model.inputs[0].shape.slice(1) as number[])];
  const random = seeded(seed);
  return { values: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, random), shape };
}

/** What a model answers. */
export function answers(model: tf.LayersModel, values: Float32Array, shape: number[]): Float32Array {
  return tf.tidy(() => (model.predict(tf.tensor(values, shape)) as tf.Tensor).dataSync() as Float32Array);
}

/** The share of rows whose largest number stands at the same place. */
export function agreement(a: ArrayLike<number>, b: ArrayLike<number>, classes: number): number {
  const best = (all: ArrayLike<number>, row: number) => {
    let at = 0;
    for (let i = 1; i < classes; i++) if (all[row * classes + i] > all[row * classes + at]) at = i;
    return at;
  };
  const rows = a.length / classes;
  let same = 0;
  for (let row = 0; row < rows; row++) if (best(a, row) === best(b, row)) same++;
  return same / rows;
}

/** A layer of a class that is known by its name alone, as those of ours are. */
function own(className: string, config: object): tf.layers.Layer {
  const [type, make] = tf.serialization.SerializationMap.getMap().classNameMap[className];
  return make(type, config as tf.serialization.ConfigDict) as tf.layers.Layer;
}

/** Every layer that is ours and not TensorFlow.js's, and the others that only networks from elsewhere have. */
export function foreign(): tf.LayersModel {
  const { layers } = tf;
  const input = tf.input({ shape: [12, 10, 3], name: "image" });
  const at = (layer: tf.layers.Layer, ...inputs: unknown[]) =>
    layer.apply((inputs.length === 1 ? inputs[0] : inputs) as tf.SymbolicTensor) as tf.SymbolicTensor;
  const conv = (name: string, filters = 8, kernelSize = 3) =>
    layers.conv2d({ filters, kernelSize, padding: "same", name });
  let x = at(own("HardSwish", { name: "swish" }), at(conv("c1"), input));
  x = at(layers.prelu({ sharedAxes: [1, 2], name: "prelu" }), at(conv("c2"), x));
  const gate = at(own("HardSigmoid", { name: "gate", alpha: 0.2, beta: 0.5 }), at(conv("c3"), x));
  x = at(layers.multiply({ name: "gated" }), x, gate);
  x = at(own("Affine", { name: "places", sharedAxes: [3] }), x);
  x = at(
    own("Pad", {
      name: "wider",
      paddings: [
        [1, 1],
        [0, 2],
        [0, 8],
      ],
      value: 0.5,
    }),
    x,
  );
  x = at(
    own("Pad", {
      name: "mirror",
      mode: "reflect",
      paddings: [
        [1, 0],
        [1, 2],
        [0, 0],
      ],
    }),
    x,
  );
  x = at(own("Slice", { name: "part", begin: [1, 0, 0], end: [13, 12, 16], strides: [1, 1, 1] }), x);
  const turned = at(own("DepthToSpace", { name: "space", blockSize: 2 }), x);
  x = at(own("SpaceToDepth", { name: "depth", blockSize: 2 }), turned);
  const larger = at(
    own("Resize", { name: "larger", size: [21, 18], interpolation: "bilinear", halfPixelCenters: true }),
    x,
  );
  const corners = at(
    own("Resize", { name: "corners", size: [21, 18], interpolation: "bilinear", alignCorners: true }),
    x,
  );
  const nearest = at(own("Resize", { name: "nearest", size: [21, 18], interpolation: "nearest" }), x);
  x = at(
    own("Subtract", { name: "less" }),
    at(
      own("Divide", { name: "by" }),
      larger,
      at(
        own("Elementwise", { name: "exp", function: "exp" }),
        at(layers.activation({ activation: "tanh", name: "tanh" }), corners),
      ),
    ),
    nearest,
  );
  x = at(own("Clip", { name: "clip", min: -0.75, max: 0.5 }), x);
  x = at(layers.reLU({ maxValue: 0.4, name: "relu04" }), x);
  const rows = at(own("Reduce", { name: "rows", function: "mean", axes: [0], keepDims: true }), x);
  x = at(
    own("Subtract", { name: "centred" }),
    x,
    at(
      layers.permute({ dims: [2, 1, 3], name: "turn" }),
      at(layers.permute({ dims: [2, 1, 3], name: "back" }), rows),
    ),
  );
  x = at(own("Slice", { name: "every", begin: [0, 1, 0], end: [21, 18, 16], strides: [2, 3, 1] }), x);
  const most = at(
    own("Reduce", { name: "most", function: "max", axes: [0, 1], keepDims: false }),
    at(own("Elementwise", { name: "square", function: "square" }), x),
  );
  return randomize(
    tf.model({ inputs: input, outputs: at(layers.dense({ units: 4, name: "last" }), most), name: "foreign" }),
    11,
  );
}

/** A network whose file has little more than its structure: what is damaged in it is seldom a number. */
export function small(): tf.LayersModel {
  return randomize(
    tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [6, 6, 2], filters: 3, kernelSize: 3, strides: 2, padding: "same" }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 2, activation: "softmax" }),
      ],
    }),
  );
}
