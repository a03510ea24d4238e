// LeNet-300-100 in the page: three dense layers, computed in plain loops. A digit is mostly paper, so zeros are skipped.
import { fromHalves } from "../../../util/half.ts";

/** What the book's builder puts into the page. */
export interface LiveData {
  /** float16, base64, row-major. */
  tensors: { name: string; shape: number[]; halves: string }[];
  /** 28 × 28 bytes a digit, base64. */
  images: string;
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

/** Digits from 0 to 1, and what they are. */
export interface Digits {
  images: Float32Array[];
  labels: number[];
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}

/** The network and digits of a page's data. */
export function unpack({ tensors, images, labels }: LiveData): { network: Network; digits: Digits } {
  const values = new Map(
    tensors.map(({ name, halves }) => [name, fromHalves(new Uint16Array(bytesOf(halves).buffer))]),
  );
  const network = tensors
    .filter(({ name }) => name.endsWith("/kernel"))
    .map(({ name, shape: [rows, cols] }) => ({
      name: name.replace("/kernel", ""),
      rows,
      cols,
      weights: values.get(name)!,
      bias: values.get(name.replace("kernel", "bias"))!,
    }));
  const bytes = bytesOf(images);
  const size = bytes.length / labels.length;
  const digits = labels.map((_, i) =>
    Float32Array.from(bytes.subarray(i * size, (i + 1) * size), (ink) => ink / 255),
  );
  return { network, digits: { images: digits, labels } };
}

/** The same network with other weights, by layer name. */
export function withWeights(network: Network, weights: Record<string, Float32Array>): Network {
  return network.map((layer) => ({ ...layer, weights: weights[layer.name] ?? layer.weights }));
}

/** The kernels by layer name. */
export function weightsOf(network: Network): Record<string, Float32Array> {
  return Object.fromEntries(network.map(({ name, weights }) => [name, weights]));
}

/** Ten logits of one image. */
export function logitsOf(network: Network, image: Float32Array): Float32Array {
  let x = image;
  for (const [i, { rows, cols, weights, bias }] of network.entries()) {
    const y = Float32Array.from(bias);
    for (let row = 0; row < rows; row++) {
      const value = x[row];
      if (value === 0) continue;
      for (let col = 0, at = row * cols; col < cols; col++, at++) y[col] += value * weights[at];
    }
    if (i < network.length - 1) for (let col = 0; col < cols; col++) if (y[col] < 0) y[col] = 0;
    x = y;
  }
  return x;
}

/** The place of the largest. */
export function answerOf(logits: Float32Array): number {
  return logits.indexOf(Math.max(...logits));
}

/** How many of the digits the network gets right. */
export function rightOf(network: Network, { images, labels }: Digits): number {
  return images.filter((image, i) => answerOf(logitsOf(network, image)) === labels[i]).length;
}
