// Where windows lie along an axis, as TensorFlow has it: for convolutions and pooling, whoever computes them.

/** How far the windows of "same" reach beyond an axis of `size`; below 0 where strides leave some of it out. */
export const sameReach = (size: number, window: number, stride: number, dilation = 1): number =>
  (Math.ceil(size / stride) - 1) * stride + (window - 1) * dilation + 1 - size;

/** How many zeros "same" puts around an axis of `size`: the smaller half of them before it. */
export const samePadding = (size: number, window: number, stride: number, dilation = 1): number =>
  Math.max(0, sameReach(size, window, stride, dilation));

/** What "same" pads: before and behind. */
export function samePads(size: number, window: number, stride: number, dilation = 1): [number, number] {
  const total = samePadding(size, window, stride, dilation);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}

/** How many places windows take along an axis; of those that do not fit once, below 1. */
export const windowPlaces = (
  size: number,
  window: number,
  stride: number,
  padding: unknown,
  dilation = 1,
): number =>
  padding === "same"
    ? Math.ceil(size / stride)
    : Math.floor((size - (window - 1) * dilation - 1) / stride) + 1;
