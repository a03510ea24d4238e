// A model's class scores before softmax. Losses, distillation and second derivatives start there: the logarithm of a
// softmax that has already been rounded to 0 or 1 has lost its gradient.

import { finalActivation, sharedNodes } from "../graph/index.ts";
import { networkOf } from "./graph.ts";
import { tf } from "./tf.ts";

/** The part of a layer that these functions reach into. */
interface LastLayer extends tf.layers.Layer {
  activation?: tf.serialization.Serializable & { apply(x: tf.Tensor): tf.Tensor };
}

/**
 * The outputs of `model` before its final softmax: [batch, classes]. The softmax is found through nested models and through
 * layers that only hand on, such as dropout. A model without one is taken to give logits already.
 *
 * @param training whether layers such as dropout and batch normalisation behave as in training
 * @throws RangeError for a model that ends in a sigmoid: its outputs are probabilities, and no row of class scores
 */
export function logitsOf(model: tf.LayersModel, x: tf.Tensor, { training = false } = {}): tf.Tensor2D {
  return withoutSoftmax(model, () => model.apply(x, { training }) as tf.Tensor2D);
}

/** Runs `run` while the model's final softmax, if it has one, lets everything through unchanged. */
export function withoutSoftmax<T>(model: tf.LayersModel, run: () => T): T {
  const last = endOf(model) as LastLayer | undefined;
  if (!last) return run();
  if (last.activation) {
    const { activation } = last;
    last.activation = linear;
    try {
      return run();
    } finally {
      last.activation = activation;
    }
  }
  const { call } = last;
  const own = Object.hasOwn(last, "call");
  last.call = (inputs) => (Array.isArray(inputs) ? inputs[0] : inputs);
  try {
    return run();
  } finally {
    if (own) last.call = call;
    else delete (last as Partial<LastLayer>).call;
  }
}

const ends = new WeakMap<tf.LayersModel, { layers: number; softmax: tf.layers.Layer | undefined }>();

/** The layer of a model's final softmax. Walking the graph takes longer than a small network does, so it is kept. */
function endOf(model: tf.LayersModel): tf.layers.Layer | undefined {
  const known = ends.get(model);
  // Layers may be added to a Sequential.
  if (known?.layers === model.layers.length) return known.softmax;
  const { graph, layers } = networkOf(model);
  const { activation, node } = finalActivation(graph);
  if (activation === "sigmoid")
    throw new RangeError(
      `${model.name} must end in softmax or in plain class scores, got ${node}, whose sigmoid gives each class a probability of its own`,
    );
  if (activation === "softmax" && sharedNodes(graph).has(node))
    throw new RangeError(`${node}, whose softmax ends ${model.name}, must be used once`);
  const softmax = activation === "softmax" ? layers.get(node) : undefined;
  ends.set(model, { layers: model.layers.length, softmax });
  return softmax;
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
