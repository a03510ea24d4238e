// The kernels that TensorFlow.js's WASM backend lacks for training, and faster ones for what training spends most on.

import { tf } from "../tf.ts";
import { conv2DBackpropFilter, conv2DBackpropInput } from "./conv.ts";
import { depthwiseBackpropFilter, depthwiseBackpropInput } from "./depthwise.ts";
import { batchMatMul } from "./matmul.ts";
import { maxPoolGrad } from "./pool.ts";
import { unsortedSegmentSum } from "./segment.ts";

let registered = false;

/** Registers this project's kernels with the WASM backend, once. */
export function registerWasmKernels(): void {
  if (registered) return;
  registered = true;
  const original = tf.getKernel("BatchMatMul", "wasm").kernelFunc as never;
  const missing = {
    Conv2DBackpropFilter: conv2DBackpropFilter,
    DepthwiseConv2dNativeBackpropFilter: depthwiseBackpropFilter,
    DepthwiseConv2dNativeBackpropInput: depthwiseBackpropInput,
    UnsortedSegmentSum: unsortedSegmentSum,
  };
  const faster = {
    BatchMatMul: batchMatMul(original),
    Conv2DBackpropInput: conv2DBackpropInput,
    MaxPoolGrad: maxPoolGrad,
  };
  for (const [kernelName, kernelFunc] of Object.entries({ ...missing, ...faster })) {
    const theirs = tf.getKernel(kernelName, "wasm");
    // Their set-up must still run where ours calls theirs.
    if (theirs) tf.unregisterKernel(kernelName, "wasm");
    tf.registerKernel({
      ...theirs,
      kernelName,
      backendName: "wasm",
      kernelFunc: kernelFunc as unknown as tf.KernelFunc,
    });
  }
}
