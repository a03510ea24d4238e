// Gradients of resizing. The JavaScript backend's for nearest neighbours is wrong, and NaN where pictures shrink; its
// bilinear one takes height for width (4.22), and the WASM backend has none of that kind. A gradient takes back what the
// forward pass gave, place by place.

import { elements } from "../../util/shape.ts";
import type { tf } from "../tf.ts";

interface ResizeAttributes {
  alignCorners: boolean;
  halfPixelCenters?: boolean;
}

/** What a place of the output reads along one axis: two places of the input, and the share of the second. */
type Source = [low: number, high: number, share: number];

/** How values are read and made on a backend. */
export interface Access {
  read(info: tf.TensorInfo): ArrayLike<number>;
  make(shape: number[], values: Float32Array): tf.TensorInfo;
}

/** dx of resizing to the nearest neighbour: inputs `images` (for its shape) and `dy`. */
export function nearestGrad(inputs: Record<string, tf.TensorInfo>, attrs: ResizeAttributes, access: Access) {
  return spread(inputs, access, (from, to) => {
    const ratio = ratioOf(from, to, attrs.alignCorners);
    return Array.from({ length: to }, (_, o): Source => {
      const at = ratio * (attrs.halfPixelCenters ? o + 0.5 : o);
      const place = Math.max(0, Math.min(from - 1, attrs.alignCorners ? Math.round(at) : Math.floor(at)));
      return [place, place, 0];
    });
  });
}

/** dx of bilinear resizing. */
export function bilinearGrad(inputs: Record<string, tf.TensorInfo>, attrs: ResizeAttributes, access: Access) {
  return spread(inputs, access, (from, to) => {
    const ratio = ratioOf(from, to, attrs.alignCorners);
    return Array.from({ length: to }, (_, o): Source => {
      const at = attrs.halfPixelCenters ? ratio * (o + 0.5) - 0.5 : ratio * o;
      const low = Math.max(0, Math.floor(at));
      return [low, Math.min(from - 1, Math.ceil(at)), at - low];
    });
  });
}

function ratioOf(from: number, to: number, alignCorners: boolean): number {
  return alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to;
}

function spread(
  { images, dy }: Record<string, tf.TensorInfo>,
  { read, make }: Access,
  sources: (from: number, to: number) => Source[],
): tf.TensorInfo {
  const [batch, height, width, channels] = images.shape;
  const rows = sources(height, dy.shape[1]);
  const cols = sources(width, dy.shape[2]);
  const given = read(dy);
  const dx = new Float32Array(elements(images.shape));
  let at = 0;
  for (let image = 0; image < batch; image++)
    for (const [top, bottom, down] of rows)
      for (const [left, right, across] of cols) {
        const places = [
          [top, left, (1 - down) * (1 - across)],
          [top, right, (1 - down) * across],
          [bottom, left, down * (1 - across)],
          [bottom, right, down * across],
        ].filter(([, , share]) => share !== 0);
        for (let c = 0; c < channels; c++, at++)
          for (const [y, x, share] of places)
            dx[((image * height + y) * width + x) * channels + c] += share * given[at];
      }
  return make(images.shape, dx);
}
