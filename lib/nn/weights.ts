// A model's weights as the algorithms see them: flat Float32Arrays by layer name.

import { checkFinite, checkLength } from "../util/check.ts";
import { elements } from "../util/shape.ts";
import { tf } from "./tf.ts";

type Layer = tf.layers.Layer;
type LayerVariable = Layer["weights"][number];

/**
 * The weight matrix or filters of a layer, as TensorFlow.js lays them out: dense [in, out], convolution
 * [h, w, inC, outC], depthwise [h, w, inC, multiplier]. Undefined for layers that have none of these three.
 */
export function kernelOf(layer: Layer): LayerVariable | undefined {
  if (layer.getClassName().startsWith("Separable")) return undefined;
  const { kernel, depthwiseKernel } = layer as Layer & {
    kernel?: LayerVariable;
    depthwiseKernel?: LayerVariable;
  };
  return kernel ?? depthwiseKernel ?? undefined;
}

/**
 * The axis of a layer's kernel with one index for each of its outputs: the last one; of a transposed convolution the last
 * but one. Of a depthwise convolution it is that of its channels, each of which makes outputs of its own.
 */
export function outputAxis(layer: Layer): number {
  const type = layer.getClassName();
  const fromEnd = type === "DepthwiseConv2D" || type.endsWith("Transpose") ? 2 : 1;
  return kernelOf(layer)!.shape.length - fromEnd;
}

/** The bias of a layer that has a kernel, if there is one. */
export function biasOf(layer: Layer): LayerVariable | undefined {
  if (kernelOf(layer) === undefined) return undefined;
  return (layer as Layer & { bias?: LayerVariable }).bias ?? undefined;
}

/** The layers with a kernel, in the order of the model. */
export function kernelLayers(model: tf.LayersModel): Layer[] {
  return model.layers.filter((layer) => kernelOf(layer) !== undefined);
}

/** The kernels of a model, copied: layer name to weights, row-major. */
export function weightsOf(model: tf.LayersModel): Record<string, Float32Array> {
  return read(model, kernelOf);
}

/** The biases of a model, copied: layer name to one number per output. */
export function biasesOf(model: tf.LayersModel): Record<string, Float32Array> {
  return read(model, biasOf);
}

/** The shapes of what {@link weightsOf} gives. */
export function shapesOf(model: tf.LayersModel): Record<string, number[]> {
  return Object.fromEntries(kernelLayers(model).map((layer) => [layer.name, definedShape(kernelOf(layer)!)]));
}

/**
 * Puts kernels into a model, which keeps its other weights.
 *
 * @throws RangeError for a layer that the model does not have, or weights of another length than the layer's
 */
export function setWeights(model: tf.LayersModel, weights: Record<string, ArrayLike<number>>): void {
  write(model, weights, kernelOf, "weights");
}

/** Puts biases into a model, which keeps its other weights; throws as {@link setWeights} does. */
export function setBiases(model: tf.LayersModel, biases: Record<string, ArrayLike<number>>): void {
  write(model, biases, biasOf, "biases");
}

function read(
  model: tf.LayersModel,
  variableOf: (layer: Layer) => LayerVariable | undefined,
): Record<string, Float32Array> {
  const result: Record<string, Float32Array> = {};
  for (const layer of model.layers) {
    const variable = variableOf(layer);
    // The JavaScript backend hands out its own array, so copy.
    if (variable) result[layer.name] = Float32Array.from(variable.read().dataSync());
  }
  return result;
}

function write(
  model: tf.LayersModel,
  values: Record<string, ArrayLike<number>>,
  variableOf: (layer: Layer) => LayerVariable | undefined,
  what: string,
): void {
  // Check all before writing any: a mistake must not leave half of the new weights behind.
  const variables = Object.entries(values).map(([name, array]) => {
    const layer = model.layers.find((candidate) => candidate.name === name);
    const variable = layer && variableOf(layer);
    if (!variable) {
      const names = model.layers
        .filter((candidate) => variableOf(candidate))
        .map((candidate) => candidate.name);
      throw new RangeError(
        `${model.name} has no ${what} for ${JSON.stringify(name)}; it has ${names.join(", ")}`,
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
