// The gradient of max pooling: each output's gradient goes to the input that was the largest of its window, the first
// one of equals, as in the JavaScript backend. The WASM backend's kernel goes through them channel by channel.

import { tf } from "../tf.ts";
import { floats, type KernelCall, loops } from "./heap.ts";

interface PoolAttributes {
  filterSize: [number, number] | number;
  strides: [number, number] | number;
  pad: "valid" | "same" | number | tf.backend_util.ExplicitPadding;
  dimRoundingMode?: "floor" | "round" | "ceil";
}

/** dx [n, h, w, c] from input [n, h, w, c] and dy [n, oh, ow, c]. */
export function maxPoolGrad({ inputs, backend, attrs }: KernelCall<PoolAttributes>): tf.TensorInfo {
  const { input, dy } = inputs;
  const { filterSize, strides, pad, dimRoundingMode } = attrs;
  const shape = input.shape as [number, number, number, number];
  const info = tf.backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode);
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth } = info;
  const { filterHeight, filterWidth, strideHeight, strideWidth } = info;
  const { top, left } = info.padInfo;
  const out = backend.makeOutput(input.shape, "float32");
  floats(backend, out).fill(0);
  const [x, dx] = [input, out].map((tensor) => backend.getMemoryOffset(tensor.dataId));
  const { maxPoolGrad: window } = loops(backend);
  const across = inChannels * 4;
  let gradient = backend.getMemoryOffset(dy.dataId);
  for (let image = 0; image < batchSize; image++) {
    for (let oy = 0; oy < outHeight; oy++) {
      const y0 = Math.max(0, oy * strideHeight - top);
      const height = Math.min(inHeight, oy * strideHeight - top + filterHeight) - y0;
      for (let ox = 0; ox < outWidth; ox++, gradient += across) {
        const x0 = Math.max(0, ox * strideWidth - left);
        const width = Math.min(inWidth, ox * strideWidth - left + filterWidth) - x0;
        // With padding of one's own choice a window may lie outside the image.
        if (height <= 0 || width <= 0) continue;
        const start = ((image * inHeight + y0) * inWidth + x0) * across;
        window(
          x + start,
          dx + start,
          gradient,
          height,
          width,
          across,
          (inWidth - width) * across,
          inChannels,
        );
      }
    }
  }
  return out;
}
