// §3.1.3 Units that nothing goes into, or that nothing reads: pruning weights leaves some. The first say the same for every
// image, which the next layer's biases can say as well; the others may say anything. Neither changes what the network
// computes, and a file stores neither.

import { findKind } from "../graph/index.ts";
import { foldMerges, type Masks, type Merge } from "../pruning/index.ts";
import { dependenciesOf, type Group } from "./dependency.ts";
import { tf } from "./tf.ts";
import { biasesOf, checkMasks, setBiases, setWeights, shapesOf, weightsOf } from "./weights.ts";

/** What {@link foldDeadUnits} did. */
export interface FoldedUnits {
  /** Masks of the kernels that had one, or lost weights. */
  masks: Masks;
  /** Units that nothing went into or nothing read, by group. */
  dead: Record<string, number[]>;
  /** Groups that were left as they are, and why. */
  skipped: Record<string, string>;
}

/**
 * Takes dead units out of a network by masks, in place: a unit without inputs gives its constant to the next layer's biases,
 * a unit without readers loses its inputs, and both lose weights and bias. Repeated, since each may leave others dead. What
 * the network computes stays the same but for rounding.
 *
 * Units of a group that feeds several layers, a layer without bias or one that pads, or that is part of a sum, stay.
 *
 * @param masks of pruned kernels, by name; kernels without one count as whole
 * @throws RangeError for masks of other kernels or lengths
 */
export function foldDeadUnits(model: tf.LayersModel, masks: Masks): FoldedUnits {
  checkMasks(model, masks);
  const weights = weightsOf(model);
  const biases = biasesOf(model);
  const shapes = shapesOf(model);
  const dead: Record<string, number[]> = {};
  const skipped: Record<string, string> = {};
  const groups = dependenciesOf(model).groups.flatMap((group) => {
    const why = whyNot(model, group, biases);
    if (why) skipped[group.name] = why;
    return why ? [] : [{ ...group, producer: group.layers[0], consumer: group.consumers[0] }];
  });
  for (const { name } of groups) dead[name] = [];
  for (let found = true; found; ) {
    found = false;
    for (const { name, producer, consumer, size } of groups) {
      const [into, from] = [weights[producer], weights[consumer]];
      const outputs = shapes[consumer].at(-1)!;
      const merges: Merge[] = [];
      for (let unit = 0; unit < size; unit++) {
        if (dead[name].includes(unit)) continue;
        const fed = someOf(into, unit, 1, size);
        const read = someOf(from, unit * outputs, outputs, size * outputs);
        if (fed && read) continue;
        // Without readers it may say anything: nothing has to be made up for.
        const offset = read ? constantOf(model, producer, biases[producer][unit]) : 0;
        merges.push({ neuron: unit, into: undefined, scale: 0, offset, error: 0 });
      }
      if (merges.length === 0) continue;
      found = true;
      const folded = foldMerges(merges, { weights: from, bias: biases[consumer] }, size);
      weights[consumer] = folded.weights;
      biases[consumer] = folded.bias;
      for (const { neuron } of merges) {
        dead[name].push(neuron);
        for (let i = neuron; i < into.length; i += size) into[i] = 0;
        biases[producer][neuron] = 0;
      }
    }
  }
  setWeights(model, weights);
  setBiases(model, biases);
  const touched = new Set([
    ...Object.keys(masks),
    ...groups.flatMap(({ name, producer, consumer }) => (dead[name].length > 0 ? [producer, consumer] : [])),
  ]);
  return {
    masks: Object.fromEntries([...touched].map((kernel) => [kernel, maskOf(weights[kernel], masks[kernel])])),
    dead,
    skipped,
  };
}

/** Why a group's units cannot be folded, or put into another order; undefined where they can. */
export function whyNot(
  model: tf.LayersModel,
  group: Group,
  biases: Record<string, Float32Array>,
): string | undefined {
  const { sites, placeOf } = dependenciesOf(model);
  if (group.layers.length !== 1) return `${group.layers.join(" and ")} share their units`;
  if (group.consumers.length !== 1) return `${group.consumers.length} layers read it`;
  const [producer, consumer] = [group.layers[0], group.consumers[0]];
  for (const layer of [producer, consumer]) if (!biases[layer]) return `${layer} has no bias`;
  const site = sites.find(({ node }) => node.name === consumer);
  const isAlone = site?.incoming.every((unit, i) => {
    const place = placeOf(unit);
    return place?.group === group.name && place.index === i % group.size;
  });
  if (!site || !isAlone) return `${consumer} has other inputs besides`;
  if (site.node.attributes.padding === "same") return `${consumer} pads with zeros`;
  if (!["matrix", "convolution"].includes(findKind(site.node.kind)?.product ?? "none"))
    return `${consumer} does not read it as rows`;
  return isPassedOn(model, producer, consumer)
    ? undefined
    : `what lies between ${producer} and ${consumer} may change a constant`;
}

/** Whether only what lets a constant through lies between two layers: pooling, flattening, dropout. */
function isPassedOn(model: tf.LayersModel, producer: string, consumer: string): boolean {
  // A layer of a nested model is not found by its name here.
  const start = model.layers.find(({ name }) => name === consumer);
  if (!start) return false;
  for (let layer = start; ; ) {
    const sources = layer.inboundNodes.flatMap(({ inboundLayers }) => inboundLayers);
    if (sources.length !== 1) return false;
    [layer] = sources;
    if (layer.name === producer) return true;
    const kind = findKind(layer.getClassName());
    const config = layer.getConfig();
    const pools = /Pooling2D$/.test(layer.getClassName()) && config.padding !== "same";
    if (!(pools || kind?.random || ["Flatten", "Reshape"].includes(layer.getClassName()))) return false;
  }
}

/** What a unit without inputs gives out, to the last bit: its layer's activation of its bias. */
function constantOf(model: tf.LayersModel, producer: string, bias: number): number {
  const { activation } = model.getLayer(producer) as unknown as {
    activation: { apply(x: tf.Tensor): tf.Tensor } | null;
  };
  return tf.tidy(() => {
    const x = tf.tensor2d([bias], [1, 1]);
    return (activation ? activation.apply(x) : x).dataSync()[0];
  });
}

/** Whether any of `count` neighbours at `from`, and every `step` further on, is not 0. */
function someOf(values: Float32Array, from: number, count: number, step: number): boolean {
  for (let start = from; start < values.length; start += step)
    for (let i = start; i < start + count; i++) if (values[i] !== 0) return true;
  return false;
}

/** What is kept: what was, less what has become 0. */
function maskOf(weights: Float32Array, before: Uint8Array | undefined): Uint8Array {
  const mask = new Uint8Array(weights.length);
  for (let i = 0; i < mask.length; i++) mask[i] = weights[i] === 0 || before?.[i] === 0 ? 0 : 1;
  return mask;
}
