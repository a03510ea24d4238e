// A network that runs on the same examples over and over while its layers change one after the other: what stands before
// the changed layer is computed once and kept, so that a run costs what comes after it.

import type { Samples } from "../datasets/index.ts";
import { consumersOf, fusedWith, type GraphNode } from "../graph/index.ts";
import { joinFloats } from "../util/join.ts";
import { elements } from "../util/shape.ts";
import { nextTurn } from "../util/turn.ts";
import { ensureBackend } from "./backend.ts";
import { batchSizeFor, type Feed, feedOf, withAdvice } from "./batches.ts";
import { networkOf } from "./graph.ts";
import { asScores, type Inputs, outputsOf, withoutSoftmax } from "./logits.ts";
import { withProbes } from "./probe.ts";
import { tf } from "./tf.ts";

/** A batch, the tensors that have been computed of it, and how far: all nodes before `at` have run. */
interface Strand {
  from: number;
  to: number;
  at: number;
  live: Map<string, tf.Tensor> | undefined;
}

/** Bytes that kept tensors may take; batches beyond them start from their images again. */
const defaultRoom = 2 ** 29;

export interface ReplayOptions {
  batchSize?: number;
  signal?: AbortSignal;
  /** Bytes of tensors to keep; default 512 MiB. */
  room?: number;
}

/**
 * Runs a model on a split in pieces. `advance` goes on to a layer, with the weights that the layers before it then have;
 * `outputs` runs the rest and leaves everything where it is; `inputs` is what goes into the layer. To be disposed of.
 */
export class Replay {
  readonly #model: tf.LayersModel;
  readonly #feed: Feed;
  readonly #options: ReplayOptions;
  readonly #nodes: readonly GraphNode[];
  readonly #layers: Map<string, tf.layers.Layer>;
  readonly #results: readonly string[];
  readonly #inputs: readonly string[];
  /** By tensor: the last node that reads it; the number of nodes for what the network gives. */
  readonly #lastUse = new Map<string, number>();
  readonly #fused: (node: GraphNode) => number[];
  readonly #sizes: Map<string, number>;
  readonly #strands: Strand[] = [];
  /** Whether only whole runs are right: where some layers tell others which steps of a sequence to leave out. */
  readonly #whole: boolean;
  #at = 0;

  constructor(model: tf.LayersModel, samples: Samples, options: ReplayOptions = {}) {
    const { graph, layers } = networkOf(model);
    this.#model = model;
    this.#feed = feedOf(model, samples);
    this.#options = options;
    this.#nodes = graph.nodes;
    this.#layers = layers;
    this.#results = graph.outputs;
    this.#inputs = graph.inputs;
    this.#whole = graph.nodes.some(
      ({ kind, attributes }) => kind === "masking" || attributes.maskZero === true,
    );
    const consumers = consumersOf(graph);
    this.#fused = (node) => fusedWith(graph, consumers, node).map((each) => graph.nodes.indexOf(each));
    for (const [i, { inputs }] of graph.nodes.entries())
      for (const name of inputs) this.#lastUse.set(name, i);
    for (const name of graph.outputs) this.#lastUse.set(name, graph.nodes.length);
    const open = Object.values(graph.tensors).some(({ shape }) => shape.includes(null));
    const shapes = open ? this.#shapesSeen() : graph.tensors;
    this.#sizes = new Map(
      Object.entries(shapes).map(([name, { shape }]) => [name, 4 * elements(shape as number[])]),
    );
    const batchSize = batchSizeFor(model, options.batchSize, 128);
    for (let from = 0; from < samples.count; from += batchSize)
      this.#strands.push({ from, to: Math.min(samples.count, from + batchSize), at: 0, live: undefined });
  }

  /** The shapes that tensors of open sizes have for these samples: seen in a run of one of them. */
  #shapesSeen(): Record<string, { shape: number[] }> {
    return tf.tidy(() => {
      const tensors = [this.#feed.batch(0, 1).x].flat();
      const live = new Map(this.#inputs.map((name, i) => [name, tensors[i]]));
      for (const { name, kind, inputs, outputs } of this.#nodes) {
        if (kind === "input") continue;
        const given = inputs.map((tensor) => live.get(tensor)!);
        const made = this.#layers.get(name)!.apply(given.length === 1 ? given[0] : given);
        for (const [o, tensor] of ([made].flat() as tf.Tensor[]).entries()) live.set(outputs[o], tensor);
      }
      return Object.fromEntries([...live].map(([name, { shape }]) => [name, { shape: shape.slice(1) }]));
    });
  }

  /** Goes on to the first use of a layer, with today's weights. */
  async advance(layer: string): Promise<void> {
    const to = this.#nodes.findIndex(({ name }) => name === layer);
    if (to < this.#at) throw new RangeError(`${layer} must not come before what has run already`);
    this.#at = to;
    const produced = this.#nodes.slice(0, to).flatMap(({ outputs }) => outputs);
    const held = produced.filter((name) => (this.#lastUse.get(name) ?? -1) >= to);
    const bytes = held.reduce((sum, name) => sum + this.#sizes.get(name)!, 0);
    let room = this.#options.room ?? defaultRoom;
    await ensureBackend();
    if (this.#whole) return;
    for (const strand of this.#strands) {
      room -= bytes * (strand.to - strand.from);
      if (room >= 0) this.#hold(strand, to);
      else drop(strand);
      await this.#turn();
    }
  }

  /** What goes into the layer that was last gone on to, batch by batch. */
  async *inputs(): AsyncGenerator<{ values: Float32Array; shape: number[] }> {
    const [name] = this.#nodes[this.#at].inputs;
    for (const strand of this.#strands) {
      if (this.#whole) {
        yield this.#probe(strand, "input");
        continue;
      }
      const live = strand.live ?? this.#start(strand, this.#at);
      const tensor = live.get(name)!;
      // The JavaScript backend hands out its own array.
      yield { values: Float32Array.from(tensor.dataSync()), shape: tensor.shape };
      if (live !== strand.live) tf.dispose([...live.values()]);
      await this.#turn();
    }
  }

  /**
   * What comes out of the layer that was last gone on to, and of the batch normalisation and the ReLU that follow it alone,
   * with the weights that they have now: of as many batches as `limit` numbers hold, and of one at least.
   */
  async layerOutputs(limit: number): Promise<Float32Array> {
    const fused = this.#fused(this.#nodes[this.#at]);
    const { outputs } = this.#nodes[fused.at(-1)!];
    const size = this.#sizes.get(outputs[0])! / 4;
    const parts: Float32Array[] = [];
    let left = limit;
    for (const strand of this.#strands) {
      left -= size * (strand.to - strand.from);
      if (left < 0 && parts.length > 0) break;
      if (this.#whole) {
        parts.push(this.#probe(strand, "output").values);
        continue;
      }
      const kept = strand.live;
      const live = kept ? new Map(kept) : this.#start(strand, this.#at);
      this.#run(live, fused, kept);
      parts.push(Float32Array.from(live.get(outputs[0])!.dataSync()));
      for (const [name, tensor] of live) if (kept?.get(name) !== tensor) tensor.dispose();
      await this.#turn();
    }
    return joinFloats(parts);
  }

  /** The network's outputs before softmax, one array an output, with the weights that layers have now. */
  async outputs(): Promise<Float32Array[]> {
    const all = this.#results.map(
      (name) => new Float32Array((this.#sizes.get(name)! / 4) * this.#feed.count),
    );
    for (const strand of this.#strands) {
      if (this.#whole) {
        const found = tf.tidy(() =>
          outputsOf(this.#model, this.#batch(strand)).map((tensor) => Float32Array.from(tensor.dataSync())),
        );
        for (const [i, values] of found.entries())
          all[i].set(values, (all[i].length / this.#feed.count) * strand.from);
        await this.#turn();
        continue;
      }
      const kept = strand.live;
      const live = kept ? new Map(kept) : this.#start(strand, 0);
      this.#run(live, range(kept ? strand.at : 0, this.#nodes.length), kept);
      const found = tf.tidy(() =>
        asScores(
          this.#model,
          this.#results.map((name) => live.get(name)!),
        ).map((tensor) => Float32Array.from(tensor.dataSync())),
      );
      for (const [i, values] of found.entries())
        all[i].set(values, (this.#sizes.get(this.#results[i])! / 4) * strand.from);
      for (const [name, tensor] of live) if (kept?.get(name) !== tensor) tensor.dispose();
      await this.#turn();
    }
    return all;
  }

  dispose(): void {
    for (const strand of this.#strands) drop(strand);
  }

  async #turn(): Promise<void> {
    this.#options.signal?.throwIfAborted();
    await nextTurn();
  }

  #hold(strand: Strand, to: number): void {
    if (strand.live) this.#run(strand.live, range(strand.at, to));
    else strand.live = this.#start(strand, to);
    strand.at = to;
  }

  #batch({ from, to }: Strand): Inputs {
    return this.#feed.batch(from, to).x;
  }

  /** What goes into, or comes out of, the layer that was last gone on to, in a run of the whole. */
  #probe(strand: Strand, place: "input" | "output"): { values: Float32Array; shape: number[] } {
    const { name } = this.#nodes[this.#at];
    let seen: { values: Float32Array; shape: number[] } | undefined;
    tf.tidy(() => {
      const watch = (_: string, input: tf.Tensor, output: tf.Tensor) => {
        const tensor = place === "input" ? input : output;
        seen ??= { values: Float32Array.from(tensor.dataSync()), shape: tensor.shape };
      };
      const layer = new Map([[name, this.#layers.get(name)!]]);
      withProbes(layer, "output", {}, watch, () => outputsOf(this.#model, this.#batch(strand)));
    });
    return seen!;
  }

  /** A batch from its beginning to a node. */
  #start(strand: Strand, node: number): Map<string, tf.Tensor> {
    const tensors = [this.#batch(strand)].flat();
    const live = new Map(this.#inputs.map((name, i) => [name, tensors[i]]));
    this.#run(live, range(0, node));
    return live;
  }

  /** Runs nodes and disposes of what no later one reads, but for tensors that are `kept`. */
  #run(live: Map<string, tf.Tensor>, nodes: readonly number[], kept?: Map<string, tf.Tensor>): void {
    const size = this.#strands[0].to - this.#strands[0].from;
    withoutSoftmax(this.#model, () =>
      withAdvice(this.#model, size, () => {
        for (const i of nodes) {
          const { name, kind, inputs, outputs } = this.#nodes[i];
          if (kind === "input") continue;
          const given = inputs.map((tensor) => live.get(tensor)!);
          const made = tf.tidy(() => {
            const layer = this.#layers.get(name)!;
            const result = layer.apply(given.length === 1 ? given[0] : given, { training: false });
            // A layer that only hands on must not hand on what is then disposed of.
            return ([result].flat() as tf.Tensor[]).map((tensor) =>
              given.includes(tensor) ? tf.clone(tensor) : tensor,
            );
          });
          for (const [o, tensor] of made.entries()) live.set(outputs[o], tensor);
          for (const tensor of new Set([...inputs, ...outputs]))
            if ((this.#lastUse.get(tensor) ?? -1) <= i) {
              const dead = live.get(tensor);
              if (dead && kept?.get(tensor) !== dead) dead.dispose();
              live.delete(tensor);
            }
        }
      }),
    );
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

function drop(strand: Strand): void {
  if (strand.live) tf.dispose([...strand.live.values()]);
  strand.live = undefined;
  strand.at = 0;
}
