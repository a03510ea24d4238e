// The one table of layer kinds: how channels flow through a kind, what the axes of its weights mean, what it costs, what
// a scale and a grid of activations become in it. Shapes, cost, dependencies, equalization, quantization and surgery ask
// here and nowhere else. A kind of the user's own is one more entry: `registerKind`.
import { checkOneOf, shown } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { type Attributes, type Graph, type GraphNode, shapeOf } from "./graph.ts";
import {
  type AxisMeaning,
  type Flow,
  flows,
  grids,
  integerSteps,
  type Kind,
  type NodeView,
  products,
  scalings,
  type WeightRole,
} from "./kind.ts";
import * as shapes from "./shapes.ts";

/** The kinds that are built in, by the names that nodes of a graph have: those of TensorFlow.js's layer functions. */
export const layerKinds = [
  "input",
  "dense",
  "conv1d",
  "conv2d",
  "conv3d",
  "conv2dTranspose",
  "conv3dTranspose",
  "separableConv2d",
  "depthwiseConv2d",
  "embedding",
  "simpleRNN",
  "gru",
  "lstm",
  "rnn",
  "convLstm2d",
  "bidirectional",
  "timeDistributed",
  "batchNormalization",
  "layerNormalization",
  "activation",
  "reLU",
  "leakyReLU",
  "elu",
  "prelu",
  "thresholdedReLU",
  "softmax",
  "maxPooling1d",
  "maxPooling2d",
  "maxPooling3d",
  "averagePooling1d",
  "averagePooling2d",
  "averagePooling3d",
  "globalMaxPooling1d",
  "globalMaxPooling2d",
  "globalAveragePooling1d",
  "globalAveragePooling2d",
  "add",
  "multiply",
  "average",
  "maximum",
  "minimum",
  "concatenate",
  "dot",
  "dropout",
  "spatialDropout1d",
  "alphaDropout",
  "gaussianDropout",
  "gaussianNoise",
  "flatten",
  "reshape",
  "permute",
  "repeatVector",
  "masking",
  "zeroPadding2d",
  "cropping2D",
  "upSampling2d",
  "rescaling",
  "resizing",
  "centerCrop",
  "categoryEncoding",
  "randomWidth",
  // slimlab's own, of which other formats' networks are made: their classes are in lib/nn/own-layers.ts.
  "hardSwish",
  "hardSigmoid",
  "clip",
  "elementwise",
  "affine",
  "subtract",
  "divide",
  "reduce",
  "pad",
  "slice",
  "resize",
  "depthToSpace",
  "spaceToDepth",
] as const;
export type LayerKind = (typeof layerKinds)[number];

const always =
  <T>(value: T) =>
  (): T =>
    value;

/** Whether channels stand last, where a layer has the choice. */
export function channelsLast({ attributes }: Pick<NodeView, "attributes">): boolean {
  return (attributes.dataFormat ?? "channelsLast") === "channelsLast";
}

/** The activation that is part of a layer. */
export function activationOf({ attributes }: Pick<NodeView, "attributes">): string {
  return String(attributes.activation ?? "linear");
}

const isLast = (axis: unknown, rank: number): boolean => {
  const axes = [axis ?? -1].flat() as number[];
  // Axes count the batch; shapes here do not.
  return axes.length === 1 && (axes[0] === -1 || axes[0] === rank);
};

/** Whether a softmax is part of the layer. */
export const hasSoftmax = (view: Pick<NodeView, "attributes" | "kind">): boolean =>
  view.kind === "softmax" || activationOf(view) === "softmax";

const positive = ["relu", "linear"];

/** Multiply-accumulates of kernels whose every weight is used once for each place. */
const perPlace = (view: NodeView, places: readonly number[], roles: readonly string[]): number =>
  roles.reduce((sum, role) => sum + elements(view.weights[role] ?? [0]), 0) * elements(places);

const roles =
  (table: Record<string, WeightRole | undefined>) =>
  (_: NodeView, role: string): WeightRole | undefined =>
    Object.hasOwn(table, role) ? table[role] : undefined;

const kernelOf = (...axes: AxisMeaning[]): WeightRole => ({ axes, kernel: true });
const perUnit: WeightRole = { axes: ["out"], kernel: false };

/** What holds for a layer that computes one number from one, without weights. */
const plain: Omit<Kind, "tfjs"> = {
  flow: always("pass"),
  product: "none",
  weight: always(undefined),
  macs: always(0),
  inPlace: false,
  identity: always(false),
  scaling: always("stops"),
  grid: always("new"),
  integer: "none",
  random: false,
  shape: undefined,
};

function kind(tfjs: string, differences: Partial<Omit<Kind, "tfjs">> = {}): Kind {
  return { ...plain, tfjs, ...differences };
}

function convolution(tfjs: string, rank: number, more: Partial<Kind> = {}): Kind {
  const places = new Array<AxisMeaning>(rank).fill("place");
  return kind(tfjs, {
    flow: makes,
    product: "convolution",
    weight: roles({ kernel: kernelOf(...places, "in", "out"), bias: perUnit }),
    macs: (view) => perPlace(view, placesOf(view), ["kernel"]),
    ...more,
  });
}

function transposed(tfjs: string, rank: number, more: Partial<Kind> = {}): Kind {
  const places = new Array<AxisMeaning>(rank).fill("place");
  return convolution(tfjs, rank, {
    product: "transposed",
    weight: roles({ kernel: kernelOf(...places, "out", "in"), bias: perUnit }),
    // Each input place meets the whole kernel.
    macs: (view) => perPlace(view, spatial(view, view.inputs[0]), ["kernel"]),
    ...more,
  });
}

/** A layer whose own units read all that comes in. */
function makes(view: NodeView): Flow {
  return channelsLast(view) ? "make" : "block";
}

/** The sizes of a shape that are no channels. */
function spatial(view: NodeView, shape: readonly number[]): readonly number[] {
  return channelsLast(view) ? shape.slice(0, -1) : shape.slice(1);
}

const placesOf = (view: NodeView) => spatial(view, view.output);

function pooling(tfjs: string, more: Partial<Kind>): Kind {
  return kind(tfjs, { flow: passes, scaling: always("through"), ...more });
}

function passes(view: NodeView): Flow {
  return channelsLast(view) && !hasSoftmax(view) ? "pass" : "block";
}

/** Dropout and noise: nothing at inference. */
function randomly(tfjs: string, more: Partial<Kind> = {}): Kind {
  return kind(tfjs, {
    inPlace: true,
    identity: always(true),
    grid: always("same"),
    integer: "identity",
    random: true,
    shape: shapes.same,
    ...more,
  });
}

function merging(tfjs: string, more: Partial<Kind> = {}): Kind {
  return kind(tfjs, { flow: always("join"), shape: shapes.broadcast, ...more });
}

/** A weight of a number for each channel; along axes that are shared it has one for all, and nothing to take away. */
function perLastAxis(view: NodeView, role: string): WeightRole | undefined {
  const shape = view.weights[role];
  if (!shape) return undefined;
  const last = shape.length - 1;
  const own = shape[last] === view.output[view.output.length - 1] && shape[last] > 1;
  return { axes: shape.map((_, axis) => (axis === last && own ? "out" : "shared")), kernel: false };
}

/** Whether the last axis is not among axes, which do not count the batch. */
function keepsLast(axes: unknown, rank: number): boolean {
  return !(axes as number[]).some((axis) => axis === rank - 1);
}

/** Roles of a cell's weights; those of a bidirectional layer, and of stacked cells, have their cell's name before them. */
function cellRole(view: NodeView, role: string): WeightRole | undefined {
  const last = role.slice(role.lastIndexOf("/") + 1);
  const rank = view.weights[role]?.length ?? 2;
  const places = new Array<AxisMeaning>(Math.max(0, rank - 2)).fill("place");
  if (last === "kernel" || last === "recurrentKernel") return kernelOf(...places, "in", "gate");
  return last === "bias" ? { axes: new Array(rank).fill("gate"), kernel: false } : undefined;
}

/** Recurrent kernels are used once for each time step; the products of gates and states are element-wise work. */
function recurrent(tfjs: string, shape?: Kind["shape"]): Kind {
  return kind(tfjs, {
    shape,
    flow: always("block"),
    product: "recurrent",
    weight: cellRole,
    macs: (view) => perPlace(view, [view.inputs[0][0]], kernelRoles(view)),
  });
}

const kernelRoles = (view: NodeView): string[] =>
  Object.keys(view.weights).filter((role) => cellRole(view, role)?.kernel);

/** A layer applied to each time step: what it is itself, with one step's shapes. */
function innerOf(view: NodeView): [Kind | undefined, NodeView] {
  const { className = "", config = {} } = (view.attributes.layer ?? {}) as {
    className?: string;
    config?: Attributes;
  };
  const name = kindNameOf(className) ?? className;
  return [
    findKind(name),
    {
      ...view,
      kind: name,
      attributes: config,
      inputs: view.inputs.map((shape) => shape.slice(1)),
      output: view.output.slice(1),
    },
  ];
}

const table: Record<LayerKind, Kind> = {
  input: kind("InputLayer", { flow: always("source"), grid: always("same"), integer: "identity" }),
  dense: kind("Dense", {
    shape: shapes.dense,
    flow: makes,
    product: "matrix",
    weight: roles({ kernel: kernelOf("in", "out"), bias: perUnit }),
    macs: (view) => perPlace(view, view.output.slice(0, -1), ["kernel"]),
    scaling: always("weighted"),
    integer: "dense",
  }),
  conv1d: convolution("Conv1D", 1, { shape: shapes.conv1d }),
  conv2d: convolution("Conv2D", 2, {
    shape: shapes.conv2d,
    // Rows behind a flattened [c, h, w] come in another order than equalization counts them.
    scaling: (view) => (channelsLast(view) ? "weighted" : "stops"),
    integer: "conv2d",
  }),
  conv3d: convolution("Conv3D", 3),
  conv2dTranspose: transposed("Conv2DTranspose", 2, { shape: shapes.conv2dTranspose }),
  conv3dTranspose: transposed("Conv3DTranspose", 3),
  separableConv2d: kind("SeparableConv2D", {
    shape: shapes.separableConv2d,
    flow: makes,
    product: "separable",
    weight: (view, role) => {
      if (role === "depthwiseKernel") return kernelOf("place", "place", "in", "multiplier");
      // Each incoming channel has several rows, one for each of its filters.
      if (role === "pointwiseKernel")
        return {
          ...kernelOf("place", "place", "in", "out"),
          inRepeat: view.weights.depthwiseKernel?.[3] ?? 1,
        };
      return role === "bias" ? perUnit : undefined;
    },
    macs: (view) => perPlace(view, placesOf(view), ["depthwiseKernel", "pointwiseKernel"]),
  }),
  depthwiseConv2d: kind("DepthwiseConv2D", {
    shape: shapes.depthwiseConv2d,
    flow: passes,
    product: "depthwise",
    weight: roles({ depthwiseKernel: kernelOf("place", "place", "in", "multiplier"), bias: perUnit }),
    macs: (view) => perPlace(view, placesOf(view), ["depthwiseKernel"]),
    scaling: (view) => (channelsLast(view) ? "weighted" : "stops"),
    integer: "depthwiseConv2d",
  }),
  embedding: kind("Embedding", {
    shape: shapes.lookup,
    flow: always("block"),
    product: "lookup",
    weight: roles({ embeddings: kernelOf("entry", "out") }),
  }),
  simpleRNN: recurrent("SimpleRNN", shapes.recurrent),
  gru: recurrent("GRU", shapes.recurrent),
  lstm: recurrent("LSTM", shapes.recurrent),
  rnn: recurrent("RNN"),
  convLstm2d: {
    ...recurrent("ConvLSTM2D"),
    // For each step and each place of the output.
    macs: (view) => {
      const output = view.attributes.returnSequences ? view.output.slice(1) : view.output;
      return view.inputs[0][0] * perPlace(view, spatial(view, output), kernelRoles(view));
    },
  },
  bidirectional: recurrent("Bidirectional", shapes.bidirectional),
  timeDistributed: kind("TimeDistributed", {
    flow: always("block"),
    product: "other",
    weight: (view, role) => {
      const [inner, step] = innerOf(view);
      return inner?.weight(step, role);
    },
    macs: (view) => {
      const [inner, step] = innerOf(view);
      const macs = inner?.macs(step);
      return macs === undefined ? undefined : macs * view.inputs[0][0];
    },
  }),
  batchNormalization: kind("BatchNormalization", {
    shape: shapes.same,
    flow: (view) => (isLast(view.attributes.axis, view.output.length) ? "pass" : "block"),
    weight: roles({ gamma: perUnit, beta: perUnit, movingMean: perUnit, movingVariance: perUnit }),
    inPlace: true,
    integer: "batchNorm",
  }),
  layerNormalization: kind("LayerNormalization", {
    shape: shapes.same,
    flow: always("block"),
    weight: roles({ gamma: perUnit, beta: perUnit }),
  }),
  activation: kind("Activation", {
    shape: shapes.same,
    flow: passes,
    inPlace: true,
    identity: (view) => activationOf(view) === "linear",
    scaling: (view) => (positive.includes(activationOf(view)) ? "through" : "stops"),
    grid: (view) => (positive.includes(activationOf(view)) ? "same" : "new"),
    integer: "activation",
  }),
  reLU: kind("ReLU", {
    shape: shapes.same,
    inPlace: true,
    // ReLU6 and its like clip at a fixed height.
    scaling: (view) => ((view.attributes.maxValue ?? null) === null ? "through" : "stops"),
    grid: always("same"),
    integer: "activation",
  }),
  leakyReLU: kind("LeakyReLU", {
    inPlace: true,
    shape: shapes.same,
    scaling: always("through"),
    integer: "lookup",
  }),
  elu: kind("ELU", { shape: shapes.same, integer: "lookup" }),
  prelu: kind("PReLU", {
    shape: shapes.same,
    integer: "lookup",
    scaling: always("through"),
    weight: (view, role) => (role === "alpha" ? perLastAxis(view, role) : undefined),
  }),
  thresholdedReLU: kind("ThresholdedReLU", { shape: shapes.same, integer: "lookup" }),
  softmax: kind("Softmax", { flow: always("block"), inPlace: true, shape: shapes.same }),
  maxPooling1d: pooling("MaxPooling1D", {
    grid: always("same"),
    scaling: always("stops"),
    shape: shapes.pooled1d,
  }),
  maxPooling2d: pooling("MaxPooling2D", { grid: always("same"), integer: "maxPool2d", shape: shapes.pooled }),
  maxPooling3d: pooling("MaxPooling3D", { grid: always("same"), scaling: always("stops") }),
  averagePooling1d: pooling("AveragePooling1D", {
    grid: always("means"),
    scaling: always("stops"),
    shape: shapes.pooled1d,
  }),
  averagePooling2d: pooling("AveragePooling2D", {
    grid: always("means"),
    integer: "averagePool2d",
    shape: shapes.pooled,
  }),
  averagePooling3d: pooling("AveragePooling3D", { grid: always("means"), scaling: always("stops") }),
  globalMaxPooling1d: pooling("GlobalMaxPooling1D", {
    grid: always("same"),
    scaling: always("stops"),
    shape: shapes.channelsOfSteps,
  }),
  globalMaxPooling2d: pooling("GlobalMaxPooling2D", {
    shape: shapes.channelsOnly,
    grid: always("same"),
    integer: "globalMaxPool2d",
  }),
  globalAveragePooling1d: pooling("GlobalAveragePooling1D", {
    grid: always("means"),
    scaling: always("stops"),
    shape: shapes.channelsOfSteps,
  }),
  globalAveragePooling2d: pooling("GlobalAveragePooling2D", {
    shape: shapes.channelsOnly,
    grid: always("means"),
    integer: "globalAveragePool2d",
  }),
  add: merging("Add", { integer: "add" }),
  multiply: merging("Multiply", { integer: "multiply" }),
  average: merging("Average", { integer: "average" }),
  maximum: merging("Maximum", { integer: "maximum" }),
  minimum: merging("Minimum", { integer: "minimum" }),
  concatenate: kind("Concatenate", {
    shape: shapes.concatenate,
    flow: (view) => (isLast(view.attributes.axis, view.output.length) ? "concatenate" : "block"),
    integer: "concatenate",
  }),
  dot: kind("Dot", {
    flow: always("block"),
    // Each number of the output is a sum over the axis that both inputs lose.
    macs: (view) => {
      const axes = [view.attributes.axes].flat() as number[];
      const rank = view.inputs[0].length;
      const axis = axes[0] < 0 ? axes[0] + rank : axes[0] - 1;
      return elements(view.output) * (view.inputs[0][axis] ?? 1);
    },
  }),
  dropout: randomly("Dropout", { scaling: always("through") }),
  spatialDropout1d: randomly("SpatialDropout1D", { inPlace: false }),
  alphaDropout: randomly("AlphaDropout", { inPlace: false }),
  gaussianDropout: randomly("GaussianDropout", { inPlace: false }),
  gaussianNoise: randomly("GaussianNoise", { inPlace: false }),
  flatten: kind("Flatten", {
    shape: shapes.flat,
    flow: (view) => (channelsLast(view) ? "spread" : "block"),
    inPlace: true,
    scaling: (view) => (channelsLast(view) ? "through" : "stops"),
    grid: always("same"),
    integer: "reshape",
  }),
  reshape: kind("Reshape", {
    flow: always("block"),
    inPlace: true,
    grid: always("same"),
    integer: "reshape",
    shape: shapes.reshape,
  }),
  permute: kind("Permute", { flow: always("block"), grid: always("same"), shape: shapes.permute }),
  repeatVector: kind("RepeatVector", {
    flow: always("block"),
    grid: always("same"),
    shape: shapes.repeatVector,
  }),
  masking: kind("Masking", { flow: always("block"), grid: always("same") }),
  zeroPadding2d: kind("ZeroPadding2D", {
    shape: shapes.zeroPadding2d,
    flow: passes,
    scaling: always("through"),
    grid: always("same"),
    integer: "pad2d",
  }),
  cropping2D: kind("Cropping2D", { flow: passes, grid: always("same"), integer: "crop2d" }),
  upSampling2d: kind("UpSampling2D", {
    shape: shapes.upSampling2d,
    flow: passes,
    grid: (view) => ((view.attributes.interpolation ?? "nearest") === "nearest" ? "same" : "new"),
    integer: "upSample2d",
  }),
  rescaling: kind("Rescaling", {
    flow: always("block"),
    inPlace: true,
    shape: shapes.same,
    integer: "lookup",
  }),
  resizing: kind("Resizing", { flow: always("block") }),
  centerCrop: kind("CenterCrop", { flow: always("block"), grid: always("same") }),
  categoryEncoding: kind("CategoryEncoding", { flow: always("block") }),
  randomWidth: kind("RandomWidth", { flow: always("block"), random: true }),
  hardSwish: kind("HardSwish", { inPlace: true, shape: shapes.same, integer: "lookup" }),
  hardSigmoid: kind("HardSigmoid", { inPlace: true, shape: shapes.same, integer: "lookup" }),
  clip: kind("Clip", { inPlace: true, shape: shapes.same, integer: "lookup" }),
  elementwise: kind("Elementwise", { inPlace: true, shape: shapes.same, integer: "lookup" }),
  affine: kind("Affine", {
    shape: shapes.same,
    weight: perLastAxis,
    integer: "lookup",
  }),
  subtract: merging("Subtract", { integer: "subtract" }),
  divide: merging("Divide"),
  reduce: kind("Reduce", {
    shape: shapes.reduce,
    flow: (view) => (keepsLast(view.attributes.axes, view.inputs[0].length) ? "pass" : "block"),
    grid: (view) =>
      view.attributes.function === "mean" ? "means" : view.attributes.function === "sum" ? "new" : "same",
  }),
  pad: kind("Pad", {
    shape: shapes.pad,
    flow: (view) => {
      const [before, after] = (view.attributes.paddings as number[][]).at(-1) ?? [0, 0];
      return before === 0 && after === 0 ? "pass" : "block";
    },
    grid: (view) => (view.attributes.value ? "new" : "same"),
  }),
  slice: kind("Slice", {
    shape: shapes.slice,
    flow: (view) => (view.inputs[0].at(-1) === view.output.at(-1) ? "pass" : "block"),
    scaling: always("through"),
    grid: always("same"),
  }),
  resize: kind("Resize", {
    shape: shapes.resize,
    flow: always("pass"),
    grid: (view) => (view.attributes.interpolation === "nearest" ? "same" : "new"),
  }),
  depthToSpace: kind("DepthToSpace", {
    flow: always("block"),
    grid: always("same"),
    shape: shapes.depthToSpace,
  }),
  spaceToDepth: kind("SpaceToDepth", {
    flow: always("block"),
    grid: always("same"),
    shape: shapes.spaceToDepth,
  }),
};

const registered = new Map<string, Kind>();
/** Names of kinds by their class: asked for every layer, again and again. */
const byClass = new Map<string, string>(Object.entries(table).map(([name, { tfjs }]) => [tfjs, name]));

/** What a kind of one's own says; the rest is as for an element-wise layer without weights, but channels stay whole. */
export type KindOptions = Partial<Omit<Kind, "flow" | "identity" | "scaling" | "grid">> & {
  /** The function, or the one answer for every layer of this kind. */
  [name in "flow" | "identity" | "scaling" | "grid"]?: Kind[name] | ReturnType<Kind[name]>;
} & {
  /** What the axes of its weights mean, by role, where `weight` does not say; kernels are what gets compressed. */
  weights?: Record<string, WeightRole>;
};

/**
 * Adds a kind of layer to the table: from then on cost, pruning, quantization and the rest treat it by what it says.
 *
 * @param name of the kind in graphs; where `tfjs` is not given, also of its class in TensorFlow.js
 * @returns what takes it out again
 * @throws RangeError for a name or class that the table already has, or an unknown answer
 */
export function registerKind(name: string, options: KindOptions): () => void {
  const { weights, ...given } = options;
  const tfjs = given.tfjs ?? name;
  if (findKind(name)) throw new RangeError(`name must be a new kind, got ${shown(name)}, which is known`);
  if (kindNameOf(tfjs))
    throw new RangeError(`tfjs must be a new class, got ${shown(tfjs)}, which is kind ${kindNameOf(tfjs)}`);
  const answer = <K extends "flow" | "identity" | "scaling" | "grid">(key: K, fallback: Kind[K]): Kind[K] => {
    const value = given[key];
    if (value === undefined) return fallback;
    return (typeof value === "function" ? value : always(value)) as Kind[K];
  };
  for (const [key, allowed] of Object.entries({ flow: flows, scaling: scalings, grid: grids })) {
    const value = given[key as "flow"];
    if (typeof value === "string") checkOneOf(key, value, allowed as readonly string[]);
  }
  checkOneOf("product", given.product ?? "none", products);
  checkOneOf("integer", given.integer ?? "none", integerSteps);
  const macs: Kind["macs"] = weights && !given.macs ? always(undefined) : plain.macs;
  registered.set(name, {
    ...plain,
    macs,
    ...(weights ? { weight: roles(weights) } : {}),
    ...given,
    tfjs,
    flow: answer("flow", always("block")),
    identity: answer("identity", plain.identity),
    scaling: answer("scaling", plain.scaling),
    grid: answer("grid", plain.grid),
  });
  byClass.set(tfjs, name);
  return () => {
    byClass.delete(tfjs);
    registered.delete(name);
  };
}

/** The kind of that name, built in or registered. */
export function findKind(name: string): Kind | undefined {
  return Object.hasOwn(table, name) ? table[name as LayerKind] : registered.get(name);
}

/** The name of the kind that a class of TensorFlow.js is. */
export function kindNameOf(className: string): string | undefined {
  return byClass.get(className);
}

/** What a kind's answers depend on, for one node of a graph. */
export function viewOf(graph: Graph, node: GraphNode): NodeView {
  return {
    name: node.name,
    kind: node.kind,
    attributes: node.attributes,
    inputs: node.inputs.map((tensor) => shapeOf(graph, tensor)),
    output: shapeOf(graph, node.outputs[0]),
    weights: Object.fromEntries(Object.entries(node.weights).map(([role, { shape }]) => [role, shape])),
  };
}

/**
 * Along which axes a kernel has one scale for each of its outputs: those of its outgoing channels; of a depthwise
 * convolution those of its channels and of their filters; of a table, its rows.
 */
export function outputAxesOf({ axes }: WeightRole): number[] {
  const along = (...meanings: AxisMeaning[]) =>
    axes.flatMap((meaning, axis) => (meanings.includes(meaning) ? [axis] : []));
  const entries = along("entry");
  if (entries.length > 0) return entries;
  const own = along("out", "gate");
  return own.length > 0 ? own : along("in", "multiplier");
}
