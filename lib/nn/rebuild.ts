// A new model from an old one: the same graph, with some layers replaced. Low-rank factors, smaller layers after
// surgery and plain copies are all made here.

import type { GraphNode, GraphTensor } from "../graph/index.ts";
import { connect, networkOf } from "./graph.ts";
import { tf } from "./tf.ts";

type Layer = tf.layers.Layer;

/** A new layer and what to put into it, in the order of its weights. */
export interface Part {
  layer: Layer;
  weights: ArrayLike<number>[];
}

/**
 * Builds a new model with the graph of `model`; the old one stays as it is. Nested models come out as the layers inside,
 * with the way to them in their names. A layer that is used more than once is replaced once, by layers that are shared as it was.
 *
 * @param replace gives the layers, one after the other, to put in the place of a layer; undefined for a copy of it, an
 *   empty list to leave it out: what reads it then reads what it read
 * @returns a Sequential for a Sequential, else a functional model
 * @throws Error for a layer that is left out where the model's output would be
 * @throws TypeError for a model of another copy of TensorFlow.js
 */
export function rebuild(
  model: tf.LayersModel,
  replace: (layer: Layer, name: string) => Part[] | undefined = () => undefined,
): tf.LayersModel {
  // Layers of two copies cannot be connected: TensorFlow.js would fail somewhere within, and not say why.
  if (!(model instanceof tf.LayersModel)) {
    const { name } = model as tf.LayersModel;
    throw new TypeError(
      `model must be one of slimlab's TensorFlow.js, import { tf } from "slimlab/nn": ${name} is of another copy`,
    );
  }
  const { graph, layers } = networkOf(model);
  const made = new Map<string, Layer>();
  const nodes: GraphNode[] = [];
  const weights: Part[] = [];
  const partsOf = new Map<string, Part[]>();
  const tensors: Record<string, GraphTensor> = {};
  const passed = new Map<string, string>(); // what layers that are left out would have written: what they would have read
  for (const node of graph.nodes) {
    for (const tensor of node.outputs) tensors[tensor] = graph.tensors[tensor];
    if (node.kind === "input") {
      nodes.push(node);
      continue;
    }
    const layer = layers.get(node.name)!;
    const shared = node.shares === undefined ? undefined : partsOf.get(node.shares)!;
    const parts = shared ?? replace(layer, node.name) ?? [copyOf(layer, node.name)];
    partsOf.set(node.name, parts);
    let inputs: readonly string[] = node.inputs.map((tensor) => passed.get(tensor) ?? tensor);
    if (parts.length === 0) {
      for (const tensor of node.outputs) passed.set(tensor, inputs[0]);
      continue;
    }
    for (const [i, part] of parts.entries()) {
      // Only the last part writes what the others read; those before it hand on to the next.
      const last = i === parts.length - 1;
      const outputs = last ? node.outputs : [`${node.name} ${i}`];
      if (!last) tensors[outputs[0]] = graph.tensors[node.outputs[0]];
      nodes.push({
        name: `${node.name} ${i}`,
        kind: node.kind,
        inputs,
        outputs,
        attributes: {},
        weights: {},
      });
      made.set(`${node.name} ${i}`, part.layer);
      if (!shared) weights.push(part);
      inputs = outputs;
    }
  }
  for (const tensor of graph.outputs)
    if (passed.has(tensor)) throw new Error(`${model.name} needs ${tensor}: its layer cannot be left out`);
  const result = connect({ ...graph, nodes, tensors }, made);
  // Only a layer that has been connected has weights to set.
  for (const part of weights) put(part);
  return result;
}

function put({ layer, weights }: Part): void {
  if (weights.length === 0) return;
  tf.tidy(() => {
    layer.setWeights(
      layer.weights.map((weight, i) => tf.tensor(Float32Array.from(weights[i]), weight.shape as number[])),
    );
  });
}

/** A copy of a model with weights of its own. */
export function cloneModel(model: tf.LayersModel): tf.LayersModel {
  return rebuild(model);
}

function copyOf(layer: Layer, name: string): Part {
  return {
    layer: layerLike(layer, { name }),
    weights: layer.weights.map((weight) => weight.read().dataSync()),
  };
}

/** A new layer of the same kind, name and settings, apart from `changes`. */
export function layerLike(layer: Layer, changes: tf.serialization.ConfigDict = {}): Layer {
  const kind = layer.constructor as tf.serialization.SerializableConstructor<Layer>;
  return kind.fromConfig(kind, { ...layer.getConfig(), ...changes });
}
