// A model's class scores before softmax. Losses, distillation and second derivatives start there: the logarithm of a
// softmax that has already been rounded to 0 or 1 has lost its gradient.

import { tf } from "./tf.ts";

/** The part of a layer that these functions reach into. */
interface LastLayer extends tf.layers.Layer {
  activation?: tf.serialization.Serializable & { apply(x: tf.Tensor): tf.Tensor };
}

/**
 * The outputs of `model` before its final softmax: [batch, classes]. A model that ends in something else is taken to
 * give logits already.
 *
 * @param training whether layers such as dropout and batch normalisation behave as in training
 */
export function logitsOf(model: tf.LayersModel, x: tf.Tensor, { training = false } = {}): tf.Tensor2D {
  return withoutSoftmax(model, () => model.apply(x, { training }) as tf.Tensor2D);
}

/** Runs `run` while the model's final softmax, if it has one, lets everything through unchanged. */
export function withoutSoftmax<T>(model: tf.LayersModel, run: () => T): T {
  const last = model.outputs[0].sourceLayer as LastLayer;
  if (last.activation?.getClassName() === "softmax") {
    const softmax = last.activation;
    last.activation = linear;
    try {
      return run();
    } finally {
      last.activation = softmax;
    }
  }
  if (last.getClassName() === "Softmax") {
    const call = last.call;
    last.call = (inputs) => (Array.isArray(inputs) ? inputs[0] : inputs);
    try {
      return run();
    } finally {
      last.call = call;
    }
  }
  return run();
}

// "linear" is a fused activation that adds nothing, so the layer keeps its fast path.
const linear = {
  apply: (x: tf.Tensor) => x,
  getClassName: () => "linear",
} as unknown as NonNullable<LastLayer["activation"]>;

/** Mean cross-entropy of logits against class numbers, in nats. */
export function crossEntropy(logits: tf.Tensor2D, labels: tf.Tensor1D): tf.Scalar {
  return tf.tidy(() => {
    const oneHot = tf.oneHot(labels, logits.shape[1]);
    return tf.losses.softmaxCrossEntropy(oneHot, logits) as tf.Scalar;
  });
}
