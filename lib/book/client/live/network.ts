// LeNet-300-100 in the page: three dense layers, computed in plain loops. A digit is mostly paper, so zeros are skipped.
import { inflateRaw } from "#platform";
import { type SlimModel, shapeOf, tensorValues } from "../../../coding/index.ts";
import { softmaxAt } from "../../../distillation/loss.ts";
import type { KernelShape } from "../../../lowrank/tucker-cp.ts";
import { fromHalves } from "../../../util/half.ts";

/** What the book's builder puts into the page. */
export interface LiveData {
  /** float16, base64, row-major. */
  tensors: { name: string; shape: number[]; halves: string }[];
  /** The convolutions' kernels of LeNet-5, in the same way. */
  kernels: { name: string; shape: number[]; halves: string }[];
  digits: PackedImages;
  garments: PackedImages;
  /** .slim files in base64: what chapter 4.1's recipe makes of LeNet-5, and chapter 4.3's record of LeNet-300-100. */
  recipe: string;
  record: string;
}

/** Images with their classes. */
export interface PackedImages {
  /** 28 × 28 bytes an image, deflated, base64. */
  pixels: string;
  labels: number[];
}

/** A dense layer: [rows, cols] weights and cols biases. */
export interface Dense {
  name: string;
  rows: number;
  cols: number;
  weights: Float32Array;
  bias: Float32Array;
}
export type Network = readonly Dense[];

/** A convolution's kernel. */
export interface Kernel {
  shape: KernelShape;
  values: Float32Array;
}

/** Images from 0 to 1, and what they are. */
export interface Digits {
  images: Float32Array[];
  labels: number[];
}

/** The bytes that base64 stands for. */
function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

const floatsOf = (halves: string) => fromHalves(new Uint16Array(bytesOf(halves).buffer));

const pixelsOfImage = 28 * 28;

function imagesOf({ pixels, labels }: PackedImages): Digits {
  const bytes = inflateRaw(bytesOf(pixels), pixelsOfImage * labels.length);
  const images = labels.map((_, i) =>
    Float32Array.from(bytes.subarray(i * pixelsOfImage, (i + 1) * pixelsOfImage), (ink) => ink / 255),
  );
  return { images, labels };
}

/** The dense layers of a network, from its tensors in their order: "fc1/kernel", "fc1/bias" … */
function denseLayers(tensors: { name: string; shape: number[]; values: Float32Array }[]): Network {
  const values = new Map(tensors.map(({ name, values }) => [name, values]));
  return tensors
    .filter(({ name }) => name.endsWith("/kernel"))
    .map(({ name, shape: [rows, cols], values: weights }) => ({
      ...{ name: name.replace("/kernel", ""), rows, cols, weights },
      bias: values.get(name.replace("kernel", "bias"))!,
    }));
}

/** The network of a .slim file all of whose layers are dense. */
export function networkOfSlim({ tensors }: SlimModel): Network {
  return denseLayers(
    Object.entries(tensors).map(([name, tensor]) => ({
      ...{ name, shape: shapeOf(tensor), values: tensorValues(tensor) },
    })),
  );
}

/** What a page's data hold: LeNet-300-100, LeNet-5's kernels, images, two files. */
export function unpack(data: LiveData): {
  network: Network;
  kernels: { conv1: Kernel; conv2: Kernel };
  digits: Digits;
  garments: Digits;
  recipe: Uint8Array;
  record: Uint8Array;
} {
  const [conv1, conv2] = data.kernels.map(({ shape, halves }) => ({
    shape: shape as unknown as KernelShape,
    values: floatsOf(halves),
  }));
  return {
    network: denseLayers(
      data.tensors.map(({ halves, ...tensor }) => ({ ...tensor, values: floatsOf(halves) })),
    ),
    kernels: { conv1, conv2 },
    digits: imagesOf(data.digits),
    garments: imagesOf(data.garments),
    recipe: bytesOf(data.recipe),
    record: bytesOf(data.record),
  };
}

/** The same network with other weights, by layer name. */
export function withWeights(network: Network, weights: Record<string, Float32Array>): Network {
  return network.map((layer) => ({ ...layer, weights: weights[layer.name] ?? layer.weights }));
}

/** The kernels by layer name. */
export function weightsOf(network: Network): Record<string, Float32Array> {
  return Object.fromEntries(network.map(({ name, weights }) => [name, weights]));
}

/** Changes what a hidden layer gives out, in place. */
export type Turn = (layer: string, outputs: Float32Array) => void;

/** Ten logits of one image. */
export function logitsOf(network: Network, image: Float32Array, turn?: Turn): Float32Array {
  let x = image;
  for (const [i, { name, rows, cols, weights, bias }] of network.entries()) {
    const y = Float32Array.from(bias);
    for (let row = 0; row < rows; row++) {
      const value = x[row];
      if (value === 0) continue;
      for (let col = 0, at = row * cols; col < cols; col++, at++) y[col] += value * weights[at];
    }
    if (i < network.length - 1) {
      for (let col = 0; col < cols; col++) if (y[col] < 0) y[col] = 0;
      turn?.(name, y);
    }
    x = y;
  }
  return x;
}

/** The place of the largest. */
export function answerOf(logits: Float32Array): number {
  return logits.indexOf(Math.max(...logits));
}

/** How many of the digits the network gets right. */
export function rightOf(network: Network, { images, labels }: Digits, turn?: Turn): number {
  return images.filter((image, i) => answerOf(logitsOf(network, image, turn)) === labels[i]).length;
}

/** What each hidden neuron gives out for each digit, and the gradient of the loss by it: [digits, neurons], by layer. */
export function hiddenOf(
  network: Network,
  { images, labels }: Digits,
): Record<string, { outputs: Float32Array; gradients: Float32Array }> {
  const hidden = network.slice(0, -1);
  const found = Object.fromEntries(
    hidden.map(({ name, cols }) => [
      name,
      {
        outputs: new Float32Array(images.length * cols),
        gradients: new Float32Array(images.length * cols),
      },
    ]),
  );
  for (const [d, image] of images.entries()) {
    const logits = logitsOf(network, image, (name, y) => found[name].outputs.set(y, d * y.length));
    let slope = Float32Array.from(softmaxAt(logits, logits.length, 1));
    slope[labels[d]] -= 1;
    for (let i = network.length - 1; i > 0; i--) {
      const { rows, cols, weights } = network[i];
      const { outputs, gradients } = found[network[i - 1].name];
      const back = new Float32Array(rows);
      for (let row = 0; row < rows; row++) {
        for (let col = 0; col < cols; col++) back[row] += slope[col] * weights[row * cols + col];
      }
      gradients.set(back, d * rows);
      // Through the ReLU.
      slope = back.map((value, row) => (outputs[d * rows + row] > 0 ? value : 0));
    }
  }
  return found;
}
