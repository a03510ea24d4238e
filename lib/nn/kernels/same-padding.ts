// The WASM backend's convolutions are wrong where "same" padding comes out below 0: a stride longer than the filter, with
// input left over at the end (tensorflow/tfjs issues 5907, 6629, 8405). There is nothing to pad on that side then, and
// told so in plain numbers the backend is right.

import { samePads, sameReach } from "../../util/window.ts";
import type { tf } from "../tf.ts";

interface Convolution {
  strides: [number, number] | number;
  pad: "valid" | "same" | number | tf.backend_util.ExplicitPadding;
  dilations?: [number, number] | number;
  dataFormat?: string;
}

/** The kernels that pad: what their filter input is called. */
export const paddingKernels = [
  "Conv2D",
  "FusedConv2D",
  "DepthwiseConv2dNative",
  "FusedDepthwiseConv2D",
] as const;

/** A convolution's kernel, with its padding in numbers where the word is misread. */
export function withPlainPadding(original: tf.KernelFunc): tf.KernelFunc {
  return (call) => {
    const attrs = call.attrs as unknown as Convolution;
    const { x, filter } = call.inputs as Record<string, tf.TensorInfo>;
    if (attrs.pad !== "same" || (attrs.dataFormat ?? "NHWC") !== "NHWC") return original(call);
    const sides = [0, 1].map((axis) => paddingOf(attrs, axis, x.shape[axis + 1], filter.shape[axis]));
    if (sides.every(({ missing }) => missing >= 0)) return original(call);
    const pad = [[0, 0], ...sides.map(({ before, after }) => [before, after]), [0, 0]];
    return original({ ...call, attrs: { ...attrs, pad } as unknown as tf.NamedAttrMap });
  };
}

function paddingOf({ strides, dilations }: Convolution, axis: number, input: number, filter: number) {
  // TensorFlow.js's own layers hand over null for "no dilation".
  const at = (value: [number, number] | number | null | undefined) => {
    const [high, wide = high] = [value ?? 1].flat();
    return axis === 0 ? high : wide;
  };
  const window = [input, filter, at(strides), at(dilations)] as const;
  const [before, after] = samePads(...window);
  return { missing: sameReach(...window), before, after };
}
