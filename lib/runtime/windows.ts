// Windows that move over planes: where they stand, and pooling.
import { channelsLast, type GraphNode, pairOf } from "../graph/index.ts";
import { samePads } from "../util/window.ts";
import type { StepSource, Window } from "./step.ts";

export function wantChannelsLast(node: GraphNode): void {
  if (!channelsLast(node))
    throw new RangeError(`${node.name} must have its channels last to run from storage`);
}

/** A node's window, of this size. */
export function windowOf({ node, inputs }: StepSource, size: readonly [number, number]): Window {
  wantChannelsLast(node);
  const isConvolution = node.attributes.poolSize === undefined;
  const strides = pairOf(node.attributes.strides, isConvolution ? 1 : size);
  const dilation = pairOf(node.attributes.dilationRate);
  const isPadded = node.attributes.padding === "same";
  const [top, left] = [0, 1].map((axis) =>
    isPadded ? samePads(inputs[0].shape[axis], size[axis], strides[axis], dilation[axis])[0] : 0,
  );
  return { size, strides, dilation, before: [top, left] };
}

/** The largest or the mean of each window; as in TensorFlow, what lies outside does not count. */
export function pooling(source: StepSource, isMean: boolean): () => void {
  const { node, inputs, output, memory } = source;
  const [input] = inputs;
  const [height, width] = input.shape;
  const [high, wide] = output.shape;
  const size = pairOf(node.attributes.poolSize, 2);
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
