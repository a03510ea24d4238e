// The gradient of max pooling: each output's gradient goes to the input that was the largest of its window, the first
// one of equals, as in the JavaScript backend. The WASM backend's kernel searches every window once per input.

import { tf } from "../tf.ts";
import { floats, type KernelCall } from "./heap.ts";

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
  const dx = floats(backend, out).fill(0);
  const x = floats(backend, input);
  const gradient = floats(backend, dy);
  let at = 0;
  for (let image = 0; image < batchSize; image++) {
    for (let oy = 0; oy < outHeight; oy++) {
      const y0 = Math.max(0, oy * strideHeight - top);
      const y1 = Math.min(inHeight, oy * strideHeight - top + filterHeight);
      for (let ox = 0; ox < outWidth; ox++) {
        const x0 = Math.max(0, ox * strideWidth - left);
        const x1 = Math.min(inWidth, ox * strideWidth - left + filterWidth);
        for (let c = 0; c < inChannels; c++) {
          let best = Number.NEGATIVE_INFINITY;
          let place = -1;
          for (let iy = y0; iy < y1; iy++) {
            let p = ((image * inHeight + iy) * inWidth + x0) * inChannels + c;
            for (let ix = x0; ix < x1; ix++, p += inChannels) {
              if (x[p] > best) {
                best = x[p];
                place = p;
              }
            }
          }
          // A window of nothing but NaN has no largest input.
          if (place >= 0) dx[place] += gradient[at];
          at++;
        }
      }
    }
  }
  return out;
}
