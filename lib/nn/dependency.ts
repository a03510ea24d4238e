// 3.1.2, 3.1.3: what must go together when a filter or neuron goes. Every number on the channel axis of every tensor of
// a model is traced to the unit (a filter or a neuron) that makes it; units that are added to one another are one.
// The idea is DepGraph's (Fang et al., "DepGraph: Towards Any Structural Pruning", 2023), for layers models.

import type { tf } from "./tf.ts";

type Layer = tf.layers.Layer;

/** Units that can be pruned only as one: the filters or neurons of one layer, or of several whose outputs are added. */
export interface Group {
  /** The names of `layers`, joined by "+". */
  name: string;
  /** The layers that make these units: convolutions and dense layers. */
  layers: string[];
  /** For each of `layers`, the output channel of each unit: `channels[layer][unit]`. */
  channels: Record<string, Int32Array>;
  /** Layers with weights of their own for each unit, which follow: batch normalisation, depthwise convolutions. */
  followers: string[];
  /** Layers whose kernels have inputs from these units, which shrink along. */
  consumers: string[];
  /** How many units there are. */
  size: number;
}

/** Where a weight of a layer meets the channels that come in and those that go out, by axis. */
export interface WeightAxes {
  in?: number;
  /** Rows in a row that belong to one incoming channel; 1 by default. */
  inRepeat?: number;
  out?: number;
}

/** One layer in a model: what comes in, what goes out, unit by unit. */
export interface Site {
  layer: Layer;
  inputs: tf.SymbolicTensor[];
  output: tf.SymbolicTensor;
  /** The unit behind each incoming channel; undefined where the layer's weights do not depend on it. */
  incoming: number[];
  outgoing: number[];
  /** For each weight of the layer in order. */
  axes: WeightAxes[];
}

/** A model's layers in the order in which they run, with the units of every channel. */
export interface Dependencies {
  sites: Site[];
  /** The group and place of a unit; undefined for one that must stay: an input, a class, or of a layer not understood. */
  placeOf(unit: number): { group: string; index: number } | undefined;
  groups: Group[];
}

/** Which units of a model can be pruned, and which only together; in the order in which they run. */
export function groupsOf(model: tf.LayersModel): Group[] {
  return dependenciesOf(model).groups;
}

/**
 * Traces every channel of a model to the units that make it.
 *
 * Understood are dense, convolution, depthwise, separable and transposed convolution layers, batch normalisation,
 * activations, pooling, padding, dropout, flatten, sums and products of branches, and concatenation. The units that
 * go into any other layer stay whole.
 *
 * @throws Error for a layer that is used twice: its one set of weights cannot shrink in two ways
 */
export function dependenciesOf(model: tf.LayersModel): Dependencies {
  const units = new Units();
  const channels = new Map<tf.SymbolicTensor, number[]>();
  const sites: Site[] = [];
  for (const { layer, inputs, output } of nodesOf(model)) {
    const incoming = inputs.map((tensor) => channels.get(tensor)!);
    const site = { layer, inputs, output, ...connect(layer, inputs, incoming, output, units) };
    channels.set(output, site.outgoing);
    sites.push(site);
  }
  for (const tensor of model.outputs) for (const unit of channels.get(tensor)!) units.fix(unit);
  return groupUnits(sites, units);
}

interface Node {
  layer: Layer;
  inputs: tf.SymbolicTensor[];
  output: tf.SymbolicTensor;
}

/** The calls of layers that lead from a model's inputs to its outputs, each after those it needs. */
export function nodesOf(model: tf.LayersModel): Node[] {
  const nodes: Node[] = [];
  const done = new Set<tf.SymbolicTensor>();
  const layers = new Set<Layer>();
  const visit = (tensor: tf.SymbolicTensor): void => {
    if (done.has(tensor)) return;
    done.add(tensor);
    const layer = tensor.sourceLayer;
    const node = (layer as unknown as { inboundNodes: { inputTensors: tf.SymbolicTensor[] }[] }).inboundNodes[
      tensor.nodeIndex
    ];
    const inputs = model.inputs.includes(tensor) ? [] : node.inputTensors;
    for (const input of inputs) visit(input);
    if (layers.has(layer))
      throw new Error(
        `${layer.name} is used twice in ${model.name}: a model with shared layers cannot be copied or made smaller here`,
      );
    layers.add(layer);
    nodes.push({ layer, inputs, output: tensor });
  };
  for (const output of model.outputs) visit(output);
  return nodes;
}

/** Union-find over units: sets of units that only go together, some of which must stay. */
class Units {
  readonly parents: number[] = [];
  readonly makers: { layer: Layer; channel: number }[][] = [];
  readonly fixed = new Set<number>();

  make(layer: Layer, count: number, fixed = false): number[] {
    return Array.from({ length: count }, (_, channel) => {
      const unit = this.parents.length;
      this.parents.push(unit);
      this.makers.push([{ layer, channel }]);
      if (fixed) this.fixed.add(unit);
      return unit;
    });
  }

  find(unit: number): number {
    let root = unit;
    while (this.parents[root] !== root) root = this.parents[root];
    for (let at = unit; at !== root; ) [at, this.parents[at]] = [this.parents[at], root];
    return root;
  }

  join(a: number, b: number): void {
    const [first, second] = [this.find(a), this.find(b)].sort((x, y) => x - y);
    if (first === second) return;
    this.parents[second] = first;
    this.makers[first].push(...this.makers[second]);
    if (this.fixed.has(second)) this.fixed.add(first);
  }

  fix(unit: number): void {
    this.fixed.add(this.find(unit));
  }
}

const passing = new Set([
  ..."Activation ReLU LeakyReLU ELU ThresholdedReLU PReLU BatchNormalization".split(" "),
  ..."Dropout SpatialDropout1D GaussianNoise GaussianDropout AlphaDropout DepthwiseConv2D".split(" "),
  ..."ZeroPadding2D UpSampling2D Cropping2D".split(" "),
  ...["MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling"].flatMap((name) =>
    ["1D", "2D", "3D"].map((rank) => name + rank),
  ),
]);
const making = new Set(
  "Dense Conv1D Conv2D Conv3D Conv2DTranspose Conv3DTranspose SeparableConv2D".split(" "),
);
const merging = new Set("Add Subtract Multiply Average Maximum Minimum".split(" "));

/** What a layer does with the units that come in. */
function connect(
  layer: Layer,
  inputs: tf.SymbolicTensor[],
  incoming: number[][],
  output: tf.SymbolicTensor,
  units: Units,
): Pick<Site, "incoming" | "outgoing" | "axes"> {
  const kind = layer.getClassName();
  const width = output.shape.at(-1) ?? 1;
  const only = incoming[0] ?? [];
  const config = layer.getConfig() as { dataFormat?: string; axis?: number; activation?: string };
  const channelsLast = config.dataFormat === undefined || config.dataFormat === "channelsLast";
  // Softmax sets units against each other: without one of them the others change.
  const rivals = typeof config.activation === "string" && config.activation === "softmax";
  const axes = layer.weights.map((_, i) => axesOf(kind, layer, i));

  if (making.has(kind) && channelsLast)
    return { incoming: only, outgoing: units.make(layer, width, rivals), axes };
  if (passing.has(kind) && channelsLast && !rivals && lastAxis(kind, layer, inputs)) {
    // A depthwise convolution makes `width / inputs` channels in a row of each incoming one; all else makes one.
    const multiplier = width / only.length;
    return { incoming: only, outgoing: only.flatMap((unit) => new Array(multiplier).fill(unit)), axes };
  }
  if (kind === "Flatten" && channelsLast) {
    const places = width / only.length;
    return { incoming: only, outgoing: new Array(places).fill(only).flat(), axes };
  }
  if (merging.has(kind) && incoming.every((channels) => channels.length === width)) {
    for (const channels of incoming.slice(1))
      channels.forEach((unit, i) => {
        units.join(only[i], unit);
      });
    return { incoming: only, outgoing: only, axes };
  }
  if (kind === "Concatenate" && (config.axis === -1 || config.axis === output.shape.length - 1))
    return { incoming: [], outgoing: incoming.flat(), axes };

  for (const channels of incoming) for (const unit of channels) units.fix(unit);
  return { incoming: only, outgoing: units.make(layer, width, true), axes: layer.weights.map(() => ({})) };
}

/** Whether a layer that may have a choice of axes works on the last one. */
function lastAxis(kind: string, layer: Layer, inputs: tf.SymbolicTensor[]): boolean {
  if (kind !== "BatchNormalization") return true;
  const { axis } = layer as unknown as { axis: number };
  return axis === -1 || axis === inputs[0].shape.length - 1;
}

function axesOf(kind: string, layer: Layer, index: number): WeightAxes {
  const rank = layer.weights[index].shape.length;
  if (kind === "PReLU") return { out: rank - 1 };
  if (rank === 1) return { out: 0 };
  switch (kind) {
    case "DepthwiseConv2D":
      return { in: 2 };
    case "SeparableConv2D":
      // Two kernels: depthwise [r, s, c, m], then pointwise [1, 1, c m, k].
      return index === 0 ? { in: 2 } : { in: 2, inRepeat: layer.weights[0].shape[3] as number, out: 3 };
    case "Conv2DTranspose":
    case "Conv3DTranspose":
      return { out: rank - 2, in: rank - 1 };
    default:
      return { in: rank - 2, out: rank - 1 };
  }
}

/** Gathers free units into groups: units with makers in the same layers. */
function groupUnits(sites: Site[], units: Units): Dependencies {
  const groups = new Map<string, { group: Group; units: number[] }>();
  const places = new Map<number, { group: string; index: number }>();
  for (let unit = 0; unit < units.parents.length; unit++) {
    if (units.find(unit) !== unit || units.fixed.has(unit)) continue;
    const layers = [...new Set(units.makers[unit].map(({ layer }) => layer.name))];
    const name = layers.join("+");
    let entry = groups.get(name);
    if (!entry) {
      entry = { group: { name, layers, channels: {}, followers: [], consumers: [], size: 0 }, units: [] };
      groups.set(name, entry);
    }
    places.set(unit, { group: name, index: entry.units.length });
    entry.units.push(unit);
  }
  for (const { group, units: members } of groups.values()) {
    group.size = members.length;
    for (const layer of group.layers)
      group.channels[layer] = Int32Array.from(
        members,
        (unit) => units.makers[unit].find((maker) => maker.layer.name === layer)!.channel,
      );
  }
  const placeOf = (unit: number) => places.get(units.find(unit));
  for (const { layer, incoming, outgoing, axes } of sites) {
    const consumes = axes.some((axis) => axis.in !== undefined) && making.has(layer.getClassName());
    const follows = axes.length > 0 && passing.has(layer.getClassName());
    if (consumes)
      for (const name of groupNames(incoming, placeOf)) groups.get(name)!.group.consumers.push(layer.name);
    if (follows)
      for (const name of groupNames(outgoing, placeOf)) groups.get(name)!.group.followers.push(layer.name);
  }
  return { sites, placeOf, groups: [...groups.values()].map(({ group }) => group) };
}

function groupNames(units: number[], placeOf: Dependencies["placeOf"]): Set<string> {
  return new Set(units.map((unit) => placeOf(unit)?.group).filter((name) => name !== undefined));
}
