// The kernels that TensorFlow.js's WASM backend lacks for training, and faster ones for what training spends most on.

import { tf } from "../tf.ts";
import { adamStep, adamStepName } from "./adam.ts";
import { conv2DBackpropFilter, conv2DBackpropInput } from "./conv.ts";
import { depthwiseBackpropFilter, depthwiseBackpropInput } from "./depthwise.ts";
import { batchMatMul } from "./matmul.ts";
import { maxPoolGrad } from "./pool.ts";
import { paddingKernels, withPlainPadding } from "./same-padding.ts";
import { unsortedSegmentSum } from "./segment.ts";

let registered = false;

/** The backend's own kernels that ours took the place of, for comparison. */
export const replacedKernels = new Map<string, tf.KernelFunc>();

/** Registers this project's kernels with the WASM backend, once. */
export function registerWasmKernels(): void {
  if (registered) return;
  registered = true;
  const original = tf.getKernel("BatchMatMul", "wasm").kernelFunc as never;
  const missing = {
    [adamStepName]: adamStep,
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
  const mended = Object.fromEntries(
    paddingKernels.map((name) => [name, withPlainPadding(tf.getKernel(name, "wasm").kernelFunc)]),
  );
  for (const [kernelName, kernelFunc] of Object.entries({ ...missing, ...faster, ...mended })) {
    const theirs = tf.getKernel(kernelName, "wasm");
    if (theirs) {
      replacedKernels.set(kernelName, theirs.kernelFunc);
      tf.unregisterKernel(kernelName, "wasm");
    }
    // With their set-up, which must still run where ours calls theirs.
    tf.registerKernel({
      ...theirs,
      kernelName,
      backendName: "wasm",
      kernelFunc: kernelFunc as unknown as tf.KernelFunc,
    });
  }
}
