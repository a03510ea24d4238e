// Files for engines, run by them: what each answers against our own simulation of it, and how long an image takes.
import { arraysOf, floatsOf, type Samples, viewOf } from "../../datasets/index.ts";
import { type EngineRun, MissingEngineError, readyForIntegers, runWithEngine } from "../../formats/index.ts";
import { finalActivation } from "../../graph/index.ts";
import {
  graphOf,
  logSoftmax,
  modelOf,
  predict,
  quantizedForward,
  setQuantized,
  type tf,
} from "../../nn/index.ts";
import type { RunTime } from "./latency.ts";
import type { WrittenFile } from "./targets.ts";

/** What an engine made of a file. */
export interface Checked {
  engine: string;
  /** The largest difference between its probabilities or values and those of our simulation. */
  difference: number;
  /** How many images were compared. */
  images: number;
}

/** At most so many images are run: engines that take one at a time do so again and again. */
const most = 16;
const timed = 15;

/**
 * Runs a file by its engine where that is installed.
 *
 * @returns nothing for a format that no engine here runs; a note for an engine that is missing or refuses the file
 */
export async function checkedByEngine(
  file: WrittenFile,
  model: tf.LayersModel,
  images: Samples,
  signal?: AbortSignal,
): Promise<{ checked?: Checked; time?: RunTime; note?: string }> {
  if (!file.engine) return {};
  const { bytes, codes, activations } = file.engine;
  const some = viewOf(images, 0, Math.min(most, images.count));
  const inputs = arraysOf(some).inputs.map((field, i) => {
    const wanted = model.inputs[i].shape.slice(1);
    const shape = wanted.includes(null) ? [...field.shape] : (wanted as number[]);
    return { shape, values: floatsOf(field, some.count) };
  });
  const of = (count: number) =>
    inputs.map(({ shape, values }) => ({
      shape: [count, ...shape],
      values: values.subarray(0, (values.length / some.count) * count),
    }));
  let run: EngineRun;
  let single: EngineRun;
  try {
    run = await runWithEngine(bytes, of(some.count));
    single = await runWithEngine(bytes, of(1), { repeat: timed + 2 });
  } catch (error) {
    if (error instanceof MissingEngineError) return { note: error.message };
    return { note: `the engine refuses it: ${(error as Error).message}` };
  }
  const graph = readyForIntegers(graphOf(model));
  const fused = modelOf(graph);
  try {
    setQuantized(fused, codes);
    const { outputs } = await predict(fused, some, {
      signal,
      ...(activations ? { forward: quantizedForward(fused, { activations }) } : {}),
    });
    let difference = 0;
    for (const [o, { task, shape, values }] of outputs.entries()) {
      const given = run.outputs[o].values;
      const width = shape.at(-1) ?? 1;
      const scores = task === "classes" && finalActivation(graph, graph.outputs[o]).activation !== "softmax";
      for (let from = 0; from < given.length; from += width) {
        const row = given.subarray(from, from + width);
        const found = scores ? logSoftmax(row).map(Math.exp) : row;
        for (let c = 0; c < width; c++)
          difference = Math.max(difference, Math.abs(found[c] - values[from + c]));
      }
    }
    const times = single.milliseconds.slice(2).sort((a, b) => a - b);
    return {
      checked: { engine: run.engine, difference, images: some.count },
      time: {
        name: `${run.engine}, ${file.path.split(/[\\/]/).at(-1)}`,
        median: times[times.length >> 1],
        p90: times[Math.ceil(0.9 * times.length) - 1],
        bytes: file.bytes,
      },
    };
  } finally {
    fused.dispose();
  }
}
