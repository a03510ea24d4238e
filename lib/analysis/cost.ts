// §1.1 What a model costs: parameters, bytes, multiply-accumulates, and the memory its activations need.
import { checkInteger, shown } from "../util/check.ts";
import { elements } from "../util/shape.ts";

/** What the cost of a layer depends on. Shapes are without the batch: [height, width, channels] or [features]. */
export interface LayerShape {
  name: string;
  kind: "input" | "dense" | "conv2d" | "depthwiseConv2d" | "pool" | "other";
  outputShape: readonly number[];
  /** Dense [in, out]; conv2d [h, w, in, out]; depthwise [h, w, in, multiplier]. */
  kernelShape?: readonly number[];
  /** All other trainable numbers: biases, batch normalisation. */
  otherParameters?: number;
  /** Names of the layers whose outputs this one reads. Default: the one before it. */
  inputs?: readonly string[];
  /** Writes over its input (activations, reshapes), if nothing else reads that later, and then needs no memory of its own. */
  inPlace?: boolean;
  /** Multiply-accumulates, where `kind` does not say; null where they are not known. */
  macs?: number | null;
}

/** What a layer, or a whole model, costs for one example. */
export interface Cost {
  parameters: number;
  /** Bytes of the parameters. */
  bytes: number;
  /** Multiply-accumulates of the forward pass. */
  macs: number;
  /** Bytes of the output. */
  activationBytes: number;
}

/** The cost of each layer, and of the model. */
export interface ModelCost extends Cost {
  layers: (Cost & { name: string })[];
  /** The most activation bytes alive at once: a layer's inputs and output, and what later layers still wait for. */
  peakActivationBytes: number;
  /** Layers whose multiply-accumulates are not known and count as 0. */
  uncounted: string[];
}

/**
 * Counts what a model costs for one example (§1.1).
 *
 * @param layers in an order in which the model can be computed
 * @param options bytes of a parameter and of an activation: 4 for 32-bit floats
 * @throws RangeError for a kernel whose shape does not fit its layer, or an input that no earlier layer gives
 */
export function costOf(
  layers: readonly LayerShape[],
  {
    bytesPerParameter = 4,
    bytesPerActivation = 4,
  }: { bytesPerParameter?: number; bytesPerActivation?: number } = {},
): ModelCost {
  const owners = ownersOf(layers);
  const costs = layers.map((layer, i) => {
    const parameters = elements(layer.kernelShape ?? [0]) + (layer.otherParameters ?? 0);
    return {
      name: layer.name,
      parameters,
      bytes: parameters * bytesPerParameter,
      macs: macsOf(layer) ?? 0,
      activationBytes: owners[i] === i ? elements(layer.outputShape) * bytesPerActivation : 0,
    };
  });
  const total = (key: keyof Cost) => costs.reduce((sum, cost) => sum + cost[key], 0);
  return {
    layers: costs,
    parameters: total("parameters"),
    bytes: total("bytes"),
    macs: total("macs"),
    activationBytes: total("activationBytes"),
    peakActivationBytes: peak(layers, owners, costs),
    uncounted: layers.filter((layer) => macsOf(layer) === null).map(({ name }) => name),
  };
}

/** Multiply-accumulates of one layer: every kernel weight is used once for each place of the output. */
function macsOf({ name, kind, kernelShape, outputShape, macs }: LayerShape): number | null {
  if (macs !== undefined) return macs;
  if (kind !== "dense" && kind !== "conv2d" && kind !== "depthwiseConv2d") return 0;
  const rank = kind === "dense" ? 2 : 4;
  if (kernelShape?.length !== rank) {
    throw new RangeError(`kernelShape of ${name} must have ${rank} sizes, got ${shown(kernelShape)}`);
  }
  for (const n of kernelShape) checkInteger(`each size of ${name}'s kernel`, n, 0);
  const channels = kind === "depthwiseConv2d" ? kernelShape[2] * kernelShape[3] : kernelShape[rank - 1];
  if (outputShape.at(-1) !== channels) {
    throw new RangeError(`outputShape of ${name} must end in ${channels}, got ${outputShape.at(-1)}`);
  }
  return elements(kernelShape) * elements(outputShape.slice(0, -1));
}

/** The positions of the layers that each one reads. */
function sourcesOf(layers: readonly LayerShape[]): number[][] {
  const position = new Map(layers.map(({ name }, i) => [name, i]));
  return layers.map((layer, i) =>
    (layer.inputs ?? (i > 0 ? [layers[i - 1].name] : [])).map((name) => {
      const from = position.get(name);
      if (from === undefined || from >= i) {
        throw new RangeError(`inputs of ${layer.name} must name earlier layers, got ${shown(name)}`);
      }
      return from;
    }),
  );
}

/**
 * The position of the layer in whose memory each one writes: its own, or, in place, that of what it reads, as long as
 * nothing else reads that memory later.
 */
function ownersOf(layers: readonly LayerShape[]): number[] {
  const sources = sourcesOf(layers);
  const lastReader = layers.map((_, i) => i);
  sources.forEach((from, i) => {
    for (const source of from) lastReader[source] = i;
  });
  const owners: number[] = [];
  layers.forEach((layer, i) => {
    const [source] = sources[i];
    const free = () => owners.every((owner, j) => owner !== owners[source] || lastReader[j] <= i);
    owners[i] = layer.inPlace && source !== undefined && free() ? owners[source] : i;
  });
  return owners;
}

/** Walks the layers in order, keeping count of the memory that some later layer still reads. */
function peak(
  layers: readonly LayerShape[],
  owners: readonly number[],
  costs: { activationBytes: number }[],
): number {
  const lastRead = layers.map((_, i) => i);
  sourcesOf(layers).forEach((from, i) => {
    for (const source of [...from, i]) lastRead[owners[source]] = i;
  });
  let most = 0;
  for (let i = 0; i < layers.length; i++) {
    let alive = 0;
    for (let j = 0; j <= i; j++) if (owners[j] === j && lastRead[j] >= i) alive += costs[j].activationBytes;
    most = Math.max(most, alive);
  }
  return most;
}
