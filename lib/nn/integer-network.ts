// §3.2.2 applied to models: a quantized model as a network that runs in whole numbers from its first step to its last.

import { arraysOf, floatsOf, type Samples, viewOf } from "../datasets/index.ts";
import {
  activationOf,
  canTakeNorm,
  channelsLast,
  consumersOf,
  endsIn,
  findKind,
  type Graph,
  type GraphNode,
  type IntegerKind,
  pairOf,
  producersOf,
  viewOf as viewOfNode,
} from "../graph/index.ts";
import {
  type ActivationGrid,
  addStep,
  clipStep,
  concatenateStep,
  conv2dStep,
  denseStep,
  depthwiseConv2dStep,
  type IntegerNetwork,
  type IntegerStep,
  lookupStep,
  maximumStep,
  minimumStep,
  multiplyStep,
  padStep,
  type Quantized,
  repeatStep,
  runInteger,
  type WeightedOptions,
  type Window,
} from "../quantization/index.ts";
import { checkInteger } from "../util/check.ts";
import { networkOf } from "./graph.ts";
import type { ActivationQuantizer, ActivationQuantizers } from "./quantize.ts";
import { type Evaluation, Tally } from "./tasks.ts";
import { tf } from "./tf.ts";
import { biasesOf } from "./weights.ts";

/**
 * A model as a network in integers (§3.2.2), in any graph: with several inputs and outputs, and with layers and networks in it
 * that are called more than once. It takes
 *
 * - dense layers, convolutions and depthwise convolutions, with ReLU or ReLU6; another activation needs a layer of its own:
 *   `splitActivations`;
 * - sums, differences, averages, products, maxima and minima, one side stretched where it has size 1; concatenations;
 * - pooling (global too), padding, cropping, upsampling to the nearest, reshape and flatten;
 * - any other function of one number, of each channel its own or the same, as a table of its 256 results: sigmoid, swish, PReLU …
 *
 * A softmax at the end is left to the reader of the logits, and dropout falls away. Batch normalisations that a layer before
 * them can take over have to be folded first: `foldBatchNorms`; others are tables. An output gives its accumulators where
 * neither a quantizer stands behind it nor another layer reads it; a sigmoid or tanh there has the grid of its range.
 *
 * @param weights symmetric, at most 8 bits, by layer: see `quantizeWeights`
 * @param activations fixed point of at most 8 bits, binary or ternary, for the input and where `calibrateActivations`
 *   puts them; with binary inputs and weights of 1 bit a layer's products are bit counts
 * @throws RangeError for layers and grids that it cannot take
 */
export function integerNetworkOf(
  model: tf.LayersModel,
  weights: Record<string, Quantized>,
  activations: ActivationQuantizers,
): IntegerNetwork {
  const { graph, layers } = networkOf(model);
  const builder = new Builder(graph, layers, biasesOf(model), weights, activations);
  for (const node of graph.nodes) builder.add(node);
  return builder.network();
}

/** A tensor of the graph, as far as the steps have come: the step that gives it (-1: the first input), and its grid. */
interface Place {
  step: number;
  grid: ActivationGrid | undefined;
}

class Builder {
  readonly #graph: Graph;
  readonly #layers: Map<string, tf.layers.Layer>;
  readonly #biases: Record<string, Float32Array>;
  readonly #weights: Record<string, Quantized>;
  readonly #activations: ActivationQuantizers;
  readonly #consumers: Map<string, GraphNode[]>;
  readonly #places = new Map<string, Place>();
  readonly #done = new Set<string>();
  readonly #steps: IntegerStep[] = [];

  constructor(
    graph: Graph,
    layers: Map<string, tf.layers.Layer>,
    biases: Record<string, Float32Array>,
    weights: Record<string, Quantized>,
    activations: ActivationQuantizers,
  ) {
    this.#graph = graph;
    this.#layers = layers;
    this.#biases = biases;
    this.#weights = weights;
    this.#activations = activations;
    this.#consumers = consumersOf(graph);
    // Said before the layer in front of it asks for a grid that it does not need.
    const producers = producersOf(graph);
    for (const node of graph.nodes) {
      if (findKind(node.kind)?.integer !== "batchNorm") continue;
      const [tensor] = node.inputs;
      if (canTakeNorm(producers.get(tensor)!) && this.#consumers.get(tensor)!.length === 1)
        throw new RangeError(
          `${node.name} is a batch normalisation: fold it into the layer before it first (foldBatchNorms)`,
        );
    }
  }

  network(): IntegerNetwork {
    const [first, ...others] = this.#graph.inputs.map((tensor) => ({
      shape: this.#shape(tensor),
      grid: this.#places.get(tensor)!.grid!,
    }));
    const outputs = this.#graph.outputs.map((tensor) => this.#places.get(tensor)!.step);
    return { inputShape: first.shape, input: first.grid, others, steps: this.#steps, outputs };
  }

  add(node: GraphNode): void {
    if (this.#done.has(node.name)) return;
    const { integer } = findKind(node.kind) ?? { integer: "none" as const };
    this.#makers[integer](node);
  }

  /** What each kind of step takes of a node. */
  readonly #makers: Record<IntegerKind, (node: GraphNode) => void> = {
    none: (node) => {
      if (node.kind === "softmax" && this.#isLast(node)) this.#pass(node);
      else
        throw new RangeError(
          `${node.name} is a ${findKind(node.kind)?.tfjs ?? node.kind}, which does not run in integers here`,
        );
    },
    identity: (node) => {
      if (node.kind !== "input") return this.#pass(node);
      const [tensor] = node.outputs;
      const place = this.#graph.inputs.indexOf(tensor);
      const { input, inputs } = this.#activations;
      const where = this.#graph.inputs.length === 1 ? "the input" : `the input ${node.name}`;
      this.#places.set(tensor, { step: -1 - place, grid: this.#grid(where, inputs?.[node.name] ?? input) });
    },
    reshape: (node) => this.#put(node, { kind: "reshape", shape: this.#shape(node.outputs[0]) }),
    dense: (node) => this.#weighted(node, (options) => denseStep(options)),
    conv2d: (node) =>
      this.#weighted(node, (options) => conv2dStep({ ...options, ...plainWindow(node, "kernelSize") })),
    depthwiseConv2d: (node) =>
      this.#weighted(node, (options) =>
        depthwiseConv2dStep({ ...options, ...plainWindow(node, "kernelSize") }),
      ),
    maxPool2d: (node) => this.#put(node, { kind: "maxPool2d", ...plainWindow(node, "poolSize") }),
    averagePool2d: (node) => this.#average(node, plainWindow(node, "poolSize")),
    globalMaxPool2d: (node) => {
      this.#put(node, { kind: "maxPool2d", ...this.#whole(node) });
      this.#inRow(node);
    },
    globalAveragePool2d: (node) => {
      this.#average(node, this.#whole(node));
      this.#inRow(node);
    },
    pad2d: (node) => {
      const [[top, bottom], [left, right]] = node.attributes.padding as [[number, number], [number, number]];
      this.#put(node, padStep(this.#picture(node), [top, bottom, left, right]));
    },
    crop2d: (node) => {
      const [[top, bottom], [left, right]] = node.attributes.cropping as [[number, number], [number, number]];
      this.#put(node, padStep(this.#picture(node), [-top, -bottom, -left, -right]));
    },
    upSample2d: (node) => {
      const { interpolation = "nearest", size } = node.attributes;
      if (interpolation !== "nearest")
        throw new RangeError(
          `${node.name} must repeat the nearest places to run in integers, got interpolation ${interpolation}`,
        );
      this.#put(node, repeatStep(this.#picture(node), pairOf(size, 2)));
    },
    add: (node) => this.#joined(node, addStep),
    subtract: (node) => this.#joined(node, (options) => addStep({ ...options, factor: [1, -1] })),
    average: (node) =>
      this.#joined(node, (options) => addStep({ ...options, factor: 1 / node.inputs.length })),
    maximum: (node) => this.#joined(node, maximumStep),
    minimum: (node) => this.#joined(node, minimumStep),
    multiply: (node) => {
      if (node.inputs.length > 3)
        throw new RangeError(
          `${node.name} must multiply at most three inputs to run in integers, got ${node.inputs.length}`,
        );
      this.#joined(node, multiplyStep);
    },
    concatenate: (node) => {
      const rank = this.#graph.tensors[node.outputs[0]].shape.length;
      const axis = Number(node.attributes.axis ?? -1);
      if (axis !== -1 && axis !== rank)
        throw new RangeError(`${node.name} must join channels to run in integers`);
      this.#joined(node, concatenateStep);
    },
    activation: (node) => {
      if (activationOf(node) === "softmax") {
        if (this.#isLast(node)) return this.#pass(node);
        throw new RangeError(`${node.name} is a softmax before the end, which does not run in integers here`);
      }
      const limits = limitsOf(node);
      if (!limits) return this.#lookup(node);
      const { grid } = this.#read(node)[0];
      if (limits.relu) this.#put(node, clipStep(grid!, limits.most));
      else this.#pass(node);
    },
    lookup: (node) => this.#lookup(node),
    batchNorm: (node) => this.#lookup(node),
  };

  #shape(tensor: string): number[] {
    return this.#graph.tensors[tensor].shape.map((size) => {
      if (size === null) throw new RangeError(`${this.#graph.name} must have inputs of a fixed shape`);
      return size;
    });
  }

  /** The height and width of what a layer reads. */
  #picture(node: GraphNode): [height: number, width: number] {
    if (!channelsLast(node))
      throw new RangeError(`${node.name} must have its channels last to run in integers`);
    const [height, width] = this.#shape(node.inputs[0]);
    return [height, width];
  }

  /** The window of a global pooling. */
  #whole(node: GraphNode): Window {
    const size = this.#picture(node);
    return { size, strides: size, padding: "valid" };
  }

  /** Lays what a node gave in one row. */
  #inRow(node: GraphNode): void {
    const [tensor] = node.outputs;
    const { step, grid } = this.#places.get(tensor)!;
    this.#steps.push({ kind: "reshape", shape: this.#shape(tensor), inputs: [step] });
    this.#places.set(tensor, { step: this.#steps.length - 1, grid });
  }

  #read(node: GraphNode): Place[] {
    return node.inputs.map((tensor) => {
      const place = this.#places.get(tensor)!;
      if (!place.grid)
        throw new RangeError(`${node.name} reads outputs without a grid: activations must have one there`);
      return place;
    });
  }

  /** Hands on what a node reads. */
  #pass(node: GraphNode): void {
    this.#places.set(node.outputs[0], this.#places.get(node.inputs[0])!);
  }

  /** A step that stays on the grid of what it reads. */
  #put(node: GraphNode, step: IntegerStep): void {
    const [{ step: source, grid }] = this.#read(node);
    this.#steps.push({ ...step, inputs: [source] });
    this.#places.set(node.outputs[0], { step: this.#steps.length - 1, grid });
  }

  #average(node: GraphNode, window: Window): void {
    if (this.#read(node)[0].grid!.step !== undefined)
      throw new RangeError(`${node.name} cannot average binary or ternary activations in integers`);
    this.#put(node, { kind: "averagePool2d", ...window });
  }

  #weighted(node: GraphNode, make: (options: WeightedOptions) => IntegerStep): void {
    const [{ step: source, grid: input }] = this.#read(node);
    const layer = layerOf(node);
    const kernel = this.#weights[layer];
    if (kernel === undefined)
      throw new RangeError(`weights must have ${layer}: no kernel may stay floats (keepFloat: { below: 0 })`);
    const { last, relu, most } = this.#chain(node);
    const quantizer = this.#quantizer(last);
    const output = !quantizer && this.#isLast(last) ? undefined : this.#grid(last.name, quantizer);
    const step = make({
      name: node.name,
      kernel,
      bias: this.#biases[layer],
      input: input!,
      output,
      relu,
      most,
    });
    if (!output && (relu || most !== undefined))
      throw new RangeError(
        `${last.name} must give its outputs without ReLU, as the last layer, to run in integers`,
      );
    this.#steps.push({ ...step, inputs: [source] });
    this.#places.set(last.outputs[0], { step: this.#steps.length - 1, grid: output });
  }

  #joined(node: GraphNode, make: typeof addStep): void {
    const sources = this.#read(node);
    const { last, relu, most } = this.#chain(node);
    const output = this.#grid(last.name, this.#quantizer(last));
    const inputs = sources.map(({ step }) => step);
    const from = sources.map(({ grid }) => grid!);
    this.#steps.push(make({ inputs, from, output, relu, most }));
    this.#places.set(last.outputs[0], { step: this.#steps.length - 1, grid: output });
  }

  /** A function of one number: the layer itself is asked for its results, so that it can be any. */
  #lookup(node: GraphNode): void {
    const [{ step: source, grid: input }] = this.#read(node);
    const { last, relu, most } = this.#chain(node, { relu: false, most: undefined });
    const name = last.kind === "activation" ? activationOf(last) : last.kind;
    const bounds = this.#isLast(last) ? boundedGrids[name] : undefined;
    const quantizer = this.#quantizer(last);
    const output = quantizer || !bounds ? this.#grid(last.name, quantizer) : bounds;
    const of = this.#functionOf(node);
    const cut = (value: number) => Math.min(most ?? value, relu ? Math.max(0, value) : value);
    const step = lookupStep({ input: input!, output, of: (reals) => of(reals).map(cut) });
    this.#steps.push({ ...step, inputs: [source] });
    this.#places.set(last.outputs[0], { step: this.#steps.length - 1, grid: output });
  }

  /** What a layer makes of numbers: of every channel its own results, one after the other, where it has weights for each. */
  #functionOf(node: GraphNode): (reals: Float32Array) => Float32Array {
    const layer = this.#layers.get(node.name)!;
    const shape = this.#shape(node.inputs[0]);
    const channels = shape[shape.length - 1];
    const rows = layer.weights.length > 0 ? channels : 1;
    const alike = layer.weights.every(({ shape: own }) =>
      own.every((size, axis) => size === 1 || (axis === own.length - 1 && size === channels)),
    );
    const along = rows === 1 || findKind(node.kind)!.flow(viewOfNode(this.#graph, node)) !== "block";
    if (!alike || !along)
      throw new RangeError(`${node.name} must have the same weights at all places to run in integers`);
    return (reals) =>
      tf.tidy(() => {
        const ones = shape.map(() => 1);
        const each = tf.tensor(reals, [reals.length, ...ones]).tile([1, ...ones.with(-1, rows)]);
        const results = layer.call(each, {}) as tf.Tensor;
        return Float32Array.from(results.reshape([reals.length, rows]).transpose().dataSync());
      });
  }

  /** A node with the ReLUs that follow it alone: one step. */
  #chain(
    node: GraphNode,
    own = reluOf(node, this.#isLast(node)),
  ): { last: GraphNode; relu: boolean; most: number | undefined } {
    let { relu, most } = own;
    let last = node;
    for (;;) {
      const [tensor] = last.outputs;
      const readers = this.#consumers.get(tensor) ?? [];
      const [next] = readers;
      if (readers.length !== 1 || this.#graph.outputs.includes(tensor)) break;
      const after = findKind(next.kind)?.integer === "activation" ? limitsOf(next) : undefined;
      if (!after) break;
      // An output with a grid of its own is a result of its own.
      if (this.#quantizer(last) && !this.#quantizer(next)) break;
      relu ||= after.relu;
      most = after.most === undefined ? most : Math.min(after.most, most ?? Number.POSITIVE_INFINITY);
      this.#done.add(next.name);
      last = next;
    }
    return { last, relu, most };
  }

  #isLast(node: GraphNode): boolean {
    return endsIn(this.#graph, this.#consumers, node);
  }

  /** Of a layer that is called more than once there is one for all calls. */
  #quantizer(node: GraphNode): ActivationQuantizer | undefined {
    return this.#activations.layers[layerOf(node)];
  }

  #grid(where: string, quantizer: ActivationQuantizer | undefined): ActivationGrid {
    if (quantizer === undefined || (quantizer.kind === "fixed" && quantizer.high - quantizer.low > 255)) {
      throw new RangeError(`${where} must have quantized activations of at most 8 bits to run in integers`);
    }
    if (quantizer.kind === "fixed") {
      const { scale, zeroPoint, low, high } = quantizer;
      return { scale, zeroPoint, low, high };
    }
    const { scale, threshold } = quantizer;
    // A threshold of 0 sends everything but 0 to ±1: so does any step small enough.
    return {
      scale,
      zeroPoint: 0,
      low: quantizer.kind === "binary" ? 0 : -1,
      high: 1,
      step: Math.max(2 * threshold, 2 ** -60),
    };
  }
}

/** The name of a node's layer, which has the weights. */
const layerOf = ({ name, shares }: GraphNode): string => shares ?? name;

/** What a ReLU cuts off; nothing of a linear activation; undefined where a layer's activation is another function. */
function limitsOf(node: GraphNode): { relu: boolean; most: number | undefined } | undefined {
  if (node.kind === "reLU") {
    const { maxValue, negativeSlope, threshold } = node.attributes as Record<
      string,
      number | null | undefined
    >;
    if (negativeSlope || threshold)
      throw new RangeError(`${node.name} must be a plain ReLU to run in integers`);
    return { relu: true, most: maxValue ?? undefined };
  }
  const activation = activationOf(node);
  if (activation === "relu") return { relu: true, most: undefined };
  if (activation === "relu6") return { relu: true, most: 6 };
  return activation === "linear" ? { relu: false, most: undefined } : undefined;
}

/** What of a layer's activation is a ReLU, and where it ends; softmax is left out where the network ends. */
function reluOf(node: GraphNode, last: boolean): { relu: boolean; most: number | undefined } {
  const limits = limitsOf(node);
  if (limits) return limits;
  const activation = activationOf(node);
  if (activation === "softmax" && last) return { relu: false, most: undefined };
  throw new RangeError(
    `${node.name} must have activation linear or relu to run in integers, got ${activation}: ${
      activation === "softmax"
        ? "a softmax can only end the network"
        : "splitActivations makes it a layer of its own"
    }`,
  );
}

/** Grids of functions whose range is known, as TFLite has them, for where the network ends and nothing is calibrated. */
const boundedGrids: Record<string, ActivationGrid | undefined> = {
  sigmoid: { scale: 1 / 256, zeroPoint: 0, low: 0, high: 255 },
  hardSigmoid: { scale: 1 / 256, zeroPoint: 0, low: 0, high: 255 },
  tanh: { scale: 1 / 128, zeroPoint: 128, low: 0, high: 255 },
  softsign: { scale: 1 / 128, zeroPoint: 128, low: 0, high: 255 },
};

function plainWindow(node: GraphNode, sizeName: string): Window {
  const { attributes } = node;
  const dilated = [attributes.dilationRate].flat().some((d) => d !== 1 && d !== undefined && d !== null);
  if (!channelsLast(node) || dilated)
    throw new RangeError(`${node.name} must be plain, its channels last and not dilated, to run in integers`);
  return windowOf(attributes, sizeName);
}

/** The window of a pooling or convolutional layer, from its configuration. */
export function windowOf(config: Readonly<Record<string, unknown>>, sizeName: string): Window {
  const size = pairOf(config[sizeName]);
  const strides = pairOf(config.strides, size);
  return { size, strides, padding: config.padding === "same" ? "same" : "valid" };
}

/**
 * Loss and accuracy of an integer network on samples with targets for each of its outputs.
 *
 * @param options `batchSize` samples at a time, default 250; `threads` that share each product, default 1
 */
export function evaluateInteger(
  network: IntegerNetwork,
  samples: Samples,
  { batchSize = 250, threads = 1 }: { batchSize?: number; threads?: number } = {},
): Evaluation {
  checkInteger("batchSize", batchSize, 1);
  const { inputs, targets, count } = arraysOf(samples);
  const outputs = network.outputs?.length ?? 1;
  const wanted = (targets ?? []).flatMap(({ values }) => values ?? []);
  const read = 1 + (network.others?.length ?? 0);
  if (inputs.length !== read || targets?.length !== outputs || wanted.length !== outputs) {
    const many = (count: number, what: string) => `${count} ${what}${count === 1 ? "" : "s"}`;
    throw new RangeError(
      `samples must have ${many(read, "input")} and targets for ${many(outputs, "output")} to judge the integer network, got ${inputs.length} and ${wanted.length}`,
    );
  }
  let tally: Tally | undefined;
  for (let from = 0; from < count; from += batchSize) {
    const to = Math.min(count, from + batchSize);
    const part = viewOf(arraysOf(samples), from, to);
    const given = part.inputs.map((input) => floatsOf(input, to - from));
    const found = runInteger(network, given, to - from, threads);
    tally ??= new Tally(
      found.outputs.map(({ shape }, i) => ({
        name: outputs === 1 ? "output" : `output ${i + 1}`,
        task: wanted[i] instanceof Float32Array ? "values" : "classes",
        shape,
        width: shape.at(-1)!,
      })),
    );
    tally.add(
      found.outputs.map(({ values }) => values),
      part.targets!.map(({ values }) => values!),
    );
  }
  return tally!.result(count);
}
