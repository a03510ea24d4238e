// How far a compressed network is from the one it came from, where there are no labels: do both name the same class, how
// far are their probabilities or values apart, and in which layer does it go wrong.

import type { Samples } from "../datasets/index.ts";
import { activationPlaces, producersOf, sharedNodes } from "../graph/index.ts";
import { checkOneOf } from "../util/check.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, feedOf, withAdvice } from "./batches.ts";
import { wholeOf } from "./evaluate.ts";
import { layersOf, networkOf } from "./graph.ts";
import { type Forward, outputsOf } from "./logits.ts";
import { withProbes } from "./probe.ts";
import { decidedBy, divergenceOf, type Output, shownBy, Tally } from "./tasks.ts";
import { tf } from "./tf.ts";
import { probedLayers } from "./weights.ts";

/** How two networks differ on the same samples. */
export interface Comparison {
  /**
   * Share of samples for which both name the same class, 0 to 1. Of labels, the share of equal ones; of values, R² with the
   * reference's as what should be; of several outputs, the mean.
   */
  agreement: number;
  /**
   * Mean Kullback-Leibler divergence from the reference's probabilities to the other's, in nats a sample. Of values, that of
   * normal distributions around them, as wide as the reference's outputs are; of several outputs, the sum.
   */
  divergence: number;
  /** The largest difference between two probabilities, or values. */
  largest: number;
  /** Mean squared difference of the class scores before softmax, or of the outputs. */
  mse: number;
  /** Each output by itself, where there are several. */
  outputs?: OutputComparison[];
  /** Layer by layer, in the order in which they run: where it goes wrong. */
  layers: LayerComparison[];
  count: number;
}

/** How one output differs. */
export interface OutputComparison {
  name: string;
  agreement: number;
  divergence: number;
  largest: number;
  mse: number;
}

/** How the outputs of one layer differ. */
export interface LayerComparison {
  layer: string;
  /** Mean squared difference. */
  mse: number;
  /** The reference's mean square over that, in decibels; Infinity where nothing differs. */
  sqnr: number;
}

export interface CompareOptions {
  /**
   * The layers to compare, by their name in both; default: where an engine stores activations, as far as both networks
   * have a layer of that name and use it once, and what the networks give out (class scores before softmax) under the name of
   * the layer that gives it. An empty list compares none.
   */
  layers?: readonly string[];
  /** Replaces the other's own way from images to logits, as in `evaluate`; its layers show what they put out before it is rounded. */
  forward?: Forward;
  /**
   * What the channels (the last axis) of the other's layers were divided by, by layer, as equalization does it: they are
   * multiplied by it before they are compared.
   */
  scales?: Readonly<Record<string, ArrayLike<number>>>;
  /** Images at a time; by default what the activations of both leave room for. */
  batchSize?: number;
  signal?: AbortSignal;
}

/**
 * Compares a network with one that was made of it: without targets, sample by sample and layer by layer.
 *
 * @param reference the network as it was
 * @param other what compression has made of it; may be the same model, with `forward`
 * @param samples images or arrays; labels do not matter
 * @throws RangeError for networks whose outputs differ in number or shape, and layers that one of them does not have
 */
export async function compareModels(
  reference: tf.LayersModel,
  other: tf.LayersModel,
  samples: Samples,
  { forward, signal, scales = {}, ...options }: CompareOptions = {},
): Promise<Comparison> {
  // What the outputs are for, the reference says: the other's last layer may be one that gives plain scores.
  const [feed, otherFeed] = [feedOf(reference, samples), feedOf(other, samples)];
  const { outputs, count } = feed;
  const shapes = [feed, otherFeed].map((one) => one.outputs.map(({ shape }) => shape.join(" x ")).join(", "));
  if (shapes[0] !== shapes[1])
    throw new RangeError(
      outputs.length === 1 && otherFeed.outputs.length === 1 && outputs[0].task === "classes"
        ? `${other.name} must have ${outputs[0].width} classes, as ${reference.name} has, got ${otherFeed.outputs[0].width}`
        : `${other.name} must have outputs of ${shapes[0]}, as ${reference.name} has, got ${shapes[1]}`,
    );
  await ensureBackend();
  const names = comparable(reference, other, options.layers);
  const [left, right] = [probedLayers(reference, names), probedLayers(other, names)];
  const sums = new Map(names.map((name) => [name, { signal: 0, noise: 0, count: 0 }]));
  const batchSize = Math.min(
    batchSizeFor(reference, options.batchSize, 128, 2),
    batchSizeFor(other, options.batchSize, 128, 2),
  );
  const [expected, found] = [wholeOf(feed), wholeOf(feed)];
  const put = (all: Float32Array[], tensors: tf.Tensor[], from: number) => {
    for (const [o, tensor] of tensors.entries())
      all[o].set(tensor.dataSync() as Float32Array, (all[o].length / count) * from);
  };
  for (let from = 0; from < count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(count, from + batchSize);
    withAdvice(reference, batchSize, () =>
      tf.tidy(() => {
        const seen = new Map<string, Float32Array>();
        const keep = (name: string, _: tf.Tensor, output: tf.Tensor) => {
          // The JavaScript backend hands out its own array.
          seen.set(name, Float32Array.from(output.dataSync()));
        };
        const { x } = feed.batch(from, to);
        put(
          expected,
          withProbes(left, "output", {}, keep, () => outputsOf(reference, x)),
          from,
        );
        const compare = (name: string, _: tf.Tensor, output: tf.Tensor) =>
          addTo(sums.get(name)!, seen.get(name)!, output.dataSync(), scales[name]);
        // The same numbers in the shapes that the other takes: rows of pixels or pictures.
        const { x: y } = otherFeed.batch(from, to);
        put(
          found,
          withProbes(right, "output", {}, compare, () =>
            forward ? [forward(y)].flat() : outputsOf(other, y),
          ),
          from,
        );
      }),
    );
    await nextTurn();
  }
  if (!options.layers)
    for (const [o, layer] of endsOf(reference).entries()) {
      if (sums.has(layer)) continue;
      sums.set(layer, { signal: 0, noise: 0, count: 0 });
      addTo(sums.get(layer)!, expected[o], found[o]);
    }
  return {
    ...compareOutputs(outputs, expected, found),
    layers: [...sums].map(([layer, { signal: power, noise, count: numbers }]) => ({
      layer,
      mse: noise / numbers,
      sqnr: noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(power / noise),
    })),
    count,
  };
}

/** {@link compareModels} of outputs that are known already. */
export function compareOutputs(
  outputs: readonly Output[],
  expected: readonly Float32Array[],
  found: readonly Float32Array[],
): Omit<Comparison, "layers" | "count"> {
  const each = outputs.map((output, o) => comparedOutput(output, expected[o], found[o]));
  const mean = (of: (one: OutputComparison) => number) =>
    each.reduce((sum, one) => sum + of(one), 0) / each.length;
  return {
    agreement: mean(({ agreement }) => agreement),
    divergence: each.reduce((sum, { divergence }) => sum + divergence, 0),
    largest: Math.max(...each.map(({ largest }) => largest)),
    mse: mean(({ mse }) => mse),
    ...(each.length > 1 ? { outputs: each } : {}),
  };
}

function comparedOutput(output: Output, expected: Float32Array, found: Float32Array): OutputComparison {
  const tally = new Tally([output]);
  tally.add([found], [decidedBy(output, expected)]);
  const [p, q] = [shownBy(output, expected), shownBy(output, found)];
  let [largest, squares] = [0, 0];
  for (let i = 0; i < p.length; i++) {
    largest = Math.max(largest, Math.abs(p[i] - q[i]));
    squares += (expected[i] - found[i]) ** 2;
  }
  return {
    name: output.name,
    agreement: tally.result(1).accuracy,
    divergence: divergenceOf([output], [expected], [found]),
    largest,
    mse: squares / expected.length,
  };
}

/** The layers that are asked for, or that both networks have where activations are stored. */
function comparable(reference: tf.LayersModel, other: tf.LayersModel, asked?: readonly string[]): string[] {
  const [left, right] = [layersOf(reference), layersOf(other)];
  for (const name of asked ?? []) {
    checkOneOf("layer", name, [...left.keys()]);
    checkOneOf("layer", name, [...right.keys()]);
  }
  if (asked) return [...asked];
  // What is used more than once has no one output to compare.
  const graphs = [reference, other].map((model) => networkOf(model).graph);
  const [mine, its] = graphs.map(sharedNodes);
  return activationPlaces(graphs[0]).filter((name) => right.has(name) && !mine.has(name) && !its.has(name));
}

/** The layer that gives out each of a network's outputs. */
function endsOf(model: tf.LayersModel): string[] {
  const { graph } = networkOf(model);
  const producers = producersOf(graph);
  return graph.outputs.map((tensor) => {
    const { name, shares } = producers.get(tensor)!;
    return shares ?? name;
  });
}

function addTo(
  sum: { signal: number; noise: number; count: number },
  expected: Float32Array,
  found: ArrayLike<number>,
  scales: ArrayLike<number> = [1],
) {
  if (found.length !== expected.length)
    throw new RangeError(
      `layers must give the same number of values to be compared, got ${expected.length} and ${found.length}`,
    );
  for (let i = 0; i < expected.length; i++) {
    sum.signal += expected[i] ** 2;
    sum.noise += (expected[i] - found[i] * scales[i % scales.length]) ** 2;
  }
  sum.count += expected.length;
}
