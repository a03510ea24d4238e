// A model's weights as the algorithms see them: flat Float32Arrays by layer name.

import {
  findKind,
  kernelPlaces,
  type NodeView,
  outputAxesOf,
  sharedNodes,
  type WeightRole,
} from "../graph/index.ts";
import { checkFinite, checkLength, checkOneOf } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { kindOf, layersOf, networkOf, weightRoles } from "./graph.ts";
import { tf } from "./tf.ts";

type Layer = tf.layers.Layer;
type LayerVariable = Layer["weights"][number];

/** A weight that pruning, quantization and clustering work on, where it is in a model. */
export interface Kernel {
  /** Its layer's name, with the role behind it where the layer has several kernels: "lstm/recurrentKernel". */
  name: string;
  layer: Layer;
  /** The layer's name in the model: that of a nested model stands before it, "base/conv1". */
  layerName: string;
  /** "kernel", "depthwiseKernel", "recurrentKernel", "embeddings" … */
  role: string;
  variable: LayerVariable;
  /** As TensorFlow.js lays it out: dense [in, out], convolution [h, w, in, out], depthwise [h, w, in, multiplier]. */
  shape: number[];
  /** What its axes mean. */
  weight: WeightRole;
  /** The axis with one index for each output; of a depthwise convolution that of its channels. */
  axis: number;
  /** How many axes, from `axis` on, make an output together: 2 for a depthwise convolution with a multiplier above 1. */
  span?: number;
}

/**
 * All kernels of a model, in its order, those of nested models among them. What the table of layer kinds calls a kernel
 * is one; layers of no known kind have none ({@link skippedLayers} names them).
 */
export function kernelsOf(model: tf.LayersModel): Kernel[] {
  return [...layersOf(model)].flatMap(([name, layer]) => layerKernels(layer, name));
}

function layerKernels(layer: Layer, name: string = layer.name): Kernel[] {
  if (layer.weights.length === 0) return [];
  const roles = weightRoles(layer);
  return kernelPlaces(viewOfLayer(layer, name, roles)).map(({ name: kernel, role, weight }) => {
    const variable = layer.weights[roles.indexOf(role)];
    const shape = variable.shape as number[];
    return {
      name: kernel,
      layer,
      layerName: name,
      role,
      variable,
      shape,
      weight,
      ...outputsOf(outputAxesOf(weight), shape),
    };
  });
}

function outputsOf([axis, ...more]: number[], shape: number[]): Pick<Kernel, "axis" | "span"> {
  const neighbours = more.length > 0 && more.every((next, i) => next === axis + 1 + i);
  return neighbours && more.some((next) => shape[next] > 1) ? { axis, span: 1 + more.length } : { axis };
}

/** What a kind may ask of a layer. */
function viewOfLayer(layer: Layer, name: string, roles: string[]): NodeView {
  const [call] = layer.inboundNodes as unknown as {
    inputShapes: tf.Shape | tf.Shape[];
    outputShapes: tf.Shape | tf.Shape[];
  }[];
  const plain = (shapes: tf.Shape | tf.Shape[] | undefined) =>
    (Array.isArray(shapes?.[0]) ? (shapes as tf.Shape[]) : shapes ? [shapes as tf.Shape] : []).map((shape) =>
      shape.slice(1).map((size) => size ?? 1),
    );
  return {
    name,
    kind: kindOf(layer),
    get attributes() {
      return layer.getConfig();
    },
    inputs: plain(call?.inputShapes),
    output: plain(call?.outputShapes)[0] ?? [],
    weights: Object.fromEntries(layer.weights.map(({ shape }, i) => [roles[i], shape as number[]])),
  };
}

/** The layers of a model that have weights and are of no known kind: nothing here compresses them. */
export function skippedLayers(model: tf.LayersModel): string[] {
  return [...layersOf(model)]
    .filter(([, layer]) => layer.weights.length > 0 && !findKind(kindOf(layer)))
    .map(([name]) => name);
}

/** The only kernel of a layer; undefined for a layer that has none, or several ({@link kernelsOf} has those). */
export function kernelOf(layer: Layer): LayerVariable | undefined {
  const kernels = layerKernels(layer);
  return kernels.length === 1 ? kernels[0].variable : undefined;
}

/**
 * The axis of a layer's kernel with one index for each of its outputs: the last one; of a transposed convolution the last
 * but one. Of a depthwise convolution it is that of its channels, each of which makes outputs of its own.
 */
export function outputAxis(layer: Layer): number {
  return layerKernels(layer)[0].axis;
}

/** The bias of a layer that has a kernel, if there is one. */
export function biasOf(layer: Layer): LayerVariable | undefined {
  if (layerKernels(layer).length === 0) return undefined;
  const index = weightRoles(layer).indexOf("bias");
  return index < 0 ? undefined : layer.weights[index];
}

/** The layers with a kernel by name, in the order of the model. */
export function kernelLayers(model: tf.LayersModel): Map<string, Layer> {
  return new Map(kernelsOf(model).map(({ layerName, layer }) => [layerName, layer]));
}

/** Layers to look into, by name; throws for one that the model does not have, or uses more than once. */
export function probedLayers(model: tf.LayersModel, names: Iterable<string>): Map<string, Layer> {
  const layers = layersOf(model);
  const shared = sharedNodes(networkOf(model).graph);
  return new Map(
    [...names].map((name) => {
      checkOneOf("layer", name, [...layers.keys()]);
      if (shared.has(name))
        throw new RangeError(
          `${name} is used more than once in ${model.name}: its outputs are not those of one place`,
        );
      return [name, layers.get(name)!];
    }),
  );
}

/**
 * Lets whatever runs see a kernel through `read`, and its variable, which training changes, stay the same.
 *
 * @returns what undoes it
 */
export function replaceKernel(
  { layer, variable, name }: Kernel,
  read: (value: tf.Tensor) => tf.Tensor,
): () => void {
  const [owner, field] = ownerOf(layer, variable) ?? [];
  if (!owner || !field) throw new Error(`${name} is kept by its layer where it cannot be replaced`);
  owner[field] = Object.create(variable, { read: { value: () => read(variable.read()) } });
  return () => {
    owner[field] = variable;
  };
}

/** The object that uses a variable, and the name it has there: the layer, one of its cells, or the layer that it wraps. */
function ownerOf(layer: object, variable: LayerVariable): [Record<string, unknown>, string] | undefined {
  const fields = layer as Record<string, unknown>;
  for (const [field, value] of Object.entries(fields)) if (value === variable) return [fields, field];
  for (const field of ["cell", "cells", "layer", "forwardLayer", "backwardLayer"])
    for (const part of [fields[field] ?? []].flat() as object[]) {
      const found = ownerOf(part, variable);
      if (found) return found;
    }
  return undefined;
}

/** The kernels of a model, copied: kernel name to weights, row-major. */
export function weightsOf(model: tf.LayersModel): Record<string, Float32Array> {
  return read(kernelVariables(model));
}

/** {@link weightsOf} to compute with: throws a RangeError that names a weight of the model that is NaN or infinite. */
export function finiteWeightsOf(model: tf.LayersModel): Record<string, Float32Array> {
  checkWeightsFinite(model);
  return weightsOf(model);
}

/** The biases of a model, copied: layer name to one number per output. */
export function biasesOf(model: tf.LayersModel): Record<string, Float32Array> {
  return read(biasVariables(model));
}

/** The shapes of what {@link weightsOf} gives. */
export function shapesOf(model: tf.LayersModel): Record<string, number[]> {
  return Object.fromEntries(kernelsOf(model).map(({ name, shape }) => [name, shape]));
}

/**
 * Puts kernels into a model, which keeps its other weights.
 *
 * @throws RangeError for a kernel that the model does not have, or weights of another length than the layer's
 */
export function setWeights(model: tf.LayersModel, weights: Record<string, ArrayLike<number>>): void {
  write(model, weights, kernelVariables(model), "weights");
}

/** Puts biases into a model, which keeps its other weights; throws as {@link setWeights} does. */
export function setBiases(model: tf.LayersModel, biases: Record<string, ArrayLike<number>>): void {
  write(model, biases, biasVariables(model), "biases");
}

function kernelVariables(model: tf.LayersModel): Map<string, LayerVariable> {
  return new Map(kernelsOf(model).map(({ name, variable }) => [name, variable]));
}

/** The variables of the biases of a model, by layer name. */
export function biasVariables(model: tf.LayersModel): Map<string, LayerVariable> {
  return new Map(
    [...layersOf(model)].flatMap(([name, layer]) => {
      const bias = biasOf(layer);
      return bias ? [[name, bias] as const] : [];
    }),
  );
}

function read(variables: Map<string, LayerVariable>): Record<string, Float32Array> {
  // The JavaScript backend hands out its own array, so copy.
  return Object.fromEntries(
    [...variables].map(([name, variable]) => [name, Float32Array.from(variable.read().dataSync())]),
  );
}

function write(
  model: tf.LayersModel,
  values: Record<string, ArrayLike<number>>,
  known: Map<string, LayerVariable>,
  what: string,
): void {
  // Check all before writing any: a mistake must not leave half of the new weights behind.
  const variables = Object.entries(values).map(([name, array]) => {
    const variable = known.get(name);
    if (!variable) {
      throw new RangeError(
        `${model.name} has no ${what} for ${JSON.stringify(name)}; it has ${[...known.keys()].join(", ")}`,
      );
    }
    const shape = definedShape(variable);
    checkLength(`${what} of ${name} (${shape.join(" x ")})`, array, elements(shape));
    return { variable, shape, array };
  });
  tf.tidy(() => {
    for (const { variable, shape, array } of variables)
      variable.write(tf.tensor(Float32Array.from(array), shape, "float32"));
  });
}

function definedShape(variable: LayerVariable): number[] {
  return variable.shape as number[];
}

/** Throws unless every mask names a layer with a kernel and has one 0 or 1 for each of its weights. */
export function checkMasks(model: tf.LayersModel, masks: Record<string, Uint8Array>): void {
  const shapes = shapesOf(model);
  for (const [name, mask] of Object.entries(masks)) {
    const shape = shapes[name];
    if (!shape) {
      const names = Object.keys(shapes).join(", ");
      throw new RangeError(`masks name ${JSON.stringify(name)}, but ${model.name} has ${names}`);
    }
    checkLength(`mask of ${name} (${shape.join(" x ")})`, mask, elements(shape));
    const wrong = mask.findIndex((value) => value !== 0 && value !== 1);
    if (wrong >= 0)
      throw new RangeError(`mask of ${name} must hold 0 and 1, got ${mask[wrong]} at index ${wrong}`);
  }
}

/**
 * Throws a RangeError that names the first weight of a model that is NaN or infinite. Backends disagree on what a ReLU
 * makes of NaN, and on WASM it is 0: without this a broken model would quietly give plausible numbers.
 */
export function checkWeightsFinite(model: tf.LayersModel): void {
  for (const weight of model.weights)
    checkFinite(`weights of ${weight.originalName}`, weight.read().dataSync());
}
