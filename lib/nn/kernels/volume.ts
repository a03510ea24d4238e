// Convolutions' gradients and max pooling of volumes, and the gradients of average pooling. The backends' own are wrong
// (seen in 4.22 against numeric gradients), so these plain loops take their place: channels innermost, where memory is
// contiguous.

import { elements } from "../../util/shape.ts";
import { tf } from "../tf.ts";
import { floats, type KernelCall } from "./heap.ts";
import type { Access } from "./resize.ts";

type Shape5 = [number, number, number, number, number];
type Three = [number, number, number] | number;
type Shape4 = [number, number, number, number];
interface FlatPoolAttributes {
  filterSize: [number, number] | number;
  strides: [number, number] | number;
  pad: "valid" | "same" | number | tf.backend_util.ExplicitPadding;
  dimRoundingMode?: "floor" | "round" | "ceil";
}
interface ConvAttributes {
  strides: Three;
  pad: "valid" | "same";
}
interface PoolAttributes extends ConvAttributes {
  filterSize: Three;
  dimRoundingMode?: "floor" | "round" | "ceil";
}

/** dx = sum over taps and filters of dy W: dy [n, od, oh, ow, k], filter [d, h, w, c, k]. */
export function conv3DBackpropInput(
  call: KernelCall<ConvAttributes & { inputShape: Shape5 }>,
): tf.TensorInfo {
  const { inputs, backend, attrs } = call;
  const { inputShape } = attrs;
  const [dy, filter] = [floats(backend, inputs.dy), floats(backend, inputs.filter)];
  const info = convInfo(inputShape, inputs.filter.shape as Shape5, attrs);
  const { inChannels, outChannels } = info;
  const dx = new Float32Array(elements(inputShape));
  eachTap(info, (input, output, tap) => {
    const [from, to, weights] = [output * outChannels, input * inChannels, tap * inChannels * outChannels];
    for (let c = 0, w = weights; c < inChannels; c++) {
      let sum = 0;
      for (let k = 0; k < outChannels; k++) sum += dy[from + k] * filter[w++];
      dx[to + c] += sum;
    }
  });
  return made(call, inputShape, dx);
}

/** dW = sum over images and places of x dy. */
export function conv3DBackpropFilter(
  call: KernelCall<ConvAttributes & { filterShape: Shape5 }>,
): tf.TensorInfo {
  const { inputs, backend, attrs } = call;
  const { filterShape } = attrs;
  const [x, dy] = [floats(backend, inputs.x), floats(backend, inputs.dy)];
  const info = convInfo(inputs.x.shape as Shape5, filterShape, attrs);
  const { inChannels, outChannels } = info;
  // Sums over a whole batch: in double precision.
  const dw = new Float64Array(elements(filterShape));
  eachTap(info, (input, output, tap) => {
    const [from, to] = [input * inChannels, output * outChannels];
    for (let c = 0, w = tap * inChannels * outChannels; c < inChannels; c++) {
      const value = x[from + c];
      for (let k = 0; k < outChannels; k++) dw[w++] += value * dy[to + k];
    }
  });
  return made(call, filterShape, dw);
}

/** The largest value of each window and channel; what pads takes no part. */
export function maxPool3D(call: KernelCall<PoolAttributes>): tf.TensorInfo {
  const { inputs, backend, attrs } = call;
  const x = floats(backend, inputs.x);
  const info = poolInfo(inputs.x.shape as Shape5, attrs);
  const { inChannels: channels, outShape } = info;
  const out = new Float32Array(elements(outShape)).fill(Number.NEGATIVE_INFINITY);
  eachTap(info, (input, output) => {
    for (let c = 0, i = input * channels, o = output * channels; c < channels; c++, i++, o++)
      if (x[i] > out[o]) out[o] = x[i];
  });
  return made(call, outShape, out);
}

/**
 * Each window's gradient goes to its largest value; of equals to the last one, as on the JavaScript backend, whose own goes
 * astray where windows reach beyond the edge.
 */
export function maxPool3DGrad(
  { input, dy }: Record<string, tf.TensorInfo>,
  attrs: PoolAttributes,
  { read, make }: Access,
): tf.TensorInfo {
  const [x, given] = [read(input), read(dy)];
  const info = poolInfo(input.shape as Shape5, attrs);
  const { inChannels: channels, outShape, inShape } = info;
  const size = elements(outShape);
  const best = new Float32Array(size).fill(Number.NEGATIVE_INFINITY);
  const place = new Int32Array(size);
  eachTap(info, (input, output) => {
    for (let c = 0, i = input * channels, o = output * channels; c < channels; c++, i++, o++)
      if (x[i] >= best[o]) {
        best[o] = x[i];
        place[o] = i;
      }
  });
  const dx = new Float32Array(elements(inShape));
  for (let o = 0; o < size; o++) dx[place[o]] += given[o];
  return make(inShape, dx);
}

/**
 * The gradient of average pooling of pictures and volumes: each window's in equal shares to the values that it averages. The
 * backends' own take shares of the whole window, also where part of it lies beyond the edge and is no part of the mean.
 */
export function averagePoolGrad(
  { input, dy }: Record<string, tf.TensorInfo>,
  attrs: PoolAttributes | FlatPoolAttributes,
  { read, make }: Access,
): tf.TensorInfo {
  const info =
    input.shape.length === 4
      ? asVolume(input.shape as Shape4, attrs as FlatPoolAttributes)
      : poolInfo(input.shape as Shape5, attrs as PoolAttributes);
  const channels = info.inChannels;
  const given = read(dy);
  const counts = new Int32Array(elements(dy.shape) / channels);
  eachTap(info, (_, output) => counts[output]++);
  const dx = new Float32Array(elements(input.shape));
  eachTap(info, (place, output) => {
    for (let c = 0, i = place * channels, o = output * channels; c < channels; c++, i++, o++)
      dx[i] += given[o] / counts[output];
  });
  return make(input.shape, dx);
}

function made({ backend }: KernelCall<unknown>, shape: number[], values: ArrayLike<number>): tf.TensorInfo {
  const out = backend.makeOutput([...shape], "float32");
  floats(backend, out).set(values);
  return out;
}

const convInfo = (input: Shape5, filter: Shape5, { strides, pad }: ConvAttributes) =>
  tf.backend_util.computeConv3DInfo(input, filter, strides, 1, pad);

const poolInfo = (input: Shape5, { filterSize, strides, pad, dimRoundingMode }: PoolAttributes) =>
  tf.backend_util.computePool3DInfo(input, filterSize, strides, 1, pad, dimRoundingMode);

/** Windows of pictures as those of volumes that are one deep. */
function asVolume(input: Shape4, { filterSize, strides, pad, dimRoundingMode }: FlatPoolAttributes): Windows {
  const flat = tf.backend_util.computePool2DInfo(input, filterSize, strides, 1, pad, dimRoundingMode);
  const deep = { inDepth: 1, outDepth: 1, filterDepth: 1, strideDepth: 1 };
  return { ...flat, ...deep, padInfo: { ...flat.padInfo, front: 0 } };
}

/** What `eachTap` goes by. */
type Windows = Pick<
  tf.backend_util.Conv3DInfo,
  `${"in" | "out" | "filter" | "stride"}${"Depth" | "Height" | "Width"}` | "batchSize" | "inChannels"
> & { padInfo: { front: number; top: number; left: number } };

/** Calls `visit` with an input place, an output place and the tap between them, for all that lie inside. */
function eachTap(info: Windows, visit: (input: number, output: number, tap: number) => void): void {
  const { batchSize, inDepth, inHeight, inWidth, outDepth, outHeight, outWidth } = info;
  const { filterDepth, filterHeight, filterWidth, strideDepth, strideHeight, strideWidth } = info;
  const { front, top, left } = info.padInfo;
  let output = 0;
  for (let image = 0; image < batchSize; image++)
    for (let oz = 0; oz < outDepth; oz++)
      for (let oy = 0; oy < outHeight; oy++)
        for (let ox = 0; ox < outWidth; ox++, output++)
          for (let q = 0; q < filterDepth; q++) {
            const z = oz * strideDepth - front + q;
            if (z < 0 || z >= inDepth) continue;
            for (let r = 0; r < filterHeight; r++) {
              const y = oy * strideHeight - top + r;
              if (y < 0 || y >= inHeight) continue;
              for (let s = 0; s < filterWidth; s++) {
                const x = ox * strideWidth - left + s;
                if (x < 0 || x >= inWidth) continue;
                const input = ((image * inDepth + z) * inHeight + y) * inWidth + x;
                visit(input, output, (q * filterHeight + r) * filterWidth + s);
              }
            }
          }
}
