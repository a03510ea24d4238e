// The document's networks: LeNet-300-100 and LeNet-5, as in LeCun et al., "Gradient-based learning applied to document
// recognition" (1998), in the shapes that Han et al., "Deep Compression" (2016), compress.

import { checkInteger } from "../util/check.ts";
import { tf } from "./tf.ts";

/**
 * LeNet-300-100: 784 pixels, hidden layers of 300 and 100 ReLUs, 10 classes; 266,610 parameters.
 * Its layers are `fc1`, `fc2` and `fc3`; it takes images as rows of 784 numbers in [0, 1].
 *
 * @param seed fixes the initial weights
 */
export function lenet300(seed = 1): tf.LayersModel {
  const seeds = layerSeeds(seed);
  return tf.sequential({
    name: "lenet-300-100",
    layers: [
      tf.layers.dense({ name: "fc1", inputShape: [784], units: 300, activation: "relu", ...seeds() }),
      tf.layers.dense({ name: "fc2", units: 100, activation: "relu", ...seeds() }),
      tf.layers.dense({ name: "fc3", units: 10, activation: "softmax", ...seeds() }),
    ],
  });
}

/**
 * LeNet-5 as Caffe has it: 20 and 50 filters of 5 x 5, each followed by 2 x 2 max pooling, then 500 ReLUs and 10
 * classes; 431,080 parameters. Caffe has a ReLU after `fc1` only; here both convolutions have one too, so that
 * activations mean the same in every layer (max pooling and ReLU commute, and no parameter is added).
 * Its layers are `conv1`, `pool1`, `conv2`, `pool2`, `flatten`, `fc1` and `fc2`; images are 28 x 28 x 1 in [0, 1].
 *
 * @param seed fixes the initial weights
 */
export function lenet5(seed = 1): tf.LayersModel {
  const seeds = layerSeeds(seed);
  const pool = (name: string) => tf.layers.maxPooling2d({ name, poolSize: 2, strides: 2 });
  return tf.sequential({
    name: "lenet-5",
    layers: [
      tf.layers.conv2d({
        name: "conv1",
        inputShape: [28, 28, 1],
        filters: 20,
        kernelSize: 5,
        activation: "relu",
        ...seeds(),
      }),
      pool("pool1"),
      tf.layers.conv2d({ name: "conv2", filters: 50, kernelSize: 5, activation: "relu", ...seeds() }),
      pool("pool2"),
      tf.layers.flatten({ name: "flatten" }),
      tf.layers.dense({ name: "fc1", units: 500, activation: "relu", ...seeds() }),
      tf.layers.dense({ name: "fc2", units: 10, activation: "softmax", ...seeds() }),
    ],
  });
}

/** Each layer draws from a seed of its own: with one seed for all, layers of one shape would start equal. */
function layerSeeds(seed: number) {
  checkInteger("seed", seed, 0, 2 ** 32 - 1);
  let layer = 0;
  // TensorFlow.js takes seed 0 for "no seed", so none of these may be 0.
  return () => ({ kernelInitializer: tf.initializers.glorotUniform({ seed: seed * 16 + ++layer }) });
}
