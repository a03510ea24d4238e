// The kernels that TensorFlow.js's WASM backend lacks for training, and faster ones for what training spends most on.

import { tf } from "../tf.ts";
import { adamStep, adamStepName, adamStepOnHost } from "./adam.ts";
import { conv2DBackpropFilter, conv2DBackpropInput } from "./conv.ts";
import { depthwiseBackpropFilter, depthwiseBackpropInput } from "./depthwise.ts";
import { floats, type KernelCall } from "./heap.ts";
import { batchMatMul } from "./matmul.ts";
import { maxPoolGrad } from "./pool.ts";
import { type Access, bilinearGrad, nearestGrad } from "./resize.ts";
import { paddingKernels, withPlainPadding } from "./same-padding.ts";
import { unsortedSegmentSum } from "./segment.ts";
import {
  averagePoolGrad,
  conv3DBackpropFilter,
  conv3DBackpropInput,
  maxPool3D,
  maxPool3DGrad,
} from "./volume.ts";

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
    ResizeBilinearGrad: onHeap(bilinearGrad),
    UnsortedSegmentSum: unsortedSegmentSum,
  };
  const faster = {
    BatchMatMul: batchMatMul(original),
    Conv2DBackpropInput: conv2DBackpropInput,
    MaxPoolGrad: maxPoolGrad,
  };
  const mended = {
    ...Object.fromEntries(
      paddingKernels.map((name) => [name, withPlainPadding(tf.getKernel(name, "wasm").kernelFunc)]),
    ),
    Conv3DBackpropFilterV2: conv3DBackpropFilter,
    Conv3DBackpropInputV2: conv3DBackpropInput,
    MaxPool3D: maxPool3D,
    AvgPoolGrad: onHeap(averagePoolGrad),
    AvgPool3DGrad: onHeap(averagePoolGrad),
    MaxPool3DGrad: onHeap(maxPool3DGrad),
    ResizeNearestNeighborGrad: onHeap(nearestGrad),
  };
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

/** A gradient that is wrong on more than one backend, and is written for any. */
type Mended<Attributes> = (
  inputs: Record<string, tf.TensorInfo>,
  attrs: Attributes,
  access: Access,
) => tf.TensorInfo;

const onHeap =
  <Attributes>(gradient: Mended<Attributes>) =>
  ({ inputs, attrs, backend }: KernelCall<Attributes>): tf.TensorInfo =>
    gradient(inputs, attrs, {
      read: (info) => floats(backend, info),
      make: (shape, values) => {
        const out = backend.makeOutput(shape, "float32");
        floats(backend, out).set(values);
        return out;
      },
    });

/** Registers what the native backend does faster outside of TensorFlow, once. */
export function registerNativeKernels(): void {
  if (tf.getKernel(adamStepName, "tensorflow")) return;
  tf.registerKernel({
    kernelName: adamStepName,
    backendName: "tensorflow",
    kernelFunc: adamStepOnHost as unknown as tf.KernelFunc,
  });
}

let cpuMended = false;

/** Registers what is wrong on the JavaScript backend, once. */
export function registerCpuKernels(): void {
  if (cpuMended) return;
  cpuMended = true;
  const mended = {
    AvgPoolGrad: averagePoolGrad,
    AvgPool3DGrad: averagePoolGrad,
    MaxPool3DGrad: maxPool3DGrad,
    ResizeNearestNeighborGrad: nearestGrad,
    ResizeBilinearGrad: bilinearGrad,
  } as Record<string, Mended<unknown>>;
  for (const [kernelName, gradient] of Object.entries(mended)) {
    if (tf.getKernel(kernelName, "cpu")) tf.unregisterKernel(kernelName, "cpu");
    const kernelFunc = ({ inputs, backend, attrs }: CpuCall) =>
      gradient(inputs, attrs, {
        read: ({ dataId }) => backend.data.get(dataId).values,
        make: (shape, values) => backend.makeTensorInfo(shape, "float32", values),
      });
    tf.registerKernel({
      kernelName,
      backendName: "cpu",
      kernelFunc: kernelFunc as unknown as tf.KernelFunc,
    });
  }
}

interface CpuCall {
  inputs: Record<string, tf.TensorInfo>;
  attrs: unknown;
  backend: {
    data: { get(id: object): { values: Float32Array } };
    makeTensorInfo(shape: number[], dtype: "float32", values: Float32Array): tf.TensorInfo;
  };
}
