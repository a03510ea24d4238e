// What the table of layer kinds says of a kind, in closed vocabularies.
import type { Attributes } from "./graph.ts";
import type { ShapeRule } from "./shapes.ts";

/** A node with the shapes of what it reads and writes, without the batch: all that a kind's answers depend on. */
export interface NodeView {
  name: string;
  kind: string;
  attributes: Attributes;
  inputs: readonly (readonly number[])[];
  output: readonly number[];
  /** Shapes of the weights, by role. */
  weights: Readonly<Record<string, readonly number[]>>;
}

/**
 * What becomes of the units (filters, neurons) on the last axis:
 * - `source`: they come from outside and stay;
 * - `make`: the layer has units of its own, which read all that come in (with a softmax these stay: they compete);
 * - `pass`: each incoming channel becomes one, or a few in a row;
 * - `spread`: channels are laid out side by side, once for each place (flatten);
 * - `join`: the units of all inputs meet one to one (sums and products of branches);
 * - `concatenate`: the inputs' units stand one after the other;
 * - `block`: unit and outcome are not one to one (softmax, layer normalisation, a permutation): the units that go in, and
 *   those that come out, must stay.
 */
export const flows = ["source", "make", "pass", "spread", "join", "concatenate", "block"] as const;
export type Flow = (typeof flows)[number];

/** How a layer's kernel meets its input. */
export const products = [
  "none",
  /** Rows of features times [in, out]. */
  "matrix",
  /** Patches times [..., in, out]. */
  "convolution",
  /** Each channel's patches times its own filters. */
  "depthwise",
  /** As the gradient of a convolution. */
  "transposed",
  /** A depthwise convolution, then one of 1 x 1. */
  "separable",
  /** A row of a table. */
  "lookup",
  /** Once a time step, on the input and on the state. */
  "recurrent",
  /** In a way that only the kind itself knows. */
  "other",
] as const;
export type Product = (typeof products)[number];

/**
 * What a positive factor on a channel does in a layer: `weighted` layers can take it into their weights, it goes
 * `through` others channel by channel, and it `stops` where the layer would compute something else.
 */
export const scalings = ["weighted", "through", "stops"] as const;
export type Scaling = (typeof scalings)[number];

/**
 * Where a layer's outputs lie when its inputs lie on a grid of activations: on a `new` one, on the `same`, or between its
 * levels as `means` of them.
 */
export const grids = ["new", "same", "means"] as const;
export type GridUse = (typeof grids)[number];

/** A step of an integer network that a kind becomes, or `none`. */
export const integerSteps = [
  "none",
  "identity",
  "reshape",
  "dense",
  "conv2d",
  "depthwiseConv2d",
  "maxPool2d",
  "averagePool2d",
  "globalMaxPool2d",
  "globalAveragePool2d",
  "pad2d",
  "crop2d",
  "upSample2d",
  "add",
  "subtract",
  "average",
  "maximum",
  "minimum",
  "multiply",
  "concatenate",
  /** A ReLU, or another function of one number. */
  "activation",
  /** A function of one number, of every channel its own if it has weights: a table. */
  "lookup",
  "batchNorm",
] as const;
export type IntegerKind = (typeof integerSteps)[number];

/** What one index of an axis of a weight stands for. */
export const axisMeanings = [
  /** An incoming channel. */
  "in",
  /** An outgoing channel. */
  "out",
  /** One of the filters of a channel: with `in`, an outgoing channel. */
  "multiplier",
  /** A place of a window. */
  "place",
  /** A gate of a unit: several for each outgoing channel. */
  "gate",
  /** A row of a table. */
  "entry",
  /** Shared by all. */
  "shared",
] as const;
export type AxisMeaning = (typeof axisMeanings)[number];

/** What a weight is. */
export interface WeightRole {
  axes: readonly AxisMeaning[];
  /** Whether it is a kernel: what pruning, quantization and clustering work on. Biases, scales and statistics are not. */
  kernel: boolean;
  /** Indices in a row that belong to one incoming channel; 1 by default. */
  inRepeat?: number;
}

/** All that is to be said of a kind of layer. */
export interface Kind {
  /** Its class in TensorFlow.js. */
  tfjs: string;
  flow(view: NodeView): Flow;
  product: Product;
  /** The role of each weight that a layer of this kind has; undefined for one that is not known. */
  weight(view: NodeView, role: string): WeightRole | undefined;
  /** Multiply-accumulates for one example; undefined where they cannot be told. Element-wise work counts as none. */
  macs(view: NodeView): number | undefined;
  /** Whether the output can take the place of the input. */
  inPlace: boolean;
  /** Whether inference hands on the values as they are. */
  identity(view: NodeView): boolean;
  scaling(view: NodeView): Scaling;
  grid(view: NodeView): GridUse;
  integer: IntegerKind;
  /** Whether it draws random numbers in training. */
  random: boolean;
  /** The shape of what it gives out, for what reads networks from files; undefined where these never have it. */
  shape: ShapeRule | undefined;
}
