// The two gradients of a convolution as matrix products (im2col: Chellapilla et al., 2006). The WASM backend has no
// kernel for the filter's gradient, so no CNN trains on it as it comes, and computes the input's by a plain loop.

import { tf } from "../tf.ts";
import { floats, floatsAt, type KernelCall, loops, multiply, withScratch } from "./heap.ts";

type ConvInfo = tf.backend_util.Conv2DInfo;
type Strides = [number, number] | number;
interface GradientAttributes {
  strides: Strides;
  pad: "valid" | "same" | number | tf.backend_util.ExplicitPadding;
  dataFormat: "NHWC" | "NCHW";
  dimRoundingMode?: "floor" | "round" | "ceil";
}

// Floats of scratch memory per product: small enough for the second-level cache, so that a product reads what im2col
// has just written before it is evicted; large enough for XNNPACK to run at speed.
const scratchFloats = 1 << 17;

/** dW = im2col(x)^T dy: x [n, h, w, c], dy [n, oh, ow, k], the result [r, s, c, k]. */
export function conv2DBackpropFilter({
  inputs,
  backend,
  attrs,
}: KernelCall<GradientAttributes & { filterShape: [number, number, number, number] }>): tf.TensorInfo {
  const { x, dy } = inputs;
  const info = convInfo(x.shape, attrs.filterShape, attrs);
  const { batchSize, outChannels } = info;
  const { taps, area, chunk } = partsOf(info);
  const out = backend.makeOutput(attrs.filterShape, "float32");
  const size = taps * outChannels;
  withScratch(backend, chunk * taps * area + size, (patches) => {
    const partial = patches + chunk * taps * area * 4;
    for (let from = 0; from < batchSize; from += chunk) {
      const images = Math.min(chunk, batchSize - from);
      const columns = floatsAt(backend, patches, images * taps * area);
      im2colTransposed(floats(backend, x), columns, info, from, images);
      const gradient = backend.getMemoryOffset(dy.dataId) + from * area * outChannels * 4;
      const result = from === 0 ? backend.getMemoryOffset(out.dataId) : partial;
      multiply(backend, [patches, gradient, result], [taps, images * area, outChannels]);
      if (from === 0) continue;
      loops(backend).add(backend.getMemoryOffset(out.dataId), partial, size);
    }
  });
  return out;
}

/** dx = col2im(dy W^T): dy [n, oh, ow, k], filter [r, s, c, k], the result [n, h, w, c]. */
export function conv2DBackpropInput({
  inputs,
  backend,
  attrs,
}: KernelCall<GradientAttributes & { inputShape: [number, number, number, number] }>): tf.TensorInfo {
  const { dy, filter } = inputs;
  const info = convInfo(attrs.inputShape, filter.shape, attrs);
  const { batchSize, outChannels } = info;
  const { taps, area, chunk } = partsOf(info);
  const out = backend.makeOutput(attrs.inputShape, "float32");
  floats(backend, out).fill(0);
  withScratch(backend, (chunk * area + outChannels) * taps, (patches) => {
    const turned = patches + chunk * area * taps * 4;
    loops(backend).transpose(backend.getMemoryOffset(filter.dataId), turned, taps, outChannels);
    for (let from = 0; from < batchSize; from += chunk) {
      const images = Math.min(chunk, batchSize - from);
      const gradient = backend.getMemoryOffset(dy.dataId) + from * area * outChannels * 4;
      multiply(backend, [gradient, turned, patches], [images * area, outChannels, taps]);
      col2im(loops(backend).add, patches, backend.getMemoryOffset(out.dataId), info, from, images);
    }
  });
  return out;
}

/** What one filter sees at a place, how many places an image has, and how many images fit the scratch memory. */
function partsOf(info: ConvInfo): { taps: number; area: number; chunk: number } {
  const taps = info.filterHeight * info.filterWidth * info.inChannels;
  const area = info.outHeight * info.outWidth;
  const chunk = Math.floor(scratchFloats / (taps * area));
  return { taps, area, chunk: Math.max(1, Math.min(info.batchSize, chunk)) };
}

function convInfo(
  inputShape: number[],
  filterShape: number[],
  { strides, pad, dataFormat, dimRoundingMode }: GradientAttributes,
): ConvInfo {
  if (dataFormat !== undefined && dataFormat !== "NHWC")
    throw new Error(`the WASM backend convolves NHWC tensors only, got ${dataFormat}`);
  return tf.backend_util.computeConv2DInfo(
    inputShape as [number, number, number, number],
    filterShape as [number, number, number, number],
    strides,
    1,
    pad,
    dimRoundingMode,
  );
}

/**
 * Lays out what each filter tap sees: `columns` becomes [r, s, c] x [image, oy, ox], for `images` images from `from`.
 * This way round the filter's gradient is one plain product, with nothing to transpose.
 */
export function im2colTransposed(
  x: Float32Array,
  columns: Float32Array,
  info: ConvInfo,
  from: number,
  images: number,
): void {
  const { inHeight, inWidth, inChannels, outHeight, outWidth, filterHeight, filterWidth } = info;
  const { strideHeight, strideWidth } = info;
  const { top, left } = info.padInfo;
  const area = outHeight * outWidth;
  const step = strideWidth * inChannels;
  // Image by image, since one image fits the first-level cache and is read once per tap.
  for (let image = 0; image < images; image++) {
    const base = (from + image) * inHeight * inWidth * inChannels;
    for (let r = 0; r < filterHeight; r++) {
      for (let s = 0; s < filterWidth; s++) {
        // The outputs whose tap lies inside the image: the others see padding, which is 0.
        const first = Math.min(outWidth, Math.max(0, Math.ceil((left - s) / strideWidth)));
        const end = Math.max(first, Math.min(outWidth, Math.ceil((inWidth + left - s) / strideWidth)));
        for (let c = 0; c < inChannels; c++) {
          let at = (((r * filterWidth + s) * inChannels + c) * images + image) * area;
          for (let oy = 0; oy < outHeight; oy++) {
            const iy = oy * strideHeight - top + r;
            const inside = iy >= 0 && iy < inHeight;
            const stop = at + outWidth;
            const begin = inside ? at + first : stop;
            while (at < begin) columns[at++] = 0;
            if (inside) {
              const last = at + end - first;
              let p = base + (iy * inWidth + first * strideWidth - left + s) * inChannels + c;
              for (; at < last; p += step) columns[at++] = x[p];
              while (at < stop) columns[at++] = 0;
            }
          }
        }
      }
    }
  }
}

/** Adds [image, oy, ox] x [r, s, c] patches back to where they came from in `x`, `images` images from `from`. */
function col2im(
  add: (target: number, source: number, count: number) => void,
  patches: number,
  x: number,
  info: ConvInfo,
  from: number,
  images: number,
): void {
  const { inHeight, inWidth, inChannels, outHeight, outWidth, filterHeight, filterWidth } = info;
  const { strideHeight, strideWidth } = info;
  const { top, left } = info.padInfo;
  const rowTaps = filterWidth * inChannels;
  let at = patches;
  for (let image = from; image < from + images; image++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        const ix = ox * strideWidth - left;
        // One row of a patch is one run of memory on both sides, cut at the image's edges.
        const start = Math.max(0, -ix) * inChannels;
        const end = Math.min(filterWidth, inWidth - ix) * inChannels;
        for (let r = 0; r < filterHeight; r++, at += rowTaps * 4) {
          const iy = oy * strideHeight - top + r;
          if (iy < 0 || iy >= inHeight || end <= start) continue;
          const run = ((image * inHeight + iy) * inWidth + ix) * inChannels;
          add(x + (run + start) * 4, at + start * 4, end - start);
        }
      }
    }
  }
}
