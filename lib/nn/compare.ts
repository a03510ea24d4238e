// How far a compressed network is from the one it came from, where there are no labels: do both name the same class, how
// far are their probabilities apart, and in which layer does it go wrong.

import type { Split } from "../datasets/index.ts";
import { activationPlaces } from "../graph/index.ts";
import { checkOneOf } from "../util/check.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchOf, batchSizeFor, checkSplit, classCount, inputShape, withAdvice } from "./batches.ts";
import { argMax } from "./evaluate.ts";
import { layersOf, networkOf } from "./graph.ts";
import { logitsOf } from "./logits.ts";
import { withProbes } from "./probe.ts";
import { tf } from "./tf.ts";
import { probedLayers } from "./weights.ts";

/** How two networks differ on the same images. */
export interface Comparison {
  /** Share of images for which both name the same class, 0 to 1. */
  agreement: number;
  /** Mean Kullback-Leibler divergence from the reference's probabilities to the other's, in nats an image. */
  divergence: number;
  /** The largest difference between two probabilities. */
  largest: number;
  /** Mean squared difference of the class scores before softmax. */
  mse: number;
  /** Layer by layer, in the order in which they run: where it goes wrong. */
  layers: LayerComparison[];
  count: number;
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
   * have a layer of that name. An empty list compares none.
   */
  layers?: readonly string[];
  /** Replaces the other's own way from images to logits, as in `evaluate`; its layers show what they put out before it is rounded. */
  forward?: (x: tf.Tensor) => tf.Tensor2D;
  /** Images at a time; by default what the activations of both leave room for. */
  batchSize?: number;
  signal?: AbortSignal;
}

/**
 * Compares a network with one that was made of it: without labels, image by image and layer by layer.
 *
 * @param reference the network as it was
 * @param other what compression has made of it; may be the same model, with `forward`
 * @param split images; labels do not matter
 * @throws RangeError for networks of different numbers of classes, and layers that one of them does not have
 */
export async function compareModels(
  reference: tf.LayersModel,
  other: tf.LayersModel,
  split: Split,
  { forward, signal, ...options }: CompareOptions = {},
): Promise<Comparison> {
  for (const model of [reference, other]) checkSplit(model, split);
  const classes = classCount(reference);
  if (classCount(other) !== classes)
    throw new RangeError(
      `${other.name} must have ${classes} classes, as ${reference.name} has, got ${classCount(other)}`,
    );
  await ensureBackend();
  const names = comparable(reference, other, options.layers);
  const [left, right] = [probedLayers(reference, names), probedLayers(other, names)];
  const sums = new Map(names.map((name) => [name, { signal: 0, noise: 0, count: 0 }]));
  const total = { agreement: 0, divergence: 0, largest: 0, mse: 0 };
  const batchSize = Math.min(
    batchSizeFor(reference, options.batchSize, 128, 2),
    batchSizeFor(other, options.batchSize, 128, 2),
  );
  const shape = inputShape(reference);
  for (let from = 0; from < split.count; from += batchSize) {
    signal?.throwIfAborted();
    const to = Math.min(split.count, from + batchSize);
    withAdvice(reference, batchSize, () =>
      tf.tidy(() => {
        const { x } = batchOf(split, shape, from, to);
        const seen = new Map<string, Float32Array>();
        const keep = (name: string, _: tf.Tensor, output: tf.Tensor) => {
          // The JavaScript backend hands out its own array.
          seen.set(name, Float32Array.from(output.dataSync()));
        };
        const expected = withProbes(left, "output", {}, keep, () => logitsOf(reference, x)).dataSync();
        const compare = (name: string, _: tf.Tensor, output: tf.Tensor) =>
          addTo(sums.get(name)!, seen.get(name)!, output.dataSync());
        const y = x.reshape([to - from, ...inputShape(other)]);
        const found = withProbes(right, "output", {}, compare, () =>
          forward ? forward(y) : logitsOf(other, y),
        ).dataSync();
        for (let i = 0; i < expected.length; i += classes)
          addRow(total, expected.subarray(i, i + classes), found.subarray(i, i + classes));
      }),
    );
    await nextTurn();
  }
  const { count } = split;
  return {
    agreement: total.agreement / count,
    divergence: Math.max(0, total.divergence / count),
    largest: total.largest,
    mse: total.mse / (count * classes),
    layers: names.map((layer) => {
      const { signal: power, noise, count: numbers } = sums.get(layer)!;
      return {
        layer,
        mse: noise / numbers,
        sqnr: noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(power / noise),
      };
    }),
    count,
  };
}

/** The layers that are asked for, or that both networks have where activations are stored. */
function comparable(reference: tf.LayersModel, other: tf.LayersModel, asked?: readonly string[]): string[] {
  const [left, right] = [layersOf(reference), layersOf(other)];
  for (const name of asked ?? []) {
    checkOneOf("layer", name, [...left.keys()]);
    checkOneOf("layer", name, [...right.keys()]);
  }
  return asked ? [...asked] : activationPlaces(networkOf(reference).graph).filter((name) => right.has(name));
}

function addTo(
  sum: { signal: number; noise: number; count: number },
  expected: Float32Array,
  found: ArrayLike<number>,
) {
  if (found.length !== expected.length)
    throw new RangeError(
      `layers must give the same number of values to be compared, got ${expected.length} and ${found.length}`,
    );
  for (let i = 0; i < expected.length; i++) {
    sum.signal += expected[i] ** 2;
    sum.noise += (expected[i] - found[i]) ** 2;
  }
  sum.count += expected.length;
}

/** Adds one image's class scores to what has been found. */
function addRow(
  total: { agreement: number; divergence: number; largest: number; mse: number },
  expected: ArrayLike<number>,
  found: ArrayLike<number>,
): void {
  if (argMax(expected) === argMax(found)) total.agreement++;
  const [p, q] = [logSoftmax(expected), logSoftmax(found)];
  for (let c = 0; c < p.length; c++) {
    total.divergence += Math.exp(p[c]) * (p[c] - q[c]);
    total.largest = Math.max(total.largest, Math.abs(Math.exp(p[c]) - Math.exp(q[c])));
    total.mse += (expected[c] - found[c]) ** 2;
  }
}

/** Logarithms of the probabilities that class scores stand for. */
export function logSoftmax(row: ArrayLike<number>): Float64Array {
  const most = row[argMax(row)];
  let sum = 0;
  for (let i = 0; i < row.length; i++) sum += Math.exp(row[i] - most);
  return Float64Array.from(row, (z) => z - most - Math.log(sum));
}
