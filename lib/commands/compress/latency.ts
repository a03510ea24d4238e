// How long one image takes, before and after, side by side.
import { measureLatencies } from "../../analysis/index.ts";
import { type Split, toFloat, viewOf } from "../../datasets/index.ts";
import { tf } from "../../nn/index.ts";

/** A way to run the network, and its time. */
export interface RunTime {
  name: string;
  /** Milliseconds. */
  median: number;
  p90: number;
  /** What its weights take in memory. */
  bytes?: number;
}

/** A way to run one image. */
export interface Runner {
  name: string;
  run: (image: Float32Array) => unknown;
  bytes?: number;
}

/** A TensorFlow.js model as a runner. */
export function modelRunner(name: string, model: tf.LayersModel): Runner {
  const shape = [1, ...(model.inputs[0].shape.slice(1) as number[])];
  return {
    name,
    run: (image) =>
      tf.tidy(() => {
        (model.apply(tf.tensor(image, shape)) as tf.Tensor).dataSync();
      }),
    bytes: 4 * model.countParams(),
  };
}

/** Times runners on the first image of a split, in turns. */
export async function timesOf(
  runners: readonly Runner[],
  images: Split,
  signal?: AbortSignal,
): Promise<RunTime[]> {
  const image = toFloat(viewOf(images, 0, 1));
  const works = Object.fromEntries(runners.map(({ name, run }) => [name, () => run(image)]));
  const times = await measureLatencies(works, { runs: 15, warmup: 2, signal });
  return runners.map(({ name, bytes }) => ({
    name,
    median: times[name].median,
    p90: times[name].p90,
    ...(bytes === undefined ? {} : { bytes }),
  }));
}
