// 3.1.1, second order: the diagonal of the loss's Hessian, for Optimal Brain Damage (LeCun, Denker and Solla, 1989).
// It is computed as the generalised Gauss-Newton matrix (Schraudolph, 2002).

import type { Samples } from "../datasets/index.ts";
import { channelsLast, findKind, type Product } from "../graph/index.ts";
import { checkOneOf } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, feedOf } from "./batches.ts";
import type { GradientOptions } from "./gradients.ts";
import { kindOf } from "./graph.ts";
import { im2colTransposed } from "./kernels/conv.ts";
import { asScores, withoutSoftmax } from "./logits.ts";
import { type Watch, withProbes } from "./probe.ts";
import type { Output, TargetValues } from "./tasks.ts";
import { tf } from "./tf.ts";
import { type Kernel, kernelsOf, probedLayers } from "./weights.ts";

/** Which diagonal: see {@link HessianOptions}. */
export const hessianMethods = ["gauss-newton", "fisher"] as const;
export type HessianMethod = (typeof hessianMethods)[number];

export interface HessianOptions extends GradientOptions {
  /**
   * `gauss-newton` (the default): the exact diagonal of J^T (diag(p) - p p^T) J, averaged over the images, J being the
   * derivatives of the logits and p the probabilities. In a network of ReLUs, max pooling, dense and convolutional
   * layers the logits are piecewise linear in each single weight, so this is the diagonal of the Hessian itself.
   * `fisher`: the mean of the squared gradients of each image's loss at its label (the empirical Fisher information):
   * one backward pass instead of one per class, and another matrix: close to it only where the model is unsure.
   */
  method?: HessianMethod;
}

/**
 * The diagonal of the Hessian of the mean cross-entropy, by kernel: layer name to one number per weight, never negative.
 *
 * For dense layers, along sequences too, and for 2-D and depthwise convolutions. Some seconds for LeNet-5 and 500 images on WASM.
 *
 * @throws Error for any other layer with a kernel, RangeError for one that is used more than once: the sum of its calls'
 *   gradients would have to be squared, not each of them
 */
export async function hessianDiagonalOf(
  model: tf.LayersModel,
  samples: Samples,
  { method = "gauss-newton", signal, ...options }: HessianOptions = {},
): Promise<Record<string, Float32Array>> {
  const batchSize = batchSizeFor(model, options.batchSize, 64, 2);
  checkOneOf("method", method, hessianMethods);
  const feed = feedOf(model, samples, { judged: true });
  if (feed.outputs.length > 1)
    throw new RangeError(
      `${model.name} must have one output for the Hessian's diagonal, got ${feed.outputs.length}`,
    );
  const [output] = feed.outputs;
  await ensureBackend();
  const kernels = kernelsOf(model);
  if (kernels.length === 0) return {};
  const accumulators = new Map(kernels.map((kernel) => [kernel.layerName, squaredGradients(kernel)]));
  const layers = probedLayers(model, accumulators.keys());
  const names = [...layers.keys()];
  const sums = kernels.map(({ shape }) => new Float64Array(elements(shape)));
  for (let from = 0; from < feed.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(feed.count, from + batchSize);
    tf.tidy(() => {
      const { x, targets } = feed.batch(from, to);
      const inputs = new Map<string, tf.Tensor>();
      const outputShapes = new Map<string, number[]>();
      const forward = (watch: Watch, probes: tf.Tensor[]) =>
        withoutSoftmax(model, () =>
          withProbes(
            layers,
            "linear",
            Object.fromEntries(names.map((name, i) => [name, probes[i]])),
            watch,
            () => asScores(model, [model.apply(x) as tf.Tensor])[0],
          ),
        );
      const watch: Watch = (name, input, output) => {
        inputs.set(name, tf.keep(tf.tidy(() => accumulators.get(name)!.prepare(input))));
        outputShapes.set(name, output.shape);
      };
      const logits = forward(watch, []);
      const zeros = names.map((name) => tf.zeros(outputShapes.get(name)!));
      const gradients = tf.grads((...probes) => forward(() => {}, probes));
      for (const direction of directions(method, logits, targets[0]!, output)) {
        tf.tidy(() => {
          const deltas = gradients(zeros, direction);
          deltas.forEach((delta, i) => {
            const squares = accumulators.get(names[i])!.square(inputs.get(names[i])!, delta).dataSync();
            for (let j = 0; j < squares.length; j++) sums[i][j] += squares[j] / feed.count;
          });
        });
      }
      tf.dispose([...inputs.values()]);
    });
    await nextTurn();
  }
  return Object.fromEntries(kernels.map(({ name }, i) => [name, Float32Array.from(sums[i])]));
}

/**
 * Directions in the space of the outputs whose outer products add up to the matrix in the middle. Of class scores, diag(p) -
 * p p^T is the sum over classes c of p_c (e_c - p)(e_c - p)^T, so each class gives sqrt(p_c) (e_c - p); for Fisher the
 * label's e_c - p alone. Of values, whose loss is their mean squared error, it is 2/n times the identity.
 */
function directions(
  method: HessianMethod,
  found: tf.Tensor,
  target: TargetValues,
  { name, task, shape, width }: Output,
): tf.Tensor[] {
  if (task === "labels" || shape.length !== 1)
    throw new RangeError(
      `the Hessian's diagonal is known for one row of class scores, or of values, a sample: got ${name}, ` +
        `${task} of ${shape.join(" x ")}`,
    );
  const samples = target.length / (task === "classes" ? 1 : width);
  const one = (c: number) => tf.oneHot(tf.fill([samples], c, "int32"), width);
  if (task === "values") {
    if (method === "fisher")
      return [tf.mul(2 / width, tf.sub(found, tf.tensor(Float32Array.from(target), found.shape)))];
    return Array.from({ length: width }, (_, c) => tf.mul(Math.sqrt(2 / width), one(c)));
  }
  const p = tf.softmax(found);
  if (method === "fisher")
    return [tf.sub(tf.oneHot(tf.tensor1d(Int32Array.from(target), "int32"), width), p)];
  return Array.from({ length: width }, (_, c) => {
    const root = tf.sqrt(tf.slice(p, [0, c], [samples, 1]));
    return tf.mul(root, tf.sub(one(c), p));
  });
}

/** How to sum the squares of each image's own weight gradients, from a layer's input and its output's gradient. */
interface SquaredGradients {
  /** What of the input is used for every direction. */
  prepare(input: tf.Tensor): tf.Tensor;
  /** The sum over the images of the squared gradient of each weight. */
  square(prepared: tf.Tensor, delta: tf.Tensor): tf.Tensor;
}

/** For each way in which a kernel meets its input; undefined where no way is known. */
const ways: Record<Product, ((kernel: Kernel) => SquaredGradients) | undefined> = {
  none: undefined,
  matrix: () => ({
    // An image's gradient is the outer product x d^T, so the sum of its squares is (x^2)^T (d^2): one product. Along a
    // sequence it is the sum of such products over the steps, as over the places of a convolution.
    prepare: (input) =>
      input.rank === 2
        ? tf.square(input)
        : input.reshape([input.shape[0], -1, input.shape[input.rank - 1]]).transpose([0, 2, 1]),
    square: (seen, delta) =>
      seen.rank === 2 ? tf.matMul(seen, tf.square(delta), true, false) : squaresOverPlaces(seen, delta),
  }),
  convolution: (kernel) => ({
    // Weights are shared between places, so squares can be taken only after each image's sum over the places.
    prepare: (input) => patchesOf(kernel, input as tf.Tensor4D),
    square: squaresOverPlaces,
  }),
  depthwise: (kernel) => ({
    prepare: (input) => patchesOf(kernel, input as tf.Tensor4D),
    square: (patches, delta) => {
      // [images, taps, channels, places] and [images, places, channels, multiplier] meet channel by channel.
      const [images, height, width] = delta.shape;
      const [, , channels, multiplier] = kernel.shape;
      const places = height * width;
      const left = patches.reshape([images, -1, channels, places]).transpose([0, 2, 1, 3]);
      const right = delta.reshape([images, places, channels, multiplier]).transpose([0, 2, 1, 3]);
      return tf.sum(tf.square(tf.matMul(left, right)), 0).transpose([1, 0, 2]);
    },
  }),
  transposed: undefined,
  separable: undefined,
  lookup: undefined,
  recurrent: undefined,
  other: undefined,
};

/** Of inputs [images, inputs, places] and gradients [images, ...places, outputs]. */
function squaresOverPlaces(seen: tf.Tensor, delta: tf.Tensor): tf.Tensor {
  const outputs = delta.shape[delta.rank - 1];
  return tf.sum(tf.square(tf.matMul(seen, delta.reshape([delta.shape[0], -1, outputs]))), 0);
}

function squaredGradients(kernel: Kernel): SquaredGradients {
  const { layer, shape } = kernel;
  const product = findKind(kindOf(layer))!.product;
  // Patches are those of pictures with their channels last.
  const flat =
    product === "matrix" || (shape.length === 4 && channelsLast({ attributes: layer.getConfig() }));
  const way = flat ? ways[product] : undefined;
  return (
    way?.(kernel) ??
    unsupported(
      kernel,
      `layers of type ${layer.getClassName()}${product === "convolution" && shape.length === 4 ? " with channels first" : ""}`,
    )
  );
}

/** What each tap of a convolution sees: [images, height x width x channels of the filter, output places]. */
function patchesOf(kernel: Kernel, input: tf.Tensor4D): tf.Tensor3D {
  const { strides, padding, dilationRate, kernelSize } = kernel.layer as unknown as {
    strides: [number, number];
    padding: "valid" | "same";
    dilationRate: number | number[];
    kernelSize: [number, number];
  };
  if ([dilationRate].flat().some((rate) => rate !== 1)) unsupported(kernel, "dilation");
  const [images, , , channels] = input.shape;
  const info = tf.backend_util.computeConv2DInfo(
    input.shape,
    [...kernelSize, channels, 1],
    strides,
    1,
    padding,
  );
  const taps = kernelSize[0] * kernelSize[1] * channels;
  const places = info.outHeight * info.outWidth;
  const x = input.dataSync() as Float32Array;
  const patches = new Float32Array(images * taps * places);
  for (let image = 0; image < images; image++) {
    const part = patches.subarray(image * taps * places, (image + 1) * taps * places);
    im2colTransposed(x, part, info, image, 1);
  }
  return tf.tensor3d(patches, [images, taps, places]);
}

function unsupported({ name }: Kernel, what: string): never {
  throw new Error(`the Hessian's diagonal of ${name} is not known how to compute: ${what}`);
}
