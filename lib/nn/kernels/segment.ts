// UnsortedSegmentSum, which the WASM backend lacks: the gradient of tf.gather, and so of a shared codebook.

import { elements } from "../../util/shape.ts";
import type { tf } from "../tf.ts";
import { floats, type KernelCall } from "./heap.ts";

/** out[segment] = sum of the rows of x whose segment id is that one; rows with a negative id count nowhere. */
export function unsortedSegmentSum({
  inputs,
  backend,
  attrs,
}: KernelCall<{ numSegments: number }>): tf.TensorInfo {
  const { x, segmentIds } = inputs;
  const ids = segmentIds.shape.length;
  const rowShape = x.shape.slice(ids);
  const row = elements(rowShape);
  const out = backend.makeOutput([attrs.numSegments, ...rowShape], "float32");
  const segments = backend.typedArrayFromHeap(segmentIds);
  const values = floats(backend, x);
  // A sum over thousands of weights loses digits in single precision.
  const sums = new Float64Array(attrs.numSegments * row);
  for (let i = 0; i < segments.length; i++) {
    const segment = segments[i];
    if (segment < 0) continue;
    for (let j = 0; j < row; j++) sums[segment * row + j] += values[i * row + j];
  }
  floats(backend, out).set(sums);
  return out;
}
