// A model's outputs with class scores before softmax. Losses, distillation and second derivatives start there: the logarithm
// of a softmax that has already been rounded to 0 or 1 has lost its gradient.

import { finalActivation, sharedNodes } from "../graph/index.ts";
import { keptFor, networkOf } from "./graph.ts";
import { tf } from "./tf.ts";

/** What a model reads: one tensor, or one for each of its inputs. */
export type Inputs = tf.Tensor | tf.Tensor[];

/**
 * From what goes into a model to what comes out, class scores before softmax: in place of a model's own way. A model with
 * several inputs gets an array, one with several outputs gives one.
 */
export type Forward = {
  bivarianceHack(x: Inputs, training?: boolean): tf.Tensor | tf.Tensor[];
}["bivarianceHack"];

/** The part of a layer that these functions reach into. */
interface LastLayer extends tf.layers.Layer {
  activation?: tf.serialization.Serializable & { apply(x: tf.Tensor): tf.Tensor };
}

/**
 * The outputs of `model` before its final softmax: [batch, classes], of a model with several outputs all of them. The softmax
 * is found through nested models and through layers that only hand on, such as dropout. A model without one is taken to give
 * logits, or whatever else it is for, already.
 *
 * @param training whether layers such as dropout and batch normalisation behave as in training
 */
export function logitsOf(
  model: tf.LayersModel,
  x: Inputs,
  options: { training?: boolean } = {},
): tf.Tensor2D {
  const outputs = outputsOf(model, x, options);
  return (outputs.length === 1 ? outputs[0] : outputs) as tf.Tensor2D;
}

/**
 * All outputs of a model, class scores before softmax.
 *
 * @param options `scores`: only so many of the outputs can be class scores; the others are given as they are
 */
export function outputsOf(
  model: tf.LayersModel,
  x: Inputs,
  { training = false, scores }: { training?: boolean; scores?: number } = {},
): tf.Tensor[] {
  const run = () => [model.apply(x, { training }) as tf.Tensor | tf.Tensor[]].flat();
  return asScores(model, withoutSoftmax(model, run, scores), scores);
}

/** Runs `run` while the final softmax of each output lets everything through unchanged, where nothing else reads it. */
export function withoutSoftmax<T>(model: tf.LayersModel, run: () => T, scores?: number): T {
  const undo: (() => void)[] = [];
  try {
    const layers = new Set(
      endsOf(model)
        .slice(0, scores)
        .flatMap(({ softmax }) => softmax ?? []),
    );
    for (const layer of layers) undo.push(letThrough(layer));
    return run();
  } finally {
    for (const step of undo) step();
  }
}

/** Outputs of a run {@link withoutSoftmax}: those whose softmax had to stay become logits by their logarithm. */
export function asScores(model: tf.LayersModel, outputs: tf.Tensor[], scores?: number): tf.Tensor[] {
  const ends = endsOf(model).slice(0, scores);
  if (!ends.some(({ stays }) => stays)) return outputs;
  return outputs.map((output, o) => (ends[o]?.stays ? tf.log(tf.maximum(output, 1e-30)) : output));
}

function letThrough(last: LastLayer): () => void {
  if (last.activation) {
    const { activation } = last;
    last.activation = linear;
    return () => {
      last.activation = activation;
    };
  }
  const { call } = last;
  const own = Object.hasOwn(last, "call");
  last.call = (inputs) => (Array.isArray(inputs) ? inputs[0] : inputs);
  return () => {
    if (own) last.call = call;
    else delete (last as Partial<LastLayer>).call;
  };
}

/** How an output ends. */
interface End {
  /** The layer of its softmax, which nothing else reads. */
  softmax?: tf.layers.Layer;
  /** Whether it ends in a softmax that other layers read, or one that is used more than once. */
  stays: boolean;
}

/** How each output of a model ends. Walking the graph takes longer than a small network does, so it is kept. */
const endsOf = keptFor((model): End[] => {
  const { graph, layers } = networkOf(model);
  const shared = sharedNodes(graph);
  return graph.outputs.map((output) => {
    const { activation, node, alone } = finalActivation(graph, output);
    if (activation !== "softmax") return { stays: false };
    return alone && !shared.has(node) ? { softmax: layers.get(node), stays: false } : { stays: true };
  });
});

// "linear" is a fused activation that adds nothing, so the layer keeps its fast path.
const linear = {
  apply: (x: tf.Tensor) => x,
  getClassName: () => "linear",
} as unknown as NonNullable<LastLayer["activation"]>;
