// The two gradients of a depthwise convolution, which the WASM backend lacks. Each weight meets one channel only, so
// there is no matrix product to hand to XNNPACK: plain loops with the channels innermost, where memory is contiguous.

import { tf } from "../tf.ts";
import { floats, type KernelCall } from "./heap.ts";

interface DepthwiseAttributes {
  strides: [number, number] | number;
  pad: "valid" | "same" | number | tf.backend_util.ExplicitPadding;
  dilations: [number, number] | number;
  dimRoundingMode?: "floor" | "round" | "ceil";
}

/** dW[r, s, c, m] = sum over images and places of x dy: x [n, h, w, c], dy [n, oh, ow, c m]. */
export function depthwiseBackpropFilter({
  inputs,
  backend,
  attrs,
}: KernelCall<DepthwiseAttributes & { filterShape: [number, number, number, number] }>): tf.TensorInfo {
  const info = depthwiseInfo(inputs.x.shape, attrs.filterShape, attrs);
  const out = backend.makeOutput(attrs.filterShape, "float32");
  const x = floats(backend, inputs.x);
  const dy = floats(backend, inputs.dy);
  // Sums over a whole batch: double precision costs nothing here and keeps them exact to the last bit of a float.
  const sum = new Float64Array(tf.util.sizeFromShape(attrs.filterShape));
  const { inChannels, outChannels } = info;
  const multiplier = outChannels / inChannels;
  eachTap(info, (input, output, tap) => {
    const weights = tap * outChannels;
    if (multiplier === 1) {
      for (let c = 0; c < inChannels; c++) sum[weights + c] += x[input + c] * dy[output + c];
    } else {
      for (let k = 0; k < outChannels; k++)
        sum[weights + k] += x[input + Math.trunc(k / multiplier)] * dy[output + k];
    }
  });
  floats(backend, out).set(sum);
  return out;
}

/** dx[n, y, x, c] = sum over taps and multiples of dy W: dy [n, oh, ow, c m], filter [r, s, c, m]. */
export function depthwiseBackpropInput({
  inputs,
  backend,
  attrs,
}: KernelCall<DepthwiseAttributes & { inputShape: [number, number, number, number] }>): tf.TensorInfo {
  const info = depthwiseInfo(attrs.inputShape, inputs.filter.shape, attrs);
  const out = backend.makeOutput(attrs.inputShape, "float32");
  const dx = floats(backend, out).fill(0);
  const dy = floats(backend, inputs.dy);
  const filter = floats(backend, inputs.filter);
  const { inChannels, outChannels } = info;
  const multiplier = outChannels / inChannels;
  eachTap(info, (input, output, tap) => {
    const weights = tap * outChannels;
    if (multiplier === 1) {
      for (let c = 0; c < inChannels; c++) dx[input + c] += dy[output + c] * filter[weights + c];
    } else {
      for (let k = 0; k < outChannels; k++)
        dx[input + Math.trunc(k / multiplier)] += dy[output + k] * filter[weights + k];
    }
  });
  return out;
}

function depthwiseInfo(
  inputShape: number[],
  filterShape: number[],
  { strides, pad, dilations, dimRoundingMode }: DepthwiseAttributes,
): tf.backend_util.Conv2DInfo {
  return tf.backend_util.computeConv2DInfo(
    inputShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    strides,
    dilations ?? 1,
    pad,
    dimRoundingMode,
    true,
  );
}

/** Calls `visit` with where the channels of an input place, of an output place and of the tap between them begin. */
function eachTap(
  info: tf.backend_util.Conv2DInfo,
  visit: (input: number, output: number, tap: number) => void,
): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels } = info;
  const { filterHeight, filterWidth, strideHeight, strideWidth, dilationHeight, dilationWidth } = info;
  const { top, left } = info.padInfo;
  for (let image = 0; image < batchSize; image++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        const output = ((image * outHeight + oy) * outWidth + ox) * outChannels;
        for (let r = 0; r < filterHeight; r++) {
          const iy = oy * strideHeight - top + r * dilationHeight;
          if (iy < 0 || iy >= inHeight) continue;
          for (let s = 0; s < filterWidth; s++) {
            const ix = ox * strideWidth - left + s * dilationWidth;
            if (ix < 0 || ix >= inWidth) continue;
            visit(((image * inHeight + iy) * inWidth + ix) * inChannels, output, r * filterWidth + s);
          }
        }
      }
    }
  }
}
