// Windows that move over planes: where they stand, and pooling.
import { channelsLast, type GraphNode } from "../graph/index.ts";
import type { Window } from "./convolution.ts";
import type { StepSource } from "./layers.ts";

export function wantChannelsLast(node: GraphNode): void {
  if (!channelsLast(node))
    throw new RangeError(`${node.name} must have its channels last to run from storage`);
}

const pair = (value: unknown, otherwise: readonly [number, number]): readonly [number, number] =>
  value === undefined || value === null
    ? otherwise
    : Array.isArray(value)
      ? [value[0], value[1] ?? value[0]]
      : [Number(value), Number(value)];

/** A node's window, of this size. */
export function windowOf({ node, inputs, output }: StepSource, size: readonly [number, number]): Window {
  wantChannelsLast(node);
  const isConvolution = node.attributes.poolSize === undefined;
  const strides = pair(node.attributes.strides, isConvolution ? [1, 1] : size);
  const dilation = pair(node.attributes.dilationRate, [1, 1]);
  const before = [0, 1].map((axis) => {
    if (node.attributes.padding !== "same") return 0;
    const reach = (size[axis] - 1) * dilation[axis] + 1;
    const missing = (output.shape[axis] - 1) * strides[axis] + reach - inputs[0].shape[axis];
    return Math.floor(Math.max(0, missing) / 2);
  });
  return { size, strides, dilation, before: [before[0], before[1]] };
}

/** The largest or the mean of each window; as in TensorFlow, what lies outside does not count. */
export function pooling(source: StepSource, isMean: boolean): () => void {
  const { node, inputs, output, memory } = source;
  const [input] = inputs;
  const [height, width] = input.shape;
  const [high, wide] = output.shape;
  const size = pair(node.attributes.poolSize, [2, 2]);
  const { strides, before } = windowOf(source, size);
  return () => {
    const given = memory.floats(input);
    const out = memory.floats(output);
    for (let y = 0; y < high; y++) {
      const top = y * strides[0] - before[0];
      const [firstRow, lastRow] = [Math.max(0, top), Math.min(height, top + size[0])];
      for (let x = 0; x < wide; x++) {
        const left = x * strides[1] - before[1];
        const [firstColumn, lastColumn] = [Math.max(0, left), Math.min(width, left + size[1])];
        const count = (lastRow - firstRow) * (lastColumn - firstColumn);
        for (let plane = 0; plane < output.planes; plane++) {
          let result = isMean ? 0 : Number.NEGATIVE_INFINITY;
          for (let r = firstRow; r < lastRow; r++)
            for (
              let at = plane * input.plane + r * width + firstColumn, end = at + lastColumn - firstColumn;
              at < end;
              at++
            )
              result = isMean ? result + given[at] : given[at] > result ? given[at] : result;
          out[plane * output.plane + y * wide + x] = isMean ? result / count : result;
        }
      }
    }
  };
}

/** The largest or the mean of each plane. */
export function globalPooling({ node, inputs, output, memory }: StepSource, isMean: boolean): () => void {
  wantChannelsLast(node);
  const [input] = inputs;
  const step = output.planes === 1 ? 1 : output.plane;
  return () => {
    const given = memory.floats(input);
    const out = memory.floats(output);
    for (let plane = 0; plane < input.planes; plane++) {
      let result = isMean ? 0 : Number.NEGATIVE_INFINITY;
      for (let at = plane * input.plane, end = at + input.places; at < end; at++)
        result = isMean ? result + given[at] : Math.max(result, given[at]);
      out[plane * step] = isMean ? result / input.places : result;
    }
  };
}
