// Small networks for tests, with noise for weights and for images.
import type { Split } from "slimlab/datasets";
import { tf } from "slimlab/nn";
import { normal, seeded } from "../../lib/util/random.ts";

/** Images of noise with labels by turns. */
export function noise(count: number, [height, width, channels]: number[], classes: number, seed = 1): Split {
  const random = seeded(seed);
  const images = Uint8Array.from({ length: count * height * width * channels }, () => random() * 256);
  const labels = Uint16Array.from({ length: count }, (_, i) => i % classes);
  return { images, labels, count, height, width, channels };
}

/** Fills every weight with noise. */
export function randomise(model: tf.LayersModel, seed = 1, size = 0.5): tf.LayersModel {
  const random = seeded(seed);
  tf.tidy(() => {
    for (const weight of model.weights) {
      const shape = weight.shape as number[];
      const positive = weight.originalName.endsWith("moving_variance");
      const values = Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () =>
        positive ? 0.5 + random() : size * normal(random),
      );
      weight.write(tf.tensor(values, shape));
    }
  });
  return model;
}

/** The largest difference. */
export const apart = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i])));

/** A layer on symbolic tensors. */
export const apply = (layer: tf.layers.Layer, ...inputs: tf.SymbolicTensor[]) =>
  layer.apply(inputs.length === 1 ? inputs[0] : inputs) as tf.SymbolicTensor;
