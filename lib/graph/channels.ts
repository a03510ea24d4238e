// 3.1.2, 3.1.3: what must go together when a filter or neuron goes. Every number on the channel axis of every tensor of
// a network is traced to the unit (a filter or a neuron) that makes it; units that are added to one another are one.
// The idea is DepGraph's (Fang et al., "DepGraph: Towards Any Structural Pruning", 2023).
import { type Graph, type GraphNode, sharedNodes } from "./graph.ts";
import type { AxisMeaning, Flow, NodeView } from "./kind.ts";
import { findKind, hasSoftmax, viewOf } from "./kinds.ts";

/** Units that can be pruned only as one: the filters or neurons of one layer, or of several whose outputs are added. */
export interface Group {
  /** The names of `layers`, joined by "+". */
  name: string;
  /** The layers that make these units: convolutions and dense layers. */
  layers: string[];
  /** For each of `layers`, the output channel of each unit: `channels[layer][unit]`; the first, where it has several. */
  channels: Record<string, Int32Array>;
  /** For each unit, all the channels that it is made of: more than one a layer where what is added was concatenated. */
  makers: { layer: string; channel: number }[][];
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

/** One layer of a network: what comes in, what goes out, unit by unit. */
export interface Site {
  node: GraphNode;
  flow: Flow;
  /** The unit behind each incoming channel; empty where the layer's weights do not depend on it. */
  incoming: number[];
  outgoing: number[];
  /** For each weight of the layer in order. */
  axes: WeightAxes[];
}

/** A network's layers in the order in which they run, with the units of every channel. */
export interface Dependencies {
  sites: Site[];
  /** The group and place of a unit; undefined for one that must stay: an input, a class, or of a layer not understood. */
  placeOf(unit: number): { group: string; index: number } | undefined;
  groups: Group[];
  /** Layers of no known kind: the units that go in, and those that come out, stay. */
  skipped: string[];
}

/**
 * Traces every channel of a network to the units that make it. The table of kinds says how channels flow through a layer;
 * what a kind blocks, or no kind covers, keeps its units whole.
 * A layer with weights that is used more than once keeps its units, and those that it reads: one set of weights cannot shrink
 * in two ways.
 */
export function dependenciesOf(graph: Graph): Dependencies {
  const units = new Units();
  const channels = new Map<string, number[]>();
  const sites: Site[] = [];
  const shared = sharedNodes(graph);
  for (const node of graph.nodes) {
    const incoming = node.inputs.map((tensor) => channels.get(tensor)!);
    const view = viewOf(graph, node);
    const whole = shared.has(node.name) && Object.keys(view.weights).length > 0;
    const site = { node, ...connect(view, incoming, units, whole ? "block" : undefined) };
    // A second output, of which no kind says more, is a layer's own.
    for (const [i, tensor] of node.outputs.entries())
      channels.set(tensor, i === 0 ? site.outgoing : units.make(node.name, widthOf(graph, tensor), true));
    sites.push(site);
  }
  for (const tensor of graph.outputs) for (const unit of channels.get(tensor)!) units.fix(unit);
  const skipped = graph.nodes.filter(({ kind }) => !findKind(kind)).map(({ name }) => name);
  return { ...groupUnits(sites, units), skipped };
}

const widthOf = (graph: Graph, tensor: string): number => graph.tensors[tensor].shape.at(-1) ?? 1;

/** Union-find over units: sets of units that only go together, some of which must stay. */
class Units {
  readonly parents: number[] = [];
  readonly makers: { layer: string; channel: number }[][] = [];
  readonly fixed = new Set<number>();

  make(layer: string, count: number, fixed = false): number[] {
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

/** What a layer does with the units that come in. */
function connect(view: NodeView, incoming: number[][], units: Units, told?: Flow): Omit<Site, "node"> {
  const width = view.output.at(-1) ?? 1;
  const only = incoming[0] ?? [];
  const flow = told ?? flowOf(view, incoming, width);
  const axes = Object.keys(view.weights).map((role) => axesOf(view, role));
  switch (flow) {
    case "make":
      // Softmax sets units against each other: without one of them the others change.
      return { flow, incoming: only, outgoing: units.make(view.name, width, hasSoftmax(view)), axes };
    case "pass": {
      // A depthwise convolution makes `width / inputs` channels in a row of each incoming one; all else makes one.
      const multiplier = width / only.length;
      const outgoing = only.flatMap((unit) => new Array<number>(multiplier).fill(unit));
      return { flow, incoming: only, outgoing, axes };
    }
    case "spread":
      return { flow, incoming: only, outgoing: new Array(width / only.length).fill(only).flat(), axes };
    case "join":
      for (const channels of incoming.slice(1))
        for (const [i, unit] of channels.entries()) units.join(only[i], unit);
      return { flow, incoming: only, outgoing: only, axes };
    case "concatenate":
      return { flow, incoming: [], outgoing: incoming.flat(), axes };
    default:
      for (const unit of incoming.flat()) units.fix(unit);
      return {
        flow,
        incoming: only,
        outgoing: units.make(view.name, width, true),
        axes: axes.map(() => ({})),
      };
  }
}

/** What the kind says, as far as the widths allow it. */
function flowOf(view: NodeView, incoming: number[][], width: number): Flow {
  const flow = findKind(view.kind)?.flow(view) ?? "block";
  if (flow === "join" && incoming.some((channels) => channels.length !== width)) return "block";
  if ((flow === "pass" || flow === "spread") && width % (incoming[0]?.length ?? 0) !== 0) return "block";
  return flow;
}

function axesOf(view: NodeView, role: string): WeightAxes {
  const weight = findKind(view.kind)?.weight(view, role);
  if (!weight) return {};
  const at = (meaning: AxisMeaning) => {
    const axis = weight.axes.indexOf(meaning);
    return axis < 0 ? undefined : axis;
  };
  return { in: at("in"), ...(weight.inRepeat ? { inRepeat: weight.inRepeat } : {}), out: at("out") };
}

/** Gathers free units into groups: units with makers in the same layers. */
function groupUnits(sites: Site[], units: Units): Omit<Dependencies, "skipped"> {
  const groups = new Map<string, { group: Group; units: number[] }>();
  const places = new Map<number, { group: string; index: number }>();
  for (let unit = 0; unit < units.parents.length; unit++) {
    if (units.find(unit) !== unit || units.fixed.has(unit)) continue;
    const layers = [...new Set(units.makers[unit].map(({ layer }) => layer))];
    const name = layers.join("+");
    let entry = groups.get(name);
    if (!entry) {
      entry = {
        group: { name, layers, channels: {}, makers: [], followers: [], consumers: [], size: 0 },
        units: [],
      };
      groups.set(name, entry);
    }
    places.set(unit, { group: name, index: entry.units.length });
    entry.units.push(unit);
  }
  for (const { group, units: members } of groups.values()) {
    group.size = members.length;
    group.makers = members.map((unit) => units.makers[unit]);
    for (const layer of group.layers)
      group.channels[layer] = Int32Array.from(
        members,
        (unit) => units.makers[unit].find((maker) => maker.layer === layer)!.channel,
      );
  }
  const placeOf = (unit: number) => places.get(units.find(unit));
  for (const { node, flow, incoming, outgoing, axes } of sites) {
    if (flow === "make" && axes.some((axis) => axis.in !== undefined))
      for (const name of groupNames(incoming, placeOf)) groups.get(name)!.group.consumers.push(node.name);
    if (flow === "pass" && axes.length > 0)
      for (const name of groupNames(outgoing, placeOf)) groups.get(name)!.group.followers.push(node.name);
  }
  return { sites, placeOf, groups: [...groups.values()].map(({ group }) => group) };
}

function groupNames(units: number[], placeOf: Dependencies["placeOf"]): Set<string> {
  return new Set(units.map((unit) => placeOf(unit)?.group).filter((name) => name !== undefined));
}
