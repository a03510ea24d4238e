// What lib/analysis needs to know of a model: its layers as plain data.
import type { LayerShape } from "../analysis/index.ts";
import { elements } from "../util/shape.ts";
import type { tf } from "./tf.ts";
import { kernelOf } from "./weights.ts";

const kinds: Record<string, LayerShape["kind"]> = {
  InputLayer: "input",
  Dense: "dense",
  Conv2D: "conv2d",
  DepthwiseConv2D: "depthwiseConv2d",
  MaxPooling2D: "pool",
  AveragePooling2D: "pool",
  GlobalAveragePooling2D: "pool",
  GlobalMaxPooling2D: "pool",
};
/** Layers whose result can take the place of what they read. */
const inPlace = new Set([
  "Activation",
  "ReLU",
  "LeakyReLU",
  "Softmax",
  "Dropout",
  "Flatten",
  "Reshape",
  "BatchNormalization",
]);

/**
 * The layers of a model in an order in which it can be computed, for `costOf` of slimlab/analysis. A model's input counts
 * as a layer, since its memory does.
 *
 * @throws RangeError for a model with a nested model inside, or a layer used twice: flatten those first
 */
export function layerShapesOf(model: tf.LayersModel): LayerShape[] {
  const shapes: LayerShape[] = [];
  const sequentialInput = model.layers[0].getClassName() !== "InputLayer";
  if (sequentialInput) {
    shapes.push({ name: "input", kind: "input", outputShape: withoutBatch(model.inputs[0].shape) });
  }
  for (const layer of model.layers) {
    const type = layer.getClassName();
    if (type === "Sequential" || type === "Functional" || type === "Model") {
      throw new RangeError(`${model.name} must hold layers only, got the model ${layer.name} inside`);
    }
    if (layer.inboundNodes.length > 1) {
      throw new RangeError(
        `each layer of ${model.name} must be used once, got ${layer.name} used ${layer.inboundNodes.length} times`,
      );
    }
    const inputs = layer.inboundNodes[0]?.inboundLayers.map(({ name }) => name) ?? [];
    const kernel = kernelOf(layer)?.shape as number[] | undefined;
    const parameters = layer.weights.reduce((sum, { shape }) => sum + product(shape as number[]), 0);
    shapes.push({
      name: layer.name,
      kind: kinds[type] ?? "other",
      outputShape: withoutBatch(layer.outputShape as (number | null)[]),
      ...(kernel ? { kernelShape: kernel } : {}),
      otherParameters: parameters - (kernel ? product(kernel) : 0),
      inputs: inputs.map((name) => (model.layers.some((other) => other.name === name) ? name : "input")),
      inPlace: inPlace.has(type),
    });
  }
  return shapes;
}

function withoutBatch(shape: (number | null)[]): number[] {
  return shape.slice(1).map((n) => n ?? 1);
}

function product(shape: readonly number[]): number {
  return elements(shape);
}
