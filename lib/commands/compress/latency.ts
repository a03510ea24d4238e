// How long one image takes, before and after, side by side.
import { measureLatencies } from "../../analysis/index.ts";
import { arraysOf, floatsOf, type Samples, viewOf } from "../../datasets/index.ts";
import { feedOf, tf } from "../../nn/index.ts";

/** A way to run the network, and its time. */
export interface RunTime {
  name: string;
  /** Milliseconds. */
  median: number;
  p90: number;
  /** What its weights take in memory. */
  bytes?: number;
}

/** A way to run one sample. */
export interface Runner {
  name: string;
  /** @param inputs the numbers of each input */
  run: (inputs: Float32Array[]) => unknown;
  bytes?: number;
}

/** A TensorFlow.js model as a runner. */
export function modelRunner(name: string, model: tf.LayersModel, samples: Samples): Runner {
  const { x } = feedOf(model, viewOf(samples, 0, 1)).batch(0, 1);
  const shapes = [x].flat().map((tensor) => tensor.shape);
  tf.dispose(x);
  return {
    name,
    run: (inputs) =>
      tf.tidy(() => {
        const tensors = inputs.map((values, i) => tf.tensor(values, shapes[i]));
        const found = model.apply(tensors.length === 1 ? tensors[0] : tensors) as tf.Tensor | tf.Tensor[];
        for (const tensor of [found].flat()) tensor.dataSync();
      }),
    bytes: 4 * model.countParams(),
  };
}

/** How often each runner runs, and what it may take: by then its time is known well enough for a report. */
const most = { runs: 15, milliseconds: 15_000 };

/** Times runners on the first sample, in turns: as often as a few seconds allow, at least three times. */
export async function timesOf(
  runners: readonly Runner[],
  samples: Samples,
  signal?: AbortSignal,
): Promise<RunTime[]> {
  const first = arraysOf(viewOf(samples, 0, 1)).inputs.map((field) => floatsOf(field, 1));
  const works = Object.fromEntries(runners.map(({ name, run }) => [name, () => run(first)]));
  const trial = await measureLatencies(works, { runs: 1, warmup: 0, signal });
  const round = Object.values(trial).reduce((sum, { median }) => sum + median, 0);
  const runs = Math.max(3, Math.min(most.runs, Math.floor(most.milliseconds / round)));
  const times = await measureLatencies(works, { runs, warmup: 1, signal });
  return runners.map(({ name, bytes }) => ({
    name,
    median: times[name].median,
    p90: times[name].p90,
    ...(bytes === undefined ? {} : { bytes }),
  }));
}
