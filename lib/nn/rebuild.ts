// A new model from an old one: the same graph, with some layers replaced. Low-rank factors, smaller layers after
// surgery and plain copies are all made here.

import { nodesOf } from "./dependency.ts";
import { tf } from "./tf.ts";

type Layer = tf.layers.Layer;

/** A new layer and what to put into it, in the order of its weights. */
export interface Part {
  layer: Layer;
  weights: ArrayLike<number>[];
}

/**
 * Builds a new model with the graph of `model`; the old one stays as it is.
 *
 * @param replace gives the layers, one after the other, to put in the place of a layer; undefined for a copy of it
 * @returns a Sequential for a Sequential, else a functional model
 */
export function rebuild(
  model: tf.LayersModel,
  replace: (layer: Layer) => Part[] | undefined = () => undefined,
): tf.LayersModel {
  const nodes = nodesOf(model);
  const parts = new Map(nodes.map(({ layer }) => [layer, replace(layer) ?? [copyOf(layer)]]));
  const result = model instanceof tf.Sequential ? chain(model, parts) : graph(model, nodes, parts);
  // Only a layer that has been connected has weights to set.
  for (const { layer, weights } of [...parts.values()].flat()) {
    if (weights.length === 0) continue;
    tf.tidy(() => {
      layer.setWeights(
        layer.weights.map((weight, i) => tf.tensor(Float32Array.from(weights[i]), weight.shape as number[])),
      );
    });
  }
  return result;
}

/** A copy of a model with weights of its own. */
export function cloneModel(model: tf.LayersModel): tf.LayersModel {
  return rebuild(model);
}

function copyOf(layer: Layer): Part {
  return {
    layer: layerLike(layer),
    weights: layer.weights.map((weight) => weight.read().dataSync()),
  };
}

/** A new layer of the same kind, name and settings, apart from `changes`. */
export function layerLike(layer: Layer, changes: tf.serialization.ConfigDict = {}): Layer {
  const kind = layer.constructor as tf.serialization.SerializableConstructor<Layer>;
  return kind.fromConfig(kind, { ...layer.getConfig(), ...changes });
}

function chain(model: tf.Sequential, parts: Map<Layer, Part[]>): tf.LayersModel {
  const layers = model.layers.flatMap((layer) => parts.get(layer)!.map((part) => part.layer));
  const first = layers[0] as Layer & { batchInputShape?: tf.Shape };
  first.batchInputShape ??= model.inputs[0].shape;
  return tf.sequential({ name: model.name, layers });
}

function graph(
  model: tf.LayersModel,
  nodes: ReturnType<typeof nodesOf>,
  parts: Map<Layer, Part[]>,
): tf.LayersModel {
  const made = new Map<tf.SymbolicTensor, tf.SymbolicTensor>();
  for (const { layer, inputs, output } of nodes) {
    if (inputs.length === 0) {
      const { batchInputShape, name, dtype } = layer as Layer & { batchInputShape: tf.Shape };
      made.set(output, tf.input({ batchShape: batchInputShape, name, dtype: dtype as tf.DataType }));
      // An input has no weights and has been made.
      parts.set(layer, []);
      continue;
    }
    const sources = inputs.map((tensor) => made.get(tensor)!);
    let result = sources.length === 1 ? sources[0] : sources;
    for (const part of parts.get(layer)!) result = part.layer.apply(result) as tf.SymbolicTensor;
    made.set(output, result as tf.SymbolicTensor);
  }
  return tf.model({
    name: model.name,
    inputs: model.inputs.map((tensor) => made.get(tensor)!),
    outputs: model.outputs.map((tensor) => made.get(tensor)!),
  });
}
